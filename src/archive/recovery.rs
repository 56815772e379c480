//! Recovery data: what makes damaged archives and logs whole again.
//!
//! ```text
//! layout   blocks, chunks, groups and windows over a file
//! code     the Reed-Solomon code of a group
//! table    what identifies a block
//! packet   one frame of recovery data
//! ```

pub mod code;
pub mod find;
pub mod layout;
pub mod make;
pub mod mend;
pub mod packet;
pub mod spool;
pub mod table;

pub use layout::Layout;
