//! The screens of destinations, from their views.
//!
//! # Invariants
//! - Pure. A field that holds a secret is empty, whatever is saved.

use maud::{Markup, html};

use super::super::access::{Person, Role};
use super::super::html::layout::{Here, screen};
use super::super::html::parts::{self, Tone};
use super::draft::{Draft, Wrong, text};
use super::html::{described, error_of, id, refused, rows, seen};
use super::tried::Tried;
use super::view::{DestinationView, Destinations};
use crate::config::PresetField;
use crate::relay::deliver::preview::Verdict;
use crate::table::Row;

pub(super) fn list(person: &Person, view: &Destinations, presets: &[(&str, String)]) -> Markup {
    let body = html! {
        @if let Some(path) = &view.locked {
            p.said {
                (parts::text(path, 300))
                " says what the destinations are, and counts in the place of this screen."
            }
        }
        @if view.destinations.is_empty() {
            (parts::nothing("There is none: events are kept and nothing is forwarded."))
        } @else {
            div.scroll tabindex="0" id="setup-destinations" data-live {
                table {
                    caption { "Where events go" }
                    thead { tr { th scope="col" { "Name" } th scope="col" { "Where" } th scope="col" { "How it does" } th scope="col" { "Set by" } } }
                    tbody {
                        @for destination in &view.destinations {
                            tr {
                                th scope="row" { a href={ "/setup/destinations/" (destination.name) } { (destination.name) } }
                                td { (parts::text(&url(destination), 120)) }
                                td { (state(destination)) }
                                td {
                                    @if destination.saved { "this page" } @else { "environment or file" }
                                }
                            }
                        }
                    }
                }
            }
        }
        @if view.locked.is_none() && person.role == Role::Configure {
            h2 { "Add one" }
            form method="get" action="/setup/add" {
                label for="preset" { "System" }
                select id="preset" name="preset" {
                    option value="" { "Another: the event as it came, or your own template" }
                    @for (name, about) in presets { option value=(name) { (name) " – " (about) } }
                }
                p { button type="submit" { "Go on" } }
            }
        }
        p { a href="/setup" { "Setup" } " · " a href="/assets/map" { "Next: the asset map" } }
    };
    screen(person, Here::Setup, "Setup: destinations", &body)
}

fn url(destination: &DestinationView) -> String {
    let mut keys = destination.effective.iter();
    let url = keys.find(|key| key.name == "url");
    url.map(|key| key.value.clone()).unwrap_or_default()
}

fn state(destination: &DestinationView) -> Markup {
    let tone = match destination.well {
        Some(true) => Tone::Good,
        Some(false) => Tone::Bad,
        None => Tone::Plain,
    };
    let word = destination.status.as_deref().unwrap_or("being applied");
    html! {
        (parts::badge(tone, word))
        @if let Some(reason) = &destination.reason { " " (parts::text(reason, 300)) }
    }
}

/// The form of a new one.
pub(super) fn add(person: &Person, draft: &Draft, version: &str, wrong: &[Wrong]) -> Markup {
    let body = html! {
        @if !draft.preset.is_empty() {
            p { "Preset " strong { (draft.preset) } ": " (draft.fields().about) "." }
        }
        (form(person, "/setup/destinations", (draft, version), wrong))
        p { a href="/setup/destinations" { "Destinations" } }
    };
    screen(person, Here::Setup, "Setup: a new destination", &body)
}

/// One that is there.
pub(super) fn one(
    person: &Person,
    view: &DestinationView,
    (draft, version): (Option<&Draft>, &str),
    looked: &[Row],
    tried: &Tried,
    wrong: &[Wrong],
) -> Markup {
    let path = format!("/setup/destinations/{}", view.name);
    let may = person.role == Role::Configure;
    let body = html! {
        section id="setup-destination" data-live aria-labelledby="now" {
            h2 id="now" { "Now" }
            p { (state(view)) }
            (rows(looked, "What it answered when it was looked at"))
        }
        div.row {
            (parts::button(person, &format!("/setup/look?to=destinations/{}", view.name), "Look again"))
            @if may {
                (parts::button(person, &format!("{path}/test"), "Send a test request"))
            }
        }
        (preview(&path, tried))
        @match draft {
            Some(draft) if may => {
                h2 { "Change it" }
                (form(person, &path, (draft, version), wrong))
                h2 { "Remove it" }
                p.hint { "What it still has is kept, and parked until a destination has its id again." }
                (parts::form(person, &format!("{path}/remove"), &html! {
                    (seen(version))
                    button.danger type="submit" { "Remove " (view.name) }
                }))
            }
            Some(_) => { p.soft { "Your role may look at this and not change it." } }
            None => { p.said { "It is set by the environment or a file, and is changed there." } }
        }
        h2 { "Its keys" }
        div.scroll tabindex="0" {
            table {
                caption { "Each key, what counts, and where it comes from" }
                thead { tr { th scope="col" { "Key" } th scope="col" { "Value" } th scope="col" { "From" } } }
                tbody {
                    @for key in &view.effective {
                        tr {
                            th scope="row" { code { (key.name) } }
                            td { (parts::text(&key.value, 300)) }
                            td { (parts::text(&key.origin, 200)) }
                        }
                    }
                }
            }
        }
        p { a href="/setup/destinations" { "Destinations" } }
    };
    screen(
        person,
        Here::Setup,
        &format!("Destination {}", view.name),
        &body,
    )
}

