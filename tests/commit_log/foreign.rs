//! Names, notes and messages of others reach no terminal as they are.
#![cfg(unix)]

use crate::support;

use std::{
    fs::{self, File},
    io::{BufRead, BufReader, Write},
    os::unix::{fs::symlink, net::UnixListener},
    path::{Path, PathBuf},
    process::{Output, Stdio},
};

use strongroom::{
    engine::{Command, Event, Host, HostKind},
    error::{ErrorKind, ErrorReport},
    service::{
        protocol::{self, FROM_CLIENT_MAX, FromClient, FromEngine, Hello, PROTOCOL},
        update::Update,
    },
};
use support::{
    Place,
    engine::{engine, until},
    make_data_file, text,
};

/// Clears the screen, forges a line, and turns the direction of writing.
const EVIL: &str = "x\u{1b}[2J\u{9b}31m\nBackup 0001 is sound\u{202e}";

/// Nothing that a terminal obeys, and no line that begins as the names would have it.
fn is_plain(said: &str) -> bool {
    let obeyed = |c: char| c != '\n' && (c.is_control() || matches!(c, '\u{2028}'..='\u{202e}'));
    !said.chars().any(obeyed) && !said.lines().any(|line| line.starts_with("Backup 0001 is sound"))
}

fn said(output: &Output) -> String {
    let all = text(&output.stdout) + &text(&output.stderr);
    assert!(is_plain(&all), "{all:?}");
    all
}

#[test]
fn names_and_notes_can_forge_no_line_and_no_escape_code() {
    let place = Place::new();
    // The folder, a file in it, a link and where it leads.
    let folder = place.at(EVIL);
    fs::create_dir(&folder).unwrap();
    let data = folder.join("a.sqlite");
    let sql = format!("CREATE TABLE \"{EVIL}\"(a TEXT); CREATE INDEX \"i{EVIL}\" ON \"{EVIL}\"(a)");
    drop(make_data_file(&data, &sql, 10));
    let attached = folder.join("attached");
    fs::create_dir(&attached).unwrap();
    fs::write(attached.join(EVIL), "x").unwrap();
    symlink(format!("/outside/{EVIL}"), attached.join("link")).unwrap();
    let file = data.to_str().unwrap();
    let gone = folder.join("gone");
    let change = |value: &Path| {
        let path = value.to_str().unwrap();
        // As TOML, in which such a name is spelled out already.
        let text = format!("content.attachments+={}", toml_edit::Value::from(path));
        said(&place.run(&["settings", file, &text]))
    };
    assert!(change(&attached).contains("\\u"));
    change(&gone);
    let made = said(&place.run(&["backup", file]));
    assert!(made.contains("x\\u{1b}[2J\\u{9b}31m\\nBackup 0001 is sound\\u{202e}/"), "{made}");
    let archive = folder.join("Backups").join("a[0001].4BK");
    assert!(archive.is_file(), "{made}");
    let archive = archive.to_str().unwrap();
    for arguments in [
        &["status", file][..],
        &["list", file],
        &["hold", archive, "--note", EVIL],
        &["list", file],
        &["list", file, "--json"],
        &["status", file, "--json"],
        &["verify", archive],
        &["check", file],
        &["check", file, "--json"],
        &["settings", file],
        &["restore", archive],
        &["watch", file],
        &["undo", file, "--dry-run"],
        &["repair", archive],
        &["verify", folder.join("no\rsuch").to_str().unwrap()],
    ] {
        said(&place.run(arguments));
    }
    // Names in JSON are still the names.
    let listed = place.run(&["list", file, "--json"]);
    let value: serde_json::Value = serde_json::from_str(text(&listed.stdout).trim()).unwrap();
    assert_eq!(value["path"], archive);
    assert!(value["hold"].to_string().contains("sound"), "{value}");
    // What the service says of it by itself.
    let mut command = place.program();
    command.args(["serve", "--no-log", file]).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let process = rustix::process::Pid::from_raw(i32::try_from(child.id()).unwrap()).unwrap();
    rustix::process::kill_process(process, rustix::process::Signal::TERM).unwrap();
    let rest = text(&child.wait_with_output().unwrap().stderr);
    assert!(line.contains("is looked after") && is_plain(&line), "{line:?}");
    assert!(rest.contains("is looked after") && is_plain(&rest), "{rest:?}");
}

