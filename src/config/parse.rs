//! What each kind of value may look like. Errors say what is accepted.
//!
//! # Invariants
//! - Pure, but for the PEM files that a value names.

use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::tz::{TimeZone, TimeZoneDatabase};
use percent_encoding::percent_decode_str;
use url::Url;

use super::nearest;
use crate::http::{self, ClientCertificate, Trust};
use crate::reconcile::backfill::First;
use crate::relay::deliver::{Images, Rate};
use crate::relay::destination::Auth;

/// Longer than this nobody waits; and sums of such times do not overflow.
const LONGEST: Duration = Duration::from_hours(3650 * 24);
/// So many addresses may be tried, one after the other.
const MOST_HOSTS: usize = 8;
/// A smaller journal could not even hold its own log.
const LEAST_JOURNAL: u64 = 64 << 20;
/// The words for what becomes of pictures.
pub(super) const IMAGES: [(&str, Images); 4] = [
    ("embed", Images::Embed),
    ("link", Images::Link),
    ("attach", Images::Attach),
    ("none", Images::None),
];

pub(super) fn switch(text: &str) -> Result<bool, String> {
    match text.trim().to_ascii_lowercase().as_str() {
        "true" => Ok(true),
        "false" => Ok(false),
        _ => Err(format!("`{text}` is not true or false")),
    }
}

pub(super) fn host(text: &str) -> Result<String, String> {
    let text = text.trim();
    match crate::orbit::client::base_url(text) {
        Some(_) => Ok(text.to_owned()),
        None => Err(format!(
            "`{text}` is not HOST or HOST:PORT (no https://, no path)"
        )),
    }
}

pub(super) fn trust(text: &str) -> Result<Trust, String> {
    match switch(text) {
        Ok(true) => Ok(Trust::Authorities(Vec::new())),
        Ok(false) => Ok(Trust::Anything),
        Err(_) if pin(text.trim()).is_some() => pins(text).map(Trust::Pinned),
        Err(_) => http::read_certificates(Path::new(text))
            .map(Trust::Authorities)
            .map_err(|e| {
                format!(
                    "{e}; give true, false, the path of a CA bundle in PEM form, or sha256: and \
                     the hash of Orbit's certificate"
                )
            }),
    }
}

/// The hash after `sha256:`.
fn pin(text: &str) -> Option<&str> {
    const PREFIX: &str = "sha256:";
    let (prefix, hash) = text.split_at_checked(PREFIX.len())?;
    prefix.eq_ignore_ascii_case(PREFIX).then_some(hash)
}

/// Hashes of certificates, as people copy them: in either case, with colons or without.
fn pins(text: &str) -> Result<Vec<[u8; 32]>, String> {
    let read = |item: &String| {
        let hash = pin(item).ok_or_else(|| {
            format!("`{item}` stands beside sha256:…, where only more of the kind can stand")
        })?;
        let digits = hash.replace(':', "");
        if let Some(other) = digits.chars().find(|c| !c.is_ascii_hexdigit()) {
            return Err(format!("`{item}`: `{other}` is no hex digit"));
        }
        let mut bytes = [0; 32];
        hex::decode_to_slice(&digits, &mut bytes).map_err(|_| {
            let length = digits.len();
            format!("`{item}`: a SHA-256 has 64 hex digits, this one {length}")
        })?;
        Ok(bytes)
    };
    several(text)?.iter().map(read).collect()
}

/// The path of certificates that can be read.
pub(super) fn certificates(path: &str) -> Result<PathBuf, String> {
    http::read_certificates(Path::new(path)).map_err(|e| e.to_string())?;
    Ok(PathBuf::from(path))
}

pub(super) fn certificate(text: &str) -> Result<ClientCertificate, String> {
    let files: Vec<_> = several(text)?.into_iter().map(PathBuf::from).collect();
    match files.as_slice() {
        [both] => http::read_client_certificate(both, None),
        [certificate, key] => http::read_client_certificate(certificate, Some(key)),
        _ => return Err("give one PEM file, or a certificate and a key".into()),
    }
    .map_err(|e| e.to_string())
}

