//! Maps by the number of a page. Each commit asks them some twenty times, and what the standard library hashes with is
//! made for keys of any length.

use std::{
    collections::HashMap,
    hash::{BuildHasher, Hasher, RandomState},
};

/// Values by page.
pub(super) type ByPage<T> = HashMap<u32, T, Seeded>;

/// Page numbers come from data that nobody vouches for: so nobody can know in advance which ones have the same hash.
#[derive(Debug, Clone)]
pub(super) struct Seeded(u64);

impl Default for Seeded {
    fn default() -> Self {
        Self(RandomState::new().hash_one(0u8))
    }
}

impl BuildHasher for Seeded {
    type Hasher = Folded;

    fn build_hasher(&self) -> Folded {
        Folded(self.0)
    }
}

/// Multiplies, and puts both halves of the product together.
#[derive(Debug)]
pub(super) struct Folded(u64);

const FACTOR: u64 = 0x9e37_79b9_7f4a_7c15;

impl Folded {
    fn fold(&mut self, number: u64) {
        let product = u128::from(self.0 ^ number) * u128::from(FACTOR);
        self.0 = product as u64 ^ (product >> 64) as u64;
    }
}

impl Hasher for Folded {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|byte| self.fold(u64::from(*byte)));
    }

    fn write_u32(&mut self, number: u32) {
        self.fold(u64::from(number));
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn pages_in_a_row_and_far_apart_have_hashes_that_differ_at_both_ends() {
        let seeded = Seeded::default();
        for step in [1u32, 2, 1 << 12, 1 << 16] {
            let hashes: Vec<u64> = (0..4096u32).map(|n| seeded.hash_one(n.wrapping_mul(step))).collect();
            // Maps take places from the low bits, and tell what shares a place by the high ones.
            let low: HashSet<u64> = hashes.iter().map(|hash| hash & 0xfff).collect();
            let high: HashSet<u64> = hashes.iter().map(|hash| hash >> 57).collect();
            assert!(low.len() > 2000 && high.len() > 100, "{step}: {} {}", low.len(), high.len());
        }
        assert_ne!(Seeded::default().hash_one(7u32), seeded.hash_one(7u32));
    }
}
