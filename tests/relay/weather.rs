//! A weekend in one run: each weather that a plant's system has, its outcome, and nothing lost or
//! doubled at the end.

use std::time::Duration;

use orbit_relay::relay::deliver::Health;
use orbit_relay::relay::destination::Success;
use orbit_relay::relay::journal::State;
use orbit_relay::relay::transform::expression::Expression;
use orbit_relay::sim::backend::{Answer, Backend, BackendConfig, Tls};

use crate::world::{Relay, Site, any_port, inspection, level, sums_at, uuid};

const CMMS: &str = "cmms";

async fn plant_behind(site: &Site, tls: Tls) -> Backend {
    let config = BackendConfig {
        listen: any_port(),
        clock: site.clock.clone(),
        tls,
    };
    Backend::start(config).await.unwrap()
}

/// One destination for the weather, and four for what may be wrong with a certificate.
fn with_destinations(site: Site, private: &Backend, mutual: &Backend) -> Site {
    let papers = mutual.client_identity().unwrap();
    for (name, pem) in [
        ("private.pem", private.authority_pem().unwrap()),
        ("mutual.pem", mutual.authority_pem().unwrap()),
        ("client.pem", &papers.certificate_pem),
        ("client.key", &papers.key_pem),
    ] {
        std::fs::write(site.path(name), pem).unwrap();
    }
    let mut cmms = site.at(CMMS);
    cmms.destination.timeout = Duration::from_millis(500);
    let when = "response.json.error_code is not defined or response.json.error_code == 200";
    cmms.destination.success = Success {
        status: Some(vec![200, 201, 202, 204]),
        when: Some(Expression::parse(when).unwrap()),
    };
    let mut unknown = site.at("unknown-authority");
    unknown.destination.url = private.url().parse().unwrap();
    let mut known = site.at("known-authority");
    known.destination.url = private.url_of("/known").parse().unwrap();
    known.destination.tls.ca_file = Some(site.path("private.pem"));
    let mut without = site.at("without-certificate");
    without.destination.url = mutual.url().parse().unwrap();
    without.destination.tls.ca_file = Some(site.path("mutual.pem"));
    let mut with = without.clone();
    with.destination.name = "with-certificate".into();
    with.destination.id = "with-certificate".into();
    with.destination.url = mutual.url_of("/with").parse().unwrap();
    with.destination.tls.client_cert_file = Some(site.path("client.pem"));
    with.destination.tls.client_key_file = Some(site.path("client.key"));
    let mut site = site;
    for config in [cmms, unknown, known, without, with] {
        site = site.destination(config);
    }
    site
}

/// Lets time pass until all that was sent to the CMMS was delivered.
async fn clears_up(site: &Site, relay: &Relay, delivered: u64) {
    site.plant().set_answer_at("/cmms", Answer::Ok);
    let there = |sums: &_| sums_at(sums, CMMS).unwrap().of(State::Delivered) == delivered;
    let (step, longest) = (Duration::from_secs(5), Duration::from_hours(2));
    relay.let_pass(site.hand(), step, longest, there).await;
}

#[tokio::test]
async fn through_every_weather_nothing_is_lost_and_nothing_is_doubled() {
    let site = Site::with_a_manual_clock().await;
    let private = plant_behind(&site, Tls::PrivateAuthority).await;
    let mutual = plant_behind(&site, Tls::RequireClient).await;
    let site = with_destinations(site, &private, &mutual);
    let plant = site.plant();
    let relay = site.start().await;

    plant.set_answer_at("/cmms", Answer::Reset);
    for n in 0..20 {
        relay.accept(inspection(n)).await;
    }
    for name in ["known-authority", "with-certificate"] {
        relay.until_there_are_at(name, 20, State::Delivered).await;
    }
    let down = |health: &Health| matches!(health, Health::Down(_));
    level(relay.parts.destinations[CMMS].clone(), "down", down).await;
    let mut passed = Duration::ZERO;
    while passed < Duration::from_hours(1) {
        site.hand().advance(Duration::from_secs(10));
        passed += Duration::from_secs(10);
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    let attempts = plant.tally_at("/cmms").attempts;
    assert!(attempts < 100, "{attempts} attempts in an hour");
    clears_up(&site, &relay, 20).await;

    let troubles = [
        (Answer::RetryAfter(429, 120), "answered 429"),
        (
            Answer::Body(200, r#"{"error_code":40301}"#.into()),
            "not as its success rule wants",
        ),
        (
            Answer::Redirect(301, "https://elsewhere.example/x?key=canary".into()),
            "a redirect to https://elsewhere.example",
        ),
        (Answer::Hang, "no answer within"),
    ];
    for (n, (trouble, expected)) in (20..).zip(troubles) {
        plant.set_answer_at("/cmms", trouble);
        relay.accept(inspection(n)).await;
        relay.until_there_are_at(CMMS, 1, State::Postponed).await;
        let why = relay.delivery(&uuid(n)).reason.unwrap();
        assert!(why.contains(expected) && !why.contains("canary"), "{why}");
        clears_up(&site, &relay, u64::try_from(n).unwrap() + 1).await;
    }

    for (name, expected) in [
        ("unknown-authority", "does not verify"),
        ("without-certificate", "ertificate"),
    ] {
        let waits = relay
            .until_at(name, "waits", |d| d.waiting() == 24 && d.down.is_some())
            .await;
        let why = waits.down.unwrap().why;
        assert!(why.contains(expected), "{name}: {why}");
    }
    for name in ["known-authority", "with-certificate"] {
        relay.until_there_are_at(name, 24, State::Delivered).await;
    }
    let sums = relay.finish().await;
    assert_eq!(sums.accepted, 24);
    for (world, path) in [
        (&plant, "/cmms"),
        (&private.world(), "/known"),
        (&mutual.world(), "/with"),
    ] {
        let accepted = world.tally_at(path).accepted;
        // The answer with an error in its body is a 200 to the plant.
        let taken_for_errors = u64::from(path == "/cmms");
        assert_eq!(accepted, 24 + taken_for_errors, "{path}");
    }
    assert_eq!(
        private.world().tally().accepted,
        24,
        "only the one that trusts"
    );
    assert_eq!(
        mutual.world().tally().accepted,
        24,
        "only the one that is known"
    );
    private.stop().await;
    mutual.stop().await;
}
