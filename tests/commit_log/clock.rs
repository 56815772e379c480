//! Clocks: the hour that comes twice, in the zone of the system; and a clock that was ahead for a while.

use crate::support;

use std::{
    path::{Path, PathBuf},
    process::Command,
    sync::atomic::{AtomicI64, Ordering},
    time::Duration,
};

use chrono::{DateTime, Local, NaiveDateTime, TimeDelta, Utc};
use strongroom::{
    backup,
    control::{
        Clock, Control,
        wall::{Shown, shown},
    },
    journal::{
        Capture, CaptureConfig,
        density::Span,
        integrate::{Look, Until},
    },
    restore::{Logs, Origin, find_point, parse_moment, timeline::timeline},
    schedule,
    settings::{Key, Settings, SettingsFile},
    storage::Disk,
};
use support::{Place, logical_content, make_data_file, text};

/// Runs the test of this name again, in a process for which the system's zone is Zurich. Returns whether this is that
/// process.
fn in_zurich(test: &str) -> bool {
    const ZONE: &str = "Europe/Zurich";
    if std::env::var("TZ").is_ok_and(|zone| zone == ZONE) {
        return true;
    }
    if !Path::new("/usr/share/zoneinfo").join(ZONE).exists() {
        eprintln!("skipped: this system does not know its zones");
        return false;
    }
    let test = support::full_name(module_path!(), test);
    let again =
        Command::new(std::env::current_exe().unwrap()).args(["--exact", &test]).env("TZ", ZONE).output().unwrap();
    assert!(again.status.success(), "{}{}", text(&again.stdout), text(&again.stderr));
    assert!(text(&again.stdout).contains("1 passed"), "{}", text(&again.stdout));
    false
}

fn naive(text: &str) -> NaiveDateTime {
    NaiveDateTime::parse_from_str(text, "%Y-%m-%d %H:%M").unwrap()
}

fn scheduler(settings: &[(&str, &str)]) -> strongroom::settings::sections::Scheduler {
    let mut all = Settings::default();
    for (name, value) in settings {
        Key::find(name).unwrap().set(&mut all, &(*value).into()).unwrap();
    }
    all.scheduler
}

#[test]
fn the_zone_of_the_system_shows_an_hour_twice_and_the_first_is_taken() {
    if !in_zurich("the_zone_of_the_system_shows_an_hour_twice_and_the_first_is_taken") {
        return;
    }
    let zulu = |moment: DateTime<Local>| moment.to_utc().format("%m-%d %H:%M").to_string();
    let Shown::Twice { first, second } = shown(naive("2026-10-25 02:30"), &Local) else { panic!("once") };
    assert_eq!((zulu(first), zulu(second)), ("10-25 00:30".to_owned(), "10-25 01:30".to_owned()));
    assert!(matches!(shown(naive("2026-10-25 03:00"), &Local), Shown::Once(_)));
    assert!(matches!(shown(naive("2026-03-29 02:30"), &Local), Shown::Never));
    // Schedules.
    let from = shown(naive("2026-10-24 22:00"), &Local).first().unwrap();
    let dates = |settings: &[(&str, &str)], from: &DateTime<Local>, count| {
        schedule::next_dates(&scheduler(settings), from, count).into_iter().map(zulu).collect::<Vec<_>>()
    };
    let daily = [("scheduler.frequency", "every day"), ("scheduler.at", "02:30")];
    assert_eq!(dates(&daily, &from, 2), ["10-25 00:30", "10-26 01:30"]);
    let midnight = shown(naive("2026-10-25 00:30"), &Local).first().unwrap();
    assert_eq!(
        dates(&[("scheduler.frequency", "every hour")], &midnight, 4),
        ["10-24 23:00", "10-25 00:00", "10-25 01:00", "10-25 02:00"],
        "every hour, and none left out"
    );
    // What a person writes.
    let moment = parse_moment("2026-10-25 02:30:00").unwrap();
    assert_eq!(moment.at.format("%H:%M").to_string(), "00:30");
    assert!(moment.ambiguity().unwrap().contains("For the second, write 2026-10-25 02:30:00 +01:00"), "{moment:?}");
    let second = parse_moment("2026-10-25 02:30:00 +01:00").unwrap();
    assert_eq!((second.at.format("%H:%M").to_string(), second.again), ("01:30".to_owned(), None));
}

