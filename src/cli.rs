//! The command line: the same engine as the window, for scripts and for machines without a display.
//!
//! Results go to standard output, as text or with `--json` as one object (one per line for lists); failures go to standard
//! error with their hint. Exit code 0 is success, 1 a failure, 2 wrong usage.

mod serve;
mod settings;
mod storing;
mod words;

use std::{
    io::{self, BufRead, IsTerminal, Write},
    path::{Path, PathBuf},
    process::ExitCode,
    sync::Arc,
    time::Duration,
};

use clap::{Parser, Subcommand};
use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;

use crate::{
    archive::catalog::{self, ArchiveEntry},
    backup,
    control::{Clock, Control, Phase},
    engine::{
        Command, Config, Engine, Event, Handle, HostKind, JobId,
        inspect::inspect,
        status::{DataFileStatus, FinishedJob, JobReport},
    },
    error::{Error, ErrorKind, ErrorReport, Result},
    journal::integrate::Until,
    restore::{self, Logs},
    sample,
    settings::SettingsFile,
    storage::space::human_bytes,
};

/// Keeps SQLite data files safe: full backups into numbered archives while applications keep writing, and restore.
#[derive(Debug, Parser)]
#[command(name = "strongroom", version, args_conflicts_with_subcommands = true)]
pub struct Arguments {
    /// The data file to open in the window.
    #[arg(value_name = "DATAFILE")]
    data_file: Option<PathBuf>,

    #[command(subcommand)]
    job: Option<Job>,
}

