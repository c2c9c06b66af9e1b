//! Reads deployment files and the Python files that they name, without running any of them.
//!
//! Every file is read, and all faults are reported together, each with its place. What comes out is [`Desired`]: the
//! projects with their code and their deployments, in the form in which they are compared and registered.

pub mod code;
mod convert;
mod deployment;
mod deployment_py;
mod document;
mod draft;
mod duration;
mod entrypoint;
mod faults;
mod legacy;
mod lines;
mod parameters;
mod prefect_yaml;
pub mod python;
mod rule;
mod schedule;
mod secrets;
pub mod template;
mod triggers;

use std::collections::{BTreeMap, BTreeSet, HashMap};

use rayon::prelude::*;
use serde_json::Value;

use crate::discover::{DeploymentFile, Format, Found, FoundProject, Tree};
use crate::model::{
    Captured, CodeTree, Deployment, DeploymentId, Desired, Diagnostic, Dialect, Field, Outputs,
    Place, Project, Reference, ReleaseRef, RepoPath, put_outputs,
};
use deployment::{Declared, Setting};
pub use deployment_py::Python;
use document::Syntax;
use draft::Draft;
use entrypoint::{Entrypoint, Flows};
use faults::Faults;
use legacy::Legacy;
pub use rule::FlowRules;
use secrets::Secrets;
use template::Values;

/// What reading depends on beside the tree.
#[derive(Debug, Default)]
pub struct Settings {
    /// The environment whose overlays count; `None` for none of them.
    pub environment: Option<String>,
    /// The environments that the configuration knows; empty where it names none, and then any name may be overlaid.
    pub environments: BTreeSet<String>,
    /// What templates can name.
    pub values: Values,
    /// The work pool of deployments that name none.
    pub work_pool: Option<String>,
    /// The queue of deployments that name no pool.
    pub work_queue: Option<String>,
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
    let legacy = Legacy::of(tree, settings.environment.as_deref());
    let rule_faults = rules.check(&settings.for_deployments(&legacy));
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
    diagnostics.extend(rule_faults);
    diagnostics.extend_from_slice(legacy.diagnostics());
    let mut projects: Vec<Project> = Vec::with_capacity(readings.len());
    for ((found, reading), (code, faults)) in found.projects.iter().zip(readings).zip(trees) {
        let (project, faults) = reading.compose(found, code, faults, settings);
        diagnostics.extend(faults);
        projects.push(project);
    }
    refuse_duplicates(&mut projects, &mut diagnostics);
    diagnostics.sort();
    diagnostics.dedup();
    Desired {
        projects,
        diagnostics,
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
    let drafts = drafts(file, &python::Modules::new(tree), settings, &mut faults);
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

/// One project as read, before its code is known.
struct Reading<'a> {
    project: RepoPath,
    legacy: &'a Legacy,
    deployments: Vec<(RepoPath, Declared, Entrypoint)>,
    diagnostics: Vec<Diagnostic>,
    secrets: Secrets,
    unread: bool,
    undecided: Vec<RepoPath>,
    requirements: Option<RepoPath>,
}

impl<'a> Reading<'a> {
    fn of(
        found: &FoundProject,
        tree: &Tree,
        settings: &Settings,
        rules: &FlowRules,
        legacy: &'a Legacy,
    ) -> Self {
        let mut reading = Self {
            project: found.path.clone(),
            legacy,
            deployments: Vec::new(),
            diagnostics: Vec::new(),
            secrets: Secrets::default(),
            unread: false,
            undecided: Vec::new(),
            requirements: found.requirements.clone(),
        };
        let modules = python::Modules::new(tree);
        let mut flows = Flows::new(&modules, &found.path, settings.dialect);
        for file in &found.files {
            reading.file(file, &modules, settings, &mut flows);
        }
        reading.flow_files(&found.flow_files, settings, &mut flows, rules);
        reading
    }

