//! What must never be printed: tokens, passwords and the webhook's signing secret.
//!
//! # Invariants
//! - `Debug` and `Display` of every type here give `***`.
//! - An error of this module never holds the text that it refuses.

use std::fmt;
use std::path::{Path, PathBuf};

use hmac::{Hmac, KeyInit, Mac};
use secrecy::{ExposeSecret, SecretBox, SecretString};
use sha2::Sha256;

/// No secret is longer, in bytes.
const LONGEST: u64 = 64 * 1024;

/// A token or password.
#[derive(Clone)]
pub struct Secret(SecretString);

impl Secret {
    /// Keeps `text` from being printed.
    pub fn new(text: String) -> Self {
        Self(SecretString::from(text))
    }

    /// Whether this is the same text, in a time that does not tell how much of it is.
    pub fn is(&self, given: &[u8]) -> bool {
        // Equal codes are compared in constant time, and no other text has the same one.
        let code = |text: &[u8]| {
            let mac = WebhookSecret::from_bytes([0; 32]).mac();
            mac.chain_update(text).finalize()
        };
        code(self.expose().as_bytes()) == code(given)
    }

    /// The text itself, for the one place that sends it.
    pub fn expose(&self) -> &str {
        self.0.expose_secret()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// Where a secret is found: it was given, or it is read from a file each time it is used, so that
/// a new one needs no restart.
#[derive(Clone, Debug)]
pub enum Source {
    /// Given by value or by the environment.
    Given(Secret),
    /// In this file; white space around it is ignored.
    File(PathBuf),
}

/// Why there is no secret now.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub enum SourceError {
    /// The file cannot be read.
    #[error("the secret's file {path} cannot be read: {reason}")]
    Unreadable {
        /// The file.
        path: String,
        /// What the system said.
        reason: String,
    },
    /// The file holds nothing.
    #[error("the secret's file {0} is empty")]
    Empty(String),
}

impl Source {
    /// The secret as it is now.
    pub fn current(&self) -> Result<Secret, SourceError> {
        let path = match self {
            Self::Given(secret) => return Ok(secret.clone()),
            Self::File(path) => path,
        };
        let shown = path.display().to_string();
        let text = read(path).map_err(|e| SourceError::Unreadable {
            path: shown.clone(),
            reason: e.to_string(),
        })?;
        match text.trim() {
            "" => Err(SourceError::Empty(shown)),
            text => Ok(Secret::new(text.to_owned())),
        }
    }
}

/// A pipe or a device may block or never end: only a file is read, and not more than a secret has.
fn read(path: &Path) -> std::io::Result<String> {
    use std::io::Read as _;

    if !std::fs::metadata(path)?.is_file() {
        return Err(std::io::Error::other("it is no regular file"));
    }
    let mut text = String::new();
    let file = std::fs::File::open(path)?.take(LONGEST + 1);
    let length = { file }.read_to_string(&mut text)?;
    if u64::try_from(length).is_ok_and(|length| length > LONGEST) {
        return Err(std::io::Error::other("it is longer than 64 KiB"));
    }
    Ok(text)
}

/// The key with which Orbit signs: 32 bytes, written as 64 hex characters.
#[derive(Clone)]
pub struct WebhookSecret(std::sync::Arc<SecretBox<[u8; 32]>>);

/// Why a text is no webhook secret. The text itself is not kept.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum WebhookSecretError {
    /// It has another length than 64.
    #[error("a webhook secret has 64 hex characters, this one has {0}")]
    Length(usize),
    /// A character is not a hex digit.
    #[error("a webhook secret has only hex characters (0-9, a-f), this one has another")]
    NotHex,
}

impl WebhookSecret {
    /// Reads 64 hex characters of either case; white space around them is ignored.
    pub fn parse(text: &str) -> Result<Self, WebhookSecretError> {
        let text = text.trim();
        let length = text.chars().count();
        if length != 64 {
            return Err(WebhookSecretError::Length(length));
        }
        let mut key = [0; 32];
        hex::decode_to_slice(text, &mut key).map_err(|_| WebhookSecretError::NotHex)?;
        Ok(Self::from_bytes(key))
    }

    /// A secret made of these bytes, which the caller took from the system's random source.
    pub fn from_bytes(key: [u8; 32]) -> Self {
        Self(std::sync::Arc::new(SecretBox::new(Box::new(key))))
    }

    /// The 64 hex characters, for Orbit and for the file in the data directory.
    pub fn expose_hex(&self) -> String {
        hex::encode(self.0.expose_secret())
    }

    /// A new HMAC-SHA256 under this key.
    #[expect(clippy::missing_panics_doc, reason = "HMAC takes a key of any length")]
    pub fn mac(&self) -> Hmac<Sha256> {
        Hmac::new_from_slice(self.0.expose_secret()).expect("HMAC takes a key of any length")
    }

    /// Tells two secrets apart without saying either: what the journal may keep.
    pub fn fingerprint(&self) -> String {
        let mut mac = self.mac();
        mac.update(b"orbit-relay: which webhook secret is this");
        hex::encode(mac.finalize().into_bytes().get(..8).unwrap_or_default())
    }
}

impl fmt::Debug for WebhookSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_prints_as_stars() {
        let secret = Secret::new("canary".into());
        assert_eq!(format!("{secret} {secret:?}"), "*** ***");
        let key = WebhookSecret::parse(&"ab".repeat(32)).unwrap();
        assert_eq!(format!("{key:?}"), "***");
    }

    #[test]
    fn a_secret_is_its_own_text_and_no_other() {
        let secret = Secret::new("canary".into());
        assert!(secret.is(b"canary"));
        for other in [
            &b""[..],
            b"canar",
            b"canaryy",
            b"Canary",
            b"canary\0",
            &[0xff],
        ] {
            assert!(!secret.is(other), "{other:?}");
        }
    }

    #[test]
    fn a_secret_in_a_file_is_read_anew_each_time() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let source = Source::File(file.path().to_owned());
        assert!(matches!(source.current(), Err(SourceError::Empty(_))));
        for text in ["old", "new"] {
            std::fs::write(file.path(), format!(" {text}\n")).unwrap();
            assert_eq!(source.current().unwrap().expose(), text);
        }
        assert!(!format!("{source:?}").contains("new"));
    }

    #[test]
    fn a_secret_is_read_from_a_file_only_and_not_without_end() {
        let endless = Source::File("/dev/zero".into()).current().unwrap_err();
        assert!(endless.to_string().contains("no regular file"), "{endless}");
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "x".repeat(65 * 1024)).unwrap();
        let long = Source::File(file.path().to_owned()).current().unwrap_err();
        assert!(long.to_string().contains("64 KiB"), "{long}");
    }

    #[test]
    fn a_webhook_secret_is_64_hex_characters_of_either_case() {
        let lower = WebhookSecret::parse(&"ab".repeat(32)).unwrap();
        let upper = WebhookSecret::parse(&format!(" {}\n", "AB".repeat(32))).unwrap();
        assert_eq!(lower.expose_hex(), upper.expose_hex());
        assert_eq!(
            WebhookSecret::parse("abc").unwrap_err(),
            WebhookSecretError::Length(3)
        );
        assert_eq!(
            WebhookSecret::parse(&"zz".repeat(32)).unwrap_err(),
            WebhookSecretError::NotHex
        );
    }

    #[test]
    fn a_refused_secret_is_not_in_the_error() {
        let canary = "canary-".repeat(9) + "x";
        let error = WebhookSecret::parse(&canary).unwrap_err();
        assert!(!format!("{error} {error:?}").contains("canary"));
    }
}
