//! Draws the titles, rows and cells of a table.

use eframe::egui::{
    self, Align2, FontSelection, Id, Rect, RichText, Sense, Stroke, TextWrapMode, Ui, WidgetInfo, WidgetText,
    WidgetType,
    accesskit::{Action as Asked, Role},
    pos2, vec2,
};
use egui_table::{CellInfo, HeaderCellInfo, TableDelegate};
use lucide_icons::Icon;

use super::{Cell, Column, Order, PADDING, RowEvent, Sorted, Table, row_id};
use crate::ui::{
    theme::{self, ROW_HEIGHT, palette},
    widgets,
};

/// Around the word on a coloured ground.
const BADGE: f32 = 16.0;

/// What is drawn of a table, and what happened to it meanwhile.
pub(super) struct Rows<'a, C, N> {
    pub(super) id: Id,
    pub(super) table: &'a Table<'a>,
    /// The rows in the order in which they are shown.
    pub(super) order: &'a Order,
    /// Whether they can only be turned round, by the first column.
    pub(super) is_listed: bool,
    /// Which rows are marked, where several can be selected.
    pub(super) marked: Option<&'a dyn Fn(usize) -> bool>,
    pub(super) cell: &'a C,
    pub(super) name: &'a N,
    /// Where the keyboard is.
    pub(super) at: usize,
    pub(super) is_focused: bool,
    /// Where rows are to be seen.
    pub(super) view: Rect,
    pub(super) sorted: Option<Sorted>,
    /// Whether the first column stays where it is.
    pub(super) stays: bool,
    /// How many titles were drawn so far.
    pub(super) titles: usize,
    /// The column whose title has just got the focus.
    pub(super) to_column: Option<usize>,
    /// The rows drawn so far: with a column that stays, each is drawn in two parts.
    pub(super) drawn: Vec<u64>,
    /// Where the row is that the keyboard is at.
    pub(super) shown: Option<Rect>,
    pub(super) event: Option<RowEvent>,
    /// The row that a screen reader goes to.
    pub(super) asked: Option<usize>,
}

