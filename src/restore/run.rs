//! Carrying out a restore: everything is written aside, checked, and only then put into its place.

use std::{
    fs,
    path::{Path, PathBuf},
    time::Instant,
};

use super::{
    LedTo, Logs, RestoreOptions, RestoreReport, extract, known,
    logs::{Planned, plan_logs},
    open,
    placed::{Placed, owners_not_given, refuse_target},
    reach, selection, settings_out,
};
use crate::{
    archive::{
        Archive, Item, ItemKind,
        heal::{self, Repaired},
        log_recovery,
        not_whole::NotWhole,
        original::in_text,
        reader::safe_name,
    },
    control::{Control, Phase},
    error::{Error, ErrorKind, Result},
    journal::{
        aside::is_set_aside,
        integrate::{self, Integrated, Look, PlanEnd, Until},
        reader::LogReader,
    },
    sqlite::integrity,
    storage::{
        self, Storage,
        beneath::Folder,
        scratch::{self, Scratch},
        space::require_space,
    },
};

/// So many files and links are named in a report; all are counted.
const FILES_MAX: usize = 1000;
const LINKS_MAX: usize = 100;

/// Restores items of `archive`, and integrates the logs that continue it.
///
/// # Errors
/// Damage, an existing target, no space, `Stopped`. Then no restored file is left behind.
pub fn run(
    storage: &dyn Storage,
    archive: &Path,
    options: &RestoreOptions,
    control: &Control,
) -> Result<RestoreReport> {
    run_into(storage, archive, options, None, control)
}

/// As [`run`], into a folder that is held open, where whoever calls it has one.
pub(super) fn run_into(
    storage: &dyn Storage,
    archive: &Path,
    options: &RestoreOptions,
    held: Option<&Folder>,
    control: &Control,
) -> Result<RestoreReport> {
    control.phase(Phase::Preparing, 0);
    let (opened, mut repaired) = open(archive, &options.segments, control)?;
    let mut outcome = run_opened(storage, &opened, options, held, control);
    if let Err(error) = &outcome
        && matches!(error.kind(), ErrorKind::Damaged | ErrorKind::Io)
        && repaired.is_none()
    {
        // Damage that shows only while its bytes are read: from the beginning again, with what recovery data there is.
        let again = Error::new(error.kind(), error.message()).hint(error.hint_text().unwrap_or_default());
        if let Ok((healed, found)) = heal::heal(archive, &options.segments, again, control) {
            outcome = run_opened(storage, &healed, options, held, control);
            repaired = Some(found);
            if outcome.is_err() {
                return outcome.map_err(|error| explain(error, archive, &healed, repaired.as_ref(), control));
            }
        }
    }
    let mut report = outcome.map_err(|error| explain(error, archive, &opened, repaired.as_ref(), control))?;
    report.repaired = repaired;
    Ok(report)
}

/// Of an archive that has lost too much, says which items are still whole.
fn explain(error: Error, path: &Path, archive: &Archive, repaired: Option<&Repaired>, control: &Control) -> Error {
    match repaired {
        Some(repaired) if error.kind() == ErrorKind::Damaged && !repaired.damage.is_repaired() => {
            match archive.whole_items(control) {
                Ok(whole) => heal::beyond_repair(path, repaired, &whole),
                Err(_) => error,
            }
        }
        _ => error,
    }
}

