//! A disk that is full in the middle of a backup in segments: somebody is asked for another folder, and nobody is
//! waited for who is not there. Needs the right to mount a small file system; says so without it.
#![cfg(target_os = "linux")]

use crate::support;

use std::{
    fs,
    io::{BufRead, BufReader, Write},
    path::{Path, PathBuf},
    process::{Command as Process, Stdio},
};

use strongroom::{
    archive::{ArchiveOptions, Compression, Rate, catalog, leftovers, segments, trust::Trust},
    backup::{self, retention},
    control::{Control, Question},
    engine::{Command, Config, Handle, HostKind, JobId, Status, status::JobReport},
    error::{ErrorKind, ErrorReport},
    journal::integrate::Until,
    restore::Logs,
    service::{Reachable, Sockets, connect, join},
    settings::{Settings, SettingsFile, sections::Frequency},
    storage::{Disk, space::disk_space},
    verify,
};
use support::{
    Place,
    disk::SmallDisk,
    engine::{Sim, engine, engine_at, finished, look, restore, until},
    has, logical_content, make_data_file, names_in, text,
};
use uuid::Uuid;

const MB: u64 = 1 << 20;

fn stored() -> ArchiveOptions {
    ArchiveOptions {
        segment_bytes: Some(MB),
        compression: Compression::None,
        redundancy: Rate::Low,
        ..ArchiveOptions::default()
    }
}

/// A data file of some megabytes, and a disk for its archives that holds half of it.
struct Scene {
    place: Place,
    data: PathBuf,
    disk: SmallDisk,
}

impl Scene {
    fn new() -> Option<Self> {
        let place = Place::new();
        let disk = SmallDisk::mount(&place.at("disk"), "3m")?;
        let data = place.at("a.sqlite");
        drop(make_data_file(&data, "PRAGMA journal_mode=WAL", 25_000));
        assert!(data.metadata().unwrap().len() > 4 * MB);
        Some(Self { place, data, disk })
    }

    fn folder(&self) -> &Path {
        &self.disk.0
    }

    fn open(&self, handle: &Handle) {
        handle.send(Command::OpenDataFile { path: self.data.clone() }).unwrap();
        until(handle, |s| s.data_file(&self.data).is_some_and(|d| d.plan.is_some() || d.plan_problem.is_some()));
    }

    fn back_up(&self, handle: &Handle) -> JobId {
        let (job, data_file) = (JobId::new(), self.data.clone());
        let destination = Some(self.folder().to_path_buf());
        handle.send(Command::Backup { job, data_file, destination, options: Some(stored()) }).unwrap();
        job
    }

    fn is_empty(&self) -> bool {
        names_in(self.folder()).is_empty()
    }
}

fn attend(handle: &Handle, who: Uuid, here: bool) {
    handle.send(Command::Attend { who, here }).unwrap();
}

fn question(handle: &Handle, job: JobId) -> Question {
    let asked = |s: &Status| s.job(job).and_then(|job| job.question.clone());
    let is_over = |s: &Status| s.finished_job(job).cloned();
    let status = until(handle, |s| asked(s).is_some() || is_over(s).is_some());
    asked(&status).unwrap_or_else(|| panic!("never asked: {:?}", is_over(&status)))
}

fn failure(handle: &Handle, job: JobId) -> ErrorReport {
    let status = until(handle, |s| s.finished_job(job).is_some());
    status.finished_job(job).unwrap().result.clone().unwrap_err()
}

