//! That what is found is what a plain look at every delivery finds.

use super::*;
use crate::relay::journal::{DeliveriesPage, Delivery, DeliveryId, Filter, Found, Search, State};

const OTHER: &str = "historian";
/// Names, and what is looked for; some mean something to a database.
const NAMES: [&str; 14] = [
    "Pump 1",
    "pump-101 Kühlung",
    "Pump",
    "\"Pump\"",
    "Pu*",
    "NEAR(a b)",
    "-x OR y AND NOT z",
    "a\0b",
    "🔥",
    "\u{202e}evom",
    "robot: spot",
    "%_'; DROP TABLE event; --",
    "ポンプ 101",
    "",
];

/// An event, and what it is about where it is catalogued.
#[derive(Clone, Debug)]
struct Came {
    about: Option<[usize; 5]>,
    /// By how many seconds the clock was set back.
    back: i64,
    end: Option<bool>,
}

fn came() -> impl Strategy<Value = Came> {
    let name = || 0..NAMES.len();
    let about = (name(), 0_usize..3, 0_usize..3, name(), 0_usize..3);
    let about = about
        .prop_map(|(action, robot, mission, asset, other)| [action, robot, mission, asset, other]);
    (
        prop::option::weighted(0.9, about),
        prop_oneof![9 => 0_i64..4, 1 => 0_i64..200],
        any::<Option<bool>>(),
    )
        .prop_map(|(about, back, end)| Came { about, back, end })
}

fn identity(n: usize) -> String {
    match n % 4 {
        0 => format!("{n:08x}-9554-4a53"),
        1 => format!("envelope:AB{n:06}"),
        2 => format!("id:pump {n}"),
        _ => format!("sha256:{n:04}"),
    }
}

fn rows(came: &[Came]) -> Vec<About> {
    let rows = (1..).zip(came).filter_map(|(seq, came)| {
        let [action, robot, mission, asset, other] = came.about?;
        let name = |place: usize| NAMES[place].to_owned();
        Some(About {
            robot: Some(name(robot)),
            mission: (mission > 0).then(|| name(mission)),
            action: Some(name(action)),
            assets: [asset, other].map(name).into(),
            ..about(seq, "", &[])
        })
    });
    rows.collect()
}

/// The catalogue's mark stands behind so many; what is about the others is there too.
async fn filled(came: &[Came], marked: usize) -> World {
    let dir = tempfile::tempdir().unwrap();
    let world = World::open(dir, Clock::system(), &[TO, OTHER]).await;
    let received_at = |n: usize, came: &Came| {
        let at = i64::try_from(n).unwrap() - came.back;
        Timestamp::from_second(1_770_000_000 + at).unwrap()
    };
    let missing = came.iter().enumerate().map(|(n, came)| {
        let whole = identity(n);
        let identity = match whole.split_once(':') {
            Some(("envelope", id)) => Identity::Envelope(id.into()),
            Some(("id", id)) => Identity::Id(id.into()),
            Some((_, hash)) => Identity::Body(hash.into()),
            None => Identity::RunEvent(whole),
        };
        Missing {
            event: Event {
                identity,
                received_at: received_at(n, came),
                ..event(n)
            },
            covered_by: None,
        }
    });
    world
        .journal
        .append_missing(missing.collect(), None)
        .await
        .unwrap();
    let claims = world.claim(came.len() * 2 / 3).await;
    let ends = claims.iter().zip(came).filter_map(|(claim, came)| {
        let end = if came.end? {
            Disposition::Delivered
        } else {
            Disposition::Dead { reason: "x".into() }
        };
        Some((claim.lease, world.ended(end)))
    });
    world.journal.record(ends.collect()).await.unwrap();
    let mut mark = Mark::default();
    for (n, came) in came.iter().enumerate().take(marked) {
        mark.passes(i64::try_from(n + 1).unwrap(), received_at(n, came));
    }
    let written = world.journal.catalogue(rows(came), mark, None);
    written.await.unwrap();
    world
}

fn a_search() -> impl Strategy<Value = Search> {
    let name = || prop::option::weighted(0.15, prop::sample::select(&NAMES[..]));
    let texts: Vec<String> = NAMES
        .map(str::to_owned)
        .into_iter()
        .chain(
            [
                "pum",
                "PUMP 1",
                "101 pump",
                "kuhl",
                "9554",
                "0000000",
                "ab00",
                "id:pump 1",
                "*",
            ]
            .map(str::to_owned),
        )
        .chain((0..20).map(identity))
        .collect();
    let text = prop::option::weighted(0.5, prop::sample::select(texts));
    let states = prop::collection::btree_set(prop::sample::select(&State::ALL[..]), 0..3);
    let time = || {
        let second = (-9_i64..150).prop_map(|s| Timestamp::from_second(1_770_000_000 + s).unwrap());
        prop::option::weighted(0.2, second)
    };
    let destination = prop::option::weighted(0.3, prop::sample::select(&[TO, OTHER, "no"][..]));
    let names = (name(), name(), name(), name());
    (text, names, destination, states, time(), time()).prop_map(
        |(text, (asset, action, mission, robot), destination, states, since, until)| {
            let own = |name: Option<&str>| name.map(str::to_owned);
            Search {
                text,
                asset: own(asset),
                action: own(action),
                mission: own(mission),
                robot: own(robot),
                destination: own(destination),
                states,
                since,
                until,
                before: None,
            }
        },
    )
}

