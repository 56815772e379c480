//! Archives that were found damaged, and what is known of all of them: kept beside the Backup journal, together with the dates of
//! successful test restores.

use std::path::Path;

use rusqlite::{Connection, params};
use uuid::Uuid;

use super::{History, state::glance};
use crate::{
    archive::catalog::ArchiveEntry,
    backup::{
        self,
        soundness::{self, Finding, Verdicts},
    },
    drill::Proof,
    error::{Error, ErrorKind, Result},
    settings::Settings,
};

pub(super) const SCHEMA: &str = "
    CREATE TABLE IF NOT EXISTS unsound(archive_id TEXT PRIMARY KEY, found_ms INTEGER NOT NULL, finding TEXT NOT NULL);";

impl History {
    /// Remembers that an archive was found damaged; what was found before gives way.
    ///
    /// # Errors
    /// When the database can not be written.
    pub fn note_damaged(&self, finding: &Finding) -> Result<()> {
        // Plain data always has a JSON form.
        let text = serde_json::to_string(finding).unwrap_or_default();
        let sql = "INSERT OR REPLACE INTO unsound(archive_id,found_ms,finding) VALUES(?1,?2,?3)";
        let args = params![finding.archive_id.to_string(), finding.found.timestamp_millis(), text];
        self.conn.execute(sql, args).map(|_| ()).map_err(|e| self.fail(e))
    }

    /// Every byte of an archive was read and is as it was written: that its bytes were found damaged before, on a disk that could not
    /// be read for a while, counts no longer.
    ///
    /// # Errors
    /// When the database can not be written.
    pub fn note_whole(&self, archive_id: Uuid) -> Result<()> {
        let sql = "DELETE FROM unsound WHERE archive_id=?1 AND json_extract(finding,'$.what')='bytes'";
        self.conn.execute(sql, [archive_id.to_string()]).map(|_| ()).map_err(|e| self.fail(e))
    }
}

/// The archives of `data_file`, newest first, with all that is known of their content; `data` is the folder of the Backup journal.
/// Where that can not be read, nothing counts as known.
///
/// # Errors
/// When the folder for archives can not be read.
pub fn known_archives(data_file: &Path, settings: &Settings, data: &Path) -> Result<Vec<ArchiveEntry>> {
    let mut archives = backup::archives(data_file, settings)?;
    judge(&mut archives, data);
    Ok(archives)
}

/// Says of each archive what the Backup journal in the folder `data` knows of its content.
pub fn judge(archives: &mut [ArchiveEntry], data: &Path) {
    match glance_verdicts(data) {
        Ok(verdicts) => verdicts.apply(archives),
        Err(error) => soundness::unknown(archives, error.message()),
    }
}

/// What the Backup journal in `folder` knows of archives, without taking part in it; nothing where there is none yet.
///
/// # Errors
/// When there is one that can not be read.
fn glance_verdicts(folder: &Path) -> Result<Verdicts> {
    let path = folder.join("history.sqlite");
    if !path.exists() {
        return Ok(Verdicts::default());
    }
    let unreadable = || {
        Error::new(ErrorKind::Io, format!("the Backup journal {} can not be read", path.display()))
            .hint("Look at its disk and its permissions.")
    };
    let conn = glance(folder).ok_or_else(unreadable)?;
    read(&conn).map_err(|e| unreadable().because(e))
}

fn read(conn: &Connection) -> rusqlite::Result<Verdicts> {
    let texts = |table: &str, column: &str| -> rusqlite::Result<Vec<String>> {
        // An older program has made no such table.
        let exists: bool = conn.query_row(
            "SELECT EXISTS(SELECT 1 FROM sqlite_schema WHERE type='table' AND name=?1)",
            [table],
            |row| row.get(0),
        )?;
        if !exists {
            return Ok(Vec::new());
        }
        let mut statement = conn.prepare(&format!("SELECT {column} FROM {table}"))?;
        statement.query_map([], |row| row.get(0))?.collect()
    };
    let mut verdicts = Verdicts::default();
    for text in texts("proven", "proof")? {
        // What its logs added may have made a damaged archive whole: only one restored alone tells of itself.
        if let Ok(proof) = serde_json::from_str::<Proof>(&text)
            && proof.commits == 0
        {
            verdicts.proven(proof.archive_id, proof.proven);
        }
    }
    for text in texts("unsound", "finding")? {
        if let Ok(finding) = serde_json::from_str::<Finding>(&text) {
            verdicts.damaged(&finding);
        }
    }
    Ok(verdicts)
}

#[cfg(test)]
mod tests {
    use chrono::Local;

    use super::*;
    use crate::{
        archive::{ArchiveNumber, catalog},
        backup::soundness::Damaged,
        sqlite::seen::ContentCheck,
    };

    type Outcome = std::result::Result<(), Box<dyn std::error::Error>>;

    fn finding(archive: u128, what: Damaged) -> Finding {
        Finding {
            archive: "/b/a[0001].4BK".into(),
            archive_id: Uuid::from_u128(archive),
            data_file_id: Uuid::nil(),
            number: ArchiveNumber(1),
            found: Local::now(),
            what,
            note: "Tree 2 page 5".to_owned(),
        }
    }

    #[test]
    fn what_was_found_is_known_after_the_program_has_ended() -> Outcome {
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
        {
            let (history, _) = History::open(folder.path())?;
            history.note_damaged(&finding(1, Damaged::Content))?;
            history.note_damaged(&finding(2, Damaged::Bytes))?;
            history.note_damaged(&finding(3, Damaged::Bytes))?;
            // A verification reads bytes; it says nothing of the content.
            history.note_whole(Uuid::from_u128(1))?;
            history.note_whole(Uuid::from_u128(2))?;
        }
        assert_eq!(check(&mut archives, 1), (ContentCheck::Damaged, Some("Tree 2 page 5".to_owned())));
        assert_eq!(check(&mut archives, 2).0, ContentCheck::Whole);
        assert_eq!(check(&mut archives, 3).0, ContentCheck::Damaged);
        std::fs::write(folder.path().join("history.sqlite"), "no database")?;
        let (unknown, why) = check(&mut archives, 4);
        assert_eq!(unknown, ContentCheck::NotChecked);
        assert!(why.is_some_and(|why| why.contains("can not be read")));
        Ok(())
    }
}
