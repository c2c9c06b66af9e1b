//! The layer of Python packages, chosen and fetched by `uv`, of wheels alone: no code of a package runs.
//!
//! # Where packages go
//!
//! Into `/opt/flowyard/site-packages`, which `PYTHONPATH` names, with their programs in `/opt/flowyard/bin`, first on
//! `PATH`. The base's own packages stay where they are; of two versions of one package, ours is found first. Python reads
//! no `.pth` files in folders of `PYTHONPATH`; where a package brings one, a `sitecustomize.py` beside it has them read
//! ([`install`]).
//!
//! # The same bytes on every machine
//!
//! What `uv` installs differs between machines in the first lines of programs (the interpreter of this machine), in the rows
//! of `RECORD` about them, and in notes of its own (`.lock`, `uv_cache.json`). All of that is put right while the layer
//! is written; the files on disk, which are hard links into `uv`'s cache, are never touched.
//!
//! # Byte code
//!
//! Packages are compiled only where `bytecode = true` asks for it ([`bytecode`]), because that is a trade: every new
//! container imports faster, and every new layer takes longer to make, to send and to pull. It also needs a Python of the
//! base's minor release on the machine that builds, and the bytes are those of its exact version: the same on every machine
//! with the same patch release (two machines' worth of 4,773 files were equal, whatever the number of processes), not
//! promised between 3.11.2 and 3.11.7. Within one repository the layer is made once and found again all the same, because
//! it is looked for by its inputs. Numbers are in `benches/README.md`.
//!
//! A container that runs as a user who may write to `/opt/flowyard` writes byte code at its first import.

mod bytecode;
mod fault;
pub(super) mod install;
pub(super) mod requirements;
pub(super) mod resolve;
pub(super) mod scan;
mod uv;

use serde::{Deserialize, Serialize};

use crate::backend::oci::document::Platform;
use crate::backend::{Error, Kind, Result};

pub use uv::Uv;

/// The C library of a base, which decides what wheels run on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Libc {
    Glibc,
    Musl,
}

/// The Python of a base.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Python {
    /// `3.12`, or `3.12.4` where the base tells.
    pub(super) version: String,
    /// What starts it, as the first line of a program says it: `/usr/local/bin/python3`.
    pub(super) interpreter: String,
    pub(super) libc: Libc,
}

impl Python {
    /// The name of the base's platform to `uv`; an error where it knows none.
    ///
    /// glibc 2.28 is that of Debian 10 and of RHEL 8: what runs on it runs on everything newer.
    fn uv_platform(&self, platform: &Platform, file: &str) -> Result<String> {
        let machine = match platform.architecture.as_str() {
            "amd64" => "x86_64",
            "arm64" => "aarch64",
            _ => {
                let message = format!("no packages can be chosen for {platform}");
                return Err(Error::new(Kind::Other, file, message)
                    .hint("build for linux/amd64 or linux/arm64, or from a Dockerfile"));
            }
        };
        Ok(match self.libc {
            Libc::Glibc => format!("{machine}-manylinux_2_28"),
            Libc::Musl => format!("{machine}-unknown-linux-musl"),
        })
    }

    /// In words, for messages.
    fn describe(&self, platform: &Platform) -> String {
        let libc = match self.libc {
            Libc::Glibc => "glibc",
            Libc::Musl => "musl",
        };
        format!("Python {} on {platform} ({libc})", self.version)
    }
}

#[cfg(test)]
pub(super) mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::backend::{Content, Files};
    use crate::model::{CodeFile, CodeTree, Digest, FileMode, RepoPath, Requirements};

    /// Files by their paths, in memory.
    pub(crate) struct Texts(pub(crate) BTreeMap<String, String>);

    impl Files for Texts {
        fn content(&self, path: &RepoPath) -> anyhow::Result<Content> {
            let text = self.0.get(path.as_str());
            let text = text.ok_or_else(|| anyhow::anyhow!("no such file"))?;
            Ok(Content::Bytes(text.clone().into()))
        }
    }

    /// Requirements of all these files.
    pub(crate) fn requirements(file: &str, texts: &Texts) -> Requirements {
        let code = texts.0.iter().map(|(path, text)| CodeFile {
            path: path.clone(),
            length: text.len() as u64,
            sha256: Digest::of(text.as_bytes()),
            mode: FileMode::Regular,
        });
        Requirements {
            file: RepoPath::new(file),
            files: CodeTree::new(RepoPath::root(), code.collect()),
        }
    }

    #[test]
    fn uv_knows_two_machines_and_two_libraries() {
        let name = |platform: &str, libc| {
            let python = Python {
                version: "3.12".into(),
                interpreter: "/usr/bin/python3".into(),
                libc,
            };
            let platform = Platform::parse(platform).expect("a platform");
            python.uv_platform(&platform, "requirements.txt")
        };
        let ok = |platform, libc| name(platform, libc).expect("a name");
        assert_eq!(ok("linux/amd64", Libc::Glibc), "x86_64-manylinux_2_28");
        assert_eq!(
            ok("linux/arm64/v8", Libc::Musl),
            "aarch64-unknown-linux-musl"
        );
        let error = name("linux/s390x", Libc::Glibc).expect_err("none");
        assert!(error.message.contains("linux/s390x"), "{error}");
    }
}
