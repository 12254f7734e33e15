//! `auth` and `sign` of a destination.
//!
//! # Invariants
//! - Which keys there are follows from `type` or `scheme`; a key of another one is unknown.

use super::reader::{Item, Table};
use super::secret;
use crate::config::nearest::shown;
use crate::config::parse;
use crate::config::resolve::Variables;
use crate::relay::destination::{Algorithm, Auth, Encoding, Header, RESERVED_HEADERS, Sign};
use crate::relay::verify::standard;
use crate::secret::Secret;

/// The types of `auth`, and the keys of each.
pub(super) const AUTH: &[(&str, &[&str])] = &[
    ("none", &["type"]),
    ("header", &["type", "name", "value"]),
    ("basic", &["type", "user", "password"]),
    ("bearer", &["type", "token"]),
    (
        "oauth2",
        &["type", "token_url", "client_id", "client_secret", "scope"],
    ),
];

/// The schemes of `sign`, and the keys of each.
pub(super) const SIGN: &[(&str, &[&str])] = &[
    ("standard-webhooks", &["scheme", "secret", "secrets"]),
    (
        "hmac",
        &[
            "scheme",
            "header",
            "algorithm",
            "encoding",
            "prefix",
            "secret",
        ],
    ),
    ("fiix", &["scheme", "app_key", "access_key", "secret"]),
];

/// How the relay shows who it is.
pub(super) fn auth(item: &Item<'_, '_>, variables: &Variables<'_>) -> Option<Auth> {
    let (kind, table) = kind(item, "type", "{ type = \"bearer\", token = … }", AUTH)?;
    let secret = |key, check: secret::Check| secret::source(&table.require(key)?, variables, check);
    match kind {
        "header" => {
            let name = table.require("name").and_then(|name| header_name(&name));
            let value = secret("value", secret::in_a_header);
            Some(Auth::Header {
                name: name?.parse().ok()?,
                value: value?,
            })
        }
        "basic" => {
            let user = table
                .require("user")
                .and_then(|user| user.parsed("a user's name", parse::basic_user));
            let password = secret("password", secret::ANYTHING);
            Some(Auth::Basic {
                user: user?,
                password: password?,
            })
        }
        "bearer" => Some(Auth::Bearer(secret("token", secret::in_a_header)?)),
        "oauth2" => {
            let token_url = table
                .require("token_url")
                .and_then(|url| url.parsed("a URL", parse::token_url));
            let client_id = table
                .require("client_id")
                .and_then(|id| id.parsed("a client's id", parse::filled));
            let client_secret = secret("client_secret", secret::ANYTHING);
            let scope = match table.take("scope") {
                None => None,
                Some(scope) => Some(scope.parsed("scopes with spaces between", parse::filled)?),
            };
            Some(Auth::OAuth2 {
                token_url: token_url?,
                client_id: client_id?,
                client_secret: client_secret?,
                scope,
            })
        }
        _ => Some(Auth::None),
    }
}

/// How a body is signed.
pub(super) fn sign(item: &Item<'_, '_>, variables: &Variables<'_>) -> Option<Sign> {
    let wanted = "{ scheme = \"standard-webhooks\", secret = … }";
    let (kind, table) = kind(item, "scheme", wanted, SIGN)?;
    if kind == "standard-webhooks" {
        return standard_webhooks(&table, variables);
    }
    if kind == "fiix" {
        return fiix(&table, variables);
    }
    let header = table
        .require("header")
        .and_then(|header| header_name(&header));
    let algorithm = match table.take("algorithm") {
        None => Some(Algorithm::Sha256),
        Some(word) => word.word(&[("sha256", Algorithm::Sha256), ("sha1", Algorithm::Sha1)]),
    };
    let encoding = match table.take("encoding") {
        None => Some(Encoding::Hex),
        Some(word) => word.word(&[("hex", Encoding::Hex), ("base64", Encoding::Base64)]),
    };
    let prefix = match table.take("prefix") {
        None => Some(String::new()),
        Some(prefix) => prefix.parsed("a text like \"sha256=\"", |text| {
            let prefix = Secret::new(text.to_owned());
            secret::in_a_header(&prefix).map(|()| text.to_owned())
        }),
    };
    let secret = table
        .require("secret")
        .and_then(|item| secret::source(&item, variables, secret::ANYTHING));
    Some(Sign::Hmac {
        header: header?.parse().ok()?,
        algorithm: algorithm?,
        encoding: encoding?,
        prefix: prefix?,
        secret: secret?,
    })
}

fn fiix(table: &Table<'_, '_>, variables: &Variables<'_>) -> Option<Sign> {
    let filled = |key, wanted| {
        let item = table.require(key)?;
        item.parsed(wanted, parse::filled)
    };
    let app_key = filled("app_key", "the key of the application");
    let access_key = filled("access_key", "the access key");
    let secret = table
        .require("secret")
        .and_then(|item| secret::source(&item, variables, secret::ANYTHING));
    Some(Sign::Fiix {
        app_key: app_key?,
        access_key: access_key?,
        secret: secret?,
    })
}

fn standard_webhooks(table: &Table<'_, '_>, variables: &Variables<'_>) -> Option<Sign> {
    let check = standard::check_secret;
    let secrets = match (table.take("secret"), table.take("secrets")) {
        (Some(one), None) => vec![secret::source(&one, variables, check)?],
        (None, Some(several)) => secret::sources(&several, variables, check)?,
        _ => {
            table.refuse(format!(
                "{} needs either `secret` or `secrets`",
                table.words()
            ));
            return None;
        }
    };
    Some(Sign::StandardWebhooks(secrets))
}

/// Headers that every post carries.
pub(super) fn headers(item: &Item<'_, '_>, variables: &Variables<'_>) -> Option<Vec<Header>> {
    let table = item.free_table("a table like { X-Plant = \"north\" }")?;
    let headers: Vec<_> = table
        .all()
        .map(|(name, item)| {
            if let Err(what) = free_header(name) {
                item.refuse(what);
                return None;
            }
            let value = secret::source(&item, variables, secret::in_a_header)?;
            let header = Header::new(name, value.current().ok()?.expose());
            header.map_err(|error| item.refuse(error)).ok()
        })
        .collect();
    headers.into_iter().collect()
}

/// Which of the kinds a table is of, and the table with that kind's keys.
fn kind<'d, 'a, 'k>(
    item: &Item<'d, 'a>,
    key: &str,
    wanted: &str,
    kinds: &'k [(&'k str, &'k [&'k str])],
) -> Option<(&'k str, Table<'d, 'a>)> {
    let table = item.free_table(wanted)?;
    let names: Vec<_> = kinds.iter().map(|(name, _)| (*name, *name)).collect();
    let kind = table.require(key)?.word(&names)?;
    let (name, keys) = kinds.iter().find(|(name, _)| *name == kind)?;
    table.refuse_unknown(keys, &[]);
    Some((name, table))
}

/// The name of a header that the relay does not set itself.
fn header_name<'d>(item: &Item<'d, '_>) -> Option<&'d str> {
    let name = item.text("the name of a header")?;
    free_header(name).map_err(|what| item.refuse(what)).ok()?;
    Some(name)
}

fn free_header(name: &str) -> Result<(), String> {
    if Header::new(name, "").is_err() {
        return Err(format!("{} is no header's name", shown(name)));
    }
    if RESERVED_HEADERS.contains(&name.to_ascii_lowercase().as_str()) {
        return Err(format!("the relay sets the header {name} itself"));
    }
    Ok(())
}
