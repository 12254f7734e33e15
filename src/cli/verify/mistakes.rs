//! Where a code does not match: the usual mistakes, tried one after the other.
//!
//! # Invariants
//! - Pure and bounded: one thing is changed at a time. No secret is in any sentence.

use crate::cli::layout::{Layout, lay_out};
use crate::relay::verify::Scheme;
use crate::relay::verify::scheme::{KeyForm, Piece};
use crate::secret::Secret;

const BOM: &[u8] = b"\xef\xbb\xbf";

/// A body as it may have been when it was signed, and what became of it since.
pub(super) fn bodies(body: &[u8]) -> Vec<(&'static str, Vec<u8>)> {
    let mut all = Vec::new();
    let mut add = |what, changed: Option<Vec<u8>>| {
        all.extend(
            changed
                .filter(|changed| changed != body)
                .map(|changed| (what, changed)),
        );
    };
    let without = |end: &[u8]| body.strip_suffix(end).map(<[u8]>::to_vec);
    let with = |end: &[u8]| Some([body, end].concat());
    add(
        "the body has a line end (\\r\\n) more than what was signed: an editor or a proxy added it",
        without(b"\r\n"),
    );
    add(
        "the body has a newline at its end that was not signed: an editor, `echo` or a proxy added \
         it",
        without(b"\n"),
    );
    add(
        "the body lacks the newline at its end that was signed: a copy or a proxy took it away",
        with(b"\n"),
    );
    add(
        "the body lacks the line end (\\r\\n) that was signed: a copy or a proxy took it away",
        with(b"\r\n"),
    );
    add(
        "the body begins with a byte order mark that was not signed: an editor added it",
        body.strip_prefix(BOM).map(<[u8]>::to_vec),
    );
    add(
        "the body was signed with \\n at its line ends, and has \\r\\n now",
        Some(replaced(body, b"\r\n", b"\n")),
    );
    add(
        "the body was signed with \\r\\n at its line ends, and has \\n now",
        Some(replaced(&replaced(body, b"\r\n", b"\n"), b"\n", b"\r\n")),
    );
    for (what, layout) in [
        (
            "the body's JSON was reformatted on the way: it was signed without white space",
            Layout::Compact,
        ),
        (
            "the body's JSON was reformatted on the way: it was signed with a space behind each \
             comma and colon",
            Layout::Spaced,
        ),
        (
            "the body's JSON was reformatted on the way: it was signed indented by 2",
            Layout::Indented(2),
        ),
        (
            "the body's JSON was reformatted on the way: it was signed indented by 4",
            Layout::Indented(4),
        ),
    ] {
        add(what, lay_out(body, layout));
    }
    all
}

