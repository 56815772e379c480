use proptest::prelude::*;

use super::*;

#[test]
fn numbers_of_all_lengths_are_read() {
    for (bytes, number) in [
        (&[0x7f][..], 127),
        (&[0x81, 0x00], 128),
        (&[0xff, 0x7f], 16383),
        (&[0xff; 9], u64::MAX),
        (&[0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 5], 5),
    ] {
        let mut at = 0;
        assert_eq!((varint(bytes, &mut at), at), (Some(number), bytes.len()));
        assert_eq!(varint(&bytes[..bytes.len() - 1], &mut 0), None);
    }
}

#[test]
fn pages_apart_are_known_by_their_number() {
    let head = |page_size, has_pointer_map| FileHead {
        page_size,
        usable: page_size,
        encoding: Encoding::Utf8,
        first_trunk: 0,
        has_pointer_map,
    };
    // 1024 / 5 = 204 entries on each.
    let apart = |head: FileHead, pages: std::ops::Range<u32>| pages.filter(|p| head.is_apart(*p)).collect::<Vec<_>>();
    assert_eq!(apart(head(1024, true), 1..420), [2, 207, 412]);
    assert_eq!(apart(head(1024, false), 1..420), [] as [u32; 0]);
    assert_eq!(apart(head(65536, false), 16000..17000), [16385]);
}

proptest! {
    #[test]
    fn cells_that_may_differ_are_all_but_those_that_are_the_same_byte_by_byte(
        noise in prop::collection::vec(any::<u8>(), 512),
        pointers in prop::collection::vec(90u16..512, 0..40),
        edits in prop::collection::vec((0usize..512, any::<u8>()), 0..6),
        fewer in 0usize..3,
        is_of_rowids: bool,
    ) {
        let mut before = noise;
        before[0] = if is_of_rowids { 13 } else { 10 };
        before[3..5].copy_from_slice(&(pointers.len() as u16).to_be_bytes());
        for (place, pointer) in before[8..].chunks_exact_mut(2).zip(&pointers) {
            place.copy_from_slice(&pointer.to_be_bytes());
        }
        // Short cells, so that some end where others begin.
        pointers.iter().for_each(|at| before[usize::from(*at)] &= 31);
        let mut after = before.clone();
        edits.iter().filter(|(at, _)| *at > 4).for_each(|(at, byte)| after[*at] = *byte);
        after[4] = after[4].saturating_sub(fewer as u8);
        let read = |image: &'_ [u8]| Node::read(2, image, 512).map(|node| node.count());
        prop_assert!(read(&before).is_ok() && read(&after).is_ok());
        let Ok((a, b)) = Node::read(2, &before, 512).and_then(|a| Ok((a, Node::read(2, &after, 512)?))) else {
            return Ok(());
        };
        let (left, right) = a.differing(&b);
        let raw = |node: &Node<'_>, index: usize| node.cell(index).map(|cell| cell.raw.to_vec());
        prop_assert!(left.start == right.start && a.count() - left.end == b.count() - right.end);
        prop_assert!(left.start <= left.end && right.start <= right.end);
        for index in 0..left.start {
            prop_assert_eq!(raw(&a, index), raw(&b, index), "cell {}", index);
        }
        for (mine, its) in (left.end..a.count()).zip(right.end..b.count()) {
            prop_assert_eq!(raw(&a, mine), raw(&b, its), "cell {}", mine);
        }
    }
}

#[test]
fn of_two_states_of_a_page_that_differ_in_one_record_all_other_cells_are_known_to_be_the_same() {
    let mut before = vec![0u8; 512];
    (before[0], before[4]) = (13, 10);
    for index in 0..10usize {
        // A record of 20 bytes with this rowid, the first one at the end of the page.
        let at = 512 - 22 * (index + 1);
        before[8 + 2 * index..10 + 2 * index].copy_from_slice(&(at as u16).to_be_bytes());
        before[at..at + 2].copy_from_slice(&[20, index as u8 + 1]);
    }
    for (place, cells) in [(512 - 1, 0..1), (512 - 22 * 4 + 7, 3..4), (512 - 22 * 10 + 2, 9..10)] {
        let mut after = before.clone();
        after[place] ^= 1;
        let ranges = Node::read(2, &before, 512).and_then(|a| Ok(a.differing(&Node::read(2, &after, 512)?)));
        assert_eq!(ranges, Ok((cells.clone(), cells)));
    }
}
