//! The requests of a template, one after the other, and which of them are done.
//!
//! A step that is done for each reading or capture makes several requests; each has a name, such
//! as `attach/1`, and a key of its own.
//!
//! # Invariants
//! - What was done is in the journal before the next request goes out, so that a crash in between
//!   repeats nothing that was answered.
//! - A request that makes something is frozen before it goes out. What only looks (GET), and what is
//!   fresh (a login, a CSRF token), is made anew at each try; what a fresh one gave is never
//!   journalled.
//! - Where one of several requests of a step is refused, the others go out all the same.

use super::attempt::{Taken, Tries};
use super::cargo::short_key;
use super::config::Form;
use super::pictures::{self, Waits};
use super::prepare::Ready;
use super::requests::{Keys, Requests, Run, journals, render, rounds, said};
use super::{JOURNAL_PAUSE, Shared};
use crate::clock::until;
use crate::orbit::media::Form as Bytes;
use crate::relay::destination::outcome::{Outcome, Trouble};
use crate::relay::destination::{
    Cookies, Kind, Rendered, Request, Round, Sent, Step, StepBody, What, secrets_of,
};
use crate::relay::enrich::Reservation;
use crate::relay::journal::WriteError;
use crate::relay::transform::json::Json;
use crate::relay::transform::pictures as marks;
use crate::secret::Secret;

/// Goes through the steps; once more from the beginning if credentials are refused that a step has
/// fetched.
pub(super) async fn run(shared: &Shared, ready: &Ready, run: Run) -> Tries {
    // Which ticket it adds to is known before anything goes out, and the same at each try.
    let unsaved = run.first && run.progress.open.is_some();
    let mut pass = Pass {
        shared,
        ready,
        run,
        taken: Vec::new(),
        cookies: Cookies::default(),
        secrets: Vec::new(),
        unsaved,
        unfrozen: unsaved,
        left: shared.config.message.images_limit,
        last: None,
        refused: Vec::new(),
        own: true,
    };
    let mut ended = pass.go().await;
    if pass.was_refused(&ended) && pass.makes_one_after_all() {
        ended = pass.go().await;
    }
    let fetches = pass.all().iter().any(|step| step.fresh);
    if let Err(Stop::Sent(sent)) = &ended
        && sent.refused_credentials()
        && fetches
    {
        ended = pass.go().await;
    }
    pass.forget_refusals(&ended);
    // Whatever was done is to be known, even where it ended badly.
    let saved = pass.save().await;
    match ended.and(saved) {
        Err(Stop::Cannot(reason)) if pass.made() => pass.partly(reason),
        Err(Stop::Sent(sent)) if pass.made() && matches!(sent.outcome, Outcome::Dead { .. }) => {
            let reason = sent.reason();
            pass.last = Some(*sent);
            pass.partly(reason)
        }
        Err(Stop::Waits(why)) => Tries::Waits(why),
        Err(Stop::GoesOn) => Tries::GoesOn,
        Err(Stop::Cannot(why)) => Tries::Cannot(why),
        Err(Stop::Sent(sent)) => Tries::sent(*sent),
        Ok(()) => pass.end(),
    }
}

/// Why it does not go on.
enum Stop {
    Sent(Box<Sent>),
    Waits(String),
    /// The lease is nearly over.
    GoesOn,
    /// A request cannot be made of this event: no fault of the destination.
    Cannot(String),
}

impl Stop {
    fn of(outcome: Outcome) -> Self {
        Self::Sent(Box::new(Sent::unanswered(outcome)))
    }

    fn postponed(reason: String) -> Self {
        Self::of(Outcome::Postponed {
            reason,
            retry_after: None,
        })
    }
}

/// One way through the steps.
struct Pass<'a> {
    shared: &'a Shared,
    ready: &'a Ready,
    run: Run,
    /// What steps took so far, by their names; and whether it may be kept.
    taken: Vec<(String, Json, bool)>,
    cookies: Cookies,
    /// What no answer may show: what fresh steps took.
    secrets: Vec<Secret>,
    /// Whether something was done that the journal does not know.
    unsaved: bool,
    /// Whether there are requests that the journal does not know.
    unfrozen: bool,
    /// How many bytes of pictures may still go out.
    left: u64,
    last: Option<Sent>,
    /// Requests that were refused for good, and why.
    refused: Vec<String>,
    /// Whether no refusal was the destination's.
    own: bool,
}

