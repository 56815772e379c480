//! A data file as of a moment, read without restoring it: held against what its writer saw, and against what a restore
//! makes of it.

use crate::support;

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::{Command as Process, Output, Stdio},
    time::{Duration, Instant},
};

use rusqlite::Connection;
use serde_json::{Value, json};
use strongroom::{
    archive::{ArchiveOptions, Rate, log_recovery},
    as_of::{Limits, Looked, pages::Pages},
    control::Control,
    engine::{Command, JobId},
    journal::{
        integrate::{Look, Until},
        reader::LogReader,
    },
    records::store::{ArchiveBase, Base},
    restore::{
        self, Logs, Origin, RestoreOptions,
        state::{How, state},
    },
    sqlite::ffi,
    storage::Disk,
};
use support::{
    Place, Running,
    engine::{backup, engine, finished, foreign_commits, open_with_log, serve},
    has, make_data_file,
    records::{Dice, content},
    text,
};

fn looked(archive: &Path, commit: u64, look: Look) -> Looked {
    let how = How { until: Until::Commit(commit), look, heals: false };
    Looked::open(archive, &[], (&Logs::Found, &Origin::default()), how, &Limits::default()).unwrap()
}

/// Every byte of a state, as SQLite is given it.
fn bytes(looked: &Looked) -> Vec<u8> {
    let (conn, path) = (looked.connection(), Path::new("state"));
    let mut bytes = vec![0; ffi::file_size(conn, path).unwrap() as usize];
    ffi::read_file(conn, path, 0, &mut bytes).unwrap();
    bytes
}

/// The same, from all records in order instead of those that each page hangs on.
fn read_in_order(archive: &Path, commit: u64) -> Vec<u8> {
    let (how, control) = (How { until: Until::Commit(commit), look: Look::Records, heals: false }, Control::default());
    let found = state(archive, &[], (&Logs::Found, &Origin::default()), how, &control).unwrap();
    let size = found.archive.identity().page_size;
    let base: (Box<dyn Base>, u32) = (Box::new(ArchiveBase::of(found.archive).unwrap()), size);
    let mut pages = Pages::new(base, (found.pieces, commit), 0, &control).unwrap();
    (1..=pages.count()).flat_map(|page| pages.page(page, &control).unwrap().to_vec()).collect()
}

fn restored(place: &Place, archive: &Path, until: Until, name: &str) -> Vec<u8> {
    let to = place.at("restored");
    let options = RestoreOptions { until, ..RestoreOptions::all(&to) };
    restore::run(&Disk, archive, &options, &Control::default()).unwrap();
    let bytes = fs::read(to.join(name)).unwrap();
    fs::remove_dir_all(to).unwrap();
    bytes
}

fn last_commit(log: &Path) -> u64 {
    let mut reader = LogReader::open(log).unwrap();
    while reader.next_record().unwrap().is_some() {}
    reader.tail().commit
}

const SCHEMA: &str = "CREATE TABLE t(id INTEGER PRIMARY KEY, a TEXT UNIQUE, b); CREATE INDEX t_b ON t(b); \
     CREATE TABLE k(k TEXT PRIMARY KEY, v) WITHOUT ROWID; CREATE TABLE p(x, y); CREATE TABLE mark(n); \
     INSERT INTO mark VALUES(0); CREATE VIRTUAL TABLE docs USING fts5(body); \
     WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i<250) INSERT INTO t SELECT i, 'first ' || \
     i, zeroblob(i*9) FROM n; INSERT INTO k SELECT a, id FROM t; INSERT INTO p SELECT id, a FROM t";

/// One statement of a program that does what it likes.
fn statement(dice: &mut Dice, n: u64) -> String {
    let (id, many) = (dice.below(700), dice.below(60));
    let range = format!("BETWEEN {id} AND {}", id + many);
    match dice.below(13) {
        0..3 => format!("INSERT OR REPLACE INTO t VALUES({id}, 'a{n}', randomblob({}))", dice.below(900)),
        3 => format!("INSERT OR REPLACE INTO t VALUES({id}, 'big{n}', randomblob({}))", dice.below(40_000)),
        4 => format!(
            "INSERT OR REPLACE INTO k SELECT 'k' || (id * 7919 % 997), hex(randomblob(20)) FROM t WHERE id {range}"
        ),
        5 => format!("DELETE FROM t WHERE id {range}"),
        6 => format!("UPDATE p SET y=y || '{n}' WHERE x {range}"),
        7 => format!("INSERT INTO p SELECT id, hex(zeroblob(id % 90)) FROM t WHERE id {range}"),
        8 => format!("DELETE FROM p WHERE x % 3 = {}", n % 3),
        9 => format!("CREATE TABLE IF NOT EXISTS extra{n}(a, b); INSERT INTO extra{n} SELECT id, a FROM t LIMIT 30"),
        10 => format!("INSERT INTO docs VALUES('some words of commit {n}')"),
        11 if n > 20 => "ALTER TABLE p RENAME COLUMN y TO z; ALTER TABLE p RENAME COLUMN z TO y".to_owned(),
        _ => "PRAGMA incremental_vacuum(5)".to_owned(),
    }
}

