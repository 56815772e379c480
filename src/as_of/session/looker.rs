//! The thread that has a state open, and does with it what is wanted.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    path::PathBuf,
    time::Duration,
};

use super::{Inner, LEASE, Open, Shared, Work, sheet};
use crate::{
    as_of::{
        Effort, Limits, Looked,
        ask::{
            AboutState, Chosen, Compared, Difference, Doing, NAMED_MAX, SECONDS_MAX, SaveForm, Saved, Sheet, TableRow,
            Which,
        },
        differences::{self, Found},
        query::{self, Sink, quoted},
        save,
    },
    error::{Error, ErrorKind, ErrorReport, Result},
    journal::integrate::Until,
    records::{operation::value_in_words, record::Value},
    storage::regular::{self, Links},
};

/// How long a table is counted that nobody has asked for.
const COUNT_MAX: Duration = Duration::from_secs(10);
/// More differences of the schema are not told.
const SCHEMA_MAX: usize = 1000;
/// Letters of a key.
const KEY_LETTERS: usize = 400;

pub(super) struct Looker {
    data_file: PathBuf,
    which: Which,
    limits: Limits,
    open: Open,
    found: Option<sheet::Found>,
    /// Tables that are counted, or were tried to be.
    counted: usize,
    /// Whether it was looked in the data file whether something is lacking.
    has_compared: bool,
}

/// What is done next.
enum Next {
    Work(u64, Work),
    Serve,
    /// What nobody waits for.
    Idle,
    End,
}

impl Looker {
    pub(super) fn new(data_file: PathBuf, which: Which, limits: Limits, open: Open) -> Self {
        Self { data_file, which, limits, open, found: None, counted: 0, has_compared: false }
    }

    pub(super) fn run(&mut self, shared: &Shared) {
        // Whoever waits for it must not wait for ever.
        let done = catch_unwind(AssertUnwindSafe(|| self.work(shared))).unwrap_or_else(|_| {
            Err(Error::new(ErrorKind::Refused, "this ended by a defect of the program")
                .hint("Please report it with what you did; no file was changed."))
        });
        let mut inner = shared.lock();
        (inner.state.doing, inner.is_over, inner.wanted) = (None, true, None);
        inner.state.problem = done.err().map(|error| error.report()).or(inner.state.problem.take());
        shared.tell();
    }

    fn work(&mut self, shared: &Shared) -> Result<()> {
        let until = match &self.which {
            Which::Archive { .. } => Until::End,
            Which::Until(until) => *until,
        };
        let mut effort = Effort::new(until);
        let mut looked = self.opened(shared, &mut effort, None)?;
        loop {
            let next = self.next(shared);
            if matches!(next, Next::End) {
                return Ok(());
            }
            while let Err(error) = self.perform(shared, &looked, &next) {
                if error.kind() != ErrorKind::Damaged {
                    note(shared, &next, error);
                    break;
                }
                // What indexes say is not believed any more, or it is repaired: the same state, or none.
                shared.lock().state.doing = Some(Doing::Opening);
                match effort.again(error, self.may_be_another(), &self.limits.control) {
                    Ok(_) => looked = self.opened(shared, &mut effort, Some(&looked))?,
                    Err(error) => {
                        note(shared, &next, error);
                        break;
                    }
                }
            }
        }
    }

    fn may_be_another(&self) -> bool {
        matches!(self.which, Which::Until(_))
    }

