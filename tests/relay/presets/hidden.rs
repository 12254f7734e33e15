//! No secret is seen: not in the journal, the log, a reason, or what the ports show.

use std::io::{self, Write};
use std::sync::{Arc, Mutex};

use orbit_relay::relay::journal::State;
use orbit_relay::sim::systems::base::{Trouble, basic};
use orbit_relay::sim::systems::sap::Sap;
use tracing::subscriber::DefaultGuard;
use tracing_subscriber::layer::SubscriberExt as _;

use super::{PUMP, Plant, alert, until_there_are};
use crate::ops::{assert_hidden, surfaces};

/// What the log says, kept.
#[derive(Clone, Default)]
struct Page(Arc<Mutex<Vec<u8>>>);

impl Write for Page {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// What a relay that is told secrets shows of them.
pub(crate) struct Canaries {
    secrets: Vec<(&'static str, Vec<u8>)>,
    page: Page,
    _logs: DefaultGuard,
    _other: tracing::Dispatch,
}

impl Canaries {
    /// Listens to the log of what this thread does, which is all that a test does, until it is
    /// dropped.
    pub(crate) fn listen(secrets: Vec<(&'static str, Vec<u8>)>) -> Self {
        let page = Page::default();
        let writer = page.clone();
        let lines = tracing_subscriber::fmt::layer()
            .with_ansi(false)
            .with_writer(move || writer.clone());
        // Where there is one log only, tracing asks the thread that comes by a line first whether
        // that is wanted; other tests have no log.
        let other = tracing::Dispatch::new(tracing_subscriber::registry());
        let log = tracing_subscriber::registry().with(lines);
        let logs = tracing::subscriber::set_default(log);
        Self {
            secrets,
            page,
            _logs: logs,
            _other: other,
        }
    }

    pub(crate) fn log(&self) -> String {
        let page = self.page.0.lock().unwrap();
        String::from_utf8_lossy(&page).into_owned()
    }

    pub(crate) fn hidden(&self, mut shown: Vec<(String, Vec<u8>)>) {
        shown.push(("the log".to_owned(), self.page.0.lock().unwrap().clone()));
        assert_hidden(&shown, &self.secrets);
    }
}

#[tokio::test]
async fn no_password_token_or_session_is_in_the_journal_the_log_or_a_reason() {
    let canaries = Canaries::listen(vec![
        ("the password", b"canary-password".to_vec()),
        (
            "the credentials",
            basic("ORBIT", "canary-password").into_bytes(),
        ),
        ("the secret", b"canary-secret".to_vec()),
        ("a token of SAP", b"token-1".to_vec()),
        ("a session of SAP", b"session-1".to_vec()),
    ]);
    let keys = r#"
preset = "sap-notification"
auth = { type = "basic", user = "ORBIT", password = { env = "SAP_PASSWORD" } }
headers = { x-plant = { env = "SAP_SECRET" } }
"#;
    let mut plant = Plant::new(Sap::new([PUMP]), keys).await;
    plant.site = plant
        .site
        .variable("SAP_PASSWORD", "canary-password")
        .variable("SAP_SECRET", "canary-secret");
    // One is made at once, one after all that can go wrong.
    let relay = plant.site.start().await;
    relay.accept(alert(&plant.site, 1).to_string()).await;
    until_there_are(&relay, 1, State::Delivered).await;
    canaries.hidden(surfaces(&relay, &plant.site.data_dir()).await);
    let mut sent = 1;
    for trouble in [
        Trouble::Status(400),
        Trouble::Status(401),
        Trouble::Status(403),
        Trouble::Status(503),
        Trouble::LoseRequest,
    ] {
        plant.system.plan(4, "POST", "Maintenance", trouble);
        sent += 1;
        let mut other = alert(&plant.site, sent);
        other["data"]["actionName"] = "P-101 motor NDE".into();
        relay.accept(other.to_string()).await;
        relay
            .until_at("plant", "tried", |d| {
                d.of(State::Pending) + d.of(State::Sending) == 0
            })
            .await;
        canaries.hidden(surfaces(&relay, &plant.site.data_dir()).await);
        if relay.parts.sums.borrow().destinations[0].paused.is_some() {
            relay.resume("plant").await;
        }
    }
    relay.stop().await;
    assert!(canaries.log().contains("delivered"));
}
