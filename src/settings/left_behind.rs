//! Settings that stayed where a data file was, when it was moved and a link left in its place. Everything goes by the
//! place of the file itself: with the defaults there, a second life would begin, and the schedule, the archives and the
//! log of the first one be missing without a word.

use std::path::Path;

use super::{SettingsFile, path_beside};
use crate::{
    error::{Error, ErrorKind, shell::quoted},
    storage,
};

/// What is to be said of `asked`, a link to a data file, where settings go by the name of the link and none by that of
/// the file; `own` is the program's settings folder.
pub fn left_behind(asked: &Path, own: &Path) -> Option<Error> {
    let is_link = asked.symlink_metadata().is_ok_and(|meta| meta.file_type().is_symlink());
    let link = std::path::absolute(asked).ok().filter(|_| is_link)?;
    // The folder may be reached by a link, too; that is no move of the file.
    let link = storage::real_path(storage::folder_of(&link)).join(link.file_name()?);
    let real = storage::real_path(&link);
    let behind = SettingsFile::load(&link, own).ok().filter(|settings| !settings.is_blank() && real != link)?;
    if SettingsFile::load(&real, own).map_or(true, |settings| !settings.is_blank())
        || behind.path() == path_beside(&real)
    {
        return None;
    }
    let (at, settings) = (real.display(), behind.path().display());
    let message = format!("{} is a link to {at}, and its settings stayed by the link: {settings}", link.display());
    Some(Error::new(ErrorKind::Refused, message).about(&link).hint(format!(
        "Settings, archives and log go by the place of the data file itself. Move the settings beside it (mv {} \
         {}), and name the folder of its archives where none was chosen (strongroom settings {} \
         destination.folder=…); then try again. Or move the data file back. An archive is restored by its own name.",
        quoted(behind.path()),
        quoted(&path_beside(&real)),
        quoted(&real)
    )))
}

#[cfg(all(test, unix))]
mod tests {
    use std::{fs, os::unix::fs::symlink};

    use super::*;

    #[test]
    fn a_moved_data_file_whose_settings_stayed_is_told_from_one_that_was_always_linked()
    -> Result<(), Box<dyn std::error::Error>> {
        let place = tempfile::tempdir()?;
        let folder = place.path().canonicalize()?;
        let (own, link, real) = (folder.join("own"), folder.join("app/a.sqlite"), folder.join("disk/a.sqlite"));
        fs::create_dir(folder.join("app"))?;
        fs::create_dir(folder.join("disk"))?;
        fs::write(&real, "x")?;
        symlink(&real, &link)?;
        assert!(left_behind(&link, &own).is_none(), "no settings anywhere");
        assert!(left_behind(&real, &own).is_none());
        fs::write(path_beside(&link), "keep.last = 7\n")?;
        let error = left_behind(&link, &own).ok_or("not told")?;
        assert!(error.message().contains("stayed by the link"), "{error}");
        assert!(error.hint_text().is_some_and(|hint| hint.contains("disk/a.strongroom.toml")), "{error:?}");
        assert!(left_behind(&real, &own).is_none());
        fs::write(path_beside(&real), "keep.last = 3\n")?;
        assert!(left_behind(&link, &own).is_none(), "it has its own");
        Ok(())
    }
}
