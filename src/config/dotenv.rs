//! Reads a `.env` file: as dotenvy reads it where that is plain, refused where it would surprise.
//!
//! A line is `NAME=value`. The value is bare, or in single quotes (taken as it stands), or in
//! double quotes (with backslash escapes); a quoted value may span lines.
//!
//! # Invariants
//! - Nothing is substituted from the environment or from other lines.
//! - An error holds the line and the variable, never anything else of the file: it may be a secret.
//! - Pure: the file is read elsewhere, and nothing is set in the environment.

use std::collections::BTreeMap;
use std::fmt;

/// A line that cannot be taken as it stands.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct DotenvError {
    /// The line of the file, counted from 1; of a value that spans lines, the first.
    pub line: usize,
    /// The variable, where the text before `=` looks like one.
    pub variable: Option<String>,
    /// What is wrong and what to do.
    pub what: &'static str,
}

impl fmt::Display for DotenvError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.variable {
            Some(variable) => write!(f, "line {}: {variable}: {}", self.line, self.what),
            None => write!(f, "line {}: {}", self.line, self.what),
        }
    }
}

/// The variables of a `.env` text, each with its value and line, in the order of the file.
///
/// A variable whose value is empty is left out. Of several lines for one variable the last counts.
/// Line ends inside quotes are read as `\n`.
pub fn parse(text: &[u8]) -> Result<Vec<(String, String, usize)>, DotenvError> {
    let text = utf8(text)?.replace("\r\n", "\n");
    let mut variables: BTreeMap<String, (String, usize)> = BTreeMap::new();
    let mut rest = text.as_str();
    let mut line = 1;
    while !rest.is_empty() {
        let (first, _) = rest.split_once('\n').unwrap_or((rest, ""));
        let mut taken = first;
        if !is_blank_or_comment(first) {
            let (name, value) = name(first).map_err(|what| refused(line, None, what))?;
            let refused = |what| refused(line, Some(name), what);
            // The value may go on after this line, so it is looked for in all that is left.
            let value = rest.get(first.len() - value.len()..).unwrap_or_default();
            let (value, after) = normalised(value).map_err(refused)?;
            taken = rest.get(..rest.len() - after.len()).unwrap_or(rest);
            let value = unquoted(name, &value).map_err(refused)?;
            variables.insert(name.to_owned(), (value, line));
        }
        line += taken.matches('\n').count() + 1;
        rest = rest.get(taken.len() + 1..).unwrap_or_default();
    }
    let set = variables.into_iter();
    let set = set.filter(|(_, (value, _))| !value.is_empty());
    let mut set: Vec<_> = set
        .map(|(name, (value, line))| (name, value, line))
        .collect();
    set.sort_unstable_by_key(|(_, _, line)| *line);
    Ok(set)
}

const USE_SINGLE_QUOTES: &str = "put the value in single quotes";

fn refused(line: usize, name: Option<&str>, what: &'static str) -> DotenvError {
    // A secret that stands on a line of its own may end in `=`. It hardly looks like this.
    let looks_like_a_variable = |name: &&str| {
        name.len() <= 64
            && name
                .bytes()
                .all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_')
    };
    DotenvError {
        line,
        variable: name.filter(looks_like_a_variable).map(str::to_owned),
        what,
    }
}

fn utf8(text: &[u8]) -> Result<&str, DotenvError> {
    let text = str::from_utf8(text).map_err(|error| {
        let good = text.get(..error.valid_up_to()).unwrap_or_default();
        let line = 1 + String::from_utf8_lossy(good).matches('\n').count();
        refused(line, None, "not UTF-8; save the file as UTF-8")
    })?;
    Ok(text.strip_prefix('\u{feff}').unwrap_or(text))
}

fn is_blank_or_comment(line: &str) -> bool {
    let line = line.trim_start();
    line.is_empty() || line.starts_with('#')
}

/// The name before `=`, and all that follows `=` on the line.
fn name(line: &str) -> Result<(&str, &str), &'static str> {
    let (before, value) = line
        .split_once('=')
        .ok_or("there is no `=`; write NAME=value")?;
    let before = before.trim();
    let name = before
        .strip_prefix("export")
        .filter(|name| name.starts_with(char::is_whitespace))
        .map_or(before, str::trim_start);
    let mut bytes = name.bytes();
    let is_name = bytes
        .next()
        .is_some_and(|byte| byte.is_ascii_alphabetic() || byte == b'_')
        && bytes.all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    if !is_name {
        return Err("the text before `=` is no variable's name; write NAME=value");
    }
    Ok((name, value))
}

