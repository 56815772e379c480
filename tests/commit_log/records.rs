//! What commits change, told as records, held against SQLite's own reading of the same data files.

use crate::support;

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use rusqlite::Connection;
use serde_json::Value;
use strongroom::records::{changes::Tracker, operation::Action, tree::Pages};
use support::{
    Place, has,
    records::{Bytes, Dice, content, decoded, expected, of_records, told},
    text,
};

const TABLES: &[(&str, &str)] = &[
    ("plain", "CREATE TABLE plain(a, b TEXT, c)"),
    ("ids", "CREATE TABLE ids(id INTEGER PRIMARY KEY, a REAL, b TEXT COLLATE NOCASE UNIQUE, c BLOB)"),
    (
        "counted",
        "CREATE TABLE counted(id INTEGER PRIMARY KEY AUTOINCREMENT, a, b DEFAULT 'x', c INT AS (a) STORED, d AS (b))",
    ),
    ("keyed", "CREATE TABLE keyed(a TEXT, b TEXT, c, PRIMARY KEY(b DESC, a COLLATE NOCASE)) WITHOUT ROWID"),
    ("single", "CREATE TABLE single(a TEXT PRIMARY KEY, b, c DEFAULT 7) WITHOUT ROWID"),
    ("strict", "CREATE TABLE \"a strict one\"(a INT PRIMARY KEY, b TEXT, c ANY) STRICT"),
];

fn value(dice: &mut Dice, page_size: u64) -> String {
    match dice.below(9) {
        0 => "NULL".to_owned(),
        1 => format!("{}", dice.below(300) as i64 - 150),
        2 => format!("{}", (dice.below(u64::from(u32::MAX)) as i64) << dice.below(30)),
        3 => format!("{}.25", dice.below(1000)),
        4 => format!("'text ä文 {}'", dice.below(1000)),
        5 => bytes(dice, 50),
        6 if dice.below(3) == 0 => format!("zeroblob({})", dice.below(page_size * 5)),
        7 if dice.below(2) == 0 => bytes(dice, page_size * 3),
        _ => format!("hex({})", bytes(dice, page_size / 6)),
    }
}

/// Bytes without any pattern, the same ones each time.
fn bytes(dice: &mut Dice, most: u64) -> String {
    let digits: String = (0..dice.below(most)).map(|_| format!("{:02x}", dice.below(256))).collect();
    format!("x'{digits}'")
}

/// A statement that changes records.
fn statement(dice: &mut Dice, page_size: u64) -> String {
    let table = dice.one(&["plain", "ids", "counted", "keyed", "single", "\"a strict one\""]);
    let mut any = || value(dice, page_size);
    let (x, y) = (any(), any());
    let text = format!("'k' || {}", dice.below(400));
    let verb = dice.one(&["INSERT", "INSERT OR REPLACE", "INSERT OR IGNORE"]);
    let id = dice.below(600);
    let insert = match table {
        "plain" => format!(
            "INSERT INTO plain(rowid, a, b, c) SELECT nullif({id}, (SELECT rowid FROM plain WHERE rowid={id})), \
             {x}, {text}, {y}"
        ),
        "ids" => format!("{verb} INTO ids VALUES({id}, {}, {text}, {y})", dice.below(99)),
        "counted" => format!("INSERT INTO counted(a, b) VALUES({x}, {y})"),
        "keyed" => format!("{verb} INTO keyed VALUES({text}, 'b' || {}, {y})", dice.below(9)),
        "single" => format!(
            "INSERT INTO single(a, b) VALUES({text}, {x}) ON CONFLICT(a) DO UPDATE SET b=excluded.b, c=coalesce(c, 0)+1"
        ),
        _ => format!("{verb} INTO \"a strict one\" VALUES({id}, {text}, {y})"),
    };
    let verb_is_plain = verb == "INSERT" && matches!(table, "ids" | "keyed" | "\"a strict one\"");
    let insert = if verb_is_plain { insert.replacen("INSERT", "INSERT OR IGNORE", 1) } else { insert };
    let free = if table == "single" { "b" } else { "c" };
    let free = if table == "counted" { "a" } else { free };
    match dice.below(12) {
        0..6 => insert,
        6 => format!("UPDATE {table} SET {free}={y} WHERE {}", chance(dice, 5)),
        7 => {
            // One letter in the middle, so that most pages stay as they are.
            let letter = char::from(b'A' + dice.below(26) as u8);
            let half = format!("length({free})/2");
            let whole = format!("substr({free}, 1, {half}) || '{letter}' || substr({free}, {half}+2)");
            format!("UPDATE {table} SET {free}=CAST({whole} AS BLOB) WHERE length({free})>{}", page_size / 2)
        }
        8 => {
            let of = 1 + dice.below(9);
            format!("DELETE FROM {table} WHERE {}", chance(dice, of))
        }
        9 if table == "ids" => "UPDATE OR REPLACE ids SET id=id+1000000 WHERE id<40".to_owned(),
        10 if dice.below(6) == 0 => format!("DELETE FROM {table}"),
        11 => {
            let many = format!(
                "WITH RECURSIVE n(i) AS (SELECT {id} UNION ALL SELECT i+1 FROM n WHERE i<{id}+{})",
                dice.below(60)
            );
            match table {
                "plain" => format!("{many} INSERT INTO plain SELECT i, 'text ' || i, hex(zeroblob(i%60)) FROM n"),
                "single" => format!("{many} INSERT OR REPLACE INTO single SELECT 'n' || i, i, zeroblob(i%70) FROM n"),
                "keyed" => format!("{many} INSERT OR REPLACE INTO keyed SELECT i%10, 'z' || i, zeroblob(i%90) FROM n"),
                _ => format!("{many} INSERT INTO counted(a, b) SELECT i, hex(zeroblob(i%50)) FROM n"),
            }
        }
        _ => insert,
    }
}

