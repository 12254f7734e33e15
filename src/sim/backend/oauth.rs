//! A token endpoint: OAuth 2 with client credentials (RFC 6749, section 4.4).
//!
//! # Invariants
//! - No two tokens of one backend are equal.
//! - A token is valid until its time has passed on the steady clock, or all are revoked.

use std::collections::BTreeMap;
use std::time::Duration;

use axum::body::Body;
use axum::http::{HeaderMap, Response, StatusCode, header};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use percent_encoding::percent_decode_str;
use serde_json::json;
use url::form_urlencoded;

use super::answer::{Answer, Reaction};
use crate::clock::later;
use crate::secret::Secret;
use crate::sim::reply::{respond, with_header};

/// Where tokens are asked for.
pub const TOKEN_PATH: &str = "/oauth/token";

/// Who gets a token, and for how long.
#[derive(Clone, Debug)]
pub struct OAuth {
    /// The client's id.
    pub client_id: String,
    /// The client's secret.
    pub client_secret: Secret,
    /// How long a token is valid. Clients are told whole seconds.
    pub expires_in: Duration,
}

/// The endpoint and the tokens that it has given.
#[derive(Debug, Default)]
pub(super) struct TokenEndpoint {
    pub(super) client: Option<OAuth>,
    pub(super) answer: Answer,
    pub(super) issued: u64,
    valid_until: BTreeMap<String, Timestamp>,
}

/// A status, and a word of RFC 6749, section 5.2.
type Refusal = (StatusCode, &'static str);

const INVALID_CLIENT: Refusal = (StatusCode::UNAUTHORIZED, "invalid_client");
const INVALID_REQUEST: Refusal = (StatusCode::BAD_REQUEST, "invalid_request");
const UNSUPPORTED_GRANT_TYPE: Refusal = (StatusCode::BAD_REQUEST, "unsupported_grant_type");

impl TokenEndpoint {
    /// Whether POSTs to this path ask for a token.
    pub(super) fn is_at(&self, path: &str) -> bool {
        self.client.is_some() && path == TOKEN_PATH
    }

    /// No token that was given is valid any more.
    pub(super) fn revoke(&mut self) {
        self.valid_until.clear();
    }

    /// Whether the headers hold a token that is valid.
    pub(super) fn accepts(&self, headers: &HeaderMap, now: Timestamp) -> bool {
        let token = credentials(headers, "bearer");
        let until = token.and_then(|token| self.valid_until.get(token));
        until.is_some_and(|until| *until > now)
    }

    /// What is done about a request for a token.
    pub(super) fn react(&mut self, headers: &HeaderMap, body: &[u8], now: Timestamp) -> Reaction {
        let after = match self.answer.next(body) {
            Answer::Ok => Duration::ZERO,
            Answer::Slow(after) => after,
            other => return other.react(headers, false),
        };
        let answer = match self.lifetime(headers, body) {
            Ok(lifetime) => self.issue(lifetime, now),
            Err(refusal) => refuse(refusal),
        };
        Reaction::Respond(after, answer)
    }

    /// How long the token is to be valid, if there is to be one.
    fn lifetime(&self, headers: &HeaderMap, body: &[u8]) -> Result<Duration, Refusal> {
        let client = self.client.as_ref().ok_or(INVALID_CLIENT)?;
        let content_type = headers.get(header::CONTENT_TYPE);
        let form_encoded = content_type.is_some_and(|value| {
            value
                .as_bytes()
                .starts_with(b"application/x-www-form-urlencoded")
        });
        if !form_encoded {
            return Err(INVALID_REQUEST);
        }
        let form: BTreeMap<_, _> = form_urlencoded::parse(body).into_owned().collect();
        let shown = if headers.contains_key(header::AUTHORIZATION) {
            basic(headers)
        } else {
            let field = |name| form.get(name).cloned();
            field("client_id").zip(field("client_secret"))
        };
        let (id, secret) = shown.ok_or(INVALID_CLIENT)?;
        if id != client.client_id || secret != client.client_secret.expose() {
            return Err(INVALID_CLIENT);
        }
        match form.get("grant_type").map(String::as_str) {
            Some("client_credentials") => Ok(client.expires_in),
            Some(_) => Err(UNSUPPORTED_GRANT_TYPE),
            None => Err(INVALID_REQUEST),
        }
    }

    fn issue(&mut self, lifetime: Duration, now: Timestamp) -> Response<Body> {
        self.issued += 1;
        let token = format!("token-{}-{}", self.issued, now.as_millisecond());
        self.valid_until.retain(|_, until| *until > now);
        self.valid_until.insert(token.clone(), later(now, lifetime));
        let answer = json!({
            "access_token": token, "token_type": "Bearer", "expires_in": lifetime.as_secs(),
        });
        let answer = respond(StatusCode::OK, &answer);
        with_header(answer, header::CACHE_CONTROL, "no-store")
    }
}

fn refuse((status, error): Refusal) -> Response<Body> {
    let answer = respond(status, &json!({"error": error}));
    if status == StatusCode::UNAUTHORIZED {
        let challenge = r#"Basic realm="simulated plant""#;
        with_header(answer, header::WWW_AUTHENTICATE, challenge)
    } else {
        answer
    }
}

/// What follows the scheme's name, which may be in any case.
fn credentials<'a>(headers: &'a HeaderMap, scheme: &str) -> Option<&'a str> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (name, credentials) = value.split_once(' ')?;
    name.eq_ignore_ascii_case(scheme).then_some(credentials)
}

/// The id and the secret, each form encoded before they are put together (section 2.3.1).
fn basic(headers: &HeaderMap) -> Option<(String, String)> {
    let decoded = STANDARD.decode(credentials(headers, "basic")?).ok()?;
    let text = String::from_utf8(decoded).ok()?;
    let (id, secret) = text.split_once(':')?;
    Some((form_decode(id)?, form_decode(secret)?))
}

fn form_decode(text: &str) -> Option<String> {
    let text = text.replace('+', " ");
    let decoded = percent_decode_str(&text).decode_utf8().ok()?;
    Some(decoded.into_owned())
}
