//! Settings through the engine's door and on the command line.

use crate::support;

use std::fs;

use strongroom::{
    archive::options::{ArchiveOptions, Compression, Rate},
    engine::{Answer, Command, Handle, Query},
    error::ErrorKind,
    settings::{KEYS, Settings, SettingsFile, sections::*},
    warning::WarningKind,
};
use support::{
    Place,
    engine::{ask, backup, engine, until},
    make_data_file, names_in, text,
};

fn change(handle: &Handle, data: &std::path::Path, from: &Settings, settings: Settings) {
    let revision = from.revision();
    let data_file = data.to_path_buf();
    handle.send(Command::ChangeSettings { data_file, settings, revision, switch_to_wal: false }).unwrap();
}

fn everything_else(place: &Place) -> Settings {
    Settings {
        scheduler: Scheduler {
            frequency: Frequency::Personalized,
            unit: Unit::Weeks,
            every: 2,
            at: chrono::NaiveTime::from_hms_opt(6, 30, 0).unwrap(),
            weekdays: [Weekday::Tuesday, Weekday::Friday].into(),
            day: 31,
            from: chrono::NaiveDate::from_ymd_opt(2026, 11, 22),
            only_if_modified: true,
        },
        content: Content { program: vec![place.at("program")], attachments: vec![place.at("letters")] },
        destination: Destination { folder: Some(place.at("elsewhere")), earlier: vec![] },
        log: Log { file: None, allow_network: true },
        keep: Keep {
            all: true,
            last: 7,
            hourly: 24,
            daily: 7,
            weekly: 4,
            monthly: 12,
            yearly: 10,
            delete_oldest: DeleteOldest::Before,
        },
        failure: Failure {
            retry: Retry::After,
            retry_after: 30,
            retry_unit: RetryUnit::Seconds,
            cancel: true,
            cancel_after: 2,
        },
        archive: ArchiveOptions {
            segment_bytes: Some(650 << 20),
            compression: Compression::Compact,
            interlacing: Rate::Medium,
            redundancy: Rate::High,
            sign: true,
        },
        restore: Restore { if_damaged: true, integrate_log: false },
        on_finish: vec!["/bin/true".into()],
        ..Settings::default()
    }
}

#[test]
fn whole_settings_are_saved_in_force_and_read_again() {
    let place = Place::new();
    let data = place.at("a.sqlite");
    make_data_file(&data, "", 10);
    let wanted = everything_else(&place);
    {
        let engine = engine(&place);
        let handle = engine.handle();
        handle.send(Command::OpenDataFile { path: data.clone() }).unwrap();
        let status = until(&handle, |s| s.data_file(&data).is_some());
        let before = status.data_file(&data).unwrap().settings.clone();
        assert_eq!(before, Settings::default());
        change(&handle, &data, &before, wanted.clone());
        let status = until(&handle, |s| s.data_file(&data).unwrap().settings == wanted);
        let status = status.data_file(&data).unwrap();
        assert_eq!((&status.destination, &status.settings_refused), (&place.at("elsewhere"), &None));
        assert_eq!(status.settings_file, place.at("a.strongroom.toml"));
        // What Strongroom notes is not taken from whoever changes the settings.
        backup(&handle, &data);
        let status = until(&handle, |s| s.data_file(&data).unwrap().settings.last_number == 1);
        let now = status.data_file(&data).unwrap().settings.clone();
        assert_eq!(now.revision(), wanted.revision());
        let revised = Settings { on_finish: vec![], ..wanted.clone() };
        change(&handle, &data, &wanted, revised);
        let status = until(&handle, |s| s.data_file(&data).unwrap().settings.on_finish.is_empty());
        assert_eq!(status.data_file(&data).unwrap().settings.last_number, 1);
    }
    let mut read = SettingsFile::load(&data, &place.own()).unwrap().settings().clone();
    assert!(read.data_file_id.is_some());
    read.take_notes(&Settings::default());
    assert_eq!(read, Settings { on_finish: vec![], ..wanted });
}

