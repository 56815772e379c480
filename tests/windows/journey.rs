//! The window, driven by role and label over the real engine.

use std::{
    fs,
    path::{Path, PathBuf},
};

use eframe::egui::{Key, accesskit::Role};
use egui_kittest::kittest::{NodeT, Queryable};
use rusqlite::Connection;
use strongroom::engine::{
    Command,
    history::{JobKind, Outcome},
};

use crate::desk;

use desk::{Desk, IS_JOINED, make_data_file, named};

#[test]
fn a_first_start_offers_both_ways_and_the_file_dialog_opens_a_data_file() {
    let mut desk = Desk::new();
    assert!(desk.is_shown("Welcome to Strongroom"));
    assert!(desk.harness.query_by_role_and_label(Role::Button, "Try with a sample").is_some());
    let path = desk.path("Office.sqlite");
    make_data_file(&path, 10);
    desk.press("Open data file…");
    desk.type_into("Path", &desk.path("").display().to_string());
    desk.harness.key_press(Key::Enter);
    desk.until("the file in the list", |h, _| named(h, "File Office.sqlite").next().is_some());
    desk.press("File Office.sqlite");
    desk.press("Open file");
    desk.until_shown("Start backup");
    assert_eq!(desk.status().data_files[0].facts.path, path);
    assert!(desk.is_shown("No backup yet"));
    assert!(desk.is_shown("Not scheduled"));
}

#[test]
fn a_typed_path_opens_a_data_file_with_the_keyboard_alone() {
    let mut desk = Desk::new();
    let path = desk.path("Büro 2026.db");
    make_data_file(&path, 10);
    desk.harness.key_press_modifiers(eframe::egui::Modifiers::COMMAND, Key::O);
    desk.until_shown("Folder above");
    desk.type_into("Path", &path.display().to_string());
    desk.harness.key_press(Key::Enter);
    desk.until_shown("Start backup");
    assert_eq!(desk.status().data_files[0].facts.path, path);
    desk.harness.key_press_modifiers(eframe::egui::Modifiers::COMMAND, Key::B);
    desk.until_shown("Büro 2026[0001].4BK");
    desk.harness.key_press(Key::Enter);
    desk.until_shown("Full backup 0001 succeeded");
    desk.harness.key_press_modifiers(eframe::egui::Modifiers::COMMAND, Key::B);
    desk.until_shown("Büro 2026[0002].4BK");
    desk.harness.key_press(Key::Escape);
    desk.until("the dialog to close", |h, _| h.query_by_role_and_label(Role::Button, "Save").is_none());
    assert!(desk.status().jobs.is_empty());
}

#[test]
fn a_dialog_opened_from_the_keyboard_takes_the_keyboard() {
    let mut desk = Desk::new();
    desk.open_data_file(10);
    desk.harness.get_by_role_and_label(Role::Button, "Backup…").focus();
    desk.harness.run_steps(2);
    desk.harness.key_press(Key::Enter);
    desk.until_shown("Office[0001].4BK");
    desk.harness.run_steps(2);
    assert!(!desk.harness.get_by_role_and_label(Role::Button, "Backup…").is_focused());
    // The keyboard goes round within the dialog.
    for expected in ["Choose the folder for archives", "Save", "Cancel", "Settings…", "Choose the folder for archives"]
    {
        desk.harness.key_press(Key::Tab);
        desk.harness.run_steps(2);
        // The page below has a button of the same name, which is not reached.
        let mut found = desk.harness.query_all_by_role_and_label(Role::Button, expected);
        assert!(found.any(|button| button.is_focused()), "{expected}");
    }
    desk.harness.key_press_modifiers(eframe::egui::Modifiers::SHIFT, Key::Tab);
    desk.harness.run_steps(2);
    desk.harness.key_press_modifiers(eframe::egui::Modifiers::SHIFT, Key::Tab);
    desk.harness.run_steps(2);
    desk.harness.key_press(Key::Enter);
    desk.until("the dialog to close", |h, _| h.query_by_role_and_label(Role::Button, "Save").is_none());
    assert!(desk.status().jobs.is_empty(), "Cancel had the focus");
}

