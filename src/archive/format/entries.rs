//! The entries of INDX, one for each data frame. Each has its length in front, so that a later program can write more
//! into one and this one passes over it.

use super::{Hash, array, u16_at, u32_at, u64_at};

/// The first version in which entries have their length in front.
const VERSION_GROWING: u16 = 3;
/// Bytes of an entry besides its length.
pub(super) const ENTRY_BYTES: usize = 48;

/// Where one data frame lies, and its checksum.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FrameEntry {
    /// Offset in the archive.
    pub offset: u64,
    /// Length as stored.
    pub stored: u32,
    /// Length when decompressed.
    pub raw: u32,
    /// BLAKE3 of the stored bytes.
    pub hash: Hash,
}

impl FrameEntry {
    /// Appends the entry, with its length.
    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        out.extend((ENTRY_BYTES as u16).to_le_bytes());
        out.extend(self.offset.to_le_bytes());
        out.extend(self.stored.to_le_bytes());
        out.extend(self.raw.to_le_bytes());
        out.extend(self.hash);
    }
}

/// The entries of `count` data frames, and what follows them.
pub(super) fn decode(mut rest: &[u8], count: usize, version: u16) -> Option<(Vec<FrameEntry>, &[u8])> {
    let mut frames = Vec::with_capacity(count);
    for _ in 0..count {
        let mut length = ENTRY_BYTES;
        if version >= VERSION_GROWING {
            let (own, after) = rest.split_at_checked(2)?;
            (length, rest) = (usize::from(u16_at(own, 0)), after);
        }
        let (e, after) = rest.split_at_checked(length).filter(|_| length >= ENTRY_BYTES)?;
        frames.push(FrameEntry { offset: u64_at(e, 0), stored: u32_at(e, 8), raw: u32_at(e, 12), hash: array(e, 16) });
        rest = after;
    }
    Some((frames, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As a later version would write them.
    #[test]
    fn entries_that_have_grown_are_read_and_others_are_not() {
        let entry = |n: u64, more: usize| {
            let mut bytes = ((ENTRY_BYTES + more) as u16).to_le_bytes().to_vec();
            bytes.extend([n.to_le_bytes(), [7; 8]].concat());
            bytes.extend([n as u8; 32]);
            bytes.extend(vec![0xee; more]);
            bytes
        };
        let all = [entry(1, 0), entry(2, 9), entry(3, 300), b"items".to_vec()].concat();
        let (frames, rest) = decode(&all, 3, VERSION_GROWING).unwrap_or_default();
        assert_eq!(
            frames.iter().map(|frame| (frame.offset, frame.hash[0])).collect::<Vec<_>>(),
            [(1, 1), (2, 2), (3, 3)]
        );
        assert_eq!(rest, b"items");
        let mut short = all.clone();
        short[..2].copy_from_slice(&47u16.to_le_bytes());
        assert_eq!(decode(&short, 3, VERSION_GROWING), None);
        assert_eq!(decode(&all[..200], 3, VERSION_GROWING), None);
        // Before entries could grow.
        let plain: Vec<u8> = [1, 2].iter().flat_map(|n| entry(*n, 0).split_off(2)).collect();
        assert!(decode(&plain, 2, 2).is_some_and(|(frames, rest)| frames[1].offset == 2 && rest.is_empty()));
    }
}
