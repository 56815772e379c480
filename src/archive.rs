//! Archives: one full backup each (`.4BK`), numbered, never changed once named.

pub mod catalog;
pub mod format;
pub mod pipeline;
pub mod reader;
pub mod writer;
pub use format::{ArchiveNumber, Identity, Item, ItemKind};
pub use reader::Archive;
