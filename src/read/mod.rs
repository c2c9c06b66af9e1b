//! Reads deployment files and the Python files that they name, without running any of them.

mod deployment;
pub mod document;
mod faults;
pub mod python;
mod schedule;
pub mod template;
