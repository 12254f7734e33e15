//! The scheme of Standard Webhooks: `webhook-id`, `webhook-timestamp` (Unix seconds) and
//! `webhook-signature: v1,<base64> …`, HMAC-SHA256 over `<id>.<timestamp>.<body>`.
//!
//! # Invariants
//! - Pure; the comparison takes the same time whatever differs.
//! - Id and time are signed as they were received, and the time is judged only after a code matched.
//! - No header makes this panic, overflow or allocate more than the headers are long.

use std::time::Duration;

use base64::engine::general_purpose::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use base64::{Engine as _, alphabet};
use hmac::Hmac;
use jiff::Timestamp;
use sha2::Sha256;

use super::parts::{self, Id};
use super::refusal::Refusal;
use super::scheme::{Draft, Headers, Proof, SignError, Verified};
use crate::secret::Secret;

/// The names of the headers: id, time, signature.
pub const HEADERS: [&str; 3] = ["webhook-id", "webhook-timestamp", "webhook-signature"];

/// An id names a message and tells nothing.
const LONGEST_ID: usize = 256;

/// Base64 as people copy it: with padding or without.
const LENIENT: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// Why a secret is no key. The secret itself is not kept.
#[derive(Clone, Copy, Debug, thiserror::Error, PartialEq, Eq)]
pub enum KeyError {
    /// It is not written as one.
    #[error("a secret of Standard Webhooks is `whsec_` and base64, or base64; this is not")]
    Form,
    /// It is too short or too long for one.
    #[error("a secret of Standard Webhooks has 24 to 64 bytes behind its base64; this has not")]
    Length,
}

/// The key that is written as `whsec_` and base64, or base64: 24 to 64 bytes.
pub fn webhook_key(secret: &Secret) -> Result<Vec<u8>, KeyError> {
    let text = secret.expose();
    let key = LENIENT
        .decode(text.strip_prefix("whsec_").unwrap_or(text))
        .map_err(|_| KeyError::Form)?;
    if (24..=64).contains(&key.len()) {
        Ok(key)
    } else {
        Err(KeyError::Length)
    }
}

pub(super) fn read<'a>(headers: &Headers<'a>) -> Result<Signature<'a>, Refusal> {
    let [id, sent_at, signature] = HEADERS.map(|name| headers.all(name).collect::<Vec<_>>());
    Signature::read([&id, &sent_at, &signature])
}

pub(super) fn verify(
    headers: &Headers<'_>,
    body: &[u8],
    secrets: &[Secret],
    now: Timestamp,
    max_age: Duration,
) -> Result<Verified, Refusal> {
    let signature = read(headers)?;
    let keys = secrets.iter().filter_map(|secret| webhook_key(secret).ok());
    let proof = signature.proof(body, keys, now, max_age)?;
    let id = Id::Signed(Some(signature.id.to_owned()));
    let event_type = parts::in_body(body, "/type");
    Ok(parts::verified(event_type, id, body, Some(proof)))
}

pub(super) fn sign(secret: &Secret, draft: &Draft<'_>) -> Result<Vec<(String, String)>, SignError> {
    let key = webhook_key(secret).map_err(|error| SignError(error.to_string()))?;
    let id = parts::header_value("id", draft.id)?;
    let sent_at = draft.at.as_second().to_string();
    let pieces = [id.as_bytes(), b".", sent_at.as_bytes(), b".", draft.body];
    let code = parts::code::<Hmac<Sha256>>(&key, &pieces)?;
    let values = [id, sent_at, format!("v1,{}", STANDARD.encode(code))];
    Ok(HEADERS.map(str::to_owned).into_iter().zip(values).collect())
}

/// Whether the secret is a key. What is said does not hold it.
pub fn check_secret(secret: &Secret) -> Result<(), String> {
    webhook_key(secret).map(drop).map_err(|e| e.to_string())
}

/// Headers that have the right form.
#[derive(Debug)]
pub struct Signature<'a> {
    id: &'a str,
    /// As received: this text is what is signed.
    sent_at: &'a str,
    sent_at_s: i64,
    codes: Vec<[u8; 32]>,
}

