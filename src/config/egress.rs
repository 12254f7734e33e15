//! Where a destination's posts may go, and what they go through: guarded addresses, and the
//! proxies of the environment.
//!
//! # Invariants
//! - An address that only a mistake or an attack names is refused unless the file allows it.
//! - A loopback host is never proxied by the environment.

use std::net::IpAddr;

use url::{Host, Url};

use super::parse;
use super::problem::{Origin, Problem};
use super::resolve::Variables;
use crate::http::{self, Proxy};

/// For each scheme, the variables that name a proxy; the first that is set counts.
const HTTPS: &[&str] = &["HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"];
const HTTP: &[&str] = &["http_proxy", "HTTP_PROXY", "ALL_PROXY", "all_proxy"];
const EXCEPT: &[&str] = &["NO_PROXY", "no_proxy"];
const LOOPBACK: &str = "localhost,127.0.0.0/8,::1";

/// The address that the URL names itself, if it is a guarded one that is not allowed.
pub(super) fn refused_address(url: &Url, allowed: &[IpAddr]) -> Option<IpAddr> {
    let address = match url.host()? {
        Host::Ipv4(address) => IpAddr::V4(address),
        Host::Ipv6(address) => IpAddr::V6(address).to_canonical(),
        // In a URL of MQTT an address is one more name.
        Host::Domain(name) => name.parse::<IpAddr>().ok()?.to_canonical(),
    };
    let allowed = allowed.iter().any(|known| known.to_canonical() == address);
    (http::is_guarded(address) && !allowed).then_some(address)
}

/// The proxy that the environment gives for this URL, and the variable that names it.
pub(super) fn proxy(
    url: &Url,
    variables: &Variables<'_>,
) -> Result<Option<(Proxy, Origin)>, Problem> {
    if is_loopback(url) || !matches!(url.scheme(), "http" | "https") {
        return Ok(None);
    }
    let first = |names: &[&'static str]| {
        let mut set = names
            .iter()
            .filter_map(|name| Some((*name, variables.environment(name)?)));
        set.next()
    };
    let names = if url.scheme() == "https" { HTTPS } else { HTTP };
    let Some((name, value)) = first(names) else {
        return Ok(None);
    };
    let origin = Origin::outside(name);
    let proxy = parse::proxy(value).map_err(|error| Problem::new(&origin, error))?;
    let except = match first(EXCEPT) {
        None => LOOPBACK.to_owned(),
        Some((_, except)) => format!("{},{LOOPBACK}", except.trim()),
    };
    Ok(Some((Proxy { url: proxy, except }, origin)))
}

fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => IpAddr::V6(address).to_canonical().is_loopback(),
        Some(Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::config::Input;

    fn chosen(url: &str, environment: &[(&str, &str)]) -> Result<Option<(String, String)>, String> {
        let environment: BTreeMap<_, _> = environment
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect();
        let input = Input {
            environment,
            ..Input::default()
        };
        let variables = Variables::read(&input).unwrap();
        let chosen = proxy(&url.parse().unwrap(), &variables).map_err(|e| e.to_string())?;
        Ok(chosen.map(|(proxy, _)| (proxy.url.to_string(), proxy.except)))
    }

    #[test]
    fn the_environments_proxy_goes_by_the_urls_scheme() {
        let environment = [
            ("HTTPS_PROXY", "http://a:1"),
            ("http_proxy", "b:2"),
            ("ALL_PROXY", "http://c:3"),
            ("NO_PROXY", "plant.example"),
        ];
        let url = |url| chosen(url, &environment).unwrap().unwrap();
        let (https, except) = url("https://x.example/");
        assert_eq!(https, "http://a:1/");
        assert!(except.starts_with("plant.example,"), "{except}");
        assert_eq!(url("http://x.example/").0, "http://b:2/");
        let all = chosen("http://x.example/", &environment[2..]);
        assert_eq!(all.unwrap().unwrap().0, "http://c:3/");
        assert_eq!(chosen("http://x.example/", &environment[3..]), Ok(None));
    }

    #[test]
    fn a_loopback_host_is_never_proxied() {
        for url in [
            "http://127.0.0.1:1/",
            "http://127.9.9.9/",
            "http://[::1]/",
            "http://[::ffff:127.0.0.1]/",
            "http://localhost/",
        ] {
            assert_eq!(chosen(url, &[("http_proxy", "b:2")]), Ok(None), "{url}");
        }
    }

    #[test]
    fn a_broker_is_never_proxied() {
        for url in ["mqtt://broker.example", "mqtts://broker.example"] {
            assert_eq!(
                chosen(url, &[("ALL_PROXY", "http://b:2")]),
                Ok(None),
                "{url}"
            );
        }
    }

    #[test]
    fn a_bad_proxy_names_its_variable_and_not_its_value() {
        let error = chosen("https://x/", &[("https_proxy", "socks5://canary")]).unwrap_err();
        assert!(error.starts_with("https_proxy: "), "{error}");
        assert!(!error.contains("canary"), "{error}");
    }

    #[test]
    fn link_local_and_metadata_addresses_are_refused_unless_allowed() {
        let refused = |url: &str, allowed: &[IpAddr]| {
            refused_address(&url.parse().unwrap(), allowed).is_some()
        };
        for url in [
            "http://169.254.10.20/",
            "http://169.254.169.254/latest",
            "http://2852039166/",
            "http://[::ffff:169.254.169.254]/",
            "http://[fe80::1]/",
            "http://[fd00:ec2::254]/",
            "http://100.100.100.200/",
            "http://168.63.129.16/",
            "mqtt://169.254.10.20:1883",
            "mqtts://[fe80::1]",
        ] {
            assert!(refused(url, &[]), "{url}");
        }
        for url in ["http://10.0.0.1/", "http://127.0.0.1/", "http://plant/"] {
            assert!(!refused(url, &[]), "{url}");
        }
        let allowed = ["169.254.10.20".parse().unwrap()];
        assert!(!refused("http://169.254.10.20/", &allowed));
        assert!(!refused("http://[::ffff:169.254.10.20]/", &allowed));
        assert!(refused("http://169.254.10.21/", &allowed));
    }
}
