//! What one commit changed: the pages before and after it, as changes of records and of the schema.

use std::{collections::HashSet, sync::Arc};

use super::{
    cells::{Cells, Cursor},
    chains::{self, Chains, Known},
    differences::Differences,
    members::{Concerned, Members},
    merge::{Merge, Pair, Sink, sum_of},
    operation::Change,
    page::{FILE_HEAD, u32_at},
    schema::{Definitions, Object, Schema, Table},
    tree::{Look, Pages, Trouble, Visited, found},
};
use crate::error::Result;

/// Where the number is that SQLite counts up with every change of the schema.
const SCHEMA_COUNTER: usize = 40;

/// What is known of a data file, commit by commit.
#[derive(Debug, Default)]
pub struct Tracker {
    definitions: Definitions,
    /// The schema before the next commit.
    schema: Option<Arc<Schema>>,
    members: Members,
    chains: Option<Chains>,
}

/// The states before and after a commit, and the pages that it wrote.
struct Step<'a> {
    looks: (&'a Look<'a>, &'a Look<'a>),
    schemas: (&'a Schema, &'a Schema),
    changed: &'a [u32],
    is_vacuum: bool,
}

impl Tracker {
    /// Commits were passed over: nothing is known of what they made of the pages.
    pub fn forget(&mut self) {
        self.schema = None;
        self.members.clear();
        self.chains = None;
    }

    /// Tells what a commit changed that wrote the pages `changed`, which are in order.
    ///
    /// What cannot be told is a change as well, which says so.
    ///
    /// # Errors
    /// When pages cannot be read; what `sink` says.
    pub fn step(
        &mut self,
        before: &dyn Pages,
        after: &dyn Pages,
        changed: &[u32],
        sink: &mut dyn FnMut(&Change<'_>) -> Result<()>,
    ) -> Result<()> {
        let flaw = match found(self.try_step(before, after, changed, sink))? {
            Ok(()) => return Ok(()),
            Err(flaw) => flaw,
        };
        self.forget();
        sink(&Change::unknown(None, flaw))
    }

    fn try_step(
        &mut self,
        before: &dyn Pages,
        after: &dyn Pages,
        changed: &[u32],
        sink: &mut Sink<'_>,
    ) -> std::result::Result<(), Trouble> {
        let first = Look::begin(before)?;
        // A first page that was not written says the same.
        let is_first_written = changed.first() == Some(&1) || before.count() == 0 || after.count() == 0;
        let second = if is_first_written { Look::begin(after)? } else { Look::with(after, first.head) };
        let looks = (&first, &second);
        let schema = match self.schema.take() {
            Some(schema) => schema,
            None => Arc::new(Schema::read(looks.0, &mut self.definitions)??),
        };
        let is_other = changed.iter().any(|page| schema.pages.contains(page) && *page != 1)
            || is_first_written && is_first_other(looks)?;
        let now = match is_other {
            true => Arc::new(Schema::read(looks.1, &mut self.definitions)??),
            false => Arc::clone(&schema),
        };
        let counter = |look: &Look<'_>| -> std::result::Result<Option<u32>, Trouble> {
            Ok(u32_at(&look.image(1)?, SCHEMA_COUNTER))
        };
        let is_all = changed.len() as u64 + 2 > u64::from(looks.1.pages.count());
        let differences = if is_other { Differences::between(&schema, &now) } else { Differences::default() };
        let is_vacuum = is_all && differences.is_empty() && counter(looks.0)? != counter(looks.1)?;
        let step = Step { looks, schemas: (&schema, &now), changed, is_vacuum };
        self.tell(&step, &differences, sink)?;
        self.schema = Some(now);
        Ok(())
    }

