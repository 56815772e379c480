//! Another user, for tests of what one user can make another one's program do. They need the superuser, and are skipped
//! without.

use std::{
    fs,
    os::unix::{
        fs::{MetadataExt, PermissionsExt, chown},
        process::CommandExt,
    },
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use super::{PROGRAM, Place};

/// A user who has only a number, as one of a container. What the program makes for him is removed with this.
pub struct User {
    pub id: u32,
}

impl User {
    /// Numbers are not to be shared by tests.
    pub fn new(id: u32) -> Option<Self> {
        if !Command::new("id").arg("-u").output().is_ok_and(|out| out.stdout.starts_with(b"0\n")) {
            eprintln!("skipped: only the superuser can become somebody else");
            return None;
        }
        let user = Self { id };
        user.clean();
        Some(user)
    }

    /// The folder that the program makes for a user without a home folder.
    pub fn state(&self) -> PathBuf {
        PathBuf::from(format!("/var/lib/strongroom-{}", self.id))
    }

    fn clean(&self) {
        let _ = fs::remove_dir_all(self.state());
    }

    /// Gives a file or folder to this user.
    pub fn own(&self, path: &Path) {
        chown(path, Some(self.id), Some(self.id)).unwrap();
    }

    /// A folder of this user in a place that everybody may enter.
    pub fn folder(&self, place: &Place, name: &str) -> PathBuf {
        set_mode(place.folder.path(), 0o755);
        let folder = place.at(name);
        fs::create_dir(&folder).unwrap();
        self.own(&folder);
        folder
    }

    /// Writes a file of this user.
    pub fn write(&self, path: &Path, text: &str) {
        let _ = fs::remove_file(path);
        fs::write(path, text).unwrap();
        self.own(path);
    }

    /// The program, begun by this user.
    pub fn program(&self, place: &Place) -> Command {
        let own = place.at(&format!("own of {}", self.id));
        fs::create_dir_all(&own).unwrap();
        self.own(&own);
        let mut command = Command::new(PROGRAM);
        command.uid(self.id).gid(self.id).current_dir("/").stdin(Stdio::null());
        command.env("XDG_DATA_HOME", &own).env("XDG_CONFIG_HOME", &own).env("HOME", &own);
        command
    }
}

impl Drop for User {
    fn drop(&mut self) {
        self.clean();
    }
}

pub fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

pub fn mode(path: &Path) -> u32 {
    fs::symlink_metadata(path).unwrap().mode() & 0o7777
}

pub fn owner(path: &Path) -> u32 {
    fs::symlink_metadata(path).unwrap().uid()
}

/// Everything below a folder.
pub fn all_below(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).into_iter().flatten() {
        let path = entry.unwrap().path();
        if path.symlink_metadata().unwrap().is_dir() {
            found.extend(all_below(&path));
        }
        found.push(path);
    }
    found
}
