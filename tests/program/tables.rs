//! How large the tables of a data file are: by the engine and by the command, compared with what SQLite itself says,
//! while programs write, and where something cannot be looked at.

use crate::support;

use std::{
    fs,
    path::Path,
    process::Command as Process,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

use rusqlite::Connection;
use serde_json::Value;
use strongroom::{
    control::Control,
    engine::{Answer, Command, Handle, Query},
    error::{ErrorKind, Result},
    maintenance::{
        measured::{Ask, Page, Question},
        tables::{self, Kind, TableSize, Tables, Told},
    },
};
use support::{
    Place,
    engine::{ask, backup, engine, until},
    has, text,
};
use uuid::Uuid;

/// Records of many lengths, some on pages of their own; with a rowid and without; virtual; with indexes that are
/// parts of tables, or of some records only.
const CONTENT: &str = "
    CREATE TABLE t(id INTEGER PRIMARY KEY, a TEXT UNIQUE, b BLOB, c INT AS (id+1), d INT AS (id+2) STORED);
    CREATE INDEX t_b ON t(b);
    CREATE INDEX t_some ON t(a) WHERE id%10=0;
    CREATE TABLE w(k TEXT, n INT, long TEXT, PRIMARY KEY(k, n)) WITHOUT ROWID;
    CREATE TABLE \"an \"\"odd\"\" name\"(x);
    CREATE TABLE counted(id INTEGER PRIMARY KEY AUTOINCREMENT);
    CREATE VIRTUAL TABLE words USING fts5(text);
    CREATE VIRTUAL TABLE old_words USING fts4(text);
    CREATE VIRTUAL TABLE place USING rtree(id, a, b);
    CREATE VIRTUAL TABLE seen USING fts5vocab('words', 'row');
    WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i<900)
    INSERT INTO t(id, a, b) SELECT i, 'a'||i, zeroblob(CASE WHEN i%50=0 THEN 9000+i ELSE i%300 END) FROM n;
    WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i<900)
    INSERT INTO w SELECT 'k'||i, i, substr(hex(zeroblob(3000)), 1, i%700*CASE WHEN i%9=0 THEN 8 ELSE 1 END) FROM n;
    INSERT INTO words SELECT a FROM t; INSERT INTO old_words SELECT a FROM t;
    INSERT INTO place SELECT id, id, id+1 FROM t;
    INSERT INTO counted DEFAULT VALUES;
    DELETE FROM t WHERE id%3=0; DELETE FROM w WHERE n%5=0;
    ANALYZE";

/// Its tables, among them those of ANALYZE, which depend on how SQLite was built.
const SQLITES_OWN: &str =
    "SELECT 'sqlite_schema' UNION SELECT name FROM sqlite_schema WHERE type='table' AND name GLOB 'sqlite_*'";

fn look(path: &Path) -> Result<Tables> {
    let told = Told { control: &Control::default(), watch: &|| (), tell: &mut |_| () };
    tables::measure(path, None, told)
}

fn of<'a>(tables: &'a Tables, name: &str) -> &'a TableSize {
    tables.tables.iter().find(|table| table.table == name).unwrap_or_else(|| panic!("{name}: {tables:#?}"))
}

fn sqlite3(path: &Path, sql: &str) -> String {
    let output = Process::new("sqlite3").arg(path).arg(sql).output().unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
    text(&output.stdout).trim().to_owned()
}

/// Bytes, and bytes that are free, of all trees that SQLite itself finds with such a name.
fn of_sqlite(path: &Path, names: &str) -> (u64, u64) {
    let sql = format!("SELECT total(pgsize), total(unused) FROM dbstat WHERE name IN ({names})");
    let line = sqlite3(path, &sql);
    let (bytes, free) = line.split_once('|').unwrap();
    (bytes.parse::<f64>().unwrap() as u64, free.parse::<f64>().unwrap() as u64)
}

