//! What is looked for among operations.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::row::Row;
use crate::records::operation::Action;

/// What is looked for. What is not given does not limit it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Filter {
    /// Of these tables; their names in any case.
    pub tables: Vec<String>,
    /// Only these.
    pub actions: Vec<Action>,
    /// Of the record with this key.
    pub key: Option<String>,
    /// Text in a value or in the key, in any case.
    pub text: Option<String>,
    /// Of commits made at this moment or later.
    pub since: Option<DateTime<Utc>>,
    /// Of commits made before this moment.
    pub before: Option<DateTime<Utc>>,
    /// Of commits from this number on.
    pub first: Option<u64>,
    /// Of commits up to this number.
    pub last: Option<u64>,
    /// Also what SQLite keeps for itself.
    pub internal: bool,
}

/// What a filter says of an operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Passes {
    /// It is looked for.
    Yes,
    /// It is not.
    No,
    /// It is not, as far as its values are kept; a long one was not looked at to its end.
    NotInSight,
}

impl Filter {
    /// Whether it is about the commit.
    pub fn has_commit(&self, number: u64, time: DateTime<Utc>) -> bool {
        self.first.is_none_or(|first| number >= first)
            && self.last.is_none_or(|last| number <= last)
            && self.since.is_none_or(|since| time >= since)
            && self.before.is_none_or(|before| time < before)
    }

    /// Whether an operation can be looked for, from what is known of it without its values.
    pub fn may_have(&self, action: Action, table: Option<&str>, (is_internal, stands_for): (bool, bool)) -> bool {
        let is_of = |name: &str| self.tables.iter().any(|table| table.eq_ignore_ascii_case(name));
        if is_internal && !self.internal || stands_for && self.internal {
            return false;
        }
        // What cannot be told may be what is asked for.
        if action == Action::Unknown {
            return self.tables.is_empty() || table.is_none_or(is_of);
        }
        (self.actions.is_empty() || self.actions.contains(&action))
            && (self.tables.is_empty() || table.is_some_and(is_of))
    }

    /// Whether what may be looked for must be read to know it.
    pub fn needs_row(&self, action: Action) -> bool {
        action != Action::Unknown && (self.key.is_some() || self.text.is_some())
    }

    /// What it says of an operation.
    pub fn passes(&self, row: &Row) -> Passes {
        let kind = (row.is_internal, row.stands_for_internal);
        if !self.has_commit(row.commit, row.time) || !self.may_have(row.action, row.table.as_deref(), kind) {
            return Passes::No;
        }
        if !self.needs_row(row.action) {
            return Passes::Yes;
        }
        if self.key.as_ref().is_some_and(|key| row.key.as_ref() != Some(key)) {
            return Passes::No;
        }
        match self.text.as_ref().map(|text| row.has_text(&text.to_lowercase())) {
            None | Some(Some(true)) => Passes::Yes,
            Some(Some(false)) => Passes::No,
            Some(None) => Passes::NotInSight,
        }
    }
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;

    use super::*;
    use crate::activity::row::{Field, Shown};

    fn row(action: Action, text: &str, bytes: u64) -> Row {
        let new = Some(Shown::Text { text: text.to_owned(), bytes });
        Row {
            number: 1,
            commit: 7,
            time: DateTime::UNIX_EPOCH + TimeDelta::seconds(7),
            action,
            object: None,
            table: Some("Clients".into()),
            key: Some("42".into()),
            fields: vec![Field { column: "name".into(), old: None, new, is_same: false }],
            bytes,
            is_internal: false,
            stands_for_internal: false,
            count: None,
            reason: None,
        }
    }

    #[test]
    fn an_operation_passes_by_table_action_time_key_and_text() {
        let at = |seconds| Some(DateTime::UNIX_EPOCH + TimeDelta::seconds(seconds));
        let text = |text: &str| Filter { text: Some(text.into()), ..Filter::default() };
        let table = [
            (Filter::default(), Passes::Yes),
            (Filter { tables: vec!["clients".into()], ..Filter::default() }, Passes::Yes),
            (Filter { tables: vec!["invoices".into()], ..Filter::default() }, Passes::No),
            (Filter { actions: vec![Action::Delete, Action::Add], ..Filter::default() }, Passes::Yes),
            (Filter { actions: vec![Action::Delete], ..Filter::default() }, Passes::No),
            (Filter { since: at(7), before: at(8), ..Filter::default() }, Passes::Yes),
            (Filter { since: at(8), ..Filter::default() }, Passes::No),
            (Filter { before: at(7), ..Filter::default() }, Passes::No),
            (Filter { first: Some(7), last: Some(7), ..Filter::default() }, Passes::Yes),
            (Filter { first: Some(8), ..Filter::default() }, Passes::No),
            (Filter { last: Some(6), ..Filter::default() }, Passes::No),
            (Filter { key: Some("42".into()), ..Filter::default() }, Passes::Yes),
            (Filter { key: Some("4".into()), ..Filter::default() }, Passes::No),
            (text("MÜLL"), Passes::Yes),
            (text("42"), Passes::Yes),
            (text("Meier"), Passes::No),
        ];
        for (filter, expected) in table {
            assert_eq!(filter.passes(&row(Action::Add, "Müller", 7)), expected, "{filter:?}");
        }
        assert_eq!(text("Meier").passes(&row(Action::Add, "Müller", 70)), Passes::NotInSight);
    }

    #[test]
    fn what_cannot_be_told_may_be_what_is_looked_for_and_sqlites_own_is_listed_when_wanted() {
        let wanted = Filter { actions: vec![Action::Delete], key: Some("1".into()), ..Filter::default() };
        assert_eq!(wanted.passes(&row(Action::Unknown, "", 0)), Passes::Yes);
        let (own, stands) = (Row { is_internal: true, ..row(Action::Add, "", 0) }, row(Action::Rewrite, "", 0));
        let stands = Row { stands_for_internal: true, ..stands };
        let all = Filter { internal: true, ..Filter::default() };
        assert_eq!([&own, &stands].map(|row| Filter::default().passes(row)), [Passes::No, Passes::Yes]);
        assert_eq!([&own, &stands].map(|row| all.passes(row)), [Passes::Yes, Passes::No]);
    }
}
