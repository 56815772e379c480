//! Making the recovery data of a finished file, window after window: one pass over its bytes, with bounded memory.
//!
//! Blocks are read in order and go to the groups in turn, while a group is worked on some blocks at a time. So a *stripe*
//! of the file waits in memory until each group has these, and another one is filled meanwhile. Where a window has many
//! groups, their blocks are worked on in smaller parts, so that a stripe is not as large as all recovery data.

use std::{
    io,
    ops::Range,
    path::Path,
    sync::{Arc, Mutex, PoisonError},
};

use crossbeam_channel::{Receiver, Sender};

use super::{
    code::{self, Gathered, Shape},
    layout::Layout,
    locate::recovery_of_table,
    packet::{Kind, Packet, Stamp, table_pieces},
    table::{ENTRY_BYTES, Entry},
};
use crate::{
    archive::{pipeline, volume::Volume},
    control::Control,
    error::{Error, Result},
};

/// No stripe is longer, unless it has but one block of each group.
const STRIPE_BYTES: u64 = 48 << 20;
/// Frames that are made at a time.
const FRAMES: usize = 64;

/// Memory that making the recovery data of a layout needs, in bytes, besides what is under way.
pub fn memory_bytes(layout: &Layout) -> u64 {
    let recovery = u64::from(layout.groups) * layout.chunk_bytes();
    let table = layout.window_blocks_max() * ENTRY_BYTES as u64;
    // While data is read two stripes and the table; after that the table, its pieces and their recovery data.
    recovery
        + (2 * part_blocks(layout) * u64::from(layout.groups) * u64::from(layout.block_bytes) + table).max(4 * table)
}

/// Blocks of a group that are worked on at a time.
fn part_blocks(layout: &Layout) -> u64 {
    let row = u64::from(layout.groups) * u64::from(layout.block_bytes);
    let mut part = u64::from(layout.chunk_blocks);
    while part > 1 && part * row > STRIPE_BYTES {
        part /= 2;
    }
    part
}

/// Reads all that `stamp` protects from `volume`, gives every byte in order to `check`, and the frames of recovery data
/// to `put`: for every window the first half of its table, the recovery blocks, and the other half of its table. It is of
/// version 2, whatever version the stamp is of.
///
/// So no stretch of damage that is repaired at all takes both halves, of which either is enough. Counts the bytes read
/// in `control`.
///
/// # Errors
/// When the file cannot be read; those of `check` and `put`; `Stopped`.
pub fn make(
    volume: &Volume,
    stamp: &Stamp,
    check: &mut (dyn FnMut(&[u8]) -> Result<()> + Send),
    put: &mut dyn FnMut(&[u8]) -> Result<()>,
    control: &Control,
) -> Result<()> {
    let stamp = stamp.of_blocks();
    for window in 0..stamp.layout.windows {
        let (table, groups) = read_window(volume, &stamp, window, check, control)?;
        write_window(&stamp, window, &table, groups, put)?;
    }
    Ok(())
}

fn shape_of(layout: &Layout) -> Shape {
    let (points, part) = (layout.chunk_blocks as usize, part_blocks(layout) as usize);
    Shape { points, part, block_bytes: layout.block_bytes as usize }
}

/// Bytes of a stripe, whose memory goes back when the last group has its blocks.
struct Stripe {
    bytes: Vec<u8>,
    back: Sender<Vec<u8>>,
}

impl Drop for Stripe {
    fn drop(&mut self) {
        // Nobody may need it any more.
        let _ = self.back.send(std::mem::take(&mut self.bytes));
    }
}

/// The blocks of one group in a stripe.
struct Work {
    stripe: Arc<Stripe>,
    /// Number of the stripe's first block, counted in the window.
    first: usize,
    group: usize,
}

/// Reads a window stripe by stripe, and gives out the groups of one while the next is filled.
struct Reader<'a> {
    volume: &'a Volume,
    layout: Layout,
    blocks: Range<u64>,
    check: &'a mut (dyn FnMut(&[u8]) -> Result<()> + Send),
    stripe_blocks: u64,
    /// The next block to be read.
    at: u64,
    filling: Vec<u8>,
    full: Option<(Arc<Stripe>, usize, Range<usize>)>,
    spare: Receiver<Vec<u8>>,
    back: Sender<Vec<u8>>,
}

