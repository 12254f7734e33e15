//! What Today shows.
//!
//! # Invariants
//! - What cannot be read is said, and the rest is shown all the same.
//! - The numbers are the journal's; what they do not add up to is said, never hidden.
//! - Lists are bounded: what they leave out is counted.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

use super::known::{self, Part};
use super::verdict::{Verdict, verdict};
use crate::app::Handles;
use crate::ops::health;
use crate::page::{Failed, Page};
use crate::relay::journal::{self, DestinationSums, Reader, State, Sums};

/// So many robots on missions are listed.
const ROUTES: usize = 100;
/// So many hours are drawn.
const HOURS: i64 = 48;
const HOUR_S: i64 = 3600;
/// What came is read within less, as long as all is well.
const MOMENT: SignedDuration = SignedDuration::from_secs(10);

/// Today.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct View {
    /// Whether all is well.
    pub(crate) verdict: Verdict,
    /// What that goes by, and what else is shown.
    #[serde(flatten)]
    pub(crate) facts: Facts,
}

/// What is known.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Facts {
    /// When.
    pub(crate) now: Timestamp,
    /// Whether events can be accepted.
    pub(crate) ready: bool,
    /// Why nothing can be accepted yet, where it was not set up.
    pub(crate) not_configured: Option<String>,
    /// The last 24 hours; none where they cannot be read.
    pub(crate) day: Option<Numbers>,
    /// All that ever was.
    pub(crate) ever: Numbers,
    /// Why not all could be read.
    pub(crate) unreadable: Option<String>,
    /// What does not add up.
    pub(crate) mistakes: Vec<String>,
    /// When the last event of Orbit came.
    pub(crate) last_event_at: Option<Timestamp>,
    /// What waits for a decision.
    pub(crate) needs: Needs,
    /// Where events go.
    pub(crate) destinations: Vec<Destination>,
    /// Who comes on which mission: who is silent first.
    pub(crate) routes: Vec<Route>,
    /// How many more there are.
    pub(crate) routes_left_out: usize,
    /// How many of these are silent.
    pub(crate) silent_left_out: usize,
    /// Whether events that came a while ago are still being read, so that who is silent is not known.
    pub(crate) reading_on: bool,
    /// What was received by the hour, the oldest first, none left out.
    pub(crate) hours: Vec<Hour>,
    /// How the relay's parts do.
    pub(crate) parts: Vec<Part>,
}

/// What was received in some time, and what became of it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Numbers {
    /// From when on; none: ever.
    pub(crate) since: Option<Timestamp>,
    /// Requests that brought an event or tried to: accepted + duplicate + rejected.
    pub(crate) received: u64,
    /// Events taken.
    pub(crate) accepted: u64,
    /// Events that were there already.
    pub(crate) duplicate: u64,
    /// Refused, by reason.
    pub(crate) rejected: BTreeMap<String, u64>,
    /// At each destination, what became of the accepted ones.
    pub(crate) destinations: Vec<Shares>,
}

/// What became of events at one destination; all together are the accepted ones.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Shares {
    /// What people call it.
    pub(crate) name: String,
    /// It took them.
    pub(crate) delivered: u64,
    /// They go by themselves.
    pub(crate) waiting: u64,
    /// They go when somebody decides.
    pub(crate) needs_you: u64,
    /// It does not want them.
    pub(crate) skipped: u64,
    /// Somebody threw them away.
    pub(crate) discarded: u64,
    /// They came while it was not configured.
    pub(crate) kept: u64,
    /// They were kept until their time was over.
    pub(crate) expired: u64,
}

/// How many deliveries wait for a decision.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Needs {
    /// They were given up.
    pub(crate) dead: u64,
    /// They have no asset.
    pub(crate) unmapped: u64,
    /// They are parked for another reason.
    pub(crate) parked: u64,
}

