//! Writing a sound copy of an archive that was made whole: the same bytes, and recovery data made anew.

use std::path::Path;

use super::{
    format::{self, TAIL_LENGTH, Tail},
    output::part_of,
    pipeline,
    reader::Archive,
    recovery::make::make,
    volume::Volume,
    writer::Prover,
};
use crate::{
    control::{Control, Phase},
    error::{Error, ErrorKind, Result},
    storage::{self, Ownership, Storage, StorageFile},
};

/// Bytes copied at a time.
const COPY_BYTES: u64 = 1 << 20;

/// Writes `archive`, which was opened healed, to `target` as one file: under a temporary name, synced, proven, then named.
/// Returns its length in bytes.
///
/// # Errors
/// `Refused` for an archive without recovery data; whatever fails. Then nothing carries the name.
pub fn rewrite(
    storage: &dyn Storage,
    archive: &Archive,
    target: &Path,
    ownership: Ownership,
    control: &Control,
) -> Result<u64> {
    storage::refuse_existing(target)?;
    let part = part_of(target);
    let mut file = storage.create(&part, ownership)?;
    let written = write(file.as_mut(), archive, &part, control).and_then(|length| {
        storage::publish(storage, &part, target)?;
        Ok(length)
    });
    drop(file);
    if written.is_err() {
        storage.discard(&part);
    }
    written
}

fn write(file: &mut dyn StorageFile, archive: &Archive, part: &Path, control: &Control) -> Result<u64> {
    let Some(stamp) = archive.stamp() else {
        return Err(Error::new(ErrorKind::Refused, format!("{} has no recovery data", archive.path().display()))
            .hint("Restore the items that are still whole."));
    };
    let length = stamp.layout.length;
    control.phase(Phase::Copying, length);
    let mut starts = (0..length).step_by(COPY_BYTES as usize);
    pipeline::run(
        || {
            control.check()?;
            Ok(starts.next())
        },
        // Read while what stands before is written.
        |start: u64| archive.read(start, COPY_BYTES.min(length - start)),
        |bytes: Vec<u8>| {
            file.write_all(&bytes)?;
            control.add(bytes.len() as u64);
            Ok(())
        },
    )?;
    file.sync()?;
    control.phase(Phase::Protecting, length);
    let volume = Volume::of_file(part).map_err(|e| Error::io("read back", part, e))?;
    let mut at = length;
    let mut put = |bytes: &[u8]| {
        at += bytes.len() as u64;
        file.write_all(bytes)
    };
    // As in a new archive: the bytes that are read back for the recovery data are proven at once.
    let mut prover = Prover::new(archive.frames());
    make(&volume, &stamp, &mut |bytes| prover.take(bytes), &mut put, control)?;
    let length = at + TAIL_LENGTH;
    let (index_offset, tar_length, whole) = (stamp.index_offset, stamp.tar_length, stamp.whole);
    file.write_all(&format::encode_tail(&Tail { index_offset, length, tar_length, whole }))?;
    file.sync()?;
    control.phase(Phase::Verifying, length);
    let copy = Archive::open(part)?;
    let whole = copy.prove_recovery(control)?.is_some_and(|(expected, found)| expected == found);
    if whole && copy.items() == archive.items() && copy.identity() == archive.identity() {
        return Ok(length);
    }
    Err(Error::new(ErrorKind::Damaged, format!("{} does not read back as it was written", part.display()))
        .hint("The disk or the memory of this machine may be failing. Choose another disk and try again."))
}
