//! The end of the window: what ends with it, and who goes on with it.
//!
//! What a window looks after, somebody else must have before the window closes: a service, or a process in the
//! background. It is handed over file by file, and the window waits until each is seen there; when that does not come
//! about, it stays open and says why.

use std::{
    path::PathBuf,
    process::Child,
    time::{Duration, Instant},
};

use eframe::egui::{Context, ViewportCommand};

use super::{action::Action, dialogs::quit::ends_with_us, state::State};
use crate::{
    engine::{
        Command, HostKind, Status,
        status::{DataFileStatus, Host},
    },
    error::{Error, ErrorKind, ErrorReport},
};

/// So long a handover may take; it takes seconds.
const HANDOVER_MAX: Duration = Duration::from_secs(60);
/// How often it is looked at.
const LOOK: Duration = Duration::from_millis(200);

/// The handover before the window closes.
#[derive(Debug)]
pub(crate) struct Leaving {
    /// The data files that somebody else gets.
    pub(crate) data_files: Vec<PathBuf>,
    /// Who gets them.
    pub(crate) to: Successor,
    /// Since when it is waited for, once no job is in the way.
    since: Option<Instant>,
}

/// Who goes on.
#[derive(Debug)]
pub(crate) enum Successor {
    /// A service that has just been installed, and asks for them itself.
    Service,
    /// A process in the background that is begun when no job runs any more.
    ToBegin,
    /// That is being begun.
    Beginning,
    /// One that runs; begun by this window, or by another one before.
    Background(u32, Option<Child>),
}

impl Leaving {
    /// To `to`, with all that this window protects.
    pub(crate) fn new(status: &Status, to: Successor) -> Self {
        let data_files = ours(status).map(|d| d.facts.path.clone()).collect();
        Self { data_files, to, since: None }
    }
}

/// Whether the engine is that of this process.
pub(crate) fn is_ours(host: Host) -> bool {
    host.process == std::process::id()
}

/// The data files that this window looks after with their log or their schedule on.
pub(crate) fn ours(status: &Status) -> impl Iterator<Item = &DataFileStatus> {
    status.data_files.iter().filter(|d| is_ours(d.host) && d.lost_since.is_none() && d.is_protected())
}

/// Whether closing the window ends something that must not end without a word.
pub(crate) fn is_worth_asking(status: &Status) -> bool {
    status.jobs.iter().any(ends_with_us) || ours(status).next().is_some()
}

/// A process in the background that runs already.
pub(crate) fn background(status: &Status) -> Option<u32> {
    status.engines.iter().find(|host| host.kind == HostKind::Background).map(|host| host.process)
}

/// Goes on with the handover; called with every frame and whenever the engine has news.
pub(crate) fn go_on(ctx: &Context, status: &Status, state: &mut State, actions: &mut Vec<Action>) {
    let Some(leaving) = &mut state.leaving else { return };
    ctx.request_repaint_after(LOOK);
    if status.jobs.iter().any(ends_with_us) {
        // What runs is not stopped for this.
        return;
    }
    let since = *leaving.since.get_or_insert_with(Instant::now);
    let is_there = |path: &PathBuf| {
        let known = status.data_file(path);
        known.is_some_and(|d| d.host.kind.goes_on() && !is_ours(d.host) && d.lost_since.is_none())
    };
    let has_ended = match &mut leaving.to {
        Successor::ToBegin => {
            leaving.to = Successor::Beginning;
            actions.push(Action::BeginBackground);
            false
        }
        Successor::Background(_, Some(child)) => !matches!(child.try_wait(), Ok(None)),
        Successor::Service | Successor::Beginning | Successor::Background(_, None) => false,
    };
    let waits = matches!(leaving.to, Successor::Beginning);
    if !waits && leaving.data_files.iter().all(is_there) {
        state.leaving = None;
        state.is_leaving = true;
        ctx.send_viewport_cmd(ViewportCommand::Close);
    } else if has_ended || since.elapsed() > HANDOVER_MAX {
        let words = state.setup.background.as_ref().and_then(|b| b.last_words()).filter(|_| has_ended);
        give_up(state, actions, failed(has_ended, words));
    }
}

/// The window stays, and looks after everything itself again.
pub(crate) fn give_up(state: &mut State, actions: &mut Vec<Action>, error: ErrorReport) {
    take_back(state, actions);
    let messages = state.setup.background.as_ref().map(|b| b.messages.clone()).unwrap_or_default();
    actions.push(Action::Say("The window stays open".to_owned(), error, messages));
}

/// Has what was handed over, or was to be, looked after here.
pub(crate) fn take_back(state: &mut State, actions: &mut Vec<Action>) {
    let Some(mut leaving) = state.leaving.take() else { return };
    if let Successor::Background(_, child) = &mut leaving.to
        && let Some(mut child) = child.take()
    {
        // Without a data file it ends by itself; somebody must take note of that.
        let _ = std::thread::Builder::new().name("background".to_owned()).spawn(move || child.wait());
    }
    if !matches!(leaving.to, Successor::Service) {
        let process = std::process::id();
        let back = |data_file| Action::Send(Command::HandOver { data_file, process });
        actions.extend(leaving.data_files.into_iter().map(back));
    }
}

fn failed(has_ended: bool, words: Option<String>) -> ErrorReport {
    let why = match (has_ended, words) {
        (true, Some(words)) => format!("the process in the background has ended: {words}"),
        (true, None) => "the process in the background has ended".to_owned(),
        (false, _) => "the data files were not taken over within a minute".to_owned(),
    };
    Error::new(ErrorKind::Refused, why)
        .hint("This window goes on with them. Try again, or install the service; its messages say more.")
        .report()
}
