//! Records in columns for people.

use super::{out::Out, query::Finished};
use crate::{
    as_of::query::Sink,
    error::{Result, foreign::foreign},
    records::{operation::hexadecimal, record::Value},
};

/// So many records are looked at before the columns get their widths.
const FIRST: usize = 500;
/// So many letters of a value are shown.
const LETTERS: usize = 60;

/// Shows records in columns: those with numbers to the right.
pub(super) struct Aligned<'o> {
    out: &'o mut Out,
    names: Vec<String>,
    held: Vec<Vec<(String, bool)>>,
    columns: Option<Vec<(usize, bool)>>,
    is_read: bool,
}

impl<'o> Aligned<'o> {
    pub(super) fn new(out: &'o mut Out) -> Self {
        Self { out, names: Vec::new(), held: Vec::new(), columns: None, is_read: true }
    }

    /// Gives the columns their widths, by what is held, and shows that.
    fn begin(&mut self) -> Result<()> {
        let held = std::mem::take(&mut self.held);
        let widest = |column: usize| {
            let letters = |row: &Vec<(String, bool)>| row.get(column).map_or(0, |(text, _)| text.chars().count());
            let name = self.names.get(column).map_or(0, |name| name.chars().count());
            held.iter().map(letters).max().unwrap_or(0).max(name)
        };
        let is_number = |column: usize| held.iter().all(|row| row.get(column).is_some_and(|(_, number)| *number));
        let columns: Vec<(usize, bool)> =
            (0..self.names.len()).map(|column| (widest(column), is_number(column) && !held.is_empty())).collect();
        let names: Vec<(String, bool)> = self.names.iter().map(|name| (name.clone(), false)).collect();
        let rule: Vec<(String, bool)> = columns.iter().map(|(width, _)| ("-".repeat(*width), false)).collect();
        self.columns = Some(columns);
        for row in [names, rule].iter().chain(&held) {
            self.line(row)?;
        }
        Ok(())
    }

    fn line(&mut self, row: &[(String, bool)]) -> Result<()> {
        let columns = self.columns.as_deref().unwrap_or_default();
        let mut line = String::new();
        for (at, ((text, _), (width, is_right))) in row.iter().zip(columns).enumerate() {
            if at > 0 {
                line.push_str("  ");
            }
            let room = " ".repeat(width.saturating_sub(text.chars().count()));
            if *is_right {
                line.push_str(&room);
            }
            line.push_str(text);
            if !*is_right {
                line.push_str(&room);
            }
        }
        self.is_read = self.out.line(line.trim_end())?;
        Ok(())
    }
}

/// A value for people, and whether it is to the right.
fn shown(value: &Value<'_>) -> (String, bool) {
    match value {
        Value::Null => ("NULL".to_owned(), true),
        Value::Integer(number) => (number.to_string(), true),
        Value::Real(number) => (format!("{number:?}"), true),
        Value::Text(bytes, _) => match value.text() {
            Some(text) => {
                let (mut short, whole) = (text.chars().take(LETTERS).collect::<String>(), text.len());
                if short.len() < whole {
                    short = format!("{short}… ({whole} bytes)");
                }
                (foreign(&short).to_string(), false)
            }
            None => (format!("text that is none, {}", hexadecimal(bytes.get(..LETTERS / 2).unwrap_or(bytes))), false),
        },
        Value::Blob(bytes) if bytes.len() * 2 <= LETTERS => (format!("x'{}'", hexadecimal(bytes)), false),
        Value::Blob(bytes) => (format!("a BLOB of {} bytes", bytes.len()), false),
    }
}

impl Sink for Aligned<'_> {
    fn columns(&mut self, names: &[String]) -> Result<()> {
        self.names = names.iter().map(|name| foreign(name).to_string()).collect();
        Ok(())
    }

    fn record(&mut self, values: &[Value<'_>]) -> Result<bool> {
        let row: Vec<(String, bool)> = values.iter().map(shown).collect();
        if self.columns.is_some() {
            self.line(&row)?;
            return Ok(self.is_read);
        }
        self.held.push(row);
        if self.held.len() >= FIRST {
            self.begin()?;
        }
        Ok(self.is_read)
    }
}

impl Finished for Aligned<'_> {
    fn finish(&mut self) -> Result<()> {
        if self.columns.is_none() { self.begin() } else { Ok(()) }
    }

    fn as_sink(&mut self) -> &mut dyn Sink {
        self
    }
}
