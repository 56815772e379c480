//! A destination is a disk, not a name: another disk, an empty mount point or an emptied folder under its name is not
//! written to, and what is missing is said. The same for the folder of the log. Drives the real program and a running
//! service over real mounts; says so where this user may not mount.
#![cfg(target_os = "linux")]

use crate::support;

use std::{
    fs,
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command as Process, Output, Stdio},
    time::{Duration, Instant},
};

use rusqlite::Connection;
use strongroom::{
    settings::{SettingsFile, path_beside, sections::KnownPlace},
    storage::marker,
};
use support::{Place, disk::SmallDisk, has, logical_content, make_data_file, names_in, text};

/// A data file whose archives go to a disk.
struct Scene {
    place: Place,
    data: PathBuf,
    application: Connection,
    _disk: SmallDisk,
    service: Option<Child>,
}

impl Drop for Scene {
    fn drop(&mut self) {
        self.stop();
    }
}

impl Scene {
    /// With `folder` below the mount point of a disk of its own; `None` where this user may not mount.
    fn new(folder: &str) -> Option<Self> {
        let place = Place::new();
        let disk = SmallDisk::mount(&place.at("disk"), "16m")?;
        let data = place.at("a.sqlite");
        let application = make_data_file(&data, "PRAGMA journal_mode=WAL", 50);
        let scene = Self { place, data, application, _disk: disk, service: None };
        let destination = scene.at(folder);
        scene.settings(&[&format!("destination.folder={}", destination.display())]);
        Some(scene)
    }

    fn at(&self, folder: &str) -> PathBuf {
        self.place.at("disk").join(folder)
    }

    fn settings(&self, arguments: &[&str]) -> Output {
        let output = self.place.run(&[&["settings", self.data.to_str().unwrap()], arguments].concat());
        assert!(output.status.success(), "{}", text(&output.stderr));
        output
    }

    fn run(&self, command: &str) -> Output {
        self.place.run(&[command, self.data.to_str().unwrap()])
    }

    fn back_up(&self) -> String {
        let output = self.run("backup");
        assert!(output.status.success(), "{}", text(&output.stderr));
        text(&output.stdout)
    }

