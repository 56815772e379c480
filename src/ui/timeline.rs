//! The timeline: archives, logs and commits where they stand in time, and one moment of it, or one stretch, that is
//! chosen.
//!
//! ```text
//! scale     which part of time is seen, and how it is ruled
//! scene     what stands on it, from what engines answered
//! paint     how that is drawn
//! ```
//! A moment is chosen by click and drag, the wheel zooms. For the keyboard and for a screen reader it is one slider:
//! the arrows go from commit to commit (or, where a stretch is chosen, move what is seen, which Enter chooses), Page Up
//! and Page Down from archive to archive, Home and End to both ends, plus and minus zoom, and its value is the line
//! that says what lies at the place chosen.

mod paint;
pub(crate) mod scale;
pub(crate) mod scene;

use chrono::{DateTime, Local, Utc};
use eframe::egui::{
    EventFilter, Key, Modifiers, PointerButton, Pos2, Rect, Response, RichText, Sense, Ui, UiBuilder,
    accesskit::{Action as Asked, Role},
    vec2,
};
use lucide_icons::Icon;

use self::{
    scale::{Scale, stretch_in_words},
    scene::{Between, Drags, Scene},
};
use super::{
    theme::palette,
    widgets::{icon_button, moment},
};

/// How much one press of a key or a button zooms.
const ZOOM: f64 = 2.0;
/// How far an arrow moves what is seen, in parts of it, where no commit is chosen; and how far to an end of all.
const PACE: f64 = 0.1;
const FAR: f64 = 1e9;
/// How much the wheel zooms, for each point that it would scroll by.
const WHEEL: f64 = 1.0 / 220.0;
/// A commit this near to the pointer, in points, is meant.
const SNAP: f32 = 4.0;
/// The pointer is on an archive this near to it.
const GRIP: f32 = 9.0;
/// What is seen counts when it was not moved for so long, in seconds.
const SETTLED: f64 = 0.18;

/// What the control remembers.
#[derive(Debug, Default)]
pub(crate) struct Kept {
    /// What is seen; `None` for the whole.
    seen: Option<Scale>,
    /// When that was changed last, in the window's own time.
    changed: f64,
    /// Where dragging began, and where it is.
    drag: Option<Between>,
    /// What was chosen when it was drawn last.
    chosen: Option<DateTime<Utc>>,
}

/// What the user wants.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Event {
    /// The moment at this place; the second one is how far from it a commit may be that is meant.
    Moment(DateTime<Utc>, i64),
    /// An archive, by its place among the marks.
    Mark(usize),
    /// So many commits on, or back.
    Step(i64),
    /// The place before all commits.
    First,
    /// The last commit.
    Last,
    /// What lies between two moments.
    Stretch(DateTime<Utc>, DateTime<Utc>),
}

impl Kept {
    /// What is seen of the whole.
    pub(crate) fn scale(&self, whole: Scale) -> Scale {
        self.seen.unwrap_or(whole)
    }

    /// What is seen, once it is no longer moved; `None` for the whole, and while it moves.
    pub(crate) fn settled(&self, now: f64) -> Option<Scale> {
        self.seen.filter(|_| self.drag.is_none() && now >= self.changed + SETTLED)
    }

    fn see(&mut self, scale: Scale, whole: Scale, now: f64) {
        let seen = (scale != whole).then_some(scale);
        if seen != self.seen {
            (self.seen, self.changed) = (seen, now);
        }
    }
}

/// What a button does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Press {
    Closer,
    Farther,
    All,
    Earlier,
    Later,
    /// All that is seen is chosen.
    Seen,
}

const BUTTONS: [(Icon, &str, Press); 6] = [
    (Icon::ZoomIn, "Zoom in", Press::Closer),
    (Icon::ZoomOut, "Zoom out", Press::Farther),
    (Icon::Maximize2, "Show all of it", Press::All),
    (Icon::ChevronLeft, "Earlier", Press::Earlier),
    (Icon::ChevronRight, "Later", Press::Later),
    (Icon::ListFilter, "List what is seen", Press::Seen),
];
/// So many of them stand beside the control in one line.
const BESIDE: usize = 3;
/// Room for them there.
const BESIDE_WIDTH: f32 = 136.0;

