//! Marks in a row, one bit each, that are counted and found quickly.

/// Words that are counted together.
const BLOCK: usize = 64;

/// Marks, in order.
#[derive(Debug, Clone, Default)]
pub(super) struct Bits {
    words: Vec<u64>,
    /// How many marks are set before each block of words.
    before: Vec<u64>,
    length: u64,
    set: u64,
}

impl Bits {
    /// How many there are, set or not.
    pub(super) fn length(&self) -> u64 {
        self.length
    }

    /// How many are set.
    pub(super) fn set(&self) -> u64 {
        self.set
    }

    /// One more.
    pub(super) fn push(&mut self, is_set: bool) {
        let within = self.length % 64;
        if within == 0 {
            self.word();
        }
        if let Some(word) = self.words.last_mut().filter(|_| is_set) {
            *word |= 1 << within;
            self.set += 1;
        }
        self.length += 1;
    }

    /// So many more that are not set.
    pub(super) fn push_none(&mut self, count: u64) {
        let (end, words) = (self.length + count, (self.length + count).div_ceil(64));
        while (self.words.len() as u64) < words {
            self.word();
        }
        self.length = end;
    }

    fn word(&mut self) {
        if self.words.len().is_multiple_of(BLOCK) {
            self.before.push(self.set);
        }
        self.words.push(0);
    }

    /// How many are set before place `at`.
    pub(super) fn rank(&self, at: u64) -> u64 {
        let at = at.min(self.length);
        let (word, within) = ((at / 64) as usize, at % 64);
        let block = word / BLOCK;
        let Some(before) = self.before.get(block) else { return self.set };
        let whole = self.words.get(block * BLOCK..word).unwrap_or_default();
        let last = self.words.get(word).map_or(0, |word| (word & ((1 << within) - 1)).count_ones());
        before + whole.iter().map(|word| u64::from(word.count_ones())).sum::<u64>() + u64::from(last)
    }

    /// The place of the set mark before which `nth` are set.
    pub(super) fn select(&self, nth: u64) -> Option<u64> {
        if nth >= self.set {
            return None;
        }
        let block = self.before.partition_point(|before| *before <= nth).checked_sub(1)?;
        let mut left = nth - self.before.get(block)?;
        for (at, word) in self.words.iter().enumerate().skip(block * BLOCK) {
            let count = u64::from(word.count_ones());
            if left < count {
                let mut rest = *word;
                for _ in 0..left {
                    rest &= rest - 1;
                }
                return Some(at as u64 * 64 + u64::from(rest.trailing_zeros()));
            }
            left -= count;
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn marks_are_counted_and_found(parts in prop::collection::vec((0u64..9000, any::<bool>(), 1u64..70), 0..8)) {
            let (mut bits, mut model) = (Bits::default(), Vec::new());
            for (none, is_set, some) in parts {
                bits.push_none(none);
                model.extend((0..none).map(|_| false));
                (0..some).for_each(|_| bits.push(is_set));
                model.extend((0..some).map(|_| is_set));
            }
            prop_assert_eq!(bits.length(), model.len() as u64);
            let places: Vec<u64> = (0..model.len() as u64).filter(|at| model[*at as usize]).collect();
            prop_assert_eq!(bits.set(), places.len() as u64);
            for (nth, at) in places.iter().enumerate() {
                prop_assert_eq!(bits.select(nth as u64), Some(*at));
                prop_assert_eq!(bits.rank(*at), nth as u64);
                prop_assert_eq!(bits.rank(at + 1), nth as u64 + 1);
            }
            prop_assert_eq!(bits.select(bits.set()), None);
            prop_assert_eq!(bits.rank(u64::MAX), bits.set());
        }
    }
}
