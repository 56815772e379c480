//! The timeline: a moment is picked with the pointer and with the keyboard, and what is said of it is what is restored.

use crate::desk;

use std::path::Path;

use desk::Desk;
use eframe::egui::{
    Event, Key, Modifiers, MouseWheelUnit, PointerButton, Pos2, Rect, TouchPhase, accesskit::Role, pos2, vec2,
};
use egui_kittest::{
    Harness, Node,
    kittest::{NodeT, Queryable},
};
use rusqlite::Connection;
use strongroom::{
    engine::{Command, JobId, Status},
    ui::Window,
};

fn notes(path: &Path) -> i64 {
    Connection::open(path).unwrap().query_row("SELECT count(*) FROM note", [], |row| row.get(0)).unwrap()
}

fn last_commit(status: &Status) -> u64 {
    status.data_files[0].log.as_ref().map_or(0, |log| log.position.commit)
}

/// The one of the dialog that is open, else that of the page.
fn slider<'h>(h: &'h Harness<'static, Window>) -> Option<Node<'h>> {
    match h.query_by_role(Role::Dialog) {
        Some(dialog) => dialog.query_by_role_and_label(Role::Slider, "Timeline"),
        None => h.query_by_role_and_label(Role::Slider, "Timeline"),
    }
}

impl Desk {
    /// Commits of one more note each, each in the log when this returns; the number of the last.
    fn commit_notes(&mut self, path: &Path, count: u64) -> u64 {
        let wanted = last_commit(&self.status()) + count;
        let conn = Connection::open(path).unwrap();
        for _ in 0..count {
            conn.execute("INSERT INTO note(text) VALUES('more')", []).unwrap();
        }
        self.until("the commits in the log", |_, status| last_commit(status) == wanted);
        wanted
    }

    fn back_up_beside(&mut self, path: &Path, archives: usize) {
        let data_file = path.to_path_buf();
        self.send(Command::Backup { job: JobId::new(), data_file, destination: None, options: None });
        self.until("the backup", |_, s| s.jobs.is_empty() && s.data_files[0].archives.len() == archives);
    }

    fn place_of_timeline(&mut self) -> Rect {
        self.until("the timeline", |h, _| slider(h).is_some());
        self.harness.run_steps(4);
        slider(&self.harness).unwrap().rect()
    }

    fn value_of_timeline(&self) -> String {
        slider(&self.harness).unwrap().accesskit_node().value().unwrap_or_default()
    }

    fn until_value(&mut self, wanted: &str) {
        self.until(wanted, |h, _| {
            slider(h).and_then(|node| node.accesskit_node().value()).is_some_and(|value| value.contains(wanted))
        });
    }

    fn press_key(&mut self, key: Key) {
        self.harness.key_press(key);
        self.harness.run_steps(3);
    }

    fn click_at(&mut self, pos: Pos2) {
        self.harness.event(Event::PointerMoved(pos));
        self.harness.run_steps(2);
        for pressed in [true, false] {
            let (button, modifiers) = (PointerButton::Primary, Modifiers::NONE);
            self.harness.event(Event::PointerButton { pos, button, pressed, modifiers });
            self.harness.run_steps(2);
        }
    }
}

#[test]
fn the_keyboard_goes_from_commit_to_commit_and_what_is_said_is_restored() {
    let mut desk = Desk::new();
    let path = desk.open_data_file(20);
    desk.use_log();
    let last = desk.commit_notes(&path, 5);
    desk.ask_restore(1);
    desk.place_of_timeline();
    desk.until_value(&format!("Leads to commit {last} of "));
    assert!(desk.value_of_timeline().ends_with(", the last one known."));
    slider(&desk.harness).unwrap().focus();
    desk.harness.run_steps(3);
    desk.press_key(Key::ArrowLeft);
    desk.press_key(Key::ArrowLeft);
    desk.until_value(&format!("Leads to commit {} of ", last - 2));
    desk.until_value(&format!(", before commit {} of ", last - 1));
    // The field says the same, and it is chosen.
    assert_eq!(desk.field("Commit"), (last - 2).to_string());
    // The plan: what is integrated, and what is left out.
    desk.until_shown(&format!("commits {} to {}", last - 4, last - 2));
    desk.until_shown(&format!("commits {} to {}", last - 1, last));
    assert!(desk.is_shown("Left out") && desk.is_shown("Space needed"));
    desk.press_key(Key::ArrowRight);
    desk.until_value(&format!("Leads to commit {} of ", last - 1));
    desk.press_key(Key::Home);
    desk.until_value("Leads to the state of archive 0001 itself");
    // No further than that.
    desk.press_key(Key::ArrowLeft);
    desk.until_value("Leads to the state of archive 0001 itself");
    desk.press_key(Key::End);
    desk.until_value(&format!("Leads to commit {last} of "));
    let node = slider(&desk.harness).unwrap();
    let node = node.accesskit_node();
    assert_eq!((node.min_numeric_value(), node.max_numeric_value()), (Some((last - 5) as f64), Some(last as f64)));
    assert_eq!(node.numeric_value(), Some(last as f64));
    for _ in 0..3 {
        desk.press_key(Key::ArrowLeft);
    }
    desk.until_value(&format!("Leads to commit {} of ", last - 3));
    desk.press("Restore archive 0001");
    desk.until_shown(&format!("2 commits integrated from the log, up to commit {}", last - 3));
    assert_eq!(notes(&desk.path("Backups/Office[0001]/Office.sqlite")), 22);
}

