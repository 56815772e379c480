//! Waiting for a commit: file events where the system gives them, a bell that other threads ring, and a time limit.
//!
//! All logs of the process share one listener for file events: the system gives a user few of them, and a service may look
//! after hundreds of data files.

use std::{
    path::Path,
    sync::{Arc, Condvar, Mutex, PoisonError},
    time::{Duration, Instant},
};

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
    is_set: bool,
    /// Whether events of the file no longer come.
    is_deaf: bool,
    /// Whether a program has closed the file, perhaps the last one.
    is_closed: bool,
}

impl Signal {
    #[cfg(target_os = "linux")]
    fn set_closed(&self, closed: bool) {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).is_closed |= closed;
    }

    fn set(&self, deaf: bool) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.is_deaf |= deaf;
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
        self.0.set(false);
    }
}

/// What the capture thread waits on.
#[derive(Debug)]
pub(super) struct Watch {
    signal: Arc<Signal>,
    file: std::path::PathBuf,
    events: Option<system::Events>,
    followed: Option<Instant>,
}

impl Watch {
    /// A watch that listens to writes to the file at `wal`, which need not exist yet; and the bell that wakes it too.
    pub(super) fn new(wal: &Path) -> (Self, Bell) {
        let signal = Arc::new(Signal::default());
        let bell = Bell(Arc::clone(&signal));
        let mut watch = Self { signal, file: wal.to_path_buf(), events: None, followed: None };
        watch.follow();
        (watch, bell)
    }

    fn follow(&mut self) {
        self.followed = Some(Instant::now());
        self.events = system::Events::of(&self.file, &self.signal);
    }

    /// Whether writes to the file are told; without, it must be looked at often.
    pub(super) fn has_events(&self) -> bool {
        self.events.is_some()
    }

    /// Whether a program has closed the file since this was asked last.
    pub(super) fn was_closed(&self) -> bool {
        std::mem::take(&mut self.signal.state.lock().unwrap_or_else(PoisonError::into_inner).is_closed)
    }

    /// Returns after an event, a ring, or `limit`; true when it was not the limit.
    pub(super) fn wait(&mut self, limit: Duration) -> bool {
        let state = self.signal.state.lock().unwrap_or_else(PoisonError::into_inner);
        let (mut state, _) = self
            .signal
            .changed
            .wait_timeout_while(state, limit, |state| !state.is_set)
            .unwrap_or_else(PoisonError::into_inner);
        let (was_set, deaf) = (std::mem::take(&mut state.is_set), std::mem::take(&mut state.is_deaf));
        drop(state);
        if deaf {
            self.events = None;
        }
        if self.events.is_none() && self.followed.is_none_or(|at| at.elapsed() >= FOLLOW_AGAIN) {
            self.follow();
        }
        was_set
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

    use super::Signal;

    /// A writer without a pause makes thousands of events a second; whoever reads them all takes its time away. Right after
    /// an event the capture looks by itself, so that the next ones may wait.
    const PAUSE: Duration = Duration::from_millis(2);

    /// Who listens to which watch of the system; a file has one watch however often it is added.
    type Listeners = HashMap<i32, Vec<Weak<Signal>>>;

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
                listeners.values().flatten().filter_map(Weak::upgrade).for_each(|signal| signal.set(false));
                return;
            }
            // The file was deleted, or its disk unmounted: no further event comes.
            let gone = flags.contains(ReadFlags::IGNORED);
            let closed = flags.contains(ReadFlags::CLOSE_WRITE);
            for signal in listeners.get(&watch).into_iter().flatten().filter_map(Weak::upgrade) {
                signal.set_closed(closed);
                signal.set(gone);
            }
            if gone {
                listeners.remove(&watch);
            }
        }
    }

    impl Events {
        /// Begins to listen to writes to `file`. `None` where that is not possible: it is not there, or the system's limit
        /// is reached.
        pub(super) fn of(file: &Path, signal: &Arc<Signal>) -> Option<Self> {
            let listener = LISTENER.get_or_init(Listener::start).as_ref()?;
            // Held until the signal is noted, so that no event of this watch comes before.
            let mut listeners = listener.listeners();
            let watch =
                inotify::add_watch(&listener.events, file, WatchFlags::MODIFY | WatchFlags::CLOSE_WRITE).ok()?;
            let signal = Arc::downgrade(signal);
            listeners.entry(watch).or_default().push(Weak::clone(&signal));
            Some(Self { watch, signal })
        }
    }

    impl Drop for Events {
        fn drop(&mut self) {
            let Some(listener) = LISTENER.get().and_then(Option::as_ref) else { return };
            let mut listeners = listener.listeners();
            let Some(of_file) = listeners.get_mut(&self.watch) else { return };
            of_file.retain(|signal| !signal.ptr_eq(&self.signal) && signal.strong_count() > 0);
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

    use super::Signal;

    /// This system's events are not used: the file is looked at often instead.
    #[derive(Debug)]
    pub(super) struct Events;

    impl Events {
        pub(super) fn of(_: &Path, _: &Arc<Signal>) -> Option<Self> {
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
        let (mut watch, bell) = Watch::new(Path::new("/nowhere/a-wal"));
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
        let (mut first, _) = Watch::new(&path);
        let (mut second, _) = Watch::new(&path);
        let (mut third, _) = Watch::new(&other);
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
    fn a_file_that_is_deleted_has_no_events_until_it_is_followed_again() -> Outcome {
        let folder = tempfile::tempdir()?;
        let path = folder.path().join("a-wal");
        fs::write(&path, "")?;
        let (mut watch, _) = Watch::new(&path);
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
