//! Integration tests.

// The modules of a test binary have no outside.
#![allow(unreachable_pub)]

#[path = "../services/mod.rs"]
mod services;

mod contract;
mod discover;
mod tidy;
