//! What the page is given of the running parts: the same handles that the commands and the parts
//! themselves use.
//!
//! # Invariants
//! - Nothing here starts anything; a page that is gone leaves every part as it was.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use axum::Router;
use tokio_util::sync::CancellationToken;

use super::assets::Assets;
use super::check::Subject;
use super::control::Ground;
use super::tasks::Common;
use crate::clock::Clock;
use crate::config::{self, Config, ShownDestination, ShownSource};
use crate::metrics::Metrics;
use crate::ops::health::Parts;
use crate::orbit;
use crate::relay::deliver;

/// Makes the routes of the page, once the parts are there.
pub type Pages = Box<dyn FnOnce(Handles) -> Router + Send>;

/// What the page may read, and act on.
#[derive(Clone, Debug)]
pub struct Handles {
    /// What acts have an effect on, as for commands.
    pub ground: Ground,
    /// How the parts do.
    pub parts: Parts,
    /// The metrics.
    pub metrics: Metrics,
    /// Time.
    pub clock: Clock,
    /// The journal's place.
    pub data_dir: PathBuf,
    /// The asset map.
    pub assets: Arc<Assets>,
    /// Orbit, if there is a host and a token.
    pub orbit: Option<Arc<orbit::Client>>,
    /// What `check` looks at.
    pub subject: Subject,
    /// The configuration as it is shown.
    pub shown: Arc<Shown>,
    /// Told when the relay stops: what lasts must end then.
    pub stop: CancellationToken,
}

impl Handles {
    pub(super) fn of(
        common: &Common,
        ground: Ground,
        assets: &Arc<Assets>,
        orbit: Option<Arc<orbit::Client>>,
        subject: Subject,
        shown: Shown,
    ) -> Self {
        Self {
            ground,
            parts: common.parts.clone(),
            metrics: common.metrics.clone(),
            clock: common.clock.clone(),
            data_dir: common.data_dir.clone(),
            assets: Arc::clone(assets),
            orbit,
            subject,
            shown: Arc::new(shown),
            stop: common.stop.clone(),
        }
    }
}

/// The configuration that the relay runs with.
#[derive(Debug)]
pub struct Shown {
    /// Every setting, and where it came from.
    pub settings: Vec<config::Shown>,
    /// Every source besides Orbit.
    pub sources: Vec<ShownSource>,
    /// Every destination.
    pub destinations: Vec<ShownDestination>,
    /// The destinations as deliveries use them.
    pub configs: Vec<deliver::Config>,
    /// Where Orbit is, if it is said.
    pub orbit_host: Option<String>,
    /// Where it listens, for events and for the page.
    pub listens: [SocketAddr; 2],
    /// Why nothing can be accepted yet, if so.
    pub not_configured: Option<String>,
    /// What the user should know.
    pub warnings: Vec<String>,
}

impl Shown {
    pub(super) fn of(config: &Config) -> Self {
        Self {
            settings: config.shown_settings(),
            sources: config.shown_sources.clone(),
            destinations: config.shown_destinations.clone(),
            configs: config.destinations.clone(),
            orbit_host: config.orbit_host.as_ref().map(|orbit| orbit.host.clone()),
            listens: [config.listen, config.ops_listen],
            not_configured: config.not_configured.clone(),
            warnings: config.warnings.clone(),
        }
    }
}
