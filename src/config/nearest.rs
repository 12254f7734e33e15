//! Which right word somebody meant who wrote a wrong one.
//!
//! # Invariants
//! - Pure. Where nothing is near, nothing is suggested.

/// More words than these are not listed.
const MANY: usize = 12;

/// The right word that is nearest to `word`, if one is near: at most every third character, and
/// one more, is wrong. Case, `-` and `_` do not count.
pub(super) fn nearest<'a>(word: &str, right: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let plain = |text: &str| text.to_ascii_lowercase().replace('-', "_");
    let word = plain(word);
    let most = word.chars().count().div_ceil(3);
    right
        .into_iter()
        .map(|right| (strsim::damerau_levenshtein(&word, &plain(right)), right))
        .filter(|(distance, _)| *distance <= most)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, right)| right)
}

/// What to do instead: the nearest word, or all that there are.
pub(super) fn instead<'a>(word: &str, right: impl IntoIterator<Item = &'a str> + Clone) -> String {
    match nearest(word, right.clone()) {
        Some(right) => format!("did you mean `{right}`?"),
        None => match right.into_iter().collect::<Vec<_>>().as_slice() {
            [] => "there is none".to_owned(),
            [one] => format!("there is `{one}`"),
            several if several.len() > MANY => {
                "examples/relay.toml names all that there are".to_owned()
            }
            several => format!("there are {}", listed(several)),
        },
    }
}

/// Words in backquotes with commas between them.
fn listed(words: &[&str]) -> String {
    let words: Vec<_> = words.iter().map(|word| format!("`{word}`")).collect();
    words.join(", ")
}

/// A text that is no secret, wherever it was meant to stand, in backquotes and not at length.
pub(super) fn quoted(text: &str) -> String {
    let text = text.trim();
    match text.char_indices().nth(60) {
        None => format!("`{text}`"),
        Some((end, _)) => format!("`{}…`", text.get(..end).unwrap_or_default()),
    }
}

/// Somebody's word as an error may show it: in backquotes if it looks like a word, and not at all
/// if it may be a secret that stands in the wrong place.
pub(super) fn shown(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_-./".contains(c);
    if !word.is_empty() && word.len() <= 24 && word.chars().all(plain) {
        format!("`{word}`")
    } else {
        "this".to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_word_is_suggested_and_a_far_one_is_not() {
        let right = ["retry", "env", "file", "webhook_host", "standard-webhooks"];
        for (wrong, expected) in [
            ("retrry", Some("retry")),
            ("Retry", Some("retry")),
            ("evn", Some("env")),
            ("webhook-host", Some("webhook_host")),
            ("standard_webhook", Some("standard-webhooks")),
            ("xml", None),
            ("", None),
        ] {
            assert_eq!(nearest(wrong, right), expected, "{wrong}");
        }
    }

    #[test]
    fn what_does_not_look_like_a_word_is_not_shown() {
        assert_eq!(shown("barer"), "`barer`");
        for hidden in ["Bearer canary", "", "a-canary-that-is-much-too-long"] {
            assert_eq!(shown(hidden), "this");
        }
    }
}
