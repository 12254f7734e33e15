//! The screens of deliveries, over what a journal may hold.

use jiff::Timestamp;
use serde_json::json;
use url::Url;

use super::super::access::Role;
use super::story::{Known, Other, Story};
use super::view::{List, Named, Row, Suggested};
use super::wanted::Wanted;
use super::*;
use crate::relay::assets::AssetMap;
use crate::relay::deliver;
use crate::relay::destination;
use crate::relay::journal::{
    Act, AnsweredOrder, Delivery, DeliveryDetail, DeliveryRow, DestinationSums, Enrichment,
    EventRow, OrderRow, State,
};

const SCRIPT: &str = "<script>alert(1)</script>";

/// What a name may be.
fn hostile() -> Vec<String> {
    vec![
        SCRIPT.to_owned(),
        "\"><img src=x onerror=alert(1)>".to_owned(),
        "' onmouseover='alert(1)".to_owned(),
        "</textarea></pre></title><script>1</script>".to_owned(),
        "\u{202e}txt.exe\u{2066}".to_owned(),
        "a\u{0}\u{1b}[2J".to_owned(),
        "W".repeat(10_000),
        "🦀👩‍👩‍👧‍👦".repeat(500),
    ]
}

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn person(role: Role) -> Person {
    Person {
        name: "ann".to_owned(),
        role,
        csrf: "token".to_owned(),
        said: None,
    }
}

fn event(name: &str) -> EventRow {
    let body = json!({
        "uuid": "run-event-1",
        "type": "ACTION_COMPLETED_WITH_ALERT",
        "data": {
            "uuid": "run-event-1",
            "actionName": name,
            "missionName": name,
            "robotNickname": name,
            "title": name,
            "time": "2026-02-03T09:10:00Z",
            "dataCaptures": [
                {"channelName": name, "dataUrl": "/api/v0/data/9.jpg",
                 "keyResults": [{"name": name, "value": "81.50", "units": name}]},
                {"keyResults": [{"name": "t", "value": 20.50}]}
            ]
        }
    });
    EventRow {
        seq: 42,
        source: "orbit".into(),
        event_type: "ACTION_COMPLETED_WITH_ALERT".into(),
        identity: name.to_owned(),
        origin: "webhook".into(),
        received_at: at("2026-02-03T09:14:00Z"),
        // So that a number has digits that only text keeps.
        body: body.to_string().replace("20.5}", "20.50}").into_bytes(),
        deliveries: vec![
            DeliveryRow {
                destination: "cmms".into(),
                state: State::Postponed,
                attempts: 3,
                asset: Some(name.to_owned()),
                reason: Some(name.to_owned()),
                relay: None,
            },
            DeliveryRow {
                destination: "teams".into(),
                state: State::Dead,
                attempts: 9,
                asset: None,
                reason: Some(name.to_owned()),
                relay: None,
            },
        ],
    }
}

fn detail(name: &str, state: State) -> DeliveryDetail {
    let act = |no, at, what: &str| Act {
        no,
        at,
        who: name.to_owned(),
        what: what.to_owned(),
        destination: Some("cmms".into()),
        destination_name: Some(name.to_owned()),
        detail: name.to_owned(),
    };
    let relay = json!({"schema": "1", "delivery": "key-1", "source": "orbit",
        "asset": {"id": name, "matched_by": "action_name", "row": 3, "attributes": {}}});
    DeliveryDetail {
        delivery: Delivery {
            id: "cmms:42".parse().unwrap(),
            state,
            event: name.to_owned(),
            event_type: "ACTION_COMPLETED_WITH_ALERT".into(),
            received_at: at("2026-02-03T09:14:00Z"),
            asset: Some(name.to_owned()),
            attempts: 3,
            reason: Some(name.to_owned()),
            due_at: Some(at("2026-02-03T10:00:00Z")),
        },
        event: event(name),
        destination: DestinationSums {
            id: "cmms".into(),
            name: name.to_owned(),
            ..DestinationSums::default()
        },
        state,
        relay: Some(relay.to_string()),
        answer: Some(name.to_owned()),
        failures: 3,
        not_before: None,
        changed_at: Some(at("2026-02-03T09:30:00Z")),
        waits_for: None,
        replayed: true,
        hold_until: None,
        act: Some(act(7, at("2026-02-03T09:20:00Z"), "replay")),
        message: None,
        progress: None,
        map: Some("map-of-old".into()),
        template: None,
        unmapped: false,
        for_orbit: false,
        gate: None,
        cancels: None,
        enrichment: Enrichment {
            run: Some(json!({"robotNickname": name}).to_string()),
            anomaly: Some("null".into()),
        },
        since: vec![act(8, at("2026-02-03T09:25:00Z"), "pause")],
    }
}