#[test]
fn a_change_based_on_other_settings_is_refused_and_says_so() {
    let place = Place::new();
    let data = place.at("a.sqlite");
    make_data_file(&data, "", 10);
    let engine = engine(&place);
    let handle = engine.handle();
    handle.send(Command::OpenDataFile { path: data.clone() }).unwrap();
    until(&handle, |s| s.data_file(&data).is_some());
    let before = Settings::default();
    // Not seen by the engine yet, when the command comes.
    let by_hand = "# by hand\n[keep]\nlast = 8\n";
    fs::write(place.at("a.strongroom.toml"), by_hand).unwrap();
    change(&handle, &data, &before, Settings { on_finish: vec!["/bin/true".into()], ..before.clone() });
    let status = until(&handle, |s| s.data_file(&data).unwrap().settings_refused.is_some());
    let refused = status.data_file(&data).unwrap().settings_refused.clone().unwrap();
    assert_eq!((refused.error.kind, refused.revision), (ErrorKind::Changed, before.revision()));
    assert_eq!(fs::read_to_string(place.at("a.strongroom.toml")).unwrap(), by_hand);
    let status = until(&handle, |s| s.data_file(&data).unwrap().settings.keep.last == 8);

    // Values that do not fit are refused too, and nothing is written.
    let now = status.data_file(&data).unwrap().settings.clone();
    let mut wrong = now.clone();
    wrong.content.attachments = vec![place.at("")];
    change(&handle, &data, &now, wrong);
    let status = until(&handle, |s| {
        s.data_file(&data).unwrap().settings_refused.as_ref().is_some_and(|r| r.error.kind == ErrorKind::Settings)
    });
    let refused = status.data_file(&data).unwrap().settings_refused.clone().unwrap();
    assert!(refused.error.message.contains("a folder that holds the data file itself"), "{refused:?}");
    assert_eq!(fs::read_to_string(place.at("a.strongroom.toml")).unwrap(), by_hand);

    // A mistake in the file is said; what was good stays in force, and nothing is written over it.
    fs::write(place.at("a.strongroom.toml"), "[keep]\nlast = 0\n").unwrap();
    let status = until(&handle, |s| s.data_file(&data).unwrap().settings_problem.is_some());
    let problem = status.data_file(&data).unwrap().settings_problem.clone().unwrap();
    assert!(problem.message.contains("keep.last at line 2, column 8"), "{problem:?}");
    assert_eq!(status.data_file(&data).unwrap().settings.keep.last, 8);
    change(&handle, &data, &now, now.clone());
    until(&handle, |s| {
        s.data_file(&data).unwrap().settings_refused.as_ref().is_some_and(|r| r.error.message.contains("keep.last"))
    });
    assert_eq!(fs::read_to_string(place.at("a.strongroom.toml")).unwrap(), "[keep]\nlast = 0\n");
    fs::write(place.at("a.strongroom.toml"), "[keep]\nlast = 4\n").unwrap();
    let status = until(&handle, |s| s.data_file(&data).unwrap().settings.keep.last == 4);
    assert_eq!(status.data_file(&data).unwrap().settings_problem, None);
    // A name that means nothing is one too: what was meant would go back to its default.
    fs::write(place.at("a.strongroom.toml"), "[keep]\nlst = 9\n").unwrap();
    let status = until(&handle, |s| s.data_file(&data).unwrap().settings_problem.is_some());
    let status = status.data_file(&data).unwrap();
    let problem = status.settings_problem.clone().unwrap();
    assert!(problem.message.contains("keep.lst at line 2, column 1 (did you mean keep.last?)"), "{problem:?}");
    assert_eq!((status.settings.keep.last, status.settings_unknown.len()), (4, 0));
}

