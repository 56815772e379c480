//! One data file that the engine looks after.
//!
//! ```text
//! actor               what is known of it: status, settings, log, schedule, proofs
//! alerts causes       what is to be said of it
//! open damage         opening it, and what is found damaged then
//! look survey users   looks at it: short, as a whole, at the programs that use it
//! folders             its folders
//! known memory        what the Backup journal knows of it
//! open_log log_slot   opening its log, and waiting for it
//! due proving         what is due by itself, as functions over values: backups, test restores
//! client              the client that edits the sample
//! lock mark           one engine for it · whether folders are what they were
//! ```

mod actor;
pub(super) mod alerts;
mod causes;
mod client;
mod damage;
pub(super) mod due;
mod folders;
pub(super) mod known;
pub(super) mod lock;
pub(super) mod log_slot;
mod look;
pub(super) mod mark;
pub(super) mod memory;
mod open;
mod open_log;
pub(super) mod proving;
mod survey;
mod users;

pub(super) use actor::DataFile;
pub(super) use folders::FoldersSeen;
pub(super) use open::{Opened, Opening, open, status_of};
pub(super) use open_log::{LogStart, open_log, try_log};
pub(super) use survey::{Surveyed, look_over, survey, take_survey};
pub(super) use users::{Users, look_at_processes, look_who_is_apart, look_who_waits};
