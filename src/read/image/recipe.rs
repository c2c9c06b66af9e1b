//! What a Dockerfile makes an image of, and what is wrong with it and its context.

use std::collections::BTreeMap;

use super::context::{self, Patterns};
use super::{Composer, Copies, dockerfile};
use crate::model::{CodeTree, Diagnostic, Dockerfile, Place, Recipe, RepoPath};

/// What is said of an image with a Dockerfile; its paths are from the folder of the deployment file.
pub(super) struct Said<'a> {
    pub(super) dockerfile: &'a str,
    pub(super) context: &'a str,
    /// `--build-arg`.
    pub(super) arguments: &'a BTreeMap<String, String>,
    /// Empty for the default.
    pub(super) platforms: &'a [String],
    /// Where it is said.
    pub(super) place: Place,
    pub(super) place_of_context: Place,
}

impl Composer<'_> {
    /// The recipe of a Dockerfile; otherwise all that is wrong.
    pub(super) fn dockerfile(&self, said: &Said<'_>) -> Result<Recipe, Vec<Diagnostic>> {
        let fault = |place: &Place, message: String, hint: &str| {
            vec![Diagnostic::error(place.clone(), message).hint(hint.to_owned())]
        };
        let folder = self
            .folder_of_context(said.context)
            .map_err(|(why, hint)| {
                let message = format!("the build's context `{}` {why}", said.context);
                fault(&said.place_of_context, message, hint)
            })?;
        let file = self.project.resolve(said.dockerfile);
        let Some(file) = file.filter(|file| self.tree.position(file).is_some()) else {
            return Err(fault(
                &said.place,
                format!("the Dockerfile `{}` does not exist", said.dockerfile),
                "it is looked for from the folder of the deployment file",
            ));
        };
        let text = match self.tree.read(&file).map(String::from_utf8) {
            Ok(Ok(text)) => text.trim_start_matches(context::MARK).to_owned(),
            Ok(Err(_)) => {
                return Err(fault(
                    &said.place,
                    format!("{file} is not UTF-8 text"),
                    "save the file as UTF-8",
                ));
            }
            Err(error) => {
                let message = format!("{error:#}");
                return Err(fault(&said.place, message, "make the file readable"));
            }
        };
        let needs = dockerfile::needs(&text, said.arguments, said.platforms);
        let mut faults: Vec<Diagnostic> = needs
            .faults
            .iter()
            .map(|(line, why)| Diagnostic::error(Place::at(file.clone(), *line, 1), why.clone()))
            .collect();
        let copies = Copies::of(self.tree, &file, &folder, &needs);
        let context = match context::files(self.tree, &folder, |path| copies.take(path)) {
            Ok(context) => context,
            Err((path, why)) => {
                faults.push(
                    Diagnostic::error(Place::file(path), why)
                        .hint("leave it out with a .dockerignore"),
                );
                CodeTree::default()
            }
        };
        if faults.is_empty() {
            let missing = needs
                .sources
                .iter()
                .filter(|(one, _)| !is_in(&context, one));
            faults.extend(missing.map(|(source, line)| {
                let folder = shown(&folder);
                let message = format!("`{source}` is not in the build's context {folder}");
                Diagnostic::error(Place::at(file.clone(), *line, 1), message)
                    .hint("it does not exist, is ignored by git, or is left out by a .dockerignore")
            }));
        }
        if !faults.is_empty() {
            return Err(faults);
        }
        Ok(Recipe::Dockerfile(Dockerfile {
            file,
            text,
            context,
            arguments: said.arguments.clone(),
            bases: needs.bases,
            named: needs.named,
        }))
    }

    /// The folder of a context; otherwise what is wrong with it, and what to do.
    fn folder_of_context(&self, written: &str) -> Result<RepoPath, (&'static str, &'static str)> {
        const HINT: &str = "name a folder of the repository, from that of the deployment file";
        if written.starts_with('/') {
            return Err(("is no path from the deployment file", HINT));
        }
        let Some(folder) = self.project.resolve(written) else {
            let hint = "a build sees files of the repository only";
            return Err(("leads out of the repository", hint));
        };
        if self.tree.is_folder(&folder) {
            return Ok(folder);
        }
        Err(match self.tree.position(&folder) {
            Some(_) => ("is no folder", HINT),
            None => (
                "does not exist",
                "it is looked for from the folder of the deployment file, and has to hold a file that git does not ignore",
            ),
        })
    }
}

/// Whether a build finds a source of `COPY` or `ADD` in its context. A wildcard may match nothing: BuildKit lets it, and
/// the other builders where the instruction has another source.
fn is_in(context: &CodeTree, source: &str) -> bool {
    let one = Patterns::of(std::iter::once(source));
    let mut files = context.files().iter();
    context::cleaned(source).is_empty()
        || source.contains(['*', '?', '['])
        || files.any(|file| one.match_path(&file.path))
}

fn shown(folder: &RepoPath) -> String {
    if folder.is_root() {
        "(the repository's root)".to_owned()
    } else {
        folder.to_string()
    }
}
