//! The ports of a service: which are published, and who can reach them.
//!
//! # Invariants
//! - A port that cannot be known from the file is bad: Orbit's hosts block what they do not know.

use std::net::IpAddr;
use std::ops::RangeInclusive;

use super::super::archive;
use super::{Node, Service, filled};
use crate::table::Row;

/// Where Orbit's hosts let others in; they use two of these themselves.
const WEBHOOK: RangeInclusive<u16> = 21000..=22000;
const TAKEN: [u16; 2] = [21001, 21443];
/// What Orbit shows to people, behind its own HTTPS.
const WEB_VIEW: RangeInclusive<u16> = 22101..=22200;
/// So many rows of one service.
const ROWS: usize = 20;

/// What is published, and on which address.
struct Published {
    first: u16,
    last: u16,
    on: Option<IpAddr>,
}

pub(super) fn rows(service: &Service<'_>) -> Vec<Row> {
    let row = |node: &Node| match published(node) {
        Ok(published) => judge(service, &published),
        Err(what) => Row::bad(
            service.row("port"),
            what,
            "write \"21600:21600\", the port of the host and that of the container",
        ),
    };
    let ports = service.node.get("ports");
    let mut rows: Vec<_> = ports
        .into_iter()
        .flat_map(Node::items)
        .take(ROWS)
        .map(row)
        .collect();
    if rows.is_empty() {
        rows.push(Row::unknown(
            service.row("port"),
            "none is published: Orbit cannot call it",
        ));
    }
    rows
}

fn judge(service: &Service<'_>, published: &Published) -> Row {
    let Published { first, last, on } = published;
    let ports = if first == last {
        first.to_string()
    } else {
        format!("{first}-{last}")
    };
    let name = service.row(&format!("port {ports}"));
    let all = match on {
        Some(on) => on.to_string(),
        None => "all addresses".to_owned(),
    };
    let within = |range: &RangeInclusive<u16>| range.contains(first) && range.contains(last);
    if within(&WEB_VIEW) {
        return if *on == Some(IpAddr::from([127, 0, 0, 1])) {
            Row::good(name, "on 127.0.0.1: a web view, behind Orbit's HTTPS")
        } else {
            Row::bad(
                name,
                format!("a web view on {all}, around Orbit's HTTPS"),
                format!("publish it on this machine only: \"127.0.0.1:{ports}:{ports}\""),
            )
        };
    }
    if let Some(taken) = TAKEN.iter().find(|port| (*first..=*last).contains(port)) {
        return Row::bad(name, format!("{taken} is Orbit's own"), "take 21600");
    }
    if within(&WEBHOOK) {
        Row::good(name, format!("on {all}: the webhook"))
    } else {
        Row::bad(
            name,
            "is blocked by Orbit's hosts",
            "take one of 21000-22000 for the webhook, of 22101-22200 for a web view",
        )
    }
}

fn published(node: &Node) -> Result<Published, String> {
    let known = |node: &Node| {
        let text = node.text().and_then(filled);
        text.ok_or_else(|| "is left to a variable without a default".to_owned())
    };
    if !node.entries().is_empty() {
        let port = node.get("published").ok_or_else(none)?;
        let on = node.get("host_ip").map(known).transpose()?;
        return read(&known(port)?, on.as_deref());
    }
    let text = known(node)?;
    let text = text.split('/').next().unwrap_or_default();
    let (rest, _target) = text.rsplit_once(':').ok_or_else(none)?;
    match rest.rsplit_once(':') {
        Some((on, port)) => read(port, Some(on.trim_matches(['[', ']']))),
        None => read(rest, None),
    }
}

fn none() -> String {
    "has no port of the host, so that it is another at each start".to_owned()
}

fn read(ports: &str, on: Option<&str>) -> Result<Published, String> {
    let wrong = || format!("{} is no port", archive::shown(ports.as_bytes()));
    if ports.is_empty() {
        return Err(none());
    }
    let (first, last) = ports.split_once('-').unwrap_or((ports, ports));
    let port = |text: &str| {
        text.parse::<u16>()
            .ok()
            .filter(|port| *port > 0)
            .ok_or_else(wrong)
    };
    let (first, last) = (port(first)?, port(last)?);
    if first > last {
        return Err(wrong());
    }
    let address = |text: &str| {
        let shown = archive::shown(text.as_bytes());
        text.parse().map_err(|_| format!("{shown} is no address"))
    };
    let on = on.filter(|on| !on.is_empty()).map(address).transpose()?;
    let on = on.filter(|on: &IpAddr| !on.is_unspecified());
    Ok(Published { first, last, on })
}
