//! Archives in segments, and every way to store one, beside the tools that need no Strongroom.

use crate::support;

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    sync::Mutex,
};

use strongroom::{
    archive::{
        Archive, ArchiveNumber, ArchiveOptions, Compression, Rate, catalog, format, heal, segments::parse_segment_name,
        writer::OnFull,
    },
    backup,
    control::Control,
    error::{Error, ErrorKind, Result},
    repair::{self, RepairOptions},
    restore::{self, RestoreOptions},
    settings::SettingsFile,
    storage::{Disk, Ownership, Storage, StorageFile},
    verify::{self, VerifyOptions},
};
use support::{Fault, FaultyDisk, Place, has, make_data_file, names_in, text};

const MB: u64 = 1 << 20;

fn segments(mb: u64, redundancy: Rate) -> ArchiveOptions {
    ArchiveOptions {
        segment_bytes: Some(mb * MB),
        compression: Compression::None,
        redundancy,
        ..ArchiveOptions::default()
    }
}

fn restored(archive: &Path, to: &Path, folders: &[PathBuf]) -> Result<Vec<u8>> {
    let options = RestoreOptions { segments: folders.to_vec(), ..RestoreOptions::all(to) };
    restore::run(&Disk, archive, &options, &Control::default())?;
    let bytes = fs::read(to.join("a.sqlite")).unwrap();
    fs::remove_dir_all(to).unwrap();
    Ok(bytes)
}

fn verified(archive: &Path, folders: &[PathBuf]) -> Result<verify::VerifyReport> {
    verify::run_with(
        archive,
        &VerifyOptions { segments: folders.to_vec(), ..VerifyOptions::default() },
        &Control::default(),
    )
}

#[test]
fn zstd_and_tar_restore_every_setting_without_us() {
    if !has("zstd") || !has("tar") {
        return;
    }
    let place = Place::new();
    let data = place.at("a.sqlite");
    make_data_file(&data, "PRAGMA journal_mode=DELETE", 40_000);
    let wanted = fs::read(&data).unwrap();
    assert!(wanted.len() as u64 > 6 * MB);
    for compression in Compression::ALL {
        for (redundancy, interlacing) in
            [(Rate::None, Rate::None), (Rate::Low, Rate::High), (Rate::Medium, Rate::Medium), (Rate::High, Rate::Low)]
        {
            for segment_bytes in [None, Some(MB), Some(5 * MB)] {
                let options = ArchiveOptions { segment_bytes, compression, interlacing, redundancy, sign: false };
                let report = place.backup_stored(&Disk, &data, options).unwrap();
                let to = place.at("by hand");
                fs::create_dir(&to).unwrap();
                let pattern = match segment_bytes {
                    None => format!("a[[]{}].4BK", report.number),
                    Some(_) => format!("a[[]{}-*.4BK", report.number),
                };
                let script = format!("cat {pattern} | zstd -dc | tar x -C \"$1\"; cat {pattern} | zstd -tq");
                let mut command = Command::new("sh");
                command.arg("-ec").arg(script).arg("sh").arg(&to);
                let output = command.current_dir(report.archive.parent().unwrap()).output().unwrap();
                let said = text(&output.stderr);
                assert!(output.status.success() && said.is_empty(), "{options:?}: {said}");
                assert!(fs::read(to.join("a.sqlite")).unwrap() == wanted, "{options:?}");
                let manifest = fs::read_to_string(to.join("strongroom-manifest.toml")).unwrap();
                assert!(manifest.contains("zstd -dc"), "{manifest}");
                fs::remove_dir_all(&to).unwrap();
                verify::run(&report.archive, &Control::default()).unwrap();
                assert!(restored(&report.archive, &place.at("to"), &[]).unwrap() == wanted);
                let identity = Archive::glance(&report.archive).unwrap();
                assert_eq!(identity.options(), options);
                let lengths = report.files.iter().map(|f| f.metadata().unwrap().len());
                assert_eq!(lengths.clone().sum::<u64>(), report.bytes);
                match segment_bytes {
                    None => assert_eq!(report.files, [report.archive.as_path()]),
                    Some(limit) => {
                        assert!(lengths.clone().all(|length| length <= limit), "{options:?}");
                        assert!(compression != Compression::None || lengths.len() as u64 > wanted.len() as u64 / limit);
                    }
                }
            }
        }
    }
}

