//! Records in a workbook (XLSX), for spreadsheet programs. Rows are written as they come, so that a million of them
//! cost no more memory than one.
//!
//! A spreadsheet holds less than a data file: so many rows in a sheet, so many characters in a cell, so many digits of
//! a number. Where that is in the way, rows go on in another sheet, numbers become text, and a text that must be cut is
//! named in a sheet of its own: nothing is left out without a word.

use std::{
    borrow::Cow,
    fs::File,
    path::{Path, PathBuf},
};

use rust_xlsxwriter::{Format, Workbook, Worksheet, XlsxError};

use super::{operation::hexadecimal, record::Value};
use crate::error::{Error, ErrorKind, Result};

/// The end of the name of such a file.
pub const EXTENSION: &str = "xlsx";
/// Rows of a sheet, with the titles.
const ROWS_MAX: u32 = 1 << 20;
/// Columns of a sheet.
const COLUMNS_MAX: usize = 1 << 14;
/// Characters of a cell, as UTF-16 counts them.
const CELL_MAX: usize = 32_767;
/// Whole numbers from this on have more digits than a spreadsheet shows.
const NUMBER_MAX: u64 = 1_000_000_000_000_000;
/// So many texts that were cut are named; all are counted.
const NAMED_MAX: usize = 100_000;
/// From so many bytes on a part of the file may be longer than the plain form of a ZIP archive allows.
const LARGE: u64 = 1 << 30;
/// The sheet that names what was cut.
const CUT: &str = "Cut values";

/// What a cell holds.
#[derive(Debug, Clone, PartialEq)]
pub enum Cell<'a> {
    /// Nothing.
    Nothing,
    /// A whole number.
    Integer(i64),
    /// A number with a fraction.
    Real(f64),
    /// A text, whatever it begins with.
    Text(Cow<'a, str>),
}

impl<'a> From<&Value<'a>> for Cell<'a> {
    /// As the CSV has it: NULL is nothing, a BLOB is `x'…'`.
    fn from(value: &Value<'a>) -> Self {
        match value {
            Value::Null => Cell::Nothing,
            Value::Integer(number) => Cell::Integer(*number),
            Value::Real(number) => Cell::Real(*number),
            Value::Text(bytes, _) => Cell::Text(value.text().unwrap_or_else(|| String::from_utf8_lossy(bytes))),
            Value::Blob(bytes) => Cell::Text(format!("x'{}'", hexadecimal(bytes)).into()),
        }
    }
}

/// What became of the records.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Written {
    /// How many there are.
    pub records: u64,
    /// In how many sheets.
    pub sheets: u32,
    /// How many texts were cut.
    pub cut: u64,
}

impl Written {
    /// What whoever opens it has to know, as whole sentences.
    pub fn remarks(&self) -> Vec<String> {
        let mut remarks = Vec::new();
        if self.sheets > 1 {
            remarks.push(format!(
                "A sheet holds {ROWS_MAX} rows: the records are in {} sheets, which follow each other.",
                self.sheets
            ));
        }
        if self.cut > 0 {
            let what = if self.cut == 1 { "1 value is".to_owned() } else { format!("{} values are", self.cut) };
            remarks.push(format!(
                "{what} longer than the {CELL_MAX} characters that a cell holds, and cut there; the sheet {CUT} names \
                 what. CSV has everything whole."
            ));
        }
        remarks
    }
}

/// A text that was cut.
struct CutAt {
    sheet: String,
    row: u32,
    column: usize,
    characters: usize,
}

/// A workbook that is being written.
pub struct Book {
    book: Workbook,
    path: PathBuf,
    /// What its sheets are called; the second one and those after it with their number.
    name: String,
    titles: Vec<String>,
    rows_max: u32,
    /// Rows of the sheet that is being written.
    rows: u32,
    written: Written,
    named: Vec<CutAt>,
    bytes: u64,
}

impl std::fmt::Debug for Book {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Book").field("path", &self.path).field("written", &self.written).finish_non_exhaustive()
    }
}

