//! `signed` of a source: the text over which a code is made, with gaps such as `{timestamp}`.
//!
//! # Invariants
//! - Pure. What is read and written again is the same text.

use crate::config::nearest;
use crate::relay::destination::Header;
use crate::relay::verify::scheme::Piece;

/// No sender signs more pieces.
const MOST_PIECES: usize = 32;
/// What stands before a header's name.
const HEADER: &str = "header:";
/// What a gap may be.
const GAPS: [&str; 4] = ["timestamp", "id", "body", "header:NAME"];

/// Reads the text.
pub(super) fn parse(text: &str) -> Result<Vec<Piece>, String> {
    let mut pieces = Vec::new();
    let mut rest = text;
    while let Some((before, from)) = rest.split_once('{') {
        if !before.is_empty() {
            pieces.push(Piece::Text(before.to_owned()));
        }
        let Some((gap, after)) = from.split_once('}') else {
            return Err("a `{` has no `}` behind it".to_owned());
        };
        pieces.push(gap_of(gap)?);
        rest = after;
        if pieces.len() > MOST_PIECES {
            return Err(format!("more than {MOST_PIECES} pieces"));
        }
    }
    if !rest.is_empty() {
        pieces.push(Piece::Text(rest.to_owned()));
    }
    Ok(pieces)
}

fn gap_of(gap: &str) -> Result<Piece, String> {
    match gap {
        "timestamp" => Ok(Piece::Timestamp),
        "id" => Ok(Piece::Id),
        "body" => Ok(Piece::Body),
        _ => match gap.strip_prefix(HEADER) {
            Some(name) if Header::new(name, "").is_ok() => Ok(Piece::Header(name.to_owned())),
            Some(name) => Err(format!("{} is no header's name", nearest::shown(name))),
            None => Err(format!(
                "no {} is known here; {}",
                nearest::shown(gap),
                nearest::instead(gap, GAPS)
            )),
        },
    }
}

/// The text of these pieces.
pub(in crate::config) fn text(pieces: &[Piece]) -> String {
    let texts = pieces.iter().map(|piece| match piece {
        Piece::Text(text) => text.clone(),
        Piece::Timestamp => "{timestamp}".to_owned(),
        Piece::Id => "{id}".to_owned(),
        Piece::Body => "{body}".to_owned(),
        Piece::Header(name) => format!("{{{HEADER}{name}}}"),
    });
    texts.collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn every_gap_is_read_and_what_stands_between_them_is_text() {
        let read = parse("v0:{timestamp}:{header:X-Id}{id}.{body}").unwrap();
        let words = |text: &str| Piece::Text(text.to_owned());
        assert_eq!(
            read,
            [
                words("v0:"),
                Piece::Timestamp,
                words(":"),
                Piece::Header("X-Id".to_owned()),
                Piece::Id,
                words("."),
                Piece::Body,
            ]
        );
        assert_eq!(parse("").unwrap(), []);
    }

    #[test]
    fn what_is_no_gap_is_refused_with_the_nearest() {
        let wrong = [
            "{time}.{body}",
            "{timestmp}.{body}",
            "{}",
            "{body",
            "{header:}",
            "{header:a b}",
            "{Body}",
        ];
        let said: Vec<_> = wrong.map(|text| parse(text).unwrap_err()).into();
        insta::assert_snapshot!(said.join("\n"));
        assert!(parse(&"{id}".repeat(33)).is_err());
    }

    proptest! {
        #[test]
        fn what_is_read_and_written_again_is_the_same(text in "([a-z{}:.]|\\{body\\}|\\{header:x\\}){0,12}") {
            if let Ok(pieces) = parse(&text) {
                prop_assert_eq!(super::text(&pieces), text);
            }
        }
    }
}
