//! Only sound backups push out sound ones: driven through the real program, alone and with a service.

use crate::support;

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Child, Output, Stdio},
    time::{Duration, Instant},
};

use rusqlite::Connection;
use serde_json::Value;
use support::{Place, make_data_file, names_in, text};

/// A data file in a place of its own, of which the real program makes backups.
struct Scene {
    place: Place,
    data: PathBuf,
}

impl Scene {
    fn new(last: u32) -> Self {
        let place = Place::new();
        let data = place.at("a.sqlite");
        drop(make_data_file(&data, "", 2000));
        let scene = Self { place, data };
        scene.set(&[&format!("keep.last={last}")]);
        scene
    }

    fn run(&self, arguments: &[&str]) -> Output {
        self.place.run(arguments)
    }

    fn set(&self, settings: &[&str]) {
        let mut arguments = vec!["settings", self.data.to_str().unwrap()];
        arguments.extend(settings);
        let output = self.run(&arguments);
        assert!(output.status.success(), "{}", text(&output.stderr));
    }

    /// Makes a backup, and returns the report; `sound` says whether all must be well.
    fn back_up(&self, sound: bool) -> Value {
        let output = self.run(&["backup", self.data.to_str().unwrap(), "--json"]);
        assert_eq!(output.status.success(), sound, "{} {}", text(&output.stdout), text(&output.stderr));
        if !sound {
            assert!(text(&output.stderr).contains("that SQLite finds damaged"), "{}", text(&output.stderr));
            assert!(text(&output.stderr).contains("Make no further backups to repair this"));
        }
        serde_json::from_slice(&output.stdout).unwrap()
    }

    fn status(&self) -> Value {
        let output = self.run(&["status", self.data.to_str().unwrap(), "--json"]);
        assert!(output.status.success(), "{}", text(&output.stderr));
        serde_json::from_slice(&output.stdout).unwrap()
    }

    /// The message and the hint of the warning of this kind.
    fn warning(&self, kind: &str) -> Option<(String, String)> {
        let status = self.status();
        let found = status["warnings"].as_array().unwrap().iter().find(|warning| warning["kind"] == kind)?.clone();
        let word = |key: &str| found[key].as_str().unwrap().to_owned();
        Some((word("message"), word("hint")))
    }

    fn archives_in(&self, folder: &str) -> Vec<u32> {
        let mut numbers: Vec<u32> = names_in(&self.place.at(folder))
            .iter()
            .filter(|name| name.ends_with("].4BK"))
            .map(|name| name["a[".len().."a[0000".len()].parse().unwrap())
            .collect();
        numbers.dedup();
        numbers
    }

    fn archives(&self) -> Vec<u32> {
        self.archives_in("Backups")
    }

    fn list(&self) -> String {
        let output = self.run(&["list", self.data.to_str().unwrap()]);
        assert!(output.status.success(), "{}", text(&output.stderr));
        text(&output.stdout)
    }

    fn archive(&self, name: &str) -> String {
        self.place.at("Backups").join(name).to_str().unwrap().to_owned()
    }
}

/// Overwrites a part of the first page that belongs to a table or an index.
fn damage_page_of(data: &Path, name: &str) {
    let conn = Connection::open(data).unwrap();
    let sql = "SELECT rootpage FROM sqlite_schema WHERE name=?1";
    let page: u32 = conn.query_row(sql, [name], |row| row.get(0)).unwrap();
    conn.close().unwrap();
    let mut bytes = fs::read(data).unwrap();
    let at = (page as usize - 1) * 4096;
    bytes[at + 12..at + 600].fill(0xaa);
    fs::write(data, bytes).unwrap();
}

/// A service for the data file, ended with the test.
struct Service(Child);

