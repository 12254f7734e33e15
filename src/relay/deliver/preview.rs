//! The requests that an event would make, without any being sent: for people who write templates,
//! and for tests.
//!
//! What an answer would give stands as its name, such as `steps.create.id`; so does a secret, such
//! as `secrets.password`.
//!
//! # Invariants
//! - Pure. No secret is read, and none is shown: neither in headers nor in URLs.
//! - Any bytes give requests or an error, and no panic.

use std::sync::Arc;

use jiff::Timestamp;
use url::Url;

use super::cargo::short_key;
use super::model::{self, View, asset_for, frozen_asset, is_inspection};
use super::own::{is_notice, unwanted};
use super::prepare;
use super::requests::{Keys, Progress, Requests, journals, render, rounds, said};
use super::{Config, Form, Images, Unmapped};
use crate::event::{self, Envelope, NOTICE, ORBIT, Origin, RELAY};
use crate::relay::assets::{AssetMap, Match};
use crate::relay::destination::{Kind, MqttConfig, Rendered, Round, Step, StepBody, Target};
use crate::relay::journal::Enrichment;
use crate::relay::transform;
use crate::relay::transform::json::Json;
use crate::relay::transform::model::ModelAsset;
use crate::relay::transform::pictures::{self, Shown};
use crate::relay::transform::template::Scope;

/// The name of the one request of the event form.
const SEND: &str = "send";
/// The method that stands for a message to a broker.
const PUBLISH: &str = "PUBLISH";

/// An event, and what is known of it besides.
#[derive(Clone, Debug)]
pub struct Came {
    /// Who sent it.
    pub source: String,
    /// Its type.
    pub event_type: String,
    /// How it came; the journal's word.
    pub origin: String,
    /// What it is known by.
    pub identity: String,
    /// When it came.
    pub received_at: Timestamp,
    /// Its bytes.
    pub body: Vec<u8>,
    /// What Orbit said of it.
    pub enrichment: Enrichment,
}

impl Came {
    /// As if it came now, with all that it says of itself: from Orbit, but for a notice of the
    /// relay.
    pub fn of(body: Vec<u8>, received_at: Timestamp) -> Result<Self, String> {
        let envelope = Envelope::parse(&body).map_err(|error| error.to_string())?;
        let event_type = envelope.event_type().to_owned();
        let is_notice = event_type == NOTICE;
        Ok(Self {
            source: if is_notice { RELAY } else { ORBIT }.to_owned(),
            origin: Origin::Webhook.as_str().to_owned(),
            identity: envelope.identity(&body).text(),
            event_type,
            received_at,
            enrichment: Enrichment::default(),
            body,
        })
    }

    fn envelope(&self) -> Result<Envelope<'_>, String> {
        Envelope::of(&self.event_type, &self.body).map_err(|error| error.to_string())
    }
}

/// A request that would be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PreviewedRequest {
    /// The step that makes it.
    pub step: String,
    /// The same, and behind a `/` the place of the item.
    pub round: String,
    /// Whether it adds to a ticket that is still open.
    pub adds: bool,
    /// Whether it is as it was frozen; else as it would be made now.
    pub frozen: bool,
    /// It is made only where this holds, which answers decide.
    pub when: Option<String>,
    /// Its method; `PUBLISH` at a broker.
    pub method: &'static str,
    /// Where it goes. What of that is a secret is `***`; what a signature adds is not there.
    pub url: String,
    /// Its headers, by their names; secrets are `***`. At a broker `topic` and `retain`.
    pub headers: Vec<(String, String)>,
    /// Its body. Pictures are named.
    pub body: Option<String>,
}

/// What becomes of an event, before it comes to requests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is sent.
    Sent,
    /// The destination does not want it, for this reason.
    Skipped(String),
    /// It waits for a row of the asset map.
    Parked,
}

/// The requests that this event makes, whether or not the destination wants it. A step whose `when`
/// asks for answers is among them, and says so.
pub fn preview(
    config: &Config,
    map: &AssetMap,
    came: &Came,
    orbit: Option<&Url>,
) -> Result<Vec<PreviewedRequest>, String> {
    requests(config, map, came, orbit, &Known::default())
}

