//! The administration window: draws the engine's status, and gives it commands. It holds no truth of its own.
//!
//! ```text
//! ui side_bar    the window: menus, side bar, pages; its start
//! screens        one page per theme: `fn x_ui(ui, &Status, &mut State, &mut Vec<Action>)`
//! dialogs        what opens above a page
//! jobs           what runs, what ended, and what is wrong, at the head of every page
//! reports        what ended jobs achieved, in words
//! attention      warnings: as a card, in the title, as a notification of the desktop
//! menus          the bar of menus
//! commands       their commands: label, tooltip, icon, shortcut
//! action apply   what the user wants, and the one place that carries it out
//! picking        which file or folder is to be picked, and what follows from it
//! leave          the end of the window: who goes on with what it looks after
//! wanted         the data files that it asked for
//! state          what the window remembers between two frames
//! answers asked  what engines answered to this window, and what it waits for, asked again where nothing can come
//! awaited        questions that an engine was asked, each once
//! activity       what the page Activity remembers, and its rows as they come
//! looking        what the dialogs Look at this state and Information remember, as the engine tells it
//! taking_back    what the dialog Take back remembers: the plan, as the engine tells it, and its run
//! still          keeps a page still under the pointer
//! file_picker    chooses files and folders
//! page           what pages have in common
//! timeline       archives, logs and commits in time, to pick a moment or a stretch from
//! parts          a list of more rows than can be shown at once, part by part
//! table widgets choice  the parts
//! spoken         what a screen reader is told
//! theme          colours, fonts, spacing
//! scripts        letters that these fonts lack, from the fonts of the system
//! ```

mod action;
mod activity;
mod answers;
mod apply;
mod asked;
mod attention;
mod awaited;
mod choice;
mod commands;
mod dialogs;
mod file_picker;
mod jobs;
mod leave;
mod looking;
mod menus;
mod page;
mod parts;
mod picking;
mod reports;
mod screens;
mod scripts;
mod side_bar;
mod spoken;
mod state;
mod still;
mod table;
mod taking_back;
mod theme;
mod timeline;
mod wanted;
mod widgets;

