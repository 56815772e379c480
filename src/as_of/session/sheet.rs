//! Records that are listed: of a table by their keys, so that any of them is read when it is seen; of a statement as
//! they came.

use std::time::{Duration, Instant};

use rusqlite::{OptionalExtension, Row, types::ValueRef};

use super::{Fetch, Shared};
use crate::{
    as_of::{
        Looked,
        ask::{BLOCK, LISTED_MAX, Listed, RECORDS_MAX, Sheet},
        query::{self, Sink, quoted, value_of},
    },
    error::{Error, ErrorKind, Result},
    records::{record::Value, shown::Shown},
};

/// Bytes of a text, and of a BLOB, that stand in a row.
const CELL: (usize, usize) = (256, 64);
/// The same in a record that is shown alone.
const FIELD: (usize, usize) = (64 << 10, 16 << 10);
/// The same in the records of a statement, which are kept.
const KEPT: (usize, usize) = (4 << 10, 1 << 10);
/// The records of a statement have no more bytes than this together.
const KEPT_MAX: usize = 16 << 20;
/// How often those who wait are looked after.
const TURN: Duration = Duration::from_millis(20);
/// So many records are gone over without a look at the time.
const STEP: u64 = 64;

/// How a record is read.
pub(super) enum Keys {
    /// By its rowid, with this statement.
    Rowids(String, Vec<i64>),
    /// By its place in the order of this statement.
    Places(String),
    /// They are here, as far as they are shown: what this statement gives, and of it only what has this text.
    Kept { records: Vec<Vec<Shown>>, sql: String, text: String },
}

/// The records that are listed.
pub(super) struct Found {
    pub(super) number: u64,
    pub(super) keys: Keys,
}

/// What is to be known of a table.
struct Named {
    table: String,
    columns: Vec<String>,
    /// The rowid, under a name that no column has.
    rowid: Option<&'static str>,
}

impl Named {
    fn read(looked: &Looked, table: &str) -> Result<Self> {
        let explain = |error: rusqlite::Error| looked.explain(&error);
        let conn = looked.connection();
        let list = "SELECT name, wr FROM pragma_table_list WHERE schema='main' AND name=?1 COLLATE NOCASE";
        let found = conn.query_row(list, [table], |row| Ok((row.get::<_, String>(0)?, row.get::<_, bool>(1)?)));
        let (table, without) = found
            .optional()
            .map_err(explain)?
            .ok_or_else(|| Error::new(ErrorKind::NotFound, format!("this state has no table {table:?}")))?;
        let mut info =
            conn.prepare("SELECT name FROM pragma_table_xinfo(?1) WHERE hidden<>1 ORDER BY cid").map_err(explain)?;
        let columns = info.query_map([&table], |row| row.get(0)).and_then(Iterator::collect);
        let columns: Vec<String> = columns.map_err(explain)?;
        let is_free = |word: &&&'static str| columns.iter().all(|column| !column.eq_ignore_ascii_case(word));
        let rowid = ["rowid", "_rowid_", "oid"].iter().find(is_free).copied().filter(|_| !without);
        // Some virtual tables have none.
        let has_one =
            |rowid: &&'static str| conn.prepare(&format!("SELECT {rowid} FROM main.{}", quoted(&table))).is_ok();
        let rowid = rowid.filter(has_one);
        Ok(Self { table, columns, rowid })
    }

    /// All columns, as a statement has them.
    fn all(&self) -> String {
        self.columns.iter().map(|column| quoted(column)).collect::<Vec<_>>().join(", ")
    }

    fn order(&self, sorted: Option<&(String, bool)>) -> String {
        let column = sorted.filter(|(name, _)| self.columns.contains(name));
        let by = column.map(|(name, last)| format!("{}{}", quoted(name), if *last { " DESC" } else { "" }));
        let by: Vec<String> = by.into_iter().chain(self.rowid.map(str::to_owned)).collect();
        if by.is_empty() { String::new() } else { format!(" ORDER BY {}", by.join(", ")) }
    }
}

/// The statement that reads all of a sheet, that of a table in its own order.
pub(super) fn statement(looked: &Looked, sheet: &Sheet) -> Result<String> {
    Ok(match sheet {
        Sheet::Statement(sql) => sql.clone(),
        Sheet::Table { table, .. } => {
            let named = Named::read(looked, table)?;
            format!("SELECT {} FROM main.{}{}", named.all(), quoted(&named.table), named.order(None))
        }
    })
}

/// Whether a text, in small letters, stands in one of the values from a column on. BLOBs are not searched.
fn has_text(row: &Row<'_>, from: usize, wanted: &str) -> rusqlite::Result<bool> {
    for column in from..row.as_ref().column_count() {
        let is_in = match row.get_ref(column)? {
            ValueRef::Null | ValueRef::Blob(_) => false,
            ValueRef::Integer(number) => number.to_string().contains(wanted),
            ValueRef::Real(number) => format!("{number:?}").contains(wanted),
            ValueRef::Text(bytes) => String::from_utf8_lossy(bytes).to_lowercase().contains(wanted),
        };
        if is_in {
            return Ok(true);
        }
    }
    Ok(false)
}

