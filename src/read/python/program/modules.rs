//! The Python files of a tree, each parsed once and kept for as long as anything reads the tree.

use std::sync::OnceLock;

use crate::discover::Tree;
use crate::model::RepoPath;
use crate::read::python::{Module, SyntaxFault};

use super::value::At;

/// Why a file has no syntax tree.
#[derive(Debug)]
pub(in crate::read) enum Broken {
    Unreadable(String),
    Syntax(SyntaxFault),
}

/// All Python files of a tree; nothing is read before it is asked for.
pub(in crate::read) struct Modules<'t> {
    tree: &'t Tree,
    /// By the place of the file in the tree.
    parsed: Vec<OnceLock<Box<Result<Module, Broken>>>>,
}

impl<'t> Modules<'t> {
    pub(in crate::read) fn new(tree: &'t Tree) -> Self {
        Self {
            tree,
            parsed: tree.entries().iter().map(|_| OnceLock::new()).collect(),
        }
    }

    pub(in crate::read) fn tree(&self) -> &'t Tree {
        self.tree
    }

    /// The file at a place of the tree.
    pub(in crate::read) fn path(&self, index: usize) -> &RepoPath {
        &self.tree.entries()[index].path
    }

    pub(in crate::read) fn get(&self, index: usize) -> Result<&Module, &Broken> {
        let load = || Box::new(load(self.tree, self.path(index)));
        self.parsed[index].get_or_init(load).as_ref().as_ref()
    }

    /// The text of a file, with `\n` for every line's end; empty where it cannot be read.
    pub(in crate::read) fn text(&self, index: usize) -> &str {
        self.get(index).map_or("", |module| &module.source)
    }

    /// Line and column of a place, both from 1.
    pub(in crate::read) fn position(&self, at: At) -> (u32, u32) {
        let module = self.get(at.module);
        module.map_or((1, 1), |module| module.place(at.range.start()))
    }

    /// The source at a place.
    pub(in crate::read) fn source(&self, at: At) -> String {
        let module = self.get(at.module);
        module.map_or_else(|_| String::new(), |module| module.text(at.range))
    }
}

fn load(tree: &Tree, file: &RepoPath) -> Result<Module, Broken> {
    let bytes = tree
        .read(file)
        .map_err(|error| Broken::Unreadable(format!("{error:#}")))?;
    let source = String::from_utf8(bytes)
        .map_err(|_| Broken::Unreadable(format!("{file} is not UTF-8 text")))?;
    Module::parse(&source).map_err(Broken::Syntax)
}
