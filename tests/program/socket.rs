//! The socket of an engine: several clients, and those that are slow, hostile, of another version, or that die.
#![cfg(unix)]

use crate::support;

use std::{
    io::{BufRead, BufReader, Read, Write},
    os::unix::net::UnixStream,
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use strongroom::{
    activity::{
        filter::Filter,
        query::{Ask, Question, Source},
    },
    engine::{Answer, Command, Config, Event, Handle, HostKind, JobId, Query, QueryId, Status, status::JobReport},
    error::ErrorKind,
    journal::density::{COLUMNS_MAX, Density, Span},
    restore::Logs,
    service::{
        Connected, Reachable, Sockets, connect, join,
        protocol::{self, FROM_ENGINE_MAX, FromClient, FromEngine, Hello, PROTOCOL},
    },
};
use support::{
    Place, Running,
    engine::{ask, finished, until},
    make_data_file, names_in, text,
};

/// An engine of this process that others can reach.
struct Scene {
    place: Place,
    data: PathBuf,
    engine: Reachable,
    address: String,
}

fn config(place: &Place, kind: HostKind) -> Config {
    Config { host: kind, ..Config::private(&place.own()) }
}

fn sockets(place: &Place) -> Sockets {
    Sockets::new(&place.at("run"), place.folder.path())
}

impl Scene {
    fn new() -> Self {
        let place = Place::new();
        let data = place.at("a.sqlite");
        drop(make_data_file(&data, "PRAGMA journal_mode=WAL", 300));
        let engine = Reachable::start(config(&place, HostKind::Service), &sockets(&place)).unwrap();
        engine.handle().send(Command::OpenDataFile { path: data.clone() }).unwrap();
        until(&engine.handle(), |s| s.data_file(&data).is_some_and(|d| d.plan.is_some()));
        let address = names_in(&place.at("run")).pop().unwrap();
        let address = place.at("run").join(address).to_str().unwrap().to_owned();
        Self { place, data, engine, address }
    }

    fn connect(&self) -> Connected {
        connect(&self.address, None).unwrap()
    }

    /// A connection that says what it wants.
    fn raw(&self) -> UnixStream {
        let stream = UnixStream::connect(&self.address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        stream
    }
}

fn hello() -> FromClient {
    FromClient::Hello(Hello { protocol: PROTOCOL, program: "a test".to_owned(), knows: Vec::new() })
}

fn receive(from: &mut UnixStream) -> FromEngine {
    protocol::read(from, FROM_ENGINE_MAX).unwrap_or_else(|e| panic!("{e}"))
}

/// Reads until the engine has closed the connection; what it sent last.
fn until_closed(from: &mut UnixStream) -> Option<FromEngine> {
    let mut last = None;
    while let Ok(message) = protocol::read(from, FROM_ENGINE_MAX) {
        last = Some(message);
    }
    // Nothing more comes, not even half a frame.
    assert!(matches!(from.read(&mut [0; 1]), Ok(0) | Err(_)));
    last
}

fn back_up(handle: &Handle, scene: &Scene) -> JobId {
    let job = JobId::new();
    handle.send(Command::Backup { job, data_file: scene.data.clone(), destination: None, options: None }).unwrap();
    job
}

#[test]
fn several_clients_see_the_same_and_command_one_engine() {
    let scene = Scene::new();
    let (first, second) = (scene.connect(), scene.connect());
    assert_eq!((first.host.kind, first.host.process), (HostKind::Service, std::process::id()));
    assert_eq!(*first.handle.status(), *scene.engine.handle().status());
    let events = second.handle.events();
    let job = back_up(&first.handle, &scene);
    assert!(matches!(finished(&first.handle, job), JobReport::Backup(_)));
    assert!(matches!(finished(&second.handle, job), JobReport::Backup(_)));
    let news: Vec<Event> = std::iter::from_fn(|| events.recv_timeout(Duration::from_secs(20)).ok())
        .take_while(|event| !matches!(event, Event::JobFinished(_)))
        .collect();
    assert!(news.iter().any(|e| matches!(e, Event::JobStarted(started) if started.id == job)), "{news:?}");
    // Both end up with exactly what the engine has.
    for client in [&first, &second] {
        let now = scene.engine.handle().status();
        until(&client.handle, |s| *s == *now || *s == *scene.engine.handle().status());
    }
    // A client that leaves, even in the middle of a job, takes nothing with it.
    let job = back_up(&first.handle, &scene);
    drop(first);
    assert!(matches!(finished(&second.handle, job), JobReport::Backup(_)));
}

#[test]
fn the_engine_is_found_by_the_data_file_that_it_looks_after() {
    let scene = Scene::new();
    let found = join::engine_of(&scene.data, &scene.place.own()).unwrap().expect("nobody");
    assert!(found.handle.status().data_file(&scene.data).is_some());
    assert!(join::service(&sockets(&scene.place)).is_none(), "one's own service is not looked for");
    let (place, data) = (scene.place, scene.data);
    drop(scene.engine);
    until(&found.handle, |_| found.handle.is_lost());
    let error = found.handle.send(Command::Refresh { data_file: data.clone() }).unwrap_err();
    assert!(error.kind() == ErrorKind::Refused && error.hint_text().is_some());
    assert!(join::engine_of(&data, &place.own()).unwrap().is_none());
    assert_eq!(names_in(&place.at("run")), Vec::<String>::new(), "no stale socket is left");
}

#[test]
fn another_version_is_told_so_and_sent_away() {
    let scene = Scene::new();
    let mut stream = scene.raw();
    let newer = Hello { protocol: PROTOCOL + 1, program: "Strongroom 9".to_owned(), knows: Vec::new() };
    protocol::write(&mut stream, &FromClient::Hello(newer)).unwrap();
    let Some(FromEngine::Refused(error)) = until_closed(&mut stream) else { panic!("let in") };
    assert_eq!(error.kind, ErrorKind::NewerVersion);
    assert!(error.message.contains("Strongroom 9 speaks 3") && error.hint.is_some(), "{error:?}");
}

#[test]
fn an_older_client_is_told_that_it_is_older() {
    let scene = Scene::new();
    let mut stream = scene.raw();
    let older = Hello { protocol: 1, program: "Strongroom 0.1.0".to_owned(), knows: Vec::new() };
    protocol::write(&mut stream, &FromClient::Hello(older)).unwrap();
    let Some(FromEngine::Refused(error)) = until_closed(&mut stream) else { panic!("let in") };
    assert_eq!(error.kind, ErrorKind::NewerVersion);
    assert!(error.message.contains("speaks protocol 2, and Strongroom 0.1.0 speaks 1"), "{error:?}");
}

#[test]
fn an_answer_goes_to_who_asked_and_what_it_tells_of_is_in_the_status_before() {
    let scene = Scene::new();
    let (asks, other) = (scene.connect(), scene.connect());
    let query = |path: PathBuf| Query::Measure { data_file: scene.data.clone(), path };
    std::fs::write(scene.place.at("letter"), "12345").unwrap();
    let Ok(Answer::Measure(measure)) = ask(&asks.handle, query(scene.place.at("letter"))) else { panic!("no answer") };
    assert_eq!((measure.files, measure.bytes), (1, 5));
    let error = ask(&asks.handle, Query::Look { data_file: scene.place.at("unknown") }).unwrap_err();
    assert!(error.message().contains("unknown is not open"), "{error}");
    let status = serde_json::to_string(&*scene.engine.handle().status()).unwrap();
    assert!(!status.contains("letter"), "nothing of it is in the status");
    // Whoever looks finds what was so when he asked.
    let conn = rusqlite::Connection::open(&scene.data).unwrap();
    for round in 0..5 {
        conn.execute_batch("CREATE TABLE IF NOT EXISTS more(b); INSERT INTO more VALUES(randomblob(50000))").unwrap();
        let wal = scene.place.at("a.sqlite-wal").metadata().unwrap().len();
        assert_eq!(ask(&other.handle, Query::Look { data_file: scene.data.clone() }).unwrap(), Answer::Looked);
        assert_eq!(other.handle.status().data_file(&scene.data).unwrap().facts.wal_bytes, wal, "round {round}");
    }
}

#[test]
fn every_question_of_a_client_that_asks_much_is_answered_to_it_alone() {
    let scene = Scene::new();
    std::fs::write(scene.place.at("letter"), "12345").unwrap();
    let (mut asks, mut silent) = (scene.raw(), scene.raw());
    for stream in [&mut asks, &mut silent] {
        protocol::write(stream, &hello()).unwrap();
    }
    let mut open: std::collections::HashSet<QueryId> = (0..600).map(|_| QueryId::new()).collect();
    for id in &open {
        let query = Query::Measure { data_file: scene.data.clone(), path: scene.place.at("letter") };
        protocol::write(&mut asks, &FromClient::Query { id: *id, query }).unwrap();
    }
    while !open.is_empty() {
        match receive(&mut asks) {
            FromEngine::Answer { id, answer } => {
                assert!(open.remove(&id), "told twice, or never asked");
                assert!(answer.is_ok() || answer.is_err_and(|e| e.kind == ErrorKind::Busy));
            }
            FromEngine::Hello { .. } | FromEngine::News { .. } => {}
            other => panic!("{other:?}"),
        }
    }
    drop(scene.engine);
    while let Ok(message) = protocol::read(&mut silent, FROM_ENGINE_MAX) {
        assert!(!matches!(message, FromEngine::Answer { .. }), "{message:?}");
    }
}

#[test]
fn garbage_half_frames_and_oversized_ones_close_that_connection_only() {
    let scene = Scene::new();
    let other = scene.connect();
    let framed = |length: u32, bytes: &[u8]| [&length.to_le_bytes()[..], bytes].concat();
    let attacks: Vec<Vec<u8>> = vec![
        b"GET / HTTP/1.1\r\n\r\n".to_vec(),
        vec![0xff; 64],
        framed(5, b"hello"),
        framed(2, b"{}"),
        framed(u32::MAX, b""),
        framed(1 << 21, &[b' '; 4096]),
        framed(100, b"half of"),
        Vec::new(),
    ];
    for (n, bytes) in attacks.iter().enumerate() {
        for after_hello in [false, true] {
            let mut stream = scene.raw();
            if after_hello {
                protocol::write(&mut stream, &hello()).unwrap();
                assert!(matches!(receive(&mut stream), FromEngine::Hello { .. }));
            }
            // The engine may close before all was written.
            let _ = stream.write_all(bytes);
            let _ = stream.shutdown(std::net::Shutdown::Write);
            until_closed(&mut stream);
            let job = back_up(&other.handle, &scene);
            assert!(matches!(finished(&other.handle, job), JobReport::Backup(_)), "attack {n}");
        }
    }
}

#[test]
fn a_client_that_never_reads_holds_nobody_up() {
    let scene = Scene::new();
    let mut deaf: Vec<UnixStream> = Vec::new();
    for _ in 0..5 {
        let mut stream = scene.raw();
        protocol::write(&mut stream, &hello()).unwrap();
        deaf.push(stream);
    }
    let client = scene.connect();
    for _ in 0..10 {
        let job = back_up(&client.handle, &scene);
        assert!(matches!(finished(&client.handle, job), JobReport::Backup(_)));
    }
    // Whenever it reads at last, it gets the present state, in however few updates that took.
    let mut stream = deaf.pop().unwrap();
    assert!(matches!(receive(&mut stream), FromEngine::Hello { .. }));
    let mut status = None;
    while status.as_ref().is_none_or(|s: &strongroom::engine::Status| s.history.len() < 10 || !s.jobs.is_empty()) {
        let FromEngine::News { update, .. } = receive(&mut stream) else { panic!("no news") };
        status = update.apply(status);
        assert!(status.is_some());
    }
}

#[test]
fn more_clients_than_allowed_are_sent_away_and_places_become_free_again() {
    let scene = Scene::new();
    let many: Vec<Connected> = (0..64).map(|_| scene.connect()).collect();
    let error = connect(&scene.address, None).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Busy, "{error}");
    drop(many);
    let free = std::iter::repeat_with(|| {
        std::thread::sleep(Duration::from_millis(20));
        connect(&scene.address, None)
    });
    assert!(free.take(1000).any(|attempt| attempt.is_ok()));
}

#[test]
fn those_who_say_nothing_lock_nobody_out() {
    let scene = Scene::new();
    let silent: Vec<UnixStream> = (0..200).map(|_| scene.raw()).collect();
    let many: Vec<Connected> = (0..64).map(|_| scene.connect()).collect();
    let job = back_up(&many[0].handle, &scene);
    assert!(matches!(finished(&many[63].handle, job), JobReport::Backup(_)));
    // The first ones were sent away for those who came after them.
    let mut first = &silent[0];
    assert_eq!(first.read(&mut [0; 100]).unwrap_or(0), 0);
}

#[test]
fn one_that_sends_a_byte_now_and_then_is_sent_away() {
    let scene = Scene::new();
    let drip = |after_hello: bool| {
        let mut stream = scene.raw();
        if after_hello {
            protocol::write(&mut stream, &hello()).unwrap();
        }
        let mut frame = (1u32 << 20).to_le_bytes().to_vec();
        frame.resize(1 << 20, b' ');
        std::thread::spawn(move || {
            let begun = std::time::Instant::now();
            // Whatever the engine sends is not read: writing tells when it has closed the connection.
            let sent = frame.iter().take_while(|byte| {
                std::thread::sleep(Duration::from_millis(100));
                begun.elapsed() < Duration::from_secs(120) && stream.write_all(&[**byte]).is_ok()
            });
            (sent.count(), begun.elapsed())
        })
    };
    for drip in [drip(false), drip(true)] {
        let (sent, after) = drip.join().unwrap();
        assert!(sent > 1 && after < Duration::from_secs(100), "{sent} bytes within {after:?}");
    }
    // The same of an engine: a client waits for none that drips.
    let address = scene.place.at("run").join("window-1.sock");
    let listener = std::os::unix::net::UnixListener::bind(&address).unwrap();
    let engine = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut frame = (1u32 << 20).to_le_bytes().to_vec();
        frame.resize(1 << 20, b' ');
        frame.iter().all(|byte| {
            std::thread::sleep(Duration::from_millis(100));
            stream.write_all(&[*byte]).is_ok()
        })
    });
    let error = connect(address.to_str().unwrap(), None).unwrap_err();
    assert!(error.message().contains("cannot be reached"), "{error}");
    assert!(!engine.join().unwrap());
}

