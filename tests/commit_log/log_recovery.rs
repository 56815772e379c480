//! Damage to archived logs: repaired through their recovery data, and without it the chain ends where the damage is.

use crate::support;

use std::{
    fs,
    path::{Path, PathBuf},
};

use strongroom::{
    archive::{ArchiveOptions, Rate, log_recovery},
    control::Control,
    drill,
    engine::{Command, JobId, status::JobReport},
    error::ErrorKind,
    journal::integrate::{PlanEnd, Until},
    restore::{self, Logs, RestoreOptions, RestoreReport},
    storage::{Disk, Storage, beneath::Folder},
};
use support::{
    Content, Fault, FaultyDisk, Place,
    engine::{engine, finished, open_with_log},
    logical_content, make_data_file, names_in,
};

/// Two archives, the log between them, and the one that runs.
struct Sample {
    place: Place,
    first: PathBuf,
    log: PathBuf,
    good: Vec<u8>,
    wanted: Content,
}

impl Sample {
    fn new(redundancy: Rate) -> Self {
        Self::with(redundancy, 900)
    }

    /// Each commit adds so many bytes.
    fn with(redundancy: Rate, commit_bytes: u32) -> Self {
        let place = Place::new();
        let data = place.at("a.sqlite");
        let conn = make_data_file(&data, "PRAGMA journal_mode=WAL", 300);
        let running = place.at("Backups/a.journal");
        fs::create_dir(place.at("Backups")).unwrap();
        let engine = engine(&place);
        let handle = engine.handle();
        open_with_log(&handle, &data, &running);
        let backup = || {
            let job = JobId::new();
            let options = Some(ArchiveOptions { redundancy, ..ArchiveOptions::default() });
            handle.send(Command::Backup { job, data_file: data.clone(), destination: None, options }).unwrap();
            match finished(&handle, job) {
                JobReport::Backup(report) => report,
                other => panic!("{other:?}"),
            }
        };
        let commits = |from: i64, to: i64| {
            for n in from..to {
                let sql = format!("INSERT INTO t(a,b,c) VALUES(?1,randomblob({commit_bytes}),1.5)");
                conn.execute(&sql, [format!("commit {n}")]).unwrap();
            }
        };
        let first = backup().archive;
        commits(0, 60);
        let second = backup();
        assert_eq!(second.problem().map(|e| e.to_string()), None);
        commits(60, 70);
        drop(engine);
        let wanted = logical_content(&data);
        let log = second.archived_log.unwrap();
        let good = fs::read(&log).unwrap();
        Self { place, first, log, good, wanted }
    }

    fn restore(&self) -> (RestoreReport, Content) {
        let to = self.place.at("to");
        let report = restore::run(&Disk, &self.first, &RestoreOptions::all(&to), &Control::default()).unwrap();
        let content = logical_content(&to.join("a.sqlite"));
        fs::remove_dir_all(to).unwrap();
        (report, content)
    }

    fn comes_back(&self, name: &str, damaged: &[u8]) {
        fs::write(&self.log, damaged).unwrap();
        let (report, content) = self.restore();
        assert_eq!(report.repaired_logs, [self.log.as_path()], "{name}");
        let (scratch, mut note) = (self.place.at("scratch"), |found| panic!("{name}: {found:?}"));
        fs::create_dir_all(&scratch).unwrap();
        let of = (self.first.as_path(), &[][..]);
        let proof = drill::examine(of, Logs::Found, Until::End, &scratch, &mut note, &Control::default()).unwrap();
        assert_eq!(proof.repaired_logs, [self.log.as_path()], "{name}: a proof that hides what was damaged");
        assert_eq!(report.problem().map(|e| e.to_string()), None, "{name}");
        assert!(content == self.wanted, "{name}: {content:?}");
        let plan = restore::plan(&self.first, &restore::Logs::Found).unwrap().log.unwrap();
        assert!(plan.pieces.iter().any(|piece| piece.path == self.log), "{name}: named as people know it");
        assert!(fs::read(&self.log).unwrap() == damaged, "{name}: the log is not touched");
    }
}

