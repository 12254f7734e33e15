//! What the page saved, at a start.

use crate::process::{Home, Relay, SECRET};

#[tokio::test]
async fn what_the_page_saved_and_cannot_be_used_any_more_is_left_out_and_said() {
    for (name, wrong, said) in [
        (".env", "MAX_AGE=canary\n", "MAX_AGE in "),
        (".env", "no line of a .env\n", "page/.env"),
        ("relay.toml", "[[destination]]\nname = 7\n", "relay.toml"),
        ("relay.toml", "[[destination\n", "relay.toml"),
    ] {
        let home = Home::new();
        let page = home.data().join("page");
        std::fs::create_dir_all(&page).unwrap();
        std::fs::write(page.join(name), wrong).unwrap();
        let mut command = home.relay();
        command.env("WEBHOOK_SECRET", SECRET);
        let mut relay = Relay::ready(command).await;
        let line = relay
            .process
            .line("what the page saved cannot be used")
            .await;
        assert!(
            line.contains("WARN") && line.contains(said),
            "{wrong}: {line}"
        );
        let setup = relay.get_ops("/setup").await;
        assert_ne!(setup.status, 503, "{wrong}: the page is there");
        let kept = std::fs::read_to_string(page.join(name)).unwrap();
        assert_eq!(kept, wrong, "nothing is written over");
        assert_eq!(relay.stop().await, Some(0));
    }
}

#[tokio::test]
async fn what_is_wrong_elsewhere_still_ends_a_start_with_2() {
    let home = Home::new();
    let page = home.data().join("page");
    std::fs::create_dir_all(&page).unwrap();
    std::fs::write(page.join(".env"), "MAX_AGE=canary\n").unwrap();
    let mut command = home.relay();
    command
        .env("WEBHOOK_SECRET", SECRET)
        .env("KEEP_DELIVERED", "canary");
    let ended = crate::process::end(command).await;
    assert_eq!(ended.code, Some(2), "{ended:?}");
}
