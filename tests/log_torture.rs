//! Several programs write one data file, crash, roll back, checkpoint in every mode; the log is cut and its engine
//! killed. Whatever happens, every base plus its log must be the next base, byte for byte, and any commit in between
//! must hold exactly the transactions that the ledger names.
//!
//! This program starts itself again as a writer or as the engine, told by the environment. `STRONGROOM_TORTURE_SECONDS`
//! makes the run longer. Time decides how much happens, never the verdict.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stderr)]

use std::{
    fs,
    io::Write,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant, SystemTime},
};

use rusqlite::Connection;
use strongroom::{
    control::Control,
    journal::{
        Capture, CaptureConfig, CaptureState, LastArchive, Position,
        integrate::{PlanEnd, Until, integrate, plan},
    },
    sqlite::snapshot::Snapshot,
};
use uuid::Uuid;

const PAGE_SIZE: u32 = 1024;
const IDENTITY: Uuid = Uuid::from_u128(0x5af3);

/// A small generator, so that a transaction can be made again from its number.
struct Dice(u64);

impl Dice {
    fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, limit: u64) -> u64 {
        self.roll() % limit
    }

    fn chance(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }

    fn now() -> Self {
        let time = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_nanos() as u64;
        Self(time ^ u64::from(std::process::id()) << 40)
    }
}

/// Transaction `n`, the same whoever makes it and whenever.
fn transaction(conn: &Connection, n: i64) -> rusqlite::Result<()> {
    let mut dice = Dice(n as u64);
    let text = |dice: &mut Dice, longest: u64| {
        let length = dice.below(longest) as usize;
        let letter = char::from(b'a' + dice.below(26) as u8);
        std::iter::repeat_n(letter, length).collect::<String>() + &n.to_string()
    };
    let range = 400u64;
    for _ in 0..=dice.below(4) {
        let key = dice.below(range) as i64;
        match dice.below(20) {
            0..7 => conn.execute("INSERT OR REPLACE INTO t(k,v) VALUES(?1,?2)", (key, text(&mut dice, 300)))?,
            7..13 => conn.execute("UPDATE t SET v=?2 WHERE k=?1", (key, text(&mut dice, 300)))?,
            13..16 => conn.execute("DELETE FROM t WHERE k=?1", [key])?,
            16 => conn.execute("UPDATE t SET v=v||'x' WHERE k BETWEEN ?1 AND ?1+60 AND length(v)<900", [key])?,
            17 => conn.execute("INSERT OR REPLACE INTO t(k,v) VALUES(?1,?2)", (key, text(&mut dice, 60_000)))?,
            18 => conn.execute("DELETE FROM t WHERE k BETWEEN ?1 AND ?1+40", [key])?,
            _ => {
                let name = format!("x{}", dice.below(3));
                conn.execute_batch(&format!("DROP TABLE IF EXISTS {name}"))?;
                conn.execute_batch(&format!("CREATE TABLE {name}(a, b); CREATE INDEX i{name} ON {name}(a)"))?;
                conn.execute(&format!("INSERT INTO {name} SELECT k, v FROM t WHERE k%7=?1"), [dice.below(7) as i64])?
            }
        };
    }
    Ok(())
}

fn create(conn: &Connection) {
    conn.execute_batch("CREATE TABLE t(k INTEGER PRIMARY KEY, v); CREATE TABLE ledger(n INTEGER PRIMARY KEY, who)")
        .unwrap();
}

fn content(conn: &Connection) -> String {
    let mut hasher = blake3::Hasher::new();
    let mut tables = conn.prepare("SELECT name, sql FROM sqlite_schema ORDER BY name").unwrap();
    let tables: Vec<(String, String)> =
        tables.query_map([], |r| Ok((r.get(0)?, r.get(1)?))).unwrap().map(Result::unwrap).collect();
    for (name, sql) in tables {
        hasher.update(sql.as_bytes());
        if sql.starts_with("CREATE TABLE") {
            let columns = if name == "t" {
                "k, v"
            } else if name == "ledger" {
                "n, who"
            } else {
                "a, b"
            };
            let mut rows = conn.prepare(&format!("SELECT {columns} FROM {name} ORDER BY rowid")).unwrap();
            let mut rows = rows.query([]).unwrap();
            while let Some(row) = rows.next().unwrap() {
                let key: i64 = row.get(0).unwrap();
                let value: String = row.get(1).unwrap();
                hasher.update(format!("{key}={value};").as_bytes());
            }
        }
    }
    hasher.finalize().to_hex().to_string()
}

