//! Several requests for one event, where the system between them does not do what it should.

use orbit_relay::relay::journal::{Reader, State};
use orbit_relay::sim::backend::Answer;
use serde_json::json;

use super::{alert, file, until_there_are};
use crate::world::{Relay, Site};

const LOGIN: &str = r#"
secrets = { password = "canary-password" }
[[destination.step]]
name = "login"
path = "/login"
fresh = true
body = { password = "{{ secrets.password }}" }
take = { token = "json:/token" }
"#;

const ORDER: &str = r#"
events = ["ACTION_COMPLETED_WITH_ALERT"]
while_open = "append"
on_closed = { poll_path = "/orders/{{ answer.id }}", when = "response.json.closed" }
[[destination.step]]
name = "create"
path = "/orders"
body = { kind = "order" }
take = { id = "json:/id" }
[[destination.step]]
name = "attach"
for_each = "readings"
path = "/orders/{{ steps.create.id }}/values"
body = { value = "{{ item.value }}" }
[[destination.append]]
name = "note"
path = "/orders/{{ open.id }}/notes"
body = { kind = "note" }
"#;

async fn start(keys: &str) -> (Site, Relay) {
    let site = Site::new().await;
    let url = site.plant_url();
    let site = site.configured(&file(&url, keys));
    let relay = site.start().await;
    (site, relay)
}

/// What the plant was posted to, in order: the last part of each path.
fn posted(site: &Site) -> Vec<String> {
    let posts = site.plant().received();
    let last = posts
        .iter()
        .map(|post| post.path.rsplit('/').next().unwrap().to_owned());
    last.collect()
}

/// What the journal shows of each delivery.
fn shown(site: &Site) -> String {
    let mut reader = Reader::open(&site.data_dir()).unwrap();
    let rows = reader.walk(None).unwrap();
    let deliveries = rows.iter().map(|row| {
        let id = format!("plant:{}", row.seq).parse().unwrap();
        format!("{:?}", reader.delivery(&id).unwrap())
    });
    deliveries.collect()
}

#[tokio::test]
async fn what_a_login_answers_and_a_secret_that_is_echoed_are_in_no_journal() {
    let keys = format!(
        "{LOGIN}{}",
        r#"
[[destination.step]]
name = "send"
path = "/send"
headers = { x-password = "{{ secrets.password }}" }
body = { text = "{{ inspection.action }}" }
"#
    );
    let (site, relay) = start(&keys).await;
    let login = Answer::Body(200, json!({"token": "canary-session"}).to_string());
    let echo = Answer::Body(422, json!({"you sent": "canary-password"}).to_string());
    site.plant().set_answer(Answer::Script(vec![login, echo]));
    relay.accept(alert(&site, 1).to_string()).await;
    until_there_are(&relay, 1, State::Dead).await;
    assert_eq!(posted(&site), ["login", "send"]);
    let shown = shown(&site);
    assert!(
        shown.contains("422") && !shown.contains("canary"),
        "{shown}"
    );
    relay.finish().await;
}

#[tokio::test]
async fn a_ticket_that_takes_no_note_any_more_is_followed_by_a_new_one() {
    let (site, relay) = start(ORDER).await;
    let order = |id: u8| Answer::Body(201, json!({"id": id}).to_string());
    site.plant().set_answer(Answer::Script(vec![
        order(1),
        Answer::Ok,
        Answer::Status(404),
        order(2),
        Answer::Ok,
    ]));
    for n in 1..=2 {
        relay.accept(alert(&site, n).to_string()).await;
        until_there_are(&relay, n.try_into().unwrap(), State::Delivered).await;
    }
    let posted = posted(&site);
    assert_eq!(posted, ["orders", "values", "notes", "orders", "values"]);
    relay.finish().await;
}

#[tokio::test]
async fn a_ticket_that_refuses_what_is_attached_is_open_all_the_same() {
    let (site, relay) = start(ORDER).await;
    site.plant().set_answer(Answer::Script(vec![
        Answer::Body(201, json!({"id": 7}).to_string()),
        Answer::Status(413),
        Answer::Ok,
    ]));
    relay.accept(alert(&site, 1).to_string()).await;
    until_there_are(&relay, 1, State::Dead).await;
    relay.accept(alert(&site, 2).to_string()).await;
    until_there_are(&relay, 1, State::Delivered).await;
    assert_eq!(posted(&site), ["orders", "values", "notes"]);
    relay.finish().await;
}

#[tokio::test]
async fn what_adds_to_a_ticket_and_the_ticket_after_all_have_keys_of_their_own() {
    for refusal in [400, 404, 410] {
        let (site, relay) = start(ORDER).await;
        let order = Answer::Body(201, json!({"id": 1}).to_string());
        site.plant().set_answer(Answer::Script(vec![
            order.clone(),
            Answer::Ok,
            Answer::Status(refusal),
            order,
            Answer::Ok,
        ]));
        for n in 1..=2 {
            relay.accept(alert(&site, n).to_string()).await;
            until_there_are(&relay, n.try_into().unwrap(), State::Delivered).await;
        }
        let posts = site.plant().received();
        assert_eq!(posts.len(), 5, "{refusal}");
        let keys: std::collections::BTreeSet<_> = posts.iter().map(|post| post.key()).collect();
        assert_eq!(keys.len(), 5, "{refusal}");
        relay.finish().await;
    }
}

#[tokio::test]
async fn pictures_that_are_refused_keep_no_alert_from_its_ticket() {
    let (site, relay) = start(&ORDER.replace("\"append\"", "\"create\"")).await;
    let order = Answer::Body(201, json!({"id": 7}).to_string());
    let both = [order, Answer::Status(413)];
    let answers = both.iter().cycle().take(14).cloned().collect();
    site.plant().set_answer(Answer::Script(answers));
    for n in 1..=7 {
        relay.accept(alert(&site, n).to_string()).await;
        until_there_are(&relay, n.try_into().unwrap(), State::Dead).await;
    }
    let posted = posted(&site);
    let orders = posted.iter().filter(|last| *last == "orders");
    assert_eq!(orders.count(), 7, "{posted:?}");
    relay.finish().await;
}

#[tokio::test]
async fn a_template_that_fails_for_an_event_is_no_refusal_of_the_destination() {
    let keys = r#"
[[destination.step]]
name = "send"
path = "/send"
body = { text = "{{ event.data.not_there }}" }
"#;
    let (site, relay) = start(keys).await;
    for n in 1..=6 {
        relay.accept(alert(&site, n).to_string()).await;
    }
    until_there_are(&relay, 6, State::Dead).await;
    assert!(shown(&site).contains("not_there"));
    assert_eq!(posted(&site), Vec::<String>::new());
    relay.finish().await;
}