impl<'a> Pass<'a> {
    fn all(&self) -> &'a [Step] {
        let message = &self.shared.config.message;
        match &message.form {
            _ if self.run.progress.open.is_some() => &message.append,
            Form::Steps(steps) => steps,
            Form::Event => &[],
        }
    }

    /// Whether what was to be done is not wanted, or cannot be done.
    fn was_refused(&self, ended: &Result<(), Stop>) -> bool {
        match ended {
            Ok(()) => !self.refused.is_empty(),
            Err(Stop::Cannot(_)) => true,
            Err(Stop::Sent(sent)) => match &sent.outcome {
                Outcome::Dead { .. } => true,
                Outcome::Parked { trouble, .. } => *trouble == Trouble::Gone,
                Outcome::Delivered | Outcome::Postponed { .. } => false,
            },
            Err(Stop::Waits(_) | Stop::GoesOn) => false,
        }
    }

    /// Whether something was made at the destination.
    fn made(&self) -> bool {
        !self.run.progress.done.is_empty()
    }

    /// Whoever replays it wants what was refused to be tried again.
    fn forget_refusals(&mut self, ended: &Result<(), Stop>) {
        let goes_on = matches!(ended, Err(Stop::Waits(_) | Stop::GoesOn));
        if !goes_on && !self.run.progress.refused.is_empty() {
            self.run.progress.refused.clear();
            self.unsaved = true;
        }
    }

    /// The ticket that was to be added to takes nothing: it is closed or gone, and the ledger does
    /// not know yet. So one is made.
    fn makes_one_after_all(&mut self) -> bool {
        let progress = &mut self.run.progress;
        let untouched = progress.done.is_empty();
        let had_one = untouched && progress.open.take().is_some();
        if had_one {
            progress.refused.clear();
            self.run.requests = Requests::default();
            self.unsaved = true;
            self.unfrozen = true;
        }
        had_one
    }

    async fn go(&mut self) -> Result<(), Stop> {
        self.refused.clear();
        self.taken.clear();
        self.left = self.shared.config.message.images_limit;
        self.cookies = Cookies::default();
        for step in self.all() {
            let steps = self
                .taken
                .iter()
                .map(|(name, of, _)| (name.clone(), of.clone()));
            let scope = self
                .run
                .scope()
                .with("steps", Json::Object(steps.collect()));
            for round in rounds(step, &scope).map_err(Stop::Cannot)? {
                if let Some(taken) = self.run.progress.of(&round.name) {
                    let taken = taken.clone();
                    self.take(step, taken);
                    continue;
                }
                let mut refused = self.run.progress.refused.iter();
                if let Some((_, why)) = refused.find(|(name, _)| *name == round.name) {
                    self.refused.push(why.clone());
                    self.own = false;
                    continue;
                }
                let now = self.shared.clock.steady();
                let rest = until(now, self.ready.claim.lease.until);
                if rest < self.shared.config.longest_round() {
                    return Err(Stop::GoesOn);
                }
                match self.one(step, &round).await {
                    Err(Stop::Sent(sent)) if step.for_each.is_some() => match &sent.outcome {
                        Outcome::Dead { reason } => {
                            self.own = false;
                            self.refused.push(reason.clone());
                            let refused = (round.name.clone(), reason.clone());
                            self.run.progress.refused.push(refused);
                            self.unsaved = true;
                            self.last = Some(*sent);
                        }
                        _ => return Err(Stop::Sent(sent)),
                    },
                    Err(Stop::Cannot(reason)) if step.for_each.is_some() => {
                        self.refused.push(reason);
                    }
                    ended => ended?,
                }
            }
        }
        Ok(())
    }

    /// Makes one request.
    async fn one(&mut self, step: &Step, round: &Round) -> Result<(), Stop> {
        let config = &self.shared.config;
        let secret = Round {
            name: round.name.clone(),
            scope: round.scope.with("secrets", self.secrets()?),
        };
        let frozen = self
            .run
            .requests
            .get(&round.name)
            .filter(|_| journals(step));
        let rendered = match frozen {
            Some(rendered) => rendered.clone(),
            None if step.fresh => render(config, step, &secret).map_err(Stop::Cannot)?,
            None => {
                let rendered = render(config, step, round).map_err(Stop::Cannot)?;
                if journals(step) {
                    let request = (round.name.clone(), rendered.clone());
                    self.run.requests.0.push(request);
                    self.unsaved = true;
                    self.unfrozen = true;
                }
                rendered
            }
        };
        self.save().await?;
        let mut media_type = None;
        let (body, held) = match self.body(step, round, &rendered).await? {
            Body::Frozen => (None, None),
            Body::Bytes(bytes, held) => (Some(bytes), Some(held)),
            Body::Picture(bytes, is, held) => {
                media_type = Some(is);
                (Some(bytes), Some(held))
            }
            Body::Missing => {
                self.done(step, round, Json::Object(Vec::new()));
                return Ok(());
            }
        };
        let mut what = self.what(step, &secret, &rendered, body)?;
        if let (What::Step(request), None) = (&mut what, &step.content_type) {
            request.content_type = media_type.or_else(|| request.content_type.take());
        }
        let claim = &self.ready.claim;
        let (key, at) = (self.key(step, round), self.shared.clock.wall());
        let mut request = Request::new(key, claim.attempt, at, what);
        request.cookies = self.cookies.clone();
        let mut sent = self.shared.destination.send(request).await;
        drop(held);
        if step.fresh {
            // It may show what was asked for: a token.
            sent.answer = None;
            sent.whole = None;
        } else if let Some(reason) = sent.cancels.take() {
            self.run.progress.cancels = Some(reason);
            self.unsaved = true;
        }
        if sent.outcome != Outcome::Delivered {
            return Err(Stop::Sent(Box::new(self.named(round, sent))));
        }
        let taken = sent.answered.as_ref().map(|answered| step.taken(answered));
        let taken = taken.unwrap_or_else(|| Json::Object(Vec::new()));
        // Those of a login. What another answer sets is no matter of the requests behind it.
        if step.fresh {
            self.cookies = sent.cookies.clone();
            self.secrets.extend(secrets_of(&taken));
        }
        self.last = Some(sent);
        if journals(step) {
            self.done(step, round, taken);
        } else {
            self.take(step, taken);
        }
        Ok(())
    }

    fn what(
        &self,
        step: &Step,
        round: &Round,
        rendered: &Rendered,
        body: Option<Vec<u8>>,
    ) -> Result<What, Stop> {
        if let Kind::Mqtt(mqtt) = &self.shared.config.destination.kind {
            let frozen = || rendered.body.clone().unwrap_or_default().into_bytes();
            let message = mqtt.message(&round.scope, body.unwrap_or_else(frozen));
            let message = message.map_err(|error| Stop::Cannot(error.to_string()))?;
            return Ok(What::Message(message));
        }
        let base = &self.shared.config.destination.url;
        let mut secrets = self.secrets.clone();
        if let Some(Json::Object(configured)) = round.scope.get("secrets") {
            let texts = configured.iter().filter_map(|(_, secret)| secret.as_str());
            secrets.extend(texts.map(|text| Secret::new(text.to_owned())));
        }
        let request = step.request(base, rendered, body, &round.scope, secrets);
        let request = request.map_err(|error| Stop::Cannot(said(&round.name, error)))?;
        Ok(What::Step(request))
    }

    fn key(&self, step: &Step, round: &Round) -> String {
        let claim = &self.ready.claim;
        let keys = Keys {
            delivery: &self.ready.key,
            source: &claim.source,
            kind: &self.run.kind,
            identity: &claim.identity,
            destination: &claim.destination_id,
        };
        if step.fresh {
            // Whoever honours keys would give the answer of the try before.
            let at = self.shared.clock.wall().as_nanosecond();
            return keys.part(&format!("{}/{at}", round.name));
        }
        keys.of(self.all(), step, round, self.run.progress.open.is_some())
    }

    async fn body(
        &mut self,
        step: &Step,
        round: &Round,
        rendered: &Rendered,
    ) -> Result<Body, Stop> {
        let (shared, claim) = (self.shared, &self.ready.claim);
        let captures = &self.run.captures;
        let waits = |Waits(why)| Stop::Waits(why);
        if matches!(step.body, StepBody::Capture) {
            let index = round
                .scope
                .get("item")
                .and_then(|item| item.get("index")?.as_i64());
            let is_wanted = |wanted| i64::try_from(wanted).ok() == index;
            let fetch = pictures::fetch(shared, claim, captures, is_wanted, Bytes::Raw, self.left);
            let mut pictures = fetch.await.map_err(waits)?;
            return Ok(match pictures.fetched.pop() {
                Some((_, fetched)) => {
                    self.left = self.left.saturating_sub(fetched.size);
                    Body::Picture(fetched.bytes, fetched.media_type, pictures.reservation)
                }
                None => Body::Missing,
            });
        }
        let Some(body) = &rendered.body else {
            return Ok(Body::Frozen);
        };
        let key = short_key(&self.ready.key);
        let wanted = marks::wanted(body, key);
        if wanted.is_empty() {
            return Ok(Body::Frozen);
        }
        let is_wanted = |index| wanted.contains(&index);
        let most = shared.config.message.images_limit;
        let fetch = pictures::fetch(shared, claim, captures, is_wanted, Bytes::Base64, most);
        let pictures = fetch.await.map_err(waits)?;
        let fetched = pictures.fetched.into_iter();
        let fetched = fetched
            .map(|(index, fetched)| (index, fetched.bytes))
            .collect();
        let bytes = marks::fill(body, key, fetched, Bytes::Base64.length(most));
        Ok(Body::Bytes(bytes, pictures.reservation))
    }

    /// The secrets that texts may name, as they are now.
    fn secrets(&self) -> Result<Json, Stop> {
        let mut secrets = Vec::new();
        for (name, source) in &self.shared.config.message.secrets {
            let secret = source.current();
            let secret = secret.map_err(|error| Stop::postponed(error.to_string()))?;
            secrets.push((name.clone(), Json::from(secret.expose())));
        }
        Ok(Json::Object(secrets))
    }

    fn done(&mut self, step: &Step, round: &Round, taken: Json) {
        let done = (round.name.clone(), taken.clone());
        self.run.progress.done.push(done);
        self.unsaved = true;
        self.take(step, taken);
    }

    fn take(&mut self, step: &Step, taken: Json) {
        self.taken.retain(|(name, _, _)| *name != step.name);
        self.taken.push((step.name.clone(), taken, !step.fresh));
    }

    /// Notes what was done, and what is frozen. It is tried until the lease ends.
    async fn save(&mut self) -> Result<(), Stop> {
        let lease = self.ready.claim.lease;
        while self.unsaved {
            let progress = self.run.progress.to_text();
            let requests = self.unfrozen.then(|| self.run.requests.to_text());
            let saved = self.shared.journal.progress(lease, progress, requests);
            match saved.await {
                Ok(()) => (self.unsaved, self.unfrozen) = (false, false),
                Err(error @ WriteError::LeaseLost(_)) => {
                    return Err(Stop::postponed(error.to_string()));
                }
                Err(_) => tokio::time::sleep(JOURNAL_PAUSE).await,
            }
        }
        Ok(())
    }

    /// Says which request a reason is about, where there are several.
    fn named(&self, round: &Round, mut sent: Sent) -> Sent {
        let one_of_many = self.all().len() > 1 || round.name.contains('/');
        match &mut sent.outcome {
            Outcome::Postponed { reason, .. }
            | Outcome::Parked { reason, .. }
            | Outcome::Dead { reason }
                if one_of_many =>
            {
                *reason = said(&round.name, &reason);
            }
            _ => {}
        }
        sent
    }

    /// All steps were gone through.
    fn end(self) -> Tries {
        let reason = match self.refused.as_slice() {
            [] => {
                let none = || Sent::unanswered(Outcome::Delivered);
                let mut sent = self.last.clone().unwrap_or_else(none);
                sent.outcome = Outcome::Delivered;
                sent.cancels.clone_from(&self.run.progress.cancels);
                return Tries::Sent {
                    sent: Box::new(sent),
                    taken: Some(self.ticket()),
                };
            }
            [first] => first.clone(),
            [first, ..] => format!("{} requests were refused; {first}", self.refused.len()),
        };
        if self.made() {
            self.partly(reason)
        } else if self.own {
            Tries::Cannot(reason)
        } else {
            let mut sent = self
                .last
                .unwrap_or_else(|| Sent::unanswered(Outcome::Delivered));
            sent.outcome = Outcome::Dead { reason };
            Tries::sent(sent)
        }
    }

    /// Some of it is there, and the rest never will be.
    fn partly(self, reason: String) -> Tries {
        Tries::Partly {
            reason,
            answered: self.last.is_some(),
            answer: self.last.as_ref().and_then(|sent| sent.answer.clone()),
            taken: self.ticket(),
        }
    }

    /// What is known of the ticket.
    fn ticket(&self) -> Taken {
        let progress = &self.run.progress;
        let mut ticket = match &progress.open {
            Some(Json::Object(members)) => members.clone(),
            _ => Vec::new(),
        };
        for (_, taken, _) in self.taken.iter().filter(|(_, _, kept)| *kept) {
            let Json::Object(members) = taken else {
                continue;
            };
            for (name, value) in members {
                ticket.retain(|(known, _)| known != name);
                ticket.push((name.clone(), value.clone()));
            }
        }
        Taken {
            ticket: Json::Object(ticket),
            adds: progress.open.is_some(),
        }
    }
}

/// The body of one request.
enum Body {
    /// None, or the one that was frozen.
    Frozen,
    /// This one, and what of the memory for pictures it takes.
    Bytes(Vec<u8>, Reservation),
    /// A picture, and what it is.
    Picture(Vec<u8>, String, Reservation),
    /// It would be a picture that Orbit does not give.
    Missing,
}
