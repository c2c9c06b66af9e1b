//! Where the repository is, without opening it.
//!
//! A work tree is found and walked by its files alone: an owner that git distrusts, or a format extension that libgit2
//! does not know (partial clones), is no obstacle to reading it.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};

/// The root of the repository.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Root {
    /// A folder whose files are read: a git work tree, a folder of one, or any folder that was given.
    Work(PathBuf),
    /// A bare repository: only its revisions can be read.
    Bare(PathBuf),
}

impl Root {
    /// The folder itself.
    pub fn path(&self) -> &Path {
        match self {
            Self::Work(path) | Self::Bare(path) => path,
        }
    }
}

/// Finds the root: the folder `given` (relative to `start`), or else that of the git work tree, or the bare repository,
/// that `start` is in. The path is absolute and free of symbolic links.
pub fn root(start: &Path, given: Option<&Path>) -> anyhow::Result<Root> {
    if let Some(given) = given {
        let path = start.join(given);
        let path = fs::canonicalize(&path)
            .with_context(|| format!("find the root folder {}", path.display()))?;
        if !path.is_dir() {
            bail!("the root {} is not a folder", path.display());
        }
        return Ok(if is_bare(&path) {
            Root::Bare(path)
        } else {
            Root::Work(path)
        });
    }
    let start =
        fs::canonicalize(start).with_context(|| format!("find the folder {}", start.display()))?;
    for folder in start.ancestors() {
        if GitFolder::of(folder).is_some() {
            return Ok(Root::Work(folder.to_owned()));
        }
        // The `.git` of a work tree looks like a bare repository from inside.
        if is_bare(folder) && folder.file_name().is_none_or(|name| name != ".git") {
            return Ok(Root::Bare(folder.to_owned()));
        }
    }
    bail!("not inside a git repository; give the folder with --root")
}

/// Whether a folder has what every git repository has, and no work tree around it.
fn is_bare(folder: &Path) -> bool {
    folder.join("HEAD").is_file() && folder.join("objects").is_dir() && folder.join("refs").is_dir()
}

/// Where a work tree keeps what git knows of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct GitFolder {
    /// The root of the work tree.
    pub(super) top: PathBuf,
    /// Its own git folder, with the index.
    pub(super) own: PathBuf,
    /// The git folder that all work trees of the repository share, with `info/exclude`.
    pub(super) common: PathBuf,
}

impl GitFolder {
    /// That of the nearest work tree at or above `folder`, an absolute path.
    pub(super) fn find(folder: &Path) -> Option<Self> {
        folder.ancestors().find_map(Self::of)
    }

    /// That of the work tree whose root is `top`: the folder `.git`, or where a file of this name points, as in linked
    /// work trees and submodules (gitrepository-layout(5)).
    fn of(top: &Path) -> Option<Self> {
        let dot_git = top.join(".git");
        let kind = fs::metadata(&dot_git).ok()?;
        let own = if kind.is_dir() {
            dot_git
        } else {
            let text = fs::read_to_string(&dot_git).ok()?;
            top.join(text.strip_prefix("gitdir:")?.trim())
        };
        if !own.join("HEAD").is_file() {
            return None;
        }
        let common = match fs::read_to_string(own.join("commondir")) {
            Ok(text) => own.join(text.trim()),
            Err(_) => own.clone(),
        };
        Some(Self {
            top: top.to_owned(),
            own,
            common,
        })
    }
}
