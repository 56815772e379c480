//! As whom a command works. One that the superuser begins for another user's file becomes that user first.
//!
//! The owner of a data file decides, by the settings beside it and by the folders around it, what is read and written
//! for it. The rights of the superuser in such hands would be theirs. So before anything else is done, the program is
//! begun anew with the environment of the owner, and then becomes him: groups, group, user, in this order. It does so
//! within its own process, and does not begin a program after it: a process that gave up rights cannot be looked into
//! by its new user. On a terminal it leaves the session first, since whoever has a terminal as his own can type into
//! it, and the superuser's shell would read that; what waits for it there does nothing else. That there is no way back
//! is tried out.

use std::{
    ffi::OsString,
    path::{Path, PathBuf},
    process::ExitCode,
    sync::atomic::{AtomicBool, Ordering},
};

use super::arguments::{Arguments, Job};
#[cfg(unix)]
use super::{places, remark};
#[cfg(unix)]
use crate::storage::owners::name_of;
use crate::{
    engine::rights,
    error::{Error, ErrorKind, Result, foreign::shown},
    restore::propose_destination,
    storage::owners::{ROOT, owner_of, this_user},
};
#[cfg(unix)]
use std::process::Command;

/// The first argument of a program that was begun by the superuser to become a user; the numbers of user and group
/// follow, and one of the words below.
const BECOME: &str = "--become";
/// There is a terminal to be left.
const LEAVING: &str = "leaving";
/// There is none.
#[cfg(unix)]
const STAYING: &str = "staying";

/// The group of nobody.
#[cfg(unix)]
const NO_GROUP: u32 = 65_534;

/// What of the superuser's environment goes along: the terminal, the display, the language, and what systemd says. The
/// rest may hold secrets, or lead into folders of the superuser.
#[cfg(unix)]
const KEPT: [&str; 19] = [
    "PATH",
    "TERM",
    "COLORTERM",
    "NO_COLOR",
    "COLUMNS",
    "LINES",
    "LANG",
    "LANGUAGE",
    "TZ",
    "DISPLAY",
    "WAYLAND_DISPLAY",
    "XAUTHORITY",
    "NOTIFY_SOCKET",
    "WATCHDOG_USEC",
    "WATCHDOG_PID",
    "JOURNAL_STREAM",
    "INVOCATION_ID",
    "RUST_BACKTRACE",
    "STRONGROOM_LOG",
];

/// Whether the superuser said that he acts also where others can write.
static AS_ROOT: AtomicBool = AtomicBool::new(false);

/// Whether `--as-root` was given.
pub(super) fn is_as_root() -> bool {
    AS_ROOT.load(Ordering::Relaxed)
}

/// The arguments of this process. Where it was begun to become a user, it has become that user when this returns.
///
/// # Errors
/// When it could not; then nothing must be done with the rights that it has.
pub(super) fn arguments() -> Result<Vec<OsString>> {
    let mut given: Vec<OsString> = std::env::args_os().collect();
    if given.get(1).is_some_and(|first| first == BECOME) {
        let number = |at: usize| given.get(at).and_then(|text| text.to_str()).and_then(|text| text.parse().ok());
        let (user, group) = number(2).zip(number(3)).ok_or_else(|| Error::new(ErrorKind::Refused, "become whom?"))?;
        close_what_was_left_open();
        let is_leaving = given.get(4).is_some_and(|word| word == LEAVING);
        if is_leaving {
            leave_terminal()?;
        }
        become_user(user, group)?;
        #[cfg(target_os = "linux")]
        if is_leaving {
            // It ends with what waits for it at the terminal.
            let _ = rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::TERM));
        }
        given.drain(1..given.len().min(5));
    }
    Ok(given)
}

/// Begins the program anew as the owner of what it is to work on, where this is the superuser and that is another user:
/// then it does not return. Otherwise it does nothing.
///
/// # Errors
/// When that could not be done, or the files belong to different users.
pub(super) fn settle(arguments: &Arguments, given: &[OsString]) -> Result<Option<ExitCode>> {
    if !cfg!(unix) || this_user() != ROOT {
        return Ok(None);
    }
    AS_ROOT.store(arguments.as_root, Ordering::Relaxed);
    let concerned = concerned(arguments)?;
    let mut owner: Option<(u32, PathBuf)> = None;
    for path in concerned.iter().cloned() {
        let found = owner_of(&path).ok_or_else(|| {
            Error::new(ErrorKind::Refused, format!("it cannot be told whose {} is", shown(&path)))
                .hint("Run the command as the owner of the file.")
        })?;
        match &owner {
            Some((user, first)) if *user != found => {
                let message = format!("{} and {} belong to different users", shown(&first), shown(&path));
                return Err(Error::new(ErrorKind::Refused, message).hint("Run one command for each of them."));
            }
            _ => owner = Some((found, path)),
        }
    }
    match owner {
        Some((user, path)) if user != ROOT => begin_anew(user, &path, given).map(Some),
        _ => {
            // What writes beside an archive, or without an engine; of data files an engine sees for itself.
            if let Some(
                Job::Settings { .. }
                | Job::Hold { .. }
                | Job::Repair { .. }
                | Job::Restore(_)
                | Job::Recover(_)
                | Job::TakeBack(_),
            ) = &arguments.job
            {
                concerned.iter().try_for_each(|path| rights::require(path, arguments.as_root))?;
            }
            Ok(None)
        }
    }
}

