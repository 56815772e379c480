//! Looking for blocks that are not at their place: bytes were inserted or lost before them, blocks were swapped, or
//! others have the same bytes.

use std::collections::HashMap;

use super::{
    find::Packets,
    packet::Stamp,
    table::{Entry, Rolling},
};
use crate::{
    archive::{
        pipeline,
        volume::{Patch, Piece, Volume},
    },
    control::{Control, Phase},
    error::Result,
};

/// Bytes that are searched at a time.
const SEARCHED_BYTES: usize = 1 << 20;
/// Bytes that are hashed in vain, for each part that is searched, before the search of it is given up.
const PATIENCE_BYTES: usize = 16 << 20;

/// Looks for missing blocks at every byte of the files that belongs to no sound block and no frame of recovery data, on
/// all cores.
pub(super) fn search(
    volume: &Volume,
    packets: &Packets,
    bad: &HashMap<u64, Option<Entry>>,
    found: &mut HashMap<u64, Patch>,
    control: &Control,
) -> Result<()> {
    let unsure = unsure(volume, &packets.stamp, bad);
    let pieces = volume.pieces().iter().enumerate();
    let stretches =
        pieces.map(|(number, piece)| without(dark(piece, &packets.stamp, &unsure), packets.taken_of(number)));
    find_last(volume, packets, bad, found);
    // Blocks that follow each other are found in leaps; for the last one alone every byte would be looked at.
    let last = packets.stamp.layout.blocks() - 1;
    let wanted = missing(bad, found).filter(|(_, block)| *block != last).collect();
    search_in(volume, &packets.stamp, stretches.collect(), (wanted, found), control)
}

/// The last block, where bytes were inserted or lost before it: it ends where the recovery data begins.
fn find_last(volume: &Volume, packets: &Packets, bad: &HashMap<u64, Option<Entry>>, found: &mut HashMap<u64, Patch>) {
    let layout = &packets.stamp.layout;
    let last = layout.blocks() - 1;
    let Some(Some(entry)) = bad.get(&last).filter(|_| !found.contains_key(&last)) else { return };
    let mut block = vec![0; layout.block_bytes as usize];
    let there = (layout.length - last * u64::from(layout.block_bytes)) as usize;
    for (piece, of_volume) in volume.pieces().iter().enumerate() {
        let begins = packets.taken_of(piece).next().map_or(of_volume.length, |(from, _)| from);
        if let Some(offset) = begins.checked_sub(there as u64) {
            volume.read_piece_lossy(piece, offset, &mut block[..there]);
            if entry.is(&block) {
                found.insert(last, Patch::Moved { piece, offset });
            }
        }
    }
}

/// Looks for missing blocks at every byte of the files: what was in them may also stand within what is sound.
pub(super) fn search_all(
    volume: &Volume,
    packets: &Packets,
    bad: &HashMap<u64, Option<Entry>>,
    found: &mut HashMap<u64, Patch>,
    control: &Control,
) -> Result<()> {
    let stretches = volume.pieces().iter().map(|piece| vec![(0, piece.length)]);
    let wanted = missing(bad, found).collect();
    search_in(volume, &packets.stamp, stretches.collect(), (wanted, found), control)
}

/// The damaged blocks that are known by their entry and not found yet.
fn missing(bad: &HashMap<u64, Option<Entry>>, found: &HashMap<u64, Patch>) -> impl Iterator<Item = (Entry, u64)> {
    let missing = bad.iter().filter(|(block, _)| !found.contains_key(block));
    missing.filter_map(|(block, entry)| Some(((*entry)?, *block)))
}

