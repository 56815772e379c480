//! What a table looks like: its columns, and how its records lie in their cells. SQLite itself is asked, with the
//! statement that made the table, in a database in memory that holds nothing else.
//!
//! The statement is whatever stands in the data file. It is not run: it is put into the schema of that database as
//! text, and SQLite reads it as it reads the schema of any file that it opens. So functions and collations that only
//! the application has do no harm, and no statement but one that begins with CREATE TABLE is looked at.

use rusqlite::{Connection, config::DbConfig, limits::Limit};

use super::{
    page::Encoding,
    record::{Collation, Kept},
};

/// No honest statement is longer.
const STATEMENT_MAX: usize = 1 << 20;

/// A column.
#[derive(Debug, Clone, PartialEq)]
pub struct Column {
    /// Its name.
    pub name: String,
    /// The type that was declared.
    pub declared: String,
    /// What it is in a record that was made before the column.
    pub default: Kept,
    /// Whether whole numbers in it stand for numbers with a fraction.
    pub is_real: bool,
    /// Whether it is computed when it is read, and in no record.
    pub is_virtual: bool,
    /// Whether it never is NULL.
    pub is_required: bool,
}

/// What part of the key of a table without rowid a value is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeyPart {
    /// The column.
    pub column: usize,
    /// How texts are compared.
    pub collation: Collation,
    /// Whether the largest comes first.
    pub is_descending: bool,
}

/// How a table is made.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Definition {
    /// Its columns.
    pub columns: Vec<Column>,
    /// Which column each value of a record is of.
    pub stored: Vec<usize>,
    /// The column that is the rowid, if one is.
    pub rowid: Option<usize>,
    /// Of a table without rowid: its key, which its records begin with.
    pub key: Option<Vec<KeyPart>>,
}

impl Definition {
    /// Whether records are told from each other by values, and not by a number.
    pub fn is_without_rowid(&self) -> bool {
        self.key.is_some()
    }

    /// Reads what `statement` makes.
    ///
    /// # Errors
    /// Why SQLite does not understand it, as the end of a sentence.
    pub fn read(table: &str, statement: &str, encoding: Encoding) -> Result<Self, String> {
        let begins = statement.get(..12).is_some_and(|begin| begin.eq_ignore_ascii_case("CREATE TABLE"));
        if !begins || statement.len() > STATEMENT_MAX {
            return Err("the statement in the schema is none that makes a table".to_owned());
        }
        match read(table, statement, encoding) {
            Ok(Some(definition)) => Ok(definition),
            Ok(None) => Err("the statement in the schema makes another table".to_owned()),
            Err(error) => Err(error.to_string()),
        }
    }
}

fn read(table: &str, statement: &str, encoding: Encoding) -> rusqlite::Result<Option<Definition>> {
    let conn = Connection::open_in_memory()?;
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_TRUSTED_SCHEMA, false)?;
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_TRIGGER, false)?;
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_VIEW, false)?;
    conn.set_limit(Limit::SQLITE_LIMIT_ATTACHED, 0)?;
    conn.execute_batch("CREATE TABLE strongroom_place(a); PRAGMA writable_schema=ON")?;
    conn.execute("UPDATE sqlite_schema SET name=?1, tbl_name=?1, sql=?2", [table, statement])?;
    conn.execute_batch("PRAGMA writable_schema=RESET")?;
    let mut columns = Vec::new();
    let strict = "SELECT strict FROM pragma_table_list WHERE schema='main' AND name=?1 COLLATE NOCASE";
    let is_strict = conn.query_row(strict, [table], |row| row.get::<_, bool>(0)).unwrap_or_default();
    let (mut keys, mut rowid) = (0, None);
    let mut asked =
        conn.prepare("SELECT name, type, dflt_value, pk, hidden, \"notnull\" FROM pragma_table_xinfo(?1)")?;
    let mut rows = asked.query([table])?;
    while let Some(row) = rows.next()? {
        let (name, declared): (String, String) = (row.get(0)?, row.get(1)?);
        let (default, key, hidden): (Option<String>, i64, i64) = (row.get(2)?, row.get(3)?, row.get(4)?);
        if key > 0 {
            keys += 1;
            rowid = declared.eq_ignore_ascii_case("INTEGER").then_some(columns.len());
        }
        let is_generated = hidden > 1;
        let affinity = affinity_of(&declared, is_strict);
        let default = default.filter(|_| !is_generated).and_then(|text| default_of(&text, affinity, encoding));
        let (is_real, is_virtual, is_required) = (affinity == "REAL", hidden == 2, row.get(5)?);
        let default = default.unwrap_or(Kept::Null);
        columns.push(Column { name, declared, default, is_real, is_virtual, is_required });
    }
    if columns.is_empty() {
        return Ok(None);
    }
    // A key that has an index of its own is no name of the rowid.
    let owns = "SELECT count(*) FROM pragma_index_list(?1) WHERE origin='pk'";
    let has_index: i64 = conn.query_row(owns, [table], |row| row.get(0))?;
    let mut definition = Definition { columns, stored: Vec::new(), rowid: None, key: None };
    definition.rowid = rowid.filter(|_| keys == 1 && has_index == 0);
    // Asked for a table without rowid by its name, this tells how its records lie.
    let mut asked = conn.prepare("SELECT cid, desc, coll, key FROM pragma_index_xinfo(?1) ORDER BY seqno")?;
    let mut rows = asked.query([table])?;
    let mut key = Vec::new();
    while let Some(row) = rows.next()? {
        let column = usize::try_from(row.get::<_, i64>(0)?).ok().filter(|column| *column < definition.columns.len());
        let Some(column) = column else { return Ok(None) };
        definition.stored.push(column);
        if row.get::<_, bool>(3)? {
            let collation = Collation::named(&row.get::<_, Option<String>>(2)?.unwrap_or_default());
            key.push(KeyPart { column, collation, is_descending: row.get(1)? });
        }
    }
    if definition.stored.is_empty() {
        definition.stored = (0..definition.columns.len())
            .filter(|n| definition.columns.get(*n).is_some_and(|c| !c.is_virtual))
            .collect();
    } else {
        definition.key = Some(key);
    }
    Ok(Some(definition))
}

