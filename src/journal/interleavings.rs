//! The running protocol of pins and checkpoints, with real SQLite, and other programs that act between any two of its
//! steps: they commit, hold a transaction open, copy the WAL, begin it anew, read; and this program crashes. After each
//! order every commit is in the log as a step of its own, and what the log leads to is what the data file holds.
#![cfg(test)]

use std::{
    fs,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
};

use rusqlite::Connection;
use uuid::Uuid;

use super::{
    catch_up,
    follow::{Follower, Trouble},
    format::{Chain, LogHeader, Position, VERSION},
    gate::Turn,
    open::{self, Now},
    pin_machine::{Event, Limits, Outcome, PinMachine},
    pins::Pins,
    status::CaptureConfig,
    table::{Changes, PageTableWriter},
    table_path,
    writer::LogWriter,
};
use crate::{
    error::{Error, ErrorKind},
    sqlite::{open_existing, wal::WalMark},
    storage::Ownership,
};

type Failure = Box<dyn std::error::Error>;
type Hook = Box<dyn FnMut() -> Result<(), Error> + Send>;

/// What tests have other programs do between two steps.
#[derive(Default)]
pub(super) struct Between(Option<Hook>);

impl std::fmt::Debug for Between {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Between")
    }
}

impl Between {
    pub(super) fn call(&mut self) -> Result<(), Error> {
        self.0.as_mut().map_or(Ok(()), |hook| hook())
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Act {
    Commit,
    /// Two commits and whatever the automatic checkpoint does.
    Commits,
    /// Writes, and commits at the next `Commit`.
    Hold,
    Passive,
    Restart,
    Truncate,
    /// Begins to read, or ends it.
    Read,
    /// This program ends at once.
    Crash,
}

const ACTS: [Act; 8] =
    [Act::Commit, Act::Commits, Act::Hold, Act::Passive, Act::Restart, Act::Truncate, Act::Read, Act::Crash];

/// What the capture does, one after the other.
#[derive(Clone, Copy, Debug)]
enum Op {
    Look,
    Probe,
    Tidy,
    /// A look while writers are kept out in the place of the capture.
    KeptOut,
    Rest,
}

const OPS: [Op; 5] = [Op::Look, Op::Probe, Op::Tidy, Op::KeptOut, Op::Rest];

/// So that a look also brings the data file up to date, beside the capture and with writers kept out.
const SMALL: Limits = Limits { soft: 5, step: 4, hard: 14, near: 2, copies: 2 };

/// The other programs.
struct Others {
    writer: Connection,
    checkpointer: Connection,
    reader: Connection,
    is_held: bool,
    reads: bool,
    commits: u64,
}

impl Others {
    fn new(path: &Path) -> rusqlite::Result<Self> {
        let open = || {
            let conn = Connection::open(path)?;
            conn.busy_timeout(std::time::Duration::ZERO)?;
            conn.execute_batch("PRAGMA synchronous=OFF; PRAGMA wal_autocheckpoint=6; SELECT * FROM t")?;
            Ok::<_, rusqlite::Error>(conn)
        };
        let (writer, checkpointer, reader) = (open()?, open()?, open()?);
        Ok(Self { writer, checkpointer, reader, is_held: false, reads: false, commits: 0 })
    }

    fn act(&mut self, act: Act) {
        // Whoever finds the file locked waits, which is none of our business here.
        match act {
            Act::Commit if self.is_held => {
                if self.writer.execute_batch("COMMIT").is_ok() {
                    (self.is_held, self.commits) = (false, self.commits + 1);
                }
            }
            Act::Commit | Act::Commits if !self.is_held => {
                for _ in 0..if act == Act::Commit { 1 } else { 2 } {
                    let done = self.writer.execute("INSERT INTO t VALUES(randomblob(700))", []);
                    self.commits += u64::from(done.is_ok());
                }
            }
            Act::Hold if !self.is_held => {
                self.is_held =
                    self.writer.execute_batch("BEGIN IMMEDIATE; INSERT INTO t VALUES(randomblob(5000))").is_ok();
                if !self.is_held {
                    let _ = self.writer.execute_batch("ROLLBACK");
                }
            }
            Act::Passive => _ = self.checkpointer.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(())),
            Act::Restart => _ = self.checkpointer.query_row("PRAGMA wal_checkpoint(RESTART)", [], |_| Ok(())),
            Act::Truncate => _ = self.checkpointer.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())),
            Act::Read => {
                let sql = if self.reads { "COMMIT" } else { "BEGIN; SELECT count(*) FROM t" };
                self.reads ^= self.reader.execute_batch(sql).is_ok();
            }
            Act::Commits | Act::Hold | Act::Commit | Act::Crash => {}
        }
    }

    fn end(&mut self) {
        if self.is_held {
            self.act(Act::Commit);
        }
        if self.reads {
            self.act(Act::Read);
        }
    }
}

