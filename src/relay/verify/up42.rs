//! UP42's scheme, as its documentation of webhooks describes it:
//! `signature-input: up42-sig=("a" "b" …);created=<Unix seconds>` names headers. Their values,
//! joined in this order without separators, are HMAC-SHA256'd under the secret's text;
//! `signature: up42-sig=<base64>` has the code.
//!
//! The body is not signed. Where a digest header is among the named ones (`digest:
//! SHA-256=<base64>` or RFC 9530's `content-digest: sha-256=:<base64>:`), it is compared with the
//! body, which then counts as signed.
//!
//! Nor is `signature-input` signed, unless it is named itself. So `created` keeps nobody from
//! showing an old request again under a new time. What then holds is that it brings nothing new:
//! the same code is a duplicate for a while, and the id in a signed body for good. Behind
//! `body_unsigned` neither holds: who has one genuine request can make others of it.
//!
//! # Invariants
//! - Pure; the comparison takes the same time whatever differs.
//! - A request that signs nothing at all is refused.
//! - Digest and time are judged only after the code matched.
//! - No header makes this panic, overflow or allocate more than the headers are long.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::Hmac;
use jiff::Timestamp;
use sha2::{Digest as _, Sha256};

use super::parts;
use super::refusal::Refusal;
use super::scheme::{Draft, Headers, SignError, Verified};
use crate::secret::Secret;

const INPUT: &str = "signature-input";
const SIGNATURE: &str = "signature";
const LABEL: &str = "up42-sig=";
const DIGEST: &str = "digest";
const CONTENT_DIGEST: &str = "content-digest";

/// UP42 wants a request refused that is older, whatever else is allowed.
const OLDEST: Duration = Duration::from_mins(5);
/// It may not be from later than now either; what is told in whole seconds may be rounded up.
const ROUNDING: Duration = Duration::from_secs(1);
/// No request names more headers: UP42's name fewer than ten.
const MOST_NAMES: usize = 32;

/// Headers that have the right form.
#[derive(Debug)]
pub(super) struct Signature<'a> {
    code: [u8; 32],
    created_s: i64,
    /// The values of the named headers, in order.
    values: Vec<&'a [u8]>,
    /// Those of them that tell a digest of the body.
    digests: Vec<&'a str>,
}

/// Whether the headers have the form of this scheme.
pub(super) fn read<'a>(headers: &Headers<'a>) -> Result<Signature<'a>, Refusal> {
    let signature = parts::one(headers, SIGNATURE, Refusal::NoSignature)?;
    let code = code(signature).ok_or(Refusal::Malformed)?;
    let input = parts::one(headers, INPUT, Refusal::NoSignature)?;
    let (names, created_s) = input_of(input).ok_or(Refusal::Malformed)?;
    let mut found = Signature {
        code,
        created_s,
        values: Vec::with_capacity(names.len()),
        digests: Vec::new(),
    };
    for name in names {
        let value = parts::one(headers, name, Refusal::Malformed)?;
        found.values.push(value.as_bytes());
        if [DIGEST, CONTENT_DIGEST]
            .iter()
            .any(|known| name.eq_ignore_ascii_case(known))
        {
            found.digests.push(value);
        }
    }
    Ok(found)
}

/// How old a request may be, and how early.
pub(super) fn window(max_age: Duration) -> (Duration, Duration) {
    (max_age.min(OLDEST), ROUNDING)
}

