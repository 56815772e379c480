//! The page Activity: an accidental deletion is found by table and time, and its records are seen.

use crate::desk;

use std::{fs, path::Path, process::Command as Process};

use desk::{Desk, LIMIT, named};
use eframe::egui::{Key, accesskit::Role};
use egui_kittest::kittest::{NodeT, Queryable};
use strongroom::journal::CaptureState;

/// What another program, the system's own SQLite, does.
pub(crate) fn foreign(path: &Path, sql: &str) {
    let output = Process::new("sqlite3").args(["-cmd", ".timeout 60000"]).arg(path).arg(sql).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

pub(crate) fn has_sqlite3() -> bool {
    let has = Process::new("sqlite3").arg("-version").output().is_ok();
    if !has {
        eprintln!("left out: sqlite3 is not installed");
    }
    has
}

impl Desk {
    /// A data file with clients, its log, and a full backup.
    pub(crate) fn with_clients(&mut self) -> std::path::PathBuf {
        let path = self.open_data_file(3);
        foreign(
            &path,
            "CREATE TABLE clients(id INTEGER PRIMARY KEY, name, city, photo); \
             WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i<400) \
             INSERT INTO clients SELECT i, 'Client ' || i, 'Basel', zeroblob(20) FROM n",
        );
        self.press("Use log…");
        self.until_shown("A full backup is needed before the log can serve a restore.");
        self.press("OK");
        self.until("the log and its backup", |_, s| {
            let log = s.data_files.first().and_then(|d| d.log.as_ref());
            s.jobs.is_empty() && log.is_some_and(|l| l.rooted && l.state == CaptureState::On)
        });
        path
    }

    /// Chooses from a list that opens.
    pub(crate) fn choose_from(&mut self, list: &str, begins: &str) {
        self.until(list, |h, _| h.query_by_role_and_label(Role::ComboBox, list).is_some());
        self.click_on(Role::ComboBox, list);
        self.harness.run_steps(4);
        let found = |h: &egui_kittest::Harness<'static, strongroom::ui::Window>| -> Option<String> {
            let all = h.query_all_by_role(Role::Button).filter_map(|node| node.accesskit_node().label());
            all.into_iter().find(|label| label.starts_with(begins))
        };
        self.until(begins, |h, _| found(h).is_some());
        let label = found(&self.harness).unwrap();
        self.click_on(Role::Button, &label);
        self.harness.run_steps(4);
    }

    /// The rows of a table of which the name holds this.
    pub(crate) fn rows(&self, part: &str) -> Vec<String> {
        let all = self.harness.query_all_by_role(Role::ListBoxOption);
        all.filter_map(|node| node.accesskit_node().label()).filter(|label| label.contains(part)).collect()
    }

    pub(crate) fn press_row(&mut self, part: &str) {
        self.until(part, |h, _| h.query_all_by_label_contains(part).next().is_some());
        // What was drawn a moment ago may still move to its place, or get its count.
        let mut seen = None;
        self.until(part, |h, _| {
            let of_rows = |node: &egui_kittest::Node<'_>| node.accesskit_node().role() == Role::ListBoxOption;
            let row = h.query_all_by_label_contains(part).find(of_rows);
            let row = row.map(|node| (node.accesskit_node().label(), node.rect()));
            row.is_some() && seen.replace(row.clone()) == Some(row)
        });
        let label = seen.flatten().and_then(|(label, _)| label).unwrap();
        self.click_on(Role::ListBoxOption, &label);
        self.harness.run_steps(4);
    }
}

