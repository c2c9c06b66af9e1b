//! What only git knows: the head, the origin, revisions, what changed. By libgit2: a process is started only to fetch a
//! commit that is missing.

use std::collections::BTreeSet;
use std::path::Path;

use anyhow::{Context, anyhow, bail};
use git2::{
    Delta, DiffDelta, DiffOptions, ErrorClass, ErrorCode, FileMode, Index, IndexEntryExtendedFlag,
    ObjectType, Oid, Repository,
};

use super::tree::Tree;
use crate::model::RepoPath;

/// The git repository that a root is in, or is.
pub struct Git {
    pub(super) repository: Repository,
    pub(super) prefix: RepoPath,
}

/// The commit that is checked out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    /// 40 hexadecimal digits.
    pub sha: String,
    /// The branch's name; `None` where a commit is checked out by itself, as CI often does.
    pub branch: Option<String>,
}

impl Head {
    /// The first 7 digits, as git hosts show them.
    pub fn short(&self) -> &str {
        self.sha.get(..7).unwrap_or(&self.sha)
    }
}

impl Git {
    /// Opens the repository that `root` is in; `None` where there is none. An error where there is one that cannot be
    /// read, with what to do about it.
    pub fn open(root: &Path) -> anyhow::Result<Option<Self>> {
        let root = std::fs::canonicalize(root)
            .with_context(|| format!("find the folder {}", root.display()))?;
        let repository = match Repository::discover(&root) {
            Ok(repository) => repository,
            Err(error) if error.code() == ErrorCode::NotFound => return Ok(None),
            Err(error) => return Err(explain(&error, &root)),
        };
        let top = repository.workdir().map(Path::to_owned);
        let top = top.map(std::fs::canonicalize).transpose()?;
        let below = top.and_then(|top| root.strip_prefix(top).map(Path::to_owned).ok());
        let prefix = below.as_deref().unwrap_or(Path::new(""));
        let prefix = prefix
            .to_str()
            .with_context(|| format!("the path {} is not UTF-8", root.display()))?;
        Ok(Some(Self {
            prefix: RepoPath::new(prefix),
            repository,
        }))
    }

    /// The path of the root inside of the git work tree; the root path for a bare repository.
    pub fn prefix(&self) -> &RepoPath {
        &self.prefix
    }

    pub(super) fn into_repository(self) -> Repository {
        self.repository
    }

    /// The commit that is checked out, or that a bare repository's HEAD names; `None` before the first commit.
    pub fn head(&self) -> anyhow::Result<Option<Head>> {
        match self.repository.head() {
            Ok(head) => {
                let commit = head.peel_to_commit().context("read git's HEAD")?;
                let sha = commit.id().to_string();
                let name = head.is_branch().then(|| head.shorthand().ok());
                let branch = name.flatten().map(str::to_owned);
                Ok(Some(Head { sha, branch }))
            }
            Err(error) if matches!(error.code(), ErrorCode::UnbornBranch | ErrorCode::NotFound) => {
                Ok(None)
            }
            Err(error) => Err(error).context("read git's HEAD"),
        }
    }

    /// The branch that the others are merged into: what `origin` calls its head, else `main` or `master` where there is
    /// one, else the branch that is checked out, be it without a commit yet; `None` where no branch is.
    pub fn default_branch(&self) -> anyhow::Result<Option<String>> {
        const ORIGIN: &str = "refs/remotes/origin/";
        let head = self.repository.find_reference(&format!("{ORIGIN}HEAD"));
        let target = head.ok().and_then(|head| {
            let target = head.symbolic_target().ok()??;
            Some(target.strip_prefix(ORIGIN)?.to_owned())
        });
        if target.is_some() {
            return Ok(target);
        }
        for name in ["main", "master"] {
            let is_there = |prefix: &str| {
                let reference = format!("{prefix}{name}");
                self.repository.find_reference(&reference).is_ok()
            };
            if is_there("refs/heads/") || is_there(ORIGIN) {
                return Ok(Some(name.to_owned()));
            }
        }
        let head = self
            .repository
            .find_reference("HEAD")
            .context("read git's HEAD")?;
        let target = head.symbolic_target().ok().flatten();
        Ok(target
            .and_then(|name| name.strip_prefix("refs/heads/"))
            .map(str::to_owned))
    }

