//! Step 2 of the path: is this request from who it says it is? One file per scheme, all pure, and
//! the keys that are accepted now.

mod keys;
pub mod orbit;
mod parts;
mod refusal;
pub mod scheme;
pub mod standard;

pub use self::keys::{Keys, Previous};
pub use self::refusal::Refusal;
pub use self::scheme::{Headers, Scheme};
