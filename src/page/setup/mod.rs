//! Setup: Orbit, the webhook, destinations, the asset map.
//!
//! ```text
//! mod          the routes, and what is done there
//! view         what is shown, and what the API answers
//! change       what may be changed, by a form and by the API alike
//! save         a change is checked, kept as an act, written, taken
//! repair       the webhook is set right in Orbit
//! tried        what a destination would get
//! draft        a destination between its form and its keys      (pure)
//! html         the screens of Orbit, the webhook and all of it  (pure)
//! destination  the screens of destinations                      (pure)
//! ```
//!
//! # Invariants
//! - What is shown is what the view says.
//! - What is refused is shown at its field, with what was typed, but for secrets; nothing was saved.

pub(super) mod change;
mod destination;
mod draft;
mod html;
pub(super) mod repair;
mod save;
pub(super) mod tried;
pub(super) mod view;

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::http::header::{CONTENT_DISPOSITION, CONTENT_TYPE};
use axum::response::{IntoResponse as _, Redirect, Response};
use axum::routing::{get, post};
use axum::{Form, Router};
use jiff::SignedDuration;
use maud::Markup;
use serde::Deserialize;

use self::change::Imported;
use self::draft::{Draft, Fields, Wrong};
pub(super) use self::save::{By, NotSaved, Saving, anew};
use self::view::{SettingView, Step};
use super::access::{Configure, Decide, Person, See};
use super::{Answer, Failed, Page, health};
use crate::app::control::{self, Ask};
use crate::config;
use crate::config::saved::Fault;
use crate::http::ExchangeError;
use crate::orbit::CallError;

pub(super) fn routes() -> Router<Arc<Page>> {
    Router::new()
        .route("/setup", get(overview))
        .route("/setup/look", post(look))
        .route("/setup/anew", post(begin_anew))
        .route("/setup/orbit", get(orbit).post(save_orbit))
        .route("/setup/orbit/pin", post(pin))
        .route("/setup/webhook", get(webhook).post(save_webhook))
        .route("/setup/webhook/repair", post(repair))
        .route("/setup/destinations", get(destinations).post(add))
        .route("/setup/add", get(new))
        .route("/setup/destinations/{name}", get(one).post(change_one))
        .route("/setup/destinations/{name}/remove", post(remove))
        .route("/setup/destinations/{name}/test", post(test))
        .route("/setup/export.toml", get(export))
        .route("/setup/import", get(import_form).post(import))
}

/// What was sent by a form.
type Sent = Form<Vec<(String, String)>>;

const SAVED: &str = "Saved. The relay goes on with it.";
const AS_IT_WAS: &str = "Nothing was changed: it was so already.";

/// A screen with what was refused in it.
fn unprocessable(screen: Markup) -> Response {
    (StatusCode::UNPROCESSABLE_ENTITY, screen).into_response()
}

fn at_fields(faults: &[Fault]) -> Vec<Wrong> {
    faults.iter().map(Wrong::of_fault).collect()
}

/// Says how it went, and goes on to a screen.
fn go(page: &Page, person: &Person, changed: bool, to: &str) -> Response {
    page.say(person, if changed { SAVED } else { AS_IT_WAS });
    Redirect::to(to).into_response()
}

async fn overview(State(page): State<Arc<Page>>, See(person): See) -> Answer {
    health::begin(&page, health::FRESH);
    let map_rows = page.app.assets.current().borrow().len();
    let view = view::overview(&page).await?;
    Ok(html::overview(&person, &view, map_rows).into_response())
}

/// Puts aside what was saved and cannot be read.
async fn begin_anew(State(page): State<Arc<Page>>, Configure(person): Configure) -> Answer {
    let names = anew(&page, &person.name).await?;
    let said = if names.is_empty() {
        AS_IT_WAS.to_owned()
    } else {
        format!(
            "Put aside as {}. The relay goes on without it.",
            names.join(", ")
        )
    };
    page.say(&person, said);
    Ok(Redirect::to("/setup").into_response())
}

/// Who sent this form, and what they saw.
fn by<'a>(person: &'a Person, fields: &'a Fields) -> By<'a> {
    By {
        who: &person.name,
        seen: fields.has(html::SEEN).then(|| fields.get(html::SEEN)),
    }
}

#[derive(Deserialize)]
struct To {
    #[serde(default)]
    to: String,
}

/// Looks again, and goes back to where that was asked for.
async fn look(State(page): State<Arc<Page>>, See(person): See, Query(to): Query<To>) -> Redirect {
    health::begin(&page, SignedDuration::ZERO);
    page.say(
        &person,
        "It is being looked at; the screen changes when that is done.",
    );
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_/".contains(c);
    let is_plain = !to.to.is_empty() && to.to.len() <= 80 && to.to.chars().all(plain);
    if is_plain {
        Redirect::to(&format!("/setup/{}", to.to))
    } else {
        Redirect::to("/setup")
    }
}

