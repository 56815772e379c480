//! One archive on the Restore page: what is known of it, and what can be done with it.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

use eframe::egui::{Label, RichText, Ui};
use lucide_icons::Icon;

use super::logs_used::logs_ui;
use crate::{
    archive::{Compression, Rate, catalog::ArchiveEntry, not_whole},
    as_of::ask::Which,
    backup::soundness::Finding,
    drill::Proof,
    engine::{
        Command, Query, Status,
        history::{HistoryEntry, JobKind, Outcome},
        status::DataFileStatus,
    },
    error::{ErrorKind, ErrorReport},
    restore::Logs,
    sqlite::seen::ContentCheck,
    storage::{self, space::human_bytes},
    ui::{
        action::{Action, Look},
        answers::View,
        jobs,
        state::{ArchivesForm, Then},
        theme::palette,
        widgets::{button, card, error_strip, fact, fact_with, moment, primary_button},
    },
};

/// When this archive was last restored for a test, and found sound.
pub(super) fn proof_of<'a>(
    status: &'a Status,
    data_file: &DataFileStatus,
    archive: &ArchiveEntry,
) -> Option<&'a Proof> {
    let id = archive.archive_id?;
    let proof = status.proven.iter().find(|proof| proof.archive_id == id)?;
    // A proof of its repaired copy, which has the same identity, is none of the damaged one; it may have been restored
    // all the same.
    let counts = data_file
        .damage_of(archive)
        .is_none_or(|damage| damage.is_repairable && proof.archive == archive.path && proof.proven >= damage.moment);
    let is_copy = data_file.copies.iter().any(|copy| copy.path == archive.path);
    Some(proof).filter(|_| counts && (!is_copy || archive.files.contains(&proof.archive)))
}

/// When it was last proven to be restorable, in words.
fn proven(status: &Status, data_file: &DataFileStatus, archive: &ArchiveEntry) -> String {
    match proof_of(status, data_file, archive) {
        Some(proof) => match proof.commit {
            Some(commit) => format!("Last on {}, with its logs up to commit {commit}", moment(&proof.proven)),
            None => format!("Last on {}", moment(&proof.proven)),
        },
        None if data_file.damage_of(archive).is_some() || archive.check == ContentCheck::Damaged => {
            "No: it was found damaged".to_owned()
        }
        None => "Never. A test restore proves it.".to_owned(),
    }
}

/// The last verification of an archive that came to an end.
fn verification<'a>(status: &'a Status, archive: &ArchiveEntry) -> Option<&'a HistoryEntry> {
    let told = |entry: &&HistoryEntry| match entry.outcome {
        Outcome::Succeeded | Outcome::Partial => true,
        Outcome::Failed => entry.error.as_ref().is_some_and(|error| error.kind == ErrorKind::Damaged),
        _ => false,
    };
    let of_archive =
        |entry: &&HistoryEntry| entry.kind == JobKind::Verify && entry.path.as_ref() == Some(&archive.path);
    status.history.iter().filter(of_archive).find(told)
}

/// Whether it found nothing wrong but that the archive lacks what was chosen for it.
fn is_partial(entry: &HistoryEntry) -> bool {
    entry.error.as_ref().is_some_and(|error| error.kind == ErrorKind::Partial)
}

/// What that found, in words. Every archive was read back when it was made.
fn verified(status: &Status, archive: &ArchiveEntry) -> String {
    let Some(entry) = verification(status, archive) else { return "Only when it was made".to_owned() };
    let found = match entry.outcome {
        Outcome::Succeeded => "sound",
        Outcome::Partial if is_partial(entry) => "as it was written, but partial",
        Outcome::Partial => "damaged, but can be repaired",
        _ => "damaged beyond repair",
    };
    format!("{}: {found}", moment(&entry.started))
}

/// What is known of its content, in words.
fn content(archive: &ArchiveEntry) -> String {
    let note = archive.check_note.as_deref();
    let besides = note.map_or_else(String::new, |note| format!("; not checked: {note}"));
    match archive.check {
        ContentCheck::Whole => format!("Checked by SQLite: records and indexes are whole{besides}"),
        ContentCheck::Structure => {
            format!("Its structure was checked by SQLite; whether indexes agree with their tables was not{besides}")
        }
        ContentCheck::NotChecked => {
            format!("Not checked ({}). A test restore does it.", note.unwrap_or("nobody has looked"))
        }
        ContentCheck::Damaged => format!("Damaged: {}", note.unwrap_or("SQLite finds it so")),
    }
}

/// Whether what was chosen besides the data file is in it, in words.
fn chosen_files(archive: &ArchiveEntry) -> String {
    match (not_whole::missing_in_words(archive.not_whole), archive.not_whole) {
        (Some(missing), _) => format!("Partial: {missing}. A verification names them."),
        (None, None) => "Not known: an earlier version made it. A verification tells.".to_owned(),
        (None, Some(_)) => "All that was chosen is in it".to_owned(),
    }
}

