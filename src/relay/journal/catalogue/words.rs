//! The words of a text, and what of a text the catalogue keeps.
//!
//! # Invariants
//! - Pure; bounded by the length of the text. No character means anything but itself: there is no
//!   syntax.
//! - What is looked for goes the same way as what is kept.

use icu_normalizer::DecomposingNormalizerBorrowed;
use icu_normalizer::properties::CanonicalCombiningClassMapBorrowed;

/// No more of a text is kept.
const LONGEST: usize = 256;
/// No more of a word counts.
const LONGEST_WORD: usize = 64;
/// What stands before an identity that is no run event's.
const TAGS: [&str; 3] = ["envelope:", "id:", "sha256:"];

/// What of a text is kept: its beginning, without control characters.
pub(in crate::relay::journal) fn kept(text: &str) -> String {
    let gap = |c: char| if c.is_control() { ' ' } else { c };
    let start: String = text.trim().chars().take(LONGEST).map(gap).collect();
    start.trim().to_owned()
}

/// A text in which case and accents do not count.
fn folded(text: &str) -> String {
    let taken_apart = DecomposingNormalizerBorrowed::new_nfkd().normalize_iter(text.chars());
    let class = CanonicalCombiningClassMapBorrowed::new();
    let letters = taken_apart.filter(|c| class.get_u8(*c) == 0);
    letters.flat_map(char::to_lowercase).collect()
}

/// The words of a text: letters and digits, folded.
pub(in crate::relay::journal) fn words(text: &str) -> Vec<String> {
    let folded = folded(&kept(text));
    let words = folded.split(|c: char| !c.is_alphanumeric());
    let words = words.filter(|word| !word.is_empty());
    words
        .map(|word| word.chars().take(LONGEST_WORD).collect())
        .collect()
}

/// An identity without its tag, in small letters.
pub(in crate::relay::journal) fn bare(identity: &str) -> String {
    let identity = kept(identity).to_lowercase();
    let mut tags = TAGS.iter();
    match tags.find_map(|tag| identity.strip_prefix(tag)) {
        Some(bare) => bare.to_owned(),
        None => identity,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn words_are_letters_and_digits_without_case_and_accents() {
        for (text, expected) in [
            ("P-101 Kühlung", vec!["p", "101", "kuhlung"]),
            (
                "\"pump\"* NEAR(a, b) -x",
                vec!["pump", "near", "a", "b", "x"],
            ),
            ("a\0b\u{202e}c 🔥", vec!["a", "b", "c"]),
            ("ÉTÉ ﬁn Ⅳ", vec!["ete", "fin", "iv"]),
            ("점검 ポンプ", vec!["점검", "ポンプ"]),
            (" * \" ' ( ", vec![]),
            ("", vec![]),
        ] {
            let expected: Vec<_> = expected.into_iter().map(folded).collect();
            assert_eq!(words(text), expected, "{text:?}");
        }
        assert_eq!(words(&"x".repeat(10_000))[0].len(), LONGEST_WORD);
    }

    #[test]
    fn an_identity_is_found_with_and_without_its_tag() {
        for (identity, expected) in [
            ("9FBD-1", "9fbd-1"),
            ("envelope:9fbd", "9fbd"),
            ("id:Order 7", "order 7"),
            ("sha256:00ff", "00ff"),
            ("id:", ""),
        ] {
            assert_eq!(bare(identity), expected);
        }
    }

    proptest! {
        #[test]
        fn what_is_kept_is_short_and_is_kept_again_as_it_is(text in any::<String>()) {
            let once = kept(&text);
            prop_assert!(once.chars().count() <= LONGEST && !once.contains(char::is_control));
            prop_assert_eq!(kept(&once), once);
        }

        #[test]
        fn the_words_of_a_word_are_that_word(text in any::<String>()) {
            for word in words(&text) {
                prop_assert_eq!(words(&word), vec![word.clone()]);
            }
        }
    }
}
