//! The tab *Backup & Restore*: how many backups are kept, what happens when one fails, how archives are stored, and
//! what is done by itself when a data file is opened.

use eframe::egui::{Label, RichText, Ui};

use super::{SettingsForm, field, group, panel, remark, said_ui, typed_field};
use crate::{
    archive::{
        ArchiveOptions,
        options::{Compression, Rate},
    },
    backup::{
        self,
        retention::{self, BackupSet, When},
    },
    drill,
    engine::status::DataFileStatus,
    settings::sections::{DeleteOldest, Drill, Retry, RetryUnit, TestRestore},
    storage::space::human_bytes,
    ui::{
        theme::palette,
        widgets::{check_box, choice},
    },
};

const WORD_WIDTH: f32 = 118.0;
/// What a line about test restores takes.
const PROOF_WIDTH: f32 = 540.0;
const LABEL_WIDTH: f32 = 136.0;

pub(super) fn backup_restore_ui(ui: &mut Ui, data_file: &DataFileStatus, form: &mut SettingsForm) {
    ui.spacing_mut().item_spacing.y = 3.0;
    group(ui, "General");
    keep_ui(ui, data_file, form);
    ui.add_space(4.0);
    check_box(ui, &mut form.draft.scheduler.only_if_modified, "Backup only if the data file has been modified");
    failure_ui(ui, form);
    group(ui, "Archive");
    archive_ui(ui, data_file, form);
    group(ui, "Automatic restore");
    let restore = &mut form.draft.restore;
    check_box(ui, &mut restore.if_damaged, "Restore the last backup if the data file is damaged");
    check_box(ui, &mut restore.integrate_log, "Integrate the last log if the data file is incomplete");
}

fn keep_ui(ui: &mut Ui, data_file: &DataFileStatus, form: &mut SettingsForm) {
    let mut only = !form.draft.keep.all;
    ui.horizontal_wrapped(|ui| {
        check_box(ui, &mut only, "Keep only the last");
        ui.add_enabled_ui(only, |ui| typed_field(ui, form, field::LAST, "Number of backups kept", 54.0));
        ui.label("backup files, each with its log");
    });
    form.draft.keep.all = !only;
    said_ui(ui, form, field::LAST);
    if only {
        labelled(ui, "And the newest of", |ui| {
            ui.vertical(|ui| {
                ui.horizontal_wrapped(|ui| {
                    remark(ui, "the last");
                    for (field, periods) in field::STEPS {
                        typed_field(ui, form, field, &format!("Number of {periods} kept"), 30.0);
                        ui.label(periods);
                    }
                });
                for (field, _) in field::STEPS {
                    said_ui(ui, form, field);
                }
            });
        });
        let moments = [
            (DeleteOldest::Before, "before the backup, which needs less space"),
            (DeleteOldest::After, "after the backup"),
        ];
        labelled(ui, "Delete the oldest", |ui| {
            choice(ui, "Delete the oldest", 280.0, &mut form.draft.keep.delete_oldest, &moments);
        });
    }
    preview_ui(ui, data_file, form);
}

/// Which sets the rule would remove now.
fn preview_ui(ui: &mut Ui, data_file: &DataFileStatus, form: &SettingsForm) {
    let keep = &form.draft.keep;
    if keep.all {
        return remark(ui, "Nothing is ever deleted.");
    }
    if backup::destination_by(&data_file.facts.path, &form.draft) != data_file.destination {
        return remark(ui, "The rule counts in the new folder only; what lies in the old one stays.");
    }
    let removed = retention::plan(&data_file.sets, keep, When::Now, &[]);
    let p = palette(ui);
    let colour = if removed.is_empty() { p.weak } else { p.warn.0 };
    ui.add(Label::new(RichText::new(in_words(&removed)).color(colour)).wrap());
    let held: Vec<BackupSet> = data_file.sets.iter().filter(|set| set.hold.is_some()).cloned().collect();
    let sound = retention::stay_as_sound(&data_file.sets, keep);
    for (sets, why) in [(held, "held and stays"), (sound, "not replaced by one known to be as sound, and stays")] {
        if let Some((numbers, is_one)) = listed(&sets) {
            let words = match is_one {
                true => format!("Backup {numbers} is {why}."),
                false => format!("Backups {numbers} are {}.", why.replace("stays", "stay")),
            };
            remark(ui, &words);
        }
    }
}