/// Whether no webhook is wanted.
pub(super) fn is_none(webhook_host: &str) -> bool {
    webhook_host.trim().eq_ignore_ascii_case("none")
}

/// What Orbit may call, in the order in which it is tried; nothing for `none`.
pub(super) fn webhook_urls(scheme: &str, hosts: &str, port: u16) -> Result<Vec<Url>, String> {
    if is_none(hosts) {
        return Ok(Vec::new());
    }
    let mut urls = Vec::new();
    for host in hosts.split(',') {
        if is_none(host) {
            return Err("`none` stands alone".to_owned());
        }
        let url = webhook_url(scheme, host, port)?;
        if !urls.contains(&url) {
            urls.push(url);
        }
    }
    if urls.len() > MOST_HOSTS {
        return Err(format!("more than {MOST_HOSTS} hosts"));
    }
    Ok(urls)
}

fn webhook_url(scheme: &str, host: &str, port: u16) -> Result<Url, String> {
    let bare = host.trim().trim_start_matches('[').trim_end_matches(']');
    let written = if bare.parse::<std::net::Ipv6Addr>().is_ok() {
        format!("[{bare}]")
    } else {
        bare.to_owned()
    };
    let wrong = || format!("`{host}` is not a host name or an IP address (no http://, no port)");
    if written.is_empty()
        || (written.contains([':', '/', '@', '?', '#']) && !written.starts_with('['))
    {
        return Err(wrong());
    }
    Url::parse(&format!("{scheme}://{written}:{port}")).map_err(|_| wrong())
}

pub(super) fn port(text: &str) -> Result<u16, String> {
    text.trim()
        .parse()
        .map_err(|_| format!("`{text}` is not a port (0 to 65535)"))
}

pub(super) fn ip(text: &str) -> Result<IpAddr, String> {
    let bare = text.trim().trim_start_matches('[').trim_end_matches(']');
    bare.parse()
        .map_err(|_| format!("`{text}` is not an IP address (the port is --webhook-port)"))
}

pub(super) fn socket(text: &str) -> Result<SocketAddr, String> {
    text.trim()
        .parse()
        .map_err(|_| format!("`{text}` is not IP:PORT"))
}

pub(super) fn several(text: &str) -> Result<Vec<String>, String> {
    let items: Vec<_> = text
        .split(|c: char| c == ',' || c.is_whitespace())
        .filter(|item| !item.is_empty())
        .map(str::to_owned)
        .collect();
    if items.is_empty() {
        Err("the list is empty".into())
    } else {
        Ok(items)
    }
}

/// Names of event types, as Orbit writes them.
pub(super) fn event_types(text: &str) -> Result<Vec<String>, String> {
    let names = several(text)?;
    if names.len() > 50 {
        return Err("there are more than 50 event types".into());
    }
    let allowed = |b: u8| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_';
    let is_name = |name: &&String| {
        let starts = name.starts_with(|c: char| c.is_ascii_uppercase());
        starts && name.len() <= 100 && name.bytes().all(allowed)
    };
    match names.iter().find(|name| !is_name(name)) {
        Some(name) => Err(format!(
            "{} is no event type like ACTION_COMPLETED",
            nearest::quoted(name)
        )),
        None => Ok(names),
    }
}

/// A duration that is not nothing, up to ten years.
pub(super) fn duration(text: &str) -> Result<Duration, String> {
    let duration = duration_or_none(text)?;
    if duration.is_zero() {
        return Err(format!("`{}` is no time at all", text.trim()));
    }
    Ok(duration)
}