/// What is known of the requests of a delivery besides its event.
#[derive(Debug, Default)]
pub(super) struct Known {
    /// The relay's part of the body, if it is frozen.
    pub(super) relay: Option<String>,
    pub(super) requests: Requests,
    pub(super) progress: Progress,
}

/// The requests: those that are frozen as they are, the others as they would be made now.
pub(super) fn requests(
    config: &Config,
    map: &AssetMap,
    came: &Came,
    orbit: Option<&Url>,
    known: &Known,
) -> Result<Vec<PreviewedRequest>, String> {
    let envelope = came.envelope()?;
    let mut view = view(config, map, &envelope, came, orbit);
    let seen = Seen::of(&view, came, known.relay.as_deref());
    seen.add_to(&mut view);
    let model = view.model();
    let short = short_key(&seen.key);
    let steps = match &config.message.form {
        Form::Event => return Ok(vec![event_form(&view, &model, known.relay.as_deref())?]),
        Form::Steps(steps) => steps,
    };
    let keys = Keys {
        delivery: &seen.key,
        source: &came.source,
        kind: seen.kind,
        identity: &came.identity,
        destination: &config.destination.id,
    };
    let scope = Scope::new(Arc::new(model));
    let mut all = Vec::new();
    for (adds, list) in [(false, steps), (true, &config.message.append)] {
        let open = known.progress.open.as_ref();
        if known.relay.is_some() && adds != open.is_some() {
            continue;
        }
        let scope = scope
            .with("steps", answers(config, list, &known.progress))
            .with("open", open.cloned().unwrap_or_else(|| opened(steps)));
        for step in list {
            let mut step = step.clone();
            let waits = step.when.as_ref().is_some_and(|when| {
                let mut names = when.names();
                names.any(|name| name.starts_with("steps"))
            });
            let when = if waits { step.when.take() } else { None };
            for round in rounds(&step, &scope)? {
                let key = keys.of(list, &step, &round, adds);
                let frozen = known.requests.get(&round.name);
                let frozen = frozen.filter(|_| journals(&step));
                let mut request = of_step(config, &step, &round, frozen, &key, short)?;
                request.adds = adds;
                request.when = when.as_ref().map(|when| when.text().to_owned());
                all.push(request);
            }
        }
    }
    Ok(all)
}

/// What becomes of this event before that.
pub fn verdict(
    config: &Config,
    map: &AssetMap,
    came: &Came,
    orbit: Option<&Url>,
) -> Result<Verdict, String> {
    let envelope = came.envelope()?;
    let (source, kind) = (&*came.source, &*came.event_type);
    if let Some(reason) = unwanted(config, source, &envelope) {
        return Ok(Verdict::Skipped(reason));
    }
    let mut view = view(config, map, &envelope, came, orbit);
    let seen = Seen::of(&view, came, None);
    seen.add_to(&mut view);
    if let Some(when) = &config.when
        && !is_notice(source, kind)
    {
        let scope = Scope::new(Arc::new(view.model()));
        let holds = when.holds_in(&scope).map_err(|error| error.to_string())?;
        if !holds {
            return Ok(Verdict::Skipped(format!("does not hold: {}", when.text())));
        }
    }
    let parks =
        config.unmapped == Unmapped::Park && is_inspection(source, kind) && seen.asset.is_none();
    Ok(if parks {
        Verdict::Parked
    } else {
        Verdict::Sent
    })
}

/// The row of the map that an inspection as a whole finds.
pub fn row(map: &AssetMap, source: &str, event: &[u8], known: &Enrichment) -> Option<Match> {
    let envelope = Envelope::parse(event).ok().filter(|_| source == ORBIT)?;
    map.find(&model::subject(&envelope, known))
}

/// What is found out of an event first.
struct Seen<'a> {
    /// What stands for the type in keys.
    kind: &'a str,
    key: String,
    asset: Option<ModelAsset>,
}

