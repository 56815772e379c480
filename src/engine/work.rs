//! What each kind of job does on its thread.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use crossbeam_channel::Sender;

use super::{
    config::Config,
    data_file::lock::DataFileLock,
    found::{self, Archives},
    history::Looked,
    in_care::{InCare, RESTORE_WAIT, with_running},
    job::Work,
    message::Message,
    rights,
    settings_in_force::InForce,
    status::JobReport,
};
use crate::{
    archive::{Archive, keys::Key},
    backup::{self, marks, places::Purpose, soundness::Finding},
    control::Control,
    drill,
    error::{Error, ErrorKind, Result},
    journal::{Capture, Position, integrate::Until},
    repair::{self, RepairOptions},
    restore::{
        self, Logs, Origin, RestoreOptions, RestoreReport,
        in_place::{self, InPlaceOptions, Undo},
    },
    sample,
    settings::{Settings, SettingsFile},
    sqlite::data_file,
    storage::Disk,
    verify::{self, VerifyOptions},
};

/// `work`, which writes at `place`, where this engine may do that.
pub(super) fn where_allowed(place: PathBuf, config: &Config, work: Work) -> Work {
    let as_root = config.as_root;
    Box::new(move |control| {
        rights::require(&place, as_root)?;
        work(control)
    })
}

/// Tells what was found of an archive, before the job ends.
fn tell(messages: &Sender<Message>, looked: Option<Looked>) {
    // When the engine has ended meanwhile, nobody wants to know.
    looked.into_iter().for_each(|looked| _ = messages.send(Message::Looked(looked)));
}

pub(super) fn restore(
    archive: PathBuf,
    mut options: RestoreOptions,
    in_care: InCare,
    messages: Sender<Message>,
) -> Work {
    Box::new(move |control| {
        let (log, origin) = in_care.of(&archive, &options.segments, RESTORE_WAIT);
        let given = options.logs.clone();
        (options.logs, options.origin) = with_running(options.logs, log.as_deref(), origin);
        let outcome = restore::run(&Disk, &archive, &options, control);
        let of = Archives { archive: &archive, segments: &options.segments, now: control.clock().local() };
        tell(&messages, of.restored(&outcome, &given));
        outcome.map(JobReport::Restore)
    })
}

/// What a restore in place is asked to do.
pub(super) struct InPlaceOrder {
    pub(super) archive: PathBuf,
    /// Folders that may hold segments of it, besides its own.
    pub(super) segments: Vec<PathBuf>,
    pub(super) logs: Logs,
    pub(super) until: Until,
    /// The settings that were in force until the data file was lost.
    pub(super) known: Option<SettingsFile>,
    /// The commit after which alone it may be done: when programs have committed since, nothing is changed.
    pub(super) only_after: Option<u64>,
}

/// `log` is the running log of the data file, and `is_open` whether the engine looks after it.
pub(super) fn restore_in_place(
    data_file: &Path,
    (is_open, log): (bool, Option<Arc<Capture>>),
    config: &Config,
    order: InPlaceOrder,
    messages: Sender<Message>,
) -> Work {
    let (data_file, config) = (data_file.to_path_buf(), config.clone());
    Box::new(move |control| {
        if is_open && data_file::identify(&data_file).is_err_and(|e| in_place::is_lost(e.kind())) {
            let message = format!("{} cannot be opened any more", data_file.display());
            return Err(Error::new(ErrorKind::Busy, message).hint("Refresh the view (F5), then restore it again."));
        }
        let made = if is_open { Vec::new() } else { in_place::make_folder(&data_file)? };
        let outcome = restore_locked(&data_file, (is_open, log.as_deref()), &config, &order, control);
        let of = Archives { archive: &order.archive, segments: &order.segments, now: control.clock().local() };
        tell(&messages, of.restored(&outcome, &order.logs));
        // Only what we made and is still empty.
        made.iter().rev().filter(|_| outcome.is_err()).for_each(|folder| _ = std::fs::remove_dir(folder));
        outcome.map(JobReport::Restore)
    })
}

