//! Step 2 of the path: is this request from who it says it is? One file per scheme, all pure.

pub mod orbit;
pub mod standard;
