//! What an administrator must not miss: the state of a data file as one list, the urgent first.

mod archives;

use std::path::Path;

use chrono::{DateTime, FixedOffset, Local, Utc};

use super::causes::{self, of_error, shown};
use crate::{
    backup::soundness,
    engine::{history::Watched, status::DataFileStatus},
    error::ErrorReport,
    journal::{CaptureState, inspect::LogFacts, jumps::NOTICED},
    settings::{sections::Frequency, unknown},
    sqlite::seen::ContentCheck,
    storage::processes::{Holders, Process},
    warning::{Warning, WarningKind},
};
use archives::{of_archives, of_gone, of_unlisted};

/// All that is to be said of a data file with this status.
pub(in crate::engine) fn warnings(status: &DataFileStatus, now: &DateTime<Local>) -> Vec<Warning> {
    let mut found = Vec::new();
    let (keep, own) = (&status.settings.keep, status.settings.data_file_id);
    let mut of_content = soundness::warnings((&status.archives, &status.damaged), &status.sets, own, keep);
    let mut of_backups = causes::of_backups(status, now);
    // What a backup said of the copy that it was made of is said of the copy.
    of_backups.retain(|told| !told.is_of_copy(&status.shared));
    // What is the cause takes what follows from it.
    found.extend(causes::of_data_file(status, &mut of_backups, &mut of_content));
    found.extend(causes::of_place(status, &mut of_backups));
    causes::of_damaged_content(status, &mut of_backups, &of_content);
    found.extend(causes::of_failures(of_backups));
    causes::of_partial(status, &mut found);
    found.append(&mut of_content);
    found.extend(
        status.other_name.iter().chain(&status.moved_name).map(|error| of_error(WarningKind::OtherName, error)),
    );
    found.extend(status.unwritable.iter().map(|error| of_error(WarningKind::NotWritable, error)));
    found.extend(status.shared.iter().map(|shared| of_error(WarningKind::SharedSettings, &shared.error().report())));
    found.extend(status.log_root_problem.iter().map(|error| of_error(WarningKind::LogBroken, error)));
    found.extend(of_waiting(status));
    found.extend(of_stalled(status));
    found.extend(of_unprotected(status));
    found.extend(status.notices.iter().cloned());
    found.extend(of_archives(status));
    found.extend(of_unlisted(status));
    let gone = of_gone(status);
    if gone.is_some() {
        found.extend(gone);
    } else if status.newest_good().is_none() && status.plan.is_some() {
        found.push(Warning::new(
            WarningKind::NoBackup,
            match status.archives.iter().any(|a| a.problem.as_ref().is_some_and(ErrorReport::says_nothing)) {
                true => format!("there is no full backup of {} that can be read", status.facts.path.display()),
                false => format!("there is no full backup of {} yet", status.facts.path.display()),
            },
            "Make a full backup: without one nothing can be restored.",
        ));
    }
    found.extend(of_log(status).filter(|_| !causes::is_log_of_lost(status) && !status.is_copy()));
    found.extend(of_strays(status));
    found.extend(of_unfinished(status));
    let in_log = status.log.as_ref().map(|log| (log.last_commit, log.ahead)).unwrap_or_default();
    found.extend(of_clock(in_log, status.newest_good(), now));
    // Of settings of an archive nobody who begins anew knows whether they are the last ones.
    let of_settings = if status.settings_from.is_some() { WarningKind::SettingsGone } else { WarningKind::Settings };
    found.extend(status.settings_problem.as_ref().map(|error| of_error(of_settings, error)));
    let of_unknown = |name: &String| unknown::warning(&status.settings_file, name);
    found.extend(status.settings_unknown.iter().map(of_unknown));
    found.extend(status.on_finish_problem.as_ref().map(|error| of_error(WarningKind::OnFinish, error)));
    let places = status.archives_place.iter().chain(&status.log_place);
    // That one of them is missing is said above, as it is now.
    let of_places = places.flat_map(|place| &place.warnings).filter(|w| w.kind != WarningKind::PlaceMissing);
    found.extend(of_places.cloned());
    in_order(&mut found);
    found
}

/// The urgent first, each once.
pub(in crate::engine) fn in_order(found: &mut Vec<Warning>) {
    found.sort_by(|a, b| (!a.kind.is_urgent(), a).cmp(&(!b.kind.is_urgent(), b)));
    found.dedup();
}

/// Programs that were not told that the file was replaced.
fn of_strays(status: &DataFileStatus) -> Option<Warning> {
    if status.strays.is_empty() {
        return None;
    }
    let who = Holders { processes: status.strays.clone(), may_be_more: false }.in_words();
    Some(Warning::new(
        WarningKind::StrayProgram,
        format!("{who} works on another file than {}, or without its -wal and -shm files", status.facts.path.display()),
        "What it commits is in no file that anybody else finds here, and can be lost when it ends. Have it save its \
         data elsewhere if it can, then end it and begin it again; a container must be given the folder, not the \
         file alone, and a program that uses no locks, or another kind of them, those of SQLite.",
    ))
}