#[test]
fn every_number_is_the_one_that_sqlite_finds_itself() {
    if !has("sqlite3") {
        return;
    }
    let begins = [
        "PRAGMA page_size=512",
        "PRAGMA page_size=4096; PRAGMA journal_mode=WAL",
        // Of an empty page of 65536 bytes SQLite itself says that nothing of it is free.
        "PRAGMA page_size=32768; PRAGMA encoding='UTF-16be'",
        "PRAGMA page_size=1024; PRAGMA auto_vacuum=FULL",
    ];
    for begin in begins {
        let place = Place::new();
        let path = place.at("a.sqlite");
        let conn = Connection::open(&path).unwrap();
        conn.execute_batch(&format!("{begin}; {CONTENT}")).unwrap();
        let found = look(&path).unwrap();
        assert!(found.problem().is_none(), "{begin}: {found:#?}");
        let trees = |name: &str, also: &str| {
            format!("SELECT name FROM sqlite_schema WHERE rootpage>0 AND tbl_name='{name}' {also}")
        };
        for name in ["t", "w", "an \"odd\" name", "counted"] {
            let table = of(&found, name);
            assert_eq!(table.kind, Kind::Table);
            let records = sqlite3(&path, &format!("SELECT count(*) FROM \"{}\"", name.replace('"', "\"\"")));
            assert_eq!(table.records.map(|records| records.to_string()), Some(records), "{begin}: {name}");
            // The key of a table without rowid is no tree of its own.
            let own = of_sqlite(&path, &trees(name, "AND type='table'"));
            let indexes = of_sqlite(&path, &trees(name, "AND type='index'"));
            assert_eq!((table.bytes, table.index_bytes), (Some(own.0), Some(indexes.0)), "{begin}: {name}");
            assert_eq!(table.free_bytes, Some(own.1 + indexes.1), "{begin}: {name}");
            let columns = sqlite3(&path, &format!("SELECT count(*) FROM pragma_table_xinfo('{name}')"));
            assert_eq!(table.columns.map(|columns| columns.to_string()), Some(columns), "{begin}: {name}");
        }
        let index = |name: &str| of(&found, "t").indexes.iter().find(|index| index.name == name).unwrap().bytes;
        assert_eq!(index("t_some"), Some(of_sqlite(&path, "'t_some'").0));
        // What virtual tables keep their content in counts with them, and is no table of its own.
        for (name, records) in [("words", 900), ("old_words", 900), ("place", 900)] {
            let table = of(&found, name);
            let shadows = of_sqlite(&path, &format!("SELECT name FROM sqlite_schema WHERE tbl_name GLOB '{name}_*'"));
            assert_eq!((table.kind, table.records, table.columns), (Kind::Virtual, Some(records), None), "{begin}");
            assert_eq!((table.all_bytes(), table.free_bytes), (Some(shadows.0), Some(shadows.1)), "{begin}: {name}");
        }
        let seen = of(&found, "seen");
        assert_eq!((seen.records, seen.bytes, &seen.problem), (None, Some(0), &None));
        let own = of(&found, "sqlite_schema");
        assert_eq!(own.kind, Kind::Internal);
        assert_eq!(own.bytes, Some(of_sqlite(&path, SQLITES_OWN).0));
        assert_eq!(found.tables.len(), 9, "{begin}: {found:#?}");
        let free = sqlite3(&path, "PRAGMA freelist_count");
        assert_eq!(found.free_pages.to_string(), free, "{begin}");
        // Nothing is left out but free pages and those that say what others belong to.
        let all: u64 = found.tables.iter().filter_map(TableSize::all_bytes).sum();
        let rest = found.bytes() - found.free_bytes() - all;
        assert!(rest == 0 || begin.contains("auto_vacuum") && rest < found.bytes() / 50, "{begin}: {rest}");
    }
}