    fn tell(
        &mut self,
        step: &Step<'_>,
        differences: &Differences<'_>,
        sink: &mut Sink<'_>,
    ) -> std::result::Result<(), Trouble> {
        let ((before, after), (schema, now)) = (step.looks, step.schemas);
        let is_same = std::ptr::eq(schema, now);
        let (mut touched, flaw) = self.members.sort(before, schema, step.changed)?;
        if let Some(flaw) = flaw {
            sink(&Change::unknown(None, flaw))?;
        }
        differences.tell(sink)?;
        let mut explained = HashSet::new();
        let mut known = Known::new();
        let roots: Vec<u32> =
            if is_same { touched.keys().copied().collect() } else { schema.tables.keys().copied().collect() };
        let (mut is_moved, mut gone) = (false, Vec::new());
        for root in roots {
            let Some(was) = schema.tables.get(&root) else { continue };
            let Some(is) = (if is_same { Some(was) } else { differences.now(was, now) }) else {
                gone.push(root);
                continue;
            };
            is_moved |= was.root != is.root;
            let owned = touched.remove(&root);
            if owned.is_none() && was.root == is.root {
                continue;
            }
            let told = self.tell_table(step, (was, is), (owned.unwrap_or_default(), &mut explained), sink);
            match found(told)? {
                Ok(pages) => known.push((root, is.clone(), pages)),
                Err(flaw) => {
                    self.members.forget(root);
                    self.chains = None;
                    sink(&Change { is_internal: is.is_internal, ..Change::unknown(Some(&is.name), flaw) })?;
                }
            }
        }
        self.tell_created(step, differences, (&mut explained, &mut known), sink)?;
        differences.tell_dropped(&mut |object| count_records(before, schema, object), sink)?;
        self.tell_chains(step, (&explained, &known, &gone), sink)?;
        gone.iter().for_each(|root| self.members.forget(*root));
        if is_moved {
            self.members.clear();
            self.chains = None;
        }
        if let Some(chains) = &mut self.chains {
            chains.drop_tables(&gone);
            for (_, table, concerned) in &known {
                // A flaw was told of already.
                let _ = found(chains.go_on((before, after), table.root, concerned, &explained))?;
            }
        }
        Ok(())
    }

    /// Tells what became of the records of a table; returns the pages that hold them.
    fn tell_table(
        &mut self,
        step: &Step<'_>,
        (was, is): (&Table, &Table),
        (owned, explained): (Vec<u32>, &mut HashSet<u32>),
        sink: &mut Sink<'_>,
    ) -> std::result::Result<Concerned, Trouble> {
        let (before, after) = step.looks;
        if let Some(problem) = was.problem.as_ref().or(is.problem.as_ref()) {
            let change = Change::of(super::operation::Action::Unknown);
            let (table, is_internal) = (Some(&*is.name), is.is_internal);
            sink(&Change { table, is_internal, reason: Some(problem), ..change })?;
            return Ok(Concerned::default());
        }
        if was.definition.is_without_rowid() != is.definition.is_without_rowid() {
            let reason = Some("its records are kept in another way than before, and are not compared");
            let change = Change::of(super::operation::Action::Unknown);
            sink(&Change { table: Some(&is.name), is_internal: is.is_internal, reason, ..change })?;
            return Ok(Concerned::default());
        }
        let concerned = if was.root == is.root {
            self.members.concerned(step.looks, was.root, (&owned, step.changed))?
        } else {
            both_whole(step, (was, is))?
        };
        if step.is_vacuum && is.definition.rowid.is_none() && !is.definition.is_without_rowid() {
            let is_renumbered = is_same_in_order(step.looks, &concerned)?;
            if is_renumbered {
                return Ok(concerned);
            }
        }
        // All keys need not be held to see that nothing changed.
        if step.is_vacuum
            && is.definition.is_without_rowid()
            && sum_of(before, &concerned.before)? == sum_of(after, &concerned.after)?
        {
            return Ok(concerned);
        }
        let pair = Pair { before: was, after: is };
        Merge::new((before, after), pair, explained).run(&concerned, sink)?;
        Ok(concerned)
    }

    fn tell_created(
        &mut self,
        step: &Step<'_>,
        differences: &Differences<'_>,
        (explained, known): (&mut HashSet<u32>, &mut Known),
        sink: &mut Sink<'_>,
    ) -> std::result::Result<(), Trouble> {
        let (_, after) = step.looks;
        for object in &differences.created {
            let Some(table) = step.schemas.1.tables.get(&object.root).filter(|table| *table.name == *object.name)
            else {
                continue;
            };
            if let Some(problem) = &table.problem {
                let change = Change::of(super::operation::Action::Unknown);
                let (name, is_internal) = (Some(&*table.name), table.is_internal);
                sink(&Change { table: name, is_internal, reason: Some(problem), ..change })?;
                continue;
            }
            after.refill();
            let told = after.pages_of(table.root, table.definition.is_without_rowid()).and_then(|pages| {
                let pair = Pair { before: table, after: table };
                let concerned = Concerned { before: Vec::new(), after: pages, is_plain: false };
                Merge::new(step.looks, pair, explained).run(&concerned, sink)?;
                Ok(concerned)
            });
            match found(told)? {
                Ok(pages) => known.push((table.root, table.clone(), pages)),
                Err(flaw) => {
                    let is_internal = table.is_internal;
                    sink(&Change { is_internal, ..Change::unknown(Some(&table.name), flaw) })?;
                }
            }
        }
        Ok(())
    }

