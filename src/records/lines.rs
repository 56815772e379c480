//! Operations as lines of text for other programs: JSON, and comma-separated values.

use super::operation::{Operation, Side};
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

/// One operation as a line of comma-separated values; records in it are JSON objects.
///
/// # Errors
/// As [`json`].
pub fn csv(operation: &Operation<'_>) -> Result<String> {
    let change = operation.change;
    let side =
        |side: &Option<Side<'_>>| side.as_ref().map_or(Ok(String::new()), serde_json::to_string).map_err(no_json);
    let fields = [
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
    ];
    let quoted = |field: &String| {
        let needs = field.contains([',', '"', '\n', '\r']);
        if needs { format!("\"{}\"", field.replace('"', "\"\"")) } else { field.clone() }
    };
    Ok(foreign(&fields.iter().map(quoted).collect::<Vec<_>>().join(",")).to_string())
}
