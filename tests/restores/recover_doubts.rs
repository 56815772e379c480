//! What may be wrong or missing in a recovered file although no page shows it: said, and never called everything.

use std::{fs, path::Path, sync::Arc};

use rusqlite::Connection;
use strongroom::{
    control::Control,
    recover::{self, RecoverOptions, RecoverReport},
};

use crate::support::Place;

fn recovered(path: &Path, to: &Path) -> RecoverReport {
    let options = RecoverOptions { to: Some(to.to_path_buf()), with_deleted: false };
    recover::run(path, &options, None, &Arc::new(Control::default()), &mut |_| Ok(())).unwrap()
}

fn count(path: &Path, sql: &str) -> i64 {
    Connection::open(path).unwrap().query_row(sql, [], |row| row.get(0)).unwrap()
}

/// A data file with commits that lie in its `-wal`, as a crash leaves both.
fn with_wal(place: &Place) -> (std::path::PathBuf, std::path::PathBuf) {
    let live = place.at("live.sqlite");
    let conn = Connection::open(&live).unwrap();
    conn.execute_batch(
        "PRAGMA journal_mode=WAL; PRAGMA wal_autocheckpoint=0; CREATE TABLE t(id INTEGER PRIMARY KEY, a TEXT);
         WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i<500) INSERT INTO t SELECT i, 'name \
         '||i FROM n;
         PRAGMA wal_checkpoint(TRUNCATE)",
    )
    .unwrap();
    for n in 0..10 {
        conn.execute("INSERT INTO t(a) VALUES(?1)", [format!("later {n}")]).unwrap();
    }
    let (path, wal) = (place.at("a.sqlite"), place.at("a.sqlite-wal"));
    fs::copy(&live, &path).unwrap();
    fs::copy(place.at("live.sqlite-wal"), &wal).unwrap();
    (path, wal)
}

#[test]
fn a_damaged_wal_is_said_and_a_whole_one_is_not() {
    let place = Place::new();
    let (path, wal) = with_wal(&place);
    let whole = fs::read(&wal).unwrap();
    let report = recovered(&path, &place.at("whole"));
    assert!(report.is_everything() && report.found() == 510, "{report:?}");
    let frame = 24 + 4096;
    let mut flipped = whole.clone();
    flipped[32 + 5 * frame + 100] ^= 1;
    let mut headless = whole.clone();
    headless[..32].fill(0);
    let missing = [&whole[..32 + 4 * frame], &whole[32 + 5 * frame..]].concat();
    for (name, bytes) in [("flipped", flipped), ("headless", headless), ("missing", missing)] {
        fs::write(&wal, bytes).unwrap();
        let report = recovered(&path, &place.at(name));
        assert!(!report.is_everything() && report.doubts.len() == 1, "{name}: {report:?}");
        assert!(report.doubts[0].contains("a.sqlite-wal"), "{name}: {:?}", report.doubts);
    }
    // Frames of the time before the WAL was begun anew are none of it.
    fs::write(&wal, [&whole[..32 + 3 * frame], &vec![7; 2 * frame]].concat()).unwrap();
    assert!(recovered(&path, &place.at("restarted")).is_everything());
}

#[test]
fn a_transaction_that_was_not_ended_and_another_name_are_said() {
    let place = Place::new();
    let path = place.at("a.sqlite");
    let conn = Connection::open(&path).unwrap();
    conn.execute_batch(
        "CREATE TABLE t(id INTEGER PRIMARY KEY, cents INT); PRAGMA journal_mode=PERSIST;
         WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i<3000) INSERT INTO t SELECT i, 100000 \
         FROM n",
    )
    .unwrap();
    drop(conn);
    // What an ended transaction leaves of its journal says nothing.
    assert!(place.at("a.sqlite-journal").exists());
    assert!(recovered(&path, &place.at("ended")).is_everything());
    let conn = Connection::open(&path).unwrap();
    conn.execute_batch("PRAGMA cache_size=5; BEGIN; UPDATE t SET cents=cents+500000").unwrap();
    let (half, journal) = (place.at("half.sqlite"), place.at("half.sqlite-journal"));
    fs::copy(&path, &half).unwrap();
    fs::copy(place.at("a.sqlite-journal"), journal).unwrap();
    drop(conn);
    let report = recovered(&half, &place.at("hot"));
    assert!(count(&place.at("hot"), "SELECT count(*) FROM t WHERE cents>500000") > 0, "no page was written yet");
    assert!(!report.is_everything() && report.doubts[0].contains("half of that transaction"), "{report:?}");
    #[cfg(unix)]
    {
        fs::hard_link(&path, place.at("other name")).unwrap();
        let report = recovered(&path, &place.at("linked"));
        assert!(!report.is_everything() && report.doubts[0].contains("has 2 names"), "{report:?}");
    }
}

