//! A real small disk, for tests of one that is full or goes away.

#![allow(dead_code, unreachable_pub, missing_docs, clippy::unwrap_used, clippy::print_stderr)]

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

/// A real file system in a file, for what only one of a disk can meet: an error by which it stops.
pub struct RealDisk(pub PathBuf);

impl RealDisk {
    /// `None`, with a word, where none can be made or mounted.
    pub fn mount(at: &Path) -> Option<Self> {
        fs::create_dir_all(at).unwrap();
        let image = at.with_extension("image");
        fs::File::create(&image).unwrap().set_len(32 << 20).unwrap();
        if succeeds(Process::new("mkfs.ext4").args(["-q", "-F"]).arg(&image)) && mounted(at) {
            return Some(Self(at.to_path_buf()));
        }
        eprintln!("skipped: this user may not mount a file system in a file");
        None
    }

    /// Changes one byte after `mark`, wherever that lies on the disk, while nobody has it: no time of a file tells it.
    pub fn rot(&self, mark: &[u8]) {
        assert!(succeeds(Process::new("umount").arg(&self.0)));
        let image = self.0.with_extension("image");
        let mut bytes = fs::read(&image).unwrap();
        let found: Vec<usize> = (0..bytes.len() - mark.len()).filter(|at| bytes[*at..].starts_with(mark)).collect();
        assert!(!found.is_empty(), "nothing lies there that begins so");
        found.into_iter().for_each(|at| bytes[at + mark.len()] ^= 1);
        fs::write(&image, bytes).unwrap();
        assert!(mounted(&self.0));
    }

    /// Has the file system meet an error, after which it takes nothing more; false where this cannot be had.
    pub fn stop(&self) -> bool {
        let table = fs::read_to_string("/proc/self/mountinfo").unwrap();
        let line = table.lines().find(|line| line.split(' ').nth(4) == self.0.to_str()).unwrap();
        let device =
            line.split(" - ").nth(1).unwrap().split(' ').nth(1).unwrap().trim_start_matches("/dev/").to_owned();
        let stopped = fs::write(format!("/sys/fs/ext4/{device}/trigger_fs_error"), "for a test").is_ok();
        if !stopped {
            eprintln!("skipped: this file system cannot be made to meet an error");
        }
        stopped
    }
}

fn succeeds(command: &mut Process) -> bool {
    command.output().is_ok_and(|output| output.status.success())
}

fn mounted(at: &Path) -> bool {
    let image = at.with_extension("image");
    succeeds(Process::new("mount").args(["-o", "loop,errors=remount-ro"]).arg(&image).arg(at))
}

impl Drop for RealDisk {
    fn drop(&mut self) {
        let _ = Process::new("umount").arg("--lazy").arg(&self.0).status();
    }
}

/// A mounted disk that never answers: whoever asks anything of it waits until this value goes. Named after what it is
/// for, since a program that stands still for ever cannot be tested otherwise.
#[cfg(target_os = "linux")]
pub struct SilentDisk {
    at: PathBuf,
    // Closed first, which lets everybody go who waits.
    door: Option<fs::File>,
}

#[cfg(target_os = "linux")]
impl SilentDisk {
    /// `None`, with a word, for a user who may not mount one.
    pub fn mount(at: &Path) -> Option<Self> {
        fs::create_dir_all(at).unwrap();
        let door = fs::File::options().read(true).write(true).open("/dev/fuse").ok();
        let mounted = door.as_ref().and_then(|door| {
            let options = "fd=0,rootmode=40000,user_id=0,group_id=0";
            let mut mount = Process::new("mount");
            mount.args(["-i", "-t", "fuse", "-o", options, "silent"]).arg(at).stdin(door.try_clone().unwrap());
            mount.output().ok().filter(|output| output.status.success())
        });
        if mounted.is_none() {
            eprintln!("skipped: this user may not mount a file system");
        }
        mounted.map(|_| Self { at: at.to_path_buf(), door })
    }
}

#[cfg(target_os = "linux")]
impl Drop for SilentDisk {
    fn drop(&mut self) {
        drop(self.door.take());
        let _ = Process::new("umount").arg("--lazy").arg(&self.at).status();
    }
}
