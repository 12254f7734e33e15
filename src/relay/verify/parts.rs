//! What several schemes are made of: one header of a kind, codes, times, names.
//!
//! # Invariants
//! - Of several headers of one kind none is chosen: the request is refused.
//! - Every code is compared with what every key makes, in a time that tells nothing.
//! - An id or a type that this lets through is short and can be shown on one line.

use std::time::Duration;

use hmac::{KeyInit, Mac};
use jiff::Timestamp;
use sha2::{Digest as _, Sha256};

use super::refusal::Refusal;
use super::scheme::{Draft, Headers, Names, Place, Proof, SignError, Verified};
use crate::event::{self, Identity};

/// The type of an event that names none.
pub(super) const UNNAMED: &str = "event";

/// No header that a scheme reads is longer: those of the vendors have about 100 characters.
pub(super) const LONGEST_HEADER: usize = 4096;
/// A type names a kind and tells nothing.
const LONGEST_TYPE: usize = 256;

/// The one header of this name. `missing` says what it means that there is none, or an empty one.
pub(super) fn one<'a>(
    headers: &Headers<'a>,
    name: &str,
    missing: Refusal,
) -> Result<&'a str, Refusal> {
    let mut values = headers.all(name);
    let value = values.next().ok_or(missing)?;
    if values.next().is_some() {
        return Err(Refusal::SeveralSignatures);
    }
    if value.is_empty() {
        return Err(missing);
    }
    let text = std::str::from_utf8(value).map_err(|_| Refusal::Malformed)?;
    if text.len() > LONGEST_HEADER {
        return Err(Refusal::Malformed);
    }
    Ok(text)
}

/// The one header of this name, if there is one that is not empty.
pub(super) fn optional<'a>(headers: &Headers<'a>, name: &str) -> Result<Option<&'a str>, Refusal> {
    match one(headers, name, Refusal::NoSignature) {
        Err(Refusal::NoSignature) => Ok(None),
        found => found.map(Some),
    }
}

/// The code that is written in hex, of either case; none where it has another length.
pub(super) fn hex_code<const N: usize>(text: &str) -> Option<[u8; N]> {
    let mut code = [0; N];
    hex::decode_to_slice(text, &mut code).ok()?;
    Some(code)
}

/// A whole number without a sign: a time as most schemes write it.
pub(super) fn digits(text: &str) -> Option<i64> {
    let all = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    all.then(|| text.parse().ok())?
}

/// A code that one of the keys makes of these pieces. All are compared, so that the time does not
/// tell which.
pub(super) fn matching<'c, M: Mac + KeyInit + Clone>(
    keys: impl IntoIterator<Item = impl AsRef<[u8]>>,
    codes: &'c [impl AsRef<[u8]>],
    pieces: &[&[u8]],
) -> Result<&'c [u8], Refusal> {
    let mut found = None;
    for key in keys {
        // HMAC takes a key of any length.
        let Ok(mut mac) = <M as KeyInit>::new_from_slice(key.as_ref()) else {
            continue;
        };
        for piece in pieces {
            mac.update(piece);
        }
        for code in codes {
            if mac.clone().verify_slice(code.as_ref()).is_ok() {
                found = Some(code.as_ref());
            }
        }
    }
    found.ok_or(Refusal::WrongSignature)
}

/// The code that this key makes of these pieces.
pub(super) fn code<M: Mac + KeyInit>(key: &[u8], pieces: &[&[u8]]) -> Result<Vec<u8>, SignError> {
    let mut mac = <M as KeyInit>::new_from_slice(key)
        .map_err(|_| SignError("no key can be made of the secret".into()))?;
    for piece in pieces {
        mac.update(piece);
    }
    Ok(mac.finalize().into_bytes().to_vec())
}

/// What the same request shown again has: the code, or what stands for one of another length.
pub(super) fn proof(scheme: &str, code: &[u8]) -> Proof {
    Proof(code.try_into().unwrap_or_else(|_| {
        let digest = Sha256::new().chain_update(scheme).chain_update(code);
        digest.finalize().into()
    }))
}

/// The same where the code does not cover the body: another body is another request.
pub(super) fn proof_with_body(scheme: &str, code: &[u8], body: &[u8]) -> Proof {
    let code = proof(scheme, code);
    Proof(
        Sha256::new()
            .chain_update(code.0)
            .chain_update(body)
            .finalize()
            .into(),
    )
}

/// Whether a time lies within the window, on either side of now. Only for what a code covers.
pub(super) fn check_age(
    sent_at_ms: i128,
    now: Timestamp,
    max_age: Duration,
) -> Result<(), Refusal> {
    let age_ms = i128::from(now.as_millisecond()).saturating_sub(sent_at_ms);
    let off = Duration::from_millis(u64::try_from(age_ms.unsigned_abs()).unwrap_or(u64::MAX));
    match off > max_age {
        false => Ok(()),
        true if age_ms > 0 => Err(Refusal::TooOld(off)),
        true => Err(Refusal::FromTheFuture(off)),
    }
}

