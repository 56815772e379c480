//! Reading an archive: every byte that leaves here has been proven by its checksum.
//!
//! An archive is untrusted input. Lengths are checked before memory is taken for them, a frame is decompressed only
//! after its checksum agreed and never into more memory than a frame may have, and names are checked by [`safe_name`].

mod after_index;
mod frames;
mod parts;

use std::path::{Component, Path, PathBuf};

use parts::{Head, flaw_error, is_segment_head, read_head, read_index, read_tail, require_all};

use super::{
    Rate,
    format::{self, Flaw, FrameEntry, Hash, Identity, Index, Item, TAIL_LENGTH, Tail},
    keys::PublicKey,
    lawful,
    recovery::{Layout, find, mend::Mended, packet::Stamp},
    segments::{self, Located},
    signature::{self, Signature, Signed},
    volume::Volume,
};
use crate::error::{Error, ErrorKind, Result};

/// What an archive says of itself at its beginning and its end; nothing in between was read.
#[derive(Debug, Clone)]
pub struct Glance {
    /// What its beginning says.
    pub identity: Identity,
    /// How many of the chosen files are not in it, or not whole, where it says.
    pub not_whole: Option<u32>,
    /// The key that signed what its end says of it. That it is the archive that was signed, its bytes alone prove.
    pub signed_by: Option<PublicKey>,
}

/// An archive whose header, index and end were proven.
#[derive(Debug)]
pub struct Archive {
    path: PathBuf,
    volume: Volume,
    identity: Identity,
    head_hash: Hash,
    index: Index,
    index_hash: Hash,
    tail: Tail,
    frame_length: usize,
    /// Offset of the first byte after INDX.
    index_end: u64,
    /// What the recovery data says, of an archive that was made whole by it, or of which it was looked at.
    stamp: Option<Stamp>,
    /// Proven to be that of this content.
    signature: Option<Signature>,
}

impl Archive {
    /// Opens the archive at `path` and proves all but its data frames and the recovery data that it has. One of its
    /// segments stands for all of them; the others are found beside it.
    ///
    /// # Errors
    /// Says what is wrong: gone, not an archive, newer, cut off, which segment is missing, or which part is damaged.
    pub fn open(path: &Path) -> Result<Self> {
        Self::open_with(path, &[])
    }

