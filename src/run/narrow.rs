//! Narrows a run to a part of the repository: `--project` and `--since`.

use std::collections::BTreeSet;

use anyhow::{Context as _, bail};

use super::Run;
use super::revision::{self, Auto};
use crate::cli;
use crate::config::{self, Beside};
use crate::discover::{Changes, Git, Scope, Tree};
use crate::model::{Desired, Project, Reach, RepoPath, Since, listed};
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
}

impl Narrow {
    /// Finds the revision that is meant, and fetches it where a clone is missing it.
    pub(super) fn of(options: &cli::Narrow, run: &Run, auto: Auto) -> anyhow::Result<Self> {
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
        })
    }

    /// Whether it narrows at all; `--since` does even where everything counts as changed, because it was meant to.
    pub(super) fn narrows(&self) -> bool {
        !self.projects.is_empty() || self.since.is_some()
    }

    /// Whether the run looks at a part of what may be registered: what it does not see is not gone.
    pub(super) fn hides(&self, run: &Run) -> bool {
        self.narrows() || run.config.projects.narrowed_by.is_some()
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
    if let (Some(revision), Some(git)) = (revision, &run.git) {
        let changes = git.changes(revision, tree, run.path())?;
        let reached = reached(&desired, &changes, run, tree)?;
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
    let (kept, dropped): (Vec<Project>, Vec<Project>) =
        desired.projects.into_iter().partition(|project| {
            scope.holds(&project.path) && (revision.is_none() || project.reach.is_some())
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
    desired.projects = kept;
    desired.since.clone_from(&narrow.since);
    Ok(desired)
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
    let files = beside.env_files.iter().chain(&beside.terraform_outputs);
