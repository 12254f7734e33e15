//! The sources besides Orbit: that they can stand beside each other, and how they are shown.
//!
//! # Invariants
//! - Names and paths are unique: keys are made of names, and a request has one source.
//! - What is shown is read from what is used; a secret is `***`.
//! - A source that anyone can send in the name of is warned of at every start.

use std::collections::BTreeMap;

use ipnet::IpNet;

use super::describe::{Keys, NOT_SET, SECRET, duration};
use super::file::{Origins, signed_text};
use super::problem::{Origin, Problems};
use super::resolve::Shown;
use crate::event::{Glob, ORBIT, RELAY};
use crate::relay::receive::{RateLimit, Source};
use crate::relay::transform::expression::Expression;
use crate::relay::verify::Scheme;
use crate::relay::verify::scheme::{
    Credential, Encoding, Hash, HmacForm, KeyForm, Names, Place, Unit,
};
use crate::secret;

/// A source, and where its keys came from.
#[derive(Clone, Debug)]
pub(super) struct DescribedSource {
    pub(super) config: Source,
    /// Where it stands as a whole.
    pub(super) origin: Origin,
    /// Where each key that was given came from; the others have their default.
    pub(super) origins: Origins,
}

/// A shorter secret can be guessed.
const SHORT: usize = 16;

/// A source as it is shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShownSource {
    /// Its name.
    pub name: String,
    /// Its keys with their effective values.
    pub keys: Vec<Shown>,
}

/// Says what is wrong with them beside each other.
pub(super) fn refuse(all: &[DescribedSource], problems: &mut Problems) {
    let mut names: BTreeMap<&str, &Origin> = BTreeMap::new();
    let mut paths: BTreeMap<&str, &Origin> = BTreeMap::new();
    for described in all.iter().filter(|described| !described.name().is_empty()) {
        let (name, path) = (described.name(), described.config.path.as_str());
        let at = described.origin_of("name");
        if let Some(whose) = reserved(name) {
            problems.note(at, format!("the name `{name}` is {whose}; give it another"));
        }
        if let Some(first) = names.insert(name, at) {
            let what = format!("the name `{name}` is taken ({first}); give each source its own");
            problems.note(at, what);
            if !described.origins.contains_key("path") {
                continue;
            }
        }
        let at = described.origin_of("path");
        if let Some(first) = paths.insert(path, at) {
            let what = format!("the path {path} is taken ({first}); give each source its own");
            problems.note(at, what);
        }
    }
}

fn reserved(name: &str) -> Option<&'static str> {
    match name {
        ORBIT => Some("Orbit's, which is always there"),
        RELAY => Some("the relay's own"),
        _ => None,
    }
}

/// Those that believe everybody.
pub(super) fn insecure(all: &[DescribedSource]) -> Vec<String> {
    let insecure = all
        .iter()
        .filter(|described| matches!(described.config.scheme, Scheme::None { .. }));
    insecure
        .map(|described| {
            format!(
                "{}: nothing that comes to the source {} is signed: whoever reaches {} on the \
                 webhook port can make events",
                described.origin_of("scheme"),
                described.name(),
                described.config.path,
            )
        })
        .collect()
}

/// Those whose secret somebody could guess.
pub(super) fn short_secrets(all: &[DescribedSource]) -> Vec<String> {
    let is_short = |secret: &secret::Source| {
        let secret = secret.current();
        secret.is_ok_and(|secret| secret.expose().chars().count() < SHORT)
    };
    let short = all
        .iter()
        .filter(|described| described.config.secrets.iter().any(is_short));
    short
        .map(|described| {
            format!(
                "{}: a secret of the source {} has fewer than {SHORT} characters and can be \
                 guessed; take a longer one, such as `openssl rand -hex 32` makes",
                described.origin_of("secret"),
                described.name(),
            )
        })
        .collect()
}

impl DescribedSource {
    pub(super) fn name(&self) -> &str {
        &self.config.name
    }

    /// Where this key came from, or else the source.
    pub(super) fn origin_of(&self, key: &str) -> &Origin {
        self.origins.get(key).unwrap_or(&self.origin)
    }

