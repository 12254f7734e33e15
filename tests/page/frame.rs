//! What every screen has, and what is served without a login.

use std::time::Duration;

use crate::visitor::{Seen, Visitor};
use crate::world::Site;

/// Fails unless this is a screen as every screen must be: nothing that the security policy would
/// stop, and what people with a screen reader go by.
pub(crate) fn is_a_screen(seen: &Seen) {
    let path = &seen.path;
    let kind = seen.header("content-type").unwrap();
    assert!(kind.starts_with("text/html"), "{path}: {kind}");
    let tags = seen.tags();
    // A plot has titles of its own.
    let head = tags.iter().take_while(|tag| tag.name != "/head").count();
    let of = |name: &str| {
        let looked = if name == "title" { head } else { tags.len() };
        let looked = tags.iter().take(looked);
        looked.filter(|tag| tag.name == name).count()
    };
    for (name, wanted) in [
        ("html", 1),
        ("title", 1),
        ("main", 1),
        ("h1", 1),
        ("style", 0),
    ] {
        assert_eq!(of(name), wanted, "{path}: <{name}>: {}", seen.body);
    }
    assert_eq!(
        tags[1].attribute("lang"),
        Some("en"),
        "{path}: {}",
        seen.body
    );
    for tag in &tags {
        let inline = |name: &str| name == "style" || name.starts_with("on");
        let inline = tag.attribute_names().find(|name| inline(name));
        assert_eq!(inline, None, "{path}: {tag:?}");
        let has_source = tag.attribute("src").is_some();
        assert!(tag.name != "script" || has_source, "{path}: {tag:?}");
    }
}

#[tokio::test]
async fn files_of_the_page_are_its_own_and_may_be_kept() {
    let site = Site::new().await.with_the_page();
    let relay = site.start().await;
    let visitor = Visitor::new(relay.ops);
    let screen = visitor.see("/").await.is(200);
    is_a_screen(&screen);
    let mut files = 0;
    for tag in screen.tags() {
        let file = match tag.name.as_str() {
            "link" => tag.attribute("href"),
            "script" => tag.attribute("src"),
            _ => continue,
        };
        let file = visitor.get(file.unwrap()).await.is(200);
        let kept = file.header("cache-control").unwrap();
        assert!(kept.contains("immutable"), "{}: {kept}", file.path);
        // The name of a language, which nobody asks for.
        let text = file.body.replace("http://www.w3.org/2000/svg", "");
        assert!(!text.contains("://"), "{} asks another host", file.path);
        files += 1;
    }
    assert_eq!(files, 3, "icon, style, script");
    relay.finish().await;
}

#[tokio::test]
async fn health_and_metrics_are_there_beside_the_page_without_a_login() {
    let site = Site::new().await.with_the_page();
    let relay = site.start().await;
    let visitor = Visitor::new(relay.ops);
    for path in ["/healthz", "/readyz"] {
        let seen = visitor.get(path).await.is(200);
        assert!(seen.json().is_object(), "{seen:?}");
    }
    let metrics = visitor.get("/metrics").await.is(200);
    assert!(metrics.body.starts_with("# HELP"), "{metrics:?}");
    relay.finish().await;
}

#[tokio::test]
async fn an_open_screen_hears_of_a_change_within_two_seconds() {
    let site = Site::new().await.with_the_page();
    let relay = site.start().await;
    relay.registered().await;
    let visitor = Visitor::at_first(&relay, &site).await;
    let inspect = async { drop(site.inspect().await) };
    let hearing = visitor.first_piece("/live", inspect);
    let heard = tokio::time::timeout(Duration::from_secs(2), hearing).await;
    assert_eq!(heard.unwrap(), "event: changed\ndata: now\n\n");
    relay.finish().await;
}
