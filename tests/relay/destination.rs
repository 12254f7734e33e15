//! One post to one destination: what its answers mean, its credentials, tokens and signatures.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use orbit_relay::clock::Clock;
use orbit_relay::http::Proxy;
use orbit_relay::relay::destination::outcome::{Outcome, Trouble};
use orbit_relay::relay::destination::{
    Algorithm, Auth, Config, Destination, Encoding, Header, Request, Sent, Sign, What,
};
use orbit_relay::relay::transform::expression::Expression;
use orbit_relay::secret::{Secret, Source};
use orbit_relay::sim::backend::{Answer, Backend, BackendConfig, OAuth, Received, Tls};
use serde_json::json;

use crate::world::any_port;

/// A plant that speaks plain HTTP.
pub(crate) async fn plant() -> Backend {
    plant_with(Tls::Off).await
}

pub(crate) async fn plant_with(tls: Tls) -> Backend {
    let config = BackendConfig {
        listen: any_port(),
        clock: Clock::system(),
        tls,
    };
    Backend::start(config).await.unwrap()
}

pub(crate) fn config(plant: &Backend) -> Config {
    Config::new("cmms", plant.url().parse().unwrap())
}

pub(crate) async fn send(destination: &Destination) -> Sent {
    let request = Request::new(
        "key-1".into(),
        1,
        Clock::system().wall(),
        What::Event(b"{\"a\":1}".to_vec()),
    );
    destination.send(request).await
}

pub(crate) async fn send_with(config: Config) -> Sent {
    send(&Destination::build(config).unwrap()).await
}

/// The reason for which a try is to be made again.
pub(crate) fn postponed(sent: &Sent) -> &str {
    match &sent.outcome {
        Outcome::Postponed { reason, .. } => reason,
        other => panic!("not postponed: {other:?}"),
    }
}

/// The reason for which a person is needed.
fn refused(sent: &Sent) -> &str {
    match &sent.outcome {
        Outcome::Parked { reason, trouble } => {
            assert_eq!(*trouble, Trouble::Credentials);
            reason
        }
        other => panic!("not parked: {other:?}"),
    }
}

fn given(secret: &str) -> Source {
    Source::Given(Secret::new(secret.to_owned()))
}

fn success_rule(config: &mut Config, when: &str) {
    config.success.when = Some(Expression::parse(when).unwrap());
}

#[tokio::test]
async fn a_post_carries_the_headers_that_were_promised_and_those_that_are_configured() {
    let plant = plant().await;
    let mut config = config(&plant);
    config.headers = vec![
        Header::new("x-plant", "north").unwrap(),
        Header::new("content-type", "application/vnd.plant+json").unwrap(),
        Header::new("idempotency-key", "another").unwrap(),
    ];
    let sent = send_with(config).await;
    assert_eq!(sent.outcome, Outcome::Delivered);
    assert_eq!(sent.answer.unwrap(), "{\"accepted\":true}");
    let post = &plant.world().received()[0];
    assert_eq!(&*post.body, b"{\"a\":1}");
    for (name, value) in [
        ("idempotency-key", "key-1"),
        ("webhook-id", "key-1"),
        ("relay-attempt", "1"),
        ("x-plant", "north"),
        ("content-type", "application/vnd.plant+json"),
    ] {
        assert_eq!(post.headers[name], value);
    }
    assert!(post.headers["user-agent"].starts_with("orbit-relay/"));
    plant.stop().await;
}

#[tokio::test]
async fn a_status_that_decides_needs_no_body_and_one_that_drips_holds_up_for_5_s_at_most() {
    let plant = plant().await;
    let destination = Destination::build(config(&plant)).unwrap();
    for answer in [Answer::BreakOff, Answer::Large(1), Answer::Drip] {
        plant.world().set_answer(answer.clone());
        let sent = tokio::time::timeout(Duration::from_secs(10), send(&destination)).await;
        assert_eq!(sent.unwrap().outcome, Outcome::Delivered, "{answer:?}");
    }
    plant.stop().await;
}

#[tokio::test]
async fn a_rule_that_needs_the_body_postpones_when_it_does_not_come_whole() {
    let plant = plant().await;
    let mut config = config(&plant);
    config.timeout = Duration::from_millis(1_500);
    success_rule(&mut config, "response.status == 200");
    let destination = Destination::build(config).unwrap();
    for (answer, why) in [
        (Answer::BreakOff, "did not come whole (the exchange failed"),
        (
            Answer::Large(1),
            "did not come whole (it is larger than 64 KiB)",
        ),
        (Answer::Drip, "did not come whole (no answer within 1.5 s)"),
    ] {
        plant.world().set_answer(answer.clone());
        let sent = send(&destination).await;
        assert!(postponed(&sent).contains(why), "{answer:?}: {sent:?}");
    }
    plant.stop().await;
}

