//! The asset map while the relay runs.

use serde_json::{Value, json};

use crate::process::{Home, Relay, plant};

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
