//! `strongroom restore`: which archive a data file is restored from, and the next one where that turns out to be
//! damaged.

use std::path::{Path, PathBuf};

use clap::Args;

use super::{
    desk::{Desk, absolute},
    looked::log_runs,
    places::directories,
    remark,
};
use crate::{
    archive::{
        Archive, catalog,
        lawful::{ATTACHMENTS, PROGRAM},
        segments::parse_segment_name,
    },
    control::Control,
    engine::{
        Command, JobId,
        lost::{damaged_archives, last_made, lost_pasts, made_archives, missing_archives},
        mistaken::refuse_log,
        status::{FinishedJob, JobReport},
    },
    error::{Error, ErrorKind, ErrorReport, Result, foreign::shown, shell::quoted},
    journal::integrate::Until,
    restore::{self, Logs, Origin, lost_past::doubt},
    settings::left_behind,
    storage, verify,
};

/// What is asked for.
#[derive(Debug, Args)]
pub(super) struct Asked {
    /// The archive; or the data file, which may be gone: then the archive that leads to what is wanted is found.
    #[arg(value_name = "ARCHIVE|DATAFILE", required_unless_present = "in_place")]
    pub(super) archive: Option<PathBuf>,
    /// Folder that the files land in; otherwise a new one named like the archive, beside it.
    #[arg(long, value_name = "DIR")]
    pub(super) to: Option<PathBuf>,
    /// Integrate the logs only up to this moment, in local time, `2026-11-22 12:00:00`, or with an offset,
    /// `2026-11-22 12:00:00 +01:00`. Of an hour that the clock shows twice, the first is taken.
    #[arg(long, value_name = "MOMENT", conflicts_with = "commit")]
    pub(super) until: Option<String>,
    /// Integrate the logs only up to this commit, included.
    #[arg(long, value_name = "NUMBER")]
    pub(super) commit: Option<u64>,
    /// Restore the archive alone, without its logs.
    #[arg(long, conflicts_with_all = ["until", "commit", "logs"])]
    pub(super) no_log: bool,
    /// A log that lies neither beside the archive, nor beside the data file, nor where its settings say; may be
    /// given several times.
    #[arg(long = "log", value_name = "FILE")]
    pub(super) logs: Vec<PathBuf>,
    /// Bring this live data file to that state, as one transaction, while programs are connected. Can be undone. Where
    /// no archive is named, it need be given only once.
    #[arg(long, value_name = "DATAFILE", num_args = 0..=1, conflicts_with_all = ["to", "items"])]
    pub(super) in_place: Option<Option<PathBuf>>,
    /// Restore only this file of the archive; may be given several times.
    #[arg(long = "item", value_name = "NAME")]
    pub(super) items: Vec<String>,
    /// A folder that holds segments of the archive, besides its own; may be given several times.
    #[arg(long, value_name = "DIR")]
    pub(super) segments: Vec<PathBuf>,
    /// When Ctrl-C is pressed or the terminal closes, leave the job running in the window or service that does it.
    #[arg(long)]
    pub(super) detach: bool,
    /// Print the result as one JSON object.
    #[arg(long)]
    pub(super) json: bool,
}

impl Asked {
    /// What is restored, an archive or a data file, and the data file that is brought to that state, if one is.
    pub(super) fn what(&self) -> Result<(PathBuf, Option<PathBuf>)> {
        let refused = |message: String| Err(Error::new(ErrorKind::Refused, message));
        match (&self.archive, &self.in_place) {
            (Some(what), None) => Ok((what.clone(), None)),
            (Some(what), Some(Some(data_file))) => Ok((what.clone(), Some(data_file.clone()))),
            (Some(what), Some(None)) | (None, Some(Some(what))) if is_data_file(what) => {
                Ok((what.clone(), Some(what.clone())))
            }
            (Some(archive), _) => refused(format!("{} is an archive, and no data file is named", shown(archive)))
                .map_err(|error| {
                    error.hint(format!(
                        "Name the data file that is brought to its state: strongroom restore {} --in-place DATAFILE.",
                        quoted(archive)
                    ))
                }),
            (None, Some(Some(archive))) => refused(format!("{} is an archive, and no data file", shown(archive)))
                .map_err(|error| {
                    error.hint(format!(
                        "Name the data file after it: strongroom restore {} --in-place DATAFILE.",
                        quoted(archive)
                    ))
                }),
            (None, _) => refused("neither an archive nor a data file is named".to_owned()),
        }
    }

    fn until(&self) -> Result<Until> {
        Ok(match (&self.until, self.commit) {
            (Some(moment), _) => {
                let moment = restore::parse_moment(moment)?;
                moment.ambiguity().iter().for_each(|note| remark(note));
                Until::Moment(moment.at)
            }
            (None, Some(number)) => Until::Commit(number),
            (None, None) => Until::End,
        })
    }

    fn logs(&self) -> Result<Logs> {
        Ok(match (self.no_log, &self.logs) {
            (true, _) => Logs::None,
            (false, logs) if logs.is_empty() => Logs::Found,
            (false, logs) => Logs::Also(logs.iter().map(|path| absolute(path)).collect::<Result<_>>()?),
        })
    }

