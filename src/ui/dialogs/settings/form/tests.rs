//! What the form makes of settings, and settings of the form.

use super::*;
use crate::{
    archive::options::{Compression, Rate},
    backup::places::Place,
    settings::sections::{Content, DeleteOldest, Keep, Scheduler, Weekday},
    storage::disks::DiskFacts,
};

fn form(settings: &Settings) -> SettingsForm {
    SettingsForm::of("/data/Office.sqlite".into(), settings.clone(), Tab::Scheduler)
}

/// Settings that differ from the defaults in everything that the dialog shows.
fn other() -> Result<Settings, String> {
    let mut settings = Settings { on_finish: vec!["/bin/true".into()], last_number: 7, ..Settings::default() };
    for (field, text) in [
        (field::AT, "06:30:15"),
        (field::DAY, "31"),
        (field::EVERY, "3"),
        (field::FROM, "2026-11-22"),
        (field::FOLDER, "/other/Backups"),
        (field::LOG, "/other/Office.journal"),
        (field::LAST, "9"),
        (field::RETRY_AFTER, "45"),
        (field::CANCEL_AFTER, "2"),
        (field::SEGMENT, "33"),
    ] {
        field::set(&mut settings, field, text)?;
    }
    settings.scheduler.weekdays = [Weekday::Tuesday, Weekday::Friday].into();
    (settings.scheduler.unit, settings.scheduler.only_if_modified) = (Unit::Weeks, true);
    settings.content = Content { program: vec!["/opt/office".into()], attachments: vec!["/srv/letters".into()] };
    settings.destination.earlier = vec!["/old".into()];
    settings.log.allow_network = true;
    settings.keep = Keep { delete_oldest: DeleteOldest::Before, ..settings.keep };
    (settings.failure.retry, settings.failure.cancel) = (Retry::After, true);
    settings.archive.compression = Compression::Compact;
    (settings.archive.interlacing, settings.archive.redundancy) = (Rate::Low, Rate::High);
    (settings.restore.if_damaged, settings.restore.integrate_log) = (true, false);
    Ok(settings)
}

#[test]
fn a_form_that_nobody_touched_means_the_settings_it_was_filled_with() -> Result<(), String> {
    for unit in Unit::ALL {
        for frequency in Frequency::ALL {
            for mut settings in [Settings::default(), other()?] {
                (settings.scheduler.frequency, settings.scheduler.unit) = (*frequency, *unit);
                if *frequency == Frequency::EveryWeek {
                    settings.scheduler.weekdays = [Weekday::Friday].into();
                }
                let form = form(&settings);
                assert_eq!(form.settings(), settings);
                assert!(!form.is_changed());
                for field in field::ALL {
                    assert_eq!(form.problem(field), None, "{field}");
                }
            }
        }
    }
    Ok(())
}

#[test]
fn what_is_typed_into_every_field_becomes_the_setting() -> Result<(), String> {
    let wanted = other()?;
    let mut form = form(&Settings { scheduler: Scheduler::default(), ..wanted.clone() });
    let source = SettingsForm::of(form.data_file.clone(), wanted.clone(), Tab::Scheduler);
    form.base = Settings::default();
    form.draft = Settings {
        scheduler: Scheduler { frequency: Frequency::Personalized, ..Scheduler::default() },
        ..Settings::default()
    };
    form.draft.failure = wanted.failure.clone();
    for field in field::ALL.into_iter().filter(|field| *field != field::WEEKDAYS) {
        form.type_into(field, format!(" {} ", source.text(field)));
        assert_eq!(form.problem(field), None, "{field}");
    }
    let made = form.settings();
    for field in field::ALL.into_iter().filter(|field| *field != field::WEEKDAYS) {
        let value = |settings: &Settings| Key::find(field).and_then(|key| key.get(settings)).map(|v| v.to_string());
        assert_eq!(value(&made), value(&wanted), "{field}");
    }
    Ok(())
}

