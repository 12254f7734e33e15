//! That the harness sees what it is there to see: pages with planted mistakes, and good ones.
//!
//! # Invariants
//! - The pages are served with a security policy as strict as the relay's.

use std::net::SocketAddr;

use axum::Router;
use axum::http::header::{CONTENT_SECURITY_POLICY, CONTENT_TYPE, SET_COOKIE};
use axum::http::{HeaderMap, StatusCode};
use axum::response::IntoResponse;
use axum::routing::{get, post};
use orbit_relay::clock::Clock;
use orbit_relay::secret::Secret;
use orbit_relay::sim::orbit::{Orbit, OrbitConfig};
use serde_json::json;
use tokio::net::TcpListener;

use crate::driver::{Browser, Scheme, Size, key};
use crate::framed::Framed;
use crate::judge::{axe, is_accessible, mistakes, valid_html};
use crate::picture::{Album, HIGHEST};

const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' \
                      data:; connect-src 'self'; form-action 'self'; base-uri 'none'";

/// A page with a form, which is as it should be.
const GOOD: &str = r#"<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Good page</title>
<link rel="icon" href="data:,">
<link rel="stylesheet" href="/page.css">
<script src="/page.js" defer></script>
</head>
<body>
<main>
<h1>Good page</h1>
<p id="scheme"></p>
<noscript><p id="without">Without script</p></noscript>
<form method="post" action="/said" enctype="multipart/form-data">
<p><label for="name">Name</label> <input id="name" name="name" type="text" autocomplete="off"></p>
<p><label for="kind">Kind</label>
<select id="kind" name="kind"><option>pump</option><option>valve</option></select></p>
<p><label for="file">File</label> <input id="file" name="file" type="file"></p>
<p><button type="submit">Send</button></p>
</form>
</main>
</body>
</html>
"#;

/// A picture without words, a field without a label, text that is hardly seen, no language.
const BAD: &str = r#"<!DOCTYPE html>
<html>
<head><title>Bad page</title><link rel="stylesheet" href="/page.css"></head>
<body><main><h1>Bad page</h1><img src="data:image/gif;base64,R0lGODlhAQABAAAAACw=">
<input name="nothing"><p class="pale">Hardly seen</p></main></body>
</html>
"#;

const STYLE: &str = "body { background: #fff; color: #111 } .pale { color: #eee } \
    @media (prefers-color-scheme: dark) { body { background: #111; color: #eee } }";

const SCRIPT: &str = "const dark = matchMedia('(prefers-color-scheme: dark)'); \
    const say = () => { document.querySelector('#scheme').textContent = \
    dark.matches ? 'dark' : 'light' }; dark.addEventListener('change', say); say(); \
    setTimeout(() => { const late = document.createElement('p'); late.id = 'late'; \
    late.textContent = 'It is late'; document.querySelector('main').append(late) }, 200);";

fn page(html: &'static str) -> impl IntoResponse {
    let headers = [
        (CONTENT_TYPE, "text/html; charset=utf-8"),
        (CONTENT_SECURITY_POLICY, POLICY),
        (
            SET_COOKIE,
            "seen=yes; HttpOnly; Path=/; Secure; SameSite=None; Partitioned",
        ),
    ];
    (headers, html)
}

/// Serves pages until the test's runtime ends.
async fn served() -> SocketAddr {
    let said = async |headers: HeaderMap, body: String| {
        let cookie = headers.get("cookie").map_or("", |c| c.to_str().unwrap());
        let (title, proto) = ("Said", headers.get("x-forwarded-proto"));
        let text = format!("{title} by {proto:?} with cookie {cookie}\n{body}");
        (StatusCode::OK, text)
    };
    let stranger = r#"<!DOCTYPE html><html lang="en"><head><title>Stranger</title></head>
        <body><img alt="" src="http://stranger.example/a.png"><img alt="" src="http://192.0.2.7/b.png">
        </body></html>"#;
    let careless = async move || ([(CONTENT_TYPE, "text/html")], stranger);
    let pages = Router::new()
        .route("/", get(async || page(GOOD)))
        .route("/bad", get(async || page(BAD)))
        .route("/forbidden", get(async move || page(stranger)))
        .route("/careless", get(careless))
        .route(
            "/page.css",
            get(async || ([(CONTENT_TYPE, "text/css")], STYLE)),
        )
        .route(
            "/page.js",
            get(async || ([(CONTENT_TYPE, "text/javascript")], SCRIPT)),
        )
        .route("/said", post(said));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, pages).await });
    at
}

async fn orbit() -> Orbit {
    let config = OrbitConfig {
        listen: "127.0.0.1:0".parse().unwrap(),
        token: Secret::new("token".to_owned()),
        seed: 1,
        clock: Clock::system(),
    };
    Orbit::start(config).await.unwrap()
}

