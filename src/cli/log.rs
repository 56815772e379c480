//! `strongroom log`: what every commit changed, as records.

use std::{
    io::{self, BufWriter, Write},
    path::{Path, PathBuf},
    process::ExitCode,
    time::{Duration, Instant},
};

use chrono::Local;
use clap::{Args, ValueEnum};

use super::{desk::absolute, places::directories, remark};
use crate::{
    archive::Archive,
    backup,
    control::Control,
    engine::lost::{damaged_archives, last_made, made_archives},
    error::{Error, ErrorKind, Result, foreign::foreign},
    journal::{integrate::Until, plan::PlanEnd, reader::LogReader},
    records::{
        history::{self, Stretch, Wanted},
        lines,
        operation::{Action, Operation, Side, value_in_words},
        store::ArchiveBase,
    },
    restore::{
        self, Logs, Origin,
        trail::{Trail, is_before, trail_of_archive, trail_of_log},
    },
    settings::SettingsFile,
    storage,
};

/// After so long, what was found is written out, though there is not much of it.
const SHOW_AFTER: Duration = Duration::from_millis(100);

/// What is asked for.
#[derive(Debug, Args)]
pub(super) struct Asked {
    /// The data file, whose running log is read; or a log, `Name.journal` or `Name[n].4BL`.
    #[arg(value_name = "DATAFILE|LOG")]
    pub(super) file: PathBuf,
    /// The archive that the log goes on from, or an older one, from which all logs are read.
    #[arg(long, value_name = "ARCHIVE")]
    archive: Option<PathBuf>,
    /// Only operations of this table; may be given several times.
    #[arg(long = "table", value_name = "NAME")]
    tables: Vec<String>,
    /// Only these; may be given several times.
    #[arg(long = "action", value_name = "ACTION")]
    actions: Vec<Action>,
    /// Only of the record with this rowid, or with this key where the table has no rowid.
    #[arg(long, value_name = "KEY")]
    key: Option<String>,
    /// Only commits made at this moment or later, in local time, `2026-11-22 12:00:00`, or with an offset.
    #[arg(long, value_name = "MOMENT")]
    since: Option<String>,
    /// Only commits made at this moment or earlier.
    #[arg(long, value_name = "MOMENT")]
    until: Option<String>,
    /// Only this commit, or those from one number up to another: `17`, `17..20`, `17..`, `..20`.
    #[arg(long, value_name = "N..M")]
    commit: Option<String>,
    /// Also what SQLite keeps for itself: tables behind full-text and spatial indexes, statistics, sequences.
    #[arg(long)]
    internal: bool,
    /// Print one JSON object per operation and line.
    #[arg(long)]
    json: bool,
    /// Print lines of comma-separated values; records in them are JSON objects.
    #[arg(long, conflicts_with = "json")]
    csv: bool,
}

impl ValueEnum for Action {
    fn value_variants<'a>() -> &'a [Self] {
        &Self::ALL
    }

    fn to_possible_value(&self) -> Option<clap::builder::PossibleValue> {
        Some(clap::builder::PossibleValue::new(self.label()))
    }
}

impl Asked {
    fn wanted(&self) -> Result<Wanted> {
        let moment = |text: &Option<String>| -> Result<_> {
            let Some(text) = text else { return Ok(None) };
            let moment = restore::parse_moment(text)?;
            moment.ambiguity().iter().for_each(|note| remark(note));
            Ok(Some(moment.at))
        };
        let (first, last) = self.commit.as_deref().map_or(Ok((None, None)), commits)?;
        Ok(Wanted {
            tables: self.tables.clone(),
            actions: self.actions.clone(),
            key: self.key.clone(),
            since: moment(&self.since)?,
            until: moment(&self.until)?,
            first,
            last,
            with_internal: self.internal,
            for_both: false,
        })
    }

