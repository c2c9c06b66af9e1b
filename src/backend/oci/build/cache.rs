//! What is remembered between runs, so that a change of one line of code reads no base and runs no `uv`: a folder of small
//! files, each of which can be lost at any time.
//!
//! | file | content |
//! |---|---|
//! | `documents/<digest>` | a configuration of a base, checked against its digest when it is read |
//! | `manifests/<digest>` | a manifest or index of a base: its media type, a newline, its bytes; checked likewise |
//! | `facts/<key>.json` | what was worked out from content that the key is a digest of |
//!
//! The folder is the user's own, as that of `uv` and of `cargo` is: who may write there may change what is built.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::backend::oci::Manifest;
use crate::model::Digest;

/// The folder. A cache that cannot be read or written is as good as an empty one.
#[derive(Clone, Debug)]
pub(super) struct Cache {
    folder: Option<PathBuf>,
}

impl Cache {
    /// The cache in a folder, made when something is kept; `None` keeps nothing.
    pub(super) fn new(folder: Option<PathBuf>) -> Self {
        Self { folder }
    }

    /// A document by its digest.
    pub(super) fn document(&self, digest: &Digest) -> Option<Vec<u8>> {
        let bytes = self.read(&format!("documents/{digest}"))?;
        (Digest::of(&bytes) == *digest).then_some(bytes)
    }

    /// Keeps a document.
    pub(super) fn keep_document(&self, digest: &Digest, bytes: &[u8]) {
        self.write(&format!("documents/{digest}"), &[bytes]);
    }

    /// A manifest by its digest.
    pub(super) fn manifest(&self, digest: &Digest) -> Option<Manifest> {
        let bytes = self.read(&format!("manifests/{digest}"))?;
        let end = bytes.iter().position(|byte| *byte == b'\n')?;
        let media_type = String::from_utf8(bytes[..end].to_vec()).ok()?;
        let bytes = bytes[end + 1..].to_vec();
        (Digest::of(&bytes) == *digest).then(|| Manifest {
            digest: *digest,
            media_type,
            bytes: bytes.into(),
        })
    }

    /// Keeps a manifest.
    pub(super) fn keep_manifest(&self, manifest: &Manifest) {
        let name = format!("manifests/{}", manifest.digest);
        let head = format!("{}\n", manifest.media_type);
        self.write(&name, &[head.as_bytes(), &manifest.bytes]);
    }

    /// What was worked out for a key; `None` also where it is of another form by now.
    pub(super) fn fact<T: DeserializeOwned>(&self, key: &Digest) -> Option<T> {
        let bytes = self.read(&format!("facts/{key}.json"))?;
        serde_json::from_slice(&bytes).ok()
    }

    /// Keeps what was worked out for a key.
    pub(super) fn keep_fact(&self, key: &Digest, fact: &impl Serialize) {
        if let Ok(bytes) = serde_json::to_vec(fact) {
            self.write(&format!("facts/{key}.json"), &[&bytes]);
        }
    }

    /// A new folder for what is only needed now. On the same disk as the cache, where there is one.
    pub(super) fn temporary(&self) -> std::io::Result<tempfile::TempDir> {
        let beside = self.folder.as_ref().and_then(|folder| {
            fs::create_dir_all(folder).ok()?;
            tempfile::Builder::new()
                .prefix(".build-")
                .tempdir_in(folder)
                .ok()
        });
        beside.map_or_else(tempfile::tempdir, Ok)
    }

    fn read(&self, name: &str) -> Option<Vec<u8>> {
        fs::read(self.folder.as_ref()?.join(name)).ok()
    }

    fn write(&self, name: &str, parts: &[&[u8]]) {
        let Some(folder) = &self.folder else { return };
        let path = folder.join(name);
        let written = path
            .parent()
            .map(|folder| write_beside(folder, &path, parts));
        if let Some(Err(error)) = written {
            tracing::debug!("{} is not kept: {error}", path.display());
        }
    }
}

/// Writes and renames: several runs share the cache.
fn write_beside(folder: &Path, path: &Path, parts: &[&[u8]]) -> std::io::Result<()> {
    fs::create_dir_all(folder)?;
    let mut file = tempfile::NamedTempFile::new_in(folder)?;
    for part in parts {
        file.write_all(part)?;
    }
    file.persist(path).map(drop).map_err(|error| error.error)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::oci::document;

    #[test]
    fn what_was_changed_is_not_used() {
        let folder = tempfile::tempdir().expect("a folder");
        let cache = Cache::new(Some(folder.path().join("not/yet")));
        let manifest = document::manifest(document::IMAGE, &serde_json::json!({"a": 1}));
        let digest = manifest.digest;
        assert!(cache.manifest(&digest).is_none() && cache.document(&digest).is_none());
        cache.keep_manifest(&manifest);
        cache.keep_document(&digest, &manifest.bytes);
        let kept = cache.manifest(&digest).expect("kept");
        assert_eq!(
            (kept.media_type, kept.bytes),
            (manifest.media_type, manifest.bytes)
        );
        assert!(cache.document(&digest).is_some());
        for name in ["manifests", "documents"] {
            let path = folder.path().join("not/yet").join(name);
            fs::write(path.join(digest.to_string()), "x\ny").expect("changed");
        }
        assert!(cache.manifest(&digest).is_none() && cache.document(&digest).is_none());

        cache.keep_fact(&digest, &vec![1, 2]);
        assert_eq!(cache.fact(&digest), Some(vec![1, 2]));
        assert_eq!(cache.fact::<String>(&digest), None);
        let nothing = Cache::new(None);
        nothing.keep_fact(&digest, &1);
        assert_eq!(nothing.fact::<u32>(&digest), None);
    }
}
