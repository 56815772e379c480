//! A state that a command looks at: which one, and what is said of it on standard error.

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use chrono::{DateTime, Local, Utc};
use clap::Args;

use super::{
    ANSWER_MAX, complain,
    desk::absolute,
    places::{self, directories},
    remark,
    restore::is_data_file,
};
use crate::{
    archive::Archive,
    as_of::{Effort, Limits, Looked},
    control::Control,
    engine::{
        Query,
        lost::{damaged_archives, last_made, lost_pasts, made_archives, missing_archives},
        mistaken::refuse_log,
        status::Status,
    },
    error::{Error, ErrorKind, Result, foreign::shown},
    journal::{CaptureState, integrate::Until},
    restore::{self, Logs, Origin},
    service::join,
    storage,
};

/// How often it is looked whether a statement has ended, and how long one may take to end that should.
const LOOK: Duration = Duration::from_millis(100);
const GRACE: Duration = Duration::from_secs(2);

/// Where archives and logs are, and how long a statement may take.
#[derive(Debug, Args)]
pub(super) struct Where {
    /// A log that lies neither beside the archive, nor beside the data file, nor where its settings say; may be
    /// given several times.
    #[arg(long = "log", value_name = "FILE")]
    logs: Vec<PathBuf>,
    /// A folder that holds segments of the archive, besides its own; may be given several times.
    #[arg(long, value_name = "DIR")]
    segments: Vec<PathBuf>,
    /// End with exit code 1 after so many seconds. Ctrl-C ends it at any time.
    #[arg(long, value_name = "SECONDS")]
    time_limit: Option<u64>,
    /// Whether the data file itself is not to be opened.
    #[arg(skip)]
    pub(super) is_untouched: bool,
}

/// Ends the process when a statement goes on though it should have ended: SQLite asks between its own steps only, and
/// one call of a function, which a view of the data file may hold, can take hours. Nothing but lines and the scratch
/// file of `--save` is written meanwhile; the next one that is saved there removes that.
struct Watchdog(Arc<AtomicBool>);

impl Watchdog {
    fn over(limits: &Limits) -> Self {
        let done = Arc::new(AtomicBool::new(false));
        let (is_done, control, budget) = (Arc::clone(&done), Arc::clone(&limits.control), limits.budget);
        let begun = Instant::now();
        thread::spawn(move || {
            let mut late: Option<Instant> = None;
            while !is_done.load(Ordering::Relaxed) {
                thread::sleep(LOOK);
                let is_over = control.is_stopped() || budget.is_some_and(|budget| begun.elapsed() > budget);
                if is_over && late.get_or_insert_with(Instant::now).elapsed() > GRACE {
                    let error = Error::new(ErrorKind::Stopped, "the statement was ended in the middle of a function")
                        .hint("One call takes that long. Ask for fewer records, or for columns instead of a view.");
                    complain(&error.report());
                    std::process::exit(1);
                }
            }
        });
        Self(done)
    }
}

impl Drop for Watchdog {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

impl Where {
    /// What ends a statement: Ctrl-C, and the time that it may take.
    pub(super) fn limits(&self) -> Limits {
        let control = Arc::new(Control::default());
        let on_signal = Arc::clone(&control);
        let _ = ctrlc::set_handler(move || on_signal.stop());
        Limits { control, budget: self.time_limit.map(Duration::from_secs), ..Limits::default() }
    }

    fn logs(&self) -> Result<Logs> {
        Ok(match self.logs.is_empty() {
            true => Logs::Found,
            false => Logs::Also(self.logs.iter().map(|path| absolute(path)).collect::<Result<_>>()?),
        })
    }

    /// Opens the state of an archive or a data file that is asked for.
    fn open(&self, (what, logs): (&Path, &Logs), effort: &mut Effort, limits: &Limits) -> Result<Looked> {
        let what = absolute(what)?;
        refuse_log(&what)?;
        let how = effort.how();
        let segments: Vec<PathBuf> = self.segments.iter().map(|path| absolute(path)).collect::<Result<_>>()?;
        let folders = directories()?;
        let (own, data) = (folders.config_dir(), folders.data_dir());
        if !is_data_file(&what) {
            let log_runs = bring_up_to_date(None, &what, own);
            let is_untouched = self.is_untouched;
            let settings_dir = Some(own.to_path_buf());
            let origin = Origin { settings_dir, log_runs, is_untouched, ..Origin::default() };
            effort.chose(&what);
            return Looked::open(&what, &segments, (logs, &origin), how, limits);
        }
        let data_file = places::data_file(&what, &folders)?;
        let made = last_made(data, &data_file);
        let mut damaged = damaged_archives(data);
        damaged.extend(effort.passed().iter().cloned());
        let mut origin = Origin {
            settings_dir: Some(own.to_path_buf()),
            damaged,
            made: made_archives(data, &data_file),
            lost: lost_pasts(data, &data_file),
            is_untouched: self.is_untouched,
            log_runs: log_runs(&data_file, own),
            ..Origin::of(&data_file)
        };
        let choice = restore::choose_looking(&data_file, &origin, (how.until, how.look), logs, made.as_ref())
            .map_err(|error| missing_archives(&data_file, own, error))?;
        effort.chose(&choice.archive);
        origin.log_runs = bring_up_to_date(Some(&data_file), &choice.archive, own);
        let looked = Looked::open(&choice.archive, &segments, (&choice.logs, &origin), how, limits)?;
        Ok(looked.without(choice.without))
    }