    fn trail(&self, wanted: &Wanted, control: &Control) -> Result<Trail> {
        let file = absolute(&self.file)?;
        let archive = self.archive.as_deref().map(absolute).transpose()?;
        let folders = directories()?;
        if LogReader::open(&file).is_ok() {
            return trail_of_log(&file, archive.as_deref(), &[], control);
        }
        if is_log_by_name(&file) {
            // It says what is the matter.
            LogReader::open(&file)?;
        }
        if Archive::glance(&file).is_ok() {
            return Err(Error::new(ErrorKind::WrongType, format!("{} is an archive, and no log", foreign_path(&file)))
                .hint("Give the data file or a log, and the archive with --archive."));
        }
        let file = storage::real_path(&file);
        let settings = SettingsFile::load(&file, folders.config_dir())?;
        let log = settings.settings().log.file.clone().filter(|log| log.is_file());
        let data = folders.data_dir();
        let origin = Origin {
            settings_dir: Some(folders.config_dir().to_path_buf()),
            damaged: damaged_archives(data),
            made: made_archives(data, &file),
            ..Origin::of(&file)
        };
        if let Some(archive) = archive {
            return trail_of_archive(&archive, &log.map_or(Logs::Found, |log| Logs::Also(vec![log])), &origin, control);
        }
        let until = match (wanted.since, wanted.first) {
            (Some(since), _) => Until::Moment(since),
            (None, Some(first)) => Until::Commit(first.saturating_sub(1)),
            (None, None) => Until::End,
        };
        if let Some(log) = log
            && !is_before(&log, until)?
        {
            let destination = backup::destination(&file, &settings);
            let earlier = settings.settings().destination.earlier.iter().cloned();
            let folders: Vec<PathBuf> = earlier.chain([destination]).collect();
            return trail_of_log(&log, None, &folders, control);
        }
        match restore::choose(&file, &origin, until, &Logs::Found, last_made(data, &file).as_ref()) {
            Ok(choice) => trail_of_archive(&choice.archive, &choice.logs, &origin, control),
            // Of what was before the oldest archive nothing is known; all that is known begins there.
            Err(error) => {
                let (archives, _) = backup::archives_there(&file, settings.settings());
                let own = archives.iter().filter(|archive| archive.is_of(settings.settings().data_file_id));
                let oldest = own.filter_map(|archive| Some((archive.log_position?.commit, &archive.path))).min();
                let (_, oldest) = oldest.filter(|_| error.kind() == ErrorKind::NotFound).ok_or(error)?;
                trail_of_archive(oldest, &Logs::Found, &origin, control)
            }
        }
    }
}

fn is_log_by_name(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy().to_lowercase();
    name.ends_with(".4bl") || name.contains(".journal")
}

fn foreign_path(path: &Path) -> String {
    crate::error::foreign::shown(path).to_string()
}

/// The numbers in `17`, `17..20`, `17..`, `..20`.
fn commits(text: &str) -> Result<(Option<u64>, Option<u64>)> {
    let wrong = || {
        Error::new(ErrorKind::Refused, format!("{text:?} names no commits"))
            .hint("Write one number, or two with two points between: 17, 17..20, 17.., ..20.")
    };
    let number = |part: &str| match part.trim() {
        "" => Ok(None),
        digits => digits.parse().map(Some).map_err(|_| wrong()),
    };
    match text.split_once("..") {
        Some((first, last)) => Ok((number(first)?, number(last)?)),
        None => match number(text)? {
            Some(one) => Ok((Some(one), Some(one))),
            None => Err(wrong()),
        },
    }
}

/// Lists what is asked for.
pub(super) fn log(asked: &Asked) -> Result<ExitCode> {
    let (wanted, control) = (asked.wanted()?, Control::default());
    let trail = asked.trail(&wanted, &control)?;
    let wanted = Wanted { first: wanted.first.max(trail.first), ..wanted };
    let stretch = |leg: &restore::trail::Leg| Stretch { path: leg.path.clone(), after: leg.after, last: leg.last };
    let stretches: Vec<Stretch> = trail.legs.iter().map(stretch).collect();
    // The rest of it holds copies of logs that were repaired, and stays until the end.
    let (archive, ends) = (trail.archive, trail.ends);
    let mut lines = Lines::new(asked);
    let told = history::read(Box::new(ArchiveBase::of(archive)?), &stretches, &wanted, &control, &mut |operation| {
        let is_read = lines.put(operation)?;
        if !is_read {
            control.stop();
        }
        Ok(())
    });
    let is_read = lines.flush()?;
    match told {
        // A reader such as `head` that has seen enough.
        _ if !is_read => return Ok(ExitCode::SUCCESS),
        Ok(told) => {
            if let Some(log) = told.torn {
                remark(&format!(
                    "{} ends in the middle of a commit: it is being written, or was cut off.",
                    foreign_path(&log)
                ));
            }
        }
        Err(error) => return Err(error),
    }
    match ends {
        Some(PlanEnd::Damaged { path, offset }) => {
            let message = format!("{} is damaged at byte {offset}", foreign_path(&path));
            Err(Error::new(ErrorKind::Damaged, message)
                .hint("Everything before this place was told. Check the disk, and make a full backup."))
        }
        Some(PlanEnd::Gap { path, commit }) => {
            let message = format!("commit {commit} of {} stands for changes that nobody has seen", foreign_path(&path));
            Err(Error::new(ErrorKind::Partial, message)
                .hint("What comes after it is told from the next full backup on."))
        }
        Some(PlanEnd::Torn { .. } | PlanEnd::Complete) | None => Ok(ExitCode::SUCCESS),
    }
}

/// Lines on standard output.
struct Lines<'a> {
    asked: &'a Asked,
    out: BufWriter<io::Stdout>,
    last: Option<Instant>,
    commit: Option<u64>,
    is_read: bool,
}

impl<'a> Lines<'a> {
    fn new(asked: &'a Asked) -> Self {
        let out = BufWriter::with_capacity(64 << 10, io::stdout());
        Self { asked, out, last: None, commit: None, is_read: true }
    }

