//! Settings that were deleted while nobody looked after the data file: they come back from its newest archive, and no
//! number is used twice. Settings that were written anew, as from a template: the data file stays the same one.

use crate::{
    scene::Scene,
    support::{Running, make_data_file, names_in, text},
};

use std::{
    fs,
    process::Stdio,
    time::{Duration, Instant},
};

use rusqlite::Connection;
use serde_json::Value;

impl Scene {
    /// What is said of settings that are gone.
    fn gone(&self) -> Vec<String> {
        self.said("settings-gone")
    }
}

#[test]
fn a_backup_goes_on_as_before_when_the_settings_were_deleted() {
    for emptied in [false, true] {
        let scene = Scene::new(&[], 2);
        let before = fs::read_to_string(&scene.settings).unwrap();
        if emptied {
            fs::write(&scene.settings, "").unwrap()
        } else {
            fs::remove_file(&scene.settings).unwrap()
        }
        assert!(scene.said("archives-gone").is_empty(), "the cause is said, and not what follows from it");
        let said = scene.gone();
        let archive = scene.place.at("archives/a[0002].4BK").display().to_string();
        assert!(said.len() == 1 && said[0].contains(&format!("They are put back from {archive}")), "{said:?}");
        let said = scene.good("backup", &[]);
        assert!(said.contains("were gone, and were put back from") && said.contains(&archive), "{said}");
        assert_eq!(names_in(&scene.place.at("archives")), ["a[0001].4BK", "a[0002].4BK", "a[0003].4BK"]);
        assert!(!scene.place.at("app/Backups").exists());
        let after = fs::read_to_string(&scene.settings).unwrap();
        assert_eq!(after, before.replace("last-number = 2", "last-number = 3"));
        // It stays to be seen.
        assert!(scene.gone()[0].contains("Look whether they are what you want"));
        assert_eq!(scene.status()["archives"], 3);
    }
}

#[test]
fn a_service_goes_on_with_the_log_when_the_settings_were_deleted() {
    let scene = Scene::new(&[], 2);
    let log = scene.place.at("archives/a.journal");
    let until_logged = |commits: u64| {
        scene.until(|status| !status["engine"].is_null() && status["log"]["commits"] == commits);
    };
    let service = scene.serve();
    until_logged(0);
    // This archive holds settings with the log.
    scene.good("backup", &[]);
    scene.write();
    until_logged(1);
    drop(service);
    fs::remove_file(&scene.settings).unwrap();
    let _service = scene.serve();
    scene.write();
    until_logged(2);
    let status = scene.status();
    assert_eq!(status["log_file"], log.to_str().unwrap(), "{status}");
    assert!(scene.gone()[0].contains("a[0003].4BK"));
}

/// Whoever deletes the settings, and goes back to an earlier state at once, begins no second life with the defaults.
#[test]
fn a_restore_in_place_goes_by_the_settings_that_were_deleted_a_moment_ago() {
    for emptied in [false, true] {
        let scene = Scene::new(&["keep.all=true"], 1);
        let log = scene.place.at("archives/a.journal");
        scene.good("settings", &[&format!("log.file={}", log.display())]);
        let _service = scene.serve();
        scene.until(|status| status["log"]["complete"] == true);
        scene.good("backup", &[]);
        scene.write();
        scene.write();
        scene.until(|status| status["log"]["commits"] == 2);
        let id = |text: &str| text.lines().find(|line| line.starts_with("id = ")).map(str::to_owned);
        let before = fs::read_to_string(&scene.settings).unwrap();
        let delete = || match emptied {
            true => fs::write(&scene.settings, "").unwrap(),
            false => fs::remove_file(&scene.settings).unwrap(),
        };
        let data = scene.data.to_str().unwrap();
        delete();
        scene.good("restore", &["--in-place", "--commit", "1"]);
        let is_there = || fs::read_to_string(&scene.settings).is_ok_and(|text| id(&text).is_some());
        scene.until(|_| is_there());
        delete();
        scene.good("undo", &["--yes"]);
        scene.until(|_| is_there());
        let after = fs::read_to_string(&scene.settings).unwrap();
        assert_eq!(id(&after), id(&before), "{after}");
        assert!(after.contains("a.journal") && after.contains("all = true"), "{after}");
        assert!(!scene.place.at("app/Backups").exists(), "{:?}", names_in(&scene.place.at("app")));
        scene.until(|status| status["log"]["complete"] == true);
        let to = scene.place.at("restored");
        let output = scene.place.run(&["restore", data, "--to", to.to_str().unwrap()]);
        assert!(output.status.success(), "{}", text(&output.stderr));
    }
}