fn run_opened(
    storage: &dyn Storage,
    opened: &Archive,
    options: &RestoreOptions,
    held: Option<&Folder>,
    control: &Control,
) -> Result<RestoreReport> {
    let items = selection::select(opened, &options.items)?;
    let destination =
        std::path::absolute(&options.destination).map_err(|e| Error::io("find", &options.destination, e))?;
    if let Logs::Also(files) = &options.logs {
        for file in files.iter().filter(|file| !log_recovery::companion(file).is_file()) {
            LogReader::open(file)?;
        }
    }
    let planned = plan_logs(opened, &options.logs, &options.origin, Look::Records, control)?;
    let connected = planned.as_ref().and_then(Planned::connected);
    let log = planned.as_ref().and_then(Planned::plan).or(connected.filter(|_| options.until != Until::End));
    reach::require(opened, planned.as_ref(), options.until)?;
    // Only whoever asks knows which of two pasts is meant.
    let wants_data = items.iter().any(|item| item.kind == ItemKind::DataFile);
    let known = planned.as_ref().map(|planned| &planned.known).filter(|_| wants_data);
    if let Some(question) = known.and_then(|known| known.question(options.until)) {
        return Err(question);
    }
    if destination.symlink_metadata().is_ok() {
        let folder = Folder::open(&destination)?;
        items.iter().try_for_each(|item| refuse_target(&folder, item))?;
    }
    // A log says how long the data file becomes; one that says more than fits is refused before anything is written.
    let grows = |item: &Item| log.filter(|_| item.kind == ItemKind::DataFile).map_or(0, |plan| plan.longest);
    require_space(&destination, items.iter().map(|i| i.length.max(grows(i))).sum())?;
    let created = make_folders(&destination)?;
    scratch::remove_leftovers(&destination);
    // From here on the destination is the folder that is held now, whatever takes its name.
    let opened_here = if held.is_none() { Folder::open(&destination).map(Some) } else { Ok(None) };
    let begun = opened_here.and_then(|folder| {
        let scratch = Scratch::inside(folder.as_ref().or(held).ok_or_else(Error::stopped)?)?;
        Ok((folder, scratch))
    });
    // The data file is compared as it is after this moment.
    let looked_at = control.clock().now();
    // Everything is written aside first, so that a crash or damage leaves nothing that looks restored.
    let (scratch, outcome) = match begun {
        Ok((folder, scratch)) => {
            let live: &[PathBuf] = match &planned {
                Some(planned) if options.until == Until::End && planned.known.is_open() => &planned.data_files,
                _ => &[],
            };
            let log = log.map(|plan| (plan, options.until));
            let outcome = folder.as_ref().or(held).ok_or_else(Error::stopped).and_then(|folder| {
                restore_into(storage, opened, &items, (scratch.folder(), folder), (log, live), control)
            });
            (Some(scratch), outcome)
        }
        Err(error) => (None, Err(error)),
    };
    let failed = outcome.is_err();
    storage::clean_up(move || {
        drop(scratch);
        // Only what we made and is still empty.
        for folder in created.iter().rev().filter(|_| failed) {
            let _ = fs::remove_dir(folder);
        }
    });
    let (mut report, level) = outcome?;
    if let Some(mut planned) = planned {
        planned.known.compared(level, looked_at);
        let done = report.integrated.as_ref();
        let led = LedTo { commit: done.map(|done| done.position.commit), next: done.and_then(|done| done.next) };
        // Of an archive without its data file, the logs are of no concern.
        if report.integrity.is_some() {
            report.lacks = planned.known.lacks(options.until, led).map(|error| error.report());
            report.is_present = options.until == Until::End && report.lacks.is_none() && planned.known.goes_on();
            report.remarks.extend(planned.known.remarks(options.until, led));
            report.unused = planned.known.unused.iter().filter(|unused| !is_set_aside(&unused.path)).cloned().collect();
        }
        report.repaired_logs = planned.repaired;
    }
    report.not_whole = NotWhole::as_far_as_known(opened, &options.items, &Control::default())?;
    if held.is_none() {
        report.remarks.extend(owners_not_given(&items));
    }
    if report.integrated.as_ref().is_some_and(|done| done.commits > 0) && items.iter().any(|item| item.kind.is_chosen())
    {
        let moment = opened.identity().moment.format("%Y-%m-%d %H:%M:%S %:z");
        report.remarks.push(format!(
            "Program files and attachments are as the archive holds them, of {moment}: the log leads on for the data \
             file alone."
        ));
    }
    Ok(report)
}

