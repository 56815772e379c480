//! `strongroom log`: what foreign programs did to a data file, told from its archive and log, held against what they
//! say themselves.

use crate::support;

use std::{
    collections::BTreeMap,
    process::Command as Process,
    time::{Duration, Instant},
};

use serde_json::Value;
use support::{
    Place,
    engine::{backup, engine, foreign_commits, open_with_log, serve},
    has, make_data_file, text,
};

/// Does what a program may do, and says of every commit what it changed: triggers of its own connection note it, so
/// that a savepoint that is taken back takes that back as well.
pub(crate) const WRITER: &str = r#"
import json, random, sqlite3, sys
path, seed, commits = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
dice = random.Random(seed)
db = sqlite3.connect(path, isolation_level=None, timeout=60)
db.executescript("PRAGMA cache_size=10; PRAGMA recursive_triggers=ON; PRAGMA synchronous=OFF")
tables = {"t": ("rowid", ["id", "a", "b", "c"]), "k": ("k", ["k", "v"]), "p": ("rowid", ["x", "y"]), "mark": ("rowid", ["id", "n"])}
db.executescript("CREATE TEMP TABLE truth(seq INTEGER PRIMARY KEY, t, was, now, " + ",".join(f"o{i},n{i}" for i in range(4)) + ")")
for table, (key, columns) in tables.items():
    for verb, old, new in (("INSERT", 0, 1), ("UPDATE", 1, 1), ("DELETE", 1, 0)):
        names, values = ["t", "was", "now"], [f"'{table}'", f"old.{key}" if old else "NULL", f"new.{key}" if new else "NULL"]
        for i, column in enumerate(columns):
            names += [f"o{i}", f"n{i}"]
            values += [f"old.{column}" if old else "NULL", f"new.{column}" if new else "NULL"]
        db.execute(f"CREATE TEMP TRIGGER {table}_{verb} AFTER {verb} ON main.{table} BEGIN "
                   f"INSERT INTO truth({','.join(names)}) VALUES({','.join(values)}); END")
plain = lambda v: {"blob": v.hex()} if isinstance(v, bytes) else v
def net():
    first, last = {}, {}
    for _, t, was, now, *rest in db.execute("SELECT * FROM truth ORDER BY seq"):
        columns = tables[t][1]
        old = {c: plain(rest[2 * i]) for i, c in enumerate(columns)}
        new = {c: plain(rest[2 * i + 1]) for i, c in enumerate(columns)}
        events = [(was, old, None), (now, None, new)] if was is not None and now is not None and was != now else \
            [(now if was is None else was, old if was is not None else None, new if now is not None else None)]
        for key, old, new in events:
            first.setdefault((t, key), old)
            last[t, key] = new
    db.execute("DELETE FROM temp.truth")
    done = []
    for (t, key), old in first.items():
        new = last[t, key]
        if old == new: continue
        action = "add" if old is None else "delete" if new is None else "modify"
        one = {"action": action, "table": t, "key": key}
        if old is not None: one["old"] = old
        if new is not None: one["new"] = new
        done.append(one)
    return done
def value():
    return dice.choice([None, dice.randrange(-9, 10**dice.randrange(1, 18)), dice.random() * 1000, "ä文" * dice.randrange(30),
        "x" * dice.randrange(300), dice.randbytes(dice.randrange(60)), dice.randbytes(dice.randrange(9000)), bytes(dice.randrange(20000))])
def one():
    n = dice.randrange(500)
    kind = dice.randrange(12)
    if kind < 3: db.execute("INSERT OR REPLACE INTO t VALUES(?,?,?,?)", (n, f"a{dice.randrange(300)}", value(), dice.random()))
    elif kind < 5: db.execute("INSERT INTO k VALUES(?,?) ON CONFLICT(k) DO UPDATE SET v=excluded.v", (f"k{n}", value()))
    elif kind == 5: db.execute("UPDATE OR REPLACE t SET id=id+7 WHERE id BETWEEN ? AND ?", (n, n + 5))
    elif kind == 6: db.execute("DELETE FROM t WHERE id BETWEEN ? AND ?", (n, n + dice.randrange(60)))
    elif kind == 7: db.execute("INSERT INTO p SELECT id, hex(zeroblob(id%90)) FROM t WHERE id BETWEEN ? AND ?", (n, n + 50))
    elif kind == 8: db.execute("UPDATE p SET y=y||? WHERE rowid%7=?", (n, n % 7))
    elif kind == 9: db.execute("UPDATE t SET b=CAST(substr(b,1,length(b)/2)||'!'||substr(b,length(b)/2+2) AS BLOB) WHERE length(b)>3000")
    elif kind == 10: db.execute("DELETE FROM p WHERE rowid%3=?", (n % 3,))
    else: db.execute("INSERT INTO docs VALUES(?)", (f"words {n} of it",)); db.execute("INSERT OR REPLACE INTO places VALUES(?,1,2)", (n,))
