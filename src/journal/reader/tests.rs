//! Logs as other programs and accidents leave them, read again.
#![cfg(test)]

use super::*;
use crate::{
    error::Error,
    journal::format::{one, two},
};
use crate::{
    journal::{
        StateSum,
        format::{Entry, Position, VERSION},
        writer::LogWriter,
    },
    sqlite::wal::WalMark,
    storage::{Disk, Ownership},
};
use proptest::prelude::*;
use std::sync::Arc;

fn sample(folder: &Path, version: u32, records: usize) -> Result<(PathBuf, Vec<Record>)> {
    let path = folder.join("a.journal");
    // The third record needs several blocks.
    let pages: Vec<_> = (0..records).map(|n| if n == 2 { (9, 60_000) } else { (n, 20) }).collect();
    let records = sample_of(&path, version, &pages)?;
    Ok((path, records))
}

/// A log with a record for each number of pages and of bytes in each page.
fn sample_of(path: &Path, version: u32, records: &[(usize, usize)]) -> Result<Vec<Record>> {
    sample_with(path, header(version), records)
}

fn header(version: u32) -> LogHeader {
    LogHeader {
        ignored: Default::default(),
        version,
        identity: uuid::Uuid::from_u128(7),
        page_size: 512,
        base: Position { log: Some(uuid::Uuid::from_u128(8)), ..Position::at(3, 41, Chain([9; 32])) },
        rooted: true,
        created: chrono::DateTime::UNIX_EPOCH,
        page_count: 90,
        mark: WalMark::default(),
    }
}

fn sample_with(path: &Path, header: LogHeader, records: &[(usize, usize)]) -> Result<Vec<Record>> {
    let mut writer = LogWriter::create(Arc::new(Disk), path, header, Ownership::default())?;
    for (n, (pages, bytes)) in records.iter().enumerate() {
        let commit = 42 + n as u64;
        let kind = if n % 5 == 4 { RecordKind::CatchUp } else { RecordKind::Commit };
        writer.begin(RecordHead {
            kind,
            commit,
            time: chrono::DateTime::UNIX_EPOCH,
            // The clock runs back now and then.
            wall: chrono::DateTime::UNIX_EPOCH + chrono::TimeDelta::seconds(if n % 3 == 1 { 50 } else { n as i64 }),
            page_count: 90,
            mark: WalMark { frame: n as u32, ..WalMark::default() },
            state: (n % 4 != 0).then_some(StateSum(n as u64)),
        });
        for page in 0..*pages {
            let bytes = vec![n as u8; *bytes];
            writer.page(&Entry { page: page as u32 + 1, encoding: 0, hash: [1; 8], bytes: &bytes })?;
        }
        writer.end()?;
        // Some of them have a block together.
        if n % 3 == 0 {
            writer.sync()?;
        }
    }
    writer.sync()?;
    drop(writer);
    Ok(all(path)?.0)
}

fn all(path: &Path) -> Result<(Vec<Record>, End)> {
    let mut reader = LogReader::open(path)?;
    let mut records = Vec::new();
    while let Some(record) = reader.next_record()? {
        reader.pages(&record, &mut |_| Ok(()))?;
        records.push(record);
    }
    Ok((records, reader.end()))
}

/// Whether two records that follow each other lie in one block: closer than the header of a block is long.
fn are_together(record: &Record, next: &Record) -> bool {
    (record.form, next.form) == (Form::Whole, Form::Whole) && next.offset - record.end < two::BLOCK_BYTES as u64
}

/// The records that are there when the file is whole up to `at`: of several in one block all or none.
fn whole(records: &[Record], at: u64) -> Vec<Record> {
    let mut whole: Vec<Record> = records.iter().filter(|r| r.end <= at).copied().collect();
    while let (Some(last), Some(next)) = (whole.last(), records.get(whole.len())) {
        if !are_together(last, next) {
            break;
        }
        whole.pop();
    }
    whole
}

