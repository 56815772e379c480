//! How an archive is stored: how hard it is compressed, into how many files it is split, and how much damage it
//! survives.
//!
//! The words are those of the settings dialog in lower case, so that settings files and the command line read alike.

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value};

use super::recovery::{Dealt, Layout, find, make};
use crate::storage::space::human_bytes;

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
    /// Whether it is signed by the key of the user who makes it.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub sign: bool,
}

/// Reads what an archive says of how it is stored as far as this version knows it. That is only for people, and a word
/// of a later version makes no archive unreadable.
///
/// # Errors
/// Where it is nothing of the kind at all.
pub(super) fn as_far_as_known<'de, D: Deserializer<'de>>(from: D) -> Result<Option<ArchiveOptions>, D::Error> {
    let Some(said) = Option::<Map<String, Value>>::deserialize(from)? else { return Ok(None) };
    let one = |name: &String, value: &Value| Value::Object(Map::from_iter([(name.clone(), value.clone())]));
    let is_known = |(name, value): &(String, Value)| ArchiveOptions::deserialize(one(name, value)).is_ok();
    let known: Map<String, Value> = said.into_iter().filter(is_known).collect();
    Ok(Some(ArchiveOptions::deserialize(Value::Object(known)).unwrap_or_default()))
}

/// What an archive with recovery data survives, and what that costs.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Guarantee {
    /// Any single stretch of damage up to this length in bytes is repaired.
    pub stretch_bytes: u64,
    /// Any so many stretches of damage, wherever they lie, are repaired while together they are no more than so many
    /// bytes.
    pub stretches: (u64, u64),
    /// Any so many damaged places are repaired while none of them is longer than so many bytes.
    pub places: (u64, u64),
    /// Which share of the blocks the recovery data can replace, in percent: what is promised for stretches is so much
    /// of a window, and a little less for several.
    pub share_percent: f64,
    /// Length of a block in bytes: a single damaged byte costs one.
    pub block_bytes: u64,
    /// The blocks that stand for each other lie within a stretch of this length, in bytes.
    pub spread_bytes: u64,
    /// How much larger the archive becomes, in percent.
    pub larger_percent: f64,
    /// Memory that making it needs, in bytes, together with everything else a backup needs.
    pub memory_bytes: u64,
}

impl Guarantee {
    /// For people, what is repaired besides a single stretch: `any 10 that together are no more than 47 MB`, and so on.
    pub fn several_in_words(&self) -> String {
        let ((stretches, bytes), (places, each)) = (self.stretches, self.places);
        format!(
            "any {stretches} that together are no more than {}, and any {places} of no more than {} each",
            human_bytes(bytes),
            human_bytes(each),
        )
    }

    /// For people, one sentence.
    pub fn in_words(&self) -> String {
        format!(
            "Repairs any single damaged stretch up to {}, {}; archive {:.0} % larger; needs {} of memory",
            human_bytes(self.stretch_bytes),
            self.several_in_words(),
            self.larger_percent.ceil(),
            human_bytes(self.memory_bytes)
        )
    }
}

/// Memory of a backup without recovery data, with its pipeline: an upper limit, measured.
const BACKUP_MEMORY_BYTES: u64 = 96 << 20;
/// So many stretches of damage a promise is given for, or as many as half of a group's recovery blocks.
const STRETCHES: u64 = 10;

impl ArchiveOptions {
    /// What these options guarantee for an archive of about `archive_bytes` without recovery data; `None` without
    /// redundancy.
    pub fn guarantee(&self, archive_bytes: u64) -> Option<Guarantee> {
        let layout = Layout::plan(archive_bytes, self.redundancy, self.interlacing)?;
        let (block, recovery) = (u64::from(layout.block_bytes), u64::from(layout.recovery_blocks));
        let stretches = STRETCHES.min(recovery / 2).max(1);
        Some(Guarantee {
            stretch_bytes: layout.stretch_bytes(),
            stretches: (stretches, layout.stretches_bytes(stretches)?),
            places: layout.places(),
            share_percent: recovery as f64 * 100.0 / (layout.group_blocks_max() + recovery) as f64,
            block_bytes: block,
            spread_bytes: (layout.window_blocks_max() * block).min(archive_bytes),
            larger_percent: find::recovery_bytes(&layout) as f64 * 100.0 / archive_bytes as f64,
            memory_bytes: make::memory_bytes(&layout) + BACKUP_MEMORY_BYTES,
        })
    }

    /// About how long a stretch of damage is repaired in a finished archive of `bytes` whose recovery data is of
    /// version 1, and nothing is promised for several.
    pub fn stretch_of_version_1(&self, bytes: u64) -> Option<u64> {
        let larger = self.guarantee(bytes)?.larger_percent;
        let protected = ((bytes as f64 / (1.0 + larger / 100.0)) as u64).max(1);
        let layout = Layout::plan(protected, self.redundancy, self.interlacing)?;
        Some(Layout { dealt: Dealt::Chunks, ..layout }.stretch_bytes())
    }

    /// About what these options guarantee for a finished archive of `bytes`, its recovery data included.
    pub fn guarantee_of(&self, bytes: u64) -> Option<Guarantee> {
        let larger = self.guarantee(bytes)?.larger_percent;
        self.guarantee(((bytes as f64 / (1.0 + larger / 100.0)) as u64).max(1))
    }
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

    #[test]
    fn a_word_of_a_later_version_leaves_the_others_known() -> Result<(), Box<dyn std::error::Error>> {
        #[derive(Deserialize)]
        struct Head {
            #[serde(default, deserialize_with = "as_far_as_known")]
            options: Option<ArchiveOptions>,
        }
        let read = |text: &str| serde_json::from_str::<Head>(text).map(|head| head.options);
        let said = r#"{"options":{"compression":"zap","redundancy":"low","sign":true,"new":[1]}}"#;
        let known = ArchiveOptions { redundancy: Rate::Low, sign: true, ..ArchiveOptions::default() };
        assert_eq!(read(said)?, Some(known));
        assert_eq!((read("{}")?, read(r#"{"options":null}"#)?), (None, None));
        assert!(read(r#"{"options":7}"#).is_err());
        Ok(())
    }
}
