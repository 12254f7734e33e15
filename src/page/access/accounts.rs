//! The accounts, their sessions and the API tokens: one file, `page/accounts.json`.
//!
//! # Invariants
//! - What is changed here is a copy, which [`super::Access`] writes as a whole and then takes.
//! - No password, no session's token and no API token is in the file: only their hashes.
//! - There is always an account of role configure that has a password.
//! - Bounded: [`MOST_ACCOUNTS`], [`MOST_TOKENS`], and [`MOST_SESSIONS`] of each account.
//! - A file that is not understood is an error, and is not written over.

use std::fmt;
use std::path::Path;

use icu_normalizer::ComposingNormalizerBorrowed;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::file;
use super::hash::Hash;
use super::sessions::Session;
use super::tokens::Token;

/// Another form of the file gets another number.
const VERSION: u32 = 1;
const MOST_ACCOUNTS: usize = 100;
const MOST_TOKENS: usize = 50;
const MOST_SESSIONS: usize = 32;
/// All of them at their longest take less.
const LONGEST_FILE: u64 = 4 << 20;
const LONGEST_NAME: usize = 64;

/// What an account may do. Each may what those before it may.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Look at everything but secrets.
    See,
    /// Decide what waits: replay, discard, resume, map an action.
    Decide,
    /// Set the relay up, and say who may do what.
    Configure,
}

impl Role {
    /// All of them, the least first.
    pub const ALL: [Self; 3] = [Self::See, Self::Decide, Self::Configure];

    /// Its word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::See => "see",
            Self::Decide => "decide",
            Self::Configure => "configure",
        }
    }

    /// The role of this word.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.as_str() == word)
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Somebody who may do something.
#[derive(Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Account {
    pub(super) name: String,
    pub(super) role: Role,
    /// None: only a proxy logs it in.
    pub(super) password: Option<String>,
}

/// All that the file holds.
#[derive(Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Book {
    version: u32,
    /// By which forms are known as ours.
    key: Hash,
    pub(super) accounts: Vec<Account>,
    pub(super) tokens: Vec<Token>,
    pub(super) sessions: Vec<Session>,
}

/// What cannot be, in words for people.
pub(super) type Wrong = String;

/// The name of an account or an API token as it is kept: the same one however it is typed.
pub(super) fn name(text: &str) -> Result<String, Wrong> {
    let letters = text.trim().chars().take(4 * LONGEST_NAME);
    let letters = ComposingNormalizerBorrowed::new_nfc().normalize_iter(letters);
    let folded: String = letters.flat_map(char::to_lowercase).collect();
    let allowed = |c: char| c.is_alphanumeric() || ".-_@+".contains(c);
    if folded.is_empty() || folded.chars().count() > LONGEST_NAME || !folded.chars().all(allowed) {
        return Err(format!(
            "A name has 1 to {LONGEST_NAME} letters, digits or . - _ @ +, and no spaces."
        ));
    }
    if folded == "relay" {
        return Err("`relay` is what the relay itself is called: choose another name.".to_owned());
    }
    Ok(folded)
}

impl Book {
    /// With nobody in it.
    pub(super) fn new() -> Result<Self, getrandom::Error> {
        Ok(Self {
            version: VERSION,
            key: Hash::random()?,
            accounts: Vec::new(),
            tokens: Vec::new(),
            sessions: Vec::new(),
        })
    }

    /// What the file holds, if there is one; else why that cannot be known.
    pub(super) fn read(path: &Path) -> Result<Option<Self>, String> {
        #[derive(Deserialize)]
        struct Version {
            version: u32,
        }
        let bytes = file::read(path, LONGEST_FILE).map_err(|e| e.to_string())?;
        let Some(bytes) = bytes else {
            return Ok(None);
        };
        // The error of serde_json names a line and a column; it does not show a value that may be
        // a hash.
        let place = |e: serde_json::Error| format!("line {} column {}", e.line(), e.column());
        let Version { version } = serde_json::from_slice(&bytes)
            .map_err(|e| format!("it is not what the relay writes, from {} on", place(e)))?;
        if version != VERSION {
            return Err(format!(
                "it was written by another version of orbit-relay (its version is {version}, \
                 this one knows {VERSION})"
            ));
        }
        let book: Self = serde_json::from_slice(&bytes)
            .map_err(|e| format!("it is not what the relay writes, from {} on", place(e)))?;
        if book.accounts.is_empty() {
            return Err("it holds no account".to_owned());
        }
        Ok(Some(book))
    }