#[test]
fn the_command_tells_what_came_since_the_last_backup_and_changes_nothing() {
    let place = Place::new();
    let path = place.at("a.sqlite");
    let conn = Connection::open(&path).unwrap();
    conn.execute_batch(CONTENT).unwrap();
    let name = path.to_str().unwrap();
    let alone = place.run(&["tables", name]);
    assert!(alone.status.success(), "{}", text(&alone.stderr));
    assert!(
        text(&alone.stdout).contains("there is no backup that it could be compared with"),
        "{}",
        text(&alone.stdout)
    );
    let made = place.run(&["backup", name]);
    assert!(made.status.success(), "{}", text(&made.stderr));
    conn.execute_batch("DELETE FROM t WHERE id<=100; INSERT INTO w VALUES('new', 1, ''); CREATE TABLE late(x, y)")
        .unwrap();
    let before = fs::read(&path).unwrap();

    let output = place.run(&["tables", name, "--json"]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    let found: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(found["since"]["number"], 1);
    let table = |name: &str| found["tables"].as_array().unwrap().iter().find(|t| t["table"] == name).unwrap().clone();
    assert_eq!((table("t")["records"].as_u64(), table("t")["records_then"].as_u64()), (Some(533), Some(600)));
    assert_eq!((table("w")["records"].as_u64(), table("w")["records_then"].as_u64()), (Some(721), Some(720)));
    assert_eq!((table("late")["is_new"].as_bool(), table("late")["records"].as_u64()), (Some(true), Some(0)));
    // The archive does not say how many records a virtual table held: that is not known, and not none.
    assert_eq!(
        (table("words")["records_then"].clone(), table("words")["is_new"].as_bool()),
        (Value::Null, Some(false))
    );

    let shown = text(&place.run(&["tables", name]).stdout);
    let row = |begins: &str| {
        let line = shown.lines().find(|line| line.starts_with(begins)).unwrap_or_else(|| panic!("{shown}"));
        line.split_whitespace().map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(row("t ")[1..5], ["533", "-67", "5", "3"], "{shown}");
    assert_eq!(row("late ")[1..5], ["0", "new", "2", "0"], "{shown}");
    assert_eq!(row("words ")[1..5], ["900", "?", "-", "0"], "{shown}");
    assert!(shown.contains("since backup 0001 of 20"), "{shown}");
    assert_eq!(fs::read(&path).unwrap(), before, "nothing is written");
}

#[test]
fn what_cannot_be_looked_at_is_said_and_has_no_number() {
    let place = Place::new();
    let path = place.at("a.sqlite");
    let conn = Connection::open(&path).unwrap();
    conn.execute_batch(&format!("{CONTENT}; CREATE TABLE u AS SELECT * FROM t")).unwrap();
    let root = |name: &str| -> usize {
        conn.query_row("SELECT rootpage FROM sqlite_schema WHERE name=?1", [name], |row| row.get::<_, u32>(0)).unwrap()
            as usize
    };
    let (t, w) = (root("t"), root("w"));
    drop(conn);
    let whole = fs::read(&path).unwrap();
    let harm = |roots: &[usize]| {
        let mut bytes = whole.clone();
        for root in roots {
            bytes[(root - 1) * 4096..][..4096].fill(0xaa);
        }
        fs::write(&path, bytes).unwrap();
    };
    // The tree of one table; all others are as they were.
    harm(&[t]);
    let output = place.run(&["tables", path.to_str().unwrap(), "--json"]);
    let found: Tables = serde_json::from_slice(&output.stdout).unwrap();
    let damaged = of(&found, "t");
    assert_eq!((damaged.records, damaged.bytes, damaged.free_bytes), (None, None, None));
    assert_eq!(damaged.problem.as_deref(), Some(&*format!("page {t} is no page of a tree")));
    assert!(damaged.index_bytes.is_some(), "its indexes could be looked at");
    assert_eq!((of(&found, "u").records, of(&found, "w").records), (Some(600), Some(720)));
    assert_eq!(output.status.code(), Some(1));
    let said = text(&output.stderr);
    assert!(said.contains("not everything is known of the table t") && said.contains("is no page of a tree"), "{said}");
    // One that is without rowid.
    harm(&[w]);
    let found = look(&path).unwrap();
    assert_eq!((of(&found, "w").records, of(&found, "w").bytes), (None, None));
    assert_eq!(of(&found, "t").records, Some(600));
    // The list of tables itself, and a file that is none.
    harm(&[1]);
    assert_ne!(look(&path).err().map(|error| error.kind()), None);
    fs::write(&path, vec![0x5a; 16384]).unwrap();
    let error = look(&path).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::NotRecognised | ErrorKind::Encrypted | ErrorKind::Sqlite), "{error:?}");

    // A module that only the application has: its tables are those of the application, of itself nothing is known.
    fs::write(&path, &whole).unwrap();
    let conn = Connection::open(&path).unwrap();
    let sql = "PRAGMA writable_schema=ON; INSERT INTO sqlite_schema VALUES('table', 'v', 'v', 0, \
               'CREATE VIRTUAL TABLE v USING vectors(a)')";
    conn.execute_batch(sql).unwrap();
    drop(conn);
    let found = look(&path).unwrap();
    let of_module = of(&found, "v");
    assert_eq!((of_module.records, of_module.bytes, of_module.free_bytes), (None, None, None));
    let why = of_module.problem.clone().unwrap();
    assert!(why.contains("vectors") && found.problem().is_some(), "{why}");

    // Locked for longer than anybody waits.
    let conn = Connection::open(&path).unwrap();
    conn.execute_batch("BEGIN EXCLUSIVE").unwrap();
    assert_eq!(look(&path).err().map(|error| error.kind()), Some(ErrorKind::Busy));
}

