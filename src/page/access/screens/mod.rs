//! The screens of access: the first visit and the login here, the others beside.
//!
//! # Invariants
//! - All work without script.
//! - No password and no set-up code that was typed is in an answer.
//! - After a login it goes on to a path of our own, and nowhere else.

mod account;
mod accounts;

use std::sync::Arc;
use std::time::Duration;

use axum::extract::rejection::FormRejection;
use axum::extract::{DefaultBodyLimit, Form, Query, State};
use axum::http::header::{RETRY_AFTER, SET_COOKIE};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, Uri};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use axum::{Router, http};
use maud::{Markup, html};
use serde::Deserialize;
use url::form_urlencoded;

use super::guard::{sentence, to};
use super::hash::Hash;
use super::{Refused, cookie};
use crate::page::html::{layout, parts};
use crate::page::{Failed, Page};

/// The first visit.
pub(super) const FIRST: &str = "/setup-code";
/// The login.
pub(super) const LOGIN: &str = "/login";
/// More than the longest of these forms takes.
const LONGEST_FORM: usize = 16 * 1024;
const LONGEST_PATH: usize = 2000;

pub(in crate::page) fn routes() -> Router<Arc<Page>> {
    Router::new()
        .route(FIRST, get(first).post(set_up))
        .route(LOGIN, get(login).post(log_in))
        .route("/logout", post(account::log_out))
        .route("/account", get(account::show))
        .route("/account/password", post(account::password))
        .route("/account/sessions", post(account::end_others))
        .route("/accounts", get(accounts::show).post(accounts::add))
        .route("/accounts/role", post(accounts::role))
        .route("/accounts/password", post(accounts::password))
        .route("/accounts/remove", post(accounts::remove))
        .route("/accounts/tokens", post(accounts::add_token))
        .route("/accounts/tokens/remove", post(accounts::remove_token))
        .layer(DefaultBodyLimit::max(LONGEST_FORM))
}

/// What a form brought, or why it cannot be read; what was typed is not shown.
fn fields<T>(form: Result<Form<T>, FormRejection>) -> Result<T, Failed> {
    form.map(|Form(fields)| fields).map_err(|rejection| {
        let what = match rejection.status() {
            StatusCode::PAYLOAD_TOO_LARGE => "The form is too large.",
            _ => "The form cannot be read.",
        };
        Failed::wrong(what, "Go back, load the screen again and repeat it.")
    })
}

impl From<Refused> for Failed {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::Wrong(why) => Self::wrong(why, "Nothing was changed."),
            Refused::Wait(wait) => Self {
                status: StatusCode::TOO_MANY_REQUESTS,
                what: wait_in_words(wait),
                advice: "Nothing was changed.".to_owned(),
            },
            Refused::Unavailable(why) => {
                let advice = "Nothing was changed. Health and the log say more.";
                Self::unavailable(sentence(&why), advice)
            }
        }
    }
}

/// The status of a form that is shown again, and what is said in it.
fn said(refused: &Refused) -> (StatusCode, String) {
    match refused {
        Refused::Wrong(why) => (StatusCode::UNPROCESSABLE_ENTITY, why.clone()),
        Refused::Wait(wait) => (StatusCode::TOO_MANY_REQUESTS, wait_in_words(*wait)),
        Refused::Unavailable(why) => (StatusCode::SERVICE_UNAVAILABLE, sentence(why)),
    }
}

fn wait_in_words(wait: Duration) -> String {
    let seconds = seconds(wait);
    let words = match seconds {
        0..=120 => format!("{seconds} seconds"),
        more => format!("{} minutes", more.div_ceil(60)),
    };
    format!(
        "There were too many wrong tries. The next one is taken in {words}; until then a right one \
         is refused too."
    )
}

/// Whole seconds, after which it is over in any case.
fn seconds(wait: Duration) -> u64 {
    wait.as_secs() + u64::from(wait.subsec_nanos() > 0)
}

/// Tells programs how long to wait.
fn with_retry_after(mut answer: Response, refused: &Refused) -> Response {
    if let Refused::Wait(wait) = refused {
        let seconds = HeaderValue::from(seconds(*wait));
        answer.headers_mut().insert(RETRY_AFTER, seconds);
    }
    answer
}

/// A problem above a form that is shown again.
fn problem(text: Option<&str>) -> Markup {
    html! {
        @if let Some(text) = text {
            div.problem role="alert" { p { (text) } }
        }
    }
}

/// A field with its label.
struct Field<'a> {
    name: &'a str,
    label: &'a str,
    kind: &'a str,
    /// What browsers and password stores know it by.
    complete: &'a str,
    value: &'a str,
    hint: Option<&'a str>,
}

