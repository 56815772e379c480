//! What is asked before an archive is restored, or its segments are looked for.

use std::path::PathBuf;

use super::message;
use crate::{
    engine::{Command, Handle, JobId, Query},
    journal::integrate::Until,
    restore::Logs,
    ui::state::{Dialog, RepairForm, RestoreForm, State, Then},
};

pub(super) fn ask_restore(state: &mut State, handle: &Handle, archive: PathBuf, in_place: Option<PathBuf>) {
    let segments = state.segments.get(&archive).cloned().unwrap_or_default();
    let form = RestoreForm::new(archive, segments, in_place);
    match state.answers.ask(handle, form.question()) {
        Ok(()) => state.dialog = Some(Dialog::Restore(form)),
        Err(error) => state.message = Some(message("The engine did not take the question", error.report(), None)),
    }
}

/// Does what was wanted with an archive, whose segments are where they can be found.
pub(super) fn begin(state: &mut State, handle: &Handle, archive: PathBuf, segments: Vec<PathBuf>, then: Then) {
    state.dialog = None;
    let job = JobId::new();
    let begun = match then {
        Then::Verify => handle.send(Command::Verify { job, archive, segments, signed_by: None }),
        Then::TestRestore => handle.send(Command::TestRestore { job, archive, until: Until::End, segments }),
        Then::Repair => {
            state.dialog =
                Some(Dialog::Repair(RepairForm { archive: archive.clone(), segments: segments.clone(), to: None }));
            state.answers.ask(handle, Query::Archive { path: archive, segments, logs: Logs::Found })
        }
    };
    if let Err(error) = begun {
        state.message = Some(message("The engine did not take the command", error.report(), None));
    }
}
