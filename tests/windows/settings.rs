//! The dialog of settings: every option by role and label, saved, read again from the file, and in effect.

use crate::desk;

use std::{
    fs,
    path::{Path, PathBuf},
};

use chrono::{Local, NaiveDate, NaiveTime};
use desk::Desk;
use eframe::egui::{Key, Modifiers, accesskit::Role};
use egui_kittest::kittest::{NodeT, Queryable};
use rusqlite::Connection;
use strongroom::{
    archive::options::{ArchiveOptions, Compression, Rate},
    engine::{Command, JobId},
    journal::CaptureState,
    schedule,
    settings::{Settings, SettingsFile, sections::*},
    sqlite::data_file::JournalMode,
};

impl Desk {
    fn ask_settings(&mut self) {
        self.press("Settings…");
        self.until_tab("Scheduler");
    }

    fn until_tab(&mut self, label: &str) {
        self.until(label, |h, _| {
            h.query_by_role_and_label(Role::Tab, label)
                .is_some_and(|tab| tab.accesskit_node().is_selected() == Some(true))
        });
        // The dialog stands in the middle again after a frame.
        self.harness.run_steps(4);
    }

    fn tab(&mut self, label: &str) {
        self.harness.run_steps(4);
        self.click_on(Role::Tab, label);
        self.until_tab(label);
    }

    fn radio(&mut self, label: &str) {
        self.click(Role::RadioButton, label);
    }

    fn check(&mut self, label: &str) {
        self.click(Role::CheckBox, label);
    }

    /// What scrolls is scrolled to first, as a person would.
    fn click(&mut self, role: Role, label: &str) {
        self.harness.run_steps(4);
        self.harness.get_by_role_and_label(role, label).scroll_to_me();
        self.harness.run_steps(4);
        self.click_on(role, label);
        self.harness.run_steps(4);
    }

    fn combo(&mut self, name: &str, choice: &str) {
        self.click(Role::ComboBox, name);
        self.press(choice);
        self.harness.run_steps(2);
    }

    pub(crate) fn field(&self, label: &str) -> String {
        self.harness.get_by_role_and_label(Role::TextInput, label).value().unwrap_or_default()
    }

    fn is_enabled(&self, label: &str) -> bool {
        !self.harness.get_by_role_and_label(Role::Button, label).accesskit_node().is_disabled()
    }

    fn is_asked(&self) -> bool {
        self.harness.query_by_role_and_label(Role::Tab, "Scheduler").is_some()
    }

    fn ok(&mut self) {
        self.press("OK");
        self.until_closed();
    }

    fn until_closed(&mut self) {
        self.until("the dialog to close", |h, _| h.query_by_role_and_label(Role::Tab, "Scheduler").is_none());
    }

    /// The settings as they are in the file, and in force.
    fn saved(&self) -> Settings {
        let data_file = self.path("Office.sqlite");
        let saved = SettingsFile::load(&data_file, &self.path("nowhere")).unwrap().settings().clone();
        assert_eq!(self.status().data_file(&data_file).unwrap().settings.revision(), saved.revision());
        let mut saved = saved;
        saved.take_notes(&Settings::default());
        saved
    }

    fn settings_file(&self) -> PathBuf {
        self.path("Office.strongroom.toml")
    }

    /// Takes a path in the file picker, which is open.
    fn pick(&mut self, path: &Path) {
        self.until_shown("Folder above");
        self.type_into("Path", &path.display().to_string());
        let button = if path.is_dir() { "Choose this folder" } else { "Open file" };
        self.press(button);
        self.until_tab("Configuration");
    }
}

fn at(hour: u32, minute: u32) -> NaiveTime {
    NaiveTime::from_hms_opt(hour, minute, 0).unwrap()
}

