//! Does what a person asks of our webhook, and says how it is.
//!
//! # Invariants
//! - `status` and `list` change nothing.
//! - A rotation changes the secret alone: what an administrator disabled stays so, and what was
//!   deleted stays deleted.
//! - That a person deleted it is on record before it is deleted.

use super::ask::{Asked, Listed, Report, Told, Wish};
use super::look::{Found, LookError};
use super::plan::{self, Act, NAME, Plan, View, text};
use super::record::Record;
use super::{Config, KeyChange, Manage, Reconcile, Status, Turn};
use crate::orbit::Webhook;
use crate::orbit::model::WantedWebhook;

impl Reconcile {
    /// Answers a person.
    pub(super) async fn answer(&self, asked: Asked, turn: &mut Turn) {
        let Asked { wish, who, reply } = asked;
        let told = self.told(wish, &who, turn).await;
        // Whoever asked may be gone; what was done is done.
        reply.send(told).ok();
    }

    /// Does one thing that a person asks for, where no loop runs.
    pub async fn once(&self, wish: Wish, who: &str) -> Result<Told, String> {
        self.told(wish, who, &mut Turn::default()).await
    }

    async fn told(&self, wish: Wish, who: &str, turn: &mut Turn) -> Result<Told, String> {
        let told = match wish {
            Wish::Status | Wish::List => self.show(wish).await,
            Wish::Sync | Wish::Delete | Wish::RotateSecret => {
                let word = match wish {
                    Wish::Delete => "delete",
                    Wish::RotateSecret => "rotate-secret",
                    _ => "sync",
                };
                tracing::info!(who, "webhook {word} was asked for");
                self.act(wish, turn).await
            }
        };
        told.map_err(|error| refusal(&error))
    }

    async fn act(&self, wish: Wish, turn: &mut Turn) -> Result<Told, LookError> {
        if self.config.manage == Manage::Off {
            let why = "--manage is off: the relay changes no webhook; set observe or repair";
            return Err(LookError::Keys(why.to_owned()));
        }
        if self.config.urls.is_empty() && wish != Wish::Delete {
            let why = "--webhook-host is none: nothing is to be registered";
            return Err(LookError::Keys(why.to_owned()));
        }
        let mut lines = Vec::new();
        if wish == Wish::Delete {
            lines = self.delete().await?;
            if !self.config.urls.is_empty() {
                self.note(turn, Ok(Status::Deleted));
            }
            return Ok(Told::Done(lines));
        }
        if wish == Wish::RotateSecret {
            self.change_keys(KeyChange::Rotate).await?;
            tracing::info!("webhook: a new secret was made; the one before is still accepted");
            lines.push("a new secret was made; the one before is still accepted".to_owned());
        }
        let mut pushed = Ok(());
        if wish == Wish::RotateSecret && self.observes() {
            pushed = self.push_secret(&mut lines).await;
        }
        let done = match pushed {
            Ok(()) => self.set_right(turn, wish == Wish::Sync).await,
            Err(error) => Err(error),
        };
        match done {
            Ok(done) => {
                lines.extend(done.lines);
                if lines.is_empty() {
                    lines.push("all was right".to_owned());
                }
                self.note(turn, Ok(done.status));
                Ok(Told::Done(lines))
            }
            Err(error) if wish == Wish::RotateSecret => {
                let said = refusal(&error);
                self.note(turn, Err(error));
                let next = if self.observes() {
                    "and is not given it by itself (manage = observe): orbit-relay webhook sync"
                } else {
                    "it is tried again"
                };
                lines.push(format!(
                    "Orbit does not have it yet, {next}; until then both are accepted: {said}"
                ));
                Ok(Told::Done(lines))
            }
            Err(error) => {
                let said = LookError::Keys(refusal(&error));
                self.note(turn, Err(error));
                Err(said)
            }
        }
    }

    /// Where it only observes, Orbit gets a new secret because a person wants it, and nothing
    /// else.
    async fn push_secret(&self, lines: &mut Vec<String>) -> Result<(), LookError> {
        let found = self.find().await?;
        let (config, keys) = (&self.config, self.current_keys()?);
        let Some(url) = &found.url() else {
            return Ok(());
        };
        let Found {
            webhooks, record, ..
        } = found;
        let view = View {
            config,
            url,
            keys: &keys,
            record: record.as_ref(),
            webhooks: &webhooks,
            observe: true,
            by_person: false,
            unverified: false,
        };
        let ours = match plan::plan(&view).act {
            Act::StayDeleted => None,
            _ => plan::find(&view),
        };
        let Some(ours) = ours else {
            lines.push("Orbit has none of ours that it could be given to".to_owned());
            return Ok(());
        };
        let wanted = WantedWebhook {
            name: ours.name.clone().unwrap_or_else(|| NAME.to_owned()),
            url: ours.url.clone().unwrap_or_else(|| text(url)),
            enabled: ours.enabled.unwrap_or(config.enabled),
            validate_tls_cert: ours.validate_tls_cert.unwrap_or(config.validate_tls_cert),
            events: ours.events.clone().unwrap_or_else(|| config.events.clone()),
            secret: keys.current.expose_hex(),
        };
        self.client.update_webhook(&ours.uuid, &wanted).await?;
        let (uuid, url, enabled) = (&ours.uuid, &wanted.url, wanted.enabled);
        let why = "secret";
        tracing::info!(uuid, url, enabled, why, "webhook: set right in Orbit");
        lines.push(format!("set right {uuid}: {why}"));
        let made = Record::made_with(record.as_ref(), uuid);
        let before = record.clone().unwrap_or_else(|| Record {
            url: wanted.url.clone(),
            enabled: config.enabled,
            ..Record::default()
        });
        self.remember(&Record {
            uuid: uuid.clone(),
            secret_fingerprint: keys.current.fingerprint(),
            made,
            ..before
        })
        .await
    }