/// A type that gives a column the affinity that it has by its declared one ("Determination Of Column Affinity"; of a
/// strict table `ANY` is none). The declared type itself is text of others.
pub fn affinity_of(declared: &str, is_strict: bool) -> &'static str {
    let declared = declared.to_ascii_uppercase();
    let has = |parts: &[&str]| parts.iter().any(|part| declared.contains(part));
    match () {
        () if is_strict && declared == "ANY" => "",
        () if has(&["INT"]) => "INTEGER",
        () if has(&["CHAR", "CLOB", "TEXT"]) => "TEXT",
        () if has(&["BLOB"]) || declared.is_empty() => "",
        () if has(&["REAL", "FLOA", "DOUB"]) => "REAL",
        () => "NUMERIC",
    }
}

/// What a column holds in records that were made before it: SQLite is asked, with such a record.
fn default_of(text: &str, affinity: &str, encoding: Encoding) -> Option<Kept> {
    let conn = Connection::open_in_memory().ok()?;
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_TRUSTED_SCHEMA, false).ok()?;
    conn.set_limit(Limit::SQLITE_LIMIT_ATTACHED, 0).ok()?;
    conn.execute_batch("CREATE TABLE t(a); INSERT INTO t VALUES(1)").ok()?;
    // One statement, whatever the text: the rest of it would not be prepared. Only constants can be added so. A name
    // in this place means its own text, whether it is quoted or not.
    let add = |default: &str| {
        let statement = format!("ALTER TABLE t ADD COLUMN b {affinity} DEFAULT ({default}\n)");
        conn.prepare(&statement).ok()?.execute([]).ok()
    };
    let as_text = || Some(format!("'{}'", name_in(text)?.replace('\'', "''")));
    add(text).or_else(|| add(&as_text()?))?;
    let value = conn.query_row("SELECT b FROM t", [], |row| {
        use rusqlite::types::ValueRef;
        Ok(match row.get_ref(0)? {
            ValueRef::Null => Kept::Null,
            ValueRef::Integer(number) => Kept::Integer(number),
            ValueRef::Real(number) => Kept::Real(number),
            ValueRef::Text(text) => Kept::Text(in_form(text, encoding), encoding),
            ValueRef::Blob(bytes) => Kept::Blob(bytes.to_vec()),
        })
    });
    value.ok()
}

/// The name that a text is, without its quotes; `None` where it is something else.
fn name_in(text: &str) -> Option<String> {
    let text = text.trim();
    let inner = |open: char, close: char| text.strip_prefix(open)?.strip_suffix(close);
    let doubled = |quote: char| {
        let inner = inner(quote, quote)?;
        let single = inner.replace(&format!("{quote}{quote}"), "");
        (!single.contains(quote)).then(|| inner.replace(&format!("{quote}{quote}"), &quote.to_string()))
    };
    let is_bare = |text: &str| {
        text.chars().all(|c| c.is_alphanumeric() || matches!(c, '_' | '$') || !c.is_ascii())
            && !text.starts_with(|c: char| c.is_ascii_digit() || c == '$')
    };
    doubled('"')
        .or_else(|| doubled('`'))
        .or_else(|| inner('[', ']').filter(|inner| !inner.contains(']')).map(str::to_owned))
        .or_else(|| (!text.is_empty() && is_bare(text)).then(|| text.to_owned()))
}

