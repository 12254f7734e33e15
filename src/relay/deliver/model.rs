//! The model of one event: which asset it is about, and what has to be asked for that.
//!
//! # Invariants
//! - Orbit is asked only for what a template, a filter or the asset map uses, and only where the
//!   event does not say it itself; for an anomaly only where there is an alert.

use jiff::Timestamp;
use url::Url;

use super::{Config, Shared, Unmapped};
use crate::event::{ALERT, COMPLETED, Envelope, ORBIT, Origin};
use crate::orbit::media::MediaUrl;
use crate::relay::assets::{AssetMap, Match, Subject};
use crate::relay::enrich::Needs;
use crate::relay::journal::{Claim, Enrichment};
use crate::relay::transform::json::Json;
use crate::relay::transform::model::{self as event_model, Facts, ModelAsset};
use crate::relay::transform::{Asset, Relay};

/// What of a run the model shows.
const OF_RUN: [&str; 5] = ["", "robot", "robot_serial", "operator", "summary"];
/// What of an anomaly the model shows, and the members of the event that say the same.
const OF_ANOMALY: [(&str, &[&str]); 7] = [
    (
        "",
        &["severity", "title", "customMetadataTags", "elementId"],
    ),
    ("severity", &["severity"]),
    ("severity_word", &["severity"]),
    ("title", &["title"]),
    ("tags", &["customMetadataTags"]),
    ("element_id", &["elementId"]),
    ("summary", &["title"]),
];

/// What a destination's templates and filter use of Orbit's answers.
#[derive(Clone, Debug, Default)]
pub(super) struct Uses {
    run: bool,
    /// Members of the event that, where they are missing, an anomaly may have.
    anomaly: Vec<&'static str>,
    asset: bool,
}

impl Uses {
    /// Of these names, such as `inspection.severity`.
    pub(super) fn of(names: impl Iterator<Item = String>) -> Self {
        let mut uses = Self::default();
        for name in names {
            let mut parts = name.split('.');
            let (root, member) = (parts.next(), parts.next().unwrap_or_default());
            match root {
                Some("inspection") => {
                    uses.run |= OF_RUN.contains(&member);
                    let of = OF_ANOMALY.iter().find(|(name, _)| *name == member);
                    uses.anomaly
                        .extend(of.into_iter().flat_map(|(_, said)| *said));
                }
                Some("asset" | "assets" | "readings" | "captures" | "item") => uses.asset = true,
                _ => {}
            }
        }
        uses
    }
}

/// What Orbit is asked of this event.
pub(super) fn needs(shared: &Shared, map: &AssetMap, claim: &Claim) -> Needs {
    let none = Needs::default();
    let wanted = shared.config.takes(&claim.source, &claim.event_type);
    let is_inspection = of_orbit(claim) && is_inspection(&claim.source, &claim.event_type);
    if claim.frozen.is_some() || !wanted || !is_inspection {
        return none;
    }
    let Ok(envelope) = Envelope::of(&claim.event_type, &claim.body) else {
        return none;
    };
    let (uses, rows) = (&shared.uses, map.uses());
    let lacks = |names: &[&str]| names.iter().any(|name| envelope.data(name).is_none());
    let run = (uses.run || rows.robot) && lacks(&["robotNickname"]);
    let by_orbit = rows.element_id && lacks(&["elementId"])
        || rows.orbit_asset_id && lacks(&["assetId"])
        || (uses.asset || shared.config.unmapped != Unmapped::Send)
            && lacks(&["assetId"])
            && matches!(find(map, &envelope, &Enrichment::default()), Found::None(_));
    let by_template = uses.anomaly.iter().any(|member| !says(&envelope, member));
    Needs {
        run,
        anomaly: claim.event_type == ALERT && (by_orbit || by_template),
    }
}

fn says(envelope: &Envelope<'_>, member: &str) -> bool {
    let data = envelope.members().raw("data");
    let data = data.and_then(|data| crate::event::Members::parse(data).ok());
    let said = data.as_ref().and_then(|data| data.raw(member));
    said.is_some_and(|said| said != "null")
}

/// Whether Orbit knows of it: not of what others sent, and not of a sample.
pub(super) fn of_orbit(claim: &Claim) -> bool {
    claim.source == ORBIT && claim.origin != Origin::Sample
}

/// Whether an event of this source and type is an inspection.
pub(super) fn is_inspection(source: &str, event_type: &str) -> bool {
    source == ORBIT && matches!(event_type, COMPLETED | ALERT)
}

/// What is known of one event: what its model is made of.
pub(super) struct View<'a> {
    pub(super) config: &'a Config,
    pub(super) map: &'a AssetMap,
    pub(super) envelope: &'a Envelope<'a>,
    pub(super) event: &'a [u8],
    pub(super) source: &'a str,
    pub(super) origin: &'a str,
    pub(super) received_at: Timestamp,
    pub(super) key: &'a str,
    pub(super) asset: Option<&'a ModelAsset>,
    pub(super) known: &'a Enrichment,
    /// Whether Orbit said all that it was asked.
    pub(super) word: Option<&'a str>,
    pub(super) orbit: Option<&'a Url>,
}

