//! Every write and every sync of the log fails once: the application goes on, nothing is lost, and the log has no gap.

use crate::support::between::{Between, DiskBetween};

use std::{
    fs,
    io::{Seek, SeekFrom, Write},
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use rusqlite::Connection;
use strongroom::{
    control::Control,
    error::{Error, ErrorKind, Result},
    journal::{
        Capture, CaptureConfig, CaptureState, Cut, LastArchive, Position,
        integrate::{PlanEnd, Until, integrate, plan},
        next_path, table_path,
    },
    sqlite::snapshot::Snapshot,
    storage::{Disk, Ownership, Storage, StorageFile},
};
use uuid::Uuid;

/// Counts what changes the disk, and fails where it is told to.
#[derive(Default)]
struct Faults {
    done: AtomicU64,
    /// The step that fails; 0 for none.
    at: AtomicU64,
    /// Whether everything after it fails too, as after a crash or on a disk that is full.
    stays: AtomicBool,
}

#[derive(Clone, Default)]
struct Faulty(Arc<Faults>);

impl Faulty {
    fn step(&self) -> Result<bool> {
        let n = self.0.done.fetch_add(1, Ordering::SeqCst) + 1;
        let at = self.0.at.load(Ordering::SeqCst);
        let fails = at > 0 && (n == at || n > at && self.0.stays.load(Ordering::SeqCst));
        if fails { Err(Error::new(ErrorKind::NoSpace, "no space left on device")) } else { Ok(at > 0) }
    }

    fn arm(&self, at: u64, stays: bool) {
        self.0.done.store(0, Ordering::SeqCst);
        self.0.stays.store(stays, Ordering::SeqCst);
        self.0.at.store(at, Ordering::SeqCst);
    }
}

struct FaultyFile(Box<dyn StorageFile>, Faulty);

impl StorageFile for FaultyFile {
    fn write_all(&mut self, bytes: &[u8]) -> Result<()> {
        if let Err(error) = self.1.step() {
            // A part arrives all the same.
            let _ = self.0.write_all(&bytes[..bytes.len() / 3]);
            return Err(error);
        }
        self.0.write_all(bytes)
    }

    fn sync(&mut self) -> Result<()> {
        self.1.step()?;
        self.0.sync()
    }

    fn read_at(&mut self, offset: u64, buffer: &mut [u8]) -> Result<()> {
        self.0.read_at(offset, buffer)
    }

    fn length(&mut self) -> Result<u64> {
        self.0.length()
    }

    fn truncate(&mut self, length: u64) -> Result<()> {
        self.1.step()?;
        self.0.truncate(length)
    }
}

impl Storage for Faulty {
    fn create(&self, path: &Path, ownership: Ownership) -> Result<Box<dyn StorageFile>> {
        self.step()?;
        Ok(Box::new(FaultyFile(Disk.create(path, ownership)?, self.clone())))
    }

    fn open(&self, path: &Path) -> Result<Box<dyn StorageFile>> {
        Ok(Box::new(FaultyFile(Disk.open(path)?, self.clone())))
    }

    fn rename_new(&self, from: &Path, to: &Path) -> Result<()> {
        self.step()?;
        Disk.rename_new(from, to)
    }

    fn sync_folder(&self, folder: &Path) -> Result<()> {
        self.step()?;
        Disk.sync_folder(folder)
    }

    fn remove(&self, path: &Path) -> Result<()> {
        self.step()?;
        Disk.remove(path)
    }
}

struct Scene {
    folder: tempfile::TempDir,
    storage: Faulty,
    writer: Connection,
    n: i64,
}

impl Scene {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let writer = Connection::open(folder.path().join("data.sqlite")).unwrap();
        writer
            .execute_batch("PRAGMA journal_mode=WAL; PRAGMA synchronous=OFF; CREATE TABLE t(n INTEGER PRIMARY KEY, v)")
            .unwrap();
        writer.busy_timeout(Duration::from_secs(5)).unwrap();
        Self { folder, storage: Faulty::default(), writer, n: 0 }
    }

    fn at(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn config(&self) -> CaptureConfig {
        let mut config = CaptureConfig::new(&self.at("data.sqlite"), &self.at("data.journal"), Uuid::nil());
        config.storage = Arc::new(self.storage.clone());
        config
    }

    fn commit(&mut self) {
        self.n += 1;
        self.writer.execute("INSERT INTO t VALUES(?1, hex(zeroblob(300)))", [self.n]).unwrap();
    }

    fn cut(&self, capture: &Capture, number: u32) -> Result<(Cut, Position)> {
        let data = self.at("data.sqlite");
        let mut cut = capture.cut(number, move || Snapshot::begin(&data, Duration::ZERO, &Control::default()))?;
        let snapshot = cut.take_snapshot()?;
        let mut bytes = vec![0; snapshot.len() as usize];
        snapshot.read(0, &mut bytes)?;
        fs::write(self.at(&format!("base{number}")), &bytes).unwrap();
        let position = cut.position();
        if let Ok(mut table) = cut.page_table(snapshot.page_size()) {
            let _ = table.push(&bytes).and_then(|()| table.finish());
        }
        Ok((cut, position))
    }

    fn last(&self, position: Position, previous_log: &str) -> LastArchive {
        let bytes = self.at(&format!("base{}", position.archive)).metadata().unwrap().len();
        let (page_size, moment) = (4096, chrono::Utc::now());
        let page_count = (bytes / u64::from(page_size)) as u32;
        LastArchive { position, moment, page_size, page_count, previous_log: self.at(previous_log) }
    }

    /// Integrates everything on base 1 and counts the rows.
    fn rows(&self, from: &Position) -> (i64, PlanEnd, usize) {
        let logs: Vec<PathBuf> = fs::read_dir(self.folder.path())
            .unwrap()
            .map(|e| e.unwrap().path())
            .filter(|p| p.extension().is_some_and(|e| e == "journal" || e == "4BL" || e == "next"))
            .collect();
        let found = plan(Uuid::nil(), from, &logs, &Control::default()).unwrap();
        let target = self.at("target");
        fs::copy(self.at("base1"), &target).unwrap();
        integrate(&target, &found, Until::End, &Control::default()).unwrap();
        let conn = Connection::open(&target).unwrap();
        assert_eq!(conn.query_row("PRAGMA integrity_check", [], |r| r.get::<_, String>(0)).unwrap(), "ok");
        let rows = conn.query_row("SELECT count(*) FROM t", [], |r| r.get(0)).unwrap();
        drop(conn);
        for name in ["target-wal", "target-shm"] {
            let _ = fs::remove_file(self.at(name));
        }
        (rows, found.end, found.catch_ups.len())
    }
}

/// Asks until the log is in order again.
fn flushed(capture: &Capture) -> Position {
    for _ in 0..2000 {
        if let Ok(position) = capture.flush()
            && capture.status().state == CaptureState::On
        {
            return position;
        }
        thread::sleep(Duration::from_millis(5));
    }
    panic!("the log never came back: {:?}", capture.status());
}

#[test]
fn a_write_or_sync_that_fails_leaves_no_gap() {
    let mut scene = Scene::new();
    let capture = Capture::start(scene.config()).unwrap();
    scene.commit();
    let (cut, from) = scene.cut(&capture, 1).unwrap();
    cut.commit(&scene.at("data[0000].4BL")).unwrap();
    for fault in 1..=6 {
        scene.storage.arm(fault, false);
        for _ in 0..5 {
            scene.commit();
            let _ = capture.flush();
        }
        scene.storage.arm(0, false);
        flushed(&capture);
    }
    let status = capture.status();
    assert_eq!((status.catch_ups, status.error), (0, None));
    assert_eq!(scene.rows(&from), (scene.n, PlanEnd::Complete, 0));
}

#[test]
fn a_full_disk_is_shown_at_once_and_the_log_goes_on_without_a_gap_when_there_is_space() {
    let mut scene = Scene::new();
    let capture = Capture::start(scene.config()).unwrap();
    let (cut, from) = scene.cut(&capture, 1).unwrap();
    cut.commit(&scene.at("data[0000].4BL")).unwrap();
    scene.storage.arm(1, true);
    scene.commit();
    assert_eq!(capture.flush().unwrap_err().kind(), ErrorKind::NoSpace);
    for _ in 0..3000 {
        scene.commit();
    }
    let status = capture.status();
    assert_eq!(status.state, CaptureState::Held);
    assert!(status.error.is_some_and(|e| e.kind == ErrorKind::NoSpace));
    scene.storage.arm(0, false);
    flushed(&capture);
    assert_eq!(scene.rows(&from), (scene.n, PlanEnd::Complete, 0));
}

#[test]
fn a_checkpointer_of_the_application_never_waits_for_a_full_disk() {
    let mut scene = Scene::new();
    let capture = Capture::start(scene.config()).unwrap();
    let (cut, from) = scene.cut(&capture, 1).unwrap();
    cut.commit(&scene.at("data[0000].4BL")).unwrap();
    scene.storage.arm(1, true);
    scene.commit();
    assert!(capture.flush().is_err());
    // The pins hold the WAL until this one waits for them; then they let go, and the log knows that it must compare.
    // Two checkpoints at one moment are refused by SQLite without waiting, so a single answer says nothing.
    let truncate = || scene.writer.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |r| r.get::<_, i64>(0)).unwrap();
    assert!((0..100).any(|_| truncate() == 0 || {
        thread::sleep(Duration::from_millis(10));
        false
    }));
    scene.commit();
    scene.storage.arm(0, false);
    flushed(&capture);
    let (rows, end, catch_ups) = scene.rows(&from);
    assert_eq!((rows, end), (scene.n, PlanEnd::Complete));
    assert_eq!(catch_ups, 1);
}

