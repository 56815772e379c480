//! Applying logs to a restored file, and planning it.
//!
//! A record is applied only where the file stands exactly at the record before: the chain value of the position proves
//! it. On a restored archive that position is the one it names; the log whose base it is, the log *after* the archive,
//! continues there. Every page is checked against its hash after decoding, so a base that is not what the log was made
//! against is noticed at the first page that tells.

use std::{
    collections::BTreeMap,
    fs::{File, OpenOptions},
    path::{Path, PathBuf},
};

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{
    format::{Entry, HEADER_BYTES, Position, RecordKind, page_hash},
    jumps, page,
    reader::{End, LogReader, Record},
};
use crate::{
    control::{Control, Phase},
    error::{Error, ErrorKind, Result},
    storage::{
        read_exact_at,
        regular::{self, Links},
    },
};

/// Bytes of changed pages held in memory before they are written.
const CACHE_BYTES: usize = 64 << 20;

/// How far to integrate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Until {
    /// Everything there is.
    End,
    /// The last commit at or before this moment.
    Moment(DateTime<Utc>),
    /// This commit, included.
    Commit(u64),
}

impl Until {
    /// Whether this commit is beyond the limit.
    fn excludes(self, commit: u64, time: DateTime<Utc>) -> bool {
        match self {
            Until::End => false,
            Until::Moment(moment) => time > moment,
            Until::Commit(number) => commit > number,
        }
    }
}

/// The commit that a limit leads to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Point {
    /// Its number.
    pub commit: u64,
    /// When it was made; `None` when that is the state of the archive itself.
    pub time: Option<DateTime<Utc>>,
    /// When the first commit after it was made.
    pub next: Option<DateTime<Utc>>,
    /// Known commits after it, which are left out.
    pub left_out: u64,
}

/// One log's part of a plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Piece {
    /// The log file.
    pub path: PathBuf,
    /// Numbers of the first and last commit it contributes.
    pub commits: (u64, u64),
    /// Their times.
    pub times: (DateTime<Utc>, DateTime<Utc>),
}

/// A stretch during which nobody watched: its end is known, the single steps are not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stretch {
    /// The record that closes it.
    pub commit: u64,
    /// Time of the commit before.
    pub from: DateTime<Utc>,
    /// When the data file was compared.
    pub to: DateTime<Utc>,
}

/// Why a plan goes no further.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PlanEnd {
    /// All records of the logs that continue the archive.
    Complete,
    /// The last log ends with a torn tail, which a running engine would cut.
    Torn {
        /// Which log.
        path: PathBuf,
    },
    /// A log is damaged; what follows can not be used.
    Damaged {
        /// Which log.
        path: PathBuf,
        /// Where.
        offset: u64,
    },
    /// Unknown changes, which nothing can be integrated over.
    Gap {
        /// Which log.
        path: PathBuf,
        /// The record.
        commit: u64,
    },
}

/// What an integration would do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// Where the restored file stands.
    pub from: Position,
    /// Where it would stand at the end.
    pub to: Position,
    /// The logs in order.
    pub pieces: Vec<Piece>,
    /// Number of commits, catch-ups included.
    pub commits: u64,
    /// Times of the first and last of them.
    pub times: Option<(DateTime<Utc>, DateTime<Utc>)>,
    /// Where single steps are unknown.
    pub catch_ups: Vec<Stretch>,
    /// Why it ends there.
    pub end: PlanEnd,
    /// Later logs of this data file that do not continue anything here: a log in between is missing.
    pub unconnected: Vec<PathBuf>,
    /// The log at whose end the plan ends; `None` where no log goes on from the archive, not even one without commits.
    #[serde(default)]
    pub last: Option<PathBuf>,
    /// Logs that were given and can not be used, each with the reason; those that hold nothing more are not named.
    #[serde(default)]
    pub unused: Vec<Unused>,
    /// The time of the archive's state as the log that goes on from it has it: no commit is earlier.
    #[serde(default)]
    pub base_time: Option<DateTime<Utc>>,
    /// Whether several commits in a row bear the same time, which a clock that is right never gives.
    #[serde(default)]
    pub stands_still: bool,
    /// Length in bytes of the data file where it is longest on the way.
    #[serde(default)]
    pub longest: u64,
}

