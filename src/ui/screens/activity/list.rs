//! The list: commits, the newest first, and below the one that is opened its operations.

use std::cell::Cell as Noted;

use eframe::egui::Ui;
use lucide_icons::Icon;

use crate::{
    activity::query::{Brief, CommitRow},
    error::foreign::foreign,
    storage::space::human_bytes,
    take_back::OperationId,
    ui::{
        action::Action,
        activity::{ActivityForm, Opened, Selected, UNKNOWN, feed::Feed, words},
        page,
        parts::{LISTED_MAX, parts_ui},
        table::{Cell, Column, Listed, ListedEvent, RowEvent, Table, figure_column, open_column, text_column},
        theme,
        widgets::{commits, count, moment},
    },
};

const COLUMNS: [Column; 6] = [
    text_column("Time", 194.0).names_row(),
    figure_column("Commit", 72.0).names_row(),
    open_column("What", 160.0).names_row(),
    text_column("Key", 80.0).said(),
    open_column("Changes", 150.0).said(),
    figure_column("Size", 74.0),
];

/// Room below the list for the operation that is shown in full.
const DETAIL_HEIGHT: f32 = 290.0;

/// So many rows are to be seen at the least, the titles among them: a commit, and below it some of its operations.
/// Where that leaves less than the detail needs, the page is scrolled to it.
const LEAST_ROWS: f32 = 6.0;

/// A line of the list.
#[derive(Debug, Clone, Copy)]
enum Line<'a> {
    Commit(&'a CommitRow, u64),
    Operation(&'a Brief, u64, u64),
    /// It has not come yet: a commit, or an operation of one.
    Awaited(Option<u64>, u64),
}

/// Which line is where.
struct Lines<'a> {
    feed: &'a Feed,
    first: u64,
    commits: u64,
    opened: Option<Opened>,
}

impl<'a> Lines<'a> {
    fn of(form: &'a ActivityForm) -> Self {
        let commits = form.feed.total().saturating_sub(form.first).min(LISTED_MAX);
        let is_here = |opened: &Opened| (form.first..form.first + commits).contains(&opened.nth);
        Self { feed: &form.feed, first: form.first, commits, opened: form.opened.filter(is_here) }
    }

    /// The operations that are listed, and the row of the commit above them.
    fn below(&self) -> (u64, u64) {
        self.opened.map_or((0, u64::MAX), |opened| (opened.count.min(LISTED_MAX), opened.nth - self.first))
    }

    fn count(&self) -> usize {
        (self.commits + self.below().0) as usize
    }

    fn at(&self, row: usize) -> Line<'a> {
        let (row, (below, above)) = (row as u64, self.below());
        let nth = match self.opened {
            Some(opened) if row > above && row <= above + below => {
                let nth = row - above - 1;
                return match self.feed.operation(opened.commit, nth) {
                    Some(brief) => Line::Operation(brief, opened.commit, nth),
                    None => Line::Awaited(Some(opened.commit), nth),
                };
            }
            Some(_) if row > above => self.first + row - below,
            _ => self.first + row,
        };
        self.feed.commit(nth).map_or(Line::Awaited(None, nth), |commit| Line::Commit(commit, nth))
    }

    /// The row of what is selected.
    fn row_of(&self, selected: &Selected) -> Option<usize> {
        let commit = selected.nth.checked_sub(self.first).filter(|at| *at < self.commits)?;
        let (below, above) = self.below();
        match (selected.operation, self.opened) {
            (Some((_, nth)), Some(opened)) if opened.commit == selected.commit => Some((above + 1 + nth) as usize),
            (Some(_), _) => None,
            (None, _) if commit > above => Some((commit + below) as usize),
            (None, _) => Some(commit as usize),
        }
    }

    fn is_opened(&self, commit: u64) -> bool {
        self.opened.is_some_and(|opened| opened.commit == commit)
    }
}

