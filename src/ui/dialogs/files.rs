//! The dialog inside the window that chooses a file or a folder, for systems that have no dialog of their own.
//!
//! Folders are read on a thread, since a disk may be slow or asleep, or not answer at all: then another one can be
//! chosen. The names come first, and what is asked of each file after them, since each may lie on another disk.

mod reading;

use std::{
    path::{Path, PathBuf},
    thread,
};

use crossbeam_channel::{Receiver, TryRecvError, bounded};
use eframe::egui::{Align, Context, Key, Label, Layout, RichText, Ui, vec2};
use lucide_icons::Icon;

use reading::{Found, Look, Row, existing_name, find, places};

use super::frame;
use crate::{
    storage::space::human_bytes,
    ui::{
        file_picker::{Mode, Request},
        table::{Cell, Column, RowEvent, SortKey, Table, figure_column, nothing, open_column, text_column},
        theme::palette,
        widgets::{button, check_box, icon_button, primary_button, text_field},
    },
};

/// The list keeps its height, so that the dialog stays where it is.
const LIST_HEIGHT: f32 = 300.0;
const COLUMNS: [Column; 3] =
    [open_column("Name", 180.0).names_row(), figure_column("Size", 92.0), text_column("Modified", 150.0)];

/// How far the choice is.
#[derive(Debug)]
pub(crate) enum Answer {
    /// Not made yet.
    Open,
    /// The user does not want to choose.
    Cancelled,
    /// Made.
    Chosen(PathBuf),
}

/// The folder being looked at, and what is selected in it.
#[derive(Debug)]
pub(crate) struct Browser {
    folder: PathBuf,
    typed: String,
    /// What stood in the field when the thread was sent: what was typed since stays.
    typed_before: String,
    rows: Result<Vec<Row>, String>,
    places: Vec<(Icon, String, PathBuf)>,
    finding_places: Option<Receiver<Vec<(Icon, String, PathBuf)>>>,
    looking: Option<Receiver<Found>>,
    /// What is being looked at, until anything of it is known.
    target: Option<PathBuf>,
    selected: Option<PathBuf>,
    all_files: bool,
    hidden: bool,
    new_folder: Option<String>,
}

impl Browser {
    pub(crate) fn new(ctx: &Context, request: &Request) -> Self {
        let mut browser = Self {
            folder: request.start.clone(),
            typed: request.start.display().to_string(),
            typed_before: String::new(),
            rows: Ok(Vec::new()),
            places: Vec::new(),
            finding_places: None,
            looking: None,
            target: None,
            selected: None,
            all_files: false,
            hidden: false,
            new_folder: None,
        };
        browser.look(ctx, request.start.clone(), Look::Nearest);
        // Beside it: one disk that does not answer would keep the folder from being shown.
        let (sender, receiver) = bounded(1);
        let wake = ctx.clone();
        let find = move || {
            let _ = sender.send(places());
            wake.request_repaint();
        };
        if thread::Builder::new().name("find-places".to_owned()).spawn(find).is_ok() {
            browser.finding_places = Some(receiver);
        }
        browser
    }

    fn look(&mut self, ctx: &Context, path: PathBuf, look: Look) {
        self.typed_before.clone_from(&self.typed);
        let (sender, receiver) = bounded(2);
        let wake = ctx.clone();
        let target = path.clone();
        let find = move || {
            find(path, look, &mut |found| {
                let _ = sender.send(found);
                wake.request_repaint();
            });
        };
        match thread::Builder::new().name("read-folder".to_owned()).spawn(find) {
            Ok(_) => (self.looking, self.target) = (Some(receiver), Some(target)),
            Err(e) => self.rows = Err(format!("the folder cannot be read: {e}")),
        }
    }

    /// Takes what the thread found; a path when the user typed one that is no folder.
    fn take(&mut self) -> Option<PathBuf> {
        if let Some(places) = self.finding_places.as_ref().and_then(|found| found.try_recv().ok()) {
            (self.places, self.finding_places) = (places, None);
        }
        loop {
            match self.looking.as_ref()?.try_recv() {
                Ok(Found::Folder { folder, rows, is_whole }) => {
                    if self.typed == self.typed_before {
                        self.typed = folder.display().to_string();
                    }
                    // What was selected among the names stays.
                    if self.target.take().is_some() {
                        self.selected = None;
                    }
                    (self.folder, self.rows) = (folder, rows);
                    if is_whole {
                        self.looking = None;
                    }
                }
                Ok(Found::Other(path)) => {
                    (self.looking, self.target) = (None, None);
                    return Some(path);
                }
                Err(TryRecvError::Empty) => return None,
                Err(TryRecvError::Disconnected) => {
                    (self.looking, self.target) = (None, None);
                    return None;
                }
            }
        }
    }

