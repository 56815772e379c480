//! Data files that go by the same settings: a folder was copied with the data file, its settings and its archives, as
//! `cp -a prod staging` does. Both then have one identity, and by it alone the archives of the one would be deleted for
//! those of the other, or restored in its place.
//!
//! Settings note the path of their data file. Where that is another file which is still there and has the same identity
//! in its settings, this one is the copy; where it is gone, the data file was moved, and all stays its own. An archive
//! names the path that it was made of, and is of another data file by the same rule. Device and inode decide what is
//! another file: a link, or another mount of it, is not.

use std::path::{Path, PathBuf};

use chrono::{DateTime, FixedOffset};
use serde::{Deserialize, Serialize};
use toml_edit::{Array, Document, Item, Table};
use uuid::Uuid;

use super::{Settings, SettingsFile, document, document::find, file::HEAD, origin, path_beside, path_in, place};
use crate::{
    archive::catalog::ArchiveEntry,
    error::{Error, ErrorKind, Result, shell::quoted},
    storage::{identity::FileStamp, installation::Installation, owners},
};

/// The path of the data file that settings belong to.
pub(super) const PATH: (&str, &str) = ("data-file", "path");
pub(super) const PATH_MEANING: &str = "Where it is: a copy that is made of its folder is known by that.";
/// The identities that a copy had before it was given one of its own.
pub(super) const FORMER: (&str, &str) = ("data-file", "former-ids");
pub(super) const FORMER_MEANING: &str = "What it was before, as a copy.";

/// The path that is noted in a settings file.
pub(super) fn noted_path(document: &Table) -> Option<PathBuf> {
    place::path(find(document, PATH)?.as_str()?)
}

fn uuid(item: &Item) -> Option<Uuid> {
    item.as_str()?.parse().ok()
}

/// The identities that a settings file has noted: the one in force, and those it had.
pub(super) fn identities(document: &Table) -> (Option<Uuid>, Vec<Uuid>) {
    let id = find(document, ("data-file", "id")).and_then(uuid);
    let former = find(document, FORMER).and_then(Item::as_array);
    (id, former.into_iter().flatten().filter_map(|value| value.as_str()?.parse().ok()).collect())
}

/// Whether `other` leads to a file that is there, and not to `data_file` itself.
fn is_another(other: &Path, data_file: &Path) -> bool {
    if other == data_file || !other.is_absolute() || !other.is_file() {
        return false;
    }
    let which = |path: &Path| FileStamp::of_path(path).ok().flatten().map(|stamp| stamp.identity);
    if cfg!(unix) {
        which(other) != which(data_file)
    } else {
        other.canonicalize().ok() != data_file.canonicalize().ok()
    }
}

/// Whether another file than `data_file` is, or may be, at `other`: what cannot be looked at may be one.
pub fn may_be_another(other: &Path, data_file: &Path) -> bool {
    let is_unknown = other
        .metadata()
        .is_err_and(|e| !matches!(e.kind(), std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory));
    is_unknown || is_another(other, data_file)
}

/// What the settings of another data file say of an identity.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Claim {
    /// It is theirs, or they cannot be read or understood: nobody can tell.
    Shared,
    /// They had it, before they were told apart.
    Former,
    /// They have another one, or are not there.
    None,
}

/// What the settings of the data file `other` say of the identity `id`, and whether they do not say that it is a copy
/// of `data_file`; `own` is the program's own settings folder.
fn claim(other: &Path, data_file: &Path, id: Uuid, own: Option<&Path>) -> (Claim, bool) {
    let places = [Some(path_beside(other)), own.map(|own| path_in(own, other))];
    let read = places.into_iter().flatten().find_map(|path| origin::read(&path).transpose());
    let text = match read {
        Some(Ok((text, _))) => text,
        Some(Err(_)) => return (Claim::Shared, false),
        None => return (Claim::None, false),
    };
    let Ok(document) = Document::parse(text) else { return (Claim::Shared, false) };
    let claim = match identities(document.as_table()) {
        (Some(now), _) if now == id => Claim::Shared,
        (_, former) if former.contains(&id) => Claim::Former,
        _ => Claim::None,
    };
    (claim, noted_path(document.as_table()).is_none_or(|noted| noted != data_file))
}

/// Whether another data file than `data_file` is at `other`, whose settings name the same identity.
pub(super) fn is_shared(other: &Path, data_file: &Path, id: Uuid, own: &Path) -> bool {
    is_another(other, data_file) && claim(other, data_file, id, Some(own)).0 == Claim::Shared
}

