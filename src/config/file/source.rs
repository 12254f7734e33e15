//! One `[[source]]`: who sends besides Orbit, where, and how it signs.
//!
//! # Invariants
//! - Every key is looked at, whatever is wrong with the others.
//! - A key that the scheme has no use for is refused: it would seem to do something.

use std::cell::RefCell;
use std::net::IpAddr;
use std::num::NonZeroU32;
use std::time::Duration;

use ipnet::{IpNet, Ipv4Net};
use toml::de::DeValue;

use super::destination::set;
use super::reader::{Item, Origins, Table};
use super::scheme::{self, SCHEMES};
use super::secret;
use super::subscription;
use super::when;
use crate::config::nearest;
use crate::config::parse;
use crate::config::resolve::Variables;
use crate::config::sources::DescribedSource;
use crate::event::Glob;
use crate::relay::receive::{RateLimit, Source};
use crate::relay::verify::Scheme;
use crate::secret::Secret;

/// The keys of a source, whatever its scheme.
pub(super) const KEYS: &[&str] = &[
    "name",
    "path",
    "scheme",
    "events",
    "when",
    "allow",
    "rate_limit",
];
/// The keys of `rate_limit`.
pub(super) const RATE_LIMIT: &[&str] = &["per_minute", "burst"];

/// How old, or how early, a signature may be, unless the source says otherwise.
const MAX_AGE: Duration = Duration::from_mins(5);
/// A higher rate limits nothing.
const MOST_A_MINUTE: u64 = 1_000_000;
const EVENT_TYPES: &str = "an array of event types like [\"order.*\"]";
/// No path is longer.
const LONGEST_PATH: usize = 200;
/// The paths of the relay itself.
const TAKEN: [&str; 4] = ["/ping", "/work-orders", "/hooks/orbit", "/hooks/closed"];

/// Reads the source that stands at this place in the file, counted from 1. `outside` are the keys
/// of the top level.
pub(super) fn read(
    item: &Item<'_, '_>,
    number: usize,
    outside: &[&str],
    variables: &Variables<'_>,
) -> Option<DescribedSource> {
    let origins = RefCell::new(Origins::new());
    let name = match item.value {
        DeValue::Table(entries) => entries.get("name").and_then(|name| name.get_ref().as_str()),
        _ => None,
    };
    let owner = match name.map(parse::name) {
        Some(Ok(name)) => format!("[[source]] \"{name}\""),
        _ => format!("[[source]] number {number}"),
    };
    let table = item.owned_table(owner, &origins)?;
    table.refuse_unknown(&all_keys(), outside);
    let config = source(&table, variables);
    Some(DescribedSource {
        config,
        origin: item.origin(),
        origins: origins.into_inner(),
    })
}

/// The keys of all schemes.
fn all_keys() -> Vec<&'static str> {
    let of_schemes = SCHEMES.iter().flat_map(|(_, keys)| keys.iter());
    KEYS.iter().chain(of_schemes).copied().collect()
}

fn source(table: &Table<'_, '_>, variables: &Variables<'_>) -> Source {
    let name = table
        .require("name")
        .and_then(|name| name.parsed("a text", parse::name));
    let mut source = Source {
        path: format!("/hooks/{}", name.as_deref().unwrap_or_default()),
        name: name.unwrap_or_default(),
        scheme: Scheme::Github,
        secrets: Vec::new(),
        events: vec![Glob::new("*")],
        when: None,
        allow: Vec::new(),
        rate_limit: None,
        max_age: MAX_AGE,
    };
    set(&mut source.path, table, "path", |item| {
        item.parsed("a path like \"/hooks/shop\"", path)
    });
    set(&mut source.events, table, "events", |item| {
        let texts = subscription::globs(item, EVENT_TYPES, subscription::pattern)?;
        Some(texts.iter().map(|text| Glob::new(text)).collect())
    });
    set(&mut source.when, table, "when", |item| {
        when::of_a_source(item).map(Some)
    });
    set(&mut source.allow, table, "allow", networks);
    set(&mut source.rate_limit, table, "rate_limit", |item| {
        rate_limit(item).map(Some)
    });
    set(&mut source.max_age, table, "max_age", |item| {
        item.parsed("a duration like \"5m\"", parse::duration)
    });
    if let Some(scheme) = scheme::scheme(table) {
        source.secrets = secrets(table, &scheme, variables).unwrap_or_default();
        source.scheme = scheme;
    }
    source
}

/// A secret, or several while one takes the place of another.
fn secrets(
    table: &Table<'_, '_>,
    scheme: &Scheme,
    variables: &Variables<'_>,
) -> Option<Vec<crate::secret::Source>> {
    if !scheme.wants_secret() {
        return None;
    }
    let item = table.require("secret")?;
    let check = |secret: &Secret| scheme.check_secret(secret);
    match item.value {
        DeValue::Array(_) => secret::sources(&item, variables, check),
        _ => Some(vec![secret::source(&item, variables, check)?]),
    }
}

