//! Encoding a page against its content before the commit.
//!
//! The previous content is what the page holds after the commit before: on capture read from the WAL or the data file,
//! on integration from the file being rebuilt. Both are byte for byte the same, see [`capture`](super::capture). A page
//! that did not exist before has no previous content and is encoded by itself.
//!
//! | Encoding | Bytes |
//! |---|---|
//! | 0 | the page as it is |
//! | 1 | a zstd frame of the page |
//! | 2 | a patch: pairs of (bytes to keep, bytes to replace) as LEB128 numbers, each followed by the new bytes |
//! | 3 | a zstd frame of the page, compressed with the previous content as its prefix |
//!
//! A patch costs a few microseconds and serves the usual small update; where it grows, because a page was rearranged,
//! zstd finds what only moved.

use zstd::zstd_safe::{CCtx, CParameter, DCtx};

const WHOLE: u8 = 0;
const WHOLE_ZSTD: u8 = 1;
const PATCH: u8 = 2;
const PREFIX_ZSTD: u8 = 3;
/// Equal bytes between two differences that are cheaper to repeat than to skip.
const JOIN: usize = 4;

/// How every zstd dictionary begins. What begins so is not taken as it is by a context that is used again.
const DICTIONARY: [u8; 4] = [0x37, 0xa4, 0x30, 0xec];
const LEVEL: i32 = 1;

/// Encodes pages one after the other. To make a context of zstd anew for each costs more than most pages do.
#[derive(Default)]
pub struct Encoder {
    context: Option<CCtx<'static>>,
    packed: Vec<u8>,
}

impl std::fmt::Debug for Encoder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Encoder")
    }
}

impl Encoder {
    /// Encodes `image` into `out` (cleared before), and returns the encoding.
    pub fn encode(&mut self, previous: Option<&[u8]>, image: &[u8], out: &mut Vec<u8>) -> u8 {
        out.clear();
        if let Some(previous) = previous {
            // A short patch is taken at once; a longer one must be shorter than what zstd finds.
            let patched = patch(previous, image, image.len() / 2, out);
            if patched && out.len() <= image.len() / 16 {
                return PATCH;
            }
            if self.compress(Some(previous), image) && (!patched || self.packed.len() < out.len()) {
                std::mem::swap(out, &mut self.packed);
                return PREFIX_ZSTD;
            }
            if patched {
                return PATCH;
            }
        } else if self.compress(None, image) {
            std::mem::swap(out, &mut self.packed);
            return WHOLE_ZSTD;
        }
        out.clear();
        out.extend_from_slice(image);
        WHOLE
    }

    /// Compresses `image` into `self.packed`; false when it does not become shorter.
    fn compress(&mut self, previous: Option<&[u8]>, image: &[u8]) -> bool {
        self.packed.clear();
        self.packed.reserve(image.len());
        let done = match previous {
            // The bytes of a dictionary are a prefix, unless they look like one of zstd's own.
            Some(previous) if previous.starts_with(&DICTIONARY) => {
                let mut context = CCtx::create();
                let is_set = context.set_parameter(CParameter::CompressionLevel(LEVEL));
                is_set
                    .and_then(|_| context.ref_prefix(previous))
                    .and_then(|_| context.compress2(&mut self.packed, image))
            }
            previous => {
                let context = self.context.get_or_insert_with(CCtx::create);
                context.compress_using_dict(&mut self.packed, image, previous.unwrap_or_default(), LEVEL)
            }
        };
        done.is_ok_and(|size| size < image.len())
    }
}

/// Decodes `bytes` onto `page`, which holds the previous content; `exists` says whether there is one.
///
/// Returns `None`, with `page` in any state, when the bytes are not of this encoding.
pub fn decode(encoding: u8, bytes: &[u8], exists: bool, page: &mut [u8]) -> Option<()> {
    match encoding {
        WHOLE if bytes.len() == page.len() => page.copy_from_slice(bytes),
        WHOLE_ZSTD => (DCtx::create().decompress(page, bytes).ok()? == page.len()).then_some(())?,
        PATCH if exists => apply(bytes, page)?,
        PREFIX_ZSTD if exists => {
            let previous = page.to_vec();
            let mut context = DCtx::create();
            context.ref_prefix(&previous).ok()?;
            (context.decompress(page, bytes).ok()? == page.len()).then_some(())?;
        }
        _ => return None,
    }
    Some(())
}

/// Whether an entry of this encoding can be decoded without the previous content.
pub fn stands_alone(encoding: u8) -> bool {
    matches!(encoding, WHOLE | WHOLE_ZSTD)
}

