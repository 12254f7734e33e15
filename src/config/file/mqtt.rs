//! What a destination at an `mqtt://` or `mqtts://` URL has besides, and what it has not.
//!
//! # Invariants
//! - A key that would do nothing is refused, at a broker as at an HTTP server.

use super::destination::set;
use super::message::text;
use super::reader::{Item, Table};
use super::when::Known;
use crate::relay::deliver::{self, Form, Images};
use crate::relay::destination::{Auth, Kind, MqttConfig};
use crate::relay::transform::template::Gapped;

/// Where an inspection is published, unless the destination says otherwise.
const TOPIC: &str = "orbit-relay/{{ asset.id or 'unmapped' }}/inspection";
/// What belongs to HTTP.
const OF_HTTP: [&str; 10] = [
    "headers",
    "success",
    "sign",
    "proxy",
    "on_closed",
    "while_open",
    "step",
    "append",
    "gate",
    "answer_as",
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
    let known = Known::with_settings(&config.message.settings);
    let each = match &config.message.form {
        Form::Steps(steps) => steps.iter().find_map(|step| step.for_each),
        Form::Event => None,
    };
    let known = known.and_item(each);
    let topic = match table.take("topic") {
        Some(item) => topic(&item, &known),
        None => Gapped::parse("topic", TOPIC, &known.names()).ok(),
    };
    let mut retain = false;
    set(&mut retain, table, "retain", Item::flag);
    if let Some(topic) = topic {
        config.destination.kind = Kind::Mqtt(MqttConfig { topic, retain });
    }
}

fn topic(item: &Item<'_, '_>, known: &Known) -> Option<Gapped> {
    let topic = text(item, "topic", known)?;
    if topic.text().trim().is_empty() {
        item.refuse("the topic is empty");
        return None;
    }
    let wild = |c: char| matches!(c, '+' | '#') || c.is_control();
    if topic.fixed().any(|fixed| fixed.contains(wild)) {
        item.refuse("`+`, `#` and control characters are for those who subscribe");
        return None;
    }
    Some(topic)
}
