//! The cookies: the one of a session, and those of a form before there is one.
//!
//! # Invariants
//! - No script reads one (`HttpOnly`), and none has a `Domain`: other hosts never get it.
//! - On HTTPS none goes over HTTP, and it works in Orbit's frame; on HTTP it goes to pages of the
//!   same site only.

use axum::http::header::{COOKIE, ORIGIN};
use axum::http::{HeaderMap, HeaderValue};

/// The session's.
pub(super) const SESSION: &str = "orbit_relay";
/// Of the form without a session. A browser may keep only one of the two, by whether it came over
/// HTTPS, which a form that is only shown does not tell.
pub(super) const FORM: [&str; 2] = ["orbit_relay_form", "orbit_relay_form_s"];
/// More than browsers send.
const MOST: usize = 200;

const OVER_HTTPS: &str = "Secure; SameSite=None; Partitioned";
const OVER_HTTP: &str = "SameSite=Lax";

/// The values of this cookie, in the order in which they were sent: another path or another
/// partition may have one too.
pub(super) fn values<'a>(headers: &'a HeaderMap, name: &'a str) -> impl Iterator<Item = &'a str> {
    let lines = headers.get_all(COOKIE).iter();
    let lines = lines.filter_map(|line| line.to_str().ok());
    lines
        .flat_map(|line| line.split(';'))
        .take(MOST)
        .filter_map(|pair| pair.trim().split_once('='))
        .filter(move |(key, _)| *key == name)
        .map(|(_, value)| value.trim_matches('"'))
}

/// Whether the browser came over HTTPS, as far as a form that was sent tells: behind a proxy the
/// connection itself does not.
pub(super) fn over_https(headers: &HeaderMap) -> bool {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let origin = text(ORIGIN.as_str()).is_some_and(|origin| origin.starts_with("https://"));
    let proto = text("x-forwarded-proto").and_then(|list| list.split(',').next());
    origin || proto.is_some_and(|proto| proto.trim().eq_ignore_ascii_case("https"))
}

/// The session's cookie.
pub(super) fn session(token: &str, https: bool) -> Option<HeaderValue> {
    line(SESSION, token, https, "")
}

/// The session's cookie, gone.
pub(super) fn no_session(https: bool) -> Option<HeaderValue> {
    line(SESSION, "", https, "; Max-Age=0")
}

/// The two of a form.
pub(super) fn form(value: &str) -> [Option<HeaderValue>; 2] {
    let [http, https] = FORM;
    let ends = "; Max-Age=3600";
    [
        line(http, value, false, ends),
        line(https, value, true, ends),
    ]
}

fn line(name: &str, value: &str, https: bool, ends: &str) -> Option<HeaderValue> {
    let reach = if https { OVER_HTTPS } else { OVER_HTTP };
    HeaderValue::from_str(&format!("{name}={value}; Path=/; HttpOnly; {reach}{ends}")).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(lines: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(*name, HeaderValue::from_static(value));
        }
        headers
    }

    #[test]
    fn on_https_the_cookie_works_in_a_frame_and_on_http_on_the_same_site_only() {
        let text = |value: Option<HeaderValue>| value.unwrap().to_str().unwrap().to_owned();
        assert_eq!(
            text(session("abc", true)),
            "orbit_relay=abc; Path=/; HttpOnly; Secure; SameSite=None; Partitioned"
        );
        assert_eq!(
            text(session("abc", false)),
            "orbit_relay=abc; Path=/; HttpOnly; SameSite=Lax"
        );
        assert_eq!(
            text(no_session(true)),
            "orbit_relay=; Path=/; HttpOnly; Secure; SameSite=None; Partitioned; Max-Age=0"
        );
        assert_eq!(
            form("abc").map(text),
            [
                "orbit_relay_form=abc; Path=/; HttpOnly; SameSite=Lax; Max-Age=3600",
                "orbit_relay_form_s=abc; Path=/; HttpOnly; Secure; SameSite=None; Partitioned; \
                 Max-Age=3600",
            ]
        );
        assert!(session("a\nb", true).is_none());
    }

    #[test]
    fn a_form_tells_whether_it_came_over_https() {
        for (lines, https) in [
            (&[][..], false),
            (&[("origin", "https://orbit.plant.example:22001")], true),
            (&[("origin", "http://10.0.0.4:22101")], false),
            (&[("origin", "null")], false),
            (&[("x-forwarded-proto", "https")], true),
            (&[("x-forwarded-proto", "HTTPS, http")], true),
            (&[("x-forwarded-proto", "http, https")], false),
        ] {
            assert_eq!(over_https(&headers(lines)), https, "{lines:?}");
        }
    }

    #[test]
    fn a_cookie_is_found_among_those_of_orbit() {
        let headers = headers(&[
            ("cookie", "a=b; orbit_relay=one; orbit_relay_form=x"),
            ("cookie", "orbit_relay=\"two\";orbit_relayed=no; =; x"),
        ]);
        let found: Vec<_> = values(&headers, SESSION).collect();
        assert_eq!(found, ["one", "two"]);
        assert_eq!(values(&headers, "c").count(), 0);
    }
}
