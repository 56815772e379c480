//! The accidents of a server, one by one, under the real program: a file that belongs to a data file is deleted,
//! replaced, cut or overwritten, or its disk goes away, while the service runs, after it ended, and after it was
//! killed. The status says what is so, without a person the protection goes on where that is possible, and no restore
//! ever delivers what never was. `docs/accidents.md` has the table.
#![cfg(target_os = "linux")]

use crate::support;

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::Mutex,
    thread,
    time::{Duration, Instant},
};

use strongroom::{journal::reader::LogReader, storage::marker};
use support::{Content, Place, disk::SmallDisk, engine::foreign_commits, has, logical_content, names_in, text};

/// Nothing here takes this long, even on a slow and busy machine.
const LIMIT: Duration = Duration::from_secs(120);
/// Scenes that run at the same time: most of their time they wait.
const AT_ONCE: usize = 4;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum When {
    Running,
    Stopped,
    Killed,
}

/// What the status has to say, and what can still be done.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Expected {
    /// It is said, and everything goes on: the next backup and its log restore to now.
    GoesOn,
    /// Nothing is harmed, so that nothing need be said.
    Unharmed,
    /// It is said, the application works, and a backup gives the state it was made of; but the log cannot go on.
    NoLog,
    /// It is said, and no backup pretends to be one.
    NoDataFile,
}

struct Scene {
    place: Place,
    data: PathBuf,
    log: PathBuf,
    service: Option<Child>,
    commits: u32,
    /// Every state that the data file ever had.
    states: Vec<Content>,
}

impl Scene {
    fn new(log_folder: &str) -> Self {
        let place = Place::new();
        for folder in ["data", "logs", "spare"] {
            fs::create_dir_all(place.at(folder)).unwrap();
        }
        let (data, log) = (place.at("data/a.sqlite"), place.at(log_folder).join("a.journal"));
        let scene = Self { place, data, log, service: None, commits: 0, states: Vec::new() };
        foreign_commits(
            &scene.data,
            "PRAGMA journal_mode=WAL; CREATE TABLE t(id INTEGER PRIMARY KEY, a);
             WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i<1500)
             INSERT INTO t SELECT i, hex(randomblob(40)) FROM n",
        );
        scene.set("log.file", &scene.log);
        scene.set("destination.folder", &scene.place.at("Backups"));
        scene
    }

    fn set(&self, key: &str, path: &Path) {
        let output = self.place.run(&["settings", self.data.to_str().unwrap(), &format!("{key}={}", path.display())]);
        assert!(output.status.success(), "{}", text(&output.stderr));
    }

    fn start(&mut self) {
        let mut command = self.place.program();
        command.arg("serve").arg(&self.data).stdout(Stdio::null()).stderr(Stdio::null());
        self.service = Some(command.spawn().unwrap());
    }

    fn end(&mut self, kill: bool) {
        if let Some(mut service) = self.service.take() {
            let signal = if kill { "-KILL" } else { "-TERM" };
            assert!(Command::new("kill").arg(signal).arg(service.id().to_string()).status().unwrap().success());
            service.wait().unwrap();
        }
    }

    fn commit(&mut self) {
        self.commits += 1;
        let n = self.commits;
        foreign_commits(
            &self.data,
            &format!("INSERT INTO t(a) VALUES('commit {n}'); UPDATE t SET a='{n}' WHERE id={n}"),
        );
        // One call of the program makes two commits.
        self.note_state();
    }

    fn note_state(&mut self) {
        self.states.push(logical_content(&self.data));
    }

    /// What `status` says, whether or not a service answers.
    fn status(&self) -> (bool, serde_json::Value, String) {
        let output = self.place.run(&["status", self.data.to_str().unwrap(), "--json"]);
        let value = serde_json::from_slice(&output.stdout).unwrap_or(serde_json::Value::Null);
        (output.status.success(), value, text(&output.stderr))
    }

    fn until(&self, what: &str, done: impl Fn(&serde_json::Value, &str) -> bool) -> serde_json::Value {
        let begun = Instant::now();
        loop {
            let (_, status, error) = self.status();
            if done(&status, &error) {
                return status;
            }
            assert!(begun.elapsed() < LIMIT, "{what} never came about: {status:#} {error}");
            thread::sleep(Duration::from_millis(50));
        }
    }

    /// Nobody has the file open: as when an administrator puts another one in its place.
    fn until_at_rest(&self) {
        let begun = Instant::now();
        while with(&self.data, "-wal").metadata().is_ok_and(|wal| wal.len() > 0) {
            assert!(begun.elapsed() < LIMIT, "the WAL was never left empty");
            thread::sleep(Duration::from_millis(10));
        }
    }

    fn until_complete(&self) {
        self.until("a complete log", |status, _| status["log"]["complete"] == true && status["log"]["state"] == "on");
    }

    fn backup(&self) -> (bool, String) {
        let output = self.place.run(&["backup", self.data.to_str().unwrap()]);
        (output.status.success(), text(&output.stdout) + &text(&output.stderr))
    }

    /// Restores with all logs that there are, wherever they lie. What came out, and whether that was called a success.
    fn restore(&self, archive: &str, to: &str) -> (bool, Option<Content>, String) {
        let mut command = self.place.program();
        command.arg("restore").arg(self.place.at("Backups").join(archive)).arg("--to").arg(self.place.at(to));
        let logs = names_in(self.log.parent().unwrap());
        for name in logs.iter().filter(|name| name.ends_with(".journal") || name.ends_with(".4BL")) {
            command.arg("--log").arg(self.log.with_file_name(name));
        }
        let output = command.output().unwrap();
        let restored = self.place.at(to).join("a.sqlite");
        let content = restored.exists().then(|| logical_content(&restored));
        (output.status.success(), content, text(&output.stdout) + &text(&output.stderr))
    }

    fn archives(&self) -> Vec<String> {
        names_in(&self.place.at("Backups")).into_iter().filter(|name| name.ends_with(".4BK")).collect()
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        if let Some(mut service) = self.service.take() {
            let _ = service.kill();
            let _ = service.wait();
        }
    }
}

