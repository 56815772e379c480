//! The pages of a past state, served to SQLite.

use std::sync::{Arc, Mutex, PoisonError};

pub use crate::records::past::{PATIENCE, Past as Pages};
use crate::{
    control::Control,
    error::{Error, ErrorReport, Result},
    journal::versions::Image,
    records::past::none,
    sqlite::vfs::Served,
};

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