fn rules(found: &[crate::judge::Violation]) -> Vec<&str> {
    let mut rules: Vec<_> = found.iter().map(|found| &*found.rule).collect();
    rules.sort_unstable();
    rules
}

#[tokio::test]
async fn axe_finds_planted_violations_and_none_in_a_good_page() {
    let (at, browser) = (served().await, Browser::start().await);
    browser.open(&format!("http://{at}/bad")).await;
    let found = axe(&browser).await;
    let planted = ["color-contrast", "html-has-lang", "image-alt", "label"];
    assert_eq!(rules(&found), planted, "{found:?}");
    let said: String = found.iter().map(ToString::to_string).collect();
    assert!(said.contains("Hardly seen"), "{said}");
    for scheme in [Scheme::Light, Scheme::Dark] {
        browser.look(Size::Wide, scheme).await;
        browser.open(&format!("http://{at}/")).await;
        is_accessible(&browser, "good").await;
    }
}

#[test]
fn html_validate_finds_planted_mistakes_and_none_in_a_good_page() {
    let broken = GOOD
        .replace("</h1>", "")
        .replace("id=\"kind\"", "id=\"name\"");
    let found = mistakes(&[("good", GOOD), ("broken", &broken)]);
    assert!(
        found.iter().all(|found| found.page == "broken"),
        "{found:?}"
    );
    let of = |rule: &str| found.iter().find(|found| found.rule == rule);
    assert!(
        of("close-order").is_some_and(|found| found.line > 10),
        "{found:?}"
    );
    assert!(of("no-dup-id").is_some(), "{found:?}");
    valid_html(&[("good", GOOD)]);
}

#[tokio::test]
async fn a_page_is_shown_in_a_frame_as_orbit_does_it() {
    let (at, browser, orbit) = (served().await, Browser::start().await, orbit().await);
    let framed = Framed::new(&orbit, at).await;
    framed.open(&browser).await;
    assert_eq!(browser.text("h1").await, "Good page");
    assert_eq!(browser.title().await, "Orbit (simulated)");
    assert_eq!(
        browser.url().await,
        format!("{}/web-view", framed.orbit_origin())
    );
    is_accessible(&browser, "good, in its frame").await;
    browser.until_text("#scheme", "light").await;
    browser.look(Size::Wide, Scheme::Dark).await;
    browser.until_text("#scheme", "dark").await;
    browser.click("button").await;
    let said = browser.until_text("body", "Said").await;
    assert!(
        said.contains("\"https\"") && said.contains("seen=yes"),
        "{said}"
    );
    browser.leave_frames().await;
    assert_eq!(browser.count("iframe").await, 1);
}

#[tokio::test]
async fn a_partitioned_cookie_works_in_a_frame_of_another_site() {
    let (at, browser, orbit) = (served().await, Browser::start().await, orbit().await);
    let framed = Framed::silently(&orbit, at).await;
    framed.open_as_another_site(&browser).await;
    browser.click("button").await;
    let said = browser.until_text("body", "Said").await;
    assert!(said.contains("None with cookie seen=yes"), "{said}");
    let cookies = browser.cookies().await;
    let partition = cookies.iter().find_map(|cookie| cookie.get("partitionKey"));
    assert!(partition.is_some(), "{cookies:?}");
}

#[tokio::test]
async fn a_frame_that_the_page_refuses_is_not_shown() {
    let (browser, orbit) = (Browser::start().await, orbit().await);
    let refusing = Router::new().fallback(async || {
        let policy = (CONTENT_SECURITY_POLICY, "frame-ancestors 'none'");
        ([policy, (CONTENT_TYPE, "text/html")], GOOD)
    });
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, refusing).await });
    let framed = Framed::new(&orbit, at).await;
    framed.open(&browser).await;
    assert_eq!(browser.count("form").await, 0);
    browser.leave_frames().await;
    browser.open(&framed.page()).await;
    assert_eq!(browser.text("h1").await, "Good page");
}

#[tokio::test]
async fn a_request_to_strangers_is_seen_and_goes_nowhere() {
    let (at, browser) = (served().await, Browser::start().await);
    browser.open(&format!("http://{at}/")).await;
    assert_eq!(browser.strangers().await, [""; 0]);
    assert!(
        browser
            .asked()
            .await
            .iter()
            .any(|url| url.ends_with("/page.js"))
    );
    browser.open(&format!("http://{at}/careless")).await;
    let strangers = browser.strangers().await;
    assert_eq!(
        strangers,
        ["http://stranger.example/a.png", "http://192.0.2.7/b.png"]
    );
    let console = browser.console().await;
    let unknown = |said: &&crate::driver::Said| said.text.contains("ERR_NAME_NOT_RESOLVED");
    assert_eq!(console.iter().filter(unknown).count(), 2, "{console:?}");
    browser.open(&format!("http://{at}/forbidden")).await;
    let console = browser.console().await;
    let refused = |said: &&crate::driver::Said| {
        said.level == "SEVERE" && said.text.contains("Content Security Policy")
    };
    assert!(console.iter().any(|said| refused(&said)), "{console:?}");
}

