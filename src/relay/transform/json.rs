//! JSON as a tree that forgets nothing: numbers keep their digits, members their order.
//!
//! # Invariants
//! - Pure. Time and memory are linear in the text; depth is bounded by [`DEEPEST`].
//! - What was read and is written again is the same JSON, number for number.

use std::fmt;

use minijinja::Value;
use serde_json::value::RawValue;

/// Nothing deeper is taken apart.
pub const DEEPEST: usize = 128;

/// A JSON value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Json {
    /// `null`.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A number, as it is written.
    Number(Box<str>),
    /// A text.
    String(String),
    /// A list.
    Array(Vec<Json>),
    /// Members in order.
    Object(Vec<(String, Json)>),
}

/// Why a text is not taken as JSON.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub enum JsonError {
    /// It is none.
    #[error("it is not JSON: {0}")]
    Syntax(String),
    /// It nests too deeply.
    #[error("it nests deeper than {DEEPEST} levels")]
    Deep,
}

impl Json {
    /// Reads any JSON.
    pub fn parse(text: &[u8]) -> Result<Self, JsonError> {
        let text: &RawValue =
            serde_json::from_slice(text).map_err(|error| JsonError::Syntax(error.to_string()))?;
        let mut walker = Walker { rest: text.get() };
        walker.value(0)
    }

    /// An object of these members.
    pub fn object<const N: usize>(members: [(&str, Json); N]) -> Self {
        let members = members.into_iter();
        Self::Object(members.map(|(name, of)| (name.to_owned(), of)).collect())
    }

    /// The member of an object; of several of one name the last.
    pub fn get(&self, name: &str) -> Option<&Self> {
        match self {
            Self::Object(members) => {
                let mut last_first = members.iter().rev();
                last_first.find(|(is, _)| is == name).map(|(_, of)| of)
            }
            _ => None,
        }
    }

    /// The item of a list.
    pub fn at(&self, index: usize) -> Option<&Self> {
        self.items().get(index)
    }

    /// The items of a list; nothing else has any.
    pub fn items(&self) -> &[Self] {
        match self {
            Self::Array(items) => items,
            _ => &[],
        }
    }

    /// What a JSON pointer (RFC 6901) leads to.
    pub fn pointer(&self, pointer: &str) -> Option<&Self> {
        if pointer.is_empty() {
            return Some(self);
        }
        let steps = pointer.strip_prefix('/')?.split('/');
        let mut here = self;
        for step in steps {
            let step = step.replace("~1", "/").replace("~0", "~");
            here = match here {
                Self::Array(_) => here.at(step.parse().ok()?)?,
                _ => here.get(&step)?,
            };
        }
        Some(here)
    }

    /// A text's text.
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Self::String(text) => Some(text),
            _ => None,
        }
    }

    /// A number, as near as a float comes to it; none beyond its range.
    pub fn as_f64(&self) -> Option<f64> {
        match self {
            Self::Number(text) => text.parse().ok().filter(|number: &f64| number.is_finite()),
            _ => None,
        }
    }

    /// A whole number.
    pub fn as_i64(&self) -> Option<i64> {
        match self {
            Self::Number(text) => text.parse().ok(),
            _ => None,
        }
    }

    /// True or false.
    pub fn as_bool(&self) -> Option<bool> {
        match self {
            Self::Bool(flag) => Some(*flag),
            _ => None,
        }
    }

    /// Whether it is `null`.
    pub fn is_null(&self) -> bool {
        *self == Self::Null
    }

    /// What expressions calculate with; a number beyond all floats is its text there.
    pub fn to_value(&self) -> Value {
        match self {
            Self::Null => Value::from(()),
            Self::Bool(flag) => Value::from(*flag),
            Self::Number(text) => number(text),
            Self::String(text) => Value::from(text.as_str()),
            Self::Array(items) => items.iter().map(Self::to_value).collect(),
            Self::Object(members) => {
                let members = members.iter();
                members
                    .map(|(name, of)| (name.as_str(), of.to_value()))
                    .collect()
            }
        }
    }

    /// Writes it behind what is there, without white space.
    pub fn write(&self, out: &mut String) {
        match self {
            Self::Null => out.push_str("null"),
            Self::Bool(flag) => out.push_str(if *flag { "true" } else { "false" }),
            Self::Number(text) => out.push_str(text),
            Self::String(text) => quote(text, out),
            Self::Array(items) => {
                out.push('[');
                for (place, item) in items.iter().enumerate() {
                    if place > 0 {
                        out.push(',');
                    }
                    item.write(out);
                }
                out.push(']');
            }
            Self::Object(members) => {
                out.push('{');
                for (place, (name, of)) in members.iter().enumerate() {
                    if place > 0 {
                        out.push(',');
                    }
                    quote(name, out);
                    out.push(':');
                    of.write(out);
                }
                out.push('}');
            }
        }
    }
}

