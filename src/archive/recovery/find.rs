//! Finding recovery data in files that are damaged in any way: packets are looked for everywhere, by their tag.

use std::collections::{BTreeMap, HashMap};

use memchr::memmem;

use super::{
    code::Workspace,
    layout::Layout,
    locate::GroupTable,
    packet::{BODY_BYTES_MAX, ENVELOPE_BYTES, Kind, OVERHEAD_BYTES, Packet, Stamp, TAG, table_pieces, table_shape},
    table::{ENTRY_BYTES, Entry},
};
use crate::{
    archive::{pipeline, volume::Volume},
    control::Control,
    error::Result,
};

const WINDOW: usize = 4 << 20;
/// No frame is longer.
const FRAME_BYTES_MAX: usize = BODY_BYTES_MAX + OVERHEAD_BYTES;

/// A data file may hold whole archives as content, but not so many that it would not be a hostile one.
const STAMPS_MAX: usize = 1 << 16;

/// Kind, window, group and number of a packet.
type Key = (Kind, u32, u32, u32);

/// Where a sound packet is.
#[derive(Debug, Clone, Copy)]
struct Place {
    piece: u32,
    offset: u64,
    length: u32,
}

/// The sound packets of one file's recovery data.
#[derive(Debug)]
pub struct Packets {
    /// What they belong to.
    pub stamp: Stamp,
    /// By kind, window, group and number; sorted.
    places: Vec<(Key, Place)>,
    /// What they take of the files, in order.
    taken: Vec<Taken>,
}

/// The same while they are found.
#[derive(Default)]
struct Found {
    places: Vec<(Key, Place)>,
    taken: Vec<Taken>,
}

/// A stretch of one file that nothing but packets takes: which file, its first byte, and the one after its last.
type Taken = (u32, u64, u64);

/// How many packets there are of a stamp, altogether.
pub fn expected(stamp: &Stamp) -> u64 {
    packets(&stamp.layout).0
}

/// Length of all recovery data of a layout, in bytes.
pub fn recovery_bytes(layout: &Layout) -> u64 {
    packets(layout).1
}

/// Number of the packets of a layout, and their length together.
fn packets(layout: &Layout) -> (u64, u64) {
    let recovery = u64::from(layout.windows) * u64::from(layout.groups) * u64::from(layout.recovery_blocks);
    let all = (recovery, recovery * ((OVERHEAD_BYTES + layout.recovery_body_bytes()) as u64));
    (0..layout.windows).fold(all, |(number, bytes), window| {
        let (count, length) = table_shape(layout, window);
        (number + 2 * count as u64, bytes + 2 * (count * (length + OVERHEAD_BYTES)) as u64)
    })
}

/// Counts the packets of a stamp, each of them once.
#[derive(Debug)]
pub struct Tally {
    /// What they belong to.
    pub stamp: Stamp,
    expected: u64,
    found: u64,
    /// One bit for each; none where so many cannot be there.
    seen: Vec<u64>,
}

impl Tally {
    /// An empty one, for packets that lie in `room` bytes.
    pub fn new(stamp: Stamp, room: u64) -> Self {
        let expected = expected(&stamp);
        let can_be = expected.saturating_mul(OVERHEAD_BYTES as u64) <= room;
        let seen = if can_be {
            vec![0; (Self::place_of_tables(&stamp, stamp.layout.windows) / 64 + 1) as usize]
        } else {
            Vec::new()
        };
        Self { stamp, expected, found: 0, seen }
    }

    /// Counts a packet of this stamp, unless it was there before.
    pub fn count(&mut self, packet: &Packet) {
        let layout = &self.stamp.layout;
        let (window, number) = (u64::from(packet.window), u64::from(packet.number));
        let place = match packet.kind {
            Kind::Recovery => {
                let group = window * u64::from(layout.groups) + u64::from(packet.group);
                group * u64::from(layout.recovery_blocks) + number
            }
            Kind::Table => Self::place_of_tables(&self.stamp, packet.window) + number,
        };
        let mask = 1 << (place % 64);
        match self.seen.get_mut((place / 64) as usize) {
            Some(word) if *word & mask != 0 => {}
            Some(word) => {
                *word |= mask;
                self.found += 1;
            }
            None => self.found += 1,
        }
    }

