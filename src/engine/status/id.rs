//! The names of data files in the status.

use std::{fmt, path::Path};

use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// Names a data file for as long as it is looked after, whatever it is called on the disk.
///
/// It is the identity that its settings and archives bear. A data file that has none before its first backup, and a
/// copy that goes by the identity of another one looked after here, are named by their path instead: that name is made
/// from the canonical path, so that engine and windows make the same, and stays until the data file is opened again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct DataFileId(Uuid);

impl DataFileId {
    /// The name of the data file at `path`, whose identity is this, if it has one.
    pub fn new(identity: Option<Uuid>, path: &Path) -> Self {
        identity.map_or_else(|| Self::of_path(path), Self)
    }

    fn of_path(path: &Path) -> Self {
        let hash = blake3::hash(path.as_os_str().as_encoded_bytes());
        let mut bytes = [0; 16];
        bytes.copy_from_slice(&hash.as_bytes()[..16]);
        Self(uuid::Builder::from_custom_bytes(bytes).into_uuid())
    }
}

impl fmt::Display for DataFileId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
