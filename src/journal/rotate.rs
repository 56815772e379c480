//! Changing from one log to the next at a full backup, so that a crash at any step loses nothing.
//!
//! 1. At the cut `Name.journal` is sealed and `Name.journal.next` goes on; its header continues the chain.
//! 2. When the archive is complete: `Name.journal` → `Name[n-1].4BL`, then `Name.journal.next` → `Name.journal`.
//! 3. When the backup fails: the records of `.next` are appended to `Name.journal`, then `.next` is removed.
//!
//! After a crash the newest archive tells which of both it is: when it was cut where `.next` begins, the backup
//! succeeded. Every step finds out by itself whether it was done before.

use std::{
    io::Read,
    path::{Path, PathBuf},
    sync::Arc,
};

use chrono::{DateTime, Utc};

use super::{
    format::{Position, RecordHead, Tail},
    index::{Builder, Indexed},
    next_path,
    reader::{End, LogReader},
    table_path,
    writer::LogWriter,
};
use crate::{
    error::{Error, ErrorKind, Result, foreign::shown},
    storage::{
        Ownership, PART_SUFFIX, Storage, folder_of,
        regular::{self, Links},
    },
};

/// The newest archive, as far as the log needs to know it.
#[derive(Debug, Clone)]
pub struct LastArchive {
    /// Where it was cut.
    pub position: Position,
    /// The moment of its state.
    pub moment: DateTime<Utc>,
    /// Page size of the data file inside.
    pub page_size: u32,
    /// Number of its pages.
    pub page_count: u32,
    /// The name that the log before it gets: `Name[n-1].4BL`.
    pub previous_log: PathBuf,
}

/// Brings the files of an unfinished cut into order; does nothing where there is none.
///
/// # Errors
/// When the disk fails; then it can be called again.
pub fn settle(storage: &Arc<dyn Storage>, log: &Path, last: Option<&LastArchive>) -> Result<()> {
    let next = next_path(log);
    let Some(next_header) = usable_header(storage, &next)? else { return Ok(()) };
    if !exists(log) {
        // The sealed log was archived already, and the last rename was not reached.
        return finish(storage, log);
    }
    match last {
        Some(last) if last.position == next_header => {
            add_index(storage, log)?;
            archive(storage, log, &last.previous_log)?;
            finish(storage, log)
        }
        _ => {
            let (mut writer, _) = LogWriter::open(Arc::clone(storage), log, &mut |_, _| Ok(()))?;
            take_back(&mut writer, &next)
        }
    }
}

/// Gives the sealed log its index where it has none: a crash came before it. What hinders that hinders nothing else.
fn add_index(storage: &Arc<dyn Storage>, log: &Path) -> Result<()> {
    let mut reader = LogReader::open(log)?;
    let blocks = index_of(&mut reader)?;
    if reader.indexed() == Indexed::Sound || reader.end() != End::Whole {
        return Ok(());
    }
    if let Some(blocks) = blocks {
        let (mut writer, _) = LogWriter::open(Arc::clone(storage), log, &mut |_, _| Ok(()))?;
        note_missing(writer.put_index(&blocks), log);
    }
    Ok(())
}

/// The log is sound and complete without its index.
pub(super) fn note_missing(put: Result<()>, log: &Path) {
    if let Err(error) = put {
        tracing::warn!("the log {} is archived without an index: {error}", shown(log));
    }
}

/// Reads the log to its end, and makes the index of what it holds. One of version 1 gets none.
fn index_of(reader: &mut LogReader) -> Result<Option<Vec<u8>>> {
    let is_first = reader.header().version == 1;
    let mut builder = Builder::new(reader.header());
    while let Some(record) = reader.next_record()? {
        if !is_first {
            builder.add(reader, &record)?;
        }
    }
    let tail = *reader.tail();
    Ok(if is_first { None } else { builder.into_blocks(&tail) })
}

fn exists(path: &Path) -> bool {
    path.symlink_metadata().is_ok()
}

/// The base of the log at `next`; a file whose header was never finished is removed.
fn usable_header(storage: &Arc<dyn Storage>, next: &Path) -> Result<Option<Position>> {
    if !exists(next) {
        return Ok(None);
    }
    match LogReader::open(next) {
        Ok(reader) => Ok(Some(reader.header().base)),
        Err(e) if matches!(e.kind(), ErrorKind::NotRecognised | ErrorKind::Damaged) => {
            // Created, but its header did not reach the disk: so no record followed it.
            storage.remove(next)?;
            Ok(None)
        }
        Err(e) => Err(e),
    }
}