#[test]
fn two_engines_at_once_on_one_data_file_are_one_engine_and_a_refusal() {
    let place = Place::new();
    let data = place.at("a.sqlite");
    drop(make_data_file(&data, "PRAGMA journal_mode=WAL", 10));
    let start = |name: &str| {
        let config = Config { host: HostKind::Service, ..Config::private(&place.own()) };
        let sockets = Sockets::new(&place.at(name), place.folder.path());
        let engine = Reachable::start(config, &sockets).unwrap();
        engine.handle().send(Command::OpenDataFile { path: data.clone() }).unwrap();
        engine
    };
    let engines = [start("run 1"), start("run 2")];
    for engine in &engines {
        until(&engine.handle(), |s| s.data_files.len() + s.refused.len() == 1);
    }
    let open = engines.iter().filter(|e| !e.handle().status().data_files.is_empty()).count();
    assert_eq!(open, 1);
    let refused = engines.iter().find_map(|e| e.handle().status().refused.first().cloned()).unwrap();
    assert_eq!(refused.error.kind, ErrorKind::InUse);
}

/// Stands between whoever comes to the engine and the engine, and takes away commands about jobs; tells of each.
fn without_jobs(scene: &Scene) -> std::sync::mpsc::Receiver<Command> {
    let real = format!("{}.real", scene.address);
    std::fs::rename(&scene.address, &real).unwrap();
    let listener = std::os::unix::net::UnixListener::bind(&scene.address).unwrap();
    let (taken, told) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        for client in listener.incoming() {
            let (mut client, mut engine) = (client.unwrap(), UnixStream::connect(&real).unwrap());
            let (mut from_engine, mut to_client) = (engine.try_clone().unwrap(), client.try_clone().unwrap());
            std::thread::spawn(move || std::io::copy(&mut from_engine, &mut to_client));
            let taken = taken.clone();
            std::thread::spawn(move || {
                while let Ok(message) = protocol::read(&mut client, protocol::FROM_CLIENT_MAX) {
                    match message {
                        FromClient::Command(command @ (Command::Backup { .. } | Command::Stop { .. })) => {
                            taken.send(command).unwrap();
                        }
                        other => protocol::write(&mut engine, &other).unwrap(),
                    }
                }
            });
        }
    });
    told
}

