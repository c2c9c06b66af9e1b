//! `uv`, which makes Python environments.

use std::path::PathBuf;

use super::process;

/// The folder that it is installed in, with the program in `bin`.
pub(crate) fn folder() -> PathBuf {
    process::venv("uv", "uv==0.13.9\n")
}
