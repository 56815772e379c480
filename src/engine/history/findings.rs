//! Archives that were found damaged: known beside the Backup journal until a later look finds them sound, or they are
//! replaced. Here alone; together with the dates of successful test restores it is all that is known of archives beyond
//! what they say themselves.

use std::path::{Path, PathBuf};

use chrono::{DateTime, Local};
use rusqlite::{Connection, params};
use serde::Deserialize;
use uuid::Uuid;

use super::{History, state};
use crate::{
    archive::catalog::ArchiveEntry,
    backup::{
        self,
        soundness::{self, Damaged, Finding, Known},
    },
    drill::Proof,
    error::{Error, ErrorKind, Result},
    settings::Settings,
};

/// `by_test` is 0 for a verification; a test restore has a number for each thing that can be damaged. Older programs
/// know only 1.
pub(super) const SCHEMA: &str = "CREATE TABLE IF NOT EXISTS findings(
    archive TEXT NOT NULL, by_test INTEGER NOT NULL, finding TEXT NOT NULL, PRIMARY KEY(archive, by_test));";

/// What a look at an archive refutes of what was found before.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Refuted {
    /// What verifications found, and what test restores found of its bytes: all of them are as they were written.
    pub bytes: bool,
    /// What test restores found of its bytes: it was restored.
    pub tested: bool,
    /// What test restores found of its content.
    pub content: bool,
    /// What test restores found of its logs.
    pub logs: bool,
}

impl Refuted {
    fn covers(self, finding: &Finding) -> bool {
        match (finding.by_test, finding.what) {
            (false, _) => self.bytes,
            (true, Damaged::Bytes) => self.bytes || self.tested,
            (true, Damaged::Content) => self.content,
            (true, Damaged::Logs) => self.logs,
        }
    }
}

/// What came of a look at an archive.
#[derive(Debug, Clone)]
pub struct Looked {
    /// The archive.
    pub archive: PathBuf,
    /// Its identity, if it can be read.
    pub archive_id: Option<Uuid>,
    /// What is no longer so.
    pub refuted: Refuted,
    /// What was found instead.
    pub found: Option<Finding>,
}

impl Looked {
    /// Brings `findings` up to date.
    pub fn apply(&self, findings: &mut Vec<Finding>) {
        let same = |known: &Finding| known.is_told_by(&self.archive, self.archive_id);
        let copy = findings.iter().filter(|known| same(known)).find_map(|known| known.copy.clone());
        findings.retain(|known| !(same(known) && self.refuted.covers(known)));
        if let Some(found) = &self.found {
            findings.retain(|known| (&known.archive, number(known)) != (&found.archive, number(found)));
            findings.push(Finding { copy: found.copy.clone().or(copy), ..found.clone() });
        }
    }
}

fn number(finding: &Finding) -> i64 {
    match (finding.by_test, finding.what) {
        (false, _) => 0,
        (true, Damaged::Bytes) => 1,
        (true, Damaged::Content) => 2,
        (true, Damaged::Logs) => 3,
    }
}

