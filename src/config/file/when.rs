//! What a `when` or a template may ask for: names that exist, and that can be evaluated.
//!
//! # Invariants
//! - A name that nobody has is refused at start, with the nearest that somebody has.

use std::sync::{Arc, LazyLock};

use jiff::Timestamp;
use serde::Serialize;
use serde_json::json;

use super::message::NAMES;
use super::reader::Item;
use crate::config::nearest;
use crate::event::ALERT;
use crate::relay::destination::{Each, RESPONSE_MEMBERS, Step};
use crate::relay::transform::expression::{Expression, ExpressionError};
use crate::relay::transform::json::Json;
use crate::relay::transform::model::{self, Facts, ModelAsset};
use crate::relay::transform::template::{Scope, TemplateError};

/// What cannot be right for any event.
const ALWAYS: [&str; 9] = [
    "unknown filter",
    "unknown test",
    "unknown function",
    "fuel",
    "missing argument",
    "too many arguments",
    "there is no time zone",
    "the time format",
    "replace nothing",
];
/// What cannot be right where all that is asked for is there, and of the type that it always has.
const OF_VALUES: &str = "cannot convert";
/// What other systems say has any type.
const OF_OTHERS: [&str; 3] = ["steps.", "open.", "event."];
const STEPS: &str = "steps";
/// How an error ends that something missing may explain.
const MISSING: [&str; 2] = ["is not there)", "is null)"];

/// An alert with one of everything.
const ALERT_SAMPLE: &str = r#"{"uuid":"0d5b7a52-0001-4c1e-9a10-000000000001","type":"ACTION_COMPLETED_WITH_ALERT","time":"2026-02-03T09:14:07.118Z","data":{"uuid":"9b1f0a11-1111-4a1a-8a1a-000000000001","runUuid":"5c2e0000-2222-4b2b-8b2b-000000000001","time":"2026-02-03T09:13:55.402Z","createdAt":"2026-02-03T09:14:06.931Z","actionName":"P-101 motor DE","actionUuid":"aa000000-0000-4000-8000-000000000101","missionName":"Pump hall","eventType":"daq","error":0,"elementId":"e1000000-0000-4000-8000-000000000003","assetId":"P-101","customMetadataTags":["pump"],"severity":3,"title":"Too hot","robotNickname":"spot","dataCaptures":[{"time":"2026-02-03T09:13:55.402118+00:00","uuid":"c1c1c1c1-0000-4000-8000-000000000001","dataUrl":"/daq/download/spot/a/b.jpg","createdAt":"2026-02-03T09:14:06.9+00:00","keyResults":[{"name":"Max","units":"C","value":61.4}],"channelName":"spot-cam-ir"}]}}"#;
/// An event of which next to nothing is known.
const BARE_SAMPLE: &str = r#"{"type":"ACTION_COMPLETED_WITH_ALERT","data":{}}"#;

/// What events look like to templates: an alert with one of everything, and one with nothing.
pub(super) static SAMPLES: LazyLock<[Arc<Json>; 2]> =
    LazyLock::new(|| [ALERT_SAMPLE, BARE_SAMPLE].map(|event| Arc::new(sample(event))));

fn sample(event: &str) -> Json {
    let asset = |_: &model::Subject<'_>| {
        Some(ModelAsset {
            id: "PUMP-101".to_owned(),
            matched_by: "action_name".to_owned(),
            line: Some(2),
            attributes: Vec::new(),
        })
    };
    let url = |data_url: &str| Some(format!("https://orbit.example{data_url}"));
    model::build(&Facts {
        event: event.as_bytes(),
        event_type: ALERT,
        source: crate::event::ORBIT,
        origin: "webhook",
        received_at: Timestamp::UNIX_EPOCH,
        key: "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef",
        run: Some(r#"{"robotSerial":"s","operatorId":"o"}"#),
        anomaly: None,
        enrichment: Some("complete"),
        asset_of: &asset,
        url_of: &url,
        orbit: None,
        settings: &Json::Null,
    })
}

