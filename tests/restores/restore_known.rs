//! Restores say what they leave out: where logs are found without a service, which cannot be used, and up to when all
//! is known.

use crate::{
    scene::{Scene, said},
    support,
};

use std::{
    fs,
    path::Path,
    time::{Duration, Instant},
};

use strongroom::{
    archive::catalog,
    drill,
    journal::{integrate::Until, reader::LogReader},
    restore::Logs,
};
use support::{Place, engine::serve, has, logical_content, make_data_file, text};

#[test]
fn the_log_that_the_settings_name_is_found_without_a_service_and_without_the_data_file() {
    let Some(mut scene) = Scene::new() else { return };
    let live = logical_content(&scene.data);
    let running = said(&scene.restore(&scene.archive(1), "while it runs", &[]), 0);
    assert!(running.contains("a.journal is being written, and was read as of "), "{running}");
    assert_eq!(logical_content(&scene.place.at("while it runs/a.sqlite")), live);
    scene.kill();
    // The WAL itself tells that the log is complete.
    said(&scene.restore(&scene.archive(1), "ended", &[]), 0);
    assert_eq!(logical_content(&scene.place.at("ended/a.sqlite")), live);
    scene.lose();
    let gone = said(&scene.restore(&scene.archive(1), "gone", &[]), 1);
    assert!(
        gone.contains("nothing is known after commit 3 of ") && gone.contains("nobody writes it any more"),
        "{gone}"
    );
    assert_eq!(logical_content(&scene.place.at("gone/a.sqlite")), live);
    // Also when the settings beside the data file are gone with it: those inside the archive are left.
    fs::remove_file(scene.place.at("app/a.strongroom.toml")).unwrap();
    said(&scene.restore(&scene.archive(1), "without settings", &[]), 1);
    assert_eq!(logical_content(&scene.place.at("without settings/a.sqlite")), live);
    // The administrator asked for less than all: then nothing is missing.
    let alone = said(&scene.restore(&scene.archive(1), "alone", &["--no-log"]), 0);
    assert_eq!((alone.as_str(), scene.more("alone")), ("", 0));
    let two = said(&scene.restore(&scene.archive(1), "two", &["--commit", "2"]), 0);
    assert_eq!((two.as_str(), scene.more("two")), ("", 2));
}

#[test]
fn the_newest_archive_is_restored_though_it_was_made_without_the_log() {
    let Some(mut scene) = Scene::new() else { return };
    scene.kill();
    fs::rename(scene.place.at("logs"), scene.place.at("away")).unwrap();
    for n in 0..2 {
        support::engine::foreign_commits(&scene.data, &format!("INSERT INTO t(a) VALUES('more unwatched {n}')"));
    }
    let made = scene.place.run(&["backup", scene.data.to_str().unwrap()]);
    assert!(made.status.code() == Some(1) && scene.archive(2).exists(), "{}", text(&made.stderr));
    let data = scene.data.clone();
    let restored = |scene: &Scene, to: &str, rows: i64| {
        let output = scene.restore(&data, to, &[]);
        let said = text(&output.stdout) + &text(&output.stderr);
        assert!(!said.contains("not among the archives found"), "{said}");
        assert_eq!(scene.more(to), rows, "{said}");
        said
    };
    assert!(restored(&scene, "log away", 5).contains("Archive 0002"));
    fs::rename(scene.place.at("away"), scene.place.at("logs")).unwrap();
    assert!(restored(&scene, "log back", 5).contains("Archive 0002"));
    // A log that goes on after it leads further than it.
    scene.serve();
    scene.commits(1);
    scene.lose();
    let output = scene.restore(&data, "log went on", &[]);
    let all = said(&output, 1);
    assert!(all.contains("backup 0002 of ") && all.contains("made without the log"), "{all}");
    assert!(!all.contains("not among the archives found"), "{all}");
    assert_eq!(scene.more("log went on"), 6, "{all}");
    // Lost as it is, the status names the command that does the same.
    let status = text(&scene.place.run(&["status", data.to_str().unwrap()]).stdout);
    assert!(status.contains("strongroom restore '"), "{status}");
}

#[test]
fn commits_that_are_in_the_data_file_and_not_in_the_log_are_said() {
    let Some(mut scene) = Scene::new() else { return };
    scene.kill();
    support::engine::foreign_commits(&scene.data, "INSERT INTO t(a) VALUES('unwatched')");
    // Somebody has it open, so that the WAL stays.
    let application = rusqlite::Connection::open(&scene.data).unwrap();
    let wal_is_used = application.execute("INSERT INTO t(a) VALUES('unwatched too')", []).unwrap() == 1;
    let all = said(&scene.restore(&scene.archive(1), "all", &[]), 1);
    assert!(wal_is_used && all.contains("the data file holds commits that are not in it"), "{all}");
    assert_eq!(scene.more("all"), 3);
}

