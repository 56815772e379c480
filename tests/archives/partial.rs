//! Archives that lack what was chosen for them: said by everything that looks at one, and never pushing out whole ones.
#![cfg(unix)]

use crate::support;

use std::{
    fs,
    os::unix::{fs::symlink, net::UnixListener},
    path::PathBuf,
    process::Output,
};

use rusqlite::Connection;
use serde_json::Value;
use support::{Place, engine::serve, make_data_file, names_in, text};

/// A data file with two chosen folders, of which the real program makes backups.
struct Scene {
    place: Place,
    data: PathBuf,
}

impl Scene {
    fn new(settings: &[&str]) -> Self {
        let place = Place::new();
        let data = place.at("data/a.sqlite");
        fs::create_dir(place.at("data")).unwrap();
        drop(make_data_file(&data, "", 100));
        for folder in ["letters", "photos"] {
            fs::create_dir(place.at(folder)).unwrap();
            fs::write(place.at(folder).join("one.txt"), folder).unwrap();
        }
        let scene = Self { place, data };
        let attachments = ["letters", "photos"].map(|folder| format!("content.attachments+={}", scene.at(folder)));
        let chosen = attachments.iter().map(String::as_str);
        let arguments: Vec<&str> =
            ["settings", scene.data()].into_iter().chain(settings.iter().copied()).chain(chosen).collect();
        scene.well(&arguments);
        scene
    }

    fn at(&self, name: &str) -> String {
        self.place.at(name).to_str().unwrap().to_owned()
    }

    fn data(&self) -> &str {
        self.data.to_str().unwrap()
    }

    fn run(&self, arguments: &[&str]) -> Output {
        self.place.run(arguments)
    }

    /// Must succeed.
    fn well(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        assert_eq!(output.status.code(), Some(0), "{} {}", text(&output.stdout), text(&output.stderr));
        text(&output.stdout)
    }

    /// Must end with problems: what is printed, and said.
    fn badly(&self, arguments: &[&str]) -> (String, String) {
        let output = self.run(arguments);
        assert_eq!(output.status.code(), Some(1), "{} {}", text(&output.stdout), text(&output.stderr));
        (text(&output.stdout), text(&output.stderr))
    }

    fn archives(&self) -> Vec<String> {
        names_in(&self.place.at("data/Backups")).into_iter().filter(|name| name.ends_with(".4BK")).collect()
    }

    fn archive(&self, number: u32) -> String {
        self.at(&format!("data/Backups/a[{number:04}].4BK"))
    }

    /// The next backup says `how` and holds the last whole one; those that follow are whole, and it stays.
    fn says_once_and_holds(&self, how: &str, whole: u32) {
        let (out, said) = self.badly(&["backup", self.data()]);
        assert!(said.contains(how) && said.contains("it is said once, and the backup before is held"), "{said}");
        assert!(out.contains(&format!("than backup {whole:04}: the chosen ")), "{how}: {out}");
        for _ in 0..2 {
            self.well(&["backup", self.data()]);
        }
        let archives = self.archives();
        assert!(archives.len() == 2 && archives[0] == format!("a[{whole:04}].4BK"), "{how}: {archives:?}");
        let status = self.well(&["status", self.data()]);
        assert!(status.contains(how) && status.contains(&format!("backup {whole:04} is held, and never")), "{status}");
    }

    fn move_away(&self) {
        fs::rename(self.place.at("photos"), self.place.at("away")).unwrap();
    }
}

