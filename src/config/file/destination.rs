//! One `[[destination]]`.
//!
//! # Invariants
//! - Every key is looked at, whatever is wrong with the others.
//! - What is read of a table with a problem is used for nothing but finding more problems.

use std::cell::RefCell;
use std::net::IpAddr;
use std::time::Duration;

use toml::de::DeValue;
use url::Url;

use super::auth;
use super::message;
use super::mqtt;
use super::preset::{self, Declared};
use super::reader::{Item, Origins, Table};
use super::secret;
use super::subscription;
use super::when::{self, Known};
use crate::config::describe::Described;
use crate::config::nearest;
use crate::config::parse;
use crate::config::resolve::Variables;
use crate::http::{self, Proxy};
use crate::relay::deliver::{self, OnClosed, OncePer, OrderBy, Poll, Unmapped, WhileOpen};
use crate::relay::destination::presets::Preset;
use crate::relay::destination::{self, Auth, Success, Tls};
use crate::relay::transform::address::Address;
use crate::relay::transform::json::Json;
use crate::relay::verify::standard;
use crate::retry::Plan;

/// The keys of a destination.
pub(super) const KEYS: &[&str] = &[
    "name",
    "url",
    "sources",
    "events",
    "when",
    "gate",
    "on_failure",
    "gate_limit",
    "answer_as",
    "id",
    "once_per",
    "order_by",
    "headers",
    "auth",
    "timeout",
    "max_in_flight",
    "rate_limit",
    "retry",
    "success",
    "sign",
    "tls",
    "proxy",
    "allow_addresses",
    "on_closed",
    "preset",
    "settings",
    "secrets",
    "body",
    "for_each",
    "step",
    "append",
    "drop_null",
    "images",
    "image_limit",
    "images_limit",
    "unmapped",
    "while_open",
    "enrich",
    "topic",
    "retain",
];
/// The keys of a step.
pub(super) const STEP: &[&str] = &[
    "name",
    "method",
    "path",
    "url",
    "when",
    "for_each",
    "headers",
    "body",
    "text",
    "capture",
    "content_type",
    "take",
    "success",
    "fresh",
];
/// The keys of `enrich`.
pub(super) const ENRICH: &[&str] = &["wait"];
/// The keys of `retry`.
pub(super) const RETRY: &[&str] = &["schedule", "then_every", "give_up_after", "jitter"];
/// The keys of `success`.
pub(super) const SUCCESS: &[&str] = &["status", "when"];
/// The keys of `on_closed`.
pub(super) const ON_CLOSED: &[&str] = &["poll", "poll_path", "when", "every", "secret"];
/// The keys of `tls`.
pub(super) const TLS: &[&str] = &["ca_file", "client_cert_file", "client_key_file"];

/// The action events: what a destination takes that does not say.
pub(super) const EVENTS: [&str; 2] = ["ACTION_COMPLETED", "ACTION_COMPLETED_WITH_ALERT"];

const DURATION: &str = "a duration like \"30s\"";
/// No try takes less or longer.
const TIMEOUTS: [Duration; 2] = [Duration::from_millis(100), Duration::from_mins(10)];
/// More posts at once would be no destination's good.
const MOST_IN_FLIGHT: u64 = 64;
/// Nothing is polled more or less often.
const POLLS: [Duration; 2] = [Duration::from_secs(10), Duration::from_hours(24)];
/// A longer schedule says nothing that `then_every` does not.
const LONGEST_SCHEDULE: usize = 100;

