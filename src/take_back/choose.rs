//! Which operations of a log are taken back, and what that means for each record: the state before the first of them.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
};

use serde::{Deserialize, Serialize};

use super::{
    links::Links,
    range::OperationId,
    selection::Selection,
    value::{Datum, Normal},
};
use crate::{
    control::Control,
    error::{Error, ErrorKind, Result},
    journal::plan::PlanEnd,
    records::{
        history::{self, Stretch, Wanted},
        operation::{Action, Key, Operation, Side},
        page::Encoding,
        record::{Collation, Value},
        store::ArchiveBase,
    },
    restore::trail::Trail,
};

/// So many bytes of records are taken back at once.
const BYTES_MAX: usize = 256 << 20;
/// So many reasons why something is left out are kept.
const LEFT_OUT_MAX: usize = 1000;

/// An operation that is chosen and cannot be taken back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeftOut {
    /// The operation.
    pub operation: OperationId,
    /// The table or object that it is of.
    pub of: Option<String>,
    /// Why.
    pub reason: String,
}

/// What the same commits did besides to a table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Beside {
    /// The table.
    pub table: String,
    /// How many operations.
    pub operations: u64,
    /// Whether SQLite keeps it for itself.
    pub is_internal: bool,
    /// Whether it refers to a table of a chosen operation by a foreign key with an action.
    pub is_cascade: bool,
}

/// A record as a commit had it.
#[derive(Debug, Clone)]
pub(super) struct Known {
    pub(super) columns: Arc<[String]>,
    /// `None` where a column is computed.
    pub(super) values: Vec<Option<Datum>>,
}

impl Known {
    pub(super) fn value(&self, column: &str) -> Option<&Datum> {
        let at = self.columns.iter().position(|name| name.eq_ignore_ascii_case(column))?;
        self.values.get(at)?.as_ref()
    }

    /// The columns that have values, with them.
    pub(super) fn stored(&self) -> impl Iterator<Item = (&str, &Datum)> {
        let both = self.columns.iter().zip(&self.values);
        both.filter_map(|(name, value)| Some((name.as_str(), value.as_ref()?)))
    }

    fn is_same(&self, other: &Self) -> bool {
        let covers = |one: &Self, other: &Self| {
            one.stored().all(|(name, value)| other.value(name).is_none_or(|another| another == value))
        };
        covers(self, other) && covers(other, self)
    }
}

/// A record, and what the chosen operations made of it.
#[derive(Debug, Clone)]
pub(super) struct Record {
    pub(super) table: String,
    pub(super) key: Vec<Datum>,
    pub(super) is_by_rowid: bool,
    pub(super) operations: Vec<OperationId>,
    /// After the last of them.
    pub(super) expected: Option<Known>,
    /// Before the first of them.
    pub(super) target: Option<Known>,
    /// The columns that they changed, where the record was there before and after each of them.
    pub(super) changed: Option<BTreeSet<String>>,
    /// Whether others changed it in between.
    pub(super) is_broken: bool,
}

/// Everything that is to be taken back.
#[derive(Debug)]
pub struct Chosen {
    pub(super) form: Encoding,
    pub(super) identity: uuid::Uuid,
    pub(super) records: Vec<Record>,
    pub(super) left_out: Vec<LeftOut>,
    pub(super) left_out_more: u64,
    pub(super) beside: Vec<Beside>,
    /// Commits that stand for a time when nobody watched.
    pub(super) catch_ups: Vec<u64>,
    /// How many operations were chosen.
    pub(super) operations: u64,
}

/// An operation, kept.
struct Owned {
    id: OperationId,
    table: String,
    key: Vec<Datum>,
    fold: Vec<(bool, bool)>,
    is_by_rowid: bool,
    old: Option<Known>,
    new: Option<Known>,
}

