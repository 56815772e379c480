//! The window without a mouse, and as a screen reader reads it.

use crate::desk;

use std::collections::BTreeSet;

use desk::{Desk, named};
use eframe::egui::{
    FontId, Key, Modifiers,
    accesskit::{Role, Toggled},
};
use egui_kittest::{
    Harness,
    kittest::{AccessKitNode, NodeT, Queryable, by},
};
use strongroom::{
    engine::{Command, JobId},
    settings::sections::Frequency,
    ui::Window,
};

type Control = (String, String);

fn control(node: &AccessKitNode<'_>) -> Control {
    // A row of a table has the focus for the whole table.
    let name = if node.role() == Role::ListBoxOption { "rows".to_owned() } else { node.label().unwrap_or_default() };
    (format!("{:?}", node.role()), name)
}

/// What takes part in the window: all that can be used now.
fn controls(desk: &Desk) -> BTreeSet<Control> {
    let roles =
        [Role::Button, Role::MenuItem, Role::TextInput, Role::CheckBox, Role::RadioButton, Role::ComboBox, Role::Tab];
    let can_be_used = |node: &AccessKitNode<'_>| !node.is_disabled() && !node.is_hidden();
    let all = desk.harness.query_all(by().predicate(move |node| {
        can_be_used(node) && (roles.contains(&node.role()) || node.role() == Role::ListBoxOption)
    }));
    all.map(|node| control(&node.accesskit_node())).collect()
}

