//! Pictures on their way from Orbit into what a destination gets.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use orbit_relay::relay::journal::State;
use orbit_relay::sim::plant::Medium;
use serde_json::Value;

use crate::world::{Relay, Site, accepted, uuid};

const PICTURE: &str = "/daq/download/spot-07/1/P-101 motor DE/a.jpg";

/// An inspection whose captures lie there.
fn inspection(n: usize, paths: &[&str]) -> String {
    let captures = paths.iter().map(|path| {
        let path = Value::from(*path);
        format!(r#"{{"dataUrl":{path},"channelName":"spot-cam-ptz","keyResults":[{{"name":"x","value":0.00005}}]}}"#)
    });
    let captures: Vec<_> = captures.collect();
    format!(
        r#"{{"uuid":"{}","type":"ACTION_COMPLETED","data":{{"uuid":"{}","actionName":"P-101 motor DE","dataCaptures":[{}]}}}}"#,
        uuid(n + 500_000),
        uuid(n),
        captures.join(",")
    )
}

async fn site() -> Site {
    let site = Site::new().await.flag("images", "embed");
    site.tuned(|config| {
        for destination in &mut config.destinations {
            destination.enrich_wait = Some(Duration::from_secs(1));
            destination.message.image_limit = 500_000;
            destination.message.images_limit = 1_500_000;
        }
    })
}

fn medium(site: &Site, path: &str, bytes: u64) {
    let declared = !bytes.is_multiple_of(2);
    site.robots
        .put_medium(path, Medium::Filler { bytes, declared });
}

/// The captures of the one body that the plant took.
async fn captures(site: &Site) -> Vec<Value> {
    let plant = site.plant();
    accepted(&plant, 1).await;
    let body: Value = serde_json::from_slice(&plant.received()[0].body).unwrap();
    body["data"]["dataCaptures"].as_array().unwrap().clone()
}

fn text<'a>(capture: &'a Value, member: &str) -> &'a str {
    capture[member].as_str().unwrap_or_default()
}

fn downloads(site: &Site) -> usize {
    let requests = site.robots.requests();
    let downloads = requests.iter().filter(|seen| seen.path.contains("/daq/"));
    downloads.count()
}

async fn end(relay: Relay) {
    relay.until_there_are(1, State::Delivered).await;
    relay.finish().await;
}

#[tokio::test]
async fn by_default_each_capture_has_its_picture_in_base64_and_what_it_is() {
    let site = Site::new().await.without_flag("images");
    let relay = site.start().await;
    relay.registered().await;
    site.inspect().await;
    for capture in captures(&site).await {
        assert_eq!(text(&capture, "inspection_image_type"), "image/jpeg");
        let picture = STANDARD.decode(text(&capture, "inspection_image")).unwrap();
        assert_eq!(picture[..3], [0xff, 0xd8, 0xff]);
    }
    end(relay).await;
}

#[tokio::test]
async fn what_is_too_large_is_linked_and_that_is_said() {
    let site = site().await;
    let relay = site.start().await;
    let paths = ["a", "b", "c", "d", "e"].map(|name| format!("/daq/download/x/{name} #1.jpg"));
    let sizes = [490_001, 500_001, 500_000, 499_998, 20_001];
    for (path, bytes) in paths.iter().zip(sizes) {
        medium(&site, path, bytes);
    }
    let paths: Vec<_> = paths.iter().map(String::as_str).collect();
    relay.accept(inspection(1, &paths)).await;
    let captures = captures(&site).await;
    let sizes = captures.iter().map(|capture| {
        let picture = STANDARD.decode(text(capture, "inspection_image")).unwrap();
        picture.len()
    });
    // 500 kB each, 1.5 MB together.
    assert_eq!(sizes.collect::<Vec<_>>(), [490_001, 0, 500_000, 499_998, 0]);
    for (place, said) in [(1, "it has 500001"), (4, "it has 20001")] {
        let capture = &captures[place];
        assert!(
            text(capture, "inspection_image_note").contains(said),
            "{capture}"
        );
        let url = text(capture, "inspection_image_url");
        assert!(
            url.ends_with("/daq/download/x/b%20%231.jpg") || place == 4,
            "{url}"
        );
    }
    assert_eq!(
        captures[0]["keyResults"].to_string(),
        r#"[{"name":"x","value":0.00005}]"#
    );
    end(relay).await;
}