#[tokio::test]
async fn a_form_is_filled_and_sent_by_keyboard_and_by_mouse() {
    let (at, browser) = (served().await, Browser::start().await);
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("assets.csv");
    std::fs::write(&file, "a line of the file").unwrap();
    browser.open(&format!("http://{at}/")).await;
    browser.write("#name", "first").await;
    browser.write("#name", "P-101 \u{5e9}\u{1f600}").await;
    assert_eq!(browser.value("#name").await, "P-101 \u{5e9}\u{1f600}");
    browser.pick("#kind", "valve").await;
    browser.upload("#file", &file).await;
    browser
        .run("document.querySelector('#file').focus()", json!([]))
        .await;
    browser.press(key::TAB).await;
    browser.press(key::ENTER).await;
    let said = browser.until_text("body", "Said").await;
    for part in ["P-101 \u{5e9}\u{1f600}", "valve", "a line of the file"] {
        assert!(said.contains(part), "{part}: {said}");
    }
    browser.open(&format!("http://{at}/")).await;
    browser.click_text("button", "Send").await;
    browser.until_text("body", "Said").await;
}

#[tokio::test]
async fn what_comes_late_is_waited_for_and_nothing_comes_without_script() {
    let (at, browser) = (served().await, Browser::start().await);
    browser.open(&format!("http://{at}/")).await;
    browser.until_text("#late", "It is late").await;
    assert!(browser.is_shown("#late").await);
    browser.allow_scripts(false).await;
    browser.reload().await;
    assert_eq!(browser.text("#without").await, "Without script");
    assert_eq!(browser.text("#scheme").await, "");
    browser.allow_scripts(true).await;
    browser.reload().await;
    browser.until_there_is("#late").await;
    browser.until_there_is_no("#without").await;
    assert_eq!(
        browser.attribute("html", "lang").await.as_deref(),
        Some("en")
    );
    assert!(browser.html().await.contains("It is late"));
}

/// How many processes were started with a directory of this browser's.
fn processes_of(own: &std::path::Path) -> usize {
    let own = own.to_str().unwrap().as_bytes();
    let is_of = |entry: &std::fs::DirEntry| {
        let line = std::fs::read(entry.path().join("cmdline")).unwrap_or_default();
        line.windows(own.len()).any(|part| part == own)
    };
    let all = std::fs::read_dir("/proc").unwrap().map_while(Result::ok);
    all.filter(is_of).count()
}

#[tokio::test]
async fn a_browser_ends_with_its_handle() {
    let browser = Browser::start().await;
    let own = browser.own_directory().to_owned();
    assert!(processes_of(&own) > 0);
    drop(browser);
    let ending = async {
        while processes_of(&own) > 0 {
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    };
    let ended = tokio::time::timeout(crate::driver::BOUND, ending).await;
    assert!(ended.is_ok(), "{} are left", processes_of(&own));
    assert!(!own.exists(), "its directory goes too");
}

/// Width and height of a PNG.
fn pixels(png: &[u8]) -> (u32, u32) {
    assert!(png.starts_with(b"\x89PNG"), "a PNG");
    let number = |at: usize| u32::from_be_bytes(png[at..at + 4].try_into().unwrap());
    (number(16), number(20))
}

#[tokio::test]
async fn pictures_are_as_wide_as_the_screen_and_differ_by_scheme() {
    let (at, browser) = (served().await, Browser::start().await);
    browser.open(&format!("http://{at}/")).await;
    let album = Album::temporary();
    for size in [Size::Wide, Size::Narrow, Size::Wall] {
        let mut seen = Vec::new();
        for scheme in [Scheme::Light, Scheme::Dark] {
            let path = album.shoot(&browser, "good", scheme, size).await;
            let name = format!("good-{}-{}.png", scheme.name(), size.name());
            assert!(path.ends_with(name));
            let picture = std::fs::read(path).unwrap();
            assert_eq!(pixels(&picture), size.pixels());
            assert!(picture.len() < 100_000, "{} bytes", picture.len());
            seen.push(picture);
        }
        assert_ne!(seen[0], seen[1], "light and dark");
    }
    let long = "document.body.style.minHeight = '5000px'";
    browser.run(long, json!([])).await;
    let path = album
        .shoot(&browser, "long", Scheme::Light, Size::Narrow)
        .await;
    assert_eq!(pixels(&std::fs::read(path).unwrap()), (390, HIGHEST));
    album.shoot_all(&browser, "all").await;
}
