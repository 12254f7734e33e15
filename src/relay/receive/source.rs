//! What receive knows of one source besides Orbit.

use std::num::NonZeroU32;
use std::time::Duration;

use ipnet::IpNet;

use crate::event::Glob;
use crate::relay::transform::expression::Expression;
use crate::relay::verify::Scheme;
use crate::secret;

/// A source besides Orbit.
#[derive(Clone, Debug)]
pub struct Source {
    /// What people call it, and what keys are made of.
    pub name: String,
    /// Where it posts.
    pub path: String,
    /// How it signs.
    pub scheme: Scheme,
    /// The secrets that are good now; none where the scheme has none.
    pub secrets: Vec<secret::Source>,
    /// The types that are taken.
    pub events: Vec<Glob>,
    /// And only those of which this holds.
    pub when: Option<Expression>,
    /// Who may call; empty for everyone.
    pub allow: Vec<IpNet>,
    /// No more verified requests than this.
    pub rate_limit: Option<RateLimit>,
    /// How old, or how early, a signature may be.
    pub max_age: Duration,
}

/// So many requests a minute, and so many at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RateLimit {
    /// A minute.
    pub per_minute: NonZeroU32,
    /// At once.
    pub burst: NonZeroU32,
}
