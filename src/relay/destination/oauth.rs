//! OAuth 2 client credentials (RFC 6749, 4.4): a token is fetched, kept in memory, and renewed.
//!
//! # Invariants
//! - One fetch at a time; whoever waited for it takes what came of it.
//! - A token is renewed before it ends: a tenth of its life before, at most a minute.
//! - A token stands in no error and no log; of what the endpoint says to a refusal only the error's
//!   code is shown.

use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use reqwest::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue, USER_AGENT};
use reqwest::{Method, Request};
use serde::Deserialize;
use tokio::sync::Semaphore;
use tokio::time::Instant;
use url::Url;
use url::form_urlencoded::{self, byte_serialize};

use super::outcome::{Outcome, Trouble};
use super::retry_after::retry_after;
use super::{AGENT, ANSWER_LIMIT, auth};
use crate::http;
use crate::secret::Secret;

/// The longest time before its end at which a token is renewed.
const MARGIN: Duration = Duration::from_mins(1);

/// Where a token is asked for, and by whom.
#[derive(Clone, Copy)]
pub(super) struct Endpoint<'a> {
    pub(super) url: &'a Url,
    pub(super) client_id: &'a str,
    pub(super) client_secret: &'a Secret,
    pub(super) scope: Option<&'a str>,
    /// Of which destination it is.
    pub(super) name: &'a str,
}

/// The token of one destination.
pub(super) struct Tokens {
    /// Taken while a token is fetched.
    turn: Semaphore,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    token: Option<Token>,
    /// How many fetches have ended.
    fetches: u64,
    /// Why the last one gave none.
    failure: Option<Outcome>,
}

struct Token {
    text: Secret,
    /// When it is renewed, and when it ends, if it does.
    life: Option<(Instant, Instant)>,
}

impl Default for Tokens {
    fn default() -> Self {
        Self {
            turn: Semaphore::new(1),
            state: Mutex::default(),
        }
    }
}

impl fmt::Debug for Tokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Tokens(***)")
    }
}

