//! Whether a record can be one of a table, by its values alone.

use crate::records::{
    definition::{Definition, affinity_of},
    record::Value,
};

/// Whether a record with these values can be one of the table. What a column never holds speaks against it: text where
/// numbers are kept as such, NULL where there is none, a number where the rowid stands for it.
pub(super) fn fits(definition: &Definition, values: &[Value<'_>]) -> bool {
    if values.is_empty() || values.len() > definition.stored.len() {
        return false;
    }
    let mut columns = definition.stored.iter().map(|column| (column, definition.columns.get(*column)));
    values.iter().all(|value| {
        let Some((index, Some(column))) = columns.next() else { return false };
        if definition.rowid == Some(*index) {
            return matches!(value, Value::Null);
        }
        match (affinity_of(&column.declared, false), value) {
            (_, Value::Null) => !column.is_required,
            ("INTEGER", Value::Text(..)) | ("TEXT", Value::Integer(_) | Value::Real(_)) => false,
            ("REAL", Value::Text(..)) => false,
            _ => true,
        }
    })
}

/// Whether SQLite can have stored a record with these values in the table: it makes text of a number in a column of
/// text, and takes no NULL where there must be none.
pub(super) fn can_be(definition: &Definition, values: &[Value<'_>]) -> bool {
    let columns = definition.stored.iter().map(|column| (*column, definition.columns.get(*column)));
    columns.zip(values).all(|((index, column), value)| match (column, value) {
        (Some(column), Value::Null) => !column.is_required || definition.rowid == Some(index),
        (Some(column), Value::Integer(_) | Value::Real(_)) => affinity_of(&column.declared, false) != "TEXT",
        _ => true,
    })
}

/// The values of a record by column; what it was made without is the default of the column, or NULL where its end is
/// lost.
pub(super) fn by_column<'a>(
    definition: &'a Definition,
    rowid: i64,
    (values, is_whole): (&[Value<'a>], bool),
) -> Vec<Value<'a>> {
    let mut row: Vec<Value<'a>> = match is_whole {
        true => definition.columns.iter().map(|column| column.default.as_value()).collect(),
        false => vec![Value::Null; definition.columns.len()],
    };
    for (column, value) in definition.stored.iter().zip(values) {
        let is_real = definition.columns.get(*column).is_some_and(|column| column.is_real);
        if let Some(place) = row.get_mut(*column) {
            *place = match value {
                // SQLite keeps such a number as a whole one to save space.
                Value::Integer(number) if is_real => Value::Real(*number as f64),
                value => *value,
            };
        }
    }
    if let Some(place) = definition.rowid.and_then(|column| row.get_mut(column)) {
        *place = Value::Integer(rowid);
    }
    row
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::records::page::Encoding;

    #[test]
    fn values_tell_which_table_a_record_is_of() -> Result<(), String> {
        let sql = "CREATE TABLE t(id INTEGER PRIMARY KEY, a TEXT NOT NULL, b REAL, c AS (a), d INT DEFAULT 7)";
        let definition = Definition::read("t", sql, Encoding::Utf8)?;
        let text = Value::Text(b"x", Encoding::Utf8);
        let of = |values: &[Value<'_>]| fits(&definition, values);
        assert!(of(&[Value::Null, text]) && of(&[Value::Null, text, Value::Integer(2), Value::Integer(3)]));
        assert!(!of(&[]) && !of(&[Value::Integer(1), text]) && !of(&[Value::Null, Value::Integer(1)]));
        assert!(!of(&[Value::Null, Value::Null]) && !of(&[Value::Null, text, text]));
        assert!(!of(&[Value::Null, text, Value::Null, Value::Null, Value::Null]));
        let row = by_column(&definition, 9, (&[Value::Null, text, Value::Integer(2)], true));
        assert_eq!(row, [Value::Integer(9), text, Value::Real(2.0), Value::Null, Value::Integer(7)]);
        assert_eq!(by_column(&definition, 9, (&[Value::Null, text], false)).last(), Some(&Value::Null));
        Ok(())
    }
}
