//! Automatic backups by the engine, while days pass on a clock that the test sets.

use crate::support;

use std::{fs, path::Path, sync::Arc};

use strongroom::{
    engine::{
        Command, Engine, Handle, JobId, Status,
        history::{HistoryEntry, JobKind, Outcome},
        status::DataFileStatus,
    },
    journal::integrate::Until,
    restore::Logs,
    settings::{Settings, SettingsFile, sections::*},
    warning::WarningKind,
};
use support::{
    Place,
    engine::{Sim, backup, engine_at, foreign_commits, open_with_log, restore, until},
    has, logical_content, make_data_file, names_in,
};

fn change(place: &Place, data: &Path, edit: impl FnOnce(&mut Settings)) {
    let own = place.own().join("strongroom");
    SettingsFile::load(data, &own).unwrap().change(&own, edit).unwrap();
}

fn daily(settings: &mut Settings) {
    settings.scheduler.frequency = Frequency::EveryDay;
}

/// Opens the data file and waits until the schedule is taken up.
fn open(handle: &Handle, data: &Path) {
    handle.send(Command::OpenDataFile { path: data.to_path_buf() }).unwrap();
    until(handle, |s| s.data_file(data).is_some_and(|d| d.automatic.is_some()));
}

/// Sets the clock, and lets the engine look at it now rather than in two seconds.
fn pass(handle: &Handle, sim: &Sim, data: &Path, local: &str) {
    sim.set(local);
    handle.send(Command::Refresh { data_file: data.to_path_buf() }).unwrap();
}

/// The lines of the Backup journal about backups, oldest first.
fn backups(status: &Status) -> Vec<&HistoryEntry> {
    status.history.iter().rev().filter(|e| e.kind == JobKind::Backup).collect()
}

/// Waits until so many backups have ended, and then until their archives are known.
fn after(handle: &Handle, data: &Path, count: usize) -> Arc<Status> {
    until(handle, |s| {
        let ended: Vec<_> = backups(s).into_iter().filter(|e| e.outcome != Outcome::Running).cloned().collect();
        let made = ended.iter().rev().find_map(|e| e.number.filter(|_| e.outcome == Outcome::Succeeded));
        let known = s.data_file(data).is_some_and(|d| made.is_none() || d.archives.first().map(|a| a.number) >= made);
        ended.len() == count && known && s.jobs.is_empty()
    })
}

fn of<'a>(status: &'a Status, data: &Path) -> &'a DataFileStatus {
    status.data_file(data).unwrap()
}

fn next(status: &Status, data: &Path) -> Option<String> {
    of(status, data).next_backup.map(|next| next.format("%Y-%m-%d %H:%M").to_string())
}

fn kinds(status: &Status, data: &Path) -> Vec<WarningKind> {
    // Where the folders lie, and that nobody watched, is no matter of the schedule.
    let warnings = of(status, data).warnings.iter().map(|w| w.kind);
    warnings
        .filter(|k| !matches!(k, WarningKind::SameDisk | WarningKind::MemoryDisk | WarningKind::Unwatched))
        .collect()
}

/// The files of archives and logs.
fn files(place: &Place) -> Vec<String> {
    names_in(&place.at("Backups"))
        .into_iter()
        .filter(|name| ![".pages", ".written-by"].iter().any(|end| name.ends_with(end)))
        .collect()
}

struct Setup {
    place: Place,
    data: std::path::PathBuf,
    sim: Sim,
    engine: Engine,
    handle: Handle,
    application: rusqlite::Connection,
}

fn set_up(local: &str, mode: &str, edit: impl FnOnce(&mut Settings)) -> Setup {
    let place = Place::new();
    let data = place.at("a.sqlite");
    let application = make_data_file(&data, &format!("PRAGMA journal_mode={mode}"), 100);
    change(&place, &data, |settings| {
        daily(settings);
        edit(settings);
    });
    let sim = Sim::at(local);
    let engine = engine_at(&place, sim.clock());
    let handle = engine.handle();
    open(&handle, &data);
    Setup { place, data, sim, engine, handle, application }
}