for number in range(1, commits + 1):
    db.execute("BEGIN")
    for _ in range(dice.randrange(1, 6)):
        if dice.randrange(5) == 0:
            db.execute("SAVEPOINT s"); one(); one()
            db.execute(dice.choice(["RELEASE s", "ROLLBACK TO s"]))
        one()
    if dice.randrange(10) == 0:
        db.execute("ROLLBACK"); db.execute("DELETE FROM temp.truth"); continue
    db.execute("UPDATE mark SET n=?", (number,))
    db.execute("COMMIT")
    print(json.dumps({"mark": number, "changes": net()}))
    if dice.randrange(25) == 0: db.execute("VACUUM"); db.execute("DELETE FROM temp.truth")
    if dice.randrange(25) == 0: db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
"#;

pub(crate) const SCHEMA: &str = "CREATE TABLE t(id INTEGER PRIMARY KEY, a TEXT UNIQUE, b, c REAL); CREATE INDEX t_b \
                                 ON t(b); CREATE TABLE k(k TEXT PRIMARY KEY, v) WITHOUT ROWID; CREATE TABLE p(x, y); \
     CREATE TABLE mark(id INTEGER PRIMARY KEY, n); \
     CREATE VIRTUAL TABLE docs USING fts5(body); CREATE VIRTUAL TABLE places USING rtree(i, a, b); INSERT INTO mark \
     VALUES(1, 0); WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i<300) INSERT INTO t SELECT i, \
     'first ' || i, zeroblob(i*20), i/3.0 FROM n; \
     INSERT INTO p SELECT id, a FROM t; INSERT INTO k SELECT a, id FROM t";

