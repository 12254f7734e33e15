//! What went wrong, said in the place of a screen.
//!
//! # Invariants
//! - It says what is wrong and what to do, and nothing of how the program is made.

use axum::http::StatusCode;
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
}

impl Failed {
    /// Whoever was to do it is gone.
    pub(crate) fn stops() -> Self {
        Self::unavailable("The relay stops.", "Come again in a moment.")
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
