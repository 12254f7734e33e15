//! `send`: one request as a source makes it, signed, to this relay or to any other URL.
//!
//! # Invariants
//! - No secret is shown. No redirect is followed. It ends within [`PATIENCE`].
//! - A certificate goes unjudged only on loopback, where nobody else is.

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::{Arg, ArgMatches, Command, value_parser};
use jiff::Timestamp;
use url::{Host, Url};
use uuid::Uuid;

use super::args::settings;
use super::health::reachable;
use super::sender::{Sender, not_an_event};
use super::verify::wants;
use super::{FAILED, Outcome, Usage, complain, print, runtime, template};
use crate::clock::{Clock, until};
use crate::config::{Config, Input};
use crate::http::{self, Answered, Client, Trust};
use crate::orbit::sample;
use crate::relay::destination::Secrets;
use crate::relay::verify::Headers;
use crate::relay::verify::scheme::{Draft, Verified};

/// For the whole exchange.
const PATIENCE: Duration = Duration::from_secs(30);
/// So much of an answer is shown, in bytes.
const SHOWN: usize = 64 * 1024;

/// One request that is ready to go.
struct Prepared {
    url: Url,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

pub(super) fn command() -> Command {
    let one = |name: &'static str, value: &'static str, help: &'static str| {
        Arg::new(name).long(name).value_name(value).help(help)
    };
    Command::new("send")
        .about(
            "Make and sign a request as a source does, send it, and show it with its answer; exit 0 \
             only for a 2xx",
        )
        .args([
            one("source", "NAME", "As this one: orbit, or a source of the configuration")
                .required(true),
            one("event", "TYPE", "The event's type").required(true),
            one("payload", "FILE", "This body, byte for byte, instead of one that is made up")
                .value_parser(value_parser!(PathBuf)),
            one("url", "URL", "To this URL instead of the source's path at this relay"),
        ])
        .args(settings())
}

pub(super) fn run(input: &Input, matches: &ArgMatches) -> Outcome {
    let text = |name| matches.get_one::<String>(name).map(String::as_str);
    let config = Config::load(input)?;
    let sender = Sender::find(&config, text("source").unwrap_or_default())?;
    let url = match text("url") {
        Some(url) => given(url)?,
        None => own(&config, &sender)?,
    };
    let now = Clock::system().wall();
    let event_type = text("event").unwrap_or_default();
    let payload = matches.get_one::<PathBuf>("payload");
    let prepared = prepare(&sender, event_type, payload.map(PathBuf::as_path), url, now)?;
    if let Some(note) = note(&sender, &prepared, event_type, now) {
        complain(&format!("note: {note}"));
    }
    let secrets = secrets(&sender, &prepared.url);
    for line in lines(&prepared, &secrets) {
        print(&line)?;
    }
    let client = client(&prepared.url)?;
    let Prepared { url, headers, body } = prepared;
    let to = shown(&url, &secrets);
    let (answered, took) = runtime()?.block_on(async {
        let clock = Clock::system();
        let began = clock.steady();
        let answered = client.post(url, &headers, body, SHOWN).await;
        (answered, until(began, clock.steady()))
    });
    let answered = answered.map_err(|error| {
        let error = secrets.blot(&error.to_string(), true, SHOWN);
        anyhow::anyhow!("{to} gave no answer: {error}")
    })?;
    for line in answer(&answered, took, &secrets) {
        print(&line)?;
    }
    Ok(if answered.is_success() {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(FAILED)
    })
}

/// Any other URL.
fn given(text: &str) -> Result<Url, Usage> {
    let refuse = |why: &str| Usage(format!("--url: {why}"));
    let url = Url::parse(text).map_err(|error| refuse(&error.to_string()))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(refuse("write http://… or https://…"));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(refuse(
            "user and password have no place there: the source's scheme says what is shown",
        ));
    }
    Ok(url)
}

/// Where this relay takes what the source sends, from its own machine.
fn own(config: &Config, sender: &Sender<'_>) -> Result<Url, Usage> {
    let at = reachable(config.listen);
    if at.port() == 0 {
        return Err(Usage(
            "the webhook port is 0, so the system chose it when the relay started: say where with \
             --url"
                .to_owned(),
        ));
    }
    let scheme = if config.tls.is_some() {
        "https"
    } else {
        "http"
    };
    let text = format!("{scheme}://{at}{}", sender.path());
    Url::parse(&text).map_err(|error| Usage(format!("{text}: {error}")))
}