/// How many blocks or more begin after `at`.
fn blocks_after(records: &[Record], at: u64) -> usize {
    let begins = |n: usize| n == 0 || !are_together(&records[n - 1], &records[n]);
    (0..records.len()).filter(|n| begins(*n) && records[*n].offset > at).count()
}

#[test]
fn what_was_written_is_read_and_the_chain_goes_through() -> Result<(), Box<dyn std::error::Error>> {
    for version in 1..=VERSION {
        what_was_written_is_read(version)?;
    }
    Ok(())
}

fn what_was_written_is_read(version: u32) -> Result<(), Box<dyn std::error::Error>> {
    let folder = tempfile::tempdir()?;
    let (path, records) = sample(folder.path(), version, 12)?;
    assert_eq!(records.len(), 12);
    assert!(records.windows(2).all(|w| w[0].chain == w[1].before && w[0].end <= w[1].offset));
    let walls: Vec<i64> = records.iter().map(|r| r.head.wall.timestamp()).collect();
    let states: Vec<u64> = records.iter().map(|r| r.head.state.unwrap_or_default().0).collect();
    if version > 1 {
        assert_eq!(walls, [0, 50, 2, 3, 50, 5, 6, 50, 8, 9, 50, 11]);
        assert_eq!(states, [0, 1, 2, 3, 0, 5, 6, 7, 0, 9, 10, 11]);
    }
    assert!(records.iter().skip(1).all(|r| r.head.time.timestamp() == 50), "never earlier");
    let mut reader = LogReader::open(&path)?;
    let mut seen = Vec::new();
    while let Some(record) = reader.next_record()? {
        let mut count = 0;
        reader.pages(&record, &mut |entry| {
            assert_eq!(entry.page, count + 1);
            count += 1;
            Ok(())
        })?;
        seen.push(count);
    }
    assert_eq!(seen, [0, 1, 9, 3, 4, 5, 6, 7, 8, 9, 10, 11]);
    assert_eq!(reader.end(), End::Whole);
    Ok(())
}

/// What a later version wrote there is part of the chain.
#[test]
fn what_a_header_says_that_may_be_ignored_stays_and_hinders_nothing() -> Result<()> {
    let folder = tempfile::tempdir().map_err(|e| Error::io("make", Path::new("folder"), e))?;
    let path = folder.path().join("a.journal");
    for at in [136, 137, 139, 140, 152, 159] {
        let mut bytes = header(VERSION).encode();
        bytes[at] |= 0x80;
        let hash = blake3::hash(&bytes[..160]);
        bytes[160..].copy_from_slice(hash.as_bytes());
        let later = LogHeader::decode(&bytes, &path)?;
        assert_eq!(later.encode(), bytes, "byte {at}");
        let made = sample_with(&path, later, &[(1, 20), (2, 20)])?;
        let (found, end) = all(&path)?;
        assert_eq!((found, end), (made, End::Whole), "byte {at}");
        std::fs::remove_file(&path).map_err(|e| Error::io("remove", &path, e))?;
    }
    Ok(())
}

