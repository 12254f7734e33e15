//! What shows that a form was made by our own page: a code that belongs to the session, in the
//! form's address.
//!
//! # Invariants
//! - Pure. Codes are compared in constant time.
//! - A code of one session is good for no other, and of one kind for no other kind.

use axum::http::HeaderMap;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

use crate::secret::Secret;

/// What a code belongs to.
#[derive(Clone, Copy, Debug)]
pub(super) enum Of<'a> {
    /// A session, by the hash of its token.
    Session(&'a [u8]),
    /// An account that a proxy names.
    Proxy(&'a str),
}

/// The code, for the form.
pub(super) fn code(key: &[u8; 32], of: Of<'_>) -> String {
    let mac: Hmac<Sha256> = Hmac::new_from_slice(key).expect("HMAC takes a key of any length");
    let mac = match of {
        Of::Session(hash) => mac.chain_update(b"session:").chain_update(hash),
        Of::Proxy(name) => mac.chain_update(b"proxy:").chain_update(name),
    };
    hex::encode(mac.finalize().into_bytes())
}

/// Whether a form brought the right code along.
pub(super) fn is(code: &str, query: Option<&str>) -> bool {
    let given = in_query(query).unwrap_or_default();
    !code.is_empty() && Secret::new(code.to_owned()).is(given.as_bytes())
}

/// Whether the browser says that another site or another port had it sent. Browsers that say
/// nothing came over plain HTTP, or are none.
pub(super) fn from_elsewhere(headers: &HeaderMap) -> bool {
    let site = headers.get("sec-fetch-site").map(|site| site.as_bytes());
    site.is_some_and(|site| !matches!(site, b"same-origin" | b"none"))
}

/// The value of `csrf` in a query.
pub(super) fn in_query(query: Option<&str>) -> Option<String> {
    let mut pairs = url::form_urlencoded::parse(query.unwrap_or_default().as_bytes());
    let found = pairs.find(|(name, _)| name == "csrf");
    found.map(|(_, value)| value.into_owned())
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    #[test]
    fn a_code_is_good_for_its_own_session_only() {
        let key = [7; 32];
        let own = code(&key, Of::Session(b"ann"));
        assert!(is(&own, Some(&format!("to=x&csrf={own}"))));
        for other in [
            code(&key, Of::Session(b"ben")),
            code(&key, Of::Proxy("ann")),
            code(&[8; 32], Of::Session(b"ann")),
            own.to_uppercase(),
            own[..62].to_owned(),
            format!("{own}00"),
            String::new(),
        ] {
            assert!(!is(&own, Some(&format!("csrf={other}"))), "{other}");
        }
        assert!(!is(&own, None));
        assert!(!is("", Some("csrf=")), "no code is none that is right");
    }

    #[test]
    fn a_form_that_another_site_had_sent_is_told_by_the_browser() {
        for (site, elsewhere) in [
            (None, false),
            (Some("same-origin"), false),
            (Some("none"), false),
            (Some("same-site"), true),
            (Some("cross-site"), true),
            (Some("rubbish"), true),
        ] {
            let mut headers = HeaderMap::new();
            headers.extend(site.map(|site| {
                let name = axum::http::HeaderName::from_static("sec-fetch-site");
                (name, HeaderValue::from_static(site))
            }));
            assert_eq!(from_elsewhere(&headers), elsewhere, "{site:?}");
        }
    }

    #[test]
    fn the_code_is_found_in_the_query() {
        assert_eq!(in_query(Some("a=b&csrf=1%2B2&csrf=3")).unwrap(), "1+2");
        assert_eq!(in_query(Some("csrff=1")), None);
        assert_eq!(in_query(None), None);
    }
}