    /// Writes it in the place of the one before.
    pub(super) fn write(&self, path: &Path) -> std::io::Result<()> {
        let mut text = serde_json::to_vec_pretty(self)?;
        text.push(b'\n');
        file::write(path, &text)
    }

    /// By which forms are known as ours.
    pub(super) fn key(&self) -> &[u8; 32] {
        self.key.bytes()
    }

    /// The account of this name, as it is kept.
    pub(super) fn account(&self, name: &str) -> Option<&Account> {
        self.accounts.iter().find(|account| account.name == name)
    }

    /// Adds an account; without a password only a proxy logs it in.
    pub(super) fn add(
        &mut self,
        name: &str,
        role: Role,
        password: Option<String>,
    ) -> Result<(), Wrong> {
        if self.account(name).is_some() {
            return Err(format!("There is an account {name} already."));
        }
        if self.accounts.len() >= MOST_ACCOUNTS {
            return Err(format!(
                "There are {MOST_ACCOUNTS} accounts: remove one first."
            ));
        }
        self.accounts.push(Account {
            name: name.to_owned(),
            role,
            password,
        });
        Ok(())
    }

    /// Gives an account another role, and ends its sessions.
    pub(super) fn set_role(&mut self, name: &str, role: Role) -> Result<(), Wrong> {
        if role != Role::Configure {
            self.stays_configurable_without(name)?;
        }
        self.account_mut(name)?.role = role;
        self.end_all_of(name);
        Ok(())
    }

    /// Gives an account another password, and ends its sessions.
    pub(super) fn set_password(&mut self, name: &str, password: String) -> Result<(), Wrong> {
        self.account_mut(name)?.password = Some(password);
        self.end_all_of(name);
        Ok(())
    }

    /// Removes an account and its sessions.
    pub(super) fn remove(&mut self, name: &str) -> Result<(), Wrong> {
        self.account_mut(name)?;
        self.stays_configurable_without(name)?;
        self.accounts.retain(|account| account.name != name);
        self.end_all_of(name);
        Ok(())
    }

    /// Begins a session; the one that was used longest ago makes room.
    pub(super) fn begin(&mut self, session: Session) {
        let of_account = |other: &Session| other.account == session.account;
        while self.sessions.iter().filter(|s| of_account(s)).count() >= MOST_SESSIONS {
            let own = self.sessions.iter().enumerate();
            let oldest = own
                .filter(|(_, s)| of_account(s))
                .min_by_key(|(_, s)| s.seen);
            let Some((place, _)) = oldest else {
                break;
            };
            self.sessions.remove(place);
        }
        self.sessions.push(session);
    }

    /// The session of this token's hash.
    pub(super) fn session(&self, id: &Hash) -> Option<&Session> {
        self.sessions.iter().find(|session| session.id == *id)
    }

    /// Ends one session.
    pub(super) fn end(&mut self, id: &Hash) {
        self.sessions.retain(|session| session.id != *id);
    }

    /// Ends an account's sessions but one.
    pub(super) fn end_others(&mut self, name: &str, id: Option<&Hash>) {
        self.sessions
            .retain(|session| session.account != name || Some(&session.id) == id);
    }

    /// Drops the sessions that have ended by themselves.
    pub(super) fn tidy(&mut self, now: Timestamp) {
        self.sessions
            .retain(|session| session.lives(session.seen, now));
    }

