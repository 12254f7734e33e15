//! Where a picture lies: the URL that a run event's `dataUrl` means, built and never spliced.
//!
//! A `dataUrl` is a raw path with the action's name in it, and people call actions what they like:
//! `/daq/download/spot-07/2026-02-03T091355Z/Pump #3 / 50%/….jpg`. A `/` in a name makes more
//! segments, as it does for Orbit.
//!
//! # Invariants
//! - Pure. What comes out is at the origin that went in, whatever was given.
//! - Each segment of a path is percent-encoded exactly once: a raw `%41` stays three characters.
//! - No error holds what was given.
//!
//! # Not here
//! - Orbit gives paths only, as far as is known. An absolute URL of Orbit itself is taken all the
//!   same, and as URLs are: it counts as encoded already. What a URL cannot hold (spaces, letters
//!   beyond ASCII) is encoded, `%41` stays as it is, its query stays, and it has no fragment.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use url::Url;

/// No longer one is read.
pub const LONGEST_BYTES: usize = 4 << 10;

/// Whatever may mean something in a path is encoded.
const PLAIN: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// Where a picture lies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MediaUrl {
    url: Url,
    name: String,
}

/// Why nothing is fetched from a `dataUrl`.
#[derive(Clone, Copy, Debug, thiserror::Error, PartialEq, Eq)]
pub enum MediaUrlError {
    /// It could be a host or a user.
    #[error("it does not begin with `/`")]
    NoSlash,
    /// It would be a host.
    #[error("it begins with `//`, so another host would be asked")]
    TwoSlashes,
    /// It would be a host.
    #[error("it has `\\` where it would lead to another host or path")]
    Backslash,
    /// It is a URL of somebody else.
    #[error("it is a URL of another host than the configured Orbit")]
    OtherOrigin,
    /// It is a URL that names a user.
    #[error("it is a URL with a user in it")]
    User,
    /// It is a URL that ends early.
    #[error("it is a URL with `#` in it, after which nothing would be sent; `%23` means a `#`")]
    Fragment,
    /// It is no URL.
    #[error("it is not a URL")]
    NoUrl,
    /// It would lead up.
    #[error("it has `.` or `..` as a segment of its path")]
    Dots,
    /// It holds what nobody types.
    #[error("it has a control character in it")]
    Control,
    /// It is no name of a file.
    #[error("it is longer than {} KiB", LONGEST_BYTES >> 10)]
    TooLong,
}

impl MediaUrl {
    /// What `data_url` means at the Orbit whose address is `base`.
    pub fn parse(base: &Url, data_url: &str) -> Result<Self, MediaUrlError> {
        if data_url.len() > LONGEST_BYTES {
            return Err(MediaUrlError::TooLong);
        }
        if data_url.contains(char::is_control) {
            return Err(MediaUrlError::Control);
        }
        match data_url.strip_prefix('/') {
            Some(rest) if rest.starts_with('/') => Err(MediaUrlError::TwoSlashes),
            Some(rest) if rest.starts_with('\\') => Err(MediaUrlError::Backslash),
            Some(path) => of_path(base, path),
            None => of_url(base, data_url),
        }
    }

    /// The URL, for people who may open it.
    pub fn as_str(&self) -> &str {
        self.url.as_str()
    }

    /// The URL.
    pub fn url(&self) -> &Url {
        &self.url
    }

    /// The name of the file, as people gave it.
    pub fn name(&self) -> &str {
        &self.name
    }
}

fn of_path(base: &Url, path: &str) -> Result<MediaUrl, MediaUrlError> {
    let segments: Vec<&str> = path.split('/').collect();
    if segments.iter().any(|segment| leads_up(segment)) {
        return Err(MediaUrlError::Dots);
    }
    let encoded = segments
        .iter()
        .map(|segment| utf8_percent_encode(segment, PLAIN).to_string());
    let encoded: Vec<String> = encoded.collect();
    let mut url = base.clone();
    url.set_query(None);
    url.set_fragment(None);
    url.set_path(&encoded.join("/"));
    let name = name(segments.into_iter().map(str::to_owned));
    Ok(MediaUrl { url, name })
}

