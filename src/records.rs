//! Records and time: what every commit of a log changed, told as records and not as pages.
//!
//! ```text
//! history            reads a log, commit by commit, and tells the operations that are wanted
//! changes            what one commit changed
//! differences merge cells  of the schema; of the records of one table; these gone through in order
//! members chains     which pages belong to which table, and to which record
//! store              the pages before and after a commit, from archive and log
//! base unpacked ways the pages of the data file that a log goes on from; frames of the archive, and what of them leads
//!                    to other pages
//! past               the pages of a past state, one by one, or all of them where that is shorter
//! by_page            maps by the number of a page
//! operation lines    what is told, and its form in JSON; as lines for other programs
//! shown              a value as people look at it
//! definition schema  what tables look like, as of a commit
//! page record row tree   the SQLite file format, read from bytes that nobody vouches for
//! others             where two states of a page differ
//! size               how much room a tree takes
//! workbook           records for spreadsheet programs
//! ```

mod base;
mod by_page;
mod cells;
mod chains;
pub mod changes;
pub mod definition;
mod differences;
pub mod history;
pub mod lines;
mod members;
mod merge;
pub mod operation;
mod others;
pub mod page;
pub mod past;
pub mod record;
pub mod row;
pub mod schema;
pub mod shown;
pub mod size;
pub mod store;
pub mod tree;
mod unpacked;
mod ways;
pub mod workbook;
