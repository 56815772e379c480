//! What a damaged data file still holds: against the file as it was before, and against SQLite's own recovery.

use crate::support;

use std::{
    collections::BTreeMap,
    fs,
    io::Write,
    path::{Path, PathBuf},
    process::{Command as Process, Stdio},
    sync::Arc,
    time::{Duration, Instant},
};

use rusqlite::{Connection, OpenFlags};
use serde_json::{Value, json};
use strongroom::{
    control::Control,
    engine::{Command, JobId, status::JobReport},
    error::ErrorKind,
    recover::{self, HeaderFrom, RecoverOptions, RecoverReport},
};
use support::{
    Place, Running,
    engine::{backup, engine, finished, foreign_commits, open_with_log, serve, until},
    has, names_in,
    records::{Dice, plain},
    text,
};

type Rows = BTreeMap<String, Vec<Vec<Value>>>;

const SCHEMA: &str = "CREATE TABLE plain(a, b, c); CREATE INDEX plain_b ON plain(b); \
     CREATE TABLE people(id INTEGER PRIMARY KEY, name TEXT NOT NULL, age INT, score REAL, note); \
     CREATE UNIQUE INDEX people_name ON people(id, name); \
     CREATE TABLE auto(id INTEGER PRIMARY KEY AUTOINCREMENT, v TEXT UNIQUE, w BLOB); \
     CREATE TABLE wr(k TEXT, n INT, v, PRIMARY KEY(k, n)) WITHOUT ROWID; \
     CREATE TABLE gen(id INTEGER PRIMARY KEY, x INT, y INT AS (x*2) STORED, z AS (x+1)); \
     CREATE TABLE hard(id INTEGER PRIMARY KEY, t TEXT, i INT) STRICT; CREATE TABLE none(a, b); \
     CREATE VIEW v AS SELECT name FROM people WHERE age > 10; \
     CREATE TRIGGER added AFTER INSERT ON people BEGIN INSERT INTO plain VALUES('trigger', new.id, 0); END; \
     CREATE VIRTUAL TABLE docs USING fts5(body);";

fn make(path: &Path, pragmas: &str, records: u32) -> Connection {
    let conn = Connection::open(path).unwrap();
    let fill = format!(
        "{pragmas}; PRAGMA synchronous=OFF; PRAGMA user_version=7; PRAGMA application_id=99; {SCHEMA} BEGIN; \
         CREATE TEMP TABLE n AS WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i<{records}) \
         SELECT i FROM n; INSERT INTO people SELECT i*3, 'name ' || i, i%90, i/4.0, CASE i%5 WHEN 0 THEN NULL WHEN 1 \
         THEN zeroblob(i%700) ELSE 'ä' || i END FROM n; \
         INSERT INTO plain SELECT 'a' || i, i*i, hex(randomblob(i%300)) FROM n; \
         INSERT INTO auto(v, w) SELECT 'v' || i, CASE WHEN i%9=0 THEN randomblob(i*13%9000) END FROM n; \
         INSERT INTO wr SELECT 'k' || (i*7919%{records}), i, CASE WHEN i%11=0 THEN hex(randomblob(900)) ELSE i END \
         FROM n; INSERT INTO gen(x) SELECT i FROM n; INSERT INTO hard SELECT i, 's' || i, i*i FROM n; \
         INSERT INTO docs SELECT 'some words of ' || i FROM n WHERE i%7=0; COMMIT; \
         ALTER TABLE people ADD COLUMN later TEXT DEFAULT 'x'; DELETE FROM plain WHERE rowid%3=1 AND \
         rowid<{records}/2; DELETE FROM auto WHERE id>{records}-2"
    );
    conn.execute_batch(&fill).unwrap();
    conn
}

