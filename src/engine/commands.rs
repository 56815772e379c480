//! How commands are carried out.

use std::{path::PathBuf, sync::Arc};

use super::{
    backup_job::BackupJob,
    begin::DISTURBING,
    command::{Command, JobId},
    history::{Job, JobKind},
    job::Order,
    status::{DataFileStatus, Event, FinishedJob},
    work,
    worker::Worker,
};
use crate::{
    archive::ArchiveOptions,
    error::{Error, ErrorKind, Result},
    journal::integrate::Until,
    restore::{Logs, Origin, RestoreOptions},
    verify::VerifyOptions,
};

impl Worker {
    /// A command that makes no sense now. One that names a job is shown as a job that failed, so that its sender sees
    /// it.
    pub(super) fn refuse(&mut self, job: Option<(JobId, JobKind)>, error: &Error) {
        if let Some((id, kind)) = job {
            let result = Err(error.report());
            let job = Job { id, kind, data_file: None, automatic: false, started: self.now() };
            let finished = FinishedJob { job, duration_ms: 0, result };
            self.keep_finished(finished);
        }
        self.news.push(Event::CommandRefused(error.report()));
    }

    pub(super) fn obey(&mut self, command: Command) -> std::result::Result<(), (Option<(JobId, JobKind)>, Error)> {
        let plain = |e| (None, e);
        match command {
            Command::OpenDataFile { path } => self.open(path),
            Command::CloseDataFile { path } => self.close(&path).map_err(plain)?,
            Command::HandOver { data_file, .. } => {
                let message = format!("{} can only be handed over by a window", data_file.display());
                return Err(plain(Error::new(ErrorKind::Refused, message).hint("Close it here, and open it there.")));
            }
            Command::Forget { path } => self.forget(&path),
            Command::SetDestination { data_file, folder } => self.set_destination(&data_file, folder).map_err(plain)?,
            Command::ChangeSettings { data_file, settings, revision, switch_to_wal } => {
                self.change_settings(&data_file, settings, &revision, switch_to_wal).map_err(plain)?;
            }
            Command::GiveOwnIdentity { data_file } => self.give_own_identity(&data_file).map_err(plain)?,
            Command::ChooseAnew { data_file, purpose } => self.choose_anew(&data_file, purpose).map_err(plain)?,
            Command::Refresh { data_file } => self.survey(&data_file),
            Command::Backup { job, data_file, destination, options } => {
                self.backup(job, data_file, destination, options).map_err(|e| (Some((job, JobKind::Backup)), e))?;
            }
            Command::RetryNow { job, data_file } => {
                self.retry_now(job, &data_file).map_err(|e| (Some((job, JobKind::Backup)), e))?;
            }
            Command::Restore { job, archive, items, destination, logs, until, segments } => {
                let (data_file, in_care) = (self.data_file_of(&archive), self.in_care(&archive));
                let place = destination.clone();
                let options = RestoreOptions { items, destination, logs, until, segments, origin: Origin::default() };
                let work = work::restore(archive.clone(), options, in_care, self.messages.clone());
                let work = work::where_allowed(place, &self.config, work);
                let started = self.start(Order::asked(job, JobKind::Restore, data_file, Some(archive)), work);
                started.map_err(|e| (Some((job, JobKind::Restore)), e))?;
            }
            Command::RestoreInPlace { job, data_file, archive, logs, until, segments } => {
                let started = self.restore_in_place(job, data_file, (archive, segments), logs, until);
                started.map_err(|e| (Some((job, JobKind::RestoreInPlace)), e))?;
            }
            Command::UndoRestore { job, data_file, of } => {
                self.undo_restore(job, data_file, of).map_err(|e| (Some((job, JobKind::RestoreInPlace)), e))?;
            }
            Command::Verify { job, archive, segments, signed_by } => {
                let data_file = self.data_file_of(&archive);
                let options = VerifyOptions { segments, required: signed_by, ..VerifyOptions::default() };
                let own = self.config.settings_dir.clone();
                let work = work::verify(archive.clone(), options, own, self.messages.clone());
                let started = self.start(Order::asked(job, JobKind::Verify, data_file, Some(archive)), work);
                started.map_err(|e| (Some((job, JobKind::Verify)), e))?;
            }
            Command::Repair { job, archive, to, segments } => {
                let data_file = self.data_file_of(&archive);
                let place = to.clone().unwrap_or_else(|| archive.clone());
                let work = work::repair(archive.clone(), to, segments, self.messages.clone());
                let work = work::where_allowed(place, &self.config, work);
                let started = self.start(Order::asked(job, JobKind::Repair, data_file, Some(archive)), work);
                started.map_err(|e| (Some((job, JobKind::Repair)), e))?;
            }
            Command::TestRestore { job, archive, until, segments } => {
                let (data_file, in_care) = (self.data_file_of(&archive), Some(self.in_care(&archive)));
                let (scratch, messages) = (self.config.data_dir.clone(), self.messages.clone());
                let of = (archive.clone(), segments);
                let work = work::test_restore(of, until, Logs::Found, scratch, in_care, messages);
                let started = self.start(Order::asked(job, JobKind::TestRestore, data_file, Some(archive)), work);
                started.map_err(|e| (Some((job, JobKind::TestRestore)), e))?;
            }
            Command::Drill { job, data_file, seed } => {
                self.drill(job, data_file, seed).map_err(|e| (Some((job, JobKind::TestRestore)), e))?;
            }
            Command::VerifyRecords { job, data_file } => {
                self.verify_records(job, data_file).map_err(|e| (Some((job, JobKind::VerifyRecords)), e))?;
            }
            Command::Compact { job, data_file } => {
                self.compact(job, data_file).map_err(|e| (Some((job, JobKind::Compact)), e))?;
            }
            Command::Recover { job, data_file, to, with_deleted } => {
                self.recover(job, data_file, to, with_deleted).map_err(|e| (Some((job, JobKind::Recover)), e))?;
            }
            Command::TakeBack { job, data_file, plan } => {
                self.take_back(job, data_file, plan).map_err(|e| (Some((job, JobKind::TakeBack)), e))?;
            }
            Command::TakeBackPlanned { job, data_file, plan } => {
                self.take_back_planned(job, data_file, plan).map_err(|e| (Some((job, JobKind::TakeBack)), e))?;
            }
            Command::Hold { archive, note } => self.hold(archive, note),
            Command::Release { archive } => self.release(archive),
            Command::PutAway { data_file, kind } => self.put_away(&data_file, kind),
            Command::CreateSample { job, folder } => {
                let work = work::where_allowed(folder.clone(), &self.config, work::sample(folder));
                let started = self.start(Order::asked(job, JobKind::Sample, None, None), work);
                started.map_err(|e| (Some((job, JobKind::Sample)), e))?;
            }
            Command::UseLog { data_file, log, switch_to_wal } => {
                self.use_log(&data_file, log, switch_to_wal).map_err(plain)?;
            }
            Command::StartSampleClient { data_file } => self.client(&data_file, true).map_err(plain)?,
            Command::StopSampleClient { data_file } => self.client(&data_file, false).map_err(plain)?,
            Command::Stop { job } => {
                if let Some(job) = self.jobs.get_mut(&job) {
                    job.stop();
                }
            }
            Command::GoOn { job, folder } => {
                if let Some(job) = self.jobs.get(&job) {
                    job.go_on_in(folder);
                }
            }
            Command::Attend { who, here } => {
                if here {
                    self.attendants.insert(who);
                } else {
                    self.attendants.remove(&who);
                }
                let is_attended = !self.attendants.is_empty();
                self.jobs.values().for_each(|job| job.attend(is_attended));
            }
        }
        Ok(())
    }