fn at(log: &Path) -> PathBuf {
    log_recovery::companion(log)
}

#[test]
fn a_damaged_log_comes_back_through_its_recovery_data() {
    let sample = Sample::new(Rate::Medium);
    let good = &sample.good;
    assert!(at(&sample.log).ends_with("a[0001].4BL.recovery") && good.len() > 50_000);
    let (report, content) = sample.restore();
    assert!(report.repaired_logs.is_empty() && content == sample.wanted);
    let stretch = good.len() / 10 - 2048;
    let filled = |from: usize, length: usize| {
        let mut bytes = good.clone();
        // Every byte another one, whatever it was.
        bytes[from..from + length].iter_mut().for_each(|byte| *byte = !*byte);
        bytes
    };
    let mut reader = strongroom::journal::reader::LogReader::open(&sample.log).unwrap();
    while reader.next_record().unwrap().is_some() {}
    let records = reader.tail().length as usize;
    sample.comes_back("the header", &filled(0, 192));
    sample.comes_back("one byte", &filled(good.len() / 2, 1));
    sample.comes_back("a stretch", &filled(good.len() / 3, stretch));
    sample.comes_back("the last record", &filled(records - 100, 100));
    sample.comes_back("the beginning is missing", &good[stretch..]);
    sample.comes_back("the end is missing", &good[..good.len() - stretch]);
    let mut inserted = good.clone();
    inserted.splice(5000..5000, [1, 2, 3]);
    sample.comes_back("bytes inserted", &inserted);
    // Cut exactly after a record it looks whole, and only its length tells.
    let mut reader = strongroom::journal::reader::LogReader::open(&{
        fs::write(&sample.log, good).unwrap();
        sample.log.clone()
    })
    .unwrap();
    let mut ends = Vec::new();
    while let Some(record) = reader.next_record().unwrap() {
        ends.push(record.end as usize);
    }
    sample.comes_back("cut after a record", &good[..ends[ends.len() - 3]]);
    // Its recovery data damaged too, as far as the promise goes.
    let recovery = fs::read(at(&sample.log)).unwrap();
    let mut both = recovery.clone();
    both[..3000].fill(0);
    fs::write(at(&sample.log), both).unwrap();
    sample.comes_back("both", &filled(good.len() / 2, 1));
}

/// How long it is must not matter: of a long one the companion is far shorter than what it belongs to.
#[test]
fn logs_of_every_length_get_recovery_data_at_every_rate() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("a[0001].4BL");
    let mut state = 1u64;
    let mut content = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33).to_le_bytes()
    };
    for length in [1_000, 70_000, 2_400_000, 2_700_000, 9_000_000] {
        let good: Vec<u8> = std::iter::repeat_with(&mut content).flatten().take(length).collect();
        for redundancy in [Rate::Low, Rate::Medium, Rate::High] {
            for interlacing in [Rate::None, Rate::Low, Rate::Medium, Rate::High] {
                let name = format!("{length} bytes, {redundancy:?}, {interlacing:?}");
                fs::write(&log, &good).unwrap();
                let options = ArchiveOptions { redundancy, interlacing, ..ArchiveOptions::default() };
                let made = log_recovery::protect(&Disk, &log, uuid::Uuid::nil(), options, &Control::default());
                assert_eq!(made.expect(&name), Some(at(&log)), "{name}");
                assert!(!log_recovery::is_cut(&log), "{name}");
                // A log of which next to nothing is left is known to be cut as well.
                for left in [length - 1, 10, 0] {
                    fs::write(&log, &good[..left]).unwrap();
                    assert!(log_recovery::is_cut(&log), "{name}: {left}");
                }
                fs::write(&log, &good[..length - 1]).unwrap();
                let scratch = tempfile::tempdir_in(folder.path()).unwrap();
                let into = Folder::open(scratch.path()).unwrap();
                let (copy, _) = log_recovery::heal_log(&log, &into, &Control::default()).unwrap().expect(&name);
                assert!(fs::read(copy).unwrap() == good, "{name}");
                // Its first frames damaged, the others tell.
                let mut companion = fs::read(at(&log)).unwrap();
                let half = companion.len() / 2;
                companion[..half].fill(0);
                fs::write(at(&log), companion).unwrap();
                assert!(log_recovery::is_cut(&log), "{name}");
                Disk.remove(&at(&log)).unwrap();
            }
        }
    }
}