/// A log that can not be used here.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unused {
    /// The file.
    pub path: PathBuf,
    /// Why.
    pub why: Unfit,
}

/// Why a log can not be used.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Unfit {
    /// It can not be read, or is of another kind; with the message.
    Unreadable {
        /// What happened.
        message: String,
    },
    /// It has no content at all.
    Empty,
    /// It ends within its header.
    Cut,
    /// Its header is damaged.
    HeaderDamaged,
    /// It belongs to another data file.
    Foreign,
    /// It begins after the last commit that the others lead to: a log in between is missing.
    Later {
        /// The first commit that it would hold.
        begins: u64,
    },
    /// It was begun without an archive that it follows, or cut from another archive at this place.
    OtherBase,
    /// It goes on differently from what is restored: as after a restore, or on another machine.
    OtherPast,
}

impl Unused {
    /// Whether commits may be missing because of it.
    pub fn may_hold_more(&self) -> bool {
        !matches!(self.why, Unfit::Foreign | Unfit::OtherPast)
    }

    /// Whether it is damaged, or not to be read: then not even the program that wrote it can go on with it.
    pub fn is_damaged(&self) -> bool {
        matches!(self.why, Unfit::Unreadable { .. } | Unfit::Empty | Unfit::Cut | Unfit::HeaderDamaged)
    }

    /// What is the matter, as the end of a sentence that begins with its path.
    pub fn in_words(&self) -> String {
        let path = self.path.display();
        match &self.why {
            Unfit::Unreadable { message } => format!("{path} can not be used: {message}"),
            Unfit::Empty => format!("{path} can not be used: it is empty"),
            Unfit::Cut => format!("{path} can not be used: it was cut off within its header"),
            Unfit::HeaderDamaged => format!("{path} can not be used: its header is damaged"),
            Unfit::Foreign => format!("{path} is not used: it belongs to another data file"),
            Unfit::Later { begins } => {
                format!("{path} can not be used: it begins with commit {begins}, and a log in between is missing")
            }
            Unfit::OtherBase => {
                format!("{path} can not be used: it does not begin at an archive that is restored here")
            }
            Unfit::OtherPast => format!("{path} is not used: it goes on differently from what is restored"),
        }
    }
}

/// What an integration did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Integrated {
    /// Where the file stands now.
    pub position: Position,
    /// Number of commits applied.
    pub commits: u64,
    /// Time of the last one applied.
    pub last: Option<DateTime<Utc>>,
    /// Time of the first one left out, when a limit was given.
    pub next: Option<DateTime<Utc>>,
}

/// Finds which of `logs`, in any order, lead on from `from`, and how far.
///
/// What can not be used is named with the reason.
///
/// # Errors
/// When the disk can not be read while a log is, or the job is stopped.
pub fn plan(identity: Uuid, from: &Position, logs: &[PathBuf], control: &Control) -> Result<Plan> {
    let mut plan = Plan {
        from: *from,
        to: *from,
        pieces: Vec::new(),
        commits: 0,
        times: None,
        catch_ups: Vec::new(),
        end: PlanEnd::Complete,
        unconnected: Vec::new(),
        last: None,
        unused: Vec::new(),
        base_time: None,
        stands_still: false,
        longest: 0,
    };
    let mut left: Vec<PathBuf> = Vec::new();
    for path in logs {
        let why = match LogReader::open(path) {
            Ok(reader) if reader.header().identity == identity => {
                left.push(path.clone());
                continue;
            }
            Ok(_) => Unfit::Foreign,
            Err(error) => unfit(path, &error),
        };
        plan.unused.push(Unused { path: path.clone(), why });
    }
    // A log may hold the position at its base or, when a backup failed after its cut, in its middle. One that ends
    // early does not count where another copy of it goes on.
    loop {
        let mut found = None;
        for (index, path) in left.iter().enumerate() {
            if extend(&mut plan, path, control)? {
                found = Some(index);
                break;
            }
        }
        let Some(index) = found else { break };
        left.remove(index);
    }
    for path in left {
        let header = LogReader::open(&path)?.header().clone();
        // Older ones are of no concern here.
        let is_later = header.base.archive >= plan.from.archive;
        if let Some(why) = unfit_beside(&plan, &path, control)? {
            plan.unused.push(Unused { path: path.clone(), why });
        }
        plan.unconnected.extend(is_later.then_some(path));
    }
    Ok(plan)
}

