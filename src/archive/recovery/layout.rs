//! How recovery data lies over a file: blocks, chunks, groups, windows.
//!
//! ```text
//! file      blocks of B bytes, the last one filled up with zeros
//! chunk     m blocks in a row
//! window    the chunks between two places where recovery data is written; its chunks go to its groups in turn
//! group     the chunks g, g + G, g + 2G … of a window, and r recovery blocks made from them: any r of all may be lost
//! ```
//! Because chunks go to the groups in turn, a stretch of damage as long as all recovery data of a window takes no more
//! than r blocks from each group. Because r = m where there is more than one group, a chunk that is lost as a whole is
//! still one group's share.

use crate::archive::options::Rate;

/// Blocks of a chunk, and recovery blocks of a group, wherever the file is long enough.
pub const CHUNK_BLOCKS: u32 = 128;
/// No block is longer: a chunk then has 2 MiB.
pub const BLOCK_BYTES_MAX: u64 = 16 << 10;
/// No block is shorter: what a disk loses is at least a sector.
pub const BLOCK_BYTES_MIN: u64 = 1 << 10;
/// So that one short stretch of damage is repaired however small the file is.
const RECOVERY_BLOCKS_MIN: u64 = 4;
/// A chunk, a group with its recovery blocks, and a table have no more bytes than this, whatever a file from elsewhere
/// says: more than twice what the writer chooses. Repairing one takes a small multiple of that.
const CHUNK_BYTES_MAX: u64 = 4 << 20;
const GROUP_BYTES_MAX: u64 = 96 << 20;
const TABLE_BYTES_MAX: u64 = 32 << 20;

/// How recovery data lies over a file of a certain length.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Layout {
    /// Length in bytes of what is protected.
    pub length: u64,
    /// Length of a block in bytes, a multiple of 64.
    pub block_bytes: u32,
    /// Blocks of a chunk, a power of two.
    pub chunk_blocks: u32,
    /// Recovery blocks of a group; `chunk_blocks` where there is more than one group.
    pub recovery_blocks: u32,
    /// Number of windows.
    pub windows: u32,
    /// Groups of every window.
    pub groups: u32,
}

/// One block of recovery data for so many blocks of data.
fn share(redundancy: Rate) -> Option<u64> {
    match redundancy {
        Rate::None => None,
        Rate::Low => Some(20),
        Rate::Medium => Some(10),
        Rate::High => Some(4),
    }
}

/// Groups that are made at a time: that many times 2 MiB of memory, and all but one of them as the stretch repaired.
fn groups_max(interlacing: Rate) -> u64 {
    match interlacing {
        Rate::None => 9,
        Rate::Low => 33,
        Rate::Medium => 81,
        Rate::High => 161,
    }
}

impl Layout {
    /// The layout for `length` bytes; `None` where no recovery data is wanted, or there is nothing to protect.
    pub fn plan(length: u64, redundancy: Rate, interlacing: Rate) -> Option<Self> {
        let share = share(redundancy)?;
        Self::with(length, share, groups_max(interlacing), CHUNK_BLOCKS, (BLOCK_BYTES_MIN, BLOCK_BYTES_MAX))
    }

    /// The layout with one recovery block for `share` blocks, so many groups at a time at most, and blocks within
    /// limits.
    fn with(length: u64, share: u64, groups_max: u64, chunk: u32, (least, most): (u64, u64)) -> Option<Self> {
        let group = share * u64::from(chunk);
        if length == 0 {
            return None;
        }
        if length < group * least {
            let recovery = length.div_ceil(least).div_ceil(share).max(RECOVERY_BLOCKS_MIN) as u32;
            let chunk_blocks = recovery.next_power_of_two();
            let block_bytes = least as u32;
            return Some(Self { length, block_bytes, chunk_blocks, recovery_blocks: recovery, windows: 1, groups: 1 });
        }
        let groups = length.div_ceil(group * most);
        let windows = groups.div_ceil(groups_max);
        let groups = if windows == 1 { groups } else { groups_max };
        // The length of a block fits the file, so that no group is much smaller than it could be.
        let block_bytes = length.div_ceil(windows * groups * group).next_multiple_of(64) as u32;
        let (windows, groups) = (u32::try_from(windows).ok()?, groups as u32);
        Some(Self { length, block_bytes, chunk_blocks: chunk, recovery_blocks: chunk, windows, groups })
    }