/// So it is while a service that has just begun compares the log with the data file, before it can be asked.
#[test]
fn a_log_that_somebody_writes_who_cannot_be_asked_is_not_called_complete() {
    let Some(mut scene) = Scene::new() else { return };
    scene.kill();
    let log = fs::File::open(scene.place.at("logs/a.journal")).unwrap();
    log.try_lock().unwrap();
    // The data file itself tells.
    said(&scene.restore(&scene.archive(1), "level", &[]), 0);
    assert_eq!(scene.more("level"), 3);
    support::engine::foreign_commits(&scene.data, "INSERT INTO t(a) VALUES('unwatched')");
    assert!(!scene.place.at("app/a.sqlite-wal").exists(), "the WAL tells nothing");
    let now = chrono::Utc::now().format("%Y-%m-%d %H:%M:%S%.6f +00:00").to_string();
    let data = scene.data.clone();
    for (to, what, until) in [("all", scene.archive(1), vec![]), ("now", data, vec!["--until", now.as_str()])] {
        let short = said(&scene.restore(&what, to, &until), 1);
        assert!(short.contains("another process writes it, and could not be asked"), "{short}");
        assert!(!short.contains("No commit was made"), "{short}");
        assert_eq!(scene.more(to), 3);
    }
    // A list of what was done is no more believed.
    for arguments in [&["log"][..], &["log", "--archive", scene.archive(1).to_str().unwrap()]] {
        let listed = [arguments, &[scene.data.to_str().unwrap()]].concat();
        let short = said(&scene.place.run(&listed), 1);
        assert!(short.contains("another process writes") && short.contains("could not be asked"), "{short}");
    }
    let commits = ["log", scene.data.to_str().unwrap(), "--commit", "1..2"];
    said(&scene.place.run(&commits), 0);
    let application = rusqlite::Connection::open(&scene.data).unwrap();
    application.execute("INSERT INTO t(a) VALUES('unwatched too')", []).unwrap();
    let short = said(&scene.place.run(&["log", scene.data.to_str().unwrap()]), 1);
    assert!(short.contains("the data file holds commits that are not in"), "{short}");
}

/// As a machine is that was rolled back, whose archives lie elsewhere.
#[test]
fn a_moment_of_what_was_lost_when_an_older_state_was_put_back_is_not_answered_by_that() {
    let Some(mut scene) = Scene::new() else { return };
    scene.stop();
    let folders = ["app", "logs"].map(|name| (scene.place.at(name), scene.place.at(&format!("elsewhere/{name}"))));
    let copy = |from: &Path, to: &Path| {
        let _ = fs::remove_dir_all(to);
        let copied = std::process::Command::new("cp").arg("-a").args([from, to]).status().unwrap();
        assert!(copied.success());
    };
    folders.iter().for_each(|(folder, kept)| copy(folder, kept));
    scene.serve();
    scene.commits(2);
    let lost = chrono::Utc::now().format("%Y-%m-%d %H:%M:%S%.6f +00:00").to_string();
    scene.backup();
    scene.commits(1);
    scene.stop();
    folders.iter().for_each(|(folder, kept)| copy(kept, folder));
    scene.serve();
    scene.until_complete();
    let data = scene.data.clone();
    let said_then = said(&scene.restore(&data, "then", &["--until", &lost]), 1);
    // Which number the file system gives the data file decides: with another one than before, full backup 0002 may be
    // that of a copy, and the older log goes on; with the same one it is older than that backup, and set aside.
    let goes_on = said_then.contains("put back to an older state") && said_then.contains("full backup 0002");
    let is_aside = said_then.contains("nothing is known after commit 3") && said_then.contains(".set-aside-");
    assert!(goes_on || is_aside, "{said_then}");
    // A commit that it holds is had by its number.
    said(&scene.restore(&data, "number", &["--commit", "2"]), 0);
}

