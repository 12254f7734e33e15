//! The scheme of servo-webhooks: `X-Servo-Signature: <hex>`, HMAC-SHA1 over the body.
//!
//! No time and no id is signed or sent, so an event is known by its body, in which `created_at`
//! stands. HMAC-SHA1 is not broken as SHA-1 is, but whoever can choose should sign otherwise.
//!
//! # Invariants
//! - Pure; the comparison takes the same time whatever differs.
//! - The type stands in the body, so it is signed.

use hmac::Hmac;
use sha1::Sha1;

use super::parts::{self, Id};
use super::refusal::Refusal;
use super::scheme::{Draft, Headers, SignError, Verified};
use crate::secret::Secret;

const HEADER: &str = "X-Servo-Signature";

pub(super) fn read(headers: &Headers<'_>) -> Result<[u8; 20], Refusal> {
    let header = parts::one(headers, HEADER, Refusal::NoSignature)?;
    parts::hex_code(header).ok_or(Refusal::Malformed)
}

pub(super) fn verify(
    headers: &Headers<'_>,
    body: &[u8],
    secrets: &[Secret],
) -> Result<Verified, Refusal> {
    let codes = [read(headers)?];
    let keys = secrets.iter().map(Secret::expose);
    let code = parts::matching::<Hmac<Sha1>>(keys, &codes, &[body])?;
    let event_type = parts::in_body(body, "/event");
    let proof = parts::proof("servo", code);
    Ok(parts::verified(
        event_type,
        Id::Signed(None),
        body,
        Some(proof),
    ))
}

pub(super) fn sign(secret: &Secret, draft: &Draft<'_>) -> Result<Vec<(String, String)>, SignError> {
    let code = parts::code::<Hmac<Sha1>>(secret.expose().as_bytes(), &[draft.body])?;
    Ok(vec![(HEADER.to_owned(), hex::encode(code))])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Identity;
    use crate::relay::verify::scheme::Scheme;
    use crate::relay::verify::trials::{Trial, word};

    /// Made as servo-webhooks does, with Python's `hmac.new(secret, body, hashlib.sha1)`.
    const SECRET: &str = "s3cret";
    const BODY: &[u8] = br#"{"event": "before:measure"}"#;
    const CODE: &str = "5b681902d7df95d483a31829230698b89c6d8ade";

    fn trial() -> Trial {
        Trial::new(Scheme::Servo, SECRET, 1_770_000_000)
    }

    #[test]
    fn what_servo_signs_is_accepted_and_known_by_its_body() {
        let verified = trial().check(&[(HEADER, CODE)], BODY).unwrap();
        assert_eq!(verified.event_type, "before:measure");
        assert!(matches!(verified.identity, Identity::Body(_)));
        assert!(verified.proof.is_some());
    }

    #[test]
    fn every_change_of_a_genuine_request_is_refused() {
        trial().holds(&[(HEADER, Refusal::NoSignature)], false);
    }

    #[test]
    fn malformed_headers_are_refused() {
        for header in [
            &*format!("sha1={CODE}"),
            &*format!("{CODE}00"),
            &*format!("{CODE} "),
            "rubbish",
        ] {
            let refused = trial().check(&[(HEADER, header)], BODY);
            assert_eq!(word(refused), "malformed_signature", "{header}");
        }
    }
}
