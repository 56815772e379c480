//! The command line: the same engine as the window, for scripts and for machines without a display.
//!
//! Results go to standard output, as text or with `--json` as one object (one per line for lists); failures go to
//! standard error with their hint. Exit code 0 is success, 1 a failure, 2 wrong usage.
//!
//! ```text
//! arguments    what can be asked for
//! desk         the engine that a command works with, its own or one that runs already, and waiting for a job
//! serve watch  an engine without a window; what happens in one
//! once         equal messages of the program are said once
//! service      the service of the system
//! settings list hold key status words  what is shown
//! commits      what a log holds, and whether it is sound
//! log filters  what every commit changed; which operations are asked for
//! take_back    chosen operations taken back, after the plan was shown and confirmed
//! query        one statement that reads a data file as it was
//! diff         what is in one state and not in another
//! tables       how large the tables are
//! recover      what a damaged data file still holds, into a new one
//! looked       which state it is that a command looks at
//! aligned out  records in columns; many lines on standard output
//! storing      how an archive is stored, as options
//! restore      the archive that a restore begins with, and another one where that is damaged
//! undo         a restore in place undone, after its numbers were confirmed
//! confirm      what is asked before something is done
//! places       where the program keeps its own files
//! rights       as whom a command works: the superuser's becomes the owner of the file
//! ```

mod aligned;
mod arguments;
mod commits;
mod confirm;
mod desk;
mod diff;
mod filters;
mod hold;
mod key;
mod list;
mod log;
mod looked;
mod once;
mod out;
mod places;
mod query;
mod recover;
mod restore;
mod rights;
mod serve;
mod service;
mod settings;
mod storing;
mod tables;
mod take_back;
mod undo;
mod watch;
mod words;

use std::{
    io::{self, BufRead, Write},
    path::{Path, PathBuf},
    process::ExitCode,
    sync::Arc,
};

use serde::Serialize;

pub use arguments::Arguments;

use arguments::Job;
use desk::{Desk, absolute};

use crate::{
    archive::keys::PublicKey,
    control::Control,
    engine::{
        Command, Handle, JobId, Query,
        inspect::{Inspection, inspect},
        lost::{EMPTIED, Lost},
        status::{FinishedJob, JobReport},
    },
    error::{
        Error, ErrorKind, ErrorReport, Result,
        foreign::{foreign, in_json, in_lines},
    },
    journal::integrate::Until,
    sample,
    sqlite::built,
    storage,
    warning::Warning,
};

/// How long an engine may take to look at a data file; then it is looked at from outside.
const ANSWER_MAX: std::time::Duration = std::time::Duration::from_secs(10);

/// Runs the program with the arguments of the process.
pub fn main() -> ExitCode {
    // First of all, while there is one thread: rights that are given up are given up by the whole process.
    let given = match rights::arguments() {
        Ok(given) => given,
        Err(error) => {
            complain(&error.report());
            return ExitCode::from(1);
        }
    };
    let arguments = Arguments::of(&given);
    let settled = rights::settle(&arguments, &given);
    serve::begin_messages(matches!(arguments.job, Some(Job::Serve { .. })));
    let code = match settled.and_then(|settled| settled.map_or_else(|| run(arguments), Ok)) {
        Ok(code) => code,
        Err(error) => {
            complain(&error.report());
            ExitCode::from(1)
        }
    };
    crate::storage::await_clean_up();
    code
}

fn complain(error: &ErrorReport) {
    let mut out = io::stderr().lock();
    // Nobody is left to tell when standard error is closed.
    // It may come from an engine that another user runs.
    let _ = writeln!(out, "strongroom: {}", foreign(&error.message));
    if let Some(hint) = &error.hint {
        let _ = writeln!(out, "  {}", foreign(hint));
    }
}

/// Says on standard error what is no failure, but worth knowing: standard output is for the result.
fn remark(note: &str) {
    let _ = writeln!(io::stderr().lock(), "strongroom: {}", foreign(note));
}

/// Says on standard error what needs attention, though the command did what it was told.
fn warn(warning: &Warning) {
    let message = format!("WARNING: {}", warning.message);
    complain(&ErrorReport::new(ErrorKind::Partial, message, warning.hint.clone()));
}