/// Checks a request: the code, then the digest of the body, then the time.
pub(super) fn verify(
    headers: &Headers<'_>,
    body: &[u8],
    secrets: &[Secret],
    now: Timestamp,
    max_age: Duration,
    body_unsigned: bool,
) -> Result<Verified, Refusal> {
    let signature = read(headers)?;
    let keys = secrets.iter().map(Secret::expose);
    let codes = [signature.code];
    let code = parts::matching::<Hmac<Sha256>>(keys, &codes, &signature.values)?;
    if signature.digests.is_empty() && !body_unsigned {
        return Err(Refusal::BodyUnsigned);
    }
    let hash: [u8; 32] = Sha256::digest(body).into();
    if !signature.digests.iter().all(|digest| tells(digest, &hash)) {
        return Err(Refusal::WrongDigest);
    }
    let created_ms = parts::seconds(signature.created_s);
    let later = created_ms > i128::from(now.as_millisecond());
    let (old, early) = window(max_age);
    parts::check_age(created_ms, now, if later { early } else { old })?;
    let proof = if signature.digests.is_empty() {
        parts::proof_with_body("up42", code, body)
    } else {
        parts::proof("up42", code)
    };
    Ok(parts::verified(
        parts::in_body(body, "/event"),
        parts::Id::Signed(parts::in_body(body, "/messageId")),
        body,
        Some(proof),
    ))
}

/// The headers of a request whose body is signed by its digest.
pub(super) fn sign(secret: &Secret, draft: &Draft<'_>) -> Result<Vec<(String, String)>, SignError> {
    let digest = format!("SHA-256={}", STANDARD.encode(Sha256::digest(draft.body)));
    let key = secret.expose().as_bytes();
    let code = parts::code::<Hmac<Sha256>>(key, &[digest.as_bytes()])?;
    let created = draft.at.as_second();
    let headers = [
        (INPUT, format!("{LABEL}(\"{DIGEST}\");created={created}")),
        (SIGNATURE, format!("{LABEL}{}", STANDARD.encode(code))),
        (DIGEST, digest),
    ];
    Ok(headers.map(|(name, value)| (name.to_owned(), value)).into())
}

fn code(header: &str) -> Option<[u8; 32]> {
    let code = header.strip_prefix(LABEL)?;
    let bare = code.strip_prefix('"').map(|code| code.strip_suffix('"'));
    STANDARD
        .decode(bare.unwrap_or(Some(code))?)
        .ok()?
        .try_into()
        .ok()
}

/// The names of the headers, each once, and when the request was made.
fn input_of(header: &str) -> Option<(Vec<&str>, i64)> {
    let (list, parameters) = header
        .strip_prefix(LABEL)?
        .strip_prefix('(')?
        .split_once(')')?;
    let mut names: Vec<&str> = Vec::new();
    for item in list.split_ascii_whitespace() {
        let name = item.strip_prefix('"')?.strip_suffix('"')?;
        let token = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
        // Few enough that each can be compared with all.
        let twice = names.iter().any(|known| known.eq_ignore_ascii_case(name));
        if name.is_empty() || !name.bytes().all(token) || twice || names.len() == MOST_NAMES {
            return None;
        }
        names.push(name);
    }
    let mut created = None;
    for parameter in parameters.strip_prefix(';')?.split(';') {
        let (key, value) = parameter.split_once('=')?;
        if key.trim() == "created" && created.replace(parts::digits(value.trim())?).is_some() {
            return None;
        }
    }
    // Without a name the code would be that of nothing: the same for every request.
    (!names.is_empty()).then_some((names, created?))
}

