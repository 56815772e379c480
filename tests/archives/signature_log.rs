//! Whose the commits of a log are: what the next signed archive proves, and what no archive does.

use crate::support;

use std::{
    fs,
    path::{Path, PathBuf},
};

use super::signature::Scene;
use support::{Place, engine::foreign_commits, text};

/// A data file with a log and signed archives.
fn scene() -> Scene {
    let scene = Scene::new();
    let log = format!("log.file={}", scene.place.at("a.journal").display());
    scene.settings(&[&log]);
    scene
}

/// The public half of a user's key, in a file.
fn public_half(of: &Place) -> String {
    let path = of.at("public.pem");
    fs::write(&path, of.run(&["key"]).stdout).unwrap();
    path.to_str().unwrap().to_owned()
}

impl Scene {
    fn settings(&self, assignments: &[&str]) {
        let (set, said) = self.run(&[&["settings", self.data.to_str().unwrap()], assignments].concat());
        assert!(set, "{said}");
    }

    fn commit_and_backup(&self, value: &str) {
        foreign_commits(&self.data, &format!("INSERT INTO t(a) VALUES('{value}')"));
        let (made, said) = self.run(&["backup", self.data.to_str().unwrap()]);
        assert!(made, "{said}");
    }

    fn verify_log(&self, log: &str, more: &[&str]) -> (bool, String) {
        self.run(&[&["verify", self.place.at(log).to_str().unwrap()], more].concat())
    }
}

#[test]
fn a_signed_archive_proves_the_commits_before_it_and_no_later_ones() {
    let scene = scene();
    let public = public_half(&scene.place);
    scene.commit_and_backup("first");
    scene.commit_and_backup("second");
    let (sound, said) = scene.verify_log("a[0001].4BL", &[]);
    assert!(sound && said.contains("Genuine: archive 0002, signed by key "), "{said}");
    assert!(scene.verify_log("a[0001].4BL", &["--signed-by", &public]).0);
    let json = scene.place.run(&["verify", scene.place.at("a[0001].4BL").to_str().unwrap(), "--json"]).stdout;
    let json: serde_json::Value = serde_json::from_slice(&json).unwrap();
    assert_eq!((&json["signed"]["state"], &json["signed"]["archive"]), (&"genuine".into(), &2.into()), "{json}");

    // What was recorded since has no archive after it yet: whoever may write the log could have written that.
    foreign_commits(&scene.data, "INSERT INTO t(a) VALUES('third')");
    assert!(scene.run(&["check", scene.data.to_str().unwrap()]).0);
    let (sound, said) = scene.verify_log("a.journal", &[]);
    assert!(sound && said.contains("Not signed yet: it goes on from archive 0002, signed by key "), "{said}");
    let (sound, said) = scene.verify_log("a.journal", &["--signed-by", &public]);
    assert!(!sound && said.contains("only the commits up to 1 are proven by an archive that key"), "{said}");

    // Without its archive it is as any other; signed by somebody else is said.
    let other = Place::new();
    let others = public_half(&other);
    let archived = scene.place.at("a[0001].4BL");
    let said = text(&other.run(&["verify", archived.to_str().unwrap()]).stdout);
    assert!(said.contains("Signed by another key: archive 0002"), "{said}");
    let (sound, said) = scene.verify_log("a[0001].4BL", &["--signed-by", &others]);
    assert!(!sound && said.contains("was signed by another key than"), "{said}");
    let elsewhere = scene.place.at("elsewhere");
    fs::create_dir(&elsewhere).unwrap();
    fs::rename(scene.place.at("Backups/a[0002].4BK"), elsewhere.join("a[0002].4BK")).unwrap();
    let (sound, said) = scene.verify_log("a[0001].4BL", &[]);
    assert!(sound && said.contains("Not signed"), "{said}");
    let named = ["--archives", elsewhere.to_str().unwrap(), "--signed-by", &public];
    assert!(scene.verify_log("a[0001].4BL", &named).0);
}