/// Why a file that should be a log can not be read as one.
fn unfit(path: &Path, error: &Error) -> Unfit {
    let length = path.metadata().map(|meta| meta.len());
    match (error.kind(), length) {
        (ErrorKind::NotRecognised | ErrorKind::Damaged, Ok(0)) => Unfit::Empty,
        (ErrorKind::NotRecognised | ErrorKind::Damaged, Ok(length)) if length < HEADER_BYTES as u64 => Unfit::Cut,
        (ErrorKind::Damaged | ErrorKind::NotRecognised, _) => Unfit::HeaderDamaged,
        _ => Unfit::Unreadable { message: error.message().to_owned() },
    }
}

/// Why a log of this data file is not among those that the plan uses; `None` where it holds nothing more.
fn unfit_beside(plan: &Plan, path: &Path, control: &Control) -> Result<Option<Unfit>> {
    let mut reader = LogReader::open(path)?;
    let base = reader.header().base;
    if base.commit > plan.to.commit {
        return Ok(Some(Unfit::Later { begins: base.commit + 1 }));
    }
    if base.commit == plan.to.commit && base.archive >= plan.from.archive {
        return Ok(Some(Unfit::OtherBase));
    }
    while reader.next_record()?.is_some() {
        control.check()?;
    }
    let tail = *reader.tail();
    if tail.commit <= plan.from.commit {
        return Ok(None);
    }
    // A copy of what is used, perhaps a shorter one.
    let position = Position { archive: base.archive, commit: tail.commit, chain: tail.chain };
    for piece in plan.pieces.iter().filter(|piece| (piece.commits.0..=piece.commits.1).contains(&tail.commit)) {
        if seek(&mut LogReader::open(&piece.path)?, &position, control)?.is_some() {
            return Ok(None);
        }
    }
    Ok(Some(if reader.header().rooted { Unfit::OtherPast } else { Unfit::OtherBase }))
}

/// Adds the records of the log at `path` that continue the plan; false when the place where it stands is not in that
/// log.
fn extend(plan: &mut Plan, path: &Path, control: &Control) -> Result<bool> {
    let mut reader = LogReader::open(path)?;
    let archive = reader.header().base.archive;
    let Some(mut time_before) = seek(&mut reader, &plan.to, control)? else { return Ok(false) };
    plan.base_time = plan.base_time.or(Some(time_before));
    let mut piece: Option<Piece> = None;
    let (mut end, mut same) = (PlanEnd::Complete, 1);
    while let Some(record) = reader.next_record()? {
        control.check()?;
        let (commit, time) = (record.head.commit, record.head.time);
        match record.head.kind {
            RecordKind::Commit => {}
            RecordKind::CatchUp => plan.catch_ups.push(Stretch { commit, from: time_before, to: time }),
            RecordKind::Gap => {
                end = PlanEnd::Gap { path: path.to_path_buf(), commit };
                break;
            }
        }
        plan.longest = plan.longest.max(u64::from(record.head.page_count) * u64::from(reader.header().page_size));
        same = if time == time_before { same + 1 } else { 1 };
        plan.stands_still |= same >= jumps::STANDS_STILL;
        time_before = time;
        plan.commits += 1;
        plan.to = Position { archive, commit, chain: record.chain };
        plan.times = Some((plan.times.map_or(time, |t| t.0), time));
        let piece = piece.get_or_insert_with(|| Piece {
            path: path.to_path_buf(),
            commits: (commit, commit),
            times: (time, time),
        });
        (piece.commits.1, piece.times.1) = (commit, time);
    }
    match reader.end() {
        End::Damaged { offset } => end = PlanEnd::Damaged { path: path.to_path_buf(), offset },
        // Only a log that is still being written can end so: nothing follows it.
        End::Torn { .. } => end = PlanEnd::Torn { path: path.to_path_buf() },
        End::Open | End::Whole => {}
    }
    if piece.is_some() {
        plan.end = end;
    } else if plan.end == PlanEnd::Complete && end != PlanEnd::Complete {
        // It should have gone on here, and nobody else has yet.
        plan.end = end;
    }
    // Of those that end at one place, the one that begins there goes on from it; one that only leads there does not.
    let base = reader.header().base;
    let is_later = base.archive >= plan.from.archive.max(plan.to.archive);
    let begins_here = base.commit == plan.to.commit && reader.header().rooted && is_later;
    if piece.is_some() || begins_here {
        plan.last = Some(path.to_path_buf());
    }
    plan.pieces.extend(piece);
    Ok(true)
}

