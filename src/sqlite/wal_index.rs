//! The WAL-index as SQLite lays it out in shared memory (`WalIndexHdr` and `WalCkptInfo` of `wal.c`), and what it says.
//! How its words are read and written is in [`ffi`](super::ffi).

/// Words of the header of the WAL-index, `WalIndexHdr` of `wal.c`, which stands there twice.
pub(super) const INDEX_HEADER_WORDS: usize = 12;
/// Of them, the counter of changes, the number of valid frames, the number of pages, and the checksum over those
/// before.
pub(super) const CHANGE_COUNTER: usize = 2;
pub(super) const FRAME_MAX: usize = 4;
pub(super) const PAGE_COUNT: usize = 5;
pub(super) const CHECKSUM: usize = 10;
/// Size of the first region of the WAL-index (`WALINDEX_PGSZ`).
pub(super) const INDEX_REGION: i32 = 32_768;
/// Words after both copies of the header, `WalCkptInfo` of `wal.c`: how many frames are in the data file, the marks of
/// the readers, and up to which frame a checkpoint was begun.
pub(super) const BACKFILLED: usize = 2 * INDEX_HEADER_WORDS;
pub(super) const READ_MARKS: usize = BACKFILLED + 1;
pub(super) const READERS: usize = 5;
pub(super) const BACKFILL_BEGUN: usize = 32;
/// The first of the salts, and how a mark reads that nobody uses (`READMARK_NOT_USED`).
pub(super) const SALTS: usize = 8;
pub(super) const NOT_USED: u32 = u32::MAX;

/// The header of the WAL-index, in words as they are in memory.
pub(super) type Header = [u32; INDEX_HEADER_WORDS];

/// SQLite's checksum over the header of the WAL-index up to the checksum itself, in words as they are in memory.
pub(super) fn index_checksum(header: &Header) -> [u32; 2] {
    let (mut a, mut b) = (0u32, 0u32);
    for pair in header[..CHECKSUM].chunks_exact(2) {
        a = a.wrapping_add(pair[0]).wrapping_add(b);
        b = b.wrapping_add(pair[1]).wrapping_add(a);
    }
    [a, b]
}

/// Where in the WAL a read transaction stands: SQLite's `WalIndexHdr`, as `sqlite3_snapshot_get` returns it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct WalPosition {
    /// Raised by one for every commit; the proof that none was missed.
    pub change_counter: u32,
    /// Page size in bytes.
    pub page_size: u32,
    /// Number of the last valid frame, counted from 1; 0 when the WAL holds nothing.
    pub frame_max: u32,
    /// Size of the data file at this commit, in pages.
    pub page_count: u32,
    /// Running checksum of the last frame.
    pub checksum: [u32; 2],
    /// Salts of this generation of the WAL, as in its file header (big-endian bytes).
    pub salts: [u32; 2],
    /// Whether the checksums of the WAL are computed over big-endian words.
    pub big_endian_checksum: bool,
}

impl WalPosition {
    /// Decodes SQLite's `WalIndexHdr`: native-endian words, salts as they stand in the file.
    pub(super) fn from_header(bytes: &[u8; 48]) -> Option<Self> {
        let word = |at: usize| u32::from_ne_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]);
        let size = u32::from(u16::from_ne_bytes([bytes[14], bytes[15]]));
        Some(Self {
            change_counter: word(8),
            // 64 KiB does not fit the field: SQLite stores it as 1.
            page_size: (size & 0xfe00) + ((size & 1) << 16),
            frame_max: word(16),
            page_count: word(20),
            checksum: [word(24), word(28)],
            salts: [word(32).to_be(), word(36).to_be()],
            big_endian_checksum: bytes[13] != 0,
        })
    }
}

/// How far SQLite has copied the WAL into the data file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backfill {
    /// Salts of this generation of the WAL, as they are in memory.
    salts: [u32; 2],
    /// Valid frames.
    frames: u32,
    /// Frames that are in the data file.
    done: u32,
    /// Up to which frame copying was begun.
    begun: u32,
    /// Raised by one for every commit; begins anew when the index was made anew.
    changes: u32,
}

impl Backfill {
    /// As a whole header and the words behind it have it: how many frames are in the data file, and up to which one
    /// copying was begun.
    pub(super) fn of(header: &Header, done: u32, begun: u32) -> Self {
        let (salts, frames) = ([header[SALTS], header[SALTS + 1]], header[FRAME_MAX]);
        Self { salts, frames, done, begun, changes: header[CHANGE_COUNTER] }
    }

    /// Whether as much is in the data file as at `other`.
    pub fn is_as_far_as(self, other: Self) -> bool {
        (self.salts, self.done) == (other.salts, other.done)
    }

    /// Whether a WAL that begins with `header` is the one that the index is about, or the one before it.
    pub fn knows(self, header: &[u8; 32]) -> bool {
        let word = |at: usize| u32::from_be_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]]);
        let own = self.salts.map(u32::from_be);
        (word(16), word(20)) == (own[0], own[1]) || word(16).wrapping_add(1) == own[0]
    }

    /// Whether SQLite may have copied the same frames once more since `before`: an index that was found half written is
    /// made anew from the WAL, as if nothing of that had been copied, and counts commits from the beginning. `commits`
    /// counts those of a stretch of the WAL, from after a frame up to another one.
    pub fn is_made_anew_since(self, before: Self, commits: impl FnOnce(u32, u32) -> Option<u32>) -> bool {
        self.done > 0
            && (self.frames < before.frames
                || commits(before.frames, self.frames) != Some(self.changes.wrapping_sub(before.changes)))
    }

    /// Whether a file of `length` bytes that begins with `header` can be the WAL that the index is about: it has its
    /// salts and all its frames. Everything is, where there are none.
    pub fn is_in(self, header: &[u8; 32], length: u64) -> bool {
        let word = |at: usize| u32::from_be_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]]);
        let own = self.salts.map(u32::from_be);
        let needed = 32 + u64::from(self.frames) * (24 + u64::from(word(8)));
        self.frames == 0 || (word(16), word(20)) == (own[0], own[1]) && length >= needed
    }

    /// Whether the WAL holds no frame that counts.
    pub fn is_empty(self) -> bool {
        self.frames == 0
    }

    /// SQLite's counter of commits, when the WAL holds no frame that counts.
    pub fn counter_when_empty(self) -> Option<u32> {
        self.is_empty().then_some(self.changes)
    }

    /// Whether nothing is just being copied, by anybody.
    pub fn is_quiet(self) -> bool {
        self.done == self.begun
    }
}