impl<C: Fn(usize, usize) -> Cell, N: Fn(usize) -> String> TableDelegate for Rows<'_, C, N> {
    fn default_row_height(&self) -> f32 {
        ROW_HEIGHT
    }

    fn header_cell_ui(&mut self, ui: &mut Ui, info: &HeaderCellInfo) {
        let at = info.col_range.start;
        let Some(column) = self.table.columns.get(at) else { return };
        // All titles are drawn twice, first beside what stays: one that is registered twice would keep the focus.
        let is_beside = self.titles < self.table.columns.len();
        self.titles += 1;
        if is_beside != (self.stays && at == 0) {
            return;
        }
        let p = palette(ui);
        let sorted = self.sorted.filter(|sorted| sorted.column == at).map(|sorted| sorted.descending);
        let room = ui.max_rect();
        let is_button = !self.is_listed || at == 0 && sorted.is_some();
        let is_pointed = is_button && self.title_button(ui, (at, column.title), room, sorted);
        let colour = if is_pointed || sorted.is_some() { p.strong } else { p.weak };
        let title = RichText::new(column.title).text_style(egui::TextStyle::Small).color(colour);
        let mut room = room.shrink2(vec2(PADDING, 0.0));
        let mark = sorted.map_or(0.0, |_| 16.0);
        fit(ui, layout(ui, title.clone(), f32::INFINITY).size().x + 2.0 * PADDING + mark);
        if let Some(descending) = sorted {
            let icon = if descending { Icon::ArrowDown } else { Icon::ArrowUp };
            let font = theme::icon_font(12.0);
            ui.painter().text(room.right_center(), Align2::RIGHT_CENTER, char::from(icon), font, p.accent);
            room.max.x -= mark;
        }
        let galley = layout(ui, title, room.width());
        let align = if column.figures { Align2::RIGHT_CENTER } else { Align2::LEFT_CENTER };
        ui.painter().galley(align.align_size_within_rect(galley.size(), room).min, galley, p.text);
    }

    fn row_ui(&mut self, ui: &mut Ui, at: u64) {
        let Some(row) = self.order.row(at as usize) else { return };
        let p = palette(ui);
        // As wide as what is seen, also where its columns are not.
        let rect = ui.max_rect();
        let rect = Rect::from_x_y_ranges(rect.left()..=rect.right().max(self.view.right()), rect.y_range());
        let is_first = !self.drawn.contains(&at);
        let id = row_id(self.id, row);
        let part = if is_first { id } else { id.with("part") };
        let response = ui.interact(rect, part, Sense::CLICK);
        if response.clicked() {
            self.event = Some(RowEvent::Selected(row));
        }
        if response.double_clicked() {
            self.event = Some(RowEvent::Activated(row));
        }
        let is_selected = self.marked.map_or(self.table.selected == Some(row), |marked| marked(row));
        if is_first {
            self.drawn.push(at);
            self.node(ui, id, row, at as usize, is_selected, &response);
        }
        let seen = Rect::from_x_y_ranges(self.view.x_range(), rect.y_range());
        if at as usize == self.at {
            self.shown = Some(seen);
        }
        let pointed = ui.ctx().rect_contains_pointer(ui.layer_id(), seen.intersect(self.view)) && ui.is_enabled();
        if is_selected {
            ui.painter().rect_filled(rect, 0.0, p.accent_soft);
        } else if pointed {
            ui.painter().rect_filled(rect, 0.0, p.page);
        }
        ui.painter().hline(rect.x_range(), rect.bottom(), Stroke::new(1.0, p.line.gamma_multiply(0.6)));
        if self.is_focused && at as usize == self.at {
            let stroke = Stroke::new(2.0, p.accent);
            ui.painter().rect_stroke(seen.shrink(1.0), 3.0, stroke, egui::StrokeKind::Inside);
        }
    }

    fn cell_ui(&mut self, ui: &mut Ui, info: &CellInfo) {
        let (Some(row), Some(column)) = (self.order.row(info.row_nr as usize), self.table.columns.get(info.col_nr))
        else {
            return;
        };
        let rect = ui.max_rect().shrink2(vec2(PADDING, 0.0));
        paint(ui, column, (self.cell)(row, info.col_nr), rect);
    }
}

impl<C: Fn(usize, usize) -> Cell, N: Fn(usize) -> String> Rows<'_, C, N> {
    /// The title of a column as a button that sorts by it; true while the pointer is on it.
    fn title_button(&mut self, ui: &Ui, (at, title): (usize, &str), room: Rect, sorted: Option<bool>) -> bool {
        let response = ui.interact(room, self.id.with(("title", at)), Sense::click());
        if response.clicked() {
            self.sorted = match sorted {
                None => Some(Sorted { column: at, descending: false }),
                Some(false) => Some(Sorted { column: at, descending: true }),
                Some(true) if self.is_listed => Some(Sorted { column: at, descending: false }),
                Some(true) => None,
            };
        }
        let name = match sorted {
            None => format!("Sort by {title}"),
            Some(false) => format!("Sort by {title}, sorted from the least on"),
            Some(true) => format!("Sort by {title}, sorted from the greatest on"),
        };
        response.widget_info(|| WidgetInfo::labeled(WidgetType::Button, true, &name));
        if response.gained_focus() {
            self.to_column = Some(at);
        }
        if response.has_focus() {
            let stroke = Stroke::new(2.0, palette(ui).accent);
            ui.painter().rect_stroke(room.shrink(3.0), 4.0, stroke, egui::StrokeKind::Inside);
        }
        response.hovered()
    }

    /// What a screen reader knows of a row.
    fn node(&mut self, ui: &Ui, id: Id, row: usize, at: usize, is_selected: bool, response: &egui::Response) {
        if super::is_asked(ui, id, Asked::Focus) {
            self.asked = Some(row);
        }
        let words = || {
            let cells = self.table.columns.iter().enumerate().filter(|(_, column)| !column.names_row);
            let cells = cells.filter_map(|(at, column)| said(column, &(self.cell)(row, at)));
            std::iter::once((self.name)(row)).chain(cells).collect::<Vec<_>>().join(", ")
        };
        response.widget_info(|| WidgetInfo::selected(WidgetType::SelectableLabel, true, is_selected, words()));
        ui.ctx().accesskit_node_builder(id, |node| {
            node.set_role(Role::ListBoxOption);
            node.clear_toggled();
            node.set_selected(is_selected);
            node.add_action(Asked::Focus);
            node.set_position_in_set(at);
            node.set_size_of_set(self.order.rows);
        });
    }
}

