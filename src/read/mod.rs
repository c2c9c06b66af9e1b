//! Reads deployment files and the Python files that they name, without running any of them.
//!
//! Every file is read, and all faults are reported together, each with its place. What comes out is [`Desired`]: the
//! projects with their code and their deployments, in the form in which they are compared and registered.

pub mod affected;
pub mod code;
mod configuration;
mod convert;
mod deployment;
mod deployment_py;
mod document;
mod draft;
mod duration;
mod entrypoint;
mod faults;
pub mod image;
mod legacy;
mod lines;
mod parameters;
mod prefect_yaml;
mod preview;
pub mod python;
mod reading;
mod rule;
mod schedule;
mod secrets;
pub mod template;
mod triggers;

use std::collections::{BTreeMap, BTreeSet, HashMap};

use rayon::prelude::*;

use crate::discover::{DeploymentFile, Format, Found, Tree};
use crate::model::{
    Captured, DeploymentId, Desired, Diagnostic, Dialect, Outputs, Place, Project, RepoPath,
};
use deployment::Setting;
pub use deployment_py::Python;
use document::Syntax;
use draft::Draft;
use faults::Faults;
use legacy::Legacy;
use reading::Reading;
pub use rule::FlowRules;
use template::Values;

/// What reading depends on beside the tree.
#[derive(Debug, Default)]
pub struct Settings {
    /// The environment whose overlays count; `None` for none of them.
    pub environment: Option<String>,
    /// The environments that the configuration knows, names and globs; empty where it names none, and then any name may be
    /// overlaid.
    pub environments: BTreeSet<String>,
    /// Whether that environment is a preview, which has a suffix of its own and starts nothing by itself.
    pub preview: bool,
    /// What templates can name.
    pub values: Values,
    /// The work pool of deployments that name none.
    pub work_pool: Option<String>,
    /// The queue of deployments that name no pool.
    pub work_queue: Option<String>,
    /// What variables say in the place of `[projects]`, by its keys: the variable's name, and the list.
    pub variables: BTreeMap<String, (String, Vec<String>)>,
    /// Folders whose code joins the release of every project that imports it.
    pub shared: Vec<RepoPath>,
    /// What `.deployment.py` files may know.
    pub python: Python,
    /// Which major release of the orchestrator the deployments are read for.
    pub dialect: Dialect,
    /// Whether steps of a `prefect.yaml` that are not known are let through, to be run by a deploy.
    pub run_steps: bool,
    /// What steps gave that were run already.
    pub outputs: Outputs,
    /// What files registered that were run already, in place of what reading them gives.
    pub captured: BTreeMap<RepoPath, Captured>,
    /// How images are made, and where they go.
    pub image: image::Defaults,
    /// What stands before a release's folder in the storage, for `{{ flowyard.code.path }}`: empty, or ending in `/`.
    pub storage_prefix: String,
}

impl Settings {
    fn for_deployments<'a>(&'a self, legacy: &'a Legacy) -> Setting<'a> {
        Setting {
            environment: self.environment.as_deref(),
            environments: &self.environments,
            values: &self.values,
            work_pool: self.work_pool.as_deref(),
            work_queue: self.work_queue.as_deref(),
            dialect: self.dialect,
            legacy,
        }
    }
}

/// Reads everything that was found.
pub fn desired(tree: &Tree, found: &Found, settings: &Settings) -> Desired {
    let mut rules = FlowRules::of(tree);
    let document = configuration::of(tree);
    let legacy = Legacy::of(document.as_ref(), settings.environment.as_deref());
    let mut configured = rules.check(&settings.for_deployments(&legacy), tree);
    configured.extend(configuration::check(
        document.as_ref().and_then(|file| file.get("projects")),
        &settings.variables,
        &rules,
        tree,
        found,
    ));
    let readings: Vec<Reading<'_>> = found
        .projects
        .par_iter()
        .map(|project| Reading::of(project, tree, settings, &rules, &legacy))
        .collect();
    let requests: Vec<code::Request> = readings.iter().map(Reading::request).collect();
    let imports = |source: &str| -> Vec<String> {
        let imports = python::Module::parse(source).map(|module| module.imports());
        imports
            .unwrap_or_default()
            .into_iter()
            .filter(|name| !name.starts_with('.'))
            .collect()
    };
    let shared = code::Shared::new(&settings.shared, &imports);
    let trees = code::trees(tree, &requests, &shared);

    let mut diagnostics = found.diagnostics.clone();
    diagnostics.extend(configured);
    diagnostics.extend_from_slice(legacy.diagnostics());
    let composed: Vec<reading::Composed> = found
        .projects
        .par_iter()
        .zip(readings)
        .zip(trees)
        .map(|((found, reading), (code, faults))| {
            reading.compose(found, tree, code, faults, settings)
        })
        .collect();
    let mut projects: Vec<Project> = Vec::with_capacity(composed.len());
    let mut images = BTreeMap::new();
    for one in composed {
        diagnostics.extend(one.diagnostics);
        for image in one.images.into_values() {
            image.put_into(&mut images);
        }
        projects.push(one.project);
    }
    refuse_duplicates(&mut projects, &mut diagnostics);
    if let (true, Some(environment)) = (settings.preview, &settings.environment) {
        preview::make(&mut projects, &mut images, environment);
    }
    diagnostics.sort();
    diagnostics.dedup();
    Desired {
        projects,
        images,
        diagnostics,
        since: None,
        left_out: None,
        absent: found.absent.clone(),
    }
}

