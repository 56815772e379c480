//! What the dialog *Information* remembers: how large the tables of a data file are, as the engine tells it.

use std::{
    path::PathBuf,
    time::{Duration, Instant},
};

use uuid::Uuid;

use crate::{
    engine::{Answer, Handle, Query},
    error::{ErrorReport, Result},
    maintenance::{
        measured::{Ask, Page, Question},
        tables::{TableSize, Tables},
    },
    ui::awaited::Awaited,
};

/// How often is asked while it is looked.
const SOON: Duration = Duration::from_millis(150);

/// The form of *Information*.
#[derive(Debug)]
pub(crate) struct SizesForm {
    /// Canonical path of the data file.
    pub(crate) data_file: PathBuf,
    /// The name of this look, which the window has given it.
    name: Uuid,
    page: Page,
    /// Why nothing can be told.
    problem: Option<ErrorReport>,
    /// The table that is selected, by its name.
    pub(crate) selected: Option<String>,
    awaited: Awaited<Ask>,
    polled: Option<Instant>,
}

impl SizesForm {
    /// Nothing was asked yet.
    pub(crate) fn new(data_file: PathBuf) -> Self {
        Self {
            data_file,
            name: Uuid::new_v4(),
            page: Page::default(),
            problem: None,
            selected: None,
            awaited: Awaited::default(),
            polled: None,
        }
    }

    /// A question about it.
    pub(crate) fn query(&self, ask: Ask) -> Query {
        Query::Tables { data_file: self.data_file.clone(), question: Question { looking: self.name, ask } }
    }

    /// What is known so far.
    pub(crate) fn tables(&self) -> Option<&Tables> {
        self.page.tables.as_ref()
    }

    /// The table that is selected.
    pub(crate) fn selected(&self) -> Option<(usize, &TableSize)> {
        let name = self.selected.as_ref()?;
        self.tables()?.tables.iter().enumerate().find(|(_, table)| table.table == *name)
    }

    /// Why not everything can be told.
    pub(crate) fn problem(&self) -> Option<&ErrorReport> {
        self.problem.as_ref().or(self.page.problem.as_ref())
    }

    /// Whether it is still looked.
    pub(crate) fn is_looking(&self) -> bool {
        !self.page.is_whole && self.problem().is_none()
    }

    /// How much of it is done, where that is known.
    pub(crate) fn done(&self) -> Option<f32> {
        (self.page.total > 0).then(|| self.page.done as f32 / self.page.total as f32)
    }

    /// Looks anew from now on; what is known stays until more is.
    pub(crate) fn again(&mut self) {
        (self.name, self.awaited) = (Uuid::new_v4(), Awaited::default());
        let tables = self.page.tables.take();
        (self.page, self.problem, self.polled) = (Page { tables, ..Page::default() }, None, None);
    }

    /// What is to be asked now, and when again.
    pub(crate) fn poll(&self) -> (Option<Ask>, Duration) {
        let since = self.polled.map_or(SOON, |polled| polled.elapsed());
        let is_due = self.is_looking() && since >= SOON && !self.awaited.has(&Ask::Look);
        (is_due.then_some(Ask::Look), SOON)
    }

    /// Asks the engine.
    ///
    /// # Errors
    /// When it does not take the question.
    pub(crate) fn ask(&mut self, handle: &Handle, ask: Ask) -> Result<()> {
        self.polled = Some(Instant::now());
        let query = self.query(ask);
        self.awaited.ask(handle, ask, query)
    }

    /// Takes what has come.
    pub(crate) fn take(&mut self) {
        for (_, came) in self.awaited.take() {
            match came {
                Some(Ok(Answer::Tables(page))) => {
                    let known = self.page.tables.take();
                    self.page = *page;
                    self.page.tables = self.page.tables.take().or(known);
                }
                // Whoever answers next begins anew.
                Some(Ok(_)) | None => {}
                Some(Err(error)) => self.problem = Some(error),
            }
        }
        if self.problem().is_some() {
            // Nothing more comes: what was not looked at is not known.
            let tables = self.page.tables.iter_mut().flat_map(|tables| &mut tables.tables);
            tables.for_each(|table| table.is_measured = true);
        }
    }
}