#[derive(Debug, Subcommand)]
enum Job {
    /// Make a full backup of a data file while its applications keep writing.
    Backup {
        /// The SQLite data file.
        data_file: PathBuf,
        /// Folder for this archive; otherwise the one in the settings, or `Backups` beside the data file.
        #[arg(long, value_name = "DIR")]
        to: Option<PathBuf>,
        #[command(flatten)]
        storing: storing::Storing,
        /// Print the result as one JSON object.
        #[arg(long)]
        json: bool,
    },
    /// Say how well a data file is protected: its backups, its log, who has it open. Works beside a running window or service.
    Status {
        /// The SQLite data file.
        data_file: PathBuf,
        /// Print the result as one JSON object.
        #[arg(long)]
        json: bool,
    },
    /// List the archives of a data file, or all archives in a folder.
    List {
        /// The data file (it may be lost), or a folder.
        #[arg(value_name = "DATAFILE|DIR")]
        place: PathBuf,
        /// Print one JSON object per archive and line.
        #[arg(long)]
        json: bool,
    },
    /// Check every byte of an archive.
    Verify {
        /// The archive.
        archive: PathBuf,
        /// A folder that holds segments of it, besides its own; may be given several times.
        #[arg(long, value_name = "DIR")]
        segments: Vec<PathBuf>,
        /// Also restore it with its logs to a scratch folder, check it with SQLite, and remember that it could be done.
        #[arg(long)]
        test_restore: bool,
        /// Print the result as one JSON object.
        #[arg(long)]
        json: bool,
    },
    /// Write a sound copy of a damaged archive, from its recovery data.
    Repair {
        /// The archive.
        archive: PathBuf,
        /// The new file, or a folder for it; otherwise a new name beside the archive.
        #[arg(long, value_name = "FILE")]
        to: Option<PathBuf>,
        /// A folder that holds segments of it, besides its own; may be given several times.
        #[arg(long, value_name = "DIR")]
        segments: Vec<PathBuf>,
        /// Print the result as one JSON object.
        #[arg(long)]
        json: bool,
    },
    /// Restore a random archive of a data file up to a random commit to a scratch folder, and check it.
    Drill {
        /// The SQLite data file.
        data_file: PathBuf,
        /// Print the result as one JSON object.
        #[arg(long)]
        json: bool,
    },
    /// Restore the files of an archive into a folder, without overwriting anything; or a live data file in place.
    Restore {
        /// The archive.
        archive: PathBuf,
        /// Folder that the files land in; otherwise a new one named like the archive, beside it.
        #[arg(long, value_name = "DIR")]
        to: Option<PathBuf>,
        /// Integrate the logs only up to this moment, in local time: `2026-11-22 12:00:00`, or with an offset.
        #[arg(long, value_name = "MOMENT", conflicts_with = "commit")]
        until: Option<String>,
        /// Integrate the logs only up to this commit, included.
        #[arg(long, value_name = "NUMBER")]
        commit: Option<u64>,
        /// Restore the archive alone, without its logs.
        #[arg(long, conflicts_with_all = ["until", "commit", "logs"])]
        no_log: bool,
        /// A log that does not lie beside the archive; may be given several times.
        #[arg(long = "log", value_name = "FILE")]
        logs: Vec<PathBuf>,
        /// Bring this live data file to that state, as one transaction, while programs are connected. Can be undone.
        #[arg(long, value_name = "DATAFILE", conflicts_with_all = ["to", "items"])]
        in_place: Option<PathBuf>,
        /// Restore only this file of the archive; may be given several times.
        #[arg(long = "item", value_name = "NAME")]
        items: Vec<String>,
        /// A folder that holds segments of the archive, besides its own; may be given several times.
        #[arg(long, value_name = "DIR")]
        segments: Vec<PathBuf>,
        /// Print the result as one JSON object.
        #[arg(long)]
        json: bool,
    },
    /// Look after data files without a window, until Ctrl-C or SIGTERM: keep their logs, make the backups that are due.
    Serve {
        /// The SQLite data files, in WAL mode when a log is kept.
        #[arg(required = true)]
        data_files: Vec<PathBuf>,
        /// The log file, for one data file; otherwise the one in the settings, or NAME.journal in the folder for archives.
        #[arg(long, value_name = "FILE")]
        log: Option<PathBuf>,
        /// Keep no log, and only make the backups that are due.
        #[arg(long, conflicts_with = "log")]
        no_log: bool,
        /// Switch data files in another journal mode to WAL first: a lasting change of the file, for all its programs.
        #[arg(long)]
        switch_to_wal: bool,
    },
    /// Show the settings of a data file, or change them: `keep.last=5`, `content.attachments+=/srv/files`.
    Settings {
        /// The SQLite data file.
        data_file: PathBuf,
        /// A setting to show, or to change with `=`, `+=` (add to a list) or `-=` (take from it); none for all.
        #[arg(value_name = "KEY[=VALUE]")]
        settings: Vec<String>,
        /// Set this key back to its default; may be given several times.
        #[arg(long = "default", value_name = "KEY")]
        defaults: Vec<String>,
        /// Print the result as one JSON object.
        #[arg(long)]
        json: bool,
    },
    /// Create the sample data file OMB_Edelweiss.sqlite in a folder.
    Sample {
        /// The folder; made when missing.
        folder: PathBuf,
        /// Print the result as one JSON object.
        #[arg(long)]
        json: bool,
    },
    /// Edit the sample a few times a second until Ctrl-C is pressed.
    SampleClient {
        /// The sample data file.
        data_file: PathBuf,
        /// Commits per second.
        #[arg(long, default_value_t = 4.0)]
        rate: f64,
        /// End after this many commits.
        #[arg(long)]
        commits: Option<u64>,
        /// End also when standard input closes: for whoever starts the client as its own process.
        #[arg(long, hide = true)]
        attached: bool,
    },
}

/// Runs the program with the arguments of the process.
pub fn main() -> ExitCode {
    // Messages for whoever looks for the cause of a defect; STRONGROOM_LOG=debug shows more.
    let filter = tracing_subscriber::EnvFilter::try_from_env("STRONGROOM_LOG");
    tracing_subscriber::fmt()
        .with_env_filter(filter.unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("error")))
        .with_writer(io::stderr)
        .init();
    let arguments = Arguments::parse();
    let code = match run(arguments) {
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
    let _ = writeln!(out, "strongroom: {}", error.message);
    if let Some(hint) = &error.hint {
        let _ = writeln!(out, "  {hint}");
    }
}