/// The value as dotenvy takes it without surprises, without comment, and what follows its line:
/// nothing, or a line end and the lines after it.
fn normalised(text: &str) -> Result<(String, &str), &'static str> {
    if text.starts_with('#') {
        // Taken for a comment, this would silently unset a secret that begins with `#`.
        return Err(
            "a value that begins with `#` needs single quotes, a comment a space before it",
        );
    }
    let text = text.trim_start_matches([' ', '\t']);
    if let Some(quoted) = text.strip_prefix('\'') {
        let (value, after) = quoted.split_once('\'').ok_or(NEVER_CLOSED)?;
        // Double quotes with every special character escaped: in single quotes dotenvy takes a
        // backslash before the closing quote for an escape at one place and not at another.
        let mut escaped = String::with_capacity(value.len() + 2);
        escaped.push('"');
        for c in value.chars() {
            if matches!(c, '\\' | '"' | '$') {
                escaped.push('\\');
            }
            escaped.push(c);
        }
        escaped.push('"');
        return Ok((escaped, after_quotes(after)?));
    }
    if let Some(quoted) = text.strip_prefix('"') {
        let end = end_of_double_quotes(quoted)?;
        let (value, after) = quoted.split_at_checked(end).ok_or(NEVER_CLOSED)?;
        let after = after.strip_prefix('"').ok_or(NEVER_CLOSED)?;
        return Ok((format!("\"{value}\""), after_quotes(after)?));
    }
    let line_end = text.find('\n').unwrap_or(text.len());
    let (line, after) = text.split_at_checked(line_end).unwrap_or((text, ""));
    Ok((bare(line)?.to_owned(), after))
}

const NEVER_CLOSED: &str = "a quote is opened and never closed";
const DOLLAR: &str = "a `$` would be substituted; use single quotes";

/// Where the closing quote stands.
fn end_of_double_quotes(text: &str) -> Result<usize, &'static str> {
    let mut characters = text.char_indices();
    while let Some((place, c)) = characters.next() {
        match c {
            '"' => return Ok(place),
            '$' => return Err(DOLLAR),
            '\\' => match characters.next() {
                Some((_, '\\' | '"' | '\'' | '$' | ' ' | 'n')) => {}
                _ => return Err("no such backslash escape; use single quotes"),
            },
            _ => {}
        }
    }
    Err(NEVER_CLOSED)
}

/// What follows the line on which a quoted value ends.
fn after_quotes(text: &str) -> Result<&str, &'static str> {
    let line_end = text.find('\n').unwrap_or(text.len());
    let (line, after) = text.split_at_checked(line_end).unwrap_or((text, ""));
    let spaced = line.starts_with(char::is_whitespace);
    let line = line.trim();
    if line.is_empty() || (spaced && line.starts_with('#')) {
        Ok(after)
    } else {
        Err("text follows the closing quote; put the whole value in quotes")
    }
}

/// A value without quotes, without its comment.
fn bare(line: &str) -> Result<&str, &'static str> {
    let (value, rest) = line
        .find(char::is_whitespace)
        .and_then(|space| line.split_at_checked(space))
        .unwrap_or((line, ""));
    let rest = rest.trim_start();
    if line.starts_with('#') {
        Ok("")
    } else if value.contains('$') {
        Err(DOLLAR)
    } else if value.contains('\'') {
        Err("put the value in double quotes, since it holds a single one")
    } else if value.contains(['"', '\\']) || !(rest.is_empty() || rest.starts_with('#')) {
        Err(USE_SINGLE_QUOTES)
    } else {
        Ok(value)
    }
}

