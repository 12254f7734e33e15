//! What people do to deliveries: send again, throw away, send elsewhere; one, or all that a search
//! finds.
//!
//! # Invariants
//! - Nothing is done by GET. What concerns many is counted and shown before it is done.
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
    let jobs = begin(page, person, bulk).await?;
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

/// Gives how many jobs were begun.
async fn begin(page: &Arc<Page>, person: &Person, bulk: Bulk) -> Result<usize, Failed> {
    let ask = Ask::Begin {
        who: person.name.clone(),
        bulk,
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
    if !page.app.ground.destinations.contains_key(&to) {
        let advice = "Go back and choose one that is.";
        return Err(Failed::wrong("This destination is not configured.", advice));
    }
    if page.read(move |reader| reader.event(seq)).await?.is_none() {
        return Err(Failed::not_found());
    }
    let ask = Ask::Send {
        destination: to.clone(),
        seq,
        who: person.name.clone(),
    };
    match control::act_within(&page.app.ground, ask, &page.app.stop).await {
        control::Answer::Sent(true) => page.say(&person, "It is sent there."),
        control::Answer::Sent(false) => page.say(
            &person,
            "It waits for this destination already, or was thrown away there: nothing was changed.",
        ),
        other => return Err(failed(other)),
    }
    let id = DeliveryId {
        destination: to,
        seq,
    };
    Ok(Redirect::to(&href(&id.to_string())).into_response())
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
        let what = "This cannot be done by action, mission or robot.";
        let advice = "Search by words, asset, destination, state and time only.";
        return Err(Failed::wrong(what, advice));
    };
    if filter.is_empty() {
        let advice = "Search for something, so that not everything is meant.";
        return Err(Failed::wrong("It is not said which deliveries.", advice));
    }
    if let Some(why) = refuses_states(kind, &filter) {
        return Err(Failed::wrong(why, "Choose other states."));
    }
    let bulk = Bulk {
        kind,
        filter,
        as_sent: false,
    };
    Ok(Order { wanted, bulk })
}

/// Says how many it would be.
pub(super) async fn ask(
    State(page): State<Arc<Page>>,
    Decide(person): Decide,
    RawQuery(query): RawQuery,
) -> Answer {
    let order = order(&query.unwrap_or_default(), page.app.clock.wall())?;
    let Ok(_place) = page.counting.try_acquire() else {
        let what = "Other deliveries are being counted just now.";
        return Err(Failed::unavailable(what, "Load this again in a moment."));
    };
    let filter = order.bulk.effective();
    let (counted, names) = page
        .read(move |reader| {
            let names = view::destinations(&reader.sums()?);
            Ok((reader.count(&filter, SHOWN)?, names))
        })
        .await?;
    let counts = counts(&order.bulk, counted, &names);
    let title = match order.bulk.kind {
        Kind::Replay => "Send them again?",
        Kind::Discard => "Throw them away?",
    };
    let body = confirm(&person, &counts, &order.wanted);
    Ok(layout::screen(&person, Here::Deliveries, title, &body).into_response())
}

pub(super) async fn bulk(
    State(page): State<Arc<Page>>,
    Decide(person): Decide,
    RawQuery(query): RawQuery,
) -> Answer {
    let order = order(&query.unwrap_or_default(), page.app.clock.wall())?;
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
    let at = format!("/deliveries/bulk?act={}&{query}", counts.act);
    let (word, class) = match counts.act {
        "discard" => ("Throw all of these away", "danger"),
        _ => ("Send all of these again", ""),
    };
    html! {
        p { (counts.act) " is for " strong { (parts::count(counts.total)) } " deliveries: "
            (text(&counts.to, 400)) }
        @if wanted.text.is_some() {
            p.hint { "Here the words are looked for in the whole event and in the reason, so it \
                may be others than the list shows." }
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