/// The numbers of sets, oldest first, and whether it is one.
fn listed(sets: &[BackupSet]) -> Option<(String, bool)> {
    let mut numbers: Vec<String> = sets.iter().map(|set| set.number.to_string()).collect();
    numbers.sort();
    match numbers.as_slice() {
        [] => None,
        [one] => Some((one.clone(), true)),
        [others @ .., last] => Some((format!("{} and {last}", others.join(", ")), false)),
    }
}

fn in_words(removed: &[BackupSet]) -> String {
    let bytes = human_bytes(removed.iter().map(|set| set.bytes).sum());
    match listed(removed) {
        None => "With this rule nothing would be removed now.".to_owned(),
        Some((numbers, is_one)) => {
            let backups = if is_one { "backup" } else { "backups" };
            format!("With this rule {backups} {numbers} would be removed now ({bytes}). The next backup does it.")
        }
    }
}

fn failure_ui(ui: &mut Ui, form: &mut SettingsForm) {
    labelled(ui, "If backup fails", |ui| {
        ui.vertical(|ui| {
            let retry = &mut form.draft.failure.retry;
            ui.radio_value(retry, Retry::NextScheduled, "Retry at the next scheduled date and time");
            ui.horizontal_wrapped(|ui| {
                ui.radio_value(&mut form.draft.failure.retry, Retry::After, "Retry after");
                let after = form.draft.failure.retry == Retry::After;
                ui.add_enabled_ui(after, |ui| {
                    typed_field(ui, form, field::RETRY_AFTER, "Time before the retry", 54.0);
                    let units: Vec<_> = RetryUnit::ALL.iter().map(|unit| (*unit, unit.word())).collect();
                    choice(ui, "Unit of that time", 92.0, &mut form.draft.failure.retry_unit, &units);
                });
            });
            said_ui(ui, form, field::RETRY_AFTER);
            ui.horizontal_wrapped(|ui| {
                check_box(ui, &mut form.draft.failure.cancel, "Cancel the operation after");
                let cancel = form.draft.failure.cancel;
                ui.add_enabled_ui(cancel, |ui| typed_field(ui, form, field::CANCEL_AFTER, "Number of attempts", 54.0));
                ui.label("attempts");
                if cancel {
                    remark(ui, "until a backup by hand succeeds");
                }
            });
            said_ui(ui, form, field::CANCEL_AFTER);
        });
    });
}

fn archive_ui(ui: &mut Ui, data_file: &DataFileStatus, form: &mut SettingsForm) {
    beside(ui, "Segment size", |ui| segment_ui(ui, form));
    said_ui(ui, form, field::SEGMENT);
    beside(ui, "Compression rate", |ui| {
        let rates = Compression::ALL.map(|rate| (rate, rate.label()));
        choice(ui, "Compression rate", WORD_WIDTH, &mut form.draft.archive.compression, &rates);
        remark(
            ui,
            match form.draft.archive.compression {
                Compression::None => "as fast as copying",
                Compression::Fast => "as fast as disks are",
                Compression::Compact => "smaller, and several times slower",
            },
        );
    });
    let rates = Rate::ALL.map(|rate| (rate, rate.label()));
    beside(ui, "Interlacing rate", |ui| {
        choice(ui, "Interlacing rate", WORD_WIDTH, &mut form.draft.archive.interlacing, &rates);
        remark(ui, "over how long a stretch recovery data is spread; more memory");
    });
    beside(ui, "Redundancy rate", |ui| {
        choice(ui, "Redundancy rate", WORD_WIDTH, &mut form.draft.archive.redundancy, &rates);
        remark(ui, "how much recovery data is added; slower and larger");
    });
    ui.add_space(4.0);
    panel(ui, |ui| {
        let text = RichText::new(guarantee(data_file, form.draft.archive)).color(palette(ui).strong);
        ui.add(Label::new(text).wrap().selectable(true));
    });
    ui.add_space(4.0);
    beside(ui, "Signature", |ui| {
        check_box(ui, &mut form.draft.archive.sign, "Sign archives");
        remark(ui, "by the key of the user who makes them: shows which are genuine");
    });
    proof_ui(ui, form);
}

