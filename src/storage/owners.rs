//! Users, and what they could change: the owner of a file, and who else may replace it or a folder on the way to it.
//!
//! Whoever can write a folder can replace everything in it. So a file is only as trustworthy as the whole chain of
//! folders above it; the same is asked by `sshd` before it believes a file of keys.

use std::path::{Path, PathBuf};

#[cfg(unix)]
use super::folder_of;

/// The number of the superuser.
pub const ROOT: u32 = 0;

/// The user as whom this process acts.
pub fn this_user() -> u32 {
    #[cfg(unix)]
    return rustix::process::geteuid().as_raw();
    #[cfg(not(unix))]
    ROOT
}

/// The name of a user, or its number where it has none.
pub fn name_of(user: u32) -> String {
    #[cfg(unix)]
    if let Ok(Some(known)) = nix::unistd::User::from_uid(user.into()) {
        return known.name;
    }
    user.to_string()
}

/// Links in a path that lead to each other for longer than systems follow them.
#[cfg(unix)]
const LINKS_MAX: usize = 40;

/// In whose hands the file or folder at `path` is: its owner; of one that is gone, whose the nearest folder above it
/// is; and where a link of somebody else than the superuser leads there, whose that link is, since he decides what the
/// path means. `None` where that cannot be told, and where files have no owners.
pub fn owner_of(path: &Path) -> Option<u32> {
    #[cfg(unix)]
    {
        owner_by_links(&std::path::absolute(path).ok()?, LINKS_MAX)
    }
    #[cfg(not(unix))]
    {
        let _ = path;
        None
    }
}

#[cfg(unix)]
fn owner_by_links(path: &Path, links: usize) -> Option<u32> {
    use std::os::unix::fs::MetadataExt;
    let mut so_far = PathBuf::new();
    let mut owner = None;
    let mut parts = path.components();
    while let Some(part) = parts.next() {
        so_far.push(part);
        let Ok(meta) = so_far.symlink_metadata() else { break };
        if !meta.is_symlink() {
            owner = Some(meta.uid());
        } else if meta.uid() != ROOT {
            return Some(meta.uid());
        } else {
            let target = folder_of(&so_far).join(so_far.read_link().ok()?).join(parts.as_path());
            return owner_by_links(&target, links.checked_sub(1)?);
        }
    }
    owner
}

/// The canonical path of what is there, or of the nearest folder above it with the rest added.
///
/// # Errors
/// When none of it can be found.
pub fn canonical_place(path: &Path) -> std::io::Result<PathBuf> {
    let absolute = std::path::absolute(path)?;
    let there = absolute.ancestors().find(|path| path.symlink_metadata().is_ok()).unwrap_or(&absolute);
    let rest = absolute.strip_prefix(there).unwrap_or(Path::new(""));
    let canonical = there.canonicalize()?;
    Ok(if rest.as_os_str().is_empty() { canonical } else { canonical.join(rest) })
}

/// Who besides its owner can read a file, with the folders on the way to it counted in: a file that everybody may read,
/// in a folder that nobody else may enter, is private.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Readers {
    /// The members of this group.
    pub group: Option<u32>,
    /// Everybody.
    pub others: bool,
}

impl Readers {
    /// Nobody but the owner.
    pub const NONE: Self = Self { group: None, others: false };

    /// Those of the file or folder at `path`; nobody where that cannot be told.
    pub fn of(path: &Path) -> Self {
        #[cfg(unix)]
        {
            use std::os::unix::fs::MetadataExt;
            let Ok((path, meta)) = path.canonicalize().and_then(|path| path.metadata().map(|meta| (path, meta))) else {
                return Self::NONE;
            };
            let (mode, group) = (meta.mode(), meta.gid());
            // What cannot be looked at is entered by nobody.
            let above = |folder: &Path| folder.metadata().map_or((0, 0), |meta| (meta.mode(), meta.gid()));
            Self::by((mode, group), path.ancestors().skip(1).map(above))
        }
        #[cfg(not(unix))]
        {
            let _ = path;
            Self::NONE
        }
    }

    /// Those of a file with this mode and group, and with those of all folders above it.
    #[cfg(unix)]
    pub(super) fn by((mode, group): (u32, u32), above: impl Iterator<Item = (u32, u32)>) -> Self {
        let (others, members) = above.fold((true, true), |(others, members), (bits, its_group)| {
            let for_others = bits & 0o001 != 0;
            (others && for_others, members && (for_others || bits & 0o010 != 0 && its_group == group))
        });
        Self { group: (mode & 0o040 != 0 && members).then_some(group), others: mode & 0o004 != 0 && others }
    }

    /// The permissions of `mode`, for a file of `group`, without those of anybody who is not among these.
    pub fn only(self, mode: u32, group: u32) -> u32 {
        let members = if self.others || self.group == Some(group) { 0o070 } else { 0 };
        mode & (0o700 | members | if self.others { 0o007 } else { 0 })
    }
}

