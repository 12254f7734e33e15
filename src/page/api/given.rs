//! What a call brings, and why it cannot be done, as JSON.
//!
//! # Invariants
//! - Every refusal is `{"error": …, "advice": …}`: no text of a library gets out.
//! - No value that was sent is said again: it may be a secret.
//! - What is not known, in a body or in a query, is refused by its name.

use std::collections::{BTreeMap, BTreeSet};

use axum::extract::{FromRequest, FromRequestParts, Path, Request};
use axum::http::header::{CONTENT_TYPE, ETAG, IF_MATCH, RETRY_AFTER};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::error::Category;
use url::form_urlencoded;

use super::super::Failed;
use super::super::access::Refused;
use super::super::setup::NotSaved;
use crate::config::saved::Fault;

/// No body but a file is longer.
const LONGEST_BODY: usize = 64 * 1024;
/// No value in a query is longer.
const LONGEST_VALUE: usize = 500;
/// No list has more pages.
const LAST_PAGE: usize = 1_000_000;
const SEE_DOCUMENT: &str = "/api/v1/openapi.json says what there is.";

/// An answer, or why there is none.
pub(super) type Said = Result<Response, Problem>;

/// Why it cannot be done.
#[derive(Debug)]
pub(super) struct Problem {
    failed: Failed,
    /// What is wrong with which setting or key.
    faults: Vec<Fault>,
    /// Which secrets are to be given.
    needs: Vec<String>,
    /// In so many seconds it may be tried again.
    wait: Option<u64>,
}

#[derive(Serialize)]
struct Shown<'a> {
    error: &'a str,
    advice: &'a str,
    #[serde(skip_serializing_if = "<[Fault]>::is_empty")]
    faults: &'a [Fault],
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    needs: &'a [String],
}

impl Problem {
    pub(super) fn new(
        status: StatusCode,
        what: impl Into<String>,
        advice: impl Into<String>,
    ) -> Self {
        let failed = Failed {
            status,
            what: what.into(),
            advice: advice.into(),
        };
        Self::of(failed)
    }

    fn of(failed: Failed) -> Self {
        Self {
            failed,
            faults: Vec::new(),
            needs: Vec::new(),
            wait: None,
        }
    }

    /// What cannot be meant.
    pub(super) fn bad(what: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, what, SEE_DOCUMENT)
    }

    pub(super) fn not_found() -> Self {
        Self::new(
            StatusCode::NOT_FOUND,
            "There is no such thing.",
            SEE_DOCUMENT,
        )
    }

    /// It is not in a state for that.
    pub(super) fn conflict(what: impl Into<String>, advice: &str) -> Self {
        Self::new(StatusCode::CONFLICT, what, advice)
    }

    /// These secrets are to be given first.
    pub(super) fn needs(needs: Vec<String>) -> Self {
        let what = "Secrets are missing, which no export holds.";
        let failed = Failed::wrong(
            what,
            "Give each of them in `secrets`, by its name in `needs`.",
        );
        Self {
            needs,
            ..Self::of(failed)
        }
    }
}

impl From<Failed> for Problem {
    fn from(failed: Failed) -> Self {
        // What a screen says of it is of links.
        if failed.status == StatusCode::NOT_FOUND {
            return Self::not_found();
        }
        Self::of(failed)
    }
}

impl From<Refused> for Problem {
    fn from(refused: Refused) -> Self {
        let wait = match &refused {
            Refused::Wait(wait) => Some(wait.as_secs() + 1),
            _ => None,
        };
        Self {
            wait,
            ..Self::of(refused.into())
        }
    }
}