impl History {
    /// Keeps what came of a look at an archive. The proof of one that was found damaged no longer counts.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub fn keep_look(&self, looked: &Looked) -> Result<()> {
        let before = self.findings()?;
        let mut after = before.clone();
        looked.apply(&mut after);
        let write = || -> rusqlite::Result<()> {
            let transaction = self.conn.unchecked_transaction()?;
            for gone in before.iter().filter(|known| !after.contains(known)) {
                let sql = "DELETE FROM findings WHERE archive=?1 AND by_test=?2";
                transaction.execute(sql, params![gone.archive.to_string_lossy(), number(gone)])?;
            }
            for new in after.iter().filter(|known| !before.contains(known)) {
                insert(&transaction, new)?;
            }
            transaction.commit()
        };
        write().map_err(|e| self.fail(e))?;
        if let Some(found) = &looked.found {
            let is_same = |proof: &&Proof| proof.archive == found.archive || Some(proof.archive_id) == found.archive_id;
            for proof in self.proven(u32::MAX)?.iter().filter(is_same) {
                let sql = "DELETE FROM proven WHERE archive_id=?1";
                self.conn.execute(sql, [proof.archive_id.to_string()]).map_err(|e| self.fail(e))?;
            }
        }
        Ok(())
    }

    /// Everything found and not refuted, the oldest first.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn findings(&self) -> Result<Vec<Finding>> {
        read_findings(&self.conn).map_err(|e| self.fail(e))
    }

    /// A number that changes whenever another process has written the Backup journal.
    pub fn version(&self) -> Option<i64> {
        self.conn.query_row("PRAGMA data_version", [], |row| row.get(0)).ok()
    }

    /// The Backup journal in `folder` only to be read, without taking part in it; `None` when there is none that can
    /// be.
    pub fn glance(folder: &Path) -> Option<Self> {
        let conn = state::glance(folder)?;
        Some(Self { conn, path: PathBuf::from(folder).join("history.sqlite"), process: String::new(), lock: None })
    }
}

fn insert(conn: &Connection, finding: &Finding) -> rusqlite::Result<()> {
    // Plain data always has a JSON form.
    let text = serde_json::to_string(finding).unwrap_or_default();
    let sql = "INSERT OR REPLACE INTO findings(archive,by_test,finding) VALUES(?1,?2,?3)";
    conn.execute(sql, params![finding.archive.to_string_lossy(), number(finding), text]).map(drop)
}

/// The values of a column; none where an older program has made no such table.
fn texts(conn: &Connection, table: &str, column: &str) -> rusqlite::Result<Vec<String>> {
    let sql = "SELECT EXISTS(SELECT 1 FROM sqlite_schema WHERE type='table' AND name=?1)";
    if !conn.query_row(sql, [table], |row| row.get::<_, bool>(0))? {
        return Ok(Vec::new());
    }
    let mut statement = conn.prepare(&format!("SELECT {column} FROM {table} ORDER BY rowid"))?;
    statement.query_map([], |row| row.get(0))?.collect()
}

/// What a second store, which earlier versions had, holds of an archive.
#[derive(Deserialize)]
struct Unsound {
    archive: PathBuf,
    archive_id: Uuid,
    found: DateTime<Local>,
    what: Damaged,
    note: String,
}

fn read_findings(conn: &Connection) -> rusqlite::Result<Vec<Finding>> {
    // What a newer version keeps in another form is passed over.
    let read = |text: &String| {
        let value: serde_json::Value = serde_json::from_str(text).ok()?;
        let says_what = value.get("what").is_some();
        Some((serde_json::from_value::<Finding>(value).ok()?, says_what))
    };
    let mut found: Vec<(Finding, bool)> = texts(conn, "findings", "finding")?.iter().filter_map(read).collect();
    for text in texts(conn, "unsound", "finding")? {
        let Ok(old) = serde_json::from_str::<Unsound>(&text) else { continue };
        let is_same = |known: &Finding| known.archive_id == Some(old.archive_id) || known.archive == old.archive;
        let is_known = found.iter().any(|(known, _)| is_same(known));
        let error = Error::new(ErrorKind::Damaged, old.note.clone()).report();
        let noted = found.iter_mut().find(|(known, says_what)| known.by_test && !says_what && is_same(known));
        if let Some((known, says_what)) = noted {
            // The same was noted there in other words, and without saying what is damaged.
            (known.what, known.archive_id, *says_what) = (old.what, Some(old.archive_id), true);
            if old.what == Damaged::Content {
                known.error = error;
            }
        } else if old.what == Damaged::Content || !is_known {
            let finding = Finding {
                archive: old.archive,
                archive_id: Some(old.archive_id),
                inode: None,
                by_test: old.what == Damaged::Content,
                moment: old.found,
                what: old.what,
                is_repairable: false,
                error,
                copy: None,
            };
            found.push((finding, true));
        }
    }
    // What a test restore found that was no matter of the archive, was one of its logs.
    let logs = found.iter_mut().filter(|(finding, says_what)| finding.by_test && !says_what);
    logs.for_each(|(finding, _)| finding.what = Damaged::Logs);
    Ok(found.into_iter().map(|(finding, _)| finding).collect())
}