impl Tokens {
    /// A token that is not the `refused` one; it is fetched if there is none.
    pub(super) async fn get(
        &self,
        client: &http::Client,
        endpoint: Endpoint<'_>,
        refused: Option<&Secret>,
        at: Timestamp,
    ) -> Result<Secret, Outcome> {
        let ended_before = self.state().fetches;
        if let Some(token) = self.state().usable(refused, |renew, _| renew) {
            return Ok(token);
        }
        // Never closed, so there is always a turn to come.
        let _turn = self.turn.acquire().await.ok();
        {
            let state = self.state();
            if let Some(token) = state.usable(refused, |renew, _| renew) {
                return Ok(token);
            }
            if state.fetches > ended_before
                && let Some(failure) = &state.failure
            {
                return Err(failure.clone());
            }
        }
        let began = Instant::now();
        let fetched = fetch(client, endpoint, at, began).await;
        let mut state = self.state();
        state.fetches += 1;
        match fetched {
            Ok(token) => {
                let text = token.text.clone();
                state.token = Some(token);
                state.failure = None;
                Ok(text)
            }
            Err(failure) => {
                state.failure = Some(failure.clone());
                // One that is about to end is better than none.
                state.usable(refused, |_, end| end).ok_or(failure)
            }
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn usable(
        &self,
        refused: Option<&Secret>,
        until: impl Fn(Instant, Instant) -> Instant,
    ) -> Option<Secret> {
        let token = self.token.as_ref()?;
        let now = Instant::now();
        let live = token
            .life
            .is_none_or(|(renew, end)| now < until(renew, end));
        let is_refused = refused.is_some_and(|refused| refused.expose() == token.text.expose());
        (live && !is_refused).then(|| token.text.clone())
    }
}

async fn fetch(
    client: &http::Client,
    endpoint: Endpoint<'_>,
    at: Timestamp,
    began: Instant,
) -> Result<Token, Outcome> {
    let failed = |error| Outcome::postponed(format!("the token endpoint: {error}"));
    let mut answer = client.send(request(endpoint)?).await.map_err(failed)?;
    let status = answer.status().as_u16();
    let headers = std::mem::take(answer.headers_mut());
    let mut body = Vec::new();
    let read = client.read(&mut answer, &mut body, ANSWER_LIMIT).await;
    let more = read.map_err(failed)?;
    if more {
        let reason = "the token endpoint answered with more than 64 KiB";
        return Err(Outcome::postponed(reason.into()));
    }
    let now = crate::clock::later(at, began.elapsed());
    let Granted { token, life } = of_answer(endpoint.name, status, &headers, &body, now)?;
    let life = life.map(|life| {
        let renew = life.saturating_sub((life / 10).min(MARGIN));
        (began + renew, began + life)
    });
    Ok(Token { text: token, life })
}

fn request(endpoint: Endpoint<'_>) -> Result<Request, Outcome> {
    let encode = |text: &str| byte_serialize(text.as_bytes()).collect::<String>();
    let pair = auth::basic(
        &encode(endpoint.client_id),
        &encode(endpoint.client_secret.expose()),
    );
    let pair = pair.map_err(|error| Outcome::postponed(error.to_string()))?;
    let mut form = form_urlencoded::Serializer::new(String::new());
    form.append_pair("grant_type", "client_credentials");
    if let Some(scope) = endpoint.scope {
        form.append_pair("scope", scope);
    }
    let mut request = Request::new(Method::POST, endpoint.url.clone());
    *request.body_mut() = Some(form.finish().into());
    let json = HeaderValue::from_static("application/json");
    let as_form = HeaderValue::from_static("application/x-www-form-urlencoded");
    let headers = request.headers_mut();
    headers.insert(AUTHORIZATION, pair);
    headers.insert(ACCEPT, json);
    headers.insert(CONTENT_TYPE, as_form);
    headers.insert(USER_AGENT, HeaderValue::from_static(AGENT));
    Ok(request)
}

/// What an endpoint grants.
#[derive(Debug)]
struct Granted {
    token: Secret,
    life: Option<Duration>,
}

/// What an endpoint's answer means. Pure.
fn of_answer(
    name: &str,
    status: u16,
    headers: &HeaderMap,
    body: &[u8],
    now: Timestamp,
) -> Result<Granted, Outcome> {
    #[derive(Deserialize)]
    struct Answer {
        access_token: Option<String>,
        token_type: Option<String>,
        expires_in: Option<serde_json::Value>,
        error: Option<String>,
    }
    let answer: Option<Answer> = serde_json::from_slice(body).ok();
    let postponed = |reason: String| Outcome::Postponed {
        reason: format!("the token endpoint answered {status}{reason}"),
        retry_after: retry_after(headers, now),
    };
    match status {
        200..=299 => {}
        400 | 401 | 403 => {
            let code = answer.and_then(|answer| answer.error);
            // Anything longer is no code, and might be an echo.
            let code = code.filter(|code| {
                code.len() < 40 && code.bytes().all(|c| c.is_ascii_lowercase() || c == b'_')
            });
            let code = code.map(|code| format!(" {code}")).unwrap_or_default();
            return Err(Outcome::Parked {
                reason: format!(
                    "the token endpoint answered {status}{code}: the credentials of destination \
                     {name} are refused; see its `auth`"
                ),
                trouble: Trouble::Credentials,
            });
        }
        300..=399 => return Err(postponed(", a redirect: it is not followed".into())),
        _ => return Err(postponed(String::new())),
    }
    let none = || postponed(", but with no token".into());
    let answer = answer.ok_or_else(none)?;
    let token = answer.access_token.filter(|token| !token.is_empty());
    let token = token.ok_or_else(none)?;
    let kind = answer.token_type.unwrap_or_else(|| "bearer".into());
    if !kind.eq_ignore_ascii_case("bearer") {
        return Err(postponed(", but with a token that is no bearer's".into()));
    }
    if HeaderValue::try_from(&token).is_err() {
        return Err(postponed(
            ", but with a token that no header can hold".into(),
        ));
    }
    Ok(Granted {
        token: Secret::new(token),
        life: answer.expires_in.as_ref().and_then(seconds),
    })
}

/// Some write the number as text.
fn seconds(value: &serde_json::Value) -> Option<Duration> {
    let text = value.as_str().map(str::trim);
    let seconds = text.map_or_else(|| value.as_f64(), |text| text.parse().ok())?;
    // A token that lives longer than a year is renewed after one.
    let year = 365.0 * 86_400.0;
    Duration::try_from_secs_f64(seconds.clamp(0.0, year)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status: u16, body: &str) -> Result<Granted, Outcome> {
        let mut headers = HeaderMap::new();
        headers.insert("retry-after", HeaderValue::from_static("9"));
        of_answer(
            "cmms",
            status,
            &headers,
            body.as_bytes(),
            Timestamp::UNIX_EPOCH,
        )
    }

    #[test]
    fn a_token_is_taken_with_its_life_however_it_is_written() {
        for (rest, life) in [
            ("", None),
            (r#","expires_in":3600"#, Some(3_600)),
            (r#","expires_in":"3600""#, Some(3_600)),
            (r#","expires_in":3600.0,"token_type":"Bearer""#, Some(3_600)),
            (r#","expires_in":-5,"token_type":"bearer""#, Some(0)),
            (r#","expires_in":1e300"#, Some(31_536_000)),
            (r#","expires_in":null,"scope":"x","more":{}"#, None),
            (r#","expires_in":"soon""#, None),
        ] {
            let granted = answer(200, &format!(r#"{{"access_token":"t"{rest}}}"#)).unwrap();
            assert_eq!(granted.token.expose(), "t");
            assert_eq!(granted.life, life.map(Duration::from_secs), "{rest}");
        }
    }

    #[test]
    fn a_refusal_parks_and_shows_only_the_code_of_its_error() {
        for (body, shown) in [
            (
                r#"{"error":"invalid_client","error_description":"canary"}"#,
                " invalid_client",
            ),
            (r#"{"error":"Canary canary"}"#, ""),
            ("canary", ""),
        ] {
            for status in [400, 401, 403] {
                let parked = Outcome::Parked {
                    reason: format!(
                        "the token endpoint answered {status}{shown}: the credentials of \
                         destination cmms are refused; see its `auth`"
                    ),
                    trouble: Trouble::Credentials,
                };
                assert_eq!(answer(status, body).unwrap_err(), parked);
            }
        }
    }

    #[test]
    fn all_else_postpones() {
        let no_token = r#"{"token_type":"bearer"}"#;
        let other_kind = r#"{"access_token":"canary","token_type":"mac"}"#;
        let line_end = r#"{"access_token":"canary\n"}"#;
        for (status, body, expected) in [
            (200, "", ", but with no token"),
            (200, no_token, ", but with no token"),
            (200, r#"{"access_token":""}"#, ", but with no token"),
            (200, other_kind, ", but with a token that is no bearer's"),
            (200, line_end, ", but with a token that no header can hold"),
            (302, "canary", ", a redirect: it is not followed"),
            (404, "canary", ""),
            (429, "canary", ""),
            (503, "canary", ""),
        ] {
            let postponed = Outcome::Postponed {
                reason: format!("the token endpoint answered {status}{expected}"),
                retry_after: Some(Duration::from_secs(9)),
            };
            assert_eq!(answer(status, body).unwrap_err(), postponed);
        }
    }
}