/// Seconds since 1970 in milliseconds.
pub(super) fn seconds(seconds: i64) -> i128 {
    i128::from(seconds) * 1000
}

/// The text at a JSON pointer of a body; nothing where it is empty.
pub(super) fn in_body(body: &[u8], pointer: &str) -> Option<String> {
    let json = std::str::from_utf8(body).ok()?;
    event::text_at(json, pointer).filter(|text| !text.is_empty())
}

/// Id and type, where a request has them.
pub(super) fn named(
    names: &Names,
    headers: &Headers<'_>,
    body: &[u8],
) -> Result<[Option<String>; 2], Refusal> {
    let at = |place: &Option<Place>| match place {
        None => Ok(None),
        Some(Place::Pointer(pointer)) => Ok(in_body(body, pointer)),
        Some(Place::Header(name)) => Ok(optional(headers, name)?.map(str::to_owned)),
    };
    Ok([at(&names.id)?, at(&names.event_type)?])
}

/// What an event is called, and what that is worth.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Id {
    /// It and the type are signed as the body is, or none of them is.
    Signed(Option<String>),
    /// It is signed while the type is not.
    Untyped(String),
    /// Neither it nor, mostly, the type is signed while the body is.
    Unsigned(Option<String>),
}

/// A request that its scheme has verified.
pub(super) fn verified(
    event_type: Option<String>,
    id: Id,
    body: &[u8],
    proof: Option<Proof>,
) -> Verified {
    let hash = || hex::encode(Sha256::digest(body));
    let identity = match id {
        Id::Signed(Some(id)) => Identity::Id(shown(id)),
        Id::Signed(None) => Identity::Body(hash()),
        Id::Untyped(id) => {
            let id = shown(id);
            let signed = format!("id:{id}");
            Identity::Unsigned { id, signed }
        }
        Id::Unsigned(id) => {
            let signed = hash();
            let id = id.map_or_else(|| signed.clone(), shown);
            Identity::Unsigned { id, signed }
        }
    };
    Verified {
        event_type: event_type.map_or_else(|| UNNAMED.to_owned(), |text| kind(&text)),
        identity,
        proof,
        reply: None,
    }
}

/// An id that lists and log lines can show: any other is known by its hash.
fn shown(id: String) -> String {
    if id.chars().any(char::is_control) {
        hex::encode(Sha256::digest(id))
    } else {
        event::shortened(id)
    }
}

fn kind(text: &str) -> String {
    let text = text.trim();
    if text.is_empty() || text.chars().any(char::is_control) {
        return UNNAMED.to_owned();
    }
    text.chars().take(LONGEST_TYPE).collect()
}

/// A text that can stand in a header.
pub(super) fn header_value(what: &str, text: &str) -> Result<String, SignError> {
    if text.bytes().all(|b| matches!(b, b' '..=b'~')) && !text.is_empty() {
        Ok(text.to_owned())
    } else {
        Err(SignError(format!(
            "the {what} must stand in a header: printable ASCII, not empty"
        )))
    }
}

/// The headers that carry id and type, where they are carried by headers.
pub(super) fn name_headers(
    names: &Names,
    draft: &Draft<'_>,
) -> Result<Vec<(String, String)>, SignError> {
    let mut headers = Vec::new();
    for (what, place, text) in [
        ("id", &names.id, draft.id),
        ("type", &names.event_type, draft.event_type),
    ] {
        if let Some(Place::Header(name)) = place {
            headers.push((name.clone(), header_value(what, text)?));
        }
    }
    Ok(headers)
}

/// A header `t=<time>,v1=<hex>`: several codes, and other elements that mean nothing here.
#[derive(Debug)]
pub(super) struct Timed<'a> {
    /// As received: this text is what is signed.
    pub(super) sent_at: &'a str,
    /// The same as a number; its unit is the scheme's.
    pub(super) sent_at_number: i64,
    /// The codes.
    pub(super) codes: Vec<[u8; 32]>,
}

