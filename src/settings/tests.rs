//! The settings file as people write it and as this program changes it.
#![cfg(test)]

use std::fs;

use super::{file::HEAD, *};
use sections::{DeleteOldest, Frequency};
use uuid::Uuid;

type Outcome = std::result::Result<(), Box<dyn std::error::Error>>;

#[test]
fn what_a_person_wrote_is_kept() -> Outcome {
    let folder = tempfile::tempdir()?;
    let data = folder.path().join("OMB_Edelweiss.sqlite");
    let path = folder.path().join("OMB_Edelweiss.strongroom.toml");
    let lists = "[content]\nattachments = [\n  '/a', # the letters\n  '/b', # the scans\n]\n";
    fs::write(&path, format!("# mine\n[destination]\nfolder = '/b' # here\n[own]\nx = 1\n{lists}"))?;
    let mut file = SettingsFile::load(&data, folder.path())?;
    assert_eq!(file.settings().destination.folder.as_deref(), Some(Path::new("/b")));
    file.change(folder.path(), |s| {
        s.destination.folder = Some("/c".into());
        s.data_file_id = Some(Uuid::nil());
        s.last_number = 4;
        s.content.attachments = vec!["/b".into(), "/d".into()];
    })?;
    let text = fs::read_to_string(&path)?;
    assert!(text.starts_with("# mine\n[destination]\nfolder = \"/c\" # here\n[own]\nx = 1\n"), "{text}");
    assert!(text.contains("attachments = [\n  '/b', # the scans\n  \"/d\",\n]\n"), "{text}");
    let again = SettingsFile::load(&data, folder.path())?;
    assert_eq!(again.settings(), file.settings());
    assert_eq!((again.settings().last_number, again.settings().data_file_id), (4, Some(Uuid::nil())));
    Ok(())
}

#[test]
fn going_back_to_a_default_takes_our_line_away_and_no_comment_of_a_person() -> Outcome {
    let folder = tempfile::tempdir()?;
    let (data, own) = (folder.path().join("a.sqlite"), folder.path());
    let mut file = SettingsFile::load(&data, own)?;
    file.change(own, |s| (s.keep.last, s.keep.delete_oldest) = (5, DeleteOldest::Before))?;
    let path = path_beside(&data);
    let text = fs::read_to_string(&path)?;
    let last = text.find("last = 5").ok_or("not written")?;
    fs::write(&path, format!("{}# because the boss said so\n{}", &text[..last], &text[last..]))?;
    let mut file = SettingsFile::load(&data, own)?;
    file.change(own, |s| s.keep.last = 3)?;
    let text = fs::read_to_string(&path)?;
    assert!(!text.contains("last = ") && !text.contains("Otherwise how many"), "{text}");
    let said = "# because the boss said so\n# When the oldest backup is deleted";
    assert!(text.contains(said) && text.contains("delete-oldest = \"before\""), "{text}");
    file.change(own, |s| s.keep.delete_oldest = DeleteOldest::After)?;
    assert!(fs::read_to_string(&path)?.contains("# because the boss said so\n"));
    assert_eq!(*SettingsFile::load(&data, own)?.settings(), Settings::default());
    Ok(())
}

#[test]
fn a_change_made_outside_is_noticed_and_not_overwritten() -> Outcome {
    let folder = tempfile::tempdir()?;
    let (data, own) = (folder.path().join("a.sqlite"), folder.path());
    let mut ours = SettingsFile::load(&data, own)?;
    SettingsFile::load(&data, own)?.change(own, |s| s.keep.last = 9)?;
    let error = ours.change(own, |s| s.keep.all = true).err().ok_or("overwritten")?;
    assert_eq!(error.kind(), ErrorKind::Changed);
    assert_eq!(error.hint_text(), Some("Look at them as they are now, and make your change again."));
    assert_eq!(SettingsFile::load(&data, own)?.settings().keep.last, 9);
    // What we note ourselves is no change of a person's: it goes on top of theirs.
    let revision = SettingsFile::load(&data, own)?.settings().revision();
    ours.note(own, |s| s.last_number = 7)?;
    let now = SettingsFile::load(&data, own)?;
    assert_eq!((now.settings().keep.last, now.settings().last_number), (9, 7));
    assert_eq!(now.settings().revision(), revision);
    // Not even then, when it cannot be understood.
    fs::write(path_beside(&data), "[keep]\nlast = 0")?;
    assert_eq!(ours.note(own, |s| s.last_number = 8).err().ok_or("overwritten")?.kind(), ErrorKind::Settings);
    assert_eq!(fs::read_to_string(path_beside(&data))?, "[keep]\nlast = 0");
    Ok(())
}