/// Every record of every table, with its rowid where it has one.
fn rows(path: &Path) -> Rows {
    let conn = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY).unwrap();
    let mut tables = conn
        .prepare(
            "SELECT name, wr FROM pragma_table_list JOIN sqlite_schema USING(name) WHERE rootpage>0 AND \
                      name NOT LIKE 'sqlite_%'",
        )
        .unwrap();
    let tables: Vec<(String, bool)> =
        tables.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).unwrap().map(Result::unwrap).collect();
    let mut found = Rows::new();
    for (table, by_key) in tables {
        let rowid = if by_key { "" } else { "rowid, " };
        let mut asked = conn.prepare(&format!("SELECT {rowid}* FROM \"{table}\"")).unwrap();
        let columns = asked.column_count();
        let mut records = asked.query([]).unwrap();
        let all = found.entry(table).or_default();
        while let Ok(Some(row)) = records.next() {
            all.push((0..columns).map(|column| plain(row.get_ref(column).unwrap())).collect());
        }
    }
    found
}

/// How many records of `of` are in `among`, each once.
fn common(of: &[Vec<Value>], among: &[Vec<Value>]) -> usize {
    let mut left: BTreeMap<String, usize> = BTreeMap::new();
    among.iter().for_each(|row| *left.entry(json!(row).to_string()).or_default() += 1);
    let is_there = |row: &&Vec<Value>| {
        left.get_mut(&json!(row).to_string()).is_some_and(|n| {
            *n > 0 && {
                *n -= 1;
                true
            }
        })
    };
    of.iter().filter(is_there).count()
}

fn recovered(path: &Path, to: &Path) -> Result<RecoverReport, strongroom::error::Error> {
    let options = RecoverOptions { to: Some(to.to_path_buf()), with_deleted: false };
    recover::run(path, &options, None, &Arc::new(Control::default()), &mut |_| Ok(()))
}

/// What SQLite's own shell makes of a copy of the file.
fn by_sqlite(path: &Path, to: &Path) -> Rows {
    let copy = to.with_extension("copy");
    fs::copy(path, &copy).unwrap();
    let script = Process::new("sqlite3").arg(&copy).arg(".recover").stderr(Stdio::null()).output().unwrap();
    let mut shell = Process::new("sqlite3")
        .arg(to)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let _ = shell.stdin.take().unwrap().write_all(&script.stdout);
    shell.wait().unwrap();
    if to.exists() { rows(to) } else { Rows::new() }
}

fn page_size(bytes: &[u8]) -> usize {
    match u16::from_be_bytes([bytes[16], bytes[17]]) {
        1 => 65536,
        size => usize::from(size),
    }
}

fn noise(dice: &mut Dice, bytes: &mut [u8]) {
    bytes.iter_mut().for_each(|byte| *byte = dice.below(256) as u8);
}

/// Harms a file somewhere; says how.
fn harm(bytes: &mut Vec<u8>, other: &[u8], dice: &mut Dice) -> String {
    let size = page_size(other);
    let pages = bytes.len() / size;
    let page = dice.below(pages as u64) as usize;
    let (from, end) = (page * size, page * size + size);
    let head = from + if page == 0 { 100 } else { 0 };
    let all = ["zeros", "noise", "cut", "header", "free", "foreign", "copy", "pointers", "count", "mark"];
    // On a page that a record goes on at, a change within its bytes cannot be seen by anybody.
    let is_of_a_tree = page == 0 || [2, 5, 10, 13].contains(&bytes[from]);
    let how = dice.one(if is_of_a_tree { &all } else { &all[..5] });
    match how {
        "zeros" => bytes[from..end].fill(0),
        "noise" => noise(dice, &mut bytes[from..end]),
        "cut" if page > 1 => bytes.truncate(from + dice.below(size as u64) as usize),
        "foreign" => {
            let at = dice.below((other.len() / size) as u64) as usize * size;
            bytes[from..end].copy_from_slice(&other[at..at + size]);
        }
        "copy" => {
            let at = dice.below(pages as u64) as usize * size;
            bytes.copy_within(at..at + size, from);
        }
        "pointers" => noise(dice, &mut bytes[head + 8..head + 40]),
        "count" => bytes[head + 4] = dice.below(256) as u8,
        "mark" => bytes[head] = dice.below(256) as u8,
        "header" => noise(dice, &mut bytes[..100]),
        _ => bytes[32..36].copy_from_slice(&(dice.below(2 * pages as u64) as u32).to_be_bytes()),
    }
    format!("{how} at page {}", page + 1)
}

