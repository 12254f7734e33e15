//! Looks at Orbit, does what the plan says, and remembers what is ours now.
//!
//! # Invariants
//! - The list is read before anything is made: what a lost answer left behind is found by its URL.
//! - What is ours now is on record before what is doubled goes.

use std::time::Duration;

use tokio::sync::oneshot;
use url::Url;

use super::address::{Address, NOTE as NOTE_ADDRESS};
use super::drift::is_first_contact;
use super::plan::{self, Act, NAME, Plan, View, text};
use super::record::Record;
use super::{KeyChange, Manage, Reconcile, Status, Turn};
use crate::clock::later;
use crate::http::{ExchangeError, RefusedCertificate};
use crate::orbit::model::WantedWebhook;
use crate::orbit::{CallError, Webhook};
use crate::relay::journal::WriteError;
use crate::relay::verify::Keys;
use crate::secret::WebhookSecret;

/// The journal's note.
pub(super) const NOTE: &str = "webhook";
/// The journal's note of when Orbit was last asked, and answered: RFC 3339.
pub const NOTE_RECONCILED: &str = "reconciled";
/// Strangers can make events fail to verify; a secret that Orbit masks is given to it again no
/// more often than this.
const REWRITE_AT_MOST_EVERY: Duration = Duration::from_mins(5);