    /// Whether numbers from a file make sense and can be worked with in bounded memory.
    pub fn is_sane(&self) -> bool {
        let (block, chunk) = (u64::from(self.block_bytes), u64::from(self.chunk_blocks));
        let sizes = (64..=1 << 20).contains(&block)
            && block.is_multiple_of(64)
            && (1..=1 << 14).contains(&chunk)
            && chunk.is_power_of_two()
            && (1..=chunk).contains(&u64::from(self.recovery_blocks))
            && (self.groups == 1 || self.recovery_blocks == self.chunk_blocks);
        if !sizes || self.length == 0 || self.windows == 0 || self.groups == 0 || self.groups > 1 << 14 {
            return false;
        }
        if self.length > 1 << 56 || u64::from(self.windows) > self.chunks() {
            return false;
        }
        let per_group = self.group_blocks_max();
        let table = self.chunks().div_ceil(u64::from(self.windows)) * chunk * super::table::ENTRY_BYTES as u64;
        let bounded = chunk * block <= CHUNK_BYTES_MAX && (per_group + chunk) * block <= GROUP_BYTES_MAX;
        per_group + chunk <= 1 << 16 && bounded && table <= TABLE_BYTES_MAX
    }

    /// Number of blocks.
    pub fn blocks(&self) -> u64 {
        self.length.div_ceil(u64::from(self.block_bytes))
    }

    /// Number of chunks.
    pub fn chunks(&self) -> u64 {
        self.blocks().div_ceil(u64::from(self.chunk_blocks))
    }

    /// Bytes of a whole chunk.
    pub fn chunk_bytes(&self) -> u64 {
        u64::from(self.chunk_blocks) * u64::from(self.block_bytes)
    }

    /// The chunks of a window.
    pub fn window_chunks(&self, window: u32) -> std::ops::Range<u64> {
        let edge = |n: u32| (u128::from(self.chunks()) * u128::from(n) / u128::from(self.windows)) as u64;
        edge(window)..edge(window + 1)
    }

    /// The blocks of a window.
    pub fn window_blocks(&self, window: u32) -> std::ops::Range<u64> {
        let chunks = self.window_chunks(window);
        let edge = |chunk: u64| (chunk * u64::from(self.chunk_blocks)).min(self.blocks());
        edge(chunks.start)..edge(chunks.end)
    }

    /// The window that a block lies in.
    pub fn window_of(&self, block: u64) -> u32 {
        let chunk = block / u64::from(self.chunk_blocks);
        let guess = (u128::from(chunk) * u128::from(self.windows) / u128::from(self.chunks())) as u32;
        let near = guess.saturating_sub(1)..self.windows.min(guess + 2);
        near.into_iter().find(|w| self.window_chunks(*w).contains(&chunk)).unwrap_or(guess)
    }

    /// The blocks of a chunk.
    pub fn chunk(&self, chunk: u64) -> std::ops::Range<u64> {
        let first = chunk * u64::from(self.chunk_blocks);
        first..(first + u64::from(self.chunk_blocks)).min(self.blocks())
    }

    /// The group of a chunk within its window, and which of the group's chunks it is.
    pub fn group_of(&self, chunk: u64, window: u32) -> (u32, u32) {
        let within = chunk - self.window_chunks(window).start;
        ((within % u64::from(self.groups)) as u32, (within / u64::from(self.groups)) as u32)
    }

    /// The chunks of a group, in order.
    pub fn group_chunks(&self, window: u32, group: u32) -> impl Iterator<Item = u64> + use<> {
        let chunks = self.window_chunks(window);
        (chunks.start + u64::from(group)..chunks.end).step_by(self.groups as usize)
    }

    /// The data blocks of a group, in order.
    pub fn group_blocks(&self, window: u32, group: u32) -> impl Iterator<Item = u64> + use<> {
        let layout = *self;
        self.group_chunks(window, group).flat_map(move |chunk| layout.chunk(chunk))
    }

    /// The groups of a window in the order in which their recovery blocks are written: the turn of the chunks goes on,
    /// so that a stretch over the end of the data and the beginning of the recovery data is like any other.
    pub fn recovery_order(&self, window: u32) -> impl Iterator<Item = u32> + use<> {
        let chunks = self.window_chunks(window);
        let (groups, turn) = (u64::from(self.groups), chunks.end - chunks.start);
        (0..groups).map(move |n| ((turn + n) % groups) as u32)
    }

    /// The longest stretch of damage, in bytes, that is repaired wherever it lies.
    pub fn stretch_bytes(&self) -> u64 {
        let blocks = if self.groups == 1 {
            u64::from(self.recovery_blocks)
        } else {
            // Where the data ends, its last chunk may be short, and the turn of its group comes sooner again.
            let last = self.chunk(self.chunks() - 1);
            let last = if self.windows == 1 { last.end - last.start } else { u64::from(self.chunk_blocks) };
            u64::from(self.groups - 1) * u64::from(self.chunk_blocks) + last
        };
        // A stretch that is no longer than this touches no more blocks, wherever it begins.
        (blocks - 1) * u64::from(self.block_bytes) + 1
    }