/// The doubtful records that the new file names: table and key.
fn doubtful(path: &Path, report: &RecoverReport) -> Vec<(String, Value)> {
    let Some(table) = &report.doubtful_table else { return Vec::new() };
    let conn = Connection::open(path).unwrap();
    let mut asked = conn.prepare(&format!("SELECT \"table\", key FROM \"{table}\"")).unwrap();
    let found = asked.query_map([], |row| Ok((row.get(0)?, plain(row.get_ref(1)?)))).unwrap();
    found.map(Result::unwrap).collect()
}

#[test]
fn no_record_is_missing_that_sqlite_finds_and_no_wrong_one_is_taken_for_sound() {
    let shapes = [
        ("PRAGMA page_size=512", 150),
        ("PRAGMA page_size=1024; PRAGMA auto_vacuum=1", 400),
        ("PRAGMA page_size=4096; PRAGMA encoding='UTF-16le'", 900),
        ("PRAGMA page_size=1024; PRAGMA encoding='UTF-16be'; PRAGMA auto_vacuum=2", 300),
        ("PRAGMA page_size=65536", 700),
    ];
    let place = Place::in_memory();
    let shell_recovers = has("sqlite3") && {
        let sound = place.at("sound");
        drop(make(&sound, "PRAGMA page_size=1024", 50));
        by_sqlite(&sound, &place.at("by the shell")).get("people").is_some_and(|people| people.len() == 50)
    };
    if !shell_recovers {
        eprintln!("not compared with SQLite: its shell is not here, or was built without .recover");
    }
    let (mut found, mut theirs_found, mut of_truth) = (0, 0, 0);
    for (shape, (pragmas, records)) in shapes.into_iter().enumerate() {
        let (sound, other) = (place.at(&format!("{shape}.sqlite")), place.at(&format!("{shape} other.sqlite")));
        drop(make(&sound, pragmas, records));
        drop(make(&other, pragmas, records / 2 + 7));
        let (truth, whole, other) = (rows(&sound), fs::read(&sound).unwrap(), fs::read(&other).unwrap());
        for seed in 0..8 {
            let dice = &mut Dice(1 + seed * 31 + shape as u64 * 1009);
            let mut bytes = whole.clone();
            let how: Vec<String> = (0..1 + dice.below(4)).map(|_| harm(&mut bytes, &other, dice)).collect();
            let name = format!("shape {shape}, seed {seed}: {how:?}");
            let folder = place.at(&format!("{shape}-{seed}"));
            fs::create_dir(&folder).unwrap();
            let (damaged, to) = (folder.join("damaged.sqlite"), folder.join("new.sqlite"));
            fs::write(&damaged, &bytes).unwrap();
            let result = recovered(&damaged, &to);
            assert!(fs::read(&damaged).unwrap() == bytes, "{name}");
            let theirs = match shell_recovers {
                true => by_sqlite(&damaged, &folder.join("theirs.sqlite")),
                false => Rows::new(),
            };
            let Ok(report) = result else {
                assert_eq!(theirs.values().map(Vec::len).sum::<usize>(), 0, "{name}");
                continue;
            };
            let ours = rows(&to);
            let said = doubtful(&to, &report);
            for (table, truth) in &truth {
                let (own, their) =
                    (ours.get(table).cloned().unwrap_or_default(), theirs.get(table).cloned().unwrap_or_default());
                let (right, right_of_theirs) = (common(truth, &own), common(truth, &their));
                assert!(
                    right >= right_of_theirs,
                    "{name}: {table} has {right} right records, SQLite's {right_of_theirs}"
                );
                let is_right = |row: &&Vec<Value>| truth.contains(*row);
                for wrong in own.iter().filter(|row| !is_right(row)) {
                    let is_said = said.iter().any(|(of, key)| of == table && *key == wrong[0]);
                    assert!(is_said, "{name}: {table} has {wrong:?}");
                }
                (found, theirs_found) = (found + right, theirs_found + right_of_theirs);
                of_truth += truth.len();
            }
            // Lines of indexes, which the shell keeps as well, have no rowid; what a page of another table seems to
            // hold is lost and found here.
            let all = |rows: &Rows, id: Option<usize>| {
                let counts = |table: &str, row: &&Vec<Value>| match table.starts_with("lost_and_found") {
                    true => id.is_none_or(|id| !row[id].is_null()),
                    false => row[1..].iter().any(|value| !value.is_null()),
                };
                let counted = rows.iter().filter(|(table, _)| !table.starts_with("doubtful"));
                counted.map(|(table, rows)| rows.iter().filter(|row| counts(table, row)).count()).sum::<usize>()
            };
            let (mine, other) = (all(&ours, None), all(&theirs, Some(4)));
            assert!(mine >= other, "{name}: {mine} records, SQLite has {other}");
            let is_same = truth.iter().all(|(table, truth)| ours.get(table) == Some(truth));
            assert!(is_same || !report.is_everything(), "{name}: it says that this is everything");
            let conn = Connection::open(&to).unwrap();
            // What FTS5 keeps in its tables is as it was found: its index may lack what was lost.
            let checked = conn.query_row("PRAGMA integrity_check", [], |row| row.get::<_, String>(0));
            let checked = checked.unwrap_or_else(|error| error.to_string());
            assert!(checked == "ok" || checked.to_lowercase().contains("fts5"), "{name}: {checked}");
        }
    }
    assert!(found > theirs_found, "{found} right records, SQLite has {theirs_found}");
    assert!(found * 10 > of_truth * 7, "{found} of {of_truth} records were found");
}