    /// A backup that must fail because of this, and leave nothing anywhere.
    fn refused(&self, why: &str) -> String {
        let output = self.run("backup");
        let said = text(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{}{said}", text(&output.stdout));
        assert!(said.contains(why), "{said}");
        said
    }

    fn status(&self) -> String {
        let output = self.run("status");
        assert!(output.status.success(), "{}", text(&output.stderr));
        text(&output.stdout)
    }

    /// Waits until the status is so; a service may take a moment to see it.
    fn until_status(&self, wanted: impl Fn(&str) -> bool) -> String {
        let begun = Instant::now();
        loop {
            let status = self.status();
            if wanted(&status) {
                return status;
            }
            assert!(begun.elapsed() < Duration::from_secs(120), "never came about:\n{status}");
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    fn serve(&mut self, more: &[&str]) {
        let mut command = self.place.program();
        command.arg("serve").arg(&self.data).args(more).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        self.service = Some(child);
        assert!(line.contains("is logged in") || line.contains("is looked after"), "{line}");
    }

    fn stop(&mut self) {
        if let Some(mut service) = self.service.take() {
            let _ = service.kill();
            let _ = service.wait();
        }
    }

    /// Takes the disk away; what lies on it can be put back with [`Scene::mount_back`].
    fn keep_elsewhere(&self) -> PathBuf {
        let kept = self.place.at("kept");
        fs::create_dir_all(&kept).unwrap();
        let moved = Process::new("mount").arg("--bind").arg(self.at("")).arg(&kept).status().unwrap();
        assert!(moved.success());
        kept
    }

    fn unmount(&mut self) {
        let done = Process::new("umount").arg("--lazy").arg(self.at("")).status().unwrap();
        assert!(done.success());
    }

    fn mount_back(&self, kept: &Path) {
        let done = Process::new("mount").arg("--bind").arg(kept).arg(self.at("")).status().unwrap();
        assert!(done.success());
    }

    fn known(&self) -> Vec<KnownPlace> {
        SettingsFile::load(&self.data, &self.place.own()).unwrap().settings().places.clone()
    }
}

/// The disk under another name, until this is dropped.
struct Kept(PathBuf);

impl Drop for Kept {
    fn drop(&mut self) {
        let _ = Process::new("umount").arg("--lazy").arg(&self.0).status();
    }
}

#[test]
fn a_disk_that_is_not_mounted_is_missed_and_nothing_is_made_in_its_place() {
    let Some(mut scene) = Scene::new("Backups") else { return };
    scene.back_up();
    let kept = Kept(scene.keep_elsewhere());
    scene.unmount();
    let point = scene.place.at("disk");
    let why = format!("is missing: nothing is mounted at {}, where tmpfs was", point.display());
    let said = scene.refused(&why);
    assert!(said.contains("--choose-anew destination"), "{said}");
    // That it lies elsewhere now is said too.
    assert!(said.contains(&format!("that folder is {} now", kept.0.join("Backups").display())), "{said}");
    let status = scene.status();
    assert!(status.contains(&why) && status.contains("Last full backup   not known"), "{status}");
    let listed = scene.run("list");
    assert!(!listed.status.success() && text(&listed.stderr).contains(&why));
    assert_eq!(names_in(&point), Vec::<String>::new(), "nothing was created beneath");
    scene.mount_back(&kept.0);
    let status = scene.status();
    assert!(status.contains("Last full backup   0001"), "{status}");
    assert!(scene.back_up().contains("Backup 0002"));
}

#[test]
fn a_service_sees_within_seconds_that_the_disk_is_gone_and_goes_on_when_it_is_back() {
    let Some(mut scene) = Scene::new("Backups") else { return };
    scene.serve(&["--no-log"]);
    scene.back_up();
    let kept = Kept(scene.keep_elsewhere());
    scene.unmount();
    let why = "is missing: nothing is mounted at";
    let warning = "WARNING: the disk for the folder for archives";
    scene.until_status(|status| status.contains(warning));
    assert!(scene.status().contains(why));
    scene.refused(why);
    assert_eq!(names_in(&scene.place.at("disk")), Vec::<String>::new());
    scene.mount_back(&kept.0);
    scene.until_status(|status| !status.contains(warning) && status.contains("Last full backup   0001"));
    scene.back_up();
    scene.until_status(|status| status.contains("Last full backup   0002"));
    // What is chosen anew by command is taken up by the service.
    scene.unmount();
    scene.until_status(|status| status.contains(warning));
    scene.settings(&["--choose-anew", "destination"]);
    scene.until_status(|status| !status.contains(warning) && status.contains("Last full backup   none in"));
    assert!(scene.back_up().contains("Backup 0003"), "numbers go on");
}

#[test]
fn disks_that_take_turns_are_each_chosen_once_and_the_empty_mount_point_never_counts_as_one() {
    let Some(mut scene) = Scene::new("Backups") else { return };
    scene.back_up();
    let first = Kept(scene.keep_elsewhere());
    scene.unmount();
    let other = SmallDisk::mount(&scene.at(""), "16m").unwrap();
    scene.refused("the folder for archives");
    assert_eq!(names_in(&scene.at("")), Vec::<String>::new());
    scene.settings(&["--choose-anew", "destination"]);
    assert!(scene.back_up().contains("Backup 0002"), "numbers go on");
    assert_eq!(scene.known().len(), 2);
    drop(other);
    scene.refused("is missing: nothing is mounted at");
    scene.mount_back(&first.0);
    // The first disk again: nobody has to choose it a second time.
    assert!(scene.back_up().contains("Backup 0003"));
    assert_eq!(names_in(&scene.at("Backups")), ["a[0001].4BK", "a[0003].4BK"]);
    scene.unmount();
    assert_eq!(names_in(&scene.at("")), Vec::<String>::new());
    // Whoever takes the folder beneath chooses it instead of the disks.
    scene.settings(&["--choose-anew", "destination"]);
    scene.back_up();
    assert_eq!(scene.known().len(), 1);
    scene.mount_back(&first.0);
    scene.refused("is not the one used before");
    scene.settings(&["--choose-anew", "destination"]);
    scene.back_up();
    scene.unmount();
    scene.refused("is missing: nothing is mounted at");
}

/// The mark goes with a copy; where the disk is mounted does not.
#[test]
fn a_copy_of_the_folder_beneath_the_mount_point_is_not_the_folder_on_the_disk() {
    let Some(mut scene) = Scene::new("Backups") else { return };
    let kind = |at: &Path| Process::new("stat").args(["-f", "-c", "%T"]).arg(at).output().unwrap().stdout;
    if kind(&scene.at("")) == kind(&scene.place.at("")) {
        eprintln!("skipped: this machine keeps all in memory, and one such disk is called like another");
        return;
    }
    scene.back_up();
    let copy =
        |from: &Path, to: &Path| assert!(Process::new("cp").arg("-a").args([from, to]).status().unwrap().success());
    copy(&scene.at("Backups"), &scene.place.at("copy"));
    let disk = Kept(scene.keep_elsewhere());
    scene.unmount();
    copy(&scene.place.at("copy"), &scene.at("Backups"));
    scene.refused("is missing: nothing is mounted at");
    assert!(scene.status().contains("is missing: nothing is mounted at"));
    fs::remove_dir_all(scene.at("Backups")).unwrap();
    scene.mount_back(&disk.0);
    assert!(scene.back_up().contains("Backup 0002"));
}

#[test]
fn a_folder_that_was_emptied_renamed_or_replaced_is_said() {
    let place = Place::new();
    let data = place.at("a.sqlite");
    drop(make_data_file(&data, "", 50));
    let run = |command: &str| place.run(&[command, data.to_str().unwrap()]);
    assert!(run("backup").status.success());
    let folder = place.at("Backups");
    let refused = |why: &str| {
        let output = run("backup");
        let said = text(&output.stderr);
        assert!(output.status.code() == Some(1) && said.contains(why), "{said}");
        let status = text(&run("status").stdout);
        assert!(status.contains(why) && status.contains("not known: "), "{status}");
        // Whoever wants it back must learn that the archives are away, and not that there are none.
        let restored = run("restore");
        let said = text(&restored.stderr);
        assert!(!restored.status.success() && said.contains(why) && said.contains("no archive of "), "{said}");
    };
    let before = names_in(&folder);
    fs::rename(&folder, place.at("elsewhere")).unwrap();
    refused("Backups is gone: it was deleted or renamed");
    assert!(!folder.exists());
    fs::create_dir(&folder).unwrap();
    refused("its mark is missing, as after it was emptied or replaced");
    assert_eq!(names_in(&folder), Vec::<String>::new());
    fs::remove_dir(&folder).unwrap();
    // Another folder with a mark of its own, through a link.
    let other = place.at("b/b.sqlite");
    fs::create_dir(place.at("b")).unwrap();
    drop(make_data_file(&other, "", 10));
    assert!(place.run(&["backup", other.to_str().unwrap()]).status.success());
    std::os::unix::fs::symlink(place.at("b/Backups"), &folder).unwrap();
    refused("it bears the mark of another folder");
    fs::write(place.at("b/Backups").join(marker::NAME), "nonsense").unwrap();
    refused("cannot be understood");
    fs::remove_file(&folder).unwrap();
    // The folder itself, through a link: by whatever name, it is the one.
    std::os::unix::fs::symlink(place.at("elsewhere"), &folder).unwrap();
    assert!(text(&run("status").stdout).contains("Last full backup   0001"));
    assert!(run("backup").status.success());
    assert!(names_in(&place.at("elsewhere")).len() > before.len());
    // One that was emptied on purpose is used again when that is said.
    fs::remove_file(&folder).unwrap();
    refused("is gone");
    let chosen = place.run(&["settings", data.to_str().unwrap(), "--choose-anew", "destination"]);
    assert!(text(&chosen.stdout).contains("is used from now on"), "{}", text(&chosen.stderr));
    assert!(text(&run("status").stdout).contains("Last full backup   none in"));
    assert!(text(&run("backup").stdout).contains("Backup 0003"));
}

#[test]
fn archives_on_a_missing_disk_are_found_again_after_another_folder_was_chosen() {
    let Some(mut scene) = Scene::new("Backups") else { return };
    scene.back_up();
    let kept = Kept(scene.keep_elsewhere());
    scene.unmount();
    let instead = scene.place.at("instead");
    scene.settings(&[&format!("destination.folder={}", instead.display())]);
    assert!(scene.back_up().contains("Backup 0002"));
    assert_eq!(names_in(&scene.at("")), Vec::<String>::new());
    scene.mount_back(&kept.0);
    let listed = text(&scene.run("list").stdout);
    assert!(listed.lines().count() == 2 && listed.contains("disk/Backups/a[0001].4BK"), "{listed}");
}

#[test]
fn archives_of_an_earlier_version_are_taken_up_without_a_word() {
    let place = Place::new();
    let data = place.at("a.sqlite");
    drop(make_data_file(&data, "", 50));
    let run = |command: &str| place.run(&[command, data.to_str().unwrap()]);
    assert!(run("backup").status.success());
    // As they were left by a version that knew no marks.
    let (mark, settings) = (place.at("Backups").join(marker::NAME), path_beside(&data));
    fs::remove_file(&mark).unwrap();
    let text_of = fs::read_to_string(&settings).unwrap();
    let without: String =
        text_of.lines().filter(|line| !line.contains("places = ")).map(|l| format!("{l}\n")).collect();
    assert_ne!(without, text_of);
    fs::write(&settings, without).unwrap();
    assert!(text(&run("status").stdout).contains("Last full backup   0001"));
    assert!(!mark.exists(), "a look from outside changes nothing");
    // Whoever opens it marks the folder, beside his work, which may be done before.
    let is_marked = || mark.exists() && fs::read_to_string(&settings).unwrap().contains("places = ");
    let mut tries = 0;
    while !is_marked() {
        assert!(tries < 100 && run("check").status.success());
        tries += 1;
    }
    assert!(text(&run("backup").stdout).contains("Backup 0002"));
}

#[test]
fn a_disk_that_is_mounted_read_only_is_said_before_a_backup_fails() {
    let Some(mut scene) = Scene::new("Backups") else { return };
    scene.serve(&["--no-log"]);
    scene.back_up();
    let remount = |how: &str| {
        let done = Process::new("mount").args(["-o", how]).arg(scene.at("")).status().unwrap();
        assert!(done.success());
    };
    remount("remount,ro");
    let status = scene.until_status(|status| status.contains("is on a disk that is mounted read-only"));
    assert!(status.contains("Last full backup   0001"), "it can be read: {status}");
    assert!(!scene.run("backup").status.success());
    remount("remount,rw");
    scene.until_status(|status| !status.contains("is on a disk that is mounted read-only"));
    scene.back_up();
}

/// Mounts a file system that answers nothing, until its standard input ends.
const SILENT: &str = r#"
import ctypes, os, struct, sys
fd = os.open("/dev/fuse", os.O_RDWR)
options = f"fd={fd},rootmode=40000,user_id=0,group_id=0".encode()
if ctypes.CDLL(None).mount(b"silent", sys.argv[1].encode(), b"fuse", 0, options):
    sys.exit(1)
name, = struct.unpack_from("<Q", os.read(fd, 1 << 17), 8)
answer = struct.pack("<IIIIHHI", 7, 23, 0, 0, 12, 9, 4096)
os.write(fd, struct.pack("<IiQ", 16 + len(answer), 0, name) + answer)
print("mounted", flush=True)
sys.stdin.read()
"#;

#[test]
fn a_disk_that_does_not_answer_is_not_known_to_be_there() {
    let Some(mut scene) = Scene::new("Backups") else { return };
    if !has("python3") || !Path::new("/dev/fuse").exists() {
        return;
    }
    let log = scene.at("Backups/a.journal");
    scene.serve(&["--log", log.to_str().unwrap()]);
    scene.back_up();
    scene.until_status(|status| status.contains("complete: every commit up to now"));
    let mut silent = Process::new("python3");
    silent.args(["-c", SILENT]).arg(scene.at("")).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut silent = silent.spawn().unwrap();
    let mut line = String::new();
    BufReader::new(silent.stdout.take().unwrap()).read_line(&mut line).unwrap();
    if line.trim() != "mounted" {
        let _ = silent.wait();
        eprintln!("skipped: this user may not mount a file system of his own");
        return;
    }
    let status = scene.until_status(|status| status.contains("has not answered for"));
    assert!(status.contains("Last full backup   not known") && !status.contains("complete: every commit"), "{status}");
    // Whoever served it is gone; then it is, and the disk is seen again.
    drop(silent.stdin.take());
    silent.wait().unwrap();
    scene.until_status(|status| status.contains("whether ") && status.contains("cannot be told"));
    scene.unmount();
    scene.until_status(|status| {
        status.contains("Last full backup   0001") && status.contains("complete: every commit up to now")
    });
}

#[test]
fn a_disk_that_goes_away_in_the_middle_of_a_backup_leaves_nothing_in_its_place() {
    let Some(mut scene) = Scene::new("Backups") else { return };
    scene.back_up();
    // Much to read and to compress, so that there is a middle.
    let big = scene.place.at("files");
    fs::create_dir(&big).unwrap();
    for n in 0..300 {
        fs::write(big.join(format!("{n}")), vec![n as u8; 400_000]).unwrap();
    }
    scene.settings(&[&format!("content.attachments={}", big.display()), "archive.compression=compact"]);
    let mut child = scene.place.program();
    child.arg("backup").arg(&scene.data).stdout(Stdio::piped()).stderr(Stdio::piped());
    let child = child.spawn().unwrap();
    let begun = Instant::now();
    while !names_in(&scene.at("Backups")).iter().any(|name| name.ends_with(".part")) {
        assert!(begun.elapsed() < Duration::from_secs(60), "never began");
        std::thread::sleep(Duration::from_millis(2));
    }
    scene.unmount();
    let output = child.wait_with_output().unwrap();
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{}", text(&output.stdout));
    assert!(said.contains("the disk went away during the backup: "), "{said}");
    assert_eq!(names_in(&scene.at("")), Vec::<String>::new());
}

#[test]
fn a_log_whose_disk_is_gone_is_released_and_goes_on_by_itself() {
    let Some(mut scene) = Scene::new("unused") else { return };
    let (log, to) = (scene.at("logs/a.journal"), scene.place.at("Backups"));
    fs::create_dir(scene.at("logs")).unwrap();
    scene.settings(&[&format!("destination.folder={}", to.display()), &format!("log.file={}", log.display())]);
    scene.serve(&[]);
    scene.back_up();
    scene.application.execute("INSERT INTO t(a) VALUES('before')", []).unwrap();
    scene.until_status(|status| status.contains("complete: every commit up to now"));
    let kept = Kept(scene.keep_elsewhere());
    scene.unmount();
    let why = "the disk for the folder of the log";
    let status = scene.until_status(|status| status.contains(why));
    assert!(status.contains("NOT USABLE") && !status.contains("complete: every commit"), "{status}");
    scene.application.execute("INSERT INTO t(a) VALUES('meanwhile')", []).unwrap();
    // Also one that begins now does not begin another log beneath.
    scene.stop();
    let mut again = scene.place.program();
    let mut again = again.arg("serve").arg(&scene.data).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    scene.until_status(|status| status.contains("In the care of     strongroom") && status.contains(why));
    again.kill().unwrap();
    again.wait().unwrap();
    assert!(scene.status().contains(why));
    assert_eq!(names_in(&scene.at("")), Vec::<String>::new(), "nothing was begun beneath");
    scene.mount_back(&kept.0);
    scene.serve(&[]);
    scene.until_status(|status| status.contains("complete: every commit up to now"));
    scene.application.execute("INSERT INTO t(a) VALUES('after')", []).unwrap();
    scene.until_status(|status| status.contains("complete: every commit up to now"));
    let archive = to.join("a[0001].4BK");
    let to = scene.place.at("restored");
    let output = scene.place.run(&[
        "restore",
        archive.to_str().unwrap(),
        "--log",
        log.to_str().unwrap(),
        "--to",
        to.to_str().unwrap(),
    ]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert_eq!(logical_content(&to.join("a.sqlite")), logical_content(&scene.data));
}

#[test]
fn a_running_service_takes_up_the_log_again_when_its_disk_is_back() {
    let Some(mut scene) = Scene::new("unused") else { return };
    // In the mount point itself, which is there also without a disk.
    let (log, to) = (scene.at("a.journal"), scene.place.at("Backups"));
    scene.settings(&[&format!("destination.folder={}", to.display()), &format!("log.file={}", log.display())]);
    scene.serve(&[]);
    scene.back_up();
    let kept = Kept(scene.keep_elsewhere());
    scene.unmount();
    // At once: a cut does not begin a log beneath.
    scene.refused("the archive is sound, but its log needs attention: the disk for the folder of the log");
    scene.until_status(|status| status.contains("NOT USABLE"));
    // Each once: of the backup, and of the log.
    scene.until_status(|status| status.matches("  Connect and mount its disk").count() == 2);
    scene.application.execute("INSERT INTO t(a) VALUES('meanwhile')", []).unwrap();
    assert_eq!(names_in(&scene.at("")), Vec::<String>::new());
    scene.mount_back(&kept.0);
    scene.until_status(|status| status.contains("complete: every commit up to now"));
    let restored = scene.place.at("restored");
    let archive = to.join("a[0001].4BK");
    let output = scene.place.run(&[
        "restore",
        archive.to_str().unwrap(),
        "--log",
        log.to_str().unwrap(),
        "--to",
        restored.to_str().unwrap(),
    ]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert_eq!(logical_content(&restored.join("a.sqlite")), logical_content(&scene.data));
}

#[test]
fn in_an_emergency_a_backup_goes_elsewhere_while_the_destination_is_gone() {
    let place = Place::new();
    let data = place.at("a.sqlite");
    let application = make_data_file(&data, "PRAGMA journal_mode=WAL", 50);
    let file = data.to_str().unwrap();
    let usual = format!("destination.folder={}", place.at("usual").display());
    assert!(place.run(&["settings", file, &usual]).status.success());
    assert!(place.run(&["backup", file]).status.success());
    fs::rename(place.at("usual"), place.at("away")).unwrap();
    let refused = place.run(&["backup", file]);
    assert!(text(&refused.stderr).contains("is gone"), "{refused:?}");
    let output = place.run(&["backup", file, "--to", place.at("emergency").to_str().unwrap()]);
    assert!(output.status.success(), "{output:?}");
    assert!(!place.at("usual").exists(), "nothing is begun where the destination was");
    let archive = place.at("emergency").join("a[0002].4BK");
    let to = place.at("restored");
    let output = place.run(&["restore", archive.to_str().unwrap(), "--to", to.to_str().unwrap()]);
    assert!(output.status.success(), "{output:?}");
    assert_eq!(logical_content(&to.join("a.sqlite")), logical_content(&data));
    drop(application);
}

#[test]
fn attachments_on_a_disk_that_is_not_mounted_are_missed() {
    let Some(mut scene) = Scene::new("unused") else { return };
    let letters = scene.at("letters");
    fs::create_dir(&letters).unwrap();
    fs::write(letters.join("one"), "1").unwrap();
    let attached = format!("content.attachments={}", scene.place.at("disk").display());
    scene.settings(&["--default", "destination.folder", &attached]);
    scene.back_up();
    let kept = Kept(scene.keep_elsewhere());
    scene.unmount();
    for _ in 0..2 {
        // As often as it is so.
        scene.refused("disk holds nothing, because its disk is missing: tmpfs is not mounted at");
    }
    assert!(scene.status().contains("Last full backup   0003"), "the data file itself is backed up");
    scene.mount_back(&kept.0);
    scene.back_up();
    // What was emptied on purpose is said once.
    fs::remove_dir_all(&letters).unwrap();
    scene.refused("disk is empty, and held files when it was backed up last");
    scene.back_up();
}
