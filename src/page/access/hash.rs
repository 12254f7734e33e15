//! SHA-256, of what has 256 random bits: a session's token, an API token.
//!
//! # Invariants
//! - Not for passwords: those have [`super::passwords`].

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::{Digest as _, Sha256};

/// 32 bytes, written as hex.
#[derive(Clone, Copy, Debug, Eq, std::hash::Hash, PartialEq)]
pub(super) struct Hash([u8; 32]);

impl Hash {
    /// The hash of these bytes.
    pub(super) fn of(bytes: &[u8]) -> Self {
        Self(Sha256::digest(bytes).into())
    }

    /// Bytes that nobody can foresee.
    pub(super) fn random() -> Result<Self, getrandom::Error> {
        let mut bytes = [0; 32];
        getrandom::fill(&mut bytes)?;
        Ok(Self(bytes))
    }

    pub(super) fn bytes(&self) -> &[u8; 32] {
        &self.0
    }

    pub(super) fn hex(&self) -> String {
        hex::encode(self.0)
    }
}

impl Serialize for Hash {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.hex())
    }
}

impl<'de> Deserialize<'de> for Hash {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let mut bytes = [0; 32];
        let read = hex::decode_to_slice(text, &mut bytes);
        read.map_err(|_| serde::de::Error::custom("not 64 hex digits"))?;
        Ok(Self(bytes))
    }
}