#[test]
fn a_set_is_one_archive_in_the_list_and_each_segment_leads_to_all() {
    let place = Place::new();
    let data = place.at("a.sqlite");
    make_data_file(&data, "PRAGMA journal_mode=DELETE", 30_000);
    let plain = place.backup(&data).unwrap();
    let set = place.backup_stored(&Disk, &data, segments(2, Rate::None)).unwrap();
    let folder = backup::default_destination(&data);
    let names = names_in(&folder);
    assert!(set.files.len() > 2 && names.len() == 1 + set.files.len(), "{names:?}");
    assert_eq!(set.archive, folder.join("a[0002-0001].4BK"));
    let listed = catalog::list(&folder, Some("a")).unwrap();
    assert_eq!(listed.iter().map(|e| e.path.clone()).collect::<Vec<_>>(), [set.archive.clone(), plain.archive]);
    assert!(listed[0].segmented && listed[0].files == set.files && listed[0].problem.is_none());
    assert_eq!((listed[0].bytes, listed[0].data_bytes), (set.bytes, set.data_bytes));
    let wanted = fs::read(&data).unwrap();
    for segment in &set.files {
        assert!(restored(segment, &place.at("to"), &[]).unwrap() == wanted);
    }
    // Joined, they are an archive in one file.
    let joined = place.at("joined.4BK");
    fs::write(&joined, set.files.iter().flat_map(|f| fs::read(f).unwrap()).collect::<Vec<u8>>()).unwrap();
    assert!(restored(&joined, &place.at("to"), &[]).unwrap() == wanted);
    verified(&joined, &[]).unwrap();
    // Numbers go on above those of segments.
    assert_eq!(place.backup(&data).unwrap().number.0, 3);
}

#[test]
fn segments_elsewhere_are_found_in_the_folders_given_and_missing_ones_are_named() {
    let place = Place::new();
    let data = place.at("a.sqlite");
    make_data_file(&data, "PRAGMA journal_mode=DELETE", 30_000);
    let wanted = fs::read(&data).unwrap();
    let set = place.backup_stored(&Disk, &data, segments(2, Rate::None)).unwrap();
    assert!(set.files.len() >= 4);
    let other = place.at("other");
    fs::create_dir(&other).unwrap();
    let moved = |n: usize| other.join(set.files[n - 1].file_name().unwrap());
    let set_name = set.archive.with_file_name("a[0001]").display().to_string();
    fs::rename(&set.files[1], moved(2)).unwrap();
    let says = |expected: &str| {
        let expected = expected.replace("SET", &set_name);
        for error in
            [verified(&set.files[2], &[]).unwrap_err(), restored(&set.files[2], &place.at("to"), &[]).unwrap_err()]
        {
            assert_eq!((error.kind(), error.to_string()), (ErrorKind::NotFound, expected.clone()));
            assert!(error.hint_text().unwrap().contains("--segments"));
        }
    };
    says("segment 0002 of SET is missing");
    assert!(restored(&set.files[2], &place.at("to"), std::slice::from_ref(&other)).unwrap() == wanted);
    let listed = catalog::list(set.archive.parent().unwrap(), None).unwrap();
    assert_eq!(listed[0].problem.as_ref().unwrap().message, format!("segment 0002 of {set_name} is missing"));
    assert!(listed[0].moment.is_some(), "what it is, is said all the same");
    fs::rename(&set.files[0], moved(1)).unwrap();
    says("segments 0001, 0002 of SET are missing");
    let last = set.files.len();
    fs::rename(&set.files[last - 1], moved(last)).unwrap();
    fs::rename(moved(1), &set.files[0]).unwrap();
    fs::rename(moved(2), &set.files[1]).unwrap();
    says(&format!("segment {last:04}, or one after it, of SET is missing"));
    verified(&moved(last), &[set.archive.parent().unwrap().to_path_buf()]).unwrap();
    // A segment of another set under the name of this one is not taken for it.
    let again = place.backup_stored(&Disk, &data, segments(2, Rate::None)).unwrap();
    fs::remove_file(moved(last)).unwrap();
    fs::copy(&again.files[last - 1], &set.files[last - 1]).unwrap();
    says(&format!("segment {last:04}, or one after it, of SET is missing"));
}

