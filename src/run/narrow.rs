//! Narrows a run to a part of the repository: `--project` and `--since`.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context as _, bail};

use super::Run;
use super::revision::{self, Auto};
use crate::cli;
use crate::config::{self, Beside};
use crate::discover::{Changes, Git, Scope, Tree};
use crate::model::{DeploymentId, Desired, LeftOut, Project, Reach, RepoPath, Since, listed};
use crate::read::affected;

/// The revision that `--since` and `--against` find out by themselves.
pub(super) const AUTO: &str = "auto";

/// Git's empty tree: everything has changed since.
const NOTHING: &str = "4b825dc642cb6eb9a060e54bf8d69288fbee4904";

/// Which part of the repository is meant, with the revision found.
#[derive(Clone, Debug, Default)]
pub(super) struct Narrow {
    /// Globs on projects; empty for all.
    pub(super) projects: Vec<String>,
    /// What is compared with; `None` where what changed does not matter.
    pub(super) since: Option<Since>,
    /// Projects that a preview holds already: what the pull request takes back has not changed, and has to go back there.
    held: BTreeMap<DeploymentId, RepoPath>,
}

impl Narrow {
    /// Finds the revision that is meant, and fetches it where a clone is missing it.
    pub(super) fn of(options: &cli::Narrow, run: &Run, auto: Auto) -> anyhow::Result<Self> {
        let held = match &auto {
            Auto::Preview(held) => held.clone(),
            Auto::Event | Auto::Deployed(_) => BTreeMap::new(),
        };
        let since = match options.since.as_deref() {
            None => None,
            Some(revision) => {
                let Some(git) = &run.git else {
                    bail!(
                        "--since needs git; {} is in no git repository",
                        run.path().display()
                    );
                };
                Some(match revision {
                    AUTO => revision::automatic(run, git, auto)?,
                    NOTHING => everything("it is compared with nothing".to_owned()),
                    revision => {
                        named(revision, run, git);
                        Since {
                            revision: Some(revision.to_owned()),
                            why: None,
                        }
                    }
                })
            }
        };
        Ok(Self {
            projects: options.projects.clone(),
            since,
            held,
        })
    }

    /// Whether it narrows at all; `--since` does even where everything counts as changed, because it was meant to.
    pub(super) fn narrows(&self) -> bool {
        !self.projects.is_empty() || self.since.is_some()
    }

    /// The revision to write down for a later run, which finds the same one.
    pub(super) fn revision(&self) -> Option<String> {
        let since = self.since.as_ref()?;
        Some(since.revision.clone().unwrap_or_else(|| NOTHING.to_owned()))
    }
}

pub(super) fn everything(why: String) -> Since {
    Since {
        revision: None,
        why: Some(why),
    }
}

/// Fetches a commit that someone named by all its digits and that is missing. Where that fails, what asks for it next
/// says what to do.
fn named(revision: &str, run: &Run, git: &Git) {
    let whole = matches!(revision.len(), 40 | 64);
    if whole
        && git.resolve(revision).is_err()
        && let Err(error) = revision::fetch(run, git, revision)
    {
        tracing::debug!("{error:#}");
    }
}

/// Takes out every project that is not meant, with its diagnostics. Everything has been read before, so that an id that
/// stands twice is found in a narrowed run too.
pub(super) fn apply(
    mut desired: Desired,
    narrow: &Narrow,
    run: &Run,
    tree: &Tree,
) -> anyhow::Result<Desired> {
    if !narrow.narrows() {
        return Ok(desired);
    }
    let scope =
        Scope::new(&narrow.projects, &[] as &[String]).context("read the globs of --project")?;
    let revision = narrow
        .since
        .as_ref()
        .and_then(|since| since.revision.as_deref());
    let mut changes = None;
    if let (Some(revision), Some(git)) = (revision, &run.git) {
        let changes = changes.insert(git.changes(revision, tree, run.path())?);
        let reached = reached(&desired, changes, run, tree)?;
        for (project, reach) in desired.projects.iter_mut().zip(reached) {
            project.reach = reach;
        }
    }
    for glob in &narrow.projects {
        let one = Scope::new(&[glob], &[]).context("read the globs of --project")?;
        if !desired
            .projects
            .iter()
            .any(|project| one.holds(&project.path))
        {
            let projects = desired.projects.iter();
            let paths: Vec<String> = projects.map(|project| project.path.to_string()).collect();
            let paths: Vec<&str> = paths.iter().map(String::as_str).collect();
            bail!("no project matches {glob}; there are: {}", listed(&paths));
        }
    }
    let gone = gone(&desired, narrow, &scope, changes.as_ref());
    let (kept, dropped): (Vec<Project>, Vec<Project>) =
        desired.projects.into_iter().partition(|project| {
            let mut ids = project.deployments.iter().map(|one| &one.id);
            let mut held = || ids.any(|id| narrow.held.contains_key(id));
            let changed = revision.is_none() || project.reach.is_some() || held();
            scope.holds(&project.path) && changed
        });
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
    let declared = dropped.iter().flat_map(|project| &project.deployments);
    desired.left_out = Some(LeftOut {
        declared: declared.map(|one| one.id.clone()).collect(),
        gone,
    });
    desired.projects = kept;
    desired.since.clone_from(&narrow.since);
    Ok(desired)
}

/// The folders in scope that are no projects and may have been, as far as the changes tell: those around files that were
/// there before. `None` for all that are none.
fn gone(
    desired: &Desired,
    narrow: &Narrow,
    scope: &Scope,
    changes: Option<&Changes>,
) -> Option<BTreeSet<RepoPath>> {
    let configuration = RepoPath::new(config::FILE);
    let everything = match changes {
        // It says which folders are projects.
        Some(changes) => changes.paths.contains(&configuration),
        None => narrow.since.is_some(),
    };
    if everything && narrow.projects.is_empty() {
        return None;
    }
    let before = changes.iter().flat_map(|changes| &changes.before);
    let mut folders = BTreeSet::new();
    for file in before {
        let mut above = file.parent();
        while let Some(folder) = above.filter(|folder| !folders.contains(folder)) {
            above = folder.parent();
            folders.insert(folder);
        }
    }
    folders.extend(narrow.held.values().cloned());
    for project in &desired.projects {
        folders.remove(&project.path);
    }
    folders.retain(|folder| scope.holds(folder));
    Some(folders)
}

/// How changes of this tree reach each project, in their order.
pub(super) fn reached(
    desired: &Desired,
    changes: &Changes,
    run: &Run,
    tree: &Tree,
) -> anyhow::Result<Vec<Option<Reach>>> {
    let text = super::read_beside(run.path(), config::FILE)?;
    let beside = Beside::of(text.as_deref())?;
    let files = beside.env_files.iter().chain(&beside.terraform_outputs);
    let configuration: Vec<RepoPath> = std::iter::once(config::FILE)
        .chain(files.map(|file| file.path.as_str()))
        .filter_map(|path| RepoPath::root().resolve(path))
        .collect();
    let projects = &run.config.projects;
    let shared = super::shared(&run.config);
    let reached = affected::reach(
        desired,
        &affected::Question {
            tree,
            changes,
            shared: &shared,
            configuration: &configuration,
            depends_on: &projects.depends_on,
        },
    );
    reached.map_err(|why| anyhow::anyhow!("{}: `depends-on` of `[projects]`: {why}", config::FILE))
}
