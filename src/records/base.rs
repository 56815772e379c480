//! The data file that a log goes on from: its pages out of an archive, as far as they are needed.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use super::unpacked::Unpacked;
use crate::{
    archive::{Archive, ItemKind, heal},
    control::Control,
    error::{Error, ErrorKind, Result},
};

/// What a log goes on from.
pub trait Base: Send {
    /// Reads a page that it has.
    ///
    /// # Errors
    /// Damage, or a failing disk.
    fn read(&mut self, page: u32) -> Result<Vec<u8>>;

    /// How many pages it has.
    fn count(&self) -> u32;
}

/// The data file in an archive.
#[derive(Debug)]
pub struct ArchiveBase {
    archive: Archive,
    offset: u64,
    page_size: usize,
    count: u32,
    frames: Unpacked,
    /// Whether damage that shows while it is read is mended from its recovery data, which was not tried yet.
    heals: bool,
    /// Whether it was mended.
    mended: Arc<AtomicBool>,
}

impl ArchiveBase {
    /// Of an archive that was opened.
    ///
    /// # Errors
    /// `Damaged` when it holds no data file of the length that it says.
    pub fn of(archive: Archive) -> Result<Self> {
        let (page_size, count) = (archive.identity().page_size, archive.identity().page_count);
        let item = archive.items().iter().find(|item| item.kind == ItemKind::DataFile);
        let bytes = u64::from(page_size) * u64::from(count);
        let Some(item) = item.filter(|item| item.length == bytes && page_size >= 512) else {
            let message = format!("{} holds no data file of the length that it says", archive.path().display());
            return Err(Error::new(ErrorKind::Damaged, message).hint("Use another archive."));
        };
        let (offset, frames) = (item.offset, Unpacked::new(archive.frame_length()));
        Ok(Self { archive, offset, page_size: page_size as usize, count, frames, heals: false, mended: Arc::default() })
    }

    /// The same, mended from its recovery data where it turns out damaged while it is read; the second value tells
    /// whether it was.
    ///
    /// # Errors
    /// As [`of`](Self::of).
    pub fn mending(archive: Archive) -> Result<(Self, Arc<AtomicBool>)> {
        let base = Self { heals: true, ..Self::of(archive)? };
        let mended = Arc::clone(&base.mended);
        Ok((base, mended))
    }

    /// Unpacks a frame, and proves it.
    fn unpack(&mut self, number: u64) -> Result<()> {
        let frame = match self.archive.frame(number) {
            Err(error) if heal::is_damage(&error) && self.heals => self.healed(number, error)?,
            read => read?,
        };
        self.frames.keep(number, frame);
        Ok(())
    }
}

impl ArchiveBase {
    /// Reads a frame from what the recovery data of the archive makes whole: its damage shows only while it is read.
    fn healed(&mut self, number: u64, damage: Error) -> Result<Vec<u8>> {
        self.heals = false;
        let cause = Error::new(damage.kind(), damage.message());
        let Ok((whole, _)) = heal::heal(self.archive.path(), &[], cause, &Control::default()) else {
            return Err(damage);
        };
        let frame = whole.frame(number).map_err(|_| damage)?;
        self.archive = whole;
        self.mended.store(true, Ordering::Relaxed);
        Ok(frame)
    }
}

impl Base for ArchiveBase {
    fn read(&mut self, page: u32) -> Result<Vec<u8>> {
        let mut image = Vec::with_capacity(self.page_size);
        let mut at = self.offset + u64::from(page.max(1) - 1) * self.page_size as u64;
        while image.len() < self.page_size {
            let (number, within) = (self.archive.frame_of(at), (at % self.archive.frame_length()) as usize);
            let wanted = self.page_size - image.len();
            let mut read = self.frames.read(number, (within, wanted), &mut image);
            if read.is_none() {
                self.unpack(number)?;
                read = self.frames.read(number, (within, wanted), &mut image);
            }
            let Some(read) = read.filter(|read| *read > 0) else {
                let message = format!("{} ends within its data file", self.archive.path().display());
                return Err(Error::new(ErrorKind::Damaged, message).hint("Use another archive."));
            };
            at += read as u64;
        }
        Ok(image)
    }

    fn count(&self) -> u32 {
        self.count
    }
}
