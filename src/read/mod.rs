//! Reads deployment files and the Python files that they name, without running any of them.
//!
//! Every file is read, and all faults are reported together, each with its place. What comes out is [`Desired`]: the
//! projects with their code and their deployments, in the form in which they are compared and registered.

pub mod code;
mod deployment;
mod deployment_py;
mod document;
mod draft;
mod entrypoint;
mod faults;
mod parameters;
pub mod python;
mod schedule;
mod secrets;
pub mod template;

use std::collections::{BTreeMap, BTreeSet, HashMap};

use rayon::prelude::*;
use serde_json::Value;

use crate::discover::{DeploymentFile, Format, Found, FoundProject, Tree};
use crate::model::{
    CodeTree, Deployment, DeploymentId, Desired, Diagnostic, Dialect, Field, Place, Project,
    ReleaseRef, RepoPath,
};
pub use deployment_py::Python;

use deployment::{Declared, Setting};
use document::Syntax;
use draft::Draft;
use entrypoint::{Entrypoint, Flows};
use faults::Faults;
use python::program::Modules;
use secrets::Secrets;
use template::Values;

/// What reading depends on beside the tree.
#[derive(Debug)]
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
    /// What stands before a release's folder in the storage, for `{{ flowyard.code.path }}`: empty, or ending in `/`.
    pub storage_prefix: String,
}

/// Reads everything that was found.
pub fn desired(tree: &Tree, found: &Found, settings: &Settings) -> Desired {
    let modules = Modules::new(tree);
    let readings: Vec<Reading> = found
        .projects
        .par_iter()
        .map(|project| Reading::of(project, tree, &modules, settings))
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

/// One project as read, before its code is known.
struct Reading {
    project: RepoPath,
    deployments: Vec<(RepoPath, Declared, Entrypoint)>,
    diagnostics: Vec<Diagnostic>,
    secrets: Secrets,
    unread: bool,
    requirements: Option<RepoPath>,
}

impl Reading {
    fn of(found: &FoundProject, tree: &Tree, modules: &Modules<'_>, settings: &Settings) -> Self {
        let mut reading = Self {
            project: found.path.clone(),
            deployments: Vec::new(),
            diagnostics: Vec::new(),
            secrets: Secrets::default(),
            unread: false,
            requirements: found.requirements.clone(),
        };
        let mut flows = Flows::new(tree, &found.path);
        for file in &found.files {
            if file.format == Format::Python {
                reading.program(file, modules, settings, &mut flows);
            } else {
                reading.file(file, tree, settings, &mut flows);
            }
        }
        reading
    }

    /// The deployments of a `.deployment.py`.
    fn program(
        &mut self,
        file: &DeploymentFile,
        modules: &Modules<'_>,
        settings: &Settings,
        flows: &mut Flows<'_>,
    ) {
        let mut faults = Faults::of(&file.path);
        let drafts = deployment_py::drafts(
            &file.path,
            &self.project,
            modules,
            &settings.python,
            &mut faults,
        );
        for draft in drafts {
            self.deployment(draft, file, settings, flows, &mut faults);
        }
        let (diagnostics, secrets) = faults.into_parts();
        self.diagnostics.extend(diagnostics);
        self.secrets.extend(secrets);
    }

    fn file(
        &mut self,
        file: &DeploymentFile,
        tree: &Tree,
        settings: &Settings,
        flows: &mut Flows<'_>,
    ) {
        let syntax = match file.format {
            Format::Yaml => Syntax::Yaml,
            Format::Toml => Syntax::Toml,
            Format::Json => Syntax::Json,
            Format::Python | Format::PrefectYaml => {
                self.unread = true;
                let place = Place::file(file.path.clone());
                let hint = "write its deployments as NAME.deployment.yaml, or keep deploying this file as before";
                self.diagnostics.push(
                    Diagnostic::warning(place, "not read yet: this format comes later").hint(hint),
                );
                return;
            }
        };
        let whole = |message: String| Diagnostic::error(Place::file(file.path.clone()), message);
        let text = match tree.read(&file.path).map(String::from_utf8) {
            Ok(Ok(text)) => text,
            Ok(Err(_)) => {
                self.diagnostics
                    .push(whole("not UTF-8 text".to_owned()).hint("save the file as UTF-8"));
                return;
            }
            Err(error) => {
                self.diagnostics.push(whole(format!("{error:#}")));
                return;
            }
        };
        let mut faults = Faults::of(&file.path);
        match document::parse(&text, syntax) {
            Err(fault) => note(&mut faults, fault),
            Ok((node, found)) => {
                found.into_iter().for_each(|fault| note(&mut faults, fault));
                let stem = file.path.file_name().split(".deployment.").next();
                let drafts = draft::of_document(&node, stem.unwrap_or_default(), &mut faults);
                for draft in drafts {
                    self.deployment(draft, file, settings, flows, &mut faults);
                }
            }
        }
        let (diagnostics, secrets) = faults.into_parts();
        self.diagnostics.extend(diagnostics);
        self.secrets.extend(secrets);
    }

    fn deployment(
        &mut self,
        draft: Draft,
        file: &DeploymentFile,
        settings: &Settings,
        flows: &mut Flows<'_>,
        faults: &mut Faults<'_>,
    ) {
        let setting = Setting {
            environment: settings.environment.as_deref(),
            environments: &settings.environments,
            values: &settings.values,
            work_pool: settings.work_pool.as_deref(),
            work_queue: settings.work_queue.as_deref(),
        };
        let Some(declared) = deployment::read(draft, &setting, faults) else {
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
        self.deployments
            .push((file.path.clone(), declared, entrypoint));
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
            if entrypoint.file.below(&self.project).is_none() {
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
            files: found.files.iter().map(|file| file.path.clone()).collect(),
            requirements: self.requirements,
            code,
            release,
            deployments,
            faulty: self.diagnostics.iter().any(Diagnostic::is_error),
            unread: self.unread,
        };
        (project, self.diagnostics)
    }
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
        .or_insert_with(|| release.digest.short().into());
    if let Some(description) = &entrypoint.flow.description {
        fields
            .entry(Field::Description)
            .or_insert_with(|| description.clone().into());
    }
    fields.insert(Field::ParameterSchema, entrypoint.flow.schema.clone());
    let folder = format!("{}{}", settings.storage_prefix, release.folder());
    let digest = release.digest.to_string();
    fields
        .values_mut()
        .for_each(|value: &mut Value| template::resolve_code(value, &folder, &digest));
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
        references: declared.references,
        notes: declared.notes,
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
