//! The pages of a past state. Each is read alone where it is asked for; once that has taken longer than reading all
//! records in order would have, that is done.

use std::sync::{Arc, Mutex, PoisonError};

use crate::{
    control::Control,
    error::{Error, ErrorKind, ErrorReport, Result},
    journal::{
        integrate,
        plan::Piece,
        reader::LogReader,
        versions::{Image, Versions},
    },
    records::{
        store::{ArchiveBase, Base, Store},
        tree::Pages as _,
    },
    sqlite::vfs::Served,
};

/// Reading single pages may take so many times the bytes of all records: to have all, every page that records change is
/// read from the archive as well.
pub const PATIENCE: u64 = 16;
/// What a log counts as besides, so that a short one is read page by page.
const BYTES: u64 = 4 << 20;
/// Where logs write more pages than this, nobody keeps all of them at hand.
const PAGES_MAX: u32 = 2 << 20;

/// The pages of a data file as they were after a commit.
pub struct Pages {
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
#[derive(Debug, Clone)]
struct Shared(Arc<Mutex<ArchiveBase>>);

impl Base for Shared {
    fn read(&mut self, page: u32) -> Result<Vec<u8>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).read(page)
    }

    fn count(&self) -> u32 {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).count()
    }
}

impl std::fmt::Debug for Pages {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pages").field("limit", &self.limit).field("all", &self.all.is_some()).finish_non_exhaustive()
    }
}

impl Pages {
    /// What `base` holds, and the logs make of it up to the commit `limit`. Pages are read one by one until that took
    /// `patience` times the bytes of all records.
    ///
    /// # Errors
    /// `Damaged` where they do not belong together; a failing disk, `Stopped`.
    pub fn new(
        (base, page_size): (ArchiveBase, u32),
        (pieces, limit): (Vec<Piece>, u64),
        patience: u64,
        control: &Control,
    ) -> Result<Self> {
        let versions = Versions::read(&pieces, limit, (page_size, base.count()), control)?;
        let base = Shared(Arc::new(Mutex::new(base)));
        Ok(Self { base, versions, pieces, limit, page_size, patience, all: None, is_single: false })
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

fn none() -> Error {
    Error::new(ErrorKind::Damaged, "the data file has no such page").hint("Start again.")
}

/// Why pages could not be read: SQLite itself knows only that they could not.
#[derive(Debug, Clone, Default)]
pub(super) struct Failed(Arc<Mutex<Option<ErrorReport>>>);

impl Failed {
    /// The first reason counts.
    pub(super) fn note(&self, error: &Error) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert_with(|| error.report());
    }

    pub(super) fn take(&self) -> Option<Error> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take().map(Error::from)
    }
}

/// Pages served to SQLite.
pub(super) struct ServedPages {
    pub(super) pages: Pages,
    pub(super) control: Arc<Control>,
    pub(super) failed: Failed,
    /// The page that was read last: SQLite reads the first bytes of the file by themselves.
    pub(super) last: Option<(u32, Image)>,
}

impl ServedPages {
    fn fill(&mut self, offset: u64, buffer: &mut [u8]) -> Result<()> {
        let size = u64::from(self.pages.page_size());
        let mut done = 0;
        while done < buffer.len() {
            let at = offset + done as u64;
            let (number, within) = (u32::try_from(at / size + 1).map_err(|_| none())?, (at % size) as usize);
            let image = match &self.last {
                Some((last, image)) if *last == number => Arc::clone(image),
                _ => self.pages.page(number, &self.control)?,
            };
            let count = (buffer.len() - done).min(image.len().saturating_sub(within));
            if count == 0 {
                return Err(none());
            }
            let from = image.get(within..within + count).ok_or_else(none)?;
            buffer.get_mut(done..done + count).ok_or_else(none)?.copy_from_slice(from);
            self.last = Some((number, image));
            done += count;
        }
        Ok(())
    }
}

impl Served for ServedPages {
    fn read(&mut self, offset: u64, buffer: &mut [u8]) -> Result<()> {
        self.fill(offset, buffer).inspect_err(|error| self.failed.note(error))
    }

    fn length(&self) -> u64 {
        u64::from(self.pages.count()) * u64::from(self.pages.page_size())
    }
}