    /// Tells of records that only pages show which they go on at.
    fn tell_chains(
        &mut self,
        step: &Step<'_>,
        (explained, known, gone): (&HashSet<u32>, &Known, &[u32]),
        sink: &mut Sink<'_>,
    ) -> std::result::Result<(), Trouble> {
        // It rewrites everything, and changes nothing.
        if step.is_vacuum {
            self.chains = None;
            return Ok(());
        }
        let pages = chains::unexplained(step.looks, step.schemas, step.changed, explained)?;
        if pages.is_empty() {
            return Ok(());
        }
        let by_map = match &self.chains {
            Some(_) => None,
            None => Chains::by_map(step.looks.0, step.schemas.0, &pages)?,
        };
        // It knows these pages, and no others.
        if let Some(mut chains) = by_map {
            return chains.tell(step.looks, (step.schemas.0, known, gone), &pages, sink);
        }
        let mut chains = match self.chains.take() {
            Some(chains) => chains,
            None => Chains::find(step.looks.0, step.schemas.0)?,
        };
        chains.tell(step.looks, (step.schemas.0, known, gone), &pages, sink)?;
        self.chains = Some(chains);
        Ok(())
    }
}

/// Whether the first page holds another part of the schema.
fn is_first_other((before, after): (&Look<'_>, &Look<'_>)) -> std::result::Result<bool, Trouble> {
    let (before, after) = (before.image(1)?, after.image(1)?);
    Ok(!Arc::ptr_eq(&before, &after) && before.get(FILE_HEAD..) != after.get(FILE_HEAD..))
}

/// All pages of a table whose tree is another one now; but for those that stayed in it as they are.
fn both_whole(step: &Step<'_>, (was, is): (&Table, &Table)) -> std::result::Result<Concerned, Trouble> {
    let (before, after) = step.looks;
    before.refill();
    after.refill();
    let by_key = is.definition.is_without_rowid();
    let (pages_before, pages_after) = (before.pages_of(was.root, by_key)?, after.pages_of(is.root, by_key)?);
    let mut concerned = Concerned { before: pages_before, after: pages_after, is_plain: false };
    let is_changed = |page: &u32| step.changed.binary_search(page).is_ok();
    let there: HashSet<u32> = concerned.after.iter().copied().filter(|page| !is_changed(page)).collect();
    let both: HashSet<u32> = concerned.before.iter().copied().filter(|page| there.contains(page)).collect();
    concerned.before.retain(|page| !both.contains(page));
    concerned.after.retain(|page| !both.contains(page));
    Ok(concerned)
}

/// Whether the same records follow one another, whatever their rowids are: VACUUM gives others to a table that has no
/// name for them.
fn is_same_in_order(
    (before, after): (&Look<'_>, &Look<'_>),
    concerned: &Concerned,
) -> std::result::Result<bool, Trouble> {
    before.refill();
    after.refill();
    let mut left = Cursor::over(before, &concerned.before)?;
    let mut right = Cursor::over(after, &concerned.after)?;
    left.prepare()?;
    right.prepare()?;
    loop {
        match (left.cell()?, right.cell()?) {
            (None, None) => return Ok(true),
            (Some((page, old)), Some((other, new))) => {
                let old = before.record(page, &old, &mut |_| {})?;
                if old != after.record(other, &new, &mut |_| {})? {
                    return Ok(false);
                }
            }
            _ => return Ok(false),
        }
        left.prepare_next()?;
        right.prepare_next()?;
    }
}

/// How many records a table had; `None` where that is not known.
fn count_records(before: &Look<'_>, schema: &Schema, object: &Object) -> Result<Option<u64>> {
    let Some(table) = schema.tables.get(&object.root) else { return Ok(None) };
    let by_key = table.definition.is_without_rowid();
    let mut count = 0;
    before.refill();
    let walked = before.walk(object.root, true, &mut |visited| {
        if let Visited::Node(node) = visited
            && (by_key || !node.kind().is_interior())
        {
            count += node.count() as u64;
        }
        Ok(())
    });
    Ok(found(walked)?.ok().map(|()| count))
}
