//! Where the frames of a new archive go: one file, or segments of limited length, all under temporary names until the
//! whole archive is proven.
//!
//! Segments have a companion, `Name[0006].4BK.part`: it is there, and locked, as long as the set is not complete, names
//! the archive by its identity and lists the segments. So what a crash left of a set is recognised even where it fell
//! between two of the final names. Each further folder that the set goes on in gets such a file, too: what is removed
//! there later is not decided elsewhere.

mod notes;

use std::path::{Path, PathBuf};

use super::{
    catalog,
    format::{self, FRAME_LENGTH, FRAME_LENGTH_SMALL, Hash, Identity, Segment},
    keys::Key,
    leftovers,
    segments::{SEGMENTS_MAX, segment_name},
    signature::Signature,
    volume::{Piece, Volume},
};
use crate::{
    error::{Error, ErrorKind, Result},
    storage::{self, Ownership, PART_SUFFIX, Storage, StorageFile, space::disk_space},
};

/// No segment is shorter.
pub(super) const SEGMENT_BYTES_MIN: u64 = 1 << 20;
/// From this length on segments hold frames of the usual length.
const SEGMENT_BYTES_USUAL: u64 = 64 << 20;

/// So much stays free on a disk while somebody can be asked for another one; on a small disk 2 % of it.
const RESERVE_BYTES_MAX: u64 = 64 << 20;
const FREE_SPACE: &str = "Free space on that disk, or choose another folder.";

/// Asks for another folder to go on in when a disk is full: gets the folder that is full and how many bytes the next
/// segment may need; `None` ends the backup.
pub type OnFull<'a> = &'a (dyn Fn(&Path, u64) -> Option<PathBuf> + Sync);

/// The temporary name of a file.
pub(super) fn part_of(target: &Path) -> PathBuf {
    let mut part = target.as_os_str().to_owned();
    part.push(PART_SUFFIX);
    PathBuf::from(part)
}

/// One file of the archive.
#[derive(Debug, Clone)]
struct Part {
    target: PathBuf,
    part: PathBuf,
    at: u64,
    length: u64,
    /// Whether it holds more than its head.
    has_frames: bool,
}

/// A new archive being written.
pub(super) struct Output<'a> {
    storage: &'a dyn Storage,
    /// The archive's name if it were one file.
    target: PathBuf,
    folder: PathBuf,
    ownership: Ownership,
    identity: Identity,
    segment_bytes: Option<u64>,
    on_full: Option<OnFull<'a>>,
    key: Option<&'a Key>,
    parts: Vec<Part>,
    file: Option<Box<dyn StorageFile>>,
    marker: Option<Box<dyn StorageFile>>,
    /// The same in further folders.
    markers: Vec<(PathBuf, Box<dyn StorageFile>)>,
    /// Folders in which the archive's files got their names.
    published: Vec<PathBuf>,
    head_hash: Hash,
}

impl<'a> Output<'a> {
    /// Creates the first file of the archive `target` and writes its head.
    ///
    /// # Errors
    /// When the target exists, segments cannot be so small, or the disk cannot be written.
    pub(super) fn create(
        storage: &'a dyn Storage,
        target: &Path,
        ownership: Ownership,
        mut identity: Identity,
        on_full: Option<OnFull<'a>>,
        estimate: u64,
    ) -> Result<Self> {
        storage::refuse_existing(target)?;
        let segment_bytes = identity.options().segment_bytes;
        if let Some(bytes) = segment_bytes {
            let frame = if bytes < SEGMENT_BYTES_USUAL { FRAME_LENGTH_SMALL } else { FRAME_LENGTH };
            // The index lies in one segment as a whole.
            let index = estimate.div_ceil(frame as u64) * 50 + (64 << 10);
            if bytes < SEGMENT_BYTES_MIN || index > bytes {
                return Err(too_small(bytes));
            }
            identity.segment = Some(Segment { number: 1, offset: 0, frame_bytes: frame as u32 });
        }
        let mut output = Self {
            storage,
            target: target.to_path_buf(),
            folder: storage::folder_of(target).to_path_buf(),
            ownership,
            identity,
            segment_bytes,
            on_full,
            key: None,
            parts: Vec::new(),
            file: None,
            marker: None,
            markers: Vec::new(),
            published: Vec::new(),
            head_hash: [0; 32],
        };
        if segment_bytes.is_some() {
            output.marker = Some(storage.create(&part_of(target), ownership)?);
        }
        // From here on a failure leaves files that are to be removed.
        match output.begin_file() {
            Ok(()) => Ok(output),
            Err(error) => {
                output.discard();
                Err(error)
            }
        }
    }

