//! The flow that an entrypoint names: the file is there, the function is in it and is a flow.

use std::collections::HashMap;
use std::sync::Arc;

use super::document::Position;
use super::faults::Faults;
use super::python::{Flow, FlowFault, Gap, Module, Part, SyntaxFault};
use crate::discover::Tree;
use crate::model::{Diagnostic, Place, RepoPath, nearest};

/// An entrypoint that was found.
#[derive(Debug)]
pub(super) struct Entrypoint {
    /// Where the deployment file names it.
    pub(super) at: Position,
    /// Whether it counts from the repository's root, because it is not there from the project's folder.
    pub(super) from_root: bool,
    /// The Python file.
    pub(super) file: RepoPath,
    /// The function in it.
    pub(super) function: String,
    /// What the function says.
    pub(super) flow: Arc<Flow>,
}

/// The flows of a project's Python files: each file is parsed once, and each flow read once, however many deployments
/// name it.
pub(super) struct Flows<'a> {
    tree: &'a Tree,
    project: &'a RepoPath,
    modules: HashMap<RepoPath, Result<Module, Broken>>,
    flows: HashMap<(RepoPath, String), Result<Arc<Flow>, FlowFault>>,
}

/// A Python file that no flow can be read from.
enum Broken {
    /// Another deployment of the project has told why already.
    Told,
    Unreadable(String),
    Syntax(SyntaxFault),
}

impl<'a> Flows<'a> {
    pub(super) fn new(tree: &'a Tree, project: &'a RepoPath) -> Self {
        Self {
            tree,
            project,
            modules: HashMap::new(),
            flows: HashMap::new(),
        }
    }

    pub(super) fn tree(&self) -> &'a Tree {
        self.tree
    }

    /// Finds the flow that `written` names. A relative path counts from the project's folder or, where it is not there,
    /// from the repository's root.
    pub(super) fn find(
        &mut self,
        written: &str,
        at: Position,
        faults: &mut Faults<'_>,
    ) -> Option<Entrypoint> {
        let module = module_path(written);
        let pair = module
            .as_ref()
            .map(|(path, function)| (path.as_str(), *function));
        let Some((path, function)) = pair.or_else(|| written.rsplit_once(':')) else {
            faults
                .error(at, format!("`{written}` is no entrypoint"))
                .hint("write it as path/to/flow.py:function");
            return None;
        };
        let (file, from_root) = self.file(path, at, faults)?;
        let module = self
            .modules
            .entry(file.clone())
            .or_insert_with(|| load(self.tree, &file));
        let module = match module {
            Ok(module) => module,
            Err(broken) => {
                match std::mem::replace(broken, Broken::Told) {
                    Broken::Told => {}
                    Broken::Unreadable(why) => {
                        faults.error(at, why);
                    }
                    Broken::Syntax(fault) => {
                        let place = Place::at(file, fault.line, fault.column);
                        faults.push(Diagnostic::error(
                            place,
                            format!("not valid Python: {}", fault.message),
                        ));
                    }
                }
                return None;
            }
        };
        let key = (file.clone(), function.to_owned());
        let flow = self
            .flows
            .entry(key)
            .or_insert_with(|| module.flow(function).map(Arc::new));
        match flow {
            Ok(flow) => {
                for gap in &flow.unknown {
                    faults.push(of_gap(gap, &file, function));
                }
                Some(Entrypoint {
                    at,
                    from_root,
                    file,
                    function: function.to_owned(),
                    flow: Arc::clone(flow),
                })
            }
            Err(fault) => {
                refuse(fault, &file, function, at, faults);
                None
            }
        }
    }

    /// The file of a path, and whether it counts from the root.
    fn file(&self, path: &str, at: Position, faults: &mut Faults<'_>) -> Option<(RepoPath, bool)> {
        let here = self.project.resolve(path);
        let there = |path: &RepoPath| self.tree.position(path).is_some();
        let found = here
            .iter()
            .cloned()
            .chain(RepoPath::root().resolve(path))
            .find(there);
        if let Some(found) = found {
            let from_root = here.as_ref() != Some(&found);
            return Some((found, from_root));
        }
        let folder = here.as_ref().and_then(RepoPath::parent).unwrap_or_default();
        let wanted = path.rsplit('/').next().unwrap_or(path);
        let beside = self.tree.entries()[self.tree.below(&folder)]
            .iter()
            .filter_map(|entry| entry.path.below(&folder))
            .filter(|name| !name.contains('/') && name.ends_with(".py"));
        let noted = faults.error(at, format!("the entrypoint's file `{path}` does not exist"));
        match nearest(wanted, beside) {
            Some(near) => noted.hint(format!("did you mean `{near}`?")),
            None => noted.hint("it counts from the deployment file's folder, or from the repository's root; ignored files do not count"),
        }
        None
    }
}

