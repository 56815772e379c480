//! A table whose rows are drawn only where they are seen, so that a thousand cost no more than twenty.

use eframe::egui::{
    self, Align2, CornerRadius, FontSelection, Frame, Key, Margin, Rect, RichText, ScrollArea, Sense, Stroke,
    TextWrapMode, Ui, WidgetInfo, WidgetText, WidgetType, pos2, vec2,
};

use super::{
    theme::{self, ROW_HEIGHT, palette},
    widgets::Tone,
};

/// A column of a table.
pub(crate) struct Column {
    /// Its title.
    pub(crate) title: &'static str,
    /// Its width; `None` shares what the others leave.
    pub(crate) width: Option<f32>,
    /// Whether it holds figures, which stand at the right.
    pub(crate) figures: bool,
}

/// A column of texts.
pub(crate) const fn text_column(title: &'static str, width: Option<f32>) -> Column {
    Column { title, width, figures: false }
}

/// A column of figures.
pub(crate) const fn figure_column(title: &'static str, width: f32) -> Column {
    Column { title, width: Some(width), figures: true }
}

/// What a cell shows.
pub(crate) enum Cell {
    /// A text.
    Text(String),
    /// The text that names the row.
    Strong(String),
    /// A path; where there is no room for all of it, its end is shown.
    Path(String),
    /// A word on a coloured ground.
    Badge(Tone, String),
}

/// What happened to a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RowEvent {
    /// It was selected.
    Selected(usize),
    /// It was double-clicked, or Enter was pressed on it.
    Activated(usize),
}

const PADDING: f32 = 10.0;
/// A column that shares what the others leave is never narrower than this.
const OPEN_MIN: f32 = 150.0;

/// Shows a table of `rows` rows, `height` high at most. `name` is what a screen reader says of a row.
pub(crate) fn table(
    ui: &mut Ui,
    columns: &[Column],
    rows: usize,
    height: f32,
    selected: Option<usize>,
    cell: impl Fn(usize, usize) -> Cell,
    name: impl Fn(usize) -> String,
) -> Option<RowEvent> {
    let p = palette(ui);
    let mut event = None;
    // Room below, so that the last row does not cover the rounded corners.
    let margin = Margin { bottom: 6, ..Margin::ZERO };
    let frame = Frame::new().fill(p.card).stroke(Stroke::new(1.0, p.line)).inner_margin(margin);
    frame.corner_radius(CornerRadius::same(10)).show(ui, |ui| {
        ui.spacing_mut().item_spacing.y = 0.0;
        let width = ui.available_width();
        // The bar of the scroll area takes its width from every row alike, so that titles stand over their columns.
        let bar = ui.spacing().scroll.bar_width + ui.spacing().scroll.bar_inner_margin + 4.0;
        let (row_width, spans) = spans(columns, width - bar);
        let (head, _) = ui.allocate_exact_size(vec2(width, ROW_HEIGHT), Sense::hover());
        // Where there is no room for all columns, they are scrolled to: the bar for that stands below the rows.
        let below = if row_width > width - bar { bar } else { 0.0 };
        let height = (height - ROW_HEIGHT).max(3.0 * ROW_HEIGHT) + below;
        let area = ScrollArea::both().max_height(height).auto_shrink([false, true]);
        let shown = area.show_rows(ui, ROW_HEIGHT, rows, |ui, shown| {
            for row in shown {
                let size = vec2(row_width.max(ui.available_width()), ROW_HEIGHT);
                let (rect, response) = ui.allocate_exact_size(size, Sense::click());
                if response.clicked() {
                    response.request_focus();
                }
                let is_selected = selected == Some(row);
                if response.clicked() || (response.gained_focus() && !is_selected) {
                    event = Some(RowEvent::Selected(row));
                }
                let enter = response.has_focus() && ui.input(|i| i.key_pressed(Key::Enter));
                if response.double_clicked() || enter {
                    event = Some(RowEvent::Activated(row));
                }
                response
                    .widget_info(|| WidgetInfo::selected(WidgetType::SelectableLabel, true, is_selected, name(row)));
                if !ui.is_rect_visible(rect) {
                    continue;
                }
                if is_selected {
                    ui.painter().rect_filled(rect, 0.0, p.accent_soft);
                } else if response.hovered() {
                    ui.painter().rect_filled(rect, 0.0, p.page);
                }
                if response.has_focus() {
                    ui.painter().rect_stroke(
                        rect.shrink(1.0),
                        3.0,
                        Stroke::new(1.5, p.accent),
                        egui::StrokeKind::Inside,
                    );
                }
                ui.painter().hline(rect.x_range(), rect.bottom(), Stroke::new(1.0, p.line.gamma_multiply(0.6)));
                for (at, column) in columns.iter().enumerate() {
                    let rect =
                        Rect::from_x_y_ranges(spans[at].0 + rect.left()..=spans[at].1 + rect.left(), rect.y_range());
                    paint(ui, column, cell(row, at), rect);
                }
            }
        });
        header(ui, columns, &spans, (head, shown.state.offset.x));
    });
    event
}

