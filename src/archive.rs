//! Archives: one full backup each (`.4BK`), numbered, never changed once named.

pub mod catalog;
pub mod format;
pub mod options;
pub mod pipeline;
pub mod reader;
pub mod recovery;
pub mod writer;
pub use format::{ArchiveNumber, Identity, Item, ItemKind};
pub use options::{ArchiveOptions, Compression, Rate};
pub use reader::Archive;
