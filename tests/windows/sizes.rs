//! Pages and dialogs at every size: nothing is cut off that is not scrolled to, and a wide window is used.

use crate::desk;

use std::{
    collections::BTreeSet,
    thread,
    time::{Duration, Instant},
};

use desk::{Desk, LIMIT, named};
use eframe::{
    egui::{Key, Modifiers, Rect, Shape, accesskit::Role},
    epaint::ClippedShape,
};
use egui_kittest::kittest::Queryable;
use strongroom::engine::{Command, JobId};

/// A text that was painted.
struct Painted {
    text: String,
    /// Where all of it would be.
    place: Rect,
    /// Where it is to be seen.
    clip: Rect,
    /// Whether its end was left out.
    is_cut: bool,
}

impl Painted {
    fn is_whole(&self) -> bool {
        !self.is_cut && self.clip.expand(1.0).contains_rect(self.place)
    }
}

fn painted(desk: &Desk) -> Vec<Painted> {
    fn add(shape: &Shape, clip: Rect, to: &mut Vec<Painted>) {
        match shape {
            Shape::Vec(shapes) => shapes.iter().for_each(|shape| add(shape, clip, to)),
            Shape::Text(text) => to.push(Painted {
                text: text.galley.text().to_owned(),
                place: Rect::from_min_size(text.pos, text.galley.size()),
                clip,
                is_cut: text.galley.elided,
            }),
            _ => {}
        }
    }
    let mut found = Vec::new();
    for ClippedShape { clip_rect, shape } in &desk.harness.output().shapes {
        add(shape, *clip_rect, &mut found);
    }
    found
}

fn whole(desk: &Desk) -> BTreeSet<String> {
    painted(desk).into_iter().filter(Painted::is_whole).map(|painted| painted.text).collect()
}

fn with_archive(width: f32, height: f32) -> Desk {
    let mut desk = Desk::of_size(width, height);
    let data_file = desk.open_data_file_small();
    let job = JobId::new();
    desk.send(Command::Backup { job, data_file, destination: None, options: None });
    desk.until("the backup", |_, s| s.jobs.is_empty() && s.finished_job(job).is_some() && !s.proven.is_empty());
    desk.harness.run_steps(4);
    desk
}

impl Desk {
    /// The same where the page is too small for its buttons to be seen.
    fn open_data_file_small(&mut self) -> std::path::PathBuf {
        let path = self.path("Office.sqlite");
        desk::make_data_file(&path, 600);
        self.open(&path);
        self.until("the data file", |_, s| s.data_files.first().is_some_and(|d| d.plan.is_some()));
        path
    }

    fn show(&mut self, key: Key, table: &str) {
        self.harness.key_press_modifiers(Modifiers::COMMAND, key);
        self.until(table, |h, _| h.query_by_role_and_label(Role::ListBox, table).is_some());
        self.harness.run_steps(4);
    }
}

const SIZES: [(f32, f32); 5] = [(1920.0, 1080.0), (1180.0, 800.0), (900.0, 600.0), (760.0, 480.0), (450.0, 300.0)];