/// The files and folders whose owner the command works for; none where it is the superuser's own matter.
fn concerned(arguments: &Arguments) -> Result<Vec<PathBuf>> {
    let Some(job) = &arguments.job else { return Ok(arguments.data_file.iter().cloned().collect()) };
    Ok(match job {
        Job::Backup { data_file, .. }
        | Job::Status { data_file, .. }
        | Job::Check { data_file, .. }
        | Job::Tables { data_file, .. }
        | Job::Compact { data_file, .. }
        | Job::Drill { data_file, .. }
        | Job::Watch { data_file, .. }
        | Job::Undo { data_file, .. }
        | Job::Settings { data_file, .. }
        | Job::SampleClient { data_file, .. } => vec![data_file.clone()],
        Job::List { place, .. } => vec![place.clone()],
        Job::Commits { log, .. } => vec![log.clone()],
        Job::Log(asked) => vec![asked.file.clone()],
        Job::TakeBack(asked) => vec![asked.data_file.clone()],
        Job::Query(asked) => vec![asked.what.clone()],
        Job::Diff(asked) => vec![asked.first.clone()],
        Job::Recover(asked) => vec![asked.data_file.clone()],
        Job::Key { data_file, .. } => data_file.iter().cloned().collect(),
        Job::Hold { archive, .. } | Job::Verify { archive, .. } | Job::Repair { archive, .. } => vec![archive.clone()],
        Job::Serve { data_files, .. } => data_files.clone(),
        // What is restored belongs to whoever owns the folder that it lands in.
        Job::Restore(asked) => vec![match (asked.what()?, &asked.to) {
            ((_, Some(data_file)), _) => data_file,
            ((_, None), Some(to)) => to.clone(),
            ((what, None), None) => propose_destination(&super::desk::absolute(&what)?),
        }],
        Job::Sample { folder, .. } => vec![folder.clone()],
        // It runs as the owner of its data files anyway; to install it is a matter of the superuser.
        Job::Service { .. } => Vec::new(),
    })
}

/// Begins this program anew, with the same arguments, to become `user`. Does not return where it succeeds.
#[cfg(unix)]
fn begin_anew(user: u32, of: &Path, given: &[OsString]) -> Result<ExitCode> {
    use std::os::unix::process::CommandExt;
    let known = nix::unistd::User::from_uid(user.into()).ok().flatten();
    let group = match &known {
        Some(known) => known.gid.as_raw(),
        // A number without a name, as of a container's user: the group of what it owns.
        None => group_of(of)?,
    };
    let name = name_of(user);
    remark(&format!("working as {name}, to whom {} belongs", shown(&of)));
    let program = std::env::current_exe().map_err(|e| Error::io("find", "the program itself".as_ref(), e))?;
    let mut command = Command::new(program);
    let has_terminal = std::fs::File::open("/dev/tty").is_ok();
    let word = if has_terminal { LEAVING } else { STAYING };
    command.args([BECOME, &user.to_string(), &group.to_string(), word]).args(given.iter().skip(1)).env_clear();
    let is_kept = |name: &str| KEPT.contains(&name) || name.starts_with("LC_");
    command.envs(std::env::vars_os().filter(|(name, _)| name.to_str().is_some_and(is_kept)));
    command.envs(places::environment_of(user, group, &name, known.map(|known| known.dir))?);
    let fail = |e| Error::io("begin anew", "the program itself".as_ref(), e);
    if !has_terminal {
        // Whoever began this process, such as systemd, watches its number.
        return Err(fail(command.exec()));
    }
    let mut child = command.spawn().map_err(fail)?;
    let process = i32::try_from(child.id()).ok().and_then(rustix::process::Pid::from_raw);
    // Ctrl-C reaches only this process.
    let _ = ctrlc::set_handler(move || {
        let _ = process.map(|process| rustix::process::kill_process(process, rustix::process::Signal::INT));
    });
    let ended = child.wait().map_err(fail)?;
    Ok(ExitCode::from(ended.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(1)))
}

#[cfg(not(unix))]
fn begin_anew(_: u32, of: &Path, _: &[OsString]) -> Result<ExitCode> {
    Err(Error::new(ErrorKind::Refused, format!("{} belongs to another user", shown(&of))).hint("Run it as that user."))
}

