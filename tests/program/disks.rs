//! Disks that take nothing for a while, or nothing more, and folders on them that are not what they were: what is said,
//! and that everything goes on by itself afterwards. They need the right to mount a file system, and say so without it.
#![cfg(target_os = "linux")]

use crate::support;

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    thread,
    time::{Duration, Instant},
};

use serde_json::Value;
use support::{
    Place,
    disk::{RealDisk, SmallDisk},
    engine::foreign_commits,
    logical_content, names_in, text,
    user::User,
};

/// Nothing here takes this long, even on a slow and busy machine.
const LIMIT: Duration = Duration::from_secs(120);

/// A data file whose archives, log and attachments lie where a test has mounted something.
struct Scene {
    place: Place,
    data: PathBuf,
    service: Option<Child>,
}

impl Scene {
    fn new(place: Place, data: PathBuf, settings: &[&str]) -> Self {
        fs::create_dir_all(data.parent().unwrap()).unwrap();
        foreign_commits(
            &data,
            "PRAGMA journal_mode=WAL; CREATE TABLE t(id INTEGER PRIMARY KEY, a);
             WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i<1500)
             INSERT INTO t SELECT i, hex(randomblob(40)) FROM n",
        );
        let scene = Self { place, data, service: None };
        let output = scene.run(&[&["settings", scene.data()], settings].concat());
        assert!(output.status.success(), "{}", text(&output.stderr));
        scene
    }

    fn data(&self) -> &str {
        self.data.to_str().unwrap()
    }

    fn run(&self, arguments: &[&str]) -> Output {
        self.place.run(arguments)
    }

    fn serve(&mut self) {
        let lines = fs::File::create(self.place.at("service.log")).unwrap();
        let mut command = self.place.program();
        command.arg("serve").arg(&self.data).stdout(Stdio::null()).stderr(lines);
        self.service = Some(command.spawn().unwrap());
    }

    fn kill(&mut self) {
        let mut service = self.service.take().unwrap();
        service.kill().unwrap();
        service.wait().unwrap();
    }

    /// Ends the service, as the system does when it is shut down.
    fn end(&mut self) {
        let mut service = self.service.take().unwrap();
        assert!(Command::new("kill").arg(service.id().to_string()).status().unwrap().success());
        assert!(service.wait().unwrap().success());
    }

    fn until(&self, what: &str, done: impl Fn(&Value) -> bool) -> Value {
        let begun = Instant::now();
        loop {
            let output = self.run(&["status", self.data(), "--json"]);
            let status = serde_json::from_slice(&output.stdout).unwrap_or(Value::Null);
            if done(&status) {
                return status;
            }
            assert!(begun.elapsed() < LIMIT, "{what} never came about: {status:#} {}", text(&output.stderr));
            thread::sleep(Duration::from_millis(50));
        }
    }

    fn until_complete(&self) {
        self.until("a complete log", |status| status["log"]["complete"] == true && status["log"]["state"] == "on");
    }

    /// A backup that must end with this code, and what it says.
    fn backup(&self, code: i32) -> String {
        let output = self.run(&["backup", self.data()]);
        let said = text(&output.stdout) + &text(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{said}");
        said
    }

    fn status(&self) -> String {
        text(&self.run(&["status", self.data()]).stdout)
    }

    fn archives(&self, folder: &Path) -> Vec<String> {
        names_in(folder).into_iter().filter(|name| name.ends_with(".4BK")).collect()
    }

    /// The last archive with the log is what the application sees.
    fn restores(&self) {
        let to = self.place.at("restored");
        let output = self.run(&["restore", self.data(), "--to", to.to_str().unwrap()]);
        assert!(output.status.success(), "{}", text(&output.stderr));
        assert_eq!(logical_content(&to.join("a.sqlite")), logical_content(&self.data));
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        if self.service.is_some() {
            self.kill();
        }
    }
}

fn mount(options: &[&str], at: &Path) {
    let output = Command::new("mount").args(options).arg(at).output().unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
}

fn warns(status: &Value, what: &str) -> bool {
    let warnings = status["warnings"].as_array().into_iter().flatten();
    warnings.into_iter().any(|warning| warning["message"].as_str().is_some_and(|message| message.contains(what)))
}