/// Whether anything urgent is said, in whatever way.
fn is_said(status: &serde_json::Value, error: &str) -> bool {
    let urgent = ["data-file-damaged", "log-broken", "stray-program", "data-file-incomplete"];
    let warned = status["warnings"].as_array().into_iter().flatten();
    !error.is_empty()
        || !status["log_problem"].is_null()
        || warned.into_iter().any(|w| urgent.contains(&w["kind"].as_str().unwrap_or_default()))
}

struct Accident {
    name: &'static str,
    happen: fn(&Scene),
    expected: Expected,
    /// What is expected where nobody watched, if that is something else.
    expected_later: Option<Expected>,
}

const fn accident(name: &'static str, happen: fn(&Scene), expected: Expected) -> Accident {
    Accident { name, happen, expected, expected_later: None }
}

/// As above, but nothing that was not watched is worth a word.
const fn watched(name: &'static str, happen: fn(&Scene), expected: Expected) -> Accident {
    Accident { name, happen, expected, expected_later: Some(Expected::Unharmed) }
}

fn with(path: &Path, end: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(end);
    PathBuf::from(name)
}

/// By another process: this one would drop SQLite's locks where a test holds some.
fn run(program: &str, arguments: &[&Path]) {
    let status = Command::new(program).args(arguments).stderr(Stdio::null()).status().unwrap();
    assert!(status.success(), "{program} {arguments:?}");
}

fn remove(path: &Path) {
    let _ = fs::remove_file(path);
}

/// Another file in place of `path`, as `mv` does it.
fn move_over(scene: &Scene, from: &Path, path: &Path) {
    let spare = path.with_file_name("being moved");
    run("cp", &[from, &spare]);
    fs::rename(&spare, path).unwrap();
    let _ = scene;
}

fn older(scene: &Scene) -> PathBuf {
    scene.place.at("spare/older.sqlite")
}

fn other(scene: &Scene) -> PathBuf {
    scene.place.at("spare/other.sqlite")
}

/// In the first commit of the log.
fn overwrite_log(path: &Path) {
    use std::os::unix::fs::FileExt;
    fs::File::options().write(true).open(path).unwrap().write_all_at(&[0xa5; 100], 300).unwrap();
}

