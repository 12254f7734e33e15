//! Stripe's scheme: `Stripe-Signature: t=<unix s>,v1=<hex>`, HMAC-SHA256 over `<t>.<body>` under
//! the text of the endpoint's secret, `whsec_` and all. While a secret is rolled there are several
//! `v1`; a `v0` is of Stripe's test mode and means nothing.
//!
//! # Invariants
//! - Pure; the comparison takes the same time whatever differs.
//! - `t` is signed as it was received, and judged only after a code matched.
//! - Id and type stand in the body, so they are signed.

use std::time::Duration;

use hmac::Hmac;
use jiff::Timestamp;
use sha2::Sha256;

use super::parts::{self, Id, Timed};
use super::refusal::Refusal;
use super::scheme::{Draft, Headers, SignError, Verified};
use crate::secret::Secret;

const HEADER: &str = "Stripe-Signature";

pub(super) fn read<'a>(headers: &Headers<'a>) -> Result<Timed<'a>, Refusal> {
    let header = parts::one(headers, HEADER, Refusal::NoSignature)?;
    Timed::parse(header).ok_or(Refusal::Malformed)
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
    let pieces = [signature.sent_at.as_bytes(), b".", body];
    let code = parts::matching::<Hmac<Sha256>>(keys, &signature.codes, &pieces)?;
    parts::check_age(parts::seconds(signature.sent_at_number), now, max_age)?;
    let id = Id::Signed(parts::in_body(body, "/id"));
    let event_type = parts::in_body(body, "/type");
    let proof = parts::proof("stripe", code);
    Ok(parts::verified(event_type, id, body, Some(proof)))
}

pub(super) fn sign(secret: &Secret, draft: &Draft<'_>) -> Result<Vec<(String, String)>, SignError> {
    let sent_at = draft.at.as_second().to_string();
    let pieces = [sent_at.as_bytes(), b".", draft.body];
    let code = parts::code::<Hmac<Sha256>>(secret.expose().as_bytes(), &pieces)?;
    let value = format!("t={sent_at},v1={}", hex::encode(code));
    Ok(vec![(HEADER.to_owned(), value)])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Identity;
    use crate::relay::verify::scheme::Scheme;
    use crate::relay::verify::trials::{Trial, ok, word};

    /// Made with `stripe.WebhookSignature` of the Python library 16.1.0.
    const SECRET: &str = "whsec_test_secret";
    const BODY: &str = r#"{"id":"evt_1","type":"charge.succeeded"}"#;
    const AT_S: i64 = 1_492_774_577;
    const CODE: &str = "4ee5e8d695c9619e003fd480d3d51700d924e29697337d379a6ef6e06e703ab4";

    fn check(header: &str) -> Result<Verified, Refusal> {
        Trial::new(Scheme::Stripe, SECRET, AT_S).check(&[(HEADER, header)], BODY.as_bytes())
    }

    #[test]
    fn what_the_vendors_library_signs_is_accepted_with_id_and_type_of_the_body() {
        let verified = check(&format!("t={AT_S},v1={CODE}")).unwrap();
        assert_eq!(verified.event_type, "charge.succeeded");
        assert_eq!(verified.identity, Identity::Id("evt_1".into()));
        let code = parts::hex_code(CODE).unwrap();
        assert_eq!(verified.proof.map(|proof| proof.0), Some(code));
        assert_eq!(verified.reply, None);
    }

    #[test]
    fn any_of_several_v1_may_match_and_a_v0_means_nothing() {
        let other = "0".repeat(64);
        for header in [
            format!("t={AT_S},v1={other},v1={CODE},v0={other}"),
            format!("t={AT_S},v1={CODE},v1={other}"),
            format!("v0=x,v1=zz,v1={CODE},t={AT_S}"),
        ] {
            assert!(check(&header).is_ok(), "{header}");
        }
        let only_v0 = check(&format!("t={AT_S},v0={CODE}"));
        assert_eq!(only_v0, Err(Refusal::Malformed));
        let wrong = check(&format!("t={AT_S},v1={other}"));
        assert_eq!(wrong, Err(Refusal::WrongSignature));
    }

    #[test]
    fn every_change_of_a_genuine_request_is_refused() {
        let trial = Trial::new(Scheme::Stripe, SECRET, AT_S);
        trial.holds(&[(HEADER, Refusal::NoSignature)], true);
    }

    #[test]
    fn malformed_headers_are_refused() {
        for header in [
            "rubbish".to_owned(),
            format!("t={AT_S}"),
            format!("v1={CODE}"),
            format!("t={AT_S};v1={CODE}"),
            format!("t=,v1={CODE}"),
            format!("t=-,v1={CODE}"),
            format!("t=+{AT_S},v1={CODE}"),
            format!("t={AT_S}.0,v1={CODE}"),
            format!("t=9223372036854775808,v1={CODE}"),
            format!("t={AT_S},t={AT_S},v1={CODE}"),
            format!("t={AT_S},v1={CODE}0"),
            format!("t={AT_S},v1={CODE},{}", "x=".repeat(3000)),
        ] {
            assert_eq!(word(check(&header)), "malformed_signature", "{header}");
        }
    }

    #[test]
    fn the_extremes_of_time_do_not_overflow() {
        for second in [i64::MAX, i64::MIN, -1, 0] {
            let sent_at = second.to_string();
            let pieces = [sent_at.as_bytes(), b".", BODY.as_bytes()];
            let code = parts::code::<Hmac<Sha256>>(SECRET.as_bytes(), &pieces).unwrap();
            let word = word(check(&format!("t={sent_at},v1={}", hex::encode(code))));
            assert!(["too_old", "from_the_future"].contains(&word), "{word}");
        }
    }

    #[test]
    fn a_body_without_id_and_type_is_known_by_its_bytes() {
        let trial = Trial::new(Scheme::Stripe, SECRET, AT_S);
        let verified = ok(trial.signed("", "", b"[]"));
        assert_eq!(verified.event_type, "event");
        assert!(matches!(verified.identity, Identity::Body(_)));
    }
}
