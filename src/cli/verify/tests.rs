//! What is said of captured requests, scheme by scheme and mistake by mistake.

use std::time::Duration;

use jiff::Timestamp;

use super::judge::{Judged, judge};
use crate::cli::sender::Sender;
use crate::event::Glob;
use crate::relay::receive::{Source, not_an_object};
use crate::relay::transform::expression::Expression;
use crate::relay::verify::Headers;
use crate::relay::verify::scheme::{
    Credential, Draft, Encoding, Hash, HmacForm, KeyForm, Names, Piece, Place, Scheme, TokenForm,
    Unit,
};
use crate::secret::{self, Secret};

const SECRET: &str = "canary-secret-1";
const SENT: i64 = 1_770_000_000;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

fn source(name: &str, scheme: Scheme, secrets: &[&str]) -> Source {
    let secrets = secrets.iter().map(|text| Secret::new((*text).to_owned()));
    Source {
        name: name.to_owned(),
        path: format!("/hooks/{name}"),
        scheme,
        secrets: secrets.map(secret::Source::Given).collect(),
        events: vec![Glob::new("*")],
        when: None,
        allow: Vec::new(),
        rate_limit: None,
        max_age: Duration::from_mins(5),
    }
}

fn timed_hmac() -> Scheme {
    Scheme::Hmac(Box::new(HmacForm {
        header: "X-Sig".into(),
        prefix: "v1=".into(),
        hash: Hash::Sha256,
        code: Encoding::Hex,
        key: KeyForm::Text,
        timestamp: Some(("X-Time".into(), Unit::Milliseconds)),
        signed: vec![Piece::Timestamp, Piece::Text(".".into()), Piece::Body],
        names: Names {
            id: Some(Place::Pointer("/id".into())),
            event_type: Some(Place::Pointer("/type".into())),
        },
    }))
}

fn token() -> Scheme {
    Scheme::Token(TokenForm {
        shown: Credential::Bearer,
        names: Names::default(),
    })
}

type Lines = Vec<(String, String)>;

/// A request: its headers, and its body.
type Request = (Lines, Vec<u8>);

fn signed(scheme: &Scheme, secret: &str, body: Option<&str>) -> Request {
    let body = body.map_or_else(
        || scheme.sample("evt_1", "order.status", at(SENT)),
        str::to_owned,
    );
    let draft = Draft {
        id: "evt_1",
        event_type: "order.status",
        at: at(SENT),
        body: body.as_bytes(),
    };
    let headers = scheme
        .sign(&Secret::new(secret.to_owned()), &draft)
        .unwrap();
    (headers, body.into_bytes())
}

fn judged(of: &Source, others: &[&Source], request: &Request, at: Timestamp) -> Judged {
    let sender = Sender::source(of).unwrap();
    let others: Vec<_> = others
        .iter()
        .map(|of| Sender::source(of).unwrap())
        .collect();
    let headers = request.0.iter();
    let headers = headers.map(|(name, value)| (&**name, value.as_bytes()));
    let judged = judge(
        &sender,
        &others,
        &Headers(headers.collect()),
        &request.1,
        at,
    );
    let text = judged.lines.join("\n");
    assert!(!text.contains("canary"), "{text}");
    judged
}

#[track_caller]
fn says(judged: &Judged, part: &str) {
    let text = judged.lines.join("\n");
    assert!(text.contains(part), "{part:?} is not in\n{text}");
}

#[test]
fn a_genuine_request_of_each_scheme_verifies_and_is_told_with_its_type() {
    for scheme in [
        Scheme::Stripe,
        Scheme::Github,
        Scheme::Slack,
        Scheme::Servo,
        timed_hmac(),
        token(),
        Scheme::None {
            names: Names::default(),
        },
    ] {
        let secrets = if scheme.wants_secret() {
            &[SECRET][..]
        } else {
            &[]
        };
        let of = source("a", scheme.clone(), secrets);
        let judged = judged(&of, &[], &signed(&scheme, SECRET, None), at(SENT + 1));
        assert!(judged.would_do, "{scheme:?}: {judged:?}");
        says(&judged, "type: ");
        says(&judged, "events: it is taken");
        assert_eq!(judged.lines.last().map(String::as_str), Some("it verifies"));
    }
}