#[test]
fn a_sound_file_comes_out_as_it_went_in() {
    let place = Place::in_memory();
    for (n, pragmas) in
        ["PRAGMA page_size=512; PRAGMA auto_vacuum=2; PRAGMA encoding='UTF-16le'", "PRAGMA page_size=8192"]
            .iter()
            .enumerate()
    {
        let (data, to) = (place.at(&format!("{n}.sqlite")), place.at(&format!("{n} new.sqlite")));
        drop(make(&data, pragmas, 500));
        let report = recovered(&data, &to).unwrap();
        assert!(report.is_everything() && report.lost_tables.is_empty(), "{report:?}");
        assert_eq!((report.header, report.doubtful_table.clone()), (HeaderFrom::File, None));
        assert_eq!(rows(&to), rows(&data));
        let ask = |path: &Path, sql: &str| -> Vec<String> {
            let conn = Connection::open(path).unwrap();
            let mut asked = conn.prepare(sql).unwrap();
            let found = asked.query_map([], |row| Ok(plain(row.get_ref(0)?).to_string())).unwrap();
            found.map(Result::unwrap).collect()
        };
        for sql in [
            "SELECT sql FROM sqlite_schema WHERE name NOT LIKE 'docs_%' ORDER BY type, name",
            "SELECT name || ' ' || seq FROM sqlite_sequence",
            "SELECT count(*) || ' ' || max(rowid) FROM docs WHERE docs MATCH 'words'",
            "PRAGMA user_version",
            "PRAGMA application_id",
            "PRAGMA encoding",
            "PRAGMA auto_vacuum",
            "PRAGMA page_size",
            "PRAGMA integrity_check",
        ] {
            assert_eq!(ask(&to, sql), ask(&data, sql), "{sql}");
        }
    }
}