/// Every so manieth record, more or less.
fn chance(dice: &mut Dice, of: u64) -> String {
    format!("(length(hex(c)) * 7 + {}) % {of} = 0", dice.below(of))
}

struct Made {
    path: PathBuf,
    conn: Connection,
    page_size: u64,
}

fn make(place: &Place, name: &str, dice: &mut Dice) -> Made {
    let path = place.at(name);
    let page_size = [512u64, 1024, 4096, 512, 65536][dice.below(5) as usize];
    let conn = Connection::open(&path).unwrap();
    let pragmas = format!(
        "PRAGMA page_size={page_size}; PRAGMA encoding='{}'; PRAGMA auto_vacuum={}; PRAGMA secure_delete={}; \
         PRAGMA cache_size={}; PRAGMA synchronous=OFF; PRAGMA recursive_triggers=ON",
        dice.one(&["UTF-8", "UTF-8", "UTF-16le", "UTF-16be"]),
        dice.below(3),
        dice.one(&["OFF", "ON", "FAST"]),
        dice.one(&["2000", "5"]),
    );
    conn.execute_batch(&pragmas).unwrap();
    for (_, sql) in TABLES {
        conn.execute_batch(sql).unwrap();
    }
    conn.execute_batch("CREATE INDEX ids_c ON ids(c); CREATE INDEX plain_b ON plain(b, c)").unwrap();
    Made { path, conn, page_size }
}

fn number(variable: &str, otherwise: u64) -> u64 {
    std::env::var(variable).ok().and_then(|text| text.parse().ok()).unwrap_or(otherwise)
}

#[test]
fn every_record_is_read_as_sqlite_reads_it() {
    let place = Place::in_memory();
    for seed in 0..14 {
        let mut dice = Dice(seed);
        let made = make(&place, &format!("{seed}.sqlite"), &mut dice);
        made.conn.execute_batch("BEGIN").unwrap();
        for _ in 0..120 {
            let statement = statement(&mut dice, made.page_size);
            made.conn.execute_batch(&statement).unwrap_or_else(|e| panic!("{statement}: {e}"));
        }
        made.conn.execute_batch("COMMIT; ALTER TABLE plain ADD COLUMN d REAL DEFAULT 3").unwrap();
        made.conn.execute_batch("ALTER TABLE single ADD COLUMN d TEXT NOT NULL DEFAULT -4.5").unwrap();
        made.conn.execute_batch("INSERT INTO plain VALUES(1, 2, 3, 4); INSERT INTO single(a) VALUES('new')").unwrap();
        let (ours, theirs) = (decoded(&Bytes::read(&made.path)), content(&made.conn));
        for (table, rows) in &theirs {
            assert!(!rows.is_empty() || table != "plain");
            for (key, row) in rows {
                assert_eq!(ours[table].get(key), Some(row), "seed {seed}, {table}");
            }
            assert_eq!(ours[table].len(), rows.len(), "seed {seed}, {table}");
        }
        assert_eq!(ours.len(), theirs.len());
    }
}

