//! Orbit's scheme: `Orbit-Signature: t=<unix ms>,v1=<hex>`, HMAC-SHA256 over `<t>.<body>`.
//!
//! The MAC is checked over the bytes that were received. Where it does not match, white space
//! outside strings is left out and it is checked once more, because proxies reformat JSON. The
//! vendor's own verifier parses and writes the JSON anew, which refuses genuine bodies
//! (docs/decisions/0004).
//!
//! # Invariants
//! - Pure; the comparison takes the same time whatever differs.
//! - `t` is signed as it was received, and judged only after the MAC matched.
//! - No header makes this panic, overflow or allocate more than the header is long.

use std::time::Duration;

use hmac::Mac as _;
use jiff::Timestamp;

use super::parts::{LONGEST_HEADER, Timed, check_age};
pub use super::refusal::Refusal;
use crate::secret::WebhookSecret;

/// The name of the header.
pub const HEADER: &str = "orbit-signature";

/// The MAC that matched: the same message shown again has the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Proof(pub [u8; 32]);

/// A signature header that has the right form.
#[derive(Debug)]
pub struct Signature<'a>(Timed<'a>);

impl<'a> Signature<'a> {
    /// Reads the one signature header of a request.
    pub fn read(headers: impl IntoIterator<Item = &'a [u8]>) -> Result<Self, Refusal> {
        let mut headers = headers.into_iter();
        let header = headers.next().ok_or(Refusal::NoSignature)?;
        if headers.next().is_some() {
            return Err(Refusal::SeveralSignatures);
        }
        if header.is_empty() {
            return Err(Refusal::NoSignature);
        }
        std::str::from_utf8(header)
            .ok()
            .filter(|header| header.len() <= LONGEST_HEADER)
            .and_then(Timed::parse)
            .map(Self)
            .ok_or(Refusal::Malformed)
    }

    /// When the sender says that it sent this, in milliseconds since 1970. Not to be trusted before
    /// the MAC was checked.
    pub fn sent_at_ms(&self) -> i64 {
        self.0.sent_at_number
    }

    /// Checks a body, and then when it was sent.
    pub fn verify(
        &self,
        body: &[u8],
        secret: &WebhookSecret,
        now: Timestamp,
        max_age: Duration,
    ) -> Result<Proof, Refusal> {
        let proof = self
            .matches(secret, [body])
            .or_else(|| self.matches(secret, WithoutWhitespace { rest: body }))
            .ok_or(Refusal::WrongSignature)?;
        check_age(i128::from(self.sent_at_ms()), now, max_age)?;
        Ok(proof)
    }

    fn matches<'b>(
        &self,
        secret: &WebhookSecret,
        pieces: impl IntoIterator<Item = &'b [u8]>,
    ) -> Option<Proof> {
        let mut mac = secret.mac();
        mac.update(self.0.sent_at.as_bytes());
        mac.update(b".");
        for piece in pieces {
            mac.update(piece);
        }
        self.0.codes.iter().fold(None, |found, received| {
            let matches = mac.clone().verify_slice(received).is_ok();
            if matches {
                Some(Proof(*received))
            } else {
                found
            }
        })
    }
}

/// What the header holds when Orbit signs this body at this time.
pub fn sign(secret: &WebhookSecret, at: Timestamp, body: &[u8]) -> String {
    let sent_at = at.as_millisecond().to_string();
    let mut mac = secret.mac();
    for part in [sent_at.as_bytes(), b".", body] {
        mac.update(part);
    }
    let code = hex::encode(mac.finalize().into_bytes());
    format!("t={sent_at},v1={code}")
}

/// The pieces of a JSON text between white space that stands outside strings. One scan.
struct WithoutWhitespace<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for WithoutWhitespace<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let start = self.rest.iter().position(|b| !is_whitespace(*b))?;
        let (_, text) = self.rest.split_at(start);
        let mut in_string = false;
        let mut escaped = false;
        let end = text.iter().position(|byte| {
            match byte {
                _ if escaped => escaped = false,
                b'\\' if in_string => escaped = true,
                b'"' => in_string = !in_string,
                _ => {}
            }
            !in_string && is_whitespace(*byte)
        });
        let (piece, rest) = text.split_at(end.unwrap_or(text.len()));
        self.rest = rest;
        Some(piece)
    }
}