/// An engine that says what it likes, at the address that the lock of `data` names.
fn hostile_engine(place: &Place, data: &Path) -> (File, PathBuf) {
    let address = place.at("evil.sock");
    let mut lock = File::create(data.with_file_name(".a.sqlite.strongroom-lock")).unwrap();
    lock.lock().unwrap();
    write!(lock, "{}\n{}\n", std::process::id(), address.display()).unwrap();
    (lock, address)
}

#[test]
fn an_engine_of_somebody_else_is_not_believed_to_speak_plainly() {
    let place = Place::new();
    let data = place.at("a.sqlite");
    drop(make_data_file(&data, "", 10));
    let real = engine(&place);
    real.handle().send(Command::OpenDataFile { path: data.clone() }).unwrap();
    let mut status = (*until(&real.handle(), |s| s.data_file(&data).is_some_and(|d| d.plan.is_some()))).clone();
    drop(real);
    let error = ErrorReport { kind: ErrorKind::Io, message: EVIL.to_owned(), hint: Some(EVIL.to_owned()), about: None };
    status.program = EVIL.to_owned();
    let id = status.data_files[0].id;
    let known = status.data_files.edit(id).unwrap();
    (known.plan_problem, known.log_problem) = (Some(error.clone()), Some(error.clone()));
    let (_lock, address) = hostile_engine(&place, &data);
    let listener = UnixListener::bind(&address).unwrap();
    let of = data.clone();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let _: Result<FromClient, _> = protocol::read(&mut stream, FROM_CLIENT_MAX);
            let hello = Hello { protocol: PROTOCOL, program: EVIL.to_owned(), knows: Vec::new() };
            let host = Host { kind: HostKind::Service, process: 7, namespace: None };
            protocol::write(&mut stream, &FromEngine::Hello { hello, host }).unwrap();
            let update = Box::new(Update::whole(&status));
            protocol::write(&mut stream, &FromEngine::News { update, events: Vec::new() }).unwrap();
            std::thread::sleep(std::time::Duration::from_millis(300));
            let refused = Event::LogRefused { data_file: of.clone(), error: error.clone() };
            let news = FromEngine::News { update: Box::default(), events: vec![refused] };
            let _ = protocol::write(&mut stream, &news);
            std::thread::sleep(std::time::Duration::from_millis(300));
            let _ = protocol::write(&mut stream, &FromEngine::Refused(error.clone()));
        }
    });
    let file = data.to_str().unwrap();
    let watched = said(&place.run(&["watch", file]));
    assert!(watched.contains("cannot be used: x\\u{1b}[2J"), "{watched}");
    said(&place.run(&["status", file]));
    said(&place.run(&["backup", file]));
}

/// Whatever the command line shows goes through one place that spells it out.
#[test]
fn the_sources_show_no_name_as_it_is() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let all = support::user::all_below(&src);
    let mut seen = 0;
    for path in all.iter().filter(|path| path.extension().is_some_and(|end| end == "rs")) {
        let source = fs::read_to_string(path).unwrap();
        let name = path.strip_prefix(&src).unwrap().to_str().unwrap().to_owned();
        let is_of_command_line = name == "cli.rs" || name.starts_with("cli/");
        // Values come into `words` spelled out.
        let is_spelled_out = name.starts_with("cli/words");
        assert!(!is_of_command_line || is_spelled_out || !source.contains(".display()"), "{name}: use shown()");
        for (at, _) in source.match_indices("tracing::") {
            let call = source[at..].split(';').next().unwrap();
            assert!(!call.contains("!(") || !call.contains(".display()"), "{name}: {call}");
            seen += usize::from(call.contains("!("));
        }
        if is_of_command_line {
            seen += source.matches("shown(").count();
            let sinks =
                ["println!", "stdout()", "stderr()"].iter().map(|sink| source.matches(sink).count()).sum::<usize>();
            let allowed = match name.as_str() {
                "cli.rs" => 3,
                "cli/desk.rs" => 4,
                "cli/confirm.rs" => 2,
                // A million lines are not written one by one; each goes through `foreign` or `in_json`.
                "cli/log.rs" | "cli/out.rs" => 1,
                // Only asks whether it is a terminal.
                "cli/query.rs" => 1,
                _ => 0,
            };
            assert!(sinks <= allowed, "{name} writes to the terminal by itself: use print(), remark() or complain()");
        }
    }
    assert!(seen > 40, "the sources were not read");
}