#[test]
fn bytes_that_an_extension_reserves_on_every_page_are_no_content() {
    if !has("sqlite3") {
        return;
    }
    let place = Place::new();
    let path = place.at("a.sqlite");
    let sql = "PRAGMA page_size=512; CREATE TABLE t(a, b); CREATE TABLE k(k PRIMARY KEY, v) WITHOUT ROWID; \
               WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i<200) \
               INSERT INTO t SELECT i, hex(zeroblob(i*3)) FROM n; INSERT INTO k SELECT a, b FROM t";
    let made =
        std::process::Command::new("sqlite3").arg(&path).args([".filectrl reserve_bytes 32", sql]).output().unwrap();
    assert!(made.status.success(), "{}", text(&made.stderr));
    let bytes = Bytes::read(&path);
    assert_eq!(bytes.bytes[20], 32);
    let conn = Connection::open(&path).unwrap();
    assert!(decoded(&bytes) == content(&conn));
    let mut tracker = Tracker::default();
    let sql = "UPDATE t SET b=b||'!' WHERE a=150; UPDATE k SET v=v||'!' WHERE k=150; DELETE FROM k WHERE k=7";
    assert_eq!(short(&batch(&conn, &path, &mut tracker, sql)), ["modify t 150", "delete k 7", "modify k 150"]);
}

#[test]
fn a_table_that_only_its_application_can_read_is_told_or_said_to_be_unknown() {
    let place = Place::new();
    let path = place.at("a.sqlite");
    let conn = Connection::open(&path).unwrap();
    let pad = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i<400)";
    conn.execute_batch(&format!(
        "PRAGMA page_size=512; CREATE TABLE known(a, b); \
         CREATE TABLE own(k TEXT COLLATE BINARY PRIMARY KEY, v) WITHOUT ROWID; \
         {pad} INSERT INTO known SELECT i, i FROM n; {pad} INSERT INTO own SELECT 'k' || i, i FROM n"
    ))
    .unwrap();
    // Its collation is one that nobody here has, and its definition is one that cannot be read.
    let as_ours =
        "PRAGMA writable_schema=ON; UPDATE sqlite_schema SET sql=replace(sql, 'BINARY', 'ours') WHERE name='own'";
    let broken = "PRAGMA writable_schema=ON; UPDATE sqlite_schema SET sql='CREATE TABLE known(' WHERE name='known'";
    for harm in [&as_ours, &broken] {
        let harmed = |name: &str| {
            let copy = place.at(name);
            std::fs::copy(&path, &copy).unwrap();
            Connection::open(&copy).unwrap().execute_batch(harm).unwrap();
            Bytes::read(&copy)
        };
        let before = harmed("before");
        conn.execute_batch("UPDATE own SET v=v+1 WHERE k='k77'; UPDATE known SET b=b+1 WHERE a=300").unwrap();
        let told = told(&mut Tracker::default(), &before, &harmed("after"));
        let told = short(&told);
        assert!(told.contains(&"modify own k77".to_owned()), "{told:?}");
        let of_known = if harm == &broken { "unknown known" } else { "modify known 300" };
        assert!(told.contains(&of_known.to_owned()) && told.len() == 2, "{told:?}");
    }
}