#[test]
fn the_three_day_cycle_of_the_reference() {
    if !has("sqlite3") {
        return;
    }
    let place = Place::new();
    let data = place.at("OMB_Edelweiss.sqlite");
    let _application = make_data_file(&data, "PRAGMA journal_mode=WAL", 300);
    change(&place, &data, daily);
    let sim = Sim::at("2026-06-01 12:00");
    let engine = engine_at(&place, sim.clock());
    let handle = engine.handle();
    let log = place.at("Backups/OMB_Edelweiss.journal");
    open_with_log(&handle, &data, &log);
    let status = until(&handle, |s| of(s, &data).next_backup.is_some());
    assert_eq!(next(&status, &data).as_deref(), Some("2026-06-01 23:00"));
    let write =
        |what: &str| foreign_commits(&data, &format!("INSERT INTO k VALUES('{what}',1); DELETE FROM t WHERE id%97=3"));

    // Day 1: a full backup at 23:00; what was logged before it is number 0.
    write("day 1");
    pass(&handle, &sim, &data, "2026-06-01 22:59");
    // It has looked, when it has counted again.
    until(&handle, |s| next(s, &data).as_deref() == Some("2026-06-01 23:00"));
    assert!(backups(&handle.status()).is_empty());
    pass(&handle, &sim, &data, "2026-06-01 23:00");
    after(&handle, &data, 1);
    until(&handle, |s| next(s, &data).as_deref() == Some("2026-06-02 23:00"));
    assert_eq!(files(&place), ["OMB_Edelweiss.journal", "OMB_Edelweiss[0000].4BL", "OMB_Edelweiss[0001].4BK"]);
    let day_1 = logical_content(&data);

    // Day 2: the log fills, the backup at 23:00 archives it.
    write("day 2 in the morning");
    write("day 2 in the evening");
    let day_2 = logical_content(&data);
    pass(&handle, &sim, &data, "2026-06-02 23:00");
    after(&handle, &data, 2);
    assert_eq!(
        files(&place),
        [
            "OMB_Edelweiss.journal",
            "OMB_Edelweiss[0000].4BL",
            "OMB_Edelweiss[0001].4BK",
            "OMB_Edelweiss[0001].4BL",
            "OMB_Edelweiss[0002].4BK"
        ]
    );

    // Day 3, noon: the incident. Backup 2 and the log bring back everything.
    write("day 3 until noon");
    pass(&handle, &sim, &data, "2026-06-03 12:00");
    let noon = logical_content(&data);
    let archive = |number: u32| place.at(&format!("Backups/OMB_Edelweiss[{number:04}].4BK"));
    let restored = |number, logs, limit, to: &str| {
        restore(&handle, &archive(number), &place.at(to), logs, limit);
        logical_content(&place.at(to).join("OMB_Edelweiss.sqlite"))
    };
    assert_eq!(restored(2, Logs::Found, Until::End, "noon"), noon);
    assert_eq!(restored(2, Logs::None, Until::End, "2 alone"), day_2);
    assert_eq!(restored(1, Logs::None, Until::End, "1 alone"), day_1);
    assert_eq!(restored(1, Logs::Found, Until::End, "1 and both logs"), noon);

    // Day 3, 23:00, and day 4: three are kept.
    pass(&handle, &sim, &data, "2026-06-03 23:00");
    after(&handle, &data, 3);
    write("day 4");
    pass(&handle, &sim, &data, "2026-06-04 23:00");
    let status = after(&handle, &data, 4);
    assert_eq!(
        files(&place),
        [
            "OMB_Edelweiss.journal",
            "OMB_Edelweiss[0002].4BK",
            "OMB_Edelweiss[0002].4BL",
            "OMB_Edelweiss[0003].4BK",
            "OMB_Edelweiss[0003].4BL",
            "OMB_Edelweiss[0004].4BK"
        ]
    );
    assert_eq!(restored(2, Logs::Found, Until::End, "now"), logical_content(&data));
    let lines = backups(&status);
    let begun: Vec<String> = lines.iter().map(|e| e.started.format("%d %H:%M").to_string()).collect();
    assert_eq!(begun, ["01 23:00", "02 23:00", "03 23:00", "04 23:00"]);
    assert!(lines.iter().all(|e| e.automatic && e.outcome == Outcome::Succeeded));
    let moments: Vec<String> =
        of(&status, &data).archives.iter().map(|a| a.moment.unwrap().format("%d %H:%M").to_string()).collect();
    assert_eq!(moments, ["04 23:00", "03 23:00", "02 23:00"]);
    assert_eq!(kinds(&status, &data), []);
}

#[test]
fn after_a_sleep_there_is_one_late_backup() {
    let Setup { place: _place, data, sim, handle, engine: _engine, .. } = set_up("2026-06-01 12:00", "WAL", |_| {});
    pass(&handle, &sim, &data, "2026-06-05 07:30");
    let status = after(&handle, &data, 1);
    assert_eq!(backups(&status)[0].outcome, Outcome::Succeeded, "{:?}", backups(&status));
    // Back to the day before: nothing is due again; and then no more than once.
    for local in ["2026-06-04 23:30", "2026-06-05 08:00", "2026-06-05 22:59"] {
        pass(&handle, &sim, &data, local);
        let status = until(&handle, |s| next(s, &data).as_deref() == Some("2026-06-05 23:00") && s.jobs.is_empty());
        assert_eq!(backups(&status).len(), 1, "{local}");
    }
    pass(&handle, &sim, &data, "2026-06-05 23:00");
    after(&handle, &data, 2);
}

