//! Addresses to which nothing is sent unless they are named: link-local, and where clouds keep
//! the credentials of the machine.
//!
//! # Invariants
//! - An address is judged after its name was resolved, and the connection goes to what was judged.
//! - Private addresses are not guarded: that is where plants are.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use url::{Host, Url};

/// Cloud metadata outside the link-local ranges: Azure's, Alibaba's.
const METADATA_V4: [Ipv4Addr; 2] = [
    Ipv4Addr::new(168, 63, 129, 16),
    Ipv4Addr::new(100, 100, 100, 200),
];
/// The same: Amazon's, Google's.
const METADATA_V6: [Ipv6Addr; 2] = [
    Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254),
    Ipv6Addr::new(0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254),
];
/// What stands before an IPv4 address that a gateway translates (RFC 6052).
const TRANSLATED: [u16; 6] = [0x64, 0xff9b, 0, 0, 0, 0];

/// The older form of the same (RFC 2765).
const MAPPED_TRANSLATED: [u16; 6] = [0, 0, 0, 0, 0xffff, 0];

/// Whether nothing is sent to this address unless it is named.
pub fn is_guarded(address: IpAddr) -> bool {
    match plain(address) {
        IpAddr::V4(v4) => v4.is_link_local() || METADATA_V4.contains(&v4),
        IpAddr::V6(v6) => v6.is_unicast_link_local() || METADATA_V6.contains(&v6),
    }
}

/// An IPv4 address is one however it is written: mapped, compatible, translated, or as 6to4.
fn plain(address: IpAddr) -> IpAddr {
    let IpAddr::V6(v6) = address else {
        return address;
    };
    let segments = v6.segments();
    let inner = segments.first_chunk::<6>().copied();
    let local_translated = segments.first_chunk::<3>() == Some(&[0x64, 0xff9b, 1]);
    if local_translated
        || [TRANSLATED, [0; 6], MAPPED_TRANSLATED]
            .map(Some)
            .contains(&inner)
    {
        let [.., a, b, c, d] = v6.octets();
        return Ipv4Addr::new(a, b, c, d).into();
    }
    if let [0x20, 0x02, a, b, c, d, ..] = v6.octets() {
        return Ipv4Addr::new(a, b, c, d).into();
    }
    address.to_canonical()
}

/// An address that was refused, and the name that gave it.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
#[error(
    "{host} is at {address}, a link-local or cloud-metadata address: nothing is sent there \
     unless `allow_addresses` names it"
)]
pub struct Guarded {
    /// The name, or the address as it was written.
    pub host: String,
    /// The address.
    pub address: IpAddr,
}

/// What is refused, and what of that is let through.
#[derive(Clone, Debug)]
pub(super) struct Guard {
    refused: fn(IpAddr) -> bool,
    allowed: Arc<[IpAddr]>,
}

impl Guard {
    pub(super) fn new(refused: fn(IpAddr) -> bool, allowed: &[IpAddr]) -> Self {
        let allowed = allowed.iter().map(|address| plain(*address)).collect();
        Self { refused, allowed }
    }

    fn refuses(&self, address: IpAddr) -> bool {
        (self.refused)(address) && !self.allowed.contains(&plain(address))
    }

    /// Judges a URL that holds an address: no resolver is asked for it.
    pub(super) fn check(&self, url: &Url) -> Result<(), Guarded> {
        let address = match url.host() {
            Some(Host::Ipv4(v4)) => IpAddr::from(v4),
            Some(Host::Ipv6(v6)) => IpAddr::from(v6),
            Some(Host::Domain(_)) | None => return Ok(()),
        };
        if self.refuses(address) {
            return Err(Guarded {
                host: url.host_str().unwrap_or_default().to_owned(),
                address,
            });
        }
        Ok(())
    }

    /// Of a name's addresses those that may be used; if there is none, the first is named.
    pub(super) fn choose(
        &self,
        host: &str,
        addresses: Vec<SocketAddr>,
    ) -> Result<Vec<SocketAddr>, Guarded> {
        let (refused, chosen): (Vec<_>, Vec<_>) = addresses
            .into_iter()
            .partition(|address| self.refuses(address.ip()));
        match refused.first() {
            Some(first) if chosen.is_empty() => Err(Guarded {
                host: host.to_owned(),
                address: first.ip(),
            }),
            _ => Ok(chosen),
        }
    }
}