#[test]
fn a_partial_archive_is_called_so_by_everything_that_looks_at_it() {
    let scene = Scene::new(&[]);
    scene.well(&["backup", scene.data()]);
    scene.move_away();
    scene.badly(&["backup", scene.data()]);
    let photos = scene.at("photos");

    let list = scene.well(&["list", scene.data()]);
    let lines: Vec<&str> = list.lines().collect();
    assert!(lines[0].starts_with("0002") && lines[0].contains("PARTIAL: 1 chosen file or folder is missing"), "{list}");
    assert!(lines[1].starts_with("0001") && !lines[1].contains("PARTIAL"), "{list}");
    let counts: Vec<Value> = scene
        .well(&["list", scene.data(), "--json"])
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap()["not_whole"].clone())
        .collect();
    assert_eq!(counts, [Value::from(1), Value::from(0)]);

    scene.well(&["verify", &scene.archive(1)]);
    let missing = format!("{photos} does not exist any more");
    let (out, said) = scene.badly(&["verify", &scene.archive(2)]);
    assert!(out.contains("is as it was written, but PARTIAL") && out.contains(&missing), "{out}");
    assert!(said.contains("but partial: not everything that was chosen is in it") && said.contains(&missing), "{said}");
    let (out, _) = scene.badly(&["verify", &scene.archive(2), "--json"]);
    let report: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(report["not_whole"]["problems"][0]["path"], photos.as_str());
    // A verification found nothing damaged: it is in no list of what is.
    let list = scene.well(&["list", scene.data()]);
    assert!(!list.contains("DAMAGED"), "{list}");

    let status = scene.well(&["status", scene.data()]);
    let last = status.lines().find(|line| line.starts_with("Last full backup")).unwrap();
    assert!(last.contains("0002 of") && last.contains("PARTIAL: 1 chosen"), "{last}");
    assert!(last.contains("; the last whole one is 0001 of"), "{last}");
    let status: Value = serde_json::from_str(&scene.well(&["status", scene.data(), "--json"])).unwrap();
    assert_eq!((&status["last_backup"]["not_whole"], &status["last_whole"]["number"]), (&1.into(), &1.into()));
    let warnings = status["warnings"].as_array().unwrap();
    let partial: Vec<&str> = warnings
        .iter()
        .filter(|warning| warning["kind"] == "backup-partial")
        .map(|warning| warning["message"].as_str().unwrap())
        .collect();
    assert_eq!(partial.len(), 1, "{warnings:?}");
    assert!(partial[0].contains("the newest whole one, 0001 of "), "{partial:?}");
    assert!(partial[0].contains("stays whatever its age") && partial[0].contains(&missing), "{partial:?}");

    // What was asked for and is not there is named; where it was not asked for, all is well.
    let to = scene.at("all");
    let (out, said) = scene.badly(&["restore", &scene.archive(2), "--to", &to]);
    assert!(out.contains(&format!("NOT THERE OR NOT WHOLE: {missing}")), "{out}");
    assert!(said.contains("backup 0002 is partial: not everything asked for is in it"), "{said}");
    assert_eq!(fs::read_to_string(scene.place.at("all/Attachments/letters/one.txt")).unwrap(), "letters");
    for (number, item) in ["a.sqlite", "Attachments/letters", "Attachments/letters/one.txt"].iter().enumerate() {
        scene.well(&["restore", &scene.archive(2), "--to", &scene.at(&format!("part {number}")), "--item", item]);
    }
    scene.badly(&["restore", &scene.archive(2), "--to", &scene.at("folder"), "--item", "Attachments"]);
    scene.well(&["restore", &scene.archive(1), "--to", &scene.at("whole")]);
    assert_eq!(fs::read_to_string(scene.place.at("whole/Attachments/photos/one.txt")).unwrap(), "photos");
    // A test restore proves that the data file comes back, as before.
    scene.well(&["drill", scene.data()]);
}

#[test]
fn however_many_partial_archives_follow_the_newest_whole_ones_stay_until_others_are_whole() {
    for order in ["after", "before"] {
        let scene = Scene::new(&["keep.last=2", &format!("keep.delete-oldest={order}")]);
        for _ in 0..3 {
            scene.well(&["backup", scene.data()]);
        }
        scene.move_away();
        for _ in 0..5 {
            scene.badly(&["backup", scene.data()]);
        }
        let names = |numbers: &[u32]| numbers.iter().map(|n| format!("a[{n:04}].4BK")).collect::<Vec<_>>();
        // Before a backup is made nobody knows that it will be partial: of the whole ones the newest stays.
        let stay: &[u32] = if order == "after" { &[2, 3, 7, 8] } else { &[3, 7, 8] };
        assert_eq!(scene.archives(), names(stay), "{order}");
        let status = scene.well(&["status", scene.data()]);
        assert!(status.contains("the last 2 backups are partial; the newest whole one, 0003 of "), "{status}");
        fs::rename(scene.place.at("away"), scene.place.at("photos")).unwrap();
        for _ in 0..2 {
            scene.well(&["backup", scene.data()]);
        }
        assert_eq!(scene.archives(), names(&[9, 10]), "{order}");
        let status = scene.well(&["status", scene.data(), "--json"]);
        assert!(!status.contains("backup-partial"), "{status}");
    }
}

#[test]
fn a_repaired_copy_of_a_partial_archive_is_as_partial() {
    let scene = Scene::new(&["archive.redundancy=medium"]);
    scene.move_away();
    scene.badly(&["backup", scene.data()]);
    let path = scene.archive(1);
    let mut bytes = fs::read(&path).unwrap();
    let (middle, end) = (bytes.len() / 3, bytes.len() - 50);
    bytes[middle] ^= 0xff;
    // The end, which says it to a list, too.
    bytes[end] ^= 0xff;
    fs::write(&path, bytes).unwrap();
    scene.well(&["repair", &path]);
    let list = scene.well(&["list", &scene.at("data/Backups"), "--json"]);
    let copy = list.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let copy = copy.into_iter().find(|entry| entry["path"].as_str().unwrap().contains("repaired")).unwrap();
    assert_eq!(copy["not_whole"], 1);
    let (_, said) = scene.badly(&["verify", copy["path"].as_str().unwrap()]);
    assert!(said.contains("but partial"), "{said}");
}

