//! Reading a settings file, and whose word it is.
//!
//! A settings file says what is read, where it is written, and which programs are run. In a folder that others can
//! write, any of them can put a file or a link there. So the file is opened once, without following a link; whose it is
//! and who may write it is asked of that open file and kept with the text, because the name may lead elsewhere a moment
//! later.

use std::{
    fs::{File, Metadata},
    io::Read,
    path::Path,
};

use crate::{
    error::{Error, ErrorKind, Result},
    storage::{
        Ownership,
        owners::{self, ROOT, group_in_words, name_of, other_writer, owner_of},
    },
};

/// No settings file is longer: a thousand attachments need a tenth of it.
const LENGTH_MAX: u64 = 1 << 20;

/// Whose a settings file was when its text was read, and who could write it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Origin {
    user: u32,
    group: u32,
    mode: u32,
}

impl Origin {
    fn of(meta: &Metadata) -> Self {
        #[cfg(unix)]
        {
            use std::os::unix::fs::MetadataExt;
            Self { user: meta.uid(), group: meta.gid(), mode: meta.mode() & 0o777 }
        }
        #[cfg(not(unix))]
        {
            let _ = meta;
            Self::own(Ownership::default())
        }
    }

    /// Of a file that this process has just written so.
    pub(super) fn own(written: Ownership) -> Self {
        let group = written.owner.map_or(ROOT, |(_, group)| group);
        Self { user: owners::this_user(), group, mode: written.mode.unwrap_or(0o600) }
    }

    /// For the file that takes its place. Who could write it still can: what they wrote stays their word.
    pub(super) fn of_next(&self, data_file: Ownership) -> Ownership {
        let owner =
            data_file.owner.map(|(user, group)| (user, if self.mode & 0o022 == 0 { group } else { self.group }));
        Ownership { mode: Some(self.mode & 0o666), owner }
    }

    /// Whether it is of this user or of the superuser: nobody else's file is written anew, since its text would become
    /// this user's word.
    pub(super) fn is_own(&self) -> bool {
        cfg!(not(unix)) || self.user == owners::this_user() || self.user == ROOT
    }

    /// In whose name the file speaks, for messages.
    pub(super) fn user_name(&self) -> String {
        name_of(self.user)
    }

    /// Sees that the settings are those of this user, of the superuser, or of the owner of the data file, and that not
    /// everybody can write them.
    pub(super) fn require_believable(&self, path: &Path, data_file: &Path) -> Result<()> {
        if !self.is_own() && owner_of(data_file) != Some(self.user) {
            let message = format!(
                "the settings in {} are not believed: they belong to {}, to whom the data file does not belong",
                path.display(),
                name_of(self.user)
            );
            return Err(Error::new(ErrorKind::Settings, message).hint(
                "Look at what is in them. Give the file to the owner of the data file (chown), or move it away.",
            ));
        }
        if cfg!(unix) && self.mode & 0o002 != 0 {
            let message = format!("the settings in {} are not believed: everybody can write them", path.display());
            return Err(Error::new(ErrorKind::Settings, message)
                .hint("Look at what is in them, then take that right away: chmod go-w FILE."));
        }
        Ok(())
    }

    /// Sees that nobody but this user and the superuser could have named a program in them, now or by replacing the
    /// file.
    pub(super) fn require_own_word(&self, path: &Path) -> Result<()> {
        if cfg!(not(unix)) {
            return Ok(());
        }
        let refuse = |why: String| {
            let message = format!("the program to be run after each job is not run: {why}");
            Err(Error::new(ErrorKind::Refused, message).hint(
                "Whoever can write there could have any program run as this user. Change owner or permissions: \
                    chmod go-w.",
            ))
        };
        let user = owners::this_user();
        let shown = path.display();
        if self.user != user && self.user != ROOT {
            return refuse(format!("{shown} belongs to {}", name_of(self.user)));
        }
        if self.mode & 0o002 != 0 {
            return refuse(format!("everybody can write {shown}"));
        }
        if self.mode & 0o020 != 0 && self.group != ROOT {
            return refuse(format!("{} can write {shown}", group_in_words(self.group)));
        }
        match other_writer(path, user) {
            Some((folder, who)) => refuse(format!("{who} can write {}, where the settings are", folder.display())),
            None => Ok(()),
        }
    }
}

/// The text of the file at `path` with its origin; `None` where there is none.
pub(super) fn read(path: &Path) -> Result<Option<(String, Origin)>> {
    let not_ordinary = |what: &str| {
        Error::new(ErrorKind::WrongType, format!("the settings file {} is {what}", path.display())).hint(
            "Move it away: then the last ones that an archive holds are put back. The settings are read from the \
                file itself, never through a link.",
        )
    };
    let file = match open(path) {
        Ok(file) => file,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(_) if path.symlink_metadata().is_ok_and(|meta| meta.is_symlink()) => return Err(not_ordinary("a link")),
        Err(e) => return Err(Error::io("read the settings file", path, e)),
    };
    let fail = |e| Error::io("read the settings file", path, e);
    let meta = file.metadata().map_err(fail)?;
    if !meta.is_file() {
        return Err(not_ordinary("not an ordinary file"));
    }
    let mut bytes = Vec::new();
    file.take(LENGTH_MAX + 1).read_to_end(&mut bytes).map_err(fail)?;
    if bytes.len() as u64 > LENGTH_MAX {
        return Err(super::settings_error(path, "the file is longer than 1 MiB"));
    }
    match String::from_utf8(bytes) {
        Ok(text) => Ok(Some((text, Origin::of(&meta)))),
        Err(e) => Err(super::settings_error(path, "it is not text in UTF-8").because(e)),
    }
}

#[cfg(unix)]
fn open(path: &Path) -> std::io::Result<File> {
    use rustix::fs::{Mode, OFlags};
    // What waits in the place of the file, such as a pipe, must hold up nobody.
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    Ok(rustix::fs::open(path, flags, Mode::empty())?.into())
}

#[cfg(not(unix))]
fn open(path: &Path) -> std::io::Result<File> {
    File::open(path)
}
