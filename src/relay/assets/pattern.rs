//! What stands in a key cell: a name, or a pattern with `*` and `?`.
//!
//! # Invariants
//! - Matching takes at most the length of the pattern times that of the name, both bounded; it
//!   never recurses.
//! - A pattern matches nothing that is empty, `*` alone included.
//! - Two patterns that are written differently and mean the same are equal.

use std::fmt;

/// No pattern has more characters.
const LONGEST: usize = 256;
/// A name that has more characters is found by exact rows only.
const LONGEST_NAME: usize = 1_000;

/// A key cell that is filled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Cell {
    /// The name itself.
    Exact(String),
    /// What a name must look like.
    Pattern(Pattern),
}

/// What a name must look like.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Pattern(Box<[Part]>);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    Literal(char),
    /// `?`: any one character.
    One,
    /// `*`: any characters, or none.
    Any,
}

impl Cell {
    /// Reads a cell. A backslash takes the meaning from a `*`, `?` or backslash behind it; before
    /// anything else it is a backslash.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let mut parts = Vec::new();
        let (mut ones, mut any) = (0, false);
        let mut chars = text.chars().peekable();
        while let Some(c) = chars.next() {
            let literal = match c {
                '*' => {
                    any = true;
                    continue;
                }
                '?' => {
                    ones += 1;
                    continue;
                }
                '\\' => chars.next_if(|next| is_special(*next)).unwrap_or(c),
                c => c,
            };
            flush(&mut parts, &mut ones, &mut any);
            parts.push(Part::Literal(literal));
        }
        flush(&mut parts, &mut ones, &mut any);
        let literals: String = parts.iter().filter_map(Part::literal).collect();
        if literals.chars().count() == parts.len() {
            return Ok(Self::Exact(literals));
        }
        if parts.len() > LONGEST {
            return Err(format!(
                "a pattern has more than {LONGEST} characters; where `*` or `?` is part of a name, \
                 write `\\*`, `\\?`"
            ));
        }
        Ok(Self::Pattern(Pattern(parts.into())))
    }

    /// How many characters are given.
    pub(super) fn literals(&self) -> usize {
        match self {
            Self::Exact(name) => name.chars().count(),
            Self::Pattern(Pattern(parts)) => parts.iter().filter_map(Part::literal).count(),
        }
    }
}

impl fmt::Display for Cell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exact(name) => f.write_str(&escaped(name)),
            Self::Pattern(pattern) => pattern.fmt(f),
        }
    }
}

impl Pattern {
    /// What every name that fits begins with.
    pub(super) fn start(&self) -> String {
        self.0.iter().map_while(Part::literal).collect()
    }

    /// Whether a name, as [`characters`] has it, fits.
    pub(super) fn matches(&self, name: &[char]) -> bool {
        let Self(parts) = self;
        if name.is_empty() {
            return false;
        }
        if let (Some(Part::Literal(last)), Some(end)) = (parts.last(), name.last())
            && last != end
        {
            return false;
        }
        let (mut part, mut at) = (0, 0);
        // Where to go on when it does not fit: behind the last `*`, which then takes one more.
        let mut retry = None;
        while let Some(c) = name.get(at) {
            match parts.get(part) {
                Some(Part::Any) => {
                    part += 1;
                    retry = Some((part, at));
                }
                Some(Part::One) => (part, at) = (part + 1, at + 1),
                Some(Part::Literal(literal)) if literal == c => (part, at) = (part + 1, at + 1),
                _ => {
                    let Some((behind, from)) = retry else {
                        return false;
                    };
                    retry = Some((behind, from + 1));
                    (part, at) = (behind, from + 1);
                }
            }
        }
        let mut rest = parts.iter().skip(part);
        rest.all(|part| *part == Part::Any)
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for part in &self.0 {
            match part {
                Part::Literal(c) if is_special(*c) => write!(f, "\\{c}")?,
                Part::Literal(c) => write!(f, "{c}")?,
                Part::One => f.write_str("?")?,
                Part::Any => f.write_str("*")?,
            }
        }
        Ok(())
    }
}

impl Part {
    fn literal(&self) -> Option<char> {
        match self {
            Self::Literal(c) => Some(*c),
            Self::One | Self::Any => None,
        }
    }
}

/// A name as patterns are compared with it; empty, which nothing fits, where it is too long.
pub(super) fn characters(name: &str) -> Vec<char> {
    let characters: Vec<char> = name.chars().take(LONGEST_NAME + 1).collect();
    if characters.len() > LONGEST_NAME {
        Vec::new()
    } else {
        characters
    }
}

/// A name as a cell that means just it.
pub(super) fn escaped(name: &str) -> String {
    let mut cell = String::with_capacity(name.len());
    for c in name.chars() {
        if is_special(c) {
            cell.push('\\');
        }
        cell.push(c);
    }
    cell
}

fn is_special(c: char) -> bool {
    matches!(c, '*' | '?' | '\\')
}