/// As when the wrong folder was deleted: what comes back goes on as before, with log and folder for archives.
#[test]
fn a_folder_that_is_deleted_under_a_service_and_made_anew_turns_nothing_off() {
    let scene = Scene::new(&[], 2);
    let log = scene.place.at("archives/a.journal");
    scene.good("settings", &[&format!("log.file={}", log.display())]);
    let service = scene.place.program().arg("serve").arg(&scene.data).stderr(Stdio::null()).spawn().unwrap();
    let _service = Running(service);
    let until = |what: &str, is_so: &dyn Fn() -> bool| {
        let begun = Instant::now();
        while !is_so() {
            assert!(begun.elapsed() < Duration::from_secs(60), "{what}");
            std::thread::sleep(Duration::from_millis(50));
        }
    };
    until("it was never logged", &|| log.exists() && !scene.status()["engine"].is_null());
    scene.good("backup", &[]);
    fs::remove_dir_all(scene.place.at("app")).unwrap();
    until("the loss was never seen", &|| scene.run("status", &[]).1.contains("which still runs, looked after it"));
    fs::create_dir(scene.place.at("app")).unwrap();
    // The service has come to it again, and has tried to open the log.
    until("the lock was never taken anew", &|| !names_in(&scene.place.at("app")).is_empty());
    let tried = |status: &Value| status["log_problem"].as_object().is_some_and(|problem| !problem.is_empty());
    until("the log was never tried", &|| tried(&scene.status()));
    assert!(!scene.settings.exists());
    let (_, said) = scene.run("restore", &["--in-place", scene.data.to_str().unwrap()]);
    assert!(said.contains("put back as they were last in force"), "{said}");
    until("the log does not go on", &|| scene.status()["log"]["complete"] == true);
    assert_eq!(scene.status()["log_file"], log.to_str().unwrap());
    scene.good("backup", &[]);
    assert!(scene.place.at("archives/a[0004].4BK").exists());
}

#[test]
fn where_the_archives_are_away_nothing_is_begun_until_somebody_says_so() {
    let scene = Scene::new(&[], 2);
    fs::remove_file(&scene.settings).unwrap();
    fs::rename(scene.place.at("archives"), scene.place.at("away")).unwrap();
    for command in ["backup", "status"] {
        let (code, said) = scene.run(command, &[]);
        assert_eq!(code, i32::from(command == "backup"), "{said}");
        assert!(said.contains("the settings of ") && said.contains("Connect its disk"), "{said}");
    }
    assert!(!scene.place.at("app/Backups").exists() && !scene.settings.exists());
    // A change of one setting is no beginning either.
    let (code, said) = scene.run("settings", &["keep.last=5"]);
    assert!(code == 1 && said.contains("--begin-anew") && !scene.settings.exists(), "{said}");
    let said = scene.good("settings", &["--begin-anew"]);
    let archives = scene.place.at("archives");
    assert!(said.contains("as a new data file with the defaults") && said.contains("go on after 0002"), "{said}");
    assert!(said.contains("the log is off") && said.contains(archives.to_str().unwrap()), "{said}");
    scene.good("backup", &[]);
    assert_eq!(names_in(&scene.place.at("app/Backups")), ["a[0003].4BK"]);
    let (code, said) = scene.run("settings", &["--begin-anew"]);
    assert!(code == 1 && said.contains("are not gone"), "{said}");
    // Those made before are of this path, and of no other data file.
    fs::rename(scene.place.at("away"), &archives).unwrap();
    scene.good("settings", &[&format!("destination.folder={}", archives.display())]);
    for command in ["list", "status"] {
        let said = scene.good(command, &[]);
        assert!(!said.to_lowercase().contains("another data file"), "{said}");
        assert!(said.to_lowercase().contains("made with other settings"), "{said}");
    }
    let newest = archives.join("a[0002].4BK").display().to_string();
    let output = scene.place.run(&["restore", &newest, "--in-place", scene.data.to_str().unwrap()]);
    let said = text_of(&output);
    assert!(output.status.code() == Some(1) && said.contains("was made with other settings of"), "{said}");
}