#[tokio::test]
async fn a_200_that_says_an_error_is_postponed_by_the_rule_and_its_answer_is_kept() {
    let plant = plant().await;
    let mut config = config(&plant);
    let rule = "response.json.error_code is not defined or response.json.error_code == 200";
    success_rule(&mut config, rule);
    let destination = Destination::build(config).unwrap();
    let body = json!({"error_code": 40301, "text": "quota"}).to_string();
    plant.world().set_answer(Answer::Body(200, body.clone()));
    let sent = send(&destination).await;
    let reason = "answered 200, but not as its success rule wants: {\"error_code\":40301";
    assert!(postponed(&sent).starts_with(reason), "{sent:?}");
    assert_eq!(sent.answer.unwrap(), body);
    plant.world().set_answer(Answer::Ok);
    assert_eq!(send(&destination).await.outcome, Outcome::Delivered);
    plant.stop().await;
}

#[tokio::test]
async fn retry_after_is_honoured_as_seconds_and_as_a_date() {
    let plant = plant().await;
    let destination = Destination::build(config(&plant)).unwrap();
    let asked = |sent: &Sent| match &sent.outcome {
        Outcome::Postponed { retry_after, .. } => *retry_after,
        other => panic!("not postponed: {other:?}"),
    };
    plant.world().set_answer(Answer::RetryAfter(429, 120));
    let sent = send(&destination).await;
    assert_eq!(asked(&sent), Some(Duration::from_mins(2)));

    let at: Timestamp = "2026-11-20T10:00:00.900Z".parse().unwrap();
    let due = "2026-11-20T10:02:00Z".parse().unwrap();
    plant.world().set_answer(Answer::RetryAfterDate(503, due));
    let request = Request::new("k".into(), 1, at, What::Event(Vec::new()));
    let wait = asked(&destination.send(request).await).unwrap();
    // Counted from when the answer came, and rounded up.
    assert!((Duration::from_secs(100)..=Duration::from_mins(2)).contains(&wait));
    plant.stop().await;
}

#[tokio::test]
async fn refused_credentials_are_sent_once_more_only_if_their_file_has_changed() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("token");
    std::fs::write(&file, "old").unwrap();
    let plant = plant().await;
    let world = plant.world();
    world.set_answer(Answer::RequireAuth("Bearer new".into()));
    let mut config = config(&plant);
    config.auth = Auth::Bearer(Source::File(file.clone()));
    let destination = Destination::build(config).unwrap();
    assert!(
        !destination.credentials_changed(),
        "nothing was refused yet"
    );

    let sent = send(&destination).await;
    let reason = "answered 401: the credentials of destination cmms are refused; see its `auth`";
    assert_eq!(refused(&sent), reason);
    assert_eq!(world.tally().attempts, 1);
    assert!(!destination.credentials_changed());
    std::fs::remove_file(&file).unwrap();
    assert!(
        !destination.credentials_changed(),
        "no file is no other secret"
    );
    let sent = send(&destination).await;
    assert!(
        postponed(&sent).contains(&file.display().to_string()),
        "{sent:?}"
    );
    std::fs::write(&file, "new\n").unwrap();
    assert!(destination.credentials_changed());

    assert_eq!(send(&destination).await.outcome, Outcome::Delivered);
    assert!(!destination.credentials_changed());
    plant.stop().await;
}

#[tokio::test]
async fn a_secret_that_changes_during_the_post_that_refuses_it_is_tried_in_the_same_try() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("token");
    std::fs::write(&file, "old").unwrap();
    let plant = plant().await;
    let world = plant.world();
    world.set_answer(Answer::Script(vec![Answer::Status(401), Answer::Ok]));
    let mut config = config(&plant);
    config.auth = Auth::Bearer(Source::File(file.clone()));
    let destination = Destination::build(config).unwrap();
    let mut posts = world.subscribe();
    let rotation = async {
        posts.recv().await.unwrap();
        std::fs::write(&file, "new").unwrap();
    };
    let (sent, ()) = tokio::join!(send(&destination), rotation);
    assert_eq!(sent.outcome, Outcome::Delivered);
    let posts = world.received();
    assert_eq!(posts.len(), 2);
    assert_eq!(posts[1].headers["authorization"], "Bearer new");
    assert_eq!(posts[0].body, posts[1].body);
    plant.stop().await;
}

async fn plant_with_tokens(life: Duration) -> (Backend, Config) {
    let plant = plant().await;
    plant.world().set_oauth(Some(OAuth {
        client_id: "re lay".into(),
        client_secret: Secret::new("s:e cret+/".into()),
        expires_in: life,
    }));
    plant.world().set_answer(Answer::RequireToken);
    let mut config = config(&plant);
    config.auth = oauth(&plant, given("s:e cret+/"));
    (plant, config)
}

