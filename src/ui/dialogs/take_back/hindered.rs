//! What is in the way, record by record, and what is decided about it.

use eframe::egui::{Label, RichText, Ui};

use crate::{
    error::foreign::foreign,
    take_back::{
        Decision,
        query::{Ask, Hindered, Planned},
    },
    ui::{
        action::{Action, TakeBack},
        table::{Cell, Column, Listed, RowEvent, Table, open_column, text_column},
        taking_back::TakeBackForm,
        theme::{self, palette},
        widgets::{Tone, button, check_box, count, operations, strip},
    },
};

const COLUMNS: [Column; 3] = [
    text_column("Record", 190.0).names_row(),
    text_column("Decision", 168.0).said(),
    open_column("In the way", 260.0).said(),
];

const LEFT_OUT: [Column; 3] =
    [text_column("Operation", 110.0).names_row(), text_column("Of", 140.0).said(), open_column("Why", 260.0).said()];

const OVERWRITE: &str = "Take back all the same";
const SKIP: &str = "Leave as it is";

fn ask_hindered(offset: u64, count: u64) -> Ask {
    Ask::Hindered { offset, count }
}

fn ask_left_out(offset: u64, count: u64) -> Ask {
    Ask::LeftOut { offset, count }
}

fn height(rows: u64) -> f32 {
    ((rows + 1) as f32 * theme::ROW_HEIGHT).clamp(3.0 * theme::ROW_HEIGHT, 7.0 * theme::ROW_HEIGHT)
}

/// The records that something is in the way of.
pub(super) fn hindered_ui(ui: &mut Ui, form: &mut TakeBackForm, planned: &Planned, actions: &mut Vec<Action>) {
    if planned.hindered == 0 {
        return;
    }
    let records = |number: u64| if number == 1 { "1 record".to_owned() } else { format!("{} records", count(number)) };
    let what = format!("something is in the way of {}", records(planned.hindered));
    let (tone, hint) = match planned.open {
        0 => (Tone::Neutral, "All of it is decided.".to_owned()),
        open => (
            Tone::Warn,
            format!(
                "{} not decided yet. Select a record, and decide.",
                if open == 1 { "1 record is".to_owned() } else { format!("{} are", records(open)) }
            ),
        ),
    };
    strip(ui, tone, &what, Some(&hint), |ui| {
        if button(ui, None, "Leave all of them").clicked() {
            form.planning.decide(|decisions| {
                decisions.each.clear();
                decisions.all = Some(Decision::Skip);
            });
        }
        if planned.can_be_overwritten > 0 && button(ui, None, "Take all back all the same").clicked() {
            form.planning.decide(|decisions| {
                decisions.each.clear();
                decisions.all = Some(Decision::Overwrite);
            });
        }
    });
    ui.add_space(4.0);
    let seen = std::cell::Cell::new((usize::MAX, 0));
    let planning = &form.planning;
    let decided = |row: &Hindered| match planning.decision(row.step) {
        Some(Decision::Skip) => SKIP,
        Some(Decision::Overwrite) if row.can_be_overwritten => OVERWRITE,
        _ => "Undecided",
    };
    let cell = |at: usize, column: usize| {
        let (first, last) = seen.get();
        seen.set((first.min(at), last.max(at)));
        match (planning.hindered.get(at), column) {
            (None, 0) => Cell::Text("…".to_owned()),
            (None, _) => Cell::Text(String::new()),
            (Some(row), 0) => Cell::Strong(foreign(&row.record).to_string()),
            (Some(row), 1) => Cell::Text(decided(row).to_owned()),
            (Some(row), _) => Cell::Text(foreign(&row.conflicts.join("; ")).to_string()),
        }
    };
    let name = |at: usize| match planning.hindered.get(at) {
        Some(row) => foreign(&row.record).to_string(),
        None => "Reading".to_owned(),
    };
    let rows = planned.hindered as usize;
    let selected = form.hindered.filter(|at| *at < rows);
    let table = Table { name: "Conflicts", columns: &COLUMNS, rows, height: height(planned.hindered), selected };
    let event = table.show_listed(ui, Listed::default(), cell, name).row;
    let (first, last) = seen.get();
    for at in (first..=last).filter(|at| *at < rows && planning.hindered.get(*at).is_none()) {
        actions.extend(planning.missing(at, ask_hindered).map(|ask| Action::TakeBack(TakeBack::Ask(ask))));
    }
    if let Some(RowEvent::Selected(at) | RowEvent::Activated(at)) = event {
        form.hindered = Some(at);
    }
    if let Some(row) = form.hindered.and_then(|at| form.planning.hindered.get(at)).cloned() {
        decide_ui(ui, form, &row);
    }
    ui.add_space(6.0);
}

