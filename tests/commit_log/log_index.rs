//! The index of an archived log: made by every full backup, used to list and to find, and of no account where anything
//! must be certain.

use crate::support;

use std::{
    fs,
    path::{Path, PathBuf},
};

use chrono::{DateTime, Utc};
use rusqlite::Connection;
use strongroom::{
    engine::Engine,
    journal::{
        index::{Indexed, Listed},
        integrate::{Look, Point, Until},
        reader::{End, LogReader},
    },
    restore::{Logs, Origin, find_point},
};
use support::{
    Place,
    engine::{backup, engine, open_with_log, restore},
    logical_content, make_data_file, text,
};

struct Scene {
    place: Place,
    data: PathBuf,
    application: Connection,
    engine: Engine,
    first: PathBuf,
    archived: PathBuf,
}

impl Scene {
    /// Full backup 1, 300 commits of two tables, full backup 2, and 5 commits more.
    fn new() -> Self {
        let place = Place::new();
        let data = place.at("a.sqlite");
        let application = make_data_file(&data, "PRAGMA journal_mode=WAL", 200);
        let engine = engine(&place);
        open_with_log(&engine.handle(), &data, &place.at("Backups/a.journal"));
        let first = backup(&engine.handle(), &data).archive;
        let archived = place.at("Backups/a[0001].4BL");
        let scene = Self { place, data, application, engine, first, archived };
        for n in 0..300 {
            // Now and then one that writes many pages.
            let limit = if n % 100 == 50 { 150 } else { 1 };
            let sql = format!("INSERT INTO t SELECT NULL, 'more {n}', randomblob(200), 1 FROM t LIMIT {limit}");
            scene.application.execute_batch(&sql).unwrap();
            if n % 10 == 0 {
                scene.application.execute("INSERT INTO k VALUES(?1,1)", [format!("{n}")]).unwrap();
            }
        }
        backup(&scene.engine.handle(), &scene.data);
        (0..5)
            .for_each(|n| _ = scene.application.execute("INSERT INTO k VALUES(?1,2)", [format!("after {n}")]).unwrap());
        scene
    }

    fn run(&self, arguments: &[&str]) -> (i32, String, String) {
        let output = self.place.run(arguments);
        (output.status.code().unwrap(), text(&output.stdout), text(&output.stderr))
    }

    fn commits(&self, log: &Path, more: &[&str]) -> (Vec<Listed>, String) {
        let (code, said, remark) = self.run(&[&["commits", "--json", log.to_str().unwrap()], more].concat());
        assert_eq!(code, 0, "{remark}");
        (said.lines().map(|line| serde_json::from_str(line).unwrap()).collect(), remark)
    }

    fn point(&self, until: Until, look: Look) -> Point {
        let logs = Logs::Also(vec![self.archived.clone(), self.place.at("Backups/a.journal")]);
        find_point(&self.first, &[], (&logs, &Origin::default()), until, look).unwrap()
    }

    fn restores_everything(&self, to: &str) {
        restore(&self.engine.handle(), &self.first, &self.place.at(to), Logs::Found, Until::End);
        assert_eq!(logical_content(&self.place.at(to).join("a.sqlite")), logical_content(&self.data), "{to}");
    }
}

/// The same log without its index, as it was before it was archived.
fn without(log: &Path, to: &Path) -> PathBuf {
    let mut reader = LogReader::open(log).unwrap();
    while reader.next_record().unwrap().is_some() {}
    assert_eq!((reader.end(), reader.indexed()), (End::Whole, Indexed::Sound));
    let bytes = fs::read(log).unwrap();
    let records = reader.tail().length as usize;
    let part = (bytes.len() - records) as f64 / records as f64;
    eprintln!("the index takes {part:.3} of the records");
    assert!(part < 0.1);
    fs::write(to, &bytes[..records]).unwrap();
    to.to_path_buf()
}

#[test]
fn an_archived_log_lists_its_commits_and_says_where_a_moment_leads_without_being_read() {
    let scene = Scene::new();
    let plain = without(&scene.archived, &scene.place.at("plain.4BL"));
    let (listed, remark) = scene.commits(&scene.archived, &[]);
    assert!(remark.contains("This is what the index of the log says") && listed.len() == 330, "{remark}");
    let (read, remark) = scene.commits(&plain, &[]);
    assert!(read == listed && remark.is_empty(), "{remark}");
    let last_page = listed.last().unwrap().page_count.to_string();
    for page in ["1", "2", "3", last_page.as_str(), "4000000000"] {
        let by_index = scene.commits(&scene.archived, &["--page", page]).0;
        assert_eq!(by_index, scene.commits(&plain, &["--page", page]).0, "page {page}");
        assert!((page == last_page) <= !by_index.is_empty() && (page.len() < 10 || by_index.is_empty()), "page {page}");
    }
    let last = listed.last().unwrap().commit;
    let times = [listed[0].wall, listed[100].wall, listed[329].wall, DateTime::<Utc>::UNIX_EPOCH];
    let untils = times.map(Until::Moment).into_iter().chain([0, 100, last, last + 3].map(Until::Commit));
    for until in untils.chain([Until::End]) {
        assert_eq!(scene.point(until, Look::Indexes), scene.point(until, Look::Records), "{until:?}");
    }
    // It is the index that says so: a damaged block goes unnoticed by it, and by nobody who reads.
    let mut bytes = fs::read(&scene.archived).unwrap();
    bytes[5000] ^= 1;
    fs::write(&scene.archived, &bytes).unwrap();
    let until = Until::Commit(last);
    assert_eq!(scene.point(until, Look::Indexes).commit, last);
    assert!(scene.point(until, Look::Records).commit < last);
    let (code, _, said) = scene.run(&["verify", scene.archived.to_str().unwrap()]);
    assert!(code == 1 && said.contains("is damaged at byte"), "{said}");
    assert!(said.contains("Damaged are only commits ") && !said.contains(" to 330;"), "{said}");
}

#[test]
fn a_damaged_index_is_said_and_costs_nothing() {
    let scene = Scene::new();
    let log = scene.archived.to_str().unwrap();
    let (code, said, _) = scene.run(&["verify", log]);
    assert!(
        code == 0 && said.contains("330 commits, 1 to 330, ") && said.contains("Its index says the same."),
        "{said}"
    );
    let (listed, _) = scene.commits(&scene.archived, &[]);
    let bytes = fs::read(&scene.archived).unwrap();
    let mut reader = LogReader::open(&scene.archived).unwrap();
    while reader.next_record().unwrap().is_some() {}
    let begins = reader.tail().length as usize;
    for (name, at) in [("begin", begins + 3), ("middle", begins + 60), ("end", bytes.len() - 9)] {
        let mut changed = bytes.clone();
        changed[at] ^= 0x55;
        fs::write(&scene.archived, &changed).unwrap();
        let (code, said, problem) = scene.run(&["verify", log]);
        assert!(code == 1 && said.contains("330 commits, 1 to 330, "), "{name}: {said}");
        assert!(
            problem.contains("the index at the end of the log") && problem.contains("Nothing is lost"),
            "{problem}"
        );
        assert_eq!(scene.commits(&scene.archived, &[]).0, listed);
        scene.restores_everything(name);
    }
    // None at all.
    fs::write(&scene.archived, &bytes[..begins]).unwrap();
    let (code, said, _) = scene.run(&["verify", log]);
    assert!(code == 0 && !said.contains("index"), "{said}");
    scene.restores_everything("none");
}
