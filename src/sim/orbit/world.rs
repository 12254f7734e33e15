//! The world that tests edit: what Orbit has on record, who has registered, and the weather.
//!
//! # Invariants
//! - An inspection is on record before the first webhook hears of it, and stays there whatever
//!   becomes of the post.
//! - A post is tried once: Orbit promises no second try.
//! - No lock is held while the network is waited for.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::http::header;
use jiff::Timestamp;
use reqwest::Method;
use serde::Serialize;

use super::records::Records;
use super::weather::Weather;
use super::webhook::Webhook;
use crate::clock::{Clock, later};
use crate::event::TEST;
use crate::http::{self, Trust};
use crate::secret::Secret;
use crate::sim::javascript::{sign, stringify};
use crate::sim::model::{
    ACTION_COMPLETED, ACTION_COMPLETED_WITH_ALERT, Anomaly, Envelope, javascript_time,
};
use crate::sim::plant::{Medium, Plant};
use crate::sim::random::Random;

/// How long a receiver may take to answer.
pub const POST_TIMEOUT: Duration = Duration::from_secs(10);

/// Requests beyond this number are counted but not listed.
pub const KEPT_REQUESTS: usize = 10_000;

/// A handle on the simulated Orbit's world. All handles see the same one.
#[derive(Clone, Debug)]
pub struct World(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    clock: Clock,
    token: Secret,
    /// Checks the receiver's certificate.
    strict: http::Client,
    /// Believes any.
    lenient: http::Client,
    state: Mutex<State>,
}

/// What is behind the lock.
#[derive(Debug)]
pub(super) struct State {
    plant: Plant,
    /// Apart from the plant's, so that neither webhooks nor tests shift its inspections.
    pub(super) ids: Random,
    pub(super) records: Records,
    pub(super) webhooks: Vec<Webhook>,
    pub(super) weather: Weather,
    pub(super) seen: VecDeque<Seen>,
    pub(super) seen_count: u64,
    /// Requests that are being answered, and the most that ever were.
    pub(super) at_once: usize,
    pub(super) most_at_once: usize,
    pub(super) lists: u64,
    /// Findings that are not judged yet.
    unjudged: Vec<Anomaly>,
    /// Which webhooks are lost.
    losses: Random,
    /// The port of the web view that is shown.
    pub(super) web_view: Option<u16>,
}

/// A request that came to the API.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Seen {
    /// Its method.
    pub method: String,
    /// Its path, as it was sent.
    pub path: String,
    /// What stood after the question mark.
    pub query: Option<String>,
    /// Whether it carried an `Authorization` header.
    pub authorization: bool,
}

/// What became of one webhook's post.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Post {
    /// The webhook's uuid.
    pub webhook: String,
    /// What was sent.
    pub event_type: String,
    /// The answer, if there was one.
    pub status: Option<u16>,
    /// Why there was none.
    pub problem: Option<String>,
}

/// An inspection that was just made, and who was told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Inspection {
    /// The run event.
    pub run_event: String,
    /// What was inspected.
    pub action_name: String,
    /// The type sent: with an alert or without.
    pub event_type: &'static str,
    /// One for each webhook and type.
    pub posts: Vec<Post>,
}

impl World {
    pub(super) fn new(token: Secret, seed: u64, clock: Clock) -> Result<Self, http::BuildError> {
        let client = |trust| {
            http::Client::build(&http::Config {
                trust,
                certificate: None,
                timeout: POST_TIMEOUT,
            })
        };
        Ok(Self(Arc::new(Shared {
            clock,
            token,
            strict: client(Trust::Authorities(Vec::new()))?,
            lenient: client(Trust::Anything)?,
            state: Mutex::new(State {
                plant: Plant::new(seed),
                ids: Random::new(!seed),
                records: Records::default(),
                webhooks: Vec::new(),
                weather: Weather::default(),
                seen: VecDeque::new(),
                seen_count: 0,
                at_once: 0,
                most_at_once: 0,
                lists: 0,
                unjudged: Vec::new(),
                losses: Random::new(seed.rotate_left(32)),
                web_view: None,
            }),
        })))
    }

