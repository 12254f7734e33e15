//! What a destination at an `mqtt://` or `mqtts://` URL has besides, and what it has not.
//!
//! # Invariants
//! - A key that would do nothing is refused, at a broker as at an HTTP server.

use super::destination::set;
use super::message::NAMES;
use super::reader::{Item, Table};
use crate::relay::deliver::{self, Form, Images};
use crate::relay::destination::{Auth, Kind, MqttConfig};
use crate::relay::transform::template::Gapped;

/// Where an inspection is published, unless the destination says otherwise.
const TOPIC: &str = "orbit-relay/{{ asset.id or 'unmapped' }}/inspection";
/// What belongs to HTTP.
const OF_HTTP: [&str; 8] = [
    "headers",
    "success",
    "sign",
    "proxy",
    "on_closed",
    "while_open",
    "step",
    "append",
];

/// Reads what a broker needs, if the URL is one's.
pub(super) fn read(table: &Table<'_, '_>, config: &mut deliver::Config) {
    let scheme = config.destination.url.scheme();
    if !matches!(scheme, "mqtt" | "mqtts") {
        for key in ["topic", "retain"] {
            if let Some(item) = table.take(key) {
                item.refuse("it belongs to a `url` that begins with mqtt:// or mqtts://");
            }
        }
        return;
    }
    for key in OF_HTTP {
        if let Some(item) = table.take(key) {
            item.refuse(
                "it belongs to HTTP: a broker has `topic`, `retain`, `body` and `for_each`",
            );
        }
    }
    if !matches!(config.destination.auth, Auth::None | Auth::Basic { .. })
        && let Some(item) = table.take("auth")
    {
        item.refuse("a broker knows `type = \"basic\"` (user and password) and \"none\"");
    }
    if config.message.images == Images::Attach
        && let Some(item) = table.take("images")
    {
        item.refuse("nothing goes beside a message: write \"link\", \"none\" or \"embed\"");
    }
    let mut names = NAMES.to_vec();
    if let Form::Steps(steps) = &config.message.form
        && steps.iter().any(|step| step.for_each.is_some())
    {
        names.push("item");
    }
    let topic = match table.take("topic") {
        Some(item) => topic(&item, &names),
        None => Gapped::parse("topic", TOPIC, &names).ok(),
    };
    let mut retain = false;
    set(&mut retain, table, "retain", Item::flag);
    if let Some(topic) = topic {
        config.destination.kind = Kind::Mqtt(MqttConfig { topic, retain });
    }
}

fn topic(item: &Item<'_, '_>, names: &[&str]) -> Option<Gapped> {
    item.parsed("a text like \"plant/{{ asset.id }}\"", |text| {
        if text.trim().is_empty() {
            return Err("the topic is empty".to_owned());
        }
        let topic = Gapped::parse("topic", text.trim(), names);
        let topic = topic.map_err(|error| error.to_string())?;
        let wild = |c: char| matches!(c, '+' | '#') || c.is_control();
        if topic.fixed().any(|fixed| fixed.contains(wild)) {
            return Err("`+`, `#` and control characters are for those who subscribe".to_owned());
        }
        Ok(topic)
    })
}
