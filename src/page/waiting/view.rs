//! What waits for somebody to decide.
//!
//! # Invariants
//! - Lists are bounded: what they leave out is counted.
//! - What cannot be read is said, and the rest is shown all the same.
//! - A group says by what it is found again: an act on it is about what was shown, and no more.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::Timestamp;
use serde::Serialize;

use super::subject::{self, Choice};
use crate::app::Handles;
use crate::event::Origin;
use crate::page::assets::map;
use crate::page::{Failed, Page};
use crate::reconcile::webhook::Status;
use crate::relay::assets::{AssetMap, Subject};
use crate::relay::journal::{self, ActsPage, Groups, Held, HeldGroup, Reader, Sums};

/// So many groups of a kind are shown.
const GROUPS: usize = 50;
/// So many assets are offered.
const ASSETS: usize = 1000;
/// So many acts of a kind are looked through for those that people decided.
const ACTS: u32 = 30;
/// The kinds of acts that are shown.
const KINDS: [&str; 6] = ["pause", "resume", "replay", "discard", "webhook", MAP];
const LATELY: usize = 8;
/// What an act on the asset map is called.
const MAP: &str = "map";

/// Waiting for you.
#[derive(Clone, Debug, Default, Serialize)]
pub(crate) struct View {
    /// When.
    pub(crate) now: Timestamp,
    /// Why not all could be read.
    pub(crate) unreadable: Option<String>,
    /// Actions without an asset.
    pub(crate) unmapped: List<Unmapped>,
    /// Deliveries that were given up, by reason.
    pub(crate) dead: List<Group>,
    /// Deliveries that are parked for a reason of their own.
    pub(crate) parked: List<Group>,
    /// Destinations to which nothing goes out.
    pub(crate) paused: Vec<Paused>,
    /// Destinations that are no longer configured, and still had something.
    pub(crate) removed: Vec<Removed>,
    /// Our webhook in Orbit, where it is not as it should be.
    pub(crate) webhook: Option<Webhook>,
    /// Where rows of the asset map go.
    pub(crate) map: Map,
    /// What was decided lately, the newest first.
    pub(crate) lately: Vec<Decided>,
}

/// The first of some things, and how many are left out.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct List<T> {
    /// The largest first.
    pub(crate) groups: Vec<T>,
    /// How many groups there are beyond these.
    pub(crate) left_out: usize,
    /// Whether there are older ones that were not counted.
    pub(crate) more: bool,
}

/// An action without an asset.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Unmapped {
    /// The number of the newest event.
    pub(crate) seq: i64,
    /// The action's name.
    pub(crate) action: Option<String>,
    /// The mission's name.
    pub(crate) mission: Option<String>,
    /// The robot.
    pub(crate) robot: Option<String>,
    /// How many events wait.
    pub(crate) events: u64,
    /// How many deliveries that are.
    pub(crate) deliveries: u64,
    /// To these destinations, by name.
    pub(crate) destinations: Vec<String>,
    /// When the first of them came.
    pub(crate) first: Timestamp,
    /// When the last of them came.
    pub(crate) last: Timestamp,
    /// Whether the newest event has a photograph.
    pub(crate) picture: bool,
    /// By what the row may go.
    pub(crate) choices: Vec<Choice>,
    /// The line to add to the asset map by hand.
    pub(crate) line: String,
}

/// Deliveries of one destination that stopped for the same reason.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Group {
    /// The destination's id.
    pub(crate) destination: String,
    /// What people call it.
    pub(crate) name: String,
    /// Why, with `…` for what differs.
    pub(crate) reason: String,
    /// How many.
    pub(crate) count: u64,
    /// When the first of them stopped.
    pub(crate) first: Timestamp,
    /// When the last of them did.
    pub(crate) last: Timestamp,
    /// The number of the newest event.
    pub(crate) seq: i64,
}

/// A destination to which nothing goes out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Paused {
    /// Its id.
    pub(crate) destination: String,
    /// What people call it.
    pub(crate) name: String,
    /// Since when.
    pub(crate) since: Timestamp,
    /// Who did it: a person, or `relay`.
    pub(crate) by: String,
    /// Why.
    pub(crate) why: String,
    /// What is to be set right first, where the relay itself paused it.
    pub(crate) trouble: Option<String>,
    /// How many deliveries wait for it.
    pub(crate) count: u64,
}

/// A destination that is no longer configured, and still had something.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Removed {
    /// Its id.
    pub(crate) destination: String,
    /// What people called it.
    pub(crate) name: String,
    /// How many deliveries.
    pub(crate) count: u64,
}

