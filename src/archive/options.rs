//! How an archive is stored: how hard it is compressed, into how many files it is split, and how much damage it survives.
//!
//! The words are those of the settings dialog in lower case, so that settings files and the command line read alike.

use serde::{Deserialize, Serialize};

/// How an archive is stored. Changing it never concerns archives that exist.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(default, rename_all = "kebab-case")]
pub struct ArchiveOptions {
    /// Length of one segment in bytes at most; `None` for archives of one file.
    pub segment_bytes: Option<u64>,
    /// How hard to compress.
    pub compression: Compression,
    /// Over how long a stretch the recovery data is spread; without effect where there is none.
    pub interlacing: Rate,
    /// How much recovery data is added.
    pub redundancy: Rate,
}

/// How hard to compress.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Compression {
    /// Not at all: as fast as copying.
    None,
    /// As fast as disks are.
    #[default]
    Fast,
    /// Smaller, and several times slower.
    Compact,
}

/// A rate of interlacing or of redundancy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Rate {
    /// None.
    #[default]
    None,
    /// Low.
    Low,
    /// Medium.
    Medium,
    /// High.
    High,
}

impl Compression {
    /// All of them, from the fastest on.
    pub const ALL: [Self; 3] = [Self::None, Self::Fast, Self::Compact];

    /// The word in settings files and on the command line.
    pub fn word(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Fast => "fast",
            Self::Compact => "compact",
        }
    }

    /// As the window calls it.
    pub fn label(self) -> &'static str {
        match self {
            Self::None => "None",
            Self::Fast => "Fast",
            Self::Compact => "Compact",
        }
    }

    /// Reads the word of settings files and the command line.
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|c| c.word() == word)
    }
}

impl Rate {
    /// All of them, from none on.
    pub const ALL: [Self; 4] = [Self::None, Self::Low, Self::Medium, Self::High];

    /// The word in settings files and on the command line.
    pub fn word(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
        }
    }

    /// As the window calls it.
    pub fn label(self) -> &'static str {
        match self {
            Self::None => "None",
            Self::Low => "Low",
            Self::Medium => "Medium",
            Self::High => "High",
        }
    }

    /// Reads the word of settings files and the command line.
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|r| r.word() == word)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_the_same_in_settings_and_on_the_command_line() -> Result<(), Box<dyn std::error::Error>> {
        for compression in Compression::ALL {
            assert_eq!(Compression::from_word(compression.word()), Some(compression));
            assert_eq!(serde_json::to_value(compression)?, compression.word());
        }
        for rate in Rate::ALL {
            assert_eq!(Rate::from_word(rate.word()), Some(rate));
            assert_eq!(serde_json::to_value(rate)?, rate.word());
        }
        assert_eq!((Compression::from_word("best"), Rate::from_word("Low")), (None, None));
        let defaults: ArchiveOptions = serde_json::from_str("{}")?;
        assert_eq!(defaults, ArchiveOptions::default());
        assert_eq!(defaults.compression, Compression::Fast);
        Ok(())
    }
}
