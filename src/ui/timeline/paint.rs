//! How the timeline is drawn. Nothing is told by a colour alone: marks differ by their shape, stretches by their
//! hatching.

use chrono::{DateTime, Local, Utc};
use eframe::egui::{
    Align2, Color32, CornerRadius, CursorIcon, Painter, Pos2, Rect, Response, Shape, Stroke, StrokeKind, TextStyle, Ui,
    pos2, vec2,
};
use lucide_icons::Icon;

use super::{
    scale::Scale,
    scene::{Between, Drags, Kind, Mark, Scene},
};
use crate::ui::{
    theme::{Palette, icon_font, palette},
    widgets::Tone,
};

/// Height of the control; above a list, which needs the room, it is lower.
pub(super) fn height(drags: Drags) -> f32 {
    match drags {
        Drags::Moment => 112.0,
        Drags::Stretch => 78.0,
    }
}

const MARGIN: f32 = 10.0;
/// From the top: marks, then bars, then the band, then the ruler.
const MARKS: f32 = 28.0;
const BAND: f32 = 8.0;
const RULER: f32 = 20.0;
/// Lines of the ruler are as far apart as their labels need.
const APART: f32 = 92.0;
/// Bars are not narrower.
const BAR: f32 = 2.0;
/// Archives that are nearer to each other are drawn as one.
const TOGETHER: f32 = 14.0;
/// Lines of hatching are so far apart.
const HATCH: f32 = 5.0;

/// Where moments stand.
type Places<'a> = &'a dyn Fn(DateTime<Utc>) -> f32;

/// Where time is drawn.
pub(super) fn inner(rect: Rect) -> Rect {
    rect.shrink2(vec2(MARGIN, 0.0))
}

/// Above this, archives are pointed at.
pub(super) fn marks_bottom(inner: Rect) -> f32 {
    inner.top() + MARKS
}

/// Where a moment stands.
pub(super) fn x_of(inner: Rect, scale: Scale, moment: DateTime<Utc>) -> f32 {
    // Beyond the edges it is enough to know that it is beyond.
    let part = scale.part_of(moment).clamp(-10.0, 11.0);
    inner.left() + inner.width() * part as f32
}

