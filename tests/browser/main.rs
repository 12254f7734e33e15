//! The page in a real browser: Debian's Chromium, headless, through its driver.
//!
//! It needs Chromium, its driver, fonts and what npm brings (`apt-get install chromium
//! chromium-driver fonts-dejavu-core fonts-noto-color-emoji nodejs npm` and `npm ci --prefix
//! tests/browser`), and is run by its name: `cargo test --test browser -- --test-threads=1`.
//! `SCREENSHOTS=1` has the pictures of the documents taken anew; for these the Korean name wants
//! `fonts-wqy-microhei` too.
//!
//! | module | what |
//! |---|---|
//! | [`harness`] | that the harness sees what it is there to see |
//! | [`screens`] | every screen: valid, accessible, on a phone too |
//! | [`filled`] | the same with data in them, and their pictures |
//! | [`hostile`] | names that would be something else than text |
//! | [`first_delivered`] | from the first visit to the first delivered inspection |
//! | [`mapping`], [`replaying`], [`uploading`] | what a person decides |
//! | [`scriptless`], [`keyboard`] | the same without scripts, and without a mouse |
//! | [`wrongly`] | somebody guesses a password |
//! | [`refused`] | addresses and forms that are none |
//! | [`live`] | what changes by itself |
//! | [`scene`] | a relay with the page, in a frame, in a browser |
//! | [`driver`] | the browser |
//! | [`framed`] | a page as Orbit shows it |
//! | [`judge`] | axe-core and html-validate |
//! | [`picture`] | pictures of screens |
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod driver;
mod filled;
#[path = "../page/first.rs"]
mod first;
mod first_delivered;
mod framed;
mod harness;
mod hostile;
mod judge;
mod keyboard;
mod live;
mod mapping;
mod picture;
#[path = "../process/mod.rs"]
mod process;
mod refused;
mod replaying;
mod scene;
mod screens;
mod scriptless;
mod uploading;
#[allow(dead_code, reason = "each test program uses its part")]
#[path = "../relay/wire.rs"]
mod wire;
#[allow(dead_code, reason = "each test program uses its part")]
#[path = "../relay/world.rs"]
mod world;
mod wrongly;