impl Resolve for Guard {
    fn resolve(&self, name: Name) -> Resolving {
        let guard = self.clone();
        Box::pin(async move {
            let host = name.as_str();
            let addresses = tokio::net::lookup_host((host, 0)).await?.collect();
            let chosen: Addrs = Box::new(guard.choose(host, addresses)?.into_iter());
            Ok(chosen)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn link_local_and_metadata_addresses_are_guarded_however_they_are_written() {
        for text in [
            "169.254.0.1",
            "169.254.169.254",
            "169.254.255.255",
            "168.63.129.16",
            "100.100.100.200",
            "::ffff:169.254.169.254",
            "::169.254.169.254",
            "::ffff:168.63.129.16",
            "64:ff9b::169.254.169.254",
            "64:ff9b:1::a9fe:a9fe",
            "2002:a9fe:a9fe::",
            "::ffff:0:a9fe:a9fe",
            "fe80::1",
            "febf::1",
            "fd00:ec2::254",
            "fd20:ce::254",
        ] {
            assert!(is_guarded(text.parse().unwrap()), "{text}");
        }
    }

    #[test]
    fn private_and_public_addresses_are_not_guarded() {
        for text in [
            "127.0.0.1",
            "10.0.0.1",
            "172.16.0.1",
            "192.168.1.1",
            "100.64.0.1",
            "169.253.255.255",
            "169.255.0.0",
            "168.63.129.17",
            "8.8.8.8",
            "0.0.0.0",
            "::",
            "::1",
            "fd00::1",
            "fec0::1",
            "2001:db8::1",
            "::ffff:10.0.0.1",
            "64:ff9b::10.0.0.1",
        ] {
            assert!(!is_guarded(text.parse().unwrap()), "{text}");
        }
    }

    #[test]
    fn an_address_in_a_url_is_judged_in_every_spelling() {
        let guard = Guard::new(is_guarded, &[]);
        for url in [
            "http://169.254.169.254/latest",
            "http://0xA9FEA9FE/",
            "http://2852039166/",
            "http://0251.0376.0251.0376/",
            "http://169.254.43518/",
            "https://[fe80::1]:8443/",
            "http://[::ffff:a9fe:a9fe]/",
            "http://[::a9fe:a9fe]/",
        ] {
            let error = guard.check(&url.parse().unwrap()).unwrap_err();
            assert!(error.to_string().contains("`allow_addresses`"), "{error}");
        }
        for url in ["http://127.0.0.1/", "http://[::1]/", "http://plant.example"] {
            assert_eq!(guard.check(&url.parse().unwrap()), Ok(()), "{url}");
        }
    }

    #[test]
    fn an_address_that_is_named_is_let_through_and_no_other() {
        let guard = Guard::new(is_guarded, &["::ffff:169.254.1.1".parse().unwrap()]);
        assert_eq!(guard.check(&"http://169.254.1.1/".parse().unwrap()), Ok(()));
        assert!(
            guard
                .check(&"http://169.254.1.2/".parse().unwrap())
                .is_err()
        );
    }

    #[test]
    fn a_name_is_refused_when_nothing_but_guarded_addresses_is_left() {
        let at = |text: &str| -> SocketAddr { text.parse().unwrap() };
        let (bad, good) = (at("169.254.169.254:0"), at("10.0.0.1:0"));
        let guard = Guard::new(is_guarded, &[]);
        assert_eq!(guard.choose("x", vec![bad, good]).unwrap(), [good]);
        let error = guard.choose("metadata.example", vec![bad]).unwrap_err();
        assert_eq!(
            error.to_string(),
            "metadata.example is at 169.254.169.254, a link-local or cloud-metadata address: \
             nothing is sent there unless `allow_addresses` names it"
        );
        assert_eq!(guard.choose("x", Vec::new()).unwrap(), []);
    }
}