/// Our webhook in Orbit, where it is not as it should be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Webhook {
    /// In a word: `drift`, `disabled`, `deleted`, `failing`.
    pub(crate) status: &'static str,
    /// What differs, or why.
    pub(crate) what: Vec<String>,
    /// Whether it can be set right from here.
    pub(crate) repair: bool,
}

/// Where rows of the asset map go.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Map {
    /// Why the page does not write it: where it comes from.
    pub(crate) locked: Option<String>,
    /// Its file.
    pub(crate) path: String,
    /// The version in use.
    pub(crate) version: String,
    /// The header that a line by hand needs before it, where the map has none.
    pub(crate) header: Option<String>,
    /// Assets that are known already.
    pub(crate) assets: Vec<String>,
}

/// What a person decided.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Decided {
    /// When.
    pub(crate) at: Timestamp,
    /// Who.
    pub(crate) who: String,
    /// What.
    pub(crate) what: String,
    /// On which destination, by its name.
    pub(crate) name: Option<String>,
    /// Why, or to which deliveries.
    pub(crate) detail: String,
    /// How it is undone.
    pub(crate) undo: Undo,
}

/// How something is undone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Undo {
    /// By a pause of this destination.
    Pause(String),
    /// By the end of its pause.
    Resume(String),
    /// By the map before it, while this version is the one in use.
    Map(String),
    /// It cannot be, for this reason.
    Never(&'static str),
    /// Something later did it already.
    Done,
}

impl<T> Default for List<T> {
    fn default() -> Self {
        Self {
            groups: Vec::new(),
            left_out: 0,
            more: false,
        }
    }
}

impl<T> List<T> {
    /// As the journal has it, each group made to what is shown.
    fn of<U>(groups: Groups<U>, shown: impl FnMut(U) -> Option<T>) -> Self {
        Self {
            groups: groups.groups.into_iter().filter_map(shown).collect(),
            left_out: groups.left_out,
            more: groups.more,
        }
    }
}

impl View {
    /// Whether nothing waits.
    pub(crate) fn is_empty(&self) -> bool {
        self.unreadable.is_none()
            && self.unmapped.groups.is_empty()
            && self.dead.groups.is_empty()
            && self.parked.groups.is_empty()
            && self.paused.is_empty()
            && self.removed.is_empty()
            && self.webhook.is_none()
    }
}

/// Looks.
pub(crate) async fn view(page: &Arc<Page>) -> Result<View, Failed> {
    let app = &page.app;
    let assets = Arc::clone(&app.assets.current().borrow());
    let sums = app.parts.sums.borrow().clone();
    let names: BTreeMap<_, _> = sums
        .destinations
        .iter()
        .map(|of| (of.id.clone(), of.name.clone()))
        .collect();
    let paused: BTreeSet<_> = sums
        .destinations
        .iter()
        .filter(|of| of.paused.is_some())
        .map(|of| of.id.clone())
        .collect();
    let with = Arc::clone(&assets);
    let read = page
        .read(move |reader| read(reader, &with, &names, &paused))
        .await;
    let mut view = read.unwrap_or_else(|failed| View {
        unreadable: Some(failed.what),
        ..View::default()
    });
    view.now = app.clock.wall();
    view.paused = paused_ones(&sums);
    view.webhook = webhook(app);
    let kept = map::state(page);
    for decided in &mut view.lately {
        if let Undo::Map(version) = &mut decided.undo {
            if kept.locked.is_some() {
                decided.undo = Undo::Never("another file is the asset map now");
            } else {
                version.clone_from(&kept.version);
            }
        }
    }
    view.map = Map {
        locked: kept.locked,
        path: kept.path,
        version: kept.version,
        header: assets.missing_header(),
        assets: assets.assets().take(ASSETS).map(str::to_owned).collect(),
    };
    Ok(view)
}

