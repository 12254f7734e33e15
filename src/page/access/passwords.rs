//! Passwords: what one must be, and its hash (argon2id).
//!
//! # Invariants
//! - A hash is made, and a password compared, only by whoever holds a [`Leave`], and one at a time:
//!   each takes 19 MiB.
//! - Where there is no hash to compare with, it takes as long as where there is.
//! - Not on a thread that answers.

use std::sync::Arc;

use argon2::password_hash::phc::PasswordHash;
use argon2::{Algorithm, Argon2, Params, PasswordHasher as _, PasswordVerifier as _, Version};
use icu_normalizer::ComposingNormalizerBorrowed;
use tokio::sync::Semaphore;

use super::limits::Leave;
use crate::secret::Secret;

const SHORTEST: usize = 12;
const LONGEST: usize = 1000;
/// No password has this hash. It costs what others cost.
const NOBODYS: &str = "$argon2id$v=19$m=19456,t=2,p=1$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
/// A hash in the file that asks for more than this is not believed.
const MOST_KIB: u32 = 64 * 1024;
const MOST_PASSES: u32 = 10;

/// Whose turn it is.
#[derive(Debug)]
pub(super) struct Passwords(Arc<Semaphore>);

/// It could not be hashed or compared. There is nothing more to say to anybody.
#[derive(Debug, thiserror::Error)]
#[error("the password could not be looked at: {0}")]
pub(super) struct Failed(String);

/// A new password as it is kept: the same one from every keyboard.
pub(super) fn acceptable(text: &str) -> Result<Secret, String> {
    let length = text.chars().count();
    if length < SHORTEST {
        return Err(format!("A password has {SHORTEST} characters or more."));
    }
    if length > LONGEST {
        return Err(format!("A password has at most {LONGEST} characters."));
    }
    Ok(given(text))
}

/// A password as somebody typed it, to be compared.
pub(super) fn given(text: &str) -> Secret {
    let letters = text.chars().take(LONGEST + 1);
    Secret::new(
        ComposingNormalizerBorrowed::new_nfc()
            .normalize_iter(letters)
            .collect(),
    )
}

impl Passwords {
    pub(super) fn new() -> Self {
        Self(Arc::new(Semaphore::new(1)))
    }

    /// The hash of a new password.
    pub(super) async fn hash(&self, _leave: &Leave, password: Secret) -> Result<String, Failed> {
        self.aside(move || {
            let mut salt = [0; 16];
            getrandom::fill(&mut salt).map_err(|e| Failed(e.to_string()))?;
            let hash = hasher()?.hash_password_with_salt(password.expose().as_bytes(), &salt);
            hash.map(|hash| hash.to_string())
                .map_err(|e| Failed(e.to_string()))
        })
        .await
    }

    /// Whether this is the password with that hash; where there is none it is not.
    pub(super) async fn is(
        &self,
        _leave: &Leave,
        password: Secret,
        hash: Option<String>,
    ) -> Result<bool, Failed> {
        self.aside(move || {
            let failed = |e: argon2::password_hash::Error| Failed(e.to_string());
            let kept = hash.as_deref().unwrap_or(NOBODYS);
            let parsed = PasswordHash::new(kept).map_err(|e| Failed(e.to_string()))?;
            let params = Params::try_from(&parsed).map_err(failed)?;
            if params.m_cost() > MOST_KIB || params.t_cost() > MOST_PASSES || params.p_cost() > 1 {
                return Err(Failed("its hash asks for too much".to_owned()));
            }
            let is = hasher()?.verify_password(password.expose().as_bytes(), &parsed);
            Ok(is.is_ok() && hash.is_some())
        })
        .await
    }

    /// The place is given back when the work has ended, also where nobody waits for it any more.
    async fn aside<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T, Failed> + Send + 'static,
    ) -> Result<T, Failed> {
        let place = Arc::clone(&self.0).acquire_owned().await;
        let place = place.map_err(|e| Failed(e.to_string()))?;
        let done = tokio::task::spawn_blocking(move || {
            let done = work();
            drop(place);
            done
        });
        done.await.map_err(|e| Failed(e.to_string()))?
    }
}