/// The index of a data file that is in use counts commits that were made before its WAL was emptied.
#[test]
fn a_log_that_begins_before_an_empty_wal_records_the_next_commit_as_a_step_of_its_own() {
    let mut scene = Scene::new();
    scene.commit();
    let capture = Capture::start(scene.config()).unwrap();
    let (cut, from) = scene.cut(&capture, 1).unwrap();
    cut.commit(&scene.at("data[0000].4BL")).unwrap();
    capture.stop();
    scene.commit();
    let truncate = || scene.writer.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |r| r.get::<_, i64>(0)).unwrap();
    assert_eq!(truncate(), 0);
    let capture = Capture::start(scene.config()).unwrap();
    flushed(&capture);
    let at_start = capture.status();
    for _ in 0..3 {
        scene.commit();
        flushed(&capture);
    }
    let now = capture.status();
    assert_eq!((now.commits, now.catch_ups), (at_start.commits + 3, at_start.catch_ups), "{now:?}");
    assert_eq!(scene.rows(&from), (scene.n, PlanEnd::Complete, 1));
}

/// What is committed just before the snapshot is logged from the snapshot alone; then the pin must move as well.
#[test]
fn a_checkpointer_does_not_wait_for_the_log_after_a_cut() {
    let mut scene = Scene::new();
    let capture = Capture::start(scene.config()).unwrap();
    scene.commit();
    flushed(&capture);
    // Everything comes into the data file, but while it is read the WAL cannot be emptied.
    let reader = Connection::open(scene.at("data.sqlite")).unwrap();
    reader.execute_batch("BEGIN; SELECT count(*) FROM t").unwrap();
    thread::sleep(Duration::from_millis(500));
    let data = scene.at("data.sqlite");
    scene.n += 1;
    let insert = format!("INSERT INTO t VALUES({}, 'just before')", scene.n);
    let cut = capture.cut(1, move || {
        Connection::open(&data).unwrap().execute_batch(&insert).unwrap();
        Snapshot::begin(&data, Duration::ZERO, &Control::default())
    });
    cut.unwrap().abandon().unwrap();
    reader.execute_batch("COMMIT").unwrap();
    // Two checkpoints at one moment are refused by SQLite without waiting, so only an answer after that long counts.
    let patience = Duration::from_secs(30);
    scene.writer.busy_timeout(patience).unwrap();
    let full = || scene.writer.query_row("PRAGMA wal_checkpoint(FULL)", [], |r| r.get::<_, i64>(0)).unwrap();
    loop {
        let begun = Instant::now();
        if full() == 0 {
            break;
        }
        assert!(begun.elapsed() < patience / 2, "it waited in vain");
        thread::sleep(Duration::from_millis(10));
    }
}

