//! Pages of a data file as they were after a commit, each read when it is asked for: from the records that lead to it,
//! and from nothing else.
//!
//! Which records wrote a page is known from the indexes of the logs, or from reading a log once ([`writers`]). From the
//! last of them the way goes back to where the page is recorded whole, or to the archive, also for the other pages that
//! a record takes something from; then it is gone forward, record by record. Each page on the way is held against the
//! hash that its record has of it.

mod sorted;
mod writers;

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

pub(crate) use self::writers::Beside;
use self::{
    sorted::{Item, Sorted},
    writers::{Place, Writers, changed},
};
use super::{
    format::{Entry, page_hash, u32_at, u64_at},
    page,
    plan::Piece,
    reader::LogReader,
};
use crate::{
    control::Control,
    error::{Error, ErrorKind, Result, foreign::shown},
};

/// A page that was read.
pub type Image = Arc<Vec<u8>>;
/// Reads a page of the data file that the logs go on from.
pub type ReadBase<'a> = dyn FnMut(u32) -> Result<Vec<u8>> + 'a;

/// What a large record is: one that many pages hang on, each of which would read all of it.
const LARGE: u64 = 16 << 10;
/// What is known of so many large records is kept.
const LARGE_KEPT: usize = 64;
/// Places in a large record that are held in memory, if there are no more.
const LOCATED_FEW: usize = 4 << 10;
/// Pages of a large record whose places are held in memory while it is read.
const LOCATED: usize = 64 << 10;
/// So many logs are open at once.
const OPEN_MAX: usize = 16;
/// A page that hangs on more entries, or on more bytes of them, is not looked for one by one.
const STEPS_MAX: usize = 400_000;
const STEPS_BYTES_MAX: usize = 48 << 20;
/// Nor one that hangs on so many bytes of other pages.
const IMAGES_BYTES_MAX: usize = 64 << 20;
/// Bytes of pages on which others hang that are kept, twice.
const KNOWN_BYTES: usize = 16 << 20;

/// A page after the commit with this number.
type Held = (u64, Image);

/// Where a page lies in a large record.
#[derive(Debug, Clone, Copy)]
struct Located {
    page: u32,
    length: u32,
    encoding: u8,
    hash: [u8; 8],
    at: u64,
}

impl Item for Located {
    const BYTES: usize = 25;

    fn key(&self) -> u64 {
        u64::from(self.page)
    }

    fn put(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.page.to_le_bytes());
        out.extend_from_slice(&self.length.to_le_bytes());
        out.extend_from_slice(&self.at.to_le_bytes());
        out.extend_from_slice(&self.hash);
        out.push(self.encoding);
    }

    fn take(bytes: &[u8]) -> Option<Self> {
        let hash = *bytes.get(16..24)?.first_chunk()?;
        let (page, length, at) = (u32_at(bytes, 0), u32_at(bytes, 4), u64_at(bytes, 8));
        Some(Self { page, length, encoding: *bytes.get(24)?, hash, at })
    }
}

/// A large record.
#[derive(Debug)]
struct Large {
    commit: u64,
    count_before: u32,
    located: Sorted<Located>,
}

/// What a record has of a page.
#[derive(Debug, Clone)]
struct Step {
    commit: u64,
    /// Pages of the data file before it.
    count_before: u32,
    encoding: u8,
    hash: [u8; 8],
    bytes: Vec<u8>,
}

impl Step {
    fn of(commit: u64, count_before: u32, entry: &Entry<'_>) -> Self {
        Self { commit, count_before, encoding: entry.encoding, hash: entry.hash, bytes: entry.bytes.to_vec() }
    }
}

/// What is needed on the way to a page.
enum Needed {
    Step(Step),
    /// It was read for another page.
    Known(Image),
}

/// Pages as of a commit, kept for those that hang on them.
#[derive(Debug, Default)]
struct Known {
    young: HashMap<(u32, u64), Image>,
    old: HashMap<(u32, u64), Image>,
    bytes: usize,
}

