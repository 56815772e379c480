//! How many bytes of log a small change costs.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stderr, missing_docs)]

mod support;

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

#[test]
fn small_updates_cost_a_small_part_of_the_wal() {
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
    let (before, mut seed) = (fs::metadata(&log).unwrap().len(), 7u64);
    let commits = 3000u64;
    for n in 0..commits {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let (key, value) = ((seed >> 33) as i64 % 50_000 + 1, 1_700_000_000_000_000 + n as i64 * 2000);
        conn.execute("UPDATE t SET n=?2 WHERE k=?1", [key, value]).unwrap();
        // Each alone, as at a slow pace.
        capture.flush().unwrap();
    }
    let bytes = fs::metadata(&log).unwrap().len() - before;
    let part = bytes as f64 / (commits * FRAME) as f64;
    assert!(part <= 0.035, "{bytes} bytes for {commits} commits: {part}");
    let mut reader = LogReader::open(&log).unwrap();
    let mut count = 0;
    while reader.next_record().unwrap().is_some() {
        count += 1;
    }
    assert_eq!((count, reader.tail().state.is_some()), (commits, true), "each of them, with a checksum of the state");
}
