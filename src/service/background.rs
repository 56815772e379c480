//! A process in the background that goes on with what a window looked after: `strongroom serve --background`, away from
//! the window's terminal and session, with its messages in a file.

use std::{
    fs::{self, File},
    io::{Read, Seek, SeekFrom},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use crate::{
    error::{Error, Result},
    storage::{
        self,
        regular::{self, Links},
    },
};

/// So much of the end of its messages is read.
const MESSAGES_MAX: u64 = 64 << 10;

/// Where the program is, and where the messages of a process in the background go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Background {
    /// The program.
    pub program: PathBuf,
    /// Its messages; those of the one before are kept beside.
    pub messages: PathBuf,
}

impl Background {
    /// Begins the process. It has no data files yet: they are handed over to it by whoever began it, and it ends when
    /// it has none.
    ///
    /// # Errors
    /// When the file for its messages cannot be written, or the program not be run.
    pub fn start(&self) -> Result<Child> {
        let folder = storage::folder_of(&self.messages);
        storage::make_private_folders(folder)?;
        if self.messages.exists() {
            // For whoever wants to know why it has ended; where that cannot be, the new ones are worth more.
            let _ = fs::rename(&self.messages, self.messages.with_extension("before.log"));
        }
        let fail = |e| Error::io("create", &self.messages, e);
        let mut options = File::options();
        options.write(true).create(true).truncate(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let out = options.open(&self.messages).map_err(fail)?;
        let err = out.try_clone().map_err(fail)?;
        let mut command = Command::new(&self.program);
        command.args(["serve", "--background"]).current_dir("/").stdin(Stdio::null()).stdout(out).stderr(err);
        command.spawn().map_err(|e| Error::io("start", &self.program, e))
    }

    /// The last thing that it said.
    pub fn last_words(&self) -> Option<String> {
        last_words(&self.messages)
    }
}

fn last_words(messages: &Path) -> Option<String> {
    let (mut file, meta) = regular::open(messages, Links::Refused).ok()?;
    file.seek(SeekFrom::Start(meta.len().saturating_sub(MESSAGES_MAX))).ok()?;
    let mut bytes = Vec::new();
    file.take(MESSAGES_MAX).read_to_end(&mut bytes).ok()?;
    String::from_utf8_lossy(&bytes).lines().map(str::trim).rfind(|line| !line.is_empty()).map(str::to_owned)
}

/// Leaves the session of the window that began this process: a terminal that closes does not end it.
pub fn leave_session() {
    #[cfg(unix)]
    // Fails only for whoever is first in a session already.
    let _ = rustix::process::setsid();
}
