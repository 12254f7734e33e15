//! One try: credentials, post, answer; and once more if the credentials were refused.
//!
//! # Invariants
//! - Everything in a try shares one deadline.
//! - A second post is made only for another token, or because a secret has changed meanwhile.

use std::time::Duration;

use jiff::Timestamp;
use tokio::time::{Instant, timeout_at};

use super::blot::Secrets;
use super::compose::{Delivery, Purpose};
use super::cookies::Cookies;
use super::keys::Keys;
use super::oauth::Endpoint;
use super::outcome::{self, Answer, Outcome, Wanted};
use super::{ANSWER_LIMIT, Answered, Auth, Sent, Shared, Success, verdict};
use crate::clock::later;
use crate::http::{self, ExchangeError};
use crate::secret::Secret;

/// What does not decide is read for no longer, so that a body that drips holds nobody up.
const LINGER: Duration = Duration::from_secs(5);
/// So much of an answer is kept.
const KEPT_BYTES: usize = 2 * 1024;

/// When a try began and must have ended.
#[derive(Clone, Copy)]
pub(super) struct Deadline {
    began: Instant,
    timeout: Duration,
    at: Timestamp,
}

impl Deadline {
    pub(super) fn new(timeout: Duration, at: Timestamp) -> Self {
        let began = Instant::now();
        Self { began, timeout, at }
    }

    fn end(&self) -> Instant {
        self.began + self.timeout
    }

    /// The time that people read, now.
    pub(super) fn wall(&self) -> Timestamp {
        later(self.at, self.began.elapsed())
    }

    pub(super) async fn hold<T>(&self, work: impl Future<Output = T>) -> Result<T, ExchangeError> {
        let held = timeout_at(self.end(), work).await;
        held.map_err(|_| ExchangeError::Timeout(self.timeout))
    }
}

impl Shared {
    pub(super) fn attempt<'a>(
        &'a self,
        purpose: Purpose<'a>,
        request: reqwest::Request,
        at: Timestamp,
    ) -> Attempt<'a> {
        Attempt {
            shared: self,
            client: self.clients.current(&self.config),
            deadline: Deadline::new(self.config.timeout, at),
            purpose,
            request,
        }
    }

    fn wanted<'a>(&'a self, success: &'a Success) -> Wanted<'a> {
        Wanted {
            id: &self.config.id,
            name: &self.config.name,
            url: &self.config.url,
            success,
            with_auth: self.config.auth.is_some(),
            decides: self.config.is_gate,
        }
    }
}

pub(super) struct Attempt<'a> {
    pub(super) shared: &'a Shared,
    pub(super) client: http::Client,
    pub(super) deadline: Deadline,
    pub(super) purpose: Purpose<'a>,
    /// What is sent, without what differs between a first and a second.
    pub(super) request: reqwest::Request,
}

/// What came of it.
pub(super) struct Tried {
    pub(super) sent: Sent,
    pub(super) status: Option<u16>,
    /// Of a question that was answered with a 2xx: whether it holds, or why that cannot be told.
    pub(super) holds: Option<Result<bool, String>>,
}

