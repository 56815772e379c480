//! Names as a person pastes them into a shell, in the commands that hints show.

use std::path::Path;

/// The name of a file in quotes, so that a shell takes it for one word, as it is: with spaces, quotes of its own, and
/// whatever else means something to a shell.
///
/// What cannot be shown on a line, or is no text, is spelled out in the form `$'\n'` that bash, zsh and POSIX shells
/// of today read.
pub fn quoted<P: AsRef<Path> + ?Sized>(path: &P) -> String {
    #[cfg(windows)]
    {
        // No name there holds a double quote.
        format!("\"{}\"", path.as_ref().display())
    }
    #[cfg(not(windows))]
    {
        quoted_for_sh(path.as_ref().as_os_str().as_encoded_bytes())
    }
}

#[cfg(not(windows))]
fn quoted_for_sh(name: &[u8]) -> String {
    // What begins with a dash would be an option.
    let lead = if name.first() == Some(&b'-') { "./" } else { "" };
    match std::str::from_utf8(name) {
        Ok(text) if super::foreign::foreign(text).to_string() == text => {
            format!("'{lead}{}'", text.replace('\'', r"'\''"))
        }
        _ => {
            let spelled: String = name.iter().map(|byte| spelled(*byte)).collect();
            format!("$'{lead}{spelled}'")
        }
    }
}

#[cfg(not(windows))]
fn spelled(byte: u8) -> String {
    match byte {
        b'\\' | b'\'' => format!("\\{}", char::from(byte)),
        b' '..=b'~' => char::from(byte).to_string(),
        // Always three digits: what follows cannot be taken for a part of it.
        _ => format!("\\{byte:03o}"),
    }
}

#[cfg(all(test, unix))]
mod tests {
    use std::{ffi::OsStr, os::unix::ffi::OsStrExt, process::Command};

    use super::*;

    #[test]
    fn names_are_in_quotes() {
        for (name, expected) in [
            ("/data/a.db", "'/data/a.db'"),
            ("/it's ü $(id) `x` \"y\"", r#"'/it'\''s ü $(id) `x` "y"'"#),
            ("-rf", "'./-rf'"),
            ("a\nb'\\c", r"$'a\012b\'\\c'"),
        ] {
            assert_eq!(quoted(name), expected);
        }
        assert_eq!(quoted(OsStr::from_bytes(b"/\xff\xfe1")), r"$'/\377\3761'");
    }

    #[test]
    fn a_shell_takes_them_for_what_they_are() -> std::io::Result<()> {
        let names: [&[u8]; 6] =
            [b"it's", b"a  b", b"$(id)`id`;*?~!#&|<>", b"\\n'\"", b"-n", "a\tb\x1b\u{202e}ü".as_bytes()];
        for name in names.into_iter().chain([&b"/\xff1"[..]]) {
            let given = quoted(OsStr::from_bytes(name));
            let said = Command::new("bash").args(["-c", &format!("printf %s {given}")]).output()?.stdout;
            let wanted = if name == b"-n" { b"./-n" } else { name };
            assert_eq!(said, wanted, "{given}");
        }
        Ok(())
    }
}
