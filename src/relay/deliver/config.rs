//! What one destination gets, and how; and how it does.

use std::sync::Arc;
use std::time::Duration;

use crate::event::{NOTICE, ORBIT, RELAY, Takes};
use crate::relay::destination::{self, Kind, Step};
use crate::relay::transform::address::Address;
use crate::relay::transform::expression::Expression;
use crate::relay::transform::json::Json;
use crate::relay::transform::template::Gapped;
use crate::retry;
use crate::secret::Source;

/// How many posts of one destination are under way at once, unless it says otherwise.
pub const IN_FLIGHT: usize = 4;
/// Beside two tries, what a claimed delivery may wait for its turn.
const LEASE_MARGIN: Duration = Duration::from_secs(30);
/// For the pictures of one request.
pub(super) const PICTURES: Duration = Duration::from_mins(1);

/// What one destination gets, and how.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where it is posted.
    pub destination: destination::Config,
    /// The events that it takes.
    pub takes: Vec<Takes>,
    /// And only those of which this holds.
    pub when: Option<Expression>,
    /// Whether a completed event and its alert are one.
    pub once_per: OncePer,
    /// Which deliveries wait for one another.
    pub order_by: OrderBy,
    /// What goes out.
    pub message: Message,
    /// What becomes of an event without an asset.
    pub unmapped: Unmapped,
    /// What becomes of an alert whose asset and action have an open ticket.
    pub while_open: WhileOpen,
    /// For how long an event waits for what Orbit has to say; none: by its urgency.
    pub enrich_wait: Option<Duration>,
    /// How many posts are under way at once.
    pub max_in_flight: usize,
    /// No more posts than this.
    pub rate_limit: Option<Rate>,
    /// When a post is tried again, and when it is given up.
    pub retry: retry::Plan,
    /// Whether it is asked before an event goes to others.
    pub gate: Option<Gate>,
    /// Whether what it answers is an event of the relay.
    pub answer_as_event: bool,
    /// How it becomes known that what it made of an alert is closed, if that is to be followed.
    pub on_closed: Option<OnClosed>,
}

/// How a gate is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gate {
    /// What becomes of an event that it gives no answer to.
    pub on_failure: OnFailure,
    /// For so long its answer is waited for.
    pub limit: Duration,
}

/// What becomes of an event that a gate gives no answer to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnFailure {
    /// It goes to the others.
    Pass,
    /// It is held: a person decides.
    Hold,
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

/// What goes out, and with which pictures.
#[derive(Clone, Debug)]
pub struct Message {
    /// The event, or requests of a template.
    pub form: Form,
    /// The requests that add to a ticket that is still open.
    pub append: Vec<Step>,
    /// What becomes of pictures.
    pub images: Images,
    /// No larger picture is sent, in bytes.
    pub image_limit: u64,
    /// No more of them in one event, in bytes.
    pub images_limit: u64,
    /// Whether members that are null are left out of bodies.
    pub drop_null: bool,
    /// What templates see as `settings`.
    pub settings: Arc<Json>,
    /// What some of their texts see as `secrets`.
    pub secrets: Vec<(String, Source)>,
    /// What tells this template from an earlier one; none of the event form.
    pub version: Option<String>,
    /// The preset that it is from.
    pub preset: Option<&'static str>,
}

/// The event, or requests of a template.
#[derive(Clone, Debug)]
pub enum Form {
    /// The event as its source sent it, with `relay`.
    Event,
    /// Requests, one after the other.
    Steps(Vec<Step>),
}

/// What becomes of the pictures of an inspection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Images {
    /// They stand in the body, in base64.
    Embed,
    /// Their addresses do.
    Link,
    /// They go beside the body, or in steps of their own.
    Attach,
    /// Nothing.
    None,
}

/// What becomes of an inspection that no asset is known for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unmapped {
    /// It is sent without one.
    Send,
    /// It waits until the asset map has one.
    Park,
    /// It is about this one.
    Default(String),
}

