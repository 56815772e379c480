//! The road of a frame from the WAL to the log: commits are read, verified, encoded against what the pages held before,
//! written and synced.

use super::{
    follow::{Follower, Trouble},
    format::{Entry, RecordHead, RecordKind, page_hash},
    late::Late,
    page,
    pages::Latest,
    pin_machine::{First, Place},
    table::{Known, Logged},
};
use crate::{
    error::{Error, ErrorKind, Result, foreign::shown},
    sqlite::{
        ffi,
        wal::{WalCommit, WalFile, WalMark},
        wal_index::WalPosition,
    },
};

/// Commits and bytes after which a long stretch is synced.
const SYNC_COMMITS: u32 = 2_000;
const SYNC_BYTES: u64 = 16 << 20;

/// What the WAL holds up to a pin.
#[derive(Debug, Default)]
pub(super) struct Index {
    /// The last frame of every page up to the pin.
    pub(super) latest: Latest,
    /// The same up to the logged place, when the WAL still holds it as it was read.
    pub(super) at_mark: Option<Latest>,
}

impl Follower {
    /// Logs every commit up to `to`, which a held transaction vouches for.
    pub(super) fn absorb(&mut self, to: &WalPosition) -> Result<(), Trouble> {
        // The pin was taken before this look: what it sees was committed to the files that were opened.
        self.compare(false)?;
        self.absorb_compared(to)
    }

