//! One view of the files of a work tree and of a git revision.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::fs;
use std::io::Read;
use std::ops::Range;
use std::path::{Path, PathBuf};

use anyhow::Context;
use git2::Oid;
use rayon::prelude::*;

use super::absent;
use super::git;
use super::revision::{Pool, Revision};
use super::walk::{self, Fault, Walk};
use super::work::Work;
use crate::model::{FileMode, RepoPath};

/// A file or a symbolic link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Where, from the tree's root.
    pub path: RepoPath,
    /// What.
    pub kind: EntryKind,
}

/// What an [`Entry`] is. Folders are none: git knows them only by what is in them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EntryKind {
    /// A regular file.
    File {
        /// Length in bytes.
        length: u64,
        /// Whether it is executable.
        mode: FileMode,
    },
    /// A symbolic link, which is never followed by the walk.
    Symlink {
        /// Its target as written.
        target: String,
    },
}

/// The content of a file, without having read it all where that can be avoided.
#[derive(Debug)]
pub enum Content {
    /// A file on disk.
    File(PathBuf),
    /// All of it, from git.
    Bytes(Vec<u8>),
}

/// The files of a work tree or of a git revision, after the ignore rules.
///
/// Bytes are taken as they are: no filter of git (line ends, large files) is applied to a work tree's files nor to
/// those of a revision.
pub struct Tree {
    store: Store,
    entries: Vec<Entry>,
    faults: Vec<Fault>,
    /// Files that are as given, whatever is on disk.
    given: BTreeMap<RepoPath, Vec<u8>>,
}

enum Store {
    Work {
        root: PathBuf,
    },
    /// Every file is a given one.
    Memory,
    Revision {
        pool: Pool,
        commit: Oid,
        /// The blob of each entry.
        blobs: Vec<Oid>,
    },
}

impl Tree {
    /// The work tree at `root`, any folder; inside of a git work tree the rules of the folders above hold too, and
    /// `root` itself counts even where they ignore it.
    pub fn work(root: &Path) -> anyhow::Result<Self> {
        let root = fs::canonicalize(root).with_context(|| format!("find {}", root.display()))?;
        let (work, above, rules) = Work::open(&root)?;
        let Walk {
            entries,
            mut faults,
        } = walk::walk(&work, root.clone(), &above, rules);
        if let Some(kind) = work.index_fault() {
            let path = RepoPath::root();
            faults.push(Fault { path, kind });
        }
        faults.extend(absent::faults(&root));
        let (entries, _) = sort(entries);
        Ok(Self::new(Store::Work { root }, entries, faults))
    }

    /// A tree of these files alone, none of them on disk: for callers that have a text and no folder. Symbolic links and
    /// ignore rules there are none.
    pub fn memory(files: BTreeMap<RepoPath, Vec<u8>>) -> Self {
        Self::new(Store::Memory, Vec::new(), Vec::new()).edited(&BTreeSet::new(), files)
    }

    /// A revision of the repository that `root` is in (or is, for a bare one), as `root` would hold it: where `root` is
    /// a folder of the work tree, that folder of the revision. `subfolder` goes down further from there.
    pub fn revision(root: &Path, revision: &str, subfolder: &RepoPath) -> anyhow::Result<Self> {
        let git = git::Git::open(root)?
            .with_context(|| format!("{} is not inside a git repository", root.display()))?;
        let (commit, top) = git.resolve_tree(revision)?;
        let folder = git.prefix().join(subfolder.as_str());
        let pool = Pool::new(git.into_repository());
        let listing = Revision { pool: &pool };
        let Walk { entries, faults } = listing
            .descend(top, &folder)
            .map(|(id, rules)| walk::walk(&listing, id, folder.as_str(), rules))
            .with_context(|| format!("read revision `{revision}`"))?;
        let (entries, blobs) = sort(entries);
        let store = Store::Revision {
            pool,
            commit,
            blobs,
        };
        Ok(Self::new(store, entries, faults))
    }

    fn new(store: Store, entries: Vec<Entry>, mut faults: Vec<Fault>) -> Self {
        faults.sort();
        Self {
            store,
            entries,
            faults,
            given: BTreeMap::new(),
        }
    }

    /// A tree other than a revision as it would be without the files `gone`, and with `files` of these contents in the place of what is
    /// there. Nothing on disk is touched.
    #[must_use]
    pub fn edited(mut self, gone: &BTreeSet<RepoPath>, files: BTreeMap<RepoPath, Vec<u8>>) -> Self {
        // A revision's blobs are found by the places of its entries, which are about to change.
        assert!(!matches!(self.store, Store::Revision { .. }), "no revision");
        self.entries
            .retain(|entry| !gone.contains(&entry.path) && !files.contains_key(&entry.path));
        self.entries.extend(files.iter().map(|(path, bytes)| Entry {
            path: path.clone(),
            kind: EntryKind::File {
                length: bytes.len() as u64,
                mode: FileMode::Regular,
            },
        }));
        self.entries.sort_unstable_by(|a, b| a.path.cmp(&b.path));
        self.given = files;
        self
    }

    /// All entries, sorted by path.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// What the tree holds and cannot show as an entry, sorted by path.
    pub fn faults(&self) -> &[Fault] {
        &self.faults
    }