/// Gives the sealed log its final name. On another disk it is copied, verified by its chain, and removed here.
pub(super) fn archive(storage: &Arc<dyn Storage>, log: &Path, to: &Path) -> Result<()> {
    if !exists(log) {
        return Ok(());
    }
    if exists(to) {
        // Copied before, and not removed here yet; or a file of that name that is something else. A link that somebody
        // put there may lead to the log itself, which would be lost then.
        if !to.is_symlink() && tail_of(log)? == tail_of(to)? {
            storage.remove(log)?;
            return storage.sync_folder(folder_of(log));
        }
        return Err(Error::new(ErrorKind::Exists, format!("{} exists already and is another log", to.display()))
            .hint("Existing files are never overwritten. Move that file away; the log goes on meanwhile."));
    }
    match storage.rename_new(log, to) {
        Ok(()) => storage.sync_folder(folder_of(to))?,
        Err(e) if e.kind() == ErrorKind::Exists => return Err(e),
        Err(_) => {
            copy(storage, log, to)?;
            storage.remove(log)?;
        }
    }
    storage.sync_folder(folder_of(log))
}

fn copy(storage: &Arc<dyn Storage>, log: &Path, to: &Path) -> Result<()> {
    let mut name = to.as_os_str().to_owned();
    name.push(PART_SUFFIX);
    let part = PathBuf::from(name);
    if exists(&part) {
        storage.remove(&part)?;
    }
    let fail = |e| Error::io("read", log, e);
    let (mut source, _) = regular::open(log, Links::Followed).map_err(fail)?;
    let mut target = storage.create(&part, Ownership::of(log))?;
    let mut buffer = vec![0; 1 << 20];
    loop {
        let count = source.read(&mut buffer).map_err(fail)?;
        if count == 0 {
            break;
        }
        target.write_all(&buffer[..count])?;
    }
    target.sync()?;
    drop(target);
    if tail_of(log)? != tail_of(&part)? {
        return Err(Error::new(ErrorKind::Damaged, format!("the copy {} is not what was written", part.display()))
            .hint("Check that disk, then make another backup."));
    }
    crate::storage::publish(storage.as_ref(), &part, to)
}

/// The next log takes the name of the current one, with its page table.
pub(super) fn finish(storage: &Arc<dyn Storage>, log: &Path) -> Result<()> {
    let next = next_path(log);
    if exists(&next) {
        // The table first: one that does not belong to the log is only made again.
        let (table, next_table) = (table_path(log), table_path(&next));
        if exists(&table) {
            storage.remove(&table)?;
        }
        if exists(&next_table) {
            storage.rename_new(&next_table, &table)?;
        }
        storage.rename_new(&next, log)?;
    }
    storage.sync_folder(folder_of(log))
}

/// Appends the records of the log at `next` to the one they continue, as far as that has not happened, and removes it.
///
/// They are written anew: the header is part of the chain, and the log may be of an earlier version.
pub(super) fn take_back(writer: &mut LogWriter, next: &Path) -> Result<()> {
    if exists(next) {
        let mut reader = LogReader::open(next)?;
        if !pass_what_is_there(&mut reader, writer)? {
            return Err(Error::new(
                ErrorKind::Damaged,
                format!("{} does not continue {}", next.display(), writer.path().display()),
            )
            .hint("Move both files away and make a full backup; they can still be read one by one."));
        }
        let appended = append(writer, &mut reader).and_then(|()| writer.sync());
        appended.inspect_err(|_| writer.forget())?;
        let storage = Arc::clone(writer.storage());
        storage.remove(next)?;
        let table = table_path(next);
        if exists(&table) {
            storage.remove(&table)?;
        }
        storage.sync_folder(folder_of(next))?;
    }
    Ok(())
}

