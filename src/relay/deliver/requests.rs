//! The requests of one delivery: which are frozen, which are done, and by which keys they go.
//!
//! # Invariants
//! - Pure.
//! - What was frozen or noted by one try is what the next one reads.

use super::config::Config;
use crate::event;
use crate::relay::destination::{Each, Method, Rendered, Round, Step};
use crate::relay::transform::json::Json;
use crate::relay::transform::pictures::Capture;
use crate::relay::transform::template::Scope;

/// The requests that were frozen, by their names.
#[derive(Debug, Default)]
pub(super) struct Requests(pub(super) Vec<(String, Rendered)>);

impl Requests {
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let Ok(Json::Object(members)) = Json::parse(text.as_bytes()) else {
            return Err("the frozen requests cannot be read: they are another version's".into());
        };
        let read = |(name, of): (String, Json)| {
            let text = |member| of.get(member).and_then(Json::as_str).map(str::to_owned);
            let (url, body) = (text("url")?, text("body"));
            Some((name, Rendered { url, body }))
        };
        let requests: Option<_> = members.into_iter().map(read).collect();
        requests
            .map(Self)
            .ok_or_else(|| "a frozen request has no URL".into())
    }

    pub(super) fn to_text(&self) -> String {
        let members = self.0.iter().map(|(name, rendered)| {
            let url = rendered.url.as_str().into();
            let request = match &rendered.body {
                Some(body) => Json::object([("url", url), ("body", body.as_str().into())]),
                None => Json::object([("url", url)]),
            };
            (name.clone(), request)
        });
        Json::Object(members.collect()).to_string()
    }

    pub(super) fn get(&self, name: &str) -> Option<&Rendered> {
        let mut all = self.0.iter();
        all.find(|(is, _)| is == name).map(|(_, rendered)| rendered)
    }

    pub(super) fn bytes(&self) -> usize {
        let bodies = self
            .0
            .iter()
            .filter_map(|(_, rendered)| rendered.body.as_ref());
        bodies.map(String::len).sum()
    }
}

/// What was done: by the name of each request, what was taken from its answer.
#[derive(Debug, Default)]
pub(super) struct Progress {
    pub(super) done: Vec<(String, Json)>,
    /// What is known of the open ticket that is added to.
    pub(super) open: Option<Json>,
    /// Requests that were refused, and why, while others are still to be made.
    pub(super) refused: Vec<(String, String)>,
    /// Why the event is to go nowhere else, where a gate has said so.
    pub(super) cancels: Option<String>,
}

impl Progress {
    pub(super) fn parse(text: Option<&str>) -> Result<Self, String> {
        let Some(text) = text else {
            return Ok(Self::default());
        };
        let json =
            Json::parse(text.as_bytes()).map_err(|error| format!("its progress: {error}"))?;
        Ok(Self {
            done: match json.get("done") {
                Some(Json::Object(members)) => members.clone(),
                _ => Vec::new(),
            },
            open: json.get("open").cloned(),
            cancels: json
                .get("cancels")
                .and_then(Json::as_str)
                .map(str::to_owned),
            refused: match json.get("refused") {
                Some(Json::Object(members)) => {
                    let members = members.iter();
                    members
                        .filter_map(|(name, why)| Some((name.clone(), why.as_str()?.to_owned())))
                        .collect()
                }
                _ => Vec::new(),
            },
        })
    }

    pub(super) fn to_text(&self) -> String {
        let mut members = vec![("done".to_owned(), Json::Object(self.done.clone()))];
        members.extend(self.open.clone().map(|open| ("open".to_owned(), open)));
        let cancels = self.cancels.as_deref();
        members.extend(cancels.map(|reason| ("cancels".to_owned(), reason.into())));
        if !self.refused.is_empty() {
            let refused = self.refused.iter();
            let refused = refused.map(|(name, why)| (name.clone(), why.as_str().into()));
            members.push(("refused".to_owned(), Json::Object(refused.collect())));
        }
        Json::Object(members).to_string()
    }

    pub(super) fn of(&self, name: &str) -> Option<&Json> {
        let mut all = self.done.iter();
        all.find(|(is, _)| is == name).map(|(_, taken)| taken)
    }
}

