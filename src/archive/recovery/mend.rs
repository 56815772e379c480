//! Making a damaged file whole again: its blocks are held against the table, those that moved are found where they are,
//! and the others are made from the recovery data of their group.

use std::{
    collections::{BTreeMap, HashMap, HashSet, VecDeque},
    ops::Range,
    path::Path,
};

use serde::{Deserialize, Serialize};

use super::{
    code::Workspace,
    find::{self, Packets},
    layout::{Dealt, Layout},
    locate::GroupTable,
    packet::Stamp,
    search::{search, search_all},
    spool::Spool,
    table::Entry,
};
use crate::{
    archive::{
        pipeline,
        volume::{Patch, Patches, Volume},
    },
    control::{Control, Phase},
    error::Result,
};

/// Blocks that stand elsewhere are looked for while no more than this are missing: their table is held in memory.
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
    /// How many of them the recovery data brought back; of a block of zeros the table alone does.
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

    /// The same damage once its content was proven in another way: what could not be told is sound then.
    #[must_use]
    pub fn of_proven(self) -> Self {
        if self.lost == 0 { Self { unknown: 0, ..self } } else { self.of_recovery_only() }
    }

    /// For people: `52 of 640 blocks of 16.0 KB are damaged, 3 of them whole but in the wrong place`.
    pub fn in_words(&self) -> String {
        if self.unknown == self.blocks && self.blocks > 0 {
            return "the recovery data cannot be used, because the table in it is lost".to_owned();
        }
        if self.damaged == 0 && self.unknown == 0 {
            return match self.recovery_damaged {
                0 => "the files in it are whole; damaged is only the end of the archive, which a restore does not need"
                    .to_owned(),
                1 => "the content is whole, but a part of the recovery data is damaged".to_owned(),
                n => format!("the content is whole, but {n} parts of the recovery data are damaged"),
            };
        }
        let size = crate::storage::space::human_bytes(u64::from(self.block_bytes));
        let mut words = format!("{} of {} blocks of {size} are damaged", self.damaged, self.blocks);
        if self.moved > 0 {
            words += &format!(", {} of them whole but in the wrong place", self.moved);
        }
        if self.unknown > 0 {
            words += &format!(
                "; whether {} more are damaged cannot be told, because their part of the recovery data is lost",
                self.unknown
            );
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
/// Repaired blocks wait in memory, or in a file in `scratch`. What is brought back agrees with the table of blocks;
/// whoever reads it proves it again by the checksums of the format.
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
        let table = table_of(&volume, &packets, window, control)?;
        check(&volume, &stamp, (window, &table), &mut bad, control)?;
    }
    damage.unknown = bad.values().filter(|entry| entry.is_none()).count() as u64;
    damage.damaged = bad.len() as u64 - damage.unknown;
    // Zeros need not be found anywhere.
    let zeros = Entry::of(&vec![0; layout.block_bytes as usize]);
    let of_zeros = bad.iter().filter(|(_, entry)| **entry == Some(zeros)).map(|(block, _)| (*block, Patch::Zeros));
    let mut blocks: HashMap<u64, Patch> = of_zeros.collect();
    damage.repaired = blocks.len() as u64;
    let is_looked_for = bad.len() - blocks.len() <= LOOKED_FOR_MAX;
    if damage.damaged > damage.repaired && is_looked_for {
        search(&volume, &packets, &bad, &mut blocks, control)?;
    }
    bad.retain(|block, _| !blocks.contains_key(block));
    // What the recovery data does not bring back may also stand within what is sound.
    let beyond = if is_looked_for { beyond_recovery(&packets, &bad) } else { HashMap::new() };
    if !beyond.is_empty() {
        search_all(&volume, &packets, &beyond, &mut blocks, control)?;
        bad.retain(|block, _| !blocks.contains_key(block));
    }
    damage.moved = blocks.len() as u64 - damage.repaired;
    let patches = Patches { block_bytes: u64::from(layout.block_bytes), blocks, spool: Spool::new(scratch) };
    let volume = volume.patched(patches, layout.length);
    let (patched, spool) = repair(&volume, &packets, &bad, Spool::new(scratch), control)?;
    damage.repaired += patched.len() as u64;
    damage.lost = damage.damaged - damage.moved - damage.repaired;
    Ok(Ok(Mended { volume: volume.patched_too(patched, spool), stamp, damage }))
}