fn preview(path: &str, tried: &Tried) -> Markup {
    html! {
        h2 { "What it would get" }
        form.row method="get" action=(path) {
            div {
                label for="event" { "Event: latest, sample, or a number" }
                input id="event" name="event" type="text" value=(tried.event) size="20";
            }
            button.second type="submit" { "Show" }
        }
        p { "Tried with " (tried.of) ". Nothing is sent; secrets stand as ***." }
        @match &tried.preview {
            Err(why) => { p.error { (parts::text(why, 1000)) } }
            Ok(preview) => {
                @match &preview.row {
                    Some(row) => { p { "Asset " (parts::text(&row.asset_id, 100)) " (" (parts::text(&row.why, 200)) ")" } }
                    None => { p { "No asset is known for it." } }
                }
                @match &preview.verdict {
                    Verdict::Sent => { p { (parts::badge(Tone::Good, "would be sent")) } }
                    Verdict::Skipped(reason) => { p { (parts::badge(Tone::Plain, "would be skipped")) " " (parts::text(reason, 500)) } }
                    Verdict::Parked => { p { (parts::badge(Tone::Warn, "would be parked")) " until the asset map has an asset for it" } }
                }
                @for request in &preview.requests {
                    details open[preview.requests.len() == 1] {
                        summary { (request.round) ": " (request.method) " " (parts::text(&request.url, 200)) }
                        @if let Some(when) = &request.when { p.hint { "Only where " code { (when) } } }
                        pre tabindex="0" {
                            @for (name, value) in &request.headers { (name) ": " (value) "\n" }
                            @if let Some(body) = &request.body { "\n" (shortened(body)) }
                        }
                    }
                }
            }
        }
    }
}

/// Bodies may be as large as a mebibyte.
fn shortened(body: &str) -> String {
    const MOST: usize = 20_000;
    match body.char_indices().nth(MOST) {
        None => body.to_owned(),
        Some((end, _)) => format!("{}…", body.get(..end).unwrap_or_default()),
    }
}

const AUTH: [(&str, &str); 5] = [
    ("", "It does not"),
    ("bearer", "Bearer token"),
    ("basic", "User and password (basic)"),
    ("header", "A header of its own"),
    ("oauth2", "OAuth 2 client credentials"),
];

fn form(
    person: &Person,
    action: &str,
    (draft, version): (&Draft, &str),
    wrong: &[Wrong],
) -> Markup {
    let known = draft.fields();
    let names: Vec<String> = known
        .settings
        .iter()
        .map(|field| format!("settings.{}", field.name))
        .chain(
            known
                .secrets
                .iter()
                .map(|field| format!("secrets.{}", field.name)),
        )
        .collect();
    let has_field = |field: &str| {
        FIELDS.contains(&field)
            || (draft.signs() && SIGNED.contains(&field))
            || names.iter().any(|name| name == field)
    };
    let inside = html! {
        (seen(version))
        input type="hidden" name="preset" value=(draft.preset);
        (plain("name", "Name", &draft.name, "1 to 40 characters of a-z, 0-9, - and _", wrong))
        (plain("url", "URL", &draft.url, if draft.keeps("url") { "One is saved as a secret; leave it empty to keep it." } else { "Where events are posted." }, wrong))
        p {
            input type="checkbox" id="f-url_secret" name="url_secret" value="1" checked[draft.url_secret];
            label.inline for="f-url_secret" { " The URL itself is a secret" }
        }
        @for field in &known.settings { (setting(field, draft, wrong)) }
        @for field in &known.secrets {
            @let name = format!("secrets.{}", field.name);
            (secret(&name, &field.name, &field.about, draft.keeps(&name), wrong))
        }
        @if draft.signs() { (signed(draft, wrong)) }
        (credentials(draft, wrong))
        (authority(draft, wrong))
        details open[wrong.iter().any(|wrong| wrong.field == "more")] {
            summary { "More keys" }
            label for="f-more" { "As in a configuration file (TOML)" }
            textarea id="f-more" name="more" rows="8" spellcheck="false"
                aria-describedby=[described(wrong, "more")] { (draft.more) }
            p.hint { "Such as events, when, retry, body and steps. { kept = true } is a secret that is saved." }
            (error_of(wrong, "more"))
        }
        p { button type="submit" { "Save" } }
    };
    html! {
        (refused(wrong, has_field))
        (parts::form(person, action, &inside))
    }
}