impl Book {
    /// Begins one that messages call `path`. What is not finished is kept in files without a name in `folder`. Its
    /// sheets are called `name`, and each begins with the titles.
    ///
    /// # Errors
    /// When the folder cannot be written; `Refused` for more columns than a sheet has.
    pub fn new(folder: &Path, path: &Path, name: &str, titles: &[String]) -> Result<Self> {
        Self::of_rows(ROWS_MAX, (folder, path), name, titles)
    }

    fn of_rows(rows_max: u32, (folder, path): (&Path, &Path), name: &str, titles: &[String]) -> Result<Self> {
        if titles.len() > COLUMNS_MAX {
            let message = format!("{} columns are more than the {COLUMNS_MAX} that a sheet has", titles.len());
            return Err(Error::new(ErrorKind::Refused, message).hint("Choose fewer columns, or CSV."));
        }
        let mut book = Workbook::new();
        book.set_tempdir(folder).map_err(|e| failed(path, e))?;
        let mut begun = Self {
            book,
            path: path.to_path_buf(),
            name: name.to_owned(),
            titles: titles.to_vec(),
            rows_max,
            rows: 0,
            written: Written::default(),
            named: Vec::new(),
            bytes: 0,
        };
        begun.next_sheet()?;
        Ok(begun)
    }

    fn next_sheet(&mut self) -> Result<()> {
        self.written.sheets += 1;
        let name = self.sheet_name();
        let sheet = self.book.add_worksheet_with_constant_memory().map_err(|e| failed(&self.path, e))?;
        sheet.set_name(name).and_then(|sheet| sheet.set_freeze_panes(1, 0)).map_err(|e| failed(&self.path, e))?;
        self.rows = 0;
        let titles: Vec<Cell<'_>> = self.titles.iter().map(|title| Cell::Text(title.clone().into())).collect();
        self.row(&titles, Some(&Format::new().set_bold()))
    }

    fn sheet_name(&self) -> String {
        match self.written.sheets {
            1 => self.name.clone(),
            more => format!("{} {more}", self.name),
        }
    }

