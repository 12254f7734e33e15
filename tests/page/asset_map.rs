//! The asset map by page: rows, files, history, undo; and that what waits for it then goes.

use orbit_relay::relay::deliver;
use orbit_relay::relay::journal::{ActsPage, Reader, State};

use crate::frame::is_a_screen;
use crate::visitor::{File, Seen, Visitor};
use crate::world::{Relay, Site, inspection};

const MAP: &str = "/assets/map";

/// What nobody should take for anything but text.
const HOSTILE: [&str; 5] = [
    "=cmd|' /C calc'!A0",
    "a\"b,c;d\te",
    "<script>alert(1)</script>",
    "\u{5de}\u{5e9}\u{5d0}\u{5d1}\u{5d4} \u{202e}1",
    "👩‍🏭 pump",
];

/// A relay without a map, and somebody who may change it.
async fn begun() -> (Site, Relay, Visitor) {
    let site = Site::new().await.with_the_page().without_flag("asset-map");
    let relay = site.start().await;
    relay.registered().await;
    let ann = Visitor::at_first(&relay, &site).await;
    (site, relay, ann)
}

/// Adds a row by the form.
async fn add(ann: &Visitor, action: &str, asset: &str) -> Seen {
    let form = ann
        .see("/assets/map/row")
        .await
        .is(200)
        .form("/assets/map/row");
    ann.send(&form, &[("cell0", action), ("cell1", asset)])
        .await
}

async fn upload(ann: &Visitor, content: &[u8]) -> Seen {
    let form = ann.see("/assets/map/upload").await.is(200);
    let form = form.form("/assets/map/upload");
    let file = File {
        field: "file",
        name: "assets.csv",
        content,
    };
    let seen = ann.upload(&form, &[], file).await;
    ann.follow(seen).await
}

async fn download(ann: &Visitor) -> String {
    let file = ann.get("/assets/map/file").await.is(200);
    assert_eq!(file.header("content-type"), Some("text/csv; charset=utf-8"));
    let disposition = file.header("content-disposition").unwrap();
    assert!(disposition.starts_with("attachment; "), "{disposition}");
    file.body
}

#[tokio::test]
async fn a_row_that_is_added_counts_at_once_and_what_waited_for_it_goes() {
    let site = Site::new().await.with_the_page().without_flag("asset-map");
    let mut cmms = site.at("cmms");
    cmms.unmapped = deliver::Unmapped::Park;
    let site = site.destination(cmms);
    let relay = site.start().await;
    let ann = Visitor::at_first(&relay, &site).await;
    relay.accept(inspection(1)).await;
    relay.until_there_are_at("cmms", 1, State::Parked).await;
    let action = "Inspection *?\\ 1";
    let body: serde_json::Value = serde_json::from_str(&inspection(1)).unwrap();
    let name = body["data"]["actionName"].as_str().unwrap_or(action);
    add(&ann, name, "PUMP-1").await.is(303);
    let map = ann.see(MAP).await.is(200);
    is_a_screen(&map);
    assert!(
        map.body.contains("PUMP-1") && map.body.contains("1 rows"),
        "{}",
        map.body
    );
    relay.until_there_are_at("cmms", 1, State::Delivered).await;
    let mut reader = Reader::open(&site.data_dir()).unwrap();
    let acts = reader.acts_page(&ActsPage {
        what: Some("map".into()),
        limit: 9,
        ..ActsPage::default()
    });
    let act = acts.unwrap().remove(0);
    assert_eq!(act.who, "ann");
    assert!(act.detail.starts_with("row added: "), "{}", act.detail);
    relay.finish().await;
}

