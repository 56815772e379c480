//! The window when the folder for archives is not the one that was used: it says so, and one click takes what is there
//! now.

use crate::desk;

use std::fs;

use desk::Desk;
use strongroom::{storage::marker, warning::WarningKind};

#[test]
fn a_folder_that_is_gone_is_shown_as_urgent_and_chosen_anew_with_one_click() {
    let mut desk = Desk::new();
    let data = desk.open_data_file(50);
    desk.back_up(1);
    let folder = desk.path("Backups");
    let mark = fs::read(folder.join(marker::NAME)).unwrap();
    fs::rename(&folder, desk.path("elsewhere")).unwrap();
    desk.press("Maintenance");
    desk.until_shown("Backups is gone: it was deleted or renamed");
    let missing = |desk: &Desk| {
        let status = desk.status();
        let all = status.data_file(&data).unwrap().warnings.clone();
        all.into_iter().any(|warning| warning.kind == WarningKind::PlaceMissing && warning.kind.is_urgent())
    };
    assert!(missing(&desk) && !folder.exists());
    desk.press("Choose this folder anew");
    desk.until("the folder", |_, status| {
        let data_file = status.data_file(&data).unwrap();
        data_file.destination_problem.is_none() && data_file.plan.is_some()
    });
    desk.until("no warning", |harness, _| {
        use egui_kittest::kittest::Queryable;
        harness.query_all_by_label_contains("deleted or renamed").next().is_none()
    });
    assert!(!missing(&desk));
    assert_ne!(fs::read(folder.join(marker::NAME)).unwrap(), mark, "it is another folder, with a mark of its own");
    let archive = desk.back_up(2);
    assert!(archive.exists());
}
