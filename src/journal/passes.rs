//! Whether a plan leads over a certain state: a number alone does not name one, since logs that are begun anew give
//! numbers a second time.

use super::{
    format::{Chain, Position},
    plan::{Piece, Plan},
    reader::LogReader,
};
use crate::{control::Control, error::Result};

/// Whether the commit of `position`, with its chain value, is where `plan` begins or one that it passes.
///
/// # Errors
/// When a log cannot be read any more; `Stopped`.
pub fn passes(plan: &Plan, position: &Position, control: &Control) -> Result<bool> {
    let wanted = (position.commit, position.chain);
    if [plan.from, plan.to].iter().any(|end| (end.commit, end.chain) == wanted) {
        return Ok(true);
    }
    for piece in &plan.pieces {
        let is_in = (piece.commits.0..=piece.commits.1).contains(&position.commit);
        if is_in && chain_at(piece, position.commit, control)? == Some(position.chain) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// The chain value of a commit in a log; `None` where it is not there.
///
/// # Errors
/// As [`passes`].
pub fn chain_at(piece: &Piece, commit: u64, control: &Control) -> Result<Option<Chain>> {
    let mut reader = LogReader::open(&piece.path)?;
    while let Some(record) = reader.next_record()? {
        control.check()?;
        if record.head.commit >= commit {
            return Ok((record.head.commit == commit).then_some(record.chain));
        }
    }
    Ok(None)
}
