use std::sync::Arc;

use chrono::TimeDelta;
use proptest::prelude::*;

use super::*;
use crate::records::{
    definition::{Column, Definition},
    page::{Encoding, Flaw},
    record::Kept,
    schema::Object,
};

fn definition(names: &[String]) -> Definition {
    let column = |name: &String| Column {
        name: name.clone(),
        declared: String::new(),
        default: Kept::Null,
        is_real: false,
        is_virtual: false,
        is_required: false,
    };
    Definition { columns: names.iter().map(column).collect(), ..Definition::default() }
}

fn values() -> impl Strategy<Value = Kept> {
    let form = prop_oneof![Just(Encoding::Utf8), Just(Encoding::Utf16Le), Just(Encoding::Utf16Be)];
    let long = prop_oneof![Just(0usize), Just(1), Just(30), Just(400), Just(9000)];
    prop_oneof![
        Just(Kept::Null),
        any::<i64>().prop_map(Kept::Integer),
        (-9i64..9).prop_map(Kept::Integer),
        any::<f64>().prop_filter("SQLite keeps none", |number| !number.is_nan()).prop_map(Kept::Real),
        (prop::collection::vec(any::<u8>(), 0..40), form).prop_map(|(bytes, form)| Kept::Text(bytes, form)),
        ("\\PC{0,9}", long.clone()).prop_map(|(text, long)| Kept::Text(text.repeat(long).into_bytes(), Encoding::Utf8)),
        (prop::collection::vec(any::<u8>(), 0..9), long).prop_map(|(bytes, long)| Kept::Blob(bytes.repeat(long))),
    ]
}

/// A table of these columns, and two records of it.
fn records() -> impl Strategy<Value = (Vec<String>, Vec<Kept>, Vec<Kept>)> {
    (prop::collection::btree_set("[a-e]{1,2}", 1..6), values(), values()).prop_flat_map(|(names, ..)| {
        let names: Vec<String> = names.into_iter().collect();
        let count = names.len();
        let row = || prop::collection::vec(values(), count);
        (Just(names), row(), row(), prop::collection::vec(any::<bool>(), count)).prop_map(|(names, old, new, same)| {
            let new = old.iter().zip(new).zip(same).map(|((old, new), same)| if same { old.clone() } else { new });
            let new = new.collect();
            (names, old, new)
        })
    })
}

fn row(values: &[Kept]) -> Vec<Option<Value<'_>>> {
    values.iter().map(|value| Some(value.as_value())).collect()
}

/// What is unpacked is what the operation itself is shown as.
fn holds(change: &Change<'_>, stands_for_internal: bool) {
    let time = chrono::DateTime::UNIX_EPOCH + TimeDelta::microseconds(-1_764_000_000_123_457);
    let operation = Operation { number: 300, commit: 1 << 40, time, change };
    let expected = Row { stands_for_internal, ..Row::of(&operation) };
    let mut packer = Packer::default();
    let packed = packer.pack(&operation, stands_for_internal);
    let kind = (packed.action, packed.is_internal, packed.stands_for_internal);
    assert_eq!((packed.table, packed.key), (expected.table.as_deref(), expected.key.as_deref()));
    assert_eq!(kind, (expected.action, expected.is_internal, stands_for_internal));
    let bytes = packed.bytes.to_vec();
    assert_eq!(unpack(&bytes), Some(expected));
    // A long one need not be cut everywhere.
    for end in (0..bytes.len()).step_by(bytes.len() / 50 + 1) {
        assert_eq!(unpack(&bytes[..end]), None, "cut at {end}");
    }
}

#[test]
fn whatever_is_no_record_is_kept_as_it_is_shown() {
    let object = Object {
        kind: ObjectKind::Trigger,
        name: "näme".to_owned(),
        table: "t".to_owned(),
        root: 0,
        sql: Some("CREATE TRIGGER".repeat(30_000)),
        is_internal: false,
    };
    let other = Object { sql: None, name: "other".to_owned(), ..object.clone() };
    let flaw = Flaw::at(7, "is too short");
    for action in Action::ALL {
        holds(&Change::of(action), true);
        let change = Change { table: Some("t"), object: Some(object.kind), is_internal: true, ..Change::of(action) };
        holds(&Change { key: Some(Key::Name("näme")), new: Some(Side::Object(&object)), ..change.clone() }, false);
        let both = (Some(Side::Object(&object)), Some(Side::Object(&other)));
        holds(&Change { old: both.0, new: both.1, count: Some(u64::MAX), ..change.clone() }, false);
        let both = (Some(Side::Unknown(flaw)), Some(Side::Unknown(flaw)));
        holds(&Change { old: both.0, new: both.1, flaw: Some(flaw), ..change.clone() }, false);
        holds(&Change { reason: Some("why"), key: Some(Key::Rowid(i64::MIN)), ..change }, false);
    }
}

#[test]
fn more_than_a_row_keeps_is_cut_where_it_is_shown_cut() {
    let names: Vec<String> = (0..60).map(|n| format!("c{n}")).collect();
    let definition = definition(&names);
    let text = |letter: &str| Kept::Text(letter.repeat(40_000).into_bytes(), Encoding::Utf8);
    let (old, new) = (vec![text("a"); 60], vec![text("ä"); 60]);
    let change = Change {
        key: Some(Key::Rowid(0)),
        old: Some(Side::Record(&definition, row(&old))),
        new: Some(Side::Record(&definition, row(&new))),
        ..Change::of(Action::Modify)
    };
    let time = chrono::DateTime::UNIX_EPOCH;
    let operation = Operation { number: 1, commit: 1, time, change: &change };
    let mut packer = Packer::default();
    assert_eq!(unpack(packer.pack(&operation, false).bytes), Some(Row::of(&operation)));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn a_record_is_kept_as_it_is_shown((names, old, new) in records(), other in "[a-e]{1,2}", rowid: i64) {
        let same = definition(&names);
        let mut changed = names.clone();
        if !changed.contains(&other) {
            changed[0] = other;
        }
        let (changed, equal) = (definition(&changed), Arc::new(definition(&names)));
        let sides = [
            (None, Some(&same)),
            (Some(&same), None),
            (Some(&same), Some(&same)),
            (Some(&same), Some(&*equal)),
            (Some(&same), Some(&changed)),
        ];
        for (was, is) in sides {
            let change = Change {
                table: Some("t"),
                key: Some(Key::Rowid(rowid)),
                old: was.map(|definition| Side::Record(definition, row(&old))),
                new: is.map(|definition| Side::Record(definition, row(&new))),
                ..Change::of(Action::Modify)
            };
            holds(&change, false);
            let key = Key::Values(new.iter().map(Kept::as_value).collect());
            holds(&Change { key: Some(key), ..change }, false);
        }
    }
}
