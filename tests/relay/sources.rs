//! Other sources than Orbit: who may call, how often, what is answered, and what is kept of it.

use std::num::NonZeroU32;
use std::time::Duration;

use orbit_relay::event::{Glob, Takes};
use orbit_relay::relay::deliver;
use orbit_relay::relay::journal::{Availability, State};
use orbit_relay::relay::receive::{RateLimit, Source};
use orbit_relay::relay::transform::expression::Expression;
use orbit_relay::relay::verify::Scheme;
use orbit_relay::relay::verify::scheme::{
    Draft, Encoding, Hash, HmacForm, KeyForm, Names, Piece, Place, Unit,
};
use orbit_relay::secret::{self, Secret};
use serde_json::json;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;

use crate::wire::{self, Answer};
use crate::world::{BOUND, Relay, Site, accepted, inspection, level, uuid};

const KEY: &str = "what-the-shop-signs-with";
const LARGEST: usize = 8 * 1024 * 1024;

/// A source that signs as GitHub does.
fn source(name: &str) -> Source {
    Source {
        name: name.to_owned(),
        path: format!("/hooks/{name}"),
        scheme: Scheme::Github,
        secrets: vec![secret::Source::Given(Secret::new(KEY.to_owned()))],
        events: vec![Glob::new("*")],
        when: None,
        allow: Vec::new(),
        rate_limit: None,
        max_age: Duration::from_mins(5),
    }
}

fn limit(per_minute: u32, burst: u32) -> RateLimit {
    RateLimit {
        per_minute: NonZeroU32::new(per_minute).unwrap(),
        burst: NonZeroU32::new(burst).unwrap(),
    }
}

/// A destination of this name that takes what these sources send.
fn taker(site: &Site, name: &str, sources: &[&str]) -> deliver::Config {
    let mut config = site.at(name);
    let takes = sources.iter().map(|source| Takes::new(source, ["*"]));
    config.takes = takes.collect();
    config
}

/// The body of the order number `n`.
fn order(n: usize) -> String {
    json!({"type": "order", "id": uuid(n), "amount": n}).to_string()
}

/// A request at the path of a source, signed with this key, in the form of its scheme.
struct Request<'a> {
    source: &'a Source,
    key: &'a str,
    event_type: &'a str,
    body: Vec<u8>,
    besides: Vec<(&'a str, &'a str)>,
}

impl<'a> Request<'a> {
    fn new(source: &'a Source, body: impl Into<Vec<u8>>) -> Self {
        Self {
            source,
            key: KEY,
            event_type: "order",
            body: body.into(),
            besides: Vec::new(),
        }
    }

    fn of_a_stranger(mut self) -> Self {
        self.key = "another key";
        self
    }

    fn called(mut self, event_type: &'a str) -> Self {
        self.event_type = event_type;
        self
    }

    fn with(mut self, name: &'a str, value: &'a str) -> Self {
        self.besides.push((name, value));
        self
    }

    fn headers(&self, relay: &Relay) -> Vec<(String, String)> {
        let draft = Draft {
            id: "0b989ba4-242f-11e5-81e1-c7b6966d2516",
            event_type: self.event_type,
            at: relay.clock.wall(),
            body: &self.body,
        };
        let secret = Secret::new(self.key.to_owned());
        self.source.scheme.sign(&secret, &draft).unwrap()
    }

    fn bytes(&self, relay: &Relay) -> Vec<u8> {
        let signed = self.headers(relay);
        let signed = signed.iter().map(|(n, v)| (n.as_str(), v.as_str()));
        let headers: Vec<_> = signed.chain(self.besides.iter().copied()).collect();
        wire::request("POST", &self.source.path, &headers, &self.body)
    }

    /// Sends it; the test says which of them are counted.
    async fn send(self, relay: &Relay) -> Answer {
        wire::send(relay.events, &self.bytes(relay)).await
    }
}