    /// As [`open`](Self::open); segments are also found in `folders`.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn open_with(path: &Path, folders: &[PathBuf]) -> Result<Self> {
        Self::open_located(path, segments::locate(path, folders)?)
    }

    /// Opens an archive whose files were found.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn open_located(path: &Path, located: Located) -> Result<Self> {
        let head = require_all(path, &located)?;
        let tail = read_tail(path, &located, head.length)?;
        let (said, signature) = (tail.not_whole, find_signature(&located.volume));
        let opened = Self::open_parts(path, located.volume, head, tail, signature)?;
        // A list believes the end.
        if said != opened.index.not_whole() {
            return Err(flaw_error(path, Flaw::Damaged("end")));
        }
        Ok(opened)
    }

    /// Opens an archive that was made whole: its end is known from the recovery data; `signature` was found in what is
    /// damaged.
    ///
    /// # Errors
    /// As [`open`](Self::open), when header or index are not among what could be repaired.
    pub fn open_mended(path: &Path, mended: Mended, signature: Option<Signature>) -> Result<Self> {
        let head = read_head(path, &mended.volume)?;
        let Mended { volume, stamp, .. } = mended;
        let length = volume.length();
        let (index_offset, tar_length, whole) = (stamp.index_offset, stamp.tar_length, stamp.whole);
        let tail = Tail { index_offset, length, tar_length, whole, not_whole: None };
        let archive = Self::open_parts(path, volume, head, tail, signature)?;
        Ok(Self { stamp: Some(stamp), ..archive })
    }

    fn open_parts(path: &Path, volume: Volume, head: Head, tail: Tail, signature: Option<Signature>) -> Result<Self> {
        let Head { identity, hash: head_hash, length: head_length, version } = head;
        let frame_length = identity.frame_length().ok_or_else(|| flaw_error(path, Flaw::Damaged("header")))?;
        let has_recovery = identity.options().redundancy != Rate::None;
        let (frame, index_end) = read_index(path, &volume, &tail, has_recovery)?;
        let mut segment = 1;
        let mut between = |from: u64, to: u64| {
            segment += 1;
            is_segment_head(&volume, &identity, segment, from, to)
        };
        let (index, index_hash) =
            format::decode_index((&frame, version), head_length, &tail, frame_length, &mut between)
                .map_err(|flaw| flaw_error(path, flaw))?;
        if format::whole_hash(&head_hash, &index.frames, &index_hash) != tail.whole {
            return Err(flaw_error(path, Flaw::Damaged("end")));
        }
        lawful::require_lawful(path, &identity, &index.items)?;
        if let Some(signature) = signature.filter(|signature| !signature.is_of(&tail.whole)) {
            return Err(not_genuine(path, signature.key));
        }
        Ok(Self {
            path: path.to_path_buf(),
            volume,
            identity,
            head_hash,
            index,
            index_hash,
            tail,
            frame_length,
            index_end,
            stamp: None,
            signature,
        })
    }

    /// Reads only the header and the end: enough for a list.
    ///
    /// # Errors
    /// As [`open`](Self::open), as far as these two parts show it.
    pub fn glance(path: &Path) -> Result<Identity> {
        Self::glance_with(path, &[])
    }

    /// As [`glance`](Self::glance); segments are also found in `folders`.
    ///
    /// # Errors
    /// As [`glance`](Self::glance).
    pub fn glance_with(path: &Path, folders: &[PathBuf]) -> Result<Identity> {
        Self::glance_at_all(path, folders).map(|glance| glance.identity)
    }

    /// As [`glance_with`](Self::glance_with), with what its end says.
    ///
    /// # Errors
    /// As [`glance`](Self::glance).
    pub fn glance_at_all(path: &Path, folders: &[PathBuf]) -> Result<Glance> {
        let located = segments::locate(path, folders)?;
        let head = require_all(path, &located)?;
        let tail = read_tail(path, &located, head.length)?;
        let signature = find_signature(&located.volume).filter(|signature| signature.is_of(&tail.whole));
        let signed_by = signature.map(|signature| signature.key);
        Ok(Glance { identity: head.identity, not_whole: tail.not_whole, signed_by })
    }

    /// What the archive says of itself.
    pub fn identity(&self) -> &Identity {
        &self.identity
    }

    /// Whose it is, to somebody who trusts the keys `known`; certain only once its bytes are proven.
    pub fn signed(&self, known: &[PublicKey]) -> Signed {
        Signed::by(self.signature, self.identity.options().sign, known)
    }

    pub(super) fn signature(&self) -> Option<Signature> {
        self.signature
    }

    /// Its files, in the order of the tar stream.
    pub fn items(&self) -> &[Item] {
        &self.index.items
    }

    /// Length of the archive in bytes.
    pub fn bytes(&self) -> u64 {
        self.tail.length
    }

    /// Length of the tar stream in bytes.
    pub fn tar_bytes(&self) -> u64 {
        self.tail.tar_length
    }

    /// How many bytes of the archive hold the tar stream between `from` and `to`: whole frames, and parts of them pro
    /// rata.
    pub fn stored_bytes(&self, from: u64, to: u64) -> u64 {
        let part = |(number, frame): (usize, &FrameEntry)| {
            let start = number as u64 * self.frame_length as u64;
            let end = start + u64::from(frame.raw);
            let inside = end.min(to).saturating_sub(start.max(from));
            u64::from(frame.stored) * inside / u64::from(frame.raw).max(1)
        };
        self.index.frames.iter().enumerate().map(part).sum()
    }

    /// Where the archive is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Its files on the disk.
    pub fn files(&self) -> impl Iterator<Item = &Path> {
        self.volume.pieces().iter().map(|piece| piece.path.as_path())
    }

    /// Has what is read next come from the disk, and not from what the system keeps in memory of it.
    pub fn forget_cached(&self) {
        self.files().for_each(crate::storage::forget_cached);
    }

    /// What the recovery data says, or would say if it were made anew; `None` of an archive that has none.
    pub(super) fn stamp(&self) -> Option<Stamp> {
        let options = self.identity.options();
        let anew = || Layout::plan(self.index_end, options.redundancy, options.interlacing);
        let (index_offset, tar_length, whole) = (self.tail.index_offset, self.tail.tar_length, self.tail.whole);
        let of = |layout| Stamp { layout, id: self.identity.archive_id, index_offset, tar_length, whole };
        // Made anew it is of the newest version, whatever it was.
        self.stamp.map(|stamp| stamp.of_blocks()).or_else(|| anew().map(of))
    }

    /// The same archive, of which recovery data was found that says this: a sound copy gets the like, whatever the
    /// header says.
    #[must_use]
    pub fn with_recovery(self, stamp: Stamp) -> Self {
        Self { stamp: Some(stamp), ..self }
    }

    /// How much space a sound copy of it takes while it is written, in bytes: its recovery data waits there, too, until
    /// all else is written.
    pub fn copying_bytes(&self) -> u64 {
        let recovery = self.stamp().map_or(0, |stamp| find::recovery_bytes(&stamp.layout));
        self.index_end + 2 * recovery + TAIL_LENGTH
    }

    /// How many parts the recovery data has, when it is complete.
    pub fn recovery_parts(&self) -> u64 {
        self.stamp().map_or(0, |stamp| find::expected(&stamp))
    }

    /// Its bytes, not proven.
    pub(super) fn volume(&self) -> &Volume {
        &self.volume
    }
}

