//! Events by filters, and as a stream.

use std::io::{BufRead as _, BufReader};
use std::process::Stdio;
use std::time::Duration;

use serde_json::{Value, json};

use crate::process::{Home, PATIENCE, Process, Relay, SECRET};

const COMPLETED: &str = "ACTION_COMPLETED";
const ALERT: &str = "ACTION_COMPLETED_WITH_ALERT";

/// A relay without a destination that has taken so many events; each third is an alert.
async fn with_events(home: &Home, numbers: std::ops::RangeInclusive<u32>) -> Relay {
    let mut command = home.relay();
    command.env("WEBHOOK_SECRET", SECRET);
    let relay = Relay::ready(command).await;
    post(&relay, numbers).await;
    relay
}

async fn post(relay: &Relay, numbers: std::ops::RangeInclusive<u32>) {
    for n in numbers {
        let kind = if n % 3 == 0 { ALERT } else { COMPLETED };
        let data = json!({"uuid": format!("uuid-{n}"), "actionName": "motor\u{9b}"});
        let event = json!({"type": kind, "data": data}).to_string();
        assert_eq!(relay.post(event.as_bytes()).await.status, 200);
    }
}

fn numbers(lines: &str) -> Vec<i64> {
    let lines = lines.lines().map(|line| {
        let event: Value = serde_json::from_str(line).unwrap();
        event["seq"].as_i64().unwrap()
    });
    lines.collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn events_are_listed_and_dumped_by_the_same_filters() {
    let home = Home::new();
    let mut relay = with_events(&home, 1..=9).await;
    for (filters, found) in [
        (&[][..], vec![1, 2, 3, 4, 5, 6, 7, 8, 9]),
        (&["--type", ALERT], vec![3, 6, 9]),
        (&["--type", "*_WITH_*", "--before", "9"], vec![3, 6]),
        (&["--type", "ACTION_COMPLETE?"], vec![1, 2, 4, 5, 7, 8]),
        (&["--source", "orbit", "--before", "3"], vec![1, 2]),
        (&["--source", "up42"], vec![]),
        (&["--since", "1h"], vec![1, 2, 3, 4, 5, 6, 7, 8, 9]),
        (&["--since", "2999-01-01"], vec![]),
    ] {
        let dumped = home.ask(&[&["events", "dump"], filters].concat()).await;
        assert_eq!((dumped.code, &*dumped.err), (Some(0), ""), "{dumped:?}");
        assert_eq!(numbers(&dumped.out), found, "{filters:?}");
        let listed = home
            .ask(&[&["events", "list", "--json"], filters].concat())
            .await;
        let mut backwards: Vec<_> = listed.out.lines().collect();
        backwards.reverse();
        assert_eq!(dumped.out.lines().collect::<Vec<_>>(), backwards);
    }
    let ask = async |more: &[&str]| {
        let dumped = home.ask(&[&["events", "dump"], more].concat()).await;
        numbers(&dumped.out)
    };
    assert_eq!(ask(&["--after", "7"]).await, [8, 9]);
    assert_eq!(ask(&["--after", "2", "--limit", "3"]).await, [3, 4, 5]);
    assert_eq!(ask(&["--after=-5", "--limit", "1"]).await, [1]);
    for wrong in [
        &["--follow", "--before", "3"][..],
        &["--limit", "0"],
        &["--since", "soon"],
    ] {
        let ended = home.ask(&[&["events", "dump"], wrong].concat()).await;
        assert_eq!(ended.code, Some(2), "{ended:?}");
    }
    assert_eq!(relay.stop().await, Some(0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_followed_dump_gives_each_event_once_and_ends_at_a_signal() {
    let home = Home::new();
    let mut relay = with_events(&home, 1..=3).await;
    let data = home.data().to_str().unwrap().to_owned();
    let all = ["events", "dump", "--follow", "--data-dir", &data];
    let mut following = Process::start(home.command(&all));
    let mut alerts = home.command(&all);
    alerts.args(["--type", ALERT, "--limit", "3"]);
    let mut alerts = Process::start(alerts);
    following.lines("\"seq\":", 3).await;
    for n in 1..=5 {
        post(&relay, n * 4..=n * 4 + 3).await;
        let seen = usize::try_from(n * 4 + 3).unwrap();
        following.lines("\"seq\":", seen).await;
    }
    following.signal("TERM");
    assert_eq!(following.ended(PATIENCE).await, Some(0));
    let every: Vec<i64> = (1..=23).collect();
    assert_eq!(numbers(&following.text()), every);
    assert_eq!(alerts.ended(PATIENCE).await, Some(0), "so many were wanted");
    assert_eq!(numbers(&alerts.text()), [3, 6, 9]);
    assert_eq!(relay.stop().await, Some(0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_followed_dump_ends_at_a_signal_also_while_its_reader_stalls() {
    let home = Home::new();
    let mut command = home.relay();
    command.env("WEBHOOK_SECRET", SECRET);
    let mut relay = Relay::ready(command).await;
    // More than a pipe and a reader's buffer hold.
    for n in 0..200 {
        let data = json!({"uuid": format!("{n:0250}")});
        let event = json!({"type": COMPLETED, "data": data}).to_string();
        assert_eq!(relay.post(event.as_bytes()).await.status, 200);
    }
    let mut command = home.command(&["events", "dump", "--follow"]);
    command.arg("--data-dir").arg(home.data());
    let mut dump = command.stdout(Stdio::piped()).spawn().unwrap();
    let mut output = BufReader::new(dump.stdout.take().unwrap());
    let mut line = String::new();
    output.read_line(&mut line).unwrap();
    assert_eq!(numbers(&line), [1]);
    let pid = dump.id().to_string();
    let mut told = std::process::Command::new("kill");
    assert!(told.args(["-TERM", &pid]).status().unwrap().success());
    assert_eq!(ended(&mut dump).await, Some(0));
    assert_eq!(relay.stop().await, Some(0));
}

/// The exit code, once it is there; what does not end is ended.
async fn ended(dump: &mut std::process::Child) -> Option<i32> {
    let ended = async {
        loop {
            if let Some(status) = dump.try_wait().unwrap() {
                break status.code();
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let ended = tokio::time::timeout(PATIENCE, ended).await;
    if ended.is_err() {
        dump.kill().unwrap();
    }
    ended.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_followed_dump_ends_where_nobody_reads_also_while_nothing_comes() {
    let home = Home::new();
    let mut relay = with_events(&home, 1..=1).await;
    let mut command = home.command(&["events", "dump", "--follow"]);
    command.arg("--data-dir").arg(home.data());
    let mut dump = command.stdout(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    let mut output = BufReader::new(dump.stdout.take().unwrap());
    output.read_line(&mut line).unwrap();
    assert_eq!(numbers(&line), [1]);
    assert!(dump.try_wait().unwrap().is_none(), "it goes on");
    drop(output);
    assert_eq!(ended(&mut dump).await, Some(0));
    assert_eq!(relay.stop().await, Some(0));
}
