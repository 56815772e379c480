//! Old backups are deleted as whole sets, and never what is still needed.

use crate::support;

use std::{
    fs,
    path::{Path, PathBuf},
};

use proptest::prelude::*;
use strongroom::{
    archive::trust::Trust,
    backup::retention::{self, When},
    engine::{Command, Handle, JobId},
    error::ErrorKind,
    journal::integrate::Until,
    restore::Logs,
    settings::{SettingsFile, sections::DeleteOldest},
};
use support::{
    Place,
    engine::{backup, engine, foreign_commits, open_with_log, restore, until},
    has, logical_content, make_data_file, names_in,
};

fn keep(place: &Place, data: &Path, last: u32, delete_oldest: DeleteOldest) {
    let mut settings = SettingsFile::load(data, &place.own().join("strongroom")).unwrap();
    let own = place.own().join("strongroom");
    settings.change(&own, |s| (s.keep.last, s.keep.delete_oldest) = (last, delete_oldest)).unwrap();
}

fn open(handle: &Handle, data: &Path) {
    handle.send(Command::OpenDataFile { path: data.to_path_buf() }).unwrap();
    until(handle, |s| s.data_file(data).is_some_and(|d| d.plan.is_some()));
}

fn sets(place: &Place) -> Vec<String> {
    names_in(&place.at("Backups")).into_iter().filter(|n| n.contains("4B")).collect()
}

#[test]
fn archives_go_with_their_logs_and_every_archive_that_stays_leads_to_now() {
    if !has("sqlite3") {
        return;
    }
    let place = Place::new();
    let data = place.at("a.sqlite");
    let _application = make_data_file(&data, "PRAGMA journal_mode=WAL", 100);
    keep(&place, &data, 2, DeleteOldest::After);
    let engine = engine(&place);
    let handle = engine.handle();
    open_with_log(&handle, &data, &place.at("Backups/a.journal"));
    for n in 0..5 {
        foreign_commits(&data, &format!("INSERT INTO k VALUES('before {n}',{n})"));
        let made = backup(&handle, &data);
        if n == 2 {
            assert_eq!(made.deleted.numbers.iter().map(|n| n.0).collect::<Vec<_>>(), [1]);
            let files = ["a[0001].4BL", "a[0000].4BL", "a[0001].4BK"].map(|name| place.at("Backups").join(name));
            assert_eq!(made.deleted.files, files);
        }
    }
    assert_eq!(sets(&place), ["a[0004].4BK", "a[0004].4BL", "a[0005].4BK"]);
    // What a rule would delete now can be told from the status alone.
    let numbers = |sets: &[retention::BackupSet]| sets.iter().map(|set| set.number.0).collect::<Vec<_>>();
    let status = until(&handle, |s| numbers(&s.data_file(&data).unwrap().sets) == [5, 4]);
    let status = status.data_file(&data).unwrap();
    let mut rule = status.settings.keep.clone();
    rule.last = 1;
    let preview = retention::plan(&status.sets, &rule, When::Now, &[]);
    let names = |set: &retention::BackupSet| (set.number.0, set.logs.clone());
    assert_eq!(preview.iter().map(names).collect::<Vec<_>>(), [(4, vec![place.at("Backups/a[0004].4BL")])]);
    let status = handle.status();
    let backups: Vec<_> = status.history.iter().map(|entry| entry.note.clone()).collect();
    assert_eq!(backups[0].as_deref(), Some("Backup 0003 was deleted."));
    foreign_commits(&data, "INSERT INTO k VALUES('after all',9)");
    for number in ["0004", "0005"] {
        let to = place.at(&format!("to {number}"));
        restore(&handle, &place.at(&format!("Backups/a[{number}].4BK")), &to, Logs::Found, Until::End);
        assert_eq!(logical_content(&to.join("a.sqlite")), logical_content(&data), "{number}");
    }
}

