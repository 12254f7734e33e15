//! The headers of every answer: what a browser may do with it, and whose frame it may stand in.
//!
//! # Invariants
//! - Pure.
//! - No script and no style but our own files, and nothing from another host.
//! - Only Orbit, where it is known, and the page itself may show it in a frame.
//! - `Referrer-Policy` is `same-origin` and not `no-referrer`: with that a browser says of our own
//!   forms that they come from nowhere (`Origin: null`).

use std::net::IpAddr;

use axum::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, HOST, HeaderName, REFERRER_POLICY,
    X_CONTENT_TYPE_OPTIONS,
};
use axum::http::{HeaderMap, HeaderValue};
use url::{Host, Url};

const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; \
    connect-src 'self'; font-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors ";
/// More addresses of Orbit than anybody has.
const MOST: usize = 20;

/// Which Orbit it is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Orbit {
    /// None is set.
    #[default]
    Unknown,
    /// The one of this machine: browsers know it by the name by which they know the page.
    Here,
    /// The one at this `HOST` or `HOST:PORT`.
    At(String),
}

impl Orbit {
    /// The one of this setting: a gateway's address or our own machine's is none that a browser
    /// would use.
    pub fn of(host: &str, gateway: Option<IpAddr>) -> Self {
        let url = Url::parse(&format!("https://{host}"));
        let address = match url.as_ref().ok().and_then(Url::host) {
            None => return Self::Unknown,
            Some(Host::Domain("gateway" | "localhost")) => return Self::Here,
            Some(Host::Domain(_)) => return Self::At(host.to_owned()),
            Some(Host::Ipv4(address)) => IpAddr::V4(address),
            Some(Host::Ipv6(address)) => IpAddr::V6(address),
        };
        if address.is_loopback() || Some(address) == gateway {
            Self::Here
        } else {
            Self::At(host.to_owned())
        }
    }
}

/// Whose frame it may stand in: Orbit under its configured name, or that of this machine, which is
/// the page's own on another port; and those that the settings name.
pub(super) fn policy(orbit: &Orbit, others: &[String], request: &HeaderMap) -> HeaderValue {
    let mut ancestors = vec!["'self'".to_owned()];
    match orbit {
        Orbit::Unknown => {}
        Orbit::Here => ancestors.extend(own_host(request)),
        Orbit::At(host) => {
            let url = Url::parse(&format!("https://{host}")).ok();
            ancestors.extend(url.as_ref().and_then(origin_of));
        }
    }
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

/// The name by which the browser knows this machine, on any port. A page of another site cannot
/// have it say another one.
fn own_host(request: &HeaderMap) -> Option<String> {
    let host = request.get(HOST)?.to_str().ok()?;
    let url = Url::parse(&format!("https://{host}")).ok()?;
    let port = url
        .port()
        .map(|port| format!(":{port}"))
        .unwrap_or_default();
    let origin = origin_of(&url)?;
    let bare = origin.strip_suffix(&port).unwrap_or(&origin);
    Some(format!("{bare}:*"))
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

    fn asked_at(host: &str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(HOST, HeaderValue::from_str(host).unwrap());
        headers
    }

    #[test]
    fn only_orbit_and_the_page_itself_may_show_it_in_a_frame() {
        let at = |host: &str| Orbit::At(host.to_owned());
        let rows: &[(Orbit, &[&str], &str)] = &[
            (Orbit::Unknown, &[], "'self'"),
            (
                at("orbit.plant.example"),
                &[],
                "'self' https://orbit.plant.example",
            ),
            (
                at("orbit.plant.example:8443"),
                &[],
                "'self' https://orbit.plant.example:8443",
            ),
            (at("10.1.2.3"), &[], "'self' https://10.1.2.3"),
            (at("[fd00::1]"), &[], "'self' https://[fd00::1]"),
            (Orbit::Here, &[], "'self' https://hub.plant.example:*"),
            (
                Orbit::Here,
                &["https://orbit.plant.example", "http://10.1.2.3:8080/"],
                "'self' https://hub.plant.example:* https://orbit.plant.example \
                 http://10.1.2.3:8080",
            ),
            (
                at("orbit.plant.example"),
                &["https://orbit.plant.example"],
                "'self' https://orbit.plant.example",
            ),
            // What would say something else.
            (at("a; script-src *"), &[], "'self'"),
            (at("*"), &["https://*", "https://a.example'b"], "'self'"),
            (
                Orbit::Unknown,
                &["javascript:alert(1)", "data:x", "https:", "*"],
                "'self'",
            ),
        ];
        for (orbit, others, expected) in rows {
            let others: Vec<_> = others.iter().map(ToString::to_string).collect();
            let policy = policy(orbit, &others, &asked_at("hub.plant.example:22001"));
            let policy = policy.to_str().unwrap();
            let ancestors = policy.strip_prefix(POLICY);
            assert_eq!(ancestors, Some(*expected), "{orbit:?} {others:?}");
        }
    }

    #[test]
    fn the_orbit_of_this_machine_is_known_by_the_name_of_the_page() {
        for (host, ancestors) in [
            ("hub.plant.example", "'self' https://hub.plant.example:*"),
            ("10.1.2.3:22001", "'self' https://10.1.2.3:*"),
            ("[fd00::1]:22001", "'self' https://[fd00::1]:*"),
            ("*", "'self'"),
            ("a b", "'self'"),
            ("a.example;", "'self'"),
            ("", "'self'"),
        ] {
            let policy = policy(&Orbit::Here, &[], &asked_at(host));
            let found = policy.to_str().unwrap().strip_prefix(POLICY).unwrap();
            assert_eq!(found, ancestors, "{host}");
        }
        let gateway = "172.17.0.1".parse().ok();
        for (host, orbit) in [
            ("gateway", Orbit::Here),
            ("172.17.0.1", Orbit::Here),
            ("172.17.0.1:8443", Orbit::Here),
            ("localhost", Orbit::Here),
            ("127.0.0.1:443", Orbit::Here),
            ("[::1]", Orbit::Here),
            ("172.17.0.2", Orbit::At("172.17.0.2".to_owned())),
            ("orbit.example", Orbit::At("orbit.example".to_owned())),
            ("", Orbit::Unknown),
        ] {
            assert_eq!(Orbit::of(host, gateway), orbit, "{host}");
        }
    }

    #[test]
    fn every_answer_has_all_headers_and_may_say_how_long_it_is_kept() {
        let mut headers = HeaderMap::new();
        let policy = policy(&Orbit::Unknown, &[], &headers);
        add(&mut headers, &policy);
        let mut all: Vec<_> = headers
            .iter()
            .map(|(name, value)| format!("{name}: {}", value.to_str().unwrap()))
            .collect();
        all.sort_unstable();
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