#[test]
fn every_frequency_of_the_scheduler_is_chosen_shown_and_saved() {
    let mut desk = Desk::new();
    let path = desk.open_data_file(10);
    let mut wanted = Scheduler::default();
    let mut expect = |desk: &mut Desk, change: &dyn Fn(&mut Scheduler)| {
        change(&mut wanted);
        let next = schedule::next_dates(&wanted, &Local::now(), 5);
        for date in &next {
            assert!(desk.is_shown(&date.format("%Y-%m-%d").to_string()), "{wanted:?}: {date} in {:#?}", desk.texts());
            assert!(desk.is_shown(&date.format("%H:%M:%S").to_string()), "{wanted:?}: {date}");
            assert!(desk.is_shown(&date.format("UTC%:z").to_string()), "{wanted:?}: {date}");
        }
        desk.ok();
        assert_eq!(desk.saved().scheduler, wanted);
        let due = schedule::next_due(&wanted, &Local::now());
        let of_file = desk.path("Office.sqlite");
        desk.until("the next backup", |_, s| s.data_file(&of_file).unwrap().next_backup == due);
    };

    desk.ask_settings();
    assert!(desk.is_shown("None by themselves."));
    desk.radio("Every day");
    desk.type_into("Time of the day", "22:10");
    expect(&mut desk, &|s| (s.frequency, s.at) = (Frequency::EveryDay, at(22, 10)));

    desk.ask_settings();
    desk.radio("Every week");
    desk.combo("Day of the week", "Thursday");
    desk.type_into("Time of the day", "21:05");
    expect(&mut desk, &|s| {
        (s.frequency, s.at, s.weekdays) = (Frequency::EveryWeek, at(21, 5), [Weekday::Thursday].into());
    });

    desk.ask_settings();
    desk.radio("Every month");
    assert!(desk.is_shown("In a shorter month, its last day."));
    desk.type_into("Day of the month", "31");
    expect(&mut desk, &|s| (s.frequency, s.day) = (Frequency::EveryMonth, 31));

    desk.ask_settings();
    desk.radio("Personalized");
    desk.combo("Unit of the interval", "hours");
    desk.type_into("Interval", "6");
    assert!(desk.is_shown("starting at"));
    desk.type_into("Time of the day", "06:30");
    desk.type_into("Counted from", "2026-01-05");
    let from = NaiveDate::from_ymd_opt(2026, 1, 5);
    expect(&mut desk, &|s| {
        (s.frequency, s.unit, s.every, s.at, s.from) = (Frequency::Personalized, Unit::Hours, 6, at(6, 30), from);
    });

    desk.ask_settings();
    desk.combo("Unit of the interval", "days");
    desk.type_into("Interval", "3");
    desk.type_into("Counted from", "2026-01-06");
    let from = NaiveDate::from_ymd_opt(2026, 1, 6);
    expect(&mut desk, &|s| (s.unit, s.every, s.from) = (Unit::Days, 3, from));

    desk.ask_settings();
    desk.combo("Unit of the interval", "weeks");
    desk.type_into("Interval", "2");
    desk.type_into("Counted from", "2026-01-06");
    desk.check("Thursday");
    assert!(desk.is_shown("Choose at least one day.") && !desk.is_enabled("OK"));
    desk.check("Tuesday");
    desk.check("Friday");
    expect(&mut desk, &|s| {
        (s.unit, s.every, s.weekdays) = (Unit::Weeks, 2, [Weekday::Tuesday, Weekday::Friday].into());
    });

    desk.ask_settings();
    desk.combo("Unit of the interval", "months");
    desk.type_into("Interval", "1");
    desk.type_into("Day of the month", "15");
    expect(&mut desk, &|s| (s.unit, s.every, s.day) = (Unit::Months, 1, 15));

    desk.ask_settings();
    desk.radio("Every hour");
    expect(&mut desk, &|s| s.frequency = Frequency::EveryHour);

    desk.ask_settings();
    desk.radio("Never");
    assert!(desk.is_shown("None by themselves."));
    expect(&mut desk, &|s| s.frequency = Frequency::Never);
    assert_eq!(desk.status().data_file(&path).unwrap().next_backup, None);
}

