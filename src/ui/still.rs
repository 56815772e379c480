//! Keeps a page still under the pointer while strips come and go at its head.
//!
//! What comes pushes the page down, and the click that was meant for *Verify* presses *Restore in place*. So while the
//! pointer is on its way to something below, the page is scrolled by what came, or room is left for what went; when the
//! pointer leaves the page, or the notice is pressed that says so, everything is shown again. What follows a click at
//! once is what was asked for, and moves the page as it always did. In the same way a table of a page keeps its rows
//! ([`holds`]), which would come and go under the pointer.

use eframe::egui::{Align2, Area, Context, Id, Order, Rect, Ui, vec2};
use lucide_icons::Icon;

use super::widgets::primary_button;

/// What is remembered of a page between two frames.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Still {
    /// Which page it is.
    page: Option<Id>,
    /// How high everything is that comes and goes at its head.
    height: f32,
    /// How much of that the page does not follow: it is scrolled by it, or room is left for it where it is less than
    /// zero.
    held: f32,
    /// Whether the pointer has moved since the last click, and that was not just now.
    aims: bool,
    /// When that was, in the window's own time.
    clicked: f64,
    /// Whether the notice stands at the right, as long as there is one: it must not flee from whoever goes to it.
    notice_at_right: Option<bool>,
}

/// What comes so soon after a click, in seconds, comes because of it.
const OWN_MAX: f64 = 1.0;

fn end_id() -> Id {
    Id::new("the end of what comes and goes at the head of a page")
}

fn room_id() -> Id {
    Id::new("the room left at the head of a page")
}

fn holds_id() -> Id {
    Id::new("rows stay under the pointer")
}

fn news_id() -> Id {
    Id::new("rows have come or gone that are not shown")
}

/// Whether the pointer is on its way to something in the page: then rows stay what they are, and the page says by
/// [`hold_back`] that there is news.
pub(crate) fn holds(ctx: &Context) -> bool {
    ctx.data(|d| d.get_temp(holds_id())).unwrap_or_default()
}

/// Notes that rows have come or gone that are not shown.
pub(crate) fn hold_back(ctx: &Context) {
    ctx.data_mut(|d| d.insert_temp(news_id(), true));
}

/// Where strips begin; everything between this and [`end`] comes and goes.
pub(crate) fn begin(ui: &Ui) {
    let at = ui.cursor().top();
    ui.data_mut(|d| d.insert_temp(end_id(), (at, at)));
}

/// Where strips end and the page itself begins.
pub(crate) fn end(ui: &mut Ui) {
    let at = ui.cursor().top();
    let begun = ui.data(|d| d.get_temp::<(f32, f32)>(end_id())).map_or(at, |ends| ends.0);
    ui.data_mut(|d| d.insert_temp(end_id(), (begun, at)));
    let room = ui.data(|d| d.get_temp::<f32>(room_id())).unwrap_or_default();
    ui.add_space(room);
}

impl Still {
    /// Before a page is drawn in `area`; returns by how much to scroll it back, when everything is to be shown again.
    pub(crate) fn before(&mut self, ctx: &Context, page: Id, area: Rect) -> f32 {
        if self.page != Some(page) {
            *self = Self { page: Some(page), height: f32::NAN, clicked: self.clicked, ..Self::default() };
        }
        let (at, moved, clicked, scrolled, now) = ctx.input(|i| {
            let moved = i.pointer.delta() != vec2(0.0, 0.0);
            (i.pointer.latest_pos(), moved, i.pointer.any_released(), i.smooth_scroll_delta().y, i.time)
        });
        if clicked {
            self.clicked = now;
        }
        self.aims = (self.aims || moved) && now - self.clicked > OWN_MAX;
        if scrolled != 0.0 && self.held > 0.0 {
            // Whoever scrolls has taken it into their own hands.
            self.held = 0.0;
        }
        let is_here = at.is_some_and(|at| area.contains(at));
        let back = if at.is_some_and(|at| area.contains(at)) { 0.0 } else { std::mem::take(&mut self.held).max(0.0) };
        ctx.data_mut(|d| {
            d.insert_temp(holds_id(), is_here && (self.aims || now - self.clicked <= OWN_MAX));
            d.remove::<(f32, f32)>(end_id());
            d.insert_temp(room_id(), (-self.held).max(0.0));
        });
        back
    }

    /// How much lower than its content the page must end, so that it can be scrolled by what is held.
    pub(crate) fn below(self) -> f32 {
        self.held.max(0.0)
    }

    /// After a page was drawn; returns by how much to scroll it, so that it stands still.
    pub(crate) fn after(&mut self, ctx: &Context, area: Rect) -> f32 {
        let Some((begun, ended)) = ctx.data(|d| d.get_temp::<(f32, f32)>(end_id())) else { return 0.0 };
        let (before, now) = (self.height, ended - begun);
        self.height = now;
        let at = ctx.input(|i| i.pointer.latest_pos()).filter(|at| area.contains(*at));
        // What the pointer is on above the strips does not move.
        let is_below = at.is_some_and(|at| at.y > begun + before.min(now));
        if !before.is_finite() || before == now || !self.aims || !is_below {
            return 0.0;
        }
        let was = self.held.max(0.0);
        self.held += now - before;
        ctx.data_mut(|d| d.insert_temp(room_id(), (-self.held).max(0.0)));
        ctx.request_discard("something came or went at the head of the page");
        self.held.max(0.0) - was
    }

    /// Says that something came which is not to be seen, and shows it when that is pressed; returns by how much to
    /// scroll back.
    pub(crate) fn notice(&mut self, ctx: &Context, area: Rect) -> f32 {
        // Noted while the page was drawn last.
        let has_news = ctx.data_mut(|d| d.remove_temp::<bool>(news_id())).unwrap_or_default();
        if self.held <= 0.0 && !has_news {
            self.notice_at_right = None;
            return 0.0;
        }
        // Where the pointer is not when it comes.
        let at = ctx.input(|i| i.pointer.latest_pos()).unwrap_or(area.center());
        let (corner, pivot) = match *self.notice_at_right.get_or_insert(at.x < area.center().x) {
            true => (area.right_top() + vec2(-24.0, 10.0), Align2::RIGHT_TOP),
            false => (area.left_top() + vec2(24.0, 10.0), Align2::LEFT_TOP),
        };
        let notice = Area::new(Id::new("news above")).order(Order::Middle).fixed_pos(corner).pivot(pivot);
        let pressed = notice.show(ctx, |ui| primary_button(ui, Some(Icon::ArrowUp), "Show the news", true).clicked());
        if !pressed.inner {
            return 0.0;
        }
        // Until the pointer moves again, the rows are those that there are now.
        (self.aims, self.clicked) = (false, f64::NEG_INFINITY);
        std::mem::take(&mut self.held).max(0.0)
    }
}