/// Shows the control: below a line with buttons that says what is seen, or, where a stretch is chosen for a list that
/// needs the room, beside the buttons.
pub(crate) fn timeline_ui(ui: &mut Ui, kept: &mut Kept, scene: &Scene<'_>) -> Option<Event> {
    let scale = kept.scale(scene.whole);
    let is_known = scene.note.is_none();
    if scene.drags == Drags::Moment {
        let mut press = None;
        ui.horizontal_wrapped(|ui| {
            // The words come last: they are not always as wide, and the buttons stay where they are.
            press = buttons_ui(ui, is_known, &BUTTONS[..BUTTONS.len() - 1]);
            let words = if is_known { stretch_in_words(scale.from(), scale.to(), &Local) } else { " ".to_owned() };
            ui.label(RichText::new(words).color(palette(ui).weak));
        });
        return control_ui(ui, kept, scene, press);
    }
    ui.horizontal_top(|ui| {
        let width = (ui.available_width() - BESIDE_WIDTH).max(0.0);
        let size = vec2(width, paint::height(scene.drags));
        let (rect, _) = ui.allocate_exact_size(size, Sense::hover());
        let mut press = None;
        ui.vertical(|ui| {
            for line in BUTTONS.chunks(BESIDE) {
                ui.horizontal(|ui| press = press.or(buttons_ui(ui, is_known, line)));
            }
        });
        let mut within = ui.new_child(UiBuilder::new().max_rect(rect));
        control_ui(&mut within, kept, scene, press)
    })
    .inner
}

fn buttons_ui(ui: &mut Ui, is_known: bool, buttons: &[(Icon, &str, Press)]) -> Option<Press> {
    let mut pressed = None;
    for (icon, name, press) in buttons {
        let button = ui.add_enabled_ui(is_known, |ui| icon_button(ui, *icon, name)).inner;
        if button.clicked() {
            pressed = Some(*press);
        }
    }
    pressed
}

fn control_ui(ui: &mut Ui, kept: &mut Kept, scene: &Scene<'_>, press: Option<Press>) -> Option<Event> {
    let (now, whole) = (ui.input(|i| i.time), scene.whole);
    let size = vec2(ui.available_width().max(80.0), paint::height(scene.drags));
    let (rect, response) = ui.allocate_exact_size(size, Sense::click_and_drag());
    if scene.note.is_some() {
        paint::waiting(ui, rect, scene);
        spoken(ui, &response, scene);
        return None;
    }
    let mut scale = kept.scale(whole);
    let around = scene.chosen.map(|at| scale.part_of(at)).filter(|part| (0.0..=1.0).contains(part)).unwrap_or(0.5);
    let mut event = None;
    match press {
        Some(Press::Closer) => scale = scale.zoomed(around, ZOOM, whole),
        Some(Press::Farther) => scale = scale.zoomed(around, 1.0 / ZOOM, whole),
        Some(Press::All) => scale = whole,
        Some(Press::Earlier) => scale = scale.moved(-0.5, whole),
        Some(Press::Later) => scale = scale.moved(0.5, whole),
        Some(Press::Seen) => event = Some(Event::Stretch(scale.from(), scale.to())),
        None => {}
    }
    let pressed = keyboard(ui, &response, scene, &mut scale);
    let pointed = pointer(ui, (&response, rect), kept, scene, &mut scale);
    event = event.or(pressed).or(pointed);
    // What is chosen by other means than the pointer comes into sight.
    if kept.chosen != scene.chosen {
        if let Some(at) = scene.chosen.filter(|_| !response.dragged()) {
            scale = scale.showing(at, whole);
        }
        kept.chosen = scene.chosen;
    }
    kept.see(scale, whole, now);
    if kept.seen.is_some() && now < kept.changed + SETTLED {
        ui.ctx().request_repaint_after(std::time::Duration::from_secs_f64(SETTLED));
    }
    paint::paint(ui, rect, (scene, scale), (&response, kept.drag));
    spoken(ui, &response, scene);
    event
}