/// A backup whose rotation stops at any step, as by a crash, is settled at the next start, one way or the other.
#[test]
fn a_crash_at_any_step_of_a_rotation_loses_nothing() {
    for succeeds in [true, false] {
        for fault in 1..=24 {
            let mut scene = Scene::new();
            let capture = Capture::start(scene.config()).unwrap();
            scene.commit();
            let (cut, from) = scene.cut(&capture, 1).unwrap();
            cut.commit(&scene.at("data[0000].4BL")).unwrap();
            scene.commit();
            scene.storage.arm(fault, true);
            let mut archive = None;
            if let Ok((cut, position)) = scene.cut(&capture, 2) {
                scene.commit();
                let _ = capture.flush();
                let _ = if succeeds {
                    archive = Some(position);
                    cut.commit(&scene.at("data[0001].4BL")).map(drop)
                } else {
                    cut.abandon()
                };
            }
            scene.commit();
            capture.stop();
            scene.commit();

            scene.storage.arm(0, false);
            let mut config = scene.config();
            let last = archive.unwrap_or(from);
            let previous = format!("data[{:04}].4BL", last.archive - 1);
            config.last_archive = Some(scene.last(last, &previous));
            let capture = Capture::start(config).unwrap();
            scene.commit();
            flushed(&capture);
            assert!(!next_path(&scene.at("data.journal")).exists(), "step {fault}");
            assert_eq!(scene.at("data[0001].4BL").exists(), archive.is_some(), "step {fault}");
            let (rows, end, _) = scene.rows(&from);
            assert_eq!((rows, end), (scene.n, PlanEnd::Complete), "step {fault}, archive {}", archive.is_some());
            capture.stop();
            let _ = table_path(&scene.at("data.journal"));
        }
    }
}

