//! What a destination sends: `body`, `step`, `append`, their pictures, settings and secrets.
//!
//! # Invariants
//! - A template that cannot be right is refused at start, with its place and what is wrong.
//! - `secrets` stand only where nothing is frozen.

use sha2::{Digest, Sha256};
use url::Url;

use super::destination::{STEP, set, success};
use super::preset::{self, Declared};
use super::reader::{Item, Table};
use super::secret;
use super::when::{self, Known};
use crate::config::parse;
use crate::config::resolve::Variables;
use crate::relay::deliver::{Form, Images, Message};
use crate::relay::destination::{Each, Method, Step, StepBody, Take, Target, header_name};
use crate::relay::transform::json::Json;
use crate::relay::transform::template::{Gapped, Template, TemplateError};
use crate::secret::Source;

/// Longer lists are no ticket.
const MOST_STEPS: usize = 20;
/// No backend takes more in one go.
const MOST_IMAGES: u64 = 200_000_000;
/// The name of the one request that `body` makes.
const SEND: &str = "send";

/// What templates may name, whatever their place.
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

/// What goes out, to this URL if it is known. `declared` is what a preset says of itself, if there
/// is one.
pub(super) fn message(
    table: &Table<'_, '_>,
    base: Option<&Url>,
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
    let mut place = Place::of(&message, base, declared);
    message.form = form(table, &place);
    if let Form::Steps(steps) = &message.form {
        let made = steps.iter().filter(|step| !step.fresh);
        let taken = made.flat_map(|step| step.take.iter().map(|(name, _)| name.as_str()));
        place.known = place.known.and("open", taken);
    }
    message.append = steps(table, "append", &place).unwrap_or_default();
    message.version = version(table);
    message
}

/// What the texts of a destination may ask for, and where its steps go.
struct Place<'a> {
    base: Option<&'a Url>,
    known: Known,
    /// The names of its secrets.
    secrets: Vec<String>,
}

impl<'a> Place<'a> {
    fn of(message: &Message, base: Option<&'a Url>, declared: Option<&Declared>) -> Self {
        // What a preset wants and is not given was said; it is no second problem.
        let mut settings = Json::clone(&message.settings);
        let wanted = declared.iter().flat_map(|declared| &declared.settings);
        let wanted = wanted.map(|setting| setting.name.clone());
        if let Json::Object(members) = &mut settings {
            for name in wanted {
                if !members.iter().any(|(known, _)| *known == name) {
                    members.push((name, Json::Null));
                }
            }
        }
        let given = message.secrets.iter().map(|(name, _)| name);
        let wanted = declared.iter().flat_map(|declared| declared.secrets.keys());
        Self {
            base,
            known: Known::with_settings(&settings),
            secrets: given.chain(wanted).cloned().collect(),
        }
    }

    fn with_secrets(&self, known: &Known) -> Known {
        known.and("secrets", self.secrets.iter().map(String::as_str))
    }
}

