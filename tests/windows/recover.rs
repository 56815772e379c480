//! Recovering a damaged data file in the window: with the numbers of the command, of a file that nobody looks after,
//! stopped, and on a disk that is too small.

use crate::desk;

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command as Process,
};

use desk::{Desk, IS_JOINED, make_data_file, named};
use eframe::egui::accesskit::Role;
use egui_kittest::kittest::{NodeT, Queryable};
use rusqlite::Connection;
use serde_json::Value;
use strongroom::engine::status::JobReport;

use crate::activity::{foreign, has_sqlite3};

/// Overwrites pages in the middle, by a process of its own: one that closed the file here would take the engine's locks
/// away.
fn damage(path: &Path) {
    let pages = path.metadata().unwrap().len() / 4096;
    let seek = format!("seek={}", pages / 2);
    let to = format!("of={}", path.display());
    let done = Process::new("dd").args(["if=/dev/zero", "bs=4096", "count=3", "conv=notrunc", &seek, &to]).output();
    assert!(done.unwrap().status.success());
}

/// A sum of all bytes, made by a process of its own.
fn sum(path: &Path) -> String {
    let output = Process::new("cksum").arg(path).output().unwrap();
    assert!(output.status.success());
    String::from_utf8(output.stdout).unwrap()
}

/// What the command says of the same file.
fn by_command(desk: &Desk, path: &Path) -> Value {
    let own = desk.folder.path().join("own");
    let mut command = Process::new(env!("CARGO_BIN_EXE_strongroom"));
    command.args(["recover", "--json", "--to"]).arg(desk.path("by command.sqlite")).arg(path);
    command.env("XDG_DATA_HOME", &own).env("XDG_CONFIG_HOME", &own).env("HOME", &own).env("XDG_RUNTIME_DIR", &own);
    let output = command.output().unwrap();
    serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&output.stderr)))
}

/// All but what is other each time, and what another process can only guess of the log.
fn lasting(mut report: Value) -> Value {
    report["compared"].as_object_mut().unwrap().remove("lacks");
    let fields = report.as_object_mut().unwrap();
    for of_its_own in ["to", "duration_ms", "remarks", "bytes"] {
        assert!(fields.remove(of_its_own).is_some(), "{of_its_own}");
    }
    report
}

impl Desk {
    fn until_new_file(&mut self, path: &Path) {
        let wanted = path.display().to_string();
        let found = move |h: &egui_kittest::Harness<'static, strongroom::ui::Window>| {
            let field = h.query_by_role_and_label(Role::TextInput, "New file");
            field.and_then(|field| field.accesskit_node().value()).as_deref() == Some(wanted.as_str())
        };
        self.until("the proposed name", |h, _| found(h));
    }

    /// Presses the button of the dialog and not that of the page.
    fn recover(&mut self) {
        self.until("the button", |h, _| {
            let button = h.query_by_role_and_label(Role::Button, "Recover");
            button.is_some_and(|button| !button.accesskit_node().is_disabled())
        });
        self.press("Recover");
    }

    fn recovered(&self) -> Value {
        let status = self.status();
        let report = status.finished.iter().find_map(|job| match &job.result {
            Ok(JobReport::Recover(report)) => Some(serde_json::to_value(report).unwrap()),
            _ => None,
        });
        report.unwrap()
    }

    fn until_row_of(&mut self, begins: &str) -> String {
        let found = |h: &egui_kittest::Harness<'static, strongroom::ui::Window>| {
            let rows = h.query_all_by_role(Role::ListBoxOption).filter_map(|row| row.accesskit_node().label());
            rows.into_iter().find(|row| row.starts_with(begins))
        };
        self.until(begins, |h, _| found(h).is_some());
        found(&self.harness).unwrap()
    }
}

