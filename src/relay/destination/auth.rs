//! How the relay shows a destination who it is.
//!
//! # Invariants
//! - A secret is read where it is used, so that a new one in a file needs no restart.
//! - `Debug` of every type here shows no secret, and no URL.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reqwest::header::{AUTHORIZATION, HeaderName, HeaderValue};
use url::Url;

use crate::secret::{Secret, Source, SourceError};

/// A header whose name and value are fit to be sent. Its value is not shown.
#[derive(Clone, Debug)]
pub struct Header {
    pub(super) name: HeaderName,
    pub(super) value: HeaderValue,
}

impl Header {
    /// Reads a name and a value.
    pub fn new(name: &str, value: &str) -> Result<Self, AuthError> {
        let name = HeaderName::try_from(name).map_err(|_| AuthError::Form)?;
        let value = sensitive(value)?;
        Ok(Self { name, value })
    }

    /// A header of a step. Only one that is made of secrets is hidden in answers.
    pub fn of_step(name: HeaderName, value: &str, is_secret: bool) -> Result<Self, AuthError> {
        let mut value = sensitive(value)?;
        value.set_sensitive(is_secret);
        Ok(Self { name, value })
    }
}

/// How the relay shows who it is.
#[derive(Clone)]
pub enum Auth {
    /// Not at all.
    None,
    /// One header.
    Header {
        /// Its name.
        name: HeaderName,
        /// Its value.
        value: Source,
    },
    /// HTTP Basic.
    Basic {
        /// The user.
        user: String,
        /// The password.
        password: Source,
    },
    /// A bearer token.
    Bearer(Source),
    /// OAuth 2 client credentials: a token is fetched, kept, and renewed.
    OAuth2 {
        /// Where tokens are fetched.
        token_url: Url,
        /// Who asks.
        client_id: String,
        /// The secret of who asks.
        client_secret: Source,
        /// What for.
        scope: Option<String>,
    },
}

impl fmt::Debug for Auth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::None => "None",
            Self::Header { .. } => "Header(***)",
            Self::Basic { .. } => "Basic(***)",
            Self::Bearer(_) => "Bearer(***)",
            Self::OAuth2 { .. } => "OAuth2(***)",
        })
    }
}

/// Why a text is no authentication. The text itself is not kept.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum AuthError {
    /// It is none of the three forms.
    #[error("write `Bearer TOKEN`, `Basic USER:PASSWORD`, or `Header-Name: value`")]
    Form,
    /// The value cannot stand in a header.
    #[error("the value has a character that cannot stand in an HTTP header")]
    Character,
}

impl Auth {
    /// Reads `Bearer …`, `Basic user:password`, or `Header-Name: value`.
    pub fn parse(text: &str) -> Result<Self, AuthError> {
        let text = text.trim();
        if let Some(token) = text.strip_prefix("Bearer ") {
            return Ok(Self::Bearer(given(token.trim())?));
        }
        if let Some(pair) = text.strip_prefix("Basic ") {
            let (user, password) = pair.trim().split_once(':').ok_or(AuthError::Form)?;
            return Ok(Self::basic(user, password));
        }
        let (name, value) = text.split_once(':').ok_or(AuthError::Form)?;
        let name = HeaderName::try_from(name.trim()).map_err(|_| AuthError::Form)?;
        let value = given(value.trim())?;
        Ok(Self::Header { name, value })
    }

    /// HTTP Basic.
    pub fn basic(user: &str, password: &str) -> Self {
        Self::Basic {
            user: user.to_owned(),
            password: Source::Given(Secret::new(password.to_owned())),
        }
    }

    /// Whether the relay shows who it is at all.
    pub fn is_some(&self) -> bool {
        !matches!(self, Self::None)
    }

    /// Its secret, as it is now.
    pub(super) fn secret(&self) -> Result<Option<Secret>, SourceError> {
        match self {
            Self::None => Ok(None),
            Self::Header { value: source, .. }
            | Self::Basic {
                password: source, ..
            }
            | Self::Bearer(source)
            | Self::OAuth2 {
                client_secret: source,
                ..
            } => source.current().map(Some),
        }
    }

    /// The header that shows `secret`, which is the token where there is one to be fetched.
    pub(super) fn header(
        &self,
        secret: &str,
    ) -> Result<Option<(HeaderName, HeaderValue)>, AuthError> {
        Ok(match self {
            Self::None => None,
            Self::Header { name, .. } => Some((name.clone(), sensitive(secret)?)),
            Self::Basic { user, .. } => Some((AUTHORIZATION, basic(user, secret)?)),
            Self::Bearer(_) | Self::OAuth2 { .. } => {
                Some((AUTHORIZATION, sensitive(&format!("Bearer {secret}"))?))
            }
        })
    }
}

/// The value of a header for HTTP Basic.
pub(super) fn basic(user: &str, password: &str) -> Result<HeaderValue, AuthError> {
    sensitive(&format!("Basic {}", pair(user, password)))
}

/// User and password as HTTP Basic writes them.
pub(super) fn pair(user: &str, password: &str) -> String {
    STANDARD.encode(format!("{user}:{password}"))
}

fn sensitive(value: &str) -> Result<HeaderValue, AuthError> {
    let mut value = HeaderValue::try_from(value).map_err(|_| AuthError::Character)?;
    value.set_sensitive(true);
    Ok(value)
}

fn given(value: &str) -> Result<Source, AuthError> {
    sensitive(value)?;
    Ok(Source::Given(Secret::new(value.to_owned())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_three_forms_of_authentication_are_read() {
        for (text, header, value) in [
            ("Bearer abc", "authorization", "Bearer abc"),
            (
                "Basic me:pass:word",
                "authorization",
                "Basic bWU6cGFzczp3b3Jk",
            ),
            ("X-Api-Key: k y", "x-api-key", "k y"),
        ] {
            let auth = Auth::parse(text).unwrap();
            let secret = auth.secret().unwrap().unwrap();
            let (name, sent) = auth.header(secret.expose()).unwrap().unwrap();
            assert_eq!((name.as_str(), sent.to_str().unwrap()), (header, value));
            assert!(sent.is_sensitive());
        }
    }

    #[test]
    fn other_forms_are_refused_without_saying_the_secret() {
        for text in [
            "canary",
            "Basic canary",
            "Bad Name: canary",
            "X-Key: can\u{7f}ary\n",
        ] {
            let error = Auth::parse(text).unwrap_err();
            assert!(!format!("{error} {error:?}").contains("canary"), "{text}");
        }
    }

    #[test]
    fn no_form_shows_its_secret() {
        let secret = Source::Given(Secret::new("canary".into()));
        let oauth2 = Auth::OAuth2 {
            token_url: "https://me:canary@x/?key=canary".parse().unwrap(),
            client_id: "id".into(),
            client_secret: secret,
            scope: None,
        };
        let basic = Auth::basic("me", "canary");
        let header = Header::new("x-key", "canary").unwrap();
        let shown = format!("{oauth2:?} {basic:?} {header:?}");
        assert!(!shown.contains("canary"), "{shown}");
    }
}