/// `package.module.flow` as `package/module.py` and `flow`: Prefect's other form of an entrypoint.
fn module_path(written: &str) -> Option<(String, &str)> {
    let (module, function) = written.rsplit_once('.')?;
    let is_name = |part: &str| {
        let begins = part.starts_with(|one: char| one.is_alphabetic() || one == '_');
        begins && part.chars().all(|one| one.is_alphanumeric() || one == '_')
    };
    let named = function != "py" && written.split('.').all(is_name);
    named.then(|| (format!("{}.py", module.replace('.', "/")), function))
}

/// What only a running interpreter could tell: said, but nothing is held back for it.
fn of_gap(gap: &Gap, file: &RepoPath, function: &str) -> Diagnostic {
    let (of, hint) = match &gap.part {
        Part::Annotation(name) => (
            format!("the type of `{name}`"),
            "the parameter is registered without a type, so that any value is accepted",
        ),
        Part::Default(name) => (
            format!("the default of `{name}`"),
            "the parameter is registered without a default, and as not required",
        ),
        Part::Description => (
            "the description".to_owned(),
            "give `description` in the deployment file",
        ),
    };
    let message = format!("{of} of the flow `{function}` is not known: {}", gap.reason);
    Diagnostic::warning(Place::at(file.clone(), gap.line, gap.column), message).hint(hint)
}

fn load(tree: &Tree, file: &RepoPath) -> Result<Module, Broken> {
    let bytes = tree
        .read(file)
        .map_err(|error| Broken::Unreadable(format!("{error:#}")))?;
    let source = String::from_utf8(bytes)
        .map_err(|_| Broken::Unreadable(format!("{file} is not UTF-8 text")))?;
    Module::parse(&source).map_err(Broken::Syntax)
}

fn refuse(
    fault: &FlowFault,
    file: &RepoPath,
    function: &str,
    at: Position,
    faults: &mut Faults<'_>,
) {
    match fault {
        FlowFault::Missing { nearest } => {
            let noted = faults.error(at, format!("there is no function `{function}` in {file}"));
            match nearest {
                Some(near) => noted.hint(format!("did you mean `{near}`?")),
                None => {
                    noted
                        .hint("no flow was found in this file: decorate the function with `@flow`");
                }
            }
        }
        FlowFault::NotAFlow { line, column, .. } => {
            let message = format!("`{function}` in {file} is not a flow: {fault}");
            let fault = Diagnostic::error(faults.place(at), message)
                .hint("decorate it with `@flow` from Prefect")
                .related(
                    Place::at(file.clone(), *line, *column),
                    "it is defined here",
                );
            faults.push(fault);
        }
        FlowFault::NameNotConstant { line, column, .. }
        | FlowFault::NameRefused { line, column, .. }
        | FlowFault::ParameterRefused { line, column, .. } => {
            let place = Place::at(file.clone(), *line, *column);
            faults.push(Diagnostic::error(
                place,
                format!("the flow `{function}`: {fault}"),
            ));
        }
    }
}
