//! What a genuine request of any scheme is put to: one changed thing at a time.
//!
//! # Invariants
//! - Whatever is changed in what is signed, the request is refused.

use std::slice;
use std::time::Duration;

use jiff::Timestamp;

use super::refusal::Refusal;
use super::scheme::{Draft, Headers, Scheme, Verified};
use crate::secret::Secret;

const WINDOW: Duration = Duration::from_mins(5);

/// A scheme, a secret and the time that it is.
pub(super) struct Trial {
    scheme: Scheme,
    secret: Secret,
    now: Timestamp,
}

/// The headers and the body of a request.
type Request = (Vec<(String, Vec<u8>)>, Vec<u8>);

impl Trial {
    pub(super) fn new(scheme: Scheme, secret: &str, now_s: i64) -> Self {
        Self {
            scheme,
            secret: Secret::new(secret.to_owned()),
            now: Timestamp::from_second(now_s).unwrap(),
        }
    }

    /// What the scheme says of a request.
    pub(super) fn check(&self, headers: &[(&str, &str)], body: &[u8]) -> Result<Verified, Refusal> {
        let headers = headers
            .iter()
            .map(|(name, value)| (*name, value.as_bytes()));
        let headers = Headers(headers.collect());
        self.scheme.verify(
            &headers,
            body,
            slice::from_ref(&self.secret),
            self.now,
            WINDOW,
        )
    }

    /// What the scheme says of what it signs itself.
    pub(super) fn signed(
        &self,
        id: &str,
        event_type: &str,
        body: &[u8],
    ) -> Result<Verified, Refusal> {
        let (headers, body) = self.request(&self.secret, id, event_type, body, 0);
        self.judge(&headers, &body)
    }

    pub(super) fn sample(&self, id: &str, event_type: &str) -> String {
        self.scheme.sample(id, event_type, self.now)
    }

    /// Changes one thing at a time. `needed` are the headers that are signed or sign, with what is
    /// said where one is missing; `timed` says whether a time is signed.
    #[track_caller]
    pub(super) fn holds(&self, needed: &[(&str, Refusal)], timed: bool) {
        let sample = self.sample("id-1", "a.type");
        let genuine =
            |off_s| self.request(&self.secret, "id-1", "a.type", sample.as_bytes(), off_s);
        let (headers, body) = genuine(0);
        ok(self.judge(&headers, &body));

        for bit in 0..body.len() * 8 {
            let mut changed = body.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            let refused = self.judge(&headers, &changed);
            assert_eq!(
                refused,
                Err(Refusal::WrongSignature),
                "bit {bit} of the body"
            );
        }
        for changed in [&body[1..], &body[..body.len() - 1], b"", b"{}"] {
            assert_eq!(self.judge(&headers, changed), Err(Refusal::WrongSignature));
        }
        for (name, missing) in needed {
            self.header_holds(&headers, &body, name, *missing);
        }
        // A key of Standard Webhooks too.
        let other = Secret::new("whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA".into());
        let (forged, body) = self.request(&other, "id-1", "a.type", sample.as_bytes(), 0);
        assert_eq!(self.judge(&forged, &body), Err(Refusal::WrongSignature));
        let at = |off_s| {
            let (headers, body) = genuine(off_s);
            self.judge(&headers, &body).map(drop)
        };
        let off = Duration::from_secs(301);
        assert_eq!((at(-300), at(300)), (Ok(()), Ok(())));
        if timed {
            assert_eq!(at(-301), Err(Refusal::TooOld(off)));
            assert_eq!(at(301), Err(Refusal::FromTheFuture(off)));
        } else {
            assert_eq!((at(-301), at(301)), (Ok(()), Ok(())));
        }
    }

    #[track_caller]
    fn header_holds(
        &self,
        headers: &[(String, Vec<u8>)],
        body: &[u8],
        name: &str,
        missing: Refusal,
    ) {
        let place = headers
            .iter()
            .position(|(known, _)| known.eq_ignore_ascii_case(name));
        let place = place.expect("it is signed with this header");
        let value = &headers[place].1;
        let with = |value: Vec<u8>| {
            let mut headers = headers.to_vec();
            headers[place].1 = value;
            headers
        };
        let mut without = headers.to_vec();
        without.remove(place);
        assert_eq!(self.judge(&without, body), Err(missing), "without {name}");
        assert_eq!(
            self.judge(&with(Vec::new()), body),
            Err(missing),
            "empty {name}"
        );
        let mut doubled = headers.to_vec();
        doubled.push((name.to_uppercase(), value.clone()));
        let refused = self.judge(&doubled, body);
        assert_eq!(refused, Err(Refusal::SeveralSignatures), "two of {name}");
        for length in 1..value.len() {
            let refused = self.judge(&with(value[..length].to_vec()), body);
            assert!(refused.is_err(), "{length} characters of {name}");
        }
        for bit in 0..value.len() * 8 {
            let mut changed = value.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            // Hexadecimal digits may be of either case.
            if !changed.eq_ignore_ascii_case(value) {
                let refused = self.judge(&with(changed), body);
                assert!(refused.is_err(), "bit {bit} of {name}");
            }
        }
        for rubbish in [
            &b"rubbish"[..],
            b"=",
            b",",
            b"\0",
            b"\xff\xfe",
            &vec![b'x'; 100_000],
        ] {
            let refused = self.judge(&with(rubbish.to_vec()), body);
            assert!(refused.is_err(), "rubbish in {name}");
        }
    }

    fn request(
        &self,
        secret: &Secret,
        id: &str,
        event_type: &str,
        body: &[u8],
        off_s: i64,
    ) -> Request {
        let draft = Draft {
            id: if id.is_empty() { "-" } else { id },
            event_type: if event_type.is_empty() {
                "-"
            } else {
                event_type
            },
            at: Timestamp::from_second(self.now.as_second() + off_s).unwrap(),
            body,
        };
        let headers = self.scheme.sign(secret, &draft).unwrap().into_iter();
        let headers = headers.map(|(name, value)| (name, value.into_bytes()));
        (headers.collect(), body.to_vec())
    }

    /// The form that is looked at before the body is refused as the whole is.
    fn judge(&self, headers: &[(String, Vec<u8>)], body: &[u8]) -> Result<Verified, Refusal> {
        let headers = headers.iter().map(|(name, value)| (&**name, &**value));
        let headers = Headers(headers.collect());
        let verified = self.scheme.verify(
            &headers,
            body,
            slice::from_ref(&self.secret),
            self.now,
            WINDOW,
        );
        if let Err(refusal) = self.scheme.read(&headers) {
            assert_eq!(verified, Err(refusal));
        }
        verified
    }
}

#[track_caller]
pub(super) fn ok(verified: Result<Verified, Refusal>) -> Verified {
    verified.expect("it is genuine")
}

/// The word of a refusal, and `ok`.
pub(super) fn word(verified: Result<Verified, Refusal>) -> &'static str {
    verified.map_or_else(Refusal::as_str, |_| "ok")
}