struct Chooser<'a> {
    selection: &'a Selection,
    links: &'a Links,
    form: Encoding,
    chosen: Chosen,
    places: HashMap<(String, Normal), usize>,
    columns: HashMap<String, Arc<[String]>>,
    bytes: usize,
    /// Of the commit that is being read.
    commit: u64,
    is_catch_up: bool,
    tables: BTreeSet<String>,
    others: BTreeMap<(String, bool), u64>,
    pending: Vec<Owned>,
    beside: BTreeMap<(String, bool), u64>,
}

/// Reads the log, and chooses.
///
/// # Errors
/// As [`history::read`]; `Partial` or `Damaged` where the log does not lead to the end of what is wanted, and `Refused`
/// where that is too much.
pub(super) fn choose(
    trail: Trail,
    selection: &Selection,
    (links, form): (&Links, Encoding),
    control: &Control,
) -> Result<Chosen> {
    let stretch =
        |leg: &crate::restore::trail::Leg| Stretch { path: leg.path.clone(), after: leg.after, last: leg.last };
    let stretches: Vec<Stretch> = trail.legs.iter().map(stretch).collect();
    let wanted = &selection.wanted;
    let wide = Wanted {
        first: wanted.first.max(trail.first),
        last: wanted.last,
        since: wanted.since,
        until: wanted.until,
        with_internal: true,
        ..Wanted::default()
    };
    let identity = trail.archive.identity().data_file_id;
    // The rest of it holds copies of logs that were repaired, and stays until the end.
    let lacks = trail.lacks(wanted.last).cloned();
    let (archive, ends) = (trail.archive, trail.ends);
    let chosen = Chosen {
        form,
        identity,
        records: Vec::new(),
        left_out: Vec::new(),
        left_out_more: 0,
        beside: Vec::new(),
        catch_ups: Vec::new(),
        operations: 0,
    };
    let mut chooser = Chooser {
        selection,
        links,
        form,
        chosen,
        places: HashMap::new(),
        columns: HashMap::new(),
        bytes: 0,
        commit: 0,
        is_catch_up: false,
        tables: BTreeSet::new(),
        others: BTreeMap::new(),
        pending: Vec::new(),
        beside: BTreeMap::new(),
    };
    let mut sink = |operation: &Operation<'_>| chooser.take(operation);
    let told = history::read(Box::new(ArchiveBase::mending(archive)?.0), &stretches, &wide, control, &mut sink)?;
    let is_all = wanted.last.is_some_and(|last| told.last.is_some_and(|told| told >= last));
    match ends {
        Some(PlanEnd::Damaged { path, offset }) if !is_all => {
            let message =
                format!("{} is damaged at byte {offset}, and what comes after it is not known", path.display());
            return Err(Error::new(ErrorKind::Damaged, message)
                .hint("Choose by commits before this place, with --commit ..N; strongroom log lists them."));
        }
        Some(PlanEnd::Gap { path, commit }) if !is_all => {
            let message = format!("commit {commit} of {} stands for changes that nobody has seen", path.display());
            return Err(Error::new(ErrorKind::Partial, message).hint(
                "Choose by commits before it, with --commit ..N, or after the next full backup, with --commit N..",
            ));
        }
        _ => {}
    }
    if let Some(why) = lacks {
        return Err(Error::new(why.kind, why.message).hint(
            "What was asked for may be in commits that are not at hand. Bring the missing log back; or choose by \
             commits that are, with --commit N..M: strongroom log lists them.",
        ));
    }
    chooser.end_commit()?;
    Ok(chooser.finish())
}