impl fmt::Display for Json {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = String::new();
        self.write(&mut text);
        f.write_str(&text)
    }
}

impl From<bool> for Json {
    fn from(flag: bool) -> Self {
        Self::Bool(flag)
    }
}

impl From<i64> for Json {
    fn from(number: i64) -> Self {
        Self::Number(number.to_string().into())
    }
}

impl From<usize> for Json {
    fn from(number: usize) -> Self {
        Self::Number(number.to_string().into())
    }
}

impl From<&str> for Json {
    fn from(text: &str) -> Self {
        Self::String(text.to_owned())
    }
}

impl From<String> for Json {
    fn from(text: String) -> Self {
        Self::String(text)
    }
}

impl<T: Into<Json>> From<Option<T>> for Json {
    fn from(some: Option<T>) -> Self {
        some.map_or(Self::Null, Into::into)
    }
}

impl<T: Into<Json>> FromIterator<T> for Json {
    fn from_iter<I: IntoIterator<Item = T>>(items: I) -> Self {
        Self::Array(items.into_iter().map(Into::into).collect())
    }
}

fn quote(text: &str, out: &mut String) {
    out.push_str(&serde_json::Value::from(text).to_string());
}

fn number(text: &str) -> Value {
    if let Ok(whole) = text.parse::<i64>() {
        return Value::from(whole);
    }
    if let Ok(whole) = text.parse::<i128>() {
        return Value::from(whole);
    }
    match text.parse::<f64>() {
        Ok(float) if float.is_finite() => Value::from(float),
        _ => Value::from(text),
    }
}

/// Takes apart a text that is known to be JSON.
struct Walker<'a> {
    rest: &'a str,
}

impl<'a> Walker<'a> {
    fn value(&mut self, depth: usize) -> Result<Json, JsonError> {
        if depth > DEEPEST {
            return Err(JsonError::Deep);
        }
        match self.peek() {
            Some('{') => self.object(depth),
            Some('[') => self.array(depth),
            Some('"') => Ok(Json::String(self.text())),
            _ => {
                let end = self
                    .rest
                    .find(|c: char| matches!(c, ',' | ']' | '}') || c.is_ascii_whitespace());
                let word = self.take(end.unwrap_or(self.rest.len()));
                Ok(match word {
                    "null" => Json::Null,
                    "true" => Json::Bool(true),
                    "false" => Json::Bool(false),
                    number => Json::Number(number.into()),
                })
            }
        }
    }

    fn object(&mut self, depth: usize) -> Result<Json, JsonError> {
        let mut members = Vec::new();
        self.take(1);
        while self.peek() == Some('"') {
            let name = self.text();
            self.pass(':');
            members.push((name, self.value(depth + 1)?));
            self.pass(',');
        }
        self.pass('}');
        Ok(Json::Object(members))
    }