#[test]
fn a_command_ends_although_its_engine_never_answers() {
    let scene = Scene::new();
    let told = without_jobs(&scene);
    let limit = Duration::from_secs(60);
    for signals in [2, 1] {
        let mut program = scene.place.program();
        program.arg("backup").arg(&scene.data).stdout(std::process::Stdio::null());
        let child = program.stderr(std::process::Stdio::piped()).spawn().unwrap();
        assert!(matches!(told.recv_timeout(limit).unwrap(), Command::Backup { .. }));
        let process = rustix::process::Pid::from_raw(child.id().cast_signed()).unwrap();
        let end = || rustix::process::kill_process(process, rustix::process::Signal::TERM).unwrap();
        end();
        assert!(matches!(told.recv_timeout(limit).unwrap(), Command::Stop { .. }));
        if signals == 2 {
            end();
        }
        let output = child.wait_with_output().unwrap();
        let said = support::text(&output.stderr);
        assert!(output.status.code() == Some(1) && said.contains("was asked to stop the job"), "{output:?}");
    }
}

/// Neither has a number for the process on the other side, which is another user's no more for that.
#[cfg(target_os = "linux")]
#[test]
fn a_service_is_reached_from_a_container_and_into_one() {
    let place = Place::new();
    let data = place.at("a.sqlite");
    drop(make_data_file(&data, "PRAGMA journal_mode=WAL", 300));
    let path = data.to_str().unwrap();
    let outside = Running(support::engine::serve(&place, &data));
    let Some(made) = place.run_in_a_container(&["backup", path]) else { return };
    assert!(made.status.success(), "{}", text(&made.stderr));
    let Some(status) = place.run_in_a_container(&["status", path]) else { return };
    let said = text(&status.stdout);
    assert!(said.contains("a program outside of this container"), "{said}");
    drop(outside);
    let mut inside = place.program_in_a_container("true", Path::new("/"));
    let mut inside = inside.arg("serve").arg(path).stdout(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(inside.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let inside = Running(inside);
    assert!(line.contains("is logged in"), "{line}");
    let made = place.run(&["backup", path]);
    assert!(made.status.success(), "{}", text(&made.stderr));
    let said = text(&place.run(&["status", path]).stdout);
    assert!(said.contains("a program outside of this container"), "{said}");
    drop(inside);
    assert_eq!(names_in(&place.at("Backups")).iter().filter(|name| name.ends_with(".4BK")).count(), 2);
}

#[test]
fn another_user_is_refused() {
    // Only the superuser can become somebody else for this.
    if !rustix_is_root() {
        eprintln!("skipped: needs the superuser");
        return;
    }
    let scene = Scene::new();
    let script = "import socket,sys; s=socket.socket(socket.AF_UNIX); s.connect(sys.argv[1]); s.settimeout(30)\n\
                  print(s.recv(65536))";
    let try_as_nobody = || {
        let mut command = std::process::Command::new("setpriv");
        command.args([
            "--reuid=65534",
            "--regid=65534",
            "--clear-groups",
            "/usr/bin/python3",
            "-c",
            script,
            &scene.address,
        ]);
        command.output()
    };
    let has_python = std::path::Path::new("/usr/bin/python3").exists();
    let Some(output) = try_as_nobody().ok().filter(|_| has_python) else {
        eprintln!("skipped: needs the command setpriv and Python");
        return;
    };
    assert!(!output.status.success() && support::text(&output.stderr).contains("PermissionError"), "{output:?}");
    // Even where somebody opened the way, the engine asks the system who it is.
    use std::os::unix::fs::PermissionsExt;
    let open = |path: &std::path::Path| std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o777)).unwrap();
    open(scene.address.as_ref());
    scene.place.at("run").ancestors().take(2).for_each(open);
    let output = try_as_nobody().unwrap();
    assert!(support::text(&output.stdout).contains("belongs to another user"), "{output:?}");
}

