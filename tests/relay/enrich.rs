//! What else Orbit knows of an inspection, asked over real sockets in any weather.
//!
//! # Invariants
//! - The clock stands still unless a test moves it; only the network runs in real time.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use orbit_relay::clock::{Clock, Hand};
use orbit_relay::orbit::CallError;
use orbit_relay::orbit::media::{Form, MediaUrlError};
use orbit_relay::relay::enrich::{
    ASKS, Answer, Answers, BUDGET_BYTES, CaptureError, Deadlines, Enrich, FETCHES, Needs, REST,
};
use orbit_relay::sim::orbit::{MediaWeather, Orbit, Redirect, World};
use orbit_relay::sim::plant::Medium;
use serde_json::Value;
use tokio::task::JoinSet;

use crate::media::Robots;
use crate::world::BOUND;

const BOTH: Needs = Needs {
    run: true,
    anomaly: true,
};
const RUN: Needs = Needs {
    run: true,
    anomaly: false,
};
const LEFT_ALONE: &str = "Orbit did not answer a moment ago";

struct Plant {
    orbit: Orbit,
    world: World,
    hand: Hand,
    enrich: Arc<Enrich>,
}

/// An inspection of the simulated robots.
struct Found {
    run_event: String,
    run: String,
}

impl Plant {
    async fn new(deadlines: Deadlines) -> Self {
        let (clock, hand) = Clock::manual(Clock::system().wall());
        let robots = Robots::new(clock.clone()).await;
        let client = Some(Arc::new(robots.client));
        Self {
            orbit: robots.orbit,
            world: robots.world,
            hand,
            enrich: Arc::new(Enrich::new(client, clock, deadlines)),
        }
    }

    /// With more patience than any test has.
    async fn patient() -> Self {
        Self::new(Deadlines {
            ask: BOUND,
            fetch: BOUND,
        })
        .await
    }

    /// The next inspection that is an alert, or is none.
    async fn inspection(&self, alert: bool) -> Found {
        loop {
            let made = self.world.inspect().await;
            if (made.event_type == "ACTION_COMPLETED_WITH_ALERT") == alert {
                let run = self.world.run_of(&made.run_event).unwrap();
                let run_event = made.run_event;
                return Found { run_event, run };
            }
        }
    }

    async fn ask(&self, needs: Needs, found: &Found, is_alert: bool) -> Answers {
        let (run, run_event) = (Some(&*found.run), Some(&*found.run_event));
        self.enrich.ask(needs, run, run_event, is_alert).await
    }

    fn asked(&self, path: &str) -> usize {
        let requests = self.world.requests();
        let of = |path: &str| requests.iter().filter(|r| r.path.starts_with(path)).count();
        of(path)
    }
}

fn unanswered(why: &str) -> Answer {
    Answer::Unanswered(why.to_owned())
}

