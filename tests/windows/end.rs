//! The window minimised, and at its end; and beside others that open and close data files.

use std::{
    fs,
    process::Command as Process,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use eframe::egui::{Key, RawInput, ViewportCommand, ViewportEvent, ViewportId, ViewportInfo, accesskit::Role};
use egui_kittest::kittest::Queryable;
use strongroom::{
    engine::{Command, HostKind, JobId},
    journal::CaptureState,
};

use crate::desk;

use desk::{Desk, IS_JOINED, LIMIT, make_data_file};

/// What eframe does while the window is minimised: no frame, only the logic. Returns what it asked of the system.
fn minimised(desk: &mut Desk, events: &[ViewportEvent]) -> Vec<ViewportCommand> {
    let viewport = ViewportInfo { minimized: Some(true), events: events.to_vec(), ..ViewportInfo::default() };
    let input = RawInput { viewports: [(ViewportId::ROOT, viewport)].into_iter().collect(), ..RawInput::default() };
    let ctx = desk.harness.ctx.clone();
    let window = desk.harness.state_mut();
    let output = ctx.run_logic(&input, |ctx| window.logic(ctx));
    output.viewport_commands.get(&ViewportId::ROOT).cloned().unwrap_or_default()
}

fn is_button(desk: &Desk, label: &str) -> bool {
    desk.harness.query_by_role_and_label(Role::Button, label).is_some()
}

#[test]
fn a_minimised_window_asks_before_it_closes_and_comes_back_for_that() {
    let mut desk = Desk::new();
    let path = desk.open_data_file(200_000);
    desk.send(Command::Backup { job: JobId::new(), data_file: path, destination: None, options: None });
    desk.until("the running job", |_, status| !status.jobs.is_empty());
    let asked = minimised(&mut desk, &[ViewportEvent::Close]);
    if IS_JOINED {
        assert!(!asked.contains(&ViewportCommand::CancelClose), "the service goes on with it: {asked:?}");
        return;
    }
    for wanted in [ViewportCommand::CancelClose, ViewportCommand::Minimized(false), ViewportCommand::Focus] {
        assert!(asked.contains(&wanted), "{wanted:?} is not in {asked:?}");
    }
    desk.until("the question", |h, _| h.query_by_role_and_label(Role::Button, "Stop and quit").is_some());
    desk.press("Go on working");
    desk.until_shown("Full backup 0001 succeeded");
}

#[test]
fn a_minimised_window_is_woken_by_the_engine_and_acts_on_its_news() {
    let mut desk = Desk::new();
    let path = desk.open_data_file(50);
    desk.press("Use log…");
    desk.until_shown("A full backup is needed before the log can serve a restore.");
    let woken = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&woken);
    desk.harness.ctx.set_request_repaint_callback(move |_| _ = counter.fetch_add(1, Ordering::SeqCst));
    desk.press("OK");
    // From here on minimised: the backup that follows the log is begun by the logic alone, when it was woken.
    let begun = Instant::now();
    let mut seen = 0;
    while desk.status().finished.is_empty() {
        assert!(begun.elapsed() < LIMIT, "the news of the log were not acted upon");
        if woken.load(Ordering::SeqCst) > seen {
            seen = woken.load(Ordering::SeqCst);
            minimised(&mut desk, &[]);
        }
        thread::sleep(Duration::from_millis(5));
    }
    assert!(desk.status().finished.iter().find(|job| !job.automatic).unwrap().result.is_ok());

    // What is urgent comes into the title, which the list of windows shows.
    fs::rename(&path, desk.path("moved.sqlite")).unwrap();
    desk.send(Command::Refresh { data_file: path });
    let begun = Instant::now();
    loop {
        let title = minimised(&mut desk, &[]).into_iter().find_map(|command| match command {
            ViewportCommand::Title(title) => Some(title),
            _ => None,
        });
        if title.is_some_and(|title| title.starts_with("! ")) {
            return;
        }
        assert!(begun.elapsed() < LIMIT, "the title says nothing");
        thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn a_data_file_that_another_window_opens_appears_in_the_side_bar_and_the_page_stays() {
    let mut desk = Desk::new();
    let first = desk.open_data_file(10);
    let other = desk.path("Other.sqlite");
    make_data_file(&other, 10);
    desk.press("Backup journal");
    // As another window, or a command, that works with the same engine.
    desk.send(Command::OpenDataFile { path: other.clone() });
    desk.until("it in the side bar", |h, _| {
        h.query_by_label("Data file Other.sqlite, new: opened by another window or command").is_some()
    });
    desk.harness.run_steps(4);
    assert!(desk.is_shown("Search the journal") || desk.is_shown("No jobs yet."), "the page has changed");
    desk.press("Maintenance");
    assert!(desk.is_shown(&first.display().to_string()));
    let new = "Data file Other.sqlite, new: opened by another window or command";
    desk.click_where(new, |h| h.query_by_label(new));
    desk.until("its page", |h, _| h.query_all_by_label(&other.display().to_string()).next().is_some());
    assert!(desk.harness.query_by_label("Data file Other.sqlite").is_some(), "it is not new any more");

    // Somebody else closes it: no other data file takes its place under the pointer.
    desk.send(Command::CloseDataFile { path: other.clone() });
    desk.until_shown("Other.sqlite is not looked after at the moment");
    assert!(!is_button(&desk, "Start backup") && !is_button(&desk, "Backup…"));
    // This window closes and opens by itself: then it shows what was asked for.
    desk.press("Open it again");
    desk.until("its page again", |h, _| h.query_by_role_and_label(Role::Button, "Start backup").is_some());
    assert!(desk.is_shown(&other.display().to_string()));
    desk.harness.key_press_modifiers(eframe::egui::Modifiers::COMMAND, eframe::egui::Key::W);
    desk.harness.run_steps(4);
    if IS_JOINED {
        desk.press("Stop looking after it");
    }
    desk.until("the other page", |h, _| h.query_all_by_label(&first.display().to_string()).next().is_some());
}

#[test]
fn a_window_that_shows_no_data_file_stays_so_when_another_one_opens_one() {
    let mut desk = Desk::new();
    let other = desk.path("Other.sqlite");
    make_data_file(&other, 10);
    desk.send(Command::OpenDataFile { path: other });
    desk.until("it in the side bar", |h, _| h.query_by_label_contains("Data file Other.sqlite").is_some());
    desk.harness.run_steps(4);
    assert!(desk.is_shown("Welcome to Strongroom") && !is_button(&desk, "Start backup"));
    desk.click_where("it", |h| h.query_by_label_contains("Data file Other.sqlite"));
    desk.until("its page", |h, _| h.query_by_role_and_label(Role::Button, "Start backup").is_some());
}

/// Asks the window to close, and draws a few frames. Returns whether it would have closed.
fn closes(desk: &mut Desk) -> bool {
    let closes = !minimised(desk, &[ViewportEvent::Close]).contains(&ViewportCommand::CancelClose);
    desk.harness.run_steps(4);
    closes
}

fn use_log(desk: &mut Desk) {
    desk.press("Use log…");
    desk.until_shown("A full backup is needed before the log can serve a restore.");
    desk.press("OK");
    desk.until("the log and its backup", |_, s| {
        s.jobs.is_empty()
            && s.data_files
                .first()
                .and_then(|d| d.log.as_ref())
                .is_some_and(|l| l.rooted && l.state == CaptureState::On)
    });
}

#[test]
fn a_window_that_keeps_a_log_asks_who_goes_on_and_the_background_does() {
    let mut desk = Desk::that_can_leave();
    let path = desk.open_data_file(20);
    assert!(closes(&mut desk), "without log and schedule nothing ends with it");
    use_log(&mut desk);
    if IS_JOINED {
        assert!(closes(&mut desk), "the service goes on");
        return;
    }
    assert!(!closes(&mut desk));
    let choices = ["Install the service…", "Keep running in the background", "Quit", "Go on working"];
    for choice in choices {
        assert!(is_button(&desk, choice), "{choice}");
    }
    assert!(desk.is_shown("Without anybody, no commit is recorded."));
    assert!(desk.is_shown("on many systems it ends when you log out"));
    // Each is reached with the keyboard; Escape stays.
    for choice in choices {
        let begun = Instant::now();
        while !desk.harness.get_by_role_and_label(Role::Button, choice).is_focused() {
            assert!(begun.elapsed() < LIMIT, "{choice} is not reached");
            desk.harness.key_press(Key::Tab);
            desk.harness.run_steps(2);
        }
    }
    desk.harness.key_press(Key::Escape);
    desk.harness.run_steps(4);
    assert!(!is_button(&desk, "Keep running in the background"));

    assert!(!closes(&mut desk));
    desk.press("Keep running in the background");
    desk.until("somebody else to have it", |_, s| {
        s.data_file(&path).is_some_and(|d| d.host.kind == HostKind::Background && d.log.is_some())
    });
    let begun = Instant::now();
    while !closes(&mut desk) {
        assert!(begun.elapsed() < LIMIT, "the window does not close");
        thread::sleep(Duration::from_millis(20));
    }
    let process = desk.status().data_file(&path).unwrap().host.process.to_string();
    assert!(Process::new("kill").arg(process).status().unwrap().success());
    // This window is still there, and nobody else: it takes it over again.
    desk.until("it to be back", |_, s| s.data_file(&path).is_some_and(|d| d.host.process == std::process::id()));
}

#[test]
fn a_window_whose_background_can_not_begin_stays_open_and_goes_on() {
    let mut desk = Desk::that_can_leave();
    let path = desk.open_data_file(20);
    use_log(&mut desk);
    if IS_JOINED {
        return;
    }
    fs::write(desk.path("own/strongroom.sh"), "#!/bin/sh\necho 'it is forbidden here' >&2\nexit 1\n").unwrap();
    assert!(!closes(&mut desk));
    desk.press("Keep running in the background");
    desk.until_shown("it is forbidden here");
    assert!(desk.is_shown("This window goes on with them."));
    desk.press("Close");
    assert!(desk.status().data_file(&path).unwrap().log.is_some());
    assert!(!closes(&mut desk), "it asks again");
    desk.press("Quit");
    assert!(closes(&mut desk));
}

#[test]
fn a_service_that_can_not_be_installed_here_leaves_the_window_open() {
    let mut desk = Desk::that_can_leave();
    desk.open_data_file(20);
    use_log(&mut desk);
    if IS_JOINED {
        return;
    }
    assert!(!closes(&mut desk));
    desk.press("Install the service…");
    desk.until("the plan, or why there is none", |h, _| {
        h.query_by_role_and_label(Role::Button, "Install service and quit").is_some()
    });
    // Nothing is known of the program in this test, so it cannot be planned.
    desk.press("Cancel");
    assert!(!closes(&mut desk));
}

#[test]
fn a_job_ends_before_the_data_file_goes_over() {
    if IS_JOINED {
        return;
    }
    let mut desk = Desk::that_can_leave();
    let path = desk.open_data_file(200_000);
    use_log(&mut desk);
    let job = JobId::new();
    desk.send(Command::Backup { job, data_file: path.clone(), destination: None, options: None });
    desk.until("the running job", |_, status| status.job(job).is_some());
    assert!(!closes(&mut desk));
    assert!(is_button(&desk, "Stop and quit"));
    desk.press("Keep running in the background");
    // Thought better of, and once more.
    desk.press("Keep the window open");
    assert!(!closes(&mut desk));
    desk.press("Keep running in the background");
    desk.until("somebody else to have it", |_, s| {
        s.data_file(&path).is_some_and(|d| d.host.kind == HostKind::Background && d.log.is_some())
    });
    let status = desk.status();
    assert!(status.finished_job(job).unwrap().result.is_ok(), "it was not cut off");
    let process = status.data_file(&path).unwrap().host.process.to_string();
    assert!(Process::new("kill").arg(process).status().unwrap().success());
}
