//! Values of records, kept to the last bit, and as SQL has them.

use std::hash::{Hash, Hasher};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::{
    error::foreign::foreign,
    records::{
        page::Encoding,
        record::{Kept, Value},
    },
};

/// Bytes that are sent as hexadecimal digits.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Bytes(pub Vec<u8>);

pub(super) fn hexadecimal(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digit = |number: u8| DIGITS.get(usize::from(number)).map_or('0', |digit| char::from(*digit));
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
}

impl Serialize for Bytes {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&hexadecimal(&self.0))
    }
}

impl<'de> Deserialize<'de> for Bytes {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = String::deserialize(from)?;
        let digit = |c: u8| char::from(c).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
        let byte = |pair: &[u8]| match pair {
            [a, b] => Some(digit(*a)? << 4 | digit(*b)?),
            _ => None,
        };
        let bytes: Option<Vec<u8>> = text.as_bytes().chunks(2).map(byte).collect();
        bytes.map(Self).ok_or_else(|| de::Error::custom("these are no hexadecimal digits"))
    }
}

/// A name as SQL has it.
pub(super) fn name(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// A number with a fraction, compared by its bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Real(u64);

impl Real {
    /// Of this number.
    pub fn of(number: f64) -> Self {
        Self(number.to_bits())
    }

    /// The number.
    pub fn get(self) -> f64 {
        f64::from_bits(self.0)
    }
}

/// A value of a record. Text is kept in the form of its data file, whatever it holds.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Datum {
    /// None.
    Null,
    /// A whole number.
    Integer(i64),
    /// A number with a fraction.
    Real(Real),
    /// Text.
    Text(Bytes),
    /// Bytes.
    Blob(Bytes),
}

impl From<&Value<'_>> for Datum {
    fn from(value: &Value<'_>) -> Self {
        match value {
            Value::Null => Datum::Null,
            Value::Integer(number) => Datum::Integer(*number),
            Value::Real(number) => Datum::Real(Real::of(*number)),
            Value::Text(bytes, _) => Datum::Text(Bytes(bytes.to_vec())),
            Value::Blob(bytes) => Datum::Blob(Bytes(bytes.to_vec())),
        }
    }
}

impl From<&Kept> for Datum {
    fn from(kept: &Kept) -> Self {
        Self::from(&kept.as_value())
    }
}

impl Datum {
    /// As the records of a log have it; text is in this form.
    pub fn as_value(&self, form: Encoding) -> Value<'_> {
        match self {
            Datum::Null => Value::Null,
            Datum::Integer(number) => Value::Integer(*number),
            Datum::Real(number) => Value::Real(number.get()),
            Datum::Text(bytes) => Value::Text(&bytes.0, form),
            Datum::Blob(bytes) => Value::Blob(&bytes.0),
        }
    }

    /// Bytes that it takes, about.
    pub(super) fn size(&self) -> usize {
        match self {
            Datum::Text(bytes) | Datum::Blob(bytes) => bytes.0.len() + 8,
            _ => 8,
        }
    }

    /// The value as SQL has it, which any SQLite reads as exactly this value. One line, with nothing in it that a
    /// terminal obeys.
    pub fn literal(&self, form: Encoding) -> String {
        match self {
            Datum::Null => "NULL".to_owned(),
            Datum::Integer(number) => number.to_string(),
            Datum::Real(number) => real_literal(number.get()),
            Datum::Text(bytes) => {
                let plain = self.as_value(form).text().filter(|text| foreign(text).to_string() == **text);
                match plain {
                    Some(text) => format!("'{}'", text.replace('\'', "''")),
                    // Text is cast from the bytes that the data file has for it.
                    None => format!("CAST(x'{}' AS TEXT)", hexadecimal(&bytes.0)),
                }
            }
            Datum::Blob(bytes) => format!("x'{}'", hexadecimal(&bytes.0)),
        }
    }
}

/// Decimal digits are read exactly by every SQLite where there are so few of them; any other number is written as a
/// whole one times or by a power of two, which is exact in binary arithmetic.
fn real_literal(number: f64) -> String {
    if number.is_infinite() {
        return if number > 0.0 { "9e999" } else { "-9e999" }.to_owned();
    }
    let short = format!("{number:?}");
    let (mantissa, exponent) = short.split_once('e').unwrap_or((&short, "0"));
    let fraction = mantissa.split_once('.').map_or(0, |(_, fraction)| fraction.len());
    let digits = mantissa.chars().filter(char::is_ascii_digit).collect::<String>();
    let scale = exponent.parse::<i64>().unwrap_or(i64::MAX).saturating_sub(fraction as i64);
    if digits.trim_start_matches('0').len() <= 15 && scale.abs() <= 22 {
        return short;
    }
    let bits = number.to_bits();
    let (raw, part) = ((bits >> 52 & 0x7ff) as i64, bits & ((1 << 52) - 1));
    let (mut whole, mut power) = if raw == 0 { (part, -1074) } else { (part | 1 << 52, raw - 1075) };
    let zeros = whole.trailing_zeros().min(63);
    whole >>= zeros;
    power += i64::from(zeros);
    let sign = if number.is_sign_negative() { "-" } else { "" };
    let mut text = format!("(CAST({sign}{whole} AS REAL)");
    while power != 0 {
        let step = power.abs().min(62);
        let operator = if power > 0 { '*' } else { '/' };
        text += &format!("{operator}{}", 1i64 << step);
        power -= step * power.signum();
    }
    text + ")"
}

