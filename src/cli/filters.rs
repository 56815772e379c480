//! Which operations are asked for, and the way through archive and logs that leads to them: the same for every command
//! that reads records.

use std::{
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

use clap::{Args, ValueEnum};
use uuid::Uuid;

use super::{
    complain,
    desk::absolute,
    looked::{bring_up_to_date, log_runs},
    places::{self, directories},
    remark,
};
use crate::{
    archive::Archive,
    backup,
    control::Control,
    engine::{
        lost::{damaged_archives, last_made, made_archives},
        settings_in_force::InForce,
    },
    error::{Error, ErrorKind, Result},
    journal::{inspect::inspect, integrate::Until, reader::LogReader},
    records::{history::Wanted, operation::Action},
    restore::{
        self, Logs, Origin, is_written,
        trail::{Trail, is_before, trail_of_archive, trail_of_log},
    },
    settings::SettingsFile,
};

/// How long whoever writes a log has to record what the data file holds more, and how often that is looked at.
const CATCH_UP: Duration = Duration::from_secs(2);
const LOOK: Duration = Duration::from_millis(50);

/// Which operations.
#[derive(Debug, Args)]
pub(super) struct Filters {
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
}

impl ValueEnum for Action {
    fn value_variants<'a>() -> &'a [Self] {
        &Self::ALL
    }

    fn to_possible_value(&self) -> Option<clap::builder::PossibleValue> {
        Some(clap::builder::PossibleValue::new(self.label()))
    }
}

impl Filters {
    /// What is asked for; with what SQLite keeps for itself, where that is wanted.
    pub(super) fn wanted(&self, with_internal: bool) -> Result<Wanted> {
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
            with_internal,
            for_both: false,
        })
    }

    /// Why the running log of a data file does not tell all that was committed.
    pub(super) fn is_behind(&self, file: &Path) -> Result<Option<Error>> {
        let folders = directories()?;
        let file = places::data_file(&absolute(file)?, &folders)?;
        let settings = InForce::for_reading(&file, folders.config_dir(), folders.data_dir())?.0;
        let Some(log) = running_log(&settings).filter(|_| self.archive.is_none()) else { return Ok(None) };
        let shown = foreign_path(&log);
        // Only an archived log has one.
        let is_closed = LogReader::open(&log).is_ok_and(|reader| reader.index().is_some());
        let message = if is_closed {
            format!("{shown} is an archived log in the place of the one in use: what came after it is not in it")
        } else {
            match stays_behind(&log, &file, folders.config_dir()) {
                Some(Behind::Known) => format!("the data file holds commits that are not in {shown}"),
                Some(Behind::Unasked) => {
                    format!("another process writes {shown}, and could not be asked whether every commit is in it")
                }
                None => return Ok(None),
            }
        };
        let hint = match is_written(&log) {
            true => "What hinders its recording is told by strongroom status DATAFILE. Ask again in a moment.",
            false => {
                "Bring back the log that belongs there. Whether somebody records is told by strongroom status DATAFILE."
            }
        };
        Ok(Some(Error::new(ErrorKind::Partial, message).hint(hint)))
    }

    /// The identity of the data file `path`, by the settings that are gone by.
    pub(super) fn identity(path: &Path) -> Result<Option<Uuid>> {
        let folders = directories()?;
        let (settings, _) = InForce::for_reading(path, folders.config_dir(), folders.data_dir())?;
        Ok(settings.settings().data_file_id)
    }

    /// The way to it: of a data file, or of a log.
    pub(super) fn trail(&self, file: &Path, wanted: &Wanted, control: &Control) -> Result<Trail> {
        let file = absolute(file)?;
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
        let file = places::data_file(&file, &folders)?;
        let (settings, mistake) = InForce::for_reading(&file, folders.config_dir(), folders.data_dir())?;
        mistake.iter().for_each(complain);
        let log = running_log(&settings);
        let data = folders.data_dir();
        let (archives, _) = backup::archives_there(&file, settings.settings());
        let runs = match archives.iter().find(|archive| archive.is_of(settings.settings().data_file_id)) {
            // What is being recorded at this moment belongs to what is asked for.
            Some(archive) => bring_up_to_date(Some(&file), &archive.path, folders.config_dir()),
            None => log_runs(&file, folders.config_dir()),
        };
        let origin = Origin {
            settings_dir: Some(folders.config_dir().to_path_buf()),
            damaged: damaged_archives(data),
            made: made_archives(data, &file),
            log_runs: runs,
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
                let own = archives.iter().filter(|archive| archive.is_of(settings.settings().data_file_id));
                let oldest = own.filter_map(|archive| Some((archive.log_position?.commit, &archive.path))).min();
                let (_, oldest) = oldest.filter(|_| error.kind() == ErrorKind::NotFound).ok_or(error)?;
                trail_of_archive(oldest, &Logs::Found, &origin, control)
            }
        }
    }
}

/// Why a running log may not be all.
enum Behind {
    /// The data file holds more.
    Known,
    /// Whoever has it open to write it did not answer, and the data file does not tell.
    Unasked,
}

/// Why the running log `log` may lack what the data file holds, if so. Whoever has just begun to look after it, or is
/// in the middle of a commit, is given the time to record that.
fn stays_behind(log: &Path, data_file: &Path, own: &Path) -> Option<Behind> {
    let begun = Instant::now();
    loop {
        let runs = log_runs(data_file, own);
        if runs == Some(true) {
            return None;
        }
        let complete = inspect(log, data_file).ok().and_then(|facts| facts.complete);
        let behind = match (runs, complete) {
            (_, Some(true)) => return None,
            (_, Some(false)) => Behind::Known,
            // Nobody records: what the log holds is told, and no more is claimed.
            (_, None) if !is_written(log) => return None,
            (_, None) => Behind::Unasked,
        };
        if !is_written(log) || begun.elapsed() > CATCH_UP {
            return Some(behind);
        }
        thread::sleep(LOOK);
    }
}

fn running_log(settings: &SettingsFile) -> Option<PathBuf> {
    settings.settings().log.file.clone().filter(|log| log.is_file())
}

/// Whether a file is named like a log.
pub(super) fn is_log_by_name(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy().to_lowercase();
    name.ends_with(".4bl") || name.contains(".journal")
}

/// A path, to be shown.
pub(super) fn foreign_path(path: &Path) -> String {
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
