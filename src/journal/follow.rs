//! Turning what other programs commit into records of the log, without losing a frame.
//!
//! The rules, in the words of [`capture`](super::capture): there is always a pin; a newer pin is released only together
//! with what it would have protected, an older one only after everything up to a newer one is logged, that is, synced.

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use chrono::{DateTime, Utc};

use super::{
    format::{Entry, RecordHead, RecordKind, page_hash},
    kept::Kept,
    lacking::Lacking,
    level::Growth,
    page,
    pins::Pins,
    table::{Changes, PageTable},
    table_path, unwritten,
    writer::LogWriter,
};
use crate::{
    error::{Error, ErrorKind, Result, foreign::shown},
    sqlite::{
        alias,
        ffi::{self, WalPosition},
        wal::{WalCommit, WalFile, WalMark},
    },
    storage::identity::FileStamp,
};

/// Commits and bytes after which a long stretch is synced.
const SYNC_COMMITS: u32 = 2_000;
const SYNC_BYTES: u64 = 16 << 20;

/// Why a step failed, as far as the next one depends on it.
#[derive(Debug)]
pub(super) enum Trouble {
    /// Commits may have been missed: only a comparison can go on.
    Chain(Error),
    /// The log can not be written; nothing is lost while the pins hold.
    Log(Error),
    /// What is held open is no longer what the paths name: everything is released and opened anew.
    Replaced(Error),
    /// Anything else; try again.
    Other(Error),
}

impl Trouble {
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

/// The last frame of every page in the WAL.
pub(super) type Latest = HashMap<u32, u32>;

/// What the WAL holds up to a pin.
#[derive(Debug, Default)]
pub(super) struct Index {
    /// The last frame of every page up to the pin.
    pub(super) latest: Latest,
    /// The same up to the logged place, when the WAL still holds it as it was read.
    pub(super) at_mark: Option<Latest>,
}

/// What to restore when the log could not be synced.
#[derive(Debug)]
enum Undo {
    /// The last frame of a page before.
    Frame(u32, Option<u32>),
    /// What the log knew of a page before.
    Known(u32, Option<[u8; 8]>),
    /// Up to which page the base counted before.
    BasePages(u32),
}

/// A data file that SQLite may not write to, as it was when that began.
#[derive(Debug, Clone, Copy)]
struct Settled {
    stamp: FileStamp,
    /// When that was noted, and whether the file was written so shortly before that a later writing may have the same
    /// time.
    noted: Instant,
    is_fresh: bool,
}

/// For how long a copy that was put in place within one step of the clock may still be told.
const COPY_TOLD: Duration = Duration::from_millis(250);
/// What can not be copied within one step.
const COPIED_AT_ONCE_MAX: u64 = 256 << 20;

pub(super) struct Follower {
    pub(super) path: PathBuf,
    pub(super) pins: Pins,
    pub(super) writer: LogWriter,
    pub(super) clock: fn() -> DateTime<Utc>,
    page_size: u32,
    wal: Option<WalFile>,
    /// Everything up to here is logged.
    pub(super) mark: WalMark,
    /// Whether `mark.change_counter` counts since the same moment as SQLite's: not after a start.
    counter_known: bool,
    /// The last logged frame of every page in this generation of the WAL.
    latest: Latest,
    latest_salts: [u32; 2],
    /// What the state after the last record holds: the hash of every page that the log changed.
    known: Changes,
    /// The hashes of the pages at the base.
    table: Option<PageTable>,
    /// The checksum of that state.
    pub(super) kept: Kept,
    undo: Vec<Undo>,
    pub(super) growth: Growth,
    /// Times the counter began anew because SQLite rebuilt its index; the checksums then prove the chain.
    pub(super) recoveries: u32,
    /// What the data file lacked when it was compared first.
    pub(super) lacking: Option<Lacking>,
    /// Whether frames without a checksum were seen.
    has_bare: bool,
    /// Whether the WAL was left empty, and its index without memory, since the last commit.
    pub(super) is_at_rest: bool,
    /// How the data file was when everything was in it and a pin kept SQLite from writing to it.
    settled: Option<Settled>,
    image: Vec<u8>,
    before: Vec<u8>,
    encoded: Vec<u8>,
}

impl Follower {
    pub(super) fn new(path: &Path, pins: Pins, writer: LogWriter, clock: fn() -> DateTime<Utc>) -> Self {
        let page_size = writer.header().page_size;
        Self {
            path: path.to_path_buf(),
            pins,
            mark: writer.logged().mark,
            known: Changes::new(writer.header().page_count),
            table: None,
            kept: Kept::default(),
            writer,
            clock,
            page_size,
            wal: None,
            counter_known: false,
            latest: HashMap::new(),
            latest_salts: [0; 2],
            undo: Vec::new(),
            growth: Growth::new(page_size),
            recoveries: 0,
            lacking: None,
            has_bare: false,
            is_at_rest: false,
            settled: None,
            image: vec![0; page_size as usize],
            before: vec![0; page_size as usize],
            encoded: Vec::new(),
        }
    }

