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
//! | 4 | steps that keep, replace, move and count up, see [`moves`]; from version 2 of the log on |
//! | 5 | the same, after a number of other pages and their numbers, whose previous contents are sources, too |
//! | 6 | the same as 5 for a page without a previous content: it begins as zeros |
//!
//! A patch costs a few microseconds and serves the usual small update; where it grows, because records of the page were
//! moved, steps say so in a few bytes; and where a page was rearranged, zstd finds what is left of it. Where SQLite
//! splits a page, most of what its neighbours become is in the page already.

mod moves;

use std::cell::RefCell;

use zstd::zstd_safe::{CCtx, CParameter, DCtx};

use super::format::{Entry, page_hash};
use crate::error::Result;

/// The page as it is.
pub const WHOLE: u8 = 0;
const WHOLE_ZSTD: u8 = 1;
const PATCH: u8 = 2;
const PREFIX_ZSTD: u8 = 3;
const MOVES: u8 = 4;
const MOVES_AMONG: u8 = 5;
const MOVES_HERE: u8 = 6;
/// A record with more pages does not use the other ones of it; so whoever applies it keeps not more as they were.
pub const GROUP_MAX: usize = 16;
/// Equal bytes between two differences that are cheaper to repeat than to skip.
const JOIN: usize = 4;
/// A patch of so many bytes is hardly made shorter by looking for what was moved.
const PATCH_SHORT: usize = 32;

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
    /// Encodes `image` into `out` (cleared before), and returns the encoding: for a log of this version.
    pub fn encode(&mut self, version: u32, previous: Option<&[u8]>, image: &[u8], out: &mut Vec<u8>) -> u8 {
        out.clear();
        if let Some(previous) = previous {
            // A short patch is taken at once; a longer one must be shorter than what else there is.
            let patched = patch(previous, image, image.len() / 2, out);
            let short = if version == 1 { image.len() / 16 } else { PATCH_SHORT };
            if patched && out.len() <= short {
                return PATCH;
            }
            if version > 1 {
                let mut steps = Vec::new();
                let limit = if patched { out.len() } else { image.len() / 2 };
                if moves::put(previous, image, limit.min(image.len() / 16), &mut steps) {
                    *out = steps;
                    return MOVES;
                }
                if patched && out.len() <= image.len() / 16 {
                    return PATCH;
                }
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

/// Encodes `image` with what other pages held before the same commit, where that is shorter than `out`, which
/// [`Encoder::encode`] has made; returns the encoding then.
pub fn encode_among(previous: Option<&[u8]>, others: &[(u32, &[u8])], image: &[u8], out: &mut Vec<u8>) -> Option<u8> {
    let size = image.len();
    let attempt = |others: &[(u32, &[u8])], used: &mut Vec<bool>| {
        let mut source = previous.map_or_else(|| vec![0; size], <[u8]>::to_vec);
        others.iter().for_each(|(_, content)| source.extend_from_slice(content));
        let (mut whole, mut steps) = (Vec::new(), Vec::new());
        put_number(&mut whole, others.len());
        others.iter().for_each(|(page, _)| put_number(&mut whole, *page as usize));
        let is_put = moves::put(&source, image, out.len(), &mut steps);
        used.resize(others.len() + 1, false);
        let mut copied = |from: usize, count: usize| used[from / size..=(from + count - 1) / size].fill(true);
        moves::copies(&steps, &mut copied).filter(|()| is_put)?;
        whole.extend_from_slice(&steps);
        Some(whole)
    };
    let mut used = Vec::new();
    let mut found = attempt(others, &mut used)?;
    // Each name costs some bytes.
    let needed: Vec<(u32, &[u8])> =
        others.iter().zip(&used[1..]).filter(|(_, used)| **used).map(|(other, _)| *other).collect();
    if needed.len() < others.len() {
        found = attempt(&needed, &mut Vec::new())?;
    }
    (found.len() < out.len()).then(|| {
        *out = found;
        if previous.is_some() { MOVES_AMONG } else { MOVES_HERE }
    })
}

thread_local! {
    /// To make a context anew for each page costs more than most pages do.
    static UNPACKER: RefCell<DCtx<'static>> = RefCell::new(DCtx::create());
}

/// What a page held before the commit that is being decoded.
pub type Before<'a> = dyn FnMut(u32) -> Option<Vec<u8>> + 'a;

/// Decodes `bytes` onto `page`, which holds the previous content; `exists` says whether there is one. `before` knows
/// that of other pages.
///
/// Returns `None`, with `page` in any state, when the bytes are not of this encoding.
pub fn decode(encoding: u8, mut bytes: &[u8], exists: bool, page: &mut [u8], before: &mut Before<'_>) -> Option<()> {
    match encoding {
        MOVES_AMONG | MOVES_HERE if exists || encoding == MOVES_HERE => {
            let mut others = Vec::new();
            let count = take_number(&mut bytes).filter(|count| *count < GROUP_MAX)?;
            for _ in 0..count {
                let other = before(u32::try_from(take_number(&mut bytes)?).ok()?)?;
                others.extend_from_slice(&other);
            }
            if encoding == MOVES_HERE {
                page.fill(0);
            }
            moves::apply(bytes, page, &others)?;
        }
        WHOLE if bytes.len() == page.len() => page.copy_from_slice(bytes),
        WHOLE_ZSTD => {
            let done = UNPACKER.with_borrow_mut(|context| context.decompress(page, bytes));
            (done.ok()? == page.len()).then_some(())?;
        }
        PATCH if exists => apply(bytes, page)?,
        MOVES if exists => moves::apply(bytes, page, &[])?,
        PREFIX_ZSTD if exists => {
            let previous = page.to_vec();
            let done = if previous.starts_with(&DICTIONARY) {
                let mut context = DCtx::create();
                context.ref_prefix(&previous).ok()?;
                context.decompress(page, bytes)
            } else {
                UNPACKER.with_borrow_mut(|context| context.decompress_using_dict(page, bytes, &previous))
            };
            (done.ok()? == page.len()).then_some(())?;
        }
        _ => return None,
    }
    Some(())
}

/// Decodes an entry onto `image`, the previous content of its page, and proves by its hash that it is what was written;
/// `before` knows the previous content of other pages. False where it is not: then the log was made against another
/// content.
///
/// # Errors
/// Those of `before`.
pub fn decode_proven(
    entry: &Entry<'_>,
    exists: bool,
    image: &mut [u8],
    before: &mut dyn FnMut(u32) -> Result<Option<Vec<u8>>>,
) -> Result<bool> {
    let mut failed = None;
    let mut ask = |page: u32| match before(page) {
        Ok(content) => content,
        Err(error) => {
            failed = Some(error);
            None
        }
    };
    let decoded = decode(entry.encoding, entry.bytes, exists, image, &mut ask);
    match failed {
        Some(error) => Err(error),
        None => Ok(decoded.is_some() && page_hash(image) == entry.hash),
    }
}

/// The other pages that an entry of this encoding is decoded with; `None` where its bytes are not of it.
pub fn others(encoding: u8, mut bytes: &[u8]) -> Option<Vec<u32>> {
    if !matches!(encoding, MOVES_AMONG | MOVES_HERE) {
        return Some(Vec::new());
    }
    let count = take_number(&mut bytes).filter(|count| *count < GROUP_MAX)?;
    (0..count).map(|_| u32::try_from(take_number(&mut bytes)?).ok()).collect()
}

/// Whether an entry of this encoding is the page itself, of which nothing else need be known.
pub fn is_whole(encoding: u8) -> bool {
    matches!(encoding, WHOLE | WHOLE_ZSTD)
}

/// Whether an entry of this encoding can be decoded without the previous content.
pub fn stands_alone(encoding: u8) -> bool {
    matches!(encoding, WHOLE | WHOLE_ZSTD | MOVES_HERE)
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
        let mut round = (0, 0);
        for version in [1, 2] {
            let encoding = Encoder::default().encode(version, previous, image, &mut out);
            assert!(encoding <= PREFIX_ZSTD || version > 1);
            let mut page = previous.map_or_else(|| vec![7; image.len()], <[u8]>::to_vec);
            assert_eq!(decode(encoding, &out, previous.is_some(), &mut page, &mut |_| None), Some(()));
            assert!(page == image);
            round = (encoding, out.len());
        }
        round
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
        assert!(encoding == MOVES && length < 50, "{encoding} {length}");
        let mut scattered = Vec::new();
        (0..128usize).for_each(|n| scattered.extend_from_slice(&before[n * 29 % 128 * 32..][..32]));
        assert_eq!(round(Some(&before), &scattered).0, PREFIX_ZSTD);
        assert_eq!(round(Some(&before), &noise(2, 4096)), (WHOLE, 4096));
        assert_eq!(round(None, &before), (WHOLE, 4096));
        assert_eq!(round(None, &[5; 65536]).0, WHOLE_ZSTD);
        assert_eq!(round(Some(&noise(3, 65536)), &noise(4, 65536)), (WHOLE, 65536));
    }

    #[test]
    fn what_was_in_a_neighbour_before_costs_little() {
        let (left, right) = (noise(1, 4096), noise(2, 4096));
        // The second half of one page, and the first of another; a third one had nothing to do with it.
        let after = [&left[2048..], &right[..2048]].concat();
        let others = [(70_000, noise(3, 4096)), (8, left.clone()), (9, right.clone())];
        let others: Vec<(u32, &[u8])> = others.iter().map(|(page, content)| (*page, content.as_slice())).collect();
        for previous in [None, Some(right.as_slice())] {
            let mut out = Vec::new();
            Encoder::default().encode(2, previous, &after, &mut out);
            let encoding = encode_among(previous, &others, &after, &mut out);
            assert_eq!(encoding, Some(if previous.is_some() { MOVES_AMONG } else { MOVES_HERE }));
            assert!(out.len() < 20, "{out:?}");
            let mut page = previous.map_or_else(|| vec![7; 4096], <[u8]>::to_vec);
            let mut before = |page: u32| others.iter().find(|other| other.0 == page).map(|other| other.1.to_vec());
            let decoded = decode(encoding.unwrap_or(9), &out, previous.is_some(), &mut page, &mut before);
            assert!(decoded.is_some() && page == after);
            assert_eq!(decode(encoding.unwrap_or(9), &out, true, &mut page, &mut |_| None), None);
        }
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
        fn nonsense_is_refused_or_decoded_but_never_a_panic(encoding in 0u8..8, bytes in prop::collection::vec(any::<u8>(), 0..80), exists: bool) {
            let mut page = vec![0; 512];
            let _ = decode(encoding, &bytes, exists, &mut page, &mut |page| (page < 9).then(|| vec![1; 512]));
        }
    }
}
