//! API tokens: what a program shows instead of a password.
//!
//! # Invariants
//! - A token has 256 bits of the system's random source. It is shown once, and only its hash is
//!   kept.

use axum::http::HeaderMap;
use axum::http::header::AUTHORIZATION;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::accounts::Role;
use super::hash::Hash;
use crate::secret::Secret;

/// So that people and programs that look for leaks know one.
const PREFIX: &str = "orbit-relay-";
const LONGEST: usize = 200;

/// What may call the API.
#[derive(Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Token {
    /// The hash of its text.
    pub(super) id: Hash,
    pub(super) name: String,
    pub(super) role: Role,
    pub(super) made: Timestamp,
    /// Whose doing it was.
    pub(super) by: String,
}

impl Token {
    /// A new one, and its text.
    pub(super) fn new(
        name: String,
        role: Role,
        by: &str,
        now: Timestamp,
    ) -> Result<(Self, Secret), getrandom::Error> {
        let text = Secret::new(format!("{PREFIX}{}", Hash::random()?.hex()));
        let token = Self {
            id: Hash::of(text.expose().as_bytes()),
            name,
            role,
            made: now,
            by: by.to_owned(),
        };
        Ok((token, text))
    }
}

/// The one that a request shows by `Authorization: Bearer …`, once, among these.
pub(super) fn shown<'a>(headers: &HeaderMap, tokens: &'a [Token]) -> Option<&'a Token> {
    let mut all = headers.get_all(AUTHORIZATION).iter();
    let (Some(value), None) = (all.next(), all.next()) else {
        return None;
    };
    let (scheme, text) = value.to_str().ok()?.split_once(' ')?;
    let text = text.trim();
    if !scheme.eq_ignore_ascii_case("bearer") || text.len() > LONGEST {
        return None;
    }
    let id = Hash::of(text.as_bytes());
    tokens.iter().find(|token| token.id == id)
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    #[test]
    fn a_token_is_shown_by_bearer_and_in_no_other_way() {
        let (token, text) =
            Token::new("ci".into(), Role::See, "ann", Timestamp::UNIX_EPOCH).unwrap();
        let text = text.expose();
        let kept = serde_json::to_string(&token).unwrap();
        assert!(!kept.contains(text) && text.starts_with(PREFIX));
        let tokens = [token];
        for (values, is) in [
            (vec![format!("Bearer {text}")], true),
            (vec![format!("bearer  {text} ")], true),
            (vec![format!("Basic {text}")], false),
            (vec![text.to_owned()], false),
            (vec![format!("Bearer {text}x")], false),
            (vec!["Bearer ".to_owned()], false),
            (vec![format!("Bearer {text}"), "Bearer x".to_owned()], false),
            (vec![], false),
        ] {
            let mut headers = HeaderMap::new();
            for value in &values {
                headers.append(AUTHORIZATION, HeaderValue::from_str(value).unwrap());
            }
            assert_eq!(shown(&headers, &tokens).is_some(), is, "{}", values.len());
            assert!(shown(&headers, &[]).is_none());
        }
    }
}
