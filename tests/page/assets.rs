//! Assets: what was read of each, its photographs and tickets.

use orbit_relay::relay::journal::Reader;

use crate::frame::is_a_screen;
use crate::visitor::Visitor;
use crate::world::{BOUND, Site, fixture};

#[tokio::test]
async fn an_asset_shows_its_readings_as_plots_and_its_photographs() {
    let site = Site::new().await.with_the_page();
    let relay = site.start().await;
    relay.registered().await;
    let ann = Visitor::at_first(&relay, &site).await;
    let none = ann.see("/assets").await.is(200);
    is_a_screen(&none);
    assert!(none.body.contains("No inspection of an asset came yet."));
    relay.accept(fixture("thermal.json")).await;
    let mut reader = Reader::open(&site.data_dir()).unwrap();
    let catalogued = async {
        loop {
            if let Some(seen) = reader.assets_seen(9).unwrap().pop() {
                return seen.asset;
            }
            tokio::task::yield_now().await;
        }
    };
    let asset = tokio::time::timeout(BOUND, catalogued).await.unwrap();
    let list = ann.see("/assets").await.is(200);
    is_a_screen(&list);
    assert!(list.body.contains(&asset), "{}", list.body);
    let tags = list.tags();
    let mut to = tags.iter().filter_map(|tag| tag.attribute("href"));
    let to = to.find(|to| to.starts_with("/assets/one?")).unwrap();
    let one = ann.see(&format!("{to}&days=all")).await.is(200);
    is_a_screen(&one);
    assert!(one.body.contains("<svg"), "{}", one.body);
    assert!(one.body.contains("/picture?n="), "{}", one.body);
    assert!(one.body.contains("No ticket about it is on record."));
    assert!(one.body.contains("/deliveries?asset="));
    for wrong in ["/assets/one?days=5", "/assets?page=x", "/assets/map?page=x"] {
        is_a_screen(&ann.get(wrong).await.is(422));
    }
    is_a_screen(&ann.get("/assets/one?asset=").await.is(404));
    relay.finish().await;
}
