//! A small window, and one that is shown twice as large: everything can be reached, and nothing moves under the
//! pointer. And a disk that does not answer.

use crate::desk;
use crate::disk;

use std::fs;

use desk::Desk;
use eframe::egui::{Event, Key, Modifiers, PointerButton, Pos2, Rect, accesskit::Role, pos2};
use egui_kittest::kittest::{NodeT, Queryable};
use strongroom::engine::{Command, JobId};

const WIDTH: f32 = 900.0;
const HEIGHT: f32 = 600.0;
/// Of a table.
const ROW_HEIGHT: f32 = 30.0;

/// The controls of the dialog that is open, by role and name.
fn controls(desk: &Desk) -> Vec<(Role, String)> {
    let dialog = desk.harness.query_all_by_role(Role::Dialog).next().expect("no dialog is open");
    let roles = [Role::Button, Role::TextInput, Role::CheckBox, Role::RadioButton, Role::ComboBox, Role::Tab];
    let all = dialog.query_all(egui_kittest::kittest::by().predicate(|_| true));
    all.map(|node| (node.accesskit_node().role(), node.accesskit_node().label().unwrap_or_default()))
        .filter(|(role, _)| roles.contains(role))
        .collect()
}

/// Every control of the dialog can be had within the window: as it is, or scrolled to as the keyboard does.
fn all_is_within_reach(desk: &mut Desk, what: &str) {
    desk.harness.run_steps(4);
    let found = controls(desk);
    assert!(!found.is_empty(), "{what}");
    let window = Rect::from_min_max(Pos2::ZERO, desk.harness.ctx.content_rect().max);
    for (role, name) in found {
        let place = |desk: &Desk| {
            let dialog = desk.harness.query_all_by_role(Role::Dialog).next().unwrap();
            let mut nodes = dialog.query_all_by_role(role);
            nodes.find(|node| node.accesskit_node().label().unwrap_or_default() == name).map(|node| node.rect())
        };
        let Some(mut rect) = place(desk) else { continue };
        if !window.contains_rect(rect) {
            {
                let dialog = desk.harness.query_all_by_role(Role::Dialog).next().unwrap();
                let mut nodes = dialog.query_all_by_role(role);
                nodes.find(|node| node.accesskit_node().label().unwrap_or_default() == name).unwrap().focus();
            }
            desk.harness.run_steps(5);
            rect = place(desk).unwrap();
        }
        // A row of a table is as wide as its columns, which are scrolled to.
        let is_row = name.starts_with("File ") || name.starts_with("Folder ") && rect.height() == ROW_HEIGHT;
        let part = if is_row { rect.intersect(window) } else { rect };
        let is_within = window.contains_rect(part) && part.width() > 20.0 && part.height() > 15.0;
        assert!(is_within, "{what}: {role:?} {name:?} at {rect:?} is outside of {window:?}");
    }
}

fn close(desk: &mut Desk) {
    desk.harness.key_press(Key::Escape);
    desk.until("the dialog to close", |h, _| h.query_all_by_role(Role::Dialog).next().is_none());
}

fn every_dialog(width: f32, height: f32) {
    let mut desk = Desk::of_size(width, height);
    desk.open_data_file(20);
    desk.send(Command::Backup {
        job: JobId::new(),
        data_file: desk.path("Office.sqlite"),
        destination: None,
        options: None,
    });
    desk.until("the backup", |_, s| s.jobs.is_empty() && s.data_files.first().is_some_and(|d| d.archives.len() == 1));
    desk.harness.key_press_modifiers(Modifiers::COMMAND, Key::B);
    desk.until_shown("[0002].4BK");
    all_is_within_reach(&mut desk, "Backup");
    close(&mut desk);
    desk.harness.key_press_modifiers(Modifiers::COMMAND, Key::Comma);
    for tab in ["Scheduler", "Configuration", "Backup & Restore"] {
        desk.until(tab, |h, _| h.query_by_role_and_label(Role::Tab, tab).is_some());
        desk.click_on(Role::Tab, tab);
        all_is_within_reach(&mut desk, tab);
    }
    close(&mut desk);
    desk.harness.key_press_modifiers(Modifiers::COMMAND, Key::O);
    desk.until_shown("Folder above");
    all_is_within_reach(&mut desk, "the file picker");
    close(&mut desk);
    desk.harness.key_press_modifiers(Modifiers::COMMAND, Key::Num2);
    desk.until("the archive", |h, _| h.query_by_role_and_label(Role::Button, "Hold archive 0001…").is_some());
    for (button, shown) in [
        ("Restore archive 0001…", "Data file: Office.sqlite"),
        ("Restore 0001 in place…", "State of"),
        ("Repair archive 0001…", "No damage is known"),
        ("Hold archive 0001…", "The hold is a small file"),
        ("Look at a moment…", "Nothing is restored"),
        ("Recover…", "A restore brings back all that it held at "),
    ] {
        if button == "Recover…" {
            desk.harness.key_press_modifiers(Modifiers::COMMAND, Key::Num1);
            desk.until("the page", |h, _| h.query_by_role_and_label(Role::Button, "Recover…").is_some());
        }
        desk.harness.get_by_role_and_label(Role::Button, button).focus();
        desk.harness.run_steps(3);
        desk.harness.key_press(Key::Enter);
        desk.until_shown(shown);
        all_is_within_reach(&mut desk, button);
        close(&mut desk);
    }
}