fn of_url(base: &Url, text: &str) -> Result<MediaUrl, MediaUrlError> {
    let (scheme, rest) = text.split_once("://").ok_or(MediaUrlError::NoSlash)?;
    let is_scheme = |name: &str| scheme.eq_ignore_ascii_case(name);
    if !is_scheme("https") && !is_scheme("http") {
        return Err(MediaUrlError::NoSlash);
    }
    // A parser reads `\` as `/`, and passes over slashes before a host.
    if rest.contains('\\') {
        return Err(MediaUrlError::Backslash);
    }
    if rest.starts_with('/') {
        return Err(MediaUrlError::NoUrl);
    }
    if rest.contains('#') {
        return Err(MediaUrlError::Fragment);
    }
    let end = rest.find(['/', '?']).unwrap_or(rest.len());
    let (host, path) = rest.split_at_checked(end).unwrap_or((rest, ""));
    if host.contains('@') {
        return Err(MediaUrlError::User);
    }
    let path = path.split('?').next().unwrap_or_default();
    let segments = path.split('/').map(percent_decode_str);
    let segments = segments.map(|segment| segment.decode_utf8_lossy().into_owned());
    let segments: Vec<String> = segments.collect();
    // Those a parser would follow without a word.
    if segments.iter().any(|segment| leads_up(segment)) {
        return Err(MediaUrlError::Dots);
    }
    let url = Url::parse(text).map_err(|_| MediaUrlError::NoUrl)?;
    if url.origin() != base.origin() {
        return Err(MediaUrlError::OtherOrigin);
    }
    let name = name(segments.into_iter());
    Ok(MediaUrl { url, name })
}

fn leads_up(segment: &str) -> bool {
    matches!(segment, "." | "..")
}

