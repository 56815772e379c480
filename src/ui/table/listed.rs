//! Rows that are in their order already, so many that they cannot be put into one here; several of them can be
//! selected.

use eframe::egui::{Id, Key, Modifiers, Ui};

use super::{Cell, Kept, Order, RowEvent, Sorted, Table};

/// How a row was selected, where several can be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum How {
    /// It alone.
    #[default]
    Alone,
    /// It is added to those that are marked, or taken from them (Ctrl).
    Turned,
    /// All from the one before up to it (Shift).
    UpTo,
}

/// Rows that are in their order already.
#[derive(Clone, Copy, Default)]
pub(crate) struct Listed<'a> {
    /// Whether the greatest comes first, by the first column; `None` where they cannot be turned round.
    pub(crate) descending: Option<bool>,
    /// Where they can be sorted by any column: by which they are, and whether the greatest comes first.
    pub(crate) sorted: Option<Option<(usize, bool)>>,
    /// The row to go to.
    pub(crate) go_to: Option<usize>,
    /// Which rows are marked, where several can be selected.
    pub(crate) marked: Option<&'a dyn Fn(usize) -> bool>,
}

/// What happened to such rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ListedEvent {
    /// To one of them.
    pub(crate) row: Option<RowEvent>,
    /// How that was selected.
    pub(crate) how: How,
    /// Whether they are wanted the other way round.
    pub(crate) is_turned: bool,
    /// By which column they are wanted, and whether with the greatest first.
    pub(crate) sorted: Option<(usize, bool)>,
    /// Whether all of them are to be selected (Ctrl+A).
    pub(crate) all: bool,
}

impl Table<'_> {
    /// Shows rows that are in their order already, so many that they cannot be put into one here.
    pub(crate) fn show_listed(
        self,
        ui: &mut Ui,
        listed: Listed<'_>,
        cell: impl Fn(usize, usize) -> Cell,
        name: impl Fn(usize) -> String,
    ) -> ListedEvent {
        let order = Order { rows: self.rows, sorted: None };
        let sorted = match listed.sorted {
            Some(sorted) => sorted.map(|(column, descending)| Sorted { column, descending }),
            None => listed.descending.map(|descending| Sorted { column: 0, descending }),
        };
        let id = Id::new(("table", self.name));
        let is_many = listed.marked.is_some();
        let is_focused = ui.memory(|m| m.has_focus(id));
        let pressed = |key| ui.input_mut(|i| i.consume_key(Modifiers::COMMAND, key));
        let all = is_many && is_focused && pressed(Key::A);
        let is_turned_by_key = is_many && is_focused && pressed(Key::Space);
        let at = ui.data(|d| d.get_temp::<Kept>(id.with("kept"))).map_or(0, |kept| kept.at);
        let (row, now) = self.framed(ui, (cell, name), (&order, Some((sorted, listed))));
        let by = now.map(|now| (now.column, now.descending));
        let held = ui.input(|i| i.modifiers);
        let by_key = is_turned_by_key.then_some(RowEvent::Selected(at));
        let how = match row {
            None if is_turned_by_key => How::Turned,
            Some(RowEvent::Selected(_)) if is_many && held.shift => How::UpTo,
            Some(RowEvent::Selected(_)) if is_many && held.command => How::Turned,
            _ => How::Alone,
        };
        ListedEvent { row: row.or(by_key), how, is_turned: now != sorted, sorted: by, all }
    }
}
