//! `strongroom diff`: what is in one state of a data file and not in another, table by table.

use std::{cell::Cell, path::PathBuf, process::ExitCode};

use clap::Args;
use serde_json::json;

use super::{
    desk::absolute,
    looked::{self, Where},
    out::Out,
    restore::is_data_file,
};
use crate::{
    archive::Archive,
    as_of::{
        Limits, Looked,
        differences::{self, Found, TableDifference, Told},
    },
    error::{
        Error, ErrorKind, Result,
        foreign::{foreign, in_json, shown},
    },
    journal::integrate::Until,
    records::{
        operation::{Shown, value_in_words},
        record::Kept,
    },
    storage,
};

/// What is asked for.
#[derive(Debug, Args)]
pub(super) struct Asked {
    /// The first state: of an archive as it is, or of a data file as it was --at a moment or after a --commit.
    #[arg(value_name = "ARCHIVE|DATAFILE")]
    pub(super) first: PathBuf,
    /// The second state: of another archive, or of a data file as it is now. Without it and without --and, the data
    /// file of the first as it is now.
    #[arg(value_name = "ARCHIVE|DATAFILE")]
    second: Option<PathBuf>,
    /// The first state is that of this moment, in local time, `2026-11-22 12:00:00`, or with an offset.
    #[arg(long, value_name = "MOMENT", conflicts_with = "commit")]
    at: Option<String>,
    /// The first state is that after this commit.
    #[arg(long, value_name = "NUMBER")]
    commit: Option<u64>,
    /// The second state is that of this moment.
    #[arg(long, value_name = "MOMENT", conflicts_with = "and_commit")]
    and: Option<String>,
    /// The second state is that after this commit.
    #[arg(long, value_name = "NUMBER")]
    and_commit: Option<u64>,
    /// Only this table; may be given several times.
    #[arg(long = "table", value_name = "NAME")]
    tables: Vec<String>,
    /// Also name each record by its key.
    #[arg(long)]
    keys: bool,
    #[command(flatten)]
    place: Where,
    /// Print one JSON object per table and line, and with --keys per record.
    #[arg(long)]
    json: bool,
}

/// One of the two states.
enum Wanted {
    /// Of a data file as it is now.
    Now(PathBuf),
    /// Of an archive, without its logs.
    Alone(PathBuf),
    /// Of an archive or a data file, with its logs.
    Past(PathBuf, Until),
}

impl Asked {
    fn wanted(&self) -> Result<(Wanted, Wanted)> {
        let until = |moment: &Option<String>, commit: Option<u64>| -> Result<Option<Until>> {
            Ok(match (moment, commit) {
                (Some(moment), _) => Some(looked::moment(moment)?),
                (None, commit) => commit.map(Until::Commit),
            })
        };
        let (at, and) = (until(&self.at, self.commit)?, until(&self.and, self.and_commit)?);
        let of = |path: &PathBuf, until: Option<Until>| match until {
            Some(until) => Wanted::Past(path.clone(), until),
            None if is_data_file(path) => Wanted::Now(path.clone()),
            None => Wanted::Alone(path.clone()),
        };
        let first = of(&self.first, at);
        let second = match (&self.second, and) {
            (Some(second), and) => of(second, and),
            (None, Some(and)) => Wanted::Past(self.first.clone(), and),
            (None, None) if is_data_file(&self.first) => Wanted::Now(self.first.clone()),
            (None, None) => Wanted::Now(data_file_of(&self.first)?),
        };
        if let (Wanted::Now(_), Wanted::Now(_)) = (&first, &second) {
            return Err(Error::new(ErrorKind::Refused, "both states are those of now")
                .hint("Say which one it is to be compared with: --at MOMENT, --commit NUMBER, or an archive."));
        }
        Ok((first, second))
    }

    /// Opens a state, and goes on with it.
    fn with(
        &self,
        wanted: &Wanted,
        limits: &Limits,
        work: &mut dyn FnMut(&Looked) -> (Result<ExitCode>, bool),
    ) -> Result<ExitCode> {
        match wanted {
            Wanted::Now(data_file) => work(&Looked::now(&storage::real_path(&absolute(data_file)?), limits)?).0,
            Wanted::Alone(archive) => self.place.alone(archive, limits, work),
            Wanted::Past(what, until) => self.place.look(what, *until, limits, work),
        }
    }