/// Every commit's state, from the oldest archive on over several archived logs and the one that was running.
#[test]
fn every_state_is_the_one_that_its_writer_saw_and_the_one_that_is_restored() {
    for (seed, pragmas) in [
        (1u64, "PRAGMA page_size=512; PRAGMA auto_vacuum=1"),
        (2, "PRAGMA page_size=1024; PRAGMA encoding='UTF-16le'; PRAGMA auto_vacuum=2"),
        (3, "PRAGMA page_size=4096; PRAGMA secure_delete=ON"),
        (4, "PRAGMA page_size=65536"),
    ] {
        let place = Place::in_memory();
        let data = place.at("a.sqlite");
        let application = Connection::open(&data).unwrap();
        application
            .execute_batch(&format!("{pragmas}; PRAGMA journal_mode=WAL; PRAGMA synchronous=OFF; {SCHEMA}"))
            .unwrap();
        let engine = engine(&place);
        open_with_log(&engine.handle(), &data, &place.at("Backups/a.journal"));
        let first = backup(&engine.handle(), &data).archive;
        let mut dice = Dice(seed);
        let (mut truth, mut compact) = (vec![content(&application)], None);
        for n in 1..=36u64 {
            application.execute_batch("BEGIN").unwrap();
            for _ in 0..=dice.below(3) {
                application.execute_batch(&statement(&mut dice, n)).unwrap();
            }
            application.execute_batch(&format!("UPDATE mark SET n={n}; COMMIT")).unwrap();
            truth.push(content(&application));
            match n {
                12 | 24 => _ = backup(&engine.handle(), &data),
                18 => {
                    // It gives other rowids to records that have no name for theirs.
                    application.execute_batch("VACUUM").unwrap();
                    compact = Some(content(&application));
                }
                _ => {}
            }
        }
        drop(engine);
        let last = last_commit(&place.at("Backups/a.journal"));
        assert!(last >= 37, "{last}");
        let mut marks = Vec::new();
        for commit in 0..=last {
            let look = if commit % 2 == 0 { Look::Indexes } else { Look::Records };
            let state = looked(&first, commit, look);
            let conn = state.connection();
            let mark: u32 = conn.query_row("SELECT n FROM mark", [], |row| row.get(0)).unwrap();
            let mark = mark as usize;
            let found = content(conn);
            let is_compact = mark == 18 && Some(&found) == compact.as_ref();
            assert!(is_compact || found == truth[mark], "seed {seed}, commit {commit}, mark {mark}");
            marks.push(mark);
            if commit % 9 == 0 || commit == last {
                let whole = bytes(&state);
                assert!(
                    whole == restored(&place, &first, Until::Commit(commit), "a.sqlite"),
                    "seed {seed}, commit {commit}"
                );
                assert!(whole == read_in_order(&first, commit), "seed {seed}, commit {commit}: all records in order");
                let sound: String = conn.query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
                assert_eq!(sound, "ok");
            }
        }
        marks.dedup();
        assert_eq!(marks, (0..=36).collect::<Vec<usize>>(), "seed {seed}: each state once, in order");
        // Its own archive, and the nearest one, have the same state.
        let second = place.at("Backups/a[0002].4BK");
        assert!(bytes(&looked(&second, last, Look::Indexes)) == bytes(&looked(&first, last, Look::Indexes)));
    }
}

#[test]
fn logs_of_the_first_version_are_looked_into_as_well() {
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/log-1");
    let place = Place::new();
    for entry in fs::read_dir(&golden).unwrap() {
        let path = entry.unwrap().path();
        fs::copy(&path, place.at(path.file_name().unwrap().to_str().unwrap())).unwrap();
    }
    let archives: Vec<PathBuf> =
        (1..9).map(|n| place.at(&format!("a[{n:04}].4BK"))).filter(|path| path.is_file()).collect();
    let archive = &archives[0];
    let plan = restore::plan(archive, &Logs::Found).unwrap();
    let (from, to) = plan.log.map(|plan| (plan.from.commit, plan.to.commit)).unwrap();
    assert!(to > from + 3);
    let name = plan.identity.data_file_name;
    for commit in from..=to {
        let state = bytes(&looked(archive, commit, Look::Indexes));
        assert!(state == restored(&place, archive, Until::Commit(commit), &name), "commit {commit}");
    }
}

