//! Waiting for a commit: file events where the system gives them, a bell that other threads ring, and a time limit.
//!
//! All logs of the process share one listener for file events: the system gives a user few of them, and a service may
//! look after hundreds of data files.

use std::{
    path::{Path, PathBuf},
    sync::{Arc, Condvar, Mutex, PoisonError},
    time::{Duration, Instant},
};

use crate::sqlite::snapshot::wal_path;

/// How often a file without events is looked for again, such as a WAL that was deleted and made anew.
const FOLLOW_AGAIN: Duration = Duration::from_secs(5);

/// Something happened, and the one thread that waits for it has not seen it yet.
#[derive(Debug, Default)]
struct Signal {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    /// Whether the thread is to wake.
    is_set: bool,
    /// Whether that is because of more than somebody who closed the data file.
    is_rung: bool,
    /// Whether events of the file no longer come.
    is_deaf: bool,
    /// Whether a program has closed the WAL, perhaps the last one.
    is_closed: bool,
    /// Whether a program has closed the data file, which it could write to.
    is_data_file_closed: bool,
}

/// Which file of a data file is listened to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    DataFile,
    Wal,
}

impl Signal {
    #[cfg(target_os = "linux")]
    fn set_closed(&self, kind: Kind) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        match kind {
            Kind::DataFile => state.is_data_file_closed = true,
            Kind::Wal => state.is_closed = true,
        }
    }

    fn set(&self, kind: Kind, deaf: bool) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.is_deaf |= deaf;
        state.is_rung |= kind == Kind::Wal;
        if !std::mem::replace(&mut state.is_set, true) {
            self.changed.notify_one();
        }
    }
}

/// Wakes the thread that waits.
#[derive(Debug, Clone)]
pub(super) struct Bell(Arc<Signal>);

impl Bell {
    pub(super) fn ring(&self) {
        self.0.set(Kind::Wal, false);
    }
}

/// What the capture thread waits on.
#[derive(Debug)]
pub(super) struct Watch {
    signal: Arc<Signal>,
    wal: PathBuf,
    data_file: PathBuf,
    events: Option<system::Events>,
    /// Of the data file itself: these only tell sooner what is looked for anyway.
    closings: Option<system::Events>,
    followed: Option<Instant>,
}

impl Watch {
    /// A watch that listens to writes to the WAL of `data_file`, which need not exist yet, and to programs that close
    /// either; and the bell that wakes it too.
    pub(super) fn new(data_file: &Path) -> (Self, Bell) {
        let signal = Arc::new(Signal::default());
        let bell = Bell(Arc::clone(&signal));
        let (wal, data_file) = (wal_path(data_file), data_file.to_path_buf());
        let closings = system::Events::of(&data_file, &signal, Kind::DataFile);
        let mut watch = Self { signal, wal, data_file, events: None, closings, followed: None };
        watch.follow();
        (watch, bell)
    }

    fn follow(&mut self) {
        self.followed = Some(Instant::now());
        self.events = system::Events::of(&self.wal, &self.signal, Kind::Wal);
        if self.closings.is_none() {
            self.closings = system::Events::of(&self.data_file, &self.signal, Kind::DataFile);
        }
    }

    /// Whether writes to the file are told; without, it must be looked at often.
    pub(super) fn has_events(&self) -> bool {
        self.events.is_some()
    }

    /// Whether a program has closed the WAL since this was asked last.
    pub(super) fn was_closed(&self) -> bool {
        std::mem::take(&mut self.signal.state.lock().unwrap_or_else(PoisonError::into_inner).is_closed)
    }

    /// The same for the data file.
    pub(super) fn was_data_file_closed(&self) -> bool {
        std::mem::take(&mut self.signal.state.lock().unwrap_or_else(PoisonError::into_inner).is_data_file_closed)
    }

