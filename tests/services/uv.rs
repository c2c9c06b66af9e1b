//! `uv`, which makes Python environments.

use std::path::PathBuf;

use super::process;

/// The folder that it is installed in, with the program in `bin`.
pub(crate) fn folder() -> PathBuf {
    process::venv("uv", "uv==0.13.9\n")
}

/// The cache folder of the environments that flowyard has `uv` make, which all tests share: each takes half a minute.
pub(crate) fn environments() -> PathBuf {
    process::installed("python-environments", "1", |_| {})
}
