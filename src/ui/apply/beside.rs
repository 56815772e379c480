//! What may take its time, done on a thread: the window is drawn meanwhile.

use std::{
    path::PathBuf,
    process::{Command, Stdio},
    thread,
};

use crossbeam_channel::Sender;
use eframe::egui::Context;

use crate::{
    error::{Error, ErrorKind},
    service::install::{Manager, Plan, Scope, owner_of},
    ui::{Setup, action::Action},
};

/// Does what may take its time on a thread, and hands back what follows from it.
pub(super) fn beside(ctx: &Context, news: &Sender<Action>, work: impl FnOnce() -> Option<Action> + Send + 'static) {
    let (ctx, news) = (ctx.clone(), news.clone());
    let work = move || {
        if let Some(action) = work() {
            let _ = news.send(action);
            ctx.request_repaint();
        }
    };
    let _ = thread::Builder::new().name("beside".to_owned()).spawn(work);
}

/// A service of the system for the superuser, otherwise one of this user.
pub(super) fn plan_service(data_files: &[PathBuf], setup: &Setup) -> Result<Plan, Error> {
    let manager = Manager::find()?;
    let scope = if setup.is_superuser { Scope::System(owner_of(data_files)?) } else { Scope::User };
    let (program, folders) = setup.service.as_ref().ok_or_else(|| {
        Error::new(ErrorKind::NotFound, "the program or the folders of this user are not known")
            .hint("Install it by command: strongroom service install --help.")
    })?;
    Ok(manager.plan(program, &scope, folders))
}

/// Asks the system to show a folder. Where it cannot, the window shows the path, so that it can be copied.
pub(super) fn show_folder(ctx: &Context, path: PathBuf, news: &Sender<Action>) {
    let program = if cfg!(windows) {
        "explorer"
    } else if cfg!(target_os = "macos") {
        "open"
    } else {
        "xdg-open"
    };
    beside(ctx, news, move || {
        let status =
            Command::new(program).arg(&path).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status();
        // Explorer ends with 1 even when it shows the folder.
        let shown = status.is_ok_and(|s| s.success() || cfg!(windows));
        let error = Error::new(ErrorKind::Refused, format!("the files are in {}", path.display()))
            .hint("This system has no program that shows folders. Copy the path and open it in your own way.");
        (!shown).then(|| Action::Say("Folder".to_owned(), error.report(), path))
    });
}
