//! The images that deployments need: what their files and the configuration say becomes [`Image`]s.
//!
//! A deployment has an image of ours where its file says so (`image: true`, or a mapping), where its project has a
//! `Dockerfile`, where `[image]` in `flowyard.toml` names a base, or where the steps of its `prefect.yaml` build one. One
//! that names an image by itself (`image: text`, `job_variables.image`) is left alone.

mod asked;
mod context;
mod convert;
mod dockerfile;
mod project;
mod recipe;
mod requirements;

use std::collections::BTreeMap;

use serde_json::Value;

use super::document::Position;
use super::faults::Faults;
use super::template::{self, Values};
use crate::discover::Tree;
use crate::model::{
    Builder, CodeTree, Diagnostic, Image, Layers, Place, Recipe, RepoPath, is_platform,
};

pub(super) use asked::{Asked, read};
use asked::{Name, Wish};
pub(super) use context::Copies;
pub(super) use convert::{automatic, declare};
pub(super) use project::Images;
use recipe::Said;

/// `[image]` of the configuration.
#[derive(Clone, Debug, Default)]
pub struct Defaults {
    /// Whether the images of `prefect.yaml` steps are built here; otherwise someone else does.
    pub build: bool,
    /// Where images go, without a tag; `None` builds none.
    pub repository: Option<String>,
    /// An image that is not built here.
    pub name: Option<String>,
    /// What images without a Dockerfile are made on.
    pub base: Option<String>,
    /// Who makes them; `None` for our own builder, and docker where there is a Dockerfile.
    pub builder: Option<Builder>,
    /// Empty for `linux/amd64`.
    pub platforms: Vec<String>,
    /// The Python of the base.
    pub python: Option<String>,
    /// Whether images hold the code.
    pub code: bool,
    /// The user that they run as.
    pub user: Option<String>,
    /// Variables of their environment.
    pub environment: BTreeMap<String, String>,
}

/// An image that the steps of a `prefect.yaml` build.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Build {
    /// How templates name what it gives: `{{ flowyard.step.KEY.image }}`.
    pub(super) key: String,
    /// `registry.example.org/acme/flows`.
    pub(super) repository: String,
    /// What people are shown of it: as written where it holds a value of the process's environment.
    pub(super) shown: String,
    /// The tag as the file gives it; a template of a step's output where it is not known yet.
    pub(super) tag: Option<String>,
    /// Tags beside it.
    pub(super) additional_tags: Vec<String>,
    /// The Dockerfile from the file's folder, or `auto`: one that Prefect makes up.
    pub(super) dockerfile: String,
    /// The build's context from the file's folder.
    pub(super) context: String,
    /// `--build-arg`.
    pub(super) arguments: BTreeMap<String, String>,
    /// `linux/amd64`; what the configuration says where it is `None`.
    pub(super) platform: Option<String>,
    /// Where the step stands.
    pub(super) place: Place,
}

impl Build {
    /// Resolves its templates; what steps give stays open.
    pub(super) fn resolve(&mut self, values: &Values, faults: &mut Faults<'_>) {
        let mut from_environment = false;
        let mut resolve = |text: &mut String| match values.resolve(text, template::Place::Here) {
            None => {}
            Some(Ok(resolved)) => {
                from_environment |= !resolved.variables.is_empty();
                if let Value::String(resolved) = resolved.value {
                    *text = resolved;
                }
            }
            Some(Err(fault)) => {
                let mut diagnostic = Diagnostic::error(self.place.clone(), fault.message);
                diagnostic.hint = fault.hint;
                faults.push(diagnostic);
            }
        };
        let written = self.repository.clone();
        resolve(&mut self.repository);
        self.tag.iter_mut().for_each(&mut resolve);
        self.additional_tags.iter_mut().for_each(&mut resolve);
        self.arguments.values_mut().for_each(&mut resolve);
        self.shown = if from_environment {
            written
        } else {
            self.repository.clone()
        };
    }

    /// `repository:tag`; `None` where the file gives no tag.
    fn literal(&self) -> Option<String> {
        let tag = self.tag.as_ref()?;
        Some(format!("{}:{tag}", self.repository))
    }
}

