//! Options of the command line that say how an archive is stored.

use std::path::Path;

use clap::Args;

use super::places;
use crate::{
    archive::{ArchiveOptions, Compression, Rate},
    engine::settings_in_force::InForce,
    error::Result,
};

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
    /// The options for this archive of `data_file`: those of its settings, but for what was said; `None` when nothing
    /// was.
    ///
    /// # Errors
    /// When its settings cannot be read.
    pub(super) fn options(&self, data_file: &Path) -> Result<Option<ArchiveOptions>> {
        let said = self.segment_mb.is_some()
            || self.compression.is_some()
            || self.interlacing.is_some()
            || self.redundancy.is_some()
            || self.sign;
        if !said {
            return Ok(None);
        }
        let folders = places::directories()?;
        let (settings, _) = InForce::for_reading(data_file, folders.config_dir(), folders.data_dir())?;
        let settings = settings.settings().archive;
        Ok(Some(ArchiveOptions {
            segment_bytes: self.segment_mb.map(|mb| mb << 20).or(settings.segment_bytes),
            compression: self.compression.unwrap_or(settings.compression),
            interlacing: self.interlacing.unwrap_or(settings.interlacing),
            redundancy: self.redundancy.unwrap_or(settings.redundancy),
            sign: self.sign || settings.sign,
        }))
    }
}