/// The damaged blocks of each group, by window and group.
fn by_group(layout: &Layout, bad: &HashMap<u64, Option<Entry>>) -> HashMap<(u32, u32), HashSet<u64>> {
    let mut groups: HashMap<(u32, u32), HashSet<u64>> = HashMap::new();
    for block in bad.keys() {
        let window = layout.window_of(*block);
        groups.entry((window, layout.group_of(*block, window))).or_default().insert(*block);
    }
    groups
}

/// Those damaged blocks whose groups have lost more than their recovery data brings back.
fn beyond_recovery(packets: &Packets, bad: &HashMap<u64, Option<Entry>>) -> HashMap<u64, Option<Entry>> {
    let mut groups = by_group(&packets.stamp.layout, bad);
    groups.retain(|(window, group), lost| lost.len() > packets.recovery_at_hand(*window, *group));
    let blocks = groups.into_values().flatten();
    blocks.filter_map(|block| Some((block, Some((*bad.get(&block)?)?)))).collect()
}

/// The table of a window, block by block as far as it is known: from its frames, or else group by group from what the
/// frames of recovery blocks carry of it.
fn table_of(volume: &Volume, packets: &Packets, window: u32, control: &Control) -> Result<Vec<Option<Entry>>> {
    if let Some(table) = packets.table(volume, window) {
        return Ok(table.into_iter().map(Some).collect());
    }
    let layout = packets.stamp.layout;
    let blocks = layout.window_blocks(window);
    let (first, mut now, mut table) = (blocks.start, Vec::new(), vec![None; (blocks.end - blocks.start) as usize]);
    if layout.dealt == Dealt::Chunks {
        return Ok(table);
    }
    let mut stretches = stretches(&layout, window);
    pipeline::run(
        || {
            control.check()?;
            Ok(stretches.next())
        },
        |blocks: Range<u64>| {
            let mut bytes = vec![0; bytes_of(&layout, &blocks)];
            read_blocks(volume, &layout, &blocks, &mut bytes);
            Ok(bytes.chunks_exact(layout.block_bytes as usize).map(Entry::of).collect::<Vec<_>>())
        },
        |entries: Vec<Entry>| {
            now.extend(entries);
            Ok(())
        },
    )?;
    let mut groups = packets.group_tables(volume, window).into_iter();
    let (now, number) = (&now, |block: u64| (block - first) as usize);
    pipeline::run(
        || {
            control.check()?;
            Ok(groups.next())
        },
        |(group, told): (u32, GroupTable)| {
            let own: Vec<Entry> = layout.group_blocks(window, group).map(|block| now[number(block)]).collect();
            Ok((group, told.table(&own, layout.table_recovery())))
        },
        |(group, entries): (u32, Option<Vec<Entry>>)| {
            for (block, entry) in layout.group_blocks(window, group).zip(entries.into_iter().flatten()) {
                table[number(block)] = Some(entry);
            }
            Ok(())
        },
    )?;
    Ok(table)
}