#[test]
fn a_mistake_in_the_file_ends_no_backup_and_deletes_none() {
    let place = Place::new();
    let data = place.at("a.sqlite");
    make_data_file(&data, "", 10);
    let file = place.at("a.strongroom.toml");
    fs::write(&file, "[keep]\nlast = 1\n").unwrap();
    let engine = engine(&place);
    let handle = engine.handle();
    handle.send(Command::OpenDataFile { path: data.clone() }).unwrap();
    until(&handle, |s| s.data_file(&data).is_some());
    backup(&handle, &data);
    let good = fs::read_to_string(&file).unwrap();
    let id = SettingsFile::load(&data, &place.own()).unwrap().settings().data_file_id.unwrap().to_string();
    let other = format!("{}{}", if id.starts_with('2') { '3' } else { '2' }, &id[1..]);
    let mut wanted = vec!["a[0001].4BK".to_owned()];
    for (mistaken, says) in [
        (good.replace("last = 1\n", "last = 1O\n"), "not valid TOML at line"),
        (good.replace("last = 1\n", "last = 0\n"), "keep.last at line"),
        (good.replace("last = 1\n", "lst = 9\n"), "keep.lst at line"),
        (good.replace(&id, &other), "they name another data file by data-file.id"),
    ] {
        assert_ne!(mistaken, good);
        fs::write(&file, &mistaken).unwrap();
        until(&handle, |s| {
            s.data_file(&data).unwrap().settings_problem.as_ref().is_some_and(|problem| problem.message.contains(says))
        });
        let made = backup(&handle, &data);
        let problem = made.problem().unwrap();
        assert!(problem.message().contains(says), "{problem:?}");
        assert!(problem.hint_text().unwrap().contains("no old backup is deleted"), "{problem:?}");
        until(&handle, |s| s.data_file(&data).unwrap().archives.iter().any(|a| a.path == made.archive));
        assert_eq!(fs::read_to_string(&file).unwrap(), mistaken);
        wanted.push(format!("a[{:04}].4BK", wanted.len() + 1));
        assert_eq!(names_in(&place.at("Backups")), wanted);
    }
    // Something else in its place, which is no mistake in the text.
    fs::remove_file(&file).unwrap();
    fs::create_dir(&file).unwrap();
    until(&handle, |s| s.data_file(&data).unwrap().settings_problem.is_some());
    assert!(backup(&handle, &data).problem().is_some());
    fs::remove_dir(&file).unwrap();
    fs::write(&file, &good).unwrap();
    until(&handle, |s| s.data_file(&data).unwrap().settings_problem.is_none());
    let made = backup(&handle, &data);
    assert_eq!((made.number.0, made.problem().is_some()), (7, false));
    assert_eq!(names_in(&place.at("Backups")), ["a[0007].4BK"]);
}

#[test]
fn archives_stay_known_and_numbers_go_on_when_the_folder_changes() {
    let place = Place::new();
    let data = place.at("a.sqlite");
    make_data_file(&data, "", 10);
    let engine = engine(&place);
    let handle = engine.handle();
    handle.send(Command::OpenDataFile { path: data.clone() }).unwrap();
    until(&handle, |s| s.data_file(&data).is_some());
    let first = backup(&handle, &data);
    handle.send(Command::SetDestination { data_file: data.clone(), folder: place.at("second") }).unwrap();
    until(&handle, |s| s.data_file(&data).unwrap().destination == place.at("second"));
    let second = backup(&handle, &data);
    assert_eq!(names_in(&place.at("second")), ["a[0002].4BK"]);
    // By hand, and the note of the last number with it.
    let file = place.at("a.strongroom.toml");
    let chosen = |name: &str| format!("\nfolder = \"{}\"", place.at(name).display());
    let edited = fs::read_to_string(&file).unwrap().replace(&chosen("second"), &chosen("third"));
    let edited = edited.replace("last-number = 2", "");
    fs::write(&file, edited).unwrap();
    until(&handle, |s| s.data_file(&data).unwrap().destination == place.at("third"));
    let third = backup(&handle, &data);
    assert_eq!(names_in(&place.at("third")), ["a[0003].4BK"]);
    let status = until(&handle, |s| s.data_file(&data).unwrap().archives.len() == 3);
    let paths: Vec<_> = status.data_file(&data).unwrap().archives.iter().map(|a| a.path.clone()).collect();
    assert_eq!(paths, [third.archive, second.archive, first.archive]);
    // Back to where it was: no longer an earlier folder.
    handle.send(Command::SetDestination { data_file: data.clone(), folder: place.at("Backups") }).unwrap();
    until(&handle, |s| s.data_file(&data).unwrap().destination == place.at("Backups"));
    let earlier = SettingsFile::load(&data, &place.own()).unwrap().settings().destination.earlier.clone();
    assert_eq!(earlier, [place.at("second"), place.at("third")]);
    assert_eq!(backup(&handle, &data).number.0, 4);
    drop(engine);
    let listed = text(&place.run(&["list", data.to_str().unwrap()]).stdout);
    assert_eq!(listed.lines().count(), 4, "{listed}");
}

