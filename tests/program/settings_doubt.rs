//! Settings that may be half of what somebody wrote, or that cannot be understood, where nobody has any in force:
//! nothing is deleted by them, what they said before goes on, and what is wrong with them is said.

use crate::{
    scene::{Scene, warned},
    support::{names_in, text},
};

use std::{fs, path::Path, time::Duration};

use rusqlite::Connection;
use serde_json::Value;

impl Scene {
    /// Writes the settings so that nobody takes them for what is just being written.
    fn leave(&self, text: &str) {
        fs::write(&self.settings, text).unwrap();
        let file = fs::File::options().append(true).open(&self.settings).unwrap();
        file.set_modified(std::time::SystemTime::now() - Duration::from_secs(60)).unwrap();
    }

    fn text(&self) -> String {
        fs::read_to_string(&self.settings).unwrap()
    }

    fn archives(&self) -> Vec<String> {
        names_in(&self.place.at("archives")).into_iter().filter(|name| name.ends_with(".4BK")).collect()
    }
}

fn numbered(count: usize) -> Vec<String> {
    (1..=count).map(|number| format!("a[{number:04}].4BK")).collect()
}

/// What may be left of settings whose last one is how many backups are kept.
fn halves(whole: &str) -> Vec<(&'static str, String)> {
    let until = |mark: &str| whole[..whole.find(mark).unwrap_or_else(|| panic!("no {mark} in {whole}"))].to_owned();
    vec![
        ("before a section", until("[keep]")),
        ("after its head", until("[keep]") + "[keep]\n"),
        ("in the notes", until("\nid = ") + "\n"),
        ("within the number", until("last = 30") + "last = 3"),
        ("in the comments", "# Settings of Strongroom\n".to_owned()),
    ]
}

#[test]
fn half_of_the_settings_deletes_no_backup_without_a_service() {
    let scene = Scene::new(&[], 1);
    scene.good("settings", &["keep.last=30"]);
    for _ in 0..4 {
        scene.good("backup", &[]);
    }
    let whole = scene.text();
    let mut count = 5;
    for (which, half) in halves(&whole) {
        scene.leave(&half);
        let status = scene.status();
        let said = warned(&status, "settings-gone").concat();
        assert!(said.contains("half of what was written") && said.contains("--as-written"), "{which}: {status}");
        let (code, said) = scene.run("backup", &[]);
        count += 1;
        assert_eq!((code, scene.archives()), (1, numbered(count)), "{which}: {said}");
        assert!(said.contains("no old backup is deleted until then"), "{which}: {said}");
        assert!(!said.contains("could not be noted"), "{which}: {said}");
        // Neither written to, nor changed by a command that knows only half of it.
        let (code, said) = scene.run("settings", &["keep.daily=2"]);
        assert!(code == 1 && said.contains("half of what was written"), "{which}: {said}");
        assert_eq!(scene.text(), half, "{which}");
    }
    // Whole again, nothing is said of it, and all are kept as it says.
    scene.leave(&whole);
    assert_eq!(warned(&scene.status(), "settings-gone"), Vec::<String>::new());
    scene.good("backup", &[]);
    assert_eq!(scene.archives(), numbered(count + 1));
}

#[test]
fn settings_that_lost_the_signature_at_their_end_push_out_nothing_that_is_signed() {
    let scene = Scene::new(&["keep.last=2", "archive.sign=true"], 2);
    let whole = scene.text();
    let half = &whole[..whole.find("[archive]").unwrap()];
    assert!(half.ends_with('\n') && half.contains("last = 2"), "{whole}");
    scene.leave(half);
    for count in [3, 4] {
        let (code, said) = scene.run("backup", &[]);
        assert_eq!((code, scene.archives()), (1, numbered(count)), "{said}");
    }
    // Who wants none any more says so.
    scene.good("settings", &["--as-written"]);
    scene.good("backup", &[]);
    assert_eq!(scene.archives(), numbered(5)[3..]);
}