fn rustix_is_root() -> bool {
    std::process::Command::new("id").arg("-u").output().is_ok_and(|o| o.stdout.starts_with(b"0"))
}

/// What stands where in time comes over the socket as it does without, in few columns whatever is asked for.
#[test]
fn a_timeline_is_told_over_the_socket_in_no_more_columns_than_there_may_be() {
    let scene = Scene::new();
    let client = scene.connect();
    support::engine::open_with_log(&client.handle, &scene.data, &scene.place.at("a.journal"));
    let archive = support::engine::backup(&client.handle, &scene.data).archive;
    let application = rusqlite::Connection::open(&scene.data).unwrap();
    for n in 0..40 {
        application.execute("INSERT INTO k VALUES(?1, 1)", [format!("timeline {n}")]).unwrap();
    }
    let log = |s: &Status| s.data_file(&scene.data).and_then(|known| known.log.clone());
    let status = until(&client.handle, |s| log(s).is_some_and(|log| log.commits == 40));
    let last = log(&status).unwrap().position.commit;
    let question = |span| Query::Timeline { archive: archive.clone(), span, segments: Vec::new(), logs: Logs::Found };
    let told = |handle: &Handle, span| match ask(handle, question(span)).unwrap() {
        Answer::Timeline(told) => *told,
        other => panic!("{other:?}"),
    };
    let whole = told(&client.handle, None);
    assert_eq!(whole.archives.len(), 1);
    assert_eq!(whole.counted().unwrap().to.commit, last);
    let counted = |density: &Density| density.columns.iter().map(|column| column.commits).sum::<u64>();
    assert_eq!((counted(&whole.density), whole.density.columns.last().unwrap().last.commit), (40, last));
    // Nobody gets more than there may be, and what is asked for makes no sense to nobody.
    let (from, to) = whole.whole();
    let span = Some(Span { from, to: to + chrono::TimeDelta::microseconds(1), columns: u32::MAX });
    let fine = told(&client.handle, span);
    assert_eq!((fine.density.span.columns, counted(&fine.density)), (COLUMNS_MAX, 40));
    let own = told(&scene.engine.handle(), span);
    assert_eq!((own.density, own.archives), (fine.density, fine.archives), "as in the engine's own process");
    let backwards = told(&client.handle, Some(Span { from: to, to: from, columns: 0 }));
    assert!(backwards.density.columns.len() <= 1);
}