    /// Opens the state, as thoroughly as is needed. It must be the one that was shown, if one was.
    fn opened(&mut self, shared: &Shared, effort: &mut Effort, before: Option<&Looked>) -> Result<Looked> {
        self.limits.turn.begin(None);
        loop {
            let opened = (self.open)(effort, &self.limits).and_then(|looked| {
                let tables = query::names(&looked)?;
                Ok((looked, tables))
            });
            let (looked, tables) = match opened {
                Ok(opened) => opened,
                Err(error) if error.kind() == ErrorKind::Damaged => {
                    effort.again(error, self.may_be_another(), &self.limits.control)?;
                    continue;
                }
                Err(error) => return Err(error),
            };
            let of = |looked: &Looked| (looked.about().commit, looked.about().time);
            if before.is_some_and(|before| of(before) != of(&looked)) {
                return Err(Error::new(ErrorKind::Changed, "archive and log do not lead to this state any more")
                    .hint("Close this, and look again."));
            }
            let about = looked.about();
            self.has_compared = about.lacks.is_none();
            let lacks = match &about.lacks {
                Some(lacks) => Some(lacks.report()),
                None => looked.lacks().map(|lacks| lacks.report()),
            };
            let mut inner = shared.lock();
            inner.state.about = Some(AboutState {
                commit: about.commit,
                time: about.time,
                archive: about.archive.clone(),
                lacks,
                archive_problem: about.archive_problem.as_ref().map(Error::report),
                remarks: about.remarks.clone(),
            });
            let row = |(table, columns): (String, i64)| {
                let columns = columns.unsigned_abs();
                TableRow { table, columns, records: None, problem: None }
            };
            if inner.state.tables.is_empty() {
                inner.state.tables = tables.into_iter().map(row).collect();
            }
            inner.state.doing = None;
            shared.tell();
            drop(inner);
            return Ok(looked);
        }
    }

    /// Waits for what is to be done.
    fn next(&self, shared: &Shared) -> Next {
        let mut inner = shared.lock();
        loop {
            if shared.control().is_stopped() {
                return Next::End;
            }
            let budget = match &inner.wanted {
                Some((_, Work::List(Sheet::Statement(_)))) => Some(Duration::from_secs(SECONDS_MAX)),
                _ => None,
            };
            if let Some((number, work)) = inner.wanted.take() {
                self.limits.turn.begin(budget);
                (inner.state.doing, inner.is_idle) = (doing(&work), false);
                if work == Work::Rest {
                    shared.tell();
                    continue;
                }
                return Next::Work(number, work);
            }
            inner.state.doing = None;
            shared.tell();
            if !inner.fetches.is_empty() {
                self.limits.turn.begin(None);
                inner.is_idle = false;
                return Next::Serve;
            }
            if self.counted < inner.state.tables.len() || !self.has_compared {
                self.limits.turn.begin(self.has_compared.then_some(COUNT_MAX));
                inner.is_idle = true;
                return Next::Idle;
            }
            let left = LEASE.saturating_sub(shared.asked().elapsed());
            if left.is_zero() {
                return Next::End;
            }
            let rests = |inner: &mut Inner| {
                inner.wanted.is_none() && inner.fetches.is_empty() && !shared.control().is_stopped()
            };
            inner = shared.wait(inner, left, rests).0;
        }
    }

    fn perform(&mut self, shared: &Shared, looked: &Looked, next: &Next) -> Result<()> {
        match next {
            Next::End => Ok(()),
            Next::Idle => self.idle(shared, looked),
            Next::Serve => {
                let served = self.found.as_ref().map_or(Ok(()), |found| found.serve(looked, shared));
                if self.found.is_none() || served.is_err() {
                    shared.lock().fetches.clear();
                }
                served
            }
            Next::Work(number, Work::List(sheet)) => {
                let done = sheet::list(looked, shared, (*number, sheet), &mut self.found);
                count_listed(shared, sheet);
                done
            }
            Next::Work(number, Work::Compare(table)) => self.compare(shared, looked, *number, table.as_deref()),
            Next::Work(number, Work::Save(sheet, form, only)) => {
                let of = only.as_ref().map(|only| (only, self.found.as_ref()));
                save_sheet(shared, looked, (*number, sheet, *form), of)
            }
            Next::Work(_, Work::Rest) => Ok(()),
        }
    }