/// Takes over what earlier versions kept in a second store, which stays empty from then on.
pub(super) fn join_stores(conn: &Connection) -> rusqlite::Result<()> {
    if texts(conn, "unsound", "finding")?.is_empty() {
        return Ok(());
    }
    let all = read_findings(conn)?;
    conn.execute_batch("DELETE FROM findings; DELETE FROM unsound")?;
    all.iter().try_for_each(|finding| insert(conn, finding))
}

/// The archives of `data_file`, newest first, with all that is known of their content; `data` is the folder of the
/// Backup journal. Where that cannot be read, nothing counts as known.
///
/// # Errors
/// When the folder for archives cannot be read.
pub fn known_archives(data_file: &Path, settings: &Settings, data: &Path) -> Result<Vec<ArchiveEntry>> {
    let mut archives = backup::archives(data_file, settings)?;
    judge(&mut archives, data);
    Ok(archives)
}

/// Says of each archive what the Backup journal in the folder `data` knows of its content; returns all that was found
/// damaged.
pub fn judge(archives: &mut [ArchiveEntry], data: &Path) -> Vec<Finding> {
    match glance_known(data) {
        Ok(known) => {
            known.apply(archives);
            known.findings
        }
        Err(error) => {
            soundness::unknown(archives, error.message());
            Vec::new()
        }
    }
}

