//! What a service says while it runs: every job that was due, and how it ended.

use crossbeam_channel::{Receiver, select};

use super::{complain, print, words};
use crate::{
    engine::{Event, Handle, status::FinishedJob},
    error::{ErrorKind, Result},
};

/// Reports what is done by itself, on standard output what succeeds and on standard error what does not, until `stop`.
///
/// # Errors
/// When standard output can not be written.
pub(super) fn report_until(engine: &Handle, events: &Receiver<Event>, stop: &Receiver<()>) -> Result<()> {
    loop {
        select! {
            recv(stop) -> _ => return Ok(()),
            recv(events) -> event => match event {
                Ok(Event::JobFinished(job)) if job.automatic => report(engine, &job)?,
                Ok(_) => {}
                Err(_) => return Ok(()),
            }
        }
    }
}

fn report(engine: &Handle, job: &FinishedJob) -> Result<()> {
    match &job.result {
        Ok(done) => {
            print(&words::in_words(done, job.duration_ms))?;
            if let Some(problem) = done.problem() {
                complain(&problem.report());
            }
        }
        Err(error) if error.kind == ErrorKind::Stopped => {}
        Err(error) => {
            complain(error);
            let next = job.data_file.as_ref().and_then(|path| engine.status().data_file(path)?.next_backup);
            if let Some(next) = next {
                print(&format!("The next attempt is due on {}", next.format("%Y-%m-%d %H:%M:%S")))?;
            }
        }
    }
    Ok(())
}
