//! `flowyard.toml` as a document with places, for the sections of it that say what to deploy.

use super::document::{self, Node, Syntax};
use crate::discover::Tree;
use crate::model::RepoPath;

/// Where it is, from the root.
pub(super) const FILE: &str = "flowyard.toml";

/// The tree's own; `None` where it has none. What is wrong with the file as a whole is not told here: without it there is
/// no configuration.
pub(super) fn of(tree: &Tree) -> Option<Node> {
    let path = RepoPath::new(FILE);
    tree.position(&path)?;
    parse(&String::from_utf8(tree.read(&path).ok()?).ok()?)
}

/// The document of a text; `None` where it is not TOML.
pub(super) fn parse(text: &str) -> Option<Node> {
    let (document, _) = document::parse(text, Syntax::Toml).ok()?;
    Some(document)
}
