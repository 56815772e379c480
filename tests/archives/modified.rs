//! Whether a data file was modified since its last backup: never a wrong no.

use crate::support;

use std::{fs, path::Path};

use proptest::prelude::*;
use rusqlite::Connection;
use strongroom::{
    backup::modified::unmodified_since,
    control::Control,
    journal::{Capture, CaptureConfig},
    restore::{self, Logs, RestoreOptions},
    settings::SettingsFile,
    storage::Disk,
};
use support::{Place, logical_content, make_data_file};

fn unmodified(place: &Place, data: &Path, log: Option<&Capture>) -> Option<u32> {
    let settings = SettingsFile::load(data, &place.own()).unwrap();
    unmodified_since(data, &settings, log, &Control::default()).unwrap().map(|number| number.0)
}

#[test]
fn without_a_log_only_the_same_content_counts_as_unmodified() {
    for mode in ["WAL", "DELETE"] {
        let place = Place::new();
        let data = place.at("a.sqlite");
        let application = make_data_file(&data, &format!("PRAGMA journal_mode={mode}"), 2000);
        application.execute_batch("PRAGMA wal_autocheckpoint=0").unwrap();
        assert_eq!(unmodified(&place, &data, None), None, "there is no backup yet");
        place.backup(&data).unwrap();
        assert_eq!(unmodified(&place, &data, None), Some(1));
        // As much written as before, of the same length: in WAL mode neither size nor counter tell.
        application.execute_batch("UPDATE t SET c=c+1 WHERE id=700").unwrap();
        assert_eq!(unmodified(&place, &data, None), None, "{mode}: in the WAL");
        application.execute_batch("PRAGMA wal_checkpoint(TRUNCATE)").unwrap();
        assert_eq!(unmodified(&place, &data, None), None, "{mode}: checkpointed");
        place.backup(&data).unwrap();
        // Checkpointed, touched, opened: no modification.
        application.execute_batch("PRAGMA wal_checkpoint(TRUNCATE); SELECT count(*) FROM t").unwrap();
        // Only its times: through its own program, since to open it here would drop SQLite's locks.
        assert!(std::process::Command::new("touch").arg(&data).status().unwrap().success());
        assert_eq!(unmodified(&place, &data, None), Some(2), "{mode}");
        // Taken back in a second transaction: in rollback mode the counter has moved, and that is enough to be careful.
        application.execute_batch("UPDATE t SET c=c+1 WHERE id=5; UPDATE t SET c=c-1 WHERE id=5").unwrap();
        assert_eq!(unmodified(&place, &data, None), (mode == "WAL").then_some(2), "{mode}");
        application.execute_batch("DELETE FROM k; VACUUM").unwrap();
        assert_eq!(unmodified(&place, &data, None), None, "{mode}");
    }
}

#[test]
fn the_log_knows_it_without_reading_the_data_file() {
    let place = Place::new();
    let data = place.at("a.sqlite");
    let application = make_data_file(&data, "PRAGMA journal_mode=WAL", 100);
    let mut settings = SettingsFile::load(&data, &place.own()).unwrap();
    settings.change(&place.own(), |s| s.data_file_id = Some(uuid::Uuid::new_v4())).unwrap();
    let identity = settings.settings().data_file_id.unwrap();
    let log = Capture::start(CaptureConfig::new(&data, &place.at("a.journal"), identity)).unwrap();
    let made = strongroom::backup::run(
        &Disk,
        &data,
        &mut settings,
        &place.own(),
        &place.at("Backups"),
        Some(&log),
        Default::default(),
        &Control::default(),
    )
    .unwrap();
    assert!(made.log_position.is_some());
    assert_eq!(unmodified(&place, &data, Some(&log)), Some(1));
    application.execute_batch("INSERT INTO k VALUES('new',1)").unwrap();
    assert_eq!(unmodified(&place, &data, Some(&log)), None);
    // The same content again, by a further commit: the log says modified, and that is enough to be careful.
    application.execute_batch("DELETE FROM k WHERE k='new'").unwrap();
    assert_eq!(unmodified(&place, &data, Some(&log)), None);
    drop(application);
    // An archive from before the log was used is compared by content.
    drop(log);
    place.backup(&data).unwrap();
    let log = Capture::start(CaptureConfig::new(&data, &place.at("b.journal"), identity)).unwrap();
    assert_eq!(unmodified(&place, &data, Some(&log)), Some(2));
}