use std::{
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    path::PathBuf,
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use crossbeam_channel::{Receiver, Sender, bounded};
use eframe::egui::{self, CentralPanel, Context, Frame, Margin, ScrollArea, Ui, UiBuilder};
use uuid::Uuid;

pub use file_picker::FilePicker;

use action::{Action, TakeBack};
use state::{Dialog, Page, State};

use crate::{
    engine::{Command, Event, Events, Handle, JobId, Status, status::JobReport},
    error::{Error, ErrorKind, Result},
    service::{background::Background, install::Folders},
};

/// How often a running job is drawn anew.
const JOB_FRAME: Duration = Duration::from_millis(250);
/// How often the age of the last commit is drawn anew.
const AGE_FRAME: Duration = Duration::from_secs(20);
/// News that come closer together than this are drawn together.
const NEWS_FRAME: Duration = Duration::from_millis(40);

/// Where things are on this machine, for the window.
#[derive(Debug, Clone, Default)]
pub struct Setup {
    /// The folder proposed for the sample.
    pub sample_folder: PathBuf,
    /// The program, and the folders of this user, for a service; `None` where they are not known.
    pub service: Option<(PathBuf, Folders)>,
    /// How a process in the background is begun; `None` where the program itself is not known.
    pub background: Option<Background>,
    /// Whether the desktop shows a notification when something becomes urgent.
    pub notifies: bool,
    /// Whether this user may do everything.
    pub is_superuser: bool,
}

/// The administration window.
#[derive(Debug)]
pub struct Window {
    handle: Handle,
    events: Events,
    state: State,
    /// Actions that threads of the window hand back.
    news: (Sender<Action>, Receiver<Action>),
    is_installed: bool,
    /// Whether fonts were given in this frame: they count from the next one on.
    waits_for_fonts: bool,
    /// Names whoever sits before this window, for jobs that have a question.
    who: Uuid,
    /// The title that the window has.
    title: String,
    /// What was urgent in the last frame.
    urgent: attention::Known,
}

impl Window {
    /// A window over the engine, or the engines, behind `handle`.
    pub fn new(handle: Handle, picker: FilePicker, setup: Setup) -> Self {
        let events = handle.events();
        let who = Uuid::new_v4();
        // An engine that does not take it has ended, and the window shows that.
        let _ = handle.send(Command::Attend { who, here: true });
        Self {
            handle,
            events,
            state: State::new(picker, setup),
            news: bounded(16),
            is_installed: false,
            waits_for_fonts: false,
            who,
            title: "Strongroom".to_owned(),
            urgent: Default::default(),
        }
    }

    /// Opens a data file, and shows it as soon as it is open.
    ///
    /// # Errors
    /// When the engine does not take the command.
    pub fn open(&mut self, path: PathBuf) -> Result<()> {
        self.state.wants(path.clone());
        self.handle.send(Command::OpenDataFile { path })
    }

    /// Gives the window its looks, and has the engine wake it.
    fn install(&mut self, ctx: &Context) {
        theme::install(ctx);
        ctx.add_plugin(spoken::Spoken);
        ctx.add_plugin(scripts::Scripts::default());
        let wake = ctx.clone();
        self.handle.on_change(move || {
            wake.request_repaint_after(NEWS_FRAME);
            true
        });
        self.state.wake = Some(ctx.clone());
        self.is_installed = true;
    }

    /// Takes what the engine and threads have brought, without waiting for any.
    fn drain(&mut self, status: &Status, actions: &mut Vec<Action>) {
        for event in self.events.try_iter() {
            match event {
                Event::DataFileOpened { .. } => self.state.opened(),
                Event::DataFileRefused(refused) => self.state.refused(&refused.path),
                Event::JobFinished(job) => {
                    if let Ok(JobReport::Sample { path, .. }) = &job.result
                        && self.state.samples.remove(&job.id)
                    {
                        self.state.wants(path.clone());
                    }
                }
                Event::LogOpened { data_file } if self.state.backup_when_logged.as_ref() == Some(&data_file) => {
                    self.state.backup_when_logged = None;
                    // Whatever dialog is open by now stays open.
                    let job = JobId::new();
                    actions.push(Action::Send(Command::Backup { job, data_file, destination: None, options: None }));
                }
                Event::LogRefused { .. } => self.state.backup_when_logged = None,
                // The dialog that asked for it stays, with all that was entered.
                Event::CommandRefused(error) if let Some(Dialog::Settings(form)) = &mut self.state.dialog => {
                    self.state.backup_when_logged = None;
                    form.refuse(error);
                }
                // It is an ended job as well, which the dialog waits for.
                Event::CommandRefused(_) if matches!(&self.state.dialog, Some(Dialog::TakeBack(f)) if f.job.is_some()) =>
                    {}
                Event::CommandRefused(error) => self.state.message = Some(jobs::refused(error)),
                _ => {}
            }
        }
        actions.extend(self.news.1.try_iter());
        self.state.answers.take();
        self.state.activity.take();
        self.state.follow(status);
        actions.extend(self.state.ask_again(status).map(Action::Ask));
        actions.extend(self.state.go_on_looking());
        actions.extend(self.state.go_on_taking_back(status).map(|ask| Action::TakeBack(TakeBack::Ask(ask))));
    }

    /// Asks before the window closes, when that ends what nobody else goes on with.
    fn ask_before_close(&mut self, ctx: &Context, status: &Status) {
        if self.state.is_leaving || !leave::is_worth_asking(status) {
            return;
        }
        ctx.send_viewport_cmd(egui::ViewportCommand::CancelClose);
        if ctx.input(|i| i.viewport().minimized) == Some(true) {
            // A question that nobody sees is none.
            ctx.send_viewport_cmd(egui::ViewportCommand::Minimized(false));
        }
        ctx.send_viewport_cmd(egui::ViewportCommand::Focus);
        self.state.dialog = Some(Dialog::Quit);
    }

    /// Brings what cannot wait into the title of the window, and has the desktop show what is new of it.
    fn tell_urgent(&mut self, ctx: &Context, status: &Status) {
        let title = attention::window_title(status);
        if title != self.title {
            ctx.send_viewport_cmd(egui::ViewportCommand::Title(title.clone()));
            self.title = title;
        }
        for (data_file, warning) in self.urgent.news(status) {
            if self.state.setup.notifies {
                let name = jobs::full_name(status, &data_file.facts.path);
                attention::notify(format!("{name} needs attention"), widgets::sentence(&warning.message));
            }
        }
    }

    /// Everything that is not drawing. While the window is minimised or covered, this alone is called, outside of a
    /// frame: whenever the engine has news, and when the window is to be closed.
    pub fn logic(&mut self, ctx: &Context) {
        if !self.is_installed {
            self.install(ctx);
            self.waits_for_fonts = true;
        }
        let status = self.handle.status();
        let mut actions = Vec::new();
        self.drain(&status, &mut actions);
        if ctx.input(|i| i.viewport().close_requested()) {
            self.ask_before_close(ctx, &status);
        }
        leave::go_on(ctx, &status, &mut self.state, &mut actions);
        self.tell_urgent(ctx, &status);
        self.carry_out(ctx, actions);
    }

    fn carry_out(&mut self, ctx: &Context, actions: Vec<Action>) {
        let acted = !actions.is_empty();
        for action in actions {
            apply::apply(ctx, action, &mut self.state, &self.handle, &self.news.0);
        }
        if acted {
            ctx.request_repaint();
        }
    }

    /// Takes what the user did outside of pages and dialogs: dropped files, the file picker, the field with the focus.
    fn take_input(&mut self, ctx: &Context, actions: &mut Vec<Action>) {
        let focused = ctx.memory(|m| m.focused());
        self.state.field = focused.filter(|id| egui::TextEdit::load_state(ctx, *id).is_some()).or(self.state.field);
        let dropped = ctx.input(|i| i.raw.dropped_files.iter().map(|f| f.path().to_path_buf()).collect::<Vec<_>>());
        actions.extend(dropped.into_iter().map(Action::Open));
        if let Some((purpose, path)) = self.state.picker.ui(ctx) {
            actions.extend(picking::picked(purpose, path, &mut self.state));
        }
    }

    /// Draws one frame, and carries out what the user wanted in it. [`logic`](Self::logic) comes before it.
    pub fn ui(&mut self, ui: &mut Ui) {
        let ctx = ui.ctx().clone();
        if std::mem::take(&mut self.waits_for_fonts) || !self.is_installed {
            ctx.request_repaint();
            return;
        }
        ctx.accesskit_node_builder(egui::accesskit_root_id(), |node| node.set_label(self.title.clone()));
        let status = self.handle.status();
        let mut actions = Vec::new();
        self.take_input(&ctx, &mut actions);
        commands::shortcuts(&ctx, &status, &self.state, &mut actions);
        menus::menu_bar(ui, &status, &self.state, &mut actions);
        let is_open = self.state.data_file(&status).is_some();
        let has_side_bar = !status.data_files.is_empty();
        if has_side_bar {
            side_bar::side_bar_ui(ui, &status, &mut self.state, &mut actions);
        }
        CentralPanel::default().frame(Frame::new().fill(ui.visuals().panel_fill)).show(ui, |ui| {
            // One scroll position for every page and data file.
            let of = self.state.current.clone().filter(|_| self.state.page != Page::Overview);
            let id = (self.state.page as u8, of);
            let (page, view) = (egui::Id::new(&id), ui.available_rect_before_wrap());
            let back = self.state.still.before(&ctx, page, view) + self.state.still.notice(&ctx, view);
            let mut area = ScrollArea::vertical().id_salt(id).auto_shrink(false);
            if let Some(offset) = self.state.scroll.take().or((back > 0.0).then_some(self.state.offset - back)) {
                area = area.vertical_scroll_offset(offset.max(0.0));
            }
            let shown = area.show(ui, |ui| {
                let mut rect = ui.available_rect_before_wrap();
                let widest = if is_open { theme::PAGE_WIDTH_MAX } else { theme::WELCOME_WIDTH_MAX };
                if !has_side_bar {
                    // Without a side bar the page stands in the middle.
                    rect.min.x += ((rect.width() - widest) / 2.0 - f32::from(theme::PAGE_MARGIN)).max(0.0);
                }
                let page = Frame::new().inner_margin(Margin::same(theme::PAGE_MARGIN));
                ui.scope_builder(UiBuilder::new().max_rect(rect), |ui| {
                    page.show(ui, |ui| {
                        let width = ui.available_width().min(widest);
                        ui.set_max_width(width);
                        ui.set_min_width(width);
                        screens::page_ui(ui, &status, &mut self.state, &mut actions);
                    })
                });
                ui.add_space(self.state.still.below());
                page::show_focused(ui, "page");
            });
            self.state.offset = shown.state.offset.y;
            let by = self.state.still.after(&ctx, view);
            // Its content ends lower only when it is drawn again.
            self.state.scroll = (by != 0.0).then_some(self.state.offset + by);
        });
        dialogs::dialog_ui(&ctx, &status, &mut self.state, &mut actions);
        drop_hint(&ctx);
        self.carry_out(&ctx, actions);
        if !status.jobs.is_empty() {
            ctx.request_repaint_after(JOB_FRAME);
        } else if self.state.data_file(&status).is_some_and(|d| d.log.is_some()) {
            ctx.request_repaint_after(AGE_FRAME);
        }
    }
}

impl Drop for Window {
    fn drop(&mut self) {
        apply::close_look(&mut self.state, &self.handle);
        let _ = self.handle.send(Command::Attend { who: self.who, here: false });
    }
}

impl eframe::App for Window {
    fn logic(&mut self, ctx: &Context, _frame: &mut eframe::Frame) {
        Window::logic(self, ctx);
    }

    fn ui(&mut self, ui: &mut Ui, _frame: &mut eframe::Frame) {
        Window::ui(self, ui);
    }
}

/// Says what happens with the files that are held over the window.
fn drop_hint(ctx: &Context) {
    if ctx.input(|i| i.raw.hovered_files.is_empty()) {
        return;
    }
    let layer = egui::LayerId::new(egui::Order::Tooltip, egui::Id::new("drop"));
    let painter = ctx.layer_painter(layer);
    let rect = ctx.content_rect();
    painter.rect_filled(rect, 0.0, egui::Color32::from_black_alpha(150));
    let font = egui::FontId::proportional(20.0);
    let text = "Drop a data file to open it, or an archive to restore it";
    painter.text(rect.center(), egui::Align2::CENTER_CENTER, text, font, egui::Color32::WHITE);
}

/// Opens the window, and `first` in it, and returns when the window is closed.
///
/// # Errors
/// When there is no display, or a library that draws is missing.
pub fn run(handle: Handle, first: Option<PathBuf>, setup: Setup) -> Result<()> {
    let viewport = egui::ViewportBuilder::default()
        .with_title("Strongroom")
        .with_app_id("strongroom")
        .with_inner_size([1180.0, 780.0])
        .with_min_inner_size([440.0, 300.0]);
    let options = eframe::NativeOptions { viewport, ..Default::default() };
    let mut window = Window::new(handle, FilePicker::new(), setup);
    if let Some(path) = first {
        // As if it were dropped on the window: an archive is restored.
        let _ = window.news.0.try_send(Action::Open(path));
    }
    let is_shown = AtomicBool::new(false);
    let create = |context: &eframe::CreationContext<'_>| -> std::result::Result<Box<dyn eframe::App>, _> {
        window.install(&context.egui_ctx);
        is_shown.store(true, Ordering::Relaxed);
        Ok(Box::new(window))
    };
    let outcome = catch_unwind(AssertUnwindSafe(|| eframe::run_native("strongroom", options, Box::new(create))));
    match outcome {
        // Not the start but the window itself failed.
        Err(panic) if is_shown.load(Ordering::Relaxed) => resume_unwind(panic),
        Ok(Ok(())) => Ok(()),
        Ok(Err(e)) => Err(no_window(&e.to_string())),
        // One of the libraries panics when another cannot be loaded; the message says which.
        Err(panic) => {
            let text = panic.downcast_ref::<String>().cloned();
            let text = text.or_else(|| panic.downcast_ref::<&str>().map(|s| (*s).to_owned()));
            Err(no_window(&text.unwrap_or_else(|| "a library failed".to_owned())))
        }
    }
}