impl SettingsFile {
    /// The data file that this one was copied from together with its settings, while it is still there and goes by
    /// them too: nobody can tell then whose archives and logs are meant by the identity.
    pub fn copied_from(&self) -> Option<&Path> {
        let (noted, id) = (self.noted.as_deref()?, self.settings.data_file_id?);
        is_shared(noted, &self.data_file, id, &self.own).then_some(noted)
    }

    /// Whether `other` names the same data file as theirs.
    pub fn is_of_same(&self, other: &Self) -> bool {
        self.noted == other.noted
    }

    /// Those of `sharing` that name themselves by the same identity as this one: each may be the copy.
    fn equal<'a>(&self, sharing: &'a [Sharing]) -> Option<&'a Path> {
        let id = self.settings.data_file_id?;
        let mut equal = sharing.iter().filter(|other| other.names_itself).map(|other| other.data_file.as_path());
        equal.find(|other| is_shared(other, &self.data_file, id, &self.own))
    }

    /// Gives a copy an identity of its own; of two that both name themselves by one, as after a copy was used while its
    /// original was away, either of them. `sharing` are those that share it, as [`mark`] finds them. Its archives and
    /// their numbers begin anew, and it is without a log: the one that the settings name is that of the other. Returns
    /// the data file that it was copied from, and that log.
    ///
    /// # Errors
    /// `Refused` when it is no copy of a data file that is there; when the settings cannot be written.
    pub fn give_own_identity(&mut self, own: &Path, sharing: &[Sharing]) -> Result<(PathBuf, Option<PathBuf>)> {
        let elsewhere =
            || sharing.iter().find(|other| other.elsewhere.is_some()).map(|other| other.data_file.as_path());
        let from = self.copied_from().or_else(|| self.equal(sharing)).or_else(elsewhere);
        let Some(from) = from.map(Path::to_path_buf) else {
            let path = self.data_file.display();
            let message = format!("{path} is no copy of a data file that goes by the same settings");
            let hint = match sharing.first() {
                Some(copy) => format!(
                    "{0} is the copy, and is given another: strongroom settings {1} --own-identity.",
                    copy.data_file.display(),
                    quoted(&copy.data_file)
                ),
                None => "No other data file is known that has its identity.".to_owned(),
            };
            return Err(Error::new(ErrorKind::Refused, message).hint(hint));
        };
        let mut anew = self.clone();
        let former = find(&anew.document, FORMER).and_then(Item::as_array).cloned().unwrap_or_default();
        let mut former: Array = former;
        former.extend(self.settings.data_file_id.map(|id| id.to_string()));
        document::set(&mut anew.document, FORMER, former.into(), FORMER_MEANING, HEAD);
        let log = self.settings.log.file.clone();
        anew.noted = None;
        anew.change(own, |s| {
            (s.data_file_id, s.last_number, s.log.file) = (Some(Uuid::new_v4()), 0, None);
            s.made_in.clear();
            s.restored = None;
        })?;
        *self = anew;
        Ok((from, log))
    }
}

/// Another data file that has the same identity.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sharing {
    /// Where it is.
    pub data_file: PathBuf,
    /// Whether its settings note another path than that of the one that was asked for: it is not known as its copy.
    pub names_itself: bool,
    /// The archives by which it is known where its file is not to be seen here: it has the same path elsewhere.
    pub elsewhere: Option<Elsewhere>,
}

/// Archives that were made of a data file which has the same identity and the same path, on another machine or in
/// another container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Elsewhere {
    /// The newest of them.
    pub newest: PathBuf,
    /// When it was made.
    pub moment: Option<DateTime<FixedOffset>>,
    /// How many there are.
    pub count: usize,
}

