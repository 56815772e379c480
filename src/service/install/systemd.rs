//! A unit of systemd, see `systemd.service(5)` and `systemd.exec(5)`.
//!
//! Data files, archives and attachments may lie anywhere, and the administrator may choose other places in the window:
//! so what the unit forbids is what no such place needs. Programs run after a job (`on-finish`) may use the network.

use std::path::{Path, PathBuf};

use super::{Folders, Plan, Scope, given_list, words};

const HARDENING: &str = "\
NoNewPrivileges=yes
ProtectSystem=full
ProtectHostname=yes
ProtectKernelTunables=yes
ProtectControlGroups=yes
LockPersonality=yes
MemoryDenyWriteExecute=yes
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6
SystemCallArchitectures=native
SystemCallFilter=@system-service
UMask=0077
";

/// Only where the system sets the service up: a user's manager may not take capabilities away, and then begins nothing
/// at all (`218/CAPABILITIES`).
const HARDENING_OF_SYSTEM: &str = "\
CapabilityBoundingSet=
PrivateDevices=yes
ProtectClock=yes
ProtectKernelLogs=yes
ProtectKernelModules=yes
";

pub(super) fn plan(program: &Path, scope: &Scope, folders: &Folders) -> Plan {
    let (name, folder, user) = match scope {
        Scope::User => ("strongroom.service".to_owned(), folders.config.join("systemd/user"), " --user"),
        Scope::System(owner) => {
            (format!("strongroom-{}.service", owner.name), PathBuf::from("/etc/systemd/system"), "")
        }
    };
    let state = |owner: &str| PathBuf::from(format!("/var/lib/strongroom-{owner}"));
    let (list, given, of_scope, target, advice) = match scope {
        Scope::User => (
            folders.list.clone(),
            String::new(),
            "RuntimeDirectory=strongroom\n".to_owned(),
            "default.target",
            Some(
                "It begins with the session of this user. To have it begin with the machine: loginctl enable-linger"
                    .to_owned(),
            ),
        ),
        Scope::System(owner) => (
            given_list(owner),
            format!(" --list {}", quoted(&given_list(owner))),
            format!(
                "User={name}\nGroup={group}\nRuntimeDirectory=strongroom-{name}\nStateDirectory=strongroom-{name}\n\
                 StateDirectoryMode=0700\nEnvironment=XDG_CONFIG_HOME={state}/config XDG_DATA_HOME={state}/data\n",
                name = owner.name,
                group = owner.ids.1,
                state = state(&owner.name).display(),
            ),
            "multi-user.target",
            None,
        ),
    };
    let hardening = if *scope == Scope::User { String::new() } else { HARDENING_OF_SYSTEM.to_owned() };
    let text = format!(
        "# Written by Strongroom; removed by “strongroom service uninstall”. For changes of your own: \
         systemctl{user} edit {name}\n[Unit]\nDescription=Strongroom keeps SQLite data files safe\n\
         # Its folders may lie on disks that are mounted late.\n\
         After=local-fs.target remote-fs.target\n\
         # However often it ends: nobody else looks after the data files.\n\
         StartLimitIntervalSec=0\n\n[Service]\nType=notify\n\
         ExecStart={program} serve{given}\nRestart=on-failure\n\
         RestartSec=2\nWatchdogSec=60\nTimeoutStartSec=10min\n\
         TimeoutStopSec=30\nLimitNOFILE=65536\nRuntimeDirectoryMode=0700\n\
         {of_scope}{HARDENING}{hardening}\n[Install]\n\
         WantedBy={target}\n",
        program = quoted(program),
    );
    Plan {
        file: (folder.join(&name), text),
        list,
        owner: if let Scope::System(owner) = scope { Some(owner.ids) } else { None },
        // systemd makes it, and gives it to the user, whenever it begins the service.
        state: None,
        begin: vec![
            words(&format!("systemctl{user} daemon-reload")),
            words(&format!("systemctl{user} enable {name}")),
            words(&format!("systemctl{user} restart {name}")),
        ],
        end: [
            vec![words(&format!("systemctl{user} disable --now {name}"))],
            vec![words(&format!("systemctl{user} daemon-reload"))],
        ],
        name,
        advice,
    }
}

/// A path as one word of a command line of systemd, which has its own quotes, and `%` for its own use.
fn quoted(path: &Path) -> String {
    let text = path.to_string_lossy().replace('\\', "\\\\").replace('"', "\\\"").replace('%', "%%").replace('$', "$$");
    if text.chars().any(char::is_whitespace) || text.contains('\'') { format!("\"{text}\"") } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::service::install::Owner;

    fn folders() -> Folders {
        Folders {
            home: "/home/eva".into(),
            config: "/home/eva/.config".into(),
            list: "/home/eva/.config/strongroom/service.toml".into(),
        }
    }

    #[test]
    fn a_service_of_the_system_runs_as_the_owner_and_keeps_its_own_files_apart() {
        let owner = Owner { name: "vault".to_owned(), ids: (812, 813) };
        let plan = plan(Path::new("/opt/strong room/strongroom"), &Scope::System(owner), &folders());
        assert_eq!(plan.file.0, Path::new("/etc/systemd/system/strongroom-vault.service"));
        assert_eq!(plan.list, Path::new("/etc/strongroom/vault.toml"), "where the user can write nothing");
        assert_eq!(plan.owner, Some((812, 813)));
        let text = &plan.file.1;
        for line in [
            "ExecStart=\"/opt/strong room/strongroom\" serve --list /etc/strongroom/vault.toml",
            "User=vault",
            "Group=813",
            "RuntimeDirectory=strongroom-vault",
            "CapabilityBoundingSet=",
            "Type=notify",
            "WatchdogSec=60",
            "WantedBy=multi-user.target",
        ] {
            assert!(text.lines().any(|l| l == line), "{line} is missing in\n{text}");
        }
        assert_eq!(plan.end[0], [words("systemctl disable --now strongroom-vault.service")]);
    }

    #[test]
    fn a_service_of_a_user_needs_nothing_of_the_superuser() {
        let plan = plan(Path::new("/usr/bin/strongroom"), &Scope::User, &folders());
        assert_eq!(plan.file.0, Path::new("/home/eva/.config/systemd/user/strongroom.service"));
        assert_eq!((plan.owner, plan.list), (None, folders().list));
        let text = &plan.file.1;
        // Each of them needs rights over capabilities.
        for setting in [
            "User=",
            "CapabilityBoundingSet",
            "PrivateDevices",
            "ProtectClock",
            "ProtectKernelLogs",
            "ProtectKernelModules",
        ] {
            assert!(!text.contains(setting), "{setting} in\n{text}");
        }
        assert!(plan.begin.iter().all(|command| command[1] == "--user"));
        assert!(text.contains("WantedBy=default.target"));
    }

    #[test]
    fn what_systemd_would_expand_is_kept_as_it_is() {
        assert_eq!(quoted(Path::new("/a/100% $HOME/x\"y")), "\"/a/100%% $$HOME/x\\\"y\"");
        assert_eq!(quoted(Path::new("/usr/bin/strongroom")), "/usr/bin/strongroom");
    }
}
