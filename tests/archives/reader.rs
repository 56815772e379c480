//! The reader in `tools/reader`, written from the documents alone, on fresh files and on those that are kept.
#![cfg(unix)]

use crate::support;

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
};

use strongroom::{
    archive::{ArchiveOptions, Compression, Rate},
    backup,
    control::Control,
    journal::{Capture, CaptureConfig, format::Entry, integrate::Until, reader::LogReader},
    restore::{self, Logs, RestoreOptions},
    settings::SettingsFile,
    storage::Disk,
};
use support::{Place, make_data_file, text};

/// Whether this machine has what the reader needs.
fn is_possible() -> bool {
    let has = |tool: &str| {
        let run = Command::new(tool).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
        run.is_ok_and(|status| status.success())
    };
    let is_possible = has("python3") && has("zstd");
    if !is_possible {
        eprintln!("left out: python3 or zstd is not here");
    }
    is_possible
}

fn reader(arguments: &[&str], files: &[&Path]) -> Output {
    let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("tools/reader/strongroom_reader.py");
    Command::new("python3").arg(program).args(arguments).args(files).output().unwrap()
}

fn done(output: &Output) -> String {
    assert!(output.status.success(), "{}{}", text(&output.stdout), text(&output.stderr));
    text(&output.stdout)
}

/// A data file of a page size, archives made with some options, and logs between and after them.
struct Fresh {
    place: Place,
    archives: Vec<PathBuf>,
    logs: Vec<PathBuf>,
    last: u64,
}

impl Fresh {
    fn new(page_size: u32, options: ArchiveOptions, segment_bytes: Option<u64>) -> Self {
        let place = Place::new();
        let (data, log) = (place.at("a.sqlite"), place.at("a.journal"));
        let pragmas = format!("PRAGMA page_size={page_size}; PRAGMA journal_mode=WAL");
        let application = make_data_file(&data, &pragmas, 60);
        let named = format!("log.file={}", log.display());
        assert!(place.run(&["settings", data.to_str().unwrap(), &named]).status.success());
        let backup = |capture: Option<&Capture>| {
            let mut settings = SettingsFile::load(&data, &place.own()).unwrap();
            let (own, folder, control) = (place.own(), backup::destination(&data, &settings), Control::default());
            let options = ArchiveOptions { segment_bytes, ..options };
            let report = backup::run(&Disk, &data, &mut settings, &own, &folder, capture, options, &control).unwrap();
            (report.archive, settings.settings().data_file_id.unwrap())
        };
        let id = backup(None).1;
        let capture = Capture::start(CaptureConfig::new(&data, &log, id)).unwrap();
        let mut archives = vec![backup(Some(&capture)).0];
        let commit = |sql: &str| {
            application.execute_batch(sql).unwrap();
            capture.flush().unwrap().commit
        };
        let mut last = 0;
        for n in 0..14 {
            last = commit(&format!("INSERT INTO t SELECT NULL, 'more {n}', randomblob({n}*9), {n} FROM t LIMIT 3"));
            last = commit(&format!("UPDATE t SET c={n}, a='longer than before {n}' WHERE rowid%7={n}%7")).max(last);
        }
        commit("INSERT INTO t VALUES(NULL, 'noise', randomblob(40000), 1)");
        commit("DELETE FROM t WHERE rowid%3=1");
        commit("VACUUM");
        archives.push(backup(Some(&capture)).0);
        (0..4).for_each(|n| last = commit(&format!("INSERT INTO k VALUES('after {n}', {n})")));
        drop(capture);
        let logs = ["a[0001].4BL", "a[0002].4BL", "a.journal"].map(|name| place.at(name)).to_vec();
        Self { place, archives, logs, last }
    }

    /// Those that the pages of the logs have.
    fn encodings(&self) -> BTreeSet<u8> {
        let mut found = BTreeSet::new();
        for log in &self.logs {
            let mut reader = LogReader::open(log).unwrap();
            while let Some(record) = reader.next_record().unwrap() {
                let mut note = |entry: Entry<'_>| {
                    found.insert(entry.encoding);
                    Ok(())
                };
                reader.pages(&record, &mut note).unwrap();
            }
        }
        found
    }

    fn is_read(&self, name: &str) {
        for log in &self.logs {
            let said = done(&reader(&["prove"], &[log]));
            assert_eq!(said.contains("its index says the same"), log.extension().unwrap() == "4BL", "{name}: {said}");
        }
        for (number, archive) in self.archives.iter().enumerate() {
            assert!(done(&reader(&["list"], &[archive])).contains("a.sqlite"), "{name}");
            let from = if number == 0 { 0 } else { self.last - 4 };
            for commit in [from + 2, self.last] {
                let (ours, theirs) = (self.place.at("ours"), self.place.at("theirs"));
                let until = Until::Commit(commit);
                let logs = Logs::Also(self.logs.clone());
                let options = RestoreOptions { logs, until, ..RestoreOptions::all(&ours) };
                restore::run(&Disk, archive, &options, &Control::default()).unwrap();
                let files: Vec<&Path> =
                    [archive, &theirs].into_iter().chain(&self.logs).map(PathBuf::as_path).collect();
                let said = done(&reader(&["--commit", &commit.to_string(), "integrate"], &files));
                assert!(said.contains("every page proven"), "{name}: {said}");
                for file in ["a.sqlite", "a.strongroom.toml", "strongroom-manifest.toml"] {
                    let same = fs::read(ours.join(file)).unwrap() == fs::read(theirs.join(file)).unwrap();
                    assert!(same, "{name}: {file} after commit {commit}");
                }
                fs::remove_dir_all(ours).unwrap();
                fs::remove_dir_all(theirs).unwrap();
            }
        }
    }
}

#[test]
fn fresh_archives_and_logs_are_read_to_every_byte() {
    if !is_possible() {
        return;
    }
    let mut encodings = BTreeSet::new();
    for (page_size, compression, redundancy, segment_bytes) in [
        (512, Compression::None, Rate::None, None),
        (4096, Compression::Fast, Rate::Medium, None),
        (16384, Compression::Compact, Rate::Low, Some(1 << 20)),
    ] {
        let options = ArchiveOptions { compression, redundancy, ..ArchiveOptions::default() };
        let fresh = Fresh::new(page_size, options, segment_bytes);
        fresh.is_read(&format!("pages of {page_size}"));
        encodings.extend(fresh.encodings());
    }
    assert_eq!(encodings.len(), 7, "every one of them: {encodings:?}");
}

#[test]
fn damage_is_said() {
    if !is_possible() {
        return;
    }
    let fresh = Fresh::new(4096, ArchiveOptions::default(), None);
    let log = &fresh.logs[1];
    for (file, at, said) in
        [(log, 9_000, "damaged at byte"), (log, 100, "the header"), (&fresh.archives[0], 3_000, "damaged")]
    {
        let good = fs::read(file).unwrap();
        let mut bytes = good.clone();
        bytes[at] ^= 1;
        fs::write(file, &bytes).unwrap();
        let output = reader(&["prove"], &[file]);
        assert!(!output.status.success() && text(&output.stderr).contains(said), "{}", text(&output.stderr));
        fs::write(file, good).unwrap();
    }
}