#[test]
fn a_backup_missed_while_the_program_did_not_run_is_shown_and_follows_the_failure_rule() {
    let set_up = set_up("2026-06-01 12:00", "WAL", |_| {});
    let Setup { place, data, sim, engine, .. } = set_up;
    drop(engine);
    sim.set("2026-06-04 08:00");
    let engine = engine_at(&place, sim.clock());
    let handle = engine.handle();
    open(&handle, &data);
    let status = after(&handle, &data, 1);
    let line = backups(&status)[0].clone();
    assert_eq!((line.outcome, line.started.format("%d %H:%M").to_string().as_str()), (Outcome::Missed, "03 23:00"));
    let status = until(&handle, |s| kinds(s, &data).contains(&WarningKind::BackupMissed));
    assert_eq!(next(&status, &data).as_deref(), Some("2026-06-04 23:00"), "at the next scheduled date and time");
    assert!(of(&status, &data).last_backup.is_none(), "a missed one is no backup");
    drop(engine);

    // The same with a retry after ten minutes.
    change(&place, &data, |s| s.failure.retry = Retry::After);
    sim.set("2026-06-06 08:00");
    let engine = engine_at(&place, sim.clock());
    let handle = engine.handle();
    open(&handle, &data);
    until(&handle, |s| next(s, &data).as_deref() == Some("2026-06-06 08:10"));
    pass(&handle, &sim, &data, "2026-06-06 08:10");
    let status = after(&handle, &data, 3);
    assert_eq!(backups(&status)[2].outcome, Outcome::Succeeded);
    until(&handle, |s| kinds(s, &data).is_empty());
}

#[test]
fn a_backup_by_command_meanwhile_means_that_nothing_was_missed() {
    let now = chrono::Local::now();
    let shown = |hours: i64| (now + chrono::TimeDelta::hours(hours)).format("%Y-%m-%d %H:%M").to_string();
    for by_command in [true, false] {
        // Due an hour ago, and last looked at a day before that.
        let Setup { place, data, sim, engine, .. } =
            set_up(&shown(-25), "WAL", |s| s.scheduler.at = (now - chrono::TimeDelta::hours(1)).time());
        drop(engine);
        if by_command {
            assert!(place.run(&["backup", data.to_str().unwrap()]).status.success());
        }
        sim.set(&shown(1));
        let engine = engine_at(&place, sim.clock());
        open(&engine.handle(), &data);
        let status = until(&engine.handle(), |s| of(s, &data).next_backup.is_some());
        let missed = backups(&status).iter().filter(|e| e.outcome == Outcome::Missed).count();
        assert_eq!(missed, usize::from(!by_command));
    }
}

