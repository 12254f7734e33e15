//! What each kind of value may look like. Errors say what is accepted.
//!
//! # Invariants
//! - Pure, but for the PEM files that a value names.

use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use percent_encoding::percent_decode_str;
use url::Url;

use crate::http::{self, ClientCertificate, Trust};
use crate::relay::destination::Auth;

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
        Err(_) => http::read_authorities(Path::new(text))
            .map(Trust::Authorities)
            .map_err(|e| format!("{e}; give true, false, or the path of a CA bundle in PEM form")),
    }
}

/// The path of a CA bundle that can be read.
pub(super) fn authorities(path: &str) -> Result<PathBuf, String> {
    http::read_authorities(Path::new(path)).map_err(|e| e.to_string())?;
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

pub(super) fn webhook_url(host: &str, port: u16) -> Result<Url, String> {
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
    Url::parse(&format!("http://{written}:{port}")).map_err(|_| wrong())
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

pub(super) fn duration(text: &str) -> Result<Duration, String> {
    let wrong = || format!("`{text}` is not a duration like 30s, 5m or 2h");
    let parsed: jiff::SignedDuration = text.trim().parse().map_err(|_| wrong())?;
    Duration::try_from(parsed)
        .ok()
        .filter(|d| !d.is_zero())
        .ok_or_else(wrong)
}

/// An integration URL, and the credentials that stood in it.
pub(super) fn integration_url(text: &str) -> Result<(Url, Option<Auth>), String> {
    // The text may hold a password: no error shows it.
    let mut url = Url::parse(text.trim())
        .map_err(|e| format!("this is not a URL like https://plant.example/inspections ({e})"))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err("an integration URL begins with http:// or https://".into());
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_webhook_url_is_http_host_port() {
        let url = |host| webhook_url(host, 21600).map(|url| url.to_string());
        assert_eq!(url("10.0.0.5").unwrap(), "http://10.0.0.5:21600/");
        assert_eq!(url("relay.plant").unwrap(), "http://relay.plant:21600/");
        for host in ["::1", "[::1]"] {
            assert_eq!(url(host).unwrap(), "http://[::1]:21600/");
        }
        for bad in ["http://x", "x:1", "x/y", "", "me@x"] {
            assert!(url(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn durations_are_written_as_people_write_them() {
        assert_eq!(duration("5m").unwrap(), Duration::from_mins(5));
        assert_eq!(duration("90s").unwrap(), Duration::from_secs(90));
        for bad in ["", "5", "-5m", "0s", "soon"] {
            assert!(duration(bad).is_err(), "{bad}");
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