/// What `path` must hold according to its own ledger; checks structure too.
fn check_against_ledger(path: &Path, replay: &mut Replay) {
    let conn = Connection::open(path).unwrap();
    let sound: String = conn.query_row("PRAGMA integrity_check", [], |r| r.get(0)).unwrap();
    assert_eq!(sound, "ok", "{}", path.display());
    let last: i64 = conn.query_row("SELECT coalesce(max(n),0) FROM ledger", [], |r| r.get(0)).unwrap();
    let count: i64 = conn.query_row("SELECT count(*) FROM ledger", [], |r| r.get(0)).unwrap();
    assert_eq!(last, count, "the ledger has holes");
    let mut who = conn.prepare("SELECT who FROM ledger ORDER BY n").unwrap();
    let who: Vec<String> = who.query_map([], |r| r.get(0)).unwrap().map(Result::unwrap).collect();
    replay.to(&who);
    assert_eq!(content(&conn), content(&replay.conn), "after transaction {last}");
}

/// Makes the transactions of a ledger again, in memory.
struct Replay {
    conn: Connection,
    done: usize,
}

impl Replay {
    fn new() -> Self {
        let conn = Connection::open_in_memory().unwrap();
        create(&conn);
        Self { conn, done: 0 }
    }

    fn to(&mut self, who: &[String]) {
        if who.len() < self.done {
            *self = Self::new();
        }
        for (index, who) in who.iter().enumerate().skip(self.done) {
            let n = index as i64 + 1;
            if who == "cli" {
                self.conn.execute_batch(&cli_statement()).unwrap();
            } else {
                self.conn.execute_batch("BEGIN").unwrap();
                transaction(&self.conn, n).unwrap();
                self.conn.execute("INSERT INTO ledger VALUES(?1,?2)", (n, who)).unwrap();
                self.conn.execute_batch("COMMIT").unwrap();
            }
        }
        self.done = who.len();
    }
}

fn cli_statement() -> String {
    "BEGIN IMMEDIATE; INSERT OR REPLACE INTO t(k,v) SELECT max(n)%400, printf('%0300d', max(n)) FROM ledger HAVING \
     max(n)>0;
     INSERT INTO ledger SELECT coalesce(max(n),0)+1, 'cli' FROM ledger; COMMIT;"
        .to_owned()
}

fn role(name: &str, folder: &Path, extra: &str) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "play_a_role", "--nocapture"])
        .env("STRONGROOM_ROLE", name)
        .env("STRONGROOM_FOLDER", folder)
        .env("STRONGROOM_EXTRA", extra)
        .stdout(Stdio::null())
        .spawn()
        .unwrap()
}

/// Not a test of its own: what the started processes do.
#[test]
fn play_a_role() {
    let Ok(role) = std::env::var("STRONGROOM_ROLE") else { return };
    let folder = PathBuf::from(std::env::var("STRONGROOM_FOLDER").unwrap());
    let extra = std::env::var("STRONGROOM_EXTRA").unwrap();
    match role.as_str() {
        "writer" => write(&folder, &extra),
        "cli" => write_with_cli(&folder),
        "engine" => follow(&folder),
        _ => panic!("unknown role"),
    }
}

