//! Names that other modules of the repository bind.

use ruff_text_size::TextSize;

use super::{DEPTH, Evaluator};
use crate::read::python::class::Class;
use crate::read::python::scope::{END, Named, Scope};
use crate::read::python::value::{Value, unknown};

impl<'a> Evaluator<'a> {
    /// What a name stands for just before a place, and in which module: imports of the repository's own modules are
    /// followed to where the name is bound.
    pub(in crate::read::python) fn lookup(&self, name: &str, at: TextSize) -> (Self, Named<'a>) {
        match self.scope.lookup(name, at) {
            Named::Imported(full) => self.imported(full),
            Named::Starred => self.starred(name),
            other => (self.clone(), other),
        }
    }

    /// What a full name stands for that this module imports.
    pub(in crate::read::python) fn imported(&self, full: String) -> (Self, Named<'a>) {
        let (Some(view), Some(file)) = (self.view, self.scope.file) else {
            return (self.clone(), Named::Imported(full));
        };
        if full.starts_with("builtins.") {
            return (self.clone(), Named::Imported(full));
        }
        let chain = view.imports.find(&full, file, view.roots);
        let Some((position, consumed)) = chain.last().copied() else {
            return (self.clone(), Named::Imported(full));
        };
        let count = components(&full);
        let last = full.rsplit('.').next().unwrap_or_default();
        // What a package binds itself comes before its module of the same name.
        if consumed == count
            && let [.., (package, before), _] = chain.as_slice()
            && before + 1 == count
            && *package != file
            && let Some(scope) = view.imports.scope(*package)
            && scope.binds(last)
        {
            return self.member(scope, last);
        }
        let Some(scope) = view.imports.scope(position) else {
            let reason = format!("the module of `{full}` cannot be read");
            return (self.clone(), Named::Missing(reason));
        };
        match count - consumed {
            0 => (self.within(scope), Named::Module(scope)),
            1 => self.member(scope, last),
            _ => (
                self.clone(),
                Named::Missing(format!("there is no module of `{full}`")),
            ),
        }
    }

    /// What a name of another module stands for once that module has run.
    pub(in crate::read::python) fn member(
        &self,
        module: &'a Scope<'a>,
        name: &str,
    ) -> (Self, Named<'a>) {
        if self.budget.depth.get() >= DEPTH || !self.charge(1) {
            return (self.clone(), Named::Opaque);
        }
        let there = self.within(module);
        self.budget.depth.set(self.budget.depth.get() + 1);
        let found = if module.binds(name) || module.stars().next().is_some() {
            there.lookup(name, END)
        } else {
            (there.clone(), Named::Undefined)
        };
        self.budget.depth.set(self.budget.depth.get() - 1);
        if !matches!(found.1, Named::Undefined) {
            return found;
        }
        let submodule = self.view.zip(module.file).and_then(|(view, file)| {
            let position = view.imports.submodule(file, name)?;
            view.imports.scope(position)
        });
        match submodule {
            Some(scope) => (self.within(scope), Named::Module(scope)),
            None => {
                let reason = format!("its module has no `{name}`");
                (there, Named::Missing(reason))
            }
        }
    }

    /// What a name stands for that only a star import can bind.
    fn starred(&self, name: &str) -> (Self, Named<'a>) {
        let (Some(view), Some(file)) = (self.view, self.scope.file) else {
            return (self.clone(), Named::Starred);
        };
        let mut all_known = true;
        for module in self.scope.stars() {
            let count = components(module);
            let chain = view.imports.find(module, file, view.roots);
            let scope = chain
                .last()
                .filter(|(position, consumed)| *consumed == count && *position != file)
                .and_then(|(position, _)| view.imports.scope(*position));
            let Some(scope) = scope else {
                all_known = false;
                continue;
            };
            if !scope.exports(name) {
                continue;
            }
            match self.member(scope, name) {
                (_, Named::Missing(_) | Named::Undefined) => {}
                (_, Named::Starred | Named::Opaque) if !scope.binds(name) => all_known = false,
                found => return found,
            }
        }
        let named = if all_known {
            Named::Undefined
        } else {
            Named::Starred
        };
        (self.clone(), named)
    }

    /// The value of what a name stands for in the module `there`.
    pub(super) fn bound(
        &self,
        name: &str,
        (there, named): (Self, Named<'a>),
        at: TextSize,
    ) -> Value<'a> {
        match named {
            Named::Imported(full) if full == "builtins.Ellipsis" => Value::Ellipsis,
            Named::Imported(full) if full == "builtins.__name__" || full == "builtins.__file__" => {
                unknown("it depends on where the file lies", at)
            }
            Named::Imported(full) => Value::Named(full),
            Named::Module(module) => Value::Module(module),
            Named::Function(function) => Value::Function(function),
            Named::Class(definition) => Value::Class(Class {
                scope: there.scope,
                definition,
            }),
            Named::Value {
                expression,
                stable: true,
            } => {
                let mut value = there.value(expression);
                if self.is_elsewhere(&there) {
                    value.comes_from(there.scope.file);
                }
                value
            }
            Named::Value { stable: false, .. } => unknown(
                format!("the value of `{name}` depends on how the module runs"),
                at,
            ),
            Named::Opaque | Named::Starred => {
                unknown(format!("the value of `{name}` is not known"), at)
            }
            Named::Undefined => unknown(format!("the name `{name}` is not defined"), at),
            Named::Missing(reason) => unknown(reason, at),
        }
    }

    /// Whether `there` evaluates another module.
    pub(in crate::read::python) fn is_elsewhere(&self, there: &Self) -> bool {
        !std::ptr::eq(self.scope, there.scope)
    }
}

/// How many names stand between the dots of a module's full name.
fn components(full: &str) -> usize {
    full.split('.').filter(|part| !part.is_empty()).count()
}