#[test]
fn a_second_engine_is_refused_and_a_foreign_or_damaged_log_is_explained() {
    let mut scene = Scene::new();
    let capture = Capture::start(scene.config()).unwrap();
    assert_eq!(Capture::start(scene.config()).unwrap_err().kind(), ErrorKind::InUse);
    let (cut, from) = scene.cut(&capture, 1).unwrap();
    cut.commit(&scene.at("data[0000].4BL")).unwrap();
    for _ in 0..20 {
        scene.commit();
        capture.flush().unwrap();
    }
    capture.stop();
    let mut foreign = scene.config();
    foreign.identity = Uuid::from_u128(9);
    let error = Capture::start(foreign).unwrap_err();
    assert!(error.kind() == ErrorKind::Refused && error.hint_text().is_some());

    // A damaged place in the middle: kept aside, and the chain is restorable again.
    let log = scene.at("data.journal");
    let mut bytes = fs::read(&log).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&log, &bytes).unwrap();
    let mut config = scene.config();
    config.last_archive = Some(scene.last(from, "data[0000].4BL"));
    let capture = Capture::start(config).unwrap();
    scene.commit();
    flushed(&capture);
    assert!(capture.status().error.is_some_and(|e| e.kind == ErrorKind::Damaged));
    let kept = fs::read_dir(scene.folder.path()).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap());
    assert_eq!(kept.filter(|name| name.contains(".damaged-")).count(), 1);
    let (rows, end, _) = scene.rows(&from);
    assert_eq!((rows, end), (scene.n, PlanEnd::Complete));
    drop(capture);

    let other = scene.at("other.sqlite");
    Connection::open(&other).unwrap().execute_batch("CREATE TABLE t(x)").unwrap();
    let error = Capture::start(CaptureConfig::new(&other, &scene.at("other.journal"), Uuid::nil())).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Refused);
    fs::write(scene.at("text.journal"), "not a log").unwrap();
    let mut config = scene.config();
    config.log = scene.at("text.journal");
    assert_eq!(Capture::start(config).unwrap_err().kind(), ErrorKind::NotRecognised);
}

