//! Days of everything that goes wrong with an Orbit: what it holds at the end was delivered.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use orbit_relay::event::{ALERT, COMPLETED};
use orbit_relay::secret::WebhookSecret;
use orbit_relay::sim::orbit::{Webhook, World};
use orbit_relay::sim::random::Random;

use crate::world::{BOUND, Relay, Site, sums_at_rest};

const STEP: Duration = Duration::from_mins(10);
const STEPS: usize = 2 * 24 * 6;
/// Long enough for whatever is left to be found and delivered.
const QUIET: usize = 12;
const HOUR_MS: i64 = 3_600_000;

/// What became of an inspection: how often each type of its events was delivered, by key.
type Delivered = BTreeMap<String, BTreeMap<String, BTreeSet<String>>>;

struct Days {
    site: Site,
    relay: Option<Relay>,
    random: Random,
    looks: bool,
}

#[tokio::test]
async fn whatever_happened_every_inspection_arrived_once_and_every_alert_as_an_alert() {
    let mut worlds = tokio::task::JoinSet::new();
    for seed in [1, 2, 3] {
        worlds.spawn(async move { (seed, Days::begin(seed, "true").await.pass().await) });
    }
    while let Some(ended) = worlds.join_next().await {
        let (seed, missing) = ended.unwrap();
        assert_eq!(missing, Vec::<String>::new(), "seed {seed}");
    }
}

#[tokio::test]
async fn in_the_same_days_without_backfill_inspections_are_missing() {
    let missing = Days::begin(1, "false").await.pass().await;
    assert!(missing.len() > 50, "{}", missing.len());
}

impl Days {
    async fn begin(seed: u64, backfill: &str) -> Self {
        let site = Site::with_a_manual_clock().await.flag("backfill", backfill);
        let relay = site.start().await;
        relay.registered().await;
        Self {
            site,
            relay: Some(relay),
            random: Random::new(seed),
            looks: backfill == "true",
        }
    }

    /// Lets the days pass; gives what is not as it should be at the end.
    async fn pass(mut self) -> Vec<String> {
        let robots = self.site.robots.clone();
        robots.change_weather(|weather| weather.lose_one_in = 3);
        for step in 0..STEPS {
            self.happen(step).await;
            self.inspect().await;
            self.let_time_pass().await;
        }
        robots.change_weather(|weather| *weather = weather_of_the_end(weather.skew_ms));
        for webhook in robots.webhooks() {
            robots.edit_webhook(&webhook.uuid, |webhook| webhook.enabled = true);
        }
        for _ in 0..QUIET {
            self.let_time_pass().await;
        }
        self.look_through().await;
        self.end().await
    }

    /// One inspection in three is lost on its way; some are judged later.
    async fn inspect(&mut self) {
        for _ in 0..self.random.below(3) {
            let later = self.random.below(3) == 0;
            self.site
                .robots
                .change_weather(|weather| weather.judge_later = later);
            self.site.robots.inspect().await;
        }
        if self.random.below(6) == 0 {
            self.site.robots.judge().await;
        }
    }

    /// Two outages at fixed hours, and by chance whatever else an administrator or a machine does.
    async fn happen(&mut self, step: usize) {
        let robots = self.site.robots.clone();
        let down = (40..52).contains(&step) || (200..230).contains(&step);
        robots.change_weather(|weather| {
            weather.down = down;
            weather.lose_webhooks = down;
        });
        match self.random.below(60) {
            0 | 1 => self.kill().await,
            2 => drop(
                robots
                    .webhooks()
                    .pop()
                    .map(|w| robots.remove_webhook(&w.uuid)),
            ),
            3 => edit(&robots, |webhook| webhook.enabled = !webhook.enabled),
            4 => edit(&robots, |webhook| webhook.events = vec!["OTHER".to_owned()]),
            5 => edit(&robots, |webhook| {
                webhook.secret = WebhookSecret::parse(&"ab".repeat(32)).unwrap();
            }),
            6 => edit(&robots, |webhook| {
                "http://127.0.0.1:9".clone_into(&mut webhook.url);
            }),
            7 => edit(&robots, |webhook| webhook.archived = true),
            8 => {
                if let Some(twin) = robots.webhooks().pop() {
                    let uuid = format!("twin-{step}");
                    robots.add_webhook(Webhook { uuid, ..twin });
                }
            }
            9 | 10 if !down => {
                self.look_through().await;
                let skew_ms = (i64::from(self.random.below(9)) - 4) * HOUR_MS;
                robots.change_weather(|weather| weather.skew_ms = skew_ms);
            }
            11 => robots.change_weather(|weather| weather.mask_secrets = !weather.mask_secrets),
            12 => robots.change_weather(|weather| weather.largest_page = 3),
            _ => {}
        }
    }