#[test]
fn renamed_foreign_and_damaged_files_are_never_touched() {
    let place = Place::new();
    let (data, other) = (place.at("a.sqlite"), place.at("other/a.sqlite"));
    make_data_file(&data, "", 10);
    fs::create_dir(place.at("other")).unwrap();
    make_data_file(&other, "", 10);
    let foreign = place.backup(&other).unwrap().archive;
    let engine = engine(&place);
    let handle = engine.handle();
    open(&handle, &data);
    let at = |name: &str| place.at("Backups").join(name);
    backup(&handle, &data);
    backup(&handle, &data);
    // The number renamed, the name renamed, damaged, foreign, foreign logs, and an archive in another folder.
    fs::rename(at("a[0001].4BK"), at("a[0101].4BK")).unwrap();
    fs::rename(at("a[0002].4BK"), at("a[0002] keep.4BK")).unwrap();
    backup(&handle, &data);
    fs::write(at("a[0102].4BK"), "no archive any more").unwrap();
    fs::copy(&foreign, at("a[0050].4BK")).unwrap();
    fs::write(at("a[0050].4BL"), "foreign log").unwrap();
    fs::write(at("a[0104].4BL"), "foreign log").unwrap();
    let before = names_in(&place.at("Backups"));
    keep(&place, &data, 1, DeleteOldest::Before);
    for n in 0..3 {
        let made = backup(&handle, &data);
        assert_eq!(made.deleted.numbers.len(), usize::from(n > 0), "{:?}", made.deleted);
        assert!(made.deleted.problem.is_none());
    }
    let mut expected = before;
    expected.push("a[0105].4BK".to_owned());
    expected.sort();
    let after = names_in(&place.at("Backups"));
    assert_eq!(after, expected);
}

#[test]
fn with_a_folder_for_one_archive_only_nothing_is_deleted() {
    let place = Place::new();
    let data = place.at("a.sqlite");
    make_data_file(&data, "", 10);
    keep(&place, &data, 1, DeleteOldest::After);
    let engine = engine(&place);
    let handle = engine.handle();
    open(&handle, &data);
    backup(&handle, &data);
    let job = JobId::new();
    handle
        .send(Command::Backup { job, data_file: data.clone(), destination: Some(place.at("Backups")), options: None })
        .unwrap();
    until(&handle, |s| s.finished_job(job).is_some());
    assert_eq!(sets(&place), ["a[0001].4BK", "a[0002].4BK"]);
}

#[test]
fn before_a_backup_a_proven_one_remains_and_what_went_is_said() {
    let place = Place::new();
    let data = place.at("a.sqlite");
    let writer = make_data_file(&data, "PRAGMA journal_mode=DELETE", 200);
    let engine = engine(&place);
    let handle = engine.handle();
    open(&handle, &data);
    for _ in 0..3 {
        backup(&handle, &data);
    }
    keep(&place, &data, 2, DeleteOldest::Before);
    // The newest one looks good by its beginning and end, but is not: nothing older may go.
    let newest = place.at("Backups/a[0003].4BK");
    let sound = fs::read(&newest).unwrap();
    let mut bytes = sound.clone();
    bytes[sound.len() / 2] ^= 1;
    fs::write(&newest, &bytes).unwrap();
    let settings = SettingsFile::load(&data, &place.own()).unwrap().settings().clone();
    let known = strongroom::backup::archives(&data, &settings).unwrap();
    let all = retention::sets(&data, &settings, &known, Trust::default());
    let planned = retention::plan(&all, &settings.keep, When::BeforeBackup, &[]);
    assert_eq!(planned.len(), 2);
    assert_eq!(retention::unless_proven(planned, &all, None, &Default::default()).unwrap(), []);
    fs::write(&newest, &sound).unwrap();

    // Whatever comes of the backup, which is held up here by a lock.
    writer.execute_batch("BEGIN EXCLUSIVE").unwrap();
    let job = JobId::new();
    handle.send(Command::Backup { job, data_file: data.clone(), destination: None, options: None }).unwrap();
    until(&handle, |_| sets(&place).len() == 1);
    handle.send(Command::Stop { job }).unwrap();
    let status = until(&handle, |s| s.finished_job(job).is_some());
    let error = status.finished_job(job).unwrap().result.clone().unwrap_err();
    assert!(matches!(error.kind, ErrorKind::Stopped | ErrorKind::Busy), "{error:?}");
    assert!(error.hint.unwrap().ends_with("Backups 0001 and 0002 were deleted."));
    writer.execute_batch("COMMIT").unwrap();
    assert_eq!(sets(&place), ["a[0003].4BK"]);
    backup(&handle, &data);
    assert_eq!(sets(&place), ["a[0003].4BK", "a[0004].4BK"]);
}