/// Moves `reader` over the records that were appended before a crash; false where it does not continue the log.
fn pass_what_is_there(reader: &mut LogReader, writer: &LogWriter) -> Result<bool> {
    let (base, logged) = (*reader.tail(), *writer.logged());
    if (base.commit, base.chain) == (logged.commit, logged.chain) {
        return Ok(true);
    }
    let mut log = LogReader::open(writer.path())?;
    while (log.tail().commit, log.tail().chain) != (base.commit, base.chain) {
        if log.next_record()?.is_none() {
            return Ok(false);
        }
    }
    while let Some(there) = log.next_record()? {
        let Some(record) = reader.next_record()? else { return Ok(false) };
        let same = |head: &RecordHead| (head.kind, head.commit, head.page_count, head.mark);
        if same(&there.head) != same(&record.head) {
            return Ok(false);
        }
    }
    Ok(true)
}

fn append(writer: &mut LogWriter, reader: &mut LogReader) -> Result<()> {
    while let Some(record) = reader.next_record()? {
        writer.begin(record.head);
        reader.pages(&record, &mut |entry| writer.page(&entry))?;
        writer.end()?;
    }
    Ok(())
}

/// Sees that the sealed log at `path` leads to `position`, record by record; returns the index to be put at its end.
pub(super) fn prove(path: &Path, position: &Position) -> Result<Option<Vec<u8>>> {
    let lost = |what: &str| {
        Error::new(ErrorKind::Damaged, format!("the log {} {what}", path.display())).hint(
            "What was committed before the damage can be restored commit by commit, and the state of this backup with \
             everything after it; the single steps in between cannot. Check that disk.",
        )
    };
    let mut reader = LogReader::open(path).map_err(|e| lost("cannot be read back").because(e))?;
    let index = index_of(&mut reader)?;
    let tail = reader.tail();
    if (tail.commit, tail.chain) != (position.commit, position.chain) {
        return Err(lost(&format!("ends at byte {} when it is read back, before the last commits", tail.length)));
    }
    Ok(index)
}

/// Where the verified records of a log end.
fn tail_of(path: &Path) -> Result<(Position, Tail)> {
    let mut reader = LogReader::open(path)?;
    while reader.next_record()?.is_some() {}
    if matches!(reader.end(), End::Damaged { .. }) {
        return Err(Error::new(ErrorKind::Damaged, format!("{} is damaged", path.display()))
            .hint("Check the disk. Everything before the damage can be integrated."));
    }
    Ok((reader.header().base, *reader.tail()))
}

#[cfg(all(test, unix))]
mod tests {
    use chrono::DateTime;

    use super::*;
    use crate::{
        journal::{
            Chain, RecordKind,
            format::{Entry, LogHeader, VERSION, page_hash},
            integrate,
        },
        sqlite::wal::WalMark,
        storage::Disk,
    };

    #[test]
    fn a_link_in_the_place_of_the_archived_log_does_not_cost_the_log()
    -> std::result::Result<(), Box<dyn std::error::Error>> {
        let folder = tempfile::tempdir()?;
        let (log, to) = (folder.path().join("a.journal"), folder.path().join("a[0001].4BL"));
        let storage: Arc<dyn Storage> = Arc::new(Disk);
        let header = LogHeader {
            ignored: Default::default(),
            version: VERSION,
            identity: uuid::Uuid::from_u128(7),
            page_size: 512,
            base: Position::at(1, 0, Chain([9; 32])),
            rooted: true,
            created: DateTime::UNIX_EPOCH,
            page_count: 5,
            mark: WalMark::default(),
        };
        drop(LogWriter::create(Arc::clone(&storage), &log, header, Ownership::default())?);
        std::os::unix::fs::symlink(&log, &to)?;
        let error = archive(&storage, &log, &to).err().ok_or("the link was taken for the log")?;
        assert_eq!(error.kind(), ErrorKind::Exists);
        assert!(log.is_file());
        // A copy that a crash left is what it seems to be.
        std::fs::remove_file(&to)?;
        std::fs::copy(&log, &to)?;
        archive(&storage, &log, &to)?;
        assert!(!log.exists() && to.is_file());
        Ok(())
    }

    /// A log with these commits after `base`, each of which writes one page.
    fn log_of(path: &Path, version: u32, base: Position, commits: u64) -> Result<LogWriter> {
        let time = DateTime::UNIX_EPOCH;
        let header = LogHeader {
            ignored: Default::default(),
            version,
            identity: uuid::Uuid::from_u128(7),
            page_size: 512,
            base,
            rooted: true,
            created: time,
            page_count: 1,
            mark: WalMark::default(),
        };
        let mut writer = LogWriter::create(Arc::new(Disk), path, header, Ownership::default())?;
        for commit in base.commit + 1..=base.commit + commits {
            let mark = WalMark { frame: commit as u32, ..WalMark::default() };
            let kind = RecordKind::Commit;
            writer.begin(RecordHead { kind, commit, time, wall: time, page_count: 1, mark, state: None });
            let bytes = [commit as u8; 512];
            writer.page(&Entry { page: 1, encoding: 0, hash: page_hash(&bytes), bytes: &bytes })?;
            writer.end()?;
            writer.sync()?;
        }
        Ok(writer)
    }