#[test]
fn a_service_begun_while_the_disk_of_the_data_file_is_read_only_goes_on_once_it_can_be_written() {
    let place = Place::new();
    let Some(disk) = SmallDisk::mount(&place.at("disk"), "64m") else { return };
    let (log, backups) = (place.at("logs/a.journal"), place.at("Backups"));
    fs::create_dir(place.at("logs")).unwrap();
    let chosen = [format!("log.file={}", log.display()), format!("destination.folder={}", backups.display())];
    let mut scene = Scene::new(place, disk.0.join("a.sqlite"), &[&chosen[0], &chosen[1]]);
    scene.serve();
    scene.until_complete();
    scene.backup(0);
    foreign_commits(&scene.data, "INSERT INTO t(a) VALUES('before')");
    scene.kill();
    mount(&["-o", "remount,ro"], &disk.0);
    scene.serve();
    // Nobody can commit anything, and the log is not called complete.
    scene.until("that the disk is read-only", |status| warns(status, "its disk is mounted read-only"));
    mount(&["-o", "remount,rw"], &disk.0);
    foreign_commits(&scene.data, "INSERT INTO t(a) VALUES('as soon as it can be written')");
    scene.until_complete();
    // Whoever comes by another user asks for the lock beside the data file.
    scene.until("the lock beside the data file", |_| disk.0.join(".a.sqlite.strongroom-lock").exists());
    foreign_commits(&scene.data, "INSERT INTO t(a) VALUES('and after')");
    scene.backup(0);
    assert!(log.with_file_name("a[0001].4BL").exists(), "{:?}", names_in(&scene.place.at("logs")));
    foreign_commits(&scene.data, "INSERT INTO t(a) VALUES('into the next log')");
    scene.until_complete();
    scene.restores();
    let lines = fs::read_to_string(scene.place.at("service.log")).unwrap();
    assert!(lines.matches("records every commit").count() < 5, "{lines}");
}

#[test]
fn a_disk_of_archives_or_log_that_took_nothing_more_after_an_error_is_said_without_a_backup() {
    let place = Place::new();
    let Some(disk) = RealDisk::mount(&place.at("disk")) else { return };
    let data = place.at("data/a.sqlite");
    let chosen = [
        format!("log.file={}", disk.0.join("a.journal").display()),
        format!("destination.folder={}", disk.0.join("Backups").display()),
    ];
    let mut scene = Scene::new(place, data, &[&chosen[0], &chosen[1]]);
    scene.serve();
    scene.until_complete();
    scene.backup(0);
    assert!(!scene.status().contains("read-only"));
    if !disk.stop() {
        return;
    }
    let said = |status: &Value| warns(status, "Backups is on a disk that is mounted read-only");
    scene.until("that the disk of the archives takes nothing", said);
}

