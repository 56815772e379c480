//! The plan as an SQL script: saved to a file with the rights of whoever sits before the window, or copied. It comes
//! from the engine piece by piece, of one plan or not at all.

use std::{
    io::Write,
    path::{Path, PathBuf},
    time::Duration,
};

use super::planned::Planning;
use crate::{
    engine::{Answer, Handle, Query},
    error::{Error, ErrorKind, Result},
    storage,
    take_back::query::{Ask, Question, Rows},
    ui::activity::export::propose_named,
};

/// A piece comes in less than this, or the engine does not answer.
const ANSWER_MAX: Duration = Duration::from_secs(60);
/// A longer script is not put on the clipboard.
const COPIED_MAX: usize = 16 << 20;

/// A script, before it was asked for.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Script {
    data_file: PathBuf,
    planning: uuid::Uuid,
    plan: uuid::Uuid,
}

impl Script {
    /// That of the plan that is there, if it is the one that is wanted and everything in it is decided.
    pub(crate) fn of(planning: &Planning) -> Option<Self> {
        let planned = planning.wanted().filter(|planned| planned.is_settled)?;
        Some(Self { data_file: planning.data_file.clone(), planning: planning.name, plan: planned.plan })
    }

    fn read(&self, handle: &Handle, mut piece: impl FnMut(&str) -> Result<()>) -> Result<()> {
        let mut offset = 0;
        loop {
            let question = Question { planning: self.planning, ask: Ask::Script { plan: self.plan, offset } };
            let asked = handle.ask(Query::TakeBack { data_file: self.data_file.clone(), question })?;
            let unexpected = || Error::new(ErrorKind::Refused, "the engine answers otherwise than expected");
            let Answer::TakeBack(page) = asked.wait(Some(ANSWER_MAX))? else { return Err(unexpected()) };
            let Rows::Script { text, next } = page.rows else { return Err(unexpected()) };
            piece(&text)?;
            match next {
                Some(next) if next > offset => offset = next,
                _ => return Ok(()),
            }
        }
    }

    /// Writes it to a new file in a folder; returns the file.
    ///
    /// # Errors
    /// When the folder cannot be written, or the plan is another one by now.
    pub(crate) fn save(&self, handle: &Handle, folder: &Path) -> Result<PathBuf> {
        let file = propose_named(folder, &self.data_file, "take back", "sql");
        // It holds records: nobody else may read it.
        let mut out = tempfile::Builder::new()
            .prefix(".strongroom-script-")
            .tempfile_in(storage::folder_of(&file))
            .map_err(|e| Error::io("write to the folder of", &file, e))?;
        let fail = |e| Error::io("write to", &file, e);
        self.read(handle, |piece| out.write_all(piece.as_bytes()).map_err(fail))?;
        out.as_file().sync_all().map_err(fail)?;
        out.persist_noclobber(&file).map_err(|e| Error::io("create", &file, e.error))?;
        Ok(file)
    }

    /// The whole of it.
    ///
    /// # Errors
    /// As [`Self::save`]; `Refused` where it is too long to be copied.
    pub(crate) fn text(&self, handle: &Handle) -> Result<String> {
        let mut text = String::new();
        self.read(handle, |piece| {
            text += piece;
            if text.len() > COPIED_MAX {
                return Err(Error::new(ErrorKind::Refused, "the script is too long to be copied").hint("Save it."));
            }
            Ok(())
        })?;
        Ok(text)
    }
}