/// Why Orbit could not be looked at, or set right.
#[derive(Debug, thiserror::Error)]
pub(super) enum LookError {
    #[error(transparent)]
    Orbit(#[from] CallError),
    #[error(transparent)]
    Journal(#[from] WriteError),
    #[error("{0}")]
    Keys(String),
}

/// What looking at Orbit came to.
pub(super) struct Done {
    pub(super) status: Status,
    /// What was done, in words.
    pub(super) lines: Vec<String>,
}

/// What was found.
pub(super) struct Found {
    pub(super) webhooks: Vec<Webhook>,
    pub(super) record: Option<Record>,
    /// The address on record.
    pub(super) noted: Option<Address>,
    /// The address that Orbit is to have; none where nothing is to be registered.
    pub(super) address: Option<Address>,
}

impl Found {
    /// What Orbit is to call.
    pub(super) fn url(&self) -> Option<Url> {
        self.address.as_ref().and_then(Address::parsed)
    }
}

impl Reconcile {
    /// Reads what Orbit has and what is on record; changes nothing.
    pub(super) async fn find(&self) -> Result<Found, LookError> {
        self.client.authenticate().await?;
        let webhooks = self.client.webhooks().await?;
        let record = self.journal.note(NOTE).await?;
        let record = record.and_then(|note| Record::read(&note));
        let noted = self.journal.note(NOTE_ADDRESS).await?;
        let noted = noted.and_then(|note| Address::read(&note));
        // A person may know which one works.
        let by_a_person = if record.is_none() { &*webhooks } else { &[] };
        let address = Address::now(&self.config, noted.as_ref(), by_a_person);
        Ok(Found {
            webhooks,
            record,
            noted,
            address,
        })
    }

    /// As [`Self::find`], and notes that Orbit was asked.
    pub(super) async fn find_and_note(&self) -> Result<Found, LookError> {
        let found = self.find().await?;
        let now = self.clock.wall();
        self.looked_at.send_replace(Some(now));
        // For `status`, which reads the journal alone.
        let noted = self.journal.set_note(NOTE_RECONCILED, now.to_string());
        noted.await?;
        Ok(found)
    }

    pub(super) fn current_keys(&self) -> Result<Keys, LookError> {
        self.keys.borrow().clone().map_err(LookError::Keys)
    }

    /// Compares, and sets right what it may: everything, where a person asks.
    pub(super) async fn set_right(
        &self,
        turn: &mut Turn,
        by_person: bool,
    ) -> Result<Done, LookError> {
        if self.config.urls.is_empty() {
            return Ok(Done {
                status: Status::Polling,
                lines: Vec::new(),
            });
        }
        self.take_nudges(turn);
        let observe = self.config.manage != Manage::Repair && !by_person;
        let mut keys = self.current_keys()?;
        let mut found = self.find_and_note().await?;
        turn.said.answered();
        self.search(turn, &mut found, observe).await?;
        let address = found.address.clone();
        let Some(url) = found.url() else {
            return Err(LookError::Keys(
                "the address on record is no URL".to_owned(),
            ));
        };
        let unverified = turn.wrong_secret && (by_person || self.may_rewrite(turn));
        let planned = |keys: &Keys, record: Option<&Record>| {
            plan::plan(&View {
                config: &self.config,
                url: &url,
                keys,
                record,
                webhooks: &found.webhooks,
                observe,
                by_person,
                unverified,
            })
        };
        let mut plan = planned(&keys, found.record.as_ref());
        turn.said.twins(&plan.twins, &text(&url));
        if let (Act::Nothing { uuid, enabled }, true) = (&plan.act, self.is_first_look())
            && plan.differences().is_empty()
        {
            tracing::info!(uuid, enabled, "webhook: as it should be in Orbit");
        }
        if observe {
            self.say_observed(&found, &plan).await;
            let mut done = observed(&plan, self.config.enabled);
            let untouched = matches!(plan.act, Act::Nothing { .. });
            self.searched(turn, &mut done.status, address, untouched);
            let given = found.record.as_ref().map(|r| &r.secret_fingerprint);
            if given == Some(&keys.current.fingerprint()) && plan.has_secret() {
                self.say_in_orbit(&keys).await;
            }
            return Ok(done);
        }
        let mut lines = Vec::new();
        let drifted = if is_first_contact(&found) {
            Vec::new()
        } else {
            plan.differences()
        };
        if let Some(theirs) = plan.adopt.take() {
            self.adopt(theirs).await?;
            keys = self.current_keys()?;
            if let Some(record) = &mut found.record {
                record.secret_fingerprint = keys.current.fingerprint();
            }
            lines.push("the secret that Orbit has was taken over".to_owned());
            plan = planned(&keys, found.record.as_ref());
        }
        let untouched = matches!(plan.act, Act::Nothing { .. });
        let rewrites = matches!(&plan.act, Act::Update { why, .. } if why.contains(&"secret"));
        let status = self.carry_out(plan, &url, &keys, found, &mut lines);
        let mut status = status.await?;
        // One that failed is tried again, and not only when the next event fails.
        if unverified {
            turn.wrong_secret = false;
            if rewrites {
                turn.rewritten_at = Some(self.clock.steady());
            }
        }
        self.searched(turn, &mut status, address, untouched);
        if matches!(status, Status::Registered { .. }) {
            self.say_in_orbit(&keys).await;
        }
        let done = Done { status, lines };
        self.say_repaired(&done, &drifted).await;
        Ok(done)
    }

    /// Tells whoever keeps the secret that Orbit has the current one.
    async fn say_in_orbit(&self, keys: &Keys) {
        if keys.previous.is_some() {
            // Where nobody keeps it any more the relay ends.
            self.changes.send(KeyChange::InOrbit).await.ok();
        }
    }

    async fn carry_out(
        &self,
        plan: Plan,
        url: &Url,
        keys: &Keys,
        found: Found,
        lines: &mut Vec<String>,
    ) -> Result<Status, LookError> {
        let at = text(url);
        let before = found.record;
        let (uuid, enabled) = match plan.act {
            Act::StayDeleted => {
                if let (Some(mut record), false) = (before, plan.doubled.is_empty()) {
                    self.delete_all(&mut record, &plan.doubled, lines).await?;
                }
                return Ok(Status::Deleted);
            }
            Act::Create => {
                let enabled = self.config.enabled;
                let wanted = self.wanted(NAME.to_owned(), url, enabled, &keys.current);
                let made = self.client.create_webhook(&wanted, &found.webhooks);
                let uuid = made.await?.uuid;
                tracing::info!(uuid, url = at, enabled, "webhook: made in Orbit");
                lines.push(format!("made {uuid} for {at}"));
                (uuid, enabled)
            }
            Act::Update {
                uuid,
                name,
                enabled,
                why,
            } => {
                let wanted = self.wanted(name, url, enabled, &keys.current);
                self.client.update_webhook(&uuid, &wanted).await?;
                let why = why.join(", ");
                tracing::info!(uuid, url = at, enabled, why, "webhook: set right in Orbit");
                lines.push(format!("set right {uuid}: {why}"));
                (uuid, enabled)
            }
            Act::Nothing { uuid, enabled } => (uuid, enabled),
        };
        // On record before what is doubled goes: whatever is cut off, one is known to stay.
        let mut now = Record {
            uuid: uuid.clone(),
            url: at,
            enabled: self.config.enabled,
            secret_fingerprint: keys.current.fingerprint(),
            made: Record::made_with(before.as_ref(), &uuid),
            deleted: false,
            disabled_on_exit: false,
        };
        if before.as_ref() != Some(&now) {
            self.remember(&now).await?;
        }
        for doubled in &plan.doubled {
            self.delete_one(doubled).await?;
            tracing::info!(
                uuid = doubled,
                "webhook: another one of ours is deleted in Orbit"
            );
            lines.push(format!("deleted {doubled}, which was ours too"));
            now.made.retain(|made| made != doubled);
        }
        if !plan.doubled.is_empty() {
            self.remember(&now).await?;
        }
        Ok(Status::Registered {
            uuid,
            enabled,
            tried: None,
        })
    }

    async fn adopt(&self, theirs: WebhookSecret) -> Result<(), LookError> {
        self.change_keys(|reply| KeyChange::Adopt(theirs, reply))
            .await?;
        tracing::info!(
            "webhook: the secret was changed in Orbit; it is taken over and kept in the data \
             directory"
        );
        Ok(())
    }

    pub(super) async fn change_keys(
        &self,
        change: impl FnOnce(oneshot::Sender<Result<(), String>>) -> KeyChange,
    ) -> Result<(), LookError> {
        let gone = || LookError::Keys("the relay stops".to_owned());
        let (reply, changed) = oneshot::channel();
        let sent = self.changes.send(change(reply)).await;
        sent.map_err(|_| gone())?;
        changed.await.map_err(|_| gone())?.map_err(LookError::Keys)
    }

    fn take_nudges(&self, turn: &mut Turn) {
        use std::sync::atomic::Ordering::Relaxed;

        let nudged = &self.nudge.0;
        nudged.asked.store(false, Relaxed);
        let refused = nudged.unverified.swap(false, Relaxed);
        turn.search.hear(nudged, refused);
        turn.wrong_secret |= nudged.wrong_secret.swap(false, Relaxed);
    }

    fn is_first_look(&self) -> bool {
        *self.status.borrow() == Status::Unknown
    }

    fn may_rewrite(&self, turn: &Turn) -> bool {
        let now = self.clock.steady();
        turn.rewritten_at
            .is_none_or(|at| later(at, REWRITE_AT_MOST_EVERY) <= now)
    }

    pub(super) fn wanted(
        &self,
        name: String,
        url: &Url,
        enabled: bool,
        secret: &WebhookSecret,
    ) -> WantedWebhook {
        WantedWebhook {
            name,
            url: text(url),
            enabled,
            validate_tls_cert: self.config.validate_tls_cert,
            events: self.config.events.clone(),
            secret: secret.expose_hex(),
        }
    }

    pub(super) async fn remember(&self, record: &Record) -> Result<(), LookError> {
        if let Ok(note) = serde_json::to_string(record) {
            self.journal.set_note(NOTE, note).await?;
        }
        Ok(())
    }

    /// Deletes those that were ours, as a person wants it, and forgets them.
    pub(super) async fn delete_all(
        &self,
        record: &mut Record,
        ours: &[String],
        lines: &mut Vec<String>,
    ) -> Result<(), LookError> {
        for uuid in ours {
            self.delete_one(uuid).await?;
            tracing::info!(
                uuid,
                "webhook: deleted in Orbit, because a person asked for it"
            );
            lines.push(format!("deleted {uuid}"));
        }
        record.uuid.clear();
        record.made.clear();
        self.remember(record).await
    }

    /// Deletes a webhook; one that is gone already is as good.
    pub(super) async fn delete_one(&self, uuid: &str) -> Result<(), LookError> {
        match self.client.delete_webhook(uuid).await {
            Err(CallError::Status(404)) => Ok(()),
            ended => Ok(ended?),
        }
    }
}

/// What a look came to that changes nothing.
fn observed(plan: &Plan, wants_enabled: bool) -> Done {
    let mut what = plan.differences();
    if let Act::Update { enabled: false, .. } = plan.act
        && wants_enabled
    {
        what.push("disabled by hand, so no events come");
    }
    let status = match &plan.act {
        Act::StayDeleted if what.is_empty() => Status::Deleted,
        Act::Nothing { uuid, enabled } if what.is_empty() => Status::Registered {
            uuid: uuid.clone(),
            enabled: *enabled,
            tried: None,
        },
        _ => Status::Drift {
            what: what.into_iter().map(str::to_owned).collect(),
        },
    };
    Done {
        status,
        lines: Vec::new(),
    }
}

/// What is wrong, and what to do.
pub(super) fn advice(error: &LookError) -> String {
    let what_to_do = match error {
        LookError::Orbit(CallError::Unauthorized(_)) => {
            "; make a new token with the ADMIN role in Orbit (Settings → Developer Features → API \
             Access Tokens) and set ORBIT_API_TOKEN; events are accepted all the same"
        }
        LookError::Orbit(CallError::Http(ExchangeError::Certificate(refused))) => {
            return format!("{error}; {}", advice_on(refused));
        }
        LookError::Orbit(_) => "; it is tried again, events are accepted all the same",
        LookError::Journal(_) | LookError::Keys(_) => "",
    };
    format!("{error}{what_to_do}")
}

fn advice_on(refused: &RefusedCertificate) -> String {
    let line = format!("ORBIT_VERIFY=sha256:{}", refused.sha256);
    if refused.pinned {
        format!(
            "the pinned certificate has changed: somebody renewed it, or stands in between. \
             Compare it with the one in Orbit before you pin it: {line}"
        )
    } else {
        format!(
            "if it is really Orbit's own certificate, pin it: {line}; or give the authority that \
             signed it with --verify FILE.pem; --verify false accepts any"
        )
    }
}