/// All of it, in the same file; then commits that change pages for the first time, of which it would tell.
fn overwrite_table(s: &Scene) {
    use std::os::unix::fs::FileExt;
    let file = fs::File::options().write(true).open(with(&s.log, ".pages")).unwrap();
    let length = file.metadata().unwrap().len() as usize;
    assert!(length > 80);
    file.write_all_at(&vec![0xa5; length], 0).unwrap();
    foreign_commits(&s.data, "UPDATE t SET a='later' WHERE id%50=0");
}

fn commit_at_once(s: &Scene) {
    foreign_commits(&s.data, "INSERT INTO t(a) VALUES('at once')");
}

const ACCIDENTS: &[Accident] = &[
    accident("nothing", |_| {}, Expected::Unharmed),
    accident("data file deleted", |s| remove(&s.data), Expected::NoDataFile),
    accident("data file renamed", |s| fs::rename(&s.data, with(&s.data, ".old")).unwrap(), Expected::NoDataFile),
    accident(
        "data file and companions deleted",
        |s| ["", "-wal", "-shm"].iter().for_each(|end| remove(&with(&s.data, end))),
        Expected::NoDataFile,
    ),
    accident("data file cut to 0 bytes", |s| fs::write(&s.data, "").unwrap(), Expected::NoDataFile),
    watched("data file replaced by its copy", |s| move_over(s, &s.data.clone(), &s.data), Expected::GoesOn),
    watched("older copy moved over the data file", |s| move_over(s, &older(s), &s.data), Expected::GoesOn),
    watched("older copy copied over the data file", |s| run("cp", &[&older(s), &s.data]), Expected::GoesOn),
    watched("longer database moved over the data file", |s| move_over(s, &other(s), &s.data), Expected::GoesOn),
    watched("longer database copied over the data file", |s| run("cp", &[&other(s), &s.data]), Expected::GoesOn),
    watched(
        "all three deleted, another database in place",
        |s| {
            ["", "-wal", "-shm"].iter().for_each(|end| remove(&with(&s.data, end)));
            run("cp", &[&other(s), &s.data]);
        },
        Expected::GoesOn,
    ),
    accident(
        "database without WAL mode in place",
        |s| {
            let plain = s.place.at("spare/plain.sqlite");
            foreign_commits(&plain, "CREATE TABLE t(id INTEGER PRIMARY KEY, a); INSERT INTO t VALUES(1,'plain')");
            move_over(s, &plain, &s.data);
        },
        Expected::NoLog,
    ),
    watched("-wal deleted", |s| remove(&with(&s.data, "-wal")), Expected::GoesOn),
    watched("-shm deleted", |s| remove(&with(&s.data, "-shm")), Expected::GoesOn),
    watched(
        "-wal and -shm deleted",
        |s| ["-wal", "-shm"].iter().for_each(|end| remove(&with(&s.data, end))),
        Expected::GoesOn,
    ),
    accident("log deleted", |s| remove(&s.log), Expected::GoesOn),
    accident("log renamed", |s| fs::rename(&s.log, with(&s.log, ".old")).unwrap(), Expected::GoesOn),
    watched("log replaced by its copy", |s| move_over(s, &s.log.clone(), &s.log), Expected::GoesOn),
    accident("log cut to 0 bytes", |s| fs::write(&s.log, "").unwrap(), Expected::GoesOn),
    watched(
        "log cut to 400 bytes",
        |s| fs::File::options().write(true).open(&s.log).unwrap().set_len(400).unwrap(),
        Expected::GoesOn,
    ),
    accident("log overwritten in its middle", |s| overwrite_log(&s.log), Expected::GoesOn),
    // What is written next must not hide it: a file that was cut is as long as before then.
    watched(
        "log cut while commits go on",
        |s| {
            fs::File::options().write(true).open(&s.log).unwrap().set_len(300).unwrap();
            commit_at_once(s);
        },
        Expected::GoesOn,
    ),
    accident(
        "log overwritten while commits go on",
        |s| {
            overwrite_log(&s.log);
            commit_at_once(s);
        },
        Expected::GoesOn,
    ),
    accident(
        "an older copy of the log at the name of the next one",
        |s| run("cp", &[&s.log, &with(&s.log, ".next")]),
        Expected::Unharmed,
    ),
    accident("the log's table of pages deleted", |s| remove(&with(&s.log, ".pages")), Expected::Unharmed),
    accident("the log's table of pages overwritten", overwrite_table, Expected::Unharmed),
    accident("log folder deleted", |s| fs::remove_dir_all(s.log.parent().unwrap()).unwrap(), Expected::NoLog),
    watched(
        "owner and permissions of the data file changed",
        |s| run("chmod", &[Path::new("0640"), &s.data]),
        Expected::Unharmed,
    ),
];

