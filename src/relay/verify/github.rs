//! GitHub's scheme: `X-Hub-Signature-256: sha256=<hex>`, HMAC-SHA256 over the body.
//!
//! Neither the time nor `X-GitHub-Event` nor `X-GitHub-Delivery` is signed: who has seen a request
//! can show its body again under other names. So an event is known by its body, and its id is only
//! for people.
//!
//! # Invariants
//! - Pure; the comparison takes the same time whatever differs.
//! - The older `X-Hub-Signature`, SHA-1, is never looked at.

use hmac::Hmac;
use sha2::Sha256;

use super::parts::{self, Id};
use super::refusal::Refusal;
use super::scheme::{Draft, Headers, Reply, SignError, Verified};
use crate::secret::Secret;

const HEADER: &str = "X-Hub-Signature-256";
const PREFIX: &str = "sha256=";
const EVENT: &str = "X-GitHub-Event";
const DELIVERY: &str = "X-GitHub-Delivery";
/// What GitHub sends when a webhook is made: no event, only to see whether somebody is there.
const PING: &str = "ping";

pub(super) fn read(headers: &Headers<'_>) -> Result<[u8; 32], Refusal> {
    let header = parts::one(headers, HEADER, Refusal::NoSignature)?;
    header
        .strip_prefix(PREFIX)
        .and_then(parts::hex_code)
        .ok_or(Refusal::Malformed)
}

pub(super) fn verify(
    headers: &Headers<'_>,
    body: &[u8],
    secrets: &[Secret],
) -> Result<Verified, Refusal> {
    let codes = [read(headers)?];
    let keys = secrets.iter().map(Secret::expose);
    let code = parts::matching::<Hmac<Sha256>>(keys, &codes, &[body])?;
    let event = parts::optional(headers, EVENT)?;
    let delivery = parts::optional(headers, DELIVERY)?.map(str::to_owned);
    let event_type = event.map(|event| match parts::in_body(body, "/action") {
        Some(action) => format!("{event}.{action}"),
        None => event.to_owned(),
    });
    let proof = parts::proof("github", code);
    let verified = parts::verified(event_type, Id::Unsigned(delivery), body, Some(proof));
    Ok(Verified {
        reply: (event == Some(PING)).then_some(Reply::Pong),
        ..verified
    })
}