    /// Opens the state that `until` leads to, and does with it what is to be done, as long as that shows nothing but an
    /// error: what indexes of logs say is believed where all that is needed can be read; else every record is read, and
    /// what is damaged is repaired, or passed by, or said, as a restore does.
    pub(super) fn look<T>(&self, what: &Path, until: Until, limits: &Limits, work: &mut Work<'_, T>) -> Result<T> {
        self.look_with((what, &self.logs()?), until, limits, work)
    }

    /// The same for an archive alone, as it is.
    pub(super) fn alone<T>(&self, archive: &Path, limits: &Limits, work: &mut Work<'_, T>) -> Result<T> {
        self.look_with((archive, &Logs::None), Until::End, limits, work)
    }

    fn look_with<T>(
        &self,
        (what, logs): (&Path, &Logs),
        until: Until,
        limits: &Limits,
        work: &mut Work<'_, T>,
    ) -> Result<T> {
        let mut effort = Effort::new(until);
        loop {
            let (done, may_try) = match self.open((what, logs), &mut effort, limits) {
                Ok(looked) => {
                    let _end = Watchdog::over(limits);
                    work(&looked)
                }
                Err(error) => (Err(error), true),
            };
            let error = match done {
                Err(error) if error.kind() == ErrorKind::Damaged && may_try => error,
                other => return other,
            };
            if let Some(passed) = effort.again(error, is_data_file(what), &limits.control)? {
                remark(&format!("{} cannot be read, and was passed by.", shown(&passed)));
            }
        }
    }
}

/// What is done with a state, and whether it may be done anew where that failed.
pub(super) type Work<'a, T> = dyn FnMut(&Looked) -> (Result<T>, bool) + 'a;

/// Has whoever looks after a data file write down in its log what was committed until now; says whether that log runs,
/// where somebody looks after it. It is known by its archive, where it was not named.
pub(super) fn bring_up_to_date(data_file: Option<&Path>, archive: &Path, own: &Path) -> Option<bool> {
    let described = || Archive::glance(archive).ok()?.data_file_path;
    let data_file = data_file.map(Path::to_path_buf).or_else(described)?;
    let joined = join::engine_of(&data_file, own).ok().flatten()?;
    // Whatever is asked about an archive is answered once its log is written that far.
    let (archive, until, segments) = (archive.to_path_buf(), Until::End, Vec::new());
    let asked = joined.handle.ask(Query::Point { archive, until, segments, logs: Logs::None }).ok()?;
    let _ = asked.wait(Some(ANSWER_MAX));
    log_of(&joined.handle.status(), &data_file)
}

/// Whether the log of `data_file` is in order, as whoever looks after it says; `None` where nobody can be asked.
pub(super) fn log_runs(data_file: &Path, own: &Path) -> Option<bool> {
    log_of(&join::engine_of(data_file, own).ok().flatten()?.handle.status(), data_file)
}

fn log_of(status: &Status, data_file: &Path) -> Option<bool> {
    let log = status.data_file(&storage::real_path(data_file))?.log.as_ref()?;
    Some(log.state == CaptureState::On)
}

/// A moment as it is asked for on the command line.
pub(super) fn moment(text: &str) -> Result<Until> {
    let moment = restore::parse_moment(text)?;
    moment.ambiguity().iter().for_each(|note| remark(note));
    Ok(Until::Moment(moment.at))
}

/// A moment as a person reads it.
pub(super) fn in_words(time: DateTime<Utc>) -> String {
    time.with_timezone(&Local).format("%Y-%m-%d %H:%M:%S%.3f %:z").to_string()
}

/// Says which state is looked at.
pub(super) fn tell(looked: &Looked) {
    let about = looked.about();
    let time = in_words(about.time);
    match (&about.archive, about.commit) {
        (Some(archive), Some(commit)) => {
            remark(&format!("This is the state after commit {commit} of {time}, from {}.", shown(archive)));
        }
        (Some(archive), None) => remark(&format!("This is the state of {time}, from {}.", shown(archive))),
        (None, _) => remark(&format!("This is the state of now, {time}.")),
    }
    about.remarks.iter().for_each(|note| remark(note));
    if let Some(problem) = &about.archive_problem {
        complain(&problem.report());
    }
}

/// How a command ends that has shown this state.
pub(super) fn ends(looked: &Looked) -> ExitCode {
    match looked.lacks() {
        Some(lacks) => {
            complain(&lacks.report());
            ExitCode::FAILURE
        }
        None => ExitCode::SUCCESS,
    }
}
