//! Settings, destinations, export and import, accounts and tokens.
//!
//! # Invariants
//! - Secrets are written, never read: only a new token's text is answered, once.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse as _;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::super::access::{Configure, Role, See};
use super::super::setup::change::{self, Imported};
use super::super::setup::{By, tried, view};
use super::super::{Page, health, setup};
use super::given::{Asked, Body, Named, Problem, Said, json as answer, ok, read};
use crate::config;
use crate::config::settings::SETTINGS;

type Of = State<Arc<Page>>;

/// No import is longer.
const LONGEST_IMPORT: usize = 1024 * 1024;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Given {
    value: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Import {
    text: String,
    #[serde(default)]
    secrets: BTreeMap<String, String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct NewAccount {
    name: String,
    role: Role,
    password: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ChangedAccount {
    role: Option<Role>,
    password: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct NewToken {
    name: String,
    role: Role,
}

/// The whole of Setup, and what Orbit's certificate is pinned by.
#[derive(Serialize)]
struct Overview {
    #[serde(flatten)]
    overview: view::Overview,
    fingerprint: Option<String>,
}

fn changed(changed: bool) -> Said {
    ok(&json!({ "changed": changed }))
}

pub(super) async fn overview(State(page): Of, See(_): See) -> Said {
    health::begin(&page, health::FRESH);
    ok(&Overview {
        overview: view::overview(&page).await?,
        fingerprint: setup::fingerprint(&page),
    })
}

pub(super) async fn settings(State(page): Of, See(_): See) -> Said {
    ok(&json!({ "settings": view::settings(&page).await? }))
}

pub(super) async fn setting(State(page): Of, See(_): See, Named(name): Named) -> Said {
    let all = view::settings(&page).await?;
    let found = all.iter().find(|setting| setting.name == name);
    ok(found.ok_or_else(Problem::not_found)?)
}

async fn save(page: &Arc<Page>, who: &str, name: String, value: Option<String>) -> Said {
    if !SETTINGS.iter().any(|setting| setting.name == name) {
        return Err(Problem::not_found());
    }
    changed(change::settings(page, By::name(who), vec![(name, value)]).await?)
}

pub(super) async fn set(
    State(page): Of,
    Configure(person): Configure,
    Named(name): Named,
    Body(Given { value }): Body<Given>,
) -> Said {
    save(&page, &person.name, name, Some(value)).await
}

pub(super) async fn unset(
    State(page): Of,
    Configure(person): Configure,
    Named(name): Named,
) -> Said {
    save(&page, &person.name, name, None).await
}

pub(super) async fn presets(See(_): See) -> Said {
    let all = config::presets().into_iter();
    let all = all.map(|(preset, about)| json!({ "name": preset.name, "about": about }));
    ok(&json!({ "presets": all.collect::<Vec<_>>() }))
}

/// What somebody gives who uses a preset.
pub(super) async fn preset(See(_): See, Named(name): Named) -> Said {
    let fields = config::preset_fields(&name);
    ok(&fields.ok_or_else(Problem::not_found)?)
}

/// What a destination would get: of the event that is named, of the latest, or of a sample.
pub(super) async fn preview(
    State(page): Of,
    See(_): See,
    Named(name): Named,
    mut asked: Asked,
) -> Said {
    let mut configs = page.app.shown.configs.iter();
    if !configs.any(|config| config.destination.name == name) {
        // One that was saved just now is there, and not tried yet.
        view::destination(&page, &name).await?;
    }
    let tried = tried::tried(&page, &name, &asked.text("event")).await?;
    match tried.preview {
        Ok(preview) => ok(&json!({ "of": tried.of, "preview": preview.json(&name) })),
        Err(why) => Err(Problem::conflict(why, "Nothing was sent.")),
    }
}

/// Puts aside what was saved and cannot be read.
pub(super) async fn anew(State(page): Of, Configure(person): Configure) -> Said {
    let names = setup::anew(&page, &person.name).await?;
    ok(&json!({ "put_aside": names }))
}

pub(super) async fn destinations(State(page): Of, See(_): See) -> Said {
    ok(&view::destinations(&page).await?)
}

pub(super) async fn destination(State(page): Of, See(_): See, Named(name): Named) -> Said {
    ok(&view::destination(&page, &name).await?)
}

/// Adds it, or changes it; another `name` in its keys gives it that name.
pub(super) async fn put_destination(
    State(page): Of,
    Configure(person): Configure,
    Named(name): Named,
    Body(mut keys): Body<Map<String, Value>>,
) -> Said {
    let all = view::destinations(&page).await?.destinations;
    let is_saved = all.iter().any(|one| one.name == name && one.saved);
    if !is_saved && keys.get("name").is_some_and(|given| *given != *name) {
        let what = "The name in the body is not the one in the path.";
        let advice = "Give the same name, or none in the body.";
        return Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, what, advice));
    }
    keys.entry("name").or_insert_with(|| name.clone().into());
    let old = is_saved.then_some(name);
    changed(change::put_destination(&page, By::name(&person.name), old, keys).await?)
}

pub(super) async fn remove_destination(
    State(page): Of,
    Configure(person): Configure,
    Named(name): Named,
) -> Said {
    if change::remove_destination(&page, By::name(&person.name), name).await? {
        changed(true)
    } else {
        Err(Problem::not_found())
    }
}

pub(super) async fn export(State(page): Of, Configure(_): Configure) -> Said {
    let text = change::export(&page).await?;
    let head = [(CONTENT_TYPE, "application/toml; charset=utf-8")];
    Ok((head, text).into_response())
}

pub(super) async fn import(
    State(page): Of,
    Configure(person): Configure,
    request: Request,
) -> Said {
    let Import { text, secrets } = read(request, LONGEST_IMPORT).await?;
    match change::import(&page, By::name(&person.name), text, secrets).await? {
        Imported::Saved(is_changed) => changed(is_changed),
        Imported::Needs(needed) => {
            let names = needed.into_iter().map(|needed| needed.name);
            Err(Problem::needs(names.collect()))
        }
    }
}

pub(super) async fn accounts(State(page): Of, Configure(_): Configure) -> Said {
    let all = page.outside.access.accounts().await;
    ok(&json!({ "accounts": all.accounts }))
}

pub(super) async fn add_account(
    State(page): Of,
    Configure(person): Configure,
    Body(new): Body<NewAccount>,
) -> Said {
    let (access, doer) = (&page.outside.access, person.doer(&page));
    let password = new.password.as_deref();
    let name = access.add(doer, &new.name, new.role, password).await?;
    let body = json!({ "name": name, "role": new.role });
    answer(StatusCode::CREATED, &body)
}

/// The account of this name, as it is written.
async fn account(page: &Page, name: &str) -> Result<String, Problem> {
    let all = page.outside.access.accounts().await.accounts;
    let mut names = all.into_iter().map(|account| account.name);
    let found = names.find(|one| one.eq_ignore_ascii_case(name));
    found.ok_or_else(Problem::not_found)
}

pub(super) async fn change_account(
    State(page): Of,
    Configure(person): Configure,
    Named(name): Named,
    Body(new): Body<ChangedAccount>,
) -> Said {
    let name = account(&page, &name).await?;
    let (access, doer) = (&page.outside.access, person.doer(&page));
    if let Some(role) = new.role {
        access.set_role(doer, &name, role).await?;
    }
    if let Some(password) = &new.password {
        access.set_password(doer, &name, password).await?;
    }
    changed(new.role.is_some() || new.password.is_some())
}

pub(super) async fn remove_account(
    State(page): Of,
    Configure(person): Configure,
    Named(name): Named,
) -> Said {
    let name = account(&page, &name).await?;
    page.outside
        .access
        .remove(person.doer(&page), &name)
        .await?;
    changed(true)
}

pub(super) async fn tokens(State(page): Of, Configure(_): Configure) -> Said {
    let all = page.outside.access.accounts().await;
    ok(&json!({ "tokens": all.tokens }))
}

pub(super) async fn add_token(
    State(page): Of,
    Configure(person): Configure,
    Body(NewToken { name, role }): Body<NewToken>,
) -> Said {
    let access = &page.outside.access;
    let text = access.add_token(person.doer(&page), &name, role).await?;
    let body = json!({ "name": name, "role": role, "token": text.expose() });
    answer(StatusCode::CREATED, &body)
}

pub(super) async fn remove_token(
    State(page): Of,
    Configure(person): Configure,
    Named(name): Named,
) -> Said {
    let access = &page.outside.access;
    let tokens = access.accounts().await.tokens;
    if !tokens.iter().any(|token| token.name == name) {
        return Err(Problem::not_found());
    }
    access.remove_token(person.doer(&page), &name).await?;
    changed(true)
}
