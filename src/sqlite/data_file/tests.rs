//! Files that can be protected, and what is said of those that cannot.
#![cfg(test)]

use super::*;
use rusqlite::Connection;

type Outcome = std::result::Result<(), Box<dyn std::error::Error>>;

fn failure(path: &Path) -> std::result::Result<(ErrorKind, String), &'static str> {
    let error = identify(path).err().ok_or("accepted")?;
    assert!(error.hint_text().is_some(), "no hint: {error}");
    Ok((error.kind(), error.to_string().replace(&path.display().to_string(), "FILE")))
}

#[test]
fn a_data_file_is_described() -> Outcome {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("a.sqlite");
    let writer = Connection::open(&path)?;
    writer.execute_batch(
        "PRAGMA page_size=1024; PRAGMA journal_mode=WAL; CREATE TABLE t(x); CREATE TABLE sqlitex(y);
         CREATE INDEX i ON t(x)",
    )?;
    let facts = identify(&path)?;
    assert_eq!((facts.page_size, facts.tables, facts.journal_mode), (1024, 2, JournalMode::Wal));
    assert!(facts.writable && facts.wal_bytes > 0 && facts.page_count == 4);
    assert_eq!(facts.sqlite_version.as_deref(), Some(rusqlite::version()));
    Ok(())
}

#[test]
fn what_can_not_be_used_is_named() -> Outcome {
    let folder = tempfile::tempdir()?;
    let at = |name: &str| folder.path().canonicalize().map(|f| f.join(name));
    assert_eq!(failure(&at("gone")?)?, (ErrorKind::NotFound, "FILE does not exist".into()));
    assert_eq!(failure(&folder.path().canonicalize()?)?, (ErrorKind::WrongType, "FILE is a folder".into()));
    fs::write(at("empty")?, "")?;
    assert_eq!(failure(&at("empty")?)?, (ErrorKind::Empty, "FILE is empty (0 bytes)".into()));
    fs::write(at("text")?, "Dear Sir or Madam,\nwe regret")?;
    assert_eq!(
        failure(&at("text")?)?,
        (ErrorKind::NotRecognised, "FILE is not an SQLite database: it begins with \"Dear Sir or Mada\"".into())
    );
    fs::write(at("pdf")?, "%PDF-1.4 ...")?;
    assert_eq!(failure(&at("pdf")?)?.1, "FILE is not an SQLite database: it begins with the mark of a PDF");
    let mut state = 1u64;
    let noise: Vec<u8> = (0..8192)
        .map(|_| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 56) as u8
        })
        .collect();
    fs::write(at("noise")?, noise)?;
    assert_eq!(failure(&at("noise")?)?.0, ErrorKind::Encrypted);
    fs::write(at("short")?, b"SQLite format 3\0 and no more")?;
    assert_eq!(failure(&at("short")?)?.0, ErrorKind::Damaged);
    Ok(())
}

#[test]
fn a_damaged_schema_is_named_as_damage() -> Outcome {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("a.sqlite");
    Connection::open(&path)?.execute_batch("CREATE TABLE t(x)")?;
    let mut bytes = fs::read(&path)?;
    bytes[100..110].fill(0xff);
    fs::write(&path, bytes)?;
    assert_eq!(failure(&path)?.0, ErrorKind::Damaged);
    Ok(())
}

#[test]
fn an_exclusively_locked_file_is_named_as_locked() -> Outcome {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("a.sqlite");
    let writer = Connection::open(&path)?;
    writer.execute_batch("PRAGMA locking_mode=EXCLUSIVE; PRAGMA journal_mode=WAL; CREATE TABLE t(x)")?;
    assert_eq!(failure(&path)?.0, ErrorKind::Busy);
    Ok(())
}