#[test]
fn what_matters_most_of_a_row_is_seen_at_every_size_and_every_column_is_scrolled_to() {
    for (width, height) in SIZES {
        let mut desk = with_archive(width, height);
        let pages: [(Key, &str, &[&str], &[&str]); 3] = [
            (
                Key::Num2,
                "Archives",
                &["0001", "Complete"],
                &["Number", "State", "Date and time", "Size", "Data file", "Last proven", "File"],
            ),
            (
                Key::Num5,
                "Data files",
                &["Backed up"],
                &[
                    "Data file",
                    "State",
                    "Restorable up to",
                    "Last good backup",
                    "Next full backup",
                    "Log",
                    "Proven restorable",
                    "Archives",
                    "Folder",
                ],
            ),
            (Key::Num3, "Jobs", &["Succeeded"], &["Start", "Result", "Kind", "Number", "Duration", "Bytes", "Path"]),
        ];
        for (key, table, first, titles) in pages {
            desk.show(key, table);
            // As the keyboard goes to it, it is scrolled to in a low window.
            desk.harness.get_by_role_and_label(Role::ListBox, table).focus();
            desk.harness.run_steps(5);
            let mut seen = whole(&desk);
            if width >= 760.0 || table == "Archives" {
                for text in first {
                    assert!(seen.contains(*text), "{table} at {width} × {height}: {text} is not seen in {seen:?}");
                }
            }
            let mut cut: Vec<String> = Vec::new();
            for _ in titles {
                desk.harness.key_press(Key::ArrowRight);
                desk.harness.run_steps(4);
                seen.extend(whole(&desk));
                cut.extend(painted(&desk).into_iter().filter(|text| text.is_cut).map(|text| text.text));
            }
            let missed: Vec<_> = titles.iter().filter(|title| !seen.contains(**title)).collect();
            assert!(missed.is_empty(), "{table} at {width} × {height}: {missed:?} are not reached, only {seen:?}");
            // Paths are shortened, and so is the line below the title of a page.
            cut.retain(|text| !text.contains('/') && !text.contains(".sqlite") && !text.starts_with("Every job and"));
            assert!(cut.is_empty(), "{table} at {width} × {height}: cut off: {cut:?}");
            // Nothing is painted beside the table, and its bar is whole.
            let list = desk.harness.get_by_role_and_label(Role::ListBox, table).rect();
            assert!(list.right() < width - 10.0, "{table} at {width} × {height}: {list:?}");
            for bar in desk.harness.query_all_by_role_and_label(Role::ScrollBar, "Horizontal scroll bar") {
                let bar = bar.rect();
                let is_beside = !list.contains(bar.center());
                assert!(is_beside || list.contains_rect(bar), "{table} at {width} × {height}: {bar:?} in {list:?}");
            }
            let outside = painted(&desk).into_iter().find(|text| {
                titles.contains(&&*text.text)
                    && !list.expand(1.0).contains_rect(text.clip.intersect(text.place))
                    && text.clip.intersect(text.place).is_positive()
                    && text.clip.left() > list.left()
            });
            assert!(outside.is_none(), "{table} at {width} × {height}: {:?}", outside.map(|text| text.text));
        }
    }
}

#[test]
fn a_wide_window_is_used() {
    let mut desk = with_archive(1920.0, 1080.0);
    desk.show(Key::Num2, "Archives");
    let list = desk.harness.get_by_role_and_label(Role::ListBox, "Archives").rect();
    assert!(list.right() > 1860.0, "{list:?}");
    desk.press("Maintenance");
    // The cards stand in three columns.
    let lefts = ["Start client", "Use log…", "Change…", "Install as a service…"];
    let at = |desk: &Desk, label: &str| named(&desk.harness, label).next().map(|node| node.rect());
    assert!(at(&desk, lefts[0]).is_none());
    let (log, disk) = (at(&desk, "Use log…").unwrap(), at(&desk, "Change…").unwrap());
    let facts = desk.harness.query_all_by_label_contains("Last modified").next().unwrap().rect();
    assert!(disk.left() < log.left() && log.left() + 400.0 < facts.left(), "{disk:?} {log:?} {facts:?}");
}

/// Draws frames for as long as the window itself asks for the next one at once.
fn settle(desk: &mut Desk) {
    assert!((0..10).any(|_| desk.harness.run_ok().is_some()), "it never comes to rest");
}

#[test]
fn a_dialog_that_grows_is_whole_without_a_movement_of_the_mouse() {
    for (width, height) in [(1180.0, 800.0), (900.0, 600.0)] {
        let mut desk = with_archive(width, height);
        desk.show(Key::Num2, "Archives");
        named(&desk.harness, "Restore archive 0001…").next().unwrap().focus();
        desk.harness.run_steps(3);
        desk.harness.key_press(Key::Enter);
        settle(&mut desk);
        // The archive is read meanwhile; only that draws the window again.
        let archive = desk.path("Backups/Office[0001].4BK");
        desk.look(&archive).unwrap();
        let begun = Instant::now();
        while !desk.is_shown("Data file: Office.sqlite") {
            assert!(begun.elapsed() < LIMIT);
            thread::sleep(Duration::from_millis(20));
            settle(&mut desk);
        }
        let dialog = |desk: &Desk| desk.harness.get_by_role(Role::Dialog).rect();
        let now = dialog(&desk);
        desk.harness.run_steps(20);
        assert_eq!(now, dialog(&desk), "at {width}: it was cut off until something moved");
    }
}
