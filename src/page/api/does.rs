//! What is decided: deliveries, destinations, what waits for an asset, the webhook.
//!
//! # Invariants
//! - All goes the way that the screens' forms and the commands go, with the token's name.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::super::Page;
use super::super::access::{Configure, Decide, See};
use super::super::deliveries::does;
use super::super::health;
use super::super::setup::{repair, view as setup};
use super::super::waiting::acts::{self, Assign};
use super::given::{Body, Named, Problem, Said, ok};
use crate::app::control::{self, Answer, Ask};
use crate::relay::journal::{Bulk, DeliveryId, Filter, Kind};

type Of = State<Arc<Page>>;

/// No text of a filter is longer.
const LONGEST_TEXT: usize = 500;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Replay {
    #[serde(default)]
    as_sent: bool,
}

/// What a bulk act is to be done to.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Order {
    act: Act,
    filter: Filter,
    #[serde(default)]
    as_sent: bool,
    /// As many as were counted: another number is refused.
    count: Option<u64>,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Act {
    Replay,
    Discard,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct To {
    to: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Why {
    #[serde(default)]
    why: String,
}

/// An action that gets an asset.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Mapped {
    seq: i64,
    by: String,
    asset: String,
}

/// How many jobs were begun: one for each destination that it concerns.
#[derive(Serialize)]
struct Begun {
    begun: usize,
}

impl Order {
    fn bulk(self) -> Result<Bulk, Problem> {
        let kind = match self.act {
            Act::Replay => Kind::Replay,
            Act::Discard => Kind::Discard,
        };
        let filter = &self.filter;
        let texts = [
            &filter.destination,
            &filter.asset,
            &filter.event_type,
            &filter.text,
        ];
        let is_long = |text: &String| text.chars().count() > LONGEST_TEXT;
        if texts.into_iter().flatten().any(is_long) {
            return Err(Problem::new(
                StatusCode::UNPROCESSABLE_ENTITY,
                format!("A text of the filter has more than {LONGEST_TEXT} characters."),
                "Make it shorter.",
            ));
        }
        let bulk = Bulk {
            kind,
            filter: self.filter,
            as_sent: self.as_sent,
        };
        does::check(&bulk)?;
        Ok(bulk)
    }
}

pub(super) async fn replay(
    State(page): Of,
    Decide(person): Decide,
    id: Named,
    Body(Replay { as_sent }): Body<Replay>,
) -> Said {
    let id: DeliveryId = id.number()?;
    let begun = does::begin_one(&page, &person, &id, Kind::Replay, as_sent).await?;
    ok(&Begun { begun })
}

pub(super) async fn discard(State(page): Of, Decide(person): Decide, id: Named) -> Said {
    let id: DeliveryId = id.number()?;
    let begun = does::begin_one(&page, &person, &id, Kind::Discard, false).await?;
    ok(&Begun { begun })
}

pub(super) async fn send(
    State(page): Of,
    Decide(person): Decide,
    seq: Named,
    Body(To { to }): Body<To>,
) -> Said {
    let seq = seq.number()?;
    let changed = does::send_to(&page, &person, seq, &to).await?;
    let delivery = DeliveryId {
        destination: to,
        seq,
    };
    ok(&json!({ "delivery": delivery.to_string(), "changed": changed }))
}

pub(super) async fn count(State(page): Of, Decide(_): Decide, Body(order): Body<Order>) -> Said {
    ok(&does::count(&page, &order.bulk()?).await?)
}

pub(super) async fn bulk(
    State(page): Of,
    Decide(person): Decide,
    Body(order): Body<Order>,
) -> Said {
    let (counted, bulk) = (order.count, order.bulk()?);
    if let Some(counted) = counted {
        let now = does::count(&page, &bulk).await?.total;
        if now != counted {
            let what = format!("It is not as many as were counted: {now}, not {counted}.");
            return Err(Problem::conflict(
                what,
                "Nothing was done. Count them again.",
            ));
        }
    }
    let begun = does::begin(&page, &person, bulk).await?;
    ok(&Begun { begun })
}

pub(super) async fn map(
    State(page): Of,
    Decide(person): Decide,
    Body(Mapped { seq, by, asset }): Body<Mapped>,
) -> Said {
    let said = acts::assign(&page, &person, Assign { seq, by, asset }).await?;
    ok(&json!({ "said": said }))
}

/// The id of a configured destination of this name, or of this id.
fn id_of(page: &Page, name: &str) -> Result<String, Problem> {
    let mut configs = page.app.shown.configs.iter();
    let named = configs.find(|config| config.destination.name == name);
    match named {
        Some(config) => Ok(config.destination.id.clone()),
        None if page.app.ground.destinations.contains_key(name) => Ok(name.to_owned()),
        None => Err(Problem::not_found()),
    }
}

/// Does it, or says that the relay cannot.
async fn act(page: &Page, ask: Ask) -> Result<Answer, Problem> {
    match control::act_within(&page.app.ground, ask, &page.app.stop).await {
        Answer::Failed(why) => {
            let why: String = why.chars().take(500).collect();
            let advice = "Nothing was changed, or it is not known: look again.";
            Err(Problem::conflict(why, advice))
        }
        answer => Ok(answer),
    }
}

fn changed(answer: &Answer) -> Said {
    ok(&json!({ "changed": matches!(answer, Answer::Changed(true)) }))
}

/// No longer a reason is kept.
fn reason(why: &str) -> Result<String, Problem> {
    if why.chars().count() > 1000 {
        return Err(Problem::new(
            StatusCode::UNPROCESSABLE_ENTITY,
            "The reason has more than 1000 characters.",
            "Make it shorter.",
        ));
    }
    Ok(why.to_owned())
}

pub(super) async fn pause(
    State(page): Of,
    Decide(person): Decide,
    Named(name): Named,
    Body(Why { why }): Body<Why>,
) -> Said {
    let destination = id_of(&page, &name)?;
    let (who, why) = (person.name, reason(&why)?);
    let ask = Ask::Pause {
        destination,
        who,
        why,
    };
    changed(&act(&page, ask).await?)
}

pub(super) async fn resume(
    State(page): Of,
    Decide(person): Decide,
    Named(name): Named,
    Body(Why { why }): Body<Why>,
) -> Said {
    let destination = id_of(&page, &name)?;
    let (who, why) = (person.name, reason(&why)?);
    let ask = Ask::Resume {
        destination,
        who,
        why,
    };
    changed(&act(&page, ask).await?)
}

/// Posts once, to see how it answers.
pub(super) async fn test(
    State(page): Of,
    Configure(person): Configure,
    Named(name): Named,
) -> Said {
    let destination = id_of(&page, &name)?;
    let who = person.name;
    match act(&page, Ask::Test { destination, who }).await? {
        Answer::Tested(trial) => ok(&trial),
        _ => Err(Problem::conflict(
            "No test request went out.",
            "Try it again in a moment.",
        )),
    }
}

pub(super) async fn webhook(State(page): Of, See(_): See) -> Said {
    health::begin(&page, health::FRESH);
    ok(&setup::webhook(&page))
}

/// Sets our webhook right in Orbit.
pub(super) async fn sync(State(page): Of, Decide(person): Decide) -> Said {
    let done = repair::set_right(&page, &person.name).await?;
    ok(&json!({ "done": done }))
}