#[test]
fn every_commit_is_told_as_the_net_changes_of_its_records() {
    let place = Place::in_memory();
    // More of them where somebody looks for a mistake.
    let (first, seeds) = (number("STRONGROOM_FIRST", 0), number("STRONGROOM_SEEDS", 8));
    for seed in first..first + seeds {
        let mut dice = Dice(1000 + seed);
        let made = make(&place, &format!("{seed}.sqlite"), &mut dice);
        let mut tracker = Tracker::default();
        let (mut before, mut was) = (Bytes::read(&made.path), content(&made.conn));
        for step in 0..30 {
            let mut done = Vec::new();
            match dice.below(24) {
                0 => done.push("VACUUM".to_owned()),
                1 => done.push("PRAGMA incremental_vacuum(7)".to_owned()),
                _ => {
                    done.push("BEGIN".to_owned());
                    for _ in 0..=dice.below(6) {
                        if dice.below(8) == 0 {
                            done.push("SAVEPOINT s".to_owned());
                            done.push(statement(&mut dice, made.page_size));
                            done.push(dice.one(&["RELEASE s", "ROLLBACK TO s; RELEASE s"]).to_owned());
                        }
                        done.push(statement(&mut dice, made.page_size));
                    }
                    done.push("COMMIT".to_owned());
                }
            }
            for statement in &done {
                made.conn.execute_batch(statement).unwrap_or_else(|e| panic!("{statement}: {e}"));
            }
            let (after, now) = (Bytes::read(&made.path), content(&made.conn));
            let told = told(&mut tracker, &before, &after);
            let expected = if done[0] == "VACUUM" { Vec::new() } else { expected(&was, &now) };
            let records = of_records(&told);
            if records != expected {
                let mut counts: BTreeMap<String, (usize, usize)> = BTreeMap::new();
                records.iter().for_each(|v| counts.entry(v.to_string()).or_default().0 += 1);
                expected.iter().for_each(|v| counts.entry(v.to_string()).or_default().1 += 1);
                counts.retain(|_, (told, expected)| told != expected);
                let short = |text: &String| text.chars().take(200).collect::<String>();
                let counts: Vec<_> = counts.iter().map(|(text, counts)| (counts, short(text))).take(6).collect();
                panic!("seed {seed}, step {step}, {:?}: {counts:#?}", done.iter().map(short).collect::<Vec<_>>());
            }
            (before, was) = (after, now);
        }
    }
}

/// What is told of one batch of statements, and nothing of what SQLite keeps for itself.
fn batch(conn: &Connection, path: &Path, tracker: &mut Tracker, sql: &str) -> Vec<Value> {
    let before = Bytes::read(path);
    conn.execute_batch(sql).unwrap();
    let mut all = told(tracker, &before, &Bytes::read(path));
    all.retain(|value| value.get("internal").is_none());
    all
}

fn short(told: &[Value]) -> Vec<String> {
    let text = |value: &Value, name: &str| match &value[name] {
        Value::Null => String::new(),
        Value::String(text) => format!(" {text}"),
        other => format!(" {other}"),
    };
    told.iter()
        .map(|v| ["action", "object", "table", "key", "records"].map(|name| text(v, name)).concat().trim().to_owned())
        .collect()
}

#[test]
fn changes_of_the_schema_are_told_as_such() {
    let place = Place::new();
    let path = place.at("a.sqlite");
    let conn = Connection::open(&path).unwrap();
    conn.execute_batch("PRAGMA page_size=1024; CREATE TABLE first(a)").unwrap();
    let mut tracker = Tracker::default();
    let mut told = |sql: &str| short(&batch(&conn, &path, &mut tracker, sql));
    assert_eq!(
        told(
            "BEGIN; CREATE TABLE t(a UNIQUE, b); CREATE INDEX t_b ON t(b); INSERT INTO t VALUES('x', 1), ('y', 2); \
             COMMIT"
        ),
        ["create table t t", "create index t t_b", "add t 1", "add t 2"]
    );
    assert_eq!(told("CREATE VIEW v AS SELECT * FROM t"), ["create view v v"]);
    assert_eq!(told("CREATE TRIGGER r AFTER INSERT ON t BEGIN DELETE FROM first; END"), ["create trigger t r"]);
    assert_eq!(told("ALTER TABLE t ADD COLUMN c DEFAULT 5"), ["alter table t t"]);
    // Columns that are dropped are gone from all records: that is one operation.
    assert_eq!(told("DROP VIEW v; "), ["drop view v v"]);
    assert_eq!(told("DROP INDEX t_b"), ["drop index t t_b"]);
    assert_eq!(told("ALTER TABLE t DROP COLUMN b"), ["alter table t t"]);
    assert_eq!(told("ALTER TABLE t RENAME COLUMN c TO d"), ["alter table t t"]);
    assert_eq!(
        told("ALTER TABLE first RENAME TO second"),
        ["alter trigger t r", "alter table first first"]
            .map(|s| s)
            .iter()
            .rev()
            .map(|s| (*s).to_owned())
            .collect::<Vec<_>>()
    );
    assert_eq!(
        told("BEGIN; UPDATE t SET d=6 WHERE a='x'; ALTER TABLE t ADD COLUMN e; COMMIT"),
        ["alter table t t", "modify t 1"]
    );
    assert_eq!(
        told("BEGIN; DELETE FROM t WHERE a='x'; DROP TABLE t; COMMIT"),
        ["drop trigger t r", "drop table t t 2"]
    );
    // The way of twelve steps: another table takes the place of the first.
    told("CREATE TABLE p(id INTEGER PRIMARY KEY, a, b); INSERT INTO p VALUES(1, 2, 3), (4, 5, 6)");
    assert_eq!(
        told(
            "BEGIN; CREATE TABLE q(id INTEGER PRIMARY KEY, b, a); INSERT INTO q SELECT id, b, a FROM p; DROP TABLE p; \
             ALTER TABLE q RENAME TO p; UPDATE p SET a=7 WHERE id=4; COMMIT"
        ),
        ["alter table p p", "modify p 4"]
    );
    assert_eq!(told("PRAGMA user_version=5"), [] as [&str; 0]);
    assert_eq!(told("VACUUM"), [] as [&str; 0]);
    assert_eq!(told("ANALYZE"), [] as [&str; 0]);
}

