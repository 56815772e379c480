//! A plan that is kept for whoever looks at it, with the thread that makes it: the log is read once, and with every
//! other decision what was read is compared with the data file anew.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    path::PathBuf,
    sync::Arc,
    time::Instant,
};

use uuid::Uuid;

use super::{
    choose::Chosen,
    conflict::Conflict,
    plan::Plan,
    prepare::Decisions,
    query::{Ask, Doing, Hindered, Order, PIECE_MAX, Page, Planned, ROWS_MAX, Rows, Sql, State},
    script,
    selection::Selection,
};
use crate::{
    control::{
        Control,
        session::{self, KEPT, PATIENCE},
    },
    error::{Error, ErrorKind, ErrorReport, Result},
    restore::trail::Trail,
};

/// Finds the way through archive and logs.
pub type Open = Box<dyn Fn(&Control) -> Result<Trail> + Send>;

/// What a plan is made with.
type With = (Decisions, u64);

/// A plan that was made.
struct Made {
    name: Uuid,
    plan: Arc<Plan>,
    planned: Planned,
    /// The records that something is in the way of, by their places.
    hindered: Vec<usize>,
    /// The plan as a script, once somebody wants it.
    script: Option<Arc<str>>,
}

struct Inner {
    wanted: With,
    doing: Option<Doing>,
    problem: Option<ErrorReport>,
    made: Option<Made>,
    is_gone: bool,
}

type Shared = session::Shared<Inner>;

/// What is being planned.
pub struct Session {
    shared: session::Session<Inner>,
    order: Order,
}

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Session").finish_non_exhaustive()
    }
}

impl Session {
    /// Begins to plan what `order` says for `data_file`, whose settings name `identity`.
    ///
    /// # Errors
    /// `Refused` where everything is picked; when the system gives no thread.
    pub fn begin(data_file: PathBuf, identity: Option<Uuid>, order: Order, open: Open) -> Result<Self> {
        let selection = Selection::of_pick(&order.pick)?;
        let inner = Inner {
            wanted: (order.decisions.clone(), order.round),
            doing: Some(Doing::Reading),
            problem: None,
            made: None,
            is_gone: false,
        };
        let mut planner = Planner { data_file, identity, selection, open, chosen: None };
        let words = ("take-back", "this cannot be planned beside all else");
        let plan = move |shared: &Shared| planner.run(shared);
        Ok(Self { shared: session::Session::begin(inner, Arc::default(), words, plan)?, order })
    }

    /// Whether it plans the same operations.
    pub fn is_of(&self, order: &Order) -> bool {
        self.order.source == order.source && self.order.pick == order.pick
    }

    /// Whether it was forgotten, because nobody asked for long.
    pub fn is_gone(&self) -> bool {
        self.shared.lock().is_gone
    }

    /// When somebody asked last.
    pub fn asked(&self) -> Instant {
        self.shared.asked()
    }

    /// The plan of this name, if it is the last one that was made.
    pub fn plan(&self, name: Uuid) -> Option<Arc<Plan>> {
        let inner = self.shared.lock();
        inner.made.as_ref().filter(|made| made.name == name).map(|made| Arc::clone(&made.plan))
    }

    /// Answers a question, after a moment at most.
    ///
    /// # Errors
    /// `Changed` where a script of another plan is asked for.
    pub fn answer(&self, ask: &Ask) -> Result<Page> {
        self.shared.touch();
        let mut inner = self.shared.lock();
        if let Ask::Make(order) = ask {
            let wanted = (order.decisions.clone(), order.round);
            if inner.wanted != wanted {
                inner.wanted = wanted;
                inner.doing = inner.doing.or(Some(Doing::Comparing));
            }
        }
        self.shared.tell();
        if matches!(ask, Ask::Make(_) | Ask::Look) {
            inner = self.shared.wait(inner, PATIENCE, |inner| inner.doing.is_some() && !inner.is_gone).0;
        }
        let rows = inner.rows(ask)?;
        let planned = inner.made.as_ref().map(|made| made.planned.clone());
        Ok(Page { state: State { doing: inner.doing, problem: inner.problem.clone(), planned }, rows })
    }
}

