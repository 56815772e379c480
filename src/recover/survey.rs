//! The first reading: which page belongs to which tree, where records go on, and where pages are missing.

use std::collections::HashMap;

use super::{
    chain,
    form::fits,
    schema::{SCHEMA_TREE, Schema, Table},
    sheet::Sheet,
    source::Source,
    stamps::Stamps,
    walk::{Bounds, Lack, Seen, Walk},
};
use crate::{
    control::Control,
    error::Result,
    records::{
        definition::Definition,
        page::{Kind, kind_of, u32_at},
    },
};

/// So many gaps of a table are told apart; beyond that, records may be missing anywhere.
const GAPS_MAX: usize = 1_000;
/// So many pages that are named in a wrong place are remembered.
const ELSEWHERE_MAX: usize = 1_000_000;

/// What was seen of a table.
#[derive(Debug, Default)]
pub(super) struct TableSeen {
    /// Where records may be missing.
    pub(super) gaps: Vec<Bounds>,
    /// How many pages are missing, or not what they should be.
    pub(super) lost_pages: u64,
    /// How many pages that lead to others are damaged.
    pub(super) damaged_pages: u64,
    /// How many pages begin with a record of the form of the table, and how many do not.
    forms: (u64, u64),
}

impl TableSeen {
    fn note_gap(&mut self, bounds: Bounds, lack: Lack) {
        *(if lack == Lack::Children { &mut self.damaged_pages } else { &mut self.lost_pages }) += 1;
        if self.gaps.len() < GAPS_MAX {
            self.gaps.push(bounds);
        } else {
            self.gaps = vec![Bounds::default()];
        }
    }

    /// Whether records of another form are out of place: most have the form of the table.
    pub(super) fn has_form(&self) -> bool {
        self.forms.1 * 4 <= self.forms.0
    }
}

/// What was seen of the whole file.
#[derive(Debug, Default)]
pub(super) struct Survey {
    /// By the places of the tables.
    pub(super) tables: Vec<TableSeen>,
    /// Pages that the tree of a table names where their rowids do not belong.
    pub(super) elsewhere: HashMap<u32, u32>,
    /// Whether the list of free pages could be read.
    pub(super) knows_free: bool,
    /// How many pages are free.
    pub(super) free: u64,
    /// How many lines the indexes of a table have, by its name in small letters, where one is whole.
    pub(super) counted: HashMap<String, u64>,
}

impl Survey {
    /// Whether every tree with records leads to all its pages.
    pub(super) fn tables_are_whole(&self) -> bool {
        self.tables.iter().all(|table| table.gaps.is_empty())
    }
}

/// Notes the free pages; `None` where the list of them is not what it should be.
pub(super) fn free_pages(source: &Source, stamps: &Stamps, control: &Control) -> Result<Option<u64>> {
    let mut next = source.head.first_trunk;
    let mut count = 0;
    let most = source.head.usable / 4 - 2;
    while next != 0 {
        control.check()?;
        let page = source.page(next).filter(|(_, whole)| *whole >= source.head.usable);
        let (Some((image, _)), true) = (page, next > 1 && stamps.free(next)) else {
            stamps.forget_free();
            return Ok(None);
        };
        count += 1;
        let leaves = u32_at(&image, 4).unwrap_or_default() as usize;
        let all = (0..leaves.min(most)).filter_map(|n| u32_at(&image, 8 + 4 * n));
        let mut is_sound = leaves <= most;
        for leaf in all {
            is_sound &= leaf > 1 && stamps.free(leaf);
            count += 1;
        }
        if !is_sound {
            stamps.forget_free();
            return Ok(None);
        }
        next = u32_at(&image, 0).unwrap_or_default();
    }
    Ok(Some(count))
}

/// Whether a table is by rowid; one whose statement cannot be read is what its root says.
pub(super) fn is_by_rowid(source: &Source, table: &Table) -> bool {
    match &table.definition {
        Ok(definition) => !definition.is_without_rowid(),
        Err(_) => {
            let root = table.object.root;
            source.page(root).and_then(|(image, _)| kind_of(root, &image)).is_none_or(Kind::is_table)
        }
    }
}

/// Whether the records of a page have the form of a table, as far as their values lie on it.
pub(super) fn has_form_of(source: &Source, definition: &Definition, sheet: &Sheet<'_>, most: usize) -> bool {
    let is_one = |cell| {
        let (values, _) = chain::beginning(source, cell);
        fits(definition, &values)
    };
    sheet.node.count() == 0 || sheet.cells().flatten().take(most).any(|cell| is_one(cell.local))
}

/// Reads all trees.
///
/// # Errors
/// `Stopped`.
pub(super) fn survey(
    source: &Source,
    stamps: &mut Stamps,
    (schema, tables, free): (&Schema, &[Table], Option<u64>),
    control: &Control,
) -> Result<Survey> {
    let mut survey = Survey { knows_free: free.is_some(), free: free.unwrap_or_default(), ..Survey::default() };
    let mut walk = Walk { source, stamps, control };
    for table in tables {
        let mut seen = TableSeen::default();
        let elsewhere = &mut survey.elsewhere;
        let is_table = is_by_rowid(source, table);
        walk.tree((table.tree, table.object.root, is_table), &mut |found, stamps| {
            match found {
                Seen::Page { sheet, .. } => {
                    control.add(1);
                    if let Ok(definition) = &table.definition {
                        let is_so = has_form_of(source, definition, sheet, 1);
                        *(if is_so { &mut seen.forms.0 } else { &mut seen.forms.1 }) += 1;
                    }
                    sheet.cells().flatten().for_each(|cell| chain::note(source, stamps, &cell));
                }
                Seen::Gap { page, bounds, lack } => {
                    seen.note_gap(bounds, lack);
                    if lack == Lack::Elsewhere && elsewhere.len() < ELSEWHERE_MAX {
                        elsewhere.insert(page, table.tree);
                    }
                }
            }
            Ok(())
        })?;
        survey.tables.push(seen);
    }
    let first = SCHEMA_TREE + 1 + tables.len() as u32;
    for (tree, (root, table)) in (first..).zip(schema.indexes()) {
        let (mut lines, mut is_whole) = (0, true);
        walk.tree((tree, root, false), &mut |found, stamps| {
            match found {
                Seen::Page { sheet, doubt } => {
                    control.add(1);
                    is_whole &= doubt.is_none() && !stamps.is_twice(sheet.node.number());
                    lines += sheet.node.count() as u64;
                    sheet.cells().flatten().for_each(|cell| chain::note(source, stamps, &cell));
                }
                Seen::Gap { .. } => is_whole = false,
            }
            Ok(())
        })?;
        if let Some(table) = table.filter(|_| is_whole) {
            let counted = survey.counted.entry(table).or_default();
            *counted = lines.max(*counted);
        }
    }
    Ok(survey)
}
