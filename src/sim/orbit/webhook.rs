//! A webhook as Orbit keeps it, and how API requests change it.
//!
//! # Invariants
//! - A refused change leaves the webhook as it was.
//! - `Debug` never shows the secret.

use serde::Deserialize;
use serde_json::{Value, json};

use crate::secret::{WebhookSecret, WebhookSecretError};

/// Who wants to be told of what.
#[derive(Clone, Debug)]
pub struct Webhook {
    /// Orbit's id of it.
    pub uuid: String,
    /// What people call it; may be empty.
    pub name: String,
    /// Where posts go.
    pub url: String,
    /// Whether anything is sent at all.
    pub enabled: bool,
    /// Whether the receiver's certificate is checked.
    pub validate_tls_cert: bool,
    /// The event types that it wants.
    pub events: Vec<String>,
    /// The key that its posts are signed with.
    pub secret: WebhookSecret,
    /// Put away. Nothing is sent to it.
    pub archived: bool,
    /// When it was made, as Orbit prints it.
    pub created_at: String,
}

impl Webhook {
    /// Whether an event of this type goes there.
    pub fn wants(&self, event_type: &str) -> bool {
        self.enabled && !self.archived && self.events.iter().any(|wanted| wanted == event_type)
    }

    /// What the API shows of it.
    pub(super) fn shown(&self, masked: bool) -> Value {
        let secret = if masked {
            "*".repeat(64)
        } else {
            self.secret.expose_hex()
        };
        json!({
            "uuid": self.uuid,
            "name": self.name,
            "url": self.url,
            "enabled": self.enabled,
            "validateTlsCert": self.validate_tls_cert,
            "events": self.events,
            "secret": secret,
            "archived": self.archived,
            "createdAt": self.created_at,
        })
    }
}

/// The members of a create or update that Orbit heeds; an update may leave out any.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Change {
    name: Option<String>,
    url: Option<String>,
    enabled: Option<bool>,
    validate_tls_cert: Option<bool>,
    events: Option<Vec<String>>,
    secret: Option<String>,
    archived: Option<bool>,
}

/// Why a webhook was not made or changed.
#[derive(Debug, thiserror::Error)]
pub(super) enum ChangeError {
    /// A webhook needs to know where to.
    #[error("url is missing")]
    NoUrl,
    /// That is no place to post to.
    #[error("url is not an http or https URL")]
    Url,
    /// It must be able to sign.
    #[error("secret is missing")]
    NoSecret,
    /// It cannot sign with that.
    #[error("secret is refused: {0}")]
    Secret(#[from] WebhookSecretError),
}

impl Change {
    /// A new webhook. What is left out is fair: enabled, certificate checked, no events.
    pub(super) fn create(self, uuid: String, created_at: String) -> Result<Webhook, ChangeError> {
        let secret = self.secret.as_deref().ok_or(ChangeError::NoSecret)?;
        let mut webhook = Webhook {
            uuid,
            name: String::new(),
            url: self.url.clone().ok_or(ChangeError::NoUrl)?,
            enabled: true,
            validate_tls_cert: true,
            events: Vec::new(),
            secret: WebhookSecret::parse(secret)?,
            archived: false,
            created_at,
        };
        self.apply(&mut webhook)?;
        Ok(webhook)
    }

    /// Changes what is given and leaves the rest.
    pub(super) fn apply(self, webhook: &mut Webhook) -> Result<(), ChangeError> {
        let secret = self
            .secret
            .as_deref()
            .map(WebhookSecret::parse)
            .transpose()?;
        if let Some(url) = &self.url {
            let parsed = url::Url::parse(url).map_err(|_| ChangeError::Url)?;
            if !matches!(parsed.scheme(), "http" | "https") {
                return Err(ChangeError::Url);
            }
        }
        let set = |member: &mut String, to: Option<String>| *member = to.unwrap_or(member.clone());
        set(&mut webhook.name, self.name);
        set(&mut webhook.url, self.url);
        webhook.enabled = self.enabled.unwrap_or(webhook.enabled);
        webhook.validate_tls_cert = self.validate_tls_cert.unwrap_or(webhook.validate_tls_cert);
        webhook.archived = self.archived.unwrap_or(webhook.archived);
        if let Some(events) = self.events {
            webhook.events = events;
        }
        if let Some(secret) = secret {
            webhook.secret = secret;
        }
        Ok(())
    }
}
