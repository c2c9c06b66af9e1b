//! The modules of the repository that its modules import, found as Python would find them.
//!
//! A module is parsed when a signature first needs it, and once for all flows of a project.

use std::borrow::Cow;
use std::cell::OnceCell;

use ruff_text_size::TextSize;

use super::constant::{Evaluator, View};
use super::known::installed;
use super::scope::Scope;
use super::{Attribute, Flow, FlowFault, Module, SyntaxFault, flow};
use crate::discover::Tree;
use crate::model::{Dialect, RepoPath};
use crate::read::{Unread, text};

/// How many names an import may have between its dots.
const COMPONENTS: usize = 32;

/// A Python file from which nothing can be read.
#[derive(Debug)]
pub enum Broken {
    /// It is not there, or not text.
    Unreadable(Unread),
    /// It is not Python.
    Syntax(SyntaxFault),
}

/// The parsed modules of a project, by their places in the tree.
#[derive(Debug)]
pub struct Modules<'t> {
    tree: &'t Tree,
    loaded: Slots<Result<Module, Broken>>,
}

impl<'t> Modules<'t> {
    /// None of them is parsed yet.
    pub fn new(tree: &'t Tree) -> Self {
        Self {
            tree,
            loaded: Slots::new(tree.entries().len()),
        }
    }

    /// The tree that they are in.
    pub fn tree(&self) -> &'t Tree {
        self.tree
    }

    /// The module at a place among the tree's entries.
    pub fn get(&self, position: usize) -> &Result<Module, Broken> {
        self.loaded
            .get_or_init(position, || self.load(&self.tree.entries()[position].path))
    }

    /// The file of a module, and line and column, from 1, of an offset in it.
    pub fn place(&self, position: usize, at: TextSize) -> (&'t RepoPath, u32, u32) {
        let (line, column) = match self.get(position) {
            Ok(module) => module.place(at),
            Err(_) => (0, 0),
        };
        (&self.tree.entries()[position].path, line, column)
    }

    /// The file at a place among the tree's entries.
    pub fn path(&self, position: usize) -> &'t RepoPath {
        &self.tree.entries()[position].path
    }

    fn load(&self, file: &RepoPath) -> Result<Module, Broken> {
        let source = text(file, self.tree).map_err(Broken::Unreadable)?;
        Module::parse(&source).map_err(Broken::Syntax)
    }
}

/// The names of a project's modules.
#[derive(Debug)]
pub struct Library<'m> {
    modules: &'m Modules<'m>,
    scopes: Slots<Option<Scope<'m>>>,
}

impl<'m> Library<'m> {
    /// None of them is looked into yet.
    pub fn new(modules: &'m Modules<'m>) -> Self {
        Self {
            modules,
            scopes: Slots::new(modules.tree.entries().len()),
        }
    }

    /// The modules.
    pub fn modules(&self) -> &'m Modules<'m> {
        self.modules
    }

    /// Where Python looks for modules when it runs a file of a project: in the file's folder, in the folder where the
    /// command runs (the project's, or the repository's root), and where installed packages have their sources.
    pub fn roots(file: &RepoPath, project: &RepoPath, tree: &Tree) -> Vec<RepoPath> {
        let folder = file.parent().unwrap_or_default();
        // The folder above the outermost package that the file is in.
        let mut above = folder.clone();
        while tree.position(&above.join("__init__.py")).is_some()
            && let Some(parent) = above.parent()
        {
            above = parent;
        }
        let mut roots: Vec<RepoPath> = Vec::with_capacity(6);
        let all = [
            folder,
            project.clone(),
            RepoPath::root(),
            above,
            project.join("src"),
            RepoPath::new("src"),
        ];
        for root in all {
            if !roots.contains(&root) {
                roots.push(root);
            }
        }
        roots
    }
}

impl Library<'_> {
    /// The flow of the module at a place that an entrypoint names after its `:`. Where that module imports it from
    /// another one of the repository, the place and the name there are given too.
    pub fn flow(
        &self,
        position: usize,
        function: &str,
        roots: &[RepoPath],
        dialect: Dialect,
    ) -> (usize, Result<Flow, FlowFault>) {
        let missing = Err(FlowFault::Missing { nearest: None });
        let view = View {
            imports: self,
            roots,
        };
        let Some(scope) = self.scope(position) else {
            return (position, missing);
        };
        let mut evaluator = Evaluator::new(scope, Some(view));
        let mut name = Cow::Borrowed(function);
        if let Some((home, there)) = flow::home(&evaluator, function) {
            evaluator = Evaluator::new(home, Some(view));
            name = Cow::Owned(there);
        }
        let position = evaluator.scope.file.unwrap_or(position);
        match self.modules.get(position) {
            Ok(module) => (position, module.read(&evaluator, &name, dialect)),
            Err(_) => (position, missing),
        }
    }

    /// The flows at the top level of the module at a place, as [`Module::flows`] gives them, with decorators that other
    /// modules of the repository define.
    pub fn flows(&self, position: usize, roots: &[RepoPath]) -> Vec<(String, u32)> {
        self.look_into(position, roots, Module::flows_of)
    }

    /// The attributes that the module at a place sets on one of its flows, in order, the last value of each.
    pub fn attributes(&self, position: usize, flow: &str, roots: &[RepoPath]) -> Vec<Attribute> {
        self.look_into(position, roots, |module, evaluator| {
            module.attributes_of(evaluator, flow)
        })
    }

    fn look_into<'s, T: Default>(
        &'s self,
        position: usize,
        roots: &'s [RepoPath],
        look: impl FnOnce(&'s Module, &Evaluator<'s>) -> T,
    ) -> T {
        let view = View {
            imports: self,
            roots,
        };
        match (self.scope(position), self.modules.get(position)) {
            (Some(scope), Ok(module)) => look(module, &Evaluator::new(scope, Some(view))),
            _ => T::default(),
        }
    }
}

