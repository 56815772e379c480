//! `strongroom serve`: an engine without a window. What it does by itself is said on standard output, or to the
//! system's journal.

use std::{
    collections::HashMap,
    io,
    path::{Path, PathBuf},
    process::ExitCode,
    time::{Duration, Instant},
};

use crossbeam_channel::{Receiver, select};
use tracing_subscriber::{EnvFilter, Layer, filter::FilterExt, layer::SubscriberExt, util::SubscriberInitExt};

use super::{
    complain,
    desk::{absolute, interruptions, open},
    once::Once,
    places, print, words,
};
use crate::{
    archive::catalog,
    engine::{
        Command, Event, Handle, HostKind, of_history,
        settings_in_force::InForce,
        status::{DataFileStatus, FinishedJob},
    },
    error::{
        Error, ErrorKind, ErrorReport, Result,
        foreign::{foreign, shown},
    },
    service::{Reachable, background},
    warning::{Warning, WarningKind},
};

/// How often data files are tried that could not be looked after.
const RETRY: Duration = Duration::from_secs(2);
/// How long the engine may take to answer the question whether it lives.
const ANSWER_MAX: Duration = Duration::from_secs(10);

/// Sends the program's messages to standard error, and those of a service that systemd runs to the system's journal.
/// `STRONGROOM_LOG=debug` shows more of them. Equal ones are said once.
pub(super) fn begin_messages(is_service: bool) {
    let default = if is_service { "info" } else { "error" };
    let level = || EnvFilter::try_from_env("STRONGROOM_LOG").unwrap_or_else(|_| EnvFilter::new(default));
    let filter = || level().and(Once::default());
    #[cfg(target_os = "linux")]
    if is_service
        && std::env::var_os("JOURNAL_STREAM").is_some()
        && let Ok(journal) = tracing_journald::layer()
    {
        tracing_subscriber::registry().with(journal.with_filter(filter())).init();
        return;
    }
    let text = tracing_subscriber::fmt::layer().with_writer(io::stderr).with_filter(filter());
    tracing_subscriber::registry().with(text).init();
}

/// Looks after these data files, or those on the service's own list and the one `given` to it, until a signal comes.
pub(super) fn serve(
    data_files: &[PathBuf],
    given: Option<PathBuf>,
    log: Option<PathBuf>,
    no_log: bool,
    switch_to_wal: bool,
) -> Result<ExitCode> {
    if log.is_some() && data_files.len() != 1 {
        return Err(Error::new(ErrorKind::Refused, "one log cannot hold several data files")
            .hint("Give --log with one data file only."));
    }
    let stop = interruptions();
    more_open_files();
    let mut config = places::config(HostKind::Service)?;
    if data_files.is_empty() {
        config.list = Some(places::list()?);
        config.given_list = given.map(|given| absolute(&given)).transpose()?;
    }
    config.keeps_no_log = no_log;
    let list = config.given_list.clone().or_else(|| config.list.clone());
    let engine = Reachable::start(config, &places::sockets()?)?;
    let handle = engine.handle();
    let events = handle.events();
    if let Some(error) = handle.status().list_problem.clone() {
        return Err(error.into());
    }
    let wanted = Wanted { log, no_log, switch_to_wal };
    let (mut waiting, mut refused) = (Vec::new(), Vec::new());
    // Whether one that was looked after before waits for its log, and not one for which this command asks it first.
    let (mut is_known, folders) = (false, places::directories()?);
    let (own, data) = (folders.config_dir().to_path_buf(), folders.data_dir().to_path_buf());
    for data_file in data_files {
        let had_log = data_file.canonicalize().is_ok_and(|path| {
            InForce::for_reading(&path, &own, &data).is_ok_and(|(settings, _)| settings.settings().log.file.is_some())
        });
        match wanted.look_after(&handle, data_file, (&events, &stop)) {
            Ok(true) => {}
            Ok(false) => return Ok(ExitCode::SUCCESS),
            Err(error) => {
                waiting.push(data_file.clone());
                refused.push(error);
                is_known |= had_log;
            }
        }
    }
    // Where nothing can come of it by itself, whoever gave the command must know. What can be looked after is, whatever
    // the others are.
    if !waiting.is_empty()
        && !is_known
        && waiting.len() == data_files.len()
        && refused.iter().all(|error| !may_pass(error.kind()))
    {
        let mut refused = refused.into_iter();
        let first = refused.next();
        refused.for_each(|error| complain(&error.report()));
        return first.map_or(Ok(ExitCode::SUCCESS), Err);
    }
    if !waiting.is_empty() {
        for error in &refused {
            complain(&error.report());
        }
        print(&format!(
            "{} of {} data files wait: they are tried again until they can be looked after.",
            waiting.len(),
            data_files.len()
        ))?;
        let handle = handle.clone();
        std::thread::spawn(move || wanted.keep_trying(&handle, waiting));
    }
    if let Some(list) = list {
        print(&format!("Looking after the data files in {}; a window can add some.", shown(&list)))?;
    }
    supervisor::ready();
    report_until(&engine, &events, &stop, None)?;
    supervisor::stopping();
    // Dropping the engine ends the logs cleanly, everything synced.
    Ok(ExitCode::SUCCESS)
}

