//! How recovery data lies over a file: blocks, groups, windows.
//!
//! ```text
//! file      blocks of B bytes, the last one filled up with zeros
//! window    blocks in a row; they are dealt to its groups in turn, one by one
//! group     the blocks g, g + G, g + 2G … of a window, and r recovery blocks made from them: any r of all may be lost
//! ```
//! The recovery blocks are written in the same turn. So whatever is damaged, and in however many places, takes equally
//! much of each group but for one block a place: a stretch as long as all recovery data of a window no more than r.
//!
//! In recovery data of version 1 whole *chunks* of m blocks are dealt. A stretch takes as much of each group there,
//! too; several stretches may meet in one group.

use std::ops::Range;

use crate::archive::options::Rate;

/// Recovery blocks of a group wherever the file is long enough, and blocks that are worked on at a time.
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
/// The same: to find the damaged entries of a group's table takes so many steps for each block.
const RECOVERY_BLOCKS_MAX: u64 = 512;
const GROUP_BYTES_MAX: u64 = 96 << 20;
const TABLE_BYTES_MAX: u64 = 32 << 20;

/// What goes to the groups of a window in turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Dealt {
    /// Chunks, in version 1.
    Chunks,
    /// Single blocks.
    Blocks,
}

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
    /// What its groups are made of.
    pub dealt: Dealt,
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
    pub(super) fn with(
        length: u64,
        share: u64,
        groups_max: u64,
        chunk: u32,
        (least, most): (u64, u64),
    ) -> Option<Self> {
        let (group, dealt) = (share * u64::from(chunk), Dealt::Blocks);
        if length == 0 {
            return None;
        }
        if length < group * least {
            let recovery = length.div_ceil(least).div_ceil(share).max(RECOVERY_BLOCKS_MIN) as u32;
            let chunk_blocks = recovery.next_power_of_two();
            let block_bytes = least as u32;
            let (windows, groups) = (1, 1);
            return Some(Self { length, block_bytes, chunk_blocks, recovery_blocks: recovery, windows, groups, dealt });
        }
        let groups = length.div_ceil(group * most);
        let windows = groups.div_ceil(groups_max);
        let groups = if windows == 1 { groups } else { groups_max };
        // The length of a block fits the file, so that no group is much smaller than it could be.
        let block_bytes = length.div_ceil(windows * groups * group).next_multiple_of(64) as u32;
        let (windows, groups) = (u32::try_from(windows).ok()?, groups as u32);
        Some(Self { length, block_bytes, chunk_blocks: chunk, recovery_blocks: chunk, windows, groups, dealt })
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
        let (per_group, window) = (self.group_blocks_max(), self.window_blocks_max());
        let bounded = chunk * block <= CHUNK_BYTES_MAX && (per_group + chunk) * block <= GROUP_BYTES_MAX;
        // The code has 65,536 points, and twice as many recovery points for the table of a group; one stays free.
        let (points, is_new) = match self.dealt {
            Dealt::Chunks => (per_group + chunk, true),
            Dealt::Blocks => {
                let no_group_is_empty = u64::from(self.groups) * u64::from(self.windows) <= self.blocks();
                (per_group + 2 * chunk + 1, no_group_is_empty && chunk <= RECOVERY_BLOCKS_MAX)
            }
        };
        points <= 1 << 16 && is_new && bounded && window * super::table::ENTRY_BYTES as u64 <= TABLE_BYTES_MAX
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

    /// Blocks that go to a group together.
    fn unit(&self) -> u64 {
        if self.dealt == Dealt::Chunks { u64::from(self.chunk_blocks) } else { 1 }
    }

    /// The blocks of a window.
    pub fn window_blocks(&self, window: u32) -> Range<u64> {
        let unit = self.unit();
        let all = self.blocks().div_ceil(unit);
        let edge = |n: u32| (u128::from(all) * u128::from(n) / u128::from(self.windows)) as u64;
        (edge(window) * unit).min(self.blocks())..(edge(window + 1) * unit).min(self.blocks())
    }

    /// No window has more blocks.
    pub fn window_blocks_max(&self) -> u64 {
        let unit = self.unit();
        (self.blocks().div_ceil(unit).div_ceil(u64::from(self.windows)) * unit).min(self.blocks())
    }

    /// The window that a block lies in.
    pub fn window_of(&self, block: u64) -> u32 {
        let (unit, windows) = (self.unit(), u128::from(self.windows));
        let guess = (u128::from(block / unit) * windows / u128::from(self.blocks().div_ceil(unit))) as u32;
        let near = guess.saturating_sub(1)..self.windows.min(guess + 2);
        near.into_iter().find(|w| self.window_blocks(*w).contains(&block)).unwrap_or(guess)
    }

    /// The group of a block within its window.
    pub fn group_of(&self, block: u64, window: u32) -> u32 {
        let within = block - self.window_blocks(window).start;
        (within / self.unit() % u64::from(self.groups)) as u32
    }

    /// The stretches of consecutive blocks that make up a group, in order.
    pub fn group_stretches(&self, window: u32, group: u32) -> impl Iterator<Item = Range<u64>> + use<> {
        let blocks = self.window_blocks(window);
        let unit = self.unit();
        let firsts = (blocks.start + u64::from(group) * unit..blocks.end).step_by((self.groups as u64 * unit) as usize);
        firsts.map(move |first| first..(first + unit).min(blocks.end))
    }

    /// The data blocks of a group, in order.
    pub fn group_blocks(&self, window: u32, group: u32) -> impl Iterator<Item = u64> + use<> {
        self.group_stretches(window, group).flatten()
    }

    /// The groups of a window in the order in which one recovery block of each is written, again and again: the turn
    /// of the blocks goes on, so that a stretch over the end of the data and the beginning of the recovery data is
    /// like any other.
    pub fn recovery_order(&self, window: u32) -> impl Iterator<Item = u32> + use<> {
        let blocks = self.window_blocks(window);
        let (groups, turn) = (u64::from(self.groups), blocks.end - blocks.start);
        (0..groups).map(move |n| ((turn + n) % groups) as u32)
    }

    /// The most data blocks that a group has.
    pub fn group_blocks_max(&self) -> u64 {
        let unit = self.unit();
        let units = self.blocks().div_ceil(unit).div_ceil(u64::from(self.windows)).div_ceil(u64::from(self.groups));
        (units * unit).min(self.blocks())
    }

    /// Bytes that the frame of a recovery block carries: the block, and since version 2 two pieces of the recovery data
    /// of its group's table.
    pub fn recovery_body_bytes(&self) -> usize {
        let table = if self.dealt == Dealt::Blocks { 2 * super::table::ENTRY_BYTES } else { 0 };
        self.block_bytes as usize + table
    }

    /// How many pieces the recovery data of a group's table has.
    pub fn table_recovery(&self) -> usize {
        2 * self.recovery_blocks as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn every_block_belongs_to_exactly_one_group(
            length in 1u64..40_000, share in 2u64..8, groups in 1u64..6, chunks: bool,
        ) {
            let Some(layout) = Layout::with(length, share, groups, 4, (64, 128)) else { return Ok(()) };
            let dealt = if chunks { Dealt::Chunks } else { Dealt::Blocks };
            let layout = Layout { dealt, ..layout };
            prop_assert!(layout.is_sane());
            let mut seen = vec![0; layout.blocks() as usize];
            for window in 0..layout.windows {
                let blocks = layout.window_blocks(window);
                prop_assert!(blocks.end - blocks.start <= layout.window_blocks_max());
                for group in 0..layout.groups {
                    let blocks: Vec<u64> = layout.group_blocks(window, group).collect();
                    prop_assert!(blocks.len() as u64 <= layout.group_blocks_max());
                    for block in blocks {
                        prop_assert_eq!((layout.window_of(block), layout.group_of(block, window)), (window, group));
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