/// A part of a page of table `t`, overwritten or put back while the log runs.
fn overwrite(data: &Path, bytes: &[u8], at: u64) -> Vec<u8> {
    use std::os::unix::fs::FileExt;
    let mut before = vec![0; bytes.len()];
    let file = fs::File::options().read(true).write(true).open(data).unwrap();
    file.read_exact_at(&mut before, at).unwrap();
    file.write_all_at(bytes, at).unwrap();
    before
}

#[test]
fn from_the_newest_sound_backup_the_logs_of_damaged_ones_lead_to_now() {
    if !has("sqlite3") {
        return;
    }
    let place = Place::new();
    let data = place.at("a.sqlite");
    let application = make_data_file(&data, "PRAGMA journal_mode=WAL", 2000);
    let page: u32 =
        application.query_row("SELECT rootpage FROM sqlite_schema WHERE name='t'", [], |r| r.get(0)).unwrap();
    application.execute_batch("PRAGMA wal_checkpoint(TRUNCATE)").unwrap();
    application.close().unwrap();
    keep(&place, &data, 1, DeleteOldest::After);
    // A service of its own: the test must not open a file that its own process has open.
    let mut service = support::engine::serve(&place, &data);
    let back_up = || place.run(&["backup", data.to_str().unwrap(), "--json"]);
    assert!(back_up().status.success());
    let at = u64::from(page - 1) * 4096 + 12;
    let sound = overwrite(&data, &[0xaa; 600], at);
    for n in 0..4 {
        foreign_commits(&data, &format!("INSERT INTO k VALUES('after the damage {n}',{n})"));
        assert_eq!(back_up().status.code(), Some(1));
    }
    foreign_commits(&data, "INSERT INTO k VALUES('last',9)");
    let archives = || sets(&place).into_iter().filter(|name| name.ends_with("].4BK")).collect::<Vec<_>>();
    assert_eq!(archives(), ["a[0001].4BK", "a[0005].4BK"]);
    let to = place.at("to");
    let archive = place.at("Backups/a[0001].4BK");
    // The damage itself may have been noticed as a change of the file and be in the log too; the commits are in any
    // case.
    let said = place.run(&["restore", archive.to_str().unwrap(), "--to", to.to_str().unwrap()]);
    let said = support::text(&said.stdout) + &support::text(&said.stderr);
    let restored = rusqlite::Connection::open(to.join("a.sqlite")).unwrap();
    let count = |sql: &str| restored.query_row(sql, [], |r| r.get::<_, u32>(0)).unwrap();
    assert_eq!(count("SELECT count(*) FROM k WHERE k LIKE 'after%' OR k='last'"), 5, "{said} {:?}", sets(&place));
    // A sound one takes its place, and all that led from the old one to it goes.
    overwrite(&data, &sound, at);
    let begun = std::time::Instant::now();
    while archives().len() != 1 || sets(&place).len() != 1 {
        // The log may be opened anew just now.
        back_up();
        assert!(begun.elapsed().as_secs() < 120, "{:?}", sets(&place));
    }
    service.kill().unwrap();
    service.wait().unwrap();
}

/// What may happen between two looks at the folder.
#[derive(Debug, Clone)]
enum Event {
    Commit,
    Backup,
    UseLog(bool),
    Keep(u32, bool),
    /// Somebody deletes or damages the archive at this place in the list.
    Delete(usize),
    Damage(usize),
    Rename(usize),
}

