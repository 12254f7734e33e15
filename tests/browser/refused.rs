//! Addresses and forms that are none: said in words, as a screen.

use serde_json::json;

use crate::judge::{is_accessible, valid_html};
use crate::scene::Scene;
use crate::world::Site;

/// Larger than any asset map may be.
const TOO_LARGE: usize = 9 * 1024 * 1024;

/// Asks for it as a form of the page might, with so many bytes of a file or of a text; gives
/// status, type and body.
const ASK: &str = "const [path, method, file, text, done] = arguments; \
    const signed = document.querySelector('form[action*=csrf]').getAttribute('action'); \
    const upload = new FormData(); \
    upload.append('file', new Blob(['x'.repeat(file)]), 'map.csv'); \
    const typed = new URLSearchParams({text: 'x'.repeat(text)}); \
    const body = file > 0 ? upload : text > 0 ? typed : undefined; \
    const join = path.includes('?') ? '&' : '?'; \
    const url = method === 'GET' ? path : path + join + signed.split('?')[1]; \
    fetch(url, {method, body}).then(async answer => done(\
        [answer.status, answer.headers.get('content-type'), await answer.text()]), \
        error => done([0, String(error), '']))";

#[tokio::test]
async fn what_is_refused_is_a_screen_that_says_what_to_do() {
    let scene = Scene::of(Site::new().await.without_flag("asset-map")).await;
    scene.first_visit().await;
    let browser = &scene.browser;
    scene.go("/assets/map/upload").await;
    let arguments = json!(["/deliveries?robot=%00", "GET", 0, 0]);
    let answer = browser.run_async(ASK, arguments).await;
    let html = answer[2].as_str().unwrap();
    assert!(html.contains("value=\"\u{fffd}\""), "{html}");
    assert!(!html.contains('\0'), "{html}");
    let mut pages = Vec::new();
    for (path, method, file, text, status) in [
        ("/events/..%2f1/picture", "GET", 0, 0, 400),
        ("/events/99999999999999999999/picture", "GET", 0, 0, 400),
        ("/assets/map/history/%00/file", "GET", 0, 0, 400),
        ("/deliveries/%ff", "GET", 0, 0, 400),
        ("/deliveries", "POST", 0, 0, 405),
        ("/live", "DELETE", 0, 0, 405),
        ("/nothing", "GET", 0, 0, 404),
        ("/setup/import", "POST", 1, 0, 415),
        ("/setup/import", "POST", 0, TOO_LARGE, 413),
        ("/assets/map/upload", "POST", TOO_LARGE, 0, 413),
    ] {
        let arguments = json!([path, method, file, text]);
        let answer = browser.run_async(ASK, arguments).await;
        let (seen, kind) = (&answer[0], &answer[1]);
        assert_eq!(*seen, status, "{method} {path}: {kind}");
        assert_eq!(*kind, "text/html; charset=utf-8", "{method} {path}");
        let html = answer[2].as_str().unwrap().to_owned();
        assert!(html.contains("role=\"alert\""), "{method} {path}: {html}");
        pages.push((path, html));
    }
    let pages: Vec<_> = pages.iter().map(|(n, html)| (*n, html.as_str())).collect();
    valid_html(&pages);

    let file = scene.site.path("too large.csv");
    std::fs::write(&file, vec![b'x'; TOO_LARGE]).unwrap();
    browser.upload("#file", &file).await;
    browser
        .click_text("main button", "Upload and compare")
        .await;
    let said = browser.until_text("[role=alert]", "8 MiB").await;
    assert!(said.contains("Patterns with * and ?"), "{said}");

    scene.go("/events/..%2f1/picture").await;
    let said = browser.until_text("[role=alert]", "cannot be read").await;
    assert!(said.contains("Go back"), "{said}");
    is_accessible(browser, "a refusal").await;
    // The console says once more what the screen said.
    let severe = browser.console().await.into_iter();
    let others: Vec<_> = severe
        .filter(|said| said.level == "SEVERE" && !said.text.contains("with a status of 4"))
        .collect();
    assert!(others.is_empty(), "{others:#?}");
    scene.end().await;
}