impl Known {
    fn get(&self, page: u32, commit: u64) -> Option<Image> {
        let key = (page, commit);
        self.young.get(&key).or_else(|| self.old.get(&key)).map(Arc::clone)
    }

    fn keep(&mut self, page: u32, commit: u64, image: &Image) {
        if self.young.insert((page, commit), Arc::clone(image)).is_none() {
            self.bytes += image.len();
        }
        if self.bytes > KNOWN_BYTES {
            self.old = std::mem::take(&mut self.young);
            self.bytes = 0;
        }
    }
}

/// The pages as they were after a commit.
#[derive(Debug)]
pub struct Versions {
    writers: Writers,
    page_size: usize,
    base_count: u32,
    limit: u64,
    /// A record of more bytes is read once to know where in it each page lies.
    large_from: u64,
    readers: HashMap<u32, LogReader>,
    large: HashMap<u32, Large>,
    known: Known,
    read: u64,
}

impl Versions {
    /// Of a data file of pages of `page_size` bytes, `base_count` of them before `pieces`, after the commit `limit`.
    ///
    /// # Errors
    /// `Damaged` where a log is not what it was when it was planned with, or does not fit; a failing disk, `Stopped`.
    pub fn read(pieces: &[Piece], limit: u64, (page_size, base_count): (u32, u32), control: &Control) -> Result<Self> {
        let writers = Writers::read(pieces, limit, (page_size, base_count), control)?;
        Ok(Self::with(writers, limit, (page_size, base_count)))
    }

    /// The same after all that was found out beside reading the logs, which led to the commit `limit`.
    ///
    /// # Errors
    /// As [`read`](Self::read).
    pub(crate) fn beside(found: Beside, limit: u64, pages: (u32, u32)) -> Result<Self> {
        Ok(Self::with(found.end()?, limit, pages))
    }

    fn with(writers: Writers, limit: u64, (page_size, base_count): (u32, u32)) -> Self {
        Self {
            writers,
            page_size: page_size as usize,
            base_count,
            limit,
            large_from: LARGE,
            readers: HashMap::new(),
            large: HashMap::new(),
            known: Known::default(),
            read: 0,
        }
    }

    /// How many pages there are.
    pub fn page_count(&self) -> u32 {
        self.writers.page_count
    }

    /// Bytes of logs that lead there.
    pub fn bytes(&self) -> u64 {
        self.writers.bytes
    }

    /// Bytes of logs that were read for single pages so far.
    pub fn bytes_read(&self) -> u64 {
        self.read
    }

    /// The page with this number, from 1; `None` where there is none.
    ///
    /// # Errors
    /// `Damaged` where a log is, or does not fit what it goes on from; `Refused` for a page that hangs on too much to
    /// be read alone; what `base` says; `Stopped`.
    pub fn page(&mut self, page: u32, base: &mut ReadBase<'_>, control: &Control) -> Result<Option<Image>> {
        if page == 0 || page > self.page_count() {
            return Ok(None);
        }
        let needed = self.needed(page, control)?;
        let mut now: HashMap<u32, Held> = HashMap::new();
        let (mut current, mut before) = (0, HashMap::new());
        for ((commit, number), needed) in needed {
            control.check()?;
            if commit != current {
                before.clear();
                current = commit;
            }
            let image = match needed {
                Needed::Known(image) => image,
                Needed::Step(step) => self.decode(number, &step, (&now, &before), base)?,
            };
            if now.len() * self.page_size > IMAGES_BYTES_MAX {
                return Err(self.too_much(page));
            }
            before.insert(number, now.insert(number, (commit, image)));
        }
        let held = now.remove(&page);
        if let Some((commit, image)) = &held {
            self.known.keep(page, *commit, image);
        }
        self.content(held, page, self.limit, base).map(Some)
    }