fn any_event() -> impl Strategy<Value = Event> {
    prop_oneof![
        4 => Just(Event::Commit),
        6 => Just(Event::Backup),
        1 => any::<bool>().prop_map(Event::UseLog),
        1 => (1u32..4, any::<bool>()).prop_map(|(last, before)| Event::Keep(last, before)),
        1 => (0usize..8).prop_map(Event::Delete),
        1 => (0usize..8).prop_map(Event::Damage),
        1 => (0usize..8).prop_map(Event::Rename),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(10))]

    #[test]
    fn over_random_histories_the_newest_stays_and_what_stays_can_be_restored(
        events in prop::collection::vec(any_event(), 5..22)
    ) {
        prop_assume!(has("sqlite3"));
        let place = Place::new();
        let data = place.at("a.sqlite");
        let _application = make_data_file(&data, "PRAGMA journal_mode=WAL", 20);
        let (folder, log) = (place.at("Backups"), place.at("Backups/a.journal"));
        let engine = engine(&place);
        let handle = engine.handle();
        open_with_log(&handle, &data, &log);
        let mut logged = true;
        // Archives of which a person made something else.
        let mut spoilt: Vec<PathBuf> = Vec::new();
        let chosen = |n: usize| {
            let names: Vec<String> = names_in(&folder).into_iter().filter(|n| n.ends_with("].4BK")).collect();
            (!names.is_empty()).then(|| folder.join(&names[n % names.len()]))
        };
        for (n, event) in events.into_iter().enumerate() {
            match event {
                Event::Commit => foreign_commits(&data, &format!("INSERT INTO k VALUES('event {n}',{n})")),
                Event::Backup => {
                    let made = backup(&handle, &data);
                    prop_assert!(made.archive.exists() && made.deleted.problem.is_none(), "{made:?}");
                    prop_assert!(spoilt.iter().all(|path| path.exists()), "{spoilt:?} {made:?}");
                }
                Event::UseLog(on) if on != logged => {
                    logged = on;
                    let wanted = on.then(|| log.clone());
                    let command = Command::UseLog { data_file: data.clone(), log: wanted, switch_to_wal: false };
                    handle.send(command).unwrap();
                    until(&handle, |s| {
                        let status = s.data_file(&data).unwrap();
                        status.log_file.is_some() == on && status.log.is_some() == on && !status.log_starting
                    });
                }
                Event::Keep(last, before) => {
                    keep(&place, &data, last, if before { DeleteOldest::Before } else { DeleteOldest::After });
                }
                Event::Delete(at) => {
                    if let Some(path) = chosen(at).filter(|path| !spoilt.contains(path)) {
                        fs::remove_file(path).unwrap();
                    }
                }
                Event::Damage(at) => {
                    if let Some(path) = chosen(at).filter(|path| !spoilt.contains(path)) {
                        let length = path.metadata().unwrap().len();
                        fs::File::options().write(true).open(&path).unwrap().set_len(length - 50).unwrap();
                        spoilt.push(path);
                    }
                }
                Event::Rename(at) => {
                    if let Some(path) = chosen(at).filter(|path| !spoilt.contains(path)) {
                        let to = path.with_file_name(format!("a[{}].4BK", 5000 + n));
                        fs::rename(path, &to).unwrap();
                        spoilt.push(to);
                    }
                }
                Event::UseLog(_) => {}
            }
        }
        // A backup without a log position can be restored alone; the others lead to now, if the log is used and was
        // always.
        let settings = SettingsFile::load(&data, &place.own().join("strongroom")).unwrap().settings().clone();
        let known = strongroom::backup::archives(&data, &settings).unwrap();
        for set in retention::sets(&data, &settings, &known, Trust::default()) {
            if set.untouchable.is_some() {
                continue;
            }
            let to = place.at(&format!("to {}", set.number));
            let report = restore(&handle, &set.archive, &to, Logs::Found, Until::End);
            if set.is_in_use && report.log_end.is_none() && logged {
                prop_assert_eq!(logical_content(&to.join("a.sqlite")), logical_content(&data));
            }
        }
    }
}
