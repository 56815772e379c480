//! A value as people look at it: the beginning of a long one.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use super::{operation::hexadecimal, record::Value};

/// A value, or the beginning of a long one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Shown {
    /// None.
    Null,
    /// A number.
    Number(String),
    /// Text.
    Text {
        /// The text, or its beginning.
        text: String,
        /// How many bytes all of it has.
        bytes: u64,
    },
    /// Bytes, or text that is none in its own form.
    Bytes {
        /// They, or the first of them, in hexadecimal digits.
        hex: String,
        /// How many there are.
        bytes: u64,
        /// Whether it is meant to be text.
        is_text: bool,
    },
}

impl Shown {
    /// A value of which at most so many bytes are kept.
    pub fn of(value: &Value<'_>, text_max: usize, bytes_max: usize) -> Self {
        let binary = |bytes: &[u8], is_text| {
            let hex = hexadecimal(bytes.get(..bytes_max).unwrap_or(bytes));
            Shown::Bytes { hex, bytes: bytes.len() as u64, is_text }
        };
        match value {
            Value::Null => Shown::Null,
            Value::Integer(number) => Shown::Number(number.to_string()),
            Value::Real(number) => Shown::Number(format!("{number:?}")),
            Value::Text(bytes, _) => match value.text() {
                Some(text) => {
                    let end = text.floor_char_boundary(text_max);
                    let beginning = text.get(..end).unwrap_or_default().to_owned();
                    Shown::Text { text: beginning, bytes: text.len() as u64 }
                }
                None => binary(bytes, true),
            },
            Value::Blob(bytes) => binary(bytes, false),
        }
    }

    /// Whether only its beginning is here.
    pub fn is_cut(&self) -> bool {
        match self {
            Shown::Null | Shown::Number(_) => false,
            Shown::Text { text, bytes } => (text.len() as u64) < *bytes,
            Shown::Bytes { hex, bytes, .. } => (hex.len() as u64 / 2) < *bytes,
        }
    }

    /// How many bytes are here.
    pub fn kept(&self) -> usize {
        match self {
            Shown::Null => 0,
            Shown::Number(text) | Shown::Text { text, .. } => text.len(),
            Shown::Bytes { hex, .. } => hex.len() / 2,
        }
    }

    /// How many bytes the value has: those of a number as it is written.
    pub fn bytes(&self) -> u64 {
        match self {
            Shown::Null => 0,
            Shown::Number(text) => text.len() as u64,
            Shown::Text { bytes, .. } | Shown::Bytes { bytes, .. } => *bytes,
        }
    }

    /// In a line, with at most `letters` of a text.
    pub fn in_words(&self, letters: usize) -> String {
        match self {
            Shown::Null => "NULL".to_owned(),
            Shown::Number(number) => number.clone(),
            Shown::Text { text, bytes } => match text.char_indices().nth(letters) {
                None if !self.is_cut() => format!("'{text}'"),
                at => format!("'{}… ({bytes} bytes)'", text.get(..at.map_or(text.len(), |at| at.0)).unwrap_or(text)),
            },
            Shown::Bytes { hex, is_text: false, .. } if hex.len() <= letters && !self.is_cut() => format!("x'{hex}'"),
            Shown::Bytes { bytes, is_text: false, .. } => format!("a BLOB of {bytes} bytes"),
            Shown::Bytes { bytes, .. } => format!("text that is none, {bytes} bytes"),
        }
    }

    /// What is searched, in small letters.
    pub fn searched(&self) -> Option<Cow<'_, str>> {
        match self {
            Shown::Number(text) => Some(Cow::Borrowed(text)),
            Shown::Text { text, .. } => Some(Cow::Owned(text.to_lowercase())),
            Shown::Null | Shown::Bytes { .. } => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::records::page::Encoding;

    #[test]
    fn a_long_value_is_cut_between_letters_and_says_so() {
        let text = "ä".repeat(64 << 10);
        let shown = Shown::of(&Value::Text(text.as_bytes(), Encoding::Utf8), 7, 7);
        assert_eq!(shown, Shown::Text { text: "äää".into(), bytes: 128 << 10 });
        assert!(shown.is_cut());
        assert_eq!(shown.in_words(2), "'ää… (131072 bytes)'");
        let blob = Shown::of(&Value::Blob(&[1, 2, 255]), 7, 2);
        assert_eq!(blob, Shown::Bytes { hex: "0102".into(), bytes: 3, is_text: false });
        assert_eq!(Shown::of(&Value::Blob(&[1, 2, 255]), 7, 7).in_words(60), "x'0102ff'");
        assert_eq!(Shown::of(&Value::Text(&[0xff], Encoding::Utf8), 7, 7).in_words(60), "text that is none, 1 bytes");
    }
}