#[test]
fn settings_are_shown_and_changed_by_command() {
    let place = Place::new();
    let data = place.at("a.sqlite");
    make_data_file(&data, "", 10);
    let data = data.to_str().unwrap();
    let run = |arguments: &[&str]| {
        let output =
            place.program().current_dir(place.at("")).arg("settings").arg(data).args(arguments).output().unwrap();
        (output.status.code().unwrap(), text(&output.stdout), text(&output.stderr))
    };
    let (code, said, _) = run(&[]);
    assert_eq!(code, 0);
    for key in KEYS {
        let (meaning, line) = (format!("# {} (default)\n", key.meaning), format!("{} ", key.name));
        assert!(said.contains(&meaning) || key.is_own, "{said}");
        assert!(
            said.lines().any(|l| l.trim_start_matches("# ").starts_with(&line)),
            "{} is missing in {said}",
            key.name
        );
    }
    assert!(said.contains("\nkeep.last = 3\n") && said.contains("\n# destination.folder is not set\n"), "{said}");
    assert!(!place.at("a.strongroom.toml").exists(), "only looked at");
    // What is shown can stand in a file.
    said.parse::<toml_edit::DocumentMut>().unwrap();

    let (code, said, error) = run(&[
        "keep.last=5",
        "archive.redundancy=medium",
        "archive.segment-size=100",
        "scheduler.frequency=personalized",
        "scheduler.unit=days",
        "scheduler.every=3",
        "destination.folder=relative",
        "content.attachments+=letters",
    ]);
    assert_eq!((code, error.as_str()), (0, ""));
    assert!(said.contains("keep.last = 5\n") && said.contains("scheduler.every = 3\n"), "{said}");
    let settings = SettingsFile::load(data.as_ref(), &place.own()).unwrap().settings().clone();
    assert_eq!(settings.destination.folder, Some(place.at("relative")));
    assert_eq!(settings.content.attachments, [place.at("letters")]);
    assert!(settings.scheduler.from.is_some(), "an interval of three days is counted from somewhere");
    // Who sets a time of the day believes that it is kept to.
    let (_, _, error) = run(&["scheduler.day=15", "scheduler.at=06:30"]);
    assert_eq!(
        error.trim_end(),
        "strongroom: scheduler.day is noted, but has no effect while scheduler.frequency is personalized."
    );
    let (_, _, error) = run(&["scheduler.day=15", "scheduler.unit=months"]);
    assert_eq!(error, "");
    let (_, said, _) = run(&["--json"]);
    let json: serde_json::Value = serde_json::from_str(&said).unwrap();
    assert_eq!((&json["settings"]["keep.last"], &json["settings"]["log.file"]), (&5.into(), &serde_json::Value::Null));
    assert_eq!(json["settings"].as_object().unwrap().len(), KEYS.len());
    assert_eq!(run(&["keep.last"]).1, "keep.last = 5\n");
    assert_eq!(run(&["--default", "keep.last"]).1, "keep.last = 3\n");
    assert!(!fs::read_to_string(place.at("a.strongroom.toml")).unwrap().contains("last ="));
    for (argument, expected) in [
        ("keep.last=0", "keep.last must be a whole number from 1 to 9999, but is 0\n  Write it as KEY=VALUE."),
        ("keep.nothing=0", "there is no setting named keep.nothing\n  In that section there are keep.all"),
        ("data-file.last-number=0", "data-file.last-number is kept by Strongroom and cannot be set\n  Leave it"),
        ("content.program=.", "content.program must not be a folder that holds the data file itself, but"),
        ("content.program=letters", "names"),
    ] {
        let before = fs::read_to_string(place.at("a.strongroom.toml")).unwrap();
        let (code, _, error) = run(&[argument]);
        assert!(code == 1 && error.contains(expected), "{argument}: {error}");
        assert_eq!(fs::read_to_string(place.at("a.strongroom.toml")).unwrap(), before);
    }
    let nowhere = place.run(&["settings", place.at("gone.sqlite").to_str().unwrap()]);
    assert!(text(&nowhere.stderr).contains("does not exist and has no settings"));
}

