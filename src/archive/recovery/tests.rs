//! Damage of every shape to files with recovery data of every setting: what is promised comes back byte by byte, and
//! what is beyond it is never a wrong byte that nothing tells of.

use std::{fs, path::Path};

use proptest::prelude::*;
use uuid::Uuid;

use super::{
    Layout,
    make::make,
    mend::mend,
    packet::{Kind, OVERHEAD_BYTES, Packet, Stamp},
};
use crate::{
    archive::{options::Rate, volume::Volume},
    control::Control,
    error::Result,
    testing::noise,
};

/// A file with its recovery data, and where the blocks of its groups stand.
struct Sample {
    layout: Layout,
    bytes: Vec<u8>,
    /// Of every group its blocks, data and recovery blocks, as first byte and length.
    groups: Vec<Vec<(usize, usize)>>,
}

impl Sample {
    fn new(layout: Layout, folder: &Path) -> Result<Self> {
        let mut bytes = noise(layout.length, layout.length as usize);
        // Some of it is zeros, as in real files.
        let third = bytes.len() / 3;
        bytes[third..third + third / 4].fill(0);
        Self::of(layout, bytes, folder)
    }

    /// Of a file with these bytes.
    fn of(layout: Layout, mut bytes: Vec<u8>, folder: &Path) -> Result<Self> {
        let path = folder.join("whole");
        fs::write(&path, &bytes).unwrap_or_default();
        let volume = Volume::of_file(&path).map_err(|e| crate::error::Error::io("read", &path, e))?;
        let stamp = Stamp { layout, id: Uuid::nil(), index_offset: 7, tar_length: 8, whole: [9; 32] };
        let put = &mut |frame: &[u8]| {
            bytes.extend_from_slice(frame);
            Ok(())
        };
        make(&volume, &stamp, &mut |_| Ok(()), put, &Control::default())?;
        let place = |window: u32, group: u32| (window * layout.groups + group) as usize;
        let mut groups = vec![Vec::new(); place(layout.windows, 0)];
        let block = layout.block_bytes as usize;
        for number in 0..layout.blocks() {
            let (window, at) = (layout.window_of(number), number as usize * block);
            let group = layout.group_of(number, window);
            groups[place(window, group)].push((at, block.min(layout.length as usize - at)));
        }
        let mut at = layout.length as usize;
        while let Some(length) = bytes.get(at..).and_then(Packet::length) {
            if let Some((packet, _)) = Packet::decode(&bytes[at..at + length])
                && packet.kind == Kind::Recovery
            {
                groups[place(packet.window, packet.group)].push((at, length));
            }
            at += length;
        }
        assert_eq!(at, bytes.len());
        Ok(Self { layout, bytes, groups })
    }

    /// Whether no group has lost more than it has recovery blocks.
    fn is_within(&self, is_hit: &dyn Fn(usize, usize) -> bool) -> bool {
        let most = self.layout.recovery_blocks as usize;
        self.groups.iter().all(|places| places.iter().filter(|(at, length)| is_hit(*at, *length)).count() <= most)
    }

    /// Damages it, and sees what comes back; `must` where all has to.
    fn mended(&self, damaged: &[u8], must: bool, folder: &Path) -> Result<()> {
        let path = folder.join("damaged");
        fs::write(&path, damaged).unwrap_or_default();
        let volume = Volume::of_file(&path).map_err(|e| crate::error::Error::io("read", &path, e))?;
        let protected = self.layout.length as usize;
        let (volume, told) = match mend(volume, folder, &Control::default())? {
            Ok(mended) => (mended.volume, mended.damage.lost + mended.damage.unknown),
            Err(volume) => (volume, self.layout.blocks()),
        };
        let block = self.layout.block_bytes as usize;
        let is_back = |at: usize| {
            let good = &self.bytes[at..(at + block).min(protected)];
            volume.read(at as u64, good.len() as u64).is_ok_and(|bytes| bytes == good)
        };
        let wrong = (0..protected).step_by(block).filter(|at| !is_back(*at)).count();
        assert!(wrong as u64 <= told, "{:?}: {wrong} blocks are wrong, {told} are called so", self.layout);
        assert!(!must || wrong == 0, "{:?}: {wrong} blocks did not come back", self.layout);
        Ok(())
    }
}