/// Looks for these blocks in these stretches of each file.
fn search_in(
    volume: &Volume,
    stamp: &Stamp,
    mut stretches: Vec<Vec<(u64, u64)>>,
    (wanted, found): (Vec<(Entry, u64)>, &mut HashMap<u64, Patch>),
    control: &Control,
) -> Result<()> {
    let length = stamp.layout.block_bytes as usize;
    let last = stamp.layout.blocks() - 1;
    // The last block is shorter as it stands in the file.
    let (of_last, others): (Vec<_>, Vec<_>) = wanted.into_iter().partition(|(_, block)| *block == last);
    let there = (stamp.layout.length - last * length as u64) as usize;
    let wanted = [Wanted::new(others, length, 0), Wanted::new(of_last, there, length - there)];
    let Some(least) = wanted.iter().filter(|wanted| !wanted.blocks.is_empty()).map(|wanted| wanted.length).min() else {
        return Ok(());
    };
    stretches.iter_mut().for_each(|of_one| of_one.retain(|(from, to)| to - from >= least as u64));
    control.phase(Phase::Repairing, stretches.iter().flatten().map(|(from, to)| to - from).sum());
    for (number, stretches) in stretches.into_iter().enumerate() {
        let starts = |(from, to): (u64, u64)| (from..to).step_by(SEARCHED_BYTES).map(move |start| (start, to));
        let mut parts = stretches.into_iter().flat_map(starts);
        let (spare_in, spare) = crossbeam_channel::unbounded::<Vec<u8>>();
        pipeline::run(
            || {
                control.check()?;
                Ok(parts.next().map(|part| (part, spare.try_recv().unwrap_or_default())))
            },
            |((start, to), mut window): ((u64, u64), Vec<u8>)| {
                // Whatever begins in this part, whole.
                window.resize((to - start).min((SEARCHED_BYTES + length - 1) as u64) as usize, 0);
                volume.read_piece_lossy(number, start, &mut window);
                let mut hits = Vec::new();
                for (sort, wanted) in wanted.iter().enumerate().filter(|(_, wanted)| !wanted.blocks.is_empty()) {
                    let found = wanted.look_through(&window, control)?;
                    hits.extend(found.into_iter().map(|(entry, at)| (sort, entry, start + at as u64)));
                }
                // The reader may be gone already; then the buffer is simply freed.
                let _ = spare_in.send(window);
                Ok(((to - start).min(SEARCHED_BYTES as u64), hits))
            },
            |(searched, hits): (u64, Vec<(usize, Entry, u64)>)| {
                control.add(searched);
                for (sort, entry, offset) in hits {
                    // The same content is found once for all blocks that had it.
                    let blocks = wanted[sort].blocks_of(&entry);
                    if blocks.first().is_some_and(|(_, block)| !found.contains_key(block)) {
                        let patch = Patch::Moved { piece: number, offset };
                        found.extend(blocks.iter().map(|(_, block)| (*block, patch)));
                    }
                }
                Ok(())
            },
        )?;
    }
    Ok(())
}

/// Missing blocks that may be somewhere else.
struct Wanted {
    /// Sorted.
    blocks: Vec<(Entry, u64)>,
    /// Bytes of one of them as it stands in the file.
    length: usize,
    /// With these it is filled up.
    zeros: Vec<u8>,
    /// A filter of single bits before them: nearly every byte of a large stretch is looked at in vain.
    filter: Vec<u64>,
}

impl Wanted {
    fn new(mut blocks: Vec<(Entry, u64)>, length: usize, zeros: usize) -> Self {
        blocks.sort_unstable();
        // Of few blocks it fits a processor's cache, and of many it is not full.
        let bits = (blocks.len() * 16).next_power_of_two().clamp(1 << 20, 1 << 26);
        let mut wanted = Self { blocks: Vec::new(), length, zeros: vec![0; zeros], filter: vec![0; bits / 64] };
        for (entry, _) in &blocks {
            let (word, mask) = wanted.bit(entry.weak);
            wanted.filter[word] |= mask;
        }
        Self { blocks, ..wanted }
    }

    fn bit(&self, weak: u32) -> (usize, u64) {
        let mixed = weak.wrapping_mul(0x9e37_79b1);
        ((mixed >> 6) as usize & (self.filter.len() - 1), 1 << (mixed & 63))
    }

    /// The blocks that had this content.
    fn blocks_of(&self, entry: &Entry) -> &[(Entry, u64)] {
        let from = self.blocks.partition_point(|(e, _)| e < entry);
        let count = self.blocks[from..].partition_point(|(e, _)| e == entry);
        &self.blocks[from..from + count]
    }