fn restore_locked(
    data_file: &Path,
    (is_open, log): (bool, Option<&Capture>),
    config: &Config,
    order: &InPlaceOrder,
    control: &Control,
) -> Result<RestoreReport> {
    let own = &config.settings_dir;
    // One that is not open here is in the care of nobody meanwhile.
    let _lock = if is_open { None } else { Some(DataFileLock::take(data_file, config)?) };
    let known = order.known.as_ref().filter(|known| !known.is_blank());
    let read = SettingsFile::load(data_file, own);
    // Of one that is lost it could not be noted what is restored: its log, which may hold more, would bring that back.
    let is_lost = || data_file::identify(data_file).is_err();
    // A mistake in them bars the way back for nobody else.
    let settings = match known {
        _ if read.is_err() && is_lost() => read?,
        Some(known) => {
            let read = SettingsFile::load_meant(data_file, own, known);
            read.and_then(|read| read.going_on_from(known)).unwrap_or_else(|_| known.last_good())
        }
        None => InForce::for_reading(data_file, own, &config.data_dir)?.0,
    };
    let identity = settings.settings().data_file_id.or(known.and_then(|known| known.settings().data_file_id));
    let origin = Origin { settings_dir: Some(own.clone()), ..Origin::of(data_file) };
    let (logs, origin) = with_running(order.logs.clone(), log, origin);
    let segments = order.segments.clone();
    let asked = InPlaceOptions::asked(data_file, identity, logs, order.until);
    let options = InPlaceOptions { segments, origin, settings: known.map(SettingsFile::text), ..asked };
    run_in_place(order, &options, settings, own, log, control)
}

/// What a restore in place takes away is kept by the log; or else by a full backup, made while writers are kept out.
fn run_in_place(
    order: &InPlaceOrder,
    options: &InPlaceOptions,
    mut settings: SettingsFile,
    own: &Path,
    log: Option<&Capture>,
    control: &Control,
) -> Result<RestoreReport> {
    let data_file = &options.data_file;
    let folder = backup::destination(data_file, &settings);
    let newest = backup::archives(data_file, settings.settings())
        .unwrap_or_default()
        .into_iter()
        .find(|a| a.is_of(settings.settings().data_file_id) && a.problem.is_none());
    let kept = match (log, newest) {
        (Some(log), Some(newest)) => {
            in_place::is_kept_by_log(log, &newest.path, control).unwrap_or(false).then_some(newest)
        }
        _ => None,
    };
    let mut keep = |position: Option<Position>| match (&kept, position) {
        (_, now) if order.only_after.is_some() && now.map(|now| now.commit) != order.only_after => {
            let message = format!("programs have committed to {} meanwhile", data_file.display());
            Err(Error::new(ErrorKind::Busy, message).hint("Look at it, then restore it in place by hand."))
        }
        (Some(archive), Some(now)) => {
            let (archive, archive_id) = (archive.path.clone(), archive.archive_id);
            Ok(Some(Undo { archive, archive_id, commit: Some(now.commit), position }))
        }
        _ => {
            let options = settings.settings().archive;
            // Programs that write are kept out meanwhile: SQLite is not asked what the file holds.
            let ask = (None, false);
            let made = backup::run_asking(&Disk, data_file, &mut settings, own, &folder, log, options, ask, control)?;
            let archive_id = Archive::glance(&made.archive).ok().map(|identity| identity.archive_id);
            Ok(Some(Undo { archive: made.archive, archive_id, commit: None, position: None }))
        }
    };
    in_place::in_place(&Disk, &order.archive, options, log, &mut keep, control)
}