#[tokio::test]
async fn rows_are_changed_removed_and_put_back_to_the_same_bytes() {
    let (_site, relay, ann) = begun().await;
    let map = ann.see(MAP).await.is(200);
    assert!(map.body.contains("The map has no rows yet."));
    add(&ann, "A", "P1").await.is(303);
    let first = download(&ann).await;
    assert_eq!(first, "action_name,asset_id\nA,P1\n");
    for (n, name) in HOSTILE.iter().enumerate() {
        add(&ann, &format!("{n} {name}"), name).await.is(303);
    }
    let all = download(&ann).await;
    let map = ann.see("/assets/map?q=%3Dcmd").await.is(200);
    is_a_screen(&map);
    assert!(
        map.body.contains("=cmd|&#39;") || map.body.contains("=cmd|'"),
        "{}",
        map.body
    );
    assert!(!map.body.contains("<script>alert"), "{}", map.body);
    let form = ann.see("/assets/map/row?line=2").await.is(200);
    is_a_screen(&form);
    let form = form.form("/assets/map/row");
    ann.send(&form, &[("cell1", "P9")]).await.is(303);
    assert_eq!(download(&ann).await, all.replacen("A,P1", "A,P9", 1));
    // The same form again: another version is in use by now.
    let late = ann.send(&form, &[("cell1", "P8")]).await.is(409);
    assert!(
        late.body
            .contains("Somebody changed the asset map meanwhile."),
        "{}",
        late.body
    );
    let undo = ann.see(MAP).await.form("/assets/map/undo");
    ann.send(&undo, &[]).await.is(303);
    assert_eq!(download(&ann).await, all);
    ann.send(&undo, &[]).await.is(409);
    let remove = ann
        .see("/assets/map/row?line=2")
        .await
        .form("/assets/map/remove");
    ann.send(&remove, &[]).await.is(303);
    let without = all.replacen("A,P1\n", "", 1);
    assert_eq!(download(&ann).await, without);
    // Back to the first row, from the history; and to where there was no file.
    let history = ann.see("/assets/map/history").await.is(200);
    is_a_screen(&history);
    let tags = history.tags();
    let ways = tags.iter().filter_map(|tag| tag.attribute("href"));
    let ways: Vec<_> = ways
        .filter(|to| to.starts_with("/assets/map/history/"))
        .collect();
    assert_eq!(
        ways.len(),
        10,
        "none, a row, five more, changed, undone, removed"
    );
    let entry = ann.see(ways[8]).await.is(200);
    is_a_screen(&entry);
    assert!(
        entry.body.contains("1 row added, 5 removed"),
        "{}",
        entry.body
    );
    ann.send(&entry.form(ways[8]), &[]).await.is(303);
    assert_eq!(download(&ann).await, first);
    let entry = ann.see(ways[9]).await.is(200);
    ann.send(&entry.form(ways[9]), &[]).await.is(303);
    assert_eq!(download(&ann).await, "");
    assert!(ann.see(MAP).await.body.contains("The map has no rows yet."));
    relay.finish().await;
}

#[tokio::test]
async fn a_wrong_row_is_said_beside_what_was_typed_and_changes_nothing() {
    let (_site, relay, ann) = begun().await;
    add(&ann, "A", "P1").await.is(303);
    for (action, asset, said) in [
        (
            "A",
            "P2",
            "the same keys (action_name) as line 2, but another asset_id",
        ),
        ("B", " ", "The row names no asset."),
        ("B", "ASSET-ID-HERE", "The row names no asset."),
        ("", "P2", "The row goes by nothing."),
        (
            &"?".repeat(300),
            "P2",
            "a pattern has more than 256 characters",
        ),
        (&"x".repeat(10_001), "P2", "more than 10000 characters"),
    ] {
        let seen = add(&ann, action, asset).await;
        assert_eq!(seen.status, 422, "{said}: {seen:?}");
        is_a_screen(&seen);
        assert!(seen.body.contains(said), "{said}: {}", seen.body);
        assert!(seen.body.contains(&format!("value=\"{action}\"")), "{said}");
    }
    assert_eq!(download(&ann).await, "action_name,asset_id\nA,P1\n");
    let again = add(&ann, "A", "P1").await;
    let said = ann.follow(again).await;
    assert!(said.body.contains("nothing was changed"), "{}", said.body);
    let long = "é".repeat(10_000);
    add(&ann, "long", &long).await.is(303);
    let map = ann.see(MAP).await.is(200);
    assert!(map.body.len() < 40_000, "{}", map.body.len());
    relay.finish().await;
}

