//! The contract of the journal, on a real file system.
