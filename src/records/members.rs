//! Which pages belong to which tree, commit by commit.
//!
//! What stands on a page does not say whose it is, and a page that was freed still looks as before. So a page belongs
//! to a tree where the way to its first key leads to it; and from then on as the interior pages that a commit wrote
//! say: what none of them leads to any more has left, and its records with it, whether its own page was written or not.

use std::collections::{BTreeMap, HashMap, HashSet, hash_map::Entry};

use super::{
    by_page::ByPage,
    page::{Flaw, Node, kind_of},
    record::{Collation, compare},
    row,
    schema::{Schema, Table},
    tree::{Look, Trouble},
};

/// From so many pages on whose tree is not known, the list of free pages is read before they are looked for.
const MANY: usize = 8;

/// The pages of one tree that a commit concerns.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Concerned {
    /// Those with cells, before.
    pub(super) before: Vec<u32>,
    /// Those with cells, after.
    pub(super) after: Vec<u32>,
    /// Whether they are the same ones, and each holds what lies between the same keys.
    pub(super) is_plain: bool,
}

/// Pages by the roots of their trees.
pub(super) type ByRoot = BTreeMap<u32, Vec<u32>>;

/// What is known of the pages, as of the state before the next commit.
#[derive(Debug, Default)]
pub(super) struct Members {
    owners: ByPage<u32>,
}

/// So many pages are remembered; others are looked for again.
const OWNERS_MAX: usize = 4_000_000;

impl Members {
    pub(super) fn clear(&mut self) {
        self.owners.clear();
    }

    pub(super) fn forget(&mut self, root: u32) {
        self.owners.retain(|_, owner| *owner != root);
    }

    /// The pages that a commit wrote by the trees that they belonged to before, and what is the matter with a tree that
    /// was looked through.
    pub(super) fn sort(
        &mut self,
        look: &Look<'_>,
        schema: &Schema,
        changed: &[u32],
    ) -> Result<(ByRoot, Option<Flaw>), Trouble> {
        let mut sorted = ByRoot::new();
        let (mut unknown, mut flaw) = (Vec::new(), None);
        for page in changed.iter().copied().filter(|page| *page <= look.pages.count()) {
            if let Some(root) = self.owners.get(&page).copied() {
                sorted.entry(root).or_default().push(page);
            } else if schema.tables.contains_key(&page) {
                sorted.entry(page).or_default().push(page);
            } else if !schema.pages.contains(&page) {
                unknown.push(page);
            }
        }
        if unknown.len() > MANY
            && let Some((_, free)) = sound(look.free())?
        {
            let free: HashSet<u32> = free.into_iter().collect();
            unknown.retain(|page| !free.contains(page));
        }
        let mut whole = Whole::new();
        for page in unknown {
            match find(look, schema, page, &mut whole) {
                Ok(Some(root)) => {
                    self.note(page, root);
                    sorted.entry(root).or_default().push(page);
                }
                Ok(None) => {}
                Err(Trouble::Flaw(found)) => flaw = flaw.or(Some(found)),
                Err(failed) => return Err(failed),
            }
        }
        sorted.values_mut().for_each(|pages| pages.sort_unstable());
        Ok((sorted, flaw))
    }

    fn note(&mut self, page: u32, root: u32) {
        if self.owners.len() > OWNERS_MAX {
            self.owners.clear();
        }
        self.owners.insert(page, root);
    }