/// How wide a row is, and where each of its columns begins and ends, from its left edge. A row is as wide as the room
/// for it, or wider where its columns need that.
fn spans(columns: &[Column], room: f32) -> (f32, Vec<(f32, f32)>) {
    let fixed: f32 = columns.iter().filter_map(|c| c.width).sum();
    let open = columns.iter().filter(|c| c.width.is_none()).count();
    let share = ((room - fixed) / open.max(1) as f32).max(OPEN_MIN);
    let mut at = 0.0;
    let spans = columns
        .iter()
        .map(|column| {
            let begin = at;
            at += column.width.unwrap_or(share);
            (begin + PADDING, (at - PADDING).max(begin + PADDING))
        })
        .collect();
    (at.max(room), spans)
}

/// The titles above the columns, which are scrolled by `offset`.
fn header(ui: &mut Ui, columns: &[Column], spans: &[(f32, f32)], (rect, offset): (Rect, f32)) {
    let p = palette(ui);
    let top = CornerRadius { nw: 10, ne: 10, sw: 0, se: 0 };
    ui.painter().rect_filled(rect, top, p.side);
    ui.painter().hline(rect.x_range(), rect.bottom(), Stroke::new(1.0, p.line));
    let clipped = ui.painter().with_clip_rect(rect.intersect(ui.clip_rect()));
    for (column, span) in columns.iter().zip(spans) {
        let left = rect.left() - offset;
        let rect = Rect::from_x_y_ranges(span.0 + left..=span.1 + left, rect.y_range());
        let title = RichText::new(column.title).text_style(egui::TextStyle::Small).color(p.weak);
        let galley = layout(ui, title, rect.width());
        let align = if column.figures { Align2::RIGHT_CENTER } else { Align2::LEFT_CENTER };
        clipped.galley(align.align_size_within_rect(galley.size(), rect).min, galley, p.text);
    }
}

fn paint(ui: &Ui, column: &Column, cell: Cell, rect: Rect) {
    let p = palette(ui);
    match cell {
        Cell::Text(text) => paint_text(ui, RichText::new(text).color(p.text), column.figures, rect),
        Cell::Strong(text) => paint_text(ui, theme::strong(text, ui), column.figures, rect),
        Cell::Path(path) => paint_text(ui, RichText::new(ending(ui, path, rect.width())).color(p.text), false, rect),
        Cell::Badge(tone, text) => {
            let (colour, ground) = tone.colours(ui);
            let text = RichText::new(text).text_style(egui::TextStyle::Small).color(colour);
            let galley = layout(ui, text, rect.width() - 16.0);
            let size = galley.size() + vec2(16.0, 3.0);
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

fn paint_text(ui: &Ui, text: RichText, figures: bool, rect: Rect) {
    let galley = layout(ui, text, rect.width());
    let align = if figures { Align2::RIGHT_CENTER } else { Align2::LEFT_CENTER };
    let at = align.align_size_within_rect(galley.size(), rect).min;
    ui.painter().galley(at, galley, palette(ui).text);
}

fn layout(ui: &Ui, text: RichText, width: f32) -> std::sync::Arc<egui::Galley> {
    WidgetText::from(text).into_galley(ui, Some(TextWrapMode::Truncate), width, FontSelection::Default)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_column_lies_within_its_row_however_little_room_there_is() {
        let columns = [text_column("Number", Some(92.0)), text_column("File", None), figure_column("Size", 84.0)];
        for room in [1000.0, 600.0, 326.0, 325.0, 200.0, 50.0] {
            let (width, spans) = spans(&columns, room);
            assert_eq!(width, f32::max(room, 92.0 + OPEN_MIN + 84.0));
            assert_eq!(spans.last().map(|span| span.1 + PADDING), Some(width), "{room}");
            assert!(spans.windows(2).all(|pair| pair[0].1 < pair[1].0) && spans.iter().all(|span| span.0 < span.1));
        }
    }
}