#[test]
fn every_button_and_field_has_a_name() {
    let mut desk = Desk::new();
    desk.open_data_file(10);
    desk.back_up(1);
    let look = |desk: &mut Desk, place: &str| {
        desk.harness.run_steps(3);
        for node in desk.harness.query_all(egui_kittest::kittest::by().predicate(|_| true)) {
            let node = node.accesskit_node();
            let role = node.role();
            let wanted = [Role::Button, Role::TextInput, Role::CheckBox, Role::ComboBox, Role::ProgressIndicator];
            let name = node.label().unwrap_or_default();
            let is_icon = name.chars().any(|c| ('\u{e000}'..'\u{f8ff}').contains(&c));
            assert!(
                !wanted.contains(&role) || (!name.is_empty() && !is_icon),
                "{place}: a {role:?} is called {name:?}"
            );
        }
    };
    for page in ["Maintenance", "Restore", "Activity", "Backup journal"] {
        desk.press(page);
        look(&mut desk, page);
    }
    for menu in ["File", "Edit", "View", "Help"] {
        desk.press(menu);
        look(&mut desk, menu);
        desk.harness.key_press(Key::Escape);
        desk.harness.run_steps(3);
    }
    desk.ask_restore(1);
    look(&mut desk, "the dialog that restores");
    desk.press("Choose the destination");
    desk.until_shown("Folder above");
    desk.press("New folder");
    look(&mut desk, "the dialog that chooses a folder");
}

#[derive(Debug)]
struct Dropped(PathBuf);

impl eframe::egui::DroppedFile for Dropped {
    fn path(&self) -> &Path {
        &self.0
    }

    fn bytes(&self) -> Result<Vec<u8>, String> {
        Err("only its path counts".to_owned())
    }
}

#[test]
fn a_dropped_data_file_opens_and_a_dropped_archive_is_offered_for_restore() {
    let mut desk = Desk::new();
    let path = desk.path("Office.sqlite");
    make_data_file(&path, 10);
    desk.harness.input_mut().dropped_files.push(std::sync::Arc::new(Dropped(path)));
    desk.until_shown("Start backup");
    let archive = desk.back_up(1);
    desk.harness.input_mut().dropped_files.push(std::sync::Arc::new(Dropped(archive)));
    desk.until("the dialog", |h, _| h.query_by_label("Data file: Office.sqlite").is_some());
}

#[test]
fn closing_the_window_while_a_job_runs_asks_first() {
    let mut desk = Desk::new();
    desk.open_data_file(200_000);
    desk.press("Start backup");
    desk.until("the running job", |h, _| h.query_by_role_and_label(Role::Button, "Stop backup").is_some());
    let root = eframe::egui::ViewportId::ROOT;
    let close = eframe::egui::ViewportEvent::Close;
    desk.harness.input_mut().viewports.entry(root).or_default().events.push(close);
    if IS_JOINED {
        // The service goes on with it, so there is nothing to ask.
        desk.harness.run_steps(4);
        assert!(desk.harness.query_by_role_and_label(Role::Button, "Stop and quit").is_none());
        desk.until("the backup", |_, status| {
            status.jobs.is_empty() && status.finished.iter().any(|job| !job.automatic && job.result.is_ok())
        });
        return;
    }
    desk.until("the question", |h, _| h.query_by_role_and_label(Role::Button, "Stop and quit").is_some());
    desk.press("Go on working");
    assert!(desk.harness.query_by_role_and_label(Role::Button, "Stop and quit").is_none());
    desk.until_shown("Full backup 0001 succeeded");
}

#[test]
fn the_sample_is_created_in_the_folder_that_the_dialog_names() {
    let mut desk = Desk::new();
    desk.press("Try with a sample");
    assert!(desk.is_shown("OMB_Edelweiss.sqlite holds the records"));
    desk.press("Create sample");
    desk.until_shown("The sample was created");
    desk.until("the sample to be open", |_, status| !status.data_files.is_empty());
    let sample = desk.path("sample").join("OMB_Edelweiss.sqlite");
    assert_eq!(desk.status().data_files[0].facts.path, sample);
    assert!(sample.exists());
    desk.until_shown("Start client");
}

#[test]
fn two_backups_through_the_dialog_then_a_restore_into_the_folder_proposed() {
    let mut desk = Desk::new();
    desk.open_data_file(200);
    let first = desk.back_up(1);
    let second = desk.back_up(2);
    assert!(first.exists() && second.exists());

    desk.ask_restore(1);
    desk.press("Restore archive 0001");
    desk.until_shown("Archive 0001 restored");
    assert!(desk.is_shown("Integrity check: no problem found."));
    assert!(desk.harness.query_by_role_and_label(Role::Button, "Show folder").is_some());
    let restored = desk.path("Backups").join("Office[0001]").join("Office.sqlite");
    let count: u32 =
        Connection::open(restored).unwrap().query_row("SELECT count(*) FROM note", [], |row| row.get(0)).unwrap();
    assert_eq!(count, 200);
}

