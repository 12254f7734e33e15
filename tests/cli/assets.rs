//! The asset map while the relay runs, and the commands about it.

use serde_json::{Value, json};

use crate::process::{Ended, Home, Relay, plant};

fn event(n: u32, action: &str) -> Vec<u8> {
    let data = json!({"uuid": format!("uuid-{n}"), "actionName": action});
    json!({"uuid": format!("e-{n}"), "type": "ACTION_COMPLETED", "data": data})
        .to_string()
        .into_bytes()
}

#[tokio::test]
async fn sighup_loads_the_asset_map_again_and_a_bad_file_keeps_the_old_one() {
    let (home, plant) = (Home::new(), plant().await);
    let file = home.write("assets.csv", "action_name,asset_id\nmotor,PUMP-1\n");
    let mut command = home.relay_to(&plant.url());
    command.arg("--asset-map").arg(&file);
    let mut relay = Relay::ready(command).await;
    relay.process.line("asset map: 1 rows from").await;
    let mut posted = 0;
    let mut asset_of = async |relay: &Relay| {
        posted += 1;
        assert_eq!(relay.post(&event(posted, "motor")).await.status, 200);
        let world = plant.world();
        let delivered = world.wait_for(posted.into());
        tokio::time::timeout(crate::process::PATIENCE, delivered)
            .await
            .unwrap();
        let post = world.received().pop().unwrap();
        let body: Value = serde_json::from_slice(&post.body).unwrap();
        body["relay"]["asset"]["id"].clone()
    };
    assert_eq!(asset_of(&relay).await, "PUMP-1");

    home.write("assets.csv", "action_name,asset_id\nmotor,PUMP-2\nx,Y\n");
    relay.process.signal("HUP");
    relay.process.line("asset map: 2 rows from").await;
    assert_eq!(asset_of(&relay).await, "PUMP-2");

    home.write("assets.csv", "action_name,asset_id\nmotor,PUMP-3\n,Y\n");
    relay.process.signal("HUP");
    let line = relay.process.line("the old one stays in use").await;
    assert!(line.contains("line 3"), "{line}");
    assert_eq!(asset_of(&relay).await, "PUMP-2");
    assert_eq!(relay.stop().await, Some(0));
}

