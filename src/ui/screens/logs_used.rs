//! Which logs a restore of an archive would use: they lie beside it, where settings say, or beside the data file. The
//! engine looks for them as a restore does, once for each archive that is shown.

use std::path::Path;

use eframe::egui::{Label, RichText, Ui};

use crate::{
    archive::catalog::ArchiveEntry,
    engine::{Query, query::ArchiveLook, status::DataFileStatus},
    journal::integrate::Until,
    restore::{Ends, LedTo, Logs, RestorePlan},
    storage,
    ui::{
        action::Action,
        answers::View,
        jobs,
        state::{ArchivesForm, LogsAsked},
        theme::palette,
        widgets::{fact, fact_with, sentence},
    },
};

/// What was looked for, if it was found.
fn answer(status: &View<'_>, asked: &LogsAsked) -> Option<ArchiveLook> {
    status.answers.look(&question(asked))
}

fn question(asked: &LogsAsked) -> Query {
    Query::Archive { path: asked.archive.clone(), segments: asked.segments.clone(), logs: Logs::Found }
}

/// Asks for the logs of the archive that is shown: one at a time, so that whoever walks through a list does not begin a
/// hundred looks.
pub(super) fn ask(
    status: &View<'_>,
    data_file: &DataFileStatus,
    form: &mut ArchivesForm,
    (archive, named): (&ArchiveEntry, &[std::path::PathBuf]),
    actions: &mut Vec<Action>,
) {
    let is_sound = archive.problem.is_none() && archive.missing.is_none() && data_file.damage_of(archive).is_none();
    if !is_sound || archive.log_position.is_none() {
        // To read what is damaged means to make it whole first.
        return;
    }
    let set = data_file.sets.iter().find(|set| set.archive == archive.path);
    let wanted = LogsAsked {
        archive: archive.path.clone(),
        segments: named.to_vec(),
        // Whatever of this changes may change the answer.
        known: set.map(|set| set.logs.clone()),
        log: data_file.log_file.clone(),
        is_logged: data_file.log.is_some(),
        engines: status.engines.iter().map(|host| host.process).collect(),
    };
    let Some(asked) = &form.logs else { return send(form, wanted, actions) };
    let is_answered = answer(status, asked).is_some();
    // One that was given is forgotten when an engine ends; of one that has ended none comes.
    let is_due = *asked != wanted || form.logs_answered && !is_answered;
    let can_come = !form.logs_answered && !is_answered && asked.engines == wanted.engines;
    form.logs_answered |= is_answered;
    if is_due && !can_come {
        send(form, wanted, actions);
    }
}

fn send(form: &mut ArchivesForm, wanted: LogsAsked, actions: &mut Vec<Action>) {
    actions.push(Action::Ask(question(&wanted)));
    (form.logs, form.logs_answered) = (Some(wanted), false);
}

/// What a restore would use, and what is not known after that.
pub(super) fn logs_ui(
    ui: &mut Ui,
    status: &View<'_>,
    data_file: &DataFileStatus,
    form: &ArchivesForm,
    archive: &ArchiveEntry,
) {
    if archive.log_position.is_none() {
        return fact(ui, "Log", "Made without a log");
    }
    let asked = form.logs.as_ref().filter(|asked| asked.archive == archive.path);
    let plan = match asked.map(|asked| answer(status, asked).map(|look| look.result)) {
        Some(None) => return fact(ui, "Log", "Looking where its logs are …"),
        None | Some(Some(Err(_))) => return fact(ui, "Log", beside(data_file, archive)),
        Some(Some(Ok(plan))) => plan,
    };
    let plan = &plan;
    fact_with(ui, "Log", |ui| {
        let p = palette(ui);
        let mut line = |text: &str, colour| {
            ui.add(Label::new(RichText::new(text).color(colour)).wrap().selectable(true));
        };
        let used = used(plan, storage::folder_of(&archive.path));
        if used.is_empty() {
            line("None found that goes on from it", p.strong);
        }
        used.iter().for_each(|used| line(used, p.strong));
        if let Some(lacks) = plan.known.as_ref().and_then(|known| known.lacks(Until::End, LedTo::default())) {
            line(&format!("{}.", sentence(lacks.message())), p.warn.0);
        }
    });
}

/// The logs in their order, each with where it lies if that is not beside the archive.
fn used(plan: &RestorePlan, beside: &Path) -> Vec<String> {
    let (last, is_live) = match plan.known.as_ref().map(|known| &known.ends) {
        Some(Ends::Live { log, .. }) => (Some(log.as_path()), true),
        Some(Ends::Level { log, .. } | Ends::Sealed { log, .. } | Ends::Open { log, .. } | Ends::Torn { log, .. }) => {
            (Some(log.as_path()), false)
        }
        Some(Ends::WithoutLog | Ends::NotFound { .. } | Ends::Broken) | None => (None, false),
    };
    let pieces = plan.log.iter().flat_map(|log| &log.pieces).map(|piece| piece.path.as_path());
    let mut paths: Vec<&Path> = Vec::new();
    for path in pieces.chain(last) {
        if !paths.contains(&path) {
            paths.push(path);
        }
    }
    let shown = |path: &&Path| {
        let used = if is_live && Some(*path) == last { ", in use" } else { "" };
        let folder = storage::folder_of(path);
        let place = if folder == beside { String::new() } else { format!(", in {}", folder.display()) };
        format!("{}{used}{place}", jobs::name(path))
    };
    paths.iter().map(shown).collect()
}

/// The logs in the folder of the archives, as far as the list of archives knows them.
fn beside(data_file: &DataFileStatus, archive: &ArchiveEntry) -> String {
    let set = data_file.sets.iter().find(|set| set.archive == archive.path);
    let archived = set.into_iter().flat_map(|set| &set.logs).filter(|log| !is_recovery(log));
    let mut names: Vec<String> = archived.map(|log| jobs::name(log)).collect();
    if set.is_some_and(|set| set.is_in_use) {
        names.extend(data_file.log_file.as_deref().map(|log| format!("{}, in use", jobs::name(log))));
    }
    if names.is_empty() { "Not looked for: the archive cannot be read as it is".to_owned() } else { names.join("; ") }
}

fn is_recovery(log: &Path) -> bool {
    log.extension().is_some_and(|end| end == "recovery")
}
