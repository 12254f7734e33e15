//! More presets end to end: chats, a queue, and systems that make work orders.
//!
//! | module | what it holds the relay to |
//! |---|---|
//! | [`teams`] | cards that Teams takes |
//! | [`slack`] | messages, one a second |
//! | [`kafka`] | records, and a 200 that says that there is none |
//! | [`fiix`] | work orders on their assets, each request signed |
//! | [`upkeep`] | work orders, with a session that may be over |
//! | [`limble`] | tasks, also where what is asked for is passed over |
//! | [`maintainx`] | work orders in the words that it knows |
//! | [`requests`] | what every preset sends of every sample |

mod fiix;
mod kafka;
mod limble;
mod maintainx;
mod requests;
mod slack;
mod teams;
mod upkeep;

use orbit_relay::relay::journal::{DestinationSums, State};
use orbit_relay::sim::backend::Answer as PlantAnswer;
use orbit_relay::sim::systems::base::{Asked, Reply, System};
use serde_json::{Value, json};

use crate::presets::{Plant, alert, file};
use crate::world::{Relay, Site};

/// The asset map: the pump, with what it is called in each system.
const ASSETS: &str = "\
action_name,asset_id,fiix_code,upkeep_id,limble_id,maintainx_id
P-101 motor DE,P-101,PUMP-A,O1L94DYjCv,4201,8901
P-102 motor DE,P-102,,,,
";

/// A chat that is known by its URL, at this path of the system, and that hears of trouble. Beside
/// it there is a system that refuses whatever it gets.
async fn chat<S: System>(system: S, target: &str, preset: &str) -> Plant<S> {
    let mut plant = Plant::new(system, "").await;
    let of_chat = file(&plant.url, &format!("preset = \"{preset}\""));
    let of_chat = of_chat.replace(&format!("{:?}", plant.url), "{ env = \"CHAT_URL\" }");
    let text = format!(
        "notify = [\"plant\"]\n{of_chat}\n[[destination]]\nname = \"strict\"\nurl = \"{}\"\n",
        plant.site.plant_url()
    );
    let url = format!("{}{target}", plant.url);
    plant.site = plant.site.configured(&text).variable("CHAT_URL", &url);
    plant
}

/// An inspection that the system beside the chat refuses, so that there is a notice.
async fn refused(site: &Site, relay: &Relay) {
    site.plant().set_answer(PlantAnswer::Status(422));
    let mut completed = alert(site, 900);
    completed["type"] = json!("ACTION_COMPLETED");
    relay.accept(completed.to_string()).await;
}

/// An alert whose every text is as long as it may be, and hard to write down.
fn endless(site: &Site) -> Value {
    let mut alert = alert(site, 1);
    let long = |what: &str| format!("{what} {}", "\u{1}\"🤖<&>\\".repeat(1_000));
    for name in ["actionName", "missionName", "robotNickname", "title"] {
        alert["data"][name] = long(name).into();
    }
    let capture = &mut alert["data"]["dataCaptures"][0];
    let readings = (0..40).map(
        |n| json!({"name": long(&n.to_string()), "units": long("unit"), "value": long("value")}),
    );
    capture["keyResults"] = readings.collect();
    alert
}

/// Waits until each of so many alerts was tried. There may be notices besides.
async fn until_tried(relay: &Relay, alerts: u64) {
    let tried = |d: &DestinationSums| {
        let waits = d.of(State::Pending) + d.of(State::Sending);
        let ended = [
            State::Delivered,
            State::Postponed,
            State::Parked,
            State::Dead,
        ];
        waits == 0 && ended.map(|state| d.of(state)).iter().sum::<u64>() >= alerts
    };
    relay.until_at("plant", "tried", tried).await;
}

/// A system behind a gateway that loses the answers of some requests: what was asked is done, and
/// the relay is told that nobody knows.
struct Loses<S> {
    system: S,
    which: fn(&Asked) -> bool,
    times: u32,
}

impl<S: System> System for Loses<S> {
    fn answer(&mut self, asked: &Asked, now: jiff::Timestamp) -> Reply {
        let reply = self.system.answer(asked, now);
        if self.times > 0 && (self.which)(asked) {
            self.times -= 1;
            return Reply::empty(504);
        }
        reply
    }
}