fn name(segments: impl DoubleEndedIterator<Item = String>) -> String {
    let mut from_behind = segments.rev().filter(|segment| !segment.is_empty());
    let name = from_behind.next().unwrap_or_else(|| "capture".to_owned());
    // Only an encoded one has any.
    name.replace(char::is_control, "_")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn base() -> Url {
        "https://orbit.example:8443/".parse().unwrap()
    }

    #[test]
    fn a_hostile_data_url_is_refused_with_its_reason() {
        use MediaUrlError as E;
        let long = format!("/{}", "x".repeat(LONGEST_BYTES));
        for (data_url, reason) in [
            ("", E::NoSlash),
            ("daq/x.jpg", E::NoSlash),
            ("@evil.example/x", E::NoSlash),
            (":80/x", E::NoSlash),
            (".evil.example/x", E::NoSlash),
            ("?x=//y", E::NoSlash),
            (" /daq/x", E::NoSlash),
            ("//evil.example/x", E::TwoSlashes),
            ("///evil.example/x", E::TwoSlashes),
            ("/\\evil.example/x", E::Backslash),
            ("\\\\evil.example\\x", E::NoSlash),
            ("https:/evil.example/x", E::NoSlash),
            ("https:evil.example/x", E::NoSlash),
            ("javascript://orbit.example:8443/%0aalert(1)", E::NoSlash),
            ("file:///etc/passwd", E::NoSlash),
            ("ftp://orbit.example:8443/x", E::NoSlash),
            ("https://evil.example/x", E::OtherOrigin),
            ("https://orbit.example/x", E::OtherOrigin),
            ("http://orbit.example:8443/x", E::OtherOrigin),
            ("https://orbit.example:8443.evil.example/x", E::NoUrl),
            ("https://orbit.example.evil.example:8443/x", E::OtherOrigin),
            ("https://orbit.example:8443@evil.example/x", E::User),
            ("https://me:secret@orbit.example:8443/x", E::User),
            ("https://evil.example\\@orbit.example:8443/x", E::Backslash),
            ("https://orbit.example:8443/a\\..\\x", E::Backslash),
            ("https:///evil.example/x", E::NoUrl),
            ("https://", E::NoUrl),
            ("https://orbit.example:8443/Pump #3/x.jpg", E::Fragment),
            ("/daq/../api/v0/webhooks", E::Dots),
            ("/../x", E::Dots),
            ("/daq/./x", E::Dots),
            ("/daq/..", E::Dots),
            ("https://orbit.example:8443/daq/../x", E::Dots),
            ("https://orbit.example:8443/daq/%2e%2E/x", E::Dots),
            ("https://orbit.example:8443/daq/.%2e?x", E::Dots),
            ("/daq/a\tb", E::Control),
            ("/daq/a\r\nX-Header: 1", E::Control),
            ("/\t/evil.example/x", E::Control),
            ("ht\ntps://evil.example/x", E::Control),
            ("/daq/a\0b", E::Control),
            ("/daq/a\u{7f}b", E::Control),
            ("/daq/a\u{85}b", E::Control),
            (&long, E::TooLong),
        ] {
            let found = MediaUrl::parse(&base(), data_url);
            assert_eq!(found, Err(reason), "{data_url:?}");
        }
    }

    #[test]
    fn a_reason_does_not_repeat_what_was_given() {
        let refused = MediaUrl::parse(&base(), "https://evil.example/canary").unwrap_err();
        let said = format!("{refused} {refused:?}");
        assert!(!said.contains("canary") && !said.contains("evil"), "{said}");
    }

    #[test]
    fn each_segment_of_a_path_is_encoded_exactly_once() {
        for (data_url, path, name) in [
            ("/daq/a b.jpg", "/daq/a%20b.jpg", "a b.jpg"),
            ("/daq/a#1?x=1", "/daq/a%231%3Fx%3D1", "a#1?x=1"),
            ("/daq/100%", "/daq/100%25", "100%"),
            ("/daq/%41", "/daq/%2541", "%41"),
            ("/daq/%2e%2e/x", "/daq/%252e%252e/x", "x"),
            ("/daq/a+b", "/daq/a%2Bb", "a+b"),
            ("/Kühlung/점검", "/K%C3%BChlung/%EC%A0%90%EA%B2%80", "점검"),
            ("/daq/🔥.jpg", "/daq/%F0%9F%94%A5.jpg", "🔥.jpg"),
            ("/daq/...", "/daq/...", "..."),
            ("/daq/..x/x..", "/daq/..x/x..", "x.."),
            ("/a\\..\\b", "/a%5C..%5Cb", "a\\..\\b"),
            ("/daq//x/", "/daq//x/", "x"),
            ("/@evil.example", "/%40evil.example", "@evil.example"),
            (
                "/https://evil.example",
                "/https%3A//evil.example",
                "evil.example",
            ),
            ("/", "/", "capture"),
        ] {
            let found = MediaUrl::parse(&base(), data_url).unwrap();
            assert_eq!(found.as_str(), format!("https://orbit.example:8443{path}"));
            assert_eq!(found.name(), name);
        }
    }

    #[test]
    fn an_absolute_url_of_orbit_counts_as_encoded_already() {
        for (data_url, path, name) in [
            (
                "https://orbit.example:8443/daq/a%20b.jpg",
                "/daq/a%20b.jpg",
                "a b.jpg",
            ),
            (
                "HTTPS://ORBIT.example:8443/daq/a b.jpg",
                "/daq/a%20b.jpg",
                "a b.jpg",
            ),
            (
                "https://orbit.example:8443/K%C3%BChl/%25",
                "/K%C3%BChl/%25",
                "%",
            ),
            (
                "https://orbit.example:8443/x.jpg?v=1&w=a/b",
                "/x.jpg?v=1&w=a/b",
                "x.jpg",
            ),
            (
                "https://orbit.example:8443//evil.example/x",
                "//evil.example/x",
                "x",
            ),
            ("https://orbit.example:8443/a%0d%0ab", "/a%0d%0ab", "a__b"),
            ("https://orbit.example:8443", "/", "capture"),
        ] {
            let found = MediaUrl::parse(&base(), data_url).unwrap();
            assert_eq!(found.as_str(), format!("https://orbit.example:8443{path}"));
            assert_eq!(found.name(), name);
        }
        let base = "https://orbit.example/".parse().unwrap();
        let same = MediaUrl::parse(&base, "https://orbit.example:443/x");
        assert_eq!(same.unwrap().as_str(), "https://orbit.example/x");
    }

    proptest! {
        #[test]
        fn whatever_is_given_nothing_leads_elsewhere(
            start in "(/|//|https://orbit.example:8443|https://|@|)",
            rest in "([./\\\\@:#?%a2e ]|\\PC){0,24}",
        ) {
            if let Ok(found) = MediaUrl::parse(&base(), &format!("{start}{rest}")) {
                prop_assert_eq!(found.url().origin(), base().origin());
                prop_assert_eq!(found.url().username(), "");
                let again = Url::parse(found.as_str()).unwrap();
                prop_assert_eq!(&again, found.url());
            }
        }

        #[test]
        fn a_path_is_decoded_to_what_it_was(path in "/\\PC{0,40}") {
            if let Ok(found) = MediaUrl::parse(&base(), &path) {
                let decoded = percent_decode_str(found.url().path()).decode_utf8().unwrap();
                prop_assert_eq!(decoded, path);
            }
        }
    }
}
