//! `.env` in the working directory, and which source of a setting counts.

use crate::process::{Home, Relay, SECRET, end};

#[tokio::test]
async fn settings_are_read_from_dotenv_and_the_log_says_where_each_came_from() {
    let home = Home::new();
    let text = format!(
        "\u{feff}# settings\r\nWEBHOOK_SECRET = {SECRET}\r\nMAX_AGE=7m\r\n\
         ORBIT_VERIFY=false\r\nBIND=192.0.2.1\r\nASSET_MAP=\r\n\
         INTEGRATION_AUTH='Bearer pa$$word'\r\n"
    );
    home.write(".env", text);
    let mut command = home.relay();
    command.env("ORBIT_VERIFY", "true");
    let mut relay = Relay::ready(command).await;
    for setting in [
        "setting webhook-secret = *** (from WEBHOOK_SECRET in .env, line 2)",
        "setting max-age = 7m (from MAX_AGE in .env, line 3)",
        "setting verify = true (from ORBIT_VERIFY)",
        "setting bind = 127.0.0.1 (from --bind)",
        "setting integration-auth = *** (from INTEGRATION_AUTH in .env, line 7)",
    ] {
        relay.process.line(setting).await;
    }
    let log = relay.process.text();
    assert!(
        !log.contains("setting asset-map") && !log.contains("(from default)"),
        "empty means unset, and what nobody set is not news: {log}"
    );
    assert!(!log.contains(SECRET) && !log.contains("pa$$word"), "{log}");
    assert_eq!(relay.stop().await, Some(0));
}

#[tokio::test]
async fn an_unquoted_dollar_is_refused_with_what_to_do() {
    let home = Home::new();
    home.write(".env", "MAX_AGE=5m\nINTEGRATION_AUTH=pa$canary\n");
    let ended = end(home.relay()).await;
    assert_eq!(ended.code, Some(2), "{ended:?}");
    let start = "error: .env: line 2: INTEGRATION_AUTH: ";
    assert!(ended.err.starts_with(start), "{ended:?}");
    assert!(ended.err.contains("use single quotes"), "{ended:?}");
    assert!(!ended.err.contains("canary"), "{ended:?}");
}

#[tokio::test]
async fn a_bad_line_is_named_by_number_and_variable_without_its_content() {
    for (line, named) in [
        (
            "INTEGRATION_AUTH=Bearer canary",
            "line 1: INTEGRATION_AUTH: ",
        ),
        ("WEBHOOK_SECRET='canary", "line 1: WEBHOOK_SECRET: "),
        ("WEBHOOK_SECRET=canary", "WEBHOOK_SECRET in .env, line 1: "),
        ("canary", "line 1: "),
    ] {
        let home = Home::new();
        home.write(".env", format!("{line}\n"));
        let ended = end(home.relay()).await;
        assert_eq!(ended.code, Some(2), "{ended:?}");
        assert!(ended.err.contains(named), "{named}: {ended:?}");
        assert!(!ended.err.contains("canary"), "{ended:?}");
    }
}