impl Service {
    fn start(scene: &Scene) -> Self {
        let mut command = scene.place.program();
        command.arg("serve").arg("--no-log").arg(&scene.data).stdout(Stdio::null()).stderr(Stdio::null());
        let service = Self(command.spawn().unwrap());
        let begun = Instant::now();
        while scene.status()["engine"].is_null() {
            assert!(begun.elapsed() < Duration::from_secs(120), "the service never came");
            std::thread::sleep(Duration::from_millis(50));
        }
        service
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// What must be so, whoever makes the backups: four of a damaged data file, then of one that is sound again.
fn four_backups_of_a_damaged_data_file(scene: &Scene) {
    let sound = fs::read(&scene.data).unwrap();
    for _ in 0..3 {
        assert_eq!(scene.back_up(true)["seen"]["check"], "whole");
    }
    assert_eq!(scene.archives(), [1, 2, 3]);
    assert_eq!(scene.warning("content-damaged"), None);
    damage_page_of(&scene.data, "t");
    for _ in 0..4 {
        let report = scene.back_up(false);
        assert_eq!(report["seen"]["check"], "damaged");
        assert!(scene.archives().starts_with(&[1, 2, 3]), "{:?}", scene.archives());
    }
    assert_eq!(scene.archives(), [1, 2, 3, 5, 6, 7]);
    let (message, hint) = scene.warning("content-damaged").unwrap();
    assert!(message.starts_with("backup 0007 is damaged in its content ("), "{message}");
    assert!(message.contains("the newest sound one, 0003 of ") && message.ends_with("stays whatever its age"));
    assert!(hint.starts_with("Make no further backups to repair this.") && hint.contains("strongroom check"), "{hint}");
    let list = scene.list();
    let lines: Vec<&str> = list.lines().collect();
    assert!(lines[0].contains("CONTENT DAMAGED: ") && lines[3].ends_with("  content checked"), "{list}");
    // The data file is repaired.
    fs::write(&scene.data, sound).unwrap();
    scene.back_up(true);
    assert_eq!(scene.archives(), [2, 3, 6, 7, 8]);
    assert_eq!(scene.warning("content-damaged"), None);
    scene.back_up(true);
    scene.back_up(true);
    assert_eq!(scene.archives(), [8, 9, 10]);
}

#[test]
fn backups_of_a_damaged_data_file_by_command_push_out_nothing_sound() {
    four_backups_of_a_damaged_data_file(&Scene::new(3));
}

#[test]
fn backups_of_a_damaged_data_file_under_a_service_push_out_nothing_sound() {
    let scene = Scene::new(3);
    let _service = Service::start(&scene);
    four_backups_of_a_damaged_data_file(&scene);
}

#[test]
fn before_a_backup_nothing_sound_is_deleted_for_a_damaged_one_either() {
    let scene = Scene::new(2);
    scene.set(&["keep.delete-oldest=before"]);
    scene.back_up(true);
    scene.back_up(true);
    damage_page_of(&scene.data, "t");
    for _ in 0..4 {
        scene.back_up(false);
    }
    // The first goes before anybody knows; a sound one remains for ever.
    assert_eq!(scene.archives(), [2, 5, 6]);
    // What was seen is written in the archives: the program's own folders may be lost.
    fs::remove_dir_all(scene.place.own()).unwrap();
    scene.back_up(false);
    assert_eq!(scene.archives(), [2, 6, 7]);
}

/// An index without the records that were added while it was not on the list.
fn starve_index(data: &Path) {
    let conn = Connection::open(data).unwrap();
    let row: (i64, String) = conn
        .query_row("SELECT rootpage, sql FROM sqlite_schema WHERE name='t_a'", [], |r| Ok((r.get(0)?, r.get(1)?)))
        .unwrap();
    conn.execute_batch("PRAGMA writable_schema=ON; DELETE FROM sqlite_schema WHERE name='t_a'").unwrap();
    conn.close().unwrap();
    let conn = Connection::open(data).unwrap();
    conn.execute_batch("INSERT INTO t(a) VALUES('not in the index')").unwrap();
    conn.execute_batch("PRAGMA writable_schema=ON").unwrap();
    conn.execute("INSERT INTO sqlite_schema VALUES('index','t_a','t',?1,?2)", row).unwrap();
    conn.close().unwrap();
}

/// A data file that lost its second half, and says that it is as long as it is.
fn lose_half(data: &Path) {
    let mut bytes = fs::read(data).unwrap();
    let pages = bytes.len() / 4096 / 2;
    bytes.truncate(pages * 4096);
    bytes[28..32].copy_from_slice(&(pages as u32).to_be_bytes());
    fs::write(data, bytes).unwrap();
}

#[test]
fn every_kind_of_damage_in_the_content_is_noticed() {
    let index_page: fn(&Path) = |data| damage_page_of(data, "t_a");
    for (what, damage) in [
        ("a page of an index", index_page),
        ("an index that lacks a record", starve_index),
        ("the second half of the file", lose_half),
    ] {
        let scene = Scene::new(1);
        scene.back_up(true);
        damage(&scene.data);
        scene.back_up(false);
        scene.back_up(false);
        assert_eq!(scene.archives(), [1, 3], "{what}");
    }
    // One that is cut off cannot even be read to its end: no archive, and nothing goes.
    let scene = Scene::new(1);
    scene.back_up(true);
    let length = scene.data.metadata().unwrap().len();
    fs::File::options().write(true).open(&scene.data).unwrap().set_len(length / 2 / 4096 * 4096).unwrap();
    assert!(!scene.run(&["backup", scene.data.to_str().unwrap()]).status.success());
    assert_eq!(scene.archives(), [1]);
}

#[test]
fn an_archive_that_was_damaged_afterwards_pushes_out_nothing() {
    let scene = Scene::new(3);
    scene.back_up(true);
    scene.back_up(true);
    let newest = scene.archive("a[0002].4BK");
    let mut bytes = fs::read(&newest).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&newest, bytes).unwrap();
    damage_page_of(&scene.data, "t");
    // Backup 1 would go by the number; that 2 is not whole is found when it is read for that.
    scene.set(&["keep.last=1"]);
    scene.back_up(false);
    assert_eq!(scene.archives(), [1, 2, 3]);
    // Once it is known, it counts as damaged, whoever looks.
    assert!(!scene.run(&["verify", &newest]).status.success());
    assert!(scene.warning("content-damaged").unwrap().0.contains("the newest sound one, 0001 of "));
    scene.back_up(false);
    assert_eq!(scene.archives(), [1, 4]);
}

#[test]
fn the_newest_sound_backup_in_an_earlier_folder_is_known_and_stays() {
    let scene = Scene::new(1);
    scene.back_up(true);
    scene.set(&[&format!("destination.folder={}", scene.place.at("elsewhere").display())]);
    damage_page_of(&scene.data, "t");
    for _ in 0..3 {
        scene.back_up(false);
    }
    assert_eq!((scene.archives(), scene.archives_in("elsewhere")), (vec![1], vec![4]));
    assert!(scene.warning("content-damaged").unwrap().0.contains("the newest sound one, 0001 of "));
}

#[test]
fn sound_backups_in_segments_stay_too() {
    let scene = Scene::new(1);
    let conn = Connection::open(&scene.data).unwrap();
    let fill = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i<3000) INSERT INTO t(b) SELECT \
                randomblob(1000) FROM n";
    conn.execute_batch(fill).unwrap();
    drop(conn);
    scene.set(&["archive.segment-size=1"]);
    scene.back_up(true);
    let segments = |number: u32| {
        let name = format!("a[{number:04}-");
        names_in(&scene.place.at("Backups")).iter().filter(|other| other.starts_with(&name)).count()
    };
    assert!(segments(1) >= 3);
    damage_page_of(&scene.data, "t");
    scene.back_up(false);
    scene.back_up(false);
    assert_eq!((segments(1) >= 3, segments(2), segments(3) >= 3), (true, 0, true));
    // A hold is for all segments, whichever is named.
    let second = scene.archive("a[0003-0002].4BK");
    let output = scene.run(&["hold", &second, "--note", "for the record"]);
    assert!(text(&output.stdout).starts_with("Archive 0003 is held (for the record)"), "{}", text(&output.stdout));
    scene.back_up(false);
    scene.back_up(false);
    assert_eq!((segments(1) >= 3, segments(3) >= 3, segments(4), segments(5) >= 3), (true, true, 0, true));
}

