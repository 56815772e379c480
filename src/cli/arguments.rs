//! What can be asked for on the command line.

use std::{ffi::OsString, path::PathBuf};

use clap::{CommandFactory, Parser, Subcommand};

use super::{diff, log, query, recover, restore, storing, take_back};
use crate::error::foreign::shown;

/// Keeps SQLite data files safe: full backups into numbered archives while applications keep writing, and restore.
#[derive(Debug, Parser)]
#[command(name = "strongroom", version, override_usage = "strongroom [DATAFILE]\n       strongroom <COMMAND>")]
pub struct Arguments {
    /// The data file to open in the window.
    #[arg(value_name = "DATAFILE")]
    pub(super) data_file: Option<PathBuf>,

    /// As the superuser, work on the superuser's own files also in a folder that others can write. They could then have
    /// every file of this machine read and written.
    #[arg(long, global = true, hide_short_help = true)]
    pub(super) as_root: bool,

    #[command(subcommand)]
    pub(super) job: Option<Job>,
}

impl Arguments {
    /// What was `given`; what cannot be understood ends the program, with an explanation.
    pub(super) fn of(given: &[OsString]) -> Self {
        let arguments = Self::parse_from(given);
        // Not clap's own rule for that, which would allow no option before a command.
        if let (Some(file), Some(_)) = (&arguments.data_file, &arguments.job) {
            let message = format!("{} stands before the command; it belongs after it", shown(file));
            Self::command().error(clap::error::ErrorKind::ArgumentConflict, message).exit();
        }
        arguments
    }
}

