#![no_main]
//! Pages of real data files, edited anywhere, as the states before and after a commit.

use std::sync::{Arc, OnceLock};

use arbitrary::Arbitrary;
use libfuzzer_sys::fuzz_target;
use strongroom::{
    error::Result,
    records::{
        changes::Tracker,
        operation::{Change, Operation},
        page::Image,
        tree::Pages,
    },
};

#[derive(Debug, Arbitrary)]
struct Edited {
    which: u8,
    before: Vec<(u16, u16, u8)>,
    after: Vec<(u16, u16, u8)>,
    length: u16,
    again: bool,
}

struct Bytes {
    bytes: Vec<u8>,
    page_size: usize,
}

impl Pages for Bytes {
    fn page(&self, number: u32) -> Result<Option<Image>> {
        let from = (number as usize).wrapping_sub(1).wrapping_mul(self.page_size);
        Ok(self.bytes.get(from..from.wrapping_add(self.page_size)).map(|page| Arc::new(page.to_vec())))
    }

    fn count(&self) -> u32 {
        (self.bytes.len() / self.page_size) as u32
    }
}

/// Data files of several kinds before and after some changes, with the size of their pages.
fn files() -> &'static [(usize, Vec<u8>, Vec<u8>)] {
    static FILES: OnceLock<Vec<(usize, Vec<u8>, Vec<u8>)>> = OnceLock::new();
    FILES.get_or_init(|| {
        let folder = tempfile::tempdir().expect("a folder");
        let kinds = [(512, "PRAGMA auto_vacuum=1"), (512, "PRAGMA encoding='UTF-16be'"), (1024, "PRAGMA secure_delete=ON")];
        let make = |(size, pragma): &(usize, &str)| {
            let path = folder.path().join(format!("{size}{}", pragma.len()));
            let conn = rusqlite::Connection::open(&path).expect("open");
            let sql = format!(
                "PRAGMA page_size={size}; {pragma}; CREATE TABLE t(id INTEGER PRIMARY KEY, a TEXT UNIQUE, b REAL DEFAULT 1);
                 CREATE TABLE k(a COLLATE NOCASE, b, c, PRIMARY KEY(b DESC, a)) WITHOUT ROWID; CREATE INDEX t_b ON t(b);
                 WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i<90)
                 INSERT INTO t SELECT i, 'text ' || i || hex(zeroblob(i % 7 * 99)), i/3.0 FROM n; INSERT INTO k SELECT a, id, b FROM t"
            );
            conn.execute_batch(&sql).expect("make");
            let before = std::fs::read(&path).expect("read");
            let change = "DELETE FROM t WHERE id%5=0; UPDATE t SET b=b+1 WHERE id%7=0; UPDATE k SET c=zeroblob(1500) WHERE b%9=0;
                          ALTER TABLE t ADD COLUMN d DEFAULT 'x'; INSERT INTO t SELECT id+500, a || 'z', b, 2 FROM t";
            conn.execute_batch(change).expect("change");
            (*size, before, std::fs::read(&path).expect("read"))
        };
        kinds.iter().map(make).collect()
    })
}

fn edited(bytes: &[u8], page_size: usize, edits: &[(u16, u16, u8)]) -> Bytes {
    let mut bytes = bytes.to_vec();
    let pages = bytes.len() / page_size;
    for (page, at, value) in edits {
        bytes[usize::from(*page) % pages * page_size + usize::from(*at) % page_size] = *value;
    }
    Bytes { bytes, page_size }
}

fuzz_target!(|input: Edited| {
    let files = files();
    let (page_size, before, after) = &files[usize::from(input.which) % files.len()];
    let before = edited(before, *page_size, &input.before);
    let mut after = edited(after, *page_size, &input.after);
    let length = after.bytes.len() - usize::from(input.length) % 8 * page_size;
    after.bytes.truncate(length);
    let mut tracker = Tracker::default();
    let mut step = |before: &Bytes, after: &Bytes| {
        let at = |bytes: &Bytes, page| bytes.page(page).ok().flatten();
        let changed: Vec<u32> = (1..=after.count()).filter(|page| at(before, *page) != at(after, *page)).collect();
        let mut tell = |change: &Change<'_>| {
            let operation = Operation { number: 1, commit: 1, time: Default::default(), change };
            serde_json::to_string(&operation).map(|_| ()).expect("a form in JSON");
            Ok(())
        };
        tracker.step(before, after, &changed, &mut tell).expect("pages in memory can be read");
    };
    step(&before, &after);
    if input.again {
        step(&after, &before);
    }
});