/// What is to be said of such programs, `who`, once they have ended: the file has what they committed only if they
/// wrote it there, and our own locks may have kept them from that.
pub(in crate::engine) fn of_ended_strays(data_file: &Path, who: &str) -> Warning {
    let path = data_file.display();
    Warning::new(
        WarningKind::StrayProgram,
        format!("{who}, which worked on another file than {path} or without its -wal and -shm files, has ended"),
        "What it committed may be in a WAL that is not found here, as in a container that was given the file alone: no \
         backup has it then. Look whether the application sees its last records by the name of the data file here; if \
         not, end this service, begin and end the application once as it ran, and give it the folder.",
    )
}

/// A service that looks after a data file must not be taken for its protection where it has nothing to do.
fn of_unprotected(status: &DataFileStatus) -> Option<Warning> {
    let is_idle = status.log_file.is_none() && status.settings.scheduler.frequency == Frequency::Never;
    if !status.host.kind.goes_on() || !is_idle {
        return None;
    }
    let (host, path) = (status.host.kind.label(), status.facts.path.display());
    let message = format!("{host} does nothing for {path} by itself: no log is kept, and no full backup is scheduled");
    let hint = "Choose a log, a schedule, or both: in the window, or with strongroom settings DATAFILE \
        scheduler.frequency='every day'. Until then only what somebody backs up can be restored.";
    Some(Warning::new(WarningKind::Unprotected, message, hint))
}

/// What is to be said where the Backup journal cannot be kept or read: `problem` is why.
pub fn of_history(problem: &ErrorReport) -> Warning {
    let hint = problem.hint.as_ref().map_or_else(String::new, |hint| format!("{hint} "));
    Warning::new(
        WarningKind::HistoryNotKept,
        format!("the Backup journal is not in order: {}", problem.message),
        format!("{hint}Jobs are done all the same, but what came of them may not be noted."),
    )
}

/// A transaction that nobody has undone yet, as after a crash, or one whose lock SQLite does not see.
fn of_unfinished(status: &DataFileStatus) -> Option<Warning> {
    if !status.facts.unfinished {
        return None;
    }
    let holders = &status.holders;
    let (who, hint) = if holders.processes.is_empty() && holders.may_be_more {
        (
            "; whether a program has it open cannot be seen".to_owned(),
            "The application undoes what a crash has left when it begins. A full backup waits for that, because \
             nobody here can tell whether the transaction is still under way. Nothing was undone to look at it.",
        )
    } else if holders.processes.is_empty() {
        (
            ", as after a crash; no program is seen that has it open".to_owned(),
            "The application undoes it when it opens the file, and so does the next full backup. Nothing was undone \
             to look at it.",
        )
    } else {
        (
            format!("; {} has it open, and no lock of a writer is seen", holders.in_words()),
            "If that program uses locks of another kind (vfs=unix-dotfile, unix-none, nolock=1), make backups while \
             it does not run: nobody else can tell whether its transaction is under way. Nothing was undone to look \
             at it.",
        )
    };
    let path = status.facts.path.display();
    let message = format!("{path} holds a transaction that was begun and not ended{who}");
    Some(Warning::new(WarningKind::UnfinishedTransaction, message, hint))
}

/// The clock shows less than commits or archives already bear: until it gets there, moments are shown a second time. Of
/// the log, the time of the last commit is given, and the latest one where the clock ran back before it.
pub(in crate::engine) fn of_clock(
    (last_commit, latest): (Option<DateTime<Utc>>, Option<DateTime<Utc>>),
    newest: Option<DateTime<FixedOffset>>,
    now: &DateTime<Local>,
) -> Option<Warning> {
    let newest = newest.map(|moment| moment.to_utc());
    let ahead = last_commit.max(latest).max(newest).filter(|moment| *moment - now.to_utc() > NOTICED)?;
    let what = match Some(ahead) {
        at if at == last_commit => "the last commit in the log",
        at if at == latest => "a commit in the log",
        _ => "the newest archive",
    };
    let full = |moment: DateTime<Local>| moment.format("%Y-%m-%d %H:%M:%S %:z").to_string();
    let (ahead, now) = (full(ahead.with_timezone(&Local)), full(*now));
    Some(Warning::new(
        WarningKind::Clock,
        format!("the clock shows {now}, but {what} bears the time {ahead}: the clock was ahead, or is behind"),
        "If the clock is wrong, set it right. Commits that were made while it was ahead bear times to come, and \
         moments until then come twice: restore up to a commit, by its number, not up to a moment.",
    ))
}

