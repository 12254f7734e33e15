//! What `bench/pictures.sh` measures with: a simulated Orbit with large pictures, a backend that
//! takes them, and the relay between them as a process of its own.
//!
//! # Invariants
//! - Only loopback addresses are listened on and posted to.
//! - Each picture must arrive whole, or the run fails.

use std::io::Write as _;
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, ensure};
use orbit_relay::clock::Clock;
use orbit_relay::secret::Secret;
use orbit_relay::sim::backend::{Backend, BackendConfig, Tls};
use orbit_relay::sim::orbit::{Orbit, OrbitConfig};
use orbit_relay::sim::plant::Medium;
use serde_json::json;

const TOKEN: &str = "bench";
const BOUND: Duration = Duration::from_mins(5);

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let usage = "RELAY DIRECTORY PORT OPS_PORT PICTURES BYTES";
    let mut next = || arguments.next().context(usage);
    let (relay, directory) = (next()?, next()?);
    let (port, ops): (u16, u16) = (next()?.parse()?, next()?.parse()?);
    let (pictures, bytes): (u64, u64) = (next()?.parse()?, next()?.parse()?);
    measure(&relay, Path::new(&directory), [port, ops], pictures, bytes).await
}

async fn measure(
    relay: &str,
    directory: &Path,
    [port, ops]: [u16; 2],
    pictures: u64,
    bytes: u64,
) -> anyhow::Result<()> {
    let listen: SocketAddr = "127.0.0.1:0".parse()?;
    let clock = Clock::system();
    let orbit = Orbit::start(OrbitConfig {
        listen,
        token: Secret::new(TOKEN.to_owned()),
        seed: 1,
        clock: clock.clone(),
    })
    .await?;
    let backend = Backend::start(BackendConfig {
        listen,
        clock,
        tls: Tls::Off,
    })
    .await?;
    std::fs::write(directory.join("orbit.pem"), orbit.certificate_pem())?;
    let limit = bytes.div_ceil(1000);
    let file = format!(
        "[[destination]]\nname = \"plant\"\nurl = \"{}\"\nimages = \"embed\"\n\
         image_limit = \"{limit}kB\"\nimages_limit = \"{limit}kB\"\n",
        backend.url()
    );
    std::fs::write(directory.join("relay.toml"), file)?;
    let mut child = Relay(start(relay, directory, &orbit, [port, ops])?);
    let world = orbit.world();
    let registered = async {
        while world.webhooks().is_empty() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(BOUND, registered)
        .await
        .context("the relay did not register")?;
    let idle = memory_kb(&child.0, "VmRSS:")?;
    for n in 0..pictures {
        let path = format!("/daq/download/bench/{n}.jpg");
        world.put_medium(
            &path,
            Medium::Filler {
                bytes,
                declared: true,
            },
        );
        let event = json!({
            "uuid": format!("00000000-0000-4000-8000-{n:012}"), "actionName": "Bench",
            "dataCaptures": [{"dataUrl": path, "channelName": "bench"}],
        });
        let posts = world.send("ACTION_COMPLETED", &event).await;
        ensure!(
            posts.iter().all(|post| post.status == Some(200)),
            "an event was refused: {posts:?}"
        );
    }
    let plant = backend.world();
    let all = plant.wait_until(|tally| tally.accepted >= pictures);
    tokio::time::timeout(BOUND, all)
        .await
        .context("not all pictures came in time")?;
    for post in plant.received() {
        // Bodies beyond what the backend keeps are empty.
        let whole = u64::try_from(post.body.len())? > bytes.div_ceil(3) * 4;
        ensure!(
            whole || post.body.is_empty(),
            "a body came without its picture"
        );
    }
    let peak = memory_kb(&child.0, "VmHWM:")?;
    child.0.kill()?;
    let report = format!(
        "pictures: {pictures} of {bytes} bytes, each in a body of its own\n\
         resident at rest: {:.1} MB\npeak: {:.1} MB, {:.1} times as much\n\
         peak per byte of pictures: {:.4}\n",
        mb(idle),
        mb(peak),
        ratio(peak, idle),
        ratio(peak * 1024, pictures * bytes)
    );
    std::io::stdout().write_all(report.as_bytes())?;
    ensure!(peak < 128 * 1024, "the peak is 128 MiB or more");
    Ok(())
}

fn start(
    relay: &str,
    directory: &Path,
    orbit: &Orbit,
    [port, ops]: [u16; 2],
) -> anyhow::Result<Child> {
    let log = std::fs::File::create(directory.join("relay.log"))?;
    let child = Command::new(relay)
        .current_dir(directory)
        .env_clear()
        .env("ORBIT_API_TOKEN", TOKEN)
        .args(["--config", "relay.toml", "--verify", "orbit.pem"])
        .args([
            "--hostname",
            &orbit.addr().to_string(),
            "--webhook-host",
            "127.0.0.1",
        ])
        .args(["--webhook-port", &port.to_string()])
        .args(["--ops-bind", &format!("127.0.0.1:{ops}")])
        .stdout(Stdio::from(log.try_clone()?))
        .stderr(Stdio::from(log))
        .spawn()?;
    Ok(child)
}

/// The relay; it is ended with this.
struct Relay(Child);

impl Drop for Relay {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

/// A line of the kernel's account of a process, in KiB.
fn memory_kb(child: &Child, line: &str) -> anyhow::Result<u64> {
    let status = std::fs::read_to_string(format!("/proc/{}/status", child.id()))?;
    let found = status.lines().find_map(|text| text.strip_prefix(line));
    let number = found.and_then(|text| text.split_whitespace().next());
    Ok(number.context("no such line")?.parse()?)
}

#[expect(
    clippy::as_conversions,
    clippy::cast_precision_loss,
    reason = "figures to look at"
)]
fn mb(kb: u64) -> f64 {
    kb as f64 / 1024.0
}

#[expect(
    clippy::as_conversions,
    clippy::cast_precision_loss,
    reason = "figures to look at"
)]
fn ratio(one: u64, other: u64) -> f64 {
    one as f64 / other as f64
}