/// How an archive is stored, and what of it is repaired when it is damaged.
fn stored(archive: &ArchiveEntry) -> (String, String) {
    let options = archive.options;
    let compression = match options.compression {
        Compression::None => "Not compressed".to_owned(),
        other => format!("Compression {}", other.label()),
    };
    let mut words = format!("{compression}, redundancy {}", options.redundancy.label());
    if options.redundancy != Rate::None {
        words += &format!(", interlacing {}", options.interlacing.label());
    }
    if let Some(bytes) = options.segment_bytes {
        words += &format!(", segments of {}", human_bytes(bytes));
    }
    let single = |bytes| format!("Any single damaged stretch of about {} is repaired", human_bytes(bytes));
    let protection = if archive.has_recovery_of_blocks {
        let guarantee = options.guarantee_of(archive.bytes);
        guarantee.map(|guarantee| format!("{}, {}.", single(guarantee.stretch_bytes), guarantee.several_in_words()))
    } else {
        options.stretch_of_version_1(archive.bytes).map(|bytes| format!("{}.", single(bytes)))
    };
    let protection =
        protection.unwrap_or_else(|| "No recovery data: what is damaged cannot be repaired, only found.".to_owned());
    (words, protection)
}

/// Its segments, and which are not there.
fn segments(ui: &mut Ui, status: &View<'_>, archive: &ArchiveEntry, named: &[PathBuf], actions: &mut Vec<Action>) {
    let count = archive.files.len();
    let mut words = if count == 1 { "1 segment".to_owned() } else { format!("{count} segments") };
    let folders: BTreeSet<&Path> = archive.files.iter().map(|file| storage::folder_of(file)).collect();
    if folders.len() > 1 {
        let folders: Vec<String> = folders.iter().map(|folder| folder.display().to_string()).collect();
        words += &format!(", in {}", folders.join(" and "));
    }
    // What was found in folders that the user named.
    let (path, folders) = (archive.path.clone(), named.to_vec());
    let look = status.answers.look(&Query::Archive { path, segments: folders, logs: Logs::Found });
    let look = look.filter(|look| !named.is_empty() && (look.missing.is_some() || look.result.is_ok()));
    let missing = look.as_ref().map_or(&archive.missing, |look| &look.missing);
    match missing {
        None if archive.missing.is_some() => {
            let named: Vec<String> = named.iter().map(|folder| folder.display().to_string()).collect();
            fact(ui, "Segments", format!("{words} here, the others in {}; all are there", named.join(" and ")));
        }
        None => fact(ui, "Segments", format!("{words}; all are there")),
        Some(missing) => fact_with(ui, "Segments", |ui| {
            let words = format!("{words} found; {} {} missing", missing.in_words(), missing.is_or_are());
            ui.add(Label::new(RichText::new(words).color(palette(ui).warn.0)).wrap());
            let number = missing.numbers.first().copied().unwrap_or_default();
            if button(ui, Some(Icon::FolderSearch), &format!("Find segment {number:04}…")).clicked() {
                actions.push(Action::ChooseSegments(archive.path.clone()));
            }
        }),
    }
}

/// The buttons that show what an archive holds, or what the data file held at a moment, without restoring it.
fn look_ui(
    ui: &mut Ui,
    data_file: &DataFileStatus,
    (archive, named): (&ArchiveEntry, &[PathBuf]),
    actions: &mut Vec<Action>,
) {
    let of = data_file.facts.path.clone();
    let tip = "Its tables and records, and what is other now; nothing is restored";
    if button(ui, Some(Icon::Eye), "Look at this state…").on_hover_text(tip).clicked() {
        let which = Which::Archive { path: archive.path.clone(), segments: named.to_vec() };
        actions.push(Action::Look(Look::Open { data_file: of.clone(), which }));
    }
    let tip = "The tables and records of any moment that archives and logs lead to; nothing is restored";
    if button(ui, Some(Icon::Eye), "Look at a moment…").on_hover_text(tip).clicked() {
        actions.push(Action::Look(Look::AskMoment(of)));
    }
}

