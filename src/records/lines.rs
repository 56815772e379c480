//! Operations as lines of text for other programs: JSON, and comma-separated values; and as cells of a workbook.

use std::borrow::Cow;

use super::{
    operation::{Operation, Side},
    workbook::Cell,
};
use crate::error::{
    Error, ErrorKind, Result,
    foreign::{foreign, in_json},
};

/// What the values of a line of [`csv`] are.
pub const CSV_HEAD: &str = "operation,commit,time,action,object,table,key,old,new,records,reason";

fn no_json(error: serde_json::Error) -> Error {
    Error::new(ErrorKind::Refused, "an operation has no JSON form").because(error)
}

/// One operation as a JSON object in a line.
///
/// # Errors
/// When it has no JSON form.
pub fn json(operation: &Operation<'_>) -> Result<String> {
    serde_json::to_string(operation).map(|text| in_json(&text).into_owned()).map_err(no_json)
}

/// What is told of one operation, in the order of [`CSV_HEAD`]; records are JSON objects.
///
/// # Errors
/// As [`json`].
pub fn fields(operation: &Operation<'_>) -> Result<[String; 11]> {
    let change = operation.change;
    let side =
        |side: &Option<Side<'_>>| side.as_ref().map_or(Ok(String::new()), serde_json::to_string).map_err(no_json);
    Ok([
        operation.number.to_string(),
        operation.commit.to_string(),
        operation.time.to_rfc3339_opts(chrono::SecondsFormat::AutoSi, true),
        change.action.label().to_owned(),
        change.object.map_or("", |object| object.label()).to_owned(),
        change.table.unwrap_or_default().to_owned(),
        change.key.as_ref().map_or_else(String::new, |key| key.in_words()),
        side(&change.old)?,
        side(&change.new)?,
        change.count.map_or_else(String::new, |count| count.to_string()),
        operation.reason().unwrap_or_default(),
    ])
}

/// One operation as a line of comma-separated values.
///
/// # Errors
/// As [`json`].
pub fn csv(operation: &Operation<'_>) -> Result<String> {
    let fields = fields(operation)?;
    let quoted = |field: &String| {
        let needs = field.contains([',', '"', '\n', '\r']);
        if needs { format!("\"{}\"", field.replace('"', "\"\"")) } else { field.clone() }
    };
    Ok(foreign(&fields.iter().map(quoted).collect::<Vec<_>>().join(",")).to_string())
}

/// The fields of a line of [`csv`].
pub fn parted(line: &str) -> Vec<String> {
    let (mut fields, mut field, mut is_quoted) = (Vec::new(), String::new(), false);
    let mut letters = line.chars().peekable();
    while let Some(letter) = letters.next() {
        match letter {
            '"' if is_quoted && letters.peek() == Some(&'"') => field.extend(letters.next()),
            '"' => is_quoted = !is_quoted,
            ',' if !is_quoted => fields.push(std::mem::take(&mut field)),
            letter => field.push(letter),
        }
    }
    fields.push(field);
    fields
}

/// The titles of the columns of a workbook.
pub fn titles() -> Vec<String> {
    CSV_HEAD.split(',').map(str::to_owned).collect()
}

/// The columns that hold numbers: operation, commit, records.
const NUMBERS: [usize; 3] = [0, 1, 9];

/// One operation as the cells of a workbook, of its fields.
pub fn cells(fields: &[String]) -> Vec<Cell<'_>> {
    let cell = |(at, field): (usize, &String)| match field.parse() {
        Ok(number) if NUMBERS.contains(&at) => Cell::Integer(number),
        _ if field.is_empty() => Cell::Nothing,
        _ => Cell::Text(Cow::Owned(foreign(field).to_string())),
    };
    fields.iter().enumerate().map(cell).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_parted_as_it_was_put_together() {
        let parts = |line: &str| parted(line).join("|");
        assert_eq!(parts("1,,\"a,\"\"b\"\"\",c"), "1||a,\"b\"|c");
        assert_eq!(parts(""), "");
        assert_eq!(parts("\"\"\"\","), "\"|");
    }
}
