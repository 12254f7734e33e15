//! A code in a header as its configuration has it: which hash over which pieces, written how, under
//! which key.
//!
//! # Invariants
//! - Pure; the comparison takes the same time whatever differs.
//! - Time, id and headers are signed as they were received, and the time is judged only after the
//!   code matched.
//! - What a header says counts as signed only where the code covers that header.
//! - No header and no body makes this panic, overflow or allocate more than they are long.

use std::borrow::Cow;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::Hmac;
use jiff::Timestamp;
use sha1::Sha1;
use sha2::{Sha256, Sha512};

use super::parts;
use super::refusal::Refusal;
use super::scheme::{
    Draft, Encoding, Hash, Headers, HmacForm, KeyForm, Piece, Place, SignError, Unit, Verified,
};
use crate::secret::Secret;

/// What stands in a header that is signed and means nothing here.
const SAMPLE: &str = "sample";

/// Headers that have the right form.
#[derive(Debug)]
pub(super) struct Signature<'a> {
    code: Vec<u8>,
    /// As received, which is what is signed, and in milliseconds.
    sent_at: Option<(&'a str, i128)>,
}

/// Whether the headers have this form.
pub(super) fn read<'a>(headers: &Headers<'a>, form: &HmacForm) -> Result<Signature<'a>, Refusal> {
    let header = parts::one(headers, &form.header, Refusal::NoSignature)?;
    let code = header
        .strip_prefix(&*form.prefix)
        .and_then(|text| match form.code {
            Encoding::Hex => hex::decode(text).ok(),
            Encoding::Base64 => STANDARD.decode(text).ok(),
        })
        .filter(|code| code.len() == length(form.hash))
        .ok_or(Refusal::Malformed)?;
    let sent_at = match &form.timestamp {
        None => None,
        Some((name, unit)) => {
            let text = parts::one(headers, name, Refusal::NoTimestamp)?;
            Some((text, millis(text, *unit).ok_or(Refusal::Malformed)?))
        }
    };
    for name in [&form.names.id, &form.names.event_type] {
        if let Some(Place::Header(name)) = name {
            parts::optional(headers, name)?;
        }
    }
    for piece in &form.signed {
        match (piece, &form.names.id) {
            (Piece::Header(name), _) | (Piece::Id, Some(Place::Header(name))) => {
                parts::one(headers, name, Refusal::Malformed)?;
            }
            _ => {}
        }
    }
    Ok(Signature { code, sent_at })
}

/// Checks a request: the code, and then the time.
pub(super) fn verify(
    headers: &Headers<'_>,
    body: &[u8],
    secrets: &[Secret],
    now: Timestamp,
    max_age: Duration,
    form: &HmacForm,
) -> Result<Verified, Refusal> {
    let signature = read(headers, form)?;
    let [id, event_type] = parts::named(&form.names, headers, body)?;
    let mut pieces: Vec<&[u8]> = Vec::with_capacity(form.signed.len());
    for piece in &form.signed {
        pieces.push(match piece {
            Piece::Text(text) => text.as_bytes(),
            Piece::Timestamp => signature.sent_at.ok_or(Refusal::NoTimestamp)?.0.as_bytes(),
            Piece::Id => id.as_deref().ok_or(Refusal::Malformed)?.as_bytes(),
            Piece::Body => body,
            Piece::Header(name) => parts::one(headers, name, Refusal::Malformed)?.as_bytes(),
        });
    }
    // A secret that is no key in this form cannot match; another one may.
    let keys = secrets.iter().filter_map(|secret| key(secret, form.key));
    let codes = [signature.code];
    let code = match form.hash {
        Hash::Sha1 => parts::matching::<Hmac<Sha1>>(keys, &codes, &pieces),
        Hash::Sha256 => parts::matching::<Hmac<Sha256>>(keys, &codes, &pieces),
        Hash::Sha512 => parts::matching::<Hmac<Sha512>>(keys, &codes, &pieces),
    }?;
    if let Some((_, sent_at_ms)) = signature.sent_at {
        parts::check_age(sent_at_ms, now, max_age)?;
    }
    let [id_is_signed, type_is_signed] = names_are_signed(form);
    let id = match id {
        id if body_unsigned(form) || (id_is_signed && type_is_signed) => parts::Id::Signed(id),
        // Under another type the same id is still the same event.
        Some(id) if id_is_signed => parts::Id::Untyped(id),
        // Under another id or type the same body is.
        id => parts::Id::Unsigned(id),
    };
    let proof = if body_unsigned(form) {
        parts::proof_with_body("hmac", code, body)
    } else {
        parts::proof("hmac", code)
    };
    Ok(parts::verified(event_type, id, body, Some(proof)))
}