/// So long a process in the background waits for the window that began it.
const HANDOVER_MAX: Duration = Duration::from_secs(90);
/// Without a data file for so long, it ends.
const EMPTY_MAX: Duration = Duration::from_secs(5);

/// Goes on with what a window hands over, until nothing is left of it or a signal comes.
pub(super) fn serve_in_background() -> Result<ExitCode> {
    background::leave_session();
    let stop = interruptions();
    more_open_files();
    let engine = Reachable::start(places::config(HostKind::Background)?, &places::sockets()?)?;
    let events = engine.handle().events();
    print(&format!("Process {} goes on in the background with what a window looked after.", std::process::id()))?;
    // What was opened and closed again between two looks counts too.
    let news = engine.handle().events();
    let (begun, mut had) = (Instant::now(), None);
    let mut is_over = || {
        let status = engine.handle().status();
        let has_opened = news.try_iter().any(|event| matches!(event, Event::DataFileOpened { .. }));
        if has_opened || !status.data_files.is_empty() || !status.opening.is_empty() || !status.jobs.is_empty() {
            had = Some(Instant::now());
        }
        had.map_or(begun.elapsed() > HANDOVER_MAX, |at| at.elapsed() > EMPTY_MAX)
    };
    report_until(&engine, &events, &stop, Some(&mut is_over))?;
    print("It has ended.")?;
    Ok(ExitCode::SUCCESS)
}

/// What is wanted of the data files given.
struct Wanted {
    log: Option<PathBuf>,
    no_log: bool,
    switch_to_wal: bool,
}

impl Wanted {
    /// Opens a data file and has its log written; false when it was told to stop meanwhile.
    fn look_after(
        &self,
        handle: &Handle,
        data_file: &Path,
        (events, stop): (&Receiver<Event>, &Receiver<()>),
    ) -> Result<bool> {
        let path = open(handle, data_file.to_path_buf())?;
        if self.no_log {
            print(&format!("{} is looked after", shown(&path)))?;
            return Ok(true);
        }
        match use_log(handle, &path, self.log.as_deref(), self.switch_to_wal, (events, stop))? {
            Some(log) => print(&format!("{} is logged in {}", shown(&path), shown(&log)))?,
            None => return Ok(false),
        }
        Ok(true)
    }