/// Who besides `user` and the superuser could replace the file at `path`, a canonical one: the first folder above it
/// that somebody else may write, and who that is, in words. What cannot be looked at counts as open to others.
pub fn other_writer(path: &Path, user: u32) -> Option<(PathBuf, String)> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt;
        folder_of(path).ancestors().filter(|folder| !folder.as_os_str().is_empty()).find_map(|folder| {
            let who = match folder.symlink_metadata() {
                // What is not there yet is made by whoever can write the folder above it.
                Err(e) if e.kind() == std::io::ErrorKind::NotFound => None,
                Err(_) => Some("it is not known who".to_owned()),
                Ok(meta) if !meta.is_dir() => Some("whoever made that link".to_owned()),
                Ok(meta) if meta.uid() != user && meta.uid() != ROOT => Some(name_of(meta.uid())),
                // In a folder like /tmp everybody may make files, and nobody may replace those of others.
                Ok(meta) if meta.mode() & 0o1000 != 0 => None,
                Ok(meta) if meta.mode() & 0o002 != 0 => Some("everybody".to_owned()),
                Ok(meta) if meta.mode() & 0o020 != 0 && meta.gid() != ROOT => Some(group_in_words(meta.gid())),
                Ok(_) => None,
            };
            who.map(|who| (folder.to_path_buf(), who))
        })
    }
    #[cfg(not(unix))]
    {
        let _ = (path, user);
        None
    }
}

/// The owner of `beside`, a file that SQLite would take for a part of the one at `file`, or of the link under that
/// name, where that is somebody who could not write that file himself: neither its owner, this user nor the superuser,
/// nor one to whom its permissions give it. `None` where there is no such file, and where files have no owners.
pub fn stranger_to(file: &Path, beside: &Path) -> Option<u32> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt;
        let of = file.metadata().ok()?;
        let may_write = |user: u32| {
            let is_one = [of.uid(), this_user(), ROOT].contains(&user);
            is_one || of.mode() & 0o002 != 0 || of.mode() & 0o020 != 0 && is_member(user, of.gid())
        };
        let owners = [beside.symlink_metadata(), beside.metadata()].into_iter().flatten().map(|meta| meta.uid());
        owners.into_iter().find(|user| !may_write(*user))
    }
    #[cfg(not(unix))]
    {
        let _ = (file, beside);
        None
    }
}

/// The owner of `file`, where that is a stranger to a data file that belongs to `owner` and the folder is one like
/// `/tmp`, in which everybody may make files and delete only his own: neither `owner`, this user or the superuser, nor
/// the owner of the folder. In any other folder whoever may make a file may also delete and replace ours. `None` where
/// files have no owners, and where it cannot be looked at.
pub fn stranger(owner: Option<u32>, file: &Path) -> Option<u32> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt;
        let folder = folder_of(file).metadata().ok()?;
        let is_shared = folder.mode() & 0o1000 != 0 && folder.mode() & 0o022 != 0;
        let whose = file.symlink_metadata().ok().filter(|_| is_shared)?.uid();
        let known = [owner, Some(this_user()), Some(ROOT), Some(folder.uid())];
        (!known.contains(&Some(whose))).then_some(whose)
    }
    #[cfg(not(unix))]
    {
        let _ = (owner, file);
        None
    }
}

/// Whether the system lists the user as a member of the group.
#[cfg(unix)]
fn is_member(user: u32, group: u32) -> bool {
    let Ok(Some(known)) = nix::unistd::User::from_uid(user.into()) else { return false };
    #[cfg(not(target_vendor = "apple"))]
    if let Ok(name) = std::ffi::CString::new(known.name.clone())
        && let Ok(groups) = nix::unistd::getgrouplist(&name, known.gid)
    {
        return groups.iter().any(|of| of.as_raw() == group);
    }
    let members = nix::unistd::Group::from_gid(group.into()).ok().flatten().map(|group| group.mem);
    known.gid.as_raw() == group || members.is_some_and(|names| names.contains(&known.name))
}

/// A group, in words: `the group staff`.
pub fn group_in_words(group: u32) -> String {
    #[cfg(unix)]
    if let Ok(Some(known)) = nix::unistd::Group::from_gid(group.into()) {
        return format!("the group {}", known.name);
    }
    format!("the group {group}")
}

#[cfg(all(test, unix))]
mod tests {
    use std::{
        fs::{self, Permissions},
        os::unix::fs::{PermissionsExt, chown, symlink},
    };

    use super::*;

    type Outcome = std::result::Result<(), Box<dyn std::error::Error>>;

