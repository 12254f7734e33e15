//! How a POST is answered.
//!
//! # Invariants
//! - What an answer depends on is this one POST, its own place in a script, and the tokens that
//!   are valid.

use std::time::Duration;

use axum::body::Body;
use axum::http::{HeaderMap, Response, StatusCode, header};
use jiff::Timestamp;
use serde_json::json;

use crate::sim::reply::{BrokenOff, Drip, Flood, respond, with_header, with_type};

/// How a POST is answered.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Answer {
    /// With 200.
    #[default]
    Ok,
    /// With this status.
    Status(u16),
    /// With this status and this body: JSON if it is that, and plain text otherwise.
    Body(u16, String),
    /// With 200, as a gate that lets the event go nowhere else, for this reason.
    Cancel(String),
    /// With this status and a `Retry-After` of so many seconds.
    RetryAfter(u16, u32),
    /// With this status and a `Retry-After` that is a date. It has no fractions of a second.
    RetryAfterDate(u16, Timestamp),
    /// With this status and a `Location`.
    Redirect(u16, String),
    /// With 500 and a page of HTML.
    Html500,
    /// Never.
    Hang,
    /// With 200, after so long. It counts as accepted when it comes, not when it is answered.
    Slow(Duration),
    /// With 200, and a body that comes one byte a second.
    Drip,
    /// With 200, and a body of so many MiB, as fast as it is read; its length is not declared.
    Large(u32),
    /// With 200, and a body that is cut off before its declared length.
    BreakOff,
    /// By closing the connection.
    Reset,
    /// With 200 when the `Authorization` header is this, and with 401 otherwise.
    RequireAuth(String),
    /// With 200 when the header of this name has this value, and with this status otherwise.
    RequireHeader(String, String, u16),
    /// With 200 for a token of the token endpoint that is neither expired nor revoked, and with
    /// 401 otherwise.
    RequireToken,
    /// With this when the body contains the text, and with 200 otherwise.
    Poison {
        /// The text.
        containing: String,
        /// What a POST with the text gets.
        answer: Box<Answer>,
    },
    /// Each POST with the next of these, and all further ones with the last. With 200 when there
    /// are none.
    Script(Vec<Answer>),
}

/// What is done about one POST.
#[derive(Debug)]
pub(super) enum Reaction {
    /// It gets this answer, so much later.
    Respond(Duration, Response<Body>),
    /// It gets none, and the connection stays open.
    Hang,
    /// The connection is closed.
    Reset,
}

impl Reaction {
    /// The status that goes out, if any.
    pub(super) fn status(&self) -> Option<u16> {
        match self {
            Self::Respond(_, response) => Some(response.status().as_u16()),
            Self::Hang | Self::Reset => None,
        }
    }
}

impl Answer {
    /// The answer for a POST with this body. Scripts move on.
    pub(super) fn next(&mut self, body: &[u8]) -> Self {
        match self {
            Self::Script(answers) if answers.len() > 1 => answers.remove(0).next(body),
            Self::Script(answers) => answers.first_mut().map_or(Self::Ok, |last| last.next(body)),
            Self::Poison { containing, answer } if contains(body, containing.as_bytes()) => {
                answer.next(body)
            }
            Self::Poison { .. } => Self::Ok,
            other => other.clone(),
        }
    }

    /// What is done about a POST with these headers.
    pub(super) fn react(&self, headers: &HeaderMap, token_is_valid: bool) -> Reaction {
        let has = |name: &str, expected: &str| {
            headers
                .get(name)
                .is_some_and(|value| value.as_bytes() == expected.as_bytes())
        };
        let only_if = |right: bool, otherwise: u16| plain(if right { 200 } else { otherwise });
        let response = match self {
            // The last two have been resolved by `next`.
            Self::Ok | Self::Slow(_) | Self::Poison { .. } | Self::Script(_) => plain(200),
            Self::Status(status) => plain(*status),
            Self::Body(status, body) => with_body(*status, body),
            Self::Cancel(reason) => {
                let body = json!({ "reason": reason }).to_string();
                with_type(
                    StatusCode::OK,
                    "application/vnd.orbit-relay.cancel+json",
                    body,
                )
            }
            Self::RetryAfter(status, s) => {
                with_header(plain(*status), header::RETRY_AFTER, &s.to_string())
            }
            Self::RetryAfterDate(status, date) => {
                with_header(plain(*status), header::RETRY_AFTER, &http_date(*date))
            }
            Self::Redirect(status, to) => with_header(plain(*status), header::LOCATION, to),
            Self::Html500 => {
                let page = "<html><body><h1>Internal Server Error</h1></body></html>";
                with_type(StatusCode::INTERNAL_SERVER_ERROR, "text/html", page)
            }
            Self::Hang => return Reaction::Hang,
            Self::Reset => return Reaction::Reset,
            Self::Drip => plain(200).map(|_| Body::new(Drip::default())),
            Self::Large(mib) => plain(200).map(|_| Body::new(Flood::of_mib(*mib))),
            Self::BreakOff => plain(200).map(|_| Body::new(BrokenOff::default())),
            Self::RequireAuth(expected) => only_if(has("authorization", expected), 401),
            Self::RequireHeader(name, value, status) => only_if(has(name, value), *status),
            Self::RequireToken if token_is_valid => plain(200),
            Self::RequireToken => {
                let challenge = r#"Bearer error="invalid_token""#;
                with_header(plain(401), header::WWW_AUTHENTICATE, challenge)
            }
        };
        let after = if let Self::Slow(after) = self {
            *after
        } else {
            Duration::ZERO
        };
        Reaction::Respond(after, response)
    }
}

fn plain(status: u16) -> Response<Body> {
    let status = known(status);
    respond(status, &json!({"accepted": status.is_success()}))
}

fn with_body(status: u16, body: &str) -> Response<Body> {
    let is_json = serde_json::from_str::<serde::de::IgnoredAny>(body).is_ok();
    let content_type = if is_json {
        "application/json"
    } else {
        "text/plain; charset=utf-8"
    };
    with_type(known(status), content_type, body.to_owned())
}

fn known(status: u16) -> StatusCode {
    StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
}

/// As RFC 9110 wants it (IMF-fixdate).
fn http_date(time: Timestamp) -> String {
    time.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string()
}

fn contains(body: &[u8], text: &[u8]) -> bool {
    text.is_empty() || body.windows(text.len()).any(|window| window == text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_date_of_a_retry_after_is_an_http_date() {
        let time = "1994-11-06T08:49:37.9Z".parse().unwrap();
        assert_eq!(http_date(time), "Sun, 06 Nov 1994 08:49:37 GMT");
    }
}
