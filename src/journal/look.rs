//! What a log holds, for people: its commits, which of them wrote a page, and whether every byte of it is sound.

use std::path::{Path, PathBuf};

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{
    format::{Position, RecordKind},
    index::{Builder, Index, Indexed, Listed},
    plan::Look,
    reader::{End, LogReader, Record},
};
use crate::{
    control::Control,
    error::{Error, ErrorKind, Result, foreign::shown},
};

/// What reading every byte of a log showed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogProof {
    /// The file.
    pub log: PathBuf,
    /// Its length in bytes.
    pub bytes: u64,
    /// Version of its format.
    pub version: u32,
    /// The data file that it belongs to.
    pub identity: Uuid,
    /// The full backup that it goes on from; 0 where that is none.
    pub archive: u32,
    /// Whether that backup holds exactly its base.
    pub rooted: bool,
    /// Numbers of the first and last commit.
    pub commits: Option<(u64, u64)>,
    /// Their times.
    pub times: Option<(DateTime<Utc>, DateTime<Utc>)>,
    /// How many of them stand for stretches whose single steps are not known.
    pub catch_ups: u64,
    /// The byte where it ends within a commit, if so.
    pub torn_at: Option<u64>,
    /// The byte where it is damaged, if so: what follows was not read.
    pub damaged_at: Option<u64>,
    /// Of a damaged log whose index is sound: the commits that lie in what is damaged, first and last of each run. All
    /// others are whole by themselves.
    pub lost: Vec<(u64, u64)>,
    /// Its index, compared with what was read.
    pub index: Indexed,
}

impl LogProof {
    /// What the administrator must know.
    pub fn problem(&self) -> Option<Error> {
        let log = shown(&self.log);
        let upto = self.commits.map_or_else(
            || "No commit before that place is there.".to_owned(),
            |(_, last)| format!("What it holds up to commit {last} can be restored."),
        );
        if let Some(at) = self.damaged_at {
            let runs: Vec<String> = self.lost.iter().map(|(first, last)| format!("{first} to {last}")).collect();
            let lost = match runs.is_empty() {
                true => String::new(),
                false => format!(" Damaged are only commits {}; those after them are as they were.", runs.join(", ")),
            };
            return Some(Error::new(ErrorKind::Damaged, format!("the log {log} is damaged at byte {at}")).hint(
                format!(
                    "{upto}{lost} With its recovery data beside it, a restore repairs it by itself. Check that disk."
                ),
            ));
        }
        if let Some(at) = self.torn_at {
            let message = format!("the log {log} ends in the middle of a commit, at byte {at}");
            return Some(Error::new(ErrorKind::Damaged, message).hint(format!(
                "{upto} While it is being written that is no fault, nor after a crash: whoever goes on with it cuts \
                 that off. An archived log was cut off."
            )));
        }
        (self.index == Indexed::Damaged).then(|| {
            Error::new(ErrorKind::Damaged, format!("the index at the end of the log {log} is damaged")).hint(
                "Nothing is lost: every commit is there and sound, and is read instead of the index. Check that disk.",
            )
        })
    }
}