/// One thing to do.
#[derive(Debug, Subcommand)]
pub(super) enum Job {
    /// Make a full backup of a data file while its applications keep writing.
    Backup {
        /// The SQLite data file.
        data_file: PathBuf,
        /// Folder for this archive alone; otherwise the one in the settings, or `Backups` beside the data file. An
        /// archive made there is kept until somebody deletes it, and is not counted by status, list and schedule.
        #[arg(long, value_name = "DIR")]
        to: Option<PathBuf>,
        #[command(flatten)]
        storing: storing::Storing,
        /// When Ctrl-C is pressed or the terminal closes, leave the job running in the window or service that does it.
        #[arg(long)]
        detach: bool,
        /// Print the result as one JSON object.
        #[arg(long)]
        json: bool,
    },
    /// Say how well a data file is protected: its backups, its log, who has it open. Works beside a running window or
    /// service.
    Status {
        /// The SQLite data file.
        data_file: PathBuf,
        /// Print the result as one JSON object.
        #[arg(long)]
        json: bool,
    },
    /// List the archives of a data file, or all archives in a folder.
    List {
        /// The data file (it may be lost), or a folder.
        #[arg(value_name = "DATAFILE|DIR")]
        place: PathBuf,
        /// Print one JSON object per archive and line.
        #[arg(long)]
        json: bool,
    },
    /// List what every commit of a log changed: records added, modified, deleted, and changes of the schema.
    Log(log::Asked),
    /// Look into a data file as it was at a moment or after a commit, without restoring it: run one statement that
    /// reads. With exit code 1 where commits may be missing that were asked for.
    Query(query::Asked),
    /// Compare two states of a data file, table by table: of a moment and of now, of two moments, of two archives.
    Diff(diff::Asked),
    /// Keep an archive for ever, whatever the settings say of old ones; or let it go again.
    Hold {
        /// The archive; of an archive in segments, any of them.
        archive: PathBuf,
        /// The reason, shown in the list of archives.
        #[arg(long, value_name = "TEXT")]
        note: Option<String>,
        /// Release it: from then on it is kept and deleted as the settings say.
        #[arg(long, conflicts_with = "note")]
        release: bool,
        /// Print the archive as one JSON object.
        #[arg(long)]
        json: bool,
    },
    /// Show the public half of the key by which this user signs archives; makes the key if there is none yet.
    Key {
        /// Show the key of the user who owns this data file and makes its backups.
        data_file: Option<PathBuf>,
        /// Print it as one JSON object.
        #[arg(long)]
        json: bool,
    },
    /// Check every byte of an archive, or of a log.
    Verify {
        /// The archive, or the log.
        #[arg(value_name = "ARCHIVE|LOG")]
        archive: PathBuf,
        /// A folder that holds segments of it, besides its own; may be given several times.
        #[arg(long, value_name = "DIR")]
        segments: Vec<PathBuf>,
        /// Of a log: a folder with archives that may have been cut from it, besides those found by themselves; may be
        /// given several times.
        #[arg(long, value_name = "DIR")]
        archives: Vec<PathBuf>,
        /// Fail unless it was signed by the key whose public half is in this file.
        #[arg(long, value_name = "FILE")]
        signed_by: Option<PathBuf>,
        /// Also restore it with its logs to a scratch folder, check it with SQLite, and remember that it could be done.
        #[arg(long)]
        test_restore: bool,
        /// When Ctrl-C is pressed or the terminal closes, leave the job running in the window or service that does it.
        #[arg(long)]
        detach: bool,
        /// Print the result as one JSON object.
        #[arg(long)]
        json: bool,
    },
    /// List the commits of a log: number, time, length of the data file. Of an archived log its index tells them.
    Commits {
        /// The log, running or archived.
        log: PathBuf,
        /// Only those that wrote this page of the data file, by its number from 1.
        #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u32).range(1..))]
        page: Option<u32>,
        /// Print one JSON object per commit and line.
        #[arg(long)]
        json: bool,
    },
    /// Verify the records and indexes of a data file, table by table, while programs use it.
    Check {
        /// The SQLite data file.
        data_file: PathBuf,
        /// When Ctrl-C is pressed or the terminal closes, leave the job running in the window or service that does it.
        #[arg(long)]
        detach: bool,
        /// Print the result as one JSON object.
        #[arg(long)]
        json: bool,
    },
    /// List the tables of a data file: records, and what came or went since the last backup, columns, indexes, and how
    /// much room they take, while programs use it. With exit code 1 where something could not be looked at.
    Tables {
        /// The SQLite data file.
        data_file: PathBuf,
        /// Print the result as one JSON object.
        #[arg(long)]
        json: bool,
    },
    /// Make a data file as short as its content. No other program may have it open.
    Compact {
        /// The SQLite data file.
        data_file: PathBuf,
        /// When Ctrl-C is pressed or the terminal closes, leave the job running in the window or service that does it.
        #[arg(long)]
        detach: bool,
        /// Print the result as one JSON object.
        #[arg(long)]
        json: bool,
    },
    /// Write a sound copy of a damaged archive, from its recovery data.
    Repair {
        /// The archive.
        archive: PathBuf,
        /// The new file, or a folder for it; otherwise a new name beside the archive.
        #[arg(long, value_name = "FILE")]
        to: Option<PathBuf>,
        /// A folder that holds segments of it, besides its own; may be given several times.
        #[arg(long, value_name = "DIR")]
        segments: Vec<PathBuf>,
        /// When Ctrl-C is pressed or the terminal closes, leave the job running in the window or service that does it.
        #[arg(long)]
        detach: bool,
        /// Print the result as one JSON object.
        #[arg(long)]
        json: bool,
    },
    /// Save what a damaged data file still holds into a new one, and say per table what was found, what is lost, and
    /// what is doubtful. The damaged file is never touched. With exit code 1 where something is missing or doubtful, 2
    /// where nothing could be saved.
    Recover(recover::Asked),
    /// Restore a random archive of a data file up to a random commit to a scratch folder, and check it.
    Drill {
        /// The SQLite data file.
        data_file: PathBuf,
        /// Print the result as one JSON object.
        #[arg(long)]
        json: bool,
    },
    /// Restore the files of an archive into a folder, without overwriting anything; or a live data file in place. With
    /// exit code 1 where commits may be missing that were asked for.
    Restore(restore::Asked),
    /// Undo the last restore in place of a data file, after showing what comes back and what leaves it. Can itself be
    /// undone.
    Undo {
        /// The SQLite data file.
        data_file: PathBuf,
        /// Do not ask.
        #[arg(long, conflicts_with = "dry_run")]
        yes: bool,
        /// Only show the numbers.
        #[arg(long)]
        dry_run: bool,
        /// Print the result as one JSON object.
        #[arg(long)]
        json: bool,
    },
    /// Take back what chosen operations of the log did to records, in the live data file, while programs write. With
    /// the filters of `log`; after showing the plan, and what is in its way. Can itself be taken back.
    TakeBack(take_back::Asked),
    /// Look after data files without a window, until Ctrl-C or SIGTERM: keep their logs, make the backups that are due.
    Serve {
        /// The SQLite data files, in WAL mode when a log is kept. Without any, those on the service's own list, which
        /// windows add to.
        data_files: Vec<PathBuf>,
        /// The log file, for one data file; otherwise the one in the settings, or NAME.journal in the folder for
        /// archives.
        #[arg(long, value_name = "FILE")]
        log: Option<PathBuf>,
        /// Keep no log, and only make the backups that are due.
        #[arg(long, conflicts_with = "log")]
        no_log: bool,
        /// Switch data files in another journal mode to WAL first: a lasting change of the file, for all its programs.
        #[arg(long)]
        switch_to_wal: bool,
        /// Look also after the data files on this list, which is only read: that of a service of the system, which
        /// belongs to the superuser.
        #[arg(long, value_name = "FILE", conflicts_with = "data_files")]
        list: Option<PathBuf>,
        /// Go on with what a window hands over, without a terminal, and end when there is nothing left of it.
        #[arg(long, hide = true, conflicts_with_all = ["data_files", "log", "no_log", "switch_to_wal", "list"])]
        background: bool,
    },
    /// Print what happens with a data file, as it happens, until Ctrl-C is pressed or the service ends.
    Watch {
        /// The SQLite data file, which a window or a service looks after.
        data_file: PathBuf,
        /// Print one JSON object per event and line.
        #[arg(long)]
        json: bool,
    },
    /// Install Strongroom as a service of the system, remove it, or say how it is.
    Service {
        #[command(subcommand)]
        action: ServiceAction,
    },
    /// Show the settings of a data file, or change them: `keep.last=5`, `content.attachments+=/srv/files`.
    Settings {
        /// The SQLite data file.
        data_file: PathBuf,
        /// A setting to show, or to change with `=`, `+=` (add to a list) or `-=` (take from it); none for all.
        #[arg(value_name = "KEY[=VALUE]")]
        settings: Vec<String>,
        /// Set this key back to its default; may be given several times.
        #[arg(long = "default", value_name = "KEY")]
        defaults: Vec<String>,
        /// Use the folder for archives (`destination`) or of the `log` as it is there now, although it is not the one
        /// that was used before: another disk, or one that was emptied.
        #[arg(long, value_name = "WHICH", value_enum)]
        choose_anew: Vec<Folder>,
        /// Give a data file that was copied with its settings an identity of its own: its archives begin anew, and it
        /// is without a log until one is chosen.
        #[arg(long)]
        own_identity: bool,
        /// Where the settings are gone and their archives too: begin with the defaults, as a new data file. Numbers go
        /// on. Refused as long as an archive is there from which they are put back.
        #[arg(long)]
        begin_anew: bool,
        /// The settings are meant as they are written, though something that stood in them is gone: without this they
        /// are taken for the half of a file, and those before stay in force.
        #[arg(long, conflicts_with_all = ["begin_anew", "own_identity"])]
        as_written: bool,
        /// Print the result as one JSON object.
        #[arg(long)]
        json: bool,
    },
    /// Create the sample data file OMB_Edelweiss.sqlite in a folder.
    Sample {
        /// The folder; made when missing.
        folder: PathBuf,
        /// Print the result as one JSON object.
        #[arg(long)]
        json: bool,
    },
    /// Edit the sample a few times a second until Ctrl-C is pressed.
    SampleClient {
        /// The sample data file.
        data_file: PathBuf,
        /// Commits per second.
        #[arg(long, default_value_t = 4.0)]
        rate: f64,
        /// End after this many commits.
        #[arg(long)]
        commits: Option<u64>,
        /// End also when standard input closes: for whoever starts the client as its own process.
        #[arg(long, hide = true)]
        attached: bool,
    },
}

/// A folder that is known again by its mark.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Folder {
    /// That for archives.
    Destination,
    /// That of the log.
    Log,
}

/// What to do with the service of the system.
#[derive(Debug, Subcommand)]
pub(super) enum ServiceAction {
    /// Install the service, begin it now, and have the system begin it at every start.
    Install {
        /// The data files that it looks after; more can be added in a window. They must belong to one user, as whom it
        /// runs.
        data_files: Vec<PathBuf>,
        /// A service of this user alone, which needs no rights of the superuser.
        #[arg(long)]
        user: bool,
        /// Only write the files of the service; begin nothing.
        #[arg(long)]
        no_start: bool,
    },
    /// Stop the service and remove it. Data files, archives, logs and the list of its data files stay.
    Uninstall {
        /// The service of this user.
        #[arg(long)]
        user: bool,
        /// As whom it runs; needed where several are installed.
        #[arg(long, value_name = "NAME", conflicts_with = "user")]
        owner: Option<String>,
    },
    /// Say whether a service is installed and runs, and what it looks after.
    Status {
        /// Print the result as one JSON object.
        #[arg(long)]
        json: bool,
    },
}
