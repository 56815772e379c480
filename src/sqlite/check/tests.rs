//! Records and indexes of data files that were damaged on purpose.
#![cfg(test)]

use super::*;

type Outcome = std::result::Result<(), Box<dyn std::error::Error>>;

fn data_file(path: &Path) -> rusqlite::Result<Connection> {
    let conn = Connection::open(path)?;
    conn.execute_batch(
        "CREATE TABLE good(x); CREATE TABLE 'it''s'(id INTEGER PRIMARY KEY, a TEXT NOT NULL, b);
         CREATE INDEX first ON 'it''s'(a); CREATE INDEX second ON 'it''s'(b); CREATE TABLE k(k PRIMARY KEY) \
         WITHOUT ROWID;
         WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i<3000)
         INSERT INTO 'it''s' SELECT i, 'text '||i, i*7%1000 FROM n; INSERT INTO good SELECT a FROM 'it''s'",
    )?;
    Ok(conn)
}

fn damaged(found: &Findings) -> Vec<String> {
    found.all().filter(|(_, state)| state.is_damaged()).map(|(name, _)| name).collect()
}

#[test]
fn a_sound_file_is_listed_with_all_tables_and_indexes() -> Outcome {
    let folder = tempfile::tempdir()?;
    let path = folder.path().canonicalize()?.join("a.sqlite");
    let _writer = data_file(&path)?;
    let control = Control::default();
    let found = check(&path, &control)?;
    assert!(found.all().all(|(_, state)| *state == State::Sound), "{found:?}");
    let names: Vec<&str> = found.tables.iter().map(|table| table.name.as_str()).collect();
    assert_eq!(names, ["good", "it's", "k", "sqlite_schema"]);
    let indexes: Vec<&str> = found.tables[1].indexes.iter().map(|index| index.name.as_str()).collect();
    assert_eq!(indexes, ["first", "second"]);
    let progress = control.progress();
    assert_eq!((progress.done, progress.phase), (progress.total, Phase::Examining));
    Ok(())
}

#[test]
fn damage_is_found_where_it_is() -> Outcome {
    let folder = tempfile::tempdir()?;
    let path = folder.path().canonicalize()?.join("a.sqlite");
    let writer = data_file(&path)?;
    // An index that lacks a row, and a row that breaks a rule: both written past SQLite's care.
    writer.execute_batch(
        "PRAGMA writable_schema=ON; UPDATE sqlite_schema SET sql='CREATE INDEX second ON ''it''''s''(b) WHERE \
         id<>77' WHERE name='second';
         UPDATE sqlite_schema SET sql=replace(sql,'a TEXT NOT NULL','a TEXT') WHERE name='it''s'; PRAGMA \
         writable_schema=RESET",
    )?;
    drop(writer);
    let writer = Connection::open(&path)?;
    writer.execute_batch(
        "DELETE FROM \"it's\" WHERE id=77; INSERT INTO \"it's\" VALUES(77,'x',5); UPDATE \"it's\" SET a=NULL WHERE \
         id=5;
         PRAGMA writable_schema=ON; UPDATE sqlite_schema SET sql='CREATE INDEX second ON ''it''''s''(b)' WHERE \
         name='second';
         UPDATE sqlite_schema SET sql=replace(sql,'a TEXT','a TEXT NOT NULL') WHERE name='it''s'; PRAGMA \
         writable_schema=RESET",
    )?;
    drop(writer);
    let found = check(&path, &Control::default())?;
    assert_eq!(damaged(&found), ["table it's", "index second of table it's"], "{found:#?}");
    let State::Problems(lines) = &found.tables[1].indexes[1].state else { return Err("not found".into()) };
    assert!(lines.iter().any(|line| line.starts_with("row 77 missing from index second")), "{lines:?}");
    Ok(())
}

#[test]
fn a_broken_page_is_given_to_its_tree_and_an_unused_one_to_the_file() -> Outcome {
    let folder = tempfile::tempdir()?;
    let path = folder.path().canonicalize()?.join("a.sqlite");
    let writer = data_file(&path)?;
    let root: u32 = writer.query_row("SELECT rootpage FROM sqlite_schema WHERE name='first'", [], |r| r.get(0))?;
    drop(writer);
    let mut bytes = std::fs::read(&path)?;
    let page = (root as usize - 1) * 4096;
    bytes[page + 20..page + 60].fill(0xff);
    // One page more than anybody uses, and the header knows of it.
    bytes.extend([0; 4096]);
    let count = (bytes.len() / 4096) as u32;
    bytes[28..32].copy_from_slice(&count.to_be_bytes());
    let lost = folder.path().join("b.sqlite");
    std::fs::write(&lost, &bytes)?;
    let found = check(&lost, &Control::default())?;
    let names = damaged(&found);
    assert!(names.contains(&"index first of table it's".to_owned()), "{found:#?}");
    assert!(names.contains(&"the file as a whole".to_owned()), "{found:#?}");
    assert!(!names.contains(&"table good".to_owned()), "{found:#?}");
    Ok(())
}

#[test]
fn what_needs_the_application_is_not_checked_and_not_sound() -> Outcome {
    let folder = tempfile::tempdir()?;
    let path = folder.path().canonicalize()?.join("a.sqlite");
    let writer = data_file(&path)?;
    writer.execute_batch(
        "CREATE TABLE z(a); CREATE INDEX zi ON z(a); PRAGMA writable_schema=ON;
         UPDATE sqlite_schema SET sql='CREATE TABLE z(a COLLATE theirs)' WHERE name='z';
         INSERT INTO sqlite_schema VALUES('table','v','v',0,'CREATE VIRTUAL TABLE v USING theirs(x)')",
    )?;
    drop(writer);
    let found = check(&path, &Control::default())?;
    let unknown: Vec<String> =
        found.all().filter(|(_, s)| matches!(s, State::Unknown(_))).map(|(name, _)| name).collect();
    assert_eq!(unknown, ["table v", "table z", "index zi of table z", "the file as a whole"], "{found:#?}");
    assert_eq!(
        found.tables.iter().find(|t| t.name == "v").map(|t| &t.state),
        Some(&State::Unknown("no such module: theirs".into()))
    );
    Ok(())
}

#[test]
fn a_stop_ends_it() -> Outcome {
    let folder = tempfile::tempdir()?;
    let path = folder.path().canonicalize()?.join("a.sqlite");
    let _writer = data_file(&path)?;
    let control = Control::default();
    control.stop();
    assert_eq!(check(&path, &control).err().map(|e| e.kind()), Some(ErrorKind::Stopped));
    Ok(())
}
