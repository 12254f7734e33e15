//! What stands before every screen and every call of the API: who is it, may it be, and was it our
//! own form that had it sent.
//!
//! # Invariants
//! - Nothing but the style, the script, the first visit and the login is answered to nobody.
//! - What changes something brings the code of its own session along, or is refused.
//! - A call of the API shows a token; cookies and proxies are not looked at there, nor tokens
//!   anywhere else.
//! - Every answer has the headers of [`super::headers`]; what is refused is a screen, or JSON.
//! - A route that stands before the guard by mistake lets nobody in.

use std::sync::Arc;

use axum::Router;
use axum::extract::{FromRequestParts, Request, State};
use axum::http::header::{ACCEPT, ALLOW, CONTENT_TYPE, LOCATION, WWW_AUTHENTICATE};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};

use super::accounts::Book;
use super::proxy::Named;
use super::{Access, Person, Role, Standing, cookie, csrf, headers, proxy, screens, tokens};
use crate::page::rest::Rest;
use crate::page::{Failed, Page, failed, live};
use crate::relay::receive::serve::Peer;

/// Who may look.
pub struct See(pub Person);
/// Who may decide.
pub struct Decide(pub Person);
/// Who may set up.
pub struct Configure(pub Person);

/// Whoever asks, as the guard found.
#[derive(Clone)]
struct Asker {
    person: Person,
    /// By the API.
    by_token: bool,
}

/// Lets in who may come in. All routes stand behind it.
pub(crate) fn guard(routes: Router<Arc<Page>>, page: &Arc<Page>) -> Router<Arc<Page>> {
    routes.layer(from_fn_with_state(Arc::clone(page), watch))
}

async fn watch(State(page): State<Arc<Page>>, mut request: Request, next: Next) -> Response {
    let access = &page.outside.access;
    let policy = access.policy(request.headers());
    let is_api = is_of_the_api(request.uri().path());
    let mut answer = if let Some(refusal) = refused(access, &mut request).await {
        refusal
    } else {
        let (rest, request) = Rest::of(request);
        let answer = next.run(request).await;
        if answer.status() == StatusCode::PAYLOAD_TOO_LARGE {
            rest.read().await;
        }
        answer
    };
    if !is_api {
        answer = failed::in_words(answer);
    }
    headers::add(answer.headers_mut(), &policy);
    answer
}

fn is_of_the_api(path: &str) -> bool {
    path == "/api" || path.starts_with("/api/")
}

/// Finds out who it is; or gives the answer for whom is not let in.
async fn refused(access: &Access, request: &mut Request) -> Option<Response> {
    let path = request.uri().path().to_owned();
    let is_api = is_of_the_api(&path);
    // The API has its own answer to that: which methods there are is said by the path.
    if !is_api && let Some(refusal) = unknown_method(request.method()) {
        return Some(refusal);
    }
    if path.starts_with("/static/") {
        return None;
    }
    let book = match access.standing().await {
        Standing::Ready(book) => book,
        Standing::First(_) if is_api => return Some(no_token()),
        Standing::First(_) if path == screens::FIRST => return of_no_session(request),
        Standing::First(_) => return Some(to(screens::FIRST)),
        Standing::Unusable(why) => return Some(unusable(access, &why, is_api)),
    };
    if is_api {
        let Some(token) = tokens::shown(request.headers(), &book.tokens) else {
            return Some(no_token());
        };
        let person = Person {
            name: format!("token {}", token.name),
            role: token.role,
            csrf: String::new(),
            said: None,
        };
        let by_token = true;
        request.extensions_mut().insert(Asker { person, by_token });
        return None;
    }
    if path == screens::FIRST {
        return Some(to("/"));
    }
    let mut person = match by_proxy(access, &book, request) {
        Ok(Some(person)) => person,
        Err(refusal) => return Some(refusal.into_response()),
        Ok(None) if path == screens::LOGIN => return of_no_session(request),
        Ok(None) => match by_cookie(access, &book, request.headers(), by_itself(request)).await {
            Some(person) => person,
            None => return Some(to(&screens::login_for(request.method(), request.uri()))),
        },
    };
    if path == screens::LOGIN {
        return Some(to("/"));
    }
    if changes(request.method()) {
        if !csrf::is(&person.csrf, request.uri().query()) || csrf::from_elsewhere(request.headers())
        {
            return Some(not_ours().into_response());
        }
    } else if shows_a_screen(request.headers()) {
        person.said = access.said(&person.csrf);
    }
    let by_token = false;
    request.extensions_mut().insert(Asker { person, by_token });
    None
}