/// A program of somebody else that says after each commit what it holds.
const WRITER: &str = r#"
import json, random, sqlite3, sys
path, commits = sys.argv[1], int(sys.argv[2])
dice = random.Random(5)
db = sqlite3.connect(path, isolation_level=None, timeout=60)
for number in range(1, commits + 1):
    db.execute("BEGIN")
    for _ in range(dice.randrange(1, 4)):
        n = dice.randrange(300)
        kind = dice.randrange(4)
        if kind == 0: db.execute("INSERT OR REPLACE INTO t VALUES(?,?,?,?)", (n, "ä文" * dice.randrange(9), dice.randbytes(dice.randrange(3000)), dice.random()))
        elif kind == 1: db.execute("INSERT OR REPLACE INTO k VALUES(?,?)", (f"k{n}", dice.choice([None, n, "x" * n, n / 7])))
        elif kind == 2: db.execute("DELETE FROM t WHERE id BETWEEN ? AND ?", (n, n + 9))
        else: db.execute("UPDATE t SET c=c+1 WHERE id%7=?", (n % 7,))
    db.execute("UPDATE k SET v=? WHERE k='mark'", (number,))
    db.execute("COMMIT")
    plain = lambda v: {"blob": v.hex()} if isinstance(v, bytes) else v
    rows = [{"id": r[0], "a": r[1], "b": plain(r[2]), "c": r[3]} for r in db.execute("SELECT * FROM t ORDER BY id")]
    keys = [{"k": r[0], "v": r[1]} for r in db.execute("SELECT * FROM k ORDER BY k")]
    print(json.dumps({"mark": number, "t": rows, "k": keys}))
    if number == 15: db.execute("VACUUM")
"#;

fn query(place: &Place, arguments: &[&str]) -> Output {
    place.run(&[&["query"], arguments].concat())
}