fn order(name: &str) -> AnsweredOrder {
    AnsweredOrder {
        no: 3,
        answer: Some(name.to_owned()),
        order: OrderRow {
            destination: "cmms".into(),
            run_event: "run-event-1".into(),
            seq: 42,
            title: Some(name.to_owned()),
            asset: Some(name.to_owned()),
            action: Some(name.to_owned()),
            taken_at: at("2026-02-03T09:31:00Z"),
            poll_why: Some(name.to_owned()),
            closed_at: Some(at("2026-02-03T09:40:00Z")),
            closed_by: Some("poll".into()),
            orbit_closed_at: None,
            orbit_why: None,
        },
    }
}

fn configs() -> Vec<deliver::Config> {
    let url: Url = "https://cmms.example/secret-path?key=secret-key"
        .parse()
        .unwrap();
    let mut cmms = destination::Config::new("CMMS", url);
    cmms.id = "cmms".to_owned();
    cmms.hides_path = true;
    let third = "https://third.example/".parse().unwrap();
    [cmms, destination::Config::new("third", third)]
        .into_iter()
        .map(|config| deliver::Config::new(config, Vec::new()))
        .collect()
}

fn story(name: &str, state: State) -> Story {
    let detail = detail(name, state);
    let names = ["cmms", "teams", "third"];
    let destinations = names.map(|id| Named {
        id: id.to_owned(),
        name: name.to_owned(),
    });
    Known {
        detail: &detail,
        orders: vec![order(name)],
        destinations: destinations.into(),
        map: &AssetMap::empty(),
        configs: &configs(),
        orbit: None,
    }
    .story()
}

fn list(name: &str) -> List {
    List {
        wanted: Wanted {
            text: Some(name.to_owned()),
            asset: Some(name.to_owned()),
            ..Wanted::default()
        },
        problems: Vec::new(),
        deliveries: vec![Row {
            id: "cmms:42".into(),
            destination: name.to_owned(),
            state: State::Dead,
            received_at: at("2026-02-03T09:14:00Z"),
            event_type: name.to_owned(),
            event: name.to_owned(),
            action: Some(name.to_owned()),
            mission: Some(name.to_owned()),
            robot: Some(name.to_owned()),
            asset: Some(name.to_owned()),
            alert: true,
            attempts: 3,
            reason: Some(name.to_owned()),
            next_at: None,
        }],
        looked: 5000,
        more: Some("cmms:41".parse().unwrap()),
        destinations: vec![Named {
            id: "cmms".into(),
            name: name.to_owned(),
        }],
        suggested: Suggested {
            assets: [name.to_owned()].into(),
            ..Suggested::default()
        },
    }
}

/// No tag and no attribute but ours, and nothing that turns the direction of what follows.
#[track_caller]
fn assert_harmless(html: &str, name: &str) {
    let short: String = name.chars().take(60).collect();
    for tag in [
        "<script",
        "</script",
        "<img src=x",
        "</title",
        "\"><img",
        "\" onmouseover",
    ] {
        assert!(!html.contains(tag), "{short}: {tag}");
    }
}

#[test]
fn hostile_names_are_shown_as_text_on_the_screen_of_one_delivery() {
    for name in hostile() {
        for state in State::ALL {
            let html = detail::html(&person(Role::Decide), &story(&name, state)).into_string();
            assert_harmless(&html, &name);
            // A body is shown whole; all else is cut.
            assert!(html.len() < 600_000, "{}", html.len());
        }
    }
}

