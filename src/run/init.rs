//! `flowyard init`: the configuration and the workflows of the repository that it finds.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use anyhow::bail;

use super::write::Writer;
use super::{Run, found, write};
use crate::cli;
use crate::discover::{Found, Git, Root, Tree};
use crate::error::Failure;
use crate::model::{Desired, Dialect, Field, RepoPath};
use crate::read;
use crate::scaffold::{self, Facts, Imported};

/// Shows the files and writes those that are not there.
pub(super) fn init(run: &Run, options: &cli::Init) -> Result<(), Failure> {
    let (facts, faults) = facts(run)?;
    let top = top(run);
    let mut writer = Writer::new(run, options.dry_run);
    for file in scaffold::repository(&facts) {
        if write::is_there(&top.join(file.path.as_str())) {
            writer.keep(file.path)?;
        } else {
            writer.write(&top, file)?;
        }
    }
    writer.end("init")?;
    Ok(next(run, &facts, faults)?)
}

/// What is left to do by hand.
fn next(run: &Run, facts: &Facts, faults: usize) -> anyhow::Result<()> {
    if faults > 0 {
        let plural = if faults == 1 { "" } else { "s" };
        let what = format!("{faults} fault{plural} in the deployment files");
        write::say(run, &format!("{what}: `flowyard check` shows them."))?;
    } else if facts.projects == 0 {
        write::say(
            run,
            "`flowyard new projects/hello` makes a project to begin with.",
        )?;
    } else {
        write::say(
            run,
            "`flowyard plan --local` shows what there is to deploy.",
        )?;
    }
    write::say(
        run,
        "The workflows take their addresses and credentials from the repository's settings (Secrets and variables,\n\
         Actions); which ones they are stands in each of them.",
    )
}

/// What there is, and how many faults it has.
fn facts(run: &Run) -> anyhow::Result<(Facts, usize)> {
    if let Root::Bare(path) = &run.root {
        bail!(
            "{} is a bare repository: there is no place for files",
            path.display()
        );
    }
    let tree = run.tree()?;
    let found = found(&tree, &run.config)?;
    let mut settings = run.settings(&tree, &run.config, true)?;
    settings.shared.extend(outside(&tree, &found));
    let mut desired = read::desired(&tree, &found, &settings);
    // Which release files are for shows where they can be read for one only.
    if errors(&desired) > 0 && run.config.prefect.version.is_none() {
        settings.dialect = Dialect::Prefect2;
        let other = read::desired(&tree, &found, &settings);
        if errors(&other) == 0 {
            desired = other;
        } else {
            settings.dialect = Dialect::Prefect3;
        }
    }
    let deployments = || desired.projects.iter().flat_map(|one| &one.deployments);
    let without_pool = deployments().filter(|one| !one.fields.contains_key(&Field::WorkPool));
    let has_dockerfile = |path: &RepoPath| tree.position(&path.join("Dockerfile")).is_some();
    let projects = desired.projects.iter().map(|one| &one.path);
    let facts = Facts {
        root: run
            .git
            .as_ref()
            .map(|git| git.prefix().clone())
            .unwrap_or_default(),
        branch: branch(run.git.as_ref())?,
        projects: desired.projects.len(),
        deployments: deployments().count(),
        without_pool: without_pool.count(),
        shared: imported(&desired, &settings.shared),
        is_prefect_2: settings.dialect == Dialect::Prefect2,
        dockerfiles: projects
            .filter(|path| has_dockerfile(path))
            .cloned()
            .collect(),
        storage: run.config.storage.url.clone(),
        origin: run.git.as_ref().and_then(Git::origin),
    };
    Ok((facts, errors(&desired)))
}

fn errors(desired: &Desired) -> usize {
    let faults = desired.diagnostics.iter();
    faults.filter(|one| one.is_error()).count()
}

/// The branch that is deployed: git's default one.
fn branch(git: Option<&Git>) -> anyhow::Result<String> {
    let found = match git {
        Some(git) => git.default_branch()?,
        None => None,
    };
    Ok(found.unwrap_or_else(|| "main".to_owned()))
}

/// The top of the git work tree, where GitHub looks for workflows; the root where there is no git.
fn top(run: &Run) -> PathBuf {
    let depth = run
        .git
        .as_ref()
        .map_or(0, |git| git.prefix().components().count());
    let top = run.path().ancestors().nth(depth);
    top.unwrap_or(run.path()).to_owned()
}

/// The largest folders with Python in them that hold no project and are in none, and such modules at the root: what
/// projects could import from. Sorted.
fn outside(tree: &Tree, found: &Found) -> Vec<RepoPath> {
    let projects: BTreeSet<&RepoPath> = found.projects.iter().map(|one| &one.path).collect();
    let mut with_projects: BTreeSet<RepoPath> = BTreeSet::from([RepoPath::root()]);
    for project in &projects {
        with_projects.extend(std::iter::successors(project.parent(), RepoPath::parent));
    }
    let mut outside = BTreeSet::new();
    for entry in tree.entries() {
        let is_python = Path::new(entry.path.as_str())
            .extension()
            .is_some_and(|end| end == "py");
        let mut above: Vec<RepoPath> =
            std::iter::successors(Some(entry.path.clone()), RepoPath::parent).collect();
        let in_project = above.iter().any(|one| projects.contains(one));
        if !is_python || in_project {
            continue;
        }
        // From the root down, the first that no project is in.
        above.reverse();
        if let Some(largest) = above.into_iter().find(|one| !with_projects.contains(one)) {
            outside.insert(largest);
        }
    }
    outside.into_iter().collect()
}

/// Which of the folders releases hold something of.
fn imported(desired: &Desired, folders: &[RepoPath]) -> Vec<Imported> {
    let mut imported: BTreeMap<&RepoPath, usize> = BTreeMap::new();
    for project in &desired.projects {
        let base = project.code.base();
        for folder in folders {
            let files = project.code.files().iter();
            let mut paths = files.map(|file| base.join(&file.path));
            if paths.any(|path| path.below(folder).is_some()) {
                *imported.entry(folder).or_default() += 1;
            }
        }
    }
    let imported = imported.into_iter();
    imported
        .map(|(path, by)| Imported {
            path: path.clone(),
            by,
        })
        .collect()
}