/// Of random numbers, any so many stretches with so many bytes in all: equally long, of random lengths, or many of a
/// byte and a long one.
fn stretches(count: usize, total: usize, file: usize, random: &mut dyn FnMut(usize) -> usize) -> Vec<(usize, usize)> {
    let kind = random(3);
    let mut left = total.min(file);
    let mut all = Vec::new();
    for n in 0..count {
        let rest = count - n - 1;
        let length = match (kind, rest) {
            (_, 0) => left,
            (0, _) => total / count,
            (1, _) => random(left.saturating_sub(rest).max(1)) + 1,
            _ => 1,
        };
        let length = length.min(left);
        left -= length;
        // At the beginning, at the end, or anywhere.
        let at = match random(6) {
            0 => 0,
            1 => file - length,
            _ => random(file - length + 1),
        };
        all.push((at, length));
    }
    all
}

fn damage(sample: &Sample, seed: u64, folder: &Path) -> Result<()> {
    let mut state = seed;
    let mut random = move |below: usize| {
        state = u64::from_le_bytes(
            <[u8; 8]>::try_from(&blake3::hash(&state.to_le_bytes()).as_bytes()[..8]).unwrap_or_default(),
        );
        (state % below.max(1) as u64) as usize
    };
    let (layout, good) = (&sample.layout, &sample.bytes);
    let recovery = layout.recovery_blocks as usize;
    // Stretches with as many bytes as promised, half of the time; or with more.
    let count = [1, 1, 2, 3, 10, recovery][random(6)].min(recovery);
    let promised = layout.stretches_bytes(count as u64).unwrap_or(0) as usize;
    let total = if random(2) == 0 { promised } else { promised + 1 + random(promised / 2 + 2) };
    let mut all = stretches(count, total, good.len(), &mut random);
    let mut is_promised = all.iter().map(|(_, length)| length).sum::<usize>() <= promised;
    if random(3) == 0 {
        // Single places, each as long as promised, or a little more, or as the blocks of one group.
        let (count, length) = layout.places();
        let group = &sample.groups[random(sample.groups.len())];
        let more = random(2);
        is_promised = more == 0;
        all = (0..count as usize + more * (1 + random(3)))
            .map(|_| random(good.len() - length as usize))
            .map(|at| (at, length as usize))
            .collect();
        if random(2) == 0 {
            is_promised = more == 0;
            all = (0..count as usize + more).map(|_| group[random(group.len())]).map(|(at, _)| (at, 1)).collect();
        }
    }
    let mut damaged = good.clone();
    let is_zeroed = random(3) == 0;
    for &(at, length) in &all {
        for (n, byte) in damaged[at..at + length].iter_mut().enumerate() {
            *byte = if is_zeroed { 0 } else { good[at + n] ^ (n % 255 + 1) as u8 };
        }
    }
    let hit = |at: usize, length: usize| damaged[at..at + length] != good[at..at + length];
    let within = sample.is_within(&hit);
    assert!(within || !is_promised, "{layout:?}: {all:?}");
    // What reaches the end may also be missing.
    let cut = all.iter().filter(|(at, length)| at + length == good.len()).map(|(at, _)| *at).min();
    let cut = cut.filter(|_| random(2) == 0).unwrap_or(good.len());
    sample.mended(&damaged[..cut], within, folder)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]
    /// Many groups and windows, with small blocks.
    #[test]
    fn what_every_group_can_bear_comes_back_whatever_its_shape(
        length in 1_000u64..150_000, share in 2u64..8, groups in 1u64..6, chunk in 0u32..4, seed: u64,
    ) {
        let folder = tempfile::tempdir()?;
        let Some(layout) = Layout::with(length, share, groups, 1 << chunk, (512, 1216)) else { return Ok(()) };
        let sample = Sample::new(layout, folder.path())?;
        for n in 0..4 {
            damage(&sample, seed.wrapping_add(n), folder.path())?;
        }
    }
}

/// The layouts of real files at every setting.
#[test]
fn every_setting_keeps_its_promise() -> Result<()> {
    let folder = tempfile::tempdir().map_err(|e| crate::error::Error::io("make", Path::new("a folder"), e))?;
    for redundancy in [Rate::Low, Rate::Medium, Rate::High] {
        for (length, interlacing) in [(3_000, Rate::None), (70_001, Rate::Low), (400_000, Rate::High)] {
            let Some(layout) = Layout::plan(length, redundancy, interlacing) else { continue };
            let sample = Sample::new(layout, folder.path())?;
            for seed in 0..12 {
                damage(&sample, seed * 1000 + length, folder.path())?;
            }
        }
    }
    Ok(())
}

