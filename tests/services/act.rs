//! `act`, which runs workflows of GitHub Actions on this machine.

use std::path::PathBuf;

use super::process;

/// The program, installed on first use. Others than its authors pack it for Python, so its content is pinned as well.
pub(crate) fn bin() -> PathBuf {
    const PIN: &str = "--require-hashes\nact-bin==0.2.89 \
        --hash=sha256:cd0c9d1178363298a5626338b94197d1618cf28990f6a56ff34c2fc7e37f7d94\n";
    process::venv("act", PIN).join("bin/act")
}