#[test]
fn every_button_of_a_dialog_can_be_reached_in_a_small_window() {
    every_dialog(WIDTH, HEIGHT);
}

#[test]
fn every_button_of_a_dialog_can_be_reached_at_twice_the_size() {
    every_dialog(WIDTH / 2.0, HEIGHT / 2.0);
}

#[test]
fn the_buttons_of_a_page_stand_beside_its_title_or_below_it_but_never_outside_of_the_window() {
    for (width, height) in [(WIDTH, HEIGHT), (WIDTH / 2.0, HEIGHT / 2.0)] {
        let mut desk = Desk::of_size(width, height);
        desk.open_data_file(20);
        desk.harness.run_steps(3);
        let side_bar = place_of(&desk, "Backup journal").right();
        for button in ["Start backup", "Backup…", "Settings…"] {
            let place = place_of(&desk, button);
            assert!(place.left() > side_bar && place.right() < width && place.bottom() < height, "{button}: {place:?}");
        }
    }
}

#[test]
fn the_note_of_a_hold_can_be_typed_at_once() {
    let mut desk = Desk::new();
    desk.open_data_file(20);
    let archive = desk.back_up(1);
    desk.press("Restore");
    desk.press("Hold archive 0001…");
    desk.until("the note", |h, _| h.query_by_role_and_label(Role::TextInput, "Note").is_some_and(|n| n.is_focused()));
    desk.harness.event(Event::Text("before the migration".to_owned()));
    desk.harness.run_steps(2);
    desk.harness.key_press(Key::Enter);
    desk.until("the hold", |_, s| {
        let hold = s.data_files[0].archives.iter().find(|a| a.path == archive).and_then(|a| a.hold.clone());
        hold.is_some_and(|hold| hold.note.as_deref() == Some("before the migration"))
    });
}

fn place_of(desk: &Desk, button: &str) -> Rect {
    desk.harness.get_by_role_and_label(Role::Button, button).rect()
}

fn point_at(desk: &mut Desk, at: Pos2) {
    for offset in [4.0, 2.0, 0.0] {
        desk.harness.event(Event::PointerMoved(pos2(at.x + offset, at.y)));
        desk.harness.run_steps(2);
    }
}

#[test]
fn a_backup_that_is_made_elsewhere_moves_no_row_under_the_pointer() {
    let mut desk = Desk::of_size(WIDTH, HEIGHT);
    let path = desk.open_data_file(20);
    desk.back_up(1);
    desk.press("Put the result away");
    desk.press("Restore");
    desk.until("the archive", |h, _| h.query_by_label("Verify archive 0001").is_some());
    desk.harness.run_steps(5);
    let target = place_of(&desk, "Verify archive 0001");
    point_at(&mut desk, target.center());
    desk.send(Command::Backup { job: JobId::new(), data_file: path, destination: None, options: None });
    desk.until("the second one", |_, s| s.jobs.is_empty() && s.data_files[0].archives.len() == 2);
    desk.harness.run_steps(6);
    // Neither the row nor what it says below is another one.
    assert_eq!(place_of(&desk, "Verify archive 0001"), target, "it moved under the pointer");
    assert!(desk.is_shown("Show the news") && !desk.is_shown("Verify archive 0002"));
    desk.harness.event(Event::PointerMoved(pos2(40.0, 500.0)));
    desk.until("the news", |h, _| h.query_by_label("Verify archive 0002").is_some());
    assert!(!desk.is_shown("Show the news"));
}