fn run(arguments: Arguments) -> Result<ExitCode> {
    let Some(job) = arguments.job else { return window(arguments.data_file) };
    match job {
        Job::Backup { data_file, to, storing, json } => {
            let engine = engine()?;
            let path = open(&engine.handle(), data_file)?;
            let id = JobId::new();
            let options = storing.options();
            let command = Command::Backup { job: id, data_file: path, destination: to, options };
            report(perform(&engine.handle(), id, command)?, json)
        }
        Job::Status { data_file, json } => {
            let folders = directories()?;
            let found = inspect(&data_file, folders.config_dir(), folders.data_dir())?;
            if json {
                print_json(&found)?
            } else {
                print(&words::inspection(&found))?
            }
            Ok(ExitCode::SUCCESS)
        }
        Job::List { place, json } => list(&place, json),
        Job::Verify { archive, segments, test_restore, json } => {
            let id = JobId::new();
            let engine = engine()?;
            let command = Command::Verify { job: id, archive: archive.clone(), segments };
            let code = report(perform(&engine.handle(), id, command)?, json)?;
            if !test_restore {
                return Ok(code);
            }
            let id = JobId::new();
            report(perform(&engine.handle(), id, Command::TestRestore { job: id, archive, until: Until::End })?, json)
        }
        Job::Repair { archive, to, segments, json } => {
            let id = JobId::new();
            report(perform(&engine()?.handle(), id, Command::Repair { job: id, archive, to, segments })?, json)
        }
        Job::Drill { data_file, json } => {
            let engine = engine()?;
            let data_file = open(&engine.handle(), data_file)?;
            let id = JobId::new();
            report(perform(&engine.handle(), id, Command::Drill { job: id, data_file, seed: random_seed() })?, json)
        }
        Job::Serve { data_files, log, no_log, switch_to_wal } => serve(&data_files, log, no_log, switch_to_wal),
        Job::Restore { archive, to, until, commit, no_log, logs, in_place, items, segments, json } => {
            let until = match (until, commit) {
                (Some(moment), _) => Until::Moment(restore::parse_moment(&moment)?),
                (None, Some(number)) => Until::Commit(number),
                (None, None) => Until::End,
            };
            let logs = match (no_log, logs) {
                (true, _) => Logs::None,
                (false, logs) if logs.is_empty() => Logs::Found,
                (false, logs) => Logs::Also(logs),
            };
            let id = JobId::new();
            let engine = engine()?;
            let command = match in_place {
                None => {
                    let destination = to.unwrap_or_else(|| restore::propose_destination(&archive));
                    Command::Restore { job: id, archive, items, destination, logs, until, segments }
                }
                Some(data_file) => {
                    let data_file = open_if_possible(&engine.handle(), data_file)?;
                    Command::RestoreInPlace { job: id, data_file, archive, logs, until }
                }
            };
            report(perform(&engine.handle(), id, command)?, json)
        }
        Job::Settings { data_file, settings, defaults, json } => {
            settings::run(&data_file, &settings, &defaults, json)?;
            Ok(ExitCode::SUCCESS)
        }
        Job::Sample { folder, json } => {
            let id = JobId::new();
            report(perform(&engine()?.handle(), id, Command::CreateSample { job: id, folder })?, json)
        }
        Job::SampleClient { data_file, rate, commits, attached } => sample_client(&data_file, rate, commits, attached),
    }
}

#[cfg(feature = "gui")]
fn window(data_file: Option<PathBuf>) -> Result<ExitCode> {
    let engine = host()?;
    let documents = directories::UserDirs::new();
    let folder = documents.as_ref().map_or_else(
        || PathBuf::from("."),
        |d| d.document_dir().unwrap_or_else(|| d.home_dir()).join("Strongroom sample"),
    );
    crate::ui::run(engine.handle(), data_file, folder)?;
    Ok(ExitCode::SUCCESS)
}