fn run(arguments: Arguments) -> Result<ExitCode> {
    // Before any file is opened with it.
    built::require_our_own()?;
    let Some(job) = arguments.job else { return window(arguments.data_file) };
    let id = JobId::new();
    match job {
        Job::Backup { data_file, to, storing, detach, json } => {
            let desk = Desk::of_data_file(&data_file)?;
            let path = desk.open(data_file)?;
            let options = storing.options(&path)?;
            let destination = to.map(|to| absolute(&to)).transpose()?;
            let backup = Command::Backup { job: id, data_file: path.clone(), destination, options };
            let finished = desk.perform(id, backup, detach)?;
            desk.tell_of_settings(&path);
            report(finished, json)
        }
        Job::Status { data_file, json } => status(&data_file, json),
        Job::List { place, json } => list::list(&place, json),
        Job::Log(asked) => log::log(&asked),
        Job::TakeBack(asked) => take_back::run(&asked),
        Job::Query(asked) => query::run(&asked),
        Job::Diff(asked) => diff::run(&asked),
        Job::Tables { data_file, json } => tables::run(&data_file, json),
        Job::Recover(asked) => recover::run(asked),
        Job::Hold { archive, note, release, json } => hold::hold(&archive, note, release, json),
        Job::Key { data_file: _, json } => key::key(json),
        Job::Commits { log, page, json } => commits::list(&log, page, json),
        Job::Verify { archive, segments, archives, signed_by, test_restore, json, .. } if commits::is_log(&archive) => {
            commits::verify(&archive, &archives, signed_by.as_deref(), test_restore || !segments.is_empty(), json)
        }
        Job::Verify { archive, segments, archives, signed_by, test_restore, detach, json } => {
            let archive = absolute(&archive)?;
            if !archives.is_empty() {
                let message =
                    format!("{} is verified as an archive: --archives is for logs", filters::foreign_path(&archive));
                return Err(Error::new(ErrorKind::Refused, message).hint("Leave that option out."));
            }
            let signed_by = signed_by.map(|path| PublicKey::read(&path)).transpose()?;
            let desk = Desk::of_archive(&archive)?;
            let segments: Vec<PathBuf> = segments.iter().map(|path| absolute(path)).collect::<Result<_>>()?;
            let verify = Command::Verify { job: id, archive: archive.clone(), segments: segments.clone(), signed_by };
            let code = report(desk.perform(id, verify, detach)?, json)?;
            if !test_restore {
                return Ok(code);
            }
            let id = JobId::new();
            let command = Command::TestRestore { job: id, archive, until: Until::End, segments };
            report(desk.perform(id, command, detach)?, json)
        }
        Job::Check { data_file, detach, json } => {
            let desk = Desk::of_data_file(&data_file)?;
            let data_file = desk.open(data_file)?;
            report(desk.perform(id, Command::VerifyRecords { job: id, data_file }, detach)?, json)
        }
        Job::Compact { data_file, detach, json } => {
            let desk = Desk::of_data_file(&data_file)?;
            let data_file = desk.open(data_file)?;
            report(desk.perform(id, Command::Compact { job: id, data_file }, detach)?, json)
        }
        Job::Repair { archive, to, segments, detach, json } => {
            let archive = absolute(&archive)?;
            let desk = Desk::of_archive(&archive)?;
            let segments = segments.iter().map(|path| absolute(path)).collect::<Result<_>>()?;
            let to = to.map(|to| absolute(&to)).transpose()?;
            report(desk.perform(id, Command::Repair { job: id, archive, to, segments }, detach)?, json)
        }
        Job::Drill { data_file, json } => {
            let desk = Desk::of_data_file(&data_file)?;
            let data_file = desk.open(data_file)?;
            report(desk.perform(id, Command::Drill { job: id, data_file, seed: random_seed() }, false)?, json)
        }
        Job::Serve { background: true, .. } => serve::serve_in_background(),
        Job::Serve { data_files, log, no_log, switch_to_wal, list, .. } => {
            serve::serve(&data_files, list, log, no_log, switch_to_wal)
        }
        Job::Watch { data_file, json } => watch::watch(&data_file, json),
        Job::Service { action } => service::run(action),
        Job::Restore(asked) => report(restore::run(id, &asked)?, asked.json),
        Job::Undo { data_file, yes, dry_run, json } => undo::run(data_file, yes, dry_run, json),
        Job::Settings { data_file, settings, defaults, choose_anew, own_identity, begin_anew, as_written, json } => {
            let asked = (choose_anew.as_slice(), own_identity, begin_anew, as_written);
            settings::run(&data_file, &settings, &defaults, asked, json)?;
            Ok(ExitCode::SUCCESS)
        }
        Job::Sample { folder, json } => {
            let command = Command::CreateSample { job: id, folder: absolute(&folder)? };
            report(Desk::own()?.perform(id, command, false)?, json)
        }
        Job::SampleClient { data_file, rate, commits, attached } => sample_client(&data_file, rate, commits, attached),
    }
}

