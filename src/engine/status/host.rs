//! In what engines run.

use serde::{Deserialize, Serialize};

/// In what an engine runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum HostKind {
    /// A service without a window, which stays.
    Service,
    /// What a window left in the background: it stays until a window takes its data files over or the machine restarts;
    /// on many systems it ends when the user logs out.
    Background,
    /// A window: when it closes, the engine ends.
    Window,
    /// A command, which ends with its job.
    Command,
}

impl HostKind {
    /// What it is, in words.
    pub fn label(self) -> &'static str {
        match self {
            HostKind::Service => "the service",
            HostKind::Background => "a process in the background",
            HostKind::Window => "a window",
            HostKind::Command => "a command",
        }
    }

    /// Whether it goes on when the windows are closed.
    pub fn goes_on(self) -> bool {
        matches!(self, HostKind::Service | HostKind::Background)
    }
}

/// The process that an engine runs in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Host {
    /// What it is.
    pub kind: HostKind,
    /// Its number.
    pub process: u32,
}

impl std::fmt::Display for Host {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} (process {})", self.kind.label(), self.process)
    }
}