#[cfg(not(feature = "gui"))]
fn window(_: Option<PathBuf>) -> Result<ExitCode> {
    Err(Error::new(ErrorKind::Refused, "this program was built without its window")
        .hint("Use one of its commands (strongroom --help), or build it with the feature gui."))
}

fn directories() -> Result<directories::ProjectDirs> {
    directories::ProjectDirs::from("", "", "Strongroom").ok_or_else(|| {
        Error::new(ErrorKind::NotFound, "the home folder of this user is not known")
            .hint("Set the environment variable HOME to a folder that this user may write.")
    })
}

/// An engine for one job, which does nothing by itself.
fn engine() -> Result<Engine> {
    start_engine(HostKind::Command)
}

/// An engine that stays, and does what is due.
fn host() -> Result<Engine> {
    start_engine(HostKind::Service)
}

fn start_engine(host: HostKind) -> Result<Engine> {
    let folders = directories()?;
    Engine::start(Config {
        data_dir: folders.data_dir().to_path_buf(),
        settings_dir: folders.config_dir().to_path_buf(),
        program: std::env::current_exe().ok(),
        host,
        address: None,
        list: None,
        clock: Clock::default(),
    })
}

/// Opens the data file in the engine; returns its canonical path.
fn open(engine: &Handle, path: PathBuf) -> Result<PathBuf> {
    let events = engine.events();
    engine.send(Command::OpenDataFile { path: path.clone() })?;
    loop {
        let status = engine.status();
        if let Some(refused) = status.refused.iter().find(|r| r.path == path) {
            return Err(Error::from(refused.error.clone()));
        }
        let opened = path.canonicalize().ok().and_then(|p| status.data_file(&p).cloned());
        if let Some(opened) = opened.filter(|d| !d.log_starting) {
            return Ok(opened.facts.path);
        }
        let _ = events.recv_timeout(Duration::from_millis(50));
    }
}

/// Opens the data file in the engine, with its log; one that can not be opened is what a restore in place may replace.
fn open_if_possible(engine: &Handle, path: PathBuf) -> Result<PathBuf> {
    match open(engine, path.clone()) {
        Err(e) if !restore::in_place::is_lost(e.kind()) => Err(e),
        Err(_) => std::path::absolute(&path).map_err(|e| Error::io("find", &path, e)),
        opened => opened,
    }
}

/// Gives a command and waits for its job, with a progress bar on a terminal. Ctrl-C stops the job.
fn perform(engine: &Handle, id: JobId, command: Command) -> Result<FinishedJob> {
    let events = engine.events();
    let stopper = engine.clone();
    // Only the first handler can be set; there is one job per process.
    let _ = ctrlc::set_handler(move || {
        let _ = stopper.send(Command::Stop { job: id });
    });
    engine.send(command)?;
    let bar = if io::stderr().is_terminal() { ProgressBar::new(0) } else { ProgressBar::hidden() };
    loop {
        let status = engine.status();
        if let Some(finished) = status.finished_job(id) {
            bar.finish_and_clear();
            return Ok(finished.clone());
        }
        if let Some(job) = status.job(id) {
            show(&bar, job.progress.phase, job.progress.done, job.progress.total);
        }
        let _ = events.recv_timeout(Duration::from_millis(100));
    }
}

fn show(bar: &ProgressBar, phase: Phase, done: u64, total: u64) {
    let template = match phase {
        Phase::Creating => "{msg:<20} {wide_bar} {pos}/{len}",
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

fn print(line: &str) -> Result<()> {
    match writeln!(io::stdout().lock(), "{line}") {
        // A reader such as `head` that has seen enough.
        Err(e) if e.kind() != io::ErrorKind::BrokenPipe => Err(Error::io("write to", Path::new("standard output"), e)),
        _ => Ok(()),
    }
}

fn print_json(value: &impl Serialize) -> Result<()> {
    let text = serde_json::to_string(value)
        .map_err(|e| Error::new(ErrorKind::Refused, "the result has no JSON form").because(e))?;
    print(&text)
}

fn report(finished: FinishedJob, json: bool) -> Result<ExitCode> {
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
            JobReport::Sample { path, bytes } => print_json(&serde_json::json!({ "path": path, "bytes": bytes }))?,
        }
    } else {
        print(&words::in_words(&report, finished.duration_ms))?;
    }
    match problem {
        Some(problem) => Err(problem),
        None => Ok(ExitCode::SUCCESS),
    }
}