    /// The `owner/name` (with more owners in front where the host nests them) of the remote `origin`; `None` without
    /// such a remote, and where it is a folder.
    pub fn origin(&self) -> Option<String> {
        let remote = self.repository.find_remote("origin").ok()?;
        owner_and_name(remote.url().ok()?)
    }

    /// The commit that a revision names, as 40 hexadecimal digits: anything that gitrevisions(7) allows.
    pub fn resolve(&self, revision: &str) -> anyhow::Result<String> {
        Ok(self.resolve_tree(revision)?.0.to_string())
    }

    /// The commit that a revision names (the tree itself where it names one), and its tree.
    pub(super) fn resolve_tree(&self, revision: &str) -> anyhow::Result<(Oid, Oid)> {
        let object = match self.repository.revparse_single(revision) {
            Ok(object) => object,
            Err(error) => return Err(self.unknown(revision, &error)),
        };
        let object = match object.peel(ObjectType::Commit) {
            Ok(commit) => commit,
            Err(_) => object,
        };
        let tree = object
            .peel_to_tree()
            .map_err(|_| anyhow!("revision `{revision}` is no commit"))?;
        Ok((object.id(), tree.id()))
    }

    /// Why a revision cannot be resolved, and what helps.
    fn unknown(&self, revision: &str, error: &git2::Error) -> anyhow::Error {
        match error.code() {
            ErrorCode::NotFound => {}
            ErrorCode::Ambiguous => {
                return anyhow!("revision `{revision}` is ambiguous; give more digits");
            }
            _ => return anyhow!("revision `{revision}` cannot be read: {}", error.message()),
        }
        let plain = !revision.contains(['~', '^', ':', '@']);
        let remote = format!("origin/{revision}");
        if plain && self.repository.revparse_single(&remote).is_ok() {
            return anyhow!("unknown revision `{revision}`; there is `{remote}`");
        }
        if self.repository.is_shallow() {
            let hint = if plain {
                let name = revision.strip_prefix("origin/").unwrap_or(revision);
                if Oid::from_str(name).is_ok() && name.len() == 40 {
                    format!("git fetch --depth=1 origin {name}")
                } else {
                    // A shallow clone tracks one branch, so that fetching another one by its name alone names it nowhere.
                    format!("git fetch --depth=1 origin {name}:refs/remotes/origin/{name}")
                }
            } else {
                "git fetch --unshallow origin".to_owned()
            };
            return anyhow!(
                "unknown revision `{revision}`: this clone is shallow; fetch it first: {hint}"
            );
        }
        anyhow!("unknown revision `{revision}`")
    }

    /// The paths, from the root, that differ between a revision and the work tree `work` at the same root: changed,
    /// added, deleted, and entries of `work` that git does not track. A renamed file counts at both its paths; of a
    /// submodule that differs, its own path and all its files count; a file that a sparse checkout leaves out counts where
    /// the index has another one than the revision. Empty where nothing differs.
    ///
    /// "Differ" is git's word for tracked files, line end conversion included. What is untracked is told by the tree and
    /// not by libgit2, which would go by the global excludes and misses negations of a line in a folder above.
    pub fn changed_since(&self, revision: &str, work: &Tree) -> anyhow::Result<BTreeSet<RepoPath>> {
        if self.repository.is_bare() {
            bail!("a bare repository has no work tree to compare with `{revision}`");
        }
        let (_, tree) = self.resolve_tree(revision)?;
        let comparing = || format!("compare the work tree with `{revision}`");
        let tree = self.repository.find_tree(tree).with_context(comparing)?;
        let mut options = DiffOptions::new();
        options.include_typechange(true);
        if !self.prefix.is_root() {
            options
                .pathspec(self.prefix.as_str())
                .disable_pathspec_match(true);
        }
        let diff = self
            .repository
            .diff_tree_to_workdir_with_index(Some(&tree), Some(&mut options))
            .with_context(comparing)?;
        let mut changed = self.untracked(work).with_context(comparing)?;
        let index = self.repository.index().with_context(comparing)?;
        for delta in diff.deltas().filter(|delta| !is_left_out(delta, &index)) {
            for file in [delta.old_file(), delta.new_file()] {
                let path = String::from_utf8_lossy(file.path_bytes().unwrap_or_default());
                let path = RepoPath::new(path.as_ref());
                let Some(below) = path.below(&self.prefix) else {
                    continue;
                };
                let path = RepoPath::new(below);
                if file.mode() == FileMode::Commit {
                    let files = &work.entries()[work.below(&path)];
                    changed.extend(files.iter().map(|entry| entry.path.clone()));
                }
                changed.insert(path);
            }
        }
        changed.remove(&RepoPath::root());
        Ok(changed)
    }

