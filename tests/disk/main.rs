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

use std::path::Path;
use std::process::Command;

use process::load::{Ledger, check_drained};
use process::{Home, Relay, plant};
use tempfile::TempDir;

const DISK: &str = "size=6m";
const BALLAST: usize = 2 << 20;

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
async fn a_full_disk_is_503_and_it_recovers_by_itself_when_there_is_space() {
    let disk = Disk::mount();
    let ballast = disk.path().join("ballast");
    std::fs::write(&ballast, vec![0; BALLAST]).unwrap();
    let home = Home::with_data(&disk.path().join("data"));
    let (plant, ledger) = (plant().await, Ledger::default());
    let mut relay = Relay::ready(home.relay_to(&plant.url())).await;

    let (refused, ready) = ledger.post_until_full(&relay).await;
    assert_eq!(refused.status, 503, "{refused:?}");
    assert!(refused.headers.contains_key("retry-after"), "{refused:?}");
    assert_eq!(ready["journal"]["status"], "unavailable", "{ready}");
    let reason = ready["journal"]["reason"].as_str().unwrap();
    assert!(reason.contains("full"), "{reason}");
    assert!(relay.process.is_alive());
    assert_eq!(relay.get_ops("/healthz").await.status, 200);
    let kept = ledger.acknowledged();
    assert!(kept > 10, "{kept}");

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
    let larger = Command::new("mount")
        .args(["-o", "remount,size=32m"])
        .arg(disk.path())
        .status();
    assert!(larger.unwrap().success());

    let mut relay = Relay::ready(home.relay_to(&plant.url())).await;
    ledger.post_unanswered_again(&relay).await;
    ledger.wait_for_all(&relay, &plant.world()).await;
    assert_eq!(relay.stop().await, Some(0), "{}", relay.process.text());
    ledger.check(&plant.world());
    check_drained(&home.status().await);
}
