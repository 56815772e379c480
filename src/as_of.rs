//! A data file as of a moment, read only, without restoring it: SQLite reads the pages that a statement needs, each
//! from the archive and the logs that go on from it.
//!
//! ```text
//! session ask    a state that is kept open for whoever looks at it; what is asked of it, a few rows at a time
//! differences    what is in one state and not in another, table by table
//! shape          what tables there are, and what their records are known by
//! save           the records of a statement in a file
//! query          a statement that reads, and the list of tables
//! effort         how thoroughly a state is looked for, where something is damaged
//! state          a state to look at: of a moment, of an archive, of now
//! turn           ends one statement of several
//! pages          the pages of a past state, served to SQLite
//! ```

pub mod ask;
pub mod differences;
mod effort;
pub mod pages;
pub mod query;
pub mod save;
pub mod session;
pub mod shape;
pub mod state;
mod turn;

pub use effort::Effort;
pub use state::{Limits, Looked};
pub use turn::Turn;
