//! Making a damaged file whole again: its blocks are held against the table, those that moved are found where they are, and
//! the others are made from the recovery data of their group.

use std::{
    collections::{HashMap, HashSet},
    path::Path,
};

use serde::{Deserialize, Serialize};

use super::{
    code::{self, Feed},
    find::{self, Packets},
    packet::Stamp,
    spool::Spool,
    table::{Entry, Rolling},
};
use crate::{
    archive::{
        pipeline,
        volume::{Patch, Patches, Volume},
    },
    control::{Control, Phase},
    error::{Error, ErrorKind, Result},
};

/// Moved blocks are looked for while no more than this are missing: their table is held in memory.
const LOOKED_FOR_MAX: usize = 4 << 20;
/// Memory for the groups that are repaired at a time.
const REPAIR_BYTES: u64 = 192 << 20;

/// What is wrong with a file that has recovery data.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Damage {
    /// Number of its blocks.
    pub blocks: u64,
    /// Length of a block in bytes.
    pub block_bytes: u32,
    /// Blocks that are not at their place as they were written.
    pub damaged: u64,
    /// How many of them were found at another place.
    pub moved: u64,
    /// How many of them the recovery data brought back.
    pub repaired: u64,
    /// How many of them are lost.
    pub lost: u64,
    /// Blocks of which nothing can be told, because their part of the table is lost; they may be sound.
    #[serde(default)]
    pub unknown: u64,
    /// Frames of recovery data that are damaged themselves.
    pub recovery_damaged: u64,
}

impl Damage {
    /// Whether everything is known to be whole again.
    pub fn is_repaired(&self) -> bool {
        self.lost == 0 && self.unknown == 0
    }

    /// The same damage of a file whose content was proven in another way: then only what stands after it is damaged.
    pub fn of_recovery_only(self) -> Self {
        Self { damaged: 0, moved: 0, repaired: 0, lost: 0, unknown: 0, ..self }
    }

    /// For people: `52 of 640 blocks of 16.0 KB are damaged, 3 of them only moved`.
    pub fn in_words(&self) -> String {
        if self.unknown == self.blocks && self.blocks > 0 {
            return "the recovery data can not be used, because the table in it is lost".to_owned();
        }
        if self.damaged == 0 && self.unknown == 0 {
            return match self.recovery_damaged {
                0 => "the content is whole, but not what stands after it".to_owned(),
                1 => "the content is whole, but a part of the recovery data is damaged".to_owned(),
                n => format!("the content is whole, but {n} parts of the recovery data are damaged"),
            };
        }
        let size = crate::storage::space::human_bytes(u64::from(self.block_bytes));
        let mut words = format!("{} of {} blocks of {size} are damaged", self.damaged, self.blocks);
        if self.moved > 0 {
            words += &format!(", {} of them only moved", self.moved);
        }
        if self.unknown > 0 {
            words +=
                &format!("; of {} nothing is known, because their part of the recovery data is lost", self.unknown);
        }
        match self.recovery_damaged {
            0 => {}
            1 => words += "; a part of the recovery data is damaged too",
            n => words += &format!("; {n} parts of the recovery data are damaged too"),
        }
        words
    }
}

/// A file as it was, as far as it could be made whole.
#[derive(Debug)]
pub struct Mended {
    /// What is protected, with all that was found or repaired in its place.
    pub volume: Volume,
    /// What the recovery data says of the file.
    pub stamp: Stamp,
    /// What was wrong.
    pub damage: Damage,
}

/// Makes `volume` whole as far as its recovery data goes; gives it back (`Err` inside) when it has none.
///
/// Repaired blocks wait in memory, or in a file in `scratch`. What is brought back agrees with the table of blocks; whoever
/// reads it proves it again by the checksums of the format.
///
/// # Errors
/// When there is no place for the repaired blocks; `Stopped`.
pub fn mend(volume: Volume, scratch: &Path, control: &Control) -> Result<std::result::Result<Mended, Volume>> {
    control.phase(Phase::Repairing, 0);
    let Some(packets) = Packets::find(&volume, control)? else { return Ok(Err(volume)) };
    let stamp = packets.stamp;
    let layout = stamp.layout;
    control.phase(Phase::Repairing, layout.length);
    let mut damage = Damage {
        blocks: layout.blocks(),
        block_bytes: layout.block_bytes,
        recovery_damaged: find::expected(&stamp).saturating_sub(packets.count()),
        ..Damage::default()
    };
    let mut bad: HashMap<u64, Option<Entry>> = HashMap::new();
    for window in 0..layout.windows {
        let table = packets.table(&volume, window);
        check(&volume, &stamp, window, table.as_deref(), &mut bad, control)?;
    }
    damage.unknown = bad.values().filter(|entry| entry.is_none()).count() as u64;
    damage.damaged = bad.len() as u64 - damage.unknown;
    let mut blocks = HashMap::new();
    if damage.damaged > 0 && bad.len() <= LOOKED_FOR_MAX {
        search(&volume, &packets, &bad, &mut blocks, control)?;
        damage.moved = blocks.len() as u64;
        bad.retain(|block, _| !blocks.contains_key(block));
    }
    let patches = Patches { block_bytes: u64::from(layout.block_bytes), blocks, spool: Spool::new(scratch) };
    let volume = volume.patched(patches, layout.length);
    let (patched, spool) = repair(&volume, &packets, &bad, Spool::new(scratch), control)?;
    damage.repaired = patched.len() as u64;
    damage.lost = damage.damaged - damage.moved - damage.repaired;
    Ok(Ok(Mended { volume: volume.patched_too(patched, spool), stamp, damage }))
}