#[test]
fn what_archive_and_log_know_names_tables_and_tells_what_is_missing() {
    let place = Place::new();
    let data = place.at("shop.sqlite");
    drop(make(&data, "PRAGMA page_size=1024", 400));
    let truth = rows(&data);
    let path = data.to_str().unwrap();
    assert!(place.run(&["backup", path]).status.success());
    let whole = fs::read(&data).unwrap();
    let mut bytes = whole.clone();
    // The header, and every page of the schema.
    bytes[..1024].fill(0);
    for page in bytes.chunks_mut(1024).filter(|page| page.windows(7).any(|bytes| bytes == b"CREATE ")) {
        page.fill(0);
    }
    // A page with records of the people, in the middle of them.
    let leaf = (1..whole.len() / 1024).find(|page| {
        let page = &whole[page * 1024..][..1024];
        page[0] == 13 && page.windows(8).any(|bytes| bytes == b"name 200")
    });
    let leaf = leaf.unwrap();
    bytes[leaf * 1024..][..1024].fill(0);
    fs::write(&data, &bytes).unwrap();
    let before = names_in(&place.at(""));
    let done = place.run(&["recover", path, "--keys", "--json"]);
    assert_eq!(done.status.code(), Some(1), "{}", text(&done.stderr));
    assert_eq!(fs::read(&data).unwrap(), bytes);
    let to = place.at("shop recovered.sqlite");
    let mut after = names_in(&place.at(""));
    after.retain(|name| name != "shop recovered.sqlite");
    assert_eq!(after, before);
    let lines: Vec<Value> = text(&done.stdout).lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let (report, keys) = lines.split_last().unwrap();
    assert_eq!((&report["header"], &report["schema_is_whole"]), (&json!("archive"), &json!(false)));
    let people = report["tables"].as_array().unwrap().iter().find(|table| table["table"] == "people").unwrap();
    let ours = rows(&to);
    let lost: Vec<&Vec<Value>> = truth["people"].iter().filter(|row| !ours["people"].contains(row)).collect();
    assert!(lost.len() > 5 && lost.iter().any(|row| row[0] == json!(600)), "{lost:?}");
    assert_eq!((&people["known"]["missing"], &people["lost_pages"]), (&json!(lost.len()), &json!(1)));
    let missing: Vec<&Value> = keys.iter().filter(|key| key["table"] == "people").map(|key| &key["key"][0]).collect();
    assert_eq!(missing, lost.iter().map(|row| &row[0]).collect::<Vec<_>>());
    for (table, truth) in truth.iter().filter(|(table, _)| *table != "people") {
        assert_eq!(&ours[table], truth, "{table}");
    }
    let conn = Connection::open(&to).unwrap();
    let objects: i64 = conn
        .query_row(
            "SELECT count(*) FROM sqlite_schema WHERE name IN ('v', 'added', 'people_name', 'plain_b', 'docs')",
            [],
            |row| row.get(0),
        )
        .unwrap();
    let version: i64 = conn.query_row("PRAGMA user_version", [], |row| row.get(0)).unwrap();
    assert_eq!((objects, version), (5, 7));
    // Without the archive, the same records are there without the names of their tables.
    let alone = place.at("alone.sqlite");
    let done = place.run(&["recover", path, "--no-archive", "--to", alone.to_str().unwrap()]);
    assert_eq!(done.status.code(), Some(1));
    let said = text(&done.stdout);
    assert!(said.contains("The header of the file is lost; its pages show that they have 1024 bytes."), "{said}");
    let lost: Vec<Vec<Value>> = rows(&alone)
        .into_iter()
        .filter(|(table, _)| table.starts_with("lost_and_found_"))
        .flat_map(|(_, rows)| rows)
        .collect();
    // Behind its own rowid: table, root, page, why, fields, id, and what was in the record.
    let is_there = |person: &&Vec<Value>| lost.iter().any(|row| row[6] == person[0] && row.get(8) == Some(&person[2]));
    assert_eq!(ours["people"].iter().filter(is_there).count(), ours["people"].len(), "{said}");
}