    pub(super) fn show(&self) -> ShownSource {
        let source = &self.config;
        let mut keys = Keys::new(&self.origins);
        keys.add("name", &source.name);
        keys.add("path", &source.path);
        keys.add("scheme", source.scheme.name());
        if source.scheme.wants_secret() {
            let secrets = vec![SECRET; source.secrets.len()];
            keys.add("secret", secrets.join(", "));
        }
        scheme(&mut keys, &source.scheme);
        let events: Vec<_> = source.events.iter().map(Glob::text).collect();
        keys.add("events", events.join(", "));
        keys.optional("when", source.when.as_ref().map(Expression::text));
        keys.add("allow", callers(&source.allow));
        keys.add("rate_limit", limit(source.rate_limit.as_ref()));
        if judges_age(&source.scheme) {
            keys.add("max_age", duration(source.max_age));
        }
        ShownSource {
            name: self.name().to_owned(),
            keys: keys.shown,
        }
    }
}

/// Who may call, in words.
fn callers(allow: &[IpNet]) -> String {
    match allow {
        [] => "everyone".to_owned(),
        allow => listed(allow),
    }
}

/// Networks with commas between them; of a single address only that.
pub(super) fn listed(networks: &[IpNet]) -> String {
    let texts: Vec<_> = networks
        .iter()
        .map(|network| {
            if network.prefix_len() == network.max_prefix_len() {
                network.addr().to_string()
            } else {
                network.to_string()
            }
        })
        .collect();
    texts.join(", ")
}

/// How many are taken, in words.
fn limit(limit: Option<&RateLimit>) -> String {
    match limit {
        None => NOT_SET.to_owned(),
        Some(RateLimit { per_minute, burst }) => {
            format!("{per_minute} a minute, {burst} at once")
        }
    }
}

/// Whether something says when a request was signed.
fn judges_age(scheme: &Scheme) -> bool {
    match scheme {
        Scheme::Hmac(form) => form.timestamp.is_some(),
        Scheme::Stripe | Scheme::Slack | Scheme::Up42 { .. } | Scheme::StandardWebhooks => true,
        Scheme::Github | Scheme::Servo | Scheme::Token(_) | Scheme::None { .. } => false,
    }
}

fn scheme(keys: &mut Keys<'_>, scheme: &Scheme) {
    match scheme {
        Scheme::Stripe
        | Scheme::Github
        | Scheme::Slack
        | Scheme::Servo
        | Scheme::StandardWebhooks => {}
        Scheme::Up42 { body_unsigned } => {
            keys.optional("body_unsigned", body_unsigned.then_some("accept"));
        }
        Scheme::Hmac(form) => {
            hmac(keys, form);
            if scheme.body_unsigned() {
                keys.add("body_unsigned", "accept");
            }
        }
        Scheme::Token(form) => {
            let (key, value) = match &form.shown {
                Credential::Header(name) => ("credential.header", name.as_str()),
                Credential::Bearer => ("credential", "bearer"),
                Credential::Basic => ("credential", "basic"),
            };
            keys.add(key, value);
            names(keys, &form.names);
        }
        Scheme::None { names: of } => {
            keys.add("insecure", "true");
            names(keys, of);
        }
    }
}

fn hmac(keys: &mut Keys<'_>, form: &HmacForm) {
    keys.add("header", &form.header);
    let prefix = Some(form.prefix.as_str()).filter(|prefix| !prefix.is_empty());
    keys.optional("prefix", prefix);
    keys.add(
        "algorithm",
        match form.hash {
            Hash::Sha1 => "sha1",
            Hash::Sha256 => "sha256",
            Hash::Sha512 => "sha512",
        },
    );
    keys.add(
        "encoding",
        match form.code {
            Encoding::Hex => "hex",
            Encoding::Base64 => "base64",
        },
    );
    keys.add(
        "key",
        match form.key {
            KeyForm::Text => "text",
            KeyForm::Hex => "hex",
            KeyForm::Base64 => "base64",
        },
    );
    if let Some((header, unit)) = &form.timestamp {
        keys.add("timestamp.header", header);
        keys.add(
            "timestamp.unit",
            match unit {
                Unit::Seconds => "s",
                Unit::Milliseconds => "ms",
                Unit::Rfc3339 => "rfc3339",
            },
        );
    }
    keys.add("signed", signed_text(&form.signed));
    names(keys, &form.names);
}

fn names(keys: &mut Keys<'_>, names: &Names) {
    for (key, place) in [("id", &names.id), ("type", &names.event_type)] {
        match place {
            None => keys.optional(key, None),
            Some(Place::Pointer(pointer)) => keys.add(key, pointer),
            Some(Place::Header(header)) => keys.add(&format!("{key}.header"), header),
        }
    }
}