    /// How many there should be and were not.
    pub fn lacking(&self) -> u64 {
        self.expected.saturating_sub(self.found)
    }

    /// The bit of the first packet of a window's table: after those of all recovery blocks.
    fn place_of_tables(stamp: &Stamp, window: u32) -> u64 {
        let layout = &stamp.layout;
        let recovery = u64::from(layout.windows) * u64::from(layout.groups) * u64::from(layout.recovery_blocks);
        let table_bytes = layout.window_blocks_max() as usize * ENTRY_BYTES;
        recovery + u64::from(window) * 2 * table_pieces(table_bytes, layout.block_bytes as usize).0 as u64
    }
}

impl Packets {
    /// Looks through all files of the volume; `None` when there is no recovery data. Where there is that of several
    /// files, the one with most packets counts.
    ///
    /// # Errors
    /// `Stopped`. What cannot be read holds nothing.
    pub fn find(volume: &Volume, control: &Control) -> Result<Option<Self>> {
        Self::find_beside(volume, 0, control)
    }

    /// The same where `beside` bytes of what the recovery data belongs to are not part of the volume.
    ///
    /// # Errors
    /// As [`find`](Self::find).
    pub fn find_beside(volume: &Volume, beside: u64, control: &Control) -> Result<Option<Self>> {
        // Where far more is lost than there is, nothing comes back; and what a hostile file claims must not cost
        // memory.
        let there = volume.pieces().iter().fold(beside, |sum, piece| sum.saturating_add(piece.length));
        let is_possible = |stamp: &Stamp| {
            stamp.layout.length <= there.saturating_mul(4).saturating_add(1 << 20) && stamp.layout.block_bytes >= 512
        };
        let mut all: HashMap<Stamp, Found> = HashMap::new();
        for piece in 0..volume.pieces().len() {
            scan(volume, piece, control, &mut |packet, place| {
                let is_known = all.contains_key(&packet.stamp);
                if is_known || is_possible(&packet.stamp) && all.len() < STAMPS_MAX {
                    let key = (packet.kind, packet.window, packet.group, packet.number);
                    let found = all.entry(packet.stamp).or_default();
                    found.places.push((key, place));
                    take(&mut found.taken, &place);
                }
            })?;
        }
        let best = all.into_iter().max_by_key(|(stamp, found)| (found.places.len(), stamp.layout.length));
        Ok(best.map(|(stamp, Found { mut places, taken })| {
            places.sort_by_key(|(key, _)| *key);
            places.dedup_by_key(|(key, _)| *key);
            Self { stamp, places, taken }
        }))
    }

    /// How many of them there are.
    pub fn count(&self) -> u64 {
        self.places.len() as u64
    }

    /// The stretches of a file that they take, in order.
    pub fn taken_of(&self, piece: usize) -> impl Iterator<Item = (u64, u64)> {
        self.taken.iter().filter(move |(of, ..)| *of as usize == piece).map(|(_, from, to)| (*from, *to))
    }

    /// The numbers at hand of a group's recovery blocks.
    pub fn recovery_at_hand(&self, window: u32, group: u32) -> usize {
        self.range(Kind::Recovery, window, group).len()
    }

    /// The recovery blocks of a window in the order in which they lie.
    fn in_order(&self, window: u32) -> Vec<&(Key, Place)> {
        let from = self.places.partition_point(|(key, _)| (key.0, key.1) < (Kind::Recovery, window));
        let to = self.places.partition_point(|(key, _)| (key.0, key.1) <= (Kind::Recovery, window));
        let mut all: Vec<_> = self.places[from..to].iter().collect();
        all.sort_unstable_by_key(|(_, place)| (place.piece, place.offset));
        all
    }