/// Compares the blocks of a window with its table; where that is not known, none of them is known to be sound.
fn check(
    volume: &Volume,
    stamp: &Stamp,
    (window, table): (u32, &[Option<Entry>]),
    bad: &mut HashMap<u64, Option<Entry>>,
    control: &Control,
) -> Result<()> {
    let layout = stamp.layout;
    let first = layout.window_blocks(window).start;
    if table.iter().all(Option::is_none) {
        bad.extend(layout.window_blocks(window).map(|block| (block, None)));
        return Ok(());
    }
    let mut stretches = stretches(&layout, window);
    let (spare_in, spare) = crossbeam_channel::unbounded::<Vec<u8>>();
    pipeline::run(
        || {
            control.check()?;
            Ok(stretches.next().map(|blocks| (blocks, spare.try_recv().unwrap_or_default())))
        },
        // Read by the workers, too: the disk may answer several at a time.
        |(blocks, mut bytes): (Range<u64>, Vec<u8>)| {
            bytes.resize(bytes_of(&layout, &blocks), 0);
            let is_whole = read_blocks(volume, &layout, &blocks, &mut bytes);
            let entries = table.iter().skip((blocks.start - first) as usize);
            let compared = blocks.zip(entries).zip(bytes.chunks_exact(layout.block_bytes as usize));
            // Zeros stand for what cannot be read: a block of zeros that is not there only looks sound.
            let is_there = |block: u64| is_whole || can_read(volume, &layout, block);
            let is_wrong = |((block, entry), bytes): &((u64, &Option<Entry>), &[u8])| {
                entry.is_none_or(|entry| !entry.is(bytes)) || !is_there(*block)
            };
            let wrong: Vec<_> = compared.filter(is_wrong).map(|((block, entry), _)| (block, *entry)).collect();
            let read = bytes.len() as u64;
            // The reader may be gone already; then the buffer is simply freed.
            let _ = spare_in.send(bytes);
            Ok((read, wrong))
        },
        |(read, wrong): (u64, Vec<_>)| {
            bad.extend(wrong);
            control.add(read);
            Ok(())
        },
    )
}

/// The blocks of a window in stretches that are read at a time.
fn stretches(layout: &Layout, window: u32) -> impl Iterator<Item = Range<u64>> + use<> {
    let (blocks, length) = (layout.window_blocks(window), u64::from(layout.chunk_blocks));
    blocks.clone().step_by(length as usize).map(move |first| first..(first + length).min(blocks.end))
}

/// Length of these blocks in bytes.
fn bytes_of(layout: &Layout, blocks: &Range<u64>) -> usize {
    ((blocks.end - blocks.start) * u64::from(layout.block_bytes)) as usize
}

/// Reads consecutive blocks, the last block of the file filled up with zeros; false where zeros stand for what cannot
/// be read.
fn read_blocks(volume: &Volume, layout: &Layout, blocks: &Range<u64>, bytes: &mut [u8]) -> bool {
    let from = blocks.start * u64::from(layout.block_bytes);
    let there = (layout.length - from).min(bytes.len() as u64) as usize;
    bytes[there..].fill(0);
    if volume.read_at(from, &mut bytes[..there]).is_ok() {
        return true;
    }
    volume.read_lossy(from, &mut bytes[..there]);
    false
}