/// What a text may ask for, and what stands there while it is tried.
#[derive(Clone)]
pub(super) struct Known {
    /// Names beside those of the event, or in their place.
    more: Vec<(&'static str, Json)>,
}

impl Known {
    /// What every text of a destination with these settings may ask for.
    pub(super) fn with_settings(settings: &Json) -> Self {
        Self {
            more: vec![("settings", settings.clone())],
        }
    }

    /// The same with one name more, which has these members.
    pub(super) fn and<'a>(
        &self,
        name: &'static str,
        members: impl IntoIterator<Item = &'a str>,
    ) -> Self {
        let members = members.into_iter();
        let members = members.map(|of| (of.to_owned(), format!("{name}.{of}").into()));
        self.and_value(name, Json::Object(members.collect()))
    }

    /// The same with `item`, where there is one for each of a list.
    pub(super) fn and_item(&self, each: Option<Each>) -> Self {
        let list = match each {
            None => return self.clone(),
            Some(Each::Readings) => "readings",
            Some(Each::Captures) => "captures",
        };
        let item = SAMPLES.first().and_then(|sample| sample.get(list)?.at(0));
        self.and_value("item", item.cloned().unwrap_or(Json::Null))
    }

    /// The same with what these steps take.
    pub(super) fn and_steps(&self, steps: &[Step]) -> Self {
        let of = |step: &Step| {
            let taken = step.take.iter();
            let taken = taken.map(|(name, _)| (name.clone(), name.as_str().into()));
            (step.name.clone(), Json::Object(taken.collect()))
        };
        self.and_value(STEPS, Json::Object(steps.iter().map(of).collect()))
    }

    fn and_value(&self, name: &'static str, value: Json) -> Self {
        let mut known = self.clone();
        known.more.push((name, value));
        known
    }

    /// The names.
    pub(super) fn names(&self) -> Vec<&'static str> {
        let more = self.more.iter().map(|(name, _)| *name);
        let more = more.filter(|name| !NAMES.contains(name));
        NAMES.into_iter().chain(more).collect()
    }

    /// What stands there, for each of the samples.
    fn scopes(&self) -> impl Iterator<Item = Scope> {
        SAMPLES.iter().map(|sample| {
            let scope = Scope::new(Arc::clone(sample));
            let more = self.more.iter();
            more.fold(scope, |scope, (name, value)| {
                scope.with(name, value.clone())
            })
        })
    }

    /// The members of a name that has these and no others; of a list those of its items. Whether a
    /// step takes what is asked of it, the step itself says.
    fn members(&self, root: &str) -> Option<Vec<&str>> {
        let mut more = self.more.iter();
        let of = match more.find(|(name, _)| *name == root) {
            Some((STEPS, _)) => return None,
            Some((_, value)) => value,
            None => SAMPLES
                .first()
                .filter(|_| CLOSED.contains(&root))?
                .get(root)?,
        };
        match of.at(0).unwrap_or(of) {
            Json::Object(members) => Some(members.iter().map(|(name, _)| name.as_str()).collect()),
            _ => None,
        }
    }

    /// Says of each name that nobody has what it should be.
    pub(super) fn refuse_others(
        &self,
        item: &Item<'_, '_>,
        names: impl Iterator<Item = String>,
    ) -> bool {
        let known = self.names();
        let mut names: Vec<_> = names.collect();
        names.sort_unstable();
        names.dedup();
        let mut good = true;
        for name in &names {
            let mut parts = name.split('.');
            let (root, member) = (parts.next().unwrap_or_default(), parts.next());
            let (wrong, instead) = match (member, self.members(root)) {
                _ if !known.contains(&root) => (
                    root.to_owned(),
                    nearest::instead(root, known.iter().copied()),
                ),
                (Some(member), Some(members)) if !members.contains(&member) => {
                    let instead = nearest::instead(member, members.iter().copied());
                    (format!("{root}.{member}"), instead)
                }
                _ => continue,
            };
            item.refuse(format!("no `{wrong}` is known here; {instead}"));
            good = false;
        }
        good
    }

    /// Tries a text on the samples. What fails for their values only may be right for others.
    pub(super) fn refuse_broken(
        &self,
        item: &Item<'_, '_>,
        errors: impl Fn(&Scope) -> Vec<TemplateError>,
    ) -> bool {
        let mut said: Vec<TemplateError> = Vec::new();
        for error in self.scopes().flat_map(|scope| errors(&scope)) {
            if (is_always(&error.reason) || is_of_the_text(&error))
                && !said.iter().any(|known| known.at == error.at)
            {
                item.refuse(&error);
                said.push(error);
            }
        }
        said.is_empty()
    }
}