#[test]
fn an_interval_chosen_now_is_counted_from_today() {
    let mut desk = Desk::new();
    desk.open_data_file(10);
    desk.ask_settings();
    desk.radio("Personalized");
    desk.type_into("Interval", "10");
    let today = Local::now().date_naive();
    let shown: NaiveDate = desk.field("Counted from").parse().unwrap();
    assert!((shown - today).num_days() <= 1);
    desk.ok();
    assert!((desk.saved().scheduler.from.unwrap() - today).num_days() <= 1);
}

#[test]
fn every_option_of_backup_and_restore_is_changed_saved_and_read_again() {
    let mut desk = Desk::new();
    desk.open_data_file(200);
    desk.ask_settings();
    desk.tab("Backup & Restore");
    desk.type_into("Number of backups kept", "7");
    desk.combo("Delete the oldest", "before the backup, which needs less space");
    desk.check("Backup only if the data file has been modified");
    desk.radio("Retry after");
    desk.type_into("Time before the retry", "45");
    desk.combo("Unit of that time", "seconds");
    desk.check("Cancel the operation after");
    desk.type_into("Number of attempts", "2");
    assert!(desk.is_shown("until a backup by hand succeeds"));
    desk.combo("Segment size", "Another size");
    assert!(!desk.is_enabled("OK"), "{:#?}", desk.texts());
    desk.type_into("Segment size in MB", "1");
    desk.combo("Compression rate", "None");
    assert!(desk.is_shown("Without redundancy a damaged archive is noticed"));
    desk.combo("Interlacing rate", "Low");
    assert!(desk.is_shown("Interlacing has no effect without redundancy"));
    desk.combo("Redundancy rate", "Medium");
    assert!(desk.is_shown("Repairs any single damaged stretch up to "));
    assert!(desk.is_shown("For an archive of about "));
    desk.combo("Test restore", "Never");
    desk.check("also of a random archive every week");
    desk.check("Restore the last backup if the data file is damaged");
    desk.check("Integrate the last log if the data file is incomplete");
    desk.ok();
    let wanted = Settings {
        scheduler: Scheduler { only_if_modified: true, ..Scheduler::default() },
        keep: Keep { last: 7, delete_oldest: DeleteOldest::Before, ..Keep::default() },
        failure: Failure {
            retry: Retry::After,
            retry_after: 45,
            retry_unit: RetryUnit::Seconds,
            cancel: true,
            cancel_after: 2,
        },
        archive: ArchiveOptions {
            segment_bytes: Some(1 << 20),
            compression: Compression::None,
            interlacing: Rate::Low,
            redundancy: Rate::Medium,
            sign: false,
        },
        restore: Restore { if_damaged: true, integrate_log: false },
        proof: ProofSettings { test_restore: TestRestore::Never, drill: Drill::EveryWeek },
        ..Settings::default()
    };
    assert_eq!(desk.saved(), wanted);

    // As it was stored, the next archive says.
    desk.press("Start backup");
    desk.until("the backup", |_, s| s.jobs.is_empty() && !s.data_files[0].archives.is_empty());
    let made = desk.status().data_files[0].archives[0].clone();
    assert!(made.segmented, "{made:?}");

    // Seen again as they are, and back to the defaults.
    desk.ask_settings();
    desk.tab("Backup & Restore");
    assert_eq!(desk.field("Number of backups kept"), "7");
    assert_eq!(desk.field("Segment size in MB"), "1");
    desk.radio("Retry at the next scheduled date and time");
    desk.combo("Segment size", "650 MB");
    desk.check("Keep only the last");
    assert!(desk.is_shown("Nothing is ever deleted."));
    desk.ok();
    let now = desk.saved();
    assert_eq!(
        (now.failure.retry, now.archive.segment_bytes, now.keep.all),
        (Retry::NextScheduled, Some(650 << 20), true)
    );
    desk.ask_settings();
    desk.tab("Backup & Restore");
    desk.press("Restore defaults");
    desk.ok();
    assert_eq!(desk.saved(), Settings::default());
}