    fn array(&mut self, depth: usize) -> Result<Json, JsonError> {
        let mut items = Vec::new();
        self.take(1);
        while !matches!(self.peek(), Some(']') | None) {
            items.push(self.value(depth + 1)?);
            self.pass(',');
        }
        self.pass(']');
        Ok(Json::Array(items))
    }

    fn text(&mut self) -> String {
        let mut escaped = false;
        let inside = self.rest.get(1..).unwrap_or_default();
        let end = inside.find(|c| match c {
            _ if escaped => {
                escaped = false;
                false
            }
            '\\' => {
                escaped = true;
                false
            }
            c => c == '"',
        });
        let quoted = self.take(end.map_or(self.rest.len(), |end| end + 2));
        // Half a surrogate pair is JSON and no text: it stays as it was written.
        serde_json::from_str(quoted).unwrap_or_else(|_| quoted.trim_matches('"').to_owned())
    }

    fn peek(&mut self) -> Option<char> {
        self.rest = self.rest.trim_start();
        self.rest.chars().next()
    }

    fn pass(&mut self, sign: char) {
        if self.peek() == Some(sign) {
            self.take(sign.len_utf8());
        }
    }

    fn take(&mut self, bytes: usize) -> &'a str {
        let (taken, rest) = self.rest.split_at_checked(bytes).unwrap_or((self.rest, ""));
        self.rest = rest;
        taken
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parse(text: &str) -> Json {
        Json::parse(text.as_bytes()).unwrap()
    }

    #[test]
    fn numbers_keep_their_digits_and_members_their_order() {
        let text = "{\"b\":[0.00005,1e400,9007199254740993,-0,55.43461227416992],\"a\":{},\
                    \"\\u00e9\":\"\u{2028}\\\"\\\\\",\"b\":[]}";
        let written = parse(text).to_string();
        let expected = "{\"b\":[0.00005,1e400,9007199254740993,-0,55.43461227416992],\"a\":{},\
                        \"é\":\"\u{2028}\\\"\\\\\",\"b\":[]}";
        assert_eq!(written, expected);
        assert_eq!(
            parse(" [ 1 , { \"a\" : null } , [ ] ] ").to_string(),
            r#"[1,{"a":null},[]]"#
        );
    }

    #[test]
    fn of_two_members_of_one_name_the_last_counts() {
        let json = parse(r#"{"a":1,"a":2,"x/y":[{"z~":true}]}"#);
        assert_eq!(json.get("a").and_then(Json::as_i64), Some(2));
        assert_eq!(json.pointer("/x~1y/0/z~0"), Some(&Json::Bool(true)));
        assert_eq!(json.pointer("/x~1y/1"), None);
        assert_eq!(json.pointer("a"), None);
    }

    #[test]
    fn what_is_too_deep_or_no_json_is_said() {
        let deep = "[".repeat(1_000) + &"]".repeat(1_000);
        assert_eq!(Json::parse(deep.as_bytes()), Err(JsonError::Deep));
        for text in ["", "{", "[1,]", "nul", "{\"a\" 1}", "1 2", "\u{feff}1"] {
            assert!(Json::parse(text.as_bytes()).is_err(), "{text}");
        }
        assert!(Json::parse(b"\"\xff\"").is_err());
    }

    #[test]
    fn half_a_surrogate_pair_is_kept_as_it_was_written() {
        assert_eq!(parse(r#"["\ud800"]"#).to_string(), r#"["\\ud800"]"#);
    }

    proptest! {
        #[test]
        fn what_was_written_is_read_again(texts: Vec<String>, numbers: Vec<i64>, flag: bool) {
            let json = Json::object([
                ("texts", texts.into_iter().collect()),
                ("numbers", numbers.into_iter().collect()),
                ("flag", flag.into()),
            ]);
            let text = json.to_string();
            prop_assert_eq!(Json::parse(text.as_bytes()).unwrap(), json);
            let value: Result<serde_json::Value, _> = serde_json::from_str(&text);
            prop_assert!(value.is_ok());
        }
    }
}