/// OWASP's least for argon2id: 19 MiB, two passes, one lane.
fn hasher() -> Result<Argon2<'static>, Failed> {
    let params = Params::new(19 * 1024, 2, 1, None).map_err(|e| Failed(e.to_string()))?;
    Ok(Argon2::new(Algorithm::Argon2id, Version::V0x13, params))
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::super::limits::{Limits, Of};
    use super::*;

    fn leave() -> Leave {
        Limits::default()
            .ask(Of::Name("ann"), Timestamp::UNIX_EPOCH)
            .unwrap()
    }

    #[tokio::test]
    async fn a_password_is_its_own_and_no_other_and_never_in_its_hash() {
        let passwords = Passwords::new();
        let right = || given("correct horse battery");
        let hash = passwords.hash(&leave(), right()).await.unwrap();
        assert!(
            hash.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"),
            "{hash}"
        );
        assert!(!hash.contains("horse"));
        let again = passwords.hash(&leave(), right()).await.unwrap();
        assert_ne!(hash, again, "each has its own salt");
        for (password, is) in [
            ("correct horse battery", true),
            ("correct horse batter", false),
            ("", false),
        ] {
            let leave = leave();
            let found = passwords.is(&leave, given(password), Some(hash.clone()));
            assert_eq!(found.await.unwrap(), is, "{password}");
        }
    }

    #[tokio::test]
    async fn who_has_no_hash_has_no_password_and_the_same_work_is_done() {
        let passwords = Passwords::new();
        for text in ["", "AAAAAAAAAAAA", "correct horse battery"] {
            assert!(!passwords.is(&leave(), given(text), None).await.unwrap());
        }
        let nobodys = PasswordHash::new(NOBODYS).unwrap();
        let params = Params::try_from(&nobodys).unwrap();
        let ours = hasher().unwrap();
        assert_eq!(params.m_cost(), ours.params().m_cost());
        assert_eq!(params.t_cost(), ours.params().t_cost());
        assert_eq!(params.p_cost(), ours.params().p_cost());
    }

    #[tokio::test]
    async fn a_hash_that_is_damaged_or_asks_for_too_much_is_an_error_and_no_panic() {
        let passwords = Passwords::new();
        for hash in [
            "",
            "x",
            "$argon2id$v=19$m=4194304,t=2,p=1$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAA",
            "$argon2id$v=19$m=19456,t=99999,p=1$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAA",
            "$argon2id$v=19$m=19456,t=2,p=200$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAA",
        ] {
            let leave = leave();
            let is = passwords.is(&leave, given("x"), Some(hash.to_owned()));
            assert!(is.await.is_err(), "{hash}");
        }
    }

    #[test]
    fn a_password_has_12_to_1000_characters_and_is_the_same_from_every_keyboard() {
        for (text, taken) in [
            ("a".repeat(11), false),
            ("a".repeat(12), true),
            ("ä".repeat(12), true),
            ("a".repeat(1000), true),
            ("a".repeat(1001), false),
        ] {
            assert_eq!(acceptable(&text).is_ok(), taken, "{}", text.len());
        }
        assert_eq!(given("o\u{308}").expose(), given("\u{f6}").expose());
        let much = given(&"x".repeat(100_000));
        assert_eq!(much.expose().len(), 1001);
    }

    #[tokio::test]
    async fn one_at_a_time_also_where_the_one_who_asked_went_away() {
        let passwords = Passwords::new();
        let (begun, has_begun) = tokio::sync::oneshot::channel();
        let (go, may_go) = std::sync::mpsc::channel::<()>();
        let first = passwords.aside(move || {
            begun.send(()).ok();
            may_go.recv().ok();
            Ok(())
        });
        let mut first = Box::pin(first);
        tokio::select! {
            _ = &mut first => panic!("it waits"),
            begun = has_begun => begun.unwrap(),
        }
        drop(first);
        assert_eq!(passwords.0.available_permits(), 0, "it still works");
        go.send(()).unwrap();
        passwords.aside(|| Ok(())).await.unwrap();
    }
}
