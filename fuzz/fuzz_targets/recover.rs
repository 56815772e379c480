#![no_main]
//! Real data files, edited anywhere and cut short: what is recovered of them is a sound data file.

use std::{
    fs,
    sync::{Arc, OnceLock},
};

use arbitrary::Arbitrary;
use libfuzzer_sys::fuzz_target;
use strongroom::{
    control::Control,
    recover::{self, RecoverOptions},
};

#[derive(Debug, Arbitrary)]
struct Edited {
    which: u8,
    bytes: Vec<(u16, u16, u8)>,
    copies: Vec<(u8, u8)>,
    words: Vec<(u16, u16, u32)>,
    cut: u16,
    deleted: bool,
}

/// Data files of several kinds, with the size of their pages.
fn files() -> &'static [(usize, Vec<u8>)] {
    static FILES: OnceLock<Vec<(usize, Vec<u8>)>> = OnceLock::new();
    FILES.get_or_init(|| {
        let folder = tempfile::tempdir().expect("a folder");
        let kinds = [(512, "PRAGMA auto_vacuum=1"), (512, "PRAGMA encoding='UTF-16be'"), (1024, "PRAGMA auto_vacuum=2"), (4096, "")];
        let make = |(size, pragma): &(usize, &str)| {
            let path = folder.path().join(format!("{size}{}", pragma.len()));
            let conn = rusqlite::Connection::open(&path).expect("open");
            let sql = format!(
                "PRAGMA page_size={size}; {pragma}; CREATE TABLE t(id INTEGER PRIMARY KEY AUTOINCREMENT, a TEXT UNIQUE, b REAL DEFAULT 1);
                 CREATE TABLE k(a COLLATE NOCASE, b, c, PRIMARY KEY(b DESC, a)) WITHOUT ROWID; CREATE INDEX t_b ON t(b);
                 CREATE TABLE g(x INT, y AS (x+1) STORED, z AS (y)); CREATE VIEW v AS SELECT * FROM g; CREATE VIRTUAL TABLE d USING fts5(w);
                 CREATE TRIGGER r AFTER INSERT ON g BEGIN DELETE FROM t WHERE id%4=0; END;
                 WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i<90)
                 INSERT INTO t SELECT i, 'text ' || i || hex(zeroblob(i % 7 * 199)), i/3.0 FROM n; INSERT INTO k SELECT a, id, b FROM t;
                 INSERT INTO g(x) SELECT b FROM k LIMIT 9; INSERT INTO d SELECT a FROM k LIMIT 5"
            );
            conn.execute_batch(&sql).expect("make");
            (*size, fs::read(&path).expect("read"))
        };
        kinds.iter().map(make).collect()
    })
}

fuzz_target!(|input: Edited| {
    let files = files();
    let (size, whole) = &files[usize::from(input.which) % files.len()];
    let (mut bytes, pages) = (whole.clone(), whole.len() / size);
    for (to, from) in &input.copies {
        let (to, from) = (usize::from(*to) % pages * size, usize::from(*from) % pages * size);
        bytes.copy_within(from..from + size, to);
    }
    for (page, at, value) in &input.bytes {
        bytes[usize::from(*page) % pages * size + usize::from(*at) % size] = *value;
    }
    for (page, at, value) in &input.words {
        let at = usize::from(*page) % pages * size + usize::from(*at) % (size - 4);
        bytes[at..at + 4].copy_from_slice(&(value % (pages as u32 + 2)).to_be_bytes());
    }
    bytes.truncate(whole.len() - usize::from(input.cut) % whole.len());
    let folder = tempfile::tempdir().expect("a folder");
    let (damaged, to) = (folder.path().join("damaged.sqlite"), folder.path().join("new.sqlite"));
    fs::write(&damaged, &bytes).expect("write");
    let options = RecoverOptions { to: Some(to.clone()), with_deleted: input.deleted };
    let done = recover::run(&damaged, &options, None, &Arc::new(Control::default()), &mut |_| Ok(()));
    assert!(fs::read(&damaged).expect("read") == bytes);
    match done {
        Ok(report) => {
            let conn = rusqlite::Connection::open(&to).expect("open");
            let checked = conn.query_row("PRAGMA quick_check", [], |row| row.get::<_, String>(0));
            let checked = checked.unwrap_or_else(|error| error.to_string());
            // What cannot be opened is said; SQLite checks nothing then.
            let is_said = checked.contains("vtable constructor failed")
                && report.doubts.iter().any(|doubt| doubt.contains("SQLite cannot open it"));
            assert!(is_said || checked == "ok" || checked.to_lowercase().contains("fts5") || checked.contains("CHECK"), "{checked}");
        }
        Err(_) => assert!(!to.exists()),
    }
});
