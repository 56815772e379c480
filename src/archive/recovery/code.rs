//! The Reed-Solomon code of one group, over GF(2¹⁶), by `reed-solomon-simd`.
//!
//! The encoder of that library holds all blocks of a group in memory. Ours takes part after part: the code is linear,
//! and of every part only its transform is added to the group's recovery blocks in the making. So many groups can be
//! made at a time, and the memory is that of the recovery data and not of the data. The result is the library's own,
//! which a test compares. What the code is, is written in `docs/formats.md`, and a test computes it from there.

use std::collections::{BTreeMap, BTreeSet};

use reed_solomon_simd::{
    engine::{
        DefaultEngine, Engine, GF_MODULUS, GfElement, ShardsRefMut,
        tables::{get_exp_log, get_skew},
    },
    rate::{DecoderWork, HighRateDecoder, HighRateEncoder, RateDecoder, RateEncoder},
};

use crate::error::{Error, ErrorKind, Result};

/// Some blocks of a group, transformed so that they can be added to the group's recovery data.
pub struct Transformed {
    work: Vec<u8>,
    /// Of a part that is shorter than all points: what is in `work` is the second half of what is added, and the first
    /// half is that, multiplied by this.
    factor: Option<GfElement>,
}

/// What a group's blocks are transformed by.
#[derive(Debug, Clone, Copy)]
pub struct Shape {
    /// Points of the recovery blocks: their number, rounded up to a power of two.
    pub points: usize,
    /// Blocks of a part, a power of two and no more than `points`.
    pub part: usize,
    /// Length of a block.
    pub block_bytes: usize,
}

impl Shape {
    /// Memory to transform a part in.
    pub fn work_bytes(&self) -> usize {
        let blocks = if self.part == self.points { self.points } else { self.points / 2 };
        blocks * self.block_bytes
    }

    /// Transforms `count` blocks of a group, at most a part, with which `work` of [`work_bytes`](Self::work_bytes)
    /// begins; the first of them is number `first` in the group, a multiple of `part`.
    ///
    /// A part that is shorter than all points costs somewhat more than its share, and saves the memory of what would
    /// have to wait.
    pub fn transform(&self, mut work: Vec<u8>, count: usize, first: usize) -> Transformed {
        let Self { points, part, block_bytes } = *self;
        work[count * block_bytes..part * block_bytes].fill(0);
        let (pieces, _) = work[..part * block_bytes].as_chunks_mut::<64>();
        let mut shards = ShardsRefMut::new(part, block_bytes / 64, pieces);
        engine(|engine| engine.ifft(&mut shards, 0, part, count, points + first));
        // The steps of the transform that bring the part together with the other half, which is zero here.
        let mut width = part;
        while 2 * width < points {
            let bytes = width * block_bytes;
            work.copy_within(..bytes, bytes);
            multiply(&mut work[..bytes], self.factor(first, width));
            width *= 2;
        }
        Transformed { work, factor: (width < points).then(|| self.factor(first, width)) }
    }

    /// What a part whose transform is `width` long is multiplied by for the first half of one twice as long.
    fn factor(&self, first: usize, width: usize) -> GfElement {
        let within = first % self.points;
        let pair = first - within % (2 * width);
        let log = get_skew()[self.points + pair + width - 1];
        let factor = if log == GF_MODULUS { 0 } else { get_exp_log().exp[usize::from(log)] };
        let is_first_half = (within / width).is_multiple_of(2);
        factor ^ GfElement::from(is_first_half)
    }
}

fn multiply(bytes: &mut [u8], factor: GfElement) {
    match factor {
        0 => bytes.fill(0),
        1 => {}
        factor => {
            let log = get_exp_log().log[usize::from(factor)];
            engine(|engine| engine.mul(bytes.as_chunks_mut::<64>().0, log));
        }
    }
}

fn add(to: &mut [u8], from: &[u8]) {
    to.iter_mut().zip(from).for_each(|(to, from)| *to ^= from);
}

/// The recovery data of a group in the making; empty until the first part is added.
#[derive(Default)]
pub struct Gathered(Vec<u8>);