/// The value without quotes and escapes.
fn unquoted(name: &str, value: &str) -> Result<String, &'static str> {
    // dotenvy's own error holds the value, so it is dropped.
    let line = format!("{name}={value}\n");
    let mut variables = dotenvy::from_read_iter(line.as_bytes());
    match (variables.next(), variables.next()) {
        (Some(Ok((read, value))), None) if read == name => Ok(value),
        _ => Err(USE_SINGLE_QUOTES),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(text: &str) -> Vec<(String, String, usize)> {
        parse(text.as_bytes()).unwrap()
    }

    /// The values by name alone.
    fn values(text: &str) -> Vec<(String, String)> {
        let strip_line = |(name, value, _)| (name, value);
        read(text).into_iter().map(strip_line).collect()
    }

    fn value(text: &str) -> String {
        let values = values(text);
        assert_eq!(values.len(), 1, "{text:?}");
        assert_eq!(values[0].0, "A", "{text:?}");
        values[0].1.clone()
    }

    fn refusal(text: &[u8]) -> String {
        let error = parse(text).unwrap_err();
        assert!(!format!("{error} {error:?}").contains("canary"), "{error}");
        error.to_string()
    }

    #[test]
    fn a_byte_order_mark_spaces_export_and_line_ends_of_windows_are_accepted() {
        for text in [
            "A=x",
            "A=x\n",
            "\u{feff}A=x",
            "A = x",
            "  A =\tx  ",
            "export A=x",
            "export\tA = x",
            "A=x\r\n",
            "\r\n# B=y\r\n  # C\r\nA=x # why\r\n",
        ] {
            assert_eq!(value(text), "x", "{text:?}");
        }
    }

    #[test]
    fn quoted_values_are_taken_without_their_quotes() {
        for (text, expected) in [
            ("A='x y'", "x y"),
            ("A=\"x y\" # why", "x y"),
            ("A=' x # y '", " x # y "),
            ("A=\"x # y\"", "x # y"),
            ("A=x#y", "x#y"),
            ("A=a=b==", "a=b=="),
            ("A='$x ${y}'", "$x ${y}"),
            ("A='say \"x\"'", "say \"x\""),
            ("A=\"it's\"", "it's"),
            ("A=\"\\\"\\$\\\\\\n\"", "\"$\\\n"),
            ("A='C:\\new\\'", "C:\\new\\"),
            ("A='K\u{fc}hlung'", "K\u{fc}hlung"),
        ] {
            assert_eq!(value(text), expected, "{text:?}");
        }
    }

    #[test]
    fn a_quoted_value_may_span_lines_and_later_lines_keep_their_numbers() {
        for quote in ['\'', '"'] {
            let text = format!("A={quote}x\r\n# y\r\n{quote} # why\r\n\r\nB=z\r\n");
            let expected = [("A", "x\n# y\n", 1), ("B", "z", 5)];
            assert_eq!(
                read(&text),
                expected.map(|(name, value, line)| (name.to_owned(), value.to_owned(), line))
            );
        }
    }

    #[test]
    fn an_empty_value_means_unset() {
        for text in ["", "A=", "A = ", "A=''", "A=\"\"", "A= # why", "A=\nB=\n"] {
            assert_eq!(values(text), [], "{text:?}");
        }
    }

    #[test]
    fn of_several_lines_for_one_variable_the_last_counts() {
        assert_eq!(read("A=x\nA=y\n"), [("A".to_owned(), "y".to_owned(), 2)]);
        assert_eq!(values("A=x\nA=\n"), []);
    }

    #[test]
    fn a_dollar_that_would_be_substituted_is_refused() {
        for bad in [
            "pa$canary",
            "$canary",
            "${canary}",
            "\"pa$canary\"",
            "canary$",
        ] {
            let error = refusal(format!("B=x\nINTEGRATION_AUTH={bad}\n").as_bytes());
            assert!(error.starts_with("line 2: INTEGRATION_AUTH: "), "{error}");
            assert!(error.contains("use single quotes"), "{error}");
        }
    }

    #[test]
    fn nothing_is_substituted_from_other_lines() {
        assert_eq!(
            values("B=x\nA='$B'\n")[1],
            ("A".to_owned(), "$B".to_owned())
        );
        assert_eq!(values("B=x\nA=\"\\$B\"\n")[1].1, "$B");
    }

    #[test]
    fn a_bad_line_is_named_by_number_and_variable_never_with_its_content() {
        for bad in [
            "Bearer canary",
            "'canary",
            "\"canary",
            "'canary' canary",
            "'canary'canary",
            "\"canary\"canary",
            "it's-canary",
            "canary\\",
            "\\canary",
            "\"\\canary\"",
            "\"canary\\",
            "#canary",
            "canary\u{a0}canary",
            "canary\rcanary",
        ] {
            let error = refusal(format!("\n# x\nINTEGRATION_AUTH={bad}\n").as_bytes());
            assert!(error.starts_with("line 3: INTEGRATION_AUTH: "), "{bad}");
        }
    }

    #[test]
    fn a_line_that_names_no_variable_is_named_by_number_alone() {
        for bad in [
            "canary",
            "canary canary=",
            "=canary",
            "7=canary",
            "A: canary=",
            "export canary",
        ] {
            let error = refusal(format!("A='x\ny'\n{bad}\n").as_bytes());
            assert!(error.starts_with("line 3: the"), "{bad}: {error}");
        }
    }

    #[test]
    fn a_secret_that_ends_like_a_name_is_not_taken_for_one() {
        assert!(refusal(b"canary7= x y\n").starts_with("line 1: put"));
    }

    #[test]
    fn a_file_that_is_not_utf8_is_refused_with_its_line() {
        let error = refusal(b"A=x\r\nB=canary\xfc\r\n");
        assert_eq!(error, "line 2: not UTF-8; save the file as UTF-8");
    }

    proptest! {
        #[test]
        fn no_bytes_panic(bytes: Vec<u8>) {
            let _variables = parse(&bytes);
        }

        #[test]
        fn no_error_holds_a_value(
            text in "((export )?(A|INTEGRATION_AUTH|canary)?[ =]{0,2}([ '\"#$\\\\\n=]|canary|\r\n){0,8}\n){1,3}",
        ) {
            if let Err(error) = parse(text.as_bytes()) {
                let shown = format!("{error} {error:?}");
                prop_assert!(!shown.contains("canary"), "{}", shown);
            }
        }

        #[test]
        fn any_value_in_single_quotes_is_read_as_it_stands(text in "[^'\r]{1,40}") {
            let variables = read(&format!("A='{text}'\nB=x\n"));
            let line = 2 + text.matches('\n').count();
            prop_assert_eq!(&variables[0], &("A".to_owned(), text, 1));
            prop_assert_eq!(&variables[1], &("B".to_owned(), "x".to_owned(), line));
        }

        #[test]
        fn a_plain_value_needs_no_quotes(text in "[A-Za-z0-9_.:/@,+=-]{1,40}") {
            prop_assert_eq!(value(&format!("A={text}")), text);
        }
    }
}
