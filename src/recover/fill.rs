//! The second reading: the records of every table, as its tree leads to them, into the new file. Those of pages that
//! something speaks against come last, so that they take no key from a record that is as it was.

use super::{
    chain,
    form::{self, by_column, fits},
    lost::{Lost, Stray},
    report::TableReport,
    schema::Table,
    sheet::Sheet,
    source::Source,
    stamps::Stamps,
    survey::{TableSeen, has_form_of, is_by_rowid},
    target::{Made, Target},
    walk::{Seen, Walk},
};
use crate::{
    control::Control,
    error::Result,
    records::{
        definition::Definition,
        page::{Cell, Kind},
        record::Value,
    },
};

/// A table that is being filled.
pub(super) struct Filled<'t> {
    pub(super) table: &'t Table,
    /// `None` where no table could be made.
    pub(super) made: Option<Made>,
    pub(super) report: TableReport,
}

/// What records are written to, and what is known of their pages.
pub(super) struct Filling<'f> {
    pub(super) source: &'f Source,
    pub(super) target: &'f Target,
    pub(super) lost: &'f mut Lost,
    pub(super) control: &'f Control,
}

impl<'t> Filled<'t> {
    fn definition(&self) -> Option<&'t Definition> {
        self.table.definition.as_deref().ok()
    }

    /// Makes the table, without records. `has_no_index` is one without an index that comes with its statement.
    ///
    /// # Errors
    /// Those of the disk.
    pub(super) fn make(target: &Target, table: &'t Table, has_no_index: bool) -> Result<Self> {
        let made = match &table.definition {
            Ok(definition) => target.make(&table.object, definition, has_no_index)?,
            Err(why) => Err(why.clone()),
        };
        let mut report = TableReport { table: table.object.name.clone(), ..TableReport::default() };
        let made = match made {
            Ok(made) => {
                report.problem = made.problem.as_ref().map(|why| {
                    format!("it was made with its columns alone, since SQLite does not take its statement: {why}")
                });
                Some(made)
            }
            Err(why) => {
                report.problem = Some(format!("it could not be made: {why}"));
                None
            }
        };
        Ok(Self { table, made, report })
    }
}

