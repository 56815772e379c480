//! The data file that a log goes on from: its pages out of an archive, as far as they are needed.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
};

use super::{unpacked::Unpacked, ways::Ways};
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
    ways: Ways,
    /// The frame after those that were unpacked last.
    next: Option<u64>,
    /// How many are unpacked at once.
    at_once: u64,
    /// Memory that frames are read into, and that they are unpacked into.
    spare: (Vec<Vec<u8>>, Vec<Vec<u8>>),
    /// Whether damage that shows while it is read is mended from its recovery data, which was not tried yet.
    heals: bool,
    /// Whether it was mended.
    mended: Arc<AtomicBool>,
}

/// So many frames are unpacked at once, where there are as many cores: each takes memory twice.
const AT_ONCE: usize = 4;

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
        let cores = thread::available_parallelism().map_or(1, usize::from);
        let at_once = cores.min(AT_ONCE).min(frames.most() / 2).max(1) as u64;
        Ok(Self {
            archive,
            offset,
            page_size: page_size as usize,
            count,
            frames,
            ways: Ways::default(),
            next: None,
            at_once,
            spare: Default::default(),
            heals: false,
            mended: Arc::default(),
        })
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

    /// Unpacks a frame, and proves it. Where frames are asked for one after the other, those that come next are
    /// unpacked beside it, on other cores.
    fn unpack(&mut self, number: u64) -> Result<()> {
        let most = if self.next == Some(number) { self.at_once } else { 1 };
        let end = (number + most).min(self.archive.frame_count()).max(number + 1);
        let wanted: Vec<u64> = (number..end).filter(|n| *n == number || !self.frames.has(*n)).collect();
        let mut unpacked = self.side_by_side(&wanted);
        let frame = match unpacked.remove(0) {
            Err(error) if heal::is_damage(&error) && self.heals => self.healed(number, error)?,
            read => read?,
        };
        // What is the matter with one that nobody asked for is said when somebody does.
        let others = wanted.into_iter().skip(1).zip(unpacked).filter_map(|(number, frame)| Some((number, frame.ok()?)));
        let all: Vec<(u64, Vec<u8>)> = std::iter::once((number, frame)).chain(others).collect();
        self.next = all.last().map(|(last, _)| last + 1);
        for (number, frame) in all {
            self.look_through(number, &frame);
            self.spare.1.extend(self.frames.keep(number, frame));
        }
        Ok(())
    }

    /// Unpacks frames, the first of them on this thread.
    fn side_by_side(&mut self, numbers: &[u64]) -> Vec<Result<Vec<u8>>> {
        let (archive, (stored, raw)) = (&self.archive, &mut self.spare);
        let unpack = |number: u64, mut stored: Vec<u8>, raw: Vec<u8>| {
            let frame = archive.frame_in(number, &mut stored, raw);
            (frame, stored)
        };
        let mut of = |number: u64| (number, stored.pop().unwrap_or_default(), raw.pop().unwrap_or_default());
        let with: Vec<(u64, Vec<u8>, Vec<u8>)> = numbers.iter().map(|number| of(*number)).collect();
        let done: Vec<(Result<Vec<u8>>, Vec<u8>)> = thread::scope(|scope| {
            let mut with = with.into_iter();
            let first = with.next();
            let begun: Vec<_> = with
                .map(|(number, stored, raw)| {
                    thread::Builder::new().spawn_scoped(scope, move || unpack(number, stored, raw))
                })
                .collect();
            let first = first.map(|(number, stored, raw)| unpack(number, stored, raw));
            let none = || (Err(Error::stopped()), Vec::new());
            let joined = begun
                .into_iter()
                .map(|thread| thread.map_or_else(|_| none(), |thread| thread.join().unwrap_or_else(|_| none())));
            first.into_iter().chain(joined).collect()
        });
        done.into_iter()
            .map(|(frame, stored)| {
                self.spare.0.push(stored);
                frame
            })
            .collect()
    }

    /// Keeps the pages of a frame by which others are found.
    fn look_through(&mut self, number: u64, frame: &[u8]) {
        let (begins, size) = (number * self.archive.frame_length(), self.page_size as u64);
        let first = begins.saturating_sub(self.offset).div_ceil(size);
        for page in first..u64::from(self.count) {
            let at = (self.offset + page * size - begins) as usize;
            let Some(image) = frame.get(at..at + self.page_size) else { return };
            self.ways.look_at(page as u32 + 1, image);
        }
    }

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
        if let Some(image) = self.ways.get(page) {
            return Ok(image.to_vec());
        }
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
