//! Recovery data of an archived log: a file beside it, `Name[0006].4BL.recovery`, since archiving a log does not write
//! it anew. It protects the index at the end as well. It holds the same frames as an archive's recovery data, and
//! nothing else.

use std::{
    fs,
    path::{Path, PathBuf},
};

use uuid::Uuid;

use super::{
    format::Hash,
    options::ArchiveOptions,
    output::part_of,
    recovery::{
        Layout,
        find::Packets,
        make::make,
        mend::{Damage, mend},
        packet::Stamp,
    },
    volume::{Piece, Volume},
};
use crate::{
    control::Control,
    error::{Error, ErrorKind, Result},
    storage::{self, Ownership, Storage, beneath::Folder},
};

/// The end of the name of such a file.
pub const RECOVERY_SUFFIX: &str = ".recovery";
/// In the volume of a log and its companion the companion lies beyond any log.
const COMPANION_AT: u64 = 1 << 57;
/// The first frames lie here.
const START: u64 = 4 << 20;

/// The file of recovery data that belongs to this log.
pub fn companion(log: &Path) -> PathBuf {
    let mut name = log.as_os_str().to_owned();
    name.push(RECOVERY_SUFFIX);
    PathBuf::from(name)
}

/// Makes the recovery data of an archived log, as the redundancy and interlacing of `options` say: under a temporary
/// name, synced, read back, then named. Returns its path; `None` where none is wanted.
///
/// # Errors
/// When one of both files cannot be read or written; then nothing carries the name.
pub fn protect(
    storage: &dyn Storage,
    log: &Path,
    data_file_id: Uuid,
    options: ArchiveOptions,
    control: &Control,
) -> Result<Option<PathBuf>> {
    let volume = Volume::of_file(log).map_err(|e| Error::io("read", log, e))?;
    let Some(layout) = Layout::plan(volume.length(), options.redundancy, options.interlacing) else { return Ok(None) };
    let whole = hash_of(&volume, log, control)?;
    let stamp = Stamp { layout, id: data_file_id, index_offset: 0, tar_length: 0, whole };
    let target = companion(log);
    storage::refuse_existing(&target)?;
    let part = part_of(&target);
    let _ = fs::remove_file(&part);
    let mut file = storage.create(&part, Ownership::of(log))?;
    let mut length = 0;
    // A log that changes between two looks at it would get recovery data that is of no use.
    let mut hasher = blake3::Hasher::new();
    let mut read = |bytes: &[u8]| {
        hasher.update(bytes);
        Ok(())
    };
    let mut put = |frame: &[u8]| {
        length += frame.len() as u64;
        file.write_all(frame)
    };
    let written = make(&volume, &stamp, &mut read, &mut put, control).and_then(|()| file.sync()).and_then(|()| {
        let same = hasher.finalize().as_bytes() == &whole;
        crate::storage::forget_cached(&part);
        let copy = Volume::of_file(&part).map_err(|e| Error::io("read back", &part, e))?;
        // The log itself is not read again: without its length the frames would seem to claim far more than there is.
        let found = Packets::find_beside(&copy, volume.length(), control)?;
        let sound = found.is_some_and(|p| p.stamp == stamp && p.count() == super::recovery::find::expected(&stamp));
        if same && sound && copy.length() == length {
            return storage::publish(storage, &part, &target);
        }
        Err(Error::new(ErrorKind::Damaged, format!("{} does not read back as it was written", part.display()))
            .hint("Check that disk, then make another backup."))
    });
    drop(file);
    match written {
        Ok(()) => Ok(Some(target)),
        Err(error) => {
            storage.discard(&part);
            Err(error)
        }
    }
}

fn hash_of(volume: &Volume, path: &Path, control: &Control) -> Result<Hash> {
    let mut hasher = blake3::Hasher::new();
    let mut at = 0;
    while at < volume.length() {
        control.check()?;
        let bytes = volume.read(at, (4 << 20).min(volume.length() - at)).map_err(|e| Error::io("read", path, e))?;
        hasher.update(&bytes);
        at += bytes.len() as u64;
    }
    Ok(*hasher.finalize().as_bytes())
}

/// Whether a log has another length than when its recovery data was made: what its own records cannot always tell.
pub fn is_cut(log: &Path) -> bool {
    let Ok(all) = Volume::of_file(&companion(log)) else { return false };
    // Of a log that was cut away nobody knows how long it was; its recovery data is not much less than a twentieth of
    // it.
    let beside = all.length().saturating_mul(32);
    // Any frame is enough, and the first ones tell it at once; the others are looked for where those are damaged.
    let start: Vec<Piece> = all.pieces().iter().map(|p| Piece { length: p.length.min(START), ..p.clone() }).collect();
    let find = |volume: &Volume| Packets::find_beside(volume, beside, &Control::default()).ok().flatten();
    let packets = find(&Volume::new(start)).or_else(|| if all.length() > START { find(&all) } else { None });
    let length = fs::metadata(log).map_or(0, |m| m.len());
    packets.is_some_and(|packets| packets.stamp.layout.length != length)
}

/// Writes the log as it was before it was damaged into the folder `into`; `None` where its recovery data is missing or
/// does not go so far.
///
/// # Errors
/// When the copy cannot be written, or is not what its path leads to; `Stopped`.
pub fn heal_log(log: &Path, into: &Folder, control: &Control) -> Result<Option<(PathBuf, Damage)>> {
    let piece = |path: PathBuf, at| fs::metadata(&path).ok().map(|m| Piece { path, at, length: m.len() });
    let Some(recovery) = piece(companion(log), COMPANION_AT) else { return Ok(None) };
    let pieces = piece(log.to_path_buf(), 0).into_iter().chain([recovery]).collect();
    let Ok(mended) = mend(Volume::new(pieces), into.path(), control)? else { return Ok(None) };
    // Where nothing is lost, what cannot be told of single blocks is told by the hash of all.
    if mended.damage.lost > 0 || mended.stamp.layout.length > COMPANION_AT {
        return Ok(None);
    }
    let name = Path::new(log.file_name().unwrap_or_default());
    let target = into.path().join(name);
    let fail = |e| Error::io("write", &target, e);
    let mut file = into.create(name, Ownership::default())?;
    let mut hasher = blake3::Hasher::new();
    let mut at = 0;
    while at < mended.volume.length() {
        control.check()?;
        let count = (4 << 20).min(mended.volume.length() - at);
        let bytes = mended.volume.read(at, count).map_err(|e| Error::io("read", log, e))?;
        hasher.update(&bytes);
        std::io::Write::write_all(&mut file, &bytes).map_err(fail)?;
        at += count;
    }
    // It is read by its path: whoever may write the folder around it could have swapped it.
    if !into.is_at_its_path(name) {
        let message = format!("{} was replaced while it was written", target.display());
        return Err(Error::new(ErrorKind::Replaced, message)
            .hint("Move the archives and logs into a folder that nobody else can write, then try again."));
    }
    // Block by block it is right; as a whole it must be what was protected.
    Ok((hasher.finalize().as_bytes() == &mended.stamp.whole).then_some((target, mended.damage.of_proven())))
}