#[test]
fn mistakes_are_named_with_their_place() -> Outcome {
    let folder = tempfile::tempdir()?;
    let data = folder.path().join("a.sqlite");
    fs::write(&data, "")?;
    let attached = folder.path().canonicalize()?.display().to_string();
    let holds = format!(
        "content.attachments at line 2, column 15 must not be a folder that holds the data file itself, but \
         {attached} is"
    );
    let attachments = format!("[content]\nattachments = ['/x', '{attached}']");
    let log = format!("[log]\nfile = '{attached}/a.sqlite'");
    for (text, expected) in [
        ("[destination\nfolder = 1", "it is not valid TOML at line 1, column 13"),
        (
            "[destination]\nfolder = 1",
            "destination.folder at line 2, column 10 must be the full path of a folder, in quotes, but is 1",
        ),
        ("[destination]\nfolder = 'b'", "must be the full path of a folder"),
        (
            "[data-file]\nid = 'x'",
            "data-file.id at line 2, column 6 must be the identifier that Strongroom wrote, but is 'x'",
        ),
        ("data-file = 3", "data-file must be a section, [data-file]"),
        ("keep = 3", "keep must be a section, [keep]"),
        (
            "[data-file]\nlast-number = -1",
            "data-file.last-number at line 2, column 15 must be a whole number from 0 on, but is -1",
        ),
        (
            "# é\non-finish = 'mail'",
            "on-finish at line 2, column 13 must be a list of texts, such as [\"/usr/local/bin/notify\", \"backup\"], but is 'mail'",
        ),
        (
            "[scheduler]\nfrequency = 'hourly'",
            "scheduler.frequency at line 2, column 13 must be never, every hour, every day, every week, every month \
             or personalized, in quotes, but is 'hourly'",
        ),
        (
            "[scheduler]\nevery = 0",
            "scheduler.every at line 2, column 9 must be a whole number from 1 to 999, but is 0",
        ),
        (
            "[scheduler]\nunit = 1",
            "scheduler.unit at line 2, column 8 must be hours, days, weeks or months, in quotes, but is 1",
        ),
        (
            "[scheduler]\nat = '25:00'",
            "scheduler.at at line 2, column 6 must be a time such as \"23:00\", in quotes, but is '25:00'",
        ),
        (
            "[scheduler]\nweekdays = ['yesterday']",
            "scheduler.weekdays at line 2, column 12 must be days of the week, such as [\"monday\", \"friday\"], \
             but is ['yesterday']",
        ),
        ("[scheduler]\nday = 0", "scheduler.day at line 2, column 7 must be a whole number from 1 to 31, but is 0"),
        ("[scheduler]\nfrom = 'x'", "scheduler.from at line 2, column 8 must be a date such as 2026-11-22, but is 'x'"),
        (
            "[scheduler]\nonly-if-modified = 1",
            "scheduler.only-if-modified at line 2, column 20 must be true or false, but is 1",
        ),
        (
            "[content]\nprogram = ['x']",
            "content.program at line 2, column 11 must be a list of full paths, such as [\"/srv/files\"], but is ['x']",
        ),
        ("[log]\nfile = 'x'", "log.file at line 2, column 8 must be the full path of a file, in quotes, but is 'x'"),
        ("[keep]\nlast = 0", "keep.last at line 2, column 8 must be a whole number from 1 to 9999, but is 0"),
        (
            "[keep]\ndelete-oldest = 'no'",
            "keep.delete-oldest at line 2, column 17 must be before or after, in quotes, but is 'no'",
        ),
        (
            "[failure]\nretry = 'no'",
            "failure.retry at line 2, column 9 must be next scheduled or after, in quotes, but is 'no'",
        ),
        (
            "[failure]\nretry-unit = 'days'",
            "failure.retry-unit at line 2, column 14 must be seconds, minutes or hours, in quotes, but is 'days'",
        ),
        (
            "[archive]\nsegment-size = 0",
            "archive.segment-size at line 2, column 16 must be none, or a whole number of MB from 1 to 1000000, but \
             is 0",
        ),
        (
            "[archive]\ncompression = 'zip'",
            "archive.compression at line 2, column 15 must be none, fast or compact, in quotes, but is 'zip'",
        ),
        (
            "[archive]\ninterlacing = true",
            "archive.interlacing at line 2, column 15 must be none, low, medium or high, in quotes, but is true",
        ),
        (
            "[archive]\nredundancy = 'most'",
            "archive.redundancy at line 2, column 14 must be none, low, medium or high, in quotes, but is 'most'",
        ),
        (
            "scheduler = { frequency = 'personalized', unit = 'hours', every = 25 }",
            "scheduler.every at line 1, column 67 must be at most 24 for hours, but is 25",
        ),
        (
            "[scheduler]\nfrequency = 'every week'\nweekdays = ['monday', 'friday']",
            "scheduler.weekdays at line 3, column 12 must be one day for a backup every week, but there are 2",
        ),
        (
            "[scheduler]\nweekdays = []",
            "scheduler.weekdays at line 2, column 12 must name at least one day of the week",
        ),
        (
            "[content]\nprogram = ['/x']\nattachments = ['/x']",
            "content.attachments at line 3, column 15 names /x twice",
        ),
        (attachments.as_str(), holds.as_str()),
        (log.as_str(), "log.file at line 2, column 8 must not be the data file itself"),
    ] {
        fs::write(path_beside(&data), text)?;
        let error = SettingsFile::load(&data, folder.path()).err().ok_or(text)?;
        assert!(error.message().contains(expected), "{text:?}: {}", error.message());
        assert_eq!(error.kind(), ErrorKind::Settings);
        assert!(error.hint_text().is_some());
    }
    fs::write(path_beside(&data), b"[keep]\n# \xff\n")?;
    let error = SettingsFile::load(&data, folder.path()).err().ok_or("accepted")?;
    assert!(error.message().ends_with("it is not text in UTF-8"), "{error}");
    Ok(())
}