impl View<'_> {
    pub(super) fn model(&self) -> Json {
        let whole = subject(self.envelope, self.known);
        let asset_of = |part: &event_model::Subject<'_>| {
            if part.channel.is_none() && part.reading.is_none() {
                return self.asset.cloned();
            }
            let found = self.map.find(&whole.part(part.channel, part.reading));
            found.map(asset)
        };
        let url_of = |data_url: &str| self.url_of(data_url);
        event_model::build(&Facts {
            event: self.event,
            event_type: self.envelope.event_type(),
            source: self.source,
            origin: self.origin,
            received_at: self.received_at,
            key: self.key,
            run: self.known.run.as_deref(),
            anomaly: self.known.anomaly.as_deref(),
            enrichment: self.word,
            asset_of: &asset_of,
            url_of: &url_of,
            orbit: self.orbit,
            settings: &self.config.message.settings,
        })
    }

    /// Where a capture is, at the Orbit that is known.
    pub(super) fn url_of(&self, data_url: &str) -> Option<String> {
        let url = MediaUrl::parse(self.orbit?, data_url).ok()?;
        Some(url.as_str().to_owned())
    }

    /// What the relay adds to the event.
    pub(super) fn relay(&self) -> Result<String, serde_json::Error> {
        let received_at = self.received_at.to_string();
        let mut relay = Relay::new(self.key, self.source, self.origin, received_at);
        relay.event_type = (self.source != ORBIT).then(|| self.envelope.event_type());
        relay.enrichment = self.word;
        relay.asset = self.asset.map(|found| Asset {
            id: &found.id,
            matched_by: &found.matched_by,
            row: found.line,
            attributes: found
                .attributes
                .iter()
                .map(|(name, value)| (name.clone(), value.clone().into()))
                .collect(),
        });
        relay.to_json()
    }
}

/// The asset of an event.
pub(super) enum Found {
    Asset(ModelAsset),
    /// There is none for this.
    None(Subject),
}

/// The asset of an event for this destination; none where it is to be parked for want of one.
pub(super) fn asset_for(
    config: &Config,
    map: &AssetMap,
    source: &str,
    envelope: &Envelope<'_>,
    known: &Enrichment,
) -> Option<ModelAsset> {
    if source != ORBIT {
        return None;
    }
    match (find(map, envelope, known), &config.unmapped) {
        (Found::Asset(found), _) => Some(found),
        (Found::None(_), Unmapped::Default(id)) if is_inspection(source, envelope.event_type()) => {
            Some(default_asset(id))
        }
        _ => None,
    }
}

/// Looks the asset of an event up: as a whole, else by the first of its captures and readings that
/// the map has a row for.
pub(super) fn find(map: &AssetMap, envelope: &Envelope<'_>, known: &Enrichment) -> Found {
    let subject = subject(envelope, known);
    let whole = map.find(&subject);
    let found = whole.or_else(|| {
        let parts = subject.parts(envelope);
        parts.iter().find_map(|part| map.find(part))
    });
    match found {
        Some(found) => Found::Asset(asset(found)),
        None => Found::None(subject),
    }
}

/// What is looked up: what the event says, and where it does not, what Orbit said.
pub(super) fn subject(envelope: &Envelope<'_>, known: &Enrichment) -> Subject {
    let mut subject = Subject::of(envelope);
    let of = |text: &Option<String>, name: &str| {
        let json = Json::parse(text.as_ref()?.as_bytes()).ok()?;
        let text = json.get(name)?.as_str()?;
        (!text.is_empty()).then(|| text.to_owned())
    };
    let add = |slot: &mut Option<String>, text, name| {
        if slot.is_none() {
            *slot = of(text, name);
        }
    };
    add(&mut subject.orbit_asset_id, &known.anomaly, "assetId");
    add(&mut subject.element_id, &known.anomaly, "elementId");
    add(&mut subject.robot, &known.run, "robotNickname");
    subject
}

pub(super) fn asset(found: Match) -> ModelAsset {
    ModelAsset {
        id: found.asset_id,
        matched_by: found.matched_by,
        line: found.line,
        attributes: found.attributes,
    }
}

/// The one that stands for all that have none.
pub(super) fn default_asset(id: &str) -> ModelAsset {
    ModelAsset {
        id: id.to_owned(),
        matched_by: "default".to_owned(),
        line: None,
        attributes: Vec::new(),
    }
}

/// The asset that an earlier try was sent with.
pub(super) fn frozen_asset(relay: &str) -> Option<ModelAsset> {
    let relay = Json::parse(relay.as_bytes()).ok()?;
    let asset = relay.get("asset")?;
    let text = |name| asset.get(name).and_then(Json::as_str).map(str::to_owned);
    let attributes = match asset.get("attributes") {
        Some(Json::Object(members)) => members.as_slice(),
        _ => &[],
    };
    Some(ModelAsset {
        id: text("id")?,
        matched_by: text("matched_by").unwrap_or_default(),
        line: asset
            .get("row")
            .and_then(Json::as_i64)
            .and_then(|row| usize::try_from(row).ok()),
        attributes: attributes
            .iter()
            .filter_map(|(name, text)| Some((name.clone(), text.as_str()?.to_owned())))
            .collect(),
    })
}
