//! My account: password, sessions, log out.
//!
//! # Invariants
//! - Another password takes the one of now, and ends all sessions; the browser that asked gets a
//!   new one.

use std::sync::Arc;

use axum::extract::rejection::FormRejection;
use axum::extract::{Form, State};
use axum::http::HeaderMap;
use axum::http::header::SET_COOKIE;
use axum::response::IntoResponse as _;
use maud::{Markup, html};
use serde::Deserialize;

use super::super::doing::shown_sessions;
use super::super::guard::to;
use super::super::view::Session;
use super::super::{Person, See, cookie};
use super::{Field, enter, field, fields, problem, said, twice, with_retry_after};
use crate::page::html::{layout, parts};
use crate::page::{Answer, Page};

pub(super) async fn show(
    State(page): State<Arc<Page>>,
    See(person): See,
    headers: HeaderMap,
) -> Answer {
    Ok(screen(&page, &person, &headers, None).await.into_response())
}

async fn screen(page: &Page, person: &Person, headers: &HeaderMap, wrong: Option<&str>) -> Markup {
    let access = &page.outside.access;
    let own = shown_sessions(headers);
    let sessions = access.sessions(&person.name, &own).await;
    let has_password = access.has_password(&person.name).await;
    let by_session = sessions.iter().any(|session| session.is_this);
    layout::screen(
        person,
        layout::Here::Account,
        "My account",
        &html! {
            dl.facts {
                dt { "Name" } dd { (parts::text(&person.name, 64)) }
                dt { "Role" } dd { (person.role) }
            }
            @if by_session {
                (parts::button(person, "/logout", "Log out"))
            } @else {
                p { "A reverse proxy logged you in: log out there." }
            }
            @if has_password { (password_form(person, wrong)) }
            @if !sessions.is_empty() { (sessions_table(person, &sessions)) }
        },
    )
}

fn password_form(person: &Person, wrong: Option<&str>) -> Markup {
    html! {
        h2 { "Change the password" }
        (problem(wrong))
        (parts::form(person, "/account/password", &html! {
            // For stores of passwords: whose it is.
            input type="text" name="name" value=(person.name) autocomplete="username" hidden;
            (field("old", "Password of now", "password", "current-password").show())
            (Field {
                hint: Some("12 characters or more. All your other sessions end."),
                ..field("password", "New password", "password", "new-password")
            }.show())
            (field("again", "The new password again", "password", "new-password").show())
            p { button type="submit" { "Change it" } }
        }))
    }
}

fn sessions_table(person: &Person, sessions: &[Session]) -> Markup {
    html! {
        h2 { "Sessions" }
        div.scroll tabindex="0" {
            table {
                caption { "Where you are logged in" }
                thead {
                    tr {
                        th scope="col" { "Begun" }
                        th scope="col" { "Last used" }
                        th scope="col" { "Which" }
                    }
                }
                tbody {
                    @for session in sessions {
                        tr {
                            td { (parts::time(session.begun)) }
                            td { (parts::time(session.used)) }
                            td { @if session.is_this { "this one" } @else { "another browser" } }
                        }
                    }
                }
            }
        }
        @if sessions.len() > 1 {
            (parts::button(person, "/account/sessions", "End all others"))
        }
    }
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct PasswordForm {
    old: String,
    password: String,
    again: String,
}

pub(super) async fn password(
    State(page): State<Arc<Page>>,
    See(person): See,
    headers: HeaderMap,
    form: Result<Form<PasswordForm>, FormRejection>,
) -> Answer {
    let form = fields(form)?;
    let access = &page.outside.access;
    let changed = match twice(&form.password, &form.again) {
        Ok(new) => {
            let doer = person.doer(&page);
            access.change_own_password(doer, &form.old, new).await
        }
        Err(why) => Err(why),
    };
    match changed {
        Ok(token) => Ok(enter(&headers, &token, "/account")),
        Err(refused) => {
            let (status, why) = said(&refused);
            let screen = screen(&page, &person, &headers, Some(&why)).await;
            Ok(with_retry_after((status, screen).into_response(), &refused))
        }
    }
}

pub(super) async fn end_others(
    State(page): State<Arc<Page>>,
    See(person): See,
    headers: HeaderMap,
) -> Answer {
    let access = &page.outside.access;
    let own = shown_sessions(&headers).first().copied();
    access.end_others(&person.name, own).await?;
    page.say(&person, "Your other sessions have ended.");
    Ok(to("/account"))
}

pub(super) async fn log_out(
    State(page): State<Arc<Page>>,
    See(person): See,
    headers: HeaderMap,
) -> Answer {
    let access = &page.outside.access;
    access.log_out(&shown_sessions(&headers)).await;
    tracing::info!("page: {} logged out", person.name);
    let mut answer = to(super::LOGIN);
    let gone = cookie::no_session(cookie::over_https(&headers));
    let lines = gone.into_iter().map(|line| (SET_COOKIE, line));
    answer.headers_mut().extend(lines);
    Ok(answer)
}