fn values(row: &Row<'_>, count: usize, (text, bytes): (usize, usize)) -> rusqlite::Result<Vec<Shown>> {
    (0..count).map(|column| Ok(Shown::of(&value_of(row.get_ref(column)?), text, bytes))).collect()
}

/// A list that is being made.
struct Listing<'a> {
    shared: &'a Shared,
    looked: &'a Looked,
    found: Found,
    records: u64,
    since: Instant,
}

impl Listing<'_> {
    /// Tells how far it is, and looks after those who wait.
    fn tell(&mut self) -> Result<()> {
        self.since = Instant::now();
        {
            let mut inner = self.shared.lock();
            if let Some(listed) = inner.state.listed.as_mut().filter(|listed| listed.number == self.found.number) {
                listed.records = self.records;
            }
            if inner.wanted.is_some() {
                return Err(Error::stopped());
            }
        }
        self.found.serve(self.looked, self.shared)
    }

    fn step(&mut self, gone_over: u64) -> Result<()> {
        if gone_over.is_multiple_of(STEP) && self.since.elapsed() >= TURN { self.tell() } else { Ok(()) }
    }

    /// The records of a table, by their rowids.
    fn by_rowid(
        &mut self,
        named: &Named,
        rowid: &str,
        sheet: (Option<&(String, bool)>, &str),
    ) -> Result<Option<String>> {
        let explain = |error: rusqlite::Error| self.looked.explain(&error);
        let (sorted, text) = sheet;
        let searched = if text.is_empty() { String::new() } else { format!(", {}", named.all()) };
        let sql = format!("SELECT {rowid}{searched} FROM main.{}{}", quoted(&named.table), named.order(sorted));
        let mut statement = self.looked.connection().prepare(&sql).map_err(explain)?;
        let mut rows = statement.query([]).map_err(explain)?;
        let mut gone_over = 0;
        while let Some(row) = rows.next().map_err(|error| self.looked.explain(&error))? {
            let explain = |error: rusqlite::Error| self.looked.explain(&error);
            gone_over += 1;
            if text.is_empty() || has_text(row, 1, text).map_err(explain)? {
                let rowid = row.get(0).map_err(explain)?;
                if self.records == LISTED_MAX {
                    return Ok(Some(format!(
                        "Only the first {LISTED_MAX} records are listed: search, or use a statement."
                    )));
                }
                if let Keys::Rowids(_, keys) = &mut self.found.keys {
                    keys.push(rowid);
                }
                self.records += 1;
                // The first ones are there at once.
                if self.records == BLOCK {
                    self.tell()?;
                }
            }
            self.step(gone_over)?;
        }
        Ok(None)
    }

    /// The records of a table without rowids: they are counted, and read by their places.
    fn by_place(&mut self, named: &Named) -> Result<Option<String>> {
        let count = format!("SELECT count(*) FROM main.{}", quoted(&named.table));
        let counted = self.looked.connection().query_row(&count, [], |row| row.get::<_, i64>(0));
        self.records = counted.map_err(|error| self.looked.explain(&error))?.unsigned_abs();
        Ok(None)
    }
}

