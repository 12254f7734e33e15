//! Texts: of anything that may be one, cut to a length, on one line.
//!
//! # Invariants
//! - What is cut has at most so many characters, its marker included.

use super::super::json::Json;

/// A text that is not blank, or a number's digits.
pub(super) fn text(json: &Json) -> Option<String> {
    match json {
        Json::String(text) if !text.trim().is_empty() => Some(text.clone()),
        Json::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

/// The first of the members of this name that reads as something.
pub(super) fn first<T>(
    places: &[&Json],
    name: &str,
    read: impl Fn(&Json) -> Option<T>,
) -> Option<T> {
    let mut places = places.iter();
    places.find_map(|place| place.get(name).and_then(&read))
}

/// At most so many characters; an ellipsis says that there were more.
pub(super) fn cut(text: &str, most: usize) -> String {
    if text.chars().nth(most).is_none() {
        return text.to_owned();
    }
    let start: String = text.chars().take(most.saturating_sub(1)).collect();
    format!("{}…", start.trim_end())
}

/// One line, without what would steer a terminal or turn the direction of what follows.
pub(super) fn plain(text: &str) -> String {
    let gap = |c: char| c.is_whitespace() || c.is_control();
    let words = text.split(gap).map(|word| word.replace(steers, ""));
    let words: Vec<String> = words.filter(|word| !word.is_empty()).collect();
    words.join(" ")
}

fn steers(c: char) -> bool {
    matches!(
        c,
        '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}'
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_cut_says_so_and_has_the_asked_length() {
        assert_eq!(cut("점검 50%", 6), "점검 50%");
        assert_eq!(cut("점검 50%", 5), "점검 5…");
        assert_eq!(cut("점검 50%", 4), "점검…");
        assert_eq!(cut("abc", 0), "…");
    }

    #[test]
    fn one_line_has_no_line_ends_control_characters_or_turns() {
        let text = " a\r\n\tb\u{2028}c\u{1b}[31m\u{202e}d\u{2063}\u{85} e ";
        assert_eq!(plain(text), "a b c [31md e");
    }
}
