//! Slack's scheme: `X-Slack-Signature: v0=<hex>`, HMAC-SHA256 over `v0:<timestamp>:<body>`, with
//! the Unix seconds of `X-Slack-Request-Timestamp`, under the text of the app's signing secret.
//!
//! # Invariants
//! - Pure; the comparison takes the same time whatever differs.
//! - The time is signed as it was received, and judged only after the code matched.
//! - Id and type stand in the body, so they are signed.

use std::time::Duration;

use hmac::Hmac;
use jiff::Timestamp;
use sha2::Sha256;

use super::parts::{self, Id};
use super::refusal::Refusal;
use super::scheme::{Draft, Headers, Reply, SignError, Verified};
use crate::secret::Secret;

const HEADER: &str = "X-Slack-Signature";
const TIMESTAMP: &str = "X-Slack-Request-Timestamp";
const PREFIX: &str = "v0=";
/// What Slack sends when a URL is given: it wants to read its challenge.
const VERIFICATION: &str = "url_verification";

/// Headers that have the right form.
#[derive(Debug)]
pub(super) struct Signature<'a> {
    /// As received: this text is what is signed.
    sent_at: &'a str,
    sent_at_s: i64,
    code: [u8; 32],
}

pub(super) fn read<'a>(headers: &Headers<'a>) -> Result<Signature<'a>, Refusal> {
    let code = parts::one(headers, HEADER, Refusal::NoSignature)?;
    let sent_at = parts::one(headers, TIMESTAMP, Refusal::NoTimestamp)?;
    let code = code.strip_prefix(PREFIX).and_then(parts::hex_code);
    Ok(Signature {
        sent_at,
        sent_at_s: parts::digits(sent_at).ok_or(Refusal::Malformed)?,
        code: code.ok_or(Refusal::Malformed)?,
    })
}

pub(super) fn verify(
    headers: &Headers<'_>,
    body: &[u8],
    secrets: &[Secret],
    now: Timestamp,
    max_age: Duration,
) -> Result<Verified, Refusal> {
    let signature = read(headers)?;
    let keys = secrets.iter().map(Secret::expose);
    let codes = [signature.code];
    let pieces = pieces(signature.sent_at, body);
    let code = parts::matching::<Hmac<Sha256>>(keys, &codes, &pieces)?;
    parts::check_age(parts::seconds(signature.sent_at_s), now, max_age)?;
    let outer = parts::in_body(body, "/type");
    let challenge = match outer.as_deref() {
        Some(VERIFICATION) => parts::in_body(body, "/challenge"),
        _ => None,
    };
    let event_type = parts::in_body(body, "/event/type").or(outer);
    let id = Id::Signed(parts::in_body(body, "/event_id"));
    let proof = parts::proof("slack", code);
    Ok(Verified {
        reply: challenge.map(Reply::Challenge),
        ..parts::verified(event_type, id, body, Some(proof))
    })
}

pub(super) fn sign(secret: &Secret, draft: &Draft<'_>) -> Result<Vec<(String, String)>, SignError> {
    let sent_at = draft.at.as_second().to_string();
    let pieces = pieces(&sent_at, draft.body);
    let code = parts::code::<Hmac<Sha256>>(secret.expose().as_bytes(), &pieces)?;
    let code = format!("{PREFIX}{}", hex::encode(code));
    Ok(vec![
        (TIMESTAMP.to_owned(), sent_at),
        (HEADER.to_owned(), code),
    ])
}

