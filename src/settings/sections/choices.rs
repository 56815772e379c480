//! What can be chosen among, called by the words of the dialog: the enumerations of the settings.

use serde::{Deserialize, Serialize};

/// An enumeration whose values are called by the words of the dialog, in lower case.
macro_rules! words {
    ($(#[$about:meta])* $name:ident { $($(#[$meaning:meta])* $value:ident = $word:literal,)+ }) => {
        $(#[$about])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub enum $name {
            $($(#[$meaning])* #[serde(rename = $word)] $value,)+
        }

        impl $name {
            /// All values, in the order of the dialog.
            pub const ALL: &'static [Self] = &[$(Self::$value,)+];

            /// As the settings file calls it.
            pub fn word(self) -> &'static str {
                match self {
                    $(Self::$value => $word,)+
                }
            }

            /// The value called `word`; capitals and hyphens instead of spaces are understood too.
            pub fn of_word(word: &str) -> Option<Self> {
                let plain = word.trim().to_lowercase().replace('-', " ");
                Self::ALL.iter().copied().find(|value| value.word() == plain)
            }
        }
    };
}

words! {
    /// How often a full backup is made by itself.
    Frequency {
        /// Only by hand.
        Never = "never",
        /// At every full hour.
        EveryHour = "every hour",
        /// At one time of the day.
        EveryDay = "every day",
        /// On one day of the week.
        EveryWeek = "every week",
        /// On one day of the month.
        EveryMonth = "every month",
        /// At an interval of hours, days, weeks or months.
        Personalized = "personalized",
    }
}

words! {
    /// The unit of a personalized interval.
    Unit {
        /// Hours, counted from the starting time.
        Hours = "hours",
        /// Days.
        Days = "days",
        /// Weeks, on one or several days of the week.
        Weeks = "weeks",
        /// Months.
        Months = "months",
    }
}

words! {
    /// A day of the week.
    Weekday {
        /// The first day of the week.
        Monday = "monday",
        /// The second.
        Tuesday = "tuesday",
        /// The third.
        Wednesday = "wednesday",
        /// The fourth.
        Thursday = "thursday",
        /// The fifth.
        Friday = "friday",
        /// The sixth.
        Saturday = "saturday",
        /// The seventh.
        Sunday = "sunday",
    }
}

words! {
    /// When the oldest backup is deleted.
    DeleteOldest {
        /// Before the new one is made, as long as a verified one remains: needs less space.
        Before = "before",
        /// After the new one was made and verified.
        After = "after",
    }
}

words! {
    /// When a failed backup is tried again.
    Retry {
        /// At the next scheduled date and time.
        NextScheduled = "next scheduled",
        /// After a time.
        After = "after",
    }
}

words! {
    /// The unit of the time before a retry.
    RetryUnit {
        /// Seconds.
        Seconds = "seconds",
        /// Minutes.
        Minutes = "minutes",
        /// Hours.
        Hours = "hours",
    }
}

words! {
    /// Whether every new archive is restored for a test.
    TestRestore {
        /// Where it takes no more than about a minute.
        Automatic = "automatic",
        /// However long it takes.
        Always = "always",
        /// Only by hand.
        Never = "never",
    }
}

words! {
    /// How often an archive drawn by lot is restored for a test, up to a commit drawn by lot.
    Drill {
        /// Only by hand.
        Never = "never",
        /// Once a week.
        EveryWeek = "every week",
    }
}