#[test]
fn a_backup_goes_on_in_the_folder_named_and_the_set_is_found_from_either_folder() {
    let Some(scene) = Scene::new() else { return };
    let (engine, more) = (engine(&scene.place), scene.place.at("more"));
    let handle = engine.handle();
    scene.open(&handle);
    attend(&handle, Uuid::new_v4(), true);
    let job = scene.back_up(&handle);
    let asked = question(&handle, job);
    assert_eq!((asked.full.as_path(), asked.bytes, asked.problem), (scene.folder(), MB, None));
    // Others on that disk, such as the log, can still be written.
    assert!(disk_space(scene.folder()).unwrap().available > 30_000);
    assert!(names_in(scene.folder()).iter().all(|name| name.ends_with(".part")));
    handle.send(Command::GoOn { job, folder: "more".into() }).unwrap();
    until(&handle, |s| s.job(job).and_then(|j| j.question.clone()).is_some_and(|q| q.problem.is_some()));
    let problem = question(&handle, job).problem.unwrap();
    assert!(problem.message.contains("more is no full path"), "{problem}");
    handle.send(Command::GoOn { job, folder: more.clone() }).unwrap();
    let JobReport::Backup(report) = finished(&handle, job) else { panic!() };

    let (here, there) = (scene.folder().to_path_buf(), more.clone());
    let of = |folder: &Path| report.files.iter().filter(|f| f.starts_with(folder)).count();
    assert!(of(&here) > 0 && of(&there) > 0 && of(&here) + of(&there) == report.files.len(), "{:?}", report.files);
    let note = "a[0001].4BK.segments";
    for folder in [&here, &there] {
        assert_eq!(names_in(folder).iter().filter(|name| name.as_str() == note).count(), 1);
        assert!(names_in(folder).iter().all(|name| name == note || segments::parse_segment_name(name).is_some()));
        let listed = catalog::list(folder, Some("a")).unwrap();
        assert_eq!(listed.len(), 1);
        assert_eq!((&listed[0].files, &listed[0].problem, &listed[0].missing), (&report.files, &None, &None));
        assert_eq!(listed[0].bytes, report.bytes);
    }
    let content = logical_content(&scene.data);
    for (n, segment) in [report.files.first(), report.files.last()].into_iter().flatten().enumerate() {
        assert_eq!(verify::run(segment, &Control::default()).unwrap().damage, None);
        let to = scene.place.at(&format!("to {n}"));
        restore(&handle, segment, &to, Logs::None, Until::End);
        assert_eq!(logical_content(&to.join("a.sqlite")), content);
    }

    // A disk that is not connected: the segment is named, and found where somebody says.
    let elsewhere = scene.place.at("elsewhere");
    fs::rename(&more, &elsewhere).unwrap();
    let first = of(&here) as u32 + 1;
    let missing = catalog::list(&here, None).unwrap()[0].missing.clone().unwrap();
    assert_eq!(missing.in_words(), format!("segment {first:04} (or one after it)"));
    let look = |segments: &[PathBuf]| look(&handle, &report.archive, segments);
    let looked = look(&[]);
    assert_eq!((looked.missing, looked.result.unwrap_err().kind), (Some(missing), ErrorKind::NotFound));
    let looked = look(std::slice::from_ref(&elsewhere));
    assert!(looked.missing.is_none() && looked.result.is_ok());
    let (job, archive, until_end) = (JobId::new(), report.archive.clone(), Until::End);
    handle.send(Command::TestRestore { job, archive, until: until_end, segments: vec![elsewhere.clone()] }).unwrap();
    assert!(matches!(finished(&handle, job), JobReport::TestRestore(_)));
    fs::rename(&elsewhere, &more).unwrap();

    // It is kept and deleted as a whole.
    let mut settings =
        SettingsFile::load(&scene.data, &scene.place.own().join("strongroom")).unwrap().settings().clone();
    settings.destination.folder = Some(here.clone());
    let known = backup::archives(&scene.data, &settings).unwrap();
    let sets = retention::sets(&scene.data, &settings, &known, Trust::default());
    assert_eq!((sets.len(), &sets[0].untouchable, &sets[0].files), (1, &None, &report.files));
    assert_eq!(retention::delete(&Disk, &sets).problem, None);
    assert_eq!((names_in(&here).len(), names_in(&there).len()), (0, 0));
}

