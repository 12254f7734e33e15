//! The schemes by which other sources than Orbit sign, behind one door.
//!
//! # Invariants
//! - Pure; the comparison takes the same time whatever differs.
//! - Id, type and time count as signed only where the scheme signs them.
//! - No header and no body makes this panic, overflow or allocate more than they are long.

use std::time::Duration;

use jiff::Timestamp;

pub use super::orbit::Proof;
use super::refusal::Refusal;
use crate::event::Identity;
use crate::secret::Secret;

/// The headers of a request, with their names in any case.
#[derive(Clone, Debug, Default)]
pub struct Headers<'a>(pub Vec<(&'a str, &'a [u8])>);

impl<'a> Headers<'a> {
    /// All values of this name, in order.
    pub fn all(&self, name: &str) -> impl Iterator<Item = &'a [u8]> {
        self.0
            .iter()
            .filter(move |(known, _)| known.eq_ignore_ascii_case(name))
            .map(|(_, value)| *value)
    }
}

/// How a source signs.
#[derive(Clone, Debug, PartialEq)]
pub enum Scheme {
    /// Stripe.
    Stripe,
    /// GitHub.
    Github,
    /// Slack.
    Slack,
    /// UP42.
    Up42 {
        /// Whether a request is taken whose signature does not cover the body.
        body_unsigned: bool,
    },
    /// The webhooks of servo.
    Servo,
    /// Standard Webhooks.
    StandardWebhooks,
    /// An HMAC in a header, as it is configured.
    Hmac(Box<HmacForm>),
    /// A header that is always the same.
    Token(TokenForm),
    /// Nothing is signed.
    None {
        /// Where the names are.
        names: Names,
    },
}

/// Where the id and the type of an event are, where the scheme does not say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Names {
    /// The id.
    pub id: Option<Place>,
    /// The type.
    pub event_type: Option<Place>,
}

/// A place in a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// A JSON pointer into the body, such as `/event/type`.
    Pointer(String),
    /// A header.
    Header(String),
}

/// What the scheme `hmac` is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HmacForm {
    /// The header with the code.
    pub header: String,
    /// What stands before the code there.
    pub prefix: String,
    /// The hash.
    pub hash: Hash,
    /// How the code is written.
    pub code: Encoding,
    /// How the secret is.
    pub key: KeyForm,
    /// The header with the time, and its unit.
    pub timestamp: Option<(String, Unit)>,
    /// What is signed, piece by piece.
    pub signed: Vec<Piece>,
    /// Where the names are.
    pub names: Names,
}

/// A hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hash {
    /// SHA-1.
    Sha1,
    /// SHA-256.
    Sha256,
    /// SHA-512.
    Sha512,
}

/// How bytes are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// Hexadecimal digits.
    Hex,
    /// Base64.
    Base64,
}

/// How a secret stands for its key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyForm {
    /// It is the key.
    Text,
    /// It is the key in hexadecimal digits.
    Hex,
    /// It is the key in base64.
    Base64,
}

/// The unit of a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// Seconds since 1970.
    Seconds,
    /// Milliseconds since 1970.
    Milliseconds,
    /// RFC 3339.
    Rfc3339,
}

/// A piece of what is signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Piece {
    /// This text.
    Text(String),
    /// The time, as it was received.
    Timestamp,
    /// The id, as it was received.
    Id,
    /// The body.
    Body,
    /// The value of a header.
    Header(String),
}

/// What the scheme `token` is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenForm {
    /// Where the secret stands.
    pub shown: Credential,
    /// Where the names are.
    pub names: Names,
}

/// How a static secret is shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Credential {
    /// It is the value of this header.
    Header(String),
    /// `Authorization: Bearer …`.
    Bearer,
    /// `Authorization: Basic …`; the secret is `user:password`.
    Basic,
}

/// What a verified request is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verified {
    /// The type of its event.
    pub event_type: String,
    /// What its event is known by.
    pub identity: Identity,
    /// What the same request shown again has; none where nothing is signed.
    pub proof: Option<Proof>,
    /// What is answered where it brings no event.
    pub reply: Option<Reply>,
}

/// What is answered to a request that brings no event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// That it was understood.
    Pong,
    /// This text.
    Challenge(String),
}

/// What `send` makes a request of.
#[derive(Clone, Copy, Debug)]
pub struct Draft<'a> {
    /// What it is to be known by.
    pub id: &'a str,
    /// Its type.
    pub event_type: &'a str,
    /// When.
    pub at: Timestamp,
    /// The body, with id and type where the scheme has them there.
    pub body: &'a [u8],
}

/// Why nothing can be signed.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
#[error("{0}")]
pub struct SignError(pub String);

impl Scheme {
    /// Whether the headers have the right form: looked at before the body is read.
    pub fn read(&self, _headers: &Headers<'_>) -> Result<(), Refusal> {
        Err(Refusal::NoSignature)
    }

    /// Checks a request: the code first, then its time.
    pub fn verify(
        &self,
        _headers: &Headers<'_>,
        _body: &[u8],
        _secrets: &[Secret],
        _now: Timestamp,
        _max_age: Duration,
    ) -> Result<Verified, Refusal> {
        Err(Refusal::NoSignature)
    }
}