fn rows(output: &Output) -> Vec<Value> {
    assert!(output.status.success(), "{}", text(&output.stderr));
    text(&output.stdout).lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// What the command shows while the log runs is what the foreign writer said.
#[test]
fn the_command_shows_what_a_foreign_writer_saw_while_its_log_runs() {
    if !has("python3") || !has("sqlite3") {
        return;
    }
    let place = Place::in_memory();
    let data = place.at("a.sqlite");
    drop(make_data_file(&data, "PRAGMA journal_mode=WAL; PRAGMA page_size=1024", 120));
    foreign_commits(&data, "INSERT INTO k VALUES('mark', 0)");
    let service = Running(serve(&place, &data));
    let made = place.run(&["backup", data.to_str().unwrap()]);
    assert!(made.status.success(), "{}", text(&made.stderr));
    let writer = Process::new("python3").args(["-c", WRITER]).arg(&data).arg("30").output().unwrap();
    assert!(writer.status.success(), "{}", text(&writer.stderr));
    let said: Vec<Value> = text(&writer.stdout).lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let said: BTreeMap<u64, Value> = said.into_iter().map(|one| (one["mark"].as_u64().unwrap(), one)).collect();
    let log = place.at("Backups/a.journal");
    let begun = Instant::now();
    while last_commit(&log) < 31 {
        assert!(begun.elapsed() < Duration::from_secs(60), "commits were not logged");
        std::thread::sleep(Duration::from_millis(20));
    }
    let path = data.to_str().unwrap();
    let mut seen = 0;
    for commit in 1..=31 {
        let commit = commit.to_string();
        let of = |sql: &str| query(&place, &[path, "--commit", &commit, "--json", sql]);
        let mark = rows(&of("SELECT v FROM k WHERE k='mark'"))[0]["v"].as_u64().unwrap();
        if let Some(one) = said.get(&mark) {
            assert!(Value::Array(rows(&of("SELECT * FROM t ORDER BY id"))) == one["t"], "commit {commit}");
            assert_eq!(Value::Array(rows(&of("SELECT * FROM k ORDER BY k"))), one["k"], "commit {commit}");
            seen += 1;
        }
        let output = of("SELECT 1");
        assert!(text(&output.stderr).contains(&format!("This is the state after commit {commit} of 2")), "{output:?}");
    }
    assert!(seen >= 30, "{seen}");
    // What is asked for without a moment is the last that is known, and is all there is.
    let now = query(&place, &[path, "--json", "SELECT v FROM k WHERE k='mark'"]);
    assert_eq!(rows(&now), [json!({ "v": 30 })]);
    assert!(text(&now.stderr).contains("is being written, and was read as of"), "{now:?}");
    drop(service);
}

/// Full backup 1, 60 commits, full backup 2, 10 commits.
struct Scene {
    place: Place,
    data: PathBuf,
    first: PathBuf,
    log: PathBuf,
}

impl Scene {
    fn new(redundancy: Rate) -> Self {
        let place = Place::new();
        let data = place.at("a.sqlite");
        let conn = make_data_file(&data, "PRAGMA journal_mode=WAL", 300);
        conn.execute_batch("CREATE TABLE other(n)").unwrap();
        let engine = engine(&place);
        let handle = engine.handle();
        open_with_log(&handle, &data, &place.at("Backups/a.journal"));
        let backup = || {
            let job = JobId::new();
            let options = Some(ArchiveOptions { redundancy, ..ArchiveOptions::default() });
            handle.send(Command::Backup { job, data_file: data.clone(), destination: None, options }).unwrap();
            match finished(&handle, job) {
                strongroom::engine::status::JobReport::Backup(report) => report,
                other => panic!("{other:?}"),
            }
        };
        let first = backup().archive;
        for n in 1..=60 {
            conn.execute("INSERT INTO t(a, b) VALUES(?1, randomblob(900))", [format!("commit {n}")]).unwrap();
            if n == 5 {
                conn.execute("INSERT INTO other VALUES(5)", []).unwrap();
            }
        }
        let log = backup().archived_log.unwrap();
        for n in 61..=70 {
            conn.execute("INSERT INTO t(a, b) VALUES(?1, randomblob(900))", [format!("commit {n}")]).unwrap();
        }
        drop(engine);
        Self { place, data, first, log }
    }

    fn query(&self, arguments: &[&str]) -> Output {
        query(&self.place, arguments)
    }

    fn count(&self, arguments: &[&str]) -> (Option<i32>, String, String) {
        let output = self.query(&[arguments, &["--csv", "SELECT count(*) AS n FROM t"]].concat());
        (output.status.code(), text(&output.stdout), text(&output.stderr))
    }
}

#[test]
fn a_result_is_shown_as_it_is_asked_for_and_saved_where_nothing_is() {
    let scene = Scene::new(Rate::None);
    let path = scene.data.to_str().unwrap();
    let sql = "SELECT 1 AS one, NULL AS none, 'a,\"b' AS text, x'00ff' AS bytes, 2.5 AS one, zeroblob(900) AS long, \
               char(27) AS esc";
    let of = |more: &[&str]| text(&scene.query(&[&[path, "--commit", "3"], more].concat()).stdout);
    let blob = "00".repeat(900);
    assert_eq!(
        of(&["--json", sql]),
        format!(
            "{{\"one\":1,\"none\":null,\"text\":\"a,\\\"b\",\"bytes\":{{\"blob\":\"00ff\"}},\"one:2\":2.5,\"long\":{{\"blob\":\"{blob}\"}},\"esc\":\"\\u001b\"}}\n"
        )
    );
    assert_eq!(
        of(&["--csv", sql]),
        format!("one,none,text,bytes,one,long,esc\n1,,\"a,\"\"b\",x'00ff',2.5,x'{blob}',\\u{{1b}}\n")
    );
    let shown = of(&[sql]);
    assert!(shown.contains("x'00ff'") && shown.contains("a BLOB of 900 bytes") && shown.contains("\\u{1b}"), "{shown}");
    assert!(shown.contains("NULL") && shown.lines().count() == 3, "{shown}");
    assert_eq!(of(&["SELECT a FROM t WHERE 0"]), "a\n-\n");

    let tables = of(&["--tables"]);
    assert!(tables.contains("         303  t\n") && tables.contains("           0  other\n"), "{tables}");
    let tables: Vec<Value> =
        of(&["--tables", "--json"]).lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(tables.contains(&json!({ "table": "k", "columns": 2, "records": 300 })), "{tables:?}");

    let (csv, own) = (scene.place.at("saved.csv"), scene.place.at("saved.sqlite"));
    let save = |file: &Path, more: &[&str]| {
        scene.query(
            &[
                &[path, "--commit", "3", "SELECT id, a, b AS A FROM t ORDER BY id", "--save", file.to_str().unwrap()],
                more,
            ]
            .concat(),
        )
    };
    for file in [&csv, &own] {
        let output = save(file, &[]);
        assert!(output.status.success(), "{}", text(&output.stderr));
        assert!(text(&output.stdout).starts_with("303 records in "), "{output:?}");
        let before = fs::read(file).unwrap();
        let again = save(file, &[]);
        assert!(again.status.code() == Some(1) && text(&again.stderr).contains("exists already"), "{again:?}");
        assert!(fs::read(file).unwrap() == before);
        assert!(save(file, &["--overwrite"]).status.success());
    }
    assert_eq!(fs::read_to_string(&csv).unwrap().lines().count(), 304);
    let conn = Connection::open(&own).unwrap();
    let truth = looked(&scene.first, 3, Look::Records);
    let sum = |conn: &Connection, sql: &str| -> String { conn.query_row(sql, [], |row| row.get(0)).unwrap() };
    assert_eq!(
        sum(
            &conn,
            "SELECT hex(group_concat(id || typeof(a) || a || hex(\"A:2\"))) FROM (SELECT * FROM result ORDER BY id)"
        ),
        sum(
            truth.connection(),
            "SELECT hex(group_concat(id || typeof(a) || a || hex(b))) FROM (SELECT * FROM t ORDER BY id)"
        )
    );
    assert_eq!(sum(&conn, "PRAGMA integrity_check"), "ok");
    for (file, expected) in [(path, "is what is looked at"), ("x.txt", "End its name with .csv")] {
        let output = save(Path::new(file), &["--overwrite"]);
        assert!(output.status.code() == Some(1) && text(&output.stderr).contains(expected), "{output:?}");
    }
    // By an archive the data file is another file; it is not replaced all the same.
    let archive = scene.first.to_str().unwrap();
    let output = scene.query(&[archive, "SELECT 1", "--save", path, "--overwrite"]);
    assert!(output.status.code() == Some(1) && text(&output.stderr).contains("is not replaced"), "{output:?}");
    // Nothing is left beside, and nothing was restored.
    let left: Vec<String> = support::names_in(scene.data.parent().unwrap());
    assert!(left.iter().all(|name| !name.contains("scratch")), "{left:?}");
}

/// What is damaged is repaired, or said as a restore says it; what does not hang on it is shown.
#[test]
fn damage_is_said_as_a_restore_says_it_and_nothing_wrong_is_shown() {
    for redundancy in [Rate::None, Rate::Medium] {
        let scene = Scene::new(redundancy);
        let path = scene.data.to_str().unwrap();
        let (code, shown, said) = scene.count(&[path, "--commit", "40"]);
        assert_eq!((code, shown.as_str()), (Some(0), "n\n339\n"), "{said}");
        // In the record of a commit around the 30th.
        let mut reader = LogReader::open(&scene.log).unwrap();
        let mut at = 0;
        while let Some(record) = reader.next_record().unwrap() {
            if record.head.commit == 30 {
                at = record.end as usize - 20;
            }
        }
        let good = fs::read(&scene.log).unwrap();
        let mut bad = good.clone();
        bad[at..at + 8].iter_mut().for_each(|byte| *byte = !*byte);
        fs::write(&scene.log, &bad).unwrap();
        assert_eq!(log_recovery::companion(&scene.log).is_file(), redundancy == Rate::Medium);
        let first = scene.first.to_str().unwrap();
        let (code, shown, said) = scene.count(&[first, "--commit", "20"]);
        assert_eq!((code, shown.as_str()), (Some(0), "n\n319\n"), "{said}");
        let (code, shown, said) = scene.count(&[first, "--commit", "50"]);
        let to = scene.place.at("to");
        let other = scene.place.run(&["restore", first, "--to", to.to_str().unwrap(), "--commit", "50"]);
        assert_eq!(code, other.status.code(), "{said}\n{}", text(&other.stderr));
        if redundancy == Rate::Medium {
            assert_eq!((code, shown.as_str()), (Some(0), "n\n349\n"), "{said}");
            assert!(said.contains("is damaged and was repaired"), "{said}");
        } else {
            assert_eq!((code, shown.as_str()), (Some(1), ""), "{said}");
            let words = |said: &str| said.lines().find(|line| line.contains("cannot be reached")).map(str::to_owned);
            assert!(words(&said).is_some() && words(&said) == words(&text(&other.stderr)), "{said}");
            // The end of what is known, and why.
            let (code, shown, said) = scene.count(&[first]);
            let other = scene.place.run(&["restore", first, "--to", scene.place.at("to2").to_str().unwrap()]);
            assert_eq!((code, other.status.code()), (Some(1), Some(1)), "{said}");
            let rows: u64 = shown.lines().nth(1).unwrap().parse().unwrap();
            assert!((320..330).contains(&rows), "{shown}");
            let words = |said: &str| said.lines().find(|line| line.contains("is damaged at byte")).map(str::to_owned);
            assert!(words(&said).is_some() && words(&said) == words(&text(&other.stderr)), "{said}");
        }
        // A log that is not there.
        fs::write(&scene.log, &good).unwrap();
        fs::rename(&scene.log, scene.place.at("away")).unwrap();
        let (code, _, said) = scene.count(&[first]);
        assert!(code == Some(1) && said.contains("nothing is known after"), "{said}");
        let (code, _, said) = scene.count(&[first, "--commit", "9"]);
        assert!(code == Some(1) && said.contains("no log continues"), "{said}");
        fs::rename(scene.place.at("away"), &scene.log).unwrap();
        // One byte of the archive.
        let mut archive = fs::read(&scene.first).unwrap();
        let middle = archive.len() / 3;
        archive[middle] ^= 1;
        fs::write(&scene.first, archive).unwrap();
        let (code, shown, said) = scene.count(&[first, "--commit", "20"]);
        match redundancy {
            Rate::None => assert!(code == Some(1) && shown.is_empty() && said.contains("damaged"), "{shown} {said}"),
            _ => {
                assert_eq!((code, shown.as_str()), (Some(0), "n\n319\n"), "{said}");
                assert!(said.contains("repaired on the fly"), "{said}");
            }
        }
    }
}

#[test]
fn statements_that_do_more_than_read_are_refused_and_those_without_end_are_ended() {
    let scene = Scene::new(Rate::None);
    let path = scene.data.to_str().unwrap();
    let before = fs::read(&scene.data).unwrap();
    let other = scene.place.at("other.sqlite");
    for sql in [
        &format!("ATTACH '{}' AS other", other.display()),
        &format!("VACUUM INTO '{}'", other.display()),
        "DELETE FROM t",
        "CREATE TABLE x(a)",
        "CREATE TEMP TABLE x(a)",
        "PRAGMA user_version=3",
        "PRAGMA journal_mode=DELETE",
        "PRAGMA query_only=0",
        "SELECT load_extension('x')",
        "SELECT writefile('x', 'y')",
        "SELECT 1; SELECT 2",
        "SELECT 1; DROP TABLE t",
        "BEGIN",
        "",
        "SELECT nonsense",
        "/* nothing */",
    ] {
        let output = scene.query(&[path, "--commit", "9", sql]);
        assert!(output.status.code() == Some(1) && output.stdout.is_empty(), "{sql}: {output:?}");
    }
    assert!(!other.exists() && fs::read(&scene.data).unwrap() == before);
    let endless = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n) SELECT max(i) FROM n";
    let output = scene.query(&[path, "--commit", "9", "--time-limit", "1", endless]);
    assert!(
        output.status.code() == Some(1) && text(&output.stderr).contains("took longer than 1 seconds"),
        "{output:?}"
    );
    // What takes all memory is refused as well.
    let huge = scene.query(&[path, "--commit", "9", "SELECT length(zeroblob(900000000))"]);
    assert_eq!(huge.status.code(), Some(1), "{huge:?}");

    #[cfg(unix)]
    {
        let mut running = scene.place.program();
        running.args(["query", path, "--commit", "9", endless]).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut running = Running(running.spawn().unwrap());
        // It has begun when it has used some time of a processor.
        let pid = running.0.id();
        let begun = Instant::now();
        let used = || {
            let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
            let fields = stat.rsplit(')').next().unwrap_or_default().to_owned();
            fields.split_whitespace().nth(11).and_then(|ticks| ticks.parse().ok()).unwrap_or(0u64)
        };
        while cfg!(target_os = "linux") && used() < 30 {
            assert!(begun.elapsed() < Duration::from_secs(60) && running.0.try_wait().unwrap().is_none());
            std::thread::sleep(Duration::from_millis(20));
        }

        assert!(Process::new("kill").args(["-INT", &pid.to_string()]).status().unwrap().success());
        let status = running.0.wait().unwrap();
        assert_eq!(status.code(), Some(1));
    }
}