/// Reads the destination that stands at this place in the file, counted from 1. `outside` are the
/// keys of the top level.
pub(super) fn read(
    item: &Item<'_, '_>,
    number: usize,
    outside: &[&str],
    variables: &Variables<'_>,
) -> Option<Described> {
    let origins = RefCell::new(Origins::new());
    let name = match item.value {
        DeValue::Table(entries) => entries.get("name").and_then(|name| name.get_ref().as_str()),
        _ => None,
    };
    let owner = match name.map(parse::name) {
        Some(Ok(name)) => format!("[[destination]] \"{name}\""),
        _ => format!("[[destination]] number {number}"),
    };
    let table = item.owned_table(owner.clone(), &origins)?;
    table.refuse_unknown(KEYS, outside);
    let preset = table.take("preset");
    let config = match preset.as_ref().and_then(preset::find) {
        None => config(&table, None, variables),
        Some(preset) => above_preset(item, owner, preset, &origins, variables)?,
    };
    Some(Described {
        config,
        origin: item.origin(),
        origins: origins.into_inner(),
    })
}

/// The same table once more, above the preset, whose lines are shown as they are.
fn above_preset(
    item: &Item<'_, '_>,
    owner: String,
    preset: &'static Preset,
    origins: &RefCell<Origins>,
    variables: &Variables<'_>,
) -> Option<deliver::Config> {
    let document = preset::open(preset).map_err(|why| item.refuse(why)).ok()?;
    let own = RefCell::default();
    let (declared, beneath) = preset::read(&document, &own);
    let mut beneath = beneath?;
    beneath.belongs_to(owner.clone(), origins);
    let mut beneath_keys = KEYS.to_vec();
    beneath_keys.retain(|key| !["name", "id", "preset"].contains(key));
    beneath.refuse_unknown(&beneath_keys, &[]);
    let table = item.owned_table(owner, origins)?;
    // Who writes a message has written all of it.
    if ["body", "step"].iter().any(|key| table.has(key)) {
        beneath.forget(&["body", "step", "append", "for_each"]);
    }
    let mut config = config(&table.above(beneath), Some(&declared), variables);
    config.message.preset = Some(preset.name);
    for problem in document.take_problems() {
        item.refuse(problem);
    }
    Some(config)
}

fn config(
    table: &Table<'_, '_>,
    declared: Option<&Declared>,
    variables: &Variables<'_>,
) -> deliver::Config {
    let name = table
        .require("name")
        .and_then(|name| name.parsed("a text", parse::name));
    let given = table.require("url");
    let url = given.as_ref().and_then(|item| url(item, variables));
    let base = url.as_ref().map(|(url, _)| url.clone());
    let (url, url_auth) = url.unwrap_or_else(|| (nowhere(), None));
    let mut to = destination::Config::new(&name.unwrap_or_default(), url);
    to.hides_path = given.is_some_and(|item| !matches!(item.value, DeValue::String(_)));
    set(&mut to.id, table, "id", |item| {
        item.parsed("a text", parse::name)
    });
    set(&mut to.headers, table, "headers", |item| {
        auth::headers(item, variables)
    });
    to.auth = authentication(table, url_auth, variables);
    set(&mut to.sign, table, "sign", |item| {
        auth::sign(item, variables).map(Some)
    });
    set(&mut to.success, table, "success", success);
    set(&mut to.tls, table, "tls", tls);
    set(&mut to.proxy, table, "proxy", |item| {
        proxy(item, variables).map(Some)
    });
    set(&mut to.allow_addresses, table, "allow_addresses", |item| {
        let wanted = "an array of IP addresses like [\"169.254.10.20\"]";
        item.list(wanted, |text| {
            text.parse::<IpAddr>()
                .map_err(|_| format!("{} is no IP address", nearest::quoted(text)))
        })
    });
    set(&mut to.timeout, table, "timeout", |item| {
        item.parsed(DURATION, |text| match parse::duration(text)? {
            timeout if timeout < TIMEOUTS[0] || timeout > TIMEOUTS[1] => {
                Err(format!("`{text}` is not from 100ms to 10m"))
            }
            timeout => Ok(timeout),
        })
    });

    let mut config = deliver::Config::new(to, EVENTS.map(str::to_owned).to_vec());
    subscription::read(table, &mut config);
    set(&mut config.once_per, table, "once_per", |item| {
        item.word(&[
            ("event", OncePer::Event),
            ("inspection", OncePer::Inspection),
        ])
    });
    set(&mut config.order_by, table, "order_by", |item| {
        item.word(&[("none", OrderBy::None), ("asset", OrderBy::Asset)])
    });
    set(&mut config.max_in_flight, table, "max_in_flight", |item| {
        let most = item.integer(1, MOST_IN_FLIGHT)?;
        usize::try_from(most).ok()
    });
    set(&mut config.rate_limit, table, "rate_limit", |item| {
        item.parsed("a rate like \"10/s\"", parse::rate).map(Some)
    });
    set(&mut config.retry, table, "retry", retry);
    config.message = message::message(table, base.as_ref(), declared, variables);
    let known = Known::with_settings(&config.message.settings);
    set(&mut config.when, table, "when", |item| {
        when::of_an_event(item, &known).map(Some)
    });
    let (base, settings) = (config.destination.url.clone(), &config.message.settings);
    set(&mut config.on_closed, table, "on_closed", |item| {
        on_closed(item, &base, settings, variables).map(Some)
    });
    set(&mut config.unmapped, table, "unmapped", unmapped);
    set(&mut config.enrich_wait, table, "enrich", |item| {
        enrich_wait(item).map(Some)
    });
    while_open(table, &mut config);
    mqtt::read(table, &mut config);
    config
}

