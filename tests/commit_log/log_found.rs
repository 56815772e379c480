//! What lies where the log should be: missing, older, damaged or of another shape, it is recognised and said, and the
//! data file is protected again at once.

use crate::support;

use std::{
    fs,
    path::{Path, PathBuf},
};

use rusqlite::Connection;
use strongroom::{
    archive::{Archive, Entry, Identity, Item, ItemKind, Source, writer},
    control::Control,
    engine::{Command, Engine},
    error::{ErrorKind, ErrorReport, Result},
    journal::{CaptureState, CaptureStatus, integrate::Until},
    restore::{self, Logs, RestoreOptions},
    storage::{Disk, Ownership},
};
use support::{
    Place,
    engine::{backup, engine, open_with_log, restore as restore_job, until},
    logical_content, make_data_file, names_in,
};

struct Scene {
    place: Place,
    data: PathBuf,
    log: PathBuf,
    application: Connection,
}

impl Scene {
    /// A data file with a log, a full backup, and commits after it; nobody looks after it any more.
    fn new() -> Self {
        let place = Place::new();
        let (data, log) = (place.at("a.sqlite"), place.at("Backups/a.journal"));
        let application = make_data_file(&data, "PRAGMA journal_mode=WAL", 100);
        let scene = Self { place, data, log, application };
        let engine = engine(&scene.place);
        open_with_log(&engine.handle(), &scene.data, &scene.log);
        backup(&engine.handle(), &scene.data);
        scene.commit("logged");
        scene
    }

    fn commit(&self, what: &str) {
        self.application.execute("INSERT INTO k VALUES(?1,1)", [what]).unwrap();
    }

    /// Opens the data file again, as after a start of the machine.
    fn again(&self) -> (Engine, CaptureStatus) {
        let engine = engine(&self.place);
        let handle = engine.handle();
        handle.send(Command::OpenDataFile { path: self.data.clone() }).unwrap();
        let on = |log: &CaptureStatus| log.state == CaptureState::On;
        let status = until(&handle, |s| s.data_file(&self.data).is_some_and(|d| d.log.as_ref().is_some_and(on)));
        let log = status.data_file(&self.data).unwrap().log.clone().unwrap();
        (engine, log)
    }

    fn aside(&self) -> Vec<String> {
        names_in(&self.place.at("Backups")).into_iter().filter(|n| n.contains(".set-aside-")).collect()
    }

    fn restores_to_now(&self, engine: &Engine, archive: &Path, to: &str) {
        restore_job(&engine.handle(), archive, &self.place.at(to), Logs::Found, Until::End);
        assert_eq!(logical_content(&self.place.at(to).join("a.sqlite")), logical_content(&self.data), "{to}");
    }

    fn archive(&self, number: u32) -> PathBuf {
        self.place.at(&format!("Backups/a[{number:04}].4BK"))
    }
}

fn said(error: Option<&ErrorReport>) -> (ErrorKind, String, String) {
    let error = error.expect("nothing was said");
    (error.kind, error.message.clone(), error.hint.clone().unwrap())
}

#[test]
fn a_missing_log_begins_anew_at_the_newest_archive_and_that_is_said_until_the_next_backup() {
    let scene = Scene::new();
    fs::remove_file(&scene.log).unwrap();
    fs::remove_file(scene.place.at("Backups/a.journal.pages")).unwrap();
    scene.commit("while nobody watched");
    let (engine, log) = scene.again();
    let (kind, message, hint) = said(log.error.as_ref());
    assert_eq!((kind, message), (ErrorKind::NotFound, format!("the log {} is missing", scene.log.display())));
    assert!(hint.contains("goes on from full backup 0001") && hint.contains("unless the log is found again"), "{hint}");
    assert!(log.rooted && log.catch_ups == 1 && log.position.archive == 1, "{log:?}");
    scene.commit("watched again");
    scene.restores_to_now(&engine, &scene.archive(1), "to");
    // What was between cannot be told apart, and the plan says so, from the backup on.
    let plan = strongroom::restore::plan(&scene.archive(1), &Logs::Found).unwrap();
    let stretch = &plan.log.unwrap().catch_ups[0];
    assert_eq!(stretch.from, plan.identity.moment.to_utc());
    backup(&engine.handle(), &scene.data);
    until(&engine.handle(), |s| s.data_file(&scene.data).unwrap().log.as_ref().unwrap().error.is_none());
}