/// Whether every byte of a block is there.
fn can_read(volume: &Volume, layout: &Layout, block: u64) -> bool {
    let from = block * u64::from(layout.block_bytes);
    volume.read(from, (layout.length - from).min(layout.block_bytes.into())).is_ok()
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
    let mut groups: Vec<((u32, u32), HashSet<u64>)> = by_group(&layout, bad).into_iter().collect();
    groups.retain(|((window, group), lost)| {
        let known = lost.iter().all(|block| bad.get(block).is_some_and(Option::is_some));
        known && lost.len() <= packets.recovery_at_hand(*window, *group)
    });
    groups.sort_by_key(|(place, _)| *place);
    let shape = (layout.group_blocks_max(), layout.recovery_blocks.into(), layout.block_bytes.into());
    let group_bytes = Workspace::bytes(shape.0, shape.1, shape.2);
    // Some are decoded while the next are read.
    let at_a_time = (REPAIR_BYTES / 2 / group_bytes.max(1)).max(1) as usize;
    control.phase(Phase::Repairing, groups.len() as u64 * group_bytes);
    let mut groups = groups.into_iter().peekable();
    let mut read: VecDeque<Group> = VecDeque::new();
    let mut patches = HashMap::new();
    let (spare_in, spare) = crossbeam_channel::unbounded::<Workspace>();
    pipeline::run_on(
        at_a_time.min(pipeline::workers()),
        || {
            control.check()?;
            if read.is_empty() {
                let fits = |read: &VecDeque<Group>, window: u32| {
                    read.len() < at_a_time && read.back().is_none_or(|last| last.window == window)
                };
                while let Some(((window, group), lost)) = groups.next_if(|((window, _), _)| fits(&read, *window)) {
                    let (workspace, recovery) = (spare.try_recv().unwrap_or_default(), BTreeMap::new());
                    read.push_back(Group { window, group, lost, workspace, recovery });
                }
                read_groups(volume, packets, read.make_contiguous(), control)?;
            }
            Ok(read.pop_front())
        },
        |mut group: Group| {
            let back = group.decode(&layout, bad);
            // There is always somebody to receive it, in this function.
            let _ = spare_in.send(group.workspace);
            Ok(back)
        },
        |blocks: Vec<(u64, Vec<u8>)>| {
            for (block, bytes) in blocks {
                let offset = spool.push(&bytes)?;
                patches.insert(block, Patch::Repaired { offset });
            }
            control.add(group_bytes);
            Ok(())
        },
    )?;
    Ok((patches, spool))
}

/// A group to be decoded.
struct Group {
    window: u32,
    group: u32,
    lost: HashSet<u64>,
    workspace: Workspace,
    recovery: BTreeMap<u32, Vec<u8>>,
}

/// Reads the blocks and recovery blocks of several groups of a window in the order in which they lie: those of one
/// alone lie far from each other, and a turning disk would seek for each.
fn read_groups(volume: &Volume, packets: &Packets, groups: &mut [Group], control: &Control) -> Result<()> {
    let layout = packets.stamp.layout;
    let Some(window) = groups.first().map(|group| group.window) else { return Ok(()) };
    let mut all: Vec<(Range<u64>, usize, usize)> = Vec::new();
    for (n, group) in groups.iter_mut().enumerate() {
        let mut at = 0;
        for stretch in layout.group_stretches(window, group.group) {
            let bytes = bytes_of(&layout, &stretch);
            all.push((stretch, n, at));
            at += bytes;
        }
        group.workspace.blocks.resize(at, 0);
    }
    all.sort_unstable_by_key(|(stretch, ..)| stretch.start);
    for (stretch, n, at) in all {
        control.check()?;
        let part = &mut groups[n].workspace.blocks[at..][..bytes_of(&layout, &stretch)];
        read_blocks(volume, &layout, &stretch, part);
    }
    let wanted: HashMap<u32, usize> = groups.iter().map(|group| (group.group, group.lost.len())).collect();
    let mut recovery = packets.recovery(volume, window, &wanted);
    for group in groups {
        group.recovery = recovery.remove(&group.group).unwrap_or_default();
    }
    Ok(())
}

impl Group {
    /// Its lost blocks; none where what comes back is not what was there.
    fn decode(&mut self, layout: &Layout, bad: &HashMap<u64, Option<Entry>>) -> Vec<(u64, Vec<u8>)> {
        let blocks: Vec<u64> = layout.group_blocks(self.window, self.group).collect();
        let lost = blocks.iter().enumerate().filter(|(_, block)| self.lost.contains(block));
        let (numbers, size) = (lost.map(|(number, _)| number).collect(), layout.block_bytes as usize);
        let shape = (layout.recovery_blocks as usize, size);
        let Ok(back) = self.workspace.decode(&numbers, shape, &self.recovery) else { return Vec::new() };
        let back: Vec<(u64, Vec<u8>)> = back.into_iter().map(|(number, bytes)| (blocks[number], bytes)).collect();
        let proven = |(block, bytes): &(u64, Vec<u8>)| bad.get(block).copied().flatten().is_some_and(|e| e.is(bytes));
        if back.iter().all(proven) { back } else { Vec::new() }
    }
}
