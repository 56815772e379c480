//! Bytes served to SQLite, whole and broken.
#![cfg(test)]

use super::*;

type Done = std::result::Result<(), Box<dyn std::error::Error>>;

struct Bytes(Vec<u8>);

impl Served for Bytes {
    fn read(&mut self, offset: u64, buffer: &mut [u8]) -> Result<()> {
        let broken = || Error::new(ErrorKind::Damaged, "not there");
        let from = usize::try_from(offset).map_err(|_| broken())?;
        buffer.copy_from_slice(self.0.get(from..from + buffer.len()).ok_or_else(broken)?);
        // What a panic in there becomes.
        assert!(offset != 8192, "a page that must not be read");
        Ok(())
    }

    fn length(&self) -> u64 {
        self.0.len() as u64
    }
}

fn database(sql: &str) -> std::result::Result<Vec<u8>, Box<dyn std::error::Error>> {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("a");
    let conn = Connection::open(&path)?;
    conn.execute_batch("PRAGMA page_size=4096; PRAGMA journal_mode=WAL")?;
    conn.execute_batch(sql)?;
    drop(conn);
    Ok(std::fs::read(&path)?)
}

#[test]
fn a_data_file_in_wal_mode_is_read_and_sorted_and_never_written() -> Done {
    let bytes = database(
        "CREATE TABLE t(a); WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i<50)
         INSERT INTO t SELECT i FROM n",
    )?;
    let conn = open(Box::new(Bytes(bytes)))?;
    conn.execute_batch("PRAGMA cache_size=2")?;
    let sum: i64 = conn.query_row("SELECT sum(a) FROM t", [], |row| row.get(0))?;
    assert_eq!(sum, 1275);
    let many = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i<60000) \
                SELECT max(x) FROM (SELECT hex(i * 7919 % 60013) || zeroblob(90) AS x FROM n ORDER BY x DESC)";
    assert!(conn.query_row(many, [], |row| row.get::<_, String>(0)).is_ok());
    assert!(conn.execute("INSERT INTO t VALUES(1)", []).is_err());
    assert!(conn.execute("PRAGMA user_version=7", []).is_err());
    Ok(())
}

#[test]
fn a_panic_is_a_failure_of_the_disk() -> Done {
    let bytes = database("CREATE TABLE t(a); CREATE TABLE u(a); INSERT INTO u VALUES(1)")?;
    assert!(bytes.len() > 8192);
    let conn = open(Box::new(Bytes(bytes)))?;
    let read: rusqlite::Result<i64> = conn.query_row("SELECT a FROM u", [], |row| row.get(0));
    assert!(read.is_err_and(|error| error.to_string().contains("disk I/O error")));
    Ok(())
}
