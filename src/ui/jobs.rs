//! Running jobs and their results, and what is wrong: shown at the head of every page.
//!
//! ```text
//! finished       what came of a job, with what can be done then
//! ```

mod finished;

use std::path::{Path, PathBuf};

use eframe::egui::{Align, CornerRadius, Frame, Label, Layout, Margin, RichText, Stroke, Ui};
use lucide_icons::Icon;

use super::{
    action::{Action, Recover},
    state::{MessageForm, State},
    theme::{self, palette},
    widgets::{self, Tone, bar, button, duration, icon_button, moment, strip},
};
use crate::{
    archive::catalog::ArchiveEntry,
    control::{Phase, Question},
    engine::{
        Command, Status,
        history::JobKind,
        status::{DataFileStatus, FinishedJob, JobStatus, Refused},
    },
    error::{ErrorKind, ErrorReport},
    storage::{processes::Holders, space::human_bytes},
};

/// What *Recover…* does.
pub(crate) const RECOVER_TIP: &str = "Save what a damaged data file still holds into a new file";

/// A path's last part.
pub(crate) fn name(path: &Path) -> String {
    path.file_name().map_or_else(|| path.display().to_string(), |n| n.to_string_lossy().into_owned())
}

/// What tells a data file from others of the same name: as much of the end of its folder as differs from each of them,
/// such as `b/data` for `/srv/b/data/x.db`. `None` where no other has its name.
pub(crate) fn apart_of(status: &Status, path: &Path) -> Option<String> {
    apart(status.data_files.iter().map(|d| &d.facts.path), path)
}

fn apart<'a>(all: impl IntoIterator<Item = &'a PathBuf>, path: &Path) -> Option<String> {
    let same = |other: &&Path| other.file_name() == path.file_name() && *other != path;
    let parts = |path: &Path| -> Vec<String> {
        let folders = path.parent().into_iter().flat_map(|folder| folder.components().rev());
        folders.map(|part| part.as_os_str().to_string_lossy().into_owned()).collect()
    };
    let own = parts(path);
    let alike = |other: &Path| parts(other).iter().zip(&own).take_while(|(a, b)| a == b).count();
    let others = all.into_iter().map(PathBuf::as_path).filter(same);
    let count = others.map(alike).max()? + 1;
    let shown: Vec<&str> = own.iter().take(count).rev().map(|part| part.as_str().trim_matches('/')).collect();
    Some(match shown.as_slice() {
        [first, _, .., last] => format!("{first}/…/{last}"),
        few => few.join("/"),
    })
}

/// The name of a data file, with what tells it from others of that name.
pub(crate) fn full_name(status: &Status, path: &Path) -> String {
    apart_of(status, path).map_or_else(|| name(path), |folder| format!("{} in {folder}", name(path)))
}

fn noun(kind: JobKind) -> &'static str {
    match kind {
        JobKind::Backup => "backup",
        JobKind::Restore => "restore",
        JobKind::RestoreInPlace => "restore in place",
        JobKind::Verify => "verification",
        JobKind::Repair => "repair",
        JobKind::TestRestore => "test restore",
        JobKind::Sample => "sample",
        JobKind::VerifyRecords => "verification",
        JobKind::Compact => "compacting",
        JobKind::Recover => "recovery",
        JobKind::TakeBack => "taking back",
        JobKind::OnFinish => "program",
    }
}

/// What is wrong, then what runs, then what ended last. Shown above the content of every page.
pub(crate) fn news_ui(ui: &mut Ui, status: &Status, state: &State, actions: &mut Vec<Action>) {
    let before = ui.cursor().top();
    problems_ui(ui, status, state.data_file(status), actions);
    for job in &status.jobs {
        job_ui(ui, job, actions);
    }
    // A test that succeeded by itself is seen where it counts: when the backups were proven last.
    let is_quiet = |job: &FinishedJob| job.automatic && job.kind == JobKind::TestRestore && job.result.is_ok();
    // What became of a file that is not open, as of one that was to be brought back, has no page of its own.
    let is_closed = |path: &PathBuf| status.data_file(path).is_none();
    let is_here = |job: &FinishedJob| job.data_file == state.current || job.data_file.as_ref().is_none_or(is_closed);
    let concerns = |job: &&FinishedJob| is_here(job) && !is_quiet(job);
    if let Some(job) = status.finished.iter().find(concerns).filter(|job| !state.dismissed.contains(&job.id)) {
        finished::finished_ui(ui, status, job, actions);
    }
    if ui.cursor().top() > before {
        ui.add_space(theme::GAP - 6.0);
    }
}

