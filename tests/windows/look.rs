//! Looking at a past state in the window: its tables and records, a statement, what is other now, and records in a
//! file.

use crate::desk;

use std::{fs, path::PathBuf, process::Command as Process};

use desk::{Desk, IS_JOINED};
use eframe::egui::{Event, Key, Modifiers, accesskit::Role};
use egui_kittest::kittest::{NodeT, Queryable};

use crate::activity::{foreign, has_sqlite3};

impl Desk {
    /// Chooses a part of the dialog.
    fn part(&mut self, label: &str) {
        self.until(label, |h, _| h.query_by_role_and_label(Role::RadioButton, label).is_some());
        self.click_on(Role::RadioButton, label);
        self.harness.run_steps(4);
    }

    /// Waits for a row of a table that begins like this, and returns all of it.
    fn until_row(&mut self, begins: &str) -> String {
        let found = |h: &egui_kittest::Harness<'static, strongroom::ui::Window>| {
            let rows = h.query_all_by_role(Role::ListBoxOption).filter_map(|row| row.accesskit_node().label());
            rows.into_iter().find(|row| row.starts_with(begins))
        };
        self.until(begins, |h, _| found(h).is_some());
        found(&self.harness).unwrap()
    }

    fn type_multiline(&mut self, label: &str, text: &str) {
        self.harness.get_by_role_and_label(Role::MultilineTextInput, label).focus();
        self.harness.run_steps(2);
        self.harness.key_combination_modifiers(eframe::egui::Modifiers::COMMAND, &[Key::A]);
        self.harness.run_steps(2);
        self.harness.get_by_role_and_label(Role::MultilineTextInput, label).type_text(text);
        self.harness.run_steps(2);
    }

    fn saved_records(&self, ending: &str) -> PathBuf {
        let folder = self.folder.path().canonicalize().unwrap();
        let files = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path());
        let is_it = |path: &PathBuf| path.file_name().unwrap().to_string_lossy().ends_with(ending);
        let found: Vec<PathBuf> =
            files.filter(|path| path.to_string_lossy().contains(" after commit ")).filter(is_it).collect();
        assert_eq!(found.len(), 1, "{found:?}");
        found[0].clone()
    }

    /// The file of this name that was saved.
    fn saved_as(&self, part: &str, ending: &str) -> PathBuf {
        let folder = self.folder.path().canonicalize().unwrap();
        let files = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path());
        let name = |path: &PathBuf| path.file_name().unwrap().to_string_lossy().into_owned();
        let found: Vec<PathBuf> =
            files.filter(|path| name(path).contains(part) && name(path).ends_with(ending)).collect();
        assert_eq!(found.len(), 1, "{part}: {found:?}");
        found[0].clone()
    }

    fn click_row(&mut self, begins: &str, held: Modifiers) {
        self.until_row(begins);
        let rows = self.harness.query_all_by_role(Role::ListBoxOption);
        let is_it =
            |row: &egui_kittest::Node<'_>| row.accesskit_node().label().is_some_and(|label| label.starts_with(begins));
        rows.into_iter().find(is_it).unwrap().click_modifiers(held);
        self.harness.run_steps(6);
    }

    fn save_records(&mut self, button: &str) {
        self.press(button);
        self.until_shown("Folder for the records");
        self.press("Choose this folder");
        self.until_shown("The records were saved");
        self.press("Dismiss");
    }
}