    fn observes(&self) -> bool {
        self.config.manage == Manage::Observe
    }

    async fn delete(&self) -> Result<Vec<String>, LookError> {
        let Found {
            webhooks, record, ..
        } = self.find_and_note().await?;
        let mut record = record.unwrap_or_else(|| Record {
            enabled: self.config.enabled,
            ..Record::default()
        });
        let ours = webhooks.iter().filter(|w| record.owns(&w.uuid));
        let ours: Vec<String> = ours.map(|w| w.uuid.clone()).collect();
        // On record first: if this is cut off, the next look does not make it again.
        record.deleted = true;
        record.enabled = self.config.enabled;
        self.remember(&record).await?;
        let mut lines = Vec::new();
        self.delete_all(&mut record, &ours, &mut lines).await?;
        if lines.is_empty() {
            lines.push("Orbit has none of ours".to_owned());
        }
        lines.push(
            "none is made until --enabled changes, or by: orbit-relay webhook sync".to_owned(),
        );
        Ok(lines)
    }

    async fn show(&self, wish: Wish) -> Result<Told, LookError> {
        let found = self.find().await?;
        let (config, record) = (&self.config, found.record.as_ref());
        let keys = self.current_keys().ok();
        let url = found.url();
        let planned = url.as_ref().zip(keys.as_ref()).map(|(url, keys)| {
            let view = View {
                config,
                url,
                keys,
                record,
                webhooks: &found.webhooks,
                observe: true,
                by_person: false,
                unverified: false,
            };
            let plan = plan::plan(&view);
            let ours = match &plan.act {
                Act::StayDeleted => None,
                _ => plan::find(&view).map(|w| w.uuid.clone()),
            };
            (plan, ours)
        });
        let ours = planned.as_ref().and_then(|(_, ours)| ours.as_deref());
        let listed = |w: &Webhook| Listed {
            uuid: w.uuid.clone(),
            name: w.name.clone(),
            url: w.url.clone(),
            enabled: w.enabled,
            validate_tls_cert: w.validate_tls_cert,
            events: w.events.clone(),
            archived: w.archived == Some(true),
            secret: plan::shown_secret(w),
            relation: plan::relation(w, config, record, ours),
        };
        if wish == Wish::List {
            return Ok(Told::List(found.webhooks.iter().map(listed).collect()));
        }
        let ours = found.webhooks.iter().find(|w| Some(&*w.uuid) == ours);
        let plan = planned.as_ref().map(|(plan, _)| plan);
        let differences = plan.map(Plan::differences).unwrap_or_default();
        Ok(Told::Status(Box::new(Report {
            status: word(config, plan, &differences).to_owned(),
            manage: config.manage.as_str().to_owned(),
            url: url.as_ref().map(text),
            events: config.events.clone(),
            enabled: config.enabled,
            validate_tls_cert: config.validate_tls_cert,
            ours: ours.map(listed),
            differences: differences.into_iter().map(str::to_owned).collect(),
            twins: plan.map(|plan| plan.twins.clone()).unwrap_or_default(),
            rotating: keys.is_some_and(|keys| keys.previous.is_some()),
            record: found.record.clone(),
        })))
    }
}

fn word(config: &Config, plan: Option<&Plan>, differences: &[&str]) -> &'static str {
    match plan.map(|plan| &plan.act) {
        None => "polling",
        Some(_) if config.manage == Manage::Off => "off",
        Some(Act::StayDeleted) if differences.is_empty() => "deleted",
        Some(Act::Create) => "missing",
        Some(Act::Nothing { enabled: false, .. }) if differences.is_empty() => "disabled",
        Some(_) if differences.is_empty() => "registered",
        Some(_) => "drift",
    }
}

fn refusal(error: &LookError) -> String {
    match error {
        LookError::Orbit(error) => format!("Orbit cannot be asked: {error}"),
        other => other.to_string(),
    }
}
