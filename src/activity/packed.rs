//! The form in which the index keeps an operation: what [`Row::of`] makes of it, in few bytes and without a text being
//! made for any part of it.
//!
//! Numbers are in parts of seven bits, the lowest first; a text is its length and its bytes. In order: number of the
//! operation, commit, time in seconds and nanoseconds; action, sort of object, what else follows; then that; then the
//! columns, each with its name, which sides there are, and their values.

use chrono::DateTime;

use super::row::{BYTES_MAX, Field, LEAST, ROW_MAX, Row, SAME_MAX, Shown, TEXT_MAX, reason, side};
use crate::records::{
    operation::{Action, Change, Key, Operation, Side},
    record::Value,
    schema::ObjectKind,
};

const INTERNAL: u8 = 1;
const STANDS_FOR: u8 = 2;
const TABLE: u8 = 4;
const KEY: u8 = 8;
const COUNT: u8 = 16;
const REASON: u8 = 32;

const OLD: u8 = 1;
const NEW: u8 = 2;
const SAME: u8 = 4;

const NULL: u8 = 0;
const INTEGER: u8 = 1;
const REAL: u8 = 2;
const TEXT: u8 = 3;
const BYTES: u8 = 4;
const NO_TEXT: u8 = 5;

/// In this order their places stand for them.
const OBJECTS: [ObjectKind; 4] = [ObjectKind::Table, ObjectKind::Index, ObjectKind::View, ObjectKind::Trigger];

/// Numbers alone never make a row so long that it is cut, where it has no more columns than these.
const COLUMNS_FEW: usize = 2000;

/// What packs operations, one after the other.
#[derive(Debug, Default)]
pub(super) struct Packer {
    bytes: Vec<u8>,
    key: String,
}

/// An operation, packed.
#[derive(Debug)]
pub(super) struct Packed<'a> {
    pub(super) bytes: &'a [u8],
    pub(super) table: Option<&'a str>,
    pub(super) key: Option<&'a str>,
    pub(super) action: Action,
    pub(super) is_internal: bool,
    pub(super) stands_for_internal: bool,
}

impl Packer {
    /// Packs one.
    pub(super) fn pack<'a>(&'a mut self, operation: &'a Operation<'_>, stands_for_internal: bool) -> Packed<'a> {
        let change = operation.change;
        let (out, reason) = (&mut self.bytes, reason(operation, change));
        out.clear();
        put(out, operation.number);
        put(out, operation.commit);
        put_signed(out, operation.time.timestamp());
        put(out, u64::from(operation.time.timestamp_subsec_nanos()));
        out.push(Action::ALL.iter().position(|action| *action == change.action).unwrap_or_default() as u8);
        let place = |kind: ObjectKind| OBJECTS.iter().position(|object| *object == kind);
        out.push(change.object.and_then(place).map_or(0, |place| place as u8 + 1));
        let flag = |is_set: bool, flag: u8| if is_set { flag } else { 0 };
        out.push(
            flag(change.is_internal, INTERNAL)
                | flag(stands_for_internal, STANDS_FOR)
                | flag(change.table.is_some(), TABLE)
                | flag(change.key.is_some(), KEY)
                | flag(change.count.is_some(), COUNT)
                | flag(reason.is_some(), REASON),
        );
        change.table.iter().for_each(|table| put_bytes(out, table.as_bytes()));
        self.key.clear();
        match &change.key {
            Some(Key::Rowid(number)) => put_digits(&mut self.key, *number),
            Some(key) => self.key.push_str(&key.in_words()),
            None => {}
        }
        if change.key.is_some() {
            put_bytes(out, self.key.as_bytes());
        }
        change.count.iter().for_each(|count| put(out, *count));
        reason.iter().for_each(|reason| put_bytes(out, reason.as_bytes()));
        put_fields(out, change);
        Packed {
            bytes: &self.bytes,
            table: change.table,
            key: change.key.is_some().then_some(&*self.key),
            action: change.action,
            is_internal: change.is_internal,
            stands_for_internal,
        }
    }
}

/// How much of the values of a row is kept.
struct Limits {
    /// Bytes kept so far.
    kept: usize,
    /// Whether they may become too many.
    is_counted: bool,
}