#[test]
fn a_mistyped_key_is_said_and_a_foreign_section_is_not() -> Outcome {
    let folder = tempfile::tempdir()?;
    let data = folder.path().join("a.sqlite");
    fs::write(path_beside(&data), "[mine]\nx = 1\n[keep]\nlast = 2\n lst = 5\n[data-file]\nname = 'a.sqlite'\n")?;
    assert_eq!(
        SettingsFile::load(&data, folder.path())?.unknown(),
        ["the section [mine] at line 1, column 2", "keep.lst at line 5, column 2 (did you mean keep.last?)"]
    );
    Ok(())
}

#[test]
fn two_data_files_with_one_name_before_the_dot_are_told_apart() -> Outcome {
    let folder = tempfile::tempdir()?;
    let (first, second) = (folder.path().join("app.db"), folder.path().join("app.sqlite"));
    fs::write(&first, "")?;
    SettingsFile::load(&first, folder.path())?.change(folder.path(), |s| s.data_file_id = Some(Uuid::nil()))?;
    let error = SettingsFile::load(&second, folder.path()).err().ok_or("shared")?;
    assert!(error.message().ends_with("they belong to app.db, which has the same name without its extension"));
    // A data file that was renamed keeps its settings.
    fs::remove_file(&first)?;
    assert_eq!(SettingsFile::load(&second, folder.path())?.settings().data_file_id, Some(Uuid::nil()));
    Ok(())
}

#[test]
fn defaults_hold_without_a_file_and_new_files_are_explained() -> Outcome {
    let folder = tempfile::tempdir()?;
    let data = folder.path().join("a.sqlite");
    let mut file = SettingsFile::load(&data, folder.path())?;
    assert_eq!(*file.settings(), Settings::default());
    file.change(folder.path(), |_| {})?;
    assert!(!path_beside(&data).exists(), "nothing to say, nothing written");
    file.change(folder.path(), |s| s.scheduler.frequency = Frequency::EveryDay)?;
    let comment = Key::find("scheduler.frequency").ok_or("no key")?.meaning;
    let section = format!("[scheduler]\n# {comment}\nfrequency = \"every day\"\n");
    assert_eq!(fs::read_to_string(path_beside(&data))?, format!("{HEAD}{section}"));
    // A key without a section comes first, below the head.
    file.change(folder.path(), |s| s.on_finish = vec!["/bin/mail".into()])?;
    let comment = Key::find("on-finish").ok_or("no key")?.meaning;
    let first = format!("# {comment}\non-finish = [\"/bin/mail\"]\n");
    assert_eq!(fs::read_to_string(path_beside(&data))?, format!("{HEAD}{first}\n{section}"));
    file.change(folder.path(), |s| s.on_finish.clear())?;
    file.change(folder.path(), |s| s.scheduler.frequency = Frequency::Never)?;
    assert!(fs::read_to_string(path_beside(&data))?.starts_with(HEAD.lines().next().unwrap_or_default()));
    assert_eq!(*SettingsFile::load(&data, folder.path())?.settings(), Settings::default());
    Ok(())
}

#[test]
fn a_note_is_never_all_that_is_left_of_settings() -> Outcome {
    let folder = tempfile::tempdir()?;
    let (data, own) = (folder.path().join("a.sqlite"), folder.path());
    let path = folder.path().join("a.strongroom.toml");
    fs::write(&data, "")?;
    let mut file = SettingsFile::load(&data, own)?;
    file.change(own, |s| s.destination.folder = Some("/c".into()))?;
    // Deleted beside the data file: they are written again, with the note.
    fs::remove_file(&path)?;
    file.note(own, |s| s.last_number = 3)?;
    let again = SettingsFile::load(&data, own)?;
    assert_eq!(
        (again.settings().destination.folder.as_deref(), again.settings().last_number),
        (Some(Path::new("/c")), 3)
    );
    // Deleted with it: when it comes back, nothing may say that the defaults were meant.
    fs::remove_file(&path)?;
    fs::remove_file(&data)?;
    let refused = file.note(own, |s| s.last_number = 4).err().ok_or("noted")?;
    assert_eq!(refused.kind(), crate::error::ErrorKind::Changed);
    assert!(!path.exists());
    assert_eq!(file.settings().last_number, 3);
    Ok(())
}
