//! A look: whether a destination answers at all, and how, while nothing is made there.
//!
//! # Invariants
//! - It goes out as a post does: same credentials, certificates, proxy and deadline.
//! - It says nothing of whether posts are taken.

use jiff::Timestamp;
use reqwest::Method;

use super::Shared;
use super::compose::Purpose;
use super::exchange::Attempt;
use super::keys::Keys;
use super::outcome::Outcome;
use super::request::Looked;
use crate::secret::Secret;

impl Shared {
    /// Its outcome is remembered nowhere: no try depends on it.
    pub(super) async fn look(&self, at: Timestamp) -> Looked {
        if let Some(broker) = &self.broker {
            return broker.look(self, at).await;
        }
        let keys = match Keys::read(&self.config) {
            Ok(keys) => keys,
            Err(error) => return Looked::NoCredentials(error.to_string()),
        };
        let head = reqwest::Request::new(Method::HEAD, self.config.url.clone());
        let mut attempt = self.attempt(Purpose::Look, head, at);
        let shown = match attempt.credentials(&keys, None).await {
            Ok(shown) => shown,
            Err(outcome) => return Looked::NoCredentials(reason(outcome)),
        };
        let mut looked = attempt.glance("HEAD", &keys, shown.as_ref()).await;
        if let Looked::Answered {
            status: 405 | 501, ..
        } = looked
        {
            *attempt.request.method_mut() = Method::OPTIONS;
            looked = attempt.glance("OPTIONS", &keys, shown.as_ref()).await;
        }
        looked
    }
}

impl Attempt<'_> {
    /// Only the status of an answer is looked at.
    async fn glance(&self, method: &'static str, keys: &Keys, shown: Option<&Secret>) -> Looked {
        let request = match self.compose(keys, shown) {
            Ok(request) => request,
            Err(error) => return Looked::NoCredentials(error.to_string()),
        };
        match self.deadline.hold(self.client.send(request)).await {
            Ok(Ok(answer)) => Looked::Answered {
                method,
                status: answer.status().as_u16(),
                with_auth: self.shared.config.auth.is_some(),
            },
            Ok(Err(error)) | Err(error) => Looked::Unreached(error),
        }
    }
}

fn reason(outcome: Outcome) -> String {
    match outcome {
        Outcome::Delivered => String::new(),
        Outcome::Postponed { reason, .. }
        | Outcome::Parked { reason, .. }
        | Outcome::Dead { reason } => reason,
    }
}
