//! Records of a state in a file, written with the rights of whoever sits before the window: the engine puts them into
//! one of its own, which is fetched piece by piece and gets its name when all of it is there.

use std::{
    io::Write,
    path::{Path, PathBuf},
    thread,
    time::Duration,
};

use uuid::Uuid;

use super::LookForm;
use crate::{
    as_of::ask::{Ask, Chosen, Page, Question, Rows, SaveForm, Sheet},
    engine::{Answer, Handle, Query},
    error::{Error, ErrorKind, Result},
    storage,
    ui::activity::export::propose_named,
};

/// An answer comes in less than this, or the engine does not answer.
const ANSWER_MAX: Duration = Duration::from_secs(60);
/// How often it is looked whether all is there.
const LOOK: Duration = Duration::from_millis(100);

/// What is to be saved.
#[derive(Debug, Clone)]
pub(crate) struct Saving {
    data_file: PathBuf,
    looking: Uuid,
    number: u64,
    sheet: Sheet,
    form: SaveForm,
    only: Option<Chosen>,
    /// What the file is called after.
    what: String,
}

impl Saving {
    /// What was chosen in the form.
    pub(crate) fn of(form: &mut LookForm) -> Option<Self> {
        let (sheet, save_form, only) = form.saving.clone()?;
        let commit = form.seen.state.about.as_ref().and_then(|about| about.commit);
        let of = match &sheet {
            Sheet::Table { table, .. } => plain(table),
            Sheet::Statement(_) => "result".to_owned(),
        };
        let of = match only.as_ref().map(Chosen::count) {
            None => of,
            Some(1) => format!("{of}, 1 record,"),
            Some(count) => format!("{of}, {count} records,"),
        };
        let what = commit.map_or_else(|| of.clone(), |commit| format!("{of} after commit {commit}"));
        let (data_file, looking, number) = (form.seen.data_file.clone(), form.seen.name, form.seen.next_number());
        Some(Self { data_file, looking, number, sheet, form: save_form, only, what })
    }

    fn ask(&self, handle: &Handle, ask: Ask) -> Result<Page> {
        let question = Question { looking: self.looking, ask };
        let asked = handle.ask(Query::State { data_file: self.data_file.clone(), question })?;
        match asked.wait(Some(ANSWER_MAX))? {
            Answer::State(page) => Ok(*page),
            _ => Err(Error::new(ErrorKind::Refused, "the engine answers otherwise than expected")),
        }
    }

    /// Waits until the engine has all of them; returns what whoever opens the file has to know.
    fn prepare(&self, handle: &Handle) -> Result<Vec<String>> {
        let (number, sheet, form, only) = (self.number, self.sheet.clone(), self.form, self.only.clone());
        let mut page = self.ask(handle, Ask::Save { number, sheet, form, only })?;
        loop {
            match page.state.saved.filter(|saved| saved.number == self.number) {
                Some(saved) if saved.problem.is_some() => {
                    return Err(saved.problem.map_or_else(Error::stopped, Error::from));
                }
                // An engine that does not know of a choice saves all of them.
                Some(saved)
                    if saved.is_whole && self.only.as_ref().is_some_and(|only| only.count() != saved.records) =>
                {
                    let message = "the engine has not saved just the records that are selected";
                    return Err(Error::new(ErrorKind::Refused, message)
                        .hint("It is older than this window. Restart it, so that both are the same program."));
                }
                Some(saved) if saved.is_whole => return Ok(saved.remarks),
                // Something else was wanted before it began.
                None if page.state.doing.is_none() => return Err(Error::stopped()),
                _ => thread::sleep(LOOK),
            }
            page = self.ask(handle, Ask::Look)?;
        }
    }

    /// Writes them to a new file in a folder; returns the file, and what whoever opens it has to know.
    ///
    /// # Errors
    /// When the folder cannot be written; what the engine says.
    pub(crate) fn save(&self, handle: &Handle, folder: &Path) -> Result<(PathBuf, Vec<String>)> {
        let file = propose_named(folder, &self.data_file, &self.what, self.form.ending());
        // It holds records: nobody else may read it.
        let mut out = tempfile::Builder::new()
            .prefix(".strongroom-saved-")
            .tempfile_in(storage::folder_of(&file))
            .map_err(|e| Error::io("write to the folder of", &file, e))?;
        let fail = |e| Error::io("write to", &file, e);
        let remarks = self.prepare(handle)?;
        let mut offset = 0;
        loop {
            let page = self.ask(handle, Ask::Piece { number: self.number, offset })?;
            let Rows::Piece { hex, next } = page.rows else { return Err(Error::stopped()) };
            out.write_all(&bytes(&hex)).map_err(fail)?;
            match next {
                Some(next) if next > offset => offset = next,
                _ => break,
            }
        }
        out.as_file().sync_all().map_err(fail)?;
        out.persist_noclobber(&file).map_err(|e| Error::io("create", &file, e.error))?;
        Ok((file, remarks))
    }
}

/// A name of a table in the name of a file.
fn plain(table: &str) -> String {
    let letter = |c: char| if c.is_alphanumeric() || "-_ ".contains(c) { c } else { '_' };
    table.chars().take(40).map(letter).collect()
}

fn bytes(hex: &str) -> Vec<u8> {
    let digit = |digit: u8| (digit as char).to_digit(16).unwrap_or_default() as u8;
    hex.as_bytes().chunks_exact(2).map(|pair| digit(pair[0]) << 4 | digit(pair[1])).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_of_any_name_becomes_the_name_of_a_file() {
        assert_eq!(plain("clients"), "clients");
        assert_eq!(plain("../a/b\u{202e}:ü"), "___a_b__ü");
        assert_eq!(bytes("00ff41"), [0, 255, 0x41]);
    }
}
