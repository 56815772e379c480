//! The page Overview, and the answer at the head of the Maintenance page.

use std::fs;

use eframe::egui::{Key, accesskit::Role};
use egui_kittest::kittest::{NodeT, Queryable};

use crate::desk::{Desk, make_data_file, named};

/// A window that looks after two data files, of which one has a backup.
fn with_two() -> (Desk, std::path::PathBuf, std::path::PathBuf) {
    let mut desk = Desk::new();
    let office = desk.open_data_file(40);
    desk.back_up(1);
    let other = desk.path("Shop.sqlite");
    make_data_file(&other, 10);
    desk.open(&other);
    desk.until("both", |_, status| status.data_files.iter().filter(|d| d.plan.is_some()).count() == 2);
    (desk, office, other)
}

#[test]
fn all_data_files_are_in_one_table_problems_first_and_what_is_due_is_backed_up_at_once() {
    let (mut desk, office, other) = with_two();
    desk.press("Overview");
    desk.until_shown("2 data files, 1 not safe");
    let top = |desk: &Desk, name: &str| named(&desk.harness, name).next().unwrap().rect().top();
    assert!(top(&desk, "Shop.sqlite") < top(&desk, "Office.sqlite"));
    // A row reads all its cells, with what they mean.
    let row = named(&desk.harness, "Office.sqlite").next().unwrap();
    let read = row.accesskit_node().label().unwrap();
    assert!(read.contains("last good backup ") && read.contains("next full backup Only by hand"), "{read}");
    // The one that is chosen is told, and the page stays.
    desk.press("Shop.sqlite");
    desk.until_shown("Not protected: there is no full backup to restore");
    desk.until_shown(&other.display().to_string());
    desk.press("Back up all due");
    desk.until_shown("2 data files, none at risk");
    desk.until_shown("Protected up to the last full backup");
    assert!(desk.path("Backups").join("Shop[0001].4BK").exists());
    // By keyboard to the page of the other one. Its row stays where it is, as long as the pointer is on its way.
    desk.press("Office.sqlite");
    desk.harness.get_by_role_and_label(Role::ListBox, "Data files").focus();
    desk.harness.run_steps(3);
    desk.harness.key_press(Key::Enter);
    desk.until_shown("Records and indexes");
    desk.until_shown(&office.display().to_string());
}

#[test]
fn whether_it_is_protected_stands_at_the_head_of_the_page_and_follows_what_happens() {
    let mut desk = Desk::new();
    desk.open_data_file(40);
    desk.until_shown("Not protected: there is no full backup to restore");
    desk.until_shown("Make a full backup: without one nothing can be restored.");
    let archive = desk.back_up(1);
    desk.until_shown("Protected up to the last full backup: later commits would be lost");
    desk.until_shown("The state of full backup 0001 of");
    desk.use_log();
    desk.until_shown("Protected: every commit up to now can be restored");
    desk.until_shown("Each commit is recorded as it is made.");
    // What SQLite calls its parts is folded away.
    assert!(!desk.is_shown("Written by SQLite"));
    // It lies below what is seen, and is scrolled to by the keyboard.
    desk.harness.get_by_role_and_label(Role::Button, "SQLite details").focus();
    desk.harness.run_steps(4);
    desk.harness.key_press(Key::Enter);
    desk.until_shown("Written by SQLite");
    // Nothing calm beside what is urgent.
    fs::remove_file(&archive).unwrap();
    fs::remove_file(desk.path("Backups").join("Office[0002].4BK")).unwrap();
    desk.until_shown("At risk: ");
    assert!(!desk.is_shown("Protected: every commit"));
}
