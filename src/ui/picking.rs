//! Which file or folder is to be picked, and what follows from the one that was.

use std::path::{Path, PathBuf};

use super::{
    action::{Action, Look, Recover, TakeBack},
    file_picker::{Mode, Purpose, Request},
    state::{Dialog, State},
};
use crate::{
    engine::{Command, Query, Status},
    restore::Logs,
};

/// Takes what the file picker brought.
pub(crate) fn picked(purpose: Purpose, path: PathBuf, state: &mut State) -> Option<Action> {
    let text = || Some(path.display().to_string());
    match purpose {
        Purpose::DataFile => Some(Action::Open(path)),
        Purpose::DamagedFile => Some(Action::Recover(Recover::Ask(path))),
        Purpose::RecoverFolder => {
            if let Some(Dialog::Recover(form)) = &mut state.dialog {
                let name = form.shown_to(&state.answers);
                form.to = name.file_name().map(|name| path.join(name).display().to_string()).or(text());
            }
            None
        }
        Purpose::Archive => Some(Action::AskRestore(path)),
        Purpose::ArchiveOfLost { data_file } => Some(Action::AskRestoreInPlace { archive: path, data_file }),
        Purpose::Log => match &mut state.dialog {
            Some(Dialog::Restore(form)) => {
                if !form.logs.contains(&path) {
                    form.logs.push(path);
                }
                form.asked = None;
                Some(Action::Ask(form.question()))
            }
            _ => None,
        },
        Purpose::Destination { data_file } => Some(Action::Send(Command::SetDestination { data_file, folder: path })),
        Purpose::RestoreFolder => {
            if let Some(Dialog::Restore(form)) = &mut state.dialog {
                form.destination = text();
            }
            None
        }
        Purpose::RepairFolder => {
            let Some(Dialog::Repair(form)) = &mut state.dialog else { return None };
            let typed = form.to.as_deref().and_then(|to| Path::new(to).file_name()).map(|name| path.join(name));
            if let Some(to) = typed {
                form.to = Some(to.display().to_string());
                return None;
            }
            Some(Action::ProposeCopy { archive: form.archive.clone(), folder: path })
        }
        Purpose::Segments { archive } => Some(add_segments(state, archive, path)),
        Purpose::GoOn { job } => Some(Action::Send(Command::GoOn { job, folder: path })),
        Purpose::Settings(for_what) => {
            if let Some(Dialog::Settings(form)) = &mut state.dialog {
                form.choose(for_what, path);
            }
            None
        }
        Purpose::LogToAnalyze => Some(Action::AnalyzeLog(path)),
        Purpose::ExportFolder => {
            if let Some(Dialog::Export(form)) = &mut state.dialog {
                form.folder = text().unwrap_or_default();
            }
            None
        }
        Purpose::RecordsFolder => Some(Action::Look(Look::Save(path))),
        Purpose::ScriptFolder => Some(Action::TakeBack(TakeBack::Save(path))),
        Purpose::SampleFolder => {
            if let Some(Dialog::Sample(form)) = &mut state.dialog {
                form.folder = text().unwrap_or_default();
            }
            None
        }
    }
}

/// Remembers a folder with segments of an archive, and has the archive looked at again.
pub(super) fn add_segments(state: &mut State, archive: PathBuf, folder: PathBuf) -> Action {
    let known = state.segments.entry(archive.clone()).or_default();
    if !known.contains(&folder) {
        known.push(folder);
    }
    let segments = known.clone();
    match &mut state.dialog {
        Some(Dialog::Restore(form)) if form.archive == archive => form.segments = segments.clone(),
        Some(Dialog::Segments(form)) if form.archive == archive => form.segments = segments.clone(),
        _ => {}
    }
    let logs = match &state.dialog {
        Some(Dialog::Restore(form)) if form.archive == archive => form.logs(),
        _ => Logs::Found,
    };
    Action::Ask(Query::Archive { path: archive, segments, logs })
}

pub(super) fn is_archive(path: &Path) -> bool {
    path.extension().is_some_and(|e| e.eq_ignore_ascii_case(crate::archive::catalog::EXTENSION))
}

pub(super) fn home() -> PathBuf {
    directories::BaseDirs::new().map(|d| d.home_dir().to_path_buf()).unwrap_or_else(|| PathBuf::from("/"))
}

pub(super) fn data_file_request(state: &State, status: &Status) -> Request {
    let last = state.current.as_ref().or(status.recent.first());
    let start = last.and_then(|path| path.parent()).map_or_else(home, Path::to_path_buf);
    Request { purpose: Purpose::DataFile, mode: Mode::OpenFile { extension: None }, title: "Open data file", start }
}

pub(super) fn archive_request(state: &State, status: &Status) -> Request {
    let start = state.data_file(status).map_or_else(home, |d| d.destination.clone());
    let mode = Mode::OpenFile { extension: Some(crate::archive::catalog::EXTENSION) };
    Request { purpose: Purpose::Archive, mode, title: "Choose an archive", start }
}

pub(super) fn folder_request(title: &'static str, start: PathBuf, purpose: Purpose) -> Request {
    Request { purpose, mode: Mode::ChooseFolder, title, start }
}
