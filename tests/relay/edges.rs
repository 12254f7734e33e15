//! The two ends of the relay by themselves: what a destination makes of a plant that does not
//! answer, and what the client does to Orbit's webhooks.

use std::time::Duration;

use orbit_relay::clock::Clock;
use orbit_relay::http::Trust;
use orbit_relay::orbit::model::WantedWebhook;
use orbit_relay::orbit::{Client, Config};
use orbit_relay::relay::destination::outcome::Outcome;
use orbit_relay::relay::destination::{self, Destination, Request, What};
use orbit_relay::secret::Secret;
use orbit_relay::sim::backend::{Answer, Backend, BackendConfig, Tls};
use orbit_relay::sim::orbit::{Orbit, OrbitConfig};

const LOOPBACK: &str = "127.0.0.1:0";

#[tokio::test]
async fn an_answer_that_does_not_come_in_time_is_postponed_and_names_the_deadline() {
    let config = BackendConfig {
        listen: LOOPBACK.parse().unwrap(),
        clock: Clock::system(),
        tls: Tls::Off,
    };
    let plant = Backend::start(config).await.unwrap();
    let mut config = destination::Config::new("integration", plant.url().parse().unwrap());
    config.timeout = Duration::from_millis(300);
    let destination = Destination::build(config).unwrap();
    plant.world().set_answer(Answer::Hang);
    let request = Request::new(
        "key".into(),
        1,
        Clock::system().wall(),
        What::Event(b"{}".to_vec()),
    );
    let sent = destination.send(request).await;
    let late = Outcome::Postponed {
        reason: "no answer within 0.3 s".into(),
        retry_after: None,
    };
    assert_eq!((sent.outcome, sent.answer), (late, None));
    plant.stop().await;
}

#[tokio::test]
async fn a_webhook_is_made_listed_changed_and_deleted() {
    let token = Secret::new("token".into());
    let orbit = Orbit::start(OrbitConfig {
        listen: LOOPBACK.parse().unwrap(),
        token: token.clone(),
        seed: 1,
        clock: Clock::system(),
    })
    .await
    .unwrap();
    let config = Config {
        host: orbit.addr().to_string(),
        token,
        trust: Trust::Anything,
        certificate: None,
    };
    let client = Client::build(config).unwrap();
    client.authenticate().await.unwrap();
    let wanted = |enabled| WantedWebhook {
        name: "mine".into(),
        url: "http://127.0.0.1:21600".into(),
        enabled,
        validate_tls_cert: true,
        events: vec!["ACTION_COMPLETED".into()],
        secret: "ab".repeat(32),
    };
    let made = client.create_webhook(&wanted(true), &[]).await.unwrap();
    assert_eq!(client.webhooks().await.unwrap()[0].enabled, Some(true));
    client
        .update_webhook(&made.uuid, &wanted(false))
        .await
        .unwrap();
    assert_eq!(client.webhooks().await.unwrap()[0].enabled, Some(false));
    client.delete_webhook(&made.uuid).await.unwrap();
    assert!(client.webhooks().await.unwrap().is_empty());
    orbit.stop().await;
}