#[test]
fn only_the_checked_items_are_restored() {
    let mut desk = Desk::new();
    desk.open_data_file(10);
    desk.back_up(1);
    desk.ask_restore(1);
    for item in ["Manifest: strongroom-manifest.toml", "Settings: Office.strongroom.toml"] {
        desk.click_on(Role::CheckBox, item);
        desk.harness.run_steps(2);
    }
    desk.press("Restore archive 0001");
    desk.until_shown("Archive 0001 restored");
    let names: Vec<_> =
        fs::read_dir(desk.path("Backups/Office[0001]")).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert_eq!(names, ["Office.sqlite"]);
}

#[test]
fn a_message_leaves_the_dialog_below_it_as_it_was() {
    let mut desk = Desk::new();
    desk.open_data_file(10);
    desk.back_up(1);
    desk.ask_restore(1);
    let item = "Manifest: strongroom-manifest.toml";
    let is_ticked = |desk: &Desk| {
        let node = desk.harness.get_by_role_and_label(Role::CheckBox, item);
        node.accesskit_node().toggled() == Some(eframe::egui::accesskit::Toggled::True)
    };
    desk.click_on(Role::CheckBox, item);
    desk.harness.run_steps(3);
    assert!(!is_ticked(&desk));
    // Something else cannot be done meanwhile.
    desk.send(Command::Release { archive: desk.path("Backups/Office[0077].4BK") });
    desk.until_shown("This cannot be done now");
    desk.harness.run_steps(3);
    // Escape is for what is above.
    desk.harness.key_press(Key::Escape);
    desk.harness.run_steps(4);
    assert!(!desk.is_shown("This cannot be done now"));
    assert!(!is_ticked(&desk), "what was entered is still there");
    desk.harness.key_press(Key::Escape);
    desk.until("the dialog to close", |h, _| h.query_all_by_role(Role::Dialog).next().is_none());
}

#[test]
fn an_existing_target_is_refused_and_stays_as_it_was() {
    let mut desk = Desk::new();
    desk.open_data_file(10);
    desk.back_up(1);
    let target = desk.path("elsewhere");
    fs::create_dir(&target).unwrap();
    fs::write(target.join("Office.sqlite"), "mine").unwrap();
    desk.ask_restore(1);
    desk.type_into("Destination", &target.display().to_string());
    desk.press("Restore archive 0001");
    desk.until_shown("Restore failed: ");
    let error = desk.status().finished.iter().find(|job| !job.automatic).unwrap().result.clone().unwrap_err();
    assert!(error.message.contains("exists"), "{}", error.message);
    assert!(desk.is_said(&error), "{error:?}");
    assert_eq!(fs::read_to_string(target.join("Office.sqlite")).unwrap(), "mine");
}

#[test]
fn whatever_can_not_be_used_is_refused_with_its_reason_and_what_to_do() {
    let mut desk = Desk::new();
    let files: [(&str, Option<Vec<u8>>); 4] = [
        ("letter.doc", Some(b"Dear Sir or Madam, this is a letter and no database at all.".to_vec())),
        ("secret.db", Some((0..8192u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8).collect())),
        ("empty.sqlite", Some(Vec::new())),
        ("gone.sqlite", None),
    ];
    let mut paths: Vec<PathBuf> = vec![desk.path("")];
    for (name, content) in files {
        if let Some(content) = content {
            fs::write(desk.path(name), content).unwrap();
        }
        paths.push(desk.path(name));
    }
    for path in paths {
        desk.send(Command::OpenDataFile { path: path.clone() });
        desk.until("the refusal", |_, status| status.refused.len() == 1);
        let refused = desk.status().refused[0].clone();
        desk.harness.run_steps(3);
        assert!(desk.is_said(&refused.error), "{refused:?}");
        assert!(refused.error.hint.is_some(), "{refused:?}");
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        desk.press(&format!("Put away: {name}"));
        desk.until("it to be put away", |_, status| status.refused.is_empty());
    }
}

