//! Which archives were restored for a test and found sound, and when: kept beside the Backup journal.

use rusqlite::params;

use super::History;
use crate::{
    drill::Proof,
    error::{Error, Result},
};

pub(super) const SCHEMA: &str = "
    CREATE TABLE IF NOT EXISTS proven(archive_id TEXT PRIMARY KEY, proven_ms INTEGER NOT NULL, proof TEXT NOT NULL);";

impl History {
    /// Records that an archive was proven to be restorable; an older proof of the same archive gives way.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub fn prove(&self, proof: &Proof) -> Result<()> {
        let text = serde_json::to_string(proof)
            .map_err(|e| Error::new(crate::error::ErrorKind::Refused, "the proof has no JSON form").because(e))?;
        self.conn()
            .execute(
                "INSERT OR REPLACE INTO proven(archive_id,proven_ms,proof) VALUES(?1,?2,?3)",
                params![proof.archive_id.to_string(), proof.proven.timestamp_millis(), text],
            )
            .map_err(|e| self.fail(e))?;
        Ok(())
    }

    /// The newest `limit` proofs, newest first.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn proven(&self, limit: u32) -> Result<Vec<Proof>> {
        let sql = "SELECT proof FROM proven ORDER BY proven_ms DESC LIMIT ?1";
        let mut statement = self.conn().prepare(sql).map_err(|e| self.fail(e))?;
        let rows = statement.query_map([limit], |row| row.get::<_, String>(0)).map_err(|e| self.fail(e))?;
        let texts: Vec<String> = rows.collect::<rusqlite::Result<_>>().map_err(|e| self.fail(e))?;
        // What a newer version recorded in another form is passed over.
        Ok(texts.iter().filter_map(|text| serde_json::from_str(text).ok()).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::archive::ArchiveNumber;

    #[test]
    fn the_last_proof_of_each_archive_is_kept() -> std::result::Result<(), Box<dyn std::error::Error>> {
        let folder = tempfile::tempdir()?;
        let proof = |archive: u128, minute: i64| Proof {
            archive: "/b/a[0001].4BK".into(),
            archive_id: uuid::Uuid::from_u128(archive),
            data_file_id: uuid::Uuid::nil(),
            number: ArchiveNumber(1),
            moment: chrono::DateTime::UNIX_EPOCH.fixed_offset(),
            proven: (chrono::DateTime::UNIX_EPOCH + chrono::Duration::minutes(minute)).into(),
            commit: Some(7),
            commits: 3,
            bytes: 4096,
            repaired: None,
            repaired_logs: Vec::new(),
            duration_ms: 5,
        };
        let (history, _) = History::open(folder.path())?;
        for (archive, minute) in [(1, 1), (2, 2), (1, 3)] {
            history.prove(&proof(archive, minute))?;
        }
        drop(history);
        let (history, _) = History::open(folder.path())?;
        assert_eq!(history.proven(10)?, [proof(1, 3), proof(2, 2)]);
        assert_eq!(history.proven(1)?.len(), 1);
        Ok(())
    }
}
