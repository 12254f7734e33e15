//! Step 2 of the path: is this request from who it says it is? One file per scheme, all pure, and
//! the keys that are accepted now.

mod github;
mod hmac;
mod keys;
pub mod orbit;
mod parts;
mod refusal;
mod samples;
pub mod scheme;
mod servo;
mod slack;
pub mod standard;
mod stripe;
mod token;
#[cfg(test)]
mod trials;
mod up42;

pub use self::keys::{Keys, Previous};
pub use self::refusal::Refusal;
pub use self::scheme::{Headers, Scheme};
