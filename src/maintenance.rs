//! Care of the data file itself, while programs use it: verification of its records and indexes, and compacting.
//!
//! ```text
//! tables    how much room each table takes, and how many records it holds
//! measured  the same for whoever asks how far it is
//! slices    a data file that is read for so short a time at once that nobody waits long
//! ```

pub mod measured;
mod slices;
pub mod tables;

use std::path::{Path, PathBuf};

use chrono::{DateTime, Local};
use serde::{Deserialize, Serialize};

use crate::{
    control::Control,
    error::{Error, ErrorKind, Result},
    journal::Capture,
    sqlite::{
        check::{self, Findings, State},
        compact, data_file,
    },
};

/// What the verification of records and indexes found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecordsReport {
    /// The data file.
    pub data_file: PathBuf,
    /// When it ended.
    pub moment: DateTime<Local>,
    /// Every table and index with its state.
    pub findings: Findings,
}

impl RecordsReport {
    /// How many tables and indexes were looked at.
    pub fn count(&self) -> usize {
        self.findings.all().count() - 1
    }

    /// What is damaged, by name.
    pub fn damaged(&self) -> Vec<String> {
        self.findings.all().filter(|(_, state)| state.is_damaged()).map(|(name, _)| name).collect()
    }

    /// What could not be checked, by name.
    pub fn unknown(&self) -> Vec<String> {
        let is_unknown = |state: &State| matches!(state, State::Unknown(_));
        self.findings.all().filter(|(_, state)| is_unknown(state)).map(|(name, _)| name).collect()
    }

    /// What the administrator must know.
    pub fn problem(&self) -> Option<Error> {
        let damaged = self.damaged();
        let what = match damaged.as_slice() {
            [] => return self.not_checked(),
            [one] => format!("{one} is"),
            [first, rest @ ..] => format!("{first} and {} more are", rest.len()),
        };
        let hint = if damaged.iter().all(|name| name.starts_with("index ")) {
            "Only indexes are concerned: the command REINDEX of SQLite makes them again from the records, which are \
             whole. Check the disk."
        } else {
            "Restore the data file in place from the last archive that was made before the damage, with its logs; what \
             is in it now is kept. Check the disk."
        };
        Some(Error::new(ErrorKind::Damaged, format!("{}: {what} damaged", self.data_file.display())).hint(hint))
    }

    /// What was not looked at is not sound: it is not known.
    fn not_checked(&self) -> Option<Error> {
        let mut unknown = self.findings.all().filter_map(|(name, state)| match state {
            State::Unknown(why) => Some((name, why)),
            _ => None,
        });
        let (first, why) = unknown.next()?;
        let what = match unknown.count() {
            0 => first,
            more => format!("{first} and {more} more"),
        };
        let file = self.data_file.display();
        let message = format!("{file}: {what} could not be checked: {why}; nothing else was found damaged");
        Some(Error::new(ErrorKind::Partial, message).hint(
            "It may need an extension that only the application has: have the application run PRAGMA integrity_check. \
             The report names everything that was not checked.",
        ))
    }

    /// The state of everything, as lines of text that can be kept.
    pub fn in_words(&self) -> String {
        let line = |(name, state): (String, &State)| match state {
            State::Sound => format!("sound        {name}"),
            State::Problems(lines) => {
                format!("DAMAGED      {name}\n               {}", lines.join("\n               "))
            }
            State::Unknown(why) => format!("not checked  {name}: {why}"),
        };
        let lines: Vec<String> = self.findings.all().map(line).collect();
        let moment = self.moment.format("%Y-%m-%d %H:%M:%S %:z");
        format!("{}, verified until {moment}\n{}", self.data_file.display(), lines.join("\n"))
    }
}

/// Checks every record and index of the data file, which programs may use meanwhile.
///
/// # Errors
/// `Busy` where a program keeps it locked, `Stopped`, and a file that cannot be opened; damage is part of the report.
pub fn verify_records(data_file: &Path, control: &Control) -> Result<RecordsReport> {
    let findings = check::check(data_file, control)?;
    Ok(RecordsReport { data_file: data_file.to_path_buf(), moment: control.clock().local(), findings })
}

/// What compacting achieved.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CompactReport {
    /// The data file.
    pub data_file: PathBuf,
    /// Its length before, in bytes.
    pub before_bytes: u64,
    /// Its length now. On the disk it becomes as short once nothing of it waits in the WAL any more.
    pub after_bytes: u64,
    /// How long writers were kept out, in milliseconds.
    pub held_ms: u64,
    /// Why the content could not be checked before it took the place of the other, where SQLite could not.
    #[serde(default)]
    pub not_checked: Option<String>,
}

impl CompactReport {
    /// How many bytes became free.
    pub fn freed_bytes(&self) -> u64 {
        self.before_bytes.saturating_sub(self.after_bytes)
    }

    /// Whether the copy was checked before it was put in place, as a whole sentence.
    pub fn check_in_words(&self) -> String {
        match &self.not_checked {
            None => "The copy was checked before.".to_owned(),
            Some(why) => format!("The copy could NOT BE CHECKED before: {why}."),
        }
    }
}

/// Compacts the data file, which no other program may have open; `log` is its log, which records that like any commit.
///
/// # Errors
/// Those of [`compact::compact`]. The data file is then as it was.
pub fn compact(data_file: &Path, log: Option<&Capture>, control: &Control) -> Result<CompactReport> {
    let facts = data_file::identify(data_file)?;
    let (written, not_checked) = compact::compact(data_file, &facts, control)?;
    match log {
        // It is committed, whatever the log says now; its trouble is shown where it belongs.
        Some(log) => _ = log.flush(),
        None => compact::settle(data_file),
    }
    let size = u64::from(facts.page_size);
    Ok(CompactReport {
        data_file: data_file.to_path_buf(),
        before_bytes: u64::from(facts.page_count) * size,
        after_bytes: u64::from(written.pages) * size,
        held_ms: written.held_ms,
        not_checked,
    })
}
