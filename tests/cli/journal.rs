//! What the journal holds, told beside a running relay and without one.

use orbit_relay::sim::backend::Answer;
use serde_json::{Value, json};

use crate::process::load::check_drained;
use crate::process::{Home, PATIENCE, Relay, SECRET, Web, plant};

fn event(n: u32, kind: &str) -> Vec<u8> {
    let data = json!({"uuid": format!("uuid-{n}"), "actionName": "motor", "n": n});
    json!({"uuid": format!("e-{n}"), "type": kind, "data": data})
        .to_string()
        .into_bytes()
}

const COMPLETED: &str = "ACTION_COMPLETED";
const ALERT: &str = "ACTION_COMPLETED_WITH_ALERT";

/// A relay that has seen a bit of everything, and has come to rest.
async fn busy(home: &Home, plant: &orbit_relay::sim::backend::Backend) -> Relay {
    let file = home.write("assets.csv", "action_name,asset_id\nmotor,PUMP-1\n");
    let mut command = home.relay_to(&plant.url());
    command.arg("--asset-map").arg(file);
    let mut relay = Relay::ready(command).await;
    for (n, kind) in [
        (1, COMPLETED),
        (1, ALERT),
        (1, COMPLETED),
        (2, "ROBOT_OFFLINE"),
    ] {
        assert_eq!(relay.post(&event(n, kind)).await.status, 200);
    }
    let forged = Web::new()
        .post_event(relay.at, &"5a".repeat(32), b"{}")
        .await;
    assert_eq!(forged.unwrap().status, 401);
    assert_eq!(relay.post(b"[]").await.status, 400);
    relay.process.lines(" delivered ", 2).await;
    plant.world().set_answer(Answer::Status(422));
    assert_eq!(relay.post(&event(3, COMPLETED)).await.status, 200);
    relay.process.line("dead: given up").await;
    relay
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn status_shows_the_sums_and_they_add_up() {
    let (home, plant) = (Home::new(), plant().await);
    let mut relay = busy(&home, &plant).await;
    let running = home.status().await;
    check_drained(&running);
    assert_eq!(running["accepted"], 4);
    assert_eq!(relay.stop().await, Some(0));

    let mut stopped = home.status().await;
    check_drained(&stopped);
    assert!(stopped["last_event_at"].is_string(), "{stopped}");
    stopped["last_event_at"] = "WHEN".into();
    insta::assert_snapshot!(serde_json::to_string_pretty(&stopped).unwrap(), @r#"
    {
      "accepted": 4,
      "adds_up": true,
      "backfilled": 0,
      "destinations": [
        {
          "accepted": 4,
          "condition": "ok",
          "dead": 1,
          "delivered": 2,
          "destination": "integration",
          "discarded": 0,
          "down": null,
          "expired": 0,
          "held_until": null,
          "kept": 0,
          "name": "integration",
          "oldest_undelivered_at": null,
          "parked": 0,
          "paused": null,
          "pending": 0,
          "postponed": 0,
          "removed": false,
          "sending": 0,
          "skipped": 1,
          "unmapped": 0
        }
      ],
      "duplicate": 1,
      "jobs": [],
      "last_event_at": "WHEN",
      "orbit": {
        "backfill_cursor": null,
        "backfill_looked_at": null,
        "clock_learnt_at": null,
        "clock_skew_ms": null,
        "last_reconcile_at": null
      },
      "received": 7,
      "rejected": 2,
      "rejected_by_reason": {
        "not_an_event": 1,
        "wrong_signature": 1
      }
    }
    "#);
    let shown = home.ask(&["status"]).await.out;
    let (sums, last_event) = shown
        .split_once("the last event of Orbit came at ")
        .unwrap();
    assert!(last_event.starts_with("20"), "{last_event}");
    insta::assert_snapshot!(sums.trim_end(), @r"
    received 7 = accepted 4 + duplicate 1 + rejected 2 (not_an_event 1, wrong_signature 1)
    integration: accepted 4 = pending 0 + sending 0 + postponed 0 + parked 0 + delivered 2 + skipped 1 + dead 1 + discarded 0
    ");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn events_are_shown_the_same_while_the_relay_runs_and_when_it_does_not() {
    let (home, plant) = (Home::new(), plant().await);
    let mut relay = busy(&home, &plant).await;
    let commands = [
        &["events", "list"][..],
        &["events", "list", "--json"],
        &["events", "list", "--limit", "1", "--before", "3"],
        &["events", "show", "1"],
        &["events", "show", "uuid-1", "--json"],
    ];
    let mut running = Vec::new();
    for command in commands {
        let ended = home.ask(command).await;
        assert_eq!((ended.code, &*ended.err), (Some(0), ""), "{ended:?}");
        running.push(ended.out);
    }
    assert_eq!(relay.stop().await, Some(0));
    for (command, before) in commands.iter().zip(&running) {
        assert_eq!(home.ask(command).await.out, *before);
    }

    assert_eq!(running[0].lines().count(), 4);
    assert!(
        running[0]
            .lines()
            .next()
            .unwrap()
            .contains("integration dead")
    );
    assert!(running[2].starts_with("2 ") && running[2].lines().count() == 1);
    let sent = String::from_utf8(event(1, COMPLETED)).unwrap();
    assert_eq!(running[3].lines().last(), Some(&*sent));
    let known: Vec<Value> = running[4]
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let types: Vec<_> = known.iter().map(|e| e["event_type"].clone()).collect();
    assert_eq!(types, [COMPLETED, ALERT]);
    let mut first = known[0].clone();
    let key = first["deliveries"][0]["delivery"]
        .as_str()
        .unwrap()
        .to_owned();
    assert!(
        plant
            .world()
            .received()
            .iter()
            .any(|post| post.key() == key)
    );
    first["deliveries"][0]["delivery"] = "KEY".into();
    first["received_at"] = "WHEN".into();
    insta::assert_snapshot!(serde_json::to_string_pretty(&first).unwrap(), @r#"
    {
      "action": "motor",
      "body": {
        "data": {
          "actionName": "motor",
          "n": 1,
          "uuid": "uuid-1"
        },
        "type": "ACTION_COMPLETED",
        "uuid": "e-1"
      },
      "body_bytes": 92,
      "deliveries": [
        {
          "asset": "PUMP-1",
          "attempts": 1,
          "delivery": "KEY",
          "destination": "integration",
          "reason": null,
          "state": "delivered"
        }
      ],
      "event": "uuid-1",
      "event_type": "ACTION_COMPLETED",
      "origin": "webhook",
      "received_at": "WHEN",
      "seq": 1,
      "source": "orbit"
    }
    "#);
}

#[tokio::test]
async fn an_event_that_is_not_there_is_exit_2_and_says_how_to_find_one() {
    let home = Home::new();
    let mut command = home.relay();
    command.env("WEBHOOK_SECRET", SECRET);
    let mut relay = Relay::ready(command).await;
    assert_eq!(relay.stop().await, Some(0));
    assert_eq!(home.ask(&["events", "list"]).await.out, "no events\n");
    let ended = home.ask(&["events", "show", "7"]).await;
    assert_eq!(ended.code, Some(2), "{ended:?}");
    assert!(ended.err.contains("orbit-relay events list"), "{ended:?}");
}

/// Keeps three events while there is no destination.
async fn with_kept_events(home: &Home) {
    let mut command = home.relay();
    command.env("WEBHOOK_SECRET", SECRET);
    let mut relay = Relay::ready(command).await;
    for n in 1..=3 {
        assert_eq!(relay.post(&event(n, COMPLETED)).await.status, 200);
    }
    assert_eq!(relay.stop().await, Some(0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kept_events_wait_until_a_person_asks_the_running_relay_for_them() {
    let (home, plant) = (Home::new(), plant().await);
    with_kept_events(&home).await;
    let mut relay = Relay::ready(home.relay_to(&plant.url())).await;
    let said = relay
        .process
        .line("3 events came before the destination")
        .await;
    assert!(
        said.contains("orbit-relay deliveries replay --kept"),
        "{said}"
    );
    assert_eq!(relay.post(&event(4, COMPLETED)).await.status, 200);
    relay.process.lines(" delivered ", 1).await;
    assert_eq!(plant.world().tally().attempts, 1, "the kept ones wait");

    let asked = home.ask(&["deliveries", "replay", "--kept"]).await;
    let shown = home.ask(&["destinations", "show", "integration"]).await;
    assert!(shown.out.contains("replay: kept events"), "{shown:?}");
    assert_eq!(asked.code, Some(0), "{asked:?}");
    assert_eq!(asked.out, "3 kept events are now pending for integration\n");
    relay.process.lines(" delivered ", 4).await;
    assert_eq!(plant.world().deliveries_by_key().len(), 4);
    let asked = home.ask(&["deliveries", "replay", "--kept"]).await;
    assert_eq!(asked.out, "0 kept events are now pending for integration\n");
    assert_eq!(relay.stop().await, Some(0));
    assert_eq!(check_drained(&home.status().await), 4);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kept_events_can_be_asked_for_while_no_relay_runs() {
    let (home, plant) = (Home::new(), plant().await);
    with_kept_events(&home).await;
    let asked = home.ask(&["deliveries", "replay", "--kept"]).await;
    assert_eq!(
        asked.code,
        Some(1),
        "no relay has had that destination: {asked:?}"
    );
    let mut relay = Relay::ready(home.relay_to(&plant.url())).await;
    relay
        .process
        .line("3 events came before the destination")
        .await;
    assert_eq!(relay.stop().await, Some(0));

    let asked = home.ask(&["deliveries", "replay", "--kept"]).await;
    assert_eq!(
        asked.out, "3 kept events are now pending for integration\n",
        "{asked:?}"
    );
    let mut relay = Relay::ready(home.relay_to(&plant.url())).await;
    let world = plant.world();
    tokio::time::timeout(PATIENCE, world.wait_for(3))
        .await
        .unwrap();
    assert_eq!(relay.stop().await, Some(0));
    assert_eq!(check_drained(&home.status().await), 3);
}