#[test]
fn failed_backups_are_tried_again_then_suspended_until_one_by_hand_succeeds() {
    let Setup { place, data, sim, handle, engine, .. } = set_up("2026-06-01 12:00", "WAL", |s| {
        s.failure = Failure {
            retry: Retry::After,
            retry_after: 10,
            retry_unit: RetryUnit::Minutes,
            cancel: true,
            cancel_after: 3,
        };
    });
    backup(&handle, &data);
    // No folder can be where a file is.
    fs::rename(place.at("Backups"), place.at("kept")).unwrap();
    fs::write(place.at("Backups"), "in the way").unwrap();
    for (n, (due, then)) in [
        ("2026-06-01 23:00", Some("2026-06-01 23:10")),
        ("2026-06-01 23:10", Some("2026-06-01 23:20")),
        ("2026-06-01 23:20", None),
    ]
    .into_iter()
    .enumerate()
    {
        pass(&handle, &sim, &data, due);
        let status = until(&handle, |s| {
            of(s, &data).automatic.as_ref().unwrap().attempts == n as u32 + 1 && next(s, &data).as_deref() == then
        });
        let line = backups(&status)[n + 1].clone();
        assert_eq!((line.outcome, line.automatic), (Outcome::Failed, true));
    }
    // One cause is one warning, which tells what follows from it.
    let told = |s: &Status, wanted: &str| {
        let urgent: Vec<_> = of(s, &data).warnings.iter().filter(|warning| warning.kind.is_urgent()).collect();
        let place = urgent.iter().find(|warning| warning.kind == WarningKind::PlaceMissing);
        urgent.len() == 1 && place.is_some_and(|place| place.message.contains(wanted))
    };
    let status =
        until(&handle, |s| told(s, "suspended since 2026-06-01 23:20, after 3 failed attempts; the full backup of "));
    let warning = of(&status, &data).warnings[0].clone();
    assert!(warning.hint.unwrap().ends_with("Then make a backup by hand; when it succeeds, automatic backups go on."));
    // It keeps saying so, also after a start, and makes none.
    drop(engine);
    sim.set("2026-06-03 22:00");
    let engine = engine_at(&place, sim.clock());
    let handle = engine.handle();
    open(&handle, &data);
    pass(&handle, &sim, &data, "2026-06-03 23:30");
    let status = until(&handle, |s| told(s, "suspended since") && told(s, "is older than twice the interval"));
    assert_eq!((backups(&status).len(), next(&status, &data)), (4, None));
    // One by hand that fails changes nothing; one that succeeds cures it.
    let job = JobId::new();
    handle.send(Command::Backup { job, data_file: data.clone(), destination: None, options: None }).unwrap();
    until(&handle, |s| s.finished_job(job).is_some_and(|j| j.result.is_err()));
    assert!(of(&handle.status(), &data).automatic.as_ref().unwrap().suspended.is_some());
    fs::remove_file(place.at("Backups")).unwrap();
    fs::rename(place.at("kept"), place.at("Backups")).unwrap();
    // With the cause gone, what is still so is said by itself, once.
    let urgent = |s: &Status| kinds(s, &data).into_iter().filter(|kind| kind.is_urgent()).collect::<Vec<_>>();
    until(&handle, |s| urgent(s) == [WarningKind::BackupSuspended]);
    backup(&handle, &data);
    let status = until(&handle, |s| next(s, &data).as_deref() == Some("2026-06-04 23:00"));
    assert!(of(&status, &data).automatic.as_ref().unwrap().suspended.is_none());
    until(&handle, |s| kinds(s, &data).is_empty());
}

#[test]
fn a_retry_can_be_made_now() {
    let Setup { place, data, sim, handle, engine: _engine, .. } = set_up("2026-06-01 12:00", "WAL", |s| {
        (s.failure.retry, s.failure.retry_unit) = (Retry::After, RetryUnit::Hours);
    });
    fs::write(place.at("Backups"), "in the way").unwrap();
    pass(&handle, &sim, &data, "2026-06-01 23:00");
    until(&handle, |s| next(s, &data).as_deref() == Some("2026-06-02 09:00"));
    fs::remove_file(place.at("Backups")).unwrap();
    let job = JobId::new();
    handle.send(Command::RetryNow { job, data_file: data.clone() }).unwrap();
    let status = until(&handle, |s| s.finished_job(job).is_some());
    assert!(status.finished_job(job).unwrap().automatic && status.finished_job(job).unwrap().result.is_ok());
    let status = until(&handle, |s| next(s, &data).as_deref() == Some("2026-06-02 23:00"));
    assert_eq!(of(&status, &data).automatic.as_ref().unwrap().attempts, 0);
    let other = JobId::new();
    handle.send(Command::RetryNow { job: other, data_file: place.at("other") }).unwrap();
    until(&handle, |s| s.finished_job(other).is_some_and(|j| j.result.is_err()));
}

#[test]
fn an_unmodified_data_file_is_skipped_and_that_is_noted() {
    let Setup { place, data, sim, handle, application, engine: _engine } =
        set_up("2026-06-01 12:00", "WAL", |s| s.scheduler.only_if_modified = true);
    pass(&handle, &sim, &data, "2026-06-01 23:00");
    after(&handle, &data, 1);
    for (n, day) in [2, 3, 4, 5].into_iter().enumerate() {
        pass(&handle, &sim, &data, &format!("2026-06-0{day} 23:00"));
        let status = after(&handle, &data, n + 2);
        let line = backups(&status)[n + 1];
        assert_eq!((line.outcome, line.automatic), (Outcome::Skipped, true));
        assert_eq!(line.note.as_deref(), Some("The data file was not modified since backup 0001."));
        assert!(line.error.is_none());
    }
    // Nothing is overdue, since nothing had to be saved; and the last backup is the one that was made.
    let status = until(&handle, |s| next(s, &data).as_deref() == Some("2026-06-06 23:00"));
    assert_eq!(kinds(&status, &data), []);
    assert_eq!(of(&status, &data).last_backup.as_ref().unwrap().number.unwrap().0, 1);
    application.execute_batch("INSERT INTO k VALUES('new',1)").unwrap();
    pass(&handle, &sim, &data, "2026-06-06 23:00");
    let status = after(&handle, &data, 6);
    assert_eq!(backups(&status)[5].outcome, Outcome::Succeeded);
    // By hand it is made in any case.
    backup(&handle, &data);
    assert_eq!(files(&place).len(), 3);
}