#[test]
fn a_chosen_folder_that_is_another_one_now_is_said_and_what_it_held_before_stays() {
    let moved = |scene: &Scene| fs::rename(scene.place.at("photos"), scene.place.at("away")).unwrap();
    let emptied = |scene: &Scene| fs::remove_file(scene.place.at("photos/one.txt")).unwrap();
    let linked = |scene: &Scene| {
        moved(scene);
        fs::create_dir(scene.place.at("other")).unwrap();
        fs::write(scene.place.at("other/strange.txt"), "strange").unwrap();
        symlink(scene.place.at("other"), scene.place.at("photos")).unwrap();
    };
    for (is_linked, how) in
        [(false, "is empty, and held files when it was backed up last"), (true, "/other now, and led to ")]
    {
        let scene = Scene::new(&["keep.last=1"]);
        scene.well(&["backup", scene.data()]);
        if is_linked {
            linked(&scene)
        } else {
            emptied(&scene)
        }
        // One that nobody counts says it, and takes nothing from what the next one says.
        let (_, said) = scene.badly(&["backup", scene.data(), "--to", &scene.at("elsewhere")]);
        assert!(
            said.contains(how) && said.contains("See whether that was meant.") && !said.contains("held."),
            "{said}"
        );
        let (out, said) = scene.badly(&["backup", scene.data()]);
        assert!(said.contains(how), "{said}");
        assert!(out.contains("than backup 0001: the chosen folder ") && out.contains("That one is held"), "{out}");
        // Said once; what the folder held stays all the same, until somebody says that it was meant.
        for _ in 0..3 {
            scene.well(&["backup", scene.data()]);
        }
        assert_eq!(scene.archives(), ["a[0001].4BK", "a[0006].4BK"]);
        let status = scene.well(&["status", scene.data()]);
        assert!(status.contains(how) && status.contains("backup 0001 is held, and never deleted"), "{status}");
        scene.well(&["restore", &scene.archive(1), "--to", &scene.at("to")]);
        assert_eq!(fs::read_to_string(scene.place.at("to/Attachments/photos/one.txt")).unwrap(), "photos");
        scene.well(&["hold", &scene.archive(1), "--release"]);
        scene.well(&["backup", scene.data()]);
        assert_eq!(scene.archives(), ["a[0007].4BK"]);
    }
    // A link that was chosen as one may lead elsewhere at any time.
    let scene = Scene::new(&[]);
    let link = scene.place.at("current");
    symlink(scene.place.at("letters"), &link).unwrap();
    scene.well(&["settings", scene.data(), &format!("content.attachments=['{}']", link.display())]);
    scene.well(&["backup", scene.data()]);
    fs::remove_file(&link).unwrap();
    symlink(scene.place.at("photos"), &link).unwrap();
    scene.well(&["backup", scene.data()]);
    fs::remove_file(scene.place.at("photos/one.txt")).unwrap();
    let (_, said) = scene.badly(&["backup", scene.data()]);
    assert!(said.contains("/current is empty, and held files when it was backed up last"), "{said}");
}

#[test]
fn a_chosen_folder_that_was_gone_is_no_new_one_when_something_else_is_there() {
    type Step = fn(&Scene);
    let empty: Step = |scene| fs::create_dir(scene.place.at("photos")).unwrap();
    let file: Step = |scene| fs::write(scene.place.at("photos"), "x").unwrap();
    let link: Step = |scene| {
        fs::create_dir(scene.place.at("other")).unwrap();
        fs::write(scene.place.at("other/strange.txt"), "strange").unwrap();
        symlink(scene.place.at("other"), scene.place.at("photos")).unwrap();
    };
    let cases: [(Step, &str); 3] = [
        (empty, "photos is empty, and held files when it was backed up last"),
        (file, "photos is a file now, and was a folder when it was backed up last"),
        (link, "/other now, and led to "),
    ];
    for (is_served, (then, how)) in [false, true].into_iter().flat_map(|is_served| cases.map(|case| (is_served, case)))
    {
        let scene = Scene::new(&["keep.last=1"]);
        let service = is_served.then(|| served(&scene));
        scene.well(&["backup", scene.data()]);
        // There again as it was, nothing is to be said.
        scene.move_away();
        scene.badly(&["backup", scene.data()]);
        fs::rename(scene.place.at("away"), scene.place.at("photos")).unwrap();
        scene.well(&["backup", scene.data()]);
        assert_eq!(scene.archives(), ["a[0003].4BK"]);
        // However many backups are made while it is gone, also such as nobody counts.
        scene.move_away();
        let elsewhere = scene.at("elsewhere");
        for arguments in [&["backup", scene.data()][..], &["backup", scene.data(), "--to", &elsewhere]].repeat(2) {
            let (_, said) = scene.badly(arguments);
            assert!(said.contains("photos does not exist any more"), "{said}");
        }
        then(&scene);
        let (_, said) = scene.badly(&["backup", scene.data(), "--to", &elsewhere]);
        assert!(said.contains(how), "{said}");
        scene.says_once_and_holds(how, 3);
        scene.well(&["restore", &scene.archive(3), "--no-log", "--to", &scene.at("to")]);
        assert_eq!(fs::read_to_string(scene.place.at("to/Attachments/photos/one.txt")).unwrap(), "photos");
        drop(service);
    }
}