    /// However slow the machine is, Orbit was looked through once more.
    async fn look_through(&self) {
        if self.looks {
            let relay = self.relay.as_ref().unwrap();
            relay.looked_through(&self.site).await;
        }
    }

    /// The relay ends wherever it is, and is started again at another address some time later.
    async fn kill(&mut self) {
        if let Some(relay) = self.relay.take() {
            relay.kill().await;
        }
        for _ in 0..self.random.below(12) {
            self.site.hand().advance(STEP);
            self.inspect().await;
        }
        self.relay = Some(self.site.start().await);
    }

    /// In steps, with a moment for the relay after each.
    async fn let_time_pass(&self) {
        for _ in 0..10 {
            self.site.hand().advance(STEP / 10);
            tokio::time::sleep(Duration::from_millis(4)).await;
            // On a slow machine the relay is slow to answer too, and has more of that time.
            let relay = self.relay.as_ref().unwrap();
            relay.get("/healthz").await;
        }
    }

    async fn end(mut self) -> Vec<String> {
        let relay = self.relay.take().unwrap();
        let at_rest = relay.until("all delivered", |sums| sums.destinations[0].waiting() == 0);
        at_rest.await;
        let stopped = tokio::time::timeout(BOUND, relay.stop()).await;
        assert!(stopped.is_ok());
        let sums = sums_at_rest(&self.site.data_dir());
        assert_eq!(sums.mistakes(), [""; 0]);

        let delivered = self.delivered();
        let held = self.site.robots.run_events();
        let problems = held
            .iter()
            .filter_map(|(uuid, alert)| problem(uuid, *alert, delivered.get(uuid)));
        let problems = problems.collect();
        let held: BTreeSet<_> = held.iter().map(|(uuid, _)| uuid).collect();
        assert!(delivered.keys().all(|uuid| held.contains(uuid)));
        problems
    }

    fn delivered(&self) -> Delivered {
        let mut delivered = Delivered::new();
        for post in self.site.plant().received() {
            let body: serde_json::Value = serde_json::from_slice(&post.body).unwrap();
            let text = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
            let of = delivered.entry(text(&body["data"]["uuid"])).or_default();
            let keys = of.entry(text(&body["type"])).or_default();
            keys.insert(text(&body["relay"]["delivery"]));
        }
        delivered
    }
}

fn weather_of_the_end(skew_ms: i64) -> orbit_relay::sim::orbit::Weather {
    orbit_relay::sim::orbit::Weather {
        skew_ms,
        ..Default::default()
    }
}

fn edit(robots: &World, change: impl FnOnce(&mut Webhook)) {
    if let Some(webhook) = robots.webhooks().first() {
        robots.edit_webhook(&webhook.uuid, change);
    }
}

/// What is not as it should be with an inspection that Orbit holds.
fn problem(
    uuid: &str,
    alert: bool,
    delivered: Option<&BTreeMap<String, BTreeSet<String>>>,
) -> Option<String> {
    let times = |event_type| {
        let keys = delivered.and_then(|delivered| delivered.get(event_type));
        keys.map_or(0, BTreeSet::len)
    };
    let (completed, alerts) = (times(COMPLETED), times(ALERT));
    // What was judged late has come as completed first.
    let right = if alert {
        alerts == 1 && completed <= 1
    } else {
        alerts == 0 && completed == 1
    };
    (!right).then(|| format!("{uuid}: alert {alert}: {completed} completed, {alerts} alerts"))
}