#[test]
fn what_is_due_waits_for_another_job_and_is_made_once() {
    let Setup { place: _place, data, sim, handle, application, engine: _engine } =
        set_up("2026-06-01 12:00", "DELETE", |_| {});
    application.execute_batch("BEGIN EXCLUSIVE").unwrap();
    let job = JobId::new();
    handle.send(Command::Backup { job, data_file: data.clone(), destination: None, options: None }).unwrap();
    until(&handle, |s| s.job(job).is_some());
    pass(&handle, &sim, &data, "2026-06-01 23:00");
    let status = until(&handle, |s| next(s, &data).as_deref() == Some("2026-06-01 23:00"));
    assert_eq!(backups(&status).len(), 1);
    application.execute_batch("COMMIT").unwrap();
    let status = after(&handle, &data, 2);
    let automatic: Vec<bool> = backups(&status).iter().map(|e| e.automatic).collect();
    assert_eq!(automatic, [false, true]);
    until(&handle, |s| next(s, &data).as_deref() == Some("2026-06-02 23:00"));
}

#[test]
fn a_scheduled_backup_cut_off_by_the_end_of_the_program_counts_as_missed() {
    let Setup { place, data, sim, handle, application, engine } = set_up("2026-06-01 12:00", "DELETE", |_| {});
    application.execute_batch("BEGIN EXCLUSIVE").unwrap();
    pass(&handle, &sim, &data, "2026-06-01 23:00");
    until(&handle, |s| !s.jobs.is_empty());
    drop(engine);
    application.execute_batch("COMMIT").unwrap();
    sim.set("2026-06-01 23:30");
    let engine = engine_at(&place, sim.clock());
    open(&engine.handle(), &data);
    let status = until(&engine.handle(), |s| kinds(s, &data).contains(&WarningKind::BackupMissed));
    let outcomes: Vec<Outcome> = backups(&status).iter().map(|e| e.outcome).collect();
    assert!(outcomes.contains(&Outcome::Missed), "{outcomes:?}");
}

#[test]
fn without_its_memory_the_engine_counts_from_now_and_does_no_harm() {
    let Setup { place, data, sim, engine, .. } = set_up("2026-06-01 12:00", "WAL", |_| {});
    drop(engine);
    fs::remove_dir_all(place.own().join("strongroom")).unwrap();
    sim.set("2026-06-09 12:00");
    let engine = engine_at(&place, sim.clock());
    let handle = engine.handle();
    open(&handle, &data);
    let status = until(&handle, |s| next(s, &data).as_deref() == Some("2026-06-09 23:00"));
    assert!(backups(&status).is_empty());
}

#[cfg(unix)]
#[test]
fn a_service_without_a_log_makes_what_is_due_and_says_so() {
    use std::io::{BufRead, BufReader};
    let place = Place::new();
    let data = place.at("a.sqlite");
    drop(make_data_file(&data, "PRAGMA journal_mode=DELETE", 20));
    // Missed a day ago by the memory of the engine, and to be tried again a second after the start.
    change(&place, &data, |settings| {
        daily(settings);
        settings.failure =
            Failure { retry: Retry::After, retry_after: 1, retry_unit: RetryUnit::Seconds, ..Failure::default() };
    });
    let own = place.own().join("strongroom");
    let (history, _) = strongroom::engine::history::History::open(&own).unwrap();
    let schedule = SettingsFile::load(&data, &own).unwrap().settings().scheduler.clone();
    let handled = Some(chrono::Utc::now() - chrono::TimeDelta::days(2));
    let state = strongroom::schedule::automatic::Automatic { handled, schedule: Some(schedule), ..Default::default() };
    history.keep_automatic(&data, &state).unwrap();
    drop(history);
    let mut service =
        place.program().args(["serve", "--no-log"]).arg(&data).stdout(std::process::Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(service.stdout.take().unwrap()).lines().map_while(std::result::Result::ok);
    assert_eq!(lines.next().unwrap(), format!("{} is looked after", data.display()));
    let line = lines.next().unwrap();
    assert!(line.starts_with("Backup 0001 of ") && line.contains("a[0001].4BK"), "{line}");
    std::process::Command::new("kill").arg(service.id().to_string()).status().unwrap();
    assert!(service.wait().unwrap().success());
    assert_eq!(files(&place), ["a[0001].4BK"]);
}
