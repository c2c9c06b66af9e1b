//! The walk: folder by folder, level by level, under the ignore rules.
//!
//! One walk serves work trees and revisions, so that they cannot disagree. It goes by levels instead of recursion: each
//! level's folders are read in parallel, and no depth of nesting can exhaust the stack.

use rayon::prelude::*;

use super::ignored::{self, Rules, Verdict};
use super::projects::{Format, is_requirements};
use super::tree::{Entry, EntryKind};
use crate::model::{Absent, RepoPath};

/// Something that a tree cannot show as an entry.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Fault {
    /// Where; the nearest readable form where the name is not UTF-8.
    pub path: RepoPath,
    /// What.
    pub kind: FaultKind,
}

/// What is wrong with it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum FaultKind {
    /// The name, or a symbolic link's target, is not UTF-8; a folder of such a name is not entered.
    NotUtf8,
    /// A device, a pipe or a socket.
    Special,
    /// A submodule of a revision whose commit is not here. (Where it is, its files are as any other.)
    Submodule,
    /// A folder of a work tree that lacks files which git has: the checkout is sparse, or the folder a submodule that is not
    /// checked out.
    Absent(Absent),
    /// It could not be read; projects in it would be missed.
    Unreadable(String),
    /// A deployment file or a requirements file that a `.prefectignore` takes out.
    Hidden,
    /// A line of a `.prefectignore` that is no pattern: its number, from 1, and why.
    Pattern(u32, String),
    /// Git's index could not be read: tracked files that git would ignore are taken as untracked.
    Index(String),
}

impl FaultKind {
    pub(super) fn unreadable(error: impl Into<anyhow::Error>) -> Self {
        Self::Unreadable(format!("{:#}", error.into()))
    }
}

/// One item of a folder, before the ignore rules.
pub(super) struct Item<L: Listing + ?Sized> {
    /// The name, or its readable form where it is not UTF-8.
    pub(super) name: Result<String, String>,
    pub(super) kind: ItemKind<L>,
}

pub(super) enum ItemKind<L: Listing + ?Sized> {
    Folder(L::Folder),
    File(L::File),
    Fault(FaultKind),
}

/// What a walk asks of a work tree or a revision.
pub(super) trait Listing: Sync {
    /// What is needed to list a folder.
    type Folder: Send + Sync;
    /// What is needed to look at a file or a symbolic link.
    type File;
    /// What is needed to read it later.
    type Id: Send;

    /// The items of a folder, in any order.
    fn list(&self, folder: &Self::Folder) -> anyhow::Result<Vec<Item<Self>>>;

    /// Looks at a file that counts; `None` where it has gone meanwhile.
    fn look(&self, file: &Self::File) -> Result<Option<(EntryKind, Self::Id)>, FaultKind>;

    /// The content of an ignore file.
    fn ignore_file(&self, file: &Self::File) -> anyhow::Result<Vec<u8>>;

    /// Whether git tracks a path (from the git root), or something below a folder.
    fn tracked(&self, path: &str, is_folder: bool) -> bool;

    /// Whether a `.gitignore` can take anything out here.
    fn git_ignores(&self) -> bool;
}

/// The product of a walk, not sorted.
pub(super) struct Walk<I> {
    pub(super) entries: Vec<(Entry, I)>,
    pub(super) faults: Vec<Fault>,
}

/// A folder to be read.
struct Folder<F> {
    /// From the git root.
    path: String,
    rules: Rules,
    /// Whether git ignores it, and only tracked files in it count.
    only_tracked: bool,
    handle: F,
}

/// Walks everything below a folder. `above` is the path from the git root to the tree's root, and `rules` what holds
/// there.
pub(super) fn walk<L: Listing>(
    listing: &L,
    handle: L::Folder,
    above: &str,
    rules: Rules,
) -> Walk<L::Id> {
    let skip = if above.is_empty() { 0 } else { above.len() + 1 };
    let mut walk = Walk {
        entries: Vec::new(),
        faults: Vec::new(),
    };
    let mut level = vec![Folder {
        path: above.to_owned(),
        rules,
        only_tracked: false,
        handle,
    }];
    while !level.is_empty() {
        let visits: Vec<_> = level
            .par_iter()
            .map(|folder| visit(listing, folder, skip))
            .collect();
        level = Vec::new();
        for visit in visits {
            walk.entries.extend(visit.entries);
            walk.faults.extend(visit.faults);
            level.extend(visit.folders);
        }
    }
    walk
}

