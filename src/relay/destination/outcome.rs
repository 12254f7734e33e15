//! How a try ended: one pure function over the answer or the error.
//!
//! # Invariants
//! - Pure; every status and every error has an outcome, tabled in the test.
//! - Only 2xx is success. A redirect is never followed and never success.

use crate::http;

/// How a try ended, as the destination sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It took the event.
    Delivered,
    /// Not now; the destination, the network or the credentials are in the way.
    Postponed(String),
    /// Never: it refuses this event.
    Dead(String),
}

/// The outcome of an answer with this status; `location` is where a redirect points.
pub fn of_status(status: u16, location: Option<&str>) -> Outcome {
    match status {
        200..=299 => Outcome::Delivered,
        300..=399 => Outcome::Postponed(format!(
            "answered {status}, a redirect to {}: it is not followed, set the URL that it points to",
            location.unwrap_or("nowhere")
        )),
        401 | 403 => Outcome::Postponed(format!(
            "answered {status}: the credentials are refused, see INTEGRATION_AUTH"
        )),
        408 | 425 | 429 | 500..=599 => Outcome::Postponed(format!("answered {status}")),
        400..=499 => Outcome::Dead(format!("answered {status}")),
        _ => Outcome::Postponed(format!("answered {status}, which is no status of HTTP")),
    }
}

/// The outcome of an exchange that gave no answer.
pub fn of_error(error: &http::ExchangeError) -> Outcome {
    Outcome::Postponed(error.to_string())
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
                    assert!(matches!(outcome, Outcome::Postponed(_)), "{status}");
                }
                _ => assert!(matches!(outcome, Outcome::Dead(_)), "{status}"),
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
            http::ExchangeError::Timeout(std::time::Duration::from_secs(30)),
            http::ExchangeError::Certificate(certificate),
            http::ExchangeError::Connect("refused".into()),
            http::ExchangeError::Exchange("reset".into()),
        ] {
            assert!(matches!(of_error(&error), Outcome::Postponed(_)));
        }
    }
}