impl Attempt<'_> {
    pub(super) async fn run(self) -> Tried {
        let first = match Keys::read(&self.shared.config) {
            Ok(keys) => keys,
            Err(error) => return unanswered(Outcome::postponed(error.to_string())),
        };
        let mut refused_token = None;
        let tried = self.once(&first, &mut refused_token).await;
        if !tried.sent.outcome.refuses_credentials() || tried.sent.answer.is_none() {
            self.remember(&tried.sent.outcome, &first);
            return tried;
        }
        let second = Keys::read(&self.shared.config);
        let second = second.ok().filter(|second| {
            // A token is fetched anew, with whatever secret there is.
            refused_token.is_some() || second.hash() != first.hash()
        });
        let Some(second) = second else {
            self.remember(&tried.sent.outcome, &first);
            return tried;
        };
        let mut again = self.once(&second, &mut refused_token).await;
        self.remember(&again.sent.outcome, &second);
        again.sent.answer = again.sent.answer.or(tried.sent.answer);
        again
    }

    /// A question says nothing of whether posts are taken.
    fn remember(&self, outcome: &Outcome, keys: &Keys) {
        if let Purpose::Deliver(_) = self.purpose {
            self.shared.remember(outcome, keys);
        }
    }

    /// One exchange. Takes the token that was refused, and leaves the one that it used.
    async fn once(&self, keys: &Keys, token: &mut Option<Secret>) -> Tried {
        let shown = match self.credentials(keys, token.as_ref()).await {
            Ok(shown) => shown,
            Err(outcome) => return unanswered(outcome),
        };
        if matches!(self.shared.config.auth, Auth::OAuth2 { .. }) {
            token.clone_from(&shown);
        }
        match self.exchange(keys, shown.as_ref()).await {
            Ok(sent) => sent,
            Err(outcome) => unanswered(outcome),
        }
    }

    /// The secret that is shown: a token that is not the refused one, or what is configured.
    pub(super) async fn credentials(
        &self,
        keys: &Keys,
        refused: Option<&Secret>,
    ) -> Result<Option<Secret>, Outcome> {
        let config = &self.shared.config;
        let (
            Auth::OAuth2 {
                token_url,
                client_id,
                scope,
                ..
            },
            Some(client_secret),
        ) = (&config.auth, &keys.auth)
        else {
            return Ok(keys.auth.clone());
        };
        let endpoint = Endpoint {
            url: token_url,
            client_id,
            client_secret,
            scope: scope.as_deref(),
            name: &config.name,
        };
        let tokens = &self.shared.tokens;
        let at = self.deadline.wall();
        let fetched = tokens.get(&self.client, endpoint, refused, at);
        let fetched = self.deadline.hold(fetched).await;
        let fetched = fetched.unwrap_or_else(|error| {
            Err(Outcome::postponed(format!("the token endpoint: {error}")))
        });
        fetched.map(Some)
    }

    async fn exchange(&self, keys: &Keys, shown: Option<&Secret>) -> Result<Tried, Outcome> {
        let request = self.compose(keys, shown);
        let request = request.map_err(|error| Outcome::postponed(error.to_string()))?;
        let failed = |error| outcome::of_error(&error);
        let response = self.deadline.hold(self.client.send(request)).await;
        let response = response.and_then(|sent| sent).map_err(failed)?;
        let mut answer = self.read(response).await;
        let mut cookies = self.cookies();
        cookies.learn(&answer.headers, self.deadline.wall());
        let secrets = self.hidden(keys, shown, &cookies);
        answer.shown = show(&answer, &secrets);
        let any_2xx = Success::default();
        let (success, when) = match &self.purpose {
            Purpose::Deliver(delivery) => (delivery.success, None),
            Purpose::Ask(when) => (&any_2xx, Some(*when)),
            Purpose::Look => (&any_2xx, None),
        };
        let mut wanted = self.shared.wanted(success);
        wanted.decides &= matches!(self.purpose, Purpose::Deliver(_));
        let outcome = outcome::of_answer(&answer, &wanted, self.deadline.wall());
        let holds = when.filter(|_| outcome == Outcome::Delivered);
        let holds = holds.map(|when| {
            let held = outcome::holds(&answer, when);
            held.map_err(|why| secrets.blot(&why, true, usize::MAX))
        });
        let keeps = when.is_none() && self.shared.config.keeps_answers;
        let whole = keeps.then(|| {
            let text = String::from_utf8_lossy(&answer.body);
            secrets.blot(&text, answer.missing.is_none(), ANSWER_LIMIT)
        });
        let decides = wanted.decides && outcome == Outcome::Delivered;
        let cancels = decides.then(|| verdict::cancels(&answer.headers, &answer.body));
        let cancels = cancels.flatten();
        let status = answer.status;
        let keeps = matches!(&self.purpose, Purpose::Deliver(delivery) if delivery.keeps);
        let answered = keeps.then_some(Answered {
            status,
            headers: answer.headers,
            body: answer.body,
            missing: answer.missing,
        });
        Ok(Tried {
            sent: Sent {
                outcome: without(outcome, &secrets),
                answer: Some(answer.shown),
                whole,
                cancels: cancels.map(|reason| secrets.blot(&reason, true, usize::MAX)),
                answered,
                cookies,
            },
            status: Some(status),
            holds,
        })
    }

    /// The cookies that this exchange carries.
    fn cookies(&self) -> Cookies {
        match &self.purpose {
            Purpose::Deliver(delivery) => delivery.cookies.clone(),
            Purpose::Ask(_) | Purpose::Look => Cookies::default(),
        }
    }

    /// All that the answer may not show.
    fn hidden(&self, keys: &Keys, shown: Option<&Secret>, cookies: &Cookies) -> Secrets {
        let mut secrets = keys.hidden(&self.shared.config, shown);
        if let Purpose::Deliver(delivery) = &self.purpose {
            delivery.hide(&mut secrets);
        }
        for value in cookies.values() {
            secrets.add_if_telling(value);
        }
        secrets
    }

    /// Reads as much of an answer as its outcome depends on, and a little more so that the
    /// connection can be used again.
    async fn read(&self, mut response: reqwest::Response) -> Answer {
        let status = response.status().as_u16();
        let needed = match &self.purpose {
            Purpose::Deliver(Delivery { success, keeps, .. }) => {
                let config = &self.shared.config;
                let says = config.is_gate && verdict::is_cancel(response.headers());
                (success.when.is_some() || *keeps || config.keeps_answers || says)
                    && success.has(status)
            }
            Purpose::Ask(_) => Success::default().has(status),
            Purpose::Look => false,
        };
        let end = self.deadline.end();
        let soon = Instant::now() + LINGER;
        let end = if needed { end } else { end.min(soon) };
        let headers = std::mem::take(response.headers_mut());
        let mut body = Vec::new();
        let reading = self.client.read(&mut response, &mut body, ANSWER_LIMIT);
        let missing = match timeout_at(end, reading).await {
            Ok(Ok(false)) => None,
            Ok(Ok(true)) => Some("it is larger than 64 KiB".into()),
            Ok(Err(error)) => Some(error.to_string()),
            Err(_) => Some(ExchangeError::Timeout(self.deadline.timeout).to_string()),
        };
        Answer {
            status,
            headers,
            body,
            missing,
            shown: String::new(),
        }
    }
}