fn problems_ui(ui: &mut Ui, status: &Status, data_file: Option<&DataFileStatus>, actions: &mut Vec<Action>) {
    let gone = data_file.filter(|known| known.is_gone());
    for refused in status.refused.iter().filter(|r| gone.is_none_or(|gone| gone.facts.path != r.path)) {
        widgets::error_strip(ui, &refused.error, |ui| {
            let folder = refused.archives.as_deref().or_else(|| refused.path.parent());
            if let Some(folder) = folder.filter(|_| can_be_restored(refused)) {
                restore_lost(ui, &refused.path, (refused.newest.as_ref(), folder), actions);
            }
            recover_damaged(ui, refused.error.kind, &refused.path, actions);
            if icon_button(ui, Icon::X, &format!("Put away: {}", name(&refused.path))).clicked() {
                actions.push(Action::Send(Command::Forget { path: refused.path.clone() }));
            }
        });
    }
    if let Some(gone) = gone {
        gone_ui(ui, status, gone, actions);
    } else if let Some((data_file, since)) = data_file.and_then(|d| Some((d, d.lost_since?))) {
        let message = format!("{} has ended at {}: nobody records what is committed", data_file.host, moment(&since));
        let hint = "It is joined again as soon as it is back. Or this window takes the data file over.";
        strip(ui, Tone::Bad, &message, Some(hint), |ui| {
            if button(ui, None, "Take over").clicked() {
                actions.push(Action::Send(Command::OpenDataFile { path: data_file.facts.path.clone() }));
            }
        });
    } else if let Some((data_file, since)) = data_file.and_then(|d| Some((d, d.silent_since?))) {
        let message = format!(
            "{} has not answered since {}: whether commits are recorded is not known",
            data_file.host,
            moment(&since)
        );
        let hint = "It was stopped, or waits for a disk that does not answer; what is shown is what it said last. See what \
                    that process does, or restart the service.";
        strip(ui, Tone::Bad, &message, Some(hint), |_| ());
    }
    let data_file = data_file.filter(|_| gone.is_none());
    if let Some((data_file, problem)) = data_file.and_then(|d| Some((d, d.problem.as_ref()?))) {
        strip(ui, Tone::Bad, &problem.message, problem.hint.as_deref(), |ui| {
            recover_damaged(ui, problem.kind, &data_file.facts.path, actions);
        });
    }
    let of_file = data_file.and_then(|d| d.settings_problem.as_ref());
    for problem in of_file.into_iter().chain(&status.history_problem) {
        strip(ui, Tone::Warn, &problem.message, problem.hint.as_deref(), |_| ());
    }
    if let Some(problem) = &status.list_problem {
        strip(ui, Tone::Warn, &problem.message, problem.hint.as_deref(), |_| ());
    }
}

/// Whether a restore helps: from archives that were found, or from one that is chosen where the file is gone.
fn can_be_restored(refused: &Refused) -> bool {
    refused.archives.is_some() || refused.error.kind == ErrorKind::NotFound
}

/// The data file was deleted or moved, or its disk is not there: whoever looks after it cannot make up for that by
/// itself.
fn gone_ui(ui: &mut Ui, status: &Status, gone: &DataFileStatus, actions: &mut Vec<Action>) {
    let path = &gone.facts.path;
    let (message, after) = match gone.lost_since {
        Some(_) => (
            format!("{} is gone, and {} that looked after it has ended", path.display(), gone.host),
            "it takes its place, and this window looks after it. If the file comes back, or its service does, that \
             is noticed.",
        ),
        None => (
            format!("{} is gone", path.display()),
            "it takes its place, and is looked after as before. If it was only moved, or its disk is away, bring it \
             back: that is noticed.",
        ),
    };
    let mut hint = format!("Restore it from the newest backup and the log: {after}");
    if !gone.strays.is_empty() {
        let who = Holders { processes: gone.strays.clone(), may_be_more: false }.in_words();
        hint += &format!(" End {who} first: what it still writes to the deleted file is lost.");
    }
    strip(ui, Tone::Bad, &message, Some(&hint), |ui| {
        restore_lost(ui, path, (proposed(status, gone), &gone.destination), actions);
    });
}