/// Moves the reader to just after `position`, and returns the time there; `None` when it is not in this log.
fn seek(reader: &mut LogReader, position: &Position, control: &Control) -> Result<Option<DateTime<Utc>>> {
    loop {
        let tail = reader.tail();
        if tail.commit == position.commit && tail.chain == position.chain {
            return Ok(Some(tail.time));
        }
        if tail.commit >= position.commit || reader.next_record()?.is_none() {
            return Ok(None);
        }
        control.check()?;
    }
}

/// Finds the commit that `until` leads to, without applying anything.
///
/// # Errors
/// When a log can not be read, or the job is stopped.
pub fn resolve(plan: &Plan, until: Until, control: &Control) -> Result<Point> {
    let mut point = Point { commit: plan.from.commit, time: None, next: None, left_out: 0 };
    for piece in &plan.pieces {
        if !until.excludes(piece.commits.1, piece.times.1) {
            (point.commit, point.time) = (piece.commits.1, Some(piece.times.1));
            continue;
        }
        let mut reader = LogReader::open(&piece.path)?;
        while let Some(record) = reader.next_record()? {
            control.check()?;
            let (commit, time) = (record.head.commit, record.head.time);
            if commit > point.commit && until.excludes(commit, time) {
                point.next = Some(time);
                break;
            }
            if commit > point.commit {
                (point.commit, point.time) = (commit, Some(time));
            }
        }
        break;
    }
    point.left_out = plan.to.commit - point.commit;
    Ok(point)
}

/// Applies the logs of `plan` to the file at `target`, which stands at `plan.from` and is open nowhere else.
///
/// Everything is on the disk when this returns. After an error or a stop, `target` is of no use.
///
/// # Errors
/// `Damaged` when the file or a log is not what the chain says, `Refused` when the wanted commit is out of reach,
/// `Stopped`, or a failing disk.
pub fn integrate(target: &Path, plan: &Plan, until: Until, control: &Control) -> Result<Integrated> {
    let (file, _) = regular::open_with(OpenOptions::new().read(true).write(true), target, Links::Refused)
        .map_err(|e| Error::io("open", target, e))?;
    integrate_into((file, target.to_path_buf()), plan, until, control)
}

/// As [`integrate`], for a file that was opened to be read and written, and how it is called.
///
/// # Errors
/// As [`integrate`].
pub fn integrate_into(target: (File, PathBuf), plan: &Plan, until: Until, control: &Control) -> Result<Integrated> {
    if let Until::Commit(number) = until
        && (number < plan.from.commit || number > plan.to.commit)
    {
        let (from, to) = (plan.from.commit, plan.to.commit);
        return Err(Error::new(ErrorKind::Refused, format!("commit {number} can not be reached from here"))
            .hint(format!("The archive stands at commit {from}, and the logs at hand lead to commit {to}.")));
    }
    control.phase(Phase::Restoring, plan.commits);
    let mut done = Integrated { position: plan.from, commits: 0, last: None, next: None };
    let mut file = Target::new(target);
    'logs: for piece in &plan.pieces {
        let mut reader = LogReader::open(&piece.path)?;
        let (page_size, archive) = (reader.header().page_size, reader.header().base.archive);
        file.prepare(page_size)?;
        if seek(&mut reader, &done.position, control)?.is_none() {
            return Err(Error::new(ErrorKind::Damaged, format!("{} changed meanwhile", piece.path.display()))
                .hint("Start the restore again."));
        }
        if reader.tail().page_count > file.page_count {
            let (path, said, found) = (piece.path.display(), reader.tail().page_count, file.page_count);
            let message = format!("{path} was made against a data file of {said} pages, and this one has {found}");
            return Err(Error::new(ErrorKind::Damaged, message)
                .hint("The archive and the log do not belong together. Restore without the log."));
        }
        while done.position.commit < piece.commits.1 {
            let Some(record) = reader.next_record()? else {
                return Err(Error::new(ErrorKind::Damaged, format!("{} changed meanwhile", piece.path.display()))
                    .hint("Start the restore again."));
            };
            if until.excludes(record.head.commit, record.head.time) {
                done.next = Some(record.head.time);
                break 'logs;
            }
            control.check()?;
            file.apply(&mut reader, &record)?;
            control.add(1);
            done.commits += 1;
            done.last = Some(record.head.time);
            done.position = Position { archive, commit: record.head.commit, chain: record.chain };
        }
    }
    file.finish()?;
    Ok(done)
}