/// Another program at the log, right before it is written or synced: then its times are ours again.
#[derive(Clone, Default)]
struct Meddled(Arc<Meddling>);

#[derive(Default)]
struct Meddling {
    /// Whether it comes right before a sync, and not before a write.
    at_sync: AtomicBool,
    is_armed: AtomicBool,
    /// Whether it cuts the file, or else overwrites a byte of it.
    cuts: AtomicBool,
}

impl Meddled {
    fn meddle(&self, path: &Path, at_sync: bool) {
        if self.0.at_sync.load(Ordering::SeqCst) != at_sync || !self.0.is_armed.swap(false, Ordering::SeqCst) {
            return;
        }
        // So that the system's clock has gone on since the file was written last.
        thread::sleep(Duration::from_millis(20));
        let mut file = fs::File::options().write(true).open(path).unwrap();
        if self.0.cuts.load(Ordering::SeqCst) {
            file.set_len(200).unwrap();
        } else {
            file.seek(SeekFrom::Start(260)).and_then(|_| file.write_all(&[0xa5])).unwrap();
        }
    }
}

impl Between for Meddled {
    fn before_write(&self, path: &Path) {
        self.meddle(path, false);
    }

    fn before_sync(&self, path: &Path) {
        self.meddle(path, true);
    }
}

#[test]
fn a_log_that_is_cut_or_overwritten_between_our_own_writes_is_not_called_complete() {
    // That a byte was overwritten in the very moment of a write, nothing but reading all could tell.
    for (at_sync, cuts) in [(false, true), (true, true), (true, false)] {
        let mut scene = Scene::new();
        let meddled = Meddled::default();
        let mut config = scene.config();
        config.storage = Arc::new(DiskBetween(meddled.clone()));
        let capture = Capture::start(config).unwrap();
        for _ in 0..3 {
            scene.commit();
            flushed(&capture);
        }
        meddled.0.at_sync.store(at_sync, Ordering::SeqCst);
        meddled.0.cuts.store(cuts, Ordering::SeqCst);
        meddled.0.is_armed.store(true, Ordering::SeqCst);
        scene.commit();
        let begun = std::time::Instant::now();
        while capture.status().state == CaptureState::On {
            let _ = capture.flush();
            assert!(begun.elapsed() < Duration::from_secs(60), "at_sync {at_sync}, cuts {cuts}: nobody noticed");
            thread::sleep(Duration::from_millis(5));
        }
        let error = capture.status().error.unwrap();
        assert_eq!(error.kind, ErrorKind::Replaced, "{error:?}");
    }
}

/// The first time it was harmless; that must not hide the second one.
#[test]
fn a_log_that_is_touched_twice_is_read_again_twice() {
    let mut scene = Scene::new();
    let mut config = scene.config();
    config.storage = Arc::new(Disk);
    let capture = Capture::start(config).unwrap();
    for _ in 0..3 {
        scene.commit();
        flushed(&capture);
    }
    let log = scene.at("data.journal");
    let mode = fs::metadata(&log).unwrap().permissions();
    fs::set_permissions(&log, mode).unwrap();
    // Whoever asks has the log compared.
    flushed(&capture);
    thread::sleep(Duration::from_millis(20));
    let mut file = fs::File::options().write(true).open(&log).unwrap();
    file.seek(SeekFrom::Start(260)).and_then(|_| file.write_all(&[0xa5])).unwrap();
    let begun = std::time::Instant::now();
    while capture.status().state == CaptureState::On {
        let _ = capture.flush();
        assert!(begun.elapsed() < Duration::from_secs(30), "nobody noticed");
        thread::sleep(Duration::from_millis(5));
    }
    assert_eq!(capture.status().error.unwrap().kind, ErrorKind::Replaced);
}
