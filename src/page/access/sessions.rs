//! Sessions: how long one lives, and the token that a browser shows for it.
//!
//! # Invariants
//! - A token has 256 bits of the system's random source. Only its hash is kept.
//! - A session ends 12 h after it was last used, and 7 days after it began whatever happens.
//! - Time is the wall clock: a session outlives a restart.

use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::hash::Hash;
use crate::clock::{later, until};
use crate::secret::Secret;

const IDLE: Duration = Duration::from_hours(12);
const LONGEST: Duration = Duration::from_hours(7 * 24);
/// That it was used is kept in the file once in so long.
const KEPT_EVERY: Duration = Duration::from_hours(1);

/// One browser that has logged in.
#[derive(Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Session {
    /// The hash of its token.
    pub(super) id: Hash,
    pub(super) account: String,
    pub(super) begun: Timestamp,
    /// When it was last used, as far as that was kept.
    pub(super) seen: Timestamp,
}

impl Session {
    /// A new one, and the token for its cookie.
    pub(super) fn new(account: &str, now: Timestamp) -> Result<(Self, Secret), getrandom::Error> {
        let token = Secret::new(Hash::random()?.hex());
        let session = Self {
            id: id(token.expose()),
            account: account.to_owned(),
            begun: now,
            seen: now,
        };
        Ok((session, token))
    }

    /// Whether it has not ended, where it was last used then.
    pub(super) fn lives(&self, seen: Timestamp, now: Timestamp) -> bool {
        now < later(seen.max(self.seen), IDLE) && now < later(self.begun, LONGEST)
    }

    /// Whether it is to be kept in the file that it is used.
    pub(super) fn is_stale(&self, now: Timestamp) -> bool {
        until(self.seen, now) >= KEPT_EVERY
    }
}

/// By what the session of this token is known.
pub(super) fn id(token: &str) -> Hash {
    Hash::of(token.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_ends_12_hours_after_it_was_used_and_after_7_days_in_any_case() {
        let begun = Timestamp::UNIX_EPOCH;
        let hour = |hours| later(begun, Duration::from_hours(hours));
        let (session, _) = Session::new("ann", begun).unwrap();
        for (seen, now, lives) in [
            (0, 0, true),
            (0, 11, true),
            (0, 12, false),
            (11, 22, true),
            (11, 23, false),
            (167, 167, true),
            (168, 168, false),
        ] {
            assert_eq!(session.lives(hour(seen), hour(now)), lives, "{seen} {now}");
        }
        assert!(!session.is_stale(later(begun, Duration::from_mins(59))));
        assert!(session.is_stale(hour(1)));
        assert!(
            !session.is_stale(Timestamp::MIN),
            "a clock that was set back"
        );
    }

    #[test]
    fn a_session_is_known_by_its_token_which_is_not_in_it() {
        let (session, token) = Session::new("ann", Timestamp::UNIX_EPOCH).unwrap();
        assert_eq!(id(token.expose()), session.id);
        assert_eq!(token.expose().len(), 64);
        let kept = serde_json::to_string(&session).unwrap();
        assert!(!kept.contains(token.expose()));
        let (_, other) = Session::new("ann", Timestamp::UNIX_EPOCH).unwrap();
        assert_ne!(other.expose(), token.expose());
    }
}