impl Inner {
    fn rows(&mut self, ask: &Ask) -> Result<Rows> {
        let some = |offset: u64, count: u64| (offset as usize, count.min(ROWS_MAX) as usize);
        let Some(made) = &mut self.made else { return Ok(Rows::None) };
        let plan = Arc::clone(&made.plan);
        Ok(match ask {
            Ask::Make(_) | Ask::Look | Ask::Forget => Rows::None,
            Ask::Hindered { offset, count } => {
                let (offset, count) = some(*offset, *count);
                Rows::Hindered(made.hindered.iter().skip(offset).take(count).filter_map(|at| row(&plan, *at)).collect())
            }
            Ask::LeftOut { offset, count } => {
                let (offset, count) = some(*offset, *count);
                Rows::LeftOut(plan.left_out.iter().skip(offset).take(count).cloned().collect())
            }
            Ask::Statements { offset, count } => {
                let (offset, count) = some(*offset, *count);
                Rows::Statements(plan.some_statements(offset, count).into_iter().map(Sql::of).collect())
            }
            Ask::Script { plan: name, offset } => {
                if made.name != *name {
                    return Err(Error::new(ErrorKind::Changed, "the plan is another one by now")
                        .hint("Look at it, and save it again."));
                }
                let text = made.script.get_or_insert_with(|| script(&plan).into());
                piece(text, *offset)
            }
        })
    }
}

/// A piece of a script.
fn piece(script: &str, offset: u64) -> Rows {
    let from = script.floor_char_boundary(usize::try_from(offset).unwrap_or(usize::MAX));
    let to = script.floor_char_boundary(from.saturating_add(PIECE_MAX));
    let text = script.get(from..to).unwrap_or_default().to_owned();
    Rows::Script { text, next: (to < script.len()).then_some(to as u64) }
}

fn row(plan: &Plan, at: usize) -> Option<Hindered> {
    let step = plan.steps.get(at)?;
    Some(Hindered {
        step: at as u64,
        record: plan.name(step),
        fate: step.fate,
        conflicts: step.conflicts.iter().map(Conflict::in_words).collect(),
        can_be_overwritten: step.can_be_overwritten(),
        decision: step.decision,
    })
}

/// The thread that makes plans.
struct Planner {
    data_file: PathBuf,
    identity: Option<Uuid>,
    selection: Selection,
    open: Open,
    chosen: Option<Chosen>,
}

impl Planner {
    fn run(&mut self, shared: &Shared) {
        let mut with = shared.lock().wanted.clone();
        loop {
            // Whoever waits for it must not wait for ever.
            let planned = catch_unwind(AssertUnwindSafe(|| self.plan(shared, &with.0))).unwrap_or_else(|_| {
                Err(Error::new(ErrorKind::Refused, "this ended by a defect of the program")
                    .hint("Please report it with what you did; no file was changed."))
            });
            let mut inner = shared.lock();
            match planned {
                Ok(plan) => {
                    (inner.made, inner.problem) = (Some(Made::of(plan, &with)), None);
                }
                Err(error) => inner.problem = Some(error.report()),
            }
            inner.doing = (inner.wanted != with).then_some(Doing::Comparing);
            shared.tell();
            let rests = |inner: &mut Inner| inner.wanted == with && !shared.control().is_stopped();
            while rests(&mut inner) {
                let left = KEPT.saturating_sub(shared.asked().elapsed());
                if left.is_zero() {
                    (inner.is_gone, inner.made) = (true, None);
                    return;
                }
                inner = shared.wait(inner, left, rests).0;
            }
            if shared.control().is_stopped() {
                return;
            }
            with = inner.wanted.clone();
        }
    }

    fn plan(&mut self, shared: &Shared, decisions: &Decisions) -> Result<Plan> {
        let control = shared.control();
        let chosen = match &mut self.chosen {
            Some(chosen) => chosen,
            none => {
                shared.lock().doing = Some(Doing::Reading);
                let trail = (self.open)(control)?;
                none.insert(super::choose(&self.data_file, self.identity, trail, &self.selection, control)?)
            }
        };
        shared.lock().doing = Some(Doing::Comparing);
        Plan::make(&self.data_file, chosen, decisions, control)
    }
}

impl Made {
    fn of(plan: Plan, with: &With) -> Self {
        let name = Uuid::new_v4();
        let planned = Planned::of(&plan, name, with.1, &with.0);
        let hindered = plan.steps.iter().enumerate().filter(|(_, step)| !step.conflicts.is_empty());
        let hindered = hindered.map(|(at, _)| at).collect();
        Self { name, plan: Arc::new(plan), planned, hindered, script: None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pieces_of_a_script_are_the_whole_of_it_and_no_letter_is_cut() {
        let script = "ä".repeat(PIECE_MAX) + "end";
        let (mut whole, mut offset) = (String::new(), Some(0));
        while let Some(at) = offset {
            let Rows::Script { text, next } = piece(&script, at) else { return };
            assert!(!text.is_empty() && text.len() <= PIECE_MAX);
            (whole, offset) = (whole + &text, next);
        }
        assert!(whole == script);
    }
}
