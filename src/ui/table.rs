//! A table whose rows are drawn only where they are seen, so that a thousand cost no more than twenty.
//!
//! For the keyboard and for a screen reader it is one list: the focus is the table's, the arrows choose the row in it,
//! and a row reads all its cells. Its columns are sorted by their titles, made wider at their edges, and scrolled to
//! where there is no room for all; the first one, which names the row, stays.

mod listed;
mod rows;
mod widths;

use eframe::egui::{
    CornerRadius, EventFilter, Frame, Id, Key, Margin, Modifiers, Rect, RichText, Sense, Stroke, Ui, UiBuilder,
    accesskit::{Action as Asked, Role},
    vec2,
};
use egui_table::HeaderRow;

use super::{
    spoken::bounds,
    theme::{ROW_HEIGHT, palette},
    widgets::Tone,
};
pub(crate) use listed::{How, Listed, ListedEvent};
use rows::Rows;

/// A column of a table. Those that are looked for most come first: the last ones are scrolled to in a small window.
pub(crate) struct Column<'a> {
    /// Its title.
    title: &'a str,
    /// Its width; of an open one the least.
    width: f32,
    /// Whether it shares what the others leave.
    is_open: bool,
    /// Whether it holds figures, which stand at the right.
    figures: bool,
    /// What a screen reader says before its text, which would not be understood alone.
    said: Option<&'a str>,
    /// Whether the name of the row says the same.
    names_row: bool,
}

impl Column<'_> {
    /// Is not read out: the name of the row says the same.
    pub(crate) const fn names_row(self) -> Self {
        Self { names_row: true, ..self }
    }

    /// Is read out with its title.
    pub(crate) const fn said(self) -> Self {
        Self { said: Some(self.title), ..self }
    }
}

/// A column of texts.
pub(crate) const fn text_column(title: &str, width: f32) -> Column<'_> {
    Column { title, width, is_open: false, figures: false, said: None, names_row: false }
}

/// A column of texts that shares what the others leave, and is never narrower than `least`.
pub(crate) const fn open_column(title: &str, least: f32) -> Column<'_> {
    Column { is_open: true, ..text_column(title, least) }
}

/// A column of figures.
pub(crate) const fn figure_column(title: &str, width: f32) -> Column<'_> {
    Column { figures: true, ..text_column(title, width) }
}

/// What a cell shows.
pub(crate) enum Cell {
    /// A text.
    Text(String),
    /// The text that names the row.
    Strong(String),
    /// A text with an icon before it.
    Icon(lucide_icons::Icon, String),
    /// A path; where there is no room for all of it, its end is shown.
    Path(String),
    /// A word on a coloured ground.
    Badge(Tone, String),
}

impl Cell {
    fn text(&self) -> &str {
        let (Self::Text(text) | Self::Strong(text) | Self::Icon(_, text) | Self::Path(text) | Self::Badge(_, text)) =
            self;
        text
    }
}

/// What a row is sorted by.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum SortKey {
    /// Not known: before everything else.
    Unknown,
    /// A number, or a moment as one.
    Number(i128),
    /// A text; capital letters do not count.
    Text(String),
}

impl SortKey {
    /// A text.
    pub(crate) fn text(text: &str) -> Self {
        Self::Text(text.to_lowercase())
    }

    /// A number that may not be known.
    pub(crate) fn number(number: Option<impl Into<i128>>) -> Self {
        number.map_or(Self::Unknown, |number| Self::Number(number.into()))
    }
}

/// What happened to a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RowEvent {
    /// It was selected.
    Selected(usize),
    /// It was double-clicked, or Enter was pressed on it.
    Activated(usize),
}

/// By which column a table is sorted, and whether the greatest comes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Sorted {
    column: usize,
    descending: bool,
}

/// What is remembered of a table between two frames.
#[derive(Debug, Clone, Default)]
struct Kept {
    sorted: Option<Sorted>,
    /// The row that the keyboard is at, where none is selected.
    at: usize,
    /// The column that was scrolled to.
    column: usize,
    /// The column to scroll to when the table is drawn again.
    go: Option<usize>,
    /// Whether the table had the focus.
    focused: bool,
    widths: widths::Widths,
}

