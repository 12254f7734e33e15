//! One exchange of a step, over a real connection.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::outcome::Outcome;
use super::*;
use crate::secret::{Secret, Source};

/// Answers each connection in turn, and tells what it was sent.
struct Plant {
    listener: TcpListener,
    url: Url,
}

impl Plant {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let at = listener.local_addr().unwrap();
        let url = format!("http://{at}/base").parse().unwrap();
        Self { listener, url }
    }

    fn config(&self) -> Config {
        Config::new("cmms", self.url.clone())
    }

    fn step(&self, method: Method, path: &str) -> StepRequest {
        StepRequest {
            method,
            url: self.url.join(path).unwrap(),
            headers: Vec::new(),
            content_type: None,
            body: None,
            success: None,
            keeps: false,
            secrets: Vec::new(),
        }
    }

    async fn answer(&self, answer: &str) -> String {
        let (mut stream, _) = self.listener.accept().await.unwrap();
        let mut request = Vec::new();
        let length = loop {
            assert!(stream.read_buf(&mut request).await.unwrap() > 0);
            let text = String::from_utf8_lossy(&request);
            if let Some((head, body)) = text.split_once("\r\n\r\n") {
                let length = head.lines().find_map(|line| {
                    line.strip_prefix("content-length: ")
                        .map(|length| length.parse::<usize>().unwrap())
                });
                if body.len() >= length.unwrap_or_default() {
                    break head.len();
                }
            }
        };
        assert!(length > 0);
        stream.write_all(answer.as_bytes()).await.unwrap();
        String::from_utf8(request).unwrap()
    }

    /// Sends, and gives what came of it and what was sent.
    async fn exchange(&self, config: Config, what: What, answer: &str) -> (Sent, String) {
        self.exchange_with(config, what, Cookies::default(), answer)
            .await
    }

    async fn exchange_with(
        &self,
        config: Config,
        what: What,
        cookies: Cookies,
        answer: &str,
    ) -> (Sent, String) {
        let destination = Destination::build(config).unwrap();
        let mut request = Request::new("key-1".into(), 3, Timestamp::UNIX_EPOCH, what);
        request.cookies = cookies;
        tokio::join!(destination.send(request), self.answer(answer))
    }
}

const CREATED: &str = "HTTP/1.1 201 Created\r\nlocation: /sr/7\r\ncontent-length: 10\r\n\
    connection: close\r\n\r\n{\"id\":\"7\"}";

fn header(name: &str, value: &str, is_secret: bool) -> Header {
    Header::of_step(header_name(name).unwrap(), value, is_secret).unwrap()
}

#[tokio::test]
async fn a_step_goes_with_its_method_and_body_and_what_every_post_carries() {
    let plant = Plant::start().await;
    let mut config = plant.config();
    config.auth = Auth::basic("me", "password");
    config.headers = vec![Header::new("x-plant", "north").unwrap()];
    let mut step = plant.step(Method::Patch, "/sr/7?x=a%2Fb");
    step.body = Some(b"{}".to_vec());
    step.content_type = Some("application/merge-patch+json".into());
    let (sent, request) = plant.exchange(config, What::Step(step), CREATED).await;
    assert_eq!(sent.outcome, Outcome::Delivered);
    assert_eq!(sent.answered, None, "nobody wants it");
    assert!(
        request.starts_with("PATCH /sr/7?x=a%2Fb HTTP/1.1\r\n"),
        "{request}"
    );
    for line in [
        "content-type: application/merge-patch+json",
        "accept: application/json",
        "authorization: Basic bWU6cGFzc3dvcmQ=",
        "x-plant: north",
        "idempotency-key: key-1",
        "webhook-id: key-1",
        "relay-attempt: 3",
    ] {
        assert!(
            request.contains(&format!("\r\n{line}\r\n")),
            "{line}: {request}"
        );
    }
    assert!(request.ends_with("\r\n\r\n{}"), "{request}");
}