fn focused(desk: &Desk) -> Option<Control> {
    let node = desk.harness.query_all(by().predicate(|node: &AccessKitNode<'_>| node.is_focused())).next()?;
    Some(control(&node.accesskit_node()))
}

/// What Tab leads to, from wherever it is, once round.
fn round(desk: &mut Desk) -> BTreeSet<Control> {
    let mut reached = BTreeSet::new();
    for _ in 0..3 * controls(desk).len() {
        desk.harness.key_press(Key::Tab);
        desk.harness.run_steps(3);
        reached.extend(focused(desk));
    }
    reached
}

fn with_archives(width: f32, height: f32, count: usize) -> Desk {
    let mut desk = Desk::of_size(width, height);
    let path = desk.open_data_file(20);
    for number in 1..=count {
        let (job, data_file) = (JobId::new(), path.clone());
        desk.send(Command::Backup { job, data_file, destination: None, options: None });
        desk.until("the backup", |_, s| {
            s.jobs.is_empty() && s.data_files[0].archives.len() == number.min(3) && s.finished_job(job).is_some()
        });
    }
    // Tests of new archives come by themselves, and results are put away: nothing comes and goes any more.
    desk.until("the tests", |_, s| s.jobs.is_empty() && !s.proven.is_empty());
    desk.harness.run_steps(4);
    desk
}

#[test]
fn tab_leads_to_everything_that_can_be_used_on_every_page() {
    let mut welcome = Desk::new();
    let wanted = controls(&welcome);
    assert!(wanted.len() >= 6, "{wanted:?}");
    assert_eq!(wanted.difference(&round(&mut welcome)).collect::<Vec<_>>(), Vec::<&Control>::new(), "welcome");
    // Where the page is higher than the window, too.
    for (width, height) in [(1180.0, 800.0), (900.0, 600.0)] {
        let mut desk = with_archives(width, height, 2);
        for page in ["Maintenance", "Restore", "Activity", "Backup journal"] {
            desk.press(page);
            desk.harness.run_steps(4);
            let wanted = controls(&desk);
            assert!(wanted.len() >= 10, "{page}: {wanted:?}");
            let reached = round(&mut desk);
            let missed: Vec<_> = wanted.difference(&reached).collect();
            assert!(missed.is_empty(), "{page} at {width}: Tab does not lead to {missed:?}");
        }
    }
}

/// Also to what could not be pressed when the dialog came: the archive is read first.
#[test]
fn tab_leads_to_everything_in_the_dialogs_of_a_restore() {
    for (width, height) in [(1180.0, 800.0), (900.0, 600.0)] {
        let mut desk = with_archives(width, height, 1);
        desk.press("Put the result away");
        desk.press("Restore");
        for ask in ["Restore archive 0001…", "Restore 0001 in place…"] {
            desk.harness.get_by_role_and_label(Role::Button, ask).click_accesskit();
            // What lies behind the dialog takes no part.
            let own = ["Cancel", "Restore archive 0001", "Restore in place"];
            let can_be_used = |h: &Harness<'_, Window>, label: &str| {
                h.query_by_role_and_label(Role::Button, label).is_some_and(|node| !node.accesskit_node().is_disabled())
            };
            desk.until("what it is for", |h, _| own.iter().filter(|label| can_be_used(h, label)).count() == 2);
            desk.harness.run_steps(8);
            let is_own = |control: &&Control| own.contains(&control.1.as_str());
            let wanted: BTreeSet<Control> = controls(&desk).iter().filter(is_own).cloned().collect();
            assert_eq!(wanted.len(), 2, "{ask}: {wanted:?}");
            let reached = round(&mut desk);
            let missed: Vec<_> = wanted.difference(&reached).collect();
            assert!(missed.is_empty(), "{ask} at {width}: Tab leads to {reached:?}, not to {missed:?}");
            press(&mut desk, Key::Escape);
        }
    }
}

#[test]
fn what_the_keyboard_leads_to_is_scrolled_to() {
    let mut desk = with_archives(900.0, 420.0, 1);
    desk.press("Restore");
    for _ in 0..60 {
        desk.harness.key_press(Key::Tab);
        desk.harness.run_steps(3);
        let window = desk.harness.ctx.content_rect();
        let node = desk.harness.query_all(by().predicate(|node: &AccessKitNode<'_>| node.is_focused())).next();
        let Some(node) = node.filter(|node| node.accesskit_node().role() == Role::Button) else { continue };
        let (name, rect) = (node.accesskit_node().label(), node.rect());
        assert!(window.contains_rect(rect), "{name:?} has the focus at {rect:?}");
    }
}

fn selected(desk: &Desk) -> String {
    let chosen = |node: &AccessKitNode<'_>| node.role() == Role::ListBoxOption && node.is_selected() == Some(true);
    let mut rows = desk.harness.query_all(by().predicate(chosen));
    rows.next().map(|row| row.accesskit_node().label().unwrap_or_default()).unwrap_or_default()
}

fn press(desk: &mut Desk, key: Key) {
    desk.harness.key_press(key);
    desk.harness.run_steps(3);
}

#[test]
fn a_table_is_gone_through_by_its_arrows_and_sorted_by_its_titles() {
    let mut desk = with_archives(900.0, 600.0, 3);
    desk.press("Restore");
    desk.until("the archives", |h, _| named(h, "Archive 0003").next().is_some());
    desk.harness.run_steps(4);
    assert!(selected(&desk).starts_with("Archive 0003"));
    // As a screen reader goes there.
    desk.harness.get_by_role_and_label(Role::ListBox, "Archives").focus();
    desk.harness.run_steps(3);
    for (key, expected) in [
        (Key::ArrowDown, "Archive 0002"),
        (Key::ArrowDown, "Archive 0001"),
        (Key::ArrowDown, "Archive 0001"),
        (Key::ArrowUp, "Archive 0002"),
        (Key::Home, "Archive 0003"),
        (Key::End, "Archive 0001"),
        (Key::PageUp, "Archive 0003"),
    ] {
        press(&mut desk, key);
        assert!(selected(&desk).starts_with(expected), "{key:?}: {} instead of {expected}", selected(&desk));
        assert_eq!(focused(&desk), Some(("ListBoxOption".to_owned(), "rows".to_owned())), "{key:?}");
    }
    // The other way round by its title, and the choice stays what it was.
    let title = desk.harness.get_by_role_and_label(Role::Button, "Sort by Number");
    title.focus();
    desk.harness.run_steps(2);
    press(&mut desk, Key::Enter);
    assert!(selected(&desk).starts_with("Archive 0003"));
    let first = |desk: &Desk| {
        let row = |node: &AccessKitNode<'_>| node.role() == Role::ListBoxOption && node.position_in_set() == Some(0);
        desk.harness.get(by().predicate(row)).accesskit_node().label().unwrap_or_default()
    };
    assert!(first(&desk).starts_with("Archive 0001"), "{}", first(&desk));
    press(&mut desk, Key::Enter);
    assert!(first(&desk).starts_with("Archive 0003"));
    // Enter on a row restores it.
    desk.harness.get_by_role_and_label(Role::ListBox, "Archives").focus();
    desk.harness.run_steps(3);
    press(&mut desk, Key::ArrowDown);
    press(&mut desk, Key::Enter);
    desk.until_shown("Data file: Office.sqlite");
    assert!(desk.is_shown("Restore archive 0002"));
}

#[test]
fn a_row_reads_all_its_cells() {
    let mut desk = with_archives(1180.0, 800.0, 1);
    desk.press("Restore");
    desk.until("the archive", |h, _| named(h, "Archive 0001").next().is_some());
    let row = named(&desk.harness, "Archive 0001").next().unwrap();
    let status = desk.status();
    let archive = &status.data_files[0].archives[0];
    let day = archive.moment.unwrap().format("%Y-%m-%d").to_string();
    let words = row.accesskit_node().label().unwrap();
    for part in ["Archive 0001, Complete, ", &day, " KB, data file ", "last proven ", "Office[0001].4BK"] {
        assert!(words.contains(part), "{part} is not in {words}");
    }
    assert_eq!((row.accesskit_node().position_in_set(), row.accesskit_node().size_of_set()), (Some(0), Some(1)));
    desk.press("Backup journal");
    desk.until("the job", |h, _| named(h, "Full backup 0001, Succeeded").next().is_some());
    let row = named(&desk.harness, "Full backup 0001, Succeeded").next().unwrap();
    let words = row.accesskit_node().label().unwrap();
    assert!(words.contains(" s, ") && words.ends_with("Office[0001].4BK"), "{words}");
}

#[test]
fn a_screen_reader_hears_no_icon_and_every_part_has_a_name() {
    let mut desk = with_archives(900.0, 600.0, 2);
    let mut bars = 0;
    let mut look = |desk: &mut Desk, place: &str| {
        desk.harness.run_steps(3);
        for node in desk.harness.query_all(by().predicate(|_| true)) {
            let node = node.accesskit_node();
            let (label, value) = (node.label().unwrap_or_default(), node.value().unwrap_or_default());
            let is_icon = |text: &str| text.chars().any(|c| ('\u{e000}'..='\u{f8ff}').contains(&c));
            assert!(!is_icon(&label) && !is_icon(&value), "{place}: {:?} {label:?} {value:?}", node.role());
            if node.role() == Role::ScrollBar {
                bars += 1;
                assert!(label.ends_with(" scroll bar"), "{place}: {label:?}");
            }
            if node.role() == Role::ComboBox {
                assert_eq!(node.description(), Some(value.clone()), "{place}: {label}");
                assert!(!label.is_empty() && !value.is_empty(), "{place}: {label:?} {value:?}");
            }
        }
    };
    for page in ["Maintenance", "Restore", "Activity", "Backup journal"] {
        desk.press(page);
        look(&mut desk, page);
    }
    // What a data file is called, and how it is.
    let file = desk.harness.get_by_role_and_label(Role::Button, "Data file Office.sqlite");
    assert_eq!(file.accesskit_node().description().as_deref(), Some("Backed up"));
    desk.harness.key_press_modifiers(Modifiers::COMMAND, Key::Comma);
    desk.until("the settings", |h, _| h.query_by_role_and_label(Role::Tab, "Backup & Restore").is_some());
    desk.click_on(Role::Tab, "Backup & Restore");
    look(&mut desk, "the settings");
    assert!(bars > 0);
    press(&mut desk, Key::Escape);
    desk.press("File");
    let item = desk.harness.get_by_role_and_label(Role::MenuItem, "Quit");
    assert_eq!(item.accesskit_node().toggled(), None::<Toggled>);
    assert!(desk.harness.query_all_by_role(Role::MenuBar).count() == 1);
    let file = desk.harness.get_by_role_and_label(Role::MenuItem, "File");
    assert_eq!(file.accesskit_node().data().is_expanded(), Some(true));
    assert_eq!(desk.harness.root().accesskit_node().label().as_deref(), Some("Strongroom"));
}

#[test]
fn what_can_not_be_pressed_says_why() {
    let mut desk = Desk::new();
    desk.press("File");
    let item = desk.harness.get_by_role_and_label(Role::MenuItem, "Backup…");
    assert!(item.accesskit_node().is_disabled());
    assert_eq!(item.accesskit_node().description().as_deref(), Some("Open a data file first"));
    desk.harness.key_press(Key::Escape);
    let path = desk.open_data_file(5);
    std::fs::rename(&path, desk.path("elsewhere.sqlite")).unwrap();
    desk.send(Command::Refresh { data_file: path });
    desk.until("the problem", |_, s| s.data_files[0].problem.is_some());
    desk.harness.run_steps(3);
    let start = desk.harness.get_by_role_and_label(Role::Button, "Start backup");
    assert!(start.accesskit_node().is_disabled());
    assert!(start.accesskit_node().description().unwrap().starts_with("The data file cannot be read"));
}

#[test]
fn letters_of_other_scripts_get_a_font_of_the_system() {
    // A usual font that has these letters; the program's own have not.
    let usual =
        ["/usr/share/fonts/truetype/dejavu/DejaVuSans.ttf", "/usr/share/fonts/dejavu-sans-fonts/DejaVuSans.ttf"];
    if !usual.iter().any(|path| std::path::Path::new(path).exists()) {
        eprintln!("skipped: no such font on this system");
        return;
    }
    let mut desk = Desk::new();
    let path = desk.path("عملاء.sqlite");
    desk::make_data_file(&path, 3);
    let has_letters = |desk: &Desk| desk.harness.ctx.fonts_mut(|f| f.has_glyphs(&FontId::proportional(14.0), "عملاء"));
    assert!(!has_letters(&desk));
    desk.open(&path);
    let begun = std::time::Instant::now();
    while !has_letters(&desk) {
        assert!(begun.elapsed() < desk::LIMIT, "no font was found");
        desk.harness.run_steps(2);
    }
}

#[test]
fn enter_in_a_field_of_the_settings_is_ok_and_on_a_choice_it_chooses() {
    let mut desk = Desk::new();
    desk.open_data_file(10);
    let open = |desk: &mut Desk, tab: &str| {
        desk.harness.key_press_modifiers(Modifiers::COMMAND, Key::Comma);
        desk.until("the settings", |h, _| h.query_by_role_and_label(Role::Tab, tab).is_some());
        desk.click_on(Role::Tab, tab);
        desk.harness.run_steps(4);
    };
    let is_open = |desk: &Desk| desk.harness.query_by_role_and_label(Role::Tab, "Scheduler").is_some();
    let enter_on = |desk: &mut Desk, role: Role, name: &str| {
        desk.harness.get_by_role_and_label(role, name).focus();
        desk.harness.run_steps(3);
        press(desk, Key::Enter);
        desk.harness.run_steps(4);
    };
    open(&mut desk, "Scheduler");
    for tab in ["Configuration", "Backup & Restore", "Scheduler"] {
        enter_on(&mut desk, Role::Tab, tab);
        assert!(is_open(&desk), "{tab}");
        let shown = desk.harness.get_by_role_and_label(Role::Tab, tab).accesskit_node();
        assert_eq!(shown.is_selected(), Some(true), "{tab}");
    }
    enter_on(&mut desk, Role::RadioButton, "Every day");
    assert!(is_open(&desk));
    assert!(desk.harness.query_by_role_and_label(Role::TextInput, "Time of the day").is_some(), "it was chosen");
    // Nothing is in force yet; Enter in the field is OK.
    enter_on(&mut desk, Role::TextInput, "Time of the day");
    desk.until("the dialog to close", |h, _| h.query_by_role_and_label(Role::Tab, "Scheduler").is_none());
    desk.until("the schedule", |_, s| s.data_files[0].settings.scheduler.frequency == Frequency::EveryDay);
    for (tab, field) in
        [("Configuration", "Backup file destination folder"), ("Backup & Restore", "Number of backups kept")]
    {
        open(&mut desk, tab);
        let found = desk.harness.query_by_role_and_label(Role::TextInput, field).is_some();
        assert!(found, "{field}: {:?}", desk.texts());
        enter_on(&mut desk, Role::TextInput, field);
        desk.until(field, |h, _| h.query_by_role_and_label(Role::Tab, "Scheduler").is_none());
    }
    // A list that opens, a box and a button do their own.
    open(&mut desk, "Backup & Restore");
    enter_on(&mut desk, Role::ComboBox, "Redundancy rate");
    desk.until("the list", |h, _| h.query_by_role_and_label(Role::Button, "Medium").is_some());
    assert!(is_open(&desk));
}