/// What becomes of an alert whose asset and action have a ticket that is still open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WhileOpen {
    /// It makes another ticket.
    Create,
    /// It adds to that ticket.
    Append,
    /// Nothing.
    Skip,
}

impl Message {
    /// No larger picture is sent, unless the destination says otherwise: in bytes.
    pub const IMAGE_LIMIT: u64 = 5_000_000;
    /// No more of them in one event.
    pub const IMAGES_LIMIT: u64 = 15_000_000;

    /// The names that its templates ask for, such as `inspection.severity`.
    pub fn names(&self) -> impl Iterator<Item = String> {
        let steps = match &self.form {
            Form::Event => &[],
            Form::Steps(steps) => steps.as_slice(),
        };
        steps.iter().chain(&self.append).flat_map(Step::names)
    }
}

impl Default for Message {
    fn default() -> Self {
        Self {
            form: Form::Event,
            append: Vec::new(),
            images: Images::None,
            image_limit: Self::IMAGE_LIMIT,
            images_limit: Self::IMAGES_LIMIT,
            drop_null: false,
            settings: Arc::new(Json::Object(Vec::new())),
            secrets: Vec::new(),
            version: None,
            preset: None,
        }
    }
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
    /// A lease of this length outlives what waits for its turn and the try itself. A try of more
    /// requests than there are steps ends before, and the rest goes on with the next.
    pub fn lease(&self) -> Duration {
        self.longest_try() + self.destination.timeout + LEASE_MARGIN
    }

    /// No try of one request for each step takes longer.
    pub(super) fn longest_try(&self) -> Duration {
        let exchanges = match &self.message.form {
            Form::Event => 1,
            Form::Steps(steps) => steps.len().max(self.message.append.len()),
        };
        // The first may be made twice, with another login.
        let exchanges = u32::try_from(exchanges)
            .unwrap_or(u32::MAX)
            .saturating_add(1);
        self.destination.timeout * exchanges + PICTURES
    }

    /// No request takes longer, its pictures included.
    pub(super) fn longest_round(&self) -> Duration {
        self.destination.timeout + PICTURES
    }

    /// The names that its templates and its filter ask for, such as `inspection.severity`.
    pub(super) fn names(&self) -> impl Iterator<Item = String> {
        let topic = match &self.destination.kind {
            Kind::Mqtt(mqtt) => Some(&mqtt.topic),
            Kind::Http => None,
        };
        let filter = self.when.iter().flat_map(Expression::names);
        let topic = topic.into_iter().flat_map(Gapped::names);
        self.message.names().chain(filter).chain(topic)
    }

    /// Whether it takes events of this source and type.
    pub fn takes(&self, source: &str, event_type: &str) -> bool {
        self.takes
            .iter()
            .any(|takes| takes.takes(source, event_type))
    }

    /// Whether it hears of trouble.
    pub fn hears_notices(&self) -> bool {
        self.takes(RELAY, NOTICE)
    }

    /// Whether deliveries wait for one another.
    pub(super) fn in_order(&self) -> bool {
        self.order_by == OrderBy::Asset
            || self.once_per == OncePer::Inspection
            || self.while_open != WhileOpen::Create
    }

    /// A destination that is posted to like this, with the defaults for all else.
    #[expect(clippy::needless_pass_by_value, reason = "callers have a list to give")]
    pub fn new(destination: destination::Config, events: Vec<String>) -> Self {
        Self {
            destination,
            takes: vec![Takes::new(ORBIT, &events)],
            when: None,
            once_per: OncePer::Event,
            order_by: OrderBy::None,
            message: Message::default(),
            unmapped: Unmapped::Send,
            while_open: WhileOpen::Create,
            enrich_wait: None,
            max_in_flight: IN_FLIGHT,
            rate_limit: None,
            retry: retry::Plan::default(),
            gate: None,
            answer_as_event: false,
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