    /// Has the archive signed by `key`.
    pub(super) fn sign_by(&mut self, key: Option<&'a Key>) {
        self.key = key;
    }

    /// The signature of the archive with this checksum of the whole, if it is to be signed.
    pub(super) fn signature(&self, whole: &Hash) -> Option<Signature> {
        self.key.map(|key| Signature::of(key, whole))
    }

    /// What the head of the first file says.
    pub(super) fn identity(&self) -> &Identity {
        &self.identity
    }

    /// The checksum of that head.
    pub(super) fn head_hash(&self) -> Hash {
        self.head_hash
    }

    /// Offset of the next byte in the archive.
    pub(super) fn at(&self) -> u64 {
        self.parts.last().map_or(0, |part| part.at + part.length)
    }

    /// The files as they are, joined, to read them back.
    pub(super) fn volume(&self) -> Volume {
        let piece = |part: &Part| Piece { path: part.part.clone(), at: part.at, length: part.length };
        Volume::new(self.parts.iter().map(piece).collect())
    }

    /// Writes one frame, in a new segment where this one would become too long, and returns its offset in the archive.
    ///
    /// # Errors
    /// A full disk where no other folder is given; other failures of the disk; more segments than there are numbers.
    pub(super) fn put(&mut self, frame: &[u8]) -> Result<u64> {
        if let (Some(limit), Some(part)) = (self.segment_bytes, self.parts.last())
            && part.length + frame.len() as u64 > limit
        {
            if !part.has_frames {
                return Err(too_small(limit));
            }
            self.begin_file()?;
        }
        while self.is_nearly_full(frame.len() as u64) {
            let place = self.folder.display();
            self.go_on_elsewhere(
                Error::new(ErrorKind::NoSpace, format!("the disk of {place} is full")).hint(FREE_SPACE),
            )?;
        }
        loop {
            let at = self.at();
            let (Some(file), Some(part)) = (&mut self.file, self.parts.last_mut()) else {
                return Err(Error::stopped());
            };
            match file.write_all(frame) {
                Ok(()) => {
                    part.length += frame.len() as u64;
                    part.has_frames = true;
                    return Ok(at);
                }
                Err(error) => self.go_on_elsewhere(error)?,
            }
        }
    }

    /// Whether so few bytes are left that others on the disk would suffer, such as the log; looked at only while there
    /// is somebody to ask for another folder.
    fn is_nearly_full(&self, bytes: u64) -> bool {
        if self.on_full.is_none() || self.segment_bytes.is_none() {
            return false;
        }
        disk_space(&self.folder).is_ok_and(|space| space.available < bytes + RESERVE_BYTES_MAX.min(space.total / 50))
    }

    /// Begins a new segment where `bytes` more do not fit, and returns the offset at which they will lie.
    ///
    /// # Errors
    /// As [`put`](Self::put).
    pub(super) fn room_for(&mut self, bytes: u64) -> Result<u64> {
        let full = self.segment_bytes.zip(self.parts.last()).is_some_and(|(limit, part)| part.length + bytes > limit);
        if full {
            self.begin_file()?;
        }
        Ok(self.at())
    }

    /// After a full disk: ends this segment where its last frame ends, and begins the next in another folder.
    fn go_on_elsewhere(&mut self, error: Error) -> Result<()> {
        let (Some(limit), Some(ask), ErrorKind::NoSpace) = (self.segment_bytes, self.on_full, error.kind()) else {
            return Err(error);
        };
        if let (Some(mut file), Some(part)) = (self.file.take(), self.parts.last()) {
            if part.has_frames {
                // What was written before is read back and proven with everything else.
                file.truncate(part.length)?;
                file.sync()?;
            } else {
                drop(file);
                self.storage.discard(&part.part);
                self.parts.pop();
            }
        }
        match ask(&self.folder, limit) {
            Some(folder) => {
                self.folder = folder;
                self.begin_file()
            }
            None => Err(error),
        }
    }