fn diff(place: &Place, arguments: &[&str]) -> Output {
    place.run(&[&["diff"], arguments].concat())
}

/// The tables that differ, with what was counted.
fn counted(output: &Output) -> BTreeMap<String, (u64, u64, u64)> {
    assert!(output.status.success(), "{}", text(&output.stderr));
    let lines = text(&output.stdout);
    let lines = lines.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let number = |one: &Value, name: &str| one[name].as_u64().unwrap();
    lines
        .filter(|one| one.get("added").is_some())
        .map(|one| {
            let counts = (number(&one, "added"), number(&one, "changed"), number(&one, "missing"));
            (one["table"].as_str().unwrap().to_owned(), counts)
        })
        .filter(|(_, counts)| *counts != (0, 0, 0))
        .collect()
}

/// What differs between two states, by what SQLite says of both.
fn truth(before: &Connection, after: &Connection) -> BTreeMap<String, (u64, u64, u64)> {
    let (before, after) = (content(before), content(after));
    let mut found = BTreeMap::new();
    let none = BTreeMap::new();
    for table in before.keys().chain(after.keys()) {
        let (a, b) = (before.get(table).unwrap_or(&none), after.get(table).unwrap_or(&none));
        let added = b.keys().filter(|key| !a.contains_key(*key)).count() as u64;
        let missing = a.keys().filter(|key| !b.contains_key(*key)).count() as u64;
        let changed = a.iter().filter(|(key, row)| b.get(*key).is_some_and(|other| other != *row)).count() as u64;
        if (added, changed, missing) != (0, 0, 0) {
            found.insert(table.clone(), (added, changed, missing));
        }
    }
    found
}

