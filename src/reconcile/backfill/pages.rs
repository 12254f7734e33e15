//! Walks through a list of Orbit's by time: each page begins where the one before ended.
//!
//! `offset` is no documented parameter of these lists, `total` may change from page to page, and
//! the server may give fewer entries than were asked for; so none of them decides anything but how
//! to get past more entries of one moment than a page holds.
//!
//! # Invariants
//! - Pure.
//! - Whatever the server does, a walk ends: a page either brings something new, or moves on, or
//!   ends it.
//! - An entry is given once, where the server does not go back further than it was asked to.

use std::collections::HashSet;

use jiff::Timestamp;
use serde_json::value::RawValue;

use crate::clock::shifted;
use crate::event::{DedupeKey, Identity, Members, ORBIT};
use crate::orbit::Page;

/// As many entries are asked for at once.
const LIMIT: usize = 100;
/// More than the usual is asked for where an offset leads nowhere.
const LARGEST_LIMIT: usize = 1600;
/// A server may read the time that a list is to begin with without its fraction.
const TRUNCATED_MS: i64 = 1_000;
/// More entries of one moment than this nobody has made.
const MOST_OF_A_MOMENT: usize = 100_000;
/// So many entries that have no id or no time are passed at one moment.
const MOST_UNREADABLE: usize = 2_000;

/// One entry of a list, as Orbit sent it.
#[derive(Debug)]
pub(super) struct Entry {
    /// The time that the list is in the order of.
    pub(super) at: Timestamp,
    /// Its text.
    pub(super) raw: Box<RawValue>,
}

/// Where a walk is.
#[derive(Debug)]
pub(super) struct Walk {
    /// The member that holds the time.
    member: &'static str,
    start: Timestamp,
    offset: usize,
    limit: usize,
    /// Entries that the next page may bring again.
    seen: HashSet<DedupeKey>,
    /// The most that a page has had.
    fullest: usize,
    /// An empty page that says there is more was asked for again.
    asked_again: bool,
}

/// What a page brought.
#[derive(Debug, Default)]
pub(super) struct Brought {
    /// What is new, in order.
    pub(super) entries: Vec<Entry>,
    /// Entries that have no id or no time.
    pub(super) unreadable: usize,
    /// The walk is over.
    pub(super) over: bool,
    /// There are more entries of this moment than can be listed.
    pub(super) stuck_at: Option<Timestamp>,
}

/// The list is another than was asked for, so nothing can be said about what is missing.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub(super) enum NotAsAsked {
    /// It is in no order.
    #[error("Orbit's list is not in order of time, although that was asked for")]
    Order,
    /// It ends before the time that it was to begin with.
    #[error("Orbit's list is of another time than was asked for")]
    Start,
}

impl Walk {
    /// From this time on, in the order of this member.
    pub(super) fn new(member: &'static str, from: Timestamp) -> Self {
        Self {
            member,
            start: whole_ms(from),
            offset: 0,
            limit: LIMIT,
            seen: HashSet::new(),
            fullest: 1,
            asked_again: false,
        }
    }

    /// The next page begins here.
    pub(super) fn start(&self) -> Timestamp {
        self.start
    }

    /// So many entries of it are asked for.
    pub(super) fn limit(&self) -> usize {
        self.limit
    }

    /// So many of it are left out, if any.
    pub(super) fn offset(&self) -> Option<usize> {
        (self.offset > 0).then_some(self.offset)
    }

    /// A page was too large to be taken: the next asks for less. False when it asked for one.
    pub(super) fn ask_for_less(&mut self) -> bool {
        let before = self.limit;
        self.limit = (before / 2).max(1);
        self.fullest = 1;
        before > 1
    }

    /// The one entry that is too large to be taken is left out.
    pub(super) fn pass_one(&mut self) {
        self.offset += 1;
    }