/// Whether a text, in small letters, stands in one of the values; every record has none.
pub(super) fn has_searched(values: &[Value<'_>], text: &str) -> bool {
    let has = |value: &Value<'_>| Shown::of(value, usize::MAX, 0).searched().is_some_and(|of| of.contains(text));
    text.is_empty() || values.iter().any(has)
}

/// A record of a statement as it is kept.
pub(super) fn as_kept(values: &[Value<'_>]) -> Vec<Shown> {
    let (text, bytes) = KEPT;
    values.iter().map(|value| Shown::of(value, text, bytes)).collect()
}

/// Keeps records as they come.
struct Keep<'a> {
    shared: &'a Shared,
    number: u64,
    text: &'a str,
    kept: Vec<Vec<Shown>>,
    bytes: usize,
    cut: Option<String>,
}

impl Sink for Keep<'_> {
    fn columns(&mut self, names: &[String]) -> Result<()> {
        begin(self.shared, self.number, names.to_vec());
        Ok(())
    }

    fn record(&mut self, values: &[Value<'_>]) -> Result<bool> {
        if !has_searched(values, self.text) {
            return Ok(true);
        }
        if self.kept.len() as u64 == RECORDS_MAX {
            self.cut =
                Some(format!("Only the first {RECORDS_MAX} records are shown. Ask for less, or save all of them."));
            return Ok(false);
        }
        let values = as_kept(values);
        self.bytes += values.iter().map(|value| value.kept() + size_of::<Shown>()).sum::<usize>();
        if self.bytes > KEPT_MAX {
            let records = self.kept.len();
            self.cut = Some(format!(
                "Only the first {records} records are shown, which have 16 MiB. Ask for less, or save all of them."
            ));
            return Ok(false);
        }
        self.kept.push(values);
        if self.kept.len().is_multiple_of(STEP as usize) {
            let mut inner = self.shared.lock();
            if let Some(listed) = inner.state.listed.as_mut() {
                listed.records = self.kept.len() as u64;
            }
        }
        Ok(true)
    }
}

/// A list of this number begins.
fn begin(shared: &Shared, number: u64, columns: Vec<String>) {
    let mut inner = shared.lock();
    (inner.blocks, inner.record) = (Default::default(), None);
    let (is_whole, cut, problem) = (false, None, None);
    inner.state.listed = Some(Listed { number, columns, records: 0, is_whole, cut, problem });
    shared.tell();
}

/// Lists what `sheet` says; what was found before an error stays in `held`.
pub(super) fn list(
    looked: &Looked,
    shared: &Shared,
    (number, sheet): (u64, &Sheet),
    held: &mut Option<Found>,
) -> Result<()> {
    *held = None;
    begin(shared, number, Vec::new());
    let (found, records, done) = match sheet {
        Sheet::Statement(sql) => kept(looked, shared, (number, sql), ""),
        Sheet::Table { table, sorted, text } => {
            let named = Named::read(looked, table)?;
            let text = text.to_lowercase();
            begin(shared, number, named.columns.clone());
            let from = format!("SELECT {} FROM main.{}", named.all(), quoted(&named.table));
            let ordered = format!("{from}{}", named.order(sorted.as_ref()));
            let keys = match named.rowid {
                Some(rowid) => Keys::Rowids(format!("{from} WHERE {rowid}=?1"), Vec::new()),
                None => Keys::Places(format!("{ordered} LIMIT ?2 OFFSET ?1")),
            };
            let found = Found { number, keys };
            let mut listing = Listing { shared, looked, found, records: 0, since: Instant::now() };
            match named.rowid {
                Some(rowid) => {
                    let done = listing.by_rowid(&named, rowid, (sorted.as_ref(), &text));
                    (listing.found, listing.records, done)
                }
                None if text.is_empty() => {
                    let done = listing.by_place(&named);
                    (listing.found, listing.records, done)
                }
                None => kept(looked, shared, (number, &ordered), &text),
            }
        }
    };
    *held = Some(found);
    let mut inner = shared.lock();
    if let Some(listed) = inner.state.listed.as_mut() {
        listed.records = records;
        (listed.is_whole, listed.cut) = match &done {
            Ok(cut) => (cut.is_none(), cut.clone()),
            Err(_) => (false, None),
        };
    }
    shared.tell();
    done.map(|_| ())
}

fn kept(
    looked: &Looked,
    shared: &Shared,
    (number, sql): (u64, &str),
    text: &str,
) -> (Found, u64, Result<Option<String>>) {
    let mut keep = Keep { shared, number, text, kept: Vec::new(), bytes: 0, cut: None };
    let done = query::run(looked, sql, &mut keep);
    let records = keep.kept.len() as u64;
    let (sql, text) = (sql.to_owned(), text.to_owned());
    (Found { number, keys: Keys::Kept { records: keep.kept, sql, text } }, records, done.map(|_| keep.cut))
}

impl Found {
    /// Reads the rows that somebody waits for.
    ///
    /// # Errors
    /// Where they cannot be read.
    pub(super) fn serve(&self, looked: &Looked, shared: &Shared) -> Result<()> {
        loop {
            let fetch = {
                let mut inner = shared.lock();
                if inner.wanted.is_some() || inner.fetches.is_empty() {
                    return Ok(());
                }
                inner.fetches.remove(0)
            };
            let (number, from, count, length) = match fetch {
                Fetch::Block(number, block) => (number, block.saturating_mul(BLOCK), BLOCK, CELL),
                Fetch::Record(number, nth) => (number, nth, 1, FIELD),
            };
            if number != self.number {
                continue;
            }
            let rows = self.read(looked, (from, count), length)?;
            shared.lock().keep(fetch, rows);
            shared.tell();
        }
    }

    fn read(&self, looked: &Looked, (from, count): (u64, u64), length: (usize, usize)) -> Result<Vec<Vec<Shown>>> {
        let explain = |error: rusqlite::Error| looked.explain(&error);
        let start = usize::try_from(from).unwrap_or(usize::MAX);
        match &self.keys {
            Keys::Kept { records, .. } => Ok(records.iter().skip(start).take(count as usize).cloned().collect()),
            Keys::Rowids(sql, keys) => {
                let mut statement = looked.connection().prepare(sql).map_err(explain)?;
                let columns = statement.column_count();
                let mut read =
                    |rowid: &i64| statement.query_row([rowid], |row| values(row, columns, length)).map_err(explain);
                keys.iter().skip(start).take(count as usize).map(&mut read).collect()
            }
            Keys::Places(sql) => {
                let mut statement = looked.connection().prepare(sql).map_err(explain)?;
                let columns = statement.column_count();
                let limits = [from, count].map(|number| i64::try_from(number).unwrap_or(i64::MAX));
                let rows = statement.query_map(limits, |row| values(row, columns, length));
                rows.and_then(Iterator::collect).map_err(explain)
            }
        }
    }
}