fn unmapped(item: &Item<'_, '_>) -> Option<Unmapped> {
    item.parsed("\"send\", \"park\" or \"default:ASSET\"", |text| {
        match (text, text.split_once(':')) {
            ("send", _) => Ok(Unmapped::Send),
            ("park", _) => Ok(Unmapped::Park),
            (_, Some(("default", asset))) if !asset.trim().is_empty() => {
                Ok(Unmapped::Default(asset.trim().to_owned()))
            }
            _ => Err(format!(
                "{} is not \"send\", \"park\" or \"default:ASSET\"",
                nearest::quoted(text)
            )),
        }
    })
}

fn enrich_wait(item: &Item<'_, '_>) -> Option<Duration> {
    let table = item.table("a table like { wait = \"2m\" }", ENRICH)?;
    let wait = table.require("wait")?;
    wait.parsed("a duration like \"2m\", or \"0s\"", parse::duration_or_none)
}

fn while_open(table: &Table<'_, '_>, config: &mut deliver::Config) {
    let Some(item) = table.take("while_open") else {
        return;
    };
    let words = [
        ("create", WhileOpen::Create),
        ("append", WhileOpen::Append),
        ("skip", WhileOpen::Skip),
    ];
    let Some(word) = item.word(&words) else {
        return;
    };
    config.while_open = word;
    if word != WhileOpen::Create && config.order_by == OrderBy::Asset {
        item.refuse("with order_by = \"asset\" two alerts could wait for each other: give one");
    }
    if word != WhileOpen::Create && config.on_closed.is_none() {
        item.refuse("without `on_closed` no ticket is ever known to be closed: give that, too");
    }
    if word == WhileOpen::Append && config.message.append.is_empty() {
        item.refuse("there is no [[destination.append]] that adds to a ticket");
    }
}

/// Reads a key, if it is there, into its place.
pub(super) fn set<'d, 'a, T>(
    slot: &mut T,
    table: &Table<'d, 'a>,
    key: &str,
    read: impl FnOnce(&Item<'d, 'a>) -> Option<T>,
) {
    if let Some(value) = table.take(key).and_then(|item| read(&item)) {
        *slot = value;
    }
}

/// The URL of a destination whose own one has a problem.
fn nowhere() -> Url {
    Url::parse("http://nowhere.invalid/").expect("this text is a URL")
}