#[test]
fn an_accidental_deletion_is_found_by_table_and_time_and_its_records_are_seen() {
    if !has_sqlite3() {
        return;
    }
    // All columns of an operation are seen below the list.
    let mut desk = Desk::of_size(1180.0, 960.0);
    let path = desk.with_clients();
    desk.press("Activity");
    desk.until_shown("No commit yet.");
    foreign(&path, "UPDATE clients SET city='Bern' WHERE id=300; INSERT INTO note(text) VALUES('a note')");
    // What was meant is id=312.
    foreign(&path, "DELETE FROM clients WHERE id>=89");
    foreign(&path, "INSERT INTO note(text) VALUES('another note')");
    // It comes by itself.
    desk.until_shown("312 deletions in clients");
    desk.until_shown("4 commits with 315 operations.");

    desk.choose_from("Table", "clients");
    desk.until_shown("2 commits with 313 operations found, of 4 commits with 315 operations.");
    desk.choose_from("Action", "Deleted");
    desk.until_shown("1 commit with 312 operations found");
    desk.choose_from("Time", "2");
    desk.until_shown("1 commit with 312 operations found");
    assert_eq!(desk.rows("deletions in clients").len(), 1);
    desk.press_row("312 deletions in clients");
    desk.press("Show its 312 operations");
    desk.until_shown("Operation 1, Deleted in clients");
    let row = desk.rows("Operation 1, ").remove(0);
    assert!(row.contains("key 89") && row.contains("changes id 89, name 'Client 89', city 'Basel'"), "{row}");
    // Far down, by the keyboard.
    desk.press_row("Operation 1, ");
    desk.harness.get_by_role_and_label(Role::ListBox, "Commits").focus();
    desk.harness.run_steps(4);
    desk.harness.key_press(Key::End);
    desk.until_shown("Operation 312, Deleted in clients");
    desk.until_shown("Deleted in clients: 400");
    desk.until_shown("Column name, old 'Client 400'");
    let columns = desk.rows("Column ");
    assert!(columns[1].contains("Column name") && columns[1].contains("old 'Client 400'"), "{columns:?}");

    // The record that was changed before it was deleted.
    desk.press("Clear filter");
    desk.until_shown("4 commits with 315 operations.");
    desk.type_into("Key", "300");
    desk.until_shown("2 commits with 2 operations found");
    desk.press_row("Modified in clients");
    desk.until_shown("Modified in clients: 300");
    desk.until_shown("Column city, changed");
    let columns = desk.rows("Column city, changed");
    assert!(columns[0].contains("old 'Basel'") && columns[0].contains("new 'Bern'"), "{columns:?}");
    desk.press("Next change of this record");
    desk.until_shown("Deleted in clients: 300");
    desk.press("Next change of this record");
    desk.until_shown("This is the last change of this record in these logs.");
    desk.press("Previous change of this record");
    desk.until_shown("Modified in clients: 300");
    desk.press("Previous change of this record");
    desk.until_shown("This is the first change of this record in these logs.");

    // A BLOB can be looked at.
    desk.press_row("Column photo");
    desk.press("View value…");
    desk.until_shown("BLOB, 20 B");
    desk.until_shown("00000000  00 00");
    desk.press("Close");
    desk.until("the dialog to close", |h, _| h.query_by_label("BLOB, 20 B").is_none());
}

#[test]
fn what_is_filtered_is_exported_and_another_log_is_analyzed() {
    if !has_sqlite3() {
        return;
    }
    let mut desk = Desk::new();
    let path = desk.with_clients();
    foreign(&path, "DELETE FROM clients WHERE id<=2; UPDATE clients SET name='a,\"b\"' WHERE id=3");
    desk.press("Activity");
    desk.until_shown("2 commits with 3 operations.");
    desk.type_into("Text in values", "a,\"b");
    desk.until_shown("1 commit with 1 operation found");
    desk.press("Export…");
    desk.until_shown("1, as filtered");
    desk.press("Export");
    desk.until_shown("Exported 1 operation");
    let folder = desk.folder.path().canonicalize().unwrap();
    let files = || fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path());
    let csv: Vec<_> = files().filter(|path| path.extension().is_some_and(|e| e == "csv")).collect();
    let text = fs::read_to_string(&csv[0]).unwrap();
    assert_eq!(text.lines().count(), 2, "{text}");
    assert!(text.lines().nth(1).unwrap().contains("modify,,clients,3,"), "{text}");
    desk.press("Dismiss");
    desk.press("Export…");
    desk.until("the forms", |h, _| h.query_by_role(Role::Dialog).is_some());
    desk.click_on(Role::RadioButton, "Workbook for spreadsheet programs (XLSX)");
    desk.press("Export");
    desk.until_shown("Exported 1 operation");
    let book = files().find(|path| path.extension().is_some_and(|e| e == "xlsx")).unwrap();
    if let Some(found) = crate::xlsx::sheets(&book) {
        let (rows, text) = (found["Activity"].as_array().unwrap(), |text: &str| serde_json::json!([text]));
        assert_eq!((rows.len(), &rows[1][3], &rows[1][5]), (2, &text("modify"), &text("clients")), "{rows:?}");
        assert!(rows[1][1].is_string(), "a commit is a number: {rows:?}");
        let new: serde_json::Value = serde_json::from_str(rows[1][8][0].as_str().unwrap()).unwrap();
        assert_eq!(new["name"], r#"a,"b""#);
    }
    desk.press("Dismiss");

    // After the next backup the log is closed, and can be looked at for itself.
    desk.back_up(2);
    desk.press("Activity");
    desk.press("Browse…");
    desk.until_shown("Choose a log to analyze");
    desk.press_row("Office[0001].4BL");
    desk.press("Open file");
    desk.until_shown("2 commits with 3 operations.");
    desk.until_shown("Office[0001].4BL: 2 commits");
    let begun = std::time::Instant::now();
    while named(&desk.harness, "Sort by Time, sorted from the greatest on").next().is_none() {
        assert!(begun.elapsed() < LIMIT);
        desk.harness.run_steps(2);
    }
    assert!(desk.rows("Commit ")[0].contains("Modified in clients"), "{:?}", desk.rows("Commit "));
    desk.press("Sort by Time, sorted from the greatest on");
    desk.until("the other order", |h, _| named(h, "Sort by Time, sorted from the least on").next().is_some());
    desk.until_shown("2 deletions in clients");
    assert!(desk.rows("Commit ")[0].contains("2 deletions in clients"), "{:?}", desk.rows("Commit "));
}