/// Nothing that is cut off leaves blocks behind that go on from each other.
#[test]
fn a_block_that_is_gone_from_the_middle_is_damage() -> Result<()> {
    let folder = tempfile::tempdir().map_err(|e| Error::io("make", Path::new("folder"), e))?;
    for version in 1..=VERSION {
        let (path, _) = sample(folder.path(), version, 8)?;
        let bytes = std::fs::read(&path).map_err(|e| Error::io("read", &path, e))?;
        let magic = if version == 1 { one::BLOCK_MAGIC } else { two::BLOCK_MAGIC };
        let blocks: Vec<usize> = memchr::memmem::find_iter(&bytes, magic).collect();
        assert!(blocks.len() > 4);
        for gone in blocks.windows(2).take(blocks.len() - 3) {
            std::fs::write(&path, [&bytes[..gone[0]], &bytes[gone[1]..]].concat())
                .map_err(|e| Error::io("write", &path, e))?;
            let (_, end) = all(&path)?;
            assert!(matches!(end, End::Damaged { .. }), "version {version}, {gone:?}: {end:?}");
        }
        std::fs::remove_file(&path).map_err(|e| Error::io("remove", &path, e))?;
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]
    #[test]
    fn a_tail_cut_anywhere_leaves_the_whole_records_before_it(part in 0.0f64..1.0, version in 1..=VERSION) {
        let folder = tempfile::tempdir()?;
        let (path, records) = sample(folder.path(), version, 8).map_err(|e| TestCaseError::fail(e.to_string()))?;
        let bytes = std::fs::read(&path)?;
        let cut = HEADER_BYTES + (part * (bytes.len() - HEADER_BYTES) as f64) as usize;
        std::fs::write(&path, &bytes[..cut])?;
        let (found, end) = all(&path).map_err(|e| TestCaseError::fail(e.to_string()))?;
        let whole = whole(&records, cut as u64);
        let edge = whole.last().map_or(HEADER_BYTES as u64, |r| r.end);
        prop_assert_eq!(&found, &whole);
        prop_assert_eq!(end, if edge == cut as u64 { End::Whole } else { End::Torn { offset: edge } });
        let (writer, _) = LogWriter::open(Arc::new(Disk), &path, &mut |_, _| Ok(())).map_err(|e| TestCaseError::fail(e.to_string()))?;
        prop_assert_eq!(writer.logged().length, edge);
        prop_assert_eq!(std::fs::metadata(&path)?.len(), edge);
    }

    #[test]
    fn a_large_commit_that_was_not_written_to_its_end_is_torn(part in 0.0f64..1.0, version in 1..=VERSION) {
        let folder = tempfile::tempdir()?;
        let path = folder.path().join("a.journal");
        let made = sample_of(&path, version, &[(1, 20), (90, 60_000)]).map_err(|e| TestCaseError::fail(e.to_string()))?;
        let (first, large) = (made[0], made[1]);
        prop_assert!(large.end - large.offset > 4 << 20, "several blocks");
        let cut = large.offset + 1 + (part * (large.end - large.offset - 2) as f64) as u64;
        let bytes = std::fs::read(&path)?;
        std::fs::write(&path, &bytes[..cut as usize])?;
        let (found, end) = all(&path).map_err(|e| TestCaseError::fail(e.to_string()))?;
        prop_assert_eq!(&found, &vec![first]);
        prop_assert_eq!(end, End::Torn { offset: large.offset });
        // A block that is damaged in the middle of it is damage.
        let mut bytes = bytes;
        bytes[large.offset as usize + 100] ^= 1;
        std::fs::write(&path, &bytes)?;
        let (_, end) = all(&path).map_err(|e| TestCaseError::fail(e.to_string()))?;
        prop_assert_eq!(end, End::Damaged { offset: large.offset });
    }

    #[test]
    fn any_byte_changed_ends_the_chain_before_its_record(part in 0.0f64..1.0, flip in 1u8..=255, version in 1..=VERSION) {
        let folder = tempfile::tempdir()?;
        let (path, records) = sample(folder.path(), version, 8).map_err(|e| TestCaseError::fail(e.to_string()))?;
        let mut bytes = std::fs::read(&path)?;
        let at = (part * bytes.len() as f64) as usize;
        bytes[at] ^= flip;
        std::fs::write(&path, &bytes)?;
        if at < HEADER_BYTES {
            prop_assert!(LogReader::open(&path).is_err());
        } else {
            let (found, end) = all(&path).map_err(|e| TestCaseError::fail(e.to_string()))?;
            let whole = whole(&records, at as u64);
            let edge = whole.last().map_or(HEADER_BYTES as u64, |r| r.end);
            prop_assert_eq!(&found, &whole);
            // Two whole blocks after the place tell damage from a torn tail.
            if blocks_after(&records, at as u64 + 50) >= 2 {
                prop_assert_eq!(end, End::Damaged { offset: edge });
            } else {
                let there = matches!(end, End::Torn { offset } | End::Damaged { offset } if offset == edge);
                prop_assert!(there);
            }
        }
    }
}
