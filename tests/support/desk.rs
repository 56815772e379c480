//! The window over an engine of its own, driven by role and label.
#![allow(dead_code, unreachable_pub, missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::{
    cell::Cell,
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command as Process, Stdio},
    rc::Rc,
    thread,
    time::{Duration, Instant},
};

use eframe::egui::{Key, accesskit::Role};
use egui_kittest::{
    Harness, Node,
    kittest::{AccessKitNode, NodeT, Queryable, by},
};
use rusqlite::Connection;
use strongroom::{
    engine::{Answer, Command, Config, Engine, Handle, Query, Status},
    error::ErrorReport,
    restore::{Logs, RestorePlan},
    service::{Sockets, background::Background, switchboard},
    ui::{FilePicker, Setup, Window},
};

/// Nothing here takes this long, even on a slow and busy machine.
pub const LIMIT: Duration = Duration::from_secs(120);

/// Whether the windows of this test program join a service, in a process of its own, instead of hosting the engine.
pub const IS_JOINED: bool =
    matches!(env!("CARGO_CRATE_NAME").as_bytes(), [.., b'_', b'j', b'o', b'i', b'n', b'e', b'd']);

/// A service that the windows of a test join.
struct Service(Child);

impl Service {
    fn start(own: &Path) -> Self {
        let mut command = Process::new(env!("CARGO_BIN_EXE_strongroom"));
        command.arg("serve").env("XDG_DATA_HOME", own).env("XDG_CONFIG_HOME", own).env("HOME", own);
        command.env("XDG_RUNTIME_DIR", own).env("STRONGROOM_LOG", "off").stdin(Stdio::null()).stdout(Stdio::piped());
        let mut process = command.spawn().unwrap();
        let mut line = String::new();
        BufReader::new(process.stdout.take().unwrap()).read_line(&mut line).unwrap();
        assert!(line.contains("Looking after"), "{line}");
        Self(process)
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The program with its own files in `own`, as a window begins it in the background.
fn background(own: &Path) -> Background {
    std::fs::create_dir_all(own).unwrap();
    let program = own.join("strongroom.sh");
    let of = own.display();
    let text = format!(
        "#!/bin/sh\nHOME='{of}' XDG_DATA_HOME='{of}' XDG_CONFIG_HOME='{of}' XDG_RUNTIME_DIR='{of}' exec '{}' \"$@\"\n",
        env!("CARGO_BIN_EXE_strongroom")
    );
    std::fs::write(&program, text).unwrap();
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
    }
    Background { program, messages: own.join("strongroom/background.log") }
}

/// A window in a folder of its own, over an engine of its own or that of a service.
pub struct Desk {
    pub harness: Harness<'static, Window>,
    /// What the window works with.
    pub handle: Handle,
    _own: Engine,
    _service: Option<Service>,
    /// Nothing is told to the window meanwhile.
    is_still: Rc<Cell<bool>>,
    pub folder: tempfile::TempDir,
}

impl Desk {
    pub fn new() -> Self {
        Self::of_size(1180.0, 960.0)
    }

    pub fn of_size(width: f32, height: f32) -> Self {
        Self::with(width, height, false)
    }

    /// A window that can leave what it looks after to a process in the background, as the real one.
    pub fn that_can_leave() -> Self {
        Self::with(1180.0, 960.0, true)
    }

    fn with(width: f32, height: f32, can_leave: bool) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let own = folder.path().join("own");
        let config = Config::private(&own.join("strongroom"));
        let engine = Engine::start(config).unwrap();
        let background = can_leave.then(|| background(&own));
        let setup = Setup { sample_folder: folder.path().join("sample"), background, ..Setup::default() };
        let service = IS_JOINED.then(|| Service::start(&own));
        let handle = if IS_JOINED || can_leave {
            let sockets = Sockets::new(&own.join("strongroom"), folder.path());
            let handle = switchboard::join_all(engine.handle(), &own.join("strongroom"), &sockets).unwrap();
            let begun = Instant::now();
            while IS_JOINED && handle.status().engines.len() < 2 {
                assert!(begun.elapsed() < LIMIT, "the service was not joined");
                thread::sleep(Duration::from_millis(5));
            }
            handle
        } else {
            engine.handle()
        };
        let window = Window::new(handle.clone(), FilePicker::inside(), setup);
        let is_still = Rc::new(Cell::new(false));
        let holds = Rc::clone(&is_still);
        let mut harness = Harness::builder().with_size([width, height]).build_ui_state(
            move |ui, window: &mut Window| {
                // As eframe does.
                if !holds.get() {
                    window.logic(ui.ctx());
                }
                window.ui(ui);
            },
            window,
        );
        harness.run_steps(4);
        Self { harness, handle, _own: engine, _service: service, is_still, folder }
    }