/// A copy lies in a scratch folder beside the archive; whoever may write there could put a link in its place.
#[cfg(unix)]
#[test]
fn a_repaired_copy_is_written_into_the_folder_that_is_held() {
    let place = tempfile::tempdir().unwrap();
    let at = |name: &str| place.path().join(name);
    let log = at("a[0001].4BL");
    fs::write(&log, vec![7; 100_000]).unwrap();
    let options = ArchiveOptions { redundancy: Rate::Low, ..ArchiveOptions::default() };
    log_recovery::protect(&Disk, &log, uuid::Uuid::nil(), options, &Control::default()).unwrap();
    fs::write(&log, vec![7; 99_999]).unwrap();
    fs::create_dir(at("scratch")).unwrap();
    fs::create_dir(at("outside")).unwrap();
    let into = Folder::open(&at("scratch")).unwrap();
    fs::rename(at("scratch"), at("moved")).unwrap();
    std::os::unix::fs::symlink(at("outside"), at("scratch")).unwrap();
    let error = log_recovery::heal_log(&log, &into, &Control::default()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Replaced, "{error}");
    assert_eq!(names_in(&at("outside")), Vec::<String>::new());
    assert_eq!(fs::read(at("moved/a[0001].4BL")).unwrap(), vec![7; 100_000]);
}

#[test]
fn a_backup_with_a_long_log_ends_without_problems_and_the_log_comes_back() {
    // With Low the companion of four megabytes is a twentieth of it.
    let sample = Sample::with(Rate::Low, 70_000);
    assert!(sample.good.len() > 4_000_000);
    let mut damaged = sample.good.clone();
    damaged[3_000_000..3_050_000].fill(0);
    sample.comes_back("a long one", &damaged);
    sample.comes_back("its end is missing", &sample.good[..sample.good.len() - 50_000]);
}

#[test]
fn without_recovery_data_the_chain_ends_at_the_damage_and_says_how_far_it_goes() {
    for redundancy in [Rate::None, Rate::Low] {
        let sample = Sample::new(redundancy);
        assert_eq!(at(&sample.log).exists(), redundancy != Rate::None);
        let mut bytes = sample.good.clone();
        let from = bytes.len() / 2;
        // Far more than Low repairs.
        bytes[from..from + sample.good.len() / 4].fill(0);
        fs::write(&sample.log, &bytes).unwrap();
        let (report, content) = sample.restore();
        assert!(report.repaired_logs.is_empty());
        let Some(PlanEnd::Damaged { path, offset }) = &report.log_end else { panic!("{:?}", report.log_end) };
        assert!(*path == sample.log && *offset <= from as u64);
        let problem = report.problem().unwrap();
        assert_eq!(problem.kind(), ErrorKind::Damaged);
        assert!(problem.message().contains("what came after could not be integrated"), "{problem}");
        let integrated = report.integrated.unwrap();
        assert!(integrated.commits > 5 && integrated.commits < 40, "{integrated:?}");
        assert!(content != sample.wanted);
    }
}

