//! Robots that inspect the plant: the same again for the same seed.
//!
//! One action in about six finds something, one in about twenty-five fails.
//!
//! # Invariants
//! - Same seed, same count, same clock: the same inspections. Only times come from outside.

use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::model::{Anomaly, KeyResult, Run, RunCapture, RunEvent, javascript_time, postgres_time};
use super::random::Random;
use super::site::{Action, Kind, MISSIONS, Mission, Robot};

/// What lies behind a path under `/daq/download/`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Medium {
    /// A thermal picture.
    Thermal,
    /// A picture of the camera.
    Camera,
    /// The action's `metadata.json`, which says where it lies.
    Metadata,
    /// The beginning of a picture, and then the same byte again; nothing of it is kept.
    Filler {
        /// How many bytes it has.
        bytes: u64,
        /// Whether the answer says so before.
        declared: bool,
    },
}

/// An inspection that a robot has finished, with all that Orbit then knows.
#[derive(Clone, Debug)]
pub struct Finished {
    /// What took place, as Orbit tells it.
    pub event: RunEvent,
    /// When it took place on the robot.
    pub time: Timestamp,
    /// When Orbit stored it.
    pub created_at: Timestamp,
    /// The element of the site that it is about.
    pub element_id: String,
    /// Who did it.
    pub robot: Robot,
    /// The lap that it belongs to, as it stands now.
    pub run: Run,
    /// What was found, if anything.
    pub anomaly: Option<Anomaly>,
    /// What can be downloaded: path and content.
    pub media: Vec<(String, Medium)>,
}

/// The plant and its robots.
#[derive(Clone, Debug)]
pub struct Plant {
    random: Random,
    laps: Vec<Lap>,
}

/// Where one mission stands. The ids of actions and elements outlive a lap.
#[derive(Clone, Debug)]
struct Lap {
    mission: &'static Mission,
    ids: Vec<Ids>,
    run: Option<Run>,
}

#[derive(Clone, Debug)]
struct Ids {
    action: String,
    element: String,
}

impl Plant {
    /// The plant of `seed`.
    pub fn new(seed: u64) -> Self {
        let mut random = Random::new(seed);
        let mut laps = Vec::new();
        for mission in MISSIONS {
            let mut ids = Vec::new();
            for _ in mission.actions {
                ids.push(Ids {
                    action: random.uuid(),
                    element: random.uuid(),
                });
            }
            laps.push(Lap {
                mission,
                ids,
                run: None,
            });
        }
        Self { random, laps }
    }

    /// The next inspection. One of the robots has just handed it to Orbit.
    #[expect(clippy::missing_panics_doc, reason = "the plant has missions")]
    pub fn inspect(&mut self, now: Timestamp) -> Finished {
        let Self { random, laps } = self;
        let which = random.below(u32::try_from(laps.len()).unwrap_or(0));
        let lap = laps
            .get_mut(usize::try_from(which).unwrap_or(0))
            .expect("a number below their count picks one of the missions");
        lap.next(random, now)
    }
}

impl Lap {
    fn next(&mut self, random: &mut Random, now: Timestamp) -> Finished {
        let created_at = to_milliseconds(now);
        let age = Duration::from_micros(4_000_000 + u64::from(random.below(20_000_000)));
        let time = created_at.checked_sub(age).unwrap_or(created_at);

        let robot = self.mission.robot;
        let actions = self.mission.actions;
        let mut run = match self.run.take() {
            Some(run) => run,
            None => new_run(self.mission, random.uuid(), time),
        };
        let done = run.action_count - run.pending_action_count;
        let (action, ids) = actions
            .iter()
            .zip(&self.ids)
            .nth(done)
            .expect("a lap that has no action left was not kept");
        run.pending_action_count -= 1;

        let failed = random.below(25) == 0;
        let found = random.below(6) == 0 && !failed;
        let mut event = RunEvent {
            uuid: random.uuid(),
            run_uuid: run.uuid.clone(),
            time: javascript_time(time),
            created_at: javascript_time(created_at),
            action_name: action.name.to_owned(),
            action_uuid: ids.action.clone(),
            mission_name: self.mission.name.to_owned(),
            event_type: "daq",
            error: if failed { 7 } else { 0 },
            metadata_file_url: format!("{}/metadata.json", folder(robot, time, action.name)),
            element_id: action.known_to_orbit.map(|_| ids.element.clone()),
            asset_id: action.known_to_orbit.map(str::to_owned),
            severity: None,
            title: None,
            data_captures: Vec::new(),
        };
        let mut media = vec![(event.metadata_file_url.clone(), Medium::Metadata)];
        if !failed {
            for (channel_name, medium, key_results) in captures(action.kind, found, random) {
                let data_url = format!(
                    "{}/{} {channel_name}.jpg",
                    folder(robot, time, action.name),
                    action.name
                );
                media.push((data_url.clone(), medium));
                event.data_captures.push(RunCapture {
                    time: postgres_time(time),
                    uuid: random.uuid(),
                    data_url,
                    created_at: postgres_time(created_at),
                    key_results,
                    channel_name,
                });
            }
        }
        let anomaly = found.then(|| {
            let anomaly = finding(random, &event, action, ids);
            if action.known_to_orbit.is_some() {
                event.severity = Some(anomaly.severity);
                event.title = Some(anomaly.title.clone());
            }
            anomaly
        });
        if run.pending_action_count == 0 {
            run.mission_status = "SUCCESS";
            run.end_time = Some(event.created_at.clone());
        } else {
            self.run = Some(run.clone());
        }
        Finished {
            event,
            time,
            created_at,
            element_id: ids.element.clone(),
            robot,
            run,
            anomaly,
            media,
        }
    }
}

