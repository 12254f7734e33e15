//! What the log says of our webhook: each change once, and what is grave again while it lasts.
//!
//! # Invariants
//! - Trouble is said at once, and once that it is over.

use std::time::Duration;

use jiff::Timestamp;

use super::Status;
use super::look::LookError;
use crate::clock::later;
use crate::orbit::CallError;

/// How often it is said that events do not come.
const HOURLY: Duration = Duration::from_hours(1);
/// How often it is said that the token is refused: events do come.
const DAILY: Duration = Duration::from_hours(24);

/// What was said, and when; on the steady clock.
#[derive(Debug, Default)]
pub(super) struct Said {
    disabled_at: Option<Timestamp>,
    refused_at: Option<Timestamp>,
    twins: Vec<String>,
}

impl Said {
    /// Says again that no events come, if an hour has passed.
    pub(super) fn repeat(&mut self, status: &Status, wants_enabled: bool, now: Timestamp) {
        let disabled = matches!(status, Status::Registered { enabled: false, .. });
        if !(disabled && wants_enabled) {
            // One failure to ask does not make it enabled.
            if !matches!(status, Status::Failing(_)) {
                self.disabled_at = None;
            }
            return;
        }
        if is_due(&mut self.disabled_at, HOURLY, now) {
            tracing::warn!(
                "webhook: drift: disabled in Orbit by hand, so no events come; it is left so until \
                 it is enabled there, or by: orbit-relay webhook sync"
            );
        }
    }

    /// Says again that the token is refused, if a day has passed. The first time is said where the
    /// status changes.
    pub(super) fn refused(&mut self, error: &LookError, now: Timestamp) {
        if !matches!(error, LookError::Orbit(CallError::Unauthorized(_))) {
            self.refused_at = None;
            return;
        }
        let first = self.refused_at.is_none();
        if is_due(&mut self.refused_at, DAILY, now) && !first {
            tracing::error!(
                "webhook: Orbit still refuses the API token; events are accepted, but nothing in \
                 Orbit can be looked at"
            );
        }
    }

    /// The token is not refused any more.
    pub(super) fn answered(&mut self) {
        self.refused_at = None;
    }

    /// Says which webhooks of others have our address, when that changes.
    pub(super) fn twins(&mut self, twins: &[String], url: &str) {
        if self.twins == twins {
            return;
        }
        if !twins.is_empty() {
            let uuids = twins.join(", ");
            tracing::warn!(
                uuids,
                url,
                "webhook: Orbit has others with the same address, so each event comes twice; they \
                 are not this relay's and are left alone: delete them in Orbit"
            );
        }
        self.twins = twins.to_vec();
    }
}

/// Whether it is to be said now; then it is not due again for `every`.
fn is_due(at: &mut Option<Timestamp>, every: Duration, now: Timestamp) -> bool {
    let due = at.is_none_or(|at| later(at, every) <= now);
    if due {
        *at = Some(now);
    }
    due
}

/// Says that the status has changed.
pub(super) fn change(before: &Status, now: &Status) {
    match (before, now) {
        (_, Status::Failing(why)) => tracing::error!("webhook: Orbit cannot be asked: {why}"),
        (_, Status::Drift { what }) => {
            let what = what.join(", ");
            tracing::warn!(
                what,
                "webhook: drift: it is not as it should be in Orbit, and is only observed; \
                 orbit-relay webhook sync sets it right"
            );
        }
        (_, Status::Deleted) => tracing::warn!(
            "webhook: deleted by a person, so no events come; it is made again by: orbit-relay \
             webhook sync"
        ),
        (Status::Failing(_), Status::Registered { uuid, .. }) => {
            tracing::info!(uuid, "webhook: Orbit answers again");
        }
        (Status::Drift { .. }, Status::Registered { uuid, .. }) => {
            tracing::info!(uuid, "webhook: as it should be in Orbit again");
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_grave_is_said_at_once_and_again_only_after_its_time() {
        let (mut at, start) = (None, Timestamp::UNIX_EPOCH);
        let mut said = |after: Duration| is_due(&mut at, HOURLY, later(start, after));
        assert!(said(Duration::ZERO));
        assert!(!said(Duration::from_mins(59)));
        assert!(said(Duration::from_hours(1)));
        assert!(!said(Duration::from_mins(61)));
    }

    #[test]
    fn a_webhook_that_is_disabled_is_said_anew_only_when_it_was_enabled_between() {
        let (mut said, now) = (Said::default(), Timestamp::UNIX_EPOCH);
        let registered = |enabled| Status::Registered {
            uuid: "u".to_owned(),
            enabled,
            tried: None,
        };
        said.repeat(&registered(false), true, now);
        assert_eq!(said.disabled_at, Some(now));
        said.repeat(&Status::Failing(String::new()), true, later(now, HOURLY));
        assert_eq!(said.disabled_at, Some(now));
        said.repeat(&registered(true), true, now);
        assert_eq!(said.disabled_at, None);
        said.repeat(&registered(false), false, now);
        assert_eq!(said.disabled_at, None, "it is as --enabled says");
    }
}