fn is_whitespace(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\r')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NOW_MS: i64 = 1_770_000_000_000;
    const WINDOW: Duration = Duration::from_mins(5);
    const BODY: &[u8] = r#"{"type":"X","text":"a  \" b","n":[1, 2]}"#.as_bytes();

    fn secret() -> WebhookSecret {
        WebhookSecret::parse(&"0f".repeat(32)).unwrap()
    }

    fn mac(secret: &WebhookSecret, t: &str, body: &[u8]) -> String {
        let mut mac = secret.mac();
        mac.update(t.as_bytes());
        mac.update(b".");
        mac.update(body);
        hex::encode(mac.finalize().into_bytes())
    }

    fn signed_at(t: &str) -> String {
        format!("t={t},v1={}", mac(&secret(), t, BODY))
    }

    fn check(headers: &[&str], body: &[u8]) -> Result<(), Refusal> {
        let now = Timestamp::from_millisecond(NOW_MS).unwrap();
        let signature = Signature::read(headers.iter().map(|h| h.as_bytes()))?;
        signature.verify(body, &secret(), now, WINDOW).map(drop)
    }

    #[test]
    fn a_genuine_signature_is_accepted() {
        let good = signed_at(&NOW_MS.to_string());
        assert_eq!(check(&[&good], BODY), Ok(()));
        let upper = good
            .to_uppercase()
            .replace("T=", "t=")
            .replace("V1=", "v1=");
        assert_eq!(check(&[&upper], BODY), Ok(()));
        assert_eq!(check(&[&good.replace(',', " , ")], BODY), Ok(()));
    }

    #[test]
    fn what_is_signed_here_is_genuine() {
        let now = Timestamp::from_millisecond(NOW_MS).unwrap();
        assert_eq!(check(&[&sign(&secret(), now, BODY)], BODY), Ok(()));
        assert_eq!(sign(&secret(), now, BODY), signed_at(&NOW_MS.to_string()));
    }

    #[test]
    fn the_mac_is_the_one_that_other_implementations_compute() {
        // openssl dgst -sha256 -mac HMAC -macopt hexkey:0f…0f over `1770000000000.{"type":"X"}`
        let expected = "72f2de578782739bff5247085a4fb9a7067fa3ea7269fed3c0b79c086164e31c";
        assert_eq!(
            mac(&secret(), "1770000000000", br#"{"type":"X"}"#),
            expected
        );
    }

    #[test]
    fn any_of_several_v1_may_match_and_unknown_elements_are_ignored() {
        let good = mac(&secret(), &NOW_MS.to_string(), BODY);
        let other = "0".repeat(64);
        for macs in [
            format!("{other},v1={good}"),
            format!("{good},v1={other}"),
            format!("zz,v1={good}"),
        ] {
            assert_eq!(
                check(&[&format!("v0=x,t={NOW_MS},v1={macs},v2=y")], BODY),
                Ok(())
            );
        }
    }

    #[test]
    fn a_header_that_is_missing_or_doubled_is_refused() {
        let good = signed_at(&NOW_MS.to_string());
        assert_eq!(check(&[], BODY), Err(Refusal::NoSignature));
        assert_eq!(check(&[""], BODY), Err(Refusal::NoSignature));
        assert_eq!(
            check(&[&good, &good], BODY),
            Err(Refusal::SeveralSignatures)
        );
    }

    #[test]
    fn a_malformed_header_is_refused() {
        let good = mac(&secret(), &NOW_MS.to_string(), BODY);
        let long = "x".repeat(100_000);
        let headers = [
            "t=1".to_owned(),
            "v1=a=b".to_owned(),
            "t=1,v1=a=b".to_owned(),
            format!("v1={good}"),
            format!("t={NOW_MS}"),
            format!("t={NOW_MS},v1=not-hex"),
            format!("t={NOW_MS},v1={}", "0".repeat(63)),
            format!("t={NOW_MS},t={NOW_MS},v1={good}"),
            format!("t=+{NOW_MS},v1={good}"),
            format!("t={NOW_MS}.0,v1={good}"),
            format!("t=,v1={good}"),
            format!("t=-,v1={good}"),
            format!("t=9223372036854775808,v1={good}"),
            format!("t={NOW_MS},v1={good},{long}"),
            long,
        ];
        for header in headers {
            assert_eq!(check(&[&header], BODY), Err(Refusal::Malformed), "{header}");
        }
    }

    #[test]
    fn another_secret_or_one_flipped_bit_is_refused() {
        let other = WebhookSecret::parse(&"0e".repeat(32)).unwrap();
        let header = format!("t={NOW_MS},v1={}", mac(&other, &NOW_MS.to_string(), BODY));
        assert_eq!(check(&[&header], BODY), Err(Refusal::WrongSignature));
        let good = signed_at(&NOW_MS.to_string());
        for bit in 0..BODY.len() * 8 {
            let mut body = BODY.to_vec();
            body[bit / 8] ^= 1 << (bit % 8);
            assert!(check(&[&good], &body).is_err(), "bit {bit}");
        }
    }

    #[test]
    fn the_window_holds_in_both_directions() {
        let edge = |ms: i64| check(&[&signed_at(&(NOW_MS + ms).to_string())], BODY);
        assert_eq!(edge(-300_000), Ok(()));
        assert_eq!(edge(300_000), Ok(()));
        let off = Duration::from_millis(300_001);
        assert_eq!(edge(-300_001), Err(Refusal::TooOld(off)));
        assert_eq!(edge(300_001), Err(Refusal::FromTheFuture(off)));
        let day = Duration::from_hours(24);
        assert_eq!(edge(86_400_000), Err(Refusal::FromTheFuture(day)));
    }

    #[test]
    fn the_extremes_of_time_do_not_overflow() {
        for t in [i64::MAX, i64::MIN, -1, 0] {
            let refusal = check(&[&signed_at(&t.to_string())], BODY).unwrap_err();
            assert!(matches!(
                refusal,
                Refusal::TooOld(_) | Refusal::FromTheFuture(_)
            ));
        }
    }

    #[test]
    fn json_that_a_proxy_reformatted_is_accepted() {
        let compact = br#"{"type":"X","text":"a  \" b\\","n":[1,2]}"#;
        let pretty =
            b" {\r\n\t\"type\" : \"X\",\n \"text\": \"a  \\\" b\\\\\",\n\"n\": [ 1, 2 ]\n}\n";
        let header = format!(
            "t={NOW_MS},v1={}",
            mac(&secret(), &NOW_MS.to_string(), compact)
        );
        assert_eq!(check(&[&header], pretty), Ok(()));
        let inside = br#"{"type":"X","text":"a " b\\","n":[1,2]}"#;
        assert_eq!(check(&[&header], inside), Err(Refusal::WrongSignature));
    }

    proptest! {
        #[test]
        fn no_header_and_no_body_panic(header: Vec<u8>, body: Vec<u8>) {
            let now = Timestamp::from_millisecond(NOW_MS).unwrap();
            if let Ok(signature) = Signature::read([&header[..]]) {
                prop_assert!(signature.verify(&body, &secret(), now, WINDOW).is_err());
            }
        }

        #[test]
        fn compact_json_survives_any_white_space_between_its_parts(spaces in "[ \t\r\n]{0,4}") {
            let pretty = ["{", "\"a b\"", ":", "[", "1", ",", "\"\\\"  x\"", "]", "}"].join(&spaces);
            let pieces: Vec<u8> = WithoutWhitespace { rest: pretty.as_bytes() }.flatten().copied().collect();
            prop_assert_eq!(pieces, br#"{"a b":["#.iter().chain(br#"1,"\"  x"]}"#).copied().collect::<Vec<_>>());
        }
    }
}
