//! The settings of an archive, restored into a folder: beside the data file, where they come into force when that is
//! opened. Whoever wrote the archive must not have a program run as whoever restores it.

use std::{
    io::Write,
    path::Path,
    time::{Duration, UNIX_EPOCH},
};

use crate::{
    archive::{Item, ItemKind, reader::safe_name},
    error::{Error, Result},
    settings,
    storage::beneath::Folder,
};

/// Longer settings are not read by anybody.
const LENGTH_MAX: u64 = 1 << 20;

/// Takes the program to run after each job out of the settings among `items`, which were written to `scratch`. Returns
/// what is to be said of that, as whole sentences.
///
/// # Errors
/// Those of the disk.
pub(super) fn without_program(items: &[Item], scratch: &Folder) -> Result<Vec<String>> {
    let mut said = Vec::new();
    for item in items.iter().filter(|item| item.kind == ItemKind::Settings && item.length <= LENGTH_MAX) {
        let name = safe_name(&item.name)?;
        let text = read(scratch, &name)?;
        match text.as_deref().map(settings::without_program) {
            None | Some(Err(_)) => said.push(format!(
                "{} is no settings file that can be understood. If you correct it, see first whether it names a \
                 program to run.",
                item.name
            )),
            Some(Ok(None)) => {}
            Some(Ok(Some((text, program)))) => {
                write(scratch, &name, &text)?;
                scratch.set_modified(&name, UNIX_EPOCH + Duration::from_secs(item.modified.max(0) as u64));
                said.push(format!(
                    "The settings of the archive named a program to run after each job, {program}, which was left out \
                     of {}, since whoever made the archive could have named it. If it is yours, set on-finish again.",
                    item.name
                ));
            }
        }
    }
    Ok(said)
}

/// `None` of what is no text.
fn read(scratch: &Folder, name: &Path) -> Result<Option<String>> {
    let mut bytes = Vec::new();
    let read = std::io::Read::read_to_end(&mut scratch.open_file(name, false)?, &mut bytes);
    read.map_err(|e| Error::io("read", &scratch.path().join(name), e))?;
    Ok(String::from_utf8(bytes).ok())
}

fn write(scratch: &Folder, name: &Path, text: &str) -> Result<()> {
    let mut file = scratch.open_file(name, true)?;
    let written = file.set_len(0).and_then(|()| file.write_all(text.as_bytes())).and_then(|()| file.sync_all());
    written.map_err(|e| Error::io("write", &scratch.path().join(name), e))
}
