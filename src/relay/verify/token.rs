//! A secret that every request shows as it is: in a header of its own, or as a bearer or basic
//! credential. Nothing is signed, so whoever sees one request can make others.
//!
//! # Invariants
//! - Pure; the comparison takes the same time whatever differs.
//! - Nothing that is shown allocates more than it is long, and nothing panics.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::parts;
use super::refusal::Refusal;
use super::scheme::{Credential, Draft, Headers, SignError, TokenForm, Verified};
use crate::secret::Secret;

const AUTHORIZATION: &str = "authorization";

/// What a request shows, if it has the right form.
pub(super) fn read(headers: &Headers<'_>, form: &TokenForm) -> Result<Vec<u8>, Refusal> {
    match &form.shown {
        Credential::Header(name) => {
            let token = parts::one(headers, name, Refusal::NoSignature)?;
            Ok(token.as_bytes().to_vec())
        }
        Credential::Bearer => Ok(credential(headers, "bearer")?.as_bytes().to_vec()),
        Credential::Basic => STANDARD
            .decode(credential(headers, "basic")?)
            .map_err(|_| Refusal::Malformed),
    }
}

/// Checks a request.
pub(super) fn verify(
    headers: &Headers<'_>,
    body: &[u8],
    secrets: &[Secret],
    form: &TokenForm,
) -> Result<Verified, Refusal> {
    let shown = read(headers, form)?;
    // All are compared, so that the time does not tell which it is.
    let right = secrets
        .iter()
        .fold(false, |found, secret| secret.is(&shown) | found);
    if !right {
        return Err(Refusal::WrongToken);
    }
    let [id, event_type] = parts::named(&form.names, headers, body)?;
    Ok(parts::verified(
        event_type,
        parts::Id::Signed(id),
        body,
        None,
    ))
}

/// The headers of a request.
pub(super) fn sign(
    secret: &Secret,
    draft: &Draft<'_>,
    form: &TokenForm,
) -> Result<Vec<(String, String)>, SignError> {
    check_secret(secret, form).map_err(SignError)?;
    let secret = secret.expose();
    let (name, value) = match &form.shown {
        Credential::Header(name) => (&**name, secret.to_owned()),
        Credential::Bearer => (AUTHORIZATION, format!("Bearer {secret}")),
        Credential::Basic => (AUTHORIZATION, format!("Basic {}", STANDARD.encode(secret))),
    };
    let mut headers = parts::name_headers(&form.names, draft)?;
    headers.push((name.to_owned(), value));
    Ok(headers)
}

/// Whether the secret can be shown in this form. What is said does not hold it.
pub(super) fn check_secret(secret: &Secret, form: &TokenForm) -> Result<(), String> {
    let secret = secret.expose();
    match form.shown {
        Credential::Basic if !secret.contains(':') => {
            Err("the secret of a basic credential is `user:password`, and this has no colon".into())
        }
        Credential::Basic => Ok(()),
        // White space around it would be lost on the way.
        Credential::Header(_) | Credential::Bearer => match parts::header_value("secret", secret) {
            Ok(_) if secret.trim() == secret => Ok(()),
            Ok(_) => Err("the secret has white space around it, which a header cannot hold".into()),
            Err(error) => Err(error.to_string()),
        },
    }
}

