//! Each system on its own, asked as its preset asks.
//!
//! # Invariants
//! - Every wait has a bound: the client's deadline.

mod base;
mod ignition;
mod maximo;
mod pi;
mod presets;
mod sap;
mod servicenow;

use std::time::Duration;

use axum::body::Bytes;
use reqwest::header::HeaderMap;
use reqwest::{Method, RequestBuilder};
use serde_json::Value;

use super::base::{Running, System, SystemWorld};
use crate::clock::Clock;
use crate::http::{self, Trust};

/// A system that runs, and a client that speaks to it.
struct Plant<S> {
    running: Running<S>,
    client: http::Client,
}

/// An answer, read to its end.
struct Got {
    status: u16,
    headers: HeaderMap,
    body: Bytes,
}

impl Got {
    fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    fn header(&self, name: &str) -> &str {
        self.headers[name].to_str().unwrap()
    }
}

impl<S: System> Plant<S> {
    async fn start(system: S) -> Self {
        let listen = "127.0.0.1:0".parse().unwrap();
        let running = Running::start(listen, Clock::system(), system);
        let client = http::Client::build(&http::Config {
            trust: Trust::Authorities(Vec::new()),
            certificate: None,
            timeout: Duration::from_secs(10),
        });
        Self {
            running: running.await.unwrap(),
            client: client.unwrap(),
        }
    }

    fn world(&self) -> SystemWorld<S> {
        self.running.world()
    }

    fn request(&self, method: Method, path: &str, headers: &[(&str, &str)]) -> RequestBuilder {
        let url = format!("{}{path}", self.running.url());
        let mut request = self.client.request(method, url.parse().unwrap());
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request
    }

    async fn get(&self, path: &str, headers: &[(&str, &str)]) -> Got {
        got(self.request(Method::GET, path, headers)).await
    }

    async fn post(&self, path: &str, headers: &[(&str, &str)], body: &Value) -> Got {
        let request = self.request(Method::POST, path, headers);
        got(request.json(body)).await
    }

    async fn picture(&self, path: &str, headers: &[(&str, &str)]) -> Got {
        let request = self.request(Method::POST, path, headers);
        let request = request.header("content-type", "image/jpeg");
        got(request.body(PICTURE)).await
    }
}

const PICTURE: &[u8] = b"\xff\xd8\xff\xe0 a picture";

async fn got(request: RequestBuilder) -> Got {
    let answer = request.send().await.unwrap();
    Got {
        status: answer.status().as_u16(),
        headers: answer.headers().clone(),
        body: answer.bytes().await.unwrap(),
    }
}