    /// Tries again and again what could not be looked after; what is in the way is said when it is something else than
    /// before.
    fn keep_trying(&self, handle: &Handle, mut waiting: Vec<PathBuf>) {
        let mut said: HashMap<PathBuf, String> = HashMap::new();
        while !waiting.is_empty() && !handle.is_lost() {
            std::thread::sleep(RETRY);
            waiting.retain(|data_file| {
                // A log that is in the settings is tried by the engine, which makes no folder anew where a disk may be
                // missing.
                let path = data_file.canonicalize().unwrap_or_else(|_| data_file.clone());
                // It may have opened the data file after it was asked the last time, which saw only why it could not
                // before.
                if let Some(known) = handle.status().data_file(&path).filter(|known| known.log_file.is_some()) {
                    let Some(log) = &known.log else { return true };
                    let _ = print(&format!("{} is logged in {}", shown(&path), shown(&log.log)));
                    return false;
                }
                let events = handle.events();
                match self.look_after(handle, data_file, (&events, &crossbeam_channel::never())) {
                    Ok(_) => false,
                    Err(error) => {
                        if said
                            .insert(data_file.clone(), error.message().to_owned())
                            .is_none_or(|before| before != error.message())
                        {
                            tracing::warn!("{error}");
                        }
                        true
                    }
                }
            });
        }
    }
}

/// Whether what is in the way may go away without anybody doing something about the command: a short command that has
/// the file, a program that holds it, a disk that comes back.
fn may_pass(kind: ErrorKind) -> bool {
    use ErrorKind as K;
    matches!(kind, K::InUse | K::Busy | K::Io | K::NoSpace | K::Stopped)
}

/// Has the log switched on, and waits until it runs; `None` when it was told to stop meanwhile.
fn use_log(
    handle: &Handle,
    data_file: &Path,
    log: Option<&Path>,
    switch_to_wal: bool,
    (events, stop): (&Receiver<Event>, &Receiver<()>),
) -> Result<Option<PathBuf>> {
    let status = handle.status();
    let known = status.data_file(data_file);
    let chosen = log.map(Path::to_path_buf).or_else(|| known?.log_file.clone()).unwrap_or_else(|| {
        let folder = known.map_or_else(PathBuf::new, |known| known.destination.clone());
        folder.join(format!("{}.journal", catalog::stem(data_file)))
    });
    let chosen = std::path::absolute(&chosen).map_err(|e| Error::io("find", &chosen, e))?;
    // A log that is in the settings already was opened with the data file. To choose it anew would begin another one in
    // a new folder where its own is missing.
    if let Some(problem) = known
        .filter(|known| known.log_file.as_ref() == Some(&chosen) && !switch_to_wal)
        .and_then(|known| known.log_problem.clone())
    {
        return Err(problem.into());
    }
    handle.send(Command::UseLog { data_file: data_file.to_path_buf(), log: Some(chosen.clone()), switch_to_wal })?;
    let runs = |known: &DataFileStatus| known.log.is_some() && known.log_file.as_ref() == Some(&chosen);
    while !handle.status().data_file(data_file).is_some_and(runs) {
        if stop.try_recv().is_ok() {
            return Ok(None);
        }
        match events.recv_timeout(Duration::from_millis(50)) {
            Ok(Event::CommandRefused(error)) => return Err(error.into()),
            Ok(Event::LogRefused { data_file: of, error }) if of == data_file => return Err(error.into()),
            _ => {}
        }
    }
    Ok(Some(chosen))
}