/// Where it posts: a plain path, which nothing else has.
fn path(text: &str) -> Result<String, String> {
    let shown = nearest::quoted(text);
    let allowed = |b: u8| b.is_ascii_alphanumeric() || b"-_.".contains(&b);
    let plain = |part: &str| {
        !part.is_empty() && part.bytes().all(allowed) && part.bytes().any(|b| b != b'.')
    };
    let parts = text.strip_prefix('/').map(|parts| parts.split('/'));
    if text == "/" {
        return Err("`/` is where Orbit posts; write a path like \"/hooks/shop\"".to_owned());
    }
    if text.len() > LONGEST_PATH || !parts.is_some_and(|mut parts| parts.all(plain)) {
        return Err(format!(
            "{shown} is no path like \"/hooks/shop\": a `/` before each part, and in it a-z, A-Z, \
             0-9, `-`, `_` and `.`"
        ));
    }
    let below = |taken: &&&str| {
        let rest = text.strip_prefix(**taken);
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    match TAKEN.iter().find(below) {
        None => Ok(text.to_owned()),
        Some(taken) => Err(format!(
            "{shown} cannot be: {taken} is the relay's own; write a path like \"/hooks/shop\""
        )),
    }
}

const NETWORKS: &str = "an array of addresses and networks like [\"10.0.0.0/24\"]";

/// Addresses and networks.
pub(super) fn networks(item: &Item<'_, '_>) -> Option<Vec<IpNet>> {
    item.list(NETWORKS, network)
}

/// An address is a network of one. An IPv4 one that is written as IPv6 counts as what it is.
fn network(text: &str) -> Result<IpNet, String> {
    let text = text.trim();
    let address = text.parse::<IpAddr>().map(IpNet::from);
    let network = address.or_else(|_| text.parse::<IpNet>()).map_err(|_| {
        format!(
            "{} is no address or network like 10.0.0.0/24",
            nearest::quoted(text)
        )
    })?;
    let mapped = match network {
        IpNet::V6(network) => network.addr().to_ipv4_mapped().and_then(|address| {
            let prefix = network.prefix_len().checked_sub(96)?;
            Ipv4Net::new(address, prefix).ok()
        }),
        IpNet::V4(_) => None,
    };
    Ok(mapped.map_or(network, IpNet::V4).trunc())
}

fn rate_limit(item: &Item<'_, '_>) -> Option<RateLimit> {
    let table = item.table("a table like { per_minute = 60, burst = 10 }", RATE_LIMIT)?;
    let number = |item: Item<'_, '_>| {
        let number = item.integer(1, MOST_A_MINUTE)?;
        NonZeroU32::new(u32::try_from(number).ok()?)
    };
    let per_minute = table.require("per_minute").and_then(number);
    let burst = match table.take("burst") {
        Some(item) => number(item),
        None => per_minute,
    };
    Some(RateLimit {
        per_minute: per_minute?,
        burst: burst?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_a_network_of_one_and_a_mapped_one_is_what_it_is() {
        for (text, expected) in [
            ("10.0.0.0/24", "10.0.0.0/24"),
            ("10.0.0.7/24", "10.0.0.0/24"),
            (" 192.168.1.1 ", "192.168.1.1/32"),
            ("fe80::1", "fe80::1/128"),
            ("2001:db8::/32", "2001:db8::/32"),
            ("::ffff:10.0.0.1", "10.0.0.1/32"),
            ("::ffff:10.0.0.0/104", "10.0.0.0/8"),
        ] {
            assert_eq!(network(text).unwrap().to_string(), expected, "{text}");
        }
        for wrong in ["", "10.0.0", "10.0.0.0/33", "plant.example", "10.0.0.0/-1"] {
            assert!(network(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_path_is_plain_and_none_of_the_relays_own() {
        for right in [
            "/hooks/shop",
            "/x",
            "/a.b/C_d-1",
            "/pingpong",
            "/hooks/closeddoor",
        ] {
            assert_eq!(path(right).as_deref(), Ok(right));
        }
        for wrong in [
            "",
            "/",
            "x",
            "/x/",
            "//x",
            "/x//y",
            "/a b",
            "/{x}",
            "/x?y",
            "/x%2F",
            "/../x",
            "/.",
            "/ping",
            "/ping/x",
            "/work-orders",
            "/work-orders/5",
            "/hooks/orbit",
            "/hooks/closed/cmms",
        ] {
            assert!(path(wrong).is_err(), "{wrong}");
        }
    }
}