/// The chosen archive, as a card.
pub(super) fn detail(
    ui: &mut Ui,
    status: &View<'_>,
    data_file: &DataFileStatus,
    (archive, named, form): (&ArchiveEntry, &[PathBuf], &ArchivesForm),
    actions: &mut Vec<Action>,
) {
    card(ui, Icon::FileArchive, &format!("Archive {}", archive.number), |ui| {
        fact(ui, "Path", archive.path.display().to_string());
        if let Some(of) = &archive.moment {
            fact(ui, "State of", moment(of));
        }
        if let Some(hold) = &archive.hold {
            let since = hold.since.as_ref().map_or_else(String::new, |since| format!(" since {}", moment(since)));
            let note = hold.note.as_ref().map_or_else(String::new, |note| format!(": {note}"));
            let by = if hold.automatic { " by Strongroom" } else { "" };
            fact(ui, "Held", format!("For ever{since}{by}{note}"));
        }
        if archive.problem.is_none() {
            fact(ui, "Content", content(archive));
            fact(ui, "Chosen files", chosen_files(archive));
        }
        fact(ui, "Proven restorable", proven(status, data_file, archive));
        fact(ui, "Last verified", verified(status, archive));
        if archive.moment.is_some() {
            let (how, protection) = stored(archive);
            fact(ui, "Stored", how);
            // How much it survives follows from its length, which is not known of one that is incomplete.
            if archive.missing.is_none() {
                fact(ui, "When damaged", protection);
            }
        }
        if archive.segmented {
            segments(ui, status, archive, named, actions);
        }
        logs_ui(ui, status, data_file, form, archive);
        let damage = data_file.damage_of(archive);
        let problem = damage.map(|damage| &damage.error).or(archive.problem.as_ref());
        // What is damaged is restored by whoever means it: the first thing to do is another.
        let copy = data_file.copy_of(archive).filter(|copy| problem.is_some() && copy.path != archive.path);
        if let Some(problem) = problem.filter(|_| archive.missing.is_none()) {
            ui.add_space(4.0);
            let repaired = copy.map(|copy| ErrorReport {
                hint: Some(format!("Its repaired copy, {}, takes its place.", jobs::name(&copy.path))),
                ..problem.clone()
            });
            error_strip(ui, repaired.as_ref().unwrap_or(problem), |_| ());
        } else {
            let text = "Restored files go to a folder of their own. Nothing that exists is overwritten.";
            ui.add(Label::new(RichText::new(text).color(palette(ui).weak)).wrap());
        }
        ui.add_space(6.0);
        ui.horizontal_wrapped(|ui| {
            let label = format!("Restore archive {}…", archive.number);
            if let Some(copy) = copy {
                let label = format!("Restore the repaired copy of {}…", archive.number);
                if primary_button(ui, Some(Icon::ArchiveRestore), &label, true).clicked() {
                    actions.push(Action::AskRestore(copy.path.clone()));
                }
            } else if damage.is_some_and(Finding::is_for_repair) {
                let label = format!("Repair archive {}…", archive.number);
                if primary_button(ui, Some(Icon::Wrench), &label, true).clicked() {
                    actions.push(Action::WithArchive { archive: archive.path.clone(), then: Then::Repair });
                }
            }
            let restore = match problem {
                None => primary_button(ui, Some(Icon::ArchiveRestore), &label, true),
                Some(_) => button(ui, Some(Icon::ArchiveRestore), &label),
            };
            if restore.clicked() {
                actions.push(Action::AskRestore(archive.path.clone()));
            }
            let in_place = button(ui, Some(Icon::DatabaseBackup), &format!("Restore {} in place…", archive.number));
            let tip = "Bring the data file itself back to an earlier moment, while its programs go on";
            if in_place.on_hover_text(tip).clicked() {
                let (archive, data_file) = (archive.path.clone(), data_file.facts.path.clone());
                actions.push(Action::AskRestoreInPlace { archive, data_file });
            }
            look_ui(ui, data_file, (archive, named), actions);
            let verify = button(ui, Some(Icon::SearchCheck), &format!("Verify archive {}", archive.number));
            if verify.on_hover_text("Read every byte and prove every checksum").clicked() {
                actions.push(Action::WithArchive { archive: archive.path.clone(), then: Then::Verify });
            }
            let test = button(ui, Some(Icon::ShieldCheck), &format!("Test restore {}", archive.number));
            let tip =
                "Restore it with its logs to a scratch folder, check it, and remove it again: the proof that it can be";
            if test.on_hover_text(tip).clicked() {
                actions.push(Action::WithArchive { archive: archive.path.clone(), then: Then::TestRestore });
            }
            let is_offered = copy.is_none() && damage.is_some_and(Finding::is_for_repair);
            let repair =
                (!is_offered).then(|| button(ui, Some(Icon::Wrench), &format!("Repair archive {}…", archive.number)));
            if let Some(repair) = repair
                && repair.on_hover_text("Write a sound copy of a damaged archive").clicked()
            {
                actions.push(Action::WithArchive { archive: archive.path.clone(), then: Then::Repair });
            }
            let number = archive.number;
            if archive.hold.is_some() {
                let release = button(ui, Some(Icon::LockOpen), &format!("Release archive {number}"));
                if release.on_hover_text("From now on it is kept and deleted as the settings say").clicked() {
                    actions.push(Action::Send(Command::Release { archive: archive.path.clone() }));
                }
            }
            let hold = button(ui, Some(Icon::Lock), &format!("Hold archive {number}…"));
            if hold.on_hover_text("Keep it for ever, with a note").clicked() {
                actions.push(Action::AskHold(archive.path.clone()));
            }
            if button(ui, Some(Icon::FolderOpen), "Show archive folder").clicked() {
                let folder = archive.path.parent().unwrap_or(&archive.path);
                actions.push(Action::ShowFolder(folder.to_path_buf()));
            }
        });
    });
}
