//! `strongroom log`: what every commit changed, as records.

use std::{
    io::{self, BufWriter, Write},
    path::{Path, PathBuf},
    process::ExitCode,
    sync::atomic::Ordering,
    time::{Duration, Instant},
};

use chrono::Local;
use clap::Args;

use super::{
    desk::absolute,
    filters::{Filters, foreign_path, is_log_by_name},
    places::directories,
    print, remark,
};
use crate::{
    archive::heal,
    as_of::save::give_name,
    control::Control,
    error::{
        Error, ErrorKind, Result,
        foreign::{foreign, shown},
        shell::quoted,
    },
    journal::plan::PlanEnd,
    records::{
        history::{self, Stretch, Wanted},
        lines,
        operation::{Action, Operation, Side, value_in_words},
        store::ArchiveBase,
        workbook::{self, Book},
    },
    restore,
    storage::{self, Ownership, scratch::Scratch},
    verify,
};

/// After so long, what was found is written out, though there is not much of it.
const SHOW_AFTER: Duration = Duration::from_millis(100);

/// What is asked for.
#[derive(Debug, Args)]
pub(super) struct Asked {
    /// The data file, whose running log is read; or a log, `Name.journal` or `Name[n].4BL`.
    #[arg(value_name = "DATAFILE|LOG")]
    pub(super) file: PathBuf,
    #[command(flatten)]
    filters: Filters,
    /// Also what SQLite keeps for itself: tables behind full-text and spatial indexes, statistics, sequences.
    #[arg(long)]
    internal: bool,
    /// Print one JSON object per operation and line.
    #[arg(long)]
    json: bool,
    /// Print lines of comma-separated values; records in them are JSON objects.
    #[arg(long, conflicts_with = "json")]
    csv: bool,
    /// Save them to this new file, a workbook for spreadsheet programs; records in it are JSON objects.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["json", "csv"])]
    xlsx: Option<PathBuf>,
    /// Replace that file where it exists.
    #[arg(long, requires = "xlsx")]
    overwrite: bool,
}

/// Lists what is asked for.
pub(super) fn log(asked: &Asked) -> Result<ExitCode> {
    let (wanted, control) = (asked.filters.wanted(asked.internal)?, Control::default());
    let trail = asked.filters.trail(&asked.file, &wanted, &control)?;
    let wanted = Wanted { first: wanted.first.max(trail.first), ..wanted };
    let stretch = |leg: &restore::trail::Leg| Stretch { path: leg.path.clone(), after: leg.after, last: leg.last };
    let stretches: Vec<Stretch> = trail.legs.iter().map(stretch).collect();
    // The rest of it holds copies of logs that were repaired, and stays until the end.
    let lacks = trail.lacks(wanted.last).cloned();
    let (archive, ends) = (trail.archive, trail.ends);
    let mut lines = Lines::new(asked)?;
    let path = archive.path().to_path_buf();
    let (base, mended) = ArchiveBase::mending(archive)?;
    let told = history::read(Box::new(base), &stretches, &wanted, &control, &mut |operation| {
        let is_read = lines.put(operation)?;
        if !is_read {
            control.stop();
        }
        Ok(())
    });
    let is_read = lines.flush()?;
    // What comes before damage was told, and is saved.
    if told.is_ok() || lines.first.is_some() {
        lines.save()?;
    }
    if let Some(first) = lines.first.filter(|_| is_read && !asked.json && !asked.csv && !is_log_by_name(&asked.file)) {
        remark(&ways_back(&asked.file, first));
    }
    if mended.load(Ordering::Relaxed) && is_read {
        remark(&format!("{} is damaged, and was repaired in memory. {}", foreign_path(&path), heal::SOUND_COPY));
    }
    match told {
        // A reader such as `head` that has seen enough.
        _ if !is_read => return Ok(ExitCode::SUCCESS),
        Ok(told) => {
            if let Some(log) = told.torn {
                remark(&format!(
                    "{} ends in the middle of a commit: it is being written, or was cut off.",
                    foreign_path(&log)
                ));
            }
        }
        Err(error) => return Err(error),
    }
    match ends {
        Some(PlanEnd::Damaged { path, offset }) => {
            let message = format!("{} is damaged at byte {offset}", foreign_path(&path));
            Err(Error::new(ErrorKind::Damaged, message)
                .hint("Everything before this place was told. Check the disk, and make a full backup."))
        }
        Some(PlanEnd::Gap { path, commit }) => {
            let message = format!("commit {commit} of {} stands for changes that nobody has seen", foreign_path(&path));
            Err(Error::new(ErrorKind::Partial, message)
                .hint("What comes after it is told from the next full backup on."))
        }
        // Also where a part of it was asked for: what is not there may have belonged to it.
        Some(PlanEnd::Torn { .. } | PlanEnd::Complete) | None if is_log_by_name(&asked.file) => {
            match verify::log::cut_off(&asked.file, directories()?.config_dir(), &control)? {
                Some(error) => Err(error),
                None => Ok(ExitCode::SUCCESS),
            }
        }
        Some(PlanEnd::Torn { .. } | PlanEnd::Complete) | None => {
            let behind = || if wanted.last.is_none() { asked.filters.is_behind(&asked.file) } else { Ok(None) };
            match lacks.map_or_else(behind, |why| Ok(Some(why.into())))? {
                Some(why) => Err(why),
                None => Ok(ExitCode::SUCCESS),
            }
        }
    }
}