impl From<NotSaved> for Problem {
    fn from(not_saved: NotSaved) -> Self {
        let faults = match &not_saved {
            NotSaved::Refused(faults) => faults.clone(),
            NotSaved::Failed(_) => Vec::new(),
        };
        Self {
            faults,
            ..Self::of(not_saved.into())
        }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let shown = Shown {
            error: &self.failed.what,
            advice: &self.failed.advice,
            faults: &self.faults,
            needs: &self.needs,
        };
        // What is in it is text.
        let text = serde_json::to_string(&shown).unwrap_or_default();
        let mut answer = of_text(self.failed.status, text);
        if let Some(seconds) = self.wait {
            let seconds = HeaderValue::from(seconds);
            answer.headers_mut().insert(RETRY_AFTER, seconds);
        }
        answer
    }
}

/// Something as JSON.
pub(super) fn json(status: StatusCode, what: &impl Serialize) -> Said {
    let text = serde_json::to_string(what).map_err(|error| {
        tracing::error!(%error, "page: an answer of the API is no JSON");
        Failed::unavailable("The answer cannot be written.", "The log says why.")
    })?;
    Ok(of_text(status, text))
}

fn of_text(status: StatusCode, text: String) -> Response {
    (status, [(CONTENT_TYPE, "application/json")], text).into_response()
}

/// Something as JSON, and all is well.
pub(super) fn ok(what: &impl Serialize) -> Said {
    json(StatusCode::OK, what)
}

/// What a body says.
pub(super) struct Body<T>(pub(super) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Body<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, _: &S) -> Result<Self, Problem> {
        read(request, LONGEST_BODY).await.map(Self)
    }
}

/// What a longer body says.
pub(super) async fn read<T: DeserializeOwned>(request: Request, most: usize) -> Result<T, Problem> {
    let bytes = bytes(request, "application/json", most).await?;
    let is_object = bytes.trim_ascii_start().starts_with(b"{");
    let read = serde_json::from_slice(&bytes).map_err(|error| not_understood(&error))?;
    // Members by their places, which nobody means.
    if !is_object {
        let what = "The body is no JSON object.";
        return Err(Problem::new(
            StatusCode::UNPROCESSABLE_ENTITY,
            what,
            SEE_DOCUMENT,
        ));
    }
    Ok(read)
}

/// A body of this type and at most this size.
pub(super) async fn bytes(request: Request, kind: &str, most: usize) -> Result<Vec<u8>, Problem> {
    let given = request.headers().get(CONTENT_TYPE);
    let given = given.and_then(|given| given.to_str().ok()).unwrap_or("");
    let essence = given.split(';').next().unwrap_or("").trim();
    if !essence.eq_ignore_ascii_case(kind) {
        let what = format!("The body is not said to be {kind}.");
        let advice = format!("Send it with Content-Type: {kind}.");
        return Err(Problem::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            what,
            advice,
        ));
    }
    let read = axum::body::to_bytes(request.into_body(), most).await;
    let read = read.map_err(|_| {
        let what = format!("The body was cut off, or has more than {most} bytes.");
        Problem::new(StatusCode::PAYLOAD_TOO_LARGE, what, "Send less at once.")
    });
    Ok(read?.to_vec())
}

fn not_understood(error: &serde_json::Error) -> Problem {
    let at = format!("line {}, column {}", error.line(), error.column());
    if error.classify() != Category::Data {
        return Problem::bad(format!("The body is no JSON: {at}."));
    }
    let text = error.to_string();
    // These name members; all else may quote what was sent.
    let named = ["unknown field `", "missing field `", "duplicate field `"];
    let what = if named.iter().any(|start| text.starts_with(start)) {
        let said: String = text.chars().take(300).collect();
        format!("The body cannot be used: {said}.")
    } else {
        format!("The body is not of the shape that this takes: {at}.")
    };
    Problem::new(StatusCode::UNPROCESSABLE_ENTITY, what, SEE_DOCUMENT)
}

/// The one member of a path.
pub(super) struct Named(pub(super) String);

impl<S: Send + Sync> FromRequestParts<S> for Named {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let path = Path::<String>::from_request_parts(parts, state).await;
        path.map(|Path(name)| Self(name))
            .map_err(|_| Problem::not_found())
    }
}