fn pieces<'a>(sent_at: &'a str, body: &'a [u8]) -> [&'a [u8]; 4] {
    [b"v0:", sent_at.as_bytes(), b":", body]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Identity;
    use crate::relay::verify::scheme::Scheme;
    use crate::relay::verify::trials::{Trial, ok, word};

    /// Slack's own example ("Verifying requests from Slack"), a slash command.
    const SECRET: &str = "8f742231b10e8888abcd99yyyzzz85a5";
    const AT: &str = "1531420618";
    const AT_S: i64 = 1_531_420_618;
    const CODE: &str = "v0=a2114d57b48eac39b9ad189dd8316235a7b4a8d21a10bd27519666489c69b503";
    const BODY: &str = "token=xyzz0WbapA4vBCDEFasx0q6G&team_id=T1DC2JH3J&\
        team_domain=testteamnow&channel_id=G8PSS9T3V&channel_name=foobar&user_id=U2CERLKJA&\
        user_name=roadrunner&command=%2Fwebhook-collect&text=&\
        response_url=https%3A%2F%2Fhooks.slack.com%2Fcommands%2FT1DC2JH3J%2F397700885554%2F\
        96rGlfmibIGlgcZRskXaIFfN&\
        trigger_id=398738663015.47445629121.803a0bc887a14d10d2c447fce8b6703c";

    fn trial() -> Trial {
        Trial::new(Scheme::Slack, SECRET, AT_S)
    }

    fn check(at: &str, code: &str) -> Result<Verified, Refusal> {
        trial().check(&[(TIMESTAMP, at), (HEADER, code)], BODY.as_bytes())
    }

    #[test]
    fn the_vendors_own_example_is_accepted() {
        let verified = check(AT, CODE).unwrap();
        assert_eq!(verified.event_type, "event");
        assert!(matches!(verified.identity, Identity::Body(_)));
        let code = parts::hex_code(CODE.strip_prefix(PREFIX).unwrap()).unwrap();
        assert_eq!(verified.proof.map(|proof| proof.0), Some(code));
    }

    #[test]
    fn the_type_is_the_inner_events_else_the_outer_one() {
        let callback = r#"{"type":"event_callback","event_id":"Ev1","event":{"type":"message"}}"#;
        let verified = ok(trial().signed("", "", callback.as_bytes()));
        assert_eq!(verified.event_type, "message");
        assert_eq!(verified.identity, Identity::Id("Ev1".into()));
        assert_eq!(verified.reply, None);
        let limited = r#"{"type":"app_rate_limited","challenge":"x"}"#;
        let verified = ok(trial().signed("", "", limited.as_bytes()));
        assert_eq!(verified.event_type, "app_rate_limited");
        assert_eq!(verified.reply, None);
    }

    #[test]
    fn a_challenge_is_answered_and_only_if_it_verifies() {
        let body = br#"{"type":"url_verification","challenge":"3eZbrw1a"}"#;
        let verified = ok(trial().signed("", "", body));
        assert_eq!(verified.reply, Some(Reply::Challenge("3eZbrw1a".into())));
        let forged = trial().check(&[(TIMESTAMP, AT), (HEADER, CODE)], body);
        assert_eq!(forged, Err(Refusal::WrongSignature));
        let without = ok(trial().signed("", "", br#"{"type":"url_verification"}"#));
        assert_eq!(without.reply, None);
    }

    #[test]
    fn every_change_of_a_genuine_request_is_refused() {
        let needed = [
            (HEADER, Refusal::NoSignature),
            (TIMESTAMP, Refusal::NoTimestamp),
        ];
        trial().holds(&needed, true);
    }

    #[test]
    fn malformed_headers_are_refused() {
        let bare = CODE.strip_prefix(PREFIX).unwrap();
        for (at, code) in [
            (AT, bare),
            (AT, &*format!("v1={bare}")),
            (AT, &*format!("{CODE}00")),
            (AT, &*format!("{CODE},{CODE}")),
            (AT, "v0="),
            (AT, "rubbish"),
            ("soon", CODE),
            ("-1531420618", CODE),
            ("+1531420618", CODE),
            (" 1531420618", CODE),
            ("1531420618.0", CODE),
            ("99999999999999999999", CODE),
        ] {
            assert_eq!(word(check(at, code)), "malformed_signature", "{at} {code}");
        }
    }
}
