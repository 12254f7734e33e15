//! The schemes by which other sources than Orbit sign, behind one door.
//!
//! # Invariants
//! - Pure; the comparison takes the same time whatever differs.
//! - Id, type and time count as signed only where the scheme signs them.
//! - No header and no body makes this panic, overflow or allocate more than they are long.

use std::time::Duration;

use jiff::Timestamp;

pub use super::orbit::Proof;
use super::parts::{self, Id};
use super::refusal::Refusal;
use super::{github, hmac, samples, servo, slack, standard, stripe, token, up42};
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
    /// What it is called in the configuration.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Stripe => "stripe",
            Self::Github => "github",
            Self::Slack => "slack",
            Self::Up42 { .. } => "up42",
            Self::Servo => "servo",
            Self::StandardWebhooks => "standard-webhooks",
            Self::Hmac(_) => "hmac",
            Self::Token(_) => "token",
            Self::None { .. } => "none",
        }
    }

    /// Whether a sender shows that it knows a secret.
    pub fn wants_secret(&self) -> bool {
        !matches!(self, Self::None { .. })
    }

    /// Whether a request may be taken whose body its code does not cover, so that the code alone
    /// tells whether it was there before.
    pub fn body_unsigned(&self) -> bool {
        match self {
            Self::Up42 { body_unsigned } => *body_unsigned,
            Self::Hmac(form) => hmac::body_unsigned(form),
            _ => false,
        }
    }

    /// Whether this text can be a secret of it. What is wrong is said without the text.
    pub fn check_secret(&self, secret: &Secret) -> Result<(), String> {
        if secret.expose().is_empty() {
            return Err("the secret is empty, and anybody knows an empty one".into());
        }
        match self {
            Self::StandardWebhooks => standard::check_secret(secret),
            Self::Hmac(form) => hmac::check_secret(secret, form),
            Self::Token(form) => token::check_secret(secret, form),
            Self::Stripe
            | Self::Github
            | Self::Slack
            | Self::Up42 { .. }
            | Self::Servo
            | Self::None { .. } => Ok(()),
        }
    }

    /// Where id and type are, where the scheme itself does not say.
    pub fn names(&self) -> Option<&Names> {
        match self {
            Self::Hmac(form) => Some(&form.names),
            Self::Token(form) => Some(&form.names),
            Self::None { names } => Some(names),
            _ => None,
        }
    }

    /// Whether the headers have the right form: looked at before the body is read.
    pub fn read(&self, headers: &Headers<'_>) -> Result<(), Refusal> {
        match self {
            Self::Stripe => stripe::read(headers).map(drop),
            Self::Github => github::read(headers).map(drop),
            Self::Slack => slack::read(headers).map(drop),
            Self::Up42 { .. } => up42::read(headers).map(drop),
            Self::Servo => servo::read(headers).map(drop),
            Self::StandardWebhooks => standard::read(headers).map(drop),
            Self::Hmac(form) => hmac::read(headers, form).map(drop),
            Self::Token(form) => token::read(headers, form).map(drop),
            Self::None { .. } => Ok(()),
        }
    }

    /// How old a signature may be, and how early.
    pub fn window(&self, max_age: Duration) -> (Duration, Duration) {
        match self {
            Self::Up42 { .. } => up42::window(max_age),
            _ => (max_age, max_age),
        }
    }

    /// Checks a request: the code first, then its time.
    pub fn verify(
        &self,
        headers: &Headers<'_>,
        body: &[u8],
        secrets: &[Secret],
        now: Timestamp,
        max_age: Duration,
    ) -> Result<Verified, Refusal> {
        match self {
            Self::Stripe => stripe::verify(headers, body, secrets, now, max_age),
            Self::Github => github::verify(headers, body, secrets),
            Self::Slack => slack::verify(headers, body, secrets, now, max_age),
            Self::Up42 { body_unsigned } => {
                up42::verify(headers, body, secrets, now, max_age, *body_unsigned)
            }
            Self::Servo => servo::verify(headers, body, secrets),
            Self::StandardWebhooks => standard::verify(headers, body, secrets, now, max_age),
            Self::Hmac(form) => hmac::verify(headers, body, secrets, now, max_age, form),
            Self::Token(form) => token::verify(headers, body, secrets, form),
            Self::None { names } => {
                let [id, event_type] = parts::named(names, headers, body)?;
                Ok(parts::verified(event_type, Id::Signed(id), body, None))
            }
        }
    }

    /// The headers that make a request of this draft. `secret` is of no use where
    /// [`Scheme::wants_secret`] is false.
    pub fn sign(
        &self,
        secret: &Secret,
        draft: &Draft<'_>,
    ) -> Result<Vec<(String, String)>, SignError> {
        match self {
            Self::Stripe => stripe::sign(secret, draft),
            Self::Github => github::sign(secret, draft),
            Self::Slack => slack::sign(secret, draft),
            Self::Up42 { .. } => up42::sign(secret, draft),
            Self::Servo => servo::sign(secret, draft),
            Self::StandardWebhooks => standard::sign(secret, draft),
            Self::Hmac(form) => hmac::sign(secret, draft, form),
            Self::Token(form) => token::sign(secret, draft, form),
            Self::None { names } => parts::name_headers(names, draft),
        }
    }

    /// A body such as this source sends, with this id and type where the body has them.
    pub fn sample(&self, id: &str, event_type: &str, at: Timestamp) -> String {
        samples::body(self, id, event_type, at).to_string()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::relay::verify::trials::{Trial, ok};

    const AT_S: i64 = 1_770_000_000;
    const KEY: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

    fn names(id: Place, event_type: Place) -> Names {
        Names {
            id: Some(id),
            event_type: Some(event_type),
        }
    }

    fn unsigned() -> Scheme {
        let id = Place::Header("X-Id".into());
        Scheme::None {
            names: names(id, Place::Pointer("/a/type".into())),
        }
    }

    fn own() -> [Scheme; 6] {
        [
            Scheme::Stripe,
            Scheme::Github,
            Scheme::Slack,
            Scheme::Servo,
            Scheme::StandardWebhooks,
            unsigned(),
        ]
    }

    #[test]
    fn what_a_scheme_signs_it_verifies_with_the_id_and_type_of_the_draft() {
        for (scheme, event_type, id) in [
            (Scheme::Stripe, "charge.succeeded", Some("id-1")),
            (Scheme::Github, "issues.opened", None),
            (Scheme::Github, "push", None),
            (Scheme::Slack, "app_mention", Some("id-1")),
            (Scheme::Servo, "after:measure", None),
            (Scheme::StandardWebhooks, "order.closed", Some("id-1")),
            (unsigned(), "X", Some("id-1")),
        ] {
            let name = scheme.name();
            let trial = Trial::new(scheme, KEY, AT_S);
            let body = trial.sample("id-1", event_type);
            let verified = ok(trial.signed("id-1", event_type, body.as_bytes()));
            assert_eq!(verified.event_type, event_type, "{name}");
            assert_eq!(verified.reply, None, "{name}");
            match (id, &verified.identity) {
                (Some(id), Identity::Id(found)) => assert_eq!(found, id, "{name}"),
                (None, Identity::Body(_) | Identity::Unsigned { .. }) => {}
                (_, found) => panic!("{name}: {found:?}"),
            }
            assert_eq!(verified.proof.is_some(), name != "none");
        }
    }

    #[test]
    fn any_of_several_secrets_may_have_signed_and_no_secret_lets_nothing_through() {
        let now = Timestamp::from_second(AT_S).unwrap();
        let secret = |text: &str| Secret::new(text.to_owned());
        let other = "whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
        for scheme in own().into_iter().filter(Scheme::wants_secret) {
            let body = scheme.sample("1", "x", now);
            let draft = Draft {
                id: "1",
                event_type: "x",
                at: now,
                body: body.as_bytes(),
            };
            let signed = scheme.sign(&secret(KEY), &draft).unwrap();
            let headers = signed.iter().map(|(n, v)| (&**n, v.as_bytes())).collect();
            let headers = Headers(headers);
            let check = |secrets: &[Secret]| {
                let window = Duration::from_mins(5);
                scheme.verify(&headers, body.as_bytes(), secrets, now, window)
            };
            assert!(check(&[secret(KEY), secret(other)]).is_ok());
            assert!(check(&[secret(other), secret(KEY)]).is_ok());
            assert_eq!(check(&[secret(other)]), Err(Refusal::WrongSignature));
            assert_eq!(check(&[]), Err(Refusal::WrongSignature));
        }
    }

    #[test]
    fn a_secret_that_is_none_is_refused_and_not_said() {
        for scheme in own() {
            assert!(scheme.check_secret(&Secret::new(String::new())).is_err());
            assert_eq!(scheme.check_secret(&Secret::new(KEY.into())), Ok(()));
        }
        let wrong = Scheme::StandardWebhooks.check_secret(&Secret::new("canary!".into()));
        assert!(!wrong.unwrap_err().contains("canary"));
    }

    #[test]
    fn a_source_without_signatures_has_its_names_where_it_is_told() {
        let trial = Trial::new(unsigned(), "", AT_S);
        let body = br#"{"a":{"type":"X"}}"#;
        let named = trial.check(&[("x-id", "7")], body).unwrap();
        assert_eq!(named.event_type, "X");
        assert_eq!(named.identity, Identity::Id("7".into()));
        assert_eq!(named.proof, None);
        let bare = trial.check(&[("x-id", "")], b"{}").unwrap();
        assert_eq!(bare.event_type, "event");
        assert!(matches!(bare.identity, Identity::Body(_)));
        let twice = trial.check(&[("x-id", "7"), ("X-Id", "8")], body);
        assert_eq!(twice, Err(Refusal::SeveralSignatures));
    }

    proptest! {
        #[test]
        fn no_headers_and_no_body_panic(values: [Vec<u8>; 3], body: Vec<u8>, codes in "(t=[0-9]{0,20}|v[01]=[0-9a-f]{62,66}|sha256=|,| ){0,6}") {
            let now = Timestamp::from_second(AT_S).unwrap();
            let names = [
                "Stripe-Signature", "X-Hub-Signature-256", "X-GitHub-Event", "X-GitHub-Delivery",
                "X-Slack-Signature", "X-Slack-Request-Timestamp", "X-Servo-Signature",
                "webhook-id", "webhook-timestamp", "webhook-signature", "x-id",
            ];
            for value in values.iter().map(|value| &**value).chain([codes.as_bytes()]) {
                let headers = Headers(names.iter().map(|name| (*name, value)).collect());
                for scheme in own() {
                    let read = scheme.read(&headers);
                    let secrets = [Secret::new(KEY.to_owned())];
                    let verified = scheme.verify(&headers, &body, &secrets, now, Duration::MAX);
                    if scheme.wants_secret() {
                        prop_assert!(verified.is_err());
                    }
                    prop_assert!(read.is_ok() || verified == Err(read.unwrap_err()));
                }
            }
        }
    }
}