/// The same where no full backup tells of it: whoever looked after it had noted where its log ended.
#[test]
fn a_moment_of_commits_that_the_log_held_and_lost_is_not_answered_by_what_is_left() {
    let Some(mut scene) = Scene::new() else { return };
    scene.stop();
    let files = ["app/a.sqlite", "logs/a.journal", "logs/a.journal.pages"].map(|name| scene.place.at(name));
    let kept = files.clone().map(|path| fs::read(path).unwrap());
    scene.serve();
    scene.commits(2);
    let now = || chrono::Utc::now().format("%Y-%m-%d %H:%M:%S%.6f +00:00").to_string();
    let lost = now();
    scene.commits(1);
    scene.stop();
    files.iter().zip(&kept).for_each(|(path, bytes)| {
        let _ = fs::remove_file(path);
        fs::write(path, bytes).unwrap();
    });
    let told = |scene: &Scene, to: &str| {
        let what = scene.data.to_str().unwrap();
        let said_then = said(&scene.restore(&scene.data, to, &["--until", &lost]), 1);
        assert!(said_then.contains("held commits up to"), "{said_then}");
        let query = scene.place.run(&["query", what, "--at", &lost, "SELECT count(*) FROM t"]);
        assert!(said(&query, 1).contains("held commits up to"), "{}", text(&query.stderr));
    };
    scene.serve();
    scene.until_complete();
    told(&scene, "idle");
    scene.commits(1);
    told(&scene, "went on");
    let later = now();
    scene.commits(1);
    let data = scene.data.clone();
    said(&scene.restore(&data, "later", &["--until", &later]), 0);
    scene.stop();
    told(&scene, "alone");
}

/// The plainest disaster: the disk with data file and log is lost, and the last full backup is put in its place.
#[test]
fn a_moment_of_commits_that_were_lost_with_their_log_is_not_answered_by_the_archive() {
    let Some(mut scene) = Scene::new() else { return };
    let now = || chrono::Utc::now().format("%Y-%m-%d %H:%M:%S%.6f +00:00").to_string();
    scene.commits(1);
    let lost = now();
    scene.commits(1);
    scene.kill();
    scene.lose();
    for name in ["a.journal", "a.journal.pages"] {
        fs::remove_file(scene.log(name)).unwrap();
    }
    // Longer than whoever watches can miss anything.
    std::thread::sleep(Duration::from_secs(4));
    let what = scene.data.to_str().unwrap().to_owned();
    let restored = scene.place.run(&["restore", &what, "--in-place"]);
    assert!(said(&restored, 1).contains("nothing is known after the archive itself"), "{}", text(&restored.stderr));
    let told = |scene: &Scene, to: &str| {
        let said_then = said(&scene.restore(&scene.data, to, &["--until", &lost]), 1);
        assert!(said_then.contains("nothing is known of ") && said_then.contains("nobody watched"), "{said_then}");
        let query = scene.place.run(&["query", &what, "--at", &lost, "SELECT count(*) FROM t"]);
        assert!(said(&query, 1).contains("nothing is known of "), "{}", text(&query.stderr));
    };
    scene.serve();
    scene.until_complete();
    told(&scene, "idle");
    scene.commits(1);
    told(&scene, "went on");
    scene.backup();
    told(&scene, "backed up");
    let later = now();
    scene.commits(1);
    said(&scene.restore(&scene.data.clone(), "later", &["--until", &later]), 0);
}

#[test]
fn every_log_that_can_not_be_used_is_named_with_the_reason() {
    let Some(mut scene) = Scene::new() else { return };
    scene.lose();
    let log = scene.log("a.journal");
    let good = fs::read(&log).unwrap();
    let damaged = {
        let mut bytes = good.clone();
        bytes[90] ^= 1;
        bytes
    };
    let other = {
        // Of another data file: another identity, with a header that is right in itself.
        let mut bytes = good.clone();
        bytes[16..32].fill(7);
        let hash = *blake3::hash(&bytes[..160]).as_bytes();
        bytes[160..192].copy_from_slice(&hash);
        bytes
    };
    let cases: Vec<(&str, Option<Vec<u8>>, &str)> = vec![
        ("gone", None, "a log is in use, LOG, and none that goes on from the archive was found"),
        ("empty", Some(Vec::new()), "LOG cannot be used: it is empty"),
        ("cut", Some(good[..100].to_vec()), "LOG cannot be used: it was cut off within its header"),
        ("text", Some(b"Dear Sir".repeat(50)), "LOG cannot be used: its header is damaged"),
        ("damaged", Some(damaged), "LOG cannot be used: its header is damaged"),
        ("foreign", Some(other), "LOG is not used: it belongs to another data file"),
        ("torn", Some(good[..good.len() - 9].to_vec()), "LOG ends there, in the middle of a commit"),
    ];
    for (name, content, expected) in cases {
        match &content {
            Some(bytes) => fs::write(&log, bytes).unwrap(),
            None => fs::remove_file(&log).unwrap(),
        }
        let said = said(&scene.restore(&scene.archive(1), name, &[]), 1);
        let shown = said.replace(&log.display().to_string(), "LOG");
        assert!(shown.contains(expected), "{name}: {said}");
        assert!(shown.contains("nothing is known after "), "{name}: {said}");
        assert_eq!(scene.more(name), if name == "torn" { 2 } else { 0 }, "{name}");
    }
    // A test restore proves nothing where a log is damaged.
    fs::write(&log, &good[..100]).unwrap();
    let drilled = scene.place.run(&["verify", scene.archive(1).to_str().unwrap(), "--test-restore"]);
    assert!(said(&drilled, 1).contains("a.journal cannot be used: it was cut off within its header"));
    // Another copy of it, wherever it lies.
    let copy = scene.place.at("elsewhere/copy");
    fs::write(&copy, &good).unwrap();
    fs::remove_file(&log).unwrap();
    said(&scene.restore(&scene.archive(1), "given", &["--log", copy.to_str().unwrap()]), 1);
    assert_eq!(scene.more("given"), 3);
}

