//! Archived logs with an index, whole and damaged, and indexes that somebody made up.
#![cfg(test)]

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use chrono::TimeDelta;
use proptest::prelude::*;

use super::*;
use crate::{
    journal::{
        format::{Entry, Position, VERSION},
        look,
        reader::End,
        writer::LogWriter,
    },
    sqlite::wal::WalMark,
    storage::{Disk, Ownership},
};

fn head(commit: u64, seconds: i64) -> RecordHead {
    let wall = DateTime::UNIX_EPOCH + TimeDelta::seconds(seconds);
    let kind = if commit.is_multiple_of(5) { RecordKind::CatchUp } else { RecordKind::Commit };
    let mark = WalMark { frame: commit as u32, ..WalMark::default() };
    RecordHead { kind, commit, time: wall, wall, page_count: 90 + (commit % 3) as u32, mark, state: None }
}

/// A log of 12 commits after 41, with blocks of several records, a record in parts, pages without content, and a clock
/// that runs back; and its index.
fn sample(folder: &Path) -> Result<(PathBuf, Vec<u8>)> {
    let path = folder.join("a[0003].4BL");
    let header = LogHeader {
        ignored: Default::default(),
        version: VERSION,
        identity: uuid::Uuid::from_u128(7),
        page_size: 512,
        base: Position { log: Some(uuid::Uuid::from_u128(8)), ..Position::at(3, 41, Chain([9; 32])) },
        rooted: true,
        created: DateTime::UNIX_EPOCH,
        page_count: 90,
        mark: WalMark::default(),
    };
    let begin = (header, &[(7, 8)][..]);
    let mut writer = LogWriter::create_with(Arc::new(Disk), &path, begin, Ownership::default())?;
    for n in 0..12u64 {
        writer.begin(head(42 + n, if n == 6 { 2 } else { n as i64 * 3 }));
        let bytes = if n == 4 { 60_000 } else { 20 };
        for page in [1 + n as u32 * 7 % 80, 6 + n as u32 * 7 % 80, 9] {
            let encoding = if n % 4 == 3 { 0 } else { 2 };
            writer.page(&Entry { page, encoding, hash: [1; 8], bytes: &vec![n as u8; bytes] })?;
        }
        if n == 4 {
            (0..9).try_for_each(|_| {
                writer.page(&Entry { page: 80, encoding: 2, hash: [1; 8], bytes: &vec![n as u8; bytes] })
            })?;
        }
        writer.end()?;
        if n % 3 == 2 {
            writer.sync()?;
        }
    }
    writer.sync()?;
    let mut reader = LogReader::open(&path)?;
    let mut builder = Builder::new(reader.header());
    while let Some(record) = reader.next_record()? {
        builder.add(&mut reader, &record)?;
    }
    let blocks = builder.into_blocks(reader.tail()).unwrap_or_default();
    writer.put_index(&blocks)?;
    Ok((path, blocks))
}

type Seen = (Record, Vec<(u32, bool)>);

fn pages(reader: &mut LogReader, record: &Record) -> Result<Vec<(u32, bool)>> {
    let mut found = Vec::new();
    reader.pages(record, &mut |entry| {
        found.push((entry.page, entry.encoding == 0));
        Ok(())
    })?;
    Ok(found)
}

fn all(path: &Path) -> Result<(Vec<Seen>, LogReader)> {
    let mut reader = LogReader::open(path)?;
    let mut seen = Vec::new();
    while let Some(record) = reader.next_record()? {
        let pages = pages(&mut reader, &record)?;
        seen.push((record, pages));
    }
    Ok((seen, reader))
}

fn fail(error: impl std::fmt::Display) -> TestCaseError {
    TestCaseError::fail(error.to_string())
}