/// What a plain look says.
fn wants(search: &Search, delivery: &Delivery, about: Option<&About>) -> bool {
    let is = |wanted: &Option<String>, has: &[&str]| {
        let wanted = wanted
            .as_deref()
            .map(kept)
            .filter(|wanted| !wanted.is_empty());
        wanted.is_none_or(|wanted| has.iter().any(|has| kept(has) == wanted))
    };
    let one = |text: &'_ Option<String>| text.clone().unwrap_or_default();
    let empty = About {
        robot: None,
        mission: None,
        action: None,
        assets: Vec::new(),
        ..super::about(0, "", &[])
    };
    let of = about.unwrap_or(&empty);
    let names = [one(&of.robot), one(&of.mission), one(&of.action)];
    let all = || names.iter().chain(&of.assets);
    let by_text = search
        .text
        .as_deref()
        .filter(|text| !text.trim().is_empty());
    let by_text = by_text.is_none_or(|text| {
        let has: Vec<String> = all().flat_map(|name| words(name)).collect();
        let wanted = words(text);
        let by_words = !wanted.is_empty()
            && wanted
                .iter()
                .all(|word| has.iter().any(|has| has.starts_with(word.as_str())));
        let (known, begins) = (bare(&delivery.event), bare(text));
        let by_identity =
            known == begins || begins.chars().count() >= 4 && known.starts_with(&begins);
        about.is_some() && (by_words || by_identity)
    });
    let assets: Vec<&str> = of.assets.iter().map(|asset| &**asset).collect();
    by_text
        && is(&search.asset, &assets)
        && is(&search.action, &[&names[2]])
        && is(&search.mission, &[&names[1]])
        && is(&search.robot, &[&names[0]])
        && search
            .destination
            .as_ref()
            .is_none_or(|to| *to == delivery.id.destination)
        && (search.states.is_empty() || search.states.contains(&delivery.state))
        && search
            .since
            .is_none_or(|since| delivery.received_at >= since)
        && search
            .until
            .is_none_or(|until| delivery.received_at < until)
}