/// What can be done about what was found in this commit first.
fn ways_back(data_file: &Path, commit: u64) -> String {
    let file = quoted(data_file);
    format!(
        "to take operations back singly: strongroom take-back {file} --commit {commit} --dry-run; to go back to \
         just before commit {commit} as a whole: strongroom restore {file} --in-place --commit {}",
        commit.saturating_sub(1)
    )
}

/// Lines on standard output.
struct Lines<'a> {
    asked: &'a Asked,
    out: BufWriter<io::Stdout>,
    last: Option<Instant>,
    commit: Option<u64>,
    /// The first commit of which something was listed.
    first: Option<u64>,
    is_read: bool,
    book: Option<Saving>,
}

/// A workbook in the place where it is made, and where it comes to.
struct Saving {
    scratch: Scratch,
    book: Book,
    file: PathBuf,
}

impl<'a> Lines<'a> {
    fn new(asked: &'a Asked) -> Result<Self> {
        let out = BufWriter::with_capacity(64 << 10, io::stdout());
        let begin = |file: &PathBuf| -> Result<Saving> {
            let file = absolute(file)?;
            let ending = file.extension().unwrap_or_default();
            if !ending.eq_ignore_ascii_case(workbook::EXTENSION) {
                let message = format!("{} is no name of a workbook", shown(&file));
                return Err(Error::new(ErrorKind::Refused, message).hint("End its name with .xlsx."));
            }
            if !asked.overwrite {
                storage::refuse_existing(&file)?;
            }
            let scratch = Scratch::new(storage::folder_of(&file))?;
            let book = Book::new(scratch.path(), &file, "Activity", &lines::titles())?;
            Ok(Saving { scratch, book, file })
        };
        let book = asked.xlsx.as_ref().map(begin).transpose()?;
        Ok(Self { asked, out, last: None, commit: None, first: None, is_read: true, book })
    }

    /// Gives the workbook its name, if there is one.
    fn save(&mut self) -> Result<()> {
        let Some(Saving { scratch, book, file }) = self.book.take() else { return Ok(()) };
        let made = Path::new("activity");
        let written = book.finish(scratch.folder().create(made, Ownership::default())?)?;
        give_name(&scratch.path().join(made), &file, self.asked.overwrite)?;
        let operations = if written.records == 1 { "operation" } else { "operations" };
        print(&format!("{} {operations} in {}", written.records, shown(&file)))?;
        written.remarks().iter().for_each(|note| remark(note));
        Ok(())
    }