/// Makes the folder and those above it; returns the ones that did not exist.
pub(super) fn make_folders(destination: &Path) -> Result<Vec<PathBuf>> {
    let missing: Vec<PathBuf> =
        destination.ancestors().take_while(|p| p.symlink_metadata().is_err()).map(Path::to_path_buf).collect();
    storage::make_folders(destination)?;
    Ok(missing.into_iter().rev().collect())
}

fn restore_into(
    storage: &dyn Storage,
    archive: &Archive,
    items: &[Item],
    (scratch, destination): (&Folder, &Folder),
    (log, live): (Option<(&integrate::Plan, Until)>, &[PathBuf]),
    control: &Control,
) -> Result<(RestoreReport, Option<PathBuf>)> {
    let begun = Instant::now();
    control.phase(Phase::Restoring, items.iter().map(|i| i.length).sum());
    extract::extract(storage, archive, items, scratch, control)?;
    let remarks = settings_out::without_program(items, scratch)?;
    let mut integrated = None;
    if let (Some((plan, until)), Some(item)) = (log, items.iter().find(|i| i.kind == ItemKind::DataFile)) {
        let name = safe_name(&item.name)?;
        let target = (scratch.open_file(&name, true)?, scratch.path().join(&name));
        integrated = Some(integrate::integrate_into(target, plan, until, control)?);
    }
    let restoring_ms = begun.elapsed().as_millis() as u64;
    let mut integrity = None;
    if let Some(item) = items.iter().find(|i| i.kind == ItemKind::DataFile) {
        control.phase(Phase::Checking, 0);
        let name = safe_name(&item.name)?;
        let path = scratch.path().join(&name);
        let checked = integrity::check(&path, control)?;
        // SQLite opens it by its path: what that leads to now must be what was written.
        if !scratch.is_at_its_path(&name) {
            let message = format!("{} was replaced while it was checked", path.display());
            return Err(Error::new(ErrorKind::Replaced, message)
                .hint("Somebody else can write that folder. Restore into one that only you can write."));
        }
        integrity = Some(checked);
    }
    // What was recorded may be all there is: the data file itself tells, where it is still there.
    let mut level = None;
    if let Some(item) = items.iter().find(|i| i.kind == ItemKind::DataFile) {
        let restored = scratch.path().join(safe_name(&item.name)?);
        for data_file in live {
            if level.is_none() && known::is_same(data_file, &restored, control)? {
                level = Some(data_file.clone());
            }
        }
    }
    let checking_ms = begun.elapsed().as_millis() as u64 - restoring_ms;
    control.phase(Phase::Finishing, 0);
    control.check()?;
    let mut placed = Placed::new(destination);
    placed.place_all(storage, items, scratch)?;
    // A limit that was reached before the damage makes it of no concern.
    let reached = |done: &Integrated, until| match until {
        Until::Commit(number) => done.position.commit == number,
        _ => done.next.is_some(),
    };
    let log_end = log.zip(integrated.as_ref()).and_then(|((plan, until), done)| {
        let concerns = matches!(plan.end, PlanEnd::Damaged { .. } | PlanEnd::Gap { .. }) && !reached(done, until);
        concerns.then(|| plan.end.clone())
    });
    let identity = archive.identity();
    let report = RestoreReport {
        log_end,
        archive: archive.path().to_path_buf(),
        number: identity.number,
        moment: identity.moment,
        destination: destination.path().to_path_buf(),
        file_count: placed.files.len() as u64,
        files: placed.files.iter().take(FILES_MAX).map(|name| destination.path().join(in_text(name))).collect(),
        links_left: placed.links_left.into_iter().take(LINKS_MAX).collect(),
        bytes: items.iter().map(|i| i.length).sum(),
        integrated,
        lacks: None,
        not_whole: None,
        remarks,
        unused: Vec::new(),
        integrity,
        repaired: None,
        repaired_logs: Vec::new(),
        is_present: false,
        in_place: None,
        restoring_ms,
        checking_ms,
    };
    Ok((report, level))
}
