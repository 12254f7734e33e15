//! Who calls: the peer, or whom proxies that are trusted name; and whether he may.
//!
//! # Invariants
//! - What `X-Forwarded-For` says counts only as far as trusted proxies have written it.
//! - An IPv4 address is one however it is written, also as an IPv6 one.

use std::net::{IpAddr, SocketAddr};

use axum::http::HeaderMap;
use ipnet::IpNet;

const FORWARDED_FOR: &str = "x-forwarded-for";

/// Whose request this is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Caller {
    /// This one's.
    Known(IpAddr),
    /// A trusted proxy, which is this one, did not say in a way that can be read.
    Unknown(IpAddr),
}

impl Caller {
    /// By which he is counted and logged.
    pub(super) fn address(self) -> IpAddr {
        match self {
            Self::Known(address) | Self::Unknown(address) => address,
        }
    }
}

/// Whose request this is: the last address of `X-Forwarded-For` that is no trusted proxy, where
/// the peer is one. Where that list says nothing, it is the peer's; where it says something else
/// than addresses, nobody knows.
pub(super) fn caller(peer: IpAddr, headers: &HeaderMap, trusted: &[IpNet]) -> Caller {
    let peer = peer.to_canonical();
    if !holds(trusted, peer) {
        return Caller::Known(peer);
    }
    // Several lines are one list; each proxy adds to its end.
    for line in headers.get_all(FORWARDED_FOR).iter().rev() {
        let Ok(line) = line.to_str() else {
            return Caller::Unknown(peer);
        };
        for text in line.rsplit(',') {
            match address(text.trim()) {
                Some(address) if holds(trusted, address) => {}
                Some(address) => return Caller::Known(address),
                None => return Caller::Unknown(peer),
            }
        }
    }
    Caller::Known(peer)
}

/// Whether he may call: everyone, where nobody is named, and else nobody who is not known: he has
/// no share in what his proxy may.
pub(super) fn may_call(allow: &[IpNet], caller: Caller) -> bool {
    allow.is_empty() || matches!(caller, Caller::Known(address) if holds(allow, address))
}

/// Whether one of these networks holds this address.
fn holds(networks: &[IpNet], address: IpAddr) -> bool {
    let address = address.to_canonical();
    networks.iter().any(|network| network.contains(&address))
}

/// An address, with or without a port.
fn address(text: &str) -> Option<IpAddr> {
    let bare = text
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'))
        .unwrap_or(text);
    let address = bare.parse().ok();
    let address = address.or_else(|| Some(text.parse::<SocketAddr>().ok()?.ip()))?;
    Some(address.to_canonical())
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    /// A trusted proxy says nothing that can be read.
    const UNKNOWN: &str = "unknown";

    fn networks(texts: &[&str]) -> Vec<IpNet> {
        let parsed = texts.iter().map(|text| {
            let net = text.parse::<IpNet>();
            net.unwrap_or_else(|_| text.parse::<IpAddr>().unwrap().into())
        });
        parsed.collect()
    }

    #[test]
    fn the_caller_is_the_peer_or_whom_trusted_proxies_name() {
        let trusted = networks(&["127.0.0.1", "10.0.0.0/8", "fd00::/8"]);
        let rows: &[(&str, &[&str], &str)] = &[
            // Nobody else's word counts.
            ("192.0.2.7", &["203.0.113.9"], "192.0.2.7"),
            ("127.0.0.1", &[], "127.0.0.1"),
            ("127.0.0.1", &["203.0.113.9"], "203.0.113.9"),
            // What stands further left was written by the caller.
            (
                "127.0.0.1",
                &["10.9.9.9, 1.1.1.1,203.0.113.9"],
                "203.0.113.9",
            ),
            (
                "10.1.2.3",
                &["203.0.113.9, 10.7.7.7 ,  127.0.0.1"],
                "203.0.113.9",
            ),
            // Several lines are one list.
            ("127.0.0.1", &["203.0.113.9", "10.0.0.2"], "203.0.113.9"),
            (
                "127.0.0.1",
                &["203.0.113.9", "198.51.100.1"],
                "198.51.100.1",
            ),
            // Only proxies.
            ("127.0.0.1", &["10.0.0.1, 10.0.0.2"], "127.0.0.1"),
            // Addresses in other clothes.
            ("::ffff:127.0.0.1", &["203.0.113.9"], "203.0.113.9"),
            ("::ffff:192.0.2.7", &["203.0.113.9"], "192.0.2.7"),
            ("127.0.0.1", &["::ffff:203.0.113.9"], "203.0.113.9"),
            ("127.0.0.1", &["203.0.113.9:4711"], "203.0.113.9"),
            ("127.0.0.1", &["[2001:db8::1]:4711"], "2001:db8::1"),
            ("127.0.0.1", &["[2001:db8::1]"], "2001:db8::1"),
            ("fd00::1", &["2001:db8::1"], "2001:db8::1"),
            // Rubbish.
            ("127.0.0.1", &[""], UNKNOWN),
            ("127.0.0.1", &["unknown"], UNKNOWN),
            ("127.0.0.1", &["203.0.113.9, unknown"], UNKNOWN),
            ("127.0.0.1", &["203.0.113.9,"], UNKNOWN),
            ("127.0.0.1", &["203.0.113.9", ""], UNKNOWN),
            ("127.0.0.1", &["unknown, 203.0.113.9"], "203.0.113.9"),
            ("127.0.0.1", &["203.0.113.0/24"], UNKNOWN),
            ("127.0.0.1", &["203.0.113.9; 1.1.1.1"], UNKNOWN),
        ];
        for (peer, lines, expected) in rows {
            let mut headers = HeaderMap::new();
            for line in *lines {
                headers.append(FORWARDED_FOR, HeaderValue::from_str(line).unwrap());
            }
            let found = caller(peer.parse().unwrap(), &headers, &trusted);
            let expected = match *expected {
                UNKNOWN => Caller::Unknown(peer.parse().unwrap()),
                address => Caller::Known(address.parse().unwrap()),
            };
            assert_eq!(found, expected, "{peer} {lines:?}");
        }
        let mut headers = HeaderMap::new();
        let latin = HeaderValue::from_bytes(b"203.0.113.9 \xe9").unwrap();
        headers.append(FORWARDED_FOR, latin);
        let peer = "127.0.0.1".parse().unwrap();
        assert_eq!(caller(peer, &headers, &trusted), Caller::Unknown(peer));
        assert_eq!(caller(peer, &headers, &[]), Caller::Known(peer));
    }

    #[test]
    fn those_who_are_named_may_call_and_everyone_where_nobody_is() {
        let named = networks(&["10.0.0.0/24", "192.168.1.1", "2001:db8::/32"]);
        for (address, may) in [
            ("10.0.0.255", true),
            ("10.0.1.0", false),
            ("192.168.1.1", true),
            ("192.168.1.2", false),
            ("::ffff:10.0.0.9", true),
            ("::ffff:10.0.1.9", false),
            ("2001:db8:1::1", true),
            ("2001:db9::1", false),
        ] {
            let address = address.parse().unwrap();
            assert_eq!(may_call(&named, Caller::Known(address)), may, "{address}");
            assert!(!may_call(&named, Caller::Unknown(address)), "{address}");
            assert!(may_call(&[], Caller::Known(address)), "{address}");
            assert!(may_call(&[], Caller::Unknown(address)), "{address}");
        }
    }
}
