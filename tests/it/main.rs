//! Integration tests.

// The modules of a test binary have no outside.
#![allow(unreachable_pub)]

mod action;
mod cli;
mod conformance;
mod contract;
mod discover;
mod docker;
mod end_to_end;
mod fuzz;
mod github;
mod images;
mod oci;
mod prefect;
mod prefect2;
mod registry;
mod sandbox;
#[path = "../services/mod.rs"]
mod services;
mod shards;
mod support;
mod tidy;
