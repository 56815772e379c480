//! The program that the settings name is told how every job ended, and can hold up nothing.
#![cfg(unix)]

use crate::support;

use std::{
    fs,
    os::unix::fs::{PermissionsExt, chown},
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use serde_json::Value;
use strongroom::{
    engine::{
        Command, Engine, JobId, Status,
        history::{HistoryEntry, JobKind, Outcome},
    },
    settings::SettingsFile,
};
use support::{
    Place,
    engine::{backup, engine, until},
    make_data_file, names_in, text,
    user::{User, mode, owner, set_mode},
};

/// A program of one's own, named in the settings of the data file.
fn told(place: &Place, data: &Path, script: &str) -> PathBuf {
    let program = place.at("told.sh");
    fs::write(&program, format!("#!/bin/sh\n{script}\n")).unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    let own = place.own().join("strongroom");
    let command = vec![program.to_str().unwrap().to_owned(), "an argument".to_owned()];
    SettingsFile::load(data, &own).unwrap().change(&own, |s| s.on_finish = command).unwrap();
    program
}

fn failures(status: &Status) -> Vec<&HistoryEntry> {
    status.history.iter().filter(|e| e.kind == JobKind::OnFinish).collect()
}

/// What a program wrote, once it is whole.
fn json_in(path: &Path) -> Value {
    let begun = Instant::now();
    loop {
        if let Some(value) = fs::read_to_string(path).ok().and_then(|text| serde_json::from_str(&text).ok()) {
            return value;
        }
        assert!(begun.elapsed() < Duration::from_secs(60), "nothing was written");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn it_gets_the_result_as_json_on_standard_input() {
    let place = Place::new();
    let data = place.at("a.sqlite");
    make_data_file(&data, "", 10);
    told(&place, &data, "cat > \"$PWD/$1.json\"");
    let engine = engine(&place);
    let handle = engine.handle();
    handle.send(Command::OpenDataFile { path: data.clone() }).unwrap();
    until(&handle, |s| s.data_file(&data).is_some());
    let made = backup(&handle, &data);
    let file = place.at("an argument.json");
    let json = json_in(&file);
    assert_eq!(
        (&json["kind"], &json["outcome"], &json["automatic"]),
        (&"backup".into(), &"succeeded".into(), &false.into())
    );
    assert_eq!(json["path"], made.archive.to_str().unwrap());
    assert_eq!((json["number"].as_u64(), json["bytes"].as_u64()), (Some(1), Some(made.bytes)));
    assert!(json["program"].as_str().unwrap().starts_with("Strongroom ") && json["error"].is_null());
    assert!(json["data_file"] == data.to_str().unwrap());
    assert!(!json["warnings"].as_array().unwrap().iter().any(|w| w["kind"] == "no-backup"), "{json}");
    assert_eq!(json["urgent"], false);
    fs::remove_file(&file).unwrap();
    // Of a failure too, with what can be done.
    fs::rename(place.at("Backups"), place.at("kept")).unwrap();
    fs::write(place.at("Backups"), "in the way").unwrap();
    handle
        .send(Command::Backup { job: JobId::new(), data_file: data.clone(), destination: None, options: None })
        .unwrap();
    let json = json_in(&file);
    assert_eq!(json["outcome"], "failed");
    assert!(json["error"]["message"].is_string() && json["error"]["hint"].is_string(), "{json}");
    // With its cause, where the engine has seen meanwhile that the folder is gone.
    let is_failure = |w: &serde_json::Value| {
        w["kind"] == "backup-failed"
            || w["kind"] == "place-missing" && w["message"].as_str().unwrap().contains("the full backup of ")
    };
    assert!(json["warnings"].as_array().unwrap().iter().any(is_failure), "{json}");
    assert_eq!(json["urgent"], true);
    assert_eq!(failures(&handle.status()), Vec::<&HistoryEntry>::new());
    // A command for one job tells it as well, and waits for it before it ends.
    fs::remove_file(place.at("Backups")).unwrap();
    fs::rename(place.at("kept"), place.at("Backups")).unwrap();
    fs::remove_file(&file).unwrap();
    drop(engine);
    assert!(place.run(&["backup", data.to_str().unwrap()]).status.success());
    assert_eq!(json_in(&file)["number"], 2);
}

#[test]
fn one_that_fails_is_recorded_and_stops_nothing() {
    for (script, expected) in [
        ("echo said something; echo then this >&2; exit 3", ["ended with exit status: 3", ": then this"]),
        ("exec 0<&-; exit 7", ["ended with exit status: 7", ""]),
        ("head -c 3000000 /dev/zero; echo end >&2; exit 1", ["ended with exit status: 1", ": end"]),
    ] {
        let place = Place::new();
        let data = place.at("a.sqlite");
        make_data_file(&data, "", 10);
        told(&place, &data, script);
        let engine = engine(&place);
        let handle = engine.handle();
        handle.send(Command::OpenDataFile { path: data.clone() }).unwrap();
        until(&handle, |s| s.data_file(&data).is_some());
        backup(&handle, &data);
        let status = until(&handle, |s| !failures(s).is_empty());
        let line = failures(&status)[0];
        let message = &line.error.as_ref().unwrap().message;
        assert_eq!(line.outcome, Outcome::Failed);
        assert!(expected.iter().all(|part| message.contains(part)), "{message}");
        let problem = status.data_file(&data).unwrap().on_finish_problem.clone().unwrap();
        assert_eq!(&problem.message, message);
        assert_eq!(status.history.iter().filter(|e| e.outcome == Outcome::Succeeded).count(), 1);
        // A program that works again takes the warning away.
        told(&place, &data, "exit 0");
        until(&handle, |s| s.data_file(&data).unwrap().settings.on_finish.len() == 2);
        backup(&handle, &data);
        until(&handle, |s| s.data_file(&data).unwrap().on_finish_problem.is_none());
    }
    let place = Place::new();
    let data = place.at("a.sqlite");
    make_data_file(&data, "", 10);
    fs::remove_file(told(&place, &data, "")).unwrap();
    let engine = engine(&place);
    let handle = engine.handle();
    handle.send(Command::OpenDataFile { path: data.clone() }).unwrap();
    until(&handle, |s| s.data_file(&data).is_some());
    backup(&handle, &data);
    let status = until(&handle, |s| !failures(s).is_empty());
    assert!(
        failures(&status)[0]
            .error
            .as_ref()
            .unwrap()
            .message
            .contains("told.sh, to be run after each job, cannot be started")
    );
}

#[test]
fn one_that_never_ends_holds_up_neither_jobs_nor_the_end_and_is_ended_with_its_children() {
    let place = Place::new();
    let data = place.at("a.sqlite");
    make_data_file(&data, "", 10);
    told(&place, &data, "sleep 1000 & echo $! > \"$PWD/child\"; sleep 1000");
    let engine = engine(&place);
    let handle = engine.handle();
    handle.send(Command::OpenDataFile { path: data.clone() }).unwrap();
    until(&handle, |s| s.data_file(&data).is_some());
    for _ in 0..10 {
        backup(&handle, &data);
    }
    // More than eight are not run at once.
    let status = until(&handle, |s| !failures(s).is_empty());
    assert!(failures(&status)[0].error.as_ref().unwrap().message.contains("8 of these programs are running still"));
    let begun = Instant::now();
    drop(engine);
    assert!(begun.elapsed() < Duration::from_secs(50), "{:?}", begun.elapsed());
    let child = fs::read_to_string(place.at("child")).unwrap();
    let gone = |id: &str| {
        let stat = fs::read_to_string(format!("/proc/{id}/stat")).unwrap_or_default();
        stat.is_empty() || stat.contains(") Z ")
    };
    if cfg!(target_os = "linux") {
        let begun = Instant::now();
        while !gone(child.trim()) {
            assert!(begun.elapsed() < Duration::from_secs(10), "what it started goes on");
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

/// An engine that looks after a data file whose settings name a program, which writes `ran`.
fn named(place: &Place) -> (PathBuf, PathBuf, Engine) {
    let data = place.at("a.sqlite");
    drop(make_data_file(&data, "", 10));
    told(place, &data, "touch \"$PWD/ran\"");
    let engine = engine(place);
    engine.handle().send(Command::OpenDataFile { path: data.clone() }).unwrap();
    until(&engine.handle(), |s| s.data_file(&data).is_some());
    (data, place.at("a.strongroom.toml"), engine)
}

#[test]
fn it_is_not_run_where_others_could_have_named_it() {
    let Some(other) = User::new(61_201) else { return };
    let everybody = |settings: &Path| set_mode(settings.parent().unwrap(), 0o777);
    let group = |settings: &Path| {
        chown(settings, None, Some(other.id)).unwrap();
        set_mode(settings, 0o664);
    };
    let group_of_folder = |settings: &Path| {
        chown(settings.parent().unwrap(), None, Some(other.id)).unwrap();
        set_mode(settings.parent().unwrap(), 0o775);
    };
    type Case<'a> = (&'a dyn Fn(&Path), &'a str);
    let cases: [Case<'_>; 3] = [
        (&everybody, "everybody can write"),
        (&group, "the group 61201 can write"),
        (&group_of_folder, "the group 61201 can write"),
    ];
    for (open_up, expected) in cases {
        let place = Place::new();
        let (data, settings, engine) = named(&place);
        let handle = engine.handle();
        open_up(&settings);
        let before = mode(&settings);
        // A change that is seen only later must not be what saves it.
        let news = fs::read_to_string(&settings).unwrap() + "# written by somebody\n";
        fs::write(&settings, news).unwrap();
        backup(&handle, &data);
        let status = until(&handle, |s| !failures(s).is_empty());
        let message = failures(&status)[0].error.clone().unwrap().message;
        assert!(message.contains(expected) && message.contains("is not run"), "{message}");
        assert!(!place.at("ran").exists());
        // What was noted in the file since does not make it the word of this user alone.
        let now = fs::read_to_string(&settings).unwrap();
        assert!(now.contains("last-number = 1") && now.contains("# written by somebody"), "{now}");
        assert_eq!(mode(&settings), before);
    }
}

#[test]
fn settings_of_others_are_neither_believed_nor_written_anew() {
    let Some(other) = User::new(61_202) else { return };
    let place = Place::new();
    let (data, settings, engine) = named(&place);
    let handle = engine.handle();
    let problem = || {
        handle.send(Command::Refresh { data_file: data.clone() }).unwrap();
        let status = until(&handle, |s| s.data_file(&data).unwrap().settings_problem.is_some());
        let known = status.data_file(&data).unwrap();
        // The last ones in force are this user's own.
        assert_eq!(known.settings.on_finish.len(), 2);
        known.settings_problem.clone().unwrap().message
    };
    let fine = fs::read_to_string(&settings).unwrap();
    other.write(&settings, "on-finish = ['/bin/touch', '/tmp/of somebody else']\n");
    assert!(problem().contains("are not believed: they belong to 61202"), "{}", problem());
    let job = JobId::new();
    handle.send(Command::Backup { job, data_file: data.clone(), destination: None, options: None }).unwrap();
    let status = until(&handle, |s| s.finished_job(job).is_some());
    assert!(status.finished_job(job).unwrap().result.is_err());
    assert_eq!((owner(&settings), fs::read_to_string(&settings).unwrap().lines().count()), (other.id, 1));
    // A link in its place is not followed, not even to a file that may be read.
    fs::remove_file(&settings).unwrap();
    let target = place.at("somewhere.toml");
    fs::write(&target, "[keep]\nlast = 1\n").unwrap();
    std::os::unix::fs::symlink(&target, &settings).unwrap();
    until(&handle, |s| {
        let _ = handle.send(Command::Refresh { data_file: data.clone() });
        s.data_file(&data).unwrap().settings_problem.as_ref().is_some_and(|e| e.message.contains("is a link"))
    });
    assert_eq!(fs::read_to_string(&target).unwrap(), "[keep]\nlast = 1\n");
    // A pipe holds up nobody, and what everybody can write is nobody's word.
    fs::remove_file(&settings).unwrap();
    rustix::fs::mkfifoat(rustix::fs::CWD, &settings, rustix::fs::Mode::from_raw_mode(0o600)).unwrap();
    let error = SettingsFile::load(&data, &place.own()).unwrap_err();
    assert!(error.message().contains("not an ordinary file"), "{error}");
    fs::remove_file(&settings).unwrap();
    fs::write(&settings, &fine).unwrap();
    set_mode(&settings, 0o646);
    let error = SettingsFile::load(&data, &place.own()).unwrap_err();
    assert!(error.message().contains("everybody can write them"), "{error}");
    fs::write(&settings, "#".repeat((1 << 20) + 1)).unwrap();
    set_mode(&settings, 0o644);
    let error = SettingsFile::load(&data, &place.own()).unwrap_err();
    assert!(error.message().contains("longer than 1 MiB"), "{error}");
}

#[test]
fn one_user_does_not_take_over_what_another_one_has_named() {
    let (Some(eva), Some(adam)) = (User::new(61_203), User::new(61_204)) else { return };
    let place = Place::new();
    let folder = eva.folder(&place, "of eva");
    let data = folder.join("a.sqlite");
    drop(make_data_file(&data, "", 10));
    eva.own(&data);
    set_mode(&data, 0o644);
    let script = place.at("told.sh");
    fs::write(&script, format!("#!/bin/sh\nid -u > {}/ran-$(id -u)\n", folder.display())).unwrap();
    set_mode(&script, 0o755);
    eva.write(&folder.join("a.strongroom.toml"), &format!("on-finish = ['{}']\n", script.display()));
    let backups = adam.folder(&place, "of adam");
    // He may read her data file, and his program notes what it must in his own folder.
    let file = data.to_str().unwrap();
    let output = adam.program(&place).args(["settings", file, "keep.last=9"]).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let shown = text(&output.stdout);
    let output = adam.program(&place).args(["backup", file, "--to"]).arg(&backups).output().unwrap();
    assert!(names_in(&backups).len() == 1, "{output:?} {shown}");
    assert!(!folder.join("ran-61204").exists());
    let own = fs::read_dir(place.at("own of 61204/strongroom")).unwrap().map(|e| e.unwrap().path());
    let own = own.filter(|path| path.extension().is_some_and(|e| e == "toml")).map(|p| fs::read_to_string(p).unwrap());
    let own: Vec<String> = own.collect();
    assert!(own.len() == 1 && own[0].contains("last = 9") && !own[0].contains("told.sh"), "{own:?}");
    // Where he may write her folder, he does not make her settings his own.
    set_mode(&folder, 0o777);
    let output = adam.program(&place).args(["settings", file, "keep.last=8"]).output().unwrap();
    assert!(text(&output.stderr).contains("belong to 61203, and are changed by nobody else"), "{output:?}");
    assert_eq!(owner(&folder.join("a.strongroom.toml")), eva.id);
}

#[test]
fn new_settings_can_be_written_by_nobody_else() {
    let place = Place::new();
    let data = place.at("a.sqlite");
    drop(make_data_file(&data, "", 10));
    set_mode(&data, 0o666);
    told(&place, &data, "");
    assert_eq!(mode(&place.at("a.strongroom.toml")), 0o644);
}