#[test]
fn a_missing_or_damaged_segment_comes_back_where_recovery_data_is_enough() {
    let place = Place::new();
    let data = place.at("a.sqlite");
    make_data_file(&data, "PRAGMA journal_mode=DELETE", 60_000);
    let wanted = fs::read(&data).unwrap();
    let set = place.backup_stored(&Disk, &data, segments(1, Rate::High)).unwrap();
    let identity = Archive::glance(&set.archive).unwrap();
    let promised = identity.options().guarantee(set.bytes).unwrap().stretch_bytes;
    assert!(promised > MB && wanted.len() as u64 > 8 * MB, "{promised}");
    let good: Vec<Vec<u8>> = set.files.iter().map(|f| fs::read(f).unwrap()).collect();
    let count = set.files.len();
    let check = |name: String, segment: &Path| {
        let report = verified(segment, &[]).unwrap_or_else(|e| panic!("{name}: {e}"));
        assert!(report.problem().is_some(), "{name}");
        assert!(restored(segment, &place.at("to"), &[]).unwrap() == wanted, "{name}");
        let copy = place.at("copy.4BK");
        let options = RepairOptions { to: Some(copy.clone()), segments: vec![] };
        let repaired = repair::run(&Disk, segment, &options, &Control::default()).unwrap().repaired.unwrap();
        assert_eq!(verified(&copy, &[]).unwrap().damage, None, "{name}");
        assert!(restored(&copy, &place.at("to"), &[]).unwrap() == wanted, "{name}");
        fs::remove_file(copy).unwrap();
        repaired
    };
    for n in [0, 1, count / 2, count - 2, count - 1] {
        fs::remove_file(&set.files[n]).unwrap();
        let from = &set.files[if n == 0 { 1 } else { 0 }];
        let repaired = check(format!("segment {} missing", n + 1), from);
        if n + 1 < count {
            assert_eq!(repaired.missing_segments, [n as u32 + 1]);
        }
        fs::write(&set.files[n], &good[n][..good[n].len() / 2]).unwrap();
        check(format!("segment {} cut", n + 1), from);
        fs::write(&set.files[n], vec![0; good[n].len()]).unwrap();
        check(format!("segment {} zeroed", n + 1), from);
        fs::write(&set.files[n], [&good[n][..50], b"stray", &good[n][50..]].concat()).unwrap();
        check(format!("segment {} shifted", n + 1), from);
        fs::write(&set.files[n], &good[n]).unwrap();
    }
    // Far more than is promised: named, and nothing delivered.
    for n in 1..9 {
        fs::remove_file(&set.files[n]).unwrap();
    }
    let error = verified(&set.archive, &[]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    assert!(
        error.to_string().contains("segments 0002, 0003, 0004, 0005, 0006, 0007, 0008, 0009 are missing"),
        "{error}"
    );
    assert!(restored(&set.archive, &place.at("to"), &[]).is_err());
}

/// Also of those that hold nothing but recovery data: a set in which one head is damaged cannot be joined by others
/// any more.
#[test]
fn every_byte_of_the_start_of_a_segment_is_proven() {
    let place = Place::new();
    let data = place.at("a.sqlite");
    make_data_file(&data, "PRAGMA journal_mode=DELETE", 30_000);
    let wanted = fs::read(&data).unwrap();
    for redundancy in [Rate::None, Rate::High] {
        let set = place.backup_stored(&Disk, &data, segments(1, redundancy)).unwrap();
        let last = set.files.len() - 1;
        assert!(last > 3);
        for segment in [0, 1, last / 2, last] {
            let file = &set.files[segment];
            let good = fs::read(file).unwrap();
            for at in [0, 3, 5, 8, 16, 20, 40] {
                let mut bytes = good.clone();
                bytes[at] ^= 0x11;
                fs::write(file, &bytes).unwrap();
                let name = format!("{redundancy:?} {} byte {at}", file.display());
                let report = verified(&set.archive, &[]);
                if redundancy == Rate::None {
                    assert!(report.is_err(), "{name}");
                    continue;
                }
                assert!(report.unwrap().problem().is_some(), "{name}");
                if at != 16 {
                    continue;
                }
                let copy = place.at("copy.4BK");
                let options = RepairOptions { to: Some(copy.clone()), segments: vec![] };
                repair::run(&Disk, &set.archive, &options, &Control::default()).unwrap();
                assert!(verified(&copy, &[]).unwrap().problem().is_none(), "{name}");
                assert!(restored(&copy, &place.at("to"), &[]).unwrap() == wanted, "{name}");
                fs::remove_file(copy).unwrap();
            }
            // Of another archive, or none that the first knows, with a checksum that agrees; and more than was written,
            // which tools that join the files would take for the next frame.
            let length = format::head_length(&good[..24]).unwrap();
            let (mut identity, _) = format::decode_head(&good[..length]).unwrap();
            identity.number = ArchiveNumber(identity.number.0 + 1);
            let other = [format::encode_head(&identity).unwrap().0, good[length..].to_vec()].concat();
            assert_eq!(other.len(), good.len());
            for bytes in [other, [&good[..], &[0; 100]].concat()] {
                fs::write(file, &bytes).unwrap();
                match verified(&set.archive, &[]) {
                    Ok(report) => assert!(report.problem().is_some(), "{redundancy:?} {segment}"),
                    // The last one does not end as an archive does, so that another seems to be missing.
                    Err(error) => assert!(heal::is_damage(&error), "{redundancy:?} {segment}: {error}"),
                }
            }
            fs::write(file, &good).unwrap();
        }
        assert!(verified(&set.archive, &[]).unwrap().problem().is_none());
    }
}

/// Loses power, or fills the disk, at every kind of step of writing a set: all at the beginning and at the end, and
/// some of the many frames in between.
#[test]
fn a_crash_at_any_step_leaves_no_set_that_looks_complete() {
    let steps = {
        let (place, disk) = (Place::new(), FaultyDisk::new(usize::MAX, Fault::Crash));
        let data = place.at("a.sqlite");
        make_data_file(&data, "PRAGMA journal_mode=DELETE", 9_000);
        place.backup_stored(&disk, &data, segments(1, Rate::Low)).unwrap();
        disk.steps()
    };
    assert!(steps > 100);
    for fault in [Fault::Crash, Fault::CrashHalfWritten, Fault::DiskFull] {
        let mut failed = 0;
        for at in (0..steps).filter(|at| *at < 22 || *at + 18 > steps || at % 37 == 0) {
            let place = Place::new();
            let data = place.at("a.sqlite");
            make_data_file(&data, "PRAGMA journal_mode=DELETE", 9_000);
            let folder = backup::default_destination(&data);
            let outcome = place.backup_stored(&FaultyDisk::new(at, fault), &data, segments(1, Rate::Low));
            let named: Vec<String> = names_in(&folder).into_iter().filter(|n| n.ends_with(".4BK")).collect();
            if let Some(entry) = catalog::list(&folder, None).unwrap().first() {
                // What is listed without a problem is complete, whatever was reported.
                assert!(entry.problem.is_some() || verified(&entry.path, &[]).unwrap().problem().is_none());
                assert!(fault != Fault::DiskFull || outcome.is_ok(), "step {at} left {named:?}");
            }
            if let (Fault::DiskFull, Err(error)) = (fault, &outcome) {
                assert_eq!(error.kind(), ErrorKind::NoSpace);
                assert_eq!(names_in(&folder), Vec::<String>::new(), "step {at}");
            }
            failed += usize::from(outcome.is_err());
            // The next start cleans up: complete sets stay, others go with all their files.
            let next = place.backup_stored(&Disk, &data, segments(1, Rate::None)).unwrap();
            let sets = catalog::list(&folder, None).unwrap();
            assert!(sets.len() == 2 || outcome.is_err());
            for entry in sets {
                assert_eq!(entry.problem, None, "{fault:?} {at}");
                verified(&entry.path, &[]).unwrap();
            }
            assert!(names_in(&folder).iter().all(|n| parse_segment_name(n).is_some()), "{fault:?} {at}");
            assert!(next.files.len() > 2);
        }
        assert!(failed > 30, "{fault:?}: {failed}");
    }
}

/// A disk with little space in one folder.
struct SmallFolder {
    folder: PathBuf,
    left: Mutex<u64>,
}

struct SmallFile<'a> {
    inner: Box<dyn StorageFile>,
    small: Option<&'a Mutex<u64>>,
}

