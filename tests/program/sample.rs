//! The sample data file and the client that edits it, over real SQLite.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    thread,
};

use rusqlite::Connection;
use strongroom::{
    control::{Control, Phase},
    error::{Error, ErrorKind},
    sample::{
        self,
        client::{self, ClientCommit, ClientEdit, ClientOptions, ClientReport},
    },
    sqlite::data_file::{self, JournalMode},
};

type Outcome = Result<(), Box<dyn std::error::Error>>;

fn number(conn: &Connection, sql: &str) -> rusqlite::Result<i64> {
    conn.query_row(sql, [], |row| row.get(0))
}

fn names_in(folder: &Path) -> std::io::Result<BTreeSet<String>> {
    fs::read_dir(folder)?.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned())).collect()
}

fn new_sample() -> Result<(tempfile::TempDir, PathBuf), Box<dyn std::error::Error>> {
    let folder = tempfile::tempdir()?;
    let path = sample::create(folder.path(), &Control::default())?;
    Ok((folder, path))
}

/// Runs a client as fast as the disk allows.
fn edit(path: &Path, commits: u64, seed: u64) -> Result<(ClientReport, Vec<ClientCommit>), Error> {
    let options = ClientOptions { commits_per_second: f64::INFINITY, commits_max: Some(commits), seed };
    let mut seen = Vec::new();
    let report = client::run(path, &options, &Control::default(), &mut |commit| seen.push(commit.clone()))?;
    Ok((report, seen))
}

fn assert_sound(conn: &Connection) -> Outcome {
    assert_eq!(conn.query_row("PRAGMA integrity_check", [], |row| row.get::<_, String>(0))?, "ok");
    assert_eq!(number(conn, "SELECT count(*) FROM pragma_foreign_key_check")?, 0);
    // Compares the search index with the documents it is over.
    conn.execute_batch("INSERT INTO document_search(document_search, rank) VALUES('integrity-check', 1)")?;
    Ok(())
}

#[test]
fn the_sample_holds_what_an_office_keeps() -> Outcome {
    let folder = tempfile::tempdir()?;
    let control = Control::default();
    let path = sample::create(&folder.path().join("a/b ü"), &control)?;
    assert_eq!(path, folder.path().join("a/b ü").join(sample::FILE_NAME));
    assert_eq!(names_in(&folder.path().join("a/b ü"))?, BTreeSet::from([sample::FILE_NAME.to_owned()]));
    assert_eq!(control.progress().phase, Phase::Finishing);

    let facts = data_file::identify(&path)?;
    assert_eq!((facts.page_size, facts.journal_mode), (4096, JournalMode::Wal));
    assert!((10_000_000..20_000_000).contains(&facts.size_bytes), "{}", facts.size_bytes);

    let conn = Connection::open(&path)?;
    assert_sound(&conn)?;
    let tables: Vec<String> = conn
        .prepare("SELECT name FROM pragma_table_list WHERE schema='main' AND type='table' AND name NOT LIKE 'sqlite%'")?
        .query_map([], |row| row.get(0))?
        .collect::<Result<_, _>>()?;
    let mut records = 0;
    for table in &tables {
        records += number(&conn, &format!("SELECT count(*) FROM {table}"))?;
    }
    assert!((49_000..=51_000).contains(&records), "{records}");
    let without_rowid = "SELECT count(*) FROM pragma_table_list WHERE schema='main' AND type='table' AND wr";
    assert_eq!(number(&conn, without_rowid)?, 2);
    assert_eq!(number(&conn, "SELECT count(*) FROM article_stock")?, 1200);
    assert_eq!(number(&conn, "SELECT count(*) FROM pragma_index_list('invoices') WHERE partial")?, 1);
    // An index column without a name is an expression.
    assert_eq!(number(&conn, "SELECT count(*) FROM pragma_index_info('clients_name') WHERE name IS NULL")?, 1);
    assert_eq!(number(&conn, "SELECT count(*) FROM pragma_table_xinfo('invoice_lines') WHERE hidden=3")?, 1);
    Ok(())
}

