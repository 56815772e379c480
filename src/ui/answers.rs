//! What engines answered to the questions of this window. Nobody else sees them, and they are gone with it.

use std::ops::Deref;

use crate::{
    engine::{
        Answer, Asked, Handle, Query, Status,
        query::{Answered, ArchiveLook, Coming, SeenPlaces},
    },
    error::Result,
};

/// Answers beyond these are forgotten, the oldest first.
const KEPT_MAX: usize = 64;

/// The questions of this window, the oldest first, with their answers as far as they have come.
#[derive(Debug, Default)]
pub(crate) struct Answers(Vec<Question>);

#[derive(Debug)]
struct Question {
    query: Query,
    /// The answer that may still come; one that is here already is shown until then.
    asked: Option<Asked>,
    answer: Option<Answered>,
}

impl Answers {
    /// Asks an engine. Asked again, the old answer counts until the new one comes.
    ///
    /// # Errors
    /// When the engine does not take the question.
    pub(crate) fn ask(&mut self, handle: &Handle, query: Query) -> Result<()> {
        let asked = Some(handle.ask(query.clone())?);
        // Whoever goes from commit to commit asks much, and the answer that the dialog stands on is not to be forgotten
        // for it.
        self.0.retain(|question| question.asked.is_some() || !takes_place_of(&query, &question.query));
        let known = self.0.iter().position(|question| question.query == query).map(|at| self.0.remove(at));
        let answer = known.and_then(|question| question.answer);
        self.0.push(Question { query, asked, answer });
        Ok(())
    }

    /// Takes what has come, without waiting for anything.
    pub(crate) fn take(&mut self) {
        for question in &mut self.0 {
            match question.asked.as_ref().map_or(Coming::Awaited, Asked::look) {
                Coming::Here(answer) => (question.answer, question.asked) = (Some(answer), None),
                Coming::Lost => question.asked = None,
                Coming::Awaited => {}
            }
        }
        self.0.retain(|question| question.asked.is_some() || question.answer.is_some());
        let answered = self.0.iter().filter(|question| question.asked.is_none()).count();
        let mut too_many = answered.saturating_sub(KEPT_MAX);
        self.0.retain(|question| {
            let goes = too_many > 0 && question.asked.is_none();
            too_many -= usize::from(goes);
            !goes
        });
    }

    /// Forgets everything: an engine has ended, and whoever is there now may see it otherwise.
    pub(crate) fn forget(&mut self) {
        self.0.clear();
    }

    /// The answer to exactly this question.
    pub(crate) fn to(&self, query: &Query) -> Option<&Answered> {
        self.0.iter().find(|question| question.query == *query)?.answer.as_ref()
    }

    /// What an archive says of itself; where nobody could look, why.
    pub(crate) fn look(&self, query: &Query) -> Option<ArchiveLook> {
        match self.to(query)? {
            Ok(Answer::Archive(look)) => Some(ArchiveLook::clone(look)),
            Ok(_) => None,
            Err(error) => Some(ArchiveLook { missing: None, copy: Default::default(), result: Err(error.clone()) }),
        }
    }

    /// What was seen of places of this data file, the newest answer first.
    pub(crate) fn places<'a>(&'a self, of: &'a std::path::Path) -> impl Iterator<Item = &'a SeenPlaces> {
        self.0.iter().rev().filter_map(move |question| match (&question.query, &question.answer) {
            (Query::Places { data_file, .. }, Some(Ok(Answer::Places(seen)))) if data_file == of => Some(&**seen),
            _ => None,
        })
    }
}

/// Whether only the answer to the first question counts where both were asked.
fn takes_place_of(query: &Query, earlier: &Query) -> bool {
    match (query, earlier) {
        _ if query == earlier => false,
        (Query::Point { archive, .. }, Query::Point { archive: other, .. }) => archive == other,
        (Query::Timeline { archive, span: Some(_), .. }, Query::Timeline { archive: other, span: Some(_), .. }) => {
            archive == other
        }
        (Query::Activity { of, question }, Query::Activity { of: other, question: earlier }) => {
            of == other && std::mem::discriminant(&question.ask) == std::mem::discriminant(&earlier.ask)
        }
        _ => false,
    }
}

/// What is drawn: the status of the engines, and what they answered.
#[derive(Debug, Clone, Copy)]
pub(crate) struct View<'a> {
    pub(crate) status: &'a Status,
    pub(crate) answers: &'a Answers,
}

impl Deref for View<'_> {
    type Target = Status;

    fn deref(&self) -> &Status {
        self.status
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{journal::integrate::Until, restore::Logs};

    #[test]
    fn only_a_question_of_the_same_kind_about_the_same_makes_an_answer_worthless() {
        let (logs, segments) = (Logs::Found, Vec::new());
        let point = |archive: &str, commit| Query::Point {
            archive: archive.into(),
            until: Until::Commit(commit),
            segments: segments.clone(),
            logs: logs.clone(),
        };
        let look = Query::Archive { path: "a".into(), segments: segments.clone(), logs: logs.clone() };
        assert!(takes_place_of(&point("a", 2), &point("a", 1)));
        assert!(!takes_place_of(&point("a", 1), &point("a", 1)), "until the new answer comes, the old one counts");
        assert!(!takes_place_of(&point("b", 1), &point("a", 1)));
        assert!(!takes_place_of(&point("a", 1), &look) && !takes_place_of(&look, &look));
        let line = |span| Query::Timeline { archive: "a".into(), span, segments: segments.clone(), logs: logs.clone() };
        assert!(!takes_place_of(&line(None), &line(None)), "the whole stays");
    }
}