    #[test]
    fn whoever_can_write_a_folder_above_a_file_could_replace_it() -> Outcome {
        let place = tempfile::tempdir()?;
        let top = place.path().canonicalize()?;
        let file = top.join("a/b/settings");
        fs::create_dir_all(top.join("a/b"))?;
        let user = this_user();
        let mode = |folder: &str, mode| fs::set_permissions(top.join(folder), Permissions::from_mode(mode));
        assert_eq!(other_writer(&file, user), None, "/tmp itself is sticky");
        for (bits, who) in [(0o777, Some("everybody")), (0o1777, None), (0o755, None)] {
            mode("a", bits)?;
            let found = other_writer(&file, user);
            assert_eq!(found, who.map(|who| (top.join("a"), who.to_owned())), "{bits:o}");
        }
        symlink(top.join("a"), top.join("link"))?;
        assert!(other_writer(&top.join("link/settings"), user).is_some(), "a link can be made to lead elsewhere");
        if user != ROOT {
            return Ok(());
        }
        mode("a/b", 0o775)?;
        assert_eq!(other_writer(&file, user), None, "the superuser's own group");
        chown(top.join("a/b"), None, Some(61_003))?;
        assert_eq!(other_writer(&file, user), Some((top.join("a/b"), "the group 61003".to_owned())));
        chown(top.join("a"), Some(61_001), None)?;
        mode("a/b", 0o755)?;
        assert_eq!(other_writer(&file, user), Some((top.join("a"), "61001".to_owned())));
        assert_eq!(other_writer(&file, 61_001), None);
        assert_eq!(owner_of(&top.join("a/nothing/at/all")), Some(61_001));
        assert_eq!(canonical_place(&top.join("link/nothing/at/all"))?, top.join("a/nothing/at/all"));
        // Whoever makes a link decides where a path leads; a link of the superuser leads on.
        symlink("/root", top.join("a/to root"))?;
        std::os::unix::fs::lchown(top.join("a/to root"), Some(61_002), None)?;
        assert_eq!(owner_of(&top.join("link/to root/file")), Some(61_002));
        assert_eq!(owner_of(&top.join("link/b")), Some(ROOT));
        symlink("round", top.join("round"))?;
        assert_eq!(owner_of(&top.join("round/file")), None);
        Ok(())
    }

    #[test]
    fn who_may_write_a_file_is_no_stranger_to_it() -> Outcome {
        let place = tempfile::tempdir()?;
        let (file, beside) = (place.path().join("a"), place.path().join("a-wal"));
        fs::write(&file, "")?;
        assert_eq!(stranger_to(&file, &beside), None, "there is none");
        fs::write(&beside, "")?;
        assert_eq!(stranger_to(&file, &beside), None);
        // Only the superuser can give files away, and the user must be known with his group.
        let Some(user) = nix::unistd::User::from_name("daemon")?.filter(|_| this_user() == ROOT) else { return Ok(()) };
        let (id, group) = (user.uid.as_raw(), user.gid.as_raw());
        chown(&beside, Some(id), Some(group))?;
        chown(&file, Some(61_001), Some(group))?;
        for (mode, stranger) in [(0o600, Some(id)), (0o644, Some(id)), (0o660, None), (0o646, None)] {
            fs::set_permissions(&file, Permissions::from_mode(mode))?;
            assert_eq!(stranger_to(&file, &beside), stranger, "{mode:o}");
        }
        chown(&file, Some(61_001), Some(61_001))?;
        fs::set_permissions(&file, Permissions::from_mode(0o660))?;
        assert_eq!(stranger_to(&file, &beside), Some(id), "the group of somebody else");
        // The link counts, and what it leads to.
        fs::rename(&beside, place.path().join("b"))?;
        symlink("b", &beside)?;
        assert_eq!(stranger_to(&file, &beside), Some(id));
        Ok(())
    }

    #[test]
    fn a_file_is_as_private_as_the_folders_above_it() -> Outcome {
        let place = tempfile::tempdir()?;
        let top = place.path().canonicalize()?;
        let file = top.join("a/b/file");
        fs::create_dir_all(top.join("a/b"))?;
        fs::write(&file, "")?;
        let mode = |name: &str, mode| fs::set_permissions(top.join(name), Permissions::from_mode(mode));
        let readable = |folders: [u32; 3], own: u32| -> std::io::Result<u32> {
            ["", "a", "a/b"].iter().zip(folders).try_for_each(|(name, bits)| mode(name, bits))?;
            mode("a/b/file", own)?;
            let group = std::os::unix::fs::MetadataExt::gid(&file.metadata()?);
            Ok(Readers::of(&file).only(0o666, group))
        };
        assert_eq!(readable([0o755, 0o755, 0o755], 0o644)?, 0o666);
        assert_eq!(readable([0o755, 0o755, 0o755], 0o640)?, 0o660);
        assert_eq!(readable([0o755, 0o750, 0o755], 0o644)?, 0o660);
        assert_eq!(readable([0o755, 0o711, 0o711], 0o604)?, 0o666);
        assert_eq!(readable([0o700, 0o755, 0o755], 0o644)?, 0o600);
        assert_eq!(Readers::of(&top.join("nothing")), Readers::NONE);
        assert_eq!(Readers { group: Some(5), others: false }.only(0o644, 6), 0o600);
        Ok(())
    }
}