impl Chooser<'_> {
    fn take(&mut self, operation: &Operation<'_>) -> Result<()> {
        if operation.commit != self.commit {
            self.end_commit()?;
            self.commit = operation.commit;
        }
        let (change, id) = (operation.change, OperationId { commit: operation.commit, number: operation.number });
        let is_chosen = self.selection.has(operation);
        match change.action {
            Action::Rewrite => return Ok(()),
            Action::CatchUp => {
                self.is_catch_up = true;
                return Ok(());
            }
            Action::Unknown if is_chosen => {
                let reason = operation.reason().unwrap_or_else(|| "it cannot be read".to_owned());
                self.leave_out(id, change.table, format!("what was changed is not known: {reason}"));
                return Ok(());
            }
            Action::Create | Action::Alter | Action::Drop if is_chosen => {
                let reason = format!(
                    "to {} {} is a change of the schema, which is not taken back singly; strongroom restore \
                     DATAFILE --in-place --commit {} goes back to just before it, with everything",
                    change.action.label(),
                    change.object.map_or("an object", |object| object.label()),
                    id.commit.saturating_sub(1)
                );
                let of = change.key.as_ref().map(|key| key.in_words());
                self.leave_out(id, of.as_deref(), reason);
                return Ok(());
            }
            _ => {}
        }
        let Some(table) = change.table.filter(|_| change.object.is_none() && change.action != Action::Unknown) else {
            return Ok(());
        };
        let is_candidate = !is_chosen && self.selection.with_cascades && self.links.has(table);
        if !is_chosen && (change.is_internal || !is_candidate) {
            *self.others.entry((table.to_owned(), change.is_internal)).or_default() += 1;
            return Ok(());
        }
        let owned = match self.own(operation, table, id) {
            Ok(owned) => owned,
            Err(reason) => {
                if is_chosen {
                    self.leave_out(id, Some(table), reason);
                }
                return Ok(());
            }
        };
        if is_chosen {
            self.tables.insert(table.to_lowercase());
            self.fold(owned)
        } else {
            self.pending.push(owned);
            Ok(())
        }
    }

    fn leave_out(&mut self, operation: OperationId, of: Option<&str>, reason: String) {
        self.chosen.operations += 1;
        if self.chosen.left_out.len() < LEFT_OUT_MAX {
            self.chosen.left_out.push(LeftOut { operation, of: of.map(str::to_owned), reason });
        } else {
            self.chosen.left_out_more += 1;
        }
    }

    /// The operation with its values; else why they are not known.
    fn own(&mut self, operation: &Operation<'_>, table: &str, id: OperationId) -> std::result::Result<Owned, String> {
        let change = operation.change;
        let mut fold = Vec::new();
        for side in [&change.old, &change.new].into_iter().flatten() {
            if let Side::Record(definition, row) = side {
                let parts = definition.key.iter().flatten();
                fold = parts
                    .map(|part| (part.collation == Collation::NoCase, part.collation == Collation::RTrim))
                    .collect();
                let is_other = |value: &&Value<'_>| matches!(value, Value::Text(_, form) if *form != self.form);
                if row.iter().flatten().any(|value| is_other(&value)) {
                    return Err("its text is kept in another form than in the data file of now".to_owned());
                }
            }
        }
        let mut side = |side: &Option<Side<'_>>| match side {
            None => Ok(None),
            Some(Side::Record(definition, row)) => {
                let names = definition.columns.iter().map(|column| &column.name);
                let known = self.columns.get(table).filter(|known| known.iter().eq(names.clone()));
                let columns = match known {
                    Some(known) => Arc::clone(known),
                    None => {
                        let made: Arc<[String]> = names.cloned().collect();
                        self.columns.insert(table.to_owned(), Arc::clone(&made));
                        made
                    }
                };
                let values: Vec<Option<Datum>> = row.iter().map(|value| value.as_ref().map(Datum::from)).collect();
                self.bytes += values.iter().flatten().map(Datum::size).sum::<usize>();
                Ok(Some(Known { columns, values }))
            }
            Some(Side::Unknown(flaw)) => Err(format!("the record cannot be read: page {} {}", flaw.page, flaw.what)),
            Some(Side::Object(_)) => Err("it is no record".to_owned()),
        };
        let (old, new) = (side(&change.old)?, side(&change.new)?);
        let (key, is_by_rowid) = match &change.key {
            Some(Key::Rowid(rowid)) => (vec![Datum::Integer(*rowid)], true),
            Some(Key::Values(values)) => (values.iter().map(Datum::from).collect(), false),
            _ => return Err("its key is not known".to_owned()),
        };
        Ok(Owned { id, table: table.to_owned(), key, fold, is_by_rowid, old, new })
    }

    fn end_commit(&mut self) -> Result<()> {
        let pending = std::mem::take(&mut self.pending);
        let (tables, others) = (std::mem::take(&mut self.tables), std::mem::take(&mut self.others));
        let is_catch_up = std::mem::take(&mut self.is_catch_up);
        if tables.is_empty() {
            return Ok(());
        }
        self.chosen.catch_ups.extend(is_catch_up.then_some(self.commit));
        for owned in pending {
            if self.links.lead(&owned.table, &tables) {
                self.fold(owned)?;
            } else {
                *self.beside.entry((owned.table, false)).or_default() += 1;
            }
        }
        for (of, count) in others {
            *self.beside.entry(of).or_default() += count;
        }
        Ok(())
    }

    fn fold(&mut self, owned: Owned) -> Result<()> {
        self.chosen.operations += 1;
        if self.bytes > BYTES_MAX {
            return Err(Error::new(ErrorKind::Refused, "the records to be taken back are more than fits into memory")
                .hint("Take them back in several parts, or restore in place to the commit before."));
        }
        let normal = Normal::of(&owned.key, &owned.fold, self.form);
        let place = *self.places.entry((owned.table.to_lowercase(), normal)).or_insert(self.chosen.records.len());
        let is_whole = owned.old.is_none() || owned.new.is_none();
        let differing = || -> BTreeSet<String> {
            let (Some(old), Some(new)) = (&owned.old, &owned.new) else { return BTreeSet::new() };
            let is_other = |(name, value): &(&str, &Datum)| new.value(name) != Some(*value);
            old.stored().filter(is_other).map(|(name, _)| name.to_lowercase()).collect()
        };
        let Some(record) = self.chosen.records.get_mut(place) else {
            let changed = (!is_whole).then(differing);
            self.chosen.records.push(Record {
                table: owned.table,
                key: owned.key,
                is_by_rowid: owned.is_by_rowid,
                operations: vec![owned.id],
                expected: owned.new,
                target: owned.old,
                changed,
                is_broken: false,
            });
            return Ok(());
        };
        let goes_on = match (&record.expected, &owned.old) {
            (None, None) => true,
            (Some(expected), Some(old)) => expected.is_same(old),
            _ => false,
        };
        record.is_broken |= !goes_on;
        match (&mut record.changed, is_whole) {
            (Some(changed), false) => {
                // What others changed in between stays; what these did goes back to what it was before them.
                for column in differing() {
                    if changed.insert(column.clone())
                        && !goes_on
                        && let (Some(target), Some(value)) =
                            (&mut record.target, owned.old.as_ref().and_then(|old| old.value(&column)))
                        && let Some(at) = target.columns.iter().position(|name| name.eq_ignore_ascii_case(&column))
                        && let Some(place) = target.values.get_mut(at)
                    {
                        *place = Some(value.clone());
                    }
                }
            }
            (changed, _) => *changed = None,
        }
        record.operations.push(owned.id);
        (record.expected, record.key) = (owned.new, owned.key);
        Ok(())
    }

    fn finish(mut self) -> Chosen {
        let tables: BTreeSet<String> = self.chosen.records.iter().map(|record| record.table.to_lowercase()).collect();
        self.chosen.beside = std::mem::take(&mut self.beside)
            .into_iter()
            .map(|((table, is_internal), operations)| {
                let is_cascade = !is_internal && self.links.lead(&table, &tables);
                Beside { table, operations, is_internal, is_cascade }
            })
            .collect();
        self.chosen
    }
}
