//! The states of a delivery and the only changes between them that are legal.
//!
//! # Invariants
//! - Pure. Every change that the journal writes is in [`State::may_become`].

use serde::{Deserialize, Serialize};

/// Where a delivery stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// Waits for its first try, or was given back untried.
    Pending,
    /// Is being tried under a lease.
    Sending,
    /// The destination took it.
    Delivered,
    /// Failed for now; is tried again when due.
    Postponed,
    /// Waits for a person, or for an asset.
    Parked,
    /// Given up; can be replayed.
    Dead,
    /// The destination does not want events like this.
    Skipped,
    /// A person threw it away.
    Discarded,
}

impl State {
    /// All states, in the order in which they are shown.
    pub const ALL: [Self; 8] = [
        Self::Pending,
        Self::Sending,
        Self::Postponed,
        Self::Parked,
        Self::Delivered,
        Self::Skipped,
        Self::Dead,
        Self::Discarded,
    ];

    /// The word in the journal, in logs and in output.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Sending => "sending",
            Self::Delivered => "delivered",
            Self::Postponed => "postponed",
            Self::Parked => "parked",
            Self::Dead => "dead",
            Self::Skipped => "skipped",
            Self::Discarded => "discarded",
        }
    }

    /// The state of this word.
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == word)
    }

    /// Whether a delivery in this state may become `next`.
    pub fn may_become(self, next: Self) -> bool {
        match self {
            Self::Pending => matches!(next, Self::Sending | Self::Parked | Self::Discarded),
            Self::Sending => !matches!(next, Self::Sending | Self::Discarded),
            Self::Postponed => matches!(next, Self::Sending | Self::Parked | Self::Discarded),
            Self::Parked | Self::Dead => matches!(next, Self::Pending | Self::Discarded),
            Self::Delivered | Self::Skipped => next == Self::Pending,
            Self::Discarded => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_state_has_a_word_of_its_own() {
        for state in State::ALL {
            assert_eq!(State::from_word(state.as_str()), Some(state));
        }
    }

    #[test]
    fn only_a_delivery_being_tried_is_delivered_postponed_or_given_up() {
        for next in [
            State::Delivered,
            State::Postponed,
            State::Dead,
            State::Skipped,
        ] {
            for state in State::ALL {
                assert_eq!(
                    state.may_become(next),
                    state == State::Sending,
                    "{state:?} → {next:?}"
                );
            }
        }
    }

    #[test]
    fn what_is_parked_is_tried_again_only_by_way_of_pending() {
        for next in State::ALL {
            let may = matches!(next, State::Pending | State::Discarded);
            assert_eq!(State::Parked.may_become(next), may, "{next:?}");
        }
        assert!(State::Sending.may_become(State::Parked));
    }

    #[test]
    fn nothing_follows_discarded() {
        assert!(
            State::ALL
                .iter()
                .all(|next| !State::Discarded.may_become(*next))
        );
    }
}
