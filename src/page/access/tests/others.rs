//! API tokens, proxies, the file of accounts, headers, and what is never said.

use std::io::Write;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::super::{Config, Orbit, reset};
use super::{PASSWORD, Site};

#[tokio::test]
async fn the_api_takes_a_token_and_no_cookie() {
    let site = Site::new().await;
    let mut ann = site.ann().await;
    let form = [("name", "nightly"), ("role", "see")];
    let made = ann.fill("/accounts", "/accounts/tokens", &form).await;
    assert_eq!(made.status, 201);
    let (_, rest) = made.body.split_once("<code>orbit-relay-").unwrap();
    let token = format!("orbit-relay-{}", rest.split_once('<').unwrap().0);
    assert!(
        !ann.get("/accounts").await.body.contains(&token),
        "shown once"
    );
    assert!(!site.file("accounts.json").contains(&token));

    let path = "/api/v1/no-such-thing";
    assert_eq!(ann.get(path).await.status, 401, "a cookie is no token");
    let mut program = site.browser();
    for (value, known) in [
        (format!("Bearer {token}"), true),
        (format!("Bearer {token}0"), false),
        ("Bearer ".to_owned(), false),
        (format!("Basic {token}"), false),
    ] {
        program.headers = vec![("Authorization", value)];
        for method in ["GET", "POST", "DELETE"] {
            let status = program.ask(method, path, None).await.status;
            assert_eq!(status != 401, known, "{method} {status}");
        }
    }
    program.headers = vec![("Authorization", format!("Bearer {token}"))];
    let screen = program.get("/account").await;
    assert_eq!(screen.status, 303, "a token opens no screen");
    let form = [("name", "nightly")];
    let gone = ann
        .fill("/accounts", "/accounts/tokens/remove", &form)
        .await;
    assert_eq!(gone.goes_to(), "/accounts");
    assert_eq!(program.get(path).await.status, 401, "removed");
    let whats: Vec<_> = site.acts().into_iter().map(|act| act.what).collect();
    assert_eq!(whats, ["token remove", "token add", "account add"]);
    site.finish().await;
}

#[tokio::test]
async fn a_proxy_that_is_named_logs_in_whom_it_names_and_nobody_else_does() {
    let of_page = |proxy: &str| Config {
        proxies: vec![proxy.parse().unwrap()],
        proxy_header: Some("x-remote-user".to_owned()),
        ..Config::default()
    };
    // We come from 127.0.0.1.
    let site = Site::with(of_page("10.0.0.7/32")).await;
    let mut ann = site.ann().await;
    let form = [("name", "ben"), ("role", "decide"), ("password", "")];
    let added = ann.fill("/accounts", "/accounts", &form).await;
    assert_eq!(added.goes_to(), "/accounts");
    let mut browser = site.browser();
    browser.headers = vec![("X-Remote-User", "ann".to_owned())];
    assert_eq!(browser.get("/account").await.status, 303, "another peer");
    let without = site.browser().log_in("ben", "").await;
    assert_eq!(without.status, 422, "no password is none that is right");

    site.access.open(site.dir.path(), of_page("127.0.0.0/8"));
    browser.headers = vec![("X-Remote-User", "Ben".to_owned())];
    let screen = browser.get("/account").await;
    assert_eq!(screen.status, 200);
    assert!(screen.body.contains("decide") && !screen.body.contains("/logout"));
    assert_eq!(browser.get("/accounts").await.status, 403, "its role");
    for name in ["nobody", "", "<script>"] {
        browser.headers = vec![("X-Remote-User", name.to_owned())];
        let answer = browser.get("/account").await;
        assert_eq!(answer.status, 403, "{name}");
        assert!(answer.body.contains("reverse proxy") && !answer.body.contains("<script>"));
    }
    // Their sessions do not count there, nor does the login.
    assert_eq!(ann.get("/account").await.status, 403);
    assert_eq!(site.browser().get("/login").await.status, 403);
    // A proxy's word goes with every request that a browser makes: a form wants its code.
    browser.headers = vec![("X-Remote-User", "ann".to_owned())];
    let own = browser.get("/accounts").await.form("/accounts");
    let form = [("name", "eve"), ("role", "configure")];
    assert_eq!(browser.post("/accounts", &form).await.status, 403);
    assert_eq!(browser.post(&own, &form).await.goes_to(), "/accounts");
    site.finish().await;
}

#[tokio::test]
async fn a_damaged_file_of_accounts_is_503_that_says_what_to_do_and_stays_as_it_is() {
    let site = Site::new().await;
    let mut ann = site.ann().await;
    let whole = site.file("accounts.json");
    let damaged = &whole[..whole.len() - 20];
    std::fs::write(site.path("accounts.json"), damaged).unwrap();
    site.hand.advance(Duration::from_secs(1));
    for path in ["/", "/account", "/login", "/setup-code"] {
        for method in ["GET", "POST"] {
            let answer = ann.ask(method, path, None).await;
            assert_eq!(answer.status, 503, "{method} {path}");
            let says = ["page/accounts.json", "line ", "accounts reset"];
            assert!(
                says.iter().all(|s| answer.body.contains(s)),
                "{}",
                answer.body
            );
        }
    }
    assert_eq!(ann.get("/api/v1/x").await.status, 503);
    assert_eq!(site.file("accounts.json"), damaged);
    assert!(!site.path("setup-code").exists());
    std::fs::write(site.path("accounts.json"), &whole).unwrap();
    site.hand.advance(Duration::from_secs(1));
    assert_eq!(ann.get("/account").await.status, 200, "it is put back");
    let dir = {
        std::fs::write(site.path("accounts.json"), "{}").unwrap();
        site.finish().await
    };
    let site = Site::at(dir, Config::default()).await;
    assert_eq!(
        site.browser().get("/").await.status,
        503,
        "after a start too"
    );
    assert_eq!(site.file("accounts.json"), "{}");
    site.finish().await;
}

