//! The secrets of a destination: read for each try, known again when they were refused, and shown by
//! no answer.
//!
//! # Invariants
//! - Credentials that were refused are remembered as a hash, in memory only.

use std::sync::{MutexGuard, PoisonError};

use reqwest::header::{ACCEPT, CONTENT_TYPE, USER_AGENT};
use sha2::{Digest, Sha256};

use super::auth;
use super::blot::Secrets;
use super::outcome::Outcome;
use super::{Auth, Config, Header, Shared, Sign};
use crate::http::Stamps;
use crate::secret::{Secret, SourceError};

/// The secrets of a destination, as they were read.
pub(super) struct Keys {
    pub(super) auth: Option<Secret>,
    pub(super) signing: Vec<Secret>,
}

/// What was refused: a hash of secrets, and hashes of the files of certificates.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Refused {
    keys: [u8; 32],
    files: Stamps,
}

impl Keys {
    pub(super) fn read(config: &Config) -> Result<Self, SourceError> {
        let signing = config.sign.as_ref().map(Sign::secrets).transpose()?;
        Ok(Self {
            auth: config.auth.secret()?,
            signing: signing.unwrap_or_default(),
        })
    }

    pub(super) fn hash(&self) -> [u8; 32] {
        let mut hash = Sha256::new();
        for secret in self.auth.iter().chain(&self.signing) {
            // Parted by their hashes' fixed length.
            hash.update(Sha256::digest(secret.expose()));
        }
        hash.finalize().into()
    }

    /// All that an answer may not show, with the secret that was shown.
    pub(super) fn hidden(&self, config: &Config, shown: Option<&Secret>) -> Secrets {
        let mut secrets = Secrets::default();
        for secret in self.auth.iter().chain(&self.signing).chain(shown) {
            let secret = secret.expose();
            secrets.add(secret);
            if let Some(key) = secret.strip_prefix("whsec_") {
                secrets.add(key);
            }
            match &config.auth {
                Auth::Basic { user, .. } => secrets.add(&auth::pair(user, secret)),
                Auth::OAuth2 { token_url, .. } => secrets.add_url(token_url),
                _ => {}
            }
        }
        for Header { name, value } in &config.headers {
            // What such a header holds is no secret, and stands in many answers.
            if ![ACCEPT, CONTENT_TYPE, USER_AGENT].contains(name)
                && let Ok(value) = value.to_str()
            {
                secrets.add_if_telling(value);
            }
        }
        if let Some(Sign::Fiix {
            app_key,
            access_key,
            ..
        }) = &config.sign
        {
            secrets.add_if_telling(app_key);
            secrets.add_if_telling(access_key);
        }
        secrets.add_url(&config.url);
        if let Some(proxy) = &config.proxy {
            secrets.add_url(&proxy.url);
        }
        secrets
    }
}

impl Shared {
    pub(super) fn credentials_changed(&self) -> bool {
        let Some(refused) = &*self.refused() else {
            return false;
        };
        let now = Keys::read(&self.config).map(|keys| Refused {
            keys: keys.hash(),
            files: self.clients.files_now(),
        });
        now.is_ok_and(|now| now != *refused)
    }

    fn refused(&self) -> MutexGuard<'_, Option<Refused>> {
        self.refused.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn remember(&self, outcome: &Outcome, keys: &Keys) {
        let refused = outcome.refuses_credentials().then(|| Refused {
            keys: keys.hash(),
            files: self.clients.made_of(),
        });
        if refused.is_some() || *outcome == Outcome::Delivered {
            *self.refused() = refused;
        }
    }
}