#[tokio::test]
async fn get_carries_credentials_but_no_idempotency_key_and_no_signature() {
    let plant = Plant::start().await;
    let mut config = plant.config();
    config.auth = Auth::parse("Bearer token").unwrap();
    let secret = Secret::new("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw".into());
    config.sign = Some(Sign::StandardWebhooks(vec![Source::Given(secret)]));
    let step = plant.step(Method::Get, "/sr");
    let (sent, request) = plant.exchange(config, What::Step(step), CREATED).await;
    assert_eq!(sent.outcome, Outcome::Delivered);
    assert!(request.contains("authorization: Bearer token"), "{request}");
    for name in [
        "idempotency-key",
        "webhook-",
        "relay-attempt",
        "content-type",
    ] {
        assert!(!request.contains(name), "{name}: {request}");
    }
}

#[tokio::test]
async fn a_header_of_a_step_wins_over_those_of_the_destination_and_of_auth() {
    let plant = Plant::start().await;
    let mut config = plant.config();
    config.auth = Auth::parse("Bearer of-destination").unwrap();
    config.headers = vec![Header::new("x-csrf-token", "of-destination").unwrap()];
    let mut step = plant.step(Method::Post, "/sr");
    step.headers = vec![
        header("X-CSRF-Token", "of-step", false),
        header("authorization", "of-step", true),
        header("accept", "application/xml", false),
    ];
    let (_, request) = plant.exchange(config, What::Step(step), CREATED).await;
    assert!(!request.contains("of-destination"), "{request}");
    assert_eq!(request.matches("of-step").count(), 2, "{request}");
    assert!(!request.contains("application/json"), "{request}");
}

#[tokio::test]
async fn a_step_to_another_origin_is_never_sent() {
    let plant = Plant::start().await;
    let port = plant.url.port().unwrap();
    for url in [
        "http://elsewhere.example/sr?token=canary".to_owned(),
        format!("https://127.0.0.1:{port}/"),
        format!("http://127.0.0.2:{port}/"),
        "http://127.0.0.1/".to_owned(),
        format!("http://me:canary@127.0.0.1:{port}/"),
        format!("http://127.0.0.1:{port}@elsewhere.example/"),
        "data:text/plain,x".to_owned(),
    ] {
        let mut step = plant.step(Method::Post, "/");
        step.url = url.parse().unwrap();
        let destination = Destination::build(plant.config()).unwrap();
        let at = Timestamp::UNIX_EPOCH;
        let request = Request::new("key-1".into(), 1, at, What::Step(step));
        let sent = destination.send(request).await;
        let Outcome::Dead { reason } = sent.outcome else {
            panic!("{url}: {sent:?}");
        };
        assert!(!reason.contains("canary"), "{reason}");
        assert!(
            reason.contains("`url`") || reason.contains("`auth`"),
            "{reason}"
        );
    }
}

#[tokio::test]
async fn an_answer_that_is_wanted_comes_as_it_is_and_what_is_shown_of_it_has_no_secret() {
    let plant = Plant::start().await;
    let mut step = plant.step(Method::Post, "/login");
    step.keeps = true;
    step.secrets = vec![Secret::new("token-canary".into())];
    step.headers = vec![header("x-login", "login-canary", true)];
    let body = "token-canary login-canary session-canary";
    let answer = format!(
        "HTTP/1.1 200 OK\r\nset-cookie: SID=session-canary; path=/\r\ncontent-length: {}\r\n\
         connection: close\r\n\r\n{body}",
        body.len()
    );
    let (sent, _) = plant
        .exchange(plant.config(), What::Step(step), &answer)
        .await;
    assert_eq!(sent.answer.as_deref(), Some("*** *** ***"));
    assert!(!format!("{sent:?}").contains("canary"), "{sent:?}");
    let answered = sent.answered.unwrap();
    assert_eq!((answered.status, answered.missing.as_deref()), (200, None));
    assert_eq!(answered.body, body.as_bytes());
    assert_eq!(answered.cookie("SID"), Some("session-canary"));
    let step = plant.step(Method::Post, "/sr");
    let (_, request) = plant
        .exchange_with(plant.config(), What::Step(step), sent.cookies, CREATED)
        .await;
    assert!(
        request.contains("\r\ncookie: SID=session-canary\r\n"),
        "{request}"
    );
}