/// The requests of one delivery.
#[derive(Debug)]
pub(super) struct Run {
    pub(super) scope: Scope,
    pub(super) captures: Vec<Capture>,
    pub(super) requests: Requests,
    pub(super) progress: Progress,
    /// What stands for the event's type in keys.
    pub(super) kind: String,
    /// Whether nothing was tried yet.
    pub(super) first: bool,
    /// About as much as all but the requests takes.
    pub(super) weight: usize,
}

impl Run {
    pub(super) fn bytes(&self) -> usize {
        self.requests.bytes().saturating_add(self.weight)
    }

    /// It adds to this ticket, unless a try may have made one of its own already.
    pub(super) fn adds_to(&mut self, open: Json) {
        if self.first && self.progress.done.is_empty() && self.progress.open.is_none() {
            self.progress.open = Some(open);
            // They are requests of the steps that would make one.
            self.requests = Requests::default();
        }
    }

    /// Renders what goes out first, as far as no answer is needed for that.
    pub(super) fn freeze_first(&mut self, config: &Config, steps: &[Step]) -> Result<(), String> {
        let Some(step) = steps.iter().find(|step| journals(step)) else {
            return Ok(());
        };
        if steps.len() > 1 && needs_answers(step) {
            return Ok(());
        }
        for round in rounds(step, &self.scope)? {
            let rendered = render(config, step, &round)?;
            self.requests.0.push((round.name, rendered));
        }
        Ok(())
    }

    pub(super) fn scope(&self) -> Scope {
        match &self.progress.open {
            Some(open) => self.scope.with("open", open.clone()),
            None => self.scope.clone(),
        }
    }
}

/// Whether it is kept that this step was done. What only looks is done anew in each try: it finds
/// what the try before may have made without hearing of it.
pub(super) fn journals(step: &Step) -> bool {
    !step.fresh && step.method != Method::Get
}

fn needs_answers(step: &Step) -> bool {
    step.names()
        .any(|name| name == "steps" || name.starts_with("steps."))
}

pub(super) fn rounds(step: &Step, scope: &Scope) -> Result<Vec<Round>, String> {
    step.rounds(scope).map_err(|error| said(&step.name, error))
}

pub(super) fn render(config: &Config, step: &Step, round: &Round) -> Result<Rendered, String> {
    let (url, drop_null) = (&config.destination.url, config.message.drop_null);
    let rendered = step.render(url, &round.scope, drop_null);
    rendered.map_err(|error| said(&round.name, error))
}

pub(super) fn said(name: &str, what: impl std::fmt::Display) -> String {
    format!("step {name}: {what}")
}

/// What the keys of a delivery's requests are made of.
pub(super) struct Keys<'a> {
    pub(super) delivery: &'a str,
    pub(super) source: &'a str,
    pub(super) kind: &'a str,
    pub(super) identity: &'a str,
    pub(super) destination: &'a str,
}

impl Keys<'_> {
    /// That of the delivery for what is made first; for a reading the delivery's with the reading;
    /// else one of its own, as what adds to a ticket has: a ticket may have to be made after all.
    pub(super) fn of(&self, all: &[Step], step: &Step, round: &Round, adds: bool) -> String {
        if adds {
            return self.part(&format!("append/{}", round.name));
        }
        let first = all.iter().find(|step| journals(step));
        if step.for_each.is_none() && first.is_some_and(|first| first.name == step.name) {
            return self.delivery.to_owned();
        }
        let item = round
            .scope
            .get("item")
            .filter(|_| step.for_each == Some(Each::Readings));
        let reading = item.and_then(|item| item.get("id")?.as_str());
        let is_first = first.is_some_and(|first| first.name == step.name);
        let part = match reading {
            Some(reading) if is_first => reading.to_owned(),
            Some(reading) => format!("{}/{reading}", step.name),
            None => round.name.clone(),
        };
        self.part(&part)
    }

    pub(super) fn part(&self, part: &str) -> String {
        let (source, id) = (self.source, self.destination);
        event::part_key(source, self.kind, self.identity, id, part)
    }
}
