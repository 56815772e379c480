//! The side bar: the themes at its head, then the data files.

use eframe::egui::{
    Align, Button, CornerRadius, Frame, Id, Label, Layout, Margin, Panel, RichText, ScrollArea, Sense, Stroke, Ui,
    WidgetInfo, WidgetType, vec2,
};
use lucide_icons::Icon;

use super::{
    action::Action,
    attention::urgent_count,
    commands::MenuCommand,
    jobs,
    state::State,
    theme::{self, SIDE_BAR_PART, SIDE_BAR_WIDTH, palette},
    widgets::{Tone, badge, text_field},
};
use crate::{
    engine::{
        Status,
        history::Outcome,
        status::{DataFileStatus, JobStatus},
    },
    warning::{Warning, WarningKind},
};

pub(crate) fn side_bar_ui(ui: &mut Ui, status: &Status, state: &mut State, actions: &mut Vec<Action>) {
    let side = palette(ui).side;
    let frame = Frame::new().fill(side).inner_margin(Margin { left: 14, right: 14, top: 16, bottom: 10 });
    let (part, least) = SIDE_BAR_PART;
    let width = SIDE_BAR_WIDTH.min(ui.ctx().content_rect().width() * part).max(least);
    let panel = Panel::left("side").resizable(false).exact_size(width).show_separator_line(false).frame(frame);
    panel.show(ui, |ui| {
        ui.with_layout(Layout::bottom_up(Align::Min), |ui| {
            ui.label(RichText::new(&status.program).text_style(eframe::egui::TextStyle::Small).color(palette(ui).weak));
            ui.with_layout(Layout::top_down(Align::Min), |ui| {
                let room = ui.available_height();
                ScrollArea::vertical().auto_shrink(false).show(ui, |ui| {
                    // What never changes first: data files come and go, and a list that grows would move it under the
                    // pointer.
                    let pages = [
                        MenuCommand::ShowOverview,
                        MenuCommand::ShowMaintenance,
                        MenuCommand::ShowRestore,
                        MenuCommand::ShowActivity,
                        MenuCommand::ShowJournal,
                    ];
                    for command in pages {
                        theme_ui(ui, command, state, actions);
                    }
                    ui.add_space(14.0);
                    let room = room - ui.min_rect().height() - FIND_HEIGHT;
                    data_files(ui, status, state, room, actions);
                });
            });
        });
    });
}

/// The state of a data file in a word: the most urgent there is to say.
pub(crate) fn state_word(status: &Status, data_file: &DataFileStatus) -> (Tone, &'static str) {
    if data_file.silent_since.is_some() {
        return NO_ANSWER;
    }
    let own = |job: &&JobStatus| job.data_file.as_ref() == Some(&data_file.facts.path);
    let jobs: Vec<&JobStatus> = status.jobs.iter().filter(own).collect();
    let is_asking = jobs.iter().any(|job| job.question.is_some());
    let work = if is_asking { Some((Tone::Warn, "Waits for an answer")) } else { None };
    let work = work.or_else(|| (!jobs.is_empty()).then_some((Tone::Neutral, "Working")));
    let last = data_file.last_backup.as_ref().map(|last| last.outcome);
    word(data_file.lost_since.is_some(), &data_file.warnings, work, last)
}

