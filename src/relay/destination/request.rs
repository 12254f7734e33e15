//! What goes out in one exchange, and what came of it.
//!
//! # Invariants
//! - `Debug` shows no header's value, no body and nothing of an answer that was not blotted.

use std::fmt;

use jiff::Timestamp;
use reqwest::header::{HeaderMap, HeaderName};
use url::Url;

use super::cookies::{self, Cookies};
use super::multipart::Multipart;
use super::outcome::Outcome;
use super::{Header, Success};
use crate::secret::Secret;

/// Headers that the relay and HTTP set themselves: neither a destination nor a step may.
pub const RESERVED_HEADERS: &[&str] = &[
    "connection",
    "content-length",
    "content-type",
    "expect",
    "host",
    "idempotency-key",
    "keep-alive",
    "proxy-authorization",
    "proxy-connection",
    "relay-attempt",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "user-agent",
    "webhook-id",
    "webhook-signature",
    "webhook-timestamp",
];

/// Why a header may not be set.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum HeaderNameError {
    /// It is no name of a header.
    #[error("{0:?} cannot be the name of an HTTP header")]
    Form(String),
    /// It is the relay's own.
    #[error("the relay sets the header {0} itself")]
    Reserved(String),
}

/// Reads the name of a header that a destination or a step may set.
pub fn header_name(text: &str) -> Result<HeaderName, HeaderNameError> {
    let name = HeaderName::try_from(text).map_err(|_| HeaderNameError::Form(text.to_owned()))?;
    if RESERVED_HEADERS.contains(&name.as_str()) {
        return Err(HeaderNameError::Reserved(text.to_owned()));
    }
    Ok(name)
}

/// One exchange of one try of one delivery.
#[derive(Debug)]
pub struct Request {
    /// The delivery's key; of a step that is done several times, the key of this one.
    pub key: String,
    /// Which try this is.
    pub attempt: u32,
    /// The time that people read, for the signature and for dates in answers.
    pub at: Timestamp,
    /// What goes out.
    pub what: What,
    /// What earlier answers of this try have set.
    pub cookies: Cookies,
}

impl Request {
    /// The first exchange of a try.
    pub fn new(key: String, attempt: u32, at: Timestamp, what: What) -> Self {
        Self {
            key,
            attempt,
            at,
            what,
            cookies: Cookies::default(),
        }
    }
}

/// What goes out.
pub enum What {
    /// The event form: this body (JSON) is posted to the destination's URL.
    Event(Vec<u8>),
    /// The event form with pictures, posted likewise.
    Attached(Multipart),
    /// One request of a step.
    Step(StepRequest),
    /// What an MQTT destination gets.
    Message(Message),
}

impl fmt::Debug for What {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Event(_) => "Event(…)",
            Self::Attached(_) => "Attached(…)",
            Self::Step(_) => "Step(…)",
            Self::Message(_) => "Message(…)",
        })
    }
}

/// One request of a step.
pub struct StepRequest {
    /// Its method.
    pub method: Method,
    /// Where it goes: to the destination's origin, or nowhere.
    pub url: Url,
    /// Its own headers: they win over the destination's, and over those of `auth`.
    pub headers: Vec<Header>,
    /// What the body is.
    pub content_type: Option<String>,
    /// The body.
    pub body: Option<Vec<u8>>,
    /// Which answers are a success, where that is another rule than the destination's.
    pub success: Option<Success>,
    /// Whether [`Sent::answered`] is wanted.
    pub keeps: bool,
    /// What no answer may show besides the secrets of the destination: such as a token that a
    /// login gave.
    pub secrets: Vec<Secret>,
}

/// What an MQTT destination gets.
pub struct Message {
    /// The topic, without wildcards.
    pub topic: String,
    /// The payload.
    pub payload: Vec<u8>,
}

/// The method of a step.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Method {
    /// GET: it carries no idempotency key, and no signature of a body.
    Get,
    /// POST.
    #[default]
    Post,
    /// PUT.
    Put,
    /// PATCH.
    Patch,
    /// DELETE.
    Delete,
}

impl Method {
    /// All, by their names.
    pub const ALL: [(&str, Self); 5] = [
        ("GET", Self::Get),
        ("POST", Self::Post),
        ("PUT", Self::Put),
        ("PATCH", Self::Patch),
        ("DELETE", Self::Delete),
    ];

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Post => "POST",
            Self::Put => "PUT",
            Self::Patch => "PATCH",
            Self::Delete => "DELETE",
        }
    }
}

impl From<Method> for reqwest::Method {
    fn from(method: Method) -> Self {
        match method {
            Method::Get => Self::GET,
            Method::Post => Self::POST,
            Method::Put => Self::PUT,
            Method::Patch => Self::PATCH,
            Method::Delete => Self::DELETE,
        }
    }
}