impl Field<'_> {
    fn show(&self) -> Markup {
        let new = self.complete == "new-password";
        let hint = format!("{}-hint", self.name);
        html! {
            label for=(self.name) { (self.label) }
            @if let Some(text) = self.hint {
                p.hint id=(hint) { (text) }
            }
            input id=(self.name) name=(self.name) type=(self.kind) autocomplete=(self.complete)
                value=[(!self.value.is_empty()).then_some(self.value)] required
                minlength=[new.then_some("12")] maxlength=[new.then_some("1000")]
                autocapitalize=[(self.kind == "text").then_some("none")]
                spellcheck=[(self.kind == "text").then_some("false")]
                aria-describedby=[self.hint.map(|_| hint.as_str())];
        }
    }
}

fn field<'a>(name: &'a str, label: &'a str, kind: &'a str, complete: &'a str) -> Field<'a> {
    Field {
        name,
        label,
        kind,
        complete,
        value: "",
        hint: None,
    }
}

/// The code of a form without a session: the one that the browser has, for what else it shows.
fn code_of_form(headers: &HeaderMap) -> Result<String, Failed> {
    let is_ours = |text: &&str| text.len() == 64 && text.bytes().all(|b| b.is_ascii_hexdigit());
    let mut known = cookie::FORM
        .into_iter()
        .flat_map(|name| cookie::values(headers, name));
    match known.find(is_ours) {
        Some(code) => Ok(code.to_owned()),
        None => Hash::random().map(|code| code.hex()).map_err(|error| {
            tracing::error!(%error, "page: no random numbers");
            Failed::unavailable("There is no login now.", "Come again in a moment.")
        }),
    }
}

/// A screen with a form for somebody without a session.
fn alone(
    status: StatusCode,
    headers: &HeaderMap,
    title: &str,
    form: impl FnOnce(&str) -> Markup,
) -> Result<Response, Failed> {
    let code = code_of_form(headers)?;
    let screen = layout::alone(title, &form(&code));
    let mut answer = (status, screen).into_response();
    for line in cookie::form(&code).into_iter().flatten() {
        answer.headers_mut().append(SET_COOKIE, line);
    }
    Ok(answer)
}

