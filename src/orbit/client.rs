//! Requests to Orbit, with its token, to the configured host and no other.
//!
//! # Invariants
//! - The token goes to the configured host only: no redirect is followed.
//! - Every exchange has a deadline, every answer a limit.
//! - No error holds the token, a body, or a URL beyond the host that a redirect points to.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use reqwest::header::{
    ACCEPT, AUTHORIZATION, COOKIE, HeaderValue, LOCATION, RETRY_AFTER, SET_COOKIE,
};
use reqwest::{Method, RequestBuilder, Response};
use serde_json::Value;
use serde_json::value::RawValue;
use url::Url;

use super::model::{Page, Version, WantedWebhook, Webhook};
use crate::http;
use crate::secret::Secret;

const TIMEOUT: Duration = Duration::from_secs(30);
const ANSWER_LIMIT: usize = 16 * 1024 * 1024;
const CSRF: &str = "x-csrf-token";
/// Answered to anybody, so it is asked without the token.
const VERSION: &str = "api/v0/version";

/// Which Orbit, and as whom.
#[derive(Clone, Debug)]
pub struct Config {
    /// `HOST[:PORT]`.
    pub host: String,
    /// The API token.
    pub token: Secret,
    /// Whose certificates are believed.
    pub trust: http::Trust,
    /// The certificate that is shown, if any.
    pub certificate: Option<http::ClientCertificate>,
}

/// Why Orbit's host cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// It is no host.
    #[error("`{0}` is not HOST or HOST:PORT")]
    Host(String),
    /// The client cannot be built.
    #[error(transparent)]
    Client(#[from] http::BuildError),
}

/// What went wrong with a request.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub enum CallError {
    /// The token is refused.
    #[error("Orbit answered {0}: the API token is not valid or has not the right to do this")]
    Unauthorized(u16),
    /// It is asked too often.
    #[error("Orbit answered 429: it is asked too often")]
    Busy {
        /// How long it wants to be left alone, where it says so in seconds.
        retry_after: Option<Duration>,
    },
    /// Another status.
    #[error("Orbit answered {0}")]
    Status(u16),
    /// A redirect. The token is not sent there.
    #[error("Orbit answered {status}, a redirect to {to}; is the host right?")]
    Redirect {
        /// The status.
        status: u16,
        /// Where to, without path and query.
        to: String,
    },
    /// The list of webhooks is cut short, so ours cannot be looked for.
    #[error("Orbit has {0} webhooks and listed only a part of them: delete some that are not used")]
    Partial(usize),
    /// The answer is larger than the limit.
    #[error("the answer has more than {} MiB", ANSWER_LIMIT >> 20)]
    TooLarge,
    /// The answer is not what Orbit's API gives.
    #[error("the answer is not one of Orbit's API; is the host right?")]
    Nonsense,
    /// There was no answer.
    #[error(transparent)]
    Http(#[from] http::ExchangeError),
}

/// The client.
#[derive(Debug)]
pub struct Client {
    base: Url,
    token: Secret,
    http: http::Client,
    csrf: Mutex<Option<String>>,
}

/// The base URL of `HOST[:PORT]`, if it is one.
pub fn base_url(host: &str) -> Option<Url> {
    if host.is_empty() || host.contains(['/', '?', '#', '@', '\\', ' ']) {
        return None;
    }
    Url::parse(&format!("https://{host}/"))
        .ok()
        .filter(Url::has_host)
}

impl Client {
    /// Builds the client. Nothing is sent.
    pub fn build(config: Config) -> Result<Self, BuildError> {
        let base = base_url(&config.host).ok_or_else(|| BuildError::Host(config.host.clone()))?;
        let http = http::Client::build(&http::Config {
            trust: config.trust,
            certificate: config.certificate,
            timeout: TIMEOUT,
        })?;
        Ok(Self {
            base,
            token: config.token,
            http,
            csrf: Mutex::default(),
        })
    }

    /// Orbit's address: `https://HOST[:PORT]/`.
    pub fn base(&self) -> &Url {
        &self.base
    }