#[test]
fn a_damaged_data_file_in_care_is_recovered_with_the_numbers_of_the_command() {
    if !has_sqlite3() {
        return;
    }
    // So high that the whole page is seen.
    let mut desk = Desk::of_size(1180.0, 1600.0);
    let path = desk.with_clients();
    foreign(
        &path,
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i<900) \
         INSERT INTO note(text) SELECT hex(randomblob(400)) FROM n",
    );
    foreign(&path, "PRAGMA wal_checkpoint(TRUNCATE)");
    damage(&path);
    let before = sum(&path);
    // Its log takes that for another content, and goes on.
    desk.until("the log to record it", |_, s| {
        let log = s.data_files[0].log.as_ref();
        log.is_some_and(|log| log.position.commit == 2 && log.state == strongroom::journal::CaptureState::On)
    });

    // A check that finds the damage offers it.
    desk.press("Verify");
    desk.until_shown("table note is damaged");
    desk.press("Recover it…");
    desk.until_shown("The damage is in Office[0001].4BK and commit 2 of its log, of ");
    assert!(desk.harness.query_by_role_and_label(Role::Button, "Restore instead…").is_some());
    assert!(desk.is_shown("are only read: nothing of them is changed, moved or deleted"));
    desk.until_new_file(&desk.path("Office recovered.sqlite"));
    desk.recover();
    desk.until_shown("What could be read of Office.sqlite is in Office recovered.sqlite");
    assert!(desk.is_shown("may not be everything: "), "{:#?}", desk.texts());
    desk.until_shown("The log has recorded the damage, too, from commit 2 on: compared with the state before it.");
    assert_eq!(sum(&path), before, "the damaged file is as it was");
    let clients = Connection::open(desk.path("Office recovered.sqlite")).unwrap();
    let count: i64 = clients.query_row("SELECT count(*) FROM clients", [], |row| row.get(0)).unwrap();
    assert_eq!(count, 400);

    // The same as the command says, and what is shown of it.
    let own = desk.recovered();
    let told = by_command(&desk, &path);
    assert_eq!(lasting(own.clone()), lasting(told));
    let table = own["tables"].as_array().unwrap().iter().find(|table| table["table"] == "note").unwrap().clone();
    let (found, missing) = (table["found"].as_u64().unwrap(), table["known"]["missing"].as_u64().unwrap());
    assert!(missing > 0 && found + missing >= 903, "{table}");
    desk.press("View recovery report");
    let row = desk.until_row_of("Recovered note");
    assert!(row.contains(&format!("Found {found}")) || row.contains(&format!("found {found}")), "{row}");
    assert!(row.to_lowercase().contains(&format!("missing {missing}")), "{row}");
    desk.until_row_of("Recovered clients");
    // The columns have the room that there is.
    let of = |desk: &Desk, role, label: &str| desk.harness.get_by_role_and_label(role, label).rect();
    let (table, last) = (of(&desk, Role::ListBox, "Tables recovered"), of(&desk, Role::Button, "Sort by Remarks"));
    assert!(last.width() > 300.0 && last.right() > table.right() - 40.0, "{last:?} in {table:?}");
    desk.click_on(Role::CheckBox, "Only tables that are not whole");
    desk.until("the sound table to go", |h, _| named(h, "Recovered clients").next().is_none());
    desk.press("Close");
    desk.press("Put the result away");

    // It stays in the Backup journal, with its report.
    desk.press("Backup journal");
    desk.press("Recovery, With problems");
    desk.press("View recovery report");
    desk.until_row_of("Recovered note");
    desk.until_shown("Compared with ");
    assert_eq!(desk.status().engines.len() > 1, IS_JOINED);
}

#[test]
fn a_damaged_file_that_nobody_looks_after_is_recovered_and_then_looked_after() {
    let mut desk = Desk::new();
    let path = desk.path("alone.db");
    make_data_file(&path, 500);
    Connection::open(&path).unwrap().query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).unwrap();
    // Its header is lost, so that it cannot be opened at all.
    let mut bytes = fs::read(&path).unwrap();
    bytes[..100].fill(0x55);
    fs::write(&path, &bytes).unwrap();
    desk.open(&path);
    desk.until_shown("Recover it…");
    desk.press("File");
    desk.press("Recover damaged file…");
    desk.until_shown("Choose a damaged file");
    desk.type_into("Path", &path.display().to_string());
    desk.press("Open file");
    desk.until_new_file(&desk.path("alone recovered.db"));
    desk.until_shown("No archive: ");
    assert!(desk.harness.query_by_role_and_label(Role::Button, "Restore instead…").is_none());
    // Another name, by the folder that is chosen and by what is typed.
    fs::create_dir(desk.path("saved")).unwrap();
    desk.press("Choose the folder of the new file");
    desk.until_shown("Folder for the new file");
    desk.type_into("Path", &desk.path("saved").display().to_string());
    desk.press("Choose this folder");
    desk.until_new_file(&desk.path("saved").join("alone recovered.db"));
    let to = desk.path("saved").join("new.db");
    desk.type_into("New file", &to.display().to_string());
    desk.recover();
    desk.until_shown("What could be read of alone.db is in new.db");
    assert_eq!(fs::read(&path).unwrap(), bytes);
    desk.until_shown("Compared with no archive: ");
    desk.press("Open new file");
    desk.until("the new file", |_, s| s.data_file(&to).is_some());
    let count: i64 = Connection::open(&to).unwrap().query_row("SELECT count(*) FROM note", [], |r| r.get(0)).unwrap();
    assert_eq!(count, 500);
}

