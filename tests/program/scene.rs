//! A data file with its settings, backed up by commands, and a service that looks after it: for tests of settings that
//! were lost, are half written, or cannot be understood.

use std::{
    fs,
    path::PathBuf,
    process::Stdio,
    time::{Duration, Instant},
};

use rusqlite::Connection;
use serde_json::Value;

use crate::support::{Place, Running, make_data_file, text};

pub(crate) struct Scene {
    pub(crate) place: Place,
    pub(crate) data: PathBuf,
    pub(crate) settings: PathBuf,
}

impl Scene {
    /// Backed up so often into a folder of its own, as these settings say.
    pub(crate) fn new(settings: &[&str], backups: usize) -> Self {
        let scene = Self::begun();
        let archives = format!("destination.folder={}", scene.place.at("archives").display());
        scene.good("settings", &[&[archives.as_str()], settings].concat());
        (0..backups).for_each(|_| _ = scene.good("backup", &[]));
        scene
    }

    /// Backed up so often beside the data file.
    pub(crate) fn beside(settings: &[&str], backups: usize) -> Self {
        let scene = Self::begun();
        scene.good("settings", settings);
        (0..backups).for_each(|_| _ = scene.good("backup", &[]));
        scene
    }

    fn begun() -> Self {
        let place = Place::new();
        fs::create_dir(place.at("app")).unwrap();
        let (data, settings) = (place.at("app/a.sqlite"), place.at("app/a.strongroom.toml"));
        drop(make_data_file(&data, "PRAGMA journal_mode=WAL", 30));
        Self { place, data, settings }
    }

    pub(crate) fn run(&self, command: &str, arguments: &[&str]) -> (i32, String) {
        let output = self.place.run(&[&[command, self.data.to_str().unwrap()], arguments].concat());
        (output.status.code().unwrap(), text(&output.stdout) + &text(&output.stderr))
    }

    pub(crate) fn good(&self, command: &str, arguments: &[&str]) -> String {
        let (code, said) = self.run(command, arguments);
        assert_eq!(code, 0, "{command}: {said}");
        said
    }

    pub(crate) fn status(&self) -> Value {
        let output = self.place.run(&["status", self.data.to_str().unwrap(), "--json"]);
        serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{}", text(&output.stderr)))
    }

    /// What is said of this kind now.
    pub(crate) fn said(&self, kind: &str) -> Vec<String> {
        warned(&self.status(), kind)
    }

    pub(crate) fn until(&self, what: impl Fn(&Value) -> bool) -> Value {
        let begun = Instant::now();
        loop {
            let status = self.status();
            if what(&status) {
                return status;
            }
            assert!(begun.elapsed() < Duration::from_secs(60), "it never came to that: {status}");
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    pub(crate) fn serve(&self) -> Running {
        let mut command = self.place.program();
        command.arg("serve").arg(&self.data).stdout(Stdio::null()).stderr(Stdio::null());
        Running(command.spawn().unwrap())
    }

    pub(crate) fn write(&self) {
        let conn = Connection::open(&self.data).unwrap();
        conn.busy_timeout(Duration::from_secs(20)).unwrap();
        conn.execute("INSERT INTO k SELECT count(*) || ' of these', 1 FROM k", []).unwrap();
    }
}

/// What a status says of this kind.
pub(crate) fn warned(status: &Value, kind: &str) -> Vec<String> {
    let warnings = status["warnings"].as_array().unwrap().iter().filter(|w| w["kind"] == kind);
    warnings.map(|warning| format!("{} {}", warning["message"], warning["hint"])).collect()
}