    pub(super) fn absorb_compared(&mut self, to: &WalPosition) -> Result<(), Trouble> {
        self.settled = None;
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
            self.pages.revert();
            self.kept.revert();
        }
        outcome
    }

    fn absorb_from(&mut self, wal: &mut WalFile, to: &WalPosition) -> Result<(), Trouble> {
        let mut is_late_told = false;
        let place = *self.machine.place();
        if !place.is_in_generation_of(to) {
            // A restarted WAL: every commit since must be in it, or one was missed.
            let mut cursor = wal.cursor(&WalMark::default(), to)?;
            let mut count = 0u32;
            while cursor.next_commit(wal)?.is_some() {
                self.let_writers_in_when_due();
                count += 1;
            }
            if place.are_all(count, to) != Some(true) {
                let expected = place.commits_until(to);
                let message = format!(
                    "the WAL of {} was restarted: {expected} commits were made, {count} can be read",
                    self.path.display()
                );
                return Err(Trouble::Chain(
                    Error::new(ErrorKind::Damaged, message)
                        .hint("The data file is compared as a whole; only the single steps in between are unknown."),
                ));
            }
            if !self.pages.are_of(to.salts) {
                self.pages.begin_generation(to.salts);
            }
        }
        let mut cursor = wal.cursor(&place.mark, to)?;
        let mut counter = place.mark.change_counter;
        let mut count = 0u32;
        while let Some(commit) = cursor.next_commit(wal)? {
            self.let_writers_in_when_due();
            count += 1;
            counter = counter.wrapping_add(1);
            let mark = WalMark {
                salts: to.salts,
                frame: commit.last_frame,
                checksum: commit.checksum,
                change_counter: counter,
            };
            if !is_late_told && let Some(from) = self.known.late() {
                is_late_told = true;
                let commits = 1 + count_from(wal, &mark, to)?;
                self.writer.note_late(&Late { from, commits }).map_err(Trouble::Log)?;
            }
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
                "an older SQLite writes frames without a checksum to the WAL of {}; they are logged as its readers see \
                 them",
                shown(&self.path)
            );
        }
        if place.are_all(count, to) == Some(false) {
            self.recoveries += 1;
        }
        self.machine.take_counter(to);
        Ok(())
    }

    fn sync(&mut self) -> Result<(), Trouble> {
        self.pins.between_steps()?;
        self.writer.sync().map_err(Trouble::Log)?;
        self.pages.mark();
        self.kept.synced();
        self.machine.logged(self.writer.logged().mark);
        Ok(())
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
            // From time to time whole, so that not everything hangs on all that came before.
            let since = self.pages.since(page);
            let is_key = version > 1 && since.is_due(self.image.len());
            let previous = patched.then_some(self.before.as_slice()).filter(|_| !is_key);
            let mut encoding = self.encoder.encode(version, previous, &self.image, &mut self.encoded);
            // What does not compress at all is no part of what another page held.
            let is_worth_it = self.encoded.len() > self.image.len() / 16 && encoding != page::WHOLE;
            if group.len() > usize::from(patched) && is_worth_it && !is_key {
                let others = group.iter().filter(|other| other.0 != page);
                let others: Vec<(u32, &[u8])> = others.map(|(page, content)| (*page, content.as_slice())).collect();
                let among = page::encode_among(previous, &others, &self.image, &mut self.encoded);
                encoding = among.unwrap_or(encoding);
            }
            let hash = page_hash(&self.image);
            self.writer.page(&Entry { page, encoding, hash, bytes: &self.encoded })?;
            self.kept.change((&self.pages, self.table.as_ref()), page, hash);
            let since = since.after(encoding, self.encoded.len());
            self.pages.write(page, frame, Some(Logged { hash, since }));
        }
        if commit.page_count < count_before {
            self.kept.cut_off((&self.pages, self.table.as_ref()), commit.page_count);
            self.pages.cut(commit.page_count);
        }
        self.writer.end_with(self.kept.now())?;
        for &(page, frame) in commit.pages.iter().filter(|p| p.0 > commit.page_count) {
            self.pages.write(page, frame, None);
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

    /// Reads into `self.before` what `page` held, and whether that is what the log and its base yield there.
    ///
    /// It is not for a page that came into being without a frame, allocated and freed in one transaction: SQLite does
    /// not care what it holds, and that can change with a checkpoint. Nor is it when the base has no page table.
    fn is_known(&mut self, wal: &WalFile, page: u32) -> Result<bool> {
        let hash = match (self.pages.hash(page), &self.table) {
            (Some(hash), _) => Some(hash),
            (None, Some(table)) if self.pages.is_of_base(page) => match table.at(page) {
                Ok(hash) => hash,
                // Nothing hangs on it: without a table a page is recorded whole when it first changes.
                Err(error) => {
                    tracing::warn!("{}; it is not used any more", error.message());
                    self.table = None;
                    None
                }
            },
            (None, _) => None,
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
        match self.pages.frame(page) {
            Some(frame) => wal.image(frame, &mut self.before),
            None => {
                let offset = u64::from(page - 1) * u64::from(self.page_size);
                ffi::read_file(self.pins.connection()?, &self.path, offset, &mut self.before)
            }
        }
    }

    /// Notes that everything up to `to` is in the log by other means than reading its commits.
    pub(super) fn stand_at(&mut self, first: &First, latest: Latest) {
        self.stand(Place::of(first), latest);
        self.settled = None;
    }

    /// Reads the WAL up to `to`, verifying every frame.
    pub(super) fn index(&mut self, to: &WalPosition) -> Result<Index, Trouble> {
        let mut index = Index::default();
        if to.frame_max == 0 {
            return Ok(index);
        }
        let mut wal = WalFile::open(&self.path, self.page_size)?;
        let mut cursor = wal.cursor(&WalMark::default(), to)?;
        let mark = self.machine.place().mark;
        let candidate = to.salts == mark.salts && to.frame_max >= mark.frame;
        while let Some(commit) = cursor.next_commit(&mut wal)? {
            index.latest.extend(commit.pages.iter().copied());
            if candidate && commit.last_frame == mark.frame && commit.checksum == mark.checksum {
                index.at_mark = Some(index.latest.clone());
            }
        }
        self.wal = Some(wal);
        Ok(index)
    }

    /// Resumes at the logged place, which `index` has found in the WAL.
    pub(super) fn resume(&mut self, latest: Latest) {
        self.stand(Place::new(self.machine.place().mark), latest);
    }

    fn stand(&mut self, place: Place, latest: Latest) {
        self.pages.find(place.mark.salts, latest);
        self.held_back = None;
        self.machine.stand(place);
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

/// How many commits the WAL holds after `mark`, up to `to`.
fn count_from(wal: &mut WalFile, mark: &WalMark, to: &WalPosition) -> Result<u64> {
    let (mut cursor, mut count) = (wal.cursor(mark, to)?, 0);
    while cursor.next_commit(wal)?.is_some() {
        count += 1;
    }
    Ok(count)
}
