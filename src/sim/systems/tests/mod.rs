//! Each system on its own, asked as its preset asks.