#[test]
fn a_click_chooses_a_commit_by_its_number_and_an_archive_by_its_mark() {
    let mut desk = Desk::new();
    let path = desk.open_data_file(20);
    desk.use_log();
    let first = desk.commit_notes(&path, 2);
    desk.back_up_beside(&path, 2);
    let last = desk.commit_notes(&path, 3);
    desk.ask_restore(2);
    let place = desk.place_of_timeline();
    desk.until_value(&format!("Leads to commit {last} of "));
    // At the right of all: everything. Among the bars at the left of all: what the oldest archive holds.
    desk.click_at(pos2(place.right() - 11.0, place.center().y));
    desk.until_value(&format!("Leads to commit {last} of "));
    assert_eq!(desk.field("Commit"), last.to_string());
    desk.click_at(pos2(place.left() + 11.0, place.center().y));
    desk.until_value("Leads to the state of archive 0001 itself");
    desk.until_shown("Restore archive 0001");
    // A commit between both archives is restored with the older one, which is found and not asked for.
    slider(&desk.harness).unwrap().focus();
    desk.harness.run_steps(3);
    desk.press_key(Key::ArrowRight);
    desk.until_value(&format!("Leads to commit {} of ", first - 1));
    desk.press_key(Key::PageDown);
    desk.until_value("Leads to the state of archive 0002 itself");
    desk.press_key(Key::ArrowLeft);
    desk.until_value(&format!("Leads to commit {} of ", first - 1));
    desk.until_shown("Restore archive 0001");
    desk.press("Restore archive 0001");
    desk.until_shown(&format!("1 commit integrated from the log, up to commit {}", first - 1));
    assert_eq!(notes(&desk.path("Backups/Office[0001]/Office.sqlite")), 21);
}

#[test]
fn the_wheel_zooms_and_a_commit_that_was_hidden_among_others_can_be_clicked() {
    let mut desk = Desk::new();
    let path = desk.open_data_file(20);
    desk.use_log();
    let last = desk.commit_notes(&path, 8);
    desk.ask_restore(1);
    let place = desk.place_of_timeline();
    desk.until_value(&format!("Leads to commit {last} of "));
    desk.harness.event(Event::PointerMoved(place.center()));
    desk.harness.run_steps(2);
    let seen = desk.texts();
    for _ in 0..3 {
        let (unit, delta, phase) = (MouseWheelUnit::Point, vec2(0.0, 120.0), TouchPhase::Move);
        desk.harness.event(Event::MouseWheel { unit, delta, phase, modifiers: Modifiers::NONE });
        desk.harness.run_steps(4);
    }
    assert_ne!(desk.texts(), seen, "another stretch is seen");
    desk.press("Show all of it");
    // Whatever is clicked is the commit that is said, and the one in the field.
    for part in [0.2, 0.4, 0.6, 0.8, 0.9] {
        desk.click_at(pos2(place.left() + place.width() * part, place.center().y));
        desk.until("an answer", |h, _| {
            slider(h).and_then(|node| node.accesskit_node().value()).is_some_and(|value| value.starts_with("Leads to "))
        });
        let (value, field) = (desk.value_of_timeline(), desk.field("Commit"));
        assert!(
            value.contains("the state of archive 0001 itself")
                || value.contains(&format!("Leads to commit {field} of ")),
            "{value}: {field}"
        );
    }
}

