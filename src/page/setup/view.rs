//! What Setup shows, and what the API answers.
//!
//! # Invariants
//! - No secret is in a view: of one it says whether it is there.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use serde::Serialize;

use super::super::{Failed, Page, blocking};
use super::save::read;
use crate::app::check::About;
use crate::app::check::reach::Tested;
use crate::config::saved::{self, Keys};
use crate::config::settings::{Kind, SETTINGS};
use crate::reconcile::webhook::Status;
use crate::table::{Row, Verdict};

/// A setting.
#[derive(Clone, Debug, Serialize)]
pub(in super::super) struct SettingView {
    /// Its name.
    pub(in super::super) name: &'static str,
    /// What it is.
    pub(in super::super) help: &'static str,
    /// The value that counts; `***` for a secret.
    pub(in super::super) value: String,
    /// Where that comes from.
    pub(in super::super) origin: String,
    /// What holds where nothing is set.
    pub(in super::super) default: Option<&'static str>,
    /// Whether it is a secret, which is written and never read.
    pub(in super::super) secret: bool,
    /// Whether the text of a PEM file may be given.
    pub(in super::super) pem: bool,
    /// Why it cannot be changed here, if so.
    pub(in super::super) locked: Option<String>,
    /// Whether something is saved for it.
    pub(in super::super) saved: bool,
    /// What is saved, where it is no secret and no file.
    #[serde(skip)]
    pub(in super::super) own: Option<String>,
}

/// A destination.
#[derive(Clone, Debug, Serialize)]
pub(in super::super) struct DestinationView {
    /// Its name.
    pub(in super::super) name: String,
    /// Whether it was saved on the page and can be changed there.
    pub(in super::super) saved: bool,
    /// Its keys as they were saved, each secret as `{"kept": true}`; nothing where it was not.
    pub(in super::super) keys: Option<Keys>,
    /// Its keys with their effective values and where these come from.
    pub(in super::super) effective: Vec<KeyView>,
    /// How it does, in a word.
    pub(in super::super) status: Option<String>,
    /// Why.
    pub(in super::super) reason: Option<String>,
    /// Whether it does what it should.
    pub(in super::super) well: Option<bool>,
}

/// A key of a destination.
#[derive(Clone, Debug, Serialize)]
pub(in super::super) struct KeyView {
    /// Its path.
    pub(in super::super) name: String,
    /// Its value; `***` for a secret.
    pub(in super::super) value: String,
    /// Where it comes from.
    pub(in super::super) origin: String,
}

/// All destinations.
#[derive(Debug, Serialize)]
pub(in super::super) struct Destinations {
    /// Each of them.
    pub(in super::super) destinations: Vec<DestinationView>,
    /// The file that says what they are in the place of the page, if so.
    pub(in super::super) locked: Option<String>,
}

/// A step of setting up, in a word.
#[derive(Clone, Debug, Serialize)]
pub(in super::super) struct StepView {
    /// Which.
    pub(in super::super) step: Step,
    /// Whether it is as it should be.
    pub(in super::super) verdict: Verdict,
    /// In a line.
    pub(in super::super) what: String,
    /// What `check` says about it.
    pub(in super::super) rows: Vec<Row>,
}

/// The steps, in their order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(in super::super) enum Step {
    /// Orbit: host, token, certificate.
    Orbit,
    /// Our webhook there.
    Webhook,
    /// Where events go.
    Destinations,
    /// Which asset an action is about.
    AssetMap,
}

/// The whole of Setup.
#[derive(Debug, Serialize)]
pub(in super::super) struct Overview {
    /// Its steps.
    pub(in super::super) steps: Vec<StepView>,
    /// When `check` looked, if it has.
    pub(in super::super) looked_at: Option<Timestamp>,
    /// Whether it looks now.
    pub(in super::super) is_looking: bool,
    /// What the user should know of the configuration.
    pub(in super::super) warnings: Vec<String>,
    /// Why what was saved cannot be read, if so.
    pub(in super::super) unusable: Option<String>,
}

impl Step {
    /// All of them.
    pub(super) const ALL: [Self; 4] = [
        Self::Orbit,
        Self::Webhook,
        Self::Destinations,
        Self::AssetMap,
    ];

    fn about(self) -> About {
        match self {
            Self::Orbit => About::Orbit,
            Self::Webhook => About::Webhook,
            Self::Destinations => About::Destinations,
            Self::AssetMap => About::AssetMap,
        }
    }
}

/// What is known of our webhook in Orbit.
#[derive(Clone, Debug, Serialize)]
pub(in super::super) struct WebhookView {
    /// In a word: `by_hand`, `off`, `polling`, `unknown`, `registered`, `disabled`, `drift`,
    /// `deleted` or `failing`.
    pub(in super::super) status: &'static str,
    /// What differs, or why.
    pub(in super::super) what: Vec<String>,
    /// Its id in Orbit.
    pub(in super::super) uuid: Option<String>,
    /// The last test payload that came.
    pub(in super::super) last_test: Option<Tested>,
}

/// What is known of our webhook in Orbit.
pub(in super::super) fn webhook(page: &Page) -> WebhookView {
    let last_test = page.app.ground.last_test.as_ref();
    let mut view = WebhookView {
        status: "unknown",
        what: Vec::new(),
        uuid: None,
        last_test: last_test.and_then(|last| *last.borrow()),
    };
    view.status = match &*page.app.parts.webhook.borrow() {
        Status::ByHand => "by_hand",
        Status::Off => "off",
        Status::Polling => "polling",
        Status::Unknown => "unknown",
        Status::Registered { uuid, enabled, .. } => {
            view.uuid = Some(uuid.clone());
            if *enabled { "registered" } else { "disabled" }
        }
        Status::Drift { what } => {
            view.what.clone_from(what);
            "drift"
        }
        Status::Deleted => "deleted",
        Status::Failing(why) => {
            view.what.push(why.clone());
            "failing"
        }
    };
    view
}

