//! `strongroom query`: one statement that reads a data file as it was at a moment, without restoring it.

use std::{cell::Cell, io::IsTerminal, path::PathBuf, process::ExitCode};

use clap::Args;

use super::{
    aligned::Aligned,
    desk::absolute,
    looked::{self, Where},
    out::Out,
    print, print_json, remark,
};
use crate::{
    as_of::{
        Looked,
        query::{self, Sink},
        save::{self, csv_value, distinct, field},
    },
    error::{
        Error, ErrorKind, Result,
        foreign::{foreign, in_json, in_lines, shown},
    },
    journal::integrate::Until,
    records::{operation::Shown, record::Value},
    storage,
};

/// What is asked for.
#[derive(Debug, Args)]
pub(super) struct Asked {
    /// The archive; or the data file, which may be gone: then the archive that leads to what is wanted is found.
    #[arg(value_name = "ARCHIVE|DATAFILE")]
    pub(super) what: PathBuf,
    /// The statement: SELECT, VALUES, EXPLAIN, or a PRAGMA that tells something.
    #[arg(value_name = "SQL", required_unless_present = "tables", conflicts_with = "tables")]
    sql: Option<String>,
    /// As it was at this moment, in local time, `2026-11-22 12:00:00`, or with an offset, `2026-11-22 12:00:00 +01:00`.
    /// Without a moment or a commit, as the last commit that is known left it.
    #[arg(long, value_name = "MOMENT", conflicts_with = "commit")]
    at: Option<String>,
    /// As it was after this commit.
    #[arg(long, value_name = "NUMBER")]
    commit: Option<u64>,
    /// List the tables with their records instead.
    #[arg(long)]
    tables: bool,
    /// Save the records to this file: with the name NAME.csv as comma-separated values, with NAME.xlsx as a workbook
    /// for spreadsheet programs, with NAME.sqlite as the table `result` of a data file of its own.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["tables", "json", "csv"])]
    save: Option<PathBuf>,
    /// Replace that file where it exists.
    #[arg(long, requires = "save")]
    overwrite: bool,
    #[command(flatten)]
    place: Where,
    /// Print one JSON object per record and line; a BLOB is `{"blob": "…"}` in hexadecimal digits.
    #[arg(long)]
    json: bool,
    /// Print lines of comma-separated values; a BLOB is `x'…'`.
    #[arg(long, conflicts_with = "json")]
    csv: bool,
}

impl Asked {
    fn until(&self) -> Result<Until> {
        match (&self.at, self.commit) {
            (Some(moment), _) => looked::moment(moment),
            (None, Some(number)) => Ok(Until::Commit(number)),
            (None, None) => Ok(Until::End),
        }
    }

    /// Runs the statement on what was opened; `is_shown` is set once anything was shown.
    fn show(&self, looked: &Looked, is_shown: &Cell<bool>) -> Result<ExitCode> {
        if self.tables {
            let tables = query::tables(looked)?;
            is_shown.set(true);
            looked::tell(looked);
            return self.list(&tables).map(|()| looked::ends(looked));
        }
        let sql = self.sql.as_deref().unwrap_or_default();
        if let Some(file) = &self.save {
            let file = absolute(file)?;
            let own = [storage::real_path(&self.what), looked.about().archive.clone().unwrap_or_default()];
            if own.contains(&storage::real_path(&file)) {
                let message = format!("{} is what is looked at", shown(&file));
                return Err(Error::new(ErrorKind::Refused, message).hint("Save to another file."));
            }
            let saved = save::save(&file, self.overwrite, &mut |sink| {
                query::run(looked, sql, &mut Announced { looked, is_shown, sink })
            })?;
            print(&format!("{} in {}", in_words(saved.records), shown(&file)))?;
            saved.remarks.iter().for_each(|note| remark(note));
            return Ok(looked::ends(looked));
        }
        let mut out = Out::new();
        let mut sink: Box<dyn Finished + '_> = match (self.json, self.csv) {
            (true, _) => Box::new(Json { out: &mut out, names: Vec::new() }),
            (_, true) => Box::new(CsvLines { out: &mut out }),
            _ => Box::new(Aligned::new(&mut out)),
        };
        query::run(looked, sql, &mut Announced { looked, is_shown, sink: sink.as_sink() })?;
        sink.finish()?;
        drop(sink);
        out.flush()?;
        Ok(looked::ends(looked))
    }

    fn list(&self, tables: &[query::Table]) -> Result<()> {
        if self.json {
            return tables.iter().try_for_each(print_json);
        }
        let count = |table: &query::Table| table.records.map_or_else(|| "?".to_owned(), |records| records.to_string());
        if self.csv {
            print("table,columns,records")?;
            let line = |t: &query::Table| print(&format!("{},{},{}", foreign(&field(&t.table)), t.columns, count(t)));
            return tables.iter().try_for_each(line);
        }
        if tables.is_empty() {
            return print("No tables.");
        }
        for table in tables {
            let problem = table.problem.as_ref().map_or_else(String::new, |why| format!("  {}", foreign(why)));
            print(&format!("{:>12}  {}{problem}", count(table), foreign(&table.table)))?;
        }
        Ok(())
    }
}

