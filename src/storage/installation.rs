//! Where a file lives: on which machine or in which container, and which file it is there. A data file that was copied
//! with its settings to the same path elsewhere, as in another container, has everything else in common with its
//! original.

use std::{fmt, path::Path, str::FromStr, sync::OnceLock};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use super::{
    identity::FileStamp,
    regular::{self, Links},
};

/// A machine or container, and a file on it, as checksums of both; written as 8 hexadecimal digits each.
///
/// Another one says nothing by itself: machines get other names, files are replaced. Who made an archive is told by
/// what was noted when it changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Installation {
    machine: u32,
    file: u32,
}

impl Installation {
    /// Of the file that `path` names now; `None` when it names none, or that cannot be seen.
    pub fn of(path: &Path) -> Option<Self> {
        let (device, inode) = FileStamp::of_path(path).ok()??.identity.numbers();
        let file = [machine(), &device.to_le_bytes(), &inode.to_le_bytes()].concat();
        Some(Self { machine: checksum(machine()), file: checksum(&file) })
    }

    /// Whether both are on one machine, or in one container.
    pub fn is_same_machine(self, other: Self) -> bool {
        self.machine == other.machine
    }
}

fn checksum(bytes: &[u8]) -> u32 {
    let mut first = [0; 4];
    first.copy_from_slice(&blake3::hash(bytes).as_bytes()[..4]);
    u32::from_be_bytes(first)
}

/// What tells this machine or container from others; containers of one machine differ in their name.
fn machine() -> &'static [u8] {
    static MACHINE: OnceLock<Vec<u8>> = OnceLock::new();
    MACHINE.get_or_init(|| {
        let id = regular::read_text(Path::new("/etc/machine-id"), Links::Followed, 256);
        let mut known = id.unwrap_or_default().into_bytes();
        known.push(0);
        known.extend(name());
        known
    })
}

#[cfg(unix)]
fn name() -> Vec<u8> {
    rustix::system::uname().nodename().to_bytes().to_vec()
}

/// Machines of other systems are told apart by their files alone.
#[cfg(not(unix))]
fn name() -> Vec<u8> {
    Vec::new()
}

impl fmt::Display for Installation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:08x}{:08x}", self.machine, self.file)
    }
}

impl FromStr for Installation {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let is_hex = text.len() == 16 && text.bytes().all(|b| b.is_ascii_hexdigit());
        let both =
            u64::from_str_radix(text, 16).map_err(drop).and_then(|both| if is_hex { Ok(both) } else { Err(()) })?;
        Ok(Self { machine: (both >> 32) as u32, file: both as u32 })
    }
}

impl Serialize for Installation {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Installation {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(|()| de::Error::custom("expected 16 hexadecimal digits"))
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn another_file_at_the_same_path_is_another_installation() -> Result<(), Box<dyn std::error::Error>> {
        let folder = tempfile::tempdir()?;
        let (path, other) = (folder.path().join("a"), folder.path().join("b"));
        assert_eq!(Installation::of(&path), None);
        fs::write(&path, "1")?;
        fs::write(&other, "1")?;
        let first = Installation::of(&path).ok_or("nothing there")?;
        assert_eq!(Installation::of(&path), Some(first));
        assert_eq!(first.to_string().parse(), Ok(first));
        fs::rename(&other, &path)?;
        let second = Installation::of(&path).ok_or("gone")?;
        assert!(second != first && second.is_same_machine(first));
        for text in ["", "12", "+123456789abcdef", "g123456789abcdef"] {
            assert_eq!(text.parse::<Installation>(), Err(()), "{text}");
        }
        Ok(())
    }
}