/// A duration, which may be `0s`, up to ten years.
pub(super) fn duration_or_none(text: &str) -> Result<Duration, String> {
    let wrong = || {
        let shown = nearest::quoted(text);
        format!("{shown} is not a duration like 30s, 5m, 2h or 30d")
    };
    // The parser takes no days, since not every day has 24 hours. Here it has.
    let (days, rest) = match text.trim().split_once('d') {
        None => (0, text.trim()),
        Some((days, rest)) => (days.trim().parse().map_err(|_| wrong())?, rest.trim()),
    };
    let days = Duration::from_hours(u64::from(u16::min(days, 10_000)) * 24);
    let rest = match rest {
        "" if !days.is_zero() => Duration::ZERO,
        rest => rest
            .parse::<jiff::SignedDuration>()
            .ok()
            .and_then(|rest| Duration::try_from(rest).ok())
            .ok_or_else(wrong)?,
    };
    let whole = days.saturating_add(rest);
    if whole > LONGEST {
        return Err(format!("{} is longer than 3650d", nearest::quoted(text)));
    }
    Ok(whole)
}

/// A number of bytes.
pub(super) fn size(text: &str) -> Result<u64, String> {
    const UNITS: [(&str, u64); 8] = [
        ("kb", 1_000),
        ("mb", 1_000_000),
        ("gb", 1_000_000_000),
        ("tb", 1_000_000_000_000),
        ("kib", 1 << 10),
        ("mib", 1 << 20),
        ("gib", 1 << 30),
        ("tib", 1 << 40),
    ];
    let wrong = || format!("`{text}` is not a size like 500MB or 2GiB");
    let lower = text.trim().to_ascii_lowercase();
    let digits = lower.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit = lower.get(digits.len()..).unwrap_or_default();
    let (_, bytes) = UNITS
        .iter()
        .find(|(name, _)| *name == unit)
        .ok_or_else(wrong)?;
    let count: u64 = digits.trim().parse().map_err(|_| wrong())?;
    count.checked_mul(*bytes).ok_or_else(wrong)
}

/// A size that the journal can live in.
pub(super) fn journal_limit(text: &str) -> Result<u64, String> {
    match size(text)? {
        limit if limit < LEAST_JOURNAL => Err(format!("`{text}` is less than 64MiB")),
        limit => Ok(limit),
    }
}

/// What becomes of pictures.
pub(super) fn images(text: &str) -> Result<Images, String> {
    let found = IMAGES.iter().find(|(name, _)| *name == text);
    found.map(|(_, images)| *images).ok_or_else(|| {
        let instead = nearest::instead(text, IMAGES.map(|(name, _)| name));
        format!("{} is none of its words; {instead}", nearest::shown(text))
    })
}

/// So many in a second, a minute or an hour.
pub(super) fn rate(text: &str) -> Result<Rate, String> {
    let wrong = || {
        let shown = nearest::quoted(text);
        format!("{shown} is not a rate like 10/s, 100/m or 1000/h")
    };
    let (count, per) = text.split_once('/').ok_or_else(wrong)?;
    let per = match per.trim() {
        "s" => Duration::from_secs(1),
        "m" => Duration::from_mins(1),
        "h" => Duration::from_hours(1),
        _ => return Err(wrong()),
    };
    let count = count.trim().parse().map_err(|_| wrong())?;
    if (1..=1_000_000).contains(&count) {
        Ok(Rate { count, per })
    } else {
        Err(wrong())
    }
}

/// Where a first install begins.
pub(super) fn first(text: &str) -> Result<First, String> {
    let text = text.trim();
    if text == "now" {
        return Ok(First::Now);
    }
    text.parse()
        .or_else(|_| format!("{text}T00:00:00Z").parse())
        .map(First::At)
        .or_else(|_| duration(text).map(First::Ago))
        .map_err(|_| {
            let shown = nearest::quoted(text);
            format!("{shown} is not `now`, a duration like 7d, or a time like 2026-11-01T00:00:00Z")
        })
}

/// The name or the id of a destination.
pub(super) fn name(text: &str) -> Result<String, String> {
    let allowed = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-_".contains(&b);
    if (1..=40).contains(&text.len()) && text.bytes().all(allowed) {
        return Ok(text.to_owned());
    }
    let shown = nearest::quoted(text);
    Err(format!(
        "{shown} is not 1 to 40 characters of a-z, 0-9, `-` and `_`"
    ))
}

