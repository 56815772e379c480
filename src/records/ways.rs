//! Interior pages of trees, kept when a frame is unpacked in which they lie. Whoever asks for leaves all over a data
//! file asks for the ways to them as well, and those lie elsewhere: a frame of a thousand pages would be unpacked and
//! proven once more for each of them.

use super::{by_page::ByPage, page::kind_of};

/// Bytes of them held in memory, twice: those of some gigabytes of records.
const WAYS_BYTES: usize = 8 << 20;

/// Pages that were kept lately, and those before.
#[derive(Debug, Default)]
pub(super) struct Ways {
    young: ByPage<Vec<u8>>,
    old: ByPage<Vec<u8>>,
    bytes: usize,
}

impl Ways {
    /// A page, if it is kept.
    pub(super) fn get(&mut self, page: u32) -> Option<&[u8]> {
        if !self.young.contains_key(&page) {
            let image = self.old.remove(&page)?;
            self.put(page, image);
        }
        self.young.get(&page).map(Vec::as_slice)
    }

    /// Keeps what looks like an interior page; any other one is read from its frame.
    pub(super) fn look_at(&mut self, page: u32, image: &[u8]) {
        if kind_of(page, image).is_some_and(super::page::Kind::is_interior) && !self.young.contains_key(&page) {
            self.put(page, image.to_vec());
        }
    }

    fn put(&mut self, page: u32, image: Vec<u8>) {
        if self.bytes > WAYS_BYTES {
            self.old = std::mem::take(&mut self.young);
            self.bytes = 0;
        }
        self.bytes += image.len();
        self.young.insert(page, image);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_pages_that_lead_to_others_are_kept_and_no_more_than_have_room() {
        let page = |kind: u8, number: u32| {
            let mut image = vec![0; 4096];
            image[0] = kind;
            image[1..5].copy_from_slice(&number.to_be_bytes());
            image
        };
        let mut ways = Ways::default();
        for (number, kind) in [(2, 5), (3, 2), (4, 13), (5, 10), (6, 0)] {
            ways.look_at(number, &page(kind, number));
        }
        let kept: Vec<bool> = (2..=6).map(|number| ways.get(number).is_some()).collect();
        assert_eq!(kept, [true, true, false, false, false]);
        for number in 10..20_000 {
            ways.look_at(number, &page(5, number));
            // One that is asked for again and again stays.
            assert_eq!(ways.get(2), Some(page(5, 2).as_slice()));
            assert_eq!(ways.get(number), Some(page(5, number).as_slice()));
            assert!((ways.young.len() + ways.old.len()) * 4096 <= 2 * WAYS_BYTES + 2 * 4096);
        }
        assert_eq!(ways.get(3), None);
    }
}