/// The text of a `.deployment.yaml` that declares what `file` declares; the faults where it cannot be read whole.
/// Templates stand in it as they are.
pub fn converted(
    file: &DeploymentFile,
    tree: &Tree,
    settings: &Settings,
) -> Result<String, Vec<Diagnostic>> {
    let mut faults = Faults::of(&file.path);
    let mut drafts = drafts(file, &python::Modules::new(tree), settings, &mut faults);
    for draft in &mut drafts {
        image::declare(draft, &file.path, &settings.image, &mut faults);
    }
    for step in drafts.iter().flat_map(|draft| &draft.steps) {
        let message = format!("`{}` has to be run at every deploy", step.shown);
        let hint =
            "a deployment file has no steps: pass what it gives as a variable of the environment";
        faults.push(Diagnostic::error(step.place.clone(), message).hint(hint));
    }
    let (faults, _) = faults.into_parts();
    if faults.iter().any(Diagnostic::is_error) {
        return Err(faults);
    }
    Ok(convert::text(&drafts))
}

/// What a file declares, in the one form that every format is brought to.
fn drafts(
    file: &DeploymentFile,
    modules: &python::Modules<'_>,
    settings: &Settings,
    faults: &mut Faults<'_>,
) -> Vec<Draft> {
    let syntax = match file.format {
        Format::Yaml => Syntax::Yaml,
        Format::PrefectYaml => Syntax::PyYaml,
        Format::Toml => Syntax::Toml,
        Format::Json => Syntax::Json,
        Format::Python => {
            return match settings.captured.get(&file.path) {
                Some(captured) => deployment_py::captured(
                    captured,
                    &file.path,
                    &settings.python,
                    &settings.image,
                    modules.tree(),
                    faults,
                ),
                None => deployment_py::drafts(
                    &file.path,
                    modules,
                    &settings.python,
                    &settings.image,
                    faults,
                ),
            };
        }
    };
    let text = match text(&file.path, modules.tree()) {
        Ok(text) => text,
        Err(unread) => {
            faults.push(unread.of(&file.path));
            return Vec::new();
        }
    };
    match document::parse(&text, syntax) {
        Err(fault) => {
            note(faults, fault);
            Vec::new()
        }
        Ok((node, found)) => {
            found.into_iter().for_each(|fault| note(faults, fault));
            if file.format == Format::PrefectYaml {
                return prefect_yaml::drafts(&node, &file.path, settings.run_steps, faults);
            }
            let stem = file.path.file_name().split(".deployment.").next();
            draft::of_document(&node, stem.unwrap_or_default(), faults)
        }
    }
}

/// Why the text of a file cannot be had.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unread {
    /// Why: a lower-case fragment without the file's path.
    pub why: String,
    /// What to do.
    pub hint: &'static str,
}

impl Unread {
    /// The fault of a file.
    fn of(&self, file: &RepoPath) -> Diagnostic {
        Diagnostic::error(Place::file(file.clone()), &self.why).hint(self.hint)
    }
}

/// The text of a file.
fn text(file: &RepoPath, tree: &Tree) -> Result<String, Unread> {
    let (why, hint) = match tree.read(file).map(String::from_utf8) {
        Ok(Ok(text)) => return Ok(text),
        Ok(Err(_)) => ("not UTF-8 text".to_owned(), "save the file as UTF-8"),
        Err(error) => {
            let why = format!("{error:#}");
            let why = why.strip_prefix(&format!("read {file}: ")).unwrap_or(&why);
            (format!("cannot be read: {why}"), "make the file readable")
        }
    };
    Err(Unread { why, hint })
}

/// Takes out every deployment whose id another one has already, in the order of paths, and says so at both places.
fn refuse_duplicates(projects: &mut [Project], diagnostics: &mut Vec<Diagnostic>) {
    let mut first: HashMap<DeploymentId, Place> = HashMap::new();
    let mut seen: BTreeMap<Place, Diagnostic> = BTreeMap::new();
    for project in projects {
        let before = project.deployments.len();
        project.deployments.retain(|deployment| {
            let Some(other) = first.get(&deployment.id) else {
                first.insert(deployment.id.clone(), deployment.place.clone());
                return true;
            };
            let message = format!("a second deployment `{}`", deployment.id);
            let fault = Diagnostic::error(deployment.place.clone(), message)
                .hint("flow and deployment name together are unique in the repository; rename one")
                .related(other.clone(), "the first one is here");
            seen.insert(deployment.place.clone(), fault);
            false
        });
        project.faulty |= project.deployments.len() != before;
    }
    diagnostics.extend(seen.into_values());
}

fn note(faults: &mut Faults<'_>, fault: document::Fault) {
    let noted = faults.error(fault.at, fault.message);
    if let Some(hint) = fault.hint {
        noted.hint(hint);
    }
}

#[cfg(test)]
mod tests;