    /// Takes a page, and moves on.
    pub(super) fn take(&mut self, page: Page) -> Result<Brought, NotAsAsked> {
        let Page {
            resources,
            total,
            limit,
        } = page;
        let mut brought = Brought::default();
        let listed = resources.len();
        let (mut last, mut before) = (self.start, Timestamp::MIN);
        let mut at_last = Vec::new();
        for raw in resources {
            let Some((uuid, at)) = read(&raw, self.member) else {
                brought.unreadable += 1;
                continue;
            };
            let moment = whole_ms(at);
            if moment < before {
                return Err(NotAsAsked::Order);
            }
            before = moment;
            if moment > last {
                at_last.clear();
                last = moment;
            }
            // A key has one length, however long an id is.
            let key = Identity::RunEvent(uuid).dedupe_key(ORBIT, self.member);
            if !self.seen.contains(&key) {
                brought.entries.push(Entry { at, raw });
            }
            at_last.push(key);
        }
        if listed > brought.unreadable && before < shifted(self.start, -TRUNCATED_MS) {
            return Err(NotAsAsked::Start);
        }
        // Less was asked for because a page was too large: more may do again.
        self.limit = self.limit.max((self.limit * 2).min(LIMIT));
        let was_full = listed >= self.fullest;
        self.fullest = self.fullest.max(listed);
        if last > self.start {
            self.move_to(last);
            self.seen.extend(at_last);
        } else if listed == 0 {
            let more = total.and_then(|total| usize::try_from(total).ok());
            let more = more.is_some_and(|total| total > self.offset);
            brought.over = !more || self.asked_again;
            self.asked_again = true;
        } else if !brought.entries.is_empty() && self.seen.len() < MOST_OF_A_MOMENT {
            self.seen.extend(at_last);
            self.offset += listed;
        } else if !was_full {
            brought.over = true;
        } else if self.offset == 0 || (brought.unreadable > 0 && self.offset < MOST_UNREADABLE) {
            self.offset += listed;
        } else if brought.unreadable == listed {
            brought.stuck_at = Some(self.start);
            brought.over = true;
        } else if self.limit < LARGEST_LIMIT && listed >= self.limit {
            self.limit *= 2;
            self.offset = 0;
        } else {
            let was_last = limit.and_then(|limit| usize::try_from(limit).ok());
            let was_last = was_last.is_some_and(|limit| listed < limit);
            brought.stuck_at = (!was_last).then_some(self.start);
            self.move_to(shifted(self.start, 1));
            self.limit = LIMIT;
        }
        if listed > 0 {
            self.asked_again = false;
        }
        Ok(brought)
    }

    fn move_to(&mut self, start: Timestamp) {
        self.start = start;
        self.offset = 0;
        self.seen.clear();
    }
}

/// Orbit is asked in milliseconds: what is cut off must not hide an entry.
pub(super) fn whole_ms(at: Timestamp) -> Timestamp {
    let ms = at.as_nanosecond().div_euclid(1_000_000);
    i64::try_from(ms)
        .ok()
        .and_then(|ms| Timestamp::from_millisecond(ms).ok())
        .unwrap_or(at)
}

