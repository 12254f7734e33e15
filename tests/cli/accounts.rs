//! `accounts reset`: for whom no account is left that could help.

use crate::process::Home;

#[tokio::test]
async fn reset_removes_all_accounts_and_makes_a_new_set_up_code() {
    let home = Home::new();
    let nowhere = home.ask(&["accounts", "reset", "--yes"]).await;
    assert_eq!(nowhere.code, Some(1), "{nowhere:?}");
    assert!(nowhere.err.contains("no data directory"), "{nowhere:?}");

    let page = home.data().join("page");
    std::fs::create_dir_all(&page).unwrap();
    let accounts = page.join("accounts.json");
    std::fs::write(&accounts, "{}").unwrap();
    let refused = home.ask(&["accounts", "reset"]).await;
    assert_eq!(refused.code, Some(2), "{refused:?}");
    assert!(refused.err.contains("--yes") && accounts.exists());

    let done = home.ask(&["accounts", "reset", "--yes"]).await;
    assert_eq!(done.code, Some(0), "{done:?}");
    assert!(!accounts.exists());
    let code = std::fs::read_to_string(page.join("setup-code")).unwrap();
    assert!(done.out.contains(code.trim()), "{done:?}");
}
