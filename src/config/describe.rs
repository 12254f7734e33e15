//! A destination as `config check` shows it: every key, its effective value, and where it came
//! from.
//!
//! # Invariants
//! - What is shown is read from what is used, not from what was written.
//! - A secret is `***`; a URL has no user, password or query, and no path if it came like a secret.

use std::time::Duration;

use super::file::Origins;
use super::parse::{IMAGES, shown_url};
use super::problem::Origin;
use super::resolve::Shown;
use crate::event::{Glob, NOTICE, RELAY, Takes};
use crate::relay::deliver::{
    self, Form, OnClosed, OnFailure, OncePer, OrderBy, Poll, Unmapped, WhileOpen,
};
use crate::relay::destination::{Algorithm, Auth, Encoding, Kind, Sign, Step};
use crate::relay::transform::expression::Expression;
use crate::relay::transform::json::Json;

/// A destination, and where its keys came from.
#[derive(Clone, Debug)]
pub(super) struct Described {
    pub(super) config: deliver::Config,
    /// Where it stands as a whole.
    pub(super) origin: Origin,
    /// Where each key that was given came from; the others have their default.
    pub(super) origins: Origins,
}

/// A destination as it is shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShownDestination {
    /// Its name.
    pub name: String,
    /// Its keys with their effective values.
    pub keys: Vec<Shown>,
}

/// What stands for a secret.
pub(super) const SECRET: &str = "***";

impl Described {
    pub(super) fn name(&self) -> &str {
        &self.config.destination.name
    }

    pub(super) fn id(&self) -> &str {
        &self.config.destination.id
    }

    /// Where this key came from, or else the destination.
    pub(super) fn origin_of(&self, key: &str) -> &Origin {
        self.origins.get(key).unwrap_or(&self.origin)
    }

    pub(super) fn show(&self) -> ShownDestination {
        let mut keys = Keys::new(&self.origins);
        keys.of(&self.config);
        ShownDestination {
            name: self.name().to_owned(),
            keys: keys.shown,
        }
    }
}

/// Keys as they are shown.
pub(super) struct Keys<'a> {
    origins: &'a Origins,
    pub(super) shown: Vec<Shown>,
}

impl<'a> Keys<'a> {
    pub(super) fn new(origins: &'a Origins) -> Self {
        let shown = Vec::new();
        Self { origins, shown }
    }

    fn of(&mut self, config: &deliver::Config) {
        let to = &config.destination;
        self.add("name", &to.name);
        self.add("id", &to.id);
        let hidden = self.origins.get("url").and_then(Origin::holder).is_some();
        let url = if hidden {
            format!("{}/{SECRET}", to.url.origin().ascii_serialization())
        } else {
            shown_url(to.url.as_str())
        };
        self.add("url", url);
        if let Kind::Mqtt(mqtt) = &to.kind {
            self.add("topic", mqtt.topic.text());
            self.add("retain", mqtt.retain.to_string());
        }
        self.takes(config);
        self.optional("when", config.when.as_ref().map(Expression::text));
        self.gate(config);
        self.add(
            "once_per",
            match config.once_per {
                OncePer::Event => "event",
                OncePer::Inspection => "inspection",
            },
        );
        self.add(
            "order_by",
            match config.order_by {
                OrderBy::None => "none",
                OrderBy::Asset => "asset",
            },
        );
        self.headers();
        self.auth(&to.auth);
        self.add("timeout", duration(to.timeout));
        self.add("max_in_flight", config.max_in_flight.to_string());
        let rate = config.rate_limit.map(|rate| {
            let unit = match rate.per.as_secs() {
                3600 => "h",
                60 => "m",
                _ => "s",
            };
            format!("{}/{unit}", rate.count)
        });
        self.optional("rate_limit", rate.as_deref());
        let retry = &config.retry;
        let schedule: Vec<_> = retry.schedule.iter().copied().map(duration).collect();
        self.add("retry.schedule", schedule.join(", "));
        self.add("retry.then_every", duration(retry.then_every));
        let give_up = retry.give_up_after.map(duration);
        self.add("retry.give_up_after", give_up.as_deref().unwrap_or("never"));
        self.add("retry.jitter", retry.jitter.to_string());
        let statuses = to.success.status.as_ref().map(|statuses| {
            let statuses: Vec<_> = statuses.iter().map(ToString::to_string).collect();
            statuses.join(", ")
        });
        self.add("success.status", statuses.as_deref().unwrap_or("every 2xx"));
        self.optional(
            "success.when",
            to.success.when.as_ref().map(Expression::text),
        );
        self.sign(to.sign.as_ref());
        for (key, path) in [
            ("tls.ca_file", &to.tls.ca_file),
            ("tls.client_cert_file", &to.tls.client_cert_file),
            ("tls.client_key_file", &to.tls.client_key_file),
        ] {
            let path = path.as_ref().map(|path| path.display().to_string());
            self.optional(key, path.as_deref());
        }
        let proxy = to.proxy.as_ref().map(|proxy| {
            let url = shown_url(proxy.url.as_str());
            if proxy.except.is_empty() {
                url
            } else {
                format!("{url} except for {}", proxy.except)
            }
        });
        self.add("proxy", proxy.as_deref().unwrap_or("none"));
        self.message(config);
        self.on_closed(config.on_closed.as_ref());
        let allowed: Vec<_> = to.allow_addresses.iter().map(ToString::to_string).collect();
        self.optional(
            "allow_addresses",
            Some(allowed.join(", ").as_str()).filter(|text| !text.is_empty()),
        );
    }

