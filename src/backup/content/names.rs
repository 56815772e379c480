//! Names in an archive: safe everywhere, and each given once.

use std::{collections::HashSet, ffi::OsStr};

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

/// One part of a path as it can stand in an archive: text without control characters, backslashes or, since Windows can
/// not have them, colons there. What can not stand is written as `%` and two hexadecimal digits per byte.
pub(super) fn safe(part: &OsStr) -> String {
    let mut name = String::new();
    for chunk in part.as_encoded_bytes().utf8_chunks() {
        for c in chunk.valid().chars() {
            if c.is_control() || c == '\\' || c == ':' && cfg!(windows) {
                let mut bytes = [0; 4];
                c.encode_utf8(&mut bytes).bytes().for_each(|b| name += &format!("%{b:02X}"));
            } else {
                name.push(c);
            }
        }
        chunk.invalid().iter().for_each(|b| name += &format!("%{b:02X}"));
    }
    name
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::archive::reader::safe_name;

    #[test]
    fn names_are_given_once() {
        let mut names = Names::new(&["Attachments/a.b".to_owned()]);
        let given = ["Attachments/a.b", "Attachments/a.b", "Attachments/.rc", "Attachments/.rc", "x", "x"];
        let expected =
            ["Attachments/a (2).b", "Attachments/a (3).b", "Attachments/.rc", "Attachments/.rc (2)", "x", "x (2)"];
        assert_eq!(given.map(|name| names.unique(name)), expected);
    }

    #[test]
    fn what_can_not_stand_in_a_name_is_written_out() {
        for (part, expected) in [("Büro.txt", "Büro.txt"), ("a\nb", "a%0Ab"), ("a\\b", "a%5Cb"), ("\u{85}", "%C2%85")]
        {
            assert_eq!(safe(OsStr::new(part)), expected);
            assert!(safe_name(&safe(OsStr::new(part))).is_ok());
        }
        #[cfg(unix)]
        {
            let part = <OsStr as std::os::unix::ffi::OsStrExt>::from_bytes(b"a\xff\xfeb");
            assert_eq!(safe(part), "a%FF%FEb");
        }
    }
}
