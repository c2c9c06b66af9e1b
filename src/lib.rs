//! flowyard: a GitOps deploy runner for data-flow monorepos.

pub mod apply;
pub mod backend;
pub mod model;
pub mod plan;
pub mod read;
pub mod report;