#[test]
fn a_log_missing_in_the_middle_is_said_and_a_copy_of_it_is_used_once() {
    let Some(mut scene) = Scene::new() else { return };
    scene.backup();
    scene.commits(2);
    scene.lose();
    let middle = scene.log("a[0001].4BL");
    // The same log twice, one of them cut: nothing is doubled, nothing is lost.
    let bytes = fs::read(&middle).unwrap();
    let cut = scene.place.at("archives/a[0001].4BL");
    fs::write(&cut, &bytes[..bytes.len() - 5]).unwrap();
    said(&scene.restore(&scene.archive(1), "twice", &[]), 1);
    assert_eq!(scene.more("twice"), 5);
    fs::remove_file(&cut).unwrap();
    fs::rename(&middle, scene.place.at("elsewhere/middle")).unwrap();
    let gap = said(&scene.restore(&scene.archive(1), "gap", &[]), 1);
    assert!(
        gap.contains("a.journal cannot be used: it begins with commit 4, and a log in between is missing"),
        "{gap}"
    );
    assert!(gap.contains("nothing is known after the archive itself"), "{gap}");
    assert_eq!(scene.more("gap"), 0);
    // The second archive does not need it, nor what became of it.
    fs::write(&middle, &bytes[..100]).unwrap();
    let second = said(&scene.restore(&scene.archive(2), "second", &[]), 1);
    assert!(second.contains("nothing is known after commit 5 of ") && !second.contains("missing"), "{second}");
    assert!(!second.contains("cannot be used"), "{second}");
    assert_eq!(scene.more("second"), 5);
}

#[test]
fn an_unfinished_cut_is_integrated_across_both_its_logs() {
    let Some(mut scene) = Scene::new() else { return };
    scene.backup();
    scene.commits(2);
    scene.lose();
    // As a crash leaves it right after the second archive had its name: the log sealed, the next one beside it.
    fs::rename(scene.log("a.journal"), scene.log("a.journal.next")).unwrap();
    fs::rename(scene.log("a[0001].4BL"), scene.log("a.journal")).unwrap();
    for number in [1, 2] {
        let to = format!("from {number}");
        said(&scene.restore(&scene.archive(number), &to, &[]), 1);
        assert_eq!(scene.more(&to), 5);
    }
}

