//! Integration tests.

mod end_to_end;
#[path = "../services/mod.rs"]
mod services;
mod support;
