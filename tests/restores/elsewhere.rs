//! Two data files of one identity at one path: in two containers, whose folder for archives and log is shared. One was
//! copied from the other with its settings, and neither sees the file of the other.

use crate::support;

use std::{
    fs,
    io::{BufRead, BufReader},
    path::PathBuf,
    process::{Command, Output, Stdio},
    time::{Duration, Instant},
};

use rusqlite::Connection;
use support::{Place, Running, names_in, text};

/// Two containers that have their own files at `app`, and share `bk`.
struct Containers(Place);

impl Containers {
    /// The second one is a copy of the first, made after full backup 1; `None` where no container can be made.
    fn new(has_log: bool) -> Option<Self> {
        let place = Place::new();
        for folder in ["app", "first", "second", "bk", "own first", "own second"] {
            fs::create_dir(place.at(folder)).unwrap();
        }
        let both = Self(place);
        let data = both.file("first");
        drop(support::make_data_file(&data, "PRAGMA journal_mode=WAL", 1));
        let destination = format!("destination.folder={}", both.0.at("bk").display());
        let log = format!("log.file={}", both.0.at("bk/a.journal").display());
        let log: &[&str] = if has_log { &[&log] } else { &[] };
        let output = both.run("first", &[&["settings", &both.data(), &destination, "keep.last=2"], log].concat());
        if text(&output.stderr).contains("unshare:") {
            eprintln!("skipped: this user may make no container");
            return None;
        }
        said(&output, 0);
        said(&both.backup("first"), 0);
        for entry in fs::read_dir(both.0.at("first")).unwrap() {
            let entry = entry.unwrap();
            fs::copy(entry.path(), both.0.at("second").join(entry.file_name())).unwrap();
        }
        Some(both)
    }

    /// The data file as each container names it.
    fn data(&self) -> String {
        self.0.at("app/a.sqlite").display().to_string()
    }

    fn file(&self, which: &str) -> PathBuf {
        self.0.at(which).join("a.sqlite")
    }

