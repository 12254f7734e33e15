//! The keys that a sender may sign with now: one, or two while one takes the place of the other.
//!
//! The clock that tells them apart is the sender's own: once it has signed with the new key at
//! `t`, the old key is good only for what it signed until `t` and a moment more. So what was
//! signed before the change and arrives after it is taken, however late within the window, and
//! nothing that is signed with the old key from then on.
//!
//! # Invariants
//! - `until` of a key only ever comes nearer.
//! - A key that is not good any more is refused like any other wrong one.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::watch;

use super::orbit::{Proof, Refusal, Signature};
use crate::secret::WebhookSecret;

/// A sender that signs several messages at once may still sign one with the old key so much later
/// than the first with the new one.
const MOMENT_MS: i64 = 2_000;

/// The keys that are accepted now.
#[derive(Clone, Debug)]
pub struct Keys {
    /// The one that the sender should sign with.
    pub current: WebhookSecret,
    /// The one before it, while it is still accepted.
    pub previous: Option<Previous>,
    /// Whether a person gave it; otherwise it is the relay's to change.
    pub given: bool,
}

/// A key that is on its way out.
#[derive(Clone, Debug)]
pub struct Previous {
    /// The key.
    pub secret: WebhookSecret,
    /// The last signing time that it is accepted for, in milliseconds since 1970; none while
    /// nothing has ended it. Shared by all copies of the keys.
    until_ms: Arc<watch::Sender<Option<i64>>>,
}

impl Keys {
    /// One key.
    pub fn one(current: WebhookSecret, given: bool) -> Self {
        Self {
            current,
            previous: None,
            given,
        }
    }

    /// Whether this is one of them.
    pub fn knows(&self, secret: &WebhookSecret) -> bool {
        let previous = self.previous.iter().map(|previous| &previous.secret);
        let mut all = previous.chain([&self.current]);
        all.any(|known| known.fingerprint() == secret.fingerprint())
    }

    /// Checks a body against the keys, and when it was signed.
    pub fn verify(
        &self,
        signature: &Signature<'_>,
        body: &[u8],
        now: Timestamp,
        max_age: Duration,
    ) -> Result<Proof, Refusal> {
        let signed_at_ms = signature.sent_at_ms();
        let by_current = signature.verify(body, &self.current, now, max_age);
        match (&self.previous, by_current) {
            (Some(previous), Ok(proof)) => {
                previous.end_at(signed_at_ms.saturating_add(MOMENT_MS));
                Ok(proof)
            }
            (Some(previous), Err(Refusal::WrongSignature)) => {
                let by_previous = signature.verify(body, &previous.secret, now, max_age);
                if previous
                    .until_ms()
                    .is_some_and(|until| signed_at_ms > until)
                {
                    return Err(Refusal::WrongSignature);
                }
                by_previous
            }
            (_, judged) => judged,
        }
    }
}

impl Previous {
    /// One that nothing has ended yet.
    pub fn new(secret: WebhookSecret) -> Self {
        Self {
            secret,
            until_ms: Arc::new(watch::Sender::new(None)),
        }
    }

    /// The last signing time that it is accepted for, if that is known.
    pub fn until_ms(&self) -> Option<i64> {
        *self.until_ms.borrow()
    }

    /// What is signed later than this is not accepted.
    pub fn end_at(&self, ms: i64) {
        // Looked at first without the write lock: this is on the path of every event meanwhile.
        if self.until_ms().is_none_or(|until| ms < until) {
            self.until_ms.send_if_modified(|until| {
                let nearer = until.is_none_or(|until| ms < until);
                if nearer {
                    *until = Some(ms);
                }
                nearer
            });
        }
    }

    /// To wait for its end.
    pub fn ending(&self) -> watch::Receiver<Option<i64>> {
        self.until_ms.subscribe()
    }
}

#[cfg(test)]
mod tests {
    use hmac::Mac as _;

    use super::*;

    const NOW_MS: i64 = 1_770_000_000_000;
    const WINDOW: Duration = Duration::from_mins(5);
    const BODY: &[u8] = br#"{"type":"X"}"#;

    fn key(hex: &str) -> WebhookSecret {
        WebhookSecret::parse(&hex.repeat(32)).unwrap()
    }

    fn check(keys: &Keys, by: &WebhookSecret, t_ms: i64) -> Result<(), Refusal> {
        let mut mac = by.mac();
        mac.update(format!("{t_ms}.").as_bytes());
        mac.update(BODY);
        let mac = hex::encode(mac.finalize().into_bytes());
        let header = format!("t={t_ms},v1={mac}");
        let signature = Signature::read([header.as_bytes()])?;
        let now = Timestamp::from_millisecond(NOW_MS).unwrap();
        keys.verify(&signature, BODY, now, WINDOW).map(drop)
    }

    fn two() -> (Keys, WebhookSecret, WebhookSecret) {
        let (new, old) = (key("aa"), key("bb"));
        let keys = Keys {
            previous: Some(Previous::new(old.clone())),
            ..Keys::one(new.clone(), false)
        };
        (keys, new, old)
    }

    #[test]
    fn both_keys_are_accepted_until_the_new_one_was_seen() {
        let (keys, new, old) = two();
        assert_eq!(check(&keys, &old, NOW_MS), Ok(()));
        assert_eq!(check(&keys, &old, NOW_MS + 60_000), Ok(()));
        assert_eq!(
            check(&keys, &key("cc"), NOW_MS),
            Err(Refusal::WrongSignature)
        );
        assert_eq!(check(&keys, &new, NOW_MS), Ok(()));
        assert_eq!(
            check(&keys, &old, NOW_MS - 200_000),
            Ok(()),
            "still on its way"
        );
        assert_eq!(
            check(&keys, &old, NOW_MS + 2_000),
            Ok(()),
            "at the same moment"
        );
        let late = check(&keys, &old, NOW_MS + 2_001);
        assert_eq!(late, Err(Refusal::WrongSignature));
    }

    #[test]
    fn the_first_event_with_the_new_key_counts_whatever_comes_first() {
        let (keys, new, old) = two();
        assert_eq!(check(&keys, &new, NOW_MS), Ok(()));
        assert_eq!(check(&keys, &new, NOW_MS - 50_000), Ok(()));
        assert_eq!(check(&keys, &new, NOW_MS + 50_000), Ok(()));
        let late = check(&keys, &old, NOW_MS - 40_000);
        assert_eq!(late, Err(Refusal::WrongSignature));
    }

    #[test]
    fn what_is_outside_the_window_ends_no_key_and_is_refused_by_both() {
        let (keys, new, old) = two();
        let off = Duration::from_mins(10);
        let before = NOW_MS - 600_000;
        assert_eq!(check(&keys, &new, before), Err(Refusal::TooOld(off)));
        assert_eq!(check(&keys, &old, before), Err(Refusal::TooOld(off)));
        assert_eq!(
            check(&keys, &old, NOW_MS),
            Ok(()),
            "a replay did not end it"
        );
    }

    #[test]
    fn one_key_knows_no_other() {
        let keys = Keys::one(key("aa"), true);
        assert_eq!(check(&keys, &key("aa"), NOW_MS), Ok(()));
        assert_eq!(
            check(&keys, &key("bb"), NOW_MS),
            Err(Refusal::WrongSignature)
        );
    }
}