/// Compares the blocks of a window with its table; without one, none of them is known to be sound.
fn check(
    volume: &Volume,
    stamp: &Stamp,
    window: u32,
    table: Option<&[Entry]>,
    bad: &mut HashMap<u64, Option<Entry>>,
    control: &Control,
) -> Result<()> {
    let layout = stamp.layout;
    let first = layout.window_blocks(window).start;
    let Some(table) = table else {
        bad.extend(layout.window_blocks(window).map(|block| (block, None)));
        return Ok(());
    };
    let mut chunks = layout.window_chunks(window);
    pipeline::run(
        || {
            control.check()?;
            let Some(chunk) = chunks.next() else { return Ok(None) };
            let blocks = layout.chunk(chunk);
            let mut bytes = vec![0; ((blocks.end - blocks.start) * u64::from(layout.block_bytes)) as usize];
            read_chunk(volume, stamp, chunk, &mut bytes);
            Ok(Some((blocks, bytes)))
        },
        |(blocks, bytes)| {
            let entries = table.iter().skip((blocks.start - first) as usize);
            let compared = blocks.zip(entries).zip(bytes.chunks_exact(layout.block_bytes as usize));
            let wrong = compared.filter(|((_, entry), block)| !entry.is(block));
            Ok((bytes.len() as u64, wrong.map(|((block, entry), _)| (block, Some(*entry))).collect::<Vec<_>>()))
        },
        |(read, wrong): (u64, Vec<_>)| {
            bad.extend(wrong);
            control.add(read);
            Ok(())
        },
    )
}

/// The bytes of a chunk, the last block of the file filled up with zeros.
fn read_chunk(volume: &Volume, stamp: &Stamp, chunk: u64, bytes: &mut [u8]) {
    let from = chunk * stamp.layout.chunk_bytes();
    let there = (stamp.layout.length - from).min(bytes.len() as u64) as usize;
    volume.read_lossy(from, &mut bytes[..there]);
    bytes[there..].fill(0);
}

/// Looks for missing blocks at every byte of the files that belongs to no sound block.
fn search(
    volume: &Volume,
    packets: &Packets,
    bad: &HashMap<u64, Option<Entry>>,
    found: &mut HashMap<u64, Patch>,
    control: &Control,
) -> Result<()> {
    let stamp = &packets.stamp;
    let length = stamp.layout.block_bytes as usize;
    let last = stamp.layout.blocks() - 1;
    let mut wanted: HashMap<u32, Vec<(u64, Entry)>> = HashMap::new();
    // A filter of single bits before the map: nearly every byte of a large stretch is looked at in vain.
    let mut filter = vec![0u64; 1 << 14];
    let bit = |weak: u32| ((weak >> 18) as usize, 1u64 << (weak >> 12 & 63));
    for (block, entry) in bad {
        // The last block is shorter as it stands in the file.
        if let Some(entry) = entry
            && *block != last
        {
            wanted.entry(entry.weak).or_default().push((*block, *entry));
            let (word, mask) = bit(entry.weak);
            filter[word] |= mask;
        }
    }
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
        for (from, to) in dark(piece.at, packets.first_in(volume, number), stamp, bad) {
            let mut window: Vec<u8> = Vec::new();
            let mut begin = from;
            while begin + length as u64 <= to {
                control.check()?;
                let count = (to - begin).min((length + (4 << 20)) as u64) as usize;
                window.resize(count, 0);
                volume.read_piece_lossy(number, begin, &mut window);
                let mut at = 0;
                let mut rolling = Rolling::of(&window[..length]);
                loop {
                    let (word, mask) = bit(rolling.sum());
                    let hit = filter[word] & mask != 0
                        && wanted.get_mut(&rolling.sum()).is_some_and(|candidates| {
                            let bytes = &window[at..at + length];
                            let same = candidates.first().is_some_and(|(_, entry)| entry.is(bytes))
                                || candidates.iter().any(|(_, entry)| entry.is(bytes));
                            if same {
                                candidates.retain(|(block, entry)| {
                                    let is = entry.is(bytes);
                                    if is {
                                        let offset = begin + at as u64;
                                        found.insert(*block, Patch::Moved { piece: number, offset });
                                    }
                                    !is
                                });
                            }
                            same
                        });
                    let step = if hit { length } else { 1 };
                    if at + step + length > count {
                        at += step;
                        break;
                    }
                    if hit {
                        at += length;
                        rolling = Rolling::of(&window[at..at + length]);
                    } else {
                        rolling.step(window[at], window[at + length]);
                        at += 1;
                    }
                }
                begin += at as u64;
            }
        }
    }
    Ok(())
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