/// The hash of the certificate that Orbit showed, believed or not.
pub(super) fn fingerprint(page: &Page) -> Option<String> {
    let looked = page.looks.last()?;
    let seen = &looked.findings.orbit;
    if let Some(Err(CallError::Http(ExchangeError::Certificate(refused)))) = &seen.version {
        return Some(refused.sha256.clone());
    }
    seen.certificate.clone()
}

async fn orbit_screen(
    page: &Arc<Page>,
    person: &Person,
    wrong: &[Wrong],
) -> Result<Markup, Failed> {
    // The version first: were it the other way about, a change in between would not be noticed.
    let version = view::version(page).await?;
    let settings = view::settings(page).await?;
    let step = view::step(page, Step::Orbit);
    let fingerprint = fingerprint(page);
    Ok(html::orbit(
        person,
        &step,
        (&settings, &version),
        fingerprint.as_deref(),
        wrong,
    ))
}

async fn orbit(State(page): State<Arc<Page>>, See(person): See) -> Answer {
    health::begin(&page, health::FRESH);
    Ok(orbit_screen(&page, &person, &[]).await?.into_response())
}

async fn webhook_screen(
    page: &Arc<Page>,
    person: &Person,
    wrong: &[Wrong],
) -> Result<Markup, Failed> {
    let version = view::version(page).await?;
    let settings = view::settings(page).await?;
    let step = view::step(page, Step::Webhook);
    let tested = page.app.ground.last_test.as_ref();
    let tested = tested.and_then(|last| *last.borrow());
    Ok(html::webhook(
        person,
        &step,
        (&settings, &version),
        tested.as_ref(),
        wrong,
    ))
}

async fn webhook(State(page): State<Arc<Page>>, See(person): See) -> Answer {
    health::begin(&page, health::FRESH);
    Ok(webhook_screen(&page, &person, &[]).await?.into_response())
}

/// What a form of settings says: of each that is not locked its value, or that it has none.
fn values(
    named: &[(&str, &str)],
    all: &[SettingView],
    fields: &Fields,
) -> Vec<(String, Option<String>)> {
    let open = named.iter().filter_map(|(name, _)| {
        let view = all.iter().find(|view| view.name == *name)?;
        let is_open = view.locked.is_none() && fields.has(name);
        is_open.then_some(view)
    });
    let mut values = Vec::new();
    for view in open {
        let pem = fields.get(&format!("{}.pem", view.name));
        let given = match (fields.get(view.name), pem) {
            ("", pem) => pem,
            (given, _) => given,
        };
        // A secret, or a file's text, is not shown: empty means that it stays.
        let is_hidden = view.secret || (view.pem && view.saved && view.own.is_none());
        let is_removed = fields.has(&format!("{}.remove", view.name));
        if given.is_empty() && is_hidden && !is_removed {
            continue;
        }
        let is_same = !view.secret && view.own.as_deref() == Some(given);
        if is_same || (given.is_empty() && !view.saved) {
            continue;
        }
        let value = (!given.is_empty() && !is_removed).then(|| given.to_owned());
        values.push((view.name.to_owned(), value));
    }
    values
}

/// Saves a form of settings; what is wrong with it, if so.
async fn save_settings(
    page: &Arc<Page>,
    person: &Person,
    named: &[(&str, &str)],
    fields: &Fields,
) -> Result<Result<bool, Vec<Wrong>>, Failed> {
    let all = view::settings(page).await?;
    let values = values(named, &all, fields);
    match change::settings(page, by(person, fields), values).await {
        Ok(changed) => Ok(Ok(changed)),
        Err(NotSaved::Refused(faults)) => Ok(Err(at_fields(&faults))),
        Err(NotSaved::Failed(failed)) => Err(failed),
    }
}

async fn save_orbit(
    State(page): State<Arc<Page>>,
    Configure(person): Configure,
    Form(fields): Sent,
) -> Answer {
    match save_settings(&page, &person, &html::ORBIT, &Fields(fields)).await? {
        Ok(changed) => Ok(go(&page, &person, changed, "/setup/orbit")),
        Err(wrong) => Ok(unprocessable(orbit_screen(&page, &person, &wrong).await?)),
    }
}

/// Believes this certificate alone from now on.
async fn pin(
    State(page): State<Arc<Page>>,
    Configure(person): Configure,
    Form(fields): Sent,
) -> Answer {
    let fields = Fields(fields);
    let pin = format!("sha256:{}", fields.get("sha256"));
    let seen = fields.get(html::SEEN).to_owned();
    let seen = fields
        .has(html::SEEN)
        .then(|| (html::SEEN.to_owned(), seen));
    let pinned = [("verify".to_owned(), pin)].into_iter();
    let fields = Fields(pinned.chain(seen).collect());
    match save_settings(&page, &person, &html::ORBIT, &fields).await? {
        Ok(changed) => Ok(go(&page, &person, changed, "/setup/orbit")),
        Err(wrong) => Ok(unprocessable(orbit_screen(&page, &person, &wrong).await?)),
    }
}