/// Marks those of `archives` that were made of another data file which has, or had, the same identity, as `settings`,
/// those of `data_file`, name it, and which is still there; or is elsewhere, as what is noted of its own archives
/// tells. Returns the data files that have it still. Marks those as well that a stranger may have put there: in a
/// folder like `/tmp` he can make files, though he can delete none of ours, and would have the backups do that.
pub fn mark(data_file: &Path, settings: &Settings, archives: &mut [ArchiveEntry]) -> Vec<Sharing> {
    let owner = owners::owner_of(data_file);
    for archive in archives.iter_mut() {
        archive.put_by = archive.files.iter().find_map(|file| owners::stranger(owner, file)).map(owners::name_of);
    }
    let Some(id) = settings.data_file_id else { return Vec::new() };
    let here = Installation::of(data_file);
    let mut elsewhere: Option<Elsewhere> = None;
    // A folder holds many archives of few data files.
    let mut asked: Vec<(Sharing, Claim)> = Vec::new();
    for archive in archives.iter_mut().filter(|archive| archive.data_file_id == Some(id)) {
        let claimed = archive.made_of.as_ref().filter(|path| *path != data_file).map(|made_of| {
            let known = asked.iter().find(|(other, _)| other.data_file == *made_of).map(|(_, claim)| *claim);
            known.unwrap_or_else(|| {
                let (found, names_itself) = match is_another(made_of, data_file) {
                    true => claim(made_of, data_file, id, None),
                    false => (Claim::None, false),
                };
                asked.push((Sharing { data_file: made_of.clone(), names_itself, elsewhere: None }, found));
                found
            })
        });
        archive.is_of_other = claimed.is_some_and(|claim| claim != Claim::None);
        if !archive.is_of_other && !settings.may_have_made(archive.number, archive.installation, here) {
            archive.is_of_other = true;
            let seen = elsewhere.get_or_insert_with(|| Elsewhere { newest: PathBuf::new(), moment: None, count: 0 });
            seen.count += 1;
            if archive.moment >= seen.moment {
                (seen.newest, seen.moment) = (archive.path.clone(), archive.moment);
            }
        }
    }
    let shared = asked.into_iter().filter(|(_, claim)| *claim == Claim::Shared).map(|(other, _)| other);
    let elsewhere =
        elsewhere.map(|of| Sharing { data_file: data_file.to_path_buf(), names_itself: true, elsewhere: Some(of) });
    shared.chain(elsewhere).collect()
}

/// What is to be said of a data file that goes by the settings of another one, `from`, from which it was copied.
pub fn shared(copy: &Path, from: &Path) -> Error {
    let (word, copy, from) = (quoted(copy), copy.display(), from.display());
    Error::new(
        ErrorKind::Refused,
        format!(
            "{copy} is a copy of {from}, which is still there, and goes by the same settings: they were copied too, \
             and make both one data file"
        ),
    )
    .hint(format!(
        "Give the copy an identity of its own: strongroom settings {word} --own-identity. If it has taken the place of \
         {from}, delete or rename that one. Until then no log is kept of the copy, and no old backup is deleted for it."
    ))
}

/// What is to be said of two data files that both name themselves by one identity, `this` and `other`: a copy was used
/// while its original was away.
pub fn equal(this: &Path, other: &Path) -> Error {
    let message = format!(
        "{} and {} go by the same settings, and both as the original: one was copied from the other with them, and \
         both were used since",
        this.display(),
        other.display()
    );
    Error::new(ErrorKind::Refused, message).hint(format!(
        "Give one of them an identity of its own, it does not matter which: strongroom settings {} --own-identity, or \
         the same with {}. Its archives begin anew, and it is without a log until one is chosen. Until then their \
         archives are told apart by the paths in them; a log that both of them name is taken by each from the other, \
         and a restore with it can give the content of the other.",
        quoted(this),
        quoted(other)
    ))
}

/// What is to be said of a restore of `this` with a log that was last written for another file.
pub fn log_of_other(log: &Path, this: &Path) -> Error {
    let message = format!(
        "{} was written last for another file than {} that goes by the same settings, on another machine, in another \
         container, or before an older state was put back: what was restored may be of that one",
        log.display(),
        this.display()
    );
    Error::new(ErrorKind::Partial, message).hint(
        "Look at what was restored. A restore up to an earlier moment (--until), or of the archive alone (--no-log), \
         is without the commits of the other.",
    )
}

/// What is to be said of archives of a data file that goes by the same settings as `this`, at the same path elsewhere.
pub fn elsewhere(this: &Path, seen: &Elsewhere) -> Error {
    let moment = seen.moment.map_or_else(String::new, |m| format!(" of {}", m.format("%Y-%m-%d %H:%M:%S %:z")));
    let (newest, path) = (seen.newest.display(), this.display());
    let which = match seen.count {
        1 => format!("{newest}{moment} was made"),
        count => format!("{count} archives, the newest {newest}{moment}, were made"),
    };
    let message = format!(
        "{which} of another file than {path} that goes by the same settings: of one with the same path on another \
         machine or in another container, or of this one before an older state of its folder was put back"
    );
    Error::new(ErrorKind::Refused, message).hint(format!(
        "Give one of both, or what was put back, an identity of its own, and better a folder of its own: strongroom \
         settings {} --own-identity. Until then what was made elsewhere does not count here and is not deleted. To \
         restore such an archive, name it itself: strongroom restore {}.",
        quoted(this),
        quoted(&seen.newest)
    ))
}
