//! One connection between an engine and a client, and the places where engines listen.
//!
//! Sockets lie in a folder that only their user may enter, and each side asks the system who the other one is: nobody
//! but the same user and the superuser gets in, and a client talks to nobody whom it need not trust.

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use interprocess::{
    ConnectWaitMode,
    local_socket::{ConnectOptions, GenericFilePath, Listener, ListenerOptions, Name, Stream, prelude::*},
};
use serde::{Serialize, de::DeserializeOwned};

use super::protocol::{self, Broken};
use crate::{
    engine::{Host, HostKind},
    error::{Error, ErrorKind, Result},
};

/// A system allows a little over 100 bytes for the path of a socket.
const PATH_MAX: usize = 100;
const ENDING: &str = ".sock";
/// So long somebody may take to let in who only asks whether he is there.
const TIDY_MAX: Duration = Duration::from_millis(200);
/// The kinds of engines that are found by looking for them.
const STAYING: [&str; 2] = ["service", "background"];

/// Both sides of a conversation; cheap to clone, so that one thread reads and another one writes.
#[derive(Debug, Clone)]
pub(super) struct Connection(Arc<Stream>);

impl Connection {
    pub(super) fn new(stream: Stream) -> Self {
        Self(Arc::new(stream))
    }

    /// Connects to whoever listens at `address`, waiting for at most `limit`.
    pub(super) fn connect(address: &str, limit: Duration) -> io::Result<Self> {
        let options = ConnectOptions::new().name(name_of(address)?).wait_mode(ConnectWaitMode::Timeout(limit));
        Ok(Self::new(options.connect_sync()?))
    }

    /// Whether both are the same conversation.
    pub(super) fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// How long a write may take; not to be had on every system.
    pub(super) fn limit(&self, write: Option<Duration>) {
        let _ = self.0.set_send_timeout(write);
    }

    pub(super) fn send(&self, message: &impl Serialize) -> io::Result<()> {
        protocol::write(&mut &*self.0, message)
    }

    /// Reads a frame of at most `limit` bytes. It must begin within `idle`, where that is said, and be whole within
    /// [`FRAME_TIME`] of its first byte: one side that sends a byte now and then holds up nobody.
    pub(super) fn receive<T: DeserializeOwned>(&self, limit: usize, idle: Option<Duration>) -> Result<T, Broken> {
        let until = idle.map(|idle| Instant::now() + idle);
        protocol::read(&mut Timed { stream: &self.0, until, has_begun: false }, limit)
    }

    /// Ends the conversation: whoever reads or writes, on either side, is told so.
    pub(super) fn close(&self) {
        #[cfg(unix)]
        {
            use std::os::fd::AsFd;
            let Stream::UdSocket(socket) = &*self.0;
            let _ = rustix::net::shutdown(socket.as_fd(), rustix::net::Shutdown::Both);
        }
    }

    /// The user on the other side. `interprocess` tells of none whose process is outside of this container, where its
    /// number is 0.
    #[cfg(target_os = "linux")]
    fn peer(&self) -> Option<u32> {
        use nix::sys::socket::{getsockopt, sockopt::PeerCredentials};
        let Stream::UdSocket(socket) = &*self.0;
        getsockopt(socket, PeerCredentials).ok().map(|peer| peer.uid())
    }

    #[cfg(all(unix, not(target_os = "linux")))]
    fn peer(&self) -> Option<u32> {
        self.0.peer_creds().ok().and_then(|peer| peer.euid())
    }

    /// Whether the other side is this user, the superuser, or `other`.
    pub(super) fn is_trusted(&self, other: Option<u32>) -> bool {
        #[cfg(unix)]
        {
            let own = rustix::process::geteuid().as_raw();
            self.peer().is_some_and(|peer| peer == own || peer == 0 || Some(peer) == other)
        }
        #[cfg(not(unix))]
        {
            // A named pipe of Windows lets in its creator, administrators and the system, by its default.
            let _ = other;
            true
        }
    }
}

/// A frame that has begun must be whole after so long.
pub(super) const FRAME_TIME: Duration = Duration::from_secs(10);

/// Reads until a moment, however often something arrives.
struct Timed<'a> {
    stream: &'a Stream,
    until: Option<Instant>,
    has_begun: bool,
}

impl io::Read for Timed<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = self.until.map(|until| until.saturating_duration_since(Instant::now()));
        if left.is_some_and(|left| left.is_zero()) {
            return Err(io::ErrorKind::TimedOut.into());
        }
        // Systems take less than a microsecond for no limit.
        let _ = self.stream.set_recv_timeout(left.map(|left| left.max(Duration::from_millis(1))));
        let read = io::Read::read(&mut &*self.stream, buffer).map_err(|e| match e.kind() {
            // What systems call a time that is over.
            io::ErrorKind::WouldBlock => io::ErrorKind::TimedOut.into(),
            _ => e,
        })?;
        if !self.has_begun {
            self.has_begun = true;
            self.until = Some(Instant::now() + FRAME_TIME);
        }
        Ok(read)
    }
}