    /// Adds an API token.
    pub(super) fn add_token(&mut self, token: Token) -> Result<(), Wrong> {
        if self.tokens.iter().any(|other| other.name == token.name) {
            return Err(format!("There is an API token {} already.", token.name));
        }
        if self.tokens.len() >= MOST_TOKENS {
            return Err(format!(
                "There are {MOST_TOKENS} API tokens: remove one first."
            ));
        }
        self.tokens.push(token);
        Ok(())
    }

    /// Removes an API token.
    pub(super) fn remove_token(&mut self, name: &str) -> Result<(), Wrong> {
        let before = self.tokens.len();
        self.tokens.retain(|token| token.name != name);
        if self.tokens.len() == before {
            return Err(format!("There is no API token {name} any more."));
        }
        Ok(())
    }

    fn account_mut(&mut self, name: &str) -> Result<&mut Account, Wrong> {
        let found = self.accounts.iter_mut().find(|a| a.name == name);
        found.ok_or_else(|| format!("There is no account {name} any more."))
    }

    fn end_all_of(&mut self, name: &str) {
        self.end_others(name, None);
    }

    fn stays_configurable_without(&self, name: &str) -> Result<(), Wrong> {
        let configures =
            |account: &&Account| account.role == Role::Configure && account.password.is_some();
        let mut those = self.accounts.iter().filter(configures);
        if those.any(|account| account.name != name) {
            return Ok(());
        }
        Err(format!(
            "{name} is the last account of role configure that has a password: give the role to \
             another one first."
        ))
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn book() -> Book {
        let mut book = Book::new().unwrap();
        book.add("ann", Role::Configure, Some("hash".to_owned()))
            .unwrap();
        book.add("ben", Role::See, Some("hash".to_owned())).unwrap();
        book
    }

    fn session(account: &str, n: u8, seen: i64) -> Session {
        let at = Timestamp::from_second(seen).unwrap();
        Session {
            id: Hash::of(&[n]),
            account: account.to_owned(),
            begun: at,
            seen: at,
        }
    }

    #[test]
    fn a_name_is_the_same_however_it_is_typed() {
        for (typed, kept) in [
            ("ann", Some("ann")),
            (" Ann ", Some("ann")),
            ("Jo\u{308}rg", Some("j\u{f6}rg")),
            (
                "Ann.Smith+x@plant-1_a.example",
                Some("ann.smith+x@plant-1_a.example"),
            ),
            ("", None),
            ("ann smith", None),
            ("relay", None),
            ("Relay", None),
            ("a/b", None),
            ("<script>", None),
            ("a\u{202e}b", None),
            ("a\nb", None),
        ] {
            assert_eq!(name(typed).ok().as_deref(), kept, "{typed:?}");
        }
        assert!(name(&"a".repeat(64)).is_ok());
        assert!(name(&"a".repeat(65)).is_err());
        assert!(name(&"a".repeat(1_000_000)).is_err());
    }

    #[test]
    fn the_roles_are_in_order() {
        assert!(Role::See < Role::Decide && Role::Decide < Role::Configure);
        for role in Role::ALL {
            assert_eq!(Role::parse(role.as_str()), Some(role));
        }
        assert_eq!(Role::parse("Configure"), None);
    }

    #[test]
    fn the_last_account_that_configures_cannot_be_removed_nor_made_less() {
        let mut book = book();
        for refused in [book.remove("ann"), book.set_role("ann", Role::Decide)] {
            assert!(refused.unwrap_err().contains("the last account"));
        }
        // Without a password nobody could log in with it, once the proxy is gone.
        book.add("cat", Role::Configure, None).unwrap();
        assert!(book.remove("ann").is_err());
        book.set_role("ann", Role::Configure).unwrap();
        book.set_role("ben", Role::Configure).unwrap();
        book.remove("ann").unwrap();
        assert!(book.remove("ben").is_err());
        assert!(book.remove("ann").unwrap_err().contains("any more"));
    }

    #[test]
    fn a_changed_password_or_role_and_a_removal_end_the_sessions_of_that_account_alone() {
        type Change = fn(&mut Book) -> Result<(), Wrong>;
        let change: [Change; 3] = [
            |book| book.set_password("ben", "other".to_owned()),
            |book| book.set_role("ben", Role::Decide),
            |book| book.remove("ben"),
        ];
        for change in change {
            let mut book = book();
            book.begin(session("ann", 1, 0));
            book.begin(session("ben", 2, 0));
            book.begin(session("ben", 3, 0));
            change(&mut book).unwrap();
            let left: Vec<_> = book.sessions.iter().map(|s| s.account.as_str()).collect();
            assert_eq!(left, ["ann"]);
        }
    }

    #[test]
    fn an_account_has_32_sessions_and_the_one_that_was_used_longest_ago_makes_room() {
        let mut book = book();
        book.begin(session("ben", 255, 0));
        book.begin(session("ann", 254, 1));
        for n in 0..32 {
            book.begin(session("ann", n, 2 + i64::from(n)));
        }
        assert!(book.session(&Hash::of(&[254])).is_none());
        assert!(book.session(&Hash::of(&[0])).is_some());
        assert!(
            book.session(&Hash::of(&[255])).is_some(),
            "another account's"
        );
        assert_eq!(book.sessions.len(), 33);
    }

    #[test]
    fn accounts_and_tokens_are_bounded_and_have_one_name_each() {
        let mut book = book();
        assert!(
            book.add("ann", Role::See, None)
                .unwrap_err()
                .contains("already")
        );
        while book.accounts.len() < MOST_ACCOUNTS {
            let name = format!("name-{}", book.accounts.len());
            book.add(&name, Role::See, None).unwrap();
        }
        assert!(book.add("more", Role::See, None).is_err());
        let token = |name: String| Token {
            id: Hash::of(name.as_bytes()),
            name,
            role: Role::See,
            made: Timestamp::UNIX_EPOCH,
            by: "ann".to_owned(),
        };
        for n in 0..MOST_TOKENS {
            book.add_token(token(n.to_string())).unwrap();
        }
        assert!(book.add_token(token("more".to_owned())).is_err());
        book.remove_token("1").unwrap();
        assert!(book.remove_token("1").is_err());
        assert!(book.add_token(token("2".to_owned())).is_err());
        book.add_token(token("1".to_owned())).unwrap();
    }

    #[test]
    fn the_file_holds_everything_with_mode_0600() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("accounts.json");
        assert!(Book::read(&path).unwrap().is_none());
        let mut book = book();
        book.begin(session("ann", 1, 5));
        book.write(&path).unwrap();
        let mode = std::fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let again = Book::read(&path).unwrap().unwrap();
        assert_eq!(
            serde_json::to_value(&again).unwrap(),
            serde_json::to_value(&book).unwrap()
        );
    }

    #[test]
    fn a_damaged_file_is_an_error_that_shows_none_of_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("accounts.json");
        let whole = serde_json::to_string(&book()).unwrap();
        for (text, says) in [
            (String::new(), "line 1 column 0"),
            ("canary".to_owned(), "line 1 column"),
            (whole[..whole.len() / 2].to_owned(), "line 1 column"),
            (whole.replace("\"see\"", "\"canary\""), "line 1 column"),
            (
                whole.replace("\"version\":1", "\"version\":2"),
                "another version",
            ),
            (whole.replace("\"tokens\"", "\"canary\""), "line 1 column"),
            (
                serde_json::to_string(&Book::new().unwrap()).unwrap(),
                "no account",
            ),
            (" ".repeat(5 << 20), "longer than"),
        ] {
            std::fs::write(&path, &text).unwrap();
            let why = Book::read(&path).err().unwrap();
            assert!(why.contains(says) && !why.contains("canary"), "{why}");
            assert_eq!(std::fs::read_to_string(&path).unwrap(), text);
        }
        std::fs::remove_file(&path).unwrap();
        std::fs::create_dir(&path).unwrap();
        assert!(Book::read(&path).is_err());
    }
}