/// A calm word never stands beside an urgent warning, whatever goes on.
fn word(
    is_lost: bool,
    warnings: &[Warning],
    work: Option<(Tone, &'static str)>,
    last: Option<Outcome>,
) -> (Tone, &'static str) {
    if is_lost {
        return (Tone::Bad, "Nobody looks after it");
    }
    let urgent = warnings.iter().filter(|warning| warning.kind.is_urgent()).find_map(|warning| word_of(warning.kind));
    let other = || warnings.iter().find_map(|warning| word_of(warning.kind));
    if let Some(word) = urgent.or(work).or_else(other) {
        return word;
    }
    match last {
        None => (Tone::Warn, "No backup yet"),
        Some(last) => match last {
            Outcome::Succeeded | Outcome::Skipped => (Tone::Good, "Backed up"),
            Outcome::Running => (Tone::Neutral, "Working"),
            Outcome::Partial => (Tone::Warn, "Backed up with problems"),
            Outcome::Failed => (Tone::Bad, "Last backup failed"),
            Outcome::Stopped => (Tone::Warn, "Last backup stopped"),
            Outcome::Interrupted => (Tone::Warn, "Last backup interrupted"),
            Outcome::Missed => (Tone::Warn, "Last backup missed"),
        },
    }
}

/// What is said of a data file whose engine says nothing.
const NO_ANSWER: (Tone, &str) = (Tone::Bad, "Does not answer");

/// The first of what cannot wait, in a word.
pub(crate) fn urgent_word(data_file: &DataFileStatus) -> (Tone, &'static str) {
    if data_file.silent_since.is_some() {
        return NO_ANSWER;
    }
    word(data_file.lost_since.is_some(), &data_file.warnings, None, None)
}

/// What is worth a word beside the name; advice about places is not, and what the last backup tells itself.
fn word_of(kind: WarningKind) -> Option<(Tone, &'static str)> {
    use WarningKind as K;
    Some(match kind {
        K::DataFileDamaged => (Tone::Bad, "Problem"),
        K::RestoredAutomatically => (Tone::Bad, "Was restored by itself"),
        K::PlaceMissing => (Tone::Bad, "Backup folder missing"),
        K::JobStalled => (Tone::Bad, "A job stands still"),
        K::BackupSuspended => (Tone::Bad, "Backups are suspended"),
        K::BackupFailed => (Tone::Bad, "Last backup failed"),
        K::BackupOverdue => (Tone::Bad, "Backup overdue"),
        K::ContentDamaged => (Tone::Bad, "Backups are damaged"),
        K::ContentChanged => (Tone::Bad, "Content has changed"),
        K::ContentNotChecked => (Tone::Warn, "Content not checked"),
        K::TestRestoreFailed => (Tone::Bad, "Test restore failed"),
        K::ArchiveDamaged => (Tone::Bad, "Archive damaged"),
        K::ArchivesGone => (Tone::Bad, "Archives are gone"),
        K::LogBroken => (Tone::Bad, "Log broken"),
        K::ProgramWaits => (Tone::Bad, "A program waits"),
        K::OtherName => (Tone::Bad, "Used by another name"),
        K::SettingsGone => (Tone::Bad, "Settings were gone"),
        K::SharedSettings => (Tone::Bad, "Shares its settings"),
        K::DataFileIncomplete => (Tone::Bad, "Lacks commits"),
        K::NotWritable => (Tone::Bad, "Folder cannot be written"),
        K::BackupMissed => (Tone::Warn, "Backup missed"),
        K::BackupPartial => (Tone::Warn, "Backed up with problems"),
        K::Unwatched => (Tone::Warn, "Was not watched"),
        K::UnfinishedTransaction => (Tone::Warn, "Unfinished transaction"),
        K::StrayProgram => (Tone::Bad, "Old file in use"),
        _ if kind.is_urgent() => (Tone::Bad, "Needs attention"),
        _ => return None,
    })
}

/// More than these scroll in a list of their own, with a field to find one.
const SHOWN_MAX: usize = 6;
const ROW_HEIGHT: f32 = 50.0;
/// In a low window the list is lower, but never than this.
const ROWS_MIN: f32 = 3.0;
/// Room for the field below it.
const FIND_HEIGHT: f32 = 46.0;

fn data_files(ui: &mut Ui, status: &Status, state: &mut State, room: f32, actions: &mut Vec<Action>) {
    let all: Vec<&DataFileStatus> = state.order.iter().filter_map(|path| status.data_file(path)).collect();
    if all.len() <= SHOWN_MAX {
        all.iter().for_each(|data_file| data_file_ui(ui, status, data_file, state, actions));
        return;
    }
    let (width, count) = (ui.available_width() - 20.0, all.len());
    let wanted = state.search.trim().to_lowercase();
    let found: Vec<&DataFileStatus> = all
        .into_iter()
        .filter(|d| wanted.is_empty() || d.facts.path.to_string_lossy().to_lowercase().contains(&wanted))
        .collect();
    let height = room.clamp(ROWS_MIN * ROW_HEIGHT, SHOWN_MAX as f32 * ROW_HEIGHT);
    ScrollArea::vertical().id_salt("data files").max_height(height).auto_shrink(true).show_rows(
        ui,
        ROW_HEIGHT - ui.spacing().item_spacing.y,
        found.len(),
        |ui, rows| {
            for row in rows {
                data_file_ui(ui, status, found[row], state, actions);
            }
        },
    );
    // Below the list: above, it would move the list when it comes.
    text_field(ui, "Find data file", &mut state.search, &format!("Find among {count}"), width);
    if found.is_empty() {
        ui.label(RichText::new("No data file has this in its path.").color(palette(ui).weak));
    }
}

fn data_file_ui(ui: &mut Ui, status: &Status, data_file: &DataFileStatus, state: &State, actions: &mut Vec<Action>) {
    let path = &data_file.facts.path;
    let is_current = state.current.as_ref() == Some(path);
    let is_new = state.unseen.contains(path);
    let (tone, word) = state_word(status, data_file);
    // Many applications call theirs by the same name.
    let folder = jobs::apart_of(status, path);
    let p = palette(ui);
    let line = if is_current { Stroke::new(1.0, p.edge) } else { Stroke::NONE };
    let fill = if is_current { p.card } else { p.side };
    let shown = Frame::new()
        .fill(fill)
        .stroke(line)
        .corner_radius(CornerRadius::same(8))
        .inner_margin(Margin::symmetric(10, 6))
        .show(ui, |ui| {
            ui.set_width(ui.available_width());
            ui.horizontal_top(|ui| {
                ui.label(theme::icon(Icon::Database, 17.0).color(p.accent));
                let urgent = urgent_count(data_file);
                ui.with_layout(Layout::right_to_left(Align::Min), |ui| {
                    if urgent > 0 {
                        badge(ui, Tone::Bad, &urgent.to_string()).on_hover_text("So many urgent warnings");
                    }
                    if is_new {
                        badge(ui, Tone::Neutral, "New").on_hover_text("Opened by another window or command");
                    }
                    ui.with_layout(Layout::top_down(Align::Min), |ui| {
                        ui.spacing_mut().item_spacing.y = 1.0;
                        ui.add(Label::new(theme::strong(jobs::name(path), ui)).truncate());
                        let small = eframe::egui::TextStyle::Small;
                        // What tells it apart comes first: the line may be cut.
                        let folder = folder.as_ref().map_or_else(String::new, |folder| format!("{folder}: "));
                        let word = RichText::new(format!("{folder}{word}")).text_style(small).color(tone.colours(ui).0);
                        ui.add(Label::new(word).truncate());
                    });
                });
            });
        })
        .response;
    // Under an id of its own: the frame's is registered already, without the focus, and would give it up again.
    let response = ui.interact(shown.rect, Id::new(("data file", path)), Sense::click());
    let response = response.on_hover_text(path.display().to_string());
    let name = match &folder {
        None => format!("Data file {}", jobs::name(path)),
        Some(folder) => format!("Data file {} in {folder}", jobs::name(path)),
    };
    let name = if is_new { format!("{name}, new: opened by another window or command") } else { name };
    response.widget_info(|| WidgetInfo::selected(WidgetType::SelectableLabel, true, is_current, &name));
    ui.ctx().accesskit_node_builder(response.id, |node| node.set_description(word));
    if response.has_focus() {
        ui.painter().rect_stroke(response.rect, 8.0, Stroke::new(2.0, p.accent), eframe::egui::StrokeKind::Inside);
    }
    if response.clicked() {
        actions.push(Action::ShowDataFile(path.clone()));
    }
}

fn theme_ui(ui: &mut Ui, command: MenuCommand, state: &State, actions: &mut Vec<Action>) {
    let Some(page) = command.page() else {
        return;
    };
    let p = palette(ui);
    let is_current = state.page == page;
    let colour = if is_current { p.accent } else { p.text };
    let label = RichText::new(command.label()).color(if is_current { p.strong } else { p.text });
    let button = Button::selectable(is_current, (theme::icon(command.icon(), 16.0).color(colour), label))
        .min_size(vec2(ui.available_width(), 34.0));
    let shortcut = command.shortcut_text(ui.ctx());
    let response = ui.add(button).on_hover_text(format!("{} ({shortcut})", command.tooltip()));
    response.widget_info(|| WidgetInfo::selected(WidgetType::Button, true, is_current, command.label()));
    if response.clicked() {
        actions.push(Action::Show(page));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_most_urgent_warning_is_the_word_whatever_else_there_is() {
        use WarningKind as K;
        let warning = |kind| Warning::new(kind, "", "");
        let working = Some((Tone::Neutral, "Working"));
        let done = Some(Outcome::Succeeded);
        // The urgent first, as the engine sorts them; one without a word of its own, one that others with a word
        // follow.
        for kind in [K::StrayProgram, K::LogBroken, K::OtherName, K::ArchiveDamaged] {
            for rest in [K::ContentNotChecked, K::Unwatched, K::SameDisk] {
                let (tone, said) = word(false, &[warning(kind), warning(rest)], working, done);
                assert!(tone == Tone::Bad && said != "Working", "{kind:?} {rest:?}: {said}");
            }
        }
        assert_eq!(word(false, &[warning(K::LogBroken), warning(K::NotWritable)], None, done).1, "Log broken");
        assert_eq!(word(false, &[warning(K::SameDisk)], working, done), (Tone::Neutral, "Working"));
        assert_eq!(word(false, &[warning(K::Unwatched)], None, done).1, "Was not watched");
        assert_eq!(word(false, &[warning(K::SameDisk)], None, done), (Tone::Good, "Backed up"));
        assert_eq!(word(true, &[], working, done).1, "Nobody looks after it");
    }
}