/// The clock of the log, which knows no more than a function.
static LOG_CLOCK: AtomicI64 = AtomicI64::new(0);

fn log_clock() -> DateTime<Utc> {
    DateTime::from_timestamp_micros(LOG_CLOCK.load(Ordering::SeqCst)).unwrap()
}

/// One data file whose log and backups see a clock that a test sets. Only one at a time.
struct Scene {
    place: Place,
    data: PathBuf,
    application: rusqlite::Connection,
    capture: Option<Capture>,
    _alone: std::sync::MutexGuard<'static, ()>,
}

static ALONE: std::sync::Mutex<()> = std::sync::Mutex::new(());

impl Scene {
    fn new(now: DateTime<Utc>) -> Self {
        let alone = ALONE.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        set(now);
        let place = Place::new();
        let data = place.at("a.sqlite");
        let application = make_data_file(&data, "PRAGMA journal_mode=WAL", 20);
        let log = format!("log.file={}", place.at("a.journal").display());
        assert!(place.run(&["settings", data.to_str().unwrap(), &log]).status.success());
        let mut scene = Self { place, data, application, capture: None, _alone: alone };
        scene.backup();
        scene.restart();
        scene
    }

    fn settings(&self) -> SettingsFile {
        SettingsFile::load(&self.data, &self.place.own()).unwrap()
    }

    /// The log begins, or goes on.
    fn restart(&mut self) {
        drop(self.capture.take());
        let identity = self.settings().settings().data_file_id.unwrap();
        let config =
            CaptureConfig { clock: log_clock, ..CaptureConfig::new(&self.data, &self.place.at("a.journal"), identity) };
        self.capture = Some(Capture::start(config).unwrap());
    }

    /// A full backup; returns its archive.
    fn backup(&mut self) -> PathBuf {
        let mut settings = self.settings();
        let folder = backup::destination(&self.data, &settings);
        let control = Control::with_clock(Clock::new(log_clock));
        let (own, options, log) = (self.place.own(), Default::default(), self.capture.as_ref());
        backup::run(&Disk, &self.data, &mut settings, &own, &folder, log, options, &control).unwrap().archive
    }

    /// A commit, logged when this returns; its number.
    fn commit(&self, at: DateTime<Utc>) -> u64 {
        set(at);
        self.application.execute("INSERT INTO k VALUES(?1, 1)", [format!("at {at} {}", uuid::Uuid::new_v4())]).unwrap();
        self.capture.as_ref().unwrap().flush().unwrap().commit
    }

    fn restore(&self, archive: &Path, to: &str, more: &[&str]) -> (i32, String) {
        let to = self.place.at(to);
        let arguments = [&["restore", archive.to_str().unwrap(), "--to", to.to_str().unwrap()], more].concat();
        let output = self.place.program().args(arguments).env("TZ", "Europe/Zurich").output().unwrap();
        (output.status.code().unwrap(), text(&output.stdout) + &text(&output.stderr))
    }
}

fn set(now: DateTime<Utc>) {
    LOG_CLOCK.store(now.timestamp_micros(), Ordering::SeqCst);
}

#[test]
fn a_restore_up_to_the_hour_that_comes_twice_takes_the_first_says_so_and_can_be_told_the_other() {
    if !Path::new("/usr/share/zoneinfo/Europe/Zurich").exists() {
        return;
    }
    let at = |text: &str| naive(&format!("2026-10-25 {text}")).and_utc();
    let mut scene = Scene::new(at("00:00"));
    let archive = scene.backup();
    // 02:10 and 02:50 the first time, 02:10 and 02:50 the second time.
    let commits: Vec<u64> = ["00:10", "00:50", "01:10", "01:50"].map(|time| scene.commit(at(time))).to_vec();
    let (code, first) = scene.restore(&archive, "first", &["--until", "2026-10-25 02:30:00"]);
    assert_eq!(code, 0, "{first}");
    assert!(first.contains(&format!("up to commit {} of 2026-10-25 02:10:00.000 +02:00", commits[0])), "{first}");
    assert!(first.contains("The clock showed that time twice; 2026-10-25 02:30:00 +02:00 is taken"), "{first}");
    let (code, second) = scene.restore(&archive, "second", &["--until", "2026-10-25 02:30:00 +01:00"]);
    assert_eq!(code, 0, "{second}");
    assert!(second.contains(&format!("up to commit {} of 2026-10-25 02:10:00.000 +01:00", commits[2])), "{second}");
    assert!(!second.contains("twice"), "{second}");
    assert_ne!(logical_content(&scene.place.at("first/a.sqlite")), logical_content(&scene.place.at("second/a.sqlite")));
}