impl StorageFile for SmallFile<'_> {
    fn write_all(&mut self, bytes: &[u8]) -> Result<()> {
        if let Some(left) = self.small {
            let mut left = left.lock().unwrap();
            let fits = (*left).min(bytes.len() as u64);
            *left -= fits;
            self.inner.write_all(&bytes[..fits as usize])?;
            if fits < bytes.len() as u64 {
                return Err(Error::io("write to", Path::new("disk"), std::io::ErrorKind::StorageFull.into()));
            }
            return Ok(());
        }
        self.inner.write_all(bytes)
    }

    fn sync(&mut self) -> Result<()> {
        self.inner.sync()
    }

    fn read_at(&mut self, offset: u64, buffer: &mut [u8]) -> Result<()> {
        self.inner.read_at(offset, buffer)
    }

    fn length(&mut self) -> Result<u64> {
        self.inner.length()
    }

    fn truncate(&mut self, length: u64) -> Result<()> {
        self.inner.truncate(length)
    }
}

impl Storage for &'static SmallFolder {
    fn create(&self, path: &Path, ownership: Ownership) -> Result<Box<dyn StorageFile>> {
        let name = path.file_name().unwrap().to_str().unwrap().trim_end_matches(".part");
        let limited = path.parent() == Some(&self.folder) && parse_segment_name(name).is_some();
        let small = limited.then_some(&self.left);
        Ok(Box::new(SmallFile { inner: Disk.create(path, ownership)?, small }))
    }

    fn open(&self, path: &Path) -> Result<Box<dyn StorageFile>> {
        Disk.open(path)
    }

    fn rename_new(&self, from: &Path, to: &Path) -> Result<()> {
        Disk.rename_new(from, to)
    }

    fn sync_folder(&self, folder: &Path) -> Result<()> {
        Disk.sync_folder(folder)
    }

    fn remove(&self, path: &Path) -> Result<()> {
        Disk.remove(path)
    }
}

