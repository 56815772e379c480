//! `strongroom status`: what it says of a data file's protection, from outside of whoever looks after it.

use crate::support;

use std::{
    path::Path,
    process::{Child, Command as Process, Stdio},
};

use rusqlite::Connection;
use serde_json::Value;
use strongroom::{engine::history::History, schedule::automatic::Automatic};
use support::{
    Place,
    engine::{foreign_commits, serve},
    has, make_data_file, text,
};

fn status(place: &Place, data: &Path) -> Value {
    let output = place.run(&["status", data.to_str().unwrap(), "--json"]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

fn words(place: &Place, data: &Path) -> String {
    text(&place.run(&["status", data.to_str().unwrap()]).stdout)
}

fn kill(mut child: Child) {
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn the_next_backup_and_what_became_of_the_last_ones_are_told() {
    let place = Place::new();
    let data = place.at("a.sqlite");
    let _application = make_data_file(&data, "PRAGMA journal_mode=WAL", 10);
    let path = data.to_str().unwrap();
    assert!(status(&place, &data)["next_backup"].is_null());
    assert!(words(&place, &data).contains("Next full backup   only by hand"));
    assert!(place.run(&["settings", path, "scheduler.frequency=every hour"]).status.success());
    let found = status(&place, &data);
    let next: chrono::DateTime<chrono::Local> = found["next_backup"].as_str().unwrap().parse().unwrap();
    let ahead = next - chrono::Local::now();
    assert!(ahead > chrono::TimeDelta::zero() && ahead <= chrono::TimeDelta::hours(1), "{next}");
    assert_eq!(next.format("%M:%S").to_string(), "00:00");
    assert!(words(&place, &data).contains("IF A WINDOW OR A SERVICE RUNS then"));
    // What an engine remembers.
    let own = place.own().join("strongroom");
    let (history, _) = History::open(&own).unwrap();
    let since = chrono::Utc::now();
    let state = Automatic { handled: Some(since), suspended: Some(since), attempts: 4, ..Automatic::default() };
    history.keep_automatic(&data, &state).unwrap();
    let found = status(&place, &data);
    assert!(found["next_backup"].is_null());
    assert_eq!(found["warnings"][0]["kind"], "backup-suspended");
    assert_eq!(found["automatic"]["attempts"], 4);
    let said = words(&place, &data);
    assert!(
        said.contains("WARNING: automatic backups are suspended since ") && said.contains("  Remove the cause"),
        "{said}"
    );
}

#[test]
fn the_state_of_backups_and_log_is_told_with_and_without_an_engine() {
    if !has("sqlite3") {
        return;
    }
    let place = Place::new();
    let data = place.at("a.sqlite");
    // Held open, so that nobody else empties the WAL.
    let application = make_data_file(&data, "PRAGMA journal_mode=WAL", 50);
    let found = status(&place, &data);
    assert!(found["engine"].is_null() && found["log"].is_null() && found["last_backup"].is_null(), "{found}");
    let said = words(&place, &data);
    assert!(said.contains("nobody: neither a window nor a service") && said.contains("not used"), "{said}");
    assert!(place.run(&["backup", data.to_str().unwrap()]).status.success());

    let service = serve(&place, &data);
    foreign_commits(&data, "INSERT INTO k VALUES('one',1)");
    foreign_commits(&data, "INSERT INTO k VALUES('two',1)");
    // An engine tells what it saw when it looked last.
    let begun = std::time::Instant::now();
    let found = loop {
        let found = status(&place, &data);
        if found["log"]["commits"] == 2 {
            break found;
        }
        assert!(begun.elapsed() < std::time::Duration::from_secs(120), "{found}");
    };
    assert_eq!(found["engine"]["id"], service.id(), "{found}");
    assert_eq!(found["last_backup"]["number"], 1);
    let log = &found["log"];
    assert_eq!((&log["complete"], &log["commits"], &log["rooted"]), (&true.into(), &2.into(), &false.into()), "{log}");
    let said = words(&place, &data);
    assert!(said.contains("every commit up to now is in it") && said.contains("a full backup is needed"), "{said}");

    kill(service);
    let said = words(&place, &data);
    assert!(said.contains("complete up to now, but NOBODY RECORDS what comes next"), "{said}");
    application.execute("INSERT INTO k VALUES('unseen',1)", []).unwrap();
    let said = words(&place, &data);
    assert!(said.contains("NOT COMPLETE: commits were made that are not in it"), "{said}");
    assert_eq!(status(&place, &data)["log"]["complete"], false);
}

#[cfg(target_os = "linux")]
#[test]
fn who_has_the_file_open_and_who_reads_is_named() {
    let place = Place::new();
    let data = place.at("a.sqlite");
    let application = make_data_file(&data, "PRAGMA journal_mode=WAL", 50);
    let own = std::process::id();
    let ids = |list: &Value| list.as_array().unwrap().iter().map(|p| p["id"].as_u64().unwrap()).collect::<Vec<_>>();
    let found = status(&place, &data);
    assert_eq!(ids(&found["holders"]["processes"]), [u64::from(own)], "{found}");
    assert!(ids(&found["readers"]).is_empty());
    application.execute_batch("BEGIN; SELECT count(*) FROM t").unwrap();
    let found = status(&place, &data);
    assert_eq!(ids(&found["readers"]), [u64::from(own)], "{found}");
    let said = words(&place, &data);
    assert!(said.contains(&format!("(process {own})")), "{said}");
    application.execute_batch("COMMIT").unwrap();
    drop(application);
    if has("tail") {
        // Not SQLite at all, and yet it has the file open.
        let mut other = Process::new("tail").arg("-f").arg(&data).stdout(Stdio::piped()).spawn().unwrap();
        std::io::Read::read_exact(other.stdout.as_mut().unwrap(), &mut [0]).unwrap();
        assert!(words(&place, &data).contains(&format!("tail (process {})", other.id())));
        kill(other);
    }
}

#[test]
fn a_log_that_is_gone_or_of_no_use_is_named() {
    let place = Place::new();
    let data = place.at("a.sqlite");
    drop(make_data_file(&data, "PRAGMA journal_mode=WAL", 50));
    let log = place.at("Backups/a.journal");
    kill(serve(&place, &data));
    assert!(log.exists());
    std::fs::rename(&log, place.at("away")).unwrap();
    let said = words(&place, &data);
    assert!(said.contains("a.journal: NOT USABLE, ") && said.contains("no such file"), "{said}");
    std::fs::rename(place.at("away"), &log).unwrap();
    Connection::open(&data).unwrap().execute_batch("PRAGMA journal_mode=DELETE").unwrap();
    let said = words(&place, &data);
    assert!(said.contains("NOT USABLE, the data file is not in WAL mode"), "{said}");
}

/// As after `sudo cp`: the application fails from then on, and it does not say why.
#[test]
fn a_wal_that_the_owner_of_the_data_file_cannot_write_is_said() {
    if !support::users::can_act_as_others() {
        return;
    }
    let place = Place::new();
    let data = place.at("a.sqlite");
    let conn = support::make_data_file(&data, "PRAGMA journal_mode=WAL", 2);
    let status = || text(&place.run(&["status", data.to_str().unwrap()]).stdout);
    for end in ["", "-wal", "-shm"] {
        let file = place.at(&format!("a.sqlite{end}"));
        std::os::unix::fs::chown(&file, Some(support::users::OTHER), Some(support::users::OTHER)).unwrap();
    }
    assert!(!status().contains("cannot write it"), "{}", status());
    let wal = place.at("a.sqlite-wal");
    std::os::unix::fs::chown(&wal, Some(0), Some(0)).unwrap();
    let said = status();
    assert!(said.contains("cannot write it: ") && said.contains("a.sqlite-wal belongs to root"), "{said}");
    drop(conn);
}

/// What protects a data file is there to be seen, whoever holds it and whatever became of it.
#[test]
fn what_protects_a_data_file_is_told_while_it_is_locked_and_after_it_was_overwritten() {
    let place = Place::new();
    let data = place.at("a.sqlite");
    let conn = make_data_file(&data, "PRAGMA journal_mode=DELETE", 10);
    let look = || place.run(&["status", data.to_str().unwrap()]);
    conn.execute_batch("PRAGMA locking_mode=EXCLUSIVE; INSERT INTO t(a) VALUES('for itself')").unwrap();
    let said = look();
    assert!(said.stdout.is_empty() && !said.status.success(), "nothing protects it: {}", text(&said.stdout));
    conn.execute_batch("PRAGMA locking_mode=NORMAL; SELECT count(*) FROM t").unwrap();
    assert!(place.run(&["backup", data.to_str().unwrap()]).status.success());

    conn.execute_batch("PRAGMA locking_mode=EXCLUSIVE; INSERT INTO t(a) VALUES('for itself')").unwrap();
    let said = look();
    let out = text(&said.stdout);
    assert_eq!(said.status.code(), Some(1), "{out}");
    assert!(out.contains("LOCKED by another program") && out.contains("Full backups       1 in all"), "{out}");
    assert!(!out.contains("To bring it back") && !text(&said.stderr).contains("Bring it back"), "{said:?}");
    drop(conn);

    std::fs::write(&data, vec![b'x'; 4096]).unwrap();
    let said = look();
    let out = text(&said.stdout);
    assert_eq!(said.status.code(), Some(1), "{out}");
    assert!(out.contains("CANNOT BE READ") && out.contains("Full backups       1 in all"), "{out}");
    let command = format!("strongroom restore '{}' --in-place", data.display());
    assert!(out.contains(&command) && text(&said.stderr).contains(&command), "{said:?}");
    let notes = place.at("notes.txt");
    std::fs::write(&notes, "no data file").unwrap();
    let said = place.run(&["status", notes.to_str().unwrap()]);
    assert!(said.stdout.is_empty() && !said.status.success(), "no backup was ever made of it");
}
