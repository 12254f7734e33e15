//! Step 8 of the path: one request to the plant's system, and what its answer means.
//!
//! # Invariants
//! - One deadline for the whole exchange; at most 64 KiB of the answer are read.
//! - The URL's user and password, and the credentials, are in no error and no log.

pub mod outcome;

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use reqwest::Method;
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderName, HeaderValue, LOCATION, USER_AGENT};
use url::Url;

use self::outcome::Outcome;
use crate::http;
use crate::relay::transform::expression::Expression;
use crate::secret::{Secret, Source, SourceError};

/// One exchange takes no longer.
pub const TIMEOUT: Duration = Duration::from_secs(30);

const ANSWER_LIMIT: usize = 64 * 1024;
const AGENT: &str = concat!("orbit-relay/", env!("CARGO_PKG_VERSION"));

/// The id and name of the destination that needs no file.
pub const INTEGRATION: &str = "integration";

/// Where and how one destination is posted to.
#[derive(Clone, Debug)]
pub struct Config {
    /// What people call it.
    pub name: String,
    /// What keys are made of; survives a new name.
    pub id: String,
    /// Where events go, without user and password.
    pub url: Url,
    /// Headers that every post carries besides the relay's own.
    pub headers: Vec<Header>,
    /// How the relay shows who it is.
    pub auth: Auth,
    /// How the body is signed.
    pub sign: Option<Sign>,
    /// Which answers are a success.
    pub success: Success,
    /// Whose certificate is believed, and which one is shown.
    pub tls: Tls,
    /// What posts go through.
    pub proxy: Option<http::Proxy>,
    /// Link-local and cloud-metadata addresses that are no mistake here.
    pub allow_addresses: Vec<IpAddr>,
    /// The deadline of one whole try.
    pub timeout: Duration,
}

impl Config {
    /// A destination with this name and URL, and the defaults for all else.
    pub fn new(name: &str, url: Url) -> Self {
        Self {
            name: name.to_owned(),
            id: name.to_owned(),
            url,
            headers: Vec::new(),
            auth: Auth::None,
            sign: None,
            success: Success::default(),
            tls: Tls::default(),
            proxy: None,
            allow_addresses: Vec::new(),
            timeout: TIMEOUT,
        }
    }
}

/// A header whose name and value are fit to be sent.
#[derive(Clone, Debug)]
pub struct Header {
    name: HeaderName,
    value: HeaderValue,
}

impl Header {
    /// Reads a name and a value.
    pub fn new(name: &str, value: &str) -> Result<Self, AuthError> {
        let name = HeaderName::try_from(name).map_err(|_| AuthError::Form)?;
        let mut value = HeaderValue::try_from(value).map_err(|_| AuthError::Character)?;
        // It may be a secret, which `Debug` must not print.
        value.set_sensitive(true);
        Ok(Self { name, value })
    }
}

/// Which answers are a success.
#[derive(Clone, Debug, Default)]
pub struct Success {
    /// These statuses; none given: every 2xx.
    pub status: Option<Vec<u16>>,
    /// And this must hold of `response`: `status`, `headers`, `text`, `json`.
    pub when: Option<Expression>,
}

/// Whose certificate is believed besides the public authorities', and which one is shown. Files
/// are read again when they change.
#[derive(Clone, Debug, Default)]
pub struct Tls {
    /// A CA bundle.
    pub ca_file: Option<PathBuf>,
    /// The client certificate.
    pub client_cert_file: Option<PathBuf>,
    /// Its key, where it is not in the same file.
    pub client_key_file: Option<PathBuf>,
}

/// How a body is signed.
#[derive(Clone, Debug)]
pub enum Sign {
    /// Standard Webhooks, with every secret that is live.
    StandardWebhooks(Vec<Source>),
    /// One header over the body.
    Hmac {
        /// The header.
        header: HeaderName,
        /// The hash.
        algorithm: Algorithm,
        /// How the code is written.
        encoding: Encoding,
        /// What stands before it, such as `sha256=`.
        prefix: String,
        /// The key.
        secret: Source,
    },
}

/// The hash of an HMAC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Algorithm {
    /// SHA-256.
    Sha256,
    /// SHA-1, for receivers that know nothing better.
    Sha1,
}