fn write(folder: &Path, name: &str) {
    let mut dice = Dice::now();
    let mut own = fs::OpenOptions::new().append(true).create(true).open(folder.join(format!("{name}.own"))).unwrap();
    loop {
        let conn = Connection::open(folder.join("data.sqlite")).unwrap();
        conn.busy_timeout(Duration::from_secs(20)).unwrap();
        conn.execute_batch(&format!("PRAGMA synchronous={}", if dice.chance(10) { "FULL" } else { "OFF" })).unwrap();
        if dice.chance(30) {
            conn.execute_batch("PRAGMA cache_size=10").unwrap();
        }
        if dice.chance(20) {
            conn.execute_batch("PRAGMA wal_autocheckpoint=20").unwrap();
        }
        let pause = if dice.chance(50) { 0 } else { dice.below(8) };
        for _ in 0..dice.below(400) {
            let Ok(()) = conn.execute_batch("BEGIN IMMEDIATE") else { continue };
            let n: i64 = conn.query_row("SELECT coalesce(max(n),0)+1 FROM ledger", [], |r| r.get(0)).unwrap();
            if dice.chance(10) {
                conn.execute_batch("SAVEPOINT s").unwrap();
                transaction(&conn, n + 1_000_000).unwrap();
                conn.execute_batch("ROLLBACK TO s; RELEASE s").unwrap();
            }
            transaction(&conn, n).unwrap();
            conn.execute("INSERT INTO ledger VALUES(?1,?2)", (n, name)).unwrap();
            if dice.chance(5) {
                conn.execute_batch("ROLLBACK").unwrap();
            } else if conn.execute_batch("COMMIT").is_ok() {
                own.write_all(format!("{n}\n").as_bytes()).unwrap();
            }
            if dice.chance(2) {
                let mode = ["PASSIVE", "FULL", "RESTART", "TRUNCATE"][dice.below(4) as usize];
                conn.busy_timeout(Duration::from_millis(500)).unwrap();
                let _ = conn.query_row(&format!("PRAGMA wal_checkpoint({mode})"), [], |_| Ok(()));
                conn.busy_timeout(Duration::from_secs(20)).unwrap();
            }
            if dice.below(1000) < 3 {
                let _ = conn.execute_batch("VACUUM");
            }
            if pause > 0 {
                std::thread::sleep(Duration::from_millis(dice.below(pause)));
            }
        }
        if dice.chance(20) {
            std::thread::sleep(Duration::from_millis(dice.below(300)));
        }
    }
}

fn write_with_cli(folder: &Path) {
    loop {
        let sql = format!(".bail on\n.timeout 5000\n{}\nPRAGMA wal_checkpoint;\n", cli_statement().repeat(5));
        let mut child = Command::new("sqlite3")
            .arg(folder.join("data.sqlite"))
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(sql.as_bytes()).unwrap();
        let _ = child.wait();
        std::thread::sleep(Duration::from_millis(50));
    }
}

fn base_path(folder: &Path, number: u32) -> PathBuf {
    folder.join(format!("data[{number:04}].base"))
}

fn log_path(folder: &Path, number: u32) -> PathBuf {
    folder.join(format!("data[{number:04}].4BL"))
}

/// The archives of this test: a base file, complete when its position stands beside it.
fn archives(folder: &Path) -> Vec<Position> {
    (1..)
        .map(|n| fs::read(base_path(folder, n).with_extension("position")))
        .take_while(Result::is_ok)
        .map(|text| serde_json::from_slice(&text.unwrap()).unwrap())
        .collect()
}

fn config(folder: &Path) -> CaptureConfig {
    let mut config = CaptureConfig::new(&folder.join("data.sqlite"), &folder.join("data.journal"), IDENTITY);
    config.last_archive = archives(folder).last().map(|position| LastArchive {
        position: *position,
        moment: chrono::Utc::now(),
        page_size: PAGE_SIZE,
        page_count: (base_path(folder, position.archive).metadata().unwrap().len() / u64::from(PAGE_SIZE)) as u32,
        previous_log: log_path(folder, position.archive - 1),
    });
    let bases = folder.to_path_buf();
    config.read_base =
        Some(std::sync::Arc::new(move |position, sink| sink(&fs::read(base_path(&bases, position.archive)).unwrap())));
    config
}

fn copy(snapshot: &Snapshot, to: &Path, also: &mut dyn FnMut(&[u8])) {
    let mut file = fs::File::create(to).unwrap();
    let mut buffer = vec![0; 1 << 18];
    let mut at = 0;
    while at < snapshot.len() {
        let count = buffer.len().min((snapshot.len() - at) as usize);
        snapshot.read(at, &mut buffer[..count]).unwrap();
        file.write_all(&buffer[..count]).unwrap();
        also(&buffer[..count]);
        at += count as u64;
    }
}

