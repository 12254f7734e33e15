//! What looks like a secret: the name of a variable, the name of a file, a file's content.
//!
//! # Invariants
//! - No value is kept or told, only that there is one.
//! - A content is looked through in pieces of any length; memory stays the same.

use std::collections::BTreeSet;

/// What a match needs before it and behind it.
const CONTEXT: usize = 512;
/// Names of variables are not longer.
const NAME: usize = 64;
/// So much is looked through at once, whatever the pieces: each look begins with what was there.
const AT_ONCE: usize = 16 << 10;
/// So many variables of one content are remembered.
const VARIABLES: usize = 50;
const WORDS: [&str; 5] = ["TOKEN", "SECRET", "PASSWORD", "PASSWD", "CREDENTIAL"];

/// Whether a variable's name says that its value is a secret.
pub(super) fn names_a_secret(name: &str) -> bool {
    let name = name
        .trim_matches('-')
        .to_ascii_uppercase()
        .replace('-', "_");
    // Where a secret is found is none.
    if ["_FILE", "_PATH", "_DIR"]
        .iter()
        .any(|end| name.ends_with(end))
    {
        return false;
    }
    let mut words = name.split('_');
    WORDS.iter().any(|word| name.contains(word))
        || words.any(|word| word.ends_with("AUTH") || word == "AUTHORIZATION")
}

/// The same in relay.toml, where the `value` of a header is one too.
pub(super) fn is_a_secret_in_toml(name: &str) -> bool {
    name == "value" || names_a_secret(name)
}

/// Whether a URL in this text has a password or a user.
pub(super) fn holds_credentials(text: &str) -> bool {
    text.split("://").skip(1).any(|rest| {
        let end = ['/', '?', '#', '"', '\'', ' ', '\n'];
        let authority = rest.split(end).next().unwrap_or_default();
        authority.contains('@')
    })
}

/// Whether a file of this name is a `.env`, which does not belong into an image; an example may.
pub(super) fn is_dotenv(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or(path).to_ascii_lowercase();
    let example = ["example", "sample", "template", "dist"];
    let is_example = example.iter().any(|end| name.ends_with(end));
    (name == ".env" || name.starts_with(".env.")) && !is_example
}

/// The variables that are set to a secret in one text, each once.
pub(super) fn assigned(text: &str) -> BTreeSet<String> {
    let mut scan = Scan::new(names_a_secret);
    scan.feed(text.as_bytes());
    scan.end().variables
}

/// What was found in a content.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Found {
    /// Variables that have a value.
    pub(super) variables: BTreeSet<String>,
    /// A private key.
    pub(super) key: bool,
}

impl Found {
    /// The same in words, for a file of this name.
    pub(super) fn told(&self, file: &str) -> impl Iterator<Item = String> {
        let variables = self.variables.iter();
        let key = self.key.then(|| format!("a private key in {file}"));
        variables
            .map(move |variable| format!("{variable} in {file}"))
            .chain(key)
    }
}

/// Looks through a content.
pub(super) struct Scan {
    wanted: fn(&str) -> bool,
    window: Vec<u8>,
    begun: bool,
    program: bool,
    found: Found,
}

impl Scan {
    /// Looks for private keys, and for variables with such names that have a value.
    pub(super) fn new(wanted: fn(&str) -> bool) -> Self {
        Self {
            wanted,
            window: Vec::new(),
            begun: false,
            program: false,
            found: Found::default(),
        }
    }

    pub(super) fn feed(&mut self, chunk: &[u8]) {
        self.window.extend_from_slice(chunk);
        if self.window.len() < AT_ONCE {
            return;
        }
        self.look();
        let keep = self.window.len().saturating_sub(2 * CONTEXT);
        self.window.drain(..keep);
    }

    pub(super) fn end(mut self) -> Found {
        // What stands at the end has nothing behind it that could change it.
        self.window.push(b'\n');
        self.look();
        self.found
    }