#[test]
fn a_moment_is_searched_by_the_time_that_the_clock_showed_and_said_where_it_showed_it_twice() {
    let begin = naive("2026-06-01 10:00").and_utc();
    let (minute, days) = (TimeDelta::minutes(1), TimeDelta::days(2));
    let mut scene = Scene::new(begin);
    let archive = scene.backup();
    let before = scene.commit(begin + minute);
    let ahead: Vec<u64> = (2..4).map(|n| scene.commit(begin + days + minute * n)).collect();
    // Right again, after a restart of the service too.
    let right: Vec<u64> = (5..8).map(|n| scene.commit(begin + minute * n)).collect();
    scene.restart();
    let last = scene.commit(begin + minute * 9);
    let restore = |scene: &Scene, archive: &Path, to: &str, until: DateTime<Utc>| {
        scene.restore(archive, to, &["--until", &until.to_rfc3339()])
    };
    // Up to now: everything is there, and what is odd is said.
    let (code, said) = restore(&scene, &archive, "now", begin + minute * 20);
    assert_eq!(code, 0, "{said}");
    assert!(said.contains(&format!("up to commit {last} of ")), "{said}");
    let odd = format!("The clock ran back: commits {} to {} bear times up to ", ahead[0], ahead[1]);
    assert!(said.contains(&odd) && !said.contains("may have been made"), "{said}");
    assert_eq!(logical_content(&scene.place.at("now/a.sqlite")), logical_content(&scene.data));
    // After the clock was right again, moments may have been shown before.
    let (code, said) = restore(&scene, &archive, "right", begin + minute * 6 + TimeDelta::seconds(30));
    assert_eq!((code, said.contains(&format!("up to commit {} of ", right[1]))), (1, true), "{said}");
    assert!(said.contains("twice, because it ran back") && said.contains("by its number"), "{said}");
    // Between the last that is certain and the first that is: commits that are left out may belong to it.
    let (code, said) = restore(&scene, &archive, "early", begin + TimeDelta::seconds(30));
    assert_eq!((code, said.contains("may have been made")), (0, false), "{said}");
    let (code, said) = restore(&scene, &archive, "doubt", begin + TimeDelta::seconds(90));
    assert_eq!((code, said.contains(&format!("up to commit {before} of "))), (1, true), "{said}");
    let expected = format!(
        "commits {} to {} may have been made before the moment wanted, and left out: the clock was ahead",
        ahead[0], ahead[1]
    );
    assert!(said.contains(&expected) && said.contains(", and not after 2026-06-01 12:05:00"), "{said}");
    assert!(said.contains(&format!("by its number: {} to {} (--commit)", ahead[0], ahead[1])), "{said}");
    let (code, said) = scene.restore(&archive, "number", &["--commit", &ahead[0].to_string()]);
    assert_eq!((code, said.contains("may have been made")), (0, false), "{said}");
    // The log of a full backup begins anew with the right time.
    set(begin + minute * 30);
    let second = scene.backup();
    let after = scene.commit(begin + minute * 31);
    scene.commit(begin + minute * 45);
    let (code, said) = restore(&scene, &second, "second", begin + minute * 40);
    assert_eq!((code, said.contains(&format!("up to commit {after} of "))), (0, true), "{said}");
    assert!(!said.contains("ran back") && !said.contains("may have been made"), "{said}");
    // From the older one on, the clock showed it twice; what comes after the second time is left out.
    let (code, said) = restore(&scene, &archive, "across", begin + minute * 40);
    assert_eq!((code, said.contains(&format!("up to commit {after} of "))), (1, true), "{said}");
    assert!(said.contains("twice, because it ran back"), "{said}");
    // When the time has come, all is right again.
    let later = begin + TimeDelta::days(3);
    let third = scene.commit(later);
    scene.commit(later + minute);
    let (code, said) = restore(&scene, &archive, "later", later + TimeDelta::seconds(5));
    assert_eq!(code, 0, "{said}");
    assert!(said.contains(&format!("up to commit {third} of ")) && !said.contains("ran back"), "{said}");
}