fn prepare(
    sender: &Sender<'_>,
    event_type: &str,
    payload: Option<&Path>,
    url: Url,
    now: Timestamp,
) -> anyhow::Result<Prepared> {
    let mut chance = [0; 16];
    getrandom::fill(&mut chance)
        .map_err(|_| anyhow::anyhow!("the system gives no random numbers"))?;
    let chance = u128::from_be_bytes(chance);
    let id = Uuid::new_v5(&Uuid::from_u128(chance), b"event").to_string();
    let body = match (payload, sender.scheme()) {
        (Some(path), _) => {
            let read = template::file(path)?;
            read.ok_or_else(|| Usage(format!("--payload: there is no file {}", path.display())))?
        }
        (None, Some(scheme)) => scheme.sample(&id, event_type, now).into_bytes(),
        (None, None) => sample::sample(event_type, chance, now)
            .ok_or_else(|| {
                let types = sample::TYPES.join(", ");
                Usage(format!(
                    "Orbit sends {types}: for `{event_type}` give a body with --payload FILE"
                ))
            })?
            .into_bytes(),
    };
    let draft = Draft {
        id: &id,
        event_type,
        at: now,
        body: &body,
    };
    let signed = sender.sign(&draft)?;
    let has_content_type = signed
        .iter()
        .any(|(name, _)| name.eq_ignore_ascii_case("content-type"));
    let content_type = ("Content-Type".to_owned(), "application/json".to_owned());
    let headers = (!has_content_type).then_some(content_type).into_iter();
    Ok(Prepared {
        url,
        headers: headers.chain(signed).collect(),
        body,
    })
}

/// What this relay would make of it that the person may not expect.
fn note(
    sender: &Sender<'_>,
    prepared: &Prepared,
    event_type: &str,
    now: Timestamp,
) -> Option<String> {
    let headers = prepared.headers.iter();
    let headers = headers.map(|(name, value)| (&**name, value.as_bytes()));
    let headers = Headers(headers.collect());
    let (body, secrets) = (&prepared.body, sender.plain_secrets());
    match sender.verify(&headers, body, &secrets, now, sender.max_age()) {
        Err(refusal) => Some(format!("this relay would refuse it: {}", refusal.explain())),
        Ok(verified) if verified.reply.is_some() => {
            Some("it brings no event: it is answered, and not kept".to_owned())
        }
        Ok(verified) => match not_an_event(sender, body) {
            Some(why) => Some(format!("it is no event: {why}")),
            None => of_event(sender, &verified, body, event_type, now),
        },
    }
}

/// The same of an event: what is not wanted says so by a 200 too.
fn of_event(
    sender: &Sender<'_>,
    verified: &Verified,
    body: &[u8],
    event_type: &str,
    now: Timestamp,
) -> Option<String> {
    let other = (verified.event_type != event_type).then(|| {
        format!(
            "the event's type is {:?}, by what stands in the body, and not {event_type:?}",
            verified.event_type
        )
    });
    let source = sender.configured();
    let unwanted = source.and_then(|source| wants(source, verified, body, now).err());
    let both: Vec<_> = other.into_iter().chain(unwanted).collect();
    (!both.is_empty()).then(|| both.join("; "))
}

/// What may not be shown.
fn secrets(sender: &Sender<'_>, url: &Url) -> Secrets {
    let mut secrets = Secrets::default();
    for known in &sender.secrets {
        let text = known.secret.expose();
        secrets.add(text);
        // A basic credential is `user:password`.
        if let Some((_, password)) = text.split_once(':') {
            secrets.add(password);
        }
    }
    secrets.add_url(url);
    secrets
}

fn shown(url: &Url, secrets: &Secrets) -> String {
    secrets.blot(url.as_str(), true, SHOWN)
}

/// The request as it is shown.
fn lines(prepared: &Prepared, secrets: &Secrets) -> Vec<String> {
    let blotted = |text: &str| secrets.blot(text, true, usize::MAX);
    let mut lines = vec![format!("POST {}", shown(&prepared.url, secrets))];
    let headers = prepared.headers.iter();
    lines.extend(headers.map(|(name, value)| format!("{name}: {}", blotted(value))));
    lines.push(String::new());
    lines.push(blotted(&String::from_utf8_lossy(&prepared.body)));
    lines.push(String::new());
    lines
}

/// The answer as it is shown.
fn answer(answered: &Answered, took: Duration, secrets: &Secrets) -> Vec<String> {
    let Answered {
        status,
        called,
        body,
        cut,
    } = answered;
    let took_ms = took.as_millis();
    let mut lines = vec![format!("answered {status} {called} in {took_ms} ms")];
    if !body.is_empty() {
        lines.push(secrets.blot(&String::from_utf8_lossy(body), !cut, SHOWN));
    }
    if *cut {
        lines.push("… and more".to_owned());
    }
    lines
}

fn client(url: &Url) -> anyhow::Result<Client> {
    let address = match url.host() {
        Some(Host::Ipv4(address)) => Some(IpAddr::V4(address)),
        Some(Host::Ipv6(address)) => Some(IpAddr::V6(address)),
        Some(Host::Domain(_)) | None => None,
    };
    let trust = if address.is_some_and(|address| address.is_loopback()) {
        Trust::Anything
    } else {
        Trust::Authorities(Vec::new())
    };
    Ok(Client::build(&http::Config {
        trust,
        certificate: None,
        timeout: PATIENCE,
    })?)
}
