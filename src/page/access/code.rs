//! The set-up code: who can read the log or the data directory makes the first account.
//!
//! # Invariants
//! - 40 bits of the system's random source, in letters and digits that are not mistaken for others.
//! - Its file has mode 0600. It is in the log, on purpose, and in no answer.

use std::path::Path;

use super::file;
use crate::secret::Secret;

/// Crockford's: no I, L, O and U.
const ALPHABET: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";
const LENGTH: usize = 8;
const LONGEST_FILE: u64 = 1024;

/// Eight characters.
#[derive(Clone, Debug)]
pub struct Code(Secret);

impl Code {
    /// A new one.
    fn random() -> std::io::Result<Self> {
        let mut bytes = [0; LENGTH];
        getrandom::fill(&mut bytes).map_err(std::io::Error::other)?;
        // 256 is a multiple of 32: no character comes more often.
        let characters = bytes.iter().filter_map(|byte| {
            let place = usize::from(byte % 32);
            ALPHABET.get(place).map(|c| char::from(*c))
        });
        Ok(Self(Secret::new(characters.collect())))
    }

    /// As people type it: in either case, with hyphens and spaces, and with what looks alike.
    fn parse(text: &str) -> Option<Self> {
        let mut characters = String::new();
        for c in text
            .chars()
            .filter(|c| !matches!(c, '-' | ' ' | '\n' | '\r' | '\t'))
        {
            let c = match c.to_ascii_uppercase() {
                'O' => '0',
                'I' | 'L' => '1',
                other => other,
            };
            let known = u8::try_from(c).is_ok_and(|byte| ALPHABET.contains(&byte));
            if !known || characters.len() == LENGTH {
                return None;
            }
            characters.push(c);
        }
        (characters.len() == LENGTH).then(|| Self(Secret::new(characters)))
    }

    /// The one in the file, or a new one that is in the file from now on. One that cannot be read
    /// as a code is nothing that anybody could type.
    pub(super) fn keep(path: &Path) -> std::io::Result<Self> {
        let kept = file::read(path, LONGEST_FILE)?;
        let kept = kept.and_then(|bytes| Self::parse(&String::from_utf8_lossy(&bytes)));
        kept.map_or_else(|| Self::renew(path), Ok)
    }

    /// A new one, in the place of any other.
    pub(super) fn renew(path: &Path) -> std::io::Result<Self> {
        let code = Self::random()?;
        file::write(path, format!("{}\n", code.shown()).as_bytes())?;
        Ok(code)
    }

    /// Whether somebody typed it.
    pub(super) fn is(&self, typed: &str) -> bool {
        Self::parse(typed).is_some_and(|typed| self.0.is(typed.0.expose().as_bytes()))
    }

    /// For the log, its file, and whoever asked for a new one in a shell: `XXXX-XXXX`.
    pub fn shown(&self) -> String {
        let (first, second) = self.0.expose().split_at(LENGTH / 2);
        format!("{first}-{second}")
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn a_code_is_typed_in_either_case_with_or_without_hyphen_and_with_what_looks_alike() {
        let code = Code::parse("01AB-CDEF").unwrap();
        for (typed, is) in [
            ("01AB-CDEF", true),
            (" oiab cdef\n", true),
            ("OLABCDEF", true),
            ("01AB-CDEG", false),
            ("01AB-CDE", false),
            ("01AB-CDEFF", false),
            ("01AB-CDEU", false),
            ("", false),
            ("０１AB-CDEF", false),
        ] {
            assert_eq!(code.is(typed), is, "{typed}");
        }
        assert!(!code.is(&"0".repeat(1_000_000)));
        assert_eq!(format!("{code:?}"), "Code(***)");
    }

    #[test]
    fn a_code_is_kept_with_mode_0600_until_a_new_one_is_asked_for() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("setup-code");
        let first = Code::keep(&path).unwrap().shown();
        assert_eq!(Code::keep(&path).unwrap().shown(), first);
        let mode = std::fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert_eq!(
            std::fs::read_to_string(&path).unwrap(),
            format!("{first}\n")
        );
        assert_ne!(Code::renew(&path).unwrap().shown(), first);
        for damage in ["", "XXXX", "\0\0\0\0-\0\0\0\0"] {
            std::fs::write(&path, damage).unwrap();
            let code = Code::keep(&path).unwrap();
            assert_eq!(Code::keep(&path).unwrap().shown(), code.shown());
        }
    }

    #[test]
    fn codes_have_every_character_of_the_alphabet_and_no_other() {
        let mut seen = std::collections::BTreeSet::new();
        for _ in 0..400 {
            let code = Code::random().unwrap().shown();
            assert!(code.len() == 9 && code.as_bytes()[4] == b'-', "{code}");
            seen.extend(code.bytes().filter(|byte| *byte != b'-'));
        }
        assert_eq!(seen.len(), 32);
        assert!(seen.iter().all(|byte| ALPHABET.contains(byte)));
    }
}
