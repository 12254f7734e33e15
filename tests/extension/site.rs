//! A Site Hub, as far as an extension sees one: a folder for each extension, a Docker engine, and
//! Orbit on the host.
//!
//! # Invariants
//! - Whatever is installed on this machine already is never touched: then the test fails.
//! - An upgrade is what the vendor's documents say: the old one is removed, with its folder but for
//!   what its manifest saves, and then the new one is installed. Named volumes stay.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use orbit_relay::clock::Clock;
use orbit_relay::secret::Secret;
use orbit_relay::sim::backend::{Backend, BackendConfig, Tls};
use orbit_relay::sim::orbit::{Orbit, OrbitConfig};
use serde_json::Value;
use tempfile::TempDir;
use tokio::sync::{Mutex, MutexGuard};

use crate::docker::{self, docker, try_run, until};
use crate::process::{Answer, Web};

/// The relay's container.
pub(crate) const RELAY: &str = "orbit-relay";
/// The version after this one, as `run.sh` makes it.
pub(crate) const NEXT: &str = "999.0.0";
/// Orbit's API token.
pub(crate) const TOKEN: &str = "token-of-the-simulated-orbit";

const EXTENSIONS: &str = "/data/.extensions";
/// Where its data lies.
pub(crate) const VOLUME: &str = "orbit-relay-data";

/// There is one machine.
static MACHINE: Mutex<()> = Mutex::const_new(());

pub(crate) struct Site {
    web: Web,
    made: TempDir,
    installed: RefCell<BTreeSet<PathBuf>>,
    _machine: MutexGuard<'static, ()>,
}

impl Site {
    /// One without extensions.
    pub(crate) async fn empty() -> Self {
        let machine = MACHINE.lock().await;
        let folders = ["orbit-relay", "orbit-relay-config"].map(folder);
        for folder in folders {
            let there = folder.exists();
            assert!(!there, "{} is there: not touched", folder.display());
        }
        let volumes = docker(&["volume", "ls", "--quiet"]);
        assert!(
            !volumes.lines().any(|name| name == VOLUME),
            "a relay was installed on this machine: its volume {VOLUME} is not touched"
        );
        Self {
            web: Web::new(),
            made: tempfile::tempdir().unwrap(),
            installed: RefCell::default(),
            _machine: machine,
        }
    }

    /// Orbit on the host, at the port where the extension looks for it.
    pub(crate) async fn orbit(&self) -> Orbit {
        let started = Orbit::start(OrbitConfig {
            listen: format!("{}:443", docker::gateway()).parse().unwrap(),
            token: Secret::new(TOKEN.to_owned()),
            seed: 5,
            clock: Clock::system(),
        });
        started.await.unwrap()
    }

    /// The plant's system.
    pub(crate) async fn plant(&self) -> Backend {
        let started = Backend::start(BackendConfig {
            listen: any_port_of_the_gateway(),
            clock: Clock::system(),
            tls: Tls::Off,
        });
        started.await.unwrap()
    }

    /// A package with settings in it.
    pub(crate) fn configured(&self, settings: &[(&str, &str)]) -> PathBuf {
        let env = self.made.path().join("settings");
        std::fs::write(&env, dotenv(settings)).unwrap();
        self.build(&["--env", env.to_str().unwrap(), "--binary", &binary()])
    }

    /// A configuration extension of these files.
    pub(crate) fn configuration(&self, version: &str, files: &[(&str, &str)]) -> PathBuf {
        let dir = self.made.path().join(version);
        std::fs::create_dir(&dir).unwrap();
        for (name, text) in files {
            std::fs::write(dir.join(name), text).unwrap();
        }
        self.build(&["--config-only", dir.to_str().unwrap(), "--version", version])
    }

    fn build(&self, arguments: &[&str]) -> PathBuf {
        let out = self.made.path().join("dist");
        let out_dir = out.to_str().unwrap();
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/build_spx.sh");
        let said = docker::run(script, &[&["--out", out_dir], arguments].concat(), None);
        let (path, _) = said.split_once(": ").unwrap();
        path.into()
    }

    /// Unpacks the package, loads its image, starts it; removes the one of the same name before.
    pub(crate) fn install(&self, spx: &Path) {
        let unpacked = tempfile::tempdir().unwrap();
        unpack(spx, unpacked.path());
        let manifest = manifest(unpacked.path());
        let name = manifest["extension_name"].as_str().unwrap();
        assert_eq!(manifest["installation_target"], "orbit");
        let folder = folder(name);
        if folder.join("manifest.json").exists() {
            remove(&folder);
        } else if folder.exists() {
            // Docker made it for a container that wanted it; what is installed is a new one.
            std::fs::remove_dir(&folder).unwrap();
        }
        std::fs::create_dir_all(&folder).unwrap();
        self.installed.borrow_mut().insert(folder.clone());
        unpack(spx, &folder);
        for image in manifest["images"].as_array().into_iter().flatten() {
            let archive = folder.join(image.as_str().unwrap());
            docker(&["load", "--input", archive.to_str().unwrap()]);
        }
        if folder.join("docker-compose.yml").exists() {
            compose(&folder, &["up", "--detach"]);
        }
    }

