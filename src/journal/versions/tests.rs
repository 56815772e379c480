//! Pages as of every commit of logs that were made up, held against what was put into them.
#![cfg(test)]

use std::path::{Path, PathBuf};

use chrono::{DateTime, TimeDelta, Utc};
use proptest::prelude::*;

use super::*;
use crate::{
    journal::{
        Chain, Position, RecordKind,
        format::{LogHeader, RecordHead, Tail, VERSION},
        index::Builder,
        integrate,
        page::{Encoder, encode_among},
        writer::LogWriter,
    },
    sqlite::wal::WalMark,
    storage::{Disk, Ownership},
    testing::noise,
};

const SIZE: usize = 512;

/// The pages of a data file.
type File = Vec<Vec<u8>>;

/// A change of one page: which one, how, and where in it.
type Edit = (u32, u8, usize);
/// A commit: the pages that it changes, and what it adds to their number.
type Commit = (Vec<Edit>, i32);

fn base() -> File {
    (0..6).map(|seed| noise(seed, SIZE)).collect()
}

fn head(tail: &Tail, page_count: u32) -> RecordHead {
    let wall: DateTime<Utc> = tail.wall + TimeDelta::seconds(1);
    let kind = RecordKind::Commit;
    RecordHead { kind, commit: tail.commit + 1, time: wall, wall, page_count, mark: WalMark::default(), state: None }
}

/// Writes a commit, and returns the file after it.
fn commit(writer: &mut LogWriter, before: &File, (edits, more): &Commit, seed: u64) -> Result<File> {
    // Without a page that is written, nothing says of more than one that it came into being.
    let more = if edits.is_empty() { (*more).min(1) } else { *more };
    let count = (before.len() as i32 + more).clamp(1, 12) as u32;
    let mut after = before.clone();
    after.resize(count as usize, vec![0; SIZE]);
    let tail = *writer.ahead();
    writer.begin(head(&tail, count));
    let mut encoder = Encoder::default();
    let mut done = Vec::new();
    for (page, how, at) in edits {
        let number = page % count + 1;
        if done.contains(&number) {
            continue;
        }
        done.push(number);
        let place = number as usize - 1;
        let mut image = after[place].clone();
        match how {
            0..3 => image[*at] ^= 0x55,
            3 => image = noise(seed + u64::from(number), SIZE),
            4 => image.rotate_left(*at),
            _ => {
                // As where a page is split.
                let other = &before[at % before.len()];
                image[..SIZE / 2].copy_from_slice(&other[SIZE / 2..]);
            }
        }
        let previous = before.get(place).map(Vec::as_slice);
        let mut bytes = Vec::new();
        let mut encoding = encoder.encode(VERSION, previous, &image, &mut bytes);
        let others: Vec<(u32, &[u8])> = (1..).zip(before).map(|(n, page)| (n, page.as_slice())).collect();
        let others: Vec<(u32, &[u8])> = others.into_iter().filter(|(n, _)| *n != number).take(15).collect();
        if let Some(among) = encode_among(previous, &others, &image, &mut bytes) {
            encoding = among;
        }
        if *how == 2 {
            // Whole from time to time.
            (encoding, bytes) = (page::WHOLE, image.clone());
        }
        writer.page(&Entry { page: number, encoding, hash: page_hash(&image), bytes: &bytes })?;
        after[place] = image;
    }
    writer.end()?;
    Ok(after)
}

fn begin(path: &Path, from: Position, count: usize) -> Result<LogWriter> {
    let header = LogHeader {
        ignored: Default::default(),
        version: VERSION,
        identity: uuid::Uuid::from_u128(7),
        page_size: SIZE as u32,
        base: Position { log: Some(uuid::Uuid::new_v4()), ..from },
        rooted: true,
        created: DateTime::UNIX_EPOCH,
        page_count: count as u32,
        mark: WalMark::default(),
    };
    LogWriter::create_with(Arc::new(Disk), path, (header, &[]), Ownership::default())
}

fn put_index(path: &Path, writer: &mut LogWriter) -> Result<()> {
    let mut reader = LogReader::open(path)?;
    let mut builder = Builder::new(reader.header());
    while let Some(record) = reader.next_record()? {
        builder.add(&mut reader, &record)?;
    }
    let blocks = builder.into_blocks(reader.tail()).unwrap_or_default();
    writer.put_index(&blocks)
}