    /// Which pages of the tree at `root` hold records that a commit may have changed. `owned` are those of it that it
    /// wrote, `changed` all.
    pub(super) fn concerned(
        &mut self,
        (before, after): (&Look<'_>, &Look<'_>),
        root: u32,
        (owned, changed): (&[u32], &[u32]),
    ) -> Result<Concerned, Trouble> {
        let kind = |look: &Look<'_>, page: u32| -> Result<_, Trouble> { Ok(kind_of(page, &look.image(page)?)) };
        before.refill();
        after.refill();
        let mut is_plain = true;
        for page in owned {
            let is_leaf = |kind: Option<super::page::Kind>| kind.is_some_and(|kind| !kind.is_interior());
            is_plain &= is_leaf(kind(before, *page)?) && *page <= after.pages.count() && is_leaf(kind(after, *page)?);
        }
        if is_plain {
            return Ok(Concerned { before: owned.to_vec(), after: owned.to_vec(), is_plain: true });
        }
        self.rearranged((before, after), root, (owned, changed))
    }

    /// The same where interior pages were written.
    fn rearranged(
        &mut self,
        (before, after): (&Look<'_>, &Look<'_>),
        root: u32,
        (owned, changed): (&[u32], &[u32]),
    ) -> Result<Concerned, Trouble> {
        let is_changed = |page: &u32| changed.binary_search(page).is_ok();
        // Interior pages before that were written or have left, and what they led to.
        let mut inner0: HashSet<u32> = HashSet::new();
        let mut children0: HashSet<u32> = HashSet::new();
        for page in owned {
            if let Some(children) = children(before, *page)? {
                inner0.insert(*page);
                children0.extend(children);
            }
        }
        loop {
            // Interior pages after that were written, by the ways that lead to them; and what they lead to.
            let mut inner1: HashSet<u32> = HashSet::new();
            let mut children1: HashSet<u32> = HashSet::new();
            let stays = |page: &&u32| **page == root || !children0.contains(*page);
            let mut next: Vec<u32> = owned.iter().filter(stays).copied().collect();
            let mut members: Vec<u32> = next.clone();
            // Of a page that has left with one above it, which is not known yet, anything may have become.
            let mut flaw = None;
            while let Some(page) = next.pop() {
                let children = match children(after, page) {
                    Ok(Some(children)) => children,
                    Ok(None) => continue,
                    Err(Trouble::Flaw(found)) => {
                        flaw = flaw.or(Some(found));
                        continue;
                    }
                    Err(failed) => return Err(failed),
                };
                if !inner1.insert(page) {
                    flaw = flaw.or(Some(Flaw::at(page, "is on a way that leads in circles")));
                    continue;
                }
                for child in children {
                    if !children1.insert(child) || child == root {
                        flaw = flaw.or(Some(Flaw::at(child, "is named by two others")));
                        continue;
                    }
                    if is_changed(&child) || !children0.contains(&child) {
                        members.push(child);
                        next.push(child);
                    }
                }
            }
            let left: Vec<u32> = children0.difference(&children1).copied().collect();
            let mut is_done = true;
            for page in &left {
                if !inner0.contains(page)
                    && let Some(children) = children(before, *page)?
                {
                    inner0.insert(*page);
                    children0.extend(children);
                    is_done = false;
                }
            }
            if !is_done {
                continue;
            }
            if let Some(flaw) = flaw {
                return Err(flaw.into());
            }
            left.iter().for_each(|page| _ = self.owners.remove(page));
            members.iter().for_each(|page| self.note(*page, root));
            let mut concerned = Concerned { before: [owned, &left].concat(), after: members, is_plain: false };
            for pages in [&mut concerned.before, &mut concerned.after] {
                pages.sort_unstable();
                pages.dedup();
            }
            return Ok(concerned);
        }
    }
}

/// All pages of trees in which no way leads to a key, by their roots; or what is the matter with one.
type Whole = HashMap<u32, Result<HashSet<u32>, Flaw>>;

