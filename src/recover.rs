//! What a damaged data file still holds, into a new one. The damaged file is read and never touched.
//!
//! ```text
//! fill orphans        records of trees, and of pages that none leads to, into the new file
//! target lost         the new file, what has no place in its tables
//! survey              which page belongs to which table, and where pages are missing
//! schema known before what tables there are: by the file, by the last archive and its log; up to which commit
//! walk chain form     a tree, a record, the form of a record, as far as they stand
//! head sheet stamps   the header, one page, notes of all pages
//! source place        the damaged file as it lies there, the name of the new one
//! report words        what came of it
//! ```
//!
//! SQLite's own `.recover` was the measure: nothing that it finds is missing here.

mod before;
mod chain;
mod fill;
mod form;
mod head;
mod known;
mod lost;
mod orphans;
mod place;
pub mod report;
mod schema;
mod sheet;
mod source;
mod stamps;
mod survey;
mod target;
mod walk;
mod words;

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Instant,
};

pub use before::{Before, is_sound};
pub use head::HeaderFrom;
pub use known::{ComparedWith, Comparison, Differing, compared_with};
pub use place::propose;
pub use report::{NotMade, RecoverReport, TableReport};
pub use words::Style;

use fill::{Filled, Filling};
use known::KnownState;
use lost::Lost;
use orphans::Orphans;
use schema::Schema;
use source::{Raw, Source};
use stamps::Stamps;
use target::Target;

use crate::{
    as_of::Looked,
    control::{Control, Phase},
    error::{Error, ErrorKind, Result},
    records::schema::{Object, ObjectKind},
    sqlite::{
        alias, check,
        hot::{self, journal_path},
        wal_alone,
    },
    storage::{
        self, Disk, Ownership, processes,
        scratch::{Scratch, remove_leftovers},
        space::require_space,
    },
};

/// What to recover, and where to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RecoverOptions {
    /// The new file; otherwise a name beside the damaged one, see [`propose`].
    pub to: Option<PathBuf>,
    /// Whether records of free pages, which were deleted, are kept among the lost and found.
    pub with_deleted: bool,
}

/// Looks whether a file can be recovered to where it is wanted: what [`run`] refuses without having read it.
///
/// # Errors
/// As [`run`].
pub fn look(path: &Path, options: &RecoverOptions) -> Result<()> {
    let raw = Raw::open(path)?;
    place::require(&raw.path, options.to.as_deref().unwrap_or(&propose(&raw.path)))
}