#[test]
fn space_that_was_freed_is_an_answer_too() {
    let Some(scene) = Scene::new() else { return };
    let engine = engine(&scene.place);
    let handle = engine.handle();
    scene.open(&handle);
    attend(&handle, Uuid::new_v4(), true);
    let job = scene.back_up(&handle);
    question(&handle, job);
    let remount = Process::new("mount").args(["-o", "remount,size=64m"]).arg(scene.folder()).status().unwrap();
    assert!(remount.success());
    handle.send(Command::GoOn { job, folder: scene.folder().to_path_buf() }).unwrap();
    let JobReport::Backup(report) = finished(&handle, job) else { panic!() };
    assert!(report.files.iter().all(|file| file.starts_with(scene.folder())));
    assert_eq!(verify::run(&report.archive, &Control::default()).unwrap().damage, None);
    assert!(names_in(scene.folder()).iter().all(|name| name.ends_with(".4BK")), "no note is needed");
}

#[test]
fn without_anybody_to_ask_the_backup_fails_says_what_to_do_and_leaves_nothing() {
    let Some(scene) = Scene::new() else { return };
    let engine = engine(&scene.place);
    let handle = engine.handle();
    scene.open(&handle);
    let refused = failure(&handle, scene.back_up(&handle));
    assert_eq!(refused.kind, ErrorKind::NoSpace);
    assert!(refused.hint.unwrap().contains("asks for another folder to go on in"));
    assert!(scene.is_empty());
    // Somebody is there, and leaves; one of two is enough.
    let (one, other) = (Uuid::new_v4(), Uuid::new_v4());
    attend(&handle, one, true);
    attend(&handle, other, true);
    let job = scene.back_up(&handle);
    question(&handle, job);
    attend(&handle, one, false);
    question(&handle, job);
    attend(&handle, other, false);
    let failed = failure(&handle, job);
    assert_eq!(failed.kind, ErrorKind::NoSpace);
    assert!(failed.message.contains("is full"), "{failed}");
    assert!(scene.is_empty(), "{:?}", names_in(scene.folder()));
    // Stop is an answer.
    attend(&handle, one, true);
    let job = scene.back_up(&handle);
    question(&handle, job);
    handle.send(Command::Stop { job }).unwrap();
    assert_eq!(failure(&handle, job).kind, ErrorKind::Stopped);
    assert!(scene.is_empty(), "{:?}", names_in(scene.folder()));
}

/// Nobody waits for what is due by itself, even while somebody sits before a window: it is tried again as the settings
/// say.
#[test]
fn a_scheduled_backup_never_asks() {
    let Some(scene) = Scene::new() else { return };
    let own = scene.place.own().join("strongroom");
    let change = |settings: &mut Settings| {
        settings.scheduler.frequency = Frequency::EveryDay;
        settings.archive = stored();
        settings.destination.folder = Some(scene.folder().to_path_buf());
    };
    SettingsFile::load(&scene.data, &own).unwrap().change(&own, change).unwrap();
    let sim = Sim::at("2026-06-01 12:00");
    let engine = engine_at(&scene.place, sim.clock());
    let handle = engine.handle();
    attend(&handle, Uuid::new_v4(), true);
    handle.send(Command::OpenDataFile { path: scene.data.clone() }).unwrap();
    until(&handle, |s| s.data_file(&scene.data).is_some_and(|d| d.automatic.is_some()));
    sim.set("2026-06-01 23:00");
    handle.send(Command::Refresh { data_file: scene.data.clone() }).unwrap();
    let status = until(&handle, |s| s.finished.iter().any(|job| job.automatic));
    let failed = status.finished.iter().find(|job| job.automatic).unwrap().result.clone().unwrap_err();
    assert_eq!(failed.kind, ErrorKind::NoSpace);
    assert!(failed.hint.unwrap().contains("asks for another folder to go on in"));
    assert!(names_in(scene.folder()).iter().all(|name| !name.contains(".4BK")), "{:?}", names_in(scene.folder()));
}

