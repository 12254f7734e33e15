//! Keeps our webhook in Orbit as it should be: made, found again, repaired.
//!
//! # Invariants
//! - Ours is the one on record, else one with our URL. Others are never touched.
//! - At first contact everything is set; afterwards `enabled` only when `--enabled` itself
//!   changed, so that an administrator who disables it is respected.
//! - Trouble is said once, and once that it is over.

use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use url::Url;

use crate::clock::Clock;
use crate::http::{ExchangeError, RefusedCertificate};
use crate::orbit::model::WantedWebhook;
use crate::orbit::{CallError, Client, Webhook};
use crate::relay::journal::Journal;
use crate::retry::{Schedule, chance};
use crate::secret::WebhookSecret;

/// The name that people see in Orbit.
const NAME: &str = "orbit-relay";
/// The journal's note.
const NOTE: &str = "webhook";
/// How often a webhook that is right is looked at again.
const EVERY: Duration = Duration::from_mins(1);
/// A token does not become valid by asking often.
const EVERY_REFUSED: Duration = Duration::from_mins(5);

/// How the webhook should be.
#[derive(Clone, Debug)]
pub struct Config {
    /// What Orbit is to call.
    pub url: Url,
    /// What it is to call for.
    pub events: Vec<String>,
    /// Whether it is to call.
    pub enabled: bool,
    /// Whether it is to check our certificate.
    pub validate_tls_cert: bool,
}

/// How it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Status {
    /// There is no token: a person takes care of the webhook.
    ByHand,
    /// Orbit was not asked yet.
    Unknown,
    /// Orbit has it as it should be; an administrator may have disabled it.
    Registered {
        /// Its id in Orbit.
        uuid: String,
        /// Whether Orbit calls it.
        enabled: bool,
    },
    /// Orbit could not be asked, for this reason.
    Failing(String),
}

impl Status {
    /// Whether Orbit calls us, as far as can be known.
    pub fn calls_us(&self) -> bool {
        matches!(self, Self::ByHand | Self::Registered { enabled: true, .. })
    }
}

/// What the journal remembers of our webhook.
#[derive(Clone, Debug, Deserialize, Serialize, PartialEq, Eq)]
struct Record {
    uuid: String,
    url: String,
    /// What `--enabled` said.
    enabled: bool,
    /// Tells whether our secret has changed since.
    secret_fingerprint: String,
}

/// What is to be done.
#[derive(Debug, PartialEq, Eq)]
enum Plan {
    Create,
    Update {
        uuid: String,
        name: String,
        enabled: bool,
        why: Vec<&'static str>,
    },
    Nothing {
        uuid: String,
        enabled: bool,
    },
}

/// What the loop needs.
pub struct Reconcile {
    /// How the webhook should be.
    pub config: Config,
    /// Orbit.
    pub client: Arc<Client>,
    /// Where the record is kept.
    pub journal: Journal,
    /// The signing secret, once there is one.
    pub secret: watch::Receiver<Result<WebhookSecret, String>>,
    /// Time.
    pub clock: Clock,
    /// Told how it is.
    pub status: watch::Sender<Status>,
}

