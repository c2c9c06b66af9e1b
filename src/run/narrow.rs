//! Narrows a run to a part of the repository: `--project` and `--since`.

use std::collections::BTreeSet;
use std::path::Path;

use anyhow::{Context as _, bail};

use crate::cli::Narrow;
use crate::config;
use crate::discover::{Git, Scope, Tree};
use crate::model::{Desired, Project, RepoPath};

impl Narrow {
    /// Whether it narrows at all.
    pub(super) fn narrows(&self) -> bool {
        !self.projects.is_empty() || self.since.is_some()
    }
}

/// Takes out every project that is not meant, with its diagnostics. Everything has been read before, so that an id that
/// stands twice is found in a narrowed run too.
pub(super) fn apply(
    mut desired: Desired,
    narrow: &Narrow,
    git: Option<&Git>,
    tree: &Tree,
    root: &Path,
) -> anyhow::Result<Desired> {
    if !narrow.narrows() {
        return Ok(desired);
    }
    let scope =
        Scope::new(&narrow.projects, &[] as &[String]).context("read the globs of --project")?;
    let changed = match &narrow.since {
        None => None,
        Some(revision) => match git {
            Some(git) => Some(git.changed_since(revision, tree)?),
            None => bail!(
                "--since needs git; {} is in no git repository",
                root.display()
            ),
        },
    };
    let (kept, dropped): (Vec<Project>, Vec<Project>) =
        desired.projects.into_iter().partition(|project| {
            scope.holds(&project.path)
                && changed
                    .as_ref()
                    .is_none_or(|changed| concerns(project, changed))
        });
    if kept.is_empty() && !narrow.projects.is_empty() && narrow.since.is_none() {
        let paths: Vec<String> = dropped
            .iter()
            .take(10)
            .map(|one| one.path.to_string())
            .collect();
        bail!(
            "no project matches {}; there are: {}",
            narrow.projects.join(", "),
            paths.join(", ")
        );
    }
    let unwanted: BTreeSet<&RepoPath> = dropped.iter().map(|project| &project.path).collect();
    let wanted: BTreeSet<&RepoPath> = kept.iter().map(|project| &project.path).collect();
    desired.diagnostics.retain(|one| {
        // A fault belongs to the innermost project around it; one outside of all projects concerns every run.
        let mut folder = Some(one.place.path.clone());
        while let Some(path) = folder {
            if wanted.contains(&path) {
                return true;
            }
            if unwanted.contains(&path) {
                return false;
            }
            folder = path.parent();
        }
        true
    });
    desired.projects = kept;
    Ok(desired)
}

/// Whether a change of these paths can change what the project declares.
fn concerns(project: &Project, changed: &BTreeSet<RepoPath>) -> bool {
    if changed.contains(&RepoPath::new(config::FILE)) {
        return true;
    }
    let base = project.code.base();
    let below = |path: &RepoPath| path.below(&project.path).is_some();
    let held = |path: &RepoPath| {
        path.below(base).is_some_and(|inside| {
            project
                .code
                .files()
                .binary_search_by(|file| file.path.as_str().cmp(inside))
                .is_ok()
        })
    };
    changed
        .iter()
        .any(|path| below(path) || held(path) || project.requirements.as_ref() == Some(path))
}