#[test]
fn a_backup_that_is_gone_damaged_incomplete_or_made_with_other_settings_does_not_count() {
    let place = Place::new();
    fs::create_dir(place.at("data")).unwrap();
    let data = place.at("data/a.sqlite");
    make_data_file(&data, "", 100);
    let change = |edit: &dyn Fn(&mut strongroom::settings::Settings)| {
        SettingsFile::load(&data, &place.own()).unwrap().change(&place.own(), |s| edit(s)).unwrap();
    };
    let first = place.backup(&data).unwrap();
    assert_eq!(unmodified(&place, &data, None), Some(1));
    change(&|s| s.keep.last = 9);
    assert_eq!(unmodified(&place, &data, None), None, "the settings are part of a backup");
    let second = place.backup(&data).unwrap();
    assert_eq!(unmodified(&place, &data, None), Some(2));
    let bytes = fs::read(&second.archive).unwrap();
    fs::write(&second.archive, &bytes[..bytes.len() - 1]).unwrap();
    assert_eq!(unmodified(&place, &data, None), None, "damaged");
    fs::remove_file(&second.archive).unwrap();
    assert_eq!(unmodified(&place, &data, None), None, "the one before was made with other settings");
    change(&|s| s.keep.last = 3);
    assert!(first.archive.exists());
    change(&|s| s.content.attachments = vec![place.at("missing")]);
    place.backup(&data).unwrap();
    assert_eq!(unmodified(&place, &data, None), None, "an attachment is missing in it");
    fs::write(place.at("missing"), "there").unwrap();
    let whole = place.backup(&data).unwrap();
    assert_eq!(unmodified(&place, &data, None), Some(whole.number.0));
    change(&|s| s.destination.folder = Some(place.at("elsewhere")));
    assert_eq!(unmodified(&place, &data, None), None, "no backup in the folder in force");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn what_counts_as_unmodified_is_in_the_archive(
        mode in prop::sample::select(vec!["WAL", "DELETE", "TRUNCATE"]),
        steps in prop::collection::vec((0u8..7, 1u32..60), 1..14),
    ) {
        let place = Place::new();
        let data = place.at("a.sqlite");
        let mut application = make_data_file(&data, &format!("PRAGMA journal_mode={mode}"), 60);
        let mut last = place.backup(&data).unwrap();
        for (step, n) in steps {
            match step {
                0 => application.execute_batch(&format!("UPDATE t SET c=c+1 WHERE id={n}")).unwrap(),
                1 => application.execute_batch(&format!("UPDATE t SET c=c-1 WHERE id={n}")).unwrap(),
                2 => application.execute_batch("PRAGMA wal_checkpoint(TRUNCATE)").unwrap(),
                3 => application.execute_batch("VACUUM").unwrap(),
                4 => last = place.backup(&data).unwrap(),
                5 => application.execute_batch(&format!("BEGIN; DELETE FROM t WHERE id={n}; ROLLBACK")).unwrap(),
                _ => {
                    drop(application);
                    application = Connection::open(&data).unwrap();
                }
            }
            if let Some(number) = unmodified(&place, &data, None) {
                prop_assert_eq!(number, last.number.0);
                let to = place.at(&format!("to {}", uuid::Uuid::new_v4()));
                let options = RestoreOptions { logs: Logs::None, ..RestoreOptions::all(&to) };
                restore::run(&Disk, &last.archive, &options, &Control::default()).unwrap();
                prop_assert!(logical_content(&to.join("a.sqlite")) == logical_content(&data));
            } else {
                prop_assert!(step != 4, "just made, and yet modified");
            }
        }
    }
}