/// A program that writes all the time gets its turn in between, and no number is one that never was.
#[test]
fn a_program_that_writes_gets_its_turn_and_no_number_is_mixed_from_two_states() {
    for mode in ["DELETE", "WAL"] {
        let place = Place::new();
        let path = place.at("a.sqlite");
        let conn = Connection::open(&path).unwrap();
        let many = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i<60000) INSERT INTO still \
                    SELECT i, zeroblob(300) FROM n; INSERT INTO busy SELECT * FROM still";
        let begin = format!(
            "PRAGMA journal_mode={mode}; PRAGMA synchronous=OFF; CREATE TABLE busy(i, x); \
                             CREATE TABLE still(i, x); {many}"
        );
        conn.execute_batch(&begin).unwrap();
        let (is_over, path2) = (Arc::new(AtomicBool::new(false)), path.clone());
        let over = Arc::clone(&is_over);
        let writer = thread::spawn(move || {
            let conn = Connection::open(path2).unwrap();
            conn.busy_timeout(Duration::from_secs(60)).unwrap();
            let mut commits = 0;
            while !over.load(Ordering::Relaxed) || commits == 0 {
                // It may wait, and never fails.
                conn.execute_batch("INSERT INTO busy VALUES(0, zeroblob(300)); UPDATE busy SET i=i+1 WHERE rowid=9")
                    .unwrap();
                commits += 1;
            }
            commits
        });
        let found = look(&path).unwrap();
        is_over.store(true, Ordering::Relaxed);
        let commits: u64 = writer.join().unwrap();
        let (still, busy) = (of(&found, "still"), of(&found, "busy"));
        assert!(still.records == Some(60000) || still.problem.is_some(), "{mode}: {still:?}");
        let is_between = |records: u64| (60000..=60000 + commits).contains(&records);
        assert!(busy.records.map_or(busy.problem.is_some(), is_between), "{mode}: {busy:?}, {commits}");
        if mode == "WAL" {
            assert!(found.problem().is_none(), "nobody stands in the other's way: {found:?}");
        }
        // At rest all is known.
        assert!(look(&path).unwrap().problem().is_none());
    }
}