/// What is in the way of the record that is selected, in full, and what is decided.
fn decide_ui(ui: &mut Ui, form: &mut TakeBackForm, row: &Hindered) {
    ui.add_space(2.0);
    for conflict in &row.conflicts {
        let text = format!("{}: {}.", row.record, conflict.trim_end_matches('.'));
        ui.add(Label::new(RichText::new(foreign(&text).to_string()).color(palette(ui).strong)).wrap().selectable(true));
    }
    let before = form.planning.decision(row.step).filter(|d| *d == Decision::Skip || row.can_be_overwritten);
    let mut now = before;
    ui.horizontal_wrapped(|ui| {
        // Where all is decided in one way, one record alone can only be decided otherwise.
        if form.planning.decisions().all.is_none() {
            ui.radio_value(&mut now, None, "Undecided");
        }
        ui.radio_value(&mut now, Some(Decision::Skip), SKIP);
        let can = row.can_be_overwritten;
        let overwrite = ui.add_enabled_ui(can, |ui| ui.radio_value(&mut now, Some(Decision::Overwrite), OVERWRITE));
        super::why(overwrite.inner, "This cannot be overcome: the record can only be left as it is");
    });
    if now != before {
        let step = row.step as usize;
        form.planning.decide(|decisions| match now {
            Some(decision) => _ = decisions.each.insert(step, decision),
            None => _ = decisions.each.remove(&step),
        });
    }
}

/// The operations that cannot be taken back.
pub(super) fn left_out_ui(ui: &mut Ui, form: &mut TakeBackForm, planned: &Planned, actions: &mut Vec<Action>) {
    if planned.left_out == 0 {
        return;
    }
    strip(ui, Tone::Warn, &format!("{} cannot be taken back", operations(planned.left_out)), None, |_| ());
    ui.add_space(4.0);
    let seen = std::cell::Cell::new((usize::MAX, 0));
    let planning = &form.planning;
    let cell = |at: usize, column: usize| {
        let (first, last) = seen.get();
        seen.set((first.min(at), last.max(at)));
        Cell::Text(match (planning.left_out.get(at), column) {
            (None, 0) => "…".to_owned(),
            (None, _) => String::new(),
            (Some(row), 0) => row.operation.to_string(),
            (Some(row), 1) => row.of.as_ref().map_or_else(String::new, |of| foreign(of).to_string()),
            (Some(row), _) => foreign(&row.reason).to_string(),
        })
    };
    let name = |at: usize| match planning.left_out.get(at) {
        Some(row) => format!("Operation {}", row.operation),
        None => "Reading".to_owned(),
    };
    let rows = planned.left_out_told as usize;
    let table = Table {
        name: "What cannot be taken back",
        columns: &LEFT_OUT,
        rows,
        height: height(planned.left_out_told).min(5.0 * theme::ROW_HEIGHT),
        selected: None,
    };
    table.show_listed(ui, Listed::default(), cell, name);
    let (first, last) = seen.get();
    for at in (first..=last).filter(|at| *at < rows && planning.left_out.get(*at).is_none()) {
        actions.extend(planning.missing(at, ask_left_out).map(|ask| Action::TakeBack(TakeBack::Ask(ask))));
    }
    if planned.left_out > planned.left_out_told {
        let more = operations(planned.left_out - planned.left_out_told);
        ui.label(RichText::new(format!("and {more} more")).color(palette(ui).weak));
    }
    let is_skipped = form.planning.decisions().all == Some(Decision::Skip);
    let mut leaves = form.planning.decisions().leaves_out || is_skipped;
    ui.add_enabled_ui(!is_skipped, |ui| check_box(ui, &mut leaves, "Leave them as they are, and take back the others"));
    if !is_skipped {
        form.planning.decide(|decisions| decisions.leaves_out = leaves);
    }
    ui.add_space(6.0);
}
