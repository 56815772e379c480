//! What the page Activity shows, as an engine answers it: the same as `strongroom log` prints, a page at a time.

use crate::{
    log_records::{SCHEMA, WRITER},
    support::{
        Place,
        engine::{ask, backup, engine, foreign_commits, open_with_log},
        has, make_data_file, text,
    },
};

use std::{
    path::{Path, PathBuf},
    process::Command as Process,
    time::{Duration, Instant},
};

use serde_json::Value;
use strongroom::{
    activity::{
        filter::Filter,
        query::{Ask, Brief, CommitRow, Form, Page, Question, Rows, Source, State},
        row::Row,
    },
    engine::{Answer, Handle, Query},
    error::Error,
    records::operation::Action,
};
use uuid::Uuid;

/// Questions about one data file or log.
struct Asking<'a> {
    handle: &'a Handle,
    of: PathBuf,
    source: Source,
}

impl Asking<'_> {
    fn try_page(&self, filter: &Filter, ask_for: Ask) -> Result<Page, Error> {
        let question = Question { source: self.source.clone(), filter: filter.clone(), ask: ask_for };
        match ask(self.handle, Query::Activity { of: self.of.clone(), question })? {
            Answer::Activity(page) => Ok(*page),
            other => panic!("{other:?}"),
        }
    }

    fn page(&self, filter: &Filter, ask_for: Ask) -> Page {
        self.try_page(filter, ask_for).unwrap()
    }

    fn commits_from(&self, filter: &Filter, newest_first: bool, offset: u64) -> (State, Vec<CommitRow>) {
        let page = self.page(filter, Ask::Commits { upto: None, newest_first, offset, count: 7 });
        match page.rows {
            Rows::Commits(rows) => (page.state, rows),
            other => panic!("{other:?}"),
        }
    }

    /// Waits until everything was read and looked at, and `wanted`.
    fn until(&self, filter: &Filter, wanted: impl Fn(&State) -> bool) -> State {
        let begun = Instant::now();
        loop {
            let (state, _) = self.commits_from(filter, true, 0);
            if !state.is_reading && state.looked_at == state.operations && wanted(&state) {
                return state;
            }
            assert!(begun.elapsed() < Duration::from_secs(120), "never came about: {state:?}");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    fn commits(&self, filter: &Filter, newest_first: bool) -> Vec<CommitRow> {
        let mut all = Vec::new();
        loop {
            let (state, rows) = self.commits_from(filter, newest_first, all.len() as u64);
            let is_over = rows.is_empty();
            all.extend(rows);
            if is_over {
                assert_eq!(all.len() as u64, state.passing_commits);
                return all;
            }
        }
    }

    fn operations(&self, filter: &Filter, commit: u64) -> Vec<Brief> {
        let mut all: Vec<Brief> = Vec::new();
        loop {
            let ask = Ask::Operations { commit, offset: all.len() as u64, count: 5 };
            match self.page(filter, ask).rows {
                Rows::Operations(rows) if rows.is_empty() => return all,
                Rows::Operations(rows) => all.extend(rows),
                other => panic!("{other:?}"),
            }
        }
    }

    fn row(&self, ask_for: Ask) -> Option<Row> {
        match self.page(&Filter::default(), ask_for).rows {
            Rows::Operation(row) => row.map(|row| *row),
            other => panic!("{other:?}"),
        }
    }

    fn lines(&self, filter: &Filter, form: Form, upto: Option<u64>) -> Result<String, Error> {
        let export = Uuid::new_v4();
        let mut all = String::new();
        loop {
            match self.try_page(filter, Ask::Lines { export, form, upto })?.rows {
                Rows::Lines { text, is_last, .. } => {
                    all.push_str(&text);
                    if is_last {
                        return Ok(all);
                    }
                }
                other => panic!("{other:?}"),
            }
        }
    }
}

/// What the program prints.
fn printed(place: &Place, arguments: &[&str]) -> Vec<Value> {
    let output = place.run(&[&["log", "--json"], arguments].concat());
    text(&output.stdout).lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// The same of the index: number, commit, action, table and key of each operation, the oldest first.
fn listed(asking: &Asking<'_>, filter: &Filter) -> Vec<[String; 5]> {
    let mut all = Vec::new();
    for commit in asking.commits(filter, false) {
        let operations = asking.operations(filter, commit.commit);
        assert_eq!(operations.len() as u64, commit.operations);
        assert!(
            commit.parts.len() == 12 || commit.parts.iter().map(|part| part.count).sum::<u64>() == commit.operations
        );
        assert_eq!(commit.only.is_some(), commit.operations == 1);
        for one in operations {
            let (number, commit) = (one.number.to_string(), commit.commit.to_string());
            all.push([
                number,
                commit,
                one.action.label().into(),
                one.table.unwrap_or_default(),
                one.key.unwrap_or_default(),
            ]);
        }
    }
    all
}

/// Says where two lists part.
fn assert_same(ours: &[[String; 5]], theirs: &[[String; 5]]) {
    let at = ours.iter().zip(theirs).position(|(one, other)| one != other);
    assert!(at.is_none(), "{:?} and not {:?}", ours[at.unwrap()], theirs[at.unwrap()]);
    assert_eq!(ours.len(), theirs.len());
}

/// A key as people write it.
fn words(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        Value::Array(parts) => parts.iter().map(words).collect::<Vec<_>>().join(", "),
        Value::Object(blob) => format!("x'{}'", words(&blob["blob"])),
        other => other.to_string(),
    }
}

fn of_printed(operations: &[Value]) -> Vec<[String; 5]> {
    operations.iter().map(|o| ["operation", "commit", "action", "table", "key"].map(|name| words(&o[name]))).collect()
}

#[test]
fn the_index_holds_what_the_program_prints_for_random_workloads() {
    if !has("python3") {
        return;
    }
    let place = Place::in_memory();
    for (seed, pragmas) in [(11, "PRAGMA page_size=1024"), (12, "PRAGMA page_size=4096; PRAGMA auto_vacuum=2")] {
        let data = place.at(&format!("{seed}.sqlite"));
        foreign_commits(&data, &format!("{pragmas}; PRAGMA journal_mode=WAL; {SCHEMA}"));
        let engine = engine(&place);
        let handle = engine.handle();
        open_with_log(&handle, &data, &place.at(&format!("Backups/{seed}.journal")));
        backup(&handle, &data);
        let asking = Asking { handle: &handle, of: data.clone(), source: Source::Running };
        let all = Filter::default();
        asking.until(&all, |state| state.commits == 0);
        let writer =
            Process::new("python3").args(["-c", WRITER]).arg(&data).args([&seed.to_string(), "40"]).output().unwrap();
        assert!(writer.status.success(), "{}", text(&writer.stderr));
        foreign_commits(&data, "UPDATE mark SET n=-1");
        let commits = until_printed(&place, &data);
        // It went on while the program wrote.
        let state = asking.until(&all, |state| state.ends.is_some_and(|ends| ends[1].0 == commits));
        let path = data.to_str().unwrap();
        let everything = printed(&place, &[path]);
        assert_same(&listed(&asking, &all), &of_printed(&everything));
        assert_eq!(state.passing_operations, everything.len() as u64);
        // Newest first is the same the other way round.
        let mut turned = asking.commits(&all, true);
        turned.reverse();
        assert_eq!(turned, asking.commits(&all, false));

        let with = |more: &[&str]| of_printed(&printed(&place, &[&[path], more].concat()));
        let of = |filter: &Filter| {
            asking.until(filter, |_| true);
            listed(&asking, filter)
        };
        let internal = Filter { internal: true, ..Filter::default() };
        assert_same(&of(&internal), &with(&["--internal"]));
        let deleted = Filter { tables: vec!["T".into()], actions: vec![Action::Delete], ..Filter::default() };
        assert_same(&of(&deleted), &with(&["--table", "t", "--action", "delete"]));
        let middle = commits - 20;
        let limited = Filter { first: Some(middle), last: Some(middle + 5), ..Filter::default() };
        assert_same(&of(&limited), &with(&["--commit", &format!("{middle}..{}", middle + 5)]));
        let key = everything.iter().rev().find_map(|o| Some(o["key"].as_i64()?.to_string())).unwrap();
        let keyed = Filter { key: Some(key.clone()), ..Filter::default() };
        assert_same(&of(&keyed), &with(&["--key", &key]));

        // Exported is what passes, as the program prints it, whole.
        assert_eq!(asking.lines(&all, Form::Json, None).unwrap(), text(&place.run(&["log", "--json", path]).stdout));
        let csv = asking.lines(&deleted, Form::Csv, Some(middle)).unwrap();
        let until = format!("..{middle}");
        let expected = place.run(&["log", "--csv", path, "--table", "t", "--action", "delete", "--commit", &until]);
        assert_eq!(csv, text(&expected.stdout));
        drop(engine);
    }
}

/// The commit that sets the last mark, when it is recorded.
fn until_printed(place: &Place, data: &Path) -> u64 {
    let begun = Instant::now();
    loop {
        let all = printed(place, &[data.to_str().unwrap(), "--table", "mark"]);
        if let Some(last) = all.iter().find(|one| one["new"]["n"] == -1) {
            return last["commit"].as_u64().unwrap();
        }
        assert!(begun.elapsed() < Duration::from_secs(120), "never recorded");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn an_accidental_deletion_is_found_and_the_history_of_a_record_is_gone_through() {
    if !has("sqlite3") {
        return;
    }
    let place = Place::new();
    let data = place.at("a.sqlite");
    foreign_commits(
        &data,
        "PRAGMA journal_mode=WAL; CREATE TABLE clients(id INTEGER PRIMARY KEY, name, photo); \
         WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i<400) \
         INSERT INTO clients SELECT i, 'Client ' || i, zeroblob(10) FROM n",
    );
    let engine = engine(&place);
    let handle = engine.handle();
    open_with_log(&handle, &data, &place.at("Backups/a.journal"));
    backup(&handle, &data);
    let asking = Asking { handle: &handle, of: data.clone(), source: Source::Running };
    foreign_commits(&data, "UPDATE clients SET name='Renamed' WHERE id=300");
    foreign_commits(&data, "INSERT INTO clients VALUES(1000, 'Needle in a haystack', NULL)");
    foreign_commits(&data, "DELETE FROM clients WHERE id>=100");
    foreign_commits(&data, "INSERT INTO clients VALUES(300, 'Again', zeroblob(100000))");
    let all = Filter::default();
    let state = asking.until(&all, |state| state.operations >= 305);
    assert_eq!((state.commits, state.operations), (4, 305));
    assert_eq!(state.tables, [("clients".to_owned(), false)]);
    assert_eq!(state.times.iter().map(|time| time.commits).sum::<u64>(), 4);
    assert!(state.begins.unwrap().ends_with("Backups/a[0001].4BK"));
    let [newest, deletion, added, renamed] = asking.commits(&all, true).try_into().unwrap();
    assert_eq!(deletion.parts.len(), 1);
    assert_eq!((deletion.parts[0].action, deletion.parts[0].count), (Action::Delete, 302));
    assert_eq!(renamed.only.unwrap().changes, "name 'Client 300' → 'Renamed'");
    assert_eq!(newest.only.as_ref().unwrap().changes, "id 300, name 'Again', photo a BLOB of 100000 bytes");

    let row = asking.row(Ask::Operation { commit: newest.commit, number: 1 }).unwrap();
    assert!(row.fields[2].new.as_ref().unwrap().is_cut() && row.bytes > 100_000);
    let step = |row: &Row, forward| {
        let (commit, number) = (row.commit, row.number);
        asking.row(Ask::Neighbour { commit, number, forward })
    };
    let before = step(&row, false).unwrap();
    assert_eq!((before.action, before.commit, before.key.as_deref()), (Action::Delete, deletion.commit, Some("300")));
    let first = step(&before, false).unwrap();
    assert_eq!((first.action, first.commit), (Action::Modify, renamed.commit));
    assert_eq!((step(&first, false), step(&row, true)), (None, None));
    assert_eq!(step(&first, true), Some(before));

    let needle = Filter { text: Some("NEEDLE".into()), ..Filter::default() };
    asking.until(&needle, |_| true);
    let found: Vec<u64> = asking.commits(&needle, false).iter().map(|commit| commit.commit).collect();
    assert_eq!(found, [added.commit, deletion.commit]);
    let at = deletion.time;
    let then = Filter { since: Some(at), before: Some(at + chrono::TimeDelta::nanoseconds(1)), ..Filter::default() };
    asking.until(&then, |_| true);
    assert_eq!(asking.commits(&then, true).iter().map(|commit| commit.commit).collect::<Vec<_>>(), [deletion.commit]);

    // It goes on over a full backup, as long as somebody asks; whoever begins anew sees what came after it.
    backup(&handle, &data);
    foreign_commits(&data, "DELETE FROM clients WHERE id=300");
    asking.until(&all, |state| state.commits == 5);
    assert_eq!(asking.commits(&all, true)[0].only.as_ref().unwrap().key.as_deref(), Some("300"));
    let since = Asking { handle: &handle, of: data.clone(), source: Source::Since(place.at("Backups/a[0001].4BK")) };
    since.until(&all, |state| state.commits == 5);
    assert_eq!(since.commits(&all, true), asking.commits(&all, true));
    let closed = Asking { handle: &handle, of: place.at("Backups/a[0001].4BL"), source: Source::Log };
    closed.until(&all, |state| state.commits == 4);
    let older: Vec<u64> = closed.commits(&all, false).iter().map(|commit| commit.commit).collect();
    assert_eq!(older, [renamed.commit, added.commit, deletion.commit, newest.commit]);
}

#[test]
fn what_cannot_be_read_is_said_and_all_before_it_is_there() {
    if !has("sqlite3") {
        return;
    }
    let place = Place::new();
    let data = place.at("a.sqlite");
    drop(make_data_file(&data, "PRAGMA journal_mode=WAL", 3));
    let engine = engine(&place);
    let handle = engine.handle();
    let nothing = Asking { handle: &handle, of: data.clone(), source: Source::Running };
    handle.send(strongroom::engine::Command::OpenDataFile { path: data.clone() }).unwrap();
    crate::support::engine::until(&handle, |status| status.data_file(&data).is_some());
    let all = Filter::default();
    let ask_first = || Ask::Commits { upto: None, newest_first: true, offset: 0, count: 7 };
    let error = nothing.try_page(&all, ask_first()).unwrap_err();
    assert!(error.to_string().contains("no log is kept of"), "{error}");

    open_with_log(&handle, &data, &place.at("Backups/a.journal"));
    backup(&handle, &data);
    for n in 0..30 {
        foreign_commits(&data, &format!("INSERT INTO k VALUES('key {n}', hex(randomblob(200)))"));
    }
    let closed = backup(&handle, &data).archived_log.unwrap();
    let whole = std::fs::read(&closed).unwrap();
    let copy = place.at("Backups/copy.4BL");
    let asking = Asking { handle: &handle, of: copy.clone(), source: Source::Log };

    // Cut off in the middle of a commit, without the index at its end.
    std::fs::write(&copy, &whole[..whole.len() / 2]).unwrap();
    let state = asking.until(&all, |state| state.torn.is_some() || state.problem.is_some());
    let listed = printed(&place, &[copy.to_str().unwrap()]);
    assert!(state.commits > 0 && state.operations == listed.len() as u64, "{state:?} {}", listed.len());

    // A byte of a record in the middle is another one.
    let damaged = place.at("Backups/damaged.4BL");
    let mut bytes = whole.clone();
    bytes[whole.len() / 2] ^= 0x40;
    std::fs::write(&damaged, &bytes).unwrap();
    let asking = Asking { handle: &handle, of: damaged.clone(), source: Source::Log };
    let state = asking.until(&all, |state| state.problem.is_some());
    let output = place.run(&["log", "--json", damaged.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(1));
    let problem = state.problem.unwrap();
    assert!(text(&output.stderr).contains(&problem.message), "{problem:?} {}", text(&output.stderr));
    assert!(state.commits > 0 && state.operations == text(&output.stdout).lines().count() as u64);
    let error = asking.lines(&all, Form::Json, None).unwrap_err();
    assert_eq!(error.message(), problem.message);

    // Without its archive nobody knows what was there before.
    let alone = place.at("alone/a.4BL");
    std::fs::create_dir(place.at("alone")).unwrap();
    std::fs::write(&alone, &whole).unwrap();
    std::fs::rename(place.at("Backups"), place.at("away")).unwrap();
    let asking = Asking { handle: &handle, of: alone, source: Source::Log };
    let state = asking.until(&all, |state| state.problem.is_some());
    assert!(state.commits == 0 && state.problem.as_ref().unwrap().message.contains("no archive that"), "{state:?}");
}