/// The archive that brings back a data file that is gone: the newest sound one, but for those that a restore in this
/// window found damaged. Whoever looked after it has ended, and knows nothing of that.
fn proposed<'a>(status: &Status, gone: &'a DataFileStatus) -> Option<&'a PathBuf> {
    let of_it =
        |job: &&FinishedJob| job.kind == JobKind::RestoreInPlace && job.data_file.as_ref() == Some(&gone.facts.path);
    let damage = |job: &FinishedJob| job.result.as_ref().err().filter(|e| e.kind == ErrorKind::Damaged).cloned();
    let met: Vec<PathBuf> =
        status.finished.iter().filter(of_it).filter_map(damage).filter_map(|error| error.about).collect();
    let is_met = |archive: &&ArchiveEntry| archive.files.iter().any(|file| met.contains(file));
    let usable = |archive: &&ArchiveEntry| archive.problem.is_none() && gone.damage_of(archive).is_none();
    let other = gone.own_archives().filter(usable).find(|archive| !is_met(archive));
    let newest = gone.newest_sound().filter(|newest| !is_met(newest));
    // Whoever repaired it is not sent to what is damaged.
    let repaired = |archive| gone.copy_of(archive).filter(|copy| !is_met(copy)).unwrap_or(archive);
    newest.or(other).map(repaired).map(|archive| &archive.path)
}

/// Offers the restore of a data file that cannot be opened: from its newest archive, or from one that is chosen.
fn restore_lost(ui: &mut Ui, data_file: &Path, (newest, folder): (Option<&PathBuf>, &Path), actions: &mut Vec<Action>) {
    if button(ui, Some(Icon::ArchiveRestore), "Restore it…").clicked() {
        let (data_file, folder) = (data_file.to_path_buf(), folder.to_path_buf());
        actions.push(match newest.cloned() {
            Some(archive) => Action::AskRestoreInPlace { archive, data_file },
            None => Action::ChooseArchiveOfLost { data_file, folder },
        });
    }
}

/// Offers to save what a data file still holds that cannot be read as it is.
fn recover_damaged(ui: &mut Ui, kind: ErrorKind, data_file: &Path, actions: &mut Vec<Action>) {
    let is_damaged = matches!(kind, ErrorKind::Damaged | ErrorKind::NotRecognised);
    if is_damaged && button(ui, Some(Icon::LifeBuoy), "Recover it…").on_hover_text(RECOVER_TIP).clicked() {
        actions.push(Action::Recover(Recover::Ask(data_file.to_path_buf())));
    }
}

/// A running job: what it does, how far it is, and *Stop*.
fn job_ui(ui: &mut Ui, job: &JobStatus, actions: &mut Vec<Action>) {
    let p = palette(ui);
    Frame::new()
        .fill(p.card)
        .stroke(Stroke::new(1.0, p.accent))
        .corner_radius(CornerRadius::same(10))
        .inner_margin(Margin::symmetric(18, 14))
        .show(ui, |ui| {
            ui.set_width(ui.available_width());
            ui.horizontal(|ui| {
                ui.with_layout(Layout::right_to_left(Align::Center), |ui| {
                    let label = format!("Stop {}", noun(job.kind));
                    let stop = ui.add_enabled_ui(!job.stopping, |ui| button(ui, Some(Icon::CircleStop), &label));
                    if stop.inner.clicked() {
                        actions.push(Action::Send(Command::Stop { job: job.id }));
                    }
                    ui.with_layout(Layout::left_to_right(Align::Center), |ui| {
                        ui.add(Label::new(theme::strong(title(job), ui)).truncate());
                    });
                });
            });
            if let Some(question) = &job.question {
                return question_ui(ui, job, question, actions);
            }
            let total = job.progress.total;
            let fraction = (total > 0).then(|| job.progress.done as f32 / total as f32);
            bar(ui, &format!("Progress of the {}", noun(job.kind)), fraction, p.accent);
            ui.add(Label::new(RichText::new(progress_text(job)).color(p.weak)).truncate());
        });
}

/// The disk is full: where the backup goes on. *Stop*, above, is an answer too.
fn question_ui(ui: &mut Ui, job: &JobStatus, question: &Question, actions: &mut Vec<Action>) {
    let p = palette(ui);
    ui.add_space(4.0);
    if let Some(problem) = &question.problem {
        let text = format!("{}. {}", widgets::sentence(&problem.message), problem.hint.as_deref().unwrap_or_default());
        ui.add(Label::new(RichText::new(text).color(p.bad.0)).wrap().selectable(true));
    }
    let text = format!("The disk of {} is full", question.full.display());
    let text = RichText::new(text).text_style(theme::section_style()).color(p.warn.0);
    ui.add(Label::new(text).wrap().selectable(true));
    let text = format!(
        "Choose a folder on another disk: the backup goes on there with its next segment, which may need {}. Or \
         free space on the disk, and go on in the same folder. Without an answer by {} it is given up, and leaves \
         nothing behind.",
        human_bytes(question.bytes),
        question.until.format("%H:%M:%S")
    );
    ui.add(Label::new(RichText::new(text).color(p.text)).wrap());
    ui.add_space(6.0);
    ui.horizontal_wrapped(|ui| {
        if widgets::primary_button(ui, Some(Icon::FolderPlus), "Go on in another folder…", true).clicked() {
            actions.push(Action::ChooseGoOn { job: job.id, full: question.full.clone() });
        }
        let same = format!("Go on in {}", name(&question.full));
        if button(ui, Some(Icon::RotateCcw), &same).on_hover_text("After space was freed on its disk").clicked() {
            actions.push(Action::Send(Command::GoOn { job: job.id, folder: question.full.clone() }));
        }
    });
}

