//! `strongroom tables`: how many records the tables of a data file hold, and how much room they take.

use std::{path::Path, process::ExitCode};

use super::{places, print, print_json, rights};
use crate::{
    control::Control,
    engine::measured::tables_of,
    error::{Result, foreign::foreign},
    maintenance::tables::{Kind, TableSize, Tables},
    storage::space::human_bytes,
};

/// What is not known, and what there cannot be.
const UNKNOWN: &str = "?";
const NONE: &str = "-";

/// Lists the tables.
pub(super) fn run(data_file: &Path, json: bool) -> Result<ExitCode> {
    let folders = places::directories()?;
    let control = Control::with_clock(places::clock());
    let found = tables_of(data_file, (folders.config_dir(), folders.data_dir()), &control, rights::is_as_root())?;
    if json {
        print_json(&found)?
    } else {
        in_columns(&found).iter().try_for_each(|line| print(line))?
    }
    found.problem().map_or(Ok(ExitCode::SUCCESS), Err)
}

fn number(number: Option<u64>) -> String {
    number.map_or_else(|| UNKNOWN.to_owned(), |number| number.to_string())
}

fn bytes(bytes: Option<u64>) -> String {
    bytes.map_or_else(|| UNKNOWN.to_owned(), human_bytes)
}

fn growth(table: &TableSize, is_compared: bool) -> String {
    match (table.growth(), table.is_new) {
        _ if !is_compared || table.kind == Kind::Internal => NONE.to_owned(),
        (None, _) => UNKNOWN.to_owned(),
        (Some(_), true) => "new".to_owned(),
        (Some(0), false) => "0".to_owned(),
        (Some(growth), false) => format!("{growth:+}"),
    }
}

fn row(table: &TableSize, is_compared: bool) -> [String; 8] {
    let is_own = table.kind == Kind::Internal;
    let name = if is_own { "(SQLite's own)".to_owned() } else { foreign(&table.table).to_string() };
    let share = table.free_share().map(|share| format!("{}.{} %", share / 10, share % 10));
    // A virtual table that only shows what others keep.
    let nothing = table.all_bytes() == Some(0);
    [
        name,
        if is_own || nothing { NONE.to_owned() } else { number(table.records) },
        if nothing { NONE.to_owned() } else { growth(table, is_compared) },
        if table.kind == Kind::Table { number(table.columns) } else { NONE.to_owned() },
        table.indexes.len().to_string(),
        bytes(table.bytes),
        bytes(table.index_bytes),
        share.unwrap_or_else(|| if nothing { NONE.to_owned() } else { UNKNOWN.to_owned() }),
    ]
}

fn in_columns(found: &Tables) -> Vec<String> {
    let titles = ["table", "records", "since", "columns", "indexes", "table size", "index size", "free"];
    let mut rows = vec![titles.map(str::to_owned)];
    rows.extend(found.tables.iter().map(|table| row(table, found.since.is_some())));
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths: [usize; 8] = std::array::from_fn(width);
    let line = |row: &[String; 8]| {
        let mut line = String::new();
        for (at, (text, width)) in row.iter().zip(widths).enumerate() {
            let room = " ".repeat(width - text.chars().count());
            let cell = if at == 0 { format!("{text}{room}") } else { format!("  {room}{text}") };
            line.push_str(&cell);
        }
        line.trim_end().to_owned()
    };
    let mut lines: Vec<String> = rows.iter().map(line).collect();
    let free = human_bytes(found.free_bytes());
    lines.push(format!("{} in all, {free} of it not in use", human_bytes(found.bytes())));
    match &found.since {
        Some(since) => {
            let moment = since.moment.format("%Y-%m-%d %H:%M:%S %:z");
            let size = human_bytes(since.bytes);
            lines.push(format!("since backup {} of {moment}, when the data file had {size}", since.number));
        }
        None => lines.push("there is no backup that it could be compared with".to_owned()),
    }
    lines
}