#[test]
fn the_state_before_a_deletion_is_looked_at_searched_compared_and_saved() {
    if !has_sqlite3() {
        return;
    }
    let mut desk = Desk::new();
    let path = desk.with_clients();
    foreign(&path, "UPDATE clients SET city='Bern' WHERE id=300");
    foreign(&path, "DELETE FROM clients WHERE id>=89; INSERT INTO note(text) VALUES('after it')");
    desk.press("Activity");
    desk.press_row("312 deletions in clients");
    desk.press("Look at the state before…");

    // The tables with their records, and the title says which state it is.
    desk.until_row("Table clients, records 400");
    desk.until_row("Table note, records 3");
    let dialog = desk.harness.get_by_role(Role::Dialog).accesskit_node().label().unwrap();
    assert!(dialog.starts_with("State after commit 1 of "), "{dialog}");
    let row = desk.until_row("Record 1, id 1");
    assert!(row.contains("name 'Client 1', city 'Basel'"), "{row}");

    // Far down, by the keyboard; and one record with all its columns.
    desk.harness.get_by_role_and_label(Role::ListBox, "Records of clients").focus();
    desk.harness.run_steps(4);
    desk.harness.key_press(Key::End);
    desk.until_row("Record 400, id 400");
    desk.until_row("Column name, value 'Client 400'");
    desk.harness.event(Event::Copy);
    desk.harness.step();
    let copied = desk.harness.output().platform_output.commands.iter().find_map(|command| match command {
        eframe::egui::OutputCommand::CopyText(text) => Some(text.clone()),
        _ => None,
    });
    assert_eq!(copied.as_deref(), Some(&*format!("400\tClient 400\tBasel\t{}", "00".repeat(20))));
    desk.press_row("Column photo");
    desk.press("View value…");
    desk.until_shown("BLOB, 20 B");
    desk.harness.key_press(Key::Escape);
    desk.until("the value to close", |h, _| h.query_by_label("BLOB, 20 B").is_none());

    // Searched and sorted by the engine.
    desk.type_into("Text in records", "bern");
    desk.until_shown("1 record with this text");
    desk.until_row("Record 1, id 300");
    desk.type_into("Text in records", "client 40");
    desk.until_shown("2 records with this text");
    desk.press("Sort by id");
    desk.press("Sort by id, sorted from the least on");
    desk.until_row("Record 1, id 400");
    desk.until_row("Record 2, id 40");

    // A statement, and one that is refused in words.
    desk.part("Statement");
    desk.type_multiline("Statement", "SELECT city, count(*) AS n FROM clients GROUP BY city ORDER BY n");
    desk.press("Run statement");
    desk.until_row("Record 1, city 'Bern', n 1");
    desk.until_row("Record 2, city 'Basel', n 399");
    desk.type_multiline("Statement", "DELETE FROM clients");
    desk.press("Run statement");
    desk.until_shown("The statement does more than read this data file");
    desk.type_multiline("Statement", "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n) SELECT i FROM n");
    desk.press("Run statement");
    desk.until_shown("Only the first 10000 records are shown.");
    desk.type_multiline(
        "Statement",
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n) SELECT count(*) FROM n",
    );
    desk.press("Run statement");
    desk.press("Stop");
    desk.until_shown("Stopped");

    // What is other now.
    desk.part("Difference from now");
    desk.press("Compare all tables");
    let row = desk.until_row("Compared clients");
    assert!(row.contains("added 0, changed 0, missing 312"), "{row}");
    let row = desk.until_row("Compared note");
    assert!(row.contains("added 1, changed 0, missing 0"), "{row}");
    let row = desk.until_row("Difference 1, table clients");
    assert!(row.contains("table clients") && row.contains("Missing") && row.contains("key 89"), "{row}");
    desk.press_row("Compared note");
    let row = desk.until_row("Difference 313, table note");
    assert!(row.contains("Added") && row.contains("key 4"), "{row}");

    // All of the table, also what is not in it any more, as CSV and as a data file of its own.
    desk.part("Records");
    desk.save_records("Save table as CSV…");
    let text = fs::read_to_string(desk.saved_records(".csv")).unwrap();
    assert!(text.starts_with("id,name,city,photo\r\n1,Client 1,Basel,x'") && text.lines().count() == 401, "{text}");
    desk.save_records("Save table as XLSX…");
    if let Some(found) = crate::xlsx::sheets(&desk.saved_records(".xlsx")) {
        let rows = found["Records"].as_array().unwrap();
        assert_eq!(rows.len(), 401);
        let photo = format!("x'{}'", "00".repeat(20));
        assert_eq!(rows[400], serde_json::json!(["400", ["Client 400"], ["Basel"], [photo]]));
    }
    desk.save_records("Save table as SQLite file…");
    let output =
        Process::new("sqlite3").arg(desk.saved_records(".sqlite")).arg("SELECT count(*), max(id) FROM result").output();
    assert_eq!(String::from_utf8(output.unwrap().stdout).unwrap().trim(), "400|400");

    desk.press("Close");
    desk.until("the dialog to close", |h, _| h.query_by_role(Role::Dialog).is_none());
    assert!(desk.is_shown("312 deletions in clients"), "the page is as it was");
}