fn play(case: &Accident, when: When) {
    let mut scene = Scene::new("logs");
    scene.start();
    scene.until_complete();
    assert!(scene.backup().0);
    scene.note_state();
    scene.commit();
    foreign_commits(&scene.data, &format!("VACUUM INTO '{}'", older(&scene).display()));
    foreign_commits(&older(&scene), "PRAGMA journal_mode=WAL");
    scene.commit();
    scene.commit();
    foreign_commits(
        &other(&scene),
        "PRAGMA journal_mode=WAL; CREATE TABLE t(id INTEGER PRIMARY KEY, a);
         WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i<9000) INSERT INTO t SELECT i, 'other \
         '||i FROM n",
    );
    scene.until_complete();
    scene.until_at_rest();
    match when {
        When::Running => {}
        When::Stopped => scene.end(false),
        When::Killed => scene.end(true),
    }
    (case.happen)(&scene);
    let expected = if when == When::Running { case.expected } else { case.expected_later.unwrap_or(case.expected) };
    if when != When::Running {
        scene.start();
    }
    match expected {
        Expected::Unharmed => scene.until_complete(),
        _ => _ = scene.until("a word about it", is_said),
    }
    if expected == Expected::NoDataFile {
        let (success, said) = scene.backup();
        assert!(!success, "a backup of nothing succeeded: {said}");
        assert_eq!(scene.archives().len(), 1);
    } else {
        if expected == Expected::GoesOn {
            scene.until_complete();
        }
        scene.note_state();
        scene.commit();
        let (mut success, mut said) = scene.backup();
        // What is in the way for a moment is said to be so.
        while scene.archives().len() == 1 && ["in a moment", "at once"].iter().any(|soon| said.contains(soon)) {
            eprintln!("{}: {said}", case.name);
            (success, said) = scene.backup();
        }
        assert_eq!(success, expected != Expected::NoLog, "{said}");
        assert_eq!(scene.archives().len(), 2, "the log alone may be lacking: {said}");
        scene.commit();
        if expected != Expected::NoLog {
            scene.until_complete();
        }
        let (success, content, said) = scene.restore("a[0002].4BK", "newest");
        let at = if expected == Expected::NoLog { scene.states.len() - 2 } else { scene.states.len() - 1 };
        assert!(success || expected == Expected::NoLog, "{said}");
        assert!(content == Some(scene.states[at].clone()), "not what the application sees: {said} {content:?}");
    }
    // Whatever comes out of the first archive was there once.
    let (success, content, said) = scene.restore("a[0001].4BK", "oldest");
    let there = content.as_ref().and_then(|content| scene.states.iter().position(|state| state == content));
    assert!(content.is_none() || there.is_some() || !success, "a state that never was: {said} {content:?}");
    if expected == Expected::Unharmed {
        assert!(success && there == Some(scene.states.len() - 1), "the log does not lead to now: {there:?} {said}");
    }
}

fn play_all(when: When) {
    if !has("sqlite3") {
        return;
    }
    let (next, failed) = (Mutex::new(0), Mutex::new(Vec::new()));
    let take = || {
        let mut next = next.lock().unwrap();
        *next += 1;
        ACCIDENTS.get(*next - 1)
    };
    thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                while let Some(case) = take() {
                    if let Err(why) = std::panic::catch_unwind(|| play(case, when)) {
                        let why = why.downcast_ref::<String>().cloned().unwrap_or_default();
                        failed.lock().unwrap().push(format!("{}: {why}", case.name));
                    }
                }
            });
        }
    });
    let failed = failed.into_inner().unwrap();
    assert!(failed.is_empty(), "{when:?}: {} failed:\n{}", failed.len(), failed.join("\n"));
}

