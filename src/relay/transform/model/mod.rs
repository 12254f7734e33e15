//! The model: what templates and filters see of an event (docs/event-model.md).
//!
//! ```text
//! mod         the facts it is made of, and the whole
//! inspection  what is known of the inspection
//! readings    one per key result
//! captures    one per data capture
//! assets      which asset each is about
//! summary     all of it in one line
//! units       units within names, and how units are shown
//! texts       texts of anything
//! schema.json its JSON Schema
//! ```
//!
//! # Invariants
//! - Pure, and the same facts give the same model.
//! - Any bytes give a model with all members: what is missing or not as expected is null.
//! - Bounded: at most [`MOST_CAPTURES`] and [`MOST_READINGS`]; what is repeated in each is short.

mod assets;
mod captures;
mod inspection;
mod readings;
mod summary;
mod texts;
mod units;

use jiff::Timestamp;
use url::Url;

pub use self::assets::{ModelAsset, Subject};
pub use self::captures::MOST_CAPTURES;
pub use self::readings::MOST_READINGS;

use self::assets::Assets;
use self::captures::Capture;
use self::inspection::Inspection;
use super::json::{Json, JsonError};
use crate::event::Members;

/// The JSON Schema of the model.
pub const SCHEMA: &str = include_str!("schema.json");

/// How many characters of the key systems with short fields get.
const SHORT_KEY: usize = 16;

/// What is said of what Orbit was asked.
const ENRICHMENTS: [&str; 2] = ["complete", "partial"];

/// What a model is made of.
#[derive(Clone, Copy)]
pub struct Facts<'a> {
    /// The event's bytes, as they came.
    pub event: &'a [u8],
    /// The event's type.
    pub event_type: &'a str,
    /// Who sent it.
    pub source: &'a str,
    /// How the relay came by it.
    pub origin: &'a str,
    /// When it came.
    pub received_at: Timestamp,
    /// The delivery's idempotency key.
    pub key: &'a str,
    /// Orbit's run, as JSON.
    pub run: Option<&'a str>,
    /// Orbit's anomaly, as JSON.
    pub anomaly: Option<&'a str>,
    /// Whether Orbit said all that it was asked: `complete` or `partial`.
    pub enrichment: Option<&'a str>,
    /// The plant's asset for an inspection, or one of its captures or readings.
    pub asset_of: &'a dyn Fn(&Subject<'_>) -> Option<ModelAsset>,
    /// The whole URL of a capture's `dataUrl`; none where it may not be fetched.
    pub url_of: &'a dyn Fn(&str) -> Option<String>,
    /// Orbit's address.
    pub orbit: Option<&'a Url>,
    /// The destination's settings.
    pub settings: &'a Json,
}

/// The model of an event for one destination.
pub fn build(facts: &Facts<'_>) -> Json {
    let event = read(facts.event);
    let said = |text: Option<&str>| text.map_or(Json::Null, |text| read(text.as_bytes()));
    let (run, anomaly) = (said(facts.run), said(facts.anomaly));
    let short_key: String = facts.key.chars().take(SHORT_KEY).collect();
    let inspection = Inspection::read(facts, &event, &anomaly, &run);
    let parts = inspection.map(|inspection| parts(facts, &event, &inspection, &short_key));
    let parts = parts.unwrap_or_else(Parts::none);
    let enrichment = facts.enrichment.filter(|word| ENRICHMENTS.contains(word));
    let settings = match facts.settings {
        Json::Object(_) => facts.settings.clone(),
        _ => Json::object([]),
    };
    Json::object([
        ("event", event),
        ("inspection", parts.inspection),
        ("readings", parts.readings),
        ("captures", parts.captures),
        ("asset", parts.asset),
        ("assets", parts.assets),
        ("key", facts.key.into()),
        ("short_key", short_key.into()),
        ("orbit_link", facts.orbit.and_then(front_page).into()),
        (
            "delivery",
            Json::object([
                ("source", facts.source.into()),
                ("event_type", facts.event_type.into()),
                ("origin", facts.origin.into()),
                ("received_at", facts.received_at.to_string().into()),
                ("enrichment", enrichment.into()),
            ]),
        ),
        ("settings", settings),
    ])
}

/// What there is of an inspection only.
struct Parts {
    inspection: Json,
    readings: Json,
    captures: Json,
    asset: Json,
    assets: Json,
}

impl Parts {
    fn none() -> Self {
        Self {
            inspection: Json::Null,
            readings: Json::Array(Vec::new()),
            captures: Json::Array(Vec::new()),
            asset: Json::Null,
            assets: Json::Array(Vec::new()),
        }
    }
}

fn parts(facts: &Facts<'_>, event: &Json, inspection: &Inspection, short_key: &str) -> Parts {
    let mut assets = Assets::new(inspection.subject(), facts.asset_of);
    let asset = assets.find(None, None);
    let captures = captures::read(event);
    let captures_json = captures.iter().map(|capture: &Capture<'_>| {
        let asset = assets.find(capture.channel.as_deref(), None);
        capture.to_json(facts.url_of, short_key, asset)
    });
    let captures_json = captures_json.collect();
    let readings = readings::read(&captures, inspection.time.as_deref());
    let readings_json = readings.iter().map(|reading| {
        let asset = assets.find(reading.channel.as_deref(), reading.name.as_deref());
        reading.to_json(asset)
    });
    let readings_json = readings_json.collect();
    let summary = summary::line(inspection, &readings);
    Parts {
        inspection: inspection.to_json(summary),
        readings: readings_json,
        captures: captures_json,
        asset,
        assets: assets.distinct(),
    }
}

/// What can be read of a text; of an object that nests too deeply, all members that do not.
fn read(text: &[u8]) -> Json {
    match Json::parse(text) {
        Ok(json) => json,
        Err(JsonError::Deep) => {
            str::from_utf8(text).map_or(Json::Null, |text| without_deep(text, 2))
        }
        Err(JsonError::Syntax(_)) => Json::Null,
    }
}

fn without_deep(text: &str, levels: usize) -> Json {
    let Ok(members) = Members::parse(text) else {
        return Json::Null;
    };
    let members = members.iter().map(|(name, raw)| {
        let member = match Json::parse(raw.as_bytes()) {
            Err(JsonError::Deep) if levels > 1 => without_deep(raw, levels - 1),
            parsed => parsed.unwrap_or(Json::Null),
        };
        (name.to_owned(), member)
    });
    Json::Object(members.collect())
}

/// Orbit's front page. Where the page of one inspection is, nothing says.
fn front_page(orbit: &Url) -> Option<String> {
    let origin = orbit.origin();
    origin
        .is_tuple()
        .then(|| format!("{}/", origin.ascii_serialization()))
}

#[cfg(test)]
mod tests;
