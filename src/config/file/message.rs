//! What a destination sends: `body`, `step`, `append`, their pictures, settings and secrets.
//!
//! # Invariants
//! - A template that cannot be right is refused at start, with its place and what is wrong.
//! - `secrets` stand only where nothing is frozen.

use sha2::{Digest, Sha256};

use super::destination::{STEP, set, success};
use super::preset::{self, Declared};
use super::reader::{Item, Table};
use super::secret;
use super::when;
use crate::config::parse;
use crate::config::resolve::Variables;
use crate::relay::deliver::{Form, Images, Message};
use crate::relay::destination::{Each, Method, Step, StepBody, Take, Target, header_name};
use crate::relay::transform::template::{Gapped, Template, TemplateError};
use crate::secret::Source;

/// Longer lists are no ticket.
const MOST_STEPS: usize = 20;
/// No backend takes more in one go.
const MOST_IMAGES: u64 = 200_000_000;
/// The name of the one request that `body` makes.
const SEND: &str = "send";

/// What templates may name.
pub(super) const NAMES: [&str; 11] = [
    "event",
    "inspection",
    "readings",
    "captures",
    "asset",
    "assets",
    "key",
    "short_key",
    "orbit_link",
    "delivery",
    "settings",
];

type ReadTarget = fn(&str, &str, &[&str]) -> Result<Target, TemplateError>;

/// What goes out. `presets` are the keys' defaults of a preset, if there is one.
pub(super) fn message(
    table: &Table<'_, '_>,
    declared: Option<&Declared>,
    variables: &Variables<'_>,
) -> Message {
    let mut message = Message {
        settings: preset::given(table, declared).into(),
        secrets: secrets(table, declared, variables),
        // A template says itself what of a picture it shows.
        images: Images::Link,
        ..Message::default()
    };
    set(&mut message.images, table, "images", |item| {
        item.word(&parse::IMAGES)
    });
    for (key, slot) in [
        ("image_limit", &mut message.image_limit),
        ("images_limit", &mut message.images_limit),
    ] {
        set(slot, table, key, |item| {
            item.parsed("a size like \"5MB\"", |text| match parse::size(text)? {
                size if size > MOST_IMAGES => Err(format!("`{text}` is more than 200MB")),
                size => Ok(size),
            })
        });
    }
    if message.image_limit > message.images_limit
        && let Some(item) = table.take("image_limit")
    {
        item.refuse("one picture may be larger than all of an event (`images_limit`)");
    }
    set(&mut message.drop_null, table, "drop_null", Item::flag);
    message.form = form(table);
    message.append = steps(table, "append").unwrap_or_default();
    message.version = version(table);
    message
}

fn form(table: &Table<'_, '_>) -> Form {
    let (body, list) = (table.take("body"), table.take("step"));
    let each = table.take("for_each").and_then(|item| each(&item));
    match (body, list) {
        (Some(body), Some(_)) => {
            body.refuse("this destination has steps, too: give one of the two");
            Form::Event
        }
        (Some(body), None) => {
            let Some(content) = template(&body, "body", &names(&[], each.is_some())) else {
                return Form::Event;
            };
            let here = Target::path("url", "", &[]);
            let Ok(here) = here.map_err(|error| body.refuse(error)) else {
                return Form::Event;
            };
            let mut step = Step::new(SEND, here);
            step.for_each = each;
            step.body = StepBody::Json(content);
            Form::Steps(vec![step])
        }
        (None, Some(_)) => {
            if let Some(item) = table.take("for_each") {
                item.refuse("it belongs to a `body`, or into one of the steps");
            }
            steps(table, "step").map_or(Form::Event, Form::Steps)
        }
        (None, None) => {
            if let Some(item) = table.take("for_each") {
                item.refuse("it needs a `body`");
            }
            Form::Event
        }
    }
}

fn steps(table: &Table<'_, '_>, key: &str) -> Option<Vec<Step>> {
    let item = table.take(key)?;
    let items = item.items(&format!("[[destination.{key}]]"))?;
    if items.len() > MOST_STEPS {
        item.refuse(format!("more than {MOST_STEPS} steps"));
        return None;
    }
    let mut steps: Vec<Step> = Vec::new();
    let mut all_good = true;
    for item in &items {
        let before: Vec<_> = steps.iter().map(|step| step.name.clone()).collect();
        match step(item, key, &before) {
            Some(step) => steps.push(step),
            None => all_good = false,
        }
    }
    all_good.then_some(steps)
}

