//! Integration tests.

#[path = "../services/mod.rs"]
mod services;

mod prefect;