impl Reader<'_> {
    fn next(&mut self) -> Result<Option<Work>> {
        loop {
            self.read_some()?;
            if let Some((stripe, first, groups)) = &mut self.full
                && let Some(group) = groups.next()
            {
                return Ok(Some(Work { stripe: Arc::clone(stripe), first: *first, group }));
            }
            // The last one that is out goes back when its work is done.
            self.full = None;
            if self.filling.is_empty() {
                return Ok(None);
            }
            while !self.is_full() {
                self.read_some()?;
            }
            let next = self.spare.recv().unwrap_or_default();
            let bytes = std::mem::replace(&mut self.filling, next);
            self.filling.clear();
            let there = bytes.len() / self.layout.block_bytes as usize;
            let first = (self.at - self.blocks.start) as usize - there;
            let stripe = Arc::new(Stripe { bytes, back: self.back.clone() });
            self.full = Some((stripe, first, 0..(self.layout.groups as usize).min(there)));
        }
    }

    fn is_full(&self) -> bool {
        let block = u64::from(self.layout.block_bytes);
        self.at == self.blocks.end || self.filling.len() as u64 >= self.stripe_blocks * block
    }

    /// Reads on by as much as one group takes of a stripe.
    fn read_some(&mut self) -> Result<()> {
        if self.is_full() {
            return Ok(());
        }
        let (block, layout) = (u64::from(self.layout.block_bytes), &self.layout);
        let room = self.stripe_blocks - self.filling.len() as u64 / block;
        let count = room.min(self.blocks.end - self.at).min(self.stripe_blocks.div_ceil(u64::from(layout.groups)));
        let (from, old) = (self.at * block, self.filling.len());
        let there = (count * block).min(layout.length - from) as usize;
        // The last block of the file is filled up, here as in every reader.
        self.filling.resize(old + (count * block) as usize, 0);
        let bytes = &mut self.filling[old..old + there];
        self.volume.read_at(from, bytes).map_err(|e| read_error(self.volume, e))?;
        (self.check)(bytes)?;
        self.at += count;
        Ok(())
    }
}

/// The table of a window, and the recovery data of its groups, still transformed.
fn read_window(
    volume: &Volume,
    stamp: &Stamp,
    window: u32,
    check: &mut (dyn FnMut(&[u8]) -> Result<()> + Send),
    control: &Control,
) -> Result<(Vec<u8>, Vec<Gathered>)> {
    let layout = stamp.layout;
    let (shape, block_bytes, count) = (shape_of(&layout), layout.block_bytes as usize, layout.groups as usize);
    let groups: Vec<Mutex<Gathered>> = (0..count).map(|_| Mutex::default()).collect();
    let blocks = layout.window_blocks(window);
    let mut table = vec![0; (blocks.end - blocks.start) as usize * ENTRY_BYTES];
    let (back, spare) = crossbeam_channel::unbounded::<Vec<u8>>();
    // Two stripes: no more are under way.
    let _ = back.send(Vec::new());
    let stripe_blocks = (shape.part * count) as u64;
    let (at, filling) = (blocks.start, Vec::new());
    let mut reader = Reader { volume, layout, blocks, check, stripe_blocks, at, filling, full: None, spare, back };
    let (spent_in, spent) = crossbeam_channel::unbounded::<Vec<u8>>();
    pipeline::run(
        || {
            control.check()?;
            reader.next()
        },
        |Work { stripe, first, group }: Work| {
            let mut part = spent.try_recv().unwrap_or_default();
            part.clear();
            let all = stripe.bytes.chunks_exact(block_bytes).skip(group).step_by(count);
            all.for_each(|block| part.extend_from_slice(block));
            drop(stripe);
            let (read, number) = (part.len() as u64, first / count);
            let mut entries = Vec::with_capacity(read as usize / block_bytes * ENTRY_BYTES);
            part.chunks_exact(block_bytes).for_each(|block| Entry::of(block).encode(&mut entries));
            let transformed = shape.transform(part, number);
            let mut gathered = groups[group].lock().unwrap_or_else(PoisonError::into_inner);
            let part = gathered.add(transformed);
            drop(gathered);
            // What there is no use for is simply freed.
            let _ = spent_in.send(part);
            Ok((first + group, read, entries))
        },
        |(first, read, entries): (usize, u64, Vec<u8>)| {
            let places = table.chunks_exact_mut(ENTRY_BYTES).skip(first).step_by(count);
            places.zip(entries.chunks_exact(ENTRY_BYTES)).for_each(|(place, entry)| place.copy_from_slice(entry));
            control.add(read);
            Ok(())
        },
    )?;
    drop(reader);
    let groups = groups.into_iter().map(|group| group.into_inner().unwrap_or_else(PoisonError::into_inner)).collect();
    Ok((table, groups))
}

