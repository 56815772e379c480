//! Options of the command line that say how an archive is stored.

use clap::Args;

use crate::archive::{ArchiveOptions, Compression, Rate};

/// How this archive is stored.
#[derive(Debug, Args)]
pub(super) struct Storing {
    /// Split the archive into files of this many MB at most.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..1 << 30))]
    segment_mb: Option<u64>,
    /// How hard to compress: none, fast or compact.
    #[arg(long, value_name = "RATE", value_parser = compression)]
    compression: Option<Compression>,
    /// Over how long a stretch recovery data is spread: none, low, medium or high.
    #[arg(long, value_name = "RATE", value_parser = rate)]
    interlacing: Option<Rate>,
    /// How much recovery data is added: none, low, medium or high.
    #[arg(long, value_name = "RATE", value_parser = rate)]
    redundancy: Option<Rate>,
    /// Sign the archive by this user's key.
    #[arg(long)]
    sign: bool,
}

fn compression(word: &str) -> Result<Compression, String> {
    Compression::from_word(word).ok_or_else(|| "it is none, fast or compact".to_owned())
}

fn rate(word: &str) -> Result<Rate, String> {
    Rate::from_word(word).ok_or_else(|| "it is none, low, medium or high".to_owned())
}

impl Storing {
    /// The options for this archive; `None` when nothing was said.
    pub(super) fn options(&self) -> Option<ArchiveOptions> {
        let said = self.segment_mb.is_some()
            || self.compression.is_some()
            || self.interlacing.is_some()
            || self.redundancy.is_some()
            || self.sign;
        let defaults = ArchiveOptions::default();
        said.then(|| ArchiveOptions {
            segment_bytes: self.segment_mb.map(|mb| mb << 20),
            compression: self.compression.unwrap_or(defaults.compression),
            interlacing: self.interlacing.unwrap_or(defaults.interlacing),
            redundancy: self.redundancy.unwrap_or(defaults.redundancy),
            sign: self.sign,
        })
    }
}
