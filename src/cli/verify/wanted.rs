//! Which headers a scheme wants, and how they are in a request.
//!
//! # Invariants
//! - Pure. No value of a header is in what is said of it.

use crate::relay::verify::Headers;
use crate::relay::verify::scheme::{Credential, HmacForm, Piece, Place, Scheme, Unit};
use crate::relay::verify::standard;

/// A header that a scheme looks at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Wanted {
    pub(super) name: String,
    /// What is to stand there.
    pub(super) form: String,
    /// Whether there is nothing without it.
    pub(super) needed: bool,
    /// Where it is a time.
    unit: Option<Unit>,
}

/// How a header is in a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    There,
    Missing,
    Empty,
    Several(usize),
    /// It is no time, where it is to be one.
    NoTime,
}

/// The headers that a scheme looks at; none: Orbit's own.
pub(super) fn wanted(scheme: Option<&Scheme>, headers: &Headers<'_>) -> Vec<Wanted> {
    let Some(scheme) = scheme else {
        return vec![needed("Orbit-Signature", "t=<unix ms>,v1=<64 hex digits>")];
    };
    match scheme {
        Scheme::Stripe => vec![needed(
            "Stripe-Signature",
            "t=<unix seconds>,v1=<64 hex digits>",
        )],
        Scheme::Github => vec![
            needed("X-Hub-Signature-256", "sha256=<64 hex digits>"),
            asked("X-GitHub-Event", "the event's name"),
            asked("X-GitHub-Delivery", "the event's id"),
        ],
        Scheme::Slack => vec![
            needed("X-Slack-Signature", "v0=<64 hex digits>"),
            time("X-Slack-Request-Timestamp", Unit::Seconds),
        ],
        Scheme::Up42 { .. } => up42(headers),
        Scheme::Servo => vec![needed("X-Servo-Signature", "40 hex digits")],
        Scheme::StandardWebhooks => {
            let [id, at, signature] = standard::HEADERS;
            vec![
                needed(id, "the event's id"),
                time(at, Unit::Seconds),
                needed(signature, "v1,<base64>"),
            ]
        }
        Scheme::Hmac(form) => hmac(form),
        Scheme::Token(form) => {
            let mut all = vec![match &form.shown {
                Credential::Header(name) => needed(name, "the secret"),
                Credential::Bearer => needed("Authorization", "Bearer <the secret>"),
                Credential::Basic => needed("Authorization", "Basic <the secret in base64>"),
            }];
            all.extend(named(
                form.names.id.as_ref(),
                form.names.event_type.as_ref(),
            ));
            all
        }
        Scheme::None { names } => named(names.id.as_ref(), names.event_type.as_ref()).collect(),
    }
}

/// How this header is.
pub(super) fn state(wanted: &Wanted, headers: &Headers<'_>) -> State {
    let mut all = headers.all(&wanted.name);
    let Some(value) = all.next() else {
        return State::Missing;
    };
    let others = all.count();
    if others > 0 {
        return State::Several(others + 1);
    }
    if value.is_empty() {
        return State::Empty;
    }
    match wanted.unit {
        Some(unit) if !is_time(value, unit) => State::NoTime,
        _ => State::There,
    }
}

/// In words.
pub(super) fn said(wanted: &Wanted, state: State) -> String {
    let Wanted { name, form, .. } = wanted;
    match state {
        State::There => format!("{name}: there"),
        State::Missing if wanted.needed => format!("{name}: missing; wanted: {form}"),
        State::Missing => format!("{name}: missing, and need not be there ({form})"),
        State::Empty => format!("{name}: there, and empty; wanted: {form}"),
        State::Several(count) => format!("{name}: there {count} times; only one can be meant"),
        State::NoTime => format!("{name}: malformed; wanted: {form}"),
    }
}

fn needed(name: &str, form: &str) -> Wanted {
    Wanted {
        name: name.to_owned(),
        form: form.to_owned(),
        needed: true,
        unit: None,
    }
}

fn asked(name: &str, form: &str) -> Wanted {
    Wanted {
        needed: false,
        ..needed(name, form)
    }
}

fn time(name: &str, unit: Unit) -> Wanted {
    let form = match unit {
        Unit::Seconds => "seconds since 1970",
        Unit::Milliseconds => "milliseconds since 1970",
        Unit::Rfc3339 => "a time such as 2026-02-03T09:14:07Z",
    };
    Wanted {
        unit: Some(unit),
        ..needed(name, form)
    }
}

fn named<'a>(
    id: Option<&'a Place>,
    event_type: Option<&'a Place>,
) -> impl Iterator<Item = Wanted> + 'a {
    let places = [(id, "the event's id"), (event_type, "the event's type")];
    places.into_iter().filter_map(|(place, form)| match place {
        Some(Place::Header(name)) => Some(asked(name, form)),
        _ => None,
    })
}

fn hmac(form: &HmacForm) -> Vec<Wanted> {
    let code = format!("{}<the code>", form.prefix);
    let mut all = vec![needed(&form.header, &code)];
    all.extend(form.timestamp.iter().map(|(name, unit)| time(name, *unit)));
    let signed = form
        .signed
        .iter()
        .filter_map(|piece| match (piece, &form.names.id) {
            (Piece::Header(name), _) => Some(needed(name, "what is signed")),
            (Piece::Id, Some(Place::Header(name))) => {
                Some(needed(name, "the event's id, which is signed"))
            }
            _ => None,
        });
    all.extend(signed);
    for named in named(form.names.id.as_ref(), form.names.event_type.as_ref()) {
        if !all
            .iter()
            .any(|known| known.name.eq_ignore_ascii_case(&named.name))
        {
            all.push(named);
        }
    }
    all
}