pub(super) fn verify(archive: PathBuf, mut options: VerifyOptions, own: PathBuf, messages: Sender<Message>) -> Work {
    Box::new(move |control| {
        // A key that others could read makes nothing genuine.
        options.known.extend(Key::known(&own).ok().flatten().map(|key| key.public()));
        let outcome = verify::run_with(&archive, &options, control);
        let of = Archives { archive: &archive, segments: &options.segments, now: control.clock().local() };
        tell(&messages, of.verified(&outcome));
        outcome.map(JobReport::Verify)
    })
}

pub(super) fn repair(archive: PathBuf, to: Option<PathBuf>, segments: Vec<PathBuf>, messages: Sender<Message>) -> Work {
    let options = RepairOptions { to, segments };
    Box::new(move |control| {
        let outcome = repair::run(&Disk, &archive, &options, control);
        let of = Archives { archive: &archive, segments: &options.segments, now: control.clock().local() };
        tell(&messages, of.repair(&outcome));
        outcome.map(JobReport::Repair)
    })
}

pub(super) fn test_restore(
    (archive, segments): (PathBuf, Vec<PathBuf>),
    until: Until,
    logs: Logs,
    scratch: PathBuf,
    in_care: Option<InCare>,
    messages: Sender<Message>,
) -> Work {
    Box::new(move |control| {
        let log = in_care.and_then(|in_care| in_care.of(&archive, &segments, RESTORE_WAIT).0);
        let (logs, _) = with_running(logs, log.as_deref(), Origin::default());
        let mut note = |finding: Finding| tell(&messages, Some(found::unproven(finding)));
        let of = (archive.as_path(), segments.as_slice());
        let proof = drill::examine(of, logs, until, &scratch, &mut note, control)?;
        tell(&messages, Some(found::proven(&proof, &segments)));
        Ok(JobReport::TestRestore(proof))
    })
}

/// The test of an archive that was made just now. Where it cannot be made because the archive or its disk is gone
/// meanwhile, that is told, and nothing is said against the archive.
pub(super) fn test_new(data_file: &Path, archive: PathBuf, settings: SettingsFile, test: Work) -> Work {
    let data_file = data_file.to_path_buf();
    Box::new(move |control| {
        test(control).map_err(|error| {
            let is_gone = matches!(archive.symlink_metadata(), Err(e) if e.kind() == std::io::ErrorKind::NotFound);
            let place = marks::look(&data_file, settings.settings(), Purpose::Archives);
            match place {
                // One made in another folder has nothing to do with it.
                Err(missing) if is_gone => missing,
                _ if is_gone => Error::new(ErrorKind::Changed, format!("{} is not there any more", archive.display()))
                    .hint("It is not tested. What was deleted or moved is said by the status of the data file."),
                _ => error,
            }
        })
    })
}

pub(super) fn drill(
    data_file: &Path,
    settings: &Settings,
    seed: u64,
    scratch: PathBuf,
    log: Option<Arc<Capture>>,
    messages: Sender<Message>,
) -> Work {
    let (data_file, settings) = (data_file.to_path_buf(), settings.clone());
    Box::new(move |control| {
        // A test of an archive of another data file in the same folder would prove nothing of this one.
        let mut archives = backup::archives(&data_file, &settings)?;
        archives.retain(|archive| archive.data_file_id.is_none() || archive.is_of(settings.data_file_id));
        let (logs, _) = with_running(Logs::Found, log.as_deref(), Origin::default());
        let mut note = |finding: Finding| tell(&messages, Some(found::unproven(finding)));
        let proof = drill::drill(&archives, &logs, seed, &scratch, &mut note, control)?;
        tell(&messages, Some(found::proven(&proof, &[])));
        Ok(JobReport::TestRestore(proof))
    })
}

pub(super) fn sample(folder: PathBuf) -> Work {
    Box::new(move |control| {
        let path = sample::create(&folder, control)?;
        let bytes = path.metadata().map_or(0, |m| m.len());
        Ok(JobReport::Sample { path, bytes })
    })
}
