//! Records: the values that the bytes of a cell stand for.

use std::{borrow::Cow, cmp::Ordering};

use super::page::{Encoding, varint};

/// A value as it is stored.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Value<'a> {
    /// None.
    Null,
    /// A whole number.
    Integer(i64),
    /// A number with a fraction.
    Real(f64),
    /// Text, in the form of the data file.
    Text(&'a [u8], Encoding),
    /// Bytes.
    Blob(&'a [u8]),
}

/// A value that is kept.
#[derive(Debug, Clone, PartialEq)]
pub enum Kept {
    /// None.
    Null,
    /// A whole number.
    Integer(i64),
    /// A number with a fraction.
    Real(f64),
    /// Text, in the form of the data file.
    Text(Vec<u8>, Encoding),
    /// Bytes.
    Blob(Vec<u8>),
}

impl Kept {
    /// The value itself.
    pub fn as_value(&self) -> Value<'_> {
        match self {
            Kept::Null => Value::Null,
            Kept::Integer(number) => Value::Integer(*number),
            Kept::Real(number) => Value::Real(*number),
            Kept::Text(bytes, encoding) => Value::Text(bytes, *encoding),
            Kept::Blob(bytes) => Value::Blob(bytes),
        }
    }
}

impl<'a> Value<'a> {
    /// Keeps it.
    pub fn keep(self) -> Kept {
        match self {
            Value::Null => Kept::Null,
            Value::Integer(number) => Kept::Integer(number),
            Value::Real(number) => Kept::Real(number),
            Value::Text(bytes, encoding) => Kept::Text(bytes.to_vec(), encoding),
            Value::Blob(bytes) => Kept::Blob(bytes.to_vec()),
        }
    }

    /// Whether it is the same value, to the last bit.
    pub fn is_same(&self, other: &Value<'_>) -> bool {
        match (self, other) {
            (Value::Real(a), Value::Real(b)) => a.to_bits() == b.to_bits(),
            (Value::Text(a, form), Value::Text(b, other)) if form != other => in_utf8(a, *form) == in_utf8(b, *other),
            (a, b) => a == b,
        }
    }

    /// Of text: as Rust has it; `None` where it is not text in its own form.
    pub fn text(&self) -> Option<Cow<'a, str>> {
        match self {
            Value::Text(bytes, encoding) => in_utf8(bytes, *encoding),
            _ => None,
        }
    }
}

/// Text in UTF-8; `None` where it is not what its form says.
pub(super) fn in_utf8(bytes: &[u8], encoding: Encoding) -> Option<Cow<'_, str>> {
    let two = |pair: &[u8]| match encoding {
        Encoding::Utf16Be => u16::from_be_bytes([pair[0], pair[1]]),
        _ => u16::from_le_bytes([pair[0], pair[1]]),
    };
    match encoding {
        Encoding::Utf8 => std::str::from_utf8(bytes).ok().map(Cow::Borrowed),
        _ if !bytes.len().is_multiple_of(2) => None,
        _ => {
            let units: Vec<u16> = bytes.chunks_exact(2).map(two).collect();
            String::from_utf16(&units).ok().map(Cow::Owned)
        }
    }
}

/// The beginning of a text that ends with a whole letter, where its end is lost.
fn whole_letters(bytes: &[u8], encoding: Encoding) -> &[u8] {
    let end = match (encoding, std::str::from_utf8(bytes)) {
        (Encoding::Utf8, Err(error)) if error.error_len().is_none() => error.valid_up_to(),
        (Encoding::Utf8, _) => bytes.len(),
        _ => bytes.len() / 2 * 2,
    };
    bytes.get(..end).unwrap_or(bytes)
}

/// How texts of an index are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Collation {
    /// Byte by byte.
    Binary,
    /// Without regard to the case of the 26 letters.
    NoCase,
    /// Without regard to blanks at the end.
    RTrim,
    /// One that only the application has.
    Unknown,
}