#[test]
fn the_log_is_read_and_the_damaged_file_is_not_opened_for_it() {
    let place = Place::new();
    let data = place.at("shop.sqlite");
    drop(make(&data, "PRAGMA page_size=1024; PRAGMA journal_mode=WAL", 300));
    let path = data.to_str().unwrap();
    let mut service = Running(serve(&place, &data));
    assert!(place.run(&["backup", path]).status.success());
    foreign_commits(&data, "UPDATE people SET name='logged' WHERE id%5=0; PRAGMA wal_checkpoint(TRUNCATE)");
    let truth = rows(&data);
    // What is asked for is written down first.
    let is_logged = || {
        text(&place.run(&["query", path, "SELECT 1 FROM people WHERE name='logged'", "--csv"]).stdout).lines().count()
            > 60
    };
    let begun = Instant::now();
    while !is_logged() {
        assert!(begun.elapsed() < Duration::from_secs(120), "it is not in the log");
    }
    let _ = Process::new("kill").args(["-INT", &service.0.id().to_string()]).status();
    service.0.wait().unwrap();
    Connection::open(&data).unwrap().execute_batch("PRAGMA wal_checkpoint(TRUNCATE)").unwrap();
    let mut bytes = fs::read(&data).unwrap();
    let leaf = (1..bytes.len() / 1024).find(|page| {
        let page = &bytes[page * 1024..][..1024];
        page[0] == 13 && page.windows(6).any(|bytes| bytes == b"logged")
    });
    let leaf = leaf.unwrap();
    bytes[leaf * 1024..][..1024].fill(0);
    fs::write(&data, &bytes).unwrap();
    // What SQLite would play back into the file, or take away.
    let journal = place.at("shop.sqlite-journal");
    fs::write(&journal, b"\xd9\xd5\x05\xf9\x20\xa1\x63\xd7 and more").unwrap();
    let to = place.at("new.sqlite");
    let done = place.run(&["recover", path, "--to", to.to_str().unwrap(), "--json"]);
    assert_eq!(done.status.code(), Some(1), "{}", text(&done.stderr));
    assert!(fs::read(&data).unwrap() == bytes && journal.exists());
    let report: Value = serde_json::from_str(text(&done.stdout).trim()).unwrap();
    assert!(report["doubts"][0].as_str().unwrap().contains("it is not read"), "{report}");
    let people = report["tables"].as_array().unwrap().iter().find(|table| table["table"] == "people").unwrap();
    let lost = truth["people"].iter().filter(|row| !rows(&to)["people"].contains(row)).count();
    let known = json!({ "missing": lost, "changed": 0, "added": 0 });
    assert!(lost > 0 && report["compared"]["commit"].is_u64(), "{report}");
    assert_eq!(people["known"], known);
}

#[test]
fn what_was_committed_to_the_wal_is_read_and_neither_file_is_touched() {
    let place = Place::in_memory();
    let data = place.at("a.sqlite");
    let conn = make(&data, "PRAGMA page_size=1024; PRAGMA journal_mode=WAL; PRAGMA wal_autocheckpoint=0", 200);
    conn.execute_batch(
        "PRAGMA wal_checkpoint(TRUNCATE); UPDATE people SET name='after' WHERE id<60; INSERT INTO none VALUES(1, 2)",
    )
    .unwrap();
    let copy = place.at("copy/a.sqlite");
    fs::create_dir(place.at("copy")).unwrap();
    let wal = |path: &Path| PathBuf::from(format!("{}-wal", path.display()));
    fs::copy(&data, &copy).unwrap();
    fs::copy(wal(&data), wal(&copy)).unwrap();
    let bytes = (fs::read(&copy).unwrap(), fs::read(wal(&copy)).unwrap());
    let to = place.at("new.sqlite");
    let report = recovered(&copy, &to).unwrap();
    assert!(report.is_everything() && report.wal_pages > 1, "{report:?}");
    assert_eq!(rows(&to), rows(&data));
    assert!(rows(&to)["people"].iter().any(|row| row[2] == json!("after")));
    assert_eq!((fs::read(&copy).unwrap(), fs::read(wal(&copy)).unwrap()), bytes);
    assert_eq!(names_in(&place.at("copy")), ["a.sqlite", "a.sqlite-wal"]);
}