#[test]
fn it_lists_what_the_log_holds_and_leads_to_every_block() -> std::result::Result<(), Box<dyn std::error::Error>> {
    let folder = tempfile::tempdir()?;
    let (path, _) = sample(folder.path())?;
    let (seen, mut reader) = all(&path)?;
    assert_eq!((seen.len(), reader.end(), reader.indexed()), (12, End::Whole, Indexed::Sound));
    let index = reader.index().ok_or("no index")?;
    let groups: Vec<Group> = index.groups().collect();
    assert!(groups.len() > 3 && groups.iter().any(|group| group.records.len() > 1));
    assert!(groups.iter().any(|group| group.length > 500_000), "the record in parts");
    let listed: Vec<Listed> = groups.iter().flat_map(|group| group.records.clone()).collect();
    assert_eq!(listed, seen.iter().map(|(record, _)| Listed::of(&record.head)).collect::<Vec<_>>());
    // From any of them on, in any order, what is read is the same, but for what hangs on everything before.
    for group in groups.iter().rev() {
        assert!(reader.go_to(group)?);
        let mut named = Vec::new();
        for _ in &group.records {
            let record = reader.next_record()?.ok_or("it ended")?;
            let (same, of_it) =
                seen.iter().find(|(same, _)| same.head.commit == record.head.commit).ok_or("another commit")?;
            assert_eq!(pages(&mut reader, &record)?, *of_it);
            assert_eq!((record.offset, record.chain, record.head.wall), (same.offset, same.chain, same.head.wall));
            named.extend(of_it.clone());
        }
        named.sort_by_key(|(page, is_whole)| (*page, !is_whole));
        named.dedup_by_key(|(page, _)| *page);
        assert_eq!(group.pages, named);
    }
    // Who wrote a page is the same with and without it.
    let writers = |path: &Path| {
        let mut found = Vec::new();
        let mut note = |listed| {
            found.push(listed);
            Ok(())
        };
        let look = look::writers_of(9, &mut LogReader::open(path)?, &Control::default(), &mut note)?;
        Ok::<_, crate::error::Error>((look, found))
    };
    let (look, by_index) = writers(&path)?;
    LogWriter::open(Arc::new(Disk), &path, &mut |_, _| Ok(()))?;
    let (again, by_records) = writers(&path)?;
    assert_eq!((look, again), (Look::Indexes, Look::Records));
    assert!(by_index == by_records && by_index.len() > 1, "{by_index:?}");
    let (without, reader) = all(&path)?;
    assert!(without == seen && reader.indexed() == Indexed::Not, "whoever goes on with the log takes it away");
    Ok(())
}

