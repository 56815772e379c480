//! Records that were chosen of those that are listed, whole, into a file.

use rusqlite::Statement;

use super::sheet::{Found, Keys, as_kept, has_searched};
use crate::{
    as_of::{
        Looked,
        ask::Chosen,
        query::{self, Sink, value_of},
    },
    error::{Error, ErrorKind, Result},
    records::{record::Value, shown::Shown},
};

impl Found {
    /// Whether it is the list of this number.
    pub(super) fn is_of(&self, number: u64) -> bool {
        self.number == number
    }

    /// Gives the records that were chosen to a sink, in the order of the list.
    ///
    /// # Errors
    /// Where they cannot be read; `Changed` where a statement gives others than were shown; what the sink says.
    pub(super) fn save(&self, looked: &Looked, only: &Chosen, sink: &mut dyn Sink) -> Result<()> {
        let prepare = |sql: &str| looked.connection().prepare(sql).map_err(|error| looked.explain(&error));
        match &self.keys {
            Keys::Kept { records, sql, text } => {
                let mut again = Again { sink, only, text, records, nth: 0, found: 0 };
                query::run(looked, sql, &mut again)?;
                if again.found == only.count() { Ok(()) } else { Err(others()) }
            }
            Keys::Rowids(sql, keys) => {
                let mut statement = prepare(sql)?;
                sink.columns(&names(&statement))?;
                for (from, to) in &only.stretches {
                    for nth in *from..=*to {
                        let key = usize::try_from(nth).ok().and_then(|nth| keys.get(nth)).ok_or_else(others)?;
                        give(looked, &mut statement, [*key], 1, sink)?;
                    }
                }
                Ok(())
            }
            Keys::Places(sql) => {
                let mut statement = prepare(sql)?;
                sink.columns(&names(&statement))?;
                for (from, to) in &only.stretches {
                    let count = to.saturating_sub(*from).saturating_add(1);
                    let limits = [*from, count].map(|number| i64::try_from(number).unwrap_or(i64::MAX));
                    give(looked, &mut statement, limits, count, sink)?;
                }
                Ok(())
            }
        }
    }
}

fn names(statement: &Statement<'_>) -> Vec<String> {
    statement.column_names().map(str::to_owned).collect()
}

/// Gives all that a statement finds, which must be so many.
fn give(
    looked: &Looked,
    statement: &mut Statement<'_>,
    with: impl rusqlite::Params,
    wanted: u64,
    sink: &mut dyn Sink,
) -> Result<()> {
    let columns = statement.column_count();
    let mut rows = statement.query(with).map_err(|error| looked.explain(&error))?;
    let mut found = 0;
    while let Some(row) = rows.next().map_err(|error| looked.explain(&error))? {
        let values = (0..columns).map(|column| row.get_ref(column).map(value_of));
        let values: Vec<Value<'_>> = values.collect::<rusqlite::Result<_>>().map_err(|error| looked.explain(&error))?;
        sink.record(&values)?;
        found += 1;
    }
    if found == wanted { Ok(()) } else { Err(others()) }
}

fn others() -> Error {
    Error::new(ErrorKind::Changed, "what is listed is not what is found now: other records would be saved")
        .hint("A statement that gives other records each time, as with random(), can only be saved as a whole.")
}

/// A statement that is run again, for values in full length: the records that were chosen must be those that were
/// shown.
struct Again<'a> {
    sink: &'a mut dyn Sink,
    only: &'a Chosen,
    text: &'a str,
    records: &'a [Vec<Shown>],
    nth: u64,
    found: u64,
}

impl Sink for Again<'_> {
    fn columns(&mut self, names: &[String]) -> Result<()> {
        self.sink.columns(names)
    }

    fn record(&mut self, values: &[Value<'_>]) -> Result<bool> {
        if !has_searched(values, self.text) {
            return Ok(true);
        }
        let nth = self.nth;
        self.nth += 1;
        if self.only.stretches.iter().any(|(from, to)| (*from..=*to).contains(&nth)) {
            let shown = usize::try_from(nth).ok().and_then(|nth| self.records.get(nth));
            if shown.is_none_or(|shown| *shown != as_kept(values)) {
                return Err(others());
            }
            self.found += 1;
            self.sink.record(values)?;
        }
        Ok(self.only.stretches.last().is_some_and(|(_, last)| self.nth <= *last))
    }
}