/// An engine that is older than a window is not asked what it does not know; one that is asked it all the same says so.
#[test]
fn a_question_that_an_engine_does_not_know_is_answered_by_an_error() {
    let scene = Scene::new();
    let mut stream = scene.raw();
    protocol::write(&mut stream, &hello()).unwrap();
    let FromEngine::Hello { hello: theirs, host } = receive(&mut stream) else { panic!("no hello") };
    assert_eq!(theirs.knows, ["activity", "take-back", "timeline", "state", "recover", "tables", "xlsx"]);
    let id = QueryId::new();
    let query = serde_json::json!({"query": {"id": id, "query": {"query": "of-tomorrow", "about": [1, 2]}}});
    protocol::write(&mut stream, &query).unwrap();
    let answer = loop {
        match receive(&mut stream) {
            FromEngine::Answer { id: of, answer } => break (of, answer),
            FromEngine::News { .. } => {}
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(answer.0, id);
    assert!(answer.1.unwrap_err().message.contains("does not know the question"));

    // One of before, which says nothing of what it knows: a socket of its own, and the status of the other one.
    let FromEngine::News { update, events } = ({
        let mut again = scene.raw();
        protocol::write(&mut again, &hello()).unwrap();
        receive(&mut again);
        receive(&mut again)
    }) else {
        panic!("no news")
    };
    let address = scene.place.at("run/service-1.sock");
    let listener = std::os::unix::net::UnixListener::bind(&address).unwrap();
    let older = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let _: FromClient = protocol::read(&mut stream, 1 << 20).unwrap();
        let hello = Hello { knows: Vec::new(), ..theirs };
        protocol::write(&mut stream, &FromEngine::Hello { hello, host }).unwrap();
        protocol::write(&mut stream, &FromEngine::News { update, events }).unwrap();
        // Nothing is asked, until the other side leaves.
        matches!(protocol::read::<FromClient>(&mut stream, 1 << 20), Ok(FromClient::Bye) | Err(_))
    });
    let client = connect(address.to_str().unwrap(), None).unwrap();
    let question = Question { source: Source::Running, filter: Filter::default(), ask: Ask::Stop };
    let error = ask(&client.handle, Query::Activity { of: scene.data.clone(), question }).unwrap_err();
    assert!(error.to_string().contains("too old to answer this") && error.hint_text().is_some(), "{error}");
    drop(client);
    assert!(older.join().unwrap());
}

