//! Names in an archive: safe everywhere, and each given once.

use std::collections::HashSet;

/// No name in an archive is longer, in bytes.
pub(super) const LENGTH_MAX: usize = 4096;

/// The names given away.
#[derive(Debug, Default)]
pub(super) struct Names(HashSet<String>);

impl Names {
    pub(super) fn new(taken: &[String]) -> Self {
        Self(taken.iter().cloned().collect())
    }

    /// `wanted`, or with ` (2)`, ` (3)` … before the extension when that name was given to something else.
    pub(super) fn unique(&mut self, wanted: &str) -> String {
        if self.0.insert(wanted.to_owned()) {
            return wanted.to_owned();
        }
        let (folder, file) = wanted.rsplit_once('/').map_or(("", wanted), |(folder, file)| (folder, file));
        let (stem, end) = match file.rfind('.') {
            Some(at) if at > 0 => file.split_at(at),
            _ => (file, ""),
        };
        let slash = if folder.is_empty() { "" } else { "/" };
        for n in 2u32.. {
            let name = format!("{folder}{slash}{stem} ({n}){end}");
            if self.0.insert(name.clone()) {
                return name;
            }
        }
        wanted.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_given_once() {
        let mut names = Names::new(&["Attachments/a.b".to_owned()]);
        let given = ["Attachments/a.b", "Attachments/a.b", "Attachments/.rc", "Attachments/.rc", "x", "x"];
        let expected =
            ["Attachments/a (2).b", "Attachments/a (3).b", "Attachments/.rc", "Attachments/.rc (2)", "x", "x (2)"];
        assert_eq!(given.map(|name| names.unique(name)), expected);
    }
}