/// Where events go, and how that does.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Destination {
    /// Its id.
    pub(crate) id: String,
    /// What people call it.
    pub(crate) name: String,
    /// In a word, as health says it.
    pub(crate) status: &'static str,
    /// Whether it does what it should.
    pub(crate) well: bool,
    /// Why it stands so.
    pub(crate) reason: Option<String>,
    /// Whether nothing goes out until it is resumed.
    pub(crate) paused: bool,
    /// Since when it is paused, or its circuit is open.
    pub(crate) since: Option<Timestamp>,
    /// For so many seconds nothing goes out, because it asked for that.
    pub(crate) held_s: Option<i64>,
    /// How many deliveries go by themselves.
    pub(crate) waiting: u64,
    /// How many go when somebody decides.
    pub(crate) needs_you: u64,
    /// When the oldest event came that it still waits for.
    pub(crate) oldest: Option<Timestamp>,
    /// Whether it is no longer configured.
    pub(crate) removed: bool,
}

/// A robot on a mission.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Route {
    /// The robot.
    pub(crate) robot: String,
    /// The mission.
    pub(crate) mission: Option<String>,
    /// How many events came.
    pub(crate) events: u64,
    /// When the last one was.
    pub(crate) last_at: Timestamp,
    /// The longest time between two of them that is usual, in seconds; none: too little is known.
    pub(crate) usual_s: Option<i64>,
    /// Whether nothing came for longer than is usual.
    pub(crate) silent: bool,
}

/// What was received in an hour.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Hour {
    /// When it began.
    pub(crate) at: Timestamp,
    /// How many.
    pub(crate) received: u64,
}

impl Destination {
    /// How it does, as people say it.
    pub(crate) fn in_words(&self) -> &'static str {
        match self.status {
            _ if self.removed => "is no longer configured",
            _ if self.paused => "is paused: nothing goes out",
            "down" => "is down: only probes go out",
            "failing" => "fails",
            "untried" => "was sent nothing yet",
            _ => "works",
        }
    }
}

impl Numbers {
    /// The sum over all destinations.
    pub(crate) fn all(&self, of: impl Fn(&Shares) -> u64) -> u64 {
        self.destinations.iter().map(of).sum()
    }
}

impl Shares {
    fn of(name: &str, kept: u64, expired: u64, n: impl Fn(State) -> u64) -> Self {
        Self {
            name: name.to_owned(),
            delivered: n(State::Delivered),
            waiting: n(State::Pending) + n(State::Sending) + n(State::Postponed),
            needs_you: n(State::Parked) + n(State::Dead),
            skipped: n(State::Skipped),
            discarded: n(State::Discarded),
            kept,
            expired,
        }
    }
}

/// What the journal says.
#[derive(Default)]
struct Kept {
    day: Option<Numbers>,
    mistakes: Vec<String>,
    routes: Vec<Route>,
    reading_on: bool,
    hours: Vec<Hour>,
}

/// Looks.
pub(crate) async fn view(page: &Arc<Page>) -> Result<View, Failed> {
    let now = page.app.clock.wall();
    let read = page.read(move |reader| Kept::read(reader, now)).await;
    let (kept, unreadable) = match read {
        Ok(kept) => (kept, None),
        Err(failed) => (Kept::default(), Some(failed.what)),
    };
    let facts = facts(&page.app, now, kept, unreadable);
    Ok(View {
        verdict: verdict(&facts),
        facts,
    })
}

