//! What changes how a destination is served: the end of a try, after which it may go down, come up
//! or be paused; and a person, who may pause and resume it.
//!
//! # Invariants
//! - A destination is paused only after all ends so far are recorded.

use std::sync::Arc;

use super::attempt::{Done, Taken, Tries};
use super::config::Health;
use super::model::of_orbit;
use super::own;
use super::standing::{Pause, Turned};
use super::{JOURNAL_PAUSE, Worker, learn, of, retry};
use crate::clock::later;
use crate::event::ALERT;
use crate::relay::destination::Sent;
use crate::relay::destination::outcome::Outcome;
use crate::relay::journal::{
    DestinationSums, Disposition, Down, Ended, NewOrder, Paused, WriteError,
};

impl Worker {
    /// A person may pause and resume at any time; new credentials resume by themselves.
    pub(super) async fn look_at_pause(&mut self) {
        let id = self.shared.destination.id();
        let (paused, down, held_until) = of(&self.sums.borrow(), id)
            .map(|d| (d.paused.clone(), d.down.is_some(), d.held_until))
            .unwrap_or_default();
        if std::mem::replace(&mut self.held_until, held_until).is_some() && held_until.is_none() {
            // Its time is over, or a person ended it.
            self.hold_until = self.worked_at;
            self.idle_until = None;
        }
        let was = std::mem::replace(&mut self.paused, paused.is_some());
        match paused {
            None if was => {
                self.standing.resumed();
                self.hasten = true;
                self.idle_until = None;
                self.say(Health::Untried);
                if down {
                    self.set_down(None).await;
                }
            }
            // What could not be noted when it came up.
            None if down && !self.standing.is_down() => self.set_down(None).await,
            None => {}
            Some(paused) => {
                if !was {
                    self.give_back();
                    self.say(Health::Paused(paused.why));
                }
                if paused.trouble.as_deref() == Some("credentials")
                    && self.shared.destination.credentials_changed()
                {
                    self.resume("the credentials changed").await;
                }
            }
        }
    }

    pub(super) async fn resume(&self, why: &str) {
        let (at, id) = (self.shared.clock.wall(), self.shared.destination.id());
        match self.shared.journal.resume(at, id, "relay", why).await {
            Ok(_) => tracing::info!(destination = id, "deliver: resumed, {why}"),
            Err(error) => tracing::debug!(%error, destination = id, "deliver: not resumed"),
        }
    }

    /// Has what is parked for want of an asset looked at again, if that is to be done.
    pub(super) fn unpark(&mut self) {
        if !self.unpark || self.unparking.is_some() {
            return;
        }
        self.unpark = false;
        let shared = Arc::clone(&self.shared);
        self.unparking = Some(tokio::spawn(async move {
            let unparked = shared
                .journal
                .unpark_unmapped(shared.destination.id())
                .await;
            if unparked.is_err() {
                tokio::time::sleep(JOURNAL_PAUSE).await;
            }
            unparked
        }));
    }

    pub(super) fn unparked(&mut self, unparked: Result<u64, WriteError>) {
        self.unparking = None;
        let destination = self.shared.destination.name();
        match unparked {
            Ok(0) => {}
            Ok(count) => {
                tracing::info!(
                    destination,
                    count,
                    "deliver: looked up in the asset map again"
                );
                self.idle_until = None;
            }
            Err(error) => {
                tracing::debug!(%error, destination, "deliver: nothing unparked yet");
                self.unpark = true;
            }
        }
    }

    /// What becomes of an alert that the destination took, where it is to say so.
    fn with_order(
        &self,
        done: &Done,
        whole: Option<String>,
        taken: Option<Taken>,
        mut ended: Ended,
    ) -> Ended {
        let Some(on_closed) = &self.shared.config.on_closed else {
            return ended;
        };
        let (ready, claim) = (&done.ready, &done.ready.claim);
        let is_alert = of_orbit(claim) && claim.event_type == ALERT;
        // One whose pictures were refused is there all the same.
        let made = match &ended.disposition {
            Disposition::Delivered => true,
            Disposition::Dead { .. } => taken.is_some(),
            _ => false,
        };
        // Only a run event's identity is bare, and only that has an anomaly.
        if made && is_alert && !claim.identity.contains(':') {
            let poll = on_closed.poll.as_ref();
            ended.order = Some(Box::new(NewOrder {
                run_event: claim.identity.clone(),
                key: ready.key.clone(),
                title: ready.action.clone(),
                asset: ready.asset.clone(),
                action: ready.action.clone(),
                adds: taken.as_ref().is_some_and(|taken| taken.adds),
                answer: match taken {
                    Some(taken) => Some(taken.ticket.to_string()),
                    None => whole.filter(|_| poll.is_some()),
                },
                due_at: poll.map(|poll| later(self.shared.clock.steady(), poll.every)),
            }));
        }
        ended
    }