/// The headers of a request.
pub(super) fn sign(
    secret: &Secret,
    draft: &Draft<'_>,
    form: &HmacForm,
) -> Result<Vec<(String, String)>, SignError> {
    check_secret(secret, form).map_err(SignError)?;
    let mut headers = parts::name_headers(&form.names, draft)?;
    if let Some((name, unit)) = &form.timestamp {
        headers.push((name.clone(), written(draft.at, *unit)));
    }
    for piece in &form.signed {
        if let Piece::Header(name) = piece
            && value_of(&headers, name).is_none()
        {
            headers.push((name.clone(), SAMPLE.to_owned()));
        }
    }
    let mut signed = Vec::new();
    for piece in &form.signed {
        let text: Cow<'_, [u8]> = match (piece, &form.names.id, &form.timestamp) {
            (Piece::Text(text), ..) => text.as_bytes().into(),
            (Piece::Body, ..) => draft.body.into(),
            (Piece::Header(name), ..)
            | (Piece::Id, Some(Place::Header(name)), _)
            | (Piece::Timestamp, _, Some((name, _))) => {
                let value = value_of(&headers, name).unwrap_or_default();
                value.as_bytes().into()
            }
            (Piece::Id, Some(Place::Pointer(pointer)), _) => {
                let id = parts::in_body(draft.body, pointer).ok_or_else(|| {
                    SignError(format!(
                        "the id is signed, and the body has none at {pointer}"
                    ))
                })?;
                id.into_bytes().into()
            }
            (Piece::Id, None, _) => {
                return Err(SignError("the id is signed, but has no place".into()));
            }
            (Piece::Timestamp, _, None) => {
                return Err(SignError("the time is signed, but has no header".into()));
            }
        };
        signed.push(text);
    }
    let pieces: Vec<&[u8]> = signed.iter().map(AsRef::as_ref).collect();
    let key = key(secret, form.key).unwrap_or_default();
    let code = match form.hash {
        Hash::Sha1 => parts::code::<Hmac<Sha1>>(&key, &pieces),
        Hash::Sha256 => parts::code::<Hmac<Sha256>>(&key, &pieces),
        Hash::Sha512 => parts::code::<Hmac<Sha512>>(&key, &pieces),
    }?;
    let code = match form.code {
        Encoding::Hex => hex::encode(code),
        Encoding::Base64 => STANDARD.encode(code),
    };
    headers.push((form.header.clone(), format!("{}{code}", form.prefix)));
    Ok(headers)
}

/// Whether the secret is a key in the form that is configured. What is said does not hold it.
pub(super) fn check_secret(secret: &Secret, form: &HmacForm) -> Result<(), String> {
    let form = match (form.key, key(secret, form.key)) {
        (_, Some(key)) if !key.is_empty() => return Ok(()),
        (_, Some(_)) => return Err("the secret is empty".into()),
        (KeyForm::Hex, None) => "hexadecimal digits, two for each byte",
        (KeyForm::Base64, None) => "base64 with its padding",
        (KeyForm::Text, None) => "text",
    };
    Err(format!(
        "the key is to be read from {form}, and the secret is something else: give that, or another `key`"
    ))
}

/// Whether the code covers no body.
pub(super) fn body_unsigned(form: &HmacForm) -> bool {
    !form.signed.contains(&Piece::Body)
}