    /// False when nobody reads any more.
    fn put(&mut self, operation: &Operation<'_>) -> Result<bool> {
        if let Some(saving) = &mut self.book {
            saving.book.record(&lines::cells(&lines::fields(operation)?))?;
        } else if self.asked.json {
            self.write(&lines::json(operation)?)?;
        } else if self.asked.csv {
            if self.commit.is_none() {
                self.write(lines::CSV_HEAD)?;
            }
            self.write(&lines::csv(operation)?)?;
        } else {
            if self.commit != Some(operation.commit) {
                let time = operation.time.with_timezone(&Local).format("%Y-%m-%d %H:%M:%S%.3f %:z");
                self.write(&format!("commit {}  {time}", operation.commit))?;
            }
            self.write(&format!("  {}", foreign(&in_words(operation))))?;
        }
        self.commit = Some(operation.commit);
        self.first = self.first.or(self.commit);
        if self.last.is_none_or(|last| last.elapsed() > SHOW_AFTER) {
            self.flush()?;
        }
        Ok(self.is_read)
    }

    fn write(&mut self, line: &str) -> Result<()> {
        let written = writeln!(self.out, "{line}");
        self.note(written)
    }

    fn flush(&mut self) -> Result<bool> {
        self.last = Some(Instant::now());
        let flushed = self.out.flush();
        self.note(flushed)?;
        Ok(self.is_read)
    }

    fn note(&mut self, written: io::Result<()>) -> Result<()> {
        match written {
            Ok(()) => Ok(()),
            Err(e) if e.kind() == io::ErrorKind::BrokenPipe => {
                self.is_read = false;
                Ok(())
            }
            Err(e) => Err(Error::io("write to", Path::new("standard output"), e)),
        }
    }
}

/// One operation as a line for people.
fn in_words(operation: &Operation<'_>) -> String {
    let change = operation.change;
    let key = change.key.as_ref().map_or_else(String::new, |key| format!(" {}", key.in_words()));
    let table = change.table.unwrap_or_default();
    let reason = operation.reason().map_or_else(String::new, |reason| format!(": {reason}"));
    let what = match (change.action, change.object) {
        (Action::CatchUp, _) => {
            "catch-up: nobody watched since the commit before, and what follows was made meanwhile".to_owned()
        }
        (Action::Rewrite, _) => {
            format!("rewrite: {} pages were written, and no record is another one", change.count.unwrap_or_default())
        }
        (Action::Unknown, _) if table.is_empty() => format!("unknown{reason}"),
        (Action::Unknown, _) => format!("unknown {table}{reason}"),
        (action, Some(object)) => {
            let renamed = match (&change.old, &change.new) {
                (Some(Side::Object(old)), Some(Side::Object(new))) if old.name != new.name => {
                    format!(", now {}", new.name)
                }
                _ => String::new(),
            };
            let records = change.count.map_or_else(String::new, |count| match count {
                1 => ", with 1 record".to_owned(),
                count => format!(", with {count} records"),
            });
            format!("{} {}{key}{renamed}{records}", action.label(), object.label())
        }
        (action, None) => {
            format!("{} {table}{key}: {}", action.label(), sides(change.old.as_ref(), change.new.as_ref()))
        }
    };
    format!("{}  {what}", operation.number)
}

/// The columns of a record; of one that was modified, those that are others.
fn sides(old: Option<&Side<'_>>, new: Option<&Side<'_>>) -> String {
    let unknown = |side: &Side<'_>| match side {
        Side::Unknown(flaw) => format!("not to be read, page {} {}", flaw.page, flaw.what),
        _ => String::new(),
    };
    let (names, old_row, new_row) = match (old, new) {
        (Some(Side::Record(_, old)), Some(Side::Record(definition, new))) => (*definition, Some(old), Some(new)),
        (None, Some(Side::Record(definition, new))) => (*definition, None, Some(new)),
        (Some(Side::Record(definition, old)), None) => (*definition, Some(old), None),
        (Some(side @ Side::Unknown(_)), _) | (_, Some(side)) => return unknown(side),
        (Some(side), None) => return unknown(side),
        (None, None) => return String::new(),
    };
    let mut parts = Vec::new();
    for (place, column) in names.columns.iter().enumerate() {
        let value = |row: Option<&Vec<Option<crate::records::record::Value<'_>>>>| {
            row.and_then(|row| row.get(place).copied().flatten()).map(|value| value_in_words(&value))
        };
        match (value(old_row), value(new_row)) {
            (Some(old), Some(new)) if old != new => parts.push(format!("{} {old} → {new}", column.name)),
            (Some(one), None) | (None, Some(one)) => parts.push(format!("{} {one}", column.name)),
            _ => {}
        }
    }
    parts.join(", ")
}