    /// The flows that the configuration makes deployments of, without those that a deployment file names.
    fn flow_files(
        &mut self,
        files: &[RepoPath],
        settings: &Settings,
        flows: &mut Flows<'_>,
        rules: &FlowRules,
    ) {
        let named: BTreeSet<(RepoPath, String)> = self
            .deployments
            .iter()
            .map(|(_, _, entrypoint)| (entrypoint.file.clone(), entrypoint.function.clone()))
            .collect();
        for file in files {
            let mut faults = Faults::of(file);
            for function in flows.functions(file, &mut faults) {
                if named.contains(&(file.clone(), function.clone())) {
                    continue;
                }
                let Some((flow, attributes)) = flows.described(file, &function, &mut faults) else {
                    continue;
                };
                // From the root, as the path counts after a clone; with a slash where the project has such a path too.
                let inside = self.project.join(file.as_str());
                let both = !self.project.is_root() && flows.tree().position(&inside).is_some();
                let slash = if both { "/" } else { "" };
                let candidate = rule::Candidate {
                    file,
                    entrypoint: format!("{slash}{file}:{function}"),
                    function: &function,
                    flow: &flow,
                    attributes: &attributes,
                };
                let (drafts, missed) = rules.drafts(&candidate, &mut faults);
                self.unread |= missed;
                for draft in drafts {
                    self.deployment(draft, file, settings, flows, &mut faults);
                }
            }
            let (diagnostics, secrets) = faults.into_parts();
            self.diagnostics.extend(diagnostics);
            self.secrets.extend(secrets);
        }
    }

    fn file(
        &mut self,
        file: &DeploymentFile,
        modules: &python::Modules<'_>,
        settings: &Settings,
        flows: &mut Flows<'_>,
    ) {
        let mut faults = Faults::of(&file.path);
        let drafts = drafts(file, modules, settings, &mut faults);
        if faults.undecided {
            self.undecided.push(file.path.clone());
        }
        for draft in drafts {
            self.deployment(draft, &file.path, settings, flows, &mut faults);
        }
        let (diagnostics, secrets) = faults.into_parts();
        self.diagnostics.extend(diagnostics);
        self.secrets.extend(secrets);
    }

    fn deployment(
        &mut self,
        draft: Draft,
        file: &RepoPath,
        settings: &Settings,
        flows: &mut Flows<'_>,
        faults: &mut Faults<'_>,
    ) {
        let setting = settings.for_deployments(self.legacy);
        let Some(mut declared) = deployment::read(draft, &setting, faults) else {
            return;
        };
        if let Some((written, at)) = &declared.requirements {
            match self
                .project
                .resolve(written)
                .filter(|path| flows.tree().position(path).is_some())
            {
                Some(path) => self.requirements = Some(path),
                None => {
                    faults.error(
                        *at,
                        format!("the requirements file `{written}` does not exist"),
                    );
                }
            }
        }
        let Some((written, at)) = &declared.entrypoint else {
            return;
        };
        let Some(entrypoint) = flows.find(written, *at, faults) else {
            return;
        };
        parameters::check(&declared, &entrypoint.flow, faults);
        let beside = self
            .project
            .resolve(written.split(':').next().unwrap_or(written));
        let steps = Format::of(file.file_name()) == Some(Format::PrefectYaml);
        if steps && beside.as_ref() != Some(&entrypoint.file) {
            let note = "the entrypoint counts from the repository's root";
            declared.notes.push(note.to_owned());
        }
        self.deployments.push((file.clone(), declared, entrypoint));
    }

    fn request(&self) -> code::Request {
        let mut request = code::Request::plain(self.project.clone());
        for (path, declared, entrypoint) in &self.deployments {
            let place = |at: &document::Position| Place::at(path.clone(), at.line, at.column);
            let pattern = |(text, at): &(String, document::Position)| code::Pattern {
                text: text.clone(),
                place: place(at),
            };
            request.include.extend(declared.include.iter().map(pattern));
            request.exclude.extend(declared.exclude.iter().map(pattern));
            // A Python file may hold both the flow and its deployment.
            let both = Format::of(entrypoint.file.file_name()).is_some();
            if !brings_code(declared) && (both || entrypoint.file.below(&self.project).is_none()) {
                request
                    .extra
                    .push((entrypoint.file.clone(), place(&entrypoint.at)));
            }
        }
        request
    }