#[test]
fn what_an_archive_holds_is_looked_at_and_a_moment_that_cannot_be_reached_is_said_as_the_command_says_it() {
    if !has_sqlite3() {
        return;
    }
    let mut desk = Desk::new();
    let path = desk.with_clients();
    foreign(&path, "DELETE FROM clients");
    desk.press("Restore");
    desk.press("Archive 0001");
    desk.press("Look at this state…");
    desk.until_row("Table clients, records 400");
    desk.press_row("Table note");
    desk.until_row("Record 3, id 3");
    assert!(desk.rows("Record ").len() == 3, "{:?}", desk.rows("Record "));
    desk.part("Difference from now");
    desk.press("Compare note");
    desk.until_row("Compared note, added 0, changed 0, missing 0");
    desk.until_shown("Nothing differs.");
    desk.harness.key_press(Key::Escape);
    desk.until("the dialog to close", |h, _| h.query_by_role(Role::Dialog).is_none());

    desk.press("Look at a moment…");
    desk.type_into("Moment", "2026-02-30");
    desk.until_shown("2026-11-22 12:00:00");
    let can_look = |desk: &Desk| {
        let found = desk.harness.query_by_role_and_label(Role::Button, "Look");
        found.is_some_and(|node| !node.accesskit_node().is_disabled())
    };
    assert!(!can_look(&desk));
    desk.type_into("Moment", "2001-01-01 00:00:00");
    desk.press("Look");
    let own = desk.folder.path().join("own");
    let mut command = Process::new(env!("CARGO_BIN_EXE_strongroom"));
    command.args(["query", "--at", "2001-01-01 00:00:00"]).arg(&path).arg("SELECT 1");
    command.env("XDG_DATA_HOME", &own).env("XDG_CONFIG_HOME", &own).env("HOME", &own).env("XDG_RUNTIME_DIR", &own);
    let output = command.output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    let message = said.lines().next().unwrap().trim_start_matches("strongroom: ").to_owned();
    assert!(!output.status.success() && !message.is_empty(), "{said}");
    desk.until_shown(&message.chars().skip(1).collect::<String>());
    desk.press("Close");
    // In the window that hosts the engine and in one that has joined a service, the same.
    assert_eq!(desk.status().engines.len() > 1, IS_JOINED);
}

