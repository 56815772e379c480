//! A connection for statements that somebody else wrote, to a data file that nobody vouches for: it reads that data
//! file, and nothing else.

use rusqlite::{
    Connection,
    config::DbConfig,
    hooks::{AuthAction, AuthContext, Authorization},
    limits::Limit,
};

use super::{
    bound_values,
    vfs::{self, Served},
};
use crate::error::{Error, ErrorKind, Result};

/// After so many steps of its machine SQLite asks whether to go on.
const STEPS: i32 = 2000;
/// No statement is longer.
const STATEMENT_BYTES_MAX: i32 = 1 << 20;
/// KiB of pages that SQLite keeps in memory.
const CACHE_KIB: i64 = 32 << 10;

/// What a PRAGMA may be that only tells something; with an argument or without.
const TELLING: &[&str] = &[
    "application_id",
    "auto_vacuum",
    "cell_size_check",
    "collation_list",
    "compile_options",
    "count_changes",
    "data_version",
    "database_list",
    "encoding",
    "foreign_key_check",
    "foreign_key_list",
    "freelist_count",
    "function_list",
    "index_info",
    "index_list",
    "index_xinfo",
    "integrity_check",
    "journal_mode",
    "module_list",
    "page_count",
    "page_size",
    "pragma_list",
    "quick_check",
    "schema_version",
    "table_info",
    "table_list",
    "table_xinfo",
    "user_version",
];
/// Those of them that are told what to look at; the others would be set.
const ASKED_OF: &[&str] = &[
    "foreign_key_check",
    "foreign_key_list",
    "index_info",
    "index_list",
    "index_xinfo",
    "integrity_check",
    "quick_check",
    "table_info",
    "table_list",
    "table_xinfo",
];
/// Functions that do more than compute.
const ACTING: &[&str] = &["load_extension", "fts3_tokenizer", "edit", "readfile", "writefile"];

/// Opens what `served` has. A statement ends as soon as `is_over`.
///
/// # Errors
/// Where SQLite cannot open it.
pub fn open(served: Box<dyn Served>, is_over: impl FnMut() -> bool + Send + 'static) -> Result<Connection> {
    let fail = |source: rusqlite::Error| {
        Error::new(ErrorKind::Sqlite, format!("SQLite cannot open what is shown to it: {source}"))
    };
    let mut conn = vfs::open(served)?;
    let set = |option, on| conn.set_db_config(option, on).map(|_| ()).map_err(fail);
    set(DbConfig::SQLITE_DBCONFIG_TRUSTED_SCHEMA, false)?;
    set(DbConfig::SQLITE_DBCONFIG_ENABLE_TRIGGER, false)?;
    set(DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true)?;
    bound_values(&conn).map_err(fail)?;
    for (limit, most) in [
        (Limit::SQLITE_LIMIT_SQL_LENGTH, STATEMENT_BYTES_MAX),
        (Limit::SQLITE_LIMIT_ATTACHED, 0),
        (Limit::SQLITE_LIMIT_WORKER_THREADS, 0),
    ] {
        conn.set_limit(limit, most).map_err(fail)?;
    }
    conn.execute_batch(&format!("PRAGMA cache_size=-{CACHE_KIB}; PRAGMA cell_size_check=ON; PRAGMA query_only=ON"))
        .map_err(fail)?;
    conn.progress_handler(STEPS, Some(is_over)).map_err(fail)?;
    conn.authorizer(Some(authorize)).map_err(fail)?;
    Ok(conn)
}