/// A cell in words.
fn said(column: &Column, cell: &Cell) -> Option<String> {
    let text = cell.text();
    match column.said {
        _ if text.is_empty() => None,
        Some(title) => Some(format!("{} {text}", widgets::in_sentence(title))),
        None => Some(text.to_owned()),
    }
}

/// Makes room for the whole of a cell while the library measures them.
fn fit(ui: &mut Ui, width: f32) {
    if ui.is_sizing_pass() {
        ui.allocate_space(vec2(width.ceil(), 1.0));
    }
}

fn paint(ui: &mut Ui, column: &Column, cell: Cell, rect: Rect) {
    let p = palette(ui);
    match cell {
        Cell::Text(text) => paint_text(ui, RichText::new(text).color(p.text), column.figures, rect),
        Cell::Strong(text) => paint_text(ui, theme::strong(text, ui), column.figures, rect),
        Cell::Icon(icon, text) => {
            let font = theme::icon_font(15.0);
            ui.painter().text(rect.left_center(), Align2::LEFT_CENTER, char::from(icon), font, p.weak);
            let rect = rect.with_min_x(rect.left() + 22.0);
            paint_text(ui, RichText::new(text).color(p.text), false, rect);
        }
        Cell::Path(path) => {
            fit(ui, layout(ui, RichText::new(path.clone()), f32::INFINITY).size().x + 2.0 * PADDING);
            let text = RichText::new(ending(ui, path, rect.width())).color(p.text);
            paint_text(ui, text, false, rect);
        }
        Cell::Badge(tone, text) => {
            let (colour, ground) = tone.colours(ui);
            let text = RichText::new(text).text_style(egui::TextStyle::Small).color(colour);
            fit(ui, layout(ui, text.clone(), f32::INFINITY).size().x + BADGE + 2.0 * PADDING);
            let galley = layout(ui, text, rect.width() - BADGE);
            let size = galley.size() + vec2(BADGE, 3.0);
            let badge = Rect::from_min_size(pos2(rect.left(), rect.center().y - size.y / 2.0), size);
            ui.painter().rect_filled(badge, 9.0, ground);
            let at = Align2::CENTER_CENTER.align_size_within_rect(galley.size(), badge).min;
            ui.painter().galley(at, galley, colour);
        }
    }
}

/// The end of a path that has room, from a separator on if possible: the name says more than the folders.
fn ending(ui: &Ui, path: String, room: f32) -> String {
    let fits = |text: &str| {
        let galley =
            WidgetText::from(text).into_galley(ui, Some(TextWrapMode::Extend), f32::INFINITY, FontSelection::Default);
        galley.size().x <= room
    };
    if fits(&path) {
        return path;
    }
    let separators = path.match_indices(['/', '\\']).map(|(at, _)| at).skip(1);
    let name = path.rfind(['/', '\\']).map_or(0, |at| at + 1);
    let letters = path.char_indices().map(|(at, _)| at).filter(|at| *at > name);
    separators.chain(letters).map(|at| format!("…{}", &path[at..])).find(|ending| fits(ending)).unwrap_or_default()
}

fn paint_text(ui: &mut Ui, text: RichText, figures: bool, rect: Rect) {
    let beside = ui.max_rect().width() - rect.width();
    fit(ui, layout(ui, text.clone(), f32::INFINITY).size().x + beside);
    let galley = layout(ui, text, rect.width());
    let align = if figures { Align2::RIGHT_CENTER } else { Align2::LEFT_CENTER };
    let at = align.align_size_within_rect(galley.size(), rect).min;
    ui.painter().galley(at, galley, palette(ui).text);
}

fn layout(ui: &Ui, text: RichText, width: f32) -> std::sync::Arc<egui::Galley> {
    WidgetText::from(text).into_galley(ui, Some(TextWrapMode::Truncate), width.max(0.0), FontSelection::Default)
}