#[test]
fn a_state_is_looked_at_over_the_socket_and_closed() {
    use strongroom::{
        as_of::ask::{Ask, Page, Question, Rows, Sheet, Which},
        engine::Answer,
        error::ErrorKind,
    };
    let scene = Scene::new();
    let archive = support::engine::backup(&scene.engine.handle(), &scene.data).archive;
    let client = connect(&scene.address, None).unwrap();
    let look = |looking: uuid::Uuid, asked: Ask| -> Result<Page, strongroom::error::Error> {
        let question = Question { looking, ask: asked };
        match ask(&client.handle, Query::State { data_file: scene.data.clone(), question })? {
            Answer::State(page) => Ok(*page),
            other => panic!("{other:?}"),
        }
    };
    let until = |looking: uuid::Uuid, done: &dyn Fn(&Page) -> bool| {
        let begun = std::time::Instant::now();
        loop {
            let page = look(looking, Ask::Look).unwrap();
            if done(&page) {
                return page;
            }
            assert!(begun.elapsed() < std::time::Duration::from_secs(120), "{page:?}");
        }
    };
    let which = || Which::Archive { path: archive.clone(), segments: Vec::new() };
    let looking = uuid::Uuid::new_v4();
    look(looking, Ask::Open(which())).unwrap();
    let page = until(looking, &|page| {
        page.state.about.is_some() && page.state.tables.iter().all(|table| table.records.is_some())
    });
    let table = page.state.tables[0].clone();
    let sheet = Sheet::Table { table: table.table.clone(), sorted: None, text: String::new() };
    look(looking, Ask::Show { number: 1, sheet: sheet.clone() }).unwrap();
    let listed = |number| {
        let page =
            until(looking, &|page| page.state.listed.as_ref().is_some_and(|of| of.number == number && of.is_whole));
        page.state.listed.unwrap()
    };
    assert_eq!(Some(listed(1).records), table.records);
    let begun = std::time::Instant::now();
    let rows = loop {
        let page = look(looking, Ask::Records { number: 1, block: 0 }).unwrap();
        if let Rows::Records(rows) = page.rows {
            break rows;
        }
        assert!(begun.elapsed() < std::time::Duration::from_secs(120), "{page:?}");
    };
    assert_eq!(rows.len() as u64, table.records.unwrap().min(128));
    // A late question with a lower number changes nothing.
    look(looking, Ask::Show { number: 2, sheet: Sheet::Statement("SELECT 7 AS n".to_owned()) }).unwrap();
    look(looking, Ask::Show { number: 1, sheet }).unwrap();
    assert_eq!(listed(2).columns, ["n"]);
    assert!(matches!(look(looking, Ask::Records { number: 1, block: 0 }).unwrap().rows, Rows::None));

    // Closed, it is not there any more; of four that are opened, the first one is closed.
    look(looking, Ask::Forget).unwrap();
    assert_eq!(look(looking, Ask::Look).unwrap_err().kind(), ErrorKind::NotFound);
    let names: Vec<uuid::Uuid> = (0..4).map(|_| uuid::Uuid::new_v4()).collect();
    for name in &names {
        look(*name, Ask::Open(which())).unwrap();
        until(*name, &|page| page.state.about.is_some());
    }
    assert_eq!(look(names[0], Ask::Look).unwrap_err().kind(), ErrorKind::NotFound);
    assert!(look(names[3], Ask::Look).unwrap().state.problem.is_none());
}