#[test]
fn what_a_rule_would_remove_is_shown_before_it_does() {
    let mut desk = Desk::new();
    desk.open_data_file(10);
    for number in 1..=3 {
        desk.back_up(number);
    }
    desk.ask_settings();
    desk.tab("Backup & Restore");
    assert!(desk.is_shown("With this rule nothing would be removed now."));
    desk.type_into("Number of backups kept", "2");
    desk.until_shown("With this rule backup 0001 would be removed now");
    desk.type_into("Number of backups kept", "1");
    desk.until_shown("With this rule backups 0001 and 0002 would be removed now");
    let archive = desk.path("Backups").join("Office[0002].4BK");
    desk.send(Command::Hold { archive, note: None });
    desk.until_shown("Backup 0002 is held and stays.");
    desk.until_shown("With this rule backup 0001 would be removed now");
    // This year has one backup too many.
    desk.type_into("Number of days kept", "x");
    desk.until_shown("Give a whole number from 0 to 9999.");
    desk.type_into("Number of days kept", "0");
    desk.type_into("Number of years kept", "2");
    desk.until_shown("With this rule backup 0001 would be removed now");
    desk.type_into("Number of backups kept", "2");
    desk.until_shown("With this rule nothing would be removed now.");
    desk.type_into("Number of backups kept", "1");
    desk.ok();
    assert_eq!(desk.status().data_files[0].archives.len(), 3, "nothing is deleted by a setting alone");
    let kept = desk.saved().keep;
    assert_eq!((kept.last, kept.daily, kept.yearly, kept.hourly), (1, 0, 2, 0));
    desk.back_up(4);
    desk.until("the rule", |_, s| s.data_files[0].archives.len() == 2);
    assert_eq!(desk.status().data_files[0].archives.iter().map(|a| a.number.0).collect::<Vec<_>>(), [4, 2]);
}

#[test]
fn content_and_folder_are_chosen_measured_and_in_the_next_archive() {
    let mut desk = Desk::new();
    let path = desk.open_data_file(10);
    for (name, text) in [("letters/a.txt", "Dear Madam"), ("program/office", "#!"), ("one.txt", "1")] {
        fs::create_dir_all(desk.path(name).parent().unwrap()).unwrap();
        fs::write(desk.path(name), text).unwrap();
    }
    fs::create_dir(desk.path("other")).unwrap();
    desk.ask_settings();
    desk.tab("Configuration");
    assert!(desk.is_shown(&path.display().to_string()));
    assert!(desk.is_shown(&desk.settings_file().display().to_string()));

    desk.press("Add folder… to attachments");
    desk.pick(&desk.path("letters"));
    desk.until_shown("10 B");
    desk.press("Add file… to attachments");
    desk.pick(&desk.path("one.txt"));
    desk.press("Add folder… to program files");
    desk.pick(&desk.path("program"));
    desk.until_shown("2 B");
    desk.press("Add folder… to program files");
    desk.pick(&desk.path("letters"));
    desk.until_shown("letters is in the list already.");

    // The folder of the data file itself is refused.
    desk.press("Add folder… to attachments");
    desk.pick(&desk.path(""));
    let folder = desk.folder.path().canonicalize().unwrap();
    desk.until_shown("must not be a folder that holds the data file itself");
    assert!(!desk.is_enabled("OK") && desk.is_shown("To be corrected: Configuration"));
    desk.press(&format!("Delete {}", folder.display()));
    desk.until("it to be gone", |h, _| h.query_by_label("To be corrected: Configuration").is_none());

    desk.press("Choose the folder for archives");
    desk.pick(&desk.path("other"));
    desk.until("the disk", |h, _| {
        h.query_by_role_and_label(Role::ProgressIndicator, "Used space of the disk chosen").is_some()
    });
    desk.ok();
    let saved = desk.saved();
    assert_eq!(saved.destination.folder, Some(desk.path("other")));
    assert_eq!(saved.content.attachments, [desk.path("letters"), desk.path("one.txt")]);
    assert_eq!(saved.content.program, [desk.path("program")]);
    desk.until("the folder", |_, s| s.data_files[0].destination.ends_with("other"));

    desk.press("Start backup");
    desk.until("the backup", |_, s| s.jobs.is_empty() && s.finished.iter().filter(|job| !job.automatic).count() == 1);
    let archive = desk.path("other/Office[0001].4BK");
    let names: Vec<String> = desk.look(&archive).unwrap().items.into_iter().map(|item| item.name).collect();
    for expected in ["letters", "one.txt", "program"] {
        assert!(names.iter().any(|name| name.ends_with(expected)), "{expected} in {names:?}");
    }
}

