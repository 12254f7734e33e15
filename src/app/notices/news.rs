//! What is new since the last notice, in words and as JSON.
//!
//! # Invariants
//! - Pure: news is the difference between what was said and what is seen. What came and went
//!   between two notices is no news; whoever was told of trouble is told when it is over.
//! - What becomes of a notice or a sample is no news: the journal does not count it.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::event::NOTICE;
use crate::relay::journal::{DestinationSums, Level, Room, Sums};

/// What was said last; times are milliseconds since 1970.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default)]
pub(super) struct Said {
    /// When.
    pub(super) at: Option<Timestamp>,
    /// By the destination's id.
    destinations: BTreeMap<String, SaidOf>,
    journal: Word,
    silent: bool,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default)]
struct SaidOf {
    died: u64,
    unanswered: u64,
    paused_at: Option<i64>,
    down_at: Option<i64>,
}

/// How the journal was said to be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
enum Word {
    #[default]
    Enough,
    Filling,
    Full,
}

/// What is to be seen now.
#[derive(Clone, Copy, Debug)]
pub(super) struct Seen<'a> {
    pub(super) sums: &'a Sums,
    pub(super) room: &'a Room,
    /// Since when no event has come, where that is too long.
    pub(super) silent_since: Option<Timestamp>,
}

/// One piece of news, as it stands in a notice. What does not apply is null.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub(super) struct News {
    what: &'static str,
    destination: Option<String>,
    count: Option<u64>,
    reason: Option<String>,
    since: Option<Timestamp>,
    #[serde(skip)]
    sentence: String,
}

#[derive(Serialize)]
struct Envelope<'a> {
    #[serde(rename = "type")]
    event_type: &'static str,
    uuid: &'a str,
    time: Timestamp,
    data: Data<'a>,
}

#[derive(Serialize)]
struct Data<'a> {
    text: &'a str,
    news: &'a [News],
}

impl Said {
    /// Before anything was said: what was given up so far is no news.
    pub(super) fn first(sums: &Sums) -> Self {
        let destinations = sums.destinations.iter().map(|d| {
            let said = SaidOf {
                died: d.died,
                unanswered: d.unanswered,
                ..SaidOf::default()
            };
            (d.id.clone(), said)
        });
        Self {
            destinations: destinations.collect(),
            ..Self::default()
        }
    }

    pub(super) fn from_note(note: &str) -> Option<Self> {
        serde_json::from_str(note).ok()
    }

    pub(super) fn to_note(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }
}

/// What is new, and what is said when that is said.
pub(super) fn news(said: &Said, seen: &Seen<'_>) -> (Vec<News>, Said) {
    let mut news = Vec::new();
    let mut now = Said {
        at: said.at,
        ..Said::default()
    };
    for destination in seen.sums.destinations.iter().filter(|d| !d.removed) {
        let before = said.destinations.get(&destination.id).cloned();
        let after = of_destination(&before.unwrap_or_default(), destination, &mut news);
        now.destinations.insert(destination.id.clone(), after);
    }
    now.silent = seen.silent_since.is_some();
    match seen.silent_since {
        Some(since) if !said.silent => news.push(News {
            what: "silence",
            since: Some(since),
            sentence: format!("No event of Orbit has come since {}", moment(since)),
            ..News::default()
        }),
        None if said.silent => news.push(recovered(None, "Events of Orbit come again".to_owned())),
        _ => {}
    }
    now.journal = match seen.room.level {
        Level::Enough => Word::Enough,
        Level::Filling => Word::Filling,
        Level::Full => Word::Full,
    };
    news.extend(of_journal(said.journal, now.journal, seen.room));
    news.sort_by_key(|news| news.what == RECOVERED);
    (news, now)
}

const RECOVERED: &str = "recovered";

