//! The one thread that writes: it commits in groups, one fsync for all who wait.
//!
//! # Invariants
//! - Replies go out after the commit, or tell everyone in the group that it failed.
//! - Trouble never ends the thread: it closes the journal, says why, and opens it again.

use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::{oneshot, watch};

use super::open::{OpenError, Opened};
use super::room::Gauge;
use super::store::{Store, StoreError, Unanswered};
use super::{Availability, Config, Level, Room, Sums, WriteError};
use crate::clock::{Clock, until};

/// As much work as may wait. More are in flight only if the connection limits are wrong.
const QUEUE: usize = 4096;
/// A group's size is bounded so that its first member does not wait for ever.
const GROUP: usize = 512;
/// How often a journal that is not available is tried again.
const RETRY: Duration = Duration::from_secs(1);

/// How often a commit notes what the clocks show.
const NOTE_CLOCK: Duration = Duration::from_mins(1);

type Reply = Box<dyn FnOnce(Result<(), WriteError>) + Send>;
type Act = Box<dyn FnOnce(Result<&mut Store, WriteError>) -> (Option<StoreError>, Reply) + Send>;

/// One call, to be answered after the commit.
pub(super) struct Work(Act);

impl Work {
    pub(super) fn new<T: Send + 'static>(
        act: impl FnOnce(&mut Store) -> Result<T, StoreError> + Send + 'static,
        reply: oneshot::Sender<Result<T, WriteError>>,
    ) -> Self {
        // A caller that no longer listens is no error: its effect stands all the same.
        let send = |reply: oneshot::Sender<Result<T, WriteError>>, value| drop(reply.send(value));
        Self(Box::new(move |store| match store.map(act) {
            Ok(Ok(value)) => {
                let finish =
                    move |committed: Result<(), WriteError>| send(reply, committed.map(|()| value));
                (None, Box::new(finish))
            }
            Ok(Err(StoreError::Refused(error))) => {
                let finish = move |committed: Result<(), WriteError>| {
                    send(reply, committed.and(Err(error)));
                };
                (None, Box::new(finish))
            }
            Ok(Err(error)) => {
                let finish = move |committed: Result<(), WriteError>| {
                    let error = committed.err().unwrap_or_else(super::stopped);
                    send(reply, Err(error));
                };
                (Some(error), Box::new(finish))
            }
            Err(error) => (None, Box::new(move |_| send(reply, Err(error)))),
        }))
    }
}

pub(super) struct Started {
    pub(super) work: SyncSender<Work>,
    pub(super) availability: watch::Receiver<Availability>,
    pub(super) sums: watch::Receiver<Sums>,
    pub(super) room: watch::Receiver<Room>,
    pub(super) released: watch::Receiver<u64>,
    pub(super) ended: oneshot::Receiver<()>,
}

pub(super) fn start(config: Config, clock: Clock) -> std::io::Result<Started> {
    let (work, inbox) = sync_channel(QUEUE);
    let (availability, availability_seen) = watch::channel(Availability::Opening);
    let (sums, sums_seen) = watch::channel(Sums::default());
    let (released, released_seen) = watch::channel(0);
    let (gauge, room) = Gauge::new(config.data_dir.clone(), config.limit_bytes);
    let (end, ended) = oneshot::channel();
    let mut writer = Writer {
        config,
        clock,
        availability,
        sums,
        released,
        gauge,
        journal: None,
        opened_before: false,
        clock_noted: Timestamp::MIN,
    };
    std::thread::Builder::new()
        .name("journal".into())
        .spawn(move || {
            writer.run(&inbox);
            // Nobody waiting for the end is fine.
            end.send(()).ok();
        })?;
    Ok(Started {
        work,
        availability: availability_seen,
        sums: sums_seen,
        room,
        released: released_seen,
        ended,
    })
}

struct Writer {
    config: Config,
    clock: Clock,
    availability: watch::Sender<Availability>,
    sums: watch::Sender<Sums>,
    released: watch::Sender<u64>,
    gauge: Gauge,
    journal: Option<Opened>,
    opened_before: bool,
    clock_noted: Timestamp,
}

impl Writer {
    fn run(&mut self, inbox: &Receiver<Work>) {
        let mut group = Vec::with_capacity(GROUP);
        self.open();
        loop {
            match inbox.recv_timeout(RETRY) {
                Ok(work) => group.push(work),
                Err(RecvTimeoutError::Timeout) => {
                    self.recover();
                    continue;
                }
                Err(RecvTimeoutError::Disconnected) => break,
            }
            while group.len() < GROUP
                && let Ok(work) = inbox.try_recv()
            {
                group.push(work);
            }
            self.check();
            if self.journal.is_none() {
                self.open();
            }
            self.look_at_room(false);
            self.commit(&mut group);
        }
        if let Some(journal) = self.journal.take() {
            journal.close(self.clock.wall(), self.clock.steady());
        }
    }

