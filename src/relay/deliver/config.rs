//! What one destination gets, and how; and how it does.

use std::time::Duration;

use crate::relay::destination;
use crate::relay::transform::address::Address;
use crate::relay::transform::expression::Expression;
use crate::retry;
use crate::secret::Source;

/// How many posts of one destination are under way at once, unless it says otherwise.
pub const IN_FLIGHT: usize = 4;
/// Beside two tries, what a claimed delivery may wait for its turn.
const LEASE_MARGIN: Duration = Duration::from_secs(30);

/// What one destination gets, and how.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where it is posted.
    pub destination: destination::Config,
    /// The event types that it takes.
    pub events: Vec<String>,
    /// And only those of which this holds.
    pub when: Option<Expression>,
    /// Whether a completed event and its alert are one.
    pub once_per: OncePer,
    /// Which deliveries wait for one another.
    pub order_by: OrderBy,
    /// How many posts are under way at once.
    pub max_in_flight: usize,
    /// No more posts than this.
    pub rate_limit: Option<Rate>,
    /// When a post is tried again, and when it is given up.
    pub retry: retry::Plan,
    /// Whether it hears what the relay itself has to say.
    pub hears_notices: bool,
    /// How it becomes known that what it made of an alert is closed, if that is to be followed.
    pub on_closed: Option<OnClosed>,
}

/// How it becomes known that an order is closed. There is one of them at least.
#[derive(Clone, Debug)]
pub struct OnClosed {
    /// The relay asks.
    pub poll: Option<Poll>,
    /// The destination's system says so, signed with this secret of Standard Webhooks.
    pub secret: Option<Source>,
}

/// What is asked, and how often.
#[derive(Clone, Debug)]
pub struct Poll {
    /// What is asked for, by what the destination answered when it took the alert.
    pub url: Address,
    /// The order is closed when this holds of the answer.
    pub when: Expression,
    /// How long from one question to the next.
    pub every: Duration,
}

impl Poll {
    /// How long from one question to the next, unless the destination says otherwise.
    pub const EVERY: Duration = Duration::from_mins(5);
}

/// What there is one delivery of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OncePer {
    /// An event: a completed event and its alert are two.
    Event,
    /// An inspection: a completed event and its alert are one.
    Inspection,
}

/// Which deliveries wait for one another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OrderBy {
    /// None.
    None,
    /// Those of one asset: one at a time, in order of arrival.
    Asset,
}

/// So many in so long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// So many.
    pub count: u32,
    /// In so long.
    pub per: Duration,
}

impl Config {
    /// No try takes longer than this, so that a lease of this length outlives what waits for its
    /// turn and the try itself.
    pub fn lease(&self) -> Duration {
        self.destination.timeout * 2 + LEASE_MARGIN
    }

    /// Whether deliveries wait for one another.
    pub(super) fn in_order(&self) -> bool {
        self.order_by == OrderBy::Asset || self.once_per == OncePer::Inspection
    }

    /// A destination that is posted to like this, with the defaults for all else.
    pub fn new(destination: destination::Config, events: Vec<String>) -> Self {
        Self {
            destination,
            events,
            when: None,
            once_per: OncePer::Event,
            order_by: OrderBy::None,
            max_in_flight: IN_FLIGHT,
            rate_limit: None,
            retry: retry::Plan::default(),
            hears_notices: false,
            on_closed: None,
        }
    }
}

/// How a destination does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Health {
    /// Nothing was sent yet.
    Untried,
    /// The last try reached it.
    Working,
    /// The last try failed, for this reason.
    Failing(String),
    /// It is down: only probes are sent.
    Down(String),
    /// It is paused: nothing is sent until a person says so.
    Paused(String),
}
