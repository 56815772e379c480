//! Carries out what the user wants. This is the one place of the window that gives commands to the engine.

mod beside;
mod looking;
mod recovering;
mod restoring;
mod sizes;
mod taking_back;

use beside::{beside, plan_service, show_folder};
pub(crate) use looking::close as close_look;
use restoring::{ask_restore, begin};

use std::{
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use crossbeam_channel::Sender;
use eframe::egui::{Context, ViewportCommand};

use super::{
    action::{Action, Begun, EditCommand},
    activity::{
        Chosen,
        export::{Export, FileForm},
    },
    dialogs::{close::is_worth_asking, export::ExportForm, settings::SettingsForm},
    file_picker::{Mode, Purpose, Request},
    leave::{self, Leaving, Successor},
    picking::{archive_request, data_file_request, folder_request, is_archive},
    state::{
        BackupForm, CompactForm, Dialog, HoldForm, LogChoice, MessageForm, Page, ReportForm, SampleForm, SegmentsForm,
        ServiceForm, State, UndoForm,
    },
};
use crate::{
    engine::{Command, Handle, HostKind, JobId, Query, status::DataFileStatus},
    error::{Error, ErrorKind, ErrorReport},
    restore::Logs,
};

/// Carries out one action.
pub(crate) fn apply(ctx: &Context, action: Action, state: &mut State, handle: &Handle, news: &Sender<Action>) {
    let status = handle.status();
    let send = |state: &mut State, command: Command| {
        if let Err(error) = handle.send(command) {
            state.message = Some(message("The engine did not take the command", error.report(), None));
        }
    };
    let ask = |state: &mut State, query: Query| {
        if let Err(error) = state.answers.ask(handle, query) {
            state.message = Some(message("The engine did not take the question", error.report(), None));
        }
    };
    match action {
        Action::Ask(query) => ask(state, query),
        Action::Send(command) => {
            match &command {
                // Taken over by this window, or closed by it.
                Command::OpenDataFile { path } => state.wants(path.clone()),
                Command::CloseDataFile { path } => _ = state.closing.insert(path.clone()),
                _ => {}
            }
            send(state, command);
        }
        Action::Show(page) => state.page = page,
        Action::ShowDataFile(path) => state.show(&path),
        Action::SelectDataFile(path) => state.select(&path),
        Action::ChooseDataFile => state.picker.ask(ctx, data_file_request(state, &status)),
        Action::Open(path) => {
            if is_archive(&path) {
                // A dropped archive is meant to be restored.
                ask_restore(state, handle, path, None);
            } else {
                state.wants(path.clone());
                send(state, Command::OpenDataFile { path });
            }
        }
        Action::CloseDataFile(path) => match status.data_file(&path) {
            Some(known) if is_worth_asking(known) => state.dialog = Some(Dialog::Close(path)),
            _ => {
                state.closing.insert(path.clone());
                send(state, Command::CloseDataFile { path });
            }
        },
        Action::AskBackup(data_file) => {
            send(state, Command::Refresh { data_file: data_file.clone() });
            state.dialog = Some(Dialog::Backup(BackupForm { data_file }));
        }
        Action::Backup(data_file) => {
            state.dialog = None;
            send(state, Command::Backup { job: JobId::new(), data_file, destination: None, options: None });
        }
        Action::ChooseDestination(data_file) => {
            let start = status.data_file(&data_file).map(|d| d.destination.clone()).unwrap_or_default();
            state.picker.ask(ctx, folder_request("Folder for archives", start, Purpose::Destination { data_file }));
        }
        Action::ChooseArchive => state.picker.ask(ctx, archive_request(state, &status)),
        Action::AskRestore(archive) => ask_restore(state, handle, archive, None),
        Action::AskRestoreInPlace { archive, data_file } => {
            // Whether SQLite can still open it decides what will be done.
            if status.data_file(&data_file).is_some_and(|known| known.lost_since.is_none()) {
                send(state, Command::Refresh { data_file: data_file.clone() });
            }
            ask_restore(state, handle, archive, Some(data_file));
        }
        Action::AskIntegrate(data_file) => {
            let Some((archive, last)) = status.data_file(&data_file).and_then(|known| known.lacked()) else { return };
            ask_restore(state, handle, archive, Some(data_file));
            if let Some(Dialog::Restore(form)) = &mut state.dialog {
                (form.log, form.commit) = (LogChoice::Commit, last.to_string());
            }
        }
        Action::ChooseArchiveOfLost { data_file, folder } => {
            let mode = Mode::OpenFile { extension: Some(crate::archive::catalog::EXTENSION) };
            let purpose = Purpose::ArchiveOfLost { data_file };
            state.picker.ask(ctx, Request { purpose, mode, title: "Choose an archive", start: folder });
        }
        Action::UseArchive(archive) => {
            let segments = state.segments.get(&archive).cloned().unwrap_or_default();
            if let Some(form) = state.dialog.as_mut().and_then(Dialog::restore_form) {
                (form.archive, form.segments, form.asked) = (archive, segments, None);
                // Named like the other archive, if it is the one that was proposed.
                form.destination = None;
                let question = form.question();
                ask(state, question);
            }
        }
        Action::AddLog(start) => {
            let (mode, title) = (Mode::OpenFile { extension: None }, "Choose a log");
            state.picker.ask(ctx, Request { purpose: Purpose::Log, mode, title, start });
        }
        Action::RestoreInPlace { data_file, archive, logs, until, segments } => {
            state.dialog = None;
            if status.data_file(&data_file).is_none() {
                // It is opened when it has been restored.
                state.wants(data_file.clone());
            }
            send(state, Command::RestoreInPlace { job: JobId::new(), data_file, archive, logs, until, segments });
        }
        Action::AskUndo { data_file, of } => {
            state.dialog = Some(Dialog::Undo(UndoForm { data_file: data_file.clone(), of }));
            ask(state, Query::Undo { data_file, of });
        }
        Action::Undo { data_file, of } => {
            state.dialog = None;
            send(state, Command::UndoRestore { job: JobId::new(), data_file, of });
        }
        Action::ChooseRestoreFolder(start) => {
            state.picker.ask(ctx, folder_request("Folder for the restored files", start, Purpose::RestoreFolder));
        }
        Action::AskLog(data_file) => {
            let Some(known) = status.data_file(&data_file) else { return };
            state.dialog = Some(match known.log_file {
                Some(_) => Dialog::StopLog(data_file),
                None => Dialog::Settings(Box::new(SettingsForm::with_log(known))),
            });
        }
        Action::OpenLogAgain(data_file) => {
            let log = status.data_file(&data_file).and_then(|d| d.log_file.clone());
            send(state, Command::UseLog { data_file, log, switch_to_wal: false });
        }
        Action::StopLog(data_file) => {
            state.dialog = None;
            send(state, Command::UseLog { data_file, log: None, switch_to_wal: false });
        }
        Action::AskSettings(data_file, tab) => {
            let Some(known) = status.data_file(&data_file) else { return };
            state.dialog = Some(Dialog::Settings(Box::new(SettingsForm::new(known, tab))));
        }
        Action::ChooseForSettings { for_what, folder, start } => {
            let mode = if folder { Mode::ChooseFolder } else { Mode::OpenFile { extension: None } };
            let (purpose, title) = (Purpose::Settings(for_what), for_what.title());
            state.picker.ask(ctx, Request { purpose, mode, title, start });
        }
        Action::ApplySettings { backup } => {
            if let Some(Dialog::Settings(form)) = &mut state.dialog {
                state.backup_when_logged = backup.then(|| form.data_file.clone());
                if let Err(error) = handle.send(form.send()) {
                    form.refuse(error.report());
                }
            }
        }
        Action::Restore { archive, items, destination, logs, until, segments } => {
            state.dialog = None;
            send(state, Command::Restore { job: JobId::new(), archive, items, destination, logs, until, segments });
        }
        Action::WithArchive { archive, then } => {
            let segments = state.segments.get(&archive).cloned().unwrap_or_default();
            let known = status.data_files.iter().flat_map(|d| &d.archives).find(|known| known.path == archive);
            if known.is_some_and(|known| known.missing.is_some()) {
                let (path, named) = (archive.clone(), segments.clone());
                ask(state, Query::Archive { path, segments: named, logs: Logs::Found });
                state.dialog = Some(Dialog::Segments(SegmentsForm { archive, segments, then }));
            } else {
                begin(state, handle, archive, segments, then);
            }
        }
        Action::Begin { archive, segments, then } => begin(state, handle, archive, segments, then),
        Action::ChooseSegments(archive) => {
            let start = archive.parent().map(Path::to_path_buf).unwrap_or_default();
            state.picker.ask(ctx, folder_request("Folder with segments", start, Purpose::Segments { archive }));
        }
        Action::ChooseRepairFolder(file) => {
            let start = file.parent().map(Path::to_path_buf).unwrap_or_default();
            state.picker.ask(ctx, folder_request("Folder for the sound copy", start, Purpose::RepairFolder));
        }
        Action::ProposeCopy { archive, folder } => beside(ctx, news, move || {
            let copy = crate::repair::propose_copy(&archive, &folder);
            Some(Action::CopyProposed(archive, copy))
        }),
        Action::CopyProposed(archive, copy) => {
            if let Some(Dialog::Repair(form)) = &mut state.dialog
                && form.archive == archive
            {
                form.to = Some(copy.display().to_string());
            }
        }
        Action::Repair { archive, segments, to } => {
            state.dialog = None;
            send(state, Command::Repair { job: JobId::new(), archive, to: Some(to), segments });
        }
        Action::AskHold(archive) => {
            let known = status.data_files.iter().flat_map(|d| &d.archives).find(|known| known.path == archive);
            let note = known.and_then(|known| known.hold.as_ref()?.note.clone()).unwrap_or_default();
            state.dialog = Some(Dialog::Hold(HoldForm { archive, note, is_new: true }));
        }
        Action::Hold { archive, note } => {
            state.dialog = None;
            send(state, Command::Hold { archive, note });
        }
        Action::ChooseGoOn { job, full } => {
            state.picker.ask(ctx, folder_request("Folder to go on in", full, Purpose::GoOn { job }));
        }
        Action::AskCompact(data_file) => {
            // How much is free in it, and who has it open, may have changed.
            send(state, Command::Refresh { data_file: data_file.clone() });
            state.dialog = Some(Dialog::Compact(CompactForm { data_file }));
        }
        Action::Compact(data_file) => {
            state.dialog = None;
            send(state, Command::Compact { job: JobId::new(), data_file });
        }
        Action::AskReport { data_file, job } => {
            state.dialog = Some(Dialog::Report(ReportForm { data_file: data_file.clone(), job, problems_only: false }));
            ask(state, Query::Report { data_file, job });
        }
        Action::AskActivity(asked) => {
            if let Err(error) = state.activity.feed.ask(handle, asked) {
                state.message = Some(message("The engine did not take the question", error.report(), None));
            }
        }
        Action::ChooseLogToAnalyze => {
            let log =
                state.data_file(&status).and_then(|known| known.log_file.as_ref()?.parent().map(Path::to_path_buf));
            let start =
                log.or_else(|| state.data_file(&status).map(|known| known.destination.clone())).unwrap_or_default();
            let (mode, title) = (Mode::OpenFile { extension: None }, "Choose a log to analyze");
            state.picker.ask(ctx, Request { purpose: Purpose::LogToAnalyze, mode, title, start });
        }
        Action::AnalyzeLog(log) => {
            state.page = Page::Activity;
            state.activity.choose(Chosen::Log(log));
        }
        Action::ViewValue(form) => state.dialog = Some(Dialog::Value(form)),
        Action::AskExport => {
            let Some(about) = state.activity.feed.about() else { return };
            let folder = state.data_file(&status).and_then(|known| known.facts.path.parent().map(Path::to_path_buf));
            let operations = state.activity.feed.state.as_ref().map_or(0, |known| known.passing_operations);
            let folder = folder.unwrap_or_default().display().to_string();
            let form = ExportForm { of: about.of.clone(), operations, form: FileForm::Csv, folder };
            state.dialog = Some(Dialog::Export(form));
        }
        Action::ChooseExportFolder(start) => {
            state.picker.ask(ctx, folder_request("Folder for the export", start, Purpose::ExportFolder));
        }
        Action::Export { file, form } => {
            state.dialog = None;
            if let Some(about) = state.activity.feed.about().cloned() {
                let what = (about, state.activity.feed.upto());
                state.activity.export = Some(Export::begin(ctx, handle, what, form, file));
            }
        }
        Action::Recover(wish) => recovering::apply(ctx, wish, state, handle, news),
        Action::Look(wish) => looking::apply(ctx, wish, state, handle, news),
        Action::Sizes(wish) => sizes::apply(wish, state, handle),
        Action::TakeBack(wish) => taking_back::apply(ctx, wish, state, handle, news),
        Action::AskGoBack { data_file, commit } => {
            let known = status.data_file(&data_file);
            let Some(archive) = known.and_then(|known| Some(known.archive_before(commit)?.path.clone())) else {
                return;
            };
            send(state, Command::Refresh { data_file: data_file.clone() });
            let source = state.activity.source();
            ask_restore(state, handle, archive, Some(data_file));
            if let Some(Dialog::Restore(form)) = &mut state.dialog {
                (form.log, form.commit, form.counts) = (LogChoice::Commit, commit.to_string(), source);
            }
        }
        Action::AskSample => {
            let folder = state.setup.sample_folder.display().to_string();
            state.dialog = Some(Dialog::Sample(SampleForm { folder }));
        }
        Action::ChooseSampleFolder(start) => {
            state.picker.ask(ctx, folder_request("Folder for the sample", start, Purpose::SampleFolder));
        }
        Action::CreateSample(folder) => {
            state.dialog = None;
            let job = JobId::new();
            state.samples.insert(job);
            send(state, Command::CreateSample { job, folder });
        }
        Action::ShowFolder(path) => show_folder(ctx, path, news),
        Action::Copy(text) => ctx.copy_text(text),
        Action::Edit(command) => {
            // The field lost the focus to the menu.
            if let Some(field) = state.field {
                ctx.memory_mut(|m| m.request_focus(field));
            }
            ctx.send_viewport_cmd(match command {
                EditCommand::Cut => ViewportCommand::RequestCut,
                EditCommand::Copy => ViewportCommand::RequestCopy,
                EditCommand::Paste => ViewportCommand::RequestPaste,
            });
        }
        Action::Appearance(preference) => ctx.set_theme(preference),
        Action::Dismiss(job) => {
            state.dismissed.insert(job);
        }
        Action::CloseDialog => state.dialog = None,
        Action::AskService | Action::AskServiceToQuit => {
            let quits = action == Action::AskServiceToQuit;
            let own = |d: &&DataFileStatus| {
                (leave::is_ours(d.host) || d.host.kind == HostKind::Background) && d.lost_since.is_none()
            };
            let data_files: Vec<PathBuf> = status.data_files.iter().filter(own).map(|d| d.facts.path.clone()).collect();
            let setup = state.setup.clone();
            beside(ctx, news, move || {
                let plan = plan_service(&data_files, &setup).map_err(|e| e.report());
                Some(Action::ServicePlanned(data_files, Box::new(plan), quits))
            });
        }
        Action::ServicePlanned(data_files, plan, quits) => {
            state.dialog = Some(Dialog::Service(Box::new(ServiceForm { data_files, plan: *plan, quits })));
        }
        Action::InstallService => {
            if let Some(Dialog::Service(form)) = state.dialog.take()
                && let ServiceForm { data_files, plan: Ok(plan), quits } = *form
            {
                // Then the service asks for the data files, and this window lets them go.
                beside(ctx, news, move || {
                    let title = "The service could not be installed".to_owned();
                    match plan.install(&data_files, true) {
                        Err(error) => Some(Action::Say(title, error.report(), plan.file.0)),
                        Ok(()) => quits.then_some(Action::ServiceInstalled),
                    }
                });
            }
        }
        Action::ServiceInstalled => {
            state.leaving = Some(Leaving::new(&status, Successor::Service));
            state.dialog = Some(Dialog::Quit);
        }
        Action::KeepRunning => {
            let runs = leave::background(&status).map(|process| Successor::Background(process, None));
            let leaving = Leaving::new(&status, runs.unwrap_or(Successor::ToBegin));
            if let Successor::Background(process, _) = leaving.to {
                let to = |data_file: &PathBuf| Command::HandOver { data_file: data_file.clone(), process };
                leaving.data_files.iter().for_each(|data_file| send(state, to(data_file)));
            }
            state.leaving = Some(leaving);
            state.dialog = Some(Dialog::Quit);
        }
        Action::BeginBackground => {
            let background = state.setup.background.clone();
            beside(ctx, news, move || {
                let unknown = || Error::new(ErrorKind::NotFound, "the program itself is not found");
                let begun = background.ok_or_else(unknown).and_then(|background| background.start());
                Some(Action::BackgroundBegun(Begun(Arc::new(Mutex::new(Some(begun.map_err(|e| e.report())))))))
            });
        }
        Action::BackgroundBegun(begun) => {
            let begun = begun.0.lock().unwrap_or_else(PoisonError::into_inner).take();
            let mut actions = Vec::new();
            match (begun, &mut state.leaving) {
                (Some(Ok(child)), Some(leaving)) => {
                    let process = child.id();
                    leaving.to = Successor::Background(process, Some(child));
                    let to = |data_file: &PathBuf| Command::HandOver { data_file: data_file.clone(), process };
                    actions.extend(leaving.data_files.iter().map(|data_file| Action::Send(to(data_file))));
                }
                (Some(Err(error)), _) => leave::give_up(state, &mut actions, error),
                // Nobody wants it any more; without a data file it ends by itself.
                _ => {}
            }
            actions.into_iter().for_each(|action| apply(ctx, action, state, handle, news));
        }
        Action::StayHere => {
            let mut actions = Vec::new();
            leave::take_back(state, &mut actions);
            state.dialog = None;
            actions.into_iter().for_each(|action| apply(ctx, action, state, handle, news));
        }
        Action::About => state.dialog = Some(Dialog::About),
        Action::Documentation => {
            let text = "the documentation is in the folder docs of the program, and in its README".to_owned();
            let hint = Some("Every command of the command line explains itself with --help.".to_owned());
            let report = ErrorReport::new(ErrorKind::Refused, text, hint);
            state.message = Some(message("Documentation", report, None));
        }
        Action::Say(title, report, path) => state.message = Some(message(&title, report, Some(path))),
        Action::CloseMessage => state.message = None,
        Action::QuitAnyway => {
            state.is_leaving = true;
            ctx.send_viewport_cmd(ViewportCommand::Close);
        }
        Action::Quit => ctx.send_viewport_cmd(ViewportCommand::Close),
    }
}

/// Says what happened.
fn message(title: &str, error: ErrorReport, path: Option<PathBuf>) -> MessageForm {
    MessageForm { title: title.to_owned(), error, path }
}