/// What the evaluator asks of a [`Library`], whose own lifetime it must not know.
pub(super) trait Imports {
    /// The names of the module at a place; `None` where it cannot be read.
    fn scope(&self, position: usize) -> Option<&Scope<'_>>;

    /// The modules that a dotted name leads through, in order: the place of each, and how many of the name's
    /// components it stands for. Empty where the name is not of this repository. `from` is the importing module.
    fn find(&self, name: &str, from: usize, roots: &[RepoPath]) -> Vec<(usize, usize)>;

    /// The module `name` in the package at a place; `None` where it is no package, or has no such module.
    fn submodule(&self, package: usize, name: &str) -> Option<usize>;
}

impl Imports for Library<'_> {
    fn scope(&self, position: usize) -> Option<&Scope<'_>> {
        self.scopes
            .get_or_init(position, || {
                let module = self.modules.get(position).as_ref().ok()?;
                Some(Scope::in_file(&module.syntax.body, position))
            })
            .as_ref()
    }

    fn find(&self, name: &str, from: usize, roots: &[RepoPath]) -> Vec<(usize, usize)> {
        let absolute = name.trim_start_matches('.');
        let level = name.len() - absolute.len();
        let parts: Vec<&str> = absolute
            .split('.')
            .filter(|part| !part.is_empty())
            .collect();
        if parts.len() > COMPONENTS {
            return Vec::new();
        }
        if level > 0 {
            let mut folder = self.path(from).parent();
            for _ in 1..level {
                folder = folder.and_then(|folder| folder.parent());
            }
            let Some(folder) = folder else {
                return Vec::new();
            };
            let package = self.modules.tree.position(&folder.join("__init__.py"));
            let mut found: Vec<(usize, usize)> = package.map(|one| (one, 0)).into_iter().collect();
            found.extend(self.walk(folder, &parts));
            return found;
        }
        if parts.first().is_none_or(|first| installed(first)) {
            return Vec::new();
        }
        roots
            .iter()
            .map(|root| self.walk(root.clone(), &parts))
            .find(|found| !found.is_empty())
            .unwrap_or_default()
    }

    fn submodule(&self, package: usize, name: &str) -> Option<usize> {
        let path = self.path(package);
        if path.file_name() != "__init__.py" {
            return None;
        }
        let found = self.walk(path.parent()?, &[name]);
        found.first().map(|(position, _)| *position)
    }
}

impl Library<'_> {
    fn path(&self, position: usize) -> &RepoPath {
        &self.modules.tree.entries()[position].path
    }

    /// Follows a name's components down from a folder.
    fn walk(&self, mut folder: RepoPath, parts: &[&str]) -> Vec<(usize, usize)> {
        let tree = self.modules.tree;
        let mut found = Vec::new();
        for (index, part) in parts.iter().enumerate() {
            let inner = folder.join(part);
            if let Some(package) = tree.position(&inner.join("__init__.py")) {
                found.push((package, index + 1));
            } else if let Some(module) = tree.position(&RepoPath::new(format!("{inner}.py"))) {
                found.push((module, index + 1));
                break;
            } else if !tree.is_folder(&inner) {
                break;
            }
            folder = inner;
        }
        found
    }
}

/// Values by the place of a file among the tree's entries; more can come while others are borrowed.
#[derive(Debug)]
struct Slots<T> {
    chunks: Box<[OnceCell<Chunk<T>>]>,
}

type Chunk<T> = Box<[OnceCell<Box<T>>]>;

/// Places in a chunk: a project has few modules in a tree of many files.
const CHUNK: usize = 256;

impl<T> Slots<T> {
    fn new(places: usize) -> Self {
        Self {
            chunks: std::iter::repeat_with(OnceCell::new)
                .take(places.div_ceil(CHUNK))
                .collect(),
        }
    }

    fn get_or_init(&self, position: usize, make: impl FnOnce() -> T) -> &T {
        let chunk = self.chunks[position / CHUNK]
            .get_or_init(|| std::iter::repeat_with(OnceCell::new).take(CHUNK).collect());
        chunk[position % CHUNK].get_or_init(|| Box::new(make()))
    }
}
