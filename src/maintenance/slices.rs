//! A data file in use, read page by page for whoever only wants to know about it. In rollback mode programs that write
//! wait while it is held, so it is held for a moment at a time, and what it held before counts only as long as nobody
//! wrote meanwhile. In WAL mode nobody waits, but the WAL cannot be begun anew while a state is held.

use std::{
    cell::{Cell, RefCell},
    path::{Path, PathBuf},
    sync::Arc,
    thread,
    time::Duration,
};

use crate::{
    control::Control,
    error::{Error, ErrorKind, Result},
    records::{
        page::{Image, u32_at},
        tree::Pages,
    },
    sqlite::snapshot::{JournalMode, Snapshot},
};

/// How long another program that holds the file locked is waited for.
const LOCK_WAIT: Duration = Duration::from_secs(5);
/// So long writers are held up at once in rollback mode, and so long they then have the file for themselves.
const HOLD_MAX: Duration = Duration::from_millis(100);
const PAUSE: Duration = Duration::from_millis(25);
/// So long a state is held in WAL mode before the next one is taken, between two trees.
const STATE_MAX: Duration = Duration::from_secs(2);
/// So often whoever waits is told how far it is.
const TOLD: u64 = 512;

/// What tells one state of a data file from another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Mark {
    /// Counts what is committed, in rollback mode.
    changes: u32,
    /// Counts changes of the schema; a reorganisation of the file is one.
    schema: u32,
    pages: u32,
}

/// The data file.
pub(super) struct Slices<'a> {
    path: PathBuf,
    control: &'a Control,
    /// Called now and then.
    watch: &'a dyn Fn(),
    held: RefCell<Option<Snapshot>>,
    mark: Cell<Mark>,
    page_size: u32,
    read: Cell<u64>,
}

impl<'a> Slices<'a> {
    /// Begins to read the data file at `path`; `watch` is called now and then.
    ///
    /// # Errors
    /// As [`Snapshot::begin_to_look`].
    pub(super) fn begin(path: &Path, control: &'a Control, watch: &'a dyn Fn()) -> Result<Self> {
        let snapshot = Snapshot::begin_to_look(path, LOCK_WAIT, control)?;
        let (mark, page_size) = (Cell::new(mark_of(&snapshot)?), snapshot.page_size());
        let (path, held) = (path.to_path_buf(), RefCell::new(Some(snapshot)));
        Ok(Self { path, control, watch, held, mark, page_size, read: Cell::new(0) })
    }

    /// Bytes of a page.
    pub(super) fn page_size(&self) -> u32 {
        self.page_size
    }

    /// Between two trees, which need not be of one state: takes the next one when this was held for long. Says whether
    /// the schema is the same.
    ///
    /// # Errors
    /// As [`Slices::begin`].
    pub(super) fn is_same_schema(&self) -> Result<bool> {
        let is_old = self.held.borrow().as_ref().is_none_or(|held| held.held() > self.hold_max(held));
        if !is_old {
            return Ok(true);
        }
        let before = self.mark.get();
        self.take_next()?;
        Ok(self.mark.get().schema == before.schema)
    }

    /// Sees that what was read is a state of what the path names.
    ///
    /// # Errors
    /// `Replaced`; `Changed` where somebody wrote it meanwhile.
    pub(super) fn require_named(&self) -> Result<()> {
        self.held.borrow().as_ref().map_or(Ok(()), Snapshot::require_named)
    }

    fn hold_max(&self, held: &Snapshot) -> Duration {
        if held.journal_mode() == JournalMode::Wal { STATE_MAX } else { HOLD_MAX }
    }

    /// Lets go of the state, and takes the one that there is then.
    fn take_next(&self) -> Result<()> {
        let held = self.held.borrow_mut().take();
        let named = held.as_ref().map_or(Ok(()), Snapshot::require_named);
        if held.is_some_and(|held| held.journal_mode() != JournalMode::Wal) {
            thread::sleep(PAUSE);
        }
        named?;
        let snapshot = Snapshot::begin_to_look(&self.path, LOCK_WAIT, self.control)?;
        if snapshot.page_size() != self.page_size {
            return Err(written_meanwhile());
        }
        self.mark.set(mark_of(&snapshot)?);
        *self.held.borrow_mut() = Some(snapshot);
        Ok(())
    }
}

/// That it was written while it was read, and must be read anew.
fn written_meanwhile() -> Error {
    Error::new(ErrorKind::Changed, "it was written again and again while it was looked at")
}

fn mark_of(snapshot: &Snapshot) -> Result<Mark> {
    let mut head = [0; 100];
    snapshot.read(0, &mut head)?;
    let word = |at| u32_at(&head, at).unwrap_or_default();
    Ok(Mark { changes: word(24), schema: word(40), pages: snapshot.page_count() })
}

impl Pages for Slices<'_> {
    fn page(&self, number: u32) -> Result<Option<Image>> {
        self.control.check()?;
        self.read.set(self.read.get() + 1);
        self.control.add(1);
        if self.read.get().is_multiple_of(TOLD) {
            (self.watch)();
        }
        let is_long = |held: &Snapshot| held.journal_mode() != JournalMode::Wal && held.held() > HOLD_MAX;
        if self.held.borrow().as_ref().is_none_or(is_long) {
            let before = self.mark.get();
            self.take_next()?;
            if self.mark.get() != before {
                return Err(written_meanwhile());
            }
        }
        let held = self.held.borrow();
        let Some(held) = held.as_ref().filter(|held| number > 0 && number <= held.page_count()) else {
            return Ok(None);
        };
        let mut bytes = vec![0; self.page_size as usize];
        held.read(u64::from(number - 1) * u64::from(self.page_size), &mut bytes)?;
        Ok(Some(Arc::new(bytes)))
    }

    fn count(&self) -> u32 {
        self.mark.get().pages
    }
}