/// What the frames of a group carry.
struct Made {
    blocks: Vec<u8>,
    table_recovery: Vec<Vec<u8>>,
    table: [u8; 32],
}

fn write_window(
    stamp: &Stamp,
    window: u32,
    table: &[u8],
    groups: Vec<Gathered>,
    put: &mut dyn FnMut(&[u8]) -> Result<()>,
) -> Result<()> {
    let layout = stamp.layout;
    let (shape, block_bytes, recovery) =
        (shape_of(&layout), layout.block_bytes as usize, layout.recovery_blocks as usize);
    let packet = Packet {
        stamp: *stamp,
        kind: Kind::Table,
        window,
        group: 0,
        number: 0,
        table: *blake3::hash(table).as_bytes(),
    };
    let (count, length) = table_pieces(table.len(), block_bytes);
    let mut padded = table.to_vec();
    padded.resize(count * length, 0);
    let first: Vec<&[u8]> = padded.chunks_exact(length).collect();
    for (number, piece) in (0..).zip(&first) {
        put(&Packet { number, ..packet }.encode(piece))?;
    }
    let mut made = Vec::with_capacity(groups.len());
    let mut groups = groups.into_iter().enumerate();
    pipeline::run(
        || Ok(groups.next()),
        |(group, gathered): (usize, Gathered)| {
            let blocks = gathered.finish(shape, recovery);
            let entries = table.chunks_exact(ENTRY_BYTES).skip(group).step_by(layout.groups as usize);
            let own: Vec<u8> = entries.flatten().copied().collect();
            let table_recovery = recovery_of_table(&own, layout.table_recovery())?;
            Ok(Made { blocks, table_recovery, table: *blake3::hash(&own).as_bytes() })
        },
        |group: Made| {
            made.push(group);
            Ok(())
        },
    )?;
    // One of each group, again and again.
    let order: Vec<u32> = layout.recovery_order(window).collect();
    let all: Vec<(u32, u32)> =
        (0..layout.recovery_blocks).flat_map(|number| order.iter().map(move |group| (number, *group))).collect();
    let mut parts = all.chunks(FRAMES);
    pipeline::run(
        || Ok(parts.next()),
        |part: &[(u32, u32)]| {
            let one = |(number, group): &(u32, u32)| {
                let (made, n) = (&made[*group as usize], *number as usize);
                let block = &made.blocks[n * block_bytes..][..block_bytes];
                let body = [block, &made.table_recovery[2 * n], &made.table_recovery[2 * n + 1]].concat();
                let (kind, table) = (Kind::Recovery, made.table);
                Packet { kind, group: *group, number: *number, table, ..packet }.encode(&body)
            };
            Ok(part.iter().map(one).collect::<Vec<_>>())
        },
        |frames: Vec<Vec<u8>>| frames.iter().try_for_each(|frame| put(frame)),
    )?;
    for (number, piece) in (count as u32..).zip(code::encode_at_once(&first, count)?) {
        put(&Packet { number, ..packet }.encode(&piece))?;
    }
    Ok(())
}

fn read_error(volume: &Volume, error: io::Error) -> Error {
    let path = volume.pieces().first().map_or(Path::new(""), |p| p.path.as_path());
    Error::io("read", path, error)
}