    /// Counts one more table, or looks whether something is lacking, as long as nobody waits.
    fn idle(&mut self, shared: &Shared, looked: &Looked) -> Result<()> {
        if !self.has_compared {
            self.has_compared = true;
            let lacks = looked.lacks().map(|lacks| lacks.report());
            if let Some(about) = &mut shared.lock().state.about {
                about.lacks = lacks;
            }
            return Ok(());
        }
        let Some(table) = shared.lock().state.tables.get(self.counted).cloned() else { return Ok(()) };
        let count = format!("SELECT count(*) FROM main.{}", quoted(&table.table));
        let counted = match table.records {
            Some(records) => Ok(records),
            None => looked.connection().query_row(&count, [], |row| row.get::<_, i64>(0)).map(i64::unsigned_abs),
        };
        let counted = counted.map_err(|error| looked.explain(&error));
        // It has given way: it is counted when there is time again.
        if counted.is_err() && shared.lock().is_awaited() {
            return Ok(());
        }
        self.counted += 1;
        let mut inner = shared.lock();
        let Some(row) = inner.state.tables.iter_mut().find(|row| row.table == table.table) else { return Ok(()) };
        match counted {
            Ok(records) => row.records = Some(records),
            Err(error) if error.kind() == ErrorKind::Stopped => {}
            Err(error) => row.problem = Some(error.message().to_owned()),
        }
        shared.tell();
        Ok(())
    }

    fn compare(&self, shared: &Shared, looked: &Looked, number: u64, table: Option<&str>) -> Result<()> {
        let (table, tables) = (table.map(str::to_owned), table.map(str::to_owned).into_iter().collect::<Vec<_>>());
        {
            let mut inner = shared.lock();
            inner.differences = Vec::new();
            inner.state.compared = Some(Compared {
                number,
                table,
                now: None,
                schema: Vec::new(),
                tables: Vec::new(),
                named: 0,
                is_cut: false,
                is_whole: false,
                problem: None,
            });
        }
        let now = Looked::now(&self.data_file, &self.limits)?;
        let note = |change: &mut dyn FnMut(&mut Compared, &mut Vec<Difference>)| {
            let mut inner = shared.lock();
            let Inner { state, differences, .. } = &mut *inner;
            if let Some(compared) = &mut state.compared {
                change(compared, differences);
            }
            // Tables that cannot be compared to their end would hide that nobody waits any more.
            if inner.wanted.is_some() { Err(Error::stopped()) } else { Ok(()) }
        };
        note(&mut |compared, _| compared.now = Some(now.about().time))?;
        differences::between(looked, &now, &tables, &mut |found| {
            note(&mut |compared, named| match &found {
                Found::Schema(difference) if compared.schema.len() < SCHEMA_MAX => {
                    compared.schema.push((*difference).clone());
                }
                Found::Schema(_) => compared.is_cut = true,
                Found::Table(difference) => compared.tables.push((*difference).clone()),
                Found::Record { .. } if compared.named >= NAMED_MAX => compared.is_cut = true,
                Found::Record { table, change, key } => {
                    let key: Vec<String> = key.iter().map(|value| value_in_words(&value.as_value())).collect();
                    let key = key.join(", ").chars().take(KEY_LETTERS).collect();
                    named.push(Difference { table: (*table).to_owned(), change: *change, key });
                    compared.named += 1;
                }
            })
        })?;
        note(&mut |compared, _| compared.is_whole = true)
    }
}

fn doing(work: &Work) -> Option<Doing> {
    match work {
        Work::List(_) => Some(Doing::Listing),
        Work::Compare(_) => Some(Doing::Comparing),
        Work::Save(..) => Some(Doing::Saving),
        Work::Rest => None,
    }
}