impl<'a> Timed<'a> {
    /// Reads it; none where it has another form.
    pub(super) fn parse(header: &'a str) -> Option<Self> {
        let mut sent_at = None;
        let mut codes = Vec::new();
        for element in header.split(',') {
            let (name, value) = element.split_once('=')?;
            match name.trim() {
                "t" if sent_at.is_some() => return None,
                "t" => sent_at = Some(value.trim()),
                // A `v1` that is no code cannot match; another one may.
                "v1" => codes.extend(hex_code(value.trim())),
                _ => {}
            }
        }
        let sent_at = sent_at?;
        let number = sent_at.strip_prefix('-').unwrap_or(sent_at);
        if number.is_empty() || !number.bytes().all(|b| b.is_ascii_digit()) {
            return None;
        }
        let sent_at_number = sent_at.parse().ok()?;
        (!codes.is_empty()).then_some(Self {
            sent_at,
            sent_at_number,
            codes,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(event_type: Option<&str>, id: Id) -> Verified {
        verified(event_type.map(str::to_owned), id, b"{}", None)
    }

    #[test]
    fn a_type_is_short_and_one_line_or_it_is_none() {
        for (said, expected) in [
            (None, "event"),
            (Some(""), "event"),
            (Some("  "), "event"),
            (Some("a\nb"), "event"),
            (Some("a\u{1b}[2J"), "event"),
            (Some(" order.status "), "order.status"),
            (Some("Prüfung"), "Prüfung"),
        ] {
            assert_eq!(of(said, Id::Signed(None)).event_type, expected, "{said:?}");
        }
        let long = of(Some(&"ü".repeat(300)), Id::Signed(None)).event_type;
        assert_eq!(long, "ü".repeat(256));
    }

    #[test]
    fn an_id_that_is_long_or_cannot_be_shown_is_known_by_its_hash() {
        let id = |id: &str| match of(None, Id::Signed(Some(id.to_owned()))).identity {
            Identity::Id(id) => id,
            other => panic!("{other:?}"),
        };
        assert_eq!(id("evt_1"), "evt_1");
        let (line, long) = ("a\nb", "x".repeat(257));
        for text in [line, &long] {
            assert_eq!(id(text), hex::encode(Sha256::digest(text)));
        }
    }

    #[test]
    fn what_is_not_signed_gives_no_identity_of_its_own() {
        let hash = hex::encode(Sha256::digest(b"{}"));
        let unsigned = |id: &str, signed: &str| Identity::Unsigned {
            id: id.to_owned(),
            signed: signed.to_owned(),
        };
        for (id, expected) in [
            (Id::Unsigned(Some("7".into())), unsigned("7", &hash)),
            (Id::Unsigned(None), unsigned(&hash, &hash)),
            (Id::Untyped("7".into()), unsigned("7", "id:7")),
            (Id::Signed(None), Identity::Body(hash.clone())),
        ] {
            assert_eq!(of(None, id.clone()).identity, expected, "{id:?}");
        }
    }

    #[test]
    fn no_name_that_is_not_signed_is_in_the_key_whether_it_is_there_or_not() {
        let key = |id: &Id, event_type| {
            let found = of(event_type, id.clone());
            found.identity.dedupe_key("s", &found.event_type)
        };
        let none = key(&Id::Unsigned(None), None);
        for (id, event_type) in [
            (Id::Unsigned(None), Some("invented")),
            (Id::Unsigned(Some("7".into())), None),
            (Id::Unsigned(Some("8".into())), Some("invented")),
        ] {
            assert_eq!(key(&id, event_type), none, "{id:?} {event_type:?}");
        }
        let id = Id::Untyped("7".into());
        assert_eq!(key(&id, Some("a")), key(&id, Some("b")));
        assert_ne!(key(&id, None), key(&Id::Untyped("8".into()), None));
    }

    #[test]
    fn a_proof_is_the_code_or_stands_for_one_of_another_length() {
        assert_eq!(proof("a", &[7; 32]).0, [7; 32]);
        assert_eq!(proof("a", &[7; 20]), proof("a", &[7; 20]));
        assert_ne!(proof("a", &[7; 20]), proof("a", &[8; 20]));
        assert_ne!(proof("a", &[7; 20]), proof("b", &[7; 20]));
    }

    #[test]
    fn no_time_overflows() {
        let now = Timestamp::from_second(1_770_000_000).unwrap();
        let check = |ms| check_age(ms, now, Duration::from_mins(5));
        assert_eq!(check(1_770_000_000_000), Ok(()));
        for past in [i128::MIN, seconds(i64::MIN), 0] {
            assert!(matches!(check(past), Err(Refusal::TooOld(_))));
        }
        for future in [i128::MAX, seconds(i64::MAX)] {
            assert!(matches!(check(future), Err(Refusal::FromTheFuture(_))));
        }
    }

    #[test]
    fn only_what_can_stand_in_a_header_is_put_there() {
        let names = Names {
            id: Some(Place::Header("X-Id".into())),
            event_type: Some(Place::Pointer("/type".into())),
        };
        let put = |id| {
            let draft = Draft {
                id,
                event_type: "any\nthing",
                at: Timestamp::UNIX_EPOCH,
                body: b"",
            };
            name_headers(&names, &draft)
        };
        assert_eq!(put("7"), Ok(vec![("X-Id".to_owned(), "7".to_owned())]));
        for id in ["", "7\r\nX-Other: 8", "ü"] {
            let why = put(id).unwrap_err().to_string();
            assert!(why.starts_with("the id must stand in a header"), "{why}");
        }
    }
}
