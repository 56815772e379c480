//! `strongroom service`: the service of the system, installed, removed, and how it is.

use std::{
    path::{Path, PathBuf},
    process::{Command, ExitCode},
};

use serde::Serialize;

use super::{arguments::ServiceAction, desk::absolute, places, print, print_json};
use crate::{
    engine::{Host, HostKind, rights},
    error::{
        Error, ErrorKind, Result,
        foreign::{foreign, shown},
    },
    service::{
        connect,
        install::{Manager, Owner, Plan, Scope, owner_of},
    },
    sqlite::data_file,
    storage::owners::{ROOT, name_of, owner_of as owner_of_place},
};

pub(super) fn run(action: ServiceAction) -> Result<ExitCode> {
    match action {
        ServiceAction::Install { data_files, user, no_start } => {
            // By the names that were given: what a link leads to may change, which the service then says.
            let names = data_files.iter().map(|path| absolute(path)).collect::<Result<Vec<_>>>()?;
            let data_files = names.iter().map(|name| look(name)).collect::<Result<Vec<_>>>()?;
            let scope = if user { Scope::User } else { Scope::System(owner_of(&data_files)?) };
            refuse_without_rights(&scope)?;
            if user {
                names.iter().try_for_each(|path| rights::require(path, false))?;
            }
            let plan = plan(&scope, no_start)?;
            plan.install(&names, !no_start)?;
            let done = if no_start { "written" } else { "installed, and runs" };
            print(&format!("The service {} is {done}: {}", plan.name, shown(&plan.file.0)))?;
            print(&format!("Its data files are listed in {}; a window can add some.", shown(&plan.list)))?;
            plan.advice.as_deref().map_or(Ok(()), print)?;
        }
        ServiceAction::Uninstall { user, owner } => {
            let scope = match (user, owner) {
                (true, _) => Scope::User,
                (false, Some(name)) => Scope::System(Owner { name, ids: (0, 0) }),
                (false, None) => Scope::System(Owner { name: the_only_owner()?, ids: (0, 0) }),
            };
            refuse_without_rights(&scope)?;
            let plan = plan(&scope, false)?;
            plan.uninstall()?;
            print(&format!(
                "The service {} is removed. Its data files are still listed in {}.",
                plan.name,
                shown(&plan.list)
            ))?;
        }
        ServiceAction::Status { json } => return status(json),
    }
    Ok(ExitCode::SUCCESS)
}

/// The canonical path of a data file. The superuser does not open those of others: SQLite would write beside them.
fn look(path: &Path) -> Result<PathBuf> {
    let decides = owner_of_place(path);
    let is_of_other = places::is_superuser() && decides.is_some_and(|owner| owner != ROOT);
    if !is_of_other {
        return Ok(data_file::identify(path)?.path);
    }
    let fail = |e| Error::io("open", path, e);
    let canonical = path.canonicalize().map_err(fail)?;
    // The service would run as the owner of the file, and whoever made the link can lead it to another one.
    if let (Some(user), Some(owner)) = (decides, owner_of_place(&canonical))
        && user != owner
    {
        let (user, owner) = (name_of(user), name_of(owner));
        let message = format!("{} leads through a link of {user} to a file of {owner}", shown(&path));
        return Err(Error::new(ErrorKind::Refused, message)
            .hint(format!("Give the data file without that link: {}", shown(&canonical))));
    }
    if !canonical.metadata().map_err(fail)?.is_file() {
        return Err(Error::new(ErrorKind::WrongType, format!("{} is not an ordinary file", shown(&path)))
            .hint("Choose the data file itself; its name often ends in .sqlite, .sqlite3 or .db."));
    }
    Ok(canonical)
}

fn plan(scope: &Scope, only_written: bool) -> Result<Plan> {
    let program = std::env::current_exe().map_err(|e| Error::io("find", "the program itself".as_ref(), e))?;
    let manager = match Manager::find() {
        // The file alone can be written anywhere, for another machine or an image of one.
        Err(_) if only_written && cfg!(target_os = "linux") => Manager::Systemd,
        found => found?,
    };
    Ok(manager.plan(&program, scope, &places::folders()?))
}