#[test]
fn what_nobody_could_check_pushes_out_nothing_that_was() {
    let scene = Scene::new(1);
    scene.back_up(true);
    // Its order of letters is known only to its application.
    let conn = Connection::open(&scene.data).unwrap();
    conn.execute_batch(
        "PRAGMA writable_schema=ON;
         UPDATE sqlite_schema SET sql='CREATE TABLE t(id INTEGER PRIMARY KEY, a TEXT COLLATE office, b BLOB, c \
         REAL)' WHERE name='t'",
    )
    .unwrap();
    drop(conn);
    for _ in 0..3 {
        let output = scene.run(&["backup", scene.data.to_str().unwrap()]);
        assert!(output.status.success(), "{}", text(&output.stderr));
        let words = text(&output.stdout);
        assert!(words.contains("CONTENT NOT CHECKED: ") && words.contains("office"), "{words}");
    }
    assert_eq!(scene.archives(), [1, 4]);
    let (message, hint) = scene.warning("content-not-checked").unwrap();
    assert!(
        message.starts_with("the content of the last backup was not checked (") && message.contains("0001"),
        "{message}"
    );
    assert!(hint.contains("--test-restore"));
    assert!(scene.list().lines().next().unwrap().ends_with("  content not checked"));
}

#[test]
fn the_backup_before_a_drastic_change_is_held_until_it_is_released() {
    let scene = Scene::new(1);
    scene.back_up(true);
    let conn = Connection::open(&scene.data).unwrap();
    conn.execute_batch("DELETE FROM t WHERE id>20; DELETE FROM k").unwrap();
    let output = scene.run(&["backup", scene.data.to_str().unwrap()]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    let words = text(&output.stdout);
    assert!(
        words.contains("WARNING: drastically other content than backup 0001: the records went from 4000 to 20"),
        "{words}"
    );
    scene.back_up(true);
    assert_eq!(scene.archives(), [1, 3]);
    let (message, hint) = scene.warning("content-changed").unwrap();
    let expected = "backup 0002 holds drastically other content: the records went from 4000 to 20";
    assert!(message.starts_with(expected), "{message}");
    let archive = scene.archive("a[0001].4BK");
    assert!(hint.ends_with(&format!("or with: strongroom hold '{archive}' --release.")), "{hint}");
    assert!(scene.list().contains(&format!("held ({expected}")));
    // Tables gone, at once: what is held for the same reason and holds more stays.
    conn.execute_batch("DROP TABLE k").unwrap();
    let report = scene.back_up(true);
    assert_eq!(report["change"]["what"], "1 of its 2 tables are gone: k");
    assert_eq!(scene.archives(), [1, 3, 4]);
    // Filled again and emptied again: the newer of two alike is held, not one more each time.
    conn.execute_batch(
        "CREATE TABLE k(k TEXT PRIMARY KEY, v) WITHOUT ROWID;
        WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i<5000) INSERT INTO t(a) SELECT i FROM n;
        INSERT INTO k SELECT a, id FROM t WHERE a IS NOT NULL GROUP BY a",
    )
    .unwrap();
    assert!(scene.back_up(true)["change"].is_null());
    assert_eq!(scene.archives(), [1, 3, 5]);
    conn.execute_batch("DELETE FROM t; DELETE FROM k").unwrap();
    assert_eq!(scene.back_up(true)["change"]["since"], 5);
    assert_eq!(scene.archives(), [5, 6]);
    let output = scene.run(&["hold", &scene.archive("a[0005].4BK"), "--release"]);
    assert!(text(&output.stdout).starts_with("Archive 0005 is released"), "{}", text(&output.stdout));
    assert_eq!(scene.warning("content-changed"), None);
    scene.back_up(true);
    assert_eq!(scene.archives(), [7]);
}