/// What of a project decides about its images.
pub(super) struct Composer<'a> {
    pub(super) tree: &'a Tree,
    pub(super) project: &'a RepoPath,
    pub(super) code: &'a CodeTree,
    pub(super) requirements: Option<&'a RepoPath>,
    pub(super) defaults: &'a Defaults,
}

/// What came of a question for an image.
pub(super) type Composed = Result<Option<Image>, Vec<Diagnostic>>;

/// The folder of the code in our images.
const CODE: &str = "/opt/flowyard/code";

impl Composer<'_> {
    /// The image that a deployment asks for; `None` where it has none of ours. `place` is that of the deployment.
    pub(super) fn asked(&self, asked: &Asked, place: &Place) -> Composed {
        let none = Wish::default();
        let (wish, place) = match asked {
            Asked::None => return Ok(None),
            Asked::Unsaid => (&none, place.clone()),
            Asked::Built(wish) => {
                let at = Place::at(place.path.clone(), wish.at.line, wish.at.column);
                (&**wish, at)
            }
        };
        let defaults = self.defaults;
        let said = *asked != Asked::Unsaid;
        let own = self.project.join("Dockerfile");
        let own = self.tree.position(&own).map(|_| "Dockerfile".to_owned());
        let written = wish.dockerfile.as_ref().map(|(written, _)| written.clone());
        let named = wish.base.is_some() || wish.name.is_some();
        let dockerfile = written.or_else(|| own.filter(|_| !named));
        let fault = |message: &str, hint: &str| {
            Err(vec![
                Diagnostic::error(place.clone(), message).hint(hint.to_owned()),
            ])
        };
        let name = wish.name.clone();
        let name = name.or_else(|| defaults.name.as_deref().map(Name::open));
        let base = wish.base.as_ref().or(defaults.base.as_ref());
        if let Some(name) =
            name.filter(|_| wish.name.is_some() || (wish.base.is_none() && dockerfile.is_none()))
        {
            return Ok(Some(Image {
                repository: name.value,
                shown: name.shown,
                builder: Builder::Oci,
                platforms: vec![PLATFORM.to_owned()],
                tags: Vec::new(),
                recipe: Recipe::Named,
                place,
            }));
        }
        if base.is_none() && dockerfile.is_none() {
            if !said {
                return Ok(None);
            }
            let message = "the image has neither a base nor a Dockerfile";
            return fault(
                message,
                "give it a `base`, or name one as `base` under `[image]` in flowyard.toml",
            );
        }
        let repository = wish.repository.clone();
        let repository = repository.or_else(|| defaults.repository.as_deref().map(Name::open));
        let Some(repository) = repository else {
            if !said {
                return Ok(None);
            }
            let message = "the image has no `repository`, so there is no place for it";
            return fault(
                message,
                "name one under `[image]` in flowyard.toml, or set FLOWYARD_IMAGE_REPOSITORY",
            );
        };
        let platforms = if wish.platforms.is_empty() {
            &defaults.platforms
        } else {
            &wish.platforms
        };
        let recipe = match dockerfile {
            Some(written) => {
                let at = |at: &Position| Place::at(place.path.clone(), at.line, at.column);
                let context = wish.context.as_ref();
                self.dockerfile(&Said {
                    dockerfile: &written,
                    context: context.map_or(".", |(context, _)| context),
                    arguments: &wish.arguments,
                    platforms,
                    place: place.clone(),
                    place_of_context: context.map_or(place.clone(), |(_, place)| at(place)),
                })?
            }
            None => {
                let mut environment = defaults.environment.clone();
                environment.extend(wish.environment.clone());
                let code = wish.code.unwrap_or(defaults.code);
                self.layers(
                    Layers {
                        base: base.cloned().unwrap_or_default(),
                        python: wish.python.clone().or_else(|| defaults.python.clone()),
                        code: code.then(|| self.code.clone()),
                        folder: wish.folder.clone().unwrap_or_else(|| CODE.to_owned()),
                        environment,
                        user: wish.user.clone().or_else(|| defaults.user.clone()),
                        ..Layers::default()
                    },
                    &place,
                )?
            }
        };
        self.image(
            &repository,
            wish.builder,
            platforms,
            wish.tags.clone(),
            recipe,
            place,
        )
    }

    /// The image that a step of a `prefect.yaml` in the project's folder builds.
    pub(super) fn built(&self, build: &Build) -> Composed {
        let platforms = match &build.platform {
            Some(platform) => std::slice::from_ref(platform),
            None => &self.defaults.platforms,
        };
        let tags = build
            .tag
            .iter()
            .chain(&build.additional_tags)
            .cloned()
            .collect();
        let recipe = if build.dockerfile == "auto" {
            // Prefect would build on its own image and put the folder below its home.
            let layers = Layers {
                base: self
                    .defaults
                    .base
                    .clone()
                    .unwrap_or_else(|| PREFECT_BASE.to_owned()),
                python: self.defaults.python.clone(),
                code: Some(self.code.clone()),
                folder: auto_folder(self.project),
                user: self.defaults.user.clone(),
                environment: self.defaults.environment.clone(),
                ..Layers::default()
            };
            self.layers(layers, &build.place)?
        } else {
            self.dockerfile(&Said {
                dockerfile: &build.dockerfile,
                context: &build.context,
                arguments: &build.arguments,
                platforms,
                place: build.place.clone(),
                place_of_context: build.place.clone(),
            })?
        };
        let repository = Name {
            value: build.repository.clone(),
            shown: build.shown.clone(),
        };
        let place = build.place.clone();
        self.image(&repository, None, platforms, tags, recipe, place)
    }

    fn image(
        &self,
        repository: &Name,
        builder: Option<Builder>,
        platforms: &[String],
        tags: Vec<String>,
        recipe: Recipe,
        place: Place,
    ) -> Composed {
        let layered = matches!(recipe, Recipe::Layers(_));
        let builder = match builder.or(self.defaults.builder) {
            Some(Builder::Oci) if !layered => {
                let message = "the builder `oci` reads no Dockerfile";
                let hint = "take `docker`, `buildah` or `acr`, or give the image a `base` instead";
                return Err(vec![Diagnostic::error(place, message).hint(hint)]);
            }
            // One configured for Dockerfiles has no say where there is none.
            Some(builder) if !layered => builder,
            None if !layered => Builder::Docker,
            _ => Builder::Oci,
        };
        let mut platforms = platforms.to_vec();
        platforms.sort();
        platforms.dedup();
        if platforms.is_empty() {
            platforms.push(PLATFORM.to_owned());
        }
        if let Some(wrong) = platforms.iter().find(|one| !is_platform(one)) {
            let message = format!("`{wrong}` is no platform");
            return Err(vec![
                Diagnostic::error(place, message).hint("such as linux/amd64 or linux/arm64"),
            ]);
        }
        Ok(Some(Image {
            repository: repository.value.trim_end_matches('/').to_owned(),
            shown: repository.shown.trim_end_matches('/').to_owned(),
            builder,
            platforms,
            tags,
            recipe,
            place,
        }))
    }

    fn layers(&self, mut layers: Layers, place: &Place) -> Result<Recipe, Vec<Diagnostic>> {
        if let Some(file) = self.requirements {
            match requirements::read(self.tree, file) {
                Ok(requirements) => layers.requirements = Some(requirements),
                Err((path, why)) => {
                    let fault = Diagnostic::error(Place::file(path), why);
                    return Err(vec![
                        fault.related(place.clone(), "the image that needs it"),
                    ]);
                }
            }
        }
        Ok(Recipe::Layers(layers))
    }
}

/// What Prefect itself builds on where a file has no Dockerfile.
const PREFECT_BASE: &str = "prefecthq/prefect:3-latest";

/// Where Prefect puts the files of a folder in an image that it makes up a Dockerfile for.
fn auto_folder(project: &RepoPath) -> String {
    match project.file_name() {
        "" => "/opt/prefect/flows".to_owned(),
        name => format!("/opt/prefect/{name}"),
    }
}

/// The platform of images that name none: that of nearly every cluster.
const PLATFORM: &str = "linux/amd64";

#[cfg(test)]
mod tests;
