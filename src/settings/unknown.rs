//! What stands in a settings file and means nothing: a mistyped name would silently leave a default in force.

use std::path::Path;

use toml_edit::{Item, Table};

use super::{
    NOTES,
    document::{self, place},
    keys::KEYS,
};
use crate::warning::{Warning, WarningKind};

/// More letters may not differ for one name to be meant by another.
const LETTERS_MAX: usize = 2;

/// Everything at the top of the file or in one of our sections that is no setting, each with its place, and the setting
/// that may be meant: `keep.lst at line 4, column 1 (did you mean keep.last?)`.
pub(super) fn unknown(text: &str, document: &Table) -> Vec<String> {
    let at = |span: Option<std::ops::Range<usize>>| {
        span.map_or_else(String::new, |span| format!(" at {}", place(text, span.start)))
    };
    let meant = |meant: Option<String>| meant.map_or_else(String::new, |name| format!(" (did you mean {name}?)"));
    let mut found = Vec::new();
    for (name, span) in document::keys(document) {
        let Some(item) = document.get(&name) else { continue };
        let is_section = KEYS.iter().any(|key| key.place().0 == name);
        match item.as_table_like() {
            Some(table) if is_section => {
                for (key, span) in document::keys(table) {
                    let full = format!("{name}.{key}");
                    if !NOTES.contains(&full.as_str()) && KEYS.iter().all(|known| known.name != full) {
                        found.push(format!("{full}{}{}", at(span), meant(setting(&name, &key))));
                    }
                }
            }
            Some(table) => {
                let keys: Vec<&str> = table.iter().map(|(key, _)| key).collect();
                found.push(format!("the section [{name}]{}{}", at(span), meant(section(&name, &keys))));
            }
            None if is_known(&name, item) => {}
            None => found.push(format!("{name}{}{}", at(span), meant(setting("", &name)))),
        }
    }
    found
}

fn is_known(name: &str, item: &Item) -> bool {
    item.is_none() || KEYS.iter().any(|key| key.name == name)
}

/// The setting that may be meant by `key` in `section`: one there, or else one of that name elsewhere.
pub fn setting(section: &str, key: &str) -> Option<String> {
    let own = KEYS.iter().filter(|known| known.place().0 == section && !known.is_own);
    let here = nearest(key, own.map(|known| known.place().1));
    if let Some(name) = here {
        return Some(if section.is_empty() { name.to_owned() } else { format!("{section}.{name}") });
    }
    let others = || KEYS.iter().filter(|known| !known.is_own);
    let same = others().find(|known| known.name.eq_ignore_ascii_case(key) || known.place().1.eq_ignore_ascii_case(key));
    same.map(|known| known.name.to_owned()).or_else(|| {
        let full = if section.is_empty() { key.to_owned() } else { format!("{section}.{key}") };
        nearest(&full, others().map(|known| known.name)).map(str::to_owned)
    })
}

/// The section that may be meant by `name`: one nearly called so, or else one that has all its `keys`.
fn section(name: &str, keys: &[&str]) -> Option<String> {
    let sections = || KEYS.iter().filter(|key| !key.is_own).map(|key| key.place().0).filter(|name| !name.is_empty());
    let has_all = |section: &&str| {
        !keys.is_empty() && keys.iter().all(|key| KEYS.iter().any(|known| known.place() == (*section, *key)))
    };
    nearest(name, sections()).or_else(|| sections().find(has_all)).map(|name| format!("[{name}]"))
}

/// The candidate that differs from `name` by its capitals or a letter or two, or that `name` is the beginning of.
fn nearest<'a>(name: &str, candidates: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let name = name.to_lowercase().replace('_', "-");
    let distance = |candidate: &str| strsim::damerau_levenshtein(&name, candidate);
    let is_near = |candidate: &str| {
        let letters = candidate.chars().count();
        distance(candidate) <= LETTERS_MAX.min(letters / 3) || name.len() >= 3 && candidate.starts_with(&name)
    };
    candidates.filter(|candidate| is_near(candidate)).min_by_key(|candidate| distance(candidate))
}

/// What is to be said of a name in `file` that means nothing, as it comes from [`SettingsFile::unknown`].
///
/// [`SettingsFile::unknown`]: super::SettingsFile::unknown
pub fn warning(file: &Path, unknown: &str) -> Warning {
    Warning::new(
        WarningKind::Settings,
        format!("the settings in {} hold {unknown}, which means nothing and is not followed", file.display()),
        "Correct the name in the file, or take it away; the command strongroom settings DATAFILE lists all \
         settings. No old backup is deleted until then.",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str) -> Result<Vec<String>, toml_edit::TomlError> {
        Ok(unknown(text, toml_edit::Document::parse(text)?.as_table()))
    }

    #[test]
    fn what_is_mistyped_is_told_with_what_may_be_meant() -> Result<(), toml_edit::TomlError> {
        for (text, expected) in [
            ("[keep]\nlastt = 7\n", "keep.lastt at line 2, column 1 (did you mean keep.last?)"),
            ("[keep]\nLast = 7\n", "keep.Last at line 2, column 1 (did you mean keep.last?)"),
            (
                "[keep]\ndelete_oldest = 'after'\n",
                "keep.delete_oldest at line 2, column 1 (did you mean keep.delete-oldest?)",
            ),
            (
                "[Destination]\nfolder = '/b'\n",
                "the section [Destination] at line 1, column 2 (did you mean [destination]?)",
            ),
            ("[retention]\nlast = 7\n", "the section [retention] at line 1, column 2 (did you mean [keep]?)"),
            ("[destination]\nlast = 7\n", "destination.last at line 2, column 1 (did you mean keep.last?)"),
            ("last = 7\n", "last at line 1, column 1 (did you mean keep.last?)"),
            ("on-finnish = []\n", "on-finnish at line 1, column 1 (did you mean on-finish?)"),
            (
                "[scheduler]\nfreq = 'every day'\n",
                "scheduler.freq at line 2, column 1 (did you mean scheduler.frequency?)",
            ),
            ("[keep]\ncolour = 'red'\n", "keep.colour at line 2, column 1"),
            ("[notes]\nx = 1\n", "the section [notes] at line 1, column 2"),
        ] {
            assert_eq!(found(text)?, [expected], "{text}");
        }
        Ok(())
    }

    #[test]
    fn what_is_known_is_not_told() -> Result<(), toml_edit::TomlError> {
        let text = "on-finish = ['/bin/mail']\nkeep.daily = 3\ndata-file.name = 'a.db'\n[log]\nfile = '/a.journal'\n";
        assert_eq!(found(text)?, Vec::<String>::new());
        Ok(())
    }
}
