//! What a command says, and its exit code, is what was so: through the program itself.
#![cfg(unix)]

use crate::support;

use std::{
    fs,
    io::{BufRead, BufReader},
    path::Path,
    process::{Child, Output, Stdio},
};

use serde_json::Value;
use support::{Place, disk::SmallDisk, engine::serve, logical_content, make_data_file, text};

/// Exit code, standard output, standard error.
fn said(output: &Output) -> (Option<i32>, String, String) {
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}

/// `strongroom status --json`.
fn status(place: &Place, data: &Path) -> Value {
    let output = place.run(&["status", data.to_str().unwrap(), "--json"]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// A service; what it says on standard error comes line by line.
fn service(place: &Place, arguments: &[&str]) -> (Child, impl Iterator<Item = String> + use<>) {
    let mut program = place.program();
    program.arg("serve").args(arguments).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut child = program.spawn().unwrap();
    let said = BufReader::new(child.stderr.take().unwrap()).lines().map_while(Result::ok);
    let (line, lines) = std::sync::mpsc::channel();
    std::thread::spawn(move || said.into_iter().try_for_each(|said| line.send(said)));
    // One that says nothing more fails the test, and does not hold it up.
    (child, std::iter::from_fn(move || lines.recv_timeout(std::time::Duration::from_secs(60)).ok()))
}

fn end(mut child: Child) {
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn mistyped_settings_are_told_by_everything_that_goes_by_them() {
    let place = Place::new();
    let data = place.at("a.sqlite");
    make_data_file(&data, "PRAGMA journal_mode=WAL", 10);
    let (path, file) = (data.to_str().unwrap(), place.at("a.strongroom.toml"));
    fs::write(&file, "[keep]\nlastt = 7\n\n[Destination]\nfolder = '/nowhere'\n").unwrap();
    let wanted = [
        "keep.lastt at line 2, column 1 (did you mean keep.last?)",
        "the section [Destination] at line 4, column 2 (did you mean [destination]?)",
    ];
    let tells_all = |words: &str| {
        let file = file.to_str().unwrap();
        wanted
            .iter()
            .all(|wanted| words.contains(&format!("the settings in {file} hold {wanted}, which means nothing")))
    };
    let (code, words, _) = said(&place.run(&["status", path]));
    assert!(code == Some(0) && tells_all(&words), "{words}");
    let (code, _, words) = said(&place.run(&["backup", path]));
    assert!(code == Some(0) && tells_all(&words), "{words}");
    let (code, words, _) = said(&place.run(&["settings", path]));
    assert!(code == Some(0) && wanted.iter().all(|wanted| words.contains(wanted)), "{words}");
    let (code, _, words) = said(&place.run(&["settings", path, "keep.lst=7"]));
    assert!(code == Some(1) && words.contains("Did you mean keep.last?"), "{words}");

    let (child, mut lines) = service(&place, &["--no-log", path]);
    let mut heard = String::new();
    while !tells_all(&heard) {
        heard += &format!("{}\n", lines.next().expect("the service has ended"));
    }
    // One that comes while it runs is told as well.
    fs::write(&file, "[kep]\nlast = 7\n").unwrap();
    assert!(lines.any(|line| line.contains("the section [kep] at line 1, column 2 (did you mean [keep]?)")));
    end(child);
}

#[test]
fn a_check_that_could_not_look_at_everything_says_so_and_does_not_succeed() {
    let place = Place::new();
    let data = place.at("a.sqlite");
    let writer = make_data_file(&data, "", 10);
    writer
        .execute_batch(
            "CREATE TABLE z(a); CREATE INDEX zi ON z(a); PRAGMA writable_schema=ON;
             UPDATE sqlite_schema SET sql='CREATE TABLE z(a COLLATE theirs)' WHERE name='z'",
        )
        .unwrap();
    drop(writer);
    let path = data.to_str().unwrap();
    let (code, words, problem) = said(&place.run(&["check", path]));
    assert!(code == Some(1) && words.contains("not checked  index zi of table z: no such collation"), "{words}");
    let wanted =
        "table z and 2 more could not be checked: no such collation sequence: theirs; nothing else was found damaged";
    assert!(problem.contains(wanted), "{problem}");
    let (code, words, _) = said(&place.run(&["status", path]));
    let last = words.lines().find(|line| line.starts_with("Last verification")).unwrap();
    assert!(code == Some(0) && last.contains("with problems") && last.contains(wanted), "{words}");
    let found = status(&place, &data);
    let warnings = found["warnings"].as_array().unwrap();
    assert!(warnings.iter().all(|warning| warning["kind"] != "data-file-damaged"), "not known is not damaged: {found}");
}

#[test]
fn a_table_that_no_module_opens_is_told_as_not_checked() {
    let place = Place::new();
    let data = place.at("a.sqlite");
    let writer = make_data_file(&data, "", 10);
    let strange = "INSERT INTO sqlite_schema VALUES('table','v','v',0,'CREATE VIRTUAL TABLE v USING theirs(x)')";
    writer.execute_batch(&format!("PRAGMA writable_schema=ON; {strange}")).unwrap();
    drop(writer);
    let path = data.to_str().unwrap();
    let (code, words, problem) = said(&place.run(&["check", path]));
    assert!(code == Some(1) && words.contains("not checked  table v: no such module: theirs"), "{words}");
    assert!(problem.contains("table v could not be checked: no such module: theirs"), "{problem}");
    let (code, words, _) = said(&place.run(&["backup", path]));
    assert!(code == Some(0) && words.contains("are whole. NOT CHECKED: table v: no such module: theirs."), "{words}");
}

#[test]
fn a_restore_of_a_data_file_says_which_newer_backup_is_not_in_it() {
    let place = Place::new();
    let data = place.at("a.sqlite");
    let writer = make_data_file(&data, "", 10);
    let path = data.to_str().unwrap();
    let archive = |number: u32| place.at(&format!("Backups/a[{number:04}].4BK"));
    let mut targets = 0;
    let mut restore = |more: &[&str]| {
        targets += 1;
        let to = place.at(&format!("out{targets}"));
        let output = place.run(&[&["restore", path, "--to", to.to_str().unwrap()], more].concat());
        assert!(to.join("a.sqlite").is_file(), "{}", text(&output.stderr));
        said(&output)
    };
    assert!(place.run(&["backup", path]).status.success());
    writer.execute_batch("CREATE TABLE later(x)").unwrap();
    assert!(place.run(&["backup", path]).status.success());
    assert_eq!(restore(&[]).0, Some(0));

    // Damaged beyond repair: the one before is restored, and what it lacks is said.
    let whole = fs::read(archive(2)).unwrap();
    fs::write(archive(2), &whole[..whole.len() / 2]).unwrap();
    let (code, words, problem) = restore(&[]);
    assert!(code == Some(1) && words.contains("Archive 0001 of"), "{words}");
    let after = "what was committed after backup 0001 of";
    assert!(problem.contains("backup 0002 of 2") && problem.contains("cannot be restored:"), "{problem}");
    assert!(problem.contains(after), "{problem}");

    // Gone, or somewhere else.
    fs::rename(archive(2), place.at("away")).unwrap();
    let (code, _, problem) = restore(&[]);
    let was = format!("is not among the archives found (it was written as {})", archive(2).display());
    assert!(code == Some(1) && problem.contains("backup 0002 of 2") && problem.contains(&was), "{problem}");
    assert!(problem.contains(after), "{problem}");
    let (code, words, _) = said(&place.run(&["restore", path, "--json", "--to", place.at("json").to_str().unwrap()]));
    let report: Value = serde_json::from_str(&words).unwrap();
    assert!(code == Some(1) && report["lacks"]["kind"] == "partial", "{words}");
    // The settings alone know that there was one, also where no Backup journal tells when.
    fs::rename(place.own(), place.at("other")).unwrap();
    let (code, _, problem) = restore(&[]);
    assert!(code == Some(1) && problem.contains("backup 0002 is not among the archives found;"), "{problem}");
    fs::remove_dir_all(place.own()).unwrap();
    fs::rename(place.at("other"), place.own()).unwrap();
    // It is back.
    fs::write(archive(2), &whole).unwrap();
    assert_eq!(restore(&[]).0, Some(0));
}

#[test]
fn a_restore_from_a_log_that_goes_on_misses_no_newer_backup() {
    let place = Place::new();
    let data = place.at("a.sqlite");
    let writer = make_data_file(&data, "PRAGMA journal_mode=WAL", 10);
    let path = data.to_str().unwrap();
    let mut service = serve(&place, &data);
    for _ in 0..2 {
        assert!(place.run(&["backup", path]).status.success());
        writer.execute_batch("INSERT INTO t(a) VALUES('later')").unwrap();
    }
    fs::remove_file(place.at("Backups/a[0002].4BK")).unwrap();
    let (code, words, problem) = said(&place.run(&["restore", path, "--to", place.at("out").to_str().unwrap()]));
    assert!(code == Some(0) && words.contains("Archive 0001 of"), "{words}{problem}");
    assert_eq!(logical_content(&place.at("out/a.sqlite")), logical_content(&data));
    service.kill().unwrap();
    service.wait().unwrap();
}

#[test]
fn a_log_that_was_only_named_is_begun_and_one_that_was_begun_is_missed() {
    let place = Place::new();
    let data = place.at("a.sqlite");
    let _application = make_data_file(&data, "PRAGMA journal_mode=WAL", 10);
    let (path, log) = (data.to_str().unwrap(), place.at("a.journal"));
    assert!(place.run(&["settings", path, &format!("log.file={}", log.display())]).status.success());
    let of_log = || {
        let found = status(&place, &data);
        let warnings = found["warnings"].as_array().unwrap().clone();
        let of_log = warnings.iter().filter(|warning| warning["kind"] == "log-broken");
        of_log.map(|warning| warning["message"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let nobody = "nobody records what is committed: ";
    assert_eq!(of_log(), [format!("{nobody}the log {} was not begun yet", log.display())]);
    let words = said(&place.run(&["status", path])).1;
    assert!(words.contains("a.journal: NOT USABLE, it was not begun yet"), "{words}");
    let run = || {
        let mut service = serve(&place, &data);
        let warnings = of_log();
        // In order, so that the log is closed.
        rustix::process::kill_process(rustix::process::Pid::from_child(&service), rustix::process::Signal::TERM)
            .unwrap();
        service.wait().unwrap();
        warnings
    };
    assert_eq!(run(), Vec::<String>::new(), "it was never there");
    assert_eq!(run(), Vec::<String>::new());
    let at_rest = of_log();
    assert!(at_rest.len() == 1 && at_rest[0].starts_with(nobody), "{at_rest:?}");
    fs::remove_file(&log).unwrap();
    let gone = of_log();
    assert!(gone.len() == 1 && gone[0].contains("cannot be used: cannot open"), "{gone:?}");
    assert_eq!(run(), [format!("the log {} is missing", log.display())]);
}

#[test]
fn a_restore_beside_a_log_that_can_not_be_written_says_that_and_why() {
    let place = Place::new();
    let Some(disk) = SmallDisk::mount(&place.at("small"), "2m") else { return };
    let data = place.at("a.sqlite");
    let application = make_data_file(&data, "PRAGMA journal_mode=WAL", 50);
    let path = data.to_str().unwrap();
    let log = disk.0.join("a.journal");
    assert!(place.run(&["settings", path, &format!("log.file={}", log.display())]).status.success());
    let mut service = serve(&place, &data);
    assert!(place.run(&["backup", path]).status.success());
    let state = || status(&place, &data)["log"]["state"].as_str().map(str::to_owned);
    for _ in 0..200 {
        application.execute("INSERT INTO t(b) VALUES(randomblob(20000))", []).unwrap();
    }
    while state().as_deref() == Some("on") {
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    for (what, to) in [(path.to_owned(), "out1"), (place.at("Backups/a[0001].4BK").display().to_string(), "out2")] {
        let (code, _, problem) = said(&place.run(&["restore", &what, "--to", place.at(to).to_str().unwrap()]));
        let why = "cannot be written at the moment: cannot write to ";
        assert!(code == Some(1) && problem.contains(why) && problem.contains("no space left"), "{problem}");
        assert!(problem.contains("stands in the data file: see that its log can be written"), "{problem}");
    }
    service.kill().unwrap();
    service.wait().unwrap();
}

#[test]
fn a_command_that_is_shown_can_be_pasted_into_a_shell() {
    let place = Place::new();
    let data = place.at("it's ü $(touch owned) `x`.db");
    drop(make_data_file(&data, "", 10));
    assert!(place.run(&["backup", data.to_str().unwrap()]).status.success());
    let content = logical_content(&data);
    fs::remove_file(&data).unwrap();
    let (code, words, _) = said(&place.run(&["status", data.to_str().unwrap()]));
    let line = words.lines().find_map(|line| line.strip_prefix("To bring it back   strongroom ")).unwrap();
    // The whole line is pasted.
    let command = line;
    assert_eq!(code, Some(1));
    let mut shell = std::process::Command::new("sh");
    shell.arg("-c").arg(format!("\"$0\" {command}")).arg(support::PROGRAM);
    let own = place.own();
    shell.env("XDG_DATA_HOME", &own).env("XDG_CONFIG_HOME", &own).env("HOME", &own).current_dir(place.at(""));
    let output = shell.output().unwrap();
    assert!(output.status.success(), "{command}: {}", text(&output.stderr));
    assert_eq!(logical_content(&data), content, "it was not brought back");
    assert!(!place.at("owned").exists());
    let to = place.at("back");
    assert!(place.run(&["restore", data.to_str().unwrap(), "--to", to.to_str().unwrap()]).status.success());
    // And so can what an archive says of itself.
    let manifest = fs::read_to_string(place.at("back/strongroom-manifest.toml")).unwrap();
    let by_hand = manifest.lines().find_map(|line| line.strip_prefix("#     ")).unwrap();
    fs::create_dir(place.at("hand")).unwrap();
    let archive = fs::read_dir(place.at("Backups")).unwrap().flatten().find(|e| e.path().is_file()).unwrap();
    fs::copy(archive.path(), place.at("hand").join(archive.file_name())).unwrap();
    if !support::has("zstd") {
        return;
    }
    let output =
        std::process::Command::new("sh").arg("-c").arg(by_hand).current_dir(place.at("hand")).output().unwrap();
    assert!(output.status.success(), "{by_hand}: {}", text(&output.stderr));
    assert_eq!(logical_content(&place.at("hand").join(data.file_name().unwrap())), content);
}

#[test]
fn a_transaction_that_was_not_ended_is_told_and_not_undone_beside_a_program() {
    let place = Place::new();
    let data = place.at("a.sqlite");
    let path = data.to_str().unwrap();
    let rows = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i<9000) INSERT INTO t(a) SELECT \
                'old' FROM n";
    make_data_file(&data, "", 10).execute_batch(rows).unwrap();
    let uri = format!("file:{path}?vfs=unix-dotfile");
    let flags = rusqlite::OpenFlags::default() | rusqlite::OpenFlags::SQLITE_OPEN_URI;
    let application = rusqlite::Connection::open_with_flags(uri, flags).unwrap();
    application.execute_batch("PRAGMA cache_size=5; BEGIN; UPDATE t SET a='new'").unwrap();
    let files = || ["a.sqlite", "a.sqlite-journal"].map(|name| fs::read(place.at(name)).unwrap());
    let before = files();
    for command in ["status", "backup", "check"] {
        let (code, _, problem) = said(&place.run(&[command, path]));
        assert!(code == Some(1) && problem.contains("is in use by a program that locks it with"), "{problem}");
        assert!(problem.contains("a.sqlite.lock") && files() == before, "{problem}");
    }
    // As a crash leaves it: told by whoever looks, and undone by a backup, which must have the state of a commit.
    let crashed = place.at("b.sqlite");
    fs::copy(&data, &crashed).unwrap();
    fs::copy(place.at("a.sqlite-journal"), place.at("b.sqlite-journal")).unwrap();
    let found = status(&place, &crashed);
    let told = |found: &Value| {
        found["warnings"].as_array().unwrap().iter().any(|warning| warning["kind"] == "unfinished-transaction")
    };
    assert!(told(&found) && found["data_file"]["unfinished"] == true, "{found}");
    assert!(fs::read(&crashed).unwrap() == before[0] && fs::read(place.at("b.sqlite-journal")).unwrap() == before[1]);
    // In a container nobody can tell whether it was a crash.
    let begun = std::time::Instant::now();
    if let Some(output) = place.run_in_a_container(&["backup", crashed.to_str().unwrap()]) {
        let (code, _, problem) = said(&output);
        assert!(code == Some(1) && problem.contains("this is a container"), "{problem}");
        // To wait for what cannot be seen is in vain.
        assert!(begun.elapsed() < std::time::Duration::from_secs(45), "it waited");
        assert!(fs::read(&crashed).unwrap() == before[0]);
    }
    let (code, _, problem) = said(&place.run(&["backup", crashed.to_str().unwrap()]));
    assert_eq!(code, Some(0), "{problem}");
    assert!(!place.at("b.sqlite-journal").exists() && !told(&status(&place, &crashed)));
    let count = |path: &Path, text: &str| {
        let conn = rusqlite::Connection::open(path).unwrap();
        conn.query_row("SELECT count(*) FROM t WHERE a=?1", [text], |row| row.get::<_, u32>(0)).unwrap()
    };
    assert_eq!((count(&crashed, "old"), count(&crashed, "new")), (9000, 0));
    application.execute_batch("COMMIT").unwrap();
    drop(application);
    assert_eq!((count(&data, "old"), count(&data, "new")), (0, 9010), "its transaction was undone under it");
    assert!(place.run(&["backup", path]).status.success());
}

#[test]
fn a_service_that_has_nothing_to_do_says_so() {
    let place = Place::new();
    let data = place.at("a.sqlite");
    let _application = make_data_file(&data, "PRAGMA journal_mode=WAL", 10);
    let path = data.to_str().unwrap();
    let (child, mut lines) = service(&place, &["--no-log", path]);
    let idle =
        format!("the service does nothing for {path} by itself: no log is kept, and no full backup is scheduled");
    assert!(lines.any(|line| line.contains("WARN") && line.contains(&idle)));
    let told = || status(&place, &data)["warnings"].as_array().unwrap().iter().any(|w| w["message"] == idle.as_str());
    assert!(told());
    end(child);
    assert!(!told(), "nobody looks after it");
    // A log, or a schedule, is something to do.
    let mut logging = serve(&place, &data);
    assert!(!told());
    logging.kill().unwrap();
    logging.wait().unwrap();
    assert!(place.run(&["settings", path, "log.file=", "scheduler.frequency=every day"]).status.success());
    let (child, mut lines) = service(&place, &["--no-log", path]);
    assert!(lines.any(|line| line.contains("is looked after")));
    assert!(!told());
    end(child);
}

#[test]
fn jobs_that_can_not_be_noted_are_done_and_that_is_said() {
    let place = Place::new();
    let data = place.at("a.sqlite");
    drop(make_data_file(&data, "", 10));
    let path = data.to_str().unwrap();
    // Nothing can be made where the Backup journal belongs.
    fs::create_dir_all(place.own()).unwrap();
    fs::create_dir_all(place.own().join("strongroom/history.sqlite")).unwrap();
    let wanted = "WARNING: the Backup journal is not in order: ";
    let (code, words, problem) = said(&place.run(&["backup", path]));
    assert!(code == Some(0) && words.contains("Backup 0001 of"), "{words}");
    assert!(problem.contains(wanted) && problem.contains("Jobs are done all the same"), "{problem}");
    let (code, _, problem) = said(&place.run(&["check", path]));
    assert!(code == Some(0) && problem.contains(wanted), "{problem}");
    let (code, words, _) = said(&place.run(&["status", path]));
    assert!(code == Some(0) && words.contains(wanted), "{words}");
    let (child, mut lines) = service(&place, &["--no-log", path]);
    assert!(lines.any(|line| line.contains("WARN") && line.contains(&wanted["WARNING: ".len()..])));
    assert!(said(&place.run(&["status", path])).1.contains(wanted));
    end(child);
}

#[test]
fn a_disk_that_is_full_or_read_only_is_named_as_such() {
    let place = Place::new();
    let Some(disk) = SmallDisk::mount(&place.at("small"), "300k") else { return };
    let data = disk.0.join("a.sqlite");
    drop(make_data_file(&data, "PRAGMA journal_mode=WAL", 10));
    let path = data.to_str().unwrap();
    let full = fs::write(disk.0.join("filler"), vec![1; 1 << 20]);
    assert!(full.is_err(), "the disk is not full");
    let elsewhere = place.at("elsewhere");
    let says = |wanted: &str| {
        for command in
            [vec!["status", path], vec!["backup", path, "--to", elsewhere.to_str().unwrap()], vec!["check", path]]
        {
            let (code, _, problem) = said(&place.run(&command));
            assert!(code == Some(1) && problem.contains(wanted), "{command:?}: {problem}");
        }
    };
    says("a.sqlite: its disk is full");
    // With space, whoever leaves last takes its -wal and -shm away.
    fs::remove_file(disk.0.join("filler")).unwrap();
    rusqlite::Connection::open(&data).unwrap().execute_batch("INSERT INTO t(a) VALUES('more')").unwrap();
    let remount = std::process::Command::new("mount").args(["-o", "remount,ro"]).arg(&disk.0).status().unwrap();
    assert!(remount.success());
    says("a.sqlite: its disk is mounted read-only");
}
