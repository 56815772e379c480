//! Archives that were found damaged: known beside the Backup journal until a later look finds them sound, or they are replaced.

use std::path::{Path, PathBuf};

use rusqlite::params;

use super::History;
use crate::{
    engine::status::Finding,
    error::{Error, ErrorKind, Result},
};

pub(super) const SCHEMA: &str = "CREATE TABLE IF NOT EXISTS findings(
    archive TEXT NOT NULL, by_test INTEGER NOT NULL, finding TEXT NOT NULL, PRIMARY KEY(archive, by_test));";

impl History {
    /// Keeps what was found; an older finding of the same kind about the same archive gives way. Its proof no longer counts.
    ///
    /// # Errors
    /// When the database can not be written.
    pub fn keep_finding(&self, finding: &Finding) -> Result<()> {
        let text = serde_json::to_string(finding)
            .map_err(|e| Error::new(ErrorKind::Refused, "the finding has no JSON form").because(e))?;
        let sql = "INSERT OR REPLACE INTO findings(archive,by_test,finding) VALUES(?1,?2,?3)";
        let args = params![finding.archive.to_string_lossy(), finding.by_test, text];
        self.conn.execute(sql, args).map(drop).map_err(|e| self.fail(e))
    }

    /// Forgets what was found about an archive by a verification, or by a test restore.
    ///
    /// # Errors
    /// When the database can not be written.
    pub fn forget_finding(&self, archive: &Path, by_test: bool) -> Result<()> {
        let sql = "DELETE FROM findings WHERE archive=?1 AND by_test=?2";
        self.conn.execute(sql, params![archive.to_string_lossy(), by_test]).map(drop).map_err(|e| self.fail(e))
    }

    /// Withdraws the proof of an archive that is damaged now.
    ///
    /// # Errors
    /// When the database can not be written.
    pub fn disprove(&self, archive: &Path) -> Result<()> {
        for proof in self.proven(u32::MAX)?.iter().filter(|proof| proof.archive == archive) {
            let sql = "DELETE FROM proven WHERE archive_id=?1";
            self.conn.execute(sql, [proof.archive_id.to_string()]).map_err(|e| self.fail(e))?;
        }
        Ok(())
    }

    /// Everything found and not refuted, the oldest first.
    ///
    /// # Errors
    /// When the database can not be read.
    pub fn findings(&self) -> Result<Vec<Finding>> {
        let read = || {
            let mut statement = self.conn.prepare("SELECT finding FROM findings ORDER BY rowid")?;
            let rows = statement.query_map([], |row| row.get::<_, String>(0))?;
            rows.collect::<rusqlite::Result<Vec<String>>>()
        };
        // What a newer version keeps in another form is passed over.
        let texts = read().map_err(|e| self.fail(e))?;
        Ok(texts.iter().filter_map(|text| serde_json::from_str(text).ok()).collect())
    }

    /// A number that changes whenever another process has written the Backup journal.
    pub fn version(&self) -> Option<i64> {
        self.conn.query_row("PRAGMA data_version", [], |row| row.get(0)).ok()
    }

    /// The Backup journal in `folder` only to be read, without taking part in it; `None` when there is none that can be.
    pub fn glance(folder: &Path) -> Option<Self> {
        let conn = super::state::glance(folder)?;
        Some(Self { conn, path: PathBuf::from(folder).join("history.sqlite"), process: String::new(), lock: None })
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    #[test]
    fn what_was_found_outlives_the_program_and_takes_the_proof_away()
    -> std::result::Result<(), Box<dyn std::error::Error>> {
        let folder = tempfile::tempdir()?;
        let finding = |by_test: bool| Finding {
            archive: "/b/a[0001].4BK".into(),
            archive_id: Some(Uuid::from_u128(1)),
            inode: None,
            by_test,
            moment: chrono::DateTime::UNIX_EPOCH.into(),
            is_repairable: false,
            error: Error::new(ErrorKind::Damaged, "damaged").report(),
            copy: None,
        };
        {
            let (history, _) = History::open(folder.path())?;
            let (other, _) = History::open(folder.path())?;
            let before = other.version();
            history.keep_finding(&finding(false))?;
            history.keep_finding(&finding(true))?;
            history.keep_finding(&finding(true))?;
            assert_ne!(other.version(), before, "seen by whoever has it open");
        }
        let history = History::glance(folder.path()).ok_or("not read")?;
        assert_eq!(history.findings()?, [finding(false), finding(true)]);
        assert_eq!(History::open(folder.path())?.0.findings()?.len(), 2);
        let (history, _) = History::open(folder.path())?;
        history.forget_finding(Path::new("/b/a[0001].4BK"), false)?;
        assert_eq!(history.findings()?, [finding(true)]);
        assert!(History::glance(&folder.path().join("nowhere")).is_none());
        Ok(())
    }
}