/// The file being rebuilt, with its changed pages in memory until there are many.
struct Target {
    file: File,
    path: PathBuf,
    page_size: usize,
    page_count: u32,
    pages: BTreeMap<u32, Vec<u8>>,
}

impl Target {
    fn new((file, path): (File, PathBuf)) -> Self {
        Self { file, path, page_size: 0, page_count: 0, pages: BTreeMap::new() }
    }

    fn prepare(&mut self, page_size: u32) -> Result<()> {
        let size = page_size as usize;
        if self.page_size == 0 && size > 0 {
            let length = self.file.metadata().map_err(|e| Error::io("measure", &self.path, e))?.len();
            self.page_size = size;
            self.page_count = (length / u64::from(page_size)) as u32;
        }
        if size == self.page_size {
            return Ok(());
        }
        Err(Error::new(ErrorKind::Damaged, format!("the log is not made for the page size of {}", self.path.display())))
    }

    fn apply(&mut self, reader: &mut LogReader, record: &Record) -> Result<()> {
        let count_before = self.page_count;
        reader.pages(record, &mut |entry| self.put(&entry, count_before, record.head.commit))?;
        if record.head.page_count < count_before {
            self.flush()?;
            let length = u64::from(record.head.page_count) * self.page_size as u64;
            self.file.set_len(length).map_err(|e| Error::io("cut", &self.path, e))?;
        }
        self.page_count = record.head.page_count;
        if self.pages.len() * self.page_size > CACHE_BYTES { self.flush() } else { Ok(()) }
    }

    fn put(&mut self, entry: &Entry<'_>, count_before: u32, commit: u64) -> Result<()> {
        let exists = entry.page <= count_before;
        let mut image = match self.pages.remove(&entry.page) {
            Some(image) => image,
            None => {
                let mut image = vec![0; self.page_size];
                if exists && !page::stands_alone(entry.encoding) {
                    let offset = u64::from(entry.page - 1) * self.page_size as u64;
                    read_exact_at(&self.file, offset, &mut image).map_err(|e| Error::io("read", &self.path, e))?;
                }
                image
            }
        };
        let decoded = page::decode(entry.encoding, entry.bytes, exists, &mut image);
        if decoded.is_none() || page_hash(&image) != entry.hash {
            let message = format!(
                "commit {commit} does not fit {}: page {} is not what the log was made against",
                self.path.display(),
                entry.page
            );
            return Err(Error::new(ErrorKind::Damaged, message)
                .hint("The archive and the log do not belong together, or one is damaged. Restore without the log, or up to the commit before."));
        }
        self.pages.insert(entry.page, image);
        // A huge commit must not fill the memory: its pages can go to the file at once, for the record is verified.
        if self.pages.len() * self.page_size > 2 * CACHE_BYTES { self.flush() } else { Ok(()) }
    }

    fn flush(&mut self) -> Result<()> {
        for (page, image) in std::mem::take(&mut self.pages) {
            let offset = u64::from(page - 1) * self.page_size as u64;
            write_all_at(&mut self.file, offset, &image).map_err(|e| Error::io("write to", &self.path, e))?;
        }
        Ok(())
    }

    fn finish(&mut self) -> Result<()> {
        self.flush()?;
        if self.page_size > 0 {
            let length = u64::from(self.page_count) * self.page_size as u64;
            self.file.set_len(length).map_err(|e| Error::io("cut", &self.path, e))?;
        }
        self.file.sync_all().map_err(|e| Error::io("sync", &self.path, e))
    }
}

fn write_all_at(file: &mut File, offset: u64, bytes: &[u8]) -> std::io::Result<()> {
    use std::io::{Seek, SeekFrom, Write};
    file.seek(SeekFrom::Start(offset))?;
    file.write_all(bytes)
}
