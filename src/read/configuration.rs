//! `flowyard.toml` as a document with places, for the sections of it that say what to deploy.

use std::collections::BTreeSet;

use super::code::{Area, Globs};
use super::document::{self, Node, Syntax};
use super::faults::Faults;
use crate::discover::{Format, Found, Scope, Tree};
use crate::model::{Diagnostic, RepoPath, nearest};

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

/// Refuses what names nothing in the tree under `[projects]`: whoever writes a name means something by it. `include` is what
/// counts, which need not be what the file says.
pub(super) fn check(
    document: &Node,
    tree: &Tree,
    found: &Found,
    include: &[String],
) -> Vec<Diagnostic> {
    let path = RepoPath::new(FILE);
    let mut faults = Faults::of(&path);
    if let Some(projects) = document.get("projects") {
        included(projects, tree, found, include, &mut faults);
        shared(projects, tree, &mut faults);
        depended_on(projects, tree, &mut faults);
    }
    faults.into_parts().0
}

fn included(
    projects: &Node,
    tree: &Tree,
    found: &Found,
    include: &[String],
    faults: &mut Faults<'_>,
) {
    let files = || tree.entries().iter().map(|entry| entry.path.file_name());
    // A repository begins without a project.
    if found.projects.is_empty() && !files().any(|name| Format::of(name).is_some()) {
        return;
    }
    for (glob, at) in faults.texts(projects, "include").unwrap_or_default() {
        let Ok(scope) = Scope::new(&[&glob], &[]) else {
            continue;
        };
        if include.contains(&glob) && !found.projects.iter().any(|one| scope.holds(&one.path)) {
            faults
                .error(at, format!("`{glob}` matches no project"))
                .hint("a project is a folder with a deployment file, and globs count from the repository's root");
        }
    }
}

fn shared(projects: &Node, tree: &Tree, faults: &mut Faults<'_>) {
    for (written, at) in faults.texts(projects, "shared").unwrap_or_default() {
        let Some(path) = RepoPath::root().resolve(&written) else {
            faults
                .error(at, format!("`{written}` leads out of the repository"))
                .hint("name a folder of the repository, from its root");
            continue;
        };
        if tree.is_folder(&path) || tree.position(&path).is_some() {
            continue;
        }
        let folders = folders_beside(&path, tree);
        let hint = match nearest(path.as_str(), folders.iter().map(RepoPath::as_str)) {
            Some(near) => format!("did you mean `{near}`?"),
            None => "folders count from the repository's root, and ignored files do not count"
                .to_owned(),
        };
        faults
            .error(at, format!("there is no folder `{written}`"))
            .hint(hint);
    }
}

/// The folders as deep as `path`.
fn folders_beside(path: &RepoPath, tree: &Tree) -> BTreeSet<RepoPath> {
    let depth = path.components().count();
    let files = tree.entries().iter().map(|entry| entry.path.as_str());
    files
        .filter_map(|file| {
            let (end, _) = file.match_indices('/').nth(depth.checked_sub(1)?)?;
            Some(RepoPath::new(&file[..end]))
        })
        .collect()
}

fn depended_on(projects: &Node, tree: &Tree, faults: &mut Faults<'_>) {
    let globs = Globs::default();
    let matches = |area: &Area| {
        let mut files = tree
            .position(&area.anchor)
            .into_iter()
            .chain(tree.below(&area.anchor));
        area.negated || files.any(|index| area.matches(&tree.entries()[index].path))
    };
    for (pattern, at) in faults.texts(projects, "depends-on").unwrap_or_default() {
        match globs.parse(&RepoPath::root(), &pattern) {
            Ok(area) if matches(&area) => {}
            Ok(_) => faults
                .error(at, format!("`{pattern}` in `depends-on` matches no file"))
                .hint("patterns count from the repository's root, and ignored files do not count"),
            Err(why) => {
                faults.error(at, why);
            }
        }
    }
}
