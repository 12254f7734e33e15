//! The first visit, the login, and how often it may be tried.

use std::os::unix::fs::PermissionsExt as _;
use std::time::Duration;

use super::{PASSWORD, Site};

#[tokio::test]
async fn without_an_account_every_path_answers_the_first_visit_and_nothing_of_any_event() {
    let site = Site::new().await;
    let mut browser = site.browser();
    for path in [
        "/",
        "/waiting",
        "/deliveries?q=pump",
        "/deliveries/1",
        "/assets",
        "/setup",
        "/health",
        "/acts",
        "/live",
        "/login",
        "/account",
        "/accounts",
        "/nowhere/at/all",
        "//evil.example",
    ] {
        for method in ["GET", "POST"] {
            let answer = browser.ask(method, path, None).await;
            assert_eq!(answer.goes_to(), "/setup-code", "{method} {path}");
            assert_eq!(answer.body, "");
        }
    }
    for path in [
        "/api",
        "/api/v1",
        "/api/v1/deliveries",
        "/api/v1/openapi.json",
    ] {
        let answer = browser.get(path).await;
        assert_eq!(answer.status, 401, "{path}");
        assert_eq!(answer.header("www-authenticate"), Some("Bearer"));
    }
    for (path, status) in [("/healthz", 200), ("/metrics", 200)] {
        assert_eq!(browser.get(path).await.status, status, "{path}");
    }
    let answer = browser.get("/setup-code").await;
    assert_eq!(answer.status, 200);
    let code = site.file("setup-code");
    assert!(
        !answer.body.contains(code.trim()),
        "the code is in no answer"
    );
    site.finish().await;
}

#[tokio::test]
async fn the_set_up_code_makes_the_first_account_and_only_that() {
    let site = Site::new().await;
    let code = site.file("setup-code").trim().to_owned();
    let mode = std::fs::metadata(site.path("setup-code")).unwrap();
    assert_eq!(mode.permissions().mode() & 0o777, 0o600);
    let mut browser = site.browser();
    let form = |code: &str, name: &str, password: &str, again: &str| {
        [
            ("code", code.to_owned()),
            ("name", name.to_owned()),
            ("password", password.to_owned()),
            ("again", again.to_owned()),
        ]
    };
    for (wrong, says) in [
        (
            form("0000-0000", "ann", PASSWORD, PASSWORD),
            "not the set-up code",
        ),
        (form(&code, "a n n", PASSWORD, PASSWORD), "no spaces"),
        (form(&code, "ann", "short", "short"), "12 characters"),
        (form(&code, "ann", PASSWORD, "another"), "not the same"),
    ] {
        let form: Vec<_> = wrong.iter().map(|(k, v)| (*k, v.as_str())).collect();
        let answer = browser.fill("/setup-code", "/setup-code", &form).await;
        assert_eq!(answer.status, 422);
        assert!(answer.body.contains(says), "{}", answer.body);
        assert!(!answer.body.contains(PASSWORD) && !answer.body.contains(&code));
    }
    assert!(!site.path("accounts.json").exists());
    // As people type it.
    let typed = code.to_lowercase().replace('-', " ");
    let form = form(&typed, " Ann", PASSWORD, PASSWORD);
    let form: Vec<_> = form.iter().map(|(k, v)| (*k, v.as_str())).collect();
    let answer = browser.fill("/setup-code", "/setup-code", &form).await;
    assert_eq!(answer.goes_to(), "/");
    assert!(!site.path("setup-code").exists());
    let kept = site.file("accounts.json");
    assert!(
        kept.contains("\"configure\"") && !kept.contains(PASSWORD),
        "{kept}"
    );
    let acts = site.acts();
    assert_eq!((&*acts[0].who, &*acts[0].what), ("ann", "account add"));
    // Not a second time.
    let mut other = site.browser();
    assert_eq!(other.get("/setup-code").await.goes_to(), "/");
    assert_eq!(other.post("/setup-code?csrf=x", &form).await.goes_to(), "/");
    assert_eq!(browser.get("/account").await.status, 200);
    site.finish().await;
}

#[tokio::test]
async fn the_set_up_code_cannot_be_guessed() {
    let site = Site::new().await;
    let code = site.file("setup-code").trim().to_owned();
    let mut browser = site.browser();
    let mut statuses = Vec::new();
    for n in 0..61 {
        let guess = if n == 60 {
            code.clone()
        } else {
            format!("AAAA-AA{n:02}")
        };
        let form = [
            ("code", &*guess),
            ("name", "ann"),
            ("password", PASSWORD),
            ("again", PASSWORD),
        ];
        let answer = browser.fill("/setup-code", "/setup-code", &form).await;
        statuses.push(answer.status);
    }
    let mut expected = vec![422; 60];
    expected.push(429);
    assert_eq!(statuses, expected);
    assert!(!site.path("accounts.json").exists());
    site.finish().await;
}

