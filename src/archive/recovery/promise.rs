//! What is repaired for certain, computed from the layout.
//!
//! Let damage be in N stretches, each of any length and at any place. In the order in which they are written, data
//! first and recovery blocks after it, the blocks of a group stand G apart. So to take h ≥ 2 blocks of one group a
//! stretch must reach from the last byte of one of them to the first of another one, over (h − 1) · G − 1 whole blocks
//! between. A group is beyond repair where it has lost r + 1. The least number of bytes that N stretches need for that
//! is what is added up here; with one byte less everything comes back. Frames of recovery data are longer than blocks,
//! and tables stand between: both only make a stretch need more.

use super::{
    layout::{Dealt, Layout},
    packet::{OVERHEAD_BYTES, table_shape},
};

impl Layout {
    /// The longest stretch of damage, in bytes, that is repaired wherever it lies.
    pub fn stretch_bytes(&self) -> u64 {
        match self.dealt {
            Dealt::Chunks => self.stretch_of_chunks(),
            Dealt::Blocks => self.stretches_bytes(1).unwrap_or(0),
        }
    }

    /// Any so many stretches of damage, wherever they lie, are repaired while together they are no more than this, in
    /// bytes; `None` where so many may be too much however short they are.
    pub fn stretches_bytes(&self, stretches: u64) -> Option<u64> {
        let (recovery, groups, block) =
            (u64::from(self.recovery_blocks), u64::from(self.groups), u64::from(self.block_bytes));
        if self.dealt == Dealt::Chunks && stretches > 1 || !(1..=recovery).contains(&stretches) {
            return None;
        }
        if self.dealt == Dealt::Chunks {
            return Some(self.stretch_of_chunks());
        }
        // Each stretch takes at least one block of the group; of the others, those that take two or more need fewest
        // bytes for them.
        let more = recovery + 1 - stretches;
        let longer = stretches.min(more);
        let least = groups * block * more + (stretches - longer);
        let least = (least + 2 * longer).saturating_sub(longer * block);
        Some(least.saturating_sub(1 + self.short_of_a_block()))
    }

    /// Any so many damaged places, each no longer than so many bytes, are repaired.
    pub fn places(&self) -> (u64, u64) {
        let (recovery, block) = (u64::from(self.recovery_blocks), u64::from(self.block_bytes));
        match u64::from(self.groups) {
            // One place may lie over two blocks.
            1 => (recovery / 2, block - self.short_of_a_block()),
            groups => (recovery, (groups - 1) * block + 1 - self.short_of_a_block()),
        }
    }

    /// By how much the last block of the data and what stands between it and the first recovery block are shorter than
    /// a block: so much less does one stretch need that reaches over both.
    fn short_of_a_block(&self) -> u64 {
        let block = u64::from(self.block_bytes);
        // In several windows all recovery data of others stands between.
        if self.windows > 1 {
            return 0;
        }
        let last = self.length - (self.blocks() - 1) * block;
        let (pieces, length) = table_shape(self, 0);
        block.saturating_sub(last + (pieces * (length + OVERHEAD_BYTES)) as u64)
    }

