//! A work tree as a listing: the files on disk.

use std::fs::{self, DirEntry, Metadata};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use anyhow::Context;

use super::ignored::{self, Rules};
use super::root::GitFolder;
use super::tree::EntryKind;
use super::walk::{self, FaultKind, GIT_IGNORE, Item, ItemKind, Listing, PREFECT_IGNORE};
use crate::model::FileMode;

/// The files below a folder, and what git tracks of them.
pub(super) struct Work {
    git: Option<GitFolder>,
    /// Read at the first thing that git ignores, which in a fresh checkout never comes.
    tracked: OnceLock<Result<Tracked, String>>,
}

impl Work {
    /// The listing for a root, an absolute path without symbolic links; the path from the git root down to it, and the
    /// rules that hold there.
    pub(super) fn open(root: &Path) -> anyhow::Result<(Self, String, Rules)> {
        let git = GitFolder::find(root);
        let mut above = String::new();
        let mut rules = Rules::default();
        if let Some(git) = &git {
            let exclude = read_lines(&git.common.join("info/exclude"))?;
            rules = rules.below("", exclude, None);
            let down = root.strip_prefix(&git.top).unwrap_or(Path::new(""));
            let mut folder = git.top.clone();
            for part in down {
                let own = read_lines(&folder.join(GIT_IGNORE))?;
                let prefect = read_lines(&folder.join(PREFECT_IGNORE))?;
                rules = rules.below(&above, own, prefect);
                folder.push(part);
                above = walk::join(&above, &part.to_string_lossy());
            }
        }
        let work = Self {
            git,
            tracked: OnceLock::new(),
        };
        Ok((work, above, rules))
    }

    /// Why the index could not be read, if it was needed and could not.
    pub(super) fn index_fault(&self) -> Option<FaultKind> {
        match self.tracked.get() {
            Some(Err(why)) => Some(FaultKind::Index(why.clone())),
            _ => None,
        }
    }
}

impl Listing for Work {
    type Folder = PathBuf;
    type File = DirEntry;
    type Id = ();

    fn list(&self, folder: &PathBuf) -> anyhow::Result<Vec<Item<Self>>> {
        let mut items = Vec::new();
        for entry in fs::read_dir(folder)? {
            let entry = entry?;
            let kind = entry.file_type()?;
            items.push(Item {
                name: entry
                    .file_name()
                    .into_string()
                    .map_err(|name| name.to_string_lossy().into_owned()),
                kind: if kind.is_dir() {
                    ItemKind::Folder(entry.path())
                } else if kind.is_file() || kind.is_symlink() {
                    ItemKind::File(entry)
                } else {
                    ItemKind::Fault(FaultKind::Special)
                },
            });
        }
        Ok(items)
    }

    fn look(&self, file: &DirEntry) -> Result<Option<(EntryKind, ())>, FaultKind> {
        // Does not follow a symbolic link.
        let metadata = match file.metadata() {
            Ok(metadata) => metadata,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(FaultKind::unreadable(error)),
        };
        let kind = if metadata.is_symlink() {
            let target = fs::read_link(file.path()).map_err(FaultKind::unreadable)?;
            let target = target.into_os_string().into_string();
            EntryKind::Symlink {
                target: target.map_err(|_| FaultKind::NotUtf8)?,
            }
        } else {
            EntryKind::File {
                length: metadata.len(),
                mode: mode(&metadata),
            }
        };
        Ok(Some((kind, ())))
    }

    fn ignore_file(&self, file: &DirEntry) -> anyhow::Result<Vec<u8>> {
        if file.file_type()?.is_symlink() {
            return Ok(Vec::new());
        }
        Ok(fs::read(file.path())?)
    }

    fn tracked(&self, path: &str, is_folder: bool) -> bool {
        let Some(git) = &self.git else {
            return false;
        };
        let tracked = self
            .tracked
            .get_or_init(|| Tracked::read(git).map_err(|error| format!("{error:#}")));
        tracked
            .as_ref()
            .is_ok_and(|tracked| tracked.has(path, is_folder))
    }

    fn git_ignores(&self) -> bool {
        true
    }
}

/// The mode as git would record it: executable where the owner may execute.
#[cfg(unix)]
fn mode(metadata: &Metadata) -> FileMode {
    use std::os::unix::fs::PermissionsExt;
    if metadata.permissions().mode() & 0o100 == 0 {
        FileMode::Regular
    } else {
        FileMode::Executable
    }
}

#[cfg(not(unix))]
fn mode(_: &Metadata) -> FileMode {
    FileMode::Regular
}

/// An ignore file outside of the walk; `None` where there is none.
fn read_lines(path: &Path) -> anyhow::Result<Option<ignore::gitignore::Gitignore>> {
    let regular = fs::symlink_metadata(path).is_ok_and(|metadata| metadata.is_file());
    if !regular {
        return Ok(None);
    }
    let content = fs::read(path).with_context(|| format!("read {}", path.display()))?;
    Ok(Some(ignored::parse(&content).0))
}

/// The paths in git's index, sorted bytewise, in one piece of memory.
struct Tracked {
    text: Vec<u8>,
    ends: Vec<usize>,
}

impl Tracked {
    fn read(git: &GitFolder) -> anyhow::Result<Self> {
        let mut tracked = Self {
            text: Vec::new(),
            ends: Vec::new(),
        };
        let path = git.own.join("index");
        // There is none before the first `git add`.
        if path.exists() {
            let index = git2::Index::open(&path)?;
            for entry in index.iter() {
                tracked.text.extend_from_slice(&entry.path);
                tracked.ends.push(tracked.text.len());
            }
        }
        Ok(tracked)
    }

    fn path(&self, index: usize) -> &[u8] {
        let start = match index.checked_sub(1) {
            Some(before) => self.ends[before],
            None => 0,
        };
        &self.text[start..self.ends[index]]
    }

    /// Whether it holds a file, or anything below a folder.
    fn has(&self, path: &str, is_folder: bool) -> bool {
        let wanted = if is_folder {
            format!("{path}/").into_bytes()
        } else {
            path.as_bytes().to_vec()
        };
        let (mut low, mut high) = (0, self.ends.len());
        while low < high {
            let middle = low.midpoint(high);
            if self.path(middle) < wanted.as_slice() {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        low < self.ends.len()
            && if is_folder {
                self.path(low).starts_with(&wanted)
            } else {
                self.path(low) == wanted
            }
    }
}
