//! Opening the log of a data file, or beginning one. What lies under its name is recognised; what it means is said.
//!
//! A log that is missing, or that does not go on from the newest archive, is no reason to leave the data file
//! unprotected: a new one begins at that archive, with one catch-up record, so that everything from now on can be
//! restored without a further backup. What lay there is kept under another name, never deleted: it may hold the steps
//! in between.

use std::{
    io::Read,
    path::{Path, PathBuf},
    sync::Arc,
};

use uuid::Uuid;

pub use super::aside::{DAMAGED, SET_ASIDE};
use super::{
    format::{Chain, LogHeader, Position, RecordKind, VERSION},
    place,
    reader::{End, LogReader},
    rotate::LastArchive,
    status::CaptureConfig,
    table::Changes,
    table_path, with_suffix,
    writer::LogWriter,
    written_by,
};
use crate::{
    error::{Error, ErrorKind, Result, foreign::shown},
    sqlite::wal::WalMark,
    storage::{
        Ownership, folder_of, owners,
        regular::{self, Links},
    },
};

/// The data file as it stands.
pub(super) struct Now {
    pub(super) page_size: u32,
    pub(super) page_count: u32,
    pub(super) mark: WalMark,
}

/// A log that can be continued.
pub(super) struct OpenLog {
    pub(super) writer: LogWriter,
    /// What its records say of the pages.
    pub(super) known: Changes,
    /// Times that the data file had to be compared.
    pub(super) catch_ups: u32,
    /// What was found instead of what was expected.
    pub(super) notice: Option<Error>,
}

/// What reading a log showed.
struct Found {
    writer: LogWriter,
    end: End,
    known: Changes,
    catch_ups: u32,
    /// Whether the newest archive stands on it.
    holds_last: bool,
}

/// Opens the log that `config` names; `now` is the data file at a pin.
///
/// # Errors
/// `InUse`, a log of another data file or of a newer version, a file that is no log, or a failing disk.
pub(super) fn open(config: &CaptureConfig, now: &Now) -> Result<OpenLog> {
    let opened = open_or_begin(config, now)?;
    if let Some(here) = config.installation {
        written_by::note(&config.log, here)?;
    }
    Ok(opened)
}

fn open_or_begin(config: &CaptureConfig, now: &Now) -> Result<OpenLog> {
    place::refuse_other_file(&config.log, &config.data_file)?;
    if config.log.symlink_metadata().is_err() {
        let new = begin(config, now, None)?;
        if !config.is_expected {
            tracing::info!("the log {} is begun: it was not there before", shown(&config.log));
        }
        let notice = config.is_expected.then(|| explain(config, &new, "is missing", None));
        return Ok(OpenLog { notice, ..new });
    }
    // In a folder like `/tmp` anybody can put one there, and its owner can change it while it is written.
    if let Some(stranger) = owners::stranger(owners::owner_of(&config.data_file), &config.log) {
        let aside = set_aside(config)?;
        let new = begin(config, now, None)?;
        let why = format!("belongs to {}, who may have put it there", owners::name_of(stranger));
        let notice = Some(explain(config, &new, &why, Some(&aside)));
        return Ok(OpenLog { notice, ..new });
    }
    let found = match read(config) {
        Ok(found) => found,
        // What lies under the name of a log that was in use is what became of it.
        Err(e) if e.kind() == ErrorKind::Damaged || e.kind() == ErrorKind::NotRecognised && config.is_expected => {
            let aside = set_aside(config)?;
            let new = begin(config, now, Some(&aside))?;
            let notice = Some(explain(config, &new, "cannot be read: its beginning is damaged", Some(&aside)));
            return Ok(OpenLog { notice, ..new });
        }
        Err(e) => return Err(e),
    };
    found.writer.require(config.identity)?;
    let of_other = config.is_of_other.then(|| {
        "was written last for another file that goes by the same settings, on another machine, in another \
         container, or before an older state was put back"
            .to_owned()
    });
    if let Some(why) = of_other.or_else(|| unsuitable(&found, config.last_archive.as_ref(), now)) {
        drop(found);
        let aside = set_aside(config)?;
        let new = begin(config, now, Some(&aside))?;
        let notice = Some(explain(config, &new, &why, Some(&aside)));
        return Ok(OpenLog { notice, ..new });
    }
    let Found { mut writer, end, known, catch_ups, .. } = found;
    let mut notice = None;
    if let End::Damaged { offset } = end {
        notice = Some(keep_damaged(config, offset)?);
        let tail = *writer.logged();
        writer.cut_at(tail)?;
    }
    Ok(OpenLog { writer, known, catch_ups, notice })
}