    fn program(&self, which: &str) -> Command {
        let first = format!(r#"mount --bind "$0" "{}""#, self.0.at("app").display());
        let mut program = self.0.program_in_a_container(&first, &self.0.at(which));
        let own = self.0.at(&format!("own {which}"));
        program.env("XDG_DATA_HOME", &own).env("XDG_CONFIG_HOME", &own).env("HOME", &own);
        program
    }

    fn run(&self, which: &str, arguments: &[&str]) -> Output {
        self.program(which).args(arguments).output().unwrap()
    }

    fn backup(&self, which: &str) -> Output {
        self.run(which, &["backup", &self.data()])
    }

    fn status(&self, which: &str) -> String {
        text(&self.run(which, &["status", &self.data()]).stdout)
    }

    fn commit(&self, which: &str, value: &str) {
        let conn = Connection::open(self.file(which)).unwrap();
        conn.busy_timeout(std::time::Duration::from_secs(20)).unwrap();
        conn.execute("INSERT INTO t(a) VALUES(?1)", [value]).unwrap();
    }

    /// What was committed to the data file at `path`, after the first record.
    fn values(path: &PathBuf) -> Vec<String> {
        let conn = Connection::open(path).unwrap();
        let mut query = conn.prepare("SELECT a FROM t WHERE a LIKE 'of %' ORDER BY rowid").unwrap();
        query.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect()
    }

    fn restored(&self, which: &str, to: &str) -> (Output, Vec<String>) {
        let to = self.0.at(to);
        let output = self.run(which, &["restore", &self.data(), "--to", to.to_str().unwrap()]);
        (output, Self::values(&to.join("a.sqlite")))
    }

    /// A service that records every commit when this returns.
    fn serve(&self, which: &str) -> Running {
        let mut program = self.program(which);
        let mut service = Running(program.args(["serve", &self.data()]).stderr(Stdio::piped()).spawn().unwrap());
        let lines = BufReader::new(service.0.stderr.take().unwrap()).lines();
        let seen: Vec<String> =
            lines.map(Result::unwrap).take_while(|line| !line.contains("every commit to ")).collect();
        assert!(service.0.try_wait().unwrap().is_none(), "{seen:?}");
        service
    }
}

fn said(output: &Output, code: i32) -> String {
    assert_eq!(output.status.code(), Some(code), "{}{}", text(&output.stdout), text(&output.stderr));
    text(&output.stderr)
}

const OTHER: &str = "of another file than ";

#[test]
fn archives_of_a_copy_at_the_same_path_elsewhere_neither_count_nor_go() {
    let Some(both) = Containers::new(false) else { return };
    both.commit("second", "of second");
    // The first archive is that of both: the state that the copy was made of.
    said(&both.backup("second"), 0);
    assert!(both.status("first").contains("a[0002].4BK of ") && both.status("first").contains(OTHER));
    assert!(both.status("first").contains("Last full backup   0001"), "{}", both.status("first"));
    for _ in 0..3 {
        both.commit("first", "of first");
        let told = said(&both.backup("first"), 1);
        assert!(told.contains("the archive is sound, but ") && told.contains(OTHER), "{told}");
    }
    both.commit("second", "of second");
    said(&both.backup("second"), 1);
    // Of each, the last two are kept.
    let archives = ["a[0002].4BK", "a[0004].4BK", "a[0005].4BK", "a[0006].4BK"];
    assert_eq!(names_in(&both.0.at("bk")).iter().filter(|name| name.ends_with("4BK")).collect::<Vec<_>>(), archives);
    let list = text(&both.run("first", &["list", &both.data()]).stdout);
    let others = list.lines().filter(|line| line.contains("MADE OF ANOTHER FILE OF THIS PATH"));
    assert_eq!(others.map(|line| &line[..4]).collect::<Vec<_>>(), ["0006", "0002"], "{list}");
    let (output, values) = both.restored("first", "restored first");
    assert_eq!(values, ["of first"; 3]);
    // Whether that one was meant, nobody but the administrator knows.
    assert!(said(&output, 1).contains("a[0006].4BK of "), "{}", text(&output.stderr));
    let (_, values) = both.restored("second", "restored second");
    assert_eq!(values, ["of second"; 2]);
    // A file that is put in its place, or a machine of another name, is no copy.
    let put = both.0.at("first/put");
    fs::copy(both.file("first"), &put).unwrap();
    fs::rename(&put, both.file("first")).unwrap();
    assert!(both.status("first").contains("Last full backup   0005"), "{}", both.status("first"));
    said(&both.run("second", &["settings", &both.data(), "--own-identity"]), 0);
    said(&both.backup("second"), 0);
    assert!(!both.status("second").contains(OTHER), "{}", both.status("second"));
}

#[test]
fn a_log_that_both_write_in_turns_gives_neither_the_commits_of_the_other() {
    let Some(both) = Containers::new(true) else { return };
    // Before the copy has made anything of its own, it cannot be told from a data file that was moved.
    for (which, is_first) in [("first", true), ("second", false), ("first", false), ("second", false)] {
        let service = both.serve(which);
        both.commit(which, &format!("of {which}"));
        let has_all = || both.restored(which, "looked at").1;
        let expected = Containers::values(&both.file(which));
        // What is committed is in the log a moment later.
        let (begun, mut got) = (Instant::now(), has_all());
        while got.len() < expected.len() {
            assert!(begun.elapsed() < Duration::from_secs(60), "{expected:?} {got:?}");
            fs::remove_dir_all(both.0.at("looked at")).unwrap();
            got = has_all();
        }
        fs::remove_dir_all(both.0.at("looked at")).unwrap();
        assert_eq!(got, expected);
        assert!(expected.iter().all(|value| *value == format!("of {which}")), "{which}: {expected:?}");
        let status = both.status(which);
        let is_told = status.contains("was written last for another file that goes by the same settings");
        assert!(is_told || is_first || which == "second", "{status}");
        drop(service);
    }
    assert_eq!(Containers::values(&both.file("first")), ["of first"; 2]);
    assert_eq!(Containers::values(&both.file("second")), ["of second"; 2]);
    // The first one is gone, and its log was taken by the second one.
    fs::remove_file(both.file("first")).unwrap();
    let (output, _) = both.restored("first", "lost");
    let told = said(&output, 1);
    assert!(told.contains("was written last for another file than "), "{told}");
}
