//! flowyard: a GitOps deploy runner for data-flow monorepos.

pub mod apply;
pub mod backend;
pub mod cli;
pub mod config;
pub mod connect;
pub mod discover;
pub mod error;
pub mod model;
pub mod observe;
pub mod plan;
pub mod read;
pub mod report;
pub mod run;
pub mod state;
