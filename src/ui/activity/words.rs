//! Operations and commits in words.

use crate::{
    activity::{
        query::{Brief, CommitRow, Part},
        row::{Row, Shown, done},
    },
    error::foreign::foreign,
    records::{operation::Action, schema::ObjectKind},
    ui::widgets::{count, moment},
};

/// So many letters of a value stand in a table.
pub(crate) const VALUE_MAX: usize = 200;

/// What is offered to be looked for.
pub(crate) fn action(action: Action) -> &'static str {
    match action {
        Action::Add => "Added",
        Action::Modify => "Modified",
        Action::Delete => "Deleted",
        Action::Create => "Created",
        Action::Alter => "Altered",
        Action::Drop => "Dropped",
        Action::CatchUp => "Catch-up",
        Action::Rewrite => "Pages written only",
        Action::Unknown => "Cannot be told",
    }
}

/// What a commit did to a table: `312 deletions in clients`.
pub(crate) fn part(part: &Part) -> String {
    let (one, many) = match part.action {
        Action::Add => ("addition", "additions"),
        Action::Modify => ("modification", "modifications"),
        Action::Delete => ("deletion", "deletions"),
        Action::Create => ("object created", "objects created"),
        Action::Alter => ("object altered", "objects altered"),
        Action::Drop => ("object dropped", "objects dropped"),
        Action::CatchUp => return "catch-up after a time when nobody watched".to_owned(),
        Action::Rewrite => return "pages written, no record changed".to_owned(),
        Action::Unknown => ("change that cannot be told", "changes that cannot be told"),
    };
    let of = part.table.as_ref().map_or_else(String::new, |table| format!(" in {}", foreign(table)));
    format!("{} {}{of}", count(part.count), if part.count == 1 { one } else { many })
}

/// What a commit did: `312 deletions in clients, 2 additions in invoices`.
pub(crate) fn commit(row: &CommitRow) -> String {
    if let Some(only) = &row.only {
        return operation(only);
    }
    let mut words: Vec<String> = row.parts.iter().map(part).collect();
    let told: u64 = row.parts.iter().map(|part| part.count).sum();
    if told < row.operations {
        words.push(format!("{} others", count(row.operations - told)));
    }
    words.join(", ")
}

fn object(kind: ObjectKind) -> &'static str {
    kind.label()
}

/// What an operation did: `Deleted in clients`.
pub(crate) fn operation(brief: &Brief) -> String {
    let first = action(brief.action);
    match (brief.action, brief.object, &brief.table) {
        (Action::CatchUp, ..) => "Catch-up: nobody watched before this commit".to_owned(),
        (Action::Rewrite, ..) => "Pages written, no record changed".to_owned(),
        (_, Some(kind), _) => format!("{first} {}", object(kind)),
        (Action::Unknown, None, Some(table)) => format!("{first}: {}", foreign(table)),
        (_, None, Some(table)) => format!("{first} in {}", foreign(table)),
        (_, None, None) => first.to_owned(),
    }
}

/// What an operation that is shown in full did, as a title: `Deleted in clients: 4711`.
pub(crate) fn title(row: &Row) -> String {
    let brief = Brief::of(row);
    let key = row.key.as_ref().map_or_else(String::new, |key| format!(": {}", foreign(key)));
    format!("{}{key}", operation(&brief))
}

/// Where it is: `Commit 17 of 2026-11-22 12:00:00, operation 3`.
pub(crate) fn place(row: &Row) -> String {
    format!("Commit {} of {}, operation {}", count(row.commit), moment(&row.time), count(row.number))
}

/// A value in a table.
pub(crate) fn value(value: Option<&Shown>) -> String {
    value.map_or_else(String::new, |value| foreign(&value.in_words(VALUE_MAX)).to_string())
}

/// An operation as text, to be copied.
pub(crate) fn as_text(row: &Row) -> String {
    let mut lines = vec![format!("{} ({})", title(row), done(row.action)), place(row)];
    for field in &row.fields {
        let value = |shown: &Option<Shown>| shown.as_ref().map(|shown| shown.in_words(usize::MAX));
        let line = match (value(&field.old), value(&field.new)) {
            (Some(old), _) if field.is_same => old,
            (Some(old), Some(new)) => format!("{old} → {new}"),
            (Some(one), None) | (None, Some(one)) => one,
            (None, None) => continue,
        };
        lines.push(format!("{}: {line}", field.column));
    }
    if let Some(reason) = &row.reason {
        lines.push(reason.clone());
    }
    lines.iter().map(|line| foreign(line).to_string()).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_commit_tells_what_it_did_most_and_how_much_else() {
        let part = |action, table: &str, count| Part { table: Some(table.to_owned()), action, count };
        let row = CommitRow {
            commit: 1,
            time: chrono::DateTime::UNIX_EPOCH,
            operations: 315,
            parts: vec![part(Action::Delete, "clients", 312), part(Action::Add, "a\nb", 1)],
            only: None,
        };
        assert_eq!(commit(&row), "312 deletions in clients, 1 addition in a\\nb, 2 others");
    }
}