/// Reads every byte of the log at `path`, and compares its index with what was read; tells of each of `positions`
/// whether the log begins at it or passes it.
///
/// # Errors
/// When it cannot be read or is no log, or the job is stopped.
pub fn prove(path: &Path, positions: &[Position], control: &Control) -> Result<(LogProof, Vec<bool>)> {
    let mut reader = LogReader::open(path)?;
    let index = reader.index();
    let base = reader.header().base;
    let is_base = |position: &Position| (position.commit, position.chain) == (base.commit, base.chain);
    let mut passed: Vec<bool> = positions.iter().map(is_base).collect();
    let mut builder = Builder::new(reader.header());
    let (mut commits, mut times, mut catch_ups) = (None, None, 0);
    while let Some(record) = reader.next_record()? {
        control.check()?;
        builder.add(&mut reader, &record)?;
        let (number, wall) = (record.head.commit, record.head.wall);
        for (position, passed) in positions.iter().zip(&mut passed) {
            *passed |= (position.commit, position.chain) == (number, record.chain);
        }
        commits = Some((commits.map_or(number, |commits: (u64, u64)| commits.0), number));
        times = Some((times.map_or(wall, |times: (DateTime<Utc>, _)| times.0), wall));
        catch_ups += u64::from(record.head.kind != RecordKind::Commit);
    }
    let (mut torn_at, mut damaged_at) = (None, None);
    match reader.end() {
        End::Torn { offset } => torn_at = Some(offset),
        End::Damaged { offset } => damaged_at = Some(offset),
        End::Open | End::Whole => {}
    }
    let mut lost = Vec::new();
    let index = match (reader.indexed(), index) {
        (Indexed::Sound, Some(index)) if builder.makes(&index) => Indexed::Sound,
        (Indexed::Not, Some(index)) if damaged_at.is_some() => {
            lost = lost_of(&mut reader, &index, control)?;
            // It proves itself; what it says of the damaged part, nothing else tells.
            Indexed::Sound
        }
        (Indexed::Not, _) => Indexed::Not,
        _ => Indexed::Damaged,
    };
    let header = reader.header();
    let proof = LogProof {
        log: path.to_path_buf(),
        bytes: reader.length(),
        version: header.version,
        identity: header.identity,
        archive: header.base.archive,
        rooted: header.rooted,
        commits,
        times,
        catch_ups,
        torn_at,
        damaged_at,
        lost,
        index,
    };
    Ok((proof, passed))
}

/// Runs of commits in blocks that do not prove themselves.
fn lost_of(reader: &mut LogReader, index: &Index, control: &Control) -> Result<Vec<(u64, u64)>> {
    let mut lost: Vec<(u64, u64)> = Vec::new();
    for group in index.groups() {
        control.check()?;
        let mut is_sound = reader.go_to(&group)?;
        for listed in &group.records {
            is_sound = is_sound && reader.next_record()?.is_some_and(|record| Listed::of(&record.head) == *listed);
        }
        let ends = group.records.first().zip(group.records.last()).filter(|_| !is_sound);
        if let Some((first, last)) = ends {
            match lost.last_mut().filter(|run| run.1 + 1 == first.commit) {
                Some(run) => run.1 = last.commit,
                None => lost.push((first.commit, last.commit)),
            }
        }
    }
    Ok(lost)
}

/// Calls `visit` for each commit of the log that `reader` has just opened which wrote `page`. Of an archived log only
/// the blocks are read that its index names, each of which proves itself. Returns where what was said comes from.
///
/// # Errors
/// When the log cannot be read, a block that is needed is damaged, or the job is stopped.
pub fn writers_of(
    page: u32,
    reader: &mut LogReader,
    control: &Control,
    visit: &mut dyn FnMut(Listed) -> Result<()>,
) -> Result<Look> {
    let Some(index) = reader.index() else {
        while let Some(record) = reader.next_record()? {
            control.check()?;
            tell(page, reader, &record, visit)?;
        }
        return Ok(Look::Records);
    };
    for group in index.groups().filter(|group| group.pages.binary_search_by_key(&page, |(page, _)| *page).is_ok()) {
        control.check()?;
        if !reader.go_to(&group)? {
            return Err(damaged(reader, group.offset));
        }
        for _ in &group.records {
            let Some(record) = reader.next_record()? else { return Err(damaged(reader, group.offset)) };
            tell(page, reader, &record, visit)?;
        }
    }
    Ok(Look::Indexes)
}

fn damaged(reader: &LogReader, at: u64) -> Error {
    Error::new(ErrorKind::Damaged, format!("the log {} is damaged at byte {at}", shown(reader.path())))
        .hint("With its recovery data beside it, a restore repairs it by itself. Check that disk.")
}

fn tell(page: u32, reader: &mut LogReader, record: &Record, visit: &mut dyn FnMut(Listed) -> Result<()>) -> Result<()> {
    let mut is_written = false;
    reader.pages(record, &mut |entry| {
        is_written |= entry.page == page;
        Ok(())
    })?;
    if is_written { visit(Listed::of(&record.head)) } else { Ok(()) }
}