#[test]
fn where_an_archive_is_sound_a_restore_comes_first() {
    let mut desk = Desk::of_size(1180.0, 1600.0);
    let path = desk.open_data_file(500);
    desk.back_up(1);
    Connection::open(&path).unwrap().query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).unwrap();
    damage(&path);
    desk.press("Recover…");
    desk.until_shown("A restore brings back all that it held at ");
    desk.until_shown("That is nearly always better: SQLite finds no damage in Office[0001].4BK, of ");
    desk.press("Restore instead…");
    desk.until("the restore", |h, _| {
        let dialog = h.query_all_by_role(Role::Dialog).next().and_then(|dialog| dialog.accesskit_node().label());
        dialog.as_deref() == Some("Restore in place")
    });
}

#[test]
fn a_running_recovery_is_stopped_and_leaves_nothing() {
    let mut desk = Desk::of_size(1180.0, 1600.0);
    let path = desk.open_data_file(100_000);
    desk.press("Recover…");
    desk.until_new_file(&desk.path("Office recovered.sqlite"));
    desk.recover();
    desk.until("the running job", |h, _| h.query_by_role_and_label(Role::Button, "Stop recovery").is_some());
    assert!(desk.harness.query_by_role_and_label(Role::ProgressIndicator, "Progress of the recovery").is_some());
    desk.press("Stop recovery");
    desk.until_shown("Recovery stopped by the user");
    let names: Vec<PathBuf> =
        fs::read_dir(path.parent().unwrap()).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert!(names.iter().all(|name| !name.to_string_lossy().contains("recovered")), "{names:?}");
}

#[test]
#[cfg(target_os = "linux")]
fn a_recovery_without_space_says_so_before_it_writes() {
    let mut desk = Desk::of_size(1180.0, 1600.0);
    let Some(disk) = crate::disk::SmallDisk::mount(&desk.path("small"), "1m") else { return };
    desk.open_data_file(3000);
    desk.press("Recover…");
    desk.until_new_file(&desk.path("Office recovered.sqlite"));
    let to = disk.0.join("saved.sqlite");
    desk.type_into("New file", &to.display().to_string());
    desk.recover();
    desk.until_shown("Recovery failed: not enough space in ");
    assert_eq!(fs::read_dir(&disk.0).unwrap().count(), 0);
}

#[test]
fn a_name_that_is_taken_and_a_program_that_has_the_file_open_are_said() {
    if !has_sqlite3() {
        return;
    }
    let mut desk = Desk::of_size(1180.0, 1600.0);
    let path = desk.open_data_file(20);
    let mut shell = Process::new("sqlite3").arg(&path).stdin(std::process::Stdio::piped()).spawn().unwrap();
    use std::io::Write;
    shell.stdin.as_mut().unwrap().write_all(b"BEGIN; SELECT count(*) FROM note;\n").unwrap();
    desk.until("the shell to read", |_, s| s.data_files[0].holders.in_words().contains("sqlite3"));
    desk.press("Recover…");
    desk.until_shown("It is open in sqlite3");
    let taken = desk.path("taken.sqlite");
    fs::write(&taken, "mine").unwrap();
    desk.type_into("New file", &taken.display().to_string());
    desk.recover();
    desk.until_shown("Recovery failed: ");
    assert_eq!(fs::read_to_string(&taken).unwrap(), "mine");
    desk.press("Recover…");
    desk.until_new_file(&desk.path("Office recovered.sqlite"));
    desk.recover();
    desk.until_shown("What could be read of Office.sqlite is in Office recovered.sqlite");
    desk.until_shown("The damaged file is open in sqlite3");
    drop(shell.stdin.take());
    shell.wait().unwrap();
}
