//! A record as the chosen operations left it and as it was before them, beside what it is now: what is in the way, and
//! the statements.

use super::{
    choose::{Known, Record},
    conflict::{Conflict, Decision, Differs},
    statement::{Deed, Statement},
    step::{Fate, Pushed, Step},
    table::{self, Table, Triggers},
    value::Datum,
};
use crate::records::page::Encoding;

/// A step of which nothing is known but the record.
pub(super) fn of(record: &Record) -> Step {
    let fate = match (&record.target, &record.expected) {
        (Some(_), None) => Fate::ComesBack,
        (None, Some(_)) => Fate::Goes,
        (Some(_), Some(_)) => Fate::ChangesBack,
        (None, None) => Fate::IsSo,
    };
    Step {
        table: record.table.clone(),
        at: None,
        key: record.key.clone(),
        operations: record.operations.clone(),
        fate,
        found: None,
        after: None,
        statements: Vec::new(),
        pushed: Vec::new(),
        conflicts: Vec::new(),
        decision: None,
    }
}

/// The values of a record by the columns that the table has now; `None` where it did not have the column.
fn by_place(known: &Known, table: &Table) -> Vec<Option<Datum>> {
    table.columns.iter().map(|column| known.value(&column.name).cloned()).collect()
}

fn is_target(target: Option<&Vec<Option<Datum>>>, found: Option<&Vec<Datum>>) -> bool {
    match (target, found) {
        (None, None) => true,
        (Some(target), Some(found)) => {
            target.iter().zip(found).all(|(target, found)| target.as_ref().is_none_or(|target| target == found))
        }
        _ => false,
    }
}

/// Compares a record with what it is now, and finds the statements.
pub(super) fn complete(
    mut step: Step,
    record: &Record,
    (table, form): (&Table, Encoding),
    found: Option<Vec<Datum>>,
    (noted, decision): (&[(Conflict, Vec<Pushed>)], Option<Decision>),
) -> Step {
    let target = record.target.as_ref().map(|known| by_place(known, table));
    let expected = record.expected.as_ref().map(|known| by_place(known, table));
    if record.is_by_rowid != table.rowid.is_some() {
        let reason = "its records are kept by another kind of key now".to_owned();
        step.conflicts.push(Conflict::Table { reason });
        step.decision = decision;
        return step;
    }
    // What differs between the state before the first operation and after the last.
    let is_changed = |place: usize, name: &str| match &record.changed {
        Some(changed) if record.is_broken => changed.contains(&name.to_lowercase()),
        _ => {
            let side =
                |row: &Option<Vec<Option<Datum>>>| row.as_ref().and_then(|row| row.get(place).cloned().flatten());
            match (side(&target), side(&expected)) {
                (Some(old), Some(new)) => old != new,
                (Some(_), None) => true,
                _ => false,
            }
        }
    };
    let names = || table.columns.iter().enumerate();
    let changed: Vec<usize> =
        names().filter(|(place, column)| is_changed(*place, &column.name)).map(|(place, _)| place).collect();
    let is_so = match (&target, &found) {
        // Of a record that is there before and after, only what the operations changed need be as it was.
        (Some(target), Some(found)) if expected.is_some() => {
            changed.iter().all(|place| target.get(*place).and_then(Option::as_ref) == found.get(*place))
        }
        _ => is_target(target.as_ref(), found.as_ref()),
    };
    let gone = gone_columns(record, table);
    // Added and deleted again, or changed and changed back: whatever the record is now, nothing is left of that.
    let is_nothing = match (&target, &expected) {
        (None, None) => true,
        (Some(_), Some(_)) => changed.is_empty(),
        _ => false,
    };
    if is_so && !is_nothing && target.is_some() && table.rowid.is_some() && table.rowid_column.is_none() {
        let reason = "a record that is as this one was has its rowid now, and may be another one: VACUUM gives other \
                      rowids to tables that have no name for them"
            .to_owned();
        step.conflicts.push(Conflict::Table { reason });
        (step.found, step.decision) = (found, decision);
        return step;
    }
    if (is_so || is_nothing) && gone.is_empty() {
        (step.fate, step.found) = (Fate::IsSo, found);
        return step;
    }
    if !gone.is_empty() && step.fate != Fate::Goes {
        step.conflicts.push(Conflict::Columns { gone });
    }
    match (&expected, &found) {
        (Some(_), None) => step.conflicts.push(Conflict::Gone),
        (None, Some(_)) => step.conflicts.push(Conflict::Taken),
        (Some(expected), Some(found)) => {
            let columns = differing(expected, found, table, form, step.fate);
            if !columns.is_empty() {
                step.conflicts.push(Conflict::Changed { columns });
            }
        }
        (None, None) => {}
    }
    if record.is_broken {
        step.conflicts.push(Conflict::ChangedBetween);
    }
    let triggers = match &table.triggers {
        Triggers::Both(names) => {
            let reason = "write to ordinary tables and to a virtual one as well; overwriting leaves them off, and the \
                          virtual table must be rebuilt then";
            Some((names, reason.to_owned()))
        }
        Triggers::Unknown(names, why) => {
            Some((names, format!("cannot be understood here, and overwriting leaves them off: {why}")))
        }
        Triggers::None | Triggers::Off(_) | Triggers::On(_) => None,
    };
    step.conflicts.extend(triggers.map(|(names, reason)| Conflict::Triggers { names: names.clone(), reason }));
    step.conflicts.extend(noted.iter().map(|(conflict, _)| conflict.clone()));
    step.decision = decision.filter(|_| !step.conflicts.is_empty());
    step.found = found;
    if step.is_open() || step.is_skipped() {
        return step;
    }
    step.pushed = noted.iter().flat_map(|(_, pushed)| pushed.iter().cloned()).collect();
    put_statements(&mut step, table, target, &changed);
    step
}