/// How a code is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// Hexadecimal digits, lower case.
    Hex,
    /// Base64 with padding.
    Base64,
}

/// How the relay shows who it is.
#[derive(Clone, Debug)]
pub enum Auth {
    /// Not at all.
    None,
    /// One header.
    Header {
        /// Its name.
        name: HeaderName,
        /// Its value.
        value: Source,
    },
    /// HTTP Basic.
    Basic {
        /// The user.
        user: String,
        /// The password.
        password: Source,
    },
    /// A bearer token.
    Bearer(Source),
    /// OAuth 2 client credentials: a token is fetched, kept, and renewed.
    OAuth2 {
        /// Where tokens are fetched.
        token_url: Url,
        /// Who asks.
        client_id: String,
        /// The secret of who asks.
        client_secret: Source,
        /// What for.
        scope: Option<String>,
    },
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
            return Ok(Self::Bearer(given(token.trim())?));
        }
        if let Some(pair) = text.strip_prefix("Basic ") {
            let (user, password) = pair.trim().split_once(':').ok_or(AuthError::Form)?;
            return Ok(Self::basic(user, password));
        }
        let (name, value) = text.split_once(':').ok_or(AuthError::Form)?;
        let name = HeaderName::try_from(name.trim()).map_err(|_| AuthError::Form)?;
        let value = given(value.trim())?;
        Ok(Self::Header { name, value })
    }

    /// HTTP Basic.
    pub fn basic(user: &str, password: &str) -> Self {
        Self::Basic {
            user: user.to_owned(),
            password: Source::Given(Secret::new(password.to_owned())),
        }
    }

    /// Whether the relay shows who it is at all.
    pub fn is_some(&self) -> bool {
        !matches!(self, Self::None)
    }

    fn header(&self) -> Result<Option<(HeaderName, String)>, SourceError> {
        Ok(match self {
            Self::None | Self::OAuth2 { .. } => None,
            Self::Header { name, value } => {
                Some((name.clone(), value.current()?.expose().to_owned()))
            }
            Self::Basic { user, password } => {
                use base64::Engine as _;
                let pair = format!("{user}:{}", password.current()?.expose());
                let pair = base64::engine::general_purpose::STANDARD.encode(pair);
                Some((AUTHORIZATION, format!("Basic {pair}")))
            }
            Self::Bearer(token) => Some((
                AUTHORIZATION,
                format!("Bearer {}", token.current()?.expose()),
            )),
        })
    }
}

fn given(value: &str) -> Result<Source, AuthError> {
    HeaderValue::try_from(value).map_err(|_| AuthError::Character)?;
    Ok(Source::Given(Secret::new(value.to_owned())))
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

/// What came of one try.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sent {
    /// What it means.
    pub outcome: Outcome,
    /// The beginning of the answer, as text, without known secrets; none when there was none.
    pub answer: Option<String>,
}

impl Destination {
    /// Builds the client.
    pub fn build(config: Config) -> Result<Self, http::BuildError> {
        let added = match &config.tls.ca_file {
            None => Vec::new(),
            Some(file) => http::read_authorities(file)?,
        };
        let client = http::Client::build(&http::Config {
            trust: http::Trust::Authorities(added),
            certificate: None,
            timeout: config.timeout,
        })?;
        Ok(Self { config, client })
    }

    /// Its id.
    pub fn id(&self) -> &str {
        &self.config.id
    }

    /// What people call it.
    pub fn name(&self) -> &str {
        &self.config.name
    }

    /// Sends once.
    pub async fn send(&self, request: Request) -> Sent {
        let outcome = match self.exchange(request).await {
            Ok(outcome) => outcome,
            Err(error) => outcome::of_error(&self.client.explain(error, self.config.timeout)),
        };
        Sent {
            outcome,
            answer: None,
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
        for Header { name, value } in &self.config.headers {
            builder = builder.header(name, value);
        }
        if let Ok(Some((header, value))) = self.config.auth.header()
            && let Ok(mut value) = HeaderValue::try_from(value)
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
            let auth = Auth::parse(text).unwrap().header().unwrap().unwrap();
            assert_eq!((auth.0.as_str(), auth.1.as_str()), (header, value));
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