/// A form without a session: its code is in a cookie too, which another site can neither read nor
/// set.
fn of_no_session(request: &Request) -> Option<Response> {
    if !changes(request.method()) {
        return None;
    }
    let headers = request.headers();
    let mut known = cookie::FORM
        .into_iter()
        .flat_map(|name| cookie::values(headers, name));
    let is_ours = known.any(|value| csrf::is(value, request.uri().query()));
    if is_ours && !csrf::from_elsewhere(headers) {
        return None;
    }
    let refusal = Failed::forbidden(
        "This form was not taken: your browser did not send the cookie that belongs to it.",
        "Load it again. Where that does not help, let the browser keep cookies of this page.",
    );
    Some(refusal.into_response())
}

fn changes(method: &Method) -> bool {
    !matches!(*method, Method::GET | Method::HEAD)
}

/// Whether no person asks: an open screen does, for what it shows. That is no use of a session,
/// which would else never end.
fn by_itself(request: &Request) -> bool {
    let is_live = request.uri().path() == live::PATH;
    !changes(request.method()) && (is_live || !shows_a_screen(request.headers()))
}

/// Not what the script asks for by itself: what is to be said once is said to a person.
fn shows_a_screen(headers: &HeaderMap) -> bool {
    let accept = headers.get(ACCEPT).map(HeaderValue::as_bytes);
    let any = accept.is_none_or(|accept| {
        accept == b"*/*" || accept.windows(9).any(|part| part == b"text/html")
    });
    any && !headers.contains_key("x-live")
}

/// Whom the cookie names.
async fn by_cookie(
    access: &Access,
    book: &Book,
    headers: &HeaderMap,
    by_itself: bool,
) -> Option<Person> {
    for token in cookie::values(headers, cookie::SESSION) {
        if let Some(person) = access.person(book, token, by_itself).await {
            return Some(person);
        }
    }
    None
}

/// Whom a proxy names.
fn by_proxy(access: &Access, book: &Book, request: &Request) -> Result<Option<Person>, Failed> {
    let config = access.place().config;
    let peer = request.extensions().get::<Peer>().map(|peer| peer.0);
    let header = config.proxy_header.as_deref();
    let refuse = |what: String| {
        let advice = "Somebody with the role configure adds accounts, on the screen Accounts; who \
                      looks after the proxy knows what it sends.";
        Err(Failed::forbidden(what, advice))
    };
    let shown = header.unwrap_or_default();
    match proxy::named(peer, request.headers(), &config.proxies, header) {
        Named::NoProxy => Ok(None),
        Named::Nobody => refuse(format!(
            "The reverse proxy does not say who you are: it sends no header {shown} with a name, or \
             several."
        )),
        Named::Account(name) => {
            let name = super::accounts::name(&name).ok();
            match name.and_then(|name| book.account(&name)) {
                Some(account) => Ok(Some(Person {
                    name: account.name.clone(),
                    role: account.role,
                    csrf: csrf::code(book.key(), csrf::Of::Proxy(&account.name)),
                    said: None,
                })),
                None => refuse(format!(
                    "The reverse proxy names you in the header {shown}, and there is no account of \
                     that name."
                )),
            }
        }
    }
}

fn unknown_method(method: &Method) -> Option<Response> {
    let known = [Method::GET, Method::HEAD, Method::POST];
    if known.contains(method) {
        return None;
    }
    let allow = HeaderValue::from_static("GET, HEAD, POST");
    let mut answer = StatusCode::METHOD_NOT_ALLOWED.into_response();
    answer.headers_mut().insert(ALLOW, allow);
    Some(answer)
}

fn not_ours() -> Failed {
    Failed::forbidden(
        "This was not done: the form is not one of your session, which may have ended meanwhile.",
        "Go back, load the screen again and repeat it.",
    )
}

fn unusable(access: &Access, why: &str, is_api: bool) -> Response {
    if is_api {
        let advice = format!("Put back {} from a backup.", access.accounts_path());
        return json(StatusCode::SERVICE_UNAVAILABLE, why, &advice);
    }
    let advice = format!(
        "Put back {} from a backup, or see to it that the relay may read it. If all else fails: \
         `orbit-relay accounts reset` removes all accounts, and a new set-up code is in the log. \
         The relay goes on taking and delivering events.",
        access.accounts_path()
    );
    Failed::unavailable(sentence(why), advice).into_response()
}

