//! How wide the columns of a table are: as they were given, until somebody makes one of them wider.

use eframe::egui::{Id, IdSalt, Ui};
use egui_table::{Column as Shown, TableState};

use super::Column;

/// A column that somebody makes narrower still shows this much.
const LEAST: f32 = 48.0;

/// What was chosen by nobody, to notice what somebody has chosen.
#[derive(Debug, Clone, Default)]
pub(super) struct Widths {
    room: f32,
    now: Vec<f32>,
    is_chosen: bool,
    /// Whether they were only measured last: a dialog that has just been opened is, and the library makes each column
    /// as wide as what is seen of it then.
    was_measured: bool,
}

impl Widths {
    /// The columns of the table of this id, as wide as they are in so much room.
    pub(super) fn columns(&mut self, ui: &Ui, table: Id, columns: &[Column], room: f32) -> Vec<Shown> {
        let id = table.with(IdSalt::new(super::COLUMNS));
        let column_id = |at: usize| Id::new(at);
        let mut state = TableState::load(ui.ctx(), id).unwrap_or_default();
        let dragged: Vec<f32> =
            (0..columns.len()).filter_map(|at| state.col_widths.get(&column_id(at)).copied()).collect();
        let is_same = dragged.len() == columns.len() && self.now.len() == columns.len();
        self.is_chosen = is_same && (self.is_chosen || dragged != self.now && !self.was_measured);
        self.was_measured = ui.is_sizing_pass();
        // What somebody has chosen stays; only what is open follows the window.
        self.now = match self.is_chosen {
            true => follow(columns, dragged, room - self.room),
            false => given(columns, room),
        };
        self.room = room;
        state.col_widths = self.now.iter().enumerate().map(|(at, width)| (column_id(at), *width)).collect();
        state.store(ui.ctx(), id);
        self.now.iter().map(|width| Shown::new(*width).range(LEAST..=f32::INFINITY)).collect()
    }

    /// How wide the first one is.
    pub(super) fn first(&self) -> f32 {
        self.now.first().copied().unwrap_or_default()
    }
}

/// As they were given; what is left goes to the open ones.
fn given(columns: &[Column], room: f32) -> Vec<f32> {
    let widths: Vec<f32> = columns.iter().map(|column| column.width).collect();
    let left = room - widths.iter().sum::<f32>();
    follow(columns, widths, left.max(0.0))
}

/// The open ones take or give what there is more or less, but never become narrower than they may be.
fn follow(columns: &[Column], mut widths: Vec<f32>, more: f32) -> Vec<f32> {
    let open = columns.iter().filter(|column| column.is_open).count().max(1) as f32;
    for (width, column) in widths.iter_mut().zip(columns).filter(|(_, column)| column.is_open) {
        // Without parts of a point, which the library would take for a choice.
        *width = (*width + more / open).floor().max(column.width.min(*width));
    }
    widths
}

#[cfg(test)]
mod tests {
    use super::{super::*, *};

    #[test]
    fn open_columns_share_what_is_left_and_none_is_narrower_than_it_may_be() {
        let columns = [text_column("Number", 92.0), open_column("File", 150.0), figure_column("Size", 84.0)];
        assert_eq!(given(&columns, 1000.0), [92.0, 824.0, 84.0]);
        for room in [326.0, 325.0, 200.0, 50.0] {
            assert_eq!(given(&columns, room), [92.0, 150.0, 84.0], "{room}: the rest is scrolled to");
        }
    }

    #[test]
    fn what_somebody_has_chosen_stays_and_the_open_column_follows_the_window() {
        let columns = [text_column("Number", 92.0), open_column("File", 150.0), figure_column("Size", 84.0)];
        let chosen = vec![120.0, 500.0, 84.0];
        assert_eq!(follow(&columns, chosen.clone(), -100.0), [120.0, 400.0, 84.0]);
        assert_eq!(follow(&columns, chosen.clone(), -600.0), [120.0, 150.0, 84.0]);
        // Made narrower than it was meant to be, it is left so.
        assert_eq!(follow(&columns, vec![92.0, 60.0, 84.0], -10.0), [92.0, 60.0, 84.0]);
    }
}
