//! Writing what is filtered to a file, with the rights of whoever sits before the window: a thread asks the engine for
//! lines and writes them beside their last name, which they get when all are there.

use std::{
    io::Write,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread,
    time::Duration,
};

use chrono::Local;
use eframe::egui::Context;
use uuid::Uuid;

use super::feed::About;
use crate::{
    activity::query::{Ask, Form, Rows},
    engine::{Answer, Handle},
    error::{Error, ErrorKind, ErrorReport, Result},
    records::{
        lines,
        workbook::{self, Book},
    },
    storage,
};

/// What a file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FileForm {
    /// Lines of comma-separated values.
    Csv,
    /// Lines of JSON.
    Json,
    /// A workbook, of those values.
    Xlsx,
}

impl FileForm {
    /// What the engine is asked for.
    fn lines(self) -> Form {
        if self == Self::Json { Form::Json } else { Form::Csv }
    }

    fn ending(self) -> &'static str {
        match self {
            Self::Csv => "csv",
            Self::Json => "jsonl",
            Self::Xlsx => workbook::EXTENSION,
        }
    }
}

/// What is written to the file, as it comes.
enum Out {
    Lines(std::fs::File, PathBuf),
    /// The first line names the columns.
    Book(Box<Book>, bool),
}

impl Out {
    fn put(&mut self, text: &str) -> Result<()> {
        match self {
            Self::Lines(file, path) => file.write_all(text.as_bytes()).map_err(|e| Error::io("write to", path, e)),
            Self::Book(book, is_begun) => {
                for line in text.lines() {
                    if std::mem::replace(is_begun, true) {
                        book.record(&lines::cells(&lines::parted(line)))?;
                    }
                }
                Ok(())
            }
        }
    }
}

/// Lines come in less than this, or the engine does not answer.
const ANSWER_MAX: Duration = Duration::from_secs(60);

/// How an export ended: whole, with a reason why no more could be told, or not at all.
type Ended = std::result::Result<Option<ErrorReport>, ErrorReport>;

/// An export that goes on, or has ended.
#[derive(Debug)]
pub(crate) struct Export {
    /// The file.
    pub(crate) file: PathBuf,
    told: Arc<AtomicU64>,
    stop: Arc<AtomicBool>,
    done: Arc<Mutex<Option<Ended>>>,
}

impl Export {
    /// Begins to write a file that is not there yet.
    pub(crate) fn begin(
        ctx: &Context,
        handle: &Handle,
        (about, upto): (About, Option<u64>),
        form: FileForm,
        file: PathBuf,
    ) -> Self {
        let (told, stop, done) = (Arc::default(), Arc::default(), Arc::default());
        let export =
            Self { file: file.clone(), told: Arc::clone(&told), stop: Arc::clone(&stop), done: Arc::clone(&done) };
        let (ctx, handle, result) = (ctx.clone(), handle.clone(), Arc::clone(&done));
        let work = move || {
            let written = write(&handle, &about, upto, form, &file, (&told, &stop));
            let written = written.map_err(|error| error.report());
            *result.lock().unwrap_or_else(PoisonError::into_inner) = Some(written);
            ctx.request_repaint();
        };
        if let Err(e) = thread::Builder::new().name("export".to_owned()).spawn(work) {
            let error = Error::new(ErrorKind::Io, "nothing can be written beside all else").because(e);
            *done.lock().unwrap_or_else(PoisonError::into_inner) = Some(Err(error.report()));
        }
        export
    }

    /// How many operations were told so far.
    pub(crate) fn told(&self) -> u64 {
        self.told.load(Ordering::Relaxed)
    }

    /// Ends it; nothing is left.
    pub(crate) fn stop(&self) {
        self.stop.store(true, Ordering::Relaxed);
    }

    /// How it ended; `None` while it goes on.
    pub(crate) fn ended(&self) -> Option<Ended> {
        self.done.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Drop for Export {
    fn drop(&mut self) {
        self.stop();
    }
}

fn write(
    handle: &Handle,
    about: &About,
    upto: Option<u64>,
    form: FileForm,
    file: &Path,
    (told, stop): (&AtomicU64, &AtomicBool),
) -> Result<Option<ErrorReport>> {
    let fail = |e| Error::io("write to", file, e);
    let folder = storage::folder_of(file);
    let place = tempfile::Builder::new()
        .prefix(".strongroom-export-")
        .tempfile_in(folder)
        .map_err(|e| Error::io("write to the folder of", file, e))?;
    let mut out = match form {
        FileForm::Xlsx => Out::Book(Box::new(Book::new(folder, file, "Activity", &lines::titles())?), false),
        _ => Out::Lines(place.reopen().map_err(fail)?, file.to_path_buf()),
    };
    let export = Uuid::new_v4();
    let mut problem = None;
    loop {
        if stop.load(Ordering::Relaxed) {
            return Err(Error::stopped());
        }
        let asked = handle.ask(about.query(Ask::Lines { export, form: form.lines(), upto }))?;
        match asked.wait(Some(ANSWER_MAX)) {
            Ok(Answer::Activity(page)) => {
                let Rows::Lines { text, told: so_far, is_last } = page.rows else { continue };
                out.put(&text)?;
                told.store(so_far, Ordering::Relaxed);
                if is_last {
                    break;
                }
            }
            Ok(_) => return Err(Error::new(ErrorKind::Refused, "the engine answers otherwise than expected")),
            // What comes before was told.
            Err(error) if told.load(Ordering::Relaxed) > 0 => {
                problem = Some(error.report());
                break;
            }
            Err(error) => return Err(error),
        }
    }
    if let Out::Book(book, _) = out {
        let remarks = book.finish(place.reopen().map_err(fail)?)?.remarks().join(" ");
        let said = (!remarks.is_empty()).then(|| Error::new(ErrorKind::Partial, remarks).report());
        problem = problem.or(said);
    }
    place.as_file().sync_all().map_err(fail)?;
    place.persist_noclobber(file).map_err(|e| Error::io("create", file, e.error))?;
    Ok(problem)
}

/// A name that says what it is of, and when it was made. A file that has it already is never overwritten.
pub(crate) fn propose(folder: &Path, of: &Path, form: FileForm) -> PathBuf {
    propose_named(folder, of, "activity", form.ending())
}

/// The same of anything that is saved: `Shop activity 2026-11-27 14.03.07.csv`.
pub(crate) fn propose_named(folder: &Path, of: &Path, what: &str, ending: &str) -> PathBuf {
    let stem = of.file_stem().unwrap_or_default().to_string_lossy();
    folder.join(format!("{stem} {what} {}.{ending}", Local::now().format("%Y-%m-%d %H.%M.%S")))
}