#[test]
fn an_older_log_is_kept_aside_and_every_archive_still_leads_to_now() {
    let scene = Scene::new();
    let older = fs::read(&scene.log).unwrap();
    {
        let (engine, log) = scene.again();
        assert_eq!(log.error, None);
        scene.commit("before the second backup");
        backup(&engine.handle(), &scene.data);
        scene.commit("after it");
    }
    fs::write(&scene.log, &older).unwrap();
    let (engine, log) = scene.again();
    let (kind, message, hint) = said(log.error.as_ref());
    assert_eq!(kind, ErrorKind::Damaged);
    assert!(message.contains("is older than full backup 0002; it is kept as "), "{message}");
    assert!(hint.contains("goes on from full backup 0002"), "{hint}");
    let aside = scene.aside();
    assert_eq!(aside.len(), 1);
    assert_eq!(fs::read(scene.place.at("Backups").join(&aside[0])).unwrap(), older);
    scene.commit("watched again");
    scene.restores_to_now(&engine, &scene.archive(1), "from the first");
    scene.restores_to_now(&engine, &scene.archive(2), "from the second");
}

#[test]
fn a_log_of_another_past_of_this_data_file_is_kept_aside() {
    let scene = Scene::new();
    let log = fs::read(&scene.log).unwrap();
    // Two machines go on from one state, as after a restore elsewhere: the logs have one beginning and two ends.
    let (own, _) = scene.again();
    scene.commit("one past");
    backup(&own.handle(), &scene.data);
    drop(own);
    fs::write(&scene.log, &log).unwrap();
    let archive = fs::read(scene.archive(2)).unwrap();
    fs::remove_file(scene.archive(2)).unwrap();
    fs::remove_file(scene.place.at("Backups/a[0001].4BL")).unwrap();
    fs::remove_file(scene.place.at("Backups/a.journal.pages")).unwrap();
    let (own, _) = scene.again();
    for n in 0..5 {
        scene.commit(&format!("another past {n}"));
    }
    drop(own);
    fs::write(scene.archive(2), archive).unwrap();
    let (engine, log) = scene.again();
    let (_, message, _) = said(log.error.as_ref());
    assert!(message.contains("does not go on from full backup 0002"), "{message}");
    assert_eq!(scene.aside().len(), 1);
    scene.restores_to_now(&engine, &scene.archive(2), "to");
    // What was set aside still serves the archive that it follows.
    let plan = strongroom::restore::plan(&scene.archive(1), &Logs::Found).unwrap();
    assert!(plan.log.unwrap().commits >= 6);
}

#[test]
fn a_log_whose_beginning_is_damaged_is_kept_aside() {
    let scene = Scene::new();
    let mut bytes = fs::read(&scene.log).unwrap();
    bytes[90] ^= 1;
    fs::write(&scene.log, &bytes).unwrap();
    let (engine, log) = scene.again();
    let (_, message, _) = said(log.error.as_ref());
    assert!(message.contains("cannot be read: its beginning is damaged; it is kept as"), "{message}");
    scene.commit("watched again");
    scene.restores_to_now(&engine, &scene.archive(1), "to");
}

#[test]
fn a_page_size_that_changed_meanwhile_needs_a_full_backup_and_says_so() {
    let scene = Scene::new();
    let before = logical_content(&scene.data);
    let sql = "PRAGMA journal_mode=DELETE; PRAGMA page_size=8192; VACUUM; PRAGMA journal_mode=WAL";
    scene.application.execute_batch(sql).unwrap();
    let (engine, log) = scene.again();
    let (_, message, hint) = said(log.error.as_ref());
    assert!(message.contains("was made for pages of 4096 bytes, and the data file has 8192 now"), "{message}");
    assert!(hint.contains("can be restored as before") && hint.contains("make a full backup now"), "{hint}");
    assert!(!log.rooted);
    backup(&engine.handle(), &scene.data);
    scene.commit("in large pages");
    scene.restores_to_now(&engine, &scene.archive(2), "now");
    restore_job(&engine.handle(), &scene.archive(1), &scene.place.at("then"), Logs::Found, Until::End);
    assert_eq!(logical_content(&scene.place.at("then/a.sqlite")), before, "the log that was kept aside is used");
}