#[test]
fn a_held_backup_is_never_deleted_and_does_not_count() {
    let scene = Scene::new(2);
    scene.back_up(true);
    let first = scene.archive("a[0001].4BK");
    let output = scene.run(&["hold", &first, "--note", "before the migration", "--json"]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    let entry: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(entry["hold"]["note"], "before the migration");
    for _ in 0..3 {
        scene.back_up(true);
    }
    assert_eq!(scene.archives(), [1, 3, 4]);
    scene.set(&["keep.delete-oldest=before", "keep.last=1", "keep.daily=1"]);
    // The program's own folders are lost, and the folder for archives is another one from now on.
    fs::remove_dir_all(scene.place.own()).unwrap();
    scene.back_up(true);
    scene.back_up(true);
    assert_eq!(scene.archives(), [1, 6]);
    scene.set(&[&format!("destination.folder={}", scene.place.at("elsewhere").display())]);
    scene.back_up(true);
    let list = scene.list();
    assert!(list.lines().last().unwrap().ends_with("  held (before the migration)"), "{list}");
    let output = scene.run(&["hold", &first, "--release"]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert!(!scene.list().contains("held"));
    scene.set(&["--default", "destination.folder"]);
    scene.back_up(true);
    assert!(!scene.archives().contains(&1), "{:?}", scene.archives());
    let output = scene.run(&["hold", &first]);
    assert!(!output.status.success() && text(&output.stderr).contains("does not exist"));
}

#[test]
fn in_steps_the_newest_of_each_period_stays() {
    let scene = Scene::new(1);
    scene.set(&["keep.hourly=1", "keep.yearly=1"]);
    for _ in 0..3 {
        scene.back_up(true);
    }
    assert_eq!(scene.archives(), [3]);
    let output = scene.run(&["settings", scene.data.to_str().unwrap(), "keep.daily=many"]);
    assert!(text(&output.stderr).contains("keep.daily must be a whole number from 0 to 9999"));
}

/// More than can be compared with its indexes while the state is held: only its structure is checked then.
#[test]
fn what_was_checked_by_structure_alone_pushes_out_nothing_before_it_was_restored_for_a_test() {
    let place = Place::in_memory();
    let data = place.at("a.sqlite");
    let writer = make_data_file(&data, "PRAGMA journal_mode=WAL", 100);
    writer.execute_batch("PRAGMA synchronous=OFF; CREATE TABLE large(x)").unwrap();
    let insert = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i<530) INSERT INTO large \
                  SELECT zeroblob(1048576) FROM n";
    writer.execute_batch(insert).unwrap();
    writer.execute_batch("PRAGMA wal_checkpoint(TRUNCATE)").unwrap();
    drop(writer);
    let scene = Scene { place, data };
    scene.set(&["keep.last=1", "archive.test-restore=never"]);
    assert_eq!(scene.back_up(true)["seen"]["check"], "structure");
    // A command makes the test restore that the settings want at once: there is nobody to make it later.
    scene.set(&["archive.test-restore=automatic"]);
    assert_eq!(scene.back_up(true)["seen"]["check"], "whole");
    assert_eq!(scene.archives(), [2]);
    assert!(scene.list().ends_with("  content checked\n"));
    // A service makes it a moment later, and until then the old one stays.
    let _service = Service::start(&scene);
    let report = scene.back_up(true);
    assert_eq!((&report["seen"]["check"], &report["deleted"]["numbers"]), (&"structure".into(), &Value::Array(vec![])));
    let begun = Instant::now();
    while scene.archives() != [3] {
        assert!(begun.elapsed() < Duration::from_secs(300), "it was never deleted: {}", scene.list());
        std::thread::sleep(Duration::from_millis(100));
    }
    assert!(scene.list().ends_with("  content checked\n"));
}
