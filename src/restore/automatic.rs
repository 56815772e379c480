//! The restore of a data file that was found damaged at opening, which nobody watches: the newest backup that can be
//! restored takes the place of the damaged file, which is kept under another name.

use super::{
    Logs, RestoreReport,
    in_place::{InPlaceOptions, in_place},
};
use crate::{
    archive::catalog::ArchiveEntry,
    control::Control,
    error::{Error, ErrorKind, Result},
    journal::{
        RecordKind,
        index::{self, Listed},
        integrate::{Look, Until},
        reader::LogReader,
    },
    storage::Storage,
};

/// So many of these places are tried.
const PLACES_MAX: usize = 3;

/// How far to integrate the logs, in the order of attempts: to their end; or, where what was restored so is damaged
/// itself, up to the newest places where the log began again after nobody had watched: the damage came then.
fn limits(logs: &Logs) -> Vec<Until> {
    let mut limits = vec![Until::End];
    let Logs::Also(files) = logs else { return limits };
    let mut places = Vec::new();
    for file in files {
        let Ok(mut reader) = LogReader::open(file) else { continue };
        let mut note = |record: Listed| {
            places.extend((record.kind != RecordKind::Commit).then(|| record.commit - 1));
            Ok(())
        };
        // What cannot be read is no place to try.
        let _ = index::each(&mut reader, Look::Indexes, &Control::default(), &mut note);
    }
    limits.extend(places.into_iter().rev().take(PLACES_MAX).map(Until::Commit));
    limits
}

/// Where a newer archive could not be restored, what it holds is not in the result, unless a log led there.
fn without_newer(mut report: RestoreReport, newer: Option<&Error>) -> RestoreReport {
    if let Some(error) = newer
        && report.lacks.is_none()
        && report.integrated.is_none()
    {
        let message = format!(
            "the newest archive could not be restored: {}; what was committed after backup {} of {} is not in the file",
            error.message(),
            report.number,
            report.moment.format("%Y-%m-%d %H:%M:%S %:z")
        );
        let hint = error.hint_text().unwrap_or("See what is left of it: strongroom verify ARCHIVE.");
        report.lacks = Some(Error::new(ErrorKind::Partial, message).hint(hint).report());
    }
    report
}

/// Restores from the first of `archives`, the newest first, that is of this data file and can be restored.
///
/// # Errors
/// Whatever stands in the way of all of them, such as a program that has the data file open, a full disk, or `Stopped`;
/// and why the newest archive cannot be restored, when none can. The data file is then as it was.
pub fn restore_damaged(
    storage: &dyn Storage,
    archives: &[ArchiveEntry],
    options: &InPlaceOptions,
    control: &Control,
) -> Result<RestoreReport> {
    use ErrorKind as K;
    let own = |archive: &&ArchiveEntry| options.identity.is_none() || archive.is_of(options.identity);
    let mut first: Option<Error> = None;
    for archive in archives.iter().filter(own) {
        for limit in limits(&options.logs) {
            let options = InPlaceOptions { until: limit, ..options.clone() };
            match in_place(storage, &archive.path, &options, None, &mut |_| Ok(None), control) {
                Ok(report) => return Ok(without_newer(report, first.as_ref())),
                Err(error) if matches!(error.kind(), K::Stopped | K::Busy | K::NoSpace | K::Permission) => {
                    return Err(error);
                }
                Err(error) => _ = first.get_or_insert(error),
            }
        }
    }
    // The damage may have been recorded in the logs, in a way that cannot be told: then the newest archive alone.
    let alone = InPlaceOptions { logs: Logs::None, ..options.clone() };
    for archive in archives.iter().filter(own).take(if options.logs == Logs::None { 0 } else { usize::MAX }) {
        if let Ok(report) = in_place(storage, &archive.path, &alone, None, &mut |_| Ok(None), control) {
            return Ok(without_newer(report, first.as_ref()));
        }
    }
    Err(first.unwrap_or_else(|| {
        let message = format!("there is no archive to restore {} from", options.data_file.display());
        Error::new(ErrorKind::NotFound, message).hint("If archives lie elsewhere, restore one of them in place.")
    }))
}