fn read(config: &CaptureConfig) -> Result<Found> {
    let last = config.last_archive.as_ref().map(|last| last.position);
    let is_last = |commit: u64, chain: Chain| last.is_some_and(|last| (last.commit, last.chain) == (commit, chain));
    let (mut catch_ups, mut count_before, mut holds_last) = (0, None, false);
    let mut known = Changes::new(0);
    let (writer, end) = LogWriter::open(Arc::clone(&config.storage), &config.log, &mut |reader, record| {
        catch_ups += u32::from(record.head.kind != RecordKind::Commit);
        holds_last |= is_last(record.head.commit, record.chain);
        let before = count_before.unwrap_or_else(|| {
            known = Changes::with_blank(reader.header().page_count, reader.blank());
            reader.header().page_count
        });
        count_before = Some(record.head.page_count);
        known.add(reader, record, before)
    })?;
    if count_before.is_none() {
        known = Changes::with_blank(writer.header().page_count, writer.blank());
    }
    holds_last |= is_last(writer.header().base.commit, writer.header().base.chain);
    Ok(Found { writer, end, known, catch_ups, holds_last })
}

/// Why a log of this data file cannot be continued, if so.
fn unsuitable(found: &Found, last: Option<&LastArchive>, now: &Now) -> Option<String> {
    let header = found.writer.header();
    if header.page_size != now.page_size {
        let (then, now) = (header.page_size, now.page_size);
        return Some(format!("was made for pages of {then} bytes, and the data file has {now} now"));
    }
    let last = last.filter(|_| !found.holds_last)?;
    let number = last.position.archive;
    if found.writer.logged().commit < last.position.commit {
        return Some(format!("is older than full backup {number:04}"));
    }
    // One that was begun after that backup, without it, is followed by the next one.
    let begun_after = !header.rooted && header.base.archive == number;
    (!begun_after).then(|| format!("does not go on from full backup {number:04}"))
}

/// Begins a log: at the newest archive where there is one to compare with, else at the present state, without a base.
///
/// Its epoch tells it from the log that is there, or should be: `aside` is that of one that was set aside.
fn begin(config: &CaptureConfig, now: &Now, aside: Option<&Path>) -> Result<OpenLog> {
    let table = table_path(&config.log);
    if table.symlink_metadata().is_ok() {
        config.storage.remove(&table)?;
    }
    let last =
        config.last_archive.as_ref().filter(|last| config.read_base.is_some() && last.page_size == now.page_size);
    let named = config.last_archive.as_ref().map(|last| last.position.epoch);
    let aside = aside.and_then(|aside| LogReader::open(aside).ok()).map(|reader| reader.header().base.epoch);
    let epoch = named.max(aside).map_or(0, |epoch| epoch.saturating_add(1));
    let own = |base: Position| Position { log: Some(Uuid::new_v4()), epoch, state: None, ..base };
    let header = match last {
        Some(last) => LogHeader {
            ignored: Default::default(),
            version: VERSION,
            identity: config.identity,
            page_size: now.page_size,
            base: own(last.position),
            rooted: true,
            created: last.moment,
            page_count: last.page_count,
            // Nobody knows where the WAL stood: the data file will be compared.
            mark: WalMark::default(),
        },
        None => {
            let last = config.last_archive.as_ref().map(|last| last.position);
            let (archive, commit) = last.map_or((0, 0), |p| (p.archive, p.commit));
            LogHeader {
                ignored: Default::default(),
                version: VERSION,
                identity: config.identity,
                page_size: now.page_size,
                base: own(Position::at(archive, commit, fresh_chain())),
                rooted: false,
                created: (config.clock)(),
                page_count: now.page_count,
                mark: now.mark,
            }
        }
    };
    let known = Changes::new(header.page_count);
    let ownership = Ownership::for_content_of(&config.data_file);
    let writer = LogWriter::create(Arc::clone(&config.storage), &config.log, header, ownership)?;
    Ok(OpenLog { writer, known, catch_ups: 0, notice: None })
}

