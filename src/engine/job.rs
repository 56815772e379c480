//! One running job: its thread, its progress, its line in the Backup journal.

use std::{
    collections::VecDeque,
    panic::{AssertUnwindSafe, catch_unwind},
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

use chrono::{DateTime, Local};

use super::{
    command::JobId,
    completion::completed,
    history::{HistoryEntry, Job, JobKind, Outcome},
    status::{FinishedJob, Host, JobReport, JobStatus, Stalled},
};
use crate::{
    control::{Clock, Control, Phase, Progress},
    error::{Error, ErrorKind, ErrorReport, Result},
};

/// A job that comes to no new unit of work for so long stands still: it waits for a disk, and nothing else tells that.
const STALLED: Duration = Duration::from_secs(300);

/// What a job does on its thread.
pub(super) type Work = Box<dyn FnOnce(&Arc<Control>) -> Result<JobReport> + Send>;

/// What a job is, before it runs.
pub(super) struct Order {
    pub(super) id: JobId,
    pub(super) kind: JobKind,
    pub(super) data_file: Option<PathBuf>,
    pub(super) archive: Option<PathBuf>,
    /// Whether nobody asked for it.
    pub(super) automatic: bool,
}

impl Order {
    /// A job that somebody asked for.
    pub(super) fn asked(id: JobId, kind: JobKind, data_file: Option<PathBuf>, archive: Option<PathBuf>) -> Self {
        Self { id, kind, data_file, archive, automatic: false }
    }
}

/// A job that runs.
pub(super) struct RunningJob {
    pub(super) status: JobStatus,
    pub(super) entry: HistoryEntry,
    control: Arc<Control>,
    begun: Instant,
    /// Samples of the last seconds, for a rate that does not jump.
    samples: VecDeque<(Instant, u64)>,
    /// The last sign that it goes on, and when it was seen, by both clocks.
    moved: (u64, Instant, DateTime<Local>),
}

impl RunningJob {
    /// Starts `work` on a thread of its own, which tells how it `ended`.
    pub(super) fn start(
        order: Order,
        (host, is_attended): (Host, bool),
        work: Work,
        clock: &Clock,
        ended: impl FnOnce(JobId, std::result::Result<JobReport, ErrorReport>) + Send + 'static,
    ) -> Result<Self> {
        let Order { id, kind, data_file, archive, automatic } = order;
        let control = Arc::new(Control::with_clock(clock.clone()));
        // Nobody waits for what is due by itself: it can be tried again.
        control.attend(is_attended && !automatic);
        let started = clock.local();
        let shared = Arc::clone(&control);
        std::thread::Builder::new()
            .name(format!("job-{}", kind.label()))
            .spawn(move || {
                // A defect in a job must neither end the engine nor leave the job running for ever.
                let result = catch_unwind(AssertUnwindSafe(|| work(&shared))).unwrap_or_else(|_| {
                    Err(Error::new(ErrorKind::Refused, "the job ended by a defect of the program")
                        .hint("Please report it with what you did; no existing file was changed."))
                });
                ended(id, result.map_err(|e| e.report()));
            })
            .map_err(|e| Error::new(ErrorKind::Io, "the job cannot be started").because(e))?;
        let job = Job { id, kind, data_file, automatic, started };
        let entry = HistoryEntry { path: archive.clone(), ..HistoryEntry::new(job.clone(), Outcome::Running) };
        let progress = control.progress();
        let status =
            JobStatus { job, host, archive, progress, rate: 0.0, seconds_left: None, stopping: false, question: None };
        let begun = Instant::now();
        Ok(Self { status, entry, control, begun, samples: VecDeque::new(), moved: (0, begun, started) })
    }

    /// Whether somebody is there who can answer its questions.
    pub(super) fn attend(&self, is_attended: bool) {
        self.control.attend(is_attended && !self.status.automatic);
    }

    /// Answers its question.
    pub(super) fn go_on_in(&self, folder: PathBuf) {
        self.control.go_on_in(folder);
    }

    pub(super) fn stop(&mut self) {
        self.control.stop();
        self.status.stopping = true;
    }

    /// Brings progress, rate and time left up to date.
    pub(super) fn update(&mut self, now: Instant, clock: DateTime<Local>) {
        let progress = self.control.progress();
        if progress.phase != self.status.progress.phase {
            self.samples.clear();
        }
        self.samples.push_back((now, progress.done));
        while self.samples.len() > 2 && self.samples.front().is_some_and(|(t, _)| now - *t > Duration::from_secs(5)) {
            self.samples.pop_front();
        }
        let (rate, seconds_left) = rate(&self.samples, progress);
        self.status.progress = progress;
        self.status.question = self.control.question();
        self.status.rate = rate;
        self.status.seconds_left = seconds_left;
        let beats = self.control.beats();
        if beats != self.moved.0 || self.status.question.is_some() {
            self.moved = (beats, now, clock);
        }
    }

    /// Where it stands still, since when.
    pub(super) fn stalled(&self, now: Instant) -> Option<Stalled> {
        let (_, seen, since) = self.moved;
        (now - seen >= STALLED).then(|| Stalled { kind: self.status.kind, phase: self.status.progress.phase, since })
    }

    /// Closes the job with its result.
    pub(super) fn finish(self, result: std::result::Result<JobReport, ErrorReport>) -> (HistoryEntry, FinishedJob) {
        let duration_ms = self.begun.elapsed().as_millis() as u64;
        let entry = completed(self.entry, &result, duration_ms);
        let finished = FinishedJob { job: self.status.job, duration_ms, result };
        (entry, finished)
    }
}

/// Units per second over the samples, and the seconds left at that rate.
fn rate(samples: &VecDeque<(Instant, u64)>, progress: Progress) -> (f64, Option<u64>) {
    let (Some((first, from)), Some((last, to))) = (samples.front(), samples.back()) else { return (0.0, None) };
    let seconds = (*last - *first).as_secs_f64();
    if seconds < 0.2 || to <= from {
        return (0.0, None);
    }
    let rate = (to - from) as f64 / seconds;
    let known = progress.total > 0 && !matches!(progress.phase, Phase::Preparing | Phase::Finishing);
    let left = progress.total.saturating_sub(progress.done) as f64 / rate;
    (rate, known.then_some(left.ceil() as u64))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::status::HostKind;

    #[test]
    fn a_job_that_comes_to_no_new_unit_of_work_stands_still_until_it_goes_on() -> Result<()> {
        let (order, host) = (
            Order::asked(JobId::new(), JobKind::Backup, None, None),
            Host { kind: HostKind::Service, process: 1, namespace: None },
        );
        let (go, gone) = crossbeam_channel::bounded::<()>(0);
        let (began_in, began) = crossbeam_channel::bounded::<()>(0);
        let work: Work = Box::new(move |control| {
            control.phase(Phase::Copying, 9);
            let _ = began_in.send(());
            let _ = gone.recv();
            control.check()?;
            let _ = began_in.send(());
            let _ = gone.recv();
            Err(Error::stopped())
        });
        let mut job = RunningJob::start(order, (host, false), work, &Clock::default(), |_, _| ())?;
        let (now, clock) = (Instant::now(), Local::now());
        let after = |seconds| now + Duration::from_secs(seconds);
        let _ = began.recv();
        job.update(now, clock);
        job.update(after(299), clock);
        assert_eq!(job.stalled(after(299)), None);
        let expected = Stalled { kind: JobKind::Backup, phase: Phase::Copying, since: clock };
        assert_eq!(job.stalled(after(300)), Some(expected));
        let _ = go.send(());
        let _ = began.recv();
        job.update(after(400), clock);
        assert_eq!(job.stalled(after(699)), None);
        assert!(job.stalled(after(700)).is_some());
        Ok(())
    }

    #[test]
    fn rate_and_time_left_follow_from_the_last_seconds() {
        let now = Instant::now();
        let samples = VecDeque::from([(now, 100), (now + Duration::from_secs(2), 300)]);
        let progress = |total| Progress { phase: Phase::Copying, done: 300, total };
        assert_eq!(rate(&samples, progress(1000)), (100.0, Some(7)));
        assert_eq!(rate(&samples, progress(0)), (100.0, None));
        assert_eq!(rate(&VecDeque::new(), progress(5)), (0.0, None));
    }
}