/// A key in a form in which keys are equal that SQLite takes for the same one.
#[derive(Debug, Clone, Eq)]
pub(super) struct Normal(Vec<Datum>);

impl Normal {
    /// `fold` says for each part whether the case of letters counts, and blanks at the end.
    pub(super) fn of(key: &[Datum], fold: &[(bool, bool)], form: Encoding) -> Self {
        let part = |(at, datum): (usize, &Datum)| match datum {
            Datum::Real(number) => {
                let (real, whole) = (number.get(), number.get() as i64);
                let is_whole = whole as f64 == real && real.abs() < 9.2e18;
                if is_whole { Datum::Integer(whole) } else { datum.clone() }
            }
            Datum::Text(_) => {
                let (no_case, trims) = fold.get(at).copied().unwrap_or_default();
                match datum.as_value(form).text() {
                    Some(text) if no_case => Datum::Text(Bytes(text.to_ascii_lowercase().into_bytes())),
                    Some(text) if trims => Datum::Text(Bytes(text.trim_end_matches(' ').as_bytes().to_vec())),
                    _ => datum.clone(),
                }
            }
            datum => datum.clone(),
        };
        Self(key.iter().enumerate().map(part).collect())
    }
}

impl PartialEq for Normal {
    fn eq(&self, other: &Self) -> bool {
        self.0 == other.0
    }
}

impl Hash for Normal {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.hash(state);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn text(bytes: &[u8]) -> Datum {
        Datum::Text(Bytes(bytes.to_vec()))
    }

    #[test]
    fn literals_are_one_plain_line() {
        for (datum, form, expected) in [
            (Datum::Null, Encoding::Utf8, "NULL"),
            (Datum::Integer(i64::MIN), Encoding::Utf8, "-9223372036854775808"),
            (Datum::Real(Real::of(12.5)), Encoding::Utf8, "12.5"),
            (Datum::Real(Real::of(f64::NEG_INFINITY)), Encoding::Utf8, "-9e999"),
            (text(b"it's"), Encoding::Utf8, "'it''s'"),
            (text(b"a\nb"), Encoding::Utf8, "CAST(x'610a62' AS TEXT)"),
            (text(b"a\0b"), Encoding::Utf8, "CAST(x'610062' AS TEXT)"),
            (text(b"\xff"), Encoding::Utf8, "CAST(x'ff' AS TEXT)"),
            (text(b"a\0"), Encoding::Utf16Le, "'a'"),
            (text(b"\x00\xd8"), Encoding::Utf16Le, "CAST(x'00d8' AS TEXT)"),
            (Datum::Blob(Bytes(vec![0, 255])), Encoding::Utf8, "x'00ff'"),
        ] {
            assert_eq!(datum.literal(form), expected);
        }
    }

    proptest! {
        #[test]
        fn sqlite_reads_a_literal_as_the_very_same_number(bits in any::<u64>(), small in -1e9f64..1e9) {
            let fail = |e: rusqlite::Error| TestCaseError::fail(e.to_string());
            let conn = rusqlite::Connection::open_in_memory().map_err(fail)?;
            for number in [f64::from_bits(bits), small, (small * 100.0).round() / 100.0] {
                if number.is_nan() {
                    continue;
                }
                let sql = format!("SELECT {}", Datum::Real(Real::of(number)).literal(Encoding::Utf8));
                let read: f64 = conn.query_row(&sql, [], |row| row.get(0)).map_err(fail)?;
                prop_assert_eq!(read.to_bits(), number.to_bits(), "{}", sql);
            }
        }

        #[test]
        fn values_come_back_from_json(bytes in prop::collection::vec(any::<u8>(), 0..20), bits in any::<u64>()) {
            let fail = |e: serde_json::Error| TestCaseError::fail(e.to_string());
            for datum in [Datum::Null, Datum::Real(Real(bits)), text(&bytes), Datum::Blob(Bytes(bytes.clone()))] {
                let json = serde_json::to_string(&datum).map_err(fail)?;
                prop_assert_eq!(serde_json::from_str::<Datum>(&json).map_err(fail)?, datum);
            }
        }
    }
}