#[test]
fn what_comes_by_itself_does_not_move_what_the_pointer_is_on() {
    let mut desk = Desk::of_size(WIDTH, HEIGHT);
    let path = desk.open_data_file(20);
    desk.back_up(1);
    desk.press("Put the result away");
    desk.press("Restore");
    desk.until("the archive", |h, _| h.query_by_label("Verify archive 0001").is_some());
    desk.harness.run_steps(5);
    let target = place_of(&desk, "Verify archive 0001");
    point_at(&mut desk, target.center());
    // Another window, or the schedule, verifies the records: the result is a strip at the head of the page.
    desk.send(Command::VerifyRecords { job: JobId::new(), data_file: path });
    desk.until_shown("are sound");
    desk.harness.run_steps(4);
    assert_eq!(place_of(&desk, "Verify archive 0001"), target, "it moved under the pointer");
    // It is said that something came, and shown when the pointer goes.
    assert!(desk.is_shown("Show the news"));
    let strip = |desk: &Desk| desk.harness.query_all_by_label_contains("are sound").next().unwrap().rect();
    let hidden = strip(&desk).top();
    desk.harness.event(Event::PointerMoved(pos2(40.0, 500.0)));
    desk.harness.run_steps(4);
    assert!(!desk.is_shown("Show the news"));
    assert!(strip(&desk).top() > hidden + 20.0, "it should be seen");
    // And what the person did is seen at once.
    let put_away = place_of(&desk, "Put the result away");
    let below = place_of(&desk, "Verify archive 0001");
    point_at(&mut desk, put_away.center());
    for pressed in [true, false] {
        let (pos, button, modifiers) = (put_away.center(), PointerButton::Primary, Modifiers::NONE);
        desk.harness.event(Event::PointerButton { pos, button, pressed, modifiers });
        desk.harness.run_steps(2);
    }
    desk.until("the strip to go", |h, _| h.query_all_by_label_contains("are sound").next().is_none());
    assert!(place_of(&desk, "Verify archive 0001").top() < below.top());
}

#[test]
fn data_files_that_come_and_go_do_not_move_the_side_bar() {
    let mut desk = Desk::of_size(WIDTH, HEIGHT);
    desk.open_data_file(20);
    desk.harness.run_steps(3);
    let pages = ["Maintenance", "Restore", "Backup journal"].map(|page| place_of(&desk, page));
    let first = desk.harness.get_by_label_contains("Data file Office.sqlite").rect();
    for number in 0..7 {
        let other = desk.path(&format!("Other{number}.sqlite"));
        desk::make_data_file(&other, 1);
        desk.send(Command::OpenDataFile { path: other });
    }
    desk.until("all of them", |_, s| s.data_files.len() == 8);
    desk.until_shown("Other3.sqlite");
    desk.harness.run_steps(3);
    assert_eq!(["Maintenance", "Restore", "Backup journal"].map(|page| place_of(&desk, page)), pages);
    // A list that scrolls is a little narrower.
    assert_eq!(desk.harness.get_by_label_contains("Data file Office.sqlite").rect().min, first.min);
}

#[cfg(target_os = "linux")]
#[test]
fn a_disk_that_does_not_answer_holds_up_neither_the_file_picker_nor_the_window() {
    let mut desk = Desk::new();
    let folder = desk.path("folder");
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join("other.sqlite"), "").unwrap();
    let Some(_silent) = disk::SilentDisk::mount(&folder.join("silent")) else { return };
    desk.press("Open data file…");
    desk.until_shown("Folder above");
    // The folder that the disk is mounted in is shown, with what it knows of it.
    desk.type_into("Path", &folder.display().to_string());
    desk.harness.key_press(Key::Enter);
    desk.until_shown("File other.sqlite");
    desk.until_shown("Folder silent");
    // The disk itself is waited for, and left.
    desk.type_into("Path", &folder.join("silent").display().to_string());
    desk.harness.key_press(Key::Enter);
    desk.until_shown("silent …");
    desk.press("Folder above");
    desk.until_shown("Folder folder");
    desk.press("Cancel");
    // Opened all the same, it is said to be waited for, and holds up nobody.
    desk.open(&folder.join("silent/lost.sqlite"));
    desk.until_shown("Looking at ");
    let mut joining = Desk::that_can_leave();
    joining.open(&folder.join("silent/lost.sqlite"));
    joining.until_shown("Looking at ");
    joining.open_data_file(3);
}
