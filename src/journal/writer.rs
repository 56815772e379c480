//! Appending to a log file: records are written, then one sync makes them *logged*.
//!
//! What was not synced does not count: after any failure the writer falls back to the last synced record, and the
//! caller reads the same commits from the WAL again. So a full disk costs time and no commit. All writing goes through
//! [`Storage`], so that tests can make every step of it fail.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use chrono::{DateTime, Utc};

use super::{
    format::{BLOCK_BYTES, Chain, ENTRY_BYTES, Entry, LogHeader, PAYLOAD_MAX, Position, RecordHead, put_block},
    reader::{End, LogReader},
};
use crate::{
    error::{Error, Result},
    sqlite::wal::WalMark,
    storage::{
        Ownership, Storage, StorageFile, folder_of,
        identity::{FileStamp, replaced, require_named},
    },
};

/// A block is closed when its payload passes this.
const PAYLOAD_TARGET: usize = 256 << 10;
/// Bytes collected before they are handed to the system.
const PENDING_MAX: usize = 4 << 20;

/// Where a log ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tail {
    /// Bytes of the file up to here.
    pub length: u64,
    /// Number of the last commit.
    pub commit: u64,
    /// Chain value of the last record.
    pub chain: Chain,
    /// Time of the last record, or of the creation.
    pub time: DateTime<Utc>,
    /// Pages of the data file.
    pub page_count: u32,
    /// Where the WAL stood.
    pub mark: WalMark,
}

impl Tail {
    /// Where a log with this header and no records ends.
    pub fn base(header: &LogHeader) -> Self {
        Self {
            length: super::format::HEADER_BYTES as u64,
            commit: header.base.commit,
            chain: header.base.chain,
            time: header.created,
            page_count: header.page_count,
            mark: header.mark,
        }
    }
}

/// What another program did to the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Touched {
    Not,
    /// It may have written to it, which only reading it can tell.
    Content,
    /// It cut it, or appended to it.
    Length {
        found: u64,
        left: u64,
    },
}

