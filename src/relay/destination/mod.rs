//! Step 8 of the path: one exchange with the plant's system, and what its answer means.
//!
//! ```text
//! mod          what a destination is
//! step         a step as it is configured, and what request it makes (pure)
//! request      what goes out in one exchange, and what came of it
//! exchange     one try: credentials, request, answer, once more if the credentials were refused
//! compose      all that is added to a request
//! cookies      what earlier answers of a try have set          multipart  the event with pictures
//! ask          a question, and what its answer means
//! look         whether it answers at all
//! mqtt         a destination that is an MQTT broker
//! keys         the secrets of a destination, as they were read
//! auth         how the relay shows who it is          oauth   tokens
//! sign         how a body is signed                   client  certificates that change
//! outcome      what an answer means (pure)            retry_after  when to call again (pure)
//! verdict      whether a gate lets an event go (pure)
//! blot         what an answer may not show (pure)      shown   a request as people may see it (pure)
//! ```
//!
//! # Invariants
//! - One deadline for the whole try, token and second post included; at most 64 KiB of an answer
//!   are read.
//! - Where the status alone decides, nothing that becomes of the body changes the outcome.
//! - No secret is in an outcome, an answer, an error, a log line or a `Debug` text; but in
//!   [`Answered`], from which a step takes tokens.

mod ask;
mod auth;
mod blot;
mod client;
mod compose;
mod cookies;
mod exchange;
mod keys;
mod look;
mod mqtt;
mod multipart;
mod oauth;
pub mod outcome;
pub mod presets;
mod request;
mod retry_after;
mod shown;
mod sign;
pub mod step;
mod verdict;

use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use jiff::Timestamp;
use url::Url;

pub use self::ask::Asked;
pub use self::auth::{Auth, AuthError, Header};
pub use self::blot::Secrets;
use self::client::Clients;
pub use self::cookies::Cookies;
use self::keys::Refused;
use self::mqtt::Broker;
pub use self::mqtt::PAYLOAD_LIMIT;
pub use self::multipart::{Multipart, Picture};
use self::oauth::Tokens;
pub use self::outcome::RESPONSE_MEMBERS;
pub use self::request::{
    Answered, HeaderNameError, Looked, Message, Method, RESERVED_HEADERS, Request, Sent,
    StepRequest, What, header_name,
};
pub use self::sign::{Algorithm, Encoding, Sign, SignError};
pub use self::step::{
    Each, Problem, Rendered, Round, Step, StepBody, StepError, Take, Target, secrets_of,
};
use crate::http;
use crate::relay::transform::expression::Expression;
use crate::relay::transform::template::{Gapped, Scope, TemplateError};

/// One try takes no longer, unless the destination says otherwise.
pub const TIMEOUT: Duration = Duration::from_secs(30);

const ANSWER_LIMIT: usize = 64 * 1024;
const AGENT: &str = concat!("orbit-relay/", env!("CARGO_PKG_VERSION"));

/// The id and name of the destination that needs no file.
pub const INTEGRATION: &str = "integration";

/// Where and how one destination is posted to.
#[derive(Clone)]
pub struct Config {
    /// What people call it.
    pub name: String,
    /// What keys are made of; survives a new name.
    pub id: String,
    /// Where events go, without user and password.
    pub url: Url,
    /// Whether its path is a secret too, as it is where it was given like one.
    pub hides_path: bool,
    /// What is spoken there.
    pub kind: Kind,
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
    /// Whether [`Sent::whole`] is wanted.
    pub keeps_answers: bool,
    /// Whether [`Sent::cancels`] is.
    pub is_gate: bool,
}

impl Config {
    /// A destination with this name and URL, and the defaults for all else.
    pub fn new(name: &str, url: Url) -> Self {
        Self {
            name: name.to_owned(),
            id: name.to_owned(),
            url,
            hides_path: false,
            kind: Kind::Http,
            headers: Vec::new(),
            auth: Auth::None,
            sign: None,
            success: Success::default(),
            tls: Tls::default(),
            proxy: None,
            allow_addresses: Vec::new(),
            timeout: TIMEOUT,
            keeps_answers: false,
            is_gate: false,
        }
    }
}

impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Config")
            .field("name", &self.name)
            .field("id", &self.id)
            // The rest of it may hold a secret.
            .field("url", &self.url.origin().ascii_serialization())
            .field("hides_path", &self.hides_path)
            .field("kind", &self.kind)
            .field("headers", &self.headers)
            .field("auth", &self.auth)
            .field("sign", &self.sign)
            .field("success", &self.success)
            .field("tls", &self.tls)
            .field("proxy", &self.proxy)
            .field("allow_addresses", &self.allow_addresses)
            .field("timeout", &self.timeout)
            .field("keeps_answers", &self.keeps_answers)
            .field("is_gate", &self.is_gate)
            .finish()
    }
}

/// What is spoken at a destination.
#[derive(Clone, Debug, Default)]
pub enum Kind {
    /// HTTP, at an `http` or `https` URL.
    #[default]
    Http,
    /// MQTT, at an `mqtt` or `mqtts` URL. It has `auth` of type basic or none, `tls`,
    /// `allow_addresses` and `timeout`; headers, signatures, success rules and proxies are HTTP's.
    Mqtt(MqttConfig),
}

/// How messages are published.
#[derive(Clone, Debug)]
pub struct MqttConfig {
    /// The topic.
    pub topic: Gapped,
    /// Whether the broker keeps the last message of a topic for those who come later.
    pub retain: bool,
}

impl MqttConfig {
    /// The message to the topic that follows from what `scope` holds.
    pub fn message(&self, scope: &Scope, payload: Vec<u8>) -> Result<Message, TemplateError> {
        let topic = self.topic.fill_topic(scope)?;
        Ok(Message { topic, payload })
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

/// A destination that can be sent to. A copy shares its connections and tokens.
#[derive(Clone, Debug)]
pub struct Destination(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    config: Config,
    clients: Clients,
    /// Where it is a broker.
    broker: Option<Broker>,
    tokens: Tokens,
    /// The credentials that were refused last, if they were.
    refused: Mutex<Option<Refused>>,
}

impl Destination {
    /// Reads the certificates and builds the client.
    pub fn build(config: Config) -> Result<Self, http::BuildError> {
        let clients = Clients::build(&config)?;
        let broker = match &config.kind {
            Kind::Http => None,
            Kind::Mqtt(MqttConfig { retain, .. }) => {
                // Two relays with one id would put each other out; chance keeps them apart.
                let chance = getrandom::u32().unwrap_or_default().to_be_bytes();
                Some(Broker::new(&config.id, chance, *retain))
            }
        };
        Ok(Self(Arc::new(Shared {
            config,
            clients,
            broker,
            tokens: Tokens::default(),
            refused: Mutex::default(),
        })))
    }

    /// Its id.
    pub fn id(&self) -> &str {
        &self.0.config.id
    }

    /// What people call it.
    pub fn name(&self) -> &str {
        &self.0.config.name
    }

    /// Sends once; and once more if the credentials were refused and there are others.
    pub async fn send(&self, request: Request) -> Sent {
        self.0.send(request).await
    }

    /// Asks with GET, as the destination is posted to otherwise, whether this holds of the answer:
    /// `response`, as in a success rule.
    pub async fn ask(&self, url: Url, when: &Expression, at: Timestamp) -> Asked {
        self.0.ask(url, when, at).await
    }

    /// Asks it for nothing (HEAD, or OPTIONS where it knows no HEAD), with its credentials, on the
    /// way that posts take: nothing is made there.
    pub async fn look(&self, at: Timestamp) -> Looked {
        self.0.look(at).await
    }

    /// Whether the last try had its credentials refused, and the files and values that they come
    /// from give others now. What cannot be read is no other.
    pub fn credentials_changed(&self) -> bool {
        self.0.credentials_changed()
    }
}

#[cfg(test)]
mod tests;