#[test]
fn recovery_data_of_a_log_is_complete_or_not_there() {
    let sample = Sample::new(Rate::None);
    let options = ArchiveOptions { redundancy: Rate::High, ..ArchiveOptions::default() };
    let id = uuid::Uuid::nil();
    for fault in [Fault::Crash, Fault::CrashHalfWritten, Fault::DiskFull] {
        for step in 0.. {
            let disk = FaultyDisk::new(step, fault);
            let made = log_recovery::protect(&disk, &sample.log, id, options, &Control::default());
            let there = at(&sample.log).exists();
            assert!(there || made.is_err());
            if there {
                let mut damaged = sample.good.clone();
                damaged[300] ^= 1;
                sample.comes_back("after a crash", &damaged);
                fs::write(&sample.log, &sample.good).unwrap();
                Disk.remove(&at(&sample.log)).unwrap();
            }
            if made.is_ok() {
                assert_eq!(step, disk.steps());
                break;
            }
        }
    }
    assert!(names_in(&sample.place.at("Backups")).iter().all(|n| !n.ends_with(".part")));
    // A file of that name is never overwritten.
    fs::write(at(&sample.log), "mine").unwrap();
    let error = log_recovery::protect(&Disk, &sample.log, id, options, &Control::default()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Exists);
    assert_eq!(fs::read(at(&sample.log)).unwrap(), b"mine");
    let (report, content) = sample.restore();
    assert!(report.repaired_logs.is_empty() && content == sample.wanted);
}

#[test]
fn an_archive_is_proven_restorable_up_to_a_random_commit_and_that_is_remembered() {
    let sample = Sample::new(Rate::Low);
    let data = sample.place.at("a.sqlite");
    let before = {
        let engine = engine(&sample.place);
        let handle = engine.handle();
        handle.send(Command::OpenDataFile { path: data.clone() }).unwrap();
        support::engine::until(&handle, |s| s.data_file(&data).is_some_and(|d| d.archives.len() == 2));
        let mut commits = std::collections::BTreeSet::new();
        for seed in 0..8 {
            let job = JobId::new();
            handle.send(Command::Drill { job, data_file: data.clone(), seed }).unwrap();
            let JobReport::TestRestore(proof) = finished(&handle, job) else { panic!("no proof") };
            commits.insert((proof.number, proof.commit));
            let status = handle.status();
            assert_eq!(status.proven.iter().find(|p| p.data_file_id == proof.data_file_id), Some(&proof));
        }
        assert!(commits.len() > 4, "archives and commits are drawn at random: {commits:?}");
        handle.status().proven.clone()
    };
    assert_eq!(before.len(), 2, "the last proof of each archive");
    let engine = engine(&sample.place);
    let after = engine.handle().status().proven.clone();
    let plain = |proofs: &[strongroom::drill::Proof]| {
        proofs.iter().map(|p| (p.archive_id, p.proven.timestamp_millis(), p.commit)).collect::<Vec<_>>()
    };
    assert_eq!(plain(&after), plain(&before));
    assert!(names_in(&sample.place.own().join("strongroom")).iter().all(|n| !n.starts_with(".strongroom-scratch-")));
    // An archive that cannot be restored is not proven.
    let handle = engine.handle();
    let mut bytes = fs::read(&sample.first).unwrap();
    let half = bytes.len() / 2;
    bytes[1000..half].fill(0);
    fs::write(&sample.first, bytes).unwrap();
    let job = JobId::new();
    handle
        .send(Command::TestRestore {
            job,
            archive: sample.first.clone(),
            until: strongroom::journal::integrate::Until::End,
            segments: vec![],
        })
        .unwrap();
    let status = support::engine::until(&handle, |s| s.finished_job(job).is_some());
    assert_eq!(status.finished_job(job).unwrap().result.as_ref().unwrap_err().kind, ErrorKind::Damaged);
    // What was proven before is so no more.
    let others: Vec<_> = before.iter().filter(|proof| proof.archive != sample.first).cloned().collect();
    assert_eq!((plain(&status.proven), others.len()), (plain(&others), 1));
}
