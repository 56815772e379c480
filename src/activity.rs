//! What changed: an index over the operations of a data file's logs, from which pages of rows are read.
//!
//! A log is read once, from the archive that it goes on from. What its commits did is kept in files without a name,
//! each operation with its values as far as people look at them; in memory are only marks of what a filter lets
//! through. So a million operations cost no more of it than a thousand. When the data file is written to, the index
//! goes on where it ended.
//!
//! ```text
//! session        an index with the thread that reads the log, as long as somebody asks
//! export         the same operations as lines of text, whole
//! query          what is asked, and what is answered
//! hits           what a filter lets through
//! index          commits, operations and their rows
//! filter row     what is looked for; one operation as people look at it
//! packed         the same in few bytes
//! way            from an archive through the logs
//! bits spill     marks, and bytes in a file without a name
//! ```

mod bits;
pub mod export;
pub mod filter;
mod hits;
mod index;
mod packed;
pub mod query;
pub mod row;
pub mod session;
mod spill;
pub mod way;
