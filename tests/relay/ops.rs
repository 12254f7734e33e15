//! Health and metrics, for people and machines, and that no secret is in what they show.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

use orbit_relay::reconcile::backfill::Progress;
use orbit_relay::relay::deliver::Health;
use orbit_relay::relay::journal::State;
use orbit_relay::sim::backend::Answer as PlantAnswer;
use serde_json::json;

use crate::wire;
use crate::world::{BOUND, Relay, SECRET, Site, TOKEN, inspection, level};

/// One line of a family: its suffix, its labels, its value.
#[derive(Debug)]
struct Sample {
    suffix: String,
    labels: BTreeMap<String, String>,
    value: f64,
}

/// A metric with all its lines.
#[derive(Debug, Default)]
struct Family {
    kind: String,
    samples: Vec<Sample>,
}

fn is_name(text: &str) -> bool {
    let mut chars = text.chars();
    let first = chars
        .next()
        .is_some_and(|c| c.is_ascii_alphabetic() || c == '_');
    first && chars.all(|c| c.is_ascii_alphanumeric() || c == '_')
}

/// Reads the Prometheus text format 0.0.4 and refuses what it does not allow.
fn parse(text: &str) -> BTreeMap<String, Family> {
    assert!(text.ends_with('\n'), "the last line ends too");
    let mut families = BTreeMap::<String, Family>::new();
    let mut current = String::new();
    let mut helped = BTreeSet::new();
    for line in text.lines() {
        if let Some(help) = line.strip_prefix("# HELP ") {
            let (name, help) = help.split_once(' ').expect("HELP has a text");
            assert!(!help.is_empty() && helped.insert(name.to_owned()), "{line}");
        } else if let Some(kind) = line.strip_prefix("# TYPE ") {
            let (name, kind) = kind.split_once(' ').expect("TYPE has a type");
            assert!(is_name(name), "{line}");
            assert!(["counter", "gauge", "histogram"].contains(&kind), "{line}");
            assert!(helped.contains(name), "HELP comes first: {line}");
            name.clone_into(&mut current);
            let family = Family {
                kind: kind.to_owned(),
                samples: Vec::new(),
            };
            let before = families.insert(current.clone(), family);
            assert!(before.is_none(), "a family stands in one piece: {line}");
        } else {
            let family = families.get_mut(&current).expect("TYPE comes first");
            family.samples.push(sample(line, &current));
        }
    }
    for (name, family) in &families {
        check(name, family);
    }
    families
}

fn sample(line: &str, family: &str) -> Sample {
    let (name, mut rest) = line.split_at(line.find(['{', ' ']).expect("a value"));
    assert!(is_name(name), "{line}");
    let suffix = name.strip_prefix(family).expect("lines of one family only");
    let mut labels = BTreeMap::new();
    if let Some(mut inner) = rest.strip_prefix('{') {
        while !inner.starts_with('}') {
            let (label, quoted) = inner.split_once("=\"").expect("a label has a value");
            assert!(is_name(label), "{line}");
            let mut value = String::new();
            let mut chars = quoted.char_indices();
            let end = loop {
                match chars.next().expect("a closing quote") {
                    (at, '"') => break at + 1,
                    (_, '\\') => {
                        let (_, escaped) = chars.next().expect("something escaped");
                        assert!("\\\"n".contains(escaped), "{line}");
                        value.push(if escaped == 'n' { '\n' } else { escaped });
                    }
                    (_, c) => value.push(c),
                }
            };
            assert!(labels.insert(label.to_owned(), value).is_none(), "{line}");
            inner = &quoted[end..];
            inner = inner.strip_prefix(',').unwrap_or(inner);
        }
        rest = &inner[1..];
    }
    let value = rest.strip_prefix(' ').expect("a space before the value");
    let value = match value {
        "+Inf" => f64::INFINITY,
        _ => value.parse().unwrap_or_else(|_| panic!("{line}")),
    };
    Sample {
        suffix: suffix.to_owned(),
        labels,
        value,
    }
}

fn check(name: &str, family: &Family) {
    let mut seen = BTreeSet::new();
    for sample in &family.samples {
        let series = format!("{}{:?}", sample.suffix, sample.labels);
        assert!(seen.insert(series), "{name}: each series once");
        // Of two clocks either may be ahead.
        let may_be_below = name == "orbit_relay_orbit_clock_skew_seconds";
        assert!(may_be_below || sample.value >= 0.0, "{name}: {sample:?}");
        match family.kind.as_str() {
            "histogram" => {
                let bucket = sample.suffix == "_bucket";
                assert!(bucket || ["_sum", "_count"].contains(&sample.suffix.as_str()));
                assert_eq!(bucket, sample.labels.contains_key("le"), "{name}");
            }
            kind => {
                assert_eq!(sample.suffix, "", "{name}");
                assert_eq!(kind == "counter", name.ends_with("_total"), "{name}");
            }
        }
    }
    if family.kind == "histogram" {
        let of = |suffix: &'static str| family.samples.iter().filter(move |s| s.suffix == suffix);
        let buckets: Vec<_> = of("_bucket").map(|sample| sample.value).collect();
        assert!(buckets.is_sorted(), "{name}: buckets add up");
        let count = of("_count").map(|sample| sample.value).next();
        assert_eq!(buckets.last().copied(), count, "{name}: the last holds all");
    }
}

