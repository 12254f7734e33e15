//! `CONFIG_DIR`, the data directory, and what a package brings.

use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::Command;

use crate::process::{Home, Relay, SECRET, end};

/// A folder in this home, and the variable that names it.
fn folder(home: &Home, command: &mut Command, variable: &str, name: &str) -> PathBuf {
    let dir = home.path().join(name);
    std::fs::create_dir_all(&dir).unwrap();
    command.env(variable, &dir);
    if variable == "PACKAGE_DIR" {
        // By default it is the gateway of the container, and this need not be one.
        command.env("ORBIT_HOSTNAME", "127.0.0.1");
        command.env("WEBHOOK_HOST", "127.0.0.1");
    }
    dir
}

#[tokio::test]
async fn config_check_and_the_report_name_the_file_that_each_value_came_from() {
    let home = Home::new();
    for arguments in [
        &["config", "check"][..],
        &["check", "--report", "report.txt", "--wait", "0"],
    ] {
        let mut command = home.command(arguments);
        let config = folder(&home, &mut command, "CONFIG_DIR", "config");
        let data = folder(&home, &mut command, "DATA_DIR", "data");
        let package = folder(&home, &mut command, "PACKAGE_DIR", "package");
        std::fs::write(config.join(".env"), format!("\nWEBHOOK_SECRET={SECRET}\n")).unwrap();
        std::fs::write(config.join("relay.toml"), "max_age = \"7m\"\n").unwrap();
        std::fs::write(data.join("assets.csv"), "action_name,asset_id\n").unwrap();
        std::fs::write(package.join(".env"), "KEEP_DELIVERED=9d\n").unwrap();
        let ended = end(command).await;
        let report = std::fs::read_to_string(home.path().join("report.txt"));
        let shown = ended.out.clone() + &report.unwrap_or_default();
        let (config, data) = (config.display(), data.display());
        for line in [
            format!("webhook-secret = *** (from WEBHOOK_SECRET in {config}/.env, line 2)"),
            format!("config = {config}/relay.toml (from CONFIG_DIR)"),
            format!("max-age = 7m (from {config}/relay.toml:1)"),
            format!("asset-map = {data}/assets.csv (from the data directory)"),
            format!(
                "keep-delivered = 9d (from KEEP_DELIVERED in {}/.env, line 1)",
                package.display()
            ),
        ] {
            assert!(
                shown.lines().any(|shown| shown == line),
                "{line}\n{ended:?}"
            );
        }
        assert!(
            !PathBuf::from(format!("{data}/.env")).exists(),
            "only a start takes it"
        );
    }
}

#[tokio::test]
async fn the_settings_of_a_package_are_kept_and_a_later_package_without_any_goes_on_with_them() {
    let home = Home::new();
    let start = || {
        let mut command = home.relay();
        folder(&home, &mut command, "PACKAGE_DIR", "package");
        command
    };
    drop(start());
    let brought = home.write("package/.env", format!("WEBHOOK_SECRET={SECRET}\n"));
    let taken = "settings of the package taken into the data directory";
    for (times, kept) in [(1, true), (0, true), (0, false)] {
        if !kept {
            std::fs::remove_file(&brought).unwrap();
        }
        let mut relay = Relay::ready(start()).await;
        let log = relay.process.text();
        assert_eq!(relay.process.count(taken), times, "{log}");
        assert!(!log.contains(SECRET), "{log}");
        assert_eq!(relay.stop().await, Some(0));
    }
    let kept = std::fs::metadata(home.data().join(".env")).unwrap();
    assert_eq!(kept.permissions().mode() & 0o777, 0o600);
}

#[tokio::test]
async fn a_packages_dotenv_that_cannot_be_used_is_exit_2_and_is_not_kept() {
    for (text, named) in [
        (
            "A=1\nWEBHOOK_SECRET='canary\n",
            "{}/.env: line 2: WEBHOOK_SECRET: ",
        ),
        (
            "WEBHOOK_SECRET=canary\n",
            "WEBHOOK_SECRET in {}/.env, line 1: ",
        ),
    ] {
        let home = Home::new();
        let mut command = home.relay();
        let package = folder(&home, &mut command, "PACKAGE_DIR", "package");
        std::fs::write(package.join(".env"), text).unwrap();
        let ended = end(command).await;
        let start = format!("error: {named}").replace("{}", package.to_str().unwrap());
        assert_eq!(ended.code, Some(2), "{ended:?}");
        assert!(ended.err.starts_with(&start), "{ended:?}");
        assert!(!ended.err.contains("canary") && !home.data().exists());
    }
}

#[tokio::test]
async fn where_the_data_directory_cannot_be_written_the_package_is_read_in_its_place() {
    let home = Home::new();
    let occupied = home.write("occupied", "");
    let home = Home::with_data(&occupied.join("data"));
    let mut command = home.relay();
    let package = folder(&home, &mut command, "PACKAGE_DIR", "package");
    std::fs::write(
        package.join(".env"),
        format!("WEBHOOK_SECRET={SECRET}\nTZ=Asia/Seoul\n"),
    )
    .unwrap();
    let mut relay = Relay::start(command).await;
    relay
        .process
        .line("the settings of the package cannot be taken")
        .await;
    relay
        .process
        .line("setting time-zone = Asia/Seoul (from TZ in ")
        .await;
    assert!(relay.process.is_alive());
}

#[tokio::test]
async fn commands_find_the_journal_by_config_dir() {
    let home = Home::new();
    let mut command = home.command(&["run", "--bind", "127.0.0.1", "--webhook-port", "0"]);
    command.args(["--ops-bind", "127.0.0.1:0"]);
    let config = folder(&home, &mut command, "CONFIG_DIR", "config");
    let text = format!("DATA_DIR='{}'\nSECRET={SECRET}\n", home.data().display());
    std::fs::write(config.join(".env"), text).unwrap();
    let mut relay = Relay::ready(command).await;
    let mut command = home.command(&["status"]);
    command.env("CONFIG_DIR", &config);
    let ended = end(command).await;
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert_eq!(relay.stop().await, Some(0));
}

#[tokio::test]
async fn times_in_the_log_are_local_where_tz_says_so_without_any_zone_file() {
    let home = Home::new();
    for (zone, offset) in [("", "Z"), ("Asia/Kathmandu", "+05:45")] {
        let mut command = home.relay();
        command.env("TZ", zone).env("TZDIR", home.path());
        let mut relay = Relay::start(command).await;
        let log = relay.process.text();
        for line in log.lines() {
            let (time, rest) = line.split_once(' ').unwrap();
            let (clock, at_end) = time.split_at("2026-01-01T00:00:00.000".len());
            assert_eq!(at_end, offset, "{line}");
            assert_eq!(clock.as_bytes()[19], b'.', "{line}");
            let level = rest.split_whitespace().next().unwrap();
            assert!(["INFO", "WARN", "ERROR"].contains(&level), "{line}");
        }
        assert_eq!(relay.stop().await, Some(0));
    }
    let mut command = home.relay();
    command.env("TZ", "Europe/Berln");
    let mut relay = Relay::start(command).await;
    let said = "`Europe/Berln` is no time zone; did you mean `Europe/Berlin`?";
    relay.process.line(said).await;
    assert_eq!(relay.stop().await, Some(0));
}