/// What is known of the event as it came.
fn view<'a>(
    config: &'a Config,
    map: &'a AssetMap,
    envelope: &'a Envelope<'a>,
    came: &'a Came,
    orbit: Option<&'a Url>,
) -> View<'a> {
    View {
        config,
        map,
        envelope,
        event: &came.body,
        source: &came.source,
        origin: &came.origin,
        received_at: came.received_at,
        key: "",
        asset: None,
        known: &came.enrichment,
        word: None,
        orbit,
    }
}

impl<'a> Seen<'a> {
    /// What is frozen of it goes before what would be found now.
    fn of(view: &View<'_>, came: &'a Came, relay: Option<&str>) -> Self {
        let (config, source) = (view.config, &*came.source);
        let kind = prepare::kind(config, source, &came.event_type);
        let id = &config.destination.id;
        let asset = match relay {
            Some(relay) => frozen_asset(relay),
            None => asset_for(config, view.map, source, view.envelope, view.known),
        };
        let key = relay.and_then(transform::key_of);
        Self {
            kind,
            key: key.unwrap_or_else(|| event::idempotency_key(source, kind, &came.identity, id)),
            asset,
        }
    }

    fn add_to<'b>(&'b self, view: &mut View<'b>) {
        let is_known = view.known.run.is_some() || view.known.anomaly.is_some();
        view.word = is_known.then_some("complete");
        view.key = &self.key;
        view.asset = self.asset.as_ref();
    }
}

fn event_form(
    view: &View<'_>,
    model: &Json,
    frozen: Option<&str>,
) -> Result<PreviewedRequest, String> {
    let config = view.config;
    let captures = if view.source == ORBIT {
        pictures::captures(view.envelope)
    } else {
        Vec::new()
    };
    let shown = captures.iter().map(|capture| {
        let (Some(_), Some(data_url)) = (view.orbit, &capture.data_url) else {
            return Shown::Absent;
        };
        match config.message.images {
            Images::Embed => Shown::Embedded {
                media_type: media_type(model, capture.index),
            },
            Images::Link => Shown::Linked {
                url: view.url_of(data_url),
                note: None,
            },
            Images::Attach | Images::None => Shown::Absent,
        }
    });
    let shown: Vec<_> = shown.collect();
    let short = short_key(view.key);
    let changes = shown.iter().any(|shown| *shown != Shown::Absent);
    let data = changes.then(|| pictures::with_pictures(view.envelope, &shown, short));
    let data = data.flatten();
    let relay = match frozen {
        Some(frozen) => frozen.to_owned(),
        None => view.relay().map_err(|error| error.to_string())?,
    };
    let mut body = Vec::new();
    let written = transform::write_body(&mut body, view.envelope, data.as_deref(), &relay);
    written.map_err(|error| error.to_string())?;
    let body = String::from_utf8(body).map_err(|error| error.to_string())?;
    let base = &config.destination.url;
    let mut request = PreviewedRequest {
        step: SEND.to_owned(),
        round: SEND.to_owned(),
        adds: false,
        frozen: frozen.is_some(),
        when: None,
        method: "POST",
        url: config.destination.shown(base),
        headers: Vec::new(),
        body: Some(with_names(&body, short)),
    };
    if let Kind::Mqtt(mqtt) = &config.destination.kind {
        let scope = Scope::new(Arc::new(model.clone()));
        publish(&mut request, mqtt, &scope)?;
    } else {
        request.headers = config.destination.shown_headers(view.key, None);
    }
    Ok(request)
}

