//! Appending to a log file: records are written, then one sync makes them *logged*.
//!
//! What was not synced does not count: after any failure the writer falls back to the last synced record, and the
//! caller reads the same commits from the WAL again. So a full disk costs time and no commit. All writing goes through
//! [`Storage`], so that tests can make every step of it fail.

mod between;
mod touched;

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use super::{
    format::{
        Chain, Entry, LogHeader, PAYLOAD_MAX, Position, RecordHead, Tail, chain_of, one,
        two::{self, Shape},
    },
    index::Indexed,
    reader::{End, LogReader},
    state::StateSum,
};
use crate::{
    error::{Error, ErrorKind, Result},
    storage::{Ownership, Storage, StorageFile, folder_of, identity::FileStamp},
};

use touched::Touched;

/// A part of a large record is closed when its payload passes this.
const PAYLOAD_TARGET: usize = 256 << 10;
/// A block of several records is: what can be damaged at once is then not more.
const RECORDS_TARGET: usize = 4 << 10;
/// Not more runs of pages without content are named; a payload holds them.
pub const BLANK_MAX: usize = PAYLOAD_MAX / 10;
/// Bytes collected before they are handed to the system.
const PENDING_MAX: usize = 4 << 20;

/// A log file open for appending; its lock keeps a second engine out.
pub struct LogWriter {
    storage: Arc<dyn Storage>,
    file: Box<dyn StorageFile>,
    path: PathBuf,
    header: LogHeader,
    logged: Tail,
    ahead: Tail,
    pending: Vec<u8>,
    /// The record that is open, or what is not yet in a block of it.
    payload: Vec<u8>,
    open: Option<Open>,
    /// Whole records that are not in a block yet.
    records: Vec<u8>,
    /// The pages of the base that have no content.
    blank: Vec<(u32, u32)>,
    failed: bool,
    /// How the file was after it was last written by us.
    left: Option<FileStamp>,
    /// What somebody else did to it before it was written again: the times that tell of it are ours now.
    touched: Touched,
}

/// A record that was begun.
#[derive(Debug, Clone, Copy)]
struct Open {
    head: RecordHead,
    /// How many blocks of it there are.
    blocks: u32,
    /// The chain value after them.
    chain: Chain,
    /// The last page number in `payload`.
    page: u32,
}

impl std::fmt::Debug for LogWriter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LogWriter").field("path", &self.path).field("logged", &self.logged).finish_non_exhaustive()
    }
}

impl LogWriter {
    /// Creates a log file with its header, durable when this returns. It must not exist.
    ///
    /// # Errors
    /// When the storage fails; then nothing is left under that name unless removing it failed too.
    pub fn create(storage: Arc<dyn Storage>, path: &Path, header: LogHeader, ownership: Ownership) -> Result<Self> {
        Self::create_with(storage, path, (header, &[]), ownership)
    }

    /// As [`create`](Self::create); `blank` are the runs of pages that have no content at the base, at most
    /// [`BLANK_MAX`].
    ///
    /// # Errors
    /// As [`create`](Self::create).
    pub fn create_with(
        storage: Arc<dyn Storage>,
        path: &Path,
        (header, blank): (LogHeader, &[(u32, u32)]),
        ownership: Ownership,
    ) -> Result<Self> {
        let mut file = storage.create(path, ownership)?;
        let (mut begin, mut tail) = (header.encode(), Tail::base(&header));
        if !blank.is_empty() && header.version > 1 {
            let payload = two::put_runs(blank);
            tail.link = chain_of(tail.link, &two::block_start(Shape::Blank, payload.len()), &payload);
            two::put_block(&mut begin, Shape::Blank, tail.link, &payload);
            tail.length = begin.len() as u64;
        }
        let written =
            file.write_all(&begin).and_then(|()| file.sync()).and_then(|()| storage.sync_folder(folder_of(path)));
        if let Err(error) = written {
            drop(file);
            let _ = storage.remove(path);
            return Err(error);
        }
        Ok(Self { blank: blank.to_vec(), ..Self::with(storage, file, path, header, tail) })
    }

