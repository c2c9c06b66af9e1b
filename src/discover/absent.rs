//! What git has and a work tree lacks by intention: what a sparse checkout leaves out, and submodules that are not checked
//! out. A file that is simply gone is none of this: whoever deleted it means that.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::Read as _;
use std::path::Path;

use git2::IndexEntryExtendedFlag;

use super::root::GitFolder;
use super::walk::{Fault, FaultKind};
use crate::model::{Absent, RepoPath};

const SUBMODULE: u32 = 0o160_000;

/// The folders below `root`, an absolute path, that lack files: of a sparse checkout those that hold such a file themselves.
/// Where the index may tell of any and cannot be read, all that `root` has is unknown.
pub(super) fn faults(root: &Path) -> Vec<Fault> {
    let Some(git) = GitFolder::find(root) else {
        return Vec::new();
    };
    let path = git.own.join("index");
    if !may_tell(&path, &git.top) {
        return Vec::new();
    }
    let fault = |path, why| Fault {
        path,
        kind: FaultKind::Absent(why),
    };
    // One that is sparse itself, which libgit2 cannot read, tells by that alone.
    let Ok(index) = git2::Index::open(&path) else {
        return vec![fault(RepoPath::root(), Absent::Sparse)];
    };
    let prefix = root.strip_prefix(&git.top).unwrap_or(Path::new(""));
    let prefix = RepoPath::new(prefix.to_str().unwrap_or_default().replace('\\', "/"));
    let mut found = BTreeSet::new();
    for entry in index.iter() {
        let path = RepoPath::new(String::from_utf8_lossy(&entry.path));
        let Some(below) = path.below(&prefix).map(RepoPath::new) else {
            continue;
        };
        let there = || root.join(below.as_str());
        if entry.mode == SUBMODULE {
            let mut items = fs::read_dir(there()).into_iter().flatten();
            if items.next().is_none() {
                found.insert((below, Absent::Submodule));
            }
            continue;
        }
        let flags = IndexEntryExtendedFlag::from_bits_truncate(entry.flags_extended);
        let skipped = flags.contains(IndexEntryExtendedFlag::SKIP_WORKTREE);
        if skipped && fs::symlink_metadata(there()).is_err() {
            found.insert((below.parent().unwrap_or_default(), Absent::Sparse));
        }
    }
    found
        .into_iter()
        .map(|(path, why)| fault(path, why))
        .collect()
}

/// Whether an index may hold what a checkout lacks: reading one is worth avoiding. Its second version, the usual one, has no
/// flag for what is skipped (gitformat-index(5)).
fn may_tell(index: &Path, top: &Path) -> bool {
    let mut header = [0; 8];
    let read = File::open(index).and_then(|mut file| file.read_exact(&mut header));
    // There is none before the first `git add`.
    if read.is_err() || !header.starts_with(b"DIRC") {
        return false;
    }
    header[4..] != [0, 0, 0, 2] || top.join(".gitmodules").is_file()
}
