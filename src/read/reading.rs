//! One project: its files read, and put together with its code and its images.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::deployment::{self, Declared};
use super::document;
use super::entrypoint::{Entrypoint, Flows};
use super::faults::Faults;
use super::image::{Composer, Images};
use super::legacy::Legacy;
use super::rule::{self, FlowRules};
use super::secrets::Secrets;
use super::{Draft, Settings, code, drafts, parameters, python, template};
use crate::discover::{DeploymentFile, Format, FoundProject, Tree};
use crate::model::{
    By, CodeTree, Deployment, DeploymentId, Diagnostic, Field, Image, Need, Place, Project,
    Reference, ReleaseRef, RepoPath, awaits_output, put_outputs,
};

/// One project as read, before its code is known.
pub(super) struct Reading<'a> {
    project: RepoPath,
    legacy: &'a Legacy,
    deployments: Vec<(RepoPath, Declared, Entrypoint)>,
    diagnostics: Vec<Diagnostic>,
    secrets: Secrets,
    unread: bool,
    undecided: Vec<RepoPath>,
    looked: BTreeMap<RepoPath, bool>,
    requirements: Option<RepoPath>,
}

impl<'a> Reading<'a> {
    /// Reads the files of a project.
    pub(super) fn of(
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
            looked: BTreeMap::new(),
            requirements: found.requirements.clone(),
        };
        let modules = python::Modules::new(tree);
        let mut flows = Flows::new(&modules, &found.path, settings.dialect);
        for file in &found.files {
            reading.file(file, &modules, settings, &mut flows);
        }
        reading.flow_files(&found.flow_files, settings, &mut flows, rules);
        reading.agree();
        reading
    }

    /// Refuses that one deployment leaves files out of the release which it shares with others that do not say so.
    fn agree(&mut self) {
        let same = |one: &Declared, other: &Declared| {
            let (one, other) = (one.exclude.iter(), other.exclude.iter());
            one.map(|(text, _)| text).eq(other.map(|(text, _)| text))
        };
        let mut sharing = self
            .deployments
            .iter()
            .filter(|(_, declared, _)| !brings_code(declared));
        let Some(first) = sharing.next() else {
            return;
        };
        // Where any two differ, one of them differs from the first.
        let Some(other) = sharing.find(|(_, other, _)| !same(&first.1, other)) else {
            return;
        };
        let ((path, declared, _), (_, without, _)) = if first.1.exclude.is_empty() {
            (other, first)
        } else {
            (first, other)
        };
        let at = declared.exclude.first().map_or(declared.at, |one| one.1);
        let place = Place::at(path.clone(), at.line, at.column);
        let (name, without) = (&declared.name, &without.name);
        let message = format!(
            "`code.exclude` of `{name}` would take files away from `{without}`, which does not say the same"
        );
        let hint = "the deployments of a project share one release: say it in all of them, or name the files in a .prefectignore";
        self.diagnostics
            .push(Diagnostic::error(place, message).hint(hint));
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
        for (path, listed) in std::mem::take(&mut faults.looked) {
            *self.looked.entry(path).or_default() |= listed;
        }
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

    /// What its files say about its code.
    pub(super) fn request(&self) -> code::Request {
        let mut request = code::Request::plain(self.project.clone());
        for (path, declared, entrypoint) in &self.deployments {
            let place = |at: &document::Position| Place::at(path.clone(), at.line, at.column);
            let pattern = |(text, at): &(String, document::Position)| code::Pattern {
                text: text.clone(),
                place: place(at),
            };
            request.include.extend(declared.include.iter().map(pattern));
            request.exclude.extend(declared.exclude.iter().map(pattern));
            let depends_on = declared.depends_on.iter().map(pattern);
            request.depends_on.extend(depends_on);
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

    /// What its files say it needs from elsewhere.
    fn needs(&self) -> Vec<Need> {
        let mut needs: Vec<Need> = Vec::new();
        for (_, declared, _) in &self.deployments {
            for (by, patterns) in [
                (By::Code, &declared.include),
                (By::DependsOn, &declared.depends_on),
            ] {
                let patterns = patterns.iter().map(|(text, _)| text.clone());
                let need = Need {
                    patterns: patterns.collect(),
                    by,
                };
                if !need.patterns.is_empty() && !needs.contains(&need) {
                    needs.push(need);
                }
            }
        }
        needs
    }

    /// Puts the project together once its code is known.
    pub(super) fn compose(
        mut self,
        found: &FoundProject,
        tree: &Tree,
        code: CodeTree,
        code_faults: Vec<Diagnostic>,
        settings: &Settings,
    ) -> Composed {
        self.diagnostics.extend(code_faults);
        let needs = self.needs();
        let release = ReleaseRef {
            project: self.project.clone(),
            digest: code.digest(),
        };
        let mut images = Images::of(Composer {
            tree,
            project: &self.project,
            code: &code,
            requirements: self.requirements.as_ref(),
            defaults: &settings.image,
        });
        let held: BTreeSet<&str> = code.files().iter().map(|file| file.path.as_str()).collect();
        let mut deployments = Vec::with_capacity(self.deployments.len());
        for (path, mut declared, entrypoint) in self.deployments {
            let at = Place::at(path.clone(), entrypoint.at.line, entrypoint.at.column);
            let own_steps = brings_code(&declared);
            let needed = images.of_deployment(&mut declared, &path, settings);
            // Its own steps lead to where the path counts from.
            let target = if own_steps {
                Some(entrypoint.written.clone())
            } else {
                let inside = entrypoint.file.below(code.base());
                let inside = inside.filter(|inside| held.contains(inside));
                inside.map(|inside| format!("{inside}:{}", entrypoint.function))
            };
            let Some(target) = target else {
                let message = format!("{} is left out of the release", entrypoint.file);
                let hint = "see `code.exclude` and .prefectignore";
                self.diagnostics
                    .push(Diagnostic::error(at, message).hint(hint));
                continue;
            };
            let mut deployment = complete(&path, declared, &entrypoint, target, &release, settings);
            deployment.images = needed;
            deployments.push(deployment);
        }
        let (images, image_faults) = images.into_parts();
        self.diagnostics.extend(image_faults);
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
            needs,
            looked: self.looked,
            reach: None,
        };
        Composed {
            project,
            images,
            diagnostics: self.diagnostics,
        }
    }
}

/// A project put together, with the images that it needs, by their keys, and its faults.
pub(super) struct Composed {
    pub(super) project: Project,
    pub(super) images: BTreeMap<String, Image>,
    pub(super) diagnostics: Vec<Diagnostic>,
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
    let known = |name: &str| match name {
        "flowyard.code.path" => Some(folder.clone()),
        "flowyard.code.digest" => Some(digest.clone()),
        _ => None,
    };
    fields
        .values_mut()
        .for_each(|value: &mut Value| template::resolve_late(value, &known));
    let mut later = BTreeMap::new();
    for (field, value) in fields.iter_mut().filter(|(_, value)| awaits_output(value)) {
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
        images: Vec::new(),
        steps: declared.steps,
        later,
    }
}
