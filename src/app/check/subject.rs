//! What is looked at.
//!
//! # Invariants
//! - A running relay is looked at through its own clients and destinations, so that what is seen is
//!   what its deliveries see.

use std::error::Error;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;

use url::Url;

use super::webhooks::Wanted;
use crate::config::{Config, ConfigError};
use crate::http::Trust;
use crate::orbit::Client;
use crate::reconcile::webhook::{self, Address, Machine};
use crate::relay::destination::Destination;
use crate::secret::WebhookSecret;

/// How the ports are looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ports {
    /// They are this process's own, and are not tried.
    Ours,
    /// A relay that runs on the same data directory may hold them.
    HeldByARelay,
    /// Nobody should hold them.
    Free,
}

/// Where Orbit is, and how it is asked.
#[derive(Clone, Debug)]
pub struct OrbitAt {
    /// `HOST[:PORT]`.
    pub host: String,
    /// How its certificate is verified, in words.
    pub verified: String,
    /// Whether any is accepted.
    pub accepts_any: bool,
    /// Whether there is a token.
    pub has_token: bool,
    /// The client, or why there is none.
    pub client: Result<Arc<Client>, String>,
}

/// What is looked at.
#[derive(Clone, Debug)]
pub struct Subject {
    /// What is wrong with the configuration, a line each.
    pub problems: Vec<String>,
    /// Why nothing can be accepted yet.
    pub not_configured: Option<String>,
    /// Whether that is meant so: other sources are there, and nothing of Orbit.
    pub sources_alone: bool,
    /// What the user should know.
    pub warnings: Vec<String>,
    /// How many settings and destinations are given, in words.
    pub given: String,
    /// The journal's place, and what it may take.
    pub data_dir: PathBuf,
    /// The same in bytes.
    pub journal_limit: u64,
    /// Where events come in.
    pub listen: SocketAddr,
    /// Health and metrics.
    pub ops_listen: SocketAddr,
    /// How these are looked at.
    pub ports: Ports,
    /// Orbit, if there is a host.
    pub orbit: Option<OrbitAt>,
    /// Whether Orbit is asked what only this check wants to know.
    pub answer_questions: bool,
    /// How our webhook should be.
    pub webhook: webhook::Config,
    /// The address on record.
    pub noted: Option<Address>,
    /// The machine of this container, if it is one and has a default route.
    pub gateway: Option<IpAddr>,
    /// The signing secret, if it is known.
    pub secret: Option<WebhookSecret>,
    /// The asset map.
    pub asset_map: Option<PathBuf>,
    /// Whether Orbit is looked through for what the webhook missed.
    pub backfill: bool,
    /// How many destinations hear of trouble.
    pub hearing: usize,
    /// Where events go, or why one cannot be used.
    pub destinations: Vec<(String, Result<Destination, String>)>,
}

impl Subject {
    /// What this configuration says. Nothing is asked yet.
    pub fn of(config: &Config, wrong: Option<&ConfigError>) -> Self {
        let problems = match wrong {
            None => Vec::new(),
            Some(ConfigError::Wrong(problems)) => {
                problems.iter().map(ToString::to_string).collect()
            }
            Some(error) => vec![chain(error)],
        };
        let (settings, destinations) = (config.shown.len(), config.destinations.len());
        let expressions = config.destinations.iter();
        let expressions = expressions.filter(|to| to.when.is_some()).count();
        let orbit = config.orbit_host.as_ref().map(|orbit| OrbitAt {
            host: orbit.host.clone(),
            verified: verified(&orbit.trust, config.webhook.machine),
            accepts_any: matches!(orbit.trust, Trust::Anything),
            has_token: config.orbit.is_some(),
            client: Client::build(orbit.clone())
                .map(Arc::new)
                .map_err(|error| chain(&error)),
        });
        let build = |to: &crate::relay::deliver::Config| {
            let built = Destination::build(to.destination.clone());
            (
                to.destination.name.clone(),
                built.map_err(|error| chain(&error)),
            )
        };
        Self {
            problems,
            not_configured: config.not_configured.clone(),
            sources_alone: config.sources_alone,
            warnings: config.warnings.clone(),
            given: format!(
                "it can be used: settings {settings}, destinations {destinations}, filters that compile \
                 {expressions}"
            ),
            data_dir: config.data_dir.clone(),
            journal_limit: config.journal_limit,
            listen: config.listen,
            ops_listen: config.ops_listen,
            ports: Ports::Free,
            orbit,
            answer_questions: true,
            webhook: config.webhook.clone(),
            noted: None,
            gateway: config.gateway,
            secret: config.secret.clone(),
            asset_map: config.asset_map.clone(),
            backfill: config.backfill.on,
            hearing: config
                .destinations
                .iter()
                .filter(|to| to.hears_notices())
                .count(),
            destinations: config.destinations.iter().map(build).collect(),
        }
    }

    /// The same, looked at through the parts of the relay that runs.
    pub(in crate::app) fn of_running(
        self,
        client: Option<Arc<Client>>,
        destinations: Vec<(String, Destination)>,
    ) -> Self {
        let own = client.map(Ok);
        Self {
            orbit: self.orbit.map(|orbit| OrbitAt {
                client: own.unwrap_or(orbit.client),
                ..orbit
            }),
            destinations: destinations
                .into_iter()
                .map(|(name, destination)| (name, Ok(destination)))
                .collect(),
            ports: Ports::Ours,
            answer_questions: false,
            ..self
        }
    }

    pub(super) fn wanted_webhook(&self) -> Wanted<'_> {
        Wanted {
            url: self.address().and_then(|now| Url::parse(&now.url).ok()),
            config: &self.webhook,
            secret: self.secret.as_ref(),
            has_token: self.orbit.as_ref().is_some_and(|orbit| orbit.has_token),
            runs: self.ports != Ports::Free,
        }
    }
}

fn verified(trust: &Trust, machine: Machine) -> String {
    match trust {
        Trust::Authorities(added) if added.is_empty() => "by the public authorities".to_owned(),
        Trust::Authorities(_) => "by the authorities that ORBIT_VERIFY names".to_owned(),
        Trust::Pinned(_) => "it is the one that is pinned".to_owned(),
        Trust::Anything => match machine {
            // Who could stand in between is on this machine, and could read all that the relay has.
            Machine::Ours { gateway: None } => "not verified: Orbit is on this machine",
            // A container with the network of its host cannot know that it has it.
            Machine::Ours { gateway: Some(_) } => {
                "not verified: with a bridge network the gateway is this machine"
            }
            Machine::Another => "not verified: ORBIT_VERIFY=false accepts any",
        }
        .to_owned(),
    }
}

/// An error and its causes.
fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        text = format!("{text}: {inner}");
        cause = inner.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn that_an_unverified_orbit_is_on_this_machine_is_said_of_loopback_alone() {
        let gateway = "172.17.0.1".parse().ok();
        for (machine, says_so) in [
            (Machine::Ours { gateway: None }, true),
            (Machine::Ours { gateway }, false),
            (Machine::Another, false),
        ] {
            let said = verified(&Trust::Anything, machine);
            assert!(said.starts_with("not verified: "), "{said}");
            assert_eq!(said.contains("Orbit is on this machine"), says_so, "{said}");
        }
    }
}