#[test]
fn a_data_file_that_is_gone_finds_the_archive_that_leads_to_a_moment() {
    let Some(mut scene) = Scene::new() else { return };
    let between = || {
        std::thread::sleep(Duration::from_millis(1100));
        let now = chrono::Local::now();
        std::thread::sleep(Duration::from_millis(1100));
        now.format("%Y-%m-%d %H:%M:%S").to_string()
    };
    let before_second = between();
    scene.backup();
    scene.commits(2);
    let after_second = between();
    scene.commits(1);
    scene.lose();
    let data = scene.data.clone();
    said(&scene.restore(&data, "all", &[]), 1);
    assert_eq!(scene.more("all"), 6);
    said(&scene.restore(&data, "after", &["--until", &after_second]), 0);
    said(&scene.restore(&data, "before", &["--until", &before_second]), 0);
    assert_eq!((scene.more("after"), scene.more("before")), (5, 3));
    said(&scene.restore(&data, "commit", &["--commit", "2"]), 0);
    assert_eq!(scene.more("commit"), 2);
    // Given the archive that is later, the one that fits is named.
    let late = said(&scene.restore(&scene.archive(2), "late", &["--until", &before_second]), 1);
    assert!(late.contains("Full backup 0001, of ") && late.contains(&scene.archive(1).display().to_string()), "{late}");
    assert!(!scene.place.at("late").exists());
    let early = said(&scene.restore(&data, "early", &["--until", "2001-01-01 00:00:00"]), 1);
    assert!(early.contains("the oldest is of "), "{early}");
    let far = said(&scene.restore(&data, "far", &["--commit", "99"]), 1);
    assert!(far.contains("lead to commit 6 only"), "{far}");
    let end = said(&scene.restore(&data, "end", &["--until", "2101-01-01 00:00:00"]), 1);
    assert!(end.contains("nothing is known after commit 6 of "), "{end}");
    assert!(end.contains("The moment wanted, 2101-01-01 00:00:00 "), "{end}");
    // In place: it is there again.
    let path = data.to_str().unwrap();
    let there = scene.place.run(&["restore", path, "--in-place", path]);
    said(&there, 1);
    let conn = rusqlite::Connection::open(&data).unwrap();
    let more: i64 = conn.query_row("SELECT count(*) FROM t WHERE a LIKE 'more %'", [], |row| row.get(0)).unwrap();
    assert_eq!(more, 6);
    let nothing = said(&scene.restore(&scene.place.at("app/other.sqlite"), "other", &[]), 1);
    assert!(nothing.contains("no archive of ") && nothing.contains("other.sqlite was found in "), "{nothing}");
}

#[test]
fn an_archive_made_without_a_log_says_which_logs_it_can_not_use() {
    if !has("sqlite3") {
        return;
    }
    let place = Place::new();
    let data = place.at("a.sqlite");
    drop(make_data_file(&data, "PRAGMA journal_mode=WAL", 50));
    let archive = place.backup(&data).unwrap().archive;
    let restore = |to: &str| place.run(&["restore", archive.to_str().unwrap(), "--to", place.at(to).to_str().unwrap()]);
    assert_eq!(said(&restore("alone"), 0), "");
    let mut service = serve(&place, &data);
    assert!(place.run(&["backup", data.to_str().unwrap()]).status.success());
    support::engine::foreign_commits(&data, "INSERT INTO t(a) VALUES('logged')");
    let begun = Instant::now();
    let log = place.at("Backups/a.journal");
    while fs::metadata(&log).unwrap().len() <= 192 {
        assert!(begun.elapsed() < Duration::from_secs(60));
        std::thread::sleep(Duration::from_millis(5));
    }
    let more = said(&restore("more"), 1);
    service.kill().unwrap();
    service.wait().unwrap();
    assert!(more.contains("a log is in use") && more.contains("a.journal cannot be used"), "{more}");
}

#[test]
fn where_archives_of_several_data_files_lie_nobody_guesses_whose_a_lost_one_had() {
    let place = Place::new();
    let bk = place.at("bk");
    for folder in ["one", "two"] {
        fs::create_dir(place.at(folder)).unwrap();
        let data = place.at(folder).join("a.sqlite");
        drop(make_data_file(&data, "", 20));
        let destination = format!("destination.folder={}", bk.display());
        assert!(place.run(&["settings", data.to_str().unwrap(), &destination]).status.success());
        assert!(place.run(&["backup", data.to_str().unwrap()]).status.success());
    }
    let data = place.at("one/a.sqlite");
    fs::remove_dir_all(place.at("one")).unwrap();
    fs::create_dir(place.at("one")).unwrap();
    // Beside it lie both, as after a disk was put in that both had used.
    fs::rename(&bk, place.at("one/Backups")).unwrap();
    fs::remove_dir_all(place.own()).unwrap();
    let output = place.run(&["restore", data.to_str().unwrap(), "--to", place.at("out").to_str().unwrap()]);
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("archives of 2 data files of this name were found"), "{said}");
    assert!(said.contains("a[0001].4BK, the state of ") && said.contains("a[0002].4BK, the state of "), "{said}");
    assert!(!place.at("out").exists());
}