impl Kept {
    fn read(reader: &mut Reader, now: Timestamp) -> Result<Self, journal::ReadError> {
        // Before what it says is read: what is written meanwhile is in that.
        let reading_on = is_reading_on(reader, now)?;
        let day = reader.day(now)?;
        let hours = reader.hours(first_hour(now))?;
        let routes = reader.routes()?;
        let routes = routes.into_iter().map(|route| Route {
            silent: route.is_silent(now),
            usual_s: route
                .usual_gap
                .and_then(|gap| i64::try_from(gap.as_secs()).ok()),
            robot: route.robot,
            mission: route.mission,
            events: route.n,
            last_at: route.last_at,
        });
        let shares = day.destinations.iter();
        let shares = shares.map(|to| Shares::of(&to.name, to.kept, to.expired, |s| to.of(s)));
        Ok(Self {
            routes: routes.collect(),
            reading_on,
            mistakes: day.mistakes(),
            hours: hours
                .iter()
                .map(|hour| Hour {
                    at: hour.at,
                    received: hour.accepted + hour.duplicate + hour.rejected,
                })
                .collect(),
            day: Some(Numbers {
                since: Some(day.since),
                received: day.received(),
                accepted: day.accepted,
                duplicate: day.duplicate,
                destinations: shares.collect(),
                rejected: day.rejected,
            }),
        })
    }
}

/// Whether something came longer than a moment ago that the catalogue does not have. What it has is
/// not missing while it is looked at anew.
fn is_reading_on(reader: &mut Reader, now: Timestamp) -> Result<bool, journal::ReadError> {
    let upto = reader.catalogue_mark()?.upto;
    let (next, _) = reader.to_catalogue(upto, i64::MAX, 1)?;
    let next = next.first();
    Ok(next.is_some_and(|(event, _)| now.duration_since(event.received_at) > MOMENT))
}

fn facts(app: &Handles, now: Timestamp, kept: Kept, unreadable: Option<String>) -> Facts {
    let sums = app.parts.sums.borrow().clone();
    let health = app.parts.health();
    let steady = app.clock.steady();
    let destinations = sums.destinations.iter();
    let destinations = destinations.filter_map(|of| {
        let part = health.destinations.get(&of.name);
        destination(of, part, steady)
    });
    let mut mistakes = sums.mistakes();
    mistakes.extend(kept.mistakes);
    // Whoever is not known yet is not known to be silent either.
    let mut routes = kept.routes;
    if kept.reading_on {
        for route in &mut routes {
            route.silent = false;
        }
    }
    routes.sort_by_key(|route| (!route.silent, std::cmp::Reverse(route.last_at)));
    let beyond = routes.split_off(ROUTES.min(routes.len()));
    Facts {
        now,
        ready: health.ready,
        not_configured: app.shown.not_configured.clone(),
        day: kept.day,
        ever: ever(&sums),
        unreadable,
        mistakes,
        last_event_at: sums.last_event_at,
        needs: needs(&sums),
        destinations: destinations.collect(),
        routes_left_out: beyond.len(),
        silent_left_out: beyond.iter().filter(|route| route.silent).count(),
        routes,
        reading_on: kept.reading_on,
        hours: every_hour(now, &kept.hours),
        parts: known::parts(&app.parts, app.orbit.is_some()),
    }
}

fn ever(sums: &Sums) -> Numbers {
    let shares = sums.destinations.iter();
    let shares = shares.map(|to| Shares::of(&to.name, to.kept, to.expired, |s| to.of(s)));
    Numbers {
        since: None,
        received: sums.received(),
        accepted: sums.accepted,
        duplicate: sums.duplicate,
        rejected: sums.rejected.clone(),
        destinations: shares.collect(),
    }
}

fn needs(sums: &Sums) -> Needs {
    let mut needs = Needs::default();
    for of in &sums.destinations {
        needs.dead += of.of(State::Dead);
        needs.unmapped += of.unmapped;
        needs.parked += of.of(State::Parked).saturating_sub(of.unmapped);
    }
    needs
}