fn new_run(mission: &Mission, uuid: String, start: Timestamp) -> Run {
    Run {
        uuid,
        run_type: "mission",
        start_time: javascript_time(start),
        end_time: None,
        action_count: mission.actions.len(),
        pending_action_count: mission.actions.len(),
        robot_nickname: mission.robot.nickname,
        robot_hostname: mission.robot.hostname,
        robot_serial: mission.robot.serial,
        operator_id: "",
        mission_status: "RUNNING",
        mission_name: mission.name.to_owned(),
    }
}

/// The action's name stands in the path as it is: Orbit encodes nothing.
fn folder(robot: Robot, time: Timestamp, action: &str) -> String {
    let second = time.strftime("%Y-%m-%dT%H%M%SZ");
    format!("/daq/download/{}/{second}/{action}", robot.nickname)
}

fn finding(random: &mut Random, event: &RunEvent, action: &Action, ids: &Ids) -> Anomaly {
    let title = match action.kind {
        Kind::Thermal => "Temperature above threshold",
        Kind::Leak => "Leak detected",
        Kind::Sound => "Sound level above threshold",
        Kind::Gauge(_) => "Reading out of range",
        Kind::YesNo(_) => "Answer is not as expected",
    };
    Anomaly {
        uuid: random.uuid(),
        time: event.time.clone(),
        created_at: event.created_at.clone(),
        element_id: ids.element.clone(),
        asset_id: event.asset_id.clone(),
        name: event.action_name.clone(),
        severity: random.pick(&[2, 3, 4]).copied().unwrap_or(4),
        title: title.to_owned(),
        source: "",
        run_uuid: event.run_uuid.clone(),
        run_event_uuid: event.uuid.clone(),
        status: "open".to_owned(),
        status_modified_at: event.created_at.clone(),
        status_modified_by: None,
    }
}

type Capture = (&'static str, Medium, Option<Vec<KeyResult>>);

fn captures(kind: Kind, found: bool, random: &mut Random) -> Vec<Capture> {
    let reading = |name, units, value: Value| KeyResult { name, units, value };
    let results = match kind {
        Kind::Thermal => {
            let (low, high) = if found { (84, 112) } else { (38, 66) };
            vec![
                reading(
                    "Region 1 Max",
                    Some("C"),
                    json!(random.between(low, high, 10)),
                ),
                reading("Region 2 Max", Some("C"), json!(random.between(20, 30, 2))),
            ]
        }
        Kind::Leak => {
            let rate = random.between(1, 9, 1) / if found { 100_000.0 } else { 1e8 };
            vec![
                reading(
                    "SPL At Source",
                    Some("dB"),
                    json!(random.between(40, 60, 10)),
                ),
                reading("Leak Rate", Some("m3/s"), json!(rate)),
                reading("Distance", Some("m"), Value::Null),
            ]
        }
        Kind::Sound => {
            let (low, high) = if found { (92, 104) } else { (60, 80) };
            vec![
                reading("SPL", Some("dB"), json!(random.between(low, high, 100))),
                reading("SPL Threshold", Some("dB"), json!(90)),
            ]
        }
        Kind::Gauge(name) => {
            let (low, high) = if found { (90, 99) } else { (40, 60) };
            // Orbit's gauge readings come as text.
            let shown = random.between(low, high, 10).to_string();
            vec![
                reading(name, None, json!(shown)),
                reading("Confidence", None, json!(random.between(0, 10, 10) / 10.0)),
            ]
        }
        Kind::YesNo(question) => {
            let answer = if found { "No, it is not." } else { "Yes." };
            vec![
                reading(question, None, json!(!found)),
                reading("Answer", None, json!(answer)),
            ]
        }
    };
    match kind {
        Kind::Thermal => vec![
            ("spot-cam-ir", Medium::Thermal, Some(results)),
            ("spot-cam-ptz", Medium::Camera, None),
        ],
        Kind::Leak => vec![("leak-source", Medium::Camera, Some(results))],
        Kind::Sound => vec![("acoustic-mechanical", Medium::Camera, Some(results))],
        Kind::Gauge(_) => vec![("gauge", Medium::Camera, Some(results))],
        Kind::YesNo(_) => vec![("aivi", Medium::Camera, Some(results))],
    }
}

fn to_milliseconds(time: Timestamp) -> Timestamp {
    Timestamp::from_millisecond(time.as_millisecond()).unwrap_or(time)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sim::javascript::stringify;

    fn lap(seed: u64, count: usize) -> Vec<Finished> {
        let mut plant = Plant::new(seed);
        let now = "2026-02-03T09:14:06.931Z".parse().unwrap();
        (0..count).map(|_| plant.inspect(now)).collect()
    }

    #[test]
    fn the_same_seed_gives_the_same_inspections() {
        let bytes = |seed| {
            let events = lap(seed, 200);
            events
                .iter()
                .map(|finished| stringify(&finished.event).unwrap())
                .collect::<Vec<_>>()
        };
        assert_eq!(bytes(7), bytes(7));
        assert_ne!(bytes(7), bytes(8));
    }

    #[test]
    fn about_one_inspection_in_six_is_an_alert() {
        let alerts = lap(1, 600).iter().filter(|f| f.anomaly.is_some()).count();
        assert!((70..130).contains(&alerts), "{alerts}");
    }

    #[test]
    fn a_run_ends_with_the_last_action_of_its_mission() {
        for finished in lap(2, 100) {
            let run = finished.run;
            assert_eq!(run.pending_action_count == 0, run.end_time.is_some());
            assert_eq!(run.uuid, finished.event.run_uuid);
        }
    }
}
