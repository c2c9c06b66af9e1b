//! A project's code, and the release that it becomes.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{Digest, Hasher, RepoPath};

/// What of a file's mode a release keeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum FileMode {
    /// `100644`.
    #[serde(rename = "100644")]
    Regular,
    /// `100755`.
    #[serde(rename = "100755")]
    Executable,
}

impl FileMode {
    /// The mode in git's notation.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Regular => "100644",
            Self::Executable => "100755",
        }
    }
}

/// One file of a release.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CodeFile {
    /// Path inside the release, `/`-separated.
    pub path: String,
    /// Length in bytes.
    pub length: u64,
    /// Digest of the content.
    pub sha256: Digest,
    /// Regular or executable.
    pub mode: FileMode,
}

/// The files of a release, sorted by path; may be empty only for a project whose flow comes from elsewhere.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CodeTree {
    files: Vec<CodeFile>,
    /// The folder of the repository that the paths are relative to: the project, or the root where the release
    /// holds files from outside of the project.
    base: RepoPath,
}

impl CodeTree {
    /// Sorts the files.
    pub fn new(base: RepoPath, mut files: Vec<CodeFile>) -> Self {
        files.sort_by(|a, b| a.path.cmp(&b.path));
        Self { files, base }
    }

    /// The files, sorted by path.
    pub fn files(&self) -> &[CodeFile] {
        &self.files
    }

    /// The folder of the repository that the paths are relative to.
    pub fn base(&self) -> &RepoPath {
        &self.base
    }

    /// The sum of all lengths, in bytes.
    pub fn length(&self) -> u64 {
        self.files.iter().map(|file| file.length).sum()
    }

    /// The name of the release: SHA-256 over one line a file, sorted by path: path, mode, length, digest of the
    /// content, separated by NUL (which no path holds) and ended by a newline.
    pub fn digest(&self) -> Digest {
        let mut hasher = Hasher::default();
        for file in &self.files {
            let line = format!(
                "{}\0{}\0{}\0{}\n",
                file.path,
                file.mode.as_str(),
                file.length,
                file.sha256
            );
            hasher.update(line.as_bytes());
        }
        hasher.finish()
    }
}

/// The name of a release: which project, which content. Prints as `projects/news/load_dn@3f2a91c04b7e`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ReleaseRef {
    /// The project's id.
    pub project: RepoPath,
    /// The digest of its [`CodeTree`].
    pub digest: Digest,
}

impl ReleaseRef {
    /// The key prefix of the release's files in the store, ending in `/` as a pull step's `folder` must.
    pub fn folder(&self) -> String {
        self.project
            .join(&self.digest.to_string())
            .as_str()
            .to_owned()
            + "/"
    }

    /// The key of the release's manifest in the store.
    pub fn manifest_key(&self) -> String {
        format!(
            "{}{}.json",
            Manifest::PREFIX,
            self.project.join(&self.digest.to_string()).as_str()
        )
    }

    /// The release that a manifest's key names; `None` for any other key.
    pub fn of_manifest_key(key: &str) -> Option<Self> {
        let path = key.strip_prefix(Manifest::PREFIX)?.strip_suffix(".json")?;
        Self::of_folder(path)
    }

    /// The release whose files are in `folder` (with or without the trailing slash); `None` for any other folder.
    pub fn of_folder(folder: &str) -> Option<Self> {
        let folder = folder.trim_end_matches('/');
        let (project, digest) = folder.rsplit_once('/').unwrap_or(("", folder));
        Some(Self {
            project: RepoPath::new(project),
            digest: digest.parse().ok()?,
        })
    }
}

impl fmt::Display for ReleaseRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.project, self.digest.short())
    }
}

/// What a complete release consists of; written after its last file, so that its presence means completeness.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// The format; 1.
    pub version: u32,
    /// The release.
    #[serde(flatten)]
    pub release: ReleaseRef,
    /// The folder of the repository that the paths are relative to.
    pub base: RepoPath,
    /// Every file, sorted by path.
    pub files: Vec<CodeFile>,
}

impl Manifest {
    /// The key prefix of all manifests in the store.
    pub const PREFIX: &'static str = ".flowyard/releases/";

    /// The manifest of a project's code.
    pub fn of(project: &RepoPath, code: &CodeTree) -> Self {
        let release = ReleaseRef {
            project: project.clone(),
            digest: code.digest(),
        };
        Self {
            version: 1,
            release,
            base: code.base().clone(),
            files: code.files().to_vec(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_name_the_release_and_back() {
        for project in ["projects/news/load_dn", ""] {
            let release = ReleaseRef {
                project: RepoPath::new(project),
                digest: Digest::of(b"x"),
            };
            assert_eq!(
                ReleaseRef::of_manifest_key(&release.manifest_key()),
                Some(release.clone())
            );
            assert_eq!(ReleaseRef::of_folder(&release.folder()), Some(release));
        }
        assert_eq!(
            ReleaseRef::of_manifest_key(".flowyard/state/prod/x.json"),
            None
        );
        assert_eq!(ReleaseRef::of_folder("projects/news/"), None);
    }

    #[test]
    fn the_digest_depends_on_path_mode_and_content_alone() {
        let file = |path: &str, mode| CodeFile {
            path: path.into(),
            length: 1,
            sha256: Digest::of(b"x"),
            mode,
        };
        let tree = |files| CodeTree::new(RepoPath::root(), files).digest();
        let (a, b) = (file("a", FileMode::Regular), file("b", FileMode::Regular));
        assert_eq!(
            tree(vec![a.clone(), b.clone()]),
            tree(vec![b.clone(), a.clone()])
        );
        assert_ne!(
            tree(vec![a.clone(), b.clone()]),
            tree(vec![a.clone(), file("b", FileMode::Executable)])
        );
        assert_ne!(tree(vec![a.clone()]), tree(vec![b]));
        assert_ne!(tree(vec![a]), tree(vec![]));
    }
}
