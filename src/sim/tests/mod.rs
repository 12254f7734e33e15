//! The simulators over real sockets, as a relay would meet them.
//!
//! # Invariants
//! - Every wait has a bound: the client's deadline, or ten seconds.

mod api;
mod backend;
mod oauth;
mod proxy;
mod web_view;
mod world;

use std::time::Duration;

use axum::http::{StatusCode, header};
use reqwest::{Method, RequestBuilder};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use serde_json::{Value, json};

use super::backend::{Backend, BackendConfig, Tls};
use super::model::{ACTION_COMPLETED, ACTION_COMPLETED_WITH_ALERT};
use super::orbit::{Orbit, OrbitConfig, World};
use crate::clock::Clock;
use crate::http::{self, Trust};
use crate::secret::Secret;

const SECRET: &str = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";

struct Site {
    orbit: Orbit,
    world: World,
    backend: Backend,
    client: http::Client,
}

impl Site {
    /// The client believes Orbit's certificate and no other.
    async fn start() -> Self {
        let listen = "127.0.0.1:0".parse().unwrap();
        let clock = Clock::system();
        let orbit = Orbit::start(OrbitConfig {
            listen,
            token: Secret::new("token".to_owned()),
            seed: 1,
            clock: clock.clone(),
        });
        let orbit = orbit.await.unwrap();
        let tls = Tls::Off;
        let backend = Backend::start(BackendConfig { listen, clock, tls });
        let certificate = CertificateDer::from_pem_slice(orbit.certificate_pem().as_bytes());
        let client = http::Client::build(&http::Config {
            trust: Trust::Authorities(vec![certificate.unwrap()]),
            certificate: None,
            timeout: Duration::from_secs(10),
        });
        Self {
            world: orbit.world(),
            orbit,
            backend: backend.await.unwrap(),
            client: client.unwrap(),
        }
    }

    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let url = format!("{}{path}", self.orbit.url()).parse().unwrap();
        let request = self.client.request(method, url);
        request.header(header::AUTHORIZATION, "Bearer token")
    }

    async fn get(&self, path: &str) -> (StatusCode, Value) {
        answer(self.request(Method::GET, path)).await
    }

    async fn post(&self, path: &str, body: &Value) -> (StatusCode, Value) {
        answer(self.request(Method::POST, path).json(body)).await
    }

    /// The backend stands in for a relay, so that what Orbit posts can be looked at.
    async fn register(&self) -> String {
        let (status, created) = self.post("/api/v0/webhooks", &self.webhook()).await;
        assert_eq!(status, StatusCode::OK);
        created["uuid"].as_str().unwrap().to_owned()
    }

    fn webhook(&self) -> Value {
        json!({
            "url": self.backend.url(), "enabled": true, "validateTlsCert": true, "secret": SECRET,
            "events": [ACTION_COMPLETED, ACTION_COMPLETED_WITH_ALERT],
        })
    }

    fn to_backend(&self) -> RequestBuilder {
        let url = self.backend.url().parse().unwrap();
        self.client.request(Method::POST, url)
    }
}

async fn answer(request: RequestBuilder) -> (StatusCode, Value) {
    let answer = request.send().await.unwrap();
    let status = answer.status();
    let body = answer.bytes().await.unwrap();
    (status, serde_json::from_slice(&body).unwrap_or_default())
}