/// All pages, one after the other.
fn all_pages(reader: &mut Reader, search: &Search, limit: usize) -> Vec<Found> {
    let mut search = search.clone();
    let mut pages = Vec::new();
    loop {
        let page = reader.search(&search, limit).unwrap();
        search.before = page.more.clone();
        pages.push(page);
        assert!(pages.len() < 1000, "it ends");
        if search.before.is_none() {
            return pages;
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn what_is_found_is_what_a_plain_look_finds(
        came in prop::collection::vec(came(), 1..130),
        not_marked in prop_oneof![0_usize..4, 0_usize..130],
        searches in prop::collection::vec((a_search(), 1_usize..40), 60),
    ) {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let world = runtime.block_on(filled(&came, came.len().saturating_sub(not_marked)));
        let mut reader = reader(&world);
        let page = DeliveriesPage { filter: Filter::default(), before: None, limit: 10_000 };
        let all = reader.deliveries(&page).unwrap();
        prop_assert_eq!(all.len(), came.len() * 2);
        let rows: BTreeMap<i64, About> =
            rows(&came).into_iter().map(|row| (row.seq, row)).collect();
        for (search, limit) in searches {
            let wanted: Vec<&Delivery> = all
                .iter()
                .filter(|delivery| wants(&search, delivery, rows.get(&delivery.id.seq)))
                .collect();
            let pages = all_pages(&mut reader, &search, limit);
            for page in &pages {
                prop_assert!(page.deliveries.len() <= limit && page.looked <= 61);
            }
            let hits = pages.iter().flat_map(|page| &page.deliveries);
            let found: Vec<&Delivery> = hits.clone().map(|hit| &hit.delivery).collect();
            prop_assert_eq!(found, wanted, "{:?}", search);
            for hit in hits {
                let about = rows.get(&hit.delivery.id.seq);
                let action = about.and_then(|of| of.action.as_deref()).map(kept);
                let action = action.filter(|action| !action.is_empty());
                prop_assert_eq!(&hit.action, &action);
                prop_assert_eq!(hit.alert, about.is_some_and(|of| of.alert));
            }
        }
    }

    #[test]
    fn no_text_is_an_error_or_matches_by_its_syntax(text in any::<String>()) {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let world = runtime.block_on(world(2));
        let hostile = About { robot: Some(text.clone()), mission: Some(text.clone()),
            ..about(1, &text, &[&text]) };
        runtime.block_on(catalogue(&world, vec![hostile, about(2, "qqqq", &["zzzz"])]));
        let mut reader = reader(&world);
        let search = Search { text: Some(text.clone()), ..Search::default() };
        let found = reader.search(&search, 9).unwrap();
        let found: Vec<i64> = found.deliveries.iter().map(|hit| hit.delivery.id.seq).collect();
        let expected: &[i64] = match words(&text) {
            _ if text.trim().is_empty() => &[2, 1],
            words if words.is_empty() => &[],
            _ => &[1],
        };
        // A text may by chance begin a word of the second, or what an event is known by.
        if words(&text).iter().any(|word| word.chars().count() > 1) || expected.is_empty() {
            prop_assert_eq!(found, expected);
        }
        reader.asset_events(&text, 9).unwrap();
        reader.readings(&text, None, 9).unwrap();
    }
}

#[tokio::test]
async fn syntax_and_length_do_no_harm() {
    let world = world(3).await;
    let long = "x".repeat(10_000);
    let hostile = [
        "\"",
        "*",
        "NEAR(a b)",
        "-a",
        "a\0b",
        &long,
        "🔥",
        "\u{202e}",
        "a* OR",
        "'",
        "%",
    ];
    for text in hostile {
        catalogue(
            &world,
            vec![about(1, text, &[text]), about(2, "plain", &[])],
        )
        .await;
        let mut reader = reader(&world);
        let search = Search {
            text: Some(text.to_owned()),
            ..Search::default()
        };
        let found = reader.search(&search, 9).unwrap();
        let has_words = !words(text).is_empty();
        assert_eq!(found.deliveries.len(), usize::from(has_words), "{text:?}");
        let search = Search {
            asset: Some(text.to_owned()),
            ..Search::default()
        };
        let found = reader.search(&search, 9).unwrap();
        let one = found.deliveries.iter().map(|hit| hit.delivery.id.seq);
        assert!(one.eq([1]), "{text:?}");
    }
}

#[tokio::test]
async fn an_event_is_found_by_its_uuid_alone_or_its_beginning() {
    let world = world(3).await;
    catalogue(&world, (1..=3).map(|seq| about(seq, "Pump", &[])).collect()).await;
    let mut reader = reader(&world);
    let mut find = |text: &str| -> Vec<i64> {
        let search = Search {
            text: Some(text.into()),
            ..Search::default()
        };
        let found = reader.search(&search, 9).unwrap();
        found
            .deliveries
            .iter()
            .map(|hit| hit.delivery.id.seq)
            .collect()
    };
    assert_eq!(find("run-event-1"), [2]);
    assert_eq!(find(" RUN-EVENT-1 "), [2]);
    assert_eq!(find("run-event"), [3, 2, 1]);
    assert_eq!(
        find("run"),
        [0_i64; 0],
        "too short to be the beginning of one"
    );
    assert_eq!(find("pump run-event-1"), [0_i64; 0]);
}

#[tokio::test]
async fn what_is_not_catalogued_yet_is_listed_and_is_about_nothing() {
    let world = world(2).await;
    catalogue(&world, vec![about(1, "Pump", &["P-1"])]).await;
    let found = reader(&world).search(&Search::default(), 9).unwrap();
    assert_eq!((found.deliveries.len(), found.more), (2, None));
    let [new, old] = &found.deliveries[..] else {
        panic!()
    };
    assert_eq!((&new.action, &new.robot, new.alert), (&None, &None, false));
    assert_eq!(
        (old.action.as_deref(), old.asset.as_deref()),
        (Some("Pump"), Some("P-1"))
    );
}

#[tokio::test]
async fn a_page_that_looked_at_enough_says_where_to_go_on() {
    let world = world(100).await;
    catalogue(
        &world,
        (1..=100).map(|seq| about(seq, "Pump", &[])).collect(),
    )
    .await;
    let search = Search {
        robot: Some("spot-1".into()),
        states: [State::Delivered].into(),
        ..Search::default()
    };
    let page = reader(&world).search(&search, 9).unwrap();
    let place = DeliveryId {
        destination: TO.into(),
        seq: 41,
    };
    assert_eq!(
        (page.deliveries.len(), page.looked, page.more),
        (0, 60, Some(place))
    );
}
