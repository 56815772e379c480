//! The program that the settings name, run after each job with the result as JSON on its standard input.
//!
//! It holds up nothing: it runs on a thread of its own, for a minute at most, and what it prints is read and forgotten
//! beyond a limit. When it fails, that is a line in the Backup journal and a warning, and nothing else.
//!
//! The settings lie beside the data file, where others may be able to write. So a program is run only where nobody but
//! this user and the superuser could have named it, which is asked of the very file that was read, and of every folder
//! above it.

use std::{
    io::{Read, Write},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use chrono::{DateTime, Local};
use serde::Serialize;

use super::{
    command::JobId,
    history::{HistoryEntry, Job, JobKind, Outcome},
    message::Message,
    worker::Worker,
};
use crate::{
    error::{Error, ErrorKind, Result},
    settings::SettingsFile,
    warning::Warning,
};

/// So long a program may take.
const TIME_MAX: Duration = Duration::from_secs(60);
/// So long, once the engine wants to end.
const TIME_AT_END: Duration = Duration::from_secs(10);
/// So much of what it prints is kept for the message.
const OUTPUT_MAX: u64 = 64 << 10;
/// So much of its last line is shown, in characters.
const SAID_MAX: usize = 200;
/// So many run at once; a job that ends while all are busy is not told.
const AT_ONCE_MAX: usize = 8;

/// What the program is told.
#[derive(Debug, Serialize)]
struct Notice<'a> {
    program: &'a str,
    #[serde(flatten)]
    entry: &'a HistoryEntry,
    /// Everything that needs attention now.
    warnings: &'a [Warning],
    /// Whether something of that is urgent.
    urgent: bool,
    next_backup: Option<DateTime<Local>>,
}

impl Worker {
    /// Tells the program that the settings name, if they do, how a job ended.
    pub(super) fn notify(&mut self, entry: &HistoryEntry) {
        let Some(data_file) = entry.data_file.clone() else { return };
        self.update_warnings();
        let Some(hosted) = self.data_files.at(&data_file) else { return };
        let command = hosted.settings.settings().on_finish.clone();
        if command.is_empty() {
            return;
        }
        let status = self.data_files.status(&data_file);
        let notice = Notice {
            program: &self.status.program,
            entry,
            warnings: status.map_or(&[], |status| &status.warnings),
            urgent: status.is_some_and(|status| status.warnings.iter().any(|warning| warning.kind.is_urgent())),
            next_backup: status.and_then(|status| status.next_backup),
        };
        let (settings, text) = (hosted.settings.clone(), serde_json::to_string(&notice).unwrap_or_default());
        if self.notices >= AT_ONCE_MAX {
            let message = format!("{} of these programs are running still, so it was not run", self.notices);
            let error = Error::new(ErrorKind::Busy, message).hint("See why they take so long.");
            return self.notified(&data_file, Err(error));
        }
        self.notices += 1;
        let hurry = Arc::clone(&self.hurry);
        self.beside("on finish", move || {
            let result = run(&command, &settings, &text, &hurry);
            Message::Notified { data_file, result }
        });
    }

    /// The program has ended.
    pub(super) fn notified(&mut self, data_file: &Path, result: Result<()>) {
        let now = self.now();
        let command =
            self.data_files.at(data_file).map(|h| h.settings.settings().on_finish.clone()).unwrap_or_default();
        let error = result.err().map(|error| error.report());
        let before = self.data_files.status(data_file).and_then(|status| status.on_finish_problem.clone());
        if before != error
            && let Some(status) = self.edit_data_file(data_file)
        {
            status.on_finish_problem = error.clone();
        }
        if error.is_some() {
            self.record(&HistoryEntry {
                job: Job {
                    id: JobId::new(),
                    kind: JobKind::OnFinish,
                    data_file: Some(data_file.to_path_buf()),
                    started: now,
                    automatic: true,
                },
                number: None,
                duration_ms: None,
                outcome: Outcome::Failed,
                path: command.first().map(PathBuf::from),
                bytes: None,
                error,
                note: None,
            });
        }
    }
}

fn run(command: &[String], settings: &SettingsFile, text: &str, hurry: &AtomicBool) -> Result<()> {
    let Some((program, arguments)) = command.split_first() else { return Ok(()) };
    settings.require_own_word()?;
    let mut process = Command::new(program);
    process.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    process.current_dir(crate::storage::folder_of(settings.path()));
    // With all that it starts it can be ended at once.
    #[cfg(unix)]
    std::os::unix::process::CommandExt::process_group(&mut process, 0);
    let failed = |what: String, said: &str| {
        let line = |line: &str| line.chars().filter(|c| !c.is_control()).take(SAID_MAX).collect::<String>();
        let said = said.lines().rev().map(line).find(|line| !line.trim().is_empty());
        let said = said.map_or_else(String::new, |line| format!(": {}", line.trim()));
        let message = format!("the program {program}, to be run after each job, {what}{said}");
        Error::new(ErrorKind::Io, message).hint("See the setting on-finish, and try the program by hand.")
    };
    let mut child = process.spawn().map_err(|e| failed(format!("cannot be started ({e})"), ""))?;
    if let Some(mut input) = child.stdin.take() {
        let text = text.to_owned();
        // One that does not read its input must not hold us up.
        let _ = thread::Builder::new().name("on finish".into()).spawn(move || _ = input.write_all(text.as_bytes()));
    }
    let output = [child.stdout.take().map(collect), child.stderr.take().map(collect)];
    let ended = wait(&mut child, hurry);
    // Both ends are closed when the program and all that it started have ended; others are not waited for.
    let said = || {
        let read =
            output.iter().flatten().filter_map(|out| out.as_ref().ok()?.recv_timeout(Duration::from_secs(1)).ok());
        String::from_utf8_lossy(&read.flatten().collect::<Vec<u8>>()).into_owned()
    };
    match ended {
        Some(status) if status.success() => Ok(()),
        Some(status) => Err(failed(format!("ended with {status}"), &said())),
        None => Err(failed("took too long and was ended".to_owned(), &said())),
    }
}

type Output = std::io::Result<crossbeam_channel::Receiver<Vec<u8>>>;

/// Reads all that is printed, and keeps the beginning.
fn collect(mut from: impl Read + Send + 'static) -> Output {
    let (sender, receiver) = crossbeam_channel::bounded(1);
    thread::Builder::new().name("on finish".into()).spawn(move || {
        let mut kept = Vec::new();
        let _ = (&mut from).take(OUTPUT_MAX).read_to_end(&mut kept);
        let _ = sender.send(kept);
        let _ = std::io::copy(&mut from, &mut std::io::sink());
    })?;
    Ok(receiver)
}

/// Waits for its end; `None` when it had to be ended.
fn wait(child: &mut Child, hurry: &AtomicBool) -> Option<ExitStatus> {
    let begun = Instant::now();
    let mut hurried: Option<Instant> = None;
    loop {
        if let Ok(Some(status)) = child.try_wait() {
            return Some(status);
        }
        if hurry.load(Ordering::Relaxed) {
            hurried.get_or_insert_with(Instant::now);
        }
        if begun.elapsed() >= TIME_MAX || hurried.is_some_and(|since| since.elapsed() >= TIME_AT_END) {
            end(child);
            return None;
        }
        thread::sleep(Duration::from_millis(20));
    }
}

/// Ends the program with everything that it started.
fn end(child: &mut Child) {
    #[cfg(unix)]
    if let Some(group) = i32::try_from(child.id()).ok().and_then(rustix::process::Pid::from_raw) {
        let _ = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
    }
    let _ = child.kill();
    let _ = child.wait();
}