#[test]
fn two_states_differ_by_what_sqlite_finds_in_both() {
    let place = Place::in_memory();
    let data = place.at("a.sqlite");
    let application = Connection::open(&data).unwrap();
    application
        .execute_batch(
            "PRAGMA encoding='UTF-16be'; PRAGMA page_size=1024; PRAGMA journal_mode=WAL; PRAGMA synchronous=OFF;
             CREATE TABLE t(id INTEGER PRIMARY KEY, a TEXT UNIQUE, b);
             CREATE TABLE k(k TEXT COLLATE NOCASE, part INT, v, PRIMARY KEY(k DESC, part)) WITHOUT ROWID;
             CREATE TABLE p(x, y);
             WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i<400)
             INSERT INTO t SELECT i, 'ä文' || (i * 7919 % 997), zeroblob(i) FROM n;
             INSERT INTO k SELECT a, id % 5, id FROM t; INSERT INTO p SELECT id, a FROM t",
        )
        .unwrap();
    let engine = engine(&place);
    open_with_log(&engine.handle(), &data, &place.at("Backups/a.journal"));
    let first = backup(&engine.handle(), &data).archive;
    let mut dice = Dice(11);
    for n in 0..30u64 {
        let (id, many) = (dice.below(500), dice.below(20));
        let range = format!("BETWEEN {id} AND {}", id + many);
        let sql = match dice.below(7) {
            0 => format!("DELETE FROM t WHERE id {range}"),
            1 => format!("UPDATE t SET b=b || 'x' WHERE id {range}"),
            2 => format!("INSERT OR REPLACE INTO t VALUES({id}, 'new{n}', {n})"),
            3 => format!("UPDATE k SET v=v+1 WHERE v {range}"),
            4 => format!("DELETE FROM k WHERE v {range}; INSERT OR IGNORE INTO k VALUES('K{n}', {n}, NULL)"),
            5 => format!("INSERT INTO p VALUES({n}, {n}); UPDATE p SET y=NULL WHERE rowid {range}"),
            _ => format!("CREATE TABLE made{n}(a); INSERT INTO made{n} VALUES(1), (2)"),
        };
        application.execute_batch(&format!("BEGIN; {sql}; COMMIT")).unwrap();
        if n == 15 {
            backup(&engine.handle(), &data);
        }
    }
    let second = place.at("Backups/a[0002].4BK");
    drop(engine);
    let last = last_commit(&place.at("Backups/a.journal"));
    let path = data.to_str().unwrap();
    let at = |commit: u64| looked(&first, commit, Look::Records);
    for (from, to) in [(0, last), (3, 17), (last, 5), (7, 8)] {
        let (a, b) = (from.to_string(), to.to_string());
        let output = diff(&place, &[path, "--commit", &a, "--and-commit", &b, "--json"]);
        assert_eq!(counted(&output), truth(at(from).connection(), at(to).connection()), "{from} to {to}");
    }
    // Since then and up to now, which no command changes.
    let before = fs::read(&data).unwrap();
    let output = diff(&place, &[path, "--commit", "4", "--json"]);
    assert_eq!(counted(&output), truth(at(4).connection(), &application));
    assert!(fs::read(&data).unwrap() == before, "the data file was written");
    // Two archives, each as it is.
    let alone = |archive: &Path| {
        let how = How { until: Until::End, look: Look::Records, heals: false };
        Looked::open(archive, &[], (&Logs::None, &Origin::default()), how, &Limits::default()).unwrap()
    };
    let output = diff(&place, &[first.to_str().unwrap(), second.to_str().unwrap(), "--json"]);
    assert_eq!(counted(&output), truth(alone(&first).connection(), alone(&second).connection()));
    assert!(!counted(&output).is_empty());
}