#[test]
fn a_moment_in_a_time_when_nobody_watched_is_said_not_to_be_known() {
    let Some(mut scene) = Scene::new() else { return };
    scene.kill();
    // Moments of the log are exact to a microsecond, those that are asked for to a millisecond.
    let pause = || std::thread::sleep(Duration::from_millis(20));
    pause();
    support::engine::foreign_commits(&scene.data, "INSERT INTO t(a) VALUES('more than was seen')");
    pause();
    let moment = chrono::Utc::now().to_rfc3339();
    pause();
    scene.serve();
    scene.commits(1);
    let data = scene.data.clone();
    let output = scene.restore(&data, "within", &["--until", &moment]);
    let said = text(&output.stderr);
    assert_eq!((output.status.code(), scene.more("within")), (Some(1), 3), "{said}");
    assert!(said.contains("nothing is known of ") && said.contains("as one step"), "{said}");
    assert!(said.contains("(--commit 4)"), "{said}");
    let output = scene.restore(&data, "all of it", &["--commit", "4"]);
    assert_eq!((output.status.code(), scene.more("all of it")), (Some(0), 4), "{}", text(&output.stderr));
    let before = scene.restore(&data, "before", &["--commit", "2"]);
    assert_eq!((before.status.code(), scene.more("before")), (Some(0), 2), "{}", text(&before.stderr));
}

#[test]
fn damage_that_a_restore_met_is_remembered() {
    let Some(mut scene) = Scene::new() else { return };
    scene.kill();
    let archive = scene.damaged(1);
    let is_told = || {
        let output = scene.place.run(&["status", scene.data.to_str().unwrap(), "--json"]);
        text(&output.stdout).contains("\"archive-damaged\"")
    };
    assert!(!is_told(), "nobody has looked");
    let said = said(&scene.restore(&archive, "none", &[]), 1);
    assert!(said.contains("is damaged"), "{said}");
    assert!(is_told());
}

/// A file that was named for a log, and is none, says nothing of the archive.
#[test]
fn damage_in_a_log_that_a_restore_met_is_remembered() {
    let Some(mut scene) = Scene::new() else { return };
    scene.kill();
    let is_told = || {
        let output = scene.place.run(&["status", scene.data.to_str().unwrap()]);
        text(&output.stdout).contains("archive 0001 cannot be restored with its logs: ")
    };
    let strange = scene.place.at("strange.journal");
    fs::write(&strange, "no log").unwrap();
    scene.restore(&scene.archive(1), "strange", &["--log", strange.to_str().unwrap()]);
    assert!(!is_told());
    let log = scene.log("a.journal");
    let mut bytes = fs::read(&log).unwrap();
    // In the first record: those after it show that it was no torn end.
    bytes[192 + 60] ^= 1;
    fs::write(&log, bytes).unwrap();
    let said = said(&scene.restore(&scene.archive(1), "none", &[]), 1);
    assert!(said.contains("is damaged at byte 192"), "{said}");
    assert!(is_told());
    // Every byte of the archive is as it was written; that makes the log no better.
    assert!(scene.place.run(&["verify", scene.archive(1).to_str().unwrap()]).status.success());
    assert!(is_told());
}

/// It came back from its recovery data. What is damaged next may be more than that covers.
#[test]
fn a_damaged_log_that_was_repaired_while_it_was_read_is_remembered_until_it_is_whole() {
    let Some(mut scene) = Scene::new() else { return };
    assert!(scene.place.run(&["settings", scene.data.to_str().unwrap(), "archive.redundancy=medium"]).status.success());
    scene.commits(60);
    scene.backup();
    scene.kill();
    let state = || {
        let output = scene.place.run(&["status", scene.data.to_str().unwrap()]);
        text(&output.stdout).contains("archive 0001 needs a log that is damaged: ")
    };
    let log = scene.log("a[0001].4BL");
    let good = fs::read(&log).unwrap();
    let mut bytes = good.clone();
    bytes[300..320].fill(7);
    fs::write(&log, bytes).unwrap();
    let archive = scene.archive(1);
    let test = || scene.place.run(&["verify", archive.to_str().unwrap(), "--test-restore"]);
    assert!(!state(), "nobody has looked");
    let output = scene.restore(&archive, "repaired", &["--log", log.to_str().unwrap(), "--commit", "60"]);
    assert!(output.status.success() && !state(), "a log that was named for it: {output:?}");
    let output = scene.restore(&archive, "found", &["--commit", "60"]);
    assert!(output.status.success() && text(&output.stdout).contains("was repaired in memory"), "{output:?}");
    assert!(state(), "met by a restore");
    let output = test();
    assert!(output.status.success() && text(&output.stdout).contains("was repaired in memory"), "{output:?}");
    assert!(state(), "met by a test restore");
    fs::write(&log, good).unwrap();
    assert!(test().status.success());
    assert!(!state(), "found whole");
}

