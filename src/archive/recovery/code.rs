//! The Reed-Solomon code of one group, over GF(2¹⁶), by `reed-solomon-simd`.
//!
//! The encoder of that library holds all blocks of a group in memory. Ours takes chunk after chunk: the code is linear, and of
//! every chunk only its transform is added to the group's recovery blocks in the making. So many groups can be made at a time,
//! and the memory is that of the recovery data and not of the data. The result is the library's own, which a test compares.

use std::collections::BTreeMap;

use reed_solomon_simd::{
    engine::{DefaultEngine, Engine, ShardsRefMut},
    rate::{HighRateDecoder, HighRateEncoder, RateDecoder, RateEncoder},
};

use crate::error::{Error, ErrorKind, Result};

/// One chunk of a group, transformed so that it can be added to the group's recovery data.
pub struct Transformed(Vec<u8>);

/// Transforms chunk `number` of a group: `chunk` holds up to `chunk_blocks` blocks of `block_bytes` and is filled up with zeros.
pub fn transform(mut chunk: Vec<u8>, number: u32, chunk_blocks: usize, block_bytes: usize) -> Transformed {
    let count = chunk.len().div_ceil(block_bytes);
    chunk.resize(chunk_blocks * block_bytes, 0);
    let (pieces, _) = chunk.as_chunks_mut::<64>();
    let mut shards = ShardsRefMut::new(chunk_blocks, block_bytes / 64, pieces);
    engine(|engine| engine.ifft(&mut shards, 0, chunk_blocks, count, (number as usize + 1) * chunk_blocks));
    Transformed(chunk)
}

/// The recovery data of a group in the making; empty until the first chunk is added.
#[derive(Default)]
pub struct Gathered(Vec<u8>);

impl Gathered {
    /// Adds a chunk.
    pub fn add(&mut self, chunk: Transformed) -> Vec<u8> {
        if self.0.is_empty() {
            self.0 = chunk.0;
            return Vec::new();
        }
        for (to, from) in self.0.iter_mut().zip(&chunk.0) {
            *to ^= from;
        }
        chunk.0
    }

    /// The recovery blocks, one after the other.
    pub fn finish(mut self, chunk_blocks: usize, recovery_blocks: usize, block_bytes: usize) -> Vec<u8> {
        self.0.resize(chunk_blocks * block_bytes, 0);
        let (pieces, _) = self.0.as_chunks_mut::<64>();
        let mut shards = ShardsRefMut::new(chunk_blocks, block_bytes / 64, pieces);
        engine(|engine| engine.fft(&mut shards, 0, chunk_blocks, recovery_blocks, 0));
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
    Error::new(ErrorKind::Damaged, "the recovery data can not be used").because(error)
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

/// Takes one sound block of a group, by its number.
pub type Feed<'a> = &'a mut dyn FnMut(usize, &[u8]) -> Result<()>;

/// Brings back the blocks of a group of `blocks` that `sound` does not give, with the recovery blocks given by number.
///
/// # Errors
/// `Damaged` when fewer recovery blocks are given than blocks are missing; those of `sound`.
pub fn decode(
    (blocks, recovery_blocks, block_bytes): (usize, usize, usize),
    sound: &mut dyn FnMut(Feed<'_>) -> Result<()>,
    recovery: &BTreeMap<u32, Vec<u8>>,
) -> Result<BTreeMap<usize, Vec<u8>>> {
    let mut decoder =
        HighRateDecoder::new(blocks, recovery_blocks, block_bytes, DefaultEngine::new(), None).map_err(failed)?;
    sound(&mut |number, block| decoder.add_original_shard(number, block).map_err(failed))?;
    for (number, block) in recovery {
        decoder.add_recovery_shard(*number as usize, block).map_err(failed)?;
    }
    let decoded = decoder.decode().map_err(failed)?;
    Ok(decoded.restored_original_iter().map(|(number, block)| (number, block.to_vec())).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn noise(seed: u64, length: usize) -> Vec<u8> {
        let mut out = vec![0; length];
        blake3::Hasher::new().update(&seed.to_le_bytes()).finalize_xof().fill(&mut out);
        out
    }

    /// Our chunk by chunk, the library's at once: the same bytes.
    #[test]
    fn chunk_by_chunk_gives_what_the_library_gives_at_once() -> Result<()> {
        for (blocks, recovery, chunk) in [(1, 4, 4), (37, 8, 8), (64, 8, 8), (5, 3, 4), (100, 128, 128), (1, 1, 1)] {
            let data: Vec<Vec<u8>> = (0..blocks).map(|n| noise(n, 128)).collect();
            let mut gathered = Gathered::default();
            for (number, part) in data.chunks(chunk).enumerate() {
                gathered.add(transform(part.concat(), number as u32, chunk, 128));
            }
            let ours = gathered.finish(chunk, recovery, 128);
            let slices: Vec<&[u8]> = data.iter().map(Vec::as_slice).collect();
            assert_eq!(ours, encode_at_once(&slices, recovery)?.concat(), "{blocks} {recovery}");
        }
        Ok(())
    }

    #[test]
    fn as_many_blocks_as_there_are_recovery_blocks_come_back_and_no_more() -> Result<()> {
        let data: Vec<Vec<u8>> = (0..40).map(|n| noise(n, 64)).collect();
        let slices: Vec<&[u8]> = data.iter().map(Vec::as_slice).collect();
        let recovery: BTreeMap<u32, Vec<u8>> = (0..).zip(encode_at_once(&slices, 8)?).collect();
        let give = |lost: &dyn Fn(usize) -> bool, recovery: &BTreeMap<u32, Vec<u8>>| {
            let mut sound = |feed: Feed<'_>| (0..40).filter(|n| !lost(*n)).try_for_each(|n| feed(n, &data[n]));
            decode((40, 8, 64), &mut sound, recovery)
        };
        let back = give(&|n| n % 5 == 0, &recovery)?;
        assert!(back.len() == 8 && back.iter().all(|(n, block)| *block == data[*n]));
        let fewer: BTreeMap<u32, Vec<u8>> = recovery.iter().skip(1).map(|(n, b)| (*n, b.clone())).collect();
        assert!(give(&|n| n < 8, &fewer).is_err());
        Ok(())
    }
}