impl<'a> Signature<'a> {
    /// Reads the headers of a request: all that there are of each of [`HEADERS`].
    pub fn read(headers: [&[&'a [u8]]; 3]) -> Result<Self, Refusal> {
        let mut one = [""; 3];
        for (slot, values) in one.iter_mut().zip(headers) {
            *slot = match values {
                [] | [[]] => return Err(Refusal::NoSignature),
                [value] => std::str::from_utf8(value).map_err(|_| Refusal::Malformed)?,
                _ => return Err(Refusal::SeveralSignatures),
            };
        }
        let [id, sent_at, signature] = one;
        Self::parse(id, sent_at, signature).ok_or(Refusal::Malformed)
    }

    fn parse(id: &'a str, sent_at: &'a str, signature: &'a str) -> Option<Self> {
        let digits = sent_at.bytes().all(|b| b.is_ascii_digit());
        if id.len() > LONGEST_ID || signature.len() > parts::LONGEST_HEADER || !digits {
            return None;
        }
        let codes: Vec<_> = signature
            .split(' ')
            .filter_map(|one| {
                STANDARD
                    .decode(one.strip_prefix("v1,")?)
                    .ok()?
                    .try_into()
                    .ok()
            })
            .collect();
        (!codes.is_empty()).then_some(Self {
            id,
            sent_at,
            sent_at_s: sent_at.parse().ok()?,
            codes,
        })
    }

    /// Checks a body, and then when it was sent. `key` is what stands behind a secret's base64.
    pub fn verify(
        &self,
        body: &[u8],
        key: &[u8],
        now: Timestamp,
        max_age: Duration,
    ) -> Result<(), Refusal> {
        self.proof(body, [key], now, max_age).map(drop)
    }

    fn proof(
        &self,
        body: &[u8],
        keys: impl IntoIterator<Item = impl AsRef<[u8]>>,
        now: Timestamp,
        max_age: Duration,
    ) -> Result<Proof, Refusal> {
        let (id, sent_at) = (self.id.as_bytes(), self.sent_at.as_bytes());
        let pieces = [id, b".", sent_at, b".", body];
        let code = parts::matching::<Hmac<Sha256>>(keys, &self.codes, &pieces)?;
        parts::check_age(parts::seconds(self.sent_at_s), now, max_age)?;
        Ok(parts::proof("standard-webhooks", code))
    }
}

#[cfg(test)]
mod tests {
    use hmac::{KeyInit as _, Mac as _};
    use proptest::prelude::*;

    use super::*;
    use crate::event::Identity;
    use crate::relay::verify::scheme::Scheme;
    use crate::relay::verify::trials::{Trial, ok};

    const NOW_S: i64 = 1_614_265_330;
    const WINDOW: Duration = Duration::from_mins(5);
    const ID: &str = "msg_p5jXN8AQM9LWM0D4loKWxJek";
    const BODY: &[u8] = br#"{"test": 2432232314}"#;
    /// The example that the libraries of Standard Webhooks are tested with.
    const GOOD: &str = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=";

    fn key() -> Vec<u8> {
        STANDARD.decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap()
    }

    fn signed_at(at: &str) -> String {
        let mut mac = Hmac::<Sha256>::new_from_slice(&key()).unwrap();
        mac.update(format!("{ID}.{at}.").as_bytes());
        mac.update(BODY);
        format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes()))
    }

    fn check_all(headers: [&[&str]; 3], body: &[u8]) -> Result<(), Refusal> {
        let headers = headers.map(|values| values.iter().map(|v| v.as_bytes()).collect::<Vec<_>>());
        let signature = Signature::read(headers.each_ref().map(Vec::as_slice))?;
        let now = Timestamp::from_second(NOW_S).unwrap();
        signature.verify(body, &key(), now, WINDOW)
    }

    fn check(id: &str, at: &str, signature: &str) -> Result<(), Refusal> {
        check_all([&[id], &[at], &[signature]], BODY)
    }

    #[test]
    fn the_standards_own_example_is_accepted() {
        assert_eq!(check(ID, "1614265330", GOOD), Ok(()));
    }

    #[test]
    fn any_of_several_codes_may_match_and_other_versions_are_ignored() {
        let other = format!("v1,{}", STANDARD.encode([7; 32]));
        for signature in [
            format!("{other} {GOOD}"),
            format!("{GOOD} {other}"),
            format!("v1a,xyz {GOOD} nonsense v1,short"),
        ] {
            assert_eq!(check(ID, "1614265330", &signature), Ok(()), "{signature}");
        }
        assert_eq!(
            check(ID, "1614265330", &other),
            Err(Refusal::WrongSignature)
        );
    }

    #[test]
    fn headers_that_are_missing_or_doubled_are_refused() {
        let good: [&[&str]; 3] = [&[ID], &["1614265330"], &[GOOD]];
        for place in 0..3 {
            for missing in [&[][..], &[""]] {
                let mut headers = good;
                headers[place] = missing;
                assert_eq!(
                    check_all(headers, BODY),
                    Err(Refusal::NoSignature),
                    "{place}"
                );
            }
            let doubled = [good[place][0]; 2];
            let mut headers = good;
            headers[place] = &doubled;
            assert_eq!(
                check_all(headers, BODY),
                Err(Refusal::SeveralSignatures),
                "{place}"
            );
        }
    }

