//! Says a thing once: equal warnings and errors that come close together are counted, and the count is said at the end
//! of a minute.
//!
//! A log that is interrupted tries again within milliseconds, and an administrator who reads a hundred equal lines
//! misses the one that differs. Whatever is less than a warning tells the order of events, and is never left out.

use std::{
    collections::HashMap,
    fmt::{Debug, Write},
    sync::{Arc, Mutex, PoisonError},
    thread,
    time::{Duration, Instant},
};

use tracing::{
    Event, Level, Metadata,
    field::{Field, Visit},
};
use tracing_subscriber::layer::{Context, Filter};

/// Within this time an equal message is only counted.
const PERIOD: Duration = Duration::from_secs(60);
/// More different ones are not remembered: then a thing is rather said twice.
const KNOWN_MAX: usize = 500;
/// Where the counts come from; they pass.
const COUNTS: &str = "strongroom::repeats";

#[derive(Debug)]
struct Said {
    level: Level,
    at: Instant,
    /// How often it came since then.
    repeats: u64,
}

/// What was said lately.
#[derive(Debug, Default)]
struct Memory {
    said: HashMap<String, Said>,
    /// Whether a thread waits to say the counts.
    is_watched: bool,
}

impl Memory {
    /// Whether a message is new at `now`, and to be said; otherwise it is counted.
    fn is_new(&mut self, level: Level, text: &str, now: Instant) -> bool {
        if let Some(said) = self.said.get_mut(text) {
            said.repeats += 1;
            return false;
        }
        if self.said.len() < KNOWN_MAX {
            self.said.insert(text.to_owned(), Said { level, at: now, repeats: 0 });
        }
        true
    }

    /// The counts to be said at `now`. What came again is counted anew from here; what did not is new the next time.
    fn due(&mut self, now: Instant) -> Vec<(Level, String)> {
        let mut due = Vec::new();
        self.said.retain(|text, said| {
            if now.saturating_duration_since(said.at) < PERIOD {
                return true;
            }
            let repeats = std::mem::take(&mut said.repeats);
            if repeats > 0 {
                let times = if repeats == 1 { "once".to_owned() } else { format!("{repeats} times") };
                due.push((said.level, format!("{times} more within {} s: {text}", (now - said.at).as_secs())));
                said.at = now;
            }
            repeats > 0
        });
        due
    }
}

/// The filter. Clones share what they remember.
#[derive(Debug, Clone, Default)]
pub(super) struct Once(Arc<Mutex<Memory>>);

impl Once {
    fn hear(&self, level: Level, text: &str) -> bool {
        let mut memory = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let is_new = memory.is_new(level, text, Instant::now());
        if !memory.is_watched {
            let watch = self.clone();
            // Without a thread nothing is counted down, and everything is said.
            let spawned = thread::Builder::new().name("repeats".to_owned()).spawn(move || watch.tell_counts());
            memory.is_watched = spawned.is_ok();
            return is_new || spawned.is_err();
        }
        is_new
    }

    /// Says the counts as they come due, and ends when nothing is remembered any more.
    fn tell_counts(&self) {
        loop {
            thread::sleep(PERIOD / 4);
            let due = {
                let mut memory = self.0.lock().unwrap_or_else(PoisonError::into_inner);
                let due = memory.due(Instant::now());
                if memory.said.is_empty() {
                    memory.is_watched = false;
                    return;
                }
                due
            };
            for (level, text) in due {
                tell(level, &text);
            }
        }
    }
}

fn tell(level: Level, text: &str) {
    if level == Level::ERROR {
        tracing::error!(target: COUNTS, "{text}");
    } else {
        tracing::warn!(target: COUNTS, "{text}");
    }
}

impl<S> Filter<S> for Once {
    fn enabled(&self, _: &Metadata<'_>, _: &Context<'_, S>) -> bool {
        true
    }

    fn event_enabled(&self, event: &Event<'_>, _: &Context<'_, S>) -> bool {
        let about = event.metadata();
        if *about.level() > Level::WARN || about.target() == COUNTS {
            return true;
        }
        let mut words = Words::default();
        event.record(&mut words);
        self.hear(*about.level(), &words.in_order())
    }
}

/// The message, then its fields.
#[derive(Default)]
struct Words {
    message: String,
    fields: String,
}

impl Words {
    fn in_order(self) -> String {
        self.message + &self.fields
    }
}

impl Visit for Words {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        // Writing to a text does not fail.
        let _ = match field.name() {
            "message" => write!(self.message, "{value:?}"),
            name => write!(self.fields, " {name}={value:?}"),
        };
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use tracing_subscriber::{Layer, filter::FilterExt, fmt::MakeWriter, layer::SubscriberExt};

    use super::*;

    #[derive(Clone, Default)]
    struct Paper(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Paper {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap_or_else(PoisonError::into_inner).write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl MakeWriter<'_> for Paper {
        type Writer = Self;

        fn make_writer(&self) -> Self {
            self.clone()
        }
    }

    #[test]
    fn a_hundred_equal_warnings_are_one_line_and_different_ones_are_all_there() {
        let paper = Paper::default();
        let filter = tracing_subscriber::EnvFilter::new("info").and(Once::default());
        let text = tracing_subscriber::fmt::layer().with_ansi(false).with_writer(paper.clone()).with_filter(filter);
        tracing::subscriber::with_default(tracing_subscriber::registry().with(text), || {
            for n in 0..106 {
                tracing::warn!(error = "the chain of commits is broken", "the log was interrupted");
                tracing::debug!("too much");
                if n % 50 == 0 {
                    tracing::warn!(error = n, "the log was interrupted");
                    tracing::error!("the log was interrupted");
                    tracing::info!("the log is on");
                }
            }
        });
        let text = String::from_utf8_lossy(&paper.0.lock().unwrap_or_else(PoisonError::into_inner)).into_owned();
        let lines = |what: &str| text.lines().filter(|line| line.contains(what)).count();
        assert_eq!(lines("the chain of commits is broken"), 1, "{text}");
        assert_eq!((lines("error=0"), lines("error=50"), lines("error=100")), (1, 1, 1), "{text}");
        assert_eq!((lines("ERROR"), lines("the log is on"), lines("too much")), (1, 3, 0), "{text}");
    }

    #[test]
    fn what_was_left_out_is_said_with_its_number_and_then_it_is_new_again() {
        let begun = Instant::now();
        let mut memory = Memory::default();
        assert!(memory.is_new(Level::WARN, "broken", begun));
        assert!(memory.is_new(Level::ERROR, "gone", begun));
        for _ in 0..105 {
            assert!(!memory.is_new(Level::WARN, "broken", begun));
        }
        assert!(memory.due(begun + PERIOD / 2).is_empty());
        let later = begun + PERIOD;
        assert_eq!(memory.due(later), [(Level::WARN, "105 times more within 60 s: broken".to_owned())]);
        assert!(memory.is_new(Level::ERROR, "gone", later), "it did not come again for a minute");
        assert!(!memory.is_new(Level::WARN, "broken", later), "it goes on: its number is enough");
        assert_eq!(memory.due(later + PERIOD), [(Level::WARN, "once more within 60 s: broken".to_owned())]);
        assert!(memory.due(later + PERIOD * 2).is_empty());
        assert!(memory.is_new(Level::WARN, "broken", later + PERIOD * 2));
    }
}
