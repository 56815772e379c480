//! Taking back single changes: what chosen operations of the log did to records is undone in the live data file, while
//! programs write, and nothing else.
//!
//! Operations are folded record by record into the state before the first of them. The [`Plan`] has the statement for
//! each record, and what stands in its way: whatever was changed again since, a key that is taken, a foreign key that
//! would break. Everything is decided before anything is done; then one transaction looks at every record again, and
//! writes. The log records it as any commit, so that it can be taken back as well.
//!
//! ```text
//! session query            a plan that is kept for whoever looks at it; what is asked of it, a few rows at a time
//! prepare                  a plan is made: compared with the data file, and tried out there
//! write report script      the transaction, for a trial or for good; what came of it; the same as an SQL script
//! compare                  a record as it was, as it was left, as it is
//! plan step conflict       what is done about each record, what is in the way, what is decided
//! selection range          which operations
//! choose links             as read from a log, folded by record; which tables follow which
//! live table               the tables and records of now
//! statement value          statements and values, to be shown and to be run
//! ```

mod choose;
mod compare;
mod conflict;
mod links;
mod live;
mod plan;
mod prepare;
pub mod query;
mod range;
mod report;
mod script;
mod selection;
pub mod session;
mod statement;
mod step;
mod table;
mod value;
mod write;

use std::path::Path;

use rusqlite::Connection;
use uuid::Uuid;

pub use choose::{Beside, Chosen, LeftOut};
pub use conflict::{Conflict, Decision, Differs};
pub use plan::Plan;
pub use prepare::Decisions;
pub use range::{OperationId, Range};
pub use report::{OfTable, Skipped, TakeBackReport};
pub use script::script;
pub use selection::{Numbers, Pick, Picked, Selection};
pub use statement::{Deed, Statement};
pub use step::{Fate, Pushed, Step};
pub use table::{Column, Foreign, KeyPart, Table, Triggers, Unique};
pub use value::{Bytes, Datum, Real};

use crate::{
    control::Control,
    error::{Error, ErrorKind, Result},
    records::page::Encoding,
    restore::{in_place::require_of, trail::Trail},
};

/// Reads from the log what is to be taken back in `data_file`, whose settings name `identity`.
///
/// # Errors
/// `Refused` where the log is of another data file, where nothing like that is in it, or too much; damage; `Stopped`.
pub fn choose(
    data_file: &Path,
    identity: Option<Uuid>,
    trail: Trail,
    selection: &Selection,
    control: &Control,
) -> Result<Chosen> {
    require_of(&trail.archive, data_file, identity)?;
    let conn = write::open(data_file)?;
    let fail = |e| Error::sqlite("read", data_file, e);
    let form = form(&conn).map_err(fail)?;
    let links = links::Links::read(&conn).map_err(fail)?;
    let virtual_ones = virtual_tables(&conn, &selection.wanted.tables).map_err(fail)?;
    crate::sqlite::leave(&conn, data_file);
    drop(conn);
    let chosen = choose::choose(trail, selection, (&links, form), control)?;
    if chosen.operations > 0 {
        return Ok(chosen);
    }
    let message = format!("the log of {} holds no operation like these", data_file.display());
    let hint = match virtual_ones.first() {
        Some(name) => format!(
            "{name} is a virtual table: what is written to it stands in tables that SQLite keeps for itself, and is \
             not taken back singly. Restore to a moment before, with strongroom restore."
        ),
        None => "Look at what it holds with strongroom log, which takes the same filters.".to_owned(),
    };
    Err(Error::new(ErrorKind::NotFound, message).hint(hint))
}

fn form(conn: &Connection) -> rusqlite::Result<Encoding> {
    let name: String = conn.query_row("PRAGMA encoding", [], |row| row.get(0))?;
    Ok(match name.as_str() {
        "UTF-16le" => Encoding::Utf16Le,
        "UTF-16be" => Encoding::Utf16Be,
        _ => Encoding::Utf8,
    })
}

fn virtual_tables(conn: &Connection, names: &[String]) -> rusqlite::Result<Vec<String>> {
    let sql = "SELECT name FROM sqlite_schema WHERE type='table' AND rootpage=0 AND name=?1 COLLATE NOCASE";
    let mut asked = conn.prepare(sql)?;
    let mut found = Vec::new();
    for name in names {
        found.extend(asked.query_map([name], |row| row.get::<_, String>(0))?.flatten());
    }
    Ok(found)
}

/// Runs a plan in which everything is decided: one transaction, all or nothing.
///
/// # Errors
/// `Changed` where the data file is not any more what the plan was made from, `Busy`, `Permission`, `Stopped`. The data
/// file is then as it was.
pub fn run(plan: &Plan, control: &Control) -> Result<TakeBackReport> {
    if !plan.is_settled() {
        return Err(Error::new(ErrorKind::Refused, "something is in the way of which nothing was decided")
            .hint("Decide for every conflict whether to skip or to overwrite."));
    }
    let conn = write::open(&plan.data_file)?;
    let done = write::run(&conn, plan, write::Mode::Commit, control)?;
    crate::sqlite::leave(&conn, &plan.data_file);
    Ok(TakeBackReport::of(plan, done.held_ms.max(plan.tried_ms)))
}
