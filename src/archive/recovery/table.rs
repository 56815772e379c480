//! The table of blocks: by it damaged blocks are known, and blocks that moved are found again.
//!
//! Per block a weak sum (u32), which can be moved along a file byte by byte, and the first 16 bytes of the block's
//! BLAKE3.

/// Bytes of one entry.
pub const ENTRY_BYTES: usize = 20;

/// What identifies a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Entry {
    /// Its weak sum.
    pub weak: u32,
    /// The first 16 bytes of its BLAKE3.
    pub strong: [u8; 16],
}

impl Entry {
    /// Of a whole block.
    pub fn of(block: &[u8]) -> Self {
        Self { weak: Rolling::of(block).sum(), strong: Self::strong_of(block) }
    }

    /// The strong half of the entry of a block.
    pub fn strong_of(block: &[u8]) -> [u8; 16] {
        Self::strong_of_filled(block, &[])
    }

    /// The same of a block that is filled up with these zeros.
    pub fn strong_of_filled(block: &[u8], zeros: &[u8]) -> [u8; 16] {
        let mut short = [0; 16];
        short.copy_from_slice(&blake3::Hasher::new().update(block).update(zeros).finalize().as_bytes()[..16]);
        short
    }

    /// Whether `block` is the one meant.
    pub fn is(&self, block: &[u8]) -> bool {
        Self::strong_of(block) == self.strong
    }

    /// Appends the entry.
    pub fn encode(&self, out: &mut Vec<u8>) {
        out.extend(self.weak.to_le_bytes());
        out.extend(self.strong);
    }

    /// The entries of a table.
    pub fn decode_all(table: &[u8]) -> Vec<Self> {
        let one = |bytes: &[u8]| {
            let (mut weak, mut strong) = ([0; 4], [0; 16]);
            weak.copy_from_slice(&bytes[..4]);
            strong.copy_from_slice(&bytes[4..]);
            Self { weak: u32::from_le_bytes(weak), strong }
        };
        table.chunks_exact(ENTRY_BYTES).map(one).collect()
    }
}

/// The weak sum of a stretch of fixed length, which moves along in constant time.
#[derive(Debug, Clone, Copy)]
pub struct Rolling {
    plain: u32,
    weighted: u32,
    length: u32,
}

impl Rolling {
    /// Of these bytes.
    pub fn of(bytes: &[u8]) -> Self {
        let (mut plain, mut weighted) = (0u32, 0u32);
        // Part by part: of a short loop with small weights a compiler makes one that takes many bytes at a time.
        let (parts, rest) = bytes.as_chunks::<64>();
        for part in parts {
            let (mut of_part, mut weighted_in_part) = (0, 0);
            for (n, byte) in part.iter().enumerate() {
                of_part += u32::from(*byte);
                weighted_in_part += u32::from(*byte) * (64 - n as u32);
            }
            weighted = weighted.wrapping_add(plain.wrapping_mul(64)).wrapping_add(weighted_in_part);
            plain = plain.wrapping_add(of_part);
        }
        for byte in rest {
            plain = plain.wrapping_add(u32::from(*byte));
            weighted = weighted.wrapping_add(plain);
        }
        Self { plain, weighted, length: bytes.len() as u32 }
    }

    /// Moves one byte on: `old` leaves at the front, `new` comes at the end.
    pub fn step(&mut self, old: u8, new: u8) {
        self.plain = self.plain.wrapping_sub(u32::from(old)).wrapping_add(u32::from(new));
        self.weighted = self.weighted.wrapping_sub(self.length.wrapping_mul(u32::from(old))).wrapping_add(self.plain);
    }

    /// The sum at this place.
    pub fn sum(&self) -> u32 {
        self.sum_filled(0)
    }

    /// The sum of a block that has so many zeros after what is at this place.
    pub fn sum_filled(&self, zeros: u32) -> u32 {
        self.weighted.wrapping_add(self.plain.wrapping_mul(zeros.wrapping_add(0x9e37_79b1)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn the_sum_that_moved_along_is_the_sum_of_the_place(bytes in prop::collection::vec(any::<u8>(), 200..600), length in 1usize..200) {
            let mut rolling = Rolling::of(&bytes[..length]);
            for at in 0..bytes.len() - length {
                prop_assert_eq!(rolling.sum(), Rolling::of(&bytes[at..at + length]).sum());
                rolling.step(bytes[at], bytes[at + length]);
            }
        }

        #[test]
        fn zeros_at_the_end_need_not_be_there(bytes in prop::collection::vec(any::<u8>(), 1..300), zeros in 0u32..99) {
            let filled = [bytes.clone(), vec![0; zeros as usize]].concat();
            prop_assert_eq!(Rolling::of(&bytes).sum_filled(zeros), Rolling::of(&filled).sum());
            prop_assert_eq!(Entry::strong_of_filled(&bytes, &filled[bytes.len()..]), Entry::strong_of(&filled));
        }

        #[test]
        fn every_byte_weighs_as_much_as_there_are_bytes_from_it_on(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
            let weights = (1..=bytes.len() as u32).rev();
            let weighted: u32 = bytes.iter().zip(weights).map(|(byte, weight)| u32::from(*byte) * weight).sum();
            let plain: u32 = bytes.iter().map(|byte| u32::from(*byte)).sum();
            prop_assert_eq!(Rolling::of(&bytes).sum(), weighted.wrapping_add(plain.wrapping_mul(0x9e37_79b1)));
        }
    }

    #[test]
    fn entries_come_back_as_they_were_written() {
        let entries = [Entry::of(b"one"), Entry::of(b"two")];
        let mut table = Vec::new();
        entries.iter().for_each(|e| e.encode(&mut table));
        assert_eq!(Entry::decode_all(&table), entries);
        assert!(entries[0].is(b"one") && !entries[0].is(b"two"));
    }
}