#[test]
fn what_sqlite_keeps_for_itself_is_marked() {
    let place = Place::new();
    let path = place.at("a.sqlite");
    let conn = Connection::open(&path).unwrap();
    conn.execute_batch("CREATE TABLE t(id INTEGER PRIMARY KEY AUTOINCREMENT, a)").unwrap();
    let mut tracker = Tracker::default();
    assert_eq!(
        short(&batch(
            &conn,
            &path,
            &mut tracker,
            "CREATE VIRTUAL TABLE docs USING fts5(body); CREATE VIRTUAL TABLE r USING rtree(i, a, b)"
        )),
        ["create table docs docs", "create table r r"]
    );
    let sql = "INSERT INTO docs VALUES('some words'); INSERT INTO r VALUES(1, 2, 3); INSERT INTO t(a) VALUES(1)";
    assert_eq!(short(&batch(&conn, &path, &mut tracker, sql)), ["add t 1"]);
    assert_eq!(short(&batch(&conn, &path, &mut tracker, "ANALYZE; REINDEX")), [] as [&str; 0]);
    // Asked for, they are there.
    let before = Bytes::read(&path);
    conn.execute_batch("INSERT INTO docs VALUES('more of them')").unwrap();
    let all = told(&mut tracker, &before, &Bytes::read(&path));
    assert!(
        all.iter().all(|v| v["internal"] == true) && short(&all).contains(&"add docs_content 2".to_owned()),
        "{all:?}"
    );
}

/// Has SQLite write one byte of a BLOB in place.
fn overwrite(id: u64, at: u64, length: u64) -> String {
    format!(
        "UPDATE t SET b=CAST(substr(b, 1, {at}) || x'21' || substr(b, {at} + 2) AS BLOB) WHERE id={id} AND \
         length(b)={length}"
    )
}

#[test]
fn a_blob_that_is_overwritten_in_place_is_a_change_of_its_record() {
    let place = Place::new();
    for (name, key) in [("a.sqlite", ""), ("b.sqlite", "PRAGMA auto_vacuum=1;")] {
        let path = place.at(name);
        let conn = Connection::open(&path).unwrap();
        conn.execute_batch(&format!(
            "PRAGMA page_size=512; {key} CREATE TABLE t(id INTEGER PRIMARY KEY, b); CREATE TABLE k(k PRIMARY KEY, \
             b) WITHOUT ROWID; CREATE INDEX t_b ON t(b);
             WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i<30) \
             INSERT INTO t SELECT i, zeroblob(5000) FROM n; INSERT INTO k SELECT id, b FROM t; DROP INDEX t_b"
        ))
        .unwrap();
        let mut tracker = Tracker::default();
        for (row, at) in [(7, 4000), (7, 4999), (30, 1500)] {
            let before = Bytes::read(&path);
            conn.execute_batch(&overwrite(row, at, 5000)).unwrap();
            let after = Bytes::read(&path);
            // SQLite writes the first page, and what is another one.
            assert_eq!(before.changed(&after).len(), 2);
            let told = told(&mut tracker, &before, &after);
            assert_eq!(short(&told), [format!("modify t {row}")]);
            assert_ne!(told[0]["old"], told[0]["new"]);
        }
        // What was moved to other pages since is still known.
        let sql =
            "UPDATE t SET id=id+100 WHERE id>20; DELETE FROM t WHERE id<5; INSERT INTO t VALUES(200, zeroblob(9000))";
        assert_eq!(batch(&conn, &path, &mut tracker, sql).len(), 25);
        let sql = "UPDATE k SET b=zeroblob(4000) || x'0101' WHERE k=9";
        assert_eq!(short(&batch(&conn, &path, &mut tracker, sql)), ["modify k 9"]);
        assert_eq!(short(&batch(&conn, &path, &mut tracker, &overwrite(200, 8000, 9000))), ["modify t 200"]);
    }
}

