//! The pages.
//!
//! ```text
//! overview      all data files
//! maintenance protection care host log next   the state of one, its cards
//! restore archive logs_used    its archives
//! activity      its commits
//! journal       the Backup journal
//! welcome       no data file, or one that is gone
//! ```

pub(crate) mod activity;
mod archive;
pub(crate) mod care;
pub(crate) mod host;
pub(crate) mod journal;
pub(crate) mod log;
mod logs_used;
pub(crate) mod maintenance;
pub(crate) mod next;
mod overview;
mod protection;
pub(crate) mod restore;
mod welcome;

use eframe::egui::Ui;

use super::{
    action::Action,
    state::{Page, State},
};
use crate::engine::Status;

/// The page that is shown.
pub(crate) fn page_ui(ui: &mut Ui, status: &Status, state: &mut State, actions: &mut Vec<Action>) {
    let is_open = state.data_file(status).is_some();
    match state.page {
        Page::Overview if !status.data_files.is_empty() => overview::overview_ui(ui, status, state, actions),
        _ if !is_open && state.current.is_some() => welcome::gone_ui(ui, status, state, actions),
        _ if !is_open => welcome::welcome_ui(ui, status, state, actions),
        Page::Overview | Page::Maintenance => maintenance::maintenance_ui(ui, status, state, actions),
        Page::Restore => restore::restore_ui(ui, status, state, actions),
        Page::Activity => activity::activity_ui(ui, status, state, actions),
        Page::Journal => journal::journal_ui(ui, status, state, actions),
    }
}