#[test]
fn while_the_service_runs() {
    play_all(When::Running);
}

#[test]
fn after_the_service_ended() {
    play_all(When::Stopped);
}

#[test]
fn after_the_service_was_killed() {
    play_all(When::Killed);
}

/// Moved to a bigger disk, as people do it: no second life begins there with the defaults of everything.
#[test]
fn a_data_file_that_was_moved_with_a_link_left_in_its_place_is_told_and_gets_no_second_life() {
    if !has("sqlite3") {
        return;
    }
    for running in [true, false] {
        let mut scene = Scene::new("logs");
        scene.start();
        scene.until_complete();
        assert!(scene.backup().0);
        scene.commit();
        scene.until_complete();
        scene.until_at_rest();
        if !running {
            scene.end(false);
        }
        let moved = scene.place.at("disk");
        fs::create_dir(&moved).unwrap();
        let real = moved.join("a.sqlite");
        for end in ["", "-wal", "-shm"] {
            let _ = fs::rename(with(&scene.data, end), with(&real, end));
        }
        std::os::unix::fs::symlink(&real, &scene.data).unwrap();
        let before = last_logged(&scene.log);
        scene.commit();
        let by_link = scene.place.run(&["backup", scene.data.to_str().unwrap()]);
        let said = text(&by_link.stderr);
        // Whichever is seen first.
        let is_told = said.contains("its settings stayed by the link") || running && said.contains("by another name");
        assert!(!by_link.status.success() && is_told, "{said}");
        assert!(!scene.status().0);
        if running {
            // By its own name it is the file of that service, as soon as that has it open again.
            let begun = Instant::now();
            while last_logged(&scene.log) <= before {
                assert!(begun.elapsed() < LIMIT, "the service does not go on");
                thread::sleep(Duration::from_millis(50));
            }
            let direct = scene.place.run(&["backup", real.to_str().unwrap()]);
            let said = text(&direct.stderr);
            assert!(!direct.status.success() && said.contains("by another name"), "{said}");
            scene.end(false);
        }
        assert!(!moved.join("Backups").exists(), "a second life");
        // As the error says.
        fs::rename(with_settings(&scene.data), with_settings(&real)).unwrap();
        scene.data = real;
        scene.start();
        scene.until_complete();
        scene.commit();
        let (success, said) = scene.backup();
        assert!(success && scene.archives() == ["a[0001].4BK", "a[0002].4BK"], "{said}");
    }
}

/// The last commit in a log.
fn last_logged(log: &Path) -> u64 {
    let mut reader = LogReader::open(log).unwrap();
    while reader.next_record().unwrap().is_some() {}
    reader.tail().commit
}

fn with_settings(data_file: &Path) -> PathBuf {
    data_file.with_file_name("a.strongroom.toml")
}

/// Whoever empties the `-wal` to win space, or copies an older one over it, while a program reads: its index says
/// otherwise than the file, and while anybody has that open, no program can read or write the data file.
#[test]
fn a_wal_that_is_cut_or_overwritten_under_a_reader_locks_nobody_out_for_long() {
    if !has("sqlite3") {
        return;
    }
    for cut in [true, false] {
        let mut scene = Scene::new("logs");
        scene.start();
        scene.until_complete();
        assert!(scene.backup().0);
        let reader = rusqlite::Connection::open(&scene.data).unwrap();
        reader.execute_batch("BEGIN; SELECT count(*) FROM t").unwrap();
        scene.commit();
        let (wal, older) = (with(&scene.data, "-wal"), scene.place.at("spare/older-wal"));
        run("cp", &[&wal, &older]);
        scene.commit();
        scene.commit();
        scene.until_complete();
        if cut {
            fs::File::options().write(true).open(&wal).unwrap().set_len(0).unwrap();
        } else {
            run("cp", &[&older, &wal]);
        }
        scene.until("a word about it", is_said);
        drop(reader);
        scene.until_complete();
        // What was in it stands in the log, and comes back from there.
        let before = scene.states.last().unwrap();
        scene.until("what the -wal held", |_, _| logical_content(&scene.data) == *before);
        scene.until_complete();
        scene.commit();
        let (success, said) = scene.backup();
        assert!(success, "{said}");
        let (success, content, said) = scene.restore("a[0002].4BK", "newest");
        assert!(success && content == scene.states.last().cloned(), "{said}");
    }
}

