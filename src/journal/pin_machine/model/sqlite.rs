//! The WAL of SQLite as programs share it: frames, read marks and locks, after `wal.c`. Each commit is one frame.
#![cfg(test)]

use crate::sqlite::wal_index::WalPosition;

/// Read marks 1 to 3: SQLite has one more, which would only make what is shared here rarer.
pub(super) const SLOTS: usize = 3;
/// No lock at all.
pub(super) const NONE: usize = usize::MAX;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Who {
    Writer,
    Gate,
    Checkpointer,
    Copier,
    Ours,
}

/// A read transaction: its lock, and what it sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Reader {
    pub(super) slot: usize,
    pub(super) salt: u8,
    pub(super) frames: u8,
    /// Commits that it sees.
    pub(super) commits: u8,
    counter: u8,
}

impl Reader {
    /// As `sqlite3_snapshot_get` tells it: nothing before an empty WAL.
    pub(super) fn position(&self) -> Option<WalPosition> {
        (self.frames > 0).then(|| WalPosition {
            change_counter: u32::from(self.counter),
            page_size: 1024,
            frame_max: u32::from(self.frames),
            page_count: 1,
            checksum: [u32::from(self.commits), 7],
            salts: [u32::from(self.salt), 1],
            big_endian_checksum: false,
        })
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Mode {
    Passive,
    Full,
    Restart,
    Truncate,
}

/// Where a checkpoint stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum At {
    Write,
    Slot(usize),
    /// Waiting for the slot, which had that mark when it was looked at.
    Held(usize, u8),
    Zero,
    Copying,
    Readers,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Run {
    pub(super) who: Who,
    mode: Mode,
    /// Whether its busy handler goes on waiting.
    waits: bool,
    at: At,
    /// Up to where it copies.
    safe: u8,
    frames: u8,
}

/// How a checkpoint goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Progress {
    Moved,
    /// Somebody holds what it waits for.
    Waits,
    Ended,
    /// It has begun the WAL anew.
    Restarted,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Wal {
    pub(super) salt: u8,
    pub(super) frames: u8,
    pub(super) backfill: u8,
    /// Commits in all.
    pub(super) commits: u8,
    pub(super) counter: u8,
    marks: [Option<u8>; SLOTS + 1],
    /// How many hold each read lock.
    held: [u8; SLOTS + 1],
    pub(super) write: Option<Who>,
    pub(super) checkpoint: Option<Who>,
}

impl Wal {
    pub(super) fn new() -> Self {
        let (marks, held) = ([None; SLOTS + 1], [0; SLOTS + 1]);
        Self { salt: 1, frames: 0, backfill: 0, commits: 0, counter: 0, marks, held, write: None, checkpoint: None }
    }

    fn reader(&mut self, slot: usize) -> Reader {
        self.held[slot] += 1;
        Reader { slot, salt: self.salt, frames: self.frames, commits: self.commits, counter: self.counter }
    }

    /// `walTryBeginRead`. `uses_wal` forbids lock 0, except before an empty WAL. None when all locks are taken.
    pub(super) fn read(&mut self, uses_wal: bool) -> Option<Reader> {
        if self.backfill == self.frames && (!uses_wal || self.frames == 0) {
            return Some(self.reader(0));
        }
        self.read_slot()
    }

    fn read_slot(&mut self) -> Option<Reader> {
        let usable = |n: &usize| self.marks[*n].is_some_and(|mark| mark <= self.frames);
        let newest = (1..=SLOTS).filter(usable).max_by_key(|n| (self.marks[*n], *n));
        let slot = match newest {
            Some(n) if self.marks[n] == Some(self.frames) => n,
            shared => {
                let free = (1..=SLOTS).find(|n| self.held[*n] == 0);
                if let Some(n) = free {
                    self.marks[n] = Some(self.frames);
                }
                free.or(shared)?
            }
        };
        Some(self.reader(slot))
    }

    pub(super) fn end_read(&mut self, reader: Reader) {
        if reader.slot != NONE {
            self.held[reader.slot] -= 1;
        }
    }

    pub(super) fn are_slots_free(&self) -> bool {
        self.held[1..].iter().all(|held| *held == 0)
    }

    /// `walRestartHdr`.
    fn restart(&mut self) {
        // The salts of an empty WAL are nowhere remembered.
        self.salt += u8::from(self.frames > 0);
        (self.frames, self.backfill) = (0, 0);
        self.marks = [None; SLOTS + 1];
        self.marks[1] = Some(0);
    }

    /// A writer begins, and restarts the WAL where it may (`walRestartLog`). Whether it did; None when it has to wait.
    pub(super) fn begin_write(&mut self, who: Who) -> Option<(Reader, bool)> {
        if self.write.is_some() {
            return None;
        }
        let mut reader = self.read(false)?;
        let mut restarts = false;
        if reader.slot == 0 {
            restarts = self.backfill > 0 && self.are_slots_free();
            if restarts {
                self.restart();
            }
            self.end_read(reader);
            reader = self.read_slot()?;
        }
        self.write = Some(who);
        Some((reader, restarts))
    }

    pub(super) fn commit(&mut self, reader: Reader) {
        self.frames += 1;
        self.commits += 1;
        self.counter += 1;
        self.end_write(reader);
    }

    pub(super) fn end_write(&mut self, reader: Reader) {
        self.write = None;
        self.end_read(reader);
    }

    /// Keeps writers out without writing.
    pub(super) fn lock(&mut self, who: Who) -> Option<Reader> {
        let reader = if self.write.is_none() { self.read(false) } else { None };
        self.write = self.write.or(reader.map(|_| who));
        reader
    }

    /// None when another checkpoint is under way.
    pub(super) fn begin_checkpoint(&mut self, who: Who, mode: Mode) -> Option<Run> {
        if self.checkpoint.is_some() {
            return None;
        }
        self.checkpoint = Some(who);
        let (waits, frames) = (mode != Mode::Passive, self.frames);
        let at = if waits { At::Write } else { At::Slot(1) };
        let mut run = Run { who, mode, waits, at, safe: frames, frames };
        if !waits {
            self.scan(&mut run);
        }
        Some(run)
    }

    /// A checkpoint without the write lock looks at all read marks at once: the WAL may begin anew beside it, which
    /// SQLite sees to.
    fn scan(&mut self, run: &mut Run) {
        while run.at != At::Copying && run.at != At::Readers {
            self.advance(run);
        }
    }

    /// The next step of a checkpoint.
    pub(super) fn advance(&mut self, run: &mut Run) -> Progress {
        match run.at {
            At::Write if self.write.is_none() => {
                self.write = Some(run.who);
                (run.safe, run.frames) = (self.frames, self.frames);
                run.at = At::Slot(1);
            }
            At::Slot(n) if n > SLOTS => run.at = if self.backfill < run.safe { At::Zero } else { At::Readers },
            At::Slot(n) => match self.marks[n].filter(|mark| *mark < run.safe) {
                None => run.at = At::Slot(n + 1),
                Some(mark) if self.held[n] > 0 && run.waits => run.at = At::Held(n, mark),
                Some(mark) if self.held[n] > 0 => (run.safe, run.at) = (mark, At::Slot(n + 1)),
                Some(_) => self.pass(run, n),
            },
            At::Held(n, _) if self.held[n] == 0 => self.pass(run, n),
            At::Zero if self.held[0] == 0 => run.at = At::Copying,
            At::Zero if !run.waits => run.at = At::Readers,
            At::Copying => (self.backfill, run.at) = (run.safe, At::Readers),
            At::Readers => {
                let restarts = matches!(run.mode, Mode::Restart | Mode::Truncate) && self.backfill >= run.frames;
                if restarts && !self.are_slots_free() && run.waits {
                    return Progress::Waits;
                }
                let truncates = restarts && self.are_slots_free() && run.mode == Mode::Truncate;
                let is_news = truncates && self.frames > 0;
                if truncates {
                    self.restart();
                }
                self.end_checkpoint(run);
                return if is_news { Progress::Restarted } else { Progress::Ended };
            }
            At::Write | At::Held(..) | At::Zero => return Progress::Waits,
        }
        Progress::Moved
    }

    /// Whether a checkpoint waits for a slot that now has the newest mark, for which none would begin to wait.
    pub(super) fn has_retaken(&self, run: &Run) -> bool {
        matches!(run.at, At::Held(n, _) if self.marks[n] == Some(self.frames))
    }

    fn pass(&mut self, run: &mut Run, n: usize) {
        self.marks[n] = Some(run.safe).filter(|_| n == 1);
        run.at = At::Slot(n + 1);
    }

    /// Its busy handler gives up, or its program ends.
    pub(super) fn give_up(&mut self, run: &mut Run) {
        run.waits = false;
        match run.at {
            At::Write => {
                (run.mode, run.safe, run.frames) = (Mode::Passive, self.frames, self.frames);
                run.at = At::Slot(1);
                self.scan(run);
            }
            At::Held(n, mark) => (run.safe, run.at) = (mark, At::Slot(n + 1)),
            _ => {}
        }
    }

    pub(super) fn end_checkpoint(&mut self, run: &Run) {
        self.checkpoint = None;
        if self.write == Some(run.who) {
            self.write = None;
        }
    }

    /// The WAL is cut to nothing by us, where everything is in the data file and no reader needs it.
    pub(super) fn truncate(&mut self) -> bool {
        let can =
            self.backfill == self.frames && self.are_slots_free() && self.checkpoint.is_none() && self.write.is_none();
        if can {
            self.restart();
        }
        can
    }
}