struct Visit<L: Listing> {
    entries: Vec<(Entry, L::Id)>,
    folders: Vec<Folder<L::Folder>>,
    faults: Vec<Fault>,
}

fn visit<L: Listing>(listing: &L, folder: &Folder<L::Folder>, skip: usize) -> Visit<L> {
    let mut visit = Visit {
        entries: Vec::new(),
        folders: Vec::new(),
        faults: Vec::new(),
    };
    let inside = |path: &str| RepoPath::new(path.get(skip..).unwrap_or_default());
    let items = match listing.list(&folder.handle) {
        Ok(items) => items,
        Err(error) => {
            visit.faults.push(Fault {
                path: inside(&folder.path),
                kind: FaultKind::unreadable(error),
            });
            return visit;
        }
    };
    let rules = own_rules(listing, folder, &items, &inside, &mut visit.faults);
    for item in items {
        let (name, utf8) = match item.name {
            Ok(name) => (name, true),
            Err(name) => (name, false),
        };
        let path = join(&folder.path, &name);
        let is_folder = matches!(item.kind, ItemKind::Folder(_));
        let verdict = match rules.verdict(&path, &name, is_folder) {
            Verdict::Kept if folder.only_tracked => Verdict::KeptIfTracked,
            verdict => verdict,
        };
        let mut only_tracked = false;
        match verdict {
            Verdict::Kept => {}
            Verdict::KeptIfTracked if utf8 && listing.tracked(&path, is_folder) => {
                only_tracked = true;
            }
            Verdict::Prefect if !is_folder && matters(&name) => {
                visit.faults.push(Fault {
                    path: inside(&path),
                    kind: FaultKind::Hidden,
                });
                continue;
            }
            Verdict::KeptIfTracked | Verdict::Prefect | Verdict::BuiltIn => continue,
        }
        let kind = match item.kind {
            _ if !utf8 => Err(FaultKind::NotUtf8),
            ItemKind::Fault(fault) => Err(fault),
            ItemKind::Folder(handle) => {
                visit.folders.push(Folder {
                    path,
                    rules: rules.clone(),
                    only_tracked,
                    handle,
                });
                continue;
            }
            ItemKind::File(file) => match listing.look(&file) {
                Ok(Some(found)) => Ok(found),
                Ok(None) => continue,
                Err(fault) => Err(fault),
            },
        };
        let path = inside(&path);
        match kind {
            Ok((kind, id)) => visit.entries.push((Entry { path, kind }, id)),
            Err(kind) => visit.faults.push(Fault { path, kind }),
        }
    }
    visit
}

/// The rules inside of a folder, with its own ignore files. A symbolic link is not taken as an ignore file, as in git.
fn own_rules<L: Listing>(
    listing: &L,
    folder: &Folder<L::Folder>,
    items: &[Item<L>],
    inside: &impl Fn(&str) -> RepoPath,
    faults: &mut Vec<Fault>,
) -> Rules {
    let mut read = |name: &str| {
        let item = items.iter().find(|item| item.name.as_deref() == Ok(name))?;
        let ItemKind::File(file) = &item.kind else {
            return None;
        };
        let path = || inside(&join(&folder.path, name));
        match listing.ignore_file(file) {
            Ok(content) => {
                let (lines, faulty) = ignored::parse(&content);
                // Git passes over a line that it cannot read, and so do we with its files.
                if name == PREFECT_IGNORE {
                    faults.extend(faulty.into_iter().map(|(line, why)| Fault {
                        path: path(),
                        kind: FaultKind::Pattern(line, why),
                    }));
                }
                Some(lines)
            }
            Err(error) => {
                faults.push(Fault {
                    path: path(),
                    kind: FaultKind::unreadable(error),
                });
                None
            }
        }
    };
    let git = if listing.git_ignores() {
        read(GIT_IGNORE)
    } else {
        None
    };
    let prefect = read(PREFECT_IGNORE);
    folder.rules.below(&folder.path, git, prefect)
}

pub(super) const GIT_IGNORE: &str = ".gitignore";
pub(super) const PREFECT_IGNORE: &str = ".prefectignore";

/// Whether a file that a `.prefectignore` takes out would be missed.
fn matters(name: &str) -> bool {
    Format::of(name).is_some() || is_requirements(name)
}

/// Joins two parts of a path; the first may be empty.
pub(super) fn join(folder: &str, name: &str) -> String {
    if folder.is_empty() {
        return name.to_owned();
    }
    let mut path = String::with_capacity(folder.len() + 1 + name.len());
    path.push_str(folder);
    path.push('/');
    path.push_str(name);
    path
}