/// What a running job does.
pub(crate) fn title(job: &JobStatus) -> String {
    let of = |path: &Option<std::path::PathBuf>| path.as_deref().map(name).unwrap_or_default();
    match job.kind {
        JobKind::Backup => match &job.archive {
            Some(archive) => format!("Backing up {} to {}", of(&job.data_file), name(archive)),
            None => format!("Backing up {}", of(&job.data_file)),
        },
        JobKind::Restore => format!("Restoring {}", of(&job.archive)),
        JobKind::RestoreInPlace if job.archive.is_none() => format!("Restoring {} by itself", of(&job.data_file)),
        JobKind::RestoreInPlace => format!("Restoring {} in place", of(&job.archive)),
        JobKind::Verify => format!("Verifying {}", of(&job.archive)),
        JobKind::Repair => format!("Repairing {}", of(&job.archive)),
        JobKind::TestRestore => format!("Test restore of {}", of(&job.archive)),
        JobKind::Sample => "Creating the sample".to_owned(),
        JobKind::VerifyRecords => format!("Verifying the records of {}", of(&job.data_file)),
        JobKind::Compact => format!("Compacting {}", of(&job.data_file)),
        JobKind::Recover => format!("Recovering {}", of(&job.data_file)),
        JobKind::TakeBack => format!("Taking back changes in {}", of(&job.data_file)),
        JobKind::OnFinish => "Running a program".to_owned(),
    }
}

fn progress_text(job: &JobStatus) -> String {
    let progress = job.progress;
    let amount: fn(u64) -> String = match progress.phase {
        Phase::Creating => |n| format!("{} records", widgets::count(n)),
        Phase::Examining => |n| format!("{} tables and indexes", widgets::count(n)),
        Phase::Sorting | Phase::Salvaging => |n| format!("{} pages", widgets::count(n)),
        _ => human_bytes,
    };
    let phase = if job.stopping { "Stopping" } else { progress.phase.label() };
    let mut parts = vec![phase.to_owned()];
    match (progress.done, progress.total) {
        (0, 0) => {}
        (done, 0) => parts.push(amount(done)),
        (done, total) if matches!(progress.phase, Phase::Examining | Phase::Sorting | Phase::Salvaging) => {
            parts.push(format!("{} of {}", widgets::count(done), amount(total)));
        }
        (done, total) => parts.push(format!("{} of {}", amount(done), amount(total))),
    }
    if job.rate >= 1.0 && progress.phase != Phase::Examining {
        parts.push(format!("{} per second", amount(job.rate as u64)));
    }
    if let Some(seconds) = job.seconds_left {
        parts.push(format!("about {} left", duration(seconds.max(1) * 1000).replace(".0 s", " s")));
    }
    parts.join("   ·   ")
}

/// The form of a message for an error that has no page of its own.
pub(crate) fn refused(error: ErrorReport) -> MessageForm {
    MessageForm { title: "This cannot be done now".to_owned(), error, path: None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_names_are_told_apart_by_what_differs_in_their_paths() {
        let paths = [
            "/srv/a/data/OMB.sqlite",
            "/srv/b/data/OMB.sqlite",
            "/mnt/b/data/OMB.sqlite",
            "/srv/c/OMB.sqlite",
            "/srv/c/other.sqlite",
        ]
        .map(PathBuf::from);
        let apart = |path: &str| apart(&paths, Path::new(path));
        assert_eq!(apart("/srv/a/data/OMB.sqlite").as_deref(), Some("a/data"));
        assert_eq!(apart("/srv/b/data/OMB.sqlite").as_deref(), Some("srv/…/data"));
        assert_eq!(apart("/mnt/b/data/OMB.sqlite").as_deref(), Some("mnt/…/data"));
        assert_eq!(apart("/srv/c/OMB.sqlite").as_deref(), Some("c"));
        assert_eq!(apart("/srv/c/other.sqlite"), None);
    }
}