#[derive(Debug, thiserror::Error)]
enum SyncError {
    #[error(transparent)]
    Orbit(#[from] CallError),
    #[error(transparent)]
    Journal(#[from] crate::relay::journal::WriteError),
    #[error("{0}")]
    NoSecret(String),
}

/// Keeps the webhook right until `stop`.
pub async fn run(reconcile: Reconcile, stop: CancellationToken) {
    let mut failures = 0;
    let mut secret = reconcile.secret.clone();
    tokio::select! {
        () = stop.cancelled() => return,
        ready = secret.wait_for(Result::is_ok) => drop(ready),
    }
    loop {
        let wait = match reconcile.sync().await {
            Ok(status) => {
                failures = 0;
                reconcile.say(status);
                EVERY
            }
            Err(error) => {
                failures += 1;
                let refused = matches!(error, SyncError::Orbit(CallError::Unauthorized(_)));
                reconcile.say(Status::Failing(advice(&error)));
                if refused {
                    EVERY_REFUSED
                } else {
                    Schedule::SECOND_TO_MINUTE.delay(failures, chance())
                }
            }
        };
        tokio::select! {
            () = stop.cancelled() => return,
            () = reconcile.clock.sleep(wait) => {}
        }
    }
}

impl Reconcile {
    async fn sync(&self) -> Result<Status, SyncError> {
        let secret = self.secret.borrow().clone().map_err(SyncError::NoSecret)?;
        self.client.authenticate().await?;
        let webhooks = self.client.webhooks().await?;
        let note = self.journal.note(NOTE).await?;
        let record: Option<Record> = note.and_then(|note| serde_json::from_str(&note).ok());
        let plan = plan(&self.config, &secret, record.as_ref(), &webhooks);
        let (uuid, enabled) = match plan {
            Plan::Create => {
                let enabled = self.config.enabled;
                let wanted = self.wanted(NAME.to_owned(), enabled, &secret);
                let made = self.client.create_webhook(&wanted).await?;
                tracing::info!(
                    uuid = made.uuid,
                    url = text(&self.config.url),
                    enabled,
                    "webhook: made in Orbit"
                );
                (made.uuid, enabled)
            }
            Plan::Update {
                uuid,
                name,
                enabled,
                why,
            } => {
                let wanted = self.wanted(name, enabled, &secret);
                self.client.update_webhook(&uuid, &wanted).await?;
                let why = why.join(", ");
                tracing::info!(
                    uuid,
                    url = text(&self.config.url),
                    enabled,
                    why,
                    "webhook: set right in Orbit"
                );
                (uuid, enabled)
            }
            Plan::Nothing { uuid, enabled } => {
                if *self.status.borrow() == Status::Unknown {
                    tracing::info!(uuid, enabled, "webhook: as it should be in Orbit");
                }
                (uuid, enabled)
            }
        };
        let now = Record {
            uuid: uuid.clone(),
            url: text(&self.config.url),
            enabled: self.config.enabled,
            secret_fingerprint: secret.fingerprint(),
        };
        if record.as_ref() != Some(&now)
            && let Ok(note) = serde_json::to_string(&now)
        {
            self.journal.set_note(NOTE, note).await?;
        }
        Ok(Status::Registered { uuid, enabled })
    }

    fn wanted(&self, name: String, enabled: bool, secret: &WebhookSecret) -> WantedWebhook {
        WantedWebhook {
            name,
            url: text(&self.config.url),
            enabled,
            validate_tls_cert: self.config.validate_tls_cert,
            events: self.config.events.clone(),
            secret: secret.expose_hex(),
        }
    }

    fn say(&self, now: Status) {
        self.status.send_if_modified(|before| {
            if *before == now {
                return false;
            }
            match (&*before, &now) {
                (_, Status::Failing(why)) => {
                    tracing::error!("webhook: Orbit cannot be asked: {why}");
                }
                (Status::Failing(_), Status::Registered { uuid, .. }) => {
                    tracing::info!(uuid, "webhook: Orbit answers again");
                }
                _ => {}
            }
            if let Status::Registered { enabled: false, .. } = &now
                && self.config.enabled
            {
                tracing::warn!(
                    "webhook: disabled in Orbit by hand; no events come until it is enabled there"
                );
            }
            *before = now;
            true
        });
    }
}

/// What is to be done, given what Orbit has and what is on record.
fn plan(
    config: &Config,
    secret: &WebhookSecret,
    record: Option<&Record>,
    webhooks: &[Webhook],
) -> Plan {
    let mut live = webhooks
        .iter()
        .filter(|webhook| webhook.archived != Some(true));
    let on_record = record.and_then(|record| live.clone().find(|w| w.uuid == record.uuid));
    let Some(ours) = on_record.or_else(|| {
        live.find(|w| {
            w.url
                .as_deref()
                .is_some_and(|theirs| same_url(theirs, &config.url))
        })
    }) else {
        return Plan::Create;
    };
    let known = record.filter(|record| record.uuid == ours.uuid);
    let enabled = match known {
        Some(record) if record.enabled == config.enabled => ours.enabled.unwrap_or(config.enabled),
        _ => config.enabled,
    };
    // Orbit may mask the secret: only a whole one can be compared.
    let theirs = ours
        .secret
        .as_ref()
        .and_then(|theirs| WebhookSecret::parse(theirs.expose()).ok());
    let secret_differs = known.is_none_or(|r| r.secret_fingerprint != secret.fingerprint())
        || theirs.is_some_and(|theirs| theirs.fingerprint() != secret.fingerprint());
    let differences = [
        (known.is_none(), "first contact"),
        (
            ours.url
                .as_deref()
                .is_some_and(|url| !same_url(url, &config.url)),
            "address",
        ),
        (
            ours.events
                .as_ref()
                .is_some_and(|events| !same_set(events, &config.events)),
            "events",
        ),
        (
            ours.validate_tls_cert
                .is_some_and(|v| v != config.validate_tls_cert),
            "TLS flag",
        ),
        (
            ours.enabled.is_some_and(|theirs| theirs != enabled),
            "enabled",
        ),
        (secret_differs, "secret"),
    ];
    let why: Vec<_> = differences
        .iter()
        .filter(|(differs, _)| *differs)
        .map(|(_, w)| *w)
        .collect();
    let uuid = ours.uuid.clone();
    if why.is_empty() {
        return Plan::Nothing { uuid, enabled };
    }
    let name = ours
        .name
        .clone()
        .filter(|name| !name.is_empty())
        .unwrap_or_else(|| NAME.to_owned());
    Plan::Update {
        uuid,
        name,
        enabled,
        why,
    }
}

/// Whether Orbit's text means our URL: a trailing slash makes no difference.
fn same_url(theirs: &str, ours: &Url) -> bool {
    Url::parse(theirs).is_ok_and(|theirs| text(&theirs) == text(ours))
}

/// `http://HOST:PORT`, without the slash that a URL without a path ends in.
fn text(url: &Url) -> String {
    url.as_str().trim_end_matches('/').to_owned()
}

fn same_set(a: &[String], b: &[String]) -> bool {
    a.iter().all(|item| b.contains(item)) && b.iter().all(|item| a.contains(item))
}

fn advice(error: &SyncError) -> String {
    let what_to_do = match error {
        SyncError::Orbit(CallError::Unauthorized(_)) => {
            "; make a new token with the ADMIN role in Orbit (Settings → Developer Features → API \
             Access Tokens) and set ORBIT_API_TOKEN; events are accepted all the same"
        }
        SyncError::Orbit(CallError::Http(ExchangeError::Certificate(refused))) => {
            return format!("{error}; {}", advice_on(refused));
        }
        SyncError::Orbit(_) => "; it is tried again, events are accepted all the same",
        SyncError::Journal(_) | SyncError::NoSecret(_) => "",
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secret::Secret;

    fn secret() -> WebhookSecret {
        WebhookSecret::parse(&"ab".repeat(32)).unwrap()
    }

    fn config() -> Config {
        Config {
            url: Url::parse("http://10.0.0.5:21600").unwrap(),
            events: vec!["A".into(), "B".into()],
            enabled: true,
            validate_tls_cert: true,
        }
    }

    fn record() -> Record {
        Record {
            uuid: "u".into(),
            url: "http://10.0.0.5:21600".into(),
            enabled: true,
            secret_fingerprint: secret().fingerprint(),
        }
    }

    fn webhook() -> Webhook {
        Webhook {
            uuid: "u".into(),
            name: Some("mine".into()),
            url: Some("http://10.0.0.5:21600/".into()),
            enabled: Some(true),
            validate_tls_cert: Some(true),
            events: Some(vec!["B".into(), "A".into()]),
            secret: Some(Secret::new(secret().expose_hex())),
            archived: None,
        }
    }

    fn why(record: Option<&Record>, webhook: Webhook) -> Vec<&'static str> {
        match plan(&config(), &secret(), record, &[webhook]) {
            Plan::Update { why, .. } => why,
            Plan::Nothing { .. } => vec![],
            Plan::Create => vec!["create"],
        }
    }

    #[test]
    fn a_webhook_that_is_right_is_left_alone() {
        assert_eq!(why(Some(&record()), webhook()), [""; 0]);
        for secret in
            [None, Some("********"), Some("")].map(|text| text.map(|text| Secret::new(text.into())))
        {
            assert_eq!(
                why(
                    Some(&record()),
                    Webhook {
                        secret,
                        ..webhook()
                    }
                ),
                [""; 0]
            );
        }
    }

    #[test]
    fn what_orbit_leaves_out_is_not_compared_and_never_disables_it() {
        let (url, enabled, events, validate_tls_cert) = (None, None, None, None);
        let bare = Webhook {
            url,
            enabled,
            validate_tls_cert,
            events,
            ..webhook()
        };
        let plan = plan(&config(), &secret(), Some(&record()), &[bare]);
        assert_eq!(
            plan,
            Plan::Nothing {
                uuid: "u".into(),
                enabled: true
            }
        );
    }

    #[test]
    fn it_is_made_where_there_is_none_and_an_archived_one_does_not_count() {
        assert_eq!(
            plan(&config(), &secret(), Some(&record()), &[]),
            Plan::Create
        );
        assert_eq!(
            why(
                Some(&record()),
                Webhook {
                    archived: Some(true),
                    ..webhook()
                }
            ),
            ["create"]
        );
    }

    #[test]
    fn someone_elses_webhook_is_never_touched() {
        let other = Webhook {
            uuid: "o".into(),
            url: Some("http://10.0.0.6:21600".into()),
            ..webhook()
        };
        assert_eq!(why(Some(&record()), other), ["create"]);
    }

    #[test]
    fn first_contact_sets_everything() {
        let disabled = Webhook {
            enabled: Some(false),
            secret: None,
            ..webhook()
        };
        let plan = plan(&config(), &secret(), None, &[disabled]);
        let Plan::Update {
            enabled, why, name, ..
        } = plan
        else {
            panic!("{plan:?}")
        };
        assert!(enabled);
        assert_eq!(name, "mine");
        assert_eq!(why, ["first contact", "enabled", "secret"]);
    }

    #[test]
    fn what_an_administrator_disabled_stays_disabled_until_the_flag_changes() {
        let disabled = Webhook {
            enabled: Some(false),
            ..webhook()
        };
        let quiet = plan(
            &config(),
            &secret(),
            Some(&record()),
            std::slice::from_ref(&disabled),
        );
        assert_eq!(
            quiet,
            Plan::Nothing {
                uuid: "u".into(),
                enabled: false
            }
        );
        let flag_was_off = Record {
            enabled: false,
            ..record()
        };
        assert_eq!(why(Some(&flag_was_off), disabled), ["enabled"]);
    }

    #[test]
    fn secret_events_tls_flag_and_address_are_kept_right() {
        let another = Some(Secret::new("cd".repeat(32)));
        assert_eq!(
            why(
                Some(&record()),
                Webhook {
                    secret: another,
                    ..webhook()
                }
            ),
            ["secret"]
        );
        let events = Some(vec!["A".into()]);
        assert_eq!(
            why(
                Some(&record()),
                Webhook {
                    events,
                    ..webhook()
                }
            ),
            ["events"]
        );
        let validate_tls_cert = Some(false);
        assert_eq!(
            why(
                Some(&record()),
                Webhook {
                    validate_tls_cert,
                    ..webhook()
                }
            ),
            ["TLS flag"]
        );
        let url = Some("http://10.0.0.4:21600".into());
        assert_eq!(
            why(Some(&record()), Webhook { url, ..webhook() }),
            ["address"]
        );
        let ours_changed = Record {
            secret_fingerprint: "0".into(),
            ..record()
        };
        let masked = Webhook {
            secret: Some(Secret::new("***".into())),
            ..webhook()
        };
        assert_eq!(why(Some(&ours_changed), masked), ["secret"]);
    }
}
