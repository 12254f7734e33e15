//! What the screen of one delivery shows: its story, from receipt to ticket.
//!
//! # Invariants
//! - Pure, but for reading the journal. No secret is in it.
//! - What the journal does not keep is said, not guessed.
//! - Bounded: [`MOST_READINGS`], [`MOST_PICTURES`], [`LONGEST_BODY`].

use std::collections::BTreeSet;
use std::sync::Arc;

use jiff::Timestamp;
use serde::Serialize;
use url::Url;

use super::super::{Failed, Page};
use super::says::{Says, pretty};
use super::view::{Named, called, destinations};
use super::{curl, href};
use crate::app::bulk::refuses;
use crate::app::learnt::Learnt;
use crate::app::words;
use crate::event::ORBIT;
use crate::relay::assets::AssetMap;
use crate::relay::deliver::preview::Came;
use crate::relay::deliver::retrace::{Kept, Retraced, retrace};
use crate::relay::deliver::{self};
use crate::relay::journal::{
    Act, AnsweredOrder, DeliveryDetail, DeliveryId, EventRow, Kind, State,
};

/// No more of a body is shown, in characters.
pub(super) const LONGEST_BODY: usize = 100_000;

/// One delivery.
#[derive(Debug, Serialize)]
pub(crate) struct Story {
    /// `DESTINATION:NUMBER`.
    pub(crate) id: String,
    /// The event's number.
    pub(crate) event: i64,
    pub(crate) destination: Named,
    pub(crate) state: State,
    /// It waits for a row of the asset map.
    pub(crate) unmapped: bool,
    /// The inspection in one line.
    pub(crate) summary: String,
    pub(crate) source: String,
    pub(crate) event_type: String,
    /// What the event is known by.
    pub(crate) identity: String,
    /// How it came.
    pub(crate) came: String,
    pub(crate) received_at: Timestamp,
    /// What happened, in order of time.
    pub(crate) moments: Vec<Moment>,
    /// What the event says.
    pub(crate) says: Says,
    /// What Orbit said besides: of what, and what.
    pub(crate) of_orbit: Vec<(String, String)>,
    /// Which asset, and why.
    pub(crate) asset: String,
    /// Which template, and its version; none of the event form.
    pub(crate) template: Option<String>,
    /// What is asked before it goes.
    pub(crate) gate: Option<String>,
    /// What is sent, or was.
    pub(crate) requests: Vec<RequestView>,
    /// What the journal does not know of that.
    pub(crate) requests_note: Option<String>,
    /// The beginning of what was answered last.
    pub(crate) answer: Option<String>,
    /// How often it was tried, and how the last try ended.
    pub(crate) tries: String,
    /// When the next try is, and why then.
    pub(crate) next: String,
    /// What it was made into at the destination.
    pub(crate) orders: Vec<OrderView>,
    /// What people did to it and to its destination, the newest first.
    pub(crate) acts: Vec<ActView>,
    /// The same event for other destinations.
    pub(crate) others: Vec<Other>,
    /// Destinations that have no delivery of it.
    pub(crate) kept_for: Vec<Named>,
    pub(crate) can: Can,
    /// The event as it came.
    pub(crate) body: String,
    pub(crate) body_bytes: usize,
}

/// What can be done to it now.
#[derive(Debug, Serialize)]
pub(crate) struct Can {
    pub(crate) replay: bool,
    /// As it was sent before.
    pub(crate) replay_as_sent: bool,
    pub(crate) discard: bool,
}

/// Something that happened.
#[derive(Debug, Serialize)]
pub(crate) struct Moment {
    /// When; none where that is not kept, or not known yet.
    pub(crate) at: Option<Timestamp>,
    pub(crate) what: String,
}

/// One request.
#[derive(Debug, Serialize)]
pub(crate) struct RequestView {
    pub(crate) name: String,
    /// What came of it.
    pub(crate) state: &'static str,
    /// It is made only where this holds.
    pub(crate) when: Option<String>,
    /// Whether it adds to a ticket that is open.
    pub(crate) adds: bool,
    /// Empty where it is not known.
    pub(crate) method: &'static str,
    pub(crate) url: String,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Option<String>,
    /// What was taken of the answer, as JSON.
    pub(crate) taken: Option<String>,
    pub(crate) refused: Option<String>,
    /// As a command; none where there is none.
    pub(crate) curl: Option<String>,
    pub(crate) no_curl: Option<&'static str>,
    /// What the command needs.
    pub(crate) variables: Vec<String>,
}

