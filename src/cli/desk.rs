//! The engine that a command works with: the one that looks after the data file already, in a window or a service, or
//! one of its own that ends with the command. And the wait for a job, with a progress bar on a terminal.

use std::{
    io::{self, BufRead, IsTerminal, Write},
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use crossbeam_channel::{Receiver, bounded};
use indicatif::{ProgressBar, ProgressStyle};
use uuid::Uuid;

use super::{ANSWER_MAX, places};
use crate::{
    control::{Phase, Question},
    engine::{
        Command, Event, Handle, Host, HostKind, JobId,
        mistaken::refuse_log,
        of_history,
        query::Query,
        status::{DataFileStatus, FinishedJob},
    },
    error::{
        Error, ErrorKind, Result,
        foreign::{foreign, in_lines, shown},
    },
    restore,
    service::{Reachable, join},
    sqlite::data_file,
    storage::space::human_bytes,
    warning::WarningKind,
};

/// So long an engine may take to begin with a command; its news come sooner.
const TAKEN_MAX: Duration = Duration::from_secs(2);

/// So long an engine may say nothing of a data file that it was told to open: where the path leads elsewhere every time
/// that somebody looks, it never opens the file that is waited for.
const OPEN_MAX: Duration = Duration::from_secs(30);
/// So long an engine in another process may take to begin to stop a job.
const STOP_MAX: Duration = Duration::from_secs(10);

/// An engine to give commands to.
pub(super) struct Desk {
    handle: Handle,
    /// The process that it runs in, when that is another one.
    elsewhere: Option<Host>,
    /// One of our own, which ends with this.
    _own: Option<Reachable>,
}

/// A path that means the same in another process.
pub(super) fn absolute(path: &Path) -> Result<PathBuf> {
    let absolute = std::path::absolute(path).map_err(|e| Error::io("find", path, e))?;
    // Refused here, before anything is done: no engine could be told of it.
    if absolute.to_str().is_none() {
        let message = format!("the name of {} is not text in UTF-8", shown(&absolute));
        return Err(Error::new(ErrorKind::Refused, message).hint("Rename it, or use a folder whose name is text."));
    }
    Ok(absolute)
}

impl Desk {
    /// The engine that looks after `data_file`, or else one of our own.
    pub(super) fn of_data_file(data_file: &Path) -> Result<Self> {
        match join::engine_of(data_file, places::directories()?.config_dir())? {
            Some(joined) => Ok(Self { handle: joined.handle, elsewhere: Some(joined.host), _own: None }),
            None => Self::own(),
        }
    }

    /// The service of this user, when it looks after the data file that `archive` belongs to; or else one of our own.
    ///
    /// # Errors
    /// `WrongType` for a log that was taken for an archive.
    pub(super) fn of_archive(archive: &Path) -> Result<Self> {
        refuse_log(archive)?;
        let holds = |handle: &Handle| {
            handle.status().data_files.iter().any(|d| d.archives.iter().any(|known| known.path == archive))
        };
        match join::service(&places::sockets()?).filter(|joined| holds(&joined.handle)) {
            Some(joined) => Ok(Self { handle: joined.handle, elsewhere: Some(joined.host), _own: None }),
            None => Self::own(),
        }
    }

    /// Has the service of this user look again at the archives among which `archive` is, if there is one.
    pub(super) fn tell_of_archive(archive: &Path) {
        let Some(joined) = places::sockets().ok().and_then(|sockets| join::service(&sockets)) else { return };
        let holds = |d: &&DataFileStatus| d.archives.iter().any(|known| known.path == archive);
        let of = joined.handle.status().data_files.iter().find(holds).map(|d| d.facts.path.clone());
        if let Some(data_file) = of {
            let _ = joined.handle.send(Command::Refresh { data_file });
            // What is sent is on its way; the connection ends with this process.
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    /// An engine of our own. Others can join it as long as the command runs.
    pub(super) fn own() -> Result<Self> {
        let own = Reachable::start(places::config(HostKind::Command)?, &places::sockets()?)?;
        Ok(Self { handle: own.handle(), elsewhere: None, _own: Some(own) })
    }

    /// The door to the engine.
    pub(super) fn handle(&self) -> &Handle {
        &self.handle
    }

    /// Has the data file opened, with its log; returns its canonical path.
    pub(super) fn open(&self, path: PathBuf) -> Result<PathBuf> {
        open(&self.handle, path)
    }

    /// Says on standard error what the settings of an opened data file hold that is not as it was meant: what was done
    /// was done without it.
    pub(super) fn tell_of_settings(&self, path: &Path) {
        let status = self.handle.status();
        let warnings = status.data_file(path).into_iter().flat_map(|known| &known.warnings);
        for warning in warnings.filter(|warning| warning.kind == WarningKind::Settings) {
            super::warn(warning);
        }
    }

    /// Says on standard error why what came of a job may not be noted, if so.
    fn tell_of_history(&self) {
        if let Some(problem) = &self.handle.status().history_problem {
            super::warn(&of_history(problem));
        }
    }

    /// As [`Self::open`]; one that cannot be opened is what a restore in place may replace.
    pub(super) fn open_if_possible(&self, path: PathBuf) -> Result<PathBuf> {
        match self.open(path.clone()) {
            Err(e) if !restore::in_place::is_lost(e.kind()) => Err(e),
            Err(_) => absolute(&path),
            opened => opened,
        }
    }

    /// Has whoever looks after a data file see that it cannot be opened any more, where that is so: only then is it let
    /// go of, and can be replaced. What comes of it is said by the restore.
    pub(super) fn look_at_lost(&self, data_file: &Path) {
        let is_lost = data_file::identify(data_file).is_err_and(|error| restore::in_place::is_lost(error.kind()));
        if is_lost && self.handle.status().data_file(data_file).is_some() {
            let asked = self.handle.ask(Query::Look { data_file: data_file.to_path_buf() });
            let _ = asked.and_then(|asked| asked.wait(Some(ANSWER_MAX)));
        }
    }

    /// Gives a command and waits for its job. Ctrl-C stops the job; where it runs elsewhere, whoever pressed it is
    /// asked, and with `detach` it goes on: then there is no result.
    pub(super) fn perform(&self, id: JobId, command: Command, detach: bool) -> Result<Option<FinishedJob>> {
        if detach && self.elsewhere.is_none() {
            return Err(Error::new(
                ErrorKind::Refused,
                "no window or service does this job, so it cannot go on without this command",
            )
            .hint("Leave out --detach, or let a service look after the data file: strongroom serve --help."));
        }
        let interrupted = interruptions();
        let events = self.handle.events();
        // Whoever sits before a terminal can be asked where an archive in segments goes on when the disk is full.
        let is_attended = io::stdin().is_terminal() && io::stderr().is_terminal() && !detach;
        if is_attended {
            self.handle.send(Command::Attend { who: Uuid::new_v4(), here: true })?;
        }
        self.handle.send(command)?;
        let bar = if io::stderr().is_terminal() { ProgressBar::new(0) } else { ProgressBar::hidden() };
        let mut stop_asked: Option<Instant> = None;
        loop {
            let status = self.handle.status();
            if let Some(finished) = status.finished_job(id) {
                bar.finish_and_clear();
                self.tell_of_history();
                return Ok(Some(finished.clone()));
            }
            if let Some(job) = status.job(id) {
                show(&bar, job.progress.phase, job.progress.done, job.progress.total);
                if let Some(question) = job.question.as_ref().filter(|_| is_attended) {
                    let is_open = || {
                        let now = self.handle.status();
                        !self.handle.is_lost() && now.job(id).is_some_and(|job| job.question.as_ref() == Some(question))
                    };
                    match bar.suspend(|| folder_to_go_on_in(question, &interrupted, is_open)) {
                        Reply::Folder(folder) => {
                            self.handle.send(Command::GoOn { job: id, folder: absolute(&folder)? })?
                        }
                        Reply::Stop => self.handle.send(Command::Stop { job: id })?,
                        Reply::Answered => continue,
                    }
                    // Until the job has taken it.
                    while is_open() {
                        std::thread::sleep(Duration::from_millis(50));
                    }
                    continue;
                }
            }
            if self.handle.is_lost() {
                bar.finish_and_clear();
                let host = self.elsewhere.map_or_else(String::new, |host| host.to_string());
                return Err(Error::new(ErrorKind::Refused, format!("{host} has ended, and the job with it")).hint(
                    "Start it again, then run this command again. The Backup journal shows the job as interrupted.",
                ));
            }
            let is_interrupted = interrupted.try_recv().is_ok();
            // An engine of our own does stop, and must have the time to clean up.
            if let Some((host, asked)) = self.elsewhere.zip(stop_asked) {
                let is_stopping = status.job(id).is_some_and(|job| job.stopping);
                if is_interrupted || !is_stopping && asked.elapsed() > STOP_MAX {
                    bar.finish_and_clear();
                    let message = format!("{host} was asked to stop the job, and has not done it");
                    return Err(Error::new(ErrorKind::Refused, message)
                        .hint("The job may go on there. Look at its status, or end that process."));
                }
            }
            if is_interrupted {
                match self.elsewhere {
                    Some(host) if detach || bar.suspend(|| goes_on(host, &interrupted)) => {
                        bar.finish_and_clear();
                        tell(&format!("The job goes on in {host}."));
                        return Ok(None);
                    }
                    _ => {
                        self.handle.send(Command::Stop { job: id })?;
                        stop_asked = Some(Instant::now());
                    }
                }
            }
            // News of other jobs may come; of ours, the event is as good as the status.
            match events.recv_timeout(Duration::from_millis(100)) {
                Ok(Event::JobFinished(finished)) if finished.id == id => {
                    bar.finish_and_clear();
                    self.tell_of_history();
                    return Ok(Some(finished));
                }
                _ => {}
            }
        }
    }
}

/// Has the data file opened in an engine, with its log; returns its canonical path.
pub(super) fn open(engine: &Handle, path: PathBuf) -> Result<PathBuf> {
    // The engine is told the name that was given: where a link leads to may change.
    let (name, path) = (absolute(&path)?, absolute(&path.canonicalize().unwrap_or(path))?);
    await_opened(engine, name, &path, OPEN_MAX)
}

/// Has `name` opened, which leads to `path`; waits no longer than `limit` where nothing of it is heard.
fn await_opened(engine: &Handle, name: PathBuf, path: &Path, limit: Duration) -> Result<PathBuf> {
    let events = engine.events();
    engine.send(Command::OpenDataFile { path: name.clone() })?;
    let begun = Instant::now();
    let mut heard = begun;
    loop {
        let status = engine.status();
        if status.data_file(path).is_some() || status.opening.contains(&name) {
            heard = Instant::now();
        } else if heard.elapsed() > limit {
            let message = format!("{} was not opened: its path may lead to another file every moment", shown(&name));
            return Err(Error::new(ErrorKind::Refused, message)
                .hint("See who can write the folders and links on the way to it; then try again."));
        }
        if let Some(opened) = status.data_file(path).filter(|d| !d.log_starting) {
            return Ok(opened.facts.path.clone());
        }
        // What was refused before is no answer, until the engine has had the time to take the command.
        let is_answer = begun.elapsed() > TAKEN_MAX && !status.opening.contains(&name);
        if let Some(refused) = status.refused.iter().find(|refused| is_answer && refused.path == name) {
            return Err(Error::from(refused.error.clone()));
        }
        if engine.is_lost() {
            return Err(Error::new(ErrorKind::Refused, "the engine has ended").hint("Try again in a moment."));
        }
        match events.recv_timeout(Duration::from_millis(50)) {
            Ok(Event::DataFileRefused(refused)) if refused.path == path => return Err(Error::from(refused.error)),
            _ => {}
        }
    }
}

/// Ctrl-C, SIGTERM and the end of the terminal, as they come. Only the first call in a process counts.
pub(super) fn interruptions() -> Receiver<()> {
    let (interrupt, interrupted) = bounded(4);
    let _ = ctrlc::set_handler(move || _ = interrupt.try_send(()));
    interrupted
}

/// Asks whether a job that runs in another process goes on; without a terminal it does not, as without that process.
fn goes_on(host: Host, interrupted: &Receiver<()>) -> bool {
    if !io::stdin().is_terminal() || !io::stderr().is_terminal() {
        return false;
    }
    tell(&format!("\nThe job runs in {host}. Shall it go on there? [Y/n] "));
    let (answer, answered) = bounded(1);
    std::thread::spawn(move || {
        let mut line = String::new();
        let _ = io::stdin().lock().read_line(&mut line);
        let _ = answer.send(line);
    });
    crossbeam_channel::select! {
        recv(answered) -> line => !line.unwrap_or_default().trim().to_lowercase().starts_with('n'),
        // Whoever presses it again wants to be away.
        recv(interrupted) -> _ => true,
    }
}

/// What whoever sits before the terminal says to a question.
enum Reply {
    Folder(PathBuf),
    Stop,
    /// Somebody else has answered it, or it is too late.
    Answered,
}

/// Asks for another folder, for as long as the question is open.
fn folder_to_go_on_in(question: &Question, interrupted: &Receiver<()>, is_open: impl Fn() -> bool) -> Reply {
    if let Some(problem) = &question.problem {
        tell(&format!("{}.", foreign(&problem.message)));
    }
    tell(&format!(
        "The disk of {} is full. The backup goes on in another folder, on another disk; the next segment may need {}.",
        shown(&question.full),
        human_bytes(question.bytes)
    ));
    tell(&format!("Folder, or nothing to stop the backup (until {}): ", question.until.format("%H:%M:%S")));
    let (answer, answered) = bounded(1);
    std::thread::spawn(move || {
        let mut line = String::new();
        let _ = io::stdin().lock().read_line(&mut line);
        let _ = answer.send(line);
    });
    loop {
        crossbeam_channel::select! {
            recv(answered) -> line => return match line.unwrap_or_default().trim() {
                "" => Reply::Stop,
                folder => Reply::Folder(PathBuf::from(folder)),
            },
            recv(interrupted) -> _ => return Reply::Stop,
            default(Duration::from_millis(200)) => if !is_open() {
                tell("");
                return Reply::Answered;
            },
        }
    }
}

fn tell(text: &str) {
    let mut out = io::stderr().lock();
    // Nobody is left to tell when standard error is closed.
    let text = in_lines(text);
    let _ = if text.ends_with(' ') { write!(out, "{text}") } else { writeln!(out, "{text}") };
    let _ = out.flush();
}

fn show(bar: &ProgressBar, phase: Phase, done: u64, total: u64) {
    let template = match phase {
        Phase::Creating | Phase::Examining => "{msg:<20} {wide_bar} {pos}/{len}",
        _ if total == 0 => "{msg:<20} {spinner}",
        _ => "{msg:<20} {wide_bar} {bytes}/{total_bytes} {bytes_per_sec} {eta}",
    };
    if bar.message() != phase.label() {
        bar.set_style(ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar()));
        bar.set_message(phase.label());
        bar.reset_eta();
    }
    bar.set_length(total);
    bar.set_position(done);
    bar.tick();
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;
    use crate::engine::{Config, Engine};

    #[test]
    fn a_path_that_leads_elsewhere_by_now_is_not_waited_for() -> std::result::Result<(), Box<dyn std::error::Error>> {
        let folder = tempfile::tempdir()?;
        let place = folder.path().canonicalize()?;
        let link = place.join("link.sqlite");
        for name in ["a.sqlite", "b.sqlite"] {
            rusqlite::Connection::open(place.join(name))?.execute_batch("CREATE TABLE t(x)")?;
        }
        // When the command looked it led to the one, and when the engine did to the other.
        std::os::unix::fs::symlink(place.join("b.sqlite"), &link)?;
        let engine = Engine::start(Config::private(&place.join("own")))?;
        let opened = await_opened(&engine.handle(), link.clone(), &place.join("a.sqlite"), Duration::from_secs(3));
        let error = opened.err().ok_or("another file was opened")?;
        assert!(error.message().contains("link.sqlite was not opened"), "{error}");
        assert_eq!(open(&engine.handle(), link)?, place.join("b.sqlite"));
        Ok(())
    }
}