#[test]
fn a_folder_is_warned_of_at_its_field_before_it_is_used() {
    let mut desk = Desk::new();
    desk.open_data_file(10);
    desk.ask_settings();
    desk.tab("Configuration");
    let name = "Backup file destination folder";
    desk.type_into(name, "Backups");
    assert!(desk.is_shown("Give the full path of a folder.") && !desk.is_enabled("OK"));
    let file = desk.path("Office.sqlite");
    desk.type_into(name, &file.display().to_string());
    desk.until_shown("Office.sqlite is a file and no folder");
    if cfg!(target_os = "linux") && Path::new("/dev/shm").is_dir() {
        desk.type_into(name, "/dev/shm/strongroom of a test");
        desk.until_shown("strongroom of a test is in memory only");
    }
    // Emptied, it is the folder proposed.
    desk.type_into(name, " ");
    desk.press("OK");
    desk.until_closed();
    assert!(!desk.settings_file().exists(), "nothing was changed");
}

#[test]
fn archives_made_while_the_dialog_is_open_are_its_own() {
    let mut desk = Desk::new();
    let path = desk.open_data_file(10);
    desk.ask_settings();
    let command = Command::Backup { job: JobId::new(), data_file: path, destination: None, options: None };
    desk.send(command);
    desk.until("the backup", |_, s| s.jobs.is_empty() && !s.data_files[0].archives.is_empty());
    desk.tab("Backup & Restore");
    desk.type_into("Number of backups kept", "9");
    desk.tab("Configuration");
    // Only the answer to the form as it is now says that it would be refused; it says what is to be said of the folder
    // too.
    desk.check("Use log");
    let log = desk.field("Log file");
    let file = desk.path("Office.sqlite").display().to_string();
    desk.type_into("Log file", &file);
    desk.until_shown("Must not be the data file itself");
    assert!(!desk.is_shown("holds archives of another data file"));
    desk.type_into("Log file", &log);
    desk.check("Use log");
    desk.ok();
    assert_eq!(desk.saved().keep.last, 9);
}

#[test]
fn a_log_is_used_from_the_dialog_with_its_backup_and_given_up_there() {
    let mut desk = Desk::new();
    let path = desk.open_data_file(10);
    Connection::open(&path).unwrap().execute_batch("PRAGMA journal_mode=DELETE").unwrap();
    desk.send(Command::Refresh { data_file: path.clone() });
    desk.until("the mode", |_, s| s.data_files[0].facts.journal_mode == JournalMode::Rollback);
    desk.ask_settings();
    desk.tab("Configuration");
    desk.check("Use log");
    assert_eq!(desk.field("Log file"), desk.path("Backups/Office.journal").display().to_string());
    assert!(desk.is_shown("A full backup is needed before the log can serve a restore."));
    assert!(!desk.is_enabled("OK"), "the data file has no WAL");
    desk.check("Switch the data file to WAL mode");
    desk.press("Choose the folder for the log");
    fs::create_dir(desk.path("logs")).unwrap();
    desk.pick(&desk.path("logs"));
    assert_eq!(desk.field("Log file"), desk.path("logs/Office.journal").display().to_string());
    desk.ok();
    desk.until("the log and its backup", |_, s| {
        let log = s.data_files[0].log.as_ref();
        s.jobs.is_empty() && log.is_some_and(|log| log.rooted && log.state == CaptureState::On)
    });
    assert_eq!(desk.saved().log, Log { file: Some(desk.path("logs/Office.journal")), allow_network: false });
    assert_eq!(desk.status().data_files[0].facts.journal_mode, JournalMode::Wal);

    desk.ask_settings();
    desk.tab("Configuration");
    desk.check("Use log");
    assert!(desk.is_shown("what is written after the last full backup cannot be restored"));
    desk.ok();
    desk.until("the log to be off", |_, s| s.data_files[0].log_file.is_none());
    assert_eq!(desk.saved().log.file, None);

    // Without the backup, when it is not wanted.
    desk.ask_settings();
    desk.tab("Configuration");
    desk.check("Use log");
    desk.check("Start a full backup as soon as the log runs");
    desk.ok();
    desk.until("the log", |_, s| s.data_files[0].log.as_ref().is_some_and(|log| log.state == CaptureState::On));
    desk.until("nothing else", |_, s| s.jobs.is_empty() && s.data_files[0].archives.len() == 1);
}

