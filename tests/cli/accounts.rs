//! `accounts reset`: for whom no account is left that could help.

use super::process::orbit_relay;

#[test]
fn reset_removes_all_accounts_and_makes_a_new_set_up_code() {
    let dir = tempfile::tempdir().unwrap();
    let page = dir.path().join("page");
    std::fs::create_dir(&page).unwrap();
    let accounts = page.join("accounts.json");
    std::fs::write(&accounts, "{}").unwrap();
    let run = |arguments: &[&str]| {
        let mut command = orbit_relay();
        command.env("DATA_DIR", dir.path()).args(arguments);
        command.stdin(std::process::Stdio::null());
        command.output().unwrap()
    };
    let refused = run(&["accounts", "reset"]);
    assert_eq!(refused.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&refused.stderr).contains("--yes"));
    assert!(accounts.exists(), "nothing without --yes");

    let done = run(&["accounts", "reset", "--yes"]);
    assert_eq!(done.status.code(), Some(0), "{done:?}");
    assert!(!accounts.exists());
    let code = std::fs::read_to_string(page.join("setup-code")).unwrap();
    let said = String::from_utf8_lossy(&done.stdout).into_owned();
    assert!(said.contains(code.trim()), "{said}");

    let nowhere = run(&["accounts", "reset", "--yes", "--data-dir", "/no/such/place"]);
    assert_eq!(nowhere.status.code(), Some(1));
}
