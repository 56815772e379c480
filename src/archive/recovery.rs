//! Recovery data: what makes damaged archives and logs whole again.
//!
//! ```text
//! layout   blocks, groups and windows over a file
//! promise  what is repaired for certain
//! code     the Reed-Solomon code of a group
//! table    what identifies a block
//! locate   the table of a group from its own recovery data
//! packet   one frame of recovery data
//! make     the recovery data of a finished file
//! find     the packets in a file that is damaged in any way
//! search   blocks that are not at their place
//! spool    where blocks and recovery data wait
//! mend     a damaged file made whole
//! ```

pub mod code;
pub mod find;
pub mod layout;
pub mod locate;
pub mod make;
pub mod mend;
pub mod packet;
mod promise;
mod search;
pub mod spool;
pub mod table;
#[cfg(test)]
mod tests;

pub use layout::{Dealt, Layout};
