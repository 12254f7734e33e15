//! What the user asked for: flags, environment and files, brought together.

pub mod dotenv;
