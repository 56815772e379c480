//! What is written is as private as the most private of what is in it.
#![cfg(unix)]

use crate::support;

use std::{
    fs,
    io::{BufRead, BufReader},
    os::unix::fs::chown,
    path::{Path, PathBuf},
    process::Stdio,
};

use strongroom::{archive::ArchiveOptions, settings::SettingsFile, storage::Disk};
use support::{
    Place, make_data_file, names_in,
    user::{User, all_below, mode, set_mode},
};

/// A data file with these permissions in a folder with those; the folder above lets everybody in.
fn data_in(place: &Place, name: &str, folder_mode: u32, file_mode: u32) -> PathBuf {
    set_mode(place.folder.path(), 0o755);
    let folder = place.at(name);
    fs::create_dir(&folder).unwrap();
    let data = folder.join("a.sqlite");
    drop(make_data_file(&data, "PRAGMA journal_mode=WAL", 10));
    set_mode(&data, file_mode);
    set_mode(&folder, folder_mode);
    data
}

/// The permissions of an archive of this data file, with these attachments, in a folder that everybody may enter.
fn archived(place: &Place, data: &Path, attachments: &[&Path]) -> u32 {
    let to = place.at("to");
    let _ = fs::remove_dir_all(&to);
    fs::create_dir(&to).unwrap();
    set_mode(&to, 0o777);
    let own = place.own();
    let attachments = attachments.iter().map(|path| path.to_path_buf()).collect();
    SettingsFile::load(data, &own).unwrap().change(&own, |s| s.content.attachments = attachments).unwrap();
    let mut settings = SettingsFile::load(data, &own).unwrap();
    let options = ArchiveOptions { segment_bytes: Some(1 << 20), ..ArchiveOptions::default() };
    let control = strongroom::control::Control::default();
    strongroom::backup::run(&Disk, data, &mut settings, &own, &to, None, options, &control).unwrap();
    let modes: Vec<u32> = all_below(&to)
        .iter()
        .filter(|path| path.extension().is_some_and(|end| end == "4BK" || end == "segments"))
        .map(|path| mode(path))
        .collect();
    assert!(!modes.is_empty() && modes.iter().all(|mode| *mode == modes[0]), "{modes:?}");
    modes[0]
}

#[test]
fn archives_are_readable_only_where_the_data_file_is() {
    for (folder, file, expected) in [
        (0o755, 0o644, 0o644),
        (0o755, 0o640, 0o640),
        (0o755, 0o600, 0o600),
        (0o750, 0o644, 0o640),
        (0o700, 0o644, 0o600),
        (0o711, 0o664, 0o664),
    ] {
        let place = Place::new();
        let data = data_in(&place, "data", folder, file);
        assert_eq!(archived(&place, &data, &[]), expected, "{folder:o} {file:o}");
        assert_eq!(mode(&data.with_file_name("a.strongroom.toml")), file & 0o644);
    }
}

#[test]
fn one_private_attachment_makes_the_archive_private() {
    let place = Place::new();
    let data = data_in(&place, "data", 0o755, 0o644);
    let at = |name: &str, bits: u32| {
        let path = place.at(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, name).unwrap();
        set_mode(&path, bits);
        path
    };
    let (open, members, secret) = (at("x/open", 0o644), at("x/members", 0o640), at("x/secret", 0o600));
    let enclosed = at("closed/open", 0o644);
    assert_eq!(archived(&place, &data, &[&open]), 0o644);
    assert_eq!(archived(&place, &data, &[&open, &members]), 0o640);
    assert_eq!(archived(&place, &data, &[&open, &secret]), 0o600);
    assert_eq!(archived(&place, &data, &[&open, &members, &enclosed]), 0o640);
    set_mode(&place.at("closed"), 0o700);
    assert_eq!(archived(&place, &data, &[&enclosed]), 0o600);
    assert_eq!(archived(&place, &data, &[&place.at("x")]), 0o600, "a folder with everything in it");
    let Some(other) = User::new(61_301) else { return };
    chown(&members, None, Some(other.id)).unwrap();
    assert_eq!(archived(&place, &data, &[&members]), 0o600, "of another group than the archive");
}

#[test]
fn a_careless_umask_opens_nothing() {
    let place = Place::new();
    for (file, folder, log) in [(0o644, 0o755, 0o644), (0o666, 0o755, 0o666), (0o600, 0o700, 0o600)] {
        let data = data_in(&place, &format!("data {file:o}"), 0o755, file);
        let careless = |what: &str| {
            let mut shell = std::process::Command::new("sh");
            let program = place.program();
            shell.envs(program.get_envs().filter_map(|(name, value)| Some((name, value?))));
            shell.args(["-c", "umask 0; exec \"$0\" \"$@\"", support::PROGRAM, what]).arg(&data);
            shell.stdin(Stdio::null()).stdout(Stdio::piped());
            shell
        };
        let output = careless("backup").output().unwrap();
        let mut child = careless("serve").spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(line.contains("is logged in"), "{line} {output:?}");
        let backups = data.with_file_name("Backups");
        assert!(backups.join("a[0001].4BK").is_file() && backups.join("a.journal").is_file(), "{output:?}");
        assert_eq!(mode(&backups), folder, "{file:o}");
        assert_eq!((mode(&backups.join("a[0001].4BK")), mode(&backups.join("a.journal"))), (log, log));
        for path in all_below(data.parent().unwrap()) {
            assert!(mode(&path) & 0o002 == 0 || file == 0o666, "{} {:o}", path.display(), mode(&path));
        }
    }
    let own = place.own().join("strongroom");
    // Of an older version, that made it as wide as it could.
    set_mode(&own.join("history.sqlite"), 0o644);
    let made = place.at("made");
    let archive = place.at("data 666/Backups/a[0001].4BK");
    let restored = ["restore", archive.to_str().unwrap(), "--no-log", "--to", made.to_str().unwrap()];
    let sample = place.at("deep/sample");
    for arguments in [&restored[..], &["sample", sample.to_str().unwrap()]] {
        let mut command = vec!["-c", "umask 0; exec \"$0\" \"$@\"", support::PROGRAM];
        command.extend(arguments);
        let output = place.run_program(Path::new("sh"), &command);
        assert!(output.status.success(), "{output:?}");
    }
    for folder in [&made, &sample, &place.at("deep")] {
        assert_eq!(mode(folder), 0o755, "{}", folder.display());
    }
    assert_eq!(mode(&sample.join("OMB_Edelweiss.sqlite")), 0o644);
    assert_eq!((mode(&own), mode(&own.join("history.sqlite"))), (0o700, 0o600), "{:?}", names_in(&own));
}