#[test]
fn what_is_meant_by_settings_that_hold_less_can_be_said() {
    let scene = Scene::new(&["keep.last=30"], 5);
    // By the program itself: written to its end.
    scene.good("settings", &["--default", "keep.last"]);
    assert!(!scene.text().contains("[keep]\nlast"), "{}", scene.text());
    scene.good("backup", &[]);
    assert_eq!(scene.archives(), numbered(6)[3..]);
    // By hand, which may be half of what is written, until somebody says that it is not.
    scene.good("settings", &["keep.last=30"]);
    scene.good("backup", &[]);
    scene.good("backup", &[]);
    let text = scene.text();
    let half = &text[..text.find("last = 30").unwrap()];
    scene.leave(half);
    assert_eq!(scene.run("backup", &[]).0, 1);
    assert_eq!(scene.archives(), numbered(9)[3..]);
    scene.good("settings", &["--as-written"]);
    assert_eq!(warned(&scene.status(), "settings-gone"), Vec::<String>::new());
    scene.good("backup", &[]);
    assert_eq!(scene.archives(), numbered(10)[7..]);
    // A key in the middle that is gone is no half of a file.
    let text = scene.text();
    scene.good("settings", &["keep.daily=1", "scheduler.at=04:00"]);
    assert_ne!(scene.text(), text);
    scene.good("backup", &[]);
    let without: String =
        scene.text().lines().filter(|line| !line.starts_with("daily =")).map(|l| format!("{l}\n")).collect();
    assert!(without.contains("at = "), "{without}");
    scene.leave(&without);
    scene.good("backup", &[]);
}

#[test]
fn half_of_the_settings_that_stays_so_deletes_no_backup_under_a_service() {
    let log = |scene: &Scene| scene.place.at("app/a.journal");
    let scene = Scene::new(&[], 1);
    scene.good("settings", &[&format!("log.file={}", log(&scene).display()), "keep.last=30"]);
    let service = scene.serve();
    scene.until(|status| status["log"]["complete"] == true && !status["engine"].is_null());
    for _ in 0..4 {
        scene.good("backup", &[]);
    }
    let whole = scene.text();
    let half = whole[..whole.find("[keep]").unwrap()].to_owned();
    assert!(half.contains("\nid = "), "its notes are whole: {half}");
    fs::write(&scene.settings, &half).unwrap();
    // It is taken for what it is once nobody goes on writing it.
    scene.until(|status| warned(status, "settings").concat().contains("half of what was written"));
    let (code, said) = scene.run("backup", &[]);
    assert!(code == 1 && said.contains("no old backup is deleted"), "{said}");
    assert_eq!(scene.archives(), numbered(6));
    assert_eq!(scene.text(), half);
    scene.good("settings", &["--as-written"]);
    scene.until(|status| warned(status, "settings").is_empty());
    scene.good("backup", &[]);
    assert_eq!(scene.archives(), numbered(7)[4..]);
    drop(service);
}

#[test]
fn a_service_that_begins_with_mistyped_settings_goes_by_those_of_the_newest_archive() {
    let scene = Scene::new(&["keep.last=2"], 0);
    let log = scene.place.at("app/a.journal");
    scene.good("settings", &[&format!("log.file={}", log.display())]);
    let service = scene.serve();
    scene.until(|status| status["log"]["complete"] == true && !status["engine"].is_null());
    scene.good("backup", &[]);
    scene.good("backup", &[]);
    drop(service);
    let good = scene.text();
    for mistyped in [good.replace("last = 2\n", "last = 2O\n"), good.replace("last = 2\n", "last = 0\n")] {
        assert_ne!(mistyped, good);
        scene.leave(&mistyped);
        let before = scene.archives();
        let newest = scene.place.at("archives").join(before.last().unwrap()).display().to_string();
        let is_said = |status: &Value| {
            let said = warned(status, "settings-gone").concat();
            said.contains("cannot be used") && said.contains(&format!("the settings in {newest} are in force"))
        };
        let status = scene.status();
        assert!(is_said(&status) && status["log_file"] == log.to_str().unwrap(), "{status}");
        let service = scene.serve();
        let status = scene.until(|status| status["log"]["complete"] == true && !status["engine"].is_null());
        assert!(is_said(&status), "{status}");
        let commits = status["log"]["commits"].as_u64().unwrap();
        scene.write();
        scene.until(|status| status["log"]["commits"] == commits + 1);
        let (code, said) = scene.run("backup", &[]);
        assert!(code == 1 && said.contains("not made as the settings file says"), "{said}");
        assert_eq!(scene.archives().len(), before.len() + 1, "{said}");
        assert_eq!(scene.text(), mistyped);
        drop(service);
        // The same for a command alone.
        let (code, said) = scene.run("backup", &[]);
        assert!(code == 1 && said.contains("not made as the settings file says"), "{said}");
        assert!(!said.contains("could not be noted"), "{said}");
        assert_eq!(scene.archives().len(), before.len() + 2, "{said}");
    }
    let service = scene.serve();
    scene.until(|status| !status["engine"].is_null());
    fs::write(&scene.settings, &good).unwrap();
    scene.until(|status| warned(status, "settings-gone").is_empty());
    scene.good("backup", &[]);
    assert_eq!(scene.archives().len(), 2);
    drop(service);
}