/// How long the window waits for services before it is shown.
#[cfg(feature = "gui")]
const JOIN_MAX: std::time::Duration = std::time::Duration::from_millis(700);

#[cfg(feature = "gui")]
fn window(data_file: Option<PathBuf>) -> Result<ExitCode> {
    use crate::{
        engine::HostKind,
        service::{Reachable, switchboard},
    };
    let (config, sockets) = (places::config(HostKind::Window)?, places::sockets()?);
    let settings_dir = config.settings_dir.clone();
    // What was open when the last window ended, and nobody went on with.
    let left = crate::engine::history::left_behind(&config.data_dir);
    let engine = Reachable::start(config, &sockets)?;
    let handle = switchboard::join_all(engine.handle(), &settings_dir, &sockets)?;
    // What services look after is there from the first frame on: later, nothing changes the page by itself.
    let (begun, services) = (std::time::Instant::now(), sockets.services().len());
    while handle.status().engines.len() <= services && begun.elapsed() < JOIN_MAX {
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    let data_file = data_file.map(|path| absolute(&path)).transpose()?;
    for path in left {
        // What this window was begun with is opened, and shown, by the window.
        if data_file.as_ref() != Some(&path) {
            handle.send(Command::OpenDataFile { path })?;
        }
    }
    crate::ui::run(handle, data_file, places::setup())?;
    Ok(ExitCode::SUCCESS)
}

#[cfg(not(feature = "gui"))]
fn window(_: Option<PathBuf>) -> Result<ExitCode> {
    Err(Error::new(ErrorKind::Refused, "this program was built without its window")
        .hint("Use one of its commands (strongroom --help), or build it with the feature gui."))
}

fn status(data_file: &Path, json: bool) -> Result<ExitCode> {
    let folders = places::directories()?;
    if let Some(error) = crate::settings::left_behind(data_file, folders.config_dir()) {
        return Err(error);
    }
    // Whoever looks after it knows more, and looks at it now; else all is read anew.
    let joined = crate::service::join::engine_of(data_file, folders.config_dir())
        .ok()
        .flatten()
        .and_then(|engine| look_now(&engine.handle, &storage::real_path(data_file)));
    let (own, data) = (folders.config_dir(), folders.data_dir());
    let look = || inspect(data_file, own, data, &places::clock(), rights::is_as_root());
    let found = match joined.map_or_else(look, Ok) {
        Ok(found) => found,
        Err(error) if Lost::is_asked_for(error.kind()) => {
            let lost = Lost::look(data_file, own, data, &error);
            if error.kind() != ErrorKind::NotFound && !lost.held_content() {
                return Err(error);
            }
            if json {
                print_json(&lost)?
            } else {
                print(&words::lost(&lost))?
            }
            let Some(command) = lost.command() else { return Err(error) };
            let first = match error.kind() {
                ErrorKind::NotFound => String::new(),
                ErrorKind::Empty => format!("{EMPTIED} "),
                // It may be as it is on purpose, as one that its application has encrypted since.
                _ => error.hint_text().map_or_else(String::new, |hint| format!("{hint} ")),
            };
            return Err(error.hint(format!("{first}Bring it back: {command}.")));
        }
        Err(error) => return Err(error),
    };
    if json {
        print_json(&found)?
    } else {
        print(&words::inspection(&found))?
    }
    Ok(ExitCode::SUCCESS)
}

/// Has an engine look at a data file, and tells what it finds; `None` when it does not answer in time.
fn look_now(engine: &Handle, data_file: &Path) -> Option<Inspection> {
    let asked = engine.ask(Query::Look { data_file: data_file.to_path_buf() }).ok()?;
    match asked.wait(Some(ANSWER_MAX)) {
        Ok(_) => Inspection::of_engine(&engine.status(), data_file),
        // A disk does not answer, and would hold us up as well: what is known tells which, and nothing counts as
        // complete.
        Err(error) if error.kind() == ErrorKind::Busy => {
            let mut known = Inspection::of_engine(&engine.status(), data_file)?;
            if let Some(log) = &mut known.log {
                log.complete = log.complete.filter(|complete| !complete);
            }
            known.protection = known.protection.unsure();
            Some(known)
        }
        Err(_) => None,
    }
}

fn print(line: &str) -> Result<()> {
    match writeln!(io::stdout().lock(), "{}", in_lines(line)) {
        // A reader such as `head` that has seen enough.
        Err(e) if e.kind() != io::ErrorKind::BrokenPipe => Err(Error::io("write to", Path::new("standard output"), e)),
        _ => Ok(()),
    }
}

fn print_json(value: &impl Serialize) -> Result<()> {
    let text = serde_json::to_string(value)
        .map_err(|e| Error::new(ErrorKind::Refused, "the result has no JSON form").because(e))?;
    print(&in_json(&text))
}

/// Prints how a job ended; `None` is one that goes on elsewhere.
fn report(finished: Option<FinishedJob>, json: bool) -> Result<ExitCode> {
    let Some(finished) = finished else { return Ok(ExitCode::SUCCESS) };
    let report = finished.result.map_err(Error::from)?;
    let problem = report.problem();
    if json {
        match &report {
            JobReport::Backup(report) => print_json(report)?,
            JobReport::Skipped { .. } => print_json(&report)?,
            JobReport::Restore(report) => print_json(report)?,
            JobReport::Verify(report) => print_json(report)?,
            JobReport::Repair(report) => print_json(report)?,
            JobReport::TestRestore(proof) => print_json(proof)?,
            JobReport::VerifyRecords(report) => print_json(report)?,
            JobReport::Compact(report) => print_json(report)?,
            JobReport::Recover(report) => print_json(report)?,
            JobReport::TakeBack(report) => print_json(report)?,
            JobReport::Sample { path, bytes } => print_json(&serde_json::json!({ "path": path, "bytes": bytes }))?,
        }
    } else {
        print(&words::in_words(&report, finished.duration_ms))?;
    }
    if let JobReport::Restore(report) = &report {
        report.remarks.iter().for_each(|note| remark(note));
    }
    match problem {
        Some(problem) => Err(problem),
        None => Ok(ExitCode::SUCCESS),
    }
}

fn random_seed() -> u64 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(1, |d| d.as_nanos() as u64)
}

fn sample_client(data_file: &Path, rate: f64, commits: Option<u64>, attached: bool) -> Result<ExitCode> {
    let control = Arc::new(Control::default());
    let (on_signal, on_close) = (Arc::clone(&control), Arc::clone(&control));
    let _ = ctrlc::set_handler(move || on_signal.stop());
    if attached {
        // Whoever started the client ends it by closing this end; a crash of theirs closes it too.
        std::thread::spawn(move || {
            let mut lines = io::stdin().lock().lines();
            while let Some(Ok(_)) = lines.next() {}
            on_close.stop();
        });
    }
    let options = sample::client::ClientOptions { commits_per_second: rate, commits_max: commits, seed: random_seed() };
    let report = sample::client::run(data_file, &options, &control, &mut |_| {})?;
    print(&format!("{} commits", report.commits))?;
    Ok(ExitCode::SUCCESS)
}
