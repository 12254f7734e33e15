//! The destinations: those of the file, and the one that the integration URL gives.
//!
//! # Invariants
//! - Names are unique, and so are ids: keys are made of ids, and people ask by name.
//! - What a destination does not say comes from here or from `destination::Config`, nowhere else.

use std::collections::BTreeMap;

use super::describe::Described;
use super::egress;
use super::file::{File, Origins};
use super::nearest::instead;
use super::parse;
use super::problem::{Origin, Problems};
use super::resolve::{Values, Variables};
use crate::event::{NOTICE, RELAY, Takes};
use crate::relay::deliver::{self, Images};
use crate::relay::destination::{self, Auth, INTEGRATION};

/// All destinations, each with what it goes through.
pub(super) fn all(
    values: &Values,
    forwarded: Vec<String>,
    file: &mut File,
    variables: &Variables<'_>,
    problems: &mut Problems,
) -> Vec<Described> {
    let of_url = integration(values, forwarded, problems);
    let mut all: Vec<_> = of_url
        .into_iter()
        .chain(std::mem::take(&mut file.destinations))
        .collect();
    refuse_duplicates(&all, problems);
    for described in &mut all {
        refuse_addresses(described, problems);
        if described.origins.contains_key("proxy") {
            continue;
        }
        match egress::proxy(&described.config.destination.url, variables) {
            Err(problem) => problems.add([problem]),
            Ok(None) => {}
            Ok(Some((proxy, origin))) => {
                described.config.destination.proxy = Some(proxy);
                described.origins.insert("proxy".to_owned(), origin);
            }
        }
    }
    for (name, origin) in &file.notify {
        if let Some(named) = all.iter_mut().find(|known| known.name() == name) {
            named.config.takes.push(Takes::new(RELAY, [NOTICE]));
            continue;
        }
        let there_is = match all.as_slice() {
            [] => "there is none at all".to_owned(),
            _ => instead(name, all.iter().map(Described::name)),
        };
        problems.note(
            origin,
            format!("`notify`: no destination has the name `{name}`; {there_is}"),
        );
    }
    all
}

/// The destination that needs no file.
fn integration(values: &Values, events: Vec<String>, problems: &mut Problems) -> Option<Described> {
    let auth = problems.of(values.read("integration-auth", Auth::parse));
    let ca_file = problems.of(values.read("integration-ca", parse::certificates));
    let images = problems.of(values.read("images", parse::images));
    let (url, url_auth) = problems.of(values.read("integration-url", parse::integration_url))?;
    let mut origins = Origins::new();
    let mut from = |key: &str, setting: &str| {
        if let Some((_, origin)) = values.get(setting) {
            origins.insert(key.to_owned(), origin.clone());
        }
    };
    from("url", "integration-url");
    from("events", "payload-types");
    from("tls.ca_file", "integration-ca");
    from("images", "images");
    let credentials = match (&auth, &url_auth) {
        (Some(_), _) => "integration-auth",
        _ => "integration-url",
    };
    if auth.is_some() || url_auth.is_some() {
        for key in ["type", "name", "value", "user", "password", "token"] {
            from(&format!("auth.{key}"), credentials);
        }
    }
    if auth.is_some()
        && url_auth.is_some()
        && let Some((_, origin)) = values.get("integration-auth")
    {
        problems.note(
            origin,
            "the integration URL has a user and password too: give one",
        );
    }
    let mut destination = destination::Config::new(INTEGRATION, url);
    destination.auth = auth.or(url_auth).unwrap_or(Auth::None);
    destination.tls.ca_file = ca_file;
    let (_, origin) = values.get("integration-url")?;
    let mut config = deliver::Config::new(destination, events);
    config.message.images = images.unwrap_or(Images::Embed);
    Some(Described {
        config,
        origin: origin.clone(),
        origins,
    })
}

fn refuse_duplicates(all: &[Described], problems: &mut Problems) {
    let mut taken_names: BTreeMap<&str, &Origin> = BTreeMap::new();
    let mut taken_ids: BTreeMap<&str, &Origin> = BTreeMap::new();
    for described in all.iter().filter(|described| !described.name().is_empty()) {
        let (name, id) = (described.name(), described.id());
        let at = described.origin_of("name");
        if let Some(first) = taken_names.insert(name, at) {
            problems.note(
                at,
                format!("the name `{name}` is taken ({first}); give each destination its own"),
            );
            if name == id {
                continue;
            }
        }
        let at = described.origins.get("id").unwrap_or(at);
        if let Some(first) = taken_ids.insert(id, at) {
            problems.note(
                at,
                format!("the id `{id}` is taken ({first}); give each destination its own"),
            );
        }
    }
}

fn refuse_addresses(described: &Described, problems: &mut Problems) {
    let to = &described.config.destination;
    let polled = described.config.on_closed.as_ref();
    let polled = polled.and_then(|on_closed| on_closed.poll.as_ref()?.url.fixed());
    let mut urls = vec![("url", &to.url)];
    if let Some(polled) = &polled {
        urls.push(("on_closed.poll", polled));
    }
    if let Auth::OAuth2 { token_url, .. } = &to.auth {
        urls.push(("auth.token_url", token_url));
    }
    for (key, url) in urls {
        let Some(address) = egress::refused_address(url, &to.allow_addresses) else {
            continue;
        };
        let is_table = described.origins.contains_key("name");
        let allow = if is_table {
            "add"
        } else {
            "describe it as a [[destination]] of a configuration file, with"
        };
        problems.note(
            described.origin_of(key),
            format!(
                "`{key}`: {address} is a link-local or cloud-metadata address; if that is no mistake, \
                 {allow} allow_addresses = [\"{address}\"]"
            ),
        );
    }
}
