//! Taking back in the window: an accidental deletion is found, its records are seen, and just these come back while
//! other programs write; and the data file goes back to before it, and forward again.

use std::{
    path::{Path, PathBuf},
    process::Command as Process,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use eframe::egui::{Key, Modifiers, accesskit::Role};
use egui_kittest::kittest::{NodeT, Queryable};
use strongroom::engine::history::{JobKind, Outcome};

use crate::{
    activity::{foreign, has_sqlite3},
    desk::Desk,
};

/// What another program, the system's own SQLite, reads.
fn read(path: &Path, sql: &str) -> String {
    let output = Process::new("sqlite3").args(["-cmd", ".timeout 60000"]).arg(path).arg(sql).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// All clients with all that they have.
fn clients(path: &Path) -> String {
    read(path, "SELECT id, quote(name), quote(city), quote(photo) FROM clients ORDER BY id")
}

/// The system's own SQLite as a program that goes on writing.
struct Writer {
    ends: Arc<AtomicBool>,
    thread: Option<JoinHandle<u64>>,
}

impl Writer {
    fn start(path: PathBuf) -> Self {
        let ends = Arc::new(AtomicBool::new(false));
        let own = Arc::clone(&ends);
        let thread = thread::spawn(move || {
            let mut written = 0;
            while !own.load(Ordering::Relaxed) {
                foreign(&path, "INSERT INTO note(text) VALUES('by the writer')");
                written += 1;
                thread::sleep(Duration::from_millis(50));
            }
            written
        });
        Self { ends, thread: Some(thread) }
    }

    /// Ends it; returns how many records it has written.
    fn end(mut self) -> u64 {
        self.ends.store(true, Ordering::Relaxed);
        self.thread.take().unwrap().join().unwrap()
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.ends.store(true, Ordering::Relaxed);
    }
}

impl Desk {
    fn can_press(&self, button: &str) -> bool {
        let found = self.harness.query_by_role_and_label(Role::Button, button);
        found.is_some_and(|node| !node.accesskit_node().is_disabled())
    }

    fn until_enabled(&mut self, button: &str) {
        self.until(button, |h, _| {
            let found = h.query_by_role_and_label(Role::Button, button);
            found.is_some_and(|node| !node.accesskit_node().is_disabled())
        });
    }

    /// What a screen reader says of why a button cannot be pressed.
    fn reason(&self, button: &str) -> String {
        self.harness.get_by_role_and_label(Role::Button, button).accesskit_node().description().unwrap_or_default()
    }

    fn tick(&mut self, role: Role, label: &str) {
        self.until(label, |h, _| h.query_by_role_and_label(role, label).is_some());
        self.click_on(role, label);
        self.harness.run_steps(4);
    }
}

#[test]
fn an_accidental_deletion_is_found_seen_and_taken_back_while_another_program_writes() {
    if !has_sqlite3() {
        return;
    }
    // All columns of an operation are seen below the list.
    let mut desk = Desk::of_size(1180.0, 960.0);
    let path = desk.with_clients();
    let before = clients(&path);
    let notes = |path: &Path| read(path, "SELECT count(*) FROM note WHERE text='by the writer'");
    let writer = Writer::start(path.clone());
    // What was meant is id=312.
    foreign(&path, "DELETE FROM clients WHERE id>=89");

    // Found by table and action.
    desk.press("Activity");
    desk.until_shown("commits with ");
    assert_eq!(desk.reason("Take back…"), "Select commits or operations in the list first");
    desk.choose_from("Table", "clients");
    desk.choose_from("Action", "Deleted");
    desk.until_shown("1 commit with 312 operations found");
    // Seen: what the records were.
    desk.press_row("312 deletions in clients");
    desk.until_shown("1 commit is selected.");
    desk.press("Show its 312 operations");
    desk.press_row("Operation 3, Deleted in clients");
    desk.until_shown("Deleted in clients: 91");
    desk.until_shown("1 operation is selected.");
    desk.until_shown("Column name, old 'Client 91'");

    // Taken back: all of the commit.
    desk.press_row("312 deletions in clients");
    desk.press("Take back…");
    desk.until_shown("Records by table");
    desk.until_enabled("Take back 312 operations");
    let focused = desk.harness.get_by_role_and_label(Role::Button, "Cancel").is_focused();
    assert!(focused, "the button that does no harm has the focus");
    let rows = desk.rows("clients, come back");
    assert!(rows[0].contains("come back 312"), "{rows:?}");
    desk.until_shown("312 statements, in this order, as one transaction: all or nothing");
    desk.press_row("Statement 1: INSERT OR ABORT INTO");
    assert!(desk.is_shown("'Client 89'") && desk.can_press("Copy statement"));
    assert_eq!(clients(&path).lines().count(), 88, "nothing was done so far");
    desk.press("Take back 312 operations");
    desk.until_shown("312 records of Office.sqlite are as they were");
    desk.until("the dialog to close", |h, _| h.query_by_label("Records by table").is_none());
    assert!(desk.is_shown("clients: 312 brought back"));

    let written = writer.end();
    assert!(clients(&path) == before, "every record is what it was, with its rowid");
    assert_eq!(notes(&path).trim(), written.to_string(), "nothing of the other program is lost");
    assert_eq!(read(&path, "PRAGMA integrity_check").trim(), "ok");
    let status = desk.status();
    let entry = status.history.iter().find(|entry| entry.kind == JobKind::TakeBack).unwrap();
    assert_eq!(entry.outcome, Outcome::Succeeded);
    assert!(entry.note.as_ref().is_some_and(|note| note.contains("312 brought back")), "{entry:?}");

    // It stands in the log as any commit, and can be taken back itself.
    desk.press("Clear filter");
    desk.choose_from("Table", "clients");
    desk.until_shown("312 additions in clients");
    desk.press_row("312 additions in clients");
    desk.press("Take back…");
    desk.press("Take back 312 operations");
    desk.until_shown("clients: 312 removed");
    assert_eq!(clients(&path).lines().count(), 88);
}

#[test]
fn what_is_in_the_way_is_decided_one_by_one_and_a_plan_that_is_not_true_any_more_is_made_anew() {
    if !has_sqlite3() {
        return;
    }
    let mut desk = Desk::new();
    let path = desk.with_clients();
    foreign(&path, "DELETE FROM clients WHERE id IN (5,6,7,8)");
    foreign(&path, "INSERT INTO clients(id,name) VALUES(5,'new at 5'),(6,'new at 6')");
    desk.press("Activity");
    desk.press_row("4 deletions in clients");
    desk.press("Take back…");
    desk.until_shown("Something is in the way of 2 records");
    let reason = "Decide first about the records that something is in the way of";
    desk.until("the reason", |h, _| {
        let button = h.query_by_role_and_label(Role::Button, "Take back 2 operations");
        button.is_some_and(|node| node.accesskit_node().description().as_deref() == Some(reason))
    });
    desk.press_row("clients 5, decision Undecided");
    desk.tick(Role::RadioButton, "Take back all the same");
    desk.until_shown("clients 5, decision Take back all the same");
    desk.press_row("clients 6, decision Undecided");
    desk.tick(Role::RadioButton, "Leave as it is");
    desk.until_enabled("Take back 3 operations");
    desk.until_shown("All of it is decided.");
    assert!(
        desk.rows("Statement ").iter().any(|row| row.contains("UPDATE OR ABORT \"clients\" SET \"name\"='Client 5'")),
        "{:?}",
        desk.rows("Statement ")
    );

    // Another program takes a key that is to come back.
    foreign(&path, "INSERT INTO clients(id,name) VALUES(7,'new at 7')");
    desk.press("Take back 3 operations");
    desk.until_shown("Nothing was done. This is the plan for the data file as it is now.");
    desk.until_shown("Something is in the way of 3 records");
    assert_eq!(read(&path, "SELECT name FROM clients WHERE id=5").trim(), "new at 5");
    desk.press_row("clients 7, decision Undecided");
    desk.tick(Role::RadioButton, "Leave as it is");
    desk.press("Take back 2 operations");
    desk.until_shown("2 records of Office.sqlite are as they were");
    desk.until_shown("NOT TAKEN BACK: clients 6");
    let names = read(&path, "SELECT name FROM clients WHERE id IN (5,6,7,8) ORDER BY id");
    assert_eq!(names.lines().collect::<Vec<_>>(), ["Client 5", "new at 6", "new at 7", "Client 8"]);
}

#[test]
fn several_rows_are_selected_by_keyboard_alone_and_what_is_shown_is_saved_as_a_script() {
    if !has_sqlite3() {
        return;
    }
    let mut desk = Desk::new();
    let path = desk.with_clients();
    let before = clients(&path);
    for id in [10, 20, 30, 40] {
        foreign(&path, &format!("UPDATE clients SET city='Bern' WHERE id={id}"));
    }
    desk.press("Activity");
    desk.until_shown("4 commits with 4 operations.");
    desk.harness.get_by_role_and_label(Role::ListBox, "Commits").focus();
    desk.harness.run_steps(4);
    // The newest is id 40: the second to the fourth row, and the third one not.
    desk.harness.key_press(Key::ArrowDown);
    desk.until_shown("1 commit is selected.");
    desk.harness.key_press_modifiers(Modifiers::SHIFT, Key::ArrowDown);
    desk.harness.run_steps(4);
    desk.harness.key_press_modifiers(Modifiers::SHIFT, Key::ArrowDown);
    desk.until_shown("3 commits are selected.");
    desk.harness.key_press(Key::ArrowUp);
    desk.until_shown("1 commit is selected.");
    desk.harness.key_press(Key::ArrowUp);
    desk.harness.run_steps(4);
    desk.harness.key_press_modifiers(Modifiers::SHIFT, Key::End);
    desk.until_shown("3 commits are selected.");
    desk.harness.key_press_modifiers(Modifiers::COMMAND, Key::Space);
    desk.until_shown("2 commits are selected.");
    let selected = |desk: &Desk| {
        let rows = desk.harness.query_all_by_role(Role::ListBoxOption);
        let rows = rows.filter(|row| row.accesskit_node().is_selected() == Some(true));
        rows.filter_map(|row| row.accesskit_node().label()).filter(|label| label.contains("key ")).collect::<Vec<_>>()
    };
    let rows = selected(&desk);
    assert!(rows.len() == 2 && rows[0].contains("key 30") && rows[1].contains("key 20"), "{rows:?}");

    desk.press("Take back…");
    desk.until_enabled("Take back 2 operations");
    desk.press("Save as SQL script…");
    desk.until_shown("Folder for the script");
    desk.press("Choose this folder");
    desk.until_shown("The script was saved; nothing was changed");
    let folder = desk.folder.path().canonicalize().unwrap();
    let mut files = std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path());
    let script = files.find(|path| path.extension().is_some_and(|e| e == "sql")).unwrap();
    assert_eq!(read(&path, "SELECT count(*) FROM clients WHERE city='Bern'").trim(), "4");
    // What was shown is what the script does.
    let shown: Vec<String> =
        desk.rows("Statement ").iter().filter_map(|row| Some(row.split_once(": ")?.1.to_owned())).collect();
    let text = std::fs::read_to_string(&script).unwrap();
    assert!(shown.len() == 2 && shown.iter().all(|sql| text.contains(&format!("{sql};"))), "{shown:?}\n{text}");
    read(&path, &format!(".read '{}'", script.display()));
    let left = read(&path, "SELECT id FROM clients WHERE city='Bern' ORDER BY id");
    assert_eq!(left.lines().collect::<Vec<_>>(), ["10", "40"]);
    desk.harness.key_press(Key::Escape);
    desk.until("the dialog to close", |h, _| h.query_by_label("Records by table").is_none());

    // All that is found: the two that are left, of which the script's own changes are nothing any more.
    desk.choose_from("Action", "Modified");
    desk.press("Select all found");
    desk.until_shown("operations found are selected.");
    desk.press("Take back…");
    desk.until("a plan", |h, _| {
        let all = h.query_all_by_role(Role::Button).filter(|node| !node.accesskit_node().is_disabled());
        all.filter_map(|node| node.accesskit_node().label()).any(|label| label.starts_with("Take back "))
    });
    let label =
        desk.texts().into_iter().find(|text| text.starts_with("Take back ") && text.ends_with("operations")).unwrap();
    desk.press(&label);
    desk.until_shown("records of Office.sqlite are as they were");
    assert!(clients(&path) == before);
}

#[test]
fn the_data_file_goes_to_just_before_a_commit_and_back_again() {
    if !has_sqlite3() {
        return;
    }
    let mut desk = Desk::new();
    let path = desk.with_clients();
    foreign(&path, "UPDATE clients SET city='Bern' WHERE id=3");
    let before = clients(&path);
    foreign(&path, "DELETE FROM clients WHERE id>=89");
    let kept = clients(&path);
    foreign(&path, "INSERT INTO note(text) VALUES('after it')");
    let after = clients(&path);
    desk.press("Activity");
    desk.until_shown("3 commits with 314 operations.");
    desk.press_row("312 deletions in clients");
    let label = desk.texts().into_iter().find(|text| text.starts_with("Restore to just before commit ")).unwrap();
    desk.press(&label);
    desk.until_shown("2 commits after that point leave the data file.");
    desk.until_shown("312 deletions in clients, 1 addition in note");
    desk.press("Restore in place");
    desk.until_shown("Undo this restore…");
    assert!(clients(&path) == before);
    assert_eq!(read(&path, "SELECT count(*) FROM note WHERE text='after it'").trim(), "0");
    desk.press("Undo this restore…");
    desk.press("Undo the restore");
    desk.until("the undo", |_, s| {
        s.jobs.is_empty() && s.finished.iter().filter(|j| j.kind == JobKind::RestoreInPlace).count() == 2
    });
    assert!(clients(&path) == after);

    desk.press("Activity");
    desk.press_row("312 deletions in clients");
    let label = desk.texts().into_iter().find(|text| text.starts_with("Keep everything up to commit ")).unwrap();
    desk.press(&label);
    desk.until_shown("312 deletions in clients, 2 additions in note, 1 deletion in note");
    desk.press("Restore in place");
    desk.until("the restore", |_, s| {
        s.jobs.is_empty() && s.finished.iter().filter(|j| j.kind == JobKind::RestoreInPlace).count() == 3
    });
    assert!(clients(&path) == kept);
    assert_eq!(read(&path, "SELECT count(*) FROM note WHERE text='after it'").trim(), "0");
}