#[test]
fn what_only_reads_goes_by_the_newest_archive_where_the_settings_are_mistyped() {
    let scene = Scene::new(&[], 0);
    let log = scene.place.at("elsewhere/a.journal");
    fs::create_dir(scene.place.at("elsewhere")).unwrap();
    scene.good("settings", &[&format!("log.file={}", log.display())]);
    let service = scene.serve();
    scene.until(|status| status["log"]["complete"] == true && !status["engine"].is_null());
    scene.good("backup", &[]);
    scene.write();
    scene.until(|status| status["log"]["commits"] == 1);
    drop(service);
    let good = scene.text();
    let shown = |command: &str| {
        let output = scene.place.run(&[command, scene.data.to_str().unwrap()]);
        assert!(output.status.success(), "{}", text(&output.stderr));
        (text(&output.stdout), text(&output.stderr))
    };
    let (list, commits) = (shown("list").0, shown("log").0);
    assert!(list.contains("a[0001].4BK") && commits.contains(" of these"), "{list}{commits}");
    scene.leave(&good.replace("[log]", "[log"));
    for (command, before) in [("list", list), ("log", commits)] {
        let (now, said) = shown(command);
        assert_eq!(now, before, "{command}: {said}");
        assert!(said.contains("the settings in") && said.contains("are in force"), "{command}: {said}");
    }
    // Where no archive holds any, that is about the settings, and not about the data file.
    fs::remove_dir_all(scene.place.at("archives")).unwrap();
    let (code, said) = scene.run("status", &[]);
    assert!(code == 1 && !said.contains(", CANNOT BE READ"), "{said}");
}

#[test]
fn the_log_goes_on_until_another_one_that_is_chosen_can_be_used() {
    let scene = Scene::new(&[], 0);
    let log = scene.place.at("app/a.journal");
    scene.good("settings", &[&format!("log.file={}", log.display())]);
    let service = scene.serve();
    scene.until(|status| status["log"]["complete"] == true && !status["engine"].is_null());
    scene.good("backup", &[]);
    let good = scene.text();
    fs::create_dir(scene.place.at("folder.journal")).unwrap();
    fs::write(scene.place.at("file"), "no folder").unwrap();
    fs::write(scene.place.at("notes.journal"), "no log").unwrap();
    let mut commits = 0;
    for useless in ["folder.journal", "file/a.journal", "notes.journal"] {
        let useless = scene.place.at(useless);
        fs::write(&scene.settings, good.replace(log.to_str().unwrap(), useless.to_str().unwrap())).unwrap();
        let is_said = |status: &Value| {
            let said = warned(status, "log-broken").concat();
            said.contains(useless.to_str().unwrap()) && said.contains(&format!("{} goes on as the log", log.display()))
        };
        scene.until(is_said);
        scene.write();
        commits += 1;
        let status = scene.until(|status| status["log"]["commits"] == commits);
        assert!(status["log"]["log"] == log.to_str().unwrap() && is_said(&status), "{status}");
    }
    // The one in use named again: nothing is left to say.
    fs::write(&scene.settings, &good).unwrap();
    scene.until(|status| warned(status, "log-broken").is_empty());
    scene.write();
    scene.until(|status| status["log"]["commits"] == commits + 1);
    // Another one that can be used takes its place.
    let other = scene.place.at("other/a.journal");
    fs::write(&scene.settings, good.replace(log.to_str().unwrap(), other.to_str().unwrap())).unwrap();
    scene.until(|status| status["log"]["log"] == other.to_str().unwrap());
    drop(service);
    let restored = scene.place.at("out");
    let said = scene.place.run(&[
        "restore",
        scene.place.at("archives/a[0001].4BK").to_str().unwrap(),
        "--log",
        log.to_str().unwrap(),
        "--to",
        restored.to_str().unwrap(),
    ]);
    let rows = |path: &Path| -> i64 {
        Connection::open(path).unwrap().query_row("SELECT count(*) FROM k", [], |row| row.get(0)).unwrap()
    };
    assert_eq!(rows(&restored.join("a.sqlite")), rows(&scene.data), "{}", text(&said.stderr));
}

