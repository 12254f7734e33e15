//! Presets end to end: a relay with a configuration file that uses one, between the simulated Orbit
//! and the simulated system that the preset is for.
//!
//! | module | what it holds the relay to |
//! |---|---|
//! | [`maximo`] | service requests and work orders: made once, added to while open |
//! | [`sap`] | notifications, and the token that SAP wants |
//! | [`servicenow`] | records, where what is asked for may be passed over |
//! | [`pi`] | one value per reading |
//! | [`plain`] | Ignition and the example to begin with: one request each |
//! | [`steps`] | several requests for one event, and what may go wrong between them |
//! | [`orbit`] | what Orbit knows or does not say, and assets that the map learns later |
//! | [`hidden`] | no secret is seen |
//!
//! # Invariants
//! - Every wait is on a level and has a bound.

pub(crate) mod hidden;
mod maximo;
mod orbit;
mod pi;
mod plain;
mod sap;
mod servicenow;
mod steps;

use std::sync::Arc;
use std::time::Duration;

use orbit_relay::clock::Clock;
use orbit_relay::config::Config;
use orbit_relay::event::{ALERT, COMPLETED};
use orbit_relay::relay::journal::{DeliveryRow, State};
use orbit_relay::sim::plant::Medium;
use orbit_relay::sim::systems::base::{Exchange, Running, System, SystemWorld};
use serde_json::{Value, json};

use crate::world::{BOUND, Relay, Site, any_port, uuid};

/// What the simulated pump hall calls its first motor.
pub(crate) const MOTOR: &str = "P-101 motor DE";
/// And which asset that is.
pub(crate) const PUMP: &str = "P-101";

/// A site whose relay has one destination: a system of the plant.
pub(crate) struct Plant<S> {
    pub(crate) site: Site,
    pub(crate) system: SystemWorld<S>,
    /// The system's root.
    pub(crate) url: String,
    /// It stops when this is dropped.
    _running: Running<S>,
}

impl<S: System> Plant<S> {
    /// `keys` are those of the destination besides its URL.
    pub(crate) async fn new(system: S, keys: &str) -> Self {
        let running = Running::start(any_port(), Clock::system(), system)
            .await
            .unwrap();
        let site = Site::new().await;
        let site = site.configured(&file(&running.url(), keys)).tuned(soon);
        Self {
            site,
            system: running.world(),
            url: running.url(),
            _running: running,
        }
    }

    /// Waits until the system is as wanted.
    pub(crate) async fn until(&self, what: &str, wanted: impl Fn(&mut S) -> bool) {
        let reached = tokio::time::timeout(BOUND, self.system.wait_until(wanted)).await;
        assert!(reached.is_ok(), "{what}: {:#?}", self.told());
    }

    /// Waits until it was asked so many times like this.
    pub(crate) async fn until_asked(&self, times: usize, method: &str, path: &str) {
        let waiting = async {
            while self.asked(method, path).len() < times {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        let waited = tokio::time::timeout(BOUND, waiting).await;
        assert!(
            waited.is_ok(),
            "{times} {method} {path}: {:#?}",
            self.told()
        );
    }

    /// What it was asked so far like this.
    pub(crate) fn asked(&self, method: &str, path: &str) -> Vec<Arc<Exchange>> {
        self.system.exchanges_of(method, path)
    }

    /// All that it was asked, in short, for those who read why a test failed.
    fn told(&self) -> Vec<String> {
        let all = self.system.exchanges().into_iter();
        let told = all.map(|exchange| {
            let asked = &exchange.asked;
            let body = String::from_utf8_lossy(&asked.body);
            let body: String = body.chars().take(300).collect();
            format!(
                "{} {} {:?} {body}",
                asked.method, asked.target, exchange.status
            )
        });
        told.collect()
    }
}

/// A configuration file with one destination; retries come soon.
pub(crate) fn file(url: &str, keys: &str) -> String {
    format!(
        r#"
[[destination]]
name = "plant"
url = "{url}"
retry = {{ schedule = ["50ms"], then_every = "50ms", jitter = 0.0 }}
enrich = {{ wait = "1s" }}
{keys}
"#
    )
}

/// Nobody waits a minute to hear that a ticket is closed.
fn soon(config: &mut Config) {
    for destination in &mut config.destinations {
        let on_closed = destination.on_closed.as_mut();
        if let Some(poll) = on_closed.and_then(|on_closed| on_closed.poll.as_mut()) {
            poll.every = Duration::from_millis(50);
        }
    }
}

/// An alert about the motor of the pump, with a reading and a picture that Orbit has. It says all
/// that a ticket wants, so that Orbit need not be asked.
pub(crate) fn alert(site: &Site, n: usize) -> Value {
    let picture = format!("/daq/download/spot-07/{n}/motor spot-cam-ptz.jpg");
    site.robots.put_medium(&picture, Medium::Camera);
    json!({
        "uuid": uuid(n + 700_000),
        "type": ALERT,
        "time": "2026-02-03T09:14:07.118Z",
        "data": {
            "uuid": uuid(n),
            "time": "2026-02-03T09:13:55Z",
            "createdAt": "2026-02-03T09:14:06.9Z",
            "actionName": MOTOR,
            "missionName": "Pump hall AM",
            "robotNickname": "spot-07",
            "elementId": "e1000000-0000-4000-8000-000000000001",
            "severity": 3,
            "title": "Temperature above threshold",
            "error": 0,
            "dataCaptures": [{
                "time": "2026-02-03T09:13:55.402118+00:00",
                "uuid": uuid(n + 800_000),
                "dataUrl": picture,
                "channelName": "spot-cam-ptz",
                "keyResults": [{"name": "Region 1 Max", "units": "C", "value": 96.4}],
            }],
        },
    })
}

/// The same inspection without its finding, as Orbit may tell it besides.
pub(crate) fn completed(alert: &Value) -> Value {
    let mut completed = alert.clone();
    completed["uuid"] = json!(uuid(900_000));
    completed["type"] = json!(COMPLETED);
    completed
}

/// The only delivery, as the journal has it.
pub(crate) fn only_delivery(relay: &Relay) -> DeliveryRow {
    let events = relay.journal();
    assert_eq!(events.len(), 1);
    events[0].deliveries[0].clone()
}

/// Waits until the deliveries of the destination stand like this.
pub(crate) async fn until_there_are(relay: &Relay, n: u64, state: State) {
    relay.until_there_are_at("plant", n, state).await;
}

/// Whether these are the bytes of a JPEG.
pub(crate) fn is_jpeg(bytes: &[u8]) -> bool {
    bytes.starts_with(&[0xff, 0xd8, 0xff])
}
