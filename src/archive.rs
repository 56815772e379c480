//! Archives: one full backup each (`.4BK`), numbered, never changed once named.

pub mod catalog;
pub mod compress;
pub mod format;
pub mod heal;
pub mod hold;
pub mod keys;
pub mod lawful;
pub mod leftovers;
pub mod log_recovery;
pub mod not_whole;
pub mod options;
pub mod original;
mod output;
pub mod pipeline;
pub mod reader;
pub mod recovery;
pub mod rewrite;
pub mod segments;
pub mod signature;
pub mod tar_check;
mod tar_stream;
pub mod volume;
pub mod writer;
pub use format::{ArchiveNumber, Identity, Item, ItemKind};
pub use options::{ArchiveOptions, Compression, Guarantee, Rate};
pub use reader::Archive;
pub use tar_stream::{Entry, Source, TextSource, entry_type};
