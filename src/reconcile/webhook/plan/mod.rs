//! What is to be done, given the configuration, the keys, the record and Orbit's list.
//!
//! # Invariants
//! - Pure.
//! - Only a webhook that is on record as ours is ever deleted. One that is not is taken over only
//!   where ours is missing and it has our address: at first contact whoever made it, later unless
//!   Orbit shows a secret that is not ours.
//! - Of several that may be taken over it is the one with our URL.
//! - What Orbit leaves out, or masks, is not compared.

use serde::{Deserialize, Serialize};
use url::Url;

use super::Config;
pub(super) use super::address::text;
use super::record::Record;
use crate::orbit::Webhook;
use crate::relay::verify::Keys;
use crate::secret::{Secret, WebhookSecret};

/// The name that people see in Orbit.
pub(super) const NAME: &str = "orbit-relay";

const STILL_THERE: &str = "deleted by a person, but still there (webhook delete deletes it)";

/// All that is looked at.
#[derive(Clone, Copy)]
pub(super) struct View<'a> {
    pub(super) config: &'a Config,
    pub(super) url: &'a Url,
    pub(super) keys: &'a Keys,
    pub(super) record: Option<&'a Record>,
    pub(super) webhooks: &'a [Webhook],
    /// Whether this is only to be reported.
    pub(super) observe: bool,
    /// Whether a person asks for it.
    pub(super) by_person: bool,
    /// Whether events failed to verify since Orbit was last given the secret.
    pub(super) unverified: bool,
}

/// What is to be done.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) act: Act,
    /// Webhooks of ours beside the one that stays: they go. Where a person deleted ours, those
    /// that are still there.
    pub(super) doubled: Vec<String>,
    /// Webhooks that are not ours and have our address: people hear of them.
    pub(super) twins: Vec<String>,
    /// Orbit's secret takes the place of ours.
    pub(super) adopt: Option<WebhookSecret>,
}

/// What is to be done to our webhook.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Act {
    /// There is none.
    Create,
    /// It is not as it should be.
    Update {
        uuid: String,
        name: String,
        enabled: bool,
        why: Vec<&'static str>,
    },
    /// It is as it should be; an administrator may have disabled it.
    Nothing { uuid: String, enabled: bool },
    /// A person deleted it, and that stands.
    StayDeleted,
}

/// What a webhook in Orbit is to this relay.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Relation {
    /// It is ours.
    Ours,
    /// It was ours, and another one is now.
    FormerlyOurs,
    /// It has our address and is not ours: each event comes twice.
    Twin,
    /// It has our port and our events at another host: perhaps a second relay.
    LookAlike,
    /// It is somebody else's.
    Other,
}

/// How much Orbit shows of a secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ShownSecret {
    /// All of it.
    Whole,
    /// Something in its place.
    Masked,
    /// Nothing.
    None,
}

impl Plan {
    /// What is not as it should be, in words.
    pub(super) fn differences(&self) -> Vec<&'static str> {
        let mut words = match &self.act {
            Act::Create => vec!["missing"],
            Act::Update { why, .. } => why.clone(),
            Act::Nothing { .. } | Act::StayDeleted => Vec::new(),
        };
        if self.adopt.is_some() {
            words.push("secret");
        }
        if !self.doubled.is_empty() {
            words.push(match self.act {
                Act::StayDeleted => STILL_THERE,
                _ => "doubled",
            });
        }
        words
    }

    /// Whether ours is there and has the current secret, as far as can be seen.
    pub(super) fn has_secret(&self) -> bool {
        let there = matches!(self.act, Act::Update { .. } | Act::Nothing { .. });
        there && !self.differences().contains(&"secret")
    }
}

pub(super) fn plan(view: &View<'_>) -> Plan {
    let enabled_changed = view
        .record
        .is_some_and(|record| record.enabled != view.config.enabled);
    let deleted = view.record.is_some_and(|record| record.deleted);
    let mut plan = Plan {
        act: Act::StayDeleted,
        doubled: Vec::new(),
        twins: Vec::new(),
        adopt: None,
    };
    let stays_deleted = deleted && !enabled_changed && !view.by_person;
    let ours = if stays_deleted { None } else { find(view) };
    for other in live(view.webhooks).filter(|w| ours.is_none_or(|ours| ours.uuid != w.uuid)) {
        let owned = view.record.is_some_and(|record| record.owns(&other.uuid));
        // All of them were to go, wherever they point: those of an unfinished deletion are left.
        if owned && (stays_deleted || view.config.names(other)) {
            plan.doubled.push(other.uuid.clone());
        } else if !owned && view.config.has(other) {
            plan.twins.push(other.uuid.clone());
        }
    }
    if stays_deleted {
        return plan;
    }
    match ours {
        None => plan.act = Act::Create,
        Some(ours) => compare(view, ours, &mut plan),
    }
    plan
}

/// What this webhook is to us; `ours` is the one that stays.
pub(super) fn relation(
    webhook: &Webhook,
    config: &Config,
    record: Option<&Record>,
    ours: Option<&str>,
) -> Relation {
    if ours == Some(&*webhook.uuid) {
        return Relation::Ours;
    }
    if record.is_some_and(|record| record.owns(&webhook.uuid)) {
        return Relation::FormerlyOurs;
    }
    if webhook.archived == Some(true) {
        Relation::Other
    } else if config.has(webhook) {
        Relation::Twin
    } else if looks_alike(webhook, config) {
        Relation::LookAlike
    } else {
        Relation::Other
    }
}