/// The operations that the program lists.
fn listed(place: &Place, arguments: &[&str]) -> Vec<Value> {
    let output = place.run(&[&["log", "--json"], arguments].concat());
    assert!(output.status.success(), "{}", text(&output.stderr));
    text(&output.stdout).lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// The changes of each commit by the mark that it set; what a writer does not say is left out.
fn by_mark(operations: &[Value]) -> BTreeMap<u64, Vec<Value>> {
    let mut commits: BTreeMap<u64, Vec<Value>> = BTreeMap::new();
    for operation in operations {
        let mut change = operation.clone();
        for name in ["operation", "commit", "time"] {
            change.as_object_mut().unwrap().remove(name);
        }
        commits.entry(operation["commit"].as_u64().unwrap()).or_default().push(change);
    }
    let mut marks = BTreeMap::new();
    for mut changes in commits.into_values() {
        if let Some(mark) = changes.iter().find(|change| change["table"] == "mark") {
            let mark = mark["new"]["n"].as_u64().unwrap();
            changes.sort_by_key(Value::to_string);
            marks.insert(mark, changes);
        } else {
            assert!(matches!(changes.as_slice(), [one] if one["action"] == "rewrite"), "{changes:?}");
        }
    }
    marks
}

#[test]
fn what_foreign_programs_say_that_they_did_is_what_is_listed() {
    if !has("python3") {
        return;
    }
    let place = Place::in_memory();
    for (seed, pragmas) in [
        (1, "PRAGMA page_size=1024"),
        (2, "PRAGMA page_size=512; PRAGMA auto_vacuum=1"),
        (3, "PRAGMA encoding='UTF-16le'; PRAGMA auto_vacuum=2"),
    ] {
        let data = place.at(&format!("{seed}.sqlite"));
        foreign_commits(&data, &format!("{pragmas}; PRAGMA journal_mode=WAL; {SCHEMA}"));
        let engine = engine(&place);
        open_with_log(&engine.handle(), &data, &place.at(&format!("Backups/{seed}.journal")));
        backup(&engine.handle(), &data);
        let writer =
            Process::new("python3").args(["-c", WRITER]).arg(&data).args([&seed.to_string(), "50"]).output().unwrap();
        assert!(writer.status.success(), "{}", text(&writer.stderr));
        drop(engine);
        let all = listed(&place, &[data.to_str().unwrap()]);
        // What comes before the first commit that is asked for is read and not applied.
        let commit = |operation: &Value| operation["commit"].as_u64().unwrap();
        for first in (commit(&all[0])..=commit(&all[all.len() - 1])).skip(13).step_by(6) {
            let later: Vec<Value> = all.iter().filter(|operation| commit(operation) >= first).cloned().collect();
            assert_eq!(listed(&place, &[data.to_str().unwrap(), "--commit", &format!("{first}..")]), later);
        }
        let ours = by_mark(&all);
        let mut seen = 0;
        for line in text(&writer.stdout).lines() {
            let said: Value = serde_json::from_str(line).unwrap();
            let mut changes = said["changes"].as_array().unwrap().clone();
            changes.sort_by_key(Value::to_string);
            let mark = said["mark"].as_u64().unwrap();
            let short = |changes: Option<&Vec<Value>>| -> Vec<String> {
                changes.into_iter().flatten().map(|c| c.to_string().chars().take(150).collect()).collect()
            };
            assert!(
                ours.get(&mark) == Some(&changes),
                "seed {seed}, mark {mark}: {:#?} and not {:#?}",
                short(ours.get(&mark)),
                short(Some(&changes))
            );
            seen += 1;
        }
        assert!(seen > 30 && seen == ours.len(), "{seen}");
    }
}

fn actions(operations: &[Value]) -> Vec<String> {
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    operations.iter().map(|o| ["action", "table", "key"].map(|name| text(&o[name])).join(" ")).collect()
}

#[test]
fn a_log_is_listed_by_itself_by_its_data_file_and_as_it_is_asked_for() {
    if !has("sqlite3") {
        return;
    }
    let place = Place::new();
    let data = place.at("a.sqlite");
    drop(make_data_file(&data, "PRAGMA journal_mode=WAL", 3));
    let engine = engine(&place);
    open_with_log(&engine.handle(), &data, &place.at("logs/a.journal"));
    backup(&engine.handle(), &data);
    foreign_commits(&data, "INSERT INTO k VALUES('one', 1); UPDATE k SET v=2 WHERE k='one'; CREATE TABLE \"a b\"(x)");
    foreign_commits(&data, "INSERT INTO \"a b\" VALUES('x, \"y\"'); DELETE FROM t WHERE id=2");
    let second = backup(&engine.handle(), &data);
    foreign_commits(&data, "DELETE FROM k WHERE k='one'; DROP TABLE \"a b\"; VACUUM");
    drop(engine);

    let (data, first) = (data.to_str().unwrap().to_owned(), place.at("Backups/a[0001].4BK"));
    let before = ["add k one", "modify k one", "create a b a b", "add a b 1", "delete t 2"];
    let after = ["delete k one", "drop a b a b", "rewrite null null"];
    let running = listed(&place, &[&data]);
    assert_eq!(actions(&running), after);
    assert_eq!(running[1]["records"], 1);
    let first_commit = running[0]["commit"].as_u64().unwrap();
    // A log that was closed, with the archive that it goes on from; and with an older one than it needs.
    let closed = second.archived_log.unwrap();
    assert_eq!(actions(&listed(&place, &[closed.to_str().unwrap()])), before);
    let all = listed(&place, &[&data, "--archive", first.to_str().unwrap()]);
    assert_eq!(actions(&all), [&before[..], &after].concat());
    let log = place.at("logs/a.journal");
    let log = log.to_str().unwrap();
    assert_eq!(actions(&listed(&place, &[log, "--archive", first.to_str().unwrap()])), after);
    // What lies before the running log is found where it is asked for.
    let from = format!("{}..", first_commit - 1);
    assert_eq!(
        actions(&listed(&place, &[&data, "--commit", &from])),
        ["delete t 2", "delete k one", "drop a b a b", "rewrite null null"]
    );
    assert_eq!(listed(&place, &[&data, "--since", "2001-01-01 00:00:00"]).len(), 8);
    assert!(listed(&place, &[&data, "--since", "2101-01-01 00:00:00"]).is_empty());
    assert!(listed(&place, &[&data, "--until", "2001-01-01 00:00:00"]).is_empty());

    let archive = first.to_str().unwrap();
    let of = |more: &[&str]| actions(&listed(&place, &[&[&data, "--archive", archive], more].concat()));
    assert_eq!(of(&["--table", "K"]), ["add k one", "modify k one", "delete k one"]);
    assert_eq!(of(&["--action", "delete", "--action", "drop"]), ["delete t 2", "delete k one", "drop a b a b"]);
    assert_eq!(of(&["--key", "2"]), ["delete t 2"]);
    assert_eq!(of(&["--table", "k", "--key", "one", "--action", "modify"]), ["modify k one"]);
    let csv = text(&place.run(&["log", closed.to_str().unwrap(), "--csv", "--table", "a b"]).stdout);
    let lines: Vec<&str> = csv.lines().collect();
    assert_eq!(lines.len(), 3, "{csv}");
    assert!(lines[0].starts_with("operation,commit,time,action,object,table,key,old,new"), "{csv}");
    assert!(lines[2].ends_with(r#",add,,a b,1,,"{""x"":""x, \""y\""""}",,"#), "{csv}");
    let words = text(&place.run(&["log", closed.to_str().unwrap()]).stdout);
    assert!(words.contains("\n  1  modify k one: v 1 → 2\n") && words.contains("\n  1  create table a b\n"), "{words}");

    // Nobody can tell what a log changed without what was there before.
    std::fs::rename(&first, place.at("away")).unwrap();
    let output = place.run(&["log", closed.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(1));
    assert!(
        text(&output.stderr).contains("no archive that") && text(&output.stderr).contains("0001"),
        "{}",
        text(&output.stderr)
    );
    for (arguments, expected) in [
        (vec!["log", &data, "--commit", "x"], "names no commits"),
        (vec!["log", "/nowhere/a.4BL"], "/nowhere/a.4BL"),
        (vec!["log", &data, "--archive", closed.to_str().unwrap()], "is not a Strongroom archive"),
        (vec!["log", place.at("Backups/a[0002].4BK").to_str().unwrap()], "is an archive, and no log"),
    ] {
        let output = place.run(&arguments);
        let said = text(&output.stderr);
        assert!(output.status.code() == Some(1) && said.contains(expected), "{arguments:?}: {said}");
    }
    // What comes before damage is told, and then that there is some.
    let mut bytes = std::fs::read(log).unwrap();
    let length = bytes.len();
    bytes.truncate(length - 3);
    std::fs::write(log, &bytes).unwrap();
    let output = place.run(&["log", log]);
    assert!(output.status.success() && text(&output.stderr).contains("in the middle of a commit"), "{output:?}");
}

#[test]
fn a_log_is_listed_while_programs_write_and_after_nobody_watched() {
    if !has("sqlite3") {
        return;
    }
    let place = Place::new();
    let data = place.at("a.sqlite");
    drop(make_data_file(&data, "PRAGMA journal_mode=WAL", 3));
    {
        let engine = engine(&place);
        open_with_log(&engine.handle(), &data, &place.at("Backups/a.journal"));
        backup(&engine.handle(), &data);
        foreign_commits(&data, "INSERT INTO k VALUES('watched', 1)");
    }
    foreign_commits(&data, "INSERT INTO k VALUES('alone', 1); DELETE FROM t; PRAGMA wal_checkpoint(TRUNCATE)");
    let mut service = support::Running(serve(&place, &data));
    foreign_commits(&data, "INSERT INTO k VALUES('now', 1)");
    let begun = Instant::now();
    let all = loop {
        let all = listed(&place, &[data.to_str().unwrap()]);
        if all.last().is_some_and(|last| last["key"] == "now") {
            break all;
        }
        assert!(begun.elapsed() < Duration::from_secs(60), "never came: {all:?}");
        std::thread::sleep(Duration::from_millis(50));
    };
    let _ = service.0.kill();
    let expected =
        ["add k watched", "catch-up null null", "delete t 1", "delete t 2", "delete t 3", "add k alone", "add k now"];
    assert_eq!(actions(&all), expected);
}

#[test]
fn of_a_damaged_log_what_comes_before_the_damage_is_listed_and_then_that_there_is_some() {
    if !has("sqlite3") {
        return;
    }
    let place = Place::new();
    let data = place.at("a.sqlite");
    drop(make_data_file(&data, "PRAGMA journal_mode=WAL", 3));
    let log = place.at("Backups/a.journal");
    {
        let engine = engine(&place);
        open_with_log(&engine.handle(), &data, &log);
        backup(&engine.handle(), &data);
        for n in 1..=40 {
            foreign_commits(&data, &format!("INSERT INTO t(id, b) VALUES({}, randomblob(3000))", 100 + n));
        }
        let mut all = 0;
        while all < 40 {
            all = listed(&place, &[log.to_str().unwrap(), "--table", "t"]).len();
        }
    }
    let whole = listed(&place, &[log.to_str().unwrap(), "--table", "t"]);
    // In the middle: what comes before it stands, and nothing after it is told as if nothing were missing.
    let mut bytes = std::fs::read(&log).unwrap();
    let at = bytes.len() / 2;
    bytes[at] ^= 0x55;
    std::fs::write(&log, &bytes).unwrap();
    let output = place.run(&["log", log.to_str().unwrap(), "--table", "t", "--json"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains("is damaged at byte"), "{}", text(&output.stderr));
    let told: Vec<Value> = text(&output.stdout).lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(!told.is_empty() && told.len() < whole.len(), "{} of {}", told.len(), whole.len());
    assert_eq!(told, whole[..told.len()]);
}