/// What the keys want that were pressed, where it has the focus.
fn keyboard(ui: &Ui, response: &Response, scene: &Scene<'_>, scale: &mut Scale) -> Option<Event> {
    let id = response.id;
    let asked = |action| ui.input(|i| i.num_accesskit_action_requests(id, action)) as i64;
    let by = asked(Asked::Increment) - asked(Asked::Decrement);
    if by != 0 && scene.drags == Drags::Moment {
        return Some(Event::Step(by));
    }
    *scale = scale.moved(by as f64 * PACE, scene.whole);
    if !response.has_focus() {
        return None;
    }
    let filter = EventFilter { horizontal_arrows: true, vertical_arrows: true, ..Default::default() };
    ui.memory_mut(|m| m.set_focus_lock_filter(id, filter));
    let pressed = |key| ui.input_mut(|i| i.consume_key(Modifiers::NONE, key));
    // Where the layout has it on another key, with Shift.
    let typed = |text: &str| {
        ui.input(|i| i.events.iter().any(|event| matches!(event, eframe::egui::Event::Text(typed) if typed == text)))
    };
    let at = scene.chosen.map(|at| scale.part_of(at)).filter(|part| (0.0..=1.0).contains(part)).unwrap_or(0.5);
    if typed("+") || pressed(Key::Plus) || pressed(Key::Equals) {
        *scale = scale.zoomed(at, ZOOM, scene.whole);
    }
    if typed("-") || pressed(Key::Minus) {
        *scale = scale.zoomed(at, 1.0 / ZOOM, scene.whole);
    }
    let steps = [(Key::ArrowRight, 1), (Key::ArrowUp, 1), (Key::ArrowLeft, -1), (Key::ArrowDown, -1)];
    // One frame may bring several presses: each is a step.
    let by: i64 = steps
        .iter()
        .map(|(key, by)| by * ui.input_mut(|i| i.count_and_consume_key(Modifiers::NONE, *key)) as i64)
        .sum();
    let ends = (pressed(Key::Home), pressed(Key::End));
    if scene.drags == Drags::Stretch {
        // What is seen is moved, and chosen by Enter.
        let beyond = f64::from(u8::from(ends.1)) - f64::from(u8::from(ends.0));
        *scale = scale.moved(by as f64 * PACE + beyond * FAR, scene.whole);
        if pressed(Key::Enter) {
            return Some(Event::Stretch(scale.from(), scale.to()));
        }
    }
    let here = scene.chosen.or(scene.stretch.map(|(from, _)| from));
    let by_archive = |forward: bool| {
        let here = here.unwrap_or(if forward { scale.from() } else { scale.to() });
        let mut marks = scene.marks.iter().enumerate();
        let found =
            if forward { marks.find(|(_, mark)| mark.at > here) } else { marks.rfind(|(_, mark)| mark.at < here) };
        found.map(|(nth, _)| Event::Mark(nth))
    };
    match () {
        () if scene.drags == Drags::Stretch && (by != 0 || ends.0 || ends.1) => None,
        () if by != 0 => Some(Event::Step(by)),
        () if ends.0 => Some(Event::First),
        () if ends.1 => Some(Event::Last),
        () if pressed(Key::PageUp) => by_archive(false),
        () if pressed(Key::PageDown) => by_archive(true),
        () => None,
    }
}