#[test]
fn a_damaged_archive_is_named_before_anything_is_restored() {
    let mut desk = Desk::new();
    desk.open_data_file(100);
    let archive = desk.back_up(1);
    desk.press("Restore");
    let whole = fs::read(&archive).unwrap();
    fs::write(&archive, &whole[..whole.len() / 2]).unwrap();
    desk.press("Restore archive 0001…");
    let error = desk.look(&archive).unwrap_err();
    desk.until_said(&error);
    desk.press("Cancel");

    let mut bent = whole.clone();
    let at = whole.len() / 2;
    bent[at] ^= 0x10;
    fs::write(&archive, &bent).unwrap();
    desk.press("Verify archive 0001");
    desk.until_shown("Verification failed: ");
    let error = desk.status().finished.iter().find(|job| !job.automatic).unwrap().result.clone().unwrap_err();
    assert!(desk.is_shown(&error.message));
}

#[test]
fn a_running_backup_shows_its_progress_and_stops() {
    let mut desk = Desk::new();
    desk.open_data_file(200_000);
    desk.press("Start backup");
    desk.until("the running job", |h, _| h.query_by_role_and_label(Role::Button, "Stop backup").is_some());
    assert!(desk.harness.query_by_role_and_label(Role::ProgressIndicator, "Progress of the backup").is_some());
    desk.press("Stop backup");
    desk.until_shown("Full backup stopped by the user");
    let left: Vec<_> = fs::read_dir(desk.path("Backups")).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert!(left.iter().all(|name| !name.to_string_lossy().ends_with(".4BK")), "{left:?}");
    assert!(desk.is_shown("Last backup stopped"));
    desk.press("Put the result away");
    assert!(!desk.is_shown("Full backup stopped by the user"));
}

#[test]
fn the_journal_lists_every_job_filters_them_and_shows_errors_in_full() {
    let mut desk = Desk::new();
    desk.open_data_file(10);
    let archive = desk.back_up(1);
    let bytes = fs::read(&archive).unwrap();
    let mut bent = bytes.clone();
    bent[bytes.len() / 2] ^= 0x10;
    fs::write(&archive, bent).unwrap();
    desk.press("Restore");
    desk.press("Verify archive 0001");
    desk.until_shown("Verification failed: ");
    desk.press("Put the result away");
    desk.press("Backup journal");
    desk.until_shown("Full backup 0001, Succeeded");
    desk.until_shown("Verification");
    let failed = desk.status().history.iter().find(|e| e.outcome == Outcome::Failed).cloned().unwrap();
    assert_eq!(failed.kind, JobKind::Verify);
    let error = failed.error.unwrap();
    assert!(!desk.is_said(&error), "only the chosen entry is shown in full");
    desk.press("Verification, Failed");
    assert!(desk.is_said(&error), "{error:?}");

    desk.type_into("Search the journal", "no such text");
    desk.until_shown("No job matches the filter.");
    desk.press("Clear filter");
    desk.click_on(Role::ComboBox, "Kind");
    desk.harness.run_steps(4);
    desk.press("Full backup");
    assert!(desk.is_shown("Full backup 0001, Succeeded"));
    assert!(!desk.is_shown(", Failed, "));
}

#[test]
fn a_data_file_that_disappears_is_said_on_every_page() {
    let mut desk = Desk::new();
    let path = desk.open_data_file(10);
    fs::rename(&path, desk.path("moved.sqlite")).unwrap();
    desk.send(Command::Refresh { data_file: path });
    desk.until("the problem", |_, status| status.data_files[0].problem.is_some());
    for page in ["Restore", "Backup journal", "Maintenance"] {
        desk.press(page);
        assert!(desk.is_shown("Office.sqlite is gone"), "{page}");
        assert!(desk.is_shown("Restore it…"), "{page}");
    }
}

#[test]
fn the_sample_dialog_asks_the_folder_dialog_for_another_folder() {
    let mut desk = Desk::of_size(1000.0, 640.0);
    fs::create_dir(desk.path("other")).unwrap();
    desk.press("Try with a sample");
    desk.press("Choose the folder for the sample");
    desk.until("the folder", |h, _| named(h, "Folder other").next().is_some());
    desk.press("Folder other");
    desk.press("Choose this folder");
    desk.until_shown("Create sample");
    let field = desk.harness.get_by_role_and_label(Role::TextInput, "Folder");
    assert_eq!(field.value(), Some(desk.path("other").display().to_string()));
}