    fn compose(
        mut self,
        found: &FoundProject,
        code: CodeTree,
        code_faults: Vec<Diagnostic>,
        settings: &Settings,
    ) -> (Project, Vec<Diagnostic>) {
        self.diagnostics.extend(code_faults);
        let release = ReleaseRef {
            project: self.project.clone(),
            digest: code.digest(),
        };
        let held: BTreeSet<&str> = code.files().iter().map(|file| file.path.as_str()).collect();
        let mut deployments = Vec::with_capacity(self.deployments.len());
        for (path, declared, entrypoint) in self.deployments {
            if brings_code(&declared) {
                // Its steps lead to where the path counts from.
                let target = entrypoint.written.clone();
                deployments.push(complete(
                    &path,
                    declared,
                    &entrypoint,
                    target,
                    &release,
                    settings,
                ));
                continue;
            }
            let Some(inside) = entrypoint
                .file
                .below(code.base())
                .filter(|inside| held.contains(inside))
            else {
                let place = Place::at(path, entrypoint.at.line, entrypoint.at.column);
                let message = format!("{} is left out of the release", entrypoint.file);
                self.diagnostics.push(
                    Diagnostic::error(place, message).hint("see `code.exclude` and .prefectignore"),
                );
                continue;
            };
            let target = format!("{inside}:{}", entrypoint.function);
            deployments.push(complete(
                &path,
                declared,
                &entrypoint,
                target,
                &release,
                settings,
            ));
        }
        deployments.sort_by(|a, b| a.id.cmp(&b.id));
        for diagnostic in &mut self.diagnostics {
            self.secrets.redact(diagnostic);
        }
        let project = Project {
            path: found.path.clone(),
            files: found
                .files
                .iter()
                .map(|file| &file.path)
                .chain(&found.flow_files)
                .cloned()
                .collect(),
            requirements: self.requirements,
            code,
            release,
            deployments,
            faulty: self.diagnostics.iter().any(Diagnostic::is_error),
            unread: self.unread,
            undecided: self.undecided,
        };
        (project, self.diagnostics)
    }
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
                Some(captured) => {
                    deployment_py::captured(captured, &file.path, &settings.python, faults)
                }
                None => deployment_py::drafts(&file.path, modules, &settings.python, faults),
            };
        }
    };
    let Some(text) = text(file, modules.tree(), faults) else {
        return Vec::new();
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

/// The text of a file; `None`, and a fault, where it cannot be had.
fn text(file: &DeploymentFile, tree: &Tree, faults: &mut Faults<'_>) -> Option<String> {
    let fault = |message: String| Diagnostic::error(Place::file(file.path.clone()), message);
    match tree.read(&file.path).map(String::from_utf8) {
        Ok(Ok(text)) => return Some(text),
        Ok(Err(_)) => {
            faults.push(fault("not UTF-8 text".to_owned()).hint("save the file as UTF-8"));
        }
        Err(error) => faults.push(fault(format!("{error:#}"))),
    }
    None
}

/// Whether a deployment has pull steps of its own, so that its runs do not get the release.
fn brings_code(declared: &Declared) -> bool {
    let steps = declared.fields.get(&Field::PullSteps);
    steps.is_some_and(|steps| steps.as_array().is_some_and(|steps| !steps.is_empty()))
}

/// A deployment with what comes of its flow and of its project's code.
fn complete(
    path: &RepoPath,
    declared: Declared,
    entrypoint: &Entrypoint,
    target: String,
    release: &ReleaseRef,
    settings: &Settings,
) -> Deployment {
    let mut fields = declared.fields;
    if !fields.contains_key(&Field::PullSteps) {
        fields.insert(
            Field::Code,
            format!("{}@{}", release.project, release.digest).into(),
        );
    }
    fields.insert(Field::Entrypoint, target.into());
    fields
        .entry(Field::Version)
        .or_insert_with(|| match &entrypoint.flow.version {
            Some(version) => version.as_str().into(),
            None => release.digest.short().into(),
        });
    if let Some(description) = &entrypoint.flow.description {
        fields
            .entry(Field::Description)
            .or_insert_with(|| description.clone().into());
    }
    fields.insert(Field::ParameterSchema, entrypoint.flow.schema.clone());
    let mut references = declared.references;
    for field in [Field::Storage, Field::Infrastructure] {
        let text = fields.get(&field).and_then(Value::as_str);
        if let Some((kind, name)) = text.and_then(|text| text.split_once('/')) {
            references.insert(Reference::Block {
                kind: kind.to_owned(),
                name: name.to_owned(),
            });
        }
    }
    let folder = format!("{}{}", settings.storage_prefix, release.folder());
    let digest = release.digest.to_string();
    fields
        .values_mut()
        .for_each(|value: &mut Value| template::resolve_code(value, &folder, &digest));
    let mut later = BTreeMap::new();
    for (field, value) in &mut fields {
        put_outputs(value, field.name(), &settings.outputs, &mut later);
    }
    Deployment {
        id: DeploymentId {
            flow: declared
                .flow_name
                .unwrap_or_else(|| entrypoint.flow.name.clone()),
            name: declared.name,
        },
        place: Place::at(path.clone(), declared.at.line, declared.at.column),
        places: declared.places,
        fields,
        hidden: declared.hidden,
        references,
        notes: declared.notes,
        images: declared.images,
        steps: declared.steps,
        later,
    }
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