/// Two logs one after the other, of which the first is archived; all states, that of the base first.
fn logs(
    folder: &Path,
    commits: &[Commit],
    sync: usize,
    with_index: bool,
) -> Result<(Vec<PathBuf>, Position, Vec<File>)> {
    let (first, second) = (folder.join("a[0001].4BL"), folder.join("a.journal"));
    let from = Position::at(1, 40, Chain([1; 32]));
    let mut states = vec![base()];
    let half = commits.len() / 2;
    let mut writer = begin(&first, from, states[0].len())?;
    for (n, one) in commits.iter().enumerate() {
        if n == half {
            writer.sync()?;
            let cut = Position::at(2, writer.position().commit, writer.position().chain);
            if with_index {
                put_index(&first, &mut writer)?;
            }
            writer = begin(&second, cut, states[n].len())?;
        }
        let next = commit(&mut writer, &states[n], one, n as u64 * 100)?;
        states.push(next);
        if n % sync == 0 {
            writer.sync()?;
        }
    }
    writer.sync()?;
    Ok((vec![first, second], from, states))
}

/// The same as [`Versions::read`] finds, by whoever reads the logs from their first records on.
fn beside(pieces: &[Piece], limit: u64, count: usize) -> Result<Versions> {
    let mut found = Beside::new(count as u32);
    for piece in pieces.iter().filter(|piece| piece.commits.0 <= limit) {
        let mut reader = LogReader::open(&piece.path)?;
        found.begin(&reader, piece.after.commit + 1)?;
        while reader.tail().commit < piece.commits.1.min(limit) {
            let record = reader.next_record()?.ok_or_else(|| writers::changed(&reader))?;
            found.take(&mut reader, &record)?;
        }
    }
    Versions::beside(found, limit, (SIZE as u32, count as u32))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn every_page_is_as_it_was_after_every_commit(
        commits in prop::collection::vec(
            (prop::collection::vec((0u32..12, 0u8..7, 0usize..SIZE), 0..7), -4i32..5), 2..24),
        sync in 1usize..6,
        with_index: bool,
        large_from in prop_oneof![Just(LARGE), 1u64..2000],
        reads in prop::collection::vec(0u32..14, 0..30),
    ) {
        let fail = |error: Error| TestCaseError::fail(error.to_string());
        let folder = tempfile::tempdir().map_err(|e| TestCaseError::fail(e.to_string()))?;
        let control = Control::default();
        let (paths, from, states) = logs(folder.path(), &commits, sync, with_index).map_err(fail)?;
        let plan = integrate::plan(uuid::Uuid::from_u128(7), &from, &paths, &control).map_err(fail)?;
        prop_assert_eq!(plan.to.commit, 40 + commits.len() as u64);
        let first = &states[0];
        for (n, state) in states.iter().enumerate() {
            let limit = 40 + n as u64;
            let mut versions = Versions::read(&plan.pieces, limit, (SIZE as u32, first.len() as u32), &control).map_err(fail)?;
            let mut others = beside(&plan.pieces, limit, first.len()).map_err(fail)?;
            let mut base = |page: u32| Ok(first[page as usize - 1].clone());
            for versions in [&mut versions, &mut others] {
                versions.large_from = large_from;
                prop_assert_eq!(versions.page_count() as usize, state.len());
                for page in reads.iter().copied().chain(0..14) {
                    let found = versions.page(page, &mut base, &control).map_err(fail)?;
                    let expected = (page as usize).checked_sub(1).and_then(|at| state.get(at));
                    prop_assert!(found.as_ref().map(|found| found.as_ref()) == expected, "page {} after commit \
                        {}", page, limit);
                }
            }
        }
    }
}

#[test]
fn damage_is_noticed_where_it_is_needed_and_nowhere_else() -> std::result::Result<(), Box<dyn std::error::Error>> {
    let folder = tempfile::tempdir()?;
    let control = Control::default();
    // Each page is written by one commit; the first log has an index.
    let commits: Vec<Commit> = (0..10).map(|n| (vec![(n % 5, 3, 0)], 0)).collect();
    let (paths, from, states) = logs(folder.path(), &commits, 1, true)?;
    let plan = integrate::plan(uuid::Uuid::from_u128(7), &from, &paths, &control)?;
    let mut reader = LogReader::open(&paths[0])?;
    reader.next_record()?;
    let second = reader.next_record()?.ok_or("no second record")?;
    let mut bytes = std::fs::read(&paths[0])?;
    bytes[second.end as usize - 3] ^= 1;
    std::fs::write(&paths[0], bytes)?;
    let first = states[0].clone();
    let mut versions = Versions::read(&plan.pieces, 43, (SIZE as u32, first.len() as u32), &control)?;
    let mut base = |page: u32| Ok(first[page as usize - 1].clone());
    for page in [1, 3, 4, 6] {
        let found = versions.page(page, &mut base, &control)?;
        assert_eq!(found.as_deref(), states[3].get(page as usize - 1), "page {page}");
    }
    let error = versions.page(2, &mut base, &control).err().ok_or("it was not noticed")?;
    assert!(error.kind() == ErrorKind::Damaged && error.message().contains("is damaged at byte"), "{error}");
    Ok(())
}
