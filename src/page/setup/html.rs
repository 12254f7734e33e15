//! The screens of Setup, from their views.
//!
//! # Invariants
//! - Pure. A field that holds a secret is empty, whatever is saved.
//! - What is set elsewhere is shown, disabled, with where it comes from.

use maud::{Markup, html};

use super::super::access::{Person, Role};
use super::super::html::layout::{Here, screen};
use super::super::html::parts;
use super::draft::Wrong;
use super::view::{Overview, SettingView, Step, StepView};
use crate::app::check::reach::{PRESS, Tested};
use crate::table::Row;

/// The settings of a step, each with what its field is called.
pub(super) const ORBIT: [(&str, &str); 5] = [
    ("hostname", "Orbit's address"),
    ("api-token", "API token"),
    ("verify", "Orbit's certificate"),
    ("page-orbit", "How browsers reach Orbit"),
    // Here only where one is saved: where the address changes it is asked for again.
    (SECRET, "Webhook secret"),
];
const SECRET: &str = "webhook-secret";
pub(super) const WEBHOOK: [(&str, &str); 6] = [
    (
        "webhook-host",
        "Addresses by which Orbit may reach this relay",
    ),
    ("webhook-port", "Port that takes events"),
    ("payload-types", "Event types"),
    (
        "manage",
        "What is done about a webhook that is not as it should be",
    ),
    (
        "validate-tls-cert",
        "Orbit checks the certificate of that address",
    ),
    (SECRET, "Webhook secret"),
];

/// What stands above a form that was refused.
pub(super) fn refused(wrong: &[Wrong], has_field: impl Fn(&str) -> bool) -> Markup {
    let apart = wrong.iter().filter(|wrong| !has_field(&wrong.field));
    html! {
        @if !wrong.is_empty() {
            div.problem role="alert" {
                p { "Nothing was saved. What is wrong stands at its field." }
                @for wrong in apart {
                    p {
                        @if !wrong.field.is_empty() { (wrong.field) ": " }
                        (parts::text(&wrong.what, 1000))
                    }
                }
            }
        }
    }
}

/// By which name a form brings along which version of what is saved it shows.
pub(super) const SEEN: &str = "seen";

/// Brings that along.
pub(super) fn seen(version: &str) -> Markup {
    html! { input type="hidden" name=(SEEN) value=(version); }
}

/// What is wrong with a field, below it.
pub(super) fn error_of(wrong: &[Wrong], field: &str) -> Markup {
    let found: Vec<_> = wrong.iter().filter(|wrong| wrong.field == field).collect();
    html! {
        @if !found.is_empty() {
            p.error id={ (id(field)) "-error" } {
                @for wrong in found { (parts::text(&wrong.what, 1000)) " " }
            }
        }
    }
}

/// A field's id: names have dots.
pub(super) fn id(field: &str) -> String {
    format!("f-{}", field.replace('.', "-"))
}

/// By what a field is described.
pub(super) fn described(wrong: &[Wrong], field: &str) -> Option<String> {
    let is_wrong = wrong.iter().any(|wrong| wrong.field == field);
    is_wrong.then(|| format!("{0}-error", id(field)))
}