fn oauth(plant: &Backend, client_secret: Source) -> Auth {
    Auth::OAuth2 {
        token_url: plant.token_url().parse().unwrap(),
        client_id: "re lay".into(),
        client_secret,
        scope: Some("post events".into()),
    }
}

const HOUR: Duration = Duration::from_hours(1);

#[tokio::test]
async fn a_token_is_fetched_once_for_all_and_again_when_it_is_refused() {
    let (plant, config) = plant_with_tokens(HOUR).await;
    let destination = Destination::build(config).unwrap();
    let all = tokio::join!(send(&destination), send(&destination), send(&destination));
    for sent in [all.0, all.1, all.2] {
        assert_eq!(sent.outcome, Outcome::Delivered);
    }
    let world = plant.world();
    assert_eq!(world.tokens_issued(), 1);
    let asked = String::from_utf8(world.token_requests()[0].body.to_vec()).unwrap();
    assert_eq!(asked, "grant_type=client_credentials&scope=post+events");

    world.revoke_tokens();
    let all = tokio::join!(send(&destination), send(&destination), send(&destination));
    for sent in [all.0, all.1, all.2] {
        assert_eq!(sent.outcome, Outcome::Delivered);
    }
    assert_eq!(world.tokens_issued(), 2);
    plant.stop().await;
}

#[tokio::test]
async fn a_new_token_that_is_refused_too_parks_after_two_posts() {
    let (plant, config) = plant_with_tokens(HOUR).await;
    plant.world().set_answer(Answer::Status(403));
    let destination = Destination::build(config).unwrap();
    let sent = send(&destination).await;
    assert!(refused(&sent).contains("the credentials of destination cmms are refused"));
    let world = plant.world();
    assert_eq!((world.tally().attempts, world.tokens_issued()), (2, 2));
    plant.stop().await;
}

#[tokio::test]
async fn a_token_that_has_ended_is_renewed_before_the_post() {
    let (plant, config) = plant_with_tokens(Duration::ZERO).await;
    plant.world().set_answer(Answer::Ok);
    let destination = Destination::build(config).unwrap();
    for tokens in 1..=3 {
        assert_eq!(send(&destination).await.outcome, Outcome::Delivered);
        assert_eq!(plant.world().tokens_issued(), tokens);
        assert_eq!(plant.world().tally().attempts, tokens);
    }
    plant.stop().await;
}

#[tokio::test]
async fn a_token_endpoint_in_trouble_postpones_and_one_that_refuses_us_parks() {
    let (plant, mut config) = plant_with_tokens(HOUR).await;
    config.timeout = Duration::from_millis(700);
    let destination = Destination::build(config.clone()).unwrap();
    let world = plant.world();
    for (answer, why) in [
        (Answer::Status(503), "the token endpoint answered 503"),
        (Answer::Reset, "the token endpoint: the exchange failed"),
        (Answer::Hang, "the token endpoint: no answer within 0.7 s"),
        (Answer::Drip, "the token endpoint: no answer within 0.7 s"),
        (
            Answer::Large(1),
            "the token endpoint answered with more than 64 KiB",
        ),
        (
            Answer::Redirect(302, "http://elsewhere.example/".into()),
            "the token endpoint answered 302, a redirect: it is not followed",
        ),
    ] {
        world.set_oauth_answer(answer);
        let sent = send(&destination).await;
        assert!(postponed(&sent).starts_with(why), "{sent:?}");
        assert_eq!(sent.answer, None);
    }
    assert_eq!(
        world.tally().attempts,
        0,
        "nothing is posted without a token"
    );

    world.set_oauth_answer(Answer::Ok);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("secret");
    std::fs::write(&file, "wrong").unwrap();
    config.auth = oauth(&plant, Source::File(file.clone()));
    let destination = Destination::build(config).unwrap();
    let sent = send(&destination).await;
    assert_eq!(
        refused(&sent),
        "the token endpoint answered 401 invalid_client: the credentials of destination cmms are \
         refused; see its `auth`"
    );
    std::fs::write(&file, "s:e cret+/").unwrap();
    assert!(destination.credentials_changed());
    assert_eq!(send(&destination).await.outcome, Outcome::Delivered);
    plant.stop().await;
}

#[tokio::test]
async fn token_and_post_share_one_deadline() {
    let (plant, mut config) = plant_with_tokens(HOUR).await;
    config.timeout = Duration::from_millis(1_500);
    let slow = Answer::Slow(Duration::from_secs(1));
    plant.world().set_oauth_answer(slow.clone());
    plant.world().set_answer(slow);
    let sent = send_with(config).await;
    assert_eq!(postponed(&sent), "no answer within 1.5 s");
    plant.stop().await;
}