    fn takes(&mut self, config: &deliver::Config) {
        // What `notify` brings is no key of the destination.
        let notice = Takes::new(RELAY, [NOTICE]);
        let mut takes: Vec<_> = config.takes.iter().collect();
        if takes.len() > 1 {
            takes.retain(|takes| **takes != notice);
        }
        let types = |takes: &Takes| {
            let types: Vec<_> = takes.types.iter().map(Glob::text).collect();
            types.join(", ")
        };
        let sources: Vec<_> = takes.iter().map(|takes| takes.source.as_str()).collect();
        self.add("sources", sources.join(", "));
        let same = takes.windows(2).all(|two| match two {
            [one, other] => one.types == other.types,
            _ => true,
        });
        let events: Vec<_> = if same {
            takes.iter().take(1).map(|takes| types(takes)).collect()
        } else {
            let each = takes.iter();
            each.map(|takes| format!("{} of {}", types(takes), takes.source))
                .collect()
        };
        self.add("events", events.join("; "));
    }

    fn gate(&mut self, config: &deliver::Config) {
        let gate = config.gate;
        self.add("gate", gate.is_some().to_string());
        let on_failure = gate.map(|gate| match gate.on_failure {
            OnFailure::Pass => "pass",
            OnFailure::Hold => "hold",
        });
        self.optional("on_failure", on_failure);
        let limit = gate.map(|gate| duration(gate.limit));
        self.optional("gate_limit", limit.as_deref());
        self.optional("answer_as", config.answer_as_event.then_some("event"));
    }

    fn message(&mut self, config: &deliver::Config) {
        let message = &config.message;
        if let Some(preset) = &config.message.preset {
            self.add("preset", *preset);
        }
        let form = match &message.form {
            Form::Event => "the event as it came, with `relay`".to_owned(),
            Form::Steps(steps) => steps.iter().map(shown_step).collect::<Vec<_>>().join(", "),
        };
        self.add("sends", form);
        if !message.append.is_empty() {
            let steps: Vec<_> = message.append.iter().map(shown_step).collect();
            self.add("append", steps.join(", "));
        }
        self.optional("template", message.version.as_deref());
        if let Json::Object(settings) = &*message.settings {
            for (name, value) in settings {
                let text = value
                    .as_str()
                    .map_or_else(|| value.to_string(), str::to_owned);
                self.add(&format!("settings.{name}"), text);
            }
        }
        for (name, _) in &message.secrets {
            self.add(&format!("secrets.{name}"), SECRET);
        }
        let images = IMAGES.iter().find(|(_, images)| *images == message.images);
        self.add("images", images.map_or("", |(word, _)| word));
        self.add("image_limit", format!("{} bytes", message.image_limit));
        self.add("images_limit", format!("{} bytes", message.images_limit));
        self.add("drop_null", message.drop_null.to_string());
        let unmapped = match &config.unmapped {
            Unmapped::Send => "send".to_owned(),
            Unmapped::Park => "park".to_owned(),
            Unmapped::Default(asset) => format!("default:{asset}"),
        };
        self.add("unmapped", unmapped);
        self.add(
            "while_open",
            match config.while_open {
                WhileOpen::Create => "create",
                WhileOpen::Append => "append",
                WhileOpen::Skip => "skip",
            },
        );
        let wait = config.enrich_wait.map(duration);
        self.add(
            "enrich.wait",
            wait.as_deref().unwrap_or("2m for alerts, 10m otherwise"),
        );
    }

