//! Making the recovery data of a finished file, window after window: one pass over its bytes, with bounded memory.
//!
//! Blocks are read in order and go to the groups in turn, while a group is worked on some blocks at a time. So a
//! *stripe* of the file waits in memory until each group has these, and another one is filled meanwhile. Where a
//! window has many groups, their blocks are worked on in smaller parts, so that a stripe is not as large as all
//! recovery data.

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

/// Reads all that `stamp` protects from `volume`, gives every byte in order to `check`, and the frames of recovery
/// data to `put`: for every window the first half of its table, the recovery blocks, and the other half of its table.
/// It is of version 2, whatever version the stamp is of.
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
    let memory = Memory::new();
    for window in 0..stamp.layout.windows {
        let (table, groups) = read_window(volume, &stamp, window, check, &memory, control)?;
        write_window(&stamp, window, &table, groups, put)?;
    }
    Ok(())
}

fn shape_of(layout: &Layout) -> Shape {
    let (points, part) = (layout.chunk_blocks as usize, part_blocks(layout) as usize);
    Shape { points, part, block_bytes: layout.block_bytes as usize }
}

/// Memory that is used again for the next stripes, also in the next window: to get fresh pages from the system costs as
/// much as to work on them.
struct Memory {
    back: Sender<Vec<u8>>,
    stripes: Receiver<Vec<u8>>,
    spent: (Sender<Vec<u8>>, Receiver<Vec<u8>>),
}

impl Memory {
    fn new() -> Self {
        let (back, stripes) = crossbeam_channel::unbounded();
        // Two stripes: no more are under way.
        let _ = back.send(Vec::new()).and_then(|()| back.send(Vec::new()));
        Self { back, stripes, spent: crossbeam_channel::unbounded() }
    }

    fn stripe(&self, length: usize) -> Stripe {
        let bytes = self.stripes.recv().unwrap_or_default();
        // All of them are equally long, once they are there.
        let bytes = if bytes.len() < length { vec![0; length] } else { bytes };
        Stripe { bytes, filled: 0, back: self.back.clone() }
    }
}

/// Bytes of a stripe, whose memory goes back when the last group has its blocks.
struct Stripe {
    bytes: Vec<u8>,
    filled: usize,
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
    memory: &'a Memory,
    blocks: Range<u64>,
    check: &'a mut (dyn FnMut(&[u8]) -> Result<()> + Send),
    stripe_bytes: usize,
    /// The next block to be read.
    at: u64,
    filling: Option<Stripe>,
    full: Option<(Arc<Stripe>, usize, Range<usize>)>,
}

impl Reader<'_> {
    fn next(&mut self) -> Result<Option<Work>> {
        loop {
            if let Some((stripe, first, groups)) = &mut self.full
                && let Some(group) = groups.next()
            {
                let work = Work { stripe: Arc::clone(stripe), first: *first, group };
                // The next one is filled bit by bit, while this one is worked on.
                self.read_some()?;
                return Ok(Some(work));
            }
            // The last group that is out gives it back when its work is done.
            self.full = None;
            while !self.is_full() {
                self.read_some()?;
            }
            let Some(stripe) = self.filling.take() else { return Ok(None) };
            let there = stripe.filled.div_ceil(self.layout.block_bytes as usize);
            let first = (self.at - self.blocks.start) as usize - there;
            self.full = Some((Arc::new(stripe), first, 0..(self.layout.groups as usize).min(there)));
        }
    }

    fn is_full(&self) -> bool {
        self.at == self.blocks.end || self.filling.as_ref().is_some_and(|stripe| stripe.filled == self.stripe_bytes)
    }

    /// Reads on by as much as one group takes of a stripe.
    fn read_some(&mut self) -> Result<()> {
        if self.is_full() {
            return Ok(());
        }
        let stripe = self.filling.get_or_insert_with(|| self.memory.stripe(self.stripe_bytes));
        let (block, layout) = (u64::from(self.layout.block_bytes), &self.layout);
        let room = (self.stripe_bytes - stripe.filled) as u64 / block;
        let of_a_group = (self.stripe_bytes as u64 / block).div_ceil(u64::from(layout.groups));
        let count = room.min(self.blocks.end - self.at).min(of_a_group);
        let (from, end) = (self.at * block, stripe.filled + (count * block) as usize);
        let there = (count * block).min(layout.length - from) as usize;
        let bytes = &mut stripe.bytes[stripe.filled..end];
        let (bytes, rest) = bytes.split_at_mut(there);
        // The last block of the file is filled up, here as in every reader.
        rest.fill(0);
        self.volume.read_at(from, bytes).map_err(|e| read_error(self.volume, e))?;
        (self.check)(bytes)?;
        stripe.filled = end;
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
    memory: &Memory,
    control: &Control,
) -> Result<(Vec<u8>, Vec<Gathered>)> {
    let layout = stamp.layout;
    let (shape, block_bytes, count) = (shape_of(&layout), layout.block_bytes as usize, layout.groups as usize);
    let groups: Vec<Mutex<Gathered>> = (0..count).map(|_| Mutex::default()).collect();
    let blocks = layout.window_blocks(window);
    let mut table = vec![0; (blocks.end - blocks.start) as usize * ENTRY_BYTES];
    let (at, stripe_bytes) = (blocks.start, shape.part * count * block_bytes);
    let mut reader = Reader { volume, layout, memory, blocks, check, stripe_bytes, at, filling: None, full: None };
    let (spent_in, spent) = &memory.spent;
    pipeline::run(
        || {
            control.check()?;
            reader.next()
        },
        |Work { stripe, first, group }: Work| {
            let work = spent.try_recv().ok().filter(|work| !work.is_empty());
            let mut work = work.unwrap_or_else(|| vec![0; shape.work_bytes()]);
            let mut entries = Vec::with_capacity(shape.part * ENTRY_BYTES);
            let blocks = stripe.bytes[..stripe.filled].chunks_exact(block_bytes).skip(group).step_by(count);
            for (block, place) in blocks.zip(work.chunks_exact_mut(block_bytes)) {
                place.copy_from_slice(block);
                Entry::of(place).encode(&mut entries);
            }
            drop(stripe);
            let number = entries.len() / ENTRY_BYTES;
            let transformed = shape.transform(work, number, first / count);
            let mut gathered = groups[group].lock().unwrap_or_else(PoisonError::into_inner);
            let part = gathered.add(transformed);
            drop(gathered);
            let read = (number * block_bytes) as u64;
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
                let body = [block, &made.table_recovery[2 * n], &made.table_recovery[2 * n + 1]];
                let (kind, table) = (Kind::Recovery, made.table);
                Packet { kind, group: *group, number: *number, table, ..packet }.encode_parts(&body)
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