#[tokio::test]
async fn the_success_rule_of_a_step_takes_the_place_of_the_destinations() {
    let plant = Plant::start().await;
    let rule = |when: &str| Success {
        status: Some(vec![201]),
        when: Some(Expression::parse(when).unwrap()),
    };
    let mut config = plant.config();
    config.success = rule("false");
    let mut step = plant.step(Method::Post, "/sr");
    step.success = Some(rule("response.json.id == '7'"));
    let (sent, _) = plant.exchange(config, What::Step(step), CREATED).await;
    assert_eq!(sent.outcome, Outcome::Delivered);
    let mut step = plant.step(Method::Post, "/sr");
    step.success = Some(rule("response.json.id == '8'"));
    let (sent, _) = plant
        .exchange(plant.config(), What::Step(step), CREATED)
        .await;
    assert!(
        matches!(sent.outcome, Outcome::Postponed { .. }),
        "{sent:?}"
    );
}

#[tokio::test]
async fn a_refusal_of_credentials_is_told_so_that_the_steps_are_done_with_fresh_ones() {
    let plant = Plant::start().await;
    for (status, head, refused) in [
        (401, "", true),
        (403, "x-csrf-token: Required\r\n", true),
        (400, "", false),
        (500, "", false),
    ] {
        let step = plant.step(Method::Post, "/sr");
        let answer =
            format!("HTTP/1.1 {status} X\r\n{head}content-length: 0\r\nconnection: close\r\n\r\n");
        let (sent, _) = plant
            .exchange(plant.config(), What::Step(step), &answer)
            .await;
        assert_eq!(sent.refused_credentials(), refused, "{status}");
    }
}

#[tokio::test]
async fn the_event_with_pictures_is_posted_as_a_form_and_signed_as_it_is_sent() {
    let plant = Plant::start().await;
    let mut config = plant.config();
    config.sign = Some(Sign::Fiix {
        app_key: "app".into(),
        access_key: "access-canary".into(),
        secret: Source::Given(Secret::new("s".into())),
    });
    let picture = Picture {
        name: "a.png",
        media_type: "image/png",
        bytes: b"png",
    };
    let parts = Multipart::new("key-1", b"{}", &[picture]);
    let bytes = String::from_utf8(parts.bytes.clone()).unwrap();
    let content_type = parts.content_type.clone();
    let (sent, request) = plant.exchange(config, What::Attached(parts), CREATED).await;
    assert_eq!(sent.outcome, Outcome::Delivered);
    assert!(request.contains(&format!("\r\ncontent-type: {content_type}\r\n")));
    assert!(request.ends_with(&bytes));
    let line = "POST /base?service=cmms&timestamp=0&appKey=app&accessKey=access-canary\
                &signatureMethod=HmacSHA256&signatureVersion=1 HTTP/1.1\r\n";
    // Some milliseconds may have passed since the try began.
    let timestamp = |line: &str| line.replace(|c: char| c.is_ascii_digit(), "");
    let first = request.split_inclusive("\r\n").next().unwrap();
    assert_eq!(timestamp(first), timestamp(line));
    assert!(request.contains("\r\nauthorization: "), "{request}");
}

#[tokio::test]
async fn a_gate_that_cancels_without_saying_all_of_why_is_asked_again() {
    let plant = Plant::start().await;
    let cancel = "application/vnd.orbit-relay.cancel+json";
    let large = format!(r#"{{"reason":"{}"}}"#, "x".repeat(ANSWER_LIMIT));
    let cut = r#"{"reason":"n"#;
    for (is_gate, media_type, body, missing, asked_again) in [
        (true, cancel, r#"{"reason":"no"}"#, 0, false),
        (true, cancel, cut, 3, true),
        (true, cancel, &large, 0, true),
        // It is no cancel, whatever comes of it; and nobody is asked.
        (true, "application/json", cut, 3, false),
        (false, cancel, cut, 3, false),
    ] {
        let mut config = plant.config();
        config.is_gate = is_gate;
        let length = body.len() + missing;
        let answer = format!(
            "HTTP/1.1 200 OK\r\ncontent-type: {media_type}\r\ncontent-length: {length}\r\n\
             connection: close\r\n\r\n{body}"
        );
        let (sent, _) = plant
            .exchange(config, What::Event(b"{}".to_vec()), &answer)
            .await;
        let expected = if asked_again {
            assert_eq!(sent.cancels, None);
            matches!(&sent.outcome, Outcome::Postponed { reason, .. }
                if reason.starts_with("answered 200, but why it cancels did not come whole ("))
        } else {
            sent.outcome == Outcome::Delivered
        };
        assert!(expected, "{media_type} {length}: {:?}", sent.outcome);
    }
}