    /// Opens a log file to continue it, cutting a torn tail and an index; `seen` is called for each record that is
    /// valid.
    ///
    /// A log that is damaged in its middle is not cut: the reader's [`End`] is returned with it, and the caller
    /// decides.
    ///
    /// # Errors
    /// `NotFound`, `InUse`, a header that cannot be read, or a failing disk.
    pub fn open(
        storage: Arc<dyn Storage>,
        path: &Path,
        seen: &mut dyn FnMut(&mut LogReader, &super::reader::Record) -> Result<()>,
    ) -> Result<(Self, End)> {
        let mut file = storage.open(path)?;
        let mut reader = LogReader::open(path)?;
        while let Some(record) = reader.next_record()? {
            seen(&mut reader, &record)?;
        }
        let tail = *reader.tail();
        let end = reader.end();
        if matches!(end, End::Torn { .. }) || reader.indexed() != Indexed::Not && end == End::Whole {
            file.truncate(tail.length)?;
            file.sync()?;
        }
        let (header, blank) = (reader.header().clone(), reader.blank().to_vec());
        Ok((Self { blank, ..Self::with(storage, file, path, header, tail) }, end))
    }

    fn with(storage: Arc<dyn Storage>, file: Box<dyn StorageFile>, path: &Path, header: LogHeader, tail: Tail) -> Self {
        Self {
            storage,
            file,
            path: path.to_path_buf(),
            header,
            logged: tail,
            ahead: tail,
            pending: Vec::new(),
            payload: Vec::new(),
            open: None,
            records: Vec::new(),
            blank: Vec::new(),
            failed: false,
            left: None,
            touched: Touched::Not,
        }
        .noted()
    }

    /// Remembers how the file is after it was written by us. What cannot be seen now is seen to be another one later.
    fn note_left(&mut self) {
        self.left = self.file.stamp().ok().flatten();
    }

    fn noted(mut self) -> Self {
        self.note_left();
        self
    }

    /// The header of the file.
    pub fn header(&self) -> &LogHeader {
        &self.header
    }

    /// The pages of the base that have no content: first and last of each run.
    pub fn blank(&self) -> &[(u32, u32)] {
        &self.blank
    }

    /// The path of the file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Told after the file was renamed to `path`.
    pub fn set_path(&mut self, path: &Path) {
        self.path = path.to_path_buf();
        self.note_left();
    }

    /// The storage it writes to.
    pub fn storage(&self) -> &Arc<dyn Storage> {
        &self.storage
    }

    /// The end of what is synced.
    pub fn logged(&self) -> &Tail {
        &self.logged
    }

    /// The end of what was appended, synced or not.
    pub fn ahead(&self) -> &Tail {
        &self.ahead
    }

    /// The position of the last logged commit.
    pub fn position(&self) -> Position {
        let Position { archive, log, epoch, .. } = self.header.base;
        Position {
            log,
            epoch,
            state: self.logged.state,
            ..Position::at(archive, self.logged.commit, self.logged.chain)
        }
    }

    /// Begins a record. Its number must follow the last one; its `time` follows from the clock and the records before.
    /// One that has a checksum of the state gets it at its end.
    pub fn begin(&mut self, head: RecordHead) {
        let head = RecordHead { time: head.wall.max(self.ahead.time), ..head };
        self.payload.clear();
        match self.header.version {
            1 => head.encode(&mut self.payload),
            _ => two::put_head(&mut self.payload, &head, &self.ahead),
        }
        self.open = Some(Open { head, blocks: 0, chain: self.ahead.link, page: 0 });
    }

    /// Adds a page to the record.
    ///
    /// # Errors
    /// When a large record cannot be written.
    pub fn page(&mut self, entry: &Entry<'_>) -> Result<()> {
        if self.payload.len() + two::ENTRY_MAX + entry.bytes.len() > PAYLOAD_TARGET.min(PAYLOAD_MAX) {
            self.close_block(false)?;
        }
        match &mut self.open {
            Some(open) if self.header.version > 1 => two::put_entry(&mut self.payload, entry, &mut open.page),
            _ => entry.encode(&mut self.payload),
        }
        Ok(())
    }

