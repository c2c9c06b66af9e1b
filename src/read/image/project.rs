//! The images of one project's deployments.

use std::cell::Cell;
use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::{Asked, Composed, Composer};
use crate::model::{Diagnostic, Field, Image, Outputs, Place, Recipe, RepoPath, put_outputs};
use crate::read::Settings;
use crate::read::deployment::Declared;
use crate::read::template::{IMAGE, resolve_late};

/// What a project's deployments need, each image composed once.
pub(in crate::read) struct Images<'a> {
    composer: Composer<'a>,
    /// By what asks for it.
    known: BTreeMap<String, Option<String>>,
    images: BTreeMap<String, Image>,
    diagnostics: Vec<Diagnostic>,
}

impl<'a> Images<'a> {
    /// None so far.
    pub(in crate::read) fn of(composer: Composer<'a>) -> Self {
        Self {
            composer,
            known: BTreeMap::new(),
            images: BTreeMap::new(),
            diagnostics: Vec::new(),
        }
    }

    /// Finds the images of a deployment, and puts templates for them into its fields; gives their keys. A fault is noted.
    ///
    /// `{{ flowyard.image }}` stands for its own image, else for the last one that its file builds.
    pub(in crate::read) fn of_deployment(
        &mut self,
        declared: &mut Declared,
        file: &RepoPath,
        settings: &Settings,
    ) -> Vec<String> {
        let mut keys = Vec::new();
        let mut outputs = Outputs::new();
        for build in std::mem::take(&mut declared.images) {
            let literal = build.literal();
            if !settings.image.build {
                let image = literal.clone().unwrap_or_else(|| build.repository.clone());
                let note = format!("the image {} is built elsewhere", build.shown);
                if !declared.notes.contains(&note) {
                    declared.notes.push(note);
                }
                outputs.insert(build.key.clone(), json!({"image": image, "tag": "latest"}));
                continue;
            }
            let Some(key) = self.compose(format!("{build:?}"), |one| one.built(&build), settings)
            else {
                continue;
            };
            let image = template(&key, "image");
            if let (Some(Value::Object(variables)), Some(literal)) =
                (declared.fields.get_mut(&Field::JobVariables), literal)
                && variables.get("image") == Some(&Value::String(literal))
            {
                variables.insert("image".to_owned(), image.clone().into());
            }
            let tag = template(&key, "tag");
            outputs.insert(build.key, json!({"image": image, "tag": tag}));
            keys.push(key);
        }
        if !outputs.is_empty() {
            for (field, value) in &mut declared.fields {
                put_outputs(value, field.name(), &outputs, &mut BTreeMap::new());
            }
        }
        let place = Place::at(file.clone(), declared.at.line, declared.at.column);
        let asked = declared.image.clone();
        // An image is asked for by many deployments in the same words.
        let words = match &asked {
            Asked::Unsaid if keys.is_empty() => Some("unsaid".to_owned()),
            Asked::Built(wish) => Some(format!("{wish:?}")),
            _ => None,
        };
        let own =
            words.and_then(|words| self.compose(words, |one| one.asked(&asked, &place), settings));
        if let Some(key) = own {
            let image = template(&key, "image");
            self.work_in(&key, declared);
            let variables = declared.fields.entry(Field::JobVariables);
            if let Value::Object(variables) = variables.or_insert_with(|| Map::new().into()) {
                variables.insert("image".to_owned(), image.into());
            }
            keys.push(key);
        }
        self.put_image(declared, keys.last(), &place);
        self.hide(declared, &keys);
        keys
    }

    /// Notes where the reference of an image will stand whose name holds a value of the process's environment.
    fn hide(&self, declared: &mut Declared, keys: &[String]) {
        for key in keys {
            let Some(image) = self.images.get(key) else {
                continue;
            };
            if image.shown == image.repository {
                continue;
            }
            let reference = template(key, "image");
            for (field, value) in &declared.fields {
                for_each_text(value, field.name(), &mut |path, text| {
                    if text.contains(&reference) {
                        let written = declared.hidden.get(path).map_or(text, String::as_str);
                        let written = written.replace(&reference, &image.shown);
                        declared.hidden.insert(path.to_owned(), written);
                    }
                });
            }
        }
    }

    /// Lets runs begin in the folder of the code that the image holds; steps that the file spells out stay.
    fn work_in(&self, key: &str, declared: &mut Declared) {
        let Some(Recipe::Layers(layers)) = self.images.get(key).map(|image| &image.recipe) else {
            return;
        };
        if layers.code.is_some() && !declared.fields.contains_key(&Field::PullSteps) {
            let step = json!([{STEP: {"directory": layers.folder}}]);
            declared.fields.insert(Field::PullSteps, step);
            let note = "the code is in the image, so it is not uploaded";
            declared.notes.push(note.to_owned());
        }
    }

    /// Replaces `{{ flowyard.image }}`.
    fn put_image(&mut self, declared: &mut Declared, key: Option<&String>, place: &Place) {
        let missing = Cell::new(false);
        let image = |name: &str| {
            if name != IMAGE {
                return None;
            }
            missing.set(missing.get() || key.is_none());
            key.map(|key| template(key, "image"))
        };
        declared
            .fields
            .values_mut()
            .for_each(|value| resolve_late(value, &image));
        if missing.get() {
            let message = "`{{ flowyard.image }}` stands in a deployment that has no image";
            let hint = "give it one with `image`, or name a base under `[image]` in flowyard.toml";
            self.diagnostics
                .push(Diagnostic::error(place.clone(), message).hint(hint));
        }
    }

    /// The images by their keys, and what is wrong.
    pub(in crate::read) fn into_parts(self) -> (BTreeMap<String, Image>, Vec<Diagnostic>) {
        (self.images, self.diagnostics)
    }

    fn compose(
        &mut self,
        words: String,
        compose: impl FnOnce(&Composer<'_>) -> Composed,
        settings: &Settings,
    ) -> Option<String> {
        if let Some(known) = self.known.get(&words) {
            return known.clone();
        }
        let key = match compose(&self.composer) {
            Ok(image) => image.map(|mut image| {
                for tag in &mut image.tags {
                    let mut value = Value::from(tag.as_str());
                    put_outputs(&mut value, "", &settings.outputs, &mut BTreeMap::new());
                    if let Value::String(text) = value {
                        *tag = text;
                    }
                }
                image.put_into(&mut self.images)
            }),
            Err(faults) => {
                self.diagnostics.extend(faults);
                None
            }
        };
        self.known.insert(words, key.clone());
        key
    }
}

/// The pull step that changes the folder.
const STEP: &str = "prefect.deployments.steps.set_working_directory";

/// Calls `see` on every text in a value with its dotted path.
fn for_each_text(value: &Value, path: &str, see: &mut dyn FnMut(&str, &str)) {
    match value {
        Value::String(text) => see(path, text),
        Value::Array(items) => {
            for (at, item) in items.iter().enumerate() {
                for_each_text(item, &format!("{path}.{at}"), see);
            }
        }
        Value::Object(entries) => {
            for (key, one) in entries {
                for_each_text(one, &format!("{path}.{key}"), see);
            }
        }
        _ => {}
    }
}

/// What stands for an image's reference or tag until it is known.
fn template(key: &str, name: &str) -> String {
    format!("{{{{ flowyard.step.{key}.{name} }}}}")
}