#[test]
fn what_a_disk_changed_by_itself_is_no_success_and_pushes_out_nothing_that_was_committed() {
    let place = Place::new();
    let Some(disk) = RealDisk::mount(&place.at("disk")) else { return };
    let (log, backups) = (place.at("logs/a.journal"), place.at("Backups"));
    fs::create_dir(place.at("logs")).unwrap();
    let chosen = [format!("log.file={}", log.display()), format!("destination.folder={}", backups.display())];
    let mut scene = Scene::new(place, disk.0.join("a.sqlite"), &[&chosen[0], &chosen[1], "keep.last=2"]);
    scene.serve();
    scene.until_complete();
    scene.backup(0);
    foreign_commits(&scene.data, "INSERT INTO t(a) VALUES('THE MARK OF A RECORD and its value')");
    scene.until_complete();
    let committed = logical_content(&scene.data);
    scene.end();
    disk.rot(b"THE MARK OF A RECORD ");
    assert_ne!(logical_content(&scene.data), committed);
    scene.serve();
    scene.until_complete();
    // Whole as far as SQLite can tell, and not what was committed.
    let said = scene.backup(1);
    assert!(said.contains("that is not what was committed") && said.contains("changed without a commit"), "{said}");
    let status =
        scene.until("that it was changed", |status| warns(status, "pages of it were changed without a commit"));
    assert_eq!(status["protection"]["standing"], "at-risk", "{status:#}");
    // However many follow, what was committed stays, and a restore up to a moment before leads there.
    for _ in 0..3 {
        scene.backup(0);
    }
    assert_eq!(scene.archives(&backups), ["a[0001].4BK", "a[0004].4BK", "a[0005].4BK"]);
    let to = scene.place.at("committed");
    let first = backups.join("a[0001].4BK");
    let output = scene.run(&["restore", first.to_str().unwrap(), "--to", to.to_str().unwrap(), "--commit", "1"]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert_eq!(logical_content(&to.join("a.sqlite")), committed);
}

#[test]
fn an_error_of_the_disk_is_not_called_a_missing_permission() {
    let place = Place::new();
    let Some(disk) = RealDisk::mount(&place.at("disk")) else { return };
    let destination = format!("destination.folder={}", place.at("Backups").display());
    let scene = Scene::new(place, disk.0.join("a.sqlite"), &[&destination]);
    let shut = Command::new("xfs_io").args(["-x", "-c", "shutdown"]).arg(&disk.0).output();
    if !shut.is_ok_and(|output| output.status.success()) {
        eprintln!("skipped: xfs_io is not there, or cannot shut this file system down");
        return;
    }
    for command in ["status", "backup"] {
        let output = scene.run(&[command, scene.data()]);
        let said = text(&output.stdout) + &text(&output.stderr);
        assert!(said.contains("input/output error") && said.contains("disk is connected and healthy"), "{said}");
        assert!(!said.contains("permission"), "{said}");
    }
}

#[test]
fn a_log_that_could_not_be_renamed_at_one_backup_is_cut_by_the_next() {
    let place = Place::new();
    let Some(_disk) = SmallDisk::mount(&place.at("logs"), "32m") else { return };
    let (data, log) = (place.at("data/a.sqlite"), place.at("logs/a.journal"));
    let chosen =
        [format!("log.file={}", log.display()), format!("destination.folder={}", place.at("Backups").display())];
    let mut scene = Scene::new(place, data, &[&chosen[0], &chosen[1]]);
    scene.serve();
    scene.until_complete();
    scene.backup(0);
    foreign_commits(&scene.data, "INSERT INTO t(a) VALUES('before the cut that fails')");
    // What is mounted can be neither renamed nor removed.
    mount(&["--bind", log.to_str().unwrap()], &log);
    for _ in 0..2 {
        let said = scene.backup(1);
        assert!(said.contains("its log needs attention") && said.contains("a.journal"), "{said}");
        assert!(!said.contains("another backup"), "none is running: {said}");
        foreign_commits(&scene.data, "INSERT INTO t(a) VALUES('meanwhile')");
    }
    assert!(Command::new("umount").arg(&log).status().unwrap().success());
    scene.backup(0);
    foreign_commits(&scene.data, "INSERT INTO t(a) VALUES('after')");
    scene.until_complete();
    let logs = names_in(&scene.place.at("logs"));
    assert!(!logs.contains(&"a.journal.next".to_owned()), "{logs:?}");
    scene.restores();
    scene.backup(0);
}

/// A data file with attachments, of which one archive is kept.
fn with_files(count: usize) -> (Scene, PathBuf) {
    let place = Place::new();
    let (data, files) = (place.at("data/a.sqlite"), place.at("files"));
    fs::create_dir_all(files.join("sub")).unwrap();
    fs::write(files.join("sub/one"), "1").unwrap();
    (0..count).for_each(|n| fs::write(files.join(format!("file {n}")), n.to_string()).unwrap());
    let attached = format!("content.attachments+={}", files.display());
    let scene = Scene::new(place, data, &["keep.last=1", &attached]);
    scene.backup(0);
    (scene, files)
}

#[test]
fn a_chosen_folder_in_whose_place_another_one_is_holds_the_backup_before() {
    for count in [200, 2] {
        let (scene, files) = with_files(count);
        let backups = scene.data.with_file_name("Backups");
        // An application that puts a folder with the same in its place takes nothing away.
        let copied = Command::new("cp").arg("-a").arg(&files).arg(scene.place.at("copy")).status().unwrap();
        assert!(copied.success());
        fs::rename(&files, scene.place.at("first")).unwrap();
        fs::rename(scene.place.at("copy"), &files).unwrap();
        assert!(!scene.backup(0).contains("WARNING"));
        assert_eq!(scene.archives(&backups), ["a[0002].4BK"]);

        fs::rename(&files, scene.place.at("away")).unwrap();
        fs::create_dir(&files).unwrap();
        fs::write(files.join("README"), "another").unwrap();
        let said = scene.backup(0);
        assert!(said.contains("is another one than when it was backed up last"), "{said}");
        assert!(said.contains(&format!("{0} of its {0} files are gone", count + 1)), "{said}");
        // Said once, and the files stay until somebody says that it was meant.
        for _ in 0..2 {
            assert!(!scene.backup(0).contains("WARNING"));
        }
        assert_eq!(scene.archives(&backups), ["a[0002].4BK", "a[0005].4BK"]);
        assert!(scene.status().contains("backup 0002 is held, and never deleted"), "{}", scene.status());
    }
}

#[test]
fn most_files_of_a_folder_that_are_gone_at_once_and_a_disk_over_some_of_them_hold_the_backup_before() {
    let (scene, files) = with_files(30);
    let backups = scene.data.with_file_name("Backups");
    (0..10).for_each(|n| fs::remove_file(files.join(format!("file {n}"))).unwrap());
    assert!(!scene.backup(0).contains("WARNING"), "a third is everyday use");
    (10..28).for_each(|n| fs::remove_file(files.join(format!("file {n}"))).unwrap());
    let said = scene.backup(0);
    assert!(said.contains("lost most of what it held: 18 of its 21 files are gone"), "{said}");
    assert_eq!(scene.archives(&backups), ["a[0002].4BK", "a[0003].4BK"]);
    let Some(_disk) = SmallDisk::mount(&files.join("sub"), "1m") else { return };
    let said = scene.backup(0);
    assert!(said.contains("files/sub, and 1 of its 1 files are gone"), "{said}");
    assert_eq!(scene.archives(&backups), ["a[0002].4BK", "a[0003].4BK", "a[0004].4BK"]);
    assert!(!scene.backup(0).contains("WARNING"));
}

#[test]
fn archives_that_this_user_may_not_read_are_not_called_damaged() {
    let Some(user) = User::new(61_177) else { return };
    let place = Place::new();
    let folder = user.folder(&place, "vault");
    let (data, backups) = (folder.join("a.sqlite"), folder.join("Backups"));
    foreign_commits(&data, "CREATE TABLE t(a); INSERT INTO t VALUES(1)");
    user.own(&data);
    let run = |arguments: &[&str]| {
        let output = user.program(&place).args(arguments).output().unwrap();
        (output.status.code(), text(&output.stdout) + &text(&output.stderr))
    };
    let data = data.to_str().unwrap();
    assert_eq!(run(&["backup", data]).0, Some(0));
    let archive = backups.join("a[0001].4BK");
    std::os::unix::fs::chown(&archive, Some(0), Some(0)).unwrap();
    support::user::set_mode(&archive, 0o600);
    for command in ["status", "list"] {
        let (_, said) = run(&[command, data]);
        assert!(said.contains("CANNOT BE READ: cannot open") && said.contains("permission denied"), "{said}");
        assert!(!said.contains("DAMAGED") && !said.contains("not sound") && !said.contains("backup of yet"), "{said}");
    }
}

#[test]
fn a_disk_without_inodes_and_a_limit_of_the_length_of_files_are_told_from_a_full_disk() {
    let place = Place::new();
    let Some(disk) = SmallDisk::mount(&place.at("disk"), "8m,nr_inodes=12") else { return };
    let (data, backups) = (place.at("data/a.sqlite"), disk.0.join("Backups"));
    let scene = Scene::new(place, data, &[&format!("destination.folder={}", backups.display())]);
    scene.backup(0);
    while fs::File::create(disk.0.join(names_in(&disk.0).len().to_string())).is_ok() {}
    let said = scene.backup(1);
    assert!(said.contains("no inodes are left"), "{said}");

    (0..4).for_each(|n| drop(fs::remove_file(disk.0.join(n.to_string()))));
    foreign_commits(&scene.data, "INSERT INTO t(a) SELECT hex(randomblob(2000)) FROM t");
    let mut limited = Command::new("sh");
    limited.args(["-c", r#"trap '' XFSZ; ulimit -f 1000; exec "$@""#, "sh", support::PROGRAM, "backup", scene.data()]);
    let program = scene.place.program();
    limited.envs(program.get_envs().filter_map(|(name, value)| Some((name, value?))));
    let output = limited.output().unwrap();
    let said = text(&output.stdout) + &text(&output.stderr);
    assert!(said.contains("file too large") && said.contains("archive.segment-size"), "{said}");
}
