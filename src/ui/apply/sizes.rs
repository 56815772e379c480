//! Carries out what is wanted about the dialog *Information*.

use super::message;
use crate::{
    engine::Handle,
    maintenance::measured::Ask,
    ui::{
        action::Sizes,
        looking::sizes::SizesForm,
        state::{CompactForm, Dialog, State},
    },
};

pub(super) fn apply(wish: Sizes, state: &mut State, handle: &Handle) {
    match wish {
        Sizes::Open(data_file) => state.dialog = Some(Dialog::Sizes(Box::new(SizesForm::new(data_file)))),
        Sizes::Ask(ask) => {
            let Some(Dialog::Sizes(form)) = &mut state.dialog else { return };
            if let Err(error) = form.ask(handle, ask) {
                state.message = Some(message("The engine did not take the question", error.report(), None));
            }
        }
        Sizes::Again => {
            forget(state, handle);
            if let Some(Dialog::Sizes(form)) = &mut state.dialog {
                form.again();
            }
        }
        Sizes::Compact => {
            forget(state, handle);
            let Some(Dialog::Sizes(form)) = &state.dialog else { return };
            state.dialog = Some(Dialog::Compact(CompactForm { data_file: form.data_file.clone() }));
        }
        Sizes::Close => {
            forget(state, handle);
            state.dialog = None;
        }
    }
}

/// The engine looks no longer.
fn forget(state: &State, handle: &Handle) {
    if let Some(Dialog::Sizes(form)) = &state.dialog {
        // An engine that does not take it ends by itself.
        let _ = handle.ask(form.query(Ask::Forget));
    }
}