#[test]
fn a_log_that_was_cut_off_before_its_index_is_damaged_and_not_torn()
-> std::result::Result<(), Box<dyn std::error::Error>> {
    let folder = tempfile::tempdir()?;
    let (path, blocks) = sample(folder.path())?;
    let bytes = std::fs::read(&path)?;
    let (seen, _) = all(&path)?;
    // The last block is damaged: no record follows it, but the end of the index tells that the log went on.
    let last = seen[11].0;
    let mut changed = bytes.clone();
    changed[last.end as usize - 3] ^= 1;
    std::fs::write(&path, &changed)?;
    let (found, reader) = all(&path)?;
    assert_eq!((found.len(), reader.end()), (9, End::Damaged { offset: seen[8].0.end }));
    // So it does where what it speaks of is gone from the file.
    let at = seen[8].0.end as usize;
    std::fs::write(&path, [&bytes[..at], &bytes[bytes.len() - TRAILER_BYTES..]].concat())?;
    let (found, reader) = all(&path)?;
    assert_eq!((found.len(), reader.end()), (9, End::Damaged { offset: at as u64 }));
    // One of another log is none.
    let other = folder.path().join("other");
    std::fs::create_dir(&other)?;
    let (path, _) = sample(&other)?;
    let mut writer = LogWriter::open(Arc::new(Disk), &path, &mut |_, _| Ok(()))?.0;
    writer.begin(head(54, 90));
    writer.end()?;
    writer.sync()?;
    writer.put_index(&blocks)?;
    let (found, reader) = all(&path)?;
    assert_eq!((found.len(), reader.indexed(), reader.end() == End::Whole), (13, Indexed::Not, false));
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]
    #[test]
    fn a_damaged_index_costs_no_record(part in 0.0f64..1.0, flip in 1u8..=255, is_cut: bool) {
        let folder = tempfile::tempdir()?;
        let (path, blocks) = sample(folder.path()).map_err(fail)?;
        let (seen, _) = all(&path).map_err(fail)?;
        let mut bytes = std::fs::read(&path)?;
        let begins = bytes.len() - blocks.len();
        let at = begins + (part * blocks.len() as f64) as usize;
        if is_cut { bytes.truncate(at) } else { bytes[at] ^= flip }
        std::fs::write(&path, &bytes)?;
        let (found, reader) = all(&path).map_err(fail)?;
        prop_assert!(found == seen);
        let is_torn = reader.end() == End::Torn { offset: begins as u64 };
        let is_whole = reader.end() == End::Whole;
        // Cut off within its first block, it could as well be the beginning of a record.
        prop_assert!(is_whole || is_torn && is_cut);
        prop_assert!(reader.index().is_none() && (is_torn || at == begins || reader.indexed() == Indexed::Damaged));
        let (proof, _) = look::prove(&path, &[], &Control::default()).map_err(fail)?;
        prop_assert_eq!(proof.problem().is_none(), is_cut && at == begins);
        prop_assert_eq!(proof.commits, Some((42, 53)));
    }

    #[test]
    fn a_damaged_record_is_never_taken_for_an_index(part in 0.0f64..1.0, flip in 1u8..=255) {
        let folder = tempfile::tempdir()?;
        let (path, blocks) = sample(folder.path()).map_err(fail)?;
        let mut bytes = std::fs::read(&path)?;
        let records = bytes.len() - blocks.len() - HEADER_BYTES;
        let at = HEADER_BYTES + (part * records as f64) as usize;
        bytes[at] ^= flip;
        std::fs::write(&path, &bytes)?;
        let (found, reader) = all(&path).map_err(fail)?;
        let is_damaged = matches!(reader.end(), End::Damaged { offset } if offset <= at as u64);
        prop_assert!(found.len() < 12 && is_damaged, "{:?}", reader.end());
    }

    #[test]
    fn a_list_that_somebody_made_up_is_refused_or_read_and_never_a_panic(
        list in prop::collection::vec(prop_oneof![3 => 0u8..9, 1 => any::<u8>()], 0..120),
        numbers in prop::option::of((any::<u64>(), any::<u64>(), any::<u64>())),
    ) {
        let folder = tempfile::tempdir()?;
        let (path, _) = sample(folder.path()).map_err(fail)?;
        let (mut writer, _) = LogWriter::open(Arc::new(Disk), &path, &mut |_, _| Ok(())).map_err(fail)?;
        let tail = *writer.logged();
        let builder = Builder { list, at: 0, wall: DateTime::UNIX_EPOCH, page_count: 90, records: 12, open: None };
        let mut blocks = builder.into_blocks(&tail).unwrap_or_default();
        if let Some((body, list, records)) = numbers {
            // The last block proves itself all the same.
            let end = blocks.len() - TRAILER_PAYLOAD;
            let mut payload = blocks.split_off(end);
            for (at, number) in [(16, body), (24, list), (32, records)] {
                payload[at..at + 8].copy_from_slice(&number.to_le_bytes());
            }
            blocks.truncate(end - BLOCK_BYTES);
            let chain = chain_of(tail.link, &two::block_start(Shape::IndexEnd, payload.len()), &payload);
            two::put_block(&mut blocks, Shape::IndexEnd, chain, &payload);
        }
        writer.put_index(&blocks).map_err(fail)?;
        let (found, mut reader) = all(&path).map_err(fail)?;
        prop_assert_eq!((found.len(), reader.end()), (12, End::Whole));
        if let Some(index) = reader.index() {
            for group in index.groups() {
                let _ = reader.go_to(&group).map_err(fail)?;
                let _ = reader.next_record().map_err(fail)?;
            }
        }
        prop_assert!(look::prove(&path, &[], &Control::default()).map_err(fail)?.0.problem().is_some());
    }
}
