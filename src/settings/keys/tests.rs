use std::path::PathBuf;

use super::{super::sections::KnownPlace, *};

#[test]
fn every_key_takes_back_what_it_gives_and_knows_its_default() -> Result<(), String> {
    let known = |folder: PathBuf, id: Option<uuid::Uuid>| {
        let leads_to = id.is_none().then(|| folder.clone());
        let (inode, is_file) = (id.is_none().then_some(u64::MAX), id.is_none());
        KnownPlace { folder, id, mount_point: "/".into(), disk: "ext4".into(), leads_to, inode, is_file }
    };
    let odd = place::path("bytes:2fff").ok_or("no path")?;
    let places = vec![known("/b c".into(), Some(uuid::Uuid::nil())), known(odd, None)];
    let id = Some(uuid::Uuid::nil());
    let begun = Some("/logs/a.journal".into());
    let mut all = Settings { last_number: 7, data_file_id: id, places, log_begun: begun, ..Settings::default() };
    all.restored = Some("0123456789abcdef".parse().map_err(|()| "no place")?);
    all.restored.map(|here| all.note_made_in(here));
    for (key, text) in [
        ("on-finish", "['/bin/mail', 'me']"),
        ("scheduler.frequency", "'personalized'"),
        ("scheduler.every", "3"),
        ("scheduler.unit", "'weeks'"),
        ("scheduler.at", "06:30:00"),
        ("scheduler.weekdays", "['Friday', 'tuesday']"),
        ("scheduler.day", "31"),
        ("scheduler.from", "2026-11-22"),
        ("scheduler.only-if-modified", "true"),
        ("content.program", "['/opt/office']"),
        ("content.attachments", "['/srv/a', '/srv/b']"),
        ("destination.folder", "'/backups'"),
        ("destination.earlier", "['/old']"),
        ("log.file", "'/backups/a.journal'"),
        ("log.allow-network", "true"),
        ("keep.all", "true"),
        ("keep.last", "9"),
        ("keep.hourly", "24"),
        ("keep.daily", "7"),
        ("keep.weekly", "4"),
        ("keep.monthly", "12"),
        ("keep.yearly", "10"),
        ("keep.delete-oldest", "'before'"),
        ("failure.retry", "'Next-Scheduled'"),
        ("failure.retry", "'after'"),
        ("failure.retry-after", "2"),
        ("failure.retry-unit", "'hours'"),
        ("failure.cancel", "true"),
        ("failure.cancel-after", "4"),
        ("archive.segment-size", "'None'"),
        ("archive.segment-size", "650"),
        ("archive.compression", "'Compact'"),
        ("archive.interlacing", "'high'"),
        ("archive.redundancy", "'low'"),
        ("archive.sign", "true"),
        ("archive.test-restore", "'always'"),
        ("scheduler.drill", "'Every week'"),
        ("restore.if-damaged", "true"),
        ("restore.integrate-log", "false"),
    ] {
        let key = Key::find(key).ok_or(key)?;
        key.set(&mut all, &text.parse().map_err(|e| format!("{e}"))?).ok_or(key.name)?;
    }
    let mut copy = Settings::default();
    for key in KEYS {
        assert!(!key.is_default(&all), "{} was not changed by this test", key.name);
        key.set(&mut copy, &key.get(&all).ok_or(key.name)?).ok_or(key.name)?;
    }
    assert_eq!(copy, all);
    assert_eq!(copy.scheduler.weekdays.iter().map(|d| d.word()).collect::<Vec<_>>(), ["tuesday", "friday"]);
    for key in KEYS.iter().filter(|key| !key.is_own) {
        key.reset(&mut copy);
        assert!(key.is_default(&copy), "{}", key.name);
    }
    copy.take_notes(&Settings::default());
    assert_eq!(copy, Settings::default());
    Ok(())
}

#[test]
fn what_a_value_must_not_be_is_refused() -> Result<(), String> {
    for (key, text) in [
        ("on-finish", "'mail'"),
        ("on-finish", "['', 'x']"),
        ("data-file.id", "'x'"),
        ("data-file.last-number", "-1"),
        ("data-file.places", "['/b']"),
        ("data-file.places", "[{ folder = 'b' }]"),
        ("data-file.places", "[{ folder = '/b', id = 'x' }]"),
        ("scheduler.frequency", "'hourly'"),
        ("scheduler.every", "0"),
        ("scheduler.every", "1000"),
        ("scheduler.unit", "'years'"),
        ("scheduler.at", "'24:00'"),
        ("scheduler.at", "2026-11-22"),
        ("scheduler.weekdays", "['moonday']"),
        ("scheduler.day", "32"),
        ("scheduler.from", "'tomorrow'"),
        ("scheduler.only-if-modified", "'yes'"),
        ("content.attachments", "['relative']"),
        ("content.program", "'/one'"),
        ("destination.folder", "'relative'"),
        ("log.file", "3"),
        ("keep.last", "0"),
        ("keep.last", "3.5"),
        ("keep.hourly", "-1"),
        ("keep.yearly", "10000"),
        ("keep.delete-oldest", "'never'"),
        ("failure.retry", "'soon'"),
        ("failure.retry-after", "0"),
        ("failure.retry-unit", "'days'"),
        ("failure.cancel-after", "0"),
        ("archive.segment-size", "0"),
        ("archive.segment-size", "'650 MB'"),
        ("archive.compression", "'best'"),
        ("archive.interlacing", "2"),
        ("archive.redundancy", "'most'"),
        ("archive.test-restore", "'yes'"),
        ("scheduler.drill", "'daily'"),
    ] {
        let (key, value) = (Key::find(key).ok_or(key)?, text.parse::<Value>().map_err(|e| format!("{e}"))?);
        let mut settings = Settings::default();
        assert!(key.set(&mut settings, &value).is_none(), "{} took {text}", key.name);
        assert_eq!(settings, Settings::default(), "{}", key.name);
    }
    Ok(())
}