#[test]
fn commits_of_a_clock_that_is_still_ahead_are_offered_where_a_moment_leaves_them_out() {
    let begin = Utc::now();
    let mut scene = Scene::new(begin);
    let archive = scene.backup();
    let before = scene.commit(Utc::now());
    let ahead = scene.commit(begin + TimeDelta::days(2));
    let (code, said) = scene.restore(&archive, "moment", &["--until", &(begin + TimeDelta::hours(5)).to_rfc3339()]);
    assert_eq!((code, said.contains(&format!("up to commit {before} of "))), (1, true), "{said}");
    assert!(said.contains(&format!("commit {ahead} may have been made before the moment wanted")), "{said}");
}

#[test]
fn status_says_that_the_clock_was_ahead_or_is_behind() {
    let mut scene = Scene::new(Utc::now());
    scene.backup();
    let status = || text(&scene.place.run(&["status", scene.data.to_str().unwrap()]).stdout);
    scene.commit(Utc::now());
    assert!(!status().contains("the clock shows"), "{}", status());
    scene.commit(Utc::now() + TimeDelta::days(2));
    let said = status();
    assert!(
        said.contains("but the last commit in the log bears the time ") && said.contains("restore up to a commit"),
        "{said}"
    );
    // Set right again, it is warned of as long as moments come twice.
    scene.commit(Utc::now());
    let said = status();
    assert!(
        said.contains("but a commit in the log bears the time ") && said.contains("restore up to a commit"),
        "{said}"
    );
    std::thread::sleep(Duration::from_millis(1));
    // A service, which knows the real time, warns as well.
    drop(scene.capture.take());
    let mut service = support::engine::serve(&scene.place, &scene.data);
    let handle = text(&scene.place.run(&["status", scene.data.to_str().unwrap()]).stdout);
    service.kill().unwrap();
    service.wait().unwrap();
    assert!(handle.contains("the clock was ahead, or is behind"), "{handle}");
}

/// As on a machine without a battery, until the network tells the time.
#[test]
fn a_full_backup_made_while_the_clock_was_behind_does_not_stand_for_what_was_before_it() {
    let begin = naive("2026-06-01 10:00").and_utc();
    let at = |minutes: i64| begin + TimeDelta::minutes(minutes);
    let mut scene = Scene::new(begin);
    scene.backup();
    scene.commit(at(1));
    let wanted = logical_content(&scene.data);
    scene.commit(at(5));
    set(at(-60));
    let second = scene.backup();
    scene.commit(at(10));
    let (data, until) = (scene.data.clone(), at(3).to_rfc3339());
    let restored = |scene: &Scene, what: &Path, to: &str| {
        let (code, said) = scene.restore(what, to, &["--until", &until]);
        assert_eq!(code, 1, "{said}");
        (logical_content(&scene.place.at(to).join("a.sqlite")) == wanted, said)
    };
    let (is_right, said) = restored(&scene, &data, "found");
    assert!(is_right && said.contains("may have been made before the moment wanted"), "{said}");
    let too_late = "what was restored may hold commits made after the moment wanted";
    let (is_right, said) = restored(&scene, &second, "named");
    assert!(!is_right && said.contains(too_late), "{said}");
    // The older one alone does not lead there.
    let folders = [scene.place.at("Backups"), scene.place.folder.path().to_path_buf()];
    let files = folders.iter().flat_map(|folder| std::fs::read_dir(folder).unwrap()).map(|entry| entry.unwrap().path());
    let older = files.filter(|path| path.to_string_lossy().ends_with(".4BK") && *path != second);
    older.for_each(|path| std::fs::remove_file(path).unwrap());
    let (is_right, said) = restored(&scene, &data, "without the older ones");
    assert!(!is_right && said.contains(too_late), "{said}");
    // What is later than all of it is not in doubt.
    let (code, said) = scene.restore(&second, "later", &["--until", &at(7).to_rfc3339()]);
    assert_eq!(code, 0, "{said}");
}

