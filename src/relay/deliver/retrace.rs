//! The requests of one delivery, as far as the journal knows them: for people who look at it.
//!
//! # Invariants
//! - Pure. No secret is read, and none is shown: neither in headers nor in URLs.
//! - What is frozen is shown as it is frozen, whatever the template and the asset map are by now.
//! - Any bytes give requests or an error, and no panic.

use url::Url;

use super::cargo::short_key;
use super::preview::{Came, Known, PreviewedRequest, requests, with_names};
use super::requests::{Progress, Requests};
use super::{Config, Form};
use crate::relay::assets::AssetMap;
use crate::relay::transform;

/// What the journal keeps of the requests of a delivery.
#[derive(Clone, Copy, Debug, Default)]
pub struct Kept<'a> {
    /// The relay's part of the body.
    pub relay: Option<&'a str>,
    /// The requests.
    pub message: Option<&'a str>,
    /// What of them was done.
    pub progress: Option<&'a str>,
    /// The version of the template that they are from.
    pub template: Option<&'a str>,
}

/// One request, and what came of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Retraced {
    /// The request.
    pub request: PreviewedRequest,
    /// What was taken of the answer, as JSON, if it is kept that it was done.
    pub done: Option<String>,
    /// Why it was refused, while others are still to be made.
    pub refused: Option<String>,
}

/// The requests of a delivery; without `config` the destination is no longer configured. Of a
/// template that is another by now, only what is frozen is known.
pub fn retrace(
    config: Option<&Config>,
    map: &AssetMap,
    came: &Came,
    orbit: Option<&Url>,
    kept: &Kept<'_>,
) -> Result<Vec<Retraced>, String> {
    let known = Known {
        relay: kept.relay.map(str::to_owned),
        requests: kept
            .message
            .map_or_else(|| Ok(Requests::default()), Requests::parse)?,
        progress: Progress::parse(kept.progress)?,
    };
    let of_now = config.filter(|config| {
        let version = config.message.version.as_deref();
        kept.relay.is_none() || version == kept.template
    });
    let all = match of_now {
        Some(config) => requests(config, map, came, orbit, &known)?,
        None => Vec::new(),
    };
    let is_event = of_now.is_some_and(|config| matches!(config.message.form, Form::Event));
    let mut all: Vec<_> = all
        .into_iter()
        .map(|request| known.retraced(request))
        .collect();
    if !is_event {
        all.extend(known.others(&all));
    }
    Ok(all)
}

impl Known {
    fn retraced(&self, request: PreviewedRequest) -> Retraced {
        let mut refused = self.progress.refused.iter();
        let refused = refused.find(|(name, _)| *name == request.round);
        Retraced {
            done: self.progress.of(&request.round).map(ToString::to_string),
            refused: refused.map(|(_, why)| why.clone()),
            request,
        }
    }

    /// What is frozen and belongs to no step of now: only where it goes and what it says is known.
    fn others(&self, shown: &[Retraced]) -> Vec<Retraced> {
        let key = self.relay.as_deref().and_then(transform::key_of);
        let key = key.unwrap_or_default();
        let short = short_key(&key);
        let known = |name: &str| shown.iter().any(|of| of.request.round == name);
        let others = self.requests.0.iter().filter(|(name, _)| !known(name));
        let others = others.map(|(name, rendered)| PreviewedRequest {
            step: name.split('/').next().unwrap_or_default().to_owned(),
            round: name.clone(),
            adds: self.progress.open.is_some(),
            frozen: true,
            when: None,
            method: "",
            url: rendered.url.clone(),
            headers: Vec::new(),
            body: rendered.body.as_deref().map(|body| with_names(body, short)),
        });
        others.map(|request| self.retraced(request)).collect()
    }
}
