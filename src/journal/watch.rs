//! Waiting for a commit: file events where the system gives them, a bell that other threads ring, and a time limit.

use std::{path::Path, time::Duration};

use crate::error::Result;

#[cfg(target_os = "linux")]
mod system {
    use std::{
        io::{PipeReader, PipeWriter, Write},
        mem::MaybeUninit,
        os::fd::OwnedFd,
        path::Path,
        sync::Arc,
        time::Duration,
    };

    use rustix::{
        event::{PollFd, PollFlags, Timespec, poll},
        fs::inotify,
    };

    use crate::error::{Error, Result};

    #[derive(Debug, Clone)]
    pub(in crate::journal) struct Bell(Arc<PipeWriter>);

    impl Bell {
        pub(in crate::journal) fn ring(&self) {
            let _ = (&*self.0).write(&[1]);
        }
    }

    #[derive(Debug)]
    pub(in crate::journal) struct Watch {
        bell: PipeReader,
        events: Option<OwnedFd>,
    }

    impl Watch {
        pub(in crate::journal) fn new(path: &Path) -> Result<(Self, Bell)> {
            let (bell, ringer) = std::io::pipe().map_err(|e| Error::io("watch", path, e))?;
            Ok((Self { bell, events: None }, Bell(Arc::new(ringer))))
        }

        pub(in crate::journal) fn follow(&mut self, wal: &Path) {
            let events = inotify::init(inotify::CreateFlags::NONBLOCK | inotify::CreateFlags::CLOEXEC);
            // Without events (limit reached, unusual file system) the time limit of each wait does it.
            self.events = events.ok().filter(|fd| inotify::add_watch(fd, wal, inotify::WatchFlags::MODIFY).is_ok());
        }

        pub(in crate::journal) fn wait(&mut self, limit: Duration) -> bool {
            let timeout = Timespec::try_from(limit).ok();
            let mut fds = vec![PollFd::new(&self.bell, PollFlags::IN)];
            fds.extend(self.events.as_ref().map(|fd| PollFd::new(fd, PollFlags::IN)));
            if poll(&mut fds, timeout.as_ref()).is_err() {
                return false;
            }
            let rung = fds[0].revents().contains(PollFlags::IN);
            let event = fds.get(1).is_some_and(|fd| fd.revents().contains(PollFlags::IN));
            if rung {
                let mut buffer = [0; 64];
                let _ = rustix::io::read(&self.bell, &mut buffer);
            }
            if let Some(fd) = self.events.as_ref().filter(|_| event) {
                let mut buffer = [MaybeUninit::uninit(); 4096];
                let mut reader = inotify::Reader::new(fd, &mut buffer);
                while reader.next().is_ok() {}
            }
            rung || event
        }
    }
}

#[cfg(not(target_os = "linux"))]
mod system {
    use std::{
        path::Path,
        sync::mpsc::{Receiver, SyncSender, sync_channel},
        time::Duration,
    };

    use crate::error::Result;

    /// Without file events, waits are cut into pieces of this length.
    const POLL: Duration = Duration::from_millis(20);

    #[derive(Debug, Clone)]
    pub(in crate::journal) struct Bell(SyncSender<()>);

    impl Bell {
        pub(in crate::journal) fn ring(&self) {
            let _ = self.0.try_send(());
        }
    }

    #[derive(Debug)]
    pub(in crate::journal) struct Watch(Receiver<()>);

    impl Watch {
        pub(in crate::journal) fn new(_path: &Path) -> Result<(Self, Bell)> {
            let (ringer, bell) = sync_channel(1);
            Ok((Self(bell), Bell(ringer)))
        }

        pub(in crate::journal) fn follow(&mut self, _wal: &Path) {}

        pub(in crate::journal) fn wait(&mut self, limit: Duration) -> bool {
            self.0.recv_timeout(limit.min(POLL)).is_ok()
        }
    }
}

/// Wakes the thread that waits.
#[derive(Debug, Clone)]
pub(super) struct Bell(system::Bell);

impl Bell {
    pub(super) fn ring(&self) {
        self.0.ring();
    }
}

/// What the capture thread waits on.
#[derive(Debug)]
pub(super) struct Watch(system::Watch);

impl Watch {
    /// `path` is only named in errors.
    pub(super) fn new(path: &Path) -> Result<(Self, Bell)> {
        let (watch, bell) = system::Watch::new(path)?;
        Ok((Self(watch), Bell(bell)))
    }

    /// Begins to listen to writes to the file at `wal`.
    pub(super) fn follow(&mut self, wal: &Path) {
        self.0.follow(wal);
    }

    /// Returns after an event, a ring, or `limit`; true when it was not the limit.
    pub(super) fn wait(&mut self, limit: Duration) -> bool {
        self.0.wait(limit)
    }
}
