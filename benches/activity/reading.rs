//! Ways of reading a log, each in a process of its own, and what they are held against.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use rusqlite::Connection;
use strongroom::{
    activity::{
        filter::Filter,
        query::{Ask, Question, Rows, Source},
        session::Session,
        way::Open,
    },
    as_of::{Limits, Looked},
    control::Control,
    journal::{integrate::Until, plan::Look},
    records::{
        history::{self, Stretch, Wanted},
        store::ArchiveBase,
    },
    restore::{
        Logs, Origin,
        state::How,
        trail::{Leg, trail_of_log},
    },
};

use super::scene::{Scene, peak_memory, processor};

/// Reads in one way; prints the number of operations, seconds until all and until the first rows were there, the peak
/// memory in MiB, and seconds of processor time.
pub(super) fn read(args: &[String]) {
    let [how, log, archive, data] = args else { panic!("{args:?}") };
    let (log, begun) = (PathBuf::from(log), Instant::now());
    let (operations, first) = match how.as_str() {
        "history" => (in_order(&log), 0.0),
        "index" => listed(log, begun),
        "open" => (opened(&log, Path::new(archive), Path::new(data)), 0.0),
        other => panic!("{other}"),
    };
    let seconds = begun.elapsed().as_secs_f64();
    println!("{operations} {seconds} {first} {} {}", peak_memory("self").unwrap_or_default(), processor().0);
}

/// Every operation is told once, and nothing is done with it.
fn in_order(log: &Path) -> u64 {
    let control = Control::default();
    let trail = trail_of_log(log, None, &[], &control).unwrap();
    let stretch = |leg: &Leg| Stretch { path: leg.path.clone(), after: leg.after, last: leg.last };
    let stretches: Vec<Stretch> = trail.legs.iter().map(stretch).collect();
    let base = Box::new(ArchiveBase::of(trail.archive).unwrap());
    let (mut values, wanted) = (0, Wanted { first: trail.first, ..Wanted::default() });
    let told = history::read(base, &stretches, &wanted, &control, &mut |operation| {
        values += u64::from(operation.change.new.is_some());
        Ok(())
    })
    .unwrap();
    assert!(values > 0);
    told.operations
}

/// The index that the page *Activity* reads from, as the page asks for it.
fn listed(log: PathBuf, begun: Instant) -> (u64, f64) {
    let open: Open = Arc::new(move |control: &Control| trail_of_log(&log, None, &[], control));
    let session = Session::begin(open, None).unwrap();
    let ask = Ask::Commits { upto: None, newest_first: true, offset: 0, count: 50 };
    let question = Question { source: Source::Log, filter: Filter::default(), ask };
    let mut first = None;
    loop {
        let page = session.answer(&question).unwrap();
        if matches!(&page.rows, Rows::Commits(rows) if !rows.is_empty()) {
            first.get_or_insert_with(|| begun.elapsed().as_secs_f64());
        }
        assert!(page.state.problem.is_none(), "{:?}", page.state.problem);
        if !page.state.is_reading && page.state.looked_at == page.state.operations {
            return (page.state.operations, first.unwrap());
        }
        // As often as a window asks.
        thread::sleep(Duration::from_millis(100));
    }
}

/// The last state is opened, and one record read.
fn opened(log: &Path, archive: &Path, data: &Path) -> u64 {
    let logs = Logs::Also(vec![log.to_path_buf()]);
    let how = How { until: Until::End, look: Look::Records, heals: false };
    let looked = Looked::open(archive, &[], (&logs, &Origin::of(data)), how, &Limits::default()).unwrap();
    let found: i64 = looked.connection().query_row("SELECT n FROM t WHERE k=4711", [], |row| row.get(0)).unwrap();
    u64::from(found >= 0)
}

/// Seconds that plain SQLite needs to insert as many rows of a list of operations, in one transaction.
pub(super) fn rows_in_sqlite(scene: &Scene, count: u64) -> f64 {
    let path = scene.beside("list.sqlite");
    let mut conn = Connection::open(&path).unwrap();
    conn.execute_batch("PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL").unwrap();
    conn.execute_batch("CREATE TABLE list(commit_number, number, time, action, tab, key, old, new)").unwrap();
    let begun = Instant::now();
    let transaction = conn.transaction().unwrap();
    {
        let sql = "INSERT INTO list VALUES(?1, 1, 1764000000, 'modify', 't', ?1, ?2, ?3)";
        let mut insert = transaction.prepare(sql).unwrap();
        for at in 0..count as i64 {
            let (old, new) = ("k 4711, n 0, v 'record 4711 0123456789abcdef'", "k 4711, n 1764000000000000");
            insert.execute(rusqlite::params![at, old, new]).unwrap();
        }
    }
    transaction.commit().unwrap();
    let seconds = begun.elapsed().as_secs_f64();
    drop(conn);
    fs::remove_file(path).unwrap();
    seconds
}
