//! Whose events are taken: signatures of every kind, genuine and not.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use orbit_relay::relay::journal::State;
use orbit_relay::secret::WebhookSecret;
use orbit_relay::sim::javascript::sign;
use serde_json::Value;

use crate::wire::Answer;
use crate::world::{Relay, Site, accepted, fixture, inspection, secret};

const DAY_MS: i64 = 86_400_000;

/// What each is called, its signature headers, and the reason that it is refused for.
fn bad_signatures(relay: &Relay, body: &[u8]) -> Vec<(&'static str, Vec<String>, &'static str)> {
    let now = relay.clock.wall().as_millisecond();
    let right = relay.sign(body);
    let (_, mac) = right.split_once(",v1=").unwrap();
    let at = |t_ms| sign(&secret(), t_ms, body);
    let another = WebhookSecret::parse(&"0f".repeat(32)).unwrap();
    let mut flipped = body.to_vec();
    flipped[20] ^= 1;
    let bad = "00".repeat(32);
    let one = |header: String| vec![header];
    vec![
        ("no header", vec![], "no_signature"),
        ("empty", one(String::new()), "no_signature"),
        ("t alone", one("t=1".into()), "malformed_signature"),
        (
            "v1 with two equals signs",
            one("v1=a=b".into()),
            "malformed_signature",
        ),
        ("v1 alone", one(format!("v1={mac}")), "malformed_signature"),
        (
            "two wrong v1",
            one(format!("t={now},v1={bad},v1={bad}")),
            "wrong_signature",
        ),
        (
            "not hex",
            one(format!("t={now},v1={}", "zz".repeat(32))),
            "malformed_signature",
        ),
        (
            "100,000 characters",
            one(format!("t={now},v1={}", "a".repeat(100_000))),
            "malformed_signature",
        ),
        ("t is the least i64", one(at(i64::MIN)), "too_old"),
        (
            "t is the greatest i64",
            one(at(i64::MAX)),
            "from_the_future",
        ),
        (
            "t is beyond i64",
            one(format!("t=9223372036854775808,v1={mac}")),
            "malformed_signature",
        ),
        (
            "t is no number",
            one(format!("t=now,v1={mac}")),
            "malformed_signature",
        ),
        (
            "t twice",
            one(format!("t={now},{right}")),
            "malformed_signature",
        ),
        ("of tomorrow", one(at(now + DAY_MS)), "from_the_future"),
        ("of yesterday", one(at(now - DAY_MS)), "too_old"),
        (
            "another t than was signed",
            one(format!("t={},v1={mac}", now - 1_000)),
            "wrong_signature",
        ),
        (
            "another secret",
            one(sign(&another, now, body)),
            "wrong_signature",
        ),
        (
            "one flipped bit",
            one(sign(&secret(), now, &flipped)),
            "wrong_signature",
        ),
        (
            "two headers",
            vec![right.clone(), right.clone()],
            "several_signatures",
        ),
    ]
}

#[tokio::test]
async fn every_bad_signature_is_answered_alike_and_counted_by_reason() {
    let site = Site::new().await;
    let relay = site.start().await;
    let body = inspection(1).into_bytes();
    let rows = bad_signatures(&relay, &body);
    let mut answers: Vec<(&str, Answer)> = Vec::new();
    let mut expected = BTreeMap::<String, u64>::new();
    for (name, headers, reason) in &rows {
        let headers = headers.iter().map(|h| ("Orbit-Signature", h.as_str()));
        let headers: Vec<_> = headers.collect();
        let mut answer = relay.post_with(&headers, &body).await;
        answer.head = answer
            .head
            .lines()
            .filter(|l| !l.starts_with("date:"))
            .collect();
        let counted =
            format!(r#"orbit_relay_requests_total{{outcome="rejected",reason="{reason}"}}"#);
        let n = expected.entry((*reason).to_owned()).or_default();
        *n += 1;
        let n = f64::from(u32::try_from(*n).unwrap());
        assert!(
            (relay.metric(&counted).await - n).abs() < 0.5,
            "{name} counts as {reason}"
        );
        answers.push((name, answer));
    }
    let (_, first) = &answers[0];
    assert_eq!(first.status, 401);
    assert!(first.json().is_object());
    for (name, answer) in &answers {
        assert_eq!(answer, first, "{name}");
    }
    let sums = relay.finish().await;
    assert_eq!(sums.rejected, expected);
    assert_eq!(sums.accepted, 0);
}

/// A header made of `t` and the MAC.
type Form = fn(&str, &str) -> String;

#[tokio::test]
async fn a_genuine_signature_is_taken_in_every_form_that_it_may_have() {
    let site = Site::new().await;
    let relay = site.start().await;
    let now = relay.clock.wall().as_millisecond();
    let minute = 60_000;
    let rows: [(&str, i64, Form); 7] = [
        ("as Orbit sends it", now, |t, mac| format!("t={t},v1={mac}")),
        ("upper case", now, |t, mac| {
            format!("t={t},v1={}", mac.to_uppercase())
        }),
        ("the second of two v1", now, |t, mac| {
            format!("t={t},v1={},v1={mac}", "00".repeat(32))
        }),
        ("an unknown element", now, |t, mac| {
            format!("t={t},v0=x,v1={mac},later=1")
        }),
        ("v1 first", now, |t, mac| format!("v1={mac},t={t}")),
        ("four minutes old", now - 4 * minute, |t, mac| {
            format!("t={t},v1={mac}")
        }),
        ("four minutes early", now + 4 * minute, |t, mac| {
            format!("t={t},v1={mac}")
        }),
    ];
    for (n, (name, t, form)) in rows.into_iter().enumerate() {
        let body = inspection(n);
        let signed = sign(&secret(), t, body.as_bytes());
        let (_, mac) = signed.split_once(",v1=").unwrap();
        let header = form(&t.to_string(), mac);
        let answer = relay
            .post_with(&[("Orbit-Signature", &header)], body.as_bytes())
            .await;
        assert_eq!(answer.status, 200, "{name}: {answer:?}");
    }
    relay.until_there_are(7, State::Delivered).await;
    relay.finish().await;
}

#[tokio::test]
async fn a_body_that_a_proxy_has_reformatted_is_verified_and_kept_as_it_came() {
    let site = Site::new().await;
    let relay = site.start().await;
    let compact = String::from_utf8(fixture("acoustic-leak-alert.json")).unwrap();
    let signature = relay.sign(compact.trim_end().as_bytes());
    let mut spaced = String::new();
    let mut in_text = false;
    let mut before = ' ';
    for c in compact.trim_end().chars() {
        if c == '"' && before != '\\' {
            in_text = !in_text;
        }
        before = c;
        if in_text || !",:{[".contains(c) {
            spaced.push(c);
        } else {
            write!(spaced, " {c}\r\n\t").unwrap();
        }
    }
    let headers = [("Orbit-Signature", signature.as_str())];
    let answer = relay.post_with(&headers, spaced.as_bytes()).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    accepted(&site.plant(), 1).await;
    assert_eq!(relay.journal()[0].body, spaced.as_bytes());
    let posts = site.plant().received();
    let got: Value = serde_json::from_slice(&posts[0].body).unwrap();
    let sent: Value = serde_json::from_str(&compact).unwrap();
    assert_eq!(got["data"], sent["data"]);

    let altered = spaced.replace("Leak detected", "Leak  detected");
    assert_ne!(altered, spaced);
    let answer = relay.post_with(&headers, altered.as_bytes()).await;
    assert_eq!(answer.status, 401, "white space inside of text is content");
    relay.finish().await;
}
