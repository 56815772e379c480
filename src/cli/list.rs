//! `strongroom list`: the archives of a data file, or of a folder.

use std::{path::Path, process::ExitCode};

use uuid::Uuid;

use super::{
    complain,
    places::{data_file as data_file_at, directories},
    print, print_json,
};
use crate::{
    archive::{
        catalog::{self, ArchiveEntry},
        not_whole,
    },
    backup::{self, soundness},
    engine::{
        history::judge,
        inspect::{Inspection, NewestArchive},
        lost::made_archives,
        mistaken::refuse_own_file,
        settings_gone::Gone,
        settings_in_force::InForce,
    },
    error::{
        Error, ErrorKind, ErrorReport, Result,
        foreign::{foreign, plain, shown},
    },
    restore,
    settings::{Settings, copies},
    sqlite::seen::ContentCheck,
    storage::{self, space::human_bytes},
};

pub(super) fn list(place: &Path, json: bool) -> Result<ExitCode> {
    refuse_own_file(place)?;
    let folders = directories()?;
    let (mut missing, mut data_file, mut own_id) = (None, None, None);
    let mut entries = if place.is_dir() {
        let mut entries = catalog::list(place, None)?;
        entries.extend(catalog::copies(place, None)?);
        entries
    } else {
        // The data file itself may be lost: its archives are what is wanted then.
        let path = data_file_at(place, &folders)?;
        let (mut settings, mistake) = InForce::for_reading(&path, folders.config_dir(), folders.data_dir())?;
        data_file = Some(path.clone());
        if let Some(mistake) = &mistake {
            complain(mistake);
        } else if let Some(gone) = Gone::look(&path, &settings, folders.data_dir()) {
            settings = gone.shown(settings);
        }
        let folder = backup::destination(&path, &settings);
        // Settings that went with it name neither: the Backup journal knows what was made of it.
        let is_known = path.exists() || settings.settings().data_file_id.is_some();
        let made = if is_known { Vec::new() } else { made_archives(folders.data_dir(), &path) };
        let made_in = storage::folders_of(&made);
        if !path.exists() && !folder.exists() && !made_in.iter().any(|folder| folder.exists()) {
            return Err(Error::new(
                ErrorKind::NotFound,
                format!("{} does not exist, and neither does its folder for archives {}", shown(&path), shown(&folder)),
            )
            .hint("Check the path, or give the folder that holds the archives."));
        }
        let (mut entries, problem) = backup::archives_there(&path, settings.settings());
        let is_told = settings.settings().data_file_id.is_some() || made.is_empty();
        missing = problem.filter(|_| is_told);
        for folder in made_in.iter().filter(|made_in| **made_in != folder) {
            entries.extend(catalog::list(folder, Some(&catalog::stem(&path))).unwrap_or_default());
        }
        let earlier = &settings.settings().destination.earlier;
        for folder in earlier.iter().chain([&folder]).chain(&made_in) {
            entries.extend(catalog::copies(folder, Some(&catalog::stem(&path))).unwrap_or_default());
        }
        let id = settings.settings().data_file_id.or_else(|| restore::made_of_it(&entries, &made));
        own_id = id;
        copies::mark(&path, &Settings { data_file_id: id, ..settings.settings().clone() }, &mut entries);
        for entry in &mut entries {
            entry.is_of_other |= id.is_some() && entry.data_file_id.is_some() && entry.data_file_id != id;
        }
        entries
    };
    entries.sort_by(|a, b| (b.number, &a.path).cmp(&(a.number, &b.path)));
    entries.dedup_by(|a, b| a.path == b.path);
    // What was found when an archive was looked at as a whole is more than a glance shows.
    let found = judge(&mut entries, folders.data_dir());
    for entry in &mut entries {
        if let Some(finding) = soundness::damage_of(&found, entry) {
            entry.problem = Some(finding.error.clone());
        }
    }
    for entry in &entries {
        if json { print_json(entry)? } else { print(&line(entry, data_file.as_deref().map(|path| (path, own_id))))? }
    }
    // Those in folders chosen earlier were listed.
    if let Some(error) = missing {
        return Err(error);
    }
    if entries.is_empty() && !json {
        print("No archives.")?;
    }
    Ok(ExitCode::SUCCESS)
}

/// `of` is the data file whose archives are listed, where one was named.
fn line(entry: &ArchiveEntry, of: Option<(&Path, Option<Uuid>)>) -> String {
    // Notes, names and what an archive says of itself were written by others.
    plain(entry).map_or_else(|| shown(&entry.path).to_string(), |entry| line_of(&entry, of))
}