/// What follows the name of the scheme in `Authorization`.
fn credential<'a>(headers: &Headers<'a>, scheme: &str) -> Result<&'a str, Refusal> {
    let header = parts::one(headers, AUTHORIZATION, Refusal::NoSignature)?;
    header
        .split_once(' ')
        .filter(|(name, _)| name.eq_ignore_ascii_case(scheme))
        .map(|(_, shown)| shown.trim_start_matches(' '))
        .filter(|shown| !shown.is_empty())
        .ok_or(Refusal::Malformed)
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use proptest::prelude::*;

    use super::*;
    use crate::event::Identity;
    use crate::relay::verify::scheme::{Names, Place};

    const BODY: &[u8] = br#"{"id":7,"kind":"made"}"#;

    fn form(shown: Credential) -> TokenForm {
        let names = Names {
            id: Some(Place::Pointer("/id".into())),
            event_type: Some(Place::Pointer("/kind".into())),
        };
        TokenForm { shown, names }
    }

    fn header() -> TokenForm {
        form(Credential::Header("X-Key".into()))
    }

    fn check(
        form: &TokenForm,
        lines: &[(&str, &str)],
        texts: &[&str],
    ) -> Result<Verified, Refusal> {
        let lines = lines.iter().map(|(name, value)| (*name, value.as_bytes()));
        let headers = Headers(lines.collect());
        let new = |text: &&str| Secret::new((*text).to_owned());
        let secrets: Vec<_> = texts.iter().map(new).collect();
        verify(&headers, BODY, &secrets, form)
    }

    #[test]
    fn the_secret_is_accepted_where_it_is_to_stand() {
        let (bearer, basic) = (form(Credential::Bearer), form(Credential::Basic));
        // `printf 'user:pass wörd' | base64`
        let encoded = "dXNlcjpwYXNzIHfDtnJk";
        for (form, name, value, secret) in [
            (&header(), "X-Key", "s3cret".to_owned(), "s3cret"),
            (&header(), "x-key", "two words".to_owned(), "two words"),
            (
                &bearer,
                "Authorization",
                "Bearer s3cret".to_owned(),
                "s3cret",
            ),
            (
                &bearer,
                "authorization",
                "bearer  s3cret".to_owned(),
                "s3cret",
            ),
            (
                &basic,
                "Authorization",
                format!("Basic {encoded}"),
                "user:pass wörd",
            ),
            (
                &basic,
                "authorization",
                format!("BASIC {encoded}"),
                "user:pass wörd",
            ),
        ] {
            let verified = check(form, &[(name, &value)], &[secret]).unwrap();
            assert_eq!(verified.identity, Identity::Id("7".into()));
            assert_eq!(verified.event_type, "made");
            assert_eq!(verified.proof, None, "nothing is signed");
            for secrets in [["new", secret], [secret, "new"]] {
                assert!(check(form, &[(name, &value)], &secrets).is_ok());
            }
        }
    }

    #[test]
    fn any_other_is_refused() {
        for shown in [
            "s3cre",
            "s3crets",
            "S3cret",
            "\"s3cret\"",
            "Bearer s3cret",
            " ",
        ] {
            let refused = check(&header(), &[("x-key", shown)], &["s3cret"]);
            assert_eq!(refused, Err(Refusal::WrongToken), "{shown}");
            let bearer = format!("Bearer x{shown}");
            let lines = [("authorization", &*bearer)];
            let refused = check(&form(Credential::Bearer), &lines, &["s3cret"]);
            assert_eq!(refused, Err(Refusal::WrongToken), "{bearer}");
        }
        let refused = check(&header(), &[("x-key", "s3cret")], &[]);
        assert_eq!(refused, Err(Refusal::WrongToken));
        // user:pas
        let lines = [("authorization", "Basic dXNlcjpwYXM=")];
        let refused = check(&form(Credential::Basic), &lines, &["user:pass"]);
        assert_eq!(refused, Err(Refusal::WrongToken));
    }

    #[test]
    fn a_credential_that_is_missing_doubled_or_of_another_form_is_refused() {
        let good = ("authorization", "Bearer s3cret");
        let (bearer, basic) = (form(Credential::Bearer), form(Credential::Basic));
        for (form, lines, refusal) in [
            (&header(), &[good][..], Refusal::NoSignature),
            (&header(), &[("x-key", "")], Refusal::NoSignature),
            (
                &header(),
                &[("x-key", "s3cret"), ("X-KEY", "s3cret")],
                Refusal::SeveralSignatures,
            ),
            (&bearer, &[("x-key", "s3cret")], Refusal::NoSignature),
            (&bearer, &[good, good], Refusal::SeveralSignatures),
            (&bearer, &[("authorization", "s3cret")], Refusal::Malformed),
            (&bearer, &[("authorization", "Bearer")], Refusal::Malformed),
            (&bearer, &[("authorization", "Bearer ")], Refusal::Malformed),
            (
                &bearer,
                &[("authorization", "Basic s3cret")],
                Refusal::Malformed,
            ),
            (&basic, &[good], Refusal::Malformed),
            (
                &basic,
                &[("authorization", "Basic s3cret!")],
                Refusal::Malformed,
            ),
            (
                &basic,
                &[("authorization", "Basic dXNlcjpwYXM")],
                Refusal::Malformed,
            ),
        ] {
            let refused = check(form, lines, &["s3cret", "user:pas"]);
            assert_eq!(refused, Err(refusal), "{form:?} {lines:?}");
        }
    }

    #[test]
    fn a_secret_that_cannot_be_shown_is_refused_and_not_said() {
        let check = |form: &TokenForm, secret: &str| {
            check_secret(&Secret::new(secret.into()), form).map_err(|error| {
                assert!(!error.contains("canary"), "{error}");
            })
        };
        for shown in [Credential::Bearer, Credential::Header("x-key".into())] {
            let form = form(shown);
            for bad in ["", " canary", "canary ", "canary\n", "cänary"] {
                assert!(check(&form, bad).is_err(), "{bad:?}");
            }
            assert!(check(&form, "two words").is_ok());
        }
        let basic = form(Credential::Basic);
        assert!(check(&basic, "canary").is_err());
        assert!(check(&basic, "user:pass wörd").is_ok());
    }

    proptest! {
        #[test]
        fn what_is_shown_is_accepted_under_this_secret_only(
            secret in "[!-~]{1,9}:[!-~]{1,9}", other in "[!-~]{1,9}:[!-~]{1,9}",
        ) {
            for shown in [Credential::Header("X-Key".into()), Credential::Bearer, Credential::Basic] {
                let form = form(shown);
                let draft = Draft { id: "7", event_type: "made", at: Timestamp::UNIX_EPOCH, body: BODY };
                let headers = sign(&Secret::new(secret.clone()), &draft, &form).unwrap();
                let lines: Vec<_> = headers.iter().map(|(n, v)| (&**n, &**v)).collect();
                prop_assert!(check(&form, &lines, &[&secret]).is_ok());
                if secret != other {
                    prop_assert_eq!(check(&form, &lines, &[&other]), Err(Refusal::WrongToken));
                }
            }
        }

        #[test]
        fn nothing_that_is_shown_panics(shown: Vec<u8>, body: Vec<u8>) {
            for form in [header(), form(Credential::Bearer), form(Credential::Basic)] {
                let headers = Headers(vec![("x-key", &shown), ("authorization", &shown)]);
                let secrets = [Secret::new("a secret that nobody guesses".into())];
                prop_assert!(verify(&headers, &body, &secrets, &form).is_err());
            }
        }
    }
}