impl Limits {
    fn of(sides: [Option<&Side<'_>>; 2]) -> Self {
        let length = |value: &Value<'_>| match value {
            // In UTF-8 it may be longer.
            Value::Text(bytes, _) => bytes.len() * 2,
            Value::Blob(bytes) => bytes.len(),
            _ => 0,
        };
        let is_long = |side: &Side<'_>| match side {
            Side::Record(_, row) => {
                row.len() > COLUMNS_FEW || row.iter().flatten().map(length).sum::<usize>() > ROW_MAX / 4
            }
            Side::Object(object) => object.sql.as_ref().map_or(0, String::len) > ROW_MAX / 4,
            Side::Unknown(_) => false,
        };
        Self { kept: 0, is_counted: sides.into_iter().flatten().any(is_long) }
    }

    fn put(&mut self, out: &mut Vec<u8>, value: &Value<'_>, is_same: bool) {
        let (mut text_max, mut bytes_max) = if is_same { (SAME_MAX, SAME_MAX) } else { (TEXT_MAX, BYTES_MAX) };
        if self.kept > ROW_MAX {
            (text_max, bytes_max) = (LEAST, LEAST);
        }
        if self.is_counted {
            self.kept += Shown::of(value, text_max, bytes_max).kept();
        }
        put_value(out, value, (text_max, bytes_max));
    }
}

fn put_fields(out: &mut Vec<u8>, change: &Change<'_>) {
    let mut limits = Limits::of([change.old.as_ref(), change.new.as_ref()]);
    let mut field = |out: &mut Vec<u8>, column: &str, old: Option<&Value<'_>>, new: Option<&Value<'_>>| {
        put_bytes(out, column.as_bytes());
        match (old, new) {
            (Some(old), Some(new)) if old.is_same(new) => {
                out.push(OLD | SAME);
                limits.put(out, new, true);
            }
            (old, new) => {
                out.push(if old.is_some() { OLD } else { 0 } | if new.is_some() { NEW } else { 0 });
                [new, old].into_iter().flatten().for_each(|value| limits.put(out, value, false));
            }
        }
    };
    // Nearly always the columns are the same ones.
    match (&change.old, &change.new) {
        (Some(Side::Record(definition, old)), Some(Side::Record(now, new))) if std::ptr::eq(*definition, *now) => {
            let is_there = |(old, new): &(&Option<Value<'_>>, &Option<Value<'_>>)| old.is_some() || new.is_some();
            put(out, old.iter().zip(new).filter(is_there).count() as u64);
            for (column, (old, new)) in definition.columns.iter().zip(old.iter().zip(new)) {
                if old.is_some() || new.is_some() {
                    field(out, &column.name, old.as_ref(), new.as_ref());
                }
            }
        }
        (Some(Side::Record(definition, row)), None) | (None, Some(Side::Record(definition, row))) => {
            let is_old = change.old.is_some();
            put(out, row.iter().flatten().count() as u64);
            for (column, value) in definition.columns.iter().zip(row) {
                if let Some(value) = value {
                    field(out, &column.name, Some(value).filter(|_| is_old), Some(value).filter(|_| !is_old));
                }
            }
        }
        _ => {
            let (old, new) = (side(change.old.as_ref()), side(change.new.as_ref()));
            let gone = || old.iter().filter(|(column, _)| new.iter().all(|(name, _)| name != column));
            put(out, (new.len() + gone().count()) as u64);
            for (at, (column, value)) in new.iter().enumerate() {
                let same_place = old.get(at).filter(|(name, _)| name == column);
                let before = same_place.or_else(|| old.iter().find(|(name, _)| name == column));
                field(out, column, before.map(|(_, value)| value), Some(value));
            }
            for (column, value) in gone() {
                field(out, column, Some(value), None);
            }
        }
    }
}

fn put_value(out: &mut Vec<u8>, value: &Value<'_>, (text_max, bytes_max): (usize, usize)) {
    let mut binary = |tag: u8, bytes: &[u8]| {
        out.push(tag);
        put(out, bytes.len() as u64);
        put_bytes(out, bytes.get(..bytes_max).unwrap_or(bytes));
    };
    match value {
        Value::Null => out.push(NULL),
        Value::Integer(number) => {
            out.push(INTEGER);
            put_signed(out, *number);
        }
        Value::Real(number) => {
            out.push(REAL);
            out.extend_from_slice(&number.to_bits().to_le_bytes());
        }
        Value::Blob(bytes) => binary(BYTES, bytes),
        Value::Text(bytes, _) => match value.text() {
            Some(text) => {
                out.push(TEXT);
                put(out, text.len() as u64);
                put_bytes(out, text.get(..text.floor_char_boundary(text_max)).unwrap_or_default().as_bytes());
            }
            None => binary(NO_TEXT, bytes),
        },
    }
}

