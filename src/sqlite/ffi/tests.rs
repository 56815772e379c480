//! What the interface to SQLite does, with real connections.
#![cfg(test)]

use super::*;

#[test]
fn the_position_of_a_snapshot_names_the_frames_of_its_commits() -> std::result::Result<(), Box<dyn std::error::Error>> {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("a.sqlite");
    let writer = Connection::open(&path)?;
    writer.execute_batch("PRAGMA page_size=8192; PRAGMA journal_mode=WAL; CREATE TABLE t(x)")?;
    let reader = crate::sqlite::open_existing(&path)?;
    reader.execute_batch("BEGIN; SELECT * FROM sqlite_schema")?;
    let first = wal_position(&reader, &path)?.ok_or("no position")?;
    assert_eq!((first.page_size, first.page_count), (8192, 2));
    reader.execute_batch("COMMIT")?;
    writer.execute_batch("INSERT INTO t VALUES (1)")?;
    reader.execute_batch("BEGIN; SELECT * FROM sqlite_schema")?;
    let second = wal_position(&reader, &path)?.ok_or("no position")?;
    assert_eq!(second.change_counter, first.change_counter.wrapping_add(1));
    assert!(second.frame_max > first.frame_max && second.salts == first.salts);
    let header = std::fs::read(folder.path().join("a.sqlite-wal"))?;
    assert_eq!(header[16..20], second.salts[0].to_be_bytes());
    Ok(())
}

#[test]
fn an_index_that_forgot_the_number_of_pages_lets_a_longer_copy_be_read()
-> std::result::Result<(), Box<dyn std::error::Error>> {
    let folder = tempfile::tempdir()?;
    let (path, longer) = (folder.path().canonicalize()?.join("a.sqlite"), folder.path().join("longer"));
    let count = |conn: &Connection| conn.query_row("SELECT count(*) FROM t", [], |row| row.get::<_, i64>(0));
    let application = Connection::open(&path)?;
    application.execute_batch("PRAGMA journal_mode=WAL; CREATE TABLE t(x)")?;
    let gate = crate::sqlite::open_existing(&path)?;
    gate.execute_batch("BEGIN IMMEDIATE")?;
    assert_eq!(forget_page_count(&gate, &path)?, None, "there are frames");
    gate.execute_batch("ROLLBACK; PRAGMA wal_checkpoint(TRUNCATE)")?;
    assert_eq!(count(&application)?, 0);
    let mut before = 0;
    for rows in [5_000, 6_000] {
        gate.execute_batch("BEGIN IMMEDIATE")?;
        let counter = forget_page_count(&gate, &path)?.ok_or("there are frames")?;
        gate.execute_batch("ROLLBACK")?;
        assert!(counter > before, "a header that was seen before must not come back");
        before = counter;
        let other = Connection::open(&longer)?;
        other.execute_batch(&format!(
            "PRAGMA journal_mode=WAL; CREATE TABLE IF NOT EXISTS t(x); DELETE FROM t; WITH RECURSIVE n(i) AS
             (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i<{rows}) INSERT INTO t SELECT randomblob(90) FROM n"
        ))?;
        drop(other);
        // Copied by another process, as this one would drop SQLite's locks.
        assert!(std::process::Command::new("cp").arg(&longer).arg(&path).status()?.success());
        assert_eq!(count(&Connection::open(&path)?)?, rows);
        assert_eq!(count(&application)?, rows, "the pages in its memory are not those of the file");
        gate.execute_batch("PRAGMA wal_checkpoint(TRUNCATE)")?;
    }
    application.execute("INSERT INTO t VALUES(1)", [])?;
    assert_eq!(application.query_row("PRAGMA integrity_check", [], |r| r.get::<_, String>(0))?, "ok");
    Ok(())
}

/// A file whose content was thrown away beside its WAL: whoever asks where it stands must not hold it ever after.
#[cfg(target_os = "linux")]
#[test]
fn what_was_asked_of_an_emptied_file_is_let_go_of() -> std::result::Result<(), Box<dyn std::error::Error>> {
    let folder = tempfile::tempdir()?;
    let path = folder.path().canonicalize()?.join("a.sqlite");
    let application = Connection::open(&path)?;
    application.execute_batch("PRAGMA journal_mode=WAL; CREATE TABLE t(x)")?;
    let companions = ["-wal", "-shm"].map(|end| folder.path().join(format!("a.sqlite{end}")));
    let kept = companions.iter().map(std::fs::read).collect::<std::io::Result<Vec<_>>>()?;
    drop(application);
    std::fs::write(&path, "")?;
    companions.iter().zip(kept).try_for_each(|(companion, bytes)| std::fs::write(companion, bytes))?;
    let reader = crate::sqlite::open_existing(&path)?;
    reader.execute_batch("BEGIN")?;
    assert_eq!(wal_position(&reader, &path)?, None);
    assert!(backfill(&reader, &path).is_err());
    drop(reader);
    let open = std::fs::read_dir("/proc/self/fd")?.flatten().filter_map(|fd| std::fs::read_link(fd.path()).ok());
    let held: Vec<_> = open.filter(|held| path.parent().is_some_and(|folder| held.starts_with(folder))).collect();
    assert!(held.is_empty(), "{held:?}");
    Ok(())
}

