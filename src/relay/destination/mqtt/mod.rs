//! A destination that is an MQTT broker: messages with `QoS` 1, MQTT 3.1.1.
//!
//! ```text
//! mod   one message: checked, published, published once more if the line had been cut
//! line  one connection: its packets
//! ```
//!
//! # Invariants
//! - Delivered is what the broker has acknowledged (PUBACK) under the very number it was sent
//!   with. What was sent and not acknowledged is sent again: at least once.
//! - One connection for each destination, made when there is something to send and kept. It is
//!   driven by whoever sends: there is no task of its own, and one message at a time.
//! - A message that is given up takes its connection with it: no answer is taken for another's.
//!
//! # Not here
//! A broker of MQTT 3.1.1 also acknowledges what it then drops, because it is larger than the broker
//! wants or because the user may not write to the topic: that cannot be seen.

mod line;

use std::fmt;
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::Mutex;
use tokio::time::Instant;

use self::line::{Line, LineError, Login};
use super::exchange::Deadline;
use super::keys::Keys;
use super::outcome::{Outcome, Trouble};
use super::request::{Looked, Message, Sent};
use super::{Auth, Config, Shared};
use crate::http;

/// No payload is larger.
pub const PAYLOAD_LIMIT: usize = 256 * 1024;
/// What MQTT can write as a text.
const TEXT_LIMIT: usize = 65_535;
/// The broker ends a connection that is silent for one and a half times as long; we use none that
/// was silent for so long.
const KEEP_ALIVE: Duration = Duration::from_mins(1);

/// The broker of one destination.
pub(super) struct Broker {
    client_id: String,
    retain: bool,
    /// The connection, while nobody uses it.
    line: Mutex<Option<Kept>>,
}

struct Kept {
    line: Line,
    since: Instant,
}

impl fmt::Debug for Broker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Broker")
            .field("client_id", &self.client_id)
            .finish_non_exhaustive()
    }
}

/// Why a message is never sent.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
enum NeverSent {
    #[error("the message has {0} bytes: more than 256 KiB are not sent by MQTT")]
    Payload(usize),
    #[error("the topic is empty: nothing can be published to that")]
    NoTopic,
    #[error("the topic {0:?} has a `+`, `#` or control character: it is no topic to publish to")]
    Topic(String),
    #[error("the topic has more than 65535 bytes")]
    LongTopic,
}

impl Broker {
    pub(super) fn new(id: &str, chance: [u8; 4], retain: bool) -> Self {
        Self {
            client_id: format!("orbit-relay-{id}-{}", hex::encode(chance)),
            retain,
            line: Mutex::default(),
        }
    }

    /// Publishes once, and tells what came of it.
    pub(super) async fn send(&self, shared: &Shared, message: Message, at: Timestamp) -> Sent {
        if let Err(why) = check(&message) {
            let reason = why.to_string();
            return Sent::unanswered(Outcome::Dead { reason });
        }
        let config = &shared.config;
        let keys = match Keys::read(config) {
            Ok(keys) => keys,
            Err(error) => return Sent::unanswered(Outcome::postponed(error.to_string())),
        };
        let client = shared.clients.current(config);
        let deadline = Deadline::new(config.timeout, at);
        let published = deadline.hold(self.publish(config, &client, &keys, &message));
        let outcome = match published.await {
            Ok(Ok(())) => Outcome::Delivered,
            Ok(Err(error)) => outcome(config, error),
            Err(error) => Outcome::postponed(error.to_string()),
        };
        shared.remember(&outcome, &keys);
        Sent::unanswered(outcome)
    }

    async fn publish(
        &self,
        config: &Config,
        client: &http::Client,
        keys: &Keys,
        message: &Message,
    ) -> Result<(), LineError> {
        let mut place = self.line.lock().await;
        // While it is used, it is nowhere: given up here, it is closed.
        let kept = place.take();
        if let Some(Kept { mut line, since }) = kept
            && since.elapsed() < KEEP_ALIVE
            && line.publish(message, self.retain).await.is_ok()
        {
            *place = Some(Kept::now(line));
            return Ok(());
        }
        let mut line = self.connect(config, client, keys).await?;
        line.publish(message, self.retain).await?;
        *place = Some(Kept::now(line));
        Ok(())
    }

    /// Connects, unless it is connected.
    pub(super) async fn look(&self, shared: &Shared, at: Timestamp) -> Looked {
        let config = &shared.config;
        let keys = match Keys::read(config) {
            Ok(keys) => keys,
            Err(error) => return Looked::NoCredentials(error.to_string()),
        };
        let client = shared.clients.current(config);
        let connected = async {
            let mut place = self.line.lock().await;
            // One that is kept may be cut without our knowing.
            *place = Some(Kept::now(self.connect(config, &client, &keys).await?));
            Ok(())
        };
        let connected = Deadline::new(config.timeout, at).hold(connected).await;
        match connected {
            Ok(Ok(())) => Looked::Connected {
                with_auth: config.auth.is_some(),
            },
            Ok(Err(LineError::Unreached(error))) | Err(error) => Looked::Unreached(error),
            Ok(Err(LineError::Auth)) => Looked::NoCredentials(LineError::Auth.to_string()),
            Ok(Err(error)) => Looked::Refused(error.to_string()),
        }
    }

    async fn connect(
        &self,
        config: &Config,
        client: &http::Client,
        keys: &Keys,
    ) -> Result<Line, LineError> {
        let login = match (&config.auth, &keys.auth) {
            (Auth::None, _) => None,
            (Auth::Basic { user, .. }, Some(password)) => Some(Login {
                user,
                password: password.expose(),
            }),
            _ => return Err(LineError::Auth),
        };
        let with_tls = config.url.scheme() == "mqtts";
        let port = config
            .url
            .port()
            .unwrap_or(if with_tls { 8883 } else { 1883 });
        let host = config.url.host_str().unwrap_or_default();
        let wire = client.dial(host, port, with_tls).await?;
        Line::open(wire, &self.client_id, KEEP_ALIVE, login).await
    }
}

impl Kept {
    fn now(line: Line) -> Self {
        Self {
            line,
            since: Instant::now(),
        }
    }
}

fn check(message: &Message) -> Result<(), NeverSent> {
    let topic = &message.topic;
    if message.payload.len() > PAYLOAD_LIMIT {
        return Err(NeverSent::Payload(message.payload.len()));
    }
    if topic.is_empty() {
        return Err(NeverSent::NoTopic);
    }
    if topic.len() > TEXT_LIMIT {
        return Err(NeverSent::LongTopic);
    }
    if topic.contains(|c: char| matches!(c, '+' | '#') || c.is_control()) {
        let shown = topic.chars().take(100).collect();
        return Err(NeverSent::Topic(shown));
    }
    Ok(())
}

fn outcome(config: &Config, error: LineError) -> Outcome {
    match error {
        LineError::Refused(why) if why.is_of_credentials() => Outcome::Parked {
            reason: format!(
                "{why}: the credentials of destination {} are refused; {}",
                config.name,
                if config.auth.is_some() {
                    "see its `auth`"
                } else {
                    "it wants some, set its `auth`"
                }
            ),
            trouble: Trouble::Credentials,
        },
        LineError::Auth => Outcome::Parked {
            reason: error.to_string(),
            trouble: Trouble::Credentials,
        },
        error => Outcome::postponed(error.to_string()),
    }
}

#[cfg(test)]
mod tests;
