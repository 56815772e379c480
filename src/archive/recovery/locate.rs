//! The table of a group, known again from its own recovery data and the blocks as they are.
//!
//! Blocks are known to be damaged by a table, and a table can be damaged, too. So each frame of a recovery block
//! carries two pieces of recovery data of its group's table, made by the same code. The entries of the blocks as they
//! are differ from the table only where a block is damaged: they are a table with errors at unknown places. From two
//! pieces for each of them those places are found. A group whose blocks can be repaired has lost d blocks and at least
//! d frames are left; so it has the 2 · d pieces, and the table is never what is missing.

use std::collections::{BTreeMap, BTreeSet};

use reed_solomon_simd::engine::tables::{ExpLog, get_exp_log};

use super::{
    code::{Workspace, encode_at_once},
    table::{ENTRY_BYTES, Entry},
};
use crate::{archive::format::Hash, error::Result};

/// Elements of the field that are not 0.
const ORDER: usize = 65_535;
/// No group uses this point. All others are counted from it: none of them is 0.
const ORIGIN: u16 = 0xffff;
/// Symbols of two bytes in an entry.
const SYMBOLS: usize = ENTRY_BYTES / 2;
/// Two entries that differ may be equal in one symbol; in so many hardly ever. All of them would only take a hostile
/// file's word for longer.
const SYMBOLS_TRIED: usize = 4;

/// The recovery data of a group's table, `count` pieces of [`ENTRY_BYTES`].
///
/// # Errors
/// For an empty table, or a larger one than the code has points for.
pub fn recovery_of_table(table: &[u8], count: usize) -> Result<Vec<Vec<u8>>> {
    let entries: Vec<&[u8]> = table.chunks_exact(ENTRY_BYTES).collect();
    encode_at_once(&entries, count)
}

/// What the frames at hand say of a group's table.
#[derive(Debug, Default)]
pub struct GroupTable {
    pieces: BTreeMap<u32, [u8; ENTRY_BYTES]>,
    hash: Option<Hash>,
}

impl GroupTable {
    /// Takes what recovery block `number` carries: the BLAKE3 of the table, and two pieces.
    pub fn add(&mut self, number: u32, hash: Hash, pieces: &[u8]) {
        if *self.hash.get_or_insert(hash) == hash {
            self.pieces.extend((2 * number..).zip(pieces.as_chunks::<ENTRY_BYTES>().0.iter().copied()));
        }
    }

    /// The table of the group whose blocks as they are have the entries `now`, with `count` pieces in all; `None` where
    /// that cannot be told.
    pub fn table(&self, now: &[Entry], count: usize) -> Option<Vec<Entry>> {
        table_of(now, &self.pieces, count, &self.hash?)
    }
}

/// The table whose BLAKE3 is `hash`, from the entries of the blocks as they are and the pieces at hand, by number, of
/// `count`; `None` where more than half as many blocks as pieces are damaged.
fn table_of(now: &[Entry], pieces: &BTreeMap<u32, [u8; ENTRY_BYTES]>, count: usize, hash: &Hash) -> Option<Vec<Entry>> {
    let mut bytes = Vec::with_capacity(now.len() * ENTRY_BYTES);
    now.iter().for_each(|entry| entry.encode(&mut bytes));
    let is_it = |bytes: &[u8]| blake3::hash(bytes).as_bytes() == hash;
    if is_it(&bytes) {
        return Some(now.to_vec());
    }
    let given: BTreeMap<u32, Vec<u8>> = pieces.iter().map(|(number, piece)| (*number, piece.to_vec())).collect();
    let field = Field(get_exp_log());
    (0..SYMBOLS_TRIED).find_map(|symbol| {
        let of = |entry: &[u8]| u16::from_le_bytes([entry[symbol], entry[SYMBOLS + symbol]]);
        let data: Vec<u16> = bytes.chunks_exact(ENTRY_BYTES).map(of).collect();
        let recovery: BTreeMap<usize, u16> = pieces.iter().map(|(n, piece)| (*n as usize, of(piece))).collect();
        let wrong = field.wrong(&data, &recovery, count.next_power_of_two())?;
        let mut workspace = Workspace::default();
        workspace.blocks.clone_from(&bytes);
        let back = workspace.decode(&wrong, (count, ENTRY_BYTES), &given).ok()?;
        let mut table = bytes.clone();
        for (number, entry) in back {
            table[number * ENTRY_BYTES..][..ENTRY_BYTES].copy_from_slice(&entry);
        }
        is_it(&table).then(|| Entry::decode_all(&table))
    })
}

