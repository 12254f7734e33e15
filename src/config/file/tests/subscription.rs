//! What destinations take of whom, gates, and answers as events.

use super::source::{github, said, to};
use super::*;
use crate::event::{NOTICE, RELAY};
use crate::relay::deliver::{Gate, OnFailure};

#[test]
fn a_destination_takes_of_each_source_what_it_says_or_what_is_usual() {
    let shop = github("").replace("repo", "shop");
    let takes = |keys: &str| {
        let text = format!("{shop}{}", to("cmms", keys));
        load(&text).destinations.remove(0).takes
    };
    assert_eq!(takes(""), [Takes::new(ORBIT, destination::EVENTS)]);
    assert_eq!(takes("sources = [\"shop\"]"), [Takes::new("shop", ["*"])]);
    assert_eq!(
        takes("sources = [\"orbit\", \"shop\", \"orbit\"]"),
        [
            Takes::new(ORBIT, destination::EVENTS),
            Takes::new("shop", ["*"])
        ]
    );
    assert_eq!(
        takes("sources = [\"relay\", \"shop\"]\nevents = [\"delivery.*\", \"order.?\"]"),
        [
            Takes::new(RELAY, ["delivery.*", "order.?"]),
            Takes::new("shop", ["delivery.*", "order.?"])
        ]
    );
    assert_eq!(
        takes("events = [\"ACTION_*\"]"),
        [Takes::new(ORBIT, ["ACTION_*"])]
    );
}

#[test]
fn a_gate_waits_by_default_for_long_where_it_holds_and_not_where_it_lets_pass() {
    let gate = |keys: &str| load(&to("gate", keys)).destinations.remove(0).gate;
    let of = |on_failure, limit| Some(Gate { on_failure, limit });
    let (short, long) = (Duration::from_mins(5), Duration::from_hours(24));
    assert_eq!(gate(""), None);
    assert_eq!(gate("gate = false"), None);
    assert_eq!(gate("gate = true"), of(OnFailure::Pass, short));
    let hold = "gate = true\non_failure = \"hold\"";
    assert_eq!(gate(hold), of(OnFailure::Hold, long));
    let both = format!("{hold}\ngate_limit = \"1h\"");
    assert_eq!(gate(&both), of(OnFailure::Hold, Duration::from_hours(1)));
    let answering = load(&to("a", "answer_as = \"event\""));
    assert!(answering.destinations[0].answer_as_event);
    let answers = answering.own_types();
    assert!(answers.contains(&"answer:a".to_owned()) && answers.contains(&NOTICE.to_owned()));
}

#[test]
fn what_a_destination_takes_and_nobody_has_is_refused() {
    let one = |keys: &str| format!("{}{}", github(""), to("cmms", keys));
    let wrong = [
        "sources = [\"rebo\"]",
        "sources = [\"shop\", \"orbt\"]",
        "sources = []",
        "sources = \"orbit\"",
        "sources = [\"Or bit\"]",
        "sources = [\"relay\"]",
        "sources = [\"orbit\", \"relay\"]",
        "sources = [\"relay\"]\nevents = [\"delivery.ded\"]",
        "sources = [\"relay\"]\nevents = [\"delivery.*\", \"order.*\"]",
        "sources = [\"relay\"]\nevents = [\"answer:cmms\"]",
        "sources = [\"relay\"]\nevents = [\"answer:other\"]",
        "events = [\"push\"]",
        "sources = [\"repo\"]\nevents = [\"pu\\nsh\"]",
        "on_failure = \"pass\"",
        "gate_limit = \"5m\"",
        "gate = false\ngate_limit = \"5m\"",
        "gate = \"yes\"\ngate_limit = \"5m\"",
        "gate = true\non_failure = \"park\"\ngate_limit = \"0s\"",
        "answer_as = \"events\"",
        "gate = true\nonce_per = \"inspection\"",
        "gate = true\nwhile_open = \"skip\"",
    ];
    let mut all: Vec<_> = wrong.map(one).into();
    let broker = "[[destination]]\nname = \"b\"\nurl = \"mqtt://b.example\"\ngate = true\nanswer_as = \"event\"\n";
    all.push(broker.to_owned());
    insta::assert_snapshot!(said(&all));
}

#[test]
fn answers_that_would_go_round_are_refused_and_those_that_end_are_not() {
    let answering = |name: &str, events: &str| {
        let keys = format!("sources = [\"relay\"]\nanswer_as = \"event\"\nevents = [\"{events}\"]");
        to(name, &keys)
    };
    let two = answering("a", "answer:b") + &answering("b", "answer:a");
    let three =
        answering("a", "answer:c") + &answering("b", "answer:a") + &answering("c", "answer:b");
    let circles = [
        answering("a", "answer:a"),
        answering("a", "answer:*"),
        answering("a", "*"),
        two,
        three,
    ];
    insta::assert_snapshot!(said(&circles));
    let ends =
        answering("a", "delivery.dead") + &answering("b", "answer:a") + &answering("c", "answer:b");
    let listener = to("d", "sources = [\"relay\"]\nevents = [\"*\"]");
    load(&format!("{ends}{listener}"));
}