    /// SHA-256, in hex, of the last certificate that Orbit has shown, believed or not; none before
    /// the first exchange.
    pub fn shown_certificate(&self) -> Option<String> {
        self.http.shown_certificate()
    }

    /// What Orbit says of itself; the token is not sent.
    pub async fn version(&self) -> Result<Version, CallError> {
        let answer = self.call(Method::GET, VERSION, None).await?;
        serde_json::from_value(self.read(answer).await?).map_err(|_| CallError::Nonsense)
    }

    /// Asks whether the token is valid.
    pub async fn authenticate(&self) -> Result<(), CallError> {
        self.call(Method::GET, "api/v0/api_token/authenticate", None)
            .await
            .map(drop)
    }

    /// All webhooks, archived ones too.
    pub async fn webhooks(&self) -> Result<Vec<Webhook>, CallError> {
        let answer = self.call(Method::GET, "api/v0/webhooks/", None).await?;
        let answer = self.read(answer).await?;
        let total = answer.get("total").and_then(Value::as_u64);
        let (webhooks, count) = Webhook::read(answer).ok_or(CallError::Nonsense)?;
        // On a part of the list ours may be missing, and would be made again and again.
        match total.and_then(|total| usize::try_from(total).ok()) {
            Some(total) if total > count => Err(CallError::Partial(total)),
            _ => Ok(webhooks),
        }
    }

    /// Makes a webhook; `before` are those that Orbit had.
    pub async fn create_webhook(
        &self,
        wanted: &WantedWebhook,
        before: &[Webhook],
    ) -> Result<Webhook, CallError> {
        let answer = self
            .call(Method::POST, "api/v0/webhooks", Some(&json(wanted)?))
            .await?;
        let (answered, _) = Webhook::read(self.read(answer).await?).ok_or(CallError::Nonsense)?;
        made(answered, &wanted.url, before).ok_or(CallError::Nonsense)
    }

    /// Changes a webhook.
    pub async fn update_webhook(
        &self,
        uuid: &str,
        wanted: &WantedWebhook,
    ) -> Result<(), CallError> {
        self.call(Method::POST, &webhook_path(uuid)?, Some(&json(wanted)?))
            .await
            .map(drop)
    }

    /// Deletes a webhook.
    pub async fn delete_webhook(&self, uuid: &str) -> Result<(), CallError> {
        self.call(Method::DELETE, &webhook_path(uuid)?, None)
            .await
            .map(drop)
    }

    /// One page of a collection, such as `run_events`.
    pub async fn page(
        &self,
        collection: &str,
        query: &[(&str, String)],
    ) -> Result<Page, CallError> {
        let query = url::form_urlencoded::Serializer::new(String::new())
            .extend_pairs(query)
            .finish();
        let path = format!("api/v0/{collection}/?{query}");
        let answer = self.call(Method::GET, &path, None).await?;
        Page::read(&self.body_of(answer).await?).ok_or(CallError::Nonsense)
    }

    /// One run event, as the text that Orbit has of it; none where it has none.
    pub async fn run_event(&self, uuid: &str) -> Result<Option<Box<RawValue>>, CallError> {
        self.one("run_events", uuid).await
    }

    /// One run, as the text that Orbit has of it; none where it has none.
    pub async fn run(&self, uuid: &str) -> Result<Option<Box<RawValue>>, CallError> {
        self.one("runs", uuid).await
    }

    /// What Orbit's clock shows, in milliseconds since 1970.
    pub async fn system_time_ms(&self) -> Result<i64, CallError> {
        let answer = self
            .call(Method::GET, "api/v0/settings/system-time", None)
            .await?;
        let answer = self.read(answer).await?;
        let shown = answer.get("msSinceEpoch").and_then(|ms| match ms {
            Value::Number(number) => number.as_i64(),
            Value::String(text) => text.trim().parse().ok(),
            _ => None,
        });
        shown.ok_or(CallError::Nonsense)
    }

    /// Changes something.
    pub(super) async fn patch(&self, path: &str, body: &Value) -> Result<(), CallError> {
        self.call(Method::PATCH, path, Some(body)).await.map(drop)
    }