#[tokio::test]
async fn an_action_without_an_asset_warns_once_with_a_line_to_paste() {
    let (home, plant) = (Home::new(), plant().await);
    let file = home.write("assets.csv", "action_name,asset_id\nmotor,PUMP-1\n");
    let mut command = home.relay_to(&plant.url());
    command.arg("--asset-map").arg(&file);
    let mut relay = Relay::ready(command).await;
    for n in 0..3 {
        assert_eq!(relay.post(&event(n, "level, \"sump\"")).await.status, 200);
    }
    relay.process.lines(" delivered seq=", 3).await;
    let line = relay.process.line("no asset for the action").await;
    assert_eq!(relay.process.count("no asset for the action"), 1);
    let (_, pasted) = line.split_once("add to the asset map: ").unwrap();
    insta::assert_snapshot!(pasted, @r#""level, ""sump""",ASSET-ID-HERE"#);
}

#[tokio::test]
async fn a_map_that_changes_is_loaded_without_a_signal_and_a_missing_one_is_said_once() {
    let (home, plant) = (Home::new(), plant().await);
    let file = home.write("assets.csv", "action_name,asset_id\nmotor,PUMP-1\n");
    let mut command = home.relay_to(&plant.url());
    command.arg("--asset-map").arg(&file);
    let mut relay = Relay::ready(command).await;
    relay.process.line("asset map: 1 rows from").await;
    home.write("assets.csv", "action_name,asset_id\nmotor,PUMP-2\nx*,Y\n");
    relay.process.line("asset map: 2 rows from").await;
    std::fs::remove_file(&file).unwrap();
    let line = relay.process.line("the old one stays in use").await;
    assert!(line.ends_with("assets.csv is not there"), "{line}");
    home.write("assets.csv", "action_name,asset_id\nx,Y\ny,Y\nz,Y\n");
    relay.process.line("asset map: 3 rows from").await;
    assert_eq!(relay.process.count("the old one stays in use"), 1);
    assert_eq!(relay.stop().await, Some(0));
}

const MAP: &str = "\
action_name;note;channel_name;asset_id
motor;;;PUMP-1
P-1*;;;PUMP-1
*101;a;;PUMP-2
motor;;;PUMP-1
motor;;ir;DE
never ?;;;X
";

/// A home whose journal holds five inspections, and this map.
async fn with_journal(map: &str) -> Home {
    let (home, plant) = (Home::new(), plant().await);
    home.write("assets.csv", map);
    let mut relay = Relay::ready(home.relay_to(&plant.url())).await;
    for (n, action) in [
        (1, "motor"),
        (2, "P-101"),
        (3, "Door 7 *"),
        (4, "level; \"sump\""),
        (5, "Door 7 *"),
    ] {
        assert_eq!(relay.post(&event(n, action)).await.status, 200);
    }
    let other = json!({"uuid": "e-6", "type": "ACTION_STARTED", "data": {"actionName": "no"}});
    let other = other.to_string().into_bytes();
    assert_eq!(relay.post(&other).await.status, 200);
    let captures = json!([{"channelName": "ir", "keyResults": [{"name": "Max", "value": 1}]}]);
    let data = json!({"uuid": "uuid-7", "actionName": "motor", "dataCaptures": captures});
    let alert = json!({"uuid": "e-7", "type": "ACTION_COMPLETED_WITH_ALERT", "data": data});
    let alert = alert.to_string().into_bytes();
    assert_eq!(relay.post(&alert).await.status, 200);
    assert_eq!(relay.stop().await, Some(0));
    home
}

async fn ask(home: &Home, arguments: &[&str]) -> Ended {
    let map = ["--asset-map", "assets.csv"];
    home.ask(&[arguments, &map].concat()).await
}

#[tokio::test]
async fn check_names_rows_that_repeat_tie_or_were_never_taken() {
    let home = with_journal(MAP).await;
    let ended = ask(&home, &["assets", "check"]).await;
    assert_eq!((ended.code, &*ended.err), (Some(4), ""), "{ended:?}");
    insta::assert_snapshot!(ended.out.trim_end(), @r#"
    line 3: ties with line 4, which says something else, at "P-101"; this one counts. Give one of the two more characters, or that name a row of its own
    line 5: says what line 2 says; one of them is enough
    line 7: action_name "never ?" is "X": it was taken for no inspection in the journal
    5 rows in assets.csv, version 20e701c6427c; compared with 6 inspections in the journal
    "#);
    let json = ask(&home, &["assets", "check", "--json"]).await.out;
    let found: Vec<Value> = json
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let words: Vec<_> = found.iter().map(|found| found["finding"].clone()).collect();
    assert_eq!(words, ["tie", "repeated", "unmatched"]);
    assert_eq!(
        (&found[0]["line"], &found[0]["other_line"]),
        (&json!(3), &json!(4))
    );

    home.write("other.csv", "action_name,asset_id\nmotor,PUMP-1\n");
    let ended = ask(&home, &["assets", "check", "other.csv"]).await;
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert_eq!(ended.out.lines().count(), 1, "{ended:?}");
}

#[tokio::test]
async fn check_names_the_lines_of_a_file_that_is_wrong_and_needs_no_journal() {
    let home = Home::new();
    home.write("assets.csv", "action_name,asset_id\na*,P\na**,Q\n,R\n");
    let ended = ask(&home, &["assets", "check"]).await;
    assert_eq!((ended.code, &*ended.err), (Some(4), ""), "{ended:?}");
    insta::assert_snapshot!(ended.out.trim_end(), @r"
    line 3: the same keys (action_name) as line 2, but another asset_id; keep one of the two
    line 4: no key is filled; fill at least one of action_name
    ");
    let ended = ask(&home, &["assets", "check", "--json"]).await;
    assert_eq!(
        (ended.code, ended.out.lines().count()),
        (Some(4), 2),
        "{ended:?}"
    );

    home.write("assets.csv", "action_name,asset_id\na*,P\n");
    let ended = ask(&home, &["assets", "check"]).await;
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(
        ended.out.contains("no journal to compare it with"),
        "{ended:?}"
    );
    let ended = ask(&home, &["assets", "check", "nowhere.csv"]).await;
    assert_eq!(ended.code, Some(2), "{ended:?}");
    assert!(ended.err.contains("nowhere.csv"), "{ended:?}");
    let ended = home.ask(&["assets", "check"]).await;
    assert_eq!(ended.code, Some(2), "{ended:?}");
    assert!(
        ended.err.contains("no asset map is configured"),
        "{ended:?}"
    );
    assert!(!home.data().exists(), "looking makes nothing");
}

#[tokio::test]
async fn unmapped_lists_the_actions_without_an_asset_and_lines_that_map_them() {
    let home = with_journal(MAP).await;
    let ended = ask(&home, &["assets", "unmapped"]).await;
    assert_eq!((ended.code, &*ended.err), (Some(0), ""), "{ended:?}");
    let (listed, lines) = ended.out.split_once("to map them").unwrap();
    let actions: Vec<_> = listed
        .lines()
        .map(|line| line.split_once(", last seen 20").unwrap().0)
        .collect();
    assert_eq!(actions, ["2 × \"Door 7 *\"", "1 × \"level; \\\"sump\\\"\""]);
    insta::assert_snapshot!(lines.trim_end(), @r#"
    , add these lines to assets.csv, with an asset in the place of ASSET-ID-HERE:
    Door 7 \*;;;ASSET-ID-HERE
    "level; ""sump""";;;ASSET-ID-HERE
    "#);

    let json = ask(&home, &["assets", "unmapped", "--json"]).await.out;
    let first: Value = serde_json::from_str(json.lines().next().unwrap()).unwrap();
    assert_eq!(
        (&first["action"], &first["count"]),
        (&json!("Door 7 *"), &json!(2))
    );
    assert_eq!(first["last_seq"], 5);
    assert_eq!(first["line"], "Door 7 \\*;;;ASSET-ID-HERE");

    let (_, pasted) = lines.split_once('\n').unwrap();
    home.write(
        "assets.csv",
        MAP.to_owned() + &pasted.replace("ASSET-ID-HERE", "X"),
    );
    let ended = ask(&home, &["assets", "unmapped"]).await;
    assert_eq!(
        ended.out, "every inspection in the journal has an asset\n",
        "{ended:?}"
    );

    // Without a map the lines are a file of their own.
    let ended = home.ask(&["assets", "unmapped"]).await;
    let (_, lines) = ended.out.split_once("ASSET-ID-HERE:\n").unwrap();
    assert_eq!(lines.lines().next(), Some("action_name,asset_id"));
    home.write("assets.csv", lines.replace("ASSET-ID-HERE", "X"));
    let ended = ask(&home, &["assets", "unmapped"]).await;
    assert_eq!(
        ended.out, "every inspection in the journal has an asset\n",
        "{ended:?}"
    );
}

#[tokio::test]
async fn export_writes_the_map_as_plain_csv() {
    let home = Home::new();
    home.write("assets.csv", format!("\u{feff}{MAP}").replace('\n', "\r\n"));
    let ended = ask(&home, &["assets", "export"]).await;
    assert_eq!((ended.code, &*ended.err), (Some(0), ""), "{ended:?}");
    insta::assert_snapshot!(ended.out.trim_end(), @r"
    action_name,note,channel_name,asset_id
    motor,,,PUMP-1
    P-1*,,,PUMP-1
    *101,a,,PUMP-2
    motor,,ir,DE
    never ?,,,X
    ");
    home.write("assets.csv", &ended.out);
    assert_eq!(ask(&home, &["assets", "export"]).await.out, ended.out);
    home.write("assets.csv", "action_name,asset_id\n,P\n");
    let ended = ask(&home, &["assets", "export"]).await;
    assert_eq!((ended.code, &*ended.out), (Some(2), ""), "{ended:?}");
    assert!(ended.err.contains("line 2"), "{ended:?}");
}