fn read(raw: &RawValue, member: &str) -> Option<(String, Timestamp)> {
    let members = Members::parse(raw.get()).ok()?;
    Some((members.text("uuid")?, members.text(member)?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// How a server of lists behaves.
    #[derive(Clone, Debug)]
    struct Server {
        /// Entries by the microsecond of their time, in order.
        entries: Vec<i64>,
        largest: usize,
        total: Option<u64>,
        ignores_offset: bool,
        /// Every so many-th page is empty.
        empty_every: usize,
    }

    fn raw(text: &str) -> Box<RawValue> {
        serde_json::from_str(text).unwrap()
    }

    fn entry(n: usize, us: i64) -> Box<RawValue> {
        let at = Timestamp::from_microsecond(us).unwrap();
        raw(&format!(r#"{{"uuid":"{n}","createdAt":"{at}"}}"#))
    }

    impl Server {
        fn page(&self, walk: &Walk, asked: usize) -> Page {
            let start = walk.start().as_microsecond();
            let offset = walk.offset().unwrap_or(0);
            let offset = if self.ignores_offset { 0 } else { offset };
            let all = self.entries.iter().enumerate();
            let found = all.filter(|(_, us)| **us >= start);
            let empty = self.empty_every > 0 && asked % self.empty_every == 1;
            let resources = found
                .skip(offset)
                .take(if empty {
                    0
                } else {
                    walk.limit().min(self.largest)
                })
                .map(|(n, us)| entry(n, *us));
            Page {
                resources: resources.collect(),
                total: self.total,
                limit: u64::try_from(walk.limit().min(self.largest)).ok(),
            }
        }

        /// What a walk gives, and how often it asked.
        fn walked(&self, from: i64) -> (Vec<usize>, usize, bool) {
            let mut walk = Walk::new("createdAt", Timestamp::from_microsecond(from).unwrap());
            let (mut found, mut stuck) = (Vec::new(), false);
            for asked in 1.. {
                assert!(asked < 10 * self.entries.len() + 100, "it ends: {self:?}");
                let brought = walk.take(self.page(&walk, asked)).unwrap();
                stuck |= brought.stuck_at.is_some();
                let entries = brought.entries.iter();
                let uuids = entries.map(|entry| read(&entry.raw, "createdAt").unwrap().0);
                found.extend(uuids.map(|uuid| uuid.parse::<usize>().unwrap()));
                if brought.over {
                    return (found, asked, stuck);
                }
            }
            unreachable!()
        }
    }

    fn server(entries: impl IntoIterator<Item = i64>) -> Server {
        Server {
            entries: entries.into_iter().collect(),
            largest: 100,
            total: None,
            ignores_offset: false,
            empty_every: 0,
        }
    }

    #[test]
    fn a_short_list_costs_two_questions_and_an_empty_one_a_single_one() {
        assert_eq!(server([]).walked(0), (vec![], 1, false));
        assert_eq!(server([7, 9]).walked(0), (vec![0, 1], 2, false));
    }

    #[test]
    fn more_entries_of_one_moment_than_a_page_holds_are_all_found() {
        let many = server(std::iter::repeat_n(5_000, 950));
        assert_eq!(many.walked(0).0.len(), 950);
        let larger_pages = Server {
            ignores_offset: true,
            largest: 2_000,
            ..many.clone()
        };
        let (found, _, stuck) = larger_pages.walked(0);
        assert_eq!((found.len(), stuck), (950, false), "without an offset");
        let no_way = Server {
            ignores_offset: true,
            entries: many.entries.into_iter().chain([7_000]).collect(),
            ..many
        };
        let (found, _, stuck) = no_way.walked(0);
        assert!(stuck, "what cannot be listed is said");
        assert_eq!((found.len(), found.last()), (101, Some(&950)), "and passed");
    }

    #[test]
    fn an_empty_page_that_says_there_is_more_is_asked_for_once_more() {
        let odd = Server {
            total: Some(9),
            empty_every: 3,
            largest: 2,
            ..server([1_000, 2_000, 3_000, 4_000, 5_000, 6_000])
        };
        assert_eq!(odd.walked(0).0, [0, 1, 2, 3, 4, 5]);
        let nothing = Server {
            total: Some(9),
            ..server([])
        };
        assert_eq!(nothing.walked(0), (vec![], 2, false));
    }

    #[test]
    fn a_page_that_is_too_large_is_asked_for_in_less_and_one_entry_is_passed() {
        let mut walk = Walk::new("createdAt", Timestamp::UNIX_EPOCH);
        let mut asked = vec![walk.limit()];
        while walk.ask_for_less() {
            asked.push(walk.limit());
        }
        assert_eq!(asked, [100, 50, 25, 12, 6, 3, 1]);
        walk.pass_one();
        assert_eq!(walk.offset(), Some(1));
        let page = Page {
            resources: vec![entry(1, 7_000)],
            total: None,
            limit: None,
        };
        assert_eq!(walk.take(page).unwrap().entries.len(), 1);
        assert_eq!(walk.limit(), 2, "and then more and more again");
    }

    #[test]
    fn a_list_that_is_not_in_order_is_refused() {
        let mut walk = Walk::new("createdAt", Timestamp::UNIX_EPOCH);
        let page = Page {
            resources: vec![entry(1, 5_000), entry(2, 3_000)],
            total: None,
            limit: None,
        };
        assert_eq!(walk.take(page).unwrap_err(), NotAsAsked::Order);
    }

    #[test]
    fn a_list_that_is_of_another_time_is_refused() {
        let mut walk = Walk::new("createdAt", Timestamp::from_second(9).unwrap());
        let page = Page {
            resources: vec![entry(1, 5_000), entry(2, 7_000)],
            total: None,
            limit: None,
        };
        assert_eq!(walk.take(page).unwrap_err(), NotAsAsked::Start);
    }

    #[test]
    fn an_entry_without_id_or_time_hides_no_other() {
        let mut walk = Walk::new("createdAt", Timestamp::UNIX_EPOCH);
        let odd = [
            raw("7"),
            raw(r#"{"uuid":"x"}"#),
            entry(1, 1),
            raw(r#"{"uuid":"y","createdAt":"soon"}"#),
        ];
        let page = Page {
            resources: odd.into(),
            total: None,
            limit: None,
        };
        let brought = walk.take(page).unwrap();
        assert_eq!((brought.entries.len(), brought.unreadable), (1, 3));
        let only_odd = || Page {
            resources: vec![raw("7"); 4],
            total: None,
            limit: None,
        };
        let mut walk = Walk::new("createdAt", Timestamp::UNIX_EPOCH);
        assert!(!walk.take(only_odd()).unwrap().over);
        assert_eq!(
            walk.offset(),
            Some(4),
            "what stands behind them is asked for"
        );
        let behind = Page {
            resources: vec![entry(1, 7_000)],
            ..only_odd()
        };
        assert_eq!(walk.take(behind).unwrap().entries.len(), 1);
        let mut pages = 0;
        while !walk.take(only_odd()).unwrap().over {
            pages += 1;
            assert!(pages < 10_000, "it ends all the same");
        }
    }

    proptest! {
        #[test]
        fn a_walk_ends_and_gives_each_entry_once(
            steps in prop::collection::vec(prop_oneof![3 => Just(0i64), 2 => 1i64..900, 2 => 1_000i64..9_000], 0..300),
            largest in 1usize..40,
            total in prop_oneof![Just(None), (0u64..900).prop_map(Some)],
            from in 0i64..5_000,
        ) {
            let mut us = 0;
            let entries: Vec<_> = steps.iter().map(|step| { us += step; us }).collect();
            let server = Server { largest, total, ..server(entries.clone()) };
            let (found, _, stuck) = server.walked(from);
            let start = from / 1_000 * 1_000;
            let expected: Vec<_> = (0..entries.len()).filter(|n| entries[*n] >= start).collect();
            prop_assert!(!stuck);
            prop_assert_eq!(found, expected);
        }

        #[test]
        fn a_walk_ends_whatever_the_server_does(
            steps in prop::collection::vec(0i64..3_000, 0..200),
            largest in 1usize..40,
            ignores_offset: bool,
            empty_every in 0usize..4,
        ) {
            let mut us = 0;
            let entries: Vec<_> = steps.iter().map(|step| { us += step; us }).collect();
            let server = Server { largest, ignores_offset, empty_every, total: Some(5), entries };
            server.walked(0);
        }
    }
}