#[test]
fn hostile_names_are_shown_as_text_in_the_list() {
    for name in hostile() {
        let html = list::html(&person(Role::Decide), &list(&name)).into_string();
        assert_harmless(&html, &name);
        assert!(!html.contains("\u{202e}</bdi>"), "{html}");
    }
}

#[test]
fn a_story_goes_from_receipt_to_ticket_in_order_of_time() {
    let story = story("P-101", State::Postponed);
    let told: Vec<_> = story.moments.iter().map(|moment| &*moment.what).collect();
    assert_eq!(
        told,
        [
            "The robot inspected.",
            "The event came here: orbit called the webhook, what came was verified and then kept.",
            "P-101: replay at cmms: P-101",
            "P-101: pause at cmms: P-101",
            "Try 3 ended: it is postponed since then.",
            "P-101 made an order of it.",
            "The order at P-101 was closed.",
            "The next try: about 2026-02-03T10:00:00Z, by the schedule of retries.",
        ]
    );
    let says = &story.says;
    assert_eq!(says.action.as_deref(), Some("P-101"));
    assert!(says.alert);
    let values: Vec<_> = says.readings.iter().map(|r| &*r.value).collect();
    assert_eq!(values, ["81.50", "20.50"], "numbers keep their digits");
    let pictures: Vec<_> = says.pictures.iter().map(|p| &*p.url).collect();
    assert_eq!(pictures, ["/events/42/picture?n=1"]);
    assert_eq!(
        story.asset,
        "\"P-101\", found in the asset map by action_name (line 3 of map map-of-old, which is not \
         the one of now)"
    );
    let others: Vec<_> = story.others.iter().map(Other::href).collect();
    assert_eq!(others, ["/deliveries/teams:42"]);
    let kept: Vec<_> = story.kept_for.iter().map(|named| &*named.id).collect();
    assert_eq!(kept, ["third"]);
    assert!(!story.can.replay && story.can.discard);
}

#[test]
fn the_request_is_as_it_was_frozen_and_its_secrets_are_hidden() {
    let story = story("P-101", State::Delivered);
    let [request] = &*story.requests else {
        panic!("{:?}", story.requests)
    };
    assert_eq!((request.state, request.method), ("sent", "POST"));
    assert_eq!(request.url, "https://cmms.example/***?***");
    let key = ("idempotency-key".to_owned(), "key-1".to_owned());
    assert!(request.headers.contains(&key), "{:?}", request.headers);
    let body = request.body.as_ref().unwrap();
    assert!(body.contains("\"delivery\": \"key-1\""), "{body}");
    assert!(body.contains("\"value\": 20.50"), "{body}");
    let curl = request.curl.as_ref().unwrap();
    assert!(
        curl.contains("\"$SECRET_PATH\"") && curl.contains("\"$SECRET_QUERY\""),
        "{curl}"
    );
    assert_eq!(request.variables, ["SECRET_PATH", "SECRET_QUERY"]);
    let all = serde_json::to_string(&story).unwrap();
    let html = detail::html(&person(Role::Decide), &story).into_string();
    for shown in [all, html] {
        assert!(!shown.contains("secret-path") && !shown.contains("secret-key"));
    }
    assert!(story.can.replay && story.can.replay_as_sent && !story.can.discard);
}

