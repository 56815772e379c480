//! A checksum of the whole data file that is kept up with every commit, so that pages which no commit touched are
//! proven too.
//!
//! It is the sum, modulo 2⁶⁴, of one number for every page that has a defined content: in whatever order pages change,
//! the same state has the same sum. The number is made of the page number and the first 8 bytes of the page's hash,
//! which entries and page tables hold, so that neither the page before nor the rest of the file need be read. A page
//! without a defined content counts for nothing: one that came into being without an entry, because SQLite allocated
//! and freed it in one transaction.

use serde::{Deserialize, Serialize};

/// The checksum of a state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct StateSum(pub u64);

impl From<StateSum> for String {
    fn from(sum: StateSum) -> Self {
        format!("{:016x}", sum.0)
    }
}

impl TryFrom<String> for StateSum {
    type Error = String;

    fn try_from(text: String) -> std::result::Result<Self, String> {
        let is_plain = text.len() == 16 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        let sum = u64::from_str_radix(&text, 16).ok().filter(|_| is_plain);
        sum.map(Self).ok_or_else(|| "a checksum of a state has 16 hexadecimal digits".to_owned())
    }
}

impl StateSum {
    /// With the page that came, or as it is now.
    pub fn with(self, page: u32, hash: [u8; 8]) -> Self {
        Self(self.0.wrapping_add(number_of(page, hash)))
    }

    /// Without the page that went, or as it was before.
    pub fn without(self, page: u32, hash: [u8; 8]) -> Self {
        Self(self.0.wrapping_sub(number_of(page, hash)))
    }
}

/// What a page counts for: the mixing of SplitMix64, applied to both.
fn number_of(page: u32, hash: [u8; 8]) -> u64 {
    let mut z = u64::from_le_bytes(hash).wrapping_add(u64::from(page).wrapping_mul(0x9e37_79b9_7f4a_7c15));
    z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ z >> 31
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn pages_that_changed_places_are_another_state() {
        let sum = StateSum::default().with(1, [1; 8]).with(2, [2; 8]);
        assert_ne!(sum, StateSum::default().with(1, [2; 8]).with(2, [1; 8]));
        assert_eq!(String::from(StateSum(0xab)), "00000000000000ab");
        assert_eq!(StateSum::try_from("00000000000000ab".to_owned()), Ok(StateSum(0xab)));
        assert!(
            ["ab", "+0000000000000ab", "00000000000000abc"]
                .iter()
                .all(|t| StateSum::try_from((*t).to_owned()).is_err())
        );
    }

    proptest! {
        #[test]
        fn it_is_the_same_in_any_order_and_after_any_changes(
            pages in prop::collection::btree_map(1u32..50, any::<[u8; 8]>(), 0..20),
            changes in prop::collection::vec((1u32..50, any::<[u8; 8]>()), 0..40),
        ) {
            let of = |pages: &std::collections::BTreeMap<u32, [u8; 8]>| {
                pages.iter().rev().fold(StateSum::default(), |sum, (page, hash)| sum.with(*page, *hash))
            };
            let (mut sum, mut pages) = (of(&pages), pages);
            for (page, hash) in changes {
                if let Some(before) = pages.insert(page, hash) {
                    sum = sum.without(page, before);
                }
                sum = sum.with(page, hash);
            }
            prop_assert_eq!(sum, of(&pages));
        }
    }
}
