//! Where the program keeps its own files. Only here is the environment read.

use std::path::{Path, PathBuf};

#[cfg(unix)]
use crate::storage::Ownership;
#[cfg(all(unix, not(target_vendor = "apple")))]
use crate::storage::owners::{ROOT, owner_of};
use crate::{
    control::Clock,
    engine::{Config, HostKind},
    error::{Error, ErrorKind, Result},
    service::{Sockets, background::Background, install::Folders},
    settings, storage,
};

/// File name of the list of the service's data files.
const LIST: &str = "service.toml";

/// The folders of the program's own files.
pub(super) struct Own {
    config: PathBuf,
    data: PathBuf,
}

impl Own {
    /// Settings, lists and keys.
    pub(super) fn config_dir(&self) -> &Path {
        &self.config
    }

    /// History, and what engines need while they run.
    pub(super) fn data_dir(&self) -> &Path {
        &self.data
    }
}

pub(super) fn directories() -> Result<Own> {
    let found = directories::ProjectDirs::from("", "", "Strongroom").ok_or_else(|| {
        Error::new(ErrorKind::NotFound, "the home folder of this user is not known")
            .hint("Set the environment variable HOME to a folder that this user may write.")
    })?;
    let own = Own { config: found.config_dir().to_path_buf(), data: found.data_dir().to_path_buf() };
    #[cfg(all(unix, not(target_vendor = "apple")))]
    if is_superuser() {
        let home = nix::unistd::User::from_uid(ROOT.into()).ok().flatten().map(|root| root.dir);
        return Ok(of_superuser(own, home, owner_of));
    }
    Ok(own)
}

/// The superuser's own files, where the environment may be that of another user, as with `sudo -E`: whoever owns a
/// folder can put links in it, and would read or lead what the superuser keeps there. Then they are in his own home
/// folder.
#[cfg(all(unix, not(target_vendor = "apple")))]
fn of_superuser(own: Own, home: Option<PathBuf>, owner_of: impl Fn(&Path) -> Option<u32>) -> Own {
    let is_foreign = |path: &Path| owner_of(path).is_some_and(|owner| owner != ROOT);
    match home {
        Some(home) if is_foreign(&own.config) || is_foreign(&own.data) => {
            Own { config: home.join(".config/strongroom"), data: home.join(".local/share/strongroom") }
        }
        _ => own,
    }
}

/// The place of the data file that `asked` leads to: settings, archives and log go by that.
///
/// # Errors
/// Where it was moved and a link left in its place, by which its settings stayed.
pub(super) fn data_file(asked: &Path, own: &Own) -> Result<PathBuf> {
    match settings::left_behind(asked, own.config_dir()) {
        Some(error) => Err(error),
        None => Ok(storage::real_path(asked)),
    }
}

/// What tells the time to the commands, and to engines that they begin.
pub(super) fn clock() -> Clock {
    Clock::default()
}

/// For an engine that runs as `kind`.
pub(super) fn config(kind: HostKind) -> Result<Config> {
    let folders = directories()?;
    Ok(Config {
        data_dir: folders.data_dir().to_path_buf(),
        settings_dir: folders.config_dir().to_path_buf(),
        program: std::env::current_exe().ok(),
        host: kind,
        address: None,
        list: None,
        given_list: None,
        keeps_no_log: false,
        as_root: super::rights::is_as_root(),
        clock: clock(),
    })
}

/// Where the folders of users lie that have no home folder of their own, and those of services: only the superuser
/// makes any here.
#[cfg(unix)]
const STATE: &str = if cfg!(target_os = "macos") { "/var/db" } else { "/var/lib" };

