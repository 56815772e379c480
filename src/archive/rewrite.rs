//! Writing a sound copy of an archive that was made whole: the same bytes, and recovery data made anew.

use std::path::Path;

use super::{
    format::{self, TAIL_LENGTH, Tail},
    output::part_of,
    reader::Archive,
    recovery::{make::make, spool::Spool},
    signature,
    writer::not_as_written,
};
use crate::{
    control::{Control, Phase},
    error::{Error, ErrorKind, Result},
    storage::{self, Ownership, Storage, StorageFile},
};

/// Writes `archive`, which was opened healed, to `target` as one file: under a temporary name, synced, proven, then
/// named. Returns its length in bytes.
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
    control.phase(Phase::Copying, stamp.layout.length);
    // One pass: what is written is what the recovery data is made from. That follows the last of all bytes, and waits
    // till then.
    let mut waiting = Spool::new(storage::folder_of(part));
    let mut frames: Vec<(u64, usize)> = Vec::new();
    let mut keep = |frame: &[u8]| {
        frames.push((waiting.push(frame)?, frame.len()));
        Ok(())
    };
    make(archive.volume(), &stamp, &mut |bytes| file.write_all(bytes), &mut keep, control)?;
    control.phase(Phase::Protecting, frames.iter().map(|(_, bytes)| *bytes as u64).sum());
    let mut length = stamp.layout.length + TAIL_LENGTH;
    let mut frame = Vec::new();
    for (place, bytes) in frames {
        control.check()?;
        frame.resize(bytes, 0);
        waiting.read_at(place, &mut frame).map_err(|e| Error::io("read what waits for", part, e))?;
        file.write_all(&frame)?;
        length += bytes as u64;
        control.add(bytes as u64);
    }
    // Of the same content: it stays as right as it was.
    if let Some(signature) = archive.signature() {
        file.write_all(&signature.encode())?;
        length += signature::LENGTH;
    }
    let (index_offset, tar_length, whole) = (stamp.index_offset, stamp.tar_length, stamp.whole);
    let not_whole = format::not_whole(archive.items());
    file.write_all(&format::encode_tail(&Tail { index_offset, length, tar_length, whole, not_whole }))?;
    file.sync()?;
    control.phase(Phase::Verifying, length);
    let copied = Archive::open(part).and_then(|copy| {
        copy.prove_stored(control)?;
        let whole = copy.prove_recovery(control)?.is_some_and(|tally| tally.lacking() == 0);
        Ok(whole && copy.items() == archive.items() && copy.identity() == archive.identity())
    });
    match copied {
        Ok(true) => Ok(length),
        Ok(false) => Err(not_as_written(part)),
        // What is to be said of a new file is not what is to be said of an old archive.
        Err(error) if error.kind() == ErrorKind::Damaged => Err(not_as_written(part).because(error)),
        Err(error) => Err(error),
    }
}