#[test]
fn values_and_pages_that_sqlite_never_writes_there_are_doubtful_or_lost() {
    let place = Place::new();
    let path = place.at("a.sqlite");
    let conn = Connection::open(&path).unwrap();
    conn.execute_batch(
        "PRAGMA page_size=1024; CREATE TABLE roles(name TEXT NOT NULL, level INT NOT NULL); CREATE TABLE \
         stock(amount REAL, sku TEXT);
         CREATE TABLE big(id INTEGER PRIMARY KEY, a TEXT);
         WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i<30)
         INSERT INTO roles SELECT 'role '||i, i FROM n;
         WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i<30)
         INSERT INTO stock SELECT i*1.5, 'sku'||i FROM n;
         WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i<3000) INSERT INTO big SELECT i, 'name \
         '||i FROM n",
    )
    .unwrap();
    let root = |table: &str| -> usize {
        let sql = "SELECT rootpage FROM sqlite_schema WHERE name=?1";
        conn.query_row(sql, [table], |row| row.get::<_, u32>(0)).unwrap() as usize
    };
    let (roles, stock) = ((root("roles") - 1) * 1024, (root("stock") - 1) * 1024);
    let leaf = conn.query_row("PRAGMA page_count", [], |row| row.get::<_, u32>(0)).unwrap() as usize - 2;
    drop(conn);
    let sound = fs::read(&path).unwrap();
    assert!(recovered(&path, &place.at("sound")).is_everything());

    let mut swapped = sound.clone();
    swapped.copy_within(stock..stock + 1024, roles);
    fs::write(&path, &swapped).unwrap();
    let report = recovered(&path, &place.at("swapped"));
    let of_roles = report.tables.iter().find(|table| table.table == "roles").unwrap();
    assert!(!report.is_everything() && of_roles.doubtful == of_roles.found && of_roles.found > 0, "{of_roles:?}");

    let mut emptied = sound.clone();
    let at = (leaf - 1) * 1024;
    assert_eq!(emptied[at], 0x0d, "a leaf of the large table");
    emptied[at + 1..at + 1024].fill(0);
    emptied[at + 5] = 4;
    fs::write(&path, &emptied).unwrap();
    let report = recovered(&path, &place.at("emptied"));
    let big = report.tables.iter().find(|table| table.table == "big").unwrap();
    assert!(!report.is_everything() && big.lost_pages == 1 && big.found < 3000, "{big:?}");
}

/// A full-text table whose own notes are lost is made, and cannot be opened: its texts are beside it.
#[test]
fn a_virtual_table_that_cannot_be_opened_is_said() {
    let place = Place::new();
    let (path, to) = (place.at("a.sqlite"), place.at("new.sqlite"));
    let conn = Connection::open(&path).unwrap();
    conn.execute_batch(
        "PRAGMA page_size=512; CREATE TABLE t(a); INSERT INTO t VALUES('x'); CREATE VIRTUAL TABLE d USING fts5(w);
         INSERT INTO d VALUES('one'), ('two')",
    )
    .unwrap();
    let root = |name: &str| -> i64 {
        conn.query_row("SELECT rootpage FROM sqlite_schema WHERE name=?1", [name], |row| row.get(0)).unwrap()
    };
    let at = (root("d_config") as usize - 1) * 512;
    drop(conn);
    let whole = recovered(&path, &place.at("whole.sqlite"));
    assert!(whole.doubts.is_empty(), "{:?}", whole.doubts);
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[at..at + 512].fill(0);
    std::fs::write(&path, bytes).unwrap();
    let report = recovered(&path, &to);
    let said = report.doubts.concat();
    assert!(said.contains("virtual table d is in the new file") && said.contains("rebuild"), "{said}");
    assert_eq!(count(&to, "SELECT count(*) FROM d_content"), 2);
}