#[test]
fn nothing_is_begun_anew_as_long_as_an_archive_knows_the_settings() {
    for template in [false, true] {
        let scene = Scene::new(&[], 2);
        let id = scene.id();
        if template {
            scene.template(4)
        } else {
            fs::remove_file(&scene.settings).unwrap()
        }
        let before = fs::read(&scene.settings).ok();
        let (code, said) = scene.run("settings", &["--begin-anew"]);
        let archive = scene.place.at("archives/a[0002].4BK").display().to_string();
        assert!(code == 1 && said.contains(&format!("can still be taken from {archive}")), "{said}");
        assert!(said.contains("as soon as a service, a window or a backup opens the data file"), "{said}");
        assert_eq!(fs::read(&scene.settings).ok(), before, "nothing was thrown away");
        scene.run("backup", &[]);
        assert_eq!(scene.id(), id);
        assert_eq!(names_in(&scene.place.at("archives")), ["a[0001].4BK", "a[0002].4BK", "a[0003].4BK"]);
    }
}

#[test]
fn where_no_archive_is_left_the_numbers_go_on() {
    let scene = Scene::new(&[], 2);
    fs::remove_file(&scene.settings).unwrap();
    for number in 1..=2 {
        fs::remove_file(scene.place.at(&format!("archives/a[000{number}].4BK"))).unwrap();
    }
    let said = scene.good("backup", &[]);
    assert!(said.contains("no archive is left that holds them") && said.contains("Numbers go on after 0002"), "{said}");
    assert_eq!(names_in(&scene.place.at("app/Backups")), ["a[0003].4BK"]);
    // Neither does an older copy of the settings, put in place by hand, lead back to a number.
    let text = fs::read_to_string(&scene.settings).unwrap();
    fs::write(&scene.settings, text.replace("last-number = 3", "last-number = 1")).unwrap();
    fs::remove_file(scene.place.at("app/Backups/a[0003].4BK")).unwrap();
    scene.good("backup", &[]);
    assert_eq!(names_in(&scene.place.at("app/Backups")), ["a[0004].4BK"]);
}

#[test]
fn archives_beside_the_data_file_tell_without_the_backup_journal() {
    let scene = Scene::beside(&["keep.last=7"], 2);
    fs::remove_file(&scene.settings).unwrap();
    fs::remove_dir_all(scene.place.own()).unwrap();
    let said = scene.good("settings", &["keep.last"]);
    assert!(said.contains("the defaults are shown") && said.contains("keep.last = 3"), "{said}");
    let said = scene.good("settings", &["keep.daily=2"]);
    assert!(said.contains("were put back from"), "{said}");
    let text = fs::read_to_string(&scene.settings).unwrap();
    assert!(text.contains("last = 7") && text.contains("daily = 2") && text.contains("last-number = 2"), "{text}");
    // An archive of another data file of that name tells nothing.
    let other = scene.place.at("other/a.sqlite");
    fs::create_dir_all(scene.place.at("other/Backups")).unwrap();
    drop(make_data_file(&other, "", 3));
    fs::copy(scene.place.at("app/Backups/a[0002].4BK"), scene.place.at("other/Backups/a[0002].4BK")).unwrap();
    let output = scene.place.run(&["backup", other.to_str().unwrap()]);
    assert!(output.status.success() && !text_of(&output).contains("settings of"), "{}", text_of(&output));
}

