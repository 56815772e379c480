//! Text that somebody else wrote: names of files, tables and records, notes, messages of an engine that another user
//! runs.
//!
//! A name may hold a line break, and forge a line of a report; or an escape code, and take over a terminal; or a sign
//! that turns the direction of writing, and show another name than it is. So such text is shown with these characters
//! spelled out. Where it is the name of a file, the file itself is meant by its real name everywhere else.

use std::{
    borrow::Cow,
    fmt::{self, Write},
    path::Path,
};

use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;

/// Foreign text in one line, with nothing in it that a terminal or a desktop obeys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Foreign<'a>(Cow<'a, str>);

/// Foreign text, to be shown.
pub fn foreign(text: &str) -> Foreign<'_> {
    Foreign(Cow::Borrowed(text))
}

/// The name of a file or folder, to be shown.
pub fn shown<P: AsRef<Path> + ?Sized>(path: &P) -> Foreign<'_> {
    Foreign(path.as_ref().to_string_lossy())
}

/// What a terminal obeys, or what makes text look like other text.
fn is_obeyed(letter: char) -> bool {
    letter.is_control()
        || matches!(letter, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
}

impl fmt::Display for Foreign<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_plain(f, &self.0, false)
    }
}

fn write_plain(to: &mut impl Write, text: &str, keeps_lines: bool) -> fmt::Result {
    for letter in text.chars() {
        match letter {
            '\n' if keeps_lines => to.write_char('\n')?,
            '\n' => to.write_str("\\n")?,
            '\r' => to.write_str("\\r")?,
            '\t' => to.write_str("\\t")?,
            letter if is_obeyed(letter) => write!(to, "\\u{{{:x}}}", u32::from(letter))?,
            letter => to.write_char(letter)?,
        }
    }
    Ok(())
}

/// Text in one line; the same text where there is nothing to spell out.
pub fn in_one_line(text: String) -> String {
    if text.chars().any(is_obeyed) { foreign(&text).to_string() } else { text }
}

/// Text in its own lines, for whatever is the last to see it before a terminal does.
pub fn in_lines(text: &str) -> Cow<'_, str> {
    if !text.chars().any(|letter| letter != '\n' && is_obeyed(letter)) {
        return Cow::Borrowed(text);
    }
    let mut plain = String::new();
    // Writing to a text does not fail.
    let _ = write_plain(&mut plain, text, true);
    Cow::Owned(plain)
}

/// JSON with the same meaning, and nothing in it that a terminal obeys: JSON itself spells out only a part of that.
pub fn in_json(text: &str) -> Cow<'_, str> {
    if !text.chars().any(is_obeyed) {
        return Cow::Borrowed(text);
    }
    let mut plain = String::new();
    for letter in text.chars() {
        // They stand in texts only, and all of them have four digits.
        let _ = match is_obeyed(letter) {
            true => write!(plain, "\\u{:04x}", u32::from(letter)),
            false => plain.write_char(letter),
        };
    }
    Cow::Owned(plain)
}

/// A value for people to read: with every text in it spelled out in one line. `None` where the value cannot be taken
/// apart, because a name in it is no text.
pub fn plain<T: Serialize + DeserializeOwned>(value: &T) -> Option<T> {
    let mut taken = serde_json::to_value(value).ok()?;
    spell_out(&mut taken);
    serde_json::from_value(taken).ok()
}

fn spell_out(value: &mut Value) {
    match value {
        Value::String(text) => *text = in_one_line(std::mem::take(text)),
        Value::Array(list) => list.iter_mut().for_each(spell_out),
        Value::Object(fields) => {
            *fields = std::mem::take(fields)
                .into_iter()
                .map(|(name, mut value)| {
                    spell_out(&mut value);
                    (in_one_line(name), value)
                })
                .collect();
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOSTILE: &str = "a\nBackup 0001 is sound\r\u{1b}[2J\u{9b}31m\t\u{202e}txt\u{7f}\u{2028}ä文<b>";

    #[test]
    fn nothing_is_left_that_a_terminal_obeys() {
        let expected = "a\\nBackup 0001 is sound\\r\\u{1b}[2J\\u{9b}31m\\t\\u{202e}txt\\u{7f}\\u{2028}ä文<b>";
        assert_eq!(foreign(HOSTILE).to_string(), expected);
        assert_eq!(shown(Path::new(HOSTILE)).to_string(), expected);
        assert_eq!(in_one_line(HOSTILE.to_owned()), expected);
        assert_eq!(in_lines("one\ntwo"), "one\ntwo");
        assert_eq!(in_lines("one\ntwo\u{1b}"), "one\ntwo\\u{1b}");
        assert_eq!(foreign("Zürich 文 👩‍👩‍👧 a\\b").to_string(), "Zürich 文 👩‍👩‍👧 a\\b");
    }

    #[test]
    fn values_keep_their_shape_and_json_its_meaning() -> Result<(), Box<dyn std::error::Error>> {
        let value: Value = serde_json::json!({ HOSTILE: [HOSTILE, 1, null, true], "b": { "c": HOSTILE } });
        let shown = plain(&value).ok_or("lost")?;
        assert!(!shown.to_string().chars().any(is_obeyed), "{shown}");
        assert_eq!(shown["b"]["c"], foreign(HOSTILE).to_string());
        let text = serde_json::to_string(&value)?;
        let safe = in_json(&text);
        assert!(!safe.chars().any(is_obeyed), "{safe}");
        assert_eq!(serde_json::from_str::<Value>(&safe)?, value);
        Ok(())
    }
}
