//! The power fails at any step of a backup that cuts the log: everything that was not synced is lost or half there,
//! names that were not made durable are gone or not, and the next start finds its way from what is left. What was
//! acknowledged as logged is still there commit by commit, every archive under a final name is whole, and restores lead
//! to now.
#![cfg(unix)]

use crate::support;

use std::{
    collections::{BTreeMap, HashMap},
    fs,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use rusqlite::Connection;
use strongroom::{
    archive::{Archive, ArchiveOptions},
    backup,
    control::Control,
    engine::Command,
    error::{Error, ErrorKind, Result},
    journal::{Capture, CaptureConfig, CaptureState, LastArchive, integrate::Until},
    restore::Logs,
    settings::SettingsFile,
    storage::{Disk, Ownership, Storage, StorageFile, identity::FileStamp},
    verify,
};
use support::{
    Place,
    engine::{backup as full_backup, engine, open_with_log, restore, until},
    make_data_file, names_in,
};

/// A change of names that is not durable yet.
#[derive(Clone)]
enum Change {
    Made(PathBuf, u64),
    Renamed(PathBuf, PathBuf),
    Removed(PathBuf),
}

/// What the platters hold beside what the system shows.
#[derive(Default)]
struct Platters {
    /// Content of each file as of its last sync.
    content: HashMap<u64, Vec<u8>>,
    /// Which file has which name, as the system shows it and as it is on the platters.
    live: BTreeMap<PathBuf, u64>,
    durable: BTreeMap<PathBuf, u64>,
    pending: Vec<Change>,
    next: u64,
    steps: u32,
    fails_at: u32,
}

impl Platters {
    fn step(&mut self) -> Result<()> {
        self.steps += 1;
        if self.fails_at > 0 && self.steps >= self.fails_at {
            return Err(Error::new(ErrorKind::Io, "the power is off"));
        }
        Ok(())
    }

    fn apply(names: &mut BTreeMap<PathBuf, u64>, change: &Change) {
        match change {
            Change::Made(path, file) => _ = names.insert(path.clone(), *file),
            Change::Renamed(from, to) => {
                if let Some(file) = names.remove(from) {
                    names.insert(to.clone(), file);
                }
            }
            Change::Removed(path) => _ = names.remove(path),
        }
    }

    fn change(&mut self, change: Change) {
        Self::apply(&mut self.live, &change);
        self.pending.push(change);
    }
}

/// A disk whose power can fail. What happens goes to real files, so that everything can read them.
#[derive(Clone, Default)]
struct PowerDisk(Arc<Mutex<Platters>>);

struct PowerFile {
    file: Box<dyn StorageFile>,
    id: u64,
    disk: PowerDisk,
}

impl PowerDisk {
    fn platters(&self) -> MutexGuard<'_, Platters> {
        self.0.lock().unwrap()
    }

    /// Everything in `folder` is durable as it is.
    fn note(&self, folder: &Path) {
        let mut platters = self.platters();
        for name in names_in(folder) {
            let path = folder.join(name);
            if path.is_file() {
                platters.next += 1;
                let file = platters.next;
                platters.content.insert(file, fs::read(&path).unwrap());
                platters.live.insert(path.clone(), file);
                platters.durable.insert(path, file);
            }
        }
    }

    /// The machine comes up again: files and names are as `chance` lets them be.
    fn lose_power(&self, chance: &mut Chance) {
        let platters = self.platters();
        let mut names = platters.durable.clone();
        // What was not made durable arrived up to some point.
        let arrived = chance.below(platters.pending.len() + 1);
        platters.pending[..arrived].iter().for_each(|change| Platters::apply(&mut names, change));
        let shown: HashMap<u64, Vec<u8>> =
            platters.live.iter().filter_map(|(path, file)| Some((*file, fs::read(path).ok()?))).collect();
        platters.live.keys().for_each(|path| _ = fs::remove_file(path));
        for (path, file) in names {
            let mut content = platters.content.get(&file).cloned().unwrap_or_default();
            if let Some(shown) = shown.get(&file).filter(|shown| shown.len() > content.len()) {
                let kept = content.len();
                match chance.below(3) {
                    0 => {}
                    // The length arrived, and the content did not.
                    1 => content.resize(shown.len(), 0),
                    _ => content.extend_from_slice(&shown[kept..kept + chance.below(shown.len() - kept + 1)]),
                }
            }
            fs::write(path, content).unwrap();
        }
    }
}

