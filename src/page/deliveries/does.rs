//! What people do to deliveries: send again, throw away, send elsewhere; one, or all that a search
//! finds.
//!
//! # Invariants
//! - Nothing is done by GET. What concerns many is counted and shown before it is done, and no
//!   more than that is done: only what was there when it was counted.
//! - All goes through [`control::act`], as what commands do, with the person's name.

use std::sync::Arc;

use axum::Form;
use axum::extract::rejection::FormRejection;
use axum::extract::{Path, RawQuery, State};
use axum::response::{IntoResponse as _, Redirect};
use maud::{Markup, html};
use serde::{Deserialize, Serialize};

use super::super::access::{Decide, Person};
use super::super::html::layout::{self, Here};
use super::super::html::parts::{self, text};
use super::super::{Answer, Failed, Page};
use super::view::Named;
use super::wanted::Wanted;
use super::{href, id_of, one_of, view};
use crate::app::bulk::{refuses, refuses_states};
use crate::app::control::{self, Ask};
use crate::relay::journal::{Bulk, Counted, DeliveryId, Filter, Kind};

/// So many deliveries of each destination are shown before it is done.
const SHOWN: usize = 5;
/// By which name the count goes along that was shown.
const SHOWN_COUNT: &str = "shown";

pub(super) async fn replay(
    State(page): State<Arc<Page>>,
    Decide(person): Decide,
    Path(id): Path<String>,
) -> Answer {
    one(&page, &person, &id, Kind::Replay, false).await
}

pub(super) async fn replay_as_sent(
    State(page): State<Arc<Page>>,
    Decide(person): Decide,
    Path(id): Path<String>,
) -> Answer {
    one(&page, &person, &id, Kind::Replay, true).await
}

pub(super) async fn discard(
    State(page): State<Arc<Page>>,
    Decide(person): Decide,
    Path(id): Path<String>,
) -> Answer {
    one(&page, &person, &id, Kind::Discard, false).await
}

async fn one(page: &Arc<Page>, person: &Person, id: &str, kind: Kind, as_sent: bool) -> Answer {
    let id = id_of(id)?;
    let jobs = begin_one(page, person, &id, kind, as_sent).await?;
    page.say(
        person,
        match (jobs, kind) {
            (0, _) => "There was nothing to do: it has gone on meanwhile.",
            (_, Kind::Replay) => "It is sent again, as soon as it is its turn.",
            (_, Kind::Discard) => "It is thrown away.",
        },
    );
    Ok(Redirect::to(&href(&id.to_string())).into_response())
}

/// Begins an act on one delivery; gives how many jobs were begun.
pub(crate) async fn begin_one(
    page: &Arc<Page>,
    person: &Person,
    id: &DeliveryId,
    kind: Kind,
    as_sent: bool,
) -> Result<usize, Failed> {
    let wanted = id.clone();
    let found = page.read(move |reader| reader.delivery(&wanted)).await?;
    let found = found.ok_or_else(Failed::not_found)?;
    if let Some(why) = refuses(kind, &found) {
        return Err(Failed::wrong(
            why,
            "Look again: it may have gone on meanwhile.",
        ));
    }
    let filter = Filter {
        ids: [id.clone()].into(),
        ..Filter::default()
    };
    let bulk = Bulk {
        kind,
        filter,
        as_sent,
    };
    begin(page, person, bulk).await
}

/// Gives how many jobs were begun.
pub(crate) async fn begin(page: &Arc<Page>, person: &Person, bulk: Bulk) -> Result<usize, Failed> {
    let ask = Ask::Begin {
        who: person.name.clone(),
        bulk: Box::new(bulk),
    };
    match control::act_within(&page.app.ground, ask, &page.app.stop).await {
        control::Answer::Begun(jobs) => Ok(jobs.len()),
        other => Err(failed(other)),
    }
}

fn failed(answer: control::Answer) -> Failed {
    let why = match answer {
        control::Answer::Failed(why) => why,
        _ => "The relay answered something else.".to_owned(),
    };
    Failed::unavailable(why, "Nothing was changed, or it is not known: look again.")
}

#[derive(Deserialize)]
pub(super) struct To {
    to: String,
}