impl Named {
    /// As the number that it is.
    pub(super) fn number<T: std::str::FromStr>(&self) -> Result<T, Problem> {
        self.0.parse().map_err(|_| Problem::not_found())
    }
}

/// What stands in a query; each name once, and no other than the route's.
#[derive(Debug, Default)]
pub(super) struct Asked(BTreeMap<String, String>);

impl<S: Send + Sync> FromRequestParts<S> for Asked {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let pairs = form_urlencoded::parse(parts.uri.query().unwrap_or("").as_bytes());
        Ok(Self(pairs.into_owned().collect()))
    }
}

impl Asked {
    /// Refuses what a route does not know, and what stands there twice.
    pub(super) fn check(query: &str, known: &[&str]) -> Result<(), Problem> {
        let mut seen = BTreeSet::new();
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            let shown: String = name.chars().take(100).collect();
            if !known.contains(&&*name) {
                return Err(Problem::bad(format!(
                    "There is no query parameter `{shown}`."
                )));
            }
            if value.chars().count() > LONGEST_VALUE {
                return Err(Problem::bad(format!(
                    "The query parameter `{shown}` has more than {LONGEST_VALUE} characters."
                )));
            }
            // A delivery may be wanted in one of several states.
            if !seen.insert(name) && shown != "state" {
                return Err(Problem::bad(format!(
                    "The query parameter `{shown}` stands there twice."
                )));
            }
        }
        Ok(())
    }

    pub(super) fn text(&mut self, name: &str) -> String {
        self.0.remove(name).unwrap_or_default()
    }

    /// Which page of a list, from 1.
    pub(super) fn page(&mut self) -> Result<usize, Problem> {
        match self.number("page")?.unwrap_or(1) {
            page if page <= LAST_PAGE => Ok(page),
            _ => Err(Problem::bad(format!(
                "The query parameter `page` is more than {LAST_PAGE}."
            ))),
        }
    }

    /// What must not stand there empty.
    pub(super) fn number<T: std::str::FromStr>(
        &mut self,
        name: &str,
    ) -> Result<Option<T>, Problem> {
        let Some(text) = self.0.remove(name) else {
            return Ok(None);
        };
        let number = text.parse().ok();
        let what = || Problem::bad(format!("The query parameter `{name}` is no such number."));
        number.map(Some).ok_or_else(what)
    }
}

/// The version that a change is of: `If-Match: "…"`.
pub(super) fn version(headers: &HeaderMap) -> Result<String, Problem> {
    let given = headers.get(IF_MATCH).and_then(|given| given.to_str().ok());
    let given = given.and_then(|given| given.trim().strip_prefix('"')?.strip_suffix('"'));
    let is_plain = |given: &str| given.chars().all(|c| matches!(c, '0'..='9' | 'a'..='z'));
    match given {
        Some(version) if !version.is_empty() && is_plain(version) => Ok(version.to_owned()),
        _ => Err(Problem::new(
            StatusCode::BAD_REQUEST,
            "It is not said of which version of the asset map this is a change.",
            "Send If-Match with the ETag of GET /api/v1/map, quotes included.",
        )),
    }
}

/// Refuses a change of another version than the one that is there.
pub(super) fn must_match(seen: &str, now: &str) -> Result<(), Problem> {
    if seen == now {
        return Ok(());
    }
    Err(Problem::new(
        StatusCode::PRECONDITION_FAILED,
        format!("The asset map is another one now: version {now}."),
        "Get it again, then send the change of that.",
    ))
}

/// With the version of the asset map.
pub(super) fn with_version(mut answer: Response, version: &str) -> Response {
    if let Ok(tag) = HeaderValue::from_str(&format!("\"{version}\"")) {
        answer.headers_mut().insert(ETAG, tag);
    }
    answer
}
