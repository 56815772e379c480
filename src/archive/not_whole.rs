//! What was chosen for an archive and is not in it, or not whole: such an archive is *partial*.
//!
//! Its description names the files; how many there are stands in its index, and at its end, where a list finds it.

use serde::{Deserialize, Serialize};
use toml_edit::{DocumentMut, Table};

use super::{
    format::{self, ItemKind},
    lawful::{ATTACHMENTS, PROGRAM},
    reader::Archive,
};
use crate::{
    control::Control,
    error::{Error, ErrorKind, Result},
};

/// More of a description is not read: what is looked for stands before the list of all files, and takes far less.
const TEXT_MAX: u64 = 4 << 20;
/// What follows in a description names every file of the archive.
const FILES: &str = "\n[[file]]\n";

/// One file that is not, or not whole, in an archive.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContentProblem {
    /// Its full path, as far as it can be written.
    pub path: String,
    /// Why.
    pub reason: String,
}

/// Whether all that was chosen is in an archive, from the worst to the best.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Completeness {
    /// Something is not in it, or not whole.
    Partial,
    /// It does not say: an earlier version made it.
    NotSaid,
    /// All of it is.
    Whole,
}

impl Completeness {
    /// What follows from the number of files that are not in it, or not whole.
    pub fn of(not_whole: Option<u32>) -> Self {
        match not_whole {
            Some(0) => Self::Whole,
            Some(_) => Self::Partial,
            None => Self::NotSaid,
        }
    }
}

/// What a list says of an archive with so many files that are not in it, or not whole; `None` of one that is whole, or
/// does not say.
pub fn in_list(not_whole: Option<u32>) -> Option<String> {
    missing_in_words(not_whole).map(|missing| format!("PARTIAL: {missing}"))
}

/// The same without the word for it.
pub fn missing_in_words(not_whole: Option<u32>) -> Option<String> {
    match not_whole {
        None | Some(0) => None,
        Some(1) => Some("1 chosen file or folder is missing or not whole".to_owned()),
        Some(n) => Some(format!("{n} chosen files or folders are missing or not whole")),
    }
}

/// The first of the problems, and how many there are, in one sentence; `None` without any.
pub fn problems_in_words(problems: &[ContentProblem], count: u64) -> Option<String> {
    let first = problems.first()?;
    let more = match count.saturating_sub(1) {
        0 => String::new(),
        1 => ", and 1 more".to_owned(),
        n => format!(", and {n} more"),
    };
    Some(format!("{} {}{more}", first.path, first.reason))
}

/// What is not in an archive, or not whole.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NotWhole {
    /// How many files and folders.
    pub count: u64,
    /// The first 100 of them.
    pub problems: Vec<ContentProblem>,
}

impl NotWhole {
    /// What the description of `archive` says; `None` where all that was chosen is in it, and whole.
    ///
    /// # Errors
    /// When the description cannot be read or understood; `Stopped`.
    pub fn of(archive: &Archive, control: &Control) -> Result<Option<Self>> {
        let said = format::not_whole(archive.items());
        if said == Some(0) {
            return Ok(None);
        }
        let Some(document) = description(archive, control)? else { return Ok(None) };
        let problems: Vec<ContentProblem> = tables(&document, "not-whole")
            .map(|table| ContentProblem { path: text(table, "path"), reason: text(table, "reason") })
            .collect();
        let count = said.map_or(problems.len() as u64, u64::from);
        Ok((count > 0).then_some(Self { count, problems }))
    }

    /// As [`asked_for`](Self::asked_for); what cannot be known is said as one of the problems.
    ///
    /// # Errors
    /// `Stopped`.
    pub fn as_far_as_known(archive: &Archive, wanted: &[String], control: &Control) -> Result<Option<Self>> {
        match Self::asked_for(archive, wanted, control) {
            Err(error) if error.kind() != ErrorKind::Stopped => {
                let reason = "has a description that cannot be read: what of the chosen files is missing is not known";
                let problem = ContentProblem { path: archive.path().display().to_string(), reason: reason.to_owned() };
                Ok(Some(Self { count: 1, problems: vec![problem] }))
            }
            known => known,
        }
    }