    /// The commit of a revision, as 40 hexadecimal digits; `None` for a work tree.
    pub fn commit(&self) -> Option<String> {
        match &self.store {
            Store::Work { .. } | Store::Memory => None,
            Store::Revision { commit, .. } => Some(commit.to_string()),
        }
    }

    /// The place of a path among the entries; `None` where it is no file or symbolic link that counts.
    pub fn position(&self, path: &RepoPath) -> Option<usize> {
        self.entries
            .binary_search_by(|entry| entry.path.cmp(path))
            .ok()
    }

    /// The entries below a folder; empty where it is no folder, or nothing in it counts.
    pub fn below(&self, folder: &RepoPath) -> Range<usize> {
        if folder.is_root() {
            return 0..self.entries.len();
        }
        range_below(&self.entries, folder.as_str(), |entry| entry.path.as_str())
    }

    /// The faults at or below a path.
    pub fn faults_below(&self, folder: &RepoPath) -> impl Iterator<Item = &Fault> {
        let (at, below) = if folder.is_root() {
            (0..0, 0..self.faults.len())
        } else {
            let start = self.faults.partition_point(|fault| fault.path < *folder);
            let end = self.faults.partition_point(|fault| fault.path <= *folder);
            let below = range_below(&self.faults, folder.as_str(), |fault| fault.path.as_str());
            (start..end, below)
        };
        self.faults[at].iter().chain(&self.faults[below])
    }

    /// Whether a path is a folder with something in it that counts.
    pub fn is_folder(&self, path: &RepoPath) -> bool {
        !self.below(path).is_empty()
    }

    /// The content of a file, or of the file that a symbolic link inside of the tree leads to.
    pub fn read(&self, path: &RepoPath) -> anyhow::Result<Vec<u8>> {
        match self.source(path)? {
            Content::File(file) => fs::read(file).with_context(|| format!("read {path}")),
            Content::Bytes(bytes) => Ok(bytes),
        }
    }

    /// Where the content of a file is: for uploads. Symbolic links are followed as by [`Tree::read`].
    pub fn source(&self, path: &RepoPath) -> anyhow::Result<Content> {
        let index = self
            .position(path)
            .with_context(|| format!("read {path}: it is not there or is ignored"))?;
        let index = self
            .follow(index)
            .map_err(|fault| anyhow::anyhow!("read {path}: {fault}"))?;
        self.content(index)
    }

    /// Where the content of the regular file at `index` is.
    pub fn content(&self, index: usize) -> anyhow::Result<Content> {
        let path = &self.entries[index].path;
        if let Some(bytes) = self.given.get(path) {
            return Ok(Content::Bytes(bytes.clone()));
        }
        match &self.store {
            Store::Work { root } => Ok(Content::File(root.join(path.as_str()))),
            Store::Memory => anyhow::bail!("read {path}: it is not among the files given"),
            Store::Revision { pool, blobs, .. } => pool
                .blob(blobs[index])
                .map(Content::Bytes)
                .with_context(|| format!("read {path}")),
        }
    }
}

impl fmt::Debug for Tree {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let from = match &self.store {
            Store::Work { root } => root.display().to_string(),
            Store::Memory => "memory".to_owned(),
            Store::Revision { pool, commit, .. } => {
                format!("{commit} of {}", pool.path().display())
            }
        };
        f.debug_struct("Tree")
            .field("from", &from)
            .field("entries", &self.entries.len())
            .field("faults", &self.faults)
            .finish()
    }
}

impl Content {
    /// Gives all of it to `each`, in pieces of at most 1 MiB, and the length that was read. A piece of bytes that are
    /// in memory already is not cut.
    pub fn pieces(self, mut each: impl FnMut(&[u8])) -> std::io::Result<u64> {
        match self {
            Self::Bytes(bytes) => {
                each(&bytes);
                Ok(bytes.len() as u64)
            }
            Self::File(path) => {
                let mut file = fs::File::open(path)?;
                let mut buffer = vec![0; 1 << 20];
                let mut length = 0;
                loop {
                    let read = file.read(&mut buffer)?;
                    if read == 0 {
                        return Ok(length);
                    }
                    length += read as u64;
                    each(&buffer[..read]);
                }
            }
        }
    }
}

fn sort<I: Send>(mut entries: Vec<(Entry, I)>) -> (Vec<Entry>, Vec<I>) {
    entries.par_sort_unstable_by(|(a, _), (b, _)| a.path.cmp(&b.path));
    entries.into_iter().unzip()
}

/// Which of `items`, sorted by path, are below a folder: all that start with its path and a slash stand together.
fn range_below<T>(items: &[T], folder: &str, path: impl Fn(&T) -> &str) -> Range<usize> {
    let before_slash = |item: &T| {
        let path = path(item).as_bytes();
        let head = &path[..path.len().min(folder.len())];
        match head.cmp(folder.as_bytes()) {
            std::cmp::Ordering::Equal => path.get(folder.len()).copied(),
            std::cmp::Ordering::Less => None,
            std::cmp::Ordering::Greater => Some(u8::MAX),
        }
    };
    let start = items.partition_point(|item| before_slash(item) < Some(b'/'));
    let end = items.partition_point(|item| before_slash(item) <= Some(b'/'));
    start..end
}
