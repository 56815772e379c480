//! Carries out what is wanted about looking at a state.

use std::path::{Path, PathBuf};

use crossbeam_channel::Sender;
use eframe::egui::Context;

use super::{beside, message};
use crate::{
    as_of::ask::Ask,
    engine::Handle,
    ui::{
        action::{Action, Look},
        file_picker::Purpose,
        looking::{LookForm, MomentForm, save::Saving},
        picking::folder_request,
        state::{Dialog, State},
    },
};

fn form(state: &mut State) -> Option<&mut LookForm> {
    match &mut state.dialog {
        Some(Dialog::Look(form)) => Some(form),
        _ => None,
    }
}

pub(super) fn apply(ctx: &Context, wish: Look, state: &mut State, handle: &Handle, news: &Sender<Action>) {
    match wish {
        Look::Open { data_file, which } => {
            state.dialog = Some(Dialog::Look(Box::new(LookForm::new(data_file, which))));
        }
        Look::AskMoment(data_file) => {
            let status = handle.status();
            let newest = status.data_file(&data_file).and_then(|known| known.newest_sound());
            let form = MomentForm::new(data_file, newest.map(|archive| archive.path.clone()));
            let asked = form.question().map_or(Ok(()), |question| state.answers.ask(handle, question));
            state.dialog = Some(Dialog::LookMoment(form));
            if let Err(error) = asked {
                state.message = Some(message("The engine did not take the question", error.report(), None));
            }
        }
        Look::Ask(ask) => {
            let asked = form(state).map_or(Ok(()), |form| form.seen.ask(handle, ask));
            if let Err(error) = asked {
                state.message = Some(message("The engine did not take the question", error.report(), None));
            }
        }
        Look::ChooseFolder(sheet, save_form, only) => {
            let Some(form) = form(state) else { return };
            form.saving = Some((sheet, save_form, only));
            let folder = form.seen.data_file.parent().map(Path::to_path_buf).unwrap_or_default();
            state.picker.ask(ctx, folder_request("Folder for the records", folder, Purpose::RecordsFolder));
        }
        Look::Save(folder) => save(ctx, folder, state, handle, news),
        Look::Saved(looking, saved) => {
            if let Some(form) = form(state).filter(|form| form.seen.name == looking) {
                (form.saving, form.is_saving) = (None, false);
                form.saved_remarks = saved.as_ref().map_or_else(|_| Vec::new(), |(_, remarks)| remarks.clone());
                form.saved = Some(saved.map(|(file, _)| file));
            }
        }
        Look::Close => {
            close(state, handle);
            state.dialog = None;
        }
    }
}

/// The engine keeps the state of the open dialog no longer.
pub(crate) fn close(state: &mut State, handle: &Handle) {
    if let Some(form) = form(state) {
        // An engine that does not take it closes the state by itself.
        let _ = handle.ask(form.seen.query(Ask::Forget));
    }
}

fn save(ctx: &Context, folder: PathBuf, state: &mut State, handle: &Handle, news: &Sender<Action>) {
    let Some(form) = form(state) else { return };
    let Some(saving) = Saving::of(form) else { return };
    (form.saved, form.is_saving) = (None, true);
    let (looking, handle) = (form.seen.name, handle.clone());
    beside(ctx, news, move || {
        let saved = saving.save(&handle, &folder).map_err(|error| error.report());
        Some(Action::Look(Look::Saved(looking, saved)))
    });
}