/// The fields that every destination has.
const FIELDS: [&str; 9] = [
    "name",
    "url",
    "auth_type",
    "auth_name",
    "auth_secret",
    "token_url",
    "scope",
    "ca",
    "more",
];
/// And one whose requests are signed by its preset.
const SIGNED: [&str; 3] = ["app_key", "access_key", "sign_secret"];

fn plain(name: &str, label: &str, value: &str, hint: &str, wrong: &[Wrong]) -> Markup {
    let id = id(name);
    let is_wrong = wrong.iter().any(|wrong| wrong.field == name);
    html! {
        label for=(id) { (label) }
        input id=(id) name=(name) type="text" autocomplete="off" spellcheck="false" value=(value)
            aria-describedby=[described(wrong, name)] aria-invalid=[is_wrong.then_some("true")];
        @if !hint.is_empty() { p.hint { (hint) } }
        (error_of(wrong, name))
    }
}

fn secret(name: &str, label: &str, hint: &str, is_kept: bool, wrong: &[Wrong]) -> Markup {
    let id = id(name);
    let is_wrong = wrong.iter().any(|wrong| wrong.field == name);
    html! {
        label for=(id) { (label) }
        input id=(id) name=(name) type="password" autocomplete="off" value=""
            aria-describedby=[described(wrong, name)] aria-invalid=[is_wrong.then_some("true")];
        p.hint {
            (hint)
            @if is_kept { " One is saved; leave it empty to keep it." }
        }
        (error_of(wrong, name))
    }
}

fn setting(field: &PresetField, draft: &Draft, wrong: &[Wrong]) -> Markup {
    let name = format!("settings.{}", field.name);
    let default = field.default.as_ref();
    let value = draft.settings.get(&field.name).cloned();
    let value = value.unwrap_or_else(|| text(default));
    if default.is_some_and(serde_json::Value::is_boolean) {
        let id = id(&name);
        return html! {
            label for=(id) { (field.name) }
            select id=(id) name=(name) {
                @for word in ["true", "false"] {
                    option value=(word) selected[word == value] { (word) }
                }
            }
            p.hint { (field.about) }
            (error_of(wrong, &name))
        };
    }
    let example = field.example.as_ref();
    let example = example.map(|example| format!(", such as {example}"));
    let hint = format!("{}{}", field.about, example.unwrap_or_default());
    plain(&name, &field.name, &value, &hint, wrong)
}

fn signed(draft: &Draft, wrong: &[Wrong]) -> Markup {
    html! {
        fieldset {
            legend { "Keys by which requests are signed" }
            (plain("app_key", "Application key", &draft.app_key, "", wrong))
            (plain("access_key", "Access key", &draft.access_key, "", wrong))
            (secret("sign_secret", "Secret", "", draft.keeps("sign"), wrong))
        }
    }
}

fn credentials(draft: &Draft, wrong: &[Wrong]) -> Markup {
    html! {
        fieldset {
            legend { "How the relay shows who it is" }
            label for="f-auth_type" { "By" }
            select id="f-auth_type" name="auth_type" aria-describedby=[described(wrong, "auth_type")] {
                @for (word, label) in AUTH {
                    option value=(word) selected[word == draft.auth_type] { (label) }
                }
            }
            (error_of(wrong, "auth_type"))
            (plain("auth_name", "User, name of the header, or client id", &draft.auth_name, "Not for a bearer token.", wrong))
            (secret("auth_secret", "Token, password, value of the header, or client secret", "", draft.keeps("auth"), wrong))
            (plain("token_url", "Where tokens are fetched", &draft.token_url, "For OAuth 2 alone.", wrong))
            (plain("scope", "Scopes", &draft.scope, "For OAuth 2 alone, if any are wanted.", wrong))
        }
    }
}

fn authority(draft: &Draft, wrong: &[Wrong]) -> Markup {
    html! {
        label for="f-ca" { "Certificate of the plant's own authority, as text" }
        textarea id="f-ca" name="ca" rows="3" spellcheck="false" placeholder="-----BEGIN CERTIFICATE-----"
            aria-describedby=[described(wrong, "ca")] {}
        p.hint { "Believed besides the public authorities. Only where the certificate is signed by an authority of your own." }
        @if draft.keeps("ca") {
            input type="hidden" name="ca_kept" value="1";
            p {
                input type="checkbox" id="f-ca_remove" name="ca_remove" value="1";
                label.inline for="f-ca_remove" { " Remove the one that is saved" }
            }
        }
        (error_of(wrong, "ca"))
    }
}
