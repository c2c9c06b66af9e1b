//! Which Python files a project's files import, directly or through others.
//!
//! Imports are looked for as Python does it, once in the files as they are and once in the files as they were: a module
//! that is gone reaches whoever imports it, and so does a new one that stands in front of another. The text of a file as
//! it was is never needed, because a file that changed is the end of a chain.

use std::borrow::Cow;
use std::cell::RefCell;
use std::collections::{HashMap, VecDeque};
use std::rc::Rc;
use std::sync::OnceLock;

use crate::discover::{Changes, EntryKind, Tree};
use crate::model::RepoPath;
use crate::read::python::{Imported, Module};

/// A Python file above this length, in bytes, is data: nothing is followed from it.
const LONGEST: u64 = 16 << 20;

/// The Python files of a tree, and those that were there before.
pub(super) struct Graph<'a> {
    tree: &'a Tree,
    files: HashMap<&'a str, usize>,
    nodes: Vec<Node<'a>>,
    /// Folders with a Python file somewhere in them.
    folders: HashMap<&'a str, Sides>,
    /// The sides that differ in which files there are: both, or only the one that is.
    sides: &'static [Side],
}

struct Node<'a> {
    path: &'a RepoPath,
    at: Sides,
    changed: bool,
    facts: OnceLock<Facts>,
}

/// What a file imports.
#[derive(Default)]
struct Facts {
    imported: Vec<Imported>,
    exported: Vec<String>,
    /// The file that it is a symbolic link to.
    target: Option<usize>,
}

#[derive(Clone, Copy)]
enum Side {
    Before,
    After,
}

#[derive(Clone, Copy, Default)]
struct Sides {
    before: bool,
    after: bool,
}

impl Sides {
    fn at(self, side: Side) -> bool {
        match side {
            Side::Before => self.before,
            Side::After => self.after,
        }
    }
}

/// Where a name leads.
#[derive(Default)]
struct Found<'a> {
    /// The packages on the way and the module, in this order; namespace packages have no file.
    files: Vec<usize>,
    /// The folders in which submodules are found; empty where it is a module, or not there at all.
    folders: Vec<Cow<'a, str>>,
    /// Whether all of it is there.
    whole: bool,
}

impl<'a> Graph<'a> {
    /// The files of both sides; none of them is read yet.
    pub(super) fn new(tree: &'a Tree, changes: &'a Changes) -> Self {
        let mut graph = Self {
            tree,
            files: HashMap::new(),
            nodes: Vec::new(),
            folders: HashMap::new(),
            sides: &[Side::After],
        };
        for entry in tree.entries() {
            let changed = changes.paths.contains(&entry.path);
            let before = !changed || changes.before.contains(&entry.path);
            graph.add(
                &entry.path,
                Sides {
                    before,
                    after: true,
                },
                changed,
            );
        }
        for path in &changes.before {
            if tree.position(path).is_none() {
                let gone = Sides {
                    before: true,
                    after: false,
                };
                graph.add(path, gone, true);
            }
        }
        graph
    }

    fn add(&mut self, path: &'a RepoPath, at: Sides, changed: bool) {
        if !path.as_str().ends_with(".py") {
            return;
        }
        if !(at.before && at.after) {
            self.sides = &[Side::Before, Side::After];
        }
        self.files.insert(path.as_str(), self.nodes.len());
        self.nodes.push(Node {
            path,
            at,
            changed,
            facts: OnceLock::new(),
        });
        let mut folder = path.as_str();
        while let Some((above, _)) = folder.rsplit_once('/') {
            let known = self.folders.entry(above).or_default();
            if (known.before || !at.before) && (known.after || !at.after) {
                break;
            }
            known.before |= at.before;
            known.after |= at.after;
            folder = above;
        }
    }

    /// Whether any Python file has changed.
    pub(super) fn has_changes(&self) -> bool {
        self.nodes.iter().any(|node| node.changed)
    }

