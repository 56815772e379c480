//! A job of launchd, see `launchd.plist(5)`. Written by the documentation; not tried on a Mac.

use std::path::{Path, PathBuf};

use super::{Folders, Plan, Scope, given_list, words};

const LABEL: &str = "strongroom";

pub(super) fn plan(program: &Path, scope: &Scope, folders: &Folders) -> Plan {
    let (label, folder, domain) = match scope {
        Scope::User => (LABEL.to_owned(), folders.home.join("Library/LaunchAgents"), None),
        Scope::System(owner) => {
            (format!("{LABEL}.{}", owner.name), PathBuf::from("/Library/LaunchDaemons"), Some("system"))
        }
    };
    let user = match scope {
        Scope::User => String::new(),
        Scope::System(owner) => format!("\t<key>UserName</key>\n\t<string>{}</string>\n", escaped(&owner.name)),
    };
    let (list, state, arguments, environment) = match scope {
        Scope::User => (folders.list.clone(), None, String::new(), String::new()),
        Scope::System(owner) => {
            // launchd makes no folders; the user that it runs as has a home.
            let state = PathBuf::from(format!("/var/db/strongroom-{}", owner.name));
            let environment = format!(
                "\t<key>EnvironmentVariables</key>\n\t<dict>\n\t\t<key>HOME</key>\n\t\t<string>{}</string>\n\t</dict>\n",
                escaped(&state.to_string_lossy())
            );
            let list = given_list(owner);
            let arguments =
                format!("\t\t<string>--list</string>\n\t\t<string>{}</string>\n", escaped(&list.to_string_lossy()));
            (list, Some(state), arguments, environment)
        }
    };
    let file = folder.join(format!("{label}.plist"));
    let text = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
         <!DOCTYPE plist PUBLIC \"-//Apple//DTD PLIST 1.0//EN\" \"http://www.apple.com/DTDs/PropertyList-1.0.dtd\">\n\
         <plist version=\"1.0\">\n<dict>\n\
         \t<key>Label</key>\n\t<string>{label}</string>\n\
         \t<key>ProgramArguments</key>\n\t<array>\n\t\t<string>{program}</string>\n\t\t<string>serve</string>\n{arguments}\t</array>\n\
         \t<key>RunAtLoad</key>\n\t<true/>\n\
         \t<key>KeepAlive</key>\n\t<dict>\n\t\t<key>SuccessfulExit</key>\n\t\t<false/>\n\t</dict>\n\
         \t<key>ProcessType</key>\n\t<string>Background</string>\n\
         {user}{environment}</dict>\n</plist>\n",
        program = escaped(&program.to_string_lossy()),
    );
    // A user's jobs live in a domain named by the number of the user, which the shell of the command fills in.
    let target = domain.map_or_else(user_domain, str::to_owned);
    Plan {
        begin: vec![[words("launchctl bootstrap"), vec![target.clone(), file.to_string_lossy().into_owned()]].concat()],
        end: [vec![[words("launchctl bootout"), vec![format!("{target}/{label}")]].concat()], Vec::new()],
        file: (file, text),
        list,
        owner: if let Scope::System(owner) = scope { Some(owner.ids) } else { None },
        state,
        name: label,
        advice: None,
    }
}

fn user_domain() -> String {
    #[cfg(unix)]
    return format!("gui/{}", rustix::process::getuid().as_raw());
    #[cfg(not(unix))]
    "gui".to_owned()
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::service::install::Owner;

    #[test]
    fn paths_are_text_of_xml_and_the_owner_is_named() {
        let folders = Folders { home: "/Users/eva".into(), config: "/x".into(), list: "/y".into() };
        let mine = plan(Path::new("/Applications/A & B/strongroom"), &Scope::User, &folders);
        assert_eq!(mine.file.0, Path::new("/Users/eva/Library/LaunchAgents/strongroom.plist"));
        assert!(mine.file.1.contains("<string>/Applications/A &amp; B/strongroom</string>"));
        assert!(!mine.file.1.contains("UserName"));
        let owner = Owner { name: "vault".to_owned(), ids: (5, 6) };
        let system = plan(Path::new("/usr/local/bin/strongroom"), &Scope::System(owner), &folders);
        assert_eq!(system.file.0, Path::new("/Library/LaunchDaemons/strongroom.vault.plist"));
        assert!(system.file.1.contains("<key>UserName</key>\n\t<string>vault</string>"));
        assert_eq!(system.begin[0][..3], ["launchctl", "bootstrap", "system"]);
    }
}
