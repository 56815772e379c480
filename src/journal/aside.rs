//! The names of logs that were put aside: what they hold may be wanted once more, and another log goes on in their
//! place.

use std::path::Path;

/// The end of the name of a log that was set aside; a date follows.
pub const SET_ASIDE: &str = ".set-aside-";
/// The end of the name of a copy that was kept of a log damaged in its middle; a date follows.
pub const DAMAGED: &str = ".damaged-";

/// Whether a log was set aside, or is the copy of a damaged one, by its name.
pub fn is_set_aside(log: &Path) -> bool {
    let name = log.file_name().unwrap_or_default().to_string_lossy();
    [SET_ASIDE, DAMAGED].iter().any(|mark| name.contains(mark))
}
