//! Sessions: whose forms are taken, what a role may do, and how a session ends.

use std::time::Duration;

use super::super::doing::Doer;
use super::super::{LOCK, Role, file};
use super::{BOUND, PASSWORD, Site};

const HOUR: Duration = Duration::from_hours(1);

#[tokio::test]
async fn a_form_of_nobody_or_of_another_session_does_nothing() {
    let site = Site::new().await;
    let mut ann = site.ann().await;
    let other = site.logged_in("ann", PASSWORD).await.get("/accounts").await;
    let form = [("name", "ben"), ("role", "see"), ("password", PASSWORD)];
    let own = ann.get("/accounts").await.form("/accounts");
    for action in [
        "/accounts".to_owned(),
        "/accounts?csrf=".to_owned(),
        format!("/accounts?csrf={}", "0".repeat(64)),
        other.form("/accounts"),
        own.to_uppercase()
            .replace("/ACCOUNTS?CSRF", "/accounts?csrf"),
    ] {
        let answer = ann.post(&action, &form).await;
        assert_eq!(answer.status, 403, "{action}");
        assert!(answer.body.contains("not one of your session"));
    }
    for from in ["cross-site", "same-site"] {
        ann.headers = vec![("Sec-Fetch-Site", from.to_owned())];
        assert_eq!(ann.post(&own, &form).await.status, 403, "{from}");
    }
    assert!(!site.file("accounts.json").contains("ben"));
    ann.headers = vec![("Sec-Fetch-Site", "same-origin".to_owned())];
    assert_eq!(ann.post(&own, &form).await.goes_to(), "/accounts");
    site.finish().await;
}

#[tokio::test]
async fn who_logs_out_is_logged_out_also_where_nothing_can_be_written() {
    let site = Site::new().await;
    let mut ann = site.ann().await;
    let mut copy = site.logged_in("ann", PASSWORD).await;
    let action = ann.get("/account").await.form("/logout");
    // Nothing can be written where this stands.
    let blocked = site.path("accounts.new");
    std::fs::create_dir_all(blocked.join("x")).unwrap();
    let session = ann.clone();
    let answer = ann.post(&action, &[]).await;
    assert_eq!(answer.goes_to(), "/login");
    assert!(!answer.all("set-cookie").is_empty());
    let mut thief = session;
    assert_ne!(thief.get("/account").await.status, 200);
    assert_eq!(
        copy.get("/account").await.status,
        200,
        "the other one goes on"
    );
    std::fs::remove_dir_all(blocked).unwrap();
    site.finish().await;
}

#[tokio::test]
async fn a_role_may_do_what_it_may_and_no_more() {
    let site = Site::new().await;
    let mut ann = site.ann().await;
    site.add(&mut ann, "ben", "see").await;
    site.add(&mut ann, "cat", "decide").await;
    for name in ["ben", "cat"] {
        let mut browser = site.logged_in(name, PASSWORD).await;
        assert_eq!(browser.get("/account").await.status, 200);
        let answer = browser.get("/accounts").await;
        assert_eq!(answer.status, 403, "{name}");
        assert!(answer.body.contains("takes the role configure"));
        // Their own code, so that it is the role that is refused.
        let code = browser.get("/account").await.form("/logout");
        let (_, code) = code.split_once('?').unwrap();
        for action in [
            "",
            "/role",
            "/password",
            "/remove",
            "/tokens",
            "/tokens/remove",
        ] {
            let form = [("name", "ann"), ("role", "see"), ("password", PASSWORD)];
            let action = format!("/accounts{action}?{code}");
            let answer = browser.post(&action, &form).await;
            assert_eq!(answer.status, 403, "{name} {action}");
        }
    }
    assert_eq!(ann.get("/accounts").await.status, 200);
    site.finish().await;
}

#[tokio::test]
async fn a_session_ends_by_time_and_lives_through_a_restart() {
    let site = Site::new().await;
    let mut ann = site.ann().await;
    for _ in 0..3 {
        site.hand.advance(11 * HOUR);
        assert_eq!(ann.get("/account").await.status, 200, "it is used");
    }
    let mut idle = site.logged_in("ann", PASSWORD).await;
    let dir = site.finish().await;

    // 1,800,000,000 again: the clock of the next start is behind, which ends nothing.
    let site = Site::at(dir, super::Config::default()).await;
    let again = |mut browser: super::Browser| {
        browser.move_to(site.at);
        browser
    };
    (ann, idle) = (again(ann), again(idle));
    assert_eq!(ann.get("/account").await.status, 200);
    site.hand.advance(33 * HOUR + 11 * HOUR);
    assert_eq!(ann.get("/account").await.status, 200);
    site.hand.advance(HOUR);
    assert_eq!(idle.get("/account").await.goes_to(), "/login?to=%2Faccount");
    assert_eq!(ann.get("/account").await.status, 200);
    for _ in 0..11 {
        site.hand.advance(11 * HOUR);
        assert_eq!(ann.get("/account").await.status, 200);
    }
    site.hand.advance(2 * HOUR);
    let ended = ann.get("/account").await;
    assert_eq!(ended.goes_to(), "/login?to=%2Faccount", "after 7 days");
    site.finish().await;
}

