//! How a try ended: one pure function over the answer or the error.
//!
//! # Invariants
//! - Pure; every status and every error has an outcome, tabled in the test.
//! - Only 2xx is success. A redirect is never followed and never success.

use std::time::Duration;

use crate::http;

/// How a try ended, as the destination sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It took the event.
    Delivered,
    /// Not now; the destination or the network is in the way.
    Postponed {
        /// Why.
        reason: String,
        /// The destination asked not to be called again before so long.
        retry_after: Option<Duration>,
    },
    /// Not before a person has set something right: the destination is to be paused.
    Parked {
        /// Why.
        reason: String,
        /// What a person must set right.
        trouble: Trouble,
    },
    /// Never: it refuses this event.
    Dead {
        /// Why.
        reason: String,
    },
}

/// What a person must set right before the destination takes anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// It refuses the credentials.
    Credentials,
    /// It is gone for good.
    Gone,
}

fn postponed(reason: String) -> Outcome {
    Outcome::Postponed {
        reason,
        retry_after: None,
    }
}

/// The outcome of an answer with this status; `location` is where a redirect points.
pub fn of_status(status: u16, location: Option<&str>) -> Outcome {
    match status {
        200..=299 => Outcome::Delivered,
        300..=399 => postponed(format!(
            "answered {status}, a redirect to {}: it is not followed, set the URL that it points to",
            location.unwrap_or("nowhere")
        )),
        401 | 403 => postponed(format!(
            "answered {status}: the credentials are refused, see INTEGRATION_AUTH"
        )),
        408 | 425 | 429 | 500..=599 => postponed(format!("answered {status}")),
        400..=499 => Outcome::Dead {
            reason: format!("answered {status}"),
        },
        _ => postponed(format!("answered {status}, which is no status of HTTP")),
    }
}

/// The outcome of an exchange that gave no answer.
pub fn of_error(error: &http::ExchangeError) -> Outcome {
    postponed(error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_status_has_its_outcome() {
        for status in 100..=999 {
            let outcome = of_status(status, Some("https://elsewhere.example"));
            match status {
                200..=299 => assert_eq!(outcome, Outcome::Delivered, "{status}"),
                100..=199 | 300..=399 | 401 | 403 | 408 | 425 | 429 | 500..=999 => {
                    assert!(matches!(outcome, Outcome::Postponed { .. }), "{status}");
                }
                _ => assert!(matches!(outcome, Outcome::Dead { .. }), "{status}"),
            }
        }
    }

    #[test]
    fn every_error_is_postponed() {
        let certificate = http::RefusedCertificate {
            sha256: "00".into(),
            reason: "x".into(),
        };
        for error in [
            http::ExchangeError::Timeout(Duration::from_secs(30)),
            http::ExchangeError::Certificate(certificate),
            http::ExchangeError::Connect("refused".into()),
            http::ExchangeError::Exchange("reset".into()),
        ] {
            assert!(matches!(of_error(&error), Outcome::Postponed { .. }));
        }
    }
}