async fn save_webhook(
    State(page): State<Arc<Page>>,
    Configure(person): Configure,
    Form(fields): Sent,
) -> Answer {
    match save_settings(&page, &person, &html::WEBHOOK, &Fields(fields)).await? {
        Ok(changed) => Ok(go(&page, &person, changed, "/setup/webhook")),
        Err(wrong) => Ok(unprocessable(webhook_screen(&page, &person, &wrong).await?)),
    }
}

/// Sets our webhook right in Orbit.
async fn repair(State(page): State<Arc<Page>>, Decide(person): Decide) -> Redirect {
    let said = repair::said(&page, &person.name).await;
    page.say(&person, said.unwrap_or_else(|failed| failed.what));
    health::begin(&page, SignedDuration::ZERO);
    Redirect::to("/setup/webhook")
}

async fn destinations(State(page): State<Arc<Page>>, See(person): See) -> Answer {
    health::begin(&page, health::FRESH);
    let view = view::destinations(&page).await?;
    let presets = config::presets().into_iter();
    let presets: Vec<_> = presets
        .map(|(preset, about)| (preset.name, about))
        .collect();
    Ok(destination::list(&person, &view, &presets).into_response())
}

#[derive(Deserialize)]
struct Chosen {
    #[serde(default)]
    preset: String,
}

async fn new(
    State(page): State<Arc<Page>>,
    Configure(person): Configure,
    Query(chosen): Query<Chosen>,
) -> Answer {
    if !chosen.preset.is_empty() && config::preset_fields(&chosen.preset).is_none() {
        return Err(Failed::not_found());
    }
    let version = view::version(&page).await?;
    let draft = Draft::new(&chosen.preset);
    Ok(destination::add(&person, &draft, &version, &[]).into_response())
}

async fn add(
    State(page): State<Arc<Page>>,
    Configure(person): Configure,
    Form(fields): Sent,
) -> Answer {
    let fields = Fields(fields);
    let saved = match Draft::keys(&fields, None) {
        Err(wrong) => Err(wrong),
        Ok(keys) => put(&page, by(&person, &fields), None, keys).await?,
    };
    match saved {
        Ok(changed) => {
            let to = format!("/setup/destinations/{}", fields.get("name"));
            Ok(go(&page, &person, changed, &to))
        }
        Err(wrong) => {
            let draft = Draft::of_fields(&fields, None);
            let version = fields.get(html::SEEN);
            Ok(unprocessable(destination::add(
                &person, &draft, version, &wrong,
            )))
        }
    }
}

async fn put(
    page: &Arc<Page>,
    by: By<'_>,
    old: Option<String>,
    keys: config::saved::Keys,
) -> Result<Result<bool, Vec<Wrong>>, Failed> {
    match change::put_destination(page, by, old, keys).await {
        Ok(changed) => Ok(Ok(changed)),
        Err(NotSaved::Refused(faults)) => Ok(Err(at_fields(&faults))),
        Err(NotSaved::Failed(failed)) => Err(failed),
    }
}

#[derive(Deserialize)]
struct Asked {
    #[serde(default)]
    event: String,
}

async fn one(
    State(page): State<Arc<Page>>,
    See(person): See,
    Path(name): Path<String>,
    Query(asked): Query<Asked>,
) -> Answer {
    health::begin(&page, health::FRESH);
    let screen = one_screen(&page, &person, (&name, &asked.event), None, &[]).await?;
    Ok(screen.into_response())
}

async fn one_screen(
    page: &Arc<Page>,
    person: &Person,
    (name, event): (&str, &str),
    draft: Option<(Draft, String)>,
    wrong: &[Wrong],
) -> Result<Markup, Failed> {
    let version = view::version(page).await?;
    let view = view::destination(page, name).await?;
    // What somebody typed is of the version that they saw.
    let (draft, version) = match draft {
        Some((draft, seen)) => (Some(draft), seen),
        None => (view.keys.clone().map(Draft::of_keys), version),
    };
    let row = format!("destination {name}");
    let mut rows = view::step(page, Step::Destinations).rows;
    rows.retain(|of| of.name == row);
    let tried = tried::tried(page, name, event).await?;
    Ok(destination::one(
        person,
        &view,
        (draft.as_ref(), &version),
        &rows,
        &tried,
        wrong,
    ))
}

