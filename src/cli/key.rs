//! The key by which archives are signed: shows its public half.

use std::{path::PathBuf, process::ExitCode};

use serde::Serialize;

use super::{places, print_json};
use crate::{
    archive::keys::{Key, PublicKey},
    error::{Result, foreign::shown},
};

#[derive(Serialize)]
struct Shown {
    /// The file of the whole key.
    file: PathBuf,
    key: PublicKey,
    /// The public half, as other programs read it.
    public: String,
}

/// Shows the key of this user; makes it if there is none yet.
pub(super) fn key(json: bool) -> Result<ExitCode> {
    let own = places::directories()?.config_dir().to_path_buf();
    let key = Key::of(&own)?.public();
    let (at, public) = (Key::path(&own), key.to_pem()?);
    if json {
        print_json(&Shown { file: at, key, public })?;
        return Ok(ExitCode::SUCCESS);
    }
    // Only what can be handed out stands in a file that the output is sent to.
    super::remark(&format!("key {key}, in {}", shown(&at)));
    super::print(public.trim_end())?;
    Ok(ExitCode::SUCCESS)
}
