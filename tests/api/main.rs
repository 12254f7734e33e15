//! The JSON API against its own document: `ask.py` asks without a good token, and has schemathesis
//! make up the rest.
//!
//! It needs a Python environment and a network of its own, and is run by `tests/api/run.sh`.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test fails by panicking"
)]

#[path = "../page/first.rs"]
mod first;
#[allow(dead_code, reason = "each test program uses its part")]
#[path = "../page/markup.rs"]
mod markup;
mod planted;
mod relay;
#[allow(dead_code, reason = "each test program uses its part")]
#[path = "../page/visitor.rs"]
mod visitor;
#[allow(dead_code, reason = "each test program uses its part")]
#[path = "../relay/wire.rs"]
mod wire;
#[allow(dead_code, reason = "each test program uses its part")]
#[path = "../relay/world.rs"]
mod world;

use std::path::Path;
use std::process::Command;

/// Asks everything; gives whether all was well, and what was said.
#[expect(clippy::disallowed_methods, reason = "it is no setting of the relay's")]
async fn ask(url: String, token: &str, examples: u32) -> (bool, String) {
    let python = std::env::var("API_PYTHON").expect("it is run by tests/api/run.sh");
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/api/ask.py");
    let mut command = Command::new(python);
    command.arg(script).arg(url).arg(token);
    command.arg(examples.to_string());
    // The server is in this process.
    let asking = tokio::task::spawn_blocking(move || command.output().unwrap());
    let output = asking.await.unwrap();
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said).into_owned();
    (output.status.success(), said)
}