/// What the Backup journal in `folder` knows of archives, without taking part in it; nothing where there is none yet.
///
/// # Errors
/// When there is one that cannot be read.
fn glance_known(folder: &Path) -> Result<Known> {
    let path = folder.join("history.sqlite");
    if !path.exists() {
        return Ok(Known::default());
    }
    let unreadable = || {
        Error::new(ErrorKind::Io, format!("the Backup journal {} cannot be read", path.display()))
            .hint("Look at its disk and its permissions.")
    };
    let conn = state::glance(folder).ok_or_else(unreadable)?;
    let read = || -> rusqlite::Result<Known> {
        let proofs = texts(&conn, "proven", "proof")?;
        let proofs = proofs.iter().filter_map(|text| serde_json::from_str::<Proof>(text).ok());
        // What its logs added may have made a damaged archive whole: only one restored alone tells of itself.
        let proven = proofs.filter(|proof| proof.commits == 0).map(|proof| (proof.archive_id, proof.proven)).collect();
        Ok(Known { findings: read_findings(&conn)?, proven })
    };
    read().map_err(|e| unreadable().because(e))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{archive::catalog, sqlite::seen::ContentCheck};

    type Outcome = std::result::Result<(), Box<dyn std::error::Error>>;

    fn finding(archive: u128, by_test: bool, what: Damaged) -> Finding {
        Finding {
            archive: format!("/b/a[000{archive}].4BK").into(),
            archive_id: Some(Uuid::from_u128(archive)),
            inode: None,
            by_test,
            moment: DateTime::UNIX_EPOCH.into(),
            what,
            is_repairable: false,
            error: Error::new(ErrorKind::Damaged, "Tree 2 page 5").report(),
            copy: None,
        }
    }

    fn found(finding: Finding) -> Looked {
        let (archive, archive_id) = (finding.archive.clone(), finding.archive_id);
        Looked { archive, archive_id, refuted: Refuted::default(), found: Some(finding) }
    }

    fn sound(archive: u128, refuted: Refuted) -> Looked {
        Looked { refuted, found: None, ..found(finding(archive, false, Damaged::Bytes)) }
    }

    #[test]
    fn what_was_found_outlives_the_program_until_a_look_of_its_kind_refutes_it() -> Outcome {
        let folder = tempfile::tempdir()?;
        let kinds = [(false, Damaged::Bytes), (true, Damaged::Bytes), (true, Damaged::Content), (true, Damaged::Logs)];
        let all = kinds.map(|(by_test, what)| finding(1, by_test, what));
        {
            let (history, _) = History::open(folder.path())?;
            let (other, _) = History::open(folder.path())?;
            let before = other.version();
            for _ in 0..2 {
                all.iter().try_for_each(|finding| history.keep_look(&found(finding.clone())))?;
            }
            assert_ne!(other.version(), before, "seen by whoever has it open");
        }
        assert_eq!(History::glance(folder.path()).ok_or("not read")?.findings()?, all);
        let (history, _) = History::open(folder.path())?;
        let none = Refuted::default();
        history.keep_look(&sound(2, Refuted { bytes: true, tested: true, content: true, logs: true }))?;
        assert_eq!(history.findings()?.len(), 4, "another archive");
        history.keep_look(&sound(1, Refuted { tested: true, ..none }))?;
        assert_eq!(history.findings()?, [all[0].clone(), all[2].clone(), all[3].clone()]);
        history.keep_look(&sound(1, Refuted { bytes: true, ..none }))?;
        assert_eq!(history.findings()?, [all[2].clone(), all[3].clone()], "bytes say nothing of the content");
        history.keep_look(&sound(1, Refuted { content: true, logs: true, ..none }))?;
        assert_eq!(history.findings()?, []);
        assert!(History::glance(&folder.path().join("nowhere")).is_none());
        Ok(())
    }

    #[test]
    fn a_sound_copy_makes_the_damaged_file_no_better() -> Outcome {
        let folder = tempfile::tempdir()?;
        let path = |name: &str| folder.path().join(name);
        let kinds = [(false, Damaged::Bytes), (true, Damaged::Bytes), (true, Damaged::Content), (true, Damaged::Logs)];
        let mut all: Vec<Finding> = kinds
            .iter()
            .map(|(by_test, what)| Finding { archive: path("a[0001].4BK"), ..finding(1, *by_test, *what) })
            .collect();
        std::fs::write(path("a[0001].4BK"), "damaged")?;
        let refuted = Refuted { bytes: true, tested: true, content: true, logs: true };
        let of = |name: &str| Looked { archive: path(name), ..sound(1, refuted) };
        of("a[0001] repaired.4BK").apply(&mut all);
        let left: Vec<Damaged> = all.iter().map(|finding| finding.what).collect();
        assert_eq!(left, [Damaged::Bytes, Damaged::Bytes], "what it holds is the same, its bytes are others");
        std::fs::create_dir(path("moved"))?;
        std::fs::rename(path("a[0001].4BK"), path("moved/a[0001].4BK"))?;
        of("moved/a[0001].4BK").apply(&mut all);
        assert_eq!(all, [], "the file itself, where it lies now");

        let mut all = vec![Finding { archive: path("b[0001-0001].4BK"), ..finding(2, false, Damaged::Bytes) }];
        std::fs::write(path("b[0001-0001].4BK"), "damaged")?;
        Looked { archive: path("b[0001-0002].4BK"), ..sound(2, refuted) }.apply(&mut all);
        assert_eq!(all, [], "the same archive by another of its segments");
        Ok(())
    }

    #[test]
    fn what_an_earlier_version_kept_in_a_second_store_is_taken_over() -> Outcome {
        let folder = tempfile::tempdir()?;
        let old = |archive: u128, what: &str| {
            format!(
                "INSERT INTO unsound \
                 VALUES('{}',5,'{{\"archive\":\"/b/a[000{archive}].4BK\",\"archive_id\":\"{}\",\"data_file_id\":\"{}\",\"number\":{archive},\"found\":\"2026-01-01T00:00:00+00:00\",\"what\":\"{what}\",\"note\":\"Tree 9\"}}');",
                Uuid::from_u128(archive),
                Uuid::from_u128(archive),
                Uuid::nil()
            )
        };
        drop(History::open(folder.path())?);
        let conn = Connection::open(folder.path().join("history.sqlite"))?;
        conn.execute_batch(
            "CREATE TABLE unsound(archive_id TEXT PRIMARY KEY, found_ms INTEGER NOT NULL, finding TEXT NOT NULL)",
        )?;
        // One that both stores have, and one that only the second has, of either kind.
        let mut known = serde_json::to_value(finding(1, true, Damaged::Bytes))?;
        known.as_object_mut().ok_or("no object")?.remove("what");
        conn.execute("INSERT INTO findings VALUES('/b/a[0001].4BK',1,?1)", [known.to_string()])?;
        // Of the archive nothing was noted in the second store: it was a log.
        let mut log = serde_json::to_value(finding(4, true, Damaged::Bytes))?;
        log.as_object_mut().ok_or("no object")?.remove("what");
        conn.execute("INSERT INTO findings VALUES('/b/a[0004].4BK',1,?1)", [log.to_string()])?;
        conn.execute_batch(&[old(1, "content"), old(2, "content"), old(3, "bytes")].concat())?;
        let told = |findings: &[Finding]| -> Vec<(Option<Uuid>, Damaged, String)> {
            findings.iter().map(|f| (f.archive_id, f.what, f.error.message.clone())).collect()
        };
        let expected = [
            (1, Damaged::Content, "Tree 9"),
            (4, Damaged::Logs, "Tree 2 page 5"),
            (2, Damaged::Content, "Tree 9"),
            (3, Damaged::Bytes, "Tree 9"),
        ]
        .map(|(archive, what, words)| (Some(Uuid::from_u128(archive)), what, words.to_owned()));
        let before = History::glance(folder.path()).ok_or("not read")?.findings()?;
        assert_eq!(told(&before), expected, "also where nobody has taken it over yet");
        let (history, _) = History::open(folder.path())?;
        assert_eq!(told(&history.findings()?), expected);
        assert!(texts(&conn, "unsound", "finding")?.is_empty());
        history.keep_look(&sound(2, Refuted { content: true, ..Refuted::default() }))?;
        assert_eq!(history.findings()?.len(), 3);
        drop(history);
        assert_eq!(History::open(folder.path())?.0.findings()?.len(), 3);
        Ok(())
    }

    #[test]
    fn archives_are_judged_by_what_was_found_and_by_nothing_where_that_can_not_be_read() -> Outcome {
        let folder = tempfile::tempdir()?;
        std::fs::write(folder.path().join("a[0001].4BK"), "x")?;
        let mut archives = catalog::list(folder.path(), None)?;
        let check = |archives: &mut [ArchiveEntry], archive: u128| {
            archives[0].archive_id = Some(Uuid::from_u128(archive));
            (archives[0].check, archives[0].check_note) = (ContentCheck::Whole, None);
            judge(archives, folder.path());
            (archives[0].check, archives[0].check_note.clone())
        };
        assert_eq!(check(&mut archives, 1), (ContentCheck::Whole, None), "there is no journal yet");
        History::open(folder.path())?.0.keep_look(&found(finding(1, true, Damaged::Content)))?;
        assert_eq!(check(&mut archives, 1), (ContentCheck::Damaged, Some("Tree 2 page 5".to_owned())));
        assert_eq!(check(&mut archives, 2).0, ContentCheck::Whole);
        std::fs::write(folder.path().join("history.sqlite"), "no database")?;
        let (unknown, why) = check(&mut archives, 4);
        assert_eq!(unknown, ContentCheck::NotChecked);
        assert!(why.is_some_and(|why| why.contains("cannot be read")));
        Ok(())
    }
}
