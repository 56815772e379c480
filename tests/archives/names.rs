//! Files with other or odd names: hard links, names that are no text, names as long as a file system takes.
#![cfg(unix)]

use crate::support;

use std::{
    ffi::OsStr,
    fs,
    os::unix::ffi::OsStrExt,
    path::Path,
    process::Output,
    time::{Duration, Instant},
};

use rusqlite::Connection;
use serde_json::Value;
use support::{Place, Running, engine::serve, logical_content, make_data_file, names_in, text};

fn run(place: &Place, command: &str, path: &Path) -> Output {
    place.program().arg(command).arg(path).output().unwrap()
}

fn status(place: &Place, data: &Path) -> Value {
    let output = place.program().arg("status").arg(data).arg("--json").output().unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

fn urgent(place: &Place, data: &Path, kind: &str) -> Option<String> {
    let found = status(place, data);
    let all = found["warnings"].as_array().unwrap();
    let one = all.iter().find(|warning| warning["kind"] == kind)?;
    Some(one["message"].as_str().unwrap().to_owned())
}

#[test]
fn a_hard_link_of_a_data_file_in_use_is_refused_with_the_name_in_use() {
    let place = Place::new();
    let (data, hard) = (place.at("a.sqlite"), place.at("elsewhere/hard.sqlite"));
    fs::create_dir(place.at("elsewhere")).unwrap();
    // All its content is in the WAL, as that of a new application is.
    let application = Connection::open(&data).unwrap();
    application.execute_batch("PRAGMA journal_mode=WAL; PRAGMA wal_autocheckpoint=0; CREATE TABLE t(x)").unwrap();
    fs::hard_link(&data, &hard).unwrap();
    // The test holds it open by its name in use: another process is asked.
    for command in ["backup", "status", "check", "compact"] {
        let output = run(&place, command, &hard);
        let said = text(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{command}: {said}");
        assert!(said.contains("is another name (a hard link) of") && said.contains("a.sqlite"), "{command}: {said}");
    }
    assert!(!place.at("elsewhere/Backups").exists());
    let output = run(&place, "backup", &data);
    assert!(output.status.success(), "{}", text(&output.stderr));
    let archive = place.at("Backups/a[0001].4BK");
    let to = place.at("to");
    let restored = place.program().arg("restore").arg(archive).arg("--to").arg(&to).output().unwrap();
    assert!(restored.status.success(), "{}", text(&restored.stderr));
    assert!(logical_content(&to.join("a.sqlite")) == logical_content(&data));
    // Nobody uses it, and one of its names lies where nobody knows.
    drop(application);
    let said = text(&run(&place, "backup", &data).stderr);
    assert!(said.contains("has 2 names (hard links), and by which of them") && said.contains("-inum"), "{said}");
}

#[test]
fn a_link_that_comes_into_use_while_a_service_runs_is_urgent_and_no_backup_is_made() {
    let place = Place::new();
    let data = place.at("a.sqlite");
    let first = make_data_file(&data, "PRAGMA journal_mode=WAL", 10);
    let service = Running(serve(&place, &data));
    assert_eq!(urgent(&place, &data, "other-name"), None);
    drop(first);
    let hard = place.at("hard.sqlite");
    fs::hard_link(&data, &hard).unwrap();
    let other = Connection::open(&hard).unwrap();
    other.execute_batch("INSERT INTO t(a) VALUES('by another name')").unwrap();
    let begun = Instant::now();
    let message = loop {
        if let Some(message) = urgent(&place, &data, "other-name") {
            break message;
        }
        assert!(begun.elapsed() < Duration::from_secs(60), "never noticed");
        std::thread::sleep(Duration::from_millis(200));
    };
    assert!(message.contains("hard.sqlite, and that is the name in use"), "{message}");
    let output = run(&place, "backup", &data);
    assert!(!output.status.success());
    assert!(text(&output.stderr).contains("is another name (a hard link) of"), "{}", text(&output.stderr));
    drop(other);
    drop(service);
}

#[test]
fn names_that_no_archive_can_hold_are_refused_before_the_work_and_a_service_stays_reachable() {
    let place = Place::new();
    let data = place.at("a.sqlite");
    let _open = make_data_file(&data, "PRAGMA journal_mode=WAL", 10);
    let service = Running(serve(&place, &data));
    for name in [&b"b\xff.sqlite"[..], b"b\n.sqlite", b"b\t.sqlite"] {
        let odd = place.at("odd").join(OsStr::from_bytes(name));
        fs::create_dir_all(place.at("odd")).unwrap();
        drop(make_data_file(&place.at("plain"), "", 10));
        fs::rename(place.at("plain"), &odd).unwrap();
        for command in ["backup", "status", "serve"] {
            let output = run(&place, command, &odd);
            let said = text(&output.stderr);
            assert_ne!(output.status.code(), Some(0), "{command}");
            assert!(said.contains("not text in UTF-8") || said.contains("holds a control character"), "{said}");
            assert!(said.lines().count() >= 2, "what to do: {said}");
        }
        // As the window does, by way of the service.
        let link = place.at("link.sqlite");
        let _ = fs::remove_file(&link);
        std::os::unix::fs::symlink(&odd, &link).unwrap();
        assert!(!run(&place, "backup", &link).status.success());
        assert_eq!(fs::read_dir(place.at("odd")).unwrap().count(), 1, "nothing was left beside it");
        fs::remove_file(&odd).unwrap();
    }
    let to = place.at("to").join(OsStr::from_bytes(b"\xff"));
    let output = place.program().arg("backup").arg(&data).arg("--to").arg(&to).output().unwrap();
    assert!(text(&output.stderr).contains("not text in UTF-8"), "{}", text(&output.stderr));
    assert_eq!(status(&place, &data)["engine"]["id"], service.0.id());
    assert!(run(&place, "backup", &data).status.success());
    drop(service);
}

#[test]
fn a_name_as_long_as_sqlite_takes_is_backed_up_logged_and_restored() {
    let place = Place::new();
    // SQLite adds -journal to it.
    for name in [format!("{}.sqlite", "ä".repeat(120)), "n".repeat(247)] {
        assert_eq!(name.len(), 247);
        let data = place.at(&name);
        let application = make_data_file(&data, "PRAGMA journal_mode=WAL", 10);
        let service = Running(serve(&place, &data));
        let backup = |options: &[&str]| {
            let output = place.program().arg("backup").arg(&data).args(options).output().unwrap();
            assert!(output.status.success(), "{}", text(&output.stderr));
        };
        backup(&["--redundancy", "low"]);
        application.execute("INSERT INTO t(a) VALUES('logged')", []).unwrap();
        backup(&["--redundancy", "low", "--segment-mb", "1"]);
        application.execute("INSERT INTO t(a) VALUES('logged too')", []).unwrap();
        let found = status(&place, &data);
        assert_eq!((&found["last_backup"]["number"], &found["archives"]), (&2.into(), &2.into()), "{found}");
        let wanted = logical_content(&data);
        let first = names_in(&place.at("Backups")).into_iter().find(|name| name.ends_with("[0001].4BK")).unwrap();
        let to = place.at("to");
        let archive = place.at("Backups").join(first);
        let output = place.program().arg("restore").arg(archive).arg("--to").arg(&to).output().unwrap();
        assert!(output.status.success(), "{}", text(&output.stderr));
        assert!(logical_content(&to.join(&name)) == wanted);
        drop(service);
        fs::remove_dir_all(place.at("Backups")).unwrap();
        fs::remove_dir_all(to).unwrap();
    }
}

#[test]
fn names_of_attachments_that_are_no_text_come_back_byte_by_byte() {
    let place = Place::new();
    let data = place.at("data/a.sqlite");
    fs::create_dir(place.at("data")).unwrap();
    make_data_file(&data, "", 10);
    let files = place.at("fi\\les");
    let at = |name: &[u8]| files.join(OsStr::from_bytes(name));
    // Also names that look like what others become in the archive.
    let names: [&[u8]; 10] = [
        b"a\xff.txt",
        b"a%FF.txt",
        b"a%FF (2).txt",
        b"tab\there",
        b"line\nbreak",
        b"back\\slash",
        b"b\xfcro/\xe9t\xe9.txt",
        b"b%FCro/\xe9t\xe9.txt",
        b"\x1b[31mred",
        b"plain",
    ];
    for name in names {
        fs::create_dir_all(at(name).parent().unwrap()).unwrap();
        fs::write(at(name), name).unwrap();
    }
    fs::create_dir(at(b"empty\xff")).unwrap();
    std::os::unix::fs::symlink("plain", at(b"link\xff")).unwrap();
    let attachments = format!("content.attachments+={}", files.display());
    assert!(place.run(&["settings", data.to_str().unwrap(), &attachments]).status.success());
    let output = place.run(&["backup", data.to_str().unwrap()]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    let (archive, to) = (place.at("data/Backups/a[0001].4BK").to_str().unwrap().to_owned(), place.at("to"));
    assert!(place.run(&["verify", &archive]).status.success());
    // The report is text all the same.
    let output = place.run(&["restore", &archive, "--to", to.to_str().unwrap(), "--json"]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    let shown = report["files"].as_array().unwrap().iter().filter_map(|file| file.as_str());
    assert!(shown.into_iter().any(|file| file.ends_with("/a%FF.txt")));
    let restored = to.join("Attachments").join("fi\\les");
    for name in names {
        let bytes = fs::read(restored.join(OsStr::from_bytes(name))).unwrap();
        assert_eq!(bytes, name, "{}", String::from_utf8_lossy(name));
    }
    assert!(restored.join(OsStr::from_bytes(b"empty\xff")).is_dir());
    assert_eq!(fs::read_link(restored.join(OsStr::from_bytes(b"link\xff"))).unwrap(), Path::new("plain"));
    let count = |folder: &Path| fs::read_dir(folder).unwrap().count();
    assert_eq!(count(&restored), count(&files));
    // One of them, by its name in the archive; and never over what exists.
    let one = place.at("one");
    let item = "Attachments/fi%5Cles/line%0Abreak";
    let chosen = ["restore", &archive, "--to", one.to_str().unwrap(), "--item", item];
    assert!(place.run(&chosen).status.success());
    let file = one.join("Attachments").join("fi\\les").join("line\nbreak");
    fs::write(&file, "mine").unwrap();
    assert!(!place.run(&chosen).status.success());
    assert_eq!(fs::read(&file).unwrap(), b"mine");
}