/// On to a screen, with a new session.
fn enter(headers: &HeaderMap, token: &crate::secret::Secret, path: &str) -> Response {
    let mut answer = to(path);
    let line = cookie::session(token.expose(), cookie::over_https(headers));
    let lines = line.into_iter().map(|line| (SET_COOKIE, line));
    answer.headers_mut().extend(lines);
    answer
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct FirstForm {
    code: String,
    name: String,
    password: String,
    again: String,
}

async fn first(headers: HeaderMap) -> Result<Response, Failed> {
    first_screen(StatusCode::OK, &headers, "", None)
}

fn first_screen(
    status: StatusCode,
    headers: &HeaderMap,
    name: &str,
    wrong: Option<&str>,
) -> Result<Response, Failed> {
    alone(status, headers, "First visit", |csrf| {
        html! {
            p {
                "This relay has no account yet. Make the first one: it may set everything up, and "
                "add others."
            }
            (problem(wrong))
            form method="post" action=(format!("{FIRST}?csrf={csrf}")) {
                (Field {
                    hint: Some("It is in the relay's log, and in the file page/setup-code of its \
                                data directory: XXXX-XXXX."),
                    ..field("code", "Set-up code", "text", "off")
                }.show())
                (Field {
                    value: name,
                    hint: Some("Letters, digits and . - _ @ +, no spaces."),
                    ..field("name", "Your name", "text", "username")
                }.show())
                (Field {
                    hint: Some("12 characters or more."),
                    ..field("password", "Password", "password", "new-password")
                }.show())
                (field("again", "The same password again", "password", "new-password").show())
                p { button type="submit" { "Make the account" } }
            }
        }
    })
}

async fn set_up(
    State(page): State<Arc<Page>>,
    headers: HeaderMap,
    form: Result<Form<FirstForm>, FormRejection>,
) -> Result<Response, Failed> {
    let form = fields(form)?;
    let made = match twice(&form.password, &form.again) {
        Ok(password) => {
            let journal = &page.app.ground.journal;
            let access = &page.outside.access;
            access
                .set_up(journal, &form.code, &form.name, password)
                .await
        }
        Err(why) => Err(why),
    };
    match made {
        Ok(token) => Ok(enter(&headers, &token, "/")),
        Err(refused) => {
            let (status, why) = said(&refused);
            let name: String = form.name.chars().take(100).collect();
            let answer = first_screen(status, &headers, &name, Some(&why))?;
            Ok(with_retry_after(answer, &refused))
        }
    }
}

/// A new password, typed twice.
fn twice<'a>(password: &'a str, again: &str) -> Result<&'a str, Refused> {
    let same = password == again;
    let differ = || Refused::Wrong("The two passwords are not the same.".to_owned());
    same.then_some(password).ok_or_else(differ)
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct LoginForm {
    name: String,
    password: String,
    to: String,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Next {
    to: String,
}

async fn login(
    headers: HeaderMap,
    next: Result<Query<Next>, axum::extract::rejection::QueryRejection>,
) -> Result<Response, Failed> {
    let next = next.map_or_else(|_| String::new(), |Query(next)| next.to);
    login_screen(StatusCode::OK, &headers, &next, None)
}

fn login_screen(
    status: StatusCode,
    headers: &HeaderMap,
    next: &str,
    wrong: Option<&str>,
) -> Result<Response, Failed> {
    alone(status, headers, "Log in", |csrf| {
        html! {
            (problem(wrong))
            form method="post" action=(format!("{LOGIN}?csrf={csrf}")) {
                @if next != "/" && local(next).is_some() {
                    input type="hidden" name="to" value=(next);
                }
                (field("name", "Name", "text", "username").show())
                (field("password", "Password", "password", "current-password").show())
                p { button type="submit" { "Log in" } }
            }
            p.soft {
                "A lost password: somebody with the role configure gives your account a new one. "
                "Where nobody can, " code { "orbit-relay accounts reset" } " removes all accounts."
            }
        }
    })
}

async fn log_in(
    State(page): State<Arc<Page>>,
    headers: HeaderMap,
    form: Result<Form<LoginForm>, FormRejection>,
) -> Result<Response, Failed> {
    let form = fields(form)?;
    let access = &page.outside.access;
    match access.log_in(&form.name, &form.password).await {
        Ok(token) => Ok(enter(&headers, &token, local(&form.to).unwrap_or("/"))),
        Err(refused) => {
            let (status, why) = said(&refused);
            let answer = login_screen(status, &headers, &form.to, Some(&why))?;
            Ok(with_retry_after(answer, &refused))
        }
    }
}

/// The login that goes on to what was asked for.
pub(super) fn login_for(method: &Method, uri: &Uri) -> String {
    let asked = uri
        .path_and_query()
        .map_or("/", http::uri::PathAndQuery::as_str);
    if *method != Method::GET || asked == "/" || local(asked).is_none() {
        return LOGIN.to_owned();
    }
    let to: String = form_urlencoded::byte_serialize(asked.as_bytes()).collect();
    format!("{LOGIN}?to={to}")
}

/// A path of ours: no other host can be meant, whatever a browser makes of it.
fn local(path: &str) -> Option<&str> {
    let begins = path.starts_with('/') && !path.starts_with("//");
    let plain = |c: char| c.is_ascii_graphic() && c != '\\';
    (begins && path.len() <= LONGEST_PATH && path.chars().all(plain)).then_some(path)
}

/// The role of a form.
fn role(word: &str) -> Result<super::Role, Refused> {
    super::Role::parse(word)
        .ok_or_else(|| Refused::Wrong("Choose one of the roles see, decide, configure.".to_owned()))
}

/// The roles to choose from.
fn roles(id: &str, label: &str, chosen: super::Role) -> Markup {
    html! {
        select id=(id) name="role" aria-label=[(!label.is_empty()).then_some(label)] {
            @for role in super::Role::ALL {
                option value=(role) selected[role == chosen] { (role) }
            }
        }
    }
}

/// What was typed for something of this name, on a button.
fn named(name: &str) -> Markup {
    parts::text(name, 64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn after_the_login_it_goes_to_a_path_of_ours_and_nowhere_else() {
        for (path, taken) in [
            ("/", true),
            ("/deliveries?state=dead&q=a%20b", true),
            ("/a//b", true),
            ("", false),
            ("deliveries", false),
            ("//evil.example", false),
            ("/\\evil.example", false),
            ("/a\\b", false),
            ("\\/evil.example", false),
            ("https://evil.example", false),
            ("javascript:alert(1)", false),
            ("/\t/evil.example", false),
            ("/\n/evil.example", false),
            (" /a", false),
            ("/a b", false),
            ("/\u{202e}", false),
        ] {
            assert_eq!(local(path).is_some(), taken, "{path:?}");
        }
        assert!(local(&format!("/{}", "a".repeat(2000))).is_none());
        let of = |method: &Method, uri: &'static str| login_for(method, &Uri::from_static(uri));
        assert_eq!(of(&Method::GET, "/"), "/login");
        assert_eq!(of(&Method::GET, "/a?b=c&d"), "/login?to=%2Fa%3Fb%3Dc%26d");
        assert_eq!(of(&Method::POST, "/a"), "/login");
        assert_eq!(of(&Method::GET, "//evil.example"), "/login");
    }

    #[test]
    fn a_wait_is_said_in_whole_seconds_or_minutes_that_suffice() {
        for (wait, header, words) in [
            (Duration::from_millis(1), 1, "in 1 seconds"),
            (Duration::from_secs(30), 30, "in 30 seconds"),
            (Duration::from_millis(121_500), 122, "in 3 minutes"),
            (Duration::from_mins(15), 900, "in 15 minutes"),
        ] {
            assert_eq!(seconds(wait), header);
            assert!(wait_in_words(wait).contains(words), "{wait:?}");
        }
    }
}
