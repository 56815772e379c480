//! Recovery data: what makes damaged archives and logs whole again.
//!
//! ```text
//! layout   blocks, chunks, groups and windows over a file
//! code     the Reed-Solomon code of a group
//! table    what identifies a block
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
pub mod make;
pub mod mend;
pub mod packet;
mod search;
pub mod spool;
pub mod table;

pub use layout::Layout;