/// Recovers the data file at `path` into a new one. `looked` is the state that its last archive and log lead to, where
/// there are some: what it knows of the schema counts where the file has lost that, and the recovered file is compared
/// with it; each record that differs is told to `tell`.
///
/// # Errors
/// `NotFound`, `WrongType`, `Empty`, `NotRecognised`, `Encrypted` for what is no damaged data file; `Damaged` where
/// nothing can be read of it; `Exists`, `Refused` for the name of the new file; `NoSpace`; `Stopped`. Nothing is left
/// under the new name then.
pub fn run(
    path: &Path,
    options: &RecoverOptions,
    looked: Option<&Looked>,
    control: &Arc<Control>,
    tell: &mut dyn FnMut(&Differing<'_>) -> Result<()>,
) -> Result<RecoverReport> {
    let begun = Instant::now();
    control.phase(Phase::Preparing, 0);
    let raw = Raw::open(path)?;
    let data_file = raw.path.clone();
    let to = options.to.clone().unwrap_or_else(|| propose(&data_file));
    place::require(&data_file, &to)?;
    let known = looked.map(KnownState::read).transpose()?;
    let header = head::find(&raw, known.as_ref())?;
    let source = Source::new(raw, header.head);
    let mut stamps = Stamps::new(source.count());

    control.phase(Phase::Sorting, u64::from(source.count()));
    let free = survey::free_pages(&source, &stamps, control)?.filter(|free| header.free_pages == Some(*free));
    if free.is_none() {
        stamps.forget_free();
    }
    let mut schema = Schema::read(&source, &mut stamps, known.as_ref(), control)?;
    let tables = schema.tables(&source, known.as_ref(), control)?;
    let seen = survey::survey(&source, &mut stamps, (&schema, &tables, free), control)?;

    let folder = storage::folder_of(&to);
    let used = u64::from(source.count()).saturating_sub(seen.free);
    require_space(folder, used * header.head.page_size as u64)?;
    remove_leftovers(folder);
    let scratch = Scratch::new(folder)?;
    let name = Path::new("recovered");
    drop(scratch.folder().create(name, Ownership::for_content_of(&data_file))?);
    let made = scratch.path().join(name);

    control.phase(Phase::Salvaging, u64::from(source.count()));
    stamps.refill();
    let target = Target::new(&made, &header, control)?;
    let mut lost = Lost::new(&schema.objects);
    let mut filled: Vec<Filled<'_>> = Vec::new();
    for table in &tables {
        control.check()?;
        filled.push(Filled::make(&target, table, schema.has_no_own_index(&table.object.name))?);
    }
    let (first, last) = others(&schema.objects);
    let mut not_made = make_others(&target, first, control)?;
    let mut filling = Filling { source: &source, target: &target, lost: &mut lost, control };
    let is_sequence = |filled: &Filled<'_>| filled.table.object.name.eq_ignore_ascii_case("sqlite_sequence");
    for at_the_end in [false, true] {
        for (table, seen) in filled.iter_mut().zip(&seen.tables) {
            if is_sequence(table) == at_the_end {
                filling.fill(table, seen, &mut stamps)?;
            }
        }
    }
    let orphans =
        Orphans { survey: &seen, stamps: &stamps, knows_schema: schema.is_whole, with_deleted: options.with_deleted };
    orphans.run(&mut filling, &mut filled)?;
    control.phase(Phase::Finishing, 0);
    not_made.extend(make_others(&target, last, control)?);
    let mut reports: Vec<TableReport> = filled.into_iter().map(|filled| filled.report).collect();
    for table in &mut reports {
        table.counted = seen.counted.get(&table.table.to_lowercase()).copied();
    }
    if reports.iter().all(|table| table.found == 0) && lost.records == 0 && !schema.is_whole {
        return Err(nothing(&data_file));
    }
    target.finish()?;
    let compared = match looked {
        Some(looked) => {
            let mut found = known::compare(looked, &made, control, tell)?;
            for table in &mut reports {
                table.known = found.remove(&table.table.to_lowercase());
            }
            not_made.extend(unknown_tables(found, &schema.objects));
            Some(known::compared_with(looked))
        }
        None => None,
    };
    control.check()?;
    let mut doubts = doubts(&data_file);
    doubts.extend(unopened(&made, &schema.objects)?);
    storage::publish(&Disk, &made, &to)?;
    Ok(RecoverReport {
        bytes: std::fs::metadata(&to).map_or(0, |meta| meta.len()),
        page_size: header.head.page_size as u64,
        pages: u64::from(source.count()),
        wal_pages: source.of_wal(),
        unreadable_pages: source.unreadable(),
        header: header.from,
        schema_is_whole: schema.is_whole,
        schema_from_archive: schema.from_archive,
        free_list_is_whole: seen.knows_free,
        tables: reports,
        lost_and_found: lost.records,
        deleted: lost.deleted,
        lost_tables: lost.names(),
        doubtful_table: lost.doubts(),
        not_made,
        compared,
        doubts,
        remarks: remarks(&data_file),
        duration_ms: begun.elapsed().as_millis() as u64,
        data_file,
        to,
    })
}

/// What is not a table with records: what must be there before the first record, and what comes after the last one.
fn others(objects: &[Object]) -> (Vec<&Object>, Vec<&Object>) {
    let mut found: Vec<&Object> = objects
        .iter()
        .filter(|object| object.kind != ObjectKind::Table || object.root == 0)
        // An index without a statement comes with its table.
        .filter(|object| object.sql.is_some())
        .collect();
    found.sort_by_key(|object| match object.kind {
        ObjectKind::Index => 0,
        ObjectKind::Table => 1,
        ObjectKind::View => 2,
        ObjectKind::Trigger => 3,
    });
    let is_unique = |object: &&Object| {
        let begin = object.sql.as_deref().unwrap_or_default().get(..13).unwrap_or_default();
        object.kind == ObjectKind::Index && begin.eq_ignore_ascii_case("CREATE UNIQUE")
    };
    // The second of two records that must not be the same is lost and found, instead of the index.
    found.into_iter().partition(is_unique)
}

fn make_others(target: &Target, objects: Vec<&Object>, control: &Control) -> Result<Vec<NotMade>> {
    let mut not_made = Vec::new();
    for object in objects {
        control.check()?;
        if let Err(why) = target.make_other(object)? {
            let (name, sql) = (object.name.clone(), object.sql.clone());
            not_made.push(NotMade { object: object.kind.label().to_owned(), name, why, sql });
        }
    }
    Ok(not_made)
}

/// Virtual tables that are in the new file, and that SQLite cannot open there: what they keep of themselves in other
/// tables was lost. What is in those tables is there.
fn unopened(made: &Path, objects: &[Object]) -> Result<Vec<String>> {
    let fail = |e| Error::sqlite("open", made, e);
    let conn = rusqlite::Connection::open_with_flags(made, rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY).map_err(fail)?;
    let is_virtual = |object: &&Object| object.kind == ObjectKind::Table && object.root == 0 && object.sql.is_some();
    let mut found = Vec::new();
    for object in objects.iter().filter(is_virtual) {
        // One that was not made is said already.
        let is_there = conn.table_exists(None, object.name.as_str()).map_err(fail)?;
        if let Some(why) = if is_there { check::unopened(&conn, &object.name).map_err(fail)? } else { None } {
            found.push(format!(
                "The virtual table {} is in the new file, and SQLite cannot open it: {why}. What it kept is in the \
                 tables that are named after it.",
                object.name
            ));
        }
    }
    Ok(found)
}

/// Tables that archive and log know, and the damaged file does not name any more.
fn unknown_tables(found: std::collections::BTreeMap<String, Comparison>, objects: &[Object]) -> Vec<NotMade> {
    let is_named = |name: &String| objects.iter().any(|object| object.name.to_lowercase() == *name);
    found
        .into_iter()
        .filter(|(name, known)| !is_named(name) && known.missing > 0)
        .map(|(name, known)| NotMade {
            object: ObjectKind::Table.label().to_owned(),
            name,
            why: format!("the damaged file does not name it; the archive has {} records of it", known.missing),
            sql: None,
        })
        .collect()
}

fn nothing(data_file: &Path) -> Error {
    let message = format!("no table and no record can be read of {}", data_file.display());
    Error::new(ErrorKind::Damaged, message).hint("Restore its last archive: strongroom restore DATAFILE.")
}

/// What may be missing or wrong although nothing in the file shows it.
fn doubts(data_file: &Path) -> Vec<String> {
    let mut doubts = Vec::new();
    let journal = journal_path(data_file);
    if hot::has_begun(&journal) {
        doubts.push(format!(
            "{} holds what pages were before a transaction that was not ended; it is not read, so that half of that \
             transaction may be in the records. If the file can be opened at all, let SQLite play it back in a copy of \
             both files first.",
            journal.display()
        ));
    }
    doubts.extend(wal_alone::doubt(data_file));
    let names = alias::names(data_file);
    if names > 1 {
        doubts.push(format!(
            "The data file has {names} names (hard links): what was committed by another name lies in the -wal of that \
             name, which is not read. Recover it by the name that programs use."
        ));
    }
    doubts
}

fn remarks(data_file: &Path) -> Vec<String> {
    let mut remarks = Vec::new();
    let open = processes::holders(&[data_file.to_path_buf()]);
    if !open.processes.is_empty() {
        remarks.push(format!(
            "The damaged file is open in {}: what is written to it meanwhile may be missing.",
            open.in_words()
        ));
    }
    remarks
}