fn backup(capture: &Capture, folder: &Path, number: u32, table: bool) -> Option<strongroom::journal::Cut> {
    let data = folder.join("data.sqlite");
    let mut cut =
        capture.cut(number, move || Snapshot::begin(&data, Duration::from_secs(5), &Control::default())).ok()?;
    let snapshot = cut.take_snapshot().unwrap();
    let part = base_path(folder, number).with_extension("part");
    if table {
        let mut pages = cut.page_table(snapshot.page_size()).unwrap();
        copy(&snapshot, &part, &mut |bytes| pages.push(bytes).unwrap());
        pages.finish().unwrap();
    } else {
        copy(&snapshot, &part, &mut |_| ());
    }
    Some(cut)
}

/// The archive is complete from here on.
fn publish(folder: &Path, number: u32, position: &Position) {
    let base = base_path(folder, number);
    fs::rename(base.with_extension("part"), &base).unwrap();
    fs::write(base.with_extension("tmp"), serde_json::to_vec(position).unwrap()).unwrap();
    fs::rename(base.with_extension("tmp"), base.with_extension("position")).unwrap();
}

fn follow(folder: &Path) {
    let mut dice = Dice::now();
    let capture = loop {
        match Capture::start(config(folder)) {
            Ok(capture) => break capture,
            Err(e) => eprintln!("engine: {e}"),
        }
        std::thread::sleep(Duration::from_millis(20));
    };
    loop {
        std::thread::sleep(Duration::from_millis(dice.below(1500)));
        let number = archives(folder).len() as u32 + 1;
        let Some(cut) = backup(&capture, folder, number, dice.chance(70)) else { continue };
        if dice.chance(30) {
            std::thread::sleep(Duration::from_millis(dice.below(300)));
        }
        if dice.chance(30) {
            cut.abandon().unwrap();
        } else {
            publish(folder, number, &cut.position());
            cut.commit(&log_path(folder, number - 1)).unwrap();
            require_same(&capture);
        }
    }
}

/// The log has led to exactly what the archive holds, by the checksum of the state that it keeps.
fn require_same(capture: &Capture) {
    let said = capture.status().error.map_or_else(String::new, |error| error.message);
    assert!(!said.contains("does not lead to exactly"), "{said}");
}

/// The leaves of the free list: SQLite never looks at what they hold, and may not even write it.
fn free_pages(file: &[u8]) -> std::collections::BTreeSet<u32> {
    let word = |at: usize| u32::from_be_bytes([file[at], file[at + 1], file[at + 2], file[at + 3]]);
    let mut free = std::collections::BTreeSet::new();
    let mut trunk = word(32) as usize;
    while trunk > 0 {
        let at = (trunk - 1) * 1024;
        free.extend((0..word(at + 4) as usize).map(|n| word(at + 8 + 4 * n)));
        trunk = word(at) as usize;
    }
    free
}

fn seconds() -> u64 {
    std::env::var("STRONGROOM_TORTURE_SECONDS").ok().and_then(|s| s.parse().ok()).unwrap_or(20)
}

