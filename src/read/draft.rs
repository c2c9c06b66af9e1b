//! A deployment as a file gives it, before anything of it is checked: what every format is brought to.

use super::document::{Content, Node};
use super::faults::Faults;
use super::image::Build;
use crate::model::Step;

/// One deployment of a file, whatever the file's format: from here on there is one reader.
#[derive(Clone, Debug)]
pub(super) struct Draft {
    /// A mapping with the keys of a deployment file, each value with its place in the file that declares it.
    pub(super) node: Node,
    /// Its name where the mapping has none; `None` where it has to have one.
    pub(super) default_name: Option<String>,
    /// What was decided about it that the file does not say; shown with its plan. Lower-case fragments.
    pub(super) notes: Vec<String>,
    /// The images that its file builds for it.
    pub(super) images: Vec<Build>,
    /// See [`Deployment::steps`](crate::model::Deployment::steps).
    pub(super) steps: Vec<Step>,
}

impl Draft {
    /// A draft that says no more than its file.
    pub(super) fn of(node: Node, default_name: Option<String>) -> Self {
        Self {
            node,
            default_name,
            notes: Vec::new(),
            images: Vec::new(),
            steps: Vec::new(),
        }
    }
}

/// The drafts of a deployment file in YAML, TOML or JSON: one deployment, or a list of them under `deployments`.
/// `stem` is the file's name without its ending.
pub(super) fn of_document(node: &Node, stem: &str, faults: &mut Faults<'_>) -> Vec<Draft> {
    let draft = |node: &Node, alone: bool| Draft::of(node.clone(), alone.then(|| stem.to_owned()));
    let Some(list) = node.get("deployments") else {
        if node.is_null() {
            faults
                .error(node.at, "the file is empty")
                .hint("it needs at least an `entrypoint`");
            return Vec::new();
        }
        return vec![draft(node, true)];
    };
    faults.unknown_keys(
        node.entries().unwrap_or_default(),
        &["deployments", "definitions"],
        "a file with `deployments`",
    );
    let Content::List(items) = &list.content else {
        faults.error(
            list.at,
            format!("`deployments` is a list, not {}", list.kind()),
        );
        return Vec::new();
    };
    items
        .iter()
        .map(|item| draft(item, items.len() == 1))
        .collect()
}
