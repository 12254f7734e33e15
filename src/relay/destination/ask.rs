//! A question: whether something holds of what a destination answers to GET.
//!
//! # Invariants
//! - It goes out as a post does: same credentials, certificates, proxy and deadline.
//! - It says nothing of whether posts are taken.

use std::time::Duration;

use jiff::Timestamp;
use reqwest::Method;
use url::Url;

use super::Shared;
use super::compose::Purpose;
use super::exchange::Tried;
use super::outcome::Outcome;
use crate::relay::transform::expression::Expression;

/// What came of a question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Asked {
    /// What was asked holds of the answer.
    Holds,
    /// It does not.
    HoldsNot,
    /// There is nothing there (any more): 404 or 410.
    Missing(String),
    /// That cannot be told now.
    Failed {
        /// Why.
        reason: String,
        /// The destination asked not to be called again before so long.
        retry_after: Option<Duration>,
    },
}

impl Shared {
    pub(super) async fn ask(&self, url: Url, when: &Expression, at: Timestamp) -> Asked {
        if self.broker.is_some() {
            return Asked::Failed {
                reason: "a destination that is an MQTT broker can be asked nothing".into(),
                retry_after: None,
            };
        }
        let get = reqwest::Request::new(Method::GET, url);
        let Tried {
            sent,
            status,
            holds,
        } = self.attempt(Purpose::Ask(when), get, at).run().await;
        match (sent.outcome, holds) {
            (Outcome::Delivered, Some(Ok(true))) => Asked::Holds,
            (Outcome::Delivered, Some(Ok(false))) => Asked::HoldsNot,
            (Outcome::Delivered, holds) => Asked::Failed {
                reason: holds.and_then(Result::err).unwrap_or_default(),
                retry_after: None,
            },
            (
                Outcome::Postponed {
                    reason,
                    retry_after,
                },
                _,
            ) => Asked::Failed {
                reason,
                retry_after,
            },
            (Outcome::Parked { reason, .. } | Outcome::Dead { reason }, _) => match status {
                Some(status @ (404 | 410)) => Asked::Missing(format!("answered {status}")),
                _ => Asked::Failed {
                    reason,
                    retry_after: None,
                },
            },
        }
    }
}