    pub(crate) fn ui(&mut self, ctx: &Context, request: &Request) -> Answer {
        if let Some(path) = self.take() {
            return Answer::Chosen(path);
        }
        let folders_only = request.mode == Mode::ChooseFolder;
        let mut frame_form = (self, Wish::default());
        frame(
            ctx,
            request.title,
            780.0,
            &mut frame_form,
            |ui, (browser, wish)| {
                browser.path_line(ui, folders_only, wish);
                ui.add_space(4.0);
                ui.horizontal_top(|ui| {
                    ui.allocate_ui_with_layout(vec2(150.0, LIST_HEIGHT), Layout::top_down(Align::Min), |ui| {
                        ui.set_width(150.0);
                        browser.places(ui, request, wish);
                    });
                    ui.vertical(|ui| {
                        ui.set_min_height(LIST_HEIGHT);
                        browser.list(ui, request, wish);
                    });
                });
                browser.options(ui, request);
            },
            |ui, keys, (browser, wish)| {
                let label = if folders_only { "Choose this folder" } else { "Open file" };
                // What is still being read is not the folder that would be chosen.
                let is_shown = browser.target.is_none() && (folders_only || browser.selected.is_some());
                let enabled = is_shown || browser.typed_path().is_some();
                let pressed = primary_button(ui, None, label, enabled).clicked();
                if button(ui, None, "Cancel").clicked() || keys.escape {
                    wish.answer = Some(Answer::Cancelled);
                }
                if pressed || ((wish.entered || keys.enter) && enabled) {
                    browser.submit(folders_only, pressed, wish);
                }
            },
        );
        let (browser, wish) = frame_form;
        if let Some((path, look)) = wish.go {
            browser.look(ctx, path, look);
        }
        wish.answer.unwrap_or(Answer::Open)
    }

    /// The path in the field, when the user has changed it.
    fn typed_path(&self) -> Option<PathBuf> {
        let typed = PathBuf::from(self.typed.trim());
        (typed != self.folder && !self.typed.trim().is_empty()).then_some(typed)
    }

    /// The user is content: a typed path is looked at first, unless it is to be taken as a folder that may not exist
    /// yet.
    fn submit(&self, folders_only: bool, pressed: bool, wish: &mut Wish) {
        match (self.typed_path(), &self.selected) {
            (Some(typed), _) if folders_only && pressed => wish.answer = Some(Answer::Chosen(typed)),
            (Some(typed), _) => wish.go = Some((typed, Look::Exact)),
            (None, Some(path)) => wish.answer = Some(Answer::Chosen(path.clone())),
            (None, None) if folders_only => wish.answer = Some(Answer::Chosen(self.folder.clone())),
            (None, None) => {}
        }
    }

    /// The path as text, the way up, and the way to a new folder.
    fn path_line(&mut self, ui: &mut Ui, folders_only: bool, wish: &mut Wish) {
        let size = vec2(ui.available_width(), ui.spacing().interact_size.y);
        ui.allocate_ui_with_layout(size, Layout::right_to_left(Align::Center), |ui| {
            if folders_only && button(ui, Some(Icon::FolderPlus), "New folder").clicked() {
                self.new_folder = Some(String::new());
            }
            ui.with_layout(Layout::left_to_right(Align::Center), |ui| {
                if icon_button(ui, Icon::CornerLeftUp, "Folder above").clicked()
                    && let Some(above) = self.folder.parent()
                {
                    wish.go = Some((above.to_path_buf(), Look::Exact));
                }
                let width = ui.available_width();
                let response = text_field(ui, "Path", &mut self.typed, "Type or paste a path", width);
                wish.entered = response.lost_focus() && ui.input(|i| i.key_pressed(Key::Enter));
            });
        });
        if let Some(mut name) = self.new_folder.take() {
            let mut keep = true;
            ui.horizontal(|ui| {
                let field = text_field(ui, "Name of the new folder", &mut name, "Name of the new folder", 260.0);
                let enter = field.lost_focus() && ui.input(|i| i.key_pressed(Key::Enter));
                if button(ui, None, "Create folder").clicked() || enter {
                    if !name.trim().is_empty() {
                        wish.go = Some((self.folder.join(name.trim()), Look::Make));
                    }
                    keep = false;
                }
            });
            self.new_folder = keep.then_some(name);
        }
    }

