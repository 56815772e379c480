//! A program that has the data file by a name of its own, and so another WAL, as in a container that was given the file
//! alone: what it commits nobody finds, and nothing is called complete or written under it.

use std::{
    fs,
    io::Write,
    path::Path,
    process::{Child, ChildStdin, Command, Stdio},
    time::{Duration, Instant},
};

use crate::{
    scene::{Scene, said},
    support::{logical_content, text},
};

/// The foreign shell, which has the file by another name, and commits now and then.
struct Stray {
    shell: Child,
    input: Option<ChildStdin>,
}

impl Stray {
    /// `None` where this user may make no mounts of its own.
    fn begin(scene: &Scene, name: &Path) -> Option<Self> {
        fs::write(name, "").unwrap();
        let mut shell = Command::new("unshare");
        shell.args(["-m", "sh", "-c", r#"mount --bind "$0" "$1" && exec sqlite3 "$1""#]).arg(&scene.data).arg(name);
        let mut shell = shell.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().ok()?;
        let input = shell.stdin.take();
        let mut stray = Self { shell, input };
        let (begun, mut seen) = (Instant::now(), 0);
        // One look may meet a program that is just opening the file; what is seen twice in a row is remembered.
        while seen < 2 {
            let commit = "PRAGMA wal_autocheckpoint=0; INSERT INTO t(a) VALUES('stray'); SELECT count(*) FROM t;\n";
            if stray.shell.try_wait().unwrap().is_some() || stray.input.as_mut()?.write_all(commit.as_bytes()).is_err()
            {
                eprintln!("skipped: this user may make no mount of its own");
                return None;
            }
            let status = scene.status();
            seen = if status.contains("works on another file") { seen + 1 } else { 0 };
            assert!(begun.elapsed() < Duration::from_secs(60), "{status}");
            std::thread::sleep(Duration::from_millis(50));
        }
        Some(stray)
    }

    fn end(mut self) {
        drop(self.input.take());
        self.shell.wait().unwrap();
    }
}

impl Drop for Stray {
    fn drop(&mut self) {
        let _ = self.shell.kill();
        let _ = self.shell.wait();
    }
}

#[test]
fn nothing_is_complete_and_nothing_is_written_under_a_program_with_another_wal() {
    let Some(scene) = Scene::new() else { return };
    let data = scene.data.to_str().unwrap().to_owned();
    let before = logical_content(&scene.data);
    let Some(stray) = Stray::begin(&scene, &scene.place.at("elsewhere/other.sqlite")) else { return };
    let output = scene.restore(&scene.data.clone(), "all", &[]);
    assert!(said(&output, 1).contains("works on another file"), "{}", text(&output.stderr));
    let now = chrono::Local::now().format("%Y-%m-%d %H:%M:%S").to_string();
    let output = scene.restore(&scene.data.clone(), "now", &["--until", &now]);
    let told = said(&output, 1) + &text(&output.stdout);
    assert!(!told.contains("No commit was made between"), "{told}");
    let run = |arguments: &[&str]| said(&scene.place.run(arguments), 1);
    assert!(run(&["query", &data, "SELECT count(*) FROM t"]).contains("works on another file"));
    let refused = "does not use its -wal and -shm files";
    let told = run(&["take-back", &data, "--commit", "2..4", "--yes"]);
    assert!(told.contains(refused), "{told}");
    let told = run(&["restore", &data, "--in-place", "--commit", "2"]);
    assert!(told.contains(refused), "{told}");
    stray.end();
    let begun = Instant::now();
    while !scene.status().contains("has ended") {
        assert!(begun.elapsed() < Duration::from_secs(60), "{}", scene.status());
        std::thread::sleep(Duration::from_millis(50));
    }
    let checked = Command::new("sqlite3").arg(&scene.data).arg("PRAGMA integrity_check").output().unwrap();
    assert_eq!(text(&checked.stdout).trim(), "ok");
    assert_eq!(
        logical_content(&scene.data),
        before,
        "nothing was written, and what the other one wrote stays elsewhere"
    );
}

/// A program without SQLite's locks has an index of the WAL of its own: neither we nor it see what the other one does.
#[test]
fn nothing_is_complete_under_a_program_that_uses_no_locks() {
    let Some(scene) = Scene::new() else { return };
    let data = scene.data.to_str().unwrap().to_owned();
    let mut shell = Command::new("sqlite3");
    shell.arg(format!("file:{data}?vfs=unix-none")).stdin(Stdio::piped()).stdout(Stdio::null());
    let mut shell = shell.spawn().unwrap();
    let mut input = shell.stdin.take().unwrap();
    let stray = Stray { shell, input: None };
    input.write_all(b"PRAGMA locking_mode=EXCLUSIVE; INSERT INTO t(a) VALUES('unseen');\n").unwrap();
    let begun = Instant::now();
    while !scene.status().contains("works on another file") {
        assert!(begun.elapsed() < Duration::from_secs(60), "{}", scene.status());
        std::thread::sleep(Duration::from_millis(50));
    }
    assert!(!scene.status().contains("complete: every commit up to now is in it"), "{}", scene.status());
    let refused = said(&scene.place.run(&["backup", &data]), 1);
    assert!(refused.contains("does not use its -wal and -shm files") && refused.contains("no locks"), "{refused}");
    assert!(said(&scene.restore(&scene.data.clone(), "all", &[]), 1).contains("works on another file"));
    drop(input);
    stray.end();
    let begun = Instant::now();
    while !scene.status().contains("has ended") {
        assert!(begun.elapsed() < Duration::from_secs(60), "{}", scene.status());
        std::thread::sleep(Duration::from_millis(50));
    }
}
