//! Questions that an engine was asked, each once, and has not answered yet.

use crate::{
    engine::{
        Asked, Handle, Query,
        query::{Answered, Coming},
    },
    error::Result,
};

/// What is waited for.
#[derive(Debug)]
pub(crate) struct Awaited<A>(Vec<(A, Asked)>);

impl<A> Default for Awaited<A> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<A: PartialEq> Awaited<A> {
    /// Whether this is waited for.
    pub(crate) fn has(&self, ask: &A) -> bool {
        self.any(|awaited| awaited == ask)
    }

    /// Whether something of this kind is.
    pub(crate) fn any(&self, is_it: impl Fn(&A) -> bool) -> bool {
        self.0.iter().any(|(awaited, _)| is_it(awaited))
    }

    /// Asks the engine.
    ///
    /// # Errors
    /// When it does not take the question.
    pub(crate) fn ask(&mut self, handle: &Handle, ask: A, query: Query) -> Result<()> {
        self.0.push((ask, handle.ask(query)?));
        Ok(())
    }

    /// What has come, each with what it answers; `None` where no answer can come any more.
    pub(crate) fn take(&mut self) -> Vec<(A, Option<Answered>)> {
        let mut came = Vec::new();
        for (ask, asked) in std::mem::take(&mut self.0) {
            match asked.look() {
                Coming::Awaited => self.0.push((ask, asked)),
                Coming::Here(answered) => came.push((ask, Some(answered))),
                Coming::Lost => came.push((ask, None)),
            }
        }
        came
    }
}