/// What came of one exchange.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sent {
    /// What it means.
    pub outcome: Outcome,
    /// The beginning of the answer, as text, without known secrets; none when there was none.
    pub answer: Option<String>,
    /// The first 64 KiB of the answer, without known secrets, where they are wanted.
    pub whole: Option<String>,
    /// Why the event is to go nowhere else, where a gate says so.
    pub cancels: Option<String>,
    /// The answer of a step as it came, secrets included, where it is wanted.
    pub answered: Option<Answered>,
    /// The cookies that the next request of this try is to carry.
    pub cookies: Cookies,
}

/// An answer as it came. It may hold secrets, such as a token.
#[derive(Clone, PartialEq, Eq)]
pub struct Answered {
    /// Its status.
    pub status: u16,
    pub(super) headers: HeaderMap,
    /// At most 64 KiB of its body.
    pub body: Vec<u8>,
    /// Why that is not all of it.
    pub missing: Option<String>,
}

impl fmt::Debug for Answered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Answered")
            .field("status", &self.status)
            .finish_non_exhaustive()
    }
}

impl Answered {
    /// The first value of a header.
    pub fn header(&self, name: &HeaderName) -> Option<String> {
        let value = self.headers.get(name)?;
        Some(String::from_utf8_lossy(value.as_bytes()).into_owned())
    }

    /// The value that the answer gives a cookie: the last, if it does so several times.
    pub fn cookie(&self, name: &str) -> Option<&str> {
        let all = self.headers.get_all(reqwest::header::SET_COOKIE).iter();
        let mut last_first = all.rev();
        last_first.find_map(|header| {
            let (known, value) = cookies::pair(header.to_str().ok()?)?;
            (known == name).then_some(value)
        })
    }
}

impl Sent {
    /// Of a try that gave no answer.
    pub fn unanswered(outcome: Outcome) -> Self {
        Self {
            outcome,
            answer: None,
            whole: None,
            cancels: None,
            answered: None,
            cookies: Cookies::default(),
        }
    }

    /// Whether the destination answered as it should, be it with a refusal of this event; and
    /// otherwise what was wrong.
    pub fn reached(&self) -> Result<(), String> {
        match &self.outcome {
            Outcome::Delivered | Outcome::Dead { .. } => Ok(()),
            Outcome::Postponed { reason, .. } | Outcome::Parked { reason, .. } => {
                Err(reason.clone())
            }
        }
    }

    /// Why it was not taken.
    pub fn reason(&self) -> String {
        match &self.outcome {
            Outcome::Delivered => String::new(),
            Outcome::Postponed { reason, .. }
            | Outcome::Parked { reason, .. }
            | Outcome::Dead { reason } => reason.clone(),
        }
    }

    /// Whether the answer was 401 or 403: where a step logs in or takes a CSRF token, all steps
    /// are done once more with what it gives then.
    pub fn refused_credentials(&self) -> bool {
        self.answer.is_some() && self.outcome.refuses_credentials()
    }
}

/// What a destination says when it is only looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Looked {
    /// It answered.
    Answered {
        /// What it was asked: `HEAD`, or `OPTIONS` where it does not know that.
        method: &'static str,
        /// How it answered.
        status: u16,
        /// Whether it was shown credentials.
        with_auth: bool,
    },
    /// It is an MQTT broker, and took the connection.
    Connected {
        /// Whether it was shown credentials.
        with_auth: bool,
    },
    /// It is an MQTT broker, and refused the connection.
    Refused(String),
    /// There are no credentials to be shown: a file of theirs, or the token endpoint, is why.
    NoCredentials(String),
    /// It gave no answer.
    Unreached(crate::http::ExchangeError),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_relays_own_headers_are_refused_in_any_case_of_letters() {
        for name in ["Host", "CONTENT-LENGTH", "Idempotency-Key", "webhook-id"] {
            let error = header_name(name).unwrap_err();
            assert_eq!(error, HeaderNameError::Reserved(name.to_owned()));
        }
        assert!(matches!(header_name("a b"), Err(HeaderNameError::Form(_))));
        for name in ["X-CSRF-Token", "authorization", "slug", "cookie", "accept"] {
            assert!(header_name(name).is_ok(), "{name}");
        }
    }

    #[test]
    fn every_method_has_its_name() {
        for (name, method) in Method::ALL {
            assert_eq!(method.name(), name);
            assert_eq!(reqwest::Method::from(method).as_str(), name);
        }
    }

    #[test]
    fn an_answer_gives_headers_and_cookies_and_shows_neither() {
        let mut headers = HeaderMap::new();
        for (name, value) in [
            ("location", "/sr/canary"),
            ("set-cookie", "A=canary; path=/"),
            ("set-cookie", "A=canary2"),
        ] {
            headers.append(name, value.parse().unwrap());
        }
        let answered = Answered {
            status: 201,
            headers,
            body: b"canary".to_vec(),
            missing: None,
        };
        let location = HeaderName::from_static("location");
        assert_eq!(answered.header(&location).as_deref(), Some("/sr/canary"));
        assert_eq!(answered.cookie("A"), Some("canary2"));
        assert_eq!(answered.cookie("B"), None);
        assert!(!format!("{answered:?}").contains("canary"));
    }
}