fn no_token() -> Response {
    let mut answer = json(
        StatusCode::UNAUTHORIZED,
        "there is no such API token, or none was shown",
        "Show one: Authorization: Bearer …; it is made on the screen Accounts.",
    );
    let scheme = HeaderValue::from_static("Bearer");
    answer.headers_mut().insert(WWW_AUTHENTICATE, scheme);
    answer
}

fn json(status: StatusCode, error: &str, advice: &str) -> Response {
    let text = serde_json::json!({ "error": error, "advice": advice }).to_string();
    (status, [(CONTENT_TYPE, "application/json")], text).into_response()
}

/// Sends the browser there.
pub(super) fn to(path: &str) -> Response {
    let path = HeaderValue::from_str(path).unwrap_or(HeaderValue::from_static("/"));
    (StatusCode::SEE_OTHER, [(LOCATION, path)]).into_response()
}

/// With a capital letter and a full stop.
pub(super) fn sentence(text: &str) -> String {
    let mut letters = text.chars();
    let first = letters.next().map(char::to_uppercase);
    let stop = if text.ends_with('.') { "" } else { "." };
    first
        .into_iter()
        .flatten()
        .chain(letters)
        .chain(stop.chars())
        .collect()
}

/// Why somebody may not do it.
#[derive(Clone, Copy, Debug)]
pub enum Denied {
    /// Nobody is known.
    Nobody,
    /// The role is too little.
    Role {
        /// The one of whoever asks.
        has: Role,
        /// The least that would do.
        takes: Role,
        /// Whether it is a program, by the API.
        by_token: bool,
    },
}

impl IntoResponse for Denied {
    fn into_response(self) -> Response {
        match self {
            Self::Nobody => no_token(),
            Self::Role {
                has,
                takes,
                by_token: true,
            } => {
                let why = format!("this token has the role {has}; this takes the role {takes}");
                let advice = "Use a token of that role; the screen Accounts makes one.";
                json(StatusCode::FORBIDDEN, &why, advice)
            }
            Self::Role { has, takes, .. } => {
                let what = format!("Your account has the role {has}; this takes the role {takes}.");
                let advice = "Somebody with the role configure can give you another one.";
                Failed::forbidden(what, advice).into_response()
            }
        }
    }
}

/// Who asks, where he may do at least that.
fn asker(parts: &Parts, least: Role) -> Result<Person, Denied> {
    let Some(Asker { person, by_token }) = parts.extensions.get() else {
        return Err(Denied::Nobody);
    };
    if person.role >= least {
        return Ok(person.clone());
    }
    Err(Denied::Role {
        has: person.role,
        takes: least,
        by_token: *by_token,
    })
}

impl<S: Send + Sync> FromRequestParts<S> for See {
    type Rejection = Denied;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Denied> {
        asker(parts, Role::See).map(Self)
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Decide {
    type Rejection = Denied;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Denied> {
        asker(parts, Role::Decide).map(Self)
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Configure {
    type Rejection = Denied;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Denied> {
        asker(parts, Role::Configure).map(Self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn see_cannot_decide_and_decide_cannot_configure_and_nobody_can_nothing() {
        for (role, may) in [
            (Some(Role::See), [true, false, false]),
            (Some(Role::Decide), [true, true, false]),
            (Some(Role::Configure), [true, true, true]),
            (None, [false, false, false]),
        ] {
            for by_token in [false, true] {
                let mut request = Request::new(());
                if let Some(role) = role {
                    let mut person = Person::for_tests("ann");
                    person.role = role;
                    request.extensions_mut().insert(Asker { person, by_token });
                }
                let (mut parts, ()) = request.into_parts();
                let see = See::from_request_parts(&mut parts, &()).await;
                let decide = Decide::from_request_parts(&mut parts, &()).await;
                let configure = Configure::from_request_parts(&mut parts, &()).await;
                assert_eq!(
                    [see.is_ok(), decide.is_ok(), configure.is_ok()],
                    may,
                    "{role:?}"
                );
                let Err(denied) = configure.map(|_| ()) else {
                    continue;
                };
                let answer = denied.into_response();
                let expected = role.map_or(401, |_| 403);
                assert_eq!(answer.status(), expected, "{role:?}");
                let kind = answer.headers()[CONTENT_TYPE].to_str().unwrap();
                assert_eq!(kind == "application/json", by_token || role.is_none());
            }
        }
    }
}