    /// What of it concerns a restore of the items `wanted`, of all where there are none.
    ///
    /// # Errors
    /// As [`of`](Self::of).
    pub fn asked_for(archive: &Archive, wanted: &[String], control: &Control) -> Result<Option<Self>> {
        if !wanted.is_empty() && !wanted.iter().any(|wanted| is_content(wanted)) {
            return Ok(None);
        }
        let Some(all) = Self::of(archive, control)? else { return Ok(None) };
        if wanted.is_empty() {
            return Ok(Some(all));
        }
        let Some(document) = description(archive, control)? else { return Ok(None) };
        let chosen: Vec<(String, String)> =
            tables(&document, "chosen").map(|table| (text(table, "path"), text(table, "name"))).collect();
        let concerns = |problem: &ContentProblem| {
            // Of what lies below no chosen folder it is not known under which name it would be in the archive.
            let names = chosen.iter().filter_map(|(path, name)| {
                let rest = problem.path.strip_prefix(path.as_str())?;
                (rest.is_empty() || rest.starts_with('/')).then(|| format!("{name}{rest}"))
            });
            let names: Vec<String> = names.collect();
            let lies_in = |name: &str, above: &str| {
                name.strip_prefix(above).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
            };
            wanted.iter().any(|wanted| match names.as_slice() {
                [] => is_content(wanted),
                names => names.iter().any(|name| lies_in(name, wanted)),
            })
        };
        let unnamed = all.count - (all.problems.len() as u64).min(all.count);
        let problems: Vec<ContentProblem> = all.problems.into_iter().filter(concerns).collect();
        // Where they are that the description only counts is not known: they may be among what is wanted.
        let unnamed = if wanted.iter().any(|wanted| is_content(wanted)) { unnamed } else { 0 };
        let count = problems.len() as u64 + unnamed;
        Ok((count > 0).then_some(Self { count, problems }))
    }

    /// As one sentence.
    pub fn in_words(&self) -> String {
        problems_in_words(&self.problems, self.count)
            .unwrap_or_else(|| format!("{} files, which its description does not name", self.count))
    }

    /// What is to be said of them one by one.
    pub fn lines(&self) -> Vec<String> {
        let mut lines: Vec<String> =
            self.problems.iter().map(|problem| format!("{} {}", problem.path, problem.reason)).collect();
        match self.count.saturating_sub(lines.len() as u64) {
            0 => {}
            n => lines.push(format!("and {n} more")),
        }
        lines
    }
}

/// Whether an item of this name, or the folder, holds what was chosen besides the data file.
fn is_content(name: &str) -> bool {
    name.starts_with(ATTACHMENTS) || name.starts_with(PROGRAM)
}

fn tables<'a>(document: &'a DocumentMut, name: &str) -> impl Iterator<Item = &'a Table> {
    document.get(name).and_then(toml_edit::Item::as_array_of_tables).into_iter().flatten()
}

fn text(table: &Table, key: &str) -> String {
    table.get(key).and_then(toml_edit::Item::as_str).unwrap_or_default().to_owned()
}

/// The description of an archive, as far as it does not name every file; `None` of an archive without one.
fn description(archive: &Archive, control: &Control) -> Result<Option<DocumentMut>> {
    let Some(item) = archive.items().iter().find(|item| item.kind == ItemKind::Manifest) else { return Ok(None) };
    let unusable = || {
        let path = archive.path().display();
        Error::new(ErrorKind::Damaged, format!("the description in {path} cannot be understood"))
            .about(archive.path())
            .hint("What is missing in this archive is not known. The files that it lists can be restored.")
    };
    let mut bytes = Vec::new();
    archive.stream(item.offset, item.offset + item.length.min(TEXT_MAX), control, &mut |_, piece| {
        bytes.extend_from_slice(piece);
        Ok(())
    })?;
    // It may have been cut off within a letter.
    let text = String::from_utf8_lossy(&bytes);
    let short = text.split_once(FILES).and_then(|(text, _)| text.parse::<DocumentMut>().ok());
    // A name may hold the same words: then all of it is read.
    let all = || (item.length <= TEXT_MAX).then(|| text.parse::<DocumentMut>().ok()).flatten();
    short.or_else(all).map(Some).ok_or_else(unusable)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_partial_is_less_than_what_does_not_say_and_that_less_than_what_is_whole() {
        let order = [Some(3), None, Some(0)].map(Completeness::of);
        assert!(order.is_sorted() && order[0] < order[1] && order[1] < order[2]);
        assert_eq!([None, Some(0)].map(in_list), [None, None]);
        assert_eq!(in_list(Some(1)).as_deref(), Some("PARTIAL: 1 chosen file or folder is missing or not whole"));
    }
}
