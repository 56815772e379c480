//! How thoroughly a state is looked for: what indexes of logs say is believed as long as all that is needed can be
//! read; else every record is read, and what is damaged is repaired, or passed by, or said, as a restore does.

use std::path::{Path, PathBuf};

use crate::{
    control::Control,
    error::{Error, ErrorKind, Result},
    journal::integrate::{Look, Until},
    restore::state::How,
    verify,
};

/// What was tried so far.
#[derive(Debug)]
pub struct Effort {
    how: How,
    /// The archive that was used last.
    chosen: Option<PathBuf>,
    /// Those that cannot be used.
    passed: Vec<PathBuf>,
    /// What was said before a repair was tried.
    earlier: Option<Error>,
}

impl Effort {
    /// Nothing was tried yet.
    pub fn new(until: Until) -> Self {
        let how = How { until, look: Look::Indexes, heals: false };
        Self { how, chosen: None, passed: Vec::new(), earlier: None }
    }

    /// Which state is wanted, and what is tried now.
    pub fn how(&self) -> How {
        self.how
    }

    /// Archives that cannot be used.
    pub fn passed(&self) -> &[PathBuf] {
        &self.passed
    }

    /// This archive is tried.
    pub fn chose(&mut self, archive: &Path) {
        self.chosen = Some(archive.to_path_buf());
    }

    /// Something needed is damaged: says what is to be tried now; where another archive may be, and this one cannot be
    /// read, which one was passed by.
    ///
    /// # Errors
    /// Where nothing is left: `error`, or what came before it.
    pub fn again(&mut self, error: Error, may_be_another: bool, control: &Control) -> Result<Option<PathBuf>> {
        let is_lost = |kind| matches!(kind, ErrorKind::Damaged | ErrorKind::NotFound);
        let archive_is_damaged =
            |archive: &PathBuf| verify::run(archive, control).is_err_and(|error| is_lost(error.kind()));
        match (self.how.look, self.how.heals, self.chosen.take()) {
            (Look::Indexes, ..) => self.how.look = Look::Records,
            (_, false, Some(_)) => {
                self.how.heals = true;
                self.earlier = Some(error);
            }
            (_, true, Some(archive)) if may_be_another && archive_is_damaged(&archive) => {
                // In a bad hour nobody should have to ask again for what is there.
                self.passed.push(archive.clone());
                self.how = How { until: self.how.until, look: Look::Indexes, heals: false };
                self.earlier = None;
                return Ok(Some(archive));
            }
            // What the repair says of it adds nothing where there was none.
            _ => return Err(self.earlier.take().unwrap_or(error)),
        }
        Ok(None)
    }
}
