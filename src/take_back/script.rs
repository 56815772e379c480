//! The plan as a script for the `sqlite3` shell: it looks at every record first, as the program does, and changes
//! nothing where one is not as it was.

use std::fmt::Write;

use super::{
    conflict::Conflict,
    plan::Plan,
    statement::Sql,
    step::Step,
    table::Table,
    value::{Bytes, Datum, name},
};
use crate::error::foreign::{foreign, shown};

/// A line of the script that is run as it stands there.
fn comment(out: &mut String, text: &str) {
    // Writing to a text does not fail.
    let _ = writeln!(out, "-- {}", foreign(text));
}

/// The script.
pub fn script(plan: &Plan) -> String {
    let mut out = String::new();
    comment(&mut out, &format!("Takes back {} operations in {}.", plan.operations, shown(&plan.data_file)));
    comment(&mut out, "For the sqlite3 shell: sqlite3 DATAFILE < SCRIPT. All is done, or nothing.");
    plan.notes.iter().for_each(|note| comment(&mut out, note));
    for (step, why) in plan.steps.iter().filter(|step| step.is_skipped()).map(|step| (step, &step.conflicts)) {
        let why: Vec<String> = why.iter().map(Conflict::in_words).collect();
        comment(&mut out, &format!("Not taken back: {}: {}", plan.name(step), why.join("; ")));
    }
    for left in &plan.left_out {
        comment(&mut out, &format!("Not taken back: operation {}: {}", left.operation, left.reason));
    }
    out += ".bail on\n.timeout 30000\n.dbconfig enable_trigger off\nPRAGMA foreign_keys=OFF;\n";
    // A constraint that a record which is not as it was breaks: the shell ends then, and takes everything back.
    out += "CREATE TEMP TABLE strongroom_check(record TEXT, is_as_planned CHECK(is_as_planned));\nBEGIN IMMEDIATE;\n";
    for step in plan.steps.iter().filter(|step| !step.statements.is_empty()) {
        let Some(table) = step.at.and_then(|at| plan.tables.get(at)) else { continue };
        check(&mut out, plan, table, (&step.key, step.found.as_deref()), step);
        for pushed in &step.pushed {
            check(&mut out, plan, table, (&pushed.key, Some(&pushed.found)), step);
        }
    }
    let mut is_firing = false;
    for ordered in plan.ordered() {
        let fires = ordered.table.fires();
        if fires != is_firing {
            out += if fires { ".dbconfig enable_trigger on\n" } else { ".dbconfig enable_trigger off\n" };
            is_firing = fires;
        }
        let _ = writeln!(out, "{};", ordered.statement.in_sql(ordered.table, plan.form));
    }
    out += "COMMIT;\n";
    out
}

/// Holds a record against what it was when the plan was made.
fn check(out: &mut String, plan: &Plan, table: &Table, (key, found): (&[Datum], Option<&[Datum]>), step: &Step) {
    let mut sql = Sql::literal(plan.form);
    sql.text = "INSERT INTO strongroom_check SELECT ".to_owned();
    let record = Datum::Text(Bytes(plan.name(step).into_bytes()));
    // The name of a record is text of ours, and nothing of the data file.
    sql.text += &record.literal(crate::records::page::Encoding::Utf8);
    sql.text += &format!(", (SELECT count(*) FROM {}", name(&table.name));
    sql.put_where(table, key);
    for (column, datum) in table.columns.iter().zip(found.into_iter().flatten()) {
        let (column, kind) = (name(&column.name), kind(datum));
        sql.text += &format!(" AND typeof({column})='{kind}' AND {column} IS ");
        sql.put(datum);
        sql.text += " COLLATE BINARY";
    }
    let _ = writeln!(out, "{})={};", sql.text, i32::from(found.is_some()));
}

fn kind(datum: &Datum) -> &'static str {
    match datum {
        Datum::Null => "null",
        Datum::Integer(_) => "integer",
        Datum::Real(_) => "real",
        Datum::Text(_) => "text",
        Datum::Blob(_) => "blob",
    }
}