#[test]
fn a_second_record_of_a_key_and_a_deleted_one_are_kept_apart() {
    let place = Place::in_memory();
    let data = place.at("a.sqlite");
    let conn = Connection::open(&data).unwrap();
    conn.execute_batch(
        "PRAGMA page_size=512; CREATE TABLE t(id INTEGER PRIMARY KEY, a TEXT); CREATE TABLE gone(a TEXT); \
         WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i<200) INSERT INTO t SELECT i, 'text ' \
         || i FROM n; INSERT INTO gone SELECT 'deleted ' || id FROM t; DROP TABLE gone",
    )
    .unwrap();
    drop(conn);
    let mut bytes = fs::read(&data).unwrap();
    let leaf = |bytes: &[u8], word: &[u8]| {
        (1..bytes.len() / 512)
            .find(|page| bytes[page * 512] == 13 && bytes[page * 512..][..512].windows(word.len()).any(|b| b == word))
    };
    let (first, last) =
        (leaf(&bytes, b"text 2\x03").or(leaf(&bytes, b"text 3")).unwrap(), leaf(&bytes, b"text 200").unwrap());
    bytes.copy_within(first * 512..first * 512 + 512, last * 512);
    fs::write(&data, &bytes).unwrap();
    let options = RecoverOptions { to: Some(place.at("new.sqlite")), with_deleted: true };
    let report = recover::run(&data, &options, None, &Arc::new(Control::default()), &mut |_| Ok(())).unwrap();
    let table = &report.tables[0];
    assert!(!report.is_everything() && table.lost_pages == 1 && table.strays + report.lost_and_found > 0, "{report:?}");
    assert!(report.deleted > 20 && report.doubtful_table.is_none(), "{report:?}");
    let conn = Connection::open(place.at("new.sqlite")).unwrap();
    let deleted: i64 = conn
        .query_row("SELECT count(*) FROM lost_and_found WHERE why='deleted' AND c0 LIKE 'deleted %'", [], |row| {
            row.get(0)
        })
        .unwrap();
    assert_eq!(deleted as u64, report.deleted);
    let without = recovered(&data, &place.at("without.sqlite")).unwrap();
    assert_eq!((without.deleted, without.found()), (0, report.found()));
}

