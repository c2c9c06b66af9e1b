//! `buildah` and `skopeo`, Debian's packages: programs that make and copy images without a daemon.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::process;

/// A storage of buildah's own, removed on drop.
pub(crate) struct Buildah {
    folder: PathBuf,
}

impl Buildah {
    /// An empty one.
    pub(crate) fn new() -> Self {
        Self {
            folder: process::folder("buildah"),
        }
    }

    /// Where it keeps what.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// The flags before the command's name that lead to this storage. `vfs` works on every file system.
    pub(crate) fn flags(&self) -> Vec<String> {
        let path = |name| self.folder.join(name).display().to_string();
        [
            "--storage-driver",
            "vfs",
            "--root",
            &path("root"),
            "--runroot",
            &path("run"),
        ]
        .map(str::to_owned)
        .to_vec()
    }
}

impl Drop for Buildah {
    fn drop(&mut self) {
        // Nothing is mounted: vfs copies, and chroot isolation has mounts of its own.
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

/// A command of skopeo's that takes images without signatures.
pub(crate) fn skopeo() -> Command {
    let mut command = Command::new("skopeo");
    command.arg("--insecure-policy");
    command
}