    fn look(&mut self) {
        if !self.begun {
            self.begun = true;
            // The texts of a program are no settings: what it says of itself names variables.
            self.program = self.window.starts_with(b"\x7fELF");
        }
        for (at, byte) in self.window.iter().enumerate() {
            let (before, behind) = self.window.split_at(at);
            match byte {
                b'=' | b':' if !self.program => {
                    let behind = behind.get(1..).unwrap_or_default();
                    let name = name_before(before).filter(|name| (self.wanted)(name));
                    if let Some(name) = name
                        && !(*byte == b':' && is_default(behind))
                        && has_value(behind)
                        && self.found.variables.len() < VARIABLES
                    {
                        self.found.variables.insert(name.to_owned());
                    }
                }
                b'-' if !self.found.key => self.found.key = is_key(behind),
                _ => {}
            }
        }
    }
}

/// The name that ends there, perhaps in quotes.
fn name_before(before: &[u8]) -> Option<&str> {
    let before = before.trim_ascii_end();
    let before = before
        .strip_suffix(b"\"")
        .or_else(|| before.strip_suffix(b"'"))
        .unwrap_or(before);
    let in_name = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
    let length = before
        .iter()
        .rev()
        .take(NAME + 1)
        .take_while(|b| in_name(b));
    let length = length.count();
    let name = before.get(before.len().checked_sub(length)?..)?;
    // A longer one may have lost its beginning.
    let name = (1..=NAME).contains(&length).then_some(name)?;
    std::str::from_utf8(name).ok()
}

/// What follows a name in `${NAME:-…}`.
fn is_default(behind: &[u8]) -> bool {
    matches!(behind.first(), Some(b'-' | b'+' | b'?'))
}

/// Whether a value stands there: not nothing, and not a mark for what others put there.
fn has_value(behind: &[u8]) -> bool {
    let spaces = behind.iter().take_while(|byte| **byte == b' ').count();
    let value = behind.get(spaces..).unwrap_or_default();
    // The first of several, as in `secrets = ["…"]`.
    let value = match value {
        [b'[', quoted @ ..] if quoted.starts_with(b"\"") => quoted,
        value => value,
    };
    let value = value
        .strip_prefix(b"\"")
        .or_else(|| value.strip_prefix(b"'"))
        .unwrap_or(value);
    let marks = b"$<*{[(,;:#)]}'\"`\\=&|?";
    value.first().is_some_and(u8::is_ascii_graphic)
        && !marks.contains(value.first().unwrap_or(&b'$'))
        && !value.starts_with(b"YOUR_")
        && !value.starts_with(b"...")
}

