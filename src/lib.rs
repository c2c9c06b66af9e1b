//! flowyard: a GitOps deploy runner for data-flow monorepos.

pub mod backend;
pub mod discover;
pub mod model;
pub mod read;