fn read(
    reader: &mut Reader,
    map: &AssetMap,
    names: &BTreeMap<String, String>,
    paused: &BTreeSet<String>,
) -> Result<View, journal::ReadError> {
    let name = |id: &String| names.get(id).unwrap_or(id).clone();
    let groups = reader.unmapped_groups(map, GROUPS)?;
    let mut unmapped = List::of(groups, |of| {
        let Subject {
            action_name,
            mission_name,
            robot,
            ..
        } = of.subject.clone();
        Some(Unmapped {
            seq: of.newest,
            action: action_name,
            mission: mission_name,
            robot,
            events: of.events,
            deliveries: of.deliveries,
            destinations: of.destinations.iter().map(name).collect(),
            first: of.first,
            last: of.last,
            picture: false,
            choices: subject::choices(&of.subject),
            line: of.line,
        })
    });
    for of in &mut unmapped.groups {
        let event = reader.find(&of.seq.to_string())?;
        // A sample names photographs that nobody took.
        of.picture = event.first().is_some_and(|event| {
            event.origin != Origin::Sample.as_str() && subject::has_picture(&event.body)
        });
    }
    let dead = List::of(reader.dead_groups(GROUPS)?, |of| {
        Some(Group {
            destination: of.destination,
            name: of.name,
            reason: of.reason,
            count: of.count,
            first: of.first,
            last: of.last,
            seq: of.newest.seq,
        })
    });
    let held = reader.parked_groups(GROUPS)?;
    let removed = held.groups.iter().filter(|of| of.held == Held::Removed);
    let removed = removed.map(|of| Removed {
        destination: of.destination.clone(),
        name: of.name.clone(),
        count: of.count,
    });
    let removed = removed.collect();
    let mut acts = Vec::new();
    for kind in KINDS {
        // By kind, so that acts of other kinds push none of these out.
        acts.extend(reader.acts_page(&ActsPage {
            what: Some(kind.to_owned()),
            limit: ACTS,
            ..ActsPage::default()
        })?);
    }
    acts.sort_by_key(|act| std::cmp::Reverse(act.no));
    Ok(View {
        unmapped,
        dead,
        removed,
        parked: List::of(held, own),
        lately: lately(&acts, paused),
        ..View::default()
    })
}

/// What is parked for a reason of its own.
fn own(of: HeldGroup) -> Option<Group> {
    let Held::Reason {
        reason,
        first,
        last,
        newest,
    } = of.held
    else {
        return None;
    };
    Some(Group {
        destination: of.destination,
        name: of.name,
        reason,
        count: of.count,
        first,
        last,
        seq: newest.seq,
    })
}

fn paused_ones(sums: &Sums) -> Vec<Paused> {
    let paused = sums.destinations.iter().filter(|of| !of.removed);
    let paused = paused.filter_map(|of| {
        let paused = of.paused.as_ref()?;
        Some(Paused {
            destination: of.id.clone(),
            name: of.name.clone(),
            since: paused.at,
            by: paused.by.clone(),
            why: paused.why.clone(),
            trouble: paused.trouble.clone(),
            count: of.of(journal::State::Parked),
        })
    });
    paused.collect()
}

fn webhook(app: &Handles) -> Option<Webhook> {
    let (status, what) = match &*app.parts.webhook.borrow() {
        Status::Drift { what } => ("drift", what.clone()),
        Status::Deleted => {
            let what = "a person deleted it in Orbit: no event comes by it";
            ("deleted", vec![what.to_owned()])
        }
        Status::Registered { enabled: false, .. } => {
            let what = "it is disabled in Orbit: no event comes by it";
            ("disabled", vec![what.to_owned()])
        }
        Status::Failing(why) => ("failing", vec![why.clone()]),
        _ => return None,
    };
    Some(Webhook {
        status,
        what,
        repair: app.ground.webhook.is_some() && status != "failing",
    })
}