/// The type of an event, as Orbit writes them, in which `*` and `?` may stand for others.
pub(super) fn event_pattern(text: &str) -> Result<String, String> {
    let allowed = |b: u8| b.is_ascii_uppercase() || b.is_ascii_digit() || b"_*?".contains(&b);
    if (1..=64).contains(&text.len()) && text.bytes().all(allowed) {
        Ok(text.to_owned())
    } else {
        let shown = nearest::quoted(text);
        Err(format!("{shown} is no event type like ACTION_COMPLETED"))
    }
}

/// Any text that is not empty.
pub(super) fn filled(text: &str) -> Result<String, &'static str> {
    match text.trim() {
        "" => Err("the text is empty"),
        text => Ok(text.to_owned()),
    }
}

/// A user of HTTP Basic.
pub(super) fn basic_user(text: &str) -> Result<String, &'static str> {
    if text.contains(':') {
        return Err("a user of HTTP Basic has no `:` in the name; the password has its own key");
    }
    filled(text)
}

/// An integration URL, and the credentials that stood in it.
pub(super) fn integration_url(text: &str) -> Result<(Url, Option<Auth>), String> {
    // The text may hold a password: no error shows it.
    without_user(http_url(text)?)
}

/// The URL of a destination in the file, which may be a broker, and the credentials in it.
pub(super) fn destination_url(text: &str) -> Result<(Url, Option<Auth>), String> {
    let url = Url::parse(text.trim()).ok();
    let Some(url) = url.filter(|url| matches!(url.scheme(), "mqtt" | "mqtts")) else {
        return integration_url(text).map_err(|error| {
            error.replace(
                "http:// or https://",
                "http://, https://, mqtt:// or mqtts://",
            )
        });
    };
    let bare = matches!(url.path(), "" | "/") && url.query().is_none() && url.fragment().is_none();
    if url.host_str().is_none_or(str::is_empty) || !bare {
        return Err(
            "write a broker as mqtt://HOST:PORT or mqtts://HOST:PORT; what it publishes \
                    to is `topic`"
                .into(),
        );
    }
    without_user(url)
}

fn without_user(mut url: Url) -> Result<(Url, Option<Auth>), String> {
    if url.username().is_empty() && url.password().is_none() {
        return Ok((url, None));
    }
    let decode = |part: &str| percent_decode_str(part).decode_utf8_lossy().into_owned();
    let (user, password) = (
        decode(url.username()),
        decode(url.password().unwrap_or_default()),
    );
    let auth = Auth::basic(&user, &password);
    let cleared = url.set_username("").is_ok() && url.set_password(None).is_ok();
    if cleared {
        Ok((url, Some(auth)))
    } else {
        Err("the URL has no host".into())
    }
}

/// Where OAuth 2 tokens are fetched.
pub(super) fn token_url(text: &str) -> Result<Url, String> {
    match integration_url(text)? {
        (url, None) => Ok(url),
        (_, Some(_)) => Err("a token URL has no user and password; there is `client_id`".into()),
    }
}

fn http_url(text: &str) -> Result<Url, String> {
    let url = Url::parse(text.trim())
        .map_err(|e| format!("this is not a URL like https://plant.example/inspections ({e})"))?;
    if matches!(url.scheme(), "http" | "https") {
        Ok(url)
    } else {
        Err("the URL begins with another word than http:// or https://".into())
    }
}

/// A proxy. The text may hold a password: no error shows it.
pub(super) fn proxy(text: &str) -> Result<Url, &'static str> {
    const WRONG: &str = "write a proxy as http://HOST:PORT, with USER:PASSWORD@ before the host if \
                         it wants that";
    let text = text.trim();
    // As others read the environment's variables: the scheme may be missing.
    let url = match text.split_once("://") {
        Some(_) => Url::parse(text),
        None => Url::parse(&format!("http://{text}")),
    };
    let url = url.map_err(|_| WRONG)?;
    let bare = url.path() == "/" && url.query().is_none() && url.fragment().is_none();
    if url.scheme() == "http" && url.has_host() && bare {
        Ok(url)
    } else {
        Err(WRONG)
    }
}