/// A private key in PEM form, with something of the key: a program knows the words alone.
fn is_key(behind: &[u8]) -> bool {
    let Some(label) = behind.strip_prefix(b"-----BEGIN ") else {
        return false;
    };
    let label = label.get(..64).unwrap_or(label);
    let Some(end) = label.windows(5).position(|five| five == b"-----") else {
        return false;
    };
    let (label, _) = label.split_at(end);
    let rest = behind.get(11 + end + 5..).unwrap_or_default();
    let line = rest
        .strip_prefix(b"\r\n")
        .or_else(|| rest.strip_prefix(b"\n"))
        .or_else(|| rest.strip_prefix(b"\\r\\n"))
        .or_else(|| rest.strip_prefix(b"\\n"));
    let in_key = |b: &u8| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'/' | b'=');
    label.ends_with(b"PRIVATE KEY")
        && line.is_some_and(|line| {
            line.starts_with(b"Proc-Type") || line.iter().take_while(|b| in_key(b)).count() >= 16
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_content_that_comes_byte_by_byte_is_looked_through_as_one() {
        let mut scan = Scan::new(names_a_secret);
        for byte in b"\x7ELF\nAPI_TOKEN=abc\n" {
            scan.feed(&[*byte]);
        }
        assert_eq!(scan.end().variables.len(), 1);
        let mut program = Scan::new(names_a_secret);
        for byte in b"\x7fELF\nAPI_TOKEN=abc\n" {
            program.feed(&[*byte]);
        }
        assert!(
            program.end().variables.is_empty(),
            "its texts are no settings"
        );
    }

    #[test]
    fn variables_with_a_secret_are_known_by_their_names() {
        for name in [
            "ORBIT_API_TOKEN",
            "webhook_secret",
            "DB_PASSWORD",
            "INTEGRATION_AUTH",
            "--token",
        ] {
            assert!(names_a_secret(name), "{name}");
        }
        for name in [
            "AUTHOR",
            "DATA_DIR",
            "ORBIT_API_TOKEN_FILE",
            "PATH",
            "AUTHORITY",
        ] {
            assert!(!names_a_secret(name), "{name}");
        }
        assert!(holds_credentials("https://me:pw@plant.example/x"));
        for url in [
            "https://plant.example/x?y=a@b",
            "\"https://x.example\" # a@b",
        ] {
            assert!(!holds_credentials(url), "{url}");
        }
    }

    #[test]
    fn a_dotenv_is_known_by_its_name_and_an_example_is_none() {
        for name in ["app/.env", ".env.local", "x/.ENV"] {
            assert!(is_dotenv(name), "{name}");
        }
        for name in [".env.example", "env", "etc/ssl/cert.pem", "environment"] {
            assert!(!is_dotenv(name), "{name}");
        }
    }

    #[test]
    fn what_has_a_value_is_found_and_what_has_none_is_not() {
        for text in [
            "ORBIT_API_TOKEN=abc",
            "export ORBIT_API_TOKEN='abc'",
            "ORBIT_API_TOKEN: abc",
            "{\"ORBIT_API_TOKEN\":\"abc\"}",
            "ORBIT_API_TOKEN=/abc+",
            "ORBIT_API_TOKEN=-abc",
            "|1 ORBIT_API_TOKEN=abc /bin/sh -c make",
            "--api-token=abc",
            "api_token = \"abc\"",
            "secrets = [\"abc\", \"def\"]",
        ] {
            assert_eq!(assigned(text).len(), 1, "{text}");
        }
        for text in [
            "ORBIT_API_TOKEN=",
            "ORBIT_API_TOKEN=\nX=1",
            "ORBIT_API_TOKEN='…'",
            "ORBIT_API_TOKEN=${T}",
            "x: ${ORBIT_API_TOKEN:-} ${ORBIT_API_TOKEN:?not set}",
            "ORBIT_API_TOKEN_FILE=/x",
            "SECRET=YOUR_SECRET",
            "api_token = { env = \"T\" }",
            "secrets = [{ env = \"T\" }]",
            "token, secret: `x`",
        ] {
            assert_eq!(assigned(text), BTreeSet::new(), "{text}");
        }
    }

    #[test]
    fn a_secret_is_found_however_the_content_is_cut() {
        let mut text = vec![b'x'; 1500];
        text.extend_from_slice(
            b"\nSECRET=abc\n-----BEGIN EC PRIVATE KEY-----\nMHcCAQEEIAbcdefghijk\n",
        );
        text.extend_from_slice(&[b'y'; 1500]);
        for piece in [1, 2, 7, 64, 511, 512, 513, 1500, 4000] {
            let mut scan = Scan::new(names_a_secret);
            text.chunks(piece).for_each(|chunk| scan.feed(chunk));
            let found = scan.end();
            assert!(found.key && found.variables.contains("SECRET"), "{piece}");
        }
    }

    #[test]
    fn what_a_program_says_of_itself_is_no_secret() {
        let mut scan = Scan::new(names_a_secret);
        scan.feed(b"\x7fELF\0SECRET=abc\0-----BEGIN PRIVATE KEY-----");
        scan.feed(b"-----BEGIN RSA PRIVATE KEY-----");
        assert_eq!(scan.end(), Found::default());
    }
}
