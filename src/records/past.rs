//! The pages of a past state. Each is read alone where it is asked for; once that has taken longer than reading all
//! records in order would have, that is done.

use std::sync::{Arc, Mutex, PoisonError};

use chrono::DateTime;

use super::{
    store::{Base, Store},
    tree::Pages as _,
};
use crate::{
    control::Control,
    error::{Error, ErrorKind, Result},
    journal::{
        Position, integrate,
        plan::Piece,
        reader::{LogReader, Record},
        versions::{Beside, Image, Versions},
    },
};

/// Reading single pages may take so many times the bytes of all records: to have all, every page that records change is
/// read from the archive as well.
pub const PATIENCE: u64 = 16;
/// What a log counts as besides, so that a short one is read page by page.
const BYTES: u64 = 4 << 20;
/// Where logs write more pages than this, nobody keeps all of them at hand.
const PAGES_MAX: u32 = 2 << 20;

/// The pages of a data file as they were after a commit.
pub struct Past {
    base: Shared,
    versions: Versions,
    pieces: Vec<Piece>,
    limit: u64,
    page_size: u32,
    patience: u64,
    /// All of them, once they were made.
    all: Option<Store>,
    is_single: bool,
}

/// The archive, for pages that are read alone and for all of them.
#[derive(Clone)]
struct Shared(Arc<Mutex<Box<dyn Base>>>);

impl Base for Shared {
    fn read(&mut self, page: u32) -> Result<Vec<u8>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).read(page)
    }

    fn count(&self) -> u32 {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).count()
    }
}

impl std::fmt::Debug for Past {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Past").field("limit", &self.limit).field("all", &self.all.is_some()).finish_non_exhaustive()
    }
}

impl Past {
    /// What `base` holds, and the logs make of it up to the commit `limit`. Pages are read one by one until that took
    /// `patience` times the bytes of all records.
    ///
    /// # Errors
    /// `Damaged` where they do not belong together; a failing disk, `Stopped`.
    pub fn new(
        (base, page_size): (Box<dyn Base>, u32),
        (pieces, limit): (Vec<Piece>, u64),
        patience: u64,
        control: &Control,
    ) -> Result<Self> {
        let versions = Versions::read(&pieces, limit, (page_size, base.count()), control)?;
        Ok(Self::with(versions, (base, page_size), (pieces, limit), patience))
    }

    fn with(
        versions: Versions,
        (base, page_size): (Box<dyn Base>, u32),
        (pieces, limit): (Vec<Piece>, u64),
        patience: u64,
    ) -> Self {
        let base = Shared(Arc::new(Mutex::new(base)));
        Self { base, versions, pieces, limit, page_size, patience, all: None, is_single: false }
    }

    /// How many there are.
    pub fn count(&self) -> u32 {
        self.versions.page_count()
    }

    /// Bytes of each.
    pub fn page_size(&self) -> u32 {
        self.page_size
    }

    /// The page with this number, from 1.
    ///
    /// # Errors
    /// `Damaged` where what it is made of is; a failing disk, `Stopped`.
    pub fn page(&mut self, page: u32, control: &Control) -> Result<Image> {
        if let Some(all) = &self.all {
            return all.after().page(page)?.ok_or_else(none);
        }
        let may_have_all = !self.is_single && self.count() <= PAGES_MAX;
        if may_have_all && self.versions.bytes_read() > self.patience * (self.versions.bytes() + BYTES) {
            self.make_all(control)?;
            return self.page(page, control);
        }
        let base = &mut self.base;
        match self.versions.page(page, &mut |number| base.read(number), control) {
            Ok(found) => found.ok_or_else(none),
            Err(error) if error.kind() == ErrorKind::Refused && may_have_all => {
                self.make_all(control)?;
                self.page(page, control)
            }
            Err(error) => Err(error),
        }
    }

    /// Reads all records in order. Where one of them cannot be read, pages that do not hang on it still can, one by
    /// one.
    fn make_all(&mut self, control: &Control) -> Result<()> {
        self.is_single = true;
        let store = Store::new(Box::new(self.base.clone()), self.page_size);
        match replay(&store, &self.pieces, self.limit, control) {
            Ok(()) => self.all = Some(store),
            Err(error) if error.kind() == ErrorKind::Damaged => {}
            Err(error) => return Err(error),
        }
        Ok(())
    }
}

