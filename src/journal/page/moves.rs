//! A page as what became of its previous content: kept, replaced, moved, or counted up.
//!
//! When a record grows, SQLite moves its neighbours within the page, and every pointer to one of them is higher or
//! lower by the same number. A patch would repeat both; general compression repeats the pointers.
//!
//! A place begins at 0. Each step is a number, count · 4 + operation, and moves the place on by what it wrote:
//!
//! | Operation | |
//! |---|---|
//! | 0 | *count* bytes stay |
//! | 1 | *count* bytes follow |
//! | 2 | a number follows: *count* bytes of the source from there |
//! | 3 | a number follows, zigzag: *count* big-endian words of 16 bits, each of the previous content plus that |
//!
//! What is left at the end stays. The source is the previous content, followed by those of other pages where the steps
//! name some.

use super::{put_number, take_number};

const KEEP: usize = 0;
const REPLACE: usize = 1;
const COPY: usize = 2;
const ADD: usize = 3;
/// What stays for less is cheaper to repeat.
const KEEP_MIN: usize = 4;
/// Bytes by which what was moved is found again.
const WINDOW: usize = 8;
/// Fewer words are not worth a step.
const WORDS_MIN: usize = 3;
const TABLE_BITS: u32 = 12;
/// Every so many windows of the source are noted: half the time, and what begins between them is found backwards.
const STRIDE: usize = 2;

/// Appends the steps from `source`, which begins with the previous content, to `image`; false, with a part written,
/// when they exceed `limit` bytes.
pub(super) fn put(source: &[u8], image: &[u8], limit: usize, out: &mut Vec<u8>) -> bool {
    let (table, previous) = (table_of(source), &source[..image.len()]);
    let (mut at, mut literal) = (0, 0);
    // What is not put yet counts: a page of which nothing is left is given up soon.
    while at < image.len() && out.len() + (at - literal) <= limit {
        let same = common(&previous[at..], &image[at..]);
        if at + same == image.len() {
            break;
        }
        if same >= KEEP_MIN {
            // The first word of those that are counted up may differ in its second byte only.
            let next = at + same;
            let kept = if next % 2 == 1 && words(previous, image, next - 1).0 >= WORDS_MIN { same - 1 } else { same };
            put_literal(&image[literal..at], out);
            put_step(out, KEEP, kept);
            (at, literal) = (at + kept, at + kept);
        }
        let (count, more) = words(previous, image, at);
        if count >= WORDS_MIN {
            put_literal(&image[literal..at], out);
            put_step(out, ADD, count);
            put_number(out, usize::from((more << 1 ^ more >> 15) as u16));
            (at, literal) = (at + 2 * count, at + 2 * count);
        } else if let Some((from, count, before)) = moved(&table, source, &image[literal..], at - literal) {
            put_literal(&image[literal..at - before], out);
            put_step(out, COPY, count);
            put_number(out, from);
            (at, literal) = (at - before + count, at - before + count);
        } else {
            at += 1;
        }
    }
    if literal < at {
        put_literal(&image[literal..at], out);
    }
    out.len() <= limit
}

/// Calls `copied` with the place of everything that the steps in `bytes` copy; `None` where they are none.
pub(super) fn copies(mut bytes: &[u8], copied: &mut dyn FnMut(usize, usize)) -> Option<()> {
    while !bytes.is_empty() {
        let step = take_number(&mut bytes)?;
        match (step >> 2, step & 3) {
            (count, REPLACE) => bytes = bytes.get(count..)?,
            (count, COPY) => copied(take_number(&mut bytes)?, count),
            (_, ADD) => _ = take_number(&mut bytes)?,
            _ => {}
        }
    }
    Some(())
}

/// Takes the steps in `bytes`, from the previous content in `page` to the next; `others` are what the source has
/// besides.
pub(super) fn apply(mut bytes: &[u8], page: &mut [u8], others: &[u8]) -> Option<()> {
    let source = [&*page, others].concat();
    let mut at = 0usize;
    while !bytes.is_empty() {
        let step = take_number(&mut bytes)?;
        let (count, operation) = (step >> 2, step & 3);
        let length = if operation == ADD { count.checked_mul(2)? } else { count };
        let end = at.checked_add(length)?;
        let there = page.get_mut(at..end)?;
        match operation {
            REPLACE => {
                there.copy_from_slice(bytes.get(..length)?);
                bytes = &bytes[length..];
            }
            COPY => {
                let from = take_number(&mut bytes)?;
                there.copy_from_slice(source.get(from..from.checked_add(length)?)?);
            }
            ADD => {
                let more = u16::try_from(take_number(&mut bytes)?).ok()?;
                let more = more >> 1 ^ (more & 1).wrapping_neg();
                for word in there.as_chunks_mut::<2>().0 {
                    *word = u16::from_be_bytes(*word).wrapping_add(more).to_be_bytes();
                }
            }
            _ => {}
        }
        at = end;
    }
    Some(())
}

