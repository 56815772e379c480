//! The text of a settings file: read with the places of its values, changed without losing what a person wrote.

use std::ops::Range;

use toml_edit::{Array, DocumentMut, Item, Key, Table, TableLike, Value};

/// `line 3, column 7` of the byte offset `at`.
pub(super) fn place(text: &str, at: usize) -> String {
    let before = &text.as_bytes()[..at.min(text.len())];
    let line = before.iter().filter(|b| **b == b'\n').count() + 1;
    let column = before.iter().rev().take_while(|b| **b != b'\n').filter(|b| (**b & 0xc0) != 0x80).count() + 1;
    format!("line {line}, column {column}")
}

/// The value of `key` in `section`, or at the top of the file for no section.
pub(super) fn find<'a>(document: &'a Table, (section, key): (&str, &str)) -> Option<&'a Item> {
    if section.is_empty() { document.get(key) } else { document.get(section)?.as_table_like()?.get(key) }
}

/// Sets `key`, with `comment` above it when it is new. A value that is as wanted already keeps its own form. `head` is
/// what we write at the beginning of a file.
pub(super) fn set(document: &mut DocumentMut, (section, name): (&str, &str), wanted: Value, comment: &str, head: &str) {
    let lead = if document.is_empty() || section.is_empty() && !document.contains_key(name) {
        lead_in(document, section, head)
    } else {
        String::new()
    };
    let table: &mut dyn TableLike = if section.is_empty() {
        document.as_table_mut()
    } else {
        let item = document.entry(section).or_insert_with(|| Item::Table(Table::new()));
        let Some(table) = item.as_table_like_mut() else { return };
        table
    };
    if let Some(old) = table.get_mut(name).and_then(Item::as_value_mut) {
        replace(old, wanted);
        return;
    }
    table.insert(name, Item::Value(wanted));
    if let Some(mut key) = table.key_mut(name) {
        key.leaf_decor_mut().set_prefix(format!("{lead}# {comment}\n"));
    }
}

/// The comments of a file without settings belong to its head, not to its end; and our own head stays at the top when a
/// key comes before the first section. Returns what is to stand above the new key.
fn lead_in(document: &mut DocumentMut, section: &str, head: &str) -> String {
    if document.is_empty() {
        let comments = document.trailing().as_str().unwrap_or_default().to_owned();
        document.set_trailing("");
        if section.is_empty() {
            return comments;
        }
        let mut first = Table::new();
        first.decor_mut().set_prefix(comments);
        document.insert(section, Item::Table(first));
        return String::new();
    }
    let first = document.iter_mut().next().and_then(|(_, item)| item.as_table_mut().map(Table::decor_mut));
    let above = first.as_ref().and_then(|decor| decor.prefix()?.as_str()).unwrap_or_default().to_owned();
    match (first, above.strip_prefix(head)) {
        (Some(decor), Some(rest)) => {
            decor.set_prefix(format!("\n{rest}"));
            head.to_owned()
        }
        _ => String::new(),
    }
}

fn replace(old: &mut Value, wanted: Value) {
    if is_same(old, &wanted) {
        return;
    }
    if let (Value::Array(old), Value::Array(wanted)) = (&mut *old, &wanted)
        && amend(old, wanted)
    {
        return;
    }
    let decor = old.decor().clone();
    *old = wanted;
    *old.decor_mut() = decor;
}

/// Whether two values mean the same, however they are written.
fn is_same(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::String(a), Value::String(b)) => a.value() == b.value(),
        (Value::Integer(a), Value::Integer(b)) => a.value() == b.value(),
        (Value::Boolean(a), Value::Boolean(b)) => a.value() == b.value(),
        (Value::Datetime(a), Value::Datetime(b)) => a.value() == b.value(),
        (Value::InlineTable(a), Value::InlineTable(b)) => {
            a.len() == b.len() && a.iter().all(|(key, a)| b.get(key).is_some_and(|b| is_same(a, b)))
        }
        (Value::Array(a), Value::Array(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| is_same(a, b)),
        _ => false,
    }
}

