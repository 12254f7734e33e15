//! Who sends, as `send` and `verify` have it: Orbit or a configured source, with its secrets.
//!
//! # Invariants
//! - A secret is in no text that is made here.

use std::time::Duration;

use jiff::Timestamp;

use super::Usage;
use crate::app::secret;
use crate::config::Config;
use crate::event::{Envelope, Identity, ORBIT, RELAY};
use crate::relay::receive::{Source, not_an_object};
use crate::relay::verify::scheme::{Draft, Verified};
use crate::relay::verify::{Headers, Refusal, Scheme, orbit};
use crate::secret::{Secret, WebhookSecret};

/// Who sends.
#[derive(Clone, Debug)]
pub(super) struct Sender<'a> {
    pub(super) name: &'a str,
    how: How<'a>,
    /// The first is the one to sign with.
    pub(super) secrets: Vec<Known>,
}

#[derive(Clone, Copy, Debug)]
enum How<'a> {
    Orbit(Duration),
    Source(&'a Source),
}

/// A secret, and what people call it.
#[derive(Clone, Debug)]
pub(super) struct Known {
    pub(super) called: String,
    pub(super) secret: Secret,
}

impl<'a> Sender<'a> {
    /// The one of this name.
    pub(super) fn find(config: &'a Config, name: &str) -> anyhow::Result<Self> {
        match name {
            ORBIT => Self::orbit(config),
            RELAY => Err(Usage(
                "the relay posts nothing to itself: orbit-relay trigger EVENT makes a sample of its \
                 events"
                    .to_owned(),
            )
            .into()),
            _ => match config.sources.iter().find(|source| source.name == name) {
                Some(source) => Self::source(source),
                None => Err(unknown(config, name).into()),
            },
        }
    }

    /// The others, as far as their secrets can be read.
    pub(super) fn others(config: &'a Config, name: &str) -> Vec<Self> {
        let sources = config.sources.iter().filter(|source| source.name != name);
        let sources = sources.filter_map(|source| Self::source(source).ok());
        let orbit = (name != ORBIT).then(|| Self::orbit(config).ok()).flatten();
        sources.chain(orbit).collect()
    }

    fn orbit(config: &'a Config) -> anyhow::Result<Self> {
        let known = secret::known(config.secret.as_ref(), &config.data_dir);
        let known = known.map_err(anyhow::Error::msg)?;
        if known.is_empty() {
            let dir = config.data_dir.display();
            anyhow::bail!(
                "there is no webhook secret: none is given, and the relay has made none yet in {dir}"
            );
        }
        let known = known.into_iter().map(|(called, secret)| Known {
            called,
            secret: Secret::new(secret.expose_hex()),
        });
        Ok(Self {
            name: ORBIT,
            how: How::Orbit(config.max_age),
            secrets: known.collect(),
        })
    }

    /// A source that is not Orbit.
    pub(super) fn source(source: &'a Source) -> anyhow::Result<Self> {
        let count = source.secrets.len();
        let known = source.secrets.iter().enumerate().map(|(at, secret)| {
            let called = match (count, at) {
                (1, _) => "the secret".to_owned(),
                (_, at) => format!("secret {} of {count}", at + 1),
            };
            match secret.current() {
                Ok(secret) => Ok(Known { called, secret }),
                Err(error) => anyhow::bail!("{called} of the source `{}`: {error}", source.name),
            }
        });
        Ok(Self {
            name: &source.name,
            how: How::Source(source),
            secrets: known.collect::<anyhow::Result<_>>()?,
        })
    }

    /// The same with other secrets.
    pub(super) fn with(&self, secrets: Vec<Known>) -> Self {
        Self {
            secrets,
            ..self.clone()
        }
    }

    /// Where it posts.
    pub(super) fn path(&self) -> &'a str {
        match self.how {
            How::Orbit(_) => "/",
            How::Source(source) => &source.path,
        }
    }

    /// How it signs; Orbit's own scheme has no other user.
    pub(super) fn scheme(&self) -> Option<&'a Scheme> {
        match self.how {
            How::Orbit(_) => None,
            How::Source(source) => Some(&source.scheme),
        }
    }

    /// What is configured, but for Orbit.
    pub(super) fn configured(&self) -> Option<&'a Source> {
        match self.how {
            How::Orbit(_) => None,
            How::Source(source) => Some(source),
        }
    }

    pub(super) fn max_age(&self) -> Duration {
        match self.how {
            How::Orbit(max_age) => max_age,
            How::Source(source) => source.max_age,
        }
    }

    /// The secrets without their names.
    pub(super) fn plain_secrets(&self) -> Vec<Secret> {
        self.secrets
            .iter()
            .map(|known| known.secret.clone())
            .collect()
    }

    /// Checks a request as receive does.
    pub(super) fn verify(
        &self,
        headers: &Headers<'_>,
        body: &[u8],
        secrets: &[Secret],
        now: Timestamp,
        max_age: Duration,
    ) -> Result<Verified, Refusal> {
        if let How::Source(source) = self.how {
            return source.scheme.verify(headers, body, secrets, now, max_age);
        }
        let signature = orbit::Signature::read(headers.all(orbit::HEADER))?;
        let mut refusal = Refusal::WrongSignature;
        for secret in secrets {
            let Ok(secret) = WebhookSecret::parse(secret.expose()) else {
                continue;
            };
            match signature.verify(body, &secret, now, max_age) {
                Ok(proof) => return Ok(of_orbit(body, proof)),
                // Whose code matches says more than whose does not.
                Err(Refusal::WrongSignature) => {}
                Err(other) => refusal = other,
            }
        }
        Err(refusal)
    }

    /// The headers that it signs with.
    pub(super) fn sign(&self, draft: &Draft<'_>) -> anyhow::Result<Vec<(String, String)>> {
        let none = || Secret::new(String::new());
        let secret = self.secrets.first().map(|known| known.secret.clone());
        let secret = secret.unwrap_or_else(none);
        match self.how {
            How::Source(source) => Ok(source.scheme.sign(&secret, draft)?),
            How::Orbit(_) => {
                let secret = WebhookSecret::parse(secret.expose())?;
                let value = orbit::sign(&secret, draft.at, draft.body);
                Ok(vec![("Orbit-Signature".to_owned(), value)])
            }
        }
    }
}

fn of_orbit(body: &[u8], proof: orbit::Proof) -> Verified {
    let envelope = Envelope::parse(body).ok();
    let identity = envelope.as_ref().map(|envelope| envelope.identity(body));
    let event_type = envelope.map(|envelope| envelope.event_type().to_owned());
    Verified {
        event_type: event_type.unwrap_or_default(),
        identity: identity.unwrap_or(Identity::Body(String::new())),
        proof: Some(proof),
        reply: None,
    }
}

/// Why a body is no event, though its request verifies.
pub(super) fn not_an_event(sender: &Sender<'_>, body: &[u8]) -> Option<String> {
    match sender.how {
        How::Orbit(_) => Envelope::parse(body).err().map(|error| error.to_string()),
        How::Source(_) => not_an_object(body).map(str::to_owned),
    }
}

fn unknown(config: &Config, name: &str) -> Usage {
    let names = config.sources.iter().map(|source| &*source.name);
    let nearest = names
        .chain([ORBIT])
        .max_by(|a, b| strsim::jaro_winkler(a, name).total_cmp(&strsim::jaro_winkler(b, name)));
    Usage(format!(
        "no source `{name}`; is it `{}`? orbit-relay sources list shows all",
        nearest.unwrap_or(ORBIT)
    ))
}
