//! `NAME.deployment.py`: a program that registers deployments, read as what it would register.
//!
//! The program is not run by Python: [`program`](super::python::program) works out what of it is known, and only what
//! reaches a deployment has to be. As in Python, a deployment that is built and never applied, deployed or served is
//! none.

mod block;
mod captured;
mod draft;
mod flow;
mod image;
mod library;
mod node;
mod registration;
mod schedule;
mod source;
#[cfg(test)]
mod tests;
mod thing;

use std::collections::BTreeMap;
use std::rc::Rc;

use super::draft::Draft;
use super::faults::Faults;
use super::image::Defaults;
use super::python::program::{Machine, Stop, World};
use super::python::{Broken, Modules};
use crate::model::{Diagnostic, Place, RepoPath};
pub(super) use captured::captured;
use library::Prefect;
use node::Nodes;

/// What reading Python files depends on beside the tree.
#[derive(Clone, Debug, Default)]
pub struct Python {
    /// The name of the repository's folder: the last part of the path that files see as their root's.
    pub root_name: String,
    /// The variables of the process's environment that files may read, `None` where one is not set.
    pub environment: BTreeMap<String, Option<String>>,
}

/// The deployments that a file registers, in their order.
pub(super) fn drafts(
    file: &RepoPath,
    modules: &Modules<'_>,
    settings: &Python,
    images: &Defaults,
    faults: &mut Faults<'_>,
) -> Vec<Draft> {
    let Some(main) = modules.tree().position(file) else {
        return Vec::new();
    };
    match modules.get(main) {
        Ok(_) => {}
        Err(Broken::Unreadable(unread)) => {
            faults.push(unread.of(file));
            return Vec::new();
        }
        Err(Broken::Syntax(fault)) => {
            let place = Place::at(file.clone(), fault.line, fault.column);
            faults.push(Diagnostic::error(
                place,
                format!("not valid Python: {}", fault.message),
            ));
            return Vec::new();
        }
    }
    let project = file.parent().unwrap_or_default();
    let prefect = Rc::new(Prefect::default());
    let world = World {
        modules,
        name: &settings.root_name,
        environment: &settings.environment,
    };
    let (machine, end) = Machine::run(world, Rc::clone(&prefect) as Rc<_>, main);
    let registered = prefect.registered.take();
    let looked = machine.looked().iter();
    faults
        .looked
        .extend(looked.map(|(path, listed)| (path.clone(), *listed)));
    let mut nodes = Nodes::new(&machine, faults);
    let fails = end.as_ref().err().and_then(failure);
    if registered.is_empty() && fails.is_none() {
        let warning = Diagnostic::warning(
            Place::file(file.clone()),
            "the file registers no deployment",
        );
        nodes.faults.push(
            warning
                .hint("a deployment that is built and never applied, deployed or served is none"),
        );
    }
    let drafts = registered
        .iter()
        .filter_map(|one| draft::of(one, &project, images, &mut nodes))
        .collect();
    if let Some((at, message)) = fails {
        nodes.faults.undecided = true;
        let (path, line, column) = modules.place(at.module, at.range.start());
        let fault = Diagnostic::error(Place::at(path.clone(), line, column), message);
        nodes.faults.push(fault.hint(
            "declare its deployments in NAME.deployment.yaml, or run the file with --run-python",
        ));
    }
    drafts
}

/// Where and why a program did not come to its end; `None` for an end that it asked for.
fn failure(stop: &Stop) -> Option<(super::python::program::At, String)> {
    match stop {
        Stop::Raise(raised) if raised.message.is_empty() => {
            Some((raised.at, format!("the file fails: {}", raised.class)))
        }
        Stop::Raise(raised) => Some((
            raised.at,
            format!("the file fails: {}: {}", raised.class, raised.message),
        )),
        Stop::Halt(halt) if halt.wanted => None,
        Stop::Halt(halt) => Some((halt.at, halt.reason.clone())),
    }
}