/// Appends the differences of two pages; false, with a part written, when they exceed `limit` bytes.
fn patch(previous: &[u8], image: &[u8], limit: usize, out: &mut Vec<u8>) -> bool {
    let (mut at, mut done) = (0, 0);
    while let Some(start) = differs_from(previous, image, at) {
        let mut end = start + 1;
        let mut equal = 0;
        while end + equal < image.len() && equal < JOIN {
            if previous[end + equal] == image[end + equal] {
                equal += 1;
            } else {
                end += equal + 1;
                equal = 0;
            }
        }
        put_number(out, start - done);
        put_number(out, end - start);
        out.extend_from_slice(&image[start..end]);
        if out.len() > limit {
            return false;
        }
        (at, done) = (end, end);
    }
    true
}

/// The first place at or after `from` where the pages differ.
fn differs_from(a: &[u8], b: &[u8], from: usize) -> Option<usize> {
    let mut at = from;
    while at + 64 <= a.len() && a[at..at + 64] == b[at..at + 64] {
        at += 64;
    }
    (at..a.len()).find(|&i| a[i] != b[i])
}

fn apply(mut bytes: &[u8], page: &mut [u8]) -> Option<()> {
    let mut at = 0usize;
    while !bytes.is_empty() {
        let keep = take_number(&mut bytes)?;
        let count = take_number(&mut bytes)?;
        at = at.checked_add(keep)?;
        let end = at.checked_add(count)?;
        page.get_mut(at..end)?.copy_from_slice(bytes.get(..count)?);
        bytes = &bytes[count..];
        at = end;
    }
    Some(())
}

fn put_number(out: &mut Vec<u8>, mut number: usize) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

fn take_number(bytes: &mut &[u8]) -> Option<usize> {
    let mut number = 0;
    for shift in [0, 7, 14, 21] {
        let (&byte, rest) = bytes.split_first()?;
        *bytes = rest;
        number |= usize::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Some(number);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::noise;
    use proptest::prelude::*;

    fn round(previous: Option<&[u8]>, image: &[u8]) -> (u8, usize) {
        let mut out = Vec::new();
        let encoding = Encoder::default().encode(previous, image, &mut out);
        // One that has encoded another page before comes to the same.
        let mut again = Vec::new();
        let mut used = Encoder::default();
        used.encode(Some(image), &noise(9, image.len()), &mut again);
        assert_eq!((used.encode(previous, image, &mut again), &again), (encoding, &out));
        let mut page = previous.map_or_else(|| vec![7; image.len()], <[u8]>::to_vec);
        assert_eq!(decode(encoding, &out, previous.is_some(), &mut page), Some(()));
        assert!(page == image);
        (encoding, out.len())
    }

    #[test]
    fn each_change_gets_the_encoding_that_suits_it() {
        let before = noise(1, 4096);
        assert_eq!(round(Some(&before), &before), (PATCH, 0));
        let mut small = before.clone();
        small[100] ^= 1;
        small[4095] ^= 1;
        assert_eq!(round(Some(&before), &small), (PATCH, 7));
        let mut moved = before[37..].to_vec();
        moved.extend_from_slice(&[0; 37]);
        let (encoding, length) = round(Some(&before), &moved);
        assert!(encoding == PREFIX_ZSTD && length < 100, "{encoding} {length}");
        assert_eq!(round(Some(&before), &noise(2, 4096)), (WHOLE, 4096));
        assert_eq!(round(None, &before), (WHOLE, 4096));
        assert_eq!(round(None, &[5; 65536]).0, WHOLE_ZSTD);
        assert_eq!(round(Some(&noise(3, 65536)), &noise(4, 65536)), (WHOLE, 65536));
    }

    #[test]
    fn a_page_that_looks_like_a_dictionary_of_zstd_is_a_page() {
        let mut before = noise(1, 4096);
        before[..4].copy_from_slice(&DICTIONARY);
        let mut moved = before[37..].to_vec();
        moved.extend_from_slice(&[0; 37]);
        let (encoding, length) = round(Some(&before), &moved);
        assert!(encoding == PREFIX_ZSTD && length < 100, "{encoding} {length}");
        round(Some(&moved), &before);
        round(None, &before);
    }

    proptest! {
        #[test]
        fn any_page_comes_back(seed in 0u64..1000, edits in prop::collection::vec((0usize..512, 1usize..60, any::<u8>()), 0..40)) {
            let before = noise(seed, 512);
            let mut after = before.clone();
            for (at, length, value) in edits {
                let end = (at + length).min(512);
                after[at..end].fill(value);
            }
            round(Some(&before), &after);
            round(None, &after);
        }

        #[test]
        fn nonsense_is_refused_or_decoded_but_never_a_panic(encoding in 0u8..6, bytes in prop::collection::vec(any::<u8>(), 0..80), exists: bool) {
            let mut page = vec![0; 512];
            let _ = decode(encoding, &bytes, exists, &mut page);
        }
    }
}