/// The one before and the logs lead to the same state.
#[test]
fn an_archive_that_is_known_to_be_damaged_is_not_chosen_where_another_one_leads_there() {
    let Some(mut scene) = Scene::new() else { return };
    scene.backup();
    scene.commits(2);
    let live = logical_content(&scene.data);
    let archive = scene.damaged(2);
    assert_eq!(scene.place.run(&["verify", archive.to_str().unwrap()]).status.code(), Some(1));
    let data = scene.data.clone();
    said(&scene.restore(&data, "while it runs", &[]), 0);
    assert_eq!(logical_content(&scene.place.at("while it runs/a.sqlite")), live);
    scene.lose();
    let words = said(&scene.restore(&data, "lost", &[]), 1);
    assert!(words.contains("nothing is known after commit 5"), "{words}");
    assert_eq!(logical_content(&scene.place.at("lost/a.sqlite")), live);
}

/// Nobody should have to ask twice, or know that there is an older archive which leads to the same state.
#[test]
fn a_sound_copy_in_the_place_of_an_archive_that_was_found_damaged_is_restored() {
    let Some(mut scene) = Scene::new() else { return };
    scene.stop();
    let whole = fs::read(scene.archive(1)).unwrap();
    let archive = scene.damaged(1);
    let data = scene.data.clone();
    said(&scene.restore(&data, "damaged", &[]), 1);
    assert!(said(&scene.restore(&data, "again", &[]), 1).contains("as was found before"));
    fs::write(&archive, whole).unwrap();
    said(&scene.restore(&data, "sound", &[]), 0);
    assert_eq!(scene.more("sound"), 3);
}

/// What settings say by mistake hides none of the archives that are there.
#[test]
fn settings_with_a_mistake_are_in_the_way_of_no_restore() {
    let Some(mut scene) = Scene::new() else { return };
    scene.stop();
    let path = scene.place.at("app/a.strongroom.toml");
    let text = fs::read_to_string(&path).unwrap();
    let id = text.lines().find(|line| line.starts_with("id = ")).unwrap();
    let log = text.lines().find(|line| line.starts_with("file = ")).unwrap();
    let no_folder = format!("file = \"{}/below a file/a.journal\"", scene.data.display());
    let mistakes =
        [("log", log, no_folder.as_str()), ("identity", id, "id = \"deadbeef-0000-4000-8000-000000000000\"")];
    for (what, right, wrong) in mistakes {
        fs::write(&path, text.replace(right, wrong)).unwrap();
        let output = scene.restore(&scene.data, what, &["--no-log"]);
        assert!(scene.place.at(what).join("a.sqlite").exists(), "{what}: {}", support::text(&output.stderr));
        assert_eq!(scene.more(what), 0);
    }
}

#[test]
fn an_archive_that_turns_out_to_be_damaged_is_passed_by_at_once() {
    let Some(mut scene) = Scene::new() else { return };
    scene.backup();
    scene.commits(2);
    let live = logical_content(&scene.data);
    scene.damaged(2);
    scene.lose();
    let data = scene.data.clone();
    let words = said(&scene.restore(&data, "lost", &[]), 1);
    assert!(words.contains("a[0002].4BK cannot be restored, and was passed by"), "{words}");
    assert!(words.contains("nothing is known after commit 5"), "{words}");
    assert_eq!(logical_content(&scene.place.at("lost/a.sqlite")), live);
    // Where there is no other one, that is said, and nothing is restored.
    fs::remove_file(scene.archive(1)).unwrap();
    let words = said(&scene.restore(&data, "none", &[]), 1);
    assert!(words.contains("a[0002].4BK is damaged") && !words.contains("passed by"), "{words}");
    assert!(!scene.place.at("none/a.sqlite").exists());
}