pub(super) async fn send(
    State(page): State<Arc<Page>>,
    Decide(person): Decide,
    Path(seq): Path<i64>,
    to: Result<Form<To>, FormRejection>,
) -> Answer {
    let Ok(Form(To { to })) = to else {
        let advice = "Go back and choose one.";
        return Err(Failed::wrong("No destination was chosen.", advice));
    };
    let sent = send_to(&page, &person, seq, &to).await?;
    page.say(
        &person,
        if sent {
            "It is sent there."
        } else {
            "It waits for this destination already, or was thrown away there: nothing was changed."
        },
    );
    let id = DeliveryId {
        destination: to,
        seq,
    };
    Ok(Redirect::to(&href(&id.to_string())).into_response())
}

/// Sends an event to a destination, by its id; whether that changed anything.
pub(crate) async fn send_to(
    page: &Arc<Page>,
    person: &Person,
    seq: i64,
    to: &str,
) -> Result<bool, Failed> {
    if !page.app.ground.destinations.contains_key(to) {
        let advice = "Choose one that is.";
        return Err(Failed::wrong("This destination is not configured.", advice));
    }
    if page.read(move |reader| reader.event(seq)).await?.is_none() {
        return Err(Failed::not_found());
    }
    let ask = Ask::Send {
        destination: to.to_owned(),
        seq,
        who: person.name.clone(),
    };
    match control::act_within(&page.app.ground, ask, &page.app.stop).await {
        control::Answer::Sent(sent) => Ok(sent),
        other => Err(failed(other)),
    }
}

