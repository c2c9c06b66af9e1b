//! The flow that an entrypoint names: the file is there, the function is in it and is a flow.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use super::document::Position;
use super::faults::Faults;
use super::python::{Attribute, Broken, Flow, FlowFault, Gap, Library, Modules, Part, SyntaxFault};
use crate::discover::Tree;
use crate::model::{Diagnostic, Dialect, Place, RepoPath, nearest};

/// An entrypoint that was found.
#[derive(Debug)]
pub(super) struct Entrypoint {
    /// Where the deployment file names it.
    pub(super) at: Position,
    /// As the deployment file has it.
    pub(super) written: String,
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
    dialect: Dialect,
    library: Library<'a>,
    flows: HashMap<(usize, String), Read>,
    /// Files of which another deployment of the project has told already why no flow can be read from them.
    told: HashSet<usize>,
}

/// The place of the module that defines a flow, and the flow.
type Read = (usize, Result<Arc<Flow>, FlowFault>);

impl<'a> Flows<'a> {
    pub(super) fn new(modules: &'a Modules<'a>, project: &'a RepoPath, dialect: Dialect) -> Self {
        Self {
            tree: modules.tree(),
            project,
            dialect,
            library: Library::new(modules),
            flows: HashMap::new(),
            told: HashSet::new(),
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
        let position = self.file(path, at, faults)?;
        let file = self.tree.entries()[position].path.clone();
        if let Err(broken) = self.library.modules().get(position) {
            if self.told.insert(position) {
                match broken {
                    Broken::Unreadable(unread) => {
                        let message = format!("{file}: {}", unread.why);
                        faults.error(at, message).hint(unread.hint);
                    }
                    Broken::Syntax(fault) => faults.push(of_syntax(fault, &file)),
                }
            }
            return None;
        }
        let (home, flow) = self.read(position, function).clone();
        let defined_in = &self.tree.entries()[home].path;
        match flow {
            Ok(flow) => {
                for gap in &flow.unknown {
                    faults.push(of_gap(gap, defined_in, function, &self.library));
                }
                Some(Entrypoint {
                    at,
                    written: written.to_owned(),
                    file,
                    function: function.to_owned(),
                    flow,
                })
            }
            Err(fault) => {
                refuse(&fault, defined_in, function, at, faults);
                None
            }
        }
    }

    /// The flows that a file defines, by the names of their functions; none where it is no Python, which is told.
    pub(super) fn functions(&mut self, file: &RepoPath, faults: &mut Faults<'_>) -> Vec<String> {
        let Some(position) = self.tree.position(file) else {
            return Vec::new();
        };
        if let Err(broken) = self.library.modules().get(position) {
            if self.told.insert(position) {
                faults.push(match broken {
                    Broken::Unreadable(unread) => unread.of(file),
                    Broken::Syntax(fault) => of_syntax(fault, file),
                });
            }
            return Vec::new();
        }
        let roots = Library::roots(file, self.project, self.tree);
        let flows = self.library.flows(position, &roots);
        flows.into_iter().map(|(function, _)| function).collect()
    }

    /// What a file says of one of its flows: the flow, and the attributes that are set on it. `None` where it has a
    /// fault, which is told.
    pub(super) fn described(
        &mut self,
        file: &RepoPath,
        function: &str,
        faults: &mut Faults<'_>,
    ) -> Option<(Arc<Flow>, Vec<Attribute>)> {
        let position = self.tree.position(file)?;
        let roots = Library::roots(file, self.project, self.tree);
        let flow = self.read(position, function);
        match flow {
            (_, Ok(flow)) => {
                let flow = Arc::clone(flow);
                let attributes = self.library.attributes(position, function, &roots);
                Some((flow, attributes))
            }
            (_, Err(fault)) => {
                let at = Position { line: 1, column: 1 };
                refuse(&fault.clone(), file, function, at, faults);
                None
            }
        }
    }

    fn read(&mut self, position: usize, function: &str) -> &Read {
        let (library, project, tree) = (&self.library, self.project, self.tree);
        self.flows
            .entry((position, function.to_owned()))
            .or_insert_with(|| {
                let file = &tree.entries()[position].path;
                let roots = Library::roots(file, project, tree);
                let (home, flow) = library.flow(position, function, &roots, self.dialect);
                (home, flow.map(Arc::new))
            })
    }

    fn file(&self, path: &str, at: Position, faults: &mut Faults<'_>) -> Option<usize> {
        let here = self.project.resolve(path);
        let found = here
            .iter()
            .cloned()
            .chain(RepoPath::root().resolve(path))
            .find_map(|path| self.tree.position(&path));
        if found.is_some() {
            return found;
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

fn of_syntax(fault: &SyntaxFault, file: &RepoPath) -> Diagnostic {
    let place = Place::at(file.clone(), fault.line, fault.column);
    Diagnostic::error(place, format!("not valid Python: {}", fault.message))
}

/// What only a running interpreter could tell: said, but nothing is held back for it.
fn of_gap(gap: &Gap, file: &RepoPath, function: &str, library: &Library<'_>) -> Diagnostic {
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
    let place = Place::at(file.clone(), gap.line, gap.column);
    let warning = Diagnostic::warning(place, message).hint(hint);
    match gap.cause {
        Some((position, offset)) => {
            let (file, line, column) = library.modules().place(position, offset);
            warning.related(Place::at(file.clone(), line, column), "because of this")
        }
        None => warning,
    }
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
        | FlowFault::TypeUndefined { line, column, .. }
        | FlowFault::ParameterRefused { line, column, .. } => {
            let place = Place::at(file.clone(), *line, *column);
            faults.push(Diagnostic::error(
                place,
                format!("the flow `{function}`: {fault}"),
            ));
        }
    }
}