#[test]
fn a_moment_to_look_at_is_picked_on_the_timeline_and_no_time_is_typed() {
    let mut desk = Desk::new();
    let path = desk.open_data_file(20);
    desk.use_log();
    let last = desk.commit_notes(&path, 4);
    // From the page Restore, with the keyboard: two commits back.
    desk.press("Restore");
    desk.press("Archive 0001");
    desk.press("Look at a moment…");
    desk.place_of_timeline();
    desk.until_value(&format!("Leads to commit {last} of "));
    slider(&desk.harness).unwrap().focus();
    desk.harness.run_steps(3);
    desk.press_key(Key::ArrowLeft);
    desk.press_key(Key::ArrowLeft);
    desk.until_value(&format!("Leads to commit {} of ", last - 2));
    desk.press("Look");
    desk.until_shown(&format!("State after commit {} of ", last - 2));
    desk.until("the records", |h, _| desk::named(h, "Table note, records 22").next().is_some());
    desk.press("Close");
    // From the page Activity, with the pointer: at the left of all, what the archive holds.
    desk.press("Activity");
    desk.press("Look at a moment…");
    let place = desk.place_of_timeline();
    desk.until_value(&format!("Leads to commit {last} of "));
    desk.click_at(pos2(place.left() + 11.0, place.center().y));
    desk.until_value("Leads to the state of archive 0001 itself");
    desk.press("Look");
    desk.until("the records", |h, _| desk::named(h, "Table note, records 20").next().is_some());
    desk.press("Close");
    // What is written counts, and what is picked after it.
    desk.press("Look at a moment…");
    desk.place_of_timeline();
    desk.type_into("Moment", "2026-02-30");
    desk.until_value("This leads nowhere.");
    slider(&desk.harness).unwrap().focus();
    desk.harness.run_steps(3);
    desk.press_key(Key::End);
    desk.until_value(&format!("Leads to commit {last} of "));
    assert_eq!(desk.field("Moment"), "");
    desk.press("Look");
    desk.until("the records", |h, _| desk::named(h, "Table note, records 24").next().is_some());
    // The same in the window that hosts the engine and in one that has joined a service.
    assert_eq!(desk.status().engines.len() > 1, desk::IS_JOINED);
}

#[test]
fn a_stretch_of_the_timeline_is_listed_alone() {
    let mut desk = Desk::new();
    let path = desk.open_data_file(20);
    desk.use_log();
    let first = desk.commit_notes(&path, 1);
    // Bars are narrower than that, as long as all of them span no more than ten minutes.
    std::thread::sleep(std::time::Duration::from_millis(1300));
    let last = desk.commit_notes(&path, 3);
    desk.press("Activity");
    desk.until_shown("4 commits with 4 operations.");
    desk.until_value("4 commits listed, of any time");
    // The result of a job may come meanwhile, and move what was just looked at.
    let mut tries = 0;
    while !desk.value_of_timeline().contains("1 commit listed, of 2") {
        assert!(tries < 20, "{}", desk.value_of_timeline());
        tries += 1;
        let place = desk.place_of_timeline();
        // The first commit stands where the room at the left ends.
        let (left, width) = (place.left() + 10.0, place.width() - 20.0);
        desk.click_at(pos2(left + width * (0.03 / 1.09) + 0.5, place.center().y));
        for _ in 0..40 {
            desk.harness.run_steps(2);
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
    }
    desk.until_shown("1 commit with 1 operation found, of 4 commits with 4 operations.");
    assert_eq!(desk.rows(&format!("Commit {first}, ")).len(), 1);
    assert!(desk.rows(&format!("Commit {last}, ")).is_empty());
    desk.until_value("1 commit listed, of 2");
    // Dragged over all of it, by the pointer; and by the keyboard all that is seen.
    desk.press("Clear filter");
    desk.until_value("4 commits listed, of any time");
    let mut tries = 0;
    while !desk.value_of_timeline().contains("4 commits listed, of 2") {
        assert!(tries < 20, "{}", desk.value_of_timeline());
        tries += 1;
        let place = desk.place_of_timeline();
        let (from, to) = (pos2(place.left() + 12.0, place.center().y), pos2(place.right() - 12.0, place.center().y));
        let (button, modifiers) = (PointerButton::Primary, Modifiers::NONE);
        desk.harness.event(Event::PointerMoved(from));
        desk.harness.event(Event::PointerButton { pos: from, button, pressed: true, modifiers });
        desk.harness.run_steps(2);
        for part in [0.3, 0.7, 1.0] {
            desk.harness.event(Event::PointerMoved(pos2(from.x + (to.x - from.x) * part, from.y)));
            desk.harness.run_steps(2);
        }
        desk.harness.event(Event::PointerButton { pos: to, button, pressed: false, modifiers });
        for _ in 0..40 {
            desk.harness.run_steps(2);
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
    }
    desk.press("Clear filter");
    desk.until_value("4 commits listed, of any time");
    slider(&desk.harness).unwrap().focus();
    desk.harness.run_steps(3);
    desk.press_key(Key::Enter);
    desk.until_value("4 commits listed, of 2");
}