fn name_of(address: &str) -> io::Result<Name<'_>> {
    address.to_fs_name::<GenericFilePath>()
}

/// The places where the engines of this user listen.
#[derive(Debug, Clone)]
pub struct Sockets {
    folder: PathBuf,
}

/// Where an engine listens. The place is gone when this is dropped.
#[derive(Debug)]
pub struct Listening {
    pub(super) listener: Listener,
    /// Where others reach it.
    pub address: String,
}

impl Sockets {
    /// Sockets in `folder`; where its path is too long for one, in a folder of this user below `temporary`.
    pub fn new(folder: &Path, temporary: &Path) -> Self {
        #[cfg(unix)]
        let folder = if folder.join("background-4194304.sock").as_os_str().len() > PATH_MAX {
            temporary.join(format!("strongroom-{}", rustix::process::geteuid().as_raw()))
        } else {
            folder.to_path_buf()
        };
        #[cfg(not(unix))]
        let (folder, _) = (folder.to_path_buf(), (temporary, PATH_MAX));
        Self { folder }
    }

    /// Begins to listen for an engine that runs in this process, as `kind`.
    ///
    /// # Errors
    /// When the folder cannot be made, or belongs to another user.
    pub fn listen(&self, kind: HostKind) -> Result<Listening> {
        make_private(&self.folder)?;
        self.tidy();
        let path = self.path(Host::this(kind));
        // Left by a crashed process that had our number.
        let _ = fs::remove_file(&path);
        let address = path.to_str().map(str::to_owned).ok_or_else(|| {
            Error::new(ErrorKind::UnsafePath, format!("{} cannot be the name of a socket", path.display()))
        })?;
        let fail = |e| Error::io("listen at", &path, e);
        let options = || Ok(ListenerOptions::new().name(name_of(&address)?));
        #[cfg(target_os = "linux")]
        let options = || {
            use interprocess::os::unix::local_socket::ListenerOptionsExt;
            options().map(|o: ListenerOptions<'_>| o.mode(0o600))
        };
        let listener = options().and_then(|options| options.create_sync()).map_err(fail)?;
        Ok(Listening { listener, address })
    }

    fn path(&self, host: Host) -> PathBuf {
        let kind = match host.kind {
            HostKind::Service => "service",
            HostKind::Background => "background",
            HostKind::Window => "window",
            HostKind::Command => "command",
        };
        #[cfg(windows)]
        return PathBuf::from(format!(r"\\.\pipe\strongroom-{kind}-{}", host.process));
        #[cfg(not(windows))]
        self.folder.join(format!("{kind}-{}{ENDING}", host.process))
    }

    /// The addresses of the services that run for this user, and of what windows left in the background, or did until a
    /// crash; for the superuser also those of all users that the system runs, each with the user that it must belong
    /// to.
    pub fn services(&self) -> Vec<(String, Option<u32>)> {
        let mut found = services_in(&self.folder, None);
        #[cfg(target_os = "linux")]
        if rustix::process::geteuid().is_root() {
            found.extend(services_of_system(Path::new("/run")));
        }
        found.sort();
        found.dedup_by(|a, b| a.0 == b.0);
        found
    }

    /// Removes what crashed processes left. A socket whose process lives stays, whatever it does; so does one at which
    /// somebody listens whose number means nothing here, because he runs in a container that has this folder too.
    fn tidy(&self) {
        for path in fs::read_dir(&self.folder).into_iter().flatten().flatten().map(|entry| entry.path()) {
            let Some(address) = path.to_str() else { continue };
            if parse(&path).is_some_and(|(_, process)| !lives(process))
                && Connection::connect(address, TIDY_MAX).is_err_and(|e| e.kind() == io::ErrorKind::ConnectionRefused)
            {
                let _ = fs::remove_file(&path);
            }
        }
    }
}

fn services_in(folder: &Path, owner: Option<u32>) -> Vec<(String, Option<u32>)> {
    let names = fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    let is_service = |path: &PathBuf| {
        parse(path).is_some_and(|(kind, process)| STAYING.contains(&kind.as_str()) && process != std::process::id())
    };
    names.filter(is_service).filter_map(|path| Some((path.to_str()?.to_owned(), owner))).collect()
}

/// Where systemd has services listen: `strongroom-NAME` in a folder that only the superuser can write, owned by the
/// user they run as.
#[cfg(target_os = "linux")]
fn services_of_system(run: &Path) -> Vec<(String, Option<u32>)> {
    use std::os::unix::fs::MetadataExt;
    let folders = fs::read_dir(run).into_iter().flatten().flatten();
    let ours = folders.filter(|entry| entry.file_name().to_string_lossy().starts_with("strongroom-"));
    let with_owner = ours.filter_map(|entry| {
        let meta = entry.metadata().ok().filter(fs::Metadata::is_dir)?;
        Some(services_in(&entry.path(), Some(meta.uid())))
    });
    with_owner.flatten().collect()
}

/// Splits `service-123.sock`.
fn parse(path: &Path) -> Option<(String, u32)> {
    let name = path.file_name()?.to_str()?.strip_suffix(ENDING)?;
    let (kind, process) = name.rsplit_once('-')?;
    Some((kind.to_owned(), process.parse().ok()?))
}

fn lives(process: u32) -> bool {
    #[cfg(unix)]
    {
        let process = i32::try_from(process).ok().and_then(rustix::process::Pid::from_raw);
        // Not permitted means that it lives, and is somebody else's.
        process.is_some_and(|p| rustix::process::test_kill_process(p) != Err(rustix::io::Errno::SRCH))
    }
    #[cfg(not(unix))]
    {
        let _ = process;
        true
    }
}

/// Makes the folder for sockets, which nobody else may enter; or sees that an existing one is so.
fn make_private(folder: &Path) -> Result<()> {
    crate::storage::make_private_folders(folder)?;
    #[cfg(unix)]
    {
        use std::os::unix::fs::{MetadataExt, PermissionsExt};
        let meta = folder.symlink_metadata().map_err(|e| Error::io("read the folder", folder, e))?;
        if !meta.is_dir() || meta.uid() != rustix::process::geteuid().as_raw() {
            let message = format!("{} belongs to another user, or is no folder", folder.display());
            return Err(Error::new(ErrorKind::Permission, message)
                .hint("Remove it, so that Strongroom can make it for this user alone."));
        }
        if meta.mode() & 0o077 != 0 {
            fs::set_permissions(folder, fs::Permissions::from_mode(0o700))
                .map_err(|e| Error::io("set the permissions of", folder, e))?;
        }
    }
    Ok(())
}

#[cfg(all(test, unix))]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    type Outcome = std::result::Result<(), Box<dyn std::error::Error>>;

