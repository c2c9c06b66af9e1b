//! `maturin`, which makes wheels.

use std::path::PathBuf;

use super::process;

/// The folder that it is installed in, with the programs `maturin` and `python` in `bin`.
pub(crate) fn folder() -> PathBuf {
    process::venv("maturin", "maturin==1.16.0\n")
}
