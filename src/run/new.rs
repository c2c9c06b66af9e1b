//! `flowyard new`: a project from a template.

use std::path::{Component, Path};

use anyhow::{Context as _, bail};

use super::write::Writer;
use super::{Run, found, write};
use crate::cli;
use crate::discover::Root;
use crate::error::Failure;
use crate::model::RepoPath;
use crate::read;
use crate::scaffold::{Asked, File, Template};

/// Makes a project's files, all of them or none, and tells how they are read.
pub(super) fn new(run: &Run, options: &cli::New) -> Result<(), Failure> {
    let project = project(run, &options.path)?;
    let folder = run.path().join(project.as_str());
    let template = match &options.template {
        Some(folder) => Template::open(folder)?,
        None => Template::built_in(),
    };
    let name = folder.file_name().and_then(|name| name.to_str());
    let rendered = template
        .render(&Asked {
            name: name.unwrap_or("project").to_owned(),
            set: options.set.clone(),
        })
        .context("make the project from the template")?;
    let taken: Vec<String> = rendered
        .files
        .iter()
        .filter(|file| write::is_there(&folder.join(file.path.as_str())))
        .map(|file| project.join(file.path.as_str()).to_string())
        .collect();
    if !taken.is_empty() {
        let what = taken.join(", ");
        let error = anyhow::anyhow!(
            "{what}: there already, and no file is overwritten; nothing was written"
        );
        return Err(Failure::Usage(error));
    }
    for note in &rendered.notes {
        tracing::warn!("{note}");
    }
    let mut writer = Writer::new(run, options.dry_run);
    for file in rendered.files {
        let path = project.join(file.path.as_str());
        writer.write(run.path(), File { path, ..file })?;
    }
    writer.end("new")?;
    if options.dry_run {
        return Ok(());
    }
    checked(run, &project)
}

/// Where the project is to be, from the root.
fn project(run: &Run, written: &Path) -> anyhow::Result<RepoPath> {
    let Root::Work(root) = &run.root else {
        bail!(
            "{} is a bare repository: there is no place for files",
            run.path().display()
        );
    };
    let start = std::env::current_dir().context("find the current folder")?;
    let start = start.canonicalize().context("find the current folder")?;
    let mut path = start;
    for part in written.components() {
        match part {
            Component::ParentDir => {
                path.pop();
            }
            Component::CurDir => {}
            other => path.push(other),
        }
    }
    let Ok(below) = path.strip_prefix(root) else {
        bail!(
            "{} is outside of the repository {}; the path counts from the current folder",
            path.display(),
            root.display()
        );
    };
    let below = below
        .to_str()
        .with_context(|| format!("the path {} is not UTF-8", below.display()))?;
    Ok(RepoPath::new(below.replace('\\', "/")))
}

/// Tells what became of the new project, as `check` would.
fn checked(run: &Run, project: &RepoPath) -> Result<(), Failure> {
    let tree = run.tree()?;
    let found = found(&tree, &run.config)?;
    if found.projects.iter().all(|one| one.path != *project) {
        tracing::warn!(
            "{project} is no project: the template has no deployment file, or `include` and `exclude` of `[projects]` leave \
             its folder out"
        );
        return Ok(());
    }
    let desired = read::desired(&tree, &found, &run.settings(&tree, &run.config, true)?);
    let faults: Vec<_> = desired
        .diagnostics
        .into_iter()
        .filter(|one| one.place.path.below(project).is_some())
        .collect();
    super::faulty(run, &faults).map_err(|failure| match failure {
        Failure::Faulty { errors, .. } => Failure::Made { errors },
        other => other,
    })?;
    let deployments = desired
        .projects
        .iter()
        .filter(|one| one.path == *project)
        .flat_map(|one| &one.deployments);
    for deployment in deployments {
        write::say(run, &format!("It declares {}.", deployment.id))?;
    }
    Ok(())
}