#[tokio::test]
async fn a_picture_that_orbit_refuses_holds_its_event_up_for_the_wait_and_no_longer() {
    for status in [401, 403, 404, 500] {
        let site = site().await;
        site.robots
            .change_weather(|weather| weather.media.status = Some(status));
        let relay = site.start().await;
        medium(&site, PICTURE, 9);
        relay.accept(inspection(1, &[PICTURE])).await;
        let captures = captures(&site).await;
        let note = text(&captures[0], "inspection_image_note");
        assert!(note.contains(&status.to_string()), "{note}");
        assert!(captures[0].get("inspection_image").is_none());
        // Waiting for a picture is no try of the destination.
        assert_eq!(site.plant().tally().attempts, 1);
        end(relay).await;
    }
}

#[tokio::test]
async fn a_picture_that_comes_late_is_waited_for() {
    let site = site().await.tuned(|_| {});
    let relay = site.start().await;
    relay.accept(alert(1, PICTURE)).await;
    relay.until_there_are(1, State::Postponed).await;
    medium(&site, PICTURE, 99);
    let captures = captures(&site).await;
    let picture = STANDARD
        .decode(text(&captures[0], "inspection_image"))
        .unwrap();
    assert_eq!(picture.len(), 99);
    assert_eq!(site.plant().tally().attempts, 1);
    end(relay).await;
}

fn alert(n: usize, path: &str) -> String {
    inspection(n, &[path]).replace("ACTION_COMPLETED", "ACTION_COMPLETED_WITH_ALERT")
}

#[tokio::test]
async fn a_hostile_data_url_is_never_asked_for_and_the_event_goes_without() {
    let site = site().await;
    let relay = site.start().await;
    let hostile = [
        "@evil.example/x",
        "//evil.example/x",
        "/daq/../../secret",
        "http://127.0.0.1:1/x",
    ];
    relay.accept(inspection(1, &hostile)).await;
    for capture in captures(&site).await {
        assert!(
            text(&capture, "inspection_image_note").contains("refused"),
            "{capture}"
        );
        assert_eq!(capture.get("inspection_image_url"), None);
    }
    assert_eq!(downloads(&site), 0);
    end(relay).await;
}

#[tokio::test]
async fn linked_pictures_are_not_fetched() {
    let site = site().await.flag("images", "link");
    let relay = site.start().await;
    relay.accept(inspection(1, &[PICTURE])).await;
    let captures = captures(&site).await;
    let url = text(&captures[0], "inspection_image_url");
    assert!(
        url.ends_with("/daq/download/spot-07/1/P-101%20motor%20DE/a.jpg"),
        "{url}"
    );
    assert_eq!(downloads(&site), 0);
    end(relay).await;
}

#[tokio::test]
async fn attached_pictures_stand_beside_the_event() {
    let site = site().await.flag("images", "attach");
    let relay = site.start().await;
    medium(&site, PICTURE, 77);
    relay.accept(inspection(1, &[PICTURE])).await;
    let plant = site.plant();
    accepted(&plant, 1).await;
    let post = &plant.received()[0];
    let kind = &post.headers["content-type"];
    let boundary = kind.strip_prefix("multipart/form-data; boundary=").unwrap();
    let body = String::from_utf8_lossy(&post.body);
    let parts: Vec<_> = body.split(&format!("--{boundary}")).collect();
    assert_eq!(parts.len(), 4);
    assert!(parts[1].contains("name=\"event\"") && parts[1].contains("0.00005"));
    assert!(
        parts[2].contains("name=\"capture\"; filename=\"a.jpg\""),
        "{}",
        parts[2]
    );
    assert!(parts[2].contains("Content-Type: image/jpeg"));
    end(relay).await;
}