    #[test]
    fn a_log_whose_backup_succeeded_before_a_crash_gets_its_index_when_it_is_archived()
    -> std::result::Result<(), Box<dyn std::error::Error>> {
        let folder = tempfile::tempdir()?;
        let (log, to) = (folder.path().join("a.journal"), folder.path().join("a[0001].4BL"));
        let cut = log_of(&log, VERSION, Position::at(1, 0, Chain([9; 32])), 3)?.position();
        let position = Position { archive: 2, ..cut };
        drop(log_of(&next_path(&log), VERSION, position, 1)?);
        let (moment, previous_log) = (DateTime::UNIX_EPOCH, to.clone());
        let last = LastArchive { position, moment, page_size: 512, page_count: 1, previous_log };
        // The crash came in the middle of it.
        let blocks = index_of(&mut LogReader::open(&log)?)?.ok_or("no index")?;
        let whole = std::fs::read(&log)?;
        std::fs::write(&log, [whole.as_slice(), &blocks[..blocks.len() - 9]].concat())?;
        settle(&(Arc::new(Disk) as Arc<dyn Storage>), &log, Some(&last))?;
        assert!(std::fs::read(&to)? == [whole, blocks].concat() && !next_path(&log).exists());
        assert_eq!(LogReader::open(&log)?.header().base, position);
        Ok(())
    }

    #[test]
    fn what_a_crash_left_half_taken_back_is_whole_with_the_log_beside_it_and_taken_back_later()
    -> std::result::Result<(), Box<dyn std::error::Error>> {
        for version in 1..=VERSION {
            let folder = tempfile::tempdir()?;
            let log = folder.path().join("a.journal");
            let (next, base) = (next_path(&log), Position::at(1, 0, Chain([9; 32])));
            let mut writer = log_of(&log, version, base, 2)?;
            let (sealed, cut) = (writer.logged().length, writer.position());
            drop(log_of(&next, VERSION, Position::at(2, cut.commit, cut.chain), 3)?);
            let rest = std::fs::read(&next)?;
            take_back(&mut writer, &next)?;
            assert!(!next.exists() && writer.logged().commit == 5);
            drop(writer);
            let all = std::fs::read(&log)?;
            let mut reader = LogReader::open(&log)?;
            let mut ends = vec![sealed];
            while let Some(record) = reader.next_record()? {
                ends.extend((record.head.commit > 2 && version == 1).then_some(record.end));
            }
            ends.push(all.len() as u64);
            for end in ends {
                std::fs::write(&log, &all[..end as usize])?;
                std::fs::write(&next, &rest)?;
                let control = crate::control::Control::default();
                for logs in [[log.clone(), next.clone()], [next.clone(), log.clone()]] {
                    let plan = integrate::plan(uuid::Uuid::from_u128(7), &base, &logs, &control)?;
                    assert_eq!(
                        (plan.to.commit, plan.commits, plan.fork),
                        (5, 5, None),
                        "version {version}, {end} bytes"
                    );
                    let target = folder.path().join("a");
                    std::fs::write(&target, [0; 512])?;
                    let plan = integrate::plan(uuid::Uuid::from_u128(7), &base, &logs, &control)?;
                    integrate::integrate(&target, &plan, integrate::Until::End, &control)?;
                    assert_eq!(std::fs::read(&target)?, [5; 512]);
                }
                let storage: Arc<dyn Storage> = Arc::new(Disk);
                settle(&storage, &log, None)?;
                assert!(!next.exists() && std::fs::read(&log)? == all, "version {version}, {end} bytes");
            }
            // One that does not lead to where the other begins is left as it is.
            std::fs::remove_file(&log)?;
            let mut writer = log_of(&log, version, Position::at(1, 0, Chain([8; 32])), 4)?;
            std::fs::write(&next, &rest)?;
            assert!(take_back(&mut writer, &next).is_err() && next.exists());
        }
        Ok(())
    }
}