pub(super) fn sign(secret: &Secret, draft: &Draft<'_>) -> Result<Vec<(String, String)>, SignError> {
    let code = parts::code::<Hmac<Sha256>>(secret.expose().as_bytes(), &[draft.body])?;
    // The action is in the body.
    let event = draft.event_type.split('.').next().unwrap_or_default();
    Ok(vec![
        (EVENT.to_owned(), parts::header_value("type", event)?),
        (DELIVERY.to_owned(), parts::header_value("id", draft.id)?),
        (HEADER.to_owned(), format!("{PREFIX}{}", hex::encode(code))),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Identity;
    use crate::relay::verify::scheme::Scheme;
    use crate::relay::verify::trials::{Trial, ok, word};

    /// GitHub's own example ("Validating webhook deliveries").
    const SECRET: &str = "It's a Secret to Everybody";
    const BODY: &[u8] = b"Hello, World!";
    const CODE: &str = "757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17";

    fn trial() -> Trial {
        Trial::new(Scheme::Github, SECRET, 1_770_000_000)
    }

    #[test]
    fn the_vendors_own_example_is_accepted() {
        let header = format!("sha256={CODE}");
        let verified = trial().check(&[(HEADER, &header)], BODY).unwrap();
        assert_eq!(verified.event_type, "event");
        assert!(matches!(verified.identity, Identity::Unsigned { .. }));
        let code = parts::hex_code(CODE).unwrap();
        assert_eq!(verified.proof.map(|proof| proof.0), Some(code));
    }

    #[test]
    fn the_type_is_the_header_and_the_action_of_the_body() {
        for (event, body, expected) in [
            ("issues", r#"{"action":"opened"}"#, "issues.opened"),
            ("push", r#"{"ref":"refs/heads/main"}"#, "push"),
            ("push", r#"{"action":""}"#, "push"),
            ("push", r#"{"action":{"deep":1}}"#, "push"),
            ("push", "not JSON", "push"),
            ("pu\u{7f}sh", "{}", "event"),
        ] {
            let code = parts::code::<Hmac<Sha256>>(SECRET.as_bytes(), &[body.as_bytes()]);
            let header = format!("sha256={}", hex::encode(code.unwrap()));
            let headers = [(EVENT, event), (DELIVERY, "72d3162e"), (HEADER, &header)];
            let verified = trial().check(&headers, body.as_bytes()).unwrap();
            assert_eq!(verified.event_type, expected);
            assert_eq!(verified.reply, None);
        }
    }

    #[test]
    fn the_id_is_unsigned_so_the_event_goes_by_its_body() {
        let body = br#"{"action":"opened"}"#;
        let one = ok(trial().signed("72d3162e", "issues.opened", body));
        let again = ok(trial().signed("other", "issues.opened", body));
        assert!(
            matches!(&one.identity, Identity::Unsigned { id, .. } if id == "72d3162e"),
            "{:?}",
            one.identity
        );
        let key = |verified: &Verified| verified.identity.dedupe_key("g", &verified.event_type);
        assert_eq!(key(&one), key(&again));
        assert_eq!(one.proof, again.proof);
        let other = ok(trial().signed("72d3162e", "issues.opened", br#"{"action":"closed"}"#));
        assert_ne!(key(&one), key(&other));
    }

    #[test]
    fn a_body_without_a_delivery_is_one_event_whatever_it_is_called() {
        let code = format!("sha256={CODE}");
        let key = |names: &[(&str, &str)]| {
            let headers = [&[(HEADER, &*code)], names].concat();
            let verified = trial().check(&headers, BODY).unwrap();
            verified.identity.dedupe_key("g", &verified.event_type)
        };
        let plain = key(&[(EVENT, "issues"), (DELIVERY, "72d3162e")]);
        for names in [
            &[][..],
            &[(EVENT, "issues")],
            &[(EVENT, "invented")],
            &[(DELIVERY, "7")],
        ] {
            assert_eq!(key(names), plain, "{names:?}");
        }
    }

    #[test]
    fn a_ping_is_answered() {
        let ping = ok(trial().signed("1", PING, br#"{"zen":"Design for failure."}"#));
        assert_eq!(ping.reply, Some(Reply::Pong));
    }

    #[test]
    fn every_change_of_a_genuine_request_is_refused() {
        trial().holds(&[(HEADER, Refusal::NoSignature)], false);
    }

    #[test]
    fn a_name_that_is_there_twice_is_refused() {
        let header = format!("sha256={CODE}");
        for name in [EVENT, DELIVERY] {
            let headers = [(HEADER, &*header), (name, "a"), (name, "b")];
            let refused = trial().check(&headers, BODY);
            assert_eq!(word(refused), "several_signatures", "{name}");
        }
    }

    #[test]
    fn malformed_and_older_signatures_are_refused() {
        for header in [
            CODE.to_owned(),
            format!("sha1={CODE}"),
            format!("sha256={CODE}00"),
            format!("sha256= {CODE}"),
            format!("SHA256={CODE}"),
            format!("sha256={CODE},sha256={CODE}"),
            "sha256=".to_owned(),
        ] {
            let refused = trial().check(&[(HEADER, &header)], BODY);
            assert_eq!(word(refused), "malformed_signature", "{header}");
        }
        let older = trial().check(&[("X-Hub-Signature", &format!("sha1={CODE}"))], BODY);
        assert_eq!(older, Err(Refusal::NoSignature));
    }
}
