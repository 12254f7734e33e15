//! `schema`: what is sent for each event.

use serde_json::Value;

use crate::process::{Home, end};

#[tokio::test]
async fn schema_lists_what_there_is_and_prints_each_with_its_content_type() {
    let home = Home::new();
    let listed = end(home.command(&["schema"])).await;
    assert_eq!((listed.code, &*listed.err), (Some(0), ""), "{listed:?}");
    let names = listed
        .out
        .lines()
        .map(|line| line.split(' ').next().unwrap());
    let names: Vec<_> = names.collect();
    let some = [
        "event",
        "ACTION_COMPLETED_WITH_ALERT",
        "delivery.dead",
        "answer:DESTINATION",
    ];
    for name in some {
        assert!(names.contains(&name), "{name}: {names:?}");
    }
    for name in &names[1..] {
        let shown = end(home.command(&["schema", name])).await;
        assert_eq!((shown.code, &*shown.err), (Some(0), ""), "{shown:?}");
        let (head, schema) = shown.out.split_once("\n\n").unwrap();
        assert_eq!(head, "Content-Type: application/json");
        let schema: Value = serde_json::from_str(schema).unwrap();
        assert!(
            schema["properties"]["relay"].is_object(),
            "{name}: {schema}"
        );
    }
}

#[tokio::test]
async fn an_event_that_there_is_no_schema_of_is_exit_2_with_the_nearest() {
    let home = Home::new();
    let ended = end(home.command(&["schema", "delivery.ded"])).await;
    assert_eq!((ended.code, &*ended.out), (Some(2), ""), "{ended:?}");
    assert!(ended.err.contains("is it `delivery.dead`?"), "{ended:?}");
}
