//! Making the recovery data of a finished file, window after window: one pass over its bytes, with bounded memory.

use std::{
    io,
    path::Path,
    sync::{Mutex, PoisonError},
};

use super::{
    code::{self, Gathered},
    packet::{Kind, Packet, Stamp, table_pieces},
    table::Entry,
};
use crate::{
    archive::{pipeline, volume::Volume},
    control::Control,
    error::{Error, Result},
};

/// Reads all that `stamp` protects from `volume`, gives every byte in order to `check`, and the frames of recovery data
/// to `put`: for every window the first half of its table, the recovery blocks, and the other half of its table.
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
    for window in 0..stamp.layout.windows {
        let (table, groups) = read_window(volume, stamp, window, check, control)?;
        write_window(stamp, window, &table, groups, put)?;
    }
    Ok(())
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
    let (block_bytes, chunk_blocks) = (layout.block_bytes as usize, layout.chunk_blocks as usize);
    let groups: Vec<Mutex<Gathered>> = (0..layout.groups).map(|_| Mutex::default()).collect();
    let mut table = Vec::new();
    let mut chunks = layout.window_chunks(window);
    let (spare_in, spare) = crossbeam_channel::unbounded::<Vec<u8>>();
    pipeline::run(
        || {
            control.check()?;
            let Some(chunk) = chunks.next() else { return Ok(None) };
            let from = chunk * layout.chunk_bytes();
            let mut bytes = spare.try_recv().unwrap_or_default();
            bytes.resize((layout.length - from).min(layout.chunk_bytes()) as usize, 0);
            volume.read_at(from, &mut bytes).map_err(|e| read_error(volume, e))?;
            check(&bytes)?;
            Ok(Some((chunk, bytes)))
        },
        |(chunk, mut bytes): (u64, Vec<u8>)| {
            let read = bytes.len() as u64;
            // The last block of the file is filled up, here as in every reader.
            bytes.resize(bytes.len().next_multiple_of(block_bytes), 0);
            let mut entries = Vec::with_capacity(chunk_blocks * super::table::ENTRY_BYTES);
            bytes.chunks_exact(block_bytes).for_each(|block| Entry::of(block).encode(&mut entries));
            let (group, number) = layout.group_of(chunk, window);
            let transformed = code::transform(bytes, number, chunk_blocks, block_bytes);
            let mut gathered = groups[group as usize].lock().unwrap_or_else(PoisonError::into_inner);
            let spent = gathered.add(transformed);
            drop(gathered);
            Ok((read, entries, spent))
        },
        |(read, entries, spent): (u64, Vec<u8>, Vec<u8>)| {
            table.extend(entries);
            control.add(read);
            // The reader may be gone already; then the buffer is simply freed.
            let _ = spare_in.send(spent);
            Ok(())
        },
    )?;
    let groups = groups.into_iter().map(|group| group.into_inner().unwrap_or_else(PoisonError::into_inner)).collect();
    Ok((table, groups))
}

fn write_window(
    stamp: &Stamp,
    window: u32,
    table: &[u8],
    groups: Vec<Gathered>,
    put: &mut dyn FnMut(&[u8]) -> Result<()>,
) -> Result<()> {
    let layout = stamp.layout;
    let (block_bytes, chunk_blocks) = (layout.block_bytes as usize, layout.chunk_blocks as usize);
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
    let mut groups: Vec<Option<Gathered>> = groups.into_iter().map(Some).collect();
    let mut order = layout.recovery_order(window);
    pipeline::run(
        || Ok(order.next().and_then(|group| Some((group, groups.get_mut(group as usize)?.take()?)))),
        |(group, gathered): (u32, Gathered)| {
            let recovery = layout.recovery_blocks as usize;
            let blocks = gathered.finish(chunk_blocks, recovery, block_bytes);
            let one =
                |(number, block): (u32, &[u8])| Packet { kind: Kind::Recovery, group, number, ..packet }.encode(block);
            Ok((0..).zip(blocks.chunks_exact(block_bytes)).map(one).collect::<Vec<_>>())
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
