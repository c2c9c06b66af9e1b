//! A git revision as a listing: tree and blob objects.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use anyhow::bail;
use git2::{Oid, Repository};

use super::ignored::{self, Rules};
use super::tree::EntryKind;
use super::walk::{self, FaultKind, Item, ItemKind, Listing, PREFECT_IGNORE};
use crate::model::{FileMode, RepoPath};

/// A repository for many threads: libgit2's handle serves one at a time, so that each thread takes one of its own.
pub(super) struct Pool {
    path: PathBuf,
    idle: Mutex<Vec<Repository>>,
    /// The folders of objects of the submodules that are checked out.
    submodules: Vec<PathBuf>,
}

impl Pool {
    pub(super) fn new(repository: Repository) -> Self {
        let mut submodules = Vec::new();
        objects_of_submodules(&repository, &mut submodules);
        let pool = Self {
            path: repository.path().to_owned(),
            idle: Mutex::default(),
            submodules,
        };
        pool.with_submodules(&repository);
        pool.idle().push(repository);
        pool
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Runs `job` with a repository of its own.
    fn with<T>(&self, job: impl FnOnce(&Repository) -> anyhow::Result<T>) -> anyhow::Result<T> {
        let taken = self.idle().pop();
        let repository = match taken {
            Some(repository) => repository,
            None => {
                let repository = Repository::open(&self.path)?;
                self.with_submodules(&repository);
                repository
            }
        };
        let result = job(&repository);
        self.idle().push(repository);
        result
    }

    fn idle(&self) -> MutexGuard<'_, Vec<Repository>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Has a repository find the objects of its submodules, too. Those of one where that fails are missing, and told as such.
    fn with_submodules(&self, repository: &Repository) {
        for folder in &self.submodules {
            if let (Ok(odb), Some(folder)) = (repository.odb(), folder.to_str()) {
                let _ = odb.add_disk_alternate(folder);
            }
        }
    }

    /// The content of a blob.
    pub(super) fn blob(&self, id: Oid) -> anyhow::Result<Vec<u8>> {
        self.with(|repository| Ok(repository.find_blob(id)?.content().to_vec()))
    }
}

/// Finds the objects of submodules that are checked out, and of theirs.
fn objects_of_submodules(repository: &Repository, folders: &mut Vec<PathBuf>) {
    let listed = repository.workdir().map(|top| top.join(".gitmodules"));
    if !listed.is_some_and(|file| file.is_file()) {
        return;
    }
    for submodule in repository.submodules().into_iter().flatten() {
        if let Ok(inner) = submodule.open() {
            folders.push(inner.commondir().join("objects"));
            objects_of_submodules(&inner, folders);
        }
    }
}

/// The objects below one tree.
pub(super) struct Revision<'a> {
    pub(super) pool: &'a Pool,
}

/// A blob, with the mode under which its folder holds it.
pub(super) struct Blob {
    id: Oid,
    mode: i32,
}

const TREE: i32 = 0o040_000;
const LINK: i32 = 0o120_000;
const SUBMODULE: i32 = 0o160_000;

impl Revision<'_> {
    /// The tree object of `folder` below the tree `top`, and the rules that hold there.
    pub(super) fn descend(&self, top: Oid, folder: &RepoPath) -> anyhow::Result<(Oid, Rules)> {
        let mut rules = Rules::default();
        let mut base = String::new();
        let mut id = top;
        for part in folder.components() {
            let mut next = None;
            for item in self.list(&id)? {
                match item.kind {
                    ItemKind::Folder(tree) if item.name.as_deref() == Ok(part) => next = Some(tree),
                    ItemKind::File(blob) if item.name.as_deref() == Ok(PREFECT_IGNORE) => {
                        let lines = ignored::parse(&self.ignore_file(&blob)?).0;
                        rules = rules.below(&base, None, Some(lines));
                    }
                    _ => {}
                }
            }
            let Some(next) = next else {
                bail!("the revision has no folder {folder}");
            };
            id = next;
            base = walk::join(&base, part);
        }
        Ok((id, rules))
    }
}

impl Listing for Revision<'_> {
    type Folder = Oid;
    type File = Blob;
    type Id = Oid;

    fn list(&self, folder: &Oid) -> anyhow::Result<Vec<Item<Self>>> {
        self.pool.with(|repository| {
            let tree = repository.find_tree(*folder)?;
            let items = tree.iter().map(|entry| Item {
                name: String::from_utf8(entry.name_bytes().to_vec())
                    .map_err(|error| String::from_utf8_lossy(error.as_bytes()).into_owned()),
                kind: match entry.filemode() {
                    TREE => ItemKind::Folder(entry.id()),
                    SUBMODULE => match repository.find_commit(entry.id()) {
                        Ok(commit) => ItemKind::Folder(commit.tree_id()),
                        Err(_) => ItemKind::Fault(FaultKind::Submodule),
                    },
                    mode => ItemKind::File(Blob {
                        id: entry.id(),
                        mode,
                    }),
                },
            });
            Ok(items.collect())
        })
    }

    fn look(&self, file: &Blob) -> Result<Option<(EntryKind, Oid)>, FaultKind> {
        if file.mode == LINK {
            let target = self.pool.blob(file.id).map_err(FaultKind::unreadable)?;
            let target = String::from_utf8(target).map_err(|_| FaultKind::NotUtf8)?;
            return Ok(Some((EntryKind::Symlink { target }, file.id)));
        }
        let (length, _) = self
            .pool
            .with(|repository| Ok(repository.odb()?.read_header(file.id)?))
            .map_err(FaultKind::unreadable)?;
        let mode = if file.mode & 0o100 == 0 {
            FileMode::Regular
        } else {
            FileMode::Executable
        };
        let length = length as u64;
        Ok(Some((EntryKind::File { length, mode }, file.id)))
    }

    fn ignore_file(&self, file: &Blob) -> anyhow::Result<Vec<u8>> {
        if file.mode == LINK {
            return Ok(Vec::new());
        }
        self.pool.blob(file.id)
    }

    fn tracked(&self, _: &str, _: bool) -> bool {
        true
    }

    fn git_ignores(&self) -> bool {
        false
    }
}