fn of_destination(said: &SaidOf, seen: &DestinationSums, news: &mut Vec<News>) -> SaidOf {
    let name = &seen.name;
    let mut say = |what: &'static str, since: Option<Timestamp>, reason: &str, words: String| {
        news.push(News {
            what,
            destination: Some(name.clone()),
            count: None,
            reason: Some(reason.to_owned()).filter(|reason| !reason.is_empty()),
            since,
            sentence: words,
        });
    };
    let paused_at = seen
        .paused
        .as_ref()
        .map(|paused| paused.at.as_millisecond());
    if let Some(paused) = &seen.paused
        && said.paused_at != paused_at
    {
        let (since, by, why) = (moment(paused.at), &paused.by, &paused.why);
        let words =
            format!("{name} is paused since {since} by {by} and what is for it waits: {why}");
        say("paused", Some(paused.at), why, words);
    }
    let down_at = seen.down.as_ref().map(|down| down.at.as_millisecond());
    if let Some(down) = &seen.down
        && said.down_at != down_at
    {
        let (since, why) = (moment(down.at), &down.why);
        let words = format!("{name} is down since {since} and what is for it waits: {why}");
        say("down", Some(down.at), why, words);
    }
    if said.paused_at.is_some() && paused_at.is_none() {
        let words = format!("{name} is no longer paused");
        news.push(recovered(Some(name), words));
    }
    if said.down_at.is_some() && down_at.is_none() {
        news.push(recovered(Some(name), format!("{name} is no longer down")));
    }
    for (what, became, before, now, why) in [
        ("dead", "given up", said.died, seen.died, &seen.died_why),
        (
            "parked",
            "parked",
            said.unanswered,
            seen.unanswered,
            &seen.unanswered_why,
        ),
    ] {
        let Some(count) = now.checked_sub(before).filter(|count| *count > 0) else {
            continue;
        };
        let why = why.clone().unwrap_or_default();
        let events = if count == 1 {
            "1 event was".to_owned()
        } else {
            format!("{count} events were")
        };
        news.push(News {
            what,
            destination: Some(name.clone()),
            count: Some(count),
            sentence: format!("{events} {became} for {name} and kept, the last because: {why}"),
            reason: Some(why),
            since: None,
        });
    }
    SaidOf {
        died: seen.died,
        unanswered: seen.unanswered,
        paused_at,
        down_at,
    }
}

fn of_journal(said: Word, now: Word, room: &Room) -> Option<News> {
    let words = match (said, now) {
        (said, now) if said == now => return None,
        (_, Word::Enough) => "The journal has room again",
        (Word::Full, Word::Filling) => "The journal takes new events again, and is filling still",
        (_, Word::Filling) => "The journal is filling",
        (_, Word::Full) => "The journal is full and new events are refused",
    };
    let sentence = format!("{words}: {room}");
    if now < said {
        return Some(recovered(None, sentence));
    }
    Some(News {
        what: "journal",
        reason: Some(room.to_string()),
        sentence,
        ..News::default()
    })
}

fn recovered(destination: Option<&String>, sentence: String) -> News {
    News {
        what: RECOVERED,
        destination: destination.cloned(),
        reason: Some(sentence.clone()),
        sentence,
        ..News::default()
    }
}

/// To the second.
fn moment(at: Timestamp) -> Timestamp {
    at.round(jiff::Unit::Second).unwrap_or(at)
}

/// All news in one paragraph.
pub(super) fn text(news: &[News]) -> String {
    let mut text = "orbit-relay:".to_owned();
    for piece in news {
        text.push(' ');
        text.push_str(piece.sentence.trim_end_matches('.'));
        text.push('.');
    }
    text
}