#[test]
fn a_set_goes_on_in_another_folder_when_the_disk_is_full_and_fails_cleanly_without_one() {
    let place = Place::new();
    let data = place.at("a.sqlite");
    make_data_file(&data, "PRAGMA journal_mode=DELETE", 25_000);
    let wanted = fs::read(&data).unwrap();
    let folder = backup::default_destination(&data);
    let more = place.at("more");
    fs::create_dir(&more).unwrap();
    let total = wanted.len() as u64;
    // Full at once, in the first segment, at the edge of one, in the middle, and when only the end is left to be
    // written.
    for space in [0, 100, 700, 300_000, MB, MB + 300, total / 2, total - 1000, total + total / 20 + 3000] {
        let disk: &'static SmallFolder =
            Box::leak(Box::new(SmallFolder { folder: folder.clone(), left: Mutex::new(space) }));
        let run = |ask: Option<OnFull<'_>>| {
            let mut settings = SettingsFile::load(&data, &place.own()).unwrap();
            let (own, options) = (place.own(), segments(1, Rate::Low));
            backup::run_asking(
                &disk,
                &data,
                &mut settings,
                &own,
                &folder,
                None,
                options,
                (ask, true),
                &Control::default(),
            )
        };
        let asked = Mutex::new(0);
        let report = run(Some(&|full, needed| {
            assert_eq!((full, needed), (folder.as_path(), MB));
            *asked.lock().unwrap() += 1;
            Some(more.clone())
        }))
        .unwrap_or_else(|e| panic!("{space}: {e}"));
        let segments = |folder: &Path| names_in(folder).iter().filter(|name| name.ends_with(".4BK")).count();
        let elsewhere = segments(&more);
        // Each folder says where the others are.
        let note = |folder: &Path| folder.join(format!("a[{}].4BK.segments", report.number));
        assert_eq!((note(&folder).exists(), note(&more).exists()), (elsewhere > 0, elsewhere > 0));
        assert_eq!(*asked.lock().unwrap(), usize::from(elsewhere > 0), "{space}");
        assert_eq!(report.files.iter().filter(|f| f.starts_with(&more)).count(), elsewhere);
        assert_eq!(verified(&report.archive, &[]).unwrap().damage, None, "{space}");
        assert!(restored(report.files.last().unwrap(), &place.at("to"), &[]).unwrap() == wanted, "{space}");
        if elsewhere > 0 {
            fs::remove_file(note(&folder)).unwrap();
            fs::remove_file(note(&more)).unwrap();
        }
        let folders = [folder.clone(), more.clone()];
        assert_eq!(verified(&report.archive, &folders).unwrap().damage, None, "{space}");
        report.files.iter().for_each(|f| fs::remove_file(f).unwrap());
        *disk.left.lock().unwrap() = space;
        for answer in [None, Some(&(|_: &Path, _: u64| None) as OnFull<'_>)] {
            match run(answer) {
                Err(error) => assert_eq!(error.kind(), ErrorKind::NoSpace, "{space}: {error}"),
                Ok(report) => {
                    assert!(space > total, "{space}");
                    report.files.iter().for_each(|f| fs::remove_file(f).unwrap());
                }
            }
            assert_eq!(names_in(&folder), Vec::<String>::new(), "{space}");
            assert_eq!(names_in(&more), Vec::<String>::new(), "{space}");
            *disk.left.lock().unwrap() = space;
        }
    }
}