/// Whether id and type are covered by the code as far as they are in headers. What is in the body
/// is as good as the body.
fn names_are_signed(form: &HmacForm) -> [bool; 2] {
    let covers = |place: &Option<Place>, is_id: bool| match place {
        Some(Place::Header(name)) => form.signed.iter().any(|piece| match piece {
            Piece::Id => is_id,
            Piece::Header(signed) => signed.eq_ignore_ascii_case(name),
            _ => false,
        }),
        Some(Place::Pointer(_)) | None => true,
    };
    [
        covers(&form.names.id, true),
        covers(&form.names.event_type, false),
    ]
}

fn key(secret: &Secret, form: KeyForm) -> Option<Vec<u8>> {
    let text = secret.expose();
    match form {
        KeyForm::Text => Some(text.as_bytes().to_vec()),
        KeyForm::Hex => hex::decode(text).ok(),
        KeyForm::Base64 => STANDARD.decode(text).ok(),
    }
}

fn length(hash: Hash) -> usize {
    match hash {
        Hash::Sha1 => 20,
        Hash::Sha256 => 32,
        Hash::Sha512 => 64,
    }
}

fn millis(text: &str, unit: Unit) -> Option<i128> {
    match unit {
        Unit::Seconds => parts::digits(text).map(parts::seconds),
        Unit::Milliseconds => parts::digits(text).map(i128::from),
        Unit::Rfc3339 => {
            let at: Timestamp = text.parse().ok()?;
            Some(at.as_millisecond().into())
        }
    }
}

fn written(at: Timestamp, unit: Unit) -> String {
    match unit {
        Unit::Seconds => at.as_second().to_string(),
        Unit::Milliseconds => at.as_millisecond().to_string(),
        Unit::Rfc3339 => at.to_string(),
    }
}