/// A work order.
#[derive(Debug, Serialize)]
pub(crate) struct OrderView {
    pub(crate) destination: String,
    pub(crate) title: Option<String>,
    /// `open`, `closed`, or `told`: Orbit knows.
    pub(crate) state: &'static str,
    /// The beginning of what the destination answered: its number is in it.
    pub(crate) answer: Option<String>,
    pub(crate) taken_at: Timestamp,
    pub(crate) closed_at: Option<Timestamp>,
    /// How that became known.
    pub(crate) closed_by: Option<String>,
    pub(crate) orbit_closed_at: Option<Timestamp>,
    /// Why it cannot be asked for, or Orbit cannot be told.
    pub(crate) why: Option<String>,
}

/// What somebody did.
#[derive(Debug, Serialize)]
pub(crate) struct ActView {
    pub(crate) at: Timestamp,
    pub(crate) who: String,
    pub(crate) what: String,
    pub(crate) detail: String,
    /// To this delivery, and not only to its destination.
    pub(crate) on_this: bool,
}

/// The same event for another destination.
#[derive(Debug, Serialize)]
pub(crate) struct Other {
    pub(crate) id: String,
    pub(crate) destination: Named,
    pub(crate) state: State,
    pub(crate) attempts: u32,
    pub(crate) reason: Option<String>,
}

/// What a story is made of.
pub(super) struct Known<'a> {
    pub(super) detail: &'a DeliveryDetail,
    pub(super) orders: Vec<AnsweredOrder>,
    pub(super) destinations: Vec<Named>,
    pub(super) map: &'a AssetMap,
    /// The destinations as deliveries use them.
    pub(super) configs: &'a [deliver::Config],
    pub(super) orbit: Option<&'a Url>,
}

/// The story of the delivery that a path names; none where there is none.
pub(crate) async fn story(page: &Arc<Page>, id: &DeliveryId) -> Result<Story, Failed> {
    let id = id.clone();
    let map = page.app.assets.current().borrow().clone();
    let shown = Arc::clone(&page.app.shown);
    let orbit = page.app.orbit.as_ref().map(|orbit| orbit.base().clone());
    let found = page.read(move |reader| {
        let Some(detail) = reader.delivery(&id)? else {
            return Ok(None);
        };
        let orders = match Says::run_event(&detail.event) {
            Some(run_event) => reader.orders_of(&run_event)?,
            None => Vec::new(),
        };
        let known = Known {
            orders,
            destinations: destinations(&reader.sums()?),
            detail: &detail,
            map: &map,
            configs: &shown.configs,
            orbit: orbit.as_ref(),
        };
        Ok(Some(known.story()))
    });
    found.await?.ok_or_else(Failed::not_found)
}

