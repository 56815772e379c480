//! Strongroom as a service of the system: what to write and what to run for it. Planned first, then done.
//!
//! On Linux that is a unit of systemd, of the system or of one user; on macOS a job of launchd. It runs as the owner of
//! the data files and needs no rights beyond theirs.

mod launchd;
mod systemd;

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

#[cfg(unix)]
use crate::storage::owners::name_of;
use crate::{
    engine::add_to_list,
    error::{Error, ErrorKind, Result},
    storage::{self, Ownership, owners::ROOT},
};

/// Whose service it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Scope {
    /// Of one user, begun with the session or, where the system allows, with the machine.
    User,
    /// Of the system, begun with the machine, running as this user.
    System(Owner),
}

/// The user that a service runs as.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Owner {
    /// The name.
    pub name: String,
    /// The numbers of user and group.
    pub ids: (u32, u32),
}

/// Which system runs services here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Manager {
    /// systemd, on most Linux systems.
    Systemd,
    /// launchd, on macOS.
    Launchd,
}

/// The folders of this user that a user's service needs to know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Folders {
    /// The home folder.
    pub home: PathBuf,
    /// For settings of programs, such as `~/.config`.
    pub config: PathBuf,
    /// The list of the service's data files.
    pub list: PathBuf,
}

/// What installing or removing a service does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// Its name, for commands of the system.
    pub name: String,
    /// The file to write, or to remove, and what it holds.
    pub file: (PathBuf, String),
    /// The list of its data files. That of a service of the system belongs to the superuser, in a folder of his: what
    /// he writes must not lie where the user of the service could put a link in its place.
    pub list: PathBuf,
    /// The user and group that the service runs as, where the superuser installs it.
    pub owner: Option<(u32, u32)>,
    /// The folder for what the service keeps for itself, where the system makes none; below one of the superuser.
    pub state: Option<PathBuf>,
    /// What to run after the file was written.
    pub begin: Vec<Vec<String>>,
    /// What to run before the file is removed, and after it was.
    pub end: [Vec<Vec<String>>; 2],
    /// What the administrator may want to do.
    pub advice: Option<String>,
}

impl Manager {
    /// The one that runs here.
    ///
    /// # Errors
    /// `Refused` where there is none that is known.
    pub fn find() -> Result<Self> {
        if cfg!(target_os = "macos") {
            return Ok(Manager::Launchd);
        }
        if cfg!(target_os = "linux") && Path::new("/run/systemd/system").exists() {
            return Ok(Manager::Systemd);
        }
        let hint = if cfg!(windows) {
            "Have the Task Scheduler run “strongroom serve” at the start of the system, as the owner of the data files."
        } else {
            "Have your system's start scripts run “strongroom serve” as the owner of the data files; it ends on \
             SIGTERM."
        };
        Err(Error::new(ErrorKind::Refused, "this system has neither systemd nor launchd").hint(hint))
    }

    /// Plans a service that runs `program`.
    pub fn plan(self, program: &Path, scope: &Scope, folders: &Folders) -> Plan {
        match self {
            Manager::Systemd => systemd::plan(program, scope, folders),
            Manager::Launchd => launchd::plan(program, scope, folders),
        }
    }
}

/// The one user that all of these data files belong to.
///
/// # Errors
/// When there is none, or a file cannot be found.
pub fn owner_of(data_files: &[PathBuf]) -> Result<Owner> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt;
        let mut owners = data_files.iter().map(|path| -> Result<(&PathBuf, (u32, u32))> {
            let meta = path.metadata().map_err(|e| Error::io("find", path, e))?;
            Ok((path, (meta.uid(), meta.gid())))
        });
        let (first, ids) = owners.next().transpose()?.ok_or_else(|| {
            Error::new(
                ErrorKind::Refused,
                "a service of the system needs at least one data file, to know as whom to run",
            )
            .hint("Give the data files, or install a service of this user with --user.")
        })?;
        for other in owners {
            let (path, (user, _)) = other?;
            if user != ids.0 {
                let message = format!("{} and {} belong to different users", first.display(), path.display());
                return Err(Error::new(ErrorKind::Refused, message).hint("Install one service for each of them."));
            }
        }
        Ok(Owner { name: name_of(ids.0), ids })
    }
    #[cfg(not(unix))]
    {
        let _ = data_files;
        Err(Error::new(ErrorKind::Refused, "services of the system cannot be installed here")
            .hint("Have the system run “strongroom serve” at its start."))
    }
}

/// The list that the superuser gives to a service which runs as `owner`.
fn given_list(owner: &Owner) -> PathBuf {
    Path::new("/etc/strongroom").join(format!("{}.toml", owner.name))
}

impl Plan {
    /// Writes the service and the list of its data files; with `start`, begins it.
    ///
    /// # Errors
    /// When a file cannot be written, or the system refuses.
    pub fn install(&self, data_files: &[PathBuf], start: bool) -> Result<()> {
        let (file, text) = &self.file;
        let folder = storage::folder_of(file);
        fs::create_dir_all(folder).map_err(|e| Error::io("create the folder", folder, e))?;
        let ownership = match self.owner {
            // The service reads it, by its group; it tells others what there is to be found on this machine.
            Some((_, group)) => Ownership { mode: Some(0o640), owner: Some((ROOT, group)) },
            None => Ownership::default(),
        };
        if self.owner.is_some() {
            let folder = storage::folder_of(&self.list);
            storage::make_private_folders(folder)?;
            Ownership { mode: Some(0o644), owner: None }.apply_at(folder)?;
        }
        for data_file in data_files {
            add_to_list(&self.list, data_file, ownership)?;
        }
        if let Some((state, ids)) = self.state.as_ref().zip(self.owner)
            && state.symlink_metadata().is_err()
        {
            storage::make_private_folders(state)?;
            Ownership { mode: None, owner: Some(ids) }.apply_at(state)?;
        }
        storage::replace_text(file, text, Ownership { mode: Some(0o644), owner: None })?;
        if start { run_all(&self.begin) } else { Ok(()) }
    }

    /// Ends and removes the service. The list of its data files stays.
    ///
    /// # Errors
    /// `NotFound` when none is installed; when the system refuses.
    pub fn uninstall(&self) -> Result<()> {
        let file = &self.file.0;
        if !file.exists() {
            return Err(Error::new(
                ErrorKind::NotFound,
                format!("no service is installed: {} does not exist", file.display()),
            )
            .hint("A service of this user is meant with --user; one of the system is removed by the superuser."));
        }
        let [before, after] = &self.end;
        run_all(before)?;
        fs::remove_file(file).map_err(|e| Error::io("remove", file, e))?;
        run_all(after)
    }
}

fn run_all(commands: &[Vec<String>]) -> Result<()> {
    for command in commands {
        let Some((program, arguments)) = command.split_first() else { continue };
        let shown = command.join(" ");
        let output =
            Command::new(program).args(arguments).output().map_err(|e| Error::io("run", Path::new(program), e))?;
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr);
            let said = said.lines().find(|line| !line.trim().is_empty()).unwrap_or("it does not say why").to_owned();
            return Err(Error::new(ErrorKind::Refused, format!("{shown} failed: {said}")).hint(
                "The file of the service was written; see what the system says of it, then run that command by hand.",
            ));
        }
    }
    Ok(())
}

fn words(command: &str) -> Vec<String> {
    command.split(' ').map(str::to_owned).collect()
}