pub(super) fn list_ui(ui: &mut Ui, form: &mut ActivityForm, actions: &mut Vec<Action>) {
    other_commits_ui(ui, form);
    resolve(form);
    let lines = Lines::of(form);
    let rows = lines.count();
    // The same for whatever is selected: a row that the arrows lead to stays in sight.
    let below = if form.selected.is_some() || form.detail.is_some() { DETAIL_HEIGHT } else { 0.0 };
    let height = (page::room(ui) - below)
        .clamp(LEAST_ROWS * theme::ROW_HEIGHT, 24.0 * theme::ROW_HEIGHT)
        .min((rows + 1) as f32 * theme::ROW_HEIGHT)
        .max(4.0 * theme::ROW_HEIGHT);
    let seen = Noted::new((usize::MAX, 0));
    let cell = |row: usize, column: usize| {
        let (first, last) = seen.get();
        seen.set((first.min(row), last.max(row)));
        match lines.at(row) {
            Line::Commit(commit, _) => of_commit(commit, column, lines.is_opened(commit.commit)),
            Line::Operation(brief, ..) => of_operation(brief, column),
            Line::Awaited(..) if column == 0 => Cell::Text("…".to_owned()),
            Line::Awaited(..) => Cell::Text(String::new()),
        }
    };
    let name = |row: usize| match lines.at(row) {
        Line::Commit(commit, _) => {
            let opened = match (commit.only.is_some(), lines.is_opened(commit.commit)) {
                (true, _) => "",
                (false, true) => ", its operations follow",
                (false, false) => ", closed",
            };
            let (what, time) = (words::commit(commit), moment(&commit.time));
            format!("Commit {}, {time}, {what}{opened}", commit.commit)
        }
        Line::Operation(brief, ..) => format!("Operation {}, {}", brief.number, words::operation(brief)),
        Line::Awaited(..) => "Reading".to_owned(),
    };
    let selected = form.selected.and_then(|selected| lines.row_of(&selected));
    let table = Table { name: "Commits", columns: &COLUMNS, rows, height, selected };
    let picked = &form.picked;
    let marked = |row: usize| match lines.at(row) {
        Line::Commit(commit, _) => picked.has_commit(commit.commit),
        Line::Operation(brief, commit, _) => picked.has(OperationId { commit, number: brief.number }),
        Line::Awaited(..) => selected == Some(row),
    };
    let listed = Listed { descending: Some(form.newest_first), sorted: None, go_to: form.go_to, marked: Some(&marked) };
    let ListedEvent { row: event, how, is_turned, all, .. } = table.show_listed(ui, listed, cell, name);
    // What is seen and has not come is asked for.
    let (first, last) = seen.get();
    let visible = if first <= last { (first, last) } else { form.visible };
    for row in visible.0..=visible.1.min(rows.saturating_sub(1)) {
        match lines.at(row) {
            Line::Awaited(None, nth) => actions.push(Action::AskActivity(lines.feed.ask_for_commit(nth))),
            Line::Awaited(Some(commit), nth) => {
                actions.push(Action::AskActivity(Feed::ask_for_operation(commit, nth)));
            }
            _ => {}
        }
    }
    let chosen = event.map(|event| match event {
        RowEvent::Selected(row) => (chosen(&lines, row), false),
        RowEvent::Activated(row) => (chosen(&lines, row), true),
    });
    let at = event.map(|(RowEvent::Selected(row) | RowEvent::Activated(row))| row);
    (form.visible, form.go_to) = (visible, None);
    if let Some((Some((selected, detail)), is_activated)) = chosen {
        if form.selected.is_none() {
            // The list gives room to what is shown below it, and keeps the row in sight.
            form.go_to = at;
        }
        form.select(selected, detail);
        form.pick(selected, how);
        if is_activated && selected.operation.is_none() && selected.operations > 1 {
            form.turn(selected);
        }
    }
    if all {
        form.pick_all();
    }
    if is_turned {
        form.newest_first = !form.newest_first;
        form.go_to_beginning();
    }
}

/// What a row selects, and the operation that it shows.
fn chosen(lines: &Lines<'_>, row: usize) -> Option<(Selected, Option<(u64, u64)>)> {
    match lines.at(row) {
        Line::Commit(commit, nth) => {
            let selected = Selected { commit: commit.commit, nth, operations: commit.operations, operation: None };
            Some((selected, commit.only.as_ref().map(|only| (commit.commit, only.number))))
        }
        Line::Operation(brief, commit, nth) => {
            let opened = lines.opened?;
            let operation = Some((brief.number, nth));
            let selected = Selected { commit, nth: opened.nth, operations: opened.count, operation };
            Some((selected, Some((commit, brief.number))))
        }
        // The keyboard goes faster than rows come: what it is becomes known when it has come.
        Line::Awaited(Some(commit), nth) => {
            let opened = lines.opened?;
            let operation = Some((UNKNOWN, nth));
            Some((Selected { commit, nth: opened.nth, operations: opened.count, operation }, None))
        }
        Line::Awaited(None, nth) => Some((Selected { commit: UNKNOWN, nth, operations: 0, operation: None }, None)),
    }
}

/// What was selected before it had come is known now.
fn resolve(form: &mut ActivityForm) {
    let Some(selected) = form.selected else { return };
    match selected.operation {
        Some((UNKNOWN, nth)) => {
            if let Some(number) = form.feed.operation(selected.commit, nth).map(|brief| brief.number) {
                let operation = Some((number, nth));
                form.known(Selected { operation, ..selected }, Some((selected.commit, number)));
            }
        }
        None if selected.commit == UNKNOWN => {
            if let Some(row) = form.feed.commit(selected.nth) {
                let detail = row.only.as_ref().map(|only| (row.commit, only.number));
                let (commit, operations) = (row.commit, row.operations);
                form.known(Selected { commit, operations, ..selected }, detail);
            }
        }
        _ => {}
    }
}

fn of_commit(commit: &CommitRow, column: usize, is_opened: bool) -> Cell {
    let only = commit.only.as_ref();
    let time = || commit.time.with_timezone(&chrono::Local).format("%Y-%m-%d %H:%M:%S").to_string();
    match column {
        0 => match only {
            Some(_) => Cell::Icon(Icon::Dot, time()),
            None if is_opened => Cell::Icon(Icon::ChevronDown, time()),
            None => Cell::Icon(Icon::ChevronRight, time()),
        },
        1 => Cell::Text(count(commit.commit)),
        2 => Cell::Strong(words::commit(commit)),
        _ => only.map_or_else(|| Cell::Text(String::new()), |only| of_operation(only, column)),
    }
}

fn of_operation(brief: &Brief, column: usize) -> Cell {
    Cell::Text(match column {
        0 => format!("        Operation {}", count(brief.number)),
        1 => String::new(),
        2 => words::operation(brief),
        3 => brief.key.as_ref().map_or_else(String::new, |key| foreign(key).to_string()),
        4 => match brief.count {
            Some(records) if brief.object.is_some() => format!("with {} records", count(records)),
            Some(pages) => format!("{} pages", count(pages)),
            None => foreign(&brief.changes).to_string(),
        },
        _ if brief.bytes == 0 => String::new(),
        _ => human_bytes(brief.bytes),
    })
}

/// So many commits are not in one list: earlier and later ones are gone to.
fn other_commits_ui(ui: &mut Ui, form: &mut ActivityForm) {
    let total = form.feed.total();
    if total <= LISTED_MAX {
        form.first = 0;
        return;
    }
    if let Some(to) = parts_ui(ui, form.first, total, &commits(total)) {
        form.go_to_beginning();
        form.first = to;
    }
}
