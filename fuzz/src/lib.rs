//! What every target does with its input, which is a request: lines `name: value`, an empty line,
//! the body.
//!
//! The relay's own files are built here without the rest of it, which takes a tenth of the time.
//!
//! # Invariants
//! - Nothing is accepted that the secret did not sign, and nothing of which the body was changed.
//! - What is signed with the secret is accepted, whatever the body.
#![forbid(unsafe_code)]

#[path = "../../src/event.rs"]
pub mod event;
pub mod relay;
#[path = "../../src/secret.rs"]
pub mod secret;

use std::time::Duration;

use jiff::Timestamp;

use crate::relay::verify::scheme::{Draft, Names, Place, Verified};
use crate::relay::verify::{Headers, Refusal, Scheme};
use crate::secret::Secret;

/// What the genuine requests of the corpus are signed with; a secret of any scheme.
pub const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
/// What nothing is signed with.
const OTHER: &str = "whsec_bm90IHRoZSBvbmUgb2YgdGhlIGNvcnB1cw==";
/// When the genuine requests of the corpus were signed, in seconds since 1970.
pub const NOW_S: i64 = 1_770_000_000;
/// How old they may be.
pub const WINDOW: Duration = Duration::from_mins(5);

/// The time that it is.
pub fn now() -> Timestamp {
    Timestamp::from_second(NOW_S).expect("it is in range")
}

/// The headers and the body of an input.
pub fn request(input: &[u8]) -> (Headers<'_>, &[u8]) {
    let end = input.windows(2).position(|two| two == b"\n\n");
    let (lines, body) = match end {
        Some(end) => (&input[..end], &input[end + 2..]),
        None => (input, &[][..]),
    };
    let headers = lines.split(|byte| *byte == b'\n').filter_map(|line| {
        let colon = line.iter().position(|byte| *byte == b':')?;
        let name = std::str::from_utf8(&line[..colon]).ok()?;
        Some((name, line[colon + 1..].trim_ascii()))
    });
    (Headers(headers.collect()), body)
}

/// The body with the lowest bit of its last byte changed; none where it is empty.
pub fn changed(body: &[u8]) -> Option<Vec<u8>> {
    let mut body = body.to_vec();
    *body.last_mut()? ^= 1;
    Some(body)
}

/// An id in a header and a type in the body, so that names are looked for in both.
pub fn names() -> Names {
    Names {
        id: Some(Place::Header("X-Id".into())),
        event_type: Some(Place::Pointer("/a/type".into())),
    }
}

/// A scheme, and what it says with either secret.
struct Judge<'a> {
    scheme: &'a Scheme,
    secret: Secret,
    other: Secret,
}

impl Judge<'_> {
    fn by(&self, secret: &Secret, headers: &Headers<'_>, body: &[u8]) -> Result<Verified, Refusal> {
        let secrets = std::slice::from_ref(secret);
        let judged = self.scheme.verify(headers, body, secrets, now(), WINDOW);
        match (&judged, self.scheme.read(headers)) {
            (Ok(verified), Ok(())) => {
                let plain = |text: &str| !text.chars().any(char::is_control);
                assert!(plain(&verified.event_type), "a type has control characters");
                assert!(plain(&verified.identity.text()), "an id has them");
                assert!(verified.event_type.chars().count() <= 256, "a long type");
                assert!(verified.identity.text().len() <= 300, "a long id");
            }
            (Err(refusal), Err(form)) => assert_eq!(*refusal, form, "two words for one form"),
            (Ok(_), Err(form)) => panic!("accepted though its form is wrong: {form:?}"),
            (Err(_), Ok(())) => {}
        }
        judged
    }
}

/// Puts an input to a scheme whose code covers the body.
pub fn signed(scheme: &Scheme, input: &[u8]) {
    let (headers, body) = request(input);
    let judge = checked(scheme, SECRET, OTHER, &headers, body);
    if judge.by(&judge.secret, &headers, body).is_ok()
        && let Some(changed) = changed(body)
    {
        let again = judge.by(&judge.secret, &headers, &changed);
        assert!(again.is_err(), "another body under the same code");
    }
}

/// Puts an input to a scheme that shows its secret as it is, in one of these writings.
pub fn shown(scheme: &Scheme, secret: &str, other: &str, writings: &[&str], input: &[u8]) {
    let (headers, body) = request(input);
    let judge = checked(scheme, secret, other, &headers, body);
    if judge.by(&judge.secret, &headers, body).is_ok() {
        let holds = |text: &&str| {
            input
                .windows(text.len())
                .any(|part| part == text.as_bytes())
        };
        assert!(writings.iter().any(holds), "accepted without the secret");
    }
}

/// What holds of every scheme with a secret.
fn checked<'a>(
    scheme: &'a Scheme,
    secret: &str,
    other: &str,
    headers: &Headers<'_>,
    body: &[u8],
) -> Judge<'a> {
    let judge = Judge {
        scheme,
        secret: Secret::new(secret.into()),
        other: Secret::new(other.into()),
    };
    let forged = judge.by(&judge.other, headers, body);
    assert!(
        forged.is_err(),
        "accepted under a secret that signed nothing"
    );

    let draft = Draft {
        id: "id-1",
        event_type: "a.type",
        at: now(),
        body,
    };
    let made = scheme
        .sign(&judge.secret, &draft)
        .expect("any body can be signed");
    let lines = made.iter().map(|(name, value)| (&**name, value.as_bytes()));
    let made = Headers(lines.collect());
    let genuine = judge.by(&judge.secret, &made, body);
    assert!(genuine.is_ok(), "refused what it signed: {genuine:?}");
    let forged = judge.by(&judge.other, &made, body);
    assert!(forged.is_err(), "accepted what another secret signed");
    judge
}