#[test]
fn a_wrong_text_is_said_and_the_last_good_value_stands_in_for_it() {
    let mut form = form(&Settings::default());
    form.draft.scheduler.frequency = Frequency::EveryDay;
    form.type_into(field::AT, "06:30".to_owned());
    form.type_into(field::AT, "06:3x".to_owned());
    assert_eq!(form.problem(field::AT).as_deref(), Some("Give a time such as 23:00."));
    assert_eq!(form.settings().scheduler.at.to_string(), "06:30:00");
    form.draft.scheduler.frequency = Frequency::Never;
    assert_eq!(form.problem(field::AT), None, "it does not count now");

    form.draft.scheduler.frequency = Frequency::Personalized;
    form.type_into(field::EVERY, "48".to_owned());
    assert_eq!(form.problem(field::EVERY), None);
    form.draft.scheduler.unit = Unit::Hours;
    assert_eq!(form.problem(field::EVERY).as_deref(), Some("Give a whole number from 1 to 24."));
    form.draft.scheduler.unit = Unit::Weeks;
    form.draft.scheduler.weekdays.clear();
    assert_eq!(form.problem(field::WEEKDAYS).as_deref(), Some("Choose at least one day."));
    form.use_log = true;
    for wrong in ["", "Office.journal", "/", "/srv/"] {
        form.type_into(field::LOG, wrong.to_owned());
        assert_eq!(form.problem(field::LOG).as_deref(), Some("Give the full path of a file."), "{wrong}");
    }
}

#[test]
fn an_interval_is_counted_from_today_when_it_was_chosen_just_now() -> Result<(), String> {
    let today = Local::now().date_naive();
    let mut form = form(&Settings::default());
    form.draft.scheduler.frequency = Frequency::Personalized;
    assert_eq!(form.settings().scheduler.from, None, "every day is counted from nowhere");
    form.type_into(field::EVERY, "2".to_owned());
    let counted = form.settings().scheduler.from.ok_or("counted from nowhere")?;
    assert!((counted - today).num_days() <= 1);
    assert_eq!(form.text(field::FROM), counted.to_string());
    form.type_into(field::FROM, "2026-01-05".to_owned());
    assert_eq!(form.settings().scheduler.from.map(|day| day.to_string()).as_deref(), Some("2026-01-05"));
    Ok(())
}

#[test]
fn the_log_is_proposed_in_the_folder_for_archives_until_somebody_chooses_another() {
    let mut form = form(&Settings::default());
    form.use_log = true;
    assert_eq!(form.settings().log.file, Some("/data/Backups/Office.journal".into()));
    form.choose(PathFor::Destination, "/other".into());
    assert_eq!(form.settings().log.file, Some("/other/Office.journal".into()));
    form.choose(PathFor::Log, "/logs".into());
    form.choose(PathFor::Destination, "/data/Backups".into());
    assert_eq!(form.settings().log.file, Some("/logs/Office.journal".into()));
    assert_eq!(form.settings().destination.folder, None, "the folder proposed is no choice");
    assert!(form.log_is_new());
    form.use_log = false;
    assert_eq!(form.settings(), Settings::default());
}

#[test]
fn what_is_in_the_content_already_is_not_added_again() {
    let mut form = form(&Settings::default());
    form.choose(PathFor::Program, "/opt/office".into());
    form.choose(PathFor::Attachment, "/opt/office".into());
    assert_eq!(form.not_added.as_deref(), Some("/opt/office is in the list already."));
    form.choose(PathFor::Attachment, "/srv/letters".into());
    assert_eq!(form.not_added, None);
    let content = form.settings().content;
    assert_eq!((content.program.len(), content.attachments), (1, vec!["/srv/letters".into()]));
}

#[test]
fn a_new_log_on_a_network_drive_is_refused_unless_the_administrator_insists() {
    let disk = |is_network| DiskFacts {
        file_system: "nfs4".to_owned(),
        mount_point: "/nas".into(),
        is_network,
        is_removable: false,
        is_memory: false,
        physical: BTreeSet::new(),
    };
    let place =
        |is_network| Place { folder: "/nas".into(), space: None, disk: Some(disk(is_network)), warnings: Vec::new() };
    let mut form = form(&Settings::default());
    form.use_log = true;
    assert!(form.refuses_log_at(Some(&place(true))));
    assert!(!form.refuses_log_at(Some(&place(false))) && !form.refuses_log_at(None));
    form.draft.log.allow_network = true;
    assert!(!form.refuses_log_at(Some(&place(true))));
    form.draft.log.allow_network = false;
    form.use_log = false;
    assert!(!form.refuses_log_at(Some(&place(true))));
    // What is in use already stands in nobody's way who changes something else.
    let settings = form.settings();
    let mut used = settings.clone();
    used.log.file = Some("/nas/Office.journal".into());
    assert!(!self::form(&used).refuses_log_at(Some(&place(true))));
}