    /// What the relay answers at its ops port.
    pub(crate) async fn ops(&self, path: &str) -> Option<Answer> {
        let url = format!("http://127.0.0.1:22101{path}");
        self.web.get(&url).await.ok()
    }

    /// Waits until `/readyz` says what is wanted.
    pub(crate) async fn until_ready(&self, wanted: impl Fn(&Value) -> bool) -> Value {
        let mut seen = Value::Null;
        let asking = async {
            loop {
                if let Some(answer) = self.ops("/readyz").await {
                    seen = serde_json::from_str(&answer.body).unwrap();
                    if wanted(&seen) {
                        return;
                    }
                }
                tokio::time::sleep(std::time::Duration::from_millis(100)).await;
            }
        };
        let answered = tokio::time::timeout(docker::PATIENCE, asking).await;
        assert!(answered.is_ok(), "{seen:#}\n{}", docker::logs(RELAY));
        seen
    }

    /// Waits until our webhook is in Orbit.
    pub(crate) async fn until_registered(&self) {
        self.until_ready(|ready| ready["orbit"]["status"] == "registered")
            .await;
    }

    /// Waits until Docker says this of the container's health.
    pub(crate) async fn until_health(&self, wanted: &str) {
        let found = until(|| {
            let state = docker::Container::state_of(RELAY);
            (state["State"]["Health"]["Status"] == wanted).then_some(())
        });
        assert!(found.await.is_some(), "{}", docker::logs(RELAY));
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        for folder in self.installed.borrow().iter() {
            if folder.join("docker-compose.yml").exists() {
                try_run("docker-compose", &["kill"], Some(folder));
                try_run("docker-compose", &["down", "--volumes"], Some(folder));
            }
            std::fs::remove_dir_all(folder).ok();
        }
        // Docker made it where nobody installed one; it is empty then.
        std::fs::remove_dir(folder("orbit-relay-config")).ok();
    }
}

/// The folder of an extension.
fn folder(name: &str) -> PathBuf {
    Path::new(EXTENSIONS).join(name)
}

fn compose(folder: &Path, arguments: &[&str]) {
    docker::run("docker-compose", arguments, Some(folder));
}

/// Removes an extension, and all of its folder that its manifest does not save.
fn remove(folder: &Path) {
    if folder.join("docker-compose.yml").exists() {
        compose(folder, &["down"]);
    }
    let manifest = manifest(folder);
    let saved = |name: &str| {
        let lists = ["files_to_save", "directories_to_save"].map(|list| &manifest[list]);
        let mut names = lists.into_iter().filter_map(Value::as_array).flatten();
        names.any(|saved| saved == name)
    };
    for entry in std::fs::read_dir(folder).unwrap() {
        let entry = entry.unwrap();
        if saved(entry.file_name().to_str().unwrap()) {
            continue;
        }
        if entry.file_type().unwrap().is_dir() {
            std::fs::remove_dir_all(entry.path()).unwrap();
        } else {
            std::fs::remove_file(entry.path()).unwrap();
        }
    }
}

pub(crate) fn unpack(spx: &Path, into: &Path) {
    let (spx, into) = (spx.to_str().unwrap(), into.to_str().unwrap());
    docker::run("tar", &["-xzf", spx, "-C", into], None);
}

pub(crate) fn manifest(folder: &Path) -> Value {
    serde_json::from_slice(&std::fs::read(folder.join("manifest.json")).unwrap()).unwrap()
}

/// The stock package of this version.
pub(crate) fn stock() -> PathBuf {
    built("dist", env!("CARGO_PKG_VERSION"))
}

/// The one of the version after this, which has another schema.
pub(crate) fn next() -> PathBuf {
    built("target/next/dist", NEXT)
}

fn built(dist: &str, version: &str) -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let path = root.join(dist).join(format!("orbit-relay-{version}.spx"));
    let how = "tests/extension/run.sh builds it";
    assert!(path.exists(), "{} is missing: {how}", path.display());
    path
}

/// The program that the stock package has.
fn binary() -> String {
    let target = std::env::var("CARGO_TARGET_DIR");
    let target = target.unwrap_or_else(|_| concat!(env!("CARGO_MANIFEST_DIR"), "/target").into());
    format!("{target}/x86_64-unknown-linux-musl/ship/orbit-relay")
}

fn dotenv(settings: &[(&str, &str)]) -> String {
    let lines = settings
        .iter()
        .map(|(name, value)| format!("{name}='{value}'\n"));
    lines.collect()
}

/// A port of the host as containers see it.
pub(crate) fn any_port_of_the_gateway() -> SocketAddr {
    format!("{}:0", docker::gateway()).parse().unwrap()
}