/// Loses power at every step after a set went on in another folder: all around the names, and some before.
#[test]
fn a_crash_at_any_step_of_a_set_in_two_folders_leaves_none_that_looks_complete() {
    let attempt = |at: usize, full: usize| {
        let place = Place::new();
        let data = place.at("a.sqlite");
        make_data_file(&data, "PRAGMA journal_mode=DELETE", 9_000);
        let (folder, more) = (backup::default_destination(&data), place.at("more"));
        fs::create_dir(&more).unwrap();
        let mut settings = SettingsFile::load(&data, &place.own()).unwrap();
        let disk = FaultyDisk::new(at, Fault::FullThenCrash(full));
        let (own, options) = (place.own(), segments(1, Rate::None));
        let answer = |_: &Path, _: u64| Some(more.clone());
        let ask: OnFull<'_> = &answer;
        let made = backup::run_asking(
            &disk,
            &data,
            &mut settings,
            &own,
            &folder,
            None,
            options,
            (Some(ask), true),
            &Control::default(),
        );
        (place, data, folder, more.clone(), made, disk.steps())
    };
    // A step in the middle of the first segment: list, segment, head, frames.
    let full = 6;
    let (_place, _, folder, more, made, steps) = attempt(usize::MAX, full);
    let made = made.unwrap();
    let of = |folder: &Path| made.files.iter().filter(|file| file.starts_with(folder)).count();
    assert!(of(&folder) > 0 && of(&more) > 1, "{:?}", made.files);
    let mut failed = 0;
    for at in (full + 1..steps).filter(|at| *at + 40 > steps || at % 5 == 0) {
        let (place, data, folder, more, outcome, _) = attempt(at, full);
        for folder in [&folder, &more] {
            for entry in catalog::list(folder, None).unwrap() {
                // What is listed without a problem is complete, whatever was reported.
                assert!(entry.problem.is_some() || verified(&entry.path, &[]).unwrap().problem().is_none(), "{at}");
            }
        }
        failed += usize::from(outcome.is_err());
        place.backup_stored(&Disk, &data, segments(1, Rate::None)).unwrap();
        let complete = catalog::list(&folder, None).unwrap();
        assert!(complete.iter().all(|entry| entry.problem.is_none()), "{at}: {complete:?}");
        assert!(outcome.is_err() || complete.len() == 2);
        let (here, there) = (names_in(&folder), names_in(&more));
        assert!(here.iter().chain(&there).all(|name| !name.ends_with(".part")), "{at}: {here:?} {there:?}");
        // The other folder holds what belongs to a complete set, and else nothing.
        assert_eq!(there.is_empty(), complete.len() == 1, "{at}: {here:?} {there:?}");
        let notes = here.iter().filter(|name| name.ends_with(".segments")).count();
        assert_eq!(notes, complete.len() - 1, "{at}: {here:?}");
    }
    assert!(failed > 20, "{failed}");
}

#[test]
fn segments_that_can_not_hold_the_archive_are_refused() {
    let place = Place::new();
    let data = place.at("a.sqlite");
    make_data_file(&data, "", 10);
    let options = ArchiveOptions { segment_bytes: Some(1000), ..ArchiveOptions::default() };
    let error = place.backup_stored(&Disk, &data, options).unwrap_err();
    assert_eq!(error.to_string(), "segments of 1000 B are too small for this archive");
    assert_eq!((error.kind(), error.hint_text()), (ErrorKind::Refused, Some("Choose larger segments, or none.")));
    assert_eq!(names_in(&backup::default_destination(&data)), Vec::<String>::new());
}