#[tokio::test]
async fn a_reset_beside_a_running_relay_removes_all_accounts() {
    let site = Site::new().await;
    let mut ann = site.ann().await;
    let code = reset(site.dir.path()).unwrap().shown();
    assert_eq!(site.file("setup-code").trim(), code);
    site.hand.advance(Duration::from_secs(1));
    assert_eq!(ann.get("/account").await.goes_to(), "/setup-code");
    assert!(!site.path("accounts.json").exists());
    // The code of another reset takes the place of this one.
    reset(site.dir.path()).unwrap();
    site.hand.advance(Duration::from_secs(1));
    let form = [
        ("code", &*code),
        ("name", "ann"),
        ("password", PASSWORD),
        ("again", PASSWORD),
    ];
    let old = ann.fill("/setup-code", "/setup-code", &form).await;
    assert_eq!(old.status, 422);
    site.ann().await;
    site.finish().await;
}

#[tokio::test]
async fn what_was_changed_elsewhere_is_not_written_over() {
    let site = Site::new().await;
    let mut ann = site.ann().await;
    let action = ann.get("/accounts").await.form("/accounts");
    reset(site.dir.path()).unwrap();
    // Within the second in which nobody looks.
    let form = [("name", "ben"), ("role", "see")];
    let answer = ann.post(&action, &form).await;
    assert_eq!(answer.status, 422, "{}", answer.body);
    assert!(!site.path("accounts.json").exists());
    site.finish().await;
}

#[tokio::test]
async fn every_answer_says_what_a_browser_may_do_with_it() {
    let site = Site::with(Config {
        orbit: Orbit::Here,
        ..Config::default()
    })
    .await;
    let mut browser = site.browser();
    let first = browser.get("/").await;
    let login = browser.get("/setup-code").await;
    let api = browser.get("/api/v1/x").await;
    let method = browser.ask("DELETE", "/", None).await;
    assert_eq!(
        (method.status, method.header("allow")),
        (405, Some("GET, HEAD, POST"))
    );
    let trace = browser.ask("TRACE", "/api/v1/x", None).await;
    assert_eq!(trace.status, 401, "the API says to nobody what it has");
    for answer in [&first, &login, &api, &method, &trace] {
        let policy = answer.header("content-security-policy").unwrap();
        assert!(
            policy.ends_with("frame-ancestors 'self' https://hub.example:*"),
            "{policy}"
        );
        assert_eq!(answer.header("cache-control"), Some("no-store"));
        assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
        assert_eq!(answer.header("referrer-policy"), Some("same-origin"));
    }
    let (_, style) = login.body.split_once("href=\"/static/").unwrap();
    let style = format!("/static/{}", style.split_once('"').unwrap().0);
    let style = browser.get(&style).await;
    assert_eq!(style.status, 200);
    assert!(style.header("cache-control").unwrap().contains("immutable"));
    assert!(style.header("content-security-policy").is_some());
    site.finish().await;
}

#[tokio::test]
async fn a_form_that_is_too_large_or_no_form_is_refused_without_showing_it() {
    let site = Site::new().await;
    site.ann().await;
    let mut browser = site.browser();
    let action = browser.get("/login").await.form("/login");
    let large = "canary".repeat(10_000);
    for body in [format!("password={large}"), "name=%FFcanary".to_owned()] {
        let answer = browser.ask("POST", &action, Some(body)).await;
        assert!(answer.status == 422, "{}", answer.status);
        assert!(!answer.body.contains("canary"));
    }
    site.finish().await;
}

/// Keeps the log of a thread.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn no_password_no_token_and_no_name_that_is_none_is_in_the_log_or_in_an_answer() {
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_writer(move || writer.clone())
        .finish();
    let _guard = tracing::subscriber::set_default(subscriber);
    let site = Site::new().await;
    let code = site.file("setup-code").trim().to_owned();
    let mut ann = site.ann().await;
    let mut bodies = String::new();
    // Some type the password where the name belongs.
    for (name, password) in [("ann", "wrong-canary-12"), ("canary-as-a-name", "x")] {
        bodies += &site.browser().log_in(name, password).await.body;
    }
    let form = [("name", "nightly"), ("role", "see")];
    let made = ann.fill("/accounts", "/accounts/tokens", &form).await;
    let (_, rest) = made.body.split_once("<code>orbit-relay-").unwrap();
    let token = rest.split_once('<').unwrap().0.to_owned();
    let form = [
        ("old", "old-canary"),
        ("password", PASSWORD),
        ("again", PASSWORD),
    ];
    bodies += &ann.fill("/account", "/account/password", &form).await.body;
    for path in ["/account", "/accounts", "/", "/login"] {
        bodies += &ann.get(path).await.body;
    }
    let session = ann.cookies["orbit_relay"].clone();
    let kept = site.file("accounts.json");
    let acts = format!("{:?}", site.acts());
    site.finish().await;

    let log = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    assert!(
        log.contains(&format!("give the set-up code {code}")),
        "{log}"
    );
    assert!(
        log.contains("a wrong password for the account ann"),
        "{log}"
    );
    for secret in ["canary", &session, &token] {
        for (name, text) in [
            ("log", &log),
            ("screens", &bodies),
            ("file", &kept),
            ("acts", &acts),
        ] {
            assert!(!text.contains(secret), "{secret} is in the {name}: {text}");
        }
    }
    assert!(!bodies.contains("$argon2") && !log.contains("$argon2"));
}