#[test]
fn what_cannot_be_recovered_is_said_and_leaves_nothing() {
    let place = Place::in_memory();
    let at = |name: &str| place.at(name).to_str().unwrap().to_owned();
    drop(make(&place.at("good.sqlite"), "PRAGMA page_size=1024", 20));
    fs::write(at("empty"), "").unwrap();
    fs::write(at("text"), "Dear Sir or Madam,\nwe regret").unwrap();
    let mut random = vec![0; 16384];
    noise(&mut Dice(5), &mut random);
    fs::write(at("random"), &random).unwrap();
    let mut zeros = fs::read(at("good.sqlite")).unwrap();
    zeros[100..].fill(0);
    fs::write(at("zeros"), &zeros).unwrap();
    fs::create_dir(at("folder")).unwrap();
    let before = names_in(&place.at(""));
    for (name, to, says) in [
        ("gone", "new.sqlite", "does not exist"),
        ("empty", "new.sqlite", "is empty"),
        ("folder", "new.sqlite", "is a folder"),
        ("text", "new.sqlite", "holds no page of an SQLite database"),
        ("random", "new.sqlite", "seems to be encrypted"),
        ("zeros", "new.sqlite", "no table and no record can be read of"),
        ("good.sqlite", "good.sqlite", "is the damaged file itself"),
        ("good.sqlite", "text", "exists already"),
        ("good.sqlite", "good.sqlite-wal", "has the name of a file that belongs to"),
        ("good.sqlite", "none/new.sqlite", "there is no folder"),
    ] {
        let done = place.run(&["recover", &at(name), "--to", &at(to), "--no-archive"]);
        let said = text(&done.stderr);
        assert_eq!(done.status.code(), Some(2), "{name} to {to}: {said}");
        assert!(said.contains(says) && said.lines().count() > 1, "{name} to {to}: {said}");
        assert_eq!(names_in(&place.at("")), before, "{name} to {to}");
    }
    let control = Arc::new(Control::default());
    control.stop();
    let options = RecoverOptions { to: Some(place.at("new.sqlite")), with_deleted: false };
    let stopped = recover::run(&place.at("good.sqlite"), &options, None, &control, &mut |_| Ok(()));
    assert_eq!(stopped.unwrap_err().kind(), ErrorKind::Stopped);
    assert_eq!(names_in(&place.at("")), before);
    let done = place.run(&["recover", &at("good.sqlite"), "--to", &at("new.sqlite")]);
    assert_eq!(done.status.code(), Some(0), "{}", text(&done.stderr));
    assert!(text(&done.stderr).contains("Compared with no archive: "), "{}", text(&done.stderr));
    assert!(text(&done.stdout).contains("Everything was found"), "{}", text(&done.stdout));
}

/// To close a file that is open in SQLite drops every lock of the process: the next program to close it would take its
/// connection for the last one, and delete the `-wal` under the log.
#[test]
fn an_engine_recovers_a_file_that_it_has_open_and_its_log_keeps_its_locks() {
    if !has("sqlite3") {
        return;
    }
    let place = Place::new();
    let data = place.at("shop.db");
    foreign_commits(
        &data,
        "PRAGMA journal_mode=WAL; CREATE TABLE t(id INTEGER PRIMARY KEY, a); INSERT INTO t(a) VALUES(1)",
    );
    let engine = engine(&place);
    let handle = engine.handle();
    open_with_log(&handle, &data, &place.at("shop.journal"));
    backup(&handle, &data);
    let wal = data.with_file_name("shop.db-wal");
    foreign_commits(&data, "INSERT INTO t(a) VALUES(2)");
    assert!(wal.exists());
    for (nth, name) in ["first.db", "second.db"].into_iter().enumerate() {
        let (job, to) = (JobId::new(), place.at(name));
        let command = Command::Recover { job, data_file: data.clone(), to: Some(to.clone()), with_deleted: false };
        handle.send(command).unwrap();
        let JobReport::Recover(report) = finished(&handle, job) else { panic!("another report") };
        assert_eq!((&report.data_file, &report.to, report.found()), (&data, &to, 2 + nth as u64));
        assert!(report.is_everything() && report.compared.is_some(), "{report:?}");
        // What is recovered is one thing; the lock of the log is seen by what a program does that closes the file.
        foreign_commits(&data, "INSERT INTO t(a) VALUES(3)");
        assert!(wal.exists(), "the lock of the log was lost");
        let wanted = 2 + nth as u64;
        until(&handle, |s| s.data_files[0].log.as_ref().is_some_and(|log| log.position.commit == wanted));
    }
    // Nothing may come in its way at the same time, and nothing is written over.
    let job = JobId::new();
    let command =
        Command::Recover { job, data_file: data.clone(), to: Some(place.at("first.db")), with_deleted: false };
    handle.send(command).unwrap();
    let ended = until(&handle, |s| s.finished_job(job).is_some());
    let error = ended.finished_job(job).unwrap().result.clone().unwrap_err();
    assert_eq!(error.kind, ErrorKind::Exists);
}
