//! Programs that write, and know nothing of Strongroom.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use rusqlite::Connection;

/// Records of an office.
pub(super) const OFFICE: &str =
    "CREATE TABLE t(k INTEGER PRIMARY KEY, n, v, day TEXT, price REAL); CREATE INDEX t_n ON t(day);
     WITH RECURSIVE i(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM i WHERE i<50000)
     INSERT INTO t SELECT i, 0, 'record '||i||' '||hex(randomblob(20)), date(i*9999, 'unixepoch'), i/7.0 FROM i";

/// The same, so many that the data file has this size.
pub(super) fn large(mib: u64) -> String {
    format!(
        "CREATE TABLE t(k INTEGER PRIMARY KEY, n, v);
         WITH RECURSIVE i(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM i WHERE i<{})
         INSERT INTO t SELECT i, 0, randomblob(1000) FROM i",
        mib * 1024 * 256 / 257
    )
}

/// Counts what [`delete`] deletes.
pub(super) const COUNT_WRONG: &str = "SELECT count(*) FROM t WHERE k%1000=7 AND k<=1000000";

fn micros() -> u64 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_micros() as u64
}

fn open(path: &str) -> Connection {
    let conn = Connection::open(Path::new(path)).unwrap();
    conn.busy_timeout(Duration::from_secs(20)).unwrap();
    conn.execute_batch("PRAGMA synchronous=NORMAL").unwrap();
    conn
}

/// Writes in a process of its own: a data file, a way of writing, how much. Prints commits per second, or the longest
/// wait of one.
pub(super) fn write(args: &[String]) {
    let (conn, number) = (open(&args[0]), |at: usize| args[at].parse::<u64>().unwrap());
    let begun = Instant::now();
    match args[1].as_str() {
        "small" => {
            let records: i64 = conn.query_row("SELECT max(k) FROM t", [], |row| row.get(0)).unwrap();
            let (mut state, count) = (7u64, number(2));
            let mut update = conn.prepare("UPDATE t SET n=?2 WHERE k=?1").unwrap();
            for _ in 0..count {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                update.execute([(state >> 33) as i64 % records + 1, micros() as i64]).unwrap();
            }
            println!("{}", count as f64 / begun.elapsed().as_secs_f64());
        }
        "bulk" => {
            let (commits, each) = (number(2) as i64, number(3) as i64);
            for at in 0..commits {
                let first = at / 3 * each;
                // What was added is modified, then deleted.
                let sql = match at % 3 {
                    0 => {
                        "WITH RECURSIVE i(i) AS (SELECT ?1 UNION ALL SELECT i+1 FROM i WHERE i<?2) INSERT INTO t \
                          SELECT 100000+i, i, 'new record '||i, date(i*9999, 'unixepoch'), i/3.0 FROM i"
                    }
                    1 => "UPDATE t SET n=n+1, price=price*2 WHERE k BETWEEN 100000+?1 AND 100000+?2",
                    _ => "DELETE FROM t WHERE k BETWEEN 100000+?1 AND 100000+?2",
                };
                assert_eq!(conn.execute(sql, [first + 1, first + each]).unwrap() as i64, each);
            }
            println!("{}", commits as f64 / begun.elapsed().as_secs_f64());
        }
        "paced" => {
            // Until the line that says so comes: a commit each 2 milliseconds.
            let (told, ended) = std::sync::mpsc::channel();
            std::thread::spawn(move || {
                let _ = std::io::stdin().read_line(&mut String::new());
                told.send(()).unwrap();
            });
            let mut update = conn.prepare("UPDATE t SET n=?1 WHERE k=1").unwrap();
            let mut longest = Duration::ZERO;
            println!("begins");
            while ended.try_recv().is_err() {
                let since = Instant::now();
                update.execute([micros() as i64]).unwrap();
                longest = longest.max(since.elapsed());
                std::thread::sleep(Duration::from_millis(2));
            }
            println!("{}", longest.as_secs_f64() * 1000.0);
        }
        other => panic!("{other}"),
    }
}

/// Deletes what should not have been; returns how many commits that makes.
pub(super) fn delete(conn: &mut Connection, count: u64) -> u64 {
    let deleted = conn.execute("DELETE FROM t WHERE k%1000=7 AND k<=1000000", []).unwrap();
    assert_eq!(deleted as u64, count);
    1
}

/// What plain SQLite needs to delete the same records, and to bring them back.
pub(super) fn delete_and_bring_back(conn: &mut Connection, count: u64) -> f64 {
    conn.execute_batch("CREATE TEMP TABLE kept AS SELECT * FROM t WHERE k%1000=7 AND k<=1000000").unwrap();
    let begun = Instant::now();
    delete(conn, count);
    let back = conn.execute("INSERT INTO t SELECT * FROM kept", []).unwrap();
    assert_eq!(back as u64, count);
    begun.elapsed().as_secs_f64()
}