fn no_window(why: &str) -> Error {
    let hint = "The window needs a display and these Debian packages: libx11-6 libx11-xcb1 libxcursor1 libxi6 \
                libxkbcommon-x11-0 libegl1 libgl1-mesa-dri. Without a display use the command line: strongroom --help.";
    let why = why.lines().next().unwrap_or_default();
    // Without the place in a library's source, which says nothing to an administrator.
    let why = why.rsplit_once(".rs:").and_then(|(_, rest)| rest.split_once(": ")).map_or(why, |(_, reason)| reason);
    Error::new(ErrorKind::Refused, format!("the window cannot be opened: {why}")).hint(hint)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_that_can_not_open_names_the_packages_and_the_command_line() {
        let error = no_window("Library libxkbcommon-x11.so could not be loaded.\nmore");
        let expected = "the window cannot be opened: Library libxkbcommon-x11.so could not be loaded.";
        assert_eq!(error.to_string(), expected);
        let error_at = no_window("winit EventLoopError: os error at /src/linux/mod.rs:765: DISPLAY is not set.");
        assert_eq!(error_at.to_string(), "the window cannot be opened: DISPLAY is not set.");
        let hint = error.hint_text().unwrap_or_default();
        assert!(hint.contains("libxkbcommon-x11-0") && hint.contains("strongroom --help"), "{hint}");
    }
}