    fn show(&self, first: &Looked, second: &Looked, is_shown: &Cell<bool>) -> Result<ExitCode> {
        let mut out = Out::new();
        let (mut same, mut different, mut problem) = (0u64, Vec::new(), None);
        let begin = || {
            if !is_shown.replace(true) {
                looked::tell(first);
                looked::tell(second);
            }
        };
        differences::between(first, second, &self.tables, &mut |found| {
            match found {
                Found::Schema(difference) => {
                    begin();
                    if self.json {
                        json_line(&mut out, &serde_json::to_value(difference).map_err(no_json)?)?;
                    } else {
                        let name = foreign(&difference.name);
                        out.line(&format!("{} {name}: {}", difference.object, difference.change.label()))?;
                    }
                }
                Found::Record { table, change, key } if self.keys => {
                    begin();
                    if self.json {
                        let line = json!({ "table": table, "change": change, "key": json_key(key)? });
                        json_line(&mut out, &line)?;
                    } else {
                        let key: Vec<String> = key.iter().map(|value| value_in_words(&value.as_value())).collect();
                        let line = format!("{table}: {} {}", change.label(), key.join(", "));
                        out.line(&foreign(&line).to_string())?;
                    }
                }
                Found::Record { .. } => {}
                Found::Table(difference) => {
                    begin();
                    if let Some(why) = &difference.problem {
                        problem.get_or_insert_with(|| not_compared(&difference.table, why));
                    }
                    if self.json {
                        json_line(&mut out, &serde_json::to_value(difference).map_err(no_json)?)?;
                    } else if difference.is_none() {
                        same += 1;
                    }
                    if !difference.is_none() || has_columns(difference) {
                        different.push(difference.clone());
                    }
                }
            }
            Ok(())
        })?;
        begin();
        if !self.json {
            table(&mut out, &different)?;
            let tables = if same == 1 { "1 table holds".to_owned() } else { format!("{same} tables hold") };
            if same > 0 || different.is_empty() {
                out.line(&format!("{tables} the same records."))?;
            }
        }
        out.flush()?;
        if let Some(problem) = problem {
            return Err(problem);
        }
        let ends = [looked::ends(first), looked::ends(second)];
        Ok(if ends.iter().all(|end| *end == ExitCode::SUCCESS) { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }
}

fn has_columns(difference: &TableDifference) -> bool {
    !difference.only_first.is_empty() || !difference.only_second.is_empty()
}

fn not_compared(table: &str, why: &str) -> Error {
    Error::new(ErrorKind::Partial, format!("the table {} could not be compared: {why}", foreign(table)))
        .hint("All other tables were.")
}

/// The tables that differ, in columns.
fn table(out: &mut Out, different: &[TableDifference]) -> Result<()> {
    if different.is_empty() {
        return Ok(());
    }
    let name = |one: &TableDifference| foreign(&one.table).to_string();
    let width = different.iter().map(|one| name(one).chars().count()).max().unwrap_or(0).max("table".len());
    let line = |name: &str, [a, b, c]: [&str; 3], notes: &str| {
        let room = " ".repeat(width.saturating_sub(name.chars().count()));
        format!("{name}{room}  {a:>10}  {b:>10}  {c:>10}{notes}").trim_end().to_owned()
    };
    out.line(&line("table", ["added", "changed", "missing"], ""))?;
    for one in different {
        let mut notes = match one.by {
            Told::Key => String::new(),
            Told::Rowid => "  by rowid".to_owned(),
            Told::Values => "  by all values, since they have no key in common".to_owned(),
        };
        for (columns, which) in [(&one.only_first, "first"), (&one.only_second, "second")] {
            if !columns.is_empty() {
                notes.push_str(&format!("  only the {which} has {}", foreign(&columns.join(", "))));
            }
        }
        let counts = [one.added, one.changed, one.missing].map(|count| count.to_string());
        let counts = if one.problem.is_some() { ["?", "?", "?"].map(str::to_owned) } else { counts };
        let [a, b, c] = &counts;
        out.line(&line(&name(one), [a, b, c], &notes))?;
    }
    Ok(())
}

fn json_key(key: &[Kept]) -> Result<serde_json::Value> {
    let one = |value: &Kept| serde_json::to_value(Shown(&value.as_value())).map_err(no_json);
    let mut values: Vec<serde_json::Value> = key.iter().map(one).collect::<Result<_>>()?;
    Ok(if values.len() == 1 { values.remove(0) } else { serde_json::Value::Array(values) })
}

fn json_line(out: &mut Out, value: &serde_json::Value) -> Result<()> {
    out.line(&in_json(&value.to_string())).map(|_| ())
}

fn no_json(error: serde_json::Error) -> Error {
    Error::new(ErrorKind::Refused, "a difference has no JSON form").because(error)
}

/// Where the data file is that an archive was made of.
fn data_file_of(archive: &std::path::Path) -> Result<PathBuf> {
    let identity = Archive::glance(archive)?;
    identity.data_file_path.filter(|path| path.is_file()).ok_or_else(|| {
        Error::new(ErrorKind::NotFound, format!("the data file of {} is not where it was", shown(archive)))
            .hint("Name it after the archive: strongroom diff ARCHIVE DATAFILE.")
    })
}

/// Runs what is asked for.
pub(super) fn run(asked: &Asked) -> Result<ExitCode> {
    let (first, second) = asked.wanted()?;
    let limits = asked.place.limits();
    asked.with(&first, &limits, &mut |first| {
        let is_shown = Cell::new(false);
        let done = asked.with(&second, &limits, &mut |second| {
            let done = asked.show(first, second, &is_shown);
            (done, !is_shown.get())
        });
        (done, !is_shown.get())
    })
}
