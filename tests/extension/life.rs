//! The extension from its first start to its upgrade.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::{Duration, Instant};

use orbit_relay::sim::backend::{Answer, Backend};
use orbit_relay::sim::orbit::Orbit;
use orbit_relay::sim::site::UNMAPPED_ACTION;
use serde_json::Value;

use crate::docker::{self, Container, docker, line, until};
use crate::site::{NEXT, RELAY, Site, TOKEN, VOLUME, manifest, next, stock};

/// As long as Docker waits before it kills.
const STOP: Duration = Duration::from_secs(10);

/// The sums, as the command in the container says them.
fn status() -> Value {
    let said = docker(&["exec", RELAY, "/orbit-relay", "status", "--json"]);
    serde_json::from_str(&said).unwrap()
}

/// `docker stop`, and how the relay ended.
fn stop() {
    let begun = Instant::now();
    docker(&["stop", RELAY]);
    let took = begun.elapsed();
    let state = Container::state_of(RELAY);
    assert_eq!(state["State"]["ExitCode"], 0, "{}", docker::logs(RELAY));
    assert!(took < STOP, "it was killed: {took:?}");
}

/// Each inspection was accepted by the plant once, none is left.
async fn all_arrived_once(plant: &Backend, count: u32) {
    let world = plant.world();
    let arrived = tokio::time::timeout(2 * docker::PATIENCE, world.wait_for(count.into())).await;
    let accepted = world.deliveries_by_key();
    assert!(
        arrived.is_ok(),
        "{} of {count}\n{}",
        accepted.len(),
        docker::logs(RELAY)
    );
    assert_eq!(accepted.len(), usize::try_from(count).unwrap());
    assert!(accepted.values().all(|times| *times == 1), "{accepted:?}");
}

