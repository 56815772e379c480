//! The key by which archives are signed, and its public half.
//!
//! Every checksum in an archive can be computed by anybody; a signature only by who has the key (Ed25519, RFC 8032). So
//! it must not lie where archives do: it is a file among the program's own, which only its user can read, in the form
//! that `openssl` reads too (PKCS#8 in PEM, RFC 5958 and 7468; the public half as SubjectPublicKeyInfo, RFC 8410).

use std::{
    fmt,
    path::{Path, PathBuf},
};

use ed25519_dalek::{
    Signature, Signer, SigningKey, VerifyingKey,
    pkcs8::{
        DecodePrivateKey, DecodePublicKey, EncodePrivateKey, EncodePublicKey,
        spki::der::{pem::LineEnding, zeroize::Zeroizing},
    },
};
use serde::{Deserialize, Serialize};

use crate::{
    error::{Error, ErrorKind, Result},
    storage::{
        self, Disk, Ownership, Storage,
        owners::{self, ROOT},
        regular::{self, Links},
    },
};

/// The name of the file with the key, in the program's own folder.
const NAME: &str = "signing-key.pem";
/// No file with a key is longer.
const BYTES_MAX: u64 = 4 << 10;

/// The public half of a key: who has it can tell what was signed by the key, and sign nothing.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct PublicKey([u8; 32]);

impl PublicKey {
    pub(super) fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    pub(super) fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// Whether `signature` over `message` was made by this key.
    pub(super) fn has_signed(&self, message: &[u8], signature: &[u8; 64]) -> bool {
        let key = VerifyingKey::from_bytes(&self.0);
        key.is_ok_and(|key| key.verify_strict(message, &Signature::from_bytes(signature)).is_ok())
    }

    /// As text that other programs read.
    ///
    /// # Errors
    /// [`ErrorKind::Damaged`] where it is no key at all, as a foreign archive may say.
    pub fn to_pem(&self) -> Result<String> {
        let no_key = || Error::new(ErrorKind::Damaged, format!("{self} is no key"));
        let key = VerifyingKey::from_bytes(&self.0).map_err(|e| no_key().because(e))?;
        key.to_public_key_pem(LineEnding::LF).map_err(|e| no_key().because(e))
    }

    /// Reads the public half of a key from the file at `path`.
    ///
    /// # Errors
    /// Where it cannot be read, or is something else; `Refused` for a whole key, which belongs to its user alone.
    pub fn read(path: &Path) -> Result<Self> {
        let text = regular::read_text(path, Links::Followed, BYTES_MAX).map_err(|e| Error::io("read", path, e))?;
        if text.contains("PRIVATE KEY") {
            let message = format!("{} is a whole key, not its public half", path.display());
            return Err(Error::new(ErrorKind::Refused, message)
                .hint("Never hand it out. `strongroom key` shows the public half of a key."));
        }
        let key = VerifyingKey::from_public_key_pem(&text).map_err(|e| {
            Error::new(ErrorKind::WrongType, format!("{} is not the public half of a key", path.display()))
                .hint("It is a file that begins with BEGIN PUBLIC KEY, as `strongroom key` shows it.")
                .because(e)
        })?;
        Ok(Self(key.to_bytes()))
    }
}

/// Its first 16 bytes as hexadecimal digits in groups of four: enough to compare by eye, and more than anybody can try.
impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let groups = self.0[..16].chunks_exact(2).map(|pair| format!("{:02x}{:02x}", pair[0], pair[1]));
        f.write_str(&groups.collect::<Vec<_>>().join(" "))
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({self})")
    }
}

impl From<PublicKey> for String {
    fn from(key: PublicKey) -> Self {
        key.0.iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

impl TryFrom<String> for PublicKey {
    type Error = String;

    fn try_from(text: String) -> std::result::Result<Self, String> {
        let digits = text.is_ascii().then(|| text.as_bytes().chunks(2)).filter(|digits| digits.len() == 32);
        let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok();
        let bytes: Option<Vec<u8>> = digits.and_then(|digits| digits.map(byte).collect());
        let bytes = bytes.and_then(|bytes| bytes.try_into().ok());
        bytes.map(Self).ok_or_else(|| "a key has 64 hexadecimal digits".to_owned())
    }
}

/// A whole key. It is never written but to its own file.
pub struct Key(SigningKey);

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key({})", self.public())
    }
}

impl Key {
    /// Where the key lies in `own`, the program's own folder.
    pub fn path(own: &Path) -> PathBuf {
        own.join(NAME)
    }