    /// The same of recovery data of version 1.
    fn stretch_of_chunks(&self) -> u64 {
        let chunk = u64::from(self.chunk_blocks);
        let blocks = if self.groups == 1 {
            u64::from(self.recovery_blocks)
        } else {
            // Where the data ends, its last chunk may be short, and the turn of its group comes sooner again.
            let last = if self.windows == 1 { self.blocks() - (self.chunks() - 1) * chunk } else { chunk };
            u64::from(self.groups - 1) * chunk + last
        };
        // A stretch that is no longer than this touches no more blocks, wherever it begins; where the last block of the
        // data is short, it may touch one more.
        ((blocks - 1) * u64::from(self.block_bytes) + 1).saturating_sub(self.short_of_a_block()).max(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::archive::options::Rate;
    use proptest::prelude::*;

    /// Where the blocks of one group stand in the file, data and recovery blocks: each with its first byte and its
    /// length.
    fn places_of(layout: &Layout, window: u32, group: u32) -> Vec<(u64, u64)> {
        let block = u64::from(layout.block_bytes);
        let data = layout.group_blocks(window, group);
        let mut places: Vec<(u64, u64)> = data.map(|n| (n * block, block.min(layout.length - n * block))).collect();
        let mut at = layout.length;
        for other in 0..layout.windows {
            let (pieces, length) = table_shape(layout, other);
            let table = (pieces * (length + OVERHEAD_BYTES)) as u64;
            let frame = (layout.recovery_body_bytes() + OVERHEAD_BYTES) as u64;
            at += table;
            for _ in 0..layout.recovery_blocks {
                for turn in layout.recovery_order(other) {
                    if (other, turn) == (window, group) {
                        places.push((at, frame));
                    }
                    at += frame;
                }
            }
            at += table;
        }
        places
    }

    /// The fewest bytes with which `stretches` take `wanted` blocks of these places, found by trying: the best for each
    /// number of stretches and blocks up to each place.
    fn fewest(places: &[(u64, u64)], stretches: usize, wanted: usize) -> Option<u64> {
        let none = u64::MAX / 2;
        // best[s][h]: with s stretches, h blocks, among the places so far.
        let mut best = vec![vec![vec![none; wanted + 1]; stretches + 1]; places.len() + 1];
        best[0][0][0] = 0;
        for end in 0..places.len() {
            for s in 0..=stretches {
                for h in 0..=wanted {
                    let mut least = best[end][s][h];
                    for from in (0..=end).rev().take(if s == 0 { 0 } else { h }) {
                        let bytes = match end - from {
                            0 => 1,
                            _ => places[end].0 + 1 - (places[from].0 + places[from].1 - 1),
                        };
                        least = least.min(best[from][s - 1][h - (end - from + 1)] + bytes);
                    }
                    best[end + 1][s][h] = least;
                }
            }
        }
        Some(best[places.len()][stretches][wanted]).filter(|least| *least < none)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(60))]
        /// The promise is the truth: no stretches with fewer bytes than said take too much of any group.
        #[test]
        fn no_stretches_of_fewer_bytes_take_too_much_of_a_group(
            length in 1u64..30_000, share in 2u64..6, groups in 1u64..5, chunk in 1u32..4, stretches in 1u64..5,
        ) {
            let Some(layout) = Layout::with(length, share, groups, 1 << chunk, (64, 128)) else { return Ok(()) };
            let wanted = layout.recovery_blocks as usize + 1;
            for window in 0..layout.windows {
                for group in 0..layout.groups {
                    let places = places_of(&layout, window, group);
                    let worst = (1..=stretches).filter_map(|n| fewest(&places, n as usize, wanted)).min();
                    let Some(promised) = layout.stretches_bytes(stretches) else { continue };
                    if let Some(worst) = worst {
                        prop_assert!(promised < worst, "{layout:?} {window} {group}: {promised} {worst}");
                    }
                }
            }
        }
    }

    /// And it is not too small: where the data is long enough, one byte more can be too much.
    #[test]
    fn one_byte_more_can_be_too_much() {
        for (length, groups) in [(20_000, 1), (30_000, 3), (29_952, 4)] {
            let Some(layout) = Layout::with(length, 4, groups, 4, (64, 128)) else { continue };
            let all: Vec<_> = (0..layout.groups).map(|group| places_of(&layout, 0, group)).collect();
            for stretches in 1..=u64::from(layout.recovery_blocks) {
                let worst = all.iter().filter_map(|places| fewest(places, stretches as usize, 5)).min();
                assert_eq!(layout.stretches_bytes(stretches).map(|bytes| bytes + 1), worst, "{layout:?} {stretches}");
            }
        }
    }

    #[test]
    fn more_stretches_are_never_promised_more() {
        let layout = Layout::plan(336 << 20, Rate::Medium, Rate::Low);
        let all: Vec<_> = (1..=129).map(|n| layout.and_then(|layout| layout.stretches_bytes(n))).collect();
        assert!(all.is_sorted_by(|a, b| a >= b) && all[127].is_some() && all[128].is_none(), "{all:?}");
        // Ten stretches of half a hundredth each are repaired.
        assert!(all[9].is_some_and(|bytes| bytes > (336 << 20) / 20), "{all:?}");
    }
}
