//! Where two states of a page differ. Most bytes are the same, and are compared many at once.

/// Bytes that are compared at once.
const PIECE: usize = 64;

/// The first place where two pieces of the same length differ.
pub(super) fn first_other(a: &[u8], b: &[u8]) -> Option<usize> {
    // Pieces of a known length are compared without asking how long they are.
    let (pieces, others) = (a.as_chunks::<PIECE>().0, b.as_chunks::<PIECE>().0);
    let same = pieces.iter().zip(others).take_while(|(a, b)| a == b).count();
    let begins = same * PIECE;
    let rest = a.get(begins..)?.iter().zip(b.get(begins..)?).position(|(a, b)| a != b)?;
    Some(begins + rest)
}

/// The last one.
pub(super) fn last_other(a: &[u8], b: &[u8]) -> Option<usize> {
    let (pieces, others) = (a.as_rchunks::<PIECE>().1, b.as_rchunks::<PIECE>().1);
    let same = pieces.iter().rev().zip(others.iter().rev()).take_while(|(a, b)| a == b).count();
    let end = a.len().checked_sub(same * PIECE)?;
    a.get(..end)?.iter().zip(b.get(..end)?).rposition(|(a, b)| a != b)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_and_the_last_other_byte_are_found_wherever_they_lie() {
        for length in [0usize, 1, 63, 64, 65, 127, 128, 300] {
            let a: Vec<u8> = (0..length).map(|at| at as u8).collect();
            assert_eq!((first_other(&a, &a), last_other(&a, &a)), (None, None));
            for (first, last) in (0..length).flat_map(|first| (first..length).step_by(7).map(move |last| (first, last)))
            {
                let mut b = a.clone();
                b[first] ^= 1;
                b[last] ^= 2;
                assert_eq!((first_other(&a, &b), last_other(&a, &b)), (Some(first), Some(last)));
            }
        }
    }
}
