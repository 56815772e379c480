//! A real small disk, for tests of one that is full or goes away.

#![allow(unreachable_pub, missing_docs, clippy::unwrap_used, clippy::print_stderr)]

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command as Process,
};

/// A file system of its own, gone with this value.
pub struct SmallDisk(pub PathBuf);

impl SmallDisk {
    /// A disk of this size, such as `2m`; `None`, with a word, for a user who may not mount one.
    pub fn mount(at: &Path, size: &str) -> Option<Self> {
        fs::create_dir_all(at).unwrap();
        let made = Process::new("mount").args(["-t", "tmpfs", "-o", &format!("size={size}"), "tmpfs"]).arg(at).output();
        if made.is_ok_and(|output| output.status.success()) {
            return Some(Self(at.to_path_buf()));
        }
        eprintln!("skipped: this user may not mount a file system");
        None
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Process::new("umount").arg("--lazy").arg(&self.0).status();
    }
}