/// Where events go, and the credentials that stood in the URL. It may be given like a secret,
/// since some systems know their callers by nothing but the URL.
fn url(item: &Item<'_, '_>, variables: &Variables<'_>) -> Option<(Url, Option<Auth>)> {
    let source = secret::source(item, variables, secret::ANYTHING)?;
    let text = source.current().ok()?;
    let url = parse::destination_url(text.expose());
    url.map_err(|error| item.refuse(error)).ok()
}

fn authentication(
    table: &Table<'_, '_>,
    from_url: Option<Auth>,
    variables: &Variables<'_>,
) -> Auth {
    let headers = table.take("headers");
    let headers = headers.filter(|headers| matches!(headers.value, DeValue::Table(_)));
    let authorization = headers.and_then(|headers| {
        let headers = headers.free_table("a table")?;
        let mut all = headers.all();
        all.find(|(name, _)| name.eq_ignore_ascii_case("authorization"))
    });
    let given = table.take("auth");
    if let Some((_, header)) = authorization
        && (given.is_some() || from_url.is_some())
    {
        header.refuse("this destination has other credentials too; give one");
    }
    match (given, from_url) {
        (Some(item), from_url) => {
            if from_url.is_some() {
                item.refuse("the URL has a user and password too; give one");
            }
            auth::auth(&item, variables).unwrap_or(Auth::None)
        }
        (None, Some(from_url)) => {
            for key in ["auth.type", "auth.user", "auth.password"] {
                table.comes_with(key, "url");
            }
            from_url
        }
        (None, None) => Auth::None,
    }
}

pub(super) fn success(item: &Item<'_, '_>) -> Option<Success> {
    let table = item.table("a table like { status = [200, 202] }", SUCCESS)?;
    let mut success = Success::default();
    set(&mut success.status, &table, "status", |item| {
        let items = item.items("an array of statuses like [200, 202]")?;
        let statuses: Vec<_> = items.iter().map(status).collect();
        statuses.into_iter().collect::<Option<Vec<_>>>().map(Some)
    });
    set(&mut success.when, &table, "when", |item| {
        when::of_an_answer(item).map(Some)
    });
    Some(success)
}

fn status(item: &Item<'_, '_>) -> Option<u16> {
    let status = u16::try_from(item.integer(200, 599)?).ok()?;
    if (300..400).contains(&status) {
        item.refuse(format!("`{status}`: a redirect is never a success"));
        return None;
    }
    Some(status)
}

fn retry(item: &Item<'_, '_>) -> Option<Plan> {
    let table = item.table("a table like { then_every = \"30m\" }", RETRY)?;
    let mut plan = Plan::default();
    set(&mut plan.schedule, &table, "schedule", |item| {
        let schedule = item.list(
            "an array of durations like [\"0s\", \"30s\"]",
            parse::duration_or_none,
        )?;
        if schedule.len() > LONGEST_SCHEDULE {
            item.refuse(format!("more than {LONGEST_SCHEDULE} waits"));
            return None;
        }
        Some(schedule)
    });
    set(&mut plan.then_every, &table, "then_every", |item| {
        item.parsed(DURATION, parse::duration)
    });
    set(&mut plan.give_up_after, &table, "give_up_after", |item| {
        item.parsed("a duration like \"75h\", or \"never\"", |text| match text {
            "never" => Ok(None),
            text => parse::duration(text)
                .map(Some)
                .map_err(|error| format!("{error}, nor \"never\"")),
        })
    });
    set(&mut plan.jitter, &table, "jitter", Item::fraction);
    Some(plan)
}