/// A service that is ended with the test.
fn served(scene: &Scene) -> Ended {
    let switched = Connection::open(&scene.data).unwrap();
    switched.pragma_update(None, "journal_mode", "WAL").unwrap();
    drop(switched);
    scene.well(&["settings", scene.data(), &format!("log.file={}", scene.at("a.journal"))]);
    Ended(serve(&scene.place, &scene.data))
}

struct Ended(std::process::Child);

impl Drop for Ended {
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

#[test]
fn what_was_chosen_is_said_to_be_another_kind_of_thing_now() {
    type Step = fn(&Scene);
    let cases: [(&str, Step, &str); 6] = [
        (
            "photos",
            |scene| fs::write(scene.place.at("photos"), "x").unwrap(),
            "is a file now, and was a folder when it was backed up last",
        ),
        (
            "photos",
            |scene| drop(UnixListener::bind(scene.place.at("photos")).unwrap()),
            "is a socket now, and was a folder when it was backed up last",
        ),
        // As a container makes it for a file that is missing.
        (
            "one.ini",
            |scene| fs::create_dir(scene.place.at("one.ini")).unwrap(),
            "is an empty folder now, and was a file when it was backed up last",
        ),
        (
            "one.ini",
            |scene| {
                scene.badly(&["backup", scene.data()]);
                fs::create_dir_all(scene.place.at("one.ini/inside")).unwrap();
            },
            "is an empty folder now, and was a file when it was backed up last",
        ),
        (
            "one.ini",
            |scene| symlink(scene.place.at("letters"), scene.place.at("one.ini")).unwrap(),
            "is a folder now, and was a file when it was backed up last",
        ),
        (
            "one.ini",
            |scene| symlink("/dev/null", scene.place.at("one.ini")).unwrap(),
            "is a device now, and was a file when it was backed up last",
        ),
    ];
    for (chosen, replace, how) in cases {
        let scene = Scene::new(&["keep.last=1"]);
        fs::write(scene.place.at("one.ini"), "ini").unwrap();
        let one = scene.place.at("one.ini");
        scene.well(&["settings", scene.data(), &format!("content.attachments+={}", one.display())]);
        scene.well(&["backup", scene.data()]);
        // Written anew, or by way of a link, a file is one as before.
        fs::rename(&one, scene.place.at("real.ini")).unwrap();
        symlink(scene.place.at("real.ini"), &one).unwrap();
        scene.well(&["backup", scene.data()]);
        match chosen {
            "photos" => scene.move_away(),
            _ => fs::remove_file(&one).unwrap(),
        }
        replace(&scene);
        scene.says_once_and_holds(&format!("{chosen} {how}"), 2);
        let to = scene.at("to");
        scene.well(&["restore", &scene.archive(2), "--to", &to]);
        assert_eq!(fs::read_to_string(scene.place.at("to/Attachments/one.ini")).unwrap(), "ini");
        assert_eq!(fs::read_to_string(scene.place.at("to/Attachments/photos/one.txt")).unwrap(), "photos");
    }
}

#[test]
fn a_backup_that_a_restore_makes_for_itself_takes_nothing_from_what_the_next_one_says() {
    let scene = Scene::new(&["keep.last=1"]);
    scene.well(&["backup", scene.data()]);
    fs::remove_file(scene.place.at("photos/one.txt")).unwrap();
    scene.well(&["restore", &scene.archive(1), "--in-place", scene.data()]);
    assert_eq!(scene.archives().len(), 2, "what the restore takes away is in a backup");
    scene.says_once_and_holds("photos is empty, and held files when it was backed up last", 1);
}