#[test]
fn the_command_line_stores_verifies_repairs_and_proves() {
    let place = Place::new();
    let data = place.at("a.sqlite");
    make_data_file(&data, "PRAGMA journal_mode=DELETE", 5_000);
    let data = data.to_str().unwrap();
    let run = |arguments: &[&str]| {
        let output = place.run(arguments);
        (output.status.code(), text(&output.stdout), text(&output.stderr))
    };
    let storing = ["--compression", "none", "--redundancy", "medium", "--interlacing", "low"];
    let (code, said, wrong) = run(&[&["backup", data], storing.as_slice()].concat());
    assert_eq!((code, wrong.as_str()), (Some(0), ""), "{said}");
    let archive = backup::default_destination(Path::new(data)).join("a[0001].4BK");
    let name = archive.to_str().unwrap();
    assert_eq!(run(&["verify", name, "--test-restore"]).0, Some(0));
    let (_, said, _) = run(&["repair", name]);
    assert!(said.ends_with("is sound; there is nothing to repair\n"), "{said}");
    // 5 % of it overwritten, as dd does.
    let mut bytes = fs::read(&archive).unwrap();
    let part = bytes.len() / 20;
    bytes[part * 9..part * 10].fill(0xdd);
    fs::write(&archive, &bytes).unwrap();
    let (code, said, wrong) = run(&["verify", name]);
    assert_eq!(code, Some(1));
    assert!(said.contains("damaged, repaired for the verification"), "{said}");
    assert!(wrong.contains("is damaged, but can be repaired: ") && wrong.contains("strongroom repair"), "{wrong}");
    let to = place.at("to");
    let (code, said, wrong) = run(&["restore", name, "--to", to.to_str().unwrap()]);
    assert_eq!((code, wrong.as_str()), (Some(0), ""));
    assert!(said.contains("The archive is damaged and was repaired on the fly: "), "{said}");
    assert!(fs::read(to.join("a.sqlite")).unwrap() == fs::read(data).unwrap());
    let (code, said, _) = run(&["repair", name, "--to", place.at("sound.4BK").to_str().unwrap(), "--json"]);
    assert_eq!(code, Some(0));
    let report: serde_json::Value = serde_json::from_str(&said).unwrap();
    assert!(report["repaired"]["damage"]["repaired"].as_u64().unwrap() > 0, "{said}");
    assert_eq!(run(&["verify", place.at("sound.4BK").to_str().unwrap()]).0, Some(0));
    // Segments, and their folders.
    let (code, ..) = run(&["backup", data, "--segment-mb", "1", "--compression", "compact"]);
    assert_eq!(code, Some(0));
    let (code, said, _) = run(&["drill", data]);
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("is restorable, proven on "), "{said}");
    let (code, _, wrong) = run(&["backup", data, "--redundancy", "much"]);
    assert_eq!(code, Some(2));
    assert!(wrong.contains("it is none, low, medium or high"), "{wrong}");
}

/// A list sees for itself whether a segment is there: what was said without it is not said of the archive for ever.
#[test]
fn a_segment_that_comes_back_leaves_no_word_against_the_archive() {
    let place = Place::new();
    let data = place.at("a.sqlite");
    make_data_file(&data, "PRAGMA journal_mode=DELETE", 20_000);
    let data = data.to_str().unwrap();
    let storing = ["--compression", "none", "--redundancy", "low", "--segment-mb", "1"];
    assert!(place.run(&[&["backup", data], storing.as_slice()].concat()).status.success());
    let folder = backup::default_destination(Path::new(data));
    let (first, second) = (folder.join("a[0001-0001].4BK"), folder.join("a[0001-0002].4BK"));
    let is_said = || text(&place.run(&["status", data]).stdout).contains("archive 0001 is not sound");
    assert!(!is_said());
    fs::rename(&second, place.at("away")).unwrap();
    for command in ["verify", "repair", "restore"] {
        let output = place.run(&[command, first.to_str().unwrap()]);
        let error = text(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{command}: {error}");
        assert!(error.contains("segment 0002") && error.contains("Connect its disk"), "{command}: {error}");
    }
    assert!(is_said());
    fs::rename(place.at("away"), &second).unwrap();
    assert!(!is_said(), "{}", text(&place.run(&["status", data]).stdout));
}