fn put(out: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

fn put_signed(out: &mut Vec<u8>, number: i64) {
    put(out, (number << 1 ^ number >> 63) as u64);
}

fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    put(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

fn put_digits(out: &mut String, number: i64) {
    let (mut digits, mut at, mut left) = ([0u8; 20], 20usize, number.unsigned_abs());
    while let Some(place) = at.checked_sub(1).and_then(|at| digits.get_mut(at)) {
        *place = b'0' + (left % 10) as u8;
        (at, left) = (at - 1, left / 10);
        if left == 0 {
            break;
        }
    }
    if number < 0 {
        out.push('-');
    }
    out.extend(digits.iter().skip(at).map(|digit| char::from(*digit)));
}

/// What is left of a packed operation.
struct Unpack<'a>(&'a [u8]);

impl<'a> Unpack<'a> {
    fn byte(&mut self) -> Option<u8> {
        let (byte, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*byte)
    }

    fn number(&mut self) -> Option<u64> {
        let mut number = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            number |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Some(number);
            }
        }
        None
    }

    fn signed(&mut self) -> Option<i64> {
        let number = self.number()?;
        Some((number >> 1) as i64 ^ -((number & 1) as i64))
    }

    fn bytes(&mut self) -> Option<&'a [u8]> {
        let length = usize::try_from(self.number()?).ok()?;
        let (bytes, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(bytes)
    }

    fn text(&mut self) -> Option<String> {
        std::str::from_utf8(self.bytes()?).ok().map(str::to_owned)
    }

    fn value(&mut self) -> Option<Shown> {
        // A number is shown in one way, wherever it comes from.
        let number = |value: &Value<'_>| Shown::of(value, 0, 0);
        Some(match self.byte()? {
            NULL => Shown::Null,
            INTEGER => number(&Value::Integer(self.signed()?)),
            REAL => {
                let (bits, rest) = self.0.split_first_chunk()?;
                self.0 = rest;
                number(&Value::Real(f64::from_bits(u64::from_le_bytes(*bits))))
            }
            TEXT => {
                let bytes = self.number()?;
                Shown::Text { text: self.text()?, bytes }
            }
            tag @ (BYTES | NO_TEXT) => {
                let bytes = self.number()?;
                let hex = crate::records::operation::hexadecimal(self.bytes()?);
                Shown::Bytes { hex, bytes, is_text: tag == NO_TEXT }
            }
            _ => return None,
        })
    }

    fn field(&mut self) -> Option<Field> {
        let (column, sides) = (self.text()?, self.byte()?);
        let new = (sides & NEW != 0).then(|| self.value()).map_or(Some(None), |value| value.map(Some))?;
        let old = (sides & OLD != 0).then(|| self.value()).map_or(Some(None), |value| value.map(Some))?;
        Some(Field { column, old, new, is_same: sides & SAME != 0 })
    }
}

/// The operation as people look at it; `None` where these are not the bytes of one.
pub(super) fn unpack(bytes: &[u8]) -> Option<Row> {
    let mut left = Unpack(bytes);
    let (number, commit) = (left.number()?, left.number()?);
    let (seconds, nanoseconds) = (left.signed()?, u32::try_from(left.number()?).ok()?);
    let (action, object, flags) = (left.byte()?, left.byte()?, left.byte()?);
    let has = |flag: u8| flags & flag != 0;
    let table = if has(TABLE) { Some(left.text()?) } else { None };
    let key = if has(KEY) { Some(left.text()?) } else { None };
    let count = if has(COUNT) { Some(left.number()?) } else { None };
    let reason = if has(REASON) { Some(left.text()?) } else { None };
    let columns = left.number()?;
    let fields: Vec<Field> = (0..columns).map(|_| left.field()).collect::<Option<_>>()?;
    // Those that it has now, or had where it is gone.
    let is_there = fields.iter().any(|field| field.new.is_some() || field.is_same);
    let counted = |field: &Field| match (&field.new, &field.old) {
        (Some(new), _) => new.bytes(),
        (None, Some(old)) if field.is_same || !is_there => old.bytes(),
        _ => 0,
    };
    let bytes = fields.iter().map(counted).sum();
    Some(Row {
        number,
        commit,
        time: DateTime::from_timestamp(seconds, nanoseconds)?,
        action: Action::ALL.get(usize::from(action)).copied()?,
        object: usize::from(object).checked_sub(1).and_then(|place| OBJECTS.get(place)).copied(),
        table,
        key,
        fields,
        bytes,
        is_internal: has(INTERNAL),
        stands_for_internal: has(STANDS_FOR),
        count,
        reason,
    })
}

#[cfg(test)]
mod tests;