/// What people decided lately, and how that is undone.
fn lately(acts: &[journal::Act], paused: &BTreeSet<String>) -> Vec<Decided> {
    let mut seen = BTreeSet::new();
    let mut decided = Vec::new();
    for act in acts {
        let turn = match &*act.what {
            "pause" | "resume" => Some(act.destination.clone()),
            MAP => Some(None),
            _ => None,
        };
        let is_last = turn.is_none_or(|turn| seen.insert(turn));
        let destination = act.destination.clone().filter(|_| is_last);
        let undo = match (&*act.what, destination) {
            ("pause", Some(id)) if paused.contains(&id) => Undo::Resume(id),
            ("resume", Some(id)) if !paused.contains(&id) => Undo::Pause(id),
            ("pause" | "resume", _) => Undo::Done,
            ("replay", _) => {
                Undo::Never("it cannot be undone: what was sent again may have arrived")
            }
            ("discard", _) => Undo::Never("it cannot be undone: what was discarded stays so"),
            ("webhook", _) => Undo::Never("it cannot be undone from here"),
            (MAP, _) if is_last && map::is_decided(&act.detail) => Undo::Map(String::new()),
            (MAP, _) if is_last => {
                Undo::Never("whoever may set up can put back the map of before, by its history")
            }
            (MAP, _) => Undo::Done,
            _ => continue,
        };
        // What the relay does by itself is for the list of acts.
        if act.who != "relay" && decided.len() < LATELY {
            decided.push(Decided {
                at: act.at,
                who: act.who.clone(),
                what: act.what.clone(),
                name: act.destination_name.clone().or(act.destination.clone()),
                detail: act.detail.clone(),
                undo,
            });
        }
    }
    decided
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Clock;

    fn act(no: i64, who: &str, what: &str, to: Option<&str>) -> journal::Act {
        journal::Act {
            no,
            at: Timestamp::from_second(1_780_000_000 + no).unwrap(),
            who: who.to_owned(),
            what: what.to_owned(),
            destination: to.map(str::to_owned),
            destination_name: to.map(str::to_uppercase),
            detail: String::new(),
        }
    }

    #[test]
    fn only_the_last_turn_of_a_destination_is_offered_to_be_undone() {
        let acts = [
            act(5, "ann", "replay", Some("cmms")),
            act(4, "ann", "resume", Some("cmms")),
            act(3, "bob", "pause", Some("cmms")),
            act(2, "ann", "pause", Some("chat")),
            act(1, "bob", "login", None),
            journal::Act {
                detail: "row added for what waits: action_name \"A\"".to_owned(),
                ..act(0, "ann", "map", None)
            },
            act(-1, "bob", "map", None),
        ];
        let decided = lately(&acts, &["chat".to_owned()].into());
        let undo: Vec<_> = decided
            .iter()
            .map(|of| (&*of.what, of.undo.clone()))
            .collect();
        assert!(matches!(undo[0], ("replay", Undo::Never(_))));
        assert_eq!(undo[1], ("resume", Undo::Pause("cmms".to_owned())));
        assert_eq!(undo[2], ("pause", Undo::Done));
        assert_eq!(undo[3], ("pause", Undo::Resume("chat".to_owned())));
        assert_eq!(undo[4], ("map", Undo::Map(String::new())));
        assert_eq!(undo[5], ("map", Undo::Done));
        assert_eq!(undo.len(), 6, "a login is no decision of this screen");
    }

    #[test]
    fn a_map_that_was_changed_elsewhere_is_not_offered_to_be_undone_here() {
        let mut uploaded = act(1, "ann", "map", None);
        uploaded.detail = "file uploaded: 3 rows removed".to_owned();
        let decided = lately(&[uploaded], &BTreeSet::new());
        assert!(matches!(decided[0].undo, Undo::Never(_)), "{decided:?}");
    }

    #[test]
    fn what_the_relay_turned_is_not_undone_as_a_persons() {
        let acts = [
            act(2, "relay", "pause", Some("cmms")),
            act(1, "ann", "resume", Some("cmms")),
        ];
        let decided = lately(&acts, &["cmms".to_owned()].into());
        assert_eq!(decided.len(), 1);
        assert_eq!(decided[0].undo, Undo::Done);
    }

    #[test]
    fn a_group_of_a_paused_or_removed_destination_is_no_group_of_its_own() {
        let of = |held| HeldGroup {
            destination: "cmms".to_owned(),
            name: "CMMS".to_owned(),
            held,
            count: 3,
        };
        assert_eq!(own(of(Held::Removed)), None);
        let now = Timestamp::UNIX_EPOCH;
        let paused = Held::Paused {
            at: now,
            by: String::new(),
            why: String::new(),
        };
        assert_eq!(own(of(paused)), None);
    }

    #[tokio::test]
    async fn what_was_decided_is_found_however_many_other_acts_came_since() {
        let dir = tempfile::tempdir().unwrap();
        let config = journal::Config {
            data_dir: dir.path().to_owned(),
            destinations: None,
            keep_delivered: journal::Config::KEEP_DELIVERED,
            limit_bytes: journal::Config::LIMIT_BYTES,
            says: Vec::new(),
        };
        let (journal, _writer) = journal::Journal::start(config, Clock::system()).unwrap();
        let mut open = journal.availability();
        drop(
            open.wait_for(|now| *now == journal::Availability::Open)
                .await,
        );
        let keep = async |what| {
            let at = Timestamp::UNIX_EPOCH;
            let kept = journal.keep_act(at, "ann", what, None, "");
            kept.await.unwrap();
        };
        keep("webhook").await;
        for _ in 0..=ACTS {
            keep("account add").await;
        }
        let mut reader = Reader::open(dir.path()).unwrap();
        let view = read(
            &mut reader,
            &AssetMap::empty(),
            &BTreeMap::new(),
            &BTreeSet::new(),
        );
        let lately = view.unwrap().lately;
        let kinds: Vec<_> = lately.iter().map(|decided| &*decided.what).collect();
        assert_eq!(kinds, ["webhook"]);
    }
}