/// What a bulk act would be done to.
#[derive(Debug, Serialize)]
pub(crate) struct Counts {
    /// Which act.
    pub(crate) act: &'static str,
    /// To which deliveries, in words.
    pub(crate) to: String,
    /// How many in all.
    pub(crate) total: u64,
    /// By destination and state.
    pub(crate) by_state: Vec<(String, &'static str, u64)>,
    /// The first few.
    pub(crate) first: Vec<(String, String)>,
}

struct Order {
    wanted: Wanted,
    bulk: Bulk,
    /// How many were shown, if any were.
    shown: Option<u64>,
}

/// What the address says is to be done.
fn order(query: &str, now: jiff::Timestamp) -> Result<Order, Failed> {
    let back = "Go back and search again.";
    let (wanted, problems) = Wanted::parse(query, now);
    if let Some(problem) = problems.into_iter().next() {
        return Err(Failed::wrong(problem.what, back));
    }
    let mut acts = url::form_urlencoded::parse(query.as_bytes()).filter(|(name, _)| name == "act");
    let act = acts.next().and_then(|(_, word)| Kind::from_word(&word));
    let Some(kind) = act else {
        return Err(Failed::wrong("It is not said what is to be done.", back));
    };
    let Some(filter) = wanted.filter() else {
        let what = "This can only be done by destination, state and time.";
        let advice = "Leave the other fields of the search empty.";
        return Err(Failed::wrong(what, advice));
    };
    let mut shown = url::form_urlencoded::parse(query.as_bytes());
    let shown = shown.find(|(name, _)| name == SHOWN_COUNT);
    let shown = shown.and_then(|(_, count)| count.parse().ok());
    let bulk = Bulk {
        kind,
        filter,
        as_sent: false,
    };
    check(&bulk)?;
    Ok(Order {
        wanted,
        bulk,
        shown,
    })
}

/// Whether it is for anything, and not for everything.
pub(crate) fn check(bulk: &Bulk) -> Result<(), Failed> {
    if bulk.filter.is_empty() {
        let advice = "Search for something, so that not everything is meant.";
        return Err(Failed::wrong("It is not said which deliveries.", advice));
    }
    match refuses_states(bulk.kind, &bulk.filter) {
        Some(why) => Err(Failed::wrong(why, "Choose other states.")),
        None => Ok(()),
    }
}

/// Says how many it would be.
pub(super) async fn ask(
    State(page): State<Arc<Page>>,
    Decide(person): Decide,
    RawQuery(query): RawQuery,
) -> Answer {
    let now = page.app.clock.wall();
    let mut order = order(&query.unwrap_or_default(), now)?;
    // What comes while somebody thinks about it is not meant.
    let until = order.wanted.until.map_or(now, |until| until.min(now));
    order.wanted.until = Some(until);
    order.bulk.filter.until = Some(until);
    let counts = count(&page, &order.bulk).await?;
    let title = match order.bulk.kind {
        Kind::Replay => "Send them again?",
        Kind::Discard => "Throw them away?",
    };
    let body = confirm(&person, &counts, &order.wanted);
    Ok(layout::screen(&person, Here::Deliveries, title, &body).into_response())
}

/// What a bulk act would be done to.
pub(crate) async fn count(page: &Arc<Page>, bulk: &Bulk) -> Result<Counts, Failed> {
    let Ok(_place) = page.counting.try_acquire() else {
        let what = "Other deliveries are being counted just now.";
        return Err(Failed::unavailable(what, "Try it again in a moment."));
    };
    let filter = bulk.effective();
    let (counted, names) = page
        .read(move |reader| {
            let names = view::destinations(&reader.sums()?);
            Ok((reader.count(&filter, SHOWN)?, names))
        })
        .await?;
    Ok(counts(bulk, counted, &names))
}

pub(super) async fn bulk(
    State(page): State<Arc<Page>>,
    Decide(person): Decide,
    RawQuery(query): RawQuery,
) -> Answer {
    let order = order(&query.unwrap_or_default(), page.app.clock.wall())?;
    let again = "Look at how many it is now, and decide again.";
    let (Some(shown), Some(_)) = (order.shown, order.wanted.until) else {
        return Err(Failed::wrong("It was not shown how many it is.", again));
    };
    let now = count(&page, &order.bulk).await?.total;
    if now > shown {
        let what = format!("It is more than was shown: {now}, not {shown}. Nothing was done.");
        return Err(Failed::wrong(what, again));
    }
    let kind = order.bulk.kind;
    let jobs = begin(&page, &person, order.bulk).await?;
    page.say(
        &person,
        match (jobs, kind) {
            (0, _) => "No delivery matches any more: nothing was done.",
            (_, Kind::Replay) => "It is begun: they are sent again, a few at a time.",
            (_, Kind::Discard) => "It is begun: they are thrown away, a few at a time.",
        },
    );
    let back = format!("/deliveries?{}", order.wanted.query());
    Ok(Redirect::to(&back).into_response())
}

fn counts(bulk: &Bulk, counted: Counted, names: &[Named]) -> Counts {
    let total = counted.total();
    let name = |id: &str| {
        let found = names.iter().find(|to| to.id == id);
        found.map_or(id, |to| &to.name).to_owned()
    };
    let by_state = counted.by_state.iter();
    let first = counted.first.into_iter();
    Counts {
        act: bulk.kind.as_str(),
        to: bulk.effective().to_string(),
        total,
        by_state: by_state
            .map(|((id, state), n)| (name(id), state.as_str(), *n))
            .collect(),
        first: first
            .map(|delivery| (delivery.id.to_string(), delivery.event))
            .collect(),
    }
}

fn confirm(person: &Person, counts: &Counts, wanted: &Wanted) -> Markup {
    let query = wanted.query();
    let (act, total) = (counts.act, counts.total);
    let at = format!("/deliveries/bulk?act={act}&{SHOWN_COUNT}={total}&{query}");
    let (word, class) = match counts.act {
        "discard" => ("Throw all of these away", "danger"),
        _ => ("Send all of these again", ""),
    };
    html! {
        p { (counts.act) " is for " strong { (parts::count(counts.total)) } " deliveries: "
            (text(&counts.to, 400)) }
        @if counts.act == "discard" {
            p { "What is thrown away is not sent, and nothing brings it back; the events stay." }
        }
        ul {
            @for (destination, state, n) in &counts.by_state {
                li { (text(destination, 80)) ": " (parts::count(*n)) " " (state) }
            }
        }
        @if !counts.first.is_empty() {
            h2 { "The first of them" }
            ul {
                @for (id, event) in &counts.first {
                    li { a href=(href(id)) { (text(id, 100)) } " " (text(event, 100)) }
                }
            }
        }
        div.row {
            @if counts.total > 0 { (one_of(person, &at, word, class)) }
            a.button.second href=(format!("/deliveries?{query}")) { "Do nothing" }
        }
    }
}