#[tokio::test]
async fn an_open_screen_that_asks_by_itself_does_not_keep_its_session() {
    let site = Site::new().await;
    let mut ann = site.ann().await;
    site.hand.advance(11 * HOUR);
    // As the script asks, and as a browser asks for a photograph that is shown anew.
    for (name, value) in [("X-Live", "1"), ("Accept", "image/avif,image/*,*/*;q=0.8")] {
        ann.headers = vec![(name, value.to_owned())];
        assert_eq!(ann.get("/account").await.status, 200, "{name}");
    }
    ann.headers.clear();
    ann.listen().await;
    site.hand.advance(HOUR);
    assert_eq!(ann.get("/account").await.goes_to(), "/login?to=%2Faccount");

    // What a person does is a use.
    let mut ann = site.logged_in("ann", PASSWORD).await;
    site.hand.advance(11 * HOUR);
    ann.headers = vec![("Accept", "text/html,*/*;q=0.8".to_owned())];
    assert_eq!(ann.get("/account").await.status, 200);
    site.hand.advance(11 * HOUR);
    assert_eq!(ann.get("/account").await.status, 200);
    site.finish().await;
}

#[tokio::test]
async fn what_an_open_screen_listens_to_ends_with_its_session() {
    let site = Site::new().await;
    let mut ann = site.ann().await;
    let mut stays = site.logged_in("ann", PASSWORD).await.listen().await;
    let mut ends = ann.listen().await;
    let answer = ann.fill("/account", "/logout", &[]).await;
    assert_eq!(answer.goes_to(), "/login");
    assert!(ends.ends(&site.hand).await, "it hears nothing more");
    assert!(stays.goes_on(&site.hand).await, "the other session is told");
    site.hand.advance(12 * HOUR);
    assert!(stays.ends(&site.hand).await, "it was not used for 12 hours");
    site.finish().await;
}

#[tokio::test]
async fn a_session_ends_by_logging_out_and_by_a_changed_password() {
    let site = Site::new().await;
    let mut ann = site.ann().await;
    let mut other = site.logged_in("ann", PASSWORD).await;
    let mut third = site.logged_in("ann", PASSWORD).await;
    let token = third.cookies["orbit_relay"].clone();
    let answer = third.fill("/account", "/logout", &[]).await;
    assert_eq!(answer.goes_to(), "/login");
    assert!(!third.cookies.contains_key("orbit_relay"));
    third.cookies.insert("orbit_relay".to_owned(), token);
    assert_eq!(
        third.get("/").await.goes_to(),
        "/login",
        "its cookie is worth nothing"
    );

    let new = "another canary battery";
    for (old, again, says) in [
        ("a wrong password", new, "The password of now is not right."),
        (PASSWORD, "differs from it", "not the same"),
    ] {
        let form = [("old", old), ("password", new), ("again", again)];
        let answer = ann.fill("/account", "/account/password", &form).await;
        assert_eq!(answer.status, 422);
        assert!(answer.body.contains(says), "{}", answer.body);
    }
    let form = [("old", PASSWORD), ("password", new), ("again", new)];
    let answer = ann.fill("/account", "/account/password", &form).await;
    assert_eq!(answer.goes_to(), "/account");
    assert_eq!(ann.get("/account").await.status, 200, "a new session");
    assert_eq!(other.get("/account").await.status, 303, "the others ended");
    let refused = other.log_in("ann", PASSWORD).await;
    assert_eq!(refused.status, 422, "the old password");
    site.logged_in("ann", new).await;
    assert_eq!(site.acts()[0].what, "account password");
    site.finish().await;
}

#[tokio::test]
async fn another_person_ends_sessions_by_role_password_and_removal() {
    let site = Site::new().await;
    let mut ann = site.ann().await;
    let new = "another canary battery";
    site.add(&mut ann, "ben", "see").await;
    let mut password = PASSWORD;
    for (action, form) in [
        ("/accounts/role", [("name", "ben"), ("role", "configure")]),
        ("/accounts/password", [("name", "ben"), ("password", new)]),
        ("/accounts/remove", [("name", "ben"), ("role", "")]),
    ] {
        let mut ben = site.logged_in("ben", password).await;
        let answer = ann.fill("/accounts", action, &form).await;
        assert_eq!(answer.goes_to(), "/accounts");
        assert_eq!(ben.get("/account").await.status, 303, "{action}");
        if action.ends_with("password") {
            password = new;
        }
    }
    assert_eq!(site.browser().log_in("ben", new).await.status, 422);
    let whats: Vec<_> = site.acts().into_iter().map(|act| act.what).collect();
    assert_eq!(
        whats,
        [
            "account remove",
            "account password",
            "account role",
            "account add",
            "account add"
        ]
    );
    site.finish().await;
}