/// What the pointer does.
fn pointer(
    ui: &Ui,
    (response, rect): (&Response, Rect),
    kept: &mut Kept,
    scene: &Scene<'_>,
    scale: &mut Scale,
) -> Option<Event> {
    let inner = paint::inner(rect);
    let part = |at: Pos2| f64::from((at.x - inner.left()) / inner.width().max(1.0));
    if let Some(at) = response.hover_pos() {
        let wheel = ui.input_mut(|i| {
            let delta = std::mem::take(&mut i.smooth_scroll_delta);
            (delta, i.zoom_delta())
        });
        let ((along, by), pinch) = ((f64::from(wheel.0.x), f64::from(wheel.0.y)), f64::from(wheel.1));
        if by != 0.0 || pinch != 1.0 {
            *scale = scale.zoomed(part(at).clamp(0.0, 1.0), (by * WHEEL).exp2() * pinch, scene.whole);
        }
        if along != 0.0 {
            *scale = scale.moved(-along / f64::from(inner.width().max(1.0)), scene.whole);
        }
    }
    let reach = (f64::from(SNAP / inner.width().max(1.0)) * scale.length() as f64) as i64;
    let at = response.interact_pointer_pos();
    if response.drag_started_by(PointerButton::Primary)
        && let Some(begun) = ui.input(|i| i.pointer.press_origin()).or(at)
    {
        kept.drag = Some((scale.moment_at(part(begun)), scale.moment_at(part(begun))));
    }
    if let (Some(drag), Some(at)) = (&mut kept.drag, at) {
        // At an edge, what lies beyond it comes into sight.
        let beyond = part(at) - part(at).clamp(0.0, 1.0);
        if beyond != 0.0 {
            *scale = scale.moved(beyond.clamp(-0.02, 0.02), scene.whole);
            ui.ctx().request_repaint();
        }
        drag.1 = scale.moment_at(part(at).clamp(0.0, 1.0));
    }
    if response.drag_stopped()
        && let Some((from, to)) = kept.drag.take()
    {
        return Some(match scene.drags {
            Drags::Moment => Event::Moment(to, reach),
            Drags::Stretch => Event::Stretch(from.min(to), from.max(to)),
        });
    }
    if let Some(at) = at.filter(|_| response.clicked()) {
        response.request_focus();
        let on_mark = mark_at(scene, *scale, inner, at);
        return Some(on_mark.map_or_else(|| Event::Moment(scale.moment_at(part(at)), reach), Event::Mark));
    }
    if let Some(at) = response.hover_pos().filter(|_| kept.drag.is_none()) {
        let words = match mark_at(scene, *scale, inner, at) {
            Some(nth) => scene.marks.get(nth).map(|mark| mark.words.clone()),
            None => scene.said_at(scale.moment_at(part(at)), reach),
        };
        let is_next =
            |next| at.y <= paint::marks_bottom(inner) && (paint::x_of(inner, *scale, next) - at.x).abs() <= GRIP;
        let due = scene.next.filter(|next| is_next(*next)).map(|next| format!("Next full backup, {}", moment(&next)));
        if let Some(words) = due.or(words) {
            response.clone().on_hover_text_at_pointer(words);
        }
    }
    None
}

/// The mark under the pointer.
fn mark_at(scene: &Scene<'_>, scale: Scale, inner: Rect, at: Pos2) -> Option<usize> {
    if at.y > paint::marks_bottom(inner) {
        return None;
    }
    let distance = |moment| (paint::x_of(inner, scale, moment) - at.x).abs();
    let near = scene.marks.iter().enumerate().map(|(nth, mark)| (nth, distance(mark.at)));
    near.filter(|(_, distance)| *distance <= GRIP).min_by(|a, b| a.1.total_cmp(&b.1)).map(|(nth, _)| nth)
}

/// What a screen reader says.
fn spoken(ui: &Ui, response: &Response, scene: &Scene<'_>) {
    ui.ctx().accesskit_node_builder(response.id, |node| {
        node.set_role(Role::Slider);
        node.set_label(scene.name);
        node.set_value(scene.note.as_ref().unwrap_or(&scene.value).clone());
        node.add_action(Asked::Focus);
        node.add_action(Asked::Increment);
        node.add_action(Asked::Decrement);
        if let Some((first, at, last)) = scene.steps {
            at.into_iter().for_each(|at| node.set_numeric_value(at as f64));
            node.set_min_numeric_value(first as f64);
            node.set_max_numeric_value(last as f64);
            node.set_numeric_value_step(1.0);
        }
    });
}
