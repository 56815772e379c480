//! `strongroom commits`: what a log holds; and `strongroom verify` of a log.

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
};

use chrono::{DateTime, Local, Utc};

use super::{complain, desk::absolute, filters::foreign_path, places::directories, print, print_json, remark};
use crate::{
    archive::keys::{Key, PublicKey},
    control::Control,
    error::{Error, ErrorKind, Result, shell::quoted},
    journal::{
        commits_in_words,
        format::RecordKind,
        index::{self, Indexed, Listed},
        look::{self, LogProof},
        plan::Look,
        reader::{End, LogReader},
    },
    storage::space::human_bytes,
    verify::{self, VerifyOptions},
};

/// Whether a path means a log, by its name.
pub(super) fn is_log(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy().to_lowercase();
    name.ends_with(".4bl") || name.contains(".journal")
}

/// Lists the commits of a log, or those that wrote `page`.
pub(super) fn list(log: &Path, page: Option<u32>, json: bool) -> Result<ExitCode> {
    let log = absolute(log)?;
    let (mut reader, control) = (LogReader::open(&log)?, Control::default());
    let mut count = 0u64;
    let mut show = |listed: Listed| {
        count += 1;
        if json { print_json(&listed) } else { print(&line(&listed)) }
    };
    let source = match page {
        Some(page) => look::writers_of(page, &mut reader, &control, &mut show)?,
        None => index::each(&mut reader, Look::Indexes, &control, &mut show)?,
    };
    if count == 0 && !json {
        print("No commits.")?;
    }
    let verify = format!("strongroom verify {}", quoted(&log));
    if source == Look::Indexes {
        remark(&format!("This is what the index of the log says. Whether every commit is there and sound: {verify}"));
        return Ok(ExitCode::SUCCESS);
    }
    // Also one that is written at this moment ends so.
    if !matches!(reader.end(), End::Whole) {
        remark(&format!("The log does not end with a whole commit. What is the matter: {verify}"));
        return Ok(ExitCode::FAILURE);
    }
    match verify::log::cut_off(&log, directories()?.config_dir(), &control)? {
        Some(error) => Err(error),
        None => Ok(ExitCode::SUCCESS),
    }
}

fn shown(time: DateTime<Utc>) -> String {
    time.with_timezone(&Local).format("%Y-%m-%d %H:%M:%S%.3f %:z").to_string()
}

fn line(listed: &Listed) -> String {
    let kind = match listed.kind {
        RecordKind::Commit => "",
        RecordKind::CatchUp => "  nobody watched: all that changed since the one before",
        RecordKind::Gap => "  nobody watched: what changed is not known",
    };
    format!("{:>9}  {}  {} pages{kind}", listed.commit, shown(listed.wall), listed.page_count)
}

/// Checks every byte of a log, and whose it is; `of_archive` is whether something was asked for that only archives
/// have.
pub(super) fn verify(
    log: &Path,
    archives: &[PathBuf],
    signed_by: Option<&Path>,
    of_archive: bool,
    json: bool,
) -> Result<ExitCode> {
    let log = absolute(log)?;
    if of_archive {
        let message = format!("{} is a log: --test-restore and --segments are for archives", foreign_path(&log));
        return Err(Error::new(ErrorKind::Refused, message).hint(
            "A test restore begins at an archive, and integrates the logs that go on from it: strongroom verify \
             ARCHIVE --test-restore.",
        ));
    }
    let own = directories()?.config_dir().to_path_buf();
    let options = VerifyOptions {
        // A key that others could read makes nothing genuine.
        known: Key::known(&own).ok().flatten().map(|key| key.public()).into_iter().collect(),
        required: signed_by.map(PublicKey::read).transpose()?,
        segments: archives.iter().map(|folder| absolute(folder)).collect::<Result<_>>()?,
    };
    let report = verify::log::run(&log, &own, &options, &Control::default())?;
    if json {
        print_json(&report)?
    } else {
        print(&format!("{}\n{}", in_words(&report.proof), report.signed_in_words()))?
    }
    Ok(match report.problem() {
        Some(problem) => {
            complain(&problem.report());
            ExitCode::FAILURE
        }
        None => ExitCode::SUCCESS,
    })
}

fn in_words(proof: &LogProof) -> String {
    let log = crate::error::foreign::shown(&proof.log);
    let base = match (proof.archive, proof.rooted) {
        (0, _) => "from no full backup on".to_owned(),
        (number, true) => format!("from full backup {number:04} on"),
        (number, false) => format!("begun after full backup {number:04}, not at it"),
    };
    let commits = match (proof.commits, proof.times) {
        (Some((first, last)), Some((from, to))) => {
            let count = commits_in_words(last - first + 1);
            format!("{count}, {first} to {last}, of {} to {}", shown(from), shown(to))
        }
        // Nothing was proven then.
        _ => return format!("{log}, {base}: no commits ({} read).", human_bytes(proof.bytes)),
    };
    let index = match proof.index {
        Indexed::Not => "",
        Indexed::Sound if proof.damaged_at.is_none() => "\nIts index says the same.",
        Indexed::Sound => "\nIts index is sound.",
        Indexed::Damaged => "\nIts index is damaged.",
    };
    let read = if proof.damaged_at.is_none() { "read" } else { "long, read up to the damage" };
    format!("{log}, {base}: {commits}, proven by their chain ({} {read}).{index}", human_bytes(proof.bytes))
}