    fn on_closed(&mut self, on_closed: Option<&OnClosed>) {
        let Some(OnClosed { poll, secret }) = on_closed else {
            return self.optional("on_closed", None);
        };
        if let Some(Poll { url, when, every }) = poll {
            self.add("on_closed.poll", url.shown());
            self.add("on_closed.when", when.text());
            self.add("on_closed.every", duration(*every));
        }
        if secret.is_some() {
            self.add("on_closed.secret", SECRET);
        }
    }

    /// Their values may be secrets, wherever they stand.
    fn headers(&mut self) {
        let prefix = "headers.";
        let names: Vec<_> = self
            .origins
            .keys()
            .filter(|key| key.starts_with(prefix))
            .cloned()
            .collect();
        if names.is_empty() {
            self.optional("headers", None);
        }
        for name in names {
            self.add(&name, SECRET);
        }
    }

    fn auth(&mut self, auth: &Auth) {
        match auth {
            Auth::None => self.add("auth.type", "none"),
            Auth::Header { name, value: _ } => {
                self.add("auth.type", "header");
                self.add("auth.name", name.as_str());
                self.add("auth.value", SECRET);
            }
            Auth::Basic { user, password: _ } => {
                self.add("auth.type", "basic");
                self.add("auth.user", user);
                self.add("auth.password", SECRET);
            }
            Auth::Bearer(_) => {
                self.add("auth.type", "bearer");
                self.add("auth.token", SECRET);
            }
            Auth::OAuth2 {
                token_url,
                client_id,
                client_secret: _,
                scope,
            } => {
                self.add("auth.type", "oauth2");
                self.add("auth.token_url", shown_url(token_url.as_str()));
                self.add("auth.client_id", client_id);
                self.add("auth.client_secret", SECRET);
                self.optional("auth.scope", scope.as_deref());
            }
        }
    }

    fn sign(&mut self, sign: Option<&Sign>) {
        match sign {
            None => self.optional("sign", None),
            Some(Sign::StandardWebhooks(secrets)) => {
                self.add("sign.scheme", "standard-webhooks");
                if self.origins.contains_key("sign.secrets") {
                    let secrets = vec![SECRET; secrets.len()];
                    self.add("sign.secrets", secrets.join(", "));
                } else {
                    self.add("sign.secret", SECRET);
                }
            }
            Some(Sign::Fiix {
                app_key,
                access_key,
                secret: _,
            }) => {
                self.add("sign.scheme", "fiix");
                self.add("sign.app_key", app_key);
                self.add("sign.access_key", access_key);
                self.add("sign.secret", SECRET);
            }
            Some(Sign::Hmac {
                header,
                algorithm,
                encoding,
                prefix,
                secret: _,
            }) => {
                self.add("sign.scheme", "hmac");
                self.add("sign.header", header.as_str());
                self.add(
                    "sign.algorithm",
                    match algorithm {
                        Algorithm::Sha256 => "sha256",
                        Algorithm::Sha1 => "sha1",
                    },
                );
                self.add(
                    "sign.encoding",
                    match encoding {
                        Encoding::Hex => "hex",
                        Encoding::Base64 => "base64",
                    },
                );
                self.optional("sign.prefix", Some(&**prefix).filter(|p| !p.is_empty()));
                self.add("sign.secret", SECRET);
            }
        }
    }

    pub(super) fn optional(&mut self, key: &str, value: Option<&str>) {
        self.add(key, value.unwrap_or(NOT_SET));
    }

    pub(super) fn add(&mut self, key: &str, value: impl Into<String>) {
        let origin = self.origins.get(key).map(ToString::to_string);
        self.shown.push(Shown {
            name: key.to_owned(),
            value: value.into(),
            origin: origin.unwrap_or_else(|| "default".to_owned()),
        });
    }
}

/// A step as it is shown: its name and method.
fn shown_step(step: &Step) -> String {
    format!("{} ({})", step.name, step.method.name())
}

/// What stands for a value where there is none.
pub(super) const NOT_SET: &str = "(not set)";

/// A duration as people write it.
pub(super) fn duration(duration: Duration) -> String {
    let day = 24 * 60 * 60;
    if duration.subsec_nanos() == 0
        && duration.as_secs() > day
        && duration.as_secs().is_multiple_of(day)
    {
        return format!("{}d", duration.as_secs() / day);
    }
    jiff::SignedDuration::try_from(duration)
        .map_or_else(|_| format!("{duration:?}"), |signed| format!("{signed:#}"))
}