/// None for one that is no longer configured, and has nothing left.
fn destination(
    of: &DestinationSums,
    part: Option<&health::Part>,
    steady: Timestamp,
) -> Option<Destination> {
    let shares = Shares::of(&of.name, of.kept, of.expired, |state| of.of(state));
    if of.removed && shares.waiting + shares.needs_you == 0 {
        return None;
    }
    let (status, well, mut reason) = part.map_or(("untried", true, None), |part| {
        (part.status, part.well, part.reason.clone())
    });
    let held = of
        .held_until
        .map(|until| until.duration_since(steady).as_secs());
    if let Some(paused) = &of.paused {
        reason = Some(format!("{} (by {})", paused.why, paused.by));
    } else if let Some(down) = &of.down {
        reason = Some(down.why.clone());
    }
    let since = of.paused.as_ref().map(|paused| paused.at);
    Some(Destination {
        id: of.id.clone(),
        name: of.name.clone(),
        status: if of.down.is_some() { "down" } else { status },
        well: well && of.down.is_none() && of.paused.is_none(),
        reason,
        paused: of.paused.is_some(),
        since: since.or(of.down.as_ref().map(|down| down.at)),
        held_s: held.filter(|seconds| *seconds > 0),
        waiting: shares.waiting,
        needs_you: shares.needs_you,
        oldest: of.oldest_undelivered_at,
        removed: of.removed,
    })
}

fn first_hour(now: Timestamp) -> Timestamp {
    let first = now.as_second().div_euclid(HOUR_S) * HOUR_S - (HOURS - 1) * HOUR_S;
    Timestamp::from_second(first).unwrap_or(now)
}

