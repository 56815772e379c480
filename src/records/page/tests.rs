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