fn line_of(entry: &ArchiveEntry, of: Option<(&Path, Option<Uuid>)>) -> String {
    let moment = entry.moment.map_or_else(|| "-".to_owned(), |m| m.format("%Y-%m-%d %H:%M:%S %:z").to_string());
    let problem = entry.problem.as_ref().map_or_else(String::new, |p| format!("  {}: {}", bad(p), p.message));
    // Of what cannot be read nothing is known.
    let check = match (&entry.problem, entry.check) {
        (Some(_), _) => String::new(),
        (None, ContentCheck::Damaged) => {
            format!("  CONTENT DAMAGED: {}", entry.check_note.as_deref().unwrap_or_default())
        }
        (None, check) => format!("  {}", check.label()),
    };
    let (of, id) = of.unzip();
    let is_elsewhere = entry.data_file_id.is_some() && entry.data_file_id == id.flatten();
    let other = match (entry.is_of_other, &entry.made_of) {
        (false, _) => entry.put_by.as_ref().map_or_else(String::new, |stranger| {
            format!("  BELONGS TO {}, WHO MAY HAVE PUT IT THERE", foreign(stranger))
        }),
        (true, Some(made_of)) if of == Some(made_of.as_path()) && is_elsewhere => {
            "  MADE OF ANOTHER FILE OF THIS PATH, ON ANOTHER MACHINE OR IN ANOTHER CONTAINER".to_owned()
        }
        (true, Some(made_of)) if of == Some(made_of.as_path()) => {
            "  MADE WITH OTHER SETTINGS OF THIS DATA FILE".to_owned()
        }
        (true, Some(made_of)) => format!("  OF ANOTHER DATA FILE: {}", shown(made_of)),
        (true, None) => "  OF ANOTHER DATA FILE".to_owned(),
    };
    let renamed = entry.misnamed().map_or_else(String::new, |named| format!("  RENAMED: it is not backup {named}"));
    let hold = entry.hold.as_ref().map_or_else(String::new, |hold| format!("  {}", hold.in_words()));
    let partial = not_whole::in_list(entry.not_whole).filter(|_| entry.problem.is_none());
    let partial = partial.map_or_else(String::new, |words| format!("  {words}"));
    let (number, bytes, path) = (entry.number, human_bytes(entry.bytes), shown(&entry.path));
    format!("{number}  {moment:<26}  {bytes:>10}  {path}{problem}{other}{renamed}{check}{partial}{hold}")
}

/// The newest archive, and where that is partial the newest that is not.
pub(super) fn newest(found: &Inspection) -> String {
    if let Some(problem) = &found.archives_problem {
        return format!("not known: {}", problem.message);
    }
    let counted = |count: usize, (one, many): (&str, &str)| match count {
        0 => String::new(),
        1 => format!("; 1 archive there {one}"),
        n => format!("; {n} archives there {many}"),
    };
    let earlier = found.archives_of_earlier.min(found.archives_of_others);
    let others = counted(found.archives_of_others - earlier, ("is of another data file", "are of another data file"))
        + &counted(
            earlier,
            ("was made with other settings of this path", "were made with other settings of this path"),
        );
    let Some(last) = &found.last_backup else { return format!("none in {}{others}", shown(&found.destination)) };
    let whole = match &found.last_whole {
        None if last.not_whole.is_none_or(|count| count == 0) => String::new(),
        None => "; NONE IS KNOWN TO BE WHOLE".to_owned(),
        Some(whole) => format!("; the last whole one is {}", archive(whole)),
    };
    format!("{}{whole}{others}", archive(last))
}

/// What is wrong with an archive, in a word or two.
fn bad(problem: &ErrorReport) -> &'static str {
    if problem.says_nothing() { "CANNOT BE READ" } else { "DAMAGED" }
}

/// An archive with all that is known of it.
pub(super) fn archive(last: &NewestArchive) -> String {
    let moment = last.moment.map_or_else(|| "-".to_owned(), |m| m.format("%Y-%m-%d %H:%M:%S %:z").to_string());
    let damaged = last.problem.as_ref().map_or_else(String::new, |p| format!(", {}: {}", bad(p), p.message));
    let check = if last.problem.is_some() { "" } else { last.check.label() };
    let comma = if check.is_empty() { "" } else { ", " };
    let (bytes, path) = (human_bytes(last.bytes), shown(&last.path));
    let note = last.check_note.as_ref().filter(|_| last.check == ContentCheck::Damaged && last.problem.is_none());
    let note = note.map_or_else(String::new, |note| format!(": {note}"));
    let partial = not_whole::in_list(last.not_whole).filter(|_| last.problem.is_none());
    let partial = partial.map_or_else(String::new, |words| format!(", {words}"));
    format!("{} of {moment}, {bytes}{comma}{check}{note}{partial}, {path}{damaged}", last.number)
}
