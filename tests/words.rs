//! What a command says, and its exit code, is what was so: through the program itself.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stderr, missing_docs)]

mod support;

use std::{
    fs,
    io::{BufRead, BufReader},
    process::{Child, Output, Stdio},
};

use support::{Place, make_data_file, text};

/// Exit code, standard output, standard error.
fn said(output: &Output) -> (Option<i32>, String, String) {
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}

/// A service; what it says on standard error comes line by line.
fn service(place: &Place, arguments: &[&str]) -> (Child, impl Iterator<Item = String> + use<>) {
    let mut program = place.program();
    program.arg("serve").args(arguments).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut child = program.spawn().unwrap();
    let lines = BufReader::new(child.stderr.take().unwrap()).lines().map_while(Result::ok);
    (child, lines)
}

fn end(mut child: Child) {
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn mistyped_settings_are_told_by_everything_that_goes_by_them() {
    let place = Place::new();
    let data = place.at("a.sqlite");
    make_data_file(&data, "PRAGMA journal_mode=WAL", 10);
    let (path, file) = (data.to_str().unwrap(), place.at("a.strongroom.toml"));
    fs::write(&file, "[keep]\nlastt = 7\n\n[Destination]\nfolder = '/nowhere'\n").unwrap();
    let wanted = [
        "keep.lastt at line 2, column 1 (did you mean keep.last?)",
        "the section [Destination] at line 4, column 2 (did you mean [destination]?)",
    ];
    let tells_all = |words: &str| {
        let file = file.to_str().unwrap();
        wanted
            .iter()
            .all(|wanted| words.contains(&format!("the settings in {file} hold {wanted}, which means nothing")))
    };
    let (code, words, _) = said(&place.run(&["status", path]));
    assert!(code == Some(0) && tells_all(&words), "{words}");
    let (code, _, words) = said(&place.run(&["backup", path]));
    assert!(code == Some(0) && tells_all(&words), "{words}");
    let (code, words, _) = said(&place.run(&["settings", path]));
    assert!(code == Some(0) && wanted.iter().all(|wanted| words.contains(wanted)), "{words}");
    let (code, _, words) = said(&place.run(&["settings", path, "keep.lst=7"]));
    assert!(code == Some(1) && words.contains("Did you mean keep.last?"), "{words}");

    let (child, mut lines) = service(&place, &["--no-log", path]);
    let mut heard = String::new();
    while !tells_all(&heard) {
        heard += &format!("{}\n", lines.next().expect("the service has ended"));
    }
    // One that comes while it runs is told as well.
    fs::write(&file, "[kep]\nlast = 7\n").unwrap();
    assert!(lines.any(|line| line.contains("the section [kep] at line 1, column 2 (did you mean [keep]?)")));
    end(child);
}

#[test]
fn a_check_that_could_not_look_at_everything_says_so_and_does_not_succeed() {
    let place = Place::new();
    let data = place.at("a.sqlite");
    let writer = make_data_file(&data, "", 10);
    writer
        .execute_batch(
            "CREATE TABLE z(a); CREATE INDEX zi ON z(a); PRAGMA writable_schema=ON;
             UPDATE sqlite_schema SET sql='CREATE TABLE z(a COLLATE theirs)' WHERE name='z'",
        )
        .unwrap();
    drop(writer);
    let path = data.to_str().unwrap();
    let (code, words, problem) = said(&place.run(&["check", path]));
    assert!(code == Some(1) && words.contains("not checked  index zi of table z: no such collation"), "{words}");
    let wanted =
        "table z and 2 more could not be checked: no such collation sequence: theirs; nothing else was found damaged";
    assert!(problem.contains(wanted), "{problem}");
    let (code, words, _) = said(&place.run(&["status", path]));
    let last = words.lines().find(|line| line.starts_with("Last verification")).unwrap();
    assert!(code == Some(0) && last.contains("with problems") && last.contains(wanted), "{words}");
}

#[test]
fn a_table_that_no_module_opens_is_told_as_not_checked() {
    let place = Place::new();
    let data = place.at("a.sqlite");
    let writer = make_data_file(&data, "", 10);
    let strange = "INSERT INTO sqlite_schema VALUES('table','v','v',0,'CREATE VIRTUAL TABLE v USING theirs(x)')";
    writer.execute_batch(&format!("PRAGMA writable_schema=ON; {strange}")).unwrap();
    drop(writer);
    let path = data.to_str().unwrap();
    let (code, words, problem) = said(&place.run(&["check", path]));
    assert!(code == Some(1) && words.contains("not checked  table v: no such module: theirs"), "{words}");
    assert!(problem.contains("table v could not be checked: no such module: theirs"), "{problem}");
    let (code, words, _) = said(&place.run(&["backup", path]));
    assert!(code == Some(0) && words.contains("are whole. NOT CHECKED: table v: no such module: theirs."), "{words}");
}