    #[test]
    fn leftovers_of_crashed_processes_go_and_nobody_else_may_enter() -> Outcome {
        let folder = tempfile::tempdir()?;
        let run = folder.path().join("run");
        fs::create_dir(&run)?;
        fs::set_permissions(&run, fs::Permissions::from_mode(0o755))?;
        let own = format!("window-{}.sock", std::process::id());
        for name in ["service-999999999.sock", own.as_str(), "notes.txt"] {
            fs::write(run.join(name), "")?;
        }
        let in_a_container = run.join("service-999999998.sock");
        let _listener = std::os::unix::net::UnixListener::bind(&in_a_container)?;
        let sockets = Sockets::new(&run, folder.path());
        let first = sockets.listen(HostKind::Window)?;
        assert_eq!(fs::metadata(&run)?.permissions().mode() & 0o777, 0o700);
        let names = || -> io::Result<Vec<_>> {
            let mut names = fs::read_dir(&run)?.map(|e| Ok(e?.file_name())).collect::<io::Result<Vec<_>>>()?;
            names.sort();
            Ok(names)
        };
        assert_eq!(names()?, ["notes.txt", "service-999999998.sock", own.as_str()]);
        assert_eq!(sockets.services().len(), 1);
        drop(first);
        assert_eq!(names()?, ["notes.txt", "service-999999998.sock"]);
        Ok(())
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn services_of_the_system_are_found_with_the_user_they_run_as() -> Outcome {
        use std::os::unix::fs::MetadataExt;
        let run = tempfile::tempdir()?;
        for folder in ["strongroom-vault", "strongroom-web", "other"] {
            fs::create_dir(run.path().join(folder))?;
        }
        for name in ["strongroom-vault/service-7.sock", "strongroom-web/window-8.sock", "other/service-9.sock"] {
            fs::write(run.path().join(name), "")?;
        }
        let owner = fs::metadata(run.path())?.uid();
        let address = run.path().join("strongroom-vault/service-7.sock").to_string_lossy().into_owned();
        assert_eq!(services_of_system(run.path()), [(address, Some(owner))]);
        Ok(())
    }

    #[test]
    fn a_path_too_long_for_a_socket_is_replaced_by_a_short_one() -> Outcome {
        let folder = tempfile::tempdir()?;
        let deep = folder.path().join("x".repeat(120));
        let sockets = Sockets::new(&deep, folder.path());
        let listening = sockets.listen(HostKind::Service)?;
        assert!(listening.address.len() <= PATH_MAX, "{}", listening.address);
        Ok(())
    }
}