#[tokio::test]
async fn the_last_account_that_configures_stays() {
    let site = Site::new().await;
    let mut ann = site.ann().await;
    for (action, form) in [
        ("/accounts/remove", [("name", "ann"), ("role", "")]),
        ("/accounts/role", [("name", "ann"), ("role", "see")]),
    ] {
        let answer = ann.fill("/accounts", action, &form).await;
        assert_eq!(answer.status, 422);
        assert!(answer.body.contains("the last account of role configure"));
    }
    assert_eq!(ann.get("/accounts").await.status, 200);
    site.finish().await;
}

fn form(of: &[(String, String); 2]) -> [(&str, &str); 2] {
    [(&of[0].0, &of[0].1), (&of[1].0, &of[1].1)]
}

#[tokio::test]
async fn two_accounts_and_two_tabs_act_at_once() {
    let site = Site::new().await;
    let mut ann = site.ann().await;
    site.add(&mut ann, "ben", "configure").await;
    let mut ben = site.logged_in("ben", PASSWORD).await;
    let mut tab = site.browser();
    tab.cookies.clone_from(&ann.cookies);
    let of = |browser: &str| {
        let name = format!("of-{browser}");
        [
            ("name".to_owned(), name),
            ("role".to_owned(), "see".to_owned()),
        ]
    };
    let (one, two, three) = (of("ann"), of("ben"), of("tab"));
    let (one, two, three) = (form(&one), form(&two), form(&three));
    let answers = tokio::join!(
        ann.fill("/accounts", "/accounts", &one),
        ben.fill("/accounts", "/accounts", &two),
        tab.fill("/accounts", "/accounts", &three),
    );
    for answer in [&answers.0, &answers.1, &answers.2] {
        assert_eq!(answer.goes_to(), "/accounts");
    }
    let screen = ann.get("/accounts").await.body;
    for name in ["of-ann", "of-ben", "of-tab"] {
        assert!(screen.contains(name), "{name} is lost");
    }
    // What is said after it is said to each session once.
    assert!(screen.contains("role=\"status\""));
    assert!(!tab.get("/accounts").await.body.contains("role=\"status\""));
    assert!(ben.get("/accounts").await.body.contains("of-ben now"));
    site.finish().await;
}

#[tokio::test]
async fn the_script_that_looks_again_takes_nothing_that_is_to_be_said() {
    let site = Site::new().await;
    let mut ann = site.ann().await;
    site.add(&mut ann, "ben", "see").await;
    ann.headers = vec![("X-Live", "1".to_owned())];
    assert!(!ann.get("/accounts").await.body.contains("role=\"status\""));
    ann.headers.clear();
    assert!(
        ann.get("/accounts")
            .await
            .body
            .contains("There is an account ben now.")
    );
    assert!(!ann.get("/accounts").await.body.contains("role=\"status\""));
    site.finish().await;
}

#[tokio::test]
async fn a_change_of_accounts_that_fails_is_an_act_that_says_so() {
    let site = Site::new().await;
    let mut ann = site.ann().await;
    // Nothing can be written where this stands.
    let blocked = site.path("accounts.new");
    std::fs::create_dir_all(blocked.join("x")).unwrap();
    let form = [("name", "bob"), ("role", "see"), ("password", PASSWORD)];
    let answer = ann.fill("/accounts", "/accounts", &form).await;
    assert_ne!(answer.status, 303, "{}", answer.body);
    let acts = site.acts();
    let (last, before) = (&acts[0], &acts[1]);
    assert_eq!((&*last.what, &*last.who), ("account failed", "ann"));
    assert!(
        last.detail.starts_with("account add: bob"),
        "{}",
        last.detail
    );
    assert!(last.detail.contains("accounts"), "{}", last.detail);
    assert_eq!(&*before.what, "account add");
    std::fs::remove_dir_all(blocked).unwrap();
    assert!(!site.file("accounts.json").contains("bob"));
    site.finish().await;
}

#[tokio::test]
async fn a_change_of_accounts_is_done_to_its_end_though_the_browser_goes_away() {
    use std::task::{Context, Waker};

    let site = Site::new().await;
    let _ann = site.ann().await;
    let doer = Doer {
        journal: &site.journal,
        name: "ann",
    };
    let is_kept = || site.acts().iter().any(|act| act.detail.contains("first"));
    // Nothing is written before this is given back.
    let lock = file::lock(&site.path(LOCK)).unwrap();
    let mut asked = Box::pin(site.access.add(doer, "first", Role::See, None));
    let begun = async {
        while !is_kept() {
            let mut once = Context::from_waker(Waker::noop());
            assert!(asked.as_mut().poll(&mut once).is_pending());
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(BOUND, begun).await.unwrap();
    drop(asked);
    drop(lock);
    // The next one has its turn after it.
    let next = site.access.add(doer, "second", Role::See, None);
    tokio::time::timeout(BOUND, next).await.unwrap().unwrap();
    assert!(site.file("accounts.json").contains("first"));
    site.finish().await;
}