    /// Returns after an event, a ring, or `limit`; true when it was an event of the WAL or a ring.
    pub(super) fn wait(&mut self, limit: Duration) -> bool {
        let state = self.signal.state.lock().unwrap_or_else(PoisonError::into_inner);
        let (mut state, _) = self
            .signal
            .changed
            .wait_timeout_while(state, limit, |state| !state.is_set)
            .unwrap_or_else(PoisonError::into_inner);
        let (was_rung, deaf) = (std::mem::take(&mut state.is_rung), std::mem::take(&mut state.is_deaf));
        state.is_set = false;
        drop(state);
        if deaf {
            self.events = None;
        }
        if self.events.is_none() && self.followed.is_none_or(|at| at.elapsed() >= FOLLOW_AGAIN) {
            self.follow();
        }
        was_rung
    }
}

#[cfg(target_os = "linux")]
mod system {
    use std::{
        collections::HashMap,
        mem::MaybeUninit,
        os::fd::OwnedFd,
        path::Path,
        sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak},
        thread,
        time::Duration,
    };

    use rustix::fs::inotify::{self, ReadFlags, WatchFlags};

    use super::{Kind, Signal};

    /// A writer without a pause makes thousands of events a second; whoever reads them all takes its time away. Right
    /// after an event the capture looks by itself, so that the next ones may wait.
    const PAUSE: Duration = Duration::from_millis(2);

    /// Who listens to which watch of the system; a file has one watch however often it is added.
    type Listeners = HashMap<i32, Vec<(Weak<Signal>, Kind)>>;

    struct Listener {
        events: OwnedFd,
        listeners: Mutex<Listeners>,
    }

    /// One for the whole process; `None` where the system gives none.
    static LISTENER: OnceLock<Option<Arc<Listener>>> = OnceLock::new();

    /// The events of one file, for as long as this lives.
    #[derive(Debug)]
    pub(super) struct Events {
        watch: i32,
        signal: Weak<Signal>,
    }

    impl Listener {
        fn start() -> Option<Arc<Self>> {
            let events = inotify::init(inotify::CreateFlags::CLOEXEC).ok()?;
            let listener = Arc::new(Self { events, listeners: Mutex::default() });
            let work = Arc::clone(&listener);
            thread::Builder::new().name("file events".into()).spawn(move || work.listen()).ok()?;
            Some(listener)
        }

        fn listeners(&self) -> MutexGuard<'_, Listeners> {
            self.listeners.lock().unwrap_or_else(PoisonError::into_inner)
        }

        fn listen(&self) {
            let mut buffer = [MaybeUninit::uninit(); 8192];
            let mut reader = inotify::Reader::new(&self.events, &mut buffer);
            loop {
                match reader.next() {
                    Ok(event) => self.tell(event.wd(), event.events()),
                    Err(rustix::io::Errno::INTR) => continue,
                    Err(_) => return,
                }
                if reader.is_buffer_empty() {
                    thread::sleep(PAUSE);
                }
            }
        }

        fn tell(&self, watch: i32, flags: ReadFlags) {
            let mut listeners = self.listeners();
            if flags.contains(ReadFlags::QUEUE_OVERFLOW) {
                // Nobody knows whose events were lost.
                listeners.values().flatten().filter_map(|(signal, _)| signal.upgrade()).for_each(|signal| {
                    signal.set(Kind::Wal, false);
                });
                return;
            }
            // The file was deleted, or its disk unmounted: no further event comes.
            let gone = flags.contains(ReadFlags::IGNORED);
            let closed = flags.contains(ReadFlags::CLOSE_WRITE);
            for (signal, kind) in listeners.get(&watch).into_iter().flatten() {
                let Some(signal) = signal.upgrade() else { continue };
                if closed {
                    signal.set_closed(*kind);
                }
                signal.set(*kind, gone && *kind == Kind::Wal);
            }
            if gone {
                listeners.remove(&watch);
            }
        }
    }

    impl Events {
        /// Begins to listen to writes to `file`, a data file only to who closes it. `None` where that is not possible:
        /// it is not there, or the system's limit is reached.
        pub(super) fn of(file: &Path, signal: &Arc<Signal>, kind: Kind) -> Option<Self> {
            let listener = LISTENER.get_or_init(Listener::start).as_ref()?;
            // Held until the signal is noted, so that no event of this watch comes before.
            let mut listeners = listener.listeners();
            let flags = match kind {
                Kind::DataFile => WatchFlags::CLOSE_WRITE,
                Kind::Wal => WatchFlags::MODIFY | WatchFlags::CLOSE_WRITE,
            };
            let watch = inotify::add_watch(&listener.events, file, flags).ok()?;
            let signal = Arc::downgrade(signal);
            listeners.entry(watch).or_default().push((Weak::clone(&signal), kind));
            Some(Self { watch, signal })
        }
    }

    impl Drop for Events {
        fn drop(&mut self) {
            let Some(listener) = LISTENER.get().and_then(Option::as_ref) else { return };
            let mut listeners = listener.listeners();
            let Some(of_file) = listeners.get_mut(&self.watch) else { return };
            of_file.retain(|(signal, _)| !signal.ptr_eq(&self.signal) && signal.strong_count() > 0);
            if of_file.is_empty() {
                listeners.remove(&self.watch);
                let _ = inotify::remove_watch(&listener.events, self.watch);
            }
        }
    }
}

