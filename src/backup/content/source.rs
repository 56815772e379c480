//! A file that others may change or take away while it is read.

use std::{
    fs::{File, Metadata},
    io::{self, Read},
    sync::Arc,
};

use super::{
    Found, Shared,
    database::{self, Databases, Part},
};
use crate::{
    archive::{Entry, Item, ItemKind, Source, original::encode},
    control::Control,
    error::{Error, NotOrdinary, Result},
    storage::{Ownership, owners::Readers},
};

/// Why a file cannot be read, in the words of a report.
pub(super) fn unreadable(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::NotFound => "vanished before it was read".to_owned(),
        io::ErrorKind::PermissionDenied => "may not be read by this user".to_owned(),
        _ => {
            let text = error.to_string();
            format!("cannot be read: {}", text.split(" (os error").next().unwrap_or_default().to_lowercase())
        }
    }
}

/// An ordinary file. It is opened when its turn comes; what is missing at its end then is filled with zeros, and said.
pub(super) struct FileSource<'a> {
    found: Found,
    shared: Shared,
    /// Of the archive.
    private: Ownership,
    databases: Arc<Databases>,
    /// Of the job; of what was copied already there is none.
    control: Option<&'a Control>,
    open: Option<Open>,
    left: u64,
    /// Of a database, what lies beside it.
    companions: Vec<Part>,
    /// Said once per file.
    is_said: bool,
}

struct Open {
    file: File,
    meta: Metadata,
    length: u64,
    /// Whether it is a copy made for this: what becomes of the file itself is of no concern.
    is_copy: bool,
}

impl<'a> FileSource<'a> {
    pub(super) fn new(
        found: Found,
        shared: Shared,
        private: Ownership,
        (databases, control): (Arc<Databases>, Option<&'a Control>),
    ) -> Self {
        let (open, companions) = (None, Vec::new());
        Self { found, shared, private, databases, control, open, left: 0, companions, is_said: false }
    }

    /// Of a database that may be in use, all is read as it was at one moment.
    fn begin(&mut self, mut file: File, meta: Metadata) -> io::Result<()> {
        let mut is_copy = false;
        let mut length = meta.len();
        let mut whose = meta;
        if database::is_database(&mut file)? {
            match database::copy(&self.found, &whose, &self.databases, self.private, self.control) {
                Ok(None) => {}
                Ok(Some(copied)) => {
                    copied.problem.into_iter().for_each(|problem| self.say(problem));
                    let Part { file: copy, meta, length: copied_length, .. } = copied.database;
                    (file, whose, length, is_copy) = (copy, meta, copied_length, true);
                    self.companions = copied.companions;
                }
                Err(problem) => self.say(problem),
            }
        }
        self.open = Some(Open { file, meta: whose, length, is_copy });
        Ok(())
    }

    fn say(&mut self, reason: String) {
        if !std::mem::replace(&mut self.is_said, true) {
            self.shared.edit(|report| report.problem(&self.found.path, reason));
        }
    }

    /// Sees at the end whether the file is still what it was when it was opened.
    fn compare(&mut self) {
        let Some(Open { file, meta: before, is_copy: false, .. }) = self.open.take() else { return };
        let same = |after: &Metadata| {
            after.len() == before.len() && matches!((after.modified(), before.modified()), (Ok(a), Ok(b)) if a == b)
        };
        if !file.metadata().is_ok_and(|after| same(&after)) {
            self.say("changed while it was read".to_owned());
        }
    }
}

impl Source for FileSource<'_> {
    fn is_there(&mut self) -> Result<bool> {
        if self.open.is_some() {
            return Ok(true);
        }
        if self.databases.has_taken(&self.found.path) {
            if database::is_index(&self.found.path) {
                self.shared.edit(|report| report.leave_out(&self.found.path, "is made anew by SQLite"));
            }
            return Ok(false);
        }
        match open(&self.found) {
            // Who can read it was seen when it was found. It may be another file since, which fewer people can read
            // than this archive.
            Ok((_, _, readers)) if !self.private.is_within(readers) => {
                self.say("became more private than this backup while it was made".to_owned());
                Ok(false)
            }
            Ok((file, meta, _)) => match self.begin(file, meta) {
                Ok(()) => Ok(true),
                Err(error) => {
                    self.say(unreadable(&error));
                    Ok(false)
                }
            },
            Err(error) => {
                self.say(unreadable(&error));
                Ok(false)
            }
        }
    }

    fn entry(&mut self, _: &[Item]) -> Result<Entry> {
        let Some(Open { meta, length, .. }) = &self.open else { return Err(Error::stopped()) };
        let entry = Entry { length: *length, ..describe(&self.found, meta) };
        self.left = entry.length;
        self.shared.edit(|report| {
            report.files += 1;
            report.bytes += entry.length;
        });
        if self.left == 0 {
            self.compare();
        }
        Ok(entry)
    }

