//! The pages.

pub(crate) mod activity;
mod archive;
pub(crate) mod care;
pub(crate) mod host;
pub(crate) mod journal;
pub(crate) mod log;
mod logs_used;
pub(crate) mod maintenance;
pub(crate) mod next;
pub(crate) mod restore;
pub(crate) mod welcome;
