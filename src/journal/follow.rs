//! Following one data file: does what the [machine of the pins](super::pin_machine) says, with SQLite and the disk.

use std::{
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use chrono::{DateTime, Utc};

use super::{
    gate::Turn,
    kept::Kept,
    lacking::Lacking,
    late::Known,
    page::Encoder,
    pages::Pages,
    pin_machine::{Actions, Ask, Event, First, Limits, Order, Outcome, PinMachine, Then},
    pins::Pins,
    table::{Changes, PageTable},
    table_path, unwritten,
    writer::LogWriter,
};
use crate::{
    error::{Error, ErrorKind, Result, foreign::shown},
    sqlite::{
        alias, ffi, locks,
        wal::{WalFile, WalMark},
    },
    storage::identity::FileStamp,
};

/// Why a step failed, as far as the next one depends on it.
#[derive(Debug)]
pub(super) enum Trouble {
    /// Commits may have been missed: only a comparison can go on.
    Chain(Error),
    /// The log cannot be written; nothing is lost while the pins hold.
    Log(Error),
    /// What is held open is no longer what the paths name: everything is released and opened anew.
    Replaced(Error),
    /// Anything else; try again.
    Other(Error),
}

impl Trouble {
    pub(super) fn into_error(self) -> Error {
        match self {
            Trouble::Chain(e) | Trouble::Log(e) | Trouble::Replaced(e) | Trouble::Other(e) => e,
        }
    }

    pub(super) fn error(&self) -> &Error {
        match self {
            Trouble::Chain(e) | Trouble::Log(e) | Trouble::Replaced(e) | Trouble::Other(e) => e,
        }
    }
}

impl From<Error> for Trouble {
    fn from(error: Error) -> Self {
        match error.kind() {
            ErrorKind::Damaged => Trouble::Chain(error),
            ErrorKind::Replaced | ErrorKind::Changed => Trouble::Replaced(error),
            _ => Trouble::Other(error),
        }
    }
}

/// A data file that SQLite may not write to, as it was when that began.
#[derive(Debug, Clone, Copy)]
pub(super) struct Settled {
    stamp: FileStamp,
    /// When that was noted, and whether the file was written so shortly before that a later writing may have the same
    /// time.
    noted: Instant,
    is_fresh: bool,
}

/// For how long a copy that was put in place within one step of the clock may still be told.
const COPY_TOLD: Duration = Duration::from_millis(250);
/// What cannot be copied within one step.
const COPIED_AT_ONCE_MAX: u64 = 256 << 20;

pub(super) struct Follower {
    pub(super) path: PathBuf,
    pub(super) pins: Pins,
    pub(super) writer: LogWriter,
    pub(super) clock: fn() -> DateTime<Utc>,
    /// When what is done next, and up to where everything is logged.
    pub(super) machine: PinMachine,
    begun: Instant,
    /// Up to when all that was committed is in the log.
    pub(super) known: Known,
    pub(super) page_size: u32,
    pub(super) wal: Option<WalFile>,
    /// Where the WAL has the pages, and what the log says of them.
    pub(super) pages: Pages,
    /// The hashes of the pages at the base.
    pub(super) table: Option<PageTable>,
    /// The checksum of that state.
    pub(super) kept: Kept,
    /// Times the counter began anew because SQLite rebuilt its index; the checksums then prove the chain.
    pub(super) recoveries: u32,
    /// What the data file lacked when it was compared first.
    pub(super) lacking: Option<Lacking>,
    /// Whether frames without a checksum were seen.
    pub(super) has_bare: bool,
    /// Since when a reader of another program keeps the WAL from beginning anew.
    pub(super) held_back: Option<DateTime<Utc>>,
    /// How the data file was when everything was in it and a pin kept SQLite from writing to it.
    pub(super) settled: Option<Settled>,
    pub(super) image: Vec<u8>,
    pub(super) before: Vec<u8>,
    pub(super) encoded: Vec<u8>,
    pub(super) encoder: Encoder,
}

impl Follower {
    pub(super) fn new(path: &Path, pins: Pins, writer: LogWriter, clock: fn() -> DateTime<Utc>) -> Self {
        let page_size = writer.header().page_size;
        Self {
            path: path.to_path_buf(),
            machine: PinMachine::new(Limits::of(page_size), writer.logged().mark, pins.count()),
            begun: Instant::now(),
            known: Known::of_log(writer.logged().wall),
            pins,
            pages: Pages::new(writer.header().page_count),
            table: None,
            kept: Kept::default(),
            writer,
            clock,
            page_size,
            wal: None,
            recoveries: 0,
            lacking: None,
            has_bare: false,
            held_back: None,
            settled: None,
            image: vec![0; page_size as usize],
            before: vec![0; page_size as usize],
            encoded: Vec::new(),
            encoder: Encoder::default(),
        }
    }

    pub(super) fn page_size(&self) -> u32 {
        self.page_size
    }

    /// What a reader found in the log; with the page table of its base, if there is one.
    pub(super) fn know(&mut self, known: Changes) {
        self.pages.know(known);
        if !self.open_table() {
            tracing::warn!(
                "the page table of {} says otherwise than the log; it is not used",
                shown(self.writer.path())
            );
            self.table = None;
            self.kept.set(None);
        }
    }

    /// Looks for the page table beside the log. False where it says otherwise than the log.
    pub(super) fn open_table(&mut self) -> bool {
        let header = self.writer.header();
        let found = PageTable::open(&table_path(self.writer.path()), header.page_size, header.base.chain);
        // Without a table a page is written whole when it first changes.
        self.table = found.ok().flatten().filter(|_| header.rooted);
        let said = self.writer.logged().state;
        self.table.as_ref().is_none_or(|table| self.kept.begin(&self.pages, table, said))
    }

    /// Another log goes on at the same place, where a backup is cut.
    pub(super) fn switch_writer(&mut self, writer: LogWriter) -> LogWriter {
        // What the new base holds is told by its page table alone: an archive need not keep what free pages held.
        self.kept.at_cut(self.pages.changes(), self.table.take(), self.writer.header().version);
        self.pages.know(Changes::with_blank(writer.header().page_count, writer.blank()));
        std::mem::replace(&mut self.writer, writer)
    }

    /// The log before the cut has taken back what was recorded since, and goes on.
    pub(super) fn rejoin(&mut self, writer: LogWriter) {
        let since = self.pages.changes();
        match self.kept.rejoin(since) {
            Some((known, table)) => {
                self.pages.know(known);
                self.table = table;
            }
            None => self.pages.know(Changes::with_blank(writer.header().page_count, writer.blank())),
        }
        self.writer = writer;
    }

    pub(super) fn wal_bytes(&self) -> u64 {
        self.wal.as_ref().and_then(|wal| wal.size().ok()).unwrap_or(0)
    }

    /// The place that a log bears which begins here: before an empty WAL there is none.
    pub(super) fn place(&self) -> WalMark {
        let mark = self.machine.place().mark;
        if mark.frame > 0 { mark } else { WalMark::default() }
    }

    /// Does what the machine says after `wish`.
    pub(super) fn run(&mut self, wish: Event) -> Result<Outcome, Trouble> {
        let (mut event, mut trouble) = (wish, None);
        loop {
            let Actions { orders, then } = self.machine.on(self.begun.elapsed(), event);
            orders.into_iter().for_each(|order| self.obey(order));
            self.let_writers_in_when_due();
            event = match then {
                Then::End(Outcome::Failed) => return Err(trouble.unwrap_or_else(|| Error::stopped().into())),
                Then::End(outcome) => return Ok(outcome),
                Then::Ask(ask) => self.answer(ask).unwrap_or_else(|failed| {
                    trouble = Some(failed);
                    Event::Failed
                }),
            };
        }
    }

    /// Takes a first pin in the place of those that are held, and says where it stands.
    pub(super) fn take_first(&mut self) -> Result<First, Trouble> {
        match self.run(Event::Start)? {
            Outcome::Standing(first) => Ok(first),
            _ => Err(Error::stopped().into()),
        }
    }

    fn obey(&mut self, order: Order) {
        match order {
            Order::Release(number) => self.pins.release(number),
            Order::LetWritersIn => self.pins.let_writers_in(),
            Order::WatchNoMore => self.pins.watch_no_more(),
            Order::NoteSettled => self.note_settled(),
            Order::NoteHeldBack(true) => self.held_back = self.held_back.or_else(|| Some((self.clock)())),
            Order::NoteHeldBack(false) => self.held_back = None,
            Order::NoteEmptied => {
                self.wal = None;
                self.pages.begin_generation([0; 2]);
                self.settled = None;
            }
        }
    }

    fn answer(&mut self, ask: Ask) -> Result<Event, Trouble> {
        let pins = &mut self.pins;
        match ask {
            Ask::Take { plain } => return Ok(Event::Taken(pins.take(plain)?)),
            Ask::CountCommits => return Ok(Event::Counter(pins.counter_of_empty_wal()?)),
            Ask::IsUnwritten => pins.require_unwritten()?,
            Ask::IsOwnWal => pins.require_own_wal()?,
            Ask::Compare => self.compare(false)?,
            Ask::Absorb(to) => self.absorb(&to)?,
            Ask::LookBeside => {
                return Ok(Event::Beside { is_shut: pins.are_writers_kept_out(), is_copying: pins.is_copying() });
            }
            Ask::LockWriters(wait) => return Ok(Event::Answer(pins.lock_writers(wait, Turn::Fair)?)),
            Ask::LockAtRest(wait) => return Ok(Event::Answer(pins.lock_writers(wait, Turn::AtRest)?)),
            Ask::Checkpoint => return Ok(Event::Copied(pins.checkpoint()?)),
            Ask::HowFar => return Ok(Event::Copied(pins.backfill()?)),
            Ask::CopyBehind => pins.copy_behind()?,
            Ask::SyncWal => pins.sync_wal()?,
            Ask::Watch(frames) => pins.watch_size(u64::from(frames) * u64::from(self.page_size))?,
            Ask::Pause(pause) => thread::sleep(pause),
            Ask::IsAlone => return Ok(Event::Answer(locks::is_open_elsewhere(&self.path) == Some(false))),
            Ask::EmptyWal => return Ok(Event::Answer(pins.empty_wal()?)),
            Ask::ForgetPageCount => return Ok(Event::Counter(pins.forget_page_count()?)),
        }
        Ok(Event::Done)
    }

    /// Between two steps that may be made while writers are kept out: that ends when it is time, done or not.
    pub(super) fn let_writers_in_when_due(&self) {
        self.pins.are_writers_kept_out();
    }

    /// Sees that data file, WAL, index and log are still those that the paths name, and that nobody writes to them past
    /// SQLite. `is_thorough` also reads the log again where somebody may have written to it.
    pub(super) fn compare(&mut self, is_thorough: bool) -> Result<(), Trouble> {
        self.pins.require_named()?;
        self.pins.require_unwritten()?;
        self.pins.require_own_wal()?;
        self.require_settled()?;
        if !self.writer.compare()? && is_thorough {
            self.writer.read_back()?;
        }
        Ok(())
    }

    /// Before all is released because another content has taken the place of the data file: logs what was committed to
    /// the one before, and keeps what is left of its WAL from being read into the new one. Nothing is done for any
    /// other reason, or while another program has the data file open.
    pub(super) fn part_with_wal(&mut self, cause: &Error) {
        let Some(files) = self.pins.files().copied() else { return };
        let is_another = cause.kind() == ErrorKind::Changed || !files.is_data_file_named(&self.path);
        if !is_another || !files.are_companions_named(&self.path) || files.is_open_elsewhere(&self.path) {
            return;
        }
        // What cannot be read any more is found by the comparison, without its single steps.
        if self.pins.has_free() {
            while self.pins.count() > 2 {
                self.pins.release(1);
            }
            if let Ok(Some(to)) = self.pins.take_unnamed()
                && matches!(self.absorb_compared(&to), Err(Trouble::Chain(_)))
            {
                // What is in the WAL is not what the index says: it came with the copy.
                return;
            }
        }
        match self.pins.discard_wal() {
            Ok(true) => {
                tracing::warn!("another content took the place of {}; its old WAL was emptied", self.path.display());
            }
            Ok(false) => {}
            Err(error) => tracing::warn!(%error, "the WAL of what was replaced is still there"),
        }
    }

    /// While everything is in the data file and a pin on lock 0 stands, SQLite writes nothing to it. Whoever changes it
    /// then copies another content into the file, and commits that follow do not belong to what was there before.
    fn require_settled(&self) -> Result<(), Trouble> {
        let Some(settled) = &self.settled else { return Ok(()) };
        match FileStamp::of_path(&self.path) {
            Ok(Some(now)) if now == settled.stamp => Ok(()),
            Ok(Some(now)) if FileStamp { changed: settled.stamp.changed, ..now } == settled.stamp => {
                Err(Trouble::Replaced(alias::changed_beside(&self.path)))
            }
            // What SQLite keeps of its pages in memory is wrong as well, so that all is opened anew.
            _ => Err(unwritten::changed(&self.path).into()),
        }
    }

    /// Closes and gives back what a data file that nobody writes does not need.
    pub(super) fn slim(&mut self) {
        self.pins.slim();
        self.encoder = Encoder::default();
    }

    /// Lets go of all pins: they belong to no logged place.
    pub(super) fn let_go(&mut self) {
        // It asks nothing that can fail.
        let _ = self.run(Event::LetGo);
        self.settled = None;
    }

    /// Notes how the data file is while a pin on lock 0 stands and nothing is to be copied into it.
    fn note_settled(&mut self) {
        if self.settled.is_none() && self.machine.is_settled() {
            let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_nanos() as i128);
            self.settled = FileStamp::of_path(&self.path).ok().flatten().map(|stamp| Settled {
                stamp,
                noted: Instant::now(),
                is_fresh: now - stamp.written < stamp.time_step().as_nanos() as i128,
            });
        }
    }

    /// Whether a copy may have been put in the place of the data file without a trace but its content. Nobody who has
    /// it open in SQLite does so.
    pub(super) fn may_hide_a_copy(&self) -> bool {
        let is_fresh = |settled: &Settled| {
            let told = settled.stamp.time_step() + COPY_TOLD;
            settled.is_fresh && settled.noted.elapsed() < told && settled.stamp.length <= COPIED_AT_ONCE_MAX
        };
        self.settled.as_ref().is_some_and(is_fresh)
            && self.pins.files().is_some_and(|files| !files.is_open_elsewhere(&self.path))
    }

    /// Whether the data file has pages of the size that is logged.
    pub(super) fn has_same_page_size(&self) -> bool {
        let mut header = [0; 18];
        let read = self.pins.connection().and_then(|conn| ffi::read_file(conn, &self.path, 0, &mut header));
        // In the header of a data file 64 KiB does not fit the field, and is written as 1.
        let page_size = match u16::from_be_bytes([header[16], header[17]]) {
            1 => 65_536,
            size => u32::from(size),
        };
        read.is_ok() && page_size == self.page_size
    }

    /// How the data file was when it was seen to be at rest, for [`rest::note`](super::rest::note).
    pub(super) fn settled_stamp(&mut self) -> Option<FileStamp> {
        self.note_settled();
        // A copy that is put in place within the same step of the clock cannot be told by its time.
        self.settled.map(|settled| settled.stamp).filter(|stamp| {
            let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_nanos() as i128);
            now - stamp.written.max(stamp.changed) >= stamp.time_step().as_nanos() as i128
        })
    }
}