    /// What the end of a try means, for the delivery and for the destination.
    pub(super) async fn conclude(&mut self, mut done: Done) {
        let now = self.shared.clock.steady();
        let ended = std::mem::replace(&mut done.ended, Tries::Waits(String::new()));
        let (sent, taken, refused) = match ended {
            Tries::Sent { sent, taken } => (*sent, taken, None),
            Tries::Partly {
                reason,
                answered,
                answer,
                taken,
            } => {
                let ended = Ended {
                    answer,
                    ..self.ending(Disposition::Dead { reason })
                };
                if !answered {
                    let ended = self.with_order(&done, None, Some(taken), ended);
                    return self.recorder.add(done, ended);
                }
                // The destination takes events: it only refuses a part of this one.
                let sent = Sent::unanswered(Outcome::Delivered);
                (sent, Some(taken), Some(ended))
            }
            Tries::Waits(reason) => {
                let again_at = learn::again_at(&self.shared, &done.ready.claim);
                let due_at = again_at.unwrap_or(now);
                let reason = format!("waits for Orbit: {reason}");
                return self.untried(done, Disposition::Waiting { due_at, reason });
            }
            Tries::GoesOn => {
                let reason = "the rest of its requests goes on with the next try".to_owned();
                let due_at = now;
                return self.untried(done, Disposition::Waiting { due_at, reason });
            }
            Tries::Cannot(reason) => return self.untried(done, Disposition::Dead { reason }),
        };
        let reached = sent.reached();
        let verdict = self.standing.conclude(
            done.tried(),
            sent.outcome.clone(),
            &self.shared.config.retry,
            now,
            retry::chance(),
        );
        if let Some(hold_until) = verdict.hold_until {
            self.hold_until = self.hold_until.max(hold_until);
        }
        let config = &self.shared.config;
        let whole = sent.whole.as_deref();
        let ended = refused.unwrap_or_else(|| Ended {
            answer_event: own::answered(config, &sent.outcome, whole, taken.as_ref()),
            cancels: sent.cancels,
            answer: sent.answer,
            hold_until: verdict.hold_until,
            ..self.ending(verdict.disposition)
        });
        let ended = self.with_order(&done, sent.whole, taken, ended);
        self.recorder.add(done, ended);
        match verdict.turned {
            Some(Turned::Down) => self.went_down(&reached).await,
            Some(Turned::Up) => self.came_up().await,
            None => {}
        }
        if let Some(pause) = verdict.pause {
            self.pause(pause).await;
        }
        if !self.paused {
            self.say(match reached {
                Ok(()) if !self.standing.is_down() => Health::Working,
                Ok(()) => return,
                Err(why) if self.standing.is_down() => Health::Down(why),
                Err(why) => Health::Failing(why),
            });
        }
    }

    /// The end says nothing of the destination.
    fn untried(&mut self, done: Done, disposition: Disposition) {
        let ended = self.ending(disposition);
        self.recorder.add(done, ended);
    }

    fn ending(&self, disposition: Disposition) -> Ended {
        Ended {
            disposition,
            answer: None,
            hold_until: None,
            at: self.shared.clock.wall(),
            order: None,
            cancels: None,
            answer_event: None,
        }
    }

    async fn went_down(&mut self, why: &Result<(), String>) {
        self.give_back();
        let why = why.clone().err().unwrap_or_default();
        let destination = self.shared.destination.name();
        let waiting = of(&self.sums.borrow(), self.shared.destination.id())
            .map_or(0, DestinationSums::waiting);
        tracing::warn!(
            destination, reason = %why, waiting,
            "deliver: the destination is down; events wait, a probe goes out at most a minute apart"
        );
        let at = self.shared.clock.wall();
        self.set_down(Some(Down { at, why })).await;
    }

    async fn came_up(&mut self) {
        let destination = self.shared.destination.name();
        tracing::info!(destination, "deliver: the destination works again");
        self.hasten = true;
        self.idle_until = None;
        self.set_down(None).await;
    }

    pub(super) async fn set_down(&self, down: Option<Down>) {
        let id = self.shared.destination.id();
        if let Err(error) = self.shared.journal.set_down(id, down).await {
            tracing::debug!(%error, destination = id, "deliver: not noted");
        }
    }

    /// All ends so far are recorded first: what was given up too early is to be found dead.
    async fn pause(&mut self, pause: Pause) {
        self.recorder.finish().await;
        let (id, name) = (
            self.shared.destination.id(),
            self.shared.destination.name().to_owned(),
        );
        let Pause {
            why,
            trouble,
            revive,
        } = pause;
        let refused = revive.clone();
        let paused = Paused {
            at: self.shared.clock.wall(),
            by: "relay".to_owned(),
            why: why.clone(),
            trouble: Some(trouble.to_owned()),
        };
        match self
            .shared
            .journal
            .pause_and_revive(id, paused, revive)
            .await
        {
            Ok(()) => {
                tracing::error!(
                    destination = name, reason = %why,
                    "deliver: PAUSED; events wait until: orbit-relay destinations resume {name}"
                );
                self.paused = true;
                self.give_back();
                self.say(Health::Paused(why));
            }
            // The next refusal tries it again.
            Err(error) => {
                tracing::error!(%error, destination = name, "deliver: cannot be paused");
                self.standing.not_paused(refused);
            }
        }
    }
}
