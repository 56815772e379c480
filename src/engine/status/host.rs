//! In what engines run.

use serde::{Deserialize, Serialize};

use crate::storage::processes::{self, Process};

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
    /// The namespace that its number is of, where the system has such.
    #[serde(default)]
    pub namespace: Option<u64>,
}

impl Host {
    /// This process.
    pub fn this(kind: HostKind) -> Self {
        Self { kind, process: std::process::id(), namespace: processes::namespace() }
    }

    /// The process as it is known here: one in another container has no number here.
    pub fn seen(&self) -> Process {
        let own = processes::namespace();
        let is_here = self.namespace.is_none() || own.is_none() || self.namespace == own;
        processes::named(if is_here { self.process } else { 0 })
    }
}

impl std::fmt::Display for Host {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.seen().id {
            0 => write!(f, "{} in another container", self.kind.label()),
            number => write!(f, "{} (process {number})", self.kind.label()),
        }
    }
}