fn step(item: &Item<'_, '_>, list: &str, before: &[String]) -> Option<Step> {
    let table = item.table("a table with a `name`", STEP)?;
    let name = table.require("name")?.parsed("a text", parse::name)?;
    if before.contains(&name) {
        item.refuse(format!("two steps are called `{name}`"));
        return None;
    }
    let place = format!("{list}.{name}");
    let for_each = table.take("for_each").and_then(|item| each(&item));
    let mut fresh = false;
    set(&mut fresh, &table, "fresh", Item::flag);
    let mut extra = vec!["steps"];
    if list == "append" {
        extra.push("open");
    }
    let plain = names(&extra, for_each.is_some());
    extra.push("secrets");
    let secret = names(&extra, for_each.is_some());
    let frozen = if fresh { &secret } else { &plain };
    let text = |item: &Item<'_, '_>, at: &str, names: &[&str]| {
        let text = item.text("a text")?;
        let gapped = Gapped::parse(&format!("{place}.{at}"), text, names);
        gapped.map_err(|error| item.refuse(error)).ok()
    };
    let target = |item: &Item<'_, '_>, at: &str, read: ReadTarget| {
        let target = read(&format!("{place}.{at}"), item.text("a text")?, frozen);
        target.map_err(|error| item.refuse(error)).ok()
    };
    let target = match (table.take("path"), table.take("url")) {
        (Some(_), Some(url)) => {
            url.refuse("it has a `path`, too: give one of the two");
            None
        }
        (Some(path), None) => target(&path, "path", Target::path),
        (None, Some(url)) => target(&url, "url", Target::url),
        (None, None) => Target::path("path", "", &[]).ok(),
    };
    let mut step = Step::new(&name, target?);
    (step.for_each, step.fresh) = (for_each, fresh);
    set(&mut step.method, &table, "method", |item| {
        item.word(&Method::ALL)
    });
    set(&mut step.when, &table, "when", |item| {
        when::of_a_step(item, frozen).map(Some)
    });
    let headers = table.take("headers");
    let headers = headers.and_then(|item| item.free_table("a table like { slug = \"…\" }"));
    for (name, item) in headers.iter().flat_map(Table::all) {
        let header = header_name(name).map_err(|error| item.refuse(error)).ok()?;
        step.headers
            .push((header, text(&item, &format!("headers.{name}"), &secret)?));
    }
    let bodies: Vec<_> = ["body", "text", "capture"]
        .into_iter()
        .filter_map(|key| Some((key, table.take(key)?)))
        .collect();
    if let [_, (key, item), ..] = bodies.as_slice() {
        item.refuse(format!("`{key}` is a second body: give one"));
    }
    if let Some((key, item)) = bodies.first() {
        step.body = match *key {
            "body" => StepBody::Json(template(item, &format!("{place}.body"), frozen)?),
            "text" => StepBody::Text(text(item, "text", frozen)?),
            _ if item.flag()? && step.for_each == Some(Each::Captures) => StepBody::Capture,
            _ => {
                item.refuse("it is true, and the step has for_each = \"captures\"");
                return None;
            }
        };
    }
    set(&mut step.content_type, &table, "content_type", |item| {
        item.parsed("a media type like \"text/plain\"", parse::filled)
            .map(Some)
    });
    set(&mut step.success, &table, "success", |item| {
        success(item).map(Some)
    });
    let takes = table.take("take");
    let takes = takes.and_then(|item| item.free_table("a table like { id = \"json:/id\" }"));
    for (name, item) in takes.iter().flat_map(Table::all) {
        step.take.push((
            name.to_owned(),
            item.parsed("a text like \"json:/id\"", Take::parse)?,
        ));
    }
    Some(step)
}

fn names(extra: &[&'static str], with_item: bool) -> Vec<&'static str> {
    let item = with_item.then_some("item");
    NAMES
        .into_iter()
        .chain(extra.iter().copied())
        .chain(item)
        .collect()
}

fn each(item: &Item<'_, '_>) -> Option<Each> {
    item.word(&[("readings", Each::Readings), ("captures", Each::Captures)])
}

fn template(item: &Item<'_, '_>, at: &str, names: &[&str]) -> Option<Template> {
    let template = Template::parse(at, &item.json()?, names);
    template.map_err(|error| item.refuse(error)).ok()
}

fn secrets(
    table: &Table<'_, '_>,
    declared: Option<&Declared>,
    variables: &Variables<'_>,
) -> Vec<(String, Source)> {
    let item = table.take("secrets");
    let given = item.as_ref().and_then(|item| item.free_table("a table"));
    let mut secrets = Vec::new();
    let mut named = Vec::new();
    for (name, item) in given.iter().flat_map(Table::all) {
        named.push(name);
        if let Some(source) = secret::source(&item, variables, secret::ANYTHING) {
            secrets.push((name.to_owned(), source));
        }
    }
    for name in declared.iter().flat_map(|declared| &declared.secrets) {
        if !named.contains(&name.as_str()) {
            table.refuse(format!(
                "{} needs the secret `{name}`: secrets = {{ {name} = {{ env = \"…\" }} }}",
                table.words()
            ));
        }
    }
    secrets
}

/// What tells a template from an earlier one: the first half of a hash of all that it is made of.
fn version(table: &Table<'_, '_>) -> Option<String> {
    let mut hash = Sha256::new();
    let mut any = false;
    for key in [
        "body",
        "step",
        "append",
        "for_each",
        "drop_null",
        "settings",
        "images",
    ] {
        let Some(json) = table.take(key).and_then(|item| item.json()) else {
            continue;
        };
        any |= matches!(key, "body" | "step");
        hash.update(format!("{key}={json}\n"));
    }
    any.then(|| hex::encode(hash.finalize()).chars().take(12).collect())
}