/// The field of the code, in which sums are exclusive ors.
struct Field(&'static ExpLog);

impl Field {
    fn log(&self, a: u16) -> usize {
        usize::from(self.0.log[usize::from(a)])
    }

    fn exp(&self, log: usize) -> u16 {
        self.0.exp[log % ORDER]
    }

    fn mul(&self, a: u16, b: u16) -> u16 {
        if a == 0 || b == 0 { 0 } else { self.exp(self.log(a) + self.log(b)) }
    }

    /// Of a word of the code, `recovery` at the first `points` points as far as it is known and `data` after them,
    /// which symbols of `data` are wrong; `None` where they are too many.
    ///
    /// All words have Σ cᵢ · xᵢʲ = 0 for every j below `points`, where xᵢ is the point of symbol i; and so it is for
    /// the points counted from any other one.
    fn wrong(&self, data: &[u16], recovery: &BTreeMap<usize, u16>, points: usize) -> Option<BTreeSet<usize>> {
        let point = |number: usize| number as u16 ^ ORIGIN;
        let mut sums = vec![0; points];
        let known = recovery.iter().map(|(number, symbol)| (*number, *symbol));
        for (number, symbol) in known.chain(data.iter().enumerate().map(|(n, symbol)| (points + n, *symbol))) {
            if symbol == 0 {
                continue;
            }
            let (mut log, step) = (self.log(symbol), self.log(point(number)));
            for sum in &mut sums {
                *sum ^= self.exp(log);
                log = (log + step) % ORDER;
            }
        }
        // What is lost is known to be wrong: it is multiplied away.
        let lost: Vec<usize> = (0..points).filter(|number| !recovery.contains_key(number)).collect();
        for number in &lost {
            let x = point(*number);
            for j in (1..points).rev() {
                sums[j] ^= self.mul(sums[j - 1], x);
            }
        }
        let locator = self.recurrence(&sums[lost.len()..]);
        let count = locator.len() - 1;
        if 2 * count > points - lost.len() {
            return None;
        }
        let is_root = |number: &usize| {
            let inverse = ORDER - self.log(point(points + *number));
            let terms = locator.iter().enumerate().filter(|(_, factor)| **factor != 0);
            terms.fold(0, |sum, (power, factor)| sum ^ self.exp(self.log(*factor) + inverse * power)) == 0
        };
        let wrong: BTreeSet<usize> = (0..data.len()).filter(is_root).collect();
        (wrong.len() == count).then_some(wrong)
    }

    /// The shortest recurrence of a sequence, from 1 on: each of its terms is the sum of those before it, multiplied by
    /// these (Berlekamp and Massey).
    fn recurrence(&self, sequence: &[u16]) -> Vec<u16> {
        let (mut best, mut before) = (vec![1u16], vec![1u16]);
        let (mut length, mut since, mut last) = (0, 1, 1u16);
        for (n, term) in sequence.iter().enumerate() {
            let known = best.iter().enumerate().skip(1).take(n);
            let off = known.fold(*term, |sum, (i, factor)| sum ^ self.mul(*factor, sequence[n - i]));
            if off == 0 {
                since += 1;
                continue;
            }
            let factor = self.exp(self.log(off) + ORDER - self.log(last));
            let kept = best.clone();
            best.resize(best.len().max(before.len() + since), 0);
            for (i, term) in before.iter().enumerate() {
                best[i + since] ^= self.mul(factor, *term);
            }
            if 2 * length <= n {
                (length, before, last, since) = (n + 1 - length, kept, off, 1);
            } else {
                since += 1;
            }
        }
        best.resize(length + 1, 0);
        best
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::noise;
    use proptest::prelude::*;

    fn entries(count: u64, seed: u64) -> Vec<Entry> {
        (0..count).map(|n| Entry::of(&noise(seed * 1000 + n, 64))).collect()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(40))]
        #[test]
        fn the_table_is_known_while_the_group_can_be_repaired(
            seed in 0u64..50, blocks in 1usize..120, recovery in 1usize..20,
            lost_frames in 0usize..20, order in any::<u64>(), beyond: bool,
        ) {
            let count = 2 * recovery;
            let table = entries(blocks as u64, seed);
            let mut bytes = Vec::new();
            table.iter().for_each(|entry| entry.encode(&mut bytes));
            let hash = *blake3::hash(&bytes).as_bytes();
            let all = recovery_of_table(&bytes, count)?;
            let lost_frames = lost_frames % (recovery + 1);
            let shuffled = |of: usize| {
                let mut all: Vec<usize> = (0..of).collect();
                all.sort_by_key(|n| blake3::hash(&[order.to_le_bytes(), (*n as u64).to_le_bytes()].concat()).to_hex());
                all
            };
            let left: Vec<usize> = shuffled(recovery).into_iter().skip(lost_frames).collect();
            let piece = |n: usize| (n as u32, <[u8; ENTRY_BYTES]>::try_from(all[n].as_slice()).unwrap_or_default());
            let pieces: BTreeMap<_, _> = left.iter().flat_map(|n| [piece(2 * n), piece(2 * n + 1)]).collect();
            let damaged = recovery - lost_frames + usize::from(beyond);
            let mut now = table.clone();
            for (n, wrong) in shuffled(blocks).into_iter().take(damaged).zip(entries(200, seed + 77)) {
                now[n] = wrong;
            }
            let found = table_of(&now, &pieces, count, &hash);
            if damaged.min(blocks) + lost_frames <= recovery {
                prop_assert_eq!(found, Some(table));
            } else {
                // What comes back is the table, or nothing.
                prop_assert!(found.is_none_or(|found| found == table));
            }
        }
    }

    /// The code as `docs/formats.md` describes it, computed without the crate: its words, and their order of bytes.
    #[test]
    fn the_crate_makes_the_words_that_are_described() -> Result<()> {
        const BASIS: [u32; 16] = [
            0x0001, 0xacca, 0x3c0e, 0x163e, 0xc582, 0xed2e, 0x914c, 0x4012, 0x6c98, 0x10d8, 0x6a72, 0xb900, 0xfdb8,
            0xfb34, 0xff38, 0x991e,
        ];
        let element =
            |n: u32| BASIS.iter().enumerate().filter(|(bit, _)| n >> bit & 1 == 1).fold(0, |sum, (_, b)| sum ^ b);
        let product = |a: u32, b: u32| {
            let plain = (0..16).filter(|bit| b >> bit & 1 == 1).fold(0, |sum, bit| sum ^ a << bit);
            (16..31).rev().fold(plain, |sum, bit| if sum >> bit & 1 == 1 { sum ^ 0x1002d << (bit - 16) } else { sum })
        };
        for (blocks, recovery) in [(5, 4), (9, 3), (40, 8), (1, 1)] {
            let points = usize::next_power_of_two(recovery);
            let data: Vec<Vec<u8>> = (0..blocks).map(|n| noise(n, 128)).collect();
            let slices: Vec<&[u8]> = data.iter().map(Vec::as_slice).collect();
            // All recovery blocks that there could be, of which the first ones are kept.
            let all = encode_at_once(&slices, points)?;
            assert_eq!(encode_at_once(&slices, recovery)?, all[..recovery]);
            let symbol = |block: &[u8], n: usize| {
                let at = n / 32 * 64 + n % 32;
                u32::from(block[at]) | u32::from(block[at + 32]) << 8
            };
            for n in 0..64 {
                for power in 0..points {
                    let terms = all.iter().chain(&data).enumerate().map(|(point, block)| {
                        let times = (0..power).fold(1, |sum, _| product(sum, element(point as u32)));
                        product(element(symbol(block, n)), times)
                    });
                    assert_eq!(terms.fold(0, |sum, term| sum ^ term), 0, "{blocks} {recovery} {n} {power}");
                }
            }
        }
        Ok(())
    }

    /// The written example of the code is what the crate computes.
    #[test]
    fn the_test_vector_in_the_documentation_is_right() -> Result<()> {
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/formats.md");
        let text = std::fs::read_to_string(path).unwrap_or_default();
        let fenced = text.split("#### The code").nth(1).and_then(|rest| rest.split("```").nth(1)).unwrap_or_default();
        let lines: Vec<&str> = fenced.lines().skip(2).collect();
        assert_eq!(lines.len(), 4);
        for line in lines {
            let (count, rest) = line.split_once("  ").unwrap_or_default();
            let recovery: usize = count.parse().unwrap_or(0);
            let (data, said) = rest.split_once("  ").unwrap_or_default();
            let block = |symbol: &str| {
                let symbol = u16::from_str_radix(symbol, 16).unwrap_or_default();
                let mut block = vec![0; 64];
                [block[0], block[32]] = symbol.to_le_bytes();
                block
            };
            let blocks: Vec<Vec<u8>> = data.split(' ').map(block).collect();
            let slices: Vec<&[u8]> = blocks.iter().map(Vec::as_slice).collect();
            let made = encode_at_once(&slices, recovery)?;
            let made: Vec<String> = made.iter().map(|b| format!("{:04x}", u16::from_le_bytes([b[0], b[32]]))).collect();
            assert_eq!(said.trim(), made.join(" "), "{line}");
        }
        Ok(())
    }
}