    /// A robot finishes its next inspection, and every webhook that wants it is told.
    ///
    /// Webhooks are told one after the other, so one that hangs delays this call.
    pub async fn inspect(&self) -> Inspection {
        let (event, alert, both, twice) = {
            let mut state = self.state();
            let now = self.now_in(&state);
            let mut finished = state.plant.inspect(now);
            if state.weather.judge_later {
                state.unjudged.extend(finished.anomaly.take());
            }
            let (event, alert) = (finished.event.clone(), finished.anomaly.is_some());
            state.records.add(finished);
            let weather = &state.weather;
            (event, alert, weather.both_for_alert, weather.alerts_twice)
        };
        let event_type = if alert {
            ACTION_COMPLETED_WITH_ALERT
        } else {
            ACTION_COMPLETED
        };
        let mut posts = Vec::new();
        if alert && both {
            posts.extend(self.send(ACTION_COMPLETED, &event).await);
        }
        posts.extend(self.send(event_type, &event).await);
        if alert && twice {
            posts.extend(self.send(event_type, &event).await);
        }
        Inspection {
            run_event: event.uuid,
            action_name: event.action_name,
            event_type,
            posts,
        }
    }

    /// What was not judged yet is judged now: the anomalies are on record, and every webhook that
    /// wants to is told. Gives the posts.
    pub async fn judge(&self) -> Vec<Post> {
        let events: Vec<_> = {
            let mut state = self.state();
            let at = javascript_time(self.now_in(&state));
            let unjudged = std::mem::take(&mut state.unjudged);
            let judged = unjudged.into_iter().filter_map(|mut anomaly| {
                anomaly.created_at.clone_from(&at);
                anomaly.status_modified_at.clone_from(&at);
                state.records.raise(anomaly).cloned()
            });
            judged.collect()
        };
        let mut posts = Vec::new();
        for event in &events {
            posts.extend(self.send(ACTION_COMPLETED_WITH_ALERT, event).await);
        }
        posts
    }

    /// Inspects every `every` of real time and reports each, until the caller drops this.
    pub async fn keep_inspecting(&self, every: Duration, mut report: impl FnMut(Inspection)) {
        loop {
            tokio::time::sleep(every).await;
            report(self.inspect().await);
        }
    }

    /// Sends an event of any type to the webhooks that want it. The data's members keep the
    /// order of their type.
    pub async fn send<T: Serialize + ?Sized + Sync>(
        &self,
        event_type: &str,
        data: &T,
    ) -> Vec<Post> {
        let wanting: Vec<Webhook> = {
            let state = self.state();
            let wanting = state.webhooks.iter().filter(|hook| hook.wants(event_type));
            wanting.cloned().collect()
        };
        let body = self.envelope(event_type, data);
        let mut posts = Vec::new();
        for webhook in wanting {
            posts.push(self.post(&webhook, event_type, body.clone()).await);
        }
        posts
    }

    /// What the button on Orbit's webhook page does. It works for any webhook on record, enabled
    /// or not. Nothing, when there is no such webhook.
    pub async fn send_test(&self, webhook_uuid: &str) -> Option<Post> {
        let webhook = self.webhook(webhook_uuid)?;
        let body = self.envelope(TEST, &serde_json::Map::new());
        Some(self.post(&webhook, TEST, body).await)
    }

    /// Signs these very bytes for one webhook and sends them, whatever they are. Nothing, when
    /// there is no such webhook.
    pub async fn send_bytes(&self, webhook_uuid: &str, body: Vec<u8>) -> Option<Post> {
        let webhook = self.webhook(webhook_uuid)?;
        Some(self.post(&webhook, "", body).await)
    }

    /// The webhooks as they are now.
    pub fn webhooks(&self) -> Vec<Webhook> {
        self.state().webhooks.clone()
    }

    /// Changes a webhook as an admin would. False, when there is no such webhook.
    pub fn edit_webhook(&self, uuid: &str, edit: impl FnOnce(&mut Webhook)) -> bool {
        let mut state = self.state();
        let found = state.webhooks.iter_mut().find(|hook| hook.uuid == uuid);
        found.map(edit).is_some()
    }

    /// Adds a webhook that an admin made by hand. Its uuid is whatever it says.
    pub fn add_webhook(&self, webhook: Webhook) {
        self.state().webhooks.push(webhook);
    }

    /// Removes a webhook as an admin would. False, when there is no such webhook.
    pub fn remove_webhook(&self, uuid: &str) -> bool {
        let mut state = self.state();
        let before = state.webhooks.len();
        state.webhooks.retain(|hook| hook.uuid != uuid);
        state.webhooks.len() < before
    }

    /// The latest requests to the API, oldest first; those under `/sim/` do not count.
    pub fn requests(&self) -> Vec<Seen> {
        self.state().seen.iter().cloned().collect()
    }