fn list(place: &Path, json: bool) -> Result<ExitCode> {
    let entries = if place.is_dir() {
        catalog::list(place, None)?
    } else {
        // The data file itself may be lost: its archives are what is wanted then.
        let path =
            place.canonicalize().or_else(|_| std::path::absolute(place)).map_err(|e| Error::io("find", place, e))?;
        let settings = SettingsFile::load(&path, directories()?.config_dir())?;
        let folder = backup::destination(&path, &settings);
        if !path.exists() && !folder.exists() {
            return Err(Error::new(
                ErrorKind::NotFound,
                format!(
                    "{} does not exist, and neither does its folder for archives {}",
                    path.display(),
                    folder.display()
                ),
            )
            .hint("Check the path, or give the folder that holds the archives."));
        }
        backup::archives(&path, settings.settings())?
    };
    for entry in &entries {
        if json { print_json(entry)? } else { print(&line(entry))? }
    }
    if entries.is_empty() && !json {
        print("No archives.")?;
    }
    Ok(ExitCode::SUCCESS)
}

fn line(entry: &ArchiveEntry) -> String {
    let moment = entry.moment.map_or_else(|| "-".to_owned(), |m| m.format("%Y-%m-%d %H:%M:%S %:z").to_string());
    let problem = entry.problem.as_ref().map_or_else(String::new, |p| format!("  DAMAGED: {}", p.message));
    format!("{}  {moment:<26}  {:>10}  {}{problem}", entry.number, human_bytes(entry.bytes), entry.path.display())
}

/// Hosts the engine for the logs of these data files until a signal comes.
fn serve(data_files: &[PathBuf], log: Option<PathBuf>, no_log: bool, switch_to_wal: bool) -> Result<ExitCode> {
    if log.is_some() && data_files.len() > 1 {
        return Err(Error::new(ErrorKind::Refused, "one log can not hold several data files")
            .hint("Give --log with one data file only."));
    }
    let (stop_in, stop) = crossbeam_channel::bounded(1);
    let _ = ctrlc::set_handler(move || {
        let _ = stop_in.try_send(());
    });
    let engine = host()?;
    let handle = engine.handle();
    let events = handle.events();
    for data_file in data_files {
        let path = open(&handle, data_file.clone())?;
        if no_log {
            print(&format!("{} is looked after", path.display()))?;
            continue;
        }
        let status = handle.status();
        let Some(known) = status.data_file(&path) else { continue };
        let file_name = format!("{}.journal", catalog::stem(&path));
        let chosen =
            log.clone().or_else(|| known.log_file.clone()).unwrap_or_else(|| known.destination.join(file_name));
        let chosen = std::path::absolute(&chosen).map_err(|e| Error::io("find", &chosen, e))?;
        handle.send(Command::UseLog { data_file: path.clone(), log: Some(chosen.clone()), switch_to_wal })?;
        let runs = |known: &DataFileStatus| known.log.is_some() && known.log_file.as_ref() == Some(&chosen);
        while !handle.status().data_file(&path).is_some_and(runs) {
            if stop.try_recv().is_ok() {
                return Ok(ExitCode::SUCCESS);
            }
            match events.recv_timeout(Duration::from_millis(50)) {
                Ok(Event::CommandRefused(error)) => return Err(Error::from(error.clone())),
                Ok(Event::LogRefused { data_file, error }) if data_file == path => {
                    return Err(Error::from(error.clone()));
                }
                _ => {}
            }
        }
        print(&format!("{} is logged in {}", path.display(), chosen.display()))?;
    }
    // Dropping the engine ends the logs cleanly, everything synced.
    serve::report_until(&handle, &events, &stop)?;
    Ok(ExitCode::SUCCESS)
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