fn authorize(asked: AuthContext<'_>) -> Authorization {
    let is_one = |names: &[&str], name: &str| names.iter().any(|known| known.eq_ignore_ascii_case(name));
    let is_allowed = match asked.action {
        // What would write is refused by the file; virtual tables prepare such statements only to read.
        AuthAction::Select
        | AuthAction::Read { .. }
        | AuthAction::Recursive
        | AuthAction::Insert { .. }
        | AuthAction::Update { .. }
        | AuthAction::Delete { .. } => true,
        AuthAction::Function { function_name } => !is_one(ACTING, function_name),
        AuthAction::Pragma { pragma_name, pragma_value } => {
            is_one(TELLING, pragma_name) && (pragma_value.is_none() || is_one(ASKED_OF, pragma_name))
        }
        _ => false,
    };
    if is_allowed { Authorization::Allow } else { Authorization::Deny }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Done = std::result::Result<(), Box<dyn std::error::Error>>;

    struct Bytes(Vec<u8>);

    impl Served for Bytes {
        fn read(&mut self, offset: u64, buffer: &mut [u8]) -> Result<()> {
            let from = usize::try_from(offset).unwrap_or(usize::MAX);
            let piece = self.0.get(from..from.saturating_add(buffer.len()));
            buffer.copy_from_slice(piece.ok_or_else(|| Error::new(ErrorKind::Damaged, "not there"))?);
            Ok(())
        }

        fn length(&self) -> u64 {
            self.0.len() as u64
        }
    }

    fn opened(
        is_over: impl FnMut() -> bool + Send + 'static,
    ) -> std::result::Result<Connection, Box<dyn std::error::Error>> {
        let folder = tempfile::tempdir()?;
        let path = folder.path().join("a");
        let conn = Connection::open(&path)?;
        conn.execute_batch(
            "CREATE TABLE t(id INTEGER PRIMARY KEY, a); INSERT INTO t VALUES(1, 'one'); CREATE INDEX t_a ON t(a);
             CREATE VIEW v AS SELECT a FROM t; CREATE VIEW spy AS SELECT load_extension('x');
             CREATE VIRTUAL TABLE docs USING fts5(body); INSERT INTO docs VALUES('some words of it');
             CREATE VIRTUAL TABLE places USING rtree(i, a, b); INSERT INTO places VALUES(7, 1, 2)",
        )?;
        drop(conn);
        Ok(open(Box::new(Bytes(std::fs::read(&path)?)), is_over)?)
    }

    #[test]
    fn everything_can_be_read() -> Done {
        let conn = opened(|| false)?;
        for (sql, expected) in [
            ("SELECT a FROM t", "one"),
            ("SELECT a FROM v", "one"),
            ("SELECT body FROM docs WHERE docs MATCH 'words'", "some words of it"),
            ("SELECT CAST(i AS TEXT) FROM places WHERE a >= 1", "7"),
            ("SELECT name FROM pragma_table_info('t') WHERE pk", "id"),
            ("SELECT name FROM pragma_index_list('t')", "t_a"),
            ("SELECT integrity_check FROM pragma_integrity_check", "ok"),
            ("SELECT json_extract('{\"a\":\"b\"}', '$.a')", "b"),
            (
                "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i<9) SELECT CAST(sum(i) AS \
                 TEXT) FROM n",
                "45",
            ),
        ] {
            let told: String = conn.query_row(sql, [], |row| row.get(0)).map_err(|e| format!("{sql}: {e}"))?;
            assert_eq!(told, expected, "{sql}");
        }
        Ok(())
    }

    #[test]
    fn nothing_is_written_and_no_other_file_is_opened() -> Done {
        let conn = opened(|| false)?;
        let other = tempfile::tempdir()?;
        let path = other.path().join("other").display().to_string();
        for sql in [
            "INSERT INTO t VALUES(2, 'two')".to_owned(),
            "DELETE FROM t".to_owned(),
            "CREATE TABLE u(a)".to_owned(),
            "CREATE TEMP TABLE u(a)".to_owned(),
            "DROP TABLE t".to_owned(),
            "VACUUM".to_owned(),
            "REINDEX".to_owned(),
            "BEGIN IMMEDIATE".to_owned(),
            "SELECT load_extension('x')".to_owned(),
            "SELECT * FROM spy".to_owned(),
            "PRAGMA user_version=4".to_owned(),
            "PRAGMA journal_mode=DELETE".to_owned(),
            "PRAGMA query_only=OFF".to_owned(),
            "PRAGMA writable_schema=ON".to_owned(),
            "PRAGMA temp_store_directory='/'".to_owned(),
            "PRAGMA hard_heap_limit=0".to_owned(),
            "PRAGMA trusted_schema=ON".to_owned(),
            format!("ATTACH '{path}' AS other"),
            format!("VACUUM INTO '{path}'"),
        ] {
            assert!(conn.execute_batch(&sql).is_err(), "{sql}");
        }
        assert_eq!(std::fs::read_dir(other.path())?.count(), 0);
        Ok(())
    }

    #[test]
    fn a_statement_without_end_is_ended() -> Done {
        let endless = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n) SELECT count(*) FROM n";
        let mut asked = 0;
        let conn = opened(move || {
            asked += 1;
            asked > 20
        })?;
        assert!(conn.query_row(endless, [], |_| Ok(())).is_err());
        Ok(())
    }
}