async fn change_one(
    State(page): State<Arc<Page>>,
    Configure(person): Configure,
    Path(name): Path<String>,
    Form(fields): Sent,
) -> Answer {
    let fields = Fields(fields);
    let before = view::destination(&page, &name).await?.keys;
    let saved = match Draft::keys(&fields, before.as_ref()) {
        Err(wrong) => Err(wrong),
        Ok(keys) => put(&page, by(&person, &fields), Some(name.clone()), keys).await?,
    };
    match saved {
        Ok(changed) => {
            let to = format!("/setup/destinations/{}", fields.get("name"));
            Ok(go(&page, &person, changed, &to))
        }
        Err(wrong) => {
            let draft = Draft::of_fields(&fields, before);
            let draft = (draft, fields.get(html::SEEN).to_owned());
            let screen = one_screen(&page, &person, (&name, ""), Some(draft), &wrong).await?;
            Ok(unprocessable(screen))
        }
    }
}

async fn remove(
    State(page): State<Arc<Page>>,
    Configure(person): Configure,
    Path(name): Path<String>,
    Form(fields): Sent,
) -> Answer {
    let fields = Fields(fields);
    match change::remove_destination(&page, by(&person, &fields), name).await {
        Ok(changed) => Ok(go(&page, &person, changed, "/setup/destinations")),
        Err(not_saved) => Err(not_saved.into()),
    }
}

/// Posts once, to see how it answers.
async fn test(
    State(page): State<Arc<Page>>,
    Configure(person): Configure,
    Path(name): Path<String>,
) -> Answer {
    let mut configs = page.app.shown.configs.iter();
    let to = configs.find(|config| config.destination.name == name);
    let to = to.ok_or_else(Failed::not_found)?;
    let ask = Ask::Test {
        destination: to.destination.id.clone(),
        who: person.name.clone(),
    };
    let said = match control::act_within(&page.app.ground, ask, &page.app.stop).await {
        control::Answer::Tested(trial) => {
            let answer = trial.answer.unwrap_or_default();
            let answer: String = answer.chars().take(300).collect();
            let how = match (trial.delivered, trial.reason) {
                (true, _) => "The test request was taken".to_owned(),
                (false, reason) => format!(
                    "The test request was not taken: {}",
                    reason.unwrap_or_default()
                ),
            };
            format!("{how}, after {} ms. {answer}", trial.took_ms)
        }
        control::Answer::Failed(why) => format!("No test request went out: {why}"),
        _ => "No test request went out.".to_owned(),
    };
    page.say(&person, said);
    Ok(Redirect::to(&format!("/setup/destinations/{name}")).into_response())
}

async fn export(State(page): State<Arc<Page>>, Configure(_): Configure) -> Answer {
    let text = change::export(&page).await?;
    let head = [
        (CONTENT_TYPE, "application/toml; charset=utf-8"),
        (
            CONTENT_DISPOSITION,
            "attachment; filename=\"orbit-relay-setup.toml\"",
        ),
    ];
    Ok((head, text).into_response())
}

async fn import_form(State(page): State<Arc<Page>>, Configure(person): Configure) -> Answer {
    let version = view::version(&page).await?;
    Ok(html::import(&person, ("", &version), &[], &[]).into_response())
}

async fn import(
    State(page): State<Arc<Page>>,
    Configure(person): Configure,
    Form(fields): Sent,
) -> Answer {
    let fields = Fields(fields);
    let text = fields.get("text").to_owned();
    let given = fields.0.iter().filter_map(|(field, value)| {
        let name = field.strip_prefix("secret:")?;
        Some((name.to_owned(), value.clone()))
    });
    let given: BTreeMap<_, _> = given.collect();
    let version = fields.get(html::SEEN);
    match change::import(&page, by(&person, &fields), text.clone(), given).await {
        Ok(Imported::Saved(changed)) => Ok(go(&page, &person, changed, "/setup")),
        Ok(Imported::Needs(needed)) => {
            let names: Vec<_> = needed.into_iter().map(|needed| needed.name).collect();
            Ok(html::import(&person, (&text, version), &names, &[]).into_response())
        }
        Err(NotSaved::Refused(faults)) => {
            let wrong = at_fields(&faults);
            Ok(unprocessable(html::import(
                &person,
                (&text, version),
                &[],
                &wrong,
            )))
        }
        Err(NotSaved::Failed(failed)) => Err(failed),
    }
}

impl From<NotSaved> for Failed {
    fn from(not_saved: NotSaved) -> Self {
        match not_saved {
            NotSaved::Failed(failed) => failed,
            NotSaved::Refused(faults) => {
                let faults: Vec<_> = faults.iter().map(|fault| &*fault.what).collect();
                Self::wrong(faults.join("; "), "Nothing was saved.")
            }
        }
    }
}

#[cfg(test)]
mod tests;
