//! Where every way leads, from the first visit on.

use std::collections::{BTreeSet, VecDeque};

use crate::first::{NAME, PASSWORD, SCREENS};
use crate::frame::is_a_screen;
use crate::visitor::Visitor;
use crate::world::Site;

/// More ways than that are a list that goes on for ever, and not walked to its end.
const MOST: usize = 300;

#[tokio::test]
async fn nothing_is_shown_before_the_first_visit_and_without_a_session() {
    let site = Site::new().await.with_the_page();
    let relay = site.start().await;
    relay.registered().await;
    let action = site.inspect().await.action_name;
    let stranger = Visitor::new(relay.ops);
    for (_, path) in SCREENS {
        let seen = stranger.see(path).await.is(200);
        assert_eq!(seen.path, "/setup-code", "asked for {path}");
        assert!(!seen.body.contains(&action), "{seen:?}");
    }
    Visitor::at_first(&relay, &site).await;
    for (_, path) in SCREENS {
        let seen = stranger.see(path).await.is(200);
        assert!(
            seen.path.starts_with("/login"),
            "asked for {path}: {seen:?}"
        );
        assert!(!seen.body.contains(&action), "{seen:?}");
    }
    relay.stop().await;
}

#[tokio::test]
async fn who_made_the_first_account_logs_out_and_in_again() {
    let site = Site::new().await.with_the_page();
    let relay = site.start().await;
    let ann = Visitor::at_first(&relay, &site).await;
    ann.submit("/account", "/logout", &[]).await.is(200);
    assert_eq!(ann.cookie("orbit_relay"), None);
    assert!(ann.see("/account").await.path.starts_with("/login"));
    ann.log_in("ann", "not what she knows").await.is(422);
    assert_eq!(ann.cookie("orbit_relay"), None);
    ann.log_in(NAME, PASSWORD).await;
    let account = ann.see("/account").await.is(200);
    assert_eq!(account.path, "/account");
    relay.stop().await;
}

#[tokio::test]
async fn an_api_token_is_shown_once() {
    let site = Site::new().await.with_the_page();
    let relay = site.start().await;
    let ann = Visitor::at_first(&relay, &site).await;
    let token = ann.token("export", "see").await;
    assert!(token.len() >= 32, "{token}");
    let accounts = ann.see("/accounts").await.is(200);
    assert!(accounts.body.contains("export") && !accounts.body.contains(&token));
    relay.stop().await;
}

#[tokio::test]
async fn every_way_on_a_screen_leads_to_a_screen() {
    let site = Site::new().await.with_the_page();
    let relay = site.start().await;
    let ann = Visitor::at_first(&relay, &site).await;
    let begin = SCREENS.iter().map(|(_, path)| (*path).to_owned());
    let mut ahead: VecDeque<String> = begin.collect();
    let mut known: BTreeSet<String> = ahead.iter().cloned().collect();
    while let Some(path) = ahead.pop_front() {
        let seen = ann.get(&path).await;
        let kind = seen.header("content-type").unwrap_or_default();
        if seen.header("content-disposition").is_some() || !kind.starts_with("text/html") {
            // A file to be kept.
            seen.is(200);
            continue;
        }
        let seen = seen.is(200);
        is_a_screen(&seen);
        for tag in seen.tags().iter().filter(|tag| tag.name == "a") {
            let to = tag.attribute("href").unwrap();
            assert!(!to.contains("://"), "{path} leads to another host: {to}");
            let to = to.split('#').next().unwrap();
            let new = to.starts_with('/') && known.len() < MOST;
            if new && known.insert(to.to_owned()) {
                ahead.push_back(to.to_owned());
            }
        }
    }
    assert!(known.len() >= SCREENS.len());
    relay.stop().await;
}
