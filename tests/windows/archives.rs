//! Archives in the window: damaged, repaired, proven, in segments that are elsewhere, and on a disk that is full.
#![cfg(all(feature = "gui", unix))]

use crate::desk;
#[cfg(target_os = "linux")]
use crate::disk;

use std::{
    fs,
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use desk::{Desk, named};
use eframe::egui::accesskit::Role;
use egui_kittest::kittest::{NodeT, Queryable};
use strongroom::{
    archive::{ArchiveOptions, Compression, Rate},
    backup::BackupReport,
    engine::{
        Command, JobId, Status,
        status::{FinishedJob, JobReport},
    },
    settings::{SettingsFile, sections::TestRestore},
};

const MB: u64 = 1 << 20;

/// The last job that somebody asked for; tests of new archives come by themselves.
fn last_asked(status: &Status) -> Option<&FinishedJob> {
    status.finished.iter().find(|job| !job.automatic)
}

fn last(status: &Status) -> JobReport {
    last_asked(status).unwrap().result.clone().unwrap()
}

fn hash(path: &Path) -> String {
    blake3::hash(&fs::read(path).unwrap()).to_hex().to_string()
}

impl Desk {
    /// A backup stored in this way, into the folder of the settings or another one.
    fn store(&mut self, options: ArchiveOptions, destination: Option<PathBuf>) -> JobId {
        let (job, data_file) = (JobId::new(), self.status().data_files[0].facts.path.clone());
        self.send(Command::Backup { job, data_file, destination, options: Some(options) });
        job
    }

    fn stored(&mut self, options: ArchiveOptions) -> BackupReport {
        let job = self.store(options, None);
        self.until("the backup", |_, s| s.finished_job(job).is_some());
        let JobReport::Backup(report) = last(&self.status()) else { panic!() };
        self.until("the archive in the list", |_, s| {
            s.data_files[0].archives.first().is_some_and(|a| a.path == report.archive)
        });
        report
    }

    /// Presses, and waits until the job that follows has ended.
    fn press_and_wait(&mut self, label: &str) {
        let before = last_asked(&self.status()).map(|job| job.id);
        let is_new = |s: &Status| !s.jobs.is_empty() || last_asked(s).map(|job| job.id) != before;
        // What the page shows may come between the pointer and the button, as for a person: he presses again.
        for _ in 0..5 {
            self.press(label);
            let begun = Instant::now();
            while !is_new(&self.status()) && begun.elapsed() < Duration::from_secs(20) {
                self.harness.run_steps(2);
                std::thread::sleep(Duration::from_millis(10));
            }
            if is_new(&self.status()) {
                break;
            }
        }
        self.until("the job", |_, s| s.jobs.is_empty() && last_asked(s).map(|job| job.id) != before);
        self.harness.run_steps(3);
    }

    /// Waits until the dialog *Repair archive…* proposes this name.
    fn until_proposed(&mut self, copy: &Path) {
        self.until("the name of the copy", |harness, _| {
            let field = harness.get_by_role_and_label(Role::TextInput, "Sound copy");
            field.accesskit_node().value().as_deref() == copy.to_str()
        });
    }

    /// Types a folder into the dialog that chooses one.
    fn choose_folder(&mut self, folder: &Path) {
        self.until_shown("Folder above");
        self.type_into("Path", &folder.display().to_string());
        self.press("Choose this folder");
    }
}

/// What an administrator sees in a bad hour: 5 % of an archive overwritten in the middle, as dd does.
#[test]
fn a_damaged_archive_is_verified_restored_and_repaired_in_the_window() {
    let mut desk = Desk::new();
    let data_file = desk.open_data_file(3000);
    // Whether it was proven is what is looked at here: nothing is proven that nobody asks for.
    let own = desk.path("own");
    let mut settings = SettingsFile::load(&data_file, &own).unwrap();
    settings.change(&own, |settings| settings.proof.test_restore = TestRestore::Never).unwrap();
    desk.until("the settings", |_, s| s.data_files[0].settings.proof.test_restore == TestRestore::Never);
    let made = desk.stored(ArchiveOptions { redundancy: Rate::Medium, ..ArchiveOptions::default() });
    let good = fs::read(&made.archive).unwrap();
    let part = good.len() / 20;
    let file = fs::File::options().write(true).open(&made.archive).unwrap();
    file.write_all_at(&vec![0xdd; part], part as u64 * 9).unwrap();
    drop(file);
    let damaged = fs::read(&made.archive).unwrap();
    assert!(damaged != good);

    desk.press("Restore");
    desk.until_shown("redundancy Medium");
    assert!(desk.is_shown("Any single damaged stretch of about "));
    assert!(desk.is_shown("Never. A test restore proves it."));
    desk.press_and_wait("Verify archive 0001");
    desk.until_shown("Archive 0001 is damaged, but can be repaired: ");
    assert!(desk.is_shown("Write a sound copy now, before more is lost"));
    desk.until_shown(": damaged, but can be repaired");

    desk.ask_restore(1);
    desk.press_and_wait("Restore archive 0001");
    desk.until_shown("Archive 0001 restored");
    assert!(desk.is_shown("The archive is damaged and was repaired on the fly: "));
    assert_eq!(hash(&desk.path("Backups/Office[0001]/Office.sqlite")), made.blake3);

    desk.press_and_wait("Test restore 0001");
    desk.until_shown("Archive 0001 is restorable");
    desk.until("the proof on the page", |h, _| h.query_by_label_contains("Never. A test restore").is_none());
    let proven = desk.status().proven[0].proven.format("%Y-%m-%d %H:%M:%S").to_string();
    desk.until_shown(&proven);

    desk.press("Repair archive 0001…");
    desk.until_shown("blocks of ");
    let copy = made.archive.with_file_name("Office[0001] repaired.4BK");
    desk.until_proposed(&copy);
    desk.press_and_wait("Repair archive");
    desk.until_shown("Archive 0001 repaired into Office[0001] repaired.4BK");
    assert!(fs::read(&copy).unwrap() == good, "the copy is what the archive was");
    assert!(fs::read(&made.archive).unwrap() == damaged, "the only one was not touched");
    // The copy is what one wants now; the damaged one is still there.
    desk.until("the copy", |h, _| named(h, "Repaired copy of archive 0001").next().is_some());
    desk.press("Archive 0001");
    desk.until_shown("Restore the repaired copy of 0001…");
    assert!(desk.status().data_files[0].warnings.iter().all(|warning| !warning.kind.is_urgent()));
    // Never over something that is there.
    desk.press("Repair archive 0001…");
    desk.until_proposed(&made.archive.with_file_name("Office[0001] repaired 2.4BK"));
    desk.type_into("Sound copy", &made.archive.display().to_string());
    desk.press_and_wait("Repair archive");
    desk.until_shown("Repair failed: ");
    assert!(fs::read(&made.archive).unwrap() == damaged);

    // With its beginning lost a glance does not tell what it is, a verification does.
    fs::write(&made.archive, [vec![0; 64], good[64..].to_vec()].concat()).unwrap();
    desk.press_and_wait("Verify archive 0001");
    desk.until_shown(": damaged, but can be repaired");

    // Beyond repair it says so, and names what is still whole.
    let mut lost = good;
    let half = lost.len() / 2;
    lost[4096..half].fill(0xdd);
    fs::write(&made.archive, lost).unwrap();
    desk.press_and_wait("Verify archive 0001");
    desk.until_shown("Verification failed: ");
    desk.until_shown("is damaged beyond repair: ");
    desk.until_shown(": damaged beyond repair");
}

#[test]
fn missing_segments_are_asked_for_one_folder_after_the_other_and_then_it_goes_on() {
    let mut desk = Desk::new();
    let data = desk.open_data_file(4000);
    let segments =
        ArchiveOptions { segment_bytes: Some(MB), compression: Compression::None, ..ArchiveOptions::default() };
    let made = desk.stored(segments);
    let count = made.files.len();
    assert!(count >= 4);
    desk.press("Restore");
    desk.until_shown(&format!("{count} segments; all are there"));
    let move_to = |desk: &Desk, n: usize, folder: &str| {
        fs::create_dir_all(desk.path(folder)).unwrap();
        fs::rename(&made.files[n - 1], desk.path(folder).join(made.files[n - 1].file_name().unwrap())).unwrap();
    };
    move_to(&desk, 2, "disk two");
    move_to(&desk, count, "disk last");
    desk.send(Command::Refresh { data_file: data });
    desk.until_shown(&format!(
        "{} segments found; segments 0002 and {count:04} (or one after it) are missing",
        count - 2
    ));

    desk.press("Verify archive 0001");
    desk.until_shown("Segments of an archive");
    let last = format!("segment {count:04}");
    desk.until_shown(&format!("Segments 0002 and {count:04} (or one after it) are not in the folder of the archive."));
    desk.press("Choose the folder of segment 0002…");
    let folder = desk.path("disk two");
    desk.choose_folder(&folder);
    desk.until_shown(&format!("Segment {count:04} (or one after it) is not in the folder of the archive."));
    desk.press(&format!("Choose the folder of {last}…"));
    let folder = desk.path("disk last");
    desk.choose_folder(&folder);
    // Nothing more is to be pressed.
    desk.until_shown("Archive 0001 is sound");

    // The folders are remembered while the window is open.
    desk.ask_restore(1);
    desk.press_and_wait("Restore archive 0001");
    desk.until_shown("Archive 0001 restored");
    assert_eq!(hash(&desk.path("Backups/Office[0001]/Office.sqlite")), made.blake3);
}

#[test]
fn a_restore_asks_for_missing_segments_in_its_own_dialog() {
    let mut desk = Desk::new();
    desk.open_data_file(3000);
    let made = desk.stored(ArchiveOptions {
        segment_bytes: Some(MB),
        compression: Compression::None,
        ..ArchiveOptions::default()
    });
    fs::create_dir(desk.path("other")).unwrap();
    let other = desk.path("other").join(made.files[0].file_name().unwrap());
    fs::rename(&made.files[0], &other).unwrap();
    desk.send(Command::Refresh { data_file: desk.status().data_files[0].facts.path.clone() });
    desk.press("Restore");
    desk.until_shown("segment 0001 is missing");
    desk.press("Restore archive 0001…");
    desk.until_shown("Segment 0001 is not in the folder of the archive.");
    desk.press("Choose the folder of segment 0001…");
    let folder = desk.path("other");
    desk.choose_folder(&folder);
    desk.until_shown("Data file: Office.sqlite");
    desk.press_and_wait("Restore archive 0001");
    desk.until_shown("Archive 0001 restored");
    let JobReport::Restore(report) = last(&desk.status()) else { panic!() };
    assert_eq!(hash(&report.destination.join("Office.sqlite")), made.blake3);
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_in_the_middle_of_a_backup_is_answered_in_the_window() {
    let mut desk = Desk::new();
    desk.open_data_file(5000);
    let Some(disk) = disk::SmallDisk::mount(&desk.path("small"), "3m") else { return };
    let stored =
        ArchiveOptions { segment_bytes: Some(MB), compression: Compression::None, ..ArchiveOptions::default() };
    let job = desk.store(stored, Some(disk.0.clone()));
    desk.until_shown(&format!("The disk of {} is full", disk.0.display()));
    assert!(desk.is_shown("Without an answer by "));
    desk.until_shown("Waits for an answer");
    desk.press("Go on in another folder…");
    let more = desk.path("more");
    fs::create_dir(&more).unwrap();
    desk.choose_folder(&more);
    desk.until("the backup", |_, s| s.finished_job(job).is_some());
    desk.until_shown("Full backup 0001 succeeded");
    assert!(desk.is_shown(&format!("{} and {}.", more.display(), disk.0.display())));
    let JobReport::Backup(report) = last(&desk.status()) else { panic!() };
    assert!(report.files.iter().any(|f| f.starts_with(&more)) && report.files.iter().any(|f| f.starts_with(&disk.0)));
    fs::remove_dir_all(&more).unwrap();
    report.files.iter().filter(|f| f.starts_with(&disk.0)).for_each(|f| fs::remove_file(f).unwrap());
    fs::remove_file(disk.0.join("Office[0001].4BK.segments")).unwrap();

    let job = desk.store(stored, Some(disk.0.clone()));
    desk.until_shown(" is full");
    desk.press("Stop backup");
    desk.until("the end", |_, s| s.finished_job(job).is_some());
    desk.until_shown("Full backup stopped by the user");
    assert_eq!(fs::read_dir(&disk.0).unwrap().count(), 0);
}

#[test]
fn an_archive_is_held_with_a_note_and_released() {
    let mut desk = Desk::new();
    desk.open_data_file(10);
    let archive = desk.back_up(1);
    desk.press("Restore");
    desk.until_shown("Checked by SQLite: records and indexes are whole");
    desk.press("Hold archive 0001…");
    desk.type_into("Note", "before the migration");
    desk.press("Hold archive");
    desk.until_shown("Archive 0001, held");
    desk.until_shown(": before the migration");
    let held = archive.with_file_name("Office[0001].4BK.hold");
    assert!(fs::read_to_string(&held).unwrap().contains("note = \"before the migration\""));
    // The note can be corrected.
    desk.press("Hold archive 0001…");
    desk.type_into("Note", " ");
    desk.press("Hold archive");
    desk.until("the hold without a note", |h, _| {
        h.query_all_by_label_contains(": before the migration").next().is_none()
    });
    desk.press("Release archive 0001");
    desk.until("the release", |_, s| s.data_files[0].archives[0].hold.is_none());
    assert!(!held.exists() && archive.exists());
}

#[test]
fn a_partial_archive_is_called_so_on_every_page_and_named_in_dialogs() {
    let mut desk = Desk::new();
    let data = desk.open_data_file(100);
    let (photos, own) = (desk.path("photos"), desk.path("own"));
    fs::create_dir(&photos).unwrap();
    fs::write(photos.join("one.jpg"), "one").unwrap();
    let mut settings = SettingsFile::load(&data, &own).unwrap();
    settings.change(&own, |settings| settings.content.attachments = vec![photos.clone()]).unwrap();
    desk.until("the settings", |_, s| !s.data_files[0].settings.content.attachments.is_empty());
    desk.stored(ArchiveOptions::default());
    fs::remove_dir_all(&photos).unwrap();
    desk.stored(ArchiveOptions::default());
    desk.until_shown("Last whole one");
    desk.until_shown("the newest whole one, 0001 of ");
    assert!(desk.is_shown("Partial"));

    desk.press("Restore");
    desk.press("Archive 0002");
    desk.until_shown("Partial: 1 chosen file or folder is missing or not whole");
    desk.press_and_wait("Verify archive 0002");
    desk.until_shown("Archive 0002 is as it was written, but partial");
    let missing = format!("{} does not exist any more", photos.display());
    assert!(desk.is_shown(&missing));
    desk.until_shown(": as it was written, but partial");
    desk.ask_restore(2);
    desk.until_shown(&format!("The archive is partial. Not in it, or not whole: {missing}"));
    desk.press_and_wait("Restore archive 0002");
    desk.until_shown("Archive 0002 restored");
    desk.until_shown("Of what was asked for, this is not in it, or not whole:");
    desk.press("Archive 0001");
    desk.until_shown("All that was chosen is in it");
}