/// Everything of Setup in a word each.
pub(in super::super) async fn overview(page: &Arc<Page>) -> Result<Overview, Failed> {
    let shared = Arc::clone(page);
    let unusable = blocking(move || read(&shared).err()).await?;
    Ok(Overview {
        unusable: unusable.map(|failed| failed.what),
        steps: Step::ALL.into_iter().map(|of| step(page, of)).collect(),
        looked_at: page.looks.last().map(|looked| looked.at),
        is_looking: page.looks.is_looking(),
        warnings: page.app.shown.warnings.clone(),
    })
}

/// Which version of what is saved counts now.
pub(super) async fn version(page: &Arc<Page>) -> Result<String, Failed> {
    let shared = Arc::clone(page);
    blocking(move || read(&shared).map(|saved| saved.version().to_owned())).await?
}

/// One step, by what `check` saw last.
pub(super) fn step(page: &Page, step: Step) -> StepView {
    let looked = page.looks.last();
    let rows: Vec<Row> = looked
        .iter()
        .flat_map(|looked| &looked.findings.rows)
        .filter(|row| About::of(row) == step.about())
        .cloned()
        .collect();
    let worst = rows.iter().find(|row| row.verdict == Verdict::Bad);
    let unsure = rows.iter().find(|row| row.verdict == Verdict::Unknown);
    let (verdict, what) = match (worst, unsure, rows.as_slice()) {
        (_, _, []) => (Verdict::Unknown, "it was not looked at yet".to_owned()),
        (Some(row), ..) | (None, Some(row), _) => {
            (row.verdict, format!("{}: {}", row.name, row.what))
        }
        (None, None, rows) => (
            Verdict::Good,
            format!("{} looked at, all is well", rows.len()),
        ),
    };
    StepView {
        step,
        verdict,
        what,
        rows,
    }
}

/// Every setting.
pub(in super::super) async fn settings(page: &Arc<Page>) -> Result<Vec<SettingView>, Failed> {
    let shared = Arc::clone(page);
    blocking(move || {
        let saved = read(&shared)?;
        let own: BTreeMap<_, _> = saved.settings().into_iter().collect();
        let mut input = shared.outside.input.clone();
        // What cannot be read is named at the next start; the relay runs with what was there.
        input.read_above_page().ok();
        let all = SETTINGS.iter().map(|setting| {
            let shown = &shared.app.shown.settings;
            let shown = shown.iter().find(|shown| shown.name == setting.name);
            let why = saved::settable(setting.name).err();
            let locked = why.map(|why| format!("not on the page: {why}"));
            SettingView {
                name: setting.name,
                help: setting.help,
                value: shown.map(|shown| shown.value.clone()).unwrap_or_default(),
                origin: shown.map(|shown| shown.origin.clone()).unwrap_or_default(),
                default: setting.default,
                secret: setting.kind == Kind::Secret,
                pem: saved::is_pem(setting.name),
                locked: locked.or_else(|| match input.locked(setting.name) {
                    Some(origin) => Some(format!("set by {origin}")),
                    None => input.bound(setting.name),
                }),
                saved: own.contains_key(setting.name),
                own: own.get(setting.name).cloned().flatten(),
            }
        });
        Ok(all.collect())
    })
    .await?
}

/// Every destination.
pub(in super::super) async fn destinations(page: &Arc<Page>) -> Result<Destinations, Failed> {
    let shared = Arc::clone(page);
    let (mut saved, locked) = blocking(move || {
        let saved = read(&shared)?;
        let mut input = shared.outside.input.clone();
        input.read_above_page().ok();
        let keys = saved.destinations().into_iter().filter_map(|keys| {
            let name = keys.get("name")?.as_str()?.to_owned();
            Some((name, keys))
        });
        let keys: BTreeMap<_, _> = keys.collect();
        Ok::<_, Failed>((keys, input.file_above_page()))
    })
    .await??;
    if locked.is_some() {
        saved.clear();
    }
    let health = page.app.parts.health();
    let mut all = Vec::new();
    for shown in &page.app.shown.destinations {
        let part = health.destinations.get(&shown.name);
        let keys = saved.remove(&shown.name);
        let effective = shown.keys.iter().map(|key| KeyView {
            name: key.name.clone(),
            value: key.value.clone(),
            origin: key.origin.clone(),
        });
        all.push(DestinationView {
            name: shown.name.clone(),
            saved: keys.is_some(),
            keys,
            effective: effective.collect(),
            status: part.map(|part| part.status.replace('_', " ")),
            reason: part.and_then(|part| part.reason.clone()),
            well: part.map(|part| part.well),
        });
    }
    // Saved just now: the relay takes it in a moment.
    all.extend(saved.into_iter().map(|(name, keys)| DestinationView {
        name,
        saved: true,
        keys: Some(keys),
        effective: Vec::new(),
        status: None,
        reason: None,
        well: None,
    }));
    let destinations = all;
    Ok(Destinations {
        destinations,
        locked,
    })
}

/// One of them.
pub(in super::super) async fn destination(
    page: &Arc<Page>,
    name: &str,
) -> Result<DestinationView, Failed> {
    let all = destinations(page).await?.destinations;
    let found = all.into_iter().find(|destination| destination.name == name);
    found.ok_or_else(Failed::not_found)
}