/// The root of the tree that leads to `page`.
fn find(look: &Look<'_>, schema: &Schema, page: u32, whole: &mut Whole) -> Result<Option<u32>, Trouble> {
    let image = look.image(page)?;
    let Some(kind) = kind_of(page, &image) else { return Ok(None) };
    if !kind.is_table() && !schema.has_by_key {
        return Ok(None);
    }
    // Only the root of a tree has no cells; what cannot be read may be anything that looks like one.
    let Ok(node) = look.node(page, &image) else { return Ok(None) };
    let Some(first) = (node.count() > 0).then(|| node.cell(0).ok()).flatten() else { return Ok(None) };
    look.refill();
    let mut flaw = None;
    let may_hold = |table: &&Table| table.problem.is_some() || table.definition.is_without_rowid() != kind.is_table();
    for table in schema.tables.values().filter(may_hold) {
        let has = if table.problem.is_some() || !has_ways(table) {
            let pages = match whole.entry(table.root) {
                Entry::Occupied(known) => known.into_mut(),
                Entry::Vacant(new) => {
                    let pages = super::tree::found(look.pages_of(table.root, true))?;
                    new.insert(pages.map(|pages| pages.into_iter().collect()))
                }
            };
            pages.as_ref().map(|pages| pages.contains(&page)).map_err(|flaw| (*flaw).into())
        } else if kind.is_table() {
            look.way_to_rowid(table.root, first.rowid).map(|way| way.contains(&page))
        } else {
            way_to_page(look, table, &node).map(|way| way.contains(&page))
        };
        match has {
            Ok(true) => return Ok(Some(table.root)),
            Ok(false) => {}
            Err(Trouble::Flaw(found)) => flaw = flaw.or(Some(found)),
            Err(failed) => return Err(failed),
        }
    }
    flaw.map_or(Ok(None), |flaw| Err(flaw.into()))
}

/// Whether a way to a key can be found: not where texts are compared in a way that only the application knows.
fn has_ways(table: &Table) -> bool {
    table.definition.key.iter().flatten().all(|part| part.collation != Collation::Unknown)
}

/// What an interior page leads to; `None` of a leaf.
fn children(look: &Look<'_>, page: u32) -> Result<Option<Vec<u32>>, Trouble> {
    let image = look.image(page)?;
    let node = look.node(page, &image)?;
    Ok(if node.kind().is_interior() { Some(node.children()?) } else { None })
}

/// The way to the first key of a page in the tree of a table without rowid.
fn way_to_page(look: &Look<'_>, table: &Table, node: &Node<'_>) -> Result<Vec<u32>, Trouble> {
    let key = table.definition.key.as_deref().unwrap_or_default();
    let encoding = look.head.encoding;
    let flaw = |node: &Node<'_>, what| Flaw::at(node.number(), what);
    let first = look.record(node.number(), &node.cell(0)?, &mut |_| {})?;
    let wanted = row::key(key.len(), &first, encoding).map_err(|what| flaw(node, what))?;
    let page = node.number();
    look.way(table.root, &mut |node, cell| {
        if node.kind().is_table() {
            return Err(flaw(node, "is no page of a table without rowid").into());
        }
        let record = look.record(node.number(), cell, &mut |_| {})?;
        let found = row::key(key.len(), &record, encoding).map_err(|what| flaw(node, what))?;
        let order = compare_keys(key, &found, &wanted);
        // Its own first key is not where another page ends.
        Ok(if order.is_eq() && node.number() == page { std::cmp::Ordering::Less } else { order })
    })
}

/// How two keys of a table without rowid stand in its tree.
pub(super) fn compare_keys(
    key: &[super::definition::KeyPart],
    a: &[super::record::Value<'_>],
    b: &[super::record::Value<'_>],
) -> std::cmp::Ordering {
    for (part, (a, b)) in key.iter().zip(a.iter().zip(b)) {
        let order = compare(a, b, part.collation);
        if order.is_ne() {
            return if part.is_descending { order.reverse() } else { order };
        }
    }
    std::cmp::Ordering::Equal
}

/// What could be found; `None` where the data file is not as the format says.
fn sound<T>(result: Result<T, Trouble>) -> Result<Option<T>, Trouble> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(Trouble::Flaw(_)) => Ok(None),
        Err(failed) => Err(failed),
    }
}