#[test]
fn nothing_committed_is_lost_whoever_crashes() {
    let mut kept = tempfile::tempdir().unwrap();
    // What led to a failure can be looked at.
    kept.disable_cleanup(true);
    let folder = kept.path().canonicalize().unwrap();
    let data = folder.join("data.sqlite");
    let setup = Connection::open(&data).unwrap();
    setup.execute_batch(&format!("PRAGMA page_size={PAGE_SIZE}; PRAGMA journal_mode=WAL")).unwrap();
    create(&setup);
    drop(setup);

    let mut dice = Dice::now();
    let has_cli = Command::new("sqlite3").arg("--version").stdout(Stdio::null()).status().is_ok_and(|s| s.success());
    let mut writers: Vec<Child> = (0..3).map(|n| role("writer", &folder, &format!("w{n}"))).collect();
    let mut cli = has_cli.then(|| role("cli", &folder, ""));
    let mut engine = role("engine", &folder, "");
    let end = Instant::now() + Duration::from_secs(seconds());
    let (mut kills, mut engine_kills) = (0, 0);
    while Instant::now() < end {
        std::thread::sleep(Duration::from_millis(dice.below(400)));
        if dice.chance(60) {
            let n = dice.below(3) as usize;
            writers[n].kill().unwrap();
            writers[n].wait().unwrap();
            writers[n] = role("writer", &folder, &format!("w{n}"));
            kills += 1;
        }
        if dice.chance(15) {
            engine.kill().unwrap();
            engine.wait().unwrap();
            std::thread::sleep(Duration::from_millis(if dice.chance(50) { 0 } else { dice.below(200) }));
            engine = role("engine", &folder, "");
            engine_kills += 1;
        }
        assert!(engine.try_wait().unwrap().is_none(), "the engine ended by itself");
    }
    for child in writers.iter_mut().chain(cli.as_mut()) {
        child.kill().unwrap();
        child.wait().unwrap();
    }
    engine.kill().unwrap();
    engine.wait().unwrap();

    // A last full backup: its base is what the data file really holds.
    let capture = Capture::start(config(&folder)).unwrap();
    capture.flush().unwrap();
    assert_eq!(capture.status().state, CaptureState::On);
    let last = archives(&folder).len() as u32 + 1;
    let cut = backup(&capture, &folder, last, true).unwrap();
    publish(&folder, last, &cut.position());
    cut.commit(&log_path(&folder, last - 1)).unwrap();
    require_same(&capture);
    capture.stop();

    let positions = archives(&folder);
    let logs: Vec<PathBuf> = (0..last).map(|n| log_path(&folder, n)).collect();
    let mut replay = Replay::new();
    let control = Control::default();
    let (mut commits, mut catch_ups, mut proven) = (0, 0, 0);
    for pair in positions.windows(2) {
        let number = pair[0].archive;
        let plan_all = plan(IDENTITY, &pair[0], &logs[number as usize..=number as usize], &control).unwrap();
        assert_eq!(plan_all.end, PlanEnd::Complete, "log {number}");
        assert_eq!((plan_all.to.commit, plan_all.to.chain), (pair[1].commit, pair[1].chain), "log {number}");
        commits += plan_all.commits;
        catch_ups += plan_all.catch_ups.len();
        let target = folder.join("target");
        let steps = plan_all.to.commit - plan_all.from.commit;
        if steps > 0 {
            for _ in 0..2 {
                let commit = plan_all.from.commit + 1 + dice.below(steps);
                fs::copy(base_path(&folder, number), &target).unwrap();
                let done = integrate(&target, &plan_all, Until::Commit(commit), &control).unwrap();
                assert_eq!(done.position.commit, commit);
                proven += u32::from(done.is_proven);
                check_against_ledger(&target, &mut replay);
                let _ = fs::remove_file(folder.join("target-wal"));
                let _ = fs::remove_file(folder.join("target-shm"));
            }
        }
        fs::copy(base_path(&folder, number), &target).unwrap();
        integrate(&target, &plan_all, Until::End, &control).unwrap();
        let (built, real) = (fs::read(&target).unwrap(), fs::read(base_path(&folder, number + 1)).unwrap());
        assert_eq!(built.len(), real.len(), "base {number} with its log has another length than base {}", number + 1);
        let free = free_pages(&real);
        for (index, (a, b)) in built.chunks(1024).zip(real.chunks(1024)).enumerate() {
            let page = index as u32 + 1;
            assert!(a == b || free.contains(&page), "base {number} with its log differs from the next in page {page}");
        }
    }
    // From the first archive over all logs, as when the newer archives are lost.
    let whole = plan(IDENTITY, &positions[0], &logs, &control).unwrap();
    assert_eq!(
        (whole.to.commit, whole.to.chain),
        (positions[positions.len() - 1].commit, positions[positions.len() - 1].chain)
    );
    let final_base = base_path(&folder, last);
    check_against_ledger(&final_base, &mut replay);
    // Everything that a writer knows to be committed is there.
    let conn = Connection::open(&final_base).unwrap();
    let last_n: i64 = conn.query_row("SELECT max(n) FROM ledger", [], |r| r.get(0)).unwrap();
    for n in 0..3 {
        let own = fs::read_to_string(folder.join(format!("w{n}.own"))).unwrap();
        for line in own.lines() {
            let who: String = conn.query_row("SELECT who FROM ledger WHERE n=?1", [line], |r| r.get(0)).unwrap();
            assert_eq!(who, format!("w{n}"));
        }
    }
    eprintln!(
        "{proven} states proven by checksum, {last_n} transactions, {commits} commits in {} logs, {catch_ups} \
         catch-ups, {kills} writers and {engine_kills} engines killed",
        positions.len()
    );
    kept.disable_cleanup(false);
}