    /// Which of them are somewhere in `window`, and where first.
    fn look_through(&self, window: &[u8], control: &Control) -> Result<Vec<(Entry, usize)>> {
        let length = self.length;
        let mut hits = Hits { found: HashMap::new(), patience: PATIENCE_BYTES + 8 * length };
        let Some(first) = window.get(..length) else { return Ok(Vec::new()) };
        let (mut at, mut rolling) = (0, Rolling::of(first));
        while hits.patience > 0 {
            if let Some(entry) = self.matching(rolling, &window[at..at + length], &mut hits) {
                hits.found.insert(entry, at);
                // Blocks that follow each other follow each other here. Elsewhere no byte is passed over: a block of
                // zeros may have been found in the middle of another one.
                if let Some(next) = window.get(at + length..at + 2 * length) {
                    let ahead = Rolling::of(next);
                    if self.matching(ahead, next, &mut hits).is_some() {
                        (at, rolling) = (at + length, ahead);
                        continue;
                    }
                }
            }
            if at.is_multiple_of(1 << 16) {
                control.check()?;
            }
            let Some(next) = window.get(at + length) else { break };
            rolling.step(window[at], *next);
            at += 1;
        }
        Ok(hits.found.into_iter().collect())
    }

    /// The missing block that this one is, unless it has been found.
    fn matching(&self, rolling: Rolling, block: &[u8], hits: &mut Hits) -> Option<Entry> {
        let weak = rolling.sum_filled(self.zeros.len() as u32);
        let (word, mask) = self.bit(weak);
        if self.filter[word] & mask == 0 {
            return None;
        }
        let from = self.blocks.partition_point(|(entry, _)| entry.weak < weak);
        let (first, _) = self.blocks.get(from).filter(|(entry, _)| entry.weak == weak)?;
        // No block is hashed in vain: in a long stretch of zeros every byte begins the same block.
        let last = self.blocks[from..].partition_point(|(entry, _)| entry.weak == weak) + from - 1;
        if *first == self.blocks[last].0 && hits.found.contains_key(first) {
            return None;
        }
        let entry = Entry { weak, strong: Entry::strong_of_filled(block, &self.zeros) };
        if hits.found.contains_key(&entry) || self.blocks_of(&entry).is_empty() {
            hits.patience = hits.patience.saturating_sub(self.length + self.zeros.len());
            return None;
        }
        Some(entry)
    }
}

/// What was found in a window.
struct Hits {
    found: HashMap<Entry, usize>,
    /// Bytes that may still be hashed in vain. Honest sums are hardly ever equal by chance; where they are made so, the
    /// rest of the window is given up, and what is in it comes from the recovery data or not at all.
    patience: usize,
}

/// Bytes at the edge of a block that tell whether it may be one of zeros.
const EDGE_BYTES: u64 = 16;

/// The places of damaged blocks, in order, and those beside them that hold zeros there: a block of zeros looks sound
/// wherever zeros are, also where they belong to a block that moved.
fn unsure(volume: &Volume, stamp: &Stamp, bad: &HashMap<u64, Option<Entry>>) -> Vec<u64> {
    let (size, blocks) = (u64::from(stamp.layout.block_bytes), stamp.layout.blocks());
    let is_zero = |offset: u64| {
        let mut edge = [1; EDGE_BYTES as usize];
        volume.read_at(offset, &mut edge).is_ok() && edge == [0; EDGE_BYTES as usize]
    };
    let mut places: Vec<u64> = bad.keys().copied().collect();
    for block in bad.keys() {
        if let Some(before) = block.checked_sub(1).filter(|before| !bad.contains_key(before))
            && is_zero(block * size - EDGE_BYTES)
        {
            places.push(before);
        }
        if block + 1 < blocks && !bad.contains_key(&(block + 1)) && is_zero((block + 1) * size) {
            places.push(block + 1);
        }
    }
    places.sort_unstable();
    places.dedup();
    places
}

