//! When a page is recorded whole again: a **key**.
//!
//! A patch is of use only where everything is there that led to what it changes. So a page that is patched again and
//! again is recorded whole from time to time: then no page hangs on more than that many entries, a page as it was after
//! a commit is read from few of them, and what a lost block took from a page does not last for ever.
//!
//! What it costs was measured (`tests/commit_log/log_size.rs`): one record of a page of 4 KiB, updated again and again,
//! costs 84 bytes a commit, of which 8 are for the whole page after every 255 patches; 16 at most, where it does not
//! compress. Of 50,000 records updated by chance no page comes so far. After 128 patches it would be twice as much, and
//! after 1,024 a page that changes every few seconds hangs on hours. Large patches count by their bytes: one more page
//! after 8 pages of them is an eighth at most.

use super::page;

/// A page is recorded whole after so many patches.
const PATCHES_MAX: u8 = u8::MAX;
/// Or after patches of so many times its size.
const PAGES_MAX: usize = 8;
/// Bytes are counted in units of so many: few bits for each page that was changed.
const UNIT: usize = 16;

/// What was recorded of a page since it was recorded whole, or since the base of the log.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Since {
    /// In bytes, so that it fits into what is kept of a page without making it longer.
    units: [u8; 2],
    patches: u8,
}

impl Since {
    /// After one more entry.
    pub(super) fn after(self, encoding: u8, length: usize) -> Self {
        if page::is_whole(encoding) {
            return Self::default();
        }
        let units = u16::try_from(length.div_ceil(UNIT)).unwrap_or(u16::MAX);
        self.and(Self { units: units.to_le_bytes(), patches: 1 })
    }

    /// After what `later` stands for as well.
    pub(super) fn and(self, later: Self) -> Self {
        let units = self.units().saturating_add(later.units());
        Self { units: units.to_le_bytes(), patches: self.patches.saturating_add(later.patches) }
    }

    /// Whether the next entry is to be the whole page.
    pub(super) fn is_due(self, page_size: usize) -> bool {
        self.patches == PATCHES_MAX || usize::from(self.units()) * UNIT >= PAGES_MAX * page_size
    }

    fn units(self) -> u16 {
        u16::from_le_bytes(self.units)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_is_due_after_many_patches_or_large_ones() {
        let patched =
            |count: usize, length: usize| (0..count).fold(Since::default(), |since, _| since.after(2, length));
        assert_eq!([254, 255, 300].map(|count| patched(count, 3).is_due(4096)), [false, true, true]);
        assert_eq!([15, 16].map(|count| patched(count, 2048).is_due(4096)), [false, true]);
        assert_eq!([31, 32].map(|count| patched(count, 16384).is_due(65536)), [false, true]);
        assert!(!patched(300, 3).after(0, 4096).is_due(4096) && !patched(300, 3).after(1, 900).is_due(4096));
        assert!(patched(200, 3).and(patched(55, 3)).is_due(4096));
    }
}