fn in_form(text: &[u8], encoding: Encoding) -> Vec<u8> {
    let units = || String::from_utf8_lossy(text).encode_utf16().collect::<Vec<u16>>();
    match encoding {
        Encoding::Utf8 => text.to_vec(),
        Encoding::Utf16Le => units().iter().flat_map(|unit| unit.to_le_bytes()).collect(),
        Encoding::Utf16Be => units().iter().flat_map(|unit| unit.to_be_bytes()).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(statement: &str) -> Result<Definition, String> {
        Definition::read("t", statement, Encoding::Utf8)
    }

    fn names(definition: &Definition) -> Vec<&str> {
        definition.columns.iter().map(|column| column.name.as_str()).collect()
    }

    #[test]
    fn columns_keys_and_their_places_are_told_by_sqlite() -> Result<(), String> {
        let plain = of("CREATE TABLE t(a INTEGER PRIMARY KEY, b REAL DEFAULT 2, c AS (b+1), d TEXT DEFAULT 5)")?;
        assert_eq!((names(&plain), plain.rowid), (vec!["a", "b", "c", "d"], Some(0)));
        assert_eq!((plain.stored.clone(), plain.is_without_rowid()), (vec![0, 1, 3], false));
        let defaults: Vec<Kept> = plain.columns.iter().map(|column| column.default.clone()).collect();
        let five = Kept::Text(b"5".to_vec(), Encoding::Utf8);
        assert_eq!(defaults, [Kept::Null, Kept::Real(2.0), Kept::Null, five]);
        assert_eq!(of("CREATE TABLE t(a INTEGER PRIMARY KEY DESC, b)")?.rowid, None);
        assert_eq!(of("CREATE TABLE t(a INT PRIMARY KEY, b)")?.rowid, None);
        assert_eq!(of("CREATE TABLE t(a, b INTEGER, PRIMARY KEY(b))")?.rowid, Some(1));
        let stored = of("CREATE TABLE t(a, b AS (a) STORED, c, PRIMARY KEY(c COLLATE nocase DESC, a)) WITHOUT ROWID")?;
        assert_eq!(stored.stored, [2, 0, 1]);
        let key = stored.key.unwrap_or_default();
        assert_eq!(
            key.first().map(|part| (part.column, part.collation, part.is_descending)),
            Some((2, Collation::NoCase, true))
        );
        assert_eq!(key.len(), 2);
        Ok(())
    }

    #[test]
    fn what_only_the_application_has_does_no_harm_and_nothing_is_run() -> Result<(), String> {
        let known = of("CREATE TABLE t(a TEXT COLLATE ours CHECK(ours(a)), b AS (theirs(a)), UNIQUE(a))")?;
        assert_eq!(names(&known), ["a", "b"]);
        assert!(Definition::read("sqlite_stat1", "CREATE TABLE sqlite_stat1(tbl,idx,stat)", Encoding::Utf8).is_ok());
        assert!(Definition::read("sqlite_sequence", "CREATE TABLE sqlite_sequence(name,seq)", Encoding::Utf8).is_ok());
        for statement in [
            "CREATE VIRTUAL TABLE t USING fts5(a)",
            "create table",
            "CREATE TABLE t(a); DROP TABLE t",
            "CREATE TABLE u AS SELECT randomblob(1000000000)",
            "CREATE TABLE t(",
            "CREATE TABLE u(a)",
            "ATTACH '/tmp/x' AS y",
            "",
        ] {
            assert!(of(statement).is_err(), "{statement}");
        }
        let named =
            of("CREATE TABLE t(a DEFAULT \"d\"\"q\", b DEFAULT bare, c DEFAULT [b r], d DEFAULT `t`, e DEFAULT true)")?;
        let texts: Vec<Kept> = named.columns.iter().map(|column| column.default.clone()).collect();
        let text = |text: &str| Kept::Text(text.as_bytes().to_vec(), Encoding::Utf8);
        assert_eq!(texts, [text("d\"q"), text("bare"), text("b r"), text("t"), Kept::Integer(1)]);
        let of_type = of(
            "CREATE TABLE t(a DEFAULT '007', b BLOB DEFAULT '1e3', c NUMERIC DEFAULT '007', d ANY DEFAULT '010', e \
             T_EXT DEFAULT 5)",
        )?;
        let kept: Vec<Kept> = of_type.columns.iter().map(|column| column.default.clone()).collect();
        assert_eq!(kept, [text("007"), text("1e3"), Kept::Integer(7), Kept::Integer(10), Kept::Integer(5)]);
        let strict = of("CREATE TABLE t(a ANY DEFAULT '010', b TEXT DEFAULT 'x') STRICT")?;
        assert_eq!(strict.columns[0].default, text("010"));
        let hostile =
            of("CREATE TABLE t(a DEFAULT (1 -- ) \n), b DEFAULT (randomblob(9)), c \"TEXT), d\" DEFAULT 'x')")?;
        assert_eq!(hostile.columns.iter().map(|c| c.default.clone()).collect::<Vec<_>>()[1], Kept::Null);
        Ok(())
    }
}