#[tokio::test]
async fn ten_wrong_logins_have_to_wait_and_so_has_the_right_password() {
    let site = Site::new().await;
    site.ann().await;
    let mut browser = site.browser();
    for n in 0..10 {
        let answer = browser.log_in("ann", "a wrong password").await;
        if n < 5 {
            assert_eq!(answer.status, 422, "{n}");
            assert!(answer.body.contains("is not right"));
        } else {
            assert_eq!(answer.status, 429, "{n}");
            assert_eq!(answer.header("retry-after"), Some("30"));
            assert!(answer.body.contains("30 seconds"), "{}", answer.body);
        }
    }
    assert_eq!(browser.log_in("Ann ", PASSWORD).await.status, 429);
    site.hand.advance(Duration::from_secs(29));
    let answer = browser.log_in("ann", PASSWORD).await;
    assert_eq!(
        (answer.status, answer.header("retry-after")),
        (429, Some("1"))
    );
    site.hand.advance(Duration::from_secs(1));
    assert_eq!(browser.log_in("ann", "a wrong password").await.status, 422);
    let answer = browser.log_in("ann", PASSWORD).await;
    assert_eq!(
        (answer.status, answer.header("retry-after")),
        (429, Some("60"))
    );
    site.hand.advance(Duration::from_mins(1));
    assert_eq!(browser.log_in("ann", PASSWORD).await.goes_to(), "/");
    assert_eq!(browser.get("/account").await.status, 200);
    site.finish().await;
}

#[tokio::test]
async fn a_name_that_there_is_not_is_answered_as_a_wrong_password_is() {
    let site = Site::new().await;
    site.ann().await;
    let mut browser = site.browser();
    let wrong = browser.log_in("ann", "a wrong password").await;
    let nobody = browser.log_in("nobody", "a wrong password").await;
    let no_name = browser.log_in("no such name!", "a wrong password").await;
    assert_eq!(wrong.status, 422);
    assert_eq!((nobody.status, &nobody.body), (wrong.status, &wrong.body));
    assert_eq!((no_name.status, &no_name.body), (wrong.status, &wrong.body));
    site.finish().await;
}

#[tokio::test]
async fn after_the_login_comes_what_was_asked_for() {
    let site = Site::new().await;
    site.ann().await;
    let mut browser = site.browser();
    let answer = browser.get("/account?a=b&c=%20").await;
    let login = answer.goes_to().to_owned();
    assert_eq!(login, "/login?to=%2Faccount%3Fa%3Db%26c%3D%2520");
    let screen = browser.get(&login).await;
    let hidden = "name=\"to\" value=\"/account?a=b&amp;c=%20\"";
    assert!(screen.body.contains(hidden), "{}", screen.body);
    for (to, goes) in [
        ("/account?a=b&c=%20", "/account?a=b&c=%20"),
        ("//evil.example", "/"),
        ("/\\evil.example", "/"),
        ("https://evil.example", "/"),
        ("", "/"),
    ] {
        let mut browser = site.browser();
        let form = [("name", "ann"), ("password", PASSWORD), ("to", to)];
        let answer = browser.fill("/login", "/login", &form).await;
        assert_eq!(answer.goes_to(), goes);
    }
    let answer = browser.get("/login?to=//evil.example").await;
    assert!(!answer.body.contains("evil"), "{}", answer.body);
    site.finish().await;
}

#[tokio::test]
async fn a_login_form_wants_its_cookie_and_two_tabs_share_it() {
    let site = Site::new().await;
    site.ann().await;
    let form = [("name", "ann"), ("password", PASSWORD)];
    let mut browser = site.browser();
    let first = browser.get("/login").await.form("/login");
    let second = browser.get("/login").await.form("/login");
    assert_eq!(first, second, "the second tab does not spoil the first");
    for action in ["/login", "/login?csrf=", "/login?csrf=abc"] {
        assert_eq!(browser.post(action, &form).await.status, 403, "{action}");
    }
    let mut without = site.browser();
    assert_eq!(without.post(&first, &form).await.status, 403);
    browser
        .headers
        .push(("Sec-Fetch-Site", "cross-site".into()));
    assert_eq!(browser.post(&first, &form).await.status, 403);
    browser.headers.clear();
    // A browser keeps one of the two, by how it came.
    let https = browser.cookies.remove("orbit_relay_form_s").unwrap();
    assert_eq!(browser.post(&first, &form).await.goes_to(), "/");
    let mut framed = site.browser();
    framed
        .cookies
        .insert("orbit_relay_form_s".to_owned(), https);
    assert_eq!(framed.post(&second, &form).await.goes_to(), "/");
    site.finish().await;
}

#[tokio::test]
async fn the_cookie_is_for_the_frame_on_https_and_for_the_same_site_on_http() {
    let site = Site::new().await;
    site.ann().await;
    for (headers, attributes) in [
        (
            vec![("Origin", "https://hub.example:22001")],
            "; Path=/; HttpOnly; Secure; SameSite=None; Partitioned",
        ),
        (
            vec![("X-Forwarded-Proto", "https")],
            "; Path=/; HttpOnly; Secure; SameSite=None; Partitioned",
        ),
        (
            vec![("Origin", "http://hub.example:22001")],
            "; Path=/; HttpOnly; SameSite=Lax",
        ),
        (vec![], "; Path=/; HttpOnly; SameSite=Lax"),
    ] {
        let mut browser = site.browser();
        browser.headers = headers.iter().map(|(n, v)| (*n, (*v).to_owned())).collect();
        let answer = browser.log_in("ann", PASSWORD).await;
        let [cookie] = answer.all("set-cookie")[..] else {
            panic!("{answer:?}");
        };
        let token = &browser.cookies["orbit_relay"];
        assert_eq!(cookie, format!("orbit_relay={token}{attributes}"));
        assert_eq!(token.len(), 64);
    }
    site.finish().await;
}