    /// Everything that leads to `page`, in order.
    fn needed(&mut self, page: u32, control: &Control) -> Result<BTreeMap<(u64, u32), Needed>> {
        let mut found: BTreeMap<(u64, u32), Needed> = BTreeMap::new();
        let mut bytes = 0;
        // Each is a page, the commit before which it is needed, and the last group that may have written it.
        let mut wanted = vec![(page, self.limit + 1, u32::MAX)];
        while let Some((number, mut until, mut group)) = wanted.pop() {
            'back: while let Some(place) = self.writers.last(number, group)? {
                control.check()?;
                let mut steps = self.steps(&place, number)?;
                while let Some(step) = steps.pop() {
                    let commit = step.commit;
                    if commit >= until {
                        continue;
                    }
                    if self.writers.is_cut(number, commit, until - 1) || found.contains_key(&(commit, number)) {
                        break 'back;
                    }
                    if let Some(image) = self.known.get(number, commit) {
                        found.insert((commit, number), Needed::Known(image));
                        break 'back;
                    }
                    let others = page::others(step.encoding, &step.bytes).ok_or_else(|| unfit(commit, number))?;
                    wanted.extend(others.into_iter().map(|other| (other, commit, place.number)));
                    let is_first = page::stands_alone(step.encoding) || number > step.count_before;
                    until = commit;
                    bytes += step.bytes.len();
                    found.insert((commit, number), Needed::Step(step));
                    if found.len() > STEPS_MAX || bytes > STEPS_BYTES_MAX || wanted.len() > STEPS_MAX {
                        return Err(self.too_much(page));
                    }
                    if is_first {
                        break 'back;
                    }
                }
                match place.number.checked_sub(1) {
                    Some(earlier) => group = earlier,
                    None => break,
                }
            }
        }
        Ok(found)
    }

    /// What the records of a group that count have of a page, the oldest first.
    fn steps(&mut self, place: &Place, page: u32) -> Result<Vec<Step>> {
        let Some((_, first, last)) = self.writers.logs.get(place.log as usize) else { return Ok(Vec::new()) };
        let counts = *first..=*last;
        if place.length > self.large_from && place.records == 1 {
            return self.step_of_large(place, page).map(|step| step.into_iter().collect());
        }
        self.read += place.length;
        let reader = self.reader(place.log)?;
        let mut steps = Vec::new();
        if !reader.go_to(&place.group())? {
            return Err(damaged(reader, place.offset));
        }
        for _ in 0..place.records {
            let count_before = reader.tail().page_count;
            let Some(record) = reader.next_record()? else { return Err(damaged(reader, place.offset)) };
            let commit = record.head.commit;
            if record.block != place.offset {
                return Err(changed(reader));
            }
            if counts.contains(&commit) {
                reader.pages(&record, &mut |entry| {
                    if entry.page == page {
                        if steps.last().is_some_and(|step: &Step| step.commit == commit) {
                            return Err(unfit(commit, page));
                        }
                        steps.push(Step::of(commit, count_before, &entry));
                    }
                    Ok(())
                })?;
            }
        }
        Ok(steps)
    }

    /// What a large record has of a page.
    fn step_of_large(&mut self, place: &Place, page: u32) -> Result<Option<Step>> {
        if !self.large.contains_key(&place.number) {
            self.read += place.length;
            let reader = self.reader(place.log)?;
            if !reader.go_to(&place.group())? {
                return Err(damaged(reader, place.offset));
            }
            let count_before = reader.tail().page_count;
            let Some(record) = reader.next_record()? else { return Err(damaged(reader, place.offset)) };
            let mut located = Sorted::new(LOCATED);
            reader.pages_with_places(&record, &mut |entry, at| {
                let length = u32::try_from(entry.bytes.len()).unwrap_or(u32::MAX);
                located.add(Located { page: entry.page, length, encoding: entry.encoding, hash: entry.hash, at })
            })?;
            located.rest(LOCATED_FEW)?;
            if self.large.len() >= LARGE_KEPT {
                self.large.clear();
            }
            self.large.insert(place.number, Large { commit: record.head.commit, count_before, located });
        }
        let Some(large) = self.large.get(&place.number) else { return Ok(None) };
        let found = large.located.last_below(u64::from(page) + 1)?.filter(|located| located.page == page);
        let Some(located) = found else { return Ok(None) };
        let (commit, count_before) = (large.commit, large.count_before);
        let bytes = self.reader(place.log)?.bytes(located.at, located.length as usize)?.to_vec();
        self.read += bytes.len() as u64;
        Ok(Some(Step { commit, count_before, encoding: located.encoding, hash: located.hash, bytes }))
    }

    fn reader(&mut self, log: u32) -> Result<&mut LogReader> {
        if !self.readers.contains_key(&log) {
            let Some((path, ..)) = self.writers.logs.get(log as usize) else { return Err(too_few_logs()) };
            let mut reader = LogReader::open(path)?;
            reader.read_little();
            if self.readers.len() >= OPEN_MAX {
                self.readers.clear();
            }
            self.readers.insert(log, reader);
        }
        self.readers.get_mut(&log).ok_or_else(too_few_logs)
    }

    /// The page after a record, from what it and others were before.
    fn decode(
        &mut self,
        number: u32,
        step: &Step,
        (now, before): (&HashMap<u32, Held>, &HashMap<u32, Option<Held>>),
        base: &mut ReadBase<'_>,
    ) -> Result<Image> {
        let exists = number <= step.count_before;
        let was = step.commit.saturating_sub(1);
        let mut image = match exists && !page::stands_alone(step.encoding) {
            true => self.content(now.get(&number).cloned(), number, was, base)?.as_ref().clone(),
            false => vec![0; self.page_size],
        };
        let (mut failed, mut used) = (None, Vec::new());
        let mut content_before = |other: u32| {
            if other == 0 || other > step.count_before {
                return None;
            }
            let held = before.get(&other).cloned().unwrap_or_else(|| now.get(&other).cloned());
            used.extend(held.clone().map(|(commit, image)| (other, commit, image)));
            match self.content(held, other, was, base) {
                Ok(image) => Some(image.as_ref().clone()),
                Err(error) => {
                    failed = Some(error);
                    None
                }
            }
        };
        let decoded = page::decode(step.encoding, &step.bytes, exists, &mut image, &mut content_before);
        if let Some(error) = failed {
            return Err(error);
        }
        // Neighbours hang on the same ones.
        used.iter().for_each(|(other, commit, image)| self.known.keep(*other, *commit, image));
        if decoded.is_none() || page_hash(&image) != step.hash {
            return Err(unfit(step.commit, number));
        }
        Ok(Arc::new(image))
    }

    /// What a page holds after the commit `at`, where the last entry before led to `held`.
    fn content(&self, held: Option<Held>, page: u32, at: u64, base: &mut ReadBase<'_>) -> Result<Image> {
        // It came into being without an entry: SQLite never reads it.
        let blank = || Ok(Arc::new(vec![0; self.page_size]));
        match held {
            Some((commit, image)) if !self.writers.is_cut(page, commit, at) => Ok(image),
            Some(_) => blank(),
            None if page > self.base_count || self.writers.is_cut(page, 0, at) => blank(),
            None => base(page).map(Arc::new),
        }
    }

    fn too_much(&self, page: u32) -> Error {
        let message = format!("page {page} hangs on more of the logs than can be read for it alone");
        Error::new(ErrorKind::Refused, message).hint("Restore up to that moment into another folder, and look there.")
    }
}

fn too_few_logs() -> Error {
    Error::new(ErrorKind::NotFound, "a log is not there any more").hint("Start again.")
}

fn damaged(reader: &LogReader, at: u64) -> Error {
    Error::new(ErrorKind::Damaged, format!("the log {} is damaged at byte {at}", shown(reader.path())))
        .hint("With its recovery data beside it, a restore repairs it by itself. Check that disk.")
}

fn unfit(commit: u64, page: u32) -> Error {
    let message =
        format!("commit {commit} does not fit what it goes on from: page {page} is not what the log was made against");
    Error::new(ErrorKind::Damaged, message)
        .hint("The archive and the log do not belong together, or one is damaged. Name another archive.")
}

#[cfg(test)]
mod tests;
