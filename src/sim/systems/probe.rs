//! Asks a simulated system over its socket, as a relay would.
//!
//! # Invariants
//! - Every request has a deadline of ten seconds.

use std::time::Duration;

use reqwest::{Method, RequestBuilder};
use serde_json::Value;

use super::base::{Running, System};
use crate::clock::Clock;
use crate::http::{self, Trust};

/// A running system, and who asks it.
pub(super) struct Probe<S> {
    pub(super) running: Running<S>,
    client: http::Client,
}

/// What was answered.
#[derive(Debug)]
pub(super) struct Answered {
    pub(super) status: u16,
    pub(super) retry_after: Option<String>,
    pub(super) text: String,
}

impl Answered {
    /// The body as JSON; null where it is none.
    pub(super) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_default()
    }
}

impl<S: System> Probe<S> {
    pub(super) async fn of(system: S, clock: Clock) -> Self {
        let listen = "127.0.0.1:0".parse().unwrap();
        let client = http::Client::build(&http::Config {
            trust: Trust::Authorities(Vec::new()),
            certificate: None,
            timeout: Duration::from_secs(10),
        });
        Self {
            running: Running::start(listen, clock, system).await.unwrap(),
            client: client.unwrap(),
        }
    }

    /// A request of this path and query.
    pub(super) fn ask(&self, method: Method, target: &str) -> RequestBuilder {
        let url = format!("{}{target}", self.running.url()).parse().unwrap();
        self.client.request(method, url)
    }

    pub(super) async fn post(&self, target: &str, body: &Value) -> Answered {
        sent(self.ask(Method::POST, target).json(body)).await
    }

    pub(super) async fn get(&self, target: &str) -> Answered {
        sent(self.ask(Method::GET, target)).await
    }
}

pub(super) async fn sent(request: RequestBuilder) -> Answered {
    let answer = request.send().await.unwrap();
    let retry_after = answer.headers().get("retry-after");
    Answered {
        status: answer.status().as_u16(),
        retry_after: retry_after.map(|value| value.to_str().unwrap().to_owned()),
        text: String::from_utf8(answer.bytes().await.unwrap().to_vec()).unwrap(),
    }
}