    /// False when nobody reads any more.
    fn put(&mut self, operation: &Operation<'_>) -> Result<bool> {
        if self.asked.json {
            self.write(&lines::json(operation)?)?;
        } else if self.asked.csv {
            if self.commit.is_none() {
                self.write(lines::CSV_HEAD)?;
            }
            self.write(&lines::csv(operation)?)?;
        } else {
            if self.commit != Some(operation.commit) {
                let time = operation.time.with_timezone(&Local).format("%Y-%m-%d %H:%M:%S%.3f %:z");
                self.write(&format!("commit {}  {time}", operation.commit))?;
            }
            self.write(&format!("  {}", foreign(&in_words(operation))))?;
        }
        self.commit = Some(operation.commit);
        if self.last.is_none_or(|last| last.elapsed() > SHOW_AFTER) {
            self.flush()?;
        }
        Ok(self.is_read)
    }

    fn write(&mut self, line: &str) -> Result<()> {
        let written = writeln!(self.out, "{line}");
        self.note(written)
    }

    fn flush(&mut self) -> Result<bool> {
        self.last = Some(Instant::now());
        let flushed = self.out.flush();
        self.note(flushed)?;
        Ok(self.is_read)
    }

    fn note(&mut self, written: io::Result<()>) -> Result<()> {
        match written {
            Ok(()) => Ok(()),
            Err(e) if e.kind() == io::ErrorKind::BrokenPipe => {
                self.is_read = false;
                Ok(())
            }
            Err(e) => Err(Error::io("write to", Path::new("standard output"), e)),
        }
    }
}

/// One operation as a line for people.
fn in_words(operation: &Operation<'_>) -> String {
    let change = operation.change;
    let key = change.key.as_ref().map_or_else(String::new, |key| format!(" {}", key.in_words()));
    let table = change.table.unwrap_or_default();
    let reason = operation.reason().map_or_else(String::new, |reason| format!(": {reason}"));
    let what = match (change.action, change.object) {
        (Action::CatchUp, _) => {
            "catch-up: nobody watched since the commit before, and what follows was made meanwhile".to_owned()
        }
        (Action::Rewrite, _) => {
            format!("rewrite: {} pages were written, and no record is another one", change.count.unwrap_or_default())
        }
        (Action::Unknown, _) if table.is_empty() => format!("unknown{reason}"),
        (Action::Unknown, _) => format!("unknown {table}{reason}"),
        (action, Some(object)) => {
            let renamed = match (&change.old, &change.new) {
                (Some(Side::Object(old)), Some(Side::Object(new))) if old.name != new.name => {
                    format!(", now {}", new.name)
                }
                _ => String::new(),
            };
            let records = change.count.map_or_else(String::new, |count| match count {
                1 => ", with 1 record".to_owned(),
                count => format!(", with {count} records"),
            });
            format!("{} {}{key}{renamed}{records}", action.label(), object.label())
        }
        (action, None) => {
            format!("{} {table}{key}: {}", action.label(), sides(change.old.as_ref(), change.new.as_ref()))
        }
    };
    format!("{}  {what}", operation.number)
}

/// The columns of a record; of one that was modified, those that are others.
fn sides(old: Option<&Side<'_>>, new: Option<&Side<'_>>) -> String {
    let unknown = |side: &Side<'_>| match side {
        Side::Unknown(flaw) => format!("not to be read, page {} {}", flaw.page, flaw.what),
        _ => String::new(),
    };
    let (names, old_row, new_row) = match (old, new) {
        (Some(Side::Record(_, old)), Some(Side::Record(definition, new))) => (*definition, Some(old), Some(new)),
        (None, Some(Side::Record(definition, new))) => (*definition, None, Some(new)),
        (Some(Side::Record(definition, old)), None) => (*definition, Some(old), None),
        (Some(side @ Side::Unknown(_)), _) | (_, Some(side)) => return unknown(side),
        (Some(side), None) => return unknown(side),
        (None, None) => return String::new(),
    };
    let mut parts = Vec::new();
    for (place, column) in names.columns.iter().enumerate() {
        let value = |row: Option<&Vec<Option<crate::records::record::Value<'_>>>>| {
            row.and_then(|row| row.get(place).copied().flatten()).map(|value| value_in_words(&value))
        };
        match (value(old_row), value(new_row)) {
            (Some(old), Some(new)) if old != new => parts.push(format!("{} {old} → {new}", column.name)),
            (Some(one), None) | (None, Some(one)) => parts.push(format!("{} {one}", column.name)),
            _ => {}
        }
    }
    parts.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commits_are_named_by_one_number_or_two() {
        for (text, expected) in [
            ("17", Some((Some(17), Some(17)))),
            ("17..20", Some((Some(17), Some(20)))),
            ("17..", Some((Some(17), None))),
            ("..20", Some((None, Some(20)))),
            ("", None),
            ("a..b", None),
            ("-1", None),
        ] {
            assert_eq!(commits(text).ok(), expected, "{text}");
        }
    }
}
