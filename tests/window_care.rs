//! Care of the data file in the window: verified with its report, compacted, and what needs attention.
#![cfg(feature = "gui")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "support/desk.rs"]
mod desk;

use std::fs;

use desk::Desk;
use eframe::egui::accesskit::Role;
use egui_kittest::kittest::Queryable;
use rusqlite::Connection;

#[test]
fn records_are_verified_and_the_report_can_be_read() {
    let mut desk = Desk::new();
    let path = desk.open_data_file(200);
    desk.press("Verify");
    desk.until_shown("The records and indexes of Office.sqlite are sound");
    desk.press("Put the result away");
    desk.press("View report");
    desk.until_shown("2 tables and indexes, no damage found");
    assert!(desk.harness.query_by_label("table note: Sound").is_some(), "{:#?}", desk.texts());
    desk.press("Close");
    // Damage is named, said at the head of the page, and stays to be seen.
    desk.until("the dialog to close", |h, _| h.query_by_role_and_label(Role::Button, "Copy report").is_none());
    Connection::open(&path).unwrap().query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).unwrap();
    let mut bytes = fs::read(&path).unwrap();
    let page = bytes.len() / 2 / 4096 * 4096;
    bytes[page..page + 600].fill(0xaa);
    fs::write(&path, bytes).unwrap();
    desk.press("Verify");
    desk.until_shown("table note is damaged");
    desk.press("Put the result away");
    desk.until_shown("With problems");
    desk.press("View report");
    desk.until_shown("table note: Damaged");
}

#[test]
fn compacting_says_before_what_it_needs_and_frees() {
    let mut desk = Desk::new();
    let path = desk.open_data_file(2000);
    Connection::open(&path).unwrap().execute("DELETE FROM note WHERE id>1000", []).unwrap();
    let before = fs::metadata(&path).unwrap().len();
    desk.press("Compact data…");
    desk.until_shown("beside the data file");
    desk.until("what becomes free", |h, s| {
        s.data_files[0].facts.free_pages > 0 && h.query_all_by_label_contains("at least").next().is_some()
    });
    desk.press("Compact");
    desk.until_shown("Office.sqlite was compacted");
    assert!(fs::metadata(&path).unwrap().len() < before);
    desk.until("the date", |_, s| s.data_files[0].maintenance.last_compact.is_some());
}