/// How many orders are drawn.
const DRAWN: u64 = 1_000;

/// What acts when: before the step of that number.
type Order = Vec<(usize, Act)>;

/// What an order led to.
#[derive(Debug)]
struct Played {
    /// Steps between which others could act.
    steps: usize,
    /// Why something was lost, if it was.
    lost: Option<String>,
}

/// A small data file that each order begins with.
struct Template {
    folder: tempfile::TempDir,
    limits: Limits,
}

impl Template {
    fn new(limits: Limits) -> Result<Self, Failure> {
        let folder = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir())?;
        let conn = Connection::open(folder.path().join("template"))?;
        conn.execute_batch(
            "PRAGMA page_size=1024; PRAGMA journal_mode=WAL; CREATE TABLE t(x);
             INSERT INTO t SELECT randomblob(300) FROM (VALUES(1),(2),(3),(4)); PRAGMA wal_checkpoint(TRUNCATE)",
        )?;
        drop(conn);
        Ok(Self { folder, limits })
    }

    fn play(&self, ops: &[Op], order: &[(usize, Act)], fault: Option<usize>) -> Result<Played, Failure> {
        let place = tempfile::tempdir_in(self.folder.path())?;
        let path = place.path().canonicalize()?.join("a.sqlite");
        fs::copy(self.folder.path().join("template"), &path)?;
        let mut scene = Scene::new(&path, self.limits)?;
        let (acts, count) = (order.to_vec(), Arc::new(Mutex::new(0usize)));
        let mut lost = None;
        for op in ops {
            let (others, acts, steps) = (Arc::clone(&scene.others), acts.clone(), Arc::clone(&count));
            scene.follower.pins.between.0 = Some(Box::new(move || {
                let mut steps = steps.lock().map_err(|_| Error::stopped())?;
                let now: Vec<Act> = acts.iter().filter(|(at, _)| at == &*steps).map(|(_, act)| *act).collect();
                *steps += 1;
                if let Ok(mut others) = others.lock() {
                    now.iter().for_each(|act| others.act(*act));
                }
                if now.contains(&Act::Crash) { Err(Error::new(ErrorKind::Stopped, "crash")) } else { Ok(()) }
            }));
            match scene.run(*op) {
                Err(trouble) if trouble.error().kind() == ErrorKind::Stopped => {
                    scene = scene.crash()?;
                    continue;
                }
                // Tried again later, as the thread does; what it cost is seen at the end.
                Err(Trouble::Other(_)) => {}
                Err(Trouble::Chain(_)) if scene.has_crashed => scene.compare()?,
                Err(trouble) => lost = lost.or(Some(format!("{op:?}: {trouble:?}"))),
                Ok(()) => {}
            }
            if fault.is_some_and(|at| at <= count.lock().map_or(0, |n| *n)) {
                // As a program that forgets its pins would.
                scene.follower.pins.between.0 = None;
                while scene.follower.pins.count() > 0 {
                    scene.follower.pins.release(0);
                }
            }
        }
        let steps = count.lock().map_or(0, |n| *n);
        scene.follower.pins.between.0 = None;
        let lost = lost.or(scene.finish()?);
        Ok(Played { steps, lost })
    }
}

