//! Restore: files of an archive into a folder, proven, checked, and never over anything that exists.

pub mod automatic;
mod choose;
mod earlier;
mod extract;
pub mod in_place;
mod known;
mod lacks;
mod logs;
pub mod lost_past;
mod moment;
mod newer;
mod other_past;
mod placed;
mod places;
mod reach;
mod report;
mod run;
mod selection;
mod settings_back;
mod settings_out;
pub mod state;
pub mod timeline;
pub mod trail;
mod uncertain;
pub mod undo;

use std::path::{Path, PathBuf};

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

pub use self::{
    choose::{Choice, Made, Sibling, choose, choose_looking, made_of_it},
    known::{Ends, Known, is_written},
    lacks::LedTo,
    moment::{Moment, parse_moment},
    places::Origin,
    report::{RestoreReport, repaired_log, repaired_log_in_words},
    run::run,
    settings_back::{SettingsBack, put_settings_back, settings_in},
};
use self::{
    logs::{Planned, plan_logs},
    run::{make_folders, run_into},
};
use crate::{
    archive::{
        Archive, Identity, Item,
        heal::{self, Repaired},
        not_whole::NotWhole,
        segments::parse_segment_name,
    },
    control::Control,
    error::Result,
    journal::integrate::{self, Look, Until},
};

/// What an archive offers for a restore.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RestorePlan {
    /// What the archive says of itself.
    pub identity: Identity,
    /// Its files; of program files and attachments only what was chosen, each with the length of all that is in it.
    pub items: Vec<Item>,
    /// Length of the archive in bytes.
    pub bytes: u64,
    /// The folder proposed: named like the archive, beside it, not existing yet.
    pub destination: PathBuf,
    /// What is damaged in the archive, and will be repaired on the fly.
    #[serde(default)]
    pub repaired: Option<Repaired>,
    /// What was chosen for it and is not in it, or not whole.
    #[serde(default)]
    pub not_whole: Option<NotWhole>,
    /// What the logs at hand would add; `None` when the archive was made without a log or no log continues it.
    pub log: Option<integrate::Plan>,
    /// What is known of the commits after it; `None` when no log was asked for.
    #[serde(default)]
    pub known: Option<Known>,
    /// The archives of the same data file that are at hand, the newest first.
    #[serde(default)]
    pub siblings: Vec<Sibling>,
}

impl RestorePlan {
    /// The newest archive at hand whose state is not after `moment`.
    pub fn before(&self, moment: DateTime<Utc>) -> Option<&Sibling> {
        self.siblings.iter().find(|sibling| sibling.moment <= moment)
    }
}

/// Which logs to integrate after the restore.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Logs {
    /// All that continue the archive: found beside it, where settings say, and beside the data file.
    #[default]
    Found,
    /// These and those found.
    Also(Vec<PathBuf>),
    /// None: the state of the archive itself.
    None,
}

/// What to restore, and how far.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RestoreOptions {
    /// Names of the items, or of folders above them; empty for all.
    pub items: Vec<String>,
    /// The folder that the files land in.
    pub destination: PathBuf,
    /// The logs to integrate.
    pub logs: Logs,
    /// How far to integrate them.
    pub until: Until,
    /// Folders that may hold segments of the archive, besides its own.
    pub segments: Vec<PathBuf>,
    /// What is known of where the data file is.
    pub origin: Origin,
}

impl RestoreOptions {
    /// All items into `destination`, with everything that the logs at hand add.
    pub fn all(destination: &Path) -> Self {
        let destination = destination.to_path_buf();
        let (logs, until, origin) = (Logs::Found, Until::End, Origin::default());
        Self { items: Vec::new(), destination, logs, until, segments: Vec::new(), origin }
    }
}

/// Reads what `archive` offers, together with `logs`.
///
/// # Errors
/// As [`Archive::open`].
pub fn plan(archive: &Path, logs: &Logs) -> Result<RestorePlan> {
    plan_with(archive, &[], logs, &Origin::default())
}

/// As [`plan`]; segments of the archive are also found in the folders `segments`, and its logs where `origin` leads.
///
/// # Errors
/// As [`Archive::open`].
pub fn plan_with(archive: &Path, segments: &[PathBuf], logs: &Logs, origin: &Origin) -> Result<RestorePlan> {
    plan_looking(archive, segments, (logs, origin), Look::Records)
}

/// As [`plan_with`], from what `look` says.
fn plan_looking(
    archive: &Path,
    segments: &[PathBuf],
    (logs, origin): (&Logs, &Origin),
    look: Look,
) -> Result<RestorePlan> {
    let (opened, repaired) = open(archive, segments, &Control::default())?;
    let planned = plan_logs(&opened, logs, origin, look, &Control::default())?;
    Ok(RestorePlan {
        log: planned.as_ref().and_then(Planned::for_people),
        siblings: planned.as_ref().map(|planned| planned.siblings.clone()).unwrap_or_default(),
        known: planned.map(|planned| planned.known),
        not_whole: NotWhole::as_far_as_known(&opened, &[], &Control::default())?,
        repaired,
        identity: opened.identity().clone(),
        items: selection::overview(opened.items()),
        bytes: opened.bytes(),
        destination: propose_destination(archive),
    })
}

/// Finds the commit that a restore of `archive` would lead to, from what `look` says.
///
/// # Errors
/// As [`Archive::open`]; `NotFound` when no log continues the archive.
pub fn find_point(
    archive: &Path,
    segments: &[PathBuf],
    (logs, origin): (&Logs, &Origin),
    until: Until,
    look: Look,
) -> Result<integrate::Point> {
    let control = Control::default();
    let opened = open(archive, segments, &control)?.0;
    let planned = plan_logs(&opened, logs, origin, look, &control)?;
    match planned.as_ref().and_then(Planned::connected) {
        Some(plan) => integrate::resolve(plan, until, look, &control),
        None => Err(reach::no_log(&opened)),
    }
}

/// A folder named like the archive, beside it; with ` (2)`, ` (3)` … when that exists.
pub fn propose_destination(archive: &Path) -> PathBuf {
    let archive = std::path::absolute(archive).unwrap_or_else(|_| archive.to_path_buf());
    // Of an archive in segments, the set gives the name.
    let name = archive.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let plain = match parse_segment_name(&name) {
        Some((stem, number, _)) => archive.with_file_name(format!("{stem}[{number}]")),
        None => archive.with_extension(""),
    };
    let numbered = |n: u32| {
        let mut name = plain.clone().into_os_string();
        name.push(format!(" ({n})"));
        PathBuf::from(name)
    };
    std::iter::once(plain.clone())
        .chain((2..).map(numbered))
        .find(|p| p.symlink_metadata().is_err())
        .unwrap_or_else(|| plain.clone())
}

/// Opens `archive`; when it is damaged, made whole from its recovery data.
fn open(archive: &Path, segments: &[PathBuf], control: &Control) -> Result<(Archive, Option<Repaired>)> {
    match Archive::open_with(archive, segments) {
        Ok(opened) => Ok((opened, None)),
        Err(error) if heal::is_damage(&error) => {
            heal::heal(archive, segments, error, control).map(|(opened, repaired)| (opened, Some(repaired)))
        }
        Err(error) => Err(error),
    }
}