#[test]
fn tables_of_other_shapes_are_compared_as_far_as_they_can_be() {
    let place = Place::new();
    let data = place.at("a.sqlite");
    let application = Connection::open(&data).unwrap();
    application
        .execute_batch(
            "PRAGMA journal_mode=WAL; CREATE TABLE same(id INTEGER PRIMARY KEY, a); INSERT INTO same VALUES(1, 'x');
             CREATE TABLE wider(id INTEGER PRIMARY KEY, a); INSERT INTO wider VALUES(1, 'x'), (2, 'y');
             CREATE TABLE other(id INTEGER PRIMARY KEY, a); INSERT INTO other VALUES(1, 'x'), (2, 'y');
             CREATE TABLE nulls(a TEXT PRIMARY KEY, b); INSERT INTO nulls VALUES(NULL, 1), (NULL, 2), ('c', 3);
             CREATE TABLE gone(id INTEGER PRIMARY KEY); INSERT INTO gone VALUES(1), (2), (3);
             CREATE VIRTUAL TABLE docs USING fts5(body); INSERT INTO docs VALUES('one'), ('two');
             CREATE INDEX wider_a ON wider(a)",
        )
        .unwrap();
    let engine = engine(&place);
    let handle = engine.handle();
    open_with_log(&handle, &data, &place.at("Backups/a.journal"));
    let first = backup(&handle, &data).archive;
    application
        .execute_batch(
            "ALTER TABLE wider ADD COLUMN b DEFAULT 7; UPDATE wider SET a='z' WHERE id=2;
             DROP TABLE other; CREATE TABLE other(name TEXT PRIMARY KEY, a); INSERT INTO other VALUES('n', 'y'), \
             ('m', 'y');
             UPDATE nulls SET b=9 WHERE b=2; DROP TABLE gone; INSERT INTO docs VALUES('three');
             DROP INDEX wider_a; CREATE VIEW v AS SELECT 1",
        )
        .unwrap();
    let second = backup(&handle, &data).archive;
    application.execute_batch("INSERT INTO same VALUES(2, 'now')").unwrap();
    drop(engine);
    let (one, two) = (first.to_str().unwrap(), second.to_str().unwrap());
    let output = diff(&place, &[one, two, "--json", "--keys"]);
    let expected: BTreeMap<String, (u64, u64, u64)> =
        [("docs", (1, 0, 0)), ("gone", (0, 0, 3)), ("nulls", (0, 1, 0)), ("other", (1, 0, 1)), ("wider", (0, 1, 0))]
            .map(|(name, counts)| (name.to_owned(), counts))
            .into();
    assert_eq!(counted(&output), expected);
    let lines: Vec<Value> = text(&output.stdout).lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let has = |wanted: Value| assert!(lines.contains(&wanted), "{wanted} in {lines:#?}");
    has(json!({ "object": "table", "name": "wider", "change": "changed" }));
    has(json!({ "object": "table", "name": "gone", "change": "missing" }));
    has(json!({ "object": "view", "name": "v", "change": "added" }));
    has(json!({ "object": "index", "name": "wider_a", "change": "missing" }));
    has(json!({ "table": "wider", "change": "changed", "key": 2 }));
    has(json!({ "table": "gone", "change": "missing", "key": 3 }));
    has(json!({ "table": "other", "change": "missing", "key": "x" }));
    has(json!({ "table": "wider", "by": "key", "added": 0, "changed": 1, "missing": 0, "only_second": ["b"] }));
    let by =
        |table: &str| lines.iter().find(|one| one["table"] == table && one.get("by").is_some()).unwrap()["by"].clone();
    assert_eq!([by("same"), by("nulls"), by("other"), by("docs")], ["key", "rowid", "values", "values"]);
    let shown = text(&diff(&place, &[one, two]).stdout);
    assert!(shown.contains("table wider: changed\n") && shown.contains("only the second has b"), "{shown}");
    assert!(shown.contains("1 table holds the same records.\n"), "{shown}");
    assert!(shown.contains("by all values, since they have no key in common"), "{shown}");
    // With the data file as it is now, which is where the archive was made.
    let now: BTreeMap<String, (u64, u64, u64)> = [("same".to_owned(), (1, 0, 0))].into();
    assert_eq!(counted(&diff(&place, &[two, "--json"])), now);
    assert_eq!(counted(&diff(&place, &[two, data.to_str().unwrap(), "--json", "--table", "SAME"])), now);
    let kept = text(&diff(&place, &[two, "--keys"]).stdout);
    assert!(kept.contains("same: added 2\n"), "{kept}");
    for (arguments, expected) in [
        (vec![data.to_str().unwrap()], "both states are those of now"),
        (vec![two, "--table", "nothing"], "neither state has a table"),
    ] {
        let output = diff(&place, &arguments);
        assert!(output.status.code() == Some(1) && text(&output.stderr).contains(expected), "{output:?}");
    }
}
