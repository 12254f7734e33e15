//! The headers of every answer: what a browser may do with it, and whose frame it may stand in.
//!
//! # Invariants
//! - Pure.
//! - No script and no style but our own files, and nothing from another host.
//! - Only Orbit, where it is known, and the page itself may show it in a frame.
//! - `Referrer-Policy` is `same-origin` and not `no-referrer`: with that a browser says of our own
//!   forms that they come from nowhere (`Origin: null`).

use axum::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, HeaderName, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
};
use axum::http::{HeaderMap, HeaderValue};
use url::{Host, Url};

const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; \
    connect-src 'self'; font-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors ";
/// More addresses of Orbit than anybody has.
const MOST: usize = 20;

/// Whose frame it may stand in: Orbit under its configured name, and under those that browsers know.
pub(super) fn policy(orbit: Option<&str>, others: &[String]) -> HeaderValue {
    let mut ancestors = vec!["'self'".to_owned()];
    ancestors.extend(orbit.and_then(named));
    for origin in others.iter().take(MOST) {
        let origin = Url::parse(origin).ok().as_ref().and_then(origin_of);
        ancestors.extend(origin);
    }
    let mut known = std::collections::BTreeSet::new();
    ancestors.retain(|ancestor| known.insert(ancestor.clone()));
    let text = format!("{POLICY}{}", ancestors.join(" "));
    HeaderValue::from_str(&text).unwrap_or(HeaderValue::from_static(
        "default-src 'none'; frame-ancestors 'none'",
    ))
}

/// Adds them to an answer. What it says of keeping itself stays.
pub(super) fn add(headers: &mut HeaderMap, policy: &HeaderValue) {
    let all = [
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (REFERRER_POLICY, "same-origin"),
        (
            HeaderName::from_static("cross-origin-opener-policy"),
            "same-origin",
        ),
        (
            HeaderName::from_static("cross-origin-resource-policy"),
            "same-origin",
        ),
        (
            HeaderName::from_static("permissions-policy"),
            "camera=(), display-capture=(), geolocation=(), microphone=(), payment=(), usb=()",
        ),
    ];
    for (name, value) in all {
        headers.insert(name, HeaderValue::from_static(value));
    }
    headers.insert(CONTENT_SECURITY_POLICY, policy.clone());
    headers
        .entry(CACHE_CONTROL)
        .or_insert(HeaderValue::from_static("no-store"));
}

/// Orbit's configured `HOST` or `HOST:PORT`, as browsers reach it: a gateway's address or our own
/// machine's is none that they would use.
fn named(orbit: &str) -> Option<String> {
    let url = Url::parse(&format!("https://{orbit}")).ok()?;
    let ours = match url.host()? {
        Host::Domain(name) => name == "gateway" || name == "localhost",
        Host::Ipv4(address) => address.is_loopback() || address.is_unspecified(),
        Host::Ipv6(address) => address.is_loopback() || address.is_unspecified(),
    };
    if ours { None } else { origin_of(&url) }
}

/// `https://HOST[:PORT]`, in which nothing can be that has a meaning in a policy.
fn origin_of(url: &Url) -> Option<String> {
    let web = matches!(url.scheme(), "http" | "https");
    let text = url.origin().ascii_serialization();
    let plain = |c: char| c.is_ascii_alphanumeric() || ":/.-_[]".contains(c);
    (web && text.chars().all(plain)).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_orbit_and_the_page_itself_may_show_it_in_a_frame() {
        let rows: &[(Option<&str>, &[&str], &str)] = &[
            (None, &[], "'self'"),
            (
                Some("orbit.plant.example"),
                &[],
                "'self' https://orbit.plant.example",
            ),
            (
                Some("orbit.plant.example:8443"),
                &[],
                "'self' https://orbit.plant.example:8443",
            ),
            (Some("10.1.2.3"), &[], "'self' https://10.1.2.3"),
            (Some("[fd00::1]"), &[], "'self' https://[fd00::1]"),
            // Nobody's browser calls Orbit by these.
            (Some("gateway"), &[], "'self'"),
            (Some("localhost"), &[], "'self'"),
            (Some("127.0.0.1:443"), &[], "'self'"),
            (Some("[::1]"), &[], "'self'"),
            (
                Some("gateway"),
                &["https://orbit.plant.example", "http://10.1.2.3:8080/"],
                "'self' https://orbit.plant.example http://10.1.2.3:8080",
            ),
            (
                Some("orbit.plant.example"),
                &["https://orbit.plant.example"],
                "'self' https://orbit.plant.example",
            ),
            // What would say something else.
            (Some("a; script-src *"), &[], "'self'"),
            (Some("*"), &["https://*", "https://a.example'b"], "'self'"),
            (
                None,
                &["javascript:alert(1)", "data:x", "https:", "*"],
                "'self'",
            ),
        ];
        for (orbit, others, expected) in rows {
            let others: Vec<_> = others.iter().map(ToString::to_string).collect();
            let policy = policy(*orbit, &others);
            let policy = policy.to_str().unwrap();
            let ancestors = policy.strip_prefix(POLICY);
            assert_eq!(ancestors, Some(*expected), "{orbit:?} {others:?}");
        }
    }

    #[test]
    fn every_answer_has_all_headers_and_may_say_how_long_it_is_kept() {
        let mut headers = HeaderMap::new();
        let policy = policy(None, &[]);
        add(&mut headers, &policy);
        let mut all: Vec<_> = headers
            .iter()
            .map(|(name, value)| format!("{name}: {}", value.to_str().unwrap()))
            .collect();
        all.sort();
        insta::assert_snapshot!(all.join("\n"), @"
        cache-control: no-store
        content-security-policy: default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; font-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'self'
        cross-origin-opener-policy: same-origin
        cross-origin-resource-policy: same-origin
        permissions-policy: camera=(), display-capture=(), geolocation=(), microphone=(), payment=(), usb=()
        referrer-policy: same-origin
        x-content-type-options: nosniff
        ");
        let kept = HeaderValue::from_static("public, max-age=31536000, immutable");
        headers.insert(CACHE_CONTROL, kept.clone());
        add(&mut headers, &policy);
        assert_eq!(headers.get(CACHE_CONTROL), Some(&kept));
    }
}
