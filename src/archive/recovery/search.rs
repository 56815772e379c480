//! Looking for blocks that are not at their place: bytes were inserted or lost before them, or blocks were swapped.

use std::collections::HashMap;

use super::{
    find::Packets,
    packet::Stamp,
    table::{Entry, Rolling},
};
use crate::{
    archive::{
        pipeline,
        volume::{Patch, Volume},
    },
    control::Control,
    error::Result,
};

/// Bytes that are searched at a time.
const SEARCHED_BYTES: usize = 1 << 20;

/// Looks for missing blocks at every byte of the files that belongs to no sound block, on all cores.
pub(super) fn search(
    volume: &Volume,
    packets: &Packets,
    bad: &HashMap<u64, Option<Entry>>,
    found: &mut HashMap<u64, Patch>,
    control: &Control,
) -> Result<()> {
    let stamp = &packets.stamp;
    let length = stamp.layout.block_bytes as usize;
    let last = stamp.layout.blocks() - 1;
    // The last block is shorter as it stands in the file.
    let known = bad.iter().filter_map(|(block, entry)| Some((*block, (*entry)?)));
    let mut blocks: HashMap<Entry, Vec<u64>> = HashMap::new();
    known.filter(|(block, _)| *block != last).for_each(|(block, entry)| blocks.entry(entry).or_default().push(block));
    let wanted = Wanted::new(blocks.keys());
    for (number, piece) in volume.pieces().iter().enumerate() {
        if let Some(Some(entry)) = bad.get(&last) {
            // It ends where the recovery data begins.
            let mut block = vec![0; length];
            let there = (stamp.layout.length - last * length as u64) as usize;
            if let Some(offset) = packets.first_in(volume, number).checked_sub(there as u64) {
                volume.read_piece_lossy(number, offset, &mut block[..there]);
                if entry.is(&block) {
                    found.insert(last, Patch::Moved { piece: number, offset });
                }
            }
        }
        let stretches = dark(piece.at, packets.first_in(volume, number), stamp, bad);
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
                let hits = wanted.look_through(&window, length);
                // The reader may be gone already; then the buffer is simply freed.
                let _ = spare_in.send(window);
                Ok(hits.into_iter().map(|(entry, at)| (entry, start + at as u64)).collect::<Vec<_>>())
            },
            |hits: Vec<(Entry, u64)>| {
                for (entry, offset) in hits {
                    // The same content is found once for all blocks that had it.
                    let blocks = blocks.remove(&entry).unwrap_or_default();
                    found.extend(blocks.into_iter().map(|block| (block, Patch::Moved { piece: number, offset })));
                }
                Ok(())
            },
        )?;
    }
    Ok(())
}

/// Missing blocks that may be somewhere else.
struct Wanted {
    by_sum: HashMap<u32, Vec<Entry>>,
    /// A filter of single bits before the map: nearly every byte of a large stretch is looked at in vain.
    filter: Vec<u64>,
}

impl Wanted {
    fn new<'a>(entries: impl Iterator<Item = &'a Entry>) -> Self {
        let mut wanted = Self { by_sum: HashMap::new(), filter: vec![0; 1 << 14] };
        for entry in entries {
            wanted.by_sum.entry(entry.weak).or_default().push(*entry);
            let (word, mask) = Self::bit(entry.weak);
            wanted.filter[word] |= mask;
        }
        wanted
    }

    fn bit(weak: u32) -> (usize, u64) {
        ((weak >> 18) as usize, 1 << (weak >> 12 & 63))
    }

    /// Which of them are somewhere in `window`, and where first; `length` is that of a block.
    fn look_through(&self, window: &[u8], length: usize) -> Vec<(Entry, usize)> {
        let mut hits: HashMap<Entry, usize> = HashMap::new();
        let Some(first) = window.get(..length) else { return Vec::new() };
        let (mut at, mut rolling) = (0, Rolling::of(first));
        loop {
            if let Some(entry) = self.matching(rolling, &window[at..at + length], &hits) {
                hits.insert(entry, at);
                // Blocks that follow each other follow each other here. Elsewhere no byte is passed over: a block of zeros may
                // have been found in the middle of another one.
                if let Some(next) = window.get(at + length..at + 2 * length) {
                    let ahead = Rolling::of(next);
                    if self.matching(ahead, next, &hits).is_some() {
                        (at, rolling) = (at + length, ahead);
                        continue;
                    }
                }
            }
            let Some(next) = window.get(at + length) else { return hits.into_iter().collect() };
            rolling.step(window[at], *next);
            at += 1;
        }
    }

    /// The missing block that this one is, unless it has been found.
    fn matching(&self, rolling: Rolling, block: &[u8], found: &HashMap<Entry, usize>) -> Option<Entry> {
        let sum = rolling.sum();
        let (word, mask) = Self::bit(sum);
        if self.filter[word] & mask == 0 {
            return None;
        }
        let mut candidates = self.by_sum.get(&sum)?.iter().filter(|entry| !found.contains_key(entry)).peekable();
        // No block is hashed in vain: in a long stretch of zeros every byte begins the same block.
        candidates.peek()?;
        let strong = Entry::strong_of(block);
        candidates.find(|entry| entry.strong == strong).copied()
    }
}

/// The stretches of the first `length` bytes of a file, as offsets in it, that belong to no sound block.
fn dark(at: u64, length: u64, stamp: &Stamp, bad: &HashMap<u64, Option<Entry>>) -> Vec<(u64, u64)> {
    let size = u64::from(stamp.layout.block_bytes);
    let mut edges: Vec<u64> = bad.keys().copied().collect();
    edges.sort_unstable();
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
    for block in edges {
        add(block * size, (block + 1) * size);
    }
    // When bytes were inserted before, the last blocks lie beyond their places.
    add(stamp.layout.length, at + length);
    stretches
}

#[cfg(test)]
mod tests {
    use super::*;

    fn noise(seed: u64, length: usize) -> Vec<u8> {
        let mut out = vec![0; length];
        blake3::Hasher::new().update(&seed.to_le_bytes()).finalize_xof().fill(&mut out);
        out
    }

    /// Zeros are found at the end of a block that is none of those wanted; that must not hide what follows.
    #[test]
    fn a_block_of_zeros_hides_no_other() {
        let (zeros, first, second) = (vec![0; 64], [vec![0; 32], noise(1, 32)].concat(), noise(2, 64));
        let entries: Vec<Entry> = [&zeros, &first, &second].map(|block| Entry::of(block)).to_vec();
        let wanted = Wanted::new(entries.iter());
        for shift in 0..64 {
            let window =
                [noise(3, 40), vec![0; shift], zeros.clone(), first.clone(), second.clone(), noise(4, 9)].concat();
            let hits: HashMap<Entry, usize> = wanted.look_through(&window, 64).into_iter().collect();
            assert_eq!(hits.len(), 3, "{shift}");
            assert_eq!((hits[&entries[1]], hits[&entries[2]]), (104 + shift, 168 + shift));
        }
    }
}