impl Gathered {
    /// Adds a part, and gives back its memory.
    pub fn add(&mut self, part: Transformed) -> Vec<u8> {
        let Transformed { mut work, factor } = part;
        let Some(factor) = factor else {
            if self.0.is_empty() {
                self.0 = work;
                return Vec::new();
            }
            add(&mut self.0, &work);
            return work;
        };
        if self.0.is_empty() {
            self.0 = vec![0; 2 * work.len()];
        }
        let (first, second) = self.0.split_at_mut(work.len());
        add(second, &work);
        if factor != 0 {
            multiply(&mut work, factor);
            add(first, &work);
        }
        work
    }

    /// The recovery blocks, one after the other.
    pub fn finish(mut self, shape: Shape, recovery_blocks: usize) -> Vec<u8> {
        let Shape { points, block_bytes, .. } = shape;
        self.0.resize(points * block_bytes, 0);
        let (pieces, _) = self.0.as_chunks_mut::<64>();
        let mut shards = ShardsRefMut::new(points, block_bytes / 64, pieces);
        engine(|engine| engine.fft(&mut shards, 0, points, recovery_blocks, 0));
        self.0.truncate(recovery_blocks * block_bytes);
        self.0
    }
}

fn engine(work: impl FnOnce(&DefaultEngine)) {
    thread_local! {
        static ENGINE: DefaultEngine = DefaultEngine::new();
    }
    ENGINE.with(work);
}

fn failed(error: reed_solomon_simd::Error) -> Error {
    Error::new(ErrorKind::Damaged, "the recovery data cannot be used").because(error)
}

/// `recovery` blocks for these few blocks of equal length, for tables.
///
/// # Errors
/// When there are none, too many, or of odd lengths.
pub fn encode_at_once(blocks: &[&[u8]], recovery: usize) -> Result<Vec<Vec<u8>>> {
    let length = blocks.first().map_or(0, |b| b.len());
    let mut encoder =
        HighRateEncoder::new(blocks.len(), recovery, length, DefaultEngine::new(), None).map_err(failed)?;
    for block in blocks {
        encoder.add_original_shard(block).map_err(failed)?;
    }
    let made = encoder.encode().map_err(failed)?;
    Ok(made.recovery_iter().map(<[u8]>::to_vec).collect())
}

/// What a group is decoded in, used again for the next one: to get so much memory anew takes longer than to decode.
#[derive(Default)]
pub struct Workspace {
    /// The blocks of a group, one after the other.
    pub blocks: Vec<u8>,
    work: DecoderWork,
}

/// The code goes over every 64 bytes of the blocks by themselves. So they are decoded in stripes that a processor's
/// cache holds, and not as whole blocks that it does not.
const STRIPE_BYTES: usize = 2 << 10;

impl Workspace {
    /// Memory to decode a group of so many blocks and recovery blocks of `block_bytes`, in bytes.
    pub fn bytes(blocks: u64, recovery_blocks: u64, block_bytes: u64) -> u64 {
        let points = (blocks + recovery_blocks.next_power_of_two()).next_power_of_two();
        // The blocks, the recovery blocks, what comes back, and the stripe.
        (blocks + 2 * recovery_blocks) * block_bytes + points * block_bytes.min(STRIPE_BYTES as u64)
    }

