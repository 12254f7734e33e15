//! Deliveries and destinations in a person's hands, beside a running relay and without one.

use std::io::{BufRead as _, BufReader, Write as _};
use std::time::Duration;

use orbit_relay::clock::Clock;
use orbit_relay::relay::journal::{Bulk, Config, Filter, Journal, Kind, State};
use orbit_relay::sim::backend::{Answer, Backend};
use serde_json::{Value, json};

use crate::process::load::check_drained;
use crate::process::{Ended, Home, PATIENCE, Relay, end, plant};

fn event(n: u32) -> Vec<u8> {
    let data = json!({"uuid": format!("uuid-{n}"), "actionName": "motor", "n": n});
    json!({"uuid": format!("e-{n}"), "type": "ACTION_COMPLETED", "data": data})
        .to_string()
        .into_bytes()
}

fn relay(home: &Home, plant: &Backend) -> std::process::Command {
    let file = home.write("assets.csv", "action_name,asset_id\nmotor,PUMP-1\n");
    let mut command = home.relay_to(&plant.url());
    command.arg("--asset-map").arg(file);
    command
}

/// Waits until so many deliveries are in this state.
async fn until(home: &Home, state: &str, count: u32) {
    let reached = async {
        while home.status().await["destinations"][0][state] != count {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let reached = tokio::time::timeout(PATIENCE, reached).await;
    assert!(reached.is_ok(), "{}", home.status().await);
}

/// A relay whose plant has refused so many events.
async fn with_dead(home: &Home, plant: &Backend, count: u32) -> Relay {
    plant.world().set_answer(Answer::Status(422));
    let started = Relay::ready(relay(home, plant)).await;
    for n in 1..=count {
        assert_eq!(started.post(&event(n)).await.status, 200);
    }
    until(home, "dead", count).await;
    plant.world().set_answer(Answer::Status(200));
    started
}

fn objects(ended: &Ended) -> Vec<Value> {
    assert_eq!((ended.code, &*ended.err), (Some(0), ""), "{ended:?}");
    let lines = ended.out.lines();
    lines
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

fn is_refused(ended: &Ended, with: &str) {
    assert_eq!((ended.code, &*ended.out), (Some(2), ""), "{ended:?}");
    assert!(ended.err.contains(with), "{ended:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_dead_is_listed_explained_and_sent_again_beside_a_running_relay() {
    let (home, plant) = (Home::new(), plant().await);
    let mut relay = with_dead(&home, &plant, 3).await;

    let list = ["deliveries", "list", "--state", "dead", "--json"];
    let mut listed = objects(&home.ask(&list).await);
    let ids: Vec<_> = listed.iter().map(|d| d["id"].clone()).collect();
    assert_eq!(ids, ["integration:3", "integration:2", "integration:1"]);
    listed[0]["received_at"] = "WHEN".into();
    insta::assert_snapshot!(serde_json::to_string_pretty(&listed[0]).unwrap(), @r#"
    {
      "asset": "PUMP-1",
      "attempts": 1,
      "destination": "integration",
      "event": "uuid-3",
      "event_type": "ACTION_COMPLETED",
      "id": "integration:3",
      "next_attempt_at": null,
      "reason": "answered 422",
      "received_at": "WHEN",
      "seq": 3,
      "state": "dead"
    }
    "#);
    let page = [
        "deliveries",
        "list",
        "--json",
        "--limit",
        "1",
        "--before",
        "integration:3",
    ];
    assert_eq!(objects(&home.ask(&page).await)[0]["id"], "integration:2");

    let shown = home.ask(&["deliveries", "show", "integration:2"]).await.out;
    for part in [
        "integration:2: dead",
        "about the action \"motor\"",
        "asset: \"PUMP-1\", found in the asset map by action_name",
        "422",
        "orbit-relay deliveries replay integration:2",
        "Idempotency-Key: ",
        "\"relay\":{",
    ] {
        assert!(shown.contains(part), "{part}: {shown}");
    }

    let dry = [
        "deliveries",
        "replay",
        "--state",
        "dead",
        "--dry-run",
        "--json",
    ];
    let dry = objects(&home.ask(&dry).await).remove(0);
    assert_eq!((&dry["matching"], &dry["done"]), (&json!(3), &Value::Null));
    let counts = json!([{"destination": "integration", "state": "dead", "n": 3}]);
    assert_eq!(dry["counts"], counts);
    assert_eq!(plant.world().tally().attempts, 3);

    let mut again = home.command(&["deliveries", "replay", "--state", "dead", "--yes", "--json"]);
    again.arg("--data-dir").arg(home.data()).env("USER", "anna");
    let done = objects(&end(again).await).remove(0);
    assert_eq!((&done["matching"], &done["done"]), (&json!(3), &json!(3)));
    until(&home, "delivered", 3).await;
    assert_eq!(
        plant.world().deliveries_by_key().len(),
        3,
        "under the same keys"
    );
    let shown = objects(
        &home
            .ask(&["deliveries", "show", "integration:2", "--json"])
            .await,
    );
    assert_eq!(shown[0]["act"]["who"], "anna");
    assert_eq!(shown[0]["act"]["what"], "replay");
    assert_eq!(shown[0]["body"]["relay"]["origin"], "replay");
    assert_eq!(
        (&shown[0]["state"], &shown[0]["attempts"]),
        (&json!("delivered"), &json!(2))
    );
    assert_eq!(relay.stop().await, Some(0));
    assert_eq!(check_drained(&home.status().await), 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_paused_destination_gets_nothing_and_goes_on_when_it_is_resumed() {
    let (home, plant) = (Home::new(), plant().await);
    let mut started = Relay::ready(relay(&home, &plant)).await;
    let mut pause = home.command(&["destinations", "pause", "integration", "--why", "works"]);
    pause
        .arg("--data-dir")
        .arg(home.data())
        .env("LOGNAME", "bert");
    let paused = end(pause).await;
    assert_eq!(paused.code, Some(0), "{paused:?}");
    for n in 1..=3 {
        assert_eq!(started.post(&event(n)).await.status, 200);
    }
    let parked = ["deliveries", "list", "--state", "parked", "--json"];
    assert_eq!(objects(&home.ask(&parked).await).len(), 3);
    let shown = home.ask(&["deliveries", "show", "integration:1"]).await.out;
    assert!(
        shown.contains("next: none for now: it is paused since"),
        "{shown}"
    );
    assert!(shown.contains("by bert: works"), "{shown}");
    assert_eq!(plant.world().tally().attempts, 0);

    // The pause outlives the relay, and ends without one.
    assert_eq!(started.stop().await, Some(0));
    let status = home.status().await;
    let destination = &status["destinations"][0];
    assert_eq!(destination["parked"], 3);
    assert_eq!(destination["paused"]["by"], "bert");
    assert_eq!(destination["condition"], "paused");
    let resumed = home
        .ask(&["destinations", "resume", "integration", "--json"])
        .await;
    assert_eq!(objects(&resumed)[0]["changed"], true);
    let again = home.ask(&["destinations", "resume", "integration"]).await;
    assert_eq!(
        (again.code, &*again.out),
        (Some(0), "integration is not paused\n")
    );
    let shown = objects(
        &home
            .ask(&["destinations", "show", "integration", "--json"])
            .await,
    );
    let acts = shown[0]["acts"].as_array().unwrap();
    let acts: Vec<_> = acts.iter().map(|act| act["what"].clone()).collect();
    assert_eq!(acts, ["resume", "pause"]);
    assert!(
        shown[0]["acts"][0]["who"]
            .as_str()
            .unwrap()
            .starts_with("uid ")
    );

    let mut started = Relay::ready(relay(&home, &plant)).await;
    until(&home, "delivered", 3).await;
    assert_eq!(started.stop().await, Some(0));
    assert_eq!(check_drained(&home.status().await), 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn deliveries_are_discarded_while_no_relay_runs() {
    let (home, plant) = (Home::new(), plant().await);
    let mut relay = with_dead(&home, &plant, 2).await;
    assert_eq!(
        home.ask(&["destinations", "pause", "integration"])
            .await
            .code,
        Some(0)
    );
    for n in 3..=6 {
        assert_eq!(relay.post(&event(n)).await.status, 200);
    }
    assert_eq!(relay.stop().await, Some(0));
    let one = ["deliveries", "discard", "--text", "UUID-4", "--yes"];
    assert_eq!(home.ask(&one).await.out, "1 deliveries are now discarded\n");
    assert_eq!(
        home.ask(&one).await.out,
        "no delivery matches; nothing to do\n"
    );
    let rest = ["deliveries", "discard", "--all", "--yes", "--json"];
    assert_eq!(objects(&home.ask(&rest).await)[0]["done"], 5);
    let status = home.status().await;
    assert_eq!(status["destinations"][0]["discarded"], 6);
    assert_eq!(
        (&status["adds_up"], &status["jobs"]),
        (&json!(true), &json!([]))
    );
    let shown = home.ask(&["deliveries", "show", "integration:4"]).await.out;
    assert!(shown.contains("next: none: it was discarded"), "{shown}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bulk_act_that_was_begun_goes_on_when_a_relay_starts() {
    let (home, plant) = (Home::new(), plant().await);
    let mut started = with_dead(&home, &plant, 3).await;
    assert_eq!(started.stop().await, Some(0));
    let config = Config {
        data_dir: home.data().to_owned(),
        destinations: None,
        keep_delivered: Config::KEEP_DELIVERED,
        limit_bytes: Config::LIMIT_BYTES,
        says: Vec::new(),
    };
    let (journal, mut writer) = Journal::start(config, Clock::system()).unwrap();
    let mut filter = Filter::default();
    filter.states.insert(State::Dead);
    let bulk = Bulk {
        kind: Kind::Replay,
        filter,
        as_sent: false,
    };
    let begin = async {
        loop {
            // The journal opens on its own thread.
            match journal
                .begin(Clock::system().wall(), "anna", bulk.clone())
                .await
            {
                Ok(jobs) => return jobs,
                Err(_) => tokio::task::yield_now().await,
            }
        }
    };
    let jobs = tokio::time::timeout(PATIENCE, begin).await.unwrap();
    assert_eq!(jobs.len(), 1);
    drop(journal);
    writer.ended().await;
    assert_eq!(home.status().await["jobs"][0]["who"], "anna");
    let said = home.ask(&["status"]).await.out;
    assert!(said.contains("replay under way since"), "{said}");

    let mut started = Relay::ready(relay(&home, &plant)).await;
    until(&home, "delivered", 3).await;
    assert_eq!(started.stop().await, Some(0));
    let status = home.status().await;
    assert_eq!(status["destinations"][0]["delivered"], 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_meant_is_exit_2_and_nothing_is_done() {
    let (home, plant) = (Home::new(), plant().await);
    let mut relay = with_dead(&home, &plant, 1).await;
    for (arguments, with) in [
        (&["deliveries", "replay", "--yes"][..], "--all"),
        (&["deliveries", "discard", "--yes"], "--all"),
        (&["deliveries", "replay", "--all"], "--yes"),
        (
            &["deliveries", "replay", "--state", "pending", "--yes"],
            "it takes dead, delivered, skipped, parked",
        ),
        (
            &["deliveries", "discard", "--state", "delivered", "--yes"],
            "discard is not for delivered",
        ),
        (
            &["deliveries", "list", "--state", "gone"],
            "possible values",
        ),
        (&["deliveries", "list", "--since", "soon"], "--since soon"),
        (
            &["deliveries", "list", "--destination", "integratoin"],
            "is it `integration`?",
        ),
        (&["deliveries", "show", "7"], "write DESTINATION:NUMBER"),
        (&["deliveries", "show", "integration:7"], "deliveries list"),
        (&["destinations", "pause", "cmms"], "no destination `cmms`"),
        (&["destinations", "show", "cmms"], "no destination `cmms`"),
    ] {
        is_refused(&home.ask(arguments).await, with);
    }
    assert_eq!(plant.world().tally().attempts, 1);
    assert_eq!(relay.stop().await, Some(0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_relay_of_another_version_is_named_as_such() {
    let (home, plant) = (Home::new(), plant().await);
    let mut relay = with_dead(&home, &plant, 1).await;
    assert_eq!(relay.stop().await, Some(0));
    let socket = home.data().join("relay.sock");
    for answer in [
        r#"{"failed":"not understood: unknown variant `begin`"}"#,
        r#"{"something":"else"}"#,
    ] {
        let listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
        let answering = std::thread::spawn(move || {
            // The first connection only finds out whether somebody answers.
            for stream in listener.incoming().take(2).map(Result::unwrap) {
                let mut line = String::new();
                BufReader::new(&stream).read_line(&mut line).unwrap();
                if !line.is_empty() {
                    writeln!(&stream, "{answer}").unwrap();
                }
            }
        });
        let ended = home.ask(&["deliveries", "replay", "--all", "--yes"]).await;
        assert_eq!(ended.code, Some(1), "{ended:?}");
        assert!(ended.err.contains("different versions"), "{ended:?}");
        answering.join().unwrap();
        std::fs::remove_file(&socket).unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_test_post_says_how_the_destination_answers_and_is_no_event() {
    let (home, plant) = (Home::new(), plant().await);
    let test = ["destinations", "test", "integration"];
    let mut started = Relay::ready(relay(&home, &plant)).await;
    let taken = home.ask(&test).await;
    assert_eq!(taken.code, Some(0), "{taken:?}");
    assert!(taken.out.contains("integration took it in"), "{taken:?}");
    assert_eq!(plant.world().tally().accepted, 1);

    let body = r#"{"error":"no such path"}"#.to_owned();
    plant.world().set_answer(Answer::Body(404, body));
    let refused = home
        .ask(&["destinations", "test", "integration", "--json"])
        .await;
    assert_eq!(refused.code, Some(1), "{refused:?}");
    let said: Value = serde_json::from_str(&refused.out).unwrap();
    assert_eq!(said["delivered"], false);
    assert_eq!(said["answer"], r#"{"error":"no such path"}"#);
    let shown = home.ask(&["destinations", "show", "integration"]).await;
    assert!(shown.out.contains("test"), "it is kept: {shown:?}");
    started.stop().await;
    let status = objects(&home.ask(&["status", "--json"]).await);
    assert_eq!(status[0]["accepted"], 0);

    let without = home.ask(&test).await;
    assert_eq!(without.code, Some(1), "{without:?}");
    assert!(without.err.contains("no relay runs"), "{without:?}");
}