/// The table is lost, and in one group as much as it can bear: with two stretches that are far shorter than what is
/// promised, nothing else would tell sound blocks from damaged ones.
#[test]
fn a_table_that_is_lost_takes_nothing_with_it() -> Result<()> {
    let folder = tempfile::tempdir().map_err(|e| crate::error::Error::io("make", Path::new("a folder"), e))?;
    let Some(layout) = Layout::with(500_000, 5, 4, 8, (512, 1024)) else { return Ok(()) };
    let sample = Sample::new(layout, folder.path())?;
    assert!(layout.groups > 1 && layout.windows > 1);
    let mut damaged = sample.bytes.clone();
    let mut at = layout.length as usize;
    while let Some(length) = damaged.get(at..).and_then(Packet::length) {
        let (packet, _) = Packet::decode(&damaged[at..at + length]).unzip();
        if packet.is_some_and(|packet| packet.kind == Kind::Table) {
            damaged[at + OVERHEAD_BYTES / 2] ^= 1;
        }
        at += length;
    }
    // Of each group some data blocks, and of its recovery blocks all that are not needed for them.
    for (n, places) in sample.groups.iter().enumerate() {
        let recovery = layout.recovery_blocks as usize;
        let lost = n % (recovery + 1);
        for (at, _) in places.iter().take(lost).chain(places.iter().rev().take(recovery - lost)) {
            damaged[at + 11] ^= 0x40;
        }
    }
    sample.mended(&damaged, true, folder.path())?;
    // One more is too much for a group, and is told.
    let mut beyond = damaged.clone();
    let places = &sample.groups[3];
    beyond[places[20].0] ^= 1;
    sample.mended(&beyond, false, folder.path())
}

/// More is destroyed than the recovery data of the only group brings back, and all of it stands somewhere else.
#[test]
fn what_stands_anywhere_in_the_file_is_found_there() -> Result<()> {
    let folder = tempfile::tempdir().map_err(|e| crate::error::Error::io("make", Path::new("a folder"), e))?;
    // The last block has 352 bytes.
    let Some(layout) = Layout::plan(60 * 1024 + 352, Rate::Low, Rate::None) else { return Ok(()) };
    let (block, recovery, protected) = (1024, layout.recovery_blocks as usize, layout.length as usize);
    assert_eq!((layout.block_bytes, layout.groups, recovery), (1024, 1, 4));
    let mut bytes = noise(1, protected);
    // Six blocks stand a second time within others, and eight are zeros.
    let (first, second) = (5 * block, 40 * block + 333);
    bytes.copy_within(first..first + 6 * block, second);
    bytes[20 * block..28 * block].fill(0);
    let sample = Sample::of(layout, bytes, folder.path())?;
    let whole = &sample.bytes;
    let destroyed = |from: usize, count: usize| {
        let mut bytes = whole.clone();
        bytes[from..(from + count * block).min(protected)].fill(0xaa);
        bytes
    };
    sample.mended(&destroyed(first, 6), true, folder.path())?;
    // And no zeros are left anywhere.
    sample.mended(&destroyed(20 * block, 8), true, folder.path())?;
    let frames: Vec<usize> = sample.groups[0].iter().filter(|(at, _)| *at >= protected).map(|(at, _)| *at).collect();
    let [.., frame] = frames[..] else { return Ok(()) };
    for from in [10 * block, 33 * block, protected.next_multiple_of(block) - 6 * block] {
        let moved = &whole[from..(from + 6 * block).min(protected)];
        // Over frames of recovery data, one of which is no longer found; between two; and behind all.
        for at in [frames[0], frames[0] + 8, frames[0] + 700] {
            let mut bytes = destroyed(from, 6);
            bytes[at..at + moved.len()].copy_from_slice(moved);
            sample.mended(&bytes, true, folder.path())?;
        }
        for at in [frames[0], frame, whole.len()] {
            let mut bytes = destroyed(from, 6);
            bytes.splice(at..at, moved.iter().copied());
            sample.mended(&bytes, true, folder.path())?;
        }
        // Each where the other one was: frames are looked for within what is protected, too.
        let mut bytes = whole.clone();
        let (data, recovery) = bytes.split_at_mut(protected);
        let at = frames[0] - protected;
        data[from..from + moved.len()].swap_with_slice(&mut recovery[at..at + moved.len()]);
        sample.mended(&bytes, true, folder.path())?;
    }
    // What stands nowhere else is lost.
    sample.mended(&destroyed(30 * block, recovery + 1), false, folder.path())
}
