//! A disk that fills up and is freed again, as a real small file system. Needs root to mount it.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stderr,
    reason = "a test fails by panicking"
)]

#[path = "../process/mod.rs"]
mod process;

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use orbit_relay::sim::backend::Answer;

use process::load::{Ledger, check_drained};
use process::{Home, Relay, plant};
use tempfile::TempDir;

const DISK: &str = "size=76m";
const LARGER: &str = "remount,size=160m";

/// A file system of its own, unmounted when it is dropped.
struct Disk(TempDir);

impl Disk {
    fn mount() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mount = Command::new("mount")
            .args(["-t", "tmpfs", "-o", DISK, "tmpfs"])
            .arg(dir.path())
            .output()
            .expect("mount(8) can be run");
        let said = String::from_utf8_lossy(&mount.stderr);
        assert!(mount.status.success(), "this test needs root: {said}");
        Self(dir)
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn grow(&self) {
        let mut mount = Command::new("mount");
        let larger = mount.args(["-o", LARGER]).arg(self.path()).status();
        assert!(larger.unwrap().success());
    }

    /// Somebody else takes all that is left.
    fn fill(&self) -> PathBuf {
        let ballast = self.path().join("ballast");
        let mut file = std::fs::File::create(&ballast).unwrap();
        while file.write_all(&[0; 4096]).is_ok() {}
        ballast
    }

    fn free_bytes(&self) -> u64 {
        let df = Command::new("df")
            .args(["--output=avail", "-B1"])
            .arg(self.path())
            .output()
            .unwrap();
        let text = String::from_utf8(df.stdout).unwrap();
        text.lines().nth(1).unwrap().trim().parse().unwrap()
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // Lazily: the relay may be dropped after it.
        let unmount = Command::new("umount").arg("-l").arg(self.path()).status();
        if !unmount.is_ok_and(|status| status.success()) {
            eprintln!("{} stays mounted", self.path().display());
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_there_is_still_room_nothing_new_is_taken_and_what_waits_is_delivered() {
    let disk = Disk::mount();
    let home = Home::with_data(&disk.path().join("data"));
    let (plant, ledger) = (plant().await, Ledger::default());
    plant
        .world()
        .set_answer(Answer::Slow(Duration::from_millis(500)));
    let mut relay = Relay::ready(home.relay_to(&plant.url())).await;

    let (refused, ready) = ledger.post_until_full(&relay).await;
    assert_eq!(refused.status, 503, "{refused:?}");
    assert!(refused.headers.contains_key("retry-after"), "{refused:?}");
    assert_eq!(ready["journal"]["status"], "full", "{ready}");
    let free = disk.free_bytes();
    assert!(free > 32 << 20, "{free} bytes are free");
    assert!(!ledger.missing(&plant.world()).is_empty(), "some wait");

    plant.world().set_answer(Answer::Ok);
    ledger.wait_for_all(&relay, &plant.world()).await;
    let ready = relay.until_ready(503).await;
    assert_eq!(ready["journal"]["status"], "full", "{ready}");
    let kept = ledger.acknowledged();
    assert!(kept > 10, "{kept}");
    let status = home.status().await;
    assert_eq!(status["destinations"][0]["delivered"], kept, "{status}");
    assert_eq!(relay.get_ops("/healthz").await.status, 200);

    disk.grow();
    relay.until_ready(200).await;
    ledger.post_unanswered_again(&relay).await;
    ledger.wait_for_all(&relay, &plant.world()).await;
    assert_eq!(relay.stop().await, Some(0), "{}", relay.process.text());
    assert_eq!(ledger.check(&plant.world()), 0, "nothing went out twice");
    let accepted = check_drained(&home.status().await);
    assert_eq!(accepted, u64::try_from(ledger.sent()).unwrap());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_disk_that_others_fill_to_the_last_byte_is_503_until_there_is_space() {
    let disk = Disk::mount();
    let home = Home::with_data(&disk.path().join("data"));
    let (plant, ledger) = (plant().await, Ledger::default());
    let mut relay = Relay::ready(home.relay_to(&plant.url())).await;
    let ballast = disk.fill();
    let (refused, ready) = ledger.post_until_full(&relay).await;
    assert_eq!(refused.status, 503, "{refused:?}");
    let word = ready["journal"]["status"].as_str().unwrap();
    assert!(["full", "unavailable"].contains(&word), "{ready}");
    assert!(relay.process.is_alive());
    assert_eq!(relay.get_ops("/healthz").await.status, 200);

    std::fs::remove_file(&ballast).unwrap();
    relay.until_ready(200).await;
    ledger.post_unanswered_again(&relay).await;
    ledger.wait_for_all(&relay, &plant.world()).await;
    assert_eq!(relay.stop().await, Some(0), "{}", relay.process.text());
    ledger.check(&plant.world());
    let accepted = check_drained(&home.status().await);
    assert_eq!(accepted, u64::try_from(ledger.sent()).unwrap());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_kept_before_the_disk_was_full_survives_kill_9() {
    let disk = Disk::mount();
    let home = Home::with_data(&disk.path().join("data"));
    let (plant, ledger) = (plant().await, Ledger::default());
    let relay = Relay::ready(home.relay_to(&plant.url())).await;
    ledger.post_until_full(&relay).await;
    relay.process.kill().await;
    disk.grow();

    let mut relay = Relay::ready(home.relay_to(&plant.url())).await;
    ledger.post_unanswered_again(&relay).await;
    ledger.wait_for_all(&relay, &plant.world()).await;
    assert_eq!(relay.stop().await, Some(0), "{}", relay.process.text());
    ledger.check(&plant.world());
    check_drained(&home.status().await);
}
