//! The tables of a data file for whoever asks how far the look at them is: with a thread that looks, as long as
//! somebody asks.

use std::{
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::tables::{Last, Tables, Told, measure};
use crate::{
    control::{
        Control,
        session::{self, PATIENCE},
    },
    error::{ErrorReport, Result},
};

/// Looking ends when nobody has asked for so long.
const LEASE: Duration = Duration::from_secs(10);

/// A question in full.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Question {
    /// Names the look; whoever asks chooses the name, and another one looks anew.
    pub looking: Uuid,
    /// What is asked.
    pub ask: Ask,
}

/// What is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Ask {
    /// How far it is; begins to look where that was not begun.
    Look,
    /// Nobody wants to know any more.
    Forget,
}

/// How far it is.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Page {
    /// What is known so far.
    pub tables: Option<Tables>,
    /// Pages looked at.
    pub done: u64,
    /// Pages in use.
    pub total: u64,
    /// Whether all was looked at.
    pub is_whole: bool,
    /// Why not all can be.
    pub problem: Option<ErrorReport>,
}

impl Page {
    fn is_over(&self) -> bool {
        self.is_whole || self.problem.is_some()
    }
}

/// A look at the tables of a data file.
#[derive(Debug)]
pub struct Session(session::Session<Page>);

impl Session {
    /// Begins to look at the data file at `path`. `alive` is dropped when its thread ends.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub fn begin(path: PathBuf, last: Option<Last>, control: Arc<Control>, alive: impl Send + 'static) -> Result<Self> {
        let words = ("tables", "the tables cannot be looked at beside all else");
        let work = move |shared: &session::Shared<Page>| {
            let _alive = alive;
            let control = Arc::clone(shared.control());
            let watch = || {
                if shared.asked().elapsed() >= LEASE {
                    control.stop();
                }
            };
            let mut tell = |tables: &Tables| {
                shared.lock().tables = Some(tables.clone());
                shared.tell();
            };
            let done = measure(&path, last.as_ref(), Told { control: &control, watch: &watch, tell: &mut tell });
            let mut page = shared.lock();
            match done {
                Ok(tables) => (page.tables, page.is_whole) = (Some(tables), true),
                Err(error) => page.problem = Some(error.report()),
            }
            drop(page);
            shared.tell();
        };
        session::Session::begin(Page::default(), control, words, work).map(Self)
    }

    /// How far it is, after a moment at most.
    pub fn page(&self) -> Page {
        self.0.touch();
        let page = self.0.lock();
        let page = self.0.wait(page, PATIENCE, |page| !page.is_over()).0;
        let progress = self.0.control().progress();
        Page { done: progress.done.min(progress.total), total: progress.total, ..page.clone() }
    }

    /// Whether it was ended because nobody asked.
    pub fn is_gone(&self) -> bool {
        self.asked().elapsed() >= LEASE
    }

    /// When somebody asked last.
    pub fn asked(&self) -> Instant {
        self.0.asked()
    }
}
