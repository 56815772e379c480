//! Carries out what is wanted about recovering a damaged data file.

use std::path::Path;

use crossbeam_channel::Sender;
use eframe::egui::Context;

use super::{beside, message};
use crate::{
    engine::{Command, Handle, JobId, Query},
    error::Result,
    storage,
    ui::{
        action::{Action, Recover},
        file_picker::{Mode, Purpose, Request},
        picking::{data_file_request, folder_request},
        state::{Dialog, RecoverForm, ReportForm, State},
    },
};

pub(super) fn apply(ctx: &Context, wish: Recover, state: &mut State, handle: &Handle, news: &Sender<Action>) {
    let done = match wish {
        Recover::Choose => {
            let start = data_file_request(state, &handle.status()).start;
            let mode = Mode::OpenFile { extension: None };
            state
                .picker
                .ask(ctx, Request { purpose: Purpose::DamagedFile, mode, title: "Choose a damaged file", start });
            Ok(())
        }
        Recover::Ask(path) => {
            // Whoever looks after it knows it by this name; a disk may take its time to tell.
            beside(ctx, news, move || Some(Action::Recover(Recover::Open(storage::real_path(&path)))));
            Ok(())
        }
        Recover::Open(data_file) => {
            state.dialog = Some(Dialog::Recover(RecoverForm::new(data_file.clone())));
            state.answers.ask(handle, Query::Recover { data_file })
        }
        Recover::ChooseFolder(file) => {
            let start = file.parent().map(Path::to_path_buf).unwrap_or_default();
            state.picker.ask(ctx, folder_request("Folder for the new file", start, Purpose::RecoverFolder));
            Ok(())
        }
        Recover::Begin { data_file, to, with_deleted } => begin(state, handle, (data_file, to, with_deleted)),
        Recover::Report { data_file, job } => {
            let form = ReportForm { data_file: data_file.clone(), job, problems_only: false };
            state.dialog = Some(Dialog::Recovered(form));
            state.answers.ask(handle, Query::Report { data_file, job })
        }
    };
    if let Err(error) = done {
        state.message = Some(message("The engine did not take this", error.report(), None));
    }
}

fn begin(
    state: &mut State,
    handle: &Handle,
    (data_file, to, with_deleted): (std::path::PathBuf, std::path::PathBuf, bool),
) -> Result<()> {
    state.dialog = None;
    handle.send(Command::Recover { job: JobId::new(), data_file, to: Some(to), with_deleted })
}