#[test]
fn a_window_of_another_process_that_goes_away_takes_the_question_with_it() {
    let Some(scene) = Scene::new() else { return };
    let config = Config { host: HostKind::Service, ..Config::private(&scene.place.own()) };
    let sockets = Sockets::new(&scene.place.at("run"), scene.place.folder.path());
    let engine = Reachable::start(config, &sockets).unwrap();
    scene.open(&engine.handle());
    let address = scene.place.at("run").join(names_in(&scene.place.at("run")).pop().unwrap());
    let window = || connect(address.to_str().unwrap(), None).unwrap().handle;
    let first = window();
    attend(&first, Uuid::new_v4(), true);
    let job = scene.back_up(&first);
    question(&first, job);
    // Another one answers as well.
    let second = window();
    assert_eq!(question(&second, job).full, scene.folder());
    drop(first);
    assert_eq!(failure(&engine.handle(), job).kind, ErrorKind::NoSpace);
    assert!(scene.is_empty());
    attend(&second, Uuid::new_v4(), true);
    let job = scene.back_up(&second);
    question(&second, job);
    second.send(Command::GoOn { job, folder: scene.place.at("more") }).unwrap();
    assert!(matches!(finished(&second, job), JobReport::Backup(_)));
}

#[test]
fn a_crash_while_it_asks_leaves_no_file_under_a_final_name_and_the_rest_is_cleaned_up() {
    let Some(scene) = Scene::new() else { return };
    let more = scene.place.at("more");
    let mut service = scene.place.program().arg("serve").arg(&scene.data).stdout(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(service.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let handle = join::engine_of(&scene.data, &scene.place.own().join("strongroom")).unwrap().unwrap().handle;
    attend(&handle, Uuid::new_v4(), true);
    let job = scene.back_up(&handle);
    question(&handle, job);
    // The second folder is as small: it asks again, with segments in both.
    let second = SmallDisk::mount(&more, "2m").unwrap();
    handle.send(Command::GoOn { job, folder: more.clone() }).unwrap();
    until(&handle, |s| s.job(job).and_then(|j| j.question.clone()).is_some_and(|q| q.full == more));
    service.kill().unwrap();
    service.wait().unwrap();
    for folder in [scene.folder(), &more] {
        let left = names_in(folder);
        assert!(!left.is_empty() && left.iter().all(|name| name.ends_with(".part")), "{left:?}");
    }
    leftovers::remove_leftovers(scene.folder(), "a").unwrap();
    assert_eq!((names_in(scene.folder()), names_in(&more)), (vec![], vec![]));
    drop(second);
}

#[test]
fn a_terminal_is_asked_and_a_script_is_not() {
    let Some(scene) = Scene::new() else { return };
    let (data, to) = (scene.data.to_str().unwrap(), scene.folder().to_str().unwrap());
    let arguments = ["backup", data, "--to", to, "--segment-mb", "1", "--compression", "none"];
    let output = scene.place.run(&arguments);
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains("not enough space"), "{}", text(&output.stderr));
    assert!(scene.is_empty());
    if !has("script") {
        return;
    }
    let more = scene.place.at("more");
    let answered = |answer: &str| {
        let mut command = Process::new("script");
        let program = scene.place.program();
        command.args(["-qec", &format!("'{}' {}", support::PROGRAM, arguments.join(" ")), "/dev/null"]);
        program.get_envs().for_each(|(name, value)| _ = command.env(name, value.unwrap_or_default()));
        let mut terminal = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        // A terminal keeps what is typed until somebody reads it.
        let mut input = terminal.stdin.take().unwrap();
        input.write_all(format!("{answer}\n").as_bytes()).unwrap();
        let output = terminal.wait_with_output().unwrap();
        drop(input);
        (output.status.code(), text(&output.stdout))
    };
    let (code, said) = answered("");
    assert!(code == Some(1) && said.contains("is full") && said.contains("stopped by the user"), "{code:?} {said}");
    assert!(scene.is_empty());
    let (code, said) = answered(more.to_str().unwrap());
    assert!(code == Some(0) && said.contains("The backup goes on in another folder"), "{code:?} {said}");
    let listed = catalog::list(scene.folder(), None).unwrap();
    assert!(listed.len() == 1 && listed[0].problem.is_none() && !names_in(&more).is_empty());
}