#[test]
fn cancel_and_escape_change_nothing() {
    let mut desk = Desk::new();
    desk.open_data_file(10);
    for leave in ["Cancel", "Escape"] {
        desk.ask_settings();
        desk.radio("Every day");
        desk.tab("Backup & Restore");
        desk.type_into("Number of backups kept", "9");
        desk.tab("Configuration");
        desk.check("Use log");
        if leave == "Cancel" {
            desk.press("Cancel")
        } else {
            desk.harness.key_press(Key::Escape)
        }
        desk.until_closed();
        desk.harness.run_steps(4);
        assert_eq!(desk.status().data_files[0].settings, Settings::default());
        assert!(!desk.settings_file().exists());
    }
    // Nor does OK, when nothing was changed.
    desk.ask_settings();
    desk.ok();
    assert!(!desk.settings_file().exists());
}

#[test]
fn a_change_made_elsewhere_is_noticed_and_not_overwritten() {
    let mut desk = Desk::new();
    desk.open_data_file(10);
    desk.ask_settings();
    desk.radio("Every day");
    let by_hand = "# mine\n[keep]\nlast = 8 # enough\n";
    fs::write(desk.settings_file(), by_hand).unwrap();
    desk.until_shown("The settings were changed meanwhile");
    assert!(!desk.is_enabled("OK"));
    desk.harness.key_press(Key::Enter);
    desk.harness.run_steps(4);
    assert_eq!(fs::read_to_string(desk.settings_file()).unwrap(), by_hand);
    desk.press("Load the new settings");
    assert!(!desk.is_shown("The settings were changed meanwhile"));
    desk.tab("Backup & Restore");
    assert_eq!(desk.field("Number of backups kept"), "8");
    desk.tab("Scheduler");
    assert!(desk.is_shown("None by themselves."), "what was changed before is gone, as it was said");
    desk.radio("Every hour");
    desk.ok();
    let saved = desk.saved();
    assert_eq!((saved.scheduler.frequency, saved.keep.last), (Frequency::EveryHour, 8));
    let text = fs::read_to_string(desk.settings_file()).unwrap();
    assert!(text.contains("# mine") && text.contains("last = 8 # enough"), "{text}");
}

#[test]
fn a_mistake_in_the_file_is_shown_with_its_place() {
    let mut desk = Desk::new();
    desk.open_data_file(10);
    desk.ask_settings();
    fs::write(desk.settings_file(), "[keep]\nlast = 0\n").unwrap();
    desk.until("the mistake", |_, s| s.data_files[0].settings_problem.is_some());
    desk.harness.run_steps(4);
    assert!(desk.is_shown("keep.last at line 2, column 8 must be a whole number from 1 to 9999, but is 0"));
    assert!(!desk.is_enabled("OK"));
    fs::write(desk.settings_file(), "").unwrap();
    desk.until("it to be corrected", |_, s| s.data_files[0].settings_problem.is_none());
    desk.radio("Every day");
    desk.ok();
    assert_eq!(desk.saved().scheduler.frequency, Frequency::EveryDay);
}