impl Scene {
    /// Settings as configuration management writes them: nothing of what Strongroom notes.
    fn template(&self, keep: u32) {
        let folder = self.place.at("archives").display().to_string();
        let log = self.place.at("app/a.journal").display().to_string();
        let text = format!(
            "# kept by hand\n[destination]\nfolder = \"{folder}\"\n[keep]\nlast = {keep}\n[log]\nfile = \"{log}\"\n"
        );
        fs::write(&self.settings, text).unwrap();
    }

    fn id(&self) -> Option<String> {
        let text = fs::read_to_string(&self.settings).unwrap();
        text.lines().find(|line| line.starts_with("id = ")).map(str::to_owned)
    }

    /// The rows that a restore of the data file gives, and its code.
    fn restored(&self, to: &str) -> (i32, i64) {
        let folder = self.place.at(to);
        let (code, said) = self.run("restore", &["--to", folder.to_str().unwrap()]);
        let conn = Connection::open(folder.join("a.sqlite")).unwrap_or_else(|_| panic!("{said}"));
        (code, conn.query_row("SELECT count(*) FROM k", [], |row| row.get(0)).unwrap())
    }

    fn rows(&self) -> i64 {
        Connection::open(&self.data).unwrap().query_row("SELECT count(*) FROM k", [], |row| row.get(0)).unwrap()
    }
}

/// Settings that were cut off look like a template.
#[test]
fn what_settings_without_an_identity_leave_out_is_named() {
    let scene = Scene::new(&[], 2);
    scene.template(3);
    scene.good("settings", &["archive.redundancy=high"]);
    scene.run("backup", &[]);
    scene.template(3);
    let (_, said) = scene.run("backup", &[]);
    assert!(said.contains("archive.redundancy, which was set before, is not in them any more"), "{said}");
    let (_, again) = scene.run("backup", &[]);
    assert!(!again.contains("which was set before"), "said once: {again}");
}

#[test]
fn a_template_over_the_settings_makes_no_other_data_file() {
    let scene = Scene::new(&[], 2);
    let id = scene.id();
    assert!(id.is_some());
    for keep in [2, 3] {
        scene.template(keep);
        let newest = scene.status()["last_backup"]["path"].as_str().unwrap().to_owned();
        assert!(scene.gone().is_empty(), "it is not urgent");
        let said = scene.said("settings").concat();
        assert_eq!(scene.said("settings").len(), 1, "once, with what is now: {said}");
        assert!(said.contains("written anew") && said.contains(&format!("taken over from {newest}")), "{said}");
        let listed = scene.good("list", &[]);
        assert!(!listed.contains("OF ANOTHER DATA FILE"), "{listed}");
        // Asking changes nothing.
        assert_eq!(scene.id(), None);
        let (_, said) = scene.run("backup", &[]);
        assert!(said.contains("it was taken over from"), "{said}");
        let text = fs::read_to_string(&scene.settings).unwrap();
        assert_eq!(scene.id(), id, "{text}");
        assert!(text.contains("# kept by hand") && text.contains(&format!("last = {keep}")), "{text}");
        assert!(text.contains("places = "), "{text}");
    }
    // What the person wrote is in force for all of them.
    let archives = scene.place.at("archives");
    assert_eq!(names_in(&archives), ["a[0002].4BK", "a[0003].4BK", "a[0004].4BK"]);
    let (_, again) = scene.run("backup", &[]);
    assert!(!again.contains("taken over"), "said once: {again}");
    // Without the Backup journal, the archives name the path; with another folder in the template, they stay known.
    fs::remove_dir_all(scene.place.own()).unwrap();
    let text = format!(
        "[destination]\nfolder = \"{}\"\n[log]\nfile = \"{}\"\n",
        scene.place.at("archives").display(),
        scene.place.at("app/a.journal").display()
    );
    fs::write(&scene.settings, text).unwrap();
    let (_, said) = scene.run("backup", &[]);
    assert!(said.contains("taken over from") && scene.id() == id, "{said}");
    // A copy of all of it in another place is another data file.
    fs::create_dir(scene.place.at("other")).unwrap();
    let other = scene.place.at("other/a.sqlite");
    fs::copy(&scene.data, &other).unwrap();
    fs::copy(scene.settings.with_file_name("a.strongroom.toml"), scene.place.at("other/a.strongroom.toml")).unwrap();
    let folder = scene.place.at("archives").display().to_string();
    fs::write(scene.place.at("other/a.strongroom.toml"), format!("[destination]\nfolder = \"{folder}\"\n")).unwrap();
    let output = scene.place.run(&["status", other.to_str().unwrap()]);
    assert!(!text_of(&output).contains("taken over"), "{}", text_of(&output));
}