#[test]
fn views_search_and_amounts_answer() -> Outcome {
    let (_folder, path) = new_sample()?;
    let conn = Connection::open(&path)?;
    let open = number(&conn, "SELECT count(*) FROM open_invoices")?;
    assert!((200..600).contains(&open), "{open}");
    assert_eq!(open, number(&conn, "SELECT count(*) FROM invoices WHERE paid_on IS NULL")?);
    assert_eq!(number(&conn, "SELECT count(*) FROM open_invoices WHERE open_rappen<=0 OR open_rappen%5<>0")?, 0);
    let unsettled =
        "SELECT count(*) FROM invoices AS i JOIN invoice_totals AS t ON t.invoice_id=i.id WHERE paid_on IS NOT NULL
                     AND total_rappen<>(SELECT sum(amount_rappen) FROM payments WHERE invoice_id=i.id)";
    assert_eq!(number(&conn, unsettled)?, 0);
    assert_eq!(
        number(
            &conn,
            "SELECT count(*) FROM payments AS p JOIN invoices AS i ON i.id=p.invoice_id WHERE p.paid_on<i.issued_on"
        )?,
        0
    );
    let found = "SELECT count(*) FROM document_search WHERE document_search MATCH 'Datensicherung AND umstellung'";
    assert!((1..1200).contains(&number(&conn, found)?));
    let years = "SELECT count(DISTINCT substr(issued_on, 1, 4)) FROM invoices";
    assert!(number(&conn, years)? >= 6);
    assert_eq!(number(&conn, "SELECT count(*) FROM invoices WHERE due_on<>date(issued_on, terms_days||' days')")?, 0);
    Ok(())
}

#[test]
fn the_sample_is_always_the_same() -> Outcome {
    let ((_one, first), (_two, second)) = (new_sample()?, new_sample()?);
    let without_counters = |path: &Path| {
        fs::read(path).map(|mut bytes| {
            // The change counter and the version-valid-for number.
            bytes[24..28].fill(0);
            bytes[92..96].fill(0);
            bytes
        })
    };
    assert!(without_counters(&first)? == without_counters(&second)?);
    Ok(())
}

#[test]
fn an_existing_file_is_never_replaced() -> Outcome {
    for suffix in ["", "-wal", "-journal"] {
        let folder = tempfile::tempdir()?;
        let existing = format!("{}{suffix}", sample::FILE_NAME);
        fs::write(folder.path().join(&existing), "mine")?;
        let error = sample::create(folder.path(), &Control::default()).err().ok_or("replaced")?;
        assert_eq!(error.kind(), ErrorKind::Exists);
        assert_eq!(names_in(folder.path())?, BTreeSet::from([existing.clone()]));
        assert_eq!(fs::read(folder.path().join(existing))?, b"mine");
    }
    Ok(())
}

#[test]
fn a_stop_before_the_first_record_leaves_nothing_behind() -> Outcome {
    let folder = tempfile::tempdir()?;
    let control = Control::default();
    control.stop();
    let error = sample::create(&folder.path().join("new"), &control).err().ok_or("not stopped")?;
    assert_eq!(error.kind(), ErrorKind::Stopped);
    assert!(names_in(folder.path())?.is_empty());
    Ok(())
}

#[test]
fn a_file_instead_of_a_folder_is_named() -> Outcome {
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("file");
    fs::write(&file, "")?;
    let error = sample::create(&file.join("below"), &Control::default()).err().ok_or("created")?;
    assert_eq!(error.kind(), ErrorKind::WrongType);
    assert_eq!(names_in(folder.path())?.len(), 1);
    Ok(())
}

#[test]
fn the_client_makes_every_edit_and_keeps_the_records_valid() -> Outcome {
    let (_folder, path) = new_sample()?;
    let (report, commits) = edit(&path, 150, 1)?;
    assert_eq!((report.commits, commits.len()), (150, 150));
    assert!(commits.iter().map(|c| c.number).eq(1..=150));
    assert!(report.slowest >= commits[0].took);
    let made: std::collections::HashSet<ClientEdit> = commits.iter().map(|c| c.edit).collect();
    assert_eq!(made.len(), 7, "{made:?}");
    let conn = Connection::open(&path)?;
    assert_sound(&conn)?;
    let renamed = commits.iter().filter(|c| c.edit == ClientEdit::ClientRenamed).count() as i64;
    let added = commits.iter().filter(|c| c.edit == ClientEdit::DocumentAdded).count() as i64;
    assert_eq!(number(&conn, "SELECT count(*) FROM documents")?, 1200 + added);
    assert!((1..=renamed).contains(&number(&conn, "SELECT count(*) FROM former_names")?));
    let first = commits.iter().find(|c| c.edit == ClientEdit::InvoiceAdded).ok_or("no invoice")?;
    assert!(
        first.description.starts_with("invoice 20") && first.description.contains(", CHF "),
        "{}",
        first.description
    );
    Ok(())
}