/// A log file open for appending; its lock keeps a second engine out.
pub struct LogWriter {
    storage: Arc<dyn Storage>,
    file: Box<dyn StorageFile>,
    path: PathBuf,
    header: LogHeader,
    logged: Tail,
    ahead: Tail,
    pending: Vec<u8>,
    payload: Vec<u8>,
    open: Option<(RecordHead, u32, Chain)>,
    failed: bool,
    /// How the file was after it was last written by us.
    left: Option<FileStamp>,
    /// What somebody else did to it before it was written again: the times that tell of it are ours now.
    touched: Touched,
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
        let mut file = storage.create(path, ownership)?;
        let written = file
            .write_all(&header.encode())
            .and_then(|()| file.sync())
            .and_then(|()| storage.sync_folder(folder_of(path)));
        if let Err(error) = written {
            drop(file);
            let _ = storage.remove(path);
            return Err(error);
        }
        let tail = Tail::base(&header);
        Ok(Self::with(storage, file, path, header, tail))
    }

    /// Opens a log file to continue it, cutting a torn tail; `seen` is called for each record that is valid.
    ///
    /// A log that is damaged in its middle is not cut: the reader's [`End`] is returned with it, and the caller
    /// decides.
    ///
    /// # Errors
    /// `NotFound`, `InUse`, a header that can not be read, or a failing disk.
    pub fn open(
        storage: Arc<dyn Storage>,
        path: &Path,
        seen: &mut dyn FnMut(&mut LogReader, &super::reader::Record) -> Result<()>,
    ) -> Result<(Self, End)> {
        let mut file = storage.open(path)?;
        let mut reader = LogReader::open(path)?;
        let mut tail = Tail::base(reader.header());
        while let Some(record) = reader.next_record()? {
            seen(&mut reader, &record)?;
            tail = record.tail();
        }
        let end = reader.end();
        if matches!(end, End::Torn { .. }) {
            file.truncate(tail.length)?;
            file.sync()?;
        }
        let header = reader.header().clone();
        Ok((Self::with(storage, file, path, header, tail), end))
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
            failed: false,
            left: None,
            touched: Touched::Not,
        }
        .noted()
    }

    /// Remembers how the file is after it was written by us. What can not be seen now is seen to be another one later.
    fn note_left(&mut self) {
        self.left = self.file.stamp().ok().flatten();
    }

    fn noted(mut self) -> Self {
        self.note_left();
        self
    }

    /// Sees that the path still names the file that is written, as long as it was left, and whether its content is as
    /// it was left: false when somebody else may have written to it, which only reading it can tell.
    ///
    /// # Errors
    /// [`ErrorKind::Replaced`](crate::error::ErrorKind::Replaced) when it is gone, another file, or was cut or appended
    /// to by others.
    pub fn compare(&self) -> Result<bool> {
        let Some(left) = self.left else { return Ok(true) };
        require_named(&self.path, left.identity)?;
        let strange = |found: u64, left: u64| {
            let path = self.path.display();
            replaced(format!("{path} was cut or written by another program: it has {found} bytes instead of {left}"))
        };
        if let Touched::Length { found, left } = self.touched {
            return Err(strange(found, left));
        }
        let now = FileStamp::of_path(&self.path).ok().flatten();
        match now {
            Some(now) if now.identity == left.identity && (now.length == left.length || self.failed) => {
                Ok((now.changed == left.changed || self.failed) && self.touched == Touched::Not)
            }
            now => Err(strange(now.map_or(0, |now| now.length), left.length)),
        }
    }

    /// Reads the file as far as it is logged, and takes it as it is now when every record is there.
    ///
    /// # Errors
    /// `Replaced` when it is not what was written.
    pub fn read_back(&mut self) -> Result<()> {
        let damaged =
            |at: u64| replaced(format!("{} was overwritten at byte {at} by another program", self.path.display()));
        let mut reader = LogReader::open(&self.path).map_err(|_| damaged(0))?;
        while reader.next_record()?.is_some() {}
        let (found, logged) = (*reader.tail(), self.logged);
        if (found.commit, found.chain, found.length) != (logged.commit, logged.chain, logged.length)
            || reader.header() != &self.header
        {
            return Err(damaged(found.length));
        }
        self.note_left();
        self.touched = Touched::Not;
        Ok(())
    }

    /// The header of the file.
    pub fn header(&self) -> &LogHeader {
        &self.header
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
        Position { archive: self.header.base.archive, commit: self.logged.commit, chain: self.logged.chain }
    }

    /// Begins a record. Its number must follow the last one.
    pub fn begin(&mut self, head: RecordHead) {
        self.payload.clear();
        head.encode(&mut self.payload);
        self.open = Some((head, 0, self.ahead.chain));
    }

    /// Adds a page to the record.
    ///
    /// # Errors
    /// When a large record can not be written.
    pub fn page(&mut self, entry: &Entry<'_>) -> Result<()> {
        if self.payload.len() + ENTRY_BYTES + entry.bytes.len() > PAYLOAD_TARGET.min(PAYLOAD_MAX) {
            self.close_block(false)?;
        }
        entry.encode(&mut self.payload);
        Ok(())
    }

    /// Ends the record.
    ///
    /// # Errors
    /// When it can not be written.
    pub fn end(&mut self) -> Result<()> {
        let Some((head, ..)) = self.open else { return Ok(()) };
        self.close_block(true)?;
        if let Some((.., chain)) = self.open.take() {
            self.ahead.chain = chain;
        }
        self.ahead.commit = head.commit;
        self.ahead.time = head.time;
        self.ahead.page_count = head.page_count;
        self.ahead.mark = head.mark;
        Ok(())
    }

    fn close_block(&mut self, last: bool) -> Result<()> {
        if let Some((head, index, chain)) = &mut self.open {
            *chain = put_block(&mut self.pending, *chain, head.kind, (*index, last), &self.payload);
            *index += 1;
            self.ahead.length += (BLOCK_BYTES + self.payload.len()) as u64;
        }
        self.payload.clear();
        if self.pending.len() >= PENDING_MAX { self.flush() } else { Ok(()) }
    }

    /// Appends bytes of another log file that continues this one: whole blocks, verbatim. `tail` is where they lead.
    ///
    /// # Errors
    /// When they can not be written.
    pub fn append_verbatim(&mut self, blocks: &[u8], tail: &Tail) -> Result<()> {
        self.pending.extend_from_slice(blocks);
        self.ahead = Tail { length: self.ahead.length + blocks.len() as u64, ..*tail };
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

    /// Sees before a write whether the file is as it was left. What was cut off it, the write itself would make up for with
    /// zeros; after it nothing would tell.
    fn note_touched(&mut self) {
        let (Some(left), false) = (self.left, self.failed) else { return };
        match self.file.stamp().ok().flatten() {
            Some(now) if now.length != left.length => {
                self.touched = Touched::Length { found: now.length, left: left.length }
            }
            Some(now) if now.changed == left.changed => {}
            _ if self.touched == Touched::Not => self.touched = Touched::Content,
            _ => {}
        }
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
        let message = format!("can not continue {}: it belongs to another data file", self.path.display());
        Err(Error::new(crate::error::ErrorKind::Refused, message)
            .hint("Choose another name for the log, or move that file away."))
    }
}