impl StorageFile for PowerFile {
    fn write_all(&mut self, bytes: &[u8]) -> Result<()> {
        self.disk.platters().step()?;
        self.file.write_all(bytes)
    }

    fn sync(&mut self) -> Result<()> {
        let mut platters = self.disk.platters();
        platters.step()?;
        self.file.sync()?;
        let mut content = vec![0; self.file.length()? as usize];
        self.file.read_at(0, &mut content)?;
        platters.content.insert(self.id, content);
        Ok(())
    }

    fn read_at(&mut self, offset: u64, buffer: &mut [u8]) -> Result<()> {
        self.file.read_at(offset, buffer)
    }

    fn length(&mut self) -> Result<u64> {
        self.file.length()
    }

    fn truncate(&mut self, length: u64) -> Result<()> {
        self.disk.platters().step()?;
        self.file.truncate(length)
    }

    fn stamp(&mut self) -> Result<Option<FileStamp>> {
        self.file.stamp()
    }
}

impl Storage for PowerDisk {
    fn create(&self, path: &Path, ownership: Ownership) -> Result<Box<dyn StorageFile>> {
        let mut platters = self.platters();
        platters.step()?;
        let file = Disk.create(path, ownership)?;
        platters.next += 1;
        let id = platters.next;
        platters.content.insert(id, Vec::new());
        platters.change(Change::Made(path.to_path_buf(), id));
        Ok(Box::new(PowerFile { file, id, disk: self.clone() }))
    }

    fn open(&self, path: &Path) -> Result<Box<dyn StorageFile>> {
        let id = *self.platters().live.get(path).expect("a file that nobody made");
        Ok(Box::new(PowerFile { file: Disk.open(path)?, id, disk: self.clone() }))
    }

    fn rename_new(&self, from: &Path, to: &Path) -> Result<()> {
        let mut platters = self.platters();
        platters.step()?;
        Disk.rename_new(from, to)?;
        platters.change(Change::Renamed(from.to_path_buf(), to.to_path_buf()));
        Ok(())
    }

    fn sync_folder(&self, folder: &Path) -> Result<()> {
        let mut platters = self.platters();
        platters.step()?;
        // Of that folder alone: names elsewhere wait for their own.
        let is_there = |path: &Path| path.parent() == Some(folder);
        let (mut durable, mut left) = (platters.durable.clone(), Vec::new());
        for change in std::mem::take(&mut platters.pending) {
            match &change {
                Change::Made(path, _) | Change::Removed(path) | Change::Renamed(_, path) if is_there(path) => {
                    Platters::apply(&mut durable, &change);
                }
                _ => left.push(change),
            }
        }
        (platters.durable, platters.pending) = (durable, left);
        Ok(())
    }

    fn remove(&self, path: &Path) -> Result<()> {
        let mut platters = self.platters();
        platters.step()?;
        Disk.remove(path)?;
        platters.change(Change::Removed(path.to_path_buf()));
        Ok(())
    }

    fn discard(&self, path: &Path) {
        let _ = self.remove(path);
    }
}

/// A small generator, the same every time.
struct Chance(u64);

impl Chance {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((self.0 >> 33) as usize) % limit.max(1)
    }
}

struct Scene {
    place: Place,
    data: PathBuf,
    log: PathBuf,
    application: Connection,
    rows: i64,
}

impl Scene {
    /// A data file with a log and one full backup; nobody looks after it.
    fn new() -> Self {
        let place = Place::in_memory();
        let data = place.at("a.sqlite");
        let application = make_data_file(&data, "PRAGMA journal_mode=WAL; PRAGMA synchronous=OFF", 30);
        application.execute_batch("CREATE TABLE done(n INTEGER PRIMARY KEY)").unwrap();
        let log = place.at("Backups/a.journal");
        let mut scene = Self { place, data, log, application, rows: 0 };
        let engine = engine(&scene.place);
        open_with_log(&engine.handle(), &scene.data, &scene.log);
        full_backup(&engine.handle(), &scene.data);
        scene.commit();
        scene
    }

    fn commit(&mut self) {
        self.rows += 1;
        self.application.execute("INSERT INTO done VALUES(?1)", [self.rows]).unwrap();
    }