#[tokio::test]
async fn metrics_are_prometheus_text_and_their_names_are_these() {
    let site = Site::new().await;
    let relay = site.start().await;
    relay.registered().await;
    relay.accept(inspection(1)).await;
    relay.accept(inspection(1)).await;
    assert_eq!(relay.post("no event").await.status, 400);
    relay.until_there_are(1, State::Delivered).await;
    let working = |health: &Health| *health == Health::Working;
    level(relay.health(), "working", working).await;
    // A try is counted when its end is recorded, which may be a moment later.
    let tries =
        r#"orbit_relay_delivery_attempts_total{destination="integration",outcome="delivered"}"#;
    let counted = async {
        while relay.metric(tries).await < 1.0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let counted = tokio::time::timeout(BOUND, counted).await;
    counted.expect("the try is counted within the bound");
    let answer = relay.get("/metrics").await;
    assert_eq!(answer.status, 200);
    let content_type = answer.header("content-type").unwrap();
    assert!(
        content_type.starts_with("text/plain; version=0.0.4"),
        "{content_type}"
    );
    let families = parse(&answer.body);
    let mut names = String::new();
    for (name, family) in &families {
        let labels = family
            .samples
            .iter()
            .flat_map(|sample| sample.labels.keys());
        let labels: BTreeSet<_> = labels.map(String::as_str).collect();
        let labels: Vec<_> = labels.into_iter().collect();
        let by = labels.join(", ");
        writeln!(names, "{name}: {} by [{by}]", family.kind).unwrap();
    }
    insta::assert_snapshot!(names, @r"
    orbit_relay_backfill_cursor_timestamp_seconds: gauge by []
    orbit_relay_backfill_last_timestamp_seconds: gauge by []
    orbit_relay_body_bytes: gauge by []
    orbit_relay_build_info: gauge by [version]
    orbit_relay_circuit_open: gauge by [destination]
    orbit_relay_deliveries: gauge by [destination, state]
    orbit_relay_delivery_attempt_seconds: histogram by [destination, le]
    orbit_relay_delivery_attempts_total: counter by [destination, outcome]
    orbit_relay_delivery_seconds: histogram by [destination, le]
    orbit_relay_destination_paused: gauge by [destination]
    orbit_relay_destination_removed: gauge by [destination]
    orbit_relay_disk_free_bytes: gauge by []
    orbit_relay_events_backfilled: gauge by []
    orbit_relay_events_kept: gauge by [destination]
    orbit_relay_journal_bytes: gauge by []
    orbit_relay_journal_limit_bytes: gauge by []
    orbit_relay_last_event_timestamp_seconds: gauge by []
    orbit_relay_last_reconcile_timestamp_seconds: gauge by []
    orbit_relay_oldest_undelivered_seconds: gauge by [destination]
    orbit_relay_orbit_clock_skew_seconds: gauge by []
    orbit_relay_part_well: gauge by [part]
    orbit_relay_requests_total: counter by [outcome, reason]
    orbit_relay_work_orders: gauge by [destination, state]
    ");

    let requests = &families["orbit_relay_requests_total"];
    let total: f64 = requests.samples.iter().map(|sample| sample.value).sum();
    assert!((total - 3.0).abs() < 0.5, "{requests:?}");
    let parts = &families["orbit_relay_part_well"];
    assert_eq!(parts.samples.len(), 6);
    assert!(
        parts.samples.iter().all(|part| part.value > 0.5),
        "{parts:?}"
    );
    relay.finish().await;
}

#[tokio::test]
async fn health_names_every_part_in_a_word_and_troubles_elsewhere_are_no_503() {
    let site = Site::new().await;
    let relay = site.start().await;
    relay.registered().await;
    let looked = |progress: &Progress| progress.looked_at.is_some();
    level(relay.parts.backfill.clone(), "looked through", looked).await;
    assert_eq!(relay.get("/healthz").await.json(), json!({"status": "ok"}));
    let ready = relay.get("/readyz").await;
    assert_eq!(ready.status, 200);
    let untried = json!({"well": true, "status": "untried", "reason": "nothing was sent yet"});
    let expected = json!({
        "status": "ready",
        "ready": true,
        "journal": {"well": true, "status": "open"},
        "listener": {"well": true, "status": "listening"},
        "orbit": {"well": true, "status": "registered"},
        "backfill": {"well": true, "status": "current"},
        "clock": {"well": true, "status": "right"},
        "destinations": {"integration": untried},
    });
    assert_eq!(ready.json(), expected);

    site.plant().set_answer(PlantAnswer::Status(500));
    relay.accept(inspection(1)).await;
    let failing = |health: &Health| matches!(health, Health::Failing(_));
    level(relay.health(), "failing", failing).await;
    let ready = relay.get("/readyz").await;
    assert_eq!(ready.status, 200);
    let expected = json!({"well": false, "status": "failing", "reason": "answered 500"});
    assert_eq!(ready.json()["destinations"]["integration"], expected);
    assert_eq!(ready.json()["status"], "degraded");
    assert!(
        (relay
            .metric(r#"orbit_relay_part_well{part="destinations"}"#)
            .await)
            .abs()
            < 0.5
    );

    for (method, path, status) in [
        ("POST", "/readyz", 405),
        ("DELETE", "/metrics", 405),
        ("GET", "/", 404),
    ] {
        let request = wire::request(method, path, &[], b"");
        let answer = wire::send(relay.ops, &request).await;
        assert_eq!(answer.status, status, "{method} {path}");
        assert!(answer.json()["error"].is_string(), "{method} {path}");
    }
    relay.finish().await;
}

/// All that the relay shows and keeps, but for the file that is there to hold the secret.
pub(crate) async fn surfaces(relay: &Relay, data_dir: &Path) -> Vec<(String, Vec<u8>)> {
    let mut surfaces = Vec::new();
    for path in ["/metrics", "/readyz", "/healthz"] {
        let answer = relay.get(path).await;
        surfaces.push((path.to_owned(), format!("{answer:?}").into_bytes()));
    }
    surfaces.push((
        "the parts".to_owned(),
        format!("{:?}", relay.parts).into_bytes(),
    ));
    surfaces.extend(files(data_dir));
    surfaces
}

fn files(data_dir: &Path) -> Vec<(String, Vec<u8>)> {
    let entries = std::fs::read_dir(data_dir).unwrap();
    let paths = entries.map(|entry| entry.unwrap().path());
    let files = paths.filter(|path| path.is_file() && !path.ends_with("webhook-secret"));
    files
        .map(|path| (path.display().to_string(), std::fs::read(&path).unwrap()))
        .collect()
}

pub(crate) fn assert_hidden(surfaces: &[(String, Vec<u8>)], secrets: &[(&str, Vec<u8>)]) {
    assert!(
        surfaces
            .iter()
            .any(|(name, _)| name.ends_with("journal.db"))
    );
    for (surface, bytes) in surfaces {
        for (name, secret) in secrets {
            let found = bytes.windows(secret.len()).any(|part| part == secret);
            assert!(!found, "{name} is in {surface}");
        }
    }
}

#[tokio::test]
async fn no_secret_is_in_the_journal_the_metrics_the_health_or_a_reason() {
    let site = Site::new().await;
    let url = format!("{}?key=canary-query", site.plant_url());
    let site = site
        .variable("INTEGRATION_AUTH", "Basic plant:canary-password")
        .flag("integration-url", &url);
    let secrets = [
        ("the webhook secret", SECRET.as_bytes().to_vec()),
        (
            "the webhook secret in capitals",
            SECRET.to_uppercase().into_bytes(),
        ),
        ("the webhook secret's bytes", hex::decode(SECRET).unwrap()),
        ("the token", TOKEN.as_bytes().to_vec()),
        ("the password", b"canary-password".to_vec()),
        (
            "the password in base64",
            b"cGxhbnQ6Y2FuYXJ5LXBhc3N3b3Jk".to_vec(),
        ),
        ("the URL's query", b"canary-query".to_vec()),
    ];
    let relay = site.start().await;
    relay.registered().await;
    let plant = site.plant();
    let elsewhere = "http://user:canary-password@127.0.0.1:9/login?key=canary-query";
    let troubles = [
        PlantAnswer::Ok,
        PlantAnswer::Status(401),
        PlantAnswer::Status(404),
        PlantAnswer::Redirect(302, elsewhere.to_owned()),
        PlantAnswer::Reset,
    ];
    let mut sent = 0;
    for trouble in troubles {
        plant.set_answer(trouble);
        relay.accept(inspection(sent)).await;
        sent += 1;
        let is_tried = |sums: &orbit_relay::relay::journal::Sums| {
            let destination = &sums.destinations[0];
            let waits = destination.of(State::Pending) + destination.of(State::Sending);
            waits == 0 && sums.accepted == u64::try_from(sent).unwrap()
        };
        let sums = relay.until("tried", is_tried).await;
        assert_hidden(&surfaces(&relay, &site.data_dir()).await, &secrets);
        if sums.destinations[0].paused.is_some() {
            relay.resume("integration").await;
        }
    }
    let port = site.stop_plant().await;
    relay.accept(inspection(sent)).await;
    let failing = |health: &Health| match health {
        Health::Failing(why) | Health::Down(why) => why.contains("cannot connect"),
        Health::Untried | Health::Working | Health::Paused(_) => false,
    };
    level(relay.health(), "refused", failing).await;
    assert_hidden(&surfaces(&relay, &site.data_dir()).await, &secrets);
    relay.finish().await;
    drop(port);
    assert_hidden(&files(&site.data_dir()), &secrets);

    site.robots
        .change_weather(|weather| weather.status = Some(401));
    let relay = site.start().await;
    relay.not_registered().await;
    assert_hidden(&surfaces(&relay, &site.data_dir()).await, &secrets);
    relay.finish().await;
}