#[test]
fn a_moment_that_the_clock_showed_before_and_after_the_only_archive_is_in_doubt_unless_that_was_named() {
    let begin = naive("2026-06-01 10:00").and_utc();
    let at = |minutes: i64| begin + TimeDelta::minutes(minutes);
    let mut scene = Scene::new(begin);
    let first = scene.backup();
    (1..4).for_each(|minute| _ = scene.commit(at(minute)));
    scene.commit(at(-59));
    set(at(-58));
    let second = scene.backup();
    scene.commit(at(-50));
    scene.commit(at(-20));
    std::fs::remove_file(first).unwrap();
    let (data, until) = (scene.data.clone(), at(-30).to_rfc3339());
    let (code, said) = scene.restore(&data, "found", &["--until", &until]);
    assert!(code == 1 && said.contains("twice: it ran back before the archive was made"), "{said}");
    let (code, said) = scene.restore(&second, "named", &["--until", &until]);
    assert!(code == 0 && !said.contains("ran back"), "{said}");
}

/// As a virtual machine is whose archives lie elsewhere.
#[test]
fn between_an_older_state_that_was_put_back_and_that_an_archive_tells_of_another_past() {
    let begin = naive("2026-06-01 10:00").and_utc();
    let at = |minutes: i64| begin + TimeDelta::minutes(minutes);
    let mut scene = Scene::new(begin);
    scene.backup();
    scene.commit(at(1));
    scene.commit(at(2));
    drop(scene.capture.take());
    // Nobody has it open.
    scene.application = rusqlite::Connection::open_in_memory().unwrap();
    let kept = ["a.sqlite", "a.journal", "a.journal.pages"].map(|name| scene.place.at(name));
    let older = kept.clone().map(|path| std::fs::read(path).unwrap());
    scene.application = rusqlite::Connection::open(&scene.data).unwrap();
    scene.restart();
    scene.commit(at(3));
    scene.commit(at(4));
    let lost = scene.backup();
    assert!(scene.commit(at(5)) == 5 && lost.exists());
    drop(scene.capture.take());
    scene.application = rusqlite::Connection::open_in_memory().unwrap();
    // The log of that time lay on the same disk.
    std::fs::remove_file(scene.place.at("a[0002].4BL")).unwrap();
    kept.iter().zip(&older).for_each(|(path, bytes)| std::fs::write(path, bytes).unwrap());
    set(at(20));
    scene.application = rusqlite::Connection::open(&scene.data).unwrap();
    scene.restart();
    scene.commit(at(21));
    for (minutes, code) in [(1, 0), (3, 1)] {
        let until = (at(minutes) + TimeDelta::seconds(30)).to_rfc3339();
        let (found, said) = scene.restore(&scene.data, &format!("{minutes}"), &["--until", &until]);
        assert_eq!((found, said.contains("belongs to another past")), (code, code == 1), "{said}");
    }
}

#[test]
fn what_a_place_on_the_timeline_means_is_what_is_restored() {
    let begin = naive("2026-06-01 10:00").and_utc();
    let at = |seconds: i64| begin + TimeDelta::seconds(seconds);
    let mut scene = Scene::new(begin);
    let first = scene.backup();
    // Two at one moment; one while the clock was an hour ahead; then right again, and over a full backup.
    let mut made: Vec<(u64, i64, _)> = Vec::new();
    for seconds in [1, 5, 5, 9, 3600, 12, 14] {
        made.push((scene.commit(at(seconds)), seconds, logical_content(&scene.data)));
    }
    set(at(16));
    let second = scene.backup();
    for seconds in [20, 20, 25] {
        made.push((scene.commit(at(seconds)), seconds, logical_content(&scene.data)));
    }
    let span = Span { from: at(0), to: at(30), columns: 30 };
    let (logs, origin) = (Logs::Found, Origin::default());
    let last = made.last().unwrap().0;
    for archive in [&first, &second] {
        let found = timeline(archive, &[], (&logs, &origin), Some(span)).unwrap();
        let [band] = &found.bands[..] else { panic!("{found:?}") };
        assert_eq!((band.to.commit, band.breaks, band.extent.1), (last, false, at(3600)));
        // Archives 1 to 3; the log began after the first one.
        let cuts: Vec<Option<u64>> = found.archives.iter().map(|mark| mark.on_band).collect();
        assert_eq!(cuts, [None, Some(made[0].0 - 1), Some(made[6].0)], "{found:?}");
        assert!(found.archives[1..].iter().map(|mark| &mark.archive).eq([&first, &second]));
        for (column, seconds) in (0..30).zip(0i64..) {
            let meant = found.density.meant(column, 0).map(|spot| spot.commit);
            let here: Vec<u64> = made.iter().filter(|one| one.1 == seconds).map(|one| one.0).collect();
            if let Some(here) = here.last() {
                assert_eq!(meant, Some(*here), "second {seconds}");
                continue;
            }
            // Between two commits: as a moment that is typed.
            let moment = Until::Moment(at(seconds) + TimeDelta::milliseconds(999));
            let point = find_point(&first, &[], (&logs, &origin), moment, Look::Records).unwrap();
            assert_eq!(meant, point.time.map(|_| point.commit), "second {seconds}");
        }
    }
    // On one side of a mark and on the other, to a microsecond.
    let edge = |micros: i64| {
        let span = Span { from: at(5) + TimeDelta::microseconds(micros), to: at(6), columns: 1 };
        timeline(&first, &[], (&logs, &origin), Some(span)).unwrap().density
    };
    assert_eq!((edge(0).before.map(|spot| spot.commit), edge(0).columns[0].commits), (Some(made[0].0), 2));
    assert_eq!((edge(1).before.map(|spot| spot.commit), edge(1).columns.len()), (Some(made[2].0), 0));
    // What is meant is restored: after the second of two at one moment, with the clock ahead, and after that.
    for nth in [1, 2, 4, 5, 9] {
        let (commit, _, content) = &made[nth];
        let to = format!("commit {commit}");
        let (code, said) = scene.restore(&first, &to, &["--commit", &commit.to_string()]);
        assert_eq!(code, 0, "{said}");
        assert_eq!(&logical_content(&scene.place.at(&format!("{to}/a.sqlite"))), content, "{said}");
    }
}