impl Known<'_> {
    pub(super) fn story(&self) -> Story {
        let detail = self.detail;
        let (delivery, event) = (&detail.delivery, &detail.event);
        let config = self.config();
        let learnt = Learnt::of(detail, Some(self.map));
        let says = Says::of(event, &detail.enrichment);
        let (requests, requests_note) = self.requests(config);
        let others: Vec<_> = self.others();
        Story {
            id: delivery.id.to_string(),
            event: event.seq,
            destination: self.named(&delivery.id.destination),
            state: delivery.state,
            unmapped: detail.unmapped,
            summary: says
                .summary
                .clone()
                .unwrap_or_else(|| event.event_type.clone()),
            source: event.source.clone(),
            event_type: event.event_type.clone(),
            identity: event.identity.clone(),
            came: came(event),
            received_at: event.received_at,
            moments: self.moments(&says),
            of_orbit: of_orbit(detail),
            asset: format!("{}{}", words::asset(detail), learnt.row()),
            template: template(detail, config),
            gate: gate(detail),
            requests,
            requests_note,
            answer: detail.answer.clone(),
            tries: words::tries(detail),
            next: words::next(detail),
            orders: self.orders.iter().map(|order| self.order(order)).collect(),
            acts: acts(detail),
            kept_for: self.kept_for(),
            others,
            can: Can {
                replay: refuses(Kind::Replay, detail).is_none(),
                replay_as_sent: refuses(Kind::Replay, detail).is_none() && detail.relay.is_some(),
                discard: refuses(Kind::Discard, detail).is_none(),
            },
            body: pretty(&String::from_utf8_lossy(&event.body), LONGEST_BODY),
            body_bytes: event.body.len(),
            says,
        }
    }

    fn config(&self) -> Option<&deliver::Config> {
        let id = &self.detail.delivery.id.destination;
        let mut configs = self.configs.iter();
        configs.find(|config| config.destination.id == *id)
    }

    fn named(&self, id: &str) -> Named {
        let mut all = self.destinations.iter();
        let found = all.find(|named| named.id == id).cloned();
        found.unwrap_or_else(|| Named {
            id: id.to_owned(),
            name: called("", id).to_owned(),
        })
    }

    fn requests(&self, config: Option<&deliver::Config>) -> (Vec<RequestView>, Option<String>) {
        let (detail, event) = (self.detail, &self.detail.event);
        let came = Came {
            source: event.source.clone(),
            event_type: event.event_type.clone(),
            origin: event.origin.clone(),
            identity: event.identity.clone(),
            received_at: event.received_at,
            body: event.body.clone(),
            enrichment: detail.enrichment.clone(),
        };
        let kept = Kept {
            relay: detail.relay.as_deref(),
            message: detail.message.as_deref(),
            progress: detail.progress.as_deref(),
            template: detail.template.as_deref(),
        };
        match retrace(config, self.map, &came, self.orbit, &kept) {
            Err(why) => (
                Vec::new(),
                Some(format!("The requests cannot be shown: {why}")),
            ),
            Ok(all) => {
                let note = note(detail, config);
                let all = all.into_iter();
                let views = all.map(|of| request(of, detail.delivery.state));
                (views.collect(), note)
            }
        }
    }

    fn others(&self) -> Vec<Other> {
        let this = &self.detail.delivery.id;
        let rows = self.detail.event.deliveries.iter();
        let rows = rows.filter(|row| row.destination != this.destination);
        let others = rows.map(|row| Other {
            id: format!("{}:{}", row.destination, this.seq),
            destination: self.named(&row.destination),
            state: row.state,
            attempts: row.attempts,
            reason: row.reason.clone(),
        });
        others.collect()
    }

    /// Configured, and without a delivery of it.
    fn kept_for(&self) -> Vec<Named> {
        let rows = self.detail.event.deliveries.iter();
        let has: BTreeSet<&str> = rows.map(|row| &*row.destination).collect();
        let ids = self.configs.iter().map(|config| &*config.destination.id);
        let without = ids.filter(|id| !has.contains(id));
        without.map(|id| self.named(id)).collect()
    }

    fn order(&self, of: &AnsweredOrder) -> OrderView {
        let order = &of.order;
        OrderView {
            destination: self.named(&order.destination).name,
            title: order.title.clone(),
            state: match (order.closed_at, order.orbit_closed_at) {
                (None, _) => "open",
                (Some(_), None) => "closed",
                (Some(_), Some(_)) => "told",
            },
            answer: of.answer.clone(),
            taken_at: order.taken_at,
            closed_at: order.closed_at,
            closed_by: order.closed_by.clone(),
            orbit_closed_at: order.orbit_closed_at,
            why: order.orbit_why.clone().or_else(|| order.poll_why.clone()),
        }
    }

    fn moments(&self, says: &Says) -> Vec<Moment> {
        let detail = self.detail;
        let mut all = Vec::new();
        let mut add = |at: Option<Timestamp>, what: String| {
            if at.is_some() {
                all.push(Moment { at, what });
            }
        };
        add(says.at, "The robot inspected.".to_owned());
        add(
            Some(detail.event.received_at),
            format!("The event came here: {}.", came(&detail.event)),
        );
        for act in detail.act.iter().chain(&detail.since) {
            add(Some(act.at), act_words(act));
        }
        if detail.delivery.attempts > 0 {
            let how = match detail.delivery.state {
                State::Delivered => "the destination took it".to_owned(),
                State::Discarded => "it was thrown away".to_owned(),
                state => format!("it is {} since then", state.as_str()),
            };
            let last = format!("Try {} ended: {how}.", detail.delivery.attempts);
            add(detail.changed_at, last);
        }
        for order in &self.orders {
            let to = self.named(&order.order.destination).name;
            add(
                Some(order.order.taken_at),
                format!("{to} made an order of it."),
            );
            add(
                order.order.closed_at,
                format!("The order at {to} was closed."),
            );
            let told = "Orbit had heard that its order is closed.";
            add(order.order.orbit_closed_at, told.to_owned());
        }
        all.sort_by_key(|moment| moment.at);
        let waits = matches!(detail.delivery.state, State::Pending | State::Postponed);
        if waits {
            all.push(Moment {
                at: detail.delivery.due_at.max(detail.hold_until),
                what: format!("The next try: {}.", words::next(detail)),
            });
        }
        all
    }
}