/// These have these members and no others.
const CLOSED: [&str; 6] = [
    "inspection",
    "readings",
    "captures",
    "asset",
    "assets",
    "delivery",
];

/// A destination's or a step's `when`, which may ask for these.
pub(super) fn of_an_event(item: &Item<'_, '_>, known: &Known) -> Option<Expression> {
    let expression = item.parsed("an expression", Expression::parse)?;
    let good = known.refuse_others(item, expression.names());
    let mut scopes = known.scopes();
    let runs = scopes.all(|scope| right(item, expression.holds_in(&scope)));
    (good && runs).then_some(expression)
}

/// A source's `when`: there is no model yet, only what came.
pub(super) fn of_a_source(item: &Item<'_, '_>) -> Option<Expression> {
    const NAMES: [&str; 4] = ["event", "type", "id", "source"];
    let expression = item.parsed("an expression", Expression::parse)?;
    let mut names: Vec<_> = expression.names().collect();
    names.sort_unstable();
    names.dedup_by(|one, other| root(one) == root(other));
    let mut good = true;
    for name in names.iter().map(|name| root(name)) {
        if !NAMES.contains(&name) {
            let instead = nearest::instead(name, NAMES);
            item.refuse(format!("no `{name}` is known here; {instead}"));
            good = false;
        }
    }
    let sample = json!({"event": {}, "type": "event", "id": "1", "source": "shop"});
    (good && runs(item, &expression, &sample)).then_some(expression)
}

fn root(name: &str) -> &str {
    name.split('.').next().unwrap_or_default()
}

/// A success rule's `when`.
pub(super) fn of_an_answer(item: &Item<'_, '_>) -> Option<Expression> {
    let expression = item.parsed("an expression", Expression::parse)?;
    let mut names: Vec<_> = expression.names().collect();
    names.sort_unstable();
    let mut good = true;
    for name in &names {
        let mut parts = name.split('.');
        let (root, member) = (parts.next().unwrap_or_default(), parts.next());
        let (wrong, instead) = match member {
            _ if root != "response" => (root, nearest::instead(root, ["response"])),
            Some(member) if !RESPONSE_MEMBERS.contains(&member) => {
                (name.as_str(), nearest::instead(member, RESPONSE_MEMBERS))
            }
            _ => continue,
        };
        item.refuse(format!("no `{wrong}` is known here; {instead}"));
        good = false;
    }
    (good
        && answer_samples()
            .iter()
            .all(|sample| runs(item, &expression, sample)))
    .then_some(expression)
}

/// Whether it can be evaluated. What fails for these values only may be right for others.
fn runs(item: &Item<'_, '_>, expression: &Expression, names: &impl Serialize) -> bool {
    right(item, expression.holds(names))
}

fn right<T>(item: &Item<'_, '_>, ran: Result<T, ExpressionError>) -> bool {
    let Err(error) = ran else { return true };
    let broken = is_always(error.reason());
    if broken {
        item.refuse(error);
    }
    !broken
}

/// Whether what went wrong goes wrong for any event.
fn is_always(reason: &str) -> bool {
    ALWAYS.iter().any(|what| reason.contains(what))
}

/// The same of an error that the sample's values would explain, if they could be of another type.
fn is_of_the_text(error: &TemplateError) -> bool {
    let TemplateError {
        expression, reason, ..
    } = error;
    reason.contains(OF_VALUES)
        && !MISSING.iter().any(|end| reason.ends_with(end))
        && !OF_OTHERS.iter().any(|name| expression.contains(name))
}

/// What `success.when` is asked of.
fn answer_samples() -> [serde_json::Value; 2] {
    [
        json!({"response": {}}),
        json!({"response": {"status": 200, "headers": {}, "text": "{}", "json": {}}}),
    ]
}
