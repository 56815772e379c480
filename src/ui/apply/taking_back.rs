//! Carries out what is wanted about taking single changes back.

use std::path::{Path, PathBuf};

use crossbeam_channel::Sender;
use eframe::egui::Context;

use super::{beside, message};
use crate::{
    engine::{Command, Handle, JobId},
    take_back::query::Ask,
    ui::{
        action::{Action, TakeBack},
        file_picker::Purpose,
        picking::folder_request,
        state::{Dialog, State},
        taking_back::{TakeBackForm, script::Script},
    },
};

fn form(state: &mut State) -> Option<&mut TakeBackForm> {
    match &mut state.dialog {
        Some(Dialog::TakeBack(form)) => Some(form),
        _ => None,
    }
}

pub(super) fn apply(ctx: &Context, wish: TakeBack, state: &mut State, handle: &Handle, news: &Sender<Action>) {
    match wish {
        TakeBack::Open(data_file) => state.ask_take_back(data_file),
        TakeBack::Ask(ask) => {
            let asked = form(state).map_or(Ok(()), |form| form.planning.ask(handle, ask));
            if let Err(error) = asked {
                state.message = Some(message("The engine did not take the question", error.report(), None));
            }
        }
        TakeBack::Run(plan) => {
            let Some(form) = form(state) else { return };
            let (job, data_file) = (JobId::new(), form.planning.data_file.clone());
            (form.job, form.failed) = (Some(job), None);
            if let Err(error) = handle.send(Command::TakeBackPlanned { job, data_file, plan }) {
                (form.job, form.failed) = (None, Some(error.report()));
            }
        }
        TakeBack::ChooseFolder => {
            let folder = form(state).and_then(|form| form.planning.data_file.parent().map(Path::to_path_buf));
            let request = folder_request("Folder for the script", folder.unwrap_or_default(), Purpose::ScriptFolder);
            state.picker.ask(ctx, request);
        }
        TakeBack::Save(folder) => save(ctx, folder, state, handle, news),
        TakeBack::Saved(planning, saved) => {
            if let Some(form) = form(state).filter(|form| form.planning.name == planning) {
                form.saved = Some(saved);
            }
        }
        TakeBack::Copy => {
            let Some(form) = form(state) else { return };
            let Some(script) = Script::of(&form.planning) else { return };
            let (planning, handle) = (form.planning.name, handle.clone());
            beside(ctx, news, move || {
                Some(match script.text(&handle) {
                    Ok(text) => Action::Copy(text),
                    Err(error) => Action::TakeBack(TakeBack::Saved(planning, Err(error.report()))),
                })
            });
        }
        TakeBack::Close => {
            if let Some(form) = form(state) {
                // An engine that does not take it forgets the plan by itself.
                let _ = handle.ask(form.planning.query(Ask::Forget));
            }
            state.dialog = None;
        }
    }
}

fn save(ctx: &Context, folder: PathBuf, state: &mut State, handle: &Handle, news: &Sender<Action>) {
    let Some(form) = form(state) else { return };
    let Some(script) = Script::of(&form.planning) else { return };
    let (planning, handle) = (form.planning.name, handle.clone());
    form.saved = None;
    beside(ctx, news, move || {
        let saved = script.save(&handle, &folder).map_err(|error| error.report());
        Some(Action::TakeBack(TakeBack::Saved(planning, saved)))
    });
}