pub(super) fn paint(
    ui: &Ui,
    rect: Rect,
    (scene, scale): (&Scene<'_>, Scale),
    (response, drag): (&Response, Option<Between>),
) {
    if !ui.is_rect_visible(rect) {
        return;
    }
    let p = palette(ui);
    let border = if response.has_focus() { Stroke::new(2.0, p.accent) } else { Stroke::new(1.0, p.edge) };
    ui.painter().rect(rect, CornerRadius::same(8), p.page, border, StrokeKind::Inside);
    let painter = ui.painter().with_clip_rect(rect.shrink(2.0).intersect(ui.clip_rect()));
    let inner = inner(rect);
    let x = |moment| x_of(inner, scale, moment);
    let band = Rect::from_x_y_ranges(rect.x_range(), inner.bottom() - RULER - BAND..=inner.bottom() - RULER);
    let bars = Rect::from_x_y_ranges(rect.x_range(), inner.top() + MARKS..=band.top());

    let dragged = drag.map(|(from, to)| (from.min(to), from.max(to)));
    let stretch = (scene.drags == Drags::Stretch).then_some(dragged.or(scene.stretch)).flatten();
    if let Some((from, to)) = stretch {
        let chosen = Rect::from_x_y_ranges(x(from)..=x(to).max(x(from) + 1.0), rect.top()..=band.bottom());
        painter.rect_filled(chosen, 0.0, p.accent_soft);
        for edge in [chosen.left(), chosen.right()] {
            painter.vline(edge, chosen.y_range(), Stroke::new(1.0, p.accent));
        }
    }
    ruler(ui, &painter, (inner, scale), p);
    bands(&painter, band, scene, &x, p);
    // What leaves, when the state at the place chosen is restored, is not as strong as what stays.
    let chosen = match (scene.drags, drag) {
        (Drags::Moment, Some((_, at))) => Some(at),
        (Drags::Moment, None) => scene.chosen,
        (Drags::Stretch, _) => None,
    };
    density(&painter, bars, scene, (&x, chosen), p);
    let now = x(scene.now);
    painter.vline(now, inner.top() + 4.0..=band.bottom(), Stroke::new(1.0, p.edge));
    let small = TextStyle::Small.resolve(ui.style());
    painter.text(pos2(now + 3.0, bars.top() + 1.0), Align2::LEFT_TOP, "Now", small.clone(), p.weak);
    marks(ui, &painter, inner, scene, (&x, p));
    let at = if scene.drags == Drags::Stretch { scene.chosen } else { chosen };
    if let Some(at) = at {
        let at = x(at);
        painter.vline(at, inner.top() + MARKS - 5.0..=band.bottom(), Stroke::new(2.0, p.strong));
        let top = inner.top() + MARKS - 5.0;
        let head = vec![pos2(at - 5.0, top - 6.0), pos2(at + 5.0, top - 6.0), pos2(at, top + 2.0)];
        painter.add(Shape::convex_polygon(head, p.strong, Stroke::NONE));
    }
    if let Some(at) = response.hover_pos().filter(|_| drag.is_none()) {
        painter.vline(at.x, bars.y_range(), Stroke::new(1.0, p.line));
        ui.ctx().set_cursor_icon(CursorIcon::Crosshair);
    }
}

/// As long as nothing is known.
pub(super) fn waiting(ui: &Ui, rect: Rect, scene: &Scene<'_>) {
    let p = palette(ui);
    ui.painter().rect(rect, CornerRadius::same(8), p.page, Stroke::new(1.0, p.edge), StrokeKind::Inside);
    let font = TextStyle::Body.resolve(ui.style());
    let note = scene.note.clone().unwrap_or_default();
    let words = ui.painter().layout(note, font, p.weak, rect.width() - 2.0 * MARGIN);
    ui.painter().with_clip_rect(rect).galley(rect.center() - words.size() / 2.0, words, p.weak);
}

fn ruler(ui: &Ui, painter: &Painter, (inner, scale): (Rect, Scale), p: &Palette) {
    let small = TextStyle::Small.resolve(ui.style());
    for tick in scale.ticks(f64::from(APART / inner.width().max(1.0)), &Local) {
        let x = x_of(inner, scale, tick.at);
        painter.vline(x, inner.top() + MARKS..=inner.bottom() - RULER + 4.0, Stroke::new(1.0, p.line));
        // Neither end of a label is cut off.
        let width = painter.layout_no_wrap(tick.label.clone(), small.clone(), p.weak).size().x;
        let left = (x - width / 2.0).clamp(inner.left(), (inner.right() - width).max(inner.left()));
        painter.text(pos2(left, inner.bottom() - 3.0), Align2::LEFT_BOTTOM, tick.label, small.clone(), p.weak);
    }
}

fn bands(painter: &Painter, band: Rect, scene: &Scene<'_>, x: Places<'_>, p: &Palette) {
    painter.rect_filled(band, 0.0, p.track);
    for stretch in &scene.bands {
        let (from, to) = (x(stretch.from), x(stretch.to));
        let part = Rect::from_x_y_ranges(from..=to.max(from + 2.0), band.y_range()).intersect(painter.clip_rect());
        if part.width() <= 0.0 {
            continue;
        }
        match stretch.kind {
            Kind::Log => _ = painter.rect_filled(part, 0.0, p.accent),
            Kind::Gap => _ = painter.rect_filled(part, 0.0, p.bad.0),
            Kind::CatchUp => {
                painter.rect_filled(part, 0.0, p.warn.1);
                hatch(painter, part, p.warn.0);
            }
        }
    }
}

/// Slanting lines.
fn hatch(painter: &Painter, rect: Rect, colour: Color32) {
    let painter = painter.with_clip_rect(rect.intersect(painter.clip_rect()));
    let mut x = rect.left() - rect.height();
    while x < rect.right() {
        painter.line_segment([pos2(x, rect.bottom()), pos2(x + rect.height(), rect.top())], Stroke::new(1.5, colour));
        x += HATCH;
    }
}

/// Bars, as high as there are commits; few beside many are still seen.
fn density(
    painter: &Painter,
    bars: Rect,
    scene: &Scene<'_>,
    (x, chosen): (Places<'_>, Option<DateTime<Utc>>),
    p: &Palette,
) {
    // The finest count that covers what is seen.
    let (left, right) = (painter.clip_rect().left(), painter.clip_rect().right());
    let covers = |span: &crate::journal::density::Span| {
        x(span.from) <= left + MARGIN + 2.0 && x(span.to) >= right - MARGIN - 2.0
    };
    let finest = scene.densities.iter().rev().find(|density| covers(&density.span)).or(scene.densities.first());
    let Some(density) = finest else { return };
    let most = density.most().max(1) as f32;
    let height = bars.height() - 6.0;
    for column in &density.columns {
        let (from, to) = (x(density.span.begins(column.nth)), x(density.span.begins(column.nth + 1)));
        if to < left || from > right {
            continue;
        }
        let part = (column.commits as f32).sqrt() / most.sqrt();
        let top = bars.bottom() - (height * part).max(4.0);
        let bar = Rect::from_x_y_ranges(from..=to.max(from + BAR), top..=bars.bottom());
        let stays = chosen.is_none_or(|chosen| density.span.begins(column.nth) <= chosen);
        painter.rect_filled(bar, 0.0, if stays { p.accent } else { p.edge });
    }
}

fn marks(ui: &Ui, painter: &Painter, inner: Rect, scene: &Scene<'_>, (x, p): (Places<'_>, &Palette)) {
    let small = TextStyle::Small.resolve(ui.style());
    let middle = inner.top() + 14.0;
    let places: Vec<f32> = scene.marks.iter().map(|mark| x(mark.at)).collect();
    for at in &places {
        painter.vline(*at, middle + 8.0..=inner.bottom() - RULER, Stroke::new(1.0, p.edge));
    }
    let groups = grouped(&places, TOGETHER);
    for (nth, (first, last)) in groups.iter().enumerate() {
        let Some((group, at)) = scene.marks.get(*first..=*last).zip(places.get(*first)) else { continue };
        // Of several at one place, the worst is seen.
        let Some(worst) = group.iter().max_by_key(|mark| weight(mark.tone)) else { continue };
        let (icon, colour) = look_of(worst, p);
        painter.text(pos2(*at, middle), Align2::CENTER_CENTER, char::from(icon), icon_font(15.0), colour);
        let mut right = at + 9.0;
        if group.iter().any(|mark| mark.is_held) {
            painter.text(pos2(right, middle), Align2::LEFT_CENTER, char::from(Icon::Lock), icon_font(12.0), p.text);
            right += 14.0;
        }
        // Its number, or how many they are, is written where it has room, up to the next.
        let text = match group {
            [alone] => alone.label.clone(),
            _ => format!("{} archives", group.len()),
        };
        let text = painter.layout_no_wrap(text, small.clone(), p.text);
        let next = groups.get(nth + 1).and_then(|(first, _)| places.get(*first)).map_or(f32::INFINITY, |x| x - 9.0);
        if right + text.size().x < next {
            painter.galley(pos2(right, middle - text.size().y / 2.0), text, p.text);
        }
    }
    if let Some(next) = scene.next {
        let at = Pos2::new(x(next), middle);
        painter.rect_stroke(
            Rect::from_center_size(at, vec2(12.0, 12.0)),
            CornerRadius::same(3),
            Stroke::new(1.5, p.edge),
            StrokeKind::Middle,
        );
    }
}

/// Those that stand within `apart` of the first of them, one after the other: the first and the last of each group.
fn grouped(places: &[f32], apart: f32) -> Vec<(usize, usize)> {
    let mut groups: Vec<(usize, usize)> = Vec::new();
    for (nth, at) in places.iter().enumerate() {
        match groups.last_mut() {
            Some((first, last)) if places.get(*first).is_some_and(|begun| at - begun < apart) => *last = nth,
            _ => groups.push((nth, nth)),
        }
    }
    groups
}

fn weight(tone: Tone) -> u8 {
    match tone {
        Tone::Good => 0,
        Tone::Neutral => 1,
        Tone::Warn => 2,
        Tone::Bad => 3,
    }
}

/// The shape and the colour of an archive.
fn look_of(mark: &Mark, p: &Palette) -> (Icon, Color32) {
    match mark.tone {
        Tone::Good => (Icon::CircleCheck, p.good.0),
        Tone::Warn => (Icon::TriangleAlert, p.warn.0),
        Tone::Bad => (Icon::CircleX, p.bad.0),
        Tone::Neutral => (Icon::Circle, p.neutral.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_that_would_cover_each_other_are_one_group_and_none_is_lost() {
        assert_eq!(grouped(&[], 14.0), []);
        assert_eq!(grouped(&[0.0, 5.0, 13.0, 14.0, 40.0], 14.0), [(0, 2), (3, 3), (4, 4)]);
    }
}
