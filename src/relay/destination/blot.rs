//! What an answer may not show: the secrets of its destination, however it echoes them.
//!
//! # Invariants
//! - A secret is blotted out before anything is cut off; one that is itself cut off at the end of
//!   what came is blotted out too.
//! - `Debug` shows nothing.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use url::Url;
use url::form_urlencoded::byte_serialize;

/// What stands in a secret's place.
const BLOT: &str = "***";
/// Text that merely might be secret, such as a value in a URL, is one from this length on.
const TELLING: usize = 8;
/// So many bytes of a secret at the end of what came are a part of it, and no accident.
const PART: usize = 4;

/// What a URL writes with a percent sign.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'_')
    .remove(b'.')
    .remove(b'~');

/// With everything in other words that an encoder might take for special.
fn escaped(secret: &str, escape: impl Fn(char) -> String) -> String {
    let special = |c: char| !c.is_alphanumeric() && !matches!(c, '-' | '_' | '.' | '/' | '=' | ':');
    secret
        .chars()
        .map(|c| if special(c) { escape(c) } else { c.into() })
        .collect()
}

/// The texts that are not shown, the longest first.
#[derive(Clone, Default)]
pub struct Secrets(Vec<String>);

impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secrets(***)")
    }
}

impl Secrets {
    /// Blots out this secret, and what it looks like in JSON, in a URL, in a form and in base64.
    pub fn add(&mut self, secret: &str) {
        let json = serde_json::to_string(secret).unwrap_or_default();
        let percent = utf8_percent_encode(secret, RESERVED).to_string();
        let form: String = byte_serialize(secret.as_bytes()).collect();
        for text in [
            secret,
            json.trim_matches('"'),
            // As PHP, .NET and pages of HTML write what is no letter and no digit.
            &json.trim_matches('"').replace('/', "\\/"),
            &escaped(secret, |c| format!("\\u{:04X}", u32::from(c))),
            &escaped(secret, |c| format!("\\u{:04x}", u32::from(c))),
            &escaped(secret, |c| format!("&#{};", u32::from(c))),
            &escaped(secret, |c| format!("&#x{:X};", u32::from(c))),
            &lower_hex(&percent),
            &lower_hex(&form),
            &percent,
            &form,
            &STANDARD_NO_PAD.encode(secret),
            &URL_SAFE_NO_PAD.encode(secret),
        ] {
            self.add_as_it_is(text);
        }
    }

    /// Blots out what might be secret, if it is long enough to be one.
    pub fn add_if_telling(&mut self, text: &str) {
        if text.len() >= TELLING {
            self.add(text);
        }
    }

    /// Blots out what in a URL gives access: user, password and query.
    pub fn add_url(&mut self, url: &Url) {
        let decoded = |text| percent_decode_str(text).decode_utf8_lossy().into_owned();
        if let Some(password) = url.password() {
            self.add(password);
            self.add(&decoded(password));
        }
        self.add_if_telling(&decoded(url.username()));
        self.add_if_telling(url.query().unwrap_or_default());
        for (_, value) in url.query_pairs() {
            self.add_if_telling(&value);
        }
    }

    fn add_as_it_is(&mut self, text: &str) {
        if text.is_empty() || self.0.iter().any(|known| known == text) {
            return;
        }
        let place = self.0.partition_point(|known| known.len() >= text.len());
        self.0.insert(place, text.to_owned());
    }

    /// At most `limit` bytes of the text without them. `whole` tells whether it is all that came.
    pub fn blot(&self, text: &str, whole: bool, limit: usize) -> String {
        let mut clean = String::new();
        let mut rest = text;
        while let Some(next) = rest.chars().next() {
            let found = self
                .0
                .iter()
                .find_map(|secret| rest.strip_prefix(&**secret));
            let cut_off = || !whole && rest.len() >= PART && self.begins_with(rest);
            let (piece, after) = if let Some(after) = found {
                (BLOT, after)
            } else if cut_off() {
                (BLOT, "")
            } else {
                rest.split_at_checked(next.len_utf8()).unwrap_or_default()
            };
            if clean.len() + piece.len() > limit {
                break;
            }
            clean.push_str(piece);
            rest = after;
        }
        clean
    }