/// Brings back blocks from the recovery data of their groups; those of a group that has lost too much stay lost.
fn repair(
    volume: &Volume,
    packets: &Packets,
    bad: &HashMap<u64, Option<Entry>>,
    mut spool: Spool,
    control: &Control,
) -> Result<(HashMap<u64, Patch>, Spool)> {
    let stamp = packets.stamp;
    let layout = stamp.layout;
    let mut touched: HashMap<(u32, u32), HashSet<u64>> = HashMap::new();
    for block in bad.keys() {
        let window = layout.window_of(*block);
        let (group, _) = layout.group_of(block / u64::from(layout.chunk_blocks), window);
        touched.entry((window, group)).or_default().insert(*block);
    }
    let mut groups: Vec<((u32, u32), HashSet<u64>)> = touched.into_iter().collect();
    groups.retain(|((window, group), lost)| {
        let known = lost.iter().all(|block| bad.get(block).is_some_and(Option::is_some));
        known && lost.len() <= packets.recovery_at_hand(*window, *group)
    });
    groups.sort_by_key(|(place, _)| *place);
    let group_bytes = layout.group_blocks_max().next_power_of_two() * u64::from(layout.block_bytes) * 2;
    let at_a_time = (REPAIR_BYTES / group_bytes.max(1)).clamp(1, pipeline::workers() as u64) as usize;
    control.phase(Phase::Repairing, groups.len() as u64 * group_bytes);
    let mut groups = groups.into_iter();
    let mut patches = HashMap::new();
    pipeline::run_on(
        at_a_time,
        || {
            control.check()?;
            Ok(groups.next())
        },
        |((window, group), lost)| Ok(repair_group(volume, packets, (window, group), &lost, bad)),
        |blocks: Vec<(u64, Vec<u8>)>| {
            for (block, bytes) in blocks {
                let offset = spool.push(&bytes).map_err(|e| {
                    Error::new(ErrorKind::NoSpace, "there is no place for the repaired parts")
                        .hint("Free space on the disk of the archive, or where this system keeps temporary files.")
                        .because(e)
                })?;
                patches.insert(block, Patch::Repaired { offset });
            }
            control.add(group_bytes);
            Ok(())
        },
    )?;
    Ok((patches, spool))
}

fn repair_group(
    volume: &Volume,
    packets: &Packets,
    (window, group): (u32, u32),
    lost: &HashSet<u64>,
    bad: &HashMap<u64, Option<Entry>>,
) -> Vec<(u64, Vec<u8>)> {
    let stamp = &packets.stamp;
    let layout = stamp.layout;
    let size = layout.block_bytes as usize;
    let blocks: Vec<u64> = layout.group_blocks(window, group).collect();
    let recovery = packets.recovery(volume, window, group, lost.len());
    let mut sound = |feed: Feed<'_>| {
        let mut number = 0;
        for chunk in layout.group_chunks(window, group) {
            let of_chunk = layout.chunk(chunk);
            let mut bytes = vec![0; (of_chunk.end - of_chunk.start) as usize * size];
            read_chunk(volume, stamp, chunk, &mut bytes);
            for (block, bytes) in of_chunk.zip(bytes.chunks_exact(size)) {
                if !lost.contains(&block) {
                    feed(number, bytes)?;
                }
                number += 1;
            }
        }
        Ok(())
    };
    let shape = (blocks.len(), layout.recovery_blocks as usize, size);
    let Ok(back) = code::decode(shape, &mut sound, &recovery) else { return Vec::new() };
    let back: Vec<(u64, Vec<u8>)> = back.into_iter().map(|(number, bytes)| (blocks[number], bytes)).collect();
    let proven = |(block, bytes): &(u64, Vec<u8>)| bad.get(block).copied().flatten().is_some_and(|e| e.is(bytes));
    if back.iter().all(proven) { back } else { Vec::new() }
}