/// The hours up to now, also those in which nothing came.
fn every_hour(now: Timestamp, known: &[Hour]) -> Vec<Hour> {
    let received: BTreeMap<_, _> = known.iter().map(|hour| (hour.at, hour.received)).collect();
    let first = first_hour(now);
    let hours = (0..HOURS).filter_map(|n| first.checked_add(SignedDuration::from_hours(n)).ok());
    hours
        .map(|at| Hour {
            at,
            received: received.get(&at).copied().unwrap_or(0),
        })
        .collect()
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::clock::Clock;
    use crate::event::{ALERT, Event, Identity, ORBIT, Origin};
    use crate::relay::journal::{Availability, Config, Down, Journal, Mark, Paused};

    pub(in super::super) fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(1_780_000_000 + seconds).unwrap()
    }

    fn part(name: &'static str, vital: bool, href: &'static str) -> Part {
        Part {
            name,
            well: Some(true),
            status: "well",
            reason: None,
            counts: false,
            vital,
            soon: false,
            href,
        }
    }

    /// Facts that nothing speaks against.
    pub(in super::super) fn well() -> Facts {
        let numbers = Numbers {
            since: None,
            received: 12,
            accepted: 10,
            duplicate: 1,
            rejected: [("wrong_signature".to_owned(), 1)].into(),
            destinations: vec![Shares {
                name: "cmms".to_owned(),
                delivered: 8,
                skipped: 2,
                ..Shares::default()
            }],
        };
        Facts {
            now: at(0),
            ready: true,
            not_configured: None,
            day: Some(Numbers {
                since: Some(at(-86_400)),
                ..numbers.clone()
            }),
            ever: numbers,
            unreadable: None,
            mistakes: Vec::new(),
            last_event_at: Some(at(-300)),
            needs: Needs::default(),
            destinations: vec![Destination {
                id: "cmms".to_owned(),
                name: "cmms".to_owned(),
                status: "working",
                well: true,
                reason: None,
                paused: false,
                since: None,
                held_s: None,
                waiting: 0,
                needs_you: 0,
                oldest: None,
                removed: false,
            }],
            routes: vec![Route {
                robot: "Spot".to_owned(),
                mission: Some("Round".to_owned()),
                events: 40,
                last_at: at(-300),
                usual_s: Some(3600),
                silent: false,
            }],
            routes_left_out: 0,
            silent_left_out: 0,
            reading_on: false,
            hours: every_hour(at(0), &[]),
            parts: vec![
                part("Events", true, "/setup"),
                part("Journal", true, "/health"),
                part("Orbit", true, "/setup"),
                part("Webhook", true, "/waiting#webhook"),
                part("Backfill", false, "/health"),
                part("Clock", false, "/health"),
            ],
        }
    }

    #[test]
    fn every_state_is_in_one_share_only() {
        let shares = Shares::of("cmms", 0, 0, |_| 1);
        let Shares {
            delivered,
            waiting,
            needs_you,
            skipped,
            discarded,
            ..
        } = shares;
        let all = delivered + waiting + needs_you + skipped + discarded;
        assert_eq!(usize::try_from(all).unwrap(), State::ALL.len());
    }

    #[tokio::test]
    async fn who_is_silent_is_not_known_while_what_came_is_not_read() {
        let dir = tempfile::tempdir().unwrap();
        let config = Config {
            data_dir: dir.path().to_owned(),
            destinations: None,
            keep_delivered: Config::KEEP_DELIVERED,
            limit_bytes: Config::LIMIT_BYTES,
            says: Vec::new(),
        };
        let (journal, _writer) = Journal::start(config, Clock::system()).unwrap();
        let mut open = journal.availability();
        drop(open.wait_for(|now| *now == Availability::Open).await);
        let reads_on = |now| {
            let mut reader = Reader::open(dir.path()).unwrap();
            Kept::read(&mut reader, now).unwrap().reading_on
        };
        assert!(!reads_on(at(0)), "nothing came");
        for n in 0..2 {
            let event = Event {
                source: ORBIT.into(),
                event_type: ALERT.into(),
                identity: Identity::RunEvent(n.to_string()),
                origin: Origin::Webhook,
                received_at: at(n * 100),
                body: b"{}".to_vec(),
            };
            journal.append(event).await.unwrap();
        }
        assert!(!reads_on(at(5)), "that is a moment");
        assert!(reads_on(at(11)));
        let mark = |upto| Mark {
            upto,
            map: "a".to_owned(),
            ..Mark::default()
        };
        // As after an update: some of it is read.
        journal.catalogue(Vec::new(), mark(1), None).await.unwrap();
        assert!(!reads_on(at(105)));
        assert!(reads_on(at(111)), "the second is not");
        let anew = mark(2).with_map("b");
        journal.catalogue(Vec::new(), anew, None).await.unwrap();
        assert!(
            !reads_on(at(999)),
            "all is there, also while it is looked at anew"
        );
    }

    #[test]
    fn hours_without_events_are_there_too() {
        let known = [Hour {
            at: first_hour(at(0)),
            received: 7,
        }];
        let hours = every_hour(at(0), &known);
        assert_eq!(hours.len(), 48);
        assert_eq!(hours[0].received, 7);
        assert!(hours[47].at <= at(0) && at(0).duration_since(hours[47].at).as_secs() < 3600);
    }

    #[test]
    fn a_destination_is_as_ill_as_the_journal_says_even_before_it_was_tried() {
        let sums = |paused, down| DestinationSums {
            id: "cmms".to_owned(),
            name: "cmms".to_owned(),
            paused,
            down,
            ..DestinationSums::default()
        };
        let down = Down {
            at: at(-60),
            why: "no connection".to_owned(),
        };
        let paused = Paused {
            at: at(-90),
            by: "ann".to_owned(),
            why: "maintenance".to_owned(),
            trouble: None,
        };
        let of = destination(&sums(None, Some(down)), None, at(0)).unwrap();
        assert_eq!(
            (of.well, of.since, of.in_words()),
            (false, Some(at(-60)), "is down: only probes go out")
        );
        let of = destination(&sums(Some(paused), None), None, at(0)).unwrap();
        assert_eq!((of.well, of.since), (false, Some(at(-90))));
        assert_eq!(of.reason.as_deref(), Some("maintenance (by ann)"));
        let removed = DestinationSums {
            removed: true,
            ..sums(None, None)
        };
        assert_eq!(
            destination(&removed, None, at(0)),
            None,
            "nothing is left of it"
        );
    }
}