#[track_caller]
fn known(answer: &Answer) -> Value {
    match answer {
        Answer::Known(text) => serde_json::from_str(text).unwrap(),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn an_alert_has_its_run_and_its_anomaly_and_only_what_is_used_of_them() {
    let plant = Plant::patient().await;
    let found = plant.inspection(true).await;
    let answers = plant.ask(BOTH, &found, true).await;
    let (run, anomaly) = (known(&answers.run), known(&answers.anomaly));
    assert_eq!(run["uuid"], found.run);
    assert!(run["robotNickname"].as_str().unwrap().starts_with("spot-"));
    assert_eq!(run.get("actionCount"), None);
    let (uuid, _) = plant.world.anomaly_of(&found.run_event).unwrap();
    assert_eq!(anomaly["uuid"], uuid);
    assert!(anomaly["severity"].is_u64());
    assert_eq!(anomaly.get("statusModifiedAt"), None);
    for request in plant.world.requests() {
        assert!(request.authorization, "{request:?}");
    }
}

#[tokio::test]
async fn what_is_not_needed_or_has_no_id_is_not_asked_for() {
    let plant = Plant::patient().await;
    let found = plant.inspection(false).await;
    let nothing = plant.ask(Needs::default(), &found, true).await;
    assert_eq!(
        nothing,
        Answers {
            run: Answer::NotAsked,
            anomaly: Answer::NotAsked
        }
    );
    assert_eq!(plant.enrich.ask(BOTH, None, None, true).await, nothing);
    let long = "x".repeat(10_000);
    for nobody in ["", ".", "..", &long] {
        let (run, run_event) = (Some(nobody), Some(nobody));
        let answers = plant.enrich.ask(BOTH, run, run_event, false).await;
        assert_eq!(answers.run, Answer::Absent);
        assert_eq!(answers.anomaly, Answer::Absent);
    }
    assert_eq!(plant.world.request_count(), 0);
}

#[tokio::test]
async fn what_orbit_has_not_is_absent_and_an_alert_without_an_anomaly_may_still_get_one() {
    let plant = Plant::patient().await;
    let quiet = plant.inspection(false).await;
    assert_eq!(plant.ask(BOTH, &quiet, false).await.anomaly, Answer::Absent);
    let nobody = plant.enrich.ask(RUN, Some("../x"), None, false).await;
    assert_eq!(nobody.run, Answer::Absent);

    plant
        .world
        .change_weather(|w| w.anomalies_after_ms = 60_000);
    let found = plant.inspection(true).await;
    let early = plant.ask(BOTH, &found, true).await;
    let not_yet = unanswered("Orbit has no anomaly of this alert yet");
    assert_eq!(early.anomaly, not_yet);
    known(&early.run);
    plant.hand.advance(Duration::from_secs(60));
    known(&plant.ask(BOTH, &found, true).await.anomaly);
}

#[tokio::test]
async fn an_anomaly_of_another_run_event_is_never_taken() {
    let plant = Plant::patient().await;
    let found = plant.inspection(true).await;
    let other = plant.inspection(true).await;
    let first = known(&plant.ask(BOTH, &found, true).await.anomaly);
    assert_eq!(first["status"], "open");
    // This Orbit does not know the filter, and lists those of others.
    plant.world.change_weather(|w| w.ignore_filters = true);
    let same = known(&plant.ask(BOTH, &found, true).await.anomaly);
    assert_eq!(same["uuid"], first["uuid"]);
    plant.world.change_weather(|w| w.largest_page = 1);
    let hidden = plant.ask(BOTH, &other, true).await.anomaly;
    assert_eq!(hidden, unanswered(&CallError::Nonsense.to_string()));
}

#[tokio::test]
async fn a_run_is_asked_for_once_however_many_ask_and_again_after_half_a_minute() {
    let plant = Plant::patient().await;
    let found = plant.inspection(false).await;
    plant.world.change_weather(|weather| weather.delay_ms = 50);
    let mut asking = JoinSet::new();
    for _ in 0..20 {
        let (enrich, run) = (Arc::clone(&plant.enrich), found.run.clone());
        asking.spawn(async move { enrich.ask(RUN, Some(&run), None, false).await.run });
    }
    for answer in asking.join_all().await {
        known(&answer);
    }
    assert_eq!(plant.asked("/api/v0/runs/"), 1);
    plant.hand.advance(Duration::from_secs(29));
    plant.ask(RUN, &found, false).await;
    assert_eq!(plant.asked("/api/v0/runs/"), 1);
    plant.hand.advance(Duration::from_secs(1));
    plant.ask(RUN, &found, false).await;
    assert_eq!(plant.asked("/api/v0/runs/"), 2);
}

#[tokio::test]
async fn no_more_than_four_questions_are_open_at_once() {
    let plant = Plant::patient().await;
    plant.world.change_weather(|weather| weather.delay_ms = 50);
    let mut asking = JoinSet::new();
    for number in 0..16 {
        let enrich = Arc::clone(&plant.enrich);
        asking.spawn(async move {
            let id = format!("nobody-{number}");
            enrich.ask(BOTH, Some(&id), Some(&id), false).await
        });
    }
    for answers in asking.join_all().await {
        assert_eq!(answers.run, Answer::Absent);
        assert_eq!(answers.anomaly, Answer::Absent);
    }
    assert_eq!(plant.world.request_count(), 32);
    assert!(plant.world.most_at_once() <= ASKS);
}

#[tokio::test]
async fn an_orbit_that_does_not_answer_is_left_alone_for_five_seconds() {
    let plant = Plant::new(Deadlines {
        ask: Duration::from_millis(1_500),
        fetch: BOUND,
    })
    .await;
    let found = plant.inspection(true).await;
    plant
        .world
        .change_weather(|weather| weather.delay_ms = 600_000);
    let mut asking = JoinSet::new();
    for number in 0..20 {
        let enrich = Arc::clone(&plant.enrich);
        let id = format!("nobody-{number}");
        asking.spawn(async move { enrich.ask(RUN, Some(&id), None, false).await.run });
    }
    for answer in asking.join_all().await {
        assert!(matches!(answer, Answer::Unanswered(_)), "{answer:?}");
    }
    let asked = plant.world.request_count();
    assert!(asked <= 4, "{asked} were asked of an Orbit that hangs");

    plant.world.change_weather(|weather| weather.delay_ms = 0);
    plant
        .hand
        .advance(REST.saturating_sub(Duration::from_millis(1)));
    let answers = plant.ask(BOTH, &found, true).await;
    assert_eq!(answers.run, unanswered(LEFT_ALONE));
    assert_eq!(answers.anomaly, unanswered(LEFT_ALONE));
    let capture = plant.enrich.capture("/daq/download/x", 1, Form::Raw).await;
    assert_eq!(capture, Err(CaptureError::Unanswered(LEFT_ALONE.into())));
    assert_eq!(plant.world.request_count(), asked);
    plant.hand.advance(Duration::from_millis(1));
    known(&plant.ask(BOTH, &found, true).await.anomaly);
}

#[tokio::test]
async fn an_orbit_that_is_gone_is_left_alone_too() {
    let plant = Plant::patient().await;
    plant.orbit.stop().await;
    let gone = plant.enrich.ask(RUN, Some("r"), None, false).await.run;
    let Answer::Unanswered(why) = gone else {
        panic!("{gone:?}")
    };
    assert!(why.starts_with("cannot connect to 127.0.0.1:"), "{why}");
    let again = plant.enrich.ask(RUN, Some("r"), None, false).await.run;
    assert_eq!(again, unanswered(LEFT_ALONE));
}

#[tokio::test]
async fn one_part_of_orbit_that_is_down_does_not_hide_the_other() {
    let plant = Plant::patient().await;
    let found = plant.inspection(true).await;
    let down = |path: &str| {
        let paths = vec![path.to_owned()];
        plant
            .world
            .change_weather(|weather| weather.down_under = paths);
    };
    down("/api/v0/runs");
    let answers = plant.ask(BOTH, &found, true).await;
    known(&answers.anomaly);
    assert!(matches!(answers.run, Answer::Unanswered(_)));
    down("/api/v0/anomalies");
    let answers = plant.ask(BOTH, &found, true).await;
    known(&answers.run);
    assert!(matches!(answers.anomaly, Answer::Unanswered(_)));
}

const PICTURE: &str = "/daq/download/spot-07/x/Pump #3/Pump #3 ptz.jpg";

#[tokio::test]
async fn a_capture_is_fetched_with_its_name_and_type() {
    let plant = Plant::patient().await;
    plant.world.put_medium(PICTURE, Medium::Camera);
    let raw = plant.enrich.capture(PICTURE, 1 << 20, Form::Raw).await;
    let raw = raw.unwrap();
    assert_eq!(
        (&*raw.name, &*raw.media_type),
        ("Pump #3 ptz.jpg", "image/jpeg")
    );
    let text = plant.enrich.capture(PICTURE, 1 << 20, Form::Base64).await;
    let text = text.unwrap();
    assert_eq!(text.size, raw.size);
    assert!(text.bytes.starts_with(b"/9j/"));
}

#[tokio::test]
async fn a_capture_that_cannot_be_had_says_why_and_whether_to_ask_again() {
    let plant = Plant::patient().await;
    plant.world.put_medium(PICTURE, Medium::Camera);
    let fetch = async |media: MediaWeather, limit| {
        plant.world.change_weather(|weather| weather.media = media);
        plant
            .enrich
            .capture(PICTURE, limit, Form::Raw)
            .await
            .unwrap_err()
    };
    let status = |status| MediaWeather {
        status: Some(status),
        ..MediaWeather::default()
    };
    let elsewhere = MediaWeather {
        redirect: Some(Redirect {
            status: 302,
            location: "https://other.example/?secret=canary".to_owned(),
        }),
        ..MediaWeather::default()
    };
    let page = MediaWeather {
        login_page: true,
        ..MediaWeather::default()
    };
    let mut found = Vec::new();
    for (media, limit) in [
        (MediaWeather::default(), 10),
        (status(404), 1 << 20),
        (status(401), 1 << 20),
        (status(403), 1 << 20),
        (status(400), 1 << 20),
        (status(503), 1 << 20),
        (elsewhere, 1 << 20),
        (page, 1 << 20),
    ] {
        let error = fetch(media, limit).await;
        found.push(format!("{} {error}", error.may_pass()));
    }
    let size = plant.world_size_of_a_picture().await;
    let expected = [
        &*format!("false it is larger than the 10 bytes that may be: it has {size}"),
        "false Orbit answered 404: it is not there",
        "true Orbit answered 401: the API token is not valid or has not the right to see pictures",
        "false Orbit answered 403: the API token is not valid or has not the right to see pictures",
        "false Orbit answered 400",
        "true Orbit answered 503",
        "true Orbit answered 302, a redirect to https://other.example; is the host right?",
        "true Orbit answered with a page of HTML",
    ];
    assert_eq!(found, expected);
    let before = plant.world.request_count();
    let hostile = plant.enrich.capture("@evil.example/x", 1, Form::Raw).await;
    assert_eq!(hostile, Err(CaptureError::Refused(MediaUrlError::NoSlash)));
    assert_eq!(plant.world.request_count(), before);
}

impl Plant {
    async fn world_size_of_a_picture(&self) -> u64 {
        let media = MediaWeather::default();
        self.world.change_weather(|weather| weather.media = media);
        let picture = self.enrich.capture(PICTURE, 1 << 20, Form::Raw).await;
        picture.unwrap().size
    }
}

#[tokio::test]
async fn no_more_than_three_captures_come_in_at_once() {
    let plant = Plant::patient().await;
    plant.world.put_medium(PICTURE, Medium::Camera);
    plant
        .world
        .change_weather(|weather| weather.media.delay_ms = 50);
    let mut fetching = JoinSet::new();
    for _ in 0..12 {
        let enrich = Arc::clone(&plant.enrich);
        fetching.spawn(async move { enrich.capture(PICTURE, 1 << 20, Form::Raw).await });
    }
    for capture in fetching.join_all().await {
        capture.unwrap();
    }
    assert!(plant.world.most_at_once() <= FETCHES);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn twenty_pictures_of_ten_megabytes_never_take_more_than_the_budget_at_once() {
    let plant = Plant::new(Deadlines {
        fetch: Duration::from_secs(300),
        ..Deadlines::default()
    })
    .await;
    let bytes = 10_000_000;
    let declared = false;
    let filler = Medium::Filler { bytes, declared };
    plant.world.put_medium(PICTURE, filler);
    let (held, most) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
    let mut sending = JoinSet::new();
    for _ in 0..20 {
        let enrich = Arc::clone(&plant.enrich);
        let (held, most) = (Arc::clone(&held), Arc::clone(&most));
        sending.spawn(async move {
            let form = Form::Base64;
            let reservation = enrich.budget().reserve(form.length(bytes)).await;
            // From here on memory may be taken.
            let now = held.fetch_add(reservation.bytes(), Ordering::SeqCst);
            most.fetch_max(now + reservation.bytes(), Ordering::SeqCst);
            let capture = enrich.capture(PICTURE, bytes, form).await.unwrap();
            let taken = u64::try_from(capture.bytes.capacity()).unwrap();
            assert!(taken <= reservation.bytes(), "{taken}");
            assert_eq!(capture.size, bytes);
            drop(capture);
            held.fetch_sub(reservation.bytes(), Ordering::SeqCst);
        });
    }
    while let Some(sent) = sending.join_next().await {
        sent.unwrap();
    }
    let most = most.load(Ordering::SeqCst);
    assert!(most <= BUDGET_BYTES, "{most}");
    assert!(most > BUDGET_BYTES / 2, "{most}: nothing came at once");
    assert_eq!(plant.enrich.budget().reserved(), 0);
}