/// The stretches of a file, as offsets in it, that belong to no block that is sound for certain.
fn dark(piece: &Piece, stamp: &Stamp, edges: &[u64]) -> Vec<(u64, u64)> {
    let (at, length, size) = (piece.at, piece.length, u64::from(stamp.layout.block_bytes));
    let mut stretches: Vec<(u64, u64)> = Vec::new();
    let mut add = |from: u64, to: u64| {
        // In offsets of this file.
        let (from, to) = (from.max(at) - at, to.min(at + length).saturating_sub(at));
        if from >= to {
            return;
        }
        match stretches.last_mut() {
            Some((_, end)) if *end >= from => *end = to.max(*end),
            _ => stretches.push((from, to)),
        }
    };
    for &block in edges {
        add(block * size, (block + 1) * size);
    }
    // When bytes were inserted before, the last blocks lie beyond their places; and any may have got there.
    add(stamp.layout.length, at + length);
    stretches
}

/// What is left of `stretches` without those that are `taken`, both in order.
fn without(stretches: Vec<(u64, u64)>, taken: impl Iterator<Item = (u64, u64)>) -> Vec<(u64, u64)> {
    let (mut left, mut taken) = (Vec::new(), taken.peekable());
    for (mut from, to) in stretches {
        while let Some((begin, end)) = taken.peek().copied().filter(|(begin, _)| *begin < to) {
            if begin > from {
                left.push((from, begin));
            }
            from = from.max(end);
            // One that goes on beyond the end may take of the next stretch, too.
            if end > to {
                break;
            }
            taken.next();
        }
        if from < to {
            left.push((from, to));
        }
    }
    left
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::noise;

    /// Zeros are found at the end of a block that is none of those wanted; that must not hide what follows.
    #[test]
    fn a_block_of_zeros_hides_no_other() -> Result<()> {
        let (zeros, first, second) = (vec![0; 64], [vec![0; 32], noise(1, 32)].concat(), noise(2, 64));
        let entries: Vec<Entry> = [&zeros, &first, &second].map(|block| Entry::of(block)).to_vec();
        let wanted = Wanted::new(entries.iter().copied().zip(0..).collect(), 64, 0);
        for shift in 0..64 {
            let window =
                [noise(3, 40), vec![0; shift], zeros.clone(), first.clone(), second.clone(), noise(4, 9)].concat();
            let hits: HashMap<Entry, usize> = wanted.look_through(&window, &Control::default())?.into_iter().collect();
            assert_eq!(hits.len(), 3, "{shift}");
            assert_eq!((hits[&entries[1]], hits[&entries[2]]), (104 + shift, 168 + shift));
        }
        Ok(())
    }

    /// What a hostile table says: every byte of a stretch looks as if a block began there.
    #[test]
    fn sums_that_are_always_right_and_never_are_end_the_search() -> Result<()> {
        let zeros = vec![0; 4 << 20];
        let forged = (0..100_000u64).map(|n| (Entry { weak: 0, strong: u128::from(n).to_le_bytes() }, n));
        let wanted = Wanted::new(forged.collect(), 1 << 20, 0);
        let control = Control::default();
        let hits = wanted.look_through(&zeros, &control)?;
        assert!(hits.is_empty());
        control.stop();
        assert!(wanted.look_through(&zeros, &control).is_err());
        Ok(())
    }

    #[test]
    fn what_frames_take_is_not_searched() {
        let left = |taken: &[(u64, u64)]| without(vec![(10, 20), (30, 40)], taken.iter().copied());
        assert_eq!(left(&[]), [(10, 20), (30, 40)]);
        assert_eq!(left(&[(0, 5), (12, 14), (14, 15), (19, 33)]), [(10, 12), (15, 19), (33, 40)]);
        assert_eq!(left(&[(5, 10), (20, 30), (40, 50)]), [(10, 20), (30, 40)]);
        assert_eq!(left(&[(0, 31), (35, 36)]), [(31, 35), (36, 40)]);
        assert_eq!(left(&[(10, 40)]), []);
    }
}
