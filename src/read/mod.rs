//! Reads deployment files and the Python files that they name, without running any of them.

pub mod code;
pub mod python;
