//! How many bytes of log a small change costs.

use crate::support;

use std::{fs, time::Duration};

use rusqlite::Connection;
use strongroom::{
    control::Control,
    journal::{Capture, CaptureConfig, reader::LogReader},
    sqlite::snapshot::Snapshot,
};
use support::Place;

/// Bytes of a frame of the WAL: its header and a page.
const FRAME: u64 = 24 + 4096;

/// A log that is begun at an archive, and nothing in it.
struct Begun {
    _place: Place,
    conn: Connection,
    capture: Capture,
    log: std::path::PathBuf,
}

fn begin() -> Begun {
    let place = Place::new();
    let (data, log) = (place.at("a.sqlite"), place.at("a.journal"));
    let conn = Connection::open(&data).unwrap();
    // As the bench of the log does it.
    conn.execute_batch(
        "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL; CREATE TABLE t(k INTEGER PRIMARY KEY, n, v);
         WITH RECURSIVE i(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM i WHERE i<50000)
         INSERT INTO t SELECT i, 0, 'record '||i||' '||hex(randomblob(40)) FROM i; PRAGMA wal_checkpoint(TRUNCATE)",
    )
    .unwrap();
    let capture = Capture::start(CaptureConfig::new(&data, &log, uuid::Uuid::new_v4())).unwrap();
    let path = data.clone();
    let begin = move || Snapshot::begin(&path, Duration::from_secs(5), &Control::default());
    let mut cut = capture.cut(1, begin).unwrap();
    let snapshot = cut.take_snapshot().unwrap();
    let mut table = cut.page_table(4096).unwrap();
    let mut content = vec![0; snapshot.len() as usize];
    snapshot.read(0, &mut content).unwrap();
    table.push(&content).unwrap();
    table.finish().unwrap();
    drop(snapshot);
    cut.commit(&place.at("a[0000].4BL")).unwrap();
    Begun { _place: place, conn, capture, log }
}

impl Begun {
    /// Commits that update one record each, each synced alone, as at a slow pace.
    fn update(&self, commits: u64, mut key: impl FnMut() -> i64) {
        let before = fs::metadata(&self.log).unwrap().len();
        for n in 0..commits {
            let value = 1_700_000_000_000_000 + n as i64 * 2000;
            self.conn.execute("UPDATE t SET n=?2 WHERE k=?1", [key(), value]).unwrap();
            self.capture.flush().unwrap();
        }
        let bytes = fs::metadata(&self.log).unwrap().len() - before;
        let part = bytes as f64 / (commits * FRAME) as f64;
        eprintln!("{bytes} bytes for {commits} commits: {part:.4}");
        assert!(part <= 0.035);
    }
}

#[test]
fn small_updates_cost_a_small_part_of_the_wal() {
    let (begun, mut seed, commits) = (begin(), 7u64, 3000);
    begun.update(commits, || {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (seed >> 33) as i64 % 50_000 + 1
    });
    let mut reader = LogReader::open(&begun.log).unwrap();
    let mut count = 0;
    while reader.next_record().unwrap().is_some() {
        count += 1;
    }
    assert_eq!((count, reader.tail().state.is_some()), (commits, true), "each of them, with a checksum of the state");
    // What the index adds when it is archived.
    let path = begun.log.with_extension("sqlite");
    let begin = move || Snapshot::begin(&path, Duration::from_secs(5), &Control::default());
    let mut cut = begun.capture.cut(2, begin).unwrap();
    cut.prove().unwrap();
    let archived = begun.log.with_file_name("a[0001].4BL");
    cut.commit(&archived).unwrap();
    let (records, all) = (reader.tail().length, fs::metadata(&archived).unwrap().len());
    eprintln!("the index of {records} bytes takes {}", all - records);
    assert!(all > records && (all - records) as f64 <= records as f64 * 0.06);
}

/// Also over a stop of the log: what it holds is known again.
#[test]
fn a_page_that_changes_all_the_time_is_recorded_whole_from_time_to_time() {
    let mut begun = begin();
    begun.update(400, || 25_000);
    let (log, data) = (begun.log.clone(), begun.log.with_extension("sqlite"));
    let identity = LogReader::open(&log).unwrap().header().identity;
    begun.capture.stop();
    begun.capture = Capture::start(CaptureConfig::new(&data, &log, identity)).unwrap();
    begun.update(400, || 25_000);
    let mut reader = LogReader::open(&log).unwrap();
    let (mut since, mut keys) = (0, 0);
    while let Some(record) = reader.next_record().unwrap() {
        reader
            .pages(&record, &mut |entry| {
                since = if entry.encoding < 2 { 0 } else { since + 1 };
                keys += u32::from(entry.encoding < 2);
                assert!(since < 256);
                Ok(())
            })
            .unwrap();
    }
    assert_eq!(keys, 3, "of 800 entries of one page");
}