#[test]
fn the_log_goes_on_under_a_template_with_a_service_and_without() {
    let scene = Scene::new(&[], 2);
    scene.template(5);
    let is_logged =
        |commits: u64| move |status: &Value| !status["engine"].is_null() && status["log"]["commits"] == commits;
    let service = scene.serve();
    scene.until(is_logged(0));
    let id = scene.id();
    scene.good("backup", &[]);
    scene.write();
    scene.until(is_logged(1));
    // Over the settings while the service runs: it puts in force what was written, and says so.
    scene.template(4);
    // Not at once: it may be half of what somebody writes.
    scene.until(|status| status["warnings"].to_string().contains("written anew") && scene.id() == id);
    assert!(fs::read_to_string(&scene.settings).unwrap().contains("last = 4"));
    scene.write();
    scene.until(is_logged(2));
    scene.good("backup", &[]);
    scene.write();
    scene.until(is_logged(1));
    drop(service);
    // And while nobody looks.
    scene.template(3);
    let service = scene.serve();
    scene.write();
    let status = scene.until(is_logged(2));
    assert!(status["log_problem"].is_null(), "{status}");
    assert_eq!((scene.id(), scene.status()["archives"].as_u64()), (id, Some(4)));
    assert_eq!(scene.restored("out"), (0, scene.rows()));
    drop(service);
    assert!(names_in(&scene.place.at("app")).iter().all(|name| !name.contains("set-aside")));
}

#[test]
fn a_template_begins_nothing_while_the_archives_are_away() {
    let scene = Scene::new(&[], 2);
    scene.template(2);
    fs::rename(scene.place.at("archives"), scene.place.at("away")).unwrap();
    let (code, said) = scene.run("backup", &[]);
    assert!(code == 1 && said.contains("written anew") && said.contains("Connect its disk"), "{said}");
    assert!(!scene.place.at("archives").exists() && scene.id().is_none());
    fs::rename(scene.place.at("away"), scene.place.at("archives")).unwrap();
    let (_, said) = scene.run("backup", &[]);
    assert!(said.contains("taken over from"), "{said}");
    assert!(scene.place.at("archives/a[0003].4BK").exists());
}

#[test]
fn settings_of_an_older_state_do_not_hide_newer_backups() {
    let scene = Scene::new(&[], 2);
    let old = fs::read(&scene.settings).unwrap();
    let newer = scene.place.at("newer");
    scene.good("settings", &[&format!("destination.folder={}", newer.display())]);
    scene.good("backup", &[]);
    scene.good("backup", &[]);
    assert!(scene.said("archives-gone").is_empty(), "{:?}", scene.said("archives-gone"));
    // Put back by hand, as from a copy of the folder.
    fs::write(&scene.settings, old).unwrap();
    let said = scene.said("archives-gone").concat();
    let last = newer.join("a[0004].4BK").display().to_string();
    assert!(said.contains("0004 of ") && said.contains(&format!("written as {last}, and 1 before it")), "{said}");
    assert!(said.contains(&format!("destination.folder={}", newer.display())), "{said}");
    let service = scene.serve();
    scene.until(|status| !status["engine"].is_null() && status["warnings"].to_string().contains(&last));
    drop(service);
    // The number is passed: whoever made it has seen it.
    scene.good("backup", &[]);
    assert!(scene.place.at("archives/a[0005].4BK").exists());
    assert!(scene.said("archives-gone").is_empty());
}

fn text_of(output: &std::process::Output) -> String {
    text(&output.stdout) + &text(&output.stderr)
}