/// How many requests of a source ended like this.
async fn counted(relay: &Relay, source: &str, outcome: &str) -> f64 {
    let line =
        format!(r#"orbit_relay_source_requests_total{{outcome="{outcome}",source="{source}"}}"#);
    relay.metric(&line).await
}

#[track_caller]
fn same(value: f64, expected: u32) {
    assert!((value - f64::from(expected)).abs() < 0.5, "{value}");
}

#[tokio::test]
async fn an_event_of_a_source_goes_to_those_who_take_it_and_once() {
    let shop = source("shop");
    let site = Site::new().await.source(shop.clone());
    let desk = taker(&site, "desk", &["shop"]);
    let cmms = site.at("cmms");
    let site = site.destination(desk).destination(cmms);
    let relay = site.start().await;
    let answer = Request::new(&shop, order(1)).send(&relay).await;
    assert_eq!(
        (answer.status, &*answer.json()["status"].to_string()),
        (200, "\"accepted\"")
    );
    let plant = site.plant();
    accepted(&plant, 1).await;
    assert_eq!(plant.received_at("/desk").len(), 1);
    assert_eq!(plant.received_at("/cmms").len(), 0);
    let body: serde_json::Value = serde_json::from_slice(&plant.received()[0].body).unwrap();
    assert_eq!(body["relay"]["source"], "shop");
    assert_eq!(body["amount"], 1);

    let answer = Request::new(&shop, order(1)).send(&relay).await;
    assert_eq!(answer.json()["status"], "duplicate");
    site.count(2);
    relay.until_there_are_at("desk", 1, State::Delivered).await;
    let rows = relay.journal();
    assert_eq!((rows.len(), &*rows[0].source), (1, "shop"));
    same(counted(&relay, "shop", "accepted").await, 1);
    same(counted(&relay, "shop", "duplicate").await, 1);
    same(
        relay
            .metric(r#"orbit_relay_requests_total{outcome="accepted",reason=""}"#)
            .await,
        1,
    );
    let sums = relay.finish().await;
    assert_eq!((sums.accepted, sums.duplicate), (1, 1));
}

#[tokio::test]
async fn what_is_not_wanted_is_answered_200_and_kept_nowhere() {
    let mut shop = source("shop");
    shop.events = vec![Glob::new("order*")];
    shop.when = Some(Expression::parse("source == 'shop' and 100 // event.amount > 3").unwrap());
    let site = Site::new().await.without_flag("integration-url");
    let site = site.source(shop.clone());
    let relay = site.start().await;
    for (event_type, n, outcome) in [
        ("refund", 5, "ignored"),
        ("order", 50, "ignored"),
        ("order", 5, "accepted"),
        // It cannot be judged, so it is not lost.
        ("order", 0, "accepted"),
    ] {
        let request = Request::new(&shop, order(n)).called(event_type);
        let answer = request.send(&relay).await;
        assert_eq!(
            (answer.status, answer.json()["status"].as_str()),
            (200, Some(outcome))
        );
    }
    same(counted(&relay, "shop", "ignored").await, 2);
    site.count(2);
    assert_eq!(relay.journal().len(), 2);
    relay.finish().await;
}

#[tokio::test]
async fn only_those_who_are_named_may_call() {
    let (mut far, mut near) = (source("far"), source("near"));
    far.allow = vec!["10.0.0.0/8".parse().unwrap()];
    near.allow = vec![
        "10.0.0.0/8".parse().unwrap(),
        "127.0.0.1/32".parse().unwrap(),
    ];
    let site = Site::new().await.source(far.clone()).source(near.clone());
    let relay = site.start().await;
    let answer = Request::new(&far, order(1)).send(&relay).await;
    assert_eq!(answer.status, 403);
    assert_eq!(answer.json()["error"], "not allowed");
    // Who has no signature learns no more.
    let bare = wire::request("POST", &far.path, &[], b"{}");
    assert_eq!(wire::send(relay.events, &bare).await.status, 403);
    assert_eq!(Request::new(&near, order(2)).send(&relay).await.status, 200);
    site.count(3);
    same(counted(&relay, "far", "not_allowed").await, 2);
    assert_eq!(relay.journal().len(), 1);
    let sums = relay.finish().await;
    assert_eq!(sums.rejected, [("not_allowed".to_owned(), 2)].into());
}

#[tokio::test]
async fn x_forwarded_for_counts_from_trusted_proxies_only() {
    const FORWARDED: &str = "X-Forwarded-For";
    for trusted in [true, false] {
        let mut shop = source("shop");
        shop.allow = vec!["203.0.113.0/24".parse().unwrap()];
        if trusted {
            // The proxy itself may call, and lends that to nobody.
            shop.allow.push("127.0.0.1/32".parse().unwrap());
        }
        let site = Site::new().await.source(shop.clone());
        let site = if trusted {
            site.trusting(&["127.0.0.1/32"])
        } else {
            site
        };
        let relay = site.start().await;
        let rows = [
            ("203.0.113.9", if trusted { 200 } else { 403 }),
            ("203.0.113.9, 198.51.100.1", 403),
            ("rubbish", 403),
            ("rubbish, 127.0.0.1", 403),
        ];
        for (n, (forwarded, status)) in rows.into_iter().enumerate() {
            let request = Request::new(&shop, order(n)).with(FORWARDED, forwarded);
            let answer = request.send(&relay).await;
            assert_eq!(answer.status, status, "{forwarded}, trusted: {trusted}");
        }
        site.count(rows.len());
        relay.finish().await;
    }
}

#[tokio::test]
async fn beyond_its_rate_limit_a_source_waits_and_nobody_else_does() {
    let (mut shop, other) = (source("shop"), source("other"));
    shop.rate_limit = Some(limit(6, 2));
    let site = Site::with_a_manual_clock()
        .await
        .without_flag("integration-url");
    let site = site.source(shop.clone()).source(other.clone());
    let relay = site.start().await;
    // What is not verified uses nothing up.
    for n in 0..5 {
        let stranger = Request::new(&shop, order(n)).of_a_stranger();
        assert_eq!(stranger.send(&relay).await.status, 401);
    }
    assert_eq!(Request::new(&shop, order(1)).send(&relay).await.status, 200);
    // Shown again it uses nothing up either: that may be anybody.
    let again = async || Request::new(&shop, order(1)).send(&relay).await.json();
    assert_eq!(again().await["status"], "duplicate");
    assert_eq!(Request::new(&shop, order(2)).send(&relay).await.status, 200);
    assert_eq!(again().await["status"], "duplicate");
    for n in [4, 5] {
        let answer = Request::new(&shop, order(n)).send(&relay).await;
        assert_eq!(answer.status, 429, "{n}");
        assert_eq!(answer.header("retry-after"), Some("10"), "{n}");
    }
    assert_eq!(
        Request::new(&other, order(3)).send(&relay).await.status,
        200
    );
    relay.accept(inspection(1)).await;
    site.hand().advance(Duration::from_millis(9_500));
    let early = Request::new(&shop, order(4)).send(&relay).await;
    assert_eq!(
        (early.status, early.header("retry-after")),
        (429, Some("1"))
    );
    site.hand().advance(Duration::from_millis(500));
    assert_eq!(Request::new(&shop, order(4)).send(&relay).await.status, 200);
    site.count(14);
    same(counted(&relay, "shop", "rate_limited").await, 3);
    assert_eq!(relay.journal().len(), 5);
    let sums = relay.finish().await;
    assert_eq!(sums.rejected["rate_limited"], 3);
}

#[tokio::test]
async fn strangers_use_up_their_own_allowance_and_shut_nobody_out() {
    const FORWARDED: &str = "X-Forwarded-For";
    let (shop, other) = (source("shop"), source("other"));
    let site = Site::with_a_manual_clock()
        .await
        .without_flag("integration-url");
    let site = site.source(shop.clone()).source(other.clone());
    let site = site.trusting(&["127.0.0.1/32"]);
    let relay = site.start().await;
    for n in 0..60 {
        let stranger = Request::new(&shop, order(n)).of_a_stranger();
        assert_eq!(stranger.send(&relay).await.status, 401, "{n}");
    }
    // Also without a signature, and wherever a source comes in.
    for source in [&shop, &other] {
        let bare = wire::request("POST", &source.path, &[], b"{}");
        let answer = wire::send(relay.events, &bare).await;
        assert_eq!(
            (answer.status, answer.header("retry-after")),
            (429, Some("1"))
        );
    }
    let stranger = Request::new(&shop, order(60)).of_a_stranger();
    assert_eq!(stranger.send(&relay).await.status, 429);
    let genuine = Request::new(&shop, order(1)).send(&relay).await;
    assert_eq!(genuine.status, 200, "from the same address");
    let stranger = Request::new(&shop, order(61)).of_a_stranger();
    let elsewhere = stranger.with(FORWARDED, "203.0.113.9").send(&relay).await;
    assert_eq!(elsewhere.status, 401, "from another address");
    site.hand().advance(Duration::from_secs(1));
    let stranger = Request::new(&shop, order(62)).of_a_stranger();
    assert_eq!(stranger.send(&relay).await.status, 401, "a second later");
    site.count(66);
    same(counted(&relay, "shop", "wrong_signature").await, 62);
    same(counted(&relay, "shop", "too_many_unverified").await, 2);
    assert_eq!(relay.journal().len(), 1);
    let sums = relay.finish().await;
    assert_eq!(sums.rejected["too_many_unverified"], 3);
}

#[tokio::test]
async fn what_asks_only_whether_somebody_is_there_is_answered_and_kept_nowhere() {
    let (github, mut slack) = (source("github"), source("slack"));
    slack.scheme = Scheme::Slack;
    let site = Site::new()
        .await
        .source(github.clone())
        .source(slack.clone());
    let relay = site.start().await;
    let ping = Request::new(&github, r#"{"zen":"Keep it logically awesome."}"#).called("ping");
    let answer = ping.send(&relay).await;
    assert_eq!(
        (answer.status, answer.json()),
        (200, json!({"status": "pong"}))
    );
    let body = r#"{"token":"t","challenge":"3eZbrw1aBm2rZgRNFdxV2595E9CY3gmdALWMmHkvFXO7tYXAYM8P","type":"url_verification"}"#;
    let answer = Request::new(&slack, body).send(&relay).await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("content-type"), Some("text/plain"));
    assert_eq!(
        answer.body,
        "3eZbrw1aBm2rZgRNFdxV2595E9CY3gmdALWMmHkvFXO7tYXAYM8P"
    );
    // Only to the source itself.
    let answer = Request::new(&slack, body)
        .of_a_stranger()
        .send(&relay)
        .await;
    assert_eq!(answer.status, 401);
    site.count(1);
    same(counted(&relay, "github", "answered").await, 1);
    same(counted(&relay, "slack", "answered").await, 1);
    assert_eq!(relay.journal().len(), 0);
    relay.finish().await;
}

#[tokio::test]
async fn what_is_no_json_object_or_too_large_is_refused_and_leaves_no_row() {
    let shop = source("shop");
    let site = Site::new().await.source(shop.clone());
    let relay = site.start().await;
    let bodies: [&[u8]; 7] = [
        b"",
        b"no json",
        b"[1]",
        b"42",
        b"{\"a\":",
        b"{} x",
        b"{\"a\":\"\xff\"}",
    ];
    for body in bodies {
        let answer = Request::new(&shop, body).send(&relay).await;
        assert_eq!(answer.status, 400, "{body:?}");
        assert_eq!(answer.json()["error"], "an event is a JSON object");
    }
    let beyond = vec![b' '; LARGEST + 1];
    let answer = Request::new(&shop, beyond).send(&relay).await;
    assert_eq!(answer.status, 413);
    let get = wire::send(relay.events, &wire::head("GET", &shop.path, &[])).await;
    assert_eq!((get.status, get.header("allow")), (405, Some("post")));
    site.count(8);
    assert_eq!(relay.journal().len(), 0);
    let sums = relay.finish().await;
    let expected = [("not_an_event".to_owned(), 7), ("too_large".to_owned(), 1)];
    assert_eq!(sums.rejected, expected.into());
}

#[tokio::test]
async fn while_its_secret_cannot_be_read_a_source_is_told_to_come_again() {
    let site = Site::with_a_manual_clock().await;
    let file = site.path("shop-secret");
    let mut shop = source("shop");
    shop.secrets = vec![secret::Source::File(file.clone())];
    let other = source("other");
    let site = site.source(shop.clone()).source(other.clone());
    let relay = site.start().await;
    let answer = Request::new(&shop, order(1)).send(&relay).await;
    assert_eq!(
        (answer.status, answer.header("retry-after")),
        (503, Some("5"))
    );
    assert!(!answer.body.contains("shop-secret"), "{answer:?}");
    assert_eq!(
        Request::new(&other, order(1)).send(&relay).await.status,
        200
    );
    std::fs::write(&file, KEY).unwrap();
    // It is not read for every request.
    assert_eq!(Request::new(&shop, order(1)).send(&relay).await.status, 503);
    site.hand().advance(Duration::from_secs(1));
    assert_eq!(Request::new(&shop, order(1)).send(&relay).await.status, 200);
    std::fs::write(&file, "another key").unwrap();
    assert_eq!(Request::new(&shop, order(2)).send(&relay).await.status, 200);
    site.hand().advance(Duration::from_secs(1));
    assert_eq!(Request::new(&shop, order(3)).send(&relay).await.status, 401);
    site.count(6);
    let sums = relay.finish().await;
    let rejected = [
        ("not_ready".to_owned(), 2),
        ("wrong_signature".to_owned(), 1),
    ];
    assert_eq!(sums.rejected, rejected.into());
}

#[tokio::test]
async fn either_of_two_secrets_is_good_while_they_change() {
    let mut shop = source("shop");
    let another = secret::Source::Given(Secret::new("another key".to_owned()));
    shop.secrets.insert(0, another);
    let site = Site::new().await.source(shop.clone());
    let relay = site.start().await;
    assert_eq!(Request::new(&shop, order(1)).send(&relay).await.status, 200);
    let new = Request::new(&shop, order(2)).of_a_stranger();
    assert_eq!(new.send(&relay).await.status, 200);
    site.count(2);
    relay.finish().await;
}

/// A request whose code covers no body, with another than it was made for.
async fn under_the_same_code(relay: &Relay, shop: &Source, body: &str) -> String {
    let headers = Request::new(shop, order(1)).headers(relay);
    let headers: Vec<_> = headers.iter().map(|(n, v)| (&**n, &**v)).collect();
    let request = wire::request("POST", &shop.path, &headers, body.as_bytes());
    let answer = wire::send(relay.events, &request).await.json();
    let said = answer["status"].as_str().or(answer["error"].as_str());
    said.unwrap().to_owned()
}

/// A source whose codes cover no body.
fn without_the_body() -> Source {
    let mut shop = source("shop");
    shop.scheme = Scheme::Hmac(Box::new(HmacForm {
        header: "X-Sig".to_owned(),
        prefix: String::new(),
        hash: Hash::Sha256,
        code: Encoding::Hex,
        key: KeyForm::Text,
        timestamp: Some(("X-Time".to_owned(), Unit::Milliseconds)),
        signed: vec![Piece::Timestamp],
        names: Names {
            id: Some(Place::Pointer("/id".to_owned())),
            event_type: Some(Place::Pointer("/type".to_owned())),
        },
    }));
    shop.events = vec![Glob::new("order")];
    shop
}

#[tokio::test]
async fn under_a_code_without_a_body_each_body_is_an_event_and_the_same_one_a_duplicate() {
    let shop = without_the_body();
    let site = Site::with_a_manual_clock()
        .await
        .without_flag("integration-url");
    let site = site.source(shop.clone());
    let relay = site.start().await;
    for (body, said) in [
        ("[]", "an event is a JSON object"),
        (&*order(1), "accepted"),
        (&*order(2), "accepted"),
        (&*order(1), "duplicate"),
    ] {
        assert_eq!(under_the_same_code(&relay, &shop, body).await, said);
    }
    site.count(4);
    assert_eq!(relay.journal().len(), 2);
    relay.finish().await;
}

#[tokio::test]
async fn a_body_that_was_shown_under_another_name_does_not_keep_the_real_one_out() {
    let mut shop = source("shop");
    shop.events = vec![Glob::new("order")];
    let site = Site::new().await.source(shop.clone());
    let relay = site.start().await;
    let body = json!({"amount": 1}).to_string();
    for (event_type, said) in [
        ("ping", "pong"),
        ("other", "ignored"),
        ("order", "accepted"),
    ] {
        let request = Request::new(&shop, &*body).called(event_type);
        assert_eq!(request.send(&relay).await.json()["status"], said);
    }
    site.count(1);
    relay.finish().await;
}

#[tokio::test]
async fn a_source_that_signs_nothing_is_known_by_its_ids() {
    let mut bare = source("bare");
    bare.secrets.clear();
    bare.scheme = Scheme::None {
        names: Names {
            id: Some(Place::Pointer("/id".to_owned())),
            event_type: Some(Place::Pointer("/type".to_owned())),
        },
    };
    let site = Site::new().await.source(bare.clone());
    let relay = site.start().await;
    let post = async |body: &str| {
        let request = wire::request("POST", &bare.path, &[], body.as_bytes());
        let answer = wire::send(relay.events, &request).await;
        answer.json()["status"].as_str().unwrap().to_owned()
    };
    assert_eq!(post(&order(1)).await, "accepted");
    assert_eq!(post(&order(1)).await, "duplicate");
    assert_eq!(post(&order(2)).await, "accepted");
    site.count(3);
    let rows = relay.journal();
    assert_eq!(rows[0].event_type, "order");
    relay.finish().await;
}

#[tokio::test]
async fn sources_work_where_orbit_is_not_configured() {
    let shop = source("shop");
    let site = Site::new().await.source(shop.clone());
    let desk = taker(&site, "desk", &["shop"]);
    let mut site = site.destination(desk);
    for flag in ["hostname", "verify", "webhook-host"] {
        site = site.without_flag(flag);
    }
    for variable in ["ORBIT_API_TOKEN", "WEBHOOK_SECRET"] {
        site = site.without_variable(variable);
    }
    let relay = site.start_unready().await;
    let open = |now: &Availability| *now == Availability::Open;
    level(relay.parts.journal.clone(), "journal open", open).await;
    let answer = Request::new(&shop, order(1)).send(&relay).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    accepted(&site.plant(), 1).await;
    site.count(1);
    relay.until_there_are_at("desk", 1, State::Delivered).await;
    relay.finish().await;
}

#[tokio::test]
async fn strangers_with_large_bodies_fill_no_memory_and_keep_no_event_out() {
    let shop = source("shop");
    let site = Site::new().await.source(shop.clone());
    let relay = site.start().await;
    let mut large = Vec::new();
    let begin = async || {
        let stranger = Request::new(&shop, vec![b' '; LARGEST]).of_a_stranger();
        let bytes = stranger.bytes(&relay);
        let head = bytes.len() - LARGEST;
        let mut stream = TcpStream::connect(relay.events).await.unwrap();
        stream.write_all(&bytes[..head + 1_000]).await.unwrap();
        (stream, bytes[head + 1_000..].to_vec())
    };
    for n in 1..=2_u32 {
        large.push(begin().await);
        let held = async {
            while relay.metric("orbit_relay_body_bytes").await < f64::from(1_000 * n) {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(BOUND, held)
            .await
            .expect("it is under way");
    }
    let (third, rest) = begin().await;
    let refused = wire::finish(third, &rest).await.expect("it is told");
    assert_eq!(
        (refused.status, refused.header("retry-after")),
        (503, Some("5"))
    );
    assert_eq!(Request::new(&shop, order(1)).send(&relay).await.status, 200);
    relay.accept(inspection(1)).await;
    for (stream, rest) in large {
        let answer = wire::finish(stream, &rest).await.expect("it is told");
        assert_eq!(answer.status, 401);
    }
    site.count(4);
    relay.finish().await;
}
