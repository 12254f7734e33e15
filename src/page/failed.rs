//! What went wrong, said in the place of a screen.
//!
//! # Invariants
//! - It says what is wrong and what to do, and nothing of how the program is made.

use axum::http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};

use super::html::layout;
use crate::relay::journal::{ReadError, WriteError};

/// Why there is no screen, and why nothing was done.
#[derive(Debug)]
pub(crate) struct Failed {
    /// With which status it is answered.
    pub(crate) status: StatusCode,
    /// What is wrong, in a sentence.
    pub(crate) what: String,
    /// What to do.
    pub(crate) advice: String,
}

impl Failed {
    fn new(status: StatusCode, what: impl Into<String>, advice: impl Into<String>) -> Self {
        Self {
            status,
            what: what.into(),
            advice: advice.into(),
        }
    }

    /// There is no such screen, or no such thing.
    pub(crate) fn not_found() -> Self {
        let advice = "Go back, or begin with Today.";
        Self::new(StatusCode::NOT_FOUND, "There is nothing here.", advice)
    }

    /// What was sent cannot be meant.
    pub(crate) fn wrong(what: impl Into<String>, advice: impl Into<String>) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, what, advice)
    }

    /// The account's role does not allow it.
    pub(crate) fn forbidden(what: impl Into<String>, advice: impl Into<String>) -> Self {
        Self::new(StatusCode::FORBIDDEN, what, advice)
    }

    /// Not now.
    pub(crate) fn unavailable(what: impl Into<String>, advice: impl Into<String>) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, what, advice)
    }

    /// Whoever was to do it is gone.
    pub(crate) fn stops() -> Self {
        Self::unavailable("The relay stops.", "Come again in a moment.")
    }
}

/// A refusal that no screen made, such as of a number that is none, or of another method, said as a
/// screen. Every other answer stays as it is.
pub(super) fn in_words(answer: Response) -> Response {
    let status = answer.status();
    let is_refusal = status.is_client_error() || status.is_server_error();
    let kind = answer.headers().get(CONTENT_TYPE);
    let is_bare = kind
        .map(HeaderValue::as_bytes)
        .is_none_or(|kind| kind.starts_with(b"text/plain"));
    if !is_refusal || !is_bare {
        return answer;
    }
    let (what, advice) = words(status);
    let mut screen = Failed::new(status, what, advice).into_response();
    // Such as which methods there are.
    for (name, value) in answer.headers() {
        if *name != CONTENT_TYPE && *name != CONTENT_LENGTH {
            screen.headers_mut().append(name, value.clone());
        }
    }
    screen
}

fn words(status: StatusCode) -> (&'static str, &'static str) {
    match status {
        StatusCode::BAD_REQUEST | StatusCode::URI_TOO_LONG => (
            "This address, or what was sent to it, cannot be read.",
            "Go back and load the screen again. If you wrote the address, look it over.",
        ),
        StatusCode::NOT_FOUND => ("There is nothing here.", "Go back, or begin with Today."),
        StatusCode::METHOD_NOT_ALLOWED => (
            "Nothing can be done here in this way.",
            "Go back, and use the buttons of the screen. Programs use the API, below /api/v1.",
        ),
        StatusCode::PAYLOAD_TOO_LARGE => (
            "What was sent is too large. Nothing was changed.",
            "An asset map has at most 8 MiB, and every other form less. Go back and send less.",
        ),
        StatusCode::UNSUPPORTED_MEDIA_TYPE | StatusCode::UNPROCESSABLE_ENTITY => (
            "That form cannot be read. Nothing was changed.",
            "Go back, load the screen again and repeat it.",
        ),
        _ => (
            "The relay cannot answer that.",
            "Load it again in a moment. Health says how the relay does, and its log why.",
        ),
    }
}

impl From<ReadError> for Failed {
    fn from(error: ReadError) -> Self {
        tracing::debug!(?error, "page: the journal was not read");
        Self::unavailable(error.to_string(), "Health says how the journal does.")
    }
}

impl From<WriteError> for Failed {
    fn from(error: WriteError) -> Self {
        let advice = "Nothing was changed, or it is not known: look again.";
        Self::unavailable(error.to_string(), advice)
    }
}

impl IntoResponse for Failed {
    fn into_response(self) -> Response {
        let screen = layout::alone(
            "It did not work",
            &layout::problem(&self.what, &self.advice),
        );
        (self.status, screen).into_response()
    }
}

#[cfg(test)]
mod tests {
    use axum::body::to_bytes;
    use axum::http::header::ALLOW;

    use super::*;

    #[tokio::test]
    async fn a_bare_refusal_is_said_as_a_screen_and_keeps_its_status_and_headers() {
        let bare = (StatusCode::METHOD_NOT_ALLOWED, [(ALLOW, "GET")]).into_response();
        let text = (StatusCode::BAD_REQUEST, "Cannot parse `x` to a `i64`").into_response();
        for (answer, status) in [(bare, 405), (text, 400)] {
            let allowed = answer.headers().get(ALLOW).cloned();
            let screen = in_words(answer);
            assert_eq!(screen.status(), status);
            assert_eq!(screen.headers().get(ALLOW), allowed.as_ref());
            assert_eq!(screen.headers().get_all(CONTENT_TYPE).iter().count(), 1);
            let body = to_bytes(screen.into_body(), 100_000).await.unwrap();
            let body = String::from_utf8(body.to_vec()).unwrap();
            assert!(body.starts_with("<!DOCTYPE html>"), "{body}");
            assert!(!body.contains("i64"), "nothing of how it is made: {body}");
        }
    }

    #[tokio::test]
    async fn what_is_no_bare_refusal_stays_as_it_is() {
        let json = [(CONTENT_TYPE, "application/json")];
        for answer in [
            "text".into_response(),
            (StatusCode::NOT_FOUND, json, "{}").into_response(),
            StatusCode::SEE_OTHER.into_response(),
        ] {
            let (status, kind) = (answer.status(), answer.headers().get(CONTENT_TYPE).cloned());
            let same = in_words(answer);
            assert_eq!(same.status(), status);
            assert_eq!(same.headers().get(CONTENT_TYPE), kind.as_ref());
            let body = to_bytes(same.into_body(), 100).await.unwrap();
            assert!(body.len() < 5, "{status}");
        }
    }
}