    /// Adds a record.
    ///
    /// # Errors
    /// When the disk cannot be written.
    pub fn record(&mut self, cells: &[Cell<'_>]) -> Result<()> {
        if self.rows == self.rows_max {
            self.next_sheet()?;
        }
        self.written.records += 1;
        self.row(cells, None)
    }

    fn row(&mut self, cells: &[Cell<'_>], format: Option<&Format>) -> Result<()> {
        let (row, sheet_at) = (self.rows, self.written.sheets as usize - 1);
        self.rows += 1;
        for (column, cell) in cells.iter().enumerate() {
            self.bytes += 40;
            let text: Cow<'_, str> = match cell {
                Cell::Nothing => continue,
                Cell::Integer(number) if number.unsigned_abs() < NUMBER_MAX => {
                    self.number(sheet_at, row, column, *number as f64)?;
                    continue;
                }
                Cell::Real(number) if number.is_finite() => {
                    self.number(sheet_at, row, column, *number)?;
                    continue;
                }
                Cell::Integer(number) => number.to_string().into(),
                Cell::Real(number) => format!("{number:?}").into(),
                Cell::Text(text) => Cow::Borrowed(text),
            };
            let characters = text.encode_utf16().count();
            let kept = if characters > CELL_MAX { first(&text, CELL_MAX) } else { &text };
            if characters > CELL_MAX {
                self.written.cut += 1;
                if self.named.len() < NAMED_MAX {
                    self.named.push(CutAt { sheet: self.sheet_name(), row: row + 1, column, characters });
                }
            }
            self.bytes += kept.len() as u64;
            let sheet = self.book.worksheet_from_index(sheet_at).map_err(|e| failed(&self.path, e))?;
            put(sheet, (row, column as u16), kept, format).map_err(|e| failed(&self.path, e))?;
        }
        Ok(())
    }

    fn number(&mut self, sheet: usize, row: u32, column: usize, number: f64) -> Result<()> {
        let sheet = self.book.worksheet_from_index(sheet).map_err(|e| failed(&self.path, e))?;
        sheet.write_number(row, column as u16, number).map_err(|e| failed(&self.path, e))?;
        Ok(())
    }

    /// Writes all of it to `out`, durably.
    ///
    /// # Errors
    /// When the disk cannot be written.
    pub fn finish(mut self, out: File) -> Result<Written> {
        self.name_what_was_cut().map_err(|e| failed(&self.path, e))?;
        self.book.use_zip_large_file(self.bytes > LARGE);
        self.book.save_to_writer(&out).map_err(|e| failed(&self.path, e))?;
        out.sync_all().map_err(|e| Error::io("sync", &self.path, e))?;
        Ok(self.written)
    }

    fn name_what_was_cut(&mut self) -> std::result::Result<(), XlsxError> {
        if self.named.is_empty() {
            return Ok(());
        }
        let bold = Format::new().set_bold();
        let sheet = self.book.add_worksheet_with_constant_memory()?;
        sheet.set_name(CUT)?.set_freeze_panes(1, 0)?;
        for (column, title) in ["Sheet", "Row", "Column", "Characters"].iter().enumerate() {
            sheet.write_string_with_format(0, column as u16, *title, &bold)?;
        }
        for (at, cut) in self.named.iter().enumerate() {
            let row = at as u32 + 1;
            let title = self.titles.get(cut.column).map_or("", String::as_str);
            sheet.write_string(row, 0, &cut.sheet)?;
            sheet.write_number(row, 1, f64::from(cut.row))?;
            sheet.write_string(row, 2, first(title, CELL_MAX))?;
            sheet.write_number(row, 3, cut.characters as f64)?;
        }
        Ok(())
    }
}

fn put(
    sheet: &mut Worksheet,
    (row, column): (u32, u16),
    text: &str,
    format: Option<&Format>,
) -> std::result::Result<(), XlsxError> {
    match format {
        Some(format) => sheet.write_string_with_format(row, column, text, format)?,
        None => sheet.write_string(row, column, text)?,
    };
    Ok(())
}

/// As much of a text as has so many characters.
fn first(text: &str, characters: usize) -> &str {
    let mut left = characters;
    let end = text.char_indices().find_map(|(at, letter)| match left.checked_sub(letter.len_utf16()) {
        Some(less) => {
            left = less;
            None
        }
        None => Some(at),
    });
    text.get(..end.unwrap_or(text.len())).unwrap_or_default()
}

fn failed(path: &Path, error: XlsxError) -> Error {
    match error {
        XlsxError::IoError(error) => Error::io("write to", path, error),
        error => Error::new(ErrorKind::Io, format!("{} cannot be written", path.display())).because(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_go_on_in_another_sheet_and_what_is_cut_is_counted() -> Result<()> {
        let folder = tempfile::tempdir().map_err(|e| Error::io("make", Path::new("a folder"), e))?;
        let file = || tempfile::tempfile_in(folder.path()).map_err(|e| Error::io("make", folder.path(), e));
        let titles = ["a".to_owned()];
        let mut book = Book::of_rows(4, (folder.path(), Path::new("a.xlsx")), "Records", &titles)?;
        for number in 0..7 {
            book.record(&[Cell::Integer(number)])?;
        }
        book.record(&[Cell::Text("x".repeat(CELL_MAX + 1).into())])?;
        assert_eq!(book.finish(file()?)?, Written { records: 8, sheets: 3, cut: 1 });
        let many = vec![String::new(); COLUMNS_MAX + 1];
        let refused = Book::new(folder.path(), Path::new("a.xlsx"), "Records", &many);
        assert_eq!(refused.err().map(|error| error.kind()), Some(ErrorKind::Refused));
        assert_eq!(Written { records: 9, sheets: 1, cut: 0 }.remarks(), [] as [String; 0]);
        Ok(())
    }

    #[test]
    fn a_text_is_cut_between_two_characters() {
        assert_eq!(first("añ𝄞b", 4), "añ𝄞");
        assert_eq!(first("añ𝄞b", 3), "añ");
        assert_eq!(first("ab", 2), "ab");
    }
}