    /// The shortest chain of imports from any of the files `from`, which may be no Python files, to one that has changed:
    /// the first file, which may be that one itself, and those after it. `roots` are the folders in which absolute imports are looked for, in order.
    pub(super) fn chain(
        &self,
        from: &[RepoPath],
        roots: &[RepoPath],
    ) -> Option<(&'a RepoPath, Vec<&'a RepoPath>)> {
        let search = Search {
            graph: self,
            roots: roots
                .iter()
                .map(|root| Cow::Borrowed(root.as_str()))
                .collect(),
            known: RefCell::default(),
        };
        // By what a file is imported; itself for those at the beginning.
        let mut by: HashMap<usize, usize> = HashMap::new();
        let mut waiting = VecDeque::new();
        for path in from {
            if let Some(&file) = self.files.get(path.as_str())
                && by.insert(file, file).is_none()
            {
                if self.nodes[file].changed {
                    return Some((self.nodes[file].path, Vec::new()));
                }
                waiting.push_back(file);
            }
        }
        while let Some(file) = waiting.pop_front() {
            let mut needed = search.needed(file);
            needed.sort_unstable_by_key(|&one| self.nodes[one].path);
            for one in needed {
                if by.contains_key(&one) {
                    continue;
                }
                by.insert(one, file);
                if self.nodes[one].changed {
                    let mut chain = vec![self.nodes[one].path];
                    let mut at = file;
                    while by.get(&at).is_some_and(|before| *before != at) {
                        chain.push(self.nodes[at].path);
                        at = by.get(&at).copied().unwrap_or(at);
                    }
                    chain.reverse();
                    return Some((self.nodes[at].path, chain));
                }
                waiting.push_back(one);
            }
        }
        None
    }

    fn facts(&self, file: usize) -> &Facts {
        self.nodes[file]
            .facts
            .get_or_init(|| self.read(file).unwrap_or_default())
    }

    /// What a file imports; nothing where it cannot be read or is no Python.
    fn read(&self, file: usize) -> Option<Facts> {
        let path = self.nodes[file].path;
        let place = self.tree.position(path)?;
        match &self.tree.entries()[place].kind {
            EntryKind::Symlink { .. } => {
                let target = self.tree.follow(place).ok()?;
                let target = self.tree.entries()[target].path.as_str();
                return Some(Facts {
                    target: self.files.get(target).copied(),
                    ..Facts::default()
                });
            }
            EntryKind::File { length, .. } if *length > LONGEST => return None,
            EntryKind::File { .. } => {}
        }
        let bytes = self.tree.read(path).ok()?;
        let module = Module::parse(&String::from_utf8_lossy(&bytes)).ok()?;
        Some(Facts {
            imported: module.imported(),
            exported: module.exported(),
            target: None,
        })
    }

    fn file(&self, side: Side, path: &str) -> Option<usize> {
        let file = *self.files.get(path)?;
        self.nodes[file].at.at(side).then_some(file)
    }

    /// Looks for a dotted name below folders, as Python does: the first folder with a package or module of the name has
    /// it; where none has, all folders of that name together are a namespace package.
    fn find(&self, side: Side, folders: &[Cow<'a, str>], dotted: &str) -> Found<'a> {
        let mut found = Found {
            folders: folders.to_vec(),
            whole: true,
            ..Found::default()
        };
        for part in dotted.split('.').filter(|part| !part.is_empty()) {
            let mut namespaces = Vec::new();
            let mut regular = None;
            for folder in &found.folders {
                let inner = below(folder, part);
                if let Some(package) = self.file(side, &below(&inner, "__init__.py")) {
                    regular = Some((package, vec![Cow::Owned(inner)]));
                } else if let Some(module) = self.file(side, &format!("{inner}.py")) {
                    regular = Some((module, Vec::new()));
                } else {
                    let known = self.folders.get(inner.as_str());
                    if known.is_some_and(|known| known.at(side)) {
                        namespaces.push(Cow::Owned(inner));
                    }
                    continue;
                }
                break;
            }
            match regular {
                Some((file, folders)) => {
                    found.files.push(file);
                    found.folders = folders;
                }
                None if namespaces.is_empty() => {
                    found.folders = Vec::new();
                    found.whole = false;
                    break;
                }
                None => found.folders = namespaces,
            }
        }
        found
    }

    /// The packages that a folder is in, itself among them.
    fn packages(&self, side: Side, folder: &str, into: &mut Vec<usize>) {
        let mut folder = Some(folder);
        while let Some(one) = folder
            && let Some(package) = self.file(side, &below(one, "__init__.py"))
        {
            into.push(package);
            folder = parent(one);
        }
    }

    /// All files below a folder.
    fn all_below(&self, folder: &str, into: &mut Vec<usize>) {
        let inside = |path: &str| {
            path.strip_prefix(folder)
                .is_some_and(|rest| rest.starts_with('/'))
        };
        let files = self.files.iter().filter(|(path, _)| inside(path));
        into.extend(files.map(|(_, file)| *file));
    }
}

/// The search of one project.
struct Search<'g, 'a> {
    graph: &'g Graph<'a>,
    roots: Vec<Cow<'a, str>>,
    /// Where absolute names lead.
    known: RefCell<HashMap<String, Leads<'a>>>,
}

/// Where a name leads on each side.
type Leads<'a> = Rc<Vec<(Side, Found<'a>)>>;

impl<'a> Search<'_, 'a> {
    /// The files that a file imports, with the packages that they are in.
    fn needed(&self, file: usize) -> Vec<usize> {
        let mut needed = Vec::new();
        let facts = self.graph.facts(file);
        needed.extend(facts.target);
        for imported in &facts.imported {
            match imported {
                Imported::Module(name) => {
                    for (_, found) in self.absolute(name, file).iter() {
                        needed.extend(&found.files);
                    }
                }
                Imported::From {
                    level,
                    module,
                    names,
                } => {
                    for (side, found) in self.leads(*level, module, file, &mut needed).iter() {
                        needed.extend(&found.files);
                        if found.whole {
                            self.members(*side, found, names, &mut needed);
                        }
                    }
                }
                Imported::Any { level, package } => {
                    for (_, found) in self.leads(*level, package, file, &mut needed).iter() {
                        needed.extend(&found.files);
                        for folder in found.folders.iter().filter(|_| found.whole) {
                            self.graph.all_below(folder, &mut needed);
                        }
                    }
                }
            }
        }
        needed
    }

