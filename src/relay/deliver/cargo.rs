//! What a delivery brings: the event itself, the event with pictures, or requests of a template.
//!
//! # Invariants
//! - The first request of a template that needs no answer is rendered here, and frozen before
//!   anything is sent; later ones are frozen when they are rendered.

use std::sync::Arc;

use super::Shared;
use super::config::{Form, Images};
use super::learn::Learnt;
use super::model::{View, of_orbit};
use super::prepare::kind;
use super::requests::{Progress, Requests, Run};
use crate::event::Envelope;
use crate::relay::assets::AssetMap;
use crate::relay::destination::{Kind, Message as Published, What};
use crate::relay::journal::Claim;
use crate::relay::transform;
use crate::relay::transform::json::Json;
use crate::relay::transform::model::ModelAsset;
use crate::relay::transform::pictures::{self, Capture, Shown};
use crate::relay::transform::template::Scope;

/// A tree of JSON takes about so many times the memory of its text.
const WEIGHT: usize = 8;

/// What a delivery brings.
#[derive(Debug)]
pub(super) enum Cargo {
    /// This body.
    Body(Post),
    /// The event, with pictures that are yet to be fetched.
    Pictured(Pictured),
    /// The requests of a template.
    Steps(Box<Run>),
}

/// A body, and where it goes.
#[derive(Debug, Default)]
pub(super) struct Post {
    pub(super) body: Vec<u8>,
    /// The topic, at a broker.
    pub(super) topic: Option<String>,
}

impl Post {
    pub(super) fn into_what(self) -> What {
        let payload = self.body;
        match self.topic {
            Some(topic) => What::Message(Published { topic, payload }),
            None => What::Event(payload),
        }
    }
}

/// The event, with pictures that are yet to be fetched.
#[derive(Debug)]
pub(super) struct Pictured {
    pub(super) topic: Option<String>,
    pub(super) event: Vec<u8>,
    pub(super) relay: String,
    pub(super) captures: Vec<Capture>,
}

impl Cargo {
    /// About as much as it takes until it is sent.
    pub(super) fn bytes(&self) -> usize {
        match self {
            Self::Body(post) => post.body.len(),
            Self::Pictured(pictured) => pictured.event.len(),
            Self::Steps(run) => run.bytes(),
        }
    }

    /// The ticket that is still open goes before making one, but where one may be made already.
    pub(super) fn with_open(&mut self, open: Option<String>) {
        if let (Self::Steps(run), Some(open)) = (self, open) {
            run.adds_to(Json::parse(open.as_bytes()).unwrap_or(Json::Null));
        }
    }
}

/// What is known when the cargo is made.
pub(super) struct Draft<'a> {
    pub(super) shared: &'a Shared,
    pub(super) map: &'a Arc<AssetMap>,
    pub(super) claim: &'a Claim,
    pub(super) envelope: &'a Envelope<'a>,
    pub(super) key: &'a str,
    pub(super) asset: Option<&'a ModelAsset>,
    pub(super) learnt: &'a Learnt,
}

impl Draft<'_> {
    /// What templates and filters see.
    pub(super) fn scope(&self) -> Scope {
        Scope::new(Arc::new(self.view().model()))
    }

    /// What is known of the event.
    pub(super) fn view(&self) -> View<'_> {
        let (shared, claim) = (self.shared, self.claim);
        View {
            config: &shared.config,
            map: self.map,
            envelope: self.envelope,
            event: &claim.body,
            source: &claim.source,
            origin: claim.origin.as_str(),
            received_at: claim.received_at,
            key: self.key,
            asset: self.asset,
            known: &self.learnt.known,
            word: self.learnt.word(),
            orbit: shared.enrich.orbit(),
        }
    }

    /// What it brings; and the requests that are to be frozen, if they were not.
    pub(super) fn cargo(&self, relay: &str) -> Result<(Cargo, Option<String>), String> {
        let message = &self.shared.config.message;
        match &message.form {
            Form::Event => Ok((self.event(relay)?, None)),
            Form::Steps(steps) => {
                let claim = self.claim;
                let frozen = claim.message.as_deref().map(Requests::parse).transpose()?;
                let is_frozen = frozen.is_some();
                let mut run = Run {
                    scope: self.scope(),
                    requests: frozen.unwrap_or_default(),
                    progress: Progress::parse(claim.progress.as_deref())?,
                    captures: self.captures(),
                    kind: kind(&self.shared.config, &claim.source, &claim.event_type).to_owned(),
                    // What was only given back was not tried either.
                    first: claim.frozen.is_none() || claim.attempt <= 1,
                    weight: claim.body.len().saturating_mul(WEIGHT),
                };
                if !is_frozen {
                    run.freeze_first(&self.shared.config, steps)?;
                }
                let requests = (!is_frozen).then(|| run.requests.to_text());
                Ok((Cargo::Steps(Box::new(run)), requests))
            }
        }
    }

    /// Its captures, where Orbit has pictures of them.
    fn captures(&self) -> Vec<Capture> {
        if of_orbit(self.claim) {
            pictures::captures(self.envelope)
        } else {
            Vec::new()
        }
    }

    fn event(&self, relay: &str) -> Result<Cargo, String> {
        let (claim, enrich) = (self.claim, &self.shared.enrich);
        let images = self.shared.config.message.images;
        let has_orbit = enrich.orbit().is_some();
        if images == Images::None || !has_orbit {
            return self.body(relay, None);
        }
        let captures = self.captures();
        if !captures.iter().any(|capture| capture.data_url.is_some()) {
            return self.body(relay, None);
        }
        if images == Images::Link {
            let links = captures.iter().map(|capture| Shown::Linked {
                url: capture
                    .data_url
                    .as_deref()
                    .and_then(|url| enrich.url_of(url)),
                note: None,
            });
            let links: Vec<_> = links.collect();
            let data = pictures::with_pictures(self.envelope, &links, short_key(self.key));
            return self.body(relay, data.as_deref());
        }
        Ok(Cargo::Pictured(Pictured {
            topic: self.topic()?,
            event: claim.body.clone(),
            relay: relay.to_owned(),
            captures,
        }))
    }

    fn body(&self, relay: &str, data: Option<&str>) -> Result<Cargo, String> {
        let mut body = Vec::with_capacity(self.claim.body.len() + relay.len() + 16);
        transform::write_body(&mut body, self.envelope, data, relay).map_err(|e| e.to_string())?;
        let topic = self.topic()?;
        Ok(Cargo::Body(Post { body, topic }))
    }

    /// Where the event is published, at a broker.
    fn topic(&self) -> Result<Option<String>, String> {
        let Kind::Mqtt(mqtt) = &self.shared.config.destination.kind else {
            return Ok(None);
        };
        let topic = mqtt.topic.fill_topic(&self.scope());
        topic.map(Some).map_err(|error| error.to_string())
    }
}

/// The part of a key that marks and short fields have.
pub(super) fn short_key(key: &str) -> &str {
    key.get(..16).unwrap_or(key)
}