impl Collation {
    /// The one with this name.
    pub fn named(name: &str) -> Self {
        match name.to_ascii_uppercase().as_str() {
            "BINARY" => Collation::Binary,
            "NOCASE" => Collation::NoCase,
            "RTRIM" => Collation::RTrim,
            _ => Collation::Unknown,
        }
    }

    fn compare(self, a: (&[u8], Encoding), b: (&[u8], Encoding)) -> Ordering {
        if matches!(self, Collation::Binary | Collation::Unknown) {
            return a.0.cmp(b.0);
        }
        let plain = |(bytes, form): (&[u8], Encoding)| in_utf8(bytes, form).map(|t| t.as_bytes().to_vec());
        let (Some(mut a), Some(mut b)) = (plain(a), plain(b)) else { return a.0.cmp(b.0) };
        if self == Collation::RTrim {
            let length = |text: &[u8]| text.iter().rposition(|c| *c != b' ').map_or(0, |last| last + 1);
            a.truncate(length(&a));
            b.truncate(length(&b));
        } else {
            a.make_ascii_lowercase();
            b.make_ascii_lowercase();
        }
        a.cmp(&b)
    }
}

/// Compares as SQLite does: nothing, then numbers, text, bytes.
pub fn compare(a: &Value<'_>, b: &Value<'_>, collation: Collation) -> Ordering {
    let class = |value: &Value<'_>| match value {
        Value::Null => 0,
        Value::Integer(_) | Value::Real(_) => 1,
        Value::Text(..) => 2,
        Value::Blob(_) => 3,
    };
    match (a, b) {
        (Value::Integer(a), Value::Integer(b)) => a.cmp(b),
        (Value::Real(a), Value::Real(b)) => a.partial_cmp(b).unwrap_or(Ordering::Equal),
        (Value::Integer(a), Value::Real(b)) => whole_to_real(*a, *b),
        (Value::Real(a), Value::Integer(b)) => whole_to_real(*b, *a).reverse(),
        (Value::Text(a, form), Value::Text(b, other)) => collation.compare((a, *form), (b, *other)),
        (Value::Blob(a), Value::Blob(b)) => a.cmp(b),
        (a, b) => class(a).cmp(&class(b)),
    }
}

fn whole_to_real(whole: i64, real: f64) -> Ordering {
    if real < -9_223_372_036_854_775_808.0 {
        return Ordering::Greater;
    }
    if real >= 9_223_372_036_854_775_808.0 {
        return Ordering::Less;
    }
    let cut = real as i64;
    whole.cmp(&cut).then_with(|| (cut as f64).partial_cmp(&real).unwrap_or(Ordering::Equal))
}

/// The values of a record, one after the other.
#[derive(Debug, Clone)]
pub struct Values<'a> {
    types: &'a [u8],
    at: usize,
    body: &'a [u8],
    encoding: Encoding,
}

impl<'a> Values<'a> {
    /// Of the bytes of a record; `None` where its own header does not fit into it.
    pub fn of(record: &'a [u8], encoding: Encoding) -> Option<Self> {
        let mut at = 0;
        let head = usize::try_from(varint(record, &mut at)?).ok()?;
        let (types, body) = record.split_at_checked(head)?;
        (at <= head).then_some(Self { types, at, body, encoding })
    }

