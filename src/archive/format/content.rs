//! What the frames of an archive say: HEAD its identity, INDX its files, TAIL where they are.

use std::path::PathBuf;

use chrono::{DateTime, FixedOffset};
use serde::{Deserialize, Deserializer, Serialize};
use uuid::Uuid;

use super::{
    super::options::{self, ArchiveOptions},
    FRAME_LENGTH, FRAME_LENGTH_SMALL, FrameEntry,
};
use crate::{journal::Position, sqlite::seen::ContentSeen, storage::installation::Installation};
/// A BLAKE3 checksum.
pub type Hash = [u8; 32];

/// Number of a full backup, from 1; 0 stands for "before the first full backup".
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ArchiveNumber(pub u32);

impl ArchiveNumber {
    /// The number after this one.
    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

impl std::fmt::Display for ArchiveNumber {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:04}", self.0)
    }
}

/// What an archive says of itself in its first frame. Unknown fields of later minor versions are ignored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// Names the data file across renames and moves.
    pub data_file_id: Uuid,
    /// Names this archive.
    pub archive_id: Uuid,
    /// File name of the data file, without folder.
    pub data_file_name: String,
    /// Where the data file was, by which its archives are told from those of a copy that goes by the same settings;
    /// earlier versions did not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data_file_path: Option<PathBuf>,
    /// On which machine or in which container it was, and which file there; earlier versions did not say.
    #[serde(default, deserialize_with = "known_installation", skip_serializing_if = "Option::is_none")]
    pub installation: Option<Installation>,
    /// Number of the full backup.
    pub number: ArchiveNumber,
    /// The moment of the state it holds, with the offset of the machine's time zone.
    pub moment: DateTime<FixedOffset>,
    /// Page size of the data file in bytes.
    pub page_size: u32,
    /// Number of its pages.
    pub page_count: u32,
    /// Name and version of the program that wrote it.
    pub program: String,
    /// Where in the log it was cut; without a log there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub log_position: Option<Position>,
    /// What the data file held, and whether SQLite found it sound; `None` where nobody has looked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content: Option<ContentSeen>,
    /// Where that log was; without a log there is none, and earlier versions did not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub log_file: Option<PathBuf>,
    /// How it is stored, where that is not the default.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "options::as_far_as_known")]
    pub options: Option<ArchiveOptions>,
    /// The version of its recovery data; `None` without any, and where that is the first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recovery: Option<u16>,
    /// Which segment of an archive in segments this is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub segment: Option<Segment>,
}

/// What a later version writes there must not make an archive unreadable: nothing depends on it alone.
fn known_installation<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Installation>, D::Error> {
    let said = serde_json::Value::deserialize(deserializer)?;
    Ok(said.as_str().and_then(|text| text.parse().ok()))
}

impl Identity {
    /// How the archive is stored.
    pub fn options(&self) -> ArchiveOptions {
        self.options.unwrap_or_default()
    }

    /// Decompressed length of every data frame but the last; `None` when it says something impossible.
    pub fn frame_length(&self) -> Option<usize> {
        let length = self.segment.map_or(FRAME_LENGTH, |segment| segment.frame_bytes as usize);
        (FRAME_LENGTH_SMALL..=FRAME_LENGTH).contains(&length).then_some(length)
    }
}

/// Which segment of an archive a file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Segment {
    /// Its number, from 1.
    pub number: u32,
    /// Where it begins when all are joined, in bytes.
    pub offset: u64,
    /// Decompressed length of every data frame of the archive but the last.
    pub frame_bytes: u32,
}

/// What an entry of the tar stream is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum ItemKind {
    /// The SQLite data file.
    DataFile,
    /// The settings of the data file.
    Settings,
    /// The description of the archive for people.
    Manifest,
    /// A file of the program that uses the data file.
    Program,
    /// Another file that the administrator chose.
    Attachment,
    /// An empty folder.
    Folder,
    /// A symbolic link.
    Link,
    /// Anything that a later version may add.
    #[serde(other)]
    Other,
}

impl ItemKind {
    /// Whether it is, or belongs to, what was chosen to go into archives beside the data file.
    pub fn is_chosen(self) -> bool {
        !matches!(self, Self::DataFile | Self::Settings | Self::Manifest)
    }

    /// As the window calls it.
    pub fn label(self) -> &'static str {
        match self {
            ItemKind::DataFile => "Data file",
            ItemKind::Settings => "Settings",
            ItemKind::Manifest => "Manifest",
            ItemKind::Program => "Program",
            ItemKind::Attachment => "Attachment",
            ItemKind::Folder => "Folder",
            ItemKind::Link => "Link",
            ItemKind::Other => "File",
        }
    }
}

/// One file inside an archive.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Item {
    /// Relative path with `/`, as in the tar stream.
    pub name: String,
    /// What it is.
    pub kind: ItemKind,
    /// Offset of its content in the tar stream, in bytes.
    pub offset: u64,
    /// Length of its content in bytes.
    pub length: u64,
    /// BLAKE3 of its content, in hexadecimal as `b3sum` prints it.
    pub blake3: String,
    /// Permission bits.
    pub mode: u32,
    /// Last modification, in seconds since 1970 UTC.
    pub modified: i64,
    /// Numeric user and group.
    pub owner: Option<(u32, u32)>,
    /// Where a symbolic link leads.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
    /// Of the description of the archive: how many of the chosen files are not in it, or not whole.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_whole: Option<u64>,
    /// The path as the file had it, in hexadecimal digits, where the name cannot hold it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub original: Option<String>,
}

/// The content of INDX.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Index {
    /// The data frames in order.
    pub frames: Vec<FrameEntry>,
    /// The files in the order of the tar stream.
    pub items: Vec<Item>,
}

impl Index {
    /// How many of the chosen files are not in the archive, or not whole; `None` where it does not say.
    pub fn not_whole(&self) -> Option<u32> {
        not_whole(&self.items)
    }
}

/// How many of the chosen files are not in an archive with these items, or not whole; `None` where it does not say, as
/// those of earlier versions.
pub fn not_whole(items: &[Item]) -> Option<u32> {
    let said = items.iter().find(|item| item.kind == ItemKind::Manifest)?.not_whole?;
    Some(u32::try_from(said).unwrap_or(u32::MAX))
}

/// The content of TAIL.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tail {
    /// Offset of INDX in the archive.
    pub index_offset: u64,
    /// Length of the archive.
    pub length: u64,
    /// Length of the tar stream.
    pub tar_length: u64,
    /// Checksum of the whole.
    pub whole: Hash,
    /// How many of the chosen files are not in the archive, or not whole; `None` where it does not say.
    pub not_whole: Option<u32>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_installation_that_is_written_otherwise_hinders_no_archive() -> Result<(), Box<dyn std::error::Error>> {
        let id = Uuid::nil();
        let read = |said: &str| -> serde_json::Result<Identity> {
            serde_json::from_str(&format!(
                r#"{{"data_file_id":"{id}","archive_id":"{id}","data_file_name":"a","number":1,
                "moment":"2026-01-01T00:00:00Z","page_size":512,"page_count":1,"program":"p"{said}}}"#
            ))
        };
        let known = read(r#","installation":"0123456789abcdef""#)?.installation;
        assert_eq!(known.map(|known| known.to_string()).as_deref(), Some("0123456789abcdef"));
        for said in ["", r#","installation":"0123""#, r#","installation":{"on":"mars"}"#, r#","installation":7"#] {
            assert_eq!(read(said)?.installation, None, "{said}");
        }
        Ok(())
    }
}
