//! Symbolic links inside of a tree.

use std::fmt;

use super::tree::{EntryKind, Tree};
use crate::model::RepoPath;

/// Where a symbolic link leads, when not to a file of the tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LinkFault {
    /// To an absolute path, which is another one on every machine.
    Absolute,
    /// Out of the repository.
    Outside,
    /// To something that is not there, or is ignored.
    Missing(RepoPath),
    /// To a folder.
    Folder(RepoPath),
    /// Back to itself, perhaps over others.
    Loop,
}

impl fmt::Display for LinkFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Absolute => f.write_str("the symbolic link leads to an absolute path"),
            Self::Outside => f.write_str("the symbolic link leads out of the repository"),
            Self::Missing(path) => write!(
                f,
                "the symbolic link leads to {path}, which is not there or is ignored"
            ),
            Self::Folder(path) => write!(f, "the symbolic link leads to the folder {path}"),
            Self::Loop => f.write_str("the symbolic link leads back to itself"),
        }
    }
}

/// As many links in a row as Linux follows (path_resolution(7)).
const LONGEST_CHAIN: usize = 40;

impl Tree {
    /// The entry of the regular file at `index`, following symbolic links inside of the tree.
    ///
    /// A link's target is taken as text: it may not pass through another link to a folder.
    pub fn follow(&self, index: usize) -> Result<usize, LinkFault> {
        let mut index = index;
        for _ in 0..LONGEST_CHAIN {
            let entry = &self.entries()[index];
            let EntryKind::Symlink { target } = &entry.kind else {
                return Ok(index);
            };
            if target.starts_with('/') {
                return Err(LinkFault::Absolute);
            }
            let folder = entry.path.parent().unwrap_or_default();
            let target = folder.resolve(target).ok_or(LinkFault::Outside)?;
            index = match self.position(&target) {
                Some(index) => index,
                None if self.is_folder(&target) => return Err(LinkFault::Folder(target)),
                None => return Err(LinkFault::Missing(target)),
            };
        }
        Err(LinkFault::Loop)
    }
}