#[test]
fn a_dry_run_of_taking_back_writes_nothing() {
    let scene = Scene::new(&[], 0);
    let log = scene.place.at("app/a.journal");
    scene.good("settings", &[&format!("log.file={}", log.display())]);
    let service = scene.serve();
    scene.until(|status| status["log"]["complete"] == true && !status["engine"].is_null());
    scene.good("backup", &[]);
    scene.write();
    scene.until(|status| status["log"]["commits"] == 1);
    drop(service);
    // While nobody records.
    scene.write();
    let files = || {
        let mut files: Vec<(String, Vec<u8>)> = Vec::new();
        for name in names_in(&scene.place.at("app")).into_iter().filter(|name| !name.ends_with("-shm")) {
            files.push((name.clone(), fs::read(scene.place.at("app").join(name)).unwrap_or_default()));
        }
        files
    };
    let before = files();
    let commit: Value = {
        let said = scene.run("log", &["--json"]).1;
        serde_json::from_str(said.lines().next().unwrap()).unwrap_or_else(|_| panic!("{said}"))
    };
    let commit = commit["commit"].as_u64().unwrap().to_string();
    let (code, said) = scene.run("take-back", &["--commit", &commit, "--dry-run"]);
    assert!(code == 0 && said.contains("DELETE FROM"), "{said}");
    let script = scene.place.at("script.sql");
    let (code, said) = scene.run("take-back", &["--commit", &commit, "--save", script.to_str().unwrap()]);
    assert!(code == 0 && script.exists(), "{said}");
    let names = |files: &[(String, Vec<u8>)]| files.iter().map(|(name, _)| name.clone()).collect::<Vec<_>>();
    assert_eq!(names(&files()), names(&before));
    assert!(files() == before, "something was written");
    let (code, said) = scene.run("take-back", &["--commit", &commit, "--yes"]);
    assert_eq!(code, 0, "{said}");
}

#[test]
fn no_mistake_in_the_settings_bars_a_restore_of_the_live_data_file() {
    let scene = Scene::new(&[], 1);
    let rows = || -> i64 {
        let conn = Connection::open(&scene.data).unwrap();
        conn.query_row("SELECT count(*) FROM k", [], |row| row.get(0)).unwrap()
    };
    let before = rows();
    scene.write();
    assert_eq!(rows(), before + 1);
    let mistyped = scene.text().replace("[destination]", "[destination");
    scene.leave(&mistyped);
    let archive = scene.place.at("archives/a[0001].4BK");
    let restore = ["restore", archive.to_str().unwrap(), "--in-place", scene.data.to_str().unwrap()];
    let output = scene.place.run(&restore);
    assert!(output.status.success(), "{}", text(&output.stderr));
    // What it took away is in an archive among the others, and the mistake is still there to be mended.
    assert_eq!((rows(), scene.archives(), scene.text()), (before, numbered(2), mistyped.clone()));
    // One that is lost could come back to what is not wanted: what is restored cannot be noted.
    fs::remove_file(&scene.data).unwrap();
    let output = scene.place.run(&restore);
    assert!(!output.status.success() && text(&output.stderr).contains("not valid TOML"), "{}", text(&output.stderr));
    assert!(!scene.data.exists() && scene.text() == mistyped);
}