    /// Up to so many of the recovery blocks of each of these groups, by number.
    pub fn recovery(
        &self,
        volume: &Volume,
        window: u32,
        wanted: &HashMap<u32, usize>,
    ) -> HashMap<u32, BTreeMap<u32, Vec<u8>>> {
        let bytes = self.stamp.layout.block_bytes as usize;
        let mut found: HashMap<u32, BTreeMap<u32, Vec<u8>>> = HashMap::new();
        for (key, place) in self.in_order(window) {
            let Some(count) = wanted.get(&key.2) else { continue };
            let blocks = found.entry(key.2).or_default();
            if blocks.len() < *count
                && let Some((_, mut block)) = body(volume, place)
            {
                block.truncate(bytes);
                blocks.insert(key.3, block);
            }
        }
        found
    }

    /// What the recovery blocks of each group of a window carry of its table.
    pub fn group_tables(&self, volume: &Volume, window: u32) -> BTreeMap<u32, GroupTable> {
        let mut tables: BTreeMap<u32, GroupTable> = BTreeMap::new();
        for (key, place) in self.in_order(window) {
            if let Some((packet, body)) = body(volume, place)
                && let Some(behind) = body.get(self.stamp.layout.block_bytes as usize..)
            {
                tables.entry(key.2).or_default().add(key.3, packet.table, behind);
            }
        }
        tables
    }

    /// The table of a window; `None` when more than half of its pieces are lost.
    pub fn table(&self, volume: &Volume, window: u32) -> Option<Vec<Entry>> {
        let blocks = self.stamp.layout.window_blocks(window);
        let table_bytes = (blocks.end - blocks.start) as usize * ENTRY_BYTES;
        let (count, length) = table_shape(&self.stamp.layout, window);
        let mut pieces: BTreeMap<u32, Vec<u8>> = BTreeMap::new();
        let mut hash = None;
        for (key, place) in self.range(Kind::Table, window, 0) {
            let (packet, body) = body(volume, place)?;
            if body.len() == length && *hash.get_or_insert(packet.table) == packet.table {
                pieces.insert(key.3, body);
            }
        }
        let recovery = pieces.split_off(&(count as u32));
        let recovery = recovery.into_iter().map(|(number, piece)| (number - count as u32, piece));
        let recovery: BTreeMap<u32, Vec<u8>> = recovery.filter(|(number, _)| *number < count as u32).collect();
        if pieces.len() < count {
            let mut workspace = Workspace::default();
            let empty = vec![0; length];
            let all = 0..count as u32;
            workspace.blocks = all.clone().flat_map(|number| pieces.get(&number).unwrap_or(&empty)).copied().collect();
            let lost = all.filter(|number| !pieces.contains_key(number)).map(|number| number as usize).collect();
            let back = workspace.decode(&lost, (count, length), &recovery).ok()?;
            pieces.extend(back.into_iter().map(|(number, piece)| (number as u32, piece)));
        }
        let mut table: Vec<u8> = pieces.into_values().flatten().collect();
        table.truncate(table_bytes);
        // A table that is not the one that was made would call sound blocks damaged.
        (Some(*blake3::hash(&table).as_bytes()) == hash).then(|| Entry::decode_all(&table))
    }

    fn range(&self, kind: Kind, window: u32, group: u32) -> &[(Key, Place)] {
        let from = self.places.partition_point(|(key, _)| (key.0, key.1, key.2) < (kind, window, group));
        let to = self.places.partition_point(|(key, _)| (key.0, key.1, key.2) <= (kind, window, group));
        &self.places[from..to]
    }
}

/// Adds a packet that lies behind those before: where one follows the other, they are one stretch.
fn take(taken: &mut Vec<Taken>, place: &Place) {
    let end = place.offset + u64::from(place.length);
    match taken.last_mut() {
        Some((piece, _, to)) if *piece == place.piece && *to == place.offset => *to = end,
        _ => taken.push((place.piece, place.offset, end)),
    }
}

fn body(volume: &Volume, place: &Place) -> Option<(Packet, Vec<u8>)> {
    let mut frame = vec![0; place.length as usize];
    let read = volume.read_piece(place.piece as usize, place.offset, &mut frame).ok()?;
    let (packet, body) = Packet::decode(&frame[..read])?;
    Some((packet, body.to_vec()))
}

