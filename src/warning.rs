//! What an administrator should know before something goes wrong: plain data for the window, the command line and other
//! programs.

use serde::{Deserialize, Serialize};

/// What a warning is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum WarningKind {
    /// The data file is damaged or gone.
    DataFileDamaged,
    /// The data file was restored by itself.
    RestoredAutomatically,
    /// A folder used before, or its disk, is not there.
    PlaceMissing,
    /// A job does not go on, as when a disk does not answer.
    JobStalled,
    /// Automatic backups are suspended, because too many attempts failed.
    BackupSuspended,
    /// The last full backup failed.
    BackupFailed,
    /// The last good backup is older than twice the interval.
    BackupOverdue,
    /// A backup was due while the program did not run.
    BackupMissed,
    /// The last full backup lacks something, or not all that belongs to it was done.
    BackupPartial,
    /// Nobody kept the log and made the backups that were due, for a while.
    Unwatched,
    /// A service looks after it, and has nothing to do for it: no log is kept and no backup scheduled.
    Unprotected,
    /// The Backup journal cannot be kept, or not be read.
    HistoryNotKept,
    /// There is no good backup at all.
    NoBackup,
    /// The last full backup holds a damaged data file, though every byte is as it was.
    ContentDamaged,
    /// A full backup holds drastically other content than the one before, which is held therefore.
    ContentChanged,
    /// Nobody has checked the content of the last full backups.
    ContentNotChecked,
    /// A test restore failed: a backup may not be restorable.
    TestRestoreFailed,
    /// An archive is damaged, or cannot be read.
    ArchiveDamaged,
    /// An archive bears the number of another one.
    ArchiveRenamed,
    /// An archive is not signed by this user's key, though newer or older ones of the data file are.
    ArchiveNotSigned,
    /// An archive belongs to a user who is a stranger to the data file, and may have put it there.
    ArchiveOfStranger,
    /// Another data file goes by the same settings: one was copied from the other with them.
    SharedSettings,
    /// Archives are not there any more.
    ArchivesGone,
    /// A damaged archive has a sound copy.
    ArchiveRepaired,
    /// The log does not record every commit.
    LogBroken,
    /// The log lacks commits that it held before.
    LogShortened,
    /// Programs use the data file by another name, whose commits are not seen.
    OtherName,
    /// A program waits to have the data file for itself, and the log is in its way.
    ProgramWaits,
    /// The log holds commits that the data file lacks.
    DataFileIncomplete,
    /// A program goes on with a data file that was deleted or replaced under it.
    StrayProgram,
    /// It holds a transaction that was begun and not ended.
    UnfinishedTransaction,
    /// Commits or archives bear times that are still to come: the clock was ahead, or is behind.
    Clock,
    /// The settings were gone, and were put back from an archive, or not.
    SettingsGone,
    /// The settings file cannot be understood, or holds what means nothing.
    Settings,
    /// The program to be run after each job failed.
    OnFinish,
    /// A folder lies on the physical disk of the data file.
    SameDisk,
    /// A folder lies on a network drive.
    NetworkDrive,
    /// A folder lies on a disk that can be taken away.
    RemovableDisk,
    /// A folder lies in memory, and is gone after a restart of the machine.
    MemoryDisk,
    /// There is not enough space for the backups to be kept.
    NotEnoughSpace,
    /// A folder cannot be written, or the data file by its owner.
    NotWritable,
    /// A folder holds archives of another data file.
    OtherDataFile,
}

impl WarningKind {
    /// Whether data is in danger now: to be shown in red, and not only as advice.
    pub fn is_urgent(self) -> bool {
        use WarningKind as K;
        matches!(
            self,
            K::DataFileDamaged
                | K::RestoredAutomatically
                | K::PlaceMissing
                | K::JobStalled
                | K::BackupSuspended
                | K::BackupFailed
                | K::BackupOverdue
                | K::ContentDamaged
                | K::ContentChanged
                | K::TestRestoreFailed
                | K::ArchiveDamaged
                | K::ArchiveNotSigned
                | K::ArchiveOfStranger
                | K::ArchivesGone
                | K::LogBroken
                | K::LogShortened
                | K::OtherName
                | K::SharedSettings
                | K::SettingsGone
                | K::ProgramWaits
                | K::DataFileIncomplete
                | K::StrayProgram
                | K::NotWritable
        )
    }
}

/// Something that needs attention.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Warning {
    /// What it is about.
    pub kind: WarningKind,
    /// What is the matter, in lower case without a full stop, as error messages are.
    pub message: String,
    /// What can be done about it, as a whole sentence.
    pub hint: Option<String>,
}

impl Warning {
    /// A warning with what can be done.
    pub fn new(kind: WarningKind, message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { kind, message: message.into(), hint: Some(hint.into()) }
    }
}