#[test]
fn of_a_destination_that_is_gone_and_a_template_that_is_another_only_what_is_kept_is_shown() {
    let mut found = detail("P-101", State::Delivered);
    found.template = Some("old".into());
    found.message = Some(r#"{"create":{"url":"/api/orders","body":"{\"a\":1.0}"}}"#.into());
    found.progress = Some(r#"{"done":{"create":{"id":"WO-7"}}}"#.into());
    for (configs, why) in [
        (Vec::new(), "no longer configured"),
        (configs(), "another one by now"),
    ] {
        let story = Known {
            detail: &found,
            orders: Vec::new(),
            destinations: Vec::new(),
            map: &AssetMap::empty(),
            configs: &configs,
            orbit: None,
        }
        .story();
        let [request] = &*story.requests else {
            panic!("{:?}", story.requests)
        };
        assert_eq!((&*request.name, request.state), ("create", "done"));
        assert_eq!((request.method, &*request.url), ("", "/api/orders"));
        assert_eq!(request.taken.as_deref(), Some(r#"{"id":"WO-7"}"#));
        assert_eq!(request.curl, None);
        assert!(request.no_curl.is_some());
        let note = story.requests_note.unwrap();
        assert!(note.contains(why), "{note}");
        assert!(story.template.unwrap().contains("not the one of now"));
    }
}

#[test]
fn any_event_has_a_story() {
    for body in [&b""[..], b"{", b"\xff\xfe", b"[]", b"{\"data\":7}", b"null"] {
        for origin in ["webhook", "backfill", "sample", "relay", "work_order", "?"] {
            let mut found = detail("P-101", State::Pending);
            found.event.body = body.to_vec();
            found.event.origin = origin.to_owned();
            found.relay = None;
            found.message = Some("nonsense".into());
            found.progress = Some("nonsense".into());
            found.enrichment.run = Some("nonsense".into());
            let story = Known {
                detail: &found,
                orders: Vec::new(),
                destinations: Vec::new(),
                map: &AssetMap::empty(),
                configs: &configs(),
                orbit: None,
            }
            .story();
            assert!(story.requests_note.is_some());
            drop(detail::html(&person(Role::See), &story).into_string());
        }
    }
}

#[test]
fn who_only_sees_is_offered_no_act() {
    let story = story("P-101", State::Dead);
    let seen = detail::html(&person(Role::See), &story).into_string();
    assert!(!seen.contains("<form"), "{seen}");
    let decides = detail::html(&person(Role::Decide), &story).into_string();
    for act in ["replay", "replay-as-sent", "discard"] {
        let form = format!("action=\"/deliveries/cmms:42/{act}?csrf=token\"");
        assert!(decides.contains(&form), "{act}");
    }
    assert!(decides.contains("action=\"/events/42/send?csrf=token\""));
    let seen = list::html(&person(Role::See), &list("P-101")).into_string();
    assert!(!seen.contains("/deliveries/bulk"), "{seen}");
}

#[test]
fn the_list_says_how_far_it_looked_and_where_to_go_on() {
    let html = list::html(&person(Role::See), &list("P-101")).into_string();
    assert!(
        html.contains("looked at 5\u{202f}000 deliveries so far"),
        "{html}"
    );
    let on = "href=\"/deliveries?text=P-101&amp;asset=P-101&amp;before=cmms%3A41\"";
    assert!(html.contains(on), "{html}");
    let mut last = list("P-101");
    last.more = None;
    let html = list::html(&person(Role::See), &last).into_string();
    assert!(html.contains("These are all."), "{html}");
}

#[test]
fn a_bulk_act_is_offered_only_where_it_means_what_the_list_shows() {
    let mut found = list("P-101");
    let decides = person(Role::Decide);
    let html = list::html(&decides, &found).into_string();
    assert!(!html.contains("/deliveries/bulk"), "{html}");
    found.wanted = Wanted {
        states: [State::Dead].into(),
        ..Wanted::default()
    };
    let html = list::html(&decides, &found).into_string();
    let link = "/deliveries/bulk?act=replay&amp;state=dead";
    assert!(html.contains(link), "{html}");
    found.wanted.robot = Some("spot".into());
    let html = list::html(&decides, &found).into_string();
    assert!(!html.contains("/deliveries/bulk"), "{html}");
    found.wanted = Wanted::default();
    let html = list::html(&decides, &found).into_string();
    assert!(!html.contains("/deliveries/bulk"), "{html}");
}

#[test]
fn an_address_of_a_delivery_is_one_path() {
    assert_eq!(href("cmms:42"), "/deliveries/cmms:42");
    assert_eq!(href("a/b?c#d%:1"), "/deliveries/a%2Fb%3Fc%23d%25:1");
}