#[tokio::test]
async fn a_file_is_compared_first_and_counts_once_it_is_confirmed() {
    let (site, relay, ann) = begun().await;
    add(&ann, "A", "P1").await.is(303);
    let before = download(&ann).await;
    let wrong = "asset_id;action_name\r\nP1;A\r\n;B\r\nP3;\r\n".as_bytes();
    let seen = upload(&ann, wrong).await.is(200);
    is_a_screen(&seen);
    for said in [
        "Line 3: ",
        "asset_id is empty",
        "Line 4: ",
        "no key is filled",
    ] {
        assert!(seen.body.contains(said), "{said}: {}", seen.body);
    }
    assert!(!seen.body.contains("/apply"), "it cannot be confirmed");
    let file = "\u{feff}asset_id;action_name;crew\r\nP9;A;\r\nP2;\"B;\"\"x\"\"\";blue\r\n";
    let compared = upload(&ann, file.as_bytes()).await.is(200);
    is_a_screen(&compared);
    for said in [
        "1 row added, 1 changed, other columns",
        "New columns: ",
        "crew \"blue\"",
    ] {
        let said = said.replace('"', "&quot;");
        assert!(compared.body.contains(&said), "{said}: {}", compared.body);
    }
    assert_eq!(download(&ann).await, before, "nothing is changed yet");
    let apply = compared.form(&compared.path);
    assert!(apply.action.contains("/apply"), "{apply:?}");
    // Somebody else is faster: it is compared anew.
    add(&ann, "C", "P3").await.is(303);
    let anew = ann.send(&apply, &[]).await;
    let anew = ann.follow(anew).await.is(200);
    assert!(anew.body.contains("compared anew"), "{}", anew.body);
    assert!(anew.body.contains("1 removed"), "{}", anew.body);
    ann.send(&anew.form(&compared.path), &[]).await.is(303);
    assert_eq!(download(&ann).await, file);
    let path = site.data_dir().join("page/assets.csv");
    assert_eq!(
        std::fs::read_to_string(path).unwrap(),
        file,
        "byte for byte"
    );
    // It waits no more.
    ann.get(&compared.path).await.is(404);
    for (content, status) in [(&b" \n"[..], 422), (&vec![b'x'; 8 * 1024 * 1024 + 1], 413)] {
        let seen = upload(&ann, content).await.is(status);
        is_a_screen(&seen);
    }
    relay.finish().await;
}

#[tokio::test]
async fn a_map_that_is_configured_is_shown_and_cannot_be_changed() {
    let site = Site::new().await.with_the_page();
    let relay = site.start().await;
    relay.registered().await;
    let ann = Visitor::at_first(&relay, &site).await;
    let map = ann.see(MAP).await.is(200);
    is_a_screen(&map);
    assert!(
        map.body.contains("This map cannot be changed here"),
        "{}",
        map.body
    );
    assert!(!map.body.contains("/assets/map/row"), "{}", map.body);
    assert_eq!(download(&ann).await, orbit_relay::sim::asset_map_csv());
    let found = ann.see("/assets/map?q=p-101").await.is(200);
    assert!(found.body.contains("P-101"), "{}", found.body);
    for path in ["/assets/map/row", "/assets/map/upload"] {
        let seen = ann.get(path).await.is(409);
        is_a_screen(&seen);
        assert!(seen.body.contains("assets.csv, from"), "{}", seen.body);
    }
    relay.finish().await;
}

#[tokio::test]
async fn a_map_of_twenty_thousand_rows_is_shown_a_page_at_a_time() {
    let (_site, relay, ann) = begun().await;
    let rows = (0..20_000).map(|n| format!("action {n},P{n}\n"));
    let rows = rows.collect::<Vec<_>>().concat();
    let seen = upload(&ann, format!("action_name,asset_id\n{rows}").as_bytes()).await;
    let seen = seen.is(200);
    assert!(
        seen.body.contains("and 19\u{202f}900 rows more"),
        "{}",
        seen.body.len()
    );
    ann.send(&seen.form(&seen.path), &[]).await.is(303);
    let last = ann.see("/assets/map?page=999").await.is(200);
    assert!(last.body.contains("page 200 of 200") && last.body.contains("P19999"));
    assert!(last.body.len() < 100_000, "{}", last.body.len());
    let one = ann.see("/assets/map?q=P19998").await.is(200);
    assert!(one.body.contains("1 rows"), "{}", one.body);
    relay.finish().await;
}