#[test]
fn bytes_past_the_end_read_as_zeros() -> std::result::Result<(), Box<dyn std::error::Error>> {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("a.sqlite");
    Connection::open(&path)?.execute_batch("CREATE TABLE t(x)")?;
    let conn = crate::sqlite::open_existing(&path)?;
    let mut bytes = vec![7u8; 10_000];
    read_file(&conn, &path, 0, &mut bytes)?;
    assert_eq!(&bytes[..16], b"SQLite format 3\0");
    assert_eq!(file_size(&conn, &path)?, 8192);
    assert!(bytes[8192..].iter().all(|b| *b == 0));
    Ok(())
}

#[test]
fn a_checkpoint_that_may_not_write_leaves_the_data_file_as_it_is() -> std::result::Result<(), Box<dyn std::error::Error>>
{
    let folder = tempfile::tempdir()?;
    let path = folder.path().canonicalize()?.join("a.sqlite");
    let application = Connection::open(&path)?;
    application.execute_batch("PRAGMA journal_mode=WAL; CREATE TABLE t(x)")?;
    let conn = crate::sqlite::open_existing(&path)?;
    conn.query_row("SELECT count(*) FROM t", [], |_| Ok(()))?;
    let allowed = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(true));
    let (answer, asked) = (std::sync::Arc::clone(&allowed), std::sync::mpsc::channel());
    let checkpointer = Checkpointer::new(conn, &path, move |before| {
        let _ = asked.0.send(before);
        answer.load(std::sync::atomic::Ordering::Relaxed)
    })?;
    let checkpoint = || {
        checkpointer
            .connection()
            .query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |row| Ok((row.get::<_, u32>(1)?, row.get::<_, u32>(2)?)))
    };
    let before = backfill(checkpointer.connection(), &path)?.ok_or("no index")?;
    let (frames, copied) = checkpoint()?;
    assert!(frames > 0 && frames == copied);
    assert!(asked.1.try_recv()?.ok_or("no index")?.is_as_far_as(before));
    application.execute("INSERT INTO t VALUES(randomblob(20000))", [])?;
    allowed.store(false, std::sync::atomic::Ordering::Relaxed);
    let content = std::fs::read(&path)?;
    assert!(checkpoint().is_err());
    assert_eq!(asked.1.try_iter().count(), 1);
    assert_eq!(std::fs::read(&path)?, content);
    // Nothing to copy, nothing to ask.
    allowed.store(true, std::sync::atomic::Ordering::Relaxed);
    checkpoint()?;
    checkpoint()?;
    assert_eq!(asked.1.try_iter().count(), 1);
    assert_ne!(std::fs::read(&path)?, content);
    drop(checkpointer);
    assert_eq!(application.query_row("PRAGMA integrity_check", [], |r| r.get::<_, String>(0))?, "ok");
    Ok(())
}

#[test]
fn the_index_is_asked_only_of_who_has_the_wal_open() -> std::result::Result<(), Box<dyn std::error::Error>> {
    let folder = tempfile::tempdir()?;
    let (path, index) = (folder.path().canonicalize()?.join("a.sqlite"), folder.path().join("a.sqlite-shm"));
    let application = Connection::open(&path)?;
    application.execute_batch("PRAGMA locking_mode=EXCLUSIVE; PRAGMA journal_mode=WAL; CREATE TABLE t(x)")?;
    let count = |conn: &Connection| conn.query_row("SELECT count(*) FROM t", [], |row| row.get::<_, i64>(0));
    // Locked out: asking makes no index, and leaves none open when the connection is closed.
    let conn = crate::sqlite::open_existing(&path)?;
    assert!(count(&conn).is_err());
    assert!(backfill(&conn, &path).is_err());
    assert!(while_nobody_writes(&conn, &path, || ()).is_err() && !index.exists());
    drop(application);
    count(&conn)?;
    backfill(&conn, &path)?.ok_or("no index")?;
    drop(conn);
    // In rollback mode, within a transaction.
    Connection::open(&path)?.execute_batch("PRAGMA journal_mode=DELETE")?;
    let conn = crate::sqlite::open_existing(&path)?;
    conn.execute_batch("BEGIN")?;
    count(&conn)?;
    assert_eq!(wal_position(&conn, &path)?, None);
    assert!(backfill(&conn, &path).is_err() && !index.exists());
    Ok(())
}
