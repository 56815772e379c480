//! The one way to open what others can write: only an ordinary file, never waited for, never longer than expected.
//!
//! Somebody who may write a folder can put a pipe there, a device, or a link to `/dev/zero`: what is opened to read a
//! few lines would then be waited for without end, or fill the memory. `tests/program/architecture.rs` holds the
//! sources against this.

use std::{
    fs::{File, Metadata, OpenOptions},
    io::{self, Read},
    path::Path,
};

use super::refuse_data_file;
use crate::error::{Error, NotOrdinary};

/// Whether the last part of a path may be a link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Links {
    /// People may have put a link there on purpose, as to a log on another disk.
    Followed,
    /// It is a file of our own making, which is never a link.
    Refused,
}

/// Opens the ordinary file `path` to read it. Pipes, devices, folders and data files in use are refused, and not waited
/// for.
///
/// # Errors
/// Those of the system; [`NotOrdinary`] inside of one for what is something else.
pub fn open(path: &Path, links: Links) -> io::Result<(File, Metadata)> {
    open_with(OpenOptions::new().read(true), path, links)
}

/// As [`open`], opened as `options` say, which must not create or cut it.
///
/// # Errors
/// As [`open`].
pub fn open_with(options: &mut OpenOptions, path: &Path, links: Links) -> io::Result<(File, Metadata)> {
    // Looked at before, since to open a device may already do something; and again after, since it may have been
    // swapped.
    let before = if links == Links::Followed { path.metadata()? } else { path.symlink_metadata()? };
    if !before.is_file() {
        return Err(ordinary(NotOrdinary::Other));
    }
    refuse_data_file(path).map_err(|_| ordinary(NotOrdinary::DataFile))?;
    open_looked_at(options, path, links)
}

/// As [`open`], also where SQLite has the file open in this process. Whoever closes it must know what that does.
pub(super) fn open_unguarded(path: &Path, links: Links) -> io::Result<(File, Metadata)> {
    let before = if links == Links::Followed { path.metadata()? } else { path.symlink_metadata()? };
    if !before.is_file() {
        return Err(ordinary(NotOrdinary::Other));
    }
    open_looked_at(OpenOptions::new().read(true), path, links)
}

fn open_looked_at(options: &mut OpenOptions, path: &Path, links: Links) -> io::Result<(File, Metadata)> {
    #[cfg(unix)]
    {
        use rustix::fs::OFlags;
        let nofollow = if links == Links::Followed { OFlags::empty() } else { OFlags::NOFOLLOW };
        let flags = OFlags::NONBLOCK | nofollow;
        std::os::unix::fs::OpenOptionsExt::custom_flags(options, flags.bits() as i32);
    }
    let file = options.open(path)?;
    let meta = file.metadata()?;
    if meta.is_file() { Ok((file, meta)) } else { Err(ordinary(NotOrdinary::Other)) }
}

/// The content of the ordinary file `path`, which has at most `limit` bytes.
///
/// # Errors
/// As [`open`]; `FileTooLarge` for a longer one.
pub fn read(path: &Path, links: Links, limit: u64) -> io::Result<Vec<u8>> {
    let (file, meta) = open(path, links)?;
    if meta.len() > limit {
        return Err(ordinary(NotOrdinary::Longer(limit)));
    }
    let mut bytes = Vec::with_capacity(meta.len() as usize);
    // It may grow while it is read.
    file.take(limit + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > limit { Err(ordinary(NotOrdinary::Longer(limit))) } else { Ok(bytes) }
}

/// As [`read`], for text.
///
/// # Errors
/// As [`read`]; `InvalidData` for what is no text.
pub fn read_text(path: &Path, links: Links, limit: u64) -> io::Result<String> {
    String::from_utf8(read(path, links, limit)?).map_err(|_| io::ErrorKind::InvalidData.into())
}

pub(super) fn ordinary(what: NotOrdinary) -> io::Error {
    io::Error::other(what)
}

/// What was found at `path` is no ordinary file.
pub(super) fn not_regular(path: &Path) -> Error {
    Error::io("open", path, ordinary(NotOrdinary::Other))
}

#[cfg(all(test, unix))]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;
    use crate::error::ErrorKind;

    #[test]
    fn only_ordinary_files_are_opened_and_none_is_waited_for() -> std::result::Result<(), Box<dyn std::error::Error>> {
        let place = tempfile::tempdir()?;
        let at = |name: &str| place.path().join(name);
        std::fs::write(at("file"), "12345")?;
        symlink(at("file"), at("link"))?;
        symlink("/dev/zero", at("zero"))?;
        rustix::fs::mknodat(rustix::fs::CWD, at("pipe"), rustix::fs::FileType::Fifo, 0o666.into(), 0)?;
        symlink(at("pipe"), at("link to a pipe"))?;
        for links in [Links::Followed, Links::Refused] {
            assert_eq!(read(&at("file"), links, 5)?, b"12345");
            assert!(read(&at("file"), links, 4).is_err());
            for name in ["zero", "pipe", "link to a pipe", "."] {
                let error = Error::io("read", &at(name), read(&at(name), links, 5).err().ok_or(name)?);
                assert_eq!(error.kind(), ErrorKind::WrongType, "{name}: {error}");
            }
        }
        assert_eq!(read(&at("link"), Links::Followed, 5)?, b"12345");
        assert!(open(&at("link"), Links::Refused).is_err());
        let missing = open(&at("missing"), Links::Refused).err().ok_or("there is none")?;
        assert_eq!(missing.kind(), io::ErrorKind::NotFound);
        Ok(())
    }
}
