//! What differs between a revision and the work tree, by content.

use std::collections::BTreeSet;
use std::path::Path;

use anyhow::Context;
use git2::{ObjectType, Oid};

use super::git::Git;
use super::tree::{EntryKind, Tree};
use super::walk::PREFECT_IGNORE;
use crate::model::{FileMode, RepoPath};

/// The paths that differ between a revision and a work tree.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// All of them, from the root: changed, added, deleted. A renamed file counts at both its paths, a submodule with all
    /// its files.
    pub paths: BTreeSet<RepoPath>,
    /// Those of them that the revision has.
    pub before: BTreeSet<RepoPath>,
    /// Those of them that are on disk and that a `.prefectignore` takes out: no release and no image holds them.
    pub ignored: BTreeSet<RepoPath>,
}

impl Git {
    /// What differs between a revision and the work tree `work` at `root`, which this repository was opened for; see
    /// [`Git::changed_since`]. A file with the same bytes and mode on both sides has not changed, whether git tracks it
    /// or not. With a changed `.prefectignore` count the files that it takes out or brings back.
    pub fn changes(&self, revision: &str, work: &Tree, root: &Path) -> anyhow::Result<Changes> {
        let differing = self.changed_since(revision, work)?;
        let (_, top) = self.resolve_tree(revision)?;
        let top = self
            .repository
            .find_tree(top)
            .with_context(|| format!("compare the work tree with `{revision}`"))?;
        let mut changes = Changes::default();
        let mut add = |path: RepoPath, by_content: bool| {
            let inside = self.prefix.join(path.as_str());
            if let Ok(old) = top.get_path(Path::new(inside.as_str())) {
                if by_content && is_same(old.id(), old.filemode(), &path, work) {
                    return;
                }
                changes.before.insert(path.clone());
            }
            let there = || root.join(path.as_str()).symlink_metadata();
            if work.position(&path).is_none() && there().is_ok_and(|file| !file.is_dir()) {
                changes.ignored.insert(path.clone());
            }
            changes.paths.insert(path);
        };
        let mut rules = false;
        let mut taken = Vec::new();
        for path in differing {
            rules |= path.file_name() == PREFECT_IGNORE;
            add(path, true);
        }
        if rules {
            let old = Tree::revision(root, revision, &RepoPath::root())?;
            let listed = |tree: &Tree| -> BTreeSet<RepoPath> {
                tree.entries().iter().map(|one| one.path.clone()).collect()
            };
            for path in listed(&old).symmetric_difference(&listed(work)) {
                add(path.clone(), false);
                // It counts just because it is ignored now and was not, or the other way around.
                taken.push(path.clone());
            }
        }
        for path in &taken {
            changes.ignored.remove(path);
        }
        Ok(changes)
    }
}

/// Whether a file of a work tree is this blob of a revision; not where either cannot be told.
fn is_same(blob: Oid, mode: i32, path: &RepoPath, work: &Tree) -> bool {
    let Some(index) = work.position(path) else {
        return false;
    };
    let bytes = match &work.entries()[index].kind {
        EntryKind::Symlink { target } if mode == 0o120_000 => target.clone().into_bytes(),
        EntryKind::File { mode: now, .. } => {
            let then = match mode {
                0o100_644 => FileMode::Regular,
                0o100_755 => FileMode::Executable,
                _ => return false,
            };
            match work.read(path) {
                Ok(bytes) if then == *now => bytes,
                _ => return false,
            }
        }
        EntryKind::Symlink { .. } => return false,
    };
    Oid::hash_object(ObjectType::Blob, &bytes).is_ok_and(|now| now == blob)
}