fn unanswered(outcome: Outcome) -> Tried {
    Tried {
        sent: Sent::unanswered(outcome),
        status: None,
        holds: None,
    }
}

/// The beginning of an answer, fit to be kept and shown.
fn show(answer: &Answer, secrets: &Secrets) -> String {
    let text = String::from_utf8_lossy(&answer.body);
    let whole = answer.missing.is_none();
    // Half a character at the end would hide half a secret.
    let text = if whole {
        &*text
    } else {
        text.trim_end_matches(char::REPLACEMENT_CHARACTER)
    };
    let shown = secrets.blot(text, whole, KEPT_BYTES);
    let plain = |c: char| match c {
        '\n' | '\t' => c,
        c if c.is_control() => ' ',
        c => c,
    };
    shown.chars().map(plain).collect()
}

/// A reason may quote what an answer says.
fn without(outcome: Outcome, secrets: &Secrets) -> Outcome {
    let clean = |reason: String| secrets.blot(&reason, true, usize::MAX);
    match outcome {
        Outcome::Delivered => Outcome::Delivered,
        Outcome::Postponed {
            reason,
            retry_after,
        } => Outcome::Postponed {
            reason: clean(reason),
            retry_after,
        },
        Outcome::Parked { reason, trouble } => Outcome::Parked {
            reason: clean(reason),
            trouble,
        },
        Outcome::Dead { reason } => Outcome::Dead {
            reason: clean(reason),
        },
    }
}
