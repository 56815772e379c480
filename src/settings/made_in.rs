//! Where the archives of a data file were made, from which number on: by that, those of a copy that lives at the same
//! path elsewhere, as in another container, are told from its own although they name the same identity and path.

use serde::{Deserialize, Serialize};

use super::Settings;
use crate::{archive::ArchiveNumber, storage::installation::Installation};

/// More are not noted; of the numbers before nothing is known then.
const NOTED_MAX: usize = 64;

/// From this number on, archives were made there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct MadeIn {
    /// The first number.
    pub from: ArchiveNumber,
    /// Where.
    pub installation: Installation,
}

impl MadeIn {
    /// As it stands in the settings: number and place.
    pub(super) fn in_text(&self) -> String {
        format!("{} {}", self.from.0, self.installation)
    }

    pub(super) fn parse(text: &str) -> Option<Self> {
        let (from, installation) = text.split_once(' ')?;
        Some(Self { from: ArchiveNumber(from.parse().ok()?), installation: installation.parse().ok()? })
    }
}

impl Settings {
    /// Notes that archives are made `here` from now on; true when that is new.
    pub fn note_made_in(&mut self, here: Installation) -> bool {
        let from = self.next_from();
        if self.made_in.last().is_some_and(|last| last.installation == here) {
            return false;
        }
        // A place that made none in between is not worth a line.
        self.made_in.retain(|noted| noted.from < from);
        self.made_in.push(MadeIn { from, installation: here });
        let surplus = self.made_in.len().saturating_sub(NOTED_MAX);
        self.made_in.drain(..surplus);
        true
    }

    /// The number after the last one that is noted.
    fn next_from(&self) -> ArchiveNumber {
        ArchiveNumber(self.last_number).next()
    }

    /// Whether a log that was last written for the file `writer` can go on for this data file, which is `here` now: it
    /// was written here, or for a file that this data file was before, on this machine or the one that it came from.
    pub fn may_have_written(&self, writer: Option<Installation>, here: Option<Installation>) -> bool {
        let (Some(writer), Some(last)) = (writer, self.made_in.last()) else { return true };
        let was_here = || {
            let is_here = here.is_some_and(|here| here.is_same_machine(writer));
            is_here && self.made_in.iter().any(|noted| noted.installation == writer)
        };
        here == Some(writer) || here != Some(last.installation) && writer == last.installation || was_here()
    }

    /// Whether an archive with this number that was made `there` can be of this data file, which is `here` now. What is
    /// not known to be of another one is its own.
    pub fn may_have_made(
        &self,
        number: ArchiveNumber,
        there: Option<Installation>,
        here: Option<Installation>,
    ) -> bool {
        let Some(there) = there else { return true };
        if here == Some(there) || self.made_in.is_empty() {
            return true;
        }
        // It is somewhere else now than when it noted its last archive: it has made none there yet.
        let is_moved = here.is_some() && self.made_in.last().map(|last| last.installation) != here;
        if is_moved && number >= self.next_from() {
            return false;
        }
        let noted = self.made_in.iter().rfind(|noted| noted.from <= number);
        noted.is_none_or(|noted| noted.installation == there)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_another_one_made_is_known_by_number_and_place() -> Result<(), Box<dyn std::error::Error>> {
        let place = |digit: char| digit.to_string().repeat(16).parse::<Installation>().map_err(|()| "no place");
        let (a, b, c) = (place('a')?, place('b')?, place('c')?);
        let number = ArchiveNumber;
        let mut first = Settings::default();
        // Nothing is noted by an older version.
        assert!(first.may_have_made(number(1), Some(b), Some(a)));
        assert!(first.note_made_in(a) && !first.note_made_in(a));
        first.last_number = 1;
        let mut copy = first.clone();
        // The copy has made none yet: what the first one made since is not its own.
        assert!(copy.may_have_made(number(1), Some(a), Some(b)));
        assert!(!copy.may_have_made(number(2), Some(a), Some(b)));
        assert!(copy.note_made_in(b));
        copy.last_number = 3;
        assert!(copy.may_have_made(number(1), Some(a), Some(b)) && copy.may_have_made(number(3), Some(b), Some(b)));
        assert!(!copy.may_have_made(number(2), Some(a), Some(b)) && !copy.may_have_made(number(4), Some(a), Some(b)));
        assert!(!first.may_have_made(number(3), Some(b), Some(a)) && first.may_have_made(number(4), Some(a), Some(a)));
        // A data file that is moved keeps what it made; a file that is gone says nothing of where it is.
        assert!(copy.may_have_made(number(3), Some(b), Some(c)) && copy.may_have_made(number(4), Some(b), None));
        // What is made here is its own whatever an older state of the settings says.
        assert!(first.may_have_made(number(9), Some(c), Some(c)));
        assert!(copy.may_have_made(number(2), None, Some(b)));
        // The log of each is not that of the other, once both have written.
        assert!(first.may_have_written(Some(a), Some(a)) && first.may_have_written(None, Some(a)));
        assert!(first.may_have_written(Some(a), Some(c)), "it was moved");
        assert!(!first.may_have_written(Some(b), Some(a)) && !copy.may_have_written(Some(a), Some(b)));
        assert!(Settings::default().may_have_written(Some(b), Some(a)), "an older version noted nothing");
        // A file that was put in its place on the same machine, and another one after it, before the log went on.
        let file = |digit: char| format!("aaaaaaaa{}", digit.to_string().repeat(8)).parse().map_err(|()| "no place");
        let mut replaced = first.clone();
        assert!(replaced.note_made_in(file('1')?));
        assert!(replaced.may_have_written(Some(a), Some(file('2')?)) && replaced.may_have_written(Some(a), Some(a)));
        for nth in 0..200 {
            copy.note_made_in(if nth % 2 == 0 { c } else { b });
            copy.last_number += 1;
        }
        assert_eq!(copy.made_in.len(), NOTED_MAX);
        for noted in &copy.made_in {
            assert_eq!(MadeIn::parse(&noted.in_text()), Some(*noted));
        }
        Ok(())
    }
}