fn in_words(records: u64) -> String {
    if records == 1 { "1 record".to_owned() } else { format!("{records} records") }
}

/// Runs what is asked for.
pub(super) fn run(asked: &Asked) -> Result<ExitCode> {
    let (until, limits) = (asked.until()?, asked.place.limits());
    asked.place.look(&asked.what, until, &limits, &mut |looked| {
        let is_shown = Cell::new(false);
        let done = asked.show(looked, &is_shown);
        (done, !is_shown.get())
    })
}

/// Says which state it is before the first record of it.
struct Announced<'a> {
    looked: &'a Looked,
    is_shown: &'a Cell<bool>,
    sink: &'a mut dyn Sink,
}

impl Sink for Announced<'_> {
    fn columns(&mut self, names: &[String]) -> Result<()> {
        self.is_shown.set(true);
        looked::tell(self.looked);
        self.sink.columns(names)
    }

    fn record(&mut self, values: &[Value<'_>]) -> Result<bool> {
        self.sink.record(values)
    }
}

/// A sink that may hold records back.
pub(super) trait Finished: Sink {
    /// Writes what is held back.
    fn finish(&mut self) -> Result<()>;

    fn as_sink(&mut self) -> &mut dyn Sink;
}

struct Json<'o> {
    out: &'o mut Out,
    names: Vec<String>,
}

impl Sink for Json<'_> {
    fn columns(&mut self, names: &[String]) -> Result<()> {
        let quoted = |name: &String| serde_json::to_string(name);
        self.names = distinct(names).iter().map(quoted).collect::<serde_json::Result<_>>().map_err(no_json)?;
        Ok(())
    }

    fn record(&mut self, values: &[Value<'_>]) -> Result<bool> {
        let one =
            |(name, value): (&String, &Value<'_>)| Ok(format!("{name}:{}", serde_json::to_string(&Shown(value))?));
        let fields: serde_json::Result<Vec<String>> = self.names.iter().zip(values).map(one).collect();
        let line = format!("{{{}}}", fields.map_err(no_json)?.join(","));
        self.out.line(&in_json(&line))
    }
}

impl Finished for Json<'_> {
    fn finish(&mut self) -> Result<()> {
        Ok(())
    }

    fn as_sink(&mut self) -> &mut dyn Sink {
        self
    }
}

fn no_json(error: serde_json::Error) -> Error {
    Error::new(ErrorKind::Refused, "a record has no JSON form").because(error)
}

/// On standard output, what a terminal obeys is spelled out; a file that is saved has it as it is.
struct CsvLines<'o> {
    out: &'o mut Out,
}

impl CsvLines<'_> {
    fn line(&mut self, fields: impl Iterator<Item = String>) -> Result<bool> {
        let line = fields.collect::<Vec<_>>().join(",");
        let is_shown = std::io::stdout().is_terminal();
        let shown = if is_shown { foreign(&line).to_string() } else { in_lines(&line).into_owned() };
        self.out.line(&shown)
    }
}

impl Sink for CsvLines<'_> {
    fn columns(&mut self, names: &[String]) -> Result<()> {
        self.line(names.iter().map(|name| field(name))).map(|_| ())
    }

    fn record(&mut self, values: &[Value<'_>]) -> Result<bool> {
        self.line(values.iter().map(csv_value))
    }
}

impl Finished for CsvLines<'_> {
    fn finish(&mut self) -> Result<()> {
        Ok(())
    }

    fn as_sink(&mut self) -> &mut dyn Sink {
        self
    }
}