impl Filling<'_> {
    /// Reads the tree of a table.
    ///
    /// # Errors
    /// Those of the disk, `Stopped`.
    pub(super) fn fill(&mut self, filled: &mut Filled<'_>, seen: &TableSeen, stamps: &mut Stamps) -> Result<()> {
        let (source, control) = (self.source, self.control);
        let (tree, root) = (filled.table.tree, filled.table.object.root);
        let is_table = is_by_rowid(source, filled.table);
        filled.report.lost_pages = seen.lost_pages;
        filled.report.damaged_pages = seen.damaged_pages;
        let mut later: Vec<(u32, &'static str)> = Vec::new();
        let definition = filled.definition();
        let mut walk = Walk { source, stamps, control };
        walk.tree((tree, root, is_table), &mut |found, stamps| {
            let Seen::Page { sheet, doubt } = found else { return Ok(()) };
            control.add(1);
            let is_of_it = |definition| has_form_of(source, definition, sheet, usize::MAX);
            let doubt = match () {
                () if doubt.is_some() => doubt,
                () if stamps.is_twice(sheet.node.number()) => Some("its page is in more than one table"),
                () if seen.has_form() && !definition.is_none_or(is_of_it) => {
                    Some("its page has records of another form than the table")
                }
                () => None,
            };
            match doubt {
                Some(why) => later.push((sheet.node.number(), why)),
                None => self.sheet(filled, (sheet, stamps), None)?,
            }
            Ok(())
        })?;
        let expected = match is_table {
            true => [Kind::TableLeaf, Kind::TableInterior],
            false => [Kind::IndexLeaf, Kind::IndexInterior],
        };
        for (page, why) in later {
            control.check()?;
            let Some((image, whole)) = source.page(page) else { continue };
            if let Some(sheet) = Sheet::read(page, (&image, whole), source.head.usable, &expected) {
                filled.report.damaged_pages += 1;
                self.sheet(filled, (&sheet, stamps), Some(why))?;
            }
        }
        Ok(())
    }

    /// Writes the records of a page. `why` is what speaks against all of them.
    ///
    /// # Errors
    /// Those of the disk, `Stopped`.
    pub(super) fn sheet(
        &mut self,
        filled: &mut Filled<'_>,
        (sheet, stamps): (&Sheet<'_>, &Stamps),
        why: Option<&'static str>,
    ) -> Result<()> {
        let (page, by_rowid) = (sheet.node.number(), sheet.node.kind().is_table());
        for cell in sheet.cells() {
            let is_written = match &cell {
                Some(cell) => self.record(filled, (page, cell, stamps), (by_rowid, why))?,
                None => false,
            };
            // What a damaged page seems to hold besides is not counted: there may be nothing.
            if !is_written && why.is_none() {
                filled.report.broken += 1;
            }
        }
        Ok(())
    }

    /// Writes a record; false where nothing can be read of it.
    fn record(
        &mut self,
        filled: &mut Filled<'_>,
        (page, cell, stamps): (u32, &Cell<'_>, &Stamps),
        (by_rowid, why): (bool, Option<&'static str>),
    ) -> Result<bool> {
        let read = chain::read(self.source, stamps, cell);
        let (values, is_whole) = chain::values(self.source, &read);
        if values.is_empty() {
            return Ok(false);
        }
        let rowid = by_rowid.then_some(cell.rowid);
        let name = &filled.table.object.name;
        let stray = |why| Stray {
            table: Some(name.as_str()),
            root: filled.table.object.root,
            is_tree: false,
            page,
            rowid,
            why,
        };
        let (Some(made), Some(definition)) = (&filled.made, filled.definition()) else {
            self.lost.put(self.target, stray("its table could not be made"), &values)?;
            filled.report.strays += 1;
            return Ok(true);
        };
        let in_place_of_rowid = definition.rowid.and_then(|column| {
            let at = definition.stored.iter().position(|stored| *stored == column);
            at.and_then(|at| values.get(at)).filter(|value| **value != Value::Null)
        });
        // The table has no place for what stands there.
        if values.len() > definition.stored.len()
            || in_place_of_rowid.is_some_and(|value| *value != Value::Integer(cell.rowid))
        {
            self.lost.put(self.target, stray("its values are not those of this table"), &values)?;
            filled.report.strays += 1;
            return Ok(true);
        }
        let is_odd = in_place_of_rowid.is_some() || !form::can_be(definition, &values);
        let doubt = match () {
            () if why.is_some() => why,
            () if read.doubt.is_some() => read.doubt,
            () if !is_whole => Some("its values are not where they should be"),
            () if is_odd => Some("its values are not those of this table"),
            () if !chain::are_texts(&values) => Some("a text in it is none"),
            () => None,
        };
        let is_sequence = name.eq_ignore_ascii_case("sqlite_sequence");
        let row = by_column(definition, cell.rowid, (&values, is_whole));
        let written = match is_sequence {
            true => self.sequence(&row)?,
            false => self.target.insert(made, cell.rowid, &row)?,
        };
        if let Err(refused) = written {
            self.lost.put(self.target, stray(refused), &values)?;
            filled.report.strays += 1;
            return Ok(true);
        }
        filled.report.found += 1;
        if let Some(why) = doubt {
            filled.report.doubtful += 1;
            let id = [Value::Integer(cell.rowid)];
            let key = match &definition.key {
                Some(parts) => values.get(..parts.len()).unwrap_or(&values),
                None => &id,
            };
            self.lost.doubt(self.target, (name, key, page), why)?;
        }
        Ok(true)
    }

    /// The last rowid that a table ever gave counts, or that of the records that were found, if it is greater.
    fn sequence(&self, row: &[Value<'_>]) -> Result<std::result::Result<(), &'static str>> {
        let [name @ Value::Text(..), last @ Value::Integer(_), ..] = row else {
            return Ok(Err("it is no last rowid of a table"));
        };
        let update = "UPDATE sqlite_sequence SET seq=max(seq, ?2) WHERE name=?1";
        if self.target.execute(update, &[*name, *last])? == 0 {
            self.target.execute("INSERT INTO sqlite_sequence(name, seq) VALUES(?1, ?2)", &[*name, *last])?;
        }
        Ok(Ok(()))
    }
}

/// Whether all records of a page have the form of a table.
pub(super) fn is_of(source: &Source, definition: &Definition, sheet: &Sheet<'_>) -> bool {
    let mut any = false;
    let all = sheet.cells().flatten().all(|cell| {
        any = true;
        let (values, _) = chain::beginning(source, cell.local);
        fits(definition, &values)
    });
    any && all
}