#[test]
fn a_refusal_is_shown_in_the_dialog_which_stays() {
    let mut desk = Desk::new();
    let path = desk.open_data_file(10);
    desk.ask_settings();
    desk.tab("Configuration");
    desk.check("Use log");
    desk.type_into("Log file", &path.display().to_string());
    // Said as soon as the engine has looked at it, and again when it is asked to do it.
    desk.until_shown("Must not be the data file itself");
    desk.press("OK");
    desk.until("the refusal", |_, s| s.data_files[0].settings_refused.is_some());
    desk.harness.run_steps(4);
    assert!(desk.is_asked() && desk.is_shown("log.file must not be the data file itself"));
    assert!(!desk.settings_file().exists());
    let good = desk.path("Office.journal");
    desk.type_into("Log file", &good.display().to_string());
    desk.until("it to be forgotten", |h, _| {
        h.query_all_by_label_contains("must not be the data file").next().is_none()
    });
    desk.ok();
    assert_eq!(desk.saved().log.file, Some(good));
}

#[test]
fn wrong_texts_are_said_at_their_fields_and_keep_ok_from_being_pressed() {
    let mut desk = Desk::new();
    desk.open_data_file(10);
    desk.ask_settings();
    desk.radio("Personalized");
    desk.type_into("Interval", "0");
    assert!(desk.is_shown("Give a whole number from 1 to 999."));
    desk.type_into("Interval", "2");
    desk.type_into("Time of the day", "25:00");
    assert!(desk.is_shown("Give a time such as 23:00.") && desk.is_shown("Known as soon as the fields are right."));
    desk.tab("Backup & Restore");
    desk.type_into("Number of backups kept", "many");
    assert!(desk.is_shown("Give a whole number from 1 to 9999."));
    assert!(desk.is_shown("To be corrected: Scheduler, Backup & Restore") && !desk.is_enabled("OK"));
    desk.type_into("Number of backups kept", "5");
    assert!(desk.is_shown("To be corrected: Scheduler") && !desk.is_enabled("OK"));
    desk.tab("Scheduler");
    desk.radio("Every hour");
    assert!(desk.is_enabled("OK"), "what does not count need not be right");
    desk.ok();
    assert_eq!(desk.saved().keep.last, 5);
}

#[test]
fn the_dialog_is_worked_with_by_the_keyboard_alone() {
    let mut desk = Desk::of_size(760.0, 480.0);
    desk.open_data_file(10);
    let key = |desk: &mut Desk, modifiers: Modifiers, key: Key| {
        desk.harness.key_press_modifiers(modifiers, key);
        desk.harness.run_steps(4);
    };
    let reach = |desk: &mut Desk, role: Role, label: &str| {
        for _ in 0..60 {
            let node = desk.harness.query_by_role_and_label(role, label);
            if node.is_some_and(|node| node.is_focused()) {
                return;
            }
            desk.harness.key_press(Key::Tab);
            desk.harness.run_steps(4);
        }
        panic!("{label} is not reached by the keyboard");
    };
    key(&mut desk, Modifiers::COMMAND, Key::Comma);
    desk.until_tab("Scheduler");
    reach(&mut desk, Role::RadioButton, "Every day");
    key(&mut desk, Modifiers::NONE, Key::Space);
    reach(&mut desk, Role::TextInput, "Time of the day");
    desk.harness.key_combination_modifiers(Modifiers::COMMAND, &[Key::A]);
    desk.harness.run_steps(2);
    desk.harness.get_by_role_and_label(Role::TextInput, "Time of the day").type_text("04:15");
    desk.harness.run_steps(4);
    // From tab to tab, whatever has the focus; then with the arrows.
    key(&mut desk, Modifiers::CTRL, Key::Tab);
    desk.until_tab("Configuration");
    key(&mut desk, Modifiers::NONE, Key::ArrowRight);
    desk.until_tab("Backup & Restore");
    key(&mut desk, Modifiers::NONE, Key::ArrowRight);
    desk.until_tab("Scheduler");
    key(&mut desk, Modifiers::CTRL | Modifiers::SHIFT, Key::Tab);
    desk.until_tab("Backup & Restore");
    // A list opens, and closes with what was chosen.
    reach(&mut desk, Role::ComboBox, "Compression rate");
    key(&mut desk, Modifiers::NONE, Key::Space);
    reach(&mut desk, Role::Button, "Compact");
    key(&mut desk, Modifiers::NONE, Key::Enter);
    desk.until("the list to close", |h, _| h.query_by_role_and_label(Role::Button, "Compact").is_none());
    assert!(desk.harness.get_by_role_and_label(Role::ComboBox, "Compression rate").is_focused());
    // What the window is too small for scrolls to where it is seen.
    let last = "Integrate the last log if the data file is incomplete";
    reach(&mut desk, Role::CheckBox, last);
    let place = desk.harness.get_by_role_and_label(Role::CheckBox, last).rect();
    let ok = desk.harness.get_by_role_and_label(Role::Button, "OK").rect();
    assert!(place.bottom() < ok.top(), "{place:?} {ok:?}");
    key(&mut desk, Modifiers::NONE, Key::Space);
    reach(&mut desk, Role::Button, "OK");
    key(&mut desk, Modifiers::NONE, Key::Enter);
    desk.until_closed();
    let saved = desk.saved();
    assert_eq!((saved.scheduler.frequency, saved.scheduler.at), (Frequency::EveryDay, at(4, 15)));
    assert!(!saved.restore.integrate_log);
    assert_eq!(saved.archive.compression, Compression::Compact);

    // Enter in a field is OK, Escape Cancel.
    key(&mut desk, Modifiers::COMMAND, Key::Comma);
    desk.until_tab("Scheduler");
    desk.type_into("Time of the day", "05:00");
    key(&mut desk, Modifiers::NONE, Key::Enter);
    desk.until_closed();
    assert_eq!(desk.saved().scheduler.at, at(5, 0));
    key(&mut desk, Modifiers::COMMAND, Key::Comma);
    desk.until_tab("Scheduler");
    desk.type_into("Time of the day", "06:00");
    key(&mut desk, Modifiers::NONE, Key::Escape);
    desk.until_closed();
    assert_eq!(desk.saved().scheduler.at, at(5, 0));
}