    /// The modules among the names of a package.
    fn members(&self, side: Side, found: &Found<'a>, names: &[String], needed: &mut Vec<usize>) {
        for name in names {
            if name != "*" {
                needed.extend(self.graph.find(side, &found.folders, name).files);
            } else if let Some(&package) = found.files.last()
                && !found.folders.is_empty()
            {
                for name in &self.graph.facts(package).exported {
                    needed.extend(self.graph.find(side, &found.folders, name).files);
                }
            }
        }
    }

    /// Where a name leads that `file` imports; the packages that a relative one starts from are added to `needed`.
    fn leads(&self, level: u32, name: &str, file: usize, needed: &mut Vec<usize>) -> Leads<'a> {
        if level == 0 {
            return self.absolute(name, file);
        }
        let mut folder = parent(self.graph.nodes[file].path.as_str());
        for _ in 1..level {
            folder = folder.and_then(parent);
        }
        let Some(folder) = folder else {
            return Leads::default();
        };
        let lead = |&side: &Side| {
            self.graph.packages(side, folder, needed);
            (side, self.graph.find(side, &[Cow::Borrowed(folder)], name))
        };
        Rc::new(self.graph.sides.iter().map(lead).collect())
    }

    /// Where an absolute name leads: from the roots of the project; where that is nowhere, from the folder of the file
    /// itself and the one above its outermost package, which someone may have put on Python's path.
    fn absolute(&self, name: &str, file: usize) -> Leads<'a> {
        let find = |roots: &[Cow<'a, str>]| -> Leads<'a> {
            let sides = self.graph.sides.iter();
            let leads = sides.map(|&side| (side, self.graph.find(side, roots, name)));
            Rc::new(leads.collect())
        };
        let known = self.known.borrow().get(name).cloned();
        let leads = known.unwrap_or_else(|| {
            let leads = find(&self.roots);
            self.known
                .borrow_mut()
                .insert(name.to_owned(), leads.clone());
            leads
        });
        let leads_to_files =
            |leads: &Leads<'a>| leads.iter().any(|(_, found)| !found.files.is_empty());
        if leads_to_files(&leads) {
            return leads;
        }
        let own = parent(self.graph.nodes[file].path.as_str()).unwrap_or_default();
        let mut above = own;
        while self
            .graph
            .file(Side::After, &below(above, "__init__.py"))
            .is_some()
            && let Some(folder) = parent(above)
        {
            above = folder;
        }
        let from_there = find(&[Cow::Borrowed(own), Cow::Borrowed(above)]);
        if leads_to_files(&from_there) {
            from_there
        } else {
            leads
        }
    }
}

/// The path of `name` in a folder.
fn below(folder: &str, name: &str) -> String {
    if folder.is_empty() {
        name.to_owned()
    } else {
        format!("{folder}/{name}")
    }
}

/// The folder that holds a path; `None` for the root.
fn parent(path: &str) -> Option<&str> {
    if path.is_empty() {
        return None;
    }
    Some(path.rsplit_once('/').map_or("", |(folder, _)| folder))
}