    /// How many requests came to the API since the start.
    pub fn request_count(&self) -> u64 {
        self.state().seen_count
    }

    /// The most requests to the API that were ever being answered at once. One whose answer has
    /// begun does not count any more.
    pub fn most_at_once(&self) -> usize {
        self.state().most_at_once
    }

    /// Puts something under a path, which is not percent-encoded and begins with
    /// `/daq/download/`. It stays there.
    pub fn put_medium(&self, path: &str, medium: Medium) {
        self.state().records.put_medium(path, medium);
    }

    /// The anomaly of a run event: its uuid and its status.
    pub fn anomaly_of(&self, run_event: &str) -> Option<(String, String)> {
        let state = self.state();
        let anomaly = state.records.anomaly_of(run_event)?;
        Some((anomaly.uuid.clone(), anomaly.status.clone()))
    }

    /// The run of a run event.
    pub fn run_of(&self, run_event: &str) -> Option<String> {
        let state = self.state();
        Some(state.records.run_event(run_event)?.run_uuid.clone())
    }

    /// How many inspections are on record.
    pub fn run_event_count(&self) -> usize {
        self.state().records.len()
    }

    /// Each inspection on record, by its run event, and whether something was found.
    pub fn run_events(&self) -> Vec<(String, bool)> {
        self.state().records.all()
    }

    /// The weather as it is.
    pub fn weather(&self) -> Weather {
        self.state().weather.clone()
    }

    /// Other weather from now on.
    pub fn set_weather(&self, weather: Weather) {
        self.state().weather = weather;
    }

    /// Changes one thing about the weather.
    pub fn change_weather(&self, change: impl FnOnce(&mut Weather)) {
        change(&mut self.state().weather);
    }

    /// What Orbit's clock shows.
    pub fn now(&self) -> Timestamp {
        self.now_in(&self.state())
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn token(&self) -> &Secret {
        &self.0.token
    }

    pub(super) fn now_in(&self, state: &State) -> Timestamp {
        let wall = self.0.clock.wall();
        let skew = Duration::from_millis(state.weather.skew_ms.unsigned_abs());
        if state.weather.skew_ms < 0 {
            wall.checked_sub(skew).unwrap_or(wall)
        } else {
            later(wall, skew)
        }
    }

    fn loses(&self) -> bool {
        let mut state = self.state();
        let one_in = state.weather.lose_one_in;
        state.weather.lose_webhooks || (one_in > 0 && state.losses.below(one_in) == 0)
    }

    fn webhook(&self, uuid: &str) -> Option<Webhook> {
        let state = self.state();
        state
            .webhooks
            .iter()
            .find(|hook| hook.uuid == uuid)
            .cloned()
    }

    fn envelope<T: Serialize + ?Sized>(&self, event_type: &str, data: &T) -> Vec<u8> {
        let (uuid, now) = {
            let mut state = self.state();
            (state.ids.uuid(), self.now_in(&state))
        };
        // Data that is no JSON (a map whose keys are not text) goes out as an empty body.
        stringify(&Envelope {
            uuid: &uuid,
            event_type,
            time: javascript_time(now),
            data,
        })
        .unwrap_or_default()
    }

    async fn post(&self, webhook: &Webhook, event_type: &str, body: Vec<u8>) -> Post {
        let sent = self.exchange(webhook, body).await;
        let (status, problem) = match sent {
            Ok(status) => (Some(status), None),
            Err(problem) => (None, Some(problem)),
        };
        Post {
            webhook: webhook.uuid.clone(),
            event_type: event_type.to_owned(),
            status,
            problem,
        }
    }

    async fn exchange(&self, webhook: &Webhook, body: Vec<u8>) -> Result<u16, String> {
        if self.loses() {
            return Err("lost on its way out".to_owned());
        }
        let url = url::Url::parse(&webhook.url).map_err(|_| "that is no URL".to_owned())?;
        let client = if webhook.validate_tls_cert {
            &self.0.strict
        } else {
            &self.0.lenient
        };
        let signature = sign(&webhook.secret, self.now().as_millisecond(), &body);
        let request = client
            .request(Method::POST, url)
            .header(header::CONTENT_TYPE, "application/json")
            .header("Orbit-Signature", signature)
            .body(body);
        match request.send().await {
            Ok(answer) => Ok(answer.status().as_u16()),
            Err(error) => Err(client.explain(error, POST_TIMEOUT).to_string()),
        }
    }
}
