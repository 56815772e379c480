//! The space that the next archive needs: by what the newest one took for the same, else by compressing samples.

use std::{path::Path, time::Duration};

use uuid::Uuid;

use super::content::Content;
use crate::{
    archive::{
        Archive, ArchiveOptions, Compression, Item, ItemKind,
        catalog::ArchiveEntry,
        recovery::{Layout, find::recovery_bytes},
        writer,
    },
    control::Control,
    error::{ErrorKind, Result},
    sqlite::{data_file, snapshot::Snapshot},
};

/// Header, settings, manifest and end of an archive without attachments.
const FIXED: u64 = 8 * 1024;
/// For one file more: its line in the index, its tar header, its part of the manifest, as compressed.
const PER_FILE: u64 = 400;
/// A sample is so long.
const STRETCH: u64 = 128 * 1024;
/// So many are taken at most, evenly spread: some milliseconds, whatever the size.
const SAMPLES: u64 = 32;

/// How much of something is stored, and how much that takes in an archive, in bytes.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Sample {
    pub(super) raw: u64,
    pub(super) stored: u64,
}

impl Sample {
    pub(super) fn take(&mut self, bytes: &[u8], compression: Compression) -> Result<()> {
        self.raw += bytes.len() as u64;
        self.stored += writer::compressed_length(bytes, compression)? as u64;
        Ok(())
    }

    /// What `bytes` of the same will take.
    fn scale(self, bytes: u64) -> u64 {
        if self.raw == 0 { bytes } else { (bytes as f64 * self.stored as f64 / self.raw as f64) as u64 }
    }
}

/// The length in bytes of the next archive of `data_file`, whose identity is `own`, with this content, stored as
/// `options` say. `known` are its archives, newest first.
///
/// # Errors
/// When the data file cannot be read.
pub(super) fn estimate(
    data_file: &Path,
    (own, options): (Option<Uuid>, ArchiveOptions),
    known: &[ArchiveEntry],
    content: &Content,
    wait_max: Duration,
    control: &Control,
) -> Result<u64> {
    let compression = options.compression;
    let last = known.iter().find(|a| a.problem.is_none() && a.data_bytes > 0 && a.is_of(own));
    // What another rate made of it says nothing.
    let last = last.filter(|entry| entry.options.compression == compression);
    let last = last.and_then(|entry| Archive::open(&entry.path).ok());
    let (data, files) = last.as_ref().map_or((None, None), |archive| (of_data_file(archive), of_content(archive)));
    let data = match data {
        Some(sample) => sample.scale(size(data_file, control)?),
        None => {
            match Snapshot::begin_to_look(data_file, wait_max, control) {
                Ok(snapshot) => sample_of(&snapshot, compression)?.scale(snapshot.len()),
                // In the middle of a transaction: as much as it holds then, not compressed.
                Err(error) if error.kind() == ErrorKind::Refused => data_file::measure(data_file)?.0,
                Err(error) => return Err(error),
            }
        }
    };
    let files = match files {
        _ if content.bytes == 0 => 0,
        Some(sample) => sample.scale(content.bytes),
        None => content.sample(compression, SAMPLES as usize, STRETCH)?.scale(content.bytes),
    };
    let plain = data + files + content.count() as u64 * PER_FILE + FIXED;
    let layout = Layout::plan(plain, options.redundancy, options.interlacing);
    Ok(plain + layout.map_or(0, |layout| recovery_bytes(&layout)))
}

/// The size with what is only in the WAL yet, where nobody keeps us from asking.
fn size(data_file: &Path, control: &Control) -> Result<u64> {
    match Snapshot::begin_to_look(data_file, Duration::from_millis(100), control) {
        Ok(snapshot) => Ok(snapshot.len()),
        Err(_) => data_file::measure(data_file).map(|(size, _, _)| size),
    }
}

fn sample_of(snapshot: &Snapshot, compression: Compression) -> Result<Sample> {
    let length = snapshot.len();
    let stretch = length.min(STRETCH);
    let count = length.div_ceil(stretch).min(SAMPLES);
    let mut buffer = vec![0; stretch as usize];
    let mut sample = Sample::default();
    for n in 0..count {
        let offset = if count == 1 { 0 } else { (length - stretch) / (count - 1) * n };
        snapshot.read(offset, &mut buffer)?;
        sample.take(&buffer, compression)?;
    }
    Ok(sample)
}

fn of_data_file(archive: &Archive) -> Option<Sample> {
    let item = archive.items().iter().find(|item| item.kind == ItemKind::DataFile && item.length > 0)?;
    let stored = archive.stored_bytes(item.offset, item.offset + item.length);
    Some(Sample { raw: item.length, stored })
}

fn of_content(archive: &Archive) -> Option<Sample> {
    let is_content = |item: &&Item| matches!(item.kind, ItemKind::Program | ItemKind::Attachment);
    let mut items = archive.items().iter().filter(is_content);
    let first = items.clone().next()?;
    let last = items.clone().next_back()?;
    let raw = items.by_ref().map(|item| item.length).sum();
    let stored = archive.stored_bytes(first.offset, last.offset + last.length);
    // The headers in between are counted per file.
    let headers = archive.items().iter().filter(is_content).count() as u64 * 60;
    (raw > 0).then_some(Sample { raw, stored: stored.saturating_sub(headers) })
}