fn form(table: &Table<'_, '_>, place: &Place<'_>) -> Form {
    let (body, list) = (table.take("body"), table.take("step"));
    let each = table.take("for_each").and_then(|item| each(&item));
    match (body, list) {
        (Some(body), Some(_)) => {
            body.refuse("this destination has steps, too: give one of the two");
            Form::Event
        }
        (Some(body), None) => {
            let known = place.known.and_item(each);
            let Some(content) = template(&body, "body", &known) else {
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
            steps(table, "step", place).map_or(Form::Event, Form::Steps)
        }
        (None, None) => {
            if let Some(item) = table.take("for_each") {
                item.refuse("it needs a `body`");
            }
            Form::Event
        }
    }
}

fn steps(table: &Table<'_, '_>, key: &str, place: &Place<'_>) -> Option<Vec<Step>> {
    let item = table.take(key)?;
    let items = item.items(&format!("[[destination.{key}]]"))?;
    if items.len() > MOST_STEPS {
        item.refuse(format!("more than {MOST_STEPS} steps"));
        return None;
    }
    let mut steps: Vec<Step> = Vec::new();
    let mut all_good = true;
    for item in &items {
        match step(item, key, &steps, place) {
            Some(step) => {
                all_good &= checked(item, &step, &steps, place);
                steps.push(step);
            }
            None => all_good = false,
        }
    }
    all_good.then_some(steps)
}

/// Says what is wrong with a step as a whole, at the key that it is about.
fn checked(item: &Item<'_, '_>, step: &Step, earlier: &[Step], place: &Place<'_>) -> bool {
    let Some(base) = place.base else { return true };
    let problems = step.check(base, earlier);
    for problem in &problems {
        let mut here = item.named(&step.name);
        for part in problem.key.split('.') {
            let Some(member) = here.member(part) else {
                break;
            };
            here = member;
        }
        here.refuse(&problem.what);
    }
    problems.is_empty()
}

fn step(item: &Item<'_, '_>, list: &str, before: &[Step], place: &Place<'_>) -> Option<Step> {
    let item = match item.member("name").map(|item| item.value.as_str()) {
        Some(Some(name)) if parse::name(name).is_ok() => &item.named(name),
        _ => item,
    };
    let table = item.table("a table with a `name`", STEP)?;
    let name = table.require("name")?.parsed("a text", parse::name)?;
    if before.iter().any(|step| step.name == name) {
        item.refuse(format!("two steps are called `{name}`"));
        return None;
    }
    let at = format!("{list}.{name}");
    let for_each = table.take("for_each").and_then(|item| each(&item));
    let mut fresh = false;
    set(&mut fresh, &table, "fresh", Item::flag);
    let plain = place.known.and_steps(before).and_item(for_each);
    let secret = place.with_secrets(&plain);
    // Where a secret stands in what is frozen, the step itself says what is wrong with that.
    let target = match (table.take("path"), table.take("url")) {
        (Some(_), Some(url)) => {
            url.refuse("it has a `path`, too: give one of the two");
            None
        }
        (Some(path), None) => target(&path, &format!("{at}.path"), Target::path, &secret),
        (None, Some(url)) => target(&url, &format!("{at}.url"), Target::url, &secret),
        (None, None) => Target::path("path", "", &[]).ok(),
    };
    let mut step = Step::new(&name, target?);
    (step.for_each, step.fresh) = (for_each, fresh);
    set(&mut step.method, &table, "method", |item| {
        item.word(&Method::ALL)
    });
    set(&mut step.when, &table, "when", |item| {
        when::of_an_event(item, &secret).map(Some)
    });
    let headers = table.take("headers");
    let headers = headers.and_then(|item| item.free_table("a table like { slug = \"…\" }"));
    for (name, item) in headers.iter().flat_map(Table::all) {
        let header = header_name(name).map_err(|error| item.refuse(error)).ok()?;
        let value = text(&item, &format!("{at}.headers.{name}"), &secret)?;
        step.headers.push((header, value));
    }
    step.body = body(&table, &at, for_each, &secret)?;
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

fn body(
    table: &Table<'_, '_>,
    at: &str,
    for_each: Option<Each>,
    known: &Known,
) -> Option<StepBody> {
    let bodies: Vec<_> = ["body", "text", "capture"]
        .into_iter()
        .filter_map(|key| Some((key, table.take(key)?)))
        .collect();
    if let [_, (key, item), ..] = bodies.as_slice() {
        item.refuse(format!("`{key}` is a second body: give one"));
    }
    let Some((key, item)) = bodies.first() else {
        return Some(StepBody::None);
    };
    Some(match *key {
        "body" => StepBody::Json(template(item, &format!("{at}.body"), known)?),
        "text" => StepBody::Text(text(item, &format!("{at}.text"), known)?),
        _ if item.flag()? && for_each == Some(Each::Captures) => StepBody::Capture,
        _ => {
            item.refuse("write true, and for_each = \"captures\" beside it");
            return None;
        }
    })
}

fn each(item: &Item<'_, '_>) -> Option<Each> {
    item.word(&[("readings", Each::Readings), ("captures", Each::Captures)])
}

fn template(item: &Item<'_, '_>, at: &str, known: &Known) -> Option<Template> {
    let template = Template::parse(at, &item.json()?, &known.names());
    let template = template.map_err(|error| item.refuse(error)).ok()?;
    let good = known.refuse_others(item, template.names())
        & known.refuse_broken(item, |scope| template.errors(scope));
    good.then_some(template)
}

/// A text with gaps.
pub(super) fn text(item: &Item<'_, '_>, at: &str, known: &Known) -> Option<Gapped> {
    let gapped = Gapped::parse(at, item.text("a text")?, &known.names());
    let gapped = gapped.map_err(|error| item.refuse(error)).ok()?;
    let good = known.refuse_others(item, gapped.names())
        & known.refuse_broken(item, |scope| gapped.errors(scope));
    good.then_some(gapped)
}

fn target(item: &Item<'_, '_>, at: &str, read: ReadTarget, known: &Known) -> Option<Target> {
    let target = read(at, item.text("a text")?, &known.names());
    let target = target.map_err(|error| item.refuse(error)).ok()?;
    let good = known.refuse_others(item, target.names().into_iter())
        & known.refuse_broken(item, |scope| target.errors(scope));
    good.then_some(target)
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
    for name in declared.iter().flat_map(|declared| declared.secrets.keys()) {
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