/// A data file of which is counted what is read.
struct Counted<'a>(&'a Bytes, std::cell::Cell<u32>);

impl Pages for Counted<'_> {
    fn page(&self, number: u32) -> strongroom::error::Result<Option<strongroom::records::page::Image>> {
        self.1.set(self.1.get() + 1);
        self.0.page(number)
    }

    fn count(&self) -> u32 {
        self.0.count()
    }
}

#[test]
fn with_auto_vacuum_the_record_of_a_lone_page_is_found_without_looking_through_the_file() {
    let place = Place::new();
    let path = place.at("a.sqlite");
    let conn = Connection::open(&path).unwrap();
    conn.execute_batch(
        "PRAGMA page_size=512; PRAGMA auto_vacuum=1; CREATE TABLE t(id INTEGER PRIMARY KEY, b); \
         WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i<300) INSERT INTO t SELECT i, \
         zeroblob(5000) FROM n",
    )
    .unwrap();
    let before = Bytes::read(&path);
    conn.execute_batch(&overwrite(150, 4000, 5000)).unwrap();
    let after = Bytes::read(&path);
    let counted = (Counted(&before, std::cell::Cell::new(0)), Counted(&after, std::cell::Cell::new(0)));
    let mut told = Vec::new();
    let mut sink = |change: &strongroom::records::operation::Change<'_>| {
        told.push((change.action, change.key.as_ref().map(|key| key.in_words())));
        Ok(())
    };
    Tracker::default().step(&counted.0, &counted.1, &before.changed(&after), &mut sink).unwrap();
    assert_eq!(told, [(Action::Modify, Some("150".to_owned()))]);
    let read = counted.0.1.get() + counted.1.1.get();
    assert!(read < before.count() / 10, "{read} pages were read of {}", before.count());
}

#[test]
fn hostile_pages_end_in_words() {
    let place = Place::in_memory();
    let mut dice = Dice(number("STRONGROOM_FIRST", 77));
    for seed in 0..4 {
        let made = make(&place, &format!("{seed}.sqlite"), &mut dice);
        if made.page_size > 4096 {
            continue;
        }
        for _ in 0..60 {
            made.conn.execute_batch(&statement(&mut dice, made.page_size)).unwrap();
        }
        let before = Bytes::read(&made.path);
        made.conn
            .execute_batch("UPDATE plain SET c=1; UPDATE keyed SET c=2; UPDATE ids SET c=hex(zeroblob(900))")
            .unwrap();
        let after = Bytes::read(&made.path);
        let mut unknown = 0;
        for round in 0..150 {
            let harmed = |bytes: &Bytes, dice: &mut Dice| {
                let mut harmed = bytes.bytes.clone();
                for _ in 0..=dice.below(6) {
                    // Most harm is done where headers and pointers are.
                    let page = dice.below(u64::from(bytes.count())) as usize * bytes.page_size;
                    let within = if dice.below(3) == 0 { dice.below(bytes.page_size as u64) } else { dice.below(40) };
                    let at = page + within as usize;
                    if at > 100 {
                        harmed[at] = dice.below(256) as u8;
                    }
                }
                Bytes { bytes: harmed, page_size: bytes.page_size }
            };
            let (before, after) = (harmed(&before, &mut dice), harmed(&after, &mut dice));
            let mut tracker = Tracker::default();
            let all = told(&mut tracker, &before, &after);
            unknown += all.iter().filter(|v| v["action"] == Action::Unknown.label()).count();
            if round % 3 == 0 {
                told(&mut tracker, &after, &before);
            }
        }
        assert!(unknown > 0);
    }
}
