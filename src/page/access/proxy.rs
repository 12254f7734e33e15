//! Whom a reverse proxy says has logged in there.
//!
//! # Invariants
//! - Pure. Only the peer of the connection counts: what `X-Forwarded-For` says is not looked at.
//! - The header is believed from the named proxies only, and only where it is there once.

use std::net::IpAddr;

use axum::http::HeaderMap;
use ipnet::IpNet;

/// Whose request it is, as far as a proxy has a say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Named {
    /// It came from no named proxy: there is a login.
    NoProxy,
    /// A proxy names this account.
    Account(String),
    /// It came from a proxy, which names nobody in a way that can be read.
    Nobody,
}

/// Reads the proxy's header.
pub(super) fn named(
    peer: Option<IpAddr>,
    headers: &HeaderMap,
    proxies: &[IpNet],
    header: Option<&str>,
) -> Named {
    let (Some(peer), Some(header)) = (peer, header) else {
        return Named::NoProxy;
    };
    let peer = peer.to_canonical();
    if !proxies.iter().any(|network| network.contains(&peer)) {
        return Named::NoProxy;
    }
    let mut all = headers.get_all(header).iter();
    let (Some(name), None) = (all.next(), all.next()) else {
        return Named::Nobody;
    };
    match std::str::from_utf8(name.as_bytes()).map(str::trim) {
        Ok("") | Err(_) => Named::Nobody,
        Ok(name) => Named::Account(name.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    #[test]
    fn only_the_named_proxy_is_believed() {
        let proxies: Vec<IpNet> = vec!["10.0.0.0/24".parse().unwrap(), "::1/128".parse().unwrap()];
        let header = Some("x-remote-user");
        let ann = || Named::Account("ann".to_owned());
        let rows: &[(&str, Option<&str>, &[&str], Named)] = &[
            ("10.0.0.7", header, &["ann"], ann()),
            ("::ffff:10.0.0.7", header, &[" ann "], ann()),
            ("::1", header, &["ann"], ann()),
            ("10.0.1.7", header, &["ann"], Named::NoProxy),
            ("127.0.0.1", header, &["ann"], Named::NoProxy),
            ("10.0.0.7", None, &["ann"], Named::NoProxy),
            ("10.0.0.7", header, &[], Named::Nobody),
            ("10.0.0.7", header, &[""], Named::Nobody),
            // One of them may be the caller's own.
            ("10.0.0.7", header, &["ann", "ben"], Named::Nobody),
            ("10.0.0.7", header, &["ann", "ann"], Named::Nobody),
        ];
        for (peer, header, values, expected) in rows {
            let mut headers = HeaderMap::new();
            for value in *values {
                headers.append("x-remote-user", HeaderValue::from_static(value));
            }
            let found = named(peer.parse().ok(), &headers, &proxies, *header);
            assert_eq!(found, *expected, "{peer} {header:?} {values:?}");
        }
        let mut headers = HeaderMap::new();
        headers.insert("x-remote-user", HeaderValue::from_static("ann"));
        assert_eq!(named(None, &headers, &proxies, header), Named::NoProxy);
        headers.insert(
            "x-remote-user",
            HeaderValue::from_bytes(b"\xff\xfe").unwrap(),
        );
        let found = named("10.0.0.7".parse().ok(), &headers, &proxies, header);
        assert_eq!(found, Named::Nobody);
    }
}