/// Programs that do not get on because the log has the data file open.
fn of_waiting(status: &DataFileStatus) -> Option<Warning> {
    let waiting = Holders { processes: status.waiting.clone(), may_be_more: false };
    (!waiting.processes.is_empty()).then(|| {
        let path = status.facts.path.display();
        Warning::new(
            WarningKind::ProgramWaits,
            format!("{} waited to have {path} for itself, and the log was in its way", waiting.in_words()),
            "A program that sets locking_mode=EXCLUSIVE cannot run beside the log, which is released for it. Have it \
             use the normal locking mode; or stop the log, and make full backups while the program does not run.",
        )
    })
}

/// A job that does not go on: nothing else tells that it will not end.
fn of_stalled(status: &DataFileStatus) -> Option<Warning> {
    let stalled = status.stalled.as_ref()?;
    let (job, phase, path) = (stalled.kind.label(), stalled.phase.label(), status.facts.path.display());
    Some(Warning::new(
        WarningKind::JobStalled,
        format!("{job} of {path} has not gone on since {}, at: {phase}", shown(&stalled.since)),
        "It waits for a disk that does not answer, or for a very slow one: look at the disks of the data file, of the \
         archives and of the log. It goes on when they answer. Until it has ended, nothing of it counts.",
    ))
}

/// By whom and until when a data file was looked after that nobody looks after now.
pub fn last_watched(watched: Option<&Watched>, now: DateTime<Utc>) -> String {
    match watched {
        None => "when it was looked after last is not noted here".to_owned(),
        Some(watched) => {
            let until = watched.until.with_timezone(&Local).format("%Y-%m-%d %H:%M:%S");
            if watched.is_ahead(now) {
                let host = watched.host.label();
                return format!(
                    "{host} looked after it last; until when is not known, since its clock, at {until}, was ahead"
                );
            }
            if watched.goes_on {
                let host = watched.host.label();
                return format!(
                    "{host}, which still runs, looked after it at {until}: what it held was taken away under it"
                );
            }
            let cut_off = if watched.in_order { "" } else { ", or a minute longer: it was cut off" };
            format!("{} looked after it until {until}{cut_off}", watched.host.label())
        }
    }
}

/// What is not known of a data file without a log that nobody looks after.
pub(in crate::engine) fn of_nobody(status: &DataFileStatus, watched: Option<&Watched>, now: DateTime<Utc>) -> Warning {
    let path = status.facts.path.display();
    let sound = status.newest_sound().filter(|archive| archive.check != ContentCheck::Damaged);
    let backup = match sound.and_then(|archive| archive.moment) {
        Some(moment) => format!("what was committed after the last good backup, of {}, is in no log", shown(&moment)),
        None => "of what it holds there is no good backup and no log".to_owned(),
    };
    let scheduled =
        if status.settings.scheduler.frequency == Frequency::Never { "" } else { ", and no backup is made" };
    Warning::new(
        WarningKind::Unwatched,
        format!(
            "nobody looks after {path}{scheduled}: {}; what happened to it since is not known, and {backup}",
            last_watched(watched, now)
        ),
        "Start the service or a window: strongroom serve DATAFILE. Whether it is sound now is told by strongroom \
         check DATAFILE.",
    )
}

const NOBODY: &str = "Start the service or a window: strongroom serve DATAFILE.";

/// What is to be said of a log that the settings name, and that nobody has begun: nothing of it is lost.
pub(in crate::engine) fn of_log_not_begun(file: &Path) -> Warning {
    let message = format!("nobody records what is committed: the log {} was not begun yet", file.display());
    Warning::new(WarningKind::LogBroken, message, NOBODY)
}

/// What is to be said of a log as it lies on the disk, of which who manages the data file was not asked or does not
/// answer: that process is `manager`; `None` where there is none.
pub(in crate::engine) fn of_log_at_rest(
    file: &Path,
    (facts, problem): (Option<&LogFacts>, Option<&ErrorReport>),
    manager: Option<&Process>,
) -> Option<Warning> {
    let file = file.display();
    let (message, hint) = match (facts, problem) {
        (_, Some(problem)) => (format!("the log {file} cannot be used: {}", problem.message), problem.hint.clone()),
        (None, None) => {
            let hint = "Switch the data file to WAL mode: strongroom serve --switch-to-wal DATAFILE.";
            (format!("the log {file} cannot be used: the data file is not in WAL mode"), Some(hint.to_owned()))
        }
        (Some(LogFacts { damaged_at: Some(offset), .. }), _) => {
            (format!("the log {file} is damaged at byte {offset}"), Some("Make a full backup now.".to_owned()))
        }
        (Some(LogFacts { complete: Some(false), .. }), _) => {
            let hint = manager.map_or_else(
                || NOBODY.to_owned(),
                |manager| {
                    format!(
                        "{manager} manages the data file. If this stays so, it hangs or is suspended: let it go on, \
                         or end it and start the service again."
                    )
                },
            );
            (format!("commits were made that are not in the log {file}"), Some(hint))
        }
        (Some(_), _) if manager.is_none() => (
            format!("nobody records what is committed: neither a window nor a service writes the log {file}"),
            Some(NOBODY.to_owned()),
        ),
        (Some(_), _) => return None,
    };
    Some(Warning { kind: WarningKind::LogBroken, message, hint })
}