    /// Asks for what lies outside of the API, with the token, and so at Orbit's own address only.
    pub(super) async fn get(&self, url: Url, within: Duration) -> Result<Response, CallError> {
        if url.origin() != self.base.origin() {
            return Err(CallError::Nonsense);
        }
        let request = self.http.request(Method::GET, url).timeout(within);
        let request = request.header(AUTHORIZATION, self.bearer()?);
        self.judge(self.exchange(request, within).await?)
    }

    /// What went wrong while an answer was read.
    pub(super) fn explain(&self, error: reqwest::Error, within: Duration) -> CallError {
        self.http.explain(error, within).into()
    }

    async fn one(&self, collection: &str, uuid: &str) -> Result<Option<Box<RawValue>>, CallError> {
        let path = format!("api/v0/{collection}/{}", segment(uuid)?);
        let answer = match self.call(Method::GET, &path, None).await {
            Err(CallError::Status(404)) => return Ok(None),
            answer => self.body_of(answer?).await?,
        };
        serde_json::from_slice(&answer).map_err(|_| CallError::Nonsense)
    }

    async fn call(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<Response, CallError> {
        if method != Method::GET && self.csrf().is_none() {
            // Orbit gives its cookie with any page; where it gives none it needs none.
            self.send(Method::GET, "", None).await?;
        }
        let mut answer = self.send(method.clone(), path, body).await?;
        if method != Method::GET && matches!(answer.status().as_u16(), 401 | 403) {
            // The cookie may be of yesterday: once more with today's.
            *self.csrf.lock().unwrap_or_else(PoisonError::into_inner) = None;
            self.send(Method::GET, "", None).await?;
            answer = self.send(method, path, body).await?;
        }
        self.judge(answer)
    }

    fn judge(&self, answer: Response) -> Result<Response, CallError> {
        let status = answer.status();
        match status.as_u16() {
            200..=299 => Ok(answer),
            300..=399 => {
                let location = answer.headers().get(LOCATION).and_then(|l| l.to_str().ok());
                let to = location.and_then(|location| self.base.join(location).ok());
                let to = to.map_or("nowhere".into(), |to| to.origin().ascii_serialization());
                Err(CallError::Redirect {
                    status: status.as_u16(),
                    to,
                })
            }
            401 | 403 => Err(CallError::Unauthorized(status.as_u16())),
            429 => {
                let seconds = answer.headers().get(RETRY_AFTER);
                let seconds = seconds.and_then(|text| text.to_str().ok()?.trim().parse().ok());
                Err(CallError::Busy {
                    retry_after: seconds.map(Duration::from_secs),
                })
            }
            other => Err(CallError::Status(other)),
        }
    }

    async fn send(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<Response, CallError> {
        let url = self.base.join(path).map_err(|_| CallError::Nonsense)?;
        let mut request = self
            .http
            .request(method, url)
            .header(ACCEPT, "application/json");
        if !path.is_empty() && path != VERSION {
            request = request.header(AUTHORIZATION, self.bearer()?);
        }
        if let Some(body) = body {
            request = request.json(body);
        }
        self.exchange(request, TIMEOUT).await
    }

    fn bearer(&self) -> Result<HeaderValue, CallError> {
        let mut token = HeaderValue::try_from(format!("Bearer {}", self.token.expose()))
            .map_err(|_| CallError::Unauthorized(401))?;
        token.set_sensitive(true);
        Ok(token)
    }

    async fn exchange(
        &self,
        mut request: RequestBuilder,
        within: Duration,
    ) -> Result<Response, CallError> {
        if let Some(csrf) = self.csrf() {
            request = request
                .header(CSRF, &csrf)
                .header(COOKIE, format!("{CSRF}={csrf}"));
        }
        let sent = request.send().await;
        let answer = sent.map_err(|error| self.explain(error, within))?;
        self.remember_csrf(&answer);
        Ok(answer)
    }

    async fn read(&self, answer: Response) -> Result<Value, CallError> {
        let body = self.body_of(answer).await?;
        serde_json::from_slice(&body).map_err(|_| CallError::Nonsense)
    }

    async fn body_of(&self, mut answer: Response) -> Result<Vec<u8>, CallError> {
        match http::read_limited(&mut answer, ANSWER_LIMIT).await {
            Ok((body, false)) => Ok(body),
            Ok((_, true)) => Err(CallError::TooLarge),
            Err(error) => Err(self.explain(error, TIMEOUT)),
        }
    }

    fn csrf(&self) -> Option<String> {
        self.csrf
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    fn remember_csrf(&self, answer: &Response) {
        let cookies = answer.headers().get_all(SET_COOKIE).iter();
        let mut given = cookies.filter_map(|cookie| {
            let (name, value) = cookie.to_str().ok()?.split(';').next()?.split_once('=')?;
            (name.trim() == CSRF).then(|| value.trim().to_owned())
        });
        if let Some(value) = given.next_back().filter(|value| !value.is_empty()) {
            *self.csrf.lock().unwrap_or_else(PoisonError::into_inner) = Some(value);
        }
    }
}

/// Which of those that were answered was made: of several, somebody else's may be any.
fn made(mut answered: Vec<Webhook>, url: &str, before: &[Webhook]) -> Option<Webhook> {
    if answered.len() > 1 {
        let slashless = |url: &str| url.trim_end_matches('/').to_owned();
        answered.retain(|webhook| {
            let known = before.iter().any(|known| known.uuid == webhook.uuid);
            let there = webhook.url.as_deref().map(slashless);
            !known && there == Some(slashless(url))
        });
    }
    answered.into_iter().next()
}

fn webhook_path(uuid: &str) -> Result<String, CallError> {
    Ok(format!("api/v0/webhooks/{}", segment(uuid)?))
}

/// An id comes from Orbit, or from whoever sends: it must not lead to another path.
pub(super) fn segment(id: &str) -> Result<String, CallError> {
    const PLAIN: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_');
    // Dots alone, encoded or not, lead up.
    if id.chars().all(|c| c == '.') {
        return Err(CallError::Nonsense);
    }
    Ok(utf8_percent_encode(id, PLAIN).to_string())
}

fn json(wanted: &WantedWebhook) -> Result<Value, CallError> {
    serde_json::to_value(wanted).map_err(|_| CallError::Nonsense)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_has_no_scheme_path_or_user() {
        for good in ["orbit.example", "10.0.0.7:8443", "[::1]:443", "localhost"] {
            assert!(base_url(good).is_some(), "{good}");
        }
        for bad in [
            "",
            "https://orbit",
            "orbit/x",
            "me@orbit",
            "a b",
            "orbit:port",
            "x?y",
        ] {
            assert!(base_url(bad).is_none(), "{bad}");
        }
    }

    #[test]
    fn of_several_that_a_create_answers_somebody_elses_is_never_taken_for_ours() {
        let read = |list: Value| Webhook::read(list).unwrap().0;
        let before = read(serde_json::json!([
            {"uuid": "theirs", "url": "http://b"},
            {"uuid": "archived", "url": "http://a"},
        ]));
        let mut answered = before.clone();
        assert!(made(answered.clone(), "http://a", &before).is_none());
        answered.extend(read(serde_json::json!({"uuid": "u", "url": "http://a/"})));
        let found = made(answered, "http://a", &before).unwrap();
        assert_eq!(found.uuid, "u");
        let single = read(serde_json::json!([{"uuid": "u"}]));
        assert!(made(single, "http://a", &before).is_some());
    }

    #[test]
    fn a_uuid_never_leads_to_another_path() {
        let path = |uuid| webhook_path(uuid).unwrap();
        assert_eq!(path("wh_1-2"), "api/v0/webhooks/wh_1-2");
        let hostile = path("../../x?y#z");
        assert_eq!(hostile, "api/v0/webhooks/%2E%2E%2F%2E%2E%2Fx%3Fy%23z");
        for nothing in ["", ".", ".."] {
            assert_eq!(webhook_path(nothing), Err(CallError::Nonsense), "{nothing}");
        }
    }
}