fn put_step(out: &mut Vec<u8>, operation: usize, count: usize) {
    put_number(out, count << 2 | operation);
}

fn put_literal(bytes: &[u8], out: &mut Vec<u8>) {
    if !bytes.is_empty() {
        put_step(out, REPLACE, bytes.len());
        out.extend_from_slice(bytes);
    }
}

fn common(a: &[u8], b: &[u8]) -> usize {
    let mut at = 0;
    while at + 64 <= a.len() && a[at..at + 64] == b[at..at + 64] {
        at += 64;
    }
    at + a[at..].iter().zip(&b[at..]).take_while(|(a, b)| a == b).count()
}

/// How many words from `at` on differ from the previous ones by one and the same number, and by which.
fn words(previous: &[u8], image: &[u8], at: usize) -> (usize, i16) {
    let word = |bytes: &[u8]| u16::from_be_bytes([bytes[0], bytes[1]]);
    let mut differences = previous[at..].chunks_exact(2).zip(image[at..].chunks_exact(2));
    let mut differences = differences.by_ref().map(|(a, b)| word(b).wrapping_sub(word(a)) as i16);
    match differences.next() {
        Some(more) if more != 0 => (1 + differences.take_while(|other| *other == more).count(), more),
        _ => (0, 0),
    }
}

fn slot(window: &[u8], bits: u32) -> usize {
    let mut bytes = [0; WINDOW];
    bytes.copy_from_slice(&window[..WINDOW]);
    (u64::from_le_bytes(bytes).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> (64 - bits)) as usize
}

/// Where every second window of the source is found, plus one.
fn table_of(source: &[u8]) -> Vec<u32> {
    let bits = TABLE_BITS.max(usize::BITS - (source.len() / STRIDE).leading_zeros()).min(16);
    let mut table = vec![0; 1 << bits];
    for (at, window) in source.windows(WINDOW).enumerate().step_by(STRIDE) {
        table[slot(window, bits)] = at as u32 + 1;
    }
    table
}

/// From where, and for how long, the source has what `image` has around `at`; and how much of that lies before it.
fn moved(table: &[u32], source: &[u8], image: &[u8], at: usize) -> Option<(usize, usize, usize)> {
    let bits = table.len().trailing_zeros();
    let (earlier, image) = image.split_at(at);
    let from = (table[slot(image.get(..WINDOW)?, bits)] as usize).checked_sub(1)?;
    let count = common(&source[from..][..image.len().min(source.len() - from)], image);
    if count < WINDOW {
        return None;
    }
    let backwards = source[..from].iter().rev().zip(earlier.iter().rev());
    let before = backwards.take_while(|(a, b)| a == b).count();
    Some((from - before, count + before, before))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::noise;
    use proptest::prelude::*;

    fn steps(previous: &[u8], image: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        assert!(put(previous, image, usize::MAX, &mut out));
        let mut page = previous.to_vec();
        assert_eq!(apply(&out, &mut page, &[]), Some(()));
        assert!(page == image);
        out
    }

    #[test]
    fn a_page_whose_records_were_moved_costs_little() {
        // Pointers to 40 records of 90 bytes, from the end of the page on; then all but the first move by 6 bytes.
        let mut before = noise(1, 4096);
        let mut after = before.clone();
        for n in 0..40usize {
            let pointer = (4096 - 90 * (n + 1)) as u16;
            before[8 + 2 * n..10 + 2 * n].copy_from_slice(&pointer.to_be_bytes());
            let pointer = if n == 0 { pointer } else { pointer - 6 };
            after[8 + 2 * n..10 + 2 * n].copy_from_slice(&pointer.to_be_bytes());
        }
        after.copy_within(496..4006, 490);
        assert!(steps(&before, &after).len() < 25, "{:?}", steps(&before, &after));
        assert!(steps(&before, &before).is_empty());
    }

    proptest! {
        #[test]
        fn any_page_comes_back(
            seed in 0u64..1000,
            moves in prop::collection::vec((0usize..512, 0usize..512, 0usize..200), 0..6),
            words in prop::collection::vec((0usize..200, 0usize..40, any::<u16>()), 0..4),
            edits in prop::collection::vec((0usize..512, any::<u8>()), 0..9),
        ) {
            let before = noise(seed, 512);
            let mut after = before.clone();
            for (from, to, length) in moves {
                let length = length.min(512 - from.max(to));
                after.copy_within(from..from + length, to);
            }
            for (at, count, more) in words {
                for word in after[at..(at + 2 * count).min(512)].as_chunks_mut::<2>().0 {
                    *word = u16::from_be_bytes(*word).wrapping_add(more).to_be_bytes();
                }
            }
            edits.into_iter().for_each(|(at, value)| after[at] = value);
            steps(&before, &after);
        }

        #[test]
        fn nonsense_is_refused_and_never_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..80)) {
            let mut page = noise(1, 512);
            let _ = apply(&bytes, &mut page, &[7; 9]);
            let _ = copies(&bytes, &mut |_, _| ());
        }
    }
}
