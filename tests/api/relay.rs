//! The relay's own API: a relay that has delivered, has given up, and has been set up by the page.

use orbit_relay::relay::journal::{State, Sums};
use orbit_relay::sim::backend::Answer;

use crate::ask;
use crate::visitor::Visitor;
use crate::world::{Site, sums_at_rest};

/// For each operation.
const EXAMPLES: u32 = 20;

#[tokio::test(flavor = "multi_thread")]
async fn the_api_answers_as_its_document_says_and_nobody_without_a_token() {
    let site = Site::new().await.with_the_page();
    let site = site.without_flag("asset-map");
    let relay = site.start().await;
    relay.registered().await;
    for _ in 0..3 {
        site.inspect().await;
    }
    let delivered = |sums: &Sums| sums.destinations[0].of(State::Delivered) >= 3;
    relay.until("three delivered", delivered).await;
    site.plant().set_answer(Answer::Status(422));
    site.inspect().await;
    let dead = |sums: &Sums| sums.destinations[0].of(State::Dead) >= 1;
    relay.until("one dead", dead).await;
    site.plant().set_answer(Answer::Status(200));
    let ann = Visitor::at_first(&relay, &site).await;
    let token = ann.token("schemathesis", "configure").await;
    let url = format!("http://{}", relay.ops);
    let (well, said) = ask(url, &token, EXAMPLES).await;
    assert!(well, "{said}");
    ann.get("/healthz").await.is(200);
    relay.stop().await;
    let sums = sums_at_rest(&site.data_dir());
    assert_eq!(sums.mistakes(), [""; 0]);
}