/// The signatures near the end of an archive that is damaged, perhaps at its very end; none of them proven.
pub(super) fn signatures_near_end(volume: &Volume) -> Vec<Signature> {
    let length = volume.length();
    let from = length.saturating_sub(SEARCH_BYTES);
    let bytes = volume.read(from, length - from).unwrap_or_default();
    bytes.windows(signature::LENGTH as usize).filter_map(Signature::decode).collect()
}

/// So near to the end a signature is looked for where the end itself is not right.
const SEARCH_BYTES: u64 = 64 << 10;

/// The signature that stands right before the end of an archive, not proven.
pub(super) fn find_signature(volume: &Volume) -> Option<Signature> {
    let at = volume.length().checked_sub(TAIL_LENGTH + signature::LENGTH)?;
    Signature::decode(&volume.read(at, signature::LENGTH).ok()?)
}

fn not_genuine(path: &Path, key: PublicKey) -> Error {
    let message = format!("{} is not genuine: key {key} signed something else", path.display());
    Error::new(ErrorKind::Refused, message).hint(
        "Somebody who may write its folder changed it and made its checksums anew, or put another signature there. \
         Use another archive, and see who may write that folder.",
    )
}

/// Refuses names that could leave the folder they are restored into, or that no file should have.
///
/// # Errors
/// [`ErrorKind::UnsafePath`] for absolute paths, `..`, backslashes, drive letters, control characters and empty parts.
pub fn safe_name(name: &str) -> Result<PathBuf> {
    let path = Path::new(name);
    let ordinary = path.components().all(|c| matches!(c, Component::Normal(_)));
    let strange = name.chars().any(|c| c == '\\' || c == ':' && cfg!(windows) || c.is_control());
    if name.is_empty() || name.len() > 4096 || !ordinary || strange || name.split('/').any(|p| p.is_empty() || p == ".")
    {
        return Err(Error::new(
            ErrorKind::UnsafePath,
            format!("the archive holds a file with the unsafe name {name:?}"),
        ));
    }
    Ok(path.to_path_buf())
}