    #[test]
    fn malformed_headers_are_refused() {
        let long = "x".repeat(100_000);
        for (id, at, signature) in [
            (
                ID,
                "1614265330",
                "g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
            ),
            (ID, "1614265330", "v1,"),
            (ID, "1614265330", "v1,!!!!"),
            (
                ID,
                "1614265330",
                "v2,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
            ),
            (ID, "1614265330", &long),
            (ID, "-1614265330", GOOD),
            (ID, "+1614265330", GOOD),
            (ID, "1614265330.0", GOOD),
            (ID, "soon", GOOD),
            (ID, "99999999999999999999", GOOD),
            (&long, "1614265330", GOOD),
        ] {
            let shown: String = format!("{id} {at} {signature}").chars().take(99).collect();
            assert_eq!(check(id, at, signature), Err(Refusal::Malformed), "{shown}");
        }
    }

    #[test]
    fn another_id_time_body_or_key_is_refused() {
        assert_eq!(
            check("msg_x", "1614265330", GOOD),
            Err(Refusal::WrongSignature)
        );
        assert_eq!(check(ID, "1614265331", GOOD), Err(Refusal::WrongSignature));
        let good: [&[&str]; 3] = [&[ID], &["1614265330"], &[GOOD]];
        for bit in 0..BODY.len() * 8 {
            let mut body = BODY.to_vec();
            body[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(
                check_all(good, &body),
                Err(Refusal::WrongSignature),
                "bit {bit}"
            );
        }
        let signature = Signature::parse(ID, "1614265330", GOOD).unwrap();
        let now = Timestamp::from_second(NOW_S).unwrap();
        let other = signature.verify(BODY, &[1; 24], now, WINDOW);
        assert_eq!(other, Err(Refusal::WrongSignature));
    }

    #[test]
    fn the_window_holds_in_both_directions() {
        let edge = |s: i64| {
            let at = (NOW_S + s).to_string();
            check(ID, &at, &signed_at(&at))
        };
        assert_eq!((edge(-300), edge(300)), (Ok(()), Ok(())));
        let off = Duration::from_secs(301);
        assert_eq!(edge(-301), Err(Refusal::TooOld(off)));
        assert_eq!(edge(301), Err(Refusal::FromTheFuture(off)));
        let last = i64::MAX.to_string();
        let far = check(ID, &last, &signed_at(&last));
        assert!(matches!(far, Err(Refusal::FromTheFuture(_))), "{far:?}");
    }

    #[test]
    fn a_key_has_24_to_64_bytes_in_base64_and_another_is_not_said() {
        let key = |text: &str| webhook_key(&Secret::new(text.to_owned()));
        for (length, good) in [(23, false), (24, true), (64, true), (65, false)] {
            let text = STANDARD.encode(vec![7; length]);
            for text in [&text, text.trim_end_matches('='), &format!("whsec_{text}")] {
                assert_eq!(key(text).is_ok(), good, "{length}: {text}");
            }
        }
        for text in ["whsec_can ary", "whsec_", "whsec_canary!"] {
            let error = key(text).unwrap_err().to_string();
            assert!(!error.contains("canary"), "{error}");
        }
    }

    #[test]
    fn every_change_of_a_genuine_request_of_a_source_is_refused() {
        let secret = format!("whsec_{}", STANDARD.encode(key()));
        let trial = Trial::new(Scheme::StandardWebhooks, &secret, NOW_S);
        trial.holds(&HEADERS.map(|name| (name, Refusal::NoSignature)), true);
    }

    #[test]
    fn a_source_is_known_by_its_signed_id_and_the_type_of_the_body() {
        let secret = format!("whsec_{}", STANDARD.encode(key()));
        let trial = Trial::new(Scheme::StandardWebhooks, &secret, NOW_S);
        let headers = [ID, "1614265330", GOOD];
        let headers: Vec<_> = HEADERS.into_iter().zip(headers).collect();
        let verified = ok(trial.check(&headers, BODY));
        assert_eq!(verified.identity, Identity::Id(ID.into()));
        assert_eq!(verified.event_type, "event");
        let typed = ok(trial.signed("m", "", br#"{"type":"order.closed"}"#));
        assert_eq!(typed.event_type, "order.closed");
        let code = STANDARD.decode(GOOD.strip_prefix("v1,").unwrap()).unwrap();
        assert_eq!(verified.proof.map(|proof| proof.0.to_vec()), Some(code));
    }

    proptest! {
        #[test]
        fn no_headers_and_no_body_panic(id: Vec<u8>, at in "[0-9]{0,30}", signature: Vec<u8>, body: Vec<u8>) {
            let headers: [&[&[u8]]; 3] = [&[&id], &[at.as_bytes()], &[&signature]];
            if let Ok(signature) = Signature::read(headers) {
                let now = Timestamp::from_second(NOW_S).unwrap();
                prop_assert!(signature.verify(&body, &key(), now, WINDOW).is_err());
            }
        }
    }
}