/// A secret as the sender may have it, and what is to be done.
pub(super) fn secrets(secret: &Secret) -> Vec<(&'static str, Secret)> {
    let text = secret.expose();
    let mut all: Vec<(&'static str, Secret)> = Vec::new();
    let mut add = |what, changed: &str| {
        if changed != text && !changed.is_empty() {
            all.push((what, Secret::new(changed.to_owned())));
        }
    };
    add(
        "it matches with the secret without the white space around it: take that out of the \
         configuration",
        text.trim(),
    );
    let bare = text.trim();
    let unquoted = bare
        .strip_prefix(['"', '\''])
        .and_then(|rest| rest.strip_suffix(['"', '\'']));
    add(
        "it matches with the secret without the quotes around it: take them out of the \
         configuration",
        unquoted.unwrap_or(text),
    );
    for end in ["\n", "\r\n"] {
        add(
            "it matches with the secret and a line end behind it: the sender's secret was read \
             from a file or pasted with one",
            &format!("{bare}{end}"),
        );
    }
    for padded in [format!(" {bare}"), format!("{bare} "), format!(" {bare} ")] {
        add(
            "it matches with the secret and a space around it: the sender's secret was pasted with \
             one",
            &padded,
        );
    }
    add(
        "it matches with the secret in quotes: the sender's secret has quotes around it",
        &format!("\"{bare}\""),
    );
    add(
        "it matches with the secret without its `whsec_`: the sender's secret was cut",
        bare.strip_prefix("whsec_").unwrap_or(text),
    );
    add(
        "it matches with `whsec_` before the secret: the configured one was cut",
        &format!("whsec_{bare}"),
    );
    all
}

/// The scheme as it may have been meant, where it is configured key by key.
pub(super) fn schemes(scheme: &Scheme) -> Vec<(&'static str, Scheme)> {
    let Scheme::Hmac(form) = scheme else {
        return Vec::new();
    };
    let mut all = Vec::new();
    for (what, key) in [
        ("it matches with key = \"text\": set that", KeyForm::Text),
        ("it matches with key = \"hex\": set that", KeyForm::Hex),
        (
            "it matches with key = \"base64\": set that",
            KeyForm::Base64,
        ),
    ] {
        if key != form.key {
            let mut form = form.clone();
            form.key = key;
            all.push((what, Scheme::Hmac(form)));
        }
    }
    let dot = || Piece::Text(".".to_owned());
    for (what, signed) in [
        (
            "it matches with signed = \"{body}\": set that",
            vec![Piece::Body],
        ),
        (
            "it matches with signed = \"{timestamp}.{body}\": set that",
            vec![Piece::Timestamp, dot(), Piece::Body],
        ),
        (
            "it matches with signed = \"{id}.{timestamp}.{body}\": set that",
            vec![Piece::Id, dot(), Piece::Timestamp, dot(), Piece::Body],
        ),
    ] {
        let has_time = form.timestamp.is_some();
        if signed != form.signed && (has_time || !signed.contains(&Piece::Timestamp)) {
            let mut form = form.clone();
            form.signed = signed;
            all.push((what, Scheme::Hmac(form)));
        }
    }
    all
}

fn replaced(body: &[u8], from: &[u8], to: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(body.len());
    let mut rest = body;
    while let Some((first, after)) = rest.split_first() {
        if let Some(behind) = rest.strip_prefix(from) {
            out.extend_from_slice(to);
            rest = behind;
        } else {
            out.push(*first);
            rest = after;
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_body_that_was_signed_is_among_those_that_are_tried() {
        let compact = r#"{"a":1,"b":["x y",{}]}"#;
        for (signed, received, says) in [
            ("{}", "{}\n", "newline at its end that was not signed"),
            ("{}", "{}\r\n", "line end (\\r\\n) more"),
            ("{}\n", "{}", "lacks the newline"),
            ("{}\r\n", "{}", "lacks the line end"),
            ("{}", "\u{feff}{}", "byte order mark"),
            ("{\n}", "{\r\n}", "\\n at its line ends"),
            ("{\r\n\r\n}", "{\n\n}", "\\r\\n at its line ends"),
            (
                compact,
                r#"{ "a": 1, "b": ["x y", {}] }"#,
                "without white space",
            ),
            (r#"{"a": 1, "b": ["x y", {}]}"#, compact, "a space behind"),
            ("{\n  \"a\": 1\n}", "{\"a\":1}", "indented by 2"),
            ("{\n    \"a\": 1\n}", "{\"a\":1}", "indented by 4"),
        ] {
            let tried = bodies(received.as_bytes());
            let found = tried.iter().find(|(_, body)| body == signed.as_bytes());
            let (what, _) = found.unwrap_or_else(|| panic!("{received:?}"));
            assert!(what.contains(says), "{received:?}: {what}");
        }
    }

    #[test]
    fn the_secret_that_the_sender_has_is_among_those_that_are_tried() {
        for (senders, ours, says) in [
            ("canary", " canary\n", "without the white space"),
            ("canary", "\"canary\"", "without the quotes"),
            ("canary\n", "canary", "a line end"),
            ("canary\r\n", "canary", "a line end"),
            ("canary ", "canary", "a space"),
            (" canary", "canary", "a space"),
            ("\"canary\"", "canary", "in quotes"),
            ("canary", "whsec_canary", "without its `whsec_`"),
            ("whsec_canary", "canary", "before the secret"),
        ] {
            let tried = secrets(&Secret::new(ours.to_owned()));
            let found = tried.iter().find(|(_, secret)| secret.expose() == senders);
            let (what, _) = found.unwrap_or_else(|| panic!("{senders:?}, {ours:?}"));
            assert!(what.contains(says), "{senders:?}: {what}");
            assert!(!what.contains("canary"), "{what}");
            assert!(tried.iter().all(|(_, secret)| secret.expose() != ours));
        }
    }

    proptest! {
        #[test]
        fn no_body_and_no_secret_panic(body: Vec<u8>, secret in "\\PC{0,20}") {
            for (_, changed) in bodies(&body) {
                prop_assert_ne!(changed, body.clone());
            }
            secrets(&Secret::new(secret));
        }
    }
}