    /// The next value; `None` at the end, and an error where it does not lie within the record.
    #[inline]
    pub fn next_value(&mut self) -> Option<Result<Value<'a>, ()>> {
        if self.at >= self.types.len() {
            return None;
        }
        Some(self.take().ok_or(()))
    }

    /// The next value of a record whose end is lost: of a text or of bytes as much as there is, of anything else
    /// nothing.
    pub(crate) fn next_cut(&mut self) -> Option<Value<'a>> {
        let mut at = self.at;
        let kind = varint(self.types, &mut at).filter(|_| self.at < self.types.len())?;
        if let Some(Ok(value)) = self.next_value() {
            return Some(value);
        }
        self.at = at;
        let left = std::mem::take(&mut self.body);
        Some(match kind {
            kind if kind >= 12 && kind % 2 == 0 => Value::Blob(left),
            kind if kind >= 13 => Value::Text(whole_letters(left, self.encoding), self.encoding),
            _ => Value::Null,
        })
    }

    #[inline]
    fn take(&mut self) -> Option<Value<'a>> {
        let kind = varint(self.types, &mut self.at)?;
        let length = match kind {
            0 | 8 | 9 => 0,
            1..=4 => kind as usize,
            5 => 6,
            6 | 7 => 8,
            // Kept for SQLite's own use, and never in a file.
            10 | 11 => return None,
            _ => usize::try_from((kind - 12) / 2).ok()?,
        };
        let (bytes, rest) = self.body.split_at_checked(length)?;
        self.body = rest;
        Some(match kind {
            0 => Value::Null,
            8 => Value::Integer(0),
            9 => Value::Integer(1),
            7 => {
                let mut word = [0; 8];
                word.copy_from_slice(bytes);
                let number = f64::from_be_bytes(word);
                // SQLite shows such a thing as nothing.
                if number.is_nan() { Value::Null } else { Value::Real(number) }
            }
            1..=6 => {
                let sign = if bytes.first().is_some_and(|first| *first >= 0x80) { -1 } else { 0 };
                Value::Integer(bytes.iter().fold(sign, |number, byte| number << 8 | i64::from(*byte)))
            }
            kind if kind % 2 == 0 => Value::Blob(bytes),
            _ => Value::Text(bytes, self.encoding),
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn values_are_compared_as_sqlite_does() {
        let text = |text: &'static str| Value::Text(text.as_bytes(), Encoding::Utf8);
        let order = [
            Value::Null,
            Value::Integer(i64::MIN),
            Value::Real(-1.5),
            Value::Integer(-1),
            Value::Integer(1 << 53),
            Value::Integer((1 << 53) + 1),
            Value::Real(1e19),
            text("A"),
            text("a"),
            Value::Blob(b""),
        ];
        for (n, a) in order.iter().enumerate() {
            for (m, b) in order.iter().enumerate() {
                assert_eq!(compare(a, b, Collation::Binary), n.cmp(&m), "{a:?} {b:?}");
            }
        }
        assert_eq!(compare(&text("Ab"), &text("aB"), Collation::NoCase), Ordering::Equal);
        assert_eq!(compare(&text("a  "), &text("a"), Collation::RTrim), Ordering::Equal);
        assert_eq!(compare(&Value::Integer(3), &Value::Real(3.0), Collation::Binary), Ordering::Equal);
    }

    #[test]
    fn of_a_record_whose_end_is_lost_is_read_what_there_is() {
        // A number, a text of 6 bytes, a number.
        let record = [4, 1, 25, 2, 7, b'a', b'b', b'c', 0xc3, 0xa4, b'd', 1, 2];
        let of = |length: usize| {
            let mut values = Values::of(&record[..length], Encoding::Utf8)?;
            Some(std::iter::from_fn(|| values.next_cut().map(Value::keep)).collect::<Vec<_>>())
        };
        let text = |text: &str| Kept::Text(text.as_bytes().to_vec(), Encoding::Utf8);
        assert_eq!(of(13), Some(vec![Kept::Integer(7), text("abcäd"), Kept::Integer(258)]));
        assert_eq!(of(12), Some(vec![Kept::Integer(7), text("abcäd"), Kept::Null]));
        assert_eq!(of(9), Some(vec![Kept::Integer(7), text("abc"), Kept::Null]));
        assert_eq!(of(4), Some(vec![Kept::Null, text(""), Kept::Null]));
        assert_eq!(of(3), None);
    }

    proptest! {
        #[test]
        fn any_bytes_are_values_or_none(bytes in prop::collection::vec(any::<u8>(), 0..60)) {
            if let Some(mut values) = Values::of(&bytes, Encoding::Utf16Le) {
                while let Some(Ok(value)) = values.next_value() {
                    let _ = value.text();
                }
            }
        }
    }
}