/// The two that are always there, and those that the one names.
fn up42(headers: &Headers<'_>) -> Vec<Wanted> {
    let mut all = vec![
        needed(
            "signature-input",
            "up42-sig=(\"name\" …);created=<unix seconds>",
        ),
        needed("signature", "up42-sig=<base64>"),
    ];
    let mut inputs = headers.all("signature-input");
    let input = inputs.next().and_then(|value| str::from_utf8(value).ok());
    let names = input.and_then(|input| input.split_once('(')?.1.split_once(')'));
    // Whatever stands there: no more than people can read.
    for name in names
        .map_or("", |(names, _)| names)
        .split_whitespace()
        .take(32)
    {
        let name = name.trim_matches('"');
        if !name.is_empty() {
            all.push(needed(name, "what is signed"));
        }
    }
    all
}

fn is_time(value: &[u8], unit: Unit) -> bool {
    let Ok(value) = str::from_utf8(value) else {
        return false;
    };
    match unit {
        // No sign stands before it.
        Unit::Seconds | Unit::Milliseconds => {
            value.bytes().all(|b| b.is_ascii_digit()) && value.parse::<i64>().is_ok()
        }
        Unit::Rfc3339 => value.parse::<jiff::Timestamp>().is_ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::relay::verify::scheme::{Encoding, Hash, KeyForm, Names, TokenForm};

    fn names(scheme: &Scheme, headers: &Headers<'_>) -> Vec<String> {
        let wanted = wanted(Some(scheme), headers);
        wanted
            .iter()
            .map(|wanted| wanted.name.to_lowercase())
            .collect()
    }

    #[test]
    fn each_scheme_says_which_headers_it_wants() {
        let none = Headers::default();
        let header = |name: &str| Some(Place::Header(name.to_owned()));
        let form = HmacForm {
            header: "X-Sig".into(),
            prefix: "v1=".into(),
            hash: Hash::Sha256,
            code: Encoding::Hex,
            key: KeyForm::Text,
            timestamp: Some(("X-Time".into(), Unit::Milliseconds)),
            signed: vec![Piece::Header("X-Id".into()), Piece::Body],
            names: Names {
                id: header("x-id"),
                event_type: header("X-Type"),
            },
        };
        let token = |shown| {
            Scheme::Token(TokenForm {
                shown,
                names: Names::default(),
            })
        };
        for (scheme, expected) in [
            (Scheme::Stripe, &["stripe-signature"][..]),
            (
                Scheme::Github,
                &["x-hub-signature-256", "x-github-event", "x-github-delivery"],
            ),
            (
                Scheme::Slack,
                &["x-slack-signature", "x-slack-request-timestamp"],
            ),
            (Scheme::Servo, &["x-servo-signature"]),
            (Scheme::StandardWebhooks, &standard::HEADERS),
            (
                Scheme::Hmac(Box::new(form)),
                &["x-sig", "x-time", "x-id", "x-type"],
            ),
            (token(Credential::Bearer), &["authorization"]),
            (token(Credential::Header("X-Key".into())), &["x-key"]),
            (
                Scheme::None {
                    names: Names::default(),
                },
                &[],
            ),
        ] {
            assert_eq!(names(&scheme, &none), expected, "{scheme:?}");
        }
        let input = b"up42-sig=(\"date\" \"digest\");created=1".as_slice();
        let headers = Headers(vec![("Signature-Input", input)]);
        let up42 = Scheme::Up42 {
            body_unsigned: false,
        };
        let expected = ["signature-input", "signature", "date", "digest"];
        assert_eq!(names(&up42, &headers), expected);
        assert_eq!(wanted(None, &none)[0].name, "Orbit-Signature");
    }

    #[test]
    fn a_header_that_is_signed_is_needed_also_where_it_is_the_id() {
        let id_needed = |signed: Vec<Piece>| {
            let form = HmacForm {
                header: "X-Sig".into(),
                prefix: String::new(),
                hash: Hash::Sha256,
                code: Encoding::Hex,
                key: KeyForm::Text,
                timestamp: None,
                signed,
                names: Names {
                    id: Some(Place::Header("X-Id".into())),
                    event_type: None,
                },
            };
            let all = hmac(&form);
            let id: Vec<_> = all.iter().filter(|one| one.name == "X-Id").collect();
            assert_eq!(id.len(), 1, "{all:?}");
            id[0].needed
        };
        assert!(id_needed(vec![Piece::Id, Piece::Body]));
        assert!(id_needed(vec![Piece::Header("X-Id".into()), Piece::Body]));
        assert!(!id_needed(vec![Piece::Body]));
    }

    #[test]
    fn a_time_is_a_number_without_a_sign_as_for_receive() {
        for (value, expected) in [
            ("1770000000", true),
            ("+5", false),
            ("-5", false),
            ("5.0", false),
            (" 5", false),
            ("99999999999999999999", false),
        ] {
            assert_eq!(
                is_time(value.as_bytes(), Unit::Seconds),
                expected,
                "{value}"
            );
        }
    }

    #[test]
    fn a_header_is_there_missing_empty_several_times_or_no_time() {
        let headers = Headers(vec![
            ("x-slack-signature", b"v0=1"),
            ("X-Slack-Request-Timestamp", b"soon"),
            ("x-hub-signature-256", b""),
            ("X-GitHub-Event", b"a"),
            ("x-github-event", b"b"),
        ]);
        let states = |scheme: &Scheme| -> Vec<_> {
            let wanted = wanted(Some(scheme), &headers);
            wanted
                .iter()
                .map(|wanted| state(wanted, &headers))
                .collect()
        };
        assert_eq!(states(&Scheme::Slack), [State::There, State::NoTime]);
        let github = [State::Empty, State::Several(2), State::Missing];
        assert_eq!(states(&Scheme::Github), github);
    }
}