    /// Brings back the blocks `lost`, by their numbers, of the group whose blocks of `block_bytes` are in
    /// [`blocks`](Self::blocks), with the recovery blocks given by number out of `recovery_blocks`. What is in the
    /// places of lost blocks does not matter.
    ///
    /// # Errors
    /// `Damaged` when fewer recovery blocks are given than blocks are lost.
    pub fn decode(
        &mut self,
        lost: &BTreeSet<usize>,
        (recovery_blocks, block_bytes): (usize, usize),
        recovery: &BTreeMap<u32, Vec<u8>>,
    ) -> Result<BTreeMap<usize, Vec<u8>>> {
        let count = self.blocks.len() / block_bytes;
        let mut back: BTreeMap<usize, Vec<u8>> =
            lost.iter().map(|number| (*number, Vec::with_capacity(block_bytes))).collect();
        for from in (0..block_bytes).step_by(STRIPE_BYTES) {
            let stripe = from..(from + STRIPE_BYTES).min(block_bytes);
            let work = Some(std::mem::take(&mut self.work));
            let mut decoder = HighRateDecoder::new(count, recovery_blocks, stripe.len(), DefaultEngine::new(), work)
                .map_err(failed)?;
            for (number, block) in self.blocks.chunks_exact(block_bytes).enumerate() {
                if !lost.contains(&number) {
                    decoder.add_original_shard(number, &block[stripe.clone()]).map_err(failed)?;
                }
            }
            for (number, block) in recovery {
                let part = block.get(stripe.clone()).unwrap_or_default();
                decoder.add_recovery_shard(*number as usize, part).map_err(failed)?;
            }
            for (number, part) in decoder.decode().map_err(failed)?.restored_original_iter() {
                back.entry(number).or_default().extend_from_slice(part);
            }
            self.work = decoder.into_parts().1;
        }
        Ok(back)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::noise;

    /// Ours part by part, the library's at once: the same bytes.
    #[test]
    fn part_by_part_gives_what_the_library_gives_at_once() -> Result<()> {
        for (blocks, recovery) in [(1, 4), (37, 8), (64, 8), (5, 3), (100, 128), (1, 1), (300, 16)] {
            let (points, block_bytes) = (usize::next_power_of_two(recovery), 128);
            let data: Vec<Vec<u8>> = (0..blocks).map(|n| noise(n, block_bytes)).collect();
            let slices: Vec<&[u8]> = data.iter().map(Vec::as_slice).collect();
            let expected = encode_at_once(&slices, recovery)?.concat();
            for part in (0..).map(|n| 1 << n).take_while(|part| *part <= points) {
                let (shape, mut gathered) = (Shape { points, part, block_bytes }, Gathered::default());
                for (number, blocks) in data.chunks(part).enumerate() {
                    // What was in it before does not matter.
                    let mut work = noise(9, shape.work_bytes());
                    work[..blocks.len() * block_bytes].copy_from_slice(&blocks.concat());
                    gathered.add(shape.transform(work, blocks.len(), number * part));
                }
                assert!(gathered.finish(shape, recovery) == expected, "{blocks} {recovery} {part}");
            }
        }
        Ok(())
    }

    #[test]
    fn as_many_blocks_as_there_are_recovery_blocks_come_back_and_no_more() -> Result<()> {
        // More than one stripe, and the last one shorter.
        let bytes = 2 * STRIPE_BYTES + 128;
        let data: Vec<Vec<u8>> = (0..40).map(|n| noise(n, bytes)).collect();
        let slices: Vec<&[u8]> = data.iter().map(Vec::as_slice).collect();
        let recovery: BTreeMap<u32, Vec<u8>> = (0..).zip(encode_at_once(&slices, 8)?).collect();
        let mut workspace = Workspace::default();
        let mut give = |lost: BTreeSet<usize>, recovery: &BTreeMap<u32, Vec<u8>>| {
            let with_losses = data.iter().enumerate();
            let with_losses = with_losses.map(|(n, b)| if lost.contains(&n) { vec![7; bytes] } else { b.clone() });
            workspace.blocks = with_losses.collect::<Vec<_>>().concat();
            workspace.decode(&lost, (8, bytes), recovery)
        };
        for lost in [(0..40).step_by(5).collect(), (30..38).collect(), BTreeSet::from([39])] {
            let back = give(lost, &recovery)?;
            assert!(!back.is_empty() && back.iter().all(|(n, block)| *block == data[*n]));
        }
        let fewer: BTreeMap<u32, Vec<u8>> = recovery.iter().skip(1).map(|(n, b)| (*n, b.clone())).collect();
        assert!(give((0..8).collect(), &fewer).is_err());
        assert!(give((0..7).collect(), &fewer).is_ok_and(|back| back.len() == 7));
        Ok(())
    }
}