    /// Ends the record, with the checksum of the state that it was begun with.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn end(&mut self) -> Result<()> {
        self.end_with(self.open.and_then(|open| open.head.state))
    }

    /// Ends the record; `state` is the checksum of the state after it, where it was begun with one.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn end_with(&mut self, state: Option<StateSum>) -> Result<()> {
        let Some(open) = &mut self.open else { return Ok(()) };
        if self.header.version > 1 && open.head.state.is_some() {
            // Zeros say that it is not known.
            open.head.state = state.filter(|sum| *sum != StateSum::default());
            two::put_state(&mut self.payload, open.head.state);
        }
        if self.header.version == 1 {
            open.head.state = None;
        }
        let Open { head, blocks, .. } = *open;
        let chain = if self.header.version > 1 && blocks == 0 {
            self.collect();
            chain_of(self.ahead.link, &self.payload, &[])
        } else {
            self.close_block(true)?;
            self.open.map_or(self.ahead.link, |open| open.chain)
        };
        self.open = None;
        self.payload.clear();
        self.ahead = Tail::after(&head, self.ahead.length, chain);
        if self.records.len() >= RECORDS_TARGET { self.close_records() } else { Ok(()) }
    }

    /// Adds the record to those that get a block together.
    fn collect(&mut self) {
        let before = self.records.len();
        if before == 0 {
            self.ahead.length += two::BLOCK_BYTES as u64;
        }
        two::put_record(&mut self.records, &self.payload);
        self.ahead.length += (self.records.len() - before) as u64;
    }

    /// Gives the records so far their block.
    fn close_records(&mut self) -> Result<()> {
        if !self.records.is_empty() {
            two::put_block(&mut self.pending, Shape::Records, self.ahead.link, &self.records);
            self.records.clear();
        }
        self.flush_when_much()
    }

    /// Closes a block of the open record.
    fn close_block(&mut self, last: bool) -> Result<()> {
        if self.header.version > 1 {
            self.close_records()?;
        }
        let Some(mut open) = self.open else { return Ok(()) };
        let payload = std::mem::take(&mut self.payload);
        if self.header.version == 1 {
            let place = (open.blocks, last);
            open.chain = one::put_block(&mut self.pending, open.chain, open.head.kind, place, &payload);
            self.ahead.length += (one::BLOCK_BYTES + payload.len()) as u64;
        } else {
            open.chain = self.put(if last { Shape::LastPart } else { Shape::Part }, open.chain, &payload);
        }
        (open.blocks, open.page) = (open.blocks + 1, 0);
        self.open = Some(open);
        self.payload = payload;
        self.payload.clear();
        self.flush_when_much()
    }

    /// Appends a block of version 2 that holds no whole records, and returns its chain value.
    fn put(&mut self, shape: Shape, before: Chain, payload: &[u8]) -> Chain {
        let chain = chain_of(before, &two::block_start(shape, payload.len()), payload);
        two::put_block(&mut self.pending, shape, chain, payload);
        self.ahead.length += (two::BLOCK_BYTES + payload.len()) as u64;
        chain
    }

    fn flush_when_much(&mut self) -> Result<()> {
        if self.pending.len() >= PENDING_MAX { self.flush() } else { Ok(()) }
    }

    fn flush(&mut self) -> Result<()> {
        self.note_touched();
        self.heal()?;
        self.file.write_all(&self.pending).inspect_err(|_| self.failed = true)?;
        self.pending.clear();
        self.note_left();
        if let Some(left) = self.left.filter(|left| left.length != self.ahead.length) {
            self.touched = Touched::Length { found: left.length, left: self.ahead.length };
        }
        Ok(())
    }

    /// After a failure the file may hold anything beyond the logged part: it is cut before it is written again.
    fn heal(&mut self) -> Result<()> {
        if self.failed {
            self.file.truncate(self.logged.length)?;
            self.failed = false;
        }
        Ok(())
    }

    /// Writes everything and returns when it is on the disk.
    ///
    /// # Errors
    /// When it is not; then the caller must call [`forget`](Self::forget).
    pub fn sync(&mut self) -> Result<()> {
        if self.ahead == self.logged {
            return Ok(());
        }
        self.close_records()?;
        if !self.pending.is_empty() {
            self.flush()?;
        }
        self.file.sync().inspect_err(|_| self.failed = true)?;
        // A sync changes nothing of it: what differs since the write is another program's doing.
        self.note_touched();
        self.logged = self.ahead;
        self.note_left();
        Ok(())
    }

    /// Drops everything that is not logged, so that it can be appended again.
    pub fn forget(&mut self) {
        self.failed |= self.ahead != self.logged || self.open.is_some();
        self.pending.clear();
        self.payload.clear();
        self.records.clear();
        self.open = None;
        self.ahead = self.logged;
    }

    /// Cuts the file at `tail`, which a reader has found in it.
    ///
    /// # Errors
    /// When the disk fails.
    pub fn cut_at(&mut self, tail: Tail) -> Result<()> {
        self.forget();
        self.file.truncate(tail.length)?;
        self.file.sync()?;
        (self.logged, self.ahead, self.failed) = (tail, tail, false);
        self.note_left();
        Ok(())
    }

    /// Refuses a log of another data file.
    ///
    /// # Errors
    /// `Refused`.
    pub fn require(&self, identity: uuid::Uuid) -> Result<()> {
        if self.header.identity == identity {
            return Ok(());
        }
        let message = format!("cannot continue {}: it belongs to another data file", self.path.display());
        Err(Error::new(ErrorKind::Refused, message).hint("Choose another name for the log, or move that file away."))
    }
}