#[test]
fn only_what_is_meant_for_orbit_is_compared_with_what_is_subscribed() {
    let warned = |keys: &str| {
        let text = format!(
            "webhook_host = \"localhost\"\n{}{}",
            github(""),
            to("cmms", keys)
        );
        let warnings = load(&text).warnings;
        warnings
            .iter()
            .any(|warning| warning.contains("payload-types"))
    };
    for (keys, expected) in [
        ("events = [\"ACTION_*\"]", false),
        ("events = [\"*\"]", false),
        ("events = [\"TEST\"]", false),
        ("events = [\"ACTIONS_*\"]", true),
        ("events = [\"ACTION_COMPLETED?\"]", true),
        (
            "sources = [\"orbit\", \"repo\"]\nevents = [\"push\", \"ACTION_COMPLETED\"]",
            false,
        ),
        ("sources = [\"repo\"]\nevents = [\"OTHER\"]", false),
        (
            "sources = [\"orbit\", \"relay\"]\nevents = [\"delivery.dead\"]",
            false,
        ),
    ] {
        assert_eq!(warned(keys), expected, "{keys}");
    }
}

#[test]
fn what_a_preset_says_of_events_holds_for_orbit_alone() {
    let chat = |keys: &str| {
        let text = format!(
            "{}{}",
            github(""),
            to("chat", &format!("preset = \"slack\"\n{keys}"))
        );
        let takes = load(&text).destinations.remove(0).takes;
        let of = |name: &str, event: &str| {
            let mut named = takes.iter().filter(|takes| takes.source == name);
            named.any(|takes| takes.types.iter().any(|glob| glob.matches(event)))
        };
        ["push", "ACTION_COMPLETED_WITH_ALERT", "ACTION_COMPLETED"]
            .map(|event| (of("repo", event), of("orbit", event)))
    };
    let only_repo = [(true, false), (true, false), (true, false)];
    assert_eq!(chat("sources = [\"repo\"]"), only_repo);
    let both = [(true, false), (true, true), (true, false)];
    assert_eq!(chat("sources = [\"orbit\", \"repo\"]"), both);
    let said = [(true, true), (false, false), (false, false)];
    let keys = "sources = [\"orbit\", \"repo\"]\nevents = [\"push\"]";
    assert_eq!(chat(keys), said);
}

#[test]
fn a_destination_that_can_take_nothing_of_a_source_is_warned_of() {
    let warned = |of_source: &str, of_destination: &str| {
        let keys = format!("sources = [\"repo\"]\nevents = [{of_destination}]");
        let text = github(&format!("events = [{of_source}]")) + &to("chat", &keys);
        let warnings = load(&text).warnings;
        let mut said = warnings.iter();
        said.any(|said| said.contains("the destination chat gets nothing of the source repo"))
    };
    for (of_source, of_destination, expected) in [
        ("\"push\"", "\"pull\"", true),
        ("\"push\", \"ping\"", "\"issues.*\"", true),
        ("\"push\", \"issues.opened\"", "\"issues.*\"", false),
        ("\"*\"", "\"pull\"", false),
        ("\"pus?\"", "\"pull\"", false),
    ] {
        assert_eq!(
            warned(of_source, of_destination),
            expected,
            "{of_source} {of_destination}"
        );
    }
}

#[test]
fn what_is_taken_of_whom_is_shown_without_what_notify_brings() {
    let text = format!(
        "notify = [\"a\"]\n{}{}{}",
        github(""),
        to("a", ""),
        to("b", "sources = [\"orbit\", \"repo\"]\ngate = true")
    );
    let config = load(&text);
    let shown = |place: usize, name: &str| {
        let mut keys = config.shown_destinations[place].keys.iter();
        keys.find(|key| key.name == name).unwrap().value.clone()
    };
    assert!(config.destinations[0].hears_notices());
    assert_eq!(shown(0, "sources"), "orbit");
    assert_eq!(
        shown(0, "events"),
        "ACTION_COMPLETED, ACTION_COMPLETED_WITH_ALERT"
    );
    assert_eq!(shown(1, "sources"), "orbit, repo");
    assert_eq!(
        shown(1, "events"),
        "ACTION_COMPLETED, ACTION_COMPLETED_WITH_ALERT of orbit; * of repo"
    );
    assert_eq!(shown(1, "gate_limit"), "5m");
}