fn refuse_without_rights(scope: &Scope) -> Result<()> {
    if *scope != Scope::User && !places::is_superuser() {
        return Err(Error::new(ErrorKind::Permission, "only the superuser can change services of the system").hint(
            "Run the command with sudo; the service itself runs as the owner of the data files. Or add --user.",
        ));
    }
    Ok(())
}

/// As whom the only service of the system runs.
fn the_only_owner() -> Result<String> {
    let names = std::fs::read_dir("/etc/systemd/system").into_iter().flatten().flatten();
    let mut owners: Vec<String> = names
        .filter_map(|entry| {
            let name = entry.file_name().into_string().ok()?;
            Some(name.strip_prefix("strongroom-")?.strip_suffix(".service")?.to_owned())
        })
        .collect();
    owners.sort();
    match owners.as_slice() {
        [owner] => Ok(owner.clone()),
        [] => Err(Error::new(ErrorKind::NotFound, "no service of the system is installed")
            .hint("A service of this user is removed with --user.")),
        several => Err(Error::new(ErrorKind::Refused, format!("there are services for {}", several.join(", ")))
            .hint("Say which with --owner NAME.")),
    }
}

/// A service that runs.
#[derive(Serialize)]
struct Running {
    host: Host,
    program: String,
    address: String,
    data_files: Vec<std::path::PathBuf>,
    refused: Vec<crate::engine::status::Refused>,
}

#[derive(Serialize)]
struct ServiceStatus {
    /// Names of the services that are installed, and what the system says of each.
    installed: Vec<(String, String)>,
    running: Vec<Running>,
}

fn status(json: bool) -> Result<ExitCode> {
    let running = places::sockets()?.services().into_iter().filter_map(|(address, owner)| {
        let engine = connect(&address, owner).ok()?;
        let status = engine.handle.status();
        Some(Running {
            host: engine.host,
            program: status.program.clone(),
            address,
            data_files: status.data_files.iter().map(|d| d.facts.path.clone()).collect(),
            refused: status.refused.clone(),
        })
    });
    let found = ServiceStatus { installed: installed(), running: running.collect() };
    if json {
        print_json(&found)?;
        return Ok(ExitCode::SUCCESS);
    }
    for (name, state) in &found.installed {
        print(&format!("{name} is installed: {state}"))?;
    }
    if found.installed.is_empty() {
        print("No service is installed.")?;
    }
    for running in &found.running {
        print(&format!("{} runs as {}, and looks after", foreign(&running.program), running.host))?;
        for path in &running.data_files {
            print(&format!("  {}", shown(&path)))?;
        }
        for refused in &running.refused {
            print(&format!("  NOT {}: {}", shown(&refused.path), foreign(&refused.error.message)))?;
        }
        if running.host.kind == HostKind::Background {
            let messages = places::background()?.messages;
            let process = running.host.process;
            print(&format!(
                "  A window left it. It ends when a window takes its data files over, on SIGTERM (kill {process}), with"
            ))?;
            print("  the machine, and on many systems when its user logs out.")?;
            print(&format!("  Its messages are in {}", shown(&messages)))?;
        }
        if running.data_files.is_empty() && running.refused.is_empty() {
            print("  no data file yet")?;
        }
    }
    if found.running.is_empty() {
        print("No service runs that this user can reach.")?;
    }
    Ok(ExitCode::SUCCESS)
}

/// The services that systemd knows, and their states.
fn installed() -> Vec<(String, String)> {
    let list = |user: bool| {
        let mut command = Command::new("systemctl");
        command.args(user.then_some("--user")).args([
            "list-unit-files",
            "strongroom*.service",
            "--no-legend",
            "--plain",
        ]);
        let output = command.output().ok().filter(|output| output.status.success());
        let text = output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default();
        let names = text.lines().filter_map(|line| line.split_whitespace().next()).map(str::to_owned);
        names.map(|name| (state(user, &name), name)).map(|(state, name)| (name, state)).collect::<Vec<_>>()
    };
    [list(false), list(true)].concat()
}

fn state(user: bool, name: &str) -> String {
    let ask = |verb: &str| {
        let output = Command::new("systemctl").args(user.then_some("--user")).args([verb, name]).output().ok()?;
        String::from_utf8(output.stdout).ok().map(|text| text.trim().to_owned())
    };
    format!("{}, {}", ask("is-active").unwrap_or_default(), ask("is-enabled").unwrap_or_default())
}
