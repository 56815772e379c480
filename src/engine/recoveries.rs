//! Recovering a damaged data file, as a job and as a question before it: with the state that its last archive and log
//! lead to, as `strongroom recover` does it.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use super::{
    activity::Logged,
    command::JobId,
    history::JobKind,
    job::{Order, Work},
    query::{Answer, RecoverLook},
    states::Found,
    status::JobReport,
    worker::Worker,
};
use crate::{
    archive::Archive,
    as_of::{Effort, Limits, Looked, ask::Which},
    control::Control,
    error::{Error, ErrorKind, Result},
    journal::integrate::Until,
    recover::{self, Before, RecoverOptions, RecoverReport},
    sqlite::seen::ContentCheck,
    storage::{self, processes, space},
};

/// So long is looked whether the state of archive and log is sound, before somebody decides.
const CHECK_MAX: Duration = Duration::from_secs(5);

/// Does something with the state that archive and log of a data file lead to: as long as nothing was done, what is
/// damaged is repaired, or passed by.
fn with_known<T>(
    found: &Found,
    (until, limits): (Until, &Limits),
    work: &mut dyn FnMut(&Looked) -> T,
) -> std::result::Result<T, Error> {
    let mut effort = Effort::new(until);
    loop {
        match found.open(&Which::Until(until), &mut effort, limits) {
            Ok(looked) => return Ok(work(&looked)),
            Err(error) if error.kind() == ErrorKind::Damaged => _ = effort.again(error, true, &limits.control)?,
            Err(error) => return Err(error),
        }
    }
}

/// What a recovery of `data_file` would begin with.
pub(super) fn look(data_file: &Path, found: &Found) -> RecoverLook {
    let to = recover::propose(data_file);
    let problem = recover::look(data_file, &RecoverOptions::default()).err();
    let control = Arc::new(Control::with_clock(found.clock.clone()));
    let limits = Limits { control, budget: Some(CHECK_MAX), ..Limits::default() };
    let known =
        with_known(found, (Until::End, &limits), &mut |looked| (recover::compared_with(looked), is_restorable(looked)));
    let (compared, is_restorable, not_compared) = match known {
        Ok((compared, is_restorable)) => (Some(compared), is_restorable, None),
        Err(error) => (None, None, Some(error.report())),
    };
    RecoverLook {
        bytes: data_file.metadata().map_or(0, |meta| meta.len()),
        available_bytes: space::disk_space(storage::folder_of(&to)).ok().map(|disk| disk.available),
        holders: processes::holders(&[data_file.to_path_buf()]),
        compared,
        is_restorable,
        not_compared,
        problem: problem.map(|error| error.report()),
        to,
    }
}

/// Whether what archive and log lead to is sound, as far as that is found out in the time there is.
fn is_restorable(looked: &Looked) -> Option<bool> {
    let about = looked.about();
    let content = || Archive::glance(about.archive.as_deref()?).ok()?.content;
    let is_damaged =
        about.archive_problem.is_some() || content().is_some_and(|seen| seen.check == ContentCheck::Damaged);
    if is_damaged { Some(false) } else { recover::is_sound(looked) }
}

/// The recovery itself.
fn work(data_file: PathBuf, options: RecoverOptions, found: Found) -> Work {
    Box::new(move |control| {
        // Before an archive is looked for, which takes longer.
        recover::look(&data_file, &options)?;
        let limits = Limits { control: Arc::clone(control), ..Limits::default() };
        let run = |looked: Option<&Looked>| recover::run(&data_file, &options, looked, control, &mut |_| Ok(()));
        let mut before = Before::default();
        let (mut report, remark): (RecoverReport, _) = loop {
            let done = with_known(&found, (before.until(), &limits), &mut |looked| match before.goes_back(looked) {
                Ok(true) => Ok(None),
                Ok(false) => run(Some(looked)).map(Some),
                Err(error) => Err(error),
            });
            match done {
                Ok(Ok(None)) => {}
                Ok(done) => break (done?.ok_or_else(Error::stopped)?, before.remark()),
                Err(error) if error.kind() == ErrorKind::Stopped => return Err(error),
                Err(_) if before.give_up() => {}
                Err(error) => break (run(None)?, Some(format!("Compared with no archive: {}.", error.message()))),
            }
        };
        report.remarks.extend(remark);
        Ok(JobReport::Recover(Box::new(report)))
    })
}

impl Worker {
    /// Where archive and logs of a data file are, which need not be in care.
    pub(super) fn found_of(&self, data_file: &Path, is_untouched: bool) -> Found {
        let settings = self.data_files.at(data_file).map(|hosted| hosted.settings.clone());
        let in_care = self.in_care(data_file);
        let (settings_dir, data_dir) = (self.config.settings_dir.clone(), self.config.data_dir.clone());
        let logged = Logged { path: data_file.to_path_buf(), settings, settings_dir, data_dir };
        Found { logged, in_care, clock: self.config.clock.clone(), is_untouched }
    }

    /// Answers what a recovery would begin with.
    pub(super) fn recover_look(&self, data_file: PathBuf) -> impl FnOnce() -> Result<Answer> + Send + 'static {
        let found = self.found_of(&data_file, true);
        move || Ok(Answer::Recover(Box::new(look(&data_file, &found))))
    }

    /// Begins a recovery.
    pub(super) fn recover(
        &mut self,
        job: JobId,
        data_file: PathBuf,
        to: Option<PathBuf>,
        with_deleted: bool,
    ) -> Result<()> {
        // What rewrites the file must have ended; a second one would only ask for the same space.
        self.refuse_while(&data_file, &[JobKind::RestoreInPlace, JobKind::Compact, JobKind::Recover])?;
        let place = to.clone().unwrap_or_else(|| data_file.clone());
        let found = self.found_of(&data_file, true);
        let work = work(data_file.clone(), RecoverOptions { to, with_deleted }, found);
        let work = super::work::where_allowed(place, &self.config, work);
        self.start(Order::asked(job, JobKind::Recover, Some(data_file), None), work)
    }
}