pub(super) fn rows(rows: &[Row], caption: &str) -> Markup {
    html! {
        @if rows.is_empty() {
            (parts::nothing("It was not looked at yet."))
        } @else {
            div.scroll tabindex="0" {
                table {
                    caption { (caption) }
                    thead { tr { th scope="col" { "What" } th scope="col" { "How it is" } th scope="col" { "What was seen" } } }
                    tbody {
                        @for row in rows {
                            tr {
                                th scope="row" { (parts::text(&row.name, 80)) }
                                td { (parts::verdict(row.verdict)) }
                                td {
                                    (parts::text(&row.what, 1000))
                                    @if let Some(advice) = &row.advice {
                                        p.hint { "→ " (parts::text(advice, 1000)) }
                                    }
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}

/// Where a step is, and what it is called.
fn way(step: Step) -> (&'static str, &'static str) {
    match step {
        Step::Orbit => ("/setup/orbit", "Orbit"),
        Step::Webhook => ("/setup/webhook", "Webhook"),
        Step::Destinations => ("/setup/destinations", "Destinations"),
        Step::AssetMap => ("/assets/map", "Asset map"),
    }
}

pub(super) fn overview(person: &Person, view: &Overview, map_rows: usize) -> Markup {
    let body = html! {
        p {
            "Four steps. What is saved counts at once; what a flag, the environment or a file sets "
            "wins over it, and is shown locked."
        }
        ol.cards id="setup-steps" data-live {
            @for step in &view.steps {
                @let (path, name) = way(step.step);
                li.card {
                    h2 { a href=(path) { (name) } }
                    p { (parts::verdict(step.verdict)) }
                    p { (parts::text(&step.what, 300)) }
                    @if step.step == Step::AssetMap {
                        p.soft { (parts::count(u64::try_from(map_rows).unwrap_or(u64::MAX))) " rows" }
                        p { a href="/waiting" { "What has no asset" } }
                    }
                }
            }
        }
        (looked(person, view))
        @if let Some(why) = &view.unusable {
            section aria-labelledby="unusable" {
                h2 id="unusable" { "What was saved here cannot be read" }
                p.problem { (parts::text(why, 1000)) }
                p {
                    "The relay runs without it, and nothing can be saved as long as it stands so. "
                    "Set the file right in the data directory; or put it aside and begin anew: it "
                    "stays in the same folder under another name, and what it said, with its "
                    "secrets, has to be given again."
                }
                @if person.role == Role::Configure {
                    (parts::button(person, "/setup/anew", "Put it aside and begin anew"))
                }
            }
        }
        @if !view.warnings.is_empty() {
            section aria-labelledby="warnings" {
                h2 id="warnings" { "What you should know of it" }
                ul { @for warning in &view.warnings { li { (parts::text(warning, 1000)) } } }
            }
        }
        @if person.role == Role::Configure {
            section aria-labelledby="whole" {
                h2 id="whole" { "All of it" }
                p {
                    a href="/setup/export.toml" { "Export" }
                    " – all that is saved here, as one text without secrets"
                }
                p { a href="/setup/import" { "Import" } " – puts such a text in its place" }
            }
        }
    };
    screen(person, Here::Setup, "Setup", &body)
}

fn looked(person: &Person, view: &Overview) -> Markup {
    html! {
        div id="setup-looked" data-live {
            @match (view.is_looking, view.looked_at) {
                (true, _) => { p role="status" { "It is being looked at. This takes some seconds." } }
                (false, Some(at)) => { p.soft { "Looked at " (parts::time(at)) "." } }
                (false, None) => { p.soft { "Nothing was looked at yet." } }
            }
        }
        (parts::button(person, "/setup/look", "Look again"))
    }
}

/// The field of a setting.
fn setting(view: &SettingView, label: &str, wrong: &[Wrong], person: &Person) -> Markup {
    let id = id(view.name);
    let hint = format!("{id}-hint");
    let described = match described(wrong, view.name) {
        Some(error) => format!("{hint} {error}"),
        None => hint.clone(),
    };
    let is_wrong = wrong.iter().any(|wrong| wrong.field == view.name);
    let disabled = view.locked.is_some() || person.role < Role::Configure;
    let own = view.own.as_deref().unwrap_or_default();
    let value = if disabled { view.value.as_str() } else { own };
    html! {
        label for=(id) { (label) }
        @if view.secret {
            input id=(id) name=(view.name) type="password" autocomplete="off" value=""
                disabled[disabled] aria-describedby=(described) aria-invalid=[is_wrong.then_some("true")];
        } @else {
            input id=(id) name=(view.name) type="text" autocomplete="off" spellcheck="false"
                value=(value) placeholder=[view.default] disabled[disabled]
                aria-describedby=(described) aria-invalid=[is_wrong.then_some("true")];
        }
        p.hint id=(hint) {
            (view.help) ". "
            @if let Some(locked) = &view.locked {
                "Locked: " (parts::text(locked, 300)) ". "
            } @else if view.secret && view.saved {
                "One is saved; leave it empty to keep it. "
            } @else if view.saved {
                "Saved here. "
            } @else {
                "Now: " (parts::text(&view.value, 200)) " (" (parts::text(&view.origin, 200)) "). "
            }
        }
        (error_of(wrong, view.name))
        @if view.saved && view.secret && !disabled {
            p {
                input type="checkbox" id={ (id) "-remove" } name={ (view.name) ".remove" } value="1";
                label.inline for={ (id) "-remove" } { " Remove what is saved" }
            }
        }
        @if view.name == "verify" && !disabled {
            label for={ (id) "-pem" } { "Or the certificate of Orbit's authority, as text" }
            textarea id={ (id) "-pem" } name="verify.pem" rows="3" spellcheck="false" placeholder="-----BEGIN CERTIFICATE-----" {}
            @if view.saved && view.own.is_none() {
                p.hint { "One is saved; leave both empty to keep it." }
            }
        }
    }
}

/// A form of settings, with what was wrong with the last one.
fn settings(
    person: &Person,
    action: &str,
    named: &[(&str, &str)],
    (all, version): (&[SettingView], &str),
    wrong: &[Wrong],
) -> Markup {
    let fields = html! {
        (seen(version))
        @for (name, label) in named {
            @if let Some(view) = all.iter().find(|view| view.name == *name) {
                (setting(view, label, wrong, person))
            }
        }
        @if person.role == Role::Configure {
            p { button type="submit" { "Save" } }
        }
    };
    html! {
        (refused(wrong, |field| named.iter().any(|(name, _)| *name == field)))
        @if person.role == Role::Configure {
            (parts::form(person, action, &fields))
        } @else {
            p.soft { "Your role may look at this and not change it." }
            (fields)
        }
    }
}

pub(super) fn orbit(
    person: &Person,
    step: &StepView,
    (all, version): (&[SettingView], &str),
    fingerprint: Option<&str>,
    wrong: &[Wrong],
) -> Markup {
    let verify = all.iter().find(|view| view.name == "verify");
    let can_pin =
        person.role == Role::Configure && verify.is_some_and(|view| view.locked.is_none());
    let is_shown =
        |name: &str| name != SECRET || all.iter().any(|view| view.name == name && view.saved);
    let named: Vec<_> = ORBIT
        .into_iter()
        .filter(|(name, _)| is_shown(name))
        .collect();
    let body = html! {
        (settings(person, "/setup/orbit", &named, (all, version), wrong))
        p.hint {
            "Make the token in Orbit: Settings → Developer Features → API Access Tokens, with the "
            "role ADMIN. Where the address changes, the token is asked for again, and so is the "
            "webhook secret where one is saved."
        }
        section aria-labelledby="seen" id="setup-orbit" data-live {
            h2 id="seen" { "What is seen of it" }
            (rows(&step.rows, "Orbit, as the relay sees it"))
            @if let Some(fingerprint) = fingerprint {
                h3 { "The certificate that it shows" }
                p { "SHA-256 " code { (fingerprint) } }
                p.hint {
                    "Compare it with the one that your browser shows for Orbit. Once pinned, only "
                    "this certificate is accepted, whatever its name and its expiry."
                }
                @if can_pin {
                    (parts::form(person, "/setup/orbit/pin", &html! {
                        (seen(version))
                        input type="hidden" name="sha256" value=(fingerprint);
                        button.second type="submit" { "Pin this certificate" }
                    }))
                }
            }
        }
        (parts::button(person, "/setup/look?to=orbit", "Look again"))
        p { a href="/setup" { "Setup" } " · " a href="/setup/webhook" { "Next: the webhook" } }
    };
    screen(person, Here::Setup, "Setup: Orbit", &body)
}

pub(super) fn webhook(
    person: &Person,
    step: &StepView,
    (all, version): (&[SettingView], &str),
    tested: Option<&Tested>,
    wrong: &[Wrong],
) -> Markup {
    let body = html! {
        section aria-labelledby="test" id="setup-test" data-live {
            h2 id="test" { "Test payload" }
            @match tested {
                Some(tested) => {
                    p {
                        (parts::badge(parts::Tone::Good, "came"))
                        " The last one came " (parts::time(tested.at)) ", verified"
                        @if let Some(from) = tested.from { ", from " (from) }
                        ": Orbit reaches this relay."
                    }
                }
                None => {
                    p role="status" {
                        (parts::badge(parts::Tone::Plain, "waiting"))
                        " None has come since the start. Press the button " (PRESS)
                        ". This changes by itself when it comes."
                    }
                }
            }
        }
        section aria-labelledby="seen" id="setup-webhook" data-live {
            h2 id="seen" { "What is seen of it" }
            (rows(&step.rows, "The webhook in Orbit, and the ways to this relay"))
        }
        div.row {
            (parts::button(person, "/setup/look?to=webhook", "Look again"))
            @if person.role >= Role::Decide {
                (parts::button(person, "/setup/webhook/repair", "Set it right in Orbit"))
            }
        }
        h2 { "How it should be" }
        (settings(person, "/setup/webhook", &WEBHOOK, (all, version), wrong))
        p { a href="/setup" { "Setup" } " · " a href="/setup/destinations" { "Next: where events go" } }
    };
    screen(person, Here::Setup, "Setup: webhook", &body)
}

pub(super) fn import(
    person: &Person,
    (text, version): (&str, &str),
    needed: &[String],
    wrong: &[Wrong],
) -> Markup {
    let fields = html! {
        (seen(version))
        label for="f-text" { "The text of an export" }
        textarea id="f-text" name="text" rows="16" spellcheck="false" required { (text) }
        @if !needed.is_empty() {
            h2 { "Secrets that it names" }
            p.hint { "They are not in the text and not saved here for the same address." }
            @for name in needed {
                @let id = id(name).replace(": ", "-").replace(' ', "-");
                label for=(id) { (parts::text(name, 100)) }
                textarea id=(id) name={ "secret:" (name) } rows="1" autocomplete="off" spellcheck="false" {}
            }
        }
        p { button type="submit" { "Put it in the place of what is saved" } }
    };
    let body = html! {
        p { "All that is saved on this page goes, and what the text says comes. What is set elsewhere stays." }
        (refused(wrong, |_| false))
        (parts::form(person, "/setup/import", &fields))
        p { a href="/setup" { "Setup" } }
    };
    screen(person, Here::Setup, "Import", &body)
}
