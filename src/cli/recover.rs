//! `strongroom recover`: what a damaged data file still holds, into a new one, and what became of each table.

use std::{path::PathBuf, process::ExitCode};

use clap::Args;
use serde_json::json;

use super::{
    complain,
    desk::absolute,
    looked::{Where, in_words},
    out::Out,
    print_json, remark,
};
use crate::{
    as_of::{Limits, Looked, differences::Change},
    error::{
        Error, ErrorKind, Result,
        foreign::{foreign, in_json},
    },
    records::operation::{Shown, value_in_words},
    recover::{self, Before, Differing, RecoverOptions, RecoverReport, Style, TableReport},
    storage,
};

/// Numbers and times as commands show them.
const STYLE: Style = Style { count: |number| number.to_string(), time: in_words };

/// What is asked for.
#[derive(Debug, Args)]
pub(super) struct Asked {
    /// The damaged data file. What was committed to its -wal is read as well.
    pub(super) data_file: PathBuf,
    /// The new file; otherwise a name like `shop recovered.sqlite` beside the damaged one.
    #[arg(long, value_name = "FILE")]
    to: Option<PathBuf>,
    /// Compare with the state of this archive and its logs, instead of the last one of the data file.
    #[arg(long, value_name = "ARCHIVE")]
    archive: Option<PathBuf>,
    /// Compare with no archive, and take no schema from one.
    #[arg(long, conflicts_with_all = ["archive", "keys", "logs", "segments"])]
    no_archive: bool,
    /// Also name each record, by its key, that archive and log know and the recovered file lacks, or has otherwise.
    #[arg(long)]
    keys: bool,
    /// Also keep deleted records of free pages, as lost and found.
    #[arg(long)]
    deleted: bool,
    #[command(flatten)]
    place: Where,
    /// Print the result as one JSON object, and with --keys before it one per record and line.
    #[arg(long)]
    json: bool,
}

/// Runs what is asked for; a failure is exit code 2.
pub(super) fn run(mut asked: Asked) -> Result<ExitCode> {
    asked.place.is_untouched = true;
    match asked.recover() {
        Ok(report) => {
            asked.show(&report)?;
            Ok(if report.is_everything() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
        }
        Err(error) => {
            complain(&error.report());
            Ok(ExitCode::from(2))
        }
    }
}

impl Asked {
    fn recover(&self) -> Result<RecoverReport> {
        let options =
            RecoverOptions { to: self.to.as_ref().map(|to| absolute(to)).transpose()?, with_deleted: self.deleted };
        let limits = self.place.limits();
        // Before an archive is looked for, which takes longer.
        let data_file = storage::real_path(&absolute(&self.data_file)?);
        recover::look(&data_file, &options)?;
        if self.no_archive {
            return self.with(&data_file, &options, None, &limits);
        }
        let what = self.archive.as_ref().unwrap_or(&data_file);
        let mut before = Before::default();
        loop {
            let (mut is_begun, mut goes_back) = (false, false);
            let done = self.place.look(what, before.until(), &limits, &mut |looked| {
                match before.goes_back(looked) {
                    Ok(false) => {}
                    Ok(true) => {
                        goes_back = true;
                        return (Err(Error::stopped()), false);
                    }
                    Err(error) => return (Err(error), false),
                }
                is_begun = true;
                (self.with(&data_file, &options, Some(looked), &limits), false)
            });
            return match done {
                Err(_) if goes_back => continue,
                Err(error) if is_begun || error.kind() == ErrorKind::Stopped => Err(error),
                Err(_) if before.give_up() => continue,
                Err(error) if self.archive.is_none() => {
                    remark(&format!("Compared with no archive: {}.", error.message()));
                    self.with(&data_file, &options, None, &limits)
                }
                done => done.map(|mut report| {
                    report.remarks.extend(before.remark());
                    report
                }),
            };
        }
    }

    fn with(
        &self,
        data_file: &std::path::Path,
        options: &RecoverOptions,
        looked: Option<&Looked>,
        limits: &Limits,
    ) -> Result<RecoverReport> {
        let mut out = Out::new();
        let report = recover::run(data_file, options, looked, &limits.control, &mut |differing| {
            if self.keys { self.tell(&mut out, differing) } else { Ok(()) }
        });
        out.flush()?;
        report
    }

    fn tell(&self, out: &mut Out, differing: &Differing<'_>) -> Result<()> {
        if self.json {
            let one = |value: &crate::records::record::Kept| serde_json::to_value(Shown(&value.as_value()));
            let key: Vec<_> = differing.key.iter().map(one).collect::<std::result::Result<_, _>>().map_err(no_json)?;
            let line = json!({ "table": differing.table, "change": differing.change, "key": key });
            return out.line(&in_json(&line.to_string())).map(|_| ());
        }
        let key: Vec<String> = differing.key.iter().map(|value| value_in_words(&value.as_value())).collect();
        let how = match differing.change {
            Change::Missing => "missing",
            Change::Changed => "not as archive and log have it",
            Change::Added => "not known to archive and log",
        };
        let line = format!("{}: {how}: {}", differing.table, key.join(", "));
        out.line(&foreign(&line).to_string()).map(|_| ())
    }

    fn show(&self, report: &RecoverReport) -> Result<()> {
        report.remarks.iter().for_each(|note| remark(note));
        if self.json {
            return print_json(report);
        }
        let mut out = Out::new();
        table(&mut out, report)?;
        for line in report.lines(&STYLE) {
            out.line(&foreign(&line).to_string())?;
        }
        out.flush()
    }
}

fn no_json(error: serde_json::Error) -> Error {
    Error::new(ErrorKind::Refused, "a key has no JSON form").because(error)
}

/// What became of each table, in columns.
fn table(out: &mut Out, report: &RecoverReport) -> Result<()> {
    if report.tables.is_empty() {
        return Ok(());
    }
    let name = |table: &TableReport| foreign(&table.table).to_string();
    let width = report.tables.iter().map(|table| name(table).chars().count()).max().unwrap_or(0).max("table".len());
    let line = |name: &str, [a, b, c]: [&str; 3], notes: &str| {
        let room = " ".repeat(width.saturating_sub(name.chars().count()));
        format!("{name}{room}  {a:>10}  {b:>10}  {c:>10}{notes}").trim_end().to_owned()
    };
    out.line(&line("table", ["found", "doubtful", "missing"], ""))?;
    for table in &report.tables {
        let missing = table.missing().map_or_else(|| "?".to_owned(), |missing| missing.to_string());
        let counts = [table.found.to_string(), table.doubtful.to_string(), missing];
        let [a, b, c] = &counts;
        let notes = foreign(&table.notes(&STYLE).join(", ")).to_string();
        let notes = if notes.is_empty() { notes } else { format!("  {notes}") };
        out.line(&line(&name(table), [a, b, c], &notes))?;
    }
    Ok(())
}