/// Calls `found` for every sound packet in a file, in order; windows of it are looked through on all cores.
fn scan(volume: &Volume, piece: usize, control: &Control, found: &mut dyn FnMut(Packet, Place)) -> Result<()> {
    let length = volume.pieces()[piece].length;
    let finder = memmem::Finder::new(TAG);
    let mut starts = (0..length).step_by(WINDOW);
    let (spare_in, spare) = crossbeam_channel::unbounded::<Vec<u8>>();
    // What begins within a packet is part of it.
    let mut end = 0;
    pipeline::run(
        || {
            control.check()?;
            Ok(starts.next().map(|at| (at, spare.try_recv().unwrap_or_default())))
        },
        |(at, mut buffer): (u64, Vec<u8>)| {
            buffer.resize((length - at).min((WINDOW + FRAME_BYTES_MAX) as u64) as usize, 0);
            volume.read_piece_lossy(piece, at, &mut buffer);
            let packets = scan_window(&finder, &buffer);
            // The reader may be gone already; then the buffer is simply freed.
            let _ = spare_in.send(buffer);
            Ok((at, packets))
        },
        |(at, packets): (u64, Vec<(Packet, usize, usize)>)| {
            for (packet, begin, length) in packets {
                let offset = at + begin as u64;
                if offset >= end {
                    end = offset + length as u64;
                    found(packet, Place { piece: piece as u32, offset, length: length as u32 });
                }
            }
            Ok(())
        },
    )
}

/// The sound packets that begin in the window with which `bytes` begins, with their places and lengths.
fn scan_window(finder: &memmem::Finder<'_>, bytes: &[u8]) -> Vec<(Packet, usize, usize)> {
    let mut packets = Vec::new();
    // What looks like packets and is none is read again and again only so often.
    let mut patience = 8 * WINDOW + FRAME_BYTES_MAX;
    // A packet that begins in the window lies wholly in `bytes`, unless the file ends before.
    let edge = (WINDOW + ENVELOPE_BYTES + TAG.len() - 1).min(bytes.len());
    let mut from = 0;
    // The last packet found may reach beyond the edge.
    while let Some(tag) = bytes[..edge].get(from..).and_then(|rest| finder.find(rest)) {
        let tag = from + tag;
        from = tag + TAG.len();
        let Some(begin) = tag.checked_sub(ENVELOPE_BYTES) else { continue };
        let Some(length) = Packet::length(&bytes[begin..]).filter(|length| *length <= bytes.len() - begin) else {
            continue;
        };
        let Some(left) = patience.checked_sub(length) else { break };
        if let Some((packet, _)) = Packet::decode(&bytes[begin..begin + length]) {
            packets.push((packet, begin, length));
            from = begin + length;
        } else {
            patience = left;
        }
    }
    packets
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    fn found(layout: Layout) -> std::result::Result<bool, Box<dyn std::error::Error>> {
        let stamp = Stamp { layout, id: Uuid::nil(), index_offset: 0, tar_length: 0, whole: [0; 32] };
        let packet = Packet { stamp, kind: Kind::Recovery, window: 0, group: 0, number: 0, table: [0; 32] };
        let folder = tempfile::tempdir()?;
        let path = folder.path().join("a");
        std::fs::write(&path, packet.encode(&vec![1; layout.recovery_body_bytes()]))?;
        Ok(Packets::find(&Volume::of_file(&path)?, &Control::default())?.is_some())
    }

    #[test]
    fn a_small_file_that_claims_to_have_been_huge_costs_nothing() -> std::result::Result<(), Box<dyn std::error::Error>>
    {
        let (windows, groups, dealt) = (1, 1, crate::archive::recovery::Dealt::Blocks);
        let honest = Layout {
            length: 100_000,
            block_bytes: 1024,
            chunk_blocks: 16,
            recovery_blocks: 10,
            windows,
            groups,
            dealt,
        };
        assert!(honest.is_sane() && found(honest)?);
        let huge = Layout { length: 1 << 50, windows: 1 << 28, ..honest };
        for claim in [
            huge,
            Layout { length: 1 << 36, windows: 1 << 18, ..honest },
            Layout { chunk_blocks: 1 << 14, recovery_blocks: 1, ..honest },
            Layout { block_bytes: 1 << 20, length: 200 << 20, ..honest },
        ] {
            assert!(!found(claim)?, "{claim:?}");
        }
        Ok(())
    }
}