/// However `*` and `?` are mixed: so many characters, or so many and more.
fn flush(parts: &mut Vec<Part>, ones: &mut usize, any: &mut bool) {
    parts.extend(std::iter::repeat_n(Part::One, std::mem::take(ones)));
    parts.extend(std::mem::take(any).then_some(Part::Any));
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn fits(cell: &str, name: &str) -> bool {
        match Cell::parse(cell).unwrap() {
            Cell::Exact(exact) => exact == name,
            Cell::Pattern(pattern) => pattern.matches(&characters(name)),
        }
    }

    #[test]
    fn what_each_pattern_fits() {
        for (cell, good, bad) in [
            (
                "P-101*",
                &["P-101", "P-101 motor DE"][..],
                &["P-10", "XP-101"][..],
            ),
            ("*motor", &["motor", "P-101 motor"], &["motor 2", "moto"]),
            (
                "P*DE",
                &["PDE", "P-101 motor DE", "PDEDE"],
                &["P", "DE", "PDE x"],
            ),
            ("*101*", &["101", "P-101 x", "1101"], &["10 1", "11"]),
            ("a*b*c", &["abc", "axbxc", "abcbc"], &["acb", "ab", "abcb"]),
            ("P-10?", &["P-101", "P-10ü", "P-10점"], &["P-10", "P-1011"]),
            ("??", &["ab", "점검"], &["a", "abc"]),
            ("?*", &["a", "ab"], &[""]),
            ("*??", &["ab", "abc"], &["a"]),
            ("*", &["a", "*", "\\", "점검"], &[""]),
            ("**", &["a"], &[""]),
            (
                "Kühl*",
                &["Kühlung", "Kühl"],
                &["kühlung", "Ku\u{308}hlung"],
            ),
            ("*점?", &["점검", "x점검"], &["점", "점검검"]),
            ("\\*", &["*"], &["a", "\\*", "**"]),
            ("closed\\?", &["closed?"], &["closedx", "closed\\?"]),
            ("a\\\\b", &["a\\b"], &["a\\\\b"]),
            ("a\\\\*", &["a\\", "a\\b"], &["a*", "a"]),
            ("a\\\\\\*", &["a\\*"], &["a\\b", "a*"]),
            ("a\\b", &["a\\b"], &["ab"]),
            ("a\\", &["a\\"], &["a"]),
            ("\\**\\*", &["**", "*x*"], &["*", "x"]),
        ] {
            for name in good {
                assert!(fits(cell, name), "{cell} fits {name}");
            }
            for name in bad {
                assert!(!fits(cell, name), "{cell} does not fit {name}");
            }
        }
    }

    #[test]
    fn patterns_that_mean_the_same_are_equal_and_what_is_escaped_is_a_name() {
        for (one, other) in [
            ("**", "*"),
            ("*?a", "?*a"),
            ("a*?*?", "a??*"),
            ("\\a*", "\\\\a*"),
        ] {
            assert_eq!(Cell::parse(one), Cell::parse(other), "{one} {other}");
        }
        assert_ne!(Cell::parse("?"), Cell::parse("*"));
        assert_eq!(Cell::parse("\\*\\?"), Ok(Cell::Exact("*?".into())));
        assert_ne!(Cell::parse("\\*"), Cell::parse("*"));
    }

    #[test]
    fn more_characters_that_are_given_are_more_literals() {
        for (cell, literals) in [("*", 0), ("??", 0), ("P-1*", 3), ("\\**점", 2), ("abc", 3)] {
            assert_eq!(Cell::parse(cell).unwrap().literals(), literals, "{cell}");
        }
    }

    #[test]
    fn a_pattern_that_is_too_long_is_refused_and_a_name_that_is_fits_none() {
        assert!(Cell::parse(&("a".repeat(256) + "*")).is_err());
        assert!(Cell::parse(&"a".repeat(1_000)).is_ok());
        assert!(fits("a*", &"a".repeat(1_000)));
        assert!(!fits("a*", &"a".repeat(1_001)));
    }

    #[test]
    fn a_pattern_made_to_take_long_does_not() {
        let pattern = "a*".repeat(127) + "b";
        let name = "a".repeat(1_000);
        // With a step back for each `*` this would outlast the universe.
        for _ in 0..10 {
            assert!(!fits(&pattern, &name));
            assert!(!fits(
                &(pattern.clone() + "?"),
                &(name[1..].to_owned() + "b")
            ));
        }
    }

    /// What a pattern means, by the book: all ways are tried.
    fn by_the_book(parts: &[Part], name: &[char]) -> bool {
        match (parts, name) {
            ([], name) => name.is_empty(),
            ([Part::Any, rest @ ..], name) => {
                (0..=name.len()).any(|taken| by_the_book(rest, &name[taken..]))
            }
            ([Part::One, rest @ ..], [_, name @ ..]) => by_the_book(rest, name),
            ([Part::Literal(l), rest @ ..], [c, name @ ..]) => l == c && by_the_book(rest, name),
            _ => false,
        }
    }

    proptest! {
        #[test]
        fn matching_never_panics(cell in "\\PC{0,40}|[*?\\\\ab점]{0,40}", name in "\\PC{0,40}") {
            fits(&cell, &name);
        }

        #[test]
        fn a_pattern_fits_what_it_fits_by_the_book(cell in "[*?ab]{0,8}", name in "[ab]{1,8}") {
            if let Cell::Pattern(pattern) = Cell::parse(&cell).unwrap() {
                let name: Vec<char> = name.chars().collect();
                prop_assert_eq!(pattern.matches(&name), by_the_book(&pattern.0, &name));
            }
        }

        #[test]
        fn a_pattern_made_of_a_literal_name_matches_that_name(
            name in "\\PC{1,30}|[*?\\\\ab]{1,30}",
        ) {
            prop_assert_eq!(Cell::parse(&escaped(&name)), Ok(Cell::Exact(name.clone())));
            for cell in [escaped(&name) + "*", "*".to_owned() + &escaped(&name)] {
                prop_assert!(fits(&cell, &name), "{} {}", cell, name);
            }
            // One that was in a map before there were patterns still finds its action.
            let ends_alone = !name.contains('\\');
            prop_assert!(!ends_alone || fits(&name, &name), "{}", name);
        }

        #[test]
        fn a_pattern_is_read_as_it_is_written(cell in "[*?\\\\a점]{0,12}") {
            let read = Cell::parse(&cell).unwrap();
            prop_assert_eq!(Cell::parse(&read.to_string()), Ok(read));
        }
    }
}