    fn places(&self, ui: &mut Ui, request: &Request, wish: &mut Wish) {
        let mut place = |ui: &mut Ui, icon: Icon, name: &str, path: &Path| {
            let text = format!("{}  {name}", char::from(icon));
            let response = ui
                .add(eframe::egui::Button::selectable(self.folder == path, text).min_size(vec2(140.0, 0.0)).truncate())
                .on_hover_text(path.display().to_string());
            response.widget_info(|| {
                eframe::egui::WidgetInfo::labeled(eframe::egui::WidgetType::Button, true, format!("Go to {name}"))
            });
            if response.clicked() {
                wish.go = Some((path.to_path_buf(), Look::Exact));
            }
        };
        for (icon, name, path) in &self.places {
            place(ui, *icon, name, path);
        }
        let start = existing_name(&request.start);
        place(ui, Icon::FolderOpen, &start, &request.start);
    }

    fn list(&mut self, ui: &mut Ui, request: &Request, wish: &mut Wish) {
        if let Some(target) = &self.target {
            return nothing(ui, &format!("Reading {} …", target.display()));
        }
        let rows: Vec<&Row> = match &self.rows {
            Ok(rows) => rows.iter().filter(|row| self.is_shown(row, request.mode)).collect(),
            Err(problem) => {
                ui.add(Label::new(RichText::new(problem).color(palette(ui).bad.0)).wrap());
                return;
            }
        };
        if rows.is_empty() {
            return nothing(ui, "Nothing to choose in this folder");
        }
        let selected = self.selected.as_ref().and_then(|path| rows.iter().position(|row| row.path == *path));
        let cell = |row: usize, column: usize| {
            let row = rows[row];
            let icon = if row.is_folder { Icon::Folder } else { Icon::File };
            Cell::Text(match column {
                0 => return Cell::Icon(icon, row.name.clone()),
                1 => row.bytes.map(human_bytes).unwrap_or_default(),
                _ => row.modified.map(|m| m.format("%Y-%m-%d %H:%M").to_string()).unwrap_or_default(),
            })
        };
        let name = |row: usize| {
            let row = rows[row];
            if row.is_folder { format!("Folder {}", row.name) } else { format!("File {}", row.name) }
        };
        let key = |row: usize, column: usize| {
            let row = rows[row];
            match column {
                0 => SortKey::text(&row.name),
                1 => SortKey::number(row.bytes),
                _ => SortKey::number(row.modified.map(|modified| modified.timestamp_millis())),
            }
        };
        let table = Table { name: "Files", columns: &COLUMNS, rows: rows.len(), height: LIST_HEIGHT, selected };
        match table.show(ui, cell, name, key) {
            Some(RowEvent::Selected(at)) => {
                self.typed = self.folder.display().to_string();
                self.selected = Some(rows[at].path.clone());
            }
            Some(RowEvent::Activated(at)) if rows[at].is_folder => wish.go = Some((rows[at].path.clone(), Look::Exact)),
            Some(RowEvent::Activated(at)) => wish.answer = Some(Answer::Chosen(rows[at].path.clone())),
            None => {}
        }
    }

    fn is_shown(&self, row: &Row, mode: Mode) -> bool {
        let wanted = match mode {
            Mode::ChooseFolder => row.is_folder,
            Mode::OpenFile { extension: Some(extension) } if !self.all_files && !row.is_folder => {
                row.path.extension().is_some_and(|e| e.eq_ignore_ascii_case(extension))
            }
            Mode::OpenFile { .. } => true,
        };
        wanted && (self.hidden || !row.name.starts_with('.'))
    }

    fn options(&mut self, ui: &mut Ui, request: &Request) {
        ui.horizontal(|ui| {
            check_box(ui, &mut self.hidden, "Hidden files");
            if let Mode::OpenFile { extension: Some(_) } = request.mode {
                check_box(ui, &mut self.all_files, "All files");
            }
        });
    }
}

/// What the user did in one frame.
#[derive(Debug, Default)]
struct Wish {
    /// Look at another path.
    go: Option<(PathBuf, Look)>,
    /// Enter was pressed in the path.
    entered: bool,
    answer: Option<Answer>,
}