    pub(super) fn page_size(&self) -> u32 {
        self.page_size
    }

    /// What a reader found in the log; with the page table of its base, if there is one.
    pub(super) fn know(&mut self, known: Changes) {
        self.known = known;
        if !self.open_table() {
            tracing::warn!(
                "the page table of {} says otherwise than the log; it is not used",
                shown(self.writer.path())
            );
            self.table = None;
            self.kept.set(None);
        }
    }

    /// The hashes of the state that the log leads to.
    pub(super) fn known(&self) -> &Changes {
        &self.known
    }

    /// Looks for the page table beside the log. False where it says otherwise than the log.
    pub(super) fn open_table(&mut self) -> bool {
        let header = self.writer.header();
        let found = PageTable::open(&table_path(self.writer.path()), header.page_size, header.base.chain);
        // Without a table a page is written whole when it first changes.
        self.table = found.ok().flatten().filter(|_| header.rooted);
        let said = self.writer.logged().state;
        self.table.as_ref().is_none_or(|table| self.kept.begin(&self.known, table, said))
    }

    /// Another log goes on at the same place, where a backup is cut.
    pub(super) fn switch_writer(&mut self, writer: LogWriter) -> LogWriter {
        // What the new base holds is told by its page table alone: an archive need not keep what free pages held.
        let known = Changes::with_blank(writer.header().page_count, writer.blank());
        let version = self.writer.header().version;
        self.kept.at_cut(std::mem::replace(&mut self.known, known), self.table.take(), version);
        std::mem::replace(&mut self.writer, writer)
    }

    /// The log before the cut has taken back what was recorded since, and goes on.
    pub(super) fn rejoin(&mut self, writer: LogWriter) {
        let since = std::mem::replace(&mut self.known, Changes::with_blank(writer.header().page_count, writer.blank()));
        if let Some((known, table)) = self.kept.rejoin(since) {
            (self.known, self.table) = (known, table);
        }
        self.writer = writer;
    }

    pub(super) fn wal_bytes(&self) -> u64 {
        self.wal.as_ref().and_then(|wal| wal.size().ok()).unwrap_or(0)
    }

    /// The place that a log bears which begins here: before an empty WAL there is none.
    pub(super) fn place(&self) -> WalMark {
        if self.mark.frame > 0 { self.mark } else { WalMark::default() }
    }

    pub(super) fn is_at(&self, to: Option<&WalPosition>) -> bool {
        to.is_none_or(|to| {
            to.frame_max == 0
                || (to.salts == self.mark.salts && to.frame_max == self.mark.frame && to.checksum == self.mark.checksum)
        })
    }