/// A URL as it may be shown: without user, password and query, where secrets stand.
pub(super) fn shown_url(text: &str) -> String {
    let Ok(url) = Url::parse(text.trim()) else {
        return "***".to_owned();
    };
    let user = if url.username().is_empty() {
        ""
    } else {
        "***@"
    };
    let host = url.host_str().unwrap_or_default();
    let port = url
        .port()
        .map(|port| format!(":{port}"))
        .unwrap_or_default();
    let query = if url.query().is_some() { "?***" } else { "" };
    format!("{}://{user}{host}{port}{}{query}", url.scheme(), url.path())
}

/// A time zone of the bundled database.
pub(super) fn time_zone(text: &str) -> Result<TimeZone, String> {
    // With a colon it is a name in any case, by POSIX.
    let name = text.trim().trim_start_matches(':');
    let zones = TimeZoneDatabase::bundled();
    if let Ok(zone) = zones.get(name) {
        return Ok(zone);
    }
    let name = name.get(..64).unwrap_or(name);
    let known: Vec<_> = zones.available().map(|zone| zone.to_string()).collect();
    let known = || known.iter().map(String::as_str);
    let city = |zone: &str| zone.rsplit('/').next().unwrap_or_default().to_lowercase();
    let meant = nearest::nearest(name, known()).or_else(|| {
        let cities: Vec<_> = known().map(|zone| (city(zone), zone)).collect();
        let near =
            nearest::nearest(&city(name), cities.iter().map(|(city, _)| city.as_str()))?.to_owned();
        cities
            .into_iter()
            .find(|(city, _)| *city == near)
            .map(|(_, zone)| zone)
    });
    let instead = match meant {
        Some(zone) => format!("did you mean `{zone}`?"),
        None => "write one like `Europe/Berlin`, or `UTC`".to_owned(),
    };
    Err(format!(
        "{} is no time zone; {instead}",
        nearest::quoted(name)
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn event_types_are_names_as_orbit_writes_them() {
        let good = event_types("ACTION_COMPLETED, MISSION_COMPLETED_2").unwrap();
        assert_eq!(good, ["ACTION_COMPLETED", "MISSION_COMPLETED_2"]);
        let long = "A".repeat(101);
        let many = vec!["A"; 51].join(",");
        for bad in [
            "",
            "action",
            "A-B",
            "<b>",
            "A\u{202e}B",
            "_A",
            "1A",
            &long,
            &many,
        ] {
            assert!(event_types(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_webhook_url_is_http_host_port() {
        let url = |host| webhook_url("http", host, 21600).map(|url| url.to_string());
        assert_eq!(url("10.0.0.5").unwrap(), "http://10.0.0.5:21600/");
        assert_eq!(url("relay.plant").unwrap(), "http://relay.plant:21600/");
        for host in ["::1", "[::1]"] {
            assert_eq!(url(host).unwrap(), "http://[::1]:21600/");
        }
        for bad in ["http://x", "x:1", "x/y", "", "me@x"] {
            assert!(webhook_url("http", bad, 21600).is_err(), "{bad}");
        }
    }

    #[test]
    fn several_webhook_hosts_stand_in_order_and_none_stands_alone() {
        let urls = |hosts| webhook_urls("http", hosts, 21600);
        let texts = |hosts| {
            let urls = urls(hosts).unwrap().into_iter();
            urls.map(|url| url.to_string()).collect::<Vec<_>>()
        };
        assert_eq!(texts("none"), [""; 0]);
        assert_eq!(
            texts("127.0.0.1, relay.plant,127.0.0.1"),
            ["http://127.0.0.1:21600/", "http://relay.plant:21600/"]
        );
        assert!(urls("127.0.0.1,none").unwrap_err().contains("alone"));
        for bad in ["a,", "a,,b", "a,b:1", "a,b,c,d,e,f,g,h,i"] {
            assert!(urls(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_pin_is_sha256_and_64_hex_digits_with_colons_or_without_in_either_case() {
        let plain = format!("sha256:{}", "0a".repeat(32));
        let colons = format!("SHA256:{}0A", "0A:".repeat(31));
        for (text, n) in [
            (plain.clone(), 1),
            (colons.clone(), 1),
            (format!("{plain}, {colons}"), 2),
        ] {
            let Ok(Trust::Pinned(pins)) = trust(&text) else {
                panic!("{text}");
            };
            assert_eq!(pins, vec![[0x0a; 32]; n], "{text}");
        }
        for (bad, why) in [
            ("sha256:".to_owned(), "64 hex digits, this one 0"),
            (format!("{plain}0"), "64 hex digits, this one 65"),
            (format!("{plain}ab"), "64 hex digits, this one 66"),
            (format!("{plain},sha256:0g"), "`sha256:0g`: `g` is no hex"),
            (format!("{plain},sha256:ab"), "`sha256:ab`: a SHA-256 has"),
            (format!("{plain},true"), "`true` stands beside"),
            (format!("{plain},/ca.pem"), "`/ca.pem` stands beside"),
        ] {
            let error = trust(&bad).unwrap_err();
            assert!(error.contains(why), "{bad}: {error}");
        }
    }

    #[test]
    fn durations_are_written_as_people_write_them() {
        assert_eq!(duration("5m").unwrap(), Duration::from_mins(5));
        assert_eq!(duration("90s").unwrap(), Duration::from_secs(90));
        let day = Duration::from_hours(24);
        assert_eq!(duration("30d").unwrap(), 30 * day);
        assert_eq!(duration("1d 12h").unwrap(), day + Duration::from_hours(12));
        for bad in [
            "", "5", "-5m", "0s", "0d", "soon", "d", "1.5d", "3651d", "99999d", "-1d", "1d -2h",
        ] {
            assert!(duration(bad).is_err(), "{bad}");
        }
        assert_eq!(duration_or_none("0s").unwrap(), Duration::ZERO);
    }

    #[test]
    fn sizes_are_written_with_their_unit() {
        for (text, bytes) in [
            ("500MB", 500_000_000),
            ("2GiB", 2 << 30),
            ("1 tib", 1 << 40),
        ] {
            assert_eq!(size(text).unwrap(), bytes, "{text}");
        }
        for bad in ["", "5", "GiB", "-1GB", "1.5GB", "1XB", "99999999999TiB"] {
            assert!(size(bad).is_err(), "{bad}");
        }
        assert!(journal_limit("64MiB").is_ok());
        assert!(journal_limit("64MB").is_err());
    }

    #[test]
    fn a_rate_is_a_number_in_a_second_a_minute_or_an_hour() {
        let rate = |text| rate(text).map(|rate| (rate.count, rate.per.as_secs()));
        assert_eq!(rate("10/s").unwrap(), (10, 1));
        assert_eq!(rate("100 / m").unwrap(), (100, 60));
        assert_eq!(rate("5/h").unwrap(), (5, 3600));
        for bad in ["", "10", "0/s", "-1/s", "10/d", "/s", "1.5/s"] {
            assert!(rate(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_proxy_is_http_and_its_password_is_in_no_error() {
        assert_eq!(
            proxy("http://me:x@p.example:3128").unwrap().port(),
            Some(3128)
        );
        assert_eq!(
            proxy("p.example:3128").unwrap().host_str(),
            Some("p.example")
        );
        for bad in ["https://p", "socks5://p", "http://p/path", "http://", ""] {
            assert!(proxy(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn user_and_password_of_a_url_become_basic_authentication_and_are_never_shown() {
        let text = "https://me:can%40ary@plant.example:8443/x?key=canary";
        let (url, auth) = integration_url(text).unwrap();
        assert_eq!(url.as_str(), "https://plant.example:8443/x?key=canary");
        assert!(auth.is_some());
        assert_eq!(shown_url(text), "https://***@plant.example:8443/x?***");
        for bad in ["ftp://me:canary@x", "canary", "https://me:canary@"] {
            assert!(!integration_url(bad).unwrap_err().contains("canary"));
        }
    }
}
