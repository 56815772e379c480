//! A disk on which somebody does harm to other files in the middle of a backup.

#![allow(dead_code, unreachable_pub, missing_docs, clippy::unwrap_used)]

use std::{
    path::Path,
    sync::{Arc, Mutex},
};

use super::between::{Between, DiskBetween};

type Harm = Box<dyn FnOnce() + Send>;

/// The real disk, on which somebody does harm to the attachments at the chosen write to the archive: the first one
/// comes after all files were looked at and before any was read; the second one after the first few MiB were.
pub type HarmfulDisk = DiskBetween<Harmful>;

#[derive(Clone)]
pub struct Harmful(Arc<Mutex<(usize, Option<Harm>)>>);

impl HarmfulDisk {
    pub fn new(at: usize, harm: impl FnOnce() + Send + 'static) -> Self {
        Self(Harmful(Arc::new(Mutex::new((at, Some(Box::new(harm)))))))
    }
}

impl Between for Harmful {
    fn before_write(&self, _path: &Path) {
        let mut state = self.0.lock().unwrap();
        state.0 = state.0.saturating_sub(1);
        if state.0 == 0
            && let Some(harm) = state.1.take()
        {
            harm();
        }
    }
}
