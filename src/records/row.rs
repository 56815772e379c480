//! A record as its table sees it: each column with its value.

use super::{
    definition::Definition,
    page::Encoding,
    record::{Value, Values},
};

/// The values of a record by column; `None` where a column is computed, and in no record.
pub type Row<'a> = Vec<Option<Value<'a>>>;

/// Reads a record of a table. Of columns that came after it, the default counts.
///
/// # Errors
/// Where its values do not lie within it; what is the matter.
pub fn read<'a>(
    definition: &'a Definition,
    rowid: i64,
    record: &'a [u8],
    encoding: Encoding,
) -> Result<Row<'a>, &'static str> {
    const BROKEN: &str = "has a record whose values are not where they should be";
    let of_column = |column: &'a super::definition::Column| (!column.is_virtual).then(|| column.default.as_value());
    let mut row: Row<'a> = definition.columns.iter().map(of_column).collect();
    let mut values = Values::of(record, encoding).ok_or(BROKEN)?;
    for column in &definition.stored {
        let Some(value) = values.next_value() else { break };
        let value = value.map_err(|()| BROKEN)?;
        let is_real = definition.columns.get(*column).is_some_and(|column| column.is_real);
        let value = match value {
            // SQLite keeps such a number as a whole one to save space.
            Value::Integer(number) if is_real => Value::Real(number as f64),
            value => value,
        };
        if let Some(place) = row.get_mut(*column) {
            *place = Some(value);
        }
    }
    if let Some(place) = definition.rowid.and_then(|column| row.get_mut(column)) {
        *place = Some(Value::Integer(rowid));
    }
    Ok(row)
}

/// The values of the key at the beginning of a record of a table without rowid.
///
/// # Errors
/// As [`read`].
pub fn key<'a>(parts: usize, record: &'a [u8], encoding: Encoding) -> Result<Vec<Value<'a>>, &'static str> {
    const BROKEN: &str = "has a record without its whole key";
    let mut values = Values::of(record, encoding).ok_or(BROKEN)?;
    (0..parts).map(|_| values.next_value().and_then(Result::ok).ok_or(BROKEN)).collect()
}