fn replay(store: &Store, pieces: &[Piece], limit: u64, control: &Control) -> Result<()> {
    for piece in pieces.iter().filter(|piece| piece.commits.0 <= limit) {
        let mut reader = LogReader::open(&piece.path)?;
        let changed = || {
            let message = format!("{} changed meanwhile", piece.path.display());
            Error::new(ErrorKind::Damaged, message).hint("Start again.")
        };
        if !integrate::seek(&mut reader, &piece.after, control)? {
            return Err(changed());
        }
        let last = piece.commits.1.min(limit);
        while reader.tail().commit < last {
            control.check()?;
            let record = reader.next_record()?.ok_or_else(changed)?;
            store.apply(&mut reader, &record)?;
        }
    }
    Ok(())
}

/// There is no such page.
pub(crate) fn none() -> Error {
    Error::new(ErrorKind::Damaged, "the data file has no such page").hint("Start again.")
}

/// Commits that nobody asks for, before the first one that is wanted: they are read, and not applied. Which pages they
/// wrote is noted meanwhile.
pub(super) struct Skipped {
    base: Box<dyn Base>,
    page_size: u32,
    first: u64,
    pieces: Vec<Piece>,
    /// `None` where they wrote more than can be noted.
    written: Option<Beside>,
}

/// So few commits are applied at once.
const FEW: u64 = 16;

impl Skipped {
    /// What `base` holds after the commit `after`, where enough lies between that and the commit `first`; else the base
    /// itself.
    pub(super) fn before(
        first: Option<u64>,
        after: u64,
        (base, page_size): (Box<dyn Base>, u32),
    ) -> std::result::Result<Self, Box<dyn Base>> {
        match first.filter(|first| *first > after.saturating_add(FEW)) {
            Some(first) => {
                let written = Some(Beside::new(base.count()));
                Ok(Self { base, page_size, first, pieces: Vec::new(), written })
            }
            None => Err(base),
        }
    }

    pub(super) fn page_size(&self) -> u32 {
        self.page_size
    }

    /// A log is begun, of which no record was read yet, and which counts after this position.
    pub(super) fn begin(&mut self, reader: &LogReader, after: Position) -> Result<()> {
        let (commits, never) = ((after.commit + 1, after.commit), DateTime::UNIX_EPOCH);
        let (times, span) = ((never, never), (never, never));
        self.pieces.push(Piece { path: reader.path().to_path_buf(), commits, times, span, after });
        self.note(|written| written.begin(reader, after.commit + 1))
    }

    /// Takes note of the record of that log that was returned last.
    pub(super) fn take(&mut self, reader: &mut LogReader, record: &Record) -> Result<()> {
        self.note(|written| written.take(reader, record))
    }

    /// Whether the record of that log that was returned last is passed over.
    pub(super) fn passes_over(&mut self, reader: &mut LogReader, record: &Record) -> Result<bool> {
        let commit = record.head.commit;
        if commit >= self.first {
            return Ok(false);
        }
        self.pieces.iter_mut().next_back().into_iter().for_each(|piece| piece.commits.1 = commit);
        self.take(reader, record)?;
        Ok(true)
    }

    fn note(&mut self, what: impl FnOnce(&mut Beside) -> Result<()>) -> Result<()> {
        match self.written.as_mut().map_or(Ok(()), what) {
            Err(error) if error.kind() == ErrorKind::Refused => {
                self.written = None;
                Ok(())
            }
            noted => noted,
        }
    }

    /// The state that is left by them.
    pub(super) fn finish(mut self, control: &Control) -> Result<Store> {
        self.pieces.retain(|piece| piece.commits.0 <= piece.commits.1);
        let (limit, page_size) = (self.first - 1, self.page_size);
        let noted = self.written.map(|written| Versions::beside(written, limit, (page_size, self.base.count())));
        match noted {
            Some(Ok(versions)) => {
                let past = Past::with(versions, (self.base, page_size), (self.pieces, limit), PATIENCE);
                Ok(Store::new(Box::new(Midway { past, control: Control::default() }), page_size))
            }
            Some(Err(error)) if error.kind() != ErrorKind::Refused => Err(error),
            _ => {
                let store = Store::new(self.base, page_size);
                replay(&store, &self.pieces, limit, control)?;
                Ok(store)
            }
        }
    }
}

/// A state as what logs are read on from.
struct Midway {
    past: Past,
    control: Control,
}

impl Base for Midway {
    fn read(&mut self, page: u32) -> Result<Vec<u8>> {
        self.past.page(page, &self.control).map(|image| image.as_ref().clone())
    }

    fn count(&self) -> u32 {
        self.past.count()
    }
}