    fn begins_with(&self, text: &str) -> bool {
        self.0.iter().any(|secret| secret.starts_with(text))
    }
}

/// `%2F` as `%2f`: some write it so.
fn lower_hex(encoded: &str) -> String {
    let mut digits = 0;
    let lower = encoded.chars().map(|c| {
        if c == '%' {
            digits = 2;
        } else if digits > 0 {
            digits -= 1;
            return c.to_ascii_lowercase();
        }
        c
    });
    lower.collect()
}

#[cfg(test)]
mod tests {
    use base64::engine::general_purpose::STANDARD;
    use proptest::prelude::*;

    use super::*;

    fn secrets(all: &[&str]) -> Secrets {
        let mut secrets = Secrets::default();
        for secret in all {
            secrets.add(secret);
        }
        secrets
    }

    #[test]
    fn a_secret_is_blotted_out_in_each_form_in_which_it_may_be_echoed() {
        let secret = "pass \"wörd\"/&+=";
        let secrets = secrets(&[secret]);
        for echo in [
            secret.to_owned(),
            serde_json::json!({ "you said": secret }).to_string(),
            byte_serialize(secret.as_bytes()).collect(),
            utf8_percent_encode(secret, NON_ALPHANUMERIC)
                .to_string()
                .replace("%2D", "-"),
            STANDARD.encode(secret),
            "pass%20%22w%c3%b6rd%22%2f%26%2b%3d".to_owned(),
        ] {
            let clean = secrets.blot(&format!("got {echo}!"), true, 2_048);
            assert!(clean.contains("***"), "{echo}: {clean}");
            assert!(!clean.contains("rd"), "{echo}: {clean}");
        }
        assert_eq!(format!("{secrets:?}"), "Secrets(***)");
    }

    #[test]
    fn a_secret_that_is_echoed_in_escapes_is_blotted_out() {
        let secrets = secrets(&["ca/na+ry"]);
        for echo in [
            r"ca\/na+ry",
            r"ca/na\u002Bry",
            r"ca/na\u002bry",
            "ca/na&#43;ry",
            "ca/na&#x2B;ry",
        ] {
            let clean = secrets.blot(&format!("<{echo}>"), true, 100);
            assert_eq!(clean, "<***>", "{echo}");
        }
    }

    #[test]
    fn of_two_secrets_that_begin_alike_the_longer_is_blotted_out() {
        let secrets = secrets(&["canary", "canary-and-more"]);
        assert_eq!(secrets.blot("canary-and-more canary", true, 99), "*** ***");
    }

    #[test]
    fn a_secret_through_which_the_limit_or_the_end_goes_is_blotted_out() {
        let secrets = secrets(&["canary-secret"]);
        assert_eq!(secrets.blot("12345canary-secret", true, 9), "12345***");
        assert_eq!(secrets.blot("12345canary-secret", true, 7), "12345");
        assert_eq!(secrets.blot("12345canary-sec", false, 99), "12345***");
        assert_eq!(secrets.blot("12345canary-sec", true, 99), "12345canary-sec");
        assert_eq!(secrets.blot("a can", false, 99), "a can");
    }

    #[test]
    fn what_gives_access_in_a_url_is_blotted_out() {
        let mut secrets = Secrets::default();
        let url = "https://username:p%40ss@plant.example/in?code=canary%2Fvalue&v=1";
        secrets.add_url(&url.parse().unwrap());
        for echo in [
            "p%40ss",
            "p@ss",
            "username",
            "canary/value",
            "canary%2Fvalue",
        ] {
            assert_eq!(secrets.blot(echo, true, 99), "***", "{echo}");
        }
        assert_eq!(
            secrets.blot("plant.example/in v=1", true, 99),
            "plant.example/in v=1"
        );
    }

    proptest! {
        #[test]
        fn no_secret_is_left_in_any_text(
            before in "\\PC{0,20}", secret in "[a-z/+\"é]{6,12}", after in "\\PC{0,20}", limit in 0..60_usize,
        ) {
            let clean = secrets(&[&secret]).blot(&format!("{before}{secret}{after}"), true, limit);
            prop_assert!(!clean.contains(&secret));
            prop_assert!(clean.len() <= limit);
        }
    }
}