struct Scene {
    limits: Limits,
    path: PathBuf,
    config: CaptureConfig,
    follower: Follower,
    others: Arc<Mutex<Others>>,
    /// After a crash SQLite's counter is not known for a moment: a WAL that begins anew then is compared, and so may
    /// hold several commits in one step.
    has_crashed: bool,
    caught_up: bool,
}

impl Scene {
    fn new(path: &Path, limits: Limits) -> Result<Self, Failure> {
        let log = path.with_extension("journal");
        let mut config = CaptureConfig::new(path, &log, Uuid::from_u128(7));
        config.storage = Arc::new(crate::storage::Disk);
        let others = Others::new(path)?;
        let mut pins = Pins::new(path);
        let at = pins.take(false)?;
        let page_count = pins.page_count()?;
        let base = Position::at(1, 0, Chain([1; 32]));
        let header = LogHeader {
            ignored: Default::default(),
            version: VERSION,
            identity: config.identity,
            page_size: 1024,
            base,
            rooted: true,
            created: (config.clock)(),
            page_count,
            mark: WalMark::of(at.as_ref()),
        };
        let mut table =
            PageTableWriter::create(&config.storage, &table_path(&log), (1024, base.chain), Ownership::of(path))?;
        // Read through SQLite: a descriptor of our own would drop its locks.
        let mut content = vec![0; page_count as usize * 1024];
        crate::sqlite::ffi::read_file(pins.connection()?, path, 0, &mut content)?;
        table.push(&content)?;
        table.finish()?;
        let writer = LogWriter::create(Arc::clone(&config.storage), &log, header, Ownership::of(path))?;
        let mut follower = Follower::new(path, pins, writer, config.clock);
        follower.know(Changes::new(page_count));
        let mut scene = Self {
            limits,
            path: path.to_path_buf(),
            config,
            follower,
            others: Arc::new(Mutex::new(others)),
            has_crashed: false,
            caught_up: false,
        };
        scene.begin().map_err(|trouble| format!("{trouble:?}"))?;
        Ok(scene)
    }

    fn begin(&mut self) -> Result<(), Trouble> {
        let (mark, pins) = (self.follower.machine.place().mark, self.follower.pins.count());
        self.follower.machine = PinMachine::new(self.limits, mark, pins);
        let outcome = catch_up::start(&mut self.follower, &self.config, false)?;
        self.caught_up |= matches!(outcome, catch_up::Outcome::CaughtUp(_));
        Ok(())
    }

    fn compare(&mut self) -> Result<(), Failure> {
        self.caught_up = true;
        self.follower.pins.between.0 = None;
        catch_up::start(&mut self.follower, &self.config, true).map_err(|trouble| format!("{trouble:?}"))?;
        Ok(())
    }

    fn run(&mut self, op: Op) -> Result<(), Trouble> {
        match op {
            Op::Look => self.follower.run(Event::Look).map(drop),
            Op::Probe => self.follower.run(Event::Probe).map(drop),
            Op::Tidy => self.follower.run(Event::Tidy).map(drop),
            Op::KeptOut => {
                self.follower.pins.lock_writers(std::time::Duration::ZERO, Turn::AtRest)?;
                let looked = self.follower.run(Event::Look).map(drop);
                self.follower.pins.let_writers_in();
                looked
            }
            Op::Rest => self.follower.run(Event::Rest).map(drop),
        }
    }

    /// Everything is closed as the system closes it, and the log opened again.
    fn crash(self) -> Result<Self, Failure> {
        let Self { limits, path, config, follower, others, caught_up, .. } = self;
        drop(follower);
        let mut pins = Pins::new(&path);
        let at = pins.take(false)?;
        let now = Now { page_size: 1024, page_count: pins.page_count()?, mark: WalMark::of(at.as_ref()) };
        // A program that another test is just beginning holds all open files for a moment, and their locks with them.
        let opened = (0..400).find_map(|_| match open::open(&config, &now) {
            Err(error) if error.kind() == ErrorKind::InUse => {
                std::thread::sleep(std::time::Duration::from_millis(5));
                None
            }
            opened => Some(opened),
        });
        let opened = opened.ok_or("the log is still in use")??;
        let mut follower = Follower::new(&path, pins, opened.writer, config.clock);
        follower.know(opened.known);
        let mut scene = Self { limits, path, config, follower, others, has_crashed: true, caught_up };
        scene.begin().map_err(|trouble| format!("{trouble:?}"))?;
        Ok(scene)
    }