    fn settings(&self) -> SettingsFile {
        SettingsFile::load(&self.data, &self.place.own().join("strongroom")).unwrap()
    }

    /// The log on a disk whose power will fail.
    fn capture(&self, disk: &PowerDisk) -> Capture {
        let identity = self.settings().settings().data_file_id.unwrap();
        let mut config = CaptureConfig::new(&self.data, &self.log, identity);
        config.storage = Arc::new(disk.clone());
        let archive = Archive::glance(&self.place.at("Backups/a[0001].4BK")).unwrap();
        config.last_archive = Some(LastArchive {
            position: archive.log_position.unwrap(),
            moment: archive.moment.to_utc(),
            page_size: archive.page_size,
            page_count: archive.page_count,
            previous_log: self.place.at("Backups/a[0000].4BL"),
        });
        Capture::start(config).unwrap()
    }
}

fn rows(path: &Path) -> i64 {
    let conn = Connection::open(path).unwrap();
    assert_eq!(conn.query_row("PRAGMA integrity_check", [], |r| r.get::<_, String>(0)).unwrap(), "ok");
    conn.query_row("SELECT count(*) FROM done", [], |r| r.get(0)).unwrap()
}

/// Whether the power failed before everything was done.
fn play(fails_at: u32, chance: &mut Chance) -> bool {
    let mut scene = Scene::new();
    let disk = PowerDisk::default();
    disk.note(&scene.place.at("Backups"));
    let capture = scene.capture(&disk);
    assert!((0..1000).any(|_| {
        std::thread::sleep(Duration::from_millis(2));
        capture.flush().is_ok() && capture.status().state == CaptureState::On
    }));
    disk.platters().steps = 0;
    disk.platters().fails_at = fails_at;
    // Commits that the log has acknowledged, with what the data file held then.
    let mut acknowledged = Vec::new();
    let mut commit = |scene: &mut Scene| {
        scene.commit();
        if let Ok(position) = capture.flush() {
            acknowledged.push((position.commit, scene.rows));
        }
    };
    commit(&mut scene);
    let (mut settings, own) = (scene.settings(), scene.place.own().join("strongroom"));
    let (folder, control) = (scene.place.at("Backups"), Control::default());
    let options = ArchiveOptions::default();
    let made = backup::run(&disk, &scene.data, &mut settings, &own, &folder, Some(&capture), options, &control);
    commit(&mut scene);
    commit(&mut scene);
    let failed = disk.platters().steps >= fails_at;
    capture.stop();
    disk.lose_power(chance);

    let engine = engine(&scene.place);
    let handle = engine.handle();
    handle.send(Command::OpenDataFile { path: scene.data.clone() }).unwrap();
    let is_on = |log: &strongroom::journal::CaptureStatus| log.state == CaptureState::On;
    until(&handle, |s| s.data_file(&scene.data).is_some_and(|d| d.log.as_ref().is_some_and(is_on)));
    scene.commit();
    let archives: Vec<String> = names_in(&folder).into_iter().filter(|name| name.ends_with(".4BK")).collect();
    // A backup that was told to be made is there.
    assert!(made.is_err() || failed || archives.len() == 2, "{archives:?}");
    for name in &archives {
        let archive = folder.join(name);
        verify::run(&archive, &Control::default()).unwrap();
        let to = scene.place.at(&format!("to {name}"));
        restore(&handle, &archive, &to, Logs::Found, Until::End);
        assert_eq!(rows(&to.join("a.sqlite")), scene.rows, "step {fails_at}, {name}: {archives:?}");
    }
    if let Some((commit, held)) = acknowledged.last() {
        let to = scene.place.at("acknowledged");
        restore(&handle, &folder.join(&archives[0]), &to, Logs::Found, Until::Commit(*commit));
        assert_eq!(rows(&to.join("a.sqlite")), *held, "step {fails_at}: commit {commit} was logged");
    }
    failed
}

#[test]
fn what_was_acknowledged_survives_a_power_failure_at_any_step() {
    let mut chance = Chance(7);
    for round in 0..2 {
        let mut step = 1;
        while play(step, &mut chance) {
            step += 1;
        }
        assert!(step > 20, "the power never failed in the middle of a backup: {step} steps in round {round}");
    }
}
