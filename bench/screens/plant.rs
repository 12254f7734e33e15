//! What a plant sends: 12 robots, 30 missions, 200 actions, 150 assets.
//!
//! # Invariants
//! - An event follows from its number and its time.

use jiff::Timestamp;
use orbit_relay::event::{ALERT, COMPLETED, Event, Identity, ORBIT, Origin};

const ROBOTS: u32 = 12;
const MISSIONS: u32 = 30;
const ACTIONS: u32 = 200;
const ASSETS: u32 = 150;
/// The last actions have no asset: one in a hundred events.
const UNMAPPED: u32 = 2;

/// What stands where, of 50.
const KINDS: [&str; 5] = ["Pump", "Compressor", "Transformer", "Valve", "Motor"];
const PLACES: [&str; 4] = ["bearing NDE", "bearing DE", "housing", "gauge"];

/// What an event is about.
pub(super) struct About {
    action: u32,
    robot: u32,
    mission: u32,
    number: u32,
}

impl About {
    pub(super) fn of(number: u32) -> Self {
        let spread = number.wrapping_mul(2_654_435_761) >> 8;
        let action = spread % ACTIONS;
        Self {
            action,
            robot: (spread / ACTIONS) % ROBOTS,
            // Each action is part of three missions.
            mission: (action * 7 + (spread / 4096) % 3 * 11) % MISSIONS,
            number,
        }
    }

    /// None where no row of the asset map is about it.
    pub(super) fn asset(&self) -> Option<String> {
        asset(self.action)
    }

    pub(super) fn action(&self) -> String {
        action(self.action)
    }

    pub(super) fn is_alert(&self) -> bool {
        self.number % 20 == 3
    }

    pub(super) fn event(&self, at: Timestamp) -> Event {
        let n = self.number;
        let event_type = if self.is_alert() { ALERT } else { COMPLETED };
        let (uuid, envelope, capture) = (uuid(n, 0), uuid(n, 1), uuid(n, 2));
        let (action, mission) = (self.action(), mission(self.mission));
        let robot = robot(self.robot);
        let degrees = f64::from(400 + (n % 97) * 3) / 10.0;
        let body = format!(
            r#"{{"uuid":"{envelope}","type":"{event_type}","time":"{at:.3}","data":{{"uuid":"{uuid}","runUuid":"{run}","time":"{at:.3}","createdAt":"{at:.3}","actionName":"{action}","missionName":"{mission}","robotNickname":"{robot}","eventType":"daq","error":0,"metadataFileUrl":"/daq/download/{robot}/{n}/{action}/metadata.json","dataCaptures":[{{"time":"{at:.3}","uuid":"{capture}","dataUrl":"/daq/download/{robot}/{n}/{action}/spot-cam-ir.jpg","createdAt":"{at:.3}","keyResults":[{{"name":"Max","units":"C","value":{degrees}}},{{"name":"Min","units":"C","value":{least}}}],"channelName":"spot-cam-ir"}}]}}}}"#,
            run = self::uuid(n / 40, 3),
            least = degrees - 11.5,
        );
        Event {
            source: ORBIT.to_owned(),
            event_type: event_type.to_owned(),
            identity: Identity::RunEvent(uuid.to_string()),
            origin: Origin::Webhook,
            received_at: at,
            body: body.into_bytes(),
        }
    }
}

/// The asset map.
pub(super) fn map() -> String {
    let rows = (0..ACTIONS)
        .filter_map(|n| Some(format!("{},{},Hall {}\n", action(n), asset(n)?, n % 6 + 1)));
    std::iter::once("action_name,asset_id,area\n".to_owned())
        .chain(rows)
        .collect()
}

/// A robot, a mission, an action and an asset that there are.
pub(super) fn names() -> [String; 4] {
    let about = About::of(7);
    let asset = about.asset().unwrap_or_default();
    [
        robot(about.robot),
        mission(about.mission),
        about.action(),
        asset,
    ]
}

fn robot(n: u32) -> String {
    format!("spot-{}", n + 1)
}

fn mission(n: u32) -> String {
    format!("Round {} of hall {}", n % 5 + 1, n / 5 + 1)
}

fn action(n: u32) -> String {
    format!("{} P-{} {}", part(&KINDS, n), 100 + n / 4, part(&PLACES, n))
}

fn asset(n: u32) -> Option<String> {
    (n < ACTIONS - UNMAPPED).then(|| format!("AS-{:04}", n % ASSETS + 1))
}

fn part<'a>(of: &[&'a str], n: u32) -> &'a str {
    let place = usize::try_from(n).unwrap_or(0) % of.len().max(1);
    of.get(place).copied().unwrap_or_default()
}

/// Distinct for each pair, and spread as random ones are.
fn uuid(n: u32, part: u32) -> uuid::Uuid {
    let mut bits: u128 = (u128::from(n) << 64) | u128::from(part);
    for _ in 0..3 {
        // Odd, so that nothing is lost in the product.
        bits = bits.wrapping_mul(0x2d99_787a_d9e2_1f6f_9e37_79b9_7f4a_7c15);
        bits ^= bits >> 61;
    }
    uuid::Builder::from_random_bytes(bits.to_be_bytes()).into_uuid()
}