/// Whether a digest header tells this hash: what it says of SHA-256 is right, and it says something.
fn tells(header: &str, hash: &[u8; 32]) -> bool {
    let mut told = false;
    for one in header.split(',') {
        let Some((name, value)) = one.trim().split_once('=') else {
            return false;
        };
        if !name.eq_ignore_ascii_case("sha-256") {
            continue;
        }
        let bare = value.strip_prefix(':').map(|value| value.strip_suffix(':'));
        let Some(value) = bare.unwrap_or(Some(value)) else {
            return false;
        };
        if STANDARD.decode(value).ok().as_deref() != Some(hash) {
            return false;
        }
        told = true;
    }
    told
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::event::Identity;

    const NOW_S: i64 = 1_770_000_000;
    const WINDOW: Duration = Duration::from_mins(5);
    const BODY: &[u8] = br#"{"messageId":"6a1c4b2e-0d5f-4f53-9a2e-1f0a7a3f9d11","event":"order.status","body":{"status":"FULFILLED"}}"#;
    /// SHA-256 of the body, by Python's hashlib.
    const DIGEST_VALUE: &str = "SHA-256=ok9UK0iMiSpTVhJ3mt2l/zz3YvBtZ+5t7z0lCJIVhHs=";
    const CONTENT_DIGEST_VALUE: &str = "sha-256=:ok9UK0iMiSpTVhJ3mt2l/zz3YvBtZ+5t7z0lCJIVhHs=:";
    /// `base64.b64encode(hmac.digest(b"plant-secret", "".join(headers[n] for n in names), sha256))`
    /// of Python, as UP42's example computes it.
    const GOOD: &str = "up42-sig=Hc4quEiFivQWHKuX5+TGkZCiZrWtBd4RNmhQTr1LMN4=";
    const GOOD_CONTENT_DIGEST: &str = "up42-sig=WLqQ8Z4lSlVt2R0oUfzgdyKIEGtsz5KnYnP5dExLEQo=";
    const GOOD_WITHOUT_DIGEST: &str = "up42-sig=/AjrJ0yhtPLYmqAiEBhr2dLkxsobTspIrb+9GiX6SfQ=";
    const INPUT_VALUE: &str = r#"up42-sig=("host" "content-type" "digest");created=1770000000"#;

    type Lines<'a> = Vec<(&'a str, &'a str)>;

    fn genuine() -> Lines<'static> {
        vec![
            ("Host", "relay.plant.example"),
            ("content-type", "application/json"),
            ("digest", DIGEST_VALUE),
            (INPUT, INPUT_VALUE),
            (SIGNATURE, GOOD),
        ]
    }

    /// The genuine headers with this one as it is given.
    fn with<'a>(name: &'a str, value: &'a str) -> Lines<'a> {
        let mut lines: Lines<'a> = genuine();
        lines.retain(|(known, _)| !known.eq_ignore_ascii_case(name));
        lines.push((name, value));
        lines
    }

    fn secrets(texts: &[&str]) -> Vec<Secret> {
        let new = |text: &&str| Secret::new((*text).to_owned());
        texts.iter().map(new).collect()
    }

    fn check_at(
        lines: &[(&str, &str)],
        body: &[u8],
        texts: &[&str],
        body_unsigned: bool,
        now: Timestamp,
        max_age: Duration,
    ) -> Result<Verified, Refusal> {
        let lines = lines.iter().map(|(name, value)| (*name, value.as_bytes()));
        let headers = Headers(lines.collect());
        let secrets = secrets(texts);
        verify(&headers, body, &secrets, now, max_age, body_unsigned)
    }

    fn now() -> Timestamp {
        Timestamp::from_second(NOW_S).unwrap()
    }

    fn check(lines: &[(&str, &str)], body: &[u8]) -> Result<Verified, Refusal> {
        check_at(lines, body, &["plant-secret"], false, now(), WINDOW)
    }

    #[test]
    fn what_the_published_procedure_signs_is_accepted() {
        let verified = check(&genuine(), BODY).unwrap();
        assert_eq!(verified.event_type, "order.status");
        let id = "6a1c4b2e-0d5f-4f53-9a2e-1f0a7a3f9d11";
        assert_eq!(verified.identity, Identity::Id(id.into()));
        assert!(verified.proof.is_some() && verified.reply.is_none());
    }

    #[test]
    fn names_are_in_any_case_and_the_code_may_be_quoted() {
        let quoted = GOOD.replace("sig=", "sig=\"") + "\"";
        assert!(check(&with(SIGNATURE, &quoted), BODY).is_ok());
        let upper: Vec<_> = genuine()
            .into_iter()
            .map(|(name, value)| (name.to_ascii_uppercase(), value))
            .collect();
        let upper: Lines<'_> = upper.iter().map(|(n, v)| (&**n, *v)).collect();
        assert!(check(&upper, BODY).is_ok());
        let named = r#"up42-sig=("HOST"  "Content-Type" "Digest");created=1770000000;keyid="x""#;
        assert!(check(&with(INPUT, named), BODY).is_ok());
        let late = r#"up42-sig=("host" "content-type" "digest") ;created=1770000000"#;
        let refused = check(&with(INPUT, late), BODY).unwrap_err();
        assert_eq!(refused, Refusal::Malformed);
    }

    #[test]
    fn the_digest_is_known_in_both_notations() {
        let input = r#"up42-sig=("host" "content-type" "content-digest");created=1770000000"#;
        let lines = vec![
            ("host", "relay.plant.example"),
            ("content-type", "application/json"),
            ("content-digest", CONTENT_DIGEST_VALUE),
            (INPUT, input),
            (SIGNATURE, GOOD_CONTENT_DIGEST),
        ];
        assert!(check(&lines, BODY).is_ok());
        assert_eq!(check(&lines, b"{}").unwrap_err(), Refusal::WrongDigest);
        let hash = Sha256::digest(BODY).into();
        for (header, fits) in [
            (DIGEST_VALUE.to_owned(), true),
            (CONTENT_DIGEST_VALUE.to_owned(), true),
            (DIGEST_VALUE.to_lowercase(), false),
            (DIGEST_VALUE.replace("SHA", "sha"), true),
            (format!("MD5=xyz, {DIGEST_VALUE}"), true),
            (format!("{CONTENT_DIGEST_VALUE}, sha-512=:eA==:"), true),
            (format!("{DIGEST_VALUE},SHA-256=eA=="), false),
            ("SHA-512=eA==".to_owned(), false),
            ("SHA-256=".to_owned(), false),
            (CONTENT_DIGEST_VALUE.trim_end_matches(':').to_owned(), false),
            (String::new(), false),
            ("sha-256".to_owned(), false),
        ] {
            assert_eq!(tells(&header, &hash), fits, "{header}");
        }
    }

    #[test]
    fn every_flipped_bit_of_the_body_is_refused() {
        for bit in 0..BODY.len() * 8 {
            let mut body = BODY.to_vec();
            body[bit / 8] ^= 1 << (bit % 8);
            let refused = check(&genuine(), &body).unwrap_err();
            assert_eq!(refused, Refusal::WrongDigest, "bit {bit}");
        }
    }

    #[test]
    fn a_body_that_is_not_signed_is_refused_unless_that_is_accepted() {
        let input = r#"up42-sig=("host" "content-type");created=1770000000"#;
        let mut lines = with(INPUT, input);
        lines.retain(|(name, _)| *name != SIGNATURE);
        lines.push((SIGNATURE, GOOD_WITHOUT_DIGEST));
        let by = |lines: &Lines<'_>, accepted, body: &[u8]| {
            check_at(lines, body, &["plant-secret"], accepted, now(), WINDOW)
        };
        // The digest is there, but nobody signed it.
        assert_eq!(by(&lines, false, BODY), Err(Refusal::BodyUnsigned));
        let first = by(&lines, true, BODY).unwrap();
        let other = by(&lines, true, br#"{"messageId":"x"}"#).unwrap();
        assert_eq!(other.identity, Identity::Id("x".into()));
        assert_ne!(first.proof, other.proof, "another body is another request");
        assert_eq!(first.proof, by(&lines, true, BODY).unwrap().proof);
        assert_eq!(by(&genuine(), true, b"{}"), Err(Refusal::WrongDigest));
        assert!(by(&genuine(), true, BODY).is_ok());
    }

    #[test]
    fn a_signed_header_or_a_secret_that_is_another_is_refused() {
        for (name, value) in [
            ("host", "relay.plant.example2"),
            ("content-type", "application/jso"),
            (DIGEST, CONTENT_DIGEST_VALUE),
            (
                INPUT,
                r#"up42-sig=("content-type" "host" "digest");created=1770000000"#,
            ),
            (INPUT, r#"up42-sig=("host" "digest");created=1770000000"#),
            (SIGNATURE, GOOD_CONTENT_DIGEST),
        ] {
            let refused = check(&with(name, value), BODY).unwrap_err();
            assert_eq!(refused, Refusal::WrongSignature, "{name}: {value}");
        }
        let by = |texts: &[&str]| check_at(&genuine(), BODY, texts, false, now(), WINDOW);
        for texts in [&[][..], &["plant-secre"], &["plant-secret "], &[""]] {
            assert_eq!(by(texts), Err(Refusal::WrongSignature), "{texts:?}");
        }
        assert!(by(&["new", "plant-secret"]).is_ok());
        assert!(by(&["plant-secret", "new"]).is_ok());
    }

    #[test]
    fn headers_that_are_missing_or_doubled_are_refused() {
        for (name, missing) in [
            ("host", Refusal::Malformed),
            ("content-type", Refusal::Malformed),
            (DIGEST, Refusal::Malformed),
            (INPUT, Refusal::NoSignature),
            (SIGNATURE, Refusal::NoSignature),
        ] {
            let mut lines = genuine();
            lines.retain(|(known, _)| !known.eq_ignore_ascii_case(name));
            assert_eq!(check(&lines, BODY), Err(missing), "no {name}");
            assert_eq!(check(&with(name, ""), BODY), Err(missing), "empty {name}");
            let mut lines = genuine();
            let (_, value) = lines
                .iter()
                .find(|(known, _)| known.eq_ignore_ascii_case(name))
                .unwrap();
            lines.push((name, value));
            let doubled = check(&lines, BODY);
            assert_eq!(doubled, Err(Refusal::SeveralSignatures), "two of {name}");
        }
        assert_eq!(check(&[], BODY), Err(Refusal::NoSignature));
    }

    #[test]
    fn malformed_headers_are_refused() {
        let long = format!("{INPUT_VALUE};x={}", "x".repeat(5_000));
        for input in [
            "up42-sig=();created=1770000000",
            r#"up42-sig=("digest" "digest");created=1770000000"#,
            r#"up42-sig=("digest" "Digest");created=1770000000"#,
            r#"up42-sig=("");created=1770000000"#,
            r#"up42-sig=("dig est");created=1770000000"#,
            r#"up42-sig=("digest";sf);created=1770000000"#,
            r#"up42-sig=("@method" "digest");created=1770000000"#,
            "up42-sig=(digest);created=1770000000",
            r#"up42-sig=("digest")"#,
            r#"up42-sig=("digest");"#,
            r#"up42-sig=("digest");created"#,
            r#"up42-sig=("digest");created="#,
            r#"up42-sig=("digest");expires=1770000000"#,
            r#"up42-sig=("digest");created=-1770000000"#,
            r#"up42-sig=("digest");created=+1770000000"#,
            r#"up42-sig=("digest");created=1770000000.5"#,
            r#"up42-sig=("digest");created=99999999999999999999"#,
            r#"up42-sig=("digest");created=1770000000;created=1770000000"#,
            r#"up42-sig=("digest""#,
            r#"sig1=("digest");created=1770000000"#,
            "up42-sig=",
            "x",
            &long,
        ] {
            let refused = check(&with(INPUT, input), BODY).unwrap_err();
            assert_eq!(refused, Refusal::Malformed, "{input}");
        }
        for signature in [
            "up42-sig=",
            "up42-sig=\"",
            "up42-sig=\"\"",
            "up42-sig=!!!!",
            "up42-sig=Hc4quEiFivQWHKuX5+TGkZCiZrWtBd4RNmhQTr1LMA==",
            "up42-sig=Hc4quEiFivQWHKuX5+TGkZCiZrWtBd4RNmhQTr1LMN4",
            "up42-sig=Hc4quEiFivQWHKuX5+TGkZCiZrWtBd4RNmhQTr1LMN4=Hc4q",
            "Hc4quEiFivQWHKuX5+TGkZCiZrWtBd4RNmhQTr1LMN4=",
        ] {
            let refused = check(&with(SIGNATURE, signature), BODY).unwrap_err();
            assert_eq!(refused, Refusal::Malformed, "{signature}");
        }
    }

    #[test]
    fn it_is_from_the_last_five_minutes_and_not_from_later_than_now() {
        let at = |ahead_ms: i64, max_age| {
            let now = Timestamp::from_millisecond(NOW_S * 1000 - ahead_ms).unwrap();
            check_at(&genuine(), BODY, &["plant-secret"], false, now, max_age).map(drop)
        };
        let off = Duration::from_millis;
        assert_eq!(at(-300_000, WINDOW), Ok(()));
        assert_eq!(at(-300_001, WINDOW), Err(Refusal::TooOld(off(300_001))));
        let day = Duration::from_hours(24);
        assert_eq!(at(-300_001, day), Err(Refusal::TooOld(off(300_001))));
        let minute = Duration::from_mins(1);
        assert_eq!(at(-60_001, minute), Err(Refusal::TooOld(off(60_001))));
        assert_eq!(at(1_000, WINDOW), Ok(()), "rounded up");
        let later = Err(Refusal::FromTheFuture(off(1_001)));
        assert_eq!(at(1_001, WINDOW), later);
    }

    #[test]
    fn the_time_is_judged_only_after_the_code_and_the_digest() {
        let old = |texts: &[&str], body: &[u8]| {
            let now = Timestamp::from_second(NOW_S + 3_600).unwrap();
            check_at(&genuine(), body, texts, false, now, WINDOW).unwrap_err()
        };
        assert_eq!(old(&["other"], BODY), Refusal::WrongSignature);
        assert_eq!(old(&["plant-secret"], b"{}"), Refusal::WrongDigest);
        let age = Duration::from_hours(1);
        assert_eq!(old(&["plant-secret"], BODY), Refusal::TooOld(age));
        // The far end of what fits is no overflow.
        let last = r#"up42-sig=("host" "content-type" "digest");created=9223372036854775807"#;
        let far = check(&with(INPUT, last), BODY).unwrap_err();
        assert!(matches!(far, Refusal::FromTheFuture(_)), "{far:?}");
    }

    #[test]
    fn a_time_is_not_signed_unless_its_header_is() {
        let lines = with(
            INPUT,
            r#"up42-sig=("host" "content-type" "digest");created=1769999999"#,
        );
        let first = check(&genuine(), BODY).unwrap();
        let again = check(&lines, BODY).unwrap();
        assert_eq!((first.proof, first.identity), (again.proof, again.identity));
    }

    #[test]
    fn more_names_than_anybody_signs_are_refused() {
        let input = |count: usize| {
            let names = (0..count).map(|n| format!("\"x-{n}\"")).collect::<Vec<_>>();
            format!("{LABEL}({});created=1770000000", names.join(" "))
        };
        let names = |count| input_of(&input(count)).map(|(names, _)| names.len());
        assert_eq!(names(MOST_NAMES), Some(MOST_NAMES));
        assert_eq!(names(MOST_NAMES + 1), None);
    }

    proptest! {
        #[test]
        fn what_is_signed_is_accepted_under_this_secret_only(
            body: Vec<u8>, secret in "[a-zé ]{1,40}", other in "[a-zé ]{1,40}", at in 0..4_000_000_000_i64,
        ) {
            let at = Timestamp::from_second(at).unwrap();
            let draft = Draft { id: "1", event_type: "x", at, body: &body };
            let signed = sign(&Secret::new(secret.clone()), &draft).unwrap();
            let lines: Lines<'_> = signed.iter().map(|(n, v)| (&**n, &**v)).collect();
            let by = |text: &str| check_at(&lines, &body, &[text], false, at, Duration::ZERO);
            prop_assert!(by(&secret).is_ok());
            prop_assume!(secret != other);
            prop_assert_eq!(by(&other), Err(Refusal::WrongSignature));
        }

        #[test]
        fn no_headers_and_no_body_panic(
            input in "(up42-sig=\\(\"[a-z]{0,3}\"\\);created=)?.{0,40}", signature in "(up42-sig=)?.{0,50}",
            value: Vec<u8>, body: Vec<u8>,
        ) {
            let headers = Headers(vec![
                (INPUT, input.as_bytes()), (SIGNATURE, signature.as_bytes()), ("a", &value), (DIGEST, &value),
            ]);
            prop_assert!(verify(&headers, &body, &secrets(&["s"]), now(), WINDOW, true).is_err());
        }
    }
}