    /// What was lost, when all programs are quiet.
    fn finish(&mut self) -> Result<Option<String>, Failure> {
        let commits = {
            let mut others = self.others.lock().map_err(|_| "a panic")?;
            others.end();
            others.commits
        };
        for _ in 0..30 {
            match self.follower.run(Event::Look) {
                Ok(Outcome::Nothing) => break,
                Ok(_) => {}
                Err(Trouble::Other(_)) => std::thread::sleep(std::time::Duration::from_millis(5)),
                Err(Trouble::Chain(_)) if self.has_crashed => self.compare()?,
                Err(trouble) => return Ok(Some(format!("at the end: {trouble:?}"))),
            }
        }
        let logged = self.follower.writer.logged().commit;
        if !self.caught_up && logged != commits {
            return Ok(Some(format!("{commits} commits, {logged} in the log")));
        }
        match catch_up::start(&mut self.follower, &self.config, true) {
            Ok(catch_up::Outcome::Same) => {}
            outcome => return Ok(Some(format!("the log leads to another state: {outcome:?}"))),
        }
        let whole: String = open_existing(&self.path)?.query_row("PRAGMA integrity_check", [], |row| row.get(0))?;
        Ok((whole != "ok").then_some(whole))
    }
}

/// A small generator, the same every time.
struct Chance(u64);

impl Chance {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((self.0 >> 33) as usize) % limit.max(1)
    }
}

/// From nothing to rest and back.
const DAY: [Op; 8] = [Op::Look, Op::Probe, Op::Look, Op::KeptOut, Op::Look, Op::Tidy, Op::Rest, Op::Look];

#[test]
fn any_act_between_any_two_steps_loses_no_commit() -> Result<(), Failure> {
    // Something to do from the beginning.
    let begin = [(0, Act::Commits)];
    for limits in [Limits::of(1024), SMALL] {
        let template = Template::new(limits)?;
        let steps = template.play(&DAY, &begin, None)?.steps;
        assert!(steps > 15, "{steps}");
        for at in 0..=steps {
            for act in ACTS {
                let order: Order = begin.into_iter().chain([(at, act)]).collect();
                let played = template.play(&DAY, &order, None)?;
                assert_eq!(played.lost, None, "{order:?} with {limits:?}");
            }
        }
    }
    Ok(())
}

#[test]
fn no_order_of_several_acts_loses_a_commit() -> Result<(), Failure> {
    let templates = [Template::new(Limits::of(1024))?, Template::new(SMALL)?];
    for seed in 0..DRAWN {
        let mut chance = Chance(seed);
        let ops: Vec<Op> = (0..4 + chance.below(8)).map(|_| OPS[chance.below(OPS.len())]).collect();
        let order: Order =
            (0..1 + chance.below(9)).map(|_| (chance.below(ops.len() * 5), ACTS[chance.below(ACTS.len())])).collect();
        let played = templates[usize::from(seed % 4 == 0)].play(&ops, &order, None)?;
        assert_eq!(played.lost, None, "seed {seed}: {ops:?} {order:?}");
    }
    Ok(())
}

#[test]
fn a_program_that_forgets_its_pins_is_found_out() -> Result<(), Failure> {
    let template = Template::new(Limits::of(1024))?;
    // The WAL begins anew while commits are in it that nobody has read.
    let ops = [Op::Look; 5];
    let mut found = 0;
    for at in 0..12 {
        let order =
            [(at, Act::Commits), (at, Act::Restart), (at, Act::Commit), (at, Act::Restart), (at + 1, Act::Commits)];
        assert_eq!(template.play(&ops, &order, None)?.lost, None, "{at}");
        found += usize::from(template.play(&ops, &order, Some(0))?.lost.is_some());
    }
    assert!(found > 0);
    Ok(())
}
