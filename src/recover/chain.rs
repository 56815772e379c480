//! Records as far as they stand: those that go on on other pages, and those that end too early.

use std::borrow::Cow;

use super::{source::Source, stamps::Stamps};
use crate::records::{
    page::{Cell, u32_at},
    record::{Value, Values},
};

/// No record of SQLite is longer.
const RECORD_MAX: u64 = 1_000_000_000;

/// The bytes of a record.
pub(super) struct Read<'a> {
    pub(super) bytes: Cow<'a, [u8]>,
    /// What speaks against it.
    pub(super) doubt: Option<&'static str>,
    /// Whether its end is lost.
    is_cut: bool,
}

/// Follows a record from page to page; `at` is told each one, and says whether it may be read.
fn follow(source: &Source, cell: &Cell<'_>, at: &mut dyn FnMut(u32, &[u8]) -> bool) -> Option<&'static str> {
    let mut left = cell.total.saturating_sub(cell.local.len() as u64);
    let mut next = cell.overflow;
    while left > 0 {
        if next == 0 {
            return Some("it ends too early");
        }
        let Some((image, whole)) = source.page(next) else { return Some("a page that it goes on at is not there") };
        let usable = image.get(..source.head.usable.min(whole)).unwrap_or_default();
        let bytes = usable.get(4..).unwrap_or_default();
        let wanted = left.min(source.head.usable as u64 - 4) as usize;
        let Some(bytes) = bytes.get(..wanted) else { return Some("a page that it goes on at was cut off") };
        if !at(next, bytes) {
            return Some("the pages that it goes on at lead in circles");
        }
        left -= wanted as u64;
        next = u32_at(usable, 0).unwrap_or_default();
    }
    (next != 0).then_some("the pages that it goes on at do not end where it does")
}

/// Whether a cell goes on elsewhere as one can.
fn is_possible(source: &Source, cell: &Cell<'_>) -> bool {
    cell.total <= RECORD_MAX && cell.total <= u64::from(source.count()) * source.head.page_size as u64
}

/// Notes the pages that a record goes on at.
pub(super) fn note(source: &Source, stamps: &Stamps, cell: &Cell<'_>) {
    if cell.overflow != 0 && is_possible(source, cell) {
        follow(source, cell, &mut |page, _| stamps.chain(page));
    }
}

/// Reads a record, after all were noted.
pub(super) fn read<'a>(source: &Source, stamps: &Stamps, cell: &Cell<'a>) -> Read<'a> {
    if cell.local.len() as u64 == cell.total {
        return Read { bytes: Cow::Borrowed(cell.local), doubt: None, is_cut: false };
    }
    if !is_possible(source, cell) {
        return Read { bytes: Cow::Borrowed(cell.local), doubt: Some("it is longer than the data file"), is_cut: true };
    }
    let mut record = cell.local.to_vec();
    let mut doubt = None;
    // A page that was emptied shows zeros where there was something else.
    let is_empty = |record: &[u8], bytes: &[u8]| {
        let before = record.len().saturating_sub(4);
        bytes.iter().all(|byte| *byte == 0) && record.get(before..).unwrap_or_default().iter().any(|byte| *byte != 0)
    };
    let ended = follow(source, cell, &mut |page, bytes| {
        if !stamps.may_chain(page) {
            return false;
        }
        let emptied = is_empty(&record, bytes).then_some("a page that it goes on at is empty");
        doubt = doubt.or(stamps.chain_doubt(page)).or(emptied);
        record.extend_from_slice(bytes);
        true
    });
    let is_cut = (record.len() as u64) < cell.total;
    Read { bytes: Cow::Owned(record), doubt: doubt.or(ended), is_cut }
}

/// The values of a record as far as they lie within it, and whether these are all.
pub(super) fn values<'a>(source: &Source, read: &'a Read<'_>) -> (Vec<Value<'a>>, bool) {
    let (mut found, is_whole) = beginning(source, &read.bytes);
    if !is_whole && read.is_cut {
        found.clear();
        let mut values = Values::of(&read.bytes, source.head.encoding);
        found.extend(std::iter::from_fn(|| values.as_mut()?.next_cut()));
    }
    (found, is_whole)
}

/// The same of bytes that may be the beginning of a record.
pub(super) fn beginning<'a>(source: &Source, record: &'a [u8]) -> (Vec<Value<'a>>, bool) {
    let mut found = Vec::new();
    let Some(mut values) = Values::of(record, source.head.encoding) else { return (found, false) };
    loop {
        match values.next_value() {
            Some(Ok(value)) => found.push(value),
            Some(Err(())) => return (found, false),
            None => return (found, true),
        }
    }
}

/// Whether all texts among the values are text in the form of the data file.
pub(super) fn are_texts(values: &[Value<'_>]) -> bool {
    values.iter().all(|value| !matches!(value, Value::Text(..)) || value.text().is_some())
}