    /// The most data blocks that a group has.
    pub fn group_blocks_max(&self) -> u64 {
        let chunks = self.chunks().div_ceil(u64::from(self.windows)).div_ceil(u64::from(self.groups));
        (chunks * u64::from(self.chunk_blocks)).min(self.blocks())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// How many blocks of each group the blocks `from .. to` hit, counting data blocks first and recovery blocks after
    /// them.
    fn hits(layout: &Layout, from: u64, to: u64) -> u64 {
        let mut hit = std::collections::HashMap::new();
        for block in from..to {
            let place = if block < layout.blocks() {
                let window = layout.window_of(block);
                (window, layout.group_of(block / u64::from(layout.chunk_blocks), window).0)
            } else {
                let recovery = (block - layout.blocks()) / u64::from(layout.recovery_blocks);
                let window = (recovery / u64::from(layout.groups)) as u32;
                let group = layout.recovery_order(window).nth((recovery % u64::from(layout.groups)) as usize);
                (window, group.unwrap_or_default())
            };
            *hit.entry(place).or_insert(0) += 1;
        }
        hit.into_values().max().unwrap_or(0)
    }

    proptest! {
        #[test]
        fn a_stretch_as_long_as_promised_never_takes_too_much_of_a_group(
            length in 1u64..60_000, share in 2u64..8, groups in 1u64..6, chunk in 1u32..4,
        ) {
            let Some(layout) = Layout::with(length, share, groups, 1 << chunk, (64, 128)) else { return Ok(()) };
            prop_assert!(layout.is_sane());
            let recovery = u64::from(layout.recovery_blocks);
            let all = layout.blocks() + u64::from(layout.windows * layout.groups) * recovery;
            // The promise in whole blocks.
            let promised = (layout.stretch_bytes() - 1) / u64::from(layout.block_bytes) + 1;
            let mut worst = 0;
            for from in 0..=all.saturating_sub(promised) {
                worst = worst.max(hits(&layout, from, from + promised));
            }
            prop_assert!(worst <= recovery, "{layout:?}: {worst} of {recovery}");
            // And the promise is not too small: some stretch that is one block longer takes too much.
            let longer = (0..all.saturating_sub(promised)).map(|from| hits(&layout, from, from + promised + 1)).max();
            if layout.windows == 1 && all > promised + 1 && layout.blocks() > promised {
                prop_assert!(longer.unwrap_or(0) > recovery, "{layout:?}");
            }
        }

        #[test]
        fn every_block_belongs_to_exactly_one_group(length in 1u64..40_000, share in 2u64..8, groups in 1u64..6) {
            let Some(layout) = Layout::with(length, share, groups, 4, (64, 128)) else { return Ok(()) };
            let mut seen = vec![0; layout.blocks() as usize];
            for window in 0..layout.windows {
                for group in 0..layout.groups {
                    let blocks: Vec<u64> = layout.group_blocks(window, group).collect();
                    prop_assert!(blocks.len() as u64 <= layout.group_blocks_max());
                    for block in blocks {
                        prop_assert_eq!(layout.window_of(block), window);
                        prop_assert!(layout.window_blocks(window).contains(&block));
                        seen[block as usize] += 1;
                    }
                }
                let mut order: Vec<u32> = layout.recovery_order(window).collect();
                order.sort_unstable();
                prop_assert_eq!(order, (0..layout.groups).collect::<Vec<_>>());
            }
            prop_assert!(seen.iter().all(|n| *n == 1));
        }
    }

    #[test]
    fn the_layout_fits_any_length() {
        for length in [1, 1000, 1 << 20, 1_310_720, 20 << 20, (20 << 20) + 1, 1 << 30, 10 << 30, 1 << 40] {
            for redundancy in [Rate::Low, Rate::Medium, Rate::High] {
                for interlacing in Rate::ALL {
                    let layout = Layout::plan(length, redundancy, interlacing);
                    assert!(layout.is_some_and(|l| l.is_sane()), "{length} {redundancy:?} {interlacing:?} {layout:?}");
                }
            }
        }
        assert_eq!(Layout::plan(1 << 30, Rate::None, Rate::High), None);
        assert_eq!(Layout::plan(0, Rate::High, Rate::High), None);
    }
}