    /// The entries of a work tree that are neither in the index nor in a submodule.
    fn untracked(&self, work: &Tree) -> anyhow::Result<BTreeSet<RepoPath>> {
        let mut untracked = vec![true; work.entries().len()];
        for entry in self.repository.index()?.iter() {
            let Ok(path) = String::from_utf8(entry.path) else {
                continue;
            };
            let path = RepoPath::new(path);
            let Some(below) = path.below(&self.prefix) else {
                continue;
            };
            let path = RepoPath::new(below);
            if entry.mode == u32::from(FileMode::Commit) {
                untracked[work.below(&path)].fill(false);
            } else if let Some(index) = work.position(&path) {
                untracked[index] = false;
            }
        }
        let entries = work.entries().iter().zip(untracked);
        let untracked = entries.filter_map(|(entry, untracked)| untracked.then_some(entry));
        Ok(untracked.map(|entry| entry.path.clone()).collect())
    }
}

impl std::fmt::Debug for Git {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Git")
            .field("path", &self.repository.path())
            .field("prefix", &self.prefix)
            .finish()
    }
}

/// Whether a file that counts as deleted is only not checked out, and otherwise as it was.
fn is_left_out(delta: &DiffDelta<'_>, index: &Index) -> bool {
    let old = delta.old_file();
    let entry = (delta.status() == Delta::Deleted).then(|| index.get_path(old.path()?, 0));
    entry.flatten().is_some_and(|entry| {
        let flags = IndexEntryExtendedFlag::from_bits_truncate(entry.flags_extended);
        flags.contains(IndexEntryExtendedFlag::SKIP_WORKTREE)
            && entry.id == old.id()
            && entry.mode == u32::from(old.mode())
    })
}

/// Why a repository cannot be opened, and what helps.
fn explain(error: &git2::Error, root: &Path) -> anyhow::Error {
    let root = root.display();
    if error.code() == ErrorCode::Owner {
        return anyhow!(
            "the git repository at {root} belongs to another user; if you trust it: \
             git config --global --add safe.directory {root}"
        );
    }
    if error.class() == ErrorClass::Repository && error.message().contains("partialclone") {
        return anyhow!(
            "the git repository at {root} is a partial clone, whose objects may be missing; \
             fetch it without --filter"
        );
    }
    anyhow!("open the git repository at {root}: {}", error.message())
}

/// `owner/name` of a remote's address, as `https://host/owner/name.git`, `ssh://git@host:22/owner/name` or
/// `git@host:owner/name.git`.
fn owner_and_name(address: &str) -> Option<String> {
    let path = match address.split_once("://") {
        Some(("file", _)) => return None,
        Some((_, rest)) => rest.split_once('/')?.1,
        None => {
            let (host, path) = address.split_once(':')?;
            // As git tells `host:path` from a local path: no slash before the first colon.
            if host.contains('/') {
                return None;
            }
            path
        }
    };
    let path = path.trim_matches('/');
    let path = path.strip_suffix(".git").unwrap_or(path);
    let (owner, name) = path.rsplit_once('/')?;
    (!owner.is_empty() && !name.is_empty()).then(|| path.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn owner_and_name_of_every_form_of_address() {
        for address in [
            "https://github.com/acme/flows.git",
            "https://user:token@github.com/acme/flows",
            "ssh://git@github.com:22/acme/flows.git",
            "git@github.com:acme/flows.git",
            "github.com:acme/flows/",
        ] {
            assert_eq!(owner_and_name(address).as_deref(), Some("acme/flows"));
        }
        let nested = owner_and_name("https://gitlab.com/acme/data/flows.git");
        assert_eq!(nested.as_deref(), Some("acme/data/flows"));
        for address in [
            "/srv/git/acme/flows.git",
            "../flows",
            "file:///srv/acme/flows",
            "./a:b/c",
            "https://host",
        ] {
            assert_eq!(owner_and_name(address), None);
        }
    }
}
