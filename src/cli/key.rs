//! The key by which archives are signed: shows its public half.

use std::{
    io::{self, Write},
    path::PathBuf,
    process::ExitCode,
};

use serde::Serialize;

use super::{places, print_json};
use crate::{
    archive::keys::{Key, PublicKey},
    error::Result,
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
    let shown = Shown { file: Key::path(&own), key, public: key.to_pem()? };
    if json {
        print_json(&shown)?;
        return Ok(ExitCode::SUCCESS);
    }
    // Only what can be handed out stands in a file that the output is sent to.
    let _ = writeln!(io::stderr().lock(), "Key {key}, in {}", shown.file.display());
    super::print(shown.public.trim_end())?;
    Ok(ExitCode::SUCCESS)
}