/// Which webhook is ours: the one on record, else another that was ours, else one at our address
/// that may be, the one with our URL first.
pub(super) fn find<'a>(view: &View<'a>) -> Option<&'a Webhook> {
    let live = live(view.webhooks);
    let on_record = |record: &Record| live.clone().find(|w| w.uuid == record.uuid);
    let was_ours = |record: &Record| {
        let mut owned = live.clone().filter(|w| record.owns(&w.uuid));
        owned.find(|w| view.config.names(w))
    };
    let candidates = || {
        let all = live.clone();
        all.filter(|w| view.config.has(w) && may_be_ours(view, w))
    };
    // Another one would be moved onto the URL of a twin.
    let at_url = || candidates().find(|w| view.config.is_at(w, view.url));
    view.record
        .and_then(on_record)
        .or_else(|| view.record.and_then(was_ours))
        .or_else(at_url)
        .or_else(|| candidates().next())
}

/// After ours is gone, one at our address is ours only if nothing speaks against it: its making may
/// have been answered to nobody. At first contact it is.
fn may_be_ours(view: &View<'_>, webhook: &Webhook) -> bool {
    let theirs = whole(webhook.secret.as_ref());
    let knows_ours = theirs.is_none_or(|theirs| view.keys.knows(&theirs));
    view.record.is_none() || knows_ours
}

/// How much of a webhook's secret Orbit shows.
pub(super) fn shown_secret(webhook: &Webhook) -> ShownSecret {
    match &webhook.secret {
        _ if whole(webhook.secret.as_ref()).is_some() => ShownSecret::Whole,
        Some(secret) if !secret.expose().is_empty() => ShownSecret::Masked,
        _ => ShownSecret::None,
    }
}

fn compare(view: &View<'_>, ours: &Webhook, plan: &mut Plan) {
    let config = view.config;
    let known = view.record.filter(|record| record.uuid == ours.uuid);
    let enabled = match known {
        // What an administrator did stands, but what the relay did as it stopped does not.
        Some(record)
            if record.enabled == config.enabled && !record.disabled_on_exit && !view.by_person =>
        {
            ours.enabled.unwrap_or(config.enabled)
        }
        _ => config.enabled,
    };
    let secret_differs = match judge_secret(view, known, ours) {
        Judged::Right => false,
        Judged::Wrong => true,
        Judged::Adopt(theirs) => {
            plan.adopt = Some(theirs);
            false
        }
    };
    let differences = [
        (known.is_none() && !view.observe, "first contact"),
        (
            ours.url.is_some() && !config.is_at(ours, view.url),
            "address",
        ),
        (
            ours.events
                .as_ref()
                .is_some_and(|events| !same_set(events, &config.events)),
            "events",
        ),
        (
            ours.validate_tls_cert
                .is_some_and(|v| v != config.validate_tls_cert),
            "TLS flag",
        ),
        (
            ours.enabled.is_some_and(|theirs| theirs != enabled),
            "enabled",
        ),
        (secret_differs, "secret"),
    ];
    let why: Vec<_> = differences
        .iter()
        .filter(|(differs, _)| *differs)
        .map(|(_, word)| *word)
        .collect();
    let uuid = ours.uuid.clone();
    plan.act = if why.is_empty() {
        Act::Nothing { uuid, enabled }
    } else {
        let name = ours.name.clone().filter(|name| !name.is_empty());
        Act::Update {
            uuid,
            name: name.unwrap_or_else(|| NAME.to_owned()),
            enabled,
            why,
        }
    };
}

enum Judged {
    Right,
    Wrong,
    Adopt(WebhookSecret),
}

fn judge_secret(view: &View<'_>, known: Option<&Record>, ours: &Webhook) -> Judged {
    let current = view.keys.current.fingerprint();
    let given_to_orbit = known.map(|record| record.secret_fingerprint == current);
    let Some(theirs) = whole(ours.secret.as_ref()) else {
        let wrong = match given_to_orbit {
            Some(given) => !given || view.unverified,
            None => !view.observe,
        };
        return if wrong { Judged::Wrong } else { Judged::Right };
    };
    if theirs.fingerprint() == current {
        return Judged::Right;
    }
    // While one secret takes the place of another, Orbit may still show the old one.
    let at_rest = view.keys.previous.is_none() && given_to_orbit != Some(false);
    if at_rest && !view.keys.given {
        Judged::Adopt(theirs)
    } else {
        Judged::Wrong
    }
}

/// The secret, if Orbit shows all of it. A row of one character is a mask, even one of zeros.
fn whole(secret: Option<&Secret>) -> Option<WebhookSecret> {
    let text = secret?.expose();
    let mask = text.chars().all(|c| text.starts_with(c));
    (text.len() == 64 && !mask)
        .then(|| WebhookSecret::parse(text).ok())
        .flatten()
}

fn live(webhooks: &[Webhook]) -> impl Iterator<Item = &Webhook> + Clone {
    webhooks.iter().filter(|w| w.archived != Some(true))
}

fn looks_alike(webhook: &Webhook, config: &Config) -> bool {
    let port = webhook.url.as_deref().and_then(|url| Url::parse(url).ok());
    let port = port.and_then(|theirs| theirs.port_or_known_default());
    let ours = config.urls.first().and_then(Url::port_or_known_default);
    let same_port = port.is_some() && port == ours;
    let events = webhook.events.as_ref();
    same_port && events.is_some_and(|events| same_set(events, &config.events))
}

fn same_set(a: &[String], b: &[String]) -> bool {
    a.iter().all(|item| b.contains(item)) && b.iter().all(|item| a.contains(item))
}

#[cfg(test)]
mod tests;