/// Takes away and adds items of a list that is written line by line, so that a comment stays with the item it belongs
/// to: the one on the same line, or the one below. False where there is nothing to take care of.
fn amend(old: &mut Array, wanted: &Array) -> bool {
    let prefix = |item: &Value| item.decor().prefix().and_then(|p| p.as_str()).unwrap_or_default().to_owned();
    let prefixes: Vec<String> = old.iter().map(prefix).collect();
    let Some(indent) = prefixes.iter().find(|prefix| prefix.contains('\n')) else { return false };
    let indent = format!("\n{}", indent.rsplit('\n').next().unwrap_or_default());
    // What follows an item on its line stands, for the parser, before the next one.
    let split = |text: &str| match text.split_once('\n') {
        Some((line, rest)) => (line.to_owned(), format!("\n{rest}")),
        None => (String::new(), text.to_owned()),
    };
    let end = old.trailing().as_str().unwrap_or_default().to_owned();
    let following: Vec<String> = prefixes.iter().skip(1).chain([&end]).map(|next| split(next).0).collect();
    let mut list = Array::new();
    let mut line = prefixes.first().map(|first| split(first).0).unwrap_or_default();
    for item in wanted {
        let known = old.iter().position(|old| is_same(old, item));
        let (value, above) = match known.and_then(|at| Some((old.get(at)?, at))) {
            Some((value, at)) => (value.clone(), split(&prefixes[at]).1),
            None => (item.clone(), indent.clone()),
        };
        let suffix = value.decor().suffix().and_then(|s| s.as_str()).unwrap_or_default().to_owned();
        list.push_formatted(value.decorated(format!("{line}{above}"), suffix));
        line = known.map(|at| following[at].clone()).unwrap_or_default();
    }
    list.set_trailing(format!("{line}{}", split(&end).1));
    list.set_trailing_comma(true);
    *list.decor_mut() = old.decor().clone();
    *old = list;
    true
}

/// Takes `key` away. A comment that a person wrote above it stays; `own` is the one that we write.
pub(super) fn remove(document: &mut DocumentMut, (section, name): (&str, &str), own: &str) {
    let table: &mut dyn TableLike = if section.is_empty() {
        document.as_table_mut()
    } else {
        let Some(table) = document.get_mut(section).and_then(Item::as_table_like_mut) else { return };
        table
    };
    let Some(prefix) = table.key(name).map(|key| prefix(key).to_owned()) else { return };
    // In the text, values come before the sections.
    let values = table.iter().skip_while(|(key, _)| *key != name).skip(1).filter(|(_, item)| item.is_value());
    let following =
        values.chain(table.iter().filter(|(_, item)| item.is_table())).next().map(|(key, _)| key.to_owned());
    table.remove(name);
    let own = format!("# {own}");
    let written: String = prefix.lines().filter(|line| line.trim() != own).map(|line| format!("{line}\n")).collect();
    if written.trim().is_empty() {
        return;
    }
    if let Some(next) = following.as_deref().and_then(|key| table.get_mut(key)).and_then(Item::as_table_mut) {
        let before = next.decor().prefix().and_then(|p| p.as_str()).unwrap_or_default().to_owned();
        next.decor_mut().set_prefix(format!("{written}{before}"));
    } else if let Some(mut key) = following.as_deref().and_then(|key| table.key_mut(key)) {
        let before = key.leaf_decor().prefix().and_then(|p| p.as_str()).unwrap_or_default().to_owned();
        key.leaf_decor_mut().set_prefix(format!("{written}{before}"));
    } else {
        let end = document.trailing().as_str().unwrap_or_default().to_owned();
        document.set_trailing(format!("{written}{end}"));
    }
}

fn prefix(key: &Key) -> &str {
    key.leaf_decor().prefix().and_then(|p| p.as_str()).unwrap_or_default()
}

/// The keys of `section` with their places in the text.
pub(super) fn keys(section: &dyn TableLike) -> Vec<(String, Option<Range<usize>>)> {
    section
        .iter()
        .map(|(name, item)| (name.to_owned(), section.key(name).and_then(Key::span).or_else(|| item.span())))
        .collect()
}
