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
    aside::SET_ASIDE,
    format::{HEADER_BYTES, Position, RecordHead, Tail},
    index::{Builder, Indexed},
    late::Late,
    next_path,
    reader::{End, LogReader},
    table_path, with_suffix,
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

/// Brings the files of an unfinished cut into order; does nothing where there is none. A `.next` that belongs to no cut
/// of this log, as one that came back with an older copy of the folder, is put aside as at `now`.
///
/// # Errors
/// When the disk fails; then it can be called again.
pub fn settle(storage: &Arc<dyn Storage>, log: &Path, last: Option<&LastArchive>, now: DateTime<Utc>) -> Result<()> {
    let next = next_path(log);
    let Some(next_header) = usable_header(storage, log, now)? else { return Ok(()) };
    if !exists(log) {
        // The sealed log was archived already, and the last rename was not reached.
        return finish(storage, log);
    }
    if has_taken_its_place(log, &next_header) {
        return put_aside(storage, log, now);
    }
    match last {
        Some(last) if last.position == next_header => {
            add_index(storage, log)?;
            archive(storage, log, &last.previous_log)?;
            finish(storage, log)
        }
        _ => {
            let (mut writer, _) = LogWriter::open(Arc::clone(storage), log, &mut |_, _| Ok(()))?;
            if !pass_what_is_there(&mut LogReader::open(&next)?, &writer)? {
                drop(writer);
                return put_aside(storage, log, now);
            }
            take_back(&mut writer, &next)
        }
    }
}

/// Whether the log itself begins where the one at `.next` does: that cut was finished long ago.
fn has_taken_its_place(log: &Path, next: &Position) -> bool {
    LogReader::open(log).is_ok_and(|reader| reader.header().base == *next)
}

/// Puts aside what lies at `.next` and is no part of a cut: the next one needs the name, and what it holds may be
/// wanted once more. Does nothing where nothing lies there.
///
/// # Errors
/// When it cannot be renamed.
pub(super) fn put_aside(storage: &Arc<dyn Storage>, log: &Path, now: DateTime<Utc>) -> Result<()> {
    let next = next_path(log);
    if !exists(&next) {
        return Ok(());
    }
    let aside = with_suffix(log, &format!("{SET_ASIDE}{}", now.format("%Y%m%d-%H%M%S%.3f")));
    storage.rename_new(&next, &aside)?;
    let table = table_path(&next);
    if exists(&table) {
        storage.remove(&table)?;
    }
    tracing::warn!("{} belongs to no backup that is being made; it is kept as {}", shown(&next), shown(&aside));
    storage.sync_folder(folder_of(log))
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

/// The base of the log that goes on beside `log`; a file whose header was never finished is removed, and one whose
/// header was damaged is put aside.
fn usable_header(storage: &Arc<dyn Storage>, log: &Path, now: DateTime<Utc>) -> Result<Option<Position>> {
    let next = &next_path(log);
    if !exists(next) {
        return Ok(None);
    }
    match LogReader::open(next) {
        Ok(reader) => Ok(Some(reader.header().base)),
        Err(e) if matches!(e.kind(), ErrorKind::NotRecognised | ErrorKind::Damaged) => {
            if next.symlink_metadata().is_ok_and(|meta| meta.len() > HEADER_BYTES as u64) {
                put_aside(storage, log, now)?;
                return Ok(None);
            }
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
        if let Some(from) = record.not_before {
            writer.note_late(&Late { from, commits: 1 })?;
        }
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
mod tests;