    fn backup(
        &mut self,
        job: JobId,
        data_file: PathBuf,
        destination: Option<PathBuf>,
        options: Option<ArchiveOptions>,
    ) -> Result<()> {
        let hosted = self.data_files.at(&data_file).ok_or_else(|| Self::not_open(&data_file))?;
        let log = Arc::clone(&hosted.log_slot);
        // A log that is being opened is waited for by the job itself.
        self.refuse_while(&data_file, &DISTURBING)?;
        let known = Some(hosted.settings.clone());
        let mut backup = BackupJob::new(&data_file, &self.config, destination, log, self.messages.clone());
        backup.options = options;
        backup.known = known;
        backup.busy = self.busy_archives();
        self.start(Order::asked(job, JobKind::Backup, Some(data_file), None), backup.work())
    }

    fn drill(&mut self, job: JobId, data_file: PathBuf, seed: u64) -> Result<()> {
        let log = self.data_files.at(&data_file).ok_or_else(|| Self::not_open(&data_file))?.log.clone();
        let known = self.data_files.status(&data_file).ok_or_else(|| Self::not_open(&data_file))?;
        if let Some(problem) = &known.destination_problem {
            return Err(Error::from(problem.clone()));
        }
        let scratch = self.config.data_dir.clone();
        let work = work::drill(&data_file, &known.settings, seed, scratch, log, self.messages.clone());
        self.start(Order::asked(job, JobKind::TestRestore, Some(data_file), None), work)
    }

    fn restore_in_place(
        &mut self,
        job: JobId,
        data_file: PathBuf,
        (archive, segments): (PathBuf, Vec<PathBuf>),
        logs: Logs,
        until: Until,
    ) -> Result<()> {
        let data_file = self.real_names.get(&data_file).cloned().unwrap_or(data_file);
        self.refuse_while_busy(&data_file)?;
        let is_gone = self.data_files.status(&data_file).is_some_and(DataFileStatus::is_gone);
        // They may have been lost with it.
        let settings = self.data_files.at(&data_file).map(|hosted| hosted.settings.clone());
        if self.data_files.at(&data_file).is_some_and(|hosted| hosted.lost.is_some() || is_gone) {
            // Nobody may have it open when it is set aside, its log neither; it is opened again when the job has ended.
            self.let_go(&data_file);
        }
        let hosted = self.data_files.at(&data_file);
        let known = (hosted.is_some(), hosted.and_then(|h| h.log.clone()));
        let order =
            work::InPlaceOrder { archive: archive.clone(), segments, logs, until, known: settings, only_after: None };
        let work = work::restore_in_place(&data_file, known, &self.config, order, self.messages.clone());
        self.start(Order::asked(job, JobKind::RestoreInPlace, Some(data_file), Some(archive)), work)
    }
}
