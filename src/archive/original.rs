//! Names that an archive cannot hold as they are. Names in an archive are text, safe everywhere: what cannot stand in
//! them is written out. The bytes that a file had for its name are kept beside, so that a restore gives it the same.

use std::{
    ffi::OsStr,
    path::{Path, PathBuf},
};

use super::{
    format::{Item, ItemKind},
    reader::safe_name,
};
use crate::error::{Error, ErrorKind, Result};

/// No path is longer, in bytes.
const LENGTH_MAX: usize = 4096;

/// One part of a path as it can stand in an archive: text without control characters, backslashes or, since Windows
///  cannot have them, colons there. What cannot stand is written as `%` and two hexadecimal digits per byte.
pub fn safe(part: &OsStr) -> String {
    written_out(part.as_encoded_bytes())
}

fn written_out(part: &[u8]) -> String {
    let mut name = String::new();
    for chunk in part.utf8_chunks() {
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

/// The bytes of a path as they stand in the list of files.
pub fn encode(path: &[u8]) -> String {
    path.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn decode(text: &str) -> Option<Vec<u8>> {
    let digits = text.as_bytes();
    let is_plain = digits.len().is_multiple_of(2) && digits.iter().all(u8::is_ascii_hexdigit);
    let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok();
    if is_plain { digits.chunks(2).map(byte).collect() } else { None }
}

/// A path as it can be shown and written to text: one that is no text, written out.
pub fn in_text(path: &Path) -> PathBuf {
    match path.to_str() {
        Some(_) => path.to_path_buf(),
        None => path.iter().map(safe).collect(),
    }
}

impl Item {
    /// Where a restore puts it, below the folder to restore into.
    ///
    /// # Errors
    /// [`ErrorKind::UnsafePath`] for a name that could lead elsewhere, and for bytes that the name was not made from.
    pub fn path(&self) -> Result<PathBuf> {
        let name = safe_name(&self.name)?;
        let Some(original) = &self.original else { return Ok(name) };
        let bytes = decode(original).filter(|bytes| is_made_from(&self.name, bytes)).ok_or_else(|| {
            Error::new(ErrorKind::UnsafePath, format!("the archive gives {:?} a name that is not its own", self.name))
        })?;
        #[cfg(unix)]
        {
            Ok(PathBuf::from(<OsStr as std::os::unix::ffi::OsStrExt>::from_bytes(&bytes)))
        }
        // Elsewhere there may be no such names.
        #[cfg(not(unix))]
        {
            let _ = bytes;
            Ok(name)
        }
    }

    /// Whether it may have other bytes for a name at all.
    pub(super) fn may_have_original(&self) -> bool {
        let is_ours = matches!(self.kind, ItemKind::DataFile | ItemKind::Settings | ItemKind::Manifest);
        !is_ours || self.original.is_none()
    }
}

/// Whether `name` is what a backup makes of the path `bytes`: part by part its written-out form, or that with a number
/// where another file has the same.
fn is_made_from(name: &str, bytes: &[u8]) -> bool {
    let (names, parts): (Vec<&str>, Vec<&[u8]>) = (name.split('/').collect(), bytes.split(|b| *b == b'/').collect());
    let is_part = |(name, part): (&&str, &&[u8])| {
        let is_plain = !part.is_empty() && *part != b"." && *part != b".." && !part.contains(&0);
        is_plain && is_form_of(name, &written_out(part))
    };
    bytes.len() <= LENGTH_MAX
        && names.len() == parts.len()
        // The folder of the kind is ours.
        && names.first().map(|name| name.as_bytes()) == parts.first().copied()
        && names.iter().zip(&parts).all(is_part)
}

/// Whether `name` is `plain`, or that with ` (2)`, ` (3)` … before the extension.
fn is_form_of(name: &str, plain: &str) -> bool {
    let (stem, end) = match plain.rfind('.') {
        Some(at) if at > 0 => plain.split_at(at),
        _ => (plain, ""),
    };
    let number = name.strip_prefix(stem).and_then(|rest| rest.strip_suffix(end));
    let number = number.and_then(|number| number.strip_prefix(" (")?.strip_suffix(')'));
    name == plain || number.is_some_and(|n| !n.is_empty() && n.bytes().all(|b| b.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use super::*;

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

    fn item(name: &str, original: &[u8]) -> Item {
        Item {
            name: name.to_owned(),
            kind: ItemKind::Attachment,
            offset: 0,
            length: 0,
            blake3: String::new(),
            mode: 0,
            modified: 0,
            owner: None,
            target: None,
            not_whole: None,
            original: Some(encode(original)),
        }
    }

    #[cfg(unix)]
    #[test]
    fn bytes_come_back_only_where_the_name_was_made_from_them() -> Result<()> {
        use std::os::unix::ffi::OsStrExt;
        for (name, bytes) in [
            ("Attachments/a%FF.txt", &b"Attachments/a\xff.txt"[..]),
            ("Attachments/a%FF (2).txt", b"Attachments/a\xff.txt"),
            ("Attachments/%0A/x%5Cy", b"Attachments/\n/x\\y"),
            ("Attachments/a%FF (3)", b"Attachments/a%FF"),
        ] {
            assert_eq!(item(name, bytes).path()?.as_os_str().as_bytes(), bytes, "{name}");
        }
        for (name, bytes) in [
            ("Attachments/a", &b"Attachments/b"[..]),
            ("Attachments/a", b"/etc/a"),
            ("Attachments/a", b"Attachments/../a"),
            ("Attachments/..a", b"Attachments/.."),
            ("Attachments/a/b", b"Attachments/a"),
            ("Attachments/a%00", b"Attachments/a\0"),
            ("Attachments/a", b"Program/a"),
            ("Attachments/a (2).txt", b"Attachments/b.txt"),
            ("Attachments/a ().txt", b"Attachments/a.txt"),
            ("Attachments/%0Ax", b"\nx"),
        ] {
            assert!(item(name, bytes).path().is_err(), "{name}");
        }
        for wrong in ["4", "zz", "+1", "é"] {
            let item = Item { original: Some(wrong.to_owned()), ..item("Attachments/a", b"") };
            assert!(item.path().is_err(), "{wrong}");
        }
        Ok(())
    }

    #[cfg(unix)]
    #[test]
    fn what_is_no_text_is_shown_written_out() {
        let path = Path::new(<OsStr as std::os::unix::ffi::OsStrExt>::from_bytes(b"/to/a\xff/b\nc"));
        assert_eq!(in_text(path), Path::new("/to/a%FF/b%0Ac"));
        assert_eq!(in_text(Path::new("/to/b\nc")), Path::new("/to/b\nc"));
    }
}