/// A table, before it is shown.
pub(crate) struct Table<'a> {
    /// What it lists: its name, by which its sorting and its widths are remembered.
    pub(crate) name: &'a str,
    /// Its columns; the first one names the row.
    pub(crate) columns: &'a [Column<'a>],
    /// How many rows it has.
    pub(crate) rows: usize,
    /// How high it is at most.
    pub(crate) height: f32,
    /// The row that is selected.
    pub(crate) selected: Option<usize>,
}

/// Names the part of it that the library shows.
const COLUMNS: &str = "columns";
const PADDING: f32 = 10.0;
/// What is lower than this does not scroll, in the library.
const SCROLLED_LEAST: f32 = 64.0;
/// More rows are not gone over by one press of a key.
const PAGE: usize = 8;

/// Where the arrows lead from a row; `None` where they do not.
fn step(ui: &Ui, at: usize, rows: usize) -> Option<usize> {
    let pressed = |key| ui.input_mut(|i| i.consume_key(Modifiers::NONE, key));
    let last = rows.checked_sub(1)?;
    let to = if pressed(Key::ArrowDown) {
        at + 1
    } else if pressed(Key::ArrowUp) {
        at.saturating_sub(1)
    } else if pressed(Key::PageDown) {
        at + PAGE
    } else if pressed(Key::PageUp) {
        at.saturating_sub(PAGE)
    } else if pressed(Key::Home) {
        0
    } else if pressed(Key::End) {
        last
    } else {
        return None;
    };
    Some(to.min(last))
}

/// In which order rows are shown.
struct Order {
    rows: usize,
    /// The rows in that order; `None` where it is their own.
    sorted: Option<Vec<usize>>,
}

impl Order {
    /// The row that is shown at a place.
    fn row(&self, at: usize) -> Option<usize> {
        match &self.sorted {
            Some(rows) => rows.get(at).copied(),
            None => (at < self.rows).then_some(at),
        }
    }

    /// The place at which a row is shown.
    fn place(&self, row: usize) -> Option<usize> {
        match &self.sorted {
            Some(rows) => rows.iter().position(|other| *other == row),
            None => (row < self.rows).then_some(row),
        }
    }
}

/// The rows in the order in which they are shown.
fn in_order(rows: usize, sorted: Option<Sorted>, key: impl Fn(usize, usize) -> SortKey) -> Vec<usize> {
    let mut order: Vec<usize> = (0..rows).collect();
    if let Some(Sorted { column, descending }) = sorted {
        order.sort_by_cached_key(|row| key(*row, column));
        if descending {
            order.reverse();
        }
    }
    order
}