#[test]
fn switched_off_and_on_again_the_log_goes_on_from_the_newest_archive_without_a_further_one() {
    let scene = Scene::new();
    let (engine, _) = scene.again();
    let handle = engine.handle();
    handle.send(Command::UseLog { data_file: scene.data.clone(), log: None, switch_to_wal: false }).unwrap();
    until(&handle, |s| s.data_file(&scene.data).unwrap().log.is_none());
    fs::remove_file(&scene.log).unwrap();
    scene.commit("without a log");
    let elsewhere = scene.place.at("elsewhere/a.journal");
    open_with_log(&handle, &scene.data, &elsewhere);
    let log = handle.status().data_file(&scene.data).unwrap().log.clone().unwrap();
    assert_eq!((log.rooted, log.error), (true, None));
    scene.commit("with another one");
    scene.restores_to_now(&engine, &scene.archive(1), "to");
}

#[test]
fn an_archive_that_was_never_listed_is_restored_up_to_now() {
    let scene = Scene::new();
    let (engine, _) = scene.again();
    // Its own log is not beside it, and what was just committed is in no log yet.
    let elsewhere = scene.place.at("elsewhere");
    fs::create_dir(&elsewhere).unwrap();
    fs::copy(scene.archive(1), elsewhere.join("copy of it.4BK")).unwrap();
    for round in 0..5 {
        scene.commit(&format!("at the last moment {round}"));
        scene.restores_to_now(&engine, &elsewhere.join("copy of it.4BK"), &format!("copy {round}"));
        scene.commit(&format!("and then {round}"));
        scene.restores_to_now(&engine, &scene.archive(1), &format!("listed {round}"));
    }
}

/// The content of a file.
struct Content(Entry, Vec<u8>);

impl Source for Content {
    fn entry(&mut self, _: &[Item]) -> Result<Entry> {
        Ok(self.0.clone())
    }

    fn read(&mut self, buffer: &mut [u8]) -> Result<()> {
        let rest = self.1.split_off(buffer.len());
        buffer.copy_from_slice(&std::mem::replace(&mut self.1, rest));
        Ok(())
    }
}

/// Where the settings inside cannot tell, and nothing is left where the data file was.
#[test]
fn the_identity_of_an_archive_names_where_its_log_lies() {
    let place = Place::new();
    fs::create_dir(place.at("office")).unwrap();
    fs::create_dir(place.at("logs")).unwrap();
    let (data, log) = (place.at("office/a.sqlite"), place.at("logs/a.journal"));
    let application = make_data_file(&data, "PRAGMA journal_mode=WAL", 50);
    let archive = {
        let engine = engine(&place);
        open_with_log(&engine.handle(), &data, &log);
        let archive = backup(&engine.handle(), &data).archive;
        application.execute("INSERT INTO k VALUES('logged',1)", []).unwrap();
        until(&engine.handle(), |s| {
            s.data_file(&data).is_some_and(|d| d.log.as_ref().is_some_and(|log| log.position.commit > 0))
        });
        archive
    };
    let identity = Archive::glance(&archive).unwrap();
    assert_eq!(identity.log_file.as_deref(), Some(log.as_path()));
    let wanted = logical_content(&data);
    // The same state in an archive without settings and description.
    let to = place.at("plain");
    let plain = RestoreOptions { logs: Logs::None, ..RestoreOptions::all(&to) };
    restore::run(&Disk, &archive, &plain, &Control::default()).unwrap();
    let bytes = fs::read(to.join("a.sqlite")).unwrap();
    drop(application);
    fs::remove_dir_all(place.at("office")).unwrap();
    fs::create_dir(place.at("found")).unwrap();
    let restored = |log_file: Option<PathBuf>, name: &str| {
        let (bare, to) = (place.at("found").join(format!("{name}.4BK")), place.at(name));
        let (kind, length) = (ItemKind::DataFile, bytes.len() as u64);
        let (owner, target, not_whole, original) = (None, None, None, None);
        let (name, mode, modified) = ("a.sqlite".to_owned(), 0o600, 0);
        let entry = Entry { name, kind, length, mode, modified, owner, target, not_whole, original };
        let sources: Vec<Box<dyn Source>> = vec![Box::new(Content(entry, bytes.clone()))];
        let identity = Identity { log_file, ..identity.clone() };
        let ownership = Ownership::default();
        writer::write(&Disk, &bare, ownership, (&identity, None), sources, None, length, &Control::default()).unwrap();
        restore::run(&Disk, &bare, &RestoreOptions::all(&to), &Control::default()).unwrap();
        logical_content(&to.join("a.sqlite"))
    };
    assert!(restored(None, "not-named") != wanted);
    assert!(restored(Some(log), "named") == wanted);
}