#[test]
fn settings_that_are_deleted_or_emptied_stay_in_force() {
    if !has("sqlite3") {
        return;
    }
    let mut scene = Scene::new("logs");
    scene.start();
    scene.until_complete();
    assert!(scene.backup().0);
    let settings = scene.data.with_file_name("a.strongroom.toml");
    for happen in [|path: &Path| fs::remove_file(path).unwrap(), |path: &Path| fs::write(path, "").unwrap()] {
        let before = fs::read_to_string(&settings).unwrap();
        happen(&settings);
        scene.until("a word about it", |status, _| status.to_string().contains("was deleted or emptied"));
        // Also for a backup that begins before anybody has seen it.
        happen(&settings);
        let (success, said) = scene.backup();
        assert!(success, "{said}");
        scene.until("the file", |_, _| fs::metadata(&settings).is_ok_and(|meta| meta.len() > 100));
        let after = fs::read_to_string(&settings).unwrap();
        assert!(after.contains("journal") && after.len() >= before.len() / 2, "{after}");
        scene.commit();
        scene.until_complete();
    }
    let newest = scene.archives().pop().unwrap();
    let (success, content, said) = scene.restore(&newest, "to");
    assert!(success && content == scene.states.last().cloned(), "{said}");
}

#[test]
fn a_restore_of_a_backup_that_was_made_without_its_log_says_what_it_may_lack() {
    if !has("sqlite3") {
        return;
    }
    let mut scene = Scene::new("logs");
    scene.start();
    scene.until_complete();
    assert!(scene.backup().0);
    let plain = scene.place.at("spare/plain.sqlite");
    foreign_commits(&plain, "CREATE TABLE t(id INTEGER PRIMARY KEY, a); INSERT INTO t VALUES(1,'plain')");
    move_over(&scene, &plain, &scene.data);
    scene.until("a word about it", is_said);
    assert!(!scene.backup().0);
    foreign_commits(&scene.data, "INSERT INTO t(a) VALUES('late')");
    let (success, content, said) = scene.restore("a[0002].4BK", "to");
    assert!(content.is_some() && !success && said.contains("nothing is known after"), "{said}");
}

#[test]
fn a_log_whose_disk_is_taken_away_lazily_is_said_and_goes_on_when_it_is_back() {
    let place = Place::new();
    let Some(disk) = SmallDisk::mount(&place.at("disk"), "8m") else { return };
    let mut scene = Scene::new("logs");
    scene.log = disk.0.join("a.journal");
    scene.set("log.file", &scene.log);
    scene.start();
    scene.until_complete();
    assert!(scene.backup().0);
    scene.commit();
    scene.until_complete();
    let kept = fs::read(&scene.log).unwrap();
    let mark = fs::read(disk.0.join(marker::NAME)).unwrap();
    run("umount", &[Path::new("-l"), &disk.0]);
    let status = scene.until("a word about it", is_said);
    assert_ne!(status["log"]["complete"], true, "{status:#}");
    scene.commit();
    let (success, said) = scene.backup();
    assert!(!success && said.contains("the folder of the log"), "{said}");
    assert_eq!(names_in(&disk.0), Vec::<String>::new(), "a log was begun beneath the mount point");
    std::mem::forget(disk);
    let disk = SmallDisk::mount(&place.at("disk"), "8m").unwrap();
    fs::write(disk.0.join(marker::NAME), mark).unwrap();
    fs::write(&scene.log, kept).unwrap();
    scene.until_complete();
    scene.commit();
    scene.until_complete();
    // The archive made meanwhile has no place in the log, which goes on from the one before.
    let (success, content, said) = scene.restore("a[0001].4BK", "to");
    assert!(success && content == scene.states.last().cloned(), "{said}");
    drop(scene);
    drop(disk);
}