#[test]
fn the_dialog_opens_from_the_menu_and_from_the_backup_dialog_and_goes_with_its_data_file() {
    let mut desk = Desk::new();
    let path = desk.open_data_file(10);
    let menu = if cfg!(target_os = "macos") { "File" } else { "Edit" };
    desk.press(menu);
    desk.press("Settings");
    desk.press("User settings for data file…");
    desk.until_tab("Scheduler");
    desk.press("Cancel");
    desk.until_closed();
    desk.press("Backup…");
    desk.until_shown("Office[0001].4BK");
    // Above the page, which has a button for it too.
    desk.click_where("Settings…", |h| h.query_all_by_role_and_label(Role::Button, "Settings…").last());
    desk.until_tab("Scheduler");
    desk.send(Command::CloseDataFile { path });
    desk.until_closed();
}

#[test]
fn everything_in_the_dialog_has_a_name_of_its_own() {
    let mut desk = Desk::new();
    desk.open_data_file(10);
    desk.ask_settings();
    for (tab, choose) in [("Scheduler", "Personalized"), ("Configuration", ""), ("Backup & Restore", "")] {
        desk.tab(tab);
        if !choose.is_empty() {
            desk.radio(choose);
        }
        let dialog = desk.harness.get_by_role_and_label(Role::Dialog, "User settings for data file");
        let wanted = [Role::Button, Role::TextInput, Role::CheckBox, Role::RadioButton, Role::ComboBox, Role::Tab];
        let mut names: Vec<(Role, String)> = dialog
            .query_all(egui_kittest::kittest::by().predicate(|_| true))
            .map(|node| (node.accesskit_node().role(), node.accesskit_node().label().unwrap_or_default()))
            .filter(|(role, _)| wanted.contains(role))
            .collect();
        assert!(names.len() > 8, "{tab}: {names:?}");
        let is_icon = |name: &str| name.chars().any(|c| ('\u{e000}'..'\u{f8ff}').contains(&c));
        assert!(names.iter().all(|(_, name)| !name.is_empty() && !is_icon(name)), "{tab}: {names:?}");
        let count = names.len();
        names.sort();
        names.dedup();
        assert_eq!(names.len(), count, "{tab}: two have one name in {names:?}");
    }
}