/// Why something could not be done.
fn note(shared: &Shared, next: &Next, error: Error) {
    let report: ErrorReport = error.report();
    let mut inner = shared.lock();
    let state = &mut inner.state;
    let of = |number: u64, wanted: u64| number == wanted;
    match next {
        Next::Work(number, Work::List(_)) => {
            let listed = state.listed.as_mut().filter(|listed| of(listed.number, *number));
            listed.into_iter().for_each(|listed| listed.problem = Some(report.clone()));
        }
        Next::Work(number, Work::Compare(_)) => {
            let compared = state.compared.as_mut().filter(|compared| of(compared.number, *number));
            compared.into_iter().for_each(|compared| compared.problem = Some(report.clone()));
        }
        Next::Work(number, Work::Save(..)) => {
            let saved = state.saved.as_mut().filter(|saved| of(saved.number, *number));
            saved.into_iter().for_each(|saved| saved.problem = Some(report.clone()));
        }
        // Whoever waits for rows asks again; what cannot be read is said where it is listed.
        Next::Serve if error.kind() != ErrorKind::Stopped => {
            state.listed.iter_mut().for_each(|listed| listed.problem = Some(report.clone()));
        }
        _ => {}
    }
    shared.tell();
}

/// A table that was listed whole is counted.
fn count_listed(shared: &Shared, sheet: &Sheet) {
    let Sheet::Table { table, text, .. } = sheet else { return };
    let mut inner = shared.lock();
    let listed = inner.state.listed.as_ref().filter(|listed| listed.is_whole && text.is_empty());
    let Some(records) = listed.map(|listed| listed.records) else { return };
    let row = inner.state.tables.iter_mut().find(|row| row.table.eq_ignore_ascii_case(table));
    row.into_iter().for_each(|row| row.records = Some(records));
}

/// Counts records on their way into a file.
struct Counting<'a> {
    shared: &'a Shared,
    sink: &'a mut dyn Sink,
    records: u64,
}

impl Counting<'_> {
    fn tell(&self) -> Result<()> {
        let mut inner = self.shared.lock();
        inner.state.saved.iter_mut().for_each(|saved| saved.records = self.records);
        if inner.wanted.is_some() { Err(Error::stopped()) } else { Ok(()) }
    }
}

impl Sink for Counting<'_> {
    fn columns(&mut self, names: &[String]) -> Result<()> {
        self.sink.columns(names)
    }

    fn record(&mut self, values: &[Value<'_>]) -> Result<bool> {
        self.records += 1;
        if self.records.is_multiple_of(256) {
            self.tell()?;
        }
        self.sink.record(values)
    }
}

/// Writes all records, or those that were chosen of what is listed, to a file without a name, from which they are
/// fetched piece by piece.
fn save_sheet(
    shared: &Shared,
    looked: &Looked,
    (number, sheet, form): (u64, &Sheet, SaveForm),
    only: Option<(&Chosen, Option<&sheet::Found>)>,
) -> Result<()> {
    {
        let mut inner = shared.lock();
        inner.file = None;
        inner.state.saved = Some(Saved { number, records: 0, is_whole: false, remarks: Vec::new(), problem: None });
    }
    let sql = sheet::statement(looked, sheet)?;
    let fail = |e| Error::new(ErrorKind::Io, "no file can be made for what is saved").because(e);
    let folder = tempfile::tempdir().map_err(fail)?;
    let path = folder.path().join("saved").with_extension(form.ending());
    let save::Done { records, remarks } = save::save(&path, false, &mut |sink| {
        let mut counting = Counting { shared, sink, records: 0 };
        match only {
            None => query::run(looked, &sql, &mut counting),
            Some((only, found)) => {
                let found = found.filter(|found| found.is_of(only.of)).ok_or_else(not_listed)?;
                found.save(looked, only, &mut counting).map(|()| counting.records)
            }
        }
    })?;
    let (file, _) = regular::open(&path, Links::Refused).map_err(|e| Error::io("open", &path, e))?;
    let mut inner = shared.lock();
    inner.file = Some((number, file));
    inner.state.saved = Some(Saved { number, records, is_whole: true, remarks, problem: None });
    Ok(())
}

fn not_listed() -> Error {
    Error::new(ErrorKind::Changed, "the records that were selected are not listed any more").hint("Select them again.")
}