    /// The service that the window has joined is stopped (`STOP`), or goes on (`CONT`).
    pub fn signal_service(&self, signal: &str) {
        let process = self._service.as_ref().unwrap().0.id().to_string();
        assert!(Process::new("kill").args([&format!("-{signal}"), &process]).status().unwrap().success());
    }

    /// The service that the window has joined dies.
    pub fn end_service(&mut self) {
        drop(self._service.take());
    }

    pub fn status(&self) -> std::sync::Arc<Status> {
        self.handle.status()
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().canonicalize().unwrap().join(name)
    }

    /// Draws frames until `done`, which is given the window and the status.
    pub fn until(&mut self, what: &str, mut done: impl FnMut(&Harness<'static, Window>, &Status) -> bool) {
        let begun = Instant::now();
        loop {
            self.harness.run_steps(2);
            if done(&self.harness, &self.status()) {
                return;
            }
            if begun.elapsed() > LIMIT {
                panic!("waited in vain for {what}; the window shows:\n{:#?}", self.texts());
            }
            thread::sleep(Duration::from_millis(10));
        }
    }

    pub fn until_shown(&mut self, text: &str) {
        self.until(text, |harness, _| harness.query_all_by_label_contains(text).next().is_some());
    }

    pub fn texts(&self) -> Vec<String> {
        let all = self.harness.query_all(egui_kittest::kittest::by().predicate(|_| true));
        all.filter_map(|node| node.accesskit_node().label().or_else(|| node.accesskit_node().value())).collect()
    }

    /// Presses the button or the entry of a menu with this name, or chooses the row of a table that begins with it.
    pub fn press(&mut self, label: &str) {
        self.until(label, |harness, _| {
            named(harness, label).next().is_some_and(|node| !node.accesskit_node().is_disabled())
        });
        let found = named(&self.harness, label).count();
        assert_eq!(found, 1, "so many are called {label}");
        self.click_where(label, |harness| named(harness, label).next());
    }

    /// Clicks what has this role and this name.
    pub fn click_on(&mut self, role: Role, label: &str) {
        self.click_where(label, |harness| called(harness, role, label));
    }

    /// Clicks what is found, once it stands still: what was drawn a moment ago may still move to its place, as dialogs
    /// do to the middle. While the button is down nothing is told to the window: an answer that makes a dialog longer
    /// would move it away beneath the pointer.
    pub fn click_where(&mut self, what: &str, find: impl for<'h> Fn(&'h Harness<'static, Window>) -> Option<Node<'h>>) {
        let place = |harness: &Harness<'static, Window>| find(harness).map(|node| node.rect());
        loop {
            let mut seen = None;
            self.until(what, |harness, _| {
                let place = place(harness);
                place.is_some() && seen.replace(place) == Some(place)
            });
            self.is_still.set(true);
            self.harness.run_steps(2);
            if place(&self.harness) == seen.flatten() {
                break;
            }
            self.is_still.set(false);
        }
        find(&self.harness).unwrap().click();
        self.harness.run_steps(3);
        self.is_still.set(false);
        self.harness.run_steps(3);
    }

    pub fn type_into(&mut self, label: &str, text: &str) {
        self.harness.get_by_role_and_label(Role::TextInput, label).focus();
        self.harness.run_steps(2);
        self.harness.key_combination_modifiers(eframe::egui::Modifiers::COMMAND, &[Key::A]);
        self.harness.run_steps(2);
        self.harness.get_by_role_and_label(Role::TextInput, label).type_text(text);
        self.harness.run_steps(2);
    }

    pub fn is_shown(&self, text: &str) -> bool {
        self.harness.query_all_by_label_contains(text).next().is_some()
    }

    /// Whether the window shows the message, which begins with a capital letter when it stands alone, and the hint.
    pub fn is_said(&self, error: &ErrorReport) -> bool {
        let rest: String = error.message.chars().skip(1).collect();
        self.is_shown(&rest) && error.hint.as_ref().is_none_or(|hint| self.is_shown(hint))
    }

    pub fn until_said(&mut self, error: &ErrorReport) {
        let begun = Instant::now();
        while !self.is_said(error) {
            assert!(begun.elapsed() < LIMIT, "waited in vain for {error:?}:\n{:#?}", self.texts());
            self.harness.run_steps(2);
            thread::sleep(Duration::from_millis(10));
        }
    }

    /// What an archive says of itself to whoever asks.
    pub fn look(&self, archive: &Path) -> Result<RestorePlan, ErrorReport> {
        let query = Query::Archive { path: archive.to_path_buf(), segments: vec![], logs: Logs::default() };
        match self.handle.ask(query).unwrap().wait(Some(LIMIT)).unwrap() {
            Answer::Archive(look) => look.result,
            other => panic!("{other:?}"),
        }
    }

    /// Opens the dialog that restores an archive, and waits until it shows the content.
    pub fn ask_restore(&mut self, number: u32) {
        self.press("Restore");
        self.until("the archives", |h, _| named(h, "Archive 0001").next().is_some());
        let restore = format!("Restore archive {number:04}…");
        let begun = Instant::now();
        // A list that grows meanwhile moves its rows from under the pointer.
        while self.harness.query_by_role_and_label(Role::Button, &restore).is_none() && begun.elapsed() < LIMIT {
            self.press(&format!("Archive {number:04}"));
        }
        self.press(&restore);
        self.until("the content", |h, _| h.query_by_label("Data file: Office.sqlite").is_some());
        // The dialog grows with its content and stands in the middle again.
        let mut seen = None;
        self.until("the dialog to stand still", |harness, _| {
            let place = harness.query_by_role_and_label(Role::Button, "Cancel").map(|button| button.rect());
            place.is_some() && seen.replace(place) == Some(place)
        });
    }

    pub fn send(&self, command: Command) {
        self.handle.send(command).unwrap();
    }

    /// Opens a data file as the window does when it is begun with one.
    pub fn open(&mut self, path: &Path) {
        self.harness.state_mut().open(path.to_path_buf()).unwrap();
    }

    /// Makes a data file and opens it.
    pub fn open_data_file(&mut self, rows: u32) -> PathBuf {
        let path = self.path("Office.sqlite");
        make_data_file(&path, rows);
        self.open(&path);
        self.until("the data file", |harness, status| {
            status.data_files.first().is_some_and(|d| d.plan.is_some())
                && harness.query_by_role_and_label(Role::Button, "Start backup").is_some()
        });
        path
    }

    /// Makes a backup through the dialog, and returns the archive.
    pub fn back_up(&mut self, number: u32) -> PathBuf {
        self.press("Maintenance");
        self.press("Backup…");
        self.until_shown(&format!("[{number:04}].4BK"));
        self.press("Save");
        // Not counted are tests of new archives, which come by themselves.
        let asked = |status: &Status| status.finished.iter().filter(|job| !job.automatic).count();
        self.until("the backup", |_, status| status.jobs.is_empty() && asked(status) >= number as usize);
        self.until_shown(&format!("Full backup {number:04} succeeded"));
        self.path("Backups").join(format!("Office[{number:04}].4BK"))
    }
}

/// What can be pressed under this name: buttons, entries of menus, and rows of tables, which read all their cells after
/// it.
pub fn named<'h>(harness: &'h Harness<'static, Window>, label: &str) -> impl Iterator<Item = Node<'h>> {
    let (label, row) = (label.to_owned(), format!("{label}, "));
    let wanted = move |node: &AccessKitNode<'_>| {
        let name = node.label().unwrap_or_default();
        match node.role() {
            Role::Button | Role::MenuItem => name == label,
            Role::ListBoxOption => name == label || name.starts_with(&row),
            _ => false,
        }
    };
    harness.query_all(by().predicate(wanted)).collect::<Vec<_>>().into_iter()
}

/// What has this role and this name.
pub fn called<'h>(harness: &'h Harness<'static, Window>, role: Role, label: &str) -> Option<Node<'h>> {
    let label = label.to_owned();
    let wanted = move |node: &AccessKitNode<'_>| node.role() == role && node.label().as_deref() == Some(label.as_str());
    harness.query(by().predicate(wanted))
}

pub fn make_data_file(path: &Path, rows: u32) {
    let mut conn = Connection::open(path).unwrap();
    conn.pragma_update(None, "journal_mode", "WAL").unwrap();
    let tx = conn.transaction().unwrap();
    tx.execute_batch("CREATE TABLE note(id INTEGER PRIMARY KEY, text BLOB)").unwrap();
    for _ in 0..rows {
        tx.execute("INSERT INTO note(text) VALUES(randomblob(1000))", []).unwrap();
    }
    tx.commit().unwrap();
}