    /// The key of this user, in `own`; made if there is none yet.
    ///
    /// # Errors
    /// As [`known`](Self::known); where it cannot be made.
    pub fn of(own: &Path) -> Result<Self> {
        if let Some(key) = Self::known(own)? {
            return Ok(key);
        }
        storage::make_private_folders(own)?;
        let path = Self::path(own);
        let mut secret = Zeroizing::new([0u8; 32]);
        getrandom::fill(secret.as_mut_slice()).map_err(|e| {
            Error::new(ErrorKind::Io, "the system gives no random numbers for a key")
                .because(std::io::Error::other(e.to_string()))
        })?;
        let key = SigningKey::from_bytes(&secret);
        let text = key
            .to_pkcs8_pem(LineEnding::LF)
            .map_err(|e| Error::new(ErrorKind::Io, format!("no key can be made for {}", path.display())).because(e))?;
        let mut part = path.clone().into_os_string();
        part.push(format!(".{}.part", std::process::id()));
        let part = PathBuf::from(part);
        if storage::is_leftover(&part) {
            Disk.remove(&part)?;
        }
        let mut file = Disk.create(&part, Ownership { mode: Some(0o600), owner: None })?;
        let written = file.write_all(text.as_bytes()).and_then(|()| file.sync());
        drop(file);
        match written.and_then(|()| storage::publish(&Disk, &part, &path)) {
            Ok(()) => Ok(Self(key)),
            Err(error) => {
                Disk.discard(&part);
                // Another process made one at the same time.
                if error.kind() == ErrorKind::Exists { Self::known(own)?.ok_or(error) } else { Err(error) }
            }
        }
    }

    /// The key of this user, in `own`, if there is one.
    ///
    /// # Errors
    /// `Refused` for one that others could have read or written, `Damaged` for a file that is no key.
    pub fn known(own: &Path) -> Result<Option<Self>> {
        let path = Self::path(own);
        let (file, meta) = match regular::open(&path, Links::Refused) {
            Ok(opened) => opened,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(Error::io("read", &path, error)),
        };
        require_private(&path, &meta)?;
        let mut text = Zeroizing::new(String::new());
        std::io::Read::read_to_string(&mut std::io::Read::take(file, BYTES_MAX), &mut text)
            .map_err(|e| Error::io("read", &path, e))?;
        let key = SigningKey::from_pkcs8_pem(&text).map_err(|e| {
            let message = format!("{} is not a key to sign archives with", path.display());
            Error::new(ErrorKind::Damaged, message)
                .hint("Put it back from a copy, or move it away: then a new key is made for new archives.")
                .because(e)
        })?;
        Ok(Some(Self(key)))
    }

    /// Its public half.
    pub fn public(&self) -> PublicKey {
        PublicKey(self.0.verifying_key().to_bytes())
    }

    pub(super) fn sign(&self, message: &[u8]) -> [u8; 64] {
        self.0.sign(message).to_bytes()
    }
}

/// A key that others could read signs nothing: it proves nothing any more.
fn require_private(path: &Path, meta: &std::fs::Metadata) -> Result<()> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt;
        if meta.mode() & 0o077 != 0 || ![ROOT, owners::this_user()].contains(&meta.uid()) {
            let message = format!("{} is readable by others, or belongs to somebody else", path.display());
            return Err(Error::new(ErrorKind::Refused, message).hint(
                "What it signs proves nothing then. If nobody has read it, take the rights of others away (chmod \
                 600); else move it away, and a new key is made.",
            ));
        }
    }
    #[cfg(not(unix))]
    let _ = (path, meta, owners::this_user(), ROOT);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    type Done = std::result::Result<(), Box<dyn std::error::Error>>;

    #[test]
    fn a_key_is_made_once_and_only_its_user_reads_it() -> Done {
        let place = tempfile::tempdir()?;
        let own = place.path().join("own");
        assert!(Key::known(&own)?.is_none());
        let made = Key::of(&own)?.public();
        assert_eq!(Key::of(&own)?.public(), made);
        assert_eq!(std::fs::read_dir(&own)?.count(), 1, "a file is left over");
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            let path = Key::path(&own);
            assert_eq!(std::fs::metadata(&path)?.permissions().mode() & 0o777, 0o600);
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o640))?;
            assert_eq!(Key::of(&own).err().map(|e| e.kind()), Some(ErrorKind::Refused));
        }
        Ok(())
    }

    /// The first test of RFC 8032, section 7.1.
    #[test]
    fn a_signature_is_that_of_the_standard() -> Done {
        let secret: PublicKey =
            "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60".to_owned().try_into()?;
        let key = Key(SigningKey::from_bytes(secret.as_bytes()));
        let public = "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a";
        assert_eq!(String::from(key.public()), public);
        let signature = key.sign(b"");
        assert_eq!(signature[..4], [0xe5, 0x56, 0x43, 0x00]);
        assert!(key.public().has_signed(b"", &signature));
        assert!(!key.public().has_signed(b"x", &signature));
        assert_eq!(key.public().to_string(), "d75a 9801 82b1 0ab7 d54b fed3 c964 073a");
        Ok(())
    }

    #[test]
    fn the_public_half_is_read_and_a_whole_key_is_refused() -> Done {
        let place = tempfile::tempdir()?;
        let key = Key::of(place.path())?.public();
        let path = place.path().join("public.pem");
        std::fs::write(&path, key.to_pem()?)?;
        assert_eq!(PublicKey::read(&path)?, key);
        assert_eq!(PublicKey::read(&Key::path(place.path())).err().map(|e| e.kind()), Some(ErrorKind::Refused));
        std::fs::write(&path, "something else")?;
        assert_eq!(PublicKey::read(&path).err().map(|e| e.kind()), Some(ErrorKind::WrongType));
        Ok(())
    }
}