    fn read(&mut self, buffer: &mut [u8]) -> Result<()> {
        let mut filled = 0;
        while filled < buffer.len() {
            let Some(Open { file, .. }) = &mut self.open else { break };
            match file.read(&mut buffer[filled..]) {
                Ok(0) => {
                    self.open = None;
                    self.say("became shorter while it was read".to_owned());
                }
                Ok(n) => filled += n,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    self.open = None;
                    self.say(unreadable(&error));
                }
            }
        }
        // The length stands in the archive already.
        buffer[filled..].fill(0);
        self.left -= buffer.len() as u64;
        if self.left == 0 {
            self.compare();
        }
        Ok(())
    }

    fn following(&mut self) -> Vec<Box<dyn Source>> {
        let parts = std::mem::take(&mut self.companions);
        let source = |Part { found, file, meta, length }: Part| -> Box<dyn Source> {
            let open = Some(Open { file, meta, length, is_copy: true });
            let of = (Arc::clone(&self.databases), None);
            Box::new(FileSource { open, ..FileSource::new(found, self.shared.clone(), self.private, of) })
        };
        parts.into_iter().map(source).collect()
    }
}

/// Opens an ordinary file, and nothing else that may have taken its name meanwhile: a pipe would be waited for, a link
/// lead elsewhere, and a data file lose its locks. Whoever may write a folder on the way to it could swap that folder
/// for a link: so the way begins at the chosen folder, which is held, and leads through none.
fn open(found: &Found) -> io::Result<(File, Metadata, Readers)> {
    let opened = found.root.open_to_read(&found.inside);
    opened.map_err(|error| match error.get_ref().and_then(|inner| inner.downcast_ref()) {
        Some(NotOrdinary::DataFile) => io::Error::other("it is a data file in use"),
        Some(_) => io::Error::other("it is no longer an ordinary file"),
        None => error,
    })
}

/// The first bytes of a file, at most `length`; `None` when it cannot be read.
pub(super) fn beginning(found: &Found, length: u64) -> Option<Vec<u8>> {
    let (file, _, _) = open(found).ok()?;
    let mut bytes = Vec::new();
    file.take(length).read_to_end(&mut bytes).ok()?;
    Some(bytes)
}

fn describe(found: &Found, meta: &Metadata) -> Entry {
    #[cfg(unix)]
    let (mode, owner) = {
        use std::os::unix::fs::MetadataExt;
        (meta.mode() & 0o777, Some((meta.uid(), meta.gid())))
    };
    #[cfg(not(unix))]
    let (mode, owner) = (0o644, None);
    let modified = meta.modified().ok().and_then(|at| at.duration_since(std::time::UNIX_EPOCH).ok());
    Entry {
        name: found.name.clone(),
        kind: found.kind,
        length: meta.len(),
        mode,
        modified: modified.map_or(0, |at| at.as_secs() as i64),
        owner,
        target: None,
        not_whole: None,
        original: found.original.as_deref().map(encode),
    }
}

/// An empty folder or a link: only its name, and where it leads.
pub(super) struct MarkSource {
    found: Found,
    shared: Shared,
    entry: Option<Entry>,
}

impl MarkSource {
    pub(super) fn new(found: Found, shared: Shared) -> Self {
        Self { found, shared, entry: None }
    }
}

impl Source for MarkSource {
    fn is_there(&mut self) -> Result<bool> {
        let Found { root, inside, name, original, kind, .. } = &self.found;
        let looked = root.look(inside).and_then(|seen| {
            let target = if *kind == ItemKind::Link {
                let target = root.target(inside)?;
                // One that is no text cannot stand in the list of files.
                Some(target.to_str().ok_or_else(|| io::Error::other("it leads to a name that is no text"))?.to_owned())
            } else {
                None
            };
            let (name, mode, modified, owner) = (name.clone(), seen.mode, seen.modified, seen.owner);
            let original = original.as_deref().map(encode);
            Ok(Entry { name, kind: *kind, length: 0, mode, modified, owner, target, not_whole: None, original })
        });
        match looked {
            Ok(entry) => self.entry = Some(entry),
            Err(error) => {
                let is_link = error.get_ref().is_some_and(|inner| inner.is::<NotOrdinary>());
                let reason = if is_link { "lies behind a link now".to_owned() } else { unreadable(&error) };
                self.shared.edit(|report| report.problem(&self.found.path, reason));
            }
        }
        Ok(self.entry.is_some())
    }

    fn entry(&mut self, _: &[Item]) -> Result<Entry> {
        self.entry.take().ok_or_else(Error::stopped)
    }

    fn read(&mut self, _: &mut [u8]) -> Result<()> {
        Ok(())
    }
}