fn page(handle: &Handle, data: &Path, looking: Uuid, ask_for: Ask) -> Result<Page> {
    let question = Question { looking, ask: ask_for };
    match ask(handle, Query::Tables { data_file: data.to_path_buf(), question })? {
        Answer::Tables(page) => Ok(*page),
        other => panic!("{other:?}"),
    }
}

fn whole(handle: &Handle, data: &Path, looking: Uuid) -> Page {
    loop {
        let page = page(handle, data, looking, Ask::Look).unwrap();
        if page.is_whole || page.problem.is_some() {
            return page;
        }
    }
}

#[test]
fn an_engine_is_asked_how_far_it_is_and_looks_anew_for_another_name() {
    let place = Place::new();
    let path = place.at("a.sqlite");
    let conn = Connection::open(&path).unwrap();
    conn.execute_batch(&format!("PRAGMA journal_mode=WAL; {CONTENT}")).unwrap();
    let engine = engine(&place);
    let handle = engine.handle();
    let first = Uuid::new_v4();
    assert_eq!(page(&handle, &path, first, Ask::Look).err().map(|e| e.kind()), Some(ErrorKind::Refused));
    handle.send(Command::OpenDataFile { path: path.clone() }).unwrap();
    until(&handle, |s| s.data_file(&path).is_some_and(|d| d.plan.is_some()));
    let found = whole(&handle, &path, first);
    assert!(found.problem.is_none() && found.done == found.total && found.total > 0, "{found:?}");
    let tables = found.tables.unwrap();
    assert_eq!((of(&tables, "t").records, tables.since), (Some(600), None));

    // What was looked at stays as it was seen; another name looks anew, and compares with the backup made since.
    backup(&handle, &path);
    until(&handle, |s| s.data_file(&path).is_some_and(|d| d.own_archives().next().is_some()));
    conn.execute_batch("DELETE FROM t WHERE id<=100").unwrap();
    assert_eq!(of(&whole(&handle, &path, first).tables.unwrap(), "t").records, Some(600));
    let tables = whole(&handle, &path, Uuid::new_v4()).tables.unwrap();
    assert_eq!((of(&tables, "t").records, of(&tables, "t").growth()), (Some(533), Some(-67)));
    assert_eq!(tables.since.map(|since| since.number.0), Some(1));

    // Forgotten, it is looked at anew.
    assert_eq!(page(&handle, &path, first, Ask::Forget).unwrap(), Page::default());
    assert_eq!(of(&whole(&handle, &path, first).tables.unwrap(), "t").records, Some(533));

    // While another program holds it, that is what is said.
    drop(conn);
    let locked = place.at("b.sqlite");
    Connection::open(&locked).unwrap().execute_batch(CONTENT).unwrap();
    handle.send(Command::OpenDataFile { path: locked.clone() }).unwrap();
    until(&handle, |s| s.data_file(&locked).is_some_and(|d| d.plan.is_some()));
    let other = Connection::open(&locked).unwrap();
    other.execute_batch("BEGIN EXCLUSIVE").unwrap();
    let found = whole(&handle, &locked, Uuid::new_v4());
    assert_eq!(found.problem.map(|problem| problem.kind), Some(ErrorKind::Busy));
    assert_eq!(found.tables, None);
}

#[test]
fn a_look_ends_with_whoever_wanted_it() {
    let place = Place::new();
    let path = place.at("a.sqlite");
    Connection::open(&path).unwrap().execute_batch(CONTENT).unwrap();
    let control = Control::default();
    let mut told = 0;
    let stop = &mut |_: &Tables| {
        told += 1;
        control.stop();
    };
    let error = tables::measure(&path, None, Told { control: &control, watch: &|| (), tell: stop }).unwrap_err();
    assert_eq!((error.kind(), told), (ErrorKind::Stopped, 1));
}