fn of_step(
    config: &Config,
    step: &Step,
    round: &Round,
    frozen: Option<&Rendered>,
    key: &str,
    short: &str,
) -> Result<PreviewedRequest, String> {
    let names = config.message.secrets.iter();
    let names = names.map(|(name, _)| (name.clone(), format!("secrets.{name}").into()));
    let secret = Round {
        name: round.name.clone(),
        scope: round.scope.with("secrets", Json::Object(names.collect())),
    };
    let rendered = match frozen {
        Some(frozen) => frozen.clone(),
        None => render(config, step, if step.fresh { &secret } else { round })?,
    };
    let mut request = PreviewedRequest {
        step: step.name.clone(),
        round: round.name.clone(),
        adds: false,
        frozen: frozen.is_some(),
        when: None,
        method: step.method.name(),
        url: String::new(),
        headers: Vec::new(),
        body: body(step, round, &rendered, short),
    };
    let base = &config.destination.url;
    if let Kind::Mqtt(mqtt) = &config.destination.kind {
        request.url = config.destination.shown(base);
        publish(&mut request, mqtt, &round.scope)?;
        return Ok(request);
    }
    let sent = step.request(base, &rendered, None, &secret.scope, Vec::new());
    let sent = sent.map_err(|error| said(&round.name, error))?;
    request.url = config.destination.shown(&sent.url);
    request.headers = config.destination.shown_headers(key, Some(&sent));
    Ok(request)
}

fn publish(request: &mut PreviewedRequest, mqtt: &MqttConfig, scope: &Scope) -> Result<(), String> {
    let topic = mqtt.topic.fill_topic(scope);
    let topic = topic.map_err(|error| error.to_string())?;
    request.method = PUBLISH;
    request.headers = vec![
        ("retain".to_owned(), mqtt.retain.to_string()),
        ("topic".to_owned(), topic),
    ];
    Ok(())
}

fn body(step: &Step, round: &Round, rendered: &Rendered, short: &str) -> Option<String> {
    if matches!(step.body, StepBody::Capture) {
        let item = round.scope.get("item").and_then(|item| item.get("name"));
        let name = item.and_then(Json::as_str).unwrap_or("the capture");
        return Some(format!("(the bytes of {name})"));
    }
    let body = rendered.body.as_deref();
    body.map(|body| with_names(body, short))
}

/// The body with names where pictures would stand.
pub(super) fn with_names(body: &str, short: &str) -> String {
    let wanted = pictures::wanted(body, short).into_iter();
    let names = wanted.map(|index| {
        let name = format!("(picture {} in base64)", index + 1);
        (index, name.into_bytes())
    });
    let filled = pictures::fill(body, short, names.collect(), u64::MAX);
    String::from_utf8_lossy(&filled).into_owned()
}

fn media_type(model: &Json, index: usize) -> String {
    let capture = model.get("captures").and_then(|all| all.at(index));
    let media_type = capture.and_then(|capture| capture.get("type")?.as_str());
    media_type.unwrap_or("application/octet-stream").to_owned()
}

/// What these steps took, and what stands for what they will take.
fn answers(config: &Config, steps: &[Step], progress: &Progress) -> Json {
    let origin = config.destination.url.origin().ascii_serialization();
    let heads: Vec<String> = steps
        .iter()
        .filter_map(|step| match &step.target {
            Target::Url { head, .. } => head.as_ref(),
            Target::Path(_) => None,
        })
        .flat_map(|head| head.names().collect::<Vec<_>>())
        .collect();
    let of = |step: &Step| {
        if let Some(taken) = progress.of(&step.name) {
            return (step.name.clone(), taken.clone());
        }
        let taken = step.take.iter().map(|(name, _)| {
            let whole = format!("steps.{}.{name}", step.name);
            let answer = if heads.contains(&whole) {
                format!("{origin}/{whole}")
            } else {
                whole
            };
            (name.clone(), answer.into())
        });
        (step.name.clone(), Json::Object(taken.collect()))
    };
    Json::Object(steps.iter().map(of).collect())
}

/// What stands for what is known of an open ticket.
fn opened(steps: &[Step]) -> Json {
    let mut members: Vec<(String, Json)> = Vec::new();
    let kept = steps.iter().filter(|step| !step.fresh);
    for (name, _) in kept.flat_map(|step| &step.take) {
        if !members.iter().any(|(known, _)| known == name) {
            members.push((name.clone(), format!("open.{name}").into()));
        }
    }
    Json::Object(members)
}