    /// Restores from this archive.
    fn perform(&self, job: JobId, archive: &Path, logs: Logs, until: Until) -> Result<Option<FinishedJob>> {
        let (_, in_place) = self.what()?;
        let segments = self.segments.iter().map(|path| absolute(path)).collect::<Result<_>>()?;
        let archive = archive.to_path_buf();
        match in_place {
            None => {
                let destination = self.to.clone().unwrap_or_else(|| restore::propose_destination(&archive));
                let (destination, items) = (absolute(&destination)?, self.items.clone());
                let desk = Desk::of_archive(&archive)?;
                let command = Command::Restore { job, archive, items, destination, logs, until, segments };
                desk.perform(job, command, self.detach)
            }
            Some(data_file) => {
                let desk = Desk::of_data_file(&data_file)?;
                let data_file = desk.open_if_possible(data_file)?;
                desk.look_at_lost(&data_file);
                let command = Command::RestoreInPlace { job, data_file, archive, logs, until, segments };
                desk.perform(job, command, self.detach)
            }
        }
    }
}

/// Restores what is asked for; `None` where it was left to whoever does it.
pub(super) fn run(job: JobId, asked: &Asked) -> Result<Option<FinishedJob>> {
    let (archive, until, logs) = (absolute(&asked.what()?.0)?, asked.until()?, asked.logs()?);
    refuse_log(&archive)?;
    if !is_data_file(&archive) {
        return asked.perform(job, &archive, logs, until);
    }
    let folders = directories()?;
    if let Some(error) = left_behind(&archive, folders.config_dir()) {
        return Err(error);
    }
    let data_file = storage::real_path(&archive);
    let data = folders.data_dir();
    let made = last_made(data, &data_file);
    let mut origin = Origin {
        settings_dir: Some(folders.config_dir().to_path_buf()),
        damaged: damaged_archives(data),
        made: made_archives(data, &data_file),
        lost: lost_pasts(data, &data_file),
        segments: asked.segments.iter().map(|path| absolute(path)).collect::<Result<_>>()?,
        log_runs: log_runs(&data_file, folders.config_dir()),
        ..Origin::of(&data_file)
    };
    let mut choice = restore::choose(&data_file, &origin, until, &logs, made.as_ref())
        .map_err(|error| missing_archives(&data_file, folders.config_dir(), error))?;
    if origin.log_runs.is_none() && choice.without.is_none() {
        // Nobody looks after it, who would say it.
        choice.without = doubt(&origin.lost, until).map(|error| error.report());
    }
    let mut job = job;
    loop {
        let mut finished = asked.perform(job, &choice.archive, choice.logs.clone(), until)?;
        if finished.as_ref().is_some_and(|finished| is_of_damage(finished, &choice.archive)) {
            // In a bad hour nobody should have to ask again for what is there.
            origin.damaged.push(choice.archive.clone());
            origin.log_runs = log_runs(&data_file, folders.config_dir());
            if let Ok(next) = restore::choose(&data_file, &origin, until, &logs, made.as_ref()) {
                remark(&format!("{} cannot be restored, and was passed by.", shown(&choice.archive)));
                (choice, job) = (next, JobId::new());
                continue;
            }
        }
        let files = choice.files.filter(|_| asked.items.is_empty() || finished.as_ref().is_some_and(has_chosen));
        tell(&mut finished, choice.without, files);
        return Ok(finished);
    }
}

/// Whether a restore failed because this archive cannot be restored, damaged or not all there; a log may be damaged as
/// well.
fn is_of_damage(finished: &FinishedJob, archive: &Path) -> bool {
    let is_lost = |kind| matches!(kind, ErrorKind::Damaged | ErrorKind::NotFound);
    let has_failed = finished.result.as_ref().is_err_and(|error| is_lost(error.kind));
    has_failed && verify::run(archive, &Control::default()).is_err_and(|error| is_lost(error.kind()))
}

/// Whether program files or attachments were restored.
fn has_chosen(finished: &FinishedJob) -> bool {
    let Ok(JobReport::Restore(report)) = &finished.result else { return false };
    let is_chosen = |file: &PathBuf| {
        let below = file.strip_prefix(&report.destination).unwrap_or(file);
        below.starts_with(ATTACHMENTS) || below.starts_with(PROGRAM)
    };
    report.files.iter().any(is_chosen)
}

/// The engine was told of the archive only, and not that a newer one was looked for.
fn tell(finished: &mut Option<FinishedJob>, without: Option<ErrorReport>, files: Option<ErrorReport>) {
    let Some(Ok(JobReport::Restore(report))) = finished.as_mut().map(|finished| &mut finished.result) else { return };
    // What is the same as the data file itself lacks nothing, whichever archive it came from.
    match (without.filter(|_| !report.is_present), files) {
        (Some(without), _) if report.lacks.is_some() => report.remarks.push(format!("{}.", without.message)),
        (Some(without), _) => report.lacks = Some(without),
        (None, Some(files)) if report.in_place.is_none() && report.lacks.is_none() => report.lacks = Some(files),
        (None, _) => {}
    }
}

/// Whether a path means a data file, that may be gone, and not an archive.
pub(super) fn is_data_file(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let is_named_so = catalog::parse_name(&name).is_some() || parse_segment_name(&name).is_some();
    !is_named_so && (!path.exists() || Archive::glance(path).is_err())
}