    /// One transaction for the whole group.
    fn commit(&mut self, group: &mut Vec<Work>) {
        let Some(journal) = &mut self.journal else {
            let why = self.why_unavailable();
            for Work(act) in group.drain(..) {
                let (_, reply) = act(Err(WriteError::Unavailable(why.clone())));
                reply(Ok(()));
            }
            return;
        };
        let mut replies = Vec::with_capacity(group.len());
        let mut result = journal.store.begin();
        for Work(act) in group.drain(..) {
            let store = match &result {
                Ok(()) => Ok(&mut journal.store),
                Err(error) => Err(WriteError::Unavailable(error.to_string())),
            };
            let (error, reply) = act(store);
            replies.push(reply);
            if let Some(error) = error {
                result = Err(error);
            }
        }
        let (wall, steady) = (self.clock.wall(), self.clock.steady());
        if result.is_ok() && until(self.clock_noted, steady) >= NOTE_CLOCK {
            result = journal.store.note_clock(wall, steady);
            self.clock_noted = steady;
        }
        let result = result.and_then(|()| journal.store.commit());
        let outcome = match result {
            Ok(()) => {
                journal.committed(self.gauge.level() == Level::Full);
                if journal.store.has_released() {
                    self.released.send_modify(|n| *n += 1);
                }
                for Unanswered {
                    seq,
                    destination,
                    reason,
                } in journal.store.take_unanswered()
                {
                    tracing::warn!(
                        seq, destination, %reason, "parked: it waits until a person replays it"
                    );
                }
                self.say(Availability::Open);
                self.publish();
                Ok(())
            }
            Err(error) => {
                let why = self.fail(&error);
                Err(WriteError::Unavailable(why))
            }
        };
        for reply in replies {
            reply(outcome.clone());
        }
    }

    /// Gives up the transaction, and the connection too where the error may have left it unsure.
    fn fail(&mut self, error: &StoreError) -> String {
        let why = error.to_string();
        if let Some(journal) = &mut self.journal
            && (journal.store.rollback().is_err() || !error.is_full())
        {
            self.journal = None;
        }
        self.say(Availability::Unavailable(why.clone()));
        why
    }

    /// Lets go of files that others removed.
    fn check(&mut self) {
        if let Some(Err(error)) = self.journal.as_ref().map(Opened::check) {
            self.journal = None;
            self.say(Availability::Unavailable(describe(&error)));
        }
    }

    fn look_at_room(&mut self, idle: bool) {
        if let Some(journal) = &mut self.journal {
            let now = self.clock.steady();
            self.gauge.look(&mut journal.store, now, idle);
        }
    }

    /// While all is well there is nothing to do; otherwise finds out whether it is well again.
    fn recover(&mut self) {
        self.check();
        self.look_at_room(true);
        if *self.availability.borrow() == Availability::Open {
            return;
        }
        if self.journal.is_none() {
            self.open();
        }
        if let Some(journal) = &mut self.journal {
            let probe = journal.store.probe();
            match probe {
                Ok(()) => self.say(Availability::Open),
                Err(error) => {
                    self.fail(&error);
                }
            }
        }
    }

    fn open(&mut self) {
        match Opened::open(&self.config, &self.clock, self.opened_before) {
            Ok(journal) => {
                self.opened_before = true;
                self.journal = Some(journal);
                self.look_at_room(true);
                // Whoever waits for the opening finds the sums of what was opened.
                self.publish();
                self.say(Availability::Open);
            }
            Err(error) => self.say(Availability::Unavailable(describe(&error))),
        }
    }

    fn why_unavailable(&self) -> String {
        match &*self.availability.borrow() {
            Availability::Unavailable(why) => why.clone(),
            Availability::Opening | Availability::Open => "it is not open".into(),
        }
    }

    fn publish(&mut self) {
        let Some(journal) = &mut self.journal else {
            return;
        };
        match journal.store.changed_sums() {
            Ok(Some(sums)) => drop(self.sums.send_replace(sums)),
            Ok(None) => {}
            Err(error) => drop(self.fail(&error)),
        }
    }

    fn say(&self, now: Availability) {
        self.availability.send_if_modified(|before| {
            let changed = *before != now;
            if changed {
                match &now {
                    Availability::Unavailable(reason) => {
                        tracing::error!(%reason, "journal: not available, events are answered 503");
                    }
                    Availability::Open if *before != Availability::Opening => {
                        tracing::info!("journal: available again");
                    }
                    Availability::Open | Availability::Opening => {}
                }
                *before = now;
            }
            changed
        });
    }
}

fn describe(error: &OpenError) -> String {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(inner) = cause {
        text = format!("{text}: {inner}");
        cause = inner.source();
    }
    text
}