/// The chain value of a log that continues nothing.
fn fresh_chain() -> Chain {
    Chain(*blake3::hash(Uuid::new_v4().as_bytes()).as_bytes())
}

fn aside_path(config: &CaptureConfig, suffix: &str) -> PathBuf {
    with_suffix(&config.log, &format!("{suffix}{}", (config.clock)().format("%Y%m%d-%H%M%S%.3f")))
}

fn set_aside(config: &CaptureConfig) -> Result<PathBuf> {
    let aside = aside_path(config, SET_ASIDE);
    config.storage.rename_new(&config.log, &aside)?;
    config.storage.sync_folder(folder_of(&config.log))?;
    Ok(aside)
}

/// What happened to the log, and what can still be restored.
fn explain(config: &CaptureConfig, new: &OpenLog, what: &str, aside: Option<&Path>) -> Error {
    let kept = aside.map_or_else(String::new, |aside| format!("; it is kept as {}", aside.display()));
    let message = format!("the log {} {what}{kept}", config.log.display());
    let base = new.writer.header();
    let hint = match (base.rooted, config.last_archive.as_ref()) {
        (true, Some(last)) => format!(
            "A new log goes on from full backup {:04}: that backup can be restored, and every state from now on; only \
             the single commits in between cannot{}. Make a full backup when convenient.",
            last.position.archive,
            if aside.is_some() { "" } else { ", unless the log is found again" }
        ),
        (_, Some(last)) => format!(
            "Full backup {:04} and older ones can be restored as before, and with them what their archived logs hold. \
             What was committed since cannot: make a full backup now.",
            last.position.archive
        ),
        (_, None) => {
            "Nothing that was committed until now can be restored from a log: make a full backup now.".to_owned()
        }
    };
    Error::new(if aside.is_some() { ErrorKind::Damaged } else { ErrorKind::NotFound }, message).hint(hint)
}

/// Keeps a copy of a log that is damaged in its middle, before its good part goes on.
fn keep_damaged(config: &CaptureConfig, offset: u64) -> Result<Error> {
    let aside = aside_path(config, DAMAGED);
    let fail = |e| Error::io("copy the damaged log to", &aside, e);
    let (mut log, _) = regular::open(&config.log, Links::Followed).map_err(fail)?;
    let mut copy = config.storage.create(&aside, Ownership::of(&config.log))?;
    let mut buffer = vec![0; 1 << 20];
    loop {
        match log.read(&mut buffer).map_err(fail)? {
            0 => break,
            count => copy.write_all(&buffer[..count])?,
        }
    }
    // On the disk before anything is cut.
    copy.sync()?;
    config.storage.sync_folder(folder_of(&aside))?;
    let message =
        format!("the log {} was damaged at byte {offset}; it is kept as {}", config.log.display(), aside.display());
    let hint = "The log goes on: what was committed before the damage and from now on can be restored, only the single \
                commits in between cannot. Check the disk and make a full backup.";
    Ok(Error::new(ErrorKind::Damaged, message).hint(hint))
}