#[test]
fn the_client_stops_when_asked() -> Outcome {
    let (_folder, path) = new_sample()?;
    let control = Control::default();
    // The pause would be a day, so that a stop only seen after it would never end this test.
    let options = ClientOptions { commits_per_second: 1.0 / 86_400.0, ..ClientOptions::default() };
    let report = client::run(&path, &options, &control, &mut |_| control.stop())?;
    assert_eq!(report.commits, 1);

    let stopped = client::run(&path, &options, &control, &mut |_| {})?;
    assert_eq!(stopped, ClientReport::default());
    Ok(())
}

#[test]
fn two_clients_work_at_once() -> Outcome {
    let (_folder, path) = new_sample()?;
    thread::scope(|scope| -> Outcome {
        let running = [2, 3].map(|seed| {
            scope.spawn({
                let path = &path;
                move || edit(path, 60, seed)
            })
        });
        for client in running {
            assert_eq!(client.join().map_err(|_| "a client panicked")??.0.commits, 60);
        }
        Ok(())
    })?;
    let conn = Connection::open(&path)?;
    assert_sound(&conn)?;
    // Numbers of invoices come from the highest id, which two writers at once must not both have seen.
    assert_eq!(number(&conn, "SELECT count(*)-count(DISTINCT number) FROM invoices")?, 0);
    Ok(())
}

#[test]
fn the_client_goes_on_in_rollback_mode() -> Outcome {
    let (_folder, path) = new_sample()?;
    Connection::open(&path)?.execute_batch("PRAGMA journal_mode=DELETE")?;
    edit(&path, 10, 4)?;
    assert_sound(&Connection::open(&path)?)
}

#[test]
fn the_client_refuses_every_other_file() -> Outcome {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("real.sqlite");
    let owner = Connection::open(&path)?;
    owner.execute_batch(
        "PRAGMA journal_mode=WAL; PRAGMA application_id=7; CREATE TABLE clients(id INTEGER PRIMARY KEY, name)",
    )?;
    // What the owner's crash would leave: the only copy of the records is in the WAL.
    let crashed = folder.path().join("crashed.sqlite");
    fs::copy(&path, &crashed)?;
    fs::copy(folder.path().join("real.sqlite-wal"), folder.path().join("crashed.sqlite-wal"))?;
    let before = (fs::read(&crashed)?, fs::read(folder.path().join("crashed.sqlite-wal"))?);
    let error = edit(&crashed, 1, 1).err().ok_or("edited a foreign file")?;
    assert_eq!(error.kind(), ErrorKind::Refused);
    assert_eq!(
        error.to_string().replace(&crashed.display().to_string(), "FILE"),
        "FILE is not the sample data file: expected application id 0x45444c57 version 1, found 0x00000007 version 0"
    );
    assert!(error.hint_text().is_some());
    assert!(
        before == (fs::read(&crashed)?, fs::read(folder.path().join("crashed.sqlite-wal"))?),
        "the file was changed"
    );

    fs::write(folder.path().join("text"), "Dear Sir or Madam,\nwe regret")?;
    fs::write(folder.path().join("empty"), "")?;
    let kind = |name: &str| edit(&folder.path().join(name), 1, 1).err().map(|e| e.kind());
    assert_eq!(kind("text"), Some(ErrorKind::NotRecognised));
    assert_eq!(kind("empty"), Some(ErrorKind::Refused));
    assert_eq!(kind("gone"), Some(ErrorKind::NotFound));
    assert_eq!(kind("."), Some(ErrorKind::WrongType));
    assert!(!folder.path().join("gone").exists());
    Ok(())
}
