//! The signature of an archive: a frame right before its end, over the checksum of the whole.
//!
//! That checksum hangs on HEAD, on every data frame and on INDX, and so on every byte of content; recovery data only
//! brings those bytes back. A reader that does not know the frame passes over it. What is laid out how is said in
//! `docs/formats.md`.

use serde::{Deserialize, Serialize};

use super::{
    format::{Hash, SKIPPABLE},
    keys::{Key, PublicKey},
};

const TAG: &[u8; 8] = b"SR4BSIGN";
/// What is signed begins with this, so that the signature can be taken for no other.
const PURPOSE: &[u8] = b"strongroom archive 1";
const ENVELOPE_BYTES: usize = 8;
const PAYLOAD_BYTES: usize = 144;
/// Length of the frame in bytes.
pub(super) const LENGTH: u64 = (ENVELOPE_BYTES + PAYLOAD_BYTES) as u64;

/// A signature that stands in an archive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Signature {
    /// Whose it says it is.
    pub key: PublicKey,
    bytes: [u8; 64],
}

fn message(whole: &Hash) -> Vec<u8> {
    [PURPOSE, whole].concat()
}

impl Signature {
    /// That of `key`, of the archive with this checksum of the whole.
    pub(super) fn of(key: &Key, whole: &Hash) -> Self {
        Self { key: key.public(), bytes: key.sign(&message(whole)) }
    }

    /// Whether it was made by that key, for the archive with this checksum of the whole.
    pub(super) fn is_of(&self, whole: &Hash) -> bool {
        self.key.has_signed(&message(whole), &self.bytes)
    }

    /// The frame.
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(LENGTH as usize);
        out.extend(SKIPPABLE.to_le_bytes());
        out.extend((PAYLOAD_BYTES as u32).to_le_bytes());
        out.extend(TAG);
        // The version of the frame; Ed25519; zeros.
        out.extend([1, 0, 1, 0, 0, 0, 0, 0]);
        out.extend(self.key.as_bytes());
        out.extend(self.bytes);
        let hash = blake3::hash(&out[ENVELOPE_BYTES..]);
        out.extend(hash.as_bytes());
        out
    }

    /// Reads a whole frame; `None` for anything else, and for one that is damaged.
    pub(super) fn decode(frame: &[u8]) -> Option<Self> {
        let (envelope, payload) = frame.split_at_checked(ENVELOPE_BYTES)?;
        let (content, hash) = payload.split_last_chunk::<32>()?;
        let is_one = envelope[..4] == SKIPPABLE.to_le_bytes()
            && envelope[4..] == (PAYLOAD_BYTES as u32).to_le_bytes()
            && content.len() == PAYLOAD_BYTES - 32
            && content[..8] == *TAG
            && content[8..11] == [1, 0, 1]
            && blake3::hash(content).as_bytes() == hash;
        let key = content.get(16..48)?.try_into().ok()?;
        let bytes = content.get(48..112)?.try_into().ok()?;
        is_one.then_some(Self { key: PublicKey::from_bytes(key), bytes })
    }
}

/// Whose an archive is, besides that it is undamaged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "state")]
pub enum Signed {
    /// It has no signature: it is as it was written, whoever wrote it.
    #[default]
    Not,
    /// It was signed by this key, which is this user's or one that was asked for.
    Genuine {
        /// The key.
        key: PublicKey,
    },
    /// It says that it was to be signed, and has no signature that can be read.
    Lost,
    /// It was signed, by a key that is not known here.
    ByAnotherKey {
        /// The key.
        key: PublicKey,
    },
}

impl Signed {
    /// The key that it was signed by, if it was.
    pub fn key(&self) -> Option<PublicKey> {
        match self {
            Self::Genuine { key } | Self::ByAnotherKey { key } => Some(*key),
            Self::Not | Self::Lost => None,
        }
    }

    /// What to say of an archive with this signature, which is right, to somebody who trusts `known`; `wanted` is
    /// whether it says that it was to be signed.
    pub(super) fn by(signature: Option<Signature>, wanted: bool, known: &[PublicKey]) -> Self {
        match signature {
            None if wanted => Self::Lost,
            None => Self::Not,
            Some(Signature { key, .. }) if known.contains(&key) => Self::Genuine { key },
            Some(Signature { key, .. }) => Self::ByAnotherKey { key },
        }
    }

    /// For people, of an archive that is undamaged.
    pub fn in_words(&self) -> String {
        match self {
            Self::Not => "Not signed: who wrote it cannot be told.".to_owned(),
            Self::Lost => {
                "It was to be signed, and its signature is missing or damaged: who wrote it cannot be told.".to_owned()
            }
            Self::Genuine { key } => format!("Genuine: signed by key {key}."),
            Self::ByAnotherKey { key } => format!("Signed by another key: {key}."),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whose_an_archive_is_follows_from_key_and_checksum() -> Result<(), Box<dyn std::error::Error>> {
        let (place, other) = (tempfile::tempdir()?, tempfile::tempdir()?);
        let (key, other) = (Key::of(place.path())?, Key::of(other.path())?.public());
        let signature = Signature::of(&key, &[7; 32]);
        let key = key.public();
        let frame = signature.encode();
        assert_eq!(frame.len() as u64, LENGTH);
        assert_eq!(Signature::decode(&frame), Some(signature));
        for at in 0..frame.len() {
            let mut changed = frame.clone();
            changed[at] ^= 1;
            assert_eq!(Signature::decode(&changed), None, "byte {at}");
        }
        assert_eq!(Signed::by(None, false, &[key]), Signed::Not);
        assert_eq!(Signed::by(None, true, &[key]), Signed::Lost);
        assert_eq!(Signed::by(Some(signature), true, &[other, key]), Signed::Genuine { key });
        assert_eq!(Signed::by(Some(signature), true, &[other]), Signed::ByAnotherKey { key });
        assert!(signature.is_of(&[7; 32]) && !signature.is_of(&[8; 32]));
        // Somebody else's key, written over the signature.
        assert!(!Signature { key: other, ..signature }.is_of(&[7; 32]));
        Ok(())
    }
}
