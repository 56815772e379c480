//! What the machine of the pins is told, and what it says.

use std::time::Duration;

use crate::sqlite::wal_index::WalPosition;

/// What a checkpoint reports.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(in crate::journal) struct Checkpoint {
    /// Another connection holds the checkpoint lock.
    pub(in crate::journal) busy: bool,
    /// Valid frames of the WAL.
    pub(in crate::journal) frames: u32,
    /// How many of them are in the data file.
    pub(in crate::journal) backfilled: u32,
}

/// What the machine is told: what is to be done, when nothing is; and the answer to what it asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(in crate::journal) enum Event {
    /// Take a first pin, from which the logged place is looked for.
    Start,
    /// Look for commits and log them.
    Look,
    /// Log everything up to the snapshot of a backup, and nothing beyond.
    Cut(Option<WalPosition>),
    /// See whether a checkpointer of the application waits for a pin.
    Probe,
    /// Bring the data file up to date: there was nothing to read for a while.
    Tidy,
    /// Leave the data file as if nobody had it open.
    Rest,
    /// The log cannot be written. Whether the WAL is longer than it may become meanwhile.
    Stall { is_full: bool },
    /// Nothing is protected by the pins any more.
    LetGo,

    /// It was done.
    Done,
    /// It could not be done.
    Failed,
    /// The pin that was taken stands there; nowhere before an empty WAL.
    Taken(Option<WalPosition>),
    /// Whether it is so, or was done.
    Answer(bool),
    /// How far a checkpoint came.
    Copied(Checkpoint),
    /// What the threads beside the capture do.
    Beside { is_shut: bool, is_copying: bool },
    /// SQLite's counter of commits; `None` when it was not done, or is not so.
    Counter(Option<u32>),
}

/// What the machine wants done without an answer. It cannot fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(in crate::journal) enum Order {
    /// End the read transaction of that number, counted from the oldest.
    Release(usize),
    LetWritersIn,
    /// The size of the WAL need not be watched any more.
    WatchNoMore,
    /// Everything is captured and in the data file, or nobody has written since: note how it is.
    NoteSettled,
    /// Whether a reader of another program keeps the WAL from beginning anew.
    NoteHeldBack(bool),
    /// The WAL was left empty.
    NoteEmptied,
}

/// What the machine wants done, and to be told of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(in crate::journal) enum Ask {
    /// Begin a further read transaction. `plain` takes lock 0 where everything is in the data file, and so allows a
    /// restart of the WAL; otherwise a lock is taken that forbids it.
    Take {
        plain: bool,
    },
    /// SQLite's counter of commits, while the WAL is still empty: a pin before an empty WAL does not tell it.
    CountCommits,
    /// See that nobody has written to the data file past SQLite.
    IsUnwritten,
    /// See that nobody has put another WAL in the place of an empty one.
    IsOwnWal,
    /// See that everything that is open is what the paths name.
    Compare,
    /// Log every commit up to there, where the newest pin or the snapshot of a backup stands; synced when it is done.
    Absorb(WalPosition),
    LookBeside,
    /// Keep writers out; try it for so long. They are let in when it is time, whether or not that is ordered.
    LockWriters(Duration),
    /// The same where nobody else has the data file open.
    LockAtRest(Duration),
    /// Copy frames into the data file as far as all pins allow, stopping nobody.
    Checkpoint,
    /// Only look how far checkpoints have come.
    HowFar,
    /// Begin to copy beside the capture.
    CopyBehind,
    /// Have the disk hold the WAL.
    SyncWal,
    /// Watch the size of the WAL, of which so many frames are logged.
    Watch(u32),
    Pause(Duration),
    /// Whether no other program has the data file open.
    IsAlone,
    /// Leave the WAL empty, when everything is in the data file and no reader needs it.
    EmptyWal,
    /// While the WAL is empty and writers are kept out: have its index forget how long the data file is.
    ForgetPageCount,
}

/// Where the first pin stands; before an empty WAL, SQLite's counter of commits there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(in crate::journal) enum First {
    At(WalPosition),
    Empty(u32),
}

impl First {
    pub(in crate::journal) fn position(&self) -> Option<WalPosition> {
        match self {
            Self::At(at) => Some(*at),
            Self::Empty(_) => None,
        }
    }
}

/// What came of what was to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(in crate::journal) enum Outcome {
    /// There was nothing to do, or it cannot be done now.
    Nothing,
    /// There were commits, and they are logged; or what was wanted is done.
    Worked,
    /// The first pin stands there.
    Standing(First),
    /// What failed is to be tried again.
    Failed,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(in crate::journal) enum Then {
    Ask(Ask),
    End(Outcome),
}

/// What to do next: the orders one after the other, then the question.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(in crate::journal) struct Actions {
    pub(in crate::journal) orders: Vec<Order>,
    pub(in crate::journal) then: Then,
}
