//! Docker, as its command line shows it.
//!
//! # Invariants
//! - A command that fails shows what it said; none is tried again.

use std::path::Path;
use std::process::{Command, Output};
use std::time::Duration;

use serde_json::Value;

/// For whatever Docker has to start or stop.
pub(crate) const PATIENCE: Duration = Duration::from_mins(1);

/// Runs a command to its end; gives what it wrote to standard output.
pub(crate) fn run(program: &str, arguments: &[&str], directory: Option<&Path>) -> String {
    let output = try_run(program, arguments, directory);
    let out = String::from_utf8_lossy(&output.stdout).into_owned();
    let err = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success(),
        "{program} {arguments:?}: {}\n{out}{err}",
        output.status
    );
    out
}

/// The same, whatever becomes of it.
pub(crate) fn try_run(program: &str, arguments: &[&str], directory: Option<&Path>) -> Output {
    let mut command = Command::new(program);
    command.args(arguments);
    if let Some(directory) = directory {
        command.current_dir(directory);
    }
    let ran = command.output();
    ran.unwrap_or_else(|e| panic!("{program} is needed for this test: {e}"))
}

pub(crate) fn docker(arguments: &[&str]) -> String {
    run("docker", arguments, None)
}

/// The address that the host has in the network of its containers.
pub(crate) fn gateway() -> String {
    let network: Value = serde_json::from_str(&docker(&["network", "inspect", "bridge"])).unwrap();
    let config = &network[0]["IPAM"]["Config"][0];
    if let Some(gateway) = config["Gateway"].as_str() {
        return gateway.to_owned();
    }
    // A network without containers may not name it; it is the first address.
    let subnet = config["Subnet"].as_str().unwrap();
    let (network, _) = subnet.rsplit_once('.').unwrap();
    format!("{network}.1")
}

/// A container, removed when this is dropped.
pub(crate) struct Container(String);

impl Container {
    /// Starts one; what follows `docker run --detach`.
    pub(crate) fn run(arguments: &[&str]) -> Self {
        let id = docker(&[&["run", "--detach"], arguments].concat());
        Self(id.trim().to_owned())
    }

    /// One that somebody else starts and removes.
    pub(crate) fn state_of(name: &str) -> Value {
        let inspected = docker(&["inspect", name]);
        let mut inspected: Value = serde_json::from_str(&inspected).unwrap();
        inspected[0].take()
    }

    pub(crate) fn inspect(&self) -> Value {
        Self::state_of(&self.0)
    }

    pub(crate) fn logs(&self) -> String {
        logs(&self.0)
    }

    /// Waits for a log line that holds this.
    pub(crate) async fn line(&self, what: &str) -> String {
        line(&self.0, what).await
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        try_run("docker", &["rm", "--force", "--volumes", &self.0], None);
    }
}

/// What a container has written.
pub(crate) fn logs(name: &str) -> String {
    let output = try_run("docker", &["logs", name], None);
    let mut text = String::from_utf8_lossy(&output.stdout).into_owned();
    text += &String::from_utf8_lossy(&output.stderr);
    text
}

/// Waits for a log line that holds this.
pub(crate) async fn line(name: &str, what: &str) -> String {
    let found = until(|| {
        let logs = logs(name);
        logs.lines()
            .find(|line| line.contains(what))
            .map(str::to_owned)
    });
    let found = found.await;
    found.unwrap_or_else(|| panic!("no line with {what:?} in\n{}", logs(name)))
}

/// Waits until there is something, for [`PATIENCE`].
pub(crate) async fn until<T>(mut look: impl FnMut() -> Option<T>) -> Option<T> {
    let looking = async {
        loop {
            if let Some(found) = look() {
                return found;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    tokio::time::timeout(PATIENCE, looking).await.ok()
}

/// Waits for what must come, for [`PATIENCE`].
pub(crate) async fn soon<T>(what: impl Future<Output = T>) -> T {
    let came = tokio::time::timeout(PATIENCE, what).await;
    came.expect("it comes in time")
}