#[test]
fn records_that_are_selected_are_saved_alone() {
    if !has_sqlite3() {
        return;
    }
    // So high that the records which are clicked are seen.
    let mut desk = Desk::of_size(1180.0, 1200.0);
    let path = desk.with_clients();
    foreign(
        &path,
        "CREATE TABLE tag(name TEXT PRIMARY KEY, kind) WITHOUT ROWID; \
         INSERT INTO tag VALUES('a','x'), ('b','colour'), ('c','x'), ('d','colour'), ('e','colour')",
    );
    desk.press("Restore");
    desk.press("Archive 0001");
    desk.press("Look at a moment…");
    desk.press("Look");
    desk.until_row("Table tag, records 5");

    // A stretch with Shift, and one more with Ctrl.
    desk.until_shown("0 selected");
    let is_disabled = |desk: &Desk, label: &str| {
        desk.harness.get_by_role_and_label(Role::Button, label).accesskit_node().is_disabled()
    };
    assert!(is_disabled(&desk, "Save selected as CSV…") && is_disabled(&desk, "Save selected as SQLite file…"));
    desk.click_row("Record 2, id 2", Modifiers::NONE);
    desk.click_row("Record 4, id 4", Modifiers::SHIFT);
    desk.click_row("Record 6, id 6", Modifiers::COMMAND);
    desk.until_shown("4 selected");
    desk.save_records("Save selected as CSV…");
    let text = fs::read_to_string(desk.saved_as("clients, 4 records, after commit ", ".csv")).unwrap();
    let line = |id: u32| format!("{id},Client {id},Basel,x'{}'\r\n", "00".repeat(20));
    let wanted: String = [2, 3, 4, 6].map(line).concat();
    assert_eq!(text, format!("id,name,city,photo\r\n{wanted}"));

    // Sorted otherwise it is another list, of which nothing is selected; by the keyboard, in that order.
    desk.press("Sort by id");
    desk.press("Sort by id, sorted from the least on");
    desk.until_row("Record 1, id 400");
    desk.until_shown("0 selected");
    desk.harness.get_by_role_and_label(Role::ListBox, "Records of clients").focus();
    desk.harness.run_steps(4);
    desk.harness.key_press(Key::Home);
    desk.harness.run_steps(4);
    for _ in 0..2 {
        desk.harness.key_press_modifiers(Modifiers::SHIFT, Key::ArrowDown);
        desk.harness.run_steps(4);
    }
    desk.until_shown("3 selected");
    desk.save_records("Save selected as SQLite file…");
    let saved = desk.saved_as("clients, 3 records, after commit ", ".sqlite");
    let sql = "SELECT group_concat(id), group_concat(DISTINCT typeof(photo)), count(*) FROM result";
    let output = Process::new("sqlite3").arg(saved).arg(sql).output().unwrap();
    assert_eq!(String::from_utf8(output.stdout).unwrap().trim(), "400,399,398|blob|3");

    // All that are found.
    desk.type_into("Text in records", "client 40");
    desk.until_shown("2 records with this text");
    desk.until_shown("0 selected");
    desk.harness.get_by_role_and_label(Role::ListBox, "Records of clients").focus();
    desk.harness.run_steps(4);
    desk.harness.key_press_modifiers(Modifiers::COMMAND, Key::A);
    desk.until_shown("2 selected");
    desk.save_records("Save selected as CSV…");
    let text = fs::read_to_string(desk.saved_as("clients, 2 records, after commit ", ".csv")).unwrap();
    assert_eq!(text, format!("id,name,city,photo\r\n{}{}", line(400), line(40)));

    // Of a table without rowids, as it is and searched.
    desk.press_row("Table tag");
    desk.until_row("Record 1, name 'a'");
    desk.click_row("Record 3, name 'c'", Modifiers::NONE);
    desk.until_shown("1 selected");
    desk.save_records("Save selected as CSV…");
    let text = fs::read_to_string(desk.saved_as("tag, 1 record, after commit ", ".csv")).unwrap();
    assert_eq!(text, "name,kind\r\nc,x\r\n");
    desk.type_into("Text in records", "colour");
    desk.until_shown("3 records with this text");
    desk.click_row("Record 1, name 'b'", Modifiers::NONE);
    desk.click_row("Record 3, name 'e'", Modifiers::COMMAND);
    desk.until_shown("2 selected");
    desk.save_records("Save selected as CSV…");
    let text = fs::read_to_string(desk.saved_as("tag, 2 records, after commit ", ".csv")).unwrap();
    assert_eq!(text, "name,kind\r\nb,colour\r\ne,colour\r\n");

    // Of a statement: whole, though not all of a long value is shown; never other records than those that are seen.
    desk.part("Statement");
    desk.type_multiline("Statement", "SELECT id, hex(zeroblob(5000)) AS long FROM clients WHERE id<9 ORDER BY id DESC");
    desk.press("Run statement");
    desk.click_row("Record 2, id 7", Modifiers::NONE);
    desk.until_shown("1 selected");
    desk.save_records("Save selected as CSV…");
    let text = fs::read_to_string(desk.saved_as("result, 1 record, after commit ", ".csv")).unwrap();
    assert_eq!(text, format!("id,long\r\n7,{}\r\n", "0".repeat(10_000)));
    desk.type_multiline("Statement", "SELECT random() AS dice FROM note");
    desk.press("Run statement");
    desk.click_row("Record 1, dice ", Modifiers::NONE);
    desk.until_shown("1 selected");
    desk.press("Save selected as CSV…");
    desk.until_shown("Folder for the records");
    desk.press("Choose this folder");
    desk.until_shown("other records would be saved");
    assert_eq!(desk.status().engines.len() > 1, IS_JOINED);
}