fn act_words(act: &Act) -> String {
    let to = act.destination.as_deref().map(|to| format!(" at {to}"));
    let why = words::because(&act.detail);
    format!("{}: {}{}{why}", act.who, act.what, to.unwrap_or_default())
}

/// How an event came here, in words.
fn came(event: &EventRow) -> String {
    match &*event.origin {
        // A source may be configured to sign nothing, and may have been so then.
        "webhook" if event.source != ORBIT => format!(
            "{} called its webhook, what came was accepted as its scheme says and then kept",
            event.source
        ),
        "webhook" => format!(
            "{} called the webhook, what came was verified and then kept",
            event.source
        ),
        "backfill" => format!(
            "found at {} where the webhook had not brought it",
            event.source
        ),
        "replay" => "a person asked for it again".to_owned(),
        "relay" => "the relay itself has something to say".to_owned(),
        "work_order" => format!("{} asked for a work order", event.source),
        "sample" => "a person had this sample made: nothing happened".to_owned(),
        other => other.to_owned(),
    }
}

fn of_orbit(detail: &DeliveryDetail) -> Vec<(String, String)> {
    let known = &detail.enrichment;
    let said = [("run", &known.run), ("anomaly", &known.anomaly)];
    let said = said.into_iter().filter_map(|(what, said)| {
        let said = match said.as_deref()? {
            "null" => "Orbit has none.".to_owned(),
            said => pretty(said, LONGEST_BODY),
        };
        Some((what.to_owned(), said))
    });
    said.collect()
}

fn template(detail: &DeliveryDetail, config: Option<&deliver::Config>) -> Option<String> {
    let preset = config.and_then(|config| config.message.preset);
    let now = config.and_then(|config| config.message.version.as_deref());
    let of = preset.map_or_else(String::new, |preset| format!(" of the preset {preset}"));
    match (detail.template.as_deref(), now) {
        (Some(was), Some(now)) if was == now => Some(format!("version {was}{of}")),
        (Some(was), _) => Some(format!("version {was}, which is not the one of now{of}")),
        (None, Some(now)) if detail.relay.is_none() => Some(format!("version {now}{of}")),
        (None, _) => None,
    }
}

fn gate(detail: &DeliveryDetail) -> Option<String> {
    if let Some(why) = &detail.cancels {
        return Some(format!("As a gate, it keeps the event from others: {why}"));
    }
    let gate = detail.gate.as_deref()?;
    Some(format!("It goes when the gate {gate} has answered."))
}

/// What of the requests is not known.
fn note(detail: &DeliveryDetail, config: Option<&deliver::Config>) -> Option<String> {
    let is_other = |config: &deliver::Config| {
        detail.relay.is_some() && config.message.version != detail.template
    };
    match config {
        None => Some(
            "The destination is no longer configured: of what was sent only this is kept."
                .to_owned(),
        ),
        Some(config) if is_other(config) => Some(
            "The template is another one by now: of what was sent only this is kept.".to_owned(),
        ),
        Some(_) if detail.relay.is_none() => {
            Some("Nothing was sent yet: this is what would be sent now.".to_owned())
        }
        Some(_) => None,
    }
}

fn request(of: Retraced, state: State) -> RequestView {
    let command = curl::command(&of.request);
    let variables = curl::variables(&of.request);
    let request = of.request;
    RequestView {
        state: match (&of.done, &of.refused) {
            (Some(_), _) => "done",
            (_, Some(_)) => "refused",
            _ if request.frozen && state == State::Delivered => "sent",
            _ if request.frozen => "ready",
            _ => "made anew at each try",
        },
        name: request.round,
        when: request.when,
        adds: request.adds,
        method: request.method,
        url: request.url,
        headers: request.headers,
        body: request.body.map(|body| pretty(&body, LONGEST_BODY)),
        taken: of.done.filter(|taken| taken != "{}"),
        refused: of.refused,
        no_curl: command.as_ref().err().copied(),
        curl: command.ok(),
        variables,
    }
}

fn acts(detail: &DeliveryDetail) -> Vec<ActView> {
    let this = detail.act.iter().map(|act| (act, true));
    let others = detail.since.iter().map(|act| (act, false));
    let all = this.chain(others).map(|(act, on_this)| ActView {
        at: act.at,
        who: act.who.clone(),
        what: act.what.clone(),
        detail: act.detail.clone(),
        on_this,
    });
    let mut all: Vec<_> = all.collect();
    all.sort_by_key(|act| std::cmp::Reverse(act.at));
    all
}

impl Other {
    /// Where its own story stands.
    pub(crate) fn href(&self) -> String {
        href(&self.id)
    }
}