#[test]
fn the_readme_names_every_setting() {
    let readme = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/README.md")).unwrap();
    for key in KEYS {
        let short = key.name.rsplit_once('.').map_or(key.name, |(_, short)| short);
        let named = readme.contains(&format!("`{}`", key.name)) || readme.contains(&format!("`.{short}`"));
        assert!(named, "{} is missing in the README", key.name);
    }
}

#[test]
fn a_dialog_can_look_at_places_and_attachments_before_anything_is_changed() {
    let place = Place::new();
    let data = place.at("a.sqlite");
    make_data_file(&data, "", 10);
    fs::create_dir_all(place.at("letters/2026")).unwrap();
    fs::write(place.at("letters/2026/a.txt"), "12345").unwrap();
    fs::write(place.at("letters/b.txt"), "1234567").unwrap();
    let engine = engine(&place);
    let handle = engine.handle();
    handle.send(Command::OpenDataFile { path: data.clone() }).unwrap();
    until(&handle, |s| s.data_file(&data).is_some_and(|d| d.plan.is_some()));
    let mut wanted = Settings::default();
    wanted.destination.folder = Some(place.at("elsewhere"));
    wanted.log.file = Some(place.at("a.journal"));
    wanted.content.attachments = vec![place.at("")];
    let places = ask(&handle, Query::Places { data_file: data.clone(), settings: wanted.clone() });
    let Ok(Answer::Places(seen)) = places else { panic!("{places:?}") };
    assert_eq!(seen.revision, wanted.revision());
    assert_eq!((&seen.archives.folder, &seen.log.as_ref().unwrap().folder), (&place.at("elsewhere"), &place.at("")));
    assert!(seen.archives.space.as_ref().unwrap().total > 0);
    assert!(seen.archives.warnings.iter().any(|w| w.kind == WarningKind::SameDisk), "{:?}", seen.archives);
    assert!(seen.problem.as_ref().unwrap().message.starts_with("content.attachments must not be a folder that holds"));
    let result = |path| match ask(&handle, Query::Measure { data_file: data.clone(), path }) {
        Ok(Answer::Measure(measure)) => Ok(measure),
        Ok(other) => panic!("{other:?}"),
        Err(error) => Err(error),
    };
    let letters = result(place.at("letters")).unwrap();
    assert_eq!((letters.files, letters.bytes, letters.problem), (2, 12, None));
    assert!(result(place.at("gone")).unwrap().problem.unwrap().ends_with("gone does not exist any more"));
    assert_eq!(result(place.at("")).unwrap_err().kind(), ErrorKind::Settings);
    let status = handle.status();
    let now = status.data_file(&data).unwrap();
    assert_eq!((&now.settings, place.at("a.strongroom.toml").exists()), (&Settings::default(), false));
}