#[cfg(unix)]
fn group_of(path: &Path) -> Result<u32> {
    use std::os::unix::fs::MetadataExt;
    let absolute = std::path::absolute(path).map_err(|e| Error::io("find", path, e))?;
    let there = absolute.ancestors().find_map(|path| path.metadata().ok());
    // In a folder with the set-group bit, a file of anybody may have the group of the superuser.
    let group = there.map(|meta| if meta.gid() == 0 { NO_GROUP } else { meta.gid() });
    group.ok_or_else(|| Error::new(ErrorKind::NotFound, format!("{} is gone", shown(&path))))
}

/// Closes every file that the superuser's shell or service left open for this process beside the three that belong to a
/// command. The programs of the new user would get them, and what they lead to is not his. Nothing of our own is open
/// yet.
#[cfg(unix)]
fn close_what_was_left_open() {
    let listed = ["/proc/self/fd", "/dev/fd"].iter().find_map(|folder| std::fs::read_dir(folder).ok());
    let number = |entry: std::io::Result<std::fs::DirEntry>| entry.ok()?.file_name().to_str()?.parse::<i32>().ok();
    let open: Vec<i32> = match listed {
        // The list itself is open meanwhile, and closed at the end of this line.
        Some(listed) => listed.filter_map(number).collect(),
        // Not told: as many as a process may have that was given no more than usual.
        None => (0..4096).collect(),
    };
    for descriptor in open.into_iter().filter(|number| *number > 2) {
        // One that is closed already is none.
        let _ = nix::unistd::close(descriptor);
    }
}

#[cfg(not(unix))]
fn close_what_was_left_open() {}

/// Leaves the session of the superuser's terminal.
#[cfg(unix)]
fn leave_terminal() -> Result<()> {
    rustix::process::setsid().map(|_| ()).map_err(|e| Error::io("leave", "the terminal".as_ref(), e.into()))
}

#[cfg(not(unix))]
fn leave_terminal() -> Result<()> {
    Ok(())
}

/// Becomes this user, for good.
#[cfg(unix)]
fn become_user(user: u32, group: u32) -> Result<()> {
    use nix::unistd::{Gid, Uid, getegid, geteuid, getgid, getuid, setgid, setuid};
    let fail = |what: &str| {
        Error::new(ErrorKind::Permission, format!("the program could not become the user {}: {what}", name_of(user)))
            .hint("Run the command as that user, for example with: sudo -u USER strongroom …")
    };
    if user == ROOT {
        return Err(fail("that is the superuser"));
    }
    let (to, of) = (Uid::from_raw(user), Gid::from_raw(group));
    set_groups(to, of).map_err(|e| fail(e.desc()))?;
    setgid(of).map_err(|e| fail(e.desc()))?;
    setuid(to).map_err(|e| fail(e.desc()))?;
    let has_become = (getuid(), geteuid(), getgid(), getegid()) == (to, to, of, of);
    let way_back = setuid(Uid::from_raw(ROOT)).is_ok() || group != 0 && setgid(Gid::from_raw(0)).is_ok();
    if !has_become || way_back || has_foreign_groups(to, of) {
        return Err(fail("rights of the superuser were left"));
    }
    Ok(())
}

#[cfg(not(unix))]
fn become_user(_: u32, _: u32) -> Result<()> {
    Err(Error::new(ErrorKind::Refused, "this system has no users by number").hint("Leave out --become."))
}

#[cfg(all(unix, not(target_vendor = "apple")))]
fn set_groups(user: nix::unistd::Uid, group: nix::unistd::Gid) -> nix::Result<()> {
    match nix::unistd::User::from_uid(user).ok().flatten().and_then(|known| std::ffi::CString::new(known.name).ok()) {
        Some(name) => nix::unistd::initgroups(&name, group),
        None => nix::unistd::setgroups(&[group]),
    }
}

/// Whether this process is in the superuser's group, and its user is not.
#[cfg(all(unix, not(target_vendor = "apple")))]
fn has_foreign_groups(user: nix::unistd::Uid, group: nix::unistd::Gid) -> bool {
    let is_root = |group: &nix::unistd::Gid| group.as_raw() == 0;
    let listed = || {
        let known = nix::unistd::User::from_uid(user).ok().flatten()?;
        nix::unistd::getgrouplist(&std::ffi::CString::new(known.name).ok()?, group).ok()
    };
    let has = nix::unistd::getgroups().is_ok_and(|groups| groups.iter().any(is_root));
    has && !is_root(&group) && !listed().is_some_and(|groups| groups.iter().any(is_root))
}

/// macOS keeps no list that could be set this way (not tried on a Mac).
#[cfg(target_vendor = "apple")]
fn set_groups(_: nix::unistd::Uid, _: nix::unistd::Gid) -> nix::Result<()> {
    Err(nix::errno::Errno::ENOSYS)
}

#[cfg(target_vendor = "apple")]
fn has_foreign_groups(_: nix::unistd::Uid, _: nix::unistd::Gid) -> bool {
    true
}