    /// Begins the next file, or the only one.
    fn begin_file(&mut self) -> Result<()> {
        self.sync()?;
        self.file = None;
        let number = self.parts.len() as u32 + 1;
        if number > SEGMENTS_MAX {
            return Err(Error::new(
                ErrorKind::Refused,
                format!("the archive would have more than {SEGMENTS_MAX} segments"),
            )
            .hint("Choose larger segments."));
        }
        let at = self.at();
        let mut identity = self.identity.clone();
        let target = match &mut identity.segment {
            None => self.target.clone(),
            Some(segment) => {
                (segment.number, segment.offset) = (number, at);
                let stem = catalog::stem(Path::new(&identity.data_file_name));
                self.folder.join(segment_name(&stem, identity.number, number))
            }
        };
        storage::refuse_existing(&target)?;
        let part = part_of(&target);
        if let Some(marker) = &mut self.marker {
            // Before the file is there: what the list does not name is not recognised in other folders. On a disk that
            // is full there may be no place for the name; that is no reason to give the backup up.
            let first = if number == 1 { leftovers::first_line(identity.archive_id) } else { String::new() };
            let line = format!("{first}{}\n", target.display());
            let listed = marker.write_all(line.as_bytes()).and_then(|()| marker.sync());
            if let Err(error) = listed
                && (self.parts.is_empty() || error.kind() != ErrorKind::NoSpace)
            {
                return Err(error);
            }
        }
        self.mark_folder()?;
        let (head, hash) = format::encode_head(&identity)?;
        if self.parts.is_empty() {
            self.head_hash = hash;
        }
        let mut file = self.storage.create(&part, self.ownership)?;
        self.parts.push(Part { target, part, at, length: 0, has_frames: false });
        let written = file.write_all(&head);
        self.file = Some(file);
        match written {
            Ok(()) => {
                if let Some(part) = self.parts.last_mut() {
                    part.length = head.len() as u64;
                }
                Ok(())
            }
            Err(error) => self.go_on_elsewhere(error),
        }
    }

    /// Returns when everything written is on the disk.
    ///
    /// # Errors
    /// When the system could not write.
    pub(super) fn sync(&mut self) -> Result<()> {
        self.file.as_mut().map_or(Ok(()), |file| file.sync())
    }

    /// Has the files so far read back from the disk, once they were synced.
    pub(super) fn forget_cached(&self) {
        self.parts.iter().for_each(|part| storage::forget_cached(&part.part));
    }

    /// Gives all files their final names, the last one last: only then the set is complete. Returns the path of the
    /// archive, for a set that of its first segment.
    ///
    /// # Errors
    /// When a name is taken, or the system could not write; then nothing carries a final name.
    pub(super) fn publish(&mut self) -> Result<PathBuf> {
        self.file = None;
        self.write_notes();
        let Some((last, others)) = self.parts.split_last() else { return Err(Error::stopped()) };
        let path = self.parts.first().map_or_else(|| self.target.clone(), |part| part.target.clone());
        let mut named = Vec::new();
        let mut result = others.iter().try_for_each(|part| {
            self.storage.rename_new(&part.part, &part.target)?;
            named.push(part.target.clone());
            Ok(())
        });
        let mut folders: Vec<&Path> = others.iter().map(|part| storage::folder_of(&part.target)).collect();
        folders.dedup();
        result = result.and_then(|()| folders.iter().try_for_each(|folder| self.storage.sync_folder(folder)));
        result = result.and_then(|()| {
            self.storage.rename_new(&last.part, &last.target)?;
            named.push(last.target.clone());
            self.storage.sync_folder(storage::folder_of(&last.target))
        });
        if let Err(error) = result {
            // A backup that is reported as failed must not leave a file under an archive's name; the last one goes
            // first.
            for path in named.iter().rev() {
                let _ = self.storage.remove(path);
            }
            self.remove_notes();
            return Err(error);
        }
        self.published = named;
        if self.marker.take().is_some() {
            // The set is complete; a list that stays is recognised as done with. The first one leads to the others.
            for (list, marker) in self.markers.drain(..) {
                drop(marker);
                let _ = self.storage.remove(&list).and_then(|()| self.storage.sync_folder(storage::folder_of(&list)));
            }
            let marker = part_of(&self.target);
            let _ = self.storage.remove(&marker).and_then(|()| self.storage.sync_folder(storage::folder_of(&marker)));
        }
        Ok(path)
    }

    /// The files of the archive, under their final names.
    pub(super) fn files(&self) -> &[PathBuf] {
        &self.published
    }

    /// Removes the temporary files, as far as the disk allows.
    pub(super) fn discard(&mut self) {
        self.file = None;
        for part in self.parts.drain(..) {
            self.storage.discard(&part.part);
        }
        for (list, marker) in self.markers.drain(..) {
            drop(marker);
            self.storage.discard(&list);
        }
        if self.marker.take().is_some() {
            self.storage.discard(&part_of(&self.target));
        }
    }
}

fn too_small(bytes: u64) -> Error {
    let size = storage::space::human_bytes(bytes);
    Error::new(ErrorKind::Refused, format!("segments of {size} are too small for this archive"))
        .hint("Choose larger segments, or none.")
}