async fn inspect(orbit: &Orbit, count: u32) {
    for _ in 0..count {
        let inspection = orbit.world().inspect().await;
        let [post] = &inspection.posts[..] else {
            panic!("one webhook is told: {inspection:?}");
        };
        assert_eq!(post.status, Some(200), "{post:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_package_registers_delivers_and_loses_nothing_over_stop_and_kill() {
    let site = Site::empty().await;
    let (orbit, plant) = (site.orbit().await, site.plant().await);
    site.install(&site.configured(&[
        ("ORBIT_API_TOKEN", TOKEN),
        ("INTEGRATION_URL", &plant.url()),
    ]));

    site.until_registered().await;
    let webhooks = orbit.world().webhooks();
    assert_eq!(webhooks.len(), 1);
    assert_eq!(
        webhooks[0].url.trim_end_matches('/'),
        "http://127.0.0.1:21600"
    );
    inspect(&orbit, 1).await;
    all_arrived_once(&plant, 1).await;
    let test = orbit.world().send_test(&webhooks[0].uuid).await.unwrap();
    assert_eq!(test.status, Some(200), "{test:?}");
    line(RELAY, "test payload: arrived, verified and in the journal").await;
    site.until_health("healthy").await;

    plant.world().set_answer(Answer::Status(503));
    inspect(&orbit, 20).await;
    stop();
    plant.world().set_answer(Answer::Ok);
    docker(&["start", RELAY]);
    all_arrived_once(&plant, 21).await;

    site.until_registered().await;
    inspect(&orbit, 20).await;
    docker(&["kill", RELAY]);
    docker(&["start", RELAY]);
    site.until_registered().await;
    inspect(&orbit, 1).await;
    // What was under way when it was killed may have come twice, under the same key.
    let arrived = until(|| (plant.world().deliveries_by_key().len() == 42).then_some(()));
    assert!(arrived.await.is_some(), "{}", docker::logs(RELAY));
    assert_eq!(
        orbit.world().webhooks().len(),
        1,
        "no second webhook was made"
    );
    orbit.stop().await;
    plant.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_start_without_settings_is_no_crash_loop_and_a_configuration_extension_ends_it() {
    let site = Site::empty().await;
    let (orbit, plant) = (site.orbit().await, site.plant().await);
    site.install(&stock());
    let ready = site
        .until_ready(|ready| ready["journal"]["status"] == "open")
        .await;
    assert_eq!(ready["status"], "not_ready");
    let said = ready["listener"]["reason"].as_str().unwrap();
    assert!(said.contains("ORBIT_API_TOKEN"), "{said}");
    line(RELAY, "ORBIT_API_TOKEN").await;
    let health = docker::try_run("docker", &["exec", RELAY, "/orbit-relay", "health"], None);
    assert_eq!(health.status.code(), Some(1));
    let said = String::from_utf8(health.stdout).unwrap();
    assert!(said.contains("ORBIT_API_TOKEN"), "{said}");
    let posted = crate::process::Web::new();
    let posted = posted
        .post("http://127.0.0.1:21600/", &[], "{}")
        .await
        .unwrap();
    assert_eq!(posted.status, 503);
    assert_eq!(Container::state_of(RELAY)["RestartCount"], 0);

    let settings = format!(
        "ORBIT_API_TOKEN={TOKEN}\nINTEGRATION_URL={}\nWEBHOOK_HOST=gateway\n",
        plant.url()
    );
    let assets = "action_name,asset_id\n*,PUMP\n";
    let files = [(".env", settings.as_str()), ("assets.csv", assets)];
    site.install(&site.configuration("1.0.0", &files));
    site.until_registered().await;
    let url = &orbit.world().webhooks()[0].url;
    let of_the_extension = format!("http://{}:21600", docker::gateway());
    assert_eq!(
        url.trim_end_matches('/'),
        of_the_extension,
        "{}",
        docker::logs(RELAY)
    );
    inspect(&orbit, 1).await;
    all_arrived_once(&plant, 1).await;
    assert_eq!(Container::state_of(RELAY)["RestartCount"], 1);
    orbit.stop().await;
    plant.stop().await;
}

/// What must be the same after an upgrade.
fn kept(orbit: &Orbit) -> Vec<(String, String, String)> {
    let webhooks = orbit.world().webhooks().into_iter();
    let kept = webhooks.map(|hook| (hook.uuid, hook.url, hook.secret.expose_hex()));
    kept.collect()
}

/// The actions of which the plant was told no asset.
fn without_asset(plant: &Backend) -> BTreeSet<String> {
    let received = plant.world().received().into_iter();
    let mut bodies: Vec<Value> = received
        .map(|post| serde_json::from_slice(&post.body).unwrap())
        .collect();
    bodies.retain(|body| body["relay"]["asset"].is_null());
    let actions = bodies.iter().map(|body| &body["data"]["actionName"]);
    actions
        .map(|name| name.as_str().unwrap().to_owned())
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upgrade_keeps_settings_secret_map_and_queue_and_a_downgrade_is_refused() {
    const QUEUED: u32 = 500;
    let site = Site::empty().await;
    let (orbit, plant) = (site.orbit().await, site.plant().await);
    let map = orbit_relay::sim::site::asset_map_csv();
    site.install(&site.configuration("1.0.0", &[("assets.csv", map)]));
    site.install(&site.configured(&[
        ("ORBIT_API_TOKEN", TOKEN),
        ("INTEGRATION_URL", &plant.url()),
    ]));
    site.until_registered().await;
    plant.world().set_answer(Answer::Status(503));
    inspect(&orbit, QUEUED).await;
    let before = kept(&orbit);

    // A stock package of the next version, whose journal has another schema.
    site.install(&next());
    let folder = Path::new("/data/.extensions/orbit-relay");
    assert_eq!(manifest(folder)["version"], NEXT);
    assert!(
        !folder.join(".env").exists(),
        "nothing came with this package"
    );
    site.until_registered().await;
    assert_eq!(kept(&orbit), before);
    let status = status();
    assert_eq!(status["accepted"], QUEUED, "{status:#}");

    // Back to the version before it: it touches nothing and says why.
    site.install(&stock());
    line(RELAY, "the journal has version").await;
    let ready = site
        .until_ready(|ready| ready["journal"]["status"] == "unavailable")
        .await;
    assert_eq!(ready["status"], "not_ready");
    let refused = orbit.world().inspect().await;
    assert_eq!(refused.posts[0].status, Some(503));

    site.install(&next());
    site.until_registered().await;
    plant.world().set_answer(Answer::Ok);
    // The one that was refused meanwhile is found in Orbit's lists.
    let all = QUEUED + 1;
    all_arrived_once(&plant, all).await;
    let unmapped = BTreeSet::from([UNMAPPED_ACTION.to_owned()]);
    assert_eq!(without_asset(&plant), unmapped, "the map was kept");
    stop();
    let volume = docker(&["volume", "inspect", "--format", "{{.Mountpoint}}", VOLUME]);
    let on_disk = |name: &str| std::fs::metadata(Path::new(volume.trim()).join(name));
    assert!(
        on_disk("journal.db-wal").is_err(),
        "the journal's log was emptied"
    );
    assert!(on_disk("journal.db").unwrap().len() < 16 << 20);
    let journal = docker(&[
        "run",
        "--rm",
        "--volume",
        "orbit-relay-data:/data",
        "--entrypoint",
        "/orbit-relay",
        &format!("orbit-relay:{NEXT}"),
        "status",
        "--json",
    ]);
    let journal: Value = serde_json::from_str(&journal).unwrap();
    assert_eq!(journal["destinations"][0]["delivered"], all, "{journal:#}");
    orbit.stop().await;
    plant.stop().await;
}
