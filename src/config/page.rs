//! The settings of the page: whose frame it may stand in, and which proxies log people in.
//!
//! # Invariants
//! - Proxies without a header, or a header without proxies, are refused: each alone is a mistake.

use std::net::IpAddr;

use ipnet::IpNet;
use url::Url;

use super::Page;
use super::parse;
use super::problem::Problems;
use super::resolve::Values;

/// More than anybody has.
const MOST: usize = 20;

pub(super) fn page(values: &Values, problems: &mut Problems) -> Page {
    let orbits = problems.of(values.read("page-orbit", origins));
    let proxies = problems.of(values.read("page-proxy", networks));
    let header = problems.of(values.read("page-proxy-header", header));
    for (one, other) in [
        ("page-proxy", "page-proxy-header"),
        ("page-proxy-header", "page-proxy"),
    ] {
        if values.get(one).is_some() && values.get(other).is_none() {
            let why = format!("it is nothing without {other}: set both or neither");
            problems.of(values.read(one, |_| Err::<(), _>(why)));
        }
    }
    Page {
        orbits: orbits.unwrap_or_default(),
        proxies: proxies.unwrap_or_default(),
        proxy_header: header,
    }
}

fn origins(text: &str) -> Result<Vec<String>, String> {
    listed(text, |item| {
        let wrong = || format!("`{item}` is not like https://orbit.plant.example");
        let url = Url::parse(item).map_err(|_| wrong())?;
        let bare = url.path() == "/"
            && url.query().is_none()
            && url.fragment().is_none()
            && url.username().is_empty()
            && url.password().is_none();
        let web = matches!(url.scheme(), "http" | "https");
        let host = url.host_str().is_some_and(|host| !host.contains('*'));
        (bare && web && host)
            .then(|| url.origin().ascii_serialization())
            .ok_or_else(wrong)
    })
}

fn networks(text: &str) -> Result<Vec<IpNet>, String> {
    listed(text, |item| {
        let address = || item.parse::<IpAddr>().map(IpNet::from);
        let network = item.parse::<IpNet>().or_else(|_| address());
        network.map_err(|_| format!("`{item}` is no address or network like 10.0.0.0/24"))
    })
}

fn header(text: &str) -> Result<String, String> {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || b"-_".contains(&b);
    let text = text.trim();
    if text.is_empty() || text.len() > 100 || !text.bytes().all(allowed) {
        return Err(format!(
            "`{text}` is no name of a header like X-Remote-User"
        ));
    }
    let lower = text.to_ascii_lowercase();
    if ["cookie", "authorization", "host", "origin"].contains(&lower.as_str()) {
        return Err(format!("the header `{text}` is not free for this"));
    }
    Ok(lower)
}

fn listed<T>(text: &str, read: impl Fn(&str) -> Result<T, String>) -> Result<Vec<T>, String> {
    let items = parse::several(text)?;
    if items.len() > MOST {
        return Err(format!("more than {MOST} of them"));
    }
    items.iter().map(|item| read(item)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_is_a_scheme_and_a_host() {
        assert_eq!(
            origins("https://Orbit.plant.example/, http://10.0.0.1:8080").unwrap(),
            ["https://orbit.plant.example", "http://10.0.0.1:8080"]
        );
        for wrong in [
            "",
            "orbit.plant.example",
            "https://orbit/path",
            "https://user@orbit",
            "https://orbit?x",
            "https://*.plant.example",
            "ftp://orbit",
            "javascript:alert(1)",
        ] {
            assert!(origins(wrong).is_err(), "{wrong}");
        }
        let many = vec!["https://a.example"; 21].join(",");
        assert!(origins(&many).unwrap_err().contains("more than 20"));
    }

    #[test]
    fn proxies_are_addresses_and_networks_and_their_header_is_a_name() {
        let found = networks("10.0.0.0/24,127.0.0.1 ::1").unwrap();
        let found: Vec<_> = found.iter().map(ToString::to_string).collect();
        assert_eq!(found, ["10.0.0.0/24", "127.0.0.1/32", "::1/128"]);
        assert!(networks("proxy.example").is_err());
        assert_eq!(header(" X-Remote-User ").unwrap(), "x-remote-user");
        for wrong in ["", "X Remote", "Cookie", "x:", "\u{e9}"] {
            assert!(header(wrong).is_err(), "{wrong}");
        }
    }
}
