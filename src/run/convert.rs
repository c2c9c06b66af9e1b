//! `flowyard convert`: what other formats declare, as `.deployment.yaml` files.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write as _;

use anyhow::Context as _;

use super::narrow::Narrow;
use super::{Run, faulty, found, show, write};
use crate::cli;
use crate::discover::{DeploymentFile, Format, Tree};
use crate::error::Failure;
use crate::model::{Desired, Diagnostic, Place, RepoPath};
use crate::report::json::{self, Action};
use crate::{plan, read};

/// Writes a `.deployment.yaml` beside every `.deployment.py` and `prefect.yaml` in scope, once it is proven that both
/// declare the same. Nothing is written unless all of them can be, and a file that is there is never overwritten: one that
/// an earlier run has written counts as written.
pub(super) async fn convert(run: &Run, options: &cli::Convert) -> Result<(), Failure> {
    let tree = Tree::work(run.path())?;
    let narrow = Narrow::of(&options.narrow, run, super::revision::Auto::Event)?;
    if run.global.run_python {
        // What the files that are run register counts for all that follows.
        run.read_narrowed(&tree, &narrow, true).await?;
    }
    let settings = run.settings(&tree, &run.config, true)?;
    let there = written_before(run, &tree, &settings)?;
    let tree = tree.edited(&there, BTreeMap::new());
    let before = run.read_narrowed(&tree, &narrow, true).await?;
    faulty(run, &before.diagnostics)?;

    let mut faults = Vec::new();
    // The file to be written -> the one that it comes from, and its text.
    let mut files: BTreeMap<RepoPath, (RepoPath, String)> = BTreeMap::new();
    for file in originals(run, &tree, &before)? {
        let target = target(&file);
        if tree.position(&target).is_some() {
            let message = format!("{target} is there already");
            let place = Place::file(file.path.clone());
            let fault = Diagnostic::error(place, message);
            faults.push(fault.hint("delete one of the two; no file is overwritten"));
            continue;
        }
        match read::converted(&file, &tree, &settings) {
            Ok(text) => {
                files.insert(target, (file.path, text));
            }
            Err(found) => faults.extend(found),
        }
    }
    faulty(run, &faults)?;
    if files.is_empty() {
        write::say(
            run,
            "Nothing to convert: no .deployment.py and no prefect.yaml is in scope.",
        )?;
        return Ok(show::files("convert", false, &[], run)?);
    }

    prove(run, tree, &before, &files)?;
    for (path, (_, text)) in files.iter().filter(|one| !there.contains(one.0)) {
        let target = run.path().join(path.as_str());
        let write = || {
            let mut file = std::fs::File::create_new(&target)?;
            file.write_all(text.as_bytes())?;
            file.sync_all()
        };
        write().with_context(|| format!("write {path}"))?;
    }
    let mut told = Vec::new();
    for (target, (original, text)) in files {
        let is_there = there.contains(&target);
        told.push(json::File {
            path: target.clone(),
            action: if is_there {
                Action::Keep
            } else {
                Action::Write
            },
            from: Some(original.clone()),
            content: (!is_there).then(|| text.into_bytes()),
        });
        if options.replace {
            std::fs::remove_file(run.path().join(original.as_str()))
                .with_context(|| format!("delete {original}"))?;
            write::say(run, &format!("{original} -> {target}"))?;
            told.push(json::File {
                path: original,
                action: Action::Delete,
                from: None,
                content: None,
            });
        } else if is_there {
            write::say(run, &format!("{original}: {target} says the same already"))?;
        } else {
            write::say(run, &format!("{original}: wrote {target}"))?;
        }
    }
    if !options.replace && !told.is_empty() {
        write::say(
            run,
            "Delete the originals next (git rm): both declare the same deployments now.",
        )?;
    }
    Ok(show::files("convert", false, &told, run)?)
}

/// The files beside their originals that hold just what would be written.
fn written_before(
    run: &Run,
    tree: &Tree,
    settings: &read::Settings,
) -> anyhow::Result<BTreeSet<RepoPath>> {
    let mut there = BTreeSet::new();
    for file in found(tree, &run.config)?
        .projects
        .into_iter()
        .flat_map(|project| project.files)
        .filter(is_original)
    {
        let target = target(&file);
        if tree.position(&target).is_none() {
            continue;
        }
        let text = std::fs::read(run.path().join(target.as_str()));
        let text = text.with_context(|| format!("read {target}"))?;
        if read::converted(&file, tree, settings).is_ok_and(|would| would.as_bytes() == text) {
            there.insert(target);
        }
    }
    Ok(there)
}

fn is_original(file: &DeploymentFile) -> bool {
    matches!(file.format, Format::Python | Format::PrefectYaml)
}

/// The files of other formats in the projects in scope.
fn originals(run: &Run, tree: &Tree, scope: &Desired) -> anyhow::Result<Vec<DeploymentFile>> {
    let wanted: BTreeSet<&RepoPath> = scope.projects.iter().map(|project| &project.path).collect();
    let projects = found(tree, &run.config)?.projects.into_iter();
    Ok(projects
        .filter(|project| wanted.contains(&project.path))
        .flat_map(|project| project.files)
        .filter(is_original)
        .collect())
}

/// `daily.deployment.py` becomes `daily.deployment.yaml`, `prefect.yaml` becomes `prefect.deployment.yaml`.
fn target(file: &DeploymentFile) -> RepoPath {
    let path = file.path.as_str();
    let stem = [".deployment.py", ".yaml"]
        .iter()
        .find_map(|ending| path.strip_suffix(ending))
        .unwrap_or(path);
    RepoPath::new(format!("{stem}.deployment.yaml"))
}

/// Compares what is declared now with what would be, without touching a file.
fn prove(
    run: &Run,
    tree: Tree,
    before: &Desired,
    files: &BTreeMap<RepoPath, (RepoPath, String)>,
) -> Result<(), Failure> {
    let gone = files.values().map(|(original, _)| original.clone());
    let written = files
        .iter()
        .map(|(target, (_, text))| (target.clone(), text.clone().into_bytes()));
    let tree = tree.edited(&gone.collect(), written.collect());
    let mut after = run.read(&tree, &run.config, true)?;
    after
        .projects
        .retain(|one| before.projects.iter().any(|other| other.path == one.path));
    faulty(run, &after.diagnostics)?;
    let plan = plan::compare(before, &after, &run.plan_options(true, false));
    if plan.is_empty() {
        return Ok(());
    }
    show::plan(&plan, &after, run)?;
    Err(Failure::Usage(anyhow::anyhow!(
        "the converted files would not declare the same; nothing was written"
    )))
}
