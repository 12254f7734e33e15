//! A data directory that takes no more: as a limit on file sizes, for which nobody needs root.

use std::process::Command;

use crate::process::load::{Ledger, check_drained};
use crate::process::{Home, Relay, plant};

/// The relay, under a limit of so many KiB for each file.
fn limited(home: &Home, relay: &Command, kib: u32) -> Command {
    let mut command = Command::new("sh");
    // The units of ulimit differ between shells; those of prlimit do not.
    let line = format!(
        "trap '' XFSZ; prlimit --pid $$ --fsize={}:; exec \"$0\" \"$@\"",
        kib * 1024
    );
    command.args(["-c", &line]).arg(relay.get_program());
    command.args(relay.get_args());
    home.settle(&mut command);
    let set = relay.get_envs();
    command.envs(set.filter_map(|(name, value)| Some((name, value?))));
    command
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_write_that_fails_is_503_and_it_recovers_by_itself() {
    let (home, plant, ledger) = (Home::new(), plant().await, Ledger::default());
    let command = home.relay_to(&plant.url());
    let mut relay = Relay::ready(limited(&home, &command, 512)).await;
    let (refused, ready) = ledger.post_until_full(&relay).await;
    assert_eq!(refused.status, 503, "{refused:?}");
    assert!(refused.headers.contains_key("retry-after"), "{refused:?}");
    assert!(relay.process.is_alive());
    assert_eq!(ready["journal"]["status"], "unavailable", "{ready}");
    assert!(ready["journal"]["reason"].is_string(), "{ready}");

    let lift = format!("--pid={}", relay.process.pid());
    let lifted = Command::new("prlimit")
        .args([&lift, "--fsize=unlimited:"])
        .status();
    assert!(lifted.unwrap().success());
    relay.until_ready(200).await;
    ledger.post_unanswered_again(&relay).await;
    ledger.wait_for_all(&relay, &plant.world()).await;
    assert_eq!(relay.stop().await, Some(0), "{}", relay.process.text());
    ledger.check(&plant.world());
    let accepted = check_drained(&home.status().await);
    assert_eq!(accepted, u64::try_from(ledger.sent()).unwrap());
}
