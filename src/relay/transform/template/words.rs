//! The words that an expression is made of: enough to find its end, and what it must not use.
//!
//! # Invariants
//! - Pure; linear in the text. What it does not understand it leaves to the expression's reader.

use std::ops::Range;

use crate::relay::transform::expression::filters::{FILTERS, TESTS};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Word<'a> {
    Name(&'a str),
    /// What stands between quotes.
    Text(&'a str),
    Number(&'a str),
    Sign(char),
}

/// These stand before `(` and are no functions.
const WORDS_BEFORE_BRACKETS: [&str; 7] = ["and", "else", "if", "in", "is", "not", "or"];

pub(super) struct Words<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Words<'a> {
    pub(super) fn of(text: &'a str) -> Self {
        Self { text, at: 0 }
    }
}

impl<'a> Iterator for Words<'a> {
    type Item = (Word<'a>, Range<usize>);

    fn next(&mut self) -> Option<Self::Item> {
        let rest = self.text.get(self.at..)?;
        let start = self.at + (rest.len() - rest.trim_start().len());
        let rest = rest.trim_start();
        let first = rest.chars().next()?;
        let is_word = |c: char| c == '_' || c.is_ascii_alphanumeric();
        let (word, length) = match first {
            quote @ ('"' | '\'') => {
                let end = closing(rest, quote);
                let inside = rest.get(1..end).unwrap_or_default();
                (Word::Text(inside), (end + 1).min(rest.len()))
            }
            '0'..='9' => {
                let end = number(rest);
                (Word::Number(rest.get(..end)?), end)
            }
            c if is_word(c) => {
                let end = rest.find(|c| !is_word(c)).unwrap_or(rest.len());
                (Word::Name(rest.get(..end)?), end)
            }
            sign => (Word::Sign(sign), sign.len_utf8()),
        };
        self.at = start + length;
        Some((word, start..self.at))
    }
}

/// Where the quote that opens a text is closed; its end where it is not.
fn closing(text: &str, quote: char) -> usize {
    let mut escaped = false;
    let mut signs = text.char_indices().skip(1);
    let end = signs.find(|(_, c)| {
        let closes = !escaped && *c == quote;
        escaped = !escaped && *c == '\\';
        closes
    });
    end.map_or(text.len(), |(at, _)| at)
}

fn number(text: &str) -> usize {
    let mut signs = text.char_indices().peekable();
    while let Some((at, c)) = signs.next() {
        let goes_on = c.is_ascii_alphanumeric()
            || c == '_'
            || (c == '.' && signs.peek().is_some_and(|(_, c)| c.is_ascii_digit()));
        if !goes_on {
            return at;
        }
    }
    text.len()
}

/// Where the `}}` stands that ends the expression which a text begins with.
pub(super) fn end_of_gap(text: &str) -> Option<usize> {
    let mut depth = 0_usize;
    for (word, at) in Words::of(text) {
        match word {
            Word::Sign('(' | '[' | '{') => depth += 1,
            Word::Sign('}') if depth == 0 => {
                let rest = text.get(at.end..)?;
                return rest.starts_with('}').then_some(at.start);
            }
            Word::Sign(')' | ']' | '}') => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    None
}

/// Refuses what an expression of a template must not use.
pub(super) fn check(expression: &str) -> Result<(), String> {
    let words: Vec<_> = Words::of(expression).map(|(word, _)| word).collect();
    let at = |place: Option<usize>| place.and_then(|place| words.get(place)).copied();
    for (place, word) in words.iter().enumerate() {
        let before = at(place.checked_sub(1));
        let next = at(Some(place + 1));
        match *word {
            Word::Sign('~') => {
                return Err("`~` is not for templates, it makes `None` of null: write \
                            `[a, b] | join(' ')`, or `{{ a }} {{ b }}`"
                    .to_owned());
            }
            Word::Sign('*')
                if matches!(before, Some(Word::Text(_))) || matches!(next, Some(Word::Text(_))) =>
            {
                return Err("a text cannot be multiplied".to_owned());
            }
            Word::Sign('|') => match next {
                Some(Word::Name("optional")) => {
                    return Err("`| optional` stands last, outside of all brackets".to_owned());
                }
                Some(Word::Name(name)) => known("filter", name, &FILTERS)?,
                _ => {}
            },
            Word::Name("is") if before != Some(Word::Sign('.')) => {
                let test = match next {
                    Some(Word::Name("not")) => at(Some(place + 2)),
                    other => other,
                };
                if let Some(Word::Name(name)) = test {
                    known("test", name, &TESTS)?;
                }
            }
            Word::Name(name)
                if next == Some(Word::Sign('('))
                    && !WORDS_BEFORE_BRACKETS.contains(&name)
                    && !follows_a_filter(before, at(place.checked_sub(2))) =>
            {
                return Err(format!(
                    "there are no functions, so no `{name}(…)`; filters are written `value | filter`"
                ));
            }
            _ => {}
        }
    }
    Ok(())
}

fn follows_a_filter(before: Option<Word<'_>>, second: Option<Word<'_>>) -> bool {
    match before {
        Some(Word::Sign('|') | Word::Name("is")) => true,
        Some(Word::Name("not")) => second == Some(Word::Name("is")),
        _ => false,
    }
}

fn known(kind: &str, name: &str, known: &[&str]) -> Result<(), String> {
    if known.contains(&name) {
        return Ok(());
    }
    Err(format!(
        "no {kind} `{name}` is known; there are {}",
        known.join(", ")
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_a_gap_is_found_behind_quotes_and_brackets() {
        for (text, expression) in [
            (" a }} b }}", " a "),
            ("{0:'1',1:'4'}[a]}} x", "{0:'1',1:'4'}[a]"),
            ("{'a':{'b':1}}['a']['b'] }}", "{'a':{'b':1}}['a']['b'] "),
            ("{'a':{'b':1}}}}", "{'a':{'b':1}}"),
            ("'}}' }}", "'}}' "),
            (r#""\"}}" }}"#, r#""\"}}" "#),
            (r"'\\' }} '", r"'\\' "),
            ("}}", ""),
        ] {
            let end = end_of_gap(text);
            assert_eq!(
                end.and_then(|end| text.get(..end)),
                Some(expression),
                "{text}"
            );
        }
        for text in ["", "a", "a }", "a } }", "'a }}", "{'a': 1 }}", "(a }}"] {
            assert_eq!(end_of_gap(text), None, "{text}");
        }
    }

    #[test]
    fn what_a_template_must_not_use_is_found_wherever_it_stands() {
        for (text, part) in [
            ("a ~ b", "`~`"),
            ("a|nonsense", "no filter `nonsense`"),
            ("a if false else b | nonsense", "no filter `nonsense`"),
            ("a is nonsense", "no test `nonsense`"),
            ("a is not nonsense", "no test `nonsense`"),
            ("range(3)", "no `range(…)`"),
            ("a.items()", "no `items(…)`"),
            ("(a | optional) + b", "stands last"),
            ("'x' * 100000000", "multiplied"),
            ("9 * 'x'", "multiplied"),
        ] {
            let error = check(text).unwrap_err();
            assert!(error.contains(part), "{text}: {error}");
        }
        for text in [
            "a | shorten(3) | upper",
            "not (a) and (b) or (c if (d) else (e))",
            "a is divisibleby(3) and b is not divisibleby(3)",
            "a in (1, 2) and a * 2 > 3",
            "'~ | nonsense is nonsense range(3)'",
            "a.is",
        ] {
            assert_eq!(check(text), Ok(()), "{text}");
        }
    }
}
