//! Other users of the machine: what they do is done as they would do it.

use std::{
    fs,
    os::unix::fs::{MetadataExt, PermissionsExt, chown},
    path::Path,
    process::{Child, Command, Stdio},
};

/// The user and group `nobody`.
pub const OTHER: u32 = 65534;

/// Whether this test may act as another user; says so where not.
pub fn can_act_as_others() -> bool {
    let own = tempfile::tempdir().unwrap();
    let is_root = fs::metadata(own.path()).unwrap().uid() == 0;
    let found = is_root && super::has("setpriv");
    if !found {
        eprintln!("skipped: this acts as another user, which needs root and the command setpriv");
    }
    found
}

/// A command by the other user and in `folder`, with nothing of root's.
pub fn as_other(folder: &Path, program: &Path) -> Command {
    let mut command = Command::new("setpriv");
    let id = OTHER.to_string();
    command.args(["--reuid", &id, "--regid", &id, "--clear-groups", "--"]).arg(program);
    command.current_dir(folder).env_clear().env("PATH", "/usr/bin:/bin").stdin(Stdio::null());
    command
}

/// `sh -c script`, by the other user and in `folder`, to its end.
pub fn do_as_other(folder: &Path, script: &str) {
    let status = as_other(folder, Path::new("sh")).args(["-c", script]).status().unwrap();
    assert!(status.success(), "{script}: {status}");
}

/// Copies a program that is to be run, by a process of its own: what this one has open to write, or a child of it that
/// was begun at that moment, cannot be run.
pub fn copy_program(from: &Path, to: &Path) {
    assert!(Command::new("cp").args([from, to]).status().unwrap().success());
}

/// A function of this test program, an ignored test, that another user runs until this is dropped.
pub struct Attack(Child);

impl Attack {
    pub fn begin(place: &super::Place, folder: &Path, test: &str) -> Self {
        // Where the program lies, another user may not be able to go.
        let program = place.at("attack");
        copy_program(&std::env::current_exe().unwrap(), &program);
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
        let mut command = as_other(folder, &program);
        command.args(["--ignored", "--exact", test]).stdout(Stdio::null()).stderr(Stdio::null());
        Self(command.spawn().unwrap())
    }

    /// Whether it still goes on.
    pub fn goes_on(&mut self) -> bool {
        self.0.try_wait().unwrap().is_none()
    }
}

impl Drop for Attack {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Gives a folder to the other user; those above it can be passed by everybody.
pub fn give(folder: &Path) {
    fs::create_dir_all(folder).unwrap();
    chown(folder, Some(OTHER), Some(OTHER)).unwrap();
    let mut above = folder.parent();
    let top = std::env::temp_dir();
    while let Some(folder) = above.filter(|folder| folder.starts_with(&top) && *folder != top) {
        fs::set_permissions(folder, fs::Permissions::from_mode(0o755)).unwrap();
        above = folder.parent();
    }
}