#[cfg(not(target_os = "linux"))]
mod system {
    use std::{path::Path, sync::Arc};

    use super::{Kind, Signal};

    /// This system's events are not used: the file is looked at often instead.
    #[derive(Debug)]
    pub(super) struct Events;

    impl Events {
        pub(super) fn of(_: &Path, _: &Arc<Signal>, _: Kind) -> Option<Self> {
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, io::Write};

    use super::*;

    type Outcome = std::result::Result<(), Box<dyn std::error::Error>>;

    /// Nothing here takes this long, even on a slow and busy machine.
    const LIMIT: Duration = Duration::from_secs(60);

    #[test]
    fn a_ring_before_the_wait_is_not_lost() {
        let (mut watch, bell) = Watch::new(Path::new("/nowhere/a"));
        assert!(!watch.has_events());
        bell.ring();
        assert!(watch.wait(LIMIT));
        assert!(!watch.wait(Duration::ZERO));
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn writes_are_told_to_everyone_who_watches_the_file_and_to_nobody_else() -> Outcome {
        let folder = tempfile::tempdir()?;
        let (path, other) = (folder.path().join("a-wal"), folder.path().join("b-wal"));
        fs::write(&path, "")?;
        fs::write(&other, "")?;
        let (mut first, _) = Watch::new(&folder.path().join("a"));
        let (mut second, _) = Watch::new(&folder.path().join("a"));
        let (mut third, _) = Watch::new(&folder.path().join("b"));
        assert!(first.has_events() && second.has_events() && third.has_events());
        let mut file = fs::File::options().append(true).open(&path)?;
        file.write_all(b"x")?;
        assert!(first.wait(LIMIT) && second.wait(LIMIT));
        // Neither is deaf when the other ends.
        drop(first);
        file.write_all(b"y")?;
        assert!(second.wait(LIMIT));
        assert!(!third.wait(Duration::ZERO));
        Ok(())
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn who_closes_the_data_file_is_told_apart_from_who_closes_the_wal() -> Outcome {
        let folder = tempfile::tempdir()?;
        let path = folder.path().join("a");
        fs::write(&path, "")?;
        fs::write(folder.path().join("a-wal"), "")?;
        let (mut watch, _) = Watch::new(&path);
        fs::write(&path, "content")?;
        assert!(!watch.wait(LIMIT), "that is no news of the WAL");
        assert!(watch.was_data_file_closed() && !watch.was_data_file_closed() && !watch.was_closed());
        fs::write(folder.path().join("a-wal"), "frames")?;
        while !watch.was_closed() {
            watch.wait(LIMIT);
        }
        assert!(!watch.was_data_file_closed());
        Ok(())
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_file_that_is_deleted_has_no_events_until_it_is_followed_again() -> Outcome {
        let folder = tempfile::tempdir()?;
        let path = folder.path().join("a-wal");
        fs::write(&path, "")?;
        let (mut watch, _) = Watch::new(&folder.path().join("a"));
        fs::remove_file(&path)?;
        assert!(watch.wait(LIMIT));
        assert!(!watch.has_events());
        fs::write(&path, "")?;
        watch.followed = None;
        watch.wait(Duration::ZERO);
        assert!(watch.has_events());
        Ok(())
    }
}