fn of_log(status: &DataFileStatus) -> Option<Warning> {
    if let Some(error) = status.log_folder_problem.as_ref().or(status.log_problem.as_ref()) {
        return Some(of_error(WarningKind::LogBroken, error));
    }
    let log = status.log.as_ref()?;
    match (&log.error, log.state) {
        (Some(error), _) => Some(of_error(WarningKind::LogBroken, error)),
        (None, CaptureState::Lost | CaptureState::Held | CaptureState::Released | CaptureState::Off) => {
            Some(Warning::new(
                WarningKind::LogBroken,
                format!("{} is not being written", log.log.display()),
                "Look at its disk; the log goes on by itself when it can be written again.",
            ))
        }
        (None, CaptureState::On | CaptureState::Starting) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        control::Phase,
        engine::{
            data_file::status_of,
            history::JobKind,
            status::{Host, HostKind, Stalled},
        },
        error::{Error, ErrorKind, Result},
        settings::SettingsFile,
        sqlite::data_file::identify,
        storage::processes::Process,
    };

    fn status() -> Result<DataFileStatus> {
        let folder = tempfile::tempdir().map_err(|e| Error::io("make", Path::new("a folder"), e))?;
        let path = folder.path().join("a.db");
        let made = rusqlite::Connection::open(&path).and_then(|conn| conn.execute_batch("CREATE TABLE t(a)"));
        made.map_err(|e| Error::sqlite("make", &path, e))?;
        let settings = SettingsFile::load(&path, folder.path())?;
        Ok(status_of(identify(&path)?, &settings, Host { kind: HostKind::Window, process: 1, namespace: None }))
    }

    #[test]
    fn each_state_says_what_is_to_be_said_and_nothing_else() -> Result<()> {
        use WarningKind as K;
        let why = |message: &str| Some(Error::new(ErrorKind::Io, message).report());
        let program = || vec![Process { id: 7, name: "office".to_owned() }];
        type Change<'a> = Box<dyn Fn(&mut DataFileStatus) + 'a>;
        let table: Vec<(&str, Change<'_>, Vec<WarningKind>)> = vec![
            ("nothing was looked at yet", Box::new(|_| ()), vec![]),
            ("a service has nothing to do", Box::new(|s| s.host.kind = HostKind::Service), vec![K::Unprotected]),
            ("programs wait", Box::new(|s| s.waiting = program()), vec![K::ProgramWaits]),
            (
                "a job stands still",
                Box::new(|s| {
                    let (kind, phase, since) = (JobKind::Backup, Phase::Copying, Local::now());
                    s.stalled = Some(Stalled { kind, phase, since });
                }),
                vec![K::JobStalled],
            ),
            ("programs use another file", Box::new(|s| s.strays = program()), vec![K::StrayProgram]),
            ("a transaction is left", Box::new(|s| s.facts.unfinished = true), vec![K::UnfinishedTransaction]),
            ("settings cannot be read", Box::new(|s| s.settings_problem = why("torn")), vec![K::Settings]),
            ("a program failed", Box::new(|s| s.on_finish_problem = why("ended with 1")), vec![K::OnFinish]),
            ("it has another name", Box::new(|s| s.other_name = why("a link")), vec![K::OtherName]),
            ("its owner cannot write it", Box::new(|s| s.unwritable = why("of root")), vec![K::NotWritable]),
            (
                "the log is not kept, which is said once",
                Box::new(|s| (s.log_problem, s.log_folder_problem) = (why("no space"), why("away"))),
                vec![K::LogBroken],
            ),
            (
                "what is urgent comes first",
                Box::new(|s| (s.on_finish_problem, s.log_problem) = (why("ended with 1"), why("no space"))),
                vec![K::LogBroken, K::OnFinish],
            ),
        ];
        for (what, change, expected) in table {
            let mut status = status()?;
            change(&mut status);
            let found = warnings(&status, &Local::now());
            assert_eq!(found.iter().map(|warning| warning.kind).collect::<Vec<_>>(), expected, "{what}: {found:?}");
            assert!(found.iter().all(|warning| !warning.message.is_empty()), "{what}");
        }
        Ok(())
    }
}