impl Table<'_> {
    /// Shows the table. `name` is what a screen reader says of a row before its cells, and `key` what a column is
    /// sorted by.
    pub(crate) fn show(
        self,
        ui: &mut Ui,
        cell: impl Fn(usize, usize) -> Cell,
        name: impl Fn(usize) -> String,
        key: impl Fn(usize, usize) -> SortKey,
    ) -> Option<RowEvent> {
        let id = Id::new(("table", self.name)).with("kept");
        let sorted = ui.data(|d| d.get_temp::<Kept>(id)).and_then(|kept| kept.sorted);
        let order = Order { rows: self.rows, sorted: Some(in_order(self.rows, sorted, key)) };
        self.framed(ui, (cell, name), (&order, None)).0
    }

    fn framed(
        self,
        ui: &mut Ui,
        drawn: (impl Fn(usize, usize) -> Cell, impl Fn(usize) -> String),
        order: (&Order, Option<(Option<Sorted>, Listed<'_>)>),
    ) -> (Option<RowEvent>, Option<Sorted>) {
        let p = palette(ui);
        // Room below, so that the last row does not cover the rounded corners.
        let margin = Margin { bottom: 6, ..Margin::ZERO };
        let frame = Frame::new().fill(p.card).stroke(Stroke::new(1.0, p.edge)).inner_margin(margin);
        frame.corner_radius(CornerRadius::same(10)).show(ui, |ui| self.content(ui, drawn, order)).inner
    }

    fn content(
        self,
        ui: &mut Ui,
        (cell, name): (impl Fn(usize, usize) -> Cell, impl Fn(usize) -> String),
        (order, listed): (&Order, Option<(Option<Sorted>, Listed<'_>)>),
    ) -> (Option<RowEvent>, Option<Sorted>) {
        let p = palette(ui);
        let id = Id::new(("table", self.name));
        let kept_id = id.with("kept");
        let mut kept = ui.data(|d| d.get_temp::<Kept>(kept_id)).unwrap_or_default();
        if let Some((sorted, _)) = listed {
            kept.sorted = sorted;
        }
        let place = |row: usize| order.place(row);
        let mut at = self.selected.and_then(place).unwrap_or(kept.at).min(self.rows.saturating_sub(1));

        let bar = ui.spacing().scroll.allocated_width();
        let width = ui.available_width();
        let all = self.rows as f32 * ROW_HEIGHT;
        let rows_height = (self.height - ROW_HEIGHT).max(3.0 * ROW_HEIGHT).min(all);
        let room = width - if all > rows_height { bar } else { 0.0 };
        let mut inner = egui_table::Table::new().id_salt(COLUMNS).num_rows(self.rows as u64);
        inner = inner.headers([HeaderRow::new(ROW_HEIGHT)]);
        let columns = kept.widths.columns(ui, id, self.columns, room);
        let is_wide = columns.iter().map(|column| column.current).sum::<f32>() > room + 0.5;
        // The first column stays where the others have room beside it.
        let stays = is_wide && columns.first().is_some_and(|first| first.current < room / 2.0);
        inner = inner.columns(columns).num_sticky_cols(usize::from(stays));
        // Below the rows, where what scrolls is high enough for a bar at all.
        let below = if is_wide { bar.max(SCROLLED_LEAST + bar - ROW_HEIGHT - rows_height) } else { 0.0 };
        let (rect, _) = ui.allocate_exact_size(vec2(width, ROW_HEIGHT + rows_height + below), Sense::hover());
        let top = CornerRadius { nw: 10, ne: 10, sw: 0, se: 0 };
        let head = rect.with_max_y(rect.top() + ROW_HEIGHT);
        ui.painter().rect_filled(head, top, p.side);
        ui.painter().hline(head.x_range(), head.bottom(), Stroke::new(1.0, p.line));

        let mut event = None;
        // It can be reached by Tab, and is what has the focus: a row that is scrolled out of sight could not keep it.
        let mut child = ui.new_child(UiBuilder::new().id(id).max_rect(rect).sense(Sense::focusable_noninteractive()));
        let is_focused = child.memory(|m| m.has_focus(id));
        let mut moved = is_focused && !kept.focused;
        if is_focused && !moved {
            let filter = EventFilter { vertical_arrows: true, horizontal_arrows: true, ..Default::default() };
            child.memory_mut(|m| m.set_focus_lock_filter(id, filter));
            if let Some(to) = step(&child, at, self.rows).filter(|to| *to != at) {
                (at, moved) = (to, true);
                event = order.row(at).map(RowEvent::Selected);
            }
            let pressed = |key| child.input_mut(|i| i.consume_key(Modifiers::NONE, key));
            if pressed(Key::Enter) && self.rows > 0 {
                event = order.row(at).map(RowEvent::Activated);
            } else if pressed(Key::Space) && self.rows > 0 {
                event = order.row(at).map(RowEvent::Selected);
            }
            if pressed(Key::ArrowRight) && is_wide {
                kept.go = Some((kept.column + 1).min(self.columns.len() - 1));
            } else if pressed(Key::ArrowLeft) && is_wide {
                kept.go = Some(kept.column.saturating_sub(1));
            }
        }
        if let Some(column) = kept.go.filter(|_| is_wide) {
            kept.column = column;
            inner = inner.scroll_to_column(column, None);
            child.request_repaint();
        }
        if moved && self.rows > 0 {
            inner = inner.scroll_to_row(at as u64, None);
            // What has just got the focus gets the arrows in the next frame only.
            child.request_repaint();
        }
        if let Some(row) = listed.and_then(|(_, listed)| listed.go_to).and_then(place) {
            inner = inner.scroll_to_row(row as u64, None);
            child.request_repaint();
        }
        kept.focused = is_focused;

        let mut rows = Rows {
            id,
            table: &self,
            order,
            is_listed: listed.is_some_and(|(_, listed)| listed.sorted.is_none()),
            marked: listed.and_then(|(_, listed)| listed.marked),
            cell: &cell,
            name: &name,
            at,
            is_focused,
            view: rect.with_min_y(head.bottom()),
            sorted: kept.sorted,
            stays,
            titles: 0,
            to_column: None,
            drawn: Vec::new(),
            shown: None,
            event: None,
            asked: None,
        };
        inner.show(&mut child, &mut rows);
        let (shown, asked, by_pointer, sorted) = (rows.shown, rows.asked, rows.event, rows.sorted);
        kept.go = rows.to_column;
        if kept.go.is_some() {
            child.request_repaint();
        }
        if stays {
            corner(&child, rect, kept.widths.first(), below);
        }
        event = by_pointer.or(event);
        if let Some(RowEvent::Selected(row) | RowEvent::Activated(row)) = event {
            at = place(row).unwrap_or(at);
        }
        if let Some(row) = asked {
            // A screen reader goes to a row.
            at = place(row).unwrap_or(at);
            event = event.or(Some(RowEvent::Selected(row)));
        }
        if by_pointer.is_some() || asked.is_some() {
            child.memory_mut(|m| m.request_focus(id));
            kept.focused = true;
        }
        if moved && let Some(shown) = shown {
            ui.scroll_to_rect(shown.intersect(rect), None);
        }
        child.accesskit_node_builder(id, |node| {
            node.set_role(Role::ListBox);
            node.set_label(self.name);
            node.set_bounds(bounds(rect));
            if listed.is_some_and(|(_, listed)| listed.marked.is_some()) {
                node.set_multiselectable();
            }
            if shown.is_some() && is_focused {
                order.row(at).into_iter().for_each(|row| node.set_active_descendant(row_id(id, row).accesskit_id()));
            }
        });
        (kept.at, kept.sorted) = (at, sorted);
        ui.data_mut(|d| d.insert_temp(kept_id, kept));
        (event, sorted)
    }
}

/// The node of a row.
fn row_id(table: Id, row: usize) -> Id {
    table.with(("row", row))
}

/// Beside the bar below the rows there is no row; and a line parts the column that stays from the others.
fn corner(ui: &Ui, rect: Rect, first: f32, bar: f32) {
    let p = palette(ui);
    let below = Rect::from_min_max(rect.left_bottom() - vec2(0.0, bar), rect.left_bottom() + vec2(first, 0.0));
    ui.painter().rect_filled(below, 0.0, p.card);
    let rows = rect.top()..=rect.bottom() - bar;
    ui.painter().vline(rect.left() + first, rows, Stroke::new(1.0, p.line));
}

/// Whether the cells of the row that is selected in the table of this name are to be copied (Ctrl+C).
pub(crate) fn is_copied(ui: &Ui, name: &str) -> bool {
    let is_focused = ui.memory(|m| m.has_focus(Id::new(("table", name))));
    is_focused && ui.input(|i| i.events.iter().any(|event| matches!(event, eframe::egui::Event::Copy)))
}

/// What stands in place of the rows of an empty table.
pub(crate) fn nothing(ui: &mut Ui, text: &str) {
    let p = palette(ui);
    Frame::new()
        .fill(p.card)
        .stroke(Stroke::new(1.0, p.line))
        .corner_radius(CornerRadius::same(10))
        .inner_margin(28)
        .show(ui, |ui| {
            ui.set_width(ui.available_width());
            ui.vertical_centered(|ui| ui.label(RichText::new(text).color(p.weak)));
        });
}

/// Whether a screen reader asks for this node in this way.
fn is_asked(ui: &Ui, id: Id, action: Asked) -> bool {
    ui.input(|i| i.has_accesskit_action_request(id, action))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_sorted_by_number_and_by_text_and_what_is_not_known_comes_first() {
        let rows = [(Some(10), "b"), (None, "C"), (Some(9), "a")];
        let key = |row: usize, column: usize| match column {
            0 => SortKey::number(rows[row].0),
            _ => SortKey::text(rows[row].1),
        };
        let by = |column, descending| in_order(3, Some(Sorted { column, descending }), key);
        assert_eq!(in_order(3, None, key), [0, 1, 2]);
        assert_eq!((by(0, false), by(0, true)), (vec![1, 2, 0], vec![0, 2, 1]));
        assert_eq!(by(1, false), [2, 0, 1]);
    }
}