/// How it becomes known that an order is closed.
fn on_closed(
    item: &Item<'_, '_>,
    base: &Url,
    settings: &Json,
    variables: &Variables<'_>,
) -> Option<OnClosed> {
    let wanted = "a table like { poll = \"https://…/{{ answer.id }}\", when = … }";
    let table = item.table(wanted, ON_CLOSED)?;
    let secret = table.take("secret");
    let secret = secret.map(|item| secret::source(&item, variables, standard::check_secret));
    let url = match (table.take("poll"), table.take("poll_path")) {
        (Some(_), Some(path)) => {
            path.refuse("there is a `poll`, too: give one of the two");
            None
        }
        (Some(poll), None) => {
            Some(poll.parsed("a URL", |url| Address::with_settings(url, settings)))
        }
        (None, path) => path.map(|item| {
            item.parsed("a path like \"/orders/{{ answer.id }}\"", |path| {
                let base = base.as_str().split(['?', '#']).next().unwrap_or_default();
                let slash = if path.starts_with('/') { "" } else { "/" };
                let url = format!("{}{slash}{path}", base.trim_end_matches('/'));
                Address::with_settings(&url, settings)
            })
        }),
    };
    let when = table.take("when").map(|item| when::of_an_answer(&item));
    let mut every = Poll::EVERY;
    set(&mut every, &table, "every", |item| {
        item.parsed("a duration like \"5m\"", |text| {
            match parse::duration(text)? {
                every if every < POLLS[0] || every > POLLS[1] => {
                    Err(format!("`{text}` is not from 10s to 24h"))
                }
                every => Ok(every),
            }
        })
    });
    let lacks = |what: &str| {
        table.refuse(format!("{} {what}", table.words()));
        None
    };
    let poll = match (url, when) {
        (Some(url), Some(when)) => Some(Poll {
            url: url?,
            when: when?,
            every,
        }),
        (Some(_), None) => return lacks("has a `poll` and no `when`: which orders are closed?"),
        (None, Some(_)) => return lacks("has a `when` and no `poll`"),
        (None, None) if table.take("every").is_some() => {
            return lacks("has an `every` and no `poll`");
        }
        (None, None) => None,
    };
    match (poll, secret) {
        (None, None) => lacks("needs `poll` and `when`, or `secret`, or all of them"),
        (poll, None) => Some(OnClosed { poll, secret: None }),
        (poll, Some(secret)) => Some(OnClosed {
            poll,
            secret: Some(secret?),
        }),
    }
}

fn tls(item: &Item<'_, '_>) -> Option<Tls> {
    let table = item.table("a table like { ca_file = \"PATH\" }", TLS)?;
    let mut tls = Tls::default();
    let path = |item: &Item<'_, '_>| {
        let path = item.parsed("the path of a PEM file", parse::filled)?;
        Some(item.document.path(&path))
    };
    set(&mut tls.ca_file, &table, "ca_file", |item| {
        let beside = |path: &str| item.document.path(path).display().to_string();
        item.parsed("the path of a PEM file", |path| {
            parse::certificates(&beside(path))
        })
        .map(Some)
    });
    set(
        &mut tls.client_cert_file,
        &table,
        "client_cert_file",
        |item| path(item).map(Some),
    );
    set(
        &mut tls.client_key_file,
        &table,
        "client_key_file",
        |item| path(item).map(Some),
    );
    match (&tls.client_cert_file, &tls.client_key_file) {
        (None, Some(_)) if table.take("client_cert_file").is_none() => table.refuse(format!(
            "{} has a `client_key_file` and no `client_cert_file`",
            table.words()
        )),
        (Some(certificate), key) => {
            if let Err(error) = http::read_client_certificate(certificate, key.as_deref()) {
                item.refuse(error);
            }
        }
        _ => {}
    }
    Some(tls)
}

/// What posts go through; `none` is written so that the environment's is not taken.
fn proxy(item: &Item<'_, '_>, variables: &Variables<'_>) -> Option<Proxy> {
    let source = secret::source(item, variables, secret::ANYTHING)?;
    let text = source.current().ok()?;
    if text.expose() == "none" {
        return None;
    }
    let url = parse::proxy(text.expose())
        .map_err(|error| item.refuse(error))
        .ok()?;
    let except = String::new();
    Some(Proxy { url, except })
}
