//! What the reasons of many deliveries have in common.
//!
//! # Invariants
//! - Pure. The answer has at most [`MOST`] characters, whatever the reason.
//! - What has the same words, and differs in numbers and ids only, comes to the same text.

/// No longer text is given.
const MOST: usize = 200;
/// No more of a reason is looked at.
const LOOKED: usize = 2000;
/// What stands for something that differs.
const GAP: char = '…';
/// The number behind these words is what an answer was: it tells reasons apart.
const STATUS: [&str; 3] = ["answered", "status", "HTTP"];

/// The reason with a `…` for every word with a digit in it, but for the status of an answer.
pub(super) fn common(reason: &str) -> String {
    let (mut text, mut before) = (String::new(), "");
    let mut rest = reason
        .char_indices()
        .nth(LOOKED)
        .map_or(reason, |(end, _)| reason.get(..end).unwrap_or(reason));
    while let Some(next) = rest.chars().next() {
        let end = word_end(rest);
        if end == 0 {
            text.push(if next.is_control() { ' ' } else { next });
            rest = rest.get(next.len_utf8()..).unwrap_or_default();
            continue;
        }
        let (word, behind) = rest.split_at(end);
        let is_status = STATUS.contains(&before) && word.len() == 3;
        if word.contains(|c: char| c.is_numeric()) && !is_status {
            // Several in a row are one: how many there are differs too.
            let gap = text.trim_end();
            if gap.ends_with(GAP) {
                text.truncate(gap.len());
            } else {
                text.push(GAP);
            }
        } else {
            text.push_str(word);
        }
        (before, rest) = (word, behind);
    }
    match text.char_indices().nth(MOST - 1) {
        Some((end, _)) if text.chars().nth(MOST).is_some() => {
            let mut cut = text.get(..end).unwrap_or_default().to_owned();
            cut.push(GAP);
            cut
        }
        _ => text,
    }
}

/// Where the word ends with which the text begins; 0 where it begins with none. Signs within ids,
/// numbers and times belong to it, those behind it do not.
fn word_end(text: &str) -> usize {
    let mut end = 0;
    let mut signs = false;
    for (at, c) in text.char_indices() {
        if c.is_alphanumeric() {
            end = at + c.len_utf8();
            signs = false;
        } else if end > 0 && !signs && is_within(text.get(..at), c, text.get(at + 1..)) {
            signs = true;
        } else {
            break;
        }
    }
    end
}

/// A colon is a sign within times, not behind a name.
fn is_within(before: Option<&str>, sign: char, behind: Option<&str>) -> bool {
    let is_digit = |c: Option<char>| c.is_some_and(char::is_numeric);
    match sign {
        '-' | '_' | '.' | '+' => true,
        ':' => {
            is_digit(before.and_then(|text| text.chars().next_back()))
                && is_digit(behind.and_then(|text| text.chars().next()))
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn reasons_that_differ_in_numbers_and_ids_have_one_text() {
        for (reason, expected) in [
            ("", ""),
            ("answered 404", "answered 404"),
            (
                "answered 422: asset PUMP-101 is unknown",
                "answered 422: asset … is unknown",
            ),
            (
                "answered 422: asset PUMP-102B is unknown",
                "answered 422: asset … is unknown",
            ),
            (
                r#"answered 400: {"error":"no such id","id":"9fbd9635-9554-4a53-9c33-20bb97ca63be"}"#,
                r#"answered 400: {"error":"no such id","id":"…"}"#,
            ),
            (
                "given up after 12 tries, older than give_up_after (48.5 h in which the destination \
                 worked); the last: answered 503",
                "given up after … tries, older than give_up_after (… h in which the destination \
                 worked); the last: answered 503",
            ),
            (
                "the gate guard gave no answer: not within 30s",
                "the gate guard gave no answer: not within …",
            ),
            (
                "waits for number 17, which goes first",
                "waits for number …, which goes first",
            ),
            (
                "at 2026-11-22T10:59:33.120Z it said 12:30",
                "at … it said …",
            ),
            ("rows 1 2 3, of 10.0.0.3:8080.", "rows …, of …."),
            (
                "post to https://host.example:8080/a/b: reset",
                "post to https://host.example:…/a/b: reset",
            ),
            (
                "no asset for the action \"Gauge 12\": it waits",
                "no asset for the action \"Gauge …\": it waits",
            ),
            ("Kühlung ungültig: Ventil №7", "Kühlung ungültig: Ventil №…"),
            ("a\nb\u{1b}[2J", "a b [2J"),
            ("HTTP 500 of 4711", "HTTP 500 of …"),
            ("status 5000", "status …"),
        ] {
            let expected = expected.replace("[2J", "[…");
            assert_eq!(common(reason), expected, "{reason}");
        }
    }

    #[test]
    fn a_long_reason_is_cut() {
        let text = common(&"ä ".repeat(4000));
        assert_eq!(text.chars().count(), MOST);
        assert!(text.ends_with(GAP));
    }

    proptest! {
        #[test]
        fn any_reason_comes_to_a_short_text_without_its_numbers(
            reason in "[a-z0-9 ä:./_\"№😀-]{0,300}"
        ) {
            let text = common(&reason);
            prop_assert!(text.chars().count() <= MOST);
            prop_assert_eq!(common(&reason), text.clone());
            prop_assert_eq!(&common(&text), &text, "what is common has itself in common");
        }
    }
}