#[test]
fn a_time_when_nobody_watched_and_a_damaged_log_are_told_where_they_are() {
    let begin = naive("2026-06-01 10:00").and_utc();
    let at = |minutes: i64| begin + TimeDelta::minutes(minutes);
    let mut scene = Scene::new(begin);
    let first = scene.backup();
    scene.commit(at(1));
    drop(scene.capture.take());
    set(at(20));
    scene.application.execute("INSERT INTO k VALUES('unwatched', 1)", []).unwrap();
    scene.restart();
    let caught = scene.capture.as_ref().unwrap().flush().unwrap().commit;
    for minutes in 21..31 {
        scene.commit(at(minutes));
    }
    set(at(40));
    let second = scene.backup();
    let last = scene.commit(at(50));
    let span = Some(Span { from: begin, to: at(60), columns: 60 });
    let look = |archive: &Path| timeline(archive, &[], (&Logs::Found, &Origin::default()), span).unwrap();
    let found = look(&second);
    let [band] = &found.bands[..] else { panic!("{found:?}") };
    let [stretch] = band.catch_ups[..] else { panic!("{found:?}") };
    assert_eq!((stretch.commit, stretch.from, stretch.to), (caught, at(1), at(20)));
    assert!(!band.breaks && band.archive == first && band.to.commit == last);
    // What lies within counts as one commit: nobody can go to a place between.
    let within = found.density.span.column_of(at(10)).unwrap();
    assert_eq!(found.density.meant(within, 0).map(|spot| spot.commit), Some(caught - 1));

    // The log between both archives was cut off: what leads from the first one ends there, and the second goes on.
    let folders = [scene.place.at("Backups"), scene.place.folder.path().to_path_buf()];
    let files = folders.iter().flat_map(|folder| std::fs::read_dir(folder).unwrap()).map(|entry| entry.unwrap().path());
    let log = files.filter(|path| path.to_string_lossy().ends_with("[0002].4BL")).last();
    let log = log.unwrap_or_else(|| panic!("{folders:?}"));
    let mut bytes = std::fs::read(&log).unwrap();
    bytes.truncate(bytes.len() / 2);
    std::fs::write(&log, bytes).unwrap();
    let found = look(&second);
    let [lost, band] = &found.bands[..] else { panic!("{found:?}") };
    assert!(lost.breaks && lost.archive == first && lost.extent.1 < at(40), "{lost:?}");
    assert_eq!((&band.archive, band.to.commit, band.breaks), (&second, last, false));
    let cuts: Vec<bool> = found.archives.iter().map(|mark| mark.on_band.is_some()).collect();
    assert_eq!(cuts, [false, false, true], "no commit after the damage is promised with an archive before it");
}
