//! Writers are kept out for a moment where they are faster than the capture, and go on whatever becomes of it.

use crate::support::between::{Between, DiskBetween};

use std::{
    path::Path,
    sync::{Arc, Condvar, Mutex},
    thread,
    time::Duration,
};

use rusqlite::Connection;
use strongroom::journal::{Capture, CaptureConfig, CaptureState};
use uuid::Uuid;

/// A disk whose syncs wait until they are let through.
#[derive(Default)]
struct Doors {
    /// How many may still go through, where it matters.
    left: Option<u32>,
    /// How many have come to the door since then.
    came: u32,
}

#[derive(Clone, Default)]
struct Hanging(Arc<(Mutex<Doors>, Condvar)>);

impl Hanging {
    fn pass(&self) {
        let (doors, changed) = &*self.0;
        let mut doors = doors.lock().unwrap();
        doors.came += 1;
        changed.notify_all();
        let mut doors = changed.wait_while(doors, |doors| doors.left == Some(0)).unwrap();
        doors.left = doors.left.map(|left| left - 1);
    }

    /// Lets so many syncs through, and all of them with `None`.
    fn let_through(&self, left: Option<u32>) {
        let (doors, changed) = &*self.0;
        doors.lock().unwrap().left = left;
        changed.notify_all();
    }

    /// Waits until so many have come to the door.
    fn until(&self, came: u32) {
        let (doors, changed) = &*self.0;
        let still = |doors: &mut Doors| doors.came < came;
        let doors = changed.wait_timeout_while(doors.lock().unwrap(), Duration::from_secs(300), still).unwrap().0;
        assert!(doors.came >= came, "the log was not synced");
    }

    fn came(&self) -> u32 {
        self.0.0.lock().unwrap().came
    }
}

impl Between for Hanging {
    fn before_sync(&self, _path: &Path) {
        self.pass();
    }
}

/// The capture is far behind, and so keeps writers out before it reads on; then the disk of the log hangs, without end.
#[test]
fn a_writer_goes_on_while_the_disk_of_the_log_hangs_in_the_midst_of_keeping_writers_out() {
    let folder = tempfile::tempdir().unwrap();
    let (data, log) = (folder.path().join("data.sqlite"), folder.path().join("data.journal"));
    let writer = Connection::open(&data).unwrap();
    writer
        .execute_batch("PRAGMA page_size=1024; PRAGMA journal_mode=WAL; PRAGMA synchronous=OFF; CREATE TABLE t(v)")
        .unwrap();
    // Longer than anybody is ever kept out, even on a machine that has much else to do; the disk hangs for longer.
    writer.busy_timeout(Duration::from_secs(60)).unwrap();
    let write = |bytes: u32| writer.execute("INSERT INTO t VALUES(zeroblob(?1))", [bytes]);

    let disk = Hanging::default();
    let mut config = CaptureConfig::new(&data, &log, Uuid::nil());
    config.storage = Arc::new(DiskBetween(disk.clone()));
    let capture = Capture::start(config).unwrap();
    let begun = capture.flush().unwrap();

    let came = disk.came();
    disk.let_through(Some(0));
    write(10).unwrap();
    disk.until(came + 1);
    // More than what it takes for the lock to be asked for first.
    write(13_000_000).unwrap();
    disk.let_through(Some(1));
    disk.until(came + 2);
    let written = write(10);
    let after = disk.came();
    // A capture that fails here must end all the same.
    disk.let_through(None);
    written.unwrap();
    // That was in the midst of it.
    assert_eq!(after, came + 2);

    let wanted = begun.commit + 3;
    while capture.flush().map_or(0, |position| position.commit) < wanted {
        thread::sleep(Duration::from_millis(5));
    }
    let status = capture.status();
    assert_eq!((status.state, status.catch_ups, status.error), (CaptureState::On, 0, None));
}
