//! Step 8 of the path: one request to the plant's system, and what its answer means.
//!
//! # Invariants
//! - One deadline for the whole exchange; at most 64 KiB of the answer are read.
//! - The URL's user and password, and the credentials, are in no error and no log.

pub mod outcome;

use std::time::Duration;

use reqwest::Method;
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderName, HeaderValue, LOCATION, USER_AGENT};
use url::Url;

use self::outcome::Outcome;
use crate::http;
use crate::secret::Secret;

/// One exchange takes no longer.
pub const TIMEOUT: Duration = Duration::from_secs(30);

const ANSWER_LIMIT: usize = 64 * 1024;
const AGENT: &str = concat!("orbit-relay/", env!("CARGO_PKG_VERSION"));

/// The id and name of the destination that needs no file.
pub const INTEGRATION: &str = "integration";

/// One destination.
#[derive(Clone, Debug)]
pub struct Config {
    /// What keys are made of.
    pub id: String,
    /// Where events go, without user and password.
    pub url: Url,
    /// How the relay shows who it is.
    pub auth: Option<Auth>,
    /// The event types that it takes.
    pub event_types: Vec<String>,
    /// Whose certificate it may show.
    pub trust: http::Trust,
    /// The deadline of one whole exchange.
    pub timeout: Duration,
}

/// Credentials, sent as one header.
#[derive(Clone, Debug)]
pub struct Auth {
    header: HeaderName,
    value: Secret,
}

/// Why a text is no authentication. The text itself is not kept.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum AuthError {
    /// It is none of the three forms.
    #[error("write `Bearer TOKEN`, `Basic USER:PASSWORD`, or `Header-Name: value`")]
    Form,
    /// The value cannot stand in a header.
    #[error("the value has a character that cannot stand in an HTTP header")]
    Character,
}

impl Auth {
    /// Reads `Bearer …`, `Basic user:password`, or `Header-Name: value`.
    pub fn parse(text: &str) -> Result<Self, AuthError> {
        let text = text.trim();
        if let Some(token) = text.strip_prefix("Bearer ") {
            return Self::new(AUTHORIZATION, format!("Bearer {}", token.trim()));
        }
        if let Some(pair) = text.strip_prefix("Basic ") {
            let (user, password) = pair.trim().split_once(':').ok_or(AuthError::Form)?;
            return Self::basic(user, password);
        }
        let (name, value) = text.split_once(':').ok_or(AuthError::Form)?;
        let name = HeaderName::try_from(name.trim()).map_err(|_| AuthError::Form)?;
        Self::new(name, value.trim().to_owned())
    }

    /// HTTP Basic.
    pub fn basic(user: &str, password: &str) -> Result<Self, AuthError> {
        use base64::Engine as _;
        let pair = base64::engine::general_purpose::STANDARD.encode(format!("{user}:{password}"));
        Self::new(AUTHORIZATION, format!("Basic {pair}"))
    }

    fn new(header: HeaderName, value: String) -> Result<Self, AuthError> {
        HeaderValue::try_from(&value).map_err(|_| AuthError::Character)?;
        Ok(Self {
            header,
            value: Secret::new(value),
        })
    }
}

/// A destination that can be sent to.
#[derive(Clone, Debug)]
pub struct Destination {
    config: Config,
    client: http::Client,
}

/// One try of one delivery.
#[derive(Debug)]
pub struct Request {
    /// The delivery's key.
    pub key: String,
    /// Which try this is.
    pub attempt: u32,
    /// The frozen body.
    pub body: Vec<u8>,
}

impl Destination {
    /// Builds the client.
    pub fn build(config: Config) -> Result<Self, http::BuildError> {
        let client = http::Client::build(&http::Config {
            trust: config.trust.clone(),
            certificate: None,
            timeout: config.timeout,
        })?;
        Ok(Self { config, client })
    }

    /// Its id.
    pub fn id(&self) -> &str {
        &self.config.id
    }

    /// Whether it takes events of this type.
    pub fn takes(&self, event_type: &str) -> bool {
        self.config
            .event_types
            .iter()
            .any(|taken| taken == event_type)
    }

    /// Sends once.
    pub async fn send(&self, request: Request) -> Outcome {
        match self.exchange(request).await {
            Ok(outcome) => outcome,
            Err(error) => outcome::of_error(&self.client.explain(error, self.config.timeout)),
        }
    }

    async fn exchange(&self, request: Request) -> Result<Outcome, reqwest::Error> {
        let mut builder = self
            .client
            .request(Method::POST, self.config.url.clone())
            .header(CONTENT_TYPE, "application/json")
            .header(USER_AGENT, AGENT)
            .header("idempotency-key", &request.key)
            .header("webhook-id", &request.key)
            .header("relay-attempt", request.attempt)
            .body(request.body);
        if let Some(Auth { header, value }) = &self.config.auth
            && let Ok(mut value) = HeaderValue::try_from(value.expose())
        {
            value.set_sensitive(true);
            builder = builder.header(header, value);
        }
        let mut answer = builder.send().await?;
        let status = answer.status().as_u16();
        let location = answer
            .headers()
            .get(LOCATION)
            .and_then(|location| location.to_str().ok());
        let location = location.and_then(|to| self.config.url.join(to).ok());
        // Path and query may hold a secret.
        let location = location.map(|to| to.origin().ascii_serialization());
        let outcome = outcome::of_status(status, location.as_deref());
        // Read to the end so that the connection can be used again, and so that an answer that
        // never ends is a time-out; what stands in it is the affair of a success rule.
        http::read_limited(&mut answer, ANSWER_LIMIT).await?;
        Ok(outcome)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_three_forms_of_authentication_are_read() {
        for (text, header, value) in [
            ("Bearer abc", "authorization", "Bearer abc"),
            (
                "Basic me:pass:word",
                "authorization",
                "Basic bWU6cGFzczp3b3Jk",
            ),
            ("X-Api-Key: k y", "x-api-key", "k y"),
        ] {
            let auth = Auth::parse(text).unwrap();
            assert_eq!((auth.header.as_str(), auth.value.expose()), (header, value));
        }
    }

    #[test]
    fn other_forms_are_refused_without_saying_the_secret() {
        for text in [
            "canary",
            "Basic canary",
            "Bad Name: canary",
            "X-Key: can\u{7f}ary\n",
        ] {
            let error = Auth::parse(text).unwrap_err();
            assert!(!format!("{error} {error:?}").contains("canary"), "{text}");
        }
    }
}