/// The notice's body.
pub(super) fn envelope(uuid: &str, time: Timestamp, text: &str, news: &[News]) -> String {
    let envelope = Envelope {
        event_type: NOTICE,
        uuid,
        time,
        data: Data { text, news },
    };
    serde_json::to_string(&envelope).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::relay::journal::{Down, Paused};

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_770_000_000 + second).unwrap()
    }

    fn cmms() -> Sums {
        let cmms = DestinationSums {
            id: "c".into(),
            name: "cmms".into(),
            ..DestinationSums::default()
        };
        Sums {
            destinations: vec![cmms],
            ..Sums::default()
        }
    }

    fn died(count: u64) -> Sums {
        let mut sums = cmms();
        sums.destinations[0].died = count;
        sums.destinations[0].died_why = Some("answered 400".into());
        sums
    }

    fn down(second: i64) -> Sums {
        let mut sums = cmms();
        sums.destinations[0].down = Some(Down {
            at: at(second),
            why: "cannot connect".into(),
        });
        sums
    }

    fn paused() -> Sums {
        let mut sums = cmms();
        sums.destinations[0].paused = Some(Paused {
            at: at(0),
            by: "relay".into(),
            why: "answered 401".into(),
            trouble: None,
        });
        sums
    }

    fn look(said: &Said, sums: &Sums) -> (Vec<&'static str>, Said) {
        let seen = Seen {
            sums,
            room: &Room::default(),
            silent_since: None,
        };
        let (news, said) = news(said, &seen);
        (news.iter().map(|news| news.what).collect(), said)
    }

    #[test]
    fn what_was_said_is_no_news_and_its_end_is() {
        for trouble in [down(0), paused()] {
            let (first, said) = look(&Said::first(&cmms()), &trouble);
            assert_eq!(first.len(), 1);
            assert_eq!(look(&said, &trouble).0, [""; 0]);
            let (end, said) = look(&said, &cmms());
            assert_eq!(end, ["recovered"]);
            assert_eq!(look(&said, &cmms()).0, [""; 0]);
        }
    }

    #[test]
    fn what_came_and_went_between_two_notices_is_no_news_but_a_second_time_is() {
        let said = Said::first(&cmms());
        assert_eq!(look(&said, &cmms()).0, [""; 0]);
        let (_, said) = look(&said, &down(0));
        assert_eq!(look(&said, &down(60)).0, ["down"], "it was up meanwhile");
    }

    #[test]
    fn only_new_deaths_are_counted_and_what_was_dead_before_the_first_notice_is_none() {
        let said = Said::first(&died(3));
        assert_eq!(look(&said, &died(3)).0, [""; 0]);
        let sums = died(5);
        let seen = Seen {
            sums: &sums,
            room: &Room::default(),
            silent_since: None,
        };
        let (news, said) = news(&said, &seen);
        assert_eq!(news[0].count, Some(2));
        assert_eq!(look(&said, &died(5)).0, [""; 0]);
        let (fewer, said) = look(&said, &died(4));
        assert_eq!(fewer, [""; 0], "the relay revived one");
        assert_eq!(look(&said, &died(5)).0, ["dead"]);
    }

    #[test]
    fn what_a_gate_gave_no_answer_about_is_news_with_its_number_and_why() {
        let mut sums = cmms();
        sums.destinations[0].unanswered = 3;
        sums.destinations[0].unanswered_why = Some("the gate hours gave no answer".into());
        let said = Said::first(&sums);
        assert_eq!(look(&said, &sums).0, [""; 0]);
        sums.destinations[0].unanswered = 4;
        let seen = Seen {
            sums: &sums,
            room: &Room::default(),
            silent_since: None,
        };
        let (news, said) = news(&said, &seen);
        insta::assert_snapshot!(text(&news), @"orbit-relay: 1 event was parked for cmms and kept, the last because: the gate hours gave no answer.");
        assert_eq!((news[0].what, news[0].count), ("parked", Some(1)));
        assert_eq!(look(&said, &sums).0, [""; 0]);
    }

    #[test]
    fn a_new_destination_has_no_past() {
        let said = Said::first(&Sums::default());
        assert_eq!(look(&said, &died(1)).0, ["dead"]);
    }

    #[test]
    fn a_destination_that_is_taken_out_is_no_news() {
        let (_, said) = look(&Said::first(&cmms()), &down(0));
        let mut sums = down(60);
        sums.destinations[0].removed = true;
        assert_eq!(look(&said, &sums).0, [""; 0]);
    }

    #[test]
    fn each_step_of_the_journal_is_news_both_ways() {
        let sums = cmms();
        let mut said = Said::first(&sums);
        for (level, what) in [
            (Level::Filling, "journal"),
            (Level::Full, "journal"),
            (Level::Filling, "recovered"),
            (Level::Enough, "recovered"),
        ] {
            let room = Room {
                level,
                ..Room::default()
            };
            let seen = Seen {
                sums: &sums,
                room: &room,
                silent_since: None,
            };
            let (news, now) = news(&said, &seen);
            assert_eq!(news.len(), 1);
            assert_eq!(news[0].what, what);
            said = now;
        }
    }

    #[test]
    fn a_note_holds_all_that_was_said() {
        let (_, said) = look(&Said::first(&died(7)), &paused());
        assert_eq!(Said::from_note(&said.to_note()), Some(said));
        assert_eq!(Said::from_note("{}"), Some(Said::default()));
        assert_eq!(Said::from_note("not a note"), None);
    }

    #[test]
    fn a_notice_is_an_envelope_with_one_paragraph_and_the_news() {
        let mut sums = down(0);
        sums.destinations[0].died = 2;
        sums.destinations[0].died_why = Some("answered 400: \"bad\"".into());
        let said = Said {
            silent: true,
            ..Said::first(&cmms())
        };
        let seen = Seen {
            sums: &sums,
            room: &Room::default(),
            silent_since: None,
        };
        let (news, _) = news(&said, &seen);
        let text = text(&news);
        insta::assert_snapshot!(envelope("u", at(9), &text, &news), @r#"{"type":"RELAY_NOTICE","uuid":"u","time":"2026-02-02T02:40:09Z","data":{"text":"orbit-relay: cmms is down since 2026-02-02T02:40:00Z and what is for it waits: cannot connect. 2 events were given up for cmms and kept, the last because: answered 400: \"bad\". Events of Orbit come again.","news":[{"what":"down","destination":"cmms","count":null,"reason":"cannot connect","since":"2026-02-02T02:40:00Z"},{"what":"dead","destination":"cmms","count":2,"reason":"answered 400: \"bad\"","since":null},{"what":"recovered","destination":null,"count":null,"reason":"Events of Orbit come again","since":null}]}}"#);
    }
}