/// What the settings said is gone with them; the Backup journal knows what was made of this data file.
#[test]
fn one_of_several_of_its_name_whose_settings_are_gone_is_known_by_its_backups() {
    let Some(mut scene) = Scene::new() else { return };
    let live = logical_content(&scene.data);
    scene.kill();
    // Another machine's data file of this name; its archives came into the same folder.
    let other = Place::new();
    drop(make_data_file(&other.at("a.sqlite"), "PRAGMA journal_mode=WAL", 7));
    assert!(other.run(&["backup", other.at("a.sqlite").to_str().unwrap()]).status.success());
    fs::copy(other.at("Backups/a[0001].4BK"), scene.archive(7)).unwrap();
    fs::rename(scene.place.at("app"), scene.place.at("elsewhere/app")).unwrap();
    let data = scene.data.clone();
    let path = data.to_str().unwrap();
    said(&scene.restore(&data, "back", &[]), 1);
    assert_eq!(logical_content(&scene.place.at("back/a.sqlite")), live);
    let listed = text(&scene.place.run(&["list", path]).stdout);
    assert!(listed.contains("a[0001].4BK") && listed.contains("OF ANOTHER DATA FILE"), "{listed}");
    let status = scene.place.run(&["status", path]);
    let told = text(&status.stdout) + &text(&status.stderr);
    assert!(told.contains("logs/a.journal") && told.contains("a[0001].4BK"), "{told}");
    // To somebody else, who made none, both are of this name.
    let output = other.run(&["restore", path, "--to", other.at("to").to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(1));
}

/// Its folder was on the disk that failed; archives and log were not.
#[test]
fn a_data_file_that_is_gone_with_its_folder_and_settings_is_brought_back() {
    let Some(mut scene) = Scene::new() else { return };
    let live = logical_content(&scene.data);
    scene.kill();
    fs::rename(scene.place.at("app"), scene.place.at("elsewhere/app")).unwrap();
    let data = scene.data.clone();
    let words = said(&scene.restore(&data, "back", &[]), 1);
    assert!(words.contains("nothing is known after commit 3"), "{words}");
    assert_eq!(logical_content(&scene.place.at("back/a.sqlite")), live);
    let path = data.to_str().unwrap();
    let output = scene.place.run(&["restore", path, "--in-place", path]);
    assert!(logical_content(&data) == live, "{}", text(&output.stderr));
}

/// It was read to its end before it got its name: what it lacks since is damage, whatever its records look like, and no
/// job may call an archive proven that a restore would say to be without commits.
#[test]
fn an_archived_log_that_breaks_off_is_damaged_for_every_job() {
    let Some(mut scene) = Scene::new() else { return };
    scene.backup();
    scene.commits(2);
    scene.lose();
    let (archive, log) = (scene.archive(1), scene.log("a[0001].4BL"));
    let whole = fs::read(&log).unwrap();
    let ends: Vec<usize> = {
        let mut reader = LogReader::open(&log).unwrap();
        std::iter::from_fn(|| reader.next_record().unwrap()).map(|record| record.end as usize).collect()
    };
    let end = ends[2];
    assert!(ends.len() == 3 && end < whole.len(), "an index follows");
    let test = || scene.place.run(&["verify", archive.to_str().unwrap(), "--test-restore"]);
    said(&test(), 0);
    let flipped = |at: usize| {
        let mut bytes = whole.clone();
        bytes[at] ^= 1;
        bytes
    };
    let zeros = [&whole[..ends[0]], &vec![0; whole.len() - ends[0]]].concat();
    let damages = [
        ("its last commit", flipped(end - 1)),
        ("its last commit, at the beginning", flipped(ends[1] + 5)),
        ("cut within a record", whole[..end - 3].to_vec()),
        ("cut between records", whole[..ends[1]].to_vec()),
        ("without a record", whole[..192].to_vec()),
        ("cut within the header", whole[..100].to_vec()),
        ("emptied", Vec::new()),
        ("zeros", zeros),
    ];
    for (nth, (what, bytes)) in damages.iter().enumerate() {
        fs::write(&log, bytes).unwrap();
        let restored = said(&scene.restore(&archive, &format!("restored {nth}"), &[]), 1);
        let tested = said(&test(), 1);
        for said in [restored, tested] {
            let is_told =
                said.contains("a[0001].4BL is damaged at byte ") || said.contains("a[0001].4BL cannot be used: ");
            assert!(is_told, "{what}: {said}");
        }
        // Up to a commit before the damage nothing is missing.
        if ends[0] < bytes.len() && nth != 4 {
            said(&scene.restore(&archive, &format!("before {nth}"), &["--commit", "1"]), 0);
        }
    }
    // The index lies behind all commits: nothing is missing without it.
    for bytes in [flipped(whole.len() - 1), flipped(end + 9), whole[..end].to_vec()] {
        fs::write(&log, bytes).unwrap();
        said(&test(), 0);
    }
    // A drill draws no commit before the damage: that would prove it away.
    fs::write(&log, &damages[0].1).unwrap();
    let mut archives = catalog::list(&scene.place.at("archives"), Some("a")).unwrap();
    archives.retain(|listed| listed.path == archive);
    for drawn in 0..5 {
        let logs = Logs::Also(vec![log.clone()]);
        let drawn = drill::draw(&archives, &logs, &mut |below| drawn.min(below - 1)).unwrap();
        assert_eq!(drawn, (archive.clone(), logs, Until::End));
    }
}