#[test]
fn what_is_said_of_a_request_that_verifies() {
    let mut of = source("pay", Scheme::Stripe, &["canary-new", SECRET]);
    of.when = Some(Expression::parse("event.type == 'order.status'").unwrap());
    let judged = judged(
        &of,
        &[],
        &signed(&Scheme::Stripe, SECRET, None),
        at(SENT + 30),
    );
    assert!(judged.would_do);
    insta::assert_snapshot!(judged.lines.join("\n"), @r#"
    Stripe-Signature: there
    code: it matches, with secret 2 of 2
    time: it was signed 30 s before, at 2026-02-02T02:40:00Z: within 5 min
    type: "order.status"
    known by: "id:evt_1"
    events: it is taken; `when` holds: event.type == 'order.status'
    it verifies
    "#);
}

#[test]
fn an_old_request_is_told_until_when_it_would_have_been_taken() {
    let of = source("pay", Scheme::Stripe, &[SECRET]);
    let request = signed(&Scheme::Stripe, SECRET, None);
    let old = judged(&of, &[], &request, at(SENT + 3 * 3_600));
    assert!(!old.would_do);
    says(&old, "it was signed 3 h before, at 2026-02-02T02:40:00Z");
    says(&old, "would have taken it until 2026-02-02T02:45:00Z");
    says(&old, "--at 2026-02-02T02:40:00Z");
    says(&old, "type: \"order.status\"");
    let early = judged(&of, &[], &request, at(SENT - 3_600));
    assert!(!early.would_do);
    says(&early, "from 2026-02-02T02:35:00Z on");
    assert!(judged(&of, &[], &request, at(SENT)).would_do);
    let timed = source("hmac", timed_hmac(), &[SECRET]);
    let old = judged(
        &timed,
        &[],
        &signed(&timed_hmac(), SECRET, None),
        at(SENT + 301),
    );
    says(&old, "it was signed 5 min before");
    let github = source("git", Scheme::Github, &[SECRET]);
    let years = judged(
        &github,
        &[],
        &signed(&Scheme::Github, SECRET, None),
        at(2 * SENT),
    );
    assert!(years.would_do);
    says(&years, "time: none is signed");
}

#[test]
fn headers_are_told_that_are_missing_doubled_or_malformed() {
    let of = source("chat", Scheme::Slack, &[SECRET]);
    let (headers, body) = signed(&Scheme::Slack, SECRET, None);
    let with = |change: &dyn Fn(&mut Lines)| {
        let mut headers = headers.clone();
        change(&mut headers);
        let judged = judged(&of, &[], &(headers, body.clone()), at(SENT));
        assert!(!judged.would_do, "{judged:?}");
        judged
    };
    let is = |name: &str, of: &str| name.eq_ignore_ascii_case(of);
    let none = with(&|all| all.clear());
    says(
        &none,
        "X-Slack-Signature: missing; wanted: v0=<64 hex digits>",
    );
    says(&none, "X-Slack-Request-Timestamp: missing");
    let doubled = with(&|all| all.extend(all.clone()));
    says(&doubled, "X-Slack-Signature: there 2 times");
    let soon = with(&|all| {
        for (name, value) in all {
            if is(name, "x-slack-request-timestamp") {
                *value = "soon".into();
            }
        }
    });
    says(
        &soon,
        "X-Slack-Request-Timestamp: malformed; wanted: seconds since 1970",
    );
    let cut = with(&|all| {
        for (name, value) in all {
            if is(name, "x-slack-signature") {
                value.truncate(20);
            }
        }
    });
    says(&cut, "does not have the form");
}

#[test]
fn the_usual_mistake_is_named_that_explains_a_wrong_code() {
    let body = r#"{"id":"1","type":"order.status","n":[1,2]}"#;
    let spaced = r#"{"id": "1", "type": "order.status", "n": [1, 2]}"#;
    for scheme in [Scheme::Stripe, Scheme::Github, Scheme::Servo, timed_hmac()] {
        let of = source("a", scheme.clone(), &[SECRET]);
        let newline = format!("{body}\n");
        for (secret, sent, received, part) in [
            (
                SECRET,
                body,
                newline.as_str(),
                "newline at its end that was not signed",
            ),
            (SECRET, &newline, body, "lacks the newline"),
            (SECRET, body, spaced, "signed without white space"),
            (SECRET, spaced, body, "with a space behind each comma"),
            ("canary-secret-1\n", body, body, "a line end behind it"),
            ("\"canary-secret-1\"", body, body, "in quotes"),
            ("canary-other", body, body, "a secret of the source `b`"),
            ("canary-unknown", body, body, "none of the usual mistakes"),
            (SECRET, body, "{}", "none of the usual mistakes"),
        ] {
            let (headers, _) = signed(&scheme, secret, Some(sent));
            let other = source("b", token(), &["canary-other"]);
            let request = (headers, received.as_bytes().to_vec());
            let judged = judged(&of, &[&other], &request, at(SENT));
            assert!(!judged.would_do, "{scheme:?}");
            says(&judged, "code: the code does not match");
            says(&judged, part);
        }
    }
    let of = source("a", token(), &[SECRET]);
    let wrong = judged(
        &of,
        &[],
        &signed(&token(), "canary-secret-1 x", None),
        at(SENT),
    );
    says(&wrong, "the credential is another one");
}

#[test]
fn a_request_of_another_source_is_told() {
    let (ours, other) = (
        source("git", Scheme::Github, &[SECRET]),
        source("pay", Scheme::Stripe, &["canary-other"]),
    );
    let request = signed(&Scheme::Stripe, "canary-other", None);
    let judged = judged(&ours, &[&other], &request, at(SENT));
    says(&judged, "X-Hub-Signature-256: missing");
    says(&judged, "it verifies as the source `pay`");
}

#[test]
fn keys_of_an_hmac_are_told_that_would_make_it_match() {
    let form = |key, signed: Vec<Piece>| {
        let Scheme::Hmac(mut form) = timed_hmac() else {
            unreachable!()
        };
        (form.key, form.signed) = (key, signed);
        Scheme::Hmac(form)
    };
    let timed = || vec![Piece::Timestamp, Piece::Text(".".into()), Piece::Body];
    let hex = "cafe0123cafe0123";
    for (senders, part) in [
        (form(KeyForm::Hex, timed()), "key = \"hex\""),
        (
            form(KeyForm::Text, vec![Piece::Body]),
            "signed = \"{body}\"",
        ),
    ] {
        let of = source("a", timed_hmac(), &[hex]);
        says(
            &judged(&of, &[], &signed(&senders, hex, None), at(SENT)),
            part,
        );
    }
}

#[test]
fn what_the_source_does_not_want_verifies_and_is_told() {
    let mut of = source("pay", Scheme::Stripe, &[SECRET]);
    let request = signed(&Scheme::Stripe, SECRET, None);
    of.events = vec![Glob::new("charge.*")];
    let other = judged(&of, &[], &request, at(SENT));
    assert!(other.would_do);
    says(&other, "\"order.status\" is not among [\"charge.*\"]");
    of.events = vec![Glob::new("order.*")];
    of.when = Some(Expression::parse("event.type == 'x'").unwrap());
    says(
        &judged(&of, &[], &request, at(SENT)),
        "when: does not hold: event.type == 'x'",
    );
    let text = signed(&Scheme::Stripe, SECRET, Some("[]"));
    let none = judged(&of, &[], &text, at(SENT));
    says(&none, "event: none; ");
    says(&none, "it verifies, and is refused all the same");
    assert!(!none.would_do);
}

#[test]
fn what_is_an_event_is_judged_as_receive_does() {
    let of = source("pay", Scheme::Stripe, &[SECRET]);
    for (body, taken) in [
        (r#"{"a":1,"a":2}"#.to_owned(), true),
        (
            format!(r#"{{"a":{}{}}}"#, "[".repeat(200), "]".repeat(200)),
            true,
        ),
        ("{\"a\":1".to_owned(), false),
        ("\"text\"".to_owned(), false),
    ] {
        let request = signed(&Scheme::Stripe, SECRET, Some(&body));
        let judged = judged(&of, &[], &request, at(SENT));
        assert_eq!(judged.would_do, taken, "{body}: {judged:?}");
        assert_eq!(not_an_object(body.as_bytes()).is_none(), taken, "{body}");
    }
}