/// Who may write the folder puts a log in place that goes on from the same archive, with all checksums right.
#[test]
fn a_log_that_another_continued_is_not_genuine() {
    let scene = scene();
    let public = public_half(&scene.place);
    scene.commit_and_backup("first");
    let before: Vec<(PathBuf, Vec<u8>)> = files(&scene.place.at(""));
    scene.commit_and_backup("second");
    let genuine = fs::read(scene.place.at("a[0001].4BL")).unwrap();
    let signed = fs::read(scene.place.at("Backups/a[0002].4BK")).unwrap();
    let world = files(&scene.place.at(""));

    // The same folder as it was then, in other hands.
    for (path, _) in files(&scene.place.at("")) {
        fs::remove_file(path).unwrap();
    }
    before.iter().for_each(|(path, bytes)| fs::write(path, bytes).unwrap());
    scene.settings(&["archive.sign=false"]);
    scene.commit_and_backup("forged");
    // Numbers are not used again.
    fs::rename(scene.place.at("a[0002].4BL"), scene.place.at("a[0001].4BL")).unwrap();
    let forged = scene.place.at("a[0001].4BL");
    assert!(fs::read(&forged).unwrap() != genuine);
    let (sound, said) = scene.verify_log("a[0001].4BL", &[]);
    assert!(sound && said.contains("Not signed"), "{said}");
    fs::write(scene.place.at("Backups/a[0002].4BK"), signed).unwrap();
    let (sound, said) = scene.verify_log("a[0001].4BL", &[]);
    assert!(sound && said.contains("Not signed"), "{said}");
    assert!(!scene.verify_log("a[0001].4BL", &["--signed-by", &public]).0);

    // Signed or not, the archive says at which commit it was cut, and that is not in this log.
    let first = scene.place.at("Backups/a[0001].4BK");
    for more in [&[][..], &["--commit", "1"]] {
        let to = scene.place.at(&format!("to{}", more.len()));
        let given = [&["restore", first.to_str().unwrap(), "--to", to.to_str().unwrap()], more].concat();
        let (whole, said) = scene.run(&given);
        assert!(
            !whole && said.contains("full backup 0002 was cut at commit ") && said.contains("and not from"),
            "{said}"
        );
    }
    let forgery = fs::read(&forged).unwrap();
    // Without that archive the log tells that was begun where it was cut.
    for (path, _) in files(&scene.place.at("")) {
        fs::remove_file(path).unwrap();
    }
    world.iter().for_each(|(path, bytes)| fs::write(path, bytes).unwrap());
    fs::remove_file(scene.place.at("Backups/a[0002].4BK")).unwrap();
    let commit_1 = |to: &str| {
        let to = scene.place.at(to);
        scene.run(&["restore", first.to_str().unwrap(), "--to", to.to_str().unwrap(), "--commit", "1"])
    };
    let (whole, said) = commit_1("of one past");
    assert!(whole, "{said}");
    fs::write(&forged, forgery).unwrap();
    let (whole, said) = commit_1("of another");
    assert!(!whole && said.contains("full backup 0002 was cut at commit "), "{said}");
}

#[test]
fn a_damaged_log_that_its_recovery_data_repairs_says_so() {
    let scene = scene();
    scene.settings(&["archive.redundancy=medium"]);
    scene.commit_and_backup("first");
    scene.commit_and_backup("second");
    let log = scene.place.at("a[0001].4BL");
    assert!(scene.verify_log("a[0001].4BL", &[]).0);
    let whole = fs::read(&log).unwrap();
    let mut damaged = whole.clone();
    damaged[300] ^= 0x40;
    fs::write(&log, &damaged).unwrap();
    let (sound, said) = scene.verify_log("a[0001].4BL", &[]);
    assert!(!sound && said.contains("is damaged, but can be repaired: "), "{said}");
    assert_eq!(fs::read(&log).unwrap(), damaged, "a verification changes nothing");
    let left: Vec<PathBuf> = files(&scene.place.at("")).into_iter().map(|(path, _)| path).collect();
    assert!(!left.iter().any(|path| path.to_string_lossy().contains("scratch")), "{left:?}");
    // Emptied, or cut between two commits, it looks like a shorter log.
    fs::write(&log, &whole[..192]).unwrap();
    let (sound, said) = scene.verify_log("a[0001].4BL", &[]);
    assert!(!sound && said.contains("is damaged, but can be repaired: "), "{said}");
    fs::remove_file(scene.place.at("a[0001].4BL.recovery")).unwrap();
    let (sound, said) = scene.verify_log("a[0001].4BL", &["--signed-by", &public_half(&scene.place)]);
    assert!(!sound, "{said}");
    let (sound, said) = scene.verify_log("a[0001].4BL", &[]);
    assert!(
        !sound && said.contains("ends with no commit, and full backup 0002, which closed it, was cut at"),
        "{said}"
    );
    assert!(!said.contains("Genuine:"), "{said}");
    fs::write(&log, &damaged).unwrap();
    let (sound, said) = scene.verify_log("a[0001].4BL", &[]);
    assert!(!sound && said.contains("is damaged at byte") && !said.contains("can be repaired"), "{said}");
}

#[test]
fn what_only_archives_have_is_not_passed_over_for_a_log() {
    let scene = scene();
    scene.commit_and_backup("first");
    for more in [&["--test-restore"][..], &["--segments", "/tmp"]] {
        let (done, said) = scene.verify_log("a.journal", more);
        assert!(!done && said.contains("is a log: --test-restore and --segments are for archives"), "{said}");
    }
}

/// Every file below a folder, but what belongs to the program itself.
fn files(folder: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    ["", "Backups"]
        .iter()
        .flat_map(|name| fs::read_dir(folder.join(name)).into_iter().flatten())
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.is_file())
        .map(|path| (path.clone(), fs::read(path).unwrap()))
        .collect()
}