/// Reports what is done by itself, on standard output what succeeds and on standard error what does not, until `stop`,
/// or until `is_over`, which is asked now and then. Meanwhile, tells systemd that it lives, as long as the engine does.
fn report_until(
    engine: &Reachable,
    events: &Receiver<Event>,
    stop: &Receiver<()>,
    mut is_over: Option<&mut dyn FnMut() -> bool>,
) -> Result<()> {
    let handle = engine.handle();
    let mut said: Option<ErrorReport> = None;
    let look =
        is_over.as_ref().map_or_else(crossbeam_channel::never, |_| crossbeam_channel::tick(Duration::from_secs(1)));
    let pulse =
        supervisor::patience().map_or_else(crossbeam_channel::never, |limit| crossbeam_channel::tick(limit / 3));
    loop {
        select! {
            recv(stop) -> _ => return Ok(()),
            recv(look) -> _ => if is_over.as_mut().is_some_and(|is_over| is_over()) {
                return Ok(());
            },
            recv(pulse) -> _ => {
                // One that hangs is to be ended and begun anew.
                if engine.is_alive(ANSWER_MAX) {
                    supervisor::alive();
                }
            }
            recv(events) -> event => match event {
                Ok(event) => {
                    report(&handle, &event)?;
                    let problem = handle.status().history_problem.clone();
                    if let Some(new) = problem.as_ref().filter(|new| said.as_ref() != Some(*new)) {
                        let Warning { message, hint, .. } = of_history(new);
                        tracing::warn!("{}. {}", foreign(&message), foreign(&hint.unwrap_or_default()));
                    }
                    said = problem;
                }
                Err(_) => return Ok(()),
            }
        }
    }
}

fn report(engine: &Handle, event: &Event) -> Result<()> {
    if let Some(line) = words::event(event) {
        match event {
            Event::JobFinished(job) if job.result.is_err() => tracing::error!("{line}"),
            Event::LogRefused { .. } | Event::DataFileRefused(_) => tracing::error!("{line}"),
            Event::LogChanged { error: Some(_), .. } => tracing::warn!("{line}"),
            _ => tracing::info!("{line}"),
        }
    }
    match event {
        // By now the log is chosen that this command asks for.
        Event::DataFileOpened { path } => {
            let status = engine.status();
            let known = status.data_file(path).into_iter().flat_map(|known| &known.warnings);
            for idle in known.filter(|warning| warning.kind == WarningKind::Unprotected) {
                tracing::warn!("{}. {}", foreign(&idle.message), foreign(idle.hint.as_deref().unwrap_or_default()));
            }
            Ok(())
        }
        Event::JobFinished(job) if job.automatic => report_job(engine, job),
        _ => Ok(()),
    }
}

fn report_job(engine: &Handle, job: &FinishedJob) -> Result<()> {
    match &job.result {
        Ok(done) => {
            print(&words::in_words(done, job.duration_ms))?;
            if let Some(problem) = done.problem() {
                complain(&problem.report());
            }
        }
        Err(error) if error.kind == ErrorKind::Stopped => {}
        Err(error) => {
            complain(error);
            let next = job.data_file.as_ref().and_then(|path| engine.status().data_file(path)?.next_backup);
            if let Some(next) = next {
                print(&format!("The next attempt is due on {}", next.format("%Y-%m-%d %H:%M:%S")))?;
            }
        }
    }
    Ok(())
}

/// What systemd is told, where it runs us and wants to know; see `sd_notify(3)`.
#[cfg(unix)]
mod supervisor {
    use std::time::Duration;

    use sd_notify::NotifyState;

    pub(super) fn ready() {
        let _ = sd_notify::notify(&[NotifyState::Ready]);
    }

    pub(super) fn alive() {
        let _ = sd_notify::notify(&[NotifyState::Watchdog]);
    }

    pub(super) fn stopping() {
        let _ = sd_notify::notify(&[NotifyState::Stopping]);
    }

    /// How long it waits for a sign of life before it ends us and begins anew.
    pub(super) fn patience() -> Option<Duration> {
        sd_notify::watchdog_enabled()
    }
}

#[cfg(not(unix))]
mod supervisor {
    pub(super) fn ready() {}
    pub(super) fn alive() {}
    pub(super) fn stopping() {}
    pub(super) fn patience() -> Option<std::time::Duration> {
        None
    }
}

/// A data file needs about ten open files, and systems allow a process a thousand unless it asks for more.
fn more_open_files() {
    #[cfg(unix)]
    {
        use rustix::process::{Resource, getrlimit, setrlimit};
        let mut limit = getrlimit(Resource::Nofile);
        limit.current = limit.maximum;
        let _ = setrlimit(Resource::Nofile, limit);
    }
}