/// The columns that the table does not have any more, and that would be needed.
fn gone_columns(record: &Record, table: &Table) -> Vec<String> {
    let Some(target) = &record.target else { return Vec::new() };
    let is_there = |name: &str| {
        table.place(name).is_some() || table.computed.iter().any(|computed| computed.eq_ignore_ascii_case(name))
    };
    let is_needed = |(name, value): &(&str, &Datum)| match (&record.changed, &record.expected) {
        (Some(changed), Some(_)) => changed.contains(&name.to_lowercase()),
        _ => **value != Datum::Null,
    };
    let needed = target.stored().filter(is_needed);
    needed.filter(|(name, _)| !is_there(name)).map(|(name, _)| name.to_owned()).collect()
}

fn differing(expected: &[Option<Datum>], found: &[Datum], table: &Table, form: Encoding, fate: Fate) -> Vec<Differs> {
    let one = |((column, expected), found): ((&table::Column, &Option<Datum>), &Datum)| {
        // A column that came later belongs to a record that is to go.
        let expected = expected.as_ref().or((fate == Fate::Goes).then_some(&column.default))?;
        let (name, of) = (column.name.clone(), |datum: &Datum| in_short(datum, form));
        (expected != found).then(|| Differs { column: name, expected: of(expected), found: of(found) })
    };
    table.columns.iter().zip(expected).zip(found).filter_map(one).collect()
}

/// A value for people.
fn in_short(datum: &Datum, form: Encoding) -> String {
    const SHOWN_MAX: usize = 80;
    let text = match datum {
        Datum::Real(number) => format!("{:?}", number.get()),
        datum => datum.literal(form),
    };
    match text.char_indices().nth(SHOWN_MAX) {
        Some((at, _)) => format!("{}…", text.get(..at).unwrap_or_default()),
        None => text,
    }
}

fn put_statements(step: &mut Step, table: &Table, target: Option<Vec<Option<Datum>>>, changed: &[usize]) {
    let key = step.key.clone();
    let insert = |row: &[Option<Datum>], key: Vec<Datum>| {
        let values = row.iter().enumerate().filter_map(|(place, datum)| Some((place, datum.clone()?)));
        Statement { deed: Deed::Insert(values.collect()), key }
    };
    match (target, &step.found) {
        (None, Some(_)) => {
            step.statements.push(Statement { deed: Deed::Delete, key });
            step.after = None;
        }
        (Some(target), None) => {
            step.statements.push(insert(&target, key));
            step.after = Some(target);
        }
        (Some(target), Some(found)) => {
            // Of a record that takes the place of another one, all is changed; else only what the operations did.
            let is_taken = step.conflicts.contains(&Conflict::Taken);
            let is_other = |place: &usize| {
                target.get(*place).and_then(Option::as_ref).is_some_and(|datum| Some(datum) != found.get(*place))
            };
            let all: Vec<usize> = (0..table.columns.len()).collect();
            let places: Vec<usize> =
                (if is_taken { &all[..] } else { changed }).iter().copied().filter(is_other).collect();
            let mut after: Vec<Option<Datum>> = found.iter().cloned().map(Some).collect();
            let mut values = Vec::new();
            for place in &places {
                if let (Some(Some(datum)), Some(there)) = (target.get(*place), after.get_mut(*place)) {
                    values.push((*place, datum.clone()));
                    *there = Some(datum.clone());
                }
            }
            if values.is_empty() {
                step.fate = Fate::IsSo;
            } else if table.is_unique(&places) && !table.fires() {
                // Two records that change places would be in each other's way for a moment. Triggers that are fired
                // must be those of an update all the same: there such two are a conflict.
                step.statements.push(Statement { deed: Deed::Delete, key: key.clone() });
                step.statements.push(insert(&after, key));
            } else {
                step.statements.push(Statement { deed: Deed::Update(values), key });
            }
            step.after = Some(after);
        }
        (None, None) => {}
    }
}