#[tokio::test]
async fn a_post_is_signed_as_it_is_sent_and_a_missing_secret_postpones() {
    let plant = plant().await;
    let mut standard = config(&plant);
    let secret = given("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw");
    standard.sign = Some(Sign::StandardWebhooks(vec![secret.clone(), secret]));
    assert_eq!(
        send_with(standard.clone()).await.outcome,
        Outcome::Delivered
    );
    let post = Arc::clone(&plant.world().received()[0]);
    let at: i64 = post.headers["webhook-timestamp"].parse().unwrap();
    assert!((Clock::system().wall().as_second() - at).abs() < 60);
    let signatures: Vec<_> = post.headers["webhook-signature"].split(' ').collect();
    assert_eq!(signatures.len(), 2);
    assert!(signatures.iter().all(|one| one.starts_with("v1,")));

    let mut hmac = config(&plant);
    hmac.sign = Some(Sign::Hmac {
        header: "x-hub-signature-256".parse().unwrap(),
        algorithm: Algorithm::Sha256,
        encoding: Encoding::Hex,
        prefix: "sha256=".into(),
        secret: given("key"),
    });
    assert_eq!(send_with(hmac).await.outcome, Outcome::Delivered);
    let post: &Received = &plant.world().received()[1];
    assert_eq!(
        post.headers["x-hub-signature-256"],
        "sha256=88a67f24bbcdaed0e6c997404bb79a743baf44c6bab2f4c27328e3009d22e342"
    );

    let nowhere = Source::File("/nowhere/secret".into());
    standard.sign = Some(Sign::StandardWebhooks(vec![nowhere]));
    let sent = send_with(standard).await;
    assert!(postponed(&sent).contains("/nowhere/secret"), "{sent:?}");
    plant.stop().await;
}

#[tokio::test]
async fn no_secret_is_in_an_outcome_an_answer_or_a_debug_text() {
    let plant = plant().await;
    let canary = |n: u32| format!("canary{n}/{}", "x".repeat(4));
    let mut base = Config::new(
        "cmms",
        format!("{}?code={}", plant.url(), canary(1))
            .parse()
            .unwrap(),
    );
    base.headers = vec![Header::new("x-key", &canary(2)).unwrap()];
    let key = STANDARD.encode(canary(3).repeat(2));
    base.sign = Some(Sign::StandardWebhooks(vec![given(&format!("whsec_{key}"))]));
    let proxy = format!("http://me:{}@127.0.0.1:9/", canary(4).replace('/', "%2F"));
    success_rule(&mut base, "response.text + 1");
    let secret = canary(5);
    let forms = [
        Auth::basic("me", &secret),
        Auth::Bearer(given(&secret)),
        Auth::Header {
            name: "x-auth".parse().unwrap(),
            value: given(&secret),
        },
    ];
    let pair = STANDARD.encode(format!("me:{secret}"));
    let urls = format!("{} {}", canary(1), canary(4));
    let echo = format!(
        "{urls} {} {key} {secret} {}",
        canary(2),
        secret.replace('/', "%2f")
    );
    // The cut goes through a secret.
    let echoes = [echo.clone(), format!("{}{echo}", "y".repeat(2_030))];
    for auth in forms {
        for (status, echo) in [200, 301, 401, 422, 500]
            .into_iter()
            .flat_map(|status| echoes.iter().map(move |echo| (status, echo)))
        {
            let echo = match auth {
                // Which is encoded anew for HTTP Basic only.
                Auth::Basic { .. } => format!("{pair} {echo}"),
                _ => echo.clone(),
            };
            plant.world().set_answer(Answer::Body(status, echo));
            let mut config = base.clone();
            config.auth = auth.clone();
            let through = Proxy {
                url: proxy.parse().unwrap(),
                except: String::new(),
            };
            let mut unreachable = config.clone();
            unreachable.proxy = Some(through.clone());
            // Known, and not used.
            config.proxy = Some(Proxy {
                except: "127.0.0.1".into(),
                ..through
            });
            let shown = format!("{config:?}");
            let destination = Destination::build(config).unwrap();
            let sent = send(&destination).await;
            let failed = send_with(unreachable).await;
            let all = format!("{shown} {destination:?} {sent:?} {failed:?}");
            let kept = sent.answer.unwrap();
            assert!(kept.len() <= 2_048 && (kept.contains("***") || kept.starts_with('y')));
            for secret in ["canary", "code=", &pair, &key] {
                assert!(!all.contains(secret), "{secret} in {all}");
            }
        }
    }
    plant.stop().await;
}