/// Which restores are made for a test.
fn proof_ui(ui: &mut Ui, form: &mut SettingsForm) {
    let short = format!("up to {}", human_bytes(drill::MINUTE_BYTES));
    let all =
        [(TestRestore::Automatic, short.as_str()), (TestRestore::Always, "Always"), (TestRestore::Never, "Never")];
    labelled(ui, "Test restore", |ui| {
        let has_room = ui.available_width() >= PROOF_WIDTH;
        ui.vertical(|ui| {
            ui.horizontal(|ui| {
                choice(ui, "Test restore", WORD_WIDTH, &mut form.draft.proof.test_restore, &all);
                remark(ui, "after each backup;");
                if has_room {
                    weekly_ui(ui, form);
                }
            });
            if !has_room {
                weekly_ui(ui, form);
            }
        });
    });
}

fn weekly_ui(ui: &mut Ui, form: &mut SettingsForm) {
    let mut weekly = form.draft.proof.drill == Drill::EveryWeek;
    check_box(ui, &mut weekly, "also of a random archive every week");
    form.draft.proof.drill = if weekly { Drill::EveryWeek } else { Drill::Never };
}

fn segment_ui(ui: &mut Ui, form: &mut SettingsForm) {
    /// What the list calls a size that is typed.
    const OTHER: Option<u64> = Some(u64::MAX);
    let words = field::SEGMENTS.map(|mb| mb.map_or_else(|| "None".to_owned(), |mb| format!("{mb} MB")));
    let mut choices: Vec<(Option<u64>, &str)> =
        field::SEGMENTS.into_iter().zip(words.iter().map(String::as_str)).collect();
    choices.push((OTHER, "Another size"));
    let mut chosen = if form.other_segment { OTHER } else { field::megabytes(&form.draft) };
    if choice(ui, "Segment size", WORD_WIDTH, &mut chosen, &choices) {
        form.other_segment = chosen == OTHER;
        form.forget(field::SEGMENT);
        if !form.other_segment {
            form.draft.archive.segment_bytes = chosen.map(|mb| mb << 20);
        }
    }
    if form.other_segment {
        typed_field(ui, form, field::SEGMENT, "Segment size in MB", 80.0);
        ui.label("MB");
    }
    let text =
        if chosen.is_none() { "archives of one file" } else { "an archive is continued in another file at this size" };
    remark(ui, text);
}

/// What these options guarantee, for an archive as long as the next one.
fn guarantee(data_file: &DataFileStatus, options: ArchiveOptions) -> String {
    let bytes = archive_bytes(data_file);
    let about = format!("For an archive of about {}", human_bytes(bytes));
    match options.guarantee(bytes) {
        Some(guarantee) => {
            format!("{}. {about}.", guarantee.in_words())
        }
        None if options.interlacing != Rate::None => {
            "Interlacing has no effect without redundancy: a damaged archive is noticed, and cannot be repaired."
                .to_owned()
        }
        None => "Without redundancy a damaged archive is noticed, and cannot be repaired.".to_owned(),
    }
}

/// The length of the next archive without recovery data: what is planned, less what the options in force add.
fn archive_bytes(data_file: &DataFileStatus) -> u64 {
    let planned = data_file.plan.as_ref().map_or(data_file.facts.size_bytes, |plan| plan.required_bytes).max(1);
    let larger = data_file.settings.archive.guarantee(planned).map_or(0.0, |guarantee| guarantee.larger_percent);
    ((planned as f64 / (1.0 + larger / 100.0)) as u64).max(1)
}

/// The same for what stands on one line.
fn beside(ui: &mut Ui, label: &str, content: impl FnOnce(&mut Ui)) {
    labelled(ui, label, |ui| _ = ui.horizontal(content));
}

/// A label, and what it is for at its right.
fn labelled(ui: &mut Ui, label: &str, content: impl FnOnce(&mut Ui)) {
    ui.horizontal_top(|ui| {
        ui.allocate_ui_with_layout(
            eframe::egui::vec2(LABEL_WIDTH, 18.0),
            eframe::egui::Layout::top_down(eframe::egui::Align::Min),
            |ui| {
                ui.set_min_width(LABEL_WIDTH);
                ui.add_space(5.0);
                ui.add(Label::new(RichText::new(label).color(palette(ui).weak)).truncate());
            },
        );
        content(ui);
    });
}