    /// Where everything is logged, SQLite's counter can be taken over: after a start, and where its index was rebuilt.
    /// Otherwise the first commit after that could not be proved to be the only one when it restarts the WAL.
    fn read_counter(&mut self, to: Option<&WalPosition>) {
        if let Some(to) = to.filter(|to| to.frame_max > 0) {
            self.mark.change_counter = to.change_counter;
            self.counter_known = true;
        }
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
        // What can not be read any more is found by the comparison, without its single steps.
        if self.pins.has_free() {
            self.pins.keep_ends();
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

    /// No pin on lock 0 stands any more.
    pub(super) fn unsettle(&mut self) {
        self.settled = None;
    }

    /// Notes how the data file is while a pin on lock 0 stands and nothing is to be copied into it.
    fn note_settled(&mut self) {
        if self.settled.is_none() && (self.growth.level || self.growth.empty) {
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

    /// Looks for new commits and logs them. True when there were some.
    pub(super) fn step(&mut self) -> Result<bool, Trouble> {
        self.pins.keep_ends();
        let seen = self.pins.take(self.growth.level)?;
        if let Err(error) = self.pins.require_unwritten() {
            self.pins.release_newest();
            return Err(error.into());
        }
        self.growth.empty = seen.as_ref().is_none_or(|seen| seen.frame_max == 0);
        if self.is_at(seen.as_ref()) {
            if self.growth.empty
                && let Err(error) = self.pins.require_own_wal()
            {
                self.pins.release_newest();
                return Err(error.into());
            }
            self.read_counter(seen.as_ref());
            self.pins.watch_size(None)?;
            if self.pins.count() > 1 {
                self.pins.release_newest();
            }
            self.note_settled();
            if self.pins.are_writers_kept_out() {
                self.keep_small(true)?;
            }
            return Ok(false);
        }
        let Some(to) = seen else { return Ok(false) };
        let kept_out = self.keep_out(&to)?;
        if let Err(trouble) = self.absorb(&to) {
            self.pins.let_writers_in();
            // The older pins protect what could not be logged.
            self.pins.release_newest();
            return Err(trouble);
        }
        if self.growth.level {
            // Lock 0 has done its work: it kept the new WAL from being restarted until we stand in it.
            self.pins.keep_newest(1);
            self.growth.begin_anew();
        }
        self.pins.keep_ends();
        self.keep_small(kept_out)?;
        Ok(true)
    }

    /// Logs every commit up to `to`, which a held transaction vouches for.
    pub(super) fn absorb(&mut self, to: &WalPosition) -> Result<u32, Trouble> {
        if self.is_at(Some(to)) {
            self.read_counter(Some(to));
            return Ok(0);
        }
        // The pin was taken before this look: what it sees was committed to the files that were opened.
        self.compare(false)?;
        self.absorb_compared(to)
    }

    fn absorb_compared(&mut self, to: &WalPosition) -> Result<u32, Trouble> {
        (self.settled, self.is_at_rest) = (None, false);
        if to.page_size != self.page_size {
            return Err(Trouble::Chain(
                Error::new(ErrorKind::Refused, format!("the page size of {} changed", self.path.display()))
                    .hint("Make a full backup; the log begins anew with it."),
            ));
        }
        let mut wal = match self.wal.take() {
            Some(wal) => wal,
            None => WalFile::open(&self.path, self.page_size)?,
        };
        let outcome = self.absorb_from(&mut wal, to);
        self.wal = Some(wal);
        if outcome.is_err() {
            self.writer.forget();
            self.revert();
        }
        outcome
    }

    fn absorb_from(&mut self, wal: &mut WalFile, to: &WalPosition) -> Result<u32, Trouble> {
        let expected = to.change_counter.wrapping_sub(self.mark.change_counter);
        let same = to.salts == self.mark.salts && self.mark.frame > 0;
        if !same {
            // A restarted WAL: every commit since must be in it, or one was missed.
            let mut cursor = wal.cursor(&WalMark::default(), to)?;
            let mut count = 0u32;
            while cursor.next_commit(wal)?.is_some() {
                count += 1;
            }
            if !self.counter_known || count != expected {
                let message = format!(
                    "the WAL of {} was restarted: {expected} commits were made, {count} can be read",
                    self.path.display()
                );
                return Err(Trouble::Chain(
                    Error::new(ErrorKind::Damaged, message)
                        .hint("The data file is compared as a whole; only the single steps in between are unknown."),
                ));
            }
            if self.latest_salts != to.salts {
                self.latest.clear();
                self.latest_salts = to.salts;
            }
        }
        let mut cursor = wal.cursor(&self.mark, to)?;
        let mut counter = self.mark.change_counter;
        let mut count = 0u32;
        while let Some(commit) = cursor.next_commit(wal)? {
            count += 1;
            counter = counter.wrapping_add(1);
            let mark = WalMark {
                salts: to.salts,
                frame: commit.last_frame,
                checksum: commit.checksum,
                change_counter: counter,
            };
            self.record(wal, &commit, mark).map_err(Trouble::Log)?;
            if count.is_multiple_of(SYNC_COMMITS)
                || self.writer.ahead().length - self.writer.logged().length > SYNC_BYTES
            {
                self.sync()?;
            }
        }
        self.sync()?;
        if cursor.bare() > 0 && !std::mem::replace(&mut self.has_bare, true) {
            // Once: such a program makes them again and again.
            tracing::info!(
                "an older SQLite writes frames without a checksum to the WAL of {}; they are logged as its readers see them",
                shown(&self.path)
            );
        }
        if self.counter_known && count != expected {
            self.recoveries += 1;
        }
        self.mark.change_counter = to.change_counter;
        self.counter_known = true;
        Ok(count)
    }

    fn sync(&mut self) -> Result<(), Trouble> {
        self.pins.between_steps()?;
        self.writer.sync().map_err(Trouble::Log)?;
        self.undo.clear();
        self.kept.synced();
        self.mark = self.writer.logged().mark;
        Ok(())
    }

    fn revert(&mut self) {
        self.kept.revert();
        while let Some(undo) = self.undo.pop() {
            match undo {
                Undo::Frame(page, Some(frame)) => _ = self.latest.insert(page, frame),
                Undo::Frame(page, None) => _ = self.latest.remove(&page),
                Undo::Known(page, Some(hash)) => _ = self.known.hashes.insert(page, hash),
                Undo::Known(page, None) => _ = self.known.hashes.remove(&page),
                Undo::BasePages(pages) => self.known.base_pages = pages,
            }
        }
    }

    fn record(&mut self, wal: &WalFile, commit: &WalCommit, mark: WalMark) -> Result<()> {
        let count_before = self.writer.ahead().page_count;
        self.writer.begin(RecordHead {
            kind: RecordKind::Commit,
            commit: self.writer.ahead().commit + 1,
            // The latest that the clock showed is for the writer to say.
            time: self.writer.ahead().time,
            wall: (self.clock)(),
            page_count: commit.page_count,
            mark,
            state: self.kept.now(),
        });
        let version = self.kept.version(self.writer.header().version);
        let group = self.group(wal, commit, count_before, version)?;
        for &(page, frame) in commit.pages.iter().filter(|p| p.0 <= commit.page_count) {
            wal.image(frame, &mut self.image)?;
            let of_group = group.iter().find(|other| other.0 == page);
            let patched = match of_group {
                Some((_, content)) => {
                    self.before.copy_from_slice(content);
                    true
                }
                None => group.is_empty() && page <= count_before && self.is_known(wal, page)?,
            };
            let previous = patched.then_some(self.before.as_slice());
            let mut encoding = page::encode(version, previous, &self.image, &mut self.encoded);
            if group.len() > usize::from(patched) && self.encoded.len() > self.image.len() / 16 {
                let others =
                    group.iter().filter(|other| other.0 != page).map(|(page, content)| (*page, content.as_slice()));
                let others: Vec<(u32, &[u8])> = others.collect();
                let among = page::encode_among(previous, &others, &self.image, &mut self.encoded);
                encoding = among.unwrap_or(encoding);
            }
            let hash = page_hash(&self.image);
            self.writer.page(&Entry { page, encoding, hash, bytes: &self.encoded })?;
            self.kept.change((&self.known, self.table.as_ref()), page, hash);
            self.undo.push(Undo::Known(page, self.known.hashes.insert(page, hash)));
        }
        if commit.page_count < count_before {
            self.kept.cut_off((&self.known, self.table.as_ref()), commit.page_count);
            self.forget_beyond(commit.page_count);
        }
        self.writer.end_with(self.kept.now())?;
        for &(page, frame) in &commit.pages {
            self.undo.push(Undo::Frame(page, self.latest.insert(page, frame)));
        }
        Ok(())
    }

    /// What the pages of a small commit held before it, where that is known: SQLite moves records among them.
    fn group(
        &mut self,
        wal: &WalFile,
        commit: &WalCommit,
        count_before: u32,
        version: u32,
    ) -> Result<Vec<(u32, Vec<u8>)>> {
        let mut group = Vec::new();
        if version > 1 && (2..page::GROUP_MAX).contains(&commit.pages.len()) {
            for &(page, _) in commit.pages.iter().filter(|p| p.0 <= commit.page_count.min(count_before)) {
                if self.is_known(wal, page)? {
                    group.push((page, self.before.clone()));
                }
            }
        }
        Ok(group)
    }

    /// Pages cut off are gone: what they held does not come back when the file grows again.
    fn forget_beyond(&mut self, page_count: u32) {
        let undo = &mut self.undo;
        self.known.hashes.retain(|page, hash| {
            let kept = *page <= page_count;
            if !kept {
                undo.push(Undo::Known(*page, Some(*hash)));
            }
            kept
        });
        if page_count < self.known.base_pages {
            undo.push(Undo::BasePages(self.known.base_pages));
            self.known.base_pages = page_count;
        }
    }

    /// Reads into `self.before` what `page` held, and whether that is what the log and its base yield there.
    ///
    /// It is not for a page that came into being without a frame, allocated and freed in one transaction: SQLite does
    /// not care what it holds, and that can change with a checkpoint. Nor is it when the base has no page table.
    fn is_known(&mut self, wal: &WalFile, page: u32) -> Result<bool> {
        let hash = match self.known.hashes.get(&page) {
            Some(hash) => Some(*hash),
            None if self.known.is_of_base(page) => match &self.table {
                Some(table) => table.at(page)?,
                None => None,
            },
            None => None,
        };
        let Some(hash) = hash else { return Ok(false) };
        self.content(wal, page)?;
        Ok(page_hash(&self.before) == hash)
    }

    /// Reads into `self.before` what `page` holds after the commit before.
    ///
    /// A page with a frame in this generation of the WAL is read from there. Any other page is as the data file has it:
    /// checkpoints copy only frames up to our pin, and all of those are known.
    fn content(&mut self, wal: &WalFile, page: u32) -> Result<()> {
        match self.latest.get(&page).copied() {
            Some(frame) => wal.image(frame, &mut self.before),
            None => {
                let offset = u64::from(page - 1) * u64::from(self.page_size);
                ffi::read_file(self.pins.connection()?, &self.path, offset, &mut self.before)
            }
        }
    }

    /// The WAL was left empty with everything logged, and SQLite's counter at `change_counter`.
    pub(super) fn begin_with_an_empty_wal(&mut self, change_counter: u32) {
        self.mark = WalMark { change_counter, ..WalMark::default() };
        (self.wal, self.counter_known, self.is_at_rest) = (None, true, true);
        self.latest.clear();
        self.latest_salts = [0; 2];
        self.settled = None;
        self.growth.begin_anew();
        self.growth.empty = true;
    }

    /// How the data file was when it was seen to be at rest, for [`rest::note`](super::rest::note).
    pub(super) fn settled_stamp(&mut self) -> Option<FileStamp> {
        self.note_settled();
        // A copy that is put in place within the same step of the clock can not be told by its time.
        self.settled.map(|settled| settled.stamp).filter(|stamp| {
            let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_nanos() as i128);
            now - stamp.written.max(stamp.changed) >= stamp.time_step().as_nanos() as i128
        })
    }

    /// Notes that everything up to `to` is in the log by other means than reading its commits.
    pub(super) fn stand_at(&mut self, to: Option<&WalPosition>, latest: Latest) {
        self.mark = WalMark::of(to);
        self.latest = latest;
        self.latest_salts = self.mark.salts;
        self.undo.clear();
        self.is_at_rest = false;
        self.counter_known = true;
        self.settled = None;
        self.growth.begin_anew();
    }

    /// Reads the WAL up to `to`, verifying every frame.
    pub(super) fn index(&mut self, to: &WalPosition) -> Result<Index, Trouble> {
        let mut index = Index::default();
        if to.frame_max == 0 {
            return Ok(index);
        }
        let mut wal = WalFile::open(&self.path, self.page_size)?;
        let mut cursor = wal.cursor(&WalMark::default(), to)?;
        let candidate = to.salts == self.mark.salts && to.frame_max >= self.mark.frame;
        while let Some(commit) = cursor.next_commit(&mut wal)? {
            index.latest.extend(commit.pages.iter().copied());
            if candidate && commit.last_frame == self.mark.frame && commit.checksum == self.mark.checksum {
                index.at_mark = Some(index.latest.clone());
            }
        }
        self.wal = Some(wal);
        Ok(index)
    }

    /// Resumes at the logged place, which `index` has found in the WAL.
    pub(super) fn resume(&mut self, latest: Latest) {
        self.latest = latest;
        self.latest_salts = self.mark.salts;
        self.undo.clear();
        self.counter_known = false;
        self.growth.begin_anew();
    }

    /// Reads `count` pages from `first` on at the newest pin; `latest` must belong to that pin.
    pub(super) fn read_pages(&self, latest: &Latest, first: u32, buffer: &mut [u8]) -> Result<()> {
        let size = self.page_size as usize;
        let offset = u64::from(first - 1) * u64::from(self.page_size);
        ffi::read_file(self.pins.connection()?, &self.path, offset, buffer)?;
        let Some(wal) = &self.wal else { return Ok(()) };
        for (page, bytes) in (first..).zip(buffer.chunks_exact_mut(size)) {
            if let Some(&frame) = latest.get(&page) {
                wal.image(frame, bytes)?;
            }
        }
        Ok(())
    }
}