/// The environment of a user whom the superuser's program is to become. His own files are where a service of the system
/// that runs as him keeps them, if there is one, so that both have one Backup journal; else in his home folder. A user
/// without one gets the folder that such a service would have.
///
/// # Errors
/// When that folder cannot be made, or is somebody else's.
#[cfg(unix)]
pub(super) fn environment_of(
    user: u32,
    group: u32,
    name: &str,
    home: Option<PathBuf>,
) -> Result<Vec<(&'static str, PathBuf)>> {
    use std::os::unix::fs::MetadataExt;
    let is_own = |path: &PathBuf| path.symlink_metadata().is_ok_and(|meta| meta.is_dir() && meta.uid() == user);
    let state = PathBuf::from(STATE).join(format!("strongroom-{name}"));
    let home = home.filter(|home| home.metadata().is_ok_and(|meta| meta.is_dir() && meta.uid() == user));
    if home.is_none() && !is_own(&state) {
        let fail = |e| Error::io("make the folder", &state, e);
        std::os::unix::fs::DirBuilderExt::mode(&mut std::fs::DirBuilder::new(), 0o700).create(&state).map_err(fail)?;
        Ownership { mode: None, owner: Some((user, group)) }.apply_at(&state)?;
    }
    let mut environment = vec![("USER", PathBuf::from(name)), ("LOGNAME", PathBuf::from(name))];
    if is_own(&state) {
        environment.extend([("XDG_CONFIG_HOME", state.join("config")), ("XDG_DATA_HOME", state.join("data"))]);
    }
    environment.push(("HOME", home.unwrap_or(state)));
    let runtime = PathBuf::from(format!("/run/user/{user}"));
    if is_own(&runtime) {
        environment.push(("XDG_RUNTIME_DIR", runtime));
    }
    Ok(environment)
}

/// The list of the service's data files.
pub(super) fn list() -> Result<PathBuf> {
    Ok(directories()?.config_dir().join(LIST))
}

/// Where engines of this user listen: in the folder that systemd gives a service, in that of the session, or beside the
/// program's data.
pub(super) fn sockets() -> Result<Sockets> {
    let given = std::env::var_os("RUNTIME_DIRECTORY").map(PathBuf::from).filter(|path| path.is_absolute());
    let of_session = || {
        let folder = std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from)?;
        folder.is_absolute().then(|| folder.join("strongroom"))
    };
    let beside = directories()?.data_dir().join("run");
    Ok(Sockets::new(&given.or_else(of_session).unwrap_or(beside), &std::env::temp_dir()))
}

/// What a window needs to know of this machine.
#[cfg(feature = "gui")]
pub(super) fn setup() -> crate::ui::Setup {
    let user = directories::UserDirs::new();
    let documents = user.as_ref().map(|d| d.document_dir().unwrap_or_else(|| d.home_dir()).to_path_buf());
    let service = std::env::current_exe().ok().zip(folders().ok());
    crate::ui::Setup {
        sample_folder: documents.unwrap_or_else(|| PathBuf::from(".")).join("Strongroom sample"),
        service,
        background: background().ok(),
        notifies: true,
        is_superuser: is_superuser(),
    }
}

/// How a process in the background is begun, and where its messages are.
pub(super) fn background() -> Result<Background> {
    let program = std::env::current_exe().map_err(|e| Error::io("find", "the program itself".as_ref(), e))?;
    Ok(Background { program, messages: directories()?.data_dir().join("background.log") })
}

/// The folders of this user that a service needs to know.
pub(super) fn folders() -> Result<Folders> {
    let base = directories::BaseDirs::new().ok_or_else(|| {
        Error::new(ErrorKind::NotFound, "the home folder of this user is not known")
            .hint("Set the environment variable HOME to a folder that this user may write.")
    })?;
    Ok(Folders { home: base.home_dir().to_path_buf(), config: base.config_dir().to_path_buf(), list: list()? })
}

pub(super) fn is_superuser() -> bool {
    #[cfg(unix)]
    return rustix::process::geteuid().is_root();
    #[cfg(not(unix))]
    false
}

#[cfg(all(test, unix, not(target_vendor = "apple")))]
mod tests {
    use super::*;

    #[test]
    fn the_superuser_keeps_nothing_in_folders_of_others() {
        let own = |home: &str| Own {
            config: Path::new(home).join(".config/strongroom"),
            data: Path::new(home).join(".local/share/strongroom"),
        };
        let owner_of = |path: &Path| Some(if path.starts_with("/home/u/.local") { 1000 } else { ROOT });
        let home = || Some(PathBuf::from("/root"));
        for (given, expected) in [("/home/u", "/root"), ("/srv/root", "/srv/root"), ("/root", "/root")] {
            let kept = of_superuser(own(given), home(), owner_of);
            assert_eq!((kept.config, kept.data), (own(expected).config, own(expected).data));
        }
        assert_eq!(of_superuser(own("/home/u"), None, owner_of).data, own("/home/u").data);
    }
}