fn value_of<'h>(headers: &'h [(String, String)], name: &str) -> Option<&'h str> {
    headers
        .iter()
        .find(|(known, _)| known.eq_ignore_ascii_case(name))
        .map(|(_, value)| &**value)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use sha2::Digest as _;

    use super::*;
    use crate::event::Identity;
    use crate::relay::verify::scheme::Names;

    const NOW_S: i64 = 1_770_000_000;
    const WINDOW: Duration = Duration::from_mins(5);
    const BODY: &[u8] = br#"{"id":"evt_1"}"#;
    /// `openssl dgst -sha256 -hmac plant-secret` over `1770000000.{"id":"evt_1"}`.
    const GOOD: &str = "a14f74fafcc71ff1bf36faa7d7b9b5f3ed8d4b150d48616ca82289669f492d30";

    fn header(name: &str) -> Place {
        Place::Header(name.into())
    }

    fn pointer(pointer: &str) -> Place {
        Place::Pointer(pointer.into())
    }

    fn text(text: &str) -> Piece {
        Piece::Text(text.into())
    }

    /// `X-Code: v1=<hex>` over `{timestamp}.{body}`, with `X-Time` in seconds.
    fn form() -> HmacForm {
        HmacForm {
            header: "X-Code".into(),
            prefix: "v1=".into(),
            hash: Hash::Sha256,
            code: Encoding::Hex,
            key: KeyForm::Text,
            timestamp: Some(("X-Time".into(), Unit::Seconds)),
            signed: vec![Piece::Timestamp, text("."), Piece::Body],
            names: Names {
                id: Some(pointer("/id")),
                event_type: Some(header("X-Type")),
            },
        }
    }

    fn secrets(texts: &[&str]) -> Vec<Secret> {
        let new = |text: &&str| Secret::new((*text).to_owned());
        texts.iter().map(new).collect()
    }

    fn check_by(
        form: &HmacForm,
        lines: &[(&str, &str)],
        body: &[u8],
        texts: &[&str],
    ) -> Result<Verified, Refusal> {
        let lines = lines.iter().map(|(name, value)| (*name, value.as_bytes()));
        let headers = Headers(lines.collect());
        let now = Timestamp::from_second(NOW_S).unwrap();
        let verified = verify(&headers, body, &secrets(texts), now, WINDOW, form);
        if let Err(refusal) = read(&headers, form) {
            assert_eq!(verified, Err(refusal), "read and verify differ");
        }
        verified
    }

    fn check(lines: &[(&str, &str)], body: &[u8]) -> Result<Verified, Refusal> {
        check_by(&form(), lines, body, &["plant-secret"])
    }

    fn good() -> String {
        format!("v1={GOOD}")
    }

    fn draft(body: &[u8]) -> Draft<'_> {
        Draft {
            id: "evt_1",
            event_type: "made",
            at: Timestamp::from_second(NOW_S).unwrap(),
            body,
        }
    }

    /// What `sign` makes, checked.
    fn round(form: &HmacForm, secret: &str, by: &str, body: &[u8]) -> Result<Verified, Refusal> {
        let secret = Secret::new(secret.into());
        let signed = sign(&secret, &draft(body), form).unwrap();
        let lines: Vec<_> = signed.iter().map(|(n, v)| (&**n, &**v)).collect();
        check_by(form, &lines, body, &[by])
    }

    #[test]
    fn the_codes_are_those_that_openssl_makes() {
        let time = ("x-time", "1770000000");
        for (hash, code) in [
            (Hash::Sha1, "765601fcbf8c49d90a837f552ca19f6b27c0d1a2"),
            (Hash::Sha256, GOOD),
            (
                Hash::Sha512,
                "b6a2ec171612696e2f400b3015463d616d81c588f7b04d894bc611e71060cfed\
                 91fbe8acd9e1c20312f59016fa0de7bd368849705837f9514d157320650b6c5d",
            ),
        ] {
            let form = HmacForm { hash, ..form() };
            for code in [code.to_owned(), code.to_uppercase()] {
                let lines = [time, ("x-code", &*format!("v1={code}"))];
                let verified = check_by(&form, &lines, BODY, &["plant-secret"]).unwrap();
                assert_eq!(verified.event_type, "event");
            }
        }
    }

    #[test]
    fn every_hash_writing_key_and_unit_makes_what_it_accepts() {
        let hashes = [Hash::Sha1, Hash::Sha256, Hash::Sha512];
        let units = [Unit::Seconds, Unit::Milliseconds, Unit::Rfc3339];
        let times = units.map(|unit| Some(("X-Time".to_owned(), unit)));
        let keys = [
            (KeyForm::Text, "plant-secret", "plant-secreu"),
            (KeyForm::Hex, "00ff10", "00ff11"),
            (KeyForm::Base64, "AP8Q", "AP8R"),
        ];
        for hash in hashes {
            for code in [Encoding::Hex, Encoding::Base64] {
                for (key, secret, other) in keys {
                    for timestamp in times.iter().cloned() {
                        let form = HmacForm {
                            hash,
                            code,
                            key,
                            timestamp,
                            ..form()
                        };
                        let verified = round(&form, secret, secret, BODY).unwrap();
                        assert_eq!(verified.event_type, "made", "{form:?}");
                        let refused = round(&form, secret, other, BODY);
                        assert_eq!(refused, Err(Refusal::WrongSignature), "{form:?}");
                    }
                }
            }
        }
    }

    #[test]
    fn the_key_stands_for_the_same_bytes_in_each_form() {
        let lines = [("x-time", "1770000000"), ("x-code", &*good())];
        for (key, secret) in [
            (KeyForm::Text, "plant-secret"),
            (KeyForm::Hex, "706c616e742d736563726574"),
            (KeyForm::Base64, "cGxhbnQtc2VjcmV0"),
        ] {
            let form = HmacForm { key, ..form() };
            assert!(check_by(&form, &lines, BODY, &[secret]).is_ok(), "{key:?}");
            // One that is no key does not stand in the way of one that is.
            assert!(check_by(&form, &lines, BODY, &["x!", secret]).is_ok());
            assert!(check_secret(&Secret::new(secret.into()), &form).is_ok());
        }
    }

    #[test]
    fn a_secret_that_is_no_key_is_refused_and_not_said() {
        for (key, secret) in [
            (KeyForm::Text, ""),
            (KeyForm::Hex, "canary"),
            (KeyForm::Hex, "abc"),
            (KeyForm::Base64, "canary!"),
            (KeyForm::Base64, "YQ"),
        ] {
            let form = HmacForm { key, ..form() };
            let secret = Secret::new(secret.into());
            let error = check_secret(&secret, &form).unwrap_err();
            assert!(!error.contains("canary"), "{error}");
            let error = sign(&secret, &draft(BODY), &form).unwrap_err();
            assert!(!error.to_string().contains("canary"), "{error}");
        }
    }

    #[test]
    fn every_piece_of_the_template_is_signed() {
        let form = HmacForm {
            signed: vec![
                text("v0:"),
                Piece::Id,
                text(":"),
                Piece::Timestamp,
                text(":"),
                Piece::Header("X-Topic".into()),
                Piece::Body,
                text("|"),
                Piece::Body,
            ],
            names: Names {
                id: Some(header("X-Id")),
                event_type: Some(header("X-Topic")),
            },
            ..form()
        };
        let signed = sign(&Secret::new("s".into()), &draft(BODY), &form).unwrap();
        let lines: Vec<_> = signed.iter().map(|(n, v)| (&**n, &**v)).collect();
        let verified = check_by(&form, &lines, BODY, &["s"]).unwrap();
        assert_eq!(verified.identity, Identity::Id("evt_1".into()));
        assert_eq!(verified.event_type, "made");
        for (name, value) in [
            ("X-Id", "evt_2"),
            ("X-Time", "1770000001"),
            ("X-Topic", "lost"),
        ] {
            let mut other = lines.clone();
            other.retain(|(known, _)| *known != name);
            let missing = match name {
                "X-Time" => Refusal::NoTimestamp,
                _ => Refusal::Malformed,
            };
            assert_eq!(check_by(&form, &other, BODY, &["s"]), Err(missing));
            other.push((name, value));
            let refused = check_by(&form, &other, BODY, &["s"]);
            assert_eq!(refused, Err(Refusal::WrongSignature), "{name}");
            other.push((name, value));
            let refused = check_by(&form, &other, BODY, &["s"]);
            assert_eq!(refused, Err(Refusal::SeveralSignatures), "{name}");
        }
        let refused = check_by(&form, &lines, b"{}", &["s"]);
        assert_eq!(refused, Err(Refusal::WrongSignature));
    }

    #[test]
    fn a_signed_id_of_the_body_must_be_there() {
        let form = HmacForm {
            signed: vec![Piece::Id, text("."), Piece::Body],
            ..form()
        };
        assert!(round(&form, "s", "s", BODY).is_ok());
        let error = sign(&Secret::new("s".into()), &draft(b"{}"), &form).unwrap_err();
        assert!(error.to_string().contains("/id"), "{error}");
        let code = format!("v1={GOOD}");
        let lines = [("x-time", "1770000000"), ("x-code", &*code)];
        let refused = check_by(&form, &lines, b"{}", &["s"]);
        assert_eq!(refused, Err(Refusal::Malformed));
    }

    #[test]
    fn a_header_that_is_not_signed_makes_no_new_event_of_a_signed_body() {
        let identity = |names: &Names, signed: &[Piece]| {
            let form = HmacForm {
                names: names.clone(),
                signed: signed.to_vec(),
                ..form()
            };
            round(&form, "s", "s", BODY).unwrap().identity
        };
        let hash = hex::encode(Sha256::digest(BODY));
        let names = |id, event_type| Names { id, event_type };
        let by = |id: &str, signed: &str| Identity::Unsigned {
            id: id.into(),
            signed: signed.into(),
        };
        let by_body = |id: &str| by(id, &hash);
        let id = |id: &str| Identity::Id(id.into());
        let body = &[Piece::Body][..];
        let both = &[Piece::Id, Piece::Body][..];
        let header_too = &[Piece::Header("x-id".into()), Piece::Body][..];
        let no_body = &[Piece::Id, Piece::Timestamp][..];
        for (id_at, type_at, signed, expected) in [
            (
                Some(pointer("/id")),
                Some(pointer("/type")),
                body,
                id("evt_1"),
            ),
            (Some(pointer("/id")), None, body, id("evt_1")),
            (Some(header("X-Id")), None, body, by_body("evt_1")),
            (Some(header("X-Id")), None, both, id("evt_1")),
            (Some(header("X-Id")), None, header_too, id("evt_1")),
            (Some(header("X-Id")), None, no_body, id("evt_1")),
            (
                Some(pointer("/id")),
                Some(header("X-Type")),
                body,
                by("evt_1", "id:evt_1"),
            ),
            (
                Some(header("X-Id")),
                Some(header("X-Type")),
                body,
                by_body("evt_1"),
            ),
            (
                Some(pointer("/no")),
                Some(header("X-Type")),
                body,
                by_body(&hash),
            ),
            (None, Some(header("X-Type")), body, by_body(&hash)),
            (None, None, body, Identity::Body(hash.clone())),
            (
                Some(pointer("/no")),
                None,
                body,
                Identity::Body(hash.clone()),
            ),
        ] {
            let names = names(id_at, type_at);
            assert_eq!(identity(&names, signed), expected, "{names:?} {signed:?}");
        }
    }

    #[test]
    fn headers_that_are_missing_or_doubled_are_refused() {
        let code = good();
        let (time, code) = (("X-Time", "1770000000"), ("X-Code", &*code));
        assert!(check(&[time, code], BODY).is_ok());
        for (lines, refusal) in [
            (&[time][..], Refusal::NoSignature),
            (&[time, ("X-Code", "")], Refusal::NoSignature),
            (&[time, code, code], Refusal::SeveralSignatures),
            (
                &[time, code, ("x-code", "v1=0")],
                Refusal::SeveralSignatures,
            ),
            (&[code], Refusal::NoTimestamp),
            (&[code, ("X-Time", "")], Refusal::NoTimestamp),
            (&[time, time, code], Refusal::SeveralSignatures),
            (
                &[time, code, ("X-Type", "a"), ("X-Type", "b")],
                Refusal::SeveralSignatures,
            ),
        ] {
            assert_eq!(check(lines, BODY), Err(refusal), "{lines:?}");
        }
    }

    #[test]
    fn malformed_headers_are_refused() {
        for code in [
            GOOD,
            "v1=",
            "V1=a14f",
            &format!("v1= {GOOD}"),
            &format!("v1={}", &GOOD[..62]),
            &format!("v1={}", &GOOD[..63]),
            &format!("v1={GOOD}00"),
            &format!("v1={}", "z".repeat(64)),
            &format!("v1={}", STANDARD.encode([0; 32])),
            &format!("v1={}", "0".repeat(5_000)),
        ] {
            let refused = check(&[("x-time", "1770000000"), ("x-code", code)], BODY);
            assert_eq!(refused, Err(Refusal::Malformed), "{code}");
        }
        let base64 = HmacForm {
            code: Encoding::Base64,
            ..form()
        };
        for code in [
            "v1=AAAA",
            &good(),
            "v1=!",
            &format!("v1={}", "A".repeat(43)),
        ] {
            let lines = [("x-time", "1770000000"), ("x-code", code)];
            let refused = check_by(&base64, &lines, BODY, &["plant-secret"]);
            assert_eq!(refused, Err(Refusal::Malformed), "{code}");
        }
        for time in [
            "now",
            "-1",
            "+1770000000",
            "1770000000.0",
            "99999999999999999999",
        ] {
            let refused = check(&[("x-time", time), ("x-code", &good())], BODY);
            assert_eq!(refused, Err(Refusal::Malformed), "{time}");
        }
    }

    #[test]
    fn another_secret_or_one_flipped_bit_is_refused() {
        let code = good();
        let lines = [("x-time", "1770000000"), ("x-code", &*code)];
        for texts in [&[][..], &["plant-secre"], &["plant-secret "], &[""]] {
            let refused = check_by(&form(), &lines, BODY, texts);
            assert_eq!(refused, Err(Refusal::WrongSignature), "{texts:?}");
        }
        for texts in [["new", "plant-secret"], ["plant-secret", "new"]] {
            assert!(check_by(&form(), &lines, BODY, &texts).is_ok());
        }
        for bit in 0..BODY.len() * 8 {
            let mut body = BODY.to_vec();
            body[bit / 8] ^= 1 << (bit % 8);
            let refused = check(&lines, &body);
            assert_eq!(refused, Err(Refusal::WrongSignature), "bit {bit}");
        }
    }

    #[test]
    fn the_window_holds_in_both_directions_and_in_every_unit() {
        let at = |ms: i64, unit| {
            let form = HmacForm {
                timestamp: Some(("X-Time".into(), unit)),
                ..form()
            };
            let at = Timestamp::from_millisecond(NOW_S * 1000 + ms).unwrap();
            let draft = Draft { at, ..draft(BODY) };
            let signed = sign(&Secret::new("s".into()), &draft, &form).unwrap();
            let lines: Vec<_> = signed.iter().map(|(n, v)| (&**n, &**v)).collect();
            check_by(&form, &lines, BODY, &["s"]).map(drop)
        };
        for unit in [Unit::Seconds, Unit::Milliseconds, Unit::Rfc3339] {
            assert_eq!((at(-300_000, unit), at(300_000, unit)), (Ok(()), Ok(())));
            let off = Duration::from_secs(301);
            assert_eq!(at(-301_000, unit), Err(Refusal::TooOld(off)));
            assert_eq!(at(301_000, unit), Err(Refusal::FromTheFuture(off)));
        }
        // The time is judged only after the code matched.
        let code = good();
        let lines = [("x-time", "9223372036854775807"), ("x-code", &*code)];
        assert_eq!(check(&lines, BODY), Err(Refusal::WrongSignature));
    }

    #[test]
    fn without_a_time_none_is_asked_for() {
        let form = HmacForm {
            timestamp: None,
            signed: vec![Piece::Body],
            ..form()
        };
        assert!(round(&form, "s", "s", BODY).is_ok());
    }

    #[test]
    fn the_same_code_is_the_same_proof_whatever_its_length_and_writing() {
        for hash in [Hash::Sha1, Hash::Sha256, Hash::Sha512] {
            let form = HmacForm { hash, ..form() };
            let proof = |body: &[u8]| round(&form, "s", "s", body).unwrap().proof.unwrap();
            assert_eq!(proof(BODY), proof(BODY));
            assert_ne!(proof(BODY), proof(b"{}"));
        }
    }

    proptest! {
        #[test]
        fn what_is_signed_is_accepted_under_this_secret_only(
            body: Vec<u8>, secret in "[a-zé ]{1,80}", other in "[a-zé ]{1,80}", prefix in "[a-z0-9=]{0,7}",
        ) {
            let form = HmacForm { prefix, ..form() };
            prop_assert!(round(&form, &secret, &secret, &body).is_ok());
            prop_assume!(secret != other);
            prop_assert_eq!(round(&form, &secret, &other, &body), Err(Refusal::WrongSignature));
        }

        #[test]
        fn no_headers_and_no_body_panic(code: Vec<u8>, time: Vec<u8>, digits in "[0-9]{0,30}", body: Vec<u8>) {
            for time in [&time[..], digits.as_bytes()] {
                let headers = Headers(vec![("x-code", &code), ("x-time", time), ("x-type", &code)]);
                let now = Timestamp::from_second(NOW_S).unwrap();
                let judged = verify(&headers, &body, &secrets(&["s"]), now, WINDOW, &form());
                prop_assert!(judged.is_err());
            }
        }
    }
}
